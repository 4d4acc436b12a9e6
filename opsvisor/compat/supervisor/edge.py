"""What the daemon mounts beside its own API for those who come from Supervisor."""

import json
from collections.abc import Iterator, Sequence

from aiohttp import web

from opsvisor.compat.supervisor.listeners.delivery import DeliveryMemento, EventDelivery
from opsvisor.compat.supervisor.observers import CountDropped, Log, Streaming
from opsvisor.compat.supervisor.output_copies import copy_output
from opsvisor.compat.supervisor.rpc.http import Interface
from opsvisor.control.control import Control
from opsvisor.runtime.memory.codec import decode, encode


class SupervisorEdge:
    """Supervisor's interfaces on top of the use cases: paths of HTTP, and event listeners.

    `log` writes a line to the activity log. `event_serials` go on where an earlier life of the
    daemon has come to. `count_dropped` counts events that a pool of listeners missed, `streaming`
    the logs that are being followed.
    """

    def __init__(
        self,
        control: Control,
        log: Log,
        event_serials: Iterator[int],
        *,
        count_dropped: CountDropped,
        streaming: Streaming,
    ) -> None:
        self._control = control
        self._log = log
        self.listeners = EventDelivery(control, log, event_serials, count_dropped)
        self._interface = Interface(
            control, log, tell_remote=self.listeners.tell_remote, streaming=streaming
        )

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """What every server of the daemon answers besides the API."""
        return self._interface.routes()

    def open(self) -> None:
        """Begin to tell event listeners; before the first process is started."""
        copy_output(self._control, self._log)
        self.listeners.open()

    def remember(self) -> str:
        """What another process needs to go on, as text for a hand-over."""
        return json.dumps(encode(DeliveryMemento, self.listeners.remember()))

    def recall(self, text: str) -> None:
        """Go on where another process was. Raises Undecodable."""
        self.listeners.recall(decode(DeliveryMemento, json.loads(text)))

    @staticmethod
    def check_memento(text: str) -> None:
        """Raise what `recall` would."""
        decode(DeliveryMemento, json.loads(text))

    def end_streams(self) -> None:
        """End the logs that are being followed: another process is about to answer here."""
        self._interface.end_streams()

    def close(self) -> None:
        """Tell nobody any more."""
        self._interface.close()
        self.listeners.close()
