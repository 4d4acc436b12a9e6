"""What a test of opsvisorctl needs besides a daemon: the result of a run, and another user."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Ran(NamedTuple):
    """What one run of opsvisorctl left behind."""

    status: int
    out: str
    err: str


Ctl = Callable[..., Ran]


@contextmanager
def as_somebody_else() -> Iterator[None]:
    """Without root's right to open everything; an ordinary user has none to give up."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
