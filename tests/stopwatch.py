"""Bounds of time that a test may judge: what is late because the machine stood still is not."""

import threading
import time
from collections.abc import Callable
from typing import Self

_BEAT = 0.01  # seconds
_STOOD_STILL = 0.2  # of a bound: a beat that is so late leaves nothing to be judged
_TRIES = 5


class _Pulse(threading.Thread):
    """Beats as long as it is entered; `latest` is the most that a beat came late, in seconds."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.latest = 0.0
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        """Beat."""
        is_over = False
        while not is_over:
            began = time.monotonic()
            is_over = self._over.wait(_BEAT)
            self.latest = max(self.latest, time.monotonic() - began - _BEAT)


def in_time(deed: Callable[[], object], seconds: float) -> None:
    """Do this within so many seconds, or fail. Where the machine stands still it is done again."""
    for left in reversed(range(_TRIES)):
        failed: Exception | None = None
        with _Pulse() as pulse:
            began = time.monotonic()
            try:
                deed()
            except Exception as error:  # noqa: BLE001 - it may be that nobody waited any longer
                failed = error
            took = time.monotonic() - began
        if failed is None and took < seconds:
            return
        if not left or pulse.latest < _STOOD_STILL * seconds:
            if failed is not None:
                raise failed
            raise AssertionError(f"took {took:.2f} s of {seconds:g}, beats {pulse.latest:.2f} s")
