"""A thread that reads thousands of small files, and a busy loop: who of them has the interpreter.

Each system call of the thread gives the interpreter away. While the loop waits for events the
thread has it back at once. But a busy loop keeps it, and wakes the thread whenever it makes a
system call itself, only to have it back before the thread is there: beside 200 programs in a crash
loop a sweep of 40 ms took two seconds, and each restart a fifth more.

So the thread works in steps, and before each of them it waits while the loop is busy. The loop
looks now and then whether it is; if so it stands still for a moment, and in that the thread has
the interpreter for itself.
"""

import asyncio
import select
import threading
import time
from typing import Any

# All in seconds. A look at an idle loop is a wake-up of it, some 30 us.
_LOOK_EVERY = 0.005
_TURN_OF_LOOP = 0.001  # at least
_TURN_OF_THREAD = 0.001
_BUSY = 0.25  # of the time since the last look, in the loop's thread


class RightOfWay:
    """That of a loop over one thread. `look_after` is called on the loop, `give` in the thread."""

    def __init__(self) -> None:
        self._gate = threading.Lock()  # held by the loop, but for the blink of an eye
        self._is_closed = False
        self._looked_at = self._used = 0.0

    def give(self) -> None:
        """Between two steps of the thread: wait while the loop is busy."""
        with self._gate:
            pass

    def look_after(self, work: asyncio.Future[Any]) -> None:
        """Until this is done, which runs in the thread."""
        self._note()
        work.get_loop().call_later(_LOOK_EVERY, self._look, work)

    def open(self) -> None:
        """Let the thread go on, whatever the loop does from here on."""
        if self._is_closed:
            self._is_closed = False
            self._gate.release()

    def _look(self, work: asyncio.Future[Any]) -> None:
        is_busy = self._is_busy()
        self.open()
        if work.done():
            return
        if is_busy:
            _stand_still(_TURN_OF_THREAD)
            # Not to be had if the thread was interrupted just where it looks: then the next time.
            self._is_closed = self._gate.acquire(blocking=False)
        self._note()
        work.get_loop().call_later(_TURN_OF_LOOP if is_busy else _LOOK_EVERY, self._look, work)

    def _is_busy(self) -> bool:
        used, passed = time.thread_time() - self._used, time.monotonic() - self._looked_at
        return used > _BUSY * passed

    def _note(self) -> None:
        self._looked_at, self._used = time.monotonic(), time.thread_time()


def _stand_still(seconds: float) -> None:
    # Not time.sleep(), which waits for a point in time: libfaketime refuses that.
    select.select((), (), (), seconds)
