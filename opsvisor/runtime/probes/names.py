"""Looks up the names of hosts, which can take as long as a name server keeps silent."""

import asyncio
import ipaddress
import socket
from functools import partial

from opsvisor.runtime.workers import begin_apart

# RFC 6761: it is what it is, and no name server is asked for it.
_LOOPBACK = ("127.0.0.1", "::1")


class Names:
    """Finds the addresses of hosts. `localhost` and addresses cost nothing.

    Any other name costs a thread until its server answers or the resolver gives up, which is half
    a minute and longer than any probe waits. So each name is looked up once at a time, whoever
    asks, and not in the loop's own few threads: logs are read in those. Nobody waits for such a
    thread at the end of the daemon either.
    """

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Future[tuple[str, ...]]] = {}

    async def addresses(self, host: str) -> tuple[str, ...]:
        """All of this host's, the best first. OSError (socket.gaierror) if there are none.

        Also if no thread can be made to ask.
        """
        if host.lower() == "localhost":
            return _LOOPBACK
        if _is_address(host):
            return (host,)
        looking = self._under_way.get(host)
        if looking is None:
            looking = self._look_up(host)
        return await asyncio.shield(looking)

    def _look_up(self, host: str) -> asyncio.Future[tuple[str, ...]]:
        looking = begin_apart(partial(_ask_system, host), f"look up {host}")
        self._under_way[host] = looking
        looking.add_done_callback(lambda _: self._under_way.pop(host))
        return looking


def _ask_system(host: str) -> tuple[str, ...]:
    try:
        known = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a name that IDNA can't have is none, too
        raise OSError(f"no host name: {error}") from error
    return tuple(dict.fromkeys(str(place[0]) for *_, place in known))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
