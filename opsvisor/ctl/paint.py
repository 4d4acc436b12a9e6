"""`diff` for a terminal: coloured as everybody knows it from diffs."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from opsvisor.ctl import render
from opsvisor.ctl.changes import Kind, Line

_STYLES = {
    Kind.ADDED: "green",
    Kind.CHANGED: "yellow",
    Kind.REMOVED: "red",
    Kind.BESIDE: "bright_black",
}


def print_changes(lines: Sequence[Line]) -> None:
    """Print all lines, the processes themselves in bold."""
    console = Console(highlight=False)
    for line in lines:
        style = _STYLES[line.kind] if line.depth else f"bold {_STYLES[line.kind]}"
        console.print(Text(render.printable(line.shown), style=style), soft_wrap=True)
