"""How quiet the machine was: a measurement without that is only a number."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.stats import median, quantile

_ROUNDS = 40
_WORK = 40_000  # additions; about a millisecond


def _cpu_ticks() -> tuple[int, int]:
    """Ticks that a hypervisor gave to others, and all ticks, since the machine started."""
    fields = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return fields[7], sum(fields[:8])


@dataclass
class Noise:
    """Takes the pulse of the machine between measurements.

    `pulses`: milliseconds that the same little work took each time. A quiet machine takes about
    the same each time; one with others on it takes longer now and then.
    """

    pulses: list[float] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    _steal_before: tuple[int, int] = field(default_factory=_cpu_ticks)

    def feel(self) -> None:
        """Do the work a few times."""
        self.loads.append(os.getloadavg()[0])
        for _ in range(_ROUNDS):
            began = time.monotonic()
            total = 0
            for number in range(_WORK):
                total += number
            self.pulses.append(1e3 * (time.monotonic() - began))

    def summary(self) -> dict[str, float]:
        """What it came to, as numbers for the report."""
        stolen, total = _cpu_ticks()
        ticks = max(1, total - self._steal_before[1])
        return {
            "pulse_median_ms": median(self.pulses),
            "pulse_p90_ms": quantile(self.pulses, 0.9),
            "pulse_p99_ms": quantile(self.pulses, 0.99),
            "load_first": self.loads[0],
            "load_highest": max(self.loads),
            "steal_percent": 100 * (stolen - self._steal_before[0]) / ticks,
        }
