"""What a shell offers for the word under the cursor: the answer to the scripts of `completion`.

A script asks with the line up to the cursor in COMP_WORDS, and is answered with a line for each
offer: its kind (`word`, or `file` for the shell's own search), the word, and what it means,
separated by tabs. A shell pastes an offer into the command line, so nothing is offered that could
be anything but a name there, whatever programs are called.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import click
from click.shell_completion import split_arg_string

from opsvisor.client import Client
from opsvisor.ctl.completion import ask_names, candidates
from opsvisor.ctl.registry import COMMANDS, Follows

_HARMLESS = re.compile(r"[\w@%+=:,./*?~\[\]-]+")
_FILES = frozenset(
    {
        *("-c", "--configuration", "-r", "--history_file", "--history-file"),
        *("--token-file", "--ca-file", "--cert", "--key"),
    }
)

# A client for what the options say, None where they make no sense.
Connect = Callable[[Mapping[str, Any]], Client | None]


class Offer(NamedTuple):
    """One thing that may stand there."""

    kind: str  # word | file
    word: str
    says: str = ""

    @property
    def line(self) -> str:
        """As the scripts read it."""
        return f"{self.kind}\t{self.word}\t{self.says}"


def offers(line: str, program: click.Command, connect: Connect) -> list[Offer]:
    """Everything that may stand where the line ends, by the beginning of the word there."""
    typed = split_arg_string(line)[1:]
    begun = "" if line[-1:].isspace() or not typed else typed.pop()
    try:
        context = program.make_context(program.name, list(typed), resilient_parsing=True)
    except click.ClickException:
        return []
    words: tuple[str, ...] = context.params.get("words") or ()
    found = _of_program(program, typed, begun) if not words else None
    if found is None:
        found = list(_of_command(words, begun, context.params, connect))
    return [one for one in found if one.kind == "file" or _may_be_pasted(one.word, begun)]


def _may_be_pasted(word: str, begun: str) -> bool:
    return word.startswith(begun) and _HARMLESS.fullmatch(word) is not None


def _of_program(program: click.Command, typed: Sequence[str], begun: str) -> list[Offer] | None:
    """Options of opsvisorctl itself, or their values; None where a command is to come."""
    options = [one for one in program.params if isinstance(one, click.Option)]
    if typed and typed[-1] in _FILES:
        return [Offer("file", begun)]
    if any(typed[-1:] == [name] for one in options if not one.is_flag for name in one.opts):
        return []
    if begun.startswith("-"):
        return [Offer("word", name, one.help or "") for one in options for name in one.opts]
    return None


def _of_command(
    words: Sequence[str], begun: str, given: Mapping[str, Any], connect: Connect
) -> Iterator[Offer]:
    """Commands, or what follows one."""
    if not words:
        yield from (Offer("word", one.name, one.summary) for one in COMMANDS.values())
        return
    command = COMMANDS.get(words[0])
    if command is not None and command.follows is Follows.FILE and not begun.startswith("-"):
        yield Offer("file", begun)
        return
    option, equals, value = begun.partition("=")
    if equals and option.startswith("-"):
        words, head = [*words, option], f"{option}="
    else:
        value, head = begun, ""

    def ask(kind: Follows) -> list[str]:
        client = connect(given)
        if client is None:
            return []
        with client:
            return ask_names(client, kind)

    says = {one.name: one.says for one in command.options} if command is not None else {}
    for word in candidates(
        words, lambda: ask(Follows.PROCESSES), lambda: ask(Follows.GROUPS), value
    ):
        yield Offer("word", f"{head}{word}", says.get(word, ""))
