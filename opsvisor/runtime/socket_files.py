"""The file of a unix socket: who is behind it, and whose it shall be."""

import os
import socket
import stat
from enum import Enum, auto
from pathlib import Path


class Occupant(Enum):
    """What is at a path where somebody wants to listen."""

    NOBODY = auto()
    STALE = auto()  # a socket that nobody listens on any more: a daemon that was killed leaves it
    LISTENER = auto()
    UNREACHABLE = auto()  # a socket that we may not connect to: nobody can say
    OTHER_FILE = auto()  # no socket


def occupant_of(path: str, *, follow_symlinks: bool = False) -> Occupant:
    """Who is there now. A link is an OTHER_FILE, as bind(2) sees it, unless it is followed.

    One that is followed to nothing is NOBODY. OSError if it can't be told.
    """
    try:
        mode = Path(path).stat(follow_symlinks=follow_symlinks).st_mode
    except FileNotFoundError:
        return Occupant.NOBODY
    if not stat.S_ISSOCK(mode):
        return Occupant.OTHER_FILE
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # to a full backlog a connection would wait, for ever maybe
        try:
            probe.connect(path)
        except FileNotFoundError:
            return Occupant.NOBODY
        except ConnectionRefusedError:
            return Occupant.STALE
        except PermissionError:
            return Occupant.UNREACHABLE
        except OSError:  # full, or of another type: somebody is there
            pass
    return Occupant.LISTENER


def bind_privately(listener: socket.socket, path: str) -> None:
    """Bind a unix socket. Until `permit`, nobody else may have its file. OSError."""
    umask = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(umask)


def permit(path: str, *, mode: int, owner: tuple[int, int] | None, file: os.stat_result) -> None:
    """Give the file of a socket its owner and mode. OSError if it isn't `file` any more.

    Through a descriptor: its folder may not be ours alone, and what somebody puts in its place
    meanwhile must not get them.
    """
    try:
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise FileExistsError(0, "somebody has removed it (stop all that use it)") from None
    try:
        if not os.path.samestat(os.fstat(descriptor), file):
            raise FileExistsError(0, "somebody has put another file in its place")
        by_descriptor = Path(f"/proc/self/fd/{descriptor}")
        if owner is not None:
            os.chown(by_descriptor, *owner)
        by_descriptor.chmod(mode)
    finally:
        os.close(descriptor)
