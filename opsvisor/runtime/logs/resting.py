"""When log files are closed of which no run has need any more.

A program that is started again at once would have its file closed and opened anew for nothing,
and to open it takes a walk along its path (links.py). So files stay open for a moment after a run.
Whether the name still leads to them is asked by whoever begins to write there again. Where
descriptors are scarce they are closed at once, as others can't wait for them.
"""

import asyncio
import resource
from collections.abc import Callable

_MOMENT = 1.0  # seconds; a file rests after one to two of them


def are_scarce(descriptor: int) -> bool:
    """Whether most of the descriptors that we may have are in use, by what number this one got.

    The kernel gives the lowest that is free.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return descriptor > soft * 3 // 4


class Resting:
    """Calls what lets a file rest, unless it is taken back before.

    One timer for all, and none while nothing waits. Without a timer of each there is nothing to
    arm and to cancel in each run of a program that crashes a hundred times a second.
    """

    def __init__(self) -> None:
        self._younger: dict[Callable[[], None], None] = {}
        self._older: dict[Callable[[], None], None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def soon(self, rest: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
        """Call this in a moment."""
        self._younger[rest] = None
        if self._timer is None:
            self._timer = loop.call_later(_MOMENT, self._moment_passed, loop)

    def not_yet(self, rest: Callable[[], None]) -> bool:
        """Don't call this: there is need of the file. Whether it was about to be called."""
        waited = rest in self._younger or rest in self._older
        if waited:
            self._younger.pop(rest, None)
            self._older.pop(rest, None)
        return waited

    def forget(self, rest: Callable[[], None]) -> bool:
        """As `not_yet`, for good: the last one takes the timer along."""
        waited = self.not_yet(rest)
        if self._timer is not None and not self._younger and not self._older:
            self._timer.cancel()
            self._timer = None
        return waited

    def _moment_passed(self, loop: asyncio.AbstractEventLoop) -> None:
        due, self._older, self._younger = self._older, self._younger, {}
        self._timer = loop.call_later(_MOMENT, self._moment_passed, loop) if self._older else None
        for rest in due:
            rest()
