"""`why` for a terminal: the same facts as `postmortem`, with colours where the eye should go."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from opsvisor.ctl import postmortem, render
from opsvisor.ctl.table import STATE_STYLES
from opsvisor.wire import History, Run


def print_history(history: History, now: float) -> None:
    """Print the screen. `now` is Unix time."""
    console = Console(highlight=False)
    console.print(_summary(history, now))
    _print_section(console, "Policy", _bullets(history.policy))
    _print_section(console, "Last runs, newest first", _runs(history.runs))
    if tail := postmortem.last_words(history.runs):
        run, name, said = tail
        title = f"Last lines of {name}, run of {render.clock(run.started_at)}"
        _print_section(console, title, Text("\n".join(said), style="red"))
    _print_section(console, "What to do", _bullets(history.hints))


def _summary(history: History, now: float) -> Panel:
    status = history.status
    style = STATE_STYLES.get(status.state, "")
    parts: list[RenderableType] = [Text(render.printable(status.reason) or "no reason is known")]
    parts += [Text(fact, style="yellow") for fact in postmortem.facts(status)]
    parts += [Text(), Text("Next: ", style="bold") + Text(postmortem.what_next(history))]
    title = Text(postmortem.headline(status, now), style=style)
    return Panel(Group(*parts), title=title, title_align="left", border_style=style)


def _runs(runs: Sequence[Run]) -> RenderableType:
    if not runs:
        return Text("none has ended yet", style="dim")
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)
    table.add_column("Started", no_wrap=True)
    table.add_column("Uptime", justify="right", no_wrap=True)
    table.add_column("How it ended")
    table.add_column("What followed")
    for run, row in zip(runs, postmortem.run_rows(runs), strict=False):
        started, uptime, outcome, decision = row
        style = "" if run.expected else "red"
        table.add_row(started, uptime, Text(outcome, style=style), Text(decision))
    return table


def _bullets(sentences: Sequence[str]) -> Text | None:
    return Text("\n".join(f"• {sentence}" for sentence in sentences)) if sentences else None


def _print_section(console: Console, title: str, body: RenderableType | None) -> None:
    if body is not None:
        console.print(Text(title, style="bold"))
        console.print(Padding(body, (0, 0, 1, 2)))
