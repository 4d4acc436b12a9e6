"""One user at one daemon: runs command lines, and turns every failure into text and a status."""

import sys
from collections.abc import Callable, Sequence
from getpass import getpass
from importlib import import_module
from typing import Protocol, cast

from opsvisor.client import ApiError, Client, NoDaemon, Unauthorized
from opsvisor.ctl import failures
from opsvisor.ctl.exit_codes import Exit
from opsvisor.ctl.output import Format, Output
from opsvisor.ctl.registry import COMMANDS, Command

_FLAGS = {"--json": Format.JSON, "--plain": Format.PLAIN}


class BadArguments(Exception):  # noqa: N818 - the name says what happened
    """The words after a command make no sense. `with_help` adds the help of the command."""

    def __init__(
        self,
        text: str,
        *,
        status: int = Exit.FAILED,
        with_help: bool = True,
        prefix: str = "Error: ",
    ) -> None:
        self.status = status
        self.with_help = with_help
        super().__init__(f"{prefix}{text}")


NO_THREAD = "no thread can be made here: too many processes (ulimit -u)"


def start_thread(start: Callable[[], object]) -> None:
    """Start one so, for a command that can't do without. BadArguments where none can be made."""
    try:
        start()
    except RuntimeError as error:
        raise BadArguments(NO_THREAD, with_help=False, prefix="ERROR: ") from error


class Leave(Exception):  # noqa: N818 - not an error
    """The user wants to leave the prompt."""


class Session:
    """Everything a command needs. `asks` says whether a person is there to answer questions.

    `found` says in words where the URL came from.
    """

    def __init__(self, client: Client, output: Output, *, asks: bool, found: str) -> None:
        self.client = client
        self.output = output
        self.asks = asks
        self.found = found

    def run(self, words: Sequence[str]) -> int:
        """Carry out one command line and return its exit status."""
        chosen = self.output
        form, words = _take_flags(_in_full(words), chosen.format)
        self.output = Output(form)
        self.client.on_silence(self._tell_of_silence if sys.stderr.isatty() else None)
        try:
            command = COMMANDS.get(words[0])
            if command is None:
                return failures.unknown_command(self.output, " ".join(words))
            if words[1:] == ["--help"]:
                command, words = COMMANDS["help"], ["help", command.name]
            return self._attempt(command, words[1:])
        finally:
            self.output = chosen
            self.client.on_silence(None)

    def open(self, url: str) -> None:
        """Talk to another daemon from now on. Raises BadUrl."""
        client = self.client.elsewhere(url)
        self.client.close()
        self.client = client
        self.found = "as you asked"

    def confirm(self, question: str) -> bool:
        """Ask for a yes where a person is there; scripts mean what they say."""
        if not self.asks:
            return True
        try:
            return input(f"{question} y/N? ").lower().startswith("y")
        except EOFError:
            return False

    def _tell_of_silence(self) -> None:
        self.output.remark(f"waiting for opsvisord at {self.client.url} …")

    def _attempt(self, command: Command, words: list[str]) -> int:
        try:
            return self._attempt_again_with_login(command, words)
        except BadArguments as error:
            help_lines = command.help_within(self.output.columns) if error.with_help else []
            failures.bad_arguments(self.output, str(error), help_lines)
            return error.status
        except NoDaemon as error:
            return failures.no_daemon(self.output, command.name, error, self.found)
        except ApiError as error:
            return failures.refused(self.output, error)

    def _attempt_again_with_login(self, command: Command, words: list[str]) -> int:
        try:
            return _handler(command)(self, words)
        except Unauthorized:
            if not self.asks or self.output.is_json:
                raise
        self.output.say("Server requires authentication")
        try:
            username = input("Username:")
            self.client.login(username, getpass("Password:"))
        except EOFError:
            return Exit.FAILED
        self.output.say("")
        return _handler(command)(self, words)


def _in_full(words: Sequence[str]) -> Sequence[str]:
    """`?` and `?start` ask for help, as in supervisorctl."""
    if not words[0].startswith("?"):
        return words
    topic = words[0].removeprefix("?")
    return ["help", *([topic] if topic else []), *words[1:]]


class Handler(Protocol):
    """Carries out a command with the words that follow it, and returns the exit status."""

    def __call__(self, session: Session, words: list[str]) -> int:
        """May raise BadArguments, Leave, and whatever the client raises."""
        ...


def refuse_words(command: str, words: Sequence[str]) -> None:
    """Raise BadArguments if there are any: the command takes none."""
    if words:
        raise BadArguments(f"{command} accepts no arguments")


def _take_flags(words: Sequence[str], form: Format) -> tuple[Format, list[str]]:
    """`--json` and `--plain` mean the same after a command as before it."""
    for word in words:
        form = _FLAGS.get(word, form)
    return form, [word for word in words if word not in _FLAGS]


def _handler(command: Command) -> Handler:
    module = import_module(f"opsvisor.ctl.commands.{command.home}")
    return cast("Handler", getattr(module, command.name.replace("-", "_")))
