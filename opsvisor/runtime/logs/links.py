"""Where the path of a log leads, and which symbolic links root follows on the way.

A program that owns the directory of its log can put a link to any file there, at any time. If we
may write to that file only because we are root, then so may the program, through us. So as root a
link is followed only where nobody but root can have made it: the link and the directory that holds
it belong to root, and nobody else may write there (not even with the sticky bit). That goes for
every link on the way, not just the last one: the name of a log is enough to do harm in a directory
such as /etc/logrotate.d.

Checking a path and then using it would leave time to change it in between. Therefore the way is
walked with a descriptor of each directory, and what is done there is done relative to the last.
Without root's rights a link leads to nothing that its maker gains by, and is followed as ever.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from opsvisor.core.struct import Struct

_LINKS_FOLLOWED = 40  # as many as the kernel does, path_resolution(7)
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Spot(Struct, frozen=True, kw_only=True):
    """What a path leads to: `name`, in the directory open as `folder` unless that is None.

    `path` is the same in full, for people. `is_magic`: one of those links of /proc that lead to
    something without a name, such as a pipe, and so have to be opened through the link.
    """

    folder: int | None
    name: str
    path: str
    is_magic: bool = False

    def open(self, flags: int, mode: int = 0o600) -> int:
        """Open it, and not a link that was put in its place meanwhile. Raises OSError."""
        nofollow = 0 if self.is_magic else os.O_NOFOLLOW
        return os.open(self.name, flags | nofollow, mode, dir_fd=self.folder)

    def stat(self) -> os.stat_result:
        """What is there now; a link that was put in its place is a link. Raises OSError."""
        return os.stat(self.name, dir_fd=self.folder, follow_symlinks=self.is_magic)


@contextmanager
def located(path: str) -> Iterator[Spot]:
    """Follow the path to the last link; its directory stays open for as long as the block lasts.

    What it leads to need not exist, but its directory must. Raises OSError, ELOOP with all that
    there is to say about it for a link that root doesn't follow; ValueError for a NUL.
    """
    if os.geteuid() != 0:
        yield _by_name(path)
        return
    spot = _walk(path)
    assert spot.folder is not None
    try:
        yield spot
    finally:
        os.close(spot.folder)


def read_link(path: str) -> str:
    """Where this link leads. Raises OSError, also if it must not be followed; ValueError."""
    where = Path(path)
    folder = os.open(where.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _followed(folder, where.name, path)
    finally:
        os.close(folder)


def _by_name(path: str) -> Spot:
    real = os.path.realpath(path)
    if Path(path).exists() and not os.path.lexists(real):
        return Spot(folder=None, name=path, path=path, is_magic=True)
    return Spot(folder=None, name=real, path=real)


def _walk(path: str) -> Spot:
    ahead = _parts(path if path.startswith("/") else f"{Path.cwd()}/{path}")
    folder, at = os.open("/", _DIRECTORY), "/"
    links = 0
    try:
        while ahead:
            part = ahead.pop()
            here = f"{'' if at == '/' else at}/{part}"
            # As a rule it is a directory, and no link: opening it is enough to know.
            entered = _directory(folder, part) if ahead else None
            if entered is not None:
                os.close(folder)
                folder, at = entered, _after(at, part, here)
                continue
            target = _target(folder, part, here)
            if target is None and not ahead:
                return Spot(folder=folder, name=part, path=here)
            if target is None:
                folder, at = _entered(folder, part, here), _after(at, part, here)
                continue
            if not ahead and _is_magic(folder, target):
                return Spot(folder=folder, name=part, path=here, is_magic=True)
            links = _counted(links, here)
            if target.startswith("/"):
                folder, at = _entered(folder, "/", "/"), "/"
            ahead += _parts(target)
    except BaseException:
        os.close(folder)
        raise
    return Spot(folder=folder, name=".", path=at)  # a link to a directory


def _directory(folder: int, part: str) -> int | None:
    """A descriptor of this directory, None if it is a link or can't be entered."""
    try:
        return os.open(part, _DIRECTORY, dir_fd=folder)
    except OSError:
        return None


def _counted(links: int, here: str) -> int:
    """One link more. OSError if that makes too many: they may lead in a circle."""
    if links == _LINKS_FOLLOWED:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), here)
    return links + 1


def _parts(path: str) -> list[str]:
    """The names in a path, the first one last."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _after(at: str, part: str, here: str) -> str:
    return str(Path(at).parent) if part == ".." else here  # `at` holds no links


def _entered(folder: int, part: str, here: str) -> int:
    """A descriptor of the directory, in exchange for that of the one before."""
    try:
        entered = os.open(part, _DIRECTORY, dir_fd=folder)
    except OSError as error:
        error.filename = here
        raise
    os.close(folder)
    return entered


def _target(folder: int, name: str, path: str) -> str | None:
    """Where the link leads, None for what is no link or not there."""
    try:
        return _followed(folder, name, path)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.EINVAL:  # readlink(2): not a link
            return None
        raise


def _followed(folder: int, name: str, path: str) -> str:
    # Read first, judged after: in a directory where only root may write, nobody can have changed
    # the link in between.
    target = os.readlink(name, dir_fd=folder)
    if os.geteuid() == 0:
        holder, link = os.fstat(folder), os.stat(name, dir_fd=folder, follow_symlinks=False)
        if holder.st_uid or holder.st_mode & _OTHERS_WRITE or link.st_uid:
            raise OSError(
                errno.ELOOP,
                f"{path} is a symbolic link in a directory of another user: not followed"
                " (configure the path it leads to, or give the link and its directory to root and"
                " let nobody else write there)",
            )
    return target


def _is_magic(folder: int, target: str) -> bool:
    """Whether this is `pipe:[4711]` or the like, and not the name of a file."""
    if target.startswith("/"):
        return False
    try:
        return os.fstat(folder).st_dev == Path("/proc").stat().st_dev
    except FileNotFoundError:
        return False
