"""HTTP requests as any client may send them, for what our own client would never ask."""

import http.client
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_LIMIT = 60.0  # seconds; only a failure takes as long


class Answer(NamedTuple):
    """An HTTP response."""

    status: int
    headers: Mapping[str, str]
    text: str


class UnixHttp(http.client.HTTPConnection):
    """A connection to a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_LIMIT)
        self._path = path

    def connect(self) -> None:
        """Connect, as the base class would over TCP."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def request(
    connection: http.client.HTTPConnection,
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: str | bytes = "",
) -> Answer:
    """One request on a connection of its own. Text is sent as UTF-8."""
    try:
        content = body.encode() if isinstance(body, str) else body
        connection.request(method, path, content or None, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, dict(response.headers), response.read().decode())
    finally:
        connection.close()


def free_port() -> int:
    """A TCP port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
