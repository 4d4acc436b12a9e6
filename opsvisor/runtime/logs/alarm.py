"""Wakes an event loop at a moment, to some microseconds.

The timers of asyncio end in epoll_wait(2), which counts in milliseconds and rounds up: what is to
come each millisecond comes every 1.3. A descriptor of timerfd_create(2) becomes readable when it
is time. Python has that from 3.13 on.
"""

import asyncio
import ctypes
import os
import time
from collections.abc import Callable

_Times = ctypes.c_long * 4  # seconds and nanoseconds: of the interval, and until the first time
_NANO = 1_000_000_000
_SOONEST = 1e-6  # seconds; 0 would mean never


class Alarm:
    """Calls `ring` in the loop, once for each `set`. Nothing is opened before the first one."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._library: ctypes.PyDLL | None = None
        self._timer: int | None = None
        self._instead: asyncio.TimerHandle | None = None

    def set(self, at: float) -> None:
        """Ring at this time of the loop, and not at the one that was set before."""
        self._cancel()
        try:
            self._set_timer(at - self._loop.time())
        except OSError:  # no descriptor left, or no such call: then to the millisecond
            self._instead = self._loop.call_at(at, self._ring)

    def close(self) -> None:
        """Ring no more, and hold nothing open until it is set again."""
        self._cancel()
        if self._timer is not None:
            self._loop.remove_reader(self._timer)
            os.close(self._timer)
            self._timer = None

    def _cancel(self) -> None:
        if self._instead is not None:
            self._instead.cancel()
            self._instead = None

    def _set_timer(self, seconds: float) -> None:
        if self._library is None:
            # PyDLL keeps the interpreter's lock, as what is called here never waits.
            self._library = ctypes.PyDLL(None, use_errno=True)
        if self._timer is None:
            self._timer = self._opened(self._library)
        whole, rest = divmod(int(max(seconds, _SOONEST) * _NANO), _NANO)
        if self._library.timerfd_settime(self._timer, 0, _Times(0, 0, whole, rest), None):
            raise _failure()

    def _opened(self, library: ctypes.PyDLL) -> int:
        """A timer whose end the loop sees. OSError if there is no descriptor, or no such call."""
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        timer: int = library.timerfd_create(time.CLOCK_MONOTONIC, flags)
        if timer < 0:
            raise _failure()
        try:
            self._loop.add_reader(timer, self._is_time)
        except BaseException:
            os.close(timer)
            raise
        return timer

    def _is_time(self) -> None:
        assert self._timer is not None
        try:
            os.read(self._timer, 8)
        except BlockingIOError:  # it was set again since it became readable
            return
        self._ring()


def _failure() -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code))
