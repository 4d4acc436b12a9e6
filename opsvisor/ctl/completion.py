"""What may follow the words typed so far: for the prompt and for shells."""

import signal
from collections.abc import Callable, Sequence

from opsvisor.client import Client
from opsvisor.config.problems import OpsvisorError
from opsvisor.ctl.registry import COMMANDS, Follows

Names = Callable[[], list[str]]

_SIGNALS = sorted(one.name.removeprefix("SIG") for one in signal.Signals)


def candidates(words: Sequence[str], processes: Names, groups: Names) -> list[str]:
    """Every word that may follow `words` (complete ones), whatever it begins with.

    `processes` and `groups` are asked only where they matter: that costs a request.
    """
    if not words:
        return list(COMMANDS)
    command = COMMANDS.get(words[0])
    if command is None:
        return []
    match command.follows:
        case Follows.NOTHING:
            return []
        case Follows.COMMANDS:
            return list(COMMANDS)
        case Follows.GROUPS:
            return groups()
        case Follows.PROCESSES:
            return _processes(processes())
        case Follows.ONE_PROCESS:
            return processes() if len(words) == 1 else []
        case Follows.SIGNAL:
            return _SIGNALS if len(words) == 1 else _processes(processes())
        case Follows.LOG:
            named = [word for word in words[1:] if not word.startswith("-")]
            return ["stdout", "stderr"] if named else processes()


def ask_names(client: Client, kind: Follows) -> list[str]:
    """The names of processes or groups, none where nobody answers: completion never fails."""
    try:
        if kind is Follows.GROUPS:
            return [group.name for group in client.groups().groups]
        return [one.name for one in client.processes().processes]
    except OpsvisorError:
        return []


def _processes(known: list[str]) -> list[str]:
    groups = sorted({name.partition(":")[0] for name in known if ":" in name})
    return [*known, *(f"{group}:*" for group in groups), "all"]
