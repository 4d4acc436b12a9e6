"""The command line of opsvisord: find and check the configuration, then serve."""

import argparse
import asyncio
import dataclasses
import functools
import gc
import os
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from opsvisor import __version__
from opsvisor.config.load import load
from opsvisor.config.problems import ConfigError, OpsvisorError
from opsvisor.config.search import default_paths, find, warning_about
from opsvisor.config.settings import DaemonSettings, Loaded, LogLevel
from opsvisor.daemon.host import (
    Background,
    become,
    have_standard_streams,
    keep_descriptors_from_children,
    raise_limits,
)
from opsvisor.daemon.service import Service, Successor
from opsvisor.runtime import signals

EXIT_OK = 0
EXIT_UNUSABLE = 2  # usage, configuration, or a place that is taken: what Supervisor exits with


def main(argv: Sequence[str] | None = None) -> int:
    """Run opsvisord; gives its exit status: 0 after a shutdown, 2 if it could not start."""
    arguments = _parser().parse_args(argv)
    # Where we are now: a daemon leaves it, and a file that is reread must mean the same as before.
    start_directory = Path.cwd()
    checked = arguments.check if isinstance(arguments.check, str) else None
    path = _config_path(checked or arguments.configuration)
    if path is None:
        tried = ", ".join(str(p) for p in default_paths(sys.argv[0]))
        return _fail(
            f"No config file found at default paths ({tried}); use the -c option to specify a"
            " config file at a different path"
        )
    problem = _unreadable(path)
    if problem:
        return _fail(problem)
    given = checked is not None or arguments.configuration is not None
    if advice := warning_about(path, given=given):
        sys.stderr.write(f"warning: {advice}\n")

    def read() -> Loaded:
        return _read(path, arguments, start_directory)

    try:
        loaded = read()
    except ConfigError as error:
        return _report_problems(error)
    if arguments.check:
        return _report_check(path, loaded)
    return _serve(loaded, read)


def _serve(loaded: Loaded, read: Callable[[], Loaded]) -> int:
    """Be the daemon, through any number of reloads."""
    have_standard_streams()
    background = Background()
    try:
        if loaded.settings.daemonize:
            background.enter()
        elif loaded.settings.umask is not None:
            os.umask(loaded.settings.umask)
        signals.reset_inherited()
        keep_descriptors_from_children()
        following: Successor | None = Successor(loaded, {})
        while following is not None:
            settings = following.loaded.settings
            raise_limits(settings, len(following.loaded.plan.specs()))
            if settings.user is not None:
                become(settings.user)
            following = asyncio.run(Service(following, read, background).run())
    except OpsvisorError as error:
        background.failed(f"Error: {error}\n")
        return _fail(str(error))
    gc.freeze()  # the interpreter need not look for cycles at its end: 100 ms of every stop
    return EXIT_OK


def _config_path(given: str | None) -> Path | None:
    """An absolute path, so that a later change of directory doesn't change what is reread."""
    path = Path(given) if given is not None else find(sys.argv[0])
    return path.absolute() if path is not None else None


def _unreadable(path: Path) -> str:
    """Why this can't be a configuration file, "" if it may be one."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return f"could not find config file {path}"
    except OSError as error:
        return f"could not read config file {path}: {error.strerror}"
    return f"could not read config file {path}: Is a directory" if stat.S_ISDIR(mode) else ""


def _read(path: Path, arguments: argparse.Namespace, start_directory: Path) -> Loaded:
    loaded = load(path, _frontends(path, start_directory), os.environ)
    settings = _override(loaded.settings, arguments, start_directory)
    return dataclasses.replace(loaded, settings=settings)


def _frontends(
    path: Path, start_directory: Path
) -> Mapping[str, Callable[[Path, Mapping[str, str]], Loaded]]:
    """The formats besides our own. Supervisor's is loaded only for a file that may be one."""
    if path.suffix == ".toml":
        return {}
    from opsvisor.compat.supervisor.config.load import load as load_ini  # noqa: PLC0415 - see above

    frontend = functools.partial(load_ini, start_directory=start_directory)
    return {".conf": frontend, ".ini": frontend}


def _override(
    settings: DaemonSettings, arguments: argparse.Namespace, start_directory: Path
) -> DaemonSettings:
    """The settings with what the command line says instead."""
    if arguments.nodaemon:
        # Supervisor changes umask and directory in the background only.
        settings = dataclasses.replace(
            settings, daemonize=False, echo_log=True, umask=None, working_dir=None
        )
    if arguments.silent:
        settings = dataclasses.replace(settings, echo_log=False)
    if arguments.loglevel:
        settings = dataclasses.replace(settings, log_level=LogLevel(arguments.loglevel))
    if arguments.logfile:
        log = dataclasses.replace(settings.log, path=str(start_directory / arguments.logfile))
        settings = dataclasses.replace(settings, log=log)
    if arguments.pidfile:
        settings = dataclasses.replace(settings, pid_file=str(start_directory / arguments.pidfile))
    if arguments.identifier:
        settings = dataclasses.replace(settings, identifier=arguments.identifier)
    return settings


def _report_problems(error: ConfigError) -> int:
    for warning in error.warnings:
        sys.stderr.write(f"warning: {warning}\n")
    count = len(error.problems)
    plural = "s" if count > 1 else ""
    sys.stderr.write(f"{error}\nError: {count} problem{plural} in the configuration\n")
    return EXIT_UNUSABLE


def _report_check(path: Path, loaded: Loaded) -> int:
    processes = loaded.plan.specs().values()
    programs = {spec.program for spec in processes}
    for warning in loaded.warnings:
        sys.stdout.write(f"warning: {warning}\n")
    sys.stdout.write(f"{path}: ok, {len(programs)} programs, {len(processes)} processes\n")
    return EXIT_OK


def _fail(message: str) -> int:
    sys.stderr.write(f"Error: {message}\nFor help, use {sys.argv[0]} -h\n")
    return EXIT_UNUSABLE


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> "None":  # type: ignore[override]  # it exits, as the original
        sys.exit(_fail(message))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="opsvisord",
        description="Keep programs running: start, restart, log, explain, measure.",
        epilog="Exit status: 0 after a shutdown or a good --check, 2 if it could not start.",
    )
    add = parser.add_argument
    add("-c", "--configuration", metavar="FILE", help="opsvisor.toml, or a Supervisor file")
    add(
        "-t",
        "--check",
        nargs="?",
        const=True,
        default=False,
        metavar="FILE",
        help="check the configuration, start nothing",
    )
    add("-n", "--nodaemon", action="store_true", help="stay in the foreground")
    add("-s", "--silent", action="store_true", help="no copy of the log on standard output")
    add("-l", "--logfile", metavar="FILE", help="the daemon's own log")
    add("-e", "--loglevel", choices=[level.value for level in LogLevel], help="how much it says")
    add("-j", "--pidfile", metavar="FILE", help="where to write the process id")
    add("-i", "--identifier", metavar="NAME", help="name of this daemon")
    add("-v", "--version", action="version", version=__version__)
    return parser
