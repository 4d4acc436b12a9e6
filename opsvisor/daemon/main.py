"""The command line of opsvisord: find and check the configuration, then serve."""

import asyncio
import errno
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from opsvisor import __version__
from opsvisor.api.passed import PassedSockets
from opsvisor.api.server import BindError
from opsvisor.config.problems import ConfigError, OpsvisorError
from opsvisor.config.search import (
    absolute,
    current_directory,
    default_paths,
    find,
    runtime_dir,
    warning_about,
)
from opsvisor.config.settings import DaemonSettings, Dialect, Loaded
from opsvisor.daemon import allocator
from opsvisor.daemon.check import check_take_over
from opsvisor.daemon.flags import BadFlags, Flags, help_text, parse
from opsvisor.daemon.footing import Footing, footing_for, runtime_told
from opsvisor.daemon.garbage import LongLived
from opsvisor.daemon.hand_over import HandOver, HandOverError, announced
from opsvisor.daemon.host import (
    Background,
    become,
    fail_without_null,
    is_first_process,
    keep_descriptors_from_children,
    make_room_for_socket,
    raise_limits,
    return_to,
)
from opsvisor.daemon.invocation import Invocation, this_invocation
from opsvisor.daemon.own_signals import FIRST_WANTED, HELD
from opsvisor.daemon.reading import (
    SupervisorFileError,
    fail_if_read_once,
    read_configuration,
    unreadable,
    why_read_once,
)
from opsvisor.daemon.service import Service
from opsvisor.daemon.succession import Successor
from opsvisor.runtime import signals
from opsvisor.runtime.notify import Notifier
from opsvisor.runtime.workers import new_loop

EXIT_OK = 0
EXIT_UNUSABLE = 2  # usage, configuration, or a place that is taken: what Supervisor exits with

# Seconds for which a thread may keep the interpreter while the loop waits for it. Python's own
# 5 ms were what the loop waited each time that a sweep over /proc put its trees together.
_SWITCH_INTERVAL = 0.001


def main(argv: Sequence[str] | None = None) -> int:
    """Run opsvisord; gives its exit status.

    0 after a shutdown, 2 if it could not start, that of a program that ended it (`on_fatal`,
    `on_exit`).
    """
    try:
        flags = parse(sys.argv[1:] if argv is None else argv)
    except BadFlags as error:
        return _fail(str(error))
    try:
        hand_over = _hand_over(flags)
    except HandOverError as error:
        return _fail(str(error))
    if flags.info:
        known = {"help": help_text(sys.argv[0]), "version": f"{__version__}\n"}
        sys.stdout.write(known[flags.info])
        return EXIT_OK
    # Where we are now: a daemon leaves it, and a file that is reread must mean the same as before.
    start_directory = current_directory() if hand_over is None else Path(hand_over.directory)
    found = Path(flags.config_file) if flags.config_file is not None else find(sys.argv[0])
    if found is None:
        tried = ", ".join(str(p) for p in default_paths(sys.argv[0]))
        return _fail(
            f"No config file found at default paths ({tried}); use the -c option to specify a"
            " config file at a different path"
        )
    problem = unreadable(found)
    if problem:
        return _fail(problem)
    path = absolute(found) if hand_over is None else start_directory / found
    # Before we become somebody else: who has another one.
    told = None if hand_over is None else runtime_told(hand_over, str(path), os.environ)
    runtime = told or runtime_dir()
    if advice := warning_about(path, given=flags.config_file is not None):
        sys.stderr.write(f"warning: {advice}\n")

    why_once = why_read_once(path)
    if why_once and hand_over is not None:
        return _fail(f"config file {path} {why_once}: it was read by the daemon that runs")

    def read(in_force: DaemonSettings | None = None) -> Loaded:
        return read_configuration(path, flags.settings, start_directory, in_force, runtime=runtime)

    def reread(in_force: DaemonSettings | None = None) -> Loaded:
        fail_if_read_once(path, why_once)
        return read(in_force)

    try:
        loaded = read()
    except ConfigError as error:
        return _report_problems(error)
    if flags.only_check:
        return _report_check(path, loaded)
    if flags.check_hand_over is not None and hand_over is not None:
        return _check_take_over(hand_over, loaded, runtime)
    invocation = this_invocation(str(start_directory), str(runtime))
    return _serve(loaded, reread, invocation, hand_over)


def _hand_over(flags: Flags) -> HandOver | None:
    """What another process has handed to this one, to be checked or to be taken."""
    announced_at = announced(os.environ)
    if flags.check_hand_over is not None:
        return HandOver.read(flags.check_hand_over)
    return None if announced_at is None else HandOver.read(announced_at)


def _check_take_over(hand_over: HandOver, loaded: Loaded, runtime: Path) -> int:
    """Say whether this version could take over, and which it is."""
    try:
        check_take_over(hand_over, loaded, runtime)
    except OpsvisorError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_UNUSABLE
    sys.stdout.write(f'{{"version": "{__version__}"}}\n')
    return EXIT_OK


