"""Was it the OOM killer? Two ways to know, neither of which polls.

The kernel never says so to the parent: an OOM kill arrives as a plain SIGKILL. It counts them,
though, before the signal goes out: per memory cgroup (`memory.events` in version 2,
`memory.oom_control` in version 1), whoever ran out of memory, and for the machine in
`/proc/vmstat`. All of these have a line `oom_kill N`.

* A process with a memory cgroup of its own: what that cgroup counts are its kills, those of
  grandchildren included.
* Any other: it died of a SIGKILL that we did not send, and the counter it shares with others (that
  of the daemon's own cgroup, else that of the machine) rose meanwhile.

"Meanwhile" is since the run began, or since the sweep before the last where that is later: the
more often somebody looks, the fewer strangers' kills can be taken for one of ours. Not since the
last sweep, because a large process takes a while to die, and may still have looked alive in it.
Each kill explains one death.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from signal import SIGKILL

from opsvisor.core.outcome import Outcome
from opsvisor.core.spec import Pid, ProcessId

__all__ = ["MACHINE", "KillCount", "OomWatch", "count_kills"]

MACHINE = "/proc/vmstat"

_LINE = b"\noom_kill "
_BLOCK = 4096
_REMEMBERED = 1000  # kills to look at; who has more at once can't tell them apart anyway
_FRESH = 0.05  # seconds for which a reading will do as the beginning of another run


def count_kills(path: str) -> int | None:
    """What this file of the kernel counts as `oom_kill`, None if it is gone or does not tell."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    text = b"\n"
    try:
        while block := os.read(fd, _BLOCK):  # vmstat comes in pieces
            text += block
    except OSError:  # the cgroup was removed meanwhile
        return None
    finally:
        os.close(fd)
    _, found, rest = text.partition(_LINE)
    return int(rest.split(maxsplit=1)[0]) if found else None


@dataclass(frozen=True, slots=True)
class KillCount:
    """The kills that a file told of."""

    path: str
    kills: int


@dataclass(slots=True)
class _Window:
    """One counter, and which of its kills are still to be explained.

    `begin` is the count at the sweep before the last, `latest` that of the last one. Kills have
    numbers: the count after each.
    """

    begin: int
    latest: int
    explained: set[int] = field(default_factory=set)

    def swept(self, kills: int) -> None:
        """A sweep read this."""
        self.begin, self.latest = self.latest, max(self.latest, kills)
        self.explained = {number for number in self.explained if number > self.begin}

    def explain(self, kills: int, *, since: int = 0) -> bool:
        """Take one kill out of those up to now that nothing explains, if there is one."""
        for number in range(max(self.begin, since, kills - _REMEMBERED) + 1, kills + 1):
            if number not in self.explained:
                self.explained.add(number)
                return True
        return False


@dataclass(slots=True)
class _Own:
    """The memory cgroup of one process; `counted` is up to where its kills are counted."""

    path: str
    counted: int
    window: _Window


class OomWatch:
    """Counts the OOM kills of every process, and recognises those of main processes.

    `shared` is the file whose counter all processes without a memory cgroup of their own share.
    """

    def __init__(
        self, shared: str = MACHINE, *, mono: Callable[[], float] = time.monotonic
    ) -> None:
        self.shared = shared
        self._mono = mono
        kills = count_kills(shared) or 0
        self._window = _Window(kills, kills)
        self._read_at = mono()
        self._kills_then = kills
        self._begins: dict[Pid, int] = {}
        self._own: dict[ProcessId, _Own] = {}
        self._kills = Counter[ProcessId]()

    def kills(self, process_id: ProcessId) -> int:
        """OOM kills of the process and, where its cgroup counts them, of its descendants."""
        return self._kills[process_id]

    def run_began(self, pid: Pid) -> None:
        """A process was spawned."""
        now = self._mono()
        if now - self._read_at > _FRESH:  # a thousand that start together share a reading
            self._kills_then = self._read_shared()
            self._read_at = now
        self._begins[pid] = self._kills_then

    def run_ended(
        self, process_id: ProcessId, pid: Pid, outcome: Outcome, *, killed_by_us: bool
    ) -> bool:
        """Whether the OOM killer ended this run."""
        since = self._begins.pop(pid, 0)
        if outcome.signum != SIGKILL:
            return False
        own = self._own.get(process_id)
        kills = None if own is None else count_kills(own.path)
        if own is not None and kills is not None:
            self._count_own(process_id, own, kills)
            return not killed_by_us and own.window.explain(kills)
        if killed_by_us or not self._window.explain(self._read_shared(), since=since):
            return False
        self._kills[process_id] += 1
        return True

    def swept(self, shared: int | None, own: Mapping[ProcessId, KillCount | None]) -> None:
        """A sweep read the shared counter at its beginning, and those of processes that live.

        None: that process has no memory cgroup to itself.
        """
        if shared is not None:
            self._window.swept(shared)
        for process_id, found in own.items():
            known = self._own.get(process_id)
            if found is None:
                self._own.pop(process_id, None)
            elif known is None or known.path != found.path:
                self.owns(process_id, found)
            else:
                self._count_own(process_id, known, found.kills)
                known.window.swept(found.kills)

    def owns(self, process_id: ProcessId, found: KillCount) -> None:
        """The process has a memory cgroup to itself, whose kills count from here on."""
        window = _Window(found.kills, found.kills)
        self._own[process_id] = _Own(found.path, found.kills, window)

    def forget(self, process_id: ProcessId) -> None:
        """The process left the plan."""
        self._own.pop(process_id, None)
        self._kills.pop(process_id, None)

    def _count_own(self, process_id: ProcessId, own: _Own, kills: int) -> None:
        more = kills - own.counted
        if more <= 0:  # or less: a sweep that was under way when this was read last
            return
        self._kills[process_id] += more
        own.counted = kills
        shared = self._read_shared()
        for _ in range(min(more, _REMEMBERED)):  # counted there as well: not another one's
            self._window.explain(shared)

    def _read_shared(self) -> int:
        kills = count_kills(self.shared)
        return self._window.latest if kills is None else kills
