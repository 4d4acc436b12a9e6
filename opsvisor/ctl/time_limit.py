"""A limit of time for whatever a command waits for."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TimeIsOver(Exception):  # noqa: N818 - the name says what happened
    """The time that was given is over."""


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise TimeIsOver inside after so long, None never.

    By a signal, as that ends any wait: for a connection, for the next event, for the disk. So it
    is for the main thread only.
    """
    if seconds is None:
        yield
        return
    before = signal.signal(signal.SIGALRM, _raise)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-6))  # 0 would mean: no limit
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _raise(_signum: int, _frame: FrameType | None) -> None:
    raise TimeIsOver
