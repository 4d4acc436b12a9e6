"""The client against a real HTTP server: requests as sent, answers as decoded, failures."""

import base64
import io
import socket
import threading
from pathlib import Path

import msgspec
import pytest
from ctl_runs import as_somebody_else
from recorded_daemon import (
    DAEMON,
    NOW,
    Raw,
    RecordedDaemon,
    Sse,
    diff,
    problem,
    recorded_daemon,
    result,
    results,
    running,
)

from opsvisor import wire
from opsvisor.client import (
    ApiError,
    BadUrl,
    Client,
    EventGap,
    LogGap,
    LogPiece,
    NoDaemon,
    Sample,
    TcpAddress,
    Unauthorized,
    UnixAddress,
    Unreached,
    calls,
    parse_url,
    transport,
)
from opsvisor.control.audit import REASON_HEADER


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("unix:///run/x.sock", UnixAddress("/run/x.sock")),
        ("unix:///run/a%20b.sock", UnixAddress("/run/a b.sock")),
        ("http://localhost:9001", TcpAddress("localhost", 9001)),
        ("http://localhost:9001/", TcpAddress("localhost", 9001)),
        ("http://localhost", TcpAddress("localhost", 80)),
        ("http://[::1]:9001", TcpAddress("::1", 9001)),
    ],
)
def test_addresses(url: str, address: UnixAddress | TcpAddress) -> None:
    """Both forms of URL name an address, and an address prints as a URL of the same meaning."""
    assert parse_url(url) == address
    if "%20" not in url:
        assert parse_url(str(address)) == address


_NO_URLS = (
    *("", "foo", "unix://x.sock", "ftp://h", "http://", "http://h:x"),
    *("http://h/foo", "http://h:1?a", "http://h/#a"),
)


@pytest.mark.parametrize("url", _NO_URLS)
def test_what_is_no_address(url: str) -> None:
    """Anything else is refused with the words that were typed."""
    with pytest.raises(BadUrl, match="is not a URL") as caught:
        Client(url)
    assert repr(url) in str(caught.value)


@pytest.mark.parametrize("who", ["alice", "alice:secret", ":secret"])
def test_no_name_or_password_in_an_address(who: str) -> None:
    """Neither is used, or shown."""
    for url in (f"http://{who}@127.0.0.1:1", f"http://{who}@h:x", f"ftp://{who}@h"):
        with pytest.raises(BadUrl, match="no room for a name or a password") as caught:
            Client(url)
        assert who not in str(caught.value)


def test_every_call_reaches_its_operation(daemon: RecordedDaemon) -> None:
    """Each method sends the one request that the API documents for it, and decodes the answer."""
    history = wire.History(status=running("web"), policy=[], what_next="", hints=[], runs=[])
    detail = wire.ProcessDetail(
        status=running("web"),
        command="x",
        working_dir="/",
        user="root",
        restart_policy={},
        tree=[],
    )
    log = wire.LogText(name="g:web", stream="stdout", text="hello", offset=5, size=5)
    groups = wire.GroupResponse(results=[])
    applied = wire.ApplyResponse(generation=2, diff=diff(), results=[])
    everything: dict[str, msgspec.Struct | Raw] = {
        "GET /daemon": DAEMON,
        "POST /daemon/shutdown": Raw(202, b"{}"),
        "POST /daemon/reload": Raw(202, b"{}"),
        "GET /daemon/log?bytes=10": log,
        "POST /daemon/log/clear": Raw(200, b"{}"),
        "GET /processes": wire.ProcessList(processes=[running("web")]),
        "GET /processes?name=web-%2A&name=g%3Ax": wire.ProcessList(processes=[]),
        "GET /processes/g%3Aweb": detail,
        "GET /processes/g%3Aweb/history": history,
        "GET /processes/g%3Aweb/logs/stderr?lines=3": log,
        "GET /processes/g%3Aweb/logs/stdout?offset=0&length=5": log,
        "POST /logs/clear": results(),
        "POST /processes/g%3Aweb/stdin": wire.StdinResponse(written=3),
        "POST /actions": results(result("web")),
        "GET /groups": wire.GroupList(groups=[]),
        "GET /programs": wire.ProgramList(programs=[]),
        "GET /config/available": wire.AvailableList(processes=[]),
        "GET /config/diff": diff(),
        "POST /config/reread": diff(added=["x"]),
        "POST /config/apply": applied,
        "POST /config/groups/add": groups,
        "POST /config/groups/remove": groups,
    }
    for line, answer in everything.items():
        method, target = line.split()
        daemon.answers[f"{method} /api/v1{target}"] = answer
    with Client(daemon.url) as client:
        client.shutdown()
        client.reload()
        client.clear_daemon_log()
        answered: list[msgspec.Struct] = [
            client.daemon(),
            client.daemon_log(last_bytes=10),
            client.processes(),
            client.processes("web-*", "g:x"),
            client.process("g:web"),
            client.history("g:web"),
            client.log("g:web", "stderr", last_lines=3),
            client.log("g:web", offset=0, length=5),
            client.clear_logs(["web"]),
            client.write_stdin("g:web", "abc"),
            client.act("signal", ["web"], signal="HUP"),
            client.groups(),
            client.programs(),
            client.available(),
            client.config_diff(),
            client.reread(),
            client.apply(["a"], reread=False),
            client.add_groups(["a"]),
            client.remove_groups(["a"]),
        ]
    expected = [answer for answer in everything.values() if isinstance(answer, msgspec.Struct)]
    assert sorted(map(repr, answered)) == sorted(map(repr, expected))
    assert set(daemon.lines()) == set(daemon.answers)


