"""What a pidfd still knows of a process that is not our child.

Only a parent can wait for a process. Of any other, the kernel tells how it ended in two places:

- /proc/PID/stat of the zombie, as long as nobody has reaped it, if we may look (field 52);
- the pidfd itself, once it was reaped (PIDFD_GET_INFO with PIDFD_INFO_EXIT, Linux 6.15), even if
  that was long ago and the pid is somebody else's by now.

Between the two lies no gap: the kernel notes the status on the pidfd before it takes the pid out
of /proc. On older kernels what has been reaped by somebody else is over, and no more is known.
"""

import fcntl
import os
import select
import struct
import time
from typing import NamedTuple

from opsvisor.core.outcome import Outcome, Usage
from opsvisor.core.spec import Pid
from opsvisor.core.struct import Struct
from opsvisor.runtime.proctree import STAT_SIZE, read_file

# linux/pidfd.h: _IOWR(0xFF, 11, struct pidfd_info), of which we know the first 64 bytes.
_PIDFD_GET_INFO = 3 << 30 | 64 << 16 | 0xFF << 8 | 11
_PIDFD_INFO_EXIT = 1 << 3
_INFO = struct.Struct("<Q52xi")  # the mask, and the wait status

_TICKS = os.sysconf("SC_CLK_TCK")
_TICK_LENGTH = 10**9 // _TICKS  # nanoseconds


class End(Struct, frozen=True):
    """How a process that isn't our child ended, as far as anybody can tell."""

    outcome: Outcome
    usage: Usage


UNKNOWN = End(Outcome(), Usage())


def outcome_of(status: int) -> Outcome:
    """A wait status in our terms."""
    if os.WIFSIGNALED(status):
        return Outcome(signum=os.WTERMSIG(status), core_dumped=os.WCOREDUMP(status))
    return Outcome(code=os.WEXITSTATUS(status))


def has_ended(pidfd: int) -> bool:
    """Whether the process is over, reaped or not."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def is_of(pidfd: int, pid: Pid) -> bool:
    """Whether this descriptor is a pidfd, of this process or of one that has been reaped."""
    try:
        with open(f"/proc/self/fdinfo/{pidfd}", "rb") as file:  # noqa: PTH123 - a Path costs more
            lines = file.read().splitlines()
    except OSError:
        return False
    numbers = [int(line[4:]) for line in lines if line.startswith(b"Pid:")]
    return numbers in ([pid], [-1])


def status_of_reaped(pidfd: int) -> int | None:
    """The wait status of a process that was reaped, None if it wasn't or the kernel is too old."""
    answer = bytearray(_INFO.pack(_PIDFD_INFO_EXIT, 0))
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, answer)
    except OSError:  # ENOTTY and EINVAL before 6.13; ESRCH until 6.15
        return None
    mask, status = _INFO.unpack(answer)
    return status if mask & _PIDFD_INFO_EXIT else None


def end_of(pid: Pid, pidfd: int, *, born: int) -> End | None:
    """How a process ended that was born in this tick, None if that can still become known.

    It can while the process lives, and while it is a zombie that we may not look at. Not for our
    own children, who are to be waited for.
    """
    if not has_ended(pidfd):
        return None
    zombie = zombie_of(pid)
    status = status_of_reaped(pidfd)  # after the look: it may have been reaped meanwhile
    is_it = zombie is not None and zombie.born == born
    if status is not None:
        return End(outcome_of(status), zombie.usage if zombie and is_it else Usage())
    if zombie is None or not is_it:
        return UNKNOWN  # reaped, on a kernel that keeps nothing
    return End(outcome_of(zombie.status), zombie.usage) if zombie.status is not None else None


class Zombie(NamedTuple):
    """A process that has ended and was not reaped. `status` None: not for us to see."""

    born: int
    status: int | None
    usage: Usage


def zombie_of(pid: Pid) -> Zombie | None:
    """What /proc tells of a zombie, None if there is none with this number."""
    # Asked first: if it is gone in between, nothing is taken for a status that was none.
    may_look = _may_look_at(pid)
    fields = _stat(pid)
    if fields is None or fields[0] != b"Z":
        return None
    usage = Usage(
        user_seconds=int(fields[11]) / _TICKS,
        system_seconds=int(fields[12]) / _TICKS,
        major_faults=int(fields[9]),
    )
    # Who may not see the status is shown 0, which is also what success looks like.
    return Zombie(int(fields[19]), int(fields[49]) if may_look else None, usage)


def birth_of(pid: Pid) -> int | None:
    """The clock tick after boot in which this process began, be it a zombie by now; else None."""
    fields = _stat(pid)
    return None if fields is None else int(fields[19])


def this_tick() -> int:
    """A tick of the same clock: what is made from now on is born in it, or later."""
    # The kernel cuts off what is left of a tick, and so do we; a float may be a little more.
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // _TICK_LENGTH


class Births:
    """In which ticks processes of ours are born: told by the clock, as /proc takes 20 us to ask.

    What is made in 0.3 ms is made within one tick nearly always, and then that tick is known. Else
    /proc is asked; and always if it does not agree with the clock, since then somebody has put
    another one before that of the kernel (libfaketime).
    """

    def __init__(self) -> None:
        self._is_clock_true: bool | None = None  # None: nobody has looked yet

    def of(self, pid: Pid, since: int) -> int:
        """In which tick this process was born, not before tick `since`. 0: it is gone."""
        now = this_tick()
        if self._is_clock_true and now == since:
            return now
        born = birth_of(pid) or 0
        if born and self._is_clock_true is not False:
            self._is_clock_true = since <= born <= now
        return born


def _stat(pid: Pid) -> list[bytes] | None:
    """Fields of /proc/PID/stat from the third on: numbers of proc(5), less 3."""
    try:  # for every spawn, and a file object costs twice as much
        line = read_file(f"/proc/{pid}/stat", STAT_SIZE)
    except OSError:
        return None
    return line.rpartition(b") ")[2].split() or None


def _may_look_at(pid: Pid) -> bool:
    """Whether the kernel lets us see what is private in /proc/PID/stat (ptrace(2), "READ").

    Links of /proc/PID ask for the same permission first. Only then do they find that a zombie has
    no directory any more.
    """
    try:
        os.readlink(f"/proc/{pid}/cwd")  # noqa: PTH115 - a Path costs more
    except PermissionError:
        return False
    except OSError:
        return True
    return True
