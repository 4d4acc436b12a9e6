"""The state directory: where one daemon keeps what it needs to survive its own end.

What is in there says which processes are ours and will be signalled, so nobody else may have had a
hand in it: the directory is a real one, belongs to us and can be written by nobody else. It is
used through a descriptor from then on, whatever becomes of its path.

The lock in it is held for the life of the daemon, and by the kernel: it is gone with the daemon,
however that ends. A fork inherits it until it executes something. So whoever has it knows that no
half-made child of a dead daemon is left, which nobody has a record of yet.
"""

import contextlib
import errno
import fcntl
import os
import stat
import time
from pathlib import Path

from opsvisor.core.spec import Pid, UserSpec
from opsvisor.core.struct import Struct
from opsvisor.runtime.clock import stand_still
from opsvisor.runtime.memory.identity import born, is_alive

LOCK = "lock"
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCK_SIZE = 64
_ANOTHER = "or name another one with state_dir, of the daemon's user alone"
_REMOVE = f"remove it, {_ANOTHER}"

# How long a child of a dead daemon may take from its fork to its exec, in seconds; and how often
# it is looked at. Longer than anything but a machine that stands still.
_HALF_MADE = 10.0
_LOOK_AGAIN_AFTER = 0.005


class StateDirectoryError(Exception):
    """The state directory can't be used; says which, why, and what may help."""


class LockedError(StateDirectoryError):
    """Another daemon has the state directory. `pid` 0: it is not known which."""

    def __init__(self, path: Path, pid: int) -> None:
        whose = f"pid {pid}" if pid else "another opsvisord"
        super().__init__(
            f"the state directory {path} is in use by {whose}\n"
            "    hint: end that daemon first (opsvisorctl shutdown), or give each its own with"
            " state_dir"
        )
        self.pid = pid


class Place(Struct, frozen=True, kw_only=True):
    """Where a state directory is to be. `is_chosen`: a user named it, and it stays when empty."""

    path: Path
    is_chosen: bool


class StateDirectory:
    """An open state directory. `path` is for people; what is done goes through `descriptor`."""

    def __init__(self, place: Place, descriptor: int, *, owners: frozenset[int]) -> None:
        self.path = place.path
        self.descriptor = descriptor
        self.owners = owners
        self._is_chosen = place.is_chosen
        self._lock: int | None = None

    @property
    def is_locked(self) -> bool:
        """Whether the lock is ours."""
        return self._lock is not None

    def lock(self) -> None:
        """Take the lock, or keep it. LockedError if another daemon has it."""
        if self._lock is not None:
            return
        giving_up = time.monotonic() + _HALF_MADE
        while (lock := self._try_to_lock()) is None:
            holder, born_at = self._holder()
            if not holder or is_alive(Pid(holder), born_at) or time.monotonic() > giving_up:
                raise LockedError(self.path, holder)
            # The daemon is dead: a child that it had just forked has the lock until its exec.
            stand_still(_LOOK_AGAIN_AFTER)
        self._lock = lock
        self._sign(lock)

    @property
    def lock_descriptor(self) -> int | None:
        """What holds the lock; whoever inherits it has the lock."""
        return self._lock

    def keep_lock(self, descriptor: int) -> None:
        """Have the lock by a descriptor that was inherited."""
        assert self._lock is None
        os.set_inheritable(descriptor, False)
        self._lock = descriptor

    def release(self, *, is_over: bool) -> None:
        """Let go of everything; if nothing is to be remembered, leave nothing behind either."""
        if is_over and self._lock is not None:
            with contextlib.suppress(OSError):
                os.unlink(LOCK, dir_fd=self.descriptor)
            if not self._is_chosen:
                with contextlib.suppress(OSError):  # not empty: then somebody needs it
                    os.rmdir(self.path)  # noqa: PTH106
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _try_to_lock(self) -> int | None:
        """The descriptor that holds the lock, None if somebody else has it. Or an error."""
        while True:
            try:
                lock = os.open(LOCK, _OPEN_LOCK, 0o600, dir_fd=self.descriptor)
            except OSError as error:
                if error.errno == errno.ELOOP:
                    link = f"{self.path / LOCK} is a symbolic link"
                    raise StateDirectoryError(_told(self.path, link, _REMOVE)) from error
                raise _refusal(self.path, "cannot be locked", error) from error
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_there(lock, self.descriptor):
                    return lock
            except BlockingIOError:
                os.close(lock)
                return None
            except OSError as error:
                os.close(lock)
                raise _refusal(self.path, "cannot be locked", error) from error
            os.close(lock)  # whoever had it has removed the file: it is another one by now

    def _holder(self) -> tuple[int, int]:
        """Who says to have the lock, and when it was born: (0, 0) if nobody does."""
        try:
            lock = os.open(
                LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.descriptor
            )
        except OSError:
            return 0, 0
        try:
            words = os.read(lock, _LOCK_SIZE).split()
            return int(words[0]), int(words[1])
        except (OSError, ValueError, IndexError):
            return 0, 0
        finally:
            os.close(lock)

    @staticmethod
    def _sign(lock: int) -> None:
        pid = Pid(os.getpid())
        with contextlib.suppress(OSError):  # a full disk: it is held all the same
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{pid} {born(pid) or 0}\n".encode(), 0)


