"""What is left of a process group."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial

import pytest
from daemon import eventually

from opsvisor.core.outcome import Outcome, Usage
from opsvisor.core.spec import Pid
from opsvisor.core.struct import replace
from opsvisor.runtime import groups
from opsvisor.runtime.proctree import Stat, read_machine

KILLED = Outcome(signum=signal.SIGKILL)


def test_a_group_is_known_again_by_who_stayed() -> None:
    """Its number is its own while a member that was there is there; pids alone prove nothing."""
    command = ["sh", "-c", "sleep 1000 & sleep 1000 & wait"]
    shell = subprocess.Popen(command, process_group=0, stdout=subprocess.DEVNULL)
    group = Pid(shell.pid)
    try:
        eventually(lambda: len(groups.members_of(group)) == 3)
        seen = groups.members_of(group)
        assert groups.has_members(group)
        assert groups.is_same(seen, groups.members_of(group))
        assert not groups.is_same({pid: born - 1 for pid, born in seen.items()}, seen)
        assert not groups.is_same(seen, {})
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
        eventually(lambda: _is_gone(group))


def test_a_group_without_members_has_none() -> None:
    """A number that nobody has."""
    shell = subprocess.Popen(["true"], process_group=0)
    shell.wait()
    assert not groups.has_members(Pid(shell.pid))
    assert groups.members_of(Pid(shell.pid)) == {}


def _is_whole(leader: Pid) -> bool:
    return len(groups.members_of(leader)) == 2


@pytest.fixture(autouse=True)
def _heir(subreaper: None) -> None:
    """Orphans are ours to reap, as they are the daemon's."""
    del subreaper


def _is_gone(leader: Pid) -> bool:
    with suppress(ChildProcessError):
        os.waitpid(-leader, os.WNOHANG)
    return not groups.has_members(leader)


class Leaderless:
    """Groups of a shell and its child that are being stopped, and then lose the shell."""

    def __init__(self, count: int) -> None:
        self.ended: list[Pid] = []
        self.due: list[Callable[[], None]] = []
        self.stopped = groups.StoppedGroups(
            on_end=lambda pid, _outcome, _usage: self.ended.append(pid),
            later=lambda _seconds, action: self.due.append(action),
        )
        command = ["sh", "-c", "sleep 1000 & wait"]
        self._shells = [subprocess.Popen(command, process_group=0) for _ in range(count)]
        self.leaders = [Pid(shell.pid) for shell in self._shells]

    def lose_leaders(self) -> None:
        """Once all is there."""
        for shell, leader in zip(self._shells, self.leaders, strict=True):
            eventually(partial(_is_whole, leader))
            self.stopped.signal(leader, signal.SIGCONT)
            shell.kill()
            shell.wait()
            self.stopped.leader_exited(leader, KILLED, Usage())

    def empty(self, leader: Pid) -> None:
        """Wait until this group is gone, and say so as the reaper of its last member does."""
        eventually(partial(_is_gone, leader))
        self.stopped.member_reaped(leader)

    def close(self) -> None:
        """Leave nobody behind."""
        for leader in self.leaders:
            if groups.has_members(leader):
                os.killpg(leader, signal.SIGKILL)
                eventually(partial(_is_gone, leader))


@pytest.fixture
def several() -> Iterator[Leaderless]:
    """Three of them."""
    one = Leaderless(3)
    try:
        one.lose_leaders()
        yield one
    finally:
        one.close()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that all of /proc is read from here on."""
    seen: list[int] = []

    def read() -> Mapping[Pid, Stat]:
        machine = read_machine()
        seen.append(len(machine))
        return machine

    monkeypatch.setattr(groups, "read_machine", read)
    return seen


def test_groups_that_lost_their_leaders_together_are_looked_at_once(
    several: Leaderless, reads: list[int]
) -> None:
    """Reading /proc for each of a fleet would hold the loop for half a minute."""
    (look,) = several.due
    assert reads == []
    look()
    assert len(reads) == 1
    assert several.ended == []
    for leader in several.leaders:
        assert several.stopped.is_leaderless(leader)
        several.stopped.signal(leader, signal.SIGKILL)  # it is known again
        several.empty(leader)
    assert several.ended == several.leaders


def test_groups_that_are_gone_by_then_are_not_looked_for(
    several: Leaderless, reads: list[int]
) -> None:
    """The usual case costs nothing."""
    for leader in several.leaders:
        os.killpg(leader, signal.SIGKILL)
        several.empty(leader)
    (look,) = several.due
    look()
    assert reads == []
    assert several.ended == several.leaders


@pytest.fixture
def stranger() -> Iterator[Pid]:
    """The leader of a group that is nothing to us."""
    process = subprocess.Popen(["sleep", "1000"], process_group=0)
    yield Pid(process.pid)
    assert process.poll() is None
    process.kill()
    process.wait()


def test_a_number_that_was_given_away_before_the_end_was_told(
    several: Leaderless, stranger: Pid
) -> None:
    """The group is gone, or nobody would have the number: it is over with its leader."""
    several.stopped._stopped.add(stranger)  # whoever had it before
    several.stopped.leader_exited(stranger, KILLED, Usage())
    assert several.ended == [stranger]


@pytest.mark.parametrize("is_adopted", [False, True])
def test_a_number_that_was_given_away_since(
    several: Leaderless, stranger: Pid, *, is_adopted: bool
) -> None:
    """Nobody takes the stranger for what was left, whether that is signalled or looked at."""
    leaderless = several.stopped._leaderless
    leaderless[stranger] = replace(leaderless[several.leaders[0]], members=None)
    if is_adopted:
        several.stopped.adopt(stranger)
        several.stopped._look_at_adopted(1.0)
    else:
        several.due[0]()
    assert several.ended == [stranger]
    leaderless[stranger] = leaderless[several.leaders[0]]
    several.stopped.signal(stranger, signal.SIGKILL)
    assert several.ended == [stranger, stranger]
    leaderless[stranger] = replace(
        leaderless[several.leaders[0]], members=groups.members_of(stranger)
    )
    several.stopped.signal(stranger, signal.SIGKILL)
    assert several.ended == [stranger] * 3


def test_a_signal_does_not_wait_for_the_look(several: Leaderless) -> None:
    """Who is left gets it, and is known from then on."""
    leader = several.leaders[0]
    several.stopped.signal(leader, signal.SIGKILL)
    several.empty(leader)
    assert several.ended == [leader]
