"""Addresses of servers: which of them can't be had at the same time."""

from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import NamedTuple

from opsvisor.config.settings import TcpServer, UnixServer

__all__ = ["Address", "address_in", "address_of", "rivals"]

_ALL_OF_IPV4 = "0.0.0.0"  # noqa: S104 - compared, not bound
_ALL_OF_IPV6 = "::"  # those of IPv4 as well, unless net.ipv6.bindv6only says otherwise: ipv6(7)
_SAME = {"": _ALL_OF_IPV4, "*": _ALL_OF_IPV4, "localhost": "127.0.0.1"}


class Address(NamedTuple):
    """A path, or (with a port) a host, as somebody wrote it. Port 0 is any that is free."""

    place: str
    port: int | None = None

    def overlaps(self, other: "Address") -> bool:
        """Whether who listens at one of them keeps others from the other one, without doubt."""
        if self.port != other.port or self.port == 0:
            return False
        one, another = self.host, other.host
        if one == another or self.port is None:
            return one == another
        return _has(one, another) or _has(another, one)

    @property
    def host(self) -> str:
        """The same for all ways of writing it, as far as nobody has to be asked."""
        host = self.place.removeprefix("[").removesuffix("]").lower()
        return self.place if self.port is None else _SAME.get(host, host)


def address_of(server: UnixServer | TcpServer) -> Address:
    """Where this server listens."""
    if isinstance(server, UnixServer):
        return Address(server.path)
    return Address(server.host, server.port)


def address_in(url: str) -> Address:
    """Where a server with this URL listens: `unix:///path` or `http://host:port`."""
    scheme, _, place = url.partition("://")
    if scheme == "unix":
        return Address(place)
    host, _, port = place.rpartition(":")
    return Address(host, int(port))


def rivals(
    servers: Iterable[UnixServer | TcpServer],
) -> Iterator[tuple[UnixServer | TcpServer, UnixServer | TcpServer]]:
    """Which of these servers keep each other from listening, in their order."""
    for first, second in combinations(servers, 2):
        if address_of(first).overlaps(address_of(second)):
            yield first, second


def _has(all_of: str, host: str) -> bool:
    return all_of == (_ALL_OF_IPV6 if ":" in host else _ALL_OF_IPV4)
