"""What one process has of another that it took the place of by exec: descriptors, and children."""

import os
import socket
from collections.abc import Mapping

from opsvisor.core.spec import Pid, ProcessId
from opsvisor.core.struct import Struct, field
from opsvisor.runtime.adoption import Adoption, Found, RunMemento
from opsvisor.runtime.groups import GroupsMemento
from opsvisor.runtime.keeper import names
from opsvisor.runtime.logs.capture import CaptureMemento
from opsvisor.runtime.logs.stream import Stream
from opsvisor.runtime.pidfd import End
from opsvisor.runtime.trees import HeldEnd


class StreamMemento(Struct, frozen=True, kw_only=True):
    """One stream of one process."""

    id: ProcessId
    stream: Stream
    capture: CaptureMemento


class EngineMemento(Struct, frozen=True, kw_only=True):
    """What the engine knows of processes besides what the core does.

    `killed` were sent SIGKILL by us. `groups` are those that are being stopped, and `held` the
    ends that the core has not heard of because something of their tree is alive. `commands` are
    those of probes.
    """

    runs: tuple[RunMemento, ...] = ()
    killed: tuple[Pid, ...] = ()
    groups: GroupsMemento = field(default_factory=GroupsMemento)
    held: tuple[HeldEnd, ...] = ()
    streams: tuple[StreamMemento, ...] = ()
    commands: tuple[Pid, ...] = ()


class Inheritance(Adoption):
    """Takes back runs that are as they were: nothing has to be looked for, and nobody is unknown.

    Whoever has ended in between is a zombie that waits for us, as any child. `descriptors` are by
    name, and ours from here on; `close` closes those that nobody wanted.
    """

    is_exact = True

    def __init__(self, past: EngineMemento, descriptors: Mapping[str, int]) -> None:
        self.past = past
        self._left = dict(descriptors)
        self._ends = {end.pid: End(end.outcome, end.usage) for end in past.held}
        super().__init__(past.runs, claim=lambda name: self._left.pop(name, None))

    def look_at(self, run: RunMemento, pid: Pid) -> Found | End:
        """It is there, alive or a zombie, unless its end was seen and is only held back."""
        if pid in self._ends:
            return self._ends[pid]
        return Found(pid, run.born, self._left.pop(names.of_process(pid), None))

    def listener(self, url: str, pid: Pid | None) -> socket.socket | None:
        """A copy of the socket that programs share: each of them brings one."""
        del pid
        descriptor = self._left.get(names.of_socket(url))
        return None if descriptor is None else socket.socket(fileno=os.dup(descriptor))

    def close(self) -> None:
        """Let go of what is left."""
        for descriptor in self._left.values():
            os.close(descriptor)
        self._left.clear()
