"""The tcp probe: does anybody accept a connection?"""

import asyncio

from opsvisor.core.probes import TcpProbe
from opsvisor.runtime.probes.answers import Answer, refused
from opsvisor.runtime.probes.connections import connect


async def ask(probe: TcpProbe) -> Answer:
    """Connect, and hang up."""
    try:
        transport = await connect(asyncio.Protocol, probe.host, probe.port)
    except OSError as error:
        return refused(error)
    transport.abort()
    return Answer(ok=True, detail="connected")
