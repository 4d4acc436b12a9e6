"""Which module asks which kind of probe."""

from typing import assert_never

from opsvisor.core.probes import ExecProbe, HttpProbe, ProbeHandler, TcpProbe
from opsvisor.core.spec import ProcessSpec
from opsvisor.runtime.probes import command, http, tcp
from opsvisor.runtime.probes.answers import Answer
from opsvisor.runtime.probes.commands import Commands
from opsvisor.runtime.probes.names import Names


async def ask(
    handler: ProbeHandler, process: ProcessSpec, *, commands: Commands, names: Names
) -> Answer:
    """Ask once. CannotAskError if that can't be done, through no fault of the process."""
    match handler:
        case ExecProbe():
            return await command.ask(handler, process, commands)
        case HttpProbe():
            return await http.ask(handler, names)
        case TcpProbe():
            return await tcp.ask(handler, names)
        case never:
            assert_never(never)
