"""The fork server: forks for a daemon, whose children they are.

A program of its own, started by `client.py` as `python -I -S serve.py NUMBER`, with a connection
to the daemon as standard input. NUMBER is that of clone(2) on this machine.

Theory of operation
-------------------
What must be set between fork and exec by code of ours (another user, limits, nice) needs a fork: a
child that shares our memory until it executes can't run Python. A fork copies the page tables of
its parent, and then each page that one of the two writes to: more than 2 ms for the daemon, which
does nothing else meanwhile, and half of that for this process, which has little memory and a
processor of its own. Nor has it descriptors that were to be closed at exec.

CLONE_PARENT makes the new process a child of our parent, the daemon, as if that had forked itself:
for wait4(2), SIGCHLD and PR_SET_PDEATHSIG. Whatever becomes of us is nothing to it.

An order is its length in four bytes, and a dictionary by `marshal`: both sides are one Python.
Four descriptors come with it: the three streams, and a socket to which the child tells
its pid before anything else, and then why it can't go on. That closes with the exec, and that it
was closed is the good news. So nothing is lost with us: if we end before the pid was written,
either the child writes it or there is none. If there is none, we say so: pid 0, and why. A child
whose daemon is gone ends there, as nobody reads (SIGPIPE).

Only modules in C, and little of `ctypes`: each page that we use is one to be copied.
"""

import _signal  # type: ignore[import-not-found]  # of C, and not in typeshed
import _socket
import gc
import marshal
import posix
import resource
import sys
from collections.abc import Callable
from typing import Any, NoReturn

# Keys as in `_become`.
Order = dict[str, Any]

HEADER = 4  # bytes
STREAMS = 3
PID_SIZE = 4  # bytes
EXIT_NOT_BORN = 127
COMM = b"opsvisor-forks"
FORK, EXECUTE = "fork", "execute"
USER, WORKING_DIR = "user", "working_dir"

_ANCILLARY = _socket.CMSG_SPACE(4 * (STREAMS + 1))
_CLONE_PARENT = 0x8000
_PR_SET_NAME = 15


