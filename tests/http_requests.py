"""HTTP requests as any client may send them, for what our own client would never ask."""

import http.client
import os
import random
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

_LIMIT = 60.0  # seconds; only a failure takes as long
_PORTS = range(10_000, 20_000)


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
    """A TCP port of this machine that nobody listens on, for a program that is yet to begin.

    Below those that the kernel gives out by itself, and others for each worker of pytest: nobody
    else comes by it before that program does.
    """
    ports = _ports_of_this_worker()
    for port in islice(ports, len(_PORTS)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise AssertionError(f"no port is free between {_PORTS.start} and {_PORTS.stop}")


@cache
def _ports_of_this_worker() -> Iterator[int]:
    """Each of them once before any comes again."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    mine = _PORTS[worker::workers]
    # Tests are given the same random numbers each time, but this run may not be the only one.
    return cycle(random.SystemRandom().sample(mine, len(mine)))
