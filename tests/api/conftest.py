"""The API over real processes."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from engine_room import sleeper
from served import Serve, Served, served, unix_server

from opsvisor.config.settings import DaemonSettings, TcpServer, UnixServer
from opsvisor.core.spec import ProcessSpec


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Serve the API of these processes; when the test is over, all of it is gone."""
    async with AsyncExitStack() as stack:

        async def start(
            *specs: ProcessSpec,
            server: UnixServer | TcpServer | None = None,
            settings: DaemonSettings | None = None,
        ) -> Served:
            where = server or unix_server(tmp_path)
            return await stack.enter_async_context(served(*specs, server=where, settings=settings))

        yield start


@pytest.fixture
async def api(serve: Serve) -> Served:
    """The API of one process `web` that runs."""
    return await serve(sleeper())
