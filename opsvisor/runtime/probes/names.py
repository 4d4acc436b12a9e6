"""Looks up the names of hosts, which can take as long as a name server keeps silent."""

import asyncio
import ipaddress
import socket
from contextlib import suppress
from threading import Thread

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
        """All of this host's, the best first. OSError (socket.gaierror) if there are none."""
        if host.lower() == "localhost":
            return _LOOPBACK
        if _is_address(host):
            return (host,)
        looking = self._under_way.get(host)
        if looking is None:
            looking = self._look_up(host)
        return await asyncio.shield(looking)

    def _look_up(self, host: str) -> asyncio.Future[tuple[str, ...]]:
        loop = asyncio.get_running_loop()
        looking: asyncio.Future[tuple[str, ...]] = loop.create_future()
        looking.add_done_callback(asyncio.Future.exception)  # perhaps nobody waits any more

        def found(addresses: tuple[str, ...], error: Exception | None) -> None:
            del self._under_way[host]
            if error is None:
                looking.set_result(addresses)
            else:
                looking.set_exception(error)

        def look() -> None:
            addresses, error = _ask_system(host)
            with suppress(RuntimeError):  # the loop is closed: the daemon has ended or begun anew
                loop.call_soon_threadsafe(found, addresses, error)

        Thread(target=look, name=f"look up {host}", daemon=True).start()
        self._under_way[host] = looking
        return looking


def _ask_system(host: str) -> tuple[tuple[str, ...], Exception | None]:
    try:
        known = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # a name that IDNA can't have is one, too
        return (), error if isinstance(error, OSError) else OSError(f"no host name: {error}")
    return tuple(dict.fromkeys(str(place[0]) for *_, place in known)), None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
