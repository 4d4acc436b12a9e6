"""Connections to what is probed."""

import asyncio
import ssl
from collections.abc import Callable

from opsvisor.runtime.probes.names import Names


async def connect(
    protocol: Callable[[], asyncio.BaseProtocol],
    host: str,
    port: int,
    *,
    names: Names,
    tls: ssl.SSLContext | None = None,
) -> asyncio.Transport:
    """Connect, to each address of the host in turn. OSError if nobody answers there."""
    loop = asyncio.get_running_loop()
    first_error: OSError | None = None
    for address in await names.addresses(host):
        try:
            transport, _ = await loop.create_connection(
                protocol, address, port, ssl=tls, server_hostname=host if tls else None
            )
        except OSError as error:
            first_error = first_error or error
        else:
            return transport
    assert first_error is not None
    raise first_error
