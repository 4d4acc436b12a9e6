"""Fork and exec: the only module that creates processes.

Theory of operation
-------------------
There are three ways, by what must be set between fork and exec:

- Nothing but its streams and its group or session: `os.posix_spawn`. Less than half the price of
  the next one in the daemon (26 against 63 us of CPU), and most programs need no more.
- A working directory, a umask, another user: `subprocess.Popen` without `preexec_fn`. With another
  user it falls back from vfork to fork (2.3 ms instead of 0.7).
- Limits, nice and oom_score_adj need code of ours there: those programs go through launch.py, by
  one of the other two.

The first two share the daemon's memory with the child until it executes (vfork), block all signals
around that, and reset handlers and the signal mask in the child before exec: a SIGTERM sent the
instant after a spawn finds the default action, it can't be swallowed by a handler of ours. What
Python ignores (SIGPIPE, SIGXFSZ) is restored; what the daemon itself inherited as ignored is reset
when it starts (daemon.py). Both return only when exec has succeeded or failed, so a command that
can't be executed is an error here and not a child that dies.

Descriptors are not closed one by one: all of the daemon's are close-on-exec, and a child that
lists /proc/self/fd of a daemon with thousands of them would take milliseconds for nothing.
"""

import errno
import json
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from opsvisor.core.outcome import SpawnFaultKind
from opsvisor.core.spec import Pid, ProcessSpec, UserSpec
from opsvisor.core.struct import Struct
from opsvisor.runtime.signals import PYTHON_IGNORES

_LAST_STREAM = 2
_RESERVE = 8  # descriptors
_make_in_group = partial(os.posix_spawn, setsigdef=PYTHON_IGNORES, setpgroup=0)
_make_in_session = partial(os.posix_spawn, setsigdef=PYTHON_IGNORES, setsid=True)
_LAUNCHER = str(Path(__file__).with_name("launch.py"))
_FALLBACK_PATH = "/bin:/usr/bin:/usr/local/bin"  # what Supervisor searches without PATH


class SpawnError(Exception):
    """A process could not be made. `reason` is in Supervisor's words where it has any."""

    def __init__(self, reason: str, kind: SpawnFaultKind = SpawnFaultKind.OTHER) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind


class ChildFiles(Struct, frozen=True):
    """The descriptors a child gets as 0, 1 and 2. `own`: those to be closed here afterwards."""

    stdin: int
    stdout: int
    stderr: int
    own: tuple[int, ...] = ()

    def close(self) -> None:
        """Leave the child's own ends to the child."""
        for descriptor in self.own:
            os.close(descriptor)


def spawn(
    spec: ProcessSpec,
    files: ChildFiles,
    base_environment: Mapping[str, str],
    *,
    cgroup: str | None = None,
) -> Pid:
    """Start the process in a process group (or session) of its own. SpawnError if it can't be.

    `cgroup` is the folder of one that it enters before its program begins.
    """
    environment = spec.environment_over(base_environment)
    is_limited = spec.rlimits or cgroup or spec.nice is not None or spec.oom_score_adj is not None
    # Of a path that is given the kernel says whether it can be executed. Not so by the launcher.
    executable = None if is_limited else _given_path(spec)
    if executable is None:
        executable = find_executable(spec, environment)
    user = identity_to_take(spec)
    way = _Way(executable, spec.argv, environment)
    if is_limited:
        command = _launcher_command(spec, executable, environment, user, cgroup)
        way = _Way(sys.executable, command, environment)
        user = working_dir = None  # the launcher sees to them
    else:
        working_dir = spec.working_dir
    is_plain = user is None and working_dir is None and spec.umask is None
    try:
        _leave_some(files)
        # With other numbers no stream takes another's place before that was handed on.
        if is_plain and min(files.stdin, files.stdout, files.stderr) > _LAST_STREAM:
            return _posix_spawned(spec, files, way)
        return _popened(spec, files, way, user=user, working_dir=working_dir)
    except OSError as error:
        problem = _problem_of(executable)
        raise problem or SpawnError(_reason(spec, executable, error), _kind(error)) from error
    except (ValueError, OverflowError, subprocess.SubprocessError) as error:
        problem = _problem_of(executable)
        raise problem or SpawnError(f"cannot start '{spec.id}': {error}") from error


