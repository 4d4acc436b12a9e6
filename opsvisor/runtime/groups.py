"""Process groups: what is left of one when its leader has ended."""

import os
from collections.abc import Mapping

from opsvisor.core.spec import Pid
from opsvisor.runtime.proctree import read_machine

# A pid and the tick it was born in: together they are never given away again.
Members = Mapping[Pid, int]


def has_members(group: Pid) -> bool:
    """Whether anything, zombies included, is in this process group."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # of another user, but there
    return True


def members_of(group: Pid) -> Members:
    """Who is in this process group. Reads the whole of /proc: for the rare case only."""
    return {stat.pid: stat.born for stat in read_machine().values() if stat.group == group}


def is_same(before: Members, now: Members) -> bool:
    """Whether these are members of one and the same group, seen twice.

    The number of a group is not given away while it has members. If one that was there is still
    there, it had them all the time; otherwise it may be somebody else's by now.
    """
    return any(now.get(pid) == born for pid, born in before.items())
