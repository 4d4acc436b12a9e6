"""What programs print, on its way to those who listen to it as it is read."""

from dataclasses import dataclass

from opsvisor.core.spec import Pid, ProcessId
from opsvisor.runtime.logs.capture import Stream


@dataclass(frozen=True, slots=True)
class Output:
    """One chunk that a process wrote, as it was read: not cut into lines. `pid` is its run.

    `is_message`: instead, a message to whoever listens, whole, and in no log.
    """

    id: ProcessId
    pid: Pid
    stream: Stream
    text: bytes
    is_message: bool = False
