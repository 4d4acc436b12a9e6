"""Who has the interpreter: a loop, or a thread that makes system calls all the time."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from opsvisor.runtime import right_of_way
from opsvisor.runtime.right_of_way import RightOfWay
from opsvisor.runtime.workers import worker

_PATIENCE = 60.0
_INTERVAL = 0.0002  # after which a thread can have the interpreter from a loop that computes
_MOMENT = 0.002  # for which a busy loop computes, without a turn of anybody else


@pytest.fixture(autouse=True)
def _interval() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(_INTERVAL)
    yield
    sys.setswitchinterval(before)


class _Reader:
    """Makes a system call after the other in a thread, in steps; `steps` until now."""

    def __init__(self, give: Callable[[], None]) -> None:
        self.steps = 0
        self.enough = threading.Event()
        self._give = give

    def read(self) -> None:
        """Until it is enough."""
        while not self.enough.is_set():
            self._give()
            os.stat("/proc/self")  # noqa: PTH116 - nothing but the call
            self.steps += 1


def _compute(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


async def _until(is_so: Callable[[], bool], meanwhile: Callable[[], None]) -> None:
    async with asyncio.timeout(_PATIENCE):
        while not is_so():
            meanwhile()
            await asyncio.sleep(0)


async def test_beside_a_busy_loop_the_thread_works_in_its_turns_alone() -> None:
    """It gets on, and takes nothing of the time in which the loop computes.

    A loop that the machine keeps from computing is not known to be busy, so those moments tell
    nothing, nor does the one that follows.
    """
    way = RightOfWay()
    reader = _Reader(way.give)
    taken: list[int] = []
    undisturbed = 0  # moments in a row

    def be_busy() -> None:
        nonlocal undisturbed
        before, began = reader.steps, time.monotonic()
        _compute(_MOMENT)
        undisturbed = undisturbed + 1 if time.monotonic() - began < 1.5 * _MOMENT else 0
        if undisturbed > 3:
            taken.append(reader.steps - before)

    with worker("reader") as thread:
        try:
            work = asyncio.get_running_loop().run_in_executor(thread, reader.read)
            way.look_after(work)
            await _until(lambda: reader.steps > 0, lambda: None)
            before = reader.steps
            await _until(lambda: len(taken) == 100, be_busy)
        finally:
            reader.enough.set()
            way.open()
        await work
    assert reader.steps - before > 100
    # Where it was interrupted just as it looked, it is not kept from going on until the next turn.
    assert sum(1 for steps in taken if steps > 1) <= 5


async def test_an_idle_loop_leaves_the_thread_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody stands still for it, nor does it have to wait for anybody."""
    stood_still: list[float] = []
    monkeypatch.setattr(right_of_way, "_stand_still", stood_still.append)
    way = RightOfWay()
    reader = _Reader(way.give)
    with worker("reader") as thread:
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(thread, reader.read)
        way.look_after(work)
        loop.call_later(0.05, reader.enough.set)
        await asyncio.wait_for(work, _PATIENCE)
    assert stood_still == []


async def test_a_loop_that_goes_away_leaves_the_way_open() -> None:
    """What waits in the thread would else wait for ever, and the end of Python for that."""
    way = RightOfWay()
    reader = _Reader(way.give)
    with worker("reader") as thread:
        work = asyncio.get_running_loop().run_in_executor(thread, reader.read)
        way.look_after(work)
        closed = threading.Event()

        def look() -> None:
            before = reader.steps
            _compute(_MOMENT)
            if before == reader.steps:
                closed.set()

        await _until(closed.is_set, look)
        way.open()
        before = reader.steps
        deadline = time.monotonic() + _PATIENCE
        while reader.steps < before + 10 and time.monotonic() < deadline:
            _compute(_MOMENT)  # the loop has no turn
        reader.enough.set()
        assert reader.steps >= before + 10
        await asyncio.wait_for(work, _PATIENCE)
    way.open()
    way.give()  # and again changes nothing
