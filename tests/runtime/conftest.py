"""An engine with real processes."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from engine_room import Room, engine_room
from forks import Gate
from orphans import orphans_are_ours
from sampled import Victim, World, WorldOf


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    """An engine; when the test is over, so is everything that was started in it."""
    async with engine_room() as one:
        yield one


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    """One obedient process."""
    one = Victim(tmp_path)
    yield one
    one.leave_nothing()


@pytest.fixture
def subreaper() -> Iterator[None]:
    """Let this process inherit orphans, as the daemon does."""
    with orphans_are_ours():
        yield


@pytest.fixture
def world_of() -> Iterator[WorldOf]:
    """Makes worlds, and closes their samplers."""
    made: list[World] = []

    def make(**roots: Victim) -> World:
        made.append(World(roots))
        return made[-1]

    yield make
    for world in made:
        world.sampler.close()


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """One that is closed."""
    return Gate(tmp_path)
