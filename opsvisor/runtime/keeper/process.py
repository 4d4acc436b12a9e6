"""The process behind a keeper: how it is started, and how that of a dead daemon is found again."""

import contextlib
import errno
import os
import resource
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from opsvisor.core.spec import Pid
from opsvisor.runtime.keeper import keep
from opsvisor.runtime.keeper.keep import (
    BATCH,
    COMM,
    PACKET_LIMIT,
    TITLE,
    peer_of,
    received,
)
from opsvisor.runtime.pidfd import is_of
from opsvisor.runtime.socket_files import bind_privately
from opsvisor.runtime.standalone import command_of

SOCKET = "keeper"  # its name in the state directory
_BACKLOG = 8
_ANCILLARY = socket.CMSG_SPACE(4 * BATCH)
_WITHIN = (
    7.0  # seconds for a keeper to say something; it may have to get rid of somebody else first
)


class UnreachableError(Exception):
    """There may be a keeper, but not for us. The text says why."""


def start(directory: Path, when_alone: bytes) -> tuple[socket.socket, Pid]:
    """Start a keeper for this state directory: the connection to it, and its pid. OSError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with theirs, _bound(directory) as listener:
            child = subprocess.Popen(
                [*command_of(keep), when_alone.decode(), str(directory)],
                stdin=theirs.fileno(),
                stdout=listener.fileno(),
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
    except BaseException:
        ours.close()
        raise
    child.returncode = 0  # collected by the reaper
    with contextlib.suppress(OSError):  # it need not interrupt us whenever we send it something
        os.sched_setscheduler(child.pid, os.SCHED_BATCH, os.sched_param(0))
    with contextlib.suppress(OSError, ValueError):  # room for as many as we could ever have
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (hard, hard))
    return ours, Pid(child.pid)


def _bound(directory: Path) -> socket.socket:
    """The socket on which a keeper waits for our successor."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    path = ""
    try:
        with _short(directory) as short:
            path = f"{short}/{SOCKET}"
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)  # noqa: PTH108 - of a keeper that is gone
            bind_privately(listener, path)
        # Now, and not in the keeper: a successor may come before that has begun.
        listener.listen(_BACKLOG)
    except BaseException as error:
        listener.close()
        if isinstance(error, OSError) and error.filename == path:
            error.filename = str(directory / SOCKET)  # the way there, if short, says nothing
        raise
    return listener


def reach(directory: Path) -> socket.socket | None:
    """A connection to the keeper of a daemon that is gone, None if there is none.

    UnreachableError if there is one that is not for us.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(_WITHIN)
    try:
        with _short(directory) as short:
            connection.connect(f"{short}/{SOCKET}")
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None  # the usual case; one that was killed leaves its file behind
    except OSError as error:
        connection.close()
        raise UnreachableError(f"cannot connect to {directory / SOCKET}: {error}") from error
    pid, uid = peer_of(connection)
    if uid not in (os.geteuid(), 0):
        connection.close()
        raise UnreachableError(f"{directory / SOCKET} is that of uid {uid} (pid {pid})")
    return connection


class HandBack:
    """What the keeper of a dead daemon sends of what it holds."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.descriptors: dict[str, int] = {}  # that are what their names say
        self.refused: list[str] = []  # the others; closed
        self.keeper = Pid(0)

    def receive(self, when_alone: bytes) -> None:
        """Receive it all. OSError if it breaks off, or says what we don't understand."""
        peer = Pid(peer_of(self._connection)[0])
        if _is_keeper(peer):  # or still its daemon, as the socket has it
            with contextlib.suppress(OSError):
                os.kill(peer, signal.SIGCONT)  # whoever stopped it meant the daemon, maybe
        self._connection.send(b"*" + when_alone)
        while not self.keeper:
            packet, ancillary, _, _ = self._connection.recvmsg(
                PACKET_LIMIT, _ANCILLARY, socket.MSG_CMSG_CLOEXEC
            )
            if packet[:1] == b".":
                self.keeper = Pid(int(packet[1:]))
            elif packet:
                self._take(packet, received(ancillary))
                self._connection.send(b"=")
            else:
                raise ConnectionResetError(errno.ECONNRESET, "it broke off")

    def _take(self, packet: bytes, descriptors: list[int]) -> None:
        names = [line[1:].decode("utf-8", "surrogateescape") for line in packet.split(b"\0")]
        for name, descriptor in zip(names, descriptors, strict=False):
            if _is_what_it_says(name, descriptor):
                self.descriptors[name] = descriptor
            else:
                self.refused.append(name)
                os.close(descriptor)
        if len(descriptors) < len(names):
            raise OSError(errno.EMFILE, "too few file descriptors here (raise ulimit -Hn)")

    def give_up(self) -> None:
        """End a keeper that did not do its part, so that it does not wait for anybody any more."""
        peer = Pid(peer_of(self._connection)[0])
        if _is_keeper(peer):
            kill(peer)
        self._connection.close()


def others(directory: Path) -> list[Pid]:
    """Keepers of this directory that can't be reached in it: it was removed, or another is there.

    Their names are all that is known of them, and cut short if the path is very long.
    """
    title = f"{TITLE}{directory}".encode("utf-8", "surrogateescape")
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208 - a Path for each process costs more
        if name.isdecimal() and _is_keeper(Pid(int(name))):
            with contextlib.suppress(OSError):
                said = Path(f"/proc/{name}/cmdline").read_bytes().rstrip(b"\0 ")
                if said == title and os.stat(f"/proc/{name}").st_uid in (os.geteuid(), 0):  # noqa: PTH116 - as above
                    found.append(Pid(int(name)))
    return found


def kill(pid: Pid) -> None:
    """End it at once, if it is still there."""
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)


def _is_keeper(pid: Pid) -> bool:
    """Whether a process calls itself one."""
    try:
        return Path(f"/proc/{pid}/comm").read_bytes().rstrip() == COMM
    except OSError:
        return False


def _is_what_it_says(name: str, descriptor: int) -> bool:
    """Whether a descriptor can be what its name says."""
    kind, _, number = name.partition(":")
    match kind:
        case "out" | "in":
            return str(os.fstat(descriptor).st_ino) == number
        case "pid":
            return number.isdecimal() and is_of(descriptor, Pid(int(number)))
        case _:
            return True


@contextlib.contextmanager
def _short(directory: Path) -> Iterator[str]:
    """A path to this directory that leaves room in the 108 bytes of a socket's address."""
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
