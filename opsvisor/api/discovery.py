"""Where Prometheus finds this daemon's metrics, in the JSON of its http_sd_config.

The best that is known about an address is that somebody has just come by it. So whoever asks is
sent to where they asked, or where a proxy says that they did. A listener for metrics is named
instead where it can be reached from there: at another port of the same machine.
"""

import ipaddress
import platform
import re
from typing import NamedTuple

from aiohttp import web

from opsvisor import wire
from opsvisor.api.context import CONTROL
from opsvisor.api.hosts import is_address
from opsvisor.config.listening import is_loopback
from opsvisor.config.settings import DaemonSettings, TcpServer

_PLACE = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(?::(?P<port>[0-9]{1,5}))?"
)
_PORTS = {"http": 80, "https": 443}
_ANY_PORT = range(1, 1 << 16)


class _Place(NamedTuple):
    """Where somebody can be asked. An IPv6 address has no brackets here."""

    host: str
    port: int
    scheme: str = "http"

    @property
    def target(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


async def list_targets(request: web.Request) -> web.Response:
    """This daemon as a target of Prometheus, where whoever asks can reach it."""
    settings = request.app[CONTROL].configuration.settings
    place = _by_proxy(request) or _on_tcp(request, settings) or _on_unix(settings)
    found = [] if place is None else [_target(request, settings, place)]
    return web.Response(
        body=wire.encode(found),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def _target(request: web.Request, settings: DaemonSettings, place: _Place) -> wire.TargetGroup:
    labels = {
        "__meta_opsvisor_identifier": settings.identifier,
        "__meta_opsvisor_host": platform.node(),
        "__meta_opsvisor_version": request.app[CONTROL].version,
    }
    if place.scheme != "http":
        labels["__scheme__"] = place.scheme
    return wire.TargetGroup(targets=[place.target], labels=labels)


def _by_proxy(request: web.Request) -> _Place | None:
    """Where a proxy in front of us was asked, if it says so."""
    hosts = request.headers.get("X-Forwarded-Host")
    if hosts is None:
        return None
    # Each proxy on the way adds to the right.
    scheme = request.headers.get("X-Forwarded-Proto", "http").split(",")[0].strip().lower()
    return _read(hosts.split(",")[0].strip(), scheme if scheme in _PORTS else "http")


def _on_tcp(request: web.Request, settings: DaemonSettings) -> _Place | None:
    """Where we are asked, or the listener for metrics if it can be reached from there."""
    ours = request.transport.get_extra_info("sockname") if request.transport else None
    if not isinstance(ours, tuple):  # of a unix socket it is a path
        return None
    asked = _read(request.headers.get("Host", ""), request.scheme)
    asked = asked or _Place(ours[0], ours[1], request.scheme)
    metrics = settings.metrics.server
    if metrics is None or not metrics.port:
        return asked
    if is_loopback(metrics.host) and not is_loopback(asked.host):
        return asked
    host = asked.host if _is_any(metrics.host) else _bare(metrics.host)
    return _Place(host, metrics.port, _scheme(metrics))


def _on_unix(settings: DaemonSettings) -> _Place | None:
    """Where we are on TCP, for whoever asks on a unix socket; None if we are not."""
    servers = [server for server in reversed(settings.listeners) if isinstance(server, TcpServer)]
    for server in servers:
        if server.port:
            host = platform.node() if _is_any(server.host) else _bare(server.host)
            return _Place(host, server.port, _scheme(server))
    return None


def _scheme(server: TcpServer) -> str:
    return "http" if server.tls is None else "https"


def _read(text: str, scheme: str) -> _Place | None:
    """Host and port as they stand in a header; None if that is no place."""
    found = _PLACE.fullmatch(text)
    if found is None:
        return None
    host, port = _bare(found["host"]), int(found["port"] or _PORTS[scheme])
    # Prometheus drops a whole answer for one target that it can't parse.
    if port not in _ANY_PORT or (host != found["host"] and not is_address(host)):
        return None
    return _Place(host, port, scheme)


def _bare(host: str) -> str:
    return host.removeprefix("[").removesuffix("]")


def _is_any(host: str) -> bool:
    """Whether a server of this host listens on all interfaces."""
    try:
        return not host or ipaddress.ip_address(_bare(host)).is_unspecified
    except ValueError:
        return False
