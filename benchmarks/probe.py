"""What the kernel knows about a process: CPU time, wake-ups, memory."""

import time
from dataclasses import dataclass
from pathlib import Path

_CPUCLOCK_SCHED = 2  # linux/posix-timers_types.h: the clock of a process, by its pid


@dataclass(frozen=True, kw_only=True)
class Usage:
    """CPU seconds and voluntary context switches of all threads until now."""

    cpu: float
    wakeups: int

    def since(self, earlier: "Usage") -> "Usage":
        """The difference."""
        return Usage(cpu=self.cpu - earlier.cpu, wakeups=self.wakeups - earlier.wakeups)


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Resident and proportional set size in MiB."""

    rss: float
    pss: float


def usage_of(pid: int) -> Usage:
    """What the process has used until now. OSError if it is gone."""
    wakeups = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                wakeups += int(line.split()[1])
    return Usage(cpu=time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED), wakeups=wakeups)


def memory_of(pid: int) -> Memory:
    """How much memory it has now."""
    sizes = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split()[:2]
        sizes[name] = int(value) / 1024
    return Memory(rss=sizes["Rss:"], pss=sizes["Pss:"])
