"""Reading logs from files and from memory, and following them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from opsvisor.client import sse
from opsvisor.control import logs
from opsvisor.control.logs import Followed, LogPiece, NoLogError, follow, read_lines, read_range
from opsvisor.core.spec import LogSpec
from opsvisor.runtime.logs.capture import StreamCapture, Surroundings

TEXT = b"0123456789"


@pytest.fixture
async def capture() -> AsyncIterator[StreamCapture]:
    """A stream that keeps twenty bytes in memory."""
    one = StreamCapture(LogSpec(), Surroundings(ring_size=20, loop=asyncio.get_running_loop()))
    yield one
    one.close()


RANGES = pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, 0, (TEXT, 10)),
        (3, 4, (b"3456", 7)),
        (-4, 0, (b"6789", 10)),
        (-4, 2, (b"67", 8)),
        (-100, 3, (b"012", 3)),
        (0, 100, (TEXT, 10)),
        (10, 0, (b"", 10)),
        (99, 5, (b"", 10)),
        (10**30, 10**30, (b"", 10)),
        (-(10**30), 10**30, (TEXT, 10)),
    ],
)


@RANGES
async def test_a_range_of_a_file(
    capture: StreamCapture, tmp_path: Path, offset: int, length: int, expected: tuple[bytes, int]
) -> None:
    """Bytes as they are on disk; a negative offset counts from the end."""
    path = tmp_path / "log"
    path.write_bytes(TEXT)
    piece = await read_range(capture, str(path), offset=offset, length=length)
    assert piece == LogPiece(text=expected[0], end=expected[1], size=10)


@RANGES
async def test_a_range_of_memory(
    capture: StreamCapture, offset: int, length: int, expected: tuple[bytes, int]
) -> None:
    """The same answers where there is no file."""
    capture.write(TEXT)
    piece = await read_range(capture, None, offset=offset, length=length)
    assert piece == LogPiece(text=expected[0], end=expected[1], size=10)


async def test_memory_begins_where_it_still_reaches(capture: StreamCapture) -> None:
    """What is gone is gone; the offset tells how far the answer got."""
    capture.write(b"x" * 30 + TEXT)
    piece = await read_range(capture, None, offset=5, length=0)
    assert piece == LogPiece(text=b"x" * 10 + TEXT, end=40, size=40)


async def test_a_file_that_is_not_there_yet_is_read_from_memory(
    capture: StreamCapture, tmp_path: Path
) -> None:
    """Nor is a device a file that could be read again."""
    capture.write(TEXT)
    for path in (str(tmp_path / "none"), "/dev/null"):
        assert (await read_range(capture, path, offset=0, length=0)).text == TEXT


async def test_a_file_that_cannot_be_read_is_an_error(capture: StreamCapture) -> None:
    """A regular file, but not one to be read from the beginning."""
    with pytest.raises(NoLogError, match="cannot read /proc/self/mem: "):
        await read_range(capture, "/proc/self/mem", offset=0, length=0)


async def test_one_answer_is_bounded(capture: StreamCapture, tmp_path: Path) -> None:
    """A client asks on from where it ended."""
    path = tmp_path / "log"
    path.write_bytes(b"x" * (logs.LONGEST_ANSWER + 5))
    first = await read_range(capture, str(path), offset=0, length=0)
    assert (len(first.text), first.end) == (logs.LONGEST_ANSWER, logs.LONGEST_ANSWER)
    rest = await read_range(capture, str(path), offset=first.end, length=0)
    assert (rest.text, rest.end) == (b"xxxxx", first.size)


@pytest.mark.parametrize(
    ("text", "count", "expected"),
    [
        (b"", 5, b""),
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc", 2, b"b\nc"),
        (b"a\nb\nc\n", 9, b"a\nb\nc\n"),
        (b"a\nb\nc\n", 10**30, b"a\nb\nc\n"),
        (b"a\nb\n", 0, b""),
        (b"a\n\n\n", 2, b"\n\n"),
        (b"a\n10%\r20%\rdone\nb\n", 2, b"10%\r20%\rdone\nb\n"),
        (b"a\r\nb\r\n", 1, b"b\r\n"),
        (b"short\n" + b"x" * 5000 + b"\nlast\n", 2, b"x" * 5000 + b"\nlast\n"),
        (b"".join(b"%d\n" % n for n in range(9000)), 2, b"8998\n8999\n"),
    ],
)
async def test_the_last_lines(
    capture: StreamCapture, tmp_path: Path, text: bytes, count: int, expected: bytes
) -> None:
    """Whole lines, however long; a carriage return ends none; an unfinished one counts."""
    path = tmp_path / "log"
    path.write_bytes(text)
    piece = await read_lines(capture, str(path), lines=count)
    assert piece == LogPiece(text=expected, end=len(text), size=len(text))


async def take(pieces: AsyncIterator[Followed], count: int) -> list[Followed]:
    """The next pieces."""
    async with asyncio.timeout(60):
        return [await anext(pieces) for _ in range(count)]


async def test_following_gives_what_is_there_and_then_what_comes(capture: StreamCapture) -> None:
    """From the offset asked for, and until the stream is closed."""
    capture.write(b"hello")
    pieces = follow(capture, start=3)
    assert await take(pieces, 1) == [Followed(text=b"lo", end=5, lost=0)]
    asyncio.get_running_loop().call_soon(capture.write, b"more")
    assert await take(pieces, 1) == [Followed(text=b"more", end=9, lost=0)]
    asyncio.get_running_loop().call_soon(capture.close)
    async with asyncio.timeout(60):
        assert [piece async for piece in pieces] == []


async def test_a_follower_gets_pieces_of_bounded_size() -> None:
    """As JSON a piece may be six times as long, and a client bounds what it takes for a line."""
    capture = StreamCapture(
        LogSpec(), Surroundings(ring_size=1024 * 1024, loop=asyncio.get_running_loop())
    )
    longest = logs.LONGEST_FOLLOWED
    capture.write(b"lost")
    capture.write(b"\x01" * 1024 * 1024)
    pieces = await take(follow(capture, start=0), 4)
    capture.close()
    assert {len(piece.text) for piece in pieces} == {longest}
    assert longest * len(r"\u0001") < sse._LINE_MAX
    assert [piece.end for piece in pieces] == [4 + longest * n for n in (1, 2, 3, 4)]
    assert [piece.lost for piece in pieces] == [4, 0, 0, 0]


async def test_a_follower_that_is_too_slow_is_told_what_it_lost(capture: StreamCapture) -> None:
    """Memory is the only buffer; nobody waits for a reader."""
    capture.write(b"begin")
    pieces = follow(capture, start=0)
    await take(pieces, 1)
    capture.write(b"x" * 15)
    capture.write(TEXT)
    assert await take(pieces, 1) == [Followed(text=b"x" * 10 + TEXT, end=30, lost=5)]


async def test_a_range_has_a_limit(capture: StreamCapture, tmp_path: Path) -> None:
    """Whoever asks says how much may be read for it at most."""
    path = tmp_path / "log"
    path.write_bytes(TEXT)
    piece = await read_range(capture, str(path), offset=2, length=0, limit=3)
    assert piece == LogPiece(text=b"234", end=5, size=10)
    piece = await read_range(capture, str(path), offset=2, length=9, limit=3)
    assert piece.text == b"234"


async def test_a_folder_is_no_log_file(capture: StreamCapture, tmp_path: Path) -> None:
    """As a device is none: memory has what there is."""
    capture.write(TEXT)
    assert (await read_range(capture, str(tmp_path), offset=0, length=0)).text == TEXT
