"""Supervisor's interface in front of real processes, served on a real socket, without a daemon."""

import asyncio
import contextlib
import io
import itertools
import xmlrpc.client
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from control_room import ControlRoom, control_room, loaded
from engine_room import PATIENCE

from opsvisor.api.app import create_app
from opsvisor.api.context import HttpObserver
from opsvisor.api.server import HttpServer
from opsvisor.compat.supervisor.edge import SupervisorEdge
from opsvisor.config.settings import (
    Collector,
    DaemonSettings,
    Dialect,
    LogLevel,
    TcpServer,
    UnixServer,
)
from opsvisor.control.control import Control
from opsvisor.core.spec import LogSpec, ProcessSpec
from opsvisor.core.struct import replace
from opsvisor.runtime.daemon_log import DaemonLog


class RpcRoom:
    """A control room with Supervisor's interface, and a client of it."""

    def __init__(
        self, house: ControlRoom, control: Control, server: UnixServer | TcpServer
    ) -> None:
        self.house = house
        self.room = house.room
        self.control = control
        self.lines: list[tuple[LogLevel, str]] = []
        self.errors: list[tuple[str, Exception]] = []
        self.streams: list[str] = []  # kinds of those that are open
        self.edge = SupervisorEdge(
            control,
            lambda level, text: self.lines.append((level, text)),
            itertools.count(),
            count_dropped=lambda _name, _count: None,
            streaming=self._streaming,
        )
        observer = HttpObserver(
            request_done=lambda *_: None,
            in_flight=contextlib.nullcontext,
            streaming=lambda _: contextlib.nullcontext(),
            internal_error=lambda component, error: self.errors.append((component, error)),
        )
        self._server = HttpServer(
            server,
            create_app(
                control,
                server,
                metrics=_NoMetrics(),
                observer=observer,
                more_routes=self.edge.routes(),
            ),
        )
        self.session: aiohttp.ClientSession

    async def open(self) -> None:
        """Listen, and have a client."""
        self.edge.open()
        self._server.listen()
        await self._server.serve()
        url, connector = "http://localhost", None
        if isinstance(self._server.settings, UnixServer):
            connector = aiohttp.UnixConnector(self._server.settings.path)
        else:
            url = f"http://127.0.0.1:{self.port}"
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        self.session = aiohttp.ClientSession(url, connector=connector, timeout=timeout)

    @contextlib.contextmanager
    def _streaming(self, kind: str) -> Iterator[None]:
        self.streams.append(kind)
        try:
            yield
        finally:
            self.streams.remove(kind)

    @property
    def port(self) -> int:
        """Where a TCP server listens that was told port 0."""
        port: int = self._server.listener.getsockname()[1]
        return port

    async def close(self) -> None:
        """Let go of everything."""
        await self.session.close()
        self.edge.close()
        await self._server.close()

    async def post(self, body: bytes, path: str = "/RPC2", **headers: str) -> tuple[int, bytes]:
        """Status and body of a POST."""
        wanted = {"Content-Type": "text/xml", **headers}
        async with self.session.post(path, data=io.BytesIO(body), headers=wanted) as response:
            return response.status, await response.read()

    async def call(self, method: str, *params: Any) -> Any:
        """The answer of a method; xmlrpc.client.Fault if there is none."""
        body = xmlrpc.client.dumps(params, method, allow_none=True).encode()
        status, answer = await self.post(body)
        assert status == 200, answer
        ((value,), _) = xmlrpc.client.loads(answer)
        return value

    async def ask(self, method: str, *params: Any) -> Any:
        """The answer of one of supervisor's own methods."""
        return await self.call(f"supervisor.{method}", *params)

    async def fault(self, method: str, *params: Any) -> str:
        """The fault that a call must end in, as `code TEXT`."""
        return await self.raw_fault(method if "." in method else f"supervisor.{method}", *params)

    async def raw_fault(self, method: str, *params: Any) -> str:
        """The same, for a method whose name is in full."""
        try:
            answer = await self.call(method, *params)
        except xmlrpc.client.Fault as fault:
            return f"{fault.faultCode} {fault.faultString}"
        raise AssertionError(f"{method} answers {answer!r}")

    async def results(self, method: str, *params: Any) -> dict[str, str]:
        """An array of results, as `group:name` to `status description`."""
        answer = await self.ask(method, *params)
        return {
            f"{one['group']}:{one['name']}": f"{one['status']} {one['description']}"
            for one in answer
        }


class _NoMetrics:
    collectors = frozenset[Collector]()

    def content_type(self, accept: str) -> str:
        del accept
        return "text/plain"

    async def render(
        self, accept: str, *, gzip: bool, collect: frozenset[Collector] | None = None
    ) -> tuple[bytes, str]:
        del accept, gzip, collect
        return b"", "text/plain"


@asynccontextmanager
async def rpc_room(
    *specs: ProcessSpec,
    folder: Path,
    dialect: Dialect = Dialect.SUPERVISOR,
    daemon_log: Path | None = None,
    server: TcpServer | None = None,
) -> AsyncIterator[RpcRoom]:
    """The interface for these processes, which has met no bug of its own when the block ends."""
    settings = DaemonSettings(dialect=dialect, identifier="the-daemon")
    async with control_room(loaded(*specs, settings=settings)) as house:
        log = DaemonLog(
            LogSpec(path=str(daemon_log) if daemon_log else None),
            echo=False,
            ring_size=65536,
            loop=asyncio.get_running_loop(),
        )
        one = RpcRoom(
            house,
            replace(house.control, daemon_log=log),
            server or UnixServer(name="test", path=str(folder / "rpc")),
        )
        await one.open()
        try:
            yield one
        finally:
            await one.close()
            log.close()
        assert not one.errors, one.errors
        assert house.control.actions._waiting == {}
