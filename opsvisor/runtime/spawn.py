"""Fork and exec: the only module that creates processes.

Theory of operation
-------------------
`subprocess.Popen` without `preexec_fn` uses vfork, blocks all signals around it, and resets
handlers and the signal mask in the child before exec: a SIGTERM sent the instant after a spawn
finds the default action, it can't be swallowed by a handler of ours. What Python ignores (SIGPIPE,
SIGXFSZ) is restored by `restore_signals`; what the daemon itself inherited as ignored is reset
when it starts (daemon.py). Popen returns only when exec has succeeded or failed, so a command that
can't be executed is an error here and not a child that dies.

`close_fds` stays off: every descriptor of the daemon is close-on-exec, and a child that lists
/proc/self/fd of a daemon with thousands of them would take milliseconds for nothing.

With another user Popen falls back to fork (2.3 ms instead of 0.7). Limits, nice and oom_score_adj
need code between fork and exec: those programs go through launch.py.
"""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from opsvisor.core.outcome import SpawnFaultKind
from opsvisor.core.spec import Pid, ProcessSpec, UserSpec

_LAUNCHER = str(Path(__file__).with_name("launch.py"))
_FALLBACK_PATH = "/bin:/usr/bin:/usr/local/bin"  # what Supervisor searches without PATH


class SpawnError(Exception):
    """A process could not be made. `reason` is in Supervisor's words where it has any."""

    def __init__(self, reason: str, kind: SpawnFaultKind = SpawnFaultKind.OTHER) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind


@dataclass(frozen=True, slots=True)
class ChildFiles:
    """The descriptors a child gets as 0, 1 and 2. They stay open here; the caller closes them."""

    stdin: int
    stdout: int
    stderr: int


def spawn(spec: ProcessSpec, files: ChildFiles, base_environment: Mapping[str, str]) -> Pid:
    """Start the process in a process group (or session) of its own. SpawnError if it can't be."""
    environment = spec.environment_over(base_environment)
    executable = find_executable(spec, environment)
    needs_launcher = bool(spec.rlimits) or spec.nice is not None or spec.oom_score_adj is not None
    user = identity_to_take(spec)
    try:
        child = subprocess.Popen(
            _launcher_command(spec, executable, environment, user)
            if needs_launcher
            else spec.argv,
            executable=sys.executable if needs_launcher else executable,
            stdin=files.stdin,
            stdout=files.stdout,
            stderr=files.stderr,
            cwd=None if needs_launcher else spec.working_dir,
            env=environment,
            close_fds=False,
            umask=-1 if spec.umask is None else spec.umask,
            start_new_session=spec.new_session,
            process_group=None if spec.new_session else 0,
            user=user.uid if user and not needs_launcher else None,
            group=user.gid if user and not needs_launcher else None,
            extra_groups=user.groups if user and not needs_launcher else None,
        )
    except OSError as error:
        raise SpawnError(_reason(spec, executable, error), _kind(error)) from error
    except (ValueError, OverflowError, subprocess.SubprocessError) as error:
        raise SpawnError(f"cannot start '{spec.id}': {error}") from error
    # The reaper collects the status. Told that it is known, Popen never waits for it behind our
    # back, and does not warn that a process is still running.
    child.returncode = 0
    return Pid(child.pid)


def find_executable(spec: ProcessSpec, environment: Mapping[str, str]) -> str:
    """The path to execute for this spec: PATH of the process's own environment is searched.

    SpawnError, in Supervisor's words, if there is none. A name with a slash is relative to the
    working directory of the process, where exec will look for it.
    """
    if spec.command_problem:
        raise SpawnError(spec.command_problem, SpawnFaultKind.NOT_EXECUTABLE)
    if not spec.argv:
        raise SpawnError("command is empty", SpawnFaultKind.NOT_EXECUTABLE)
    word = spec.argv[0]
    start = spec.working_dir or "."
    if "/" in word:
        candidates = [os.path.join(start, word)]  # noqa: PTH118 - keeps ./ and // as written
    else:
        path = environment.get("PATH", _FALLBACK_PATH)
        candidates = [os.path.join(start, d, word) for d in path.split(":") if d]  # noqa: PTH118
    problem = SpawnError(f"can't find command '{word}'", SpawnFaultKind.NO_FILE)
    for candidate in candidates:
        found = _problem_of(candidate)
        if found is None:
            return _seen_from_anywhere(candidate)
        if found.kind is SpawnFaultKind.NOT_EXECUTABLE and problem.kind is SpawnFaultKind.NO_FILE:
            problem = found
    raise problem


