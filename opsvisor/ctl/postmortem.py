"""`why`: what is wrong with a process, what follows, what to do, and how it came to that.

The most important comes first. Where it has to fit a screen, what is less so is cut from the end
of each section, and said to be.
"""

import textwrap
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from opsvisor.ctl import render
from opsvisor.ctl.troubles import Trouble, trouble_of
from opsvisor.ctl.verdict import verdict
from opsvisor.wire import Event, History, ProcessStatus, Run

_RUNS_SHOWN = 8
_LINES_SHOWN = 12
_EVENTS_SHOWN = 12
_INDENT = "  "


class Tone(Enum):
    """What a section is for the eye."""

    PLAIN = "plain"
    BAD = "bad"  # what a failed run said
    ADVICE = "advice"
    BACKGROUND = "background"


class Section(NamedTuple):
    """Lines under a title. `least` of them are worth more than anything in later sections."""

    title: str
    body: list[str]
    least: int
    tone: Tone = Tone.PLAIN


class Screen(NamedTuple):
    """All of it. `is_cut`: something had to be left out."""

    headline: str
    words: list[str]
    sections: list[Section]
    is_cut: bool = False


def lines(history: History, now: float) -> Iterator[str]:
    """The whole screen as plain text. `now` is Unix time, for how long ago."""
    screen = screen_of(history, now)
    yield screen.headline
    yield from (f"{_INDENT}{word}" for word in screen.words)
    for section in screen.sections:
        yield ""
        yield section.title
        yield from (f"{_INDENT}{line}".rstrip() for line in section.body)


def screen_of(history: History, now: float) -> Screen:
    """Everything, however long."""
    status = history.status
    tail = last_words(history)
    sections = [
        Section("What happens next", [what_next(history)], 1),
        Section("What to do", [render.printable(hint) for hint in history.hints], 3, Tone.ADVICE),
        *([Section(tail[0], tail[1], 4, Tone.BAD)] if tail else []),
        Section("Last runs, newest first", _runs(history.runs, now), 2),
        Section("Lately, newest first", _timeline(history, now), 2),
        Section("Policy", _policy(history), 1, Tone.BACKGROUND),
    ]
    return Screen(
        headline(status, now),
        [*verdict(history), *_facts(status)],
        [section for section in sections if section.body],
    )


def fitted(screen: Screen, width: int, height: int) -> Screen:
    """As much of it as fits: lines are wrapped, and the last ones of the last sections go.

    Nothing is cut below what a section must have; a very small screen has to be scrolled.
    """
    words = [part for word in screen.words for part in wrapped(word, width)]
    # Each entry of a section in the lines that it takes: an entry goes as a whole.
    entries = [[wrapped(line, width) for line in one.body] for one in screen.sections]
    excess = 1 + len(words) + sum(1 + _height(body) for body in entries) - height
    is_cut = excess > 0
    excess += is_cut  # a line that says so
    for section, body in zip(reversed(screen.sections), reversed(entries), strict=True):
        while excess > 0 and len(body) > section.least:
            excess -= len(body.pop())
    sections = [
        one._replace(body=[line for entry in body for line in entry])
        for one, body in zip(screen.sections, entries, strict=True)
    ]
    return Screen(screen.headline, words, sections, is_cut=is_cut)


def _height(body: Sequence[Sequence[str]]) -> int:
    return sum(len(entry) for entry in body)


def headline(status: ProcessStatus, now: float) -> str:
    """`web is FATAL since 2026-11-23 09:37:53 (3 min ago)`."""
    ago = render.span(now - status.since)
    return f"{status.name} is {status.state} since {render.clock(status.since)} ({ago} ago)"


def is_well(status: ProcessStatus) -> bool:
    """Whether there is nothing to look into."""
    return trouble_of(status) is Trouble.NONE


def what_next(history: History) -> str:
    """What follows; when, where a retry is due."""
    text = history.what_next or "nothing by itself"
    retry_at = history.status.retry_at
    if not retry_at:
        return render.printable(text)
    return f"{render.printable(text)} (at {render.clock(retry_at)})"


def last_words(history: History) -> tuple[str, list[str]] | None:
    """What the newest bad run said last, and whose words these are."""
    for run in history.runs:
        for name, said in (("stderr", run.stderr_tail), ("stdout", run.stdout_tail)):
            if not run.expected and said:
                shown = [render.printable(line) for line in said[-_LINES_SHOWN:]]
                return f"Last lines of {name}, run of {render.clock(run.started_at)}", shown
    return None


def _facts(status: ProcessStatus) -> list[str]:
    if not status.pid:
        return []
    usage = [] if status.rss_bytes is None else [f"RSS {render.size(status.rss_bytes)}"]
    if status.cpu_usage is not None:
        usage.append(f"CPU {status.cpu_usage:.0%}")
    return [", ".join([f"pid {status.pid}, up {render.span(status.uptime)}", *usage])]


def _runs(runs: Sequence[Run], now: float) -> list[str]:
    if not runs:
        return ["none has ended yet"]
    rows = [
        (
            render.moment(run.started_at, now),
            f"up {render.span(run.uptime)}",
            f"{render.printable(run.outcome)}; {render.printable(run.decision)}",
        )
        for run in runs[:_RUNS_SHOWN]
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return ["  ".join([row[0].ljust(widths[0]), row[1].ljust(widths[1]), row[2]]) for row in rows]


def _timeline(history: History, now: float) -> list[str]:
    name = history.status.name
    return [_told(event, name, now) for event in history.timeline[:_EVENTS_SHOWN]]


def _told(event: Event, name: str, now: float) -> str:
    text = event.text.removeprefix(name).removeprefix(":").strip()
    return f"{render.moment(event.at, now)}  {render.printable(text)}"


# Which sentences of the policy have to do with the present state: what they begin with.
_RULES = {
    "FATAL": ("more than", "an exit within", "FATAL after", "out of FATAL"),
    "BACKOFF": ("an exit within", "FATAL after", "delays after failed", "more than"),
    "STOPPED": ("restart:",),
    "EXITED": ("restart:",),
    "STOPPING": ("stop:", "ended with it"),
}


def _policy(history: History) -> list[str]:
    """All of it, what applies now first."""
    status = history.status
    rules = _RULES.get(status.state, ())
    if status.state == "RUNNING":
        rules = tuple(
            f"{probe.probe} probe" for probe in status.probes if probe.passing is not True
        )
    if status.flapping:
        rules = (*rules, "called flapping")
    if any(run.cause == "oom" for run in history.runs[:1]):
        rules = ("limits:", *rules)
    first = [line for rule in rules for line in history.policy if line.startswith(rule)]
    rest = [line for line in history.policy if line not in first]
    return [render.printable(line) for line in dict.fromkeys([*first, *rest])]


def wrapped(text: str, width: int) -> list[str]:
    """In lines that fit with the indent; what follows the first is further in."""
    return textwrap.wrap(
        text,
        max(20, width - len(_INDENT)),
        subsequent_indent="    ",
        drop_whitespace=True,
        replace_whitespace=False,
        break_on_hyphens=False,
    ) or [""]
