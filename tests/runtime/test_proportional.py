"""Proportional memory: a sum that holds, read at its own pace, and not at all unless asked."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path

import pytest
from sampled import WEB, Victim, World

from opsvisor.core.spec import Pid, ProcessId
from opsvisor.runtime import proportional as module
from opsvisor.runtime.proportional import ProportionalMemory, read_size

MIB = 1 << 20
PATIENCE = 60.0


def _raise(error: Exception) -> None:
    raise error


class Reader:
    """A reader over a world's sampler, whose readings can be waited for."""

    def __init__(self, world: World, *, interval: float) -> None:
        self.memory = ProportionalMemory(world.sampler, interval=interval, on_error=_raise)
        self.world = world

    async def read(self) -> int | None:
        """What is known of WEB after one reading of a fresh sweep."""
        self.world.now += 5.0
        await self.memory._read()
        return self.memory.of(WEB)


@pytest.fixture
async def reader(victim: Victim) -> AsyncIterator[Reader]:
    """Of one process, and with no timer running."""
    one = Reader(World({"web": victim}), interval=1000.0)
    yield one
    await one.memory.close()
    one.world.sampler.close()


async def test_what_forks_share_counts_once(victim: Victim, reader: Reader) -> None:
    """32 MiB in three processes are 32 MiB, where the sum of resident memory says 96."""
    before = await reader.read()
    assert before is not None
    victim.do(f"share {32 * MIB}")
    victim.do("worker")
    after = await reader.read()
    assert after is not None
    assert 32 * MIB <= after - before < 44 * MIB
    tree = reader.world.sampler.tree(WEB)
    assert tree is not None
    assert tree.rss_bytes > 3 * 32 * MIB


async def test_nothing_is_told_before_it_was_read(reader: Reader) -> None:
    """Nor of a run that is over, nor of one that began after the reading."""
    await reader.world.look()
    assert reader.memory.of(WEB) is None
    assert await reader.read() is not None


async def test_a_run_has_its_own_reading(victim: Victim, reader: Reader, tmp_path: Path) -> None:
    """The memory of the last run is not told for the next one."""
    assert await reader.read() is not None
    reader.world.end(victim)
    assert reader.memory.of(WEB) is None
    second = Victim(tmp_path)
    try:
        reader.world.begin(second)
        await reader.world.look()
        assert reader.memory.of(WEB) is None
        assert await reader.read() is not None
    finally:
        second.leave_nothing()


async def test_who_may_not_be_looked_at_or_is_gone_has_no_size(victim: Victim) -> None:
    """A zombie has no memory any more."""
    zombie = victim.do("zombie 0")
    assert read_size(zombie) is None
    assert read_size(Pid(2**22 + 1)) is None
    size = read_size(victim.pid)
    assert size is not None
    assert size > MIB


async def test_readings_never_overlap_and_the_loop_is_never_held(
    victim: Victim, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reading that takes longer than the interval leaves out the next ones."""
    inside, most, started = 0, 0, 0
    release = threading.Event()
    first, second = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    read_all = module._read_all

    def slowly(trees: object) -> object:
        nonlocal inside, most, started
        inside += 1
        started += 1
        most = max(most, inside)
        loop.call_soon_threadsafe(first.set if started == 1 else second.set)
        assert release.wait(PATIENCE)
        inside -= 1
        return read_all(trees)  # type: ignore[arg-type]  # as given

    monkeypatch.setattr(module, "_read_all", slowly)
    world = World({"web": victim})
    memory = ProportionalMemory(world.sampler, interval=0.001, on_error=_raise)
    memory.open()
    async with asyncio.timeout(PATIENCE):
        await first.wait()
    await ticks(loop, 50)
    assert (started, most) == (1, 1)
    release.set()
    async with asyncio.timeout(PATIENCE):
        await second.wait()
    assert most == 1
    await memory.close()
    world.sampler.close()


async def test_a_bug_in_a_reading_is_told_and_ends_nothing(
    victim: Victim, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted and logged, and the next reading comes in its time; the end is as ever."""
    errors: list[Exception] = []
    read_all = module._read_all
    twice = asyncio.Event()

    def failing(trees: Mapping[ProcessId, tuple[Pid, Iterable[Pid]]]) -> object:
        if not errors:
            raise ValueError("a file of /proc that nobody expected")
        loop.call_soon_threadsafe(twice.set)
        return read_all(trees)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(module, "_read_all", failing)
    world = World({"web": victim})
    memory = ProportionalMemory(world.sampler, interval=0.001, on_error=errors.append)
    memory.open()
    async with asyncio.timeout(PATIENCE):
        await twice.wait()
    assert [str(error) for error in errors] == ["a file of /proc that nobody expected"]
    await memory.close()
    world.sampler.close()


async def ticks(loop: asyncio.AbstractEventLoop, count: int) -> None:
    """Let so many milliseconds pass on a loop that is free all the time."""
    for _ in range(count):
        done = loop.create_future()
        loop.call_later(0.001, done.set_result, None)
        await done


async def test_without_being_opened_it_has_neither_timer_nor_thread(
    victim: Victim, reader: Reader
) -> None:
    """An idle daemon does not wake."""
    del victim
    assert not any(thread.name.startswith("proportional") for thread in threading.enumerate())
    assert reader.memory._task is None
    assert {task for task in asyncio.all_tasks() if task is not asyncio.current_task()} == set()
