"""The paths of Supervisor's server, and what may be sent to them."""

import asyncio
import contextlib
import hashlib
import xmlrpc.client
from collections.abc import AsyncGenerator, AsyncIterator
from http import HTTPStatus
from pathlib import Path

import aiohttp
import pytest
from engine_room import PATIENCE, obedient, program, sleeper
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rpc_room import RpcRoom, rpc_room

from opsvisor.compat.supervisor.rpc.http import error_page
from opsvisor.config.settings import (
    Access,
    Credentials,
    Dialect,
    Identity,
    LogLevel,
    TcpServer,
)
from opsvisor.control.follow_file import FollowedFile
from opsvisor.core.spec import LogSpec
from opsvisor.runtime.logs.capture import StreamCapture

VERSION = xmlrpc.client.dumps((), "supervisor.getVersion").encode()
CREDENTIALS = Credentials(username="ops", password="secret")


@pytest.fixture
async def rpc(tmp_path: Path) -> AsyncIterator[RpcRoom]:
    """A process that prints what it is told, with its log in a file."""
    talker = obedient(
        "web",
        then='echo "$line"; while read line; do echo "$line"; done',
        stdout=LogSpec(path=str(tmp_path / "web.out")),
        stderr=None,
    )
    specs = (talker, sleeper("p", group="g", stdout=LogSpec(path=str(tmp_path / "p.out"))))
    async with rpc_room(*specs, folder=tmp_path, daemon_log=tmp_path / "daemon.log") as one:
        yield one


# -- calls -----------------------------------------------------------------------------------


async def test_an_answer(rpc: RpcRoom) -> None:
    """XML of a known length, whatever the request says that it is, at any path that begins so."""
    for path in ("/RPC2", "/RPC2/", "/RPC2xyz", "/RPC2?a=b"):
        for kind in ("text/xml", "application/x-www-form-urlencoded", "text/plain"):
            headers = {"Content-Type": kind}
            async with rpc.session.post(path, data=VERSION, headers=headers) as response:
                body = await response.read()
                assert response.status == 200
                assert response.headers["Content-Type"].split(";")[0] == "text/xml"
                assert response.headers["Content-Length"] == str(len(body))
                assert xmlrpc.client.loads(body)[0] == ("3.0",)


async def test_a_long_call_and_a_long_answer(rpc: RpcRoom) -> None:
    """They are read and written in a thread; nobody can tell."""
    calls = [{"methodName": "supervisor.getVersion", "params": []}] * 1000
    assert await rpc.call("system.multicall", calls) == ["3.0"] * 1000


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_only_post_calls(rpc: RpcRoom, method: str) -> None:
    """Anything else is a bad request there."""
    async with rpc.session.request(method, "/RPC2") as response:
        assert response.status == 400


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "unmarshallable"),
        (b"junk", "unmarshallable"),
        (b"<methodCall/>", "no method name"),
        (b"<!DOCTYPE a><a><methodName>a.b</methodName></a>", "unmarshallable (a DOCTYPE"),
        (b"x" * 100_000, "unmarshallable"),
    ],
)
async def test_what_is_no_call(rpc: RpcRoom, body: bytes, why: str) -> None:
    """A bad request, told in the log, and an error as Supervisor words it."""
    assert await rpc.post(body) == (400, error_page(HTTPStatus.BAD_REQUEST).body)
    level, line = rpc.lines[-1]
    assert level is LogLevel.ERROR
    assert line.startswith("XML-RPC request data '")
    assert f" is invalid: {why}" in line
    assert len(line) < 600


async def test_errors_are_small_pages(rpc: RpcRoom) -> None:
    """Of HTML, not JSON."""
    async with rpc.session.get("/logtail/nobody") as response:
        assert (response.status, response.content_type) == (404, "text/html")
        assert "<p>Error code 404.\r\n<p>Message: Not Found." in await response.text()


