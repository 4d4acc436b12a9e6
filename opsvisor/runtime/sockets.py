"""Listening sockets that the processes of a program share as their standard input.

Theory of operation
-------------------
A FastCGI server accepts connections on descriptor 0: whoever starts it has made the socket, bound
it and listens. Because all processes of a program get the same socket, the kernel hands each
connection to one that is free. The socket is made when the first of them is started and closed
when the last has ended; in between it survives any restart, and clients wait in its backlog. A run
that is followed at once by the next lets go only when that has taken hold.

A socket belongs to its address and to one program. A change of its mode, owner or backlog is made
to the socket that is there, since processes with the old settings may still hold it.

The path of a unix socket is taken over only if nobody listens there: a daemon that was killed
leaves its file behind, a second daemon on the same configuration must not cut off the first one's
clients. What isn't a socket is never removed.
"""

import contextlib
import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

from opsvisor.core.spec import ProcessSpec, SocketSpec, TcpSocketSpec, UnixSocketSpec
from opsvisor.core.struct import Struct
from opsvisor.runtime.socket_files import Occupant, bind_privately, occupant_of, permit

_Address = str | tuple[str, int]


class SocketError(Exception):
    """A listening socket could not be made. The text says which, why, and what may help."""


class Hold(Struct, frozen=True):
    """One run's part in a socket: it is closed when nobody holds it any more.

    `descriptor` is in blocking mode, which those that share the socket share too.
    """

    descriptor: int
    let_go: Callable[[], None]  # once


class SharedSockets:
    """The sockets of all programs, for as long as anybody holds them.

    `tell` is given a line for the log whenever one is made or closed, in Supervisor's words.
    `on_socket` is told of each that is there, by URL, and with None of its end before that comes.
    """

    def __init__(
        self,
        tell: Callable[[str], None],
        on_socket: Callable[[str, int | None], None] = lambda _url, _descriptor: None,
    ) -> None:
        self._tell = tell
        self._on_socket = on_socket
        self._listeners: dict[_Address, _Listener] = {}

    def take(self, spec: ProcessSpec) -> "Hold":
        """The socket for a run of this process, which must be let go of when it ends.

        Raises SocketError.
        """
        assert spec.socket is not None
        address = _address(spec.socket)
        listener = self._listeners.get(address)
        if listener is None:
            self._tell(f"Creating socket {spec.socket.url}")
            listener = _Listener(spec)
            listener.open()
            self._listeners[address] = listener
            self._on_socket(listener.spec.url, listener.fileno())
        elif listener.program != spec.program:
            raise SocketError(
                f"could not create socket {spec.socket.url}: it is that of program"
                f" '{listener.program}' (give each program its own)"
            )
        else:
            listener.follow(spec)
        listener.holds += 1
        return Hold(listener.fileno(), lambda: self._let_go(address, listener))

    def adopt(self, spec: ProcessSpec, listener: socket.socket) -> "Hold":
        """Go on with the socket that a run of this process was given by an earlier daemon.

        It is ours from here on. Where another run has brought it already, that one goes.
        """
        assert spec.socket is not None
        address = _address(spec.socket)
        known = self._listeners.get(address)
        if known is None:
            known = self._listeners[address] = _Listener(spec)
            known.adopt(listener)
            self._on_socket(known.spec.url, known.fileno())
        else:
            listener.close()
        known.holds += 1
        return Hold(known.fileno(), lambda: self._let_go(address, known))

    def _let_go(self, address: _Address, listener: "_Listener") -> None:
        listener.holds -= 1
        if not listener.holds and self._listeners.get(address) is listener:
            del self._listeners[address]
            self._close(listener)

    @property
    def descriptors(self) -> dict[str, int]:
        """Those that are there, by URL."""
        return {one.spec.url: one.fileno() for one in self._listeners.values()}

    def problem_of(self, spec: ProcessSpec) -> str:
        """Why the socket of a process that isn't started yet could not be made, "" if it could.

        Makes it and closes it, as Supervisor does, so that trouble is known before it hurts.
        """
        assert spec.socket is not None
        if _address(spec.socket) in self._listeners:
            return ""
        listener = _Listener(spec)
        try:
            listener.open()
        except SocketError as error:
            return str(error)
        listener.close()
        return ""

    def close(self) -> None:
        """Close every socket, whoever holds it."""
        for listener in self._listeners.values():
            self._close(listener)
        self._listeners.clear()

    def _close(self, listener: "_Listener") -> None:
        self._tell(f"Closing socket {listener.spec.url}")
        self._on_socket(listener.spec.url, None)
        listener.close()


