"""Whose children orphans become: ours, where a test has to know that they are reaped."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from opsvisor.runtime.reaper import become_subreaper


@contextmanager
def orphans_are_ours() -> Iterator[None]:
    """Let this process inherit orphans, as the daemon does; to be waited for before the end.

    Otherwise they are init's, which takes its time with them in some containers.
    """
    become_subreaper()
    try:
        yield
    finally:
        ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)