async def test_a_length_is_required(rpc: RpcRoom, tmp_path: Path) -> None:
    """Or else an end: what is sent in chunks is taken, which Supervisor does not."""
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "rpc"))
    writer.write(b"POST /RPC2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b" 411 " in await reader.readline()
    writer.close()
    await writer.wait_closed()

    async def chunks() -> AsyncIterator[bytes]:
        yield VERSION[:50]
        yield VERSION[50:]

    async with rpc.session.post("/RPC2", data=chunks()) as response:
        assert response.status == 200


async def test_a_body_has_a_largest_size(rpc: RpcRoom) -> None:
    """That of the whole API."""
    status, _ = await rpc.post(b"x" * (1024 * 1024 + 1))
    assert status == 413


async def test_calls_are_told_to_who_wants_to_know(rpc: RpcRoom) -> None:
    """On the level that Supervisor has for it; a name is shown so that it stays one line."""
    await rpc.ask("getVersion")
    await rpc.raw_fault("a\nb" * 500)
    told = [text for level, text in rpc.lines if level is LogLevel.TRACE]
    assert told[:2] == [
        "XML-RPC method called: supervisor.getVersion()",
        "XML-RPC method supervisor.getVersion() returned successfully",
    ]
    assert told[2].startswith("XML-RPC method called: a\\nba\\n")
    assert told[3].endswith("returned fault: [1] 'UNKNOWN_METHOD'")
    assert all(len(text) < 600 and "\n" not in text for text in told)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    document=st.binary(max_size=300)
    | st.builds(
        lambda name, params: xmlrpc.client.dumps(tuple(params), name, allow_none=True).encode(),
        st.sampled_from(
            [
                *("startProcess", "signalProcess", "readLog", "tailProcessLog", "readProcessLog"),
                *("sendProcessStdin", "addProcessGroup", "removeProcessGroup", "getProcessInfo"),
            ]
        ).map(lambda name: f"supervisor.{name}")
        | st.sampled_from(["system.multicall", "system.methodHelp", "x"]),
        st.lists(
            st.recursive(
                st.none()
                | st.booleans()
                | st.integers(-(2**31), 2**31 - 1)
                | st.floats()
                | st.sampled_from(["web", "g:*", "nobody", "", "g:p"])
                | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=5),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(st.sampled_from(["methodName", "params"]), inner)
                ),
                max_leaves=5,
            ),
            max_size=4,
        ),
    )
)
async def test_whatever_is_sent_is_answered(rpc: RpcRoom, document: bytes) -> None:
    """With an answer, a fault or a bad request: never with a bug of ours (see the room's end)."""
    status, answer = await rpc.post(document)
    assert status in (200, 400)
    if status == 200:
        with contextlib.suppress(xmlrpc.client.Fault):
            xmlrpc.client.loads(answer)


# -- who may call ----------------------------------------------------------------------------


async def test_web_pages_may_not_call(tmp_path: Path) -> None:
    """They can post text/xml to anybody, so their origin has to be this very server."""
    server = TcpServer(name="test", host="127.0.0.1", port=0)
    async with rpc_room(folder=tmp_path, server=server) as rpc:
        own = f"127.0.0.1:{rpc.port}"
        for origin, expected in {
            f"http://{own}": 200,
            f"https://{own}": 200,
            f"http://localhost:{rpc.port}": 403,
            "http://127.0.0.1": 403,
            "http://evil.example": 403,
            "null": 403,
            "": 403,
            own: 403,
        }.items():
            for path in ("/RPC2", "/ok.html"):
                status, _ = await rpc.post(VERSION, path, Origin=origin)
                assert status == expected, origin
        assert (await rpc.post(VERSION, Host="evil.example", Origin="http://evil.example"))[
            0
        ] == 421
        async with rpc.session.get("/ok.html", headers={"Origin": "http://a.b"}) as response:
            assert response.status == 200
        # Our own API goes on asking for JSON.
        assert (await rpc.post(b"{}", "/api/v1/daemon/shutdown", Origin=f"http://{own}"))[0] == 415


async def test_it_is_for_those_who_may_do_anything(tmp_path: Path) -> None:
    """Every method of Supervisor's is at one path: there is no less than all of it to give."""
    identities = tuple(
        Identity(name=access.value, access=access, token=access.value) for access in Access
    )
    server = TcpServer(name="test", host="127.0.0.1", port=0, identities=identities)
    async with rpc_room(folder=tmp_path, server=server) as rpc:
        for path in ("/RPC2", "/logtail/web", "/mainlogtail", "/ok.html"):
            for access in Access:
                headers = {"Authorization": f"Bearer {access.value}"}
                status, _ = await rpc.post(VERSION, path, **headers)
                assert (status == 403) is (access is not Access.ADMIN), (path, access)
                assert status != 401


