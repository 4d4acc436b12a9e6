"""What is held for the next daemon is what is open in this one."""

import asyncio
import os
from pathlib import Path

from engine_room import children, release_children

from opsvisor.core.spec import NOBODY, Pid, ProcessId
from opsvisor.core.struct import replace
from opsvisor.runtime.adoption import RunMemento
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
    legacy = Legacy()
    legacy.keeper = keeper
    pid = Pid(os.getpid())
    pidfd = os.pidfd_open(pid)
    keeper.keep(f"pid:{pid}", pidfd)
    legacy.pidfd(pid, pidfd)
    legacy.pidfd(pid, None)
    os.close(pidfd)
    legacy.keep()
    assert keeper.kept == {}
    keeper.close()
    release_children(before)


RUN = RunMemento(id=ProcessId("web", "web"), pid=Pid(7), born=70, stdout=(1, 2), stdin=3)


def test_what_is_left_of_a_run() -> None:
    """What an earlier daemon left is known until its pipes are open here, whatever happens."""
    legacy = Legacy()
    assert not legacy.has_run(RUN.id)
    legacy.expect(RUN)
    assert legacy.has_run(RUN.id)
    assert (legacy.run_of(RUN.id), legacy.runs) == (RUN, [RUN])
    assert legacy.take_changed() == [RUN.id]
    legacy.made(RUN.id, Pid(8), 80)
    assert legacy.run_of(RUN.id) == replace(RUN, pid=Pid(8), born=80)
    legacy.ended(RUN.id)
    assert legacy.run_of(RUN.id) == replace(RUN, pid=NOBODY, born=0)
    legacy.taken_back(RUN.id)  # none of them could be opened
    assert legacy.run_of(RUN.id) == RunMemento(id=RUN.id)
    assert legacy.take_changed() == []


def test_another_run_has_its_own_pipes() -> None:
    """Whatever was expected: it would be looked for by pipes that it does not have."""
    legacy = Legacy()
    legacy.expect(replace(RUN, pid=NOBODY, born=0, is_intended=True, intended_at=60))
    assert legacy.run_of(RUN.id).intended_at == 60
    legacy.intend(RUN.id, 90)
    assert legacy.run_of(RUN.id) == RunMemento(id=RUN.id, is_intended=True, intended_at=90)
    assert not legacy.has_run(RUN.id)
    legacy.forget(RUN.id)
    assert legacy.runs == []
