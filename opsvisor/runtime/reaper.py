"""Turns deaths into reports: pidfds for our own processes, SIGCHLD for what was left to us.

A pidfd becomes readable when its process has ended; nothing is polled. `wait4` collects the
status together with the resources it used, which `waitid` and asyncio's watchers drop. As a child
subreaper the daemon also inherits orphans of its programs; those have no pidfd and are found when
SIGCHLD says that something ended.

A process that a daemon before us started is adopted: watched by its pidfd as well, but it is the
child of somebody else (of init, as a rule), who takes its status. What can be known of its end is
read from /proc and from the pidfd instead (pidfd.py). It may be our child all the same, after an
upgrade in place: then its status is there for us to collect.
"""

import asyncio
import ctypes
import os
import signal
from collections.abc import Callable
from typing import Protocol

from opsvisor.core.outcome import Outcome, Usage
from opsvisor.core.spec import Pid
from opsvisor.core.struct import Struct
from opsvisor.runtime.pidfd import UNKNOWN, End, birth_of, end_of, has_ended, outcome_of, zombie_of
from opsvisor.runtime.readers import Readers
from opsvisor.runtime.signals import Waking

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_KIBIBYTE = 1024

# A zombie that we may not look at: init reaps it in a moment, and then the kernel tells. Whoever
# leaves it for longer is not waited for.
_MOMENTS = (0.01, 0.1, 1.0)
_LOOK_FOR_DESCRIPTORS_EVERY = 1.0  # seconds

_ORPHANS_AT_ONCE = 16  # in one turn of the loop
_CROWDED = 0.01  # seconds from one look for orphans to the next while processes end all the time


class Orphan(Struct, frozen=True):
    """A process we did not start, inherited from one we did. Read before it was reaped."""

    pid: Pid
    process_group: int
    session: int
    outcome: Outcome
    usage: Usage


OnExit = Callable[[Pid, Outcome, Usage], None]


class Watch(Protocol):
    """`Reaper.watch`, for whoever has children of their own."""

    def __call__(
        self, pid: Pid, on_exit: OnExit, *, before: Callable[[Pid], None] | None = None
    ) -> None:
        """See there."""
        ...


class _Adopted(Struct, kw_only=True):
    """A process that somebody else started, as it is watched. Born in this tick after boot."""

    pid: Pid
    born: int
    on_exit: OnExit
    pidfd: int | None = None
    looks: int = 0  # in vain, since it ended
    again: asyncio.TimerHandle | None = None


