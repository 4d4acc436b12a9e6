"""What was read of each process holds until the process runs again.

Of a thousand processes most do nothing between two sweeps, and reading what /proc tells of one
costs 25 µs. Its CPU clock (clock_gettime(2), exact to the nanosecond, unlike the ticks of
`/proc/<pid>/stat`) is read in 0.3 µs: as long as that stands still, the process has made no system
call and touched no memory, so neither have its CPU time, its files, its threads nor its bytes
changed. What others can change is asked for each time:

* its parent, once the one that is known has ended or is gone,
* what it has in memory, its limits and its cgroup, which is not done here.

The clock is read first and everything else after it. So what the process does meanwhile shows
next time.
"""

import os
import time
from collections.abc import Callable

from opsvisor.core.spec import Pid
from opsvisor.core.struct import Struct
from opsvisor.runtime.proctree import Spent, Stat, count_fds, read_spent, read_stat

# In sweeps. What the clock does not tell is right again after that: a short run while the
# hypervisor says that it had the processor itself, descriptors that are shared with somebody
# (CLONE_FILES), a process group that the parent has chosen.
_HOLDS_FOR = 20
_MILLISECOND = 1_000_000  # in ns


class _Reading(Struct):
    """Of one process, while its clock said so. What nobody has asked for yet is None."""

    clock: int | None
    sweep: int
    stat: Stat
    spent: Spent | None = None
    open_fds: int | None = None


class Readings:
    """From one sweep to the next, at most `holds_for` of them. To be used by one thread only."""

    def __init__(self, holds_for: int = _HOLDS_FOR) -> None:
        self._holds_for = holds_for
        self._clock = cpu_clock if _is_exact() else _no_clock
        self._readings: dict[Pid, _Reading] = {}
        self._sweep = 0

    def machine(self, pause: Callable[[], None] = lambda: None) -> dict[Pid, Stat]:
        """Every process that can be seen, as proctree.read_machine; the beginning of a sweep."""
        self._sweep += 1
        known, self._readings = self._readings, {}
        for name in os.listdir("/proc"):  # noqa: PTH208 - a Path for each costs more than its clock
            if not name.isdecimal():
                continue
            pause()
            pid = Pid(int(name))
            reading, clock = known.get(pid), self._clock(pid)
            if (
                reading is None
                or clock is None
                or clock != reading.clock
                # Spread by pid: a thousand that were started together are not read together.
                or (pid + self._sweep) % self._holds_for == 0
            ):
                self._read(pid, clock)
            else:
                self._readings[pid] = reading
        for reading in [one for one in self._readings.values() if self._may_be_orphaned(one)]:
            pause()
            self._read(reading.stat.pid, reading.clock)
        return {pid: reading.stat for pid, reading in self._readings.items()}

    def spent(self, stat: Stat) -> Spent:
        """As proctree.read_spent, of a process that `machine` has found."""
        reading = self._readings[stat.pid]
        if reading.spent is None:
            reading.spent = read_spent(stat)
        return reading.spent

    def open_fds(self, pid: Pid) -> int:
        """As proctree.count_fds."""
        reading = self._readings[pid]
        if reading.open_fds is None:
            reading.open_fds = count_fds(pid)
        return reading.open_fds

    def _read(self, pid: Pid, clock: int | None) -> None:
        stat = read_stat(pid)
        if stat is None:
            self._readings.pop(pid, None)
        else:
            self._readings[pid] = _Reading(clock, self._sweep, stat)

    def _may_be_orphaned(self, reading: _Reading) -> bool:
        """Whether its parent may be another one by now. Nobody is younger than its children."""
        stat = reading.stat
        if reading.sweep == self._sweep or stat.parent == 0:  # that is: outside of what we see
            return False
        parent = self._readings.get(stat.parent)
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
    return any(time.process_time_ns() % _MILLISECOND for _ in range(3))
