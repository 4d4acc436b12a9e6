"""The screen of `top` as text: exactly as many lines as there are, none wider than the screen.

A line is a list of pieces, each with a style in the words of prompt_toolkit. Whatever comes from
elsewhere (names, output, reasons) is made harmless before it gets here, or here.
"""

import re
from collections import Counter
from collections.abc import Sequence

from prompt_toolkit.formatted_text import ANSI, to_formatted_text
from prompt_toolkit.utils import get_cwidth

from opsvisor.core.harmless import harmless
from opsvisor.ctl import render
from opsvisor.ctl.log_lines import Line as LogLine
from opsvisor.ctl.log_lines import tame
from opsvisor.ctl.top.model import Link, Mode, Model
from opsvisor.ctl.top.rows import Row, Sort
from opsvisor.ctl.troubles import badges_of, place_of
from opsvisor.wire import DaemonInfo, ProcessStatus

Piece = tuple[str, str]
Line = list[Piece]

SILENT_AFTER = 10.0  # seconds without a word from the daemon, which samples every two
_WIDEST_NAME = 40
_NARROWEST_NAME = 16
_LOG_SHARE = 0.3  # of the screen
_LEAST_LOG = 4  # lines; on a screen with less room there is none
_LEAST_ROWS = 5

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
    top = [_headline(model, width, now), _counts(model, width)]
    below = [_footer(model, width, now)]
    room = max(0, height - len(top) - len(below))
    if model.mode in (Mode.HELP, Mode.WHY):
        middle = _text(model, width, room)
    else:
        log_height = _log_height(model, room)
        middle = [*_table(model, width, room - log_height, now), *_log(model, width, log_height)]
    lines = [*top, *middle, *below][:height]
    return lines + [[("", "")] for _ in range(height - len(lines))]


# -- the frame -----------------------------------------------------------------------------------


def _headline(model: Model, width: int, now: float) -> Line:
    daemon = model.daemon
    left: Line = [("bold", " opsvisor")]
    if daemon is not None:
        state = "" if daemon.state == "running" else f"{daemon.state.upper()} · "
        if daemon.identifier != "opsvisor":
            left.append(("bold", f" {_plain(daemon.identifier)}"))
        left.append((_WARN if state else "", f" · {state}"))
        up = render.span(max(0.0, now - daemon.started_at))
        left.append(("", f"{daemon.version} · pid {daemon.pid} · up {up}"))
    return _two_ends(left, [*_link(model, now), ("", f"  {render.clock(now)[11:]} ")], width)


def _link(model: Model, now: float) -> Line:
    silent = now - model.clock_shift - model.heard_at
    match model.link:
        case Link.CONNECTING:
            return [(_WARN, "connecting")]
        case Link.LOST:
            return [(_BAD, "CONNECTION LOST, trying again")]
        case Link.LIVE if silent > SILENT_AFTER:
            return [(_BAD, f"SILENT for {render.short_span(silent)}")]
        case _:
            return [("fg:ansigreen", "live")]


def _counts(model: Model, width: int) -> Line:
    everything = model.processes
    states = Counter(one.state for one in everything)
    left: Line = [("", f" {len(everything)}:")]
    for state in sorted(states, key=place_of):
        left += [("", " "), (_STATES.get(state, ""), f"{states[state]} {state.lower()}")]
    if model.filter and model.mode is not Mode.FILTER:
        shown = len(model.visible())
        left += [("", "  "), (_WARN, f"only {_plain(model.filter)!r}: {shown}")]
    if model.marked:
        left += [("", "  "), ("bold", f"{len(model.marked)} marked")]
    cpu = sum(one.cpu_usage or 0.0 for one in everything)
    rss = sum(one.rss_bytes or 0 for one in everything)
    right: Line = [("", f"  CPU {_cores(cpu)} RSS {_short_size(rss)} ")]
    if _is_misconfigured(model.daemon):
        right = [(_BAD, "configuration has problems  "), *right]
    return _two_ends(left, right, width)


def _is_misconfigured(daemon: DaemonInfo | None) -> bool:
    return daemon is not None and not daemon.last_reload_ok


def _footer(model: Model, width: int, now: float) -> Line:
    match model.mode:
        case Mode.FILTER:
            shown = f"{len(model.visible())} of {len(model.processes)}"
            keys = f"{shown}   Enter keeps it, Esc ends it "
            return _bar([("bold", f" filter: {_plain(model.filter)}_")], keys, width)
        case Mode.CONFIRM if model.pending is not None:
            names = model.pending.names
            whom = _plain(names[0]) if len(names) == 1 else f"these {len(names)} processes"
            asked: Line = [(f"{_WARN} bold", f" {model.pending.action} {whom}? ")]
            return _bar(asked, "y: yes   n: no ", width)
        case Mode.SIGNAL:
            typed, found = model.typed_signal, " ".join(model.signals())
            return _bar([("bold", f" signal: {typed}_  ")], f"{found}   Enter sends ", width)
        case Mode.HELP | Mode.WHY:
            return _bar([], "up, down   Esc: back ", width)
        case _:
            return _note(model, width, now)


