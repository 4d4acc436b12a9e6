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
from contextlib import closing
from signal import SIGKILL
from typing import Self

from opsvisor.core.outcome import Outcome
from opsvisor.core.spec import Pid, ProcessId
from opsvisor.core.struct import Struct, field

__all__ = [
    "MACHINE",
    "KillCount",
    "OomMemento",
    "OomWatch",
    "OwnKillsMemento",
    "WindowMemento",
    "count_kills",
]

MACHINE = "/proc/vmstat"

_LINE = b"\noom_kill "
_BLOCK = 4096
_REMEMBERED = 1000  # kills to look at; who has more at once can't tell them apart anyway
_FRESH = 0.05  # seconds for which a reading will do as the beginning of another run


def count_kills(path: str) -> int | None:
    """What this file of the kernel counts as `oom_kill`, None if it is gone or does not tell."""
    with closing(_CountFile(path)) as file:
        return file.read()


class _CountFile:
    """A file that counts `oom_kill`. It stays open: most of a reading is to find it by its path.

    Somebody waits for it, as it is read between a death and the restart.
    """

    __slots__ = ("_descriptor", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor: int | None = None

    def read(self) -> int | None:
        """The count, None if the file is gone or does not tell."""
        if self._descriptor is not None:
            try:
                return _count_in(self._descriptor)
            except OSError:  # the cgroup was removed; there may be one of that name again
                self.close()
        try:
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            return _count_in(self._descriptor)
        except OSError:  # it is gone, or there are no descriptors left
            self.close()
            return None

    def close(self) -> None:
        """Give back its descriptor. A later reading takes another one."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _count_in(descriptor: int) -> int | None:
    text = b"\n"
    while block := os.pread(descriptor, _BLOCK, len(text) - 1):  # vmstat may come in pieces
        text += block
        _, found, rest = text.partition(_LINE)
        count, newline, _ = rest.partition(b"\n")
        if found and newline:
            return int(count)
    return None


class KillCount(Struct, frozen=True):
    """The kills that a file told of."""

    path: str
    kills: int


class _Window(Struct):
    """One counter, and which of its kills are still to be explained.

    `begin` is the count at the sweep before the last, `latest` that of the last one. Kills have
    numbers: the count after each.
    """

    begin: int
    latest: int
    explained: set[int] = field(default_factory=set)

    @classmethod
    def recall(cls, memento: "WindowMemento") -> Self:
        """A counter that was watched before."""
        return cls(memento.begin, memento.latest, set(memento.explained))

    def remember(self) -> "WindowMemento":
        """What is needed to watch it on."""
        return WindowMemento(
            begin=self.begin, latest=self.latest, explained=tuple(sorted(self.explained))
        )

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


class _Own(Struct):
    """The memory cgroup of one process; `counted` is up to where its kills are counted."""

    path: str
    counted: int
    window: _Window


class WindowMemento(Struct, frozen=True, kw_only=True):
    """A counter: how it stood at the last two sweeps, and the kills since then that are told."""

    begin: int
    latest: int
    explained: tuple[int, ...] = ()


class OwnKillsMemento(Struct, frozen=True, kw_only=True):
    """The counter of one process's cgroup."""

    id: ProcessId
    path: str
    counted: int
    window: WindowMemento


class OomMemento(Struct, frozen=True, kw_only=True):
    """All that is counted. `shared` is the file that `window` and `begins` are about."""

    shared: str
    window: WindowMemento
    kills: tuple[tuple[ProcessId, int], ...] = ()
    begins: tuple[tuple[Pid, int], ...] = ()
    own: tuple[OwnKillsMemento, ...] = ()


class OomWatch:
    """Counts the OOM kills of every process, and recognises those of main processes.

    `shared` is the file whose counter all processes without a memory cgroup of their own share. It
    is open from the beginning, when the count is read that all others are compared with.
    """

    def __init__(
        self, shared: str = MACHINE, *, mono: Callable[[], float] = time.monotonic
    ) -> None:
        self._shared = _CountFile(shared)
        self._mono = mono
        kills = self._shared.read() or 0
        self._window = _Window(kills, kills)
        self._read_at = mono()
        self._kills_then = kills
        self._begins: dict[Pid, int] = {}  # of runs that began after the sweep before the last
        self._own: dict[ProcessId, _Own] = {}
        self._kills = Counter[ProcessId]()

    @property
    def shared(self) -> str:
        """The file whose counter they share."""
        return self._shared.path

    def close(self) -> None:
        """Give back the descriptor that it takes to look."""
        self._shared.close()

    def remember(self) -> OomMemento:
        """What a later watch needs to count on."""
        return OomMemento(
            shared=self.shared,
            window=self._window.remember(),
            kills=tuple(self._kills.items()),
            begins=tuple(self._begins.items()),
            own=tuple(
                OwnKillsMemento(
                    id=process_id,
                    path=own.path,
                    counted=own.counted,
                    window=own.window.remember(),
                )
                for process_id, own in self._own.items()
            ),
        )

    def recall(self, memento: OomMemento) -> None:
        """Go on where an earlier watch was, before any run begins."""
        self._kills.update(dict(memento.kills))
        for one in memento.own:
            window = _Window.recall(one.window)
            self._own[one.id] = _Own(one.path, one.counted, window)
        if memento.shared == self.shared:  # else it was moved to another cgroup
            self._window = _Window.recall(memento.window)
            self._begins.update(dict(memento.begins))

    def kills(self, process_id: ProcessId) -> int:
        """OOM kills of the process and, where its cgroup counts them, of its descendants."""
        return self._kills[process_id]

    def run_began(self, pid: Pid) -> None:
        """A process was spawned."""
        now = self._mono()
        if now - self._read_at > _FRESH:  # a thousand that start together share a reading
            self._kills_then = self._read_shared()
            self._read_at = now
        if self._kills_then > self._window.begin:  # what came before that is explained already
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
        kills = self._shared.read()
        return self._window.latest if kills is None else kills
