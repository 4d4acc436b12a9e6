"""An engine with real processes."""

from collections.abc import AsyncIterator

import pytest
from engine_room import Room, engine_room


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    """An engine; when the test is over, so is everything that was started in it."""
    async with engine_room() as one:
        yield one
