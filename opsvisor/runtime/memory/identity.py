"""What tells a process from a later one with the same pid, and this boot from another.

The kernel gives pids away again. A pid together with the tick it was born in is never given away
twice, as long as the machine runs and one pid namespace is spoken of: hence the boot id and the
number of the namespace beside them.
"""

import os

from opsvisor.core.spec import Pid
from opsvisor.core.struct import Struct
from opsvisor.runtime.proctree import read_stat


class World(Struct, frozen=True, kw_only=True):
    """In which of all possible worlds pids mean something: a boot, and a pid namespace."""

    boot: str
    pid_namespace: int


def this_world() -> World:
    """The one that we are in. What /proc does not tell is "" or 0, and equals itself only."""
    try:
        # Bytes: for a text of another encoding, a module would be loaded that we may not reach
        # any more, having become another user.
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:  # noqa: PTH123
            boot = file.read().decode().strip()
    except OSError:
        boot = ""
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116
    except OSError:
        namespace = 0
    return World(boot=boot, pid_namespace=namespace)


def born(pid: Pid) -> int | None:
    """The tick in which this process was born, None if it is gone, hidden, or only a zombie."""
    stat = read_stat(pid)
    return None if stat is None or stat.is_zombie else stat.born


def is_alive(pid: Pid, born_at: int) -> bool:
    """Whether the process of this pid is still the one that was born then."""
    return born(pid) == born_at
