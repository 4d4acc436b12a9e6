"""Clients while one process makes way for another at the same addresses."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import pytest
from aiohttp import web
from engine_room import NEVER, program
from served import JSON, Serve, Served, take

from opsvisor import wire
from opsvisor.api.server import HttpServer
from opsvisor.config.settings import UnixServer
from opsvisor.core.events import ProcessRemoved, ProcessSpawned
from opsvisor.core.spec import ProcessId, Startup

EVENTS = "/api/v1/events"


class Two:
    """A server, and another one that is given its listener, as after an exec."""

    def __init__(self, path: Path) -> None:
        self.settings = UnixServer(name="test", path=str(path))
        self.one = HttpServer(self.settings, _app("one"))
        self.other: HttpServer | None = None
        self.one.listen()

    async def hand_over(self) -> int:
        """Let the other one take over; how many connections were handed to it."""
        self.one.pause()
        copies = [connection.dup() for connection in self.one.between_requests()]
        self.other = HttpServer(self.settings, _app("other"), self.one.listener.dup())
        self.other.listen()
        for connection in self.one._connections:  # the process that had it is gone after an exec
            assert connection.transport is not None
            connection.transport.pause_reading()
        await self.other.serve(copies)
        return len(copies)

    async def close(self) -> None:
        """Close both."""
        await self.one.close()
        if self.other is not None:
            await self.other.close()


def _app(name: str) -> web.Application:
    app = web.Application()

    async def tell(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(text=name)

    app.router.add_route("*", "/", tell)
    return app


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    """The first one serves."""
    two = Two(tmp_path / "s")
    await two.one.serve()
    yield two
    await two.close()


class Client:
    """One connection, on which a test says what it likes."""

    def __init__(self, two: Two) -> None:
        self._path = two.settings.path

    async def __aenter__(self) -> Self:
        """Connect."""
        self.reader, self.writer = await asyncio.open_unix_connection(self._path)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Hang up."""
        self.writer.close()

    async def ask(self, *pieces: bytes) -> bytes:
        """Send these one by one, and get the body of the answer; b"" if it hung up."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""
        length = next(x for x in head.split(b"\r\n") if x.startswith(b"Content-Length: "))
        return await self.reader.readexactly(int(length.split()[1]))


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"


@pytest.mark.parametrize(
    "pieces", [(), (GET,), (POST + b"abc",), (POST, b"abc"), (POST, b"a", b"bc")]
)
async def test_a_connection_between_two_requests_is_answered_by_the_other(
    two: Two, pieces: tuple[bytes, ...]
) -> None:
    """Whatever was asked on it before: the client does not notice."""
    async with Client(two) as client:
        if pieces:
            assert await client.ask(*pieces) == b"one"
        else:
            async with Client(two) as second:  # the first has been accepted when this is
                assert await second.ask(GET) == b"one"
        assert await two.hand_over() >= 1
        assert await client.ask(GET) == b"other"


@pytest.mark.parametrize(
    "pieces",
    [
        (GET + GET[:9],),
        (GET[:9],),
        (POST + b"a",),
        (GET.replace(b"GET", b"POST")[:-2] + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",),
    ],
)
async def test_what_has_begun_to_ask_is_not_handed_over(
    two: Two, pieces: tuple[bytes, ...]
) -> None:
    """Half a request is with the first one; the other would make nonsense of the rest."""
    async with Client(two) as client:
        client.writer.write(pieces[0])
        await client.writer.drain()
        async with Client(two) as second:  # what came before this has been read
            assert await second.ask(GET) == b"one"
        two.one.pause()
        assert len(two.one.between_requests()) <= 1


async def test_who_connects_meanwhile_waits_for_the_other(two: Two) -> None:
    """Nobody is refused."""
    two.one.pause()
    with socket.socket(socket.AF_UNIX) as early:
        early.connect(two.settings.path)
        early.sendall(GET)
        await two.hand_over()
        reader, writer = await asyncio.open_unix_connection(sock=early.dup())
        assert (await reader.readline()).split()[1] == b"200"
        writer.close()


async def test_all_can_go_on_after_a_pause(two: Two) -> None:
    """The other one could not begin after all: who was waiting is answered, and who comes."""
    async with Client(two) as before:
        assert await before.ask(GET) == b"one"
        two.one.pause()
        while not two.one.comes_to_rest():
            await before.writer.drain()
        before.writer.write(GET)
        await before.writer.drain()
        await two.one.go_on()
        assert await before.ask() == b"one"
        async with Client(two) as after:
            assert await after.ask(GET) == b"one"


def happen(api: Served, count: int) -> None:
    """Publish this many facts."""
    for number in range(count):
        api.house.room.bus.publish(ProcessRemoved(at=float(number), id=ProcessId("x", "x")))


async def test_a_stream_of_events_ends_with_where_to_go_on(api: Served) -> None:
    """Also for a client that has not been sent anything."""
    async with api.events(EVENTS) as quiet, api.events(EVENTS) as events:
        happen(api, 2)
        _, last = await take(events, 2)
        await take(quiet, 2)
        async with api.events(EVENTS) as fresh:
            api.server.end_streams()
            for stream in (events, quiet, fresh):
                (farewell,) = [event async for event in stream]
                assert (farewell.kind, farewell.id) == ("upgrade", last.id)


async def test_a_followed_log_ends_with_where_to_go_on(serve: Serve) -> None:
    """Between two characters: half a one is sent again with the other half."""
    api = await serve(program("web", "printf", "ab\\303", restart=NEVER))
    capture = api.house.room.engine.streams(ProcessId("web", "web")).captures
    await api.house.room.until(lambda: any(one.ring.end == 3 for one in capture.values()))
    async with api.events("/api/v1/processes/web/logs/stdout/follow", bytes=3) as pieces:
        (piece,) = await take(pieces, 1)
        api.server.end_streams()
        (farewell,) = [event async for event in pieces]
    assert (piece.fields["text"], farewell.kind, farewell.id) == ("ab", "upgrade", "2")


async def test_a_request_that_waits_is_told_to_ask_again(serve: Serve) -> None:
    """What it asked for goes on, and nobody waits for a process that is being stopped."""
    api = await serve(program("web", "sleep", "60", min_uptime=60.0, startup=Startup.MANUAL))
    body = wire.encode(wire.ActionRequest(action="start", names=["web"]))
    waiting = asyncio.ensure_future(api.session.post("/api/v1/actions", data=body, headers=JSON))
    await api.house.room.next(ProcessSpawned)
    api.server.put_off_requests()
    answer = await waiting
    assert (answer.status, (await answer.json())["code"]) == (503, "upgrading")
    await api.house.room.until(lambda: not api.server.is_at_work)