class Reaper:
    """Watches processes; reports each end exactly once.

    `claim` is called before a child that has ended, and is not watched, is taken for an orphan:
    whether it is somebody's after all, and is watched by now, or collected. `all_told` is called
    when no other is known to have ended by then; `on_ended` before anything else is done for a
    child that was collected here just now, and whose end is told to `on_exit`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        on_exit: OnExit,
        on_orphan: Callable[[Orphan], None],
        on_ended: Callable[[Pid, Outcome], None] = lambda _pid, _outcome: None,
        on_unwatch: Callable[[Pid], None] = lambda _pid: None,
        claim: Callable[[Pid], bool] = lambda _pid: False,
        all_told: Callable[[], None] = lambda: None,
    ) -> None:
        self._claim = claim
        self._on_ended = on_ended
        self._on_unwatch = on_unwatch  # before a pidfd is closed
        self._loop = loop
        self._on_exit = on_exit
        self._on_orphan = on_orphan
        self._pidfds: dict[Pid, int | None] = {}  # of those watched; None: we had none left
        self._told_elsewhere: dict[Pid, OnExit] = {}  # of those watched
        self._before: dict[Pid, Callable[[Pid], None]] = {}  # likewise
        self._adopted: dict[Pid, _Adopted] = {}
        self._next_look: asyncio.TimerHandle | None = None
        self._waking = Waking(loop, signal.SIGCHLD, self._child_ended)
        # Of our own children it has the pid.
        self._readers: Readers[Pid | _Adopted] = Readers(self._one_ended, all_called=all_told)

    def open(self) -> None:
        """Become the reaper of every descendant."""
        become_subreaper()
        self._waking.open()

    def close(self) -> None:
        """Stop watching. What is still alive lives on unwatched."""
        self._waking.close()
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None
        for pid in list(self._pidfds):
            self._unwatch(pid)
        for adopted in self._adopted.values():
            self._unwatch_adopted(adopted)
        self._adopted.clear()
        self._readers.close()

    def watch(
        self,
        pid: Pid,
        on_exit: OnExit | None = None,
        *,
        before: Callable[[Pid], None] | None = None,
    ) -> None:
        """Report the end of this child, to `on_exit` if that is somebody else's.

        `before` is called when it has ended, and its number, also as that of its group, is still
        its own: as soon as it is collected, that may be given to anybody.

        OSError if there are no descriptors left. Its end comes by SIGCHLD then.
        """
        if on_exit is not None:
            self._told_elsewhere[pid] = on_exit
        if before is not None:
            self._before[pid] = before
        self._pidfds[pid] = None
        self._pidfds[pid] = pidfd = os.pidfd_open(pid)
        self._readers.add(self._loop, pidfd, pid)

    def leave(self, pid: Pid) -> None:
        """Watch this child no longer: who asks for that collects it."""
        self._told_elsewhere.pop(pid, None)
        self._before.pop(pid, None)
        self._unwatch(pid)

    def tell_now(self) -> None:
        """Tell of some who have ended, if any have, without waiting for a turn of the loop."""
        self._readers.call_ready()

    def look_around(self) -> None:
        """Collect who ended while nobody looked, soon."""
        self._look_again(0)

    @property
    def has_more(self) -> bool:
        """Whether others have ended, too, and their ends are about to be told."""
        return self._readers.has_more

    def is_gone(self, pid: Pid) -> bool:
        """Whether this number may be somebody else's by now, as its process has ended.

        Its end is about to be told. What we collect ourselves keeps its number until then.
        """
        adopted = self._adopted.get(pid)
        if adopted is None:
            return False
        if adopted.pidfd is None:
            return birth_of(pid) != adopted.born
        return has_ended(adopted.pidfd)

    def pidfd_of(self, pid: Pid) -> int | None:
        """The pidfd by which this process is watched: open until its end is told, and not longer.

        None if there was no descriptor left for it.
        """
        adopted = self._adopted.get(pid)
        return self._pidfds.get(pid) if adopted is None else adopted.pidfd

    def watch_adopted(
        self, pid: Pid, *, born: int, pidfd: int | None = None, on_exit: OnExit | None = None
    ) -> None:
        """Report the end of a process that was born in this tick, whoever its parent is.

        Once, and never before this returns, though the process may be over already. The outcome is
        unknown if the kernel does not tell. `pidfd` is ours from here on; one that was open when
        the process was reaped knows how it ended. Without one it is opened here, and as often as
        it takes if there are no descriptors left.
        """
        adopted = _Adopted(pid=pid, born=born, on_exit=on_exit or self._on_exit, pidfd=pidfd)
        self._adopted[pid] = adopted
        if pidfd is None:
            self._open_adopted(adopted)
        else:
            self._readers.add(self._loop, pidfd, adopted)

    def _open_adopted(self, adopted: _Adopted) -> None:
        try:
            adopted.pidfd = os.pidfd_open(adopted.pid)
        except ProcessLookupError:
            adopted.again = self._loop.call_later(0, self._tell_adopted, adopted, UNKNOWN)
            return
        except OSError:
            adopted.again = self._loop.call_later(
                _LOOK_FOR_DESCRIPTORS_EVERY, self._open_adopted, adopted
            )
            return
        if birth_of(adopted.pid) == adopted.born:  # asked while the pidfd holds whom it names
            self._readers.add(self._loop, adopted.pidfd, adopted)
        else:  # of a stranger, who has the number by now
            os.close(adopted.pidfd)
            adopted.pidfd = None
            adopted.again = self._loop.call_later(0, self._tell_adopted, adopted, UNKNOWN)

    def _adopted_ended(self, adopted: _Adopted) -> None:
        """Find out how it ended, or look again in a moment."""
        pidfd = adopted.pidfd
        assert pidfd is not None
        if not has_ended(pidfd):
            return  # readable for another reason; it will be again
        if _is_own_zombie(pidfd):
            self._collect_adopted(adopted)
            return
        end = end_of(adopted.pid, pidfd, born=adopted.born)
        if end is None and adopted.looks < len(_MOMENTS):
            self._readers.remove(pidfd)  # or it would be readable all the time
            moment = _MOMENTS[adopted.looks]
            adopted.looks += 1
            adopted.again = self._loop.call_later(moment, self._adopted_ended, adopted)
            return
        self._tell_adopted(adopted, end or UNKNOWN)

    def _collect_adopted(self, adopted: _Adopted) -> None:
        _, status, usage = os.wait4(adopted.pid, os.WNOHANG)
        outcome = outcome_of(status)
        if adopted.on_exit is self._on_exit:
            self._on_ended(adopted.pid, outcome)
        self._tell_adopted(adopted, End(outcome, usage_of(usage)))

    def _tell_adopted(self, adopted: _Adopted, end: End) -> None:
        del self._adopted[adopted.pid]
        self._unwatch_adopted(adopted)
        adopted.on_exit(adopted.pid, end.outcome, end.usage)

    def _unwatch_adopted(self, adopted: _Adopted) -> None:
        if adopted.again is not None:
            adopted.again.cancel()
        if adopted.pidfd is not None:
            self._readers.remove(adopted.pidfd)
            self._on_unwatch(adopted.pid)
            os.close(adopted.pidfd)

    def _one_ended(self, one: Pid | _Adopted) -> None:
        if isinstance(one, _Adopted):
            self._adopted_ended(one)
        else:
            self._ended(one)

    def _ended(self, pid: Pid) -> None:
        if pid in self._before:
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return  # as below
            self._before.pop(pid)(pid)
        reaped, status, usage = os.wait4(pid, os.WNOHANG)
        if not reaped:
            return  # readable for another reason; it will be again
        outcome = outcome_of(status)
        elsewhere = self._told_elsewhere.pop(pid, None)
        if elsewhere is None:
            self._on_ended(pid, outcome)
        self._unwatch(pid)
        (elsewhere or self._on_exit)(pid, outcome, usage_of(usage))

    def _unwatch(self, pid: Pid) -> None:
        pidfd = self._pidfds.pop(pid, None)
        if pidfd is None:
            return
        self._readers.remove(pidfd)
        self._on_unwatch(pid)
        os.close(pidfd)

    def _child_ended(self) -> None:
        if self._next_look is None:
            self._collect_orphans()

    def _look_again(self, seconds: float) -> None:
        if self._next_look is None:
            self._next_look = self._loop.call_later(seconds, self._collect_orphans)

    def _collect_orphans(self) -> None:
        self._next_look = None
        # Our own processes first, by their pidfds: that leaves nothing to find in the usual case,
        # one system call for any number of deaths. Where more of them end all the time than have
        # their turn, orphans come one by one in between.
        is_calm = self._readers.call_ready()
        for _ in range(_ORPHANS_AT_ONCE if is_calm else 1):
            pid = _next_zombie()
            if pid is None:
                return
            self._collect(pid)
        self._look_again(0 if is_calm else _CROWDED)

    def _collect(self, pid: Pid) -> None:
        if pid in self._pidfds:
            self._ended(pid)
        elif (adopted := self._adopted.get(pid)) is not None and _is_born(adopted):
            self._collect_adopted(adopted)
        elif not self._claim(pid):
            self._collect_orphan(pid)

    def _collect_orphan(self, pid: Pid) -> None:
        group, session = _group_and_session(pid)
        _, status, usage = os.wait4(pid, os.WNOHANG)
        self._on_orphan(Orphan(pid, group, session, outcome_of(status), usage_of(usage)))


def become_subreaper() -> None:
    """Inherit orphaned descendants (PR_SET_CHILD_SUBREAPER, Linux 3.4)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"cannot become a child subreaper: {os.strerror(code)}")


