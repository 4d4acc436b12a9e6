"""Server-sent events as a client reads them (WHATWG HTML, 9.2.6), where opsvisord uses them."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

_LINE_MAX = 4 * 1024 * 1024  # a longer line is not ours


class ServerEvent(NamedTuple):
    """One event: its name (`message` if it has none), its text and the last id seen."""

    event: str
    text: str
    id: str


class LineTooLong(ValueError):  # noqa: N818 - the name says what happened
    """The server sent more without a line break than any event of ours has."""


def read_events(readline: Callable[[int], bytes]) -> Iterator[ServerEvent]:
    """Every event until the stream ends. An event without its closing blank line is dropped."""
    event, text, last_id = "", list[str](), ""
    while line := readline(_LINE_MAX):
        if len(line) >= _LINE_MAX:
            raise LineTooLong(f"a line of more than {_LINE_MAX} bytes")
        name, _, value = line.decode("utf-8", "replace").rstrip("\r\n").partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            event = value
        elif name == "data":
            text.append(value)
        elif name == "id":
            last_id = value
        elif not name and not value and text:
            yield ServerEvent(event or "message", "\n".join(text), last_id)
            event, text = "", []