def main() -> None:
    """Fork as often as we are told, until the daemon is gone."""
    clone = _clone(int(sys.argv[1]))
    connection = _socket.socket(fileno=posix.dup(0))
    null = posix.open("/dev/null", posix.O_RDWR)
    for standard in range(STREAMS):
        posix.dup2(null, standard)
    posix.close(null)
    # Our children are to find them as the kernel gives them; Python has other ideas.
    for signum in (_signal.SIGINT, _signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(signum, _signal.SIG_DFL)
    gc.disable()
    gc.freeze()
    connection.send(b"!")  # ready
    while (header := connection.recvmsg(HEADER, _ANCILLARY, _socket.MSG_CMSG_CLOEXEC))[0]:
        order, descriptors = _text(connection, header[0]), _descriptors(header[1])
        if len(descriptors) != STREAMS + 1:
            break  # there was no room for them; they are closed, by which the daemon knows
        if _fork(clone, descriptors[-1]) == 0:
            _begin(connection, order, descriptors)
        for descriptor in descriptors:
            posix.close(descriptor)
    posix._exit(0)  # noqa: SLF001 - at once


def _clone(number: int) -> Callable[[], int]:
    """The system call, as `fork` but for whose child it is. OSError.

    Not `os.fork`: that can't be asked for CLONE_PARENT. Nothing of what it does for locks, threads
    and hooks is needed where there are none, and where the child executes at once.
    """
    import ctypes  # noqa: PLC0415 - the daemon, which has `begin` from here, needs it elsewhere

    library = ctypes.PyDLL(None, use_errno=True)
    library.prctl(_PR_SET_NAME, COMM)
    call = library.syscall
    call.restype = ctypes.c_long
    flags = ctypes.c_ulong(_CLONE_PARENT | _signal.SIGCHLD)
    none = ctypes.c_ulong(0)

    def clone() -> int:
        pid: int = call(number, flags, none, none, none, none)
        if pid < 0:
            code = ctypes.get_errno()
            raise OSError(code, posix.strerror(code))
        return pid

    return clone


def _text(connection: _socket.socket, header: bytes) -> bytes:
    """The order, as it is read by the child: what that takes is not to be copied from us."""
    size = int.from_bytes(header, "little")
    parts = []
    while size:
        part = connection.recv(size)
        if not part:
            posix._exit(0)  # noqa: SLF001 - its name
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    numbers = [words for level, kind, words in ancillary if level == _socket.SOL_SOCKET]
    return list(memoryview(b"".join(numbers)).cast("i"))


def _fork(clone: Callable[[], int], told: int) -> int:
    """The pid of the child, 0 in the child, -1 if there can be none, which is told."""
    try:
        return clone()
    except OSError as error:
        posix.write(told, _pid(0) + _why(FORK, error))
        return -1


def _begin(connection: _socket.socket, order: bytes, descriptors: list[int]) -> NoReturn:
    """In the child: a copy of us, of which nothing may go on."""
    try:
        connection.close()  # nor may it seem that somebody takes orders
        *streams, told = descriptors
        begin(marshal.loads(order), streams, told)  # noqa: S302 - of the daemon
    finally:
        posix._exit(EXIT_NOT_BORN)  # noqa: SLF001 - its name


def begin(order: Order, streams: list[int], told: int) -> None:
    """Become the program of this order. In the child; returns if that can't be, which is told."""
    step = [FORK]
    try:
        posix.write(told, _pid(posix.getpid()))
        _become(order, streams, step)
    except BaseException as error:  # noqa: BLE001 - nothing may get out of here
        posix.write(told, _why(step[0], error))


def _pid(pid: int) -> bytes:
    return pid.to_bytes(PID_SIZE, "little")


def _why(step: str, error: BaseException) -> bytes:
    """What could not be done, and why: a number of errno(3), or 0 and a text."""
    if isinstance(error, OSError) and error.errno:
        return marshal.dumps((step, error.errno, error.strerror))
    return marshal.dumps((step, 0, str(error) or type(error).__name__))


def _become(order: Order, streams: list[int], step: list[str]) -> None:
    """Set what the order says, and execute. `step` is what was being done when that fails."""
    for number, stream in enumerate(_above(streams)):
        posix.dup2(stream, number)
    if order["new_session"]:
        posix.setsid()
    else:
        posix.setpgid(0, 0)
    _limit(resource.RLIMIT_RTTIME, (order["mark"], resource.getrlimit(resource.RLIMIT_RTTIME)[1]))
    _limit(resource.RLIMIT_NOFILE, order["nofile"])
    if order["oom_score_adj"] is not None:
        step[0] = "set oom_score_adj"
        _write("/proc/self/oom_score_adj", str(order["oom_score_adj"]).encode())
    if order["nice"] is not None:
        step[0] = "set nice"
        posix.setpriority(posix.PRIO_PROCESS, 0, order["nice"])
    if order["umask"] is not None:
        posix.umask(order["umask"])
    cgroup, step_of_cgroup = -1, f"enter cgroup {order['cgroup']}"
    if order["cgroup"] is not None:
        step[0] = step_of_cgroup
        cgroup = posix.open(f"{order['cgroup']}/cgroup.procs", posix.O_WRONLY | posix.O_CLOEXEC)
    for name, number, soft, hard in order["rlimits"]:  # after all that takes descriptors
        step[0] = f"set rlimit {name}"
        resource.setrlimit(number, (soft, hard))
    if order[USER] is not None:
        step[0] = USER
        uid, gid, groups = order[USER]
        posix.setgroups(groups)
        posix.setresgid(gid, gid, gid)
        posix.setresuid(uid, uid, uid)
    if order[WORKING_DIR] is not None:
        step[0] = WORKING_DIR
        posix.chdir(order[WORKING_DIR])
    if cgroup >= 0:  # last: the daemon waits for us, and we for our share of the processor there
        step[0] = step_of_cgroup
        posix.write(cgroup, b"0")  # whoever writes it
    step[0] = EXECUTE
    posix.execve(order["executable"], order["argv"], order["environment"])


def _above(streams: list[int]) -> list[int]:
    """The same streams, none under a number that another one is about to take."""
    copies = []
    for stream in streams:
        copy = stream
        while copy < STREAMS:
            copy = posix.dup(copy)
        copies.append(copy)
    return copies


def _limit(number: int, values: tuple[int, int]) -> None:
    """Have this limit as the daemon has it just now, not as it had it when we began; if we may."""
    try:  # noqa: SIM105 - `contextlib` is written in Python
        resource.setrlimit(number, values)
    except (OSError, ValueError):
        pass


def _write(path: str, text: bytes) -> None:
    descriptor = posix.open(path, posix.O_WRONLY)
    try:
        posix.write(descriptor, text)
    finally:
        posix.close(descriptor)


if __name__ == "__main__":
    main()