class _Listener:
    """One open socket: of which program it is, and how many runs hold it."""

    def __init__(self, spec: ProcessSpec) -> None:
        assert spec.socket is not None
        self.spec: SocketSpec = spec.socket
        self._owner = _owner(spec)
        self.program = spec.program
        self.holds = 0
        self._file: os.stat_result | None = None  # of a unix socket
        self._socket: socket.socket

    def open(self) -> None:
        """Bind and listen. SocketError, and nothing is open, if that can't be."""
        try:
            self._socket = self._bound()
        except (OSError, ValueError, TypeError) as error:  # a path, a host that can't be one
            raise _refusal(self.spec, error) from error
        try:
            self._listen()
        except OSError as error:
            self.close()
            raise _refusal(self.spec, error) from error

    def adopt(self, listener: socket.socket) -> None:
        """Be this socket, which listens already."""
        self._socket = listener
        if isinstance(self.spec, UnixSocketSpec):
            with contextlib.suppress(OSError):  # without its file nobody finds it, but some have
                self._file = os.lstat(self.spec.path)

    def fileno(self) -> int:
        """Its descriptor."""
        return self._socket.fileno()

    def follow(self, spec: ProcessSpec) -> None:
        """Take over what a changed configuration says of the same address. SocketError."""
        assert spec.socket is not None
        before = self.spec, self._owner
        wanted = spec.socket, _owner(spec)
        if wanted == before:
            return
        self.spec, self._owner = wanted
        try:
            self._listen()
        except OSError as error:
            self.spec, self._owner = before
            raise _refusal(spec.socket, error) from error

    def close(self) -> None:
        """Close it, and remove its file unless that is somebody else's by now."""
        if isinstance(self.spec, UnixSocketSpec) and self._file is not None:
            path = Path(self.spec.path)
            with contextlib.suppress(OSError):
                if os.path.samestat(path.lstat(), self._file):
                    path.unlink()
        self._socket.close()

    def _bound(self) -> socket.socket:
        unbound = self._unbound()
        try:
            match self.spec:
                case TcpSocketSpec(host=host, port=port):
                    unbound.bind((host, port))
                case UnixSocketSpec(path=path):
                    _make_way(path)
                    bind_privately(unbound, path)
                    self._file = os.lstat(path)
        except BaseException:
            unbound.close()
            raise
        return unbound

    def _unbound(self) -> socket.socket:
        if isinstance(self.spec, UnixSocketSpec):
            return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # A name is looked up by bind, in the loop: of names to listen at, /etc/hosts knows.
        family = socket.AF_INET6 if ":" in self.spec.host else socket.AF_INET
        unbound = socket.socket(family, socket.SOCK_STREAM)
        unbound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return unbound

    def _listen(self) -> None:
        if isinstance(self.spec, UnixSocketSpec) and self._file is not None:
            permit(self.spec.path, mode=self.spec.mode, owner=self._owner, file=self._file)
        backlog = self.spec.backlog
        self._socket.listen(socket.SOMAXCONN if backlog is None else backlog)


def _address(spec: SocketSpec) -> _Address:
    """What can be taken only once."""
    return spec.path if isinstance(spec, UnixSocketSpec) else (spec.host, spec.port)


def _make_way(path: str) -> None:
    """Remove a socket that nobody listens on any more. OSError if there is anything else."""
    match occupant_of(path):
        case Occupant.NOBODY:
            pass
        case Occupant.STALE:
            Path(path).unlink(missing_ok=True)
        case Occupant.LISTENER:
            what = "another program is listening there (another daemon? end it first)"
            raise FileExistsError(0, what)
        case Occupant.UNREACHABLE:
            what = "there is a socket that we may not connect to (if nobody listens, remove it)"
            raise PermissionError(0, what)
        case Occupant.OTHER_FILE:
            raise FileExistsError(0, "there is a file that is not a socket (move it away)")


def _owner(spec: ProcessSpec) -> tuple[int, int] | None:
    """Whose the file of a socket should be: if nobody is named, who runs the program."""
    if isinstance(spec.socket, UnixSocketSpec) and spec.socket.owner is not None:
        return spec.socket.owner
    user = spec.user
    return (user.uid, user.gid) if user is not None and user.uid != os.geteuid() else None


def _refusal(spec: SocketSpec, error: Exception) -> SocketError:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    hint = ""
    match spec, error:
        case UnixSocketSpec(path=path), FileNotFoundError():
            hint = f" (create {Path(path).parent}: directories are not made)"
        case UnixSocketSpec(path=path), PermissionError(errno=number) if number:
            hint = f" (in {path}: may this user write to its directory, and give files away?)"
        case TcpSocketSpec(port=port), PermissionError():
            hint = f" (port {port} needs root or CAP_NET_BIND_SERVICE)"
        case TcpSocketSpec(port=port), OSError(errno=errno.EADDRINUSE):
            hint = f" (who listens on port {port}: ss -ltnp)"
        case _:
            pass
    return SocketError(f"could not create socket {spec.url}: {reason}{hint}")
