"""Waiting for what nobody announces."""

import time
from collections.abc import Callable
from typing import TypeVar

from tools.stack.errors import StackError

# Longer than anything takes on a busy machine. Only a failure ever waits for so long.
PATIENCE = 60.0
_LOOK_AGAIN_AFTER = 0.05

T = TypeVar("T")


def until(claim: Callable[[], T | None], *, patience: float = PATIENCE) -> T:
    """What `claim` gives, as soon as that is true. StackError after `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        found = claim()
        if found:
            return found
        if time.monotonic() > deadline:
            raise StackError(f"did not become true in {patience:g} s: {found!r}")
        time.sleep(_LOOK_AGAIN_AFTER)
