"""Real pipes and files, and a check that none of them stays open."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from captured_programs import MakeCapture, log_spec, open_descriptors

from opsvisor.runtime.logs import StreamCapture
from opsvisor.runtime.logs.capture import Surroundings


@pytest.fixture(autouse=True)
def no_descriptor_stays_open() -> Iterator[None]:
    """Every test gives back each descriptor it opened."""
    before = open_descriptors()
    yield
    assert open_descriptors() == before


@pytest.fixture
async def make_capture() -> AsyncIterator[MakeCapture]:
    """Captures that are closed at the end of the test, while its loop still runs."""
    made: list[StreamCapture] = []

    def make(
        path: Path | str | None = None, *, ring_size: int = 1 << 20, **rest: object
    ) -> StreamCapture:
        spec = log_spec(path, **rest)
        loop = asyncio.get_running_loop()
        made.append(StreamCapture(spec, Surroundings(ring_size=ring_size, loop=loop)))
        return made[-1]

    yield make
    for capture in made:
        capture.close()
