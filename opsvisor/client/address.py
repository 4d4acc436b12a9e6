"""Where a daemon listens, as people write it: `unix:///path`, `http://` or `https://host:port`."""

from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from opsvisor.client.errors import BadUrl

_PORTS = {"http": 80, "https": 443}


# Named tuples: making a dataclass costs opsvisorctl a millisecond of its start.
class UnixAddress(NamedTuple):
    """A unix socket."""

    path: str

    def __str__(self) -> str:
        """`unix:///run/opsvisor/opsvisor.sock`."""
        return f"unix://{self.path}"


class TcpAddress(NamedTuple):
    """A host name or address, IPv6 without brackets, and a port."""

    host: str
    port: int
    is_tls: bool = False

    def __str__(self) -> str:
        """`http://127.0.0.1:9001`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.is_tls else 'http'}://{host}:{self.port}"


Address = UnixAddress | TcpAddress


def parse_url(url: str) -> Address:
    """The address that `url` names. Raises BadUrl, quoting it, but no password."""
    if url.startswith("unix://"):
        return _unix(url)
    if "@" in url:
        raise BadUrl("a URL has no room for a name or a password: say them by -u and -p")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadUrl(f"value {url!r} is not a URL: {error}") from error
    if parts.scheme not in _PORTS or not host:
        raise BadUrl(f"value {url!r} is not a URL")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise BadUrl(f"value {url!r} is not a URL: nothing may follow the port")
    usual = _PORTS[parts.scheme]
    return TcpAddress(host, usual if port is None else port, parts.scheme == "https")


def _unix(url: str) -> UnixAddress:
    path = unquote(url.removeprefix("unix://"))
    if not path.startswith("/"):
        raise BadUrl(f"value {url!r} is not a URL: a socket needs an absolute path")
    return UnixAddress(path)
