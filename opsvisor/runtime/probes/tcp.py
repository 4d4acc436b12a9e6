"""The tcp probe: does anybody accept a connection?"""

import asyncio

from opsvisor.core.probes import TcpProbe
from opsvisor.runtime.probes.answers import Answer, refused
from opsvisor.runtime.probes.connections import connect
from opsvisor.runtime.probes.names import Names


async def ask(probe: TcpProbe, names: Names) -> Answer:
    """Connect, and hang up."""
    try:
        transport = await connect(asyncio.Protocol, probe.host, probe.port, names=names)
    except OSError as error:
        return refused(error)
    transport.abort()
    return Answer(ok=True, detail="connected")
