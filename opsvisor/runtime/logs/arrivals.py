"""Which pipes have something to be read, found out for all of them at once.

They are in an epoll of ours, which is itself a descriptor that can be waited for (epoll(7)). A
loop keeps a handle, its context, a bound method, a key and three tuples for each descriptor: 450
bytes for each of thousands of pipes, most of which are silent.

Who seems to have nothing to read but the end of it is told of that later. As a rule the program is
just ending: its pipes are closed before anybody can tell that it ends. If it shares a processor
with us, being told of them has interrupted it there, and it goes on to its end only once we sleep
again. A restart came up to 0.15 ms later (of 1.43) for what we did with its pipes in between.
"""

import asyncio
import select
from collections.abc import Callable
from itertools import islice
from typing import Protocol

_AT_ONCE = 64  # in one turn of the loop; the kernel begins with the others in the next
_OF_ONE = 2  # pipes
# Seconds until somebody is told of an end: long enough for a process to end on a busy machine, and
# nothing for who closes its output and lives on.
_LATER = 0.05


class Reader(Protocol):
    """Who reads from a pipe."""

    def on_readable(self, descriptor: int) -> None:
        """Something has come into this pipe, or it is at its end. Now and then it's a mistake."""


class Arrivals:
    """Who is to be told of which pipe.

    `before_ends` is called before anything is done for the pipes of one that are at their end: it
    may have ended by now, and nothing is left to be done for them when that was told first.
    """

    def __init__(self, *, before_ends: Callable[[], object] = lambda: None) -> None:
        self._before_ends = before_ends
        self._loop: asyncio.AbstractEventLoop | None = None
        self._epoll: select.epoll | None = None
        self._readers: dict[int, Reader] = {}
        self._ends: dict[int, None] = {}  # of these: not in the epoll, to be told later
        self._later: asyncio.TimerHandle | None = None

    def add(self, loop: asyncio.AbstractEventLoop, descriptor: int, reader: Reader) -> None:
        """Tell this reader from now on.

        OSError if there is no descriptor left, or this is one that can't be waited for.
        """
        if self._epoll is None:
            epoll = select.epoll()
            try:
                loop.add_reader(epoll, self._tell)
            except BaseException:
                epoll.close()
                raise
            self._epoll, self._loop = epoll, loop
        try:
            self._epoll.register(descriptor, select.EPOLLIN)
        except BaseException:
            self.rest()
            raise
        self._readers[descriptor] = reader

    def hold(self, descriptor: int) -> None:
        """Tell nobody for the time being, of one that has nothing to be read yet."""
        self._watch_for(descriptor, 0)

    def release(self, descriptor: int) -> None:
        """Tell again of one that was held."""
        self._watch_for(descriptor, select.EPOLLIN)

    def remove(self, descriptor: int) -> None:
        """Tell nobody any more, if anybody was. Before it is closed."""
        if self._readers.pop(descriptor, None) is None:
            return
        if descriptor in self._ends:
            del self._ends[descriptor]
        elif self._epoll is not None:
            self._epoll.unregister(descriptor)

    def rest(self) -> None:
        """Give back what it takes to wait, unless something is waited for."""
        if self._epoll is not None and self._loop is not None and not self._readers:
            self._loop.remove_reader(self._epoll)
            self._epoll.close()
            self._epoll = self._loop = None
            if self._later is not None:
                self._later.cancel()
                self._later = None

    def _watch_for(self, descriptor: int, events: int) -> None:
        is_watched = descriptor in self._readers and descriptor not in self._ends
        if self._epoll is not None and is_watched:
            self._epoll.modify(descriptor, events)

    def _tell(self) -> None:
        loop, epoll = self._loop, self._epoll
        if loop is None or epoll is None:  # given back in this turn
            return
        arrived = epoll.poll(0, _AT_ONCE)
        if 0 < len(arrived) <= _OF_ONE and arrived[0][1] == select.EPOLLHUP:
            self._before_ends()
            if self._epoll is not epoll:  # given back meanwhile
                return
            arrived = epoll.poll(0, _AT_ONCE)  # a number may be another pipe's by now
        for descriptor, events in arrived:
            if descriptor not in self._readers:  # one before it has removed this one
                continue
            if events == select.EPOLLHUP:
                epoll.unregister(descriptor)
                self._ends[descriptor] = None
                if self._later is None:
                    self._later = loop.call_later(_LATER, self._tell_of_ends, loop, epoll)
            else:
                self._tell_of(descriptor, loop)

    def _tell_of_ends(self, loop: asyncio.AbstractEventLoop, epoll: select.epoll) -> None:
        """Tell some of them, and wait for them again.

        That may not have been the end: what is written right before a pipe is closed may come with
        a hint at the end alone, as the kernel looks at one after the other.
        """
        self._later = None
        these = tuple(islice(self._ends, _AT_ONCE))
        for descriptor in these:
            if descriptor not in self._ends:  # one before it has removed this one
                continue
            del self._ends[descriptor]
            try:
                epoll.register(descriptor, select.EPOLLIN)
            except OSError:  # nothing left to wait with: it may be told of once more after these
                self._ends[descriptor] = None
            self._tell_of(descriptor, loop)
        if self._ends and self._later is None:
            pause = 0.0 if len(these) == _AT_ONCE else _LATER
            self._later = loop.call_later(pause, self._tell_of_ends, loop, epoll)

    def _tell_of(self, descriptor: int, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._readers[descriptor].on_readable(descriptor)
        except Exception as error:  # noqa: BLE001 - those after it belong to others
            message = f"Exception in reader of {descriptor}"
            loop.call_exception_handler({"message": message, "exception": error})
