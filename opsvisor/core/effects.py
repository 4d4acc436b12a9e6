"""What the core can ask the runtime for."""

from opsvisor.core.events import Event
from opsvisor.core.probes import ProbeKind
from opsvisor.core.spec import Pid, ProcessId, ProcessSpec
from opsvisor.core.struct import Value


class Spawn(Value, frozen=True):
    """Make the process; answered by `Spawned` or `SpawnFault`."""

    spec: ProcessSpec


class Adopt(Value, frozen=True):
    """Take back a run that began before this daemon did.

    Answered by `Adopted` if it is alive, else by `Exited`, with all that can be known of its end;
    in either case before anything else is told to the core. The pid alone may be anybody's by now.
    """

    spec: ProcessSpec
    pid: Pid


class FindSpawn(Value, frozen=True):
    """Look for the process of a spawn that was asked for by the daemon before this one.

    Answered by `Spawned` if it was made, even if it has ended since, else by `SpawnLost`; before
    anything else is told to the core. Nothing is to be made: the core asks for that by `Spawn`.
    """

    spec: ProcessSpec


class CancelSpawn(Value, frozen=True):
    """Don't make the process after all; answered by `SpawnFault`, or not at all if it is made."""

    id: ProcessId


class SignalProcess(Value, frozen=True):
    """Send a signal; answered only if the kernel refuses, by `SignalFault`."""

    id: ProcessId
    pid: Pid
    signum: int
    to_group: bool


class StartProbe(Value, frozen=True):
    """Begin to ask, `delay` seconds from now, and go on; each answer comes back as `Probed`."""

    spec: ProcessSpec
    pid: Pid
    kind: ProbeKind
    delay: float


class StopProbe(Value, frozen=True):
    """Ask no more; an answer that is still due is of no interest."""

    id: ProcessId
    kind: ProbeKind


class Forget(Value, frozen=True):
    """The process left the plan: release what the runtime keeps for it."""

    id: ProcessId


class Publish(Value, frozen=True):
    """Tell everyone."""

    event: Event


class ShutdownComplete(Value, frozen=True):
    """Nothing of ours is running any more, except what the kernel won't let us signal.

    `exit_status` is set if it was the end of an essential process that began the shutdown.
    """

    exit_status: int | None = None


Effect = (
    Spawn
    | Adopt
    | FindSpawn
    | CancelSpawn
    | SignalProcess
    | StartProbe
    | StopProbe
    | Forget
    | Publish
    | ShutdownComplete
)
