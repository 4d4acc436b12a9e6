"""What the daemon does to its own process before it supervises others."""

import contextlib
import os
import resource
import stat
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from opsvisor.api.crowd import REFUSED_MAX
from opsvisor.config.problems import OpsvisorError
from opsvisor.config.search import UNTRUSTED_OF_USER_HINT, distrust, socket_of_user
from opsvisor.config.settings import DaemonSettings, Dialect, LogLevel, UnixServer
from opsvisor.core.plan import Plan
from opsvisor.core.spec import UserSpec
from opsvisor.runtime.probes.schedule import COMMANDS_AT_ONCE, CONNECTIONS_AT_ONCE, SLOW_AT_ONCE

# Descriptors of a running program (two pipes, a pidfd, two log files, a stdin), of ours, and of
# all probes that can be asked at once, where there are any.
_FDS_PER_PROCESS = 6
_OWN_FDS = 128
_FDS_OF_PROBES = (COMMANDS_AT_ONCE + SLOW_AT_ONCE) * 3 + CONNECTIONS_AT_ONCE + SLOW_AT_ONCE
_FD_STEP = 1024
_PID_SIZE = 32  # bytes; no pid is as long, whatever is around it
_PASSING = stat.S_IXGRP | stat.S_IXOTH
_FEWEST_CONNECTIONS = 8  # of each listener, whatever that costs the programs


class HostError(OpsvisorError):
    """The system does not let the daemon be what it was told to be."""


def is_first_process() -> bool:
    """Whether we are what init is elsewhere, as in containers: all ends with us, at once."""
    return os.getpid() == 1


def keep_descriptors_from_children() -> None:
    """Mark everything that was inherited as close-on-exec: a program gets its three streams.

    With this, and with Python's own descriptors, nothing has to be closed between fork and exec.
    HostError without /proc.
    """
    try:
        names = os.listdir("/proc/self/fd")  # noqa: PTH208 - numbers, not paths
    except OSError as error:
        raise HostError(
            f"cannot read /proc/self/fd: {error.strerror}\n"
            "    hint: opsvisord needs a /proc: mount -t proc proc /proc"
        ) from error
    for name in names:
        descriptor = int(name)
        if descriptor > 2:  # noqa: PLR2004 - after standard error
            with contextlib.suppress(OSError):
                os.set_inheritable(descriptor, False)


