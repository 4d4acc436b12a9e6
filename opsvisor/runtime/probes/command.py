"""The exec probe: how does a command end?"""

from opsvisor.core.outcome import Outcome
from opsvisor.core.probes import ExecProbe
from opsvisor.core.spec import ProcessSpec, StdinMode
from opsvisor.core.struct import replace
from opsvisor.runtime.probes.answers import Answer, quoted, refused
from opsvisor.runtime.probes.commands import Commands
from opsvisor.runtime.spawn import SpawnError


async def ask(probe: ExecProbe, process: ProcessSpec, commands: Commands) -> Answer:
    """Run the command as the process is run: its user, directory, environment and limits."""
    spec = replace(
        process,
        argv=probe.argv,
        command_problem="",
        new_session=False,
        stdin=StdinMode.NULL,
        socket=None,
    )
    try:
        outcome, said = await commands.run(spec)
    except SpawnError as error:
        if isinstance(error.__cause__, OSError):
            refused(error.__cause__)  # says so if the fault is ours
        return Answer(ok=False, detail=quoted(error.reason))
    except OSError as error:
        return refused(error)
    last_line = quoted(said.decode(errors="replace").rstrip().rpartition("\n")[2])
    return Answer(
        ok=outcome.code == 0, detail=": ".join(filter(None, (_ended(outcome), last_line)))
    )


def _ended(outcome: Outcome) -> str:
    return str(outcome) if outcome.code is None else f"exit {outcome.code}"
