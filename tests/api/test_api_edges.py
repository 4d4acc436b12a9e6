"""Around every request: who may ask, what is no request, and what goes wrong inside."""

import asyncio
import base64
import errno
import hashlib
import os
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from engine_room import PATIENCE, sleeper
from served import JSON, Done, Serve, Served

from opsvisor.api.errors import STATUS_OF_CODE, ApiError, problem_response
from opsvisor.api.hosts import Hosts
from opsvisor.api.routes import ROUTES, Route
from opsvisor.api.server import BindError, HttpServer, bind, url_of
from opsvisor.config.problems import Place, Problem
from opsvisor.config.settings import Credentials, TcpServer, UnixServer

PLAIN = Credentials(username="ops", password="sécret")
HASHED = Credentials(username="ops", password=f"{{SHA}}{hashlib.sha1(b'secret').hexdigest()}")
STREAMS = frozenset(route.path for route in ROUTES if route.events)
# Filled in for a process that is there, and one of its streams.
EXAMPLES = [
    pytest.param(
        route,
        route.path.format(name="web", stream="stdout", asset="base.css"),
        id=f"{route.method} {route.path}",
    )
    for route in ROUTES
]


def basic(text: str) -> str:
    """A Basic Authorization header."""
    return f"Basic {base64.b64encode(text.encode()).decode()}"


def loopback(**options: object) -> TcpServer:
    """A server on any free port."""
    return TcpServer(name="test", host="127.0.0.1", port=0, **options)  # type: ignore[arg-type]  # a test's free choice


async def raw(api: Served, request: bytes) -> bytes:
    """The first line of the answer to these very bytes."""
    if isinstance(api.server.settings, UnixServer):
        reader, writer = await asyncio.open_unix_connection(api.server.settings.path)
    else:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    async with asyncio.timeout(PATIENCE):
        writer.write(request)
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
    return line


# -- what is no request ---------------------------------------------------------------------------


@pytest.mark.parametrize(("route", "path"), EXAMPLES)
async def test_every_route_answers_other_methods_with_those_it_knows(
    api: Served, route: Route, path: str
) -> None:
    """405 with Allow, as problem+json."""
    told = await api.problem("PATCH", path)
    assert (told.status, told.code) == (405, "method_not_allowed")
    assert route.method in told.hint
    async with api.session.patch(path) as response:
        assert route.method in response.headers["Allow"].split(", ")


@pytest.mark.parametrize(
    ("route", "path"), [case for case in EXAMPLES if getattr(case.values[0], "takes", None)]
)
async def test_every_route_with_a_body_refuses_bad_ones(
    api: Served, route: Route, path: str
) -> None:
    """Not JSON, not the right JSON, not said to be JSON, or too much of it."""
    for body in (b"{", b"[]", b'{"unknown": 1}', b"\xff"):
        told = await api.problem(route.method, path, body=body)
        assert (told.status, told.code) == (400, "bad_request")
        assert told.detail
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        told = await api.problem(route.method, path, body=b"{}", Content_Type=kind)
        assert (told.status, told.code) == (415, "not_json")
        assert kind in told.detail
    told = await api.problem(route.method, path, body=b" " * (1024 * 1024 + 1))
    assert (told.status, told.code) == (413, "too_large")


@pytest.mark.parametrize("path", ["/none", "/api/v1/none", "/api/v2/processes", "/metrics/"])
async def test_what_is_nowhere_is_not_found(api: Served, path: str) -> None:
    """With a hint where to begin, and no label of its own."""
    told = await api.problem("GET", path)
    assert (told.status, told.code, told.title) == (404, "not_found", "Not found")
    assert told.type == "urn:opsvisor:problem:not_found"
    assert told.hint == "GET / lists the entry points"
    assert api.done == [Done("unmatched", "GET", 404)]


@pytest.mark.parametrize(
    ("route", "path"),
    [
        c
        for c in EXAMPLES
        if getattr(c.values[0], "method", "") == "GET" and c.values[1] not in STREAMS
    ],
)
async def test_head_is_get_without_its_body(api: Served, route: Route, path: str) -> None:
    """Probes ask like this. A stream has no end and so no HEAD."""
    async with api.session.head(path) as response:
        assert response.status == (405 if route.path in STREAMS else 200)
        assert await response.read() == b""


