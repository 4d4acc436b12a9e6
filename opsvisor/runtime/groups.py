"""Process groups: what is left of one when its leader has ended."""

import os

from opsvisor.core.spec import Pid
from opsvisor.runtime.proctree import read_machine


def has_members(group: Pid) -> bool:
    """Whether anything, zombies included, is in this process group."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # of another user, but there
    return True


def is_still_ours(group: Pid, session: int) -> bool:
    """Whether every member of this group is in the session it was made in.

    A group keeps its number from being given away only while it has members. Once its leader has
    been reaped, and before a signal goes to the whole group, this tells whether the number may
    belong to somebody else by now.
    """
    members = [stat for stat in read_machine().values() if stat.group == group]
    return all(stat.session == session for stat in members)
