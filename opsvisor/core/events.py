"""What can be told: published facts, past tense, frozen.

Everything that watches (metrics, log lines, history, API streams) is derived from these. `at` is
wall-clock Unix time in seconds, for people; decisions use the monotonic clock and are over.
"""

from dataclasses import dataclass
from enum import Enum

from opsvisor.core.outcome import ExitCause, Outcome, SpawnFaultKind, Usage
from opsvisor.core.plan import PlanDiff
from opsvisor.core.probes import ProbeKind
from opsvisor.core.spec import Pid, ProcessId, ProcessSpec
from opsvisor.core.state import PublicState, StartCause


class SupervisorState(Enum):
    """The daemon's own life."""

    STARTING = "starting"
    RUNNING = "running"
    RELOADING = "reloading"  # stopping everything, to begin anew
    STOPPING = "stopping"

    @property
    def is_ending(self) -> bool:
        """Whether nothing is started any more."""
        return self in (SupervisorState.RELOADING, SupervisorState.STOPPING)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessAdded:
    """A process entered the plan; it has not been started."""

    at: float
    id: ProcessId
    spec: ProcessSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessChanged:
    """A process took over a new spec."""

    at: float
    id: ProcessId
    spec: ProcessSpec
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRemoved:
    """A process left the plan and is no longer running."""

    at: float
    id: ProcessId


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanged:
    """A process went from one public state to another, and why.

    `pid` is the live process after the change, or the one that just ended. `failed_starts`
    counts consecutive failed starts. `retry_delay` is set on the way into BACKOFF, and into FATAL
    where a slow retry follows.
    """

    at: float
    id: ProcessId
    old: PublicState
    new: PublicState
    reason: str
    pid: Pid | None = None
    failed_starts: int = 0
    retry_delay: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpawned:
    """The kernel made the process.

    `replaces` says how the run before it ended, if there was one: each start that replaces an
    earlier run counts once under that cause.
    """

    at: float
    id: ProcessId
    pid: Pid
    cause: StartCause
    replaces: ExitCause | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpawnFailed:
    """The process could not be made; `reason` says why, in Supervisor's words."""

    at: float
    id: ProcessId
    reason: str
    kind: SpawnFaultKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessExited:
    """A run ended. `decision` says what follows and why.

    `expected` means: asked for, or an exit that the policy calls success. Where the policy says
    that an early exit fails, one before `min_uptime` never is. Other exits get a post-mortem.
    `oom_killed` may be true of any cause: a failed start is one, whatever ended it.
    """

    at: float
    id: ProcessId
    pid: Pid
    outcome: Outcome
    cause: ExitCause
    expected: bool
    uptime: float
    usage: Usage
    decision: str
    oom_killed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FailuresForgotten:
    """A run lasted for `backoff_reset`: the next failure counts as the first."""

    at: float
    id: ProcessId
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FlappingChanged:
    """Automatic restarts inside the window went above the threshold, or fell back to it."""

    at: float
    id: ProcessId
    flapping: bool
    restarts: int
    interval: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthChanged:
    """A probe passes or fails from now on, after so many answers `in_a_row`.

    `detail` is the last of them: `http 503`, `connection refused`. `ready`: the process can be
    used now, as far as probes decide on that.
    """

    at: float
    id: ProcessId
    pid: Pid
    probe: ProbeKind
    passing: bool
    detail: str
    in_a_row: int
    ready: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalSent:
    """A signal went out: by request, to stop, or as SIGKILL after the kill delay."""

    at: float
    id: ProcessId
    pid: Pid
    signum: int
    to_group: bool
    stopping: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KillSurvived:
    """The process outlived SIGKILL number `kills` by a whole kill delay: it is stuck."""

    at: float
    id: ProcessId
    pid: Pid
    kills: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRefused:
    """The kernel refused a signal to a process of ours."""

    at: float
    id: ProcessId
    pid: Pid
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanApplied:
    """A plan became the one that is carried out."""

    at: float
    generation: int
    diff: PlanDiff


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorStateChanged:
    """The daemon itself went from one state to another."""

    at: float
    old: SupervisorState
    new: SupervisorState
    reason: str


Event = (
    ProcessAdded
    | ProcessChanged
    | ProcessRemoved
    | StateChanged
    | ProcessSpawned
    | SpawnFailed
    | ProcessExited
    | FailuresForgotten
    | FlappingChanged
    | HealthChanged
    | SignalSent
    | KillSurvived
    | SignalRefused
    | PlanApplied
    | SupervisorStateChanged
)
