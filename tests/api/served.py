"""The API of a control room, served on a real socket and asked with real requests."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import aiohttp
import msgspec
from control_room import ControlRoom, control_room, loaded
from engine_room import PATIENCE
from promised import Promises

from opsvisor import wire
from opsvisor.api.app import create_app
from opsvisor.api.context import HttpObserver
from opsvisor.api.crowd import Cut, Watcher
from opsvisor.api.server import HttpServer
from opsvisor.api.tls import Certificates, TlsWatcher
from opsvisor.config.certificates import Certificate
from opsvisor.config.settings import ClientLimits, DaemonSettings, TcpServer, UnixServer
from opsvisor.core.events import ProcessAdded
from opsvisor.core.spec import ProcessSpec
from opsvisor.runtime import clock
from opsvisor.telemetry.metrics import Metrics

T = TypeVar("T")
JSON = {"Content-Type": "application/json"}
# One address may be wrong as often as a table of callers has it.
PATIENT = ClientLimits(failed_logins=0)


@dataclass(frozen=True)
class Done:
    """A request that was answered, as the metrics are told of it."""

    route: str
    method: str
    status: int


@dataclass(frozen=True)
class SentEvent:
    """One server-sent event."""

    kind: str
    id: str
    text: str

    @property
    def fields(self) -> dict[str, object]:
        """Its JSON."""
        decoded = json.loads(self.text)
        assert isinstance(decoded, dict)
        return decoded


class _Told(Watcher, TlsWatcher):
    """Writes down what a listener tells, in words."""

    def __init__(self, one: "Served") -> None:
        self._one = one

    def cut(self, why: Cut) -> None:
        self._tell(f"cut: {why.value}")

    def handshake_failed(self, source: str, why: str) -> None:
        self._tell(f"no handshake with {source}: {why}")

    def renewed(self, certificate: Certificate) -> None:
        self._tell(f"renewed, until {certificate.not_after:.0f}")

    def not_renewed(self, why: str) -> None:
        self._tell(f"not renewed: {why}")

    def _tell(self, text: str) -> None:
        self._one.told.append(text)
        self._one.house.room.poke()


class Served:
    """A control room with its API."""

    def __init__(
        self, house: ControlRoom, server: UnixServer | TcpServer, limits: ClientLimits
    ) -> None:
        self.house = house
        self.done: list[Done] = []
        self.errors: list[tuple[str, Exception]] = []
        self.metrics = Metrics(
            views=house.room.engine.each_view,
            log_stats=lambda process_id: house.room.engine.streams(process_id).stats(),
            sampler=house.control.sampler,
            started_at=1000.0,
            now=clock.now,
            version="1.2.3",
            subscriptions=lambda: house.room.bus.subscriptions,
            on_error=lambda component, error: self.errors.append((component, error)),
        )
        for view in house.room.engine.views():  # what was told before we listened
            self.metrics.on_event(ProcessAdded(at=0.0, id=view.id, spec=view.spec))
        house.room.bus.listen(self.metrics.on_event)
        observer = HttpObserver(
            request_done=self._request_done,
            in_flight=self.metrics.request_in_flight,
            streaming=self.metrics.stream_active,
            internal_error=lambda component, error: self.errors.append((component, error)),
        )
        self.told: list[str] = []  # of connections and certificates, as whoever watches is
        shown = None
        if isinstance(server, TcpServer) and server.tls is not None:
            shown = Certificates(server.tls, _Told(self))
        app = create_app(
            house.control,
            server,
            metrics=self.metrics,
            observer=observer,
            limits=limits,
            certificates=shown,
        )
        self.promises = Promises(app)
        self.server = HttpServer(
            server, app, limits=limits, watcher=_Told(self), certificates=shown
        )
        self.session: aiohttp.ClientSession

    async def open(self) -> None:
        """Listen, and have a client."""
        self.server.listen()
        await self.server.serve()
        if isinstance(self.server.settings, UnixServer):
            self.session = aiohttp.ClientSession(
                "http://localhost",
                connector=aiohttp.UnixConnector(self.server.settings.path),
                timeout=aiohttp.ClientTimeout(total=PATIENCE),
                auto_decompress=False,
            )
        else:
            self.session = aiohttp.ClientSession(
                f"http://127.0.0.1:{self.port}",
                timeout=aiohttp.ClientTimeout(total=PATIENCE),
            )

    @property
    def port(self) -> int:
        """Where a TCP server listens that was told port 0."""
        port: int = self.server.listener.getsockname()[1]
        return port

    async def close(self) -> None:
        """Let go of the client and the socket."""
        await self.session.close()
        await self.server.close()

    async def get(self, path: str, kind: type[T], **params: str | int) -> T:
        """The answer to a GET that must succeed."""
        async with self.session.get(path, params=params) as response:
            return await _decoded(response, kind)

    async def post(self, path: str, kind: type[T], body: msgspec.Struct | None = None) -> T:
        """The answer to a POST that must succeed."""
        encoded = msgspec.json.encode(body) if body is not None else None
        async with self.session.post(path, data=encoded, headers=JSON) as response:
            return await _decoded(response, kind)

    async def problem(
        self, method: str, path: str, *, body: bytes | None = None, **headers: str
    ) -> wire.Problem:
        """The problem that a request must meet. `_` in the names of headers stands for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        data = None if body is None else io.BytesIO(body)
        wanted = {**JSON, **named} if method in ("POST", "DELETE") else named
        async with self.session.request(method, path, data=data, headers=wanted) as response:
            assert response.content_type == "application/problem+json"
            told = msgspec.json.decode(await response.read(), type=wire.Problem)
            assert told.status == response.status
            return told

    async def act(
        self, action: str, *names: str, **options: str | bool | float | None
    ) -> list[wire.ActionResult]:
        """What became of an action."""
        request = wire.ActionRequest(action=action, names=list(names), **options)  # type: ignore[arg-type]  # a test's free choice
        answer = await self.post("/api/v1/actions", wire.ActionResponse, request)
        return answer.results

    @asynccontextmanager
    async def events(
        self, path: str, last_event_id: str = "", *, shown: str = "", **params: str | int
    ) -> AsyncIterator[AsyncIterator[SentEvent]]:
        """Server-sent events, for as long as the block lasts; `shown` is in Authorization."""
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        headers |= {"Authorization": shown} if shown else {}
        async with self.session.get(path, params=params, headers=headers) as response:
            assert (response.status, response.content_type) == (200, "text/event-stream")
            yield _sent_events(response)

    async def answered(self, done: Done) -> None:
        """Wait until a request like this has been answered."""
        await self.house.room.until(lambda: done in self.done)

    def _request_done(self, route: str, method: str, status: int, seconds: float) -> None:
        self.metrics.http_request(route, method, code=status, seconds=seconds)
        self.done.append(Done(route, method, status))
        self.house.room.poke()


