"""What clients write to the standard input of processes.

A pipe holds 64 KiB. What it does not take is kept, and written as the process reads: clients of
Supervisor send files this way. Beyond LONGEST_BACKLOG they are told that nobody reads; Supervisor
keeps all of it, and answers with an internal error.
"""

from functools import partial

from opsvisor.compat.supervisor.rpc.faults import Fault, RpcFault
from opsvisor.control.control import Control
from opsvisor.core.events import Event, ProcessExited
from opsvisor.core.spec import ProcessId
from opsvisor.core.view import ProcessView
from opsvisor.runtime.streams import ProcessStreams, StdinFullError, StdinUnavailableError

LONGEST_BACKLOG = 1024 * 1024


class Stdin:
    """Writes to processes, and keeps what they don't take at once."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._backlogs: dict[ProcessId, bytearray] = {}  # of the present runs
        control.bus.listen(self._on_event, to=(ProcessExited,))

    def write(self, view: ProcessView, text: bytes, *, name: str) -> None:
        """Write this after all that came before. NO_FILE where nothing can be written.

        `name` is the process's in a fault.
        """
        backlog = self._backlogs.get(view.id, bytearray())
        if len(backlog) + len(text) > LONGEST_BACKLOG:
            raise RpcFault(Fault.FAILED, f"{name} does not read its standard input")
        streams = self._control.engine.streams(view.id)
        try:
            taken = 0 if backlog else _write(streams, text)
        except StdinUnavailableError:
            raise RpcFault(Fault.NO_FILE, name) from None
        if taken == len(text):
            return
        if self._control.supervisor.plan.feed_of(
            view.id.group
        ):  # events are written there, and wait for room in their way
            raise RpcFault(Fault.FAILED, f"{name} took {taken} of {len(text)} bytes")
        backlog += text[taken:]
        self._backlogs[view.id] = backlog
        streams.when_stdin_takes_more(partial(self._go_on, view.id, streams))

    def _go_on(self, process_id: ProcessId, streams: ProcessStreams) -> None:
        backlog = self._backlogs[process_id]
        try:
            del backlog[: _write(streams, backlog)]
        except StdinUnavailableError:
            backlog.clear()  # the process has closed it: who wrote can't be told any more
        if backlog:
            streams.when_stdin_takes_more(partial(self._go_on, process_id, streams))
        else:
            del self._backlogs[process_id]

    def _on_event(self, event: Event) -> None:
        if isinstance(event, ProcessExited):
            self._backlogs.pop(event.id, None)


def _write(streams: ProcessStreams, text: bytes | bytearray) -> int:
    try:
        return streams.write_stdin(bytes(text))
    except StdinFullError:
        return 0