async def test_requests_are_counted_by_route_and_never_by_path(api: Served) -> None:
    """A label per path would let anyone fill the daemon's memory."""
    for path in ("/api/v1/processes/web", "/api/v1/processes/none", "/x/1", "/x/2"):
        (await api.session.get(path)).release()
    assert api.done == [
        Done("/api/v1/processes/{name}", "GET", 200),
        Done("/api/v1/processes/{name}", "GET", 404),
        Done("unmatched", "GET", 404),
        Done("unmatched", "GET", 404),
    ]


async def test_a_bug_in_a_handler_ends_one_request_and_no_more(api: Served) -> None:
    """It is told to the observer, and the client learns where to read on."""
    api.house.control.sampler._mono = lambda: 1 / 0
    told = await api.problem("GET", "/api/v1/processes")
    assert (told.status, told.code) == (500, "internal")
    assert "maintail" in told.hint
    ((component, error),) = api.errors
    assert (component, type(error)) == ("api", ZeroDivisionError)
    api.errors.clear()
    async with api.session.get("/api/v1/processes?resources=0") as response:
        assert response.status == 200


@pytest.mark.parametrize(("code", "status"), STATUS_OF_CODE.items())
def test_every_code_has_its_status_and_title(code: str, status: int) -> None:
    """One table, and a problem document for each line of it (RFC 9457)."""
    problem = Problem(Place("opsvisor.toml", 3), "oops", "mend it")
    response = problem_response(ApiError(code, "detail", "hint", (problem,)))
    assert isinstance(response, web.Response)
    assert (response.status, response.content_type) == (status, "application/problem+json")


# -- who may ask ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("credentials", "header", "status"),
    [
        (PLAIN, basic("ops:sécret"), 200),
        (PLAIN, basic("ops:sécret").replace("Basic", "bAsIc"), 200),
        (PLAIN, basic("ops:secret"), 401),
        (PLAIN, basic("ops:"), 401),
        (PLAIN, basic("dev:sécret"), 401),
        (PLAIN, basic("ops"), 401),
        (PLAIN, "", 401),
        (PLAIN, "Basic", 401),
        (PLAIN, "Basic !!!", 401),
        (PLAIN, "Basic ü", 401),
        (PLAIN, "Basic " + base64.b64encode(b"\xff:\xff").decode(), 401),
        (PLAIN, basic("ops:sécret").replace("Basic", "Bearer"), 401),
        (HASHED, basic("ops:secret"), 200),
        (HASHED, basic(f"ops:{HASHED.password}"), 401),
        (HASHED, basic(f"ops:{HASHED.password[5:]}"), 401),
    ],
)
async def test_credentials_open_the_door_and_nothing_else_does(
    serve: Serve, tmp_path: Path, credentials: Credentials, header: str, status: int
) -> None:
    """Plain or hashed in the configuration, Basic on the wire."""
    server = UnixServer(name="test", path=str(tmp_path / "s"), credentials=credentials)
    api = await serve(sleeper(), server=server)
    headers = {"Authorization": header} if header else {}
    async with api.session.get("/api/v1/processes", headers=headers) as response:
        assert response.status == status
        if status == 401:
            assert response.headers["WWW-Authenticate"] == 'Basic realm="default"'
            assert (await response.json(content_type=None))["code"] == "unauthorized"


async def test_everything_is_behind_the_door_but_the_probes(serve: Serve, tmp_path: Path) -> None:
    """What needs no password tells no more than that somebody is here."""
    server = UnixServer(name="test", path=str(tmp_path / "s"), credentials=PLAIN)
    api = await serve(sleeper(), server=server)
    statuses = {}
    for route in ROUTES:
        path = route.path.format(name="web", stream="stdout", asset="base.css")
        async with api.session.request(route.method, path, headers=JSON) as response:
            statuses[route.path] = response.status
    assert {path for path, status in statuses.items() if status != 401} == {
        route.path for route in ROUTES if route.access is None
    }
    assert api.house.room.over is False


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:9001", 200),
        ("127.0.0.1", 200),
        ("localhost:1234", 200),
        ("[::1]:9001", 200),
        ("[::1]", 200),
        ("evil.example", 421),
        ("localhost.evil.example:9001", 421),
        ("127.0.0.1.evil.example", 421),
    ],
)
async def test_a_server_without_a_password_is_asked_by_its_own_name(
    serve: Serve, host: str, status: int
) -> None:
    """Else a web page whose name resolves to 127.0.0.1 could ask in a browser's place."""
    api = await serve(sleeper(), server=loopback())
    async with api.session.get("/api/v1/processes", headers={"Host": host}) as response:
        assert response.status == status
        if status == 421:
            assert (await response.json(content_type=None))["code"] == "wrong_host"