def _serve(
    loaded: Loaded,
    read: Callable[[DaemonSettings | None], Loaded],
    invocation: Invocation,
    hand_over: HandOver | None,
) -> int:
    """Be the daemon, through any number of reloads."""
    allocator.keep_little()
    background = Background()
    # Before a fork: both are for the process that was started.
    notifier, passed = Notifier.of(os.environ), PassedSockets.take(os.environ)
    footing: Footing | None = None
    try:
        if hand_over is not None:
            signals.postpone({*HELD, *loaded.settings.forward_signals})
            return_to(hand_over.descriptors.get("directory"))
        elif loaded.settings.daemonize and not is_first_process():  # a container ends with that
            background.enter(notifier.main_pid)
        elif loaded.settings.umask is not None:
            os.umask(loaded.settings.umask)
        if is_first_process():
            signals.postpone(FIRST_WANTED)  # blocked since before our imports
        signals.reset_inherited()
        keep_descriptors_from_children()
        exit_status = EXIT_OK
        following: Successor | None = Successor(loaded, {}, hand_over=hand_over)
        sys.setswitchinterval(_SWITCH_INTERVAL)
        long_lived = LongLived()
        long_lived.set_aside()
        while following is not None:
            try:
                runtime = Path(invocation.runtime)
                footing = footing_for(following.loaded, footing, runtime)  # perhaps still as root
                done = _prepare_host(following.loaded, runtime)
                service = Service(
                    following,
                    read,
                    background,
                    done,
                    notifier=notifier,
                    passed=passed,
                    footing=footing,
                    invocation=invocation,
                )
                with long_lived.kept_aside(), asyncio.Runner(loop_factory=new_loop) as runner:
                    ended = runner.run(service.run())
            except OpsvisorError as error:
                # What reading and trying could not show. With nobody to start them again, all
                # programs would stay down.
                following = following.instead(error)
                continue
            following = ended
            exit_status = service.parts.ending.exit_status
            if following is None and not service.parts.ending.is_leaving:
                footing.release()
    except OpsvisorError as error:
        if footing is not None and hand_over is None:
            footing.release()  # what an earlier daemon has left there stays
        message = _usage(_as_supervisor_says(error, loaded.settings))
        if not background.failed(message):
            sys.stderr.write(message)
        return EXIT_UNUSABLE
    return exit_status


def _prepare_host(loaded: Loaded, runtime: Path) -> list[str]:
    """Make this process what a configuration asks for; lines for the log. Or HostError."""
    settings = loaded.settings
    fail_without_null()
    raised = raise_limits(settings, loaded.plan)
    if settings.user is None:
        return raised
    if settings.supervisor_interfaces:
        # Now: the user that we become may not be allowed to read where they are installed.
        import opsvisor.compat.supervisor.edge  # noqa: F401, PLC0415 - only where they are wanted
    make_room_for_socket(settings, runtime)
    become(settings.user)
    return [f"Set uid to user {settings.user.uid} succeeded", *raised]


def _as_supervisor_says(error: OpsvisorError, settings: DaemonSettings) -> str:
    """Why a server can't listen begins with a sentence that scripts know, if they are about us."""
    if settings.dialect is not Dialect.SUPERVISOR or not isinstance(error, BindError):
        return str(error)
    if error.errno == errno.EADDRINUSE:
        known = (
            "Another program is already listening on a port that one of our HTTP servers is"
            " configured to use.  Shut this program down first before starting supervisord."
        )
    else:
        name = errno.errorcode.get(error.errno or 0)
        number = f"errno.{name} ({error.errno})" if name else str(error.errno)
        known = f"Cannot open an HTTP server: socket.error reported {number}"
    return f"{known}\n    {error}"


def _report_problems(error: ConfigError) -> int:
    for warning in error.warnings:
        sys.stderr.write(f"warning: {warning}\n")
    sys.stderr.write(f"{error}\n")
    count = len(error.problems)
    summary = f"{count} problem{'s' if count > 1 else ''} in the configuration"
    if isinstance(error, SupervisorFileError):
        return _fail(error.problems[0].what if count == 1 else summary)
    sys.stderr.write(f"Error: {summary}\n")
    return EXIT_UNUSABLE


def _report_check(path: Path, loaded: Loaded) -> int:
    processes = loaded.plan.specs().values()
    programs = {spec.program for spec in processes}
    for warning in loaded.warnings:
        sys.stdout.write(f"warning: {warning}\n")
    counts = [(len(programs), "program", "s"), (len(processes), "process", "es")]
    told = ", ".join(f"{n} {noun}{'' if n == 1 else plural}" for n, noun, plural in counts)
    sys.stdout.write(f"{path}: ok, {told}\n")
    return EXIT_OK


def _fail(message: str) -> int:
    sys.stderr.write(_usage(message))
    return EXIT_UNUSABLE


def _usage(message: str) -> str:
    """The form in which supervisord says that it won't start."""
    return f"Error: {message}\nFor help, use {sys.argv[0]} -h\n"
