"""The API of opsvisord as Python calls: one method per operation, wire types in and out."""

from base64 import b64encode
from collections.abc import Sequence
from types import TracebackType
from typing import Literal, Self, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from opsvisor import wire
from opsvisor.client.address import parse_url
from opsvisor.client.errors import ApiError
from opsvisor.client.samples import Sample, parse_samples
from opsvisor.client.sse import ServerEvent
from opsvisor.client.transport import Stream, Transport

StreamName = Literal["stdout", "stderr"]
Answer = TypeVar("Answer")

_API = "/api/v1"
_CONNECT_TIMEOUT = 10.0


class LogPiece(msgspec.Struct, kw_only=True, frozen=True):
    """Text that was just written to a log; `offset` is where it ends."""

    text: str
    offset: int


class LogGap(msgspec.Struct, kw_only=True, frozen=True):
    """The reader was too slow, or the log was cut: this many bytes were not sent."""

    lost_bytes: int


class EventGap(msgspec.Struct, kw_only=True, frozen=True):
    """The first and last id of the events that could not be delivered."""

    lost: tuple[int, int]


class Client:
    """Talks to one opsvisord. Not for use by several threads at once.

    `url` is `unix:///path` or `http://host:port` (BadUrl otherwise). `timeout` is how many seconds
    an answer may take, except for calls that wait for processes: those take what they take.
    Every method raises NoDaemon, Unauthorized or ApiError.
    """

    def __init__(
        self,
        url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        timeout: float = 60.0,
    ) -> None:
        self._transport = Transport(parse_url(url), min(timeout, _CONNECT_TIMEOUT))
        self._timeout = timeout
        if username:
            self.login(username, password or "")

    @property
    def url(self) -> str:
        """Where the daemon is, in one spelling."""
        return str(self._transport.address)

    def login(self, username: str, password: str) -> None:
        """Use these credentials from the next call on."""
        token = b64encode(f"{username}:{password}".encode()).decode()
        self._transport.headers["Authorization"] = f"Basic {token}"

    def close(self) -> None:
        """Close the kept connection."""
        self._transport.close()

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the kept connection."""
        self.close()

    # The daemon

    def daemon(self) -> wire.DaemonInfo:
        """What the daemon says about itself."""
        return self._get("/daemon", wire.DaemonInfo)

    def targets(self) -> list[wire.TargetGroup]:
        """Where Prometheus can scrape the daemon; none while it listens nowhere on TCP."""
        return self._get("/sd", list[wire.TargetGroup])

    def metrics(self) -> list[Sample]:
        """Every sample of /metrics, as Prometheus would read it now."""
        answer = self._transport.call("GET", "/metrics", body=None, patience=self._timeout)
        try:
            return list(parse_samples(answer.decode()))
        except ValueError as error:  # no UTF-8 is one too
            raise ApiError(_unreadable(self.url, error)) from error

    def shutdown(self) -> None:
        """Ask the daemon to stop everything and end; returns once it has agreed."""
        self._post("/daemon/shutdown", None, dict)

    def reload(self) -> None:
        """Ask the daemon to stop everything and begin anew; returns once it has agreed."""
        self._post("/daemon/reload", None, dict)

    def daemon_log(
        self,
        *,
        last_bytes: int | None = None,
        last_lines: int | None = None,
        offset: int | None = None,
        length: int | None = None,
    ) -> wire.LogText:
        """A piece of the daemon's own log; see `log`."""
        span = _query(bytes=last_bytes, lines=last_lines, offset=offset, length=length)
        return self._get(f"/daemon/log{span}", wire.LogText)

    def clear_daemon_log(self) -> None:
        """Empty the daemon's own log."""
        self._post("/daemon/log/clear", None, dict)

    def follow_daemon_log(self, last_bytes: int = 0) -> Stream[LogPiece | LogGap]:
        """The last bytes of the daemon's log, then whatever is added to it."""
        return self._follow(f"/daemon/log/follow{_query(bytes=last_bytes)}")

    # Processes

    def processes(self, *names: str) -> wire.ProcessList:
        """Every process, or those that the names and patterns stand for."""
        query = urlencode([("name", name) for name in names])
        return self._get(f"/processes{'?' if query else ''}{query}", wire.ProcessList)

    def process(self, name: str) -> wire.ProcessDetail:
        """One process with its settings and its process tree."""
        return self._get(f"/processes/{_quoted(name)}", wire.ProcessDetail)

    def history(self, name: str) -> wire.History:
        """Why a process is as it is, and its last runs."""
        return self._get(f"/processes/{_quoted(name)}/history", wire.History)

    def act(
        self,
        action: Literal["start", "stop", "restart", "signal"],
        names: Sequence[str],
        *,
        signal: str | int | None = None,
        wait: bool = True,
        timeout: float | None = None,
    ) -> wire.ActionResponse:
        """Start, stop, restart or signal processes, and wait for it as long as they need."""
        request = wire.ActionRequest(
            action=action, names=list(names), signal=signal, wait=wait, timeout=timeout
        )
        return self._post_and_wait("/actions", request, wire.ActionResponse)

    def write_stdin(self, name: str, text: str) -> wire.StdinResponse:
        """Write to the standard input of a process."""
        request = wire.StdinRequest(text=text)
        return self._post(f"/processes/{_quoted(name)}/stdin", request, wire.StdinResponse)

    def groups(self) -> wire.GroupList:
        """Every group."""
        return self._get("/groups", wire.GroupList)

    def programs(self) -> wire.ProgramList:
        """Every program."""
        return self._get("/programs", wire.ProgramList)

    # Logs

    def log(
        self,
        name: str,
        stream: StreamName = "stdout",
        *,
        last_bytes: int | None = None,
        last_lines: int | None = None,
        offset: int | None = None,
        length: int | None = None,
    ) -> wire.LogText:
        """A piece of a log: its last bytes, its last lines, or `length` bytes from `offset`."""
        span = _query(bytes=last_bytes, lines=last_lines, offset=offset, length=length)
        return self._get(f"/processes/{_quoted(name)}/logs/{stream}{span}", wire.LogText)

    def follow_log(
        self, name: str, stream: StreamName = "stdout", *, last_bytes: int = 0
    ) -> Stream[LogPiece | LogGap]:
        """The last bytes of a log, then whatever is added to it."""
        query = _query(bytes=last_bytes)
        return self._follow(f"/processes/{_quoted(name)}/logs/{stream}/follow{query}")

    def clear_logs(self, names: Sequence[str]) -> wire.ActionResponse:
        """Empty both logs of these processes."""
        return self._post("/logs/clear", wire.ClearRequest(names=list(names)), wire.ActionResponse)

    # The configuration

    def available(self) -> wire.AvailableList:
        """Every process of the configuration as last read, in use or not."""
        return self._get("/config/available", wire.AvailableList)

    def config_diff(self) -> wire.ConfigDiff:
        """What an `apply` of the files as last read would change; they are not read again."""
        return self._get("/config/diff", wire.ConfigDiff)

    def reread(self) -> wire.ConfigDiff:
        """Read the files, keep them for a later `apply`, and say what they change."""
        return self._post("/config/reread", None, wire.ConfigDiff)

    def apply(self, groups: Sequence[str] = (), *, reread: bool = True) -> wire.ApplyResponse:
        """Carry out the configuration, for these groups or (none named) for all of them."""
        request = wire.ApplyRequest(groups=list(groups), reread=reread)
        return self._post_and_wait("/config/apply", request, wire.ApplyResponse)

    def add_groups(self, names: Sequence[str]) -> wire.GroupResponse:
        """Take into use groups that the last `reread` saw."""
        request = wire.GroupRequest(groups=list(names))
        return self._post_and_wait("/config/groups/add", request, wire.GroupResponse)

    def remove_groups(self, names: Sequence[str]) -> wire.GroupResponse:
        """Forget groups whose processes are all stopped."""
        request = wire.GroupRequest(groups=list(names))
        return self._post_and_wait("/config/groups/remove", request, wire.GroupResponse)

    # Events

    def events(
        self, replay: int = 0, *, last_event_id: int | None = None
    ) -> Stream[wire.Event | EventGap]:
        """Events as they happen, after the last `replay` ones or all since `last_event_id`."""
        headers = {} if last_event_id is None else {"Last-Event-ID": str(last_event_id)}
        query = _query(replay=replay or None)
        return self._transport.stream(f"{_API}/events{query}", headers).map(_published)

    def _get(self, target: str, kind: type[Answer]) -> Answer:
        answer = self._transport.call("GET", _API + target, body=None, patience=self._timeout)
        return self._decoded(answer, kind)

    def _post(self, target: str, request: msgspec.Struct | None, kind: type[Answer]) -> Answer:
        return self._decoded(self._send(target, request, patience=self._timeout), kind)

    def _post_and_wait(self, target: str, request: msgspec.Struct, kind: type[Answer]) -> Answer:
        """Stopping may take a minute, starting an hour: only the daemon knows how long."""
        return self._decoded(self._send(target, request, patience=None), kind)

    def _send(
        self, target: str, request: msgspec.Struct | None, *, patience: float | None
    ) -> bytes:
        body = b"{}" if request is None else wire.encode(request)
        return self._transport.call("POST", _API + target, body=body, patience=patience)

    def _decoded(self, answer: bytes, kind: type[Answer]) -> Answer:
        try:
            return msgspec.json.decode(answer, type=kind)
        except msgspec.MsgspecError as error:
            raise ApiError(_unreadable(self.url, error)) from error

    def _follow(self, target: str) -> Stream[LogPiece | LogGap]:
        return self._transport.stream(_API + target, {}).map(_log_piece)


def _log_piece(event: ServerEvent) -> LogPiece | LogGap:
    if event.event == "gap":
        return msgspec.json.decode(event.text, type=LogGap)
    return msgspec.json.decode(event.text, type=LogPiece)


def _published(event: ServerEvent) -> wire.Event | EventGap:
    if event.event == "gap":
        return msgspec.json.decode(event.text, type=EventGap)
    return msgspec.json.decode(event.text, type=wire.Event)


def _unreadable(url: str, error: ValueError | msgspec.MsgspecError) -> wire.Problem:
    return wire.Problem(
        type="about:blank",
        title="Unreadable answer",
        status=200,
        code="unreadable_answer",
        detail=f"{url} sent an answer that this client can't read: {error}",
        hint="are opsvisord and opsvisorctl of the same version? compare `opsvisorctl --version`",
    )


def _quoted(name: str) -> str:
    return quote(wire.as_text(name), safe="")


def _query(**values: int | None) -> str:
    given = {name: value for name, value in values.items() if value is not None}
    return f"?{urlencode(given)}" if given else ""
