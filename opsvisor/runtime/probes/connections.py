"""Connections to what is probed."""

import asyncio
import ssl
from collections.abc import Callable

_LOOPBACK = ("127.0.0.1", "::1")


async def connect(
    protocol: Callable[[], asyncio.BaseProtocol],
    host: str,
    port: int,
    *,
    tls: ssl.SSLContext | None = None,
) -> asyncio.Transport:
    """Connect, to each address of `localhost` in turn. OSError if nobody answers there.

    `localhost` is not looked up (RFC 6761): a name that is costs a thread for as long as its
    server takes, an address costs none.
    """
    loop = asyncio.get_running_loop()
    hosts = _LOOPBACK if host.lower() == "localhost" else (host,)
    first_error: OSError | None = None
    for one in hosts:
        try:
            transport, _ = await loop.create_connection(
                protocol, one, port, ssl=tls, server_hostname=host if tls else None
            )
        except OSError as error:
            first_error = first_error or error
        else:
            return transport
    assert first_error is not None
    raise first_error
