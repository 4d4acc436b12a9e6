"""Working on lines without touching each of them: escape sequences out, losses kept tidy."""

import re

from opsvisor.core.struct import Struct

# ECMA-48, 7-bit forms only: the 8-bit ones (0x80..0x9f) are bytes of ordinary UTF-8 text.
# Every part is bounded, so that a stray ESC can neither swallow a log nor be held back for ever.
_PARAMETERS = rb"\[[0-?]{0,256}[ -/]{0,16}"  # CSI: colours, cursor movements
_STRING = rb"[\]PX^_][^\x07\x1b\n]{0,4096}"  # OSC, DCS, SOS, PM, APC: titles, hyperlinks
_SHIFT = rb"[ -/]{1,16}"  # character sets, as in the ESC ( B of `tput sgr0`
_SEQUENCE = re.compile(
    rb"\x1b(?:%b[@-~]|%b(?:\x07|\x1b\\)|%b[0-~]|[0-OQ-WYZ\\`-~])" % (_PARAMETERS, _STRING, _SHIFT)
)
_BEGINNING = re.compile(rb"\x1b(?:%b|%b\x1b?|%b)?\Z" % (_PARAMETERS, _STRING, _SHIFT))
_LONGEST_BEGINNING = 4096 + 3
_ESC = b"\x1b"


class AnsiStripper:
    """Removes ANSI escape sequences from a stream, however they are split across its chunks.

    What only looks like the beginning of a sequence passes through unchanged.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """The chunk without sequences. A beginning at its end waits for the next chunk."""
        if self._held:
            chunk = self._held + chunk
            self._held = b""
        if _ESC not in chunk:
            return chunk
        # Looked for before anything is removed: removal may bring together what doesn't belong
        # together. A beginning never lies inside a complete sequence, so the cut is safe.
        beginning = _BEGINNING.search(chunk, max(0, len(chunk) - _LONGEST_BEGINNING))
        if beginning is not None:
            self._held = beginning.group()
            chunk = chunk[: beginning.start()]
        return _SEQUENCE.sub(b"", chunk)

    @property
    def held(self) -> bytes:
        """The beginning of a sequence that is held back."""
        return self._held

    def recall(self, held: bytes) -> None:
        """Go on with a stream of which another stripper held this back."""
        self._held = held

    def flush(self) -> bytes:
        """What was held back, as text: the stream ended in the middle of a sequence."""
        held, self._held = self._held, b""
        return held


class GapMemento(Struct, frozen=True, kw_only=True):
    """A loss that output has not gone on after yet."""

    inside_line: bool = False
    torn: bool = False
    ended: bool = False
    newline_kept: bool = False


class Gap:
    """Keeps lines whole on both sides of a loss.

    What follows a loss begins at the start of a line, and a line that was written half still gets
    its newline. So a loss costs at most one torn line and never joins two. What is written is
    always a subsequence of what came in: newlines in = newlines written + newlines counted lost.
    """

    __slots__ = ("_ended", "_inside_line", "_newline_kept", "_torn", "is_open")

    def __init__(self) -> None:
        self.is_open = False  # something was lost since the last `resume`
        self._inside_line = False  # what was lost ends in the middle of a line
        self._torn = False  # what was written ended in the middle of a line
        self._ended = False  # that line has got its newline since
        self._newline_kept = False  # the newline of the torn line was among the lost bytes

    @property
    def owes_newline(self) -> bool:
        """Whether a line was written half and has no end yet, so that `resume` begins with it."""
        return self._torn and not self._ended

    def end_line(self) -> None:
        """Note that the line that was written half has got its newline."""
        self._ended = True

    def lose(self, lost: bytes, *, mid_line: bool) -> int:
        """Note that `lost` isn't written, and return the number of lines gone with it.

        `mid_line`: the last byte that was written before is not a newline.
        """
        if not lost:
            return 0
        if not self.is_open:
            self.is_open = True
            self._torn = mid_line
            self._ended = False
            self._newline_kept = False
        self._inside_line = not lost.endswith(b"\n")
        lines = lost.count(b"\n")
        return lines - self._keep_newline() if lines else 0

    def lose_earlier(self, lost: bytes, *, mid_line: bool) -> int:
        """The same for bytes in front of what was lost so far: they had been kept, in vain."""
        if not self.is_open:
            return self.lose(lost, mid_line=mid_line)
        lines = lost.count(b"\n") + (self._torn and self._newline_kept)
        self._torn = mid_line
        self._newline_kept = False
        return lines - self._keep_newline() if lines else 0

    def resume(self, chunk: bytes) -> tuple[bytes, int]:
        """What of the next chunk may be written, and how many lines are lost with the rest."""
        lines = 0
        if self._inside_line:
            cut = chunk.find(b"\n") + 1
            if not cut:
                return b"", 0
            chunk = chunk[cut:]
            lines = 1 - self._keep_newline()
        owed = b"\n" if self.owes_newline else b""
        self.is_open = self._inside_line = self._torn = False
        return owed + chunk, lines

    def remember(self) -> GapMemento:
        """What another process needs to go on after it, if it is open."""
        return GapMemento(
            inside_line=self._inside_line,
            torn=self._torn,
            ended=self._ended,
            newline_kept=self._newline_kept,
        )

    def recall(self, memento: GapMemento) -> None:
        """Go on after a loss that another process has had."""
        self.is_open = True
        self._inside_line = memento.inside_line
        self._torn = memento.torn
        self._ended = memento.ended
        self._newline_kept = memento.newline_kept

    def _keep_newline(self) -> int:
        """1 if a newline that passes by is the one to end the torn line with."""
        if not self._torn or self._newline_kept:
            return 0
        self._newline_kept = True
        return 1
