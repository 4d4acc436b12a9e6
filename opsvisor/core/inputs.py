"""What can happen to the core, or be asked of it."""

from dataclasses import dataclass

from opsvisor.core.outcome import Outcome, SpawnFaultKind, Usage
from opsvisor.core.plan import Plan
from opsvisor.core.probes import ProbeKind
from opsvisor.core.spec import Pid, ProcessId
from opsvisor.core.state import StartCause, StopCause


@dataclass(frozen=True, slots=True)
class Start:
    """Someone wants this process to run."""

    id: ProcessId
    cause: StartCause = StartCause.MANUAL


@dataclass(frozen=True, slots=True)
class Stop:
    """Someone wants this process not to run."""

    id: ProcessId
    cause: StopCause = StopCause.MANUAL


@dataclass(frozen=True, slots=True)
class Restart:
    """Stop if it runs, then start, in one request that can't be cut in half."""

    id: ProcessId


@dataclass(frozen=True, slots=True)
class SendSignal:
    """Deliver a signal to the process (not its group) without any change of state."""

    id: ProcessId
    signum: int


@dataclass(frozen=True, slots=True)
class Spawned:
    """The spawn we asked for succeeded."""

    id: ProcessId
    pid: Pid


@dataclass(frozen=True, slots=True)
class SpawnFault:
    """The spawn we asked for failed; `reason` in Supervisor's words."""

    id: ProcessId
    reason: str
    kind: SpawnFaultKind = SpawnFaultKind.OTHER


@dataclass(frozen=True, slots=True)
class Exited:
    """The kernel reported the end of a process, and its output has been read to the end.

    `oom_killed`: it was the kernel that killed it, for want of memory.
    """

    id: ProcessId
    pid: Pid
    outcome: Outcome
    usage: Usage
    oom_killed: bool = False


@dataclass(frozen=True, slots=True)
class SignalFault:
    """The kernel refused a signal that the core asked for (other than: it is gone)."""

    id: ProcessId
    pid: Pid
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """A probe of the run with this pid was answered, or not in time: then `ok` is false.

    `detail` says what came, in a few words: `http 503`. `duration` is in seconds.
    """

    id: ProcessId
    pid: Pid
    kind: ProbeKind
    ok: bool
    detail: str
    duration: float


@dataclass(frozen=True, slots=True)
class ApplyPlan:
    """Carry out this plan from now on.

    `revive` starts enabled processes of changed groups that an operator had stopped, as
    Supervisor's `update` does; natively a stop by hand outlives a change of configuration.
    """

    plan: Plan
    revive: bool = False


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Stop everything, highest group priority first, then be done.

    `to_reload`: the daemon will begin anew after it. A later shutdown for good outranks that.
    """

    reason: str
    to_reload: bool = False


@dataclass(frozen=True, slots=True)
class FeedsSettled:
    """Nobody who is told events (`Group.feed`) has any left to answer, or can answer any."""


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The instant the core asked for has come, or a little later.

    One process is seen to; if another is due as well, the core's deadline is past afterwards.
    """


Request = Start | Stop | Restart | SendSignal
Report = Spawned | SpawnFault | Exited | SignalFault | Probed
Input = Request | Report | ApplyPlan | Shutdown | FeedsSettled | DeadlinePassed
