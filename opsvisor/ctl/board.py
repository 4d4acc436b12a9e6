"""`metrics` for a terminal: one line for each subject, with colours where the eye should go."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from opsvisor.ctl import render
from opsvisor.ctl.readings import Line
from opsvisor.ctl.table import state_text


def print_board(name: str, state: str, lines: Sequence[Line]) -> None:
    """Print a heading, then a line for each subject."""
    console = Console(highlight=False)
    console.print(Text(render.printable(name), style="bold") + Text("  ") + state_text(state))
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for line in lines:
        style = "yellow" if line.is_alarming else ""
        facts = Text(" · ").join(Text(render.printable(fact), style=style) for fact in line.facts)
        table.add_row(Text(f"  {line.subject}", style="dim"), facts)
    console.print(table)
