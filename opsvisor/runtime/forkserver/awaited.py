"""Births that the loop waits for, as for anything else: it does not stand still meanwhile.

A fork server makes a process in a thousandth of a second, as a rule; and where the executable is
on a file server that is gone, or the cgroup is frozen, in ten.
"""

import asyncio
import select
from collections.abc import Callable

from opsvisor.core.spec import Pid
from opsvisor.core.struct import Struct
from opsvisor.runtime.forkserver.birth import Birth

# Seconds after which a birth holds up nobody any more.
_SLOW_AFTER = 0.1
# Of a pipe: that nobody can write any more. What was written by then nobody has to hear before.
_END = 0


class _Waiting(Struct):
    """`over` is called, once, when the birth is."""

    birth: Birth
    over: Callable[[], None]
    timer: asyncio.TimerHandle
    is_slow: bool = False


class Awaited:
    """All births that somebody waits for. `on_slow` is told of each that takes its time."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, on_slow: Callable[[], None] = lambda: None
    ) -> None:
        self._loop = loop
        self._on_slow = on_slow
        self._epoll: select.epoll | None = None  # for less than the loop takes for each
        self._waiting: dict[int, _Waiting] = {}  # by descriptor
        self._slow = 0

    def __len__(self) -> int:
        """How many there are."""
        return len(self._waiting)

    @property
    def swift(self) -> int:
        """How many of them are as young as births are, as a rule."""
        return len(self._waiting) - self._slow

    def add(self, birth: Birth, over: Callable[[], None]) -> None:
        """Call this when the birth is over: `finish` returns at once then.

        OSError if there is no descriptor left to wait with.
        """
        if self._epoll is None:
            self._epoll = select.epoll()
            self._loop.add_reader(self._epoll, self._look)
        descriptor = birth.fileno()
        self._epoll.register(descriptor, _END)
        timer = self._loop.call_later(_SLOW_AFTER, self._is_slow, descriptor)
        self._waiting[descriptor] = _Waiting(birth, over, timer)

    def drop(self, birth: Birth) -> None:
        """Wait no longer for this one: whoever has it does."""
        self._forget(birth.fileno())

    def ended(self, pid: Pid) -> bool:
        """A child has ended. Whether it is one of these, whose birth is over then."""
        for descriptor, waiting in self._waiting.items():
            waiting.birth.look()
            if waiting.birth.pid == pid:
                waiting.birth.has_ended()
                self._over(descriptor)
                return True
        return False

    def close(self) -> None:
        """Wait for none of them any more. They are to be closed by whoever has them."""
        for waiting in self._waiting.values():
            waiting.timer.cancel()
        self._waiting.clear()
        if self._epoll is not None:
            self._loop.remove_reader(self._epoll)
            self._epoll.close()
            self._epoll = None

    def _look(self) -> None:
        if self._epoll is not None:
            for descriptor, _ in self._epoll.poll(0):
                self._look_at(descriptor)

    def _look_at(self, descriptor: int) -> None:
        waiting = self._waiting.get(descriptor)
        if waiting is not None and waiting.birth.look():
            self._over(descriptor)

    def _is_slow(self, descriptor: int) -> None:
        waiting = self._waiting[descriptor]
        waiting.is_slow = True
        self._slow += 1
        self._wait(descriptor, waiting)
        self._on_slow()

    def _wait(self, descriptor: int, waiting: _Waiting) -> None:
        waiting.birth.look()
        waiting.timer = self._loop.call_later(waiting.birth.patience, self._expire, descriptor)

    def _expire(self, descriptor: int) -> None:
        waiting = self._waiting[descriptor]
        waiting.birth.expire()
        if waiting.birth.look():
            self._over(descriptor)
        else:
            self._wait(descriptor, waiting)

    def _over(self, descriptor: int) -> None:
        self._forget(descriptor).over()

    def _forget(self, descriptor: int) -> _Waiting:
        assert self._epoll is not None
        waiting = self._waiting.pop(descriptor)
        waiting.timer.cancel()
        self._slow -= waiting.is_slow
        self._epoll.unregister(descriptor)
        return waiting
