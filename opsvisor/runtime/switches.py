"""Context switches of living processes: those of all their threads, dead ones included.

`/proc/<pid>/status` has the numbers of the main thread only, a few where there are thousands; each
thread's stand in `task/<tid>/status`. A thread that ends takes its own with it, and only the
rusage of the finished process tells them again. So those that were seen once are remembered.
"""

import os
from collections.abc import Iterable

from opsvisor.core.spec import Pid
from opsvisor.core.struct import Struct, field
from opsvisor.runtime.proctree import Stat, read_file

_STATUS_SIZE = 8192
_VOLUNTARY = b"\nvoluntary_ctxt_switches:"
_INVOLUNTARY = b"\nnonvoluntary_ctxt_switches:"

Switches = tuple[int, int]  # voluntary and involuntary


class _Process(Struct):
    """The threads of one process as last seen, and what those had that are gone."""

    born: int
    threads: dict[str, Switches] = field(default_factory=dict)
    gone: Switches = (0, 0)

    def saw(self, threads: dict[str, Switches]) -> Switches:
        """The sum after these were seen; it never falls."""
        for tid, (voluntary, involuntary) in self.threads.items():
            now = threads.get(tid)
            if now is None or now < (voluntary, involuntary):  # or another one by that number
                self.gone = self.gone[0] + voluntary, self.gone[1] + involuntary
        self.threads = threads
        return (
            self.gone[0] + sum(voluntary for voluntary, _ in threads.values()),
            self.gone[1] + sum(involuntary for _, involuntary in threads.values()),
        )


class SwitchCounter:
    """Counts for one sweep after the other. To be used by one thread only."""

    def __init__(self) -> None:
        self._processes: dict[Pid, _Process] = {}

    def count(self, members: Iterable[Stat]) -> dict[Pid, Switches]:
        """The switches of these processes. Who is not among them is forgotten."""
        found: dict[Pid, Switches] = {}
        still: dict[Pid, _Process] = {}
        for member in members:
            process = self._processes.get(member.pid)
            if process is None or process.born != member.born:
                process = _Process(member.born)
            found[member.pid] = process.saw(_threads_of(member.pid))
            still[member.pid] = process
        self._processes = still
        return found


def _threads_of(pid: Pid) -> dict[str, Switches]:
    folder = f"/proc/{pid}/task"
    try:
        tids = os.listdir(folder)  # noqa: PTH208 - a Path for each thread costs more
    except OSError:
        return {}
    seen = ((tid, _switches(read_file(f"{folder}/{tid}/status", _STATUS_SIZE))) for tid in tids)
    return {tid: switches for tid, switches in seen if switches is not None}


def _switches(status: bytes) -> Switches | None:
    head, found, voluntary = status.partition(_VOLUNTARY)
    voluntary, also_found, involuntary = voluntary.partition(_INVOLUNTARY)
    if not head or not found or not also_found:
        return None
    return int(voluntary), int(involuntary.split(maxsplit=1)[0])
