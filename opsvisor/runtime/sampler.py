"""What the supervised processes use: CPU, memory, files, sampled on demand.

Theory of operation
-------------------

Nothing here ticks. Whoever wants numbers (a scrape, the API) asks for a `sweep`, which reads the
trees of all processes in one worker thread. Callers share it, and for `max_age` seconds it is not
repeated: of 3,000 processes that have all run since the last one it takes 115 ms, which would
block the loop for as long if it ran there. While one is under way the loop looks now and then
whether it is in the way (right_of_way.py).

CPU time must never fall, or a rate over it is nonsense, and yet the tree it is summed over loses
members all the time. Each process has a `Ledger` that adds up

* the rusage of its finished runs, which wait4(2) returns with all children that were waited for,
* the rusage of its orphans that were handed to us and reaped,
* and what the living members of its tree have used so far.

What ends between two sweeps must not be in two of these at once. When a run ends, all members of
its tree leave the third sum: the root's rusage may hold them already, and those that are still
alive come back with the next sweep. When an orphan is reaped it leaves the third sum as well. The
same goes for a sweep that was under way meanwhile, which is corrected when it arrives. Where this
makes the sum fall for a moment, the last value told is told again.

Not seen are children that the kernel reaps by itself because their parent ignores SIGCHLD. Where
a process has a cgroup of its own (leaves.py) they are, because that counts for all of the above:
what it tells goes then.

Orphans, that is processes whose parent ended and which the kernel therefore made our children,
belong to the process whose present or last root leads their process group or session, or else to
the one whose tree they were last seen in, or else to the one whose output they still have.
"""

import asyncio
import math
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from types import MappingProxyType

from opsvisor.core.outcome import Usage
from opsvisor.core.spec import Pid, ProcessId
from opsvisor.core.struct import Struct, field
from opsvisor.runtime.cgroups import Cgroups, Surroundings, Throttling
from opsvisor.runtime.leaves import CpuTime, Leaves
from opsvisor.runtime.ledger import Ledger, LedgerMemento, ThrottleLedger, ThrottlingMemento
from opsvisor.runtime.members import TreeMember, look_at
from opsvisor.runtime.oom import OomMemento, OomWatch
from opsvisor.runtime.proc_cache import ProcCache
from opsvisor.runtime.proctree import NOTHING, Spent
from opsvisor.runtime.recent_samples import RecentSamples
from opsvisor.runtime.right_of_way import RightOfWay
from opsvisor.runtime.sweep import Answer, Owned, Question, Stray, Sweep, TreeSample, read_trees
from opsvisor.runtime.switches import SwitchCounter
from opsvisor.runtime.workers import worker


class _Meanwhile(Struct):
    """What happened while a sweep was under way, and may be wrong in its answer."""

    ended: set[Pid] = field(default_factory=set)
    reaped: set[Pid] = field(default_factory=set)
    forgotten: set[ProcessId] = field(default_factory=set)