def test_where_the_metrics_are_and_what_they_say(daemon: RecordedDaemon) -> None:
    """Targets as http_sd has them, and samples as values."""
    group = wire.TargetGroup(targets=["web1:9001"], labels={"__meta_opsvisor_host": "web1"})
    daemon.answers = {
        "GET /api/v1/sd": Raw(200, msgspec.json.encode([group]), "application/json"),
        "GET /metrics": Raw(200, b'# HELP x y\nx{a="b"} 1\n', "text/plain"),
    }
    with Client(daemon.url) as client:
        assert client.targets() == [group]
        assert client.metrics() == [Sample(name="x", labels={"a": "b"}, value=1.0)]


def test_requests_carry_what_was_asked(daemon: RecordedDaemon) -> None:
    """The body of an action is an ActionRequest, sent as JSON."""
    daemon.answers["POST /api/v1/actions"] = results()
    with Client(daemon.url) as client:
        client.act("signal", ["a", "g:*"], signal="HUP", wait=False)
    sent = msgspec.json.decode(daemon.requests[0].body, type=wire.ActionRequest)
    assert sent == wire.ActionRequest(
        action="signal", names=["a", "g:*"], signal="HUP", wait=False
    )
    assert daemon.requests[0].headers["Content-Type"] == "application/json"


def test_one_connection_serves_many_calls(daemon: RecordedDaemon) -> None:
    """Calls of one client share a connection."""
    daemon.answers["GET /api/v1/daemon"] = DAEMON
    with Client(daemon.url) as client:
        for _ in range(3):
            client.daemon()
    assert {request.connection for request in daemon.requests} == {0}


def test_a_daemon_that_restarted_is_found_again(tmp_path: Path) -> None:
    """A kept connection that the daemon closed is replaced without a word."""
    with recorded_daemon(tmp_path / "s") as first:
        first.answers["GET /api/v1/daemon"] = Raw(200, msgspec.json.encode(DAEMON))
        client = Client(first.url)
        client.daemon()
        client._transport._kept.sock.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]  # it is open
    with recorded_daemon(tmp_path / "s") as second, client:
        second.answers["GET /api/v1/daemon"] = DAEMON
        assert client.daemon() == DAEMON


def test_credentials(daemon: RecordedDaemon) -> None:
    """User name and password go as Basic authentication, in UTF-8; login replaces them."""
    daemon.answers["GET /api/v1/daemon"] = DAEMON
    with Client(daemon.url, username="ops", password="pä:ss") as client:
        client.daemon()
        client.login("other", "x")
        client.daemon()
    sent = [request.headers["Authorization"].removeprefix("Basic ") for request in daemon.requests]
    assert [base64.b64decode(each).decode() for each in sent] == ["ops:pä:ss", "other:x"]


def test_problems_are_raised_as_they_are(daemon: RecordedDaemon) -> None:
    """A problem+json answer arrives as the problem; 401 has a class of its own."""
    refusal = problem(404, "no_such_process", "no process 'x'")
    daemon.answers["GET /api/v1/processes/x"] = refusal
    daemon.answers["GET /api/v1/daemon"] = problem(401, "unauthorized")
    with Client(daemon.url) as client:
        with pytest.raises(ApiError) as caught:
            client.process("x")
        assert caught.value.problem == refusal
        with pytest.raises(Unauthorized):
            client.daemon()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Raw(404, b"<h1>nope</h1>"), "not_opsvisord"),
        (Raw(200, b"<h1>hello</h1>"), "unreadable_answer"),
        (Raw(200, b'{"version": 1}', "application/json"), "unreadable_answer"),
    ],
)
def test_a_server_that_is_not_opsvisord(daemon: RecordedDaemon, answer: Raw, code: str) -> None:
    """Answers that are not ours are named as such, with what to check."""
    daemon.answers["GET /api/v1/daemon"] = answer
    with Client(daemon.url) as client, pytest.raises(ApiError) as caught:
        client.daemon()
    assert caught.value.problem.code == code
    assert caught.value.problem.hint


