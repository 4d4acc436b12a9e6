"""Births that the loop waits for, as for anything else: it does not stand still meanwhile.

A fork server makes a process in a thousandth of a second, as a rule; and where the executable is
on a file server that is gone, or the cgroup is frozen, in ten.
"""

import asyncio
import contextlib
import select
import time
from collections.abc import Callable

from opsvisor.core.spec import Pid
from opsvisor.core.struct import Struct
from opsvisor.runtime.forkserver.birth import Birth

# Seconds after which a birth is to hold up nobody any more.
_SLOW_AFTER = 0.05
# Seconds for all of them, when there is no turn of the loop left.
_FINISHED_WITHIN = 1.0
# Of a pipe or a socket: that nobody can write any more. What was written by then nobody has to
# hear before.
_END = 0

Call = Callable[[], None]


class _Waiting(Struct):
    """A birth, and who is told of it: when it is slow, and when it is over."""

    birth: Birth
    slow: Call
    over: Call
    timer: asyncio.TimerHandle


class Awaited:
    """All births that somebody waits for. `some_over` is called in the same turn, after `over`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, some_over: Call) -> None:
        self._loop = loop
        self._some_over = some_over
        self._epoll: select.epoll | None = None  # for less than the loop takes for each
        self._waiting: dict[int, _Waiting] = {}  # by descriptor

    def add(self, birth: Birth, *, slow: Call, over: Call) -> None:
        """Call this when the birth takes its time, and that when it is over.

        Its `finish` returns at once then. OSError if there is nothing left to wait with.
        """
        self._register(birth)
        timer = self._loop.call_later(_SLOW_AFTER, self._is_slow, birth.fileno())
        self._waiting[birth.fileno()] = _Waiting(birth, slow, over, timer)

    def finish(self) -> None:
        """Stand still until all are over: a second, all in all.

        Who has not come to its program by then has failed.
        """
        until = time.monotonic() + _FINISHED_WITHIN
        for waiting in tuple(self._waiting.values()):
            self._forget(waiting.birth.fileno())
            waiting.birth.hurry(max(0.0, until - time.monotonic()))
            waiting.over()

    def claim(self, pid: Pid) -> bool:
        """A child has ended that nobody knows. Whether it is one of these: it is over then.

        So are all others that have been heard of, one of which may know whose that child was.
        """
        is_ours = False
        for descriptor, waiting in tuple(self._waiting.items()):
            birth = waiting.birth
            is_over = birth.look()
            if birth.pid == pid:
                birth.note_end()
                is_ours = is_over = True
            if is_over:
                self._over(descriptor)
        self._some_over()
        return is_ours

    def close(self) -> None:
        """Wait for none of them any more. They are to be closed by whoever has them."""
        for waiting in self._waiting.values():
            waiting.timer.cancel()
        self._waiting.clear()
        if self._epoll is not None:
            self._loop.remove_reader(self._epoll)
            self._epoll.close()
            self._epoll = None

    def _register(self, birth: Birth) -> None:
        if self._epoll is None:
            epoll = select.epoll()
            try:
                self._loop.add_reader(epoll, self._look)
            except BaseException:
                epoll.close()
                raise
            self._epoll = epoll
        self._epoll.register(birth.fileno(), _END)

    def _look(self) -> None:
        assert self._epoll is not None
        try:
            for descriptor, _ in self._epoll.poll(0):
                self._look_at(descriptor)
        finally:
            self._some_over()

    def _look_at(self, descriptor: int) -> None:
        waiting = self._waiting.get(descriptor)
        if waiting is None:
            return
        if waiting.birth.look():
            self._over(descriptor)
        else:
            self._wait(descriptor)

    def _is_slow(self, descriptor: int) -> None:
        waiting = self._waiting[descriptor]
        waiting.slow()
        try:
            self._look_at(descriptor)
        finally:
            self._some_over()

    def _wait(self, descriptor: int) -> None:
        waiting = self._waiting[descriptor]
        waiting.timer.cancel()
        waiting.timer = self._loop.call_later(waiting.birth.patience, self._expire, descriptor)

    def _expire(self, descriptor: int) -> None:
        self._waiting[descriptor].birth.expire()
        try:
            self._look_at(descriptor)
        finally:
            self._some_over()

    def _over(self, descriptor: int) -> None:
        """Tell of it, unless another one has begun in its place."""
        waiting = self._forget(descriptor)
        if waiting.birth.renew():
            with contextlib.suppress(OSError):  # nothing left to wait with: `finish` does
                self.add(waiting.birth, slow=waiting.slow, over=waiting.over)
                return
        waiting.over()

    def _forget(self, descriptor: int) -> _Waiting:
        assert self._epoll is not None
        waiting = self._waiting.pop(descriptor)
        waiting.timer.cancel()
        self._epoll.unregister(descriptor)
        return waiting
