"""Who has the interpreter: a loop, or a thread that makes system calls all the time."""

import asyncio
import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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


class _Way(RightOfWay):
    """Counts its looks."""

    looks = 0

    def _look(self, work: asyncio.Future[object], interval: float) -> None:
        self.looks += 1
        super()._look(work, interval)

    @property
    def is_in_force(self) -> bool:
        """Whether the thread waits, and goes on waiting as long as the loop has no turn."""
        return self._is_closed and self._is_waiting


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


@contextmanager
def _reading(way: RightOfWay) -> Iterator[tuple[_Reader, asyncio.Future[None]]]:
    """A reader at work, looked after by this loop."""
    reader = _Reader(way.give)
    with worker("reader") as thread:
        work = asyncio.get_running_loop().run_in_executor(thread, reader.read)
        way.look_after(work)
        try:
            yield reader, work
        finally:
            reader.enough.set()
            way.close()


def _compute() -> None:
    until = time.thread_time() + _MOMENT
    while time.thread_time() < until:
        pass


async def _busy_until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(_PATIENCE):
        while not is_so():
            _compute()
            await asyncio.sleep(0)


async def test_beside_a_busy_loop_the_thread_works_in_its_turns_alone() -> None:
    """It gets on, and takes nothing of the time in which the loop computes."""
    way = _Way()
    taken: list[int] = []
    with _reading(way) as (reader, _):

        def have_enough() -> bool:
            if way.is_in_force:
                before = reader.steps
                _compute()
                taken.append(reader.steps - before)
            return len(taken) == 100

        await _busy_until(have_enough)
        assert reader.steps > 100
    assert set(taken) == {0}


async def test_an_idle_loop_leaves_the_thread_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody stands still for it, nor does it have to wait for anybody."""
    stood_still: list[float] = []
    monkeypatch.setattr(right_of_way, "stand_still", stood_still.append)
    gc.disable()  # a collection would keep the loop busy
    try:
        with _reading(RightOfWay()) as (reader, work):
            asyncio.get_running_loop().call_later(0.05, reader.enough.set)
            await asyncio.wait_for(work, _PATIENCE)
    finally:
        gc.enable()
    assert stood_still == []


async def test_who_goes_away_leaves_the_way_open() -> None:
    """What waits in the thread would else wait, and the end of Python for that."""
    way = _Way()
    with _reading(way) as (reader, _):
        await _busy_until(lambda: way.is_in_force)
        way.close()
        before = reader.steps
        await _busy_until(lambda: reader.steps > before)
        looks = way.looks
        for _ in range(10):
            _compute()
            await asyncio.sleep(0)
        assert not way.is_in_force
        assert way.looks == looks  # a last one might have closed it again


async def test_a_thread_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle loop sleeps longer and longer, and a busy one does not stand still for it."""
    stood_still: list[float] = []
    monkeypatch.setattr(right_of_way, "stand_still", stood_still.append)
    way, loop = _Way(), asyncio.get_running_loop()
    hangs, may_go_on = threading.Event(), threading.Event()

    def hang() -> None:
        way.give()
        hangs.set()
        may_go_on.wait()

    with worker("reader") as thread:
        work = loop.run_in_executor(thread, hang)
        way.look_after(work)
        try:
            await _busy_until(hangs.is_set)
            until = loop.time() + 0.3
            await _busy_until(lambda: loop.time() > until)
            assert way.looks < 15
            assert stood_still == []
        finally:
            may_go_on.set()
            way.close()
        await work


async def test_nobody_waits_for_ever_for_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may hang itself, or be gone after an error."""
    monkeypatch.setattr(right_of_way, "_PATIENCE", 0.05)
    way = RightOfWay()
    way._shut()
    with worker("reader") as thread:
        thread.submit(way.give).result(_PATIENCE)
        thread.submit(way.give).result(_PATIENCE)
        way.close()
        thread.submit(way.give).result(_PATIENCE)
        assert not way._gate.locked()