async def take(events: AsyncIterator[SentEvent], count: int) -> list[SentEvent]:
    """The next events."""
    async with asyncio.timeout(PATIENCE):
        return [await anext(events) for _ in range(count)]


async def _decoded(response: aiohttp.ClientResponse, kind: type[T]) -> T:
    body = await response.read()
    assert response.status in (200, 202), body
    assert response.content_type == "application/json"
    return msgspec.json.decode(body, type=kind)


async def _sent_events(response: aiohttp.ClientResponse) -> AsyncIterator[SentEvent]:
    fields: dict[str, list[str]] = {}
    async for raw in _lines(response):
        line = raw.decode().rstrip("\r\n")
        if line:
            name, _, value = line.partition(": ")
            fields.setdefault(name, []).append(value)
        elif "data" in fields:
            kind, number = (fields.get(name, [""])[0] for name in ("event", "id"))
            yield SentEvent(kind, number, "\n".join(fields["data"]))
            fields = {}


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The lines of a stream, until the server ends it in one way or another."""
    with suppress(aiohttp.ClientPayloadError):  # cut off in the middle
        async for line in response.content:
            yield line


class Serve(Protocol):
    """Serves the API of these processes for the rest of a test."""

    def __call__(
        self,
        *specs: ProcessSpec,
        server: UnixServer | TcpServer | None = None,
        settings: DaemonSettings | None = None,
    ) -> Awaitable[Served]:
        """The API over a unix socket, unless `server` says otherwise."""
        ...


@asynccontextmanager
async def served(
    *specs: ProcessSpec,
    server: UnixServer | TcpServer,
    settings: DaemonSettings | None = None,
) -> AsyncIterator[Served]:
    """An API that is gone after the block, and has met no bug of its own."""
    async with control_room(loaded(*specs, settings=settings)) as house:
        one = Served(house, server, settings.limits if settings else PATIENT)
        await one.open()
        try:
            yield one
        finally:
            await one.close()
        assert not one.errors, one.errors
        assert not one.promises.broken, one.promises.broken
        assert house.control.actions._waiting == {}
        assert house.room.bus.subscriptions == ()


def unix_server(directory: Path) -> UnixServer:
    """A unix socket in this directory."""
    return UnixServer(name="test", path=str(directory / "s"))
