"""Where a command's answer goes: text for scripts, tables for people, or JSON.

A handler says lines and shows wire types; exactly one of the two reaches standard output.
"""

import os
import sys
from collections.abc import Mapping
from enum import Enum

import msgspec

from opsvisor.core.harmless import harmless
from opsvisor.wire import encode


class Format(Enum):
    """Who reads the answer."""

    PLAIN = "plain"  # scripts: supervisorctl's text, byte for byte
    TERMINAL = "terminal"  # people
    JSON = "json"  # programs


class Output:
    """Prints in one format."""

    def __init__(self, form: Format) -> None:
        self.format = form

    @property
    def is_json(self) -> bool:
        """Whether a program reads this."""
        return self.format is Format.JSON

    @property
    def for_people(self) -> bool:
        """Whether a terminal shows this, so that colours and tables are of use."""
        return self.format is Format.TERMINAL

    def say(self, text: str) -> None:
        """Print a line, flushed: the next one may be a minute of waiting away.

        Names in it may be anybody's choice, and are not to command the terminal.
        """
        if not self.is_json:
            sys.stdout.write(f"{harmless(text)}\n")
            sys.stdout.flush()

    def write(self, text: str) -> None:
        """Print a part of a stream as it is."""
        if not self.is_json:
            sys.stdout.write(text)
            sys.stdout.flush()

    def show(self, answer: object) -> None:
        """Print the whole answer as JSON, indented, keys in the order of the wire types."""
        if self.is_json:
            indented = msgspec.json.format(encode(answer), indent=2)
            sys.stdout.write(f"{indented.decode()}\n")
            sys.stdout.flush()

    def show_line(self, answer: msgspec.Struct) -> None:
        """Print one piece of an endless answer as one line of JSON."""
        if self.is_json:
            sys.stdout.write(f"{encode(answer).decode()}\n")
            sys.stdout.flush()

    @property
    def columns(self) -> int | None:
        """How wide the terminal is; None where lines are as long as they come."""
        import shutil  # noqa: PLC0415 - scripts have no screen

        return shutil.get_terminal_size().columns if self.for_people else None

    def hint(self, text: str) -> None:
        """Tell people what to do, on standard error where it disturbs no script."""
        if not self.is_json:
            sys.stderr.write(f"hint: {harmless(text)}\n")
            sys.stderr.flush()

    def remark(self, text: str) -> None:
        """Print a line beside the answer, on standard error."""
        if not self.is_json:
            sys.stderr.write(f"{harmless(text)}\n")
            sys.stderr.flush()


def choose_format(*, json: bool, plain: bool, environ: Mapping[str, str] = os.environ) -> Format:
    """Tables only where a terminal shows them; `json` and `plain` are explicit wishes.

    A dumb terminal gets plain text. NO_COLOR doesn't: it asks for no colours, not for no tables.
    """
    if json:
        return Format.JSON
    if plain or environ.get("TERM") == "dumb" or not sys.stdout.isatty():
        return Format.PLAIN
    return Format.TERMINAL
