"""One process as a scrape sees it, and how the lines of a family are written for many of them.

`prometheus_client` makes an object of each sample; for 1,000 processes that is a quarter of a
second at each scrape. Here a family is written straight to text, and what the lines of a process
have in common is made once in a scrape: its escaped labels, still open for one more.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache

from opsvisor.core.instant import Instant
from opsvisor.core.outcome import ExitCause, Outcome
from opsvisor.core.spec import ProcessId, ProcessSpec
from opsvisor.core.struct import Struct
from opsvisor.core.view import ProcessView
from opsvisor.runtime.cgroups import Surroundings, Throttling
from opsvisor.runtime.logs.capture import StreamStats
from opsvisor.runtime.proctree import Spent
from opsvisor.runtime.sweep import TreeSample
from opsvisor.telemetry.families import Family, escape

_FINGERPRINT_BYTES = 6  # exact in the double that a sample is


def reasons_of(spec: ProcessSpec) -> tuple[ExitCause, ...]:
    """By what the runs of this process can end that are replaced, hence what is there with 0.

    What is stopped with the daemon is replaced by another daemon's, which counts from zero.
    """
    never = {ExitCause.SHUTDOWN}
    if not spec.may_be_restarted_for_health:
        never.add(ExitCause.HEALTH)
    return tuple(cause for cause in ExitCause if cause not in never)


@cache
def _no_restarts(reasons: tuple[ExitCause, ...]) -> Mapping[ExitCause, int]:
    """What all processes have that were never replaced. One for all: nobody changes it."""
    return dict.fromkeys(reasons, 0)


class CountsMemento(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was counted of one process, for another daemon to count on from.

    `restarts`: for what reasons there were any.
    """

    id: ProcessId
    restarts: tuple[tuple[ExitCause, int], ...] = ()
    starts: int = 0
    spawn_failures: int = 0
    exited_at: float = 0.0
    last_outcome: Outcome | None = None
    spawned_at: float | None = None
    is_running: bool = False
    has_to_pass: bool = False
    ready_duration: float | None = None


class Counts(Struct, gc=False):
    """What the events said of one process since it entered the plan: zero for everything first.

    A counter that first appears at 3 shows no increase, so all restart reasons are there from the
    beginning. `restarts` is replaced rather than changed, and `kept` remembers the lines that were
    written of what is seldom new, see `Kept`. `spawned_at` is monotonic, and None once the run has
    become ready. `is_asked`: probes decide on that; `has_to_pass`: they have not passed yet.
    `fingerprint` tells this spec from any other.
    """

    restarts: Mapping[ExitCause, int]
    fingerprint: int
    starts: int = 0
    spawn_failures: int = 0
    exited_at: float = 0.0
    last_outcome: Outcome | None = None
    spawned_at: float | None = None
    is_running: bool = False
    is_asked: bool = False
    has_to_pass: bool = False
    ready_duration: float | None = None
    kept: dict[str, tuple[object, str]] | None = None

    @staticmethod
    def of(spec: ProcessSpec) -> "Counts":
        """A process of which nothing has been heard."""
        return Counts(
            restarts=_no_restarts(reasons_of(spec)),
            fingerprint=_fingerprint_of(spec),
            is_asked=spec.is_asked_whether_ready,
        )

    def remember(self, process_id: ProcessId) -> CountsMemento:
        """What another daemon needs to count on."""
        return CountsMemento(
            id=process_id,
            restarts=tuple([one for one in self.restarts.items() if one[1]]),
            starts=self.starts,
            spawn_failures=self.spawn_failures,
            exited_at=self.exited_at,
            last_outcome=self.last_outcome,
            spawned_at=self.spawned_at,
            is_running=self.is_running,
            has_to_pass=self.has_to_pass,
            ready_duration=self.ready_duration,
        )

    def recall(self, memento: CountsMemento) -> None:
        """Count on from there."""
        if memento.restarts:
            self.restarts = {**self.restarts, **dict(memento.restarts)}
        self.starts = memento.starts
        self.spawn_failures = memento.spawn_failures
        self.exited_at = memento.exited_at
        self.last_outcome = memento.last_outcome
        self.spawned_at = memento.spawned_at
        self.is_running = memento.is_running
        self.has_to_pass = memento.has_to_pass
        self.ready_duration = memento.ready_duration

    def change_to(self, spec: ProcessSpec) -> None:
        """Have the reasons of this spec there. What was counted before stays."""
        self.fingerprint = _fingerprint_of(spec)
        self.is_asked = spec.is_asked_whether_ready
        self.restarts = {**_no_restarts(reasons_of(spec)), **self.restarts}

    def count_restart(self, reason: ExitCause) -> None:
        """One more start that replaced a run which ended so."""
        if reason is not ExitCause.SHUTDOWN:
            self.restarts = {**self.restarts, reason: self.restarts.get(reason, 0) + 1}


def _fingerprint_of(spec: ProcessSpec) -> int:
    digest = hashlib.sha256(repr(spec).encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:_FINGERPRINT_BYTES], "big")


def labels_of(process_id: ProcessId) -> str:
    """What a line says of a process, behind the name of the family; open for more."""
    # Not kept: 80 bytes for each process, and 2 % of what it takes to write its lines.
    return f'{{group="{escape(process_id.group)}",process="{escape(process_id.name)}"'


class Row(Struct, frozen=True):
    """All that is known of one process at this scrape. `labels`: see `labels_of`."""

    labels: str
    now: Instant
    view: ProcessView
    counts: Counts
    tree: TreeSample | None
    spent: Spent
    streams: Mapping[str, StreamStats]
    oom_kills: int
    around: Surroundings | None
    throttling: Throttling | None
    proportional_memory: int | None


class Single(Family, frozen=True, kw_only=True):
    """One sample per process; `read` gives None where there is none."""

    read: Callable[[Row], float | None]

    def samples(self, rows: Iterable[Row]) -> str:
        """The lines of these processes."""
        name, read = self.name, self.read
        return "".join(
            [
                f"{name}{row.labels}}} {value!r}\n"
                for row in rows
                if (value := read(row)) is not None
            ]
        )


class Several(Family, frozen=True, kw_only=True):
    """Some samples per process; `read` gives what follows the labels of the process in each."""

    read: Callable[[Row], Sequence[str]]

    def samples(self, rows: Iterable[Row]) -> str:
        """The lines of these processes."""
        name, read = self.name, self.read
        return "".join(
            [
                f"{name}{row.labels}".join(("", *found))
                for row in rows
                if (found := read(row))  # of many families most processes have none
            ]
        )


class Kept(Several, frozen=True, kw_only=True):
    """Like `Several`, of something that is seldom new: its lines are kept until `key` is another.

    A third of all samples are such: eight for the state, one for each reason to restart. `key`
    gives the object that they are made of, and is compared by identity.
    """

    key: Callable[[Row], object]

    def samples(self, rows: Iterable[Row]) -> str:
        """The lines of these processes."""
        name, key = self.name, self.key
        texts = []
        for row in rows:
            made_of = key(row)
            all_kept = row.counts.kept
            if all_kept is None:
                all_kept = row.counts.kept = {}
            kept = all_kept.get(name)
            if kept is None or kept[0] is not made_of:
                text = f"{name}{row.labels}".join(("", *self.read(row)))
                kept = all_kept[name] = made_of, text
            texts.append(kept[1])
        return "".join(texts)


ProcessFamily = Single | Several
