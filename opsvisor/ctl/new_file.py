"""A file that a command writes in the place of others: whole, and for whom they were.

What is written holds what the others hold, secrets among it. So nobody may read it who could not
read all of them, and whoever could read them all, because they were his or his group's, still can.
"""

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

_KEEP = -1  # what chown(2) leaves as it is


def write(path: Path, text: str, *, like: Sequence[str], is_private: bool, replaces: bool) -> None:
    """Have the whole text at `path`, or what was there before. Raises OSError.

    It is `like` these files in who may read it; what `is_private` is for its owner alone. If it
    `replaces` a file, that one's owner and mode count as far as they are no wider; a link is
    followed, and stays.
    """
    there = None
    if replaces:
        path = Path(os.path.realpath(path))
        with contextlib.suppress(FileNotFoundError):
            there = path.stat()
        if there is not None and not stat.S_ISREG(there.st_mode):
            raise OSError(errno.EINVAL, "Is no regular file")
    sources = [Path(file).stat() for file in like]
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as written:
            written.write(text)
            _hand_over(written.fileno(), sources, there, is_private=is_private)
        if replaces:
            Path(temporary).replace(path)
        else:
            path.hardlink_to(temporary)  # unlike a rename, it fails if somebody was faster
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()


def _hand_over(
    descriptor: int,
    sources: Sequence[os.stat_result],
    there: os.stat_result | None,
    *,
    is_private: bool,
) -> None:
    """Give the file an owner, and then the mode that fits to this one."""
    for uid, gid in _owners(sources, there):
        try:
            os.fchown(descriptor, uid, gid)
        except OSError:  # only root gives away, and others to groups of their own
            continue
        break
    if there is None:
        umask = os.umask(0o077)
        os.umask(umask)
        mode = 0o666 & ~umask
    else:
        mode = stat.S_IMODE(there.st_mode) & 0o666
    now = os.fstat(descriptor)
    for source in sources:
        mode &= _allowed(source, now)
    os.fchmod(descriptor, mode & 0o600 if is_private else mode)


def _owners(
    sources: Sequence[os.stat_result], there: os.stat_result | None
) -> Iterator[tuple[int, int]]:
    """Whose it may be, the best first."""
    if there is not None and all(_may_read(there.st_uid, source) for source in sources):
        yield there.st_uid, there.st_gid
    uids, gids = ({source.st_uid for source in sources}, {source.st_gid for source in sources})
    gid = gids.pop() if len(gids) == 1 else _KEEP
    if len(uids) == 1:
        yield uids.pop(), gid
    yield _KEEP, gid


def _may_read(uid: int, source: os.stat_result) -> bool:
    """Whether this user surely may read a file, in whatever groups it is."""
    return uid in (0, source.st_uid) or bool(source.st_mode & stat.S_IROTH)


def _allowed(source: os.stat_result, now: os.stat_result) -> int:
    """The mode that lets nobody read who may not read the source."""
    owner = source.st_mode & 0o600 if source.st_uid == now.st_uid else 0o600
    group, others = source.st_mode >> 3 & 0o6, source.st_mode & 0o6
    if source.st_gid != now.st_gid:
        group, others = others, others & group  # its group is among the others now
    return owner | group << 3 | others
