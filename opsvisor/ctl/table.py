"""`status` for a terminal: one line for each process, the worst first, as wide as there is room.

Where the terminal is too narrow for remarks beside the numbers, they go below the line of their
process, and only where something is wrong. What is told of a process is never cut away for want of
width; columns of numbers are, in the order of `Column.gives_way`.
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from opsvisor.ctl import render
from opsvisor.ctl.troubles import (
    Trouble,
    badges_of,
    place_of,
    trouble_of,
    troubled,
    worst_first,
)
from opsvisor.wire import DaemonInfo, ProcessStatus

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
_GAP = "  "
_NAME_MIN = 12  # columns; a longer name is cut in its middle before it gets fewer
_REMARK_MIN = 34  # columns beside the numbers; with fewer, remarks go below
_REMARK_LINES = 2
_PERCENT = 100


class Column(NamedTuple):
    """One column. The lowest `gives_way` is left out first where there is no room, 0 never is."""

    title: str
    cell: Callable[[ProcessStatus, float], Text]
    is_right: bool = True
    gives_way: int = 0
    may_be_empty: bool = True  # then it is left out where no process has anything to say in it


def print_status(processes: Sequence[ProcessStatus], daemon: DaemonInfo) -> None:
    """Print the table, and below it what a look at the whole says and what to do next."""
    if not processes:
        return
    console = Console(highlight=False)
    lines = table_lines(console, worst_first(processes), time.time())
    for line in lines:
        console.print(line, no_wrap=True, overflow="crop")
    console.print()
    _print_summary(console, processes, daemon, is_long=len(lines) > console.height)


def state_text(state: str) -> Text:
    """The state in its colour."""
    return Text(state, style=STATE_STYLES.get(state, ""))


def table_lines(console: Console, processes: Sequence[ProcessStatus], now: float) -> list[Text]:
    """A heading, then the lines of each process: none is wider than the console."""
    names = [Text(render.printable(one.name), style=_name_style(one)) for one in processes]
    widest = max(len(Text("Name")), *(name.cell_len for name in names))
    columns = {
        column: [column.cell(one, now) for one in processes]
        for column in _COLUMNS
        if not column.may_be_empty or any(column.cell(one, now) for one in processes)
    }
    remarks = [_remarks(one) for one in processes]
    chosen = _fitting(columns, console.width - min(widest, 3 * _NAME_MIN) - len(_GAP))
    numbers = _width(columns, chosen)
    beside = console.width - widest - numbers - 2 * len(_GAP)
    longest = max(remark.cell_len for remark in remarks)
    are_beside = longest > 0 and beside >= min(_REMARK_MIN, longest)
    width = widest if are_beside else max(_NAME_MIN, console.width - numbers - len(_GAP))
    widest = min(widest, width)
    padded = {column: _padded(column, columns[column]) for column in chosen}
    titles = [
        Text("Name".ljust(widest)),
        *(padded[column][0] for column in chosen),
        *([Text("Remarks")] if are_beside else []),
    ]
    lines = [Text(_GAP).join(titles)]
    lines[0].stylize("bold")
    for number, (one, name, remark) in enumerate(zip(processes, names, remarks, strict=True), 1):
        cells = [padded[column][number] for column in chosen]
        line = Text(_GAP).join([_shortened(name, widest), *cells])
        if are_beside:
            lines += _beside(console, line, remark, beside)
        elif trouble_of(one) is Trouble.NONE or not remark:
            lines.append(line)
        else:
            lines += [line, *_wrapped(console, remark, "    ", console.width)]
    return lines


def _fitting(columns: dict[Column, list[Text]], room: int) -> list[Column]:
    """The columns that `room` is enough for, in their order."""
    chosen = list(columns)
    for column in sorted(columns, key=lambda column: column.gives_way):
        if column.gives_way and _width(columns, chosen) > room:
            chosen.remove(column)
    return chosen


def _width(columns: dict[Column, list[Text]], chosen: Sequence[Column]) -> int:
    widths = [_column_width(column, columns[column]) for column in chosen]
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _column_width(column: Column, cells: Sequence[Text]) -> int:
    return max(len(column.title), *(cell.cell_len for cell in cells))


def _padded(column: Column, cells: Sequence[Text]) -> list[Text]:
    """The title and the cells, all as wide as the widest of them."""
    width = _column_width(column, cells)
    return [
        Text(space) + cell if column.is_right else cell + Text(space)
        for cell in (Text(column.title), *cells)
        for space in (" " * (width - cell.cell_len),)
    ]


def _shortened(name: Text, width: int) -> Text:
    """A name that is too long keeps its beginning and its end, which tells replicas apart."""
    if name.cell_len <= width:
        return name + Text(" " * (width - name.cell_len))
    kept = width - 1
    head, tail = name.copy(), name.copy()
    head.truncate(kept - kept // 2)
    while tail.cell_len > kept // 2:
        tail = tail[1:]
    short = head + Text("…") + tail
    return short + Text(" " * (width - short.cell_len))


def _beside(console: Console, line: Text, remark: Text, room: int) -> list[Text]:
    first, *more = _wrapped(console, remark, "", room) or [Text()]
    indent = Text(" " * (line.cell_len + len(_GAP)))
    return [Text(_GAP).join([line, first]), *(indent + rest for rest in more)]


def _wrapped(console: Console, remark: Text, indent: str, width: int) -> list[Text]:
    room = max(1, width - len(indent))
    lines = list(remark.wrap(console, room))
    if len(lines) > _REMARK_LINES:
        last = lines[_REMARK_LINES - 1]
        last.rstrip()
        last.truncate(room - 1)
        last.append("…")
    for line in lines[:_REMARK_LINES]:
        line.rstrip()
    return [Text(indent) + line for line in lines[:_REMARK_LINES]]


def _name_style(one: ProcessStatus) -> str:
    return "bold" if one.pid or trouble_of(one) is not Trouble.NONE else ""


def _since(one: ProcessStatus, now: float) -> Text:
    return Text(render.short_span(now - one.since) if one.since else "")


def _pid(one: ProcessStatus, _: float) -> Text:
    return Text(str(one.pid) if one.pid else "", style="dim")


def _restarts(one: ProcessStatus, _: float) -> Text:
    return Text(str(one.restarts), style="yellow") if one.restarts else Text("")


def _cpu(one: ProcessStatus, _: float) -> Text:
    if one.cpu_usage is None:
        return Text("")
    return Text(f"{one.cpu_usage * _PERCENT:.0f}%")


def _cpu_time(one: ProcessStatus, _: float) -> Text:
    return Text("" if one.cpu_seconds is None else render.short_span(one.cpu_seconds))


def _rss(one: ProcessStatus, _: float) -> Text:
    return Text("" if one.rss_bytes is None else render.size(one.rss_bytes))


def _next_try(one: ProcessStatus, now: float) -> Text:
    if not one.retry_at:
        return Text("")
    return Text(f"in {render.short_span(one.retry_at - now)}", style="yellow")


_COLUMNS = (
    Column("State", lambda one, _: state_text(one.state), is_right=False, may_be_empty=False),
    Column("For", _since, gives_way=7),
    Column("Next try", _next_try, gives_way=6),
    Column("Restarts", _restarts, gives_way=5),
    Column("CPU", _cpu, gives_way=4),
    Column("CPU time", _cpu_time, gives_way=1),
    Column("RSS", _rss, gives_way=3),
    Column("Pid", _pid, gives_way=2),
)


def _remarks(one: ProcessStatus) -> Text:
    """The badges, then what the state alone doesn't say."""
    match one.state:
        case "RUNNING" | "STARTING" | "STOPPING":
            told = [*render.probe_troubles(one)[:1], one.log_problem, one.limits_problem]
            remark = ", ".join(part for part in told if part)
        case "STOPPED" | "EXITED":
            remark = one.description if not one.started_at else one.reason
        case _:
            remark = one.reason or one.spawn_error or one.description
    style = "dim" if trouble_of(one) is Trouble.NONE else ""
    badges = [
        Text(f" {badge.words} ", style="black on red" if badge.is_bad else "black on yellow")
        for badge in badges_of(one)
    ]
    rest = [Text(render.printable(remark), style=style)] if remark else []
    return Text(" ").join([*badges, *rest])


def _print_summary(
    console: Console, processes: Sequence[ProcessStatus], daemon: DaemonInfo, *, is_long: bool
) -> None:
    """How many are in which state, what is wrong, and the command that says more about it."""
    counts = dict[str, int]()
    for one in processes:
        counts[one.state] = counts.get(one.state, 0) + 1
    states = [
        Text(f"{count} {state.lower()}", style=STATE_STYLES.get(state, ""))
        for state, count in sorted(counts.items(), key=lambda item: place_of(item[0]))
    ]
    console.print(Text(", ").join(states))
    bad = worst_first(troubled(processes))
    if bad and is_long:  # the table has scrolled them away
        console.print(
            Text(f"{len(bad)} in trouble: opsvisorctl status --problems", style="yellow")
        )
    if bad:
        console.print(Text(f"why? opsvisorctl why {render.printable(bad[0].name)}"))
    if not daemon.last_reload_ok:
        wrong = "the configuration files can't be used as they are: opsvisorctl diff says why"
        console.print(Text(wrong, style="yellow"))
    console.print(Text(f"trees: {render.printable(daemon.containment)}", style="dim"))
