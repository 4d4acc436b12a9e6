"""What one life of the daemon hands to the next, when it is told to reload."""

import itertools
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from opsvisor.api.server import BindError, bind, url_of
from opsvisor.config.settings import Loaded, TcpServer, UnixServer


@dataclass(frozen=True, slots=True)
class Successor:
    """What the next life begins with: a configuration, and sockets that listen already, by URL.

    `event_serials` number what other edges tell, through all lives.
    """

    loaded: Loaded
    listeners: dict[str, socket.socket]
    event_serials: Iterator[int] = field(default_factory=itertools.count)

    def close(self) -> None:
        """Give up its sockets, which nobody will serve."""
        _close_all(self.listeners)


def listen_ahead(
    coming: Iterable[UnixServer | TcpServer], ours: Iterable[UnixServer | TcpServer]
) -> dict[str, socket.socket]:
    """Listen now for servers of the next life; the sockets by URL. BindError, and none is open.

    Where we listen ourselves the address is ours to take again.
    """
    taken = {_address_of(server) for server in ours}
    listeners: dict[str, socket.socket] = {}
    try:
        for server in coming:
            if _address_of(server) not in taken:
                listeners[url_of(server)] = bind(server)
    except BindError:
        _close_all(listeners)
        raise
    return listeners


def _address_of(server: UnixServer | TcpServer) -> str | int:
    """What can be taken only once: a path, or a port on whichever interfaces."""
    return server.path if isinstance(server, UnixServer) else server.port


def _close_all(listeners: dict[str, socket.socket]) -> None:
    for listener in listeners.values():
        listener.close()
