"""What a log said until now, as one text: its backups and its file, or what memory holds.

Where it begins is asked for in lines, or as a time. Times are known from the marks that a capture
takes (see TimeMarks), so an answer may begin somewhat earlier than asked, never later. What was
there before the first mark, as a rule from before this daemon, has no times: then an answer says
so. A text ends where the capture stood when it was asked, so that following can go on from there.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from itertools import pairwise
from typing import BinaryIO, NamedTuple

from opsvisor.control.logs import NoLogError, open_file
from opsvisor.core.spec import LogSpec
from opsvisor.core.struct import Struct
from opsvisor.runtime.logs.capture import StreamCapture
from opsvisor.runtime.logs.times import Place, TimeMark

PIECE = 16 * 1024  # bytes: several hundred logs may be in the middle of one at the same time
LOOKED_THROUGH = 16 * 1024 * 1024  # bytes, for the last lines of one log
_MOST_BACKUPS = 100  # that are looked for
_ATTEMPTS = 3  # to find a file that nobody writes to in between


class Wanted(Struct, frozen=True):
    """Which part: what was written `since` (Unix time), of that the last `lines`.

    None: without that bound. Without any, nothing.
    """

    lines: int | None = None
    since: float | None = None


class Said(NamedTuple):
    """A piece of it. `begin` and `end` are offsets of the capture, below 0 for what it didn't see.

    `at`: it was not written before that, 0.0 if nothing is known.
    """

    text: bytes
    begin: int
    end: int
    at: float


class _Part(NamedTuple):
    """A file, or memory (with inode 0): `begin` is where it begins in the whole text."""

    path: str
    inode: int
    begin: int
    size: int


class _Moment(NamedTuple):
    """From `position` of the text on, nothing was written before `at`."""

    at: float
    position: int


class Past(Struct, frozen=True, kw_only=True):
    """A text of the past, from `begin` to `end`, and when it was written.

    `shift` makes offsets of the capture of its positions. `remark` says what is missing in it that
    was asked for, if anything is.
    """

    begin: int
    end: int
    shift: int
    remark: str
    _parts: tuple[_Part, ...]
    _moments: tuple[_Moment, ...]
    _memory: bytes

    @property
    def end_in_file(self) -> int:
        """Where it ends in the file that is written to now; in memory, if there is no file."""
        last = self._parts[-1]
        return last.size if last.inode else self.end

    async def pieces(self) -> AsyncGenerator[Said]:
        """All of it in order, in pieces that are of one time each."""
        for begin, end, at in self._of_one_time():
            position = begin
            while position < end:
                text = await self.read(position, min(PIECE, end - position))
                if not text:  # gone meanwhile: a rotation has removed the oldest file
                    break
                stop = position + len(text)
                yield Said(text, position + self.shift, stop + self.shift, at)
                position = stop

    async def newest(self, limit: int) -> Said:
        """Its last bytes, as many as that, in one piece."""
        begin = max(self.begin, self.end - limit)
        texts, position = list[bytes](), begin
        while position < self.end and (text := await self.read(position, self.end - position)):
            texts.append(text)
            position += len(text)
        at = max((moment.at for moment in self._moments if moment.position <= begin), default=0.0)
        return Said(b"".join(texts), begin + self.shift, position + self.shift, at)

    async def read(self, position: int, length: int) -> bytes:
        """At most `length` bytes from there on, as many as are in the same file."""
        part = next(one for one in reversed(self._parts) if one.begin <= position)
        length = min(length, part.begin + part.size - position)
        if not part.inode:
            return self._memory[position - part.begin :][:length]
        return await asyncio.to_thread(_read, part, position - part.begin, length)

    def _of_one_time(self) -> Iterator[tuple[int, int, float]]:
        """Stretches of the text, and not before when they were written."""
        before = [one for one in self._moments if one.position <= self.begin]
        after = [one for one in self._moments if self.begin < one.position < self.end]
        at = before[-1].at if before else 0.0
        edges = [_Moment(at, self.begin), *after, _Moment(0.0, self.end)]
        for one, following in pairwise(edges):
            yield one.position, following.position, one.at


async def past_of(capture: StreamCapture, spec: LogSpec, wanted: Wanted) -> Past:
    """That part of what a log said until now. NoLogError if its file can't be read."""
    whole = await _whole(capture, spec)
    past = whole if wanted.since is None else await _since(whole, capture, spec, wanted.since)
    if wanted.lines is not None:
        past = await _last_lines(past, wanted.lines)
    elif wanted.since is None:
        past = _from(past, past.end)
    return past


def _from(past: Past, begin: int, remark: str = "") -> Past:
    return Past(
        begin=begin,
        end=past.end,
        shift=past.shift,
        remark=remark,
        _parts=past._parts,  # noqa: SLF001 - of the same class
        _moments=past._moments,  # noqa: SLF001 - of the same class
        _memory=past._memory,  # noqa: SLF001 - of the same class
    )


async def _whole(capture: StreamCapture, spec: LogSpec) -> Past:
    if spec.path is not None and not capture.problem:
        for _ in range(_ATTEMPTS):
            end, place = capture.ring.end, capture.place
            parts = await asyncio.to_thread(_files, spec.path, spec.rotate_keep, place)
            if parts and (place.inode or end == capture.ring.end):
                return _of_files(capture, parts, end)
    return _of_memory(capture)


