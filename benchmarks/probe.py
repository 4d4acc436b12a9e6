"""What the kernel knows about a process: CPU time, wake-ups, memory."""

import time
from dataclasses import dataclass
from pathlib import Path

_CPUCLOCK_SCHED = 2  # linux/posix-timers_types.h: the clock of a process, by its pid


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Resident and proportional set size in MiB."""

    rss: float
    pss: float


def cpu_of(pid: int) -> float:
    """CPU seconds of all its threads until now, to the nanosecond. OSError if it is gone."""
    return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)


def wakeups_of(pid: int) -> int:
    """How often its threads have gone to sleep by themselves. OSError if it is gone."""
    count = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                count += int(line.split()[1])
    return count


def memory_of(pid: int) -> Memory:
    """How much memory it has now. OSError if it is gone."""
    sizes = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split()[:2]
        sizes[name] = int(value) / 1024
    return Memory(rss=sizes["Rss:"], pss=sizes["Pss:"])