def _leave_some(files: ChildFiles) -> None:
    """Don't make a process with the last descriptors: somebody will ask us what is the matter.

    The kernel gives the lowest number that is free.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if max(files.stdin, files.stdout, files.stderr) >= soft - _RESERVE:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


class _Way(Struct, frozen=True):
    """What is executed to become the program."""

    executable: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]


def _posix_spawned(spec: ProcessSpec, files: ChildFiles, way: _Way) -> Pid:
    make = _make_in_session if spec.new_session else _make_in_group
    pid = make(
        way.executable,
        way.argv,
        way.environment,
        file_actions=(
            (os.POSIX_SPAWN_DUP2, files.stdin, 0),
            (os.POSIX_SPAWN_DUP2, files.stdout, 1),
            (os.POSIX_SPAWN_DUP2, files.stderr, 2),
        ),
    )
    return Pid(pid)


def _popened(
    spec: ProcessSpec,
    files: ChildFiles,
    way: _Way,
    *,
    user: UserSpec | None,
    working_dir: str | None,
) -> Pid:
    child = subprocess.Popen(
        way.argv,
        executable=way.executable,
        stdin=files.stdin,
        stdout=files.stdout,
        stderr=files.stderr,
        cwd=working_dir,
        env=way.environment,
        close_fds=False,
        umask=-1 if spec.umask is None else spec.umask,
        start_new_session=spec.new_session,
        process_group=None if spec.new_session else 0,
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=user.groups if user else None,
    )
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
    problem = SpawnError(f"can't find command '{word}'", SpawnFaultKind.NO_FILE)
    for candidate in _candidates(word, spec.working_dir or ".", environment):
        if not _is_there(candidate):
            continue
        found = _problem_of(candidate)
        if found is None:
            return _seen_from_anywhere(candidate)
        if found.kind is SpawnFaultKind.NOT_EXECUTABLE and problem.kind is SpawnFaultKind.NO_FILE:
            problem = found
    raise problem


def _candidates(word: str, start: str, environment: Mapping[str, str]) -> Iterator[str]:
    """What is executed if it can be, the first of these."""
    if "/" in word:
        yield os.path.join(start, word)  # noqa: PTH118 - keeps ./ and // as written
        return
    for folder in environment.get("PATH", _FALLBACK_PATH).split(":"):
        if folder.startswith("/"):  # as `join` would, which takes ten times as long
            yield f"{folder}{word}" if folder.endswith("/") else f"{folder}/{word}"
        elif folder:
            yield os.path.join(start, folder, word)  # noqa: PTH118 - as above


def _is_there(path: str) -> bool:
    """Asked of most of PATH in vain at every spawn, so without an error that is caught."""
    try:
        return os.access(path, os.F_OK)
    except ValueError:  # a NUL inside, which no file name has
        return False


def _given_path(spec: ProcessSpec) -> str | None:
    """The path of the executable, if nothing has to be looked for."""
    is_given = spec.argv and spec.argv[0].startswith("/") and not spec.command_problem
    return spec.argv[0] if is_given else None


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
    if stat.S_ISDIR(mode):
        return SpawnError(f"command at '{path}' is a directory", kind)
    if not mode & 0o111:
        return SpawnError(f"command at '{path}' is not executable", kind)
    if not os.access(path, os.X_OK):
        return SpawnError(f"no permission to run command '{path}'", kind)
    return None


def _launcher_command(
    spec: ProcessSpec,
    executable: str,
    environment: Mapping[str, str],
    user: UserSpec | None,
    cgroup: str | None,
) -> tuple[str, ...]:
    wanted = {
        "cgroup": cgroup,
        "rlimits": [(limit.name, limit.soft, limit.hard) for limit in spec.rlimits],
        "nice": spec.nice,
        "oom_score_adj": spec.oom_score_adj,
        "user": (user.uid, user.gid, user.groups) if user else None,
        "working_dir": spec.working_dir,
        "executable": executable,
        "lc_ctype": environment.get("LC_CTYPE"),
    }
    return (sys.executable, "-I", "-S", _LAUNCHER, json.dumps(wanted), *spec.argv)


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
