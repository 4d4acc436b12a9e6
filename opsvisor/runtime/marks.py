"""What identifies all that ever comes of a process: a mark that no program takes off by accident.

Theory of operation
-------------------
A daemon that forks twice, calls setsid(2) and closes its streams has shed whatever tells whose it
is: parent, process group, session, pipes. Where it has no cgroup of its own, one thing is left
that every fork and exec hands on, and that nobody resets: resource limits. The soft limit of
real-time CPU time (RLIMIT_RTTIME, in microseconds) is used as a mark: any value above 2^62 is
146,000 years, so it limits nothing, and it survives `env -i`, setproctitle(3) and setuid(2).

The daemon sets its own soft limit just before it makes a process, and sets it back after: the
child has it from its first instruction, whatever way it is made. That takes a microsecond and no
privilege. To find all that bear a mark, prlimit(2) is asked once per pid of /proc, 4 us each, a
tenth of what reading `stat` costs.

A process has the same mark in all its runs, so what an earlier run left behind is found as well.
It is made of the daemon's `seed` and the name of the process: two daemons never share a mark, and
a daemon that takes over from a dead one goes on with its seed. The upper bits are those of the
daemon, so that a next one which has lost its memory can tell all that is ours by one look. One bit
says whether a stop ends all of the tree: then nothing that bears it can outlive a shutdown.

There is no mark where the hard limit is lower (an administrator set it), where a program sets this
limit itself (rtkit's clients do), or where its `rlimits` do. Then only what has kept its session
or its pipes is found.
"""

import os
import resource
import secrets
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from hashlib import blake2b
from typing import NewType

from opsvisor.core.spec import KillMode, Pid, ProcessId, ProcessSpec

__all__ = ["Mark", "Marks", "bearers", "mark_of", "may_outlive"]

Mark = NewType("Mark", int)

_LIMIT = resource.RLIMIT_RTTIME
# From the top: a bit that limits never have, whose daemon, whether parts of it may outlive a stop,
# and which process. Python takes limits for signed numbers of 64 bits.
_LOWEST = 1 << 62
_DAEMON_BITS = 20
_OUTLIVING = 1 << 41
_PROCESS_BITS = 41
_DAEMON = ((1 << _DAEMON_BITS) - 1) << (_PROCESS_BITS + 1)


def may_outlive(spec: ProcessSpec) -> bool:
    """Whether what a process leaves behind is nobody's business, and its mark is to say so."""
    return spec.stop.kill_mode is not KillMode.CGROUP


class Marks:
    """The marks of one daemon's processes. `seed` 0 takes a new one."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed or secrets.randbits(64) or 1
        # Whose latest run does not bear its mark for stops, and whether it does in no form.
        self._missing: dict[ProcessId, bool] = {}

    @property
    def seed(self) -> int:
        """What all marks are made of."""
        return self._seed

    @seed.setter
    def seed(self, seed: int) -> None:
        self._seed = seed
        self._known: dict[ProcessId, Mark] = {}  # each is needed in every run
        self._daemon = _bits(str(seed), _DAEMON_BITS) << (_PROCESS_BITS + 1)

    def of(self, process_id: ProcessId) -> Mark:
        """The mark of this process, always the same, if its stops end all of its tree."""
        mark = self._known.get(process_id)
        if mark is None:
            text = f"{self.seed}\0{process_id.group}\0{process_id.name}"
            mark = Mark(_LOWEST | self._daemon | _bits(text, _PROCESS_BITS))
            self._known[process_id] = mark
        return mark

    def handed_on(
        self, process_id: ProcessId, *, may_outlive: bool = False
    ) -> AbstractContextManager[None]:
        """What is made meanwhile bears the mark of this process, if that can be.

        `may_outlive`: what it leaves behind is nobody's business.
        """
        return _HandedOn(self.of(process_id) | (_OUTLIVING if may_outlive else 0))

    def note(self, spec: ProcessSpec, pid: Pid) -> None:
        """See whether the run of this process bears its mark, and could not change it."""
        sets_it = any(limit.name == "rttime" for limit in spec.rlimits)
        found, mark = None if sets_it else mark_of(pid), self.of(spec.id)
        if found == mark:
            self._missing.pop(spec.id, None)
        else:
            self._missing[spec.id] = found is None or found & ~_OUTLIVING != mark

    def is_missing(self, process_id: ProcessId) -> bool:
        """Whether a stop can't tell the latest run of this process by the mark for stops."""
        return process_id in self._missing

    def is_unmarked(self, process_id: ProcessId) -> bool:
        """Whether the latest run of this process can't be found by its mark, in either form."""
        return self._missing.get(process_id, False)

    def forget(self, process_id: ProcessId) -> None:
        """The process is gone for good."""
        self._known.pop(process_id, None)
        self._missing.pop(process_id, None)

    def of_process(self, process_id: ProcessId) -> list[Pid]:
        """Who bears the mark of this process, in either form. Zombies may be among them."""
        mark = self.of(process_id)
        return [pid for pid, found in _all_marks() if found & ~_OUTLIVING == mark]

    def of_daemon(self, *, may_outlive: bool, spared: Iterable[ProcessId] = ()) -> list[Pid]:
        """Who bears a mark of any process, but of those; what may outlive a stop only if asked."""
        ours, those = _LOWEST | self._daemon, frozenset(map(self.of, spared))
        return [
            pid
            for pid, found in _all_marks()
            if found & (_LOWEST | _DAEMON) == ours
            and (may_outlive or not found & _OUTLIVING)
            and found & ~_OUTLIVING not in those
        ]


class _HandedOn:
    """As long as it is entered, what is made bears this mark. Not of contextlib: in each spawn."""

    __slots__ = ("_before", "_mark")

    def __init__(self, mark: int) -> None:
        self._mark = mark
        self._before: tuple[int, int] | None = None

    def __enter__(self) -> None:
        before = resource.getrlimit(_LIMIT)
        try:
            resource.setrlimit(_LIMIT, (self._mark, before[1]))
        except (OSError, ValueError):  # the hard limit is lower
            return
        self._before = before

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            resource.setrlimit(_LIMIT, self._before)


def _bits(text: str, count: int) -> int:
    digest = blake2b(text.encode(errors="surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest) >> (64 - count)


def mark_of(pid: Pid) -> Mark | None:
    """The mark that this process bears, zombies too; None if it has none, or is gone."""
    try:
        soft, _ = resource.prlimit(pid, _LIMIT)
    except OSError:  # gone, or of another user whom we could not signal either
        return None
    return Mark(soft) if soft >= _LOWEST else None


def bearers(marks: Collection[Mark]) -> dict[Mark, list[Pid]]:
    """Who bears these marks, on the whole machine, without us. Zombies may be among them."""
    found: dict[Mark, list[Pid]] = {mark: [] for mark in marks}
    for pid, mark in _all_marks():
        if mark in found:
            found[mark].append(pid)
    return found


def _all_marks() -> Iterator[tuple[Pid, Mark]]:
    ours = os.getpid()
    for name in os.listdir("/proc"):  # noqa: PTH208 - a Path for each process costs more
        if not name.isdecimal():
            continue
        with suppress(OSError):
            soft, _ = resource.prlimit(int(name), _LIMIT)
            # Our own is set while something is spawned.
            if soft >= _LOWEST and int(name) != ours:
                yield Pid(int(name)), Mark(soft)
