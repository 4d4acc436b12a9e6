"""Reading logs: ranges and tails of what is on disk or in memory, and following them."""

import asyncio
import os
import stat
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from opsvisor.core.struct import Struct
from opsvisor.runtime.logs.capture import StreamCapture
from opsvisor.runtime.logs.links import located

# One answer holds at most this much; a client asks on from the offset it was given.
LONGEST_ANSWER = 1024 * 1024
# As JSON a control character takes six bytes, and clients bound the lines of a stream.
LONGEST_FOLLOWED = 256 * 1024
_AVERAGE_LINE = 200
_PIECE_OF_WHOLE = 256 * 1024


class NoLogError(Exception):
    """There is no such log: the stream is merged into another, or nothing was written yet."""


class LogPiece(Struct, frozen=True, kw_only=True):
    """Part of a log. `end` is the offset after it, `size` that of the whole log."""

    text: bytes
    end: int
    size: int


class Followed(Struct, frozen=True, kw_only=True):
    """New output. `lost` bytes between the last piece and this one were gone too soon."""

    text: bytes
    end: int
    lost: int


async def read_range(
    capture: StreamCapture,
    path: str | None,
    *,
    offset: int,
    length: int,
    limit: int = LONGEST_ANSWER,
) -> LogPiece:
    """Bytes from `offset` on; a negative offset counts from the end. `length` 0: to the end.

    At most `limit` bytes are read from a file; what memory holds is bounded by itself.
    """
    piece = None
    if path is not None:
        wanted = min(length or limit, limit)
        piece = await asyncio.to_thread(_of_file, path, offset, wanted)
    return _of_ring(capture, offset, length) if piece is None else piece


async def read_lines(capture: StreamCapture, path: str | None, *, lines: int) -> LogPiece:
    """The last `lines` lines."""
    wanted = min(LONGEST_ANSWER, max(1, lines) * _AVERAGE_LINE)
    while True:
        piece = await read_range(capture, path, offset=-wanted, length=0)
        if piece.text.count(b"\n") > lines or len(piece.text) < wanted:
            break
        if wanted >= LONGEST_ANSWER:
            break
        wanted = min(LONGEST_ANSWER, wanted * 4)
    return LogPiece(text=_last_lines(piece.text, lines), end=piece.end, size=piece.size)


def _last_lines(text: bytes, count: int) -> bytes:
    """Only a newline ends a line: what draws a progress bar with carriage returns is one."""
    if count == 0:
        return b""
    complete = text.removesuffix(b"\n")
    kept = complete.rsplit(b"\n", min(count, len(complete)))[-count:]
    return b"\n".join(kept) + text[len(complete) :]


async def follow(capture: StreamCapture, *, start: int) -> AsyncGenerator[Followed]:
    """Output as it comes, from this offset of the ring on.

    The ring is the only buffer: a reader that falls behind it loses what it was too slow for, and
    is told how much. A piece has at most LONGEST_FOLLOWED bytes. Ends when the stream is closed.
    """
    position = start
    while True:
        await capture.wait_beyond(position)
        begin, text = capture.ring.read(position)
        if not text:
            return  # closed: the process left the configuration, or the daemon ends
        lost = max(0, begin - max(position, capture.ring.cleared))
        for first in range(0, len(text), LONGEST_FOLLOWED):
            piece = text[first : first + LONGEST_FOLLOWED]
            yield Followed(text=piece, end=begin + first + len(piece), lost=lost)
            lost = 0
        position = begin + len(text)


class WholeLog(Struct, frozen=True):
    """All of a log as it was at one moment: `size` bytes of a file, or of memory."""

    size: int
    _source: BinaryIO | bytes

    def piece(self, begin: int) -> bytes:
        """The bytes from there on, some at a time; none after the last. NoLogError if unreadable.

        A file that has become shorter meanwhile ends early. May block.
        """
        length = min(_PIECE_OF_WHOLE, self.size - begin)
        if isinstance(self._source, bytes):
            return self._source[begin : begin + length]
        try:
            return os.pread(self._source.fileno(), length, begin)
        except OSError as error:
            raise NoLogError(f"cannot read the log: {error.strerror}") from error


@contextmanager
def whole_log(capture: StreamCapture, path: str | None) -> Iterator[WholeLog]:
    """All that there is of a log: of its file, or of memory if it has none. May block.

    What is added later is not part of it, so that a flood comes to an end. A file that is rotated
    meanwhile is read on under its other name.
    """
    file = open_file(path) if path is not None else None
    if file is None:
        _, text = capture.ring.read(capture.ring.start)
        yield WholeLog(len(text), text)
        return
    with file:
        yield WholeLog(os.fstat(file.fileno()).st_size, file)


def _of_ring(capture: StreamCapture, offset: int, length: int) -> LogPiece:
    ring = capture.ring
    wanted = max(ring.start, ring.end + offset) if offset < 0 else max(ring.start, offset)
    begin, text = ring.read(wanted)
    text = text[:length] if length else text
    return LogPiece(text=text, end=begin + len(text), size=ring.end)


def open_file(path: str) -> BinaryIO | None:
    """A log file for reading, None if there is no regular one. NoLogError if it can't be read.

    A device is none: what was written there can't be read again.
    """
    try:
        with located(path) as spot:
            # As it is written: through no link that a program could have laid to others' files.
            descriptor = spot.open(os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    return None


def _of_file(path: str, offset: int, length: int) -> LogPiece | None:
    file = open_file(path)
    if file is None:
        return None
    try:
        with file:
            return _piece_of(file, offset, length)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _piece_of(file: BinaryIO, offset: int, length: int) -> LogPiece:
    size = file.seek(0, os.SEEK_END)
    begin = max(0, size + offset) if offset < 0 else min(offset, size)
    file.seek(begin)
    text = file.read(length)
    return LogPiece(text=text, end=begin + len(text), size=size)


def _unreadable(path: str, error: OSError | ValueError) -> NoLogError:
    reason = getattr(error, "strerror", None) or error
    return NoLogError(f"cannot read {path}: {reason}")
