"""Our own addresses outlive us: while there is no daemon, the keeper holds our listening sockets.

Who connects meanwhile waits in the backlog, for the next daemon with the same address.
"""

import contextlib
import os
import socket
from collections.abc import Sequence

from opsvisor.api.server import HttpServer, listener_of
from opsvisor.config.settings import UnixServer
from opsvisor.runtime.keeper import Keeper, names


async def take_back(servers: Sequence[HttpServer], keeper: Keeper) -> None:
    """Give the servers what was kept of them, and free all other addresses that were.

    Before they listen: who has a port by another address would not get it.
    """
    for server in servers:
        name = _name_of(server)
        if name and not server.is_listening and (kept := keeper.claim(name)) is not None:
            listener = socket.socket(fileno=kept)
            try:
                server.take_back(listener)
            except OSError:  # no listener, or its file isn't ours any more
                keeper.drop(name)
                listener.close()
    # After an upgrade all that is held is claimed, and the configuration may be another one.
    ours = {_name_of(server) for server in servers}
    unclaimed = keeper.unclaimed
    others = [
        name
        for name in keeper.kept
        if name.startswith(names.LISTENER) and (name in unclaimed or name not in ours)
    ]
    for name in others:
        descriptor = keeper.claim(name)
        if descriptor is not None:
            os.close(descriptor)
    keeper.drop(*others)
    if others:
        await keeper.settle()


def keep(servers: Sequence[HttpServer], keeper: Keeper) -> None:
    """Have kept what they listen on, unless somebody else keeps it for us; and nothing else.

    After an upgrade it may hold an address that no server has any more.
    """
    listeners = {_name_of(one): one.listener.fileno() for one in servers if not one.is_passed}
    before = [name for name in keeper.kept if name.startswith(names.LISTENER)]
    keeper.drop(*[name for name in before if name not in listeners])
    keeper.keep_all({name: listener for name, listener in listeners.items() if name})


def _name_of(server: HttpServer) -> str:
    """What the keeper calls it, "" if it has no address.

    A unix socket can be reached as long as its file is there, hence which file that is.
    """
    name = f"{names.LISTENER}{listener_of(server.settings)}"
    if not isinstance(server.settings, UnixServer):
        return name
    with contextlib.suppress(OSError):
        return f"{name}#{os.lstat(server.settings.path).st_ino}"
    return ""
