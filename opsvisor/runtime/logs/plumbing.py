"""What all captures of one daemon have in common, and how bytes leave a pipe only when written.

A daemon that reads a chunk and then writes it has it in its memory alone in between: a SIGKILL
there loses it, and the other order (write, then take it out) doubles it. For a regular file the
kernel has a call that does both at once, splice(2). It moves bytes from a pipe into a file, and
takes out of the pipe exactly what the file system has taken, also when a fatal signal or a full
disk ends it half way. But it shows them to nobody. So a chunk is looked at first: tee(2) puts a
second reference to it into a scratch pipe, from which it is read, while the pipe keeps it.
"""

import ctypes
import errno
import fcntl
import os
from collections.abc import Callable
from contextlib import suppress

from opsvisor.core.struct import Struct, field
from opsvisor.runtime.logs.arrivals import Arrivals
from opsvisor.runtime.logs.pacing import Beats
from opsvisor.runtime.logs.resting import Resting
from opsvisor.runtime.logs.spares import SparePipes

_CLOSED = -1
# Twice what is looked at in one go: the buffers at both ends may be filled in part.
_SCRATCH_SIZE = 1024 * 1024


def _find_tee() -> Callable[[int, int, int, int], int]:
    # PyDLL keeps the interpreter's lock, which costs more to give away and take back than this
    # call takes: it never waits and copies nothing.
    tee: Callable[[int, int, int, int], int] = ctypes.PyDLL(None, use_errno=True).tee
    tee.argtypes = (  # type: ignore[attr-defined]  # of ctypes' function pointers
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_size_t,
        ctypes.c_uint,
    )
    tee.restype = ctypes.c_ssize_t  # type: ignore[attr-defined]  # as above
    return tee


class Scratch:
    """Shows what is next in a pipe without taking it out.

    It exists for as long as somebody holds it, and is empty between two calls: what one pipe has
    left there would be taken for another's.
    """

    def __init__(self) -> None:
        self._holders = 0
        self._reader = self._writer = _CLOSED
        self._tee = _find_tee()

    def hold(self) -> None:
        """Keep what is needed open from the first `peek` on, until `let_go`."""
        self._holders += 1

    def let_go(self) -> None:
        """The counterpart of `hold`."""
        self._holders -= 1
        assert self._holders >= 0
        if not self._holders:
            self._shut()

    def peek(self, pipe: int, limit: int) -> bytes:
        """The next bytes in the pipe, not necessarily all, and at most `limit`.

        Nothing means end of file, or that somebody else has just read them. Raises BlockingIOError
        when there is nothing for now, and another OSError if this can't be looked at: no pipe, no
        tee(2) under some seccomp filter, no descriptor left for the scratch pipe.
        """
        assert self._holders
        try:
            count = self._fill(pipe, limit)
            seen = os.read(self._reader, count)
            while len(seen) < count:  # the program made it a pipe of packets (O_DIRECT, pipe(2))
                seen += os.read(self._reader, count - len(seen))
        except BlockingIOError:
            raise
        except BaseException:  # an interrupt too: whatever is in it now, nobody may see it
            self._shut()
            raise
        return seen

    def _fill(self, pipe: int, limit: int) -> int:
        if self._writer == _CLOSED:
            self._open()
        while (count := self._tee(pipe, self._writer, limit, os.SPLICE_F_NONBLOCK)) < 0:
            code = ctypes.get_errno()
            if code != errno.EINTR:
                raise OSError(code, os.strerror(code))
        return count

    def _open(self) -> None:
        self._reader, self._writer = os.pipe()
        with suppress(OSError):  # beyond fs.pipe-user-pages-soft: it shows less at once then
            fcntl.fcntl(self._writer, fcntl.F_SETPIPE_SZ, _SCRATCH_SIZE)

    def _shut(self) -> None:
        reader, self._reader = self._reader, _CLOSED
        writer, self._writer = self._writer, _CLOSED
        for end in (reader, writer):
            if end != _CLOSED:
                os.close(end)


def discard(pipe: int, count: int) -> None:
    """Take the next `count` bytes out of the pipe, or as many as are there. Never waits."""
    with suppress(OSError):
        while count > 0 and (gone := len(os.read(pipe, count))):
            count -= gone


def move(pipe: int, file: int, count: int) -> tuple[int, OSError | None]:
    """Move the next `count` bytes of the pipe to where the file stands, until all are or an error.

    How many have left the pipe and are in the file, and what kept the rest from it. Less than
    `count` without an error: somebody else has read them.
    """
    moved = 0
    try:
        while moved < count:
            step = os.splice(pipe, file, count - moved, flags=os.SPLICE_F_NONBLOCK)
            if not step:
                break
            moved += step
    except BlockingIOError:
        pass
    except OSError as error:
        return moved, error
    return moved, None


def is_refusal(error: OSError) -> bool:
    """Whether splice(2) is at fault and not the disk: write(2) may do."""
    return error.errno in (errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP)


class OpenFile(Struct, eq=False):
    """A log file that is open, by one or more of our targets.

    `begun` is how long it was when it was opened, `end` how long it is if nobody else writes
    there. `is_ours`: so far nobody else has, and
    splice(2) works. `is_backup`: renamed by a rotation.
    """

    key: tuple[int, int]  # device and inode
    end: int
    begun: int = 0
    is_ours: bool = True
    is_backup: bool = False
    holders: int = 0


class OpenFiles:
    """The log files of this daemon that are open, by what they are: names may change."""

    def __init__(self) -> None:
        self._files: dict[tuple[int, int], OpenFile] = {}

    def hold(self, found: os.stat_result) -> OpenFile:
        """What is known of this file, until as many `let_go`."""
        key = (found.st_dev, found.st_ino)
        file = self._files.setdefault(key, OpenFile(key, found.st_size, found.st_size))
        file.holders += 1
        return file

    def let_go(self, file: OpenFile) -> None:
        """The counterpart of `hold`."""
        file.holders -= 1
        if not file.holders:
            del self._files[file.key]


class Plumbing(Struct, frozen=True):
    """One for all captures of a daemon. Without `spares`, pipes are made when they are needed."""

    arrivals: Arrivals = field(default_factory=Arrivals)
    scratch: Scratch = field(default_factory=Scratch)
    files: OpenFiles = field(default_factory=OpenFiles)
    resting: Resting = field(default_factory=Resting)
    beats: Beats = field(default_factory=Beats)
    spares: SparePipes | None = None