def open_state_directory(place: Place, user: UserSpec | None = None) -> StateDirectory:
    """Make the directory unless it is there, see that it is ours alone, and open it.

    `user` is who the daemon is going to be: it is given to them. Raises StateDirectoryError.
    """
    owners = frozenset({os.geteuid()} if user is None else {os.geteuid(), user.uid})
    path = place.path
    if not place.is_chosen:
        _make(path.parent, path)
        if user is not None and user.uid != os.geteuid():
            _let_through(path.parent)
        if problem := _why_not(path.parent, owners | {0}):
            raise StateDirectoryError(_told(path, *problem))
    _make(path, path)
    try:
        descriptor = os.open(path, _OPEN_DIRECTORY)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            what = "is a symbolic link" if path.is_symlink() else "is not a directory"
            raise StateDirectoryError(_told(path, f"{path} {what}", _REMOVE)) from error
        raise _refusal(path, "cannot be opened", error) from error
    found = os.fstat(descriptor)
    # In a directory like /tmp others can't remove what is ours, but be there first.
    if problem := _wrong_with(found, path, owners) or _open_to_others(found, path):
        os.close(descriptor)
        raise StateDirectoryError(_told(path, *problem))
    if user is not None and os.geteuid() == 0:
        try:
            os.fchown(descriptor, user.uid, user.gid)
        except OSError as error:
            os.close(descriptor)
            raise _refusal(path, "cannot be given away", error) from error
    return StateDirectory(place, descriptor, owners=owners)


def _make(folder: Path, path: Path) -> None:
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass  # what is there is judged next
    except OSError as error:
        raise _refusal(path, "cannot be made", error) from error


def _let_through(folder: Path) -> None:
    """Let who we become reach what is theirs in there, without seeing what else there is."""
    with contextlib.suppress(OSError):
        found = folder.stat()
        if found.st_uid == os.geteuid():
            folder.chmod(stat.S_IMODE(found.st_mode) | stat.S_IXGRP | stat.S_IXOTH)


def _why_not(folder: Path, owners: frozenset[int]) -> tuple[str, str] | None:
    """What is wrong with the directory that the state directory is in, and what to do."""
    try:
        if folder.is_symlink() and folder.lstat().st_uid not in owners:
            return f"{folder} is a symbolic link that somebody else has made", _REMOVE
        found = folder.stat()
    except OSError as error:
        return f"{folder}: {error.strerror}", _REMOVE
    problem = _wrong_with(found, folder, owners)
    if problem is None and not found.st_mode & stat.S_ISVTX:
        problem = _open_to_others(found, folder)
    return problem


def _wrong_with(
    found: os.stat_result, path: Path, owners: frozenset[int]
) -> tuple[str, str] | None:
    if not stat.S_ISDIR(found.st_mode):
        return f"{path} is not a directory", _REMOVE
    if found.st_uid not in owners:
        return f"{path} belongs to another user (uid {found.st_uid})", _REMOVE
    return None


def _open_to_others(found: os.stat_result, path: Path) -> tuple[str, str] | None:
    if not found.st_mode & _OTHERS_WRITE:
        return None
    # Not to be removed: after a crash it is needed.
    problem = f"others may write to {path} (mode {stat.S_IMODE(found.st_mode):04o})"
    return problem, f"if you trust what is in it: chmod go-w {path}; {_ANOTHER}"


def _is_there(lock: int, folder: int) -> bool:
    try:
        there = os.stat(LOCK, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(lock), there)


def _told(path: Path, problem: str, hint: str) -> str:
    return f"the state directory {path} cannot be trusted: {problem}\n    hint: {hint}"


def _refusal(path: Path, what: str, error: OSError) -> StateDirectoryError:
    return StateDirectoryError(
        f"the state directory {path} {what}: {error.strerror}\n"
        "    hint: name a directory that the daemon may write to with state_dir, best on a tmpfs"
    )
