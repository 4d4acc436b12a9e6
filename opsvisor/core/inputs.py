"""What can happen to the core, or be asked of it."""

from opsvisor.core.memento import SupervisorMemento
from opsvisor.core.outcome import Outcome, SpawnFaultKind, Usage
from opsvisor.core.plan import Plan
from opsvisor.core.probes import ProbeKind
from opsvisor.core.spec import Pid, ProcessId
from opsvisor.core.state import StartCause, StopCause
from opsvisor.core.struct import Value


class Start(Value, frozen=True):
    """Someone wants this process to run."""

    id: ProcessId
    cause: StartCause = StartCause.MANUAL


class Stop(Value, frozen=True):
    """Someone wants this process not to run."""

    id: ProcessId
    cause: StopCause = StopCause.MANUAL


class Restart(Value, frozen=True):
    """Stop if it runs, then start, in one request that can't be cut in half."""

    id: ProcessId


class SendSignal(Value, frozen=True):
    """Deliver a signal to the process (not its group) without any change of state."""

    id: ProcessId
    signum: int


class Spawned(Value, frozen=True):
    """The spawn we asked for succeeded."""

    id: ProcessId
    pid: Pid


class SpawnFault(Value, frozen=True):
    """The spawn we asked for failed; `reason` in Supervisor's words."""

    id: ProcessId
    reason: str
    kind: SpawnFaultKind = SpawnFaultKind.OTHER


class SpawnLost(Value, frozen=True):
    """The spawn that was asked for by the daemon before this one was not made."""

    id: ProcessId


class Adopted(Value, frozen=True):
    """The run that was to be taken back is alive, and its end will be noticed."""

    id: ProcessId
    pid: Pid


class Exited(Value, frozen=True):
    """The kernel reported the end of a process, and its output has been read to the end.

    `oom_killed`: it was the kernel that killed it, for want of memory.
    """

    id: ProcessId
    pid: Pid
    outcome: Outcome
    usage: Usage
    oom_killed: bool = False


class SignalFault(Value, frozen=True):
    """The kernel refused a signal that the core asked for (other than: it is gone)."""

    id: ProcessId
    pid: Pid
    reason: str


class Probed(Value, frozen=True, kw_only=True):
    """A probe of the run with this pid was answered, or not in time: then `ok` is false.

    `detail` says what came, in a few words: `http 503`. `duration` is in seconds.
    """

    id: ProcessId
    pid: Pid
    kind: ProbeKind
    ok: bool
    detail: str
    duration: float


class Resume(Value, frozen=True):
    """Go on where another daemon ended. The first input of all, if it comes at all.

    `is_exact`: the memento was made at the very end (an upgrade), not at the last change (a
    crash). Then all that had been decided was done, nobody is told anew of what everybody knows,
    and no signal is sent a second time. Else totals that it may be behind with count from 0, as
    those who watch counters need: one that falls by a little would look like a restart with that
    many events after it. `reason` is what is said of it, "" for how many processes there are.
    """

    memento: SupervisorMemento
    is_exact: bool = False
    reason: str = ""


class ApplyPlan(Value, frozen=True):
    """Carry out this plan from now on.

    `revive` starts enabled processes of changed groups that an operator had stopped, and those
    that have changed and are down, as Supervisor's `update` does; natively a stop by hand outlives
    a change of configuration.
    """

    plan: Plan
    revive: bool = False


class Shutdown(Value, frozen=True):
    """Stop everything, highest group priority first, then be done.

    `to_reload`: the daemon will begin anew after it. A later shutdown for good outranks that.
    """

    reason: str
    to_reload: bool = False


class FeedsSettled(Value, frozen=True):
    """Nobody who is told events (`Group.feed`) has any left to answer, or can answer any."""


class DeadlinePassed(Value, frozen=True):
    """The instant the core asked for has come, or a little later.

    One process is seen to; if another is due as well, the core's deadline is past afterwards.
    """


Request = Start | Stop | Restart | SendSignal
RunReport = Spawned | SpawnFault | SpawnLost | Adopted | Exited | SignalFault
Report = RunReport | Probed
Input = Request | Report | Resume | ApplyPlan | Shutdown | FeedsSettled | DeadlinePassed
