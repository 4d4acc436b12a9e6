"""Connections to what is probed."""

import asyncio
import errno
import os
import ssl
from collections.abc import Callable
from pathlib import Path

from opsvisor.runtime.probes.names import Names

_IPV6_ADDRESSES = Path("/proc/net/if_inet6")


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
            first_error = first_error or _meant(error, address)
        else:
            return transport
    assert first_error is not None
    raise first_error


def _meant(error: OSError, address: str) -> OSError:
    """What the kernel means by this error.

    Of ::1 on a machine without IPv6, as many containers are, it says the same as when all our
    ports are taken, which would be our own fault (answers.py).
    """
    if error.errno == errno.EADDRNOTAVAIL and ":" in address and not _has_ipv6():
        return OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
    return error


def _has_ipv6() -> bool:
    """Whether any interface has an address of IPv6; no file: the kernel knows none."""
    try:
        return bool(_IPV6_ADDRESSES.read_bytes())
    except OSError:
        return False