class ProcessSpentMemento(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of the use of one process. `orphans` are its descendants that became ours.

    `outside` is what its leaf has not counted, or (below zero) counted for others before.
    """

    id: ProcessId
    ledger: LedgerMemento
    throttling: ThrottlingMemento | None = None
    last_root: Pid | None = None
    orphans: tuple[tuple[Pid, int], ...] = ()  # with the tick they were born in
    outside: CpuTime | None = None


class SamplerMemento(Struct, frozen=True, kw_only=True):
    """What a later sampler needs, so that no total falls."""

    processes: tuple[ProcessSpentMemento, ...] = ()
    oom: OomMemento | None = None


class Sampler:
    """Sweeps over the trees of `roots`, at most one every `max_age` seconds.

    Everything but the reading itself happens on the event loop. `mono` is also called from the
    worker thread. `sweeps` and `failures` count finished and failed sweeps. `cgroups` None: they
    are not looked at. Context switches are counted `with_switches` only: there is one more file to
    read for each thread. `pipes` tells, by inode, whose output comes out of which pipe.
    """

    def __init__(
        self,
        roots: Callable[[], Mapping[ProcessId, Pid]],
        *,
        mono: Callable[[], float],
        wall: Callable[[], float],
        max_age: float = 5.0,
        cgroups: Cgroups | None = None,
        oom: OomWatch | None = None,
        leaves: Leaves | None = None,
        with_switches: bool = False,
        pipes: Callable[[], Mapping[int, ProcessId]] = dict,
    ) -> None:
        self.sweeps = 0
        self.failures = 0
        self._roots = roots
        self._mono = mono
        self._wall = wall
        self._max_age = max_age
        self._cgroups = cgroups
        self._oom = OomWatch() if oom is None else oom
        self._leaves = leaves
        self._pipes = pipes
        self._cache = ProcCache()
        self._switches = SwitchCounter() if with_switches else None
        self._thread = worker("sampler")
        self._right_of_way = RightOfWay()
        self._running: asyncio.Task[Sweep] | None = None
        self._running_since = 0.0  # on the clock of the loop
        self._meanwhile = _Meanwhile()
        self._latest: Sweep | None = None
        self._trees: dict[ProcessId, TreeSample] = {}
        self._surroundings: dict[ProcessId, Surroundings] = {}
        self._throttled: dict[ProcessId, ThrottleLedger] = {}
        self._ledgers: dict[ProcessId, Ledger] = {}
        self._owners: dict[Pid, Owned] = {}
        self._owned: dict[ProcessId, list[Pid]] = {}  # may also hold what is over by now
        self._last_roots: dict[ProcessId, Pid] = {}
        self._last_leaders: dict[int, ProcessId] = {}  # the same turned round
        self._listeners: list[Callable[[Sweep], None]] = []
        self._outside: dict[ProcessId, CpuTime] = {}  # of leaves that are still to be adopted
        self.recent = RecentSamples(lambda process_id: sum(self.cpu_seconds(process_id)))

    async def sweep(self, max_age: float | None = None) -> Sweep:
        """A sweep that began at most `max_age` seconds ago, shared by all who ask at once.

        Raises what went wrong in the thread (OSError); the next caller tries again. A caller that
        is cancelled leaves the sweep to the others.
        """
        oldest = self._mono() - (self._max_age if max_age is None else max_age)
        if self._latest is not None and self._latest.at_mono > oldest:
            return self._latest
        if self._running is None:
            self._running = self._begin()
        return await asyncio.shield(self._running)

    async def refresh(self, patience: float) -> None:
        """Wait for such a sweep, but not for one that has been under way for `patience` seconds.

        So a slow one costs those who ask while it is young that long, and nobody after them.
        Raises OSError, as above.
        """
        loop = asyncio.get_running_loop()
        began = loop.time() if self._running is None else self._running_since
        until = None if patience == math.inf else began + patience
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self.sweep()

    def latest(self) -> Sweep | None:
        """The last sweep that succeeded, however old."""
        return self._latest

    def on_sweep(self, listener: Callable[[Sweep], None]) -> None:
        """Call this after each sweep, on the event loop, before anybody can be told of it."""
        self._listeners.append(listener)

    def tree(self, process_id: ProcessId) -> TreeSample | None:
        """The process in the latest sweep, None if that run is over or was not there yet."""
        return self._trees.get(process_id)

    def spent(self, process_id: ProcessId) -> Spent:
        """What the process has used up in all its runs. Never falls until it is forgotten.

        Storage bytes are as last sampled: what a run reads and writes after its last sweep is
        not in any rusage.
        """
        ledger = self._ledgers.get(process_id)
        return ledger.total() if ledger is not None else NOTHING

    def cpu_seconds(self, process_id: ProcessId) -> tuple[float, float]:
        """User and system seconds of `spent`."""
        spent = self.spent(process_id)
        return spent.user_seconds, spent.system_seconds

    def surroundings(self, process_id: ProcessId) -> Surroundings | None:
        """What limits the process in the latest sweep, None if it was not there."""
        return self._surroundings.get(process_id)

    def throttling(self, process_id: ProcessId) -> Throttling | None:
        """How its CPU quota held the process back in all its runs, None if no cgroup tells."""
        ledger = self._throttled.get(process_id)
        return ledger.total() if ledger is not None else None

    def oom_kills(self, process_id: ProcessId) -> int:
        """OOM kills in all its runs, in the tree where its cgroup tells of them."""
        return self._oom.kills(process_id)

    def run_began(self, process_id: ProcessId, pid: Pid) -> None:
        """A process was spawned."""
        if self._leaves is not None:
            self._leaves.run_began(process_id, pid)

    def run_adopted(self, process_id: ProcessId, pid: Pid) -> None:
        """A process that another daemon had spawned was taken back."""
        if self._leaves is not None:
            self._leaves.adopt(process_id, pid, outside=self._outside.pop(process_id, None))

    def run_ended(self, process_id: ProcessId, pid: Pid, usage: Usage) -> None:
        """Add the rusage of a finished run."""
        self._meanwhile.ended.add(pid)
        self._forget_last_root(process_id)
        self._last_roots[process_id] = pid
        self._last_leaders[pid] = process_id
        ledger = self._ledger(process_id)
        ledger.run_ended(pid, usage)
        if self._leaves is not None:
            self._leaves.run_ended(process_id, pid, usage)
            ledger.measured(self._leaves.total_now(process_id))
        tree = self._trees.get(process_id)
        if tree is not None and tree.pid == pid:
            del self._trees[process_id]
            self._surroundings.pop(process_id, None)

    def orphan_reaped(self, process_id: ProcessId, pid: Pid, usage: Usage) -> None:
        """Add the rusage of a descendant that had become our child."""
        self._meanwhile.reaped.add(pid)
        self._owners.pop(pid, None)
        self._ledger(process_id).orphan_reaped(pid, usage)

    def owner_of(self, pid: Pid, *, group: int = 0, session: int = 0) -> ProcessId | None:
        """Whose tree held this process, which has just been reaped.

        Its process group and session tell it also for what came and ended between two sweeps, if
        a root that is gone led them; of one that is alive the engine knows. Nothing is copied for
        it: the 2,000 orphans of a fleet that was stopped come all at once.
        """
        owned = self._owners.get(pid)
        if owned is not None:
            return owned.id
        return self._last_leaders.get(group) or self._last_leaders.get(session)

    def forget(self, process_id: ProcessId) -> None:
        """The process left the plan: drop what is known of it."""
        self._meanwhile.forgotten.add(process_id)
        self._trees.pop(process_id, None)
        self._surroundings.pop(process_id, None)
        self._throttled.pop(process_id, None)
        self._oom.forget(process_id)
        if self._leaves is not None:
            self._leaves.forget(process_id)
        self._ledgers.pop(process_id, None)
        self.recent.forget(process_id)
        self._forget_last_root(process_id)
        for pid in self._owned.pop(process_id, ()):
            self._owners.pop(pid, None)

    async def members(
        self, process_id: ProcessId, root: Pid | None, *, patience: float = math.inf
    ) -> list[TreeMember]:
        """The living members of the tree of this root, which comes first; empty if there is none.

        Membership is as of a sweep that knows the present root; if there is none within `patience`
        (see `refresh`) it is but the root. The numbers are read now. Reading a command line can
        hang with the process it belongs to, hence not in the sweeping thread.
        """
        if root is None:
            return []
        await self.refresh(patience)
        tree = self._trees.get(process_id)
        if tree is None or tree.pid != root:  # started after the sweep
            return await asyncio.to_thread(look_at, [root])
        return await asyncio.to_thread(look_at, list(tree.members))

    def remember(self) -> SamplerMemento:
        """What a later sampler needs to go on. A sweep under way is not in it."""
        known = self._ledgers.keys() | self._throttled.keys() | self._last_roots.keys()
        return SamplerMemento(
            processes=tuple(self.remember_of(one) for one in sorted(known)),
            oom=self._oom.remember(),
        )

    def remember_of(self, process_id: ProcessId) -> ProcessSpentMemento:
        """What a later sampler needs of one process."""
        throttled = self._throttled.get(process_id)
        return ProcessSpentMemento(
            id=process_id,
            ledger=self._ledger(process_id).remember(),
            throttling=None if throttled is None else throttled.remember(),
            last_root=self._last_roots.get(process_id),
            orphans=tuple(
                (pid, self._owners[pid].born)
                for pid in self._owned.get(process_id, ())
                if pid in self._owners
            ),
            outside=None if self._leaves is None else self._leaves.outside_of(process_id),
        )

    def recall(self, memento: SamplerMemento) -> None:
        """Go on where an earlier sampler was, before the first sweep."""
        if memento.oom is not None:
            self._oom.recall(memento.oom)
        for one in memento.processes:
            self._ledgers[one.id] = Ledger.recall(one.ledger)
            if one.outside is not None:
                self._outside[one.id] = one.outside
            if one.throttling is not None:
                self._throttled[one.id] = ThrottleLedger.recall(one.throttling)
            if one.last_root is not None:
                self._last_roots[one.id] = one.last_root
                self._last_leaders[one.last_root] = one.id
            for pid, born in one.orphans:
                self._owners[pid] = Owned(one.id, born)
                self._owned.setdefault(one.id, []).append(pid)

    def close(self) -> None:
        """Let go of the thread; a sweep under way is not waited for."""
        self._right_of_way.close()
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._oom.close()

    def _forget_last_root(self, process_id: ProcessId) -> None:
        pid = self._last_roots.pop(process_id, None)
        if pid is not None and self._last_leaders.get(pid) == process_id:  # else it came again
            del self._last_leaders[pid]

    def _ledger(self, process_id: ProcessId) -> Ledger:
        ledger = self._ledgers.get(process_id)
        if ledger is None:
            ledger = self._ledgers[process_id] = Ledger()
        return ledger

    def _question(self) -> Question:
        roots = dict(self._roots())
        return Question(
            supervisor=Pid(os.getpid()),
            cgroups=self._cgroups,
            leaves={} if self._leaves is None else self._leaves.folders(),
            shared_kills=self._oom.shared,
            cache=self._cache,
            switches=self._switches,
            roots=roots,
            leaders={pid: process_id for process_id, pid in roots.items()},
            last_leaders=dict(self._last_leaders),
            owners=dict(self._owners),
        )

    def _begin(self) -> asyncio.Task[Sweep]:
        at_mono, at_wall = self._mono(), self._wall()
        self._meanwhile = _Meanwhile()
        loop = asyncio.get_running_loop()
        self._running_since = loop.time()
        read = partial(read_trees, self._question(), self._mono, pause=self._right_of_way.give)
        reading = loop.run_in_executor(self._thread, read)
        self._right_of_way.look_after(reading)
        return loop.create_task(self._finish(reading, at_mono, at_wall))

    async def _finish(
        self, reading: asyncio.Future[Answer], at_mono: float, at_wall: float
    ) -> Sweep:
        """The sweep whose trees are being read, once everything is told of it.

        Nobody waits for `reading` but this: it is done before its callbacks run, and who asked in
        between would go on with the sweep before.
        """
        try:
            latest = await self._told(reading, at_mono, at_wall)
        finally:
            self._running = None
        self._latest = latest
        return latest

    async def _told(
        self, reading: asyncio.Future[Answer], at_mono: float, at_wall: float
    ) -> Sweep:
        try:
            answer = await reading
        except BaseException:
            self.failures += 1
            raise
        self._arrived(answer)
        sweep = Sweep(
            at_mono=at_mono,
            at_wall=at_wall,
            duration=answer.duration,
            trees=MappingProxyType(dict(answer.trees)),
        )
        # In this turn of the loop: it is remembered for the next daemon before it can be told.
        for listener in self._listeners:
            listener(sweep)
        for _ in self.recent.swept(sweep):
            await asyncio.sleep(0)
        return sweep

    def _arrived(self, answer: Answer) -> None:
        self._correct(answer)
        self._trees = answer.trees
        self._owners = answer.owners
        self._owned = answer.owned
        self._take_in(answer.strays)
        self._look_around(answer)
        for process_id in self._ledgers.keys() | answer.spent.keys():
            self._ledger(process_id).saw(answer.spent.get(process_id, {}))
        if self._leaves is not None:
            self._leaves.tidy()
            for process_id, inside in answer.inside.items():
                if process_id not in self._meanwhile.forgotten:
                    total = self._leaves.total(process_id, inside)
                    self._ledger(process_id).measured(total)
        self.sweeps += 1

    def _take_in(self, strays: Mapping[Pid, Stray]) -> None:
        """From the next sweep on, an orphan is of the process whose output it has.

        What forked twice into a session of its own, before a sweep could see it in a tree, bears
        no other mark of where it came from.
        """
        if not strays:
            return
        process_by_pipe = self._pipes()
        for pid, stray in strays.items():
            owners = {process_by_pipe[pipe] for pipe in stray.pipes if pipe in process_by_pipe}
            owners -= self._meanwhile.forgotten
            if len(owners) == 1 and pid not in self._meanwhile.reaped:
                (owner,) = owners
                self._owners[pid] = Owned(owner, stray.born)
                self._owned.setdefault(owner, []).append(pid)

    def _look_around(self, answer: Answer) -> None:
        around = answer.surroundings
        self._oom.swept(answer.shared_kills, {one: seen.kills for one, seen in around.items()})
        for process_id, seen in around.items():
            if seen.throttling is None:
                continue
            ledger = self._throttled.get(process_id)
            if ledger is None:
                self._throttled[process_id] = ThrottleLedger(seen.throttling)
            else:
                ledger.saw(seen.throttling)
        self._surroundings = {one: seen for one, seen in around.items() if one in self._trees}

    def _correct(self, answer: Answer) -> None:
        """Take out what is over by now, by the same rules as when it ends between sweeps."""
        for process_id in self._meanwhile.forgotten:
            answer.trees.pop(process_id, None)
            answer.surroundings.pop(process_id, None)
            answer.spent.pop(process_id, None)
            for pid in answer.owned.pop(process_id, ()):
                answer.owners.pop(pid, None)
        for process_id, living in answer.spent.items():
            if not self._meanwhile.ended.isdisjoint(living):
                answer.trees.pop(process_id, None)
                living.clear()
            for pid in self._meanwhile.reaped & living.keys():
                del living[pid]
        for pid in self._meanwhile.reaped & answer.owners.keys():
            del answer.owners[pid]
