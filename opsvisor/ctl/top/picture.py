"""The screen of `top` as text: exactly as many lines as there are, none wider than the screen.

A line is a list of pieces, each with a style in the words of prompt_toolkit. Whatever comes from
elsewhere (names, output, reasons) is made harmless before it gets here, or here.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from prompt_toolkit.formatted_text import ANSI, to_formatted_text
from prompt_toolkit.utils import get_cwidth

from opsvisor.core.harmless import harmless
from opsvisor.ctl import render
from opsvisor.ctl.log_lines import Line as LogLine
from opsvisor.ctl.log_lines import tame
from opsvisor.ctl.top.model import Link, Mode, Model
from opsvisor.ctl.top.rows import Row, Sort
from opsvisor.ctl.troubles import STATE_ORDER, badges_of, place_of
from opsvisor.wire import DaemonInfo, ProcessStatus

Piece = tuple[str, str]
Line = list[Piece]

SILENT_AFTER = 10.0  # seconds without a word from the daemon, which samples every two
_WIDEST_NAME = 40
_NARROWEST_NAME = 16
_LOG_SHARE = 0.3  # of the screen
_LEAST_LOG = 4  # lines; on a screen with less room there is none
_LEAST_ROWS = 5
_REMARKS = "REMARKS"
_GAP = 2  # columns between what is at the left and what is at the right

_STATES = {
    "RUNNING": "fg:ansigreen",
    "STARTING": "fg:ansicyan",
    "STOPPING": "fg:ansicyan",
    "BACKOFF": "fg:ansiyellow",
    "FATAL": "fg:ansired bold",
    "UNKNOWN": "fg:ansired bold",
    "EXITED": "fg:ansiblue",
    "STOPPED": "fg:ansibrightblack",
}
_BAD = "fg:ansired bold"
_WARN = "fg:ansiyellow"
_DIM = "fg:ansibrightblack"
_BAR = "reverse"


def picture(model: Model, width: int, height: int, now: float) -> list[Line]:
    """All lines. `now` is Unix time. The model is told how many rows there is room for."""
    now += model.clock_shift
    known_at = model.heard_at + model.clock_shift if model.link is Link.LOST else now
    top = [_headline(model, width, now, known_at), _counts(model, width)]
    below = [_footer(model, width, now)]
    room = max(0, height - len(top) - len(below))
    if model.mode in (Mode.HELP, Mode.WHY):
        middle = _text(model, width, room)
    else:
        log_height = _log_height(model, room)
        table = _table(model, width, room - log_height, known_at)
        middle = [*table, *_log(model, width, log_height)]
    lines = [*top, *middle, *below][:height]
    return lines + [[("", "")] for _ in range(height - len(lines))]


# -- the frame -----------------------------------------------------------------------------------


class _Item(NamedTuple):
    """A part of a line that is shown whole or not at all: half a number is another one.

    The lowest `gives_way` is left out first where there is no room, 0 never is.
    """

    pieces: Line
    gives_way: int = 0


def _headline(model: Model, width: int, now: float, known_at: float) -> Line:
    daemon = model.daemon
    left = [_Item([("bold", " opsvisor")], 7)]
    if daemon is not None:
        if daemon.identifier != "opsvisor":
            left.append(_Item([("bold", f" {_plain(daemon.identifier)}")], 4))
        if daemon.state != "running":
            left.append(_Item([(_WARN, f" · {daemon.state.upper()}")], 8))
        up = render.span(max(0.0, known_at - daemon.started_at))
        left.append(_Item([("", f" · {daemon.version}")], 1))
        left.append(_Item([("", f" · pid {daemon.pid}")], 3))
        left.append(_Item([("", f" · up {up}")], 2))
    clock = _Item([("", f"  {render.clock(now)[11:]}")], 5)
    return _ends(left, [*_link(model, now), clock, _Item([("", " ")])], width)


def _link(model: Model, now: float) -> list[_Item]:
    silent = now - model.clock_shift - model.heard_at
    match model.link:
        case Link.CONNECTING:
            return [_Item([(_WARN, "connecting")])]
        case Link.LOST:
            return [_Item([(_BAD, "CONNECTION LOST")]), _Item([(_BAD, ", trying again")], 6)]
        case Link.LIVE if silent > SILENT_AFTER:
            return [_Item([(_BAD, f"SILENT for {render.short_span(silent)}")])]
        case _:
            return [_Item([("fg:ansigreen", "live")])]


def _counts(model: Model, width: int) -> Line:
    everything = model.processes
    states = Counter(one.state for one in everything)
    left: list[_Item] = []
    if model.filter and model.mode is not Mode.FILTER:
        shown = len(model.visible())
        left.append(_Item([(_WARN, f" only {_plain(model.filter)!r}: {shown}"), ("", " ")]))
    told: Line = [("", f" {len(everything)}:")]
    for state in sorted(states, key=place_of):
        told += [("", " "), (_STATES.get(state, ""), f"{states[state]} {state.lower()}")]
        left.append(_Item(told, 3 + len(STATE_ORDER) - place_of(state)))
        told = []
    if model.marked:
        left.append(_Item([("", "  "), ("bold", f"{len(model.marked)} marked")], 30))
    cpu = sum(one.cpu_usage or 0.0 for one in everything)
    rss = sum(one.rss_bytes or 0 for one in everything)
    right = [_Item([("", f"CPU {_cores(cpu)} ")], 2), _Item([("", f"RSS {_short_size(rss)} ")], 1)]
    if _is_misconfigured(model.daemon):
        right.insert(0, _Item([(_BAD, "configuration has problems"), ("", "  ")], 40))
    return _ends(left, right, width)


def _is_misconfigured(daemon: DaemonInfo | None) -> bool:
    return daemon is not None and not daemon.last_reload_ok


def _footer(model: Model, width: int, now: float) -> Line:
    match model.mode:
        case Mode.FILTER:
            shown = f"{len(model.visible())} of {len(model.processes)} "
            keys = [_dim(shown, 2), _dim("  Enter keeps it, Esc ends it ", 1)]
            return _ends([_Item([("bold", f" filter: {_plain(model.filter)}_")])], keys, width)
        case Mode.CONFIRM if model.pending is not None:
            names = model.pending.names
            whom = _plain(names[0]) if len(names) == 1 else f"these {len(names)} processes"
            asked = _Item([(f"{_WARN} bold", f" {model.pending.action} {whom}?")])
            return _ends([asked], [_dim("y: yes   n: no ")], width)
        case Mode.SIGNAL:
            found = model.signals()
            choice = [_dim(f"{name} ", len(found) - at) for at, name in enumerate(found)]
            typed = _Item([("bold", f" signal: {model.typed_signal}_")])
            return _ends([typed], [*choice, _dim("  Enter sends ")], width)
        case Mode.HELP | Mode.WHY:
            return _ends([], [_dim("up, down   Esc: back ")], width)
        case _:
            return _note(model, width, now)


def _note(model: Model, width: int, now: float) -> Line:
    if model.link is Link.LOST:
        return _cut([(_BAD, f" {_plain(model.link_detail)}")], width)
    note = model.note
    if note is not None and now - model.clock_shift < note.until:
        return _cut([(_BAD if note.is_bad else "fg:ansigreen", f" {_plain(note.text)}")], width)
    busy = [_Item([(_WARN, f" {model.running} under way ...")])] if model.running else []
    keys = [_dim(f" {key} ", gives_way) for key, gives_way in _KEYS]
    if sum(_wide(key.pieces) for key in keys) > width:
        keys = [*keys[-2:], *keys[:-2]]
    return _ends(busy, keys, width)


_KEYS = (
    ("s start", 7),
    ("x stop", 6),
    ("r restart", 5),
    ("u signal", 2),
    ("w why", 4),
    ("/ filter", 3),
    ("l log", 1),
    ("? keys", 9),
    ("q quit", 8),
)


def _dim(text: str, gives_way: int = 0) -> _Item:
    return _Item([(_DIM, text)], gives_way)


# -- the table -----------------------------------------------------------------------------------


def _table(model: Model, width: int, height: int, now: float) -> list[Line]:
    rows = model.rows()
    room = max(1, height - 1)
    model.rows_shown = room
    at = next(
        (
            i
            for i, row in enumerate(rows)
            if row.member is None and row.status.name == model.selected
        ),
        0,
    )
    model.top_row = max(0, min(model.top_row, at, len(rows) - room))
    model.top_row = max(model.top_row, at - room + 1)
    shown = rows[model.top_row : model.top_row + room]
    columns = _columns(rows, width)
    lines = [_titles(model, columns, width)]
    lines += [_row(model, row, columns, width, now) for row in shown]
    if not rows:
        lines.append(_cut([(_DIM, f"  {_nothing(model)}")], width))
    return lines[:height] + [[("", "")] for _ in range(height - len(lines))]


def _nothing(model: Model) -> str:
    if model.link is Link.CONNECTING:
        return "..."
    if model.filter:
        return "nothing has that in its name, state or labels"
    return "there are no processes" if not model.wanted else "nothing of that name, so far"


_Columns = Sequence[tuple[Sort, int, str]]  # how wide, and on which side of it things stand


def _columns(rows: Sequence[Row], width: int) -> _Columns:
    """Those that there is room for, from the left, and for names no more than they need."""
    widest = max((get_cwidth(_plain(row.status.name)) for row in rows), default=0)
    most = min(_WIDEST_NAME, max(_NARROWEST_NAME, width - 56))
    columns = [(Sort.NAME, max(len("NAMEv"), min(widest, most)), "<"), *_NUMBERS]
    return [one for at, one in enumerate(columns) if _before(columns[: at + 1]) <= width + 1]


_NUMBERS = (
    (Sort.STATE, 8, "<"),
    (Sort.SINCE, 7, ">"),
    (Sort.RESTARTS, 4, ">"),
    (Sort.CPU, 6, ">"),
    (Sort.RSS, 8, ">"),
)


def _before(columns: _Columns) -> int:
    """Where begins what stands behind them."""
    return 2 + sum(wide + 1 for _, wide, _ in columns)


def _titles(model: Model, columns: _Columns, width: int) -> Line:
    line: Line = [(_BAR, "  ")]
    for column, wide, side in columns:
        is_sorted = column is model.sort
        mark = ("^" if model.reverse else "v") if is_sorted else ""
        line += [(f"{_BAR} bold" if is_sorted else _BAR, f"{column.value + mark:{side}{wide}}")]
        line.append((_BAR, " "))
    room = width - _before(columns)
    title = _REMARKS if room >= len(_REMARKS) else ""
    return _cut([*line, (_BAR, title.ljust(max(0, room)))], width)


def _row(model: Model, row: Row, columns: _Columns, width: int, now: float) -> Line:
    if row.member is not None:
        return _member(row, columns, width)
    one = row.status
    is_selected = one.name == model.selected
    mark = "*" if one.name in model.marked else " "
    cells = {
        Sort.NAME: ("bold" if one.pid else "", _plain(one.name)),
        Sort.STATE: (_STATES.get(one.state, ""), one.state),
        Sort.SINCE: ("", render.short_span(now - one.since) if one.since else ""),
        Sort.RESTARTS: (_WARN if one.restarts else _DIM, _count(one.restarts)),
        Sort.CPU: ("", "" if one.cpu_usage is None else _cores(one.cpu_usage)),
        Sort.RSS: ("", "" if one.rss_bytes is None else _short_size(one.rss_bytes)),
    }
    pieces: Line = [("bold", f"{'>' if is_selected else ' '}{mark}")]
    for column, wide, side in columns:
        style, text = cells[column]
        pieces += [(style, _fit(text, wide) if side == "<" else f"{text:>{wide}}"), ("", " ")]
    room = width - _before(columns)
    if room >= len(_REMARKS):
        pieces += _shortened(_remarks(one, now), room)
    line = _cut(pieces, width)
    if not is_selected:
        return line
    return [
        (f"{style} {_BAR}", text) for style, text in [*line, ("", " " * (width - _wide(line)))]
    ]


def _member(row: Row, columns: _Columns, width: int) -> Line:
    assert row.member is not None
    load = {
        Sort.CPU: render.short_span(row.member.cpu_seconds),
        Sort.RSS: _short_size(row.member.rss_bytes),
    }
    loads = [(column, wide) for column, wide, _ in columns if column in load]
    who = f"  {'  ' * row.depth}`- {row.member.pid}"
    pieces: Line = [(_DIM, _fit(who, _before([one for one in columns if one[0] not in load])))]
    pieces += [("", f"{load[column]:>{wide}} ") for column, wide in loads]
    return _cut([*pieces, (_DIM, _plain(row.member.command))], width)


def _remarks(one: ProcessStatus, now: float) -> Line:
    pieces: Line = []
    if one.retry_at:
        pieces.append((_WARN, f"retry in {render.short_span(one.retry_at - now)} "))
    for badge in badges_of(one):
        pieces.append((_BAD if badge.is_bad else _WARN, f"{badge.words} "))
    if one.state in ("RUNNING", "STARTING", "STOPPING"):
        troubles = render.probe_troubles(one)
        pieces.append((_DIM, _plain(troubles[0]) if troubles else f"pid {one.pid}"))
    elif not one.started_at and not one.spawn_error:
        pieces.append((_DIM, f"not started ({one.startup})"))
    else:
        pieces.append((_DIM, _plain(one.reason or one.spawn_error)))
    return pieces


_LINE_BREAKS = re.compile(r"[\t\n]+")
_COLUMN = re.compile(r" *\S+(?: \S+)* {2,}")


# -- output and texts ----------------------------------------------------------------------------


def _log_height(model: Model, room: int) -> int:
    if not model.log_is_open:
        return 0
    height = max(_LEAST_LOG, int(room * _LOG_SHARE))
    return height if room - height > _LEAST_ROWS else 0


def _log(model: Model, width: int, height: int) -> list[Line]:
    if not height:
        return []
    said = list(model.log_lines)
    end = len(said) - model.log_back
    shown = said[max(0, end - height + 1) : end]
    where = f" {model.log_back} lines back " if model.log_back else " "
    title = f"-- {_plain(model.log_name) or 'output'} "
    note = f" {_plain(model.log_note)} " if model.log_note else ""
    fill = "-" * max(0, width - get_cwidth(title) - get_cwidth(note) - len(where))
    lines = [_cut([(_DIM, title), (_WARN, note), (_DIM, fill), (_WARN, where)], width)]
    lines += [_log_line(line, width) for line in shown]
    return lines + [[("", "")] for _ in range(height - len(lines))]


def _log_line(line: LogLine, width: int) -> Line:
    bar: Piece = (_BAD, "! ") if line.stream == "stderr" else (_DIM, "| ")
    # Cut before it is looked at: a line may have 64 KiB.
    text = tame(line.text[: width * 8], colours=True).expandtabs(8)
    if "\x1b" not in text:
        return _cut([bar, ("", text)], width)
    pieces = [(style, piece) for style, piece, *_ in to_formatted_text(ANSI(text))]
    return _cut([bar, *_joined(pieces)], width)


def _joined(pieces: Sequence[Piece]) -> Line:
    """Neighbours of one style as one piece: ANSI gives every character its own."""
    joined: Line = []
    for style, text in pieces:
        if joined and joined[-1][0] == style:
            joined[-1] = (style, joined[-1][1] + text)
        else:
            joined.append((style, text))
    return joined


def _text(model: Model, width: int, height: int) -> list[Line]:
    wrapped = [part for line in model.text for part in _wrapped(_plain(line), width - 2)]
    model.text_top = max(0, min(model.text_top, len(wrapped) - height + 1))
    shown = wrapped[model.text_top : model.text_top + height - 1]
    lines: list[Line] = [[(_BAR, _fit(f"  {_plain(model.text_title)}", width))]]
    lines += [_cut([("", f"  {line}")], width) for line in shown]
    return lines + [[("", "")] for _ in range(height - len(lines))]


def _wrapped(text: str, width: int) -> list[str]:
    """A line in as many as it needs; what follows the first is in line with its last column."""
    column = _COLUMN.match(text)
    begins = column.end() if column else len(text) - len(text.lstrip()) + 2
    indent = " " * min(begins, width // 2)
    parts: list[str] = []
    while get_cwidth(text) > width:
        head = _head(text, width)
        cut = head.rfind(" ", len(indent) + 1) + 1 or len(head)
        parts.append(text[:cut].rstrip())
        text = indent + text[cut:]
    return [*parts, text]


# -- how long things are -------------------------------------------------------------------------


def _cores(cores: float) -> str:
    """Of one core, in per cent: what people expect of a top."""
    return f"{cores * 100:.0f}%" if cores >= 0.0995 else f"{cores * 100:.1f}%"  # noqa: PLR2004 - two digits


def _count(count: int) -> str:
    return str(count) if count < 10_000 else f"{count // 1000}k"  # noqa: PLR2004 - four digits


def _short_size(count: int) -> str:
    return render.size(count).replace("iB", "").replace(" ", "")


def _plain(text: str) -> str:
    """Text from anywhere on one line, commanding nothing."""
    return text if text.isprintable() else _LINE_BREAKS.sub(" ", harmless(text))


def _ends(left: Sequence[_Item], right: Sequence[_Item], width: int) -> Line:
    """Some at the left, some at the right, and between them whatever room is left."""
    lines = _pieces(left, 0), _pieces(right, 0)
    for out in sorted({one.gives_way for one in (*left, *right)}):
        if sum(map(_wide, lines)) + (_GAP if all(lines) else 0) <= width:
            break
        lines = _pieces(left, out), _pieces(right, out)
    return _two_ends(*lines, width)


def _pieces(items: Sequence[_Item], out: int) -> Line:
    """Those that are left when all up to this rank have given way."""
    return [piece for one in items if not 0 < one.gives_way <= out for piece in one.pieces]


def _two_ends(left: Line, right: Line, width: int) -> Line:
    """One at the left, one at the right; where there is no room for both, the left one is cut."""
    room = width - _wide(right)
    if room < min(width // 3, _wide(left) + _GAP if left else 0):
        return _cut([*left, ("", "  "), *right], width)
    cut = _cut(left, room - _GAP)
    return [*cut, ("", " " * (room - _wide(cut))), *right]


def _wide(line: Line) -> int:
    return sum(get_cwidth(text) for _, text in line)


def _shortened(line: Line, width: int) -> Line:
    """No wider than that, with a mark where something is cut off."""
    return line if _wide(line) <= width else [*_cut(line, width - 1), (_DIM, "~")]


def _cut(line: Line, width: int) -> Line:
    """No wider than that. Wide characters count as two, as they do on the terminal."""
    found: Line = []
    for style, text in line:
        if width <= 0:
            break
        wide = get_cwidth(text)
        if wide > width:
            text = _head(text, width)  # noqa: PLW2901 - the rest of it is cut off
            wide = width
        found.append((style, text))
        width -= wide
    return found


def _head(text: str, width: int) -> str:
    text = text[: width * 2]
    while get_cwidth(text) > width:
        text = text[:-1]
    return text


def _fit(text: str, width: int) -> str:
    """Exactly that wide."""
    if get_cwidth(text) > width:
        text = f"{_head(text, width - 1)}~"
    return text + " " * (width - get_cwidth(text))
