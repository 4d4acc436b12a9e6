"""`logs`, all that needs no daemon: which lines are wanted, and how each of them is shown."""

import datetime as dt
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from opsvisor.config.units import Refused, parse_duration
from opsvisor.core.harmless import harmless
from opsvisor.wire import LogSaid

QUIET = 1.0  # seconds after which a line without an end is shown all the same: a prompt, say
_LONGEST_LINE = 64 * 1024  # characters that are held back for its end
_WIDEST_NAME = 32  # columns

_SGR = r"\x1b\[[0-9;:]*m"
_ESCAPE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    r"|\x1b[PX^_\]][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|$)"  # DCS, SOS, PM, APC, OSC and their text
    r"|\x1b[ -/]*[0-~]?"  # everything else
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
_ONLY_COLOUR = re.compile(_SGR)
# Control characters, and marks that turn the direction of what follows.
_COMMANDS = re.compile(
    "[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_RESET = "\x1b[0m"
# Legible on light and on dark; red is for standard error.
_COLOURS = (36, 33, 32, 35, 34, 96, 92, 95, 94, 93)
_STDERR = 31
_FOUND = 7

_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")


class Line(msgspec.Struct, kw_only=True, frozen=True):
    """A line of a log. It was not written before `at`, 0 if nothing is known."""

    name: str
    stream: str
    at: float
    text: str


class BadTime(ValueError):  # noqa: N818 - the name says what happened
    """A text that is no time."""


def parse_since(text: str, now: float) -> float:
    """`10m` (ago), `03:00` (the last time it was), a date with or without a time, `@UNIX`."""
    if text.startswith("@"):
        try:
            return max(0.0, float(text[1:]))
        except ValueError:
            raise BadTime(text) from None
    if (found := _CLOCK.fullmatch(text)) is not None:
        return _last_time_it_was(found, now, text)
    try:
        return max(0.0, now - parse_duration(text.removesuffix(" ago")))
    except Refused:
        pass
    try:
        return max(0.0, dt.datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError):
        raise BadTime(text) from None


def _last_time_it_was(found: re.Match[str], now: float, text: str) -> float:
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    here = dt.datetime.fromtimestamp(now).astimezone()
    try:
        today = here.replace(hour=hours, minute=minutes, second=seconds, microsecond=0)
    except ValueError:
        raise BadTime(text) from None
    if today > here:
        today = (today.replace(tzinfo=None) - dt.timedelta(days=1)).astimezone()
    return today.timestamp()


class Lines:
    """Makes whole lines of pieces, so that those of several logs never mix."""

    def __init__(self) -> None:
        self._begun: dict[tuple[str, str], tuple[float, float, str]] = {}

    @property
    def holds_any(self) -> bool:
        """Whether a line has begun that has no end yet."""
        return bool(self._begun)

    def feed(self, said: LogSaid, now: float) -> Iterator[Line]:
        """The lines that end in this piece. `now` is of any clock."""
        key = said.name, said.stream
        _, at, begun = self._begun.pop(key, (0.0, said.at, ""))
        *whole, rest = (begun + said.text).split("\n")
        for text in whole:
            yield Line(name=said.name, stream=said.stream, at=at, text=text)
            at = said.at
        while len(rest) > _LONGEST_LINE:
            yield Line(name=said.name, stream=said.stream, at=at, text=rest[:_LONGEST_LINE])
            rest = rest[_LONGEST_LINE:]
        if rest:
            self._begun[key] = now, at, rest

    def rest(self, before: float = float("inf")) -> Iterator[Line]:
        """Those that have no end, and to which nothing was added since before."""
        for key, (touched, at, text) in tuple(self._begun.items()):
            if touched < before:
                del self._begun[key]
                yield Line(name=key[0], stream=key[1], at=at, text=text)


class Search(NamedTuple):
    """Which lines are wanted."""

    pattern: re.Pattern[str] | None = None
    is_inverted: bool = False

    def wants(self, text: str) -> bool:
        """Whether this one is. Colours within a word don't hide it."""
        if self.pattern is None:
            return True
        found = self.pattern.search(_ESCAPE.sub("", text) if "\x1b" in text else text)
        return (found is None) is self.is_inverted


class Look(NamedTuple):
    """How lines are shown: on a terminal or not, with colours or not, as they are or not."""

    on_terminal: bool = False
    colours: bool = False
    raw: bool = False

    def prefix(self, name: str, width: int, *, is_stderr: bool) -> str:
        """What stands before a line of one of several processes; `width` is in columns."""
        shown = harmless(name)
        if _columns(shown) > _WIDEST_NAME:
            shown = f"{_head(shown, _WIDEST_NAME - 1)}…"
        shown += " " * (min(width, _WIDEST_NAME) - _columns(shown))
        if not self.colours:
            return f"{shown} | "
        bar = f"\x1b[{_STDERR}m|{_RESET}" if is_stderr else "|"
        return f"\x1b[{colour_of(name)}m{shown}{_RESET} {bar} "

    def text(self, text: str, found: re.Pattern[str] | None = None) -> str:
        """The line itself, harmless on a terminal."""
        if not self.on_terminal or self.raw:
            return text
        text = tame(text, colours=self.colours)
        if "\x1b" in text:
            return f"{text}{_RESET}"
        if found is not None and self.colours:
            return found.sub(lambda hit: _marked(hit.group()), text)
        return text


def width_of(names: Iterable[str]) -> int:
    """How many columns the widest of these names takes."""
    return max((_columns(harmless(name)) for name in names), default=0)


def _columns(text: str) -> int:
    """How wide it is on a terminal, where a character may take two columns or none."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 - 30 ms that few names need

    return cell_len(text)


def _head(text: str, width: int) -> str:
    """Exactly so many columns of it: in place of half a character stands a space."""
    if text.isascii():
        return text[:width]
    from rich.cells import set_cell_size  # noqa: PLC0415 - as above

    return set_cell_size(text, width)


def _marked(text: str) -> str:
    return f"\x1b[{_FOUND}m{text}{_RESET}" if text else ""


def colour_of(name: str) -> int:
    """Always the same one for a name."""
    return _COLOURS[zlib.crc32(name.encode("utf-8", "surrogateescape")) % len(_COLOURS)]


def tame(text: str, *, colours: bool) -> str:
    """A line that commands no terminal: only tabs are left and, if wanted, colours."""
    text = text.removesuffix("\r")
    if text.isprintable():
        return text
    text = _ESCAPE.sub(lambda found: _kept(found.group(), colours=colours), text)
    return _COMMANDS.sub(lambda found: _shown(found.group()), text)


def _kept(sequence: str, *, colours: bool) -> str:
    return sequence if colours and _ONLY_COLOUR.fullmatch(sequence) else ""


def _shown(char: str) -> str:
    """A picture of a control character."""
    return chr(0x2400 + ord(char)) if ord(char) < 0x20 else "\ufffd"  # noqa: PLR2004 - Unicode, Control Pictures


def wants_colours(environ: Mapping[str, str], *, on_terminal: bool) -> bool:
    """By no-color.org, which asks for none if the variable is set to anything."""
    return on_terminal and not environ.get("NO_COLOR")
