"""Turns deaths into reports: pidfds for our own processes, SIGCHLD for what was left to us.

A pidfd becomes readable when its process has ended; nothing is polled. `wait4` collects the
status together with the resources it used, which `waitid` and asyncio's watchers drop. As a child
subreaper the daemon also inherits orphans of its programs; those have no pidfd and are found when
SIGCHLD says that something ended.
"""

import asyncio
import ctypes
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

from opsvisor.core.outcome import Outcome, Usage
from opsvisor.core.spec import Pid

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_KIBIBYTE = 1024


@dataclass(frozen=True, slots=True)
class Orphan:
    """A process we did not start, inherited from one we did. Read before it was reaped."""

    pid: Pid
    process_group: int
    session: int
    outcome: Outcome
    usage: Usage


OnExit = Callable[[Pid, Outcome, Usage], None]


class Reaper:
    """Watches processes; reports each end exactly once."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        on_exit: OnExit,
        on_orphan: Callable[[Orphan], None],
    ) -> None:
        self._loop = loop
        self._on_exit = on_exit
        self._on_orphan = on_orphan
        self._watched: dict[Pid, OnExit] = {}
        self._pidfds: dict[Pid, int] = {}  # of those watched, unless we had none left
        self._looking = False

    def open(self) -> None:
        """Become the reaper of every descendant."""
        become_subreaper()
        self._loop.add_signal_handler(signal.SIGCHLD, self._something_ended)
        # The loop's socket pair holds some 280 signals, and more children than that can end in one
        # turn: 500 that are stopped together. What doesn't fit is no loss, since the loop is woken
        # by the others; but Python would print a traceback for each, a millisecond apiece.
        signal.set_wakeup_fd(signal.set_wakeup_fd(-1), warn_on_full_buffer=False)

    def close(self) -> None:
        """Stop watching. What is still alive lives on unwatched."""
        self._loop.remove_signal_handler(signal.SIGCHLD)
        for pid in list(self._pidfds):
            self._unwatch(pid)

    def watch(self, pid: Pid, on_exit: OnExit | None = None) -> None:
        """Report the end of this child, to `on_exit` if that is somebody else's.

        OSError if there are no descriptors left. Its end comes by SIGCHLD then.
        """
        self._watched[pid] = on_exit or self._on_exit
        pidfd = os.pidfd_open(pid)
        self._pidfds[pid] = pidfd
        self._loop.add_reader(pidfd, self._ended, pid)

    def _ended(self, pid: Pid) -> None:
        reaped, status, usage = os.wait4(pid, os.WNOHANG)
        if not reaped:
            return  # readable for another reason; it will be again
        on_exit = self._watched.pop(pid)
        self._unwatch(pid)
        on_exit(pid, outcome_of(status), usage_of(usage))

    def _unwatch(self, pid: Pid) -> None:
        pidfd = self._pidfds.pop(pid, None)
        if pidfd is None:
            return
        self._loop.remove_reader(pidfd)
        os.close(pidfd)

    def _something_ended(self) -> None:
        # Our own processes are collected by their pidfds in this very turn of the loop. Looking
        # only after it leaves nothing to find in the usual case, one system call for any number
        # of deaths.
        if not self._looking:
            self._looking = True
            self._loop.call_soon(self._collect_orphans)

    def _collect_orphans(self) -> None:
        self._looking = False
        while (pid := _next_zombie()) is not None:
            if pid in self._watched:
                self._ended(pid)
            else:
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


def outcome_of(status: int) -> Outcome:
    """A wait status in our terms."""
    if os.WIFSIGNALED(status):
        return Outcome(signum=os.WTERMSIG(status), core_dumped=os.WCOREDUMP(status))
    return Outcome(code=os.WEXITSTATUS(status))


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


def _group_and_session(pid: Pid) -> tuple[int, int]:
    """Process group and session of a zombie, (0, 0) if /proc does not tell."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - a fresh Path costs more
            after_name = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0, 0
    return int(after_name[2]), int(after_name[3])
