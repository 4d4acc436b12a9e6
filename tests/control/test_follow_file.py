"""Following a log file to its last byte, whatever happens to it."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from opsvisor.control.follow_file import FollowedFile, Truncated, follow_file
from opsvisor.control.logs import open_file
from opsvisor.core.spec import LogSpec
from opsvisor.runtime.logs.capture import StreamCapture, Surroundings

PATIENCE = 60.0


@pytest.fixture
async def capture(tmp_path: Path) -> AsyncIterator[StreamCapture]:
    """A stream with a file that is rotated, and a ring too small for anything."""
    spec = LogSpec(path=str(tmp_path / "log"), rotate_size=100, rotate_keep=2)
    one = StreamCapture(spec, Surroundings(ring_size=4, loop=asyncio.get_running_loop()))
    one.write(b"before\n")
    yield one
    one.close()


@pytest.fixture
def file(capture: StreamCapture, tmp_path: Path) -> FollowedFile:
    """The file, from two bytes before its end on."""
    assert not capture.closed
    return opened(tmp_path / "log", back=2)


def opened(path: Path, *, back: int = 0) -> FollowedFile:
    """A file that is there."""
    found = open_file(str(path))
    assert found is not None
    return FollowedFile(str(path), found, back=back)


async def heard(pieces: AsyncIterator[bytes | Truncated], wanted: bytes) -> bytes:
    """All that comes, up to what is wanted; `|` stands for a truncation."""
    text = b""
    async with asyncio.timeout(PATIENCE):
        while wanted not in text:
            piece = await anext(pieces)
            text += b"|" if isinstance(piece, Truncated) else piece
    return text


async def test_everything_arrives(capture: StreamCapture, file: FollowedFile) -> None:
    """From a little before the end on, however much comes in one go."""
    pieces = follow_file(capture, file)
    assert await heard(pieces, b"e\n") == b"e\n"
    capture.write(b"x" * 90)
    assert await heard(pieces, b"x" * 90) == b"x" * 90
    file.close()


async def test_it_ends_with_the_stream(capture: StreamCapture, file: FollowedFile) -> None:
    """What was written last is still told."""
    pieces = follow_file(capture, file)
    assert await anext(pieces) == b"e\n"
    capture.write(b"last\n")
    capture.close()
    assert [piece async for piece in pieces] == [b"last\n"]
    file.close()


async def test_what_is_written_while_nothing_was_found_is_told(
    capture: StreamCapture, file: FollowedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if that is the last, and the stream has ended before we hear that nothing was found."""
    loop, real = asyncio.get_running_loop(), file.read

    def end() -> None:
        if not capture.closed:
            capture.write(b"last\n")
            capture.close()

    def read() -> bytes | Truncated:
        text = real()
        if not text:
            loop.call_soon_threadsafe(end)
        return text

    monkeypatch.setattr(file, "read", read)
    assert [piece async for piece in follow_file(capture, file)] == [b"e\n", b"last\n"]
    file.close()


def test_what_is_added_just_before_a_rotation_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the last look at a file and the moment it gives its name away."""
    path = tmp_path / "log"
    path.write_bytes(b"")
    file, real = opened(path), os.pread

    def late(descriptor: int, length: int, offset: int) -> bytes:
        text = real(descriptor, length, offset)
        if not text and not (tmp_path / "log.1").exists():
            path.write_bytes(b"rest")
            path.rename(tmp_path / "log.1")
            path.write_bytes(b"new")
        return text

    monkeypatch.setattr(os, "pread", late)
    pieces = [file.read() for _ in range(4)]
    assert pieces == [b"", b"rest", b"new", b""]
    file.close()


async def test_a_rotation_loses_nothing(capture: StreamCapture, file: FollowedFile) -> None:
    """The old file is read to its end before the new one. Supervisor skips what is left of it."""
    capture.write(b"a" * 60 + b"\n")
    capture.write(b"b" * 60 + b"\n")  # no longer fits
    pieces = follow_file(capture, file)
    expected = b"e\n" + b"a" * 60 + b"\n" + b"b" * 60 + b"\n"
    assert await heard(pieces, b"b\n") == expected
    file.close()


async def test_a_truncation_is_told(
    capture: StreamCapture, file: FollowedFile, tmp_path: Path
) -> None:
    """With the next output, which is the first there is to tell after it."""
    pieces = follow_file(capture, file)
    assert await anext(pieces) == b"e\n"
    os.truncate(tmp_path / "log", 0)
    capture.write(b"new\n")
    assert await heard(pieces, b"new\n") == b"|new\n"
    capture.clear()
    capture.write(b"x\n")
    assert await heard(pieces, b"x\n") == b"|x\n"
    file.close()


def test_a_file_without_a_successor(tmp_path: Path) -> None:
    """Gone, or replaced by what can't be read again: nothing is new, and nothing is an error."""
    path = tmp_path / "log"
    path.write_bytes(b"all")
    file = opened(path, back=3)
    assert file.read() == b"all"
    assert file.read() == b""
    path.unlink()
    assert file.read() == b""
    path.mkdir()
    assert file.read() == b""
    path.rmdir()
    path.symlink_to(tmp_path / "nowhere")
    assert file.read() == b""
    file.close()
    assert file.read() == b""


def test_a_successor_that_cannot_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again with the next output."""
    path = tmp_path / "log"
    path.write_bytes(b"")
    file = opened(path)
    path.rename(tmp_path / "log.1")
    path.write_bytes(b"new")
    with monkeypatch.context() as patched:
        patched.setattr("opsvisor.control.logs.located", _no_access)
        assert file.read() == b""
    assert file.read() == b"new"
    file.close()


def test_a_file_that_is_closed_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever closes it does not wait, and whoever reads leaves nothing open."""
    path = tmp_path / "log"
    path.write_bytes(b"all")
    file = opened(path, back=3)
    real = os.pread

    def slow(descriptor: int, length: int, offset: int) -> bytes:
        file.close()
        return real(descriptor, length, offset)

    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", slow)
        assert file.read() == b"all"
    assert file._file.closed


def _no_access(path: str) -> None:
    raise PermissionError(13, "Permission denied", path)
