"""The API of opsvisord as Python calls: one method per operation, wire types in and out."""

from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from types import TracebackType
from typing import BinaryIO, Literal, Self, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from opsvisor import wire
from opsvisor.client.address import parse_url
from opsvisor.client.errors import ApiError
from opsvisor.client.many_logs import once_each
from opsvisor.client.samples import Sample, parse_samples
from opsvisor.client.sse import ServerEvent
from opsvisor.client.transport import Stream, Transport, Trust
from opsvisor.wire import EventGap, LogGap, LogPiece, StreamName

Answer = TypeVar("Answer")

Watched = (
    wire.WatchSnapshot
    | wire.WatchChanged
    | wire.WatchRemoved
    | wire.WatchSamples
    | wire.DaemonInfo
)

_API = "/api/v1"
_REASON = "Opsvisor-Reason"
_CONNECT_TIMEOUT = 10.0
_WATCHED: dict[str, type[Watched]] = {
    "snapshot": wire.WatchSnapshot,
    "changed": wire.WatchChanged,
    "removed": wire.WatchRemoved,
    "samples": wire.WatchSamples,
    "daemon": wire.DaemonInfo,
}


class Client:
    """Talks to one opsvisord. Not for use by several threads at once.

    `url` is `unix:///path`, `http://host:port` or `https://host:port` (BadUrl otherwise).
    `username` and `password`, or a `token`, say who asks. For TLS `ca_file` names who vouches for
    the daemon (without it, whom the system trusts), and `client_cert` and `client_key` who asks
    (BadTls if they can't be used). `reason` stands in the daemon's audit log beside whatever is
    asked for. `timeout` is how many seconds an answer may take, except for calls that wait for
    processes: those take what they take. Every method raises NoDaemon, Unauthorized or ApiError.
    """

    def __init__(
        self,
        url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        token: str | None = None,
        ca_file: str | None = None,
        client_cert: str | None = None,
        client_key: str | None = None,
        reason: str = "",
        timeout: float = 60.0,
    ) -> None:
        trust = Trust(ca_file, client_cert, client_key)
        self._transport = Transport(parse_url(url), min(timeout, _CONNECT_TIMEOUT), trust)
        self._timeout = timeout
        if username:
            self.login(username, password or "")
        if token:
            self._transport.headers["Authorization"] = f"Bearer {token}"
        if reason:
            self._transport.headers[_REASON] = quote(wire.as_text(reason))

    def elsewhere(self, url: str) -> "Client":
        """A client of another daemon, which is told nothing of who asks. Raises BadUrl."""
        trust = self._transport.trust
        other = Client(url, ca_file=trust.ca_file, timeout=self._timeout)
        if reason := self._transport.headers.get(_REASON):
            other._transport.headers[_REASON] = reason
        return other

    @property
    def url(self) -> str:
        """Where the daemon is, in one spelling."""
        return str(self._transport.address)

    def login(self, username: str, password: str) -> None:
        """Use these credentials from the next call on."""
        token = b64encode(f"{username}:{password}".encode()).decode()
        self._transport.headers["Authorization"] = f"Basic {token}"

    def on_silence(self, tell: Callable[[], None] | None) -> None:
        """Have this called where an answer has not begun after two seconds: once, then no more.

        Not for streams and for calls that wait for processes, nor for `another` client.
        """
        self._transport.on_silence = tell

    def another(self) -> "Client":
        """A client of the same daemon with the same credentials, for another thread."""
        twin = copy(self)
        twin._transport = self._transport.another()  # noqa: SLF001 - of the same class
        return twin

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

    def me(self) -> wire.Me:
        """Who asks, as the daemon sees it, and how far they may go."""
        return self._get("/me", wire.Me)

    def targets(self) -> list[wire.TargetGroup]:
        """Where Prometheus can scrape the daemon; none while it listens nowhere on TCP."""
        return self._get("/sd", list[wire.TargetGroup])

    def is_alive(self) -> bool:
        """Whether the daemon answers at all: True, or NoDaemon is raised."""
        return self._asked("/healthz") == b"ok\n"

    def is_ready(self) -> bool:
        """Whether everything that is to be started has been, and no shutdown has begun."""
        try:
            return self._asked("/readyz") == b"ok\n"
        except ApiError as error:
            if error.problem.code == "not_ready":
                return False
            raise

    def contract(self) -> dict[str, object]:
        """What this daemon can be asked, as OpenAPI 3.1."""
        return self._decoded(self._asked("/openapi.json"), dict[str, object])

    def metrics(self, collect: Sequence[str] = ()) -> list[Sample]:
        """Every sample of /metrics as Prometheus would read it, or those of some collectors."""
        query = urlencode([("collect", one) for one in collect])
        answer = self._asked(f"/metrics{'?' if query else ''}{query}")
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

    def upgrade(self) -> wire.UpgradeResponse:
        """Ask the daemon to replace itself by the installed version; returns when that begins.

        ApiError `upgrade_refused` if it can't take over. The next call waits for the new version.
        """
        return self._post_and_wait("/daemon/upgrade", None, wire.UpgradeResponse)

    def daemon_log(
        self,
        *,
        last_bytes: int | None = None,
        last_lines: int | None = None,
        offset: int | None = None,
        length: int | None = None,
        since: float | None = None,
    ) -> wire.LogText:
        """A piece of the daemon's own log; see `log`."""
        span = _query(
            bytes=last_bytes, lines=last_lines, offset=offset, length=length, since=since
        )
        return self._get(f"/daemon/log{span}", wire.LogText)

    def clear_daemon_log(self) -> None:
        """Empty the daemon's own log."""
        self._post("/daemon/log/clear", None, dict)

    def follow_daemon_log(
        self, last_bytes: int = 0, *, since: float | None = None
    ) -> Stream[LogPiece | LogGap]:
        """The last bytes of the daemon's log, then whatever is added to it; see `follow_log`."""
        query = _query(bytes=last_bytes, since=since)
        return self._follow(f"/daemon/log/follow{query}")

    # Processes

    def processes(self, *names: str, resources: bool = True) -> wire.ProcessList:
        """Every process, or those that the names and patterns stand for.

        Without `resources`, what must be read from /proc is as old as it is.
        """
        query = urlencode(
            [*(("name", name) for name in names), *([] if resources else [("resources", "0")])]
        )
        return self._get(f"/processes{'?' if query else ''}{query}", wire.ProcessList)

    def process(self, name: str) -> wire.ProcessDetail:
        """One process with its settings and its process tree."""
        return self._get(f"/processes/{_quoted(name)}", wire.ProcessDetail)

    def history(self, name: str) -> wire.History:
        """Why a process is as it is, and its last runs."""
        return self._get(f"/processes/{_quoted(name)}/history", wire.History)

    def process_config(self, name: str) -> wire.ProcessConfig:
        """All options of a process as they are in use, and where each was written."""
        return self._get(f"/processes/{_quoted(name)}/config", wire.ProcessConfig)

    def process_samples(
        self, name: str, *, since: float = 0.0, points: int | None = None
    ) -> wire.ProcessSamples:
        """What a process used in the last minutes, in so many points at most."""
        query = _query(since=since or None, points=points)
        return self._get(f"/processes/{_quoted(name)}/samples{query}", wire.ProcessSamples)

    def samples(self, *, since: float = 0.0, points: int | None = None) -> wire.SampleList:
        """What all processes used in the last minutes, in so many points at most."""
        query = _query(since=since or None, points=points)
        return self._get(f"/samples{query}", wire.SampleList)

    def watch(self, interval: float = 2.0) -> Stream[Watched]:
        """How everything is, and from then on what changes; samples every `interval` seconds.

        It begins with a `WatchSnapshot`. Another one takes the place of all that was told before:
        after an upgrade of the daemon, or where this reader was slow.
        """
        query = _query(interval=interval)
        return self._transport.stream(f"{_API}/watch{query}", {}).map_all(_watched)

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
        since: float | None = None,
    ) -> wire.LogText:
        """A piece of a log: its last bytes, its last lines, or `length` bytes from `offset`.

        Or what was written `since` then (Unix time), of which `last_lines` may ask for the end.
        """
        span = _query(
            bytes=last_bytes, lines=last_lines, offset=offset, length=length, since=since
        )
        return self._get(f"/processes/{_quoted(name)}/logs/{stream}{span}", wire.LogText)

    def logs(
        self,
        names: Sequence[str] = (),
        *,
        streams: Sequence[StreamName] = (),
        last_lines: int | None = None,
        since: float | None = None,
        follow: bool = False,
    ) -> Stream[wire.LogNames | wire.LogSaid | wire.LogLost | wire.LogRemark]:
        """What several processes said, or all, over one connection; `follow` goes on with it.

        Names may be patterns, and with `follow` stand for processes that come later as well. A
        stream that goes on through an upgrade of the daemon sends nothing twice.
        """
        query = urlencode(
            [
                *(("name", wire.as_text(name)) for name in names),
                *(("stream", stream) for stream in streams),
                *([] if last_lines is None else [("lines", last_lines)]),
                *([] if since is None else [("since", since)]),
                ("follow", "1" if follow else "0"),
            ]
        )
        events = self._transport.stream(f"{_API}/logs?{query}", {})
        return events.map_all(once_each)

    def follow_log(
        self,
        name: str,
        stream: StreamName = "stdout",
        *,
        last_bytes: int = 0,
        since: float | None = None,
    ) -> Stream[LogPiece | LogGap]:
        """The last bytes of a log, or what memory has of it since then, and what is added."""
        query = _query(bytes=last_bytes, since=since)
        return self._follow(f"/processes/{_quoted(name)}/logs/{stream}/follow{query}")

    def download_log(self, name: str, stream: StreamName = "stdout", *, into: BinaryIO) -> int:
        """Write all of a log into a file, byte for byte; gives how many bytes that were.

        NoDaemon if the daemon broke off, also because the log was cut short meanwhile.
        """
        target = f"{_API}/processes/{_quoted(name)}/logs/{stream}/download"
        return self._transport.download(target, into)

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
        return self._decoded(self._asked(_API + target), kind)

    def _asked(self, target: str) -> bytes:
        return self._transport.call("GET", target, body=None, patience=self._timeout)

    def _post(self, target: str, request: msgspec.Struct | None, kind: type[Answer]) -> Answer:
        return self._decoded(self._send(target, request, patience=self._timeout), kind)

    def _post_and_wait(
        self, target: str, request: msgspec.Struct | None, kind: type[Answer]
    ) -> Answer:
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


def _watched(events: Iterator[ServerEvent]) -> Iterator[Watched]:
    """Those that this client knows: a later daemon may tell more."""
    for event in events:
        if (kind := _WATCHED.get(event.event)) is not None:
            yield msgspec.json.decode(event.text, type=kind)


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


def _query(**values: float | None) -> str:
    given = {name: value for name, value in values.items() if value is not None}
    return f"?{urlencode(given)}" if given else ""
