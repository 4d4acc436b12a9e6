"""What programs print, on its way to those who listen to it as it is read."""

from collections.abc import Callable, Iterable

from opsvisor.core.spec import NOBODY, Pid, ProcessId
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
    """Who hears what processes print.

    What a listener raises goes to `on_error`, and costs neither the others nor the log anything.
    """

    def __init__(self, on_error: Callable[[Exception], None]) -> None:
        self._on_error = on_error
        self._listening: list[_Listener] = []
        self._overhearing: list[_Listener] = []

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

    def told(self, output: Output) -> None:
        """A process printed something that its spec wants told."""
        self._tell(self._listening, output)

    def message(self, output: Output) -> None:
        """A process had something to say to whoever listens."""
        self._tell(self._overhearing + self._listening, output)

    def overheard(self, output: Output) -> None:
        """A process printed something, told or not."""
        self._tell(self._overhearing, output)

    def _tell(self, listeners: Iterable[_Listener], output: Output) -> None:
        if output.pid == NOBODY:  # of no run, and nobody could say whose it is
            return
        for listener in listeners:
            try:
                listener(output)
            except Exception as error:  # noqa: BLE001 - a listener's bug must not cost log lines
                self._on_error(error)
