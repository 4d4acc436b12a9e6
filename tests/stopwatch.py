"""Bounds of time that a test may judge: what is late because the machine stood still is not."""

import threading
import time
from collections.abc import Callable
from typing import Self

from opsvisor.client import NoDaemon

_BEAT = 0.01  # seconds
_USUAL = 0.02  # seconds that a beat may be late where several programs are busy
_TRIES = 5


class _Pulse(threading.Thread):
    """Beats as long as it is entered; `late` is for how long it could not, in seconds."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.late = 0.0
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
            self.late += max(0.0, time.monotonic() - began - _BEAT - _USUAL)


def in_time(deed: Callable[[], object], seconds: float) -> None:
    """Do this within so many seconds, or fail.

    It is done again where it would have been in time if the machine had not stood still. A client
    may give up waiting meanwhile.
    """
    for left in reversed(range(_TRIES)):
        gave_up: Exception | None = None
        with _Pulse() as pulse:
            began = time.monotonic()
            try:
                deed()
            except (NoDaemon, OSError) as error:
                gave_up = error
            took = time.monotonic() - began
        if gave_up is None and took < seconds:
            return
        if not left or took - pulse.late >= seconds or not pulse.late:
            told = (
                f"{took:.2f} s of {seconds:g}, of which the machine stood still {pulse.late:.2f}"
            )
            raise AssertionError(told) from gave_up
