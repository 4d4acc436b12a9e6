"""What one life of the daemon hands to the next, when it is told to reload."""

import contextlib
import socket
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Self

from opsvisor.api.server import BindError, bind, fail_without_interface, listener_of
from opsvisor.config.addresses import Address, address_of
from opsvisor.config.problems import OpsvisorError
from opsvisor.config.settings import Loaded, TcpServer, UnixServer
from opsvisor.core.struct import Struct, field
from opsvisor.daemon.hand_over import HandOver


class Serials(Struct):
    """0, 1, 2 ... from `next_number` on, which can be looked at."""

    next_number: int = 0

    def __iter__(self) -> Self:
        """They are counted in one place, whoever asks."""
        return self

    def __next__(self) -> int:
        """The next one."""
        self.next_number += 1
        return self.next_number - 1


class Successor(Struct, frozen=True):
    """What the next life begins with: a configuration, and sockets that listen already, by name.

    `event_serials` number what other edges tell, through all lives. `hand_over` is what another
    process knew that became this one. `last` is what was in force before; `failure` is why a
    life from what is in the files now could not begin, if this is what was in force before it.
    """

    loaded: Loaded
    listeners: dict[str, socket.socket]
    event_serials: Serials = field(default_factory=Serials)
    hand_over: HandOver | None = None
    last: Loaded | None = None
    failure: OpsvisorError | None = None

    def instead(self, failure: OpsvisorError) -> "Successor":
        """What to begin with as this can't be begun with. Raises that if there is nothing."""
        self.close()
        if self.last is None:
            raise failure
        return Successor(self.last, {}, self.event_serials, failure=failure)

    def close(self) -> None:
        """Give up its sockets, which nobody will serve."""
        give_up(self.listeners)


def listen_ahead(
    coming: Iterable[UnixServer | TcpServer], ours: Collection[Address]
) -> dict[str, socket.socket]:
    """Listen now for servers of the next life; the sockets by name. BindError, and none is open.

    Where we listen ourselves the address is ours to take again. On another interface of that port
    it is not ours, but perhaps can't be taken yet: names and addresses may mean the same.
    """
    ports = {one.port for one in ours if one.port}
    listeners: dict[str, socket.socket] = {}
    try:
        for server in coming:
            wanted = address_of(server)
            if wanted in ours:
                continue
            if wanted.port in ports:
                fail_without_interface(server)
            else:
                listeners[listener_of(server)] = bind(server)
    except BindError:
        give_up(listeners)
        raise
    return listeners


def give_up(listeners: dict[str, socket.socket]) -> None:
    """Listen no more, and leave nothing behind of that."""
    for listener in listeners.values():
        if listener.family is socket.AF_UNIX:
            with contextlib.suppress(OSError):
                Path(listener.getsockname()).unlink()
        listener.close()
