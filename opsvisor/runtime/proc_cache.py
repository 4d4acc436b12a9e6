"""What was read of each process holds until the process runs again.

Of a thousand processes most do nothing between two sweeps, and to read what /proc tells of one
takes 15 µs. Its CPU clock takes 0.3 (clock_gettime(2); exact to the nanosecond, unlike the ticks
of `/proc/<pid>/stat`). While that stands still the process sleeps: it makes no system call and
touches no memory, so its CPU time, files, threads and bytes are what they were. Of one that is at
work just now the kernel moves the clock at the next tick only: what it did since the last one
shows a sweep later.

What others can change of a process that sleeps is asked for each time:

* its parent, once the one that is known has ended or is gone,
* what it has in memory, its limits and its cgroup, which is not done here.

The clock is read first and everything else after it, so that what the process does meanwhile shows
the next time.
"""

import time
from collections.abc import Callable
from itertools import pairwise

from opsvisor.core.spec import Pid
from opsvisor.core.struct import Struct
from opsvisor.runtime.proctree import (
    Spent,
    Stat,
    all_pids,
    count_fds,
    count_threads,
    read_spent,
    read_stat,
)

# In seconds, and half of that at least. What the clock does not tell is right again after that: a
# short run while the hypervisor says that it had the processor itself, descriptors that are shared
# with somebody who is awake (CLONE_FILES), a process group that the parent has chosen.
_HOLDS_FOR = 300.0
_SHARES = (
    64  # into which they are spread: a thousand that were read together are not read again so
)
_MILLISECOND = 1_000_000  # in ns


class _Entry(Struct):
    """Of one process, while its clock said so. What nobody has asked for yet is None."""

    clock: int | None
    holds_until: float
    sweep: int
    stat: Stat
    spent: Spent | None = None
    open_fds: int | None = None


class ProcCache:
    """From one sweep to the next, for `holds_for` seconds at most. Of use to one thread only."""

    def __init__(self, holds_for: float = _HOLDS_FOR) -> None:
        self._clock = cpu_clock if _is_exact() else _no_clock
        self._holds_for = holds_for
        self._entries: dict[Pid, _Entry] = {}
        self._sweep = 0

    def machine(self, now: float, pause: Callable[[], None] = lambda: None) -> dict[Pid, Stat]:
        """Every process that can be seen, as proctree.read_machine; the beginning of a sweep.

        `now` is on any clock that goes on steadily, in seconds. `pause` comes before each.
        """
        self._sweep += 1
        known, self._entries = self._entries, {}
        for pid in all_pids():
            pause()
            entry, clock = known.get(pid), self._clock(pid)
            if (
                entry is None
                or clock is None
                or clock != entry.clock
                or now >= entry.holds_until
                or _has_lost_a_thread(entry.stat)
            ):
                self._read(pid, clock, now)
            else:
                self._entries[pid] = entry
        for entry in [one for one in self._entries.values() if self._may_be_orphaned(one)]:
            pause()
            self._read(entry.stat.pid, entry.clock, now)
        return {pid: entry.stat for pid, entry in self._entries.items()}

    def spent(self, stat: Stat) -> Spent:
        """As proctree.read_spent, of a process that `machine` has found."""
        entry = self._entries[stat.pid]
        if entry.spent is None:
            entry.spent = read_spent(stat)
        return entry.spent

    def open_fds(self, pid: Pid) -> int:
        """As proctree.count_fds, likewise."""
        entry = self._entries[pid]
        if entry.open_fds is None:
            entry.open_fds = count_fds(pid)
        return entry.open_fds

    def _read(self, pid: Pid, clock: int | None, now: float) -> None:
        stat = read_stat(pid)
        if stat is None:
            self._entries.pop(pid, None)
        else:
            share = 0.5 + pid % _SHARES / (2 * _SHARES)
            self._entries[pid] = _Entry(clock, now + share * self._holds_for, self._sweep, stat)

    def _may_be_orphaned(self, entry: _Entry) -> bool:
        """Whether its parent may be another one by now. Nobody is younger than their children."""
        stat = entry.stat
        if entry.sweep == self._sweep or stat.parent == 0:  # that is: outside of what we see
            return False
        parent = self._entries.get(stat.parent)
        return parent is None or parent.stat.is_zombie or parent.stat.born > stat.born


def cpu_clock(pid: Pid) -> int | None:
    """Nanoseconds of CPU time that all threads of this process have had, None if it is gone."""
    try:
        return time.clock_gettime_ns(~pid << 3 | 2)  # CPUCLOCK_SCHED, see clock_getcpuclockid(3)
    except OSError:
        return None


def _no_clock(_: Pid) -> None:
    return None


def _is_exact() -> bool:
    """Whether CPU clocks know what comes between two ticks, which some kernels' do not."""
    seen = [time.process_time_ns() for _ in range(4)]
    return any(0 < later - earlier < _MILLISECOND for earlier, later in pairwise(seen))


def _has_lost_a_thread(stat: Stat) -> bool:
    """Whether one has ended. Its last moments may be missing from the clock: by the kernel's text.

    It takes its own time to the sum of all at its end, where that may be as of the last tick.
    """
    return stat.threads > 1 and count_threads(stat.pid) != stat.threads
