"""What the probes of one process say: who is asked when, and what the answers come to.

Nothing here restarts anything. The machine asks `complaint` after each answer, and stops a process
that has one; what follows is the restart policy's to decide.

A run begins with its startup probe alone, if it has one. When that has passed, it is asked no
more, and the other two begin. All three end with the run.
"""

from collections.abc import Iterable, Mapping

from opsvisor.core.effects import Effect, Publish, StartProbe, StopProbe
from opsvisor.core.events import HealthChanged
from opsvisor.core.inputs import Probed
from opsvisor.core.instant import Instant
from opsvisor.core.memento import ProbeMemento
from opsvisor.core.probes import ProbeKind, ProbeSpec, ProbeView
from opsvisor.core.spec import ProcessId, ProcessSpec
from opsvisor.core.state import Running, Starting
from opsvisor.core.struct import Struct, replace


class _Probe(Struct):
    """One probe: how it stands in this run, and its totals over all of them."""

    spec: ProbeSpec
    is_active: bool = False
    passing: bool | None = None
    has_passed: bool = False  # at any time of this run
    successes: int = 0  # in a row
    failures: int = 0  # in a row
    detail: str = ""
    attempts: int = 0
    failures_total: int = 0
    duration: float | None = None

    @property
    def standing(self) -> tuple[object, ...]:
        """All of it that anything will ever be decided by."""
        successes = min(self.successes, self.spec.success_threshold)
        failures = min(self.failures, self.spec.failure_threshold)
        return (self.passing, self.has_passed, successes, failures)

    def memento(self, kind: ProbeKind) -> ProbeMemento:
        """What is to be known of it when somebody else goes on asking."""
        return ProbeMemento(
            kind=kind,
            passing=self.passing,
            has_passed=self.has_passed,
            successes=self.successes,
            failures=self.failures,
            detail=self.detail,
            attempts=self.attempts,
            failures_total=self.failures_total,
            duration=self.duration,
        )

    def recall(self, memento: ProbeMemento) -> None:
        """Stand as this says."""
        self.passing, self.has_passed = memento.passing, memento.has_passed
        self.successes, self.failures = memento.successes, memento.failures
        self.detail, self.duration = memento.detail, memento.duration
        self.attempts, self.failures_total = memento.attempts, memento.failures_total

    def forget(self) -> None:
        """A new run has everything before it."""
        self.passing, self.has_passed, self.detail = None, False, ""
        self.successes = self.failures = 0

    def count(self, answer: Probed) -> None:
        """Let one answer count."""
        self.attempts += 1
        self.duration, self.detail = answer.duration, answer.detail
        if answer.ok:
            self.successes, self.failures = self.successes + 1, 0
            if self.successes >= self.spec.success_threshold:
                self.passing = self.has_passed = True
        else:
            self.failures_total += 1
            self.successes, self.failures = 0, self.failures + 1
            if self.failures >= self.spec.failure_threshold:
                self.passing = False


Run = Starting | Running
_NO_PROBES: Mapping[ProbeKind, _Probe] = {}  # one for all processes without any