def _of_memory(capture: StreamCapture) -> Past:
    begin, text = capture.ring.read(capture.ring.start)
    end = begin + len(text)
    moments = [_Moment(mark.at, mark.offset) for mark in capture.marks]
    # What a mark tells of bytes that are gone holds for those that are left.
    first = max((one.at for one in moments if one.position <= begin), default=None)
    kept = [one for one in moments if one.position > begin]
    return Past(
        begin=begin,
        end=end,
        shift=0,
        remark="",
        _parts=(_Part("", 0, begin, len(text)),),
        _moments=tuple(kept if first is None else [_Moment(first, begin), *kept]),
        _memory=text,
    )


def _of_files(capture: StreamCapture, parts: list[_Part], end: int) -> Past:
    last = parts[-1]
    length = last.begin + last.size
    return Past(
        begin=0,
        end=length,
        shift=end - length,
        remark="",
        _parts=tuple(parts),
        _moments=tuple(_moments(list(capture.marks), parts)),
        _memory=b"",
    )


def _moments(marks: list[TimeMark], parts: list[_Part]) -> list[_Moment]:
    """Where in the text the marks lie, oldest first.

    From the newest back, as far as they lie one before the other: a mark of a file that is gone
    can fit another one that has got its number, or the same after it was cut short.
    """
    by_inode = {part.inode: part for part in parts}
    found: list[_Moment] = []
    limit = parts[-1].begin + parts[-1].size
    for mark in reversed([one for one in marks if one.place.inode]):
        part = by_inode.get(mark.place.inode)
        position = -1 if part is None else part.begin + mark.place.position
        if part is None or mark.place.position > part.size or position > limit:
            # All that is left is newer than this: what it said is gone.
            found.append(_Moment(mark.at, 0))
            break
        found.append(_Moment(mark.at, position))
        limit = position
    return found[::-1]


async def _since(past: Past, capture: StreamCapture, spec: LogSpec, since: float) -> Past:
    if capture.stats.last_output_at and since > capture.stats.last_output_at:
        return _from(past, past.end)
    moments = past._moments  # noqa: SLF001 - of this module
    known = [one.position for one in moments if one.at <= since]
    if known:
        return _from(past, known[-1])
    first = moments[0].position if moments else past.end
    if first <= past.begin:
        return past
    if not moments and spec.path and await asyncio.to_thread(_modified_at, spec.path) < since:
        return _from(past, past.end)
    return _from(past, first, "what is older has no times: it was written before this daemon came")


async def _last_lines(past: Past, count: int) -> Past:
    """The last lines. Only a newline ends one: what draws a progress bar is one line."""
    if not count:
        return _from(past, past.end, past.remark)
    position, wanted = past.end, count
    lowest = max(past.begin, past.end - LOOKED_THROUGH)
    is_last = True
    while position > lowest:
        begin = max(lowest, position - PIECE * 4)
        text, at = b"", begin
        while at < position and (piece := await past.read(at, position - at)):
            text += piece
            at += len(piece)
        looked = text[:-1] if is_last and text.endswith(b"\n") else text
        newlines = looked.count(b"\n")
        if newlines >= wanted:
            cut = len(looked)
            for _ in range(wanted):
                cut = looked.rindex(b"\n", 0, cut)
            return _from(past, begin + cut + 1, past.remark)
        wanted -= newlines
        position, is_last = begin, False
    return _from(past, lowest, past.remark)


def _files(path: str, keep: int, place: Place) -> list[_Part]:
    """The backups and the file that are there, oldest first, up to this place."""
    found: list[tuple[str, os.stat_result]] = []
    real = os.path.realpath(path)
    for name in (path, *(f"{real}.{number}" for number in range(1, min(keep, _MOST_BACKUPS) + 1))):
        status = _status(name)
        if status is None and found:
            break
        if status is not None:
            found.append((name, status))
    parts: list[_Part] = []
    begin = 0
    for name, status in reversed(found):
        is_last = status.st_ino == place.inode
        size = min(status.st_size, place.position) if is_last else status.st_size
        parts.append(_Part(name, status.st_ino, begin, size))
        begin += size
        if is_last:
            break
    return parts


def _status(path: str) -> os.stat_result | None:
    """Of a regular file; through no link that open_file wouldn't follow. None if there is none."""
    file = open_file(path)
    if file is None:
        return None
    with file:
        return os.fstat(file.fileno())


def _modified_at(path: str) -> float:
    with suppress(NoLogError):
        status = _status(path)
        return 0.0 if status is None else status.st_mtime
    return 0.0


def _read(part: _Part, at: int, length: int) -> bytes:
    """From that file, wherever a rotation has put it since."""
    with suppress(NoLogError, OSError):
        for path in _names(part.path):
            file = open_file(path)
            if file is None:
                continue
            with file:
                if os.fstat(file.fileno()).st_ino == part.inode:
                    return _pread(file, length, at)
    return b""


def _names(path: str) -> Iterator[str]:
    """Where a file may be that was called so a moment ago."""
    yield path
    stem, dot, number = path.rpartition(".")
    is_backup = bool(dot) and number.isdecimal()
    for following in range(int(number) + 1 if is_backup else 1, _MOST_BACKUPS):
        name = f"{stem if is_backup else os.path.realpath(path)}.{following}"
        if not os.path.exists(name):  # noqa: PTH110 - quicker, and asked for each piece
            return
        yield name


def _pread(file: BinaryIO, length: int, at: int) -> bytes:
    return os.pread(file.fileno(), length, at)
