"""Whose children orphans become: ours, where a test has to know that they are reaped."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from opsvisor.runtime.reaper import become_subreaper

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def inherit_no_orphans() -> None:
    """Be no subreaper any more, whoever has made us one."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@contextmanager
def orphans_are_ours() -> Iterator[None]:
    """Let this process inherit orphans, as the daemon does; to be waited for before the end.

    Otherwise they are init's, which takes its time with them in some containers.
    """
    become_subreaper()
    try:
        yield
    finally:
        inherit_no_orphans()