async def test_the_name_it_was_configured_with_is_its_own(serve: Serve) -> None:
    """And with a password, any name will do."""
    api = await serve(server=TcpServer(name="test", host="localhost", port=0))
    line = await raw(api, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b" 200 " in line
    other = await serve(server=loopback(credentials=PLAIN))
    headers = {"Host": "ops.example", "Authorization": basic("ops:sécret")}
    async with other.session.get("/metrics", headers=headers) as response:
        assert response.status == 200


async def test_names_are_the_same_however_they_are_written() -> None:
    """In the configuration, and by whoever asks."""
    server = TcpServer(name="test", host="Ops.Example", port=9001)
    for host in ("ops.example:9001", "OPS.example"):
        request = make_mocked_request("GET", "/metrics", headers={"Host": host})
        assert await Hosts(server).expects(request)


async def test_the_names_of_the_machine_are_its_own(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients of before call it by them. The full one is resolved only for who uses it."""
    monkeypatch.setattr("platform.node", lambda: "Web1")
    asked = []

    def full_name() -> str:
        asked.append("full")
        return "web1.ops.example"

    monkeypatch.setattr("socket.getfqdn", full_name)
    api = await serve(server=loopback())
    for host, status in (
        ("web1", 200),
        ("WEB1:9001", 200),
        ("web1.ops.example:9001", 200),
        ("web1.evil.example", 421),
    ):
        async with api.session.get("/metrics", headers={"Host": host}) as response:
            assert response.status == status
    assert len(asked) == 1


async def test_strangers_occupy_no_more_than_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs are read in them. Whoever leaves without an answer and comes back gets no other."""
    asked, answer = [], threading.Event()

    def full_name() -> str:
        asked.append("full")
        answer.wait(PATIENCE)
        return "web1.ops.example"

    monkeypatch.setattr("socket.getfqdn", full_name)
    hosts = Hosts(loopback())
    request = make_mocked_request("GET", "/metrics", headers={"Host": "web1.ops.example"})
    try:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await hosts.expects(request)
    finally:
        answer.set()
    async with asyncio.timeout(PATIENCE):
        assert all(await asyncio.gather(hosts.expects(request), hosts.expects(request)))
    assert asked == ["full"]


async def test_the_full_name_is_asked_for_again_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A daemon may be there before the network is."""
    names = ["web1", "web1.ops.example"]
    monkeypatch.setattr("socket.getfqdn", lambda: names.pop(0))
    hosts = Hosts(loopback())
    request = make_mocked_request("GET", "/metrics", headers={"Host": "web1.ops.example"})
    assert not await hosts.expects(request)
    assert not await hosts.expects(request)
    monkeypatch.setattr("opsvisor.api.hosts._NAME_LASTS", 0.0)
    assert await hosts.expects(request)


@pytest.mark.parametrize(
    ("host", "status"),
    [("", 200), ("0.0.0.0", 200), ("127.0.0.1", 421), ("localhost", 421)],
)
async def test_a_server_for_the_whole_network_has_names_we_do_not_know(
    serve: Serve, host: str, status: int
) -> None:
    """Where it was opened to everybody by name, whoever comes by another name gets in as well."""
    server = TcpServer(name="test", host=host, port=0, allow_anonymous=True)
    api = await serve(server=server)
    async with api.session.get("/metrics", headers={"Host": "lb.ops.example"}) as response:
        assert response.status == status


async def test_a_body_that_is_too_large_is_not_waited_for(serve: Serve) -> None:
    """Its length is told before it comes, and whoever sent it may never send it."""
    api = await serve(server=loopback())
    head = b"POST /api/v1/actions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n"
    assert b" 413 " in await raw(api, head + b"Content-Type: application/json\r\n\r\n")


async def test_nobody_is_told_what_it_is_made_of(serve: Serve) -> None:
    """Versions of libraries are of use to those alone who look for holes."""
    api = await serve(server=loopback())
    for path in ("/metrics", "/nowhere"):
        async with api.session.get(path) as response:
            assert response.headers["Server"] == "opsvisord"


async def test_a_rebound_page_changes_nothing_even_where_everybody_may(serve: Serve) -> None:
    """To the browser it is our own page: it names itself as Origin and as Host, and sends JSON."""
    server = TcpServer(name="test", host="", port=0, allow_anonymous=True)
    api = await serve(server=server)
    for host, status in (("evil.example", 421), ("127.0.0.1", 200)):
        headers = {"Host": host, "Origin": f"http://{host}", "Content-Type": "application/json"}
        async with api.session.post("/api/v1/config/reread", headers=headers) as response:
            assert response.status == status


async def test_without_a_host_there_is_no_browser_to_protect(serve: Serve) -> None:
    """HTTP/1.0 clients name none; finding out our own name could take a resolver's time."""
    api = await serve(server=loopback())
    assert b" 200 " in await raw(api, b"GET /metrics HTTP/1.0\r\n\r\n")


@pytest.mark.parametrize("route", [route for route in ROUTES if route.method == "POST"])
async def test_a_foreign_web_page_can_change_nothing(serve: Serve, route: Route) -> None:
    """A browser sends anyone's POST, but says that it is JSON only after asking us first."""
    api = await serve(sleeper(), server=loopback())
    path = route.path.format(name="web")
    for headers in ({"Content-Type": "text/plain"}, {}):
        async with api.session.post(path, headers=headers) as response:
            assert response.status == 415
    async with api.session.options(path) as response:
        assert response.status == 405
    assert api.house.room.supervisor.state.value == "running"
    assert (api.house.reloads, api.house.reports) == ([], [])


# -- sockets --------------------------------------------------------------------------------------


async def open_app(server: UnixServer | TcpServer) -> HttpServer:
    """A server of an application that knows nothing."""
    one = HttpServer(server, web.Application())
    one.listen()
    await one.serve()
    return one


@pytest.fixture
async def listen() -> AsyncIterator[Callable[..., Awaitable[HttpServer]]]:
    """Servers that are closed at the end of the test."""
    opened: list[HttpServer] = []

    async def start(server: UnixServer | TcpServer) -> HttpServer:
        opened.append(await open_app(server))
        return opened[-1]

    yield start
    for one in opened:
        await one.close()


Listen = Callable[..., Awaitable[HttpServer]]


async def test_an_address_in_brackets(listen: Listen) -> None:
    """As it is written in front of a port, and as files of Supervisor's say it."""
    server = TcpServer(name="test", host="[::1]", port=0)
    await listen(server)
    assert url_of(server) == "http://[::1]:0"


def test_an_address_that_is_not_here() -> None:
    """Nobody else has it, so nobody else is suspected."""
    with pytest.raises(BindError, match=r"is 192\.0\.2\.1 an address of this machine"):
        bind(TcpServer(name="test", host="192.0.2.1", port=0))


async def test_a_socket_file_has_its_mode_and_goes_with_its_server(
    listen: Listen, tmp_path: Path
) -> None:
    """In a directory that is made if need be."""
    path = tmp_path / "run" / "s"
    server = await listen(UnixServer(name="test", path=str(path), mode=0o640))
    assert path.stat().st_mode & 0o777 == 0o640
    await server.close()
    assert not path.exists()


async def test_a_socket_that_somebody_listens_on_is_left_alone(
    listen: Listen, tmp_path: Path
) -> None:
    """One that nobody does is taken over, and a file that is none is never removed."""
    taken = UnixServer(name="test", path=str(tmp_path / "taken"))
    await listen(taken)
    with pytest.raises(BindError, match="another program is already listening"):
        bind(taken)
    stale = UnixServer(name="test", path=str(tmp_path / "stale"))
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(stale.path)
    await listen(stale)
    treasure = tmp_path / "treasure"
    treasure.write_text("gold")
    with pytest.raises(BindError, match="a file that is not a socket"):
        bind(UnixServer(name="test", path=str(treasure)))
    assert treasure.read_text() == "gold"


async def test_who_comes_before_it_serves_is_answered_then(tmp_path: Path) -> None:
    """The address is taken first: a request must not meet a daemon that is half built."""
    one = HttpServer(UnixServer(name="test", path=str(tmp_path / "s")), web.Application())
    one.listen()
    try:
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        await one.serve()
        assert (await reader.readline()).split()[1] == b"404"
        writer.close()
        await writer.wait_closed()
    finally:
        await one.close()


async def test_one_that_never_served_leaves_nothing(tmp_path: Path) -> None:
    """Another server's address was taken: the daemon does not begin."""
    one = HttpServer(UnixServer(name="test", path=str(tmp_path / "s")), web.Application())
    one.listen()
    await one.close()
    assert not (tmp_path / "s").exists()


def test_a_listener_that_accepts_nobody_holds_up_no_start(tmp_path: Path) -> None:
    """It is there, although it has no room for our question."""
    taken = UnixServer(name="test", path=str(tmp_path / "taken"))
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as first:
        busy.bind(taken.path)
        busy.listen(0)
        first.connect(taken.path)
        with pytest.raises(BindError, match="another program is already listening"):
            bind(taken)


def test_a_link_is_judged_by_where_it_leads(tmp_path: Path) -> None:
    """Only the link is replaced, and only one to a socket that nobody listens on."""
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    settings = UnixServer(name="test", path=str(link))
    with pytest.raises(BindError, match="there is a link that leads nowhere"):
        bind(settings)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(target))
        other.listen()
        with pytest.raises(BindError, match="another program is already listening"):
            bind(settings)
    assert link.is_symlink()
    bind(settings).close()
    assert link.is_socket()
    assert not link.is_symlink()
    assert target.is_socket()


def test_a_socket_of_another_kind_is_somebodys_too(tmp_path: Path) -> None:
    """A log of the system, for instance."""
    settings = UnixServer(name="test", path=str(tmp_path / "s"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(settings.path)
        with pytest.raises(BindError, match="another program is already listening"):
            bind(settings)


def test_a_socket_that_we_may_not_ask_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hint is about the socket: its directory is one that we may write to."""
    settings = UnixServer(name="test", path=str(tmp_path / "s"))
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(settings.path)
    # Root may connect to any, whatever its mode.
    monkeypatch.setattr(socket.socket, "connect", _refused)
    with pytest.raises(BindError, match="may not connect to\n    hint: if nobody") as refused:
        bind(settings)
    assert refused.value.errno == errno.EACCES
    assert Path(settings.path).is_socket()


def _refused(_socket: socket.socket, _path: str) -> None:
    raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_is_put_in_the_place_of_a_socket_is_not_given_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder may be somebody else's, who would have it for a link."""
    treasure = tmp_path / "treasure"
    treasure.touch(mode=0o600)
    path, opened = tmp_path / "s", os.open

    def swapped(path: str, flags: int) -> int:
        Path(path).unlink()
        Path(path).symlink_to(treasure)
        return opened(path, flags)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", swapped)
        with pytest.raises(BindError, match=f"cannot listen on unix://{path}: "):
            bind(UnixServer(name="test", path=str(path), mode=0o666, owner=(65534, 65534)))
    found = treasure.stat()
    assert (found.st_uid, found.st_mode & 0o777) == (0, 0o600)


async def test_a_socket_file_of_somebody_else_stays(listen: Listen, tmp_path: Path) -> None:
    """A successor may have put its own in our place before we are gone."""
    path = tmp_path / "s"
    server = await listen(UnixServer(name="test", path=str(path)))
    path.unlink()
    path.write_text("successor")
    await server.close()
    assert path.read_text() == "successor"


async def test_a_port_that_is_taken_is_told_with_a_hint(listen: Listen) -> None:
    """Who else it may be, and how to find out."""
    first = await listen(loopback())
    port = first.listener.getsockname()[1]
    with pytest.raises(
        BindError, match=rf"http://127.0.0.1:{port}: Address already in use\n.*ss "
    ):
        bind(TcpServer(name="test", host="127.0.0.1", port=port))


async def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """The path is what was typed; the hint is what to look at."""
    path = tmp_path / "none" / "deeper" / "s"
    with pytest.raises(
        BindError, match=r"No such file or directory\n.*is .*/none/deeper a directory"
    ):
        bind(UnixServer(name="test", path=str(path)))


@pytest.mark.parametrize(
    ("server", "url"),
    [
        (UnixServer(name="a", path="/run/s"), "unix:///run/s"),
        (TcpServer(name="a", host="127.0.0.1", port=9001), "http://127.0.0.1:9001"),
        (TcpServer(name="a", host="::1", port=9001), "http://[::1]:9001"),
        (TcpServer(name="a", host="", port=9001), "http://0.0.0.0:9001"),
    ],
)
def test_where_a_server_listens_is_told_as_opsvisorctl_takes_it(
    server: UnixServer | TcpServer, url: str
) -> None:
    """So that it can be copied from the log."""
    assert url_of(server) == url
