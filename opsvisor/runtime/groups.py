"""Process groups: what is left of one when its leader has ended."""

import os
from collections.abc import Callable, Iterable, Mapping

from opsvisor.core.outcome import Outcome, Usage
from opsvisor.core.spec import Pid
from opsvisor.core.struct import Struct, replace
from opsvisor.runtime.proctree import read_machine, read_stat

_MOMENT = 0.25  # seconds
_FIRST_LOOK = 0.01  # likewise

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
    return members_of_all([group])[group]


def members_of_all(groups: Iterable[Pid]) -> Mapping[Pid, Members]:
    """Who is in each of these process groups, for the price of one."""
    found: dict[Pid, dict[Pid, int]] = {group: {} for group in groups}
    for stat in read_machine().values():
        members = found.get(Pid(stat.group))
        if members is not None:
            members[stat.pid] = stat.born
    return found


def is_same(before: Members, now: Members) -> bool:
    """Whether these are members of one and the same group, seen twice.

    The number of a group is not given away while it has members. If one that was there is still
    there, it had them all the time; otherwise it may be somebody else's by now.
    """
    return any(now.get(pid) == born for pid, born in before.items())


def is_taken(leader: Pid) -> bool:
    """Whether the pid of a leader that has ended is that of another process by now.

    The kernel gives no number away that a group still has (alloc_pid in kernel/pid.c), so there is
    nobody left of the one that was, and the group of that number is another one.
    """
    stat = read_stat(leader)
    return stat is not None and not stat.is_zombie  # a zombie may be the leader itself


class _EndedLeader(Struct, frozen=True):
    """The end of a process whose group is still being stopped.

    `members` None: nobody has looked yet.
    """

    outcome: Outcome
    usage: Usage
    members: Members | None = None


class LeaderlessMemento(Struct, frozen=True, kw_only=True):
    """A group that outlived its leader. `members` None: nobody has looked at them yet."""

    leader: Pid
    outcome: Outcome
    usage: Usage
    members: tuple[tuple[Pid, int], ...] | None = None


class GroupsMemento(Struct, frozen=True, kw_only=True):
    """The groups that were told to end, by their leaders, and those of them without one.

    `adopted` were started by a daemon that has crashed since.
    """

    stopped: tuple[Pid, ...] = ()
    adopted: tuple[Pid, ...] = ()
    leaderless: tuple[LeaderlessMemento, ...] = ()


class StoppedGroups:
    """Groups that were told to end: none is over with its leader while others are left of it.

    `on_end` is told of the end of each process, however it was stopped, once that is true of its
    group too. `later` calls something after so many seconds.

    Who is left of a group is looked at a moment after its leader ended, for all groups at once:
    most are gone by then, as a stopped fleet's workers are, and reading /proc once for each of
    1,000 leaders would hold the loop for half a minute. Until then the number tells the group, as
    long as there is no process of that number: if we are suspended, anything may happen meanwhile.
    """

    def __init__(
        self,
        on_end: Callable[[Pid, Outcome, Usage], None],
        *,
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self._on_end = on_end
        self._later = later
        self._is_look_due = False
        self._is_adopted_look_due = False
        self._adopted: set[Pid] = set()  # leaders whose orphans are not left to us
        self._stopped: set[Pid] = set()  # leaders
        self._leaderless: dict[Pid, _EndedLeader] = {}  # those of them that lost their leader

    def adopt(self, leader: Pid) -> None:
        """This one was started by another daemon: nobody tells when the last of its group ends."""
        self._adopted.add(leader)

    def remember(self) -> GroupsMemento:
        """What another process needs to wait on for them."""
        return GroupsMemento(
            stopped=tuple(sorted(self._stopped)),
            adopted=tuple(sorted(self._adopted)),
            leaderless=tuple(
                LeaderlessMemento(
                    leader=leader,
                    outcome=ended.outcome,
                    usage=ended.usage,
                    members=None if ended.members is None else tuple(ended.members.items()),
                )
                for leader, ended in self._leaderless.items()
            ),
        )

    def recall(self, memento: GroupsMemento) -> None:
        """Wait on for the groups of another process. Who of them has ended is found out at once.

        Orphans of theirs that ended in between are reaped after this, as any others.
        """
        self._stopped.update(memento.stopped)
        self._adopted.update(memento.adopted)
        for one in memento.leaderless:
            members = None if one.members is None else dict(one.members)
            self._leaderless[one.leader] = _EndedLeader(one.outcome, one.usage, members)
        if self._leaderless:
            self._is_look_due = True
            self._later(_MOMENT, self._look_at_members)

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
        is_ours = bool(members) if ended.members is None else is_same(ended.members, members)
        if not is_ours or is_taken(leader):
            self._end_leaderless(leader)
            return
        self._leaderless[leader] = replace(ended, members=members)
        os.killpg(leader, signum)

    def is_leaderless(self, leader: Pid) -> bool:
        """Whether this process was reaped, and others of its group are left."""
        return leader in self._leaderless

    def leader_exited(self, pid: Pid, outcome: Outcome, usage: Usage) -> None:
        """A process of ours was reaped."""
        if pid in self._stopped and has_members(pid) and not is_taken(pid):
            # It was stopped with its group, and the group is not down. The core hears of the end
            # when that is; until then its deadline stands, and SIGKILL goes to who is left.
            self._leaderless[pid] = _EndedLeader(outcome, usage)
            if pid in self._adopted and not self._is_adopted_look_due:
                self._is_adopted_look_due = True
                self._later(_FIRST_LOOK, lambda: self._look_at_adopted(_FIRST_LOOK))
            if not self._is_look_due:
                self._is_look_due = True
                self._later(_MOMENT, self._look_at_members)
            return
        self._end(pid, outcome, usage)

    def member_reaped(self, group: Pid) -> None:
        """An orphan of this group was reaped: perhaps the last of it."""
        if group in self._leaderless and not has_members(group):
            self._end_leaderless(group)

    def _look_at_adopted(self, pause: float) -> None:
        """Whether the last of adopted groups are gone: soon at first, then now and then.

        Zombies don't count: whoever is to reap them may take any time, the leader among them.
        """
        self._is_adopted_look_due = False
        leaders = self._adopted & self._leaderless.keys()
        living = {Pid(stat.group) for stat in read_machine().values() if not stat.is_zombie}
        living -= {leader for leader in leaders & living if is_taken(leader)}
        for leader in leaders - living:
            self._end_leaderless(leader)
        if leaders & living:
            longer = min(2 * pause, _MOMENT)
            self._is_adopted_look_due = True
            self._later(longer, lambda: self._look_at_adopted(longer))

    def _look_at_members(self) -> None:
        """Note who is left where that is not known, to know the group again by."""
        self._is_look_due = False
        unknown = [pid for pid, ended in self._leaderless.items() if ended.members is None]
        for leader in [one for one in unknown if is_taken(one)]:
            unknown.remove(leader)
            self._end_leaderless(leader)
        if unknown:
            for leader, members in members_of_all(unknown).items():
                self._leaderless[leader] = replace(self._leaderless[leader], members=members)

    def _end_leaderless(self, leader: Pid) -> None:
        ended = self._leaderless.pop(leader)
        self._end(leader, ended.outcome, ended.usage)

    def _end(self, leader: Pid, outcome: Outcome, usage: Usage) -> None:
        self._stopped.discard(leader)
        self._adopted.discard(leader)
        self._on_end(leader, outcome, usage)
