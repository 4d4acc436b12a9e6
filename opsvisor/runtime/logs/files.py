"""Logs in regular files, and their rotation."""

import errno
import os
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

from opsvisor.core.spec import LogSpec
from opsvisor.runtime.logs.links import Spot, located
from opsvisor.runtime.logs.targets import Tally, Target

_CLOSED = -1


class FileTarget(Target):
    """A log file and its backups `.1` (the newest) to `.N`.

    No file grows beyond the rotation size: a chunk is cut after the last line that fits, and a
    line longer than a whole file is cut hard. Rotation is by rename, so every byte is in exactly
    one file at any moment. It happens when there is something to write that doesn't fit, so the
    newest output is always in the main file. If a rename fails, the file grows on by one rotation
    size before the next attempt.
    """

    def __init__(self, spec: LogSpec, tally: Tally, clock: Callable[[], float]) -> None:
        assert spec.path is not None
        super().__init__(spec.path, tally, clock)
        self._spec = spec
        self._name = spec.path  # the same with symbolic links resolved: they must not be renamed
        self._fd = _CLOSED
        self._size = 0
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
        return self._size

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
            # For what is said if there is no such directory; what is opened is found below.
            self._name = self.path if self._spec.private else os.path.realpath(self.path)
            with self._located(self.path) as spot:
                self._name = spot.path
                self._take(*self._opened(spot))
        except FileNotFoundError as error:
            self._fail("open", error)
            self._failure += f" (create {Path(self._name).parent}: log directories are not made)"
        except (OSError, ValueError) as error:  # ValueError: no file can have such a name
            self._fail("open", error)
        else:
            self._failure = ""
        return self._fd != _CLOSED

    def _located(self, path: str) -> AbstractContextManager[Spot]:
        """Where to open and rename. Not even root's own links lead from a private file's name."""
        if self._spec.private:
            return nullcontext(Spot(folder=None, name=path, path=path))
        return located(path)

    def _opened(self, spot: Spot) -> tuple[int, int]:
        """A descriptor of the file by its name, and its size."""
        mode = 0o600 if self._spec.private else 0o644
        # O_NONBLOCK is for what should not be here, a FIFO: opening that would wait for a reader.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY
        fd = spot.open(flags, mode)
        found = os.fstat(fd)
        if self._spec.private and found.st_uid != os.geteuid():
            # Such a file has a name that can be guessed, in a directory that all may write to.
            os.close(fd)
            raise PermissionError(errno.EPERM, "it belongs to somebody else")
        if stat.S_ISREG(found.st_mode):
            return fd, found.st_size
        os.close(fd)
        raise ValueError("it is no longer a regular file (reopen the logs to use it as it is now)")

    def _take(self, fd: int, size: int) -> None:
        self.close()
        self._fd = fd
        self._size = size
        self._limit = self._spec.rotate_size

    def write(self, chunk: bytes) -> None:
        """Append the chunk, in as many files as it takes."""
        if self._fd == _CLOSED and not (self._may_try() and self.open()):
            self._lose(chunk)
            return
        chunk = self._after_gap(chunk)
        if not self._limit or self._size + len(chunk) <= self._limit:
            self._append(chunk)
        else:
            self._append_rotating(chunk)

    def _append_rotating(self, chunk: bytes) -> None:
        at = 0
        while at < len(chunk):
            if self._fd == _CLOSED:
                self._lose(chunk[at:])
                return
            cut = self._cut(chunk, at)
            if cut == at:
                self._rotate()
            else:
                self._append(chunk[at:cut])
                at = cut

    def _cut(self, chunk: bytes, at: int) -> int:
        """How far the chunk, from `at` on, belongs in the present file; `at` if not at all."""
        room = max(0, self._limit - self._size)
        if not self._limit or len(chunk) - at <= room:
            return len(chunk)
        cut = chunk.rfind(b"\n", at, at + room) + 1
        if cut:
            return cut
        if not self._size:  # longer than a whole file
            return at + room
        if self._rotation_failure and room:  # too large anyway: no reason to cut a line
            return chunk.find(b"\n", at + room) + 1 or len(chunk)
        return at

    def _append(self, chunk: bytes) -> None:
        """One write, as a rule. A short one means a full disk or a limit: the next one says."""
        if not chunk:
            return
        written = 0
        try:
            while written < len(chunk):
                rest = memoryview(chunk)[written:] if written else chunk
                written += os.write(self._fd, rest)
        except OSError as error:
            if written:
                self._mid_line = not chunk.endswith(b"\n", 0, written)
            self._fail("write", error)
            self._lose(chunk[written:])
            self.close()  # to be opened by name: a full file may have been deleted to make room
        else:
            self._size += written
            self._mid_line = not chunk.endswith(b"\n")

    def _rotate(self) -> None:
        """Make room: afterwards the file is another one, or was found to be, or `_limit` moved."""
        try:
            actual = os.fstat(self._fd)
            if actual.st_size < self._size:  # truncated by somebody else (copytruncate)
                self._size = actual.st_size
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
            self._limit = self._size + self._spec.rotate_size
        else:
            self._rotation_failure = ""
            self._tally.rotations += 1

    def _start_afresh(self, spot: Spot) -> None:
        if not self._spec.rotate_keep:
            os.ftruncate(self._fd, 0)
            self._size = 0
            self._limit = self._spec.rotate_size
            return
        shift(spot.name, self._spec.rotate_keep, folder=spot.folder)
        try:
            fd, size = self._opened(spot)
        except (OSError, ValueError) as error:
            _rename(f"{spot.name}.1", spot.name, folder=spot.folder)
            raise error if isinstance(error, OSError) else OSError(0, str(error)) from error
        self._take(fd, size)

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
            self._size = 0
            self._limit = self._spec.rotate_size

    def close(self) -> None:
        """Close the file; its size stays known."""
        if self._fd == _CLOSED:
            return
        self._size = self.size
        fd, self._fd = self._fd, _CLOSED
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
