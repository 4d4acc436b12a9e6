"""One sweep: reads /proc for all process trees, and what their cgroups tell, in a worker thread.

A sweep is given a `Question`, copied so that nothing is shared with the loop, and gives an
`Answer`. What of it still holds when it arrives is the sampler's to find out.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TypeVar

from opsvisor.core.spec import Pid, ProcessId
from opsvisor.core.struct import Struct
from opsvisor.runtime import proctree
from opsvisor.runtime.cgroups import Cgroups, Surroundings
from opsvisor.runtime.leaves import CpuTime, read_cpu
from opsvisor.runtime.oom import count_kills
from opsvisor.runtime.proc_cache import ProcCache
from opsvisor.runtime.proctree import Spent, Stat
from opsvisor.runtime.switches import SwitchCounter

_T = TypeVar("_T")


class TreeSample(Struct, frozen=True, kw_only=True):
    """A process and all its living descendants, summed up.

    `pid` is the root. `processes` counts everything alive, `zombies` what has ended and was not
    waited for. `max_fds` is the root's soft limit, 0 if it has none; `fd_usage_ratio` is the worst
    of any member, because a sum hides the one worker that leaks. Seconds, bytes and faults that
    only grow include children that members waited for, and fall when the tree loses a member: use
    `Sampler.spent` for totals. `members` maps each living pid to its CPU seconds.
    """

    pid: Pid
    user_seconds: float
    system_seconds: float
    rss_bytes: int
    swap_bytes: int
    processes: int
    zombies: int
    threads: int
    open_fds: int
    max_fds: int
    fd_usage_ratio: float
    io_read_bytes: int
    io_written_bytes: int
    major_faults: int
    members: Mapping[Pid, float]


class Sweep(Struct, frozen=True, kw_only=True):
    """One pass over the machine: when it began on both clocks, how long it took, what it saw."""

    at_mono: float
    at_wall: float
    duration: float
    trees: Mapping[ProcessId, TreeSample]


class Owned(Struct, frozen=True):
    """To whom a process belongs; `born` guards against a pid that was used again."""

    id: ProcessId
    born: int


class Stray(Struct, frozen=True):
    """An orphan that nothing in the question tells whose it is, and pipes that it writes to."""

    born: int
    pipes: frozenset[int]


class Question(Struct, frozen=True, kw_only=True):
    """Everything the worker thread needs to know, copied so that nothing is shared.

    `cache` and `switches` are the thread's own, from one sweep to the next. `leaders` and
    `last_leaders` are the present and the last roots, turned round.
    """

    supervisor: Pid
    cgroups: Cgroups | None
    leaves: Mapping[ProcessId, str]
    shared_kills: str
    cache: ProcCache
    switches: SwitchCounter | None
    roots: Mapping[ProcessId, Pid]
    leaders: Mapping[int, ProcessId]
    last_leaders: Mapping[int, ProcessId]
    owners: Mapping[Pid, Owned]

    def owner_of(self, orphan: Stat) -> ProcessId | None:
        """Whose orphan this is."""
        owned = self.owners.get(orphan.pid)
        return (
            self.leaders.get(orphan.group)
            or self.leaders.get(orphan.session)
            or (owned.id if owned is not None and owned.born == orphan.born else None)
            or self.last_leaders.get(orphan.group)
            or self.last_leaders.get(orphan.session)
        )


class Answer(Struct, frozen=True, kw_only=True):
    """What the worker thread saw. `spent` also holds what outlived its root.

    `owned` is `owners` turned round. `shared_kills` was read before anything else.
    """

    duration: float
    shared_kills: int | None
    surroundings: dict[ProcessId, Surroundings]
    inside: Mapping[ProcessId, CpuTime | None]
    trees: dict[ProcessId, TreeSample]
    spent: dict[ProcessId, dict[Pid, Spent]]
    owners: dict[Pid, Owned]
    owned: dict[ProcessId, list[Pid]]
    strays: Mapping[Pid, Stray]


def read_trees(
    question: Question, mono: Callable[[], float], *, pause: Callable[[], None]
) -> Answer:
    """The whole sweep. Runs in the worker thread and touches nothing of the loop's.

    `pause` is called before anything is read of a process: it may wait for others to have a turn.
    """
    began = mono()
    cache = question.cache
    shared_kills = count_kills(question.shared_kills)
    strays: dict[Pid, Stray] = {}

    def owner_of(orphan: Stat) -> ProcessId | None:
        owner = question.owner_of(orphan)
        if owner is not None:
            return owner
        pause()
        if pipes := proctree.output_pipes(orphan.pid):
            strays[orphan.pid] = Stray(orphan.born, pipes)
        return None

    forest = proctree.cut_trees(
        cache.machine(began, pause),
        question.roots,
        reaper=question.supervisor,
        owner_of_orphan=owner_of,
    )
    spent = {
        process_id: {member.pid: cache.spent(member) for member in _one_by_one(members, pause)}
        for process_id, members in forest.items()
    }
    if question.switches is not None:
        _add_switches(question.switches, forest, spent, pause=pause)
    swapping = proctree.swap_in_use()
    trees = {
        process_id: _sum_up(members, spent[process_id], cache, pause=pause, swapping=swapping)
        for process_id, members in forest.items()
        if members[0].pid == question.roots.get(process_id)
    }
    owners = {
        member.pid: Owned(process_id, member.born)
        for process_id, members in forest.items()
        for member in members
    }
    owned = {process_id: list(members) for process_id, members in spent.items()}
    cgroups = question.cgroups
    surroundings = {} if cgroups is None else cgroups.look_around(question.roots, pause)
    return Answer(
        duration=mono() - began,
        shared_kills=shared_kills,
        surroundings=surroundings,
        inside={
            process_id: read_cpu(question.leaves[process_id])
            for process_id in _one_by_one(question.leaves, pause)
        },
        trees=trees,
        spent=spent,
        owners=owners,
        owned=owned,
        strays=strays,
    )


def _one_by_one(these: Iterable[_T], pause: Callable[[], None]) -> Iterator[_T]:
    """The same, with a pause before each."""
    for one in these:
        pause()
        yield one


def _add_switches(
    counter: SwitchCounter,
    forest: Mapping[ProcessId, list[Stat]],
    spent: Mapping[ProcessId, dict[Pid, Spent]],
    *,
    pause: Callable[[], None],
) -> None:
    everybody = (member for members in forest.values() for member in members)
    counted = counter.count(_one_by_one(everybody, pause))
    for of_members in spent.values():
        for pid, one in of_members.items():
            voluntary, involuntary = counted[pid]
            of_members[pid] = one._replace(
                voluntary_switches=voluntary, involuntary_switches=involuntary
            )


def _sum_up(
    members: list[Stat],
    spent: Mapping[Pid, Spent],
    cache: ProcCache,
    *,
    pause: Callable[[], None],
    swapping: bool,
) -> TreeSample:
    root = members[0].pid
    total = spent[root] if len(spent) == 1 else proctree.add_up(spent.values())
    alive = [member for member in members if not member.is_zombie]
    pids = [member.pid for member in alive]
    fds = [cache.open_fds(pid) for pid in _one_by_one(pids, pause)]
    limits = [proctree.fd_limit(pid) for pid in pids]
    shares = [used / limit for used, limit in zip(fds, limits, strict=True) if limit]
    return TreeSample(
        pid=root,
        user_seconds=total.user_seconds,
        system_seconds=total.system_seconds,
        rss_bytes=sum(map(proctree.read_rss, _one_by_one(pids, pause))),
        swap_bytes=sum(map(proctree.read_swap, _one_by_one(pids, pause))) if swapping else 0,
        processes=len(alive),
        zombies=len(members) - len(alive),
        threads=sum([member.threads for member in alive]),
        open_fds=sum(fds),
        max_fds=limits[0] if pids[:1] == [root] else 0,
        fd_usage_ratio=max(shares, default=0.0),
        io_read_bytes=total.io_read_bytes,
        io_written_bytes=total.io_written_bytes,
        major_faults=total.major_faults,
        members=MappingProxyType(
            {pid: one.user_seconds + one.system_seconds for pid, one in spent.items()}
        ),
    )