def _note(model: Model, width: int, now: float) -> Line:
    if model.link is Link.LOST:
        return _cut([(_BAD, f" {_plain(model.link_detail)}")], width)
    note = model.note
    if note is not None and now - model.clock_shift < note.until:
        return _cut([(_BAD if note.is_bad else "fg:ansigreen", f" {_plain(note.text)}")], width)
    busy = f" {model.running} under way ... " if model.running else " "
    keys = "s start  x stop  r restart  u signal  w why  / filter  l log  ? keys  q quit"
    return _bar([(_WARN, busy)], f"{keys} ", width)


def _bar(left: Line, right: str, width: int) -> Line:
    return _two_ends(left, [(_DIM, right)], width)


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
    widest = max((get_cwidth(_plain(row.status.name)) for row in rows), default=0)
    name = max(_NARROWEST_NAME, min(widest, _WIDEST_NAME, width - 56))
    lines = [_titles(model, name, width)]
    lines += [_row(model, row, name, width, now) for row in shown]
    if not rows:
        lines.append(_cut([(_DIM, f"  {_nothing(model)}")], width))
    return lines[:height] + [[("", "")] for _ in range(height - len(lines))]


def _nothing(model: Model) -> str:
    if model.link is Link.CONNECTING:
        return "..."
    if model.filter:
        return "nothing has that in its name, state or labels"
    return "there are no processes" if not model.wanted else "nothing of that name, so far"


def _titles(model: Model, name: int, width: int) -> Line:
    columns = [
        (Sort.NAME, name, "<"),
        (Sort.STATE, 8, "<"),
        (Sort.SINCE, 7, ">"),
        (Sort.RESTARTS, 4, ">"),
        (Sort.CPU, 6, ">"),
        (Sort.RSS, 8, ">"),
    ]
    line: Line = [(_BAR, "  ")]
    for column, wide, side in columns:
        is_sorted = column is model.sort
        mark = ("^" if model.reverse else "v") if is_sorted else ""
        line += [(f"{_BAR} bold" if is_sorted else _BAR, f"{column.value + mark:{side}{wide}}")]
        line.append((_BAR, " "))
    return _cut([*line, (_BAR, "REMARKS".ljust(width))], width)


def _row(model: Model, row: Row, name: int, width: int, now: float) -> Line:
    if row.member is not None:
        return _member(row, name, width)
    one = row.status
    is_selected = one.name == model.selected
    mark = "*" if one.name in model.marked else " "
    pieces: Line = [
        ("bold", f"{'>' if is_selected else ' '}{mark}"),
        ("bold" if one.pid else "", _fit(_plain(one.name), name)),
        ("", " "),
        (_STATES.get(one.state, ""), _fit(one.state, 8)),
        ("", f" {render.short_span(now - one.since) if one.since else '':>7}"),
        (_WARN if one.restarts else _DIM, f" {_count(one.restarts):>4}"),
        ("", f" {'' if one.cpu_usage is None else _cores(one.cpu_usage):>6}"),
        ("", f" {'' if one.rss_bytes is None else _short_size(one.rss_bytes):>8} "),
        *_remarks(one, now),
    ]
    line = _cut(pieces, width)
    if not is_selected:
        return line
    used = sum(get_cwidth(text) for _, text in line)
    return [(f"{style} {_BAR}", text) for style, text in [*line, ("", " " * (width - used))]]


def _member(row: Row, name: int, width: int) -> Line:
    assert row.member is not None
    indent = "  " * row.depth
    blank = name + 1 + 8 + 1 + 7 + 1 + 4 + 1
    load = (
        f"{render.short_span(row.member.cpu_seconds):>6} {_short_size(row.member.rss_bytes):>8} "
    )
    who = _fit(f"  {indent}`- {row.member.pid}", 2 + blank)
    return _cut([(_DIM, who), ("", load), (_DIM, _plain(row.member.command))], width)


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


def _two_ends(left: Line, right: Line, width: int) -> Line:
    """One at the left, one at the right; where there is no room for both, the left one is cut."""
    right_width = sum(get_cwidth(text) for _, text in right)
    room = width - right_width
    if room < width // 3:
        return _cut([*left, ("", "  "), *right], width)
    cut = _cut(left, room)
    used = sum(get_cwidth(text) for _, text in cut)
    return [*cut, ("", " " * (room - used)), *right]


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
