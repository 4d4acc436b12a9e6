"""What a scrape does, counted: how long it keeps the loop, how often it looks, what it makes.

No clock: processes looked at in one turn of the loop, sweeps, and calls for each process.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType

import pytest
from scene import OPENMETRICS, Scene, scene_of, stopped

from opsvisor.core.spec import ProcessId
from opsvisor.core.view import ProcessView
from opsvisor.telemetry import scraping
from opsvisor.telemetry.rows import ProcessFamily, Row


@dataclass(kw_only=True)
class Turns:
    """Counts what is done from one turn of the loop to the next."""

    most: int = 0
    total: int = 0
    _at_once: int = 0
    _is_over: bool = field(default=False)

    def done(self, count: int = 1) -> None:
        """So much more."""
        if self._at_once == 0:
            asyncio.get_running_loop().call_soon(self._next)
        self.total += count
        self._at_once += count
        self.most = max(self.most, self._at_once)

    def _next(self) -> None:
        self._at_once = 0


def many(count: int) -> list[ProcessView]:
    """So many processes."""
    return [stopped(ProcessId("many", f"p{number}")) for number in range(count)]


@pytest.fixture
def scene() -> Iterator[Scene]:
    """More processes than are looked at or written at once."""
    with scene_of(many(1200)) as one:
        yield one


async def test_few_processes_are_looked_at_in_one_turn_of_the_loop(scene: Scene) -> None:
    """Each costs 17 us, in which nothing is restarted."""
    looked_at = Turns()

    def look() -> Iterator[ProcessView]:
        for view in scene.views:
            looked_at.done()
            yield view

    scene.look = look
    await scene.scrape()
    assert looked_at.total == 1200
    # 50, and the one after them is looked for at the end of the turn or not at all.
    assert looked_at.most <= 51


async def test_not_too_much_is_written_in_one_turn_of_the_loop(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are asked for a family, of whichever family; they are compressed with it."""
    asked = Turns()
    write = scraping._write

    async def counted(family: ProcessFamily, rows: list[Row], **given: object) -> None:
        @dataclass
        class Counted:
            def head(self, form: object) -> str:
                return family.head(form)  # type: ignore[arg-type]  # as it came

            def samples(self, chunk: list[Row]) -> str:
                asked.done(len(chunk))
                return family.samples(chunk)

        await write(Counted(), rows, **given)  # type: ignore[arg-type]  # as it came

    monkeypatch.setattr(scraping, "_write", counted)
    await scene.scrape()
    assert asked.total > 40 * 1200
    assert asked.most <= 2500


async def test_scrapes_at_once_share_one_look_into_proc(scene: Scene) -> None:
    """And those that come within its age go without."""
    await asyncio.gather(*(scene.scrape(OPENMETRICS) for _ in range(5)))
    await scene.scrape()
    assert scene.sampler.sweeps == 1


async def test_a_scrape_calls_little_for_each_process() -> None:
    """Functions of Python and C. Some 50 families: about two calls for each of them."""
    few, more = await _calls_of_scrape(20), await _calls_of_scrape(120)
    assert (more - few) / 100 < 140


async def test_a_scrape_leaves_nothing_behind() -> None:
    """What is kept of a process from scrape to scrape is there after the first one."""
    with scene_of(many(300)) as scene:
        await scene.scrape()
        await scene.scrape()
        before = sys.getallocatedblocks()
        for _ in range(5):
            await scene.scrape()
        assert (sys.getallocatedblocks() - before) / 300 < 1


async def _calls_of_scrape(count: int) -> int:
    calls = 0

    def called(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        del frame, argument
        calls += event in ("call", "c_call")

    with scene_of(many(count)) as scene:
        await scene.scrape()  # whatever is made once
        before: Callable[..., object] | None = sys.getprofile()
        sys.setprofile(called)
        try:
            await scene.scrape()
        finally:
            sys.setprofile(before)
    return calls
