"""Process trees, read from /proc in one pass over the machine.

`/proc/<pid>/stat` of every process is read once and the trees of all supervised processes are cut
out of that one picture. Asking for the children of each root by itself would read the machine once
per root: with 1,000 programs that is 34 s of CPU time against 31 ms.

The picture is not taken at an instant. Pids are read in ascending order, hence mostly parents
before their children: CPU time that moves from a child to its parent in between is missed until
the next pass rather than counted twice.

Processes vanish while they are being read and some may not be looked at (hidepid, set-uid
programs). Neither is an error: a vanished process is left out, what may not be read counts as 0.
"""

import os
import resource
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from opsvisor.core.spec import Pid, ProcessId

_UNREADABLE = (FileNotFoundError, ProcessLookupError, PermissionError)
_STAT_SIZE = 2048  # 52 fields of at most 20 digits and a name of at most 64 bytes stay below it
_IO_SIZE = 512
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Stat(NamedTuple):
    """One line of `/proc/<pid>/stat`, proc(5).

    A named tuple, unlike our other records: one is made for each process of the machine, and it
    costs a quarter of a frozen dataclass. `fields` is everything after the name, not yet parsed;
    `born` (clock ticks after boot) tells a process from a later one with the same pid.
    """

    pid: Pid
    name: str
    state: str
    parent: Pid
    group: int
    session: int
    born: int
    fields: list[bytes]

    @property
    def is_zombie(self) -> bool:
        """Whether it has ended and waits for its parent to notice."""
        return self.state in "ZX"

    @property
    def threads(self) -> int:
        """Number of threads."""
        return int(self.fields[17])

    @property
    def rss_bytes(self) -> int:
        """Resident memory."""
        return int(self.fields[21]) * _PAGE


class Spent(NamedTuple):
    """What a process and the children it waited for have used up: numbers that only grow."""

    user_seconds: float = 0.0
    system_seconds: float = 0.0
    io_read_bytes: int = 0
    io_written_bytes: int = 0
    major_faults: int = 0

    def plus(self, other: "Spent") -> "Spent":
        """Both together."""
        return Spent(
            self.user_seconds + other.user_seconds,
            self.system_seconds + other.system_seconds,
            self.io_read_bytes + other.io_read_bytes,
            self.io_written_bytes + other.io_written_bytes,
            self.major_faults + other.major_faults,
        )

    def at_least(self, other: "Spent") -> "Spent":
        """The larger of each number."""
        return Spent(
            max(self.user_seconds, other.user_seconds),
            max(self.system_seconds, other.system_seconds),
            max(self.io_read_bytes, other.io_read_bytes),
            max(self.io_written_bytes, other.io_written_bytes),
            max(self.major_faults, other.major_faults),
        )


NOTHING = Spent()


def add_up(spent: Iterable[Spent]) -> Spent:
    """All of them together."""
    total = NOTHING
    for one in spent:
        total = total.plus(one)
    return total


def parse_stat(line: bytes) -> Stat:
    """Take one stat line apart. The name is free text and may hold blanks and brackets."""
    start, end = line.index(b"("), line.rindex(b")")
    fields = line[end + 2 :].split()
    return Stat(
        pid=Pid(int(line[:start])),
        name=line[start + 1 : end].decode(errors="replace"),
        state=fields[0].decode(),
        parent=Pid(int(fields[1])),
        group=int(fields[2]),
        session=int(fields[3]),
        born=int(fields[19]),
        fields=fields,
    )


def read_stat(pid: Pid | str) -> Stat | None:
    """The stat line of one process, None if it is gone or hidden."""
    line = _read(f"/proc/{pid}/stat", _STAT_SIZE)
    return parse_stat(line) if line else None


def read_machine() -> dict[Pid, Stat]:
    """Every process that can be seen, in ascending order of pids."""
    names = os.listdir("/proc")  # noqa: PTH208 - a Path for each process costs more than its stat
    found = (read_stat(name) for name in names if name.isdecimal())
    return {stat.pid: stat for stat in found if stat is not None}


def cut_trees(
    machine: Mapping[Pid, Stat],
    roots: Mapping[ProcessId, Pid],
    *,
    reaper: Pid,
    owner_of_orphan: Callable[[Stat], ProcessId | None],
) -> dict[ProcessId, list[Stat]]:
    """The living members of each process's tree, its root first if that is alive.

    `reaper` is the process that orphans are handed to (the supervisor). Its other children are
    given, with all below them, to whom `owner_of_orphan` says. The result may therefore hold a
    process whose root is gone but which left something behind.
    """
    children = defaultdict[Pid, list[Stat]](list)
    for stat in machine.values():
        children[stat.parent].append(stat)
    trees = {
        process_id: _with_descendants(machine[pid], children)
        for process_id, pid in roots.items()
        if pid in machine
    }
    known = frozenset(roots.values())
    for stat in children[reaper]:
        owner = None if stat.pid in known else owner_of_orphan(stat)
        if owner is not None:
            trees.setdefault(owner, []).extend(_with_descendants(stat, children))
    return trees


def _with_descendants(top: Stat, children: Mapping[Pid, Iterable[Stat]]) -> list[Stat]:
    tree = [top]
    for member in tree:  # grows while it is walked
        tree.extend(children.get(member.pid, ()))
    return tree


def read_spent(stat: Stat) -> Spent:
    """What this process has used, dead children that were waited for included.

    Without `cutime` and `cstime` the sum over a tree falls whenever a worker ends. `/proc/pid/io`
    holds reaped children by itself.
    """
    fields = stat.fields
    read, written = _read_io(stat.pid)
    return Spent(
        user_seconds=(int(fields[11]) + int(fields[13])) / _TICKS,
        system_seconds=(int(fields[12]) + int(fields[14])) / _TICKS,
        io_read_bytes=read,
        io_written_bytes=written,
        major_faults=int(fields[9]) + int(fields[10]),
    )


def count_fds(pid: Pid) -> int:
    """Number of open file descriptors.

    Linux 6.2 tells it as the size of the directory, at half the price of listing it; before that
    the size is always 0.
    """
    folder = f"/proc/{pid}/fd"
    try:
        size = os.stat(folder).st_size  # noqa: PTH116 - making a Path costs as much as the call
        return size or len(os.listdir(folder))  # noqa: PTH208 - likewise
    except _UNREADABLE:
        return 0


def fd_limit(pid: Pid) -> int:
    """The soft limit of open file descriptors, 0 if there is none or it can't be read."""
    try:
        soft, _ = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    except _UNREADABLE:
        return 0
    return 0 if soft == resource.RLIM_INFINITY else soft


def swap_in_use() -> bool:
    """Whether the machine has any swap space: without it no process needs to be asked."""
    return _read("/proc/swaps", _STAT_SIZE).count(b"\n") > 1


def read_swap(pid: Pid) -> int:
    """Bytes of this process that are swapped out."""
    _, found, rest = _read(f"/proc/{pid}/status", 2 * _STAT_SIZE).partition(b"\nVmSwap:")
    return int(rest.split(maxsplit=1)[0]) * 1024 if found else 0


def _read_io(pid: Pid) -> tuple[int, int]:
    text = _read(f"/proc/{pid}/io", _IO_SIZE)
    if not text:
        return 0, 0
    words = text.split()
    return int(words[9]), int(words[11])  # read_bytes, write_bytes: what reached the storage


def _read(path: str, size: int) -> bytes:
    """The first `size` bytes of a file of /proc, empty if it is gone or forbidden."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except _UNREADABLE:
        return b""
    try:
        return os.read(fd, size)
    except _UNREADABLE:
        return b""
    finally:
        os.close(fd)
