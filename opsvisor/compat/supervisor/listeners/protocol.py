r"""What one event listener answers on its standard output, understood byte by byte.

Theory of operation
-------------------
A listener begins ACKNOWLEDGED. `READY\n` makes it READY; being told an event makes it BUSY; its
answer, `RESULT <length>\n` and that many bytes, makes it ACKNOWLEDGED again. Anything else makes
it UNKNOWN for the rest of its run, and from then on what it prints is passed over.

The kernel cuts output where it likes, so tokens may arrive in pieces or several at once: `hear`
gives the same whatever the cuts. What is kept of an unfinished answer is bounded. Where Supervisor
would go on collecting (a line without an end, a result of gigabytes), the listener is UNKNOWN.
"""

from enum import Enum
from typing import Self, assert_never

from opsvisor.core.struct import Struct

_READY = b"READY\n"
_BEFORE_LENGTH = len(b"RESULT ")  # whatever stands there, Supervisor doesn't look

LONGEST_LINE = 1024
LONGEST_RESULT = 1024 * 1024


class ListenerState(Enum):
    """What a listener is doing, as far as the protocol tells."""

    ACKNOWLEDGED = "ACKNOWLEDGED"  # alive, and not ready yet
    READY = "READY"
    BUSY = "BUSY"  # with an event
    UNKNOWN = "UNKNOWN"  # broke the protocol; nothing more is to be had from this run


class Moved(Struct, frozen=True):
    """The listener went from one state to another."""

    old: ListenerState
    new: ListenerState


class Answered(Struct, frozen=True):
    """The listener is done with its event; `result` says how. It moves on right after this."""

    result: bytes


class BadLine(Struct, frozen=True):
    """Where the length of a result was expected came this. It moves to UNKNOWN right after."""

    line: bytes


Heard = Moved | Answered | BadLine


class ProtocolMemento(Struct, frozen=True, kw_only=True):
    """Where a listener stands, and what of an answer has been read."""

    state: ListenerState
    unread: bytes = b""
    result_length: int | None = None


class Protocol:
    """One run of one listener."""

    def __init__(self) -> None:
        self.state = ListenerState.ACKNOWLEDGED
        self._unread = bytearray()
        self._result_length: int | None = None  # while BUSY, once its line has been read

    def remember(self) -> ProtocolMemento:
        """What is needed to understand what the listener says next."""
        return ProtocolMemento(
            state=self.state, unread=bytes(self._unread), result_length=self._result_length
        )

    @classmethod
    def recall(cls, memento: ProtocolMemento) -> Self:
        """Go on where another process was."""
        protocol = cls()
        protocol.state = memento.state
        protocol._unread += memento.unread
        protocol._result_length = memento.result_length
        return protocol

    def told(self) -> None:
        """Note that it was told an event, which only a READY one may be."""
        assert self.state is ListenerState.READY, self.state
        self.state = ListenerState.BUSY

    def hear(self, text: bytes) -> list[Heard]:
        """What follows from the next bytes of its output."""
        if self.state is ListenerState.UNKNOWN:
            return []
        self._unread += text
        heard: list[Heard] = []
        while self._unread and (step := self._step()):
            heard += step
        return heard

    def _step(self) -> list[Heard]:
        """Take one token from what is unread; nothing where it isn't complete yet."""
        match self.state:
            case ListenerState.ACKNOWLEDGED:
                return self._expect_ready()
            case ListenerState.READY | ListenerState.UNKNOWN:
                return [self._break_off()]  # nobody asked it anything
            case ListenerState.BUSY:
                length = self._result_length
                return self._expect_length() if length is None else self._expect_result(length)
            case never:
                assert_never(never)

    def _expect_ready(self) -> list[Heard]:
        if len(self._unread) < len(_READY):
            return []
        if not self._unread.startswith(_READY):
            return [self._break_off()]
        del self._unread[: len(_READY)]
        return [self._move(ListenerState.READY)]

    def _expect_length(self) -> list[Heard]:
        line, newline, rest = self._unread.partition(b"\n")
        if not newline and len(line) <= LONGEST_LINE:
            return []
        length = _length(line) if newline and len(line) <= LONGEST_LINE else None
        if length is None:
            return [BadLine(bytes(line[:LONGEST_LINE])), self._break_off()]
        self._unread = rest
        self._result_length = length
        return self._expect_result(length)

    def _expect_result(self, length: int) -> list[Heard]:
        if len(self._unread) < length:
            return []
        answered = Answered(bytes(self._unread[:length]))
        del self._unread[:length]
        self._result_length = None
        return [answered, self._move(ListenerState.ACKNOWLEDGED)]

    def _break_off(self) -> Moved:
        self._unread.clear()
        self._result_length = None
        return self._move(ListenerState.UNKNOWN)

    def _move(self, new: ListenerState) -> Moved:
        old, self.state = self.state, new
        return Moved(old, new)


def _length(line: bytes | bytearray) -> int | None:
    """The number behind `RESULT `, None where there is none that makes sense."""
    try:
        length = int(bytes(line[_BEFORE_LENGTH:]))
    except ValueError:
        return None
    return length if 0 <= length <= LONGEST_RESULT else None
