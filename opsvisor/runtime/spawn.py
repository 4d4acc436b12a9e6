"""Fork and exec: the only module that creates programs' processes.

Theory of operation
-------------------
There are three ways, by what must be set between fork and exec:

- Nothing but its streams and its group or session: `os.posix_spawn`. Less than half the price of
  the next one in the daemon (26 against 63 us of CPU), and many programs need no more.
- A working directory or a umask: `subprocess.Popen` without `preexec_fn`.
- Another user, limits, nice, oom_score_adj, a cgroup: a fork, by a fork server where there is one
  (forkserver/).

The first two share the daemon's memory with the child until it executes (vfork). All three block
all signals around that, or have no handlers, and reset handlers and the signal mask in the child
before exec: a SIGTERM sent the instant after a spawn finds the default action, it can't be
swallowed by a handler of ours. What Python ignores (SIGPIPE, SIGXFSZ) is restored; what the daemon
itself inherited as ignored is reset when it starts (daemon.py). All end only when exec has
succeeded or failed: a command that can't be executed is an error here and not a child that dies.
The last one is in two parts, so that the loop can do something else between them.

Descriptors are not closed one by one: all of the daemon's are close-on-exec, and a child that
lists /proc/self/fd of a daemon with thousands of them would take milliseconds for nothing. But the
kernel closes them one by one: from _CROWDED on that costs more than a fork server, which has none.
"""

import errno
import os
import resource
import stat
import subprocess
from collections.abc import Iterator, Mapping
from functools import partial

from opsvisor.core.outcome import SpawnFaultKind
from opsvisor.core.spec import Pid, ProcessSpec, ResourceLimit, UserSpec
from opsvisor.core.struct import Struct
from opsvisor.runtime.forkserver import (
    Birth,
    ForkServer,
    NotBornError,
    Order,
    fork_here,
    serve,
)
from opsvisor.runtime.signals import PYTHON_IGNORES

_LAST_STREAM = 2
_RESERVE = 8  # descriptors
_CROWDED = 8000  # descriptors
_FAILURES = (NotBornError, OSError, ValueError, OverflowError, subprocess.SubprocessError)
_make_in_group = partial(os.posix_spawn, setsigdef=PYTHON_IGNORES, setpgroup=0)
_make_in_session = partial(os.posix_spawn, setsigdef=PYTHON_IGNORES, setsid=True)
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


def expect(forks: ForkServer, spec: ProcessSpec, files: ChildFiles, cgroup: str | None) -> None:
    """Have the fork server started that `begin` is about to need, if so. See its `expect`."""
    if is_crowded(files):
        forks.expect(for_good=True)
    elif _is_limited(spec, cgroup) or (spec.user is not None and _must_change_to(spec.user)):
        forks.expect()


def is_made_here(spec: ProcessSpec) -> bool:
    """Whether `begin` makes this process by itself, without a fork.

    If it enters no cgroup, and there are not so many descriptors that it `is_crowded`.
    """
    if _is_limited(spec, None):
        return False
    return spec.user is None or not _must_change_to(spec.user)


class Begun(Struct, frozen=True):
    """A process that was ordered: its program has not begun, as far as we know."""

    spec: ProcessSpec
    executable: str
    birth: Birth

    def finish(self) -> Pid:
        """Wait until its program begins. SpawnError if it doesn't."""
        try:
            return self.birth.finish()
        except _FAILURES as error:
            raise _spawn_error(self.spec, self.executable, error) from error


def begin(
    spec: ProcessSpec,
    files: ChildFiles,
    base_environment: Mapping[str, str],
    *,
    cgroup: str | None = None,
    forks: ForkServer | None = None,
) -> Pid | Begun:
    """Start the process in a process group (or session) of its own. SpawnError if it can't be.

    Where it is forked nobody has waited for its program yet, and the files stay open until that
    is finished. `cgroup` is the folder of one that it enters before its program begins. Without a
    fork server (`forks`) what needs a fork is forked here.
    """
    way = _way_of(spec, base_environment)
    user = identity_to_take(spec)
    try:
        _leave_some(files)
        if user is not None or _is_limited(spec, cgroup):
            return _forked(spec, files, way, user=user, cgroup=cgroup, forks=forks)
        if forks is not None and is_crowded(files) and forks.is_ready:
            return _forked(spec, files, way, user=None, cgroup=None, forks=forks)
        return _made_here(spec, files, way)
    except _FAILURES as error:
        raise _spawn_error(spec, way.executable, error) from error


def begin_here(spec: ProcessSpec, files: ChildFiles, base_environment: Mapping[str, str]) -> Pid:
    """As `begin`, for what `is_made_here` and somebody waits for; with the last descriptors, too.

    Its program may have begun already.
    """
    way = _way_of(spec, base_environment)
    try:
        return _made_here(spec, files, way)
    except _FAILURES as error:
        raise _spawn_error(spec, way.executable, error) from error


def _is_limited(spec: ProcessSpec, cgroup: str | None) -> bool:
    """Whether something has to be set, besides its user, that a fork of ours is needed for."""
    has_own = spec.nice is not None or spec.oom_score_adj is not None
    return has_own or bool(spec.rlimits or cgroup)


def is_crowded(files: ChildFiles) -> bool:
    """Whether there are so many descriptors that a process is better made by whoever has few.

    The kernel gives the lowest number that is free.
    """
    return _highest(files) >= _CROWDED


