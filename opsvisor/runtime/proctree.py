"""Process trees, read from /proc in one pass over the machine.

`/proc/<pid>/stat` of every process is read once, or known from before (proc_cache.py), and the
trees of all supervised processes are cut out of that one picture. Asking for the children of each
root by itself would read the machine once per root: with 1,000 programs that is 34 s of CPU time
against 31 ms.

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
from operator import add
from typing import NamedTuple

from opsvisor.core.spec import Pid, ProcessId
from opsvisor.core.struct import Struct

_UNREADABLE = (FileNotFoundError, ProcessLookupError, PermissionError)
STAT_SIZE = 2048  # 52 fields of at most 20 digits and a name of at most 64 bytes stay below it
_STATM_SIZE = 160
_IO_SIZE = 512
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Stat(Struct, frozen=True, gc=False):
    """One line of `/proc/<pid>/stat`, proc(5), as far as it is of use here.

    What a process has in memory is not taken from it: since Linux 6.2 that number is off by some
    pages for each processor (see `read_rss`). `born` (clock ticks after boot) tells a process from
    a later one with the same pid. Seconds and faults include children that were waited for:
    without them the sum over a tree falls whenever a worker ends. A zombie has ended and waits for
    its parent to notice.
    """

    pid: Pid
    parent: Pid
    group: int
    session: int
    born: int
    is_zombie: bool
    threads: int
    user_seconds: float
    system_seconds: float
    major_faults: int


class Spent(NamedTuple):
    """What a process and the children it waited for have used up: numbers that only grow."""

    user_seconds: float = 0.0
    system_seconds: float = 0.0
    io_read_bytes: int = 0
    io_written_bytes: int = 0
    major_faults: int = 0
    voluntary_switches: int = 0
    involuntary_switches: int = 0

    def plus(self, other: "Spent") -> "Spent":
        """Both together."""
        return Spent._make(map(add, self, other))

    def at_least(self, other: "Spent") -> "Spent":
        """The larger of each number."""
        return Spent._make(map(max, self, other))


NOTHING = Spent()


def add_up(spent: Iterable[Spent]) -> Spent:
    """All of them together."""
    return Spent._make(map(sum, zip(NOTHING, *spent, strict=True)))


def parse_stat(line: bytes) -> Stat:
    """Take one stat line apart. The name is free text and may hold blanks and brackets."""
    # Numbered as in proc(5), less 3: what follows the name.
    fields = line[line.rindex(b")") + 2 :].split(b" ", 20)
    return Stat(
        Pid(int(line[: line.index(b" ")])),
        Pid(int(fields[1])),
        int(fields[2]),
        int(fields[3]),
        int(fields[19]),
        fields[0] in b"ZX",
        int(fields[17]),
        (int(fields[11]) + int(fields[13])) / _TICKS,
        (int(fields[12]) + int(fields[14])) / _TICKS,
        int(fields[9]) + int(fields[10]),
    )


def read_stat(pid: Pid | str) -> Stat | None:
    """The stat line of one process, None if it is gone or hidden."""
    line = read_file(f"/proc/{pid}/stat", STAT_SIZE)
    return parse_stat(line) if line else None


def all_pids() -> list[Pid]:
    """Whoever can be seen, in ascending order."""
    names = os.listdir("/proc")  # noqa: PTH208 - a Path for each costs more than its stat
    return [Pid(int(name)) for name in names if name.isdecimal()]


def read_machine() -> dict[Pid, Stat]:
    """Every process that can be seen, in ascending order of pids."""
    return {pid: stat for pid in all_pids() if (stat := read_stat(pid)) is not None}


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

    `/proc/pid/io` holds those by itself.
    """
    read, written = _read_io(stat.pid)
    return Spent(stat.user_seconds, stat.system_seconds, read, written, stat.major_faults)


def read_rss(pid: Pid) -> int:
    """Bytes that it has in memory, as top(1) shows it, exact since Linux 6.16. 0 if it is gone."""
    pages = read_file(f"/proc/{pid}/statm", _STATM_SIZE).split(b" ", 2)
    return int(pages[1]) * _PAGE if len(pages) > 1 else 0


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


def count_threads(pid: Pid) -> int:
    """Number of threads, 0 if it is gone."""
    try:
        links = os.stat(f"/proc/{pid}/task").st_nlink  # noqa: PTH116 - as above
    except _UNREADABLE:
        return 0
    return links - 2  # which each folder has by itself


def output_pipes(pid: Pid) -> frozenset[int]:
    """Inodes of the pipes that are its standard output and error, as far as they are pipes."""
    links = (_read_link(f"/proc/{pid}/fd/{fd}") for fd in (1, 2))
    return frozenset(int(link[6:-1]) for link in links if link.startswith("pipe:["))


def _read_link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - as above
    except _UNREADABLE:
        return ""


def fd_limit(pid: Pid) -> int:
    """The soft limit of open file descriptors, 0 if there is none or it can't be read."""
    try:
        soft, _ = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    except _UNREADABLE:
        return 0
    return 0 if soft == resource.RLIM_INFINITY else soft


def swap_in_use() -> bool:
    """Whether the machine has any swap space: without it no process needs to be asked."""
    return read_file("/proc/swaps", STAT_SIZE).count(b"\n") > 1


def read_swap(pid: Pid) -> int:
    """Bytes of this process that are swapped out."""
    _, found, rest = read_file(f"/proc/{pid}/status", 2 * STAT_SIZE).partition(b"\nVmSwap:")
    return int(rest.split(maxsplit=1)[0]) * 1024 if found else 0


def _read_io(pid: Pid) -> tuple[int, int]:
    lines = read_file(f"/proc/{pid}/io", _IO_SIZE).split(b"\n", 6)
    if len(lines) < 6:  # noqa: PLR2004 - lines of that file
        return 0, 0
    # What reached the storage: `read_bytes: N` and `write_bytes: N`.
    return int(lines[4][12:]), int(lines[5][13:])


def read_file(path: str, size: int) -> bytes:
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
