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
from array import array
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Generic, TypeVar

from opsvisor.runtime.turns import TURNS_OF_OTHERS, Later

# Descriptors that are called in one turn of the loop; then others have theirs. An end of a process
# and its restart take 0.4 ms: of 200 that crash all the time there would always be more to do.
_AT_ONCE = 4

_SEEN = 4096  # of those that are ready
_ONCE = select.EPOLLIN | select.EPOLLONESHOT

T = TypeVar("T")


class Readers(Generic[T]):
    """What to `call` with for which descriptor. `close` gives back what the first one took.

    `all_called` is called once the last of those that were ready has been.
    """

    def __init__(
        self, call: Callable[[T], object], *, all_called: Callable[[], None] = lambda: None
    ) -> None:
        self._call = call
        self._all_called = all_called
        self._loop: asyncio.AbstractEventLoop | None = None
        self._epoll: select.epoll | None = None
        self._of: dict[int, T] = {}
        # By descriptor, when it was added: as numbers are small, less than one in each entry.
        self._added = array("Q")
        self._count = 0
        self._ready: list[tuple[int, int]] = []  # a heap of who waits, by when it was added
        self._later: Later | None = None

    def add(self, loop: asyncio.AbstractEventLoop, descriptor: int, of: T) -> None:
        """Call with this on the loop whenever there is something to read, or the end of it.

        OSError if there is no descriptor left, or this is one that can't be waited for.
        """
        if self._epoll is None:
            self._epoll = select.epoll()
            self._loop = loop
            self._later = Later(loop, self.call_ready)  # while others have their turns
            loop.add_reader(self._epoll, self.call_ready)
        self._epoll.register(descriptor, _ONCE)
        missing = descriptor + 1 - len(self._added)
        if missing > 0:
            self._added.extend([0] * missing)
        self._count += 1
        self._added[descriptor] = self._count
        self._of[descriptor] = of

    def remove(self, descriptor: int) -> None:
        """Call nothing any more, if anything was. Before the descriptor is closed."""
        if self._of.pop(descriptor, None) is not None and self._epoll is not None:
            self._epoll.unregister(descriptor)

    def close(self) -> None:
        """Call nothing any more for any of them."""
        self._of.clear()
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
                self._call_one(*heappop(self._ready))
        if self._ready:
            self._later.ask(TURNS_OF_OTHERS)
        elif count and self._loop is not None:
            self._guarded(self._all_called)
        return not self._ready

    def _gather(self, epoll: select.epoll) -> None:
        """Note who has become ready."""
        for descriptor, _ in epoll.poll(0, _SEEN):
            if descriptor in self._of:
                heappush(self._ready, (self._added[descriptor], descriptor))

    def _call_one(self, added: int, descriptor: int) -> None:
        if not self._is_there(added, descriptor):  # removed since; it may be another one's by now
            return
        self._guarded(self._call, self._of[descriptor])
        if self._epoll is not None and self._is_there(added, descriptor):
            self._epoll.modify(descriptor, _ONCE)  # tell of it again

    def _is_there(self, added: int, descriptor: int) -> bool:
        return descriptor in self._of and self._added[descriptor] == added

    def _guarded(self, call: Callable[..., object], *of: object) -> None:
        try:
            call(*of)
        except Exception as error:  # noqa: BLE001 - those after it belong to others
            if self._loop is not None:
                message = f"Exception in reader {call!r} of {of!r}"
                context = {"message": message, "exception": error}
                self._loop.call_exception_handler(context)
