"""A configuration in either format, with what the command line says instead of it."""

import functools
import os
import stat
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NoReturn

from opsvisor.api.server import url_of
from opsvisor.config.listening import PATH_HINT, is_too_long
from opsvisor.config.load import Additions, load, native
from opsvisor.config.problems import ConfigError, Place, Problem
from opsvisor.config.settings import DaemonSettings, Loaded, TcpServer, UnixServer
from opsvisor.daemon import overrides

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


def refuse_to_reread(path: Path, _: DaemonSettings | None = None) -> NoReturn:
    """Raise ConfigError: this was a pipe, or something else that gives what it has once.

    What is read of it afterwards would be nothing, which asks for no programs at all.
    """
    what = "the configuration is no file: it was read when opsvisord started, and can't be again"
    raise ConfigError([Problem(Place(str(path)), what, "start opsvisord with a file")])


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
