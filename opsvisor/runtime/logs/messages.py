"""What a program says to those who listen, in the middle of what it prints for its log.

The two markers are Supervisor's, to the letter. Programs have them built in (its own
`childutils.pcomm`, and every shell script with such an `echo`), so any other text would be one
that no program there is prints.
"""

from opsvisor.core.struct import Struct

BEGIN = b"<!--XSUPERVISOR:BEGIN-->"
END = b"<!--XSUPERVISOR:END-->"
_FIRST = b"<"  # of either marker, and nowhere else in it: a beginning can only be at the last one


class Piece(Struct, frozen=True):
    """Output as it is sorted: part of the log, or a whole message without its markers.

    `lost_lines` were in front of the text and didn't fit.
    """

    text: bytes
    is_message: bool = False
    lost_lines: int = 0


class SplitterMemento(Struct, frozen=True, kw_only=True):
    """What of a stream is held back: a part of a marker, and a message that has begun."""

    held: bytes = b""
    message: bytes | None = None
    lost_lines: int = 0


class MessageSplitter:
    """Takes messages out of a stream, however they are split across its chunks.

    Of each message the newest `limit` bytes are kept. Nothing is held back but a message that is
    not at its end, and the beginning of a marker at the end of a chunk.
    """

    __slots__ = ("_held", "_lost_lines", "_message", "limit")

    def __init__(self, limit: int) -> None:
        assert limit > 0
        self.limit = limit
        self._held = b""  # the beginning of the marker that is looked for
        self._message: bytearray | None = None  # None between messages
        self._lost_lines = 0  # of the message

    def feed(self, chunk: bytes) -> list[Piece]:
        """What the chunk adds to the log, and the messages that end in it, in order."""
        if self._held:
            chunk = self._held + chunk
            self._held = b""
        pieces: list[Piece] = []
        at = 0
        while True:
            marker = BEGIN if self._message is None else END
            found = chunk.find(marker, at)
            if found < 0:
                break
            self._take(chunk[at:found], pieces)
            self._turn(pieces)
            at = found + len(marker)
        end = _beginning_at_end(chunk, marker, at)
        self._take(chunk[at:end], pieces)
        self._held = chunk[end:]
        return pieces

    def remember(self) -> "SplitterMemento":
        """What is held back, for another splitter to go on with the stream."""
        message = self._message
        return SplitterMemento(
            held=self._held,
            message=None if message is None else bytes(message),
            lost_lines=self._lost_lines,
        )

    def recall(self, memento: "SplitterMemento") -> None:
        """Go on with a stream where another splitter was, before anything is fed."""
        self._held = memento.held
        self._message = None if memento.message is None else bytearray(memento.message)
        self._lost_lines = memento.lost_lines

    def flush(self) -> list[Piece]:
        """The stream is over: what was held back is part of the log after all.

        A message without an end is there with its first marker, which tells what it was to be.
        """
        held, self._held = self._held, b""
        message, self._message = self._message, None
        if message is None:
            return [Piece(held)] if held else []
        lost_lines, self._lost_lines = self._lost_lines, 0
        return [Piece(BEGIN + message + held, lost_lines=lost_lines)]

    def _turn(self, pieces: list[Piece]) -> None:
        """From log to message, or back."""
        if self._message is None:
            self._message = bytearray()
            return
        pieces.append(Piece(bytes(self._message), is_message=True, lost_lines=self._lost_lines))
        self._message = None
        self._lost_lines = 0

    def _take(self, text: bytes, pieces: list[Piece]) -> None:
        if self._message is None:
            if text:
                pieces.append(Piece(text))
            return
        self._message += text
        if (excess := len(self._message) - self.limit) > 0:
            self._lost_lines += self._message.count(b"\n", 0, excess)
            del self._message[:excess]


def _beginning_at_end(chunk: bytes, marker: bytes, start: int) -> int:
    """Where the chunk, from `start` on, ends in the beginning of a marker; else its length."""
    at = chunk.rfind(_FIRST, max(start, len(chunk) - len(marker) + 1))
    return at if at >= 0 and marker.startswith(chunk[at:]) else len(chunk)
