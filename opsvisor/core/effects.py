"""What the core can ask the runtime for."""

from dataclasses import dataclass

from opsvisor.core.events import Event
from opsvisor.core.probes import ProbeKind
from opsvisor.core.spec import Pid, ProcessId, ProcessSpec


@dataclass(frozen=True, slots=True)
class Spawn:
    """Make the process; answered by `Spawned` or `SpawnFault`."""

    spec: ProcessSpec


@dataclass(frozen=True, slots=True)
class CancelSpawn:
    """Don't make the process after all; answered by `SpawnFault`, or not at all if it is made."""

    id: ProcessId


@dataclass(frozen=True, slots=True)
class SignalProcess:
    """Send a signal; answered only if the kernel refuses, by `SignalFault`."""

    id: ProcessId
    pid: Pid
    signum: int
    to_group: bool


@dataclass(frozen=True, slots=True)
class StartProbe:
    """Begin to ask, `delay` seconds from now, and go on; each answer comes back as `Probed`."""

    spec: ProcessSpec
    pid: Pid
    kind: ProbeKind
    delay: float


@dataclass(frozen=True, slots=True)
class StopProbe:
    """Ask no more; an answer that is still due is of no interest."""

    id: ProcessId
    kind: ProbeKind


@dataclass(frozen=True, slots=True)
class Forget:
    """The process left the plan: release what the runtime keeps for it."""

    id: ProcessId


@dataclass(frozen=True, slots=True)
class Publish:
    """Tell everyone."""

    event: Event


@dataclass(frozen=True, slots=True)
class ShutdownComplete:
    """Nothing of ours is running any more, except what the kernel won't let us signal."""


Effect = (
    Spawn
    | CancelSpawn
    | SignalProcess
    | StartProbe
    | StopProbe
    | Forget
    | Publish
    | ShutdownComplete
)