def fail_without_null() -> None:
    """HostError without /dev/null, from which most programs read."""
    try:
        os.close(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        raise HostError(
            f"cannot open /dev/null: {error.strerror}\n"
            "    hint: every program needs one: mknod -m 666 /dev/null c 1 3"
        ) from error


def return_to(directory: int | None) -> None:
    """Go to the directory that another process was in, whatever its path is by now."""
    if directory is not None:
        with contextlib.suppress(OSError):  # then we are where the daemon was started
            os.fchdir(directory)
        os.close(directory)


def why_not(settings: DaemonSettings) -> str:
    """What forbids this process to be what these settings ask for, "" if nothing does."""
    is_root = os.geteuid() == 0
    user = settings.user
    if user is not None and user.uid != os.geteuid() and not is_root:
        return "Can't drop privilege as nonroot user"
    for demand in _demands(settings):
        _, hard = resource.getrlimit(demand.kind)
        if hard != resource.RLIM_INFINITY and hard < demand.wanted and not is_root:
            return (
                f"{demand.option} = {demand.wanted}, but the limit of this user is {hard}\n"
                f"    hint: raise it ({demand.where}), or lower {demand.option}"
            )
    return ""


class _Demand(NamedTuple):
    """A limit that the configuration asks for: what it is called there, and who else sets it."""

    kind: int
    name: str
    wanted: int
    option: str
    where: str


def _demands(settings: DaemonSettings) -> tuple[_Demand, ...]:
    fds, procs = "min_fds", "min_procs"
    if settings.dialect is Dialect.SUPERVISOR:
        fds, procs = "minfds", "minprocs"
    at_fds, at_procs = "ulimit -Hn, LimitNOFILE=", "ulimit -Hu, LimitNPROC="
    return (
        _Demand(resource.RLIMIT_NOFILE, "RLIMIT_NOFILE", settings.min_fds, fds, at_fds),
        _Demand(resource.RLIMIT_NPROC, "RLIMIT_NPROC", settings.min_procs, procs, at_procs),
    )


def raise_limits(settings: DaemonSettings, plan: Plan) -> list[str]:
    """Have descriptors for every program, and at least what the configuration asks for.

    Gives a line for the log per limit that was raised. HostError if the system forbids what is
    asked for. What the number of programs would need beyond that is raised as far as it goes.
    """
    problem = why_not(settings)
    if problem:
        raise HostError(problem)
    before = {d.kind: resource.getrlimit(d.kind)[0] for d in _demands(settings)}
    for demand in _demands(settings):
        _raise(demand)
    raise_descriptors(plan, connections_wanted(settings))
    now = {d.name: (d.kind, resource.getrlimit(d.kind)[0]) for d in _demands(settings)}
    return [
        f"Increased {name} limit to {soft}"
        for name, (kind, soft) in now.items()
        if soft != before[kind]
    ]


def connections_wanted(settings: DaemonSettings) -> int:
    """Descriptors that clients of all listeners may take."""
    return len(settings.listeners) * (settings.limits.connections + REFUSED_MAX)


def connections_left(plan: Plan, settings: DaemonSettings) -> int:
    """Connections that each listener may have, so that every program finds its descriptors.

    A few there always are: an operator must be able to come in and stop something.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.limits.connections
    if soft == resource.RLIM_INFINITY or not settings.listeners:
        return wanted
    share = (soft - _descriptors_for(plan)) // len(settings.listeners) - REFUSED_MAX
    return max(_FEWEST_CONNECTIONS, min(wanted, share))


def raise_descriptors(plan: Plan, connections: int = 0) -> str:
    """Have descriptors for a plan and these connections, as far as we may; a line if that is new.

    A plan may grow while we run, and the limit that a shell or an init gives is for a few of them.
    It is raised in large steps: supervisorctl adds one group after another.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _descriptors_for(plan) + connections
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return ""
    rounded = -(-wanted // _FD_STEP) * _FD_STEP
    reachable = rounded if hard == resource.RLIM_INFINITY else min(rounded, hard)
    if reachable == soft:
        return ""
    resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
    return f"Increased RLIMIT_NOFILE limit to {reachable}"


def why_not_open(more: int) -> str:
    """Why so many more descriptors can't be opened, "" if they can. The limit is raised for it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = len(os.listdir("/proc/self/fd")) + more  # noqa: PTH208 - numbers, not paths
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return ""
    if hard != resource.RLIM_INFINITY and hard < wanted:
        return f"{wanted} file descriptors are needed, but the system allows {hard}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return ""


def too_few_descriptors(plan: Plan) -> str:
    """What to warn of if not all processes of a plan could run at once, or nothing."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _descriptors_for(plan)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return ""
    processes = len(plan.specs())
    return (
        f"{processes} processes may need {wanted} file descriptors, but the system allows {soft}:"
        " the last ones may not start (raise ulimit -Hn, or LimitNOFILE= of the unit)"
    )


def _descriptors_for(plan: Plan) -> int:
    specs = plan.specs().values()
    probed = any(spec.has_probes for spec in specs)
    return _OWN_FDS + _FDS_PER_PROCESS * len(specs) + (_FDS_OF_PROBES if probed else 0)


def _raise(demand: _Demand) -> None:
    soft, hard = resource.getrlimit(demand.kind)
    if soft == resource.RLIM_INFINITY or soft >= demand.wanted:
        return
    highest = hard if hard == resource.RLIM_INFINITY else max(hard, demand.wanted)
    try:
        resource.setrlimit(demand.kind, (demand.wanted, highest))
    except (OSError, ValueError) as error:  # root without CAP_SYS_RESOURCE, as in containers
        raise HostError(
            f"{demand.option} = {demand.wanted}, but the system allows {hard} ({error})\n"
            f"    hint: raise the limit of the container or unit, or lower {demand.option}"
        ) from error


def become(user: UserSpec) -> None:
    """Give up root for this user, for good. HostError if that is not possible."""
    if os.geteuid() == user.uid:
        return
    try:
        os.setgroups(user.groups)
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, user.uid)
    except OSError as error:
        raise HostError(f"cannot become user {user.name}: {error.strerror}") from error


def make_room_for_socket(settings: DaemonSettings, runtime: Path) -> None:
    """As root, make the directory of the default socket for the user that we become.

    HostError if it can't be made, or if anybody else may have had a hand in it.
    """
    user = settings.user
    if user is None or os.geteuid() != 0:
        return
    folder = socket_of_user(user.uid, runtime).parent
    is_wanted = any(
        isinstance(one, UnixServer) and Path(one.path).parent == folder for one in settings.servers
    )
    if not is_wanted or folder == runtime:
        return
    try:
        _make_for(user, folder)
    except OSError as error:
        raise _no_room(folder, error.strerror or str(error)) from error


def _make_for(user: UserSpec, folder: Path) -> None:
    runtime = folder.parent
    with contextlib.suppress(FileExistsError):  # what is there is judged next
        runtime.mkdir(mode=0o711)
    _trust(runtime.lstat(), runtime, {0})
    opened = os.open(runtime, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(opened)
        _trust(found, runtime, {0})
        # Others may pass, and see nothing: what is in there is each one's own.
        mode = stat.S_IMODE(found.st_mode)
        if mode | _PASSING != mode:
            os.fchmod(opened, mode | _PASSING)
        with contextlib.suppress(FileExistsError):  # as above
            os.mkdir(folder.name, 0o700, dir_fd=opened)
        # By its name, as only root can put anything else there by now. To open it, root would
        # need CAP_DAC_OVERRIDE, which it often has not in containers.
        found = os.stat(folder.name, dir_fd=opened, follow_symlinks=False)
        _trust(found, folder, {0, user.uid})
        if (found.st_uid, found.st_gid) != (user.uid, user.gid):
            os.chown(folder.name, user.uid, user.gid, dir_fd=opened, follow_symlinks=False)
    finally:
        os.close(opened)


def _trust(found: os.stat_result, path: Path, owners: Collection[int]) -> None:
    if problem := distrust(found, path, owners):
        raise _no_room(path, f"not trusted: {problem}")


def _no_room(path: Path, why: str) -> HostError:
    return HostError(
        f"no directory for the default socket of the daemon's user: {path}: {why}\n"
        f"    hint: {UNTRUSTED_OF_USER_HINT}"
    )


@contextlib.contextmanager
def pid_file(path: str | None) -> Iterator[str]:
    """A file with our pid while the block lasts; gives the problem if it can't be written.

    What holds anything but a pid stays as it is: a slip in a path is not to cost the file it hits.
    """
    problem = ""
    if path is not None:
        try:
            if _holds_something_else(Path(path)):
                why = "it holds something else, and is left as it is"
                problem = f"could not write pidfile {path}: {why}"
            else:
                Path(path).write_text(f"{os.getpid()}\n", encoding="utf-8")
        except OSError as error:
            problem = f"could not write pidfile {path}: {error.strerror}"
    try:
        yield problem
    finally:
        if path is not None and not problem:
            with contextlib.suppress(OSError, ValueError):
                # A device such as /dev/null is not ours to remove, and a FIFO can't be read back
                # without waiting for whoever writes to it.
                if (
                    Path(path).is_file()
                    and int(Path(path).read_text(encoding="utf-8")) == os.getpid()
                ):
                    Path(path).unlink()


def _holds_something_else(path: Path) -> bool:
    # A FIFO or a device can't be read without waiting, and has nothing that could be lost.
    if not path.is_file():
        return False
    with path.open("rb") as file:
        text = file.read(_PID_SIZE).strip(b"\0 \r\n\t")  # NULs: a crash of the machine
        return bool(text and not text.isdigit()) or bool(file.read(1))


def settle(settings: DaemonSettings) -> list[tuple[LogLevel, str]]:
    """Go to the directory and the umask of a daemon in the background; gives what to log."""
    os.umask(0o022 if settings.umask is None else settings.umask)
    if settings.working_dir is None:
        return []
    try:
        os.chdir(settings.working_dir)
    except OSError as error:
        return [(LogLevel.CRITICAL, f"can't chdir into {settings.working_dir!r}: {error}")]
    return [(LogLevel.INFO, f"set current directory: {settings.working_dir!r}")]


class Background:
    """Becoming a daemon, with the parent waiting until it is known whether that worked.

    The parent prints what went wrong and exits with a status: a daemon that can't bind its port
    says so on the terminal that started it.
    """

    def __init__(self) -> None:
        self._to_parent = -1

    def enter(self, on_fork: Callable[[int], None] = lambda _pid: None) -> None:
        """Fork. The parent does not return from this; the child goes on without a terminal.

        `on_fork` is called in the parent, with the child's pid.
        """
        from_child, to_parent = os.pipe2(os.O_CLOEXEC)
        if child := os.fork():
            os.close(to_parent)
            on_fork(child)
            self._wait_as_parent(from_child)
        os.close(from_child)
        self._to_parent = to_parent
        os.setsid()

    @staticmethod
    def _wait_as_parent(from_child: int) -> None:
        with open(from_child, encoding="utf-8") as pipe:
            answer = pipe.read()
        if answer.startswith("ok"):
            sys.stderr.write(answer.removeprefix("ok"))
            sys.stderr.flush()
            os._exit(0)
        sys.stderr.write(answer or "opsvisord ended before it was ready\n")
        sys.stderr.flush()
        os._exit(2)

    @property
    def is_entered(self) -> bool:
        """Whether there is a parent that waits: not in the foreground, and not after a reload."""
        return self._to_parent >= 0

    def ready(self, warning: str) -> None:
        """Leave the terminal, and let the parent print the `warning`, if any, and exit with 0."""
        if not self.is_entered:
            return
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        os.close(null)
        self._tell(f"okwarning: {warning}\n" if warning else "ok")

    def failed(self, message: str) -> bool:
        """Let the parent print this and exit with 2; False if there is none."""
        if not self.is_entered:
            return False
        self._tell(message)
        return True

    def _tell(self, text: str) -> None:
        with contextlib.suppress(OSError):
            os.write(self._to_parent, text.encode())
        os.close(self._to_parent)
        self._to_parent = -1
