"""A thread that reads thousands of small files, and a busy loop: who of them has the interpreter.

Whenever the thread opens or reads one it gives the interpreter away. While the loop waits for
events the thread has it back at once. But a busy loop keeps it, and wakes the thread whenever it
makes a system call itself, only to have it back before the thread is there: both take longer.

So the thread works in steps, and before each of them it waits while the loop is busy. The loop
looks now and then whether it is; if so, and somebody waits, it stands still for a moment, in which
the thread has the interpreter for itself. A thread that hangs in a step waits for nothing that the
loop could give it: it is looked after less and less often. And should nobody look any more, it
goes on after a while.
"""

import asyncio
import threading
import time
from typing import Any

from opsvisor.runtime.clock import stand_still

# All in seconds. A look at an idle loop is a wake-up of it, some 30 us.
_LOOK_EVERY = 0.005
_TURN_OF_LOOP = 0.001  # at least
_TURN_OF_THREAD = 0.001
_LOOK_AT_LEAST_EVERY = 1.0
_PATIENCE = 5.0  # of the thread
_BUSY = 0.25  # of the time since the last look, in the loop's thread


class RightOfWay:
    """That of a loop over one thread. `give` is called in the thread, all else on the loop."""

    def __init__(self) -> None:
        self._gate = threading.Lock()  # held by the loop while the thread is to wait
        self._is_closed = False
        self._is_waiting = False
        self._steps = self._steps_seen = 0
        self._looked_at = self._used = 0.0
        self._next: asyncio.TimerHandle | None = None

    def give(self) -> None:
        """Between two steps of the thread: wait while the loop is busy."""
        if not self._gate.acquire(blocking=False):
            self._is_waiting = True
            is_open = self._gate.acquire(timeout=_PATIENCE)
            self._is_waiting = False
            if not is_open:
                return
        self._steps += 1
        self._gate.release()

    def look_after(self, work: asyncio.Future[Any]) -> None:
        """From now on until this is done, which runs in the thread."""
        self.close()
        self._look_again(work, _LOOK_EVERY)

    def close(self) -> None:
        """Look after nothing any more: the thread may go on, whatever the loop does."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._open()

    def _look(self, work: asyncio.Future[Any], interval: float) -> None:
        is_busy, has_come_on = self._is_busy(), self._steps != self._steps_seen
        if work.done():
            self.close()
            return
        if is_busy and self._is_closed and self._is_waiting:
            self._open()
            stand_still(_TURN_OF_THREAD)
            has_come_on = True
        if is_busy:
            self._shut()
        else:
            self._open()
        usual = _TURN_OF_LOOP if is_busy else _LOOK_EVERY
        later = min(2 * interval, _LOOK_AT_LEAST_EVERY)
        self._look_again(work, usual if has_come_on else max(usual, later))

    def _look_again(self, work: asyncio.Future[Any], interval: float) -> None:
        self._looked_at, self._used = time.monotonic(), time.thread_time()
        self._steps_seen = self._steps
        self._next = work.get_loop().call_later(interval, self._look, work, interval)

    def _is_busy(self) -> bool:
        used, passed = time.thread_time() - self._used, time.monotonic() - self._looked_at
        return used > _BUSY * passed

    def _open(self) -> None:
        if self._is_closed:
            self._is_closed = False
            self._gate.release()

    def _shut(self) -> None:
        # Not to be had where the thread was interrupted just as it went through: then next time.
        if not self._is_closed:
            self._is_closed = self._gate.acquire(blocking=False)
