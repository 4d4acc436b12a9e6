"""What can be told: published facts, past tense, frozen.

Everything that watches (metrics, log lines, history, API streams) is derived from these. `at` is
wall-clock Unix time in seconds, for people; decisions use the monotonic clock and are over.
"""

from enum import Enum

from opsvisor.core.outcome import ExitCause, Outcome, SpawnFaultKind, Usage
from opsvisor.core.plan import PlanDiff
from opsvisor.core.probes import ProbeKind
from opsvisor.core.spec import Pid, ProcessId, ProcessSpec
from opsvisor.core.state import PublicState, StartCause
from opsvisor.core.struct import Value


class ActionResult(Enum):
    """What came of something that a client asked for."""

    OK = "ok"
    FAILED = "failed"  # wholly or in part
    REFUSED = "refused"  # to whoever asked, or for how they asked
    ABANDONED = "abandoned"  # the client went away first: what was begun goes on


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


class ProcessAdded(Value, frozen=True, kw_only=True):
    """A process entered the plan; it has not been started."""

    at: float
    id: ProcessId
    spec: ProcessSpec


class ProcessChanged(Value, frozen=True, kw_only=True):
    """A process took over a new spec."""

    at: float
    id: ProcessId
    spec: ProcessSpec
    fields: tuple[str, ...]


class ProcessRemoved(Value, frozen=True, kw_only=True):
    """A process left the plan and is no longer running."""

    at: float
    id: ProcessId


class StateChanged(Value, frozen=True, kw_only=True):
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


class ProcessSpawned(Value, frozen=True, kw_only=True):
    """The kernel made the process.

    `replaces` says how the run before it ended, if there was one: each start that replaces an
    earlier run counts once under that cause.
    """

    at: float
    id: ProcessId
    pid: Pid
    cause: StartCause
    replaces: ExitCause | None


class ProcessAdopted(Value, frozen=True, kw_only=True):
    """A run that began before this daemon did goes on; `started` is when, on the wall clock.

    Where another state than STOPPED is to be assumed after `ProcessAdded`, this says which; a
    process that is not alive comes back without a fact of its own.
    """

    at: float
    id: ProcessId
    pid: Pid
    state: PublicState
    started: float


class SpawnFailed(Value, frozen=True, kw_only=True):
    """The process could not be made; `reason` says why, in Supervisor's words."""

    at: float
    id: ProcessId
    reason: str
    kind: SpawnFaultKind


class ProcessExited(Value, frozen=True, kw_only=True):
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


class FailuresForgotten(Value, frozen=True, kw_only=True):
    """A run lasted for `backoff_reset`: the next failure counts as the first."""

    at: float
    id: ProcessId
    failures: int


class FlappingChanged(Value, frozen=True, kw_only=True):
    """Automatic restarts inside the window went above the threshold, or fell back to it."""

    at: float
    id: ProcessId
    flapping: bool
    restarts: int
    interval: float


class HealthChanged(Value, frozen=True, kw_only=True):
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


class SignalSent(Value, frozen=True, kw_only=True):
    """A signal went out: by request, to stop, or as SIGKILL after the kill delay."""

    at: float
    id: ProcessId
    pid: Pid
    signum: int
    to_group: bool
    stopping: bool


class KillSurvived(Value, frozen=True, kw_only=True):
    """The process outlived SIGKILL number `kills` by a whole kill delay: it is stuck."""

    at: float
    id: ProcessId
    pid: Pid
    kills: int


class SignalRefused(Value, frozen=True, kw_only=True):
    """The kernel refused a signal to a process of ours."""

    at: float
    id: ProcessId
    pid: Pid
    reason: str


class PlanApplied(Value, frozen=True, kw_only=True):
    """A plan became the one that is carried out."""

    at: float
    generation: int
    diff: PlanDiff


class SupervisorStateChanged(Value, frozen=True, kw_only=True):
    """The daemon itself went from one state to another."""

    at: float
    old: SupervisorState
    new: SupervisorState
    reason: str


class EssentialEnded(Value, frozen=True, kw_only=True):
    """An essential process ended for good: everything is stopped, and the daemon ends with it."""

    at: float
    id: ProcessId
    state: PublicState
    reason: str
    exit_status: int


class ControlAction(Value, frozen=True, kw_only=True):
    """A client asked for something that is more than a look, and this is what came of it.

    `targets` are the first of the names it was asked of, and `target_count` says how many there
    were. `identity` is who it is known as: "" where nobody is asked or it could not prove to be
    anybody. `user` is who is at the other end of a unix socket, "" elsewhere. `source` is an
    address, or `unix`. `code` says why it was not done, in a word; `reason` is what the client
    gave as its own. `seconds` is how long it took. `left_out`: so many refusals before this one
    were counted and not told.
    """

    at: float
    action: str
    targets: tuple[str, ...]
    target_count: int
    identity: str
    user: str
    source: str
    listener: str
    interface: str
    result: ActionResult
    code: str
    reason: str
    seconds: float
    left_out: int = 0


Event = (
    ProcessAdded
    | ProcessChanged
    | ProcessRemoved
    | StateChanged
    | ProcessSpawned
    | ProcessAdopted
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
    | EssentialEnded
    | ControlAction
)