async def test_a_password_covers_every_path(tmp_path: Path) -> None:
    """As there: all of them, the liveness probe included."""
    server = TcpServer(name="test", host="127.0.0.1", port=0, credentials=CREDENTIALS)
    async with rpc_room(folder=tmp_path, server=server) as rpc:
        for path in ("/RPC2", "/logtail/web", "/mainlogtail", "/ok.html"):
            async with rpc.session.post(path, data=VERSION) as response:
                assert response.status == 401
                assert response.headers["WWW-Authenticate"] == 'Basic realm="default"'
        headers = {"Authorization": "Basic b3BzOnNlY3JldA=="}
        assert (await rpc.post(VERSION, **headers))[0] == 200
        # A page that a logged-in browser shows is still a page.
        assert (await rpc.post(VERSION, Origin="http://evil.example", **headers))[0] == 403


async def test_ok(rpc: RpcRoom) -> None:
    """What load balancers ask for."""
    for method in ("GET", "POST"):
        async with rpc.session.request(method, "/ok.html") as response:
            assert (response.status, await response.text()) == (200, "OK")
            assert response.content_type == "text/plain"


# -- streams ---------------------------------------------------------------------------------


async def until(response: aiohttp.ClientResponse, text: bytes) -> bytes:
    """All that a stream has sent, as soon as this is in it."""
    said = b""
    async with asyncio.timeout(PATIENCE):
        while text not in said:
            piece = await response.content.readany()
            assert piece, f"it ended after {said!r}"
            said += piece
    return said


@pytest.mark.parametrize("path", ["/logtail/web", "/logtail/web/stdout", "/logtail/web%3Aweb"])
async def test_a_log_as_it_grows(rpc: RpcRoom, path: str) -> None:
    """From 1024 bytes before its end on, in chunks that no proxy holds back."""
    rpc.room.tell("web", "x" * 2000)
    await rpc.room.output("x" * 2000)
    async with rpc.session.get(path) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/plain;charset=utf-8"
        assert response.headers["Transfer-Encoding"] == "chunked"
        assert response.headers["X-Accel-Buffering"] == "no"
        assert "Last-Modified" in response.headers
        assert await until(response, b"\n") == b"x" * 1023 + b"\n"
        rpc.room.tell("web", "new")
        assert await until(response, b"new\n") == b"new\n"
        await rpc.ask("clearProcessLogs", "web")
        rpc.room.tell("web", "after")
        assert await until(response, b"after\n") == b"==> File truncated <==\nafter\n"


async def test_more_than_memory_holds(tmp_path: Path) -> None:
    """A reader of the file gets all of it, in order, however fast it comes."""
    lines = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo end"
    spec = obedient("web", then=lines, stdout=LogSpec(path=str(tmp_path / "out")))
    async with rpc_room(spec, folder=tmp_path) as rpc, rpc.session.get("/logtail/web") as response:
        rpc.room.tell()
        said = await until(response, b"end\n")
    expected = b"".join(b"line %d\n" % number for number in range(20000)) + b"end\n"
    assert hashlib.md5(said).digest() == hashlib.md5(expected).digest()


async def test_logs_that_are_not_there(rpc: RpcRoom, tmp_path: Path) -> None:
    """No process, no group, no such output, no file."""
    (tmp_path / "p.out").unlink()
    for path in (
        *("/logtail", "/logtail/", "/logtail/nobody", "/logtail/g", "/logtail/g:*"),
        *("/logtail/web/stdin", "/logtail/web/stdout/", "/logtail/web/stderr", "/logtail/g:p"),
    ):
        async with rpc.session.get(path) as response:
            assert response.status == 404, path
    for path in ("/logtail/web", "/mainlogtail"):
        async with rpc.session.post(path, data=b"") as response:
            assert response.status == 400


