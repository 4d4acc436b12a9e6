"""What may follow the words typed so far: for the prompt and for shells."""

import signal
from collections.abc import Callable, Sequence

from opsvisor.client import Client
from opsvisor.config.problems import OpsvisorError
from opsvisor.ctl.registry import COMMANDS, Command, Follows, Option

SHELLS = ("bash", "zsh", "fish")
Names = Callable[[], list[str]]

_SIGNALS = sorted(one.name.removeprefix("SIG") for one in signal.Signals)


def candidates(
    words: Sequence[str], processes: Names, groups: Names, begun: str = ""
) -> list[str]:
    """Every word that may follow `words` (complete ones); of `begun` only a dash matters.

    `processes` and `groups` are asked only where they matter: that costs a request.
    """
    if not words:
        return list(COMMANDS)
    command = COMMANDS.get(words[0])
    if command is None:
        return []
    if (option := _open_option(command, words)) is not None:
        return list(option.choices)
    if begun.startswith("-"):
        return [
            option.name
            for option in command.options
            if not {option.name, option.short}.intersection(words)
        ]
    return _arguments(command, _without_options(command, words), processes, groups)


def _open_option(command: Command, words: Sequence[str]) -> Option | None:
    """The option that the next word is the value of."""
    option = _spelt(command).get(words[-1])
    return option if option is not None and option.value else None


def _spelt(command: Command) -> dict[str, Option]:
    """Its options by every name they have."""
    return {
        name: option for option in command.options for name in (option.name, option.short) if name
    }


def _without_options(command: Command, words: Sequence[str]) -> list[str]:
    """The words that are neither options of the command nor their values."""
    known = _spelt(command)
    rest, is_value = list[str](), False
    for word in words:
        name, equals, _ = word.partition("=")
        option = known.get(name)
        if not is_value and option is None:
            rest.append(word)
        is_value = not is_value and option is not None and bool(option.value) and not equals
    return rest


def _arguments(
    command: Command, words: Sequence[str], processes: Names, groups: Names
) -> list[str]:
    match command.follows:
        case Follows.NOTHING | Follows.FILE:  # files are the shell's task
            return []
        case Follows.SHELL:
            return list(SHELLS) if len(words) == 1 else []
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
