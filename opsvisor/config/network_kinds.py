"""Kinds of values that say where something is on a network, and what is said there."""

import re
from typing import Any

from opsvisor.config.kind import (
    Kind,
    as_array,
    as_filled_text,
    as_table,
    as_text,
    expect,
    read_each,
    show_array,
    show_table,
    show_text,
)
from opsvisor.config.kinds import integer
from opsvisor.config.units import Refused
from opsvisor.core.struct import Struct

_PORT = re.compile(r"\d{1,5}", re.ASCII)
_LAST_COLON = re.compile(r"(?:(.*)(:)(?![^{]*\}))?(.*)", re.DOTALL)
_IN_BRACES = re.compile(r"\{[^}]*\}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # a token of RFC 9110
_HOST_NAME = re.compile(r"[A-Za-z0-9._-]{1,253}")
SOCKET_HINT = 'it looks like "unix:///run/web.sock" or "tcp://127.0.0.1:9000"'
_ENDPOINT_HINT = 'write 8080, "db:5432", "[::1]:5432" or { port = 5432, host = "db" }'


class Endpoint(Struct, frozen=True, kw_only=True):
    """Where a probe connects to, as it was written: both parts may hold names in braces."""

    host: str = "127.0.0.1"
    port: str = ""

    def __str__(self) -> str:
        """As it can be written."""
        return _host_and_port(self.host, self.port)


class Address(Struct, frozen=True, kw_only=True):
    """A TCP address to listen at; `host` "" means all interfaces."""

    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        """As it is written."""
        return _host_and_port(self.host, str(self.port))


def _host_and_port(host: str, port: str) -> str:
    """An IPv6 address goes into brackets; a colon inside braces makes none."""
    return f"[{host}]:{port}" if ":" in _IN_BRACES.sub("", host) else f"{host}:{port}"


def _address(value: Any) -> Address:
    host, colon, port = as_text(value).rpartition(":")
    hint = 'addresses look like "127.0.0.1:9001", "[::1]:9001" or ":9001" for all interfaces'
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise Refused("is not an address", f"an IPv6 address goes into brackets; {hint}")
    if not colon or not _PORT.fullmatch(port) or int(port) > 65535:  # noqa: PLR2004 - a port has 16 bits
        raise Refused("is not an address with a port from 0 to 65535", hint)
    return Address(host="" if host == "*" else host, port=int(port))  # as in Supervisor's files


def _endpoint(value: Any) -> Endpoint:
    if isinstance(value, dict):
        read = read_each(value, _endpoint_part)
        if "port" not in read:
            raise Refused("has no port", _ENDPOINT_HINT)
        return Endpoint(**read)
    if type(value) is not int and not isinstance(value, str):
        raise expect("a port, a string or a table", value, _ENDPOINT_HINT)
    # A colon inside braces belongs to the form of a number: 80{replica:02}.
    host, colon, port = _LAST_COLON.fullmatch(str(value)).groups()  # type: ignore[union-attr]  # it always matches
    if not colon:
        return Endpoint(port=as_filled_text(port))
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in _IN_BRACES.sub("", host):
        raise Refused("is not an address", f"an IPv6 address goes into brackets; {_ENDPOINT_HINT}")
    return Endpoint(host=host or Endpoint().host, port=port)


def _endpoint_part(name: str, value: Any) -> str:
    match name:
        case "host":
            return as_filled_text(value)
        case "port":
            return str(value) if type(value) is int else as_filled_text(value)
        case _:
            raise Refused("is unknown here", _ENDPOINT_HINT)


def _statuses(value: Any) -> frozenset[int]:
    each = [value] if type(value) is int else value
    return frozenset(as_array(each, _HTTP_STATUS.read, "a status or an array of statuses"))


def _headers(value: Any) -> dict[str, str]:
    return as_table(value, _header, "a table of names and values")


def _header(name: str, value: Any) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise Refused(f": {name!r} can't be the name of a header")
    return as_text(value)


def _host_names(value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    wanted = "a name or an array of names"
    return tuple(dict.fromkeys(as_array(names, _host_name, wanted)))


def _host_name(value: Any) -> str:
    if not _HOST_NAME.fullmatch(as_text(value)):
        raise Refused("is no name of a host", 'it looks like "ops.example.org", without a port')
    return str(value).lower()


def _socket(value: Any) -> str:
    if not as_text(value).startswith(("unix://", "tcp://")):
        raise Refused("is no address of a socket", SOCKET_HINT)
    return str(value)


HOST_NAMES = Kind(name="name or array of names", read=_host_names, show=show_array)
SOCKET = Kind(name='"unix://path" or "tcp://host:port"', read=_socket, show=show_text)
ENDPOINT = Kind(
    name='port, "host:port" or { port, host }',
    read=_endpoint,
    show=lambda endpoint: f'"{endpoint}"',
)
_HTTP_STATUS = integer(100, 599)
HTTP_STATUSES = Kind(name="status or array of statuses", read=_statuses, show=show_array)
HTTP_HEADERS = Kind(name="table of strings", read=_headers, show=show_table, secret=True)
ADDRESS = Kind(name='"host:port"', read=_address, show=lambda address: f'"{address}"')
