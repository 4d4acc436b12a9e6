"""Where opsvisor looks for its configuration and its socket.

Imports nothing heavy, because opsvisorctl asks too.
"""

import os
import stat
from collections.abc import Collection, Mapping
from pathlib import Path

_SOCKET = "opsvisor.sock"
_NATIVE_HERE = Path("opsvisor.toml")
_SUPERVISORS_HERE = (Path("supervisord.conf"), Path("etc/supervisord.conf"))
_UID_LENGTH = len(str(2**32))
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def current_directory() -> Path:
    """The current directory. If it was removed: as it was called, and nothing is found there."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path(str(Path("/proc/self/cwd").readlink()).removesuffix(" (deleted)"))


def absolute(path: Path) -> Path:
    """This path from the root on, also where the current directory was removed.

    Then no `..` leads out of it by its name, as the kernel goes from what was removed.
    """
    try:
        return path.absolute()
    except FileNotFoundError:
        return Path(os.path.normpath(current_directory() / path))


def default_paths(argv0: str) -> list[Path]:
    """Where a configuration is looked for, best first: ours, then Supervisor's own list.

    `argv0` is the path the program was started by; Supervisor looks beside its `bin` directory.
    """
    prefix = Path(argv0).parent.parent
    return [
        _NATIVE_HERE,
        Path("/etc/opsvisor/opsvisor.toml"),
        Path("/etc/opsvisor.toml"),
        prefix / "etc/supervisord.conf",
        prefix / "supervisord.conf",
        *_SUPERVISORS_HERE,
        Path("/etc/supervisord.conf"),
        Path("/etc/supervisor/supervisord.conf"),
    ]


def find(argv0: str) -> Path | None:
    """The first of the default paths that is there, whether or not it can be read."""
    # Not Path.is_file: it raises where a directory on the way can't be entered.
    return next((path for path in default_paths(argv0) if os.path.isfile(path)), None)  # noqa: PTH113 - see above


def warning_about(path: Path, *, given: bool) -> str:
    """What root should know about a configuration that was found and not `given` with -c.

    "" unless it was found relative to the current directory: there it is anybody's who may write
    there, and it says what root runs. Supervisor warns as well. `path` may have been made absolute
    since, but the current directory must still be the one it was found in.
    """
    if given or os.geteuid() != 0 or not _is_here(path):
        return ""
    return (
        f"opsvisord is running as root and found its configuration {path} in the current directory"
        " (one of the default locations); name the file that is meant with -c and its absolute"
        " path, or whoever can write to that directory decides what root runs"
    )


def _is_here(path: Path) -> bool:
    if not path.is_absolute():
        return True
    try:
        return path in {here.absolute() for here in (_NATIVE_HERE, *_SUPERVISORS_HERE)}
    except FileNotFoundError:  # the current directory was removed
        return False


# Root's runtime directory.
OF_ROOT = Path("/run/opsvisor")


def runtime_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Where sockets live until the next boot. It isn't created here."""
    if os.geteuid() == 0:
        return OF_ROOT
    # What is relative is to be ignored, says the XDG base directory specification.
    if (own := Path(environ.get("XDG_RUNTIME_DIR", ""))).is_absolute():
        return own / "opsvisor"
    # Not tempfile.gettempdir(): it writes a test file, and its imports cost opsvisorctl 5 ms.
    given = Path(environ.get("TMPDIR", ""))
    base = given if given.is_absolute() else Path("/tmp")  # noqa: S108 - the user is in the name
    return base / f"opsvisor-{os.geteuid()}"


def default_socket(environ: Mapping[str, str] = os.environ) -> Path:
    """The socket of a daemon whose configuration names no server."""
    return runtime_dir(environ) / _SOCKET


def socket_of_user(uid: int, runtime: Path) -> Path:
    """The socket of a daemon whose configuration names no server, but a user.

    `runtime` is that of who starts it. Where that is root, the daemon can't make a socket there,
    nor remove it: it has a directory there, which root makes (daemon/host.py).
    """
    if runtime != OF_ROOT or uid == 0:
        return runtime / _SOCKET
    return runtime / f"user-{uid}" / _SOCKET


def untrusted(socket: Path) -> str:
    """Why not to use this socket: what is wrong with its directory; "" if it is ours or not there.

    Only default sockets are judged: ours, and those in root's runtime directory of users whom its
    daemons become. Their names can be guessed, and where one is below /tmp anybody could have made
    the directory before us, to answer in the daemon's place or to open its socket to others.
    Raises OSError if the directory can't be looked at.
    """
    folder = socket.parent
    if socket == default_socket():
        return _distrust_there(folder, {os.geteuid()})
    uid = folder.name.removeprefix("user-")
    # A number this long is nobody's, and int() reads none of more than 4300 digits.
    is_uid = uid.isdecimal() and len(uid) <= _UID_LENGTH
    if not is_uid or socket != socket_of_user(int(uid), OF_ROOT):
        return ""
    return _distrust_there(OF_ROOT, {0}) or _distrust_there(folder, {0, int(uid)})


def _distrust_there(folder: Path, owners: Collection[int]) -> str:
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return ""
    return distrust(found, folder, owners)


def distrust(found: os.stat_result, folder: Path, owners: Collection[int]) -> str:
    """What is wrong with a directory that only these `owners` may have a hand in; or "".

    `found` is of the directory itself, not of what a link in its place leads to.
    """
    if stat.S_ISLNK(found.st_mode):
        return f"{folder} is a symbolic link"
    if not stat.S_ISDIR(found.st_mode):
        return f"{folder} is not a directory"
    if found.st_uid not in owners:
        return f"{folder} belongs to another user (uid {found.st_uid})"
    if found.st_mode & _OTHERS_WRITE:
        return f"others may write to {folder} (mode {stat.S_IMODE(found.st_mode):04o})"
    return ""


# What to do where a directory is `untrusted`: that of our own default socket, or another one.
UNTRUSTED_HINT = (
    "remove it if you don't know what it is for, or set XDG_RUNTIME_DIR to a directory of your own"
)
UNTRUSTED_OF_USER_HINT = (
    "remove it if you don't know what it is for, or name a socket elsewhere (unix in [server])"
)
