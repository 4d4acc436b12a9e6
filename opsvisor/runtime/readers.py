"""Descriptors that are looked at as soon as they are readable, for less than asyncio takes.

A loop keeps each in a handle, in a key, in a map behind a map: to have it look at one and then no
more costs 5.3 us, and 1.7 here. They are in an epoll of ours, which is itself a descriptor that
can be waited for (epoll(7)): the loop looks at that one only, and what is ready is called a few at
a time.

Each is told of once (EPOLLONESHOT) and then waits for its turn here. Were it told of in each turn
until that comes, a thousand that end at once would be a quarter of a million lines to look at.
"""

import asyncio
import select
from collections.abc import Callable
from heapq import heappop, heappush
from typing import TypeVar

from opsvisor.runtime.turns import TURNS_OF_OTHERS, Later

# Descriptors that are called in one turn of the loop; then others have theirs. An end of a process
# and its restart take 0.4 ms: of 200 that crash all the time there would always be more to do.
_AT_ONCE = 4

_SEEN = 4096  # of those that are ready
_ONCE = select.EPOLLIN | select.EPOLLONESHOT

T = TypeVar("T")


class Readers:
    """What is to be called for which descriptor. `close` gives back what the first one took.

    `all_called` is called once the last of those that were ready has been.
    """

    def __init__(self, *, all_called: Callable[[], None] = lambda: None) -> None:
        self._all_called = all_called
        self._loop: asyncio.AbstractEventLoop | None = None
        self._epoll: select.epoll | None = None
        self._calls: dict[int, tuple[int, Callable[..., object], object]] = {}
        self._added = 0
        self._ready: list[tuple[int, int]] = []  # a heap of who waits, by when it was added
        self._later: Later | None = None

    def add(
        self, loop: asyncio.AbstractEventLoop, descriptor: int, call: Callable[[T], object], of: T
    ) -> None:
        """Call this on the loop whenever there is something to read, or the end of it.

        What it is called with is an argument of its own, as `partial` takes 230 bytes for each.
        OSError if there is no descriptor left, or this is one that can't be waited for.
        """
        if self._epoll is None:
            self._epoll = select.epoll()
            self._loop = loop
            self._later = Later(loop, self.call_ready)  # while others have their turns
            loop.add_reader(self._epoll, self.call_ready)
        self._epoll.register(descriptor, _ONCE)
        self._added += 1
        self._calls[descriptor] = (self._added, call, of)

    def remove(self, descriptor: int) -> None:
        """Call nothing any more, if anything was. Before the descriptor is closed."""
        if self._calls.pop(descriptor, None) is not None and self._epoll is not None:
            self._epoll.unregister(descriptor)

    def close(self) -> None:
        """Call nothing any more for any of them."""
        self._calls.clear()
        self._ready.clear()
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self._epoll is not None and self._loop is not None:
            self._loop.remove_reader(self._epoll)
            self._epoll.close()
        self._epoll = self._loop = None

    @property
    def has_more(self) -> bool:
        """Whether some are ready, and wait for their turn."""
        return bool(self._ready)

    def call_ready(self) -> bool:
        """Call what is ready now, or of many the first that were added; whether that is all.

        What runs for long has its turn before what ends as soon as it has begun.
        """
        if self._epoll is None or self._later is None:
            return True
        self._gather(self._epoll)
        if self._later.is_due:
            return False
        count = min(_AT_ONCE, len(self._ready))
        for _ in range(count):
            if self._ready:  # one of them may have closed us
                self._call(*heappop(self._ready))
        if self._ready:
            self._later.ask(TURNS_OF_OTHERS)
        elif count and self._loop is not None:
            self._guarded(self._all_called)
        return not self._ready

    def _gather(self, epoll: select.epoll) -> None:
        """Note who has become ready."""
        for descriptor, _ in epoll.poll(0, _SEEN):
            known = self._calls.get(descriptor)
            if known is not None:
                heappush(self._ready, (known[0], descriptor))

    def _call(self, added: int, descriptor: int) -> None:
        known = self._calls.get(descriptor)
        if known is None or known[0] != added:  # removed since; perhaps it is another one's by now
            return
        _, call, of = known
        self._guarded(call, of)
        if self._epoll is not None and self._calls.get(descriptor) is known:
            self._epoll.modify(descriptor, _ONCE)  # tell of it again

    def _guarded(self, call: Callable[..., object], *of: object) -> None:
        try:
            call(*of)
        except Exception as error:  # noqa: BLE001 - those after it belong to others
            if self._loop is not None:
                message = f"Exception in reader {call!r} of {of!r}"
                context = {"message": message, "exception": error}
                self._loop.call_exception_handler(context)
