"""Listening sockets that whoever started the daemon has opened for it: socket activation.

systemd gives them as descriptors from 3 on, counted in $LISTEN_FDS, for the process in $LISTEN_PID
(sd_listen_fds(3)). A server that is to listen where one of them does gets that one. They stay open
for as long as the daemon runs, and servers get copies: a reload may neither close what the manager
listens on too, nor remove its file.
"""

import contextlib
import ipaddress
import os
import socket
from collections.abc import Iterable, MutableMapping

from opsvisor.config.settings import TcpServer, UnixServer
from opsvisor.core.struct import Struct, field, replace

_FIRST = 3
_MAX = 256  # more than anybody passes, and an end to what a wrong number costs
_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound


class PassedSocket(Struct, frozen=True):
    """One of them, under the name that the manager gives it. `where` is for the log."""

    listener: socket.socket
    name: str
    where: str


class PassedSockets(Struct):
    """All that were passed and are still open. `refused` says what could not be one of them."""

    sockets: list[PassedSocket] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @classmethod
    def take(cls, environment: MutableMapping[str, str]) -> "PassedSockets":
        """Those for this process. The variables are removed: to nobody else they are true.

        Descriptors that are no listening sockets are left alone, and told.
        """
        number = environment.pop("LISTEN_FDS", "")
        pid = environment.pop("LISTEN_PID", "")
        names = environment.pop("LISTEN_FDNAMES", "").split(":")
        taken = cls()
        if pid != str(os.getpid()) or not (number.isascii() and number.isdecimal()):
            return taken
        for place, descriptor in enumerate(range(_FIRST, _FIRST + min(int(number), _MAX))):
            taken._add(descriptor, names[place] if place < len(names) else "unknown")
        return taken

    def _add(self, descriptor: int, name: str) -> None:
        try:
            listener = socket.socket(fileno=descriptor)
        except OSError as error:
            self.refused.append(f"descriptor {descriptor} ({name}): {error.strerror}")
            return
        where = _where(listener)
        if listener.type != socket.SOCK_STREAM or not listener.getsockopt(
            socket.SOL_SOCKET, socket.SO_ACCEPTCONN
        ):
            self.refused.append(f"{where} ({name}): nothing listens there")
            _vacate(listener)
            return
        listener.set_inheritable(False)
        self.sockets.append(PassedSocket(listener, name, where))

    def copy_for(self, server: UnixServer | TcpServer) -> socket.socket | None:
        """The one where this server is to listen, as a copy of its own; None if there is none."""
        for passed in self.sockets:
            if _is_where(server, passed.listener):
                return passed.listener.dup()
        return None

    def close_unused(self, servers: Iterable[UnixServer | TcpServer]) -> list[str]:
        """Close those where none of these servers is to listen; a line for the log about each."""
        wanted = list(servers)
        lines = [f"a passed socket can't be used: {reason}" for reason in self.refused]
        self.refused.clear()
        for passed in list(self.sockets):
            if not any(_is_where(server, passed.listener) for server in wanted):
                lines.append(
                    f"closed the socket {passed.where} that was passed as '{passed.name}': no"
                    " server is configured to listen there"
                )
                _vacate(passed.listener)
                self.sockets.remove(passed)
        return lines

    def pass_on(self, environment: MutableMapping[str, str]) -> None:
        """Make ready for an exec of ourselves: what comes after it takes the same sockets again.

        They move together, down to the first number, where others were closed.
        """
        if not self.sockets:
            return
        # Downwards, onto a number that was vacated or whose socket has just moved.
        self.sockets = [_at(number, one) for number, one in enumerate(self.sockets, _FIRST)]
        for passed in self.sockets:
            passed.listener.set_inheritable(True)
        environment["LISTEN_FDS"] = str(len(self.sockets))
        environment["LISTEN_PID"] = str(os.getpid())
        environment["LISTEN_FDNAMES"] = ":".join(passed.name for passed in self.sockets)

    def keep(self) -> None:
        """Undo `pass_on`: the exec has failed, and no program may inherit them."""
        for passed in self.sockets:
            passed.listener.set_inheritable(False)


def _at(number: int, passed: PassedSocket) -> PassedSocket:
    """The same socket by this descriptor."""
    if passed.listener.fileno() == number:
        return passed
    os.dup2(passed.listener.fileno(), number, inheritable=False)
    _vacate(passed.listener)
    return replace(passed, listener=socket.socket(fileno=number))


def _vacate(listener: socket.socket) -> None:
    """Close it, and keep its number, so that `pass_on` finds it free."""
    descriptor = listener.detach()
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(null, descriptor, inheritable=False)
    os.close(null)


def _where(listener: socket.socket) -> str:
    """Its address as people write it."""
    with contextlib.suppress(OSError):
        address = listener.getsockname()
        if listener.family == socket.AF_UNIX:
            return os.fsdecode(address) or "without a name"
        if listener.family in (socket.AF_INET, socket.AF_INET6):
            return (
                f"[{address[0]}]:{address[1]}"
                if ":" in address[0]
                else ":".join(map(str, address[:2]))
            )
    return "of an unknown kind"


def _is_where(server: UnixServer | TcpServer, listener: socket.socket) -> bool:
    address = listener.getsockname()
    match server:
        case UnixServer():
            return listener.family == socket.AF_UNIX and os.fsdecode(address) == server.path
        case TcpServer():
            if listener.family not in (socket.AF_INET, socket.AF_INET6):
                return False
            return bool(address[1] == server.port) and _is_host(server.host, address[0])


def _is_host(configured: str, listening: str) -> bool:
    """Whether this is the address that bind(2) would have taken for that host."""
    bare = configured.removeprefix("[").removesuffix("]")
    if bare in _EVERYWHERE:  # systemd listens on [::], for version 4 too
        return listening in _EVERYWHERE
    try:
        return ipaddress.ip_address(bare) == ipaddress.ip_address(listening)
    except ValueError:
        pass
    try:
        return socket.gethostbyname(bare) == listening
    except OSError:
        return False