class Health:
    """The probes of one process. `complaint` says what it is to be restarted for, if anything.

    `probes` are not for others to change. A status asks this of 1,000 processes, most of which
    have none, and of which one serves them all: see `of` and `own`. The machine says by which
    `spec` a process runs, and which `run` is asked: its state as long as it is up and nobody has
    asked it to end, else None.
    """

    __slots__ = ("complaint", "probes")

    def __init__(self) -> None:
        self.complaint = ""
        self.probes: Mapping[ProbeKind, _Probe] = _NO_PROBES

    @staticmethod
    def of(spec: ProcessSpec) -> "Health":
        """That of a process of which nothing is known."""
        if not spec.has_probes:
            return _UNPROBED
        health = Health()
        health.take(spec, None)
        return health

    def own(self) -> "Health":
        """One that can be changed: another one, if this is that of all who have no probes."""
        return Health() if self is _UNPROBED else self

    # -- what others ask ---------------------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        """Whether it can be used, as far as its probes tell."""
        if not self.probes:
            return True
        readiness = self.probes.get(ProbeKind.READINESS)
        return self._is_up and (readiness is None or readiness.passing is True)

    @property
    def is_proven(self) -> bool:
        """Whether its startup and liveness probes have passed at any time of this run."""
        return all(probe.has_passed for kind, probe in self.probes.items() if kind.is_vital)

    @property
    def is_healthy(self) -> bool | None:
        """What startup and liveness probe say together, None if there is nothing to say yet."""
        verdicts = [probe.passing for kind, probe in self.probes.items() if kind.is_vital]
        if False in verdicts:
            return False
        return True if verdicts and None not in verdicts else None

    def views(self) -> tuple[ProbeView, ...]:
        """How each of them stands."""
        return tuple(
            ProbeView(
                kind=kind,
                is_active=probe.is_active,
                passing=probe.passing,
                wrong_in_a_row=probe.failures,
                attempts=probe.attempts,
                failures=probe.failures_total,
                duration=probe.duration,
                detail=probe.detail,
            )
            for kind, probe in self.probes.items()
        )

    @property
    def standing(self) -> tuple[object, ...]:
        """How its probes stand, as far as anything is decided by it."""
        return (self.complaint, *(probe.standing for probe in self.probes.values()))

    def mementos(self) -> tuple[ProbeMemento, ...]:
        """What is to be known of its probes when somebody else goes on asking."""
        return tuple(probe.memento(kind) for kind, probe in self.probes.items())

    # -- what happens ------------------------------------------------------------------------

    def begin(self, spec: ProcessSpec, run: Run, now: Instant) -> list[Effect]:
        """This run begins, or is taken back: ask what is to be asked by now and is not."""
        effects: list[Effect] = []
        for kind, probe in self.probes.items():
            if probe.is_active or self._is_up is (kind is ProbeKind.STARTUP):
                continue
            probe.is_active = True
            elapsed = now.mono - run.started_at
            delay = max(0.0, probe.spec.initial_delay - elapsed)
            effects.append(StartProbe(spec, run.pid, kind, delay))
        return effects

    def recall(self, mementos: Iterable[ProbeMemento], complaint: str, *, is_exact: bool) -> None:
        """Stand as these say, before there is a run. Nothing is asked yet.

        Unless `is_exact`, totals may be behind with what was shown of them, and begin at 0.
        """
        assert self is not _UNPROBED
        self.complaint = complaint
        for memento in mementos:
            probe = self.probes.get(memento.kind)
            if probe is not None:
                probe.recall(memento)
                if not is_exact:
                    probe.attempts = probe.failures_total = 0

    def end(self, process_id: ProcessId) -> list[Effect]:
        """The run is over, or is asked to be. What was found out about it stays to be read."""
        effects: list[Effect] = []
        for kind, probe in self.probes.items():
            effects += _stop(process_id, kind, probe)
        return effects

    def forget(self) -> None:
        """The next run is about to begin, and nothing is known of it."""
        if self is _UNPROBED:
            return
        self.complaint = ""
        for probe in self.probes.values():
            probe.forget()

    def take(self, spec: ProcessSpec, run: Run | None) -> list[Effect]:
        """Have the probes of this spec. The effects end those that are asked and gone."""
        effects: list[Effect] = []
        if not self.probes and not spec.has_probes:
            return effects
        assert self is not _UNPROBED
        before, probes = self.probes, dict[ProbeKind, _Probe]()
        for kind in ProbeKind:
            wanted, old = spec.probe(kind), before.get(kind)
            if old is not None and old.spec != wanted:
                effects += _stop(spec.id, kind, old)
            if wanted is None:
                continue
            if old is None:
                probes[kind] = _Probe(wanted)
                if kind is ProbeKind.STARTUP and run is not None:
                    # It has come up, by all that was asked of it when it started.
                    probes[kind].passing = probes[kind].has_passed = True
            elif old.spec == wanted:
                probes[kind] = old
            else:
                probes[kind] = replace(old, spec=wanted, successes=0, failures=0)
        self.probes = probes or _NO_PROBES
        return effects

    def follow(self, spec: ProcessSpec, run: Run | None, now: Instant) -> list[Effect]:
        """Take over the probes of a changed spec, in the middle of a run as well.

        A probe that changed begins to count anew; what it has come to stands until then.
        """
        effects = self.take(spec, run)
        return effects if run is None else [*effects, *self.begin(spec, run, now)]

    def probed(self, answer: Probed, spec: ProcessSpec, run: Run, now: Instant) -> list[Effect]:
        """An answer came. One to a question that is not asked any more counts for nothing."""
        probe = self.probes.get(answer.kind)
        if run.pid != answer.pid or not (probe and probe.is_active):
            return []
        before = probe.passing
        probe.count(answer)
        if probe.passing is before:
            return []
        told = self._decided(answer, probe, now)
        if probe.passing and answer.kind is ProbeKind.STARTUP:
            told += _stop(spec.id, answer.kind, probe)
            told += self.begin(spec, run, now)
        return told

    def _decided(self, answer: Probed, probe: _Probe, now: Instant) -> list[Effect]:
        assert probe.passing is not None
        if not probe.passing and answer.kind.is_vital:
            self.complaint = f"{answer.kind.value} probe failed: {probe.detail}"
        return [
            Publish(
                HealthChanged(
                    at=now.wall,
                    id=answer.id,
                    pid=answer.pid,
                    probe=answer.kind,
                    passing=probe.passing,
                    detail=probe.detail,
                    in_a_row=max(probe.successes, probe.failures),
                    ready=self.is_ready,
                )
            )
        ]

    @property
    def _is_up(self) -> bool:
        startup = self.probes.get(ProbeKind.STARTUP)
        return startup is None or startup.has_passed


_UNPROBED = Health()  # of all processes that have no probes


def _stop(process_id: ProcessId, kind: ProbeKind, probe: _Probe) -> list[Effect]:
    if not probe.is_active:
        return []
    probe.is_active = False
    return [StopProbe(process_id, kind)]
