"""Logs in regular files, and their rotation.

What a program prints gets here in one of two ways. `pour` moves it from the program's pipe into
the file by splice(2): at any moment each byte is in exactly one of the two, so that a SIGKILL of
the daemon loses nothing and doubles nothing. `write` appends what is in memory already.

splice(2) refuses files that are open with O_APPEND, so it is told to write at the end, which is
looked up right before. Somebody else who appends or truncates in between, some microseconds, would
be overwritten, or leave a hole. Our own targets can't: they all run in one thread. Anybody else is
noticed by the length that the file should have. Then what matters most is not to do such damage:
the file is written to with O_APPEND from then on until it is opened anew, and only then is the
chunk taken out of the pipe. A SIGKILL between these two doubles that chunk. The same goes for file
systems without splice(2), and for files that may only be appended to (chattr +a).

A write that fails half way, as the disk is full, tears a line, and the next one must not run into
it. There is no room for a newline, but there is where the last byte is: that is overwritten with
one, at once, so that nobody needs to know of it any more, not even the daemon after a SIGKILL.
Cutting the piece off would be neater, but a file that becomes shorter is a new one to whoever
follows it (tail -F, shippers of logs), to be read from its beginning once more.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

from opsvisor.core.spec import LogSpec
from opsvisor.runtime.logs.lines import Gap
from opsvisor.runtime.logs.links import Spot, located
from opsvisor.runtime.logs.plumbing import OpenFile, OpenFiles, discard, is_refusal, move
from opsvisor.runtime.logs.targets import Tally, Target
from opsvisor.runtime.logs.times import NOWHERE, Place

_CLOSED = -1
_NO_PIPE = -1
# O_NONBLOCK is for what should not be here, a FIFO: opening that would wait for a reader.
_FLAGS = os.O_WRONLY | os.O_NONBLOCK
_MOVED_AT_ONCE = 256  # files that are renamed in one turn of the loop: some milliseconds


class FileTarget(Target):
    """A log file and its backups `.1` (the newest) to `.N`.

    No file grows beyond the rotation size: a chunk is cut after the last line that fits, and a
    line longer than a whole file is cut hard. Rotation is by rename, so every byte is in exactly
    one file at any moment. It happens when there is something to write that doesn't fit, so the
    newest output is always in the main file. If a rename fails, the file grows on by one rotation
    size before the next attempt.
    """

    __slots__ = (
        "_appends",
        "_fd",
        "_file",
        "_files",
        "_limit",
        "_name",
        "_rotation_failure",
        "_spec",
    )

    def __init__(
        self,
        spec: LogSpec,
        tally: Tally,
        clock: Callable[[], float],
        files: OpenFiles | None = None,
    ) -> None:
        assert spec.path is not None
        super().__init__(spec.path, tally, clock)
        self._spec = spec
        self._name = spec.path  # the same with symbolic links resolved: they must not be renamed
        self._fd = _CLOSED
        self._appends = True  # the descriptor has O_APPEND
        self._files = files or OpenFiles()
        self._file = OpenFile((0, 0), 0)  # what is open, or was last
        self._limit = spec.rotate_size
        self._rotation_failure = ""

    @property
    def problem(self) -> str:
        """What keeps us from writing, or else from rotating."""
        return self._failure or self._rotation_failure

    @property
    def size(self) -> int:
        """Bytes in the main file, also when somebody else truncated it."""
        if self._fd != _CLOSED:
            with suppress(OSError):  # network file systems
                return os.fstat(self._fd).st_size
        return self._file.end

    @property
    def inode(self) -> int:
        """Which file is open, 0 if none is. Asked at each chunk."""
        return 0 if self._fd == _CLOSED else self._file.key[1]

    @property
    def place(self) -> Place:
        """Where what is written next begins, NOWHERE while no file is open."""
        return NOWHERE if self._fd == _CLOSED else Place(self.inode, self.size)

    def at_most(self, size: int) -> int:
        """So much of `size` bytes as can be written without rotations that take long."""
        spec = self._spec
        if not spec.rotate_size or spec.rotate_size >= size:
            return size
        rotations = max(1, _MOVED_AT_ONCE // (spec.rotate_keep + 1))
        return min(size, rotations * spec.rotate_size)

    def in_step(self, size: int) -> int:
        """How much to write next for the file to end at a multiple of `size`, a power of two.

        What is written from there on has its pages in one piece. From anywhere else they are many
        (of 4 KiB, 8, 16 ...), each to be found, counted and given back: 5 % of what a flood costs.
        """
        end = self._file.end
        step = size - end % size
        if end + step != self._limit:
            return step
        # Who writes up to the limit may cut a line there; what goes beyond is cut between lines.
        return size // 2 if step == size else size

    def update(self, spec: LogSpec) -> None:
        """Take over other rotation settings for the same path."""
        assert spec.path == self.path
        self._spec = spec
        self._limit = spec.rotate_size
        self._rotation_failure = ""

    def open(self) -> bool:
        """Open the file, creating it if need be, but never its directory."""
        if self._fd != _CLOSED:
            return True
        try:
            with self._located(self.path) as spot:
                # The same, as a rule, and then one object.
                self._name = self.path if spot.path == self.path else spot.path
                self._take(*self._opened(spot))
        except FileNotFoundError as error:
            self._fail("open", error)
            leads_to = self.path if self._spec.private else os.path.realpath(self.path)
            self._failure += f" (create {Path(leads_to).parent}: log directories are not made)"
        except (OSError, ValueError) as error:  # ValueError: no file can have such a name
            self._fail("open", error)
        else:
            self._failure = ""
        return self._fd != _CLOSED

    def is_open_by_name(self) -> bool:
        """Whether a file is open, and is what its path leads to now.

        One look instead of a walk: a link that must not be followed does no harm where it leads to
        what is open already.
        """
        if self._fd == _CLOSED:
            return False
        try:
            found = os.stat(self.path)  # noqa: PTH116 - asked for every spawn
        except (OSError, ValueError):
            return False
        return (found.st_dev, found.st_ino) == self._file.key

    def _located(self, path: str) -> AbstractContextManager[Spot]:
        """Where to open and rename. Not even root's own links lead from a private file's name."""
        if self._spec.private:
            return nullcontext(Spot(folder=None, name=path, path=path))
        return located(path)

    def _opened(self, spot: Spot) -> tuple[int, os.stat_result]:
        """A descriptor of the file by its name, and what it is."""
        mode = 0o600 if self._spec.private else 0o644
        fd = spot.open(_FLAGS | os.O_APPEND | os.O_CREAT | os.O_NOCTTY, mode)
        found = os.fstat(fd)
        if self._spec.private and found.st_uid != os.geteuid():
            # Such a file has a name that can be guessed, in a directory that all may write to.
            os.close(fd)
            raise PermissionError(errno.EPERM, "it belongs to somebody else")
        if stat.S_ISREG(found.st_mode):
            return fd, found
        os.close(fd)
        raise ValueError("it is no longer a regular file (reopen the logs to use it as it is now)")

    def _take(self, fd: int, found: os.stat_result) -> None:
        self.close()
        self._fd = fd
        self._appends = True
        self._file = self._files.hold(found)
        self._limit = self._spec.rotate_size

    def write(self, chunk: bytes) -> None:
        """Append the chunk, in as many files as it takes."""
        self._put(chunk, _NO_PIPE)

    def pour(self, pipe: int, chunk: bytes) -> None:
        """Move from the pipe what comes next in it, which is this chunk: see `Scratch.peek`.

        All of it is gone from the pipe afterwards, also what could not be written.
        """
        self._put(chunk, pipe)

    def _put(self, chunk: bytes, pipe: int) -> None:
        if self._file.is_backup and self._fd != _CLOSED:  # by another stream with the same file
            self.reopen()
        if self._fd == _CLOSED and not (self._may_try() and self.open()):
            self._drop(chunk, pipe)
            return
        if self._gap is not None and self._gap.is_open:
            chunk = self._resumed(chunk, pipe, self._gap)
        self._put_where_it_fits(chunk, pipe)

    def _resumed(self, chunk: bytes, pipe: int, gap: Gap) -> bytes:
        """What is left of the chunk after a loss; the newline that is owed is written."""
        owed = gap.owes_newline
        resumed = self._after_gap(chunk)
        if pipe == _NO_PIPE:
            return resumed
        text = resumed[1:] if owed else resumed
        if owed and resumed:
            # First, and by itself: it is not in the pipe. After a SIGKILL here there is a line too
            # many rather than two in one.
            self._put_where_it_fits(b"\n", _NO_PIPE)
        discard(pipe, len(chunk) - len(text))
        return text

    def _drop(self, lost: bytes, pipe: int) -> None:
        if pipe != _NO_PIPE:
            discard(pipe, len(lost))
        self._lose(lost)

    def _put_where_it_fits(self, chunk: bytes, pipe: int) -> None:
        if self._fd != _CLOSED and (not self._limit or self._file.end + len(chunk) <= self._limit):
            self._append(chunk, pipe)
            return
        at = 0
        while at < len(chunk):
            if self._fd == _CLOSED:
                self._drop(chunk[at:], pipe)
                return
            cut = self._cut(chunk, at)
            if cut == at:
                self._rotate()
            else:
                self._append(chunk[at:cut], pipe)
                at = cut

    def _cut(self, chunk: bytes, at: int) -> int:
        """How far the chunk, from `at` on, belongs in the present file; `at` if not at all."""
        room = max(0, self._limit - self._file.end)
        if not self._limit or len(chunk) - at <= room:
            return len(chunk)
        cut = chunk.rfind(b"\n", at, at + room) + 1
        if cut:
            return cut
        if not self._file.end:  # longer than a whole file
            return at + room
        if self._rotation_failure and room:  # too large anyway: no reason to cut a line
            return chunk.find(b"\n", at + room) + 1 or len(chunk)
        return at

    def _append(self, chunk: bytes, pipe: int) -> None:
        """One call, as a rule. A short one means a full disk or a limit: the next one says."""
        if not chunk:
            return
        if pipe == _NO_PIPE:
            self._append_from_memory(chunk)
        elif not self._is_at_end():
            self._append_from_memory(chunk)
            discard(pipe, len(chunk))
        else:
            moved, error = move(pipe, self._fd, len(chunk))
            if not moved and error is not None and is_refusal(error):
                self._file.is_ours = False
                self._append(chunk, pipe)
                return
            self._note(chunk, moved, error)
            if error is not None:
                discard(pipe, len(chunk) - moved)

    def _append_from_memory(self, chunk: bytes) -> None:
        self._append_only()
        written = 0
        try:
            while written < len(chunk):
                rest = memoryview(chunk)[written:] if written else chunk
                written += os.write(self._fd, rest)
        except OSError as error:
            self._note(chunk, written, error)
        else:
            self._note(chunk, written, None)

    def _note(self, chunk: bytes, written: int, error: OSError | None) -> None:
        """So much of the chunk is in the file; the rest, because of the error, will never be."""
        self._file.end += written
        if written:
            self._mid_line = not chunk.endswith(b"\n", 0, written)
        if error is not None:
            self._fail("write", error)
            self._lose(chunk[written:])
            if self._mid_line:
                self._end_torn_line(has_begun=not written)
            self.close()  # to be opened by name: a full file may have been deleted to make room

    def _end_torn_line(self, *, has_begun: bool) -> None:
        """Put a newline in place of the last byte, or else it is owed until there is room.

        `has_begun`: what was torn is older than the chunk that failed, so it may be in another
        file, or before what another stream wrote.
        """
        file = self._file
        if has_begun and (file.holders > 1 or file.end <= file.begun):
            return
        if self._gap is None or not self._is_at_end():
            return
        try:
            os.pwrite(self._fd, b"\n", file.end - 1)
        except OSError:  # the disk is broken, or the file system writes nothing in its place
            return
        self._gap.end_line()
        self._mid_line = False

    def _is_at_end(self) -> bool:
        """Whether the next splice(2) appends and harms nobody: otherwise it must not be done."""
        file = self._file
        if not file.is_ours:
            return False
        try:
            if self._appends:
                fcntl.fcntl(self._fd, fcntl.F_SETFL, _FLAGS)  # not for a file with chattr +a
                self._appends = False
            end = os.lseek(self._fd, 0, os.SEEK_END)
        except OSError:
            file.is_ours = False
            return False
        if end != file.end:
            file.is_ours = False
            if end < file.end:  # truncated (copytruncate)
                self._limit = self._spec.rotate_size
            file.end = end
        return file.is_ours

    def _append_only(self) -> None:
        if not self._appends:
            fcntl.fcntl(self._fd, fcntl.F_SETFL, _FLAGS | os.O_APPEND)
            self._appends = True

    def _rotate(self) -> None:
        """Make room: afterwards the file is another one, or was found to be, or `_limit` moved."""
        try:
            actual = os.fstat(self._fd)
            if actual.st_size < self._file.end:  # truncated by somebody else (copytruncate)
                self._file.is_ours = False
                self._file.end = actual.st_size
                self._limit = self._spec.rotate_size
                return
            with self._located(self._name) as spot:
                if not os.path.samestat(actual, spot.stat()):  # renamed by somebody else
                    self.reopen()
                    return
                self._start_afresh(spot)
        except FileNotFoundError:  # removed by somebody else
            self.reopen()
        except OSError as error:
            self._tally.write_errors += 1
            blocked = error.filename2 or error.filename
            where = f" ({Path(self._name).parent / blocked})" if blocked else ""
            self._rotation_failure = f"cannot rotate {self.path}: {error.strerror}{where}"
            self._limit = self._file.end + self._spec.rotate_size
        else:
            self._rotation_failure = ""
            self._tally.rotations += 1

    def _start_afresh(self, spot: Spot) -> None:
        if not self._spec.rotate_keep:
            os.ftruncate(self._fd, 0)
            self._file.end = 0
            self._limit = self._spec.rotate_size
            return
        shift(spot.name, self._spec.rotate_keep, folder=spot.folder)
        try:
            fd, found = self._opened(spot)
        except (OSError, ValueError) as error:
            _rename(f"{spot.name}.1", spot.name, folder=spot.folder)
            raise error if isinstance(error, OSError) else OSError(0, str(error)) from error
        self._file.is_backup = True
        self._take(fd, found)

    def rest(self) -> None:
        """Close the file: a stopped program holds no descriptor and no deleted file's space."""
        self.close()

    def clear(self) -> None:
        """Empty the main file. Backups stay, as with Supervisor."""
        self.reopen()
        if self._fd == _CLOSED:
            return
        try:
            os.ftruncate(self._fd, 0)
        except OSError as error:
            self._fail("clear", error)
        else:
            self._file.end = 0
            self._limit = self._spec.rotate_size

    def close(self) -> None:
        """Close the file; its size stays known."""
        if self._fd == _CLOSED:
            return
        file, self._file = self._file, OpenFile((0, 0), self.size)
        fd, self._fd = self._fd, _CLOSED
        self._files.let_go(file)
        try:
            os.close(fd)
        except OSError as error:  # it is closed all the same; NFS and quotas report late
            self._fail("finish writing", error)


def shift(name: str, keep: int, *, folder: int | None = None) -> None:
    """Rename `name` to `name.1`, that to `name.2` and so on; an existing `name.keep` is replaced.

    Names are relative to the directory open as `folder`, if given. A number that is missing takes
    up the shift, so an attempt that failed half way loses nothing when it is repeated. Raises
    OSError; what was renamed until then stays renamed.
    """
    vacant = next((n for n in range(1, keep) if not _exists(f"{name}.{n}", folder=folder)), keep)
    # Removed rather than replaced: renaming over a file makes ext4 write the new one to disk at
    # once (auto_da_alloc), here, in the loop. It halved the throughput of a rotated flood.
    with suppress(FileNotFoundError):
        os.unlink(f"{name}.{vacant}", dir_fd=folder)
    for n in range(vacant, 1, -1):
        _rename(f"{name}.{n - 1}", f"{name}.{n}", folder=folder)
    _rename(name, f"{name}.1", folder=folder)


def _exists(name: str, *, folder: int | None) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _rename(old: str, new: str, *, folder: int | None) -> None:
    os.rename(old, new, src_dir_fd=folder, dst_dir_fd=folder)
