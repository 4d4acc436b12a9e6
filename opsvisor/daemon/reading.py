"""A configuration in either format, with what the command line says instead of it."""

import functools
import os
import re
import stat
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from opsvisor.api.server import url_of
from opsvisor.config.listening import PATH_HINT, is_too_long
from opsvisor.config.load import Additions, load, native
from opsvisor.config.problems import ConfigError, Place, Problem
from opsvisor.config.settings import DaemonSettings, Loaded, TcpServer, UnixServer
from opsvisor.daemon import overrides

_HINT = "start opsvisord with the path of a file"
_DESCRIPTORS = re.compile(r"/proc/\d+(?:/task/\d+)?/fd")
_LINKS_FOLLOWED = 40  # as many as the kernel does

_Reader = Callable[[Path, Mapping[str, str], bytes | None], Loaded]


class SupervisorFileError(ConfigError):
    """A ConfigError about a file of Supervisor's, whose users know one form of message."""


def unreadable(path: Path) -> str:
    """Why this can't be a configuration file, "" if it may be one."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return f"could not find config file {path}"
    except OSError as error:
        return f"could not read config file {path}: {error.strerror}"
    return f"could not read config file {path}: Is a directory" if stat.S_ISDIR(mode) else ""


def why_read_once(path: Path) -> str:
    """Why what is at this path can be read only once, "" if it can be read again.

    A pipe gives what it has once. And a descriptor of ours may lead elsewhere by the next time,
    even if it leads to a file now: a daemon's standard input becomes /dev/null.
    """
    if not path.is_file():
        return "is no file"
    return "is no file with a path of its own" if _is_descriptor(path) else ""


def _is_descriptor(path: Path) -> bool:
    """Whether this is /dev/stdin, /proc/PID/fd/N or another name of a descriptor, or leads to it.

    /dev/stdin is a link itself, and so are /dev/fd and /proc/self.
    """
    for _ in range(_LINKS_FOLLOWED):
        folder = os.path.realpath(path.parent)
        if _DESCRIPTORS.fullmatch(folder):
            return True
        try:
            path = Path(folder, path.readlink())
        except OSError:  # it is no link
            return False
    return False


def fail_if_read_once(path: Path, why: str) -> None:
    """Raise ConfigError if the configuration at this path can't be read again.

    `why` it can't be was found when it was read first, "" if it could be then. What is read now of
    something that is no file would be nothing, as a rule, which asks for no programs at all.
    """
    if why:
        what = f"the configuration {why}: it was read when opsvisord started, and can't be again"
        raise ConfigError([Problem(Place(str(path)), what, _HINT)])
    if not unreadable(path) and not path.is_file():
        what = "the configuration is no file any more: it is not read again"
        raise ConfigError([Problem(Place(str(path)), what, "put the file back")])


def read_configuration(
    path: Path,
    given: Mapping[str, Any],
    start_directory: Path,
    in_force: DaemonSettings | None = None,
    *,
    runtime: Path | None = None,
) -> Loaded:
    """The configuration at this absolute path. ConfigError if it can't be used.

    `given` are values by their names in [supervisord]. Relative paths in a file of Supervisor's
    begin in `start_directory`, and its programs take over from the settings `in_force`, or else
    from those that are read. `runtime` is the runtime directory of who started the daemon.
    """

    def read_toml(path: Path, environ: Mapping[str, str], raw: bytes | None) -> Loaded:
        options = overrides.options_of_daemon(given)
        additions = Additions(event_kinds=_event_kinds, daemon_options=options, runtime=runtime)
        return overrides.finished(native(path, environ, additions, raw=raw), given)

    readers: dict[str, _Reader] = {".toml": read_toml}
    if path.suffix != ".toml":  # Supervisor's is loaded only for a file that may be one
        from opsvisor.compat.supervisor.config.load import load as load_ini  # noqa: PLC0415

        plain = functools.partial(
            load_ini, start_directory=start_directory, given=given, in_force=in_force
        )
        readers |= dict.fromkeys((".conf", ".ini"), _told_apart(plain))
    return load(path, readers, os.environ)


def _told_apart(read: _Reader) -> _Reader:
    """A reader of Supervisor's files, whose errors can be told from those about ours."""

    def reader(path: Path, environ: Mapping[str, str], raw: bytes | None) -> Loaded:
        try:
            loaded = read(path, environ, raw)
        except ConfigError as error:
            raise SupervisorFileError(error.problems, error.warnings) from error
        # Not where the file is read: opsvisorctl migrate leaves such a server out.
        if problems := [_too_long(path, one) for one in loaded.settings.servers if _is_long(one)]:
            raise SupervisorFileError(problems, loaded.warnings)
        return loaded

    return reader


def _is_long(server: UnixServer | TcpServer) -> bool:
    return isinstance(server, UnixServer) and is_too_long(server.path)


def _too_long(file: Path, server: UnixServer | TcpServer) -> Problem:
    what = f"[{server.name}] has too long a path for a socket: {url_of(server)}"
    return Problem(Place(str(file)), what, PATH_HINT)


def _event_kinds() -> Collection[str]:
    """What event listeners can be told. They speak Supervisor's protocol, and use its words."""
    from opsvisor.compat.supervisor.listeners.names import KINDS  # noqa: PLC0415 - listeners only

    return KINDS
