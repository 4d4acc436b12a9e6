"""Alarms ring once, when it is time, and not when they were closed or set anew."""

import asyncio
import errno
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from captured_programs import no_descriptor_left, open_descriptors

from opsvisor.runtime.logs.alarm import Alarm


@pytest.fixture
async def rings() -> list[float]:
    """When `alarm` rang, in the loop's time."""
    return []


@pytest.fixture
async def alarm(rings: list[float]) -> AsyncIterator[Alarm]:
    """An alarm of this loop, in which nothing is raised meanwhile."""
    loop = asyncio.get_running_loop()
    errors: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _loop, context: errors.append(context))
    alarm = Alarm(loop, lambda: rings.append(loop.time()))
    yield alarm
    alarm.close()
    assert errors == []


async def rings_after(seconds: float) -> float:
    """How late another one rings, in seconds."""
    loop = asyncio.get_running_loop()
    rang = loop.create_future()
    alarm = Alarm(loop, lambda: rang.set_result(loop.time()))
    at = loop.time() + seconds
    alarm.set(at)
    async with asyncio.timeout(60):
        late: float = await rang - at
    alarm.close()
    return late


def left_of(alarm: Alarm) -> float:
    """The seconds after which the kernel will make its descriptor readable; 0 if that is over."""
    text = Path(f"/proc/self/fdinfo/{alarm._timer}").read_text()
    left = re.search(r"it_value: \((\d+), (\d+)\)", text)
    assert left is not None
    return int(left[1]) + int(left[2]) / 1e9


def descriptors() -> int:
    """How many are open."""
    return len(list(open_descriptors()))


@pytest.mark.parametrize("after", [-1.0, 0.0, 0.0003, 0.01])
async def test_rings_when_it_is_time(after: float) -> None:
    """Never before, and at once where the time is over."""
    assert await rings_after(after) >= 0.0


async def test_the_kernel_knows_the_time_to_the_nanosecond(alarm: Alarm) -> None:
    """Not to the millisecond, and the last one that was set."""
    alarm.set(asyncio.get_running_loop().time() + 3600)
    assert 3500 < left_of(alarm) < 3600
    alarm.set(asyncio.get_running_loop().time() + 7200.0004)
    assert 7100 < left_of(alarm) < 7200.0004
    alarm.close()
    assert alarm._timer is None


async def test_rings_at_what_was_set_last(alarm: Alarm, rings: list[float]) -> None:
    """Also where the loop has seen by then that it should ring for what was set before."""
    loop = asyncio.get_running_loop()
    later = loop.time() + 0.02
    alarm.set(loop.time() - 1)
    while left_of(alarm):  # it is readable once this is over
        pass
    loop.call_soon(alarm.set, later)
    await rings_after(0.0)
    await rings_after(0.03)
    assert len(rings) == 1
    assert rings[0] >= later


async def test_closed_it_is_silent(alarm: Alarm, rings: list[float]) -> None:
    """Even if its time has come."""
    alarm.set(asyncio.get_running_loop().time())
    while left_of(alarm):
        pass
    alarm.close()
    await rings_after(0.01)
    assert rings == []


async def test_rings_without_a_descriptor() -> None:
    """By the loop's own timer, which is less exact."""
    with no_descriptor_left():
        assert await rings_after(0.002) >= 0.0


async def test_rings_where_the_loop_cannot_wait_for_its_timer(
    alarm: Alarm, rings: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel bounds what a user may wait for; it may be to be had the next time."""
    loop = asyncio.get_running_loop()
    refused = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    before = descriptors()
    with monkeypatch.context() as patched:
        patched.setattr(loop, "add_reader", Mock(side_effect=refused))
        alarm.set(loop.time())
    assert descriptors() == before
    await rings_after(0.005)
    assert len(rings) == 1
    alarm.set(loop.time())
    assert descriptors() == before + 1
    await rings_after(0.005)
    assert len(rings) == 2


async def test_without_a_descriptor_it_is_set_anew_and_closed(
    alarm: Alarm, rings: list[float]
) -> None:
    """It rings for the last time that was set, if for any."""
    now = asyncio.get_running_loop().time()
    with no_descriptor_left():
        alarm.set(now + 0.001)
        alarm.set(now + 0.005)
        await rings_after(0.01)
        assert [at >= now + 0.005 for at in rings] == [True]
        alarm.set(now)
        alarm.close()
    await rings_after(0.01)
    assert len(rings) == 1
