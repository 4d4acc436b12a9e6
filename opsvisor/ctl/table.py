"""`status` for a terminal: a table with colours."""

import time
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from opsvisor.ctl import render
from opsvisor.wire import ProcessStatus

STATE_STYLES = {
    "RUNNING": "green",
    "STARTING": "cyan",
    "STOPPING": "cyan",
    "BACKOFF": "yellow",
    "FATAL": "bold red",
    "UNKNOWN": "bold red",
    "EXITED": "blue",
    "STOPPED": "bright_black",
}


def print_status(processes: Sequence[ProcessStatus]) -> None:
    """Print the table, then one line that counts the states."""
    if not processes:
        return
    console = Console(highlight=False)
    console.print(_table(processes, time.time()))
    console.print()
    console.print(_summary(processes))


def _table(processes: Sequence[ProcessStatus], now: float) -> Table:
    retrying = any(one.retry_at for one in processes)
    table = Table(
        box=SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False, padding=(0, 1, 0, 0)
    )
    table.add_column("Name", no_wrap=True)
    table.add_column("State", no_wrap=True)
    table.add_column("For", justify="right", no_wrap=True)
    table.add_column("Restarts", justify="right")
    table.add_column("CPU", justify="right", no_wrap=True)
    table.add_column("RSS", justify="right", no_wrap=True)
    if retrying:
        table.add_column("Next try", justify="right", no_wrap=True)
    table.add_column("Remarks")
    for one in processes:
        table.add_row(*_cells(one, now, retrying=retrying))
    return table


def _cells(one: ProcessStatus, now: float, *, retrying: bool) -> list[Text | str]:
    next_try = f"in {render.short_span(one.retry_at - now)}" if one.retry_at else ""
    return [
        Text(one.name, style="bold" if one.pid else ""),
        state_text(one.state),
        render.short_span(now - one.since) if one.since else "",
        Text(str(one.restarts), style="yellow") if one.restarts else "",
        "" if one.cpu_seconds is None else render.short_span(one.cpu_seconds),
        "" if one.rss_bytes is None else render.size(one.rss_bytes),
        *([Text(next_try, style="yellow")] if retrying else []),
        _remarks(one),
    ]


def state_text(state: str) -> Text:
    """The state in its colour."""
    return Text(state, style=STATE_STYLES.get(state, ""))


def _badges(one: ProcessStatus) -> list[Text]:
    """What an operator must not overlook."""
    return [
        *([Text(" flapping ", style="black on yellow")] if one.flapping else []),
        *([Text(" unhealthy ", style="black on red")] if one.healthy is False else []),
        *([Text(" log problem ", style="black on red")] if one.log_problem else []),
        *([Text(" outlives SIGKILL ", style="black on red")] if one.kills_survived else []),
        *([Text("not ready", style="yellow")] if one.pid and not one.ready else []),
    ]


def _remarks(one: ProcessStatus) -> Text:
    """The badges, then what the state alone doesn't say."""
    match one.state:
        case "RUNNING" | "STARTING" | "STOPPING":
            troubles = render.probe_troubles(one)[:1]
            remark = ", ".join([*([f"pid {one.pid}"] if one.pid else []), *troubles])
        case "STOPPED" | "EXITED":
            remark = one.description if not one.started_at else one.reason
        case _:
            remark = one.spawn_error or one.reason or one.description
    return Text(" ").join([*_badges(one), Text(render.printable(remark), style="dim")])


def _summary(processes: Sequence[ProcessStatus]) -> Text:
    counts = dict[str, int]()
    for one in processes:
        counts[one.state] = counts.get(one.state, 0) + 1
    parts = [
        Text(f"{count} {state.lower()}", style=STATE_STYLES.get(state, ""))
        for state, count in sorted(counts.items(), key=lambda item: -item[1])
    ]
    troubled = [one.name for one in processes if one.state in {"FATAL", "BACKOFF"}]
    hint = f"   why? opsvisorctl why {troubled[0]}" if troubled else ""
    return Text(", ").join(parts) + Text(hint, style="dim")
