"""A few at a time: how a crowd of clients is kept from holding up the loop.

Everything runs on one thread. If 200 clients ask at the same moment, all are ready in the same
turn of the loop, and the death of a program is heard of when the last of them was answered. So a
request, and each part of a stream, first goes through here: in each turn of the loop as many pass
as are good for some milliseconds, and between two turns the loop sees to everything else.

How many that is shows in the processor time that turns have taken. Not one in each: at the end of
every turn the loop lets go of the interpreter's lock, and whoever of our threads has it then keeps
it for 5 ms. One at a time made a crowd wait five times as long while a thread was busy.

Clients of different sources pass in turn: who comes alone waits for one of each other source, not
for all those that one of them has sent before.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable

TURN = 0.005  # seconds of processor time that a turn of the loop should take at most
_MOST = 32  # that pass in one turn


class Turnstile:
    """Lets a few pass in each turn of the loop. `spent` tells this thread's processor time."""

    def __init__(self, spent: Callable[[], float] = time.thread_time) -> None:
        self._lanes: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._spent = spent
        self._is_taken = False
        self._at_once = 1
        self._began = 0.0

    async def turn(self, source: str) -> None:
        """Wait for one's turn: no time at all if nobody else is there."""
        loop = asyncio.get_running_loop()
        if not self._is_taken:
            self._is_taken = True
            self._at_once = 1
            self._began = self._spent()
            loop.call_soon(self._next)
            return
        waiter: asyncio.Future[None] = loop.create_future()
        self._lanes.setdefault(source, deque()).append(waiter)
        await waiter

    def _next(self) -> None:
        """A turn of the loop has passed: the first of the next sources may go."""
        self._measure()
        passed = 0
        while self._lanes and passed < self._at_once:
            source, lane = self._lanes.popitem(last=False)
            waiter = lane.popleft()
            if lane:
                self._lanes[source] = lane
            if not waiter.done():  # or it has gone away meanwhile
                waiter.set_result(None)
                passed += 1
        if passed:
            asyncio.get_running_loop().call_soon(self._next)
        else:
            self._is_taken = False

    def _measure(self) -> None:
        now = self._spent()
        took, self._began = now - self._began, now
        if took > TURN:
            self._at_once = max(1, self._at_once // 2)
        elif took < TURN / 2:
            self._at_once = min(_MOST, self._at_once * 2)