def test_a_daemon_that_hangs_up(daemon: RecordedDaemon) -> None:
    """A connection closed instead of an answer says so, and is not repeated."""
    daemon.answers["POST /api/v1/actions"] = None
    with Client(daemon.url) as client, pytest.raises(NoDaemon) as caught:
        client.act("start", ["web"])
    assert caught.value.reason is Unreached.LOST
    assert len(daemon.requests) == 1


def test_a_daemon_that_never_answers(tmp_path: Path) -> None:
    """Silence ends after the timeout, in words that name it."""
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(tmp_path / "s"))
        mute.listen()
        with (
            Client(f"unix://{tmp_path}/s", timeout=0.05) as client,
            pytest.raises(NoDaemon, match=r"gave no answer \(within 0.05 s\)"),
        ):
            client.daemon()


def test_silence_is_told_of_once(daemon: RecordedDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an answer is due and does not begin; not of calls that wait for processes."""
    monkeypatch.setattr(transport, "_SILENT_AFTER", 0.02)
    told: list[str] = []
    let_go = threading.Event()

    def tell() -> None:
        told.append("silent")
        let_go.set()

    never = threading.Event()
    daemon.answers = {
        "GET /api/v1/daemon": lambda _: (let_go.wait(60.0), DAEMON)[1],
        "GET /api/v1/processes": lambda _: (never.wait(0.1), wire.ProcessList(processes=[]))[1],
        "POST /api/v1/actions": lambda _: (never.wait(0.1), results())[1],
    }
    with Client(daemon.url) as client:
        client.on_silence(tell)
        client.act("start", ["web"])
        with client.another() as twin:
            twin.processes()
        assert told == []
        client.daemon()
        assert told == ["silent"]
        client.processes()
        assert told == ["silent"]


def test_nobody_there(tmp_path: Path) -> None:
    """A missing socket, a stale one, a closed port and an unknown host are told apart."""
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "stale"))
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        closed = port.getsockname()[1]
    for url, reason in {
        f"unix://{tmp_path}/missing": Unreached.MISSING,
        f"unix://{tmp_path}/stale": Unreached.REFUSED,
        f"unix://{tmp_path}/{'x' * 200}": Unreached.TOO_LONG,
        f"http://127.0.0.1:{closed}": Unreached.REFUSED,
        "http://nobody.invalid:1": Unreached.UNKNOWN_HOST,
    }.items():
        with Client(url) as client, pytest.raises(NoDaemon) as caught:
            client.daemon()
        assert caught.value.reason is reason
        assert caught.value.url == url


def test_a_socket_of_somebody_else(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """A socket that may not be opened is neither missing nor refused."""
    (tmp_path / "s").chmod(0)
    with as_somebody_else(), Client(daemon.url) as client, pytest.raises(NoDaemon) as caught:
        client.daemon()
    assert caught.value.reason is Unreached.DENIED


def test_following_a_log(daemon: RecordedDaemon) -> None:
    """A log stream gives its pieces and its gaps; comments and unfinished events are skipped."""
    daemon.answers["GET /api/v1/processes/g%3Aweb/logs/stderr/follow?bytes=10"] = Sse(
        ": ping\r\n\r\n"
        'event: log\r\ndata: {"text": "a\\nb", "offset": 3}\r\n\r\n'
        'event: gap\ndata: {"lost_bytes": 7}\n\n'
        'event: log\ndata: {"text":\ndata: "c", "offset": 11}\n\n'
        'event: log\ndata: {"text": "never'
    )
    with Client(daemon.url) as client, client.follow_log("g:web", "stderr", last_bytes=10) as log:
        assert list(log) == [
            LogPiece(text="a\nb", offset=3),
            LogGap(lost_bytes=7),
            LogPiece(text="c", offset=11),
        ]


def test_a_whole_log_goes_into_a_file(daemon: RecordedDaemon) -> None:
    """As it comes, and nothing of it is kept."""
    target = "GET /api/v1/processes/g%3Aweb/logs/stderr/download"
    daemon.answers[target] = Raw(200, b"a\xff\nb", "text/plain")
    into = io.BytesIO()
    with Client(daemon.url) as client:
        assert client.download_log("g:web", "stderr", into=into) == 4
    assert into.getvalue() == b"a\xff\nb"


def test_a_download_that_is_refused_or_breaks_off(daemon: RecordedDaemon) -> None:
    """The file has no more than what came, and it is told that this is not all."""
    refusal = problem(404, "no_log")
    daemon.answers = {
        "GET /api/v1/processes/x/logs/stdout/download": refusal,
        "GET /api/v1/processes/y/logs/stdout/download": None,
    }
    into = io.BytesIO()
    with Client(daemon.url) as client:
        with pytest.raises(ApiError) as caught:
            client.download_log("x", into=into)
        assert caught.value.problem == refusal
        with pytest.raises(NoDaemon):
            client.download_log("y", into=into)
    assert into.getvalue() == b""


def test_following_events(daemon: RecordedDaemon) -> None:
    """Events arrive typed, gaps say which ids are lost, and Last-Event-ID is sent when asked."""
    event = wire.Event(id=4, at=NOW, kind="process_added", process="web", text="x", detail={})
    daemon.answers["GET /api/v1/events?replay=5"] = Sse(
        f"id: 4\ndata: {msgspec.json.encode(event).decode()}\n\n"
        'event: gap\ndata: {"lost": [5, 9]}\n\n'
    )
    with Client(daemon.url) as client, client.events(5, last_event_id=3) as events:
        assert list(events) == [event, EventGap(lost=(5, 9))]
    assert events._line.sock.fileno() == -1
    assert daemon.requests[0].headers["Last-Event-ID"] == "3"


def test_a_stream_that_is_refused(daemon: RecordedDaemon) -> None:
    """A refusal comes when the stream is asked for, not when it is read."""
    refusal = problem(404, "no_such_process")
    daemon.answers["GET /api/v1/processes/x/logs/stdout/follow?bytes=0"] = refusal
    with Client(daemon.url) as client, pytest.raises(ApiError) as caught:
        client.follow_log("x")
    assert caught.value.problem == refusal


def test_a_stream_of_nonsense(daemon: RecordedDaemon) -> None:
    """A stream that can't be read ends in NoDaemon, not in a decoder's error."""
    daemon.answers["GET /api/v1/events"] = Sse("data: {\n\n")
    with (
        Client(daemon.url) as client,
        client.events() as events,
        pytest.raises(NoDaemon, match="gave no answer"),
    ):
        list(events)


def test_a_stream_goes_on_through_an_upgrade(daemon: RecordedDaemon) -> None:
    """From where the daemon says, and as often as there is one."""
    farewell = "id: {0}\nevent: upgrade\ndata: {{}}\n\n"
    pieces = [
        'event: log\nid: 3\ndata: {"text":"one","offset":3}\n\n' + farewell.format(3),
        farewell.format(3),
        'event: log\nid: 6\ndata: {"text":"two","offset":6}\n\n',
    ]
    target = "GET /api/v1/processes/web/logs/stdout/follow?bytes=0"
    daemon.answers[target] = lambda _: Sse(pieces.pop(0))
    with Client(daemon.url) as client, client.follow_log("web") as stream:
        assert [piece.text for piece in stream if isinstance(piece, LogPiece)] == ["one", "two"]
    asked = [request.headers.get("Last-Event-ID") for request in daemon.requests]
    assert asked == [None, "3", "3"]


def test_a_stream_whose_daemon_does_not_come_back(daemon: RecordedDaemon) -> None:
    """What is said is that nobody answers."""
    answers = [Sse("id: 3\nevent: upgrade\ndata: {}\n\n"), None]
    daemon.answers["GET /api/v1/events"] = lambda _: answers.pop(0)
    with Client(daemon.url) as client, client.events() as stream, pytest.raises(NoDaemon):
        list(stream)


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        (wire.ProcessStatus, 37),
        (wire.DaemonInfo, 15),
        (wire.UpgradeResponse, 3),
    ],
)
def test_an_older_daemon_is_understood(kind: type[msgspec.Struct], count: int) -> None:
    """A client that was just installed can ask it for an upgrade: new fields have defaults."""
    assert sum(one.required for one in msgspec.structs.fields(kind)) == count


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://example.org", TcpAddress("example.org", 443, is_tls=True)),
        ("https://[::1]:9001/", TcpAddress("::1", 9001, is_tls=True)),
        ("http://example.org", TcpAddress("example.org", 80)),
    ],
)
def test_addresses_with_tls_and_without(url: str, address: TcpAddress) -> None:
    """Each kind has its usual port, and is written as it is read."""
    assert parse_url(url) == address
    assert parse_url(str(address)) == address


def test_why_is_said_where_the_daemon_looks_for_it() -> None:
    """Both sides have a word for it, and neither may import the other's."""
    assert calls._REASON == REASON_HEADER
