"""The use cases over real processes."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from control_room import ControlRoom, MakeControl, control_room, loaded

from opsvisor.config.settings import DaemonSettings
from opsvisor.core.spec import ProcessSpec


@pytest.fixture
async def with_programs() -> AsyncIterator[MakeControl]:
    """Have these processes under supervision; when the test is over, they are gone."""
    async with AsyncExitStack() as stack:

        async def make(*specs: ProcessSpec, settings: DaemonSettings | None = None) -> ControlRoom:
            return await stack.enter_async_context(control_room(loaded(*specs, settings=settings)))

        yield make