def identity_to_take(spec: ProcessSpec) -> UserSpec | None:
    """The user to become, None if that is who we are. SpawnError if only root could."""
    user = spec.user
    if user is None or os.geteuid() == 0:
        return user
    if user.uid == os.geteuid():
        return None
    raise SpawnError(f"couldn't setuid to {user.uid}: Can't drop privilege as nonroot user")


def _seen_from_anywhere(path: str) -> str:
    """The path as it must be written for a child that changes to its own directory first."""
    if path.startswith("/"):
        return path
    try:
        here = os.getcwd()  # noqa: PTH109 - called for every spawn
    except OSError as error:
        raise SpawnError(f"can't find command '{path}': no current directory") from error
    # Not abspath: it takes `link/..` for nothing, where the kernel follows the link.
    return os.path.join(here, path)  # noqa: PTH118 - keeps ./ and // as written


def _problem_of(path: str) -> SpawnError | None:
    """Why this file can't be executed, None if it can."""
    kind = SpawnFaultKind.NOT_EXECUTABLE
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - called for every spawn
    except (OSError, ValueError):  # ValueError: a NUL inside, which no file name has
        return SpawnError(f"can't find command '{path}'", SpawnFaultKind.NO_FILE)
    if os.path.isdir(path):  # noqa: PTH112
        return SpawnError(f"command at '{path}' is a directory", kind)
    if not mode & 0o111:
        return SpawnError(f"command at '{path}' is not executable", kind)
    if not os.access(path, os.X_OK):
        return SpawnError(f"no permission to run command '{path}'", kind)
    return None


def _launcher_command(
    spec: ProcessSpec, executable: str, environment: Mapping[str, str], user: UserSpec | None
) -> list[str]:
    wanted = {
        "rlimits": [(limit.name, limit.soft, limit.hard) for limit in spec.rlimits],
        "nice": spec.nice,
        "oom_score_adj": spec.oom_score_adj,
        "user": (user.uid, user.gid, user.groups) if user else None,
        "working_dir": spec.working_dir,
        "executable": executable,
        "lc_ctype": environment.get("LC_CTYPE"),
    }
    return [sys.executable, "-I", "-S", _LAUNCHER, json.dumps(wanted), *spec.argv]


def _reason(spec: ProcessSpec, executable: str, error: OSError) -> str:
    name = errno.errorcode.get(error.errno or 0, str(error))
    if spec.working_dir is not None and error.filename == spec.working_dir:
        return f"couldn't chdir to {spec.working_dir}: {name}"
    if spec.user is not None and error.errno == errno.EPERM and error.filename is None:
        # Only what fails at the exec itself names a file. Root in a container may lack CAP_SETUID.
        return f"couldn't setuid to {spec.user.uid}: {name}"
    match error.errno:
        case errno.EAGAIN:
            return f"Too many processes in process table to spawn '{spec.id.name}'"
        case errno.EMFILE | errno.ENFILE:
            return f"too many open files to spawn '{spec.id.name}'"
        case errno.ENOEXEC:
            return f"couldn't exec {executable}: {name} (no #! line, or another machine's format)"
        case _:
            return f"couldn't exec {executable}: {name}"


def _kind(error: OSError) -> SpawnFaultKind:
    if error.errno in (errno.EACCES, errno.ENOEXEC):
        return SpawnFaultKind.NOT_EXECUTABLE
    return SpawnFaultKind.OTHER
