"""A crowd of deaths at once, as when a fleet of programs is stopped."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest
from engine_room import children, release_children

from opsvisor.runtime.reaper import Orphan, Reaper

# What a loop is woken by holds 64 KiB; a socket pair, which is asyncio's own, some 280 bytes that
# come one by one.
MORE_THAN_FIT = 70_000


@pytest.fixture(autouse=True)
def nobody_stays() -> Iterator[None]:
    """No child is left, and no more are inherited."""
    before = children()
    yield
    assert not release_children(before)


async def test_deaths_by_the_hundred_are_no_noise(capfd: pytest.CaptureFixture[str]) -> None:
    """More SIGCHLDs in one turn of the loop than its pipe can hold: nothing on standard error."""
    reaper = Reaper(asyncio.get_running_loop(), on_exit=print, on_orphan=print)
    reaper.open()
    for _ in range(MORE_THAN_FIT):
        os.kill(os.getpid(), signal.SIGCHLD)
    await asyncio.sleep(0)  # one turn of the loop, to handle them
    reaper.close()
    assert capfd.readouterr().err == ""


async def test_deaths_by_the_hundred_cost_one_callback(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads what woke the loop, and looks for orphans; not two for each signal."""
    loop = asyncio.get_running_loop()
    reaper = Reaper(loop, on_exit=print, on_orphan=print)
    reaper.open()
    for _ in range(100):
        os.kill(os.getpid(), signal.SIGCHLD)
    called = 0
    run = asyncio.Handle._run

    def counted(handle: asyncio.Handle) -> None:
        nonlocal called
        called += 1
        run(handle)

    monkeypatch.setattr(asyncio.Handle, "_run", counted)
    for _ in range(3):
        await asyncio.sleep(0)
    reaper.close()
    assert called - 3 == 1  # without those that went on with this very test


async def test_an_end_is_noticed_among_more_signals_than_are_noted() -> None:
    """Of those that come when the pipe is full, no byte is written."""
    inherited: asyncio.Future[Orphan] = asyncio.get_running_loop().create_future()
    reaper = Reaper(asyncio.get_running_loop(), on_exit=print, on_orphan=inherited.set_result)
    child = _started("sh", "-c", "read x")
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    reaper.open()
    try:
        for _ in range(MORE_THAN_FIT):
            os.kill(os.getpid(), signal.SIGUSR1)
        assert child.stdin is not None
        child.stdin.close()
        assert _is_over(child)
        async with asyncio.timeout(60):
            assert (await inherited).pid == child.pid
    finally:
        reaper.close()
        signal.signal(signal.SIGUSR1, before)


async def test_a_loop_about_to_sleep_is_woken() -> None:
    """By a signal that is handled in another thread, too: nothing but the end itself tells."""
    inherited: asyncio.Future[Orphan] = asyncio.get_running_loop().create_future()
    reaper = Reaper(asyncio.get_running_loop(), on_exit=print, on_orphan=inherited.set_result)
    reaper.open()
    await asyncio.to_thread(int)  # there is another thread now
    child = _started("sh", "-c", "read x; exit 5")
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])  # not for threads that are there
    try:
        async with asyncio.timeout(60):
            assert child.stdin is not None
            child.stdin.close()
            orphan = await inherited
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        reaper.close()
    assert (orphan.pid, orphan.outcome.code) == (child.pid, 5)


def _is_over(child: subprocess.Popen[bytes]) -> bool:
    """Whether it has ended; waits for that."""
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT) is not None


def _started(*argv: str) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(argv, stdin=subprocess.PIPE)
    child.returncode = 0  # collected by the reaper
    return child
