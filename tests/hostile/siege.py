"""What must hold while clients attack, and the clients that do it.

An attack is bounded in everything: so many connections, so many rounds, only to this machine.
"""

import json
import os
import select
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import NamedTuple

from daemon import Daemon, StartDaemon, eventually
from http_requests import free_port
from procfs import descriptors_to_others, status_of
from stopwatch import in_time

from opsvisor.client import Client

# Of what an attack may cost. A machine that runs other tests as well is slow now and then.
ANSWERS_WITHIN = 1.0  # seconds
RESTARTS_WITHIN = 1.0  # seconds, from SIGKILL to the next process
GROWS_BY = 48 * 1024  # KiB of RSS, with buffers of all connections

# Short ones, so that nobody waits long for what takes minutes by default.
LIMITS = """
[server.limits]
connections = 64
request_timeout = "2s"
idle_timeout = "4s"
answer_timeout = "2s"
"""
PROGRAMS = """
[program.web]
command = "$VICTIM"
stdin = "pipe"
min_uptime = "0s"
backoff_delay = "0s"
"""


class Way(Enum):
    """How a client gets to the daemon."""

    UNIX = "unix"
    TCP = "tcp"


class Answer(NamedTuple):
    """An HTTP answer as it came, in parts."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """That of the problem that it tells."""
        assert self.headers["content-type"].startswith("application/problem+json"), self
        problem = json.loads(self.body)
        assert problem["status"] == self.status
        assert problem["detail"]
        assert problem["hint"]
        code: str = problem["code"]
        return code


@dataclass
class Besieged:
    """A daemon with a unix socket and a TCP port, and what it was like before any attack."""

    daemon: Daemon
    port: int
    ways: tuple[Way, ...] = tuple(Way)  # by which anybody is let in
    rss: int = 0
    descriptors: int = 0

    def rest(self) -> None:
        """Note how it is in peace, with everything loaded that will be needed."""
        for _ in range(20):
            for way in Way:
                self.ask(way, "/metrics")
                self.ask(way, "/api/v1/processes/web")
        self.rss = self.rss_now()
        self.descriptors = len(descriptors_to_others(self.daemon.pid))

    def rss_now(self) -> int:
        """Resident memory in KiB."""
        return int(status_of(self.daemon.pid)["VmRSS"].split()[0])

    def connect(self, way: Way, *, timeout: float = 20.0, buffer: int = 0) -> socket.socket:
        """A connection of a client, with so small a `buffer` for what it gets."""
        family = socket.AF_UNIX if way is Way.UNIX else socket.AF_INET
        client = socket.socket(family, socket.SOCK_STREAM)
        if buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        client.connect(
            str(self.daemon.home.socket) if way is Way.UNIX else ("127.0.0.1", self.port)
        )
        client.settimeout(timeout)  # before, a unix socket would not wait for a place in the queue
        return client

    def send(self, way: Way, request: bytes) -> Answer | None:
        """The first answer to these bytes; None if there is none before the connection ends."""
        with self.connect(way) as client:
            with suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(request)
            return read_answer(client)

    def ask(
        self, way: Way, path: str, *, method: str = "GET", body: bytes = b"", **headers: str
    ) -> Answer:
        """The answer to an honest request."""
        head = {"host": "localhost", "connection": "close", **headers}
        if body or method == "POST":
            head = {"content-type": "application/json", "content-length": str(len(body)), **head}
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in head.items()]
        text = "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""])
        answer = self.send(way, text.encode("utf-8", "surrogateescape") + body)
        assert answer is not None
        return answer

    # -- what must hold ----------------------------------------------------------------------

    def check(self) -> None:
        """Supervision goes on, honest clients are answered, and no bug was met."""
        self.check_answers()
        self.check_restarts()
        self.check_no_bugs()
        assert self.rss_now() - self.rss < GROWS_BY

    def check_answers(self) -> None:
        """An honest client of either listener is answered at once."""
        urls = {
            Way.UNIX: f"unix://{self.daemon.home.socket}",
            Way.TCP: f"http://127.0.0.1:{self.port}",
        }
        for way in self.ways:
            in_time(partial(_ask, urls[way]), ANSWERS_WITHIN)

    def check_restarts(self) -> None:
        """A program that is killed is there again within a moment."""

        def kill() -> None:
            pid = self.daemon.until("web", "RUNNING").pid
            os.kill(pid, signal.SIGKILL)
            eventually(lambda: self.daemon.status("web").pid not in (0, pid))

        in_time(kill, RESTARTS_WITHIN)

    def check_no_bugs(self) -> None:
        """Nothing that happened was a surprise, nor has it got into the log in the raw."""
        lines = self.daemon.http("/metrics").text.splitlines()
        errors = [one for one in lines if one.startswith("opsvisor_internal_errors_total")]
        assert errors
        assert all(float(one.rpartition(" ")[2]) == 0 for one in errors), errors
        for text in (self.daemon.log, self.daemon.home.output.read_text()):
            assert text.replace("\n", "").replace("\t", "").isprintable()

    def check_peace(self) -> None:
        """Everything that the attack took is given back."""
        self.daemon.client.close()
        self.daemon._client = None

        def given_back() -> bool:
            return len(descriptors_to_others(self.daemon.pid)) <= self.descriptors

        eventually(given_back)
        self.check()
        assert self.metric("opsvisor_http_connections", "unix") <= 2

    def metric(self, name: str, listener: str, **labels: str) -> float:
        """A series of one listener."""
        return self.daemon.metric(name, listener=listener, **labels)


@contextmanager
def besieged(
    start_daemon: StartDaemon,
    *,
    limits: str = LIMITS,
    programs: str = PROGRAMS,
    http: str = "",
    main: str = "",
    open_port: bool = True,
) -> Iterator[Besieged]:
    """A daemon under attack in the block; afterwards it must be as it was before."""
    port = free_port()
    server = f'http = {{ listen = "127.0.0.1:{port}"{http} }}\n{main}\n{limits}'
    daemon = start_daemon(programs, main=server)
    daemon.until("web", "RUNNING")
    one = Besieged(daemon, port, tuple(Way) if open_port else (Way.UNIX,))
    one.rest()
    yield one
    one.check_peace()


@contextmanager
def many(one: Besieged, way: Way, count: int, *, buffer: int = 0) -> Iterator[list[socket.socket]]:
    """So many connections at once, which are closed after the block."""
    with ExitStack() as stack:
        yield [stack.enter_context(one.connect(way, buffer=buffer)) for _ in range(count)]


def read_answer(client: socket.socket) -> Answer | None:
    """The next answer, interim ones left out; None if the connection ends before it."""
    pending = b""
    try:
        while b"\r\n\r\n" not in pending:
            piece = client.recv(65536)
            if not piece:
                return None
            pending += piece
            if pending.startswith(b"HTTP/1.1 100 "):
                pending = pending.partition(b"\r\n\r\n")[2]
        head, _, body = pending.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (x.partition(":") for x in lines)
        }
        length = int(headers.get("content-length", "0"))
        while len(body) < length:
            piece = client.recv(65536)
            if not piece:
                break
            body += piece
    except ConnectionResetError:
        return None
    return Answer(int(first.split()[1]), headers, body[:length])


def _ask(url: str) -> None:
    with Client(url, timeout=ANSWERS_WITHIN) as client:
        client.processes()


def is_closed(client: socket.socket) -> bool:
    """Whether the other side has ended this connection; what it said before is thrown away."""
    client.setblocking(False)
    try:
        while client.recv(65536):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        pass
    return True


def drip(clients: list[socket.socket], text: bytes, *, every: float, rounds: int) -> None:
    """Send this one byte at a time on each of the connections, as long as they last."""
    for number in range(rounds):
        for client in clients:
            with suppress(OSError):
                client.send(text[number % len(text) : number % len(text) + 1])
        select.select([], [], [], every)