def usage_of(usage: "os.struct_rusage") -> Usage:  # type: ignore[name-defined]  # not in typeshed
    """A struct rusage in our terms; ru_maxrss is in KiB on Linux."""
    return Usage(
        user_seconds=usage.ru_utime,
        system_seconds=usage.ru_stime,
        max_rss_bytes=usage.ru_maxrss * _KIBIBYTE,
        major_faults=usage.ru_majflt,
        voluntary_switches=usage.ru_nvcsw,
        involuntary_switches=usage.ru_nivcsw,
    )


def _next_zombie() -> Pid | None:
    """Any child that has ended and was not collected; it stays uncollected."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return Pid(found.si_pid) if found is not None else None


def _is_own_zombie(pidfd: int) -> bool:
    """Whether this is a child of ours that has ended and was not collected."""
    try:
        found = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return found is not None


def _is_born(adopted: _Adopted) -> bool:
    """Whether the zombie with this number is the very one, not a later one."""
    zombie = zombie_of(adopted.pid)
    return zombie is not None and zombie.born == adopted.born


def _group_and_session(pid: Pid) -> tuple[int, int]:
    """Process group and session of a zombie, (0, 0) if /proc does not tell."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - a fresh Path costs more
            after_name = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0, 0
    return int(after_name[2]), int(after_name[3])
