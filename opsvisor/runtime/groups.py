"""Process groups: what is left of one when its leader has ended."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from opsvisor.core.outcome import Outcome, Usage
from opsvisor.core.spec import Pid
from opsvisor.runtime.proctree import read_machine

# A pid and the tick it was born in: together they are never given away again.
Members = Mapping[Pid, int]


def has_members(group: Pid) -> bool:
    """Whether anything, zombies included, is in this process group."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # of another user, but there
    return True


def members_of(group: Pid) -> Members:
    """Who is in this process group. Reads the whole of /proc: for the rare case only."""
    return {stat.pid: stat.born for stat in read_machine().values() if stat.group == group}


def is_same(before: Members, now: Members) -> bool:
    """Whether these are members of one and the same group, seen twice.

    The number of a group is not given away while it has members. If one that was there is still
    there, it had them all the time; otherwise it may be somebody else's by now.
    """
    return any(now.get(pid) == born for pid, born in before.items())


@dataclass(frozen=True, slots=True)
class _EndedLeader:
    """The end of a process whose group is still being stopped."""

    outcome: Outcome
    usage: Usage
    members: Members


class StoppedGroups:
    """Groups that were told to end: none is over with its leader while others are left of it.

    `on_end` is told of the end of each process, however it was stopped, once that is true of its
    group too.
    """

    def __init__(self, on_end: Callable[[Pid, Outcome, Usage], None]) -> None:
        self._on_end = on_end
        self._stopped: set[Pid] = set()  # leaders
        self._leaderless: dict[Pid, _EndedLeader] = {}  # those of them that lost their leader

    def signal(self, leader: Pid, signum: int) -> None:
        """Signal the group of this process, or who is left of it. OSError if that can't be."""
        ended = self._leaderless.get(leader)
        if ended is not None:
            self._signal_leaderless(leader, ended, signum)
            return
        self._stopped.add(leader)
        try:
            os.killpg(leader, signum)
        except ProcessLookupError:
            # The group is empty: it may have moved to another one (setpgid(2)). The pid is its
            # own until we have reaped it.
            os.kill(leader, signum)

    def _signal_leaderless(self, leader: Pid, ended: _EndedLeader, signum: int) -> None:
        """Signal who is left of a group, as long as its number is certainly still its own."""
        members = members_of(leader)
        if not is_same(ended.members, members):
            self._end_leaderless(leader)
            return
        self._leaderless[leader] = replace(ended, members=members)
        os.killpg(leader, signum)

    def is_leaderless(self, leader: Pid) -> bool:
        """Whether this process was reaped, and others of its group are left."""
        return leader in self._leaderless

    def leader_exited(self, pid: Pid, outcome: Outcome, usage: Usage) -> None:
        """A process of ours was reaped."""
        if pid in self._stopped and has_members(pid):
            # It was stopped with its group, and the group is not down. The core hears of the end
            # when that is; until then its deadline stands, and SIGKILL goes to who is left.
            self._leaderless[pid] = _EndedLeader(outcome, usage, members_of(pid))
            return
        self._end(pid, outcome, usage)

    def member_reaped(self, group: Pid) -> None:
        """An orphan of this group was reaped: perhaps the last of it."""
        if group in self._leaderless and not has_members(group):
            self._end_leaderless(group)

    def _end_leaderless(self, leader: Pid) -> None:
        ended = self._leaderless.pop(leader)
        self._end(leader, ended.outcome, ended.usage)

    def _end(self, leader: Pid, outcome: Outcome, usage: Usage) -> None:
        self._stopped.discard(leader)
        self._on_end(leader, outcome, usage)