def _leave_some(files: ChildFiles) -> None:
    """Don't make a process with the last descriptors: somebody will ask us what is the matter."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _highest(files) >= soft - _RESERVE:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def _highest(files: ChildFiles) -> int:
    # Of what was opened for it: /dev/null was once, when there were more or fewer.
    return max(files.stdout, files.stderr, *files.own)


class _Way(Struct, frozen=True):
    """What is executed to become the program."""

    executable: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]


def _way_of(spec: ProcessSpec, base_environment: Mapping[str, str]) -> _Way:
    environment = spec.environment_over(base_environment)
    executable = _given_path(spec)  # of one that is given the kernel says whether it is executable
    if executable is None:
        executable = find_executable(spec, environment)
    return _Way(executable, spec.argv, environment)


def _made_here(spec: ProcessSpec, files: ChildFiles, way: _Way) -> Pid:
    # With other numbers no stream takes another's place before that was handed on.
    is_plain = spec.working_dir is None and spec.umask is None
    if is_plain and min(files.stdin, files.stdout, files.stderr) > _LAST_STREAM:
        return _posix_spawned(spec, files, way)
    return _popened(spec, files, way)


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


def _popened(spec: ProcessSpec, files: ChildFiles, way: _Way) -> Pid:
    child = subprocess.Popen(
        way.argv,
        executable=way.executable,
        stdin=files.stdin,
        stdout=files.stdout,
        stderr=files.stderr,
        cwd=spec.working_dir,
        env=way.environment,
        close_fds=False,
        umask=-1 if spec.umask is None else spec.umask,
        start_new_session=spec.new_session,
        process_group=None if spec.new_session else 0,
    )
    # The reaper collects the status. Told that it is known, Popen never waits for it behind our
    # back, and does not warn that a process is still running.
    child.returncode = 0
    return Pid(child.pid)


def _forked(
    spec: ProcessSpec,
    files: ChildFiles,
    way: _Way,
    *,
    user: UserSpec | None,
    cgroup: str | None,
    forks: ForkServer | None,
) -> Begun:
    order: Order = {
        "executable": os.fsencode(way.executable),
        "argv": [os.fsencode(word) for word in way.argv],
        "environment": {
            os.fsencode(name): os.fsencode(value) for name, value in way.environment.items()
        },
        "new_session": spec.new_session,
        # What we hand on just now; a fork server has what it was once (marks.py, host.py).
        "mark": resource.getrlimit(resource.RLIMIT_RTTIME)[0],
        "nofile": resource.getrlimit(resource.RLIMIT_NOFILE),
        "cgroup": cgroup,
        "rlimits": [_rlimit(limit) for limit in spec.rlimits],
        "oom_score_adj": spec.oom_score_adj,
        "nice": spec.nice,
        "umask": spec.umask,
        "user": (user.uid, user.gid, user.groups) if user else None,
        "working_dir": spec.working_dir,
    }
    streams = (files.stdin, files.stdout, files.stderr)
    birth = fork_here(order, streams) if forks is None else forks.begin(order, streams)
    return Begun(spec, way.executable, birth)


def _rlimit(limit: ResourceLimit) -> tuple[str, int, int, int]:
    unlimited = resource.RLIM_INFINITY
    return (
        limit.name,
        getattr(resource, f"RLIMIT_{limit.name.upper()}"),
        unlimited if limit.soft is None else limit.soft,
        unlimited if limit.hard is None else limit.hard,
    )


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
    if user is None or not _must_change_to(user):
        return None
    if os.geteuid() == 0:
        return user
    raise SpawnError(f"couldn't setuid to {user.uid}: Can't drop privilege as nonroot user")


def _must_change_to(user: UserSpec) -> bool:
    """Whether this is somebody else. Who is not root can't change its groups, and need not."""
    if os.geteuid() != 0 or user.uid != 0:
        return user.uid != os.geteuid()
    ours, groups = (*os.getresuid(), *os.getresgid()), {os.getgid(), *os.getgroups()}
    return ours != (0, 0, 0, *[user.gid] * 3) or groups != {user.gid, *user.groups}


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


def _spawn_error(spec: ProcessSpec, executable: str, error: Exception) -> SpawnError:
    """What to say of this, which is one of _FAILURES."""
    match error:
        case NotBornError():
            return _not_born(spec, executable, error)
        case OSError():
            return _failed(spec, executable, error)
        case _:
            found = _problem_of(executable)
            return found or SpawnError(f"cannot start '{spec.id}': {error}")


def _not_born(spec: ProcessSpec, executable: str, error: NotBornError) -> SpawnError:
    """What to say of a fork that did not come to its program."""
    match error.step:
        case serve.USER if spec.user is not None and error.code != errno.EAGAIN:
            name = errno.errorcode.get(error.code, error.text)
            return SpawnError(f"couldn't setuid to {spec.user.uid}: {name}")
        case serve.WORKING_DIR:
            problem = OSError(error.code, error.text, spec.working_dir)
        case serve.USER | serve.FORK | serve.EXECUTE if error.code:
            problem = OSError(error.code, error.text, executable)
        case serve.USER | serve.FORK | serve.EXECUTE:
            return _problem_of(executable) or SpawnError(f"cannot start '{spec.id}': {error.text}")
        case step:
            return SpawnError(f"cannot {step} for '{spec.id}': {error.text}")
    return _failed(spec, executable, problem)


def _failed(spec: ProcessSpec, executable: str, error: OSError) -> SpawnError:
    return _problem_of(executable) or SpawnError(_reason(spec, executable, error), _kind(error))


def _reason(spec: ProcessSpec, executable: str, error: OSError) -> str:
    name = errno.errorcode.get(error.errno or 0, str(error))
    if spec.working_dir is not None and error.filename == spec.working_dir:
        return f"couldn't chdir to {spec.working_dir}: {name}"
    match error.errno:
        case errno.EAGAIN if any(limit.name == "nproc" for limit in spec.rlimits):
            return f"'{spec.id.name}' has a user with more processes than its rlimits.nproc allows"
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
