"""What is held for the next daemon is what is open in this one."""

import asyncio
import os
from pathlib import Path

from engine_room import children, release_children

from opsvisor.core.spec import Pid
from opsvisor.runtime.keeper import Keeper, WhenAlone
from opsvisor.runtime.legacy import Legacy


async def test_what_was_held_already_and_is_noted_again_is_let_go_of(tmp_path: Path) -> None:
    """An adopted process that ends before anything else is sent to the keeper."""
    before = children()
    keeper = Keeper(
        tmp_path,
        loop=asyncio.get_running_loop(),
        when_alone=WhenAlone.HOLD,
        warn=lambda line: print(line),  # noqa: T201, PLW0108 - shown if it fails
    )
    keeper.open()
    legacy = Legacy(streams=lambda _id: None)
    legacy.keeper = keeper
    pid = Pid(os.getpid())
    pidfd = os.pidfd_open(pid)
    keeper.keep(f"pid:{pid}", pidfd)
    legacy.pidfd(pid, pidfd)
    legacy.pidfd(pid, None)
    os.close(pidfd)
    legacy.keep()
    assert keeper.held == {}
    keeper.close()
    release_children(before)
