"""A real HTTP server on a unix socket that gives recorded answers, and builders for them."""

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any, NamedTuple

import msgspec

from opsvisor import wire

NOW = 1_795_426_673.0  # 2026-11-23 09:37:53 UTC
_LIMIT = 60.0  # seconds that only a failure takes


class Request(NamedTuple):
    """What a client sent."""

    line: str  # `GET /api/v1/processes?name=x`
    headers: dict[str, str]
    body: bytes
    connection: int  # counts the connections of this server from 0


class Raw(NamedTuple):
    """An answer that is not of our making."""

    status: int
    body: bytes
    kind: str = "text/html"


class Sse(NamedTuple):
    """A stream of server-sent events, sent as they stand; `until` set, the server hangs up."""

    text: str
    until: threading.Event | None = None


Answer = msgspec.Struct | Raw | Sse | None  # None hangs up without a word
Answering = Answer | Callable[[Request], Answer]


class RecordedDaemon(ThreadingMixIn, UnixStreamServer):
    """Gives `answers[request line]`, and keeps what it was asked."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, path: Path) -> None:
        self.url = f"unix://{path}"
        self.answers: dict[str, Answering] = {}
        self.requests: list[Request] = []
        self.connections = 0
        super().__init__(str(path), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print what went wrong, but not that a client had left: Ctrl-C is one of the tests."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def answer(self, request: Request) -> Answer:
        """The recorded answer; 404 as opsvisord words it where there is none."""
        self.requests.append(request)
        answer = self.answers.get(request.line, problem(404, "not_found", request.line))
        return answer(request) if callable(answer) else answer

    def lines(self) -> list[str]:
        """The request lines so far."""
        return [request.line for request in self.requests]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RecordedDaemon

    def setup(self) -> None:
        super().setup()
        self.number = self.server.connections
        self.server.connections += 1

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        request = Request(
            f"{self.command} {self.path}",
            dict(self.headers.items()),
            self.rfile.read(length),
            self.number,
        )
        answer = self.server.answer(request)
        match answer:
            case None:
                self.close_connection = True
            case Sse(text, until):
                self._stream(text, until)
            case Raw(status, body, kind):
                self._send(status, body, kind)
            case wire.Problem():
                kind = "application/problem+json"
                self._send(answer.status, msgspec.json.encode(answer), kind)
            case _:
                self._send(200, msgspec.json.encode(answer), "application/json")

    do_POST = do_GET  # noqa: N815 - the standard library's naming

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, text: str, until: threading.Event | None) -> None:
        self.close_connection = True
        with suppress(ConnectionError):  # clients hang up on streams, at any moment
            self._send_stream(text, until)

    def _send_stream(self, text: str, until: threading.Event | None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        body = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
        if until is not None:
            until.wait(_LIMIT)
        else:
            self.wfile.write(b"0\r\n\r\n")

    def address_string(self) -> str:
        """Unix clients have no address."""
        return "client"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited name
        """Say nothing."""


@contextmanager
def recorded_daemon(path: Path) -> Iterator[RecordedDaemon]:
    """A daemon on that socket, which is gone afterwards."""
    with RecordedDaemon(path) as daemon:
        serving = threading.Thread(target=daemon.serve_forever, args=(0.01,))
        serving.start()
        try:
            yield daemon
        finally:
            daemon.shutdown()
            serving.join()
    path.unlink()


def problem(
    status: int,
    code: str,
    detail: str = "",
    *,
    hint: str = "",
    problems: Sequence[wire.ConfigProblem] = (),
) -> wire.Problem:
    """A refusal by the daemon."""
    return wire.Problem(
        type="about:blank",
        title=code,
        status=status,
        code=code,
        detail=detail,
        hint=hint,
        problems=list(problems),
    )


_NEVER_RUN = wire.ProcessStatus(
    name="",
    group="",
    process="",
    program="",
    replica=0,
    state="STOPPED",
    state_code=0,
    description="Not started",
    reason="",
    since=NOW - 60,
    pid=0,
    ready=False,
    healthy=None,
    flapping=False,
    expected_running=False,
    started_at=0.0,
    stopped_at=0.0,
    uptime=0.0,
    starts=0,
    restarts=0,
    failed_starts=0,
    retry_at=0.0,
    kills_survived=0,
    exit_code=None,
    exit_signal=None,
    spawn_error="",
    stdout_log="",
    stderr_log="",
    log_problem="",
    cgroup="",
    limits_problem="",
    priority=999,
    group_priority=999,
    startup="enabled",
    labels={},
    cpu_seconds=None,
    rss_bytes=None,
    tree_processes=None,
    open_fds=None,
)


def stopped(name: str) -> wire.ProcessStatus:
    """A process that was never started."""
    group, _, process = name.partition(":")
    return msgspec.structs.replace(
        _NEVER_RUN, name=name, group=group, process=process or group, program=group
    )


def running(name: str, pid: int = 4211) -> wire.ProcessStatus:
    """A process that has been up for a minute."""
    return msgspec.structs.replace(
        stopped(name),
        state="RUNNING",
        state_code=20,
        description=f"pid {pid}, uptime 0:01:00",
        reason="up for min_uptime",
        pid=pid,
        ready=True,
        expected_running=True,
        started_at=NOW - 61,
        uptime=60.0,
        starts=1,
        cpu_seconds=12.5,
        rss_bytes=52_428_800,
        tree_processes=3,
        open_fds=20,
    )


def fatal(name: str) -> wire.ProcessStatus:
    """A process that was given up and is tried again in ten minutes."""
    return msgspec.structs.replace(
        stopped(name),
        state="FATAL",
        state_code=200,
        description="Exited too quickly (process log may have details)",
        reason="9 automatic restarts in 600 s, more than 8",
        flapping=True,
        expected_running=True,
        started_at=NOW - 62,
        stopped_at=NOW - 60,
        starts=9,
        restarts=8,
        failed_starts=3,
        retry_at=NOW + 600,
        exit_code=3,
        log_problem="No space left on device",
    )


def run(*, expected: bool, started_at: float, stderr: Sequence[str] = ()) -> wire.Run:
    """A finished run of two seconds."""
    return wire.Run(
        pid=4000,
        started_at=started_at,
        ended_at=started_at + 2,
        uptime=2.0,
        outcome="exit status 0" if expected else "exit status 3",
        exit_code=0 if expected else 3,
        exit_signal=None,
        core_dumped=False,
        cause="success" if expected else "failure",
        expected=expected,
        decision="stays EXITED" if expected else "restart in 4 s: exit 3 is no success",
        user_seconds=0.1,
        system_seconds=0.0,
        max_rss_bytes=1024,
        stderr_tail=list(stderr),
        stdout_tail=[],
    )


def result(name: str, outcome: str = "ok", reason: str = "") -> wire.ActionResult:
    """What became of one process."""
    group, _, process = name.partition(":")
    return wire.ActionResult(
        name=name, group=group, process=process or group, result=outcome, reason=reason
    )


def results(*each: wire.ActionResult) -> wire.ActionResponse:
    """The answer to an action."""
    return wire.ActionResponse(results=list(each))


def diff(
    *,
    added: Sequence[str] = (),
    changed: Sequence[str] = (),
    removed: Sequence[str] = (),
    restarted: Sequence[str] = (),
    daemon: Sequence[str] = (),
) -> wire.ConfigDiff:
    """A difference by groups; `restarted` are processes that must restart for it."""
    return wire.ConfigDiff(
        added=list(added),
        changed=[
            wire.ConfigChange(name=name, fields=["command"], restart=True) for name in restarted
        ],
        removed=list(removed),
        groups_added=list(added),
        groups_changed=list(changed),
        groups_removed=list(removed),
        daemon_changed=list(daemon),
        warnings=[],
    )


DAEMON = wire.DaemonInfo(
    version="0.1.0",
    identifier="opsvisor",
    pid=4200,
    state="running",
    started_at=NOW - 3600,
    uptime=3600.0,
    config_files=["/etc/opsvisor.toml"],
    generation=1,
    last_reload_ok=True,
    last_reload_at=NOW - 3600,
    last_reload_problems=[],
    processes=3,
    python="3.11.7",
    log_file="",
    user="root",
    containment="process group + subreaper (no delegated cgroup)",
)
