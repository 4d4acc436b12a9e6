"""By which names a server may be asked, and from whose pages."""

import asyncio
import ipaddress
import platform
import socket

from aiohttp import web

from opsvisor.api.route import READING
from opsvisor.config.listening import is_loopback
from opsvisor.config.settings import TcpServer
from opsvisor.runtime.workers import begin_apart

_NAME_LASTS = 60.0  # seconds: a machine may get its full name only when its network is up


class Hosts:
    """The names by which one server may be asked.

    A name of somebody else's that resolves to 127.0.0.1 (DNS rebinding) lets a web page speak to
    a server on this machine that asks for no password. Addresses can't be rebound; `localhost`,
    the configured host and the machine's own names belong to whoever runs it, and so do `hosts`,
    if somebody has told them. If not, a server that is there for everybody on the network
    (`allow_anonymous`) is asked by names we can't know; only what a web page sends to change
    something must name it as above even there.
    """

    def __init__(self, server: TcpServer) -> None:
        self._names = {"localhost", server.host.lower(), *server.hosts}
        is_local = is_loopback(server.host)
        self._is_for_all = server.allow_anonymous and not is_local and not server.hosts
        self._full_name: asyncio.Future[str] | None = None
        self._resolved_at = 0.0

    async def expects(self, request: web.Request) -> bool:
        """Whether the Host header names this server by address, or by a name that is its own."""
        named = request.headers.get("Host")
        if named is None:
            return True  # it is no browser
        if self._is_for_all and "Origin" not in request.headers:
            return True
        host = (named if named.endswith("]") else named.rsplit(":", 1)[0]).strip("[]").lower()
        if host in self._names or host == platform.node().lower() or is_address(host):
            return True
        # Resolving our own name may ask a name server: only for those who call us by it.
        try:
            return host == (await self._resolve()).lower()
        except OSError:
            return False

    async def _resolve(self) -> str:
        """The machine's full name, as a name server has it or had it a short while ago.

        Anybody can have it asked for, and it takes a thread. So only one is ever taken, even by
        clients who don't wait for their answer. OSError if there can't be one.
        """
        loop = asyncio.get_running_loop()
        asked = self._full_name
        is_old = loop.time() - self._resolved_at >= _NAME_LASTS
        if asked is None or (asked.done() and is_old):
            asked = self._full_name = begin_apart(socket.getfqdn, "own name")
            self._resolved_at = loop.time()
        return await asyncio.shield(asked)


def is_foreign(request: web.Request) -> bool:
    """Whether a browser says that a page of another origin sent this, or leads here.

    Where it does not say (without TLS it does so to localhost only), this is False.
    """
    return request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none")


def is_for_a_foreign_page(request: web.Request) -> bool:
    """Whether a page of another origin asks for this, to have it in itself or to see if it can.

    It may read nothing of that, but it could learn by trying: what is answered in how long, what
    is found and what is not (Fetch Metadata, W3C). And a stream would keep a connection. Who
    follows a link from there is no such page.
    """
    if not is_foreign(request):
        return False
    mode, dest = (request.headers.get(f"Sec-Fetch-{name}") for name in ("Mode", "Dest"))
    return request.method not in READING or mode != "navigate" or dest != "document"


def is_own_origin(request: web.Request) -> bool:
    """Whether no web page sent this, or one that this very server gave out.

    Browsers send Origin with every request that could change something (Fetch, 3.1), and no page
    can forge it. Where TLS is taken off in front of us the scheme differs, so it is not compared;
    and where a proxy asks for us by another name, the browser itself may know (Sec-Fetch-Site).
    """
    if request.headers.get("Sec-Fetch-Site") == "same-origin":
        return True
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    _, _, place = origin.partition("://")
    return place != "" and place == request.headers.get("Host")


def is_address(host: str) -> bool:
    """Whether this is an address and no name: 4 or 6, without brackets."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