async def test_the_daemons_own_log(rpc: RpcRoom, tmp_path: Path) -> None:
    """As any other; without a file there is none."""
    rpc.control.daemon_log.write("first")
    async with rpc.session.get("/mainlogtail") as response:
        assert await until(response, b"first\n") == b"first\n"
        rpc.control.daemon_log.write("second")
        assert await until(response, b"second\n") == b"second\n"
    (tmp_path / "daemon.log").unlink()
    async with rpc.session.get("/mainlogtail") as response:
        assert response.status == 404


async def test_a_log_in_memory(tmp_path: Path) -> None:
    """Of our own files, and of devices."""
    spec = obedient("web", then='echo "$line"', min_uptime=10.0)
    native = rpc_room(spec, folder=tmp_path, dialect=Dialect.NATIVE)
    async with native as rpc, rpc.session.get("/logtail/web") as response:
        rpc.room.tell("web", "hello")
        assert await until(response, b"hello\n") == b"hello\n"


async def test_streams_end_with_the_daemon(rpc: RpcRoom) -> None:
    """Open ones at once; none begins after that."""
    async with rpc.session.get("/logtail/web") as response:
        rpc.edge.close()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    assert rpc.edge._interface._tails._open == set()
    async with rpc.session.get("/mainlogtail") as response:
        assert response.status in (404, 503)
    rpc.control.daemon_log.write("there")
    async with rpc.session.get("/mainlogtail") as response:
        assert response.status == 503


async def test_a_stream_ends_when_its_client_goes(rpc: RpcRoom, tmp_path: Path) -> None:
    """Nothing of it is left, no descriptor and no task."""

    def readers() -> int:
        found = [entry for entry in Path("/proc/self/fd").iterdir() if entry.exists()]
        return sum(entry.readlink() == tmp_path / "web.out" for entry in found)

    before = readers()
    async with rpc.session.get("/logtail/web") as response:
        assert response.status == 200
        assert readers() == before + 1
        assert len(rpc.edge._interface._tails._open) == 1
        assert rpc.streams == ["log"]
    while rpc.edge._interface._tails._open:
        await rpc.ask("getVersion")
    assert rpc.streams == []
    while readers() > before:  # a thread may be at it
        await rpc.ask("getVersion")


async def test_a_stream_that_breaks_off_is_closed_by_its_own_task(
    rpc: RpcRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, not when memory is next tidied up: the file is closed right after."""
    tasks: list[asyncio.Task[None] | None] = []

    async def endless(_capture: StreamCapture, _file: FollowedFile) -> AsyncGenerator[bytes]:
        try:
            tasks.append(asyncio.current_task())
            while True:
                yield b"x" * 65536
        finally:
            tasks.append(asyncio.current_task())

    monkeypatch.setattr("opsvisor.compat.supervisor.rpc.tails.follow_file", endless)
    async with rpc.session.get("/logtail/web") as response:
        assert await response.content.readexactly(1) == b"x"
    async with asyncio.timeout(PATIENCE):
        while len(tasks) < 2:
            await rpc.ask("getVersion")
    assert tasks[0] is tasks[1]


async def test_a_log_that_cannot_be_opened(rpc: RpcRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there, and not for us."""

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    with monkeypatch.context() as patched:
        patched.setattr("opsvisor.control.logs.located", refuse)
        async with rpc.session.get("/logtail/web") as response:
            assert response.status == 404


async def test_a_client_of_http_1_0(rpc: RpcRoom, tmp_path: Path) -> None:
    """It gets the bytes as they are, until the connection ends."""
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "rpc"))
    writer.write(b"GET /logtail/web HTTP/1.0\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head
    assert b"chunked" not in head.lower()
    rpc.room.tell("web", "hello")
    assert await reader.readline() == b"hello\n"
    writer.close()
    await writer.wait_closed()


async def test_an_output_that_ends(tmp_path: Path) -> None:
    """With its process taken out of the configuration, there is no more to come."""
    spec = program("web", "sleep", "1000", stdout=LogSpec(path=str(tmp_path / "out")))
    async with rpc_room(spec, folder=tmp_path) as rpc, rpc.session.get("/logtail/web") as response:
        await rpc.ask("stopProcess", "web")
        assert await rpc.ask("removeProcessGroup", "web") is True
        assert await response.read() == b""
        assert response.headers["Connection"] == "close"
