"""Where somebody listens: which addresses are of use, and how those of programs are written."""

import ipaddress
import os

from opsvisor.config.network_kinds import ADDRESS, SOCKET_HINT, Address
from opsvisor.config.schema_streams import SocketOptions
from opsvisor.config.units import Refused
from opsvisor.core.spec import SocketSpec, TcpSocketSpec, UnixSocketSpec

_PATH_MAX = 107  # sun_path in unix(7), less the NUL at its end
PATH_HINT = f"the kernel takes {_PATH_MAX} bytes"


def read(url: str, options: SocketOptions, owner: tuple[int, int] | None) -> SocketSpec:
    """The socket at `url`, with what else is said of it. Raises Refused."""
    kind, _, place = url.partition("://")
    if kind == "unix":
        return _unix(place, options, owner)
    address: Address = ADDRESS.read(place)
    if not address.port:
        raise Refused("has no port that could be told to anybody", SOCKET_HINT)
    return TcpSocketSpec(host=address.host.lower(), port=address.port, backlog=options.backlog)


def is_too_long(path: str) -> bool:
    """Whether the kernel takes no socket of this path."""
    return len(os.fsencode(path)) > _PATH_MAX


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to an address of this host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _unix(path: str, options: SocketOptions, owner: tuple[int, int] | None) -> UnixSocketSpec:
    if not path.startswith("/"):
        raise Refused("is not an absolute path", SOCKET_HINT)
    if is_too_long(path):
        raise Refused("is too long for a socket", PATH_HINT)
    return UnixSocketSpec(
        path=os.path.normpath(path), mode=options.mode, owner=owner, backlog=options.backlog
    )
