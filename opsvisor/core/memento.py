"""What a supervisor has to know of its past to go on in another process, as plain data.

A daemon that ends without a shutdown leaves its programs behind. Whoever comes after it is given a
`SupervisorMemento` (`inputs.Resume`), and decides from there on as the one before would have.

What is not in here is found out anew or is of no use any more: whether a run is still alive
(`effects.Adopt`), whether a spawn that was asked for was made (`effects.FindSpawn`), which probes
are being asked, and how far a shutdown had come: see `Supervisor`.
"""

from opsvisor.core.plan import Plan
from opsvisor.core.probes import ProbeKind
from opsvisor.core.record import Record
from opsvisor.core.restart import Tally
from opsvisor.core.spec import ProcessId, ProcessSpec
from opsvisor.core.state import State
from opsvisor.core.struct import Value


class ProbeMemento(Value, frozen=True, kw_only=True, omit_defaults=True):
    """How one probe stands in this run, and its totals over all of them.

    `successes` and `failures` are answers in a row, exact as far as the thresholds. A memento is
    not made for answers that decide nothing: `attempts`, `failures_total`, `duration` and `detail`
    may lag behind by those since the last change.
    """

    kind: ProbeKind
    passing: bool | None = None
    has_passed: bool = False
    successes: int = 0
    failures: int = 0
    detail: str = ""
    attempts: int = 0
    failures_total: int = 0
    duration: float | None = None


class ProcessMemento(Value, frozen=True, kw_only=True, omit_defaults=True):
    """What one machine remembers besides the spec it follows, which seldom changes.

    `next_spec` waits for the end of the present run. `record` is a copy, nobody else's.
    `is_untouched`: nobody has asked it to start or to stop. `is_doomed`: it left the plan, and is
    forgotten when it is down.
    """

    id: ProcessId
    group_priority: int
    state: State
    wanted: bool
    is_untouched: bool = False
    tally: Tally
    record: Record
    flapping: bool = False
    next_spec: ProcessSpec | None = None
    probes: tuple[ProbeMemento, ...] = ()
    complaint: str = ""
    is_doomed: bool = False


class RememberedProcess(Value, frozen=True, kw_only=True):
    """A memento with the spec it belongs to."""

    spec: ProcessSpec
    memento: ProcessMemento


class SupervisorMemento(Value, frozen=True, kw_only=True):
    """Everything. `generation` 0: no plan had been applied yet.

    `begins_anew`: a shutdown was under way; the next plan begins with everything enabled.
    """

    plan: Plan
    generation: int
    begins_anew: bool = False
    processes: tuple[RememberedProcess, ...] = ()


class Changed(Value, frozen=True, kw_only=True):
    """What may differ from what was last asked for, and so has to be written down anew.

    `itself`: what a `SupervisorMemento` has besides its processes. A process in both `processes`
    and `forgotten` came back after it had been forgotten: drop first, then put.
    """

    processes: tuple[ProcessId, ...] = ()
    forgotten: tuple[ProcessId, ...] = ()
    itself: bool = False

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.processes or self.forgotten or self.itself)
