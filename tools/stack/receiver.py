"""Who is told of alerts: a webhook that remembers everything."""

import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, Self

import msgspec

from tools.stack.ending import Ended
from tools.stack.errors import StackError
from tools.stack.program import HOST

_LARGEST = 1 << 22  # bytes of a notification
_LOOK_FOR_END = 0.05  # seconds


class Notice(msgspec.Struct, frozen=True, rename="camel"):
    """What was told of one alert, one time."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: str
    ends_at: str
    told_at: str = ""  # the path of the webhook: Alertmanager's receivers may differ by it

    @property
    def name(self) -> str:
        """Its alertname."""
        return self.labels["alertname"]

    def is_about(self, name: str, **labels: str) -> bool:
        """Whether it is about this alert, with these labels among its own."""
        return self.name == name and labels.items() <= self.labels.items()


class _Notification(msgspec.Struct):
    """What Alertmanager posts: a group of alerts, told again whenever one of them changes."""

    alerts: list[Notice]


class Receiver(Ended):
    """A webhook on a port of 127.0.0.1. A context manager: closed at the end."""

    def __init__(
        self, *, port: int = 0, on_notice: Callable[[Notice], None] | None = None
    ) -> None:
        self._notices: list[Notice] = []
        self._on_notice = on_notice
        try:
            self._server = ThreadingHTTPServer((HOST, port), self._handler())
        except OSError as error:
            raise StackError(
                f"the receiver of notifications can't listen on port {port}: {error.strerror}",
                "another program may have this port: end it, or choose another port",
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_LOOK_FOR_END,), daemon=True
        )

    @classmethod
    def start(cls, *, port: int = 0, on_notice: Callable[[Notice], None] | None = None) -> Self:
        """Listen. `on_notice` is called for each, on a thread of its own."""
        receiver = cls(port=port, on_notice=on_notice)
        receiver._thread.start()
        return receiver

    @property
    def url(self) -> str:
        """Where notifications are to be posted."""
        return f"http://{HOST}:{self._server.server_port}/"

    def notices(self, name: str = "", **labels: str) -> list[Notice]:
        """All that was told so far, of one alert or of all, in order."""
        told = list(self._notices)
        return [one for one in told if not name or one.is_about(name, **labels)]

    def last(self, name: str, **labels: str) -> Literal["", "firing", "resolved"]:
        """What an alert is by the last that was told of it; empty if nothing ever was."""
        told = self.notices(name, **labels)
        return told[-1].status if told else ""

    def stop(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _take(self, body: bytes, path: str) -> None:
        for posted in msgspec.json.decode(body, type=_Notification).alerts:
            notice = msgspec.structs.replace(posted, told_at=path)
            self._notices.append(notice)
            if self._on_notice is not None:
                self._on_notice(notice)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            """Takes what is posted, wherever to."""

            def do_POST(self) -> None:
                """Remember it."""
                length = min(int(self.headers.get("Content-Length", "0")), _LARGEST)
                try:
                    receiver._take(self.rfile.read(length), self.path)  # its own
                    status = HTTPStatus.OK
                except msgspec.MsgspecError:
                    status = HTTPStatus.BAD_REQUEST
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name
                """Say nothing: it is all remembered."""

        return Handler
