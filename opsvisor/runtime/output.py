"""What programs print, on its way to those who listen to it as it is read."""

from collections.abc import Callable, Iterable

from opsvisor.core.spec import Pid, ProcessId
from opsvisor.core.struct import Struct
from opsvisor.runtime.logs.stream import Stream

_Listener = Callable[["Output"], None]


class Output(Struct, frozen=True):
    """One chunk that a process wrote, as it was read: not cut into lines. `pid` is its run.

    `is_message`: instead, a message to whoever listens, whole, and in no log.
    """

    id: ProcessId
    pid: Pid
    stream: Stream
    text: bytes
    is_message: bool = False


class OutputListeners:
    """Who hears what processes print, and of which run it is.

    What a listener raises goes to `on_error`, and costs neither the others nor the log anything.
    """

    def __init__(self, on_error: Callable[[Exception], None]) -> None:
        self._on_error = on_error
        self._listening: list[_Listener] = []
        self._overhearing: list[_Listener] = []
        self._pids: dict[ProcessId, Pid] = {}  # of the present run, or the last one

    def listen(self, listener: _Listener) -> None:
        """Call this with what is printed where a spec says that it is told, and with messages."""
        self._listening.append(listener)

    def overhear(self, listener: _Listener) -> None:
        """Call this with everything, told or not."""
        self._overhearing.append(listener)

    @property
    def is_overheard(self) -> bool:
        """Whether anybody wants to hear everything."""
        return bool(self._overhearing)

    def run_began(self, process_id: ProcessId, pid: Pid) -> None:
        """What it prints from now on is of this run."""
        self._pids[process_id] = pid

    def forget(self, process_id: ProcessId) -> None:
        """It is no longer there."""
        self._pids.pop(process_id, None)

    def told(self, process_id: ProcessId, stream: Stream, text: bytes) -> None:
        """It printed something that its spec wants told."""
        self._tell(self._listening, process_id, stream, text)

    def message(self, process_id: ProcessId, stream: Stream, text: bytes) -> None:
        """It had something to say to whoever listens."""
        listeners = self._overhearing + self._listening
        self._tell(listeners, process_id, stream, text, is_message=True)

    def overheard(self, process_id: ProcessId, stream: Stream, text: bytes) -> None:
        """It printed something, told or not."""
        self._tell(self._overhearing, process_id, stream, text)

    def _tell(
        self,
        listeners: Iterable[_Listener],
        process_id: ProcessId,
        stream: Stream,
        text: bytes,
        *,
        is_message: bool = False,
    ) -> None:
        pid = self._pids.get(process_id)
        if pid is None:
            return
        output = Output(process_id, pid, stream, text, is_message)
        for listener in listeners:
            try:
                listener(output)
            except Exception as error:  # noqa: BLE001 - a listener's bug must not cost log lines
                self._on_error(error)
