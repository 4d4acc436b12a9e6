"""What of this daemon the next one has to know: which values lie under which keys of the memory.

    daemon                 which version wrote it
    plan                   the plan, with specs only where a process follows another one
    spec/ID                the spec that a process follows
    life/ID                what its machine remembers, what was counted of it for the metrics, and
                           its run: process and pipes, as far as the kernel knows them
    run/ID                 its run, where there is news of that since its life was written
    spent/ID               what its runs have used, up to the last that ended
    told/ID                what it has used as it was told last: it must never be told less
    history/ID/N           one run that is over
    marks                  what tells processes of ours from others

IDs are written as JSON, because a name may hold any other sign. A spec and what was told of use
are written when they are new, a life with each change.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from opsvisor import __version__
from opsvisor.core.memento import ProcessMemento, RememberedProcess, SupervisorMemento
from opsvisor.core.plan import EventFeed, Group, Plan
from opsvisor.core.spec import ProcessId, ProcessSpec
from opsvisor.core.struct import Struct, field
from opsvisor.core.supervisor import Supervisor
from opsvisor.runtime.adoption import RunMemento
from opsvisor.runtime.engine import Engine
from opsvisor.runtime.memory.codec import Undecodable, decode, in_json
from opsvisor.runtime.memory.file import Key, MemoryFile
from opsvisor.runtime.post_mortem import FinishedRun, PostMortems
from opsvisor.runtime.proctree import Spent
from opsvisor.runtime.sampler import ProcessSpentMemento, Sampler
from opsvisor.telemetry.metrics import Metrics
from opsvisor.telemetry.rows import CountsMemento

# Bytes of all histories together that are remembered; the oldest runs are left out beyond that.
# 1,000 programs that crash have 30 MB of last words in ten runs, and as many as a user asks for.
HISTORY_MAX = 16 * 1024 * 1024


class PlannedProcess(Struct, frozen=True, kw_only=True):
    """A process of the plan; `spec` None is the one that it follows already."""

    id: ProcessId
    spec: ProcessSpec | None = None


class PlannedGroup(Struct, frozen=True, kw_only=True):
    """A group of the plan."""

    name: str
    priority: int
    feed: EventFeed | None = None
    processes: tuple[PlannedProcess, ...] = ()


class Life(Struct, frozen=True, kw_only=True):
    """What becomes another at each of the changes of a process, all of it in one value."""

    memento: ProcessMemento
    counts: CountsMemento
    run: RunMemento


class PlanMemento(Struct, frozen=True, kw_only=True):
    """What a supervisor remembers besides its processes."""

    generation: int
    begins_anew: bool = False
    groups: tuple[PlannedGroup, ...] = ()


class MarksMemento(Struct, frozen=True, kw_only=True):
    """What the marks of all processes are made of; see Marks."""

    seed: int


class Past(Struct, frozen=True, kw_only=True):
    """All that an earlier daemon has left of itself."""

    version: str
    memento: SupervisorMemento
    marks: MarksMemento
    runs: tuple[RunMemento, ...] = ()
    counts: tuple[CountsMemento, ...] = ()
    spent: tuple[ProcessSpentMemento, ...] = ()
    told: Mapping[ProcessId, Spent] = field(default_factory=dict)
    history: Mapping[ProcessId, tuple[tuple[int, FinishedRun], ...]] = field(default_factory=dict)


def past_of(values: Mapping[str, Any]) -> Past | None:
    """What these values of a memory say, None if it was given up before there was anything in it.

    Raises Undecodable.
    """
    if "plan" not in values:
        return None
    plan = _decoded(PlanMemento, values, "plan")
    specs = {spec.id: spec for spec in _each(ProcessSpec, values, "spec/")}
    lives = tuple(_each(Life, values, "life/"))
    # What an earlier version wrote was not one life, but these three of each process.
    mementos = (*(life.memento for life in lives), *_each(ProcessMemento, values, "process/"))
    runs = {
        run.id: run for run in (*(life.run for life in lives), *_each(RunMemento, values, "run/"))
    }
    counts = (*(life.counts for life in lives), *_each(CountsMemento, values, "counts/"))
    for memento in mementos:
        if memento.id not in specs:
            raise Undecodable(f"process {memento.id} has no spec")
    remembered = tuple(RememberedProcess(spec=specs[m.id], memento=m) for m in mementos)
    return Past(
        version=_decoded(str, values, "daemon"),
        memento=SupervisorMemento(
            plan=_plan_of(plan, specs),
            generation=plan.generation,
            begins_anew=plan.begins_anew,
            processes=remembered,
        ),
        marks=_decoded(MarksMemento, values, "marks"),
        runs=tuple(runs.values()),
        counts=counts,
        spent=tuple(_each(ProcessSpentMemento, values, "spent/")),
        told=_told_of(mementos, values),
        history=_histories(mementos, values),
    )


def _told_of(
    mementos: Iterable[ProcessMemento], values: Mapping[str, Any]
) -> dict[ProcessId, Spent]:
    keys = {memento.id: Key("told", memento.id).text for memento in mementos}
    return {one: _decoded(Spent, values, key) for one, key in keys.items() if key in values}


def _histories(
    mementos: Iterable[ProcessMemento], values: Mapping[str, Any]
) -> dict[ProcessId, tuple[tuple[int, FinishedRun], ...]]:
    numbers: dict[str, list[int]] = {}
    for key in values:
        begin, _, number = key.rpartition("/")
        if begin.startswith("history/") and number.isdecimal():
            numbers.setdefault(begin, []).append(int(number))
    keys = {memento.id: Key("history", memento.id).text for memento in mementos}
    return {
        one: tuple(
            (number, _decoded(FinishedRun, values, f"{key}/{number}"))
            for number in sorted(numbers[key])
        )
        for one, key in keys.items()
        if key in numbers
    }


def _plan_of(plan: PlanMemento, specs: Mapping[ProcessId, ProcessSpec]) -> Plan:
    groups = []
    for group in plan.groups:
        processes = [one.spec or specs.get(one.id) for one in group.processes]
        if not all(processes):
            raise Undecodable(f"a process of group {group.name} has no spec")
        groups.append(
            Group(
                name=group.name,
                priority=group.priority,
                feed=group.feed,
                processes=tuple(spec for spec in processes if spec is not None),
            )
        )
    return Plan(groups=tuple(groups))


def _each(kind: Any, values: Mapping[str, Any], begin: str) -> Iterator[Any]:
    for key in values:
        if key.startswith(begin):
            yield _decoded(kind, values, key)


def _decoded(kind: Any, values: Mapping[str, Any], key: str) -> Any:
    try:
        return decode(kind, values[key])
    except KeyError:
        raise Undecodable(f"{key} is missing") from None
    except Undecodable as error:
        raise Undecodable(f"{key}: {error}") from None


class Sources(Struct, frozen=True, kw_only=True):
    """Who knows what is to be remembered; of each process, the last `history_size` runs."""

    supervisor: Supervisor
    engine: Engine
    metrics: Metrics
    sampler: Sampler
    post_mortems: PostMortems
    history_size: int


class Remembering:
    """Puts into the memory what has changed. `commit` is called before anything is done."""

    def __init__(self, memory: MemoryFile, sources: Sources) -> None:
        self._memory = memory
        self._supervisor = sources.supervisor
        self._engine = sources.engine
        self._metrics = sources.metrics
        self._sampler = sources.sampler
        self._history_size = sources.history_size
        self._specs: dict[ProcessId, ProcessSpec] = {}  # as written
        self._told: dict[ProcessId, Spent] = {}  # likewise
        self._runs_apart: set[ProcessId] = set()  # whose run is written beside its life
        self._numbers: dict[ProcessId, list[int]] = {}  # of the runs in the history
        self._lengths: dict[tuple[ProcessId, int], int] = {}  # of these runs, the oldest first
        self._history_length = 0
        self._spent: dict[ProcessId, None] = {}  # whose runs have ended since
        memory.put(Key("daemon"), __version__)

    def recall(self, past: Past) -> None:
        """Have what an earlier daemon left in the memory again, as far as it is no longer told."""
        for process_id, runs in past.history.items():
            for number, run in runs:
                self._put_run(process_id, number, run)
        for spent in past.spent:
            self._put("spent", spent.id, ProcessSpentMemento, spent)
        for process_id, told in past.told.items():
            self._put_told(process_id, told)

    def put_marks(self, marks: MarksMemento) -> None:
        """Remember by what our processes are known."""
        self._memory.put_json(Key("marks"), in_json(MarksMemento, marks))

    def run_kept(self, process_id: ProcessId, run: FinishedRun) -> None:
        """Note that the history of this process has grown."""
        if run.pid is not None:  # else its spawn failed, and used nothing
            self._spent[process_id] = None
        numbers = self._numbers.get(process_id) or [0]
        self._put_run(process_id, numbers[-1] + 1, run)

    def swept(self) -> None:
        """Remember what processes have used, where that is about to be told anew."""
        for process_id in self._engine.ids():
            told = self._sampler.spent(process_id)
            if told != self._told.get(process_id):
                self._put_told(process_id, told)
        self._memory.commit()

    def commit(self) -> None:
        """Have written what has changed, all at once."""
        changed = self._supervisor.take_changed()
        legacy = self._engine.legacy
        of_runs = legacy.take_changed()
        if not changed and not of_runs:
            return
        for process_id in changed.forgotten:
            self._forget(process_id)
        told_with_their_lives = frozenset(changed.processes)
        for process_id in of_runs:
            if process_id in self._supervisor and process_id not in told_with_their_lives:
                self._put("run", process_id, RunMemento, legacy.run_of(process_id))
                self._runs_apart.add(process_id)
        for process_id in changed.processes:
            self._put_life(process_id)
        for process_id in self._spent:
            if process_id in self._supervisor:
                spent = self._sampler.remember_of(process_id)
                self._put("spent", process_id, ProcessSpentMemento, spent)
        self._spent.clear()
        if changed.itself:
            self._memory.put_json(Key("plan"), in_json(PlanMemento, self._plan()))
        self._memory.commit()

    def _put(self, kind: str, process_id: ProcessId, of_type: Any, value: Any) -> None:
        self._memory.put_json(Key(kind, process_id), in_json(of_type, value))

    def _put_life(self, process_id: ProcessId) -> None:
        spec = self._supervisor.spec_of(process_id)
        if self._specs.get(process_id) is not spec:
            self._specs[process_id] = spec
            self._put("spec", process_id, ProcessSpec, spec)
        life = Life(
            memento=self._supervisor.memento_of(process_id),
            counts=self._metrics.remember_of(process_id),
            run=self._engine.legacy.run_of(process_id),
        )
        # Without a look at what was written: it is hardly ever the same.
        self._put("life", process_id, Life, life)
        self._drop_run_apart(process_id)

    def _drop_run_apart(self, process_id: ProcessId) -> None:
        if process_id in self._runs_apart:
            self._runs_apart.remove(process_id)
            self._memory.drop(Key("run", process_id))

    def _put_told(self, process_id: ProcessId, told: Spent) -> None:
        self._told[process_id] = told
        self._put("told", process_id, Spent, told)

    def _put_run(self, process_id: ProcessId, number: int, run: FinishedRun) -> None:
        numbers = self._numbers.setdefault(process_id, [])
        numbers.append(number)
        key = Key("history", (process_id, number))
        length = self._memory.put_json(key, in_json(FinishedRun, run))
        self._lengths[process_id, number] = length
        self._history_length += length
        if len(numbers) > self._history_size:
            self._drop_run(process_id, numbers.pop(0))
        while self._history_length > HISTORY_MAX:
            oldest, _ = next(iter(self._lengths))
            self._drop_run(oldest, self._numbers[oldest].pop(0))

    def _drop_run(self, process_id: ProcessId, number: int) -> None:
        self._memory.drop(Key("history", (process_id, number)))
        self._history_length -= self._lengths.pop((process_id, number))

    def _forget(self, process_id: ProcessId) -> None:
        for number in self._numbers.pop(process_id, ()):
            self._drop_run(process_id, number)
        for kind in ("spec", "life", "spent", "told"):
            self._memory.drop(Key(kind, process_id))
        self._drop_run_apart(process_id)
        known: tuple[dict[ProcessId, Any], ...] = (self._specs, self._told, self._spent)
        for one in known:
            one.pop(process_id, None)

    def _plan(self) -> PlanMemento:
        return PlanMemento(
            generation=self._supervisor.generation,
            begins_anew=self._supervisor.begins_anew,
            groups=tuple(_planned(group, self._spec_of) for group in self._supervisor.plan.groups),
        )

    def _spec_of(self, process_id: ProcessId) -> ProcessSpec | None:
        known = process_id in self._supervisor
        return self._supervisor.spec_of(process_id) if known else None


def _planned(group: Group, spec_of: Callable[[ProcessId], ProcessSpec | None]) -> PlannedGroup:
    return PlannedGroup(
        name=group.name,
        priority=group.priority,
        feed=group.feed,
        processes=tuple(
            PlannedProcess(id=spec.id, spec=None if spec_of(spec.id) == spec else spec)
            for spec in group.processes
        ),
    )
