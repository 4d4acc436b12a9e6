"""A crowd of deaths at once, as when a fleet of programs is stopped."""

import asyncio
import os
import signal

import pytest

from opsvisor.runtime.reaper import Reaper

# A socket pair, which is what a loop is woken by, holds some 280 bytes that come one by one.
MORE_THAN_FIT = 1000


async def test_deaths_by_the_hundred_are_no_noise(capfd: pytest.CaptureFixture[str]) -> None:
    """More SIGCHLDs in one turn of the loop than its pipe can hold: nothing on standard error."""
    reaper = Reaper(asyncio.get_running_loop(), on_exit=print, on_orphan=print)
    reaper.open()
    for _ in range(MORE_THAN_FIT):
        os.kill(os.getpid(), signal.SIGCHLD)
    await asyncio.sleep(0)  # one turn of the loop, to handle them
    reaper.close()
    assert capfd.readouterr().err == ""
