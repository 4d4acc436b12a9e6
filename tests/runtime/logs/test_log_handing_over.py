"""Streams that another process goes on with, in the middle of whatever they are in."""

import fcntl
import os
from pathlib import Path

import pytest
from captured_programs import Heard, MakeCapture, no_file_longer_than, output_reaches

from opsvisor.runtime.logs import StreamCapture
from opsvisor.runtime.logs.capture import CaptureMemento
from opsvisor.runtime.logs.files import FileTarget
from opsvisor.runtime.logs.ring import RingBuffer
from opsvisor.runtime.memory.codec import decode, encode

BEGIN, END = b"<!--XSUPERVISOR:BEGIN-->", b"<!--XSUPERVISOR:END-->"


def hand_over(earlier: StreamCapture, later: StreamCapture, *, limit: int = 1 << 20) -> None:
    """Let the later one go on where the earlier one is, as after an exec."""
    text = encode(CaptureMemento, earlier.remember(output_limit=limit))
    for reader in earlier.readers.values():
        copy = os.dup(reader)
        earlier._around.loop.remove_reader(reader)
        later.adopt(copy)
    later.recall(decode(CaptureMemento, text))


async def test_counts_and_offsets_go_on(make_capture: MakeCapture) -> None:
    """And what was printed last can be read on, by whoever knows how far he has come."""
    earlier, later = make_capture(), make_capture()
    program = earlier.open_pipe()
    os.write(program, b"one\ntwo\n")
    await output_reaches(earlier, 8)
    hand_over(earlier, later, limit=6)
    os.write(program, b"three\n")
    await output_reaches(later, 14)
    assert later.ring.read(0) == (2, b"e\ntwo\nthree\n")
    assert (later.stats.bytes, later.stats.lines) == (14, 3)
    os.close(program)


@pytest.mark.parametrize("cut", range(1, len(BEGIN + b"hi" + END)))
async def test_a_message_that_has_begun(make_capture: MakeCapture, cut: int) -> None:
    """Wherever the cut is, it is one message, and no part of it is in the log."""
    earlier = make_capture(message_limit=100)
    later = make_capture(message_limit=100)
    heard = Heard(of=later).messages
    said = BEGIN + b"hi" + END
    program = earlier.open_pipe()
    os.write(program, said[:cut])
    earlier.drain()
    hand_over(earlier, later)
    os.write(program, said[cut:])
    later.drain()
    assert (heard, later.ring.end) == ([b"hi"], 0)
    os.close(program)


@pytest.mark.parametrize("cut", range(1, 5))
async def test_an_escape_sequence_that_has_begun(make_capture: MakeCapture, cut: int) -> None:
    """It is taken out all the same."""
    earlier, later = make_capture(strip_ansi=True), make_capture(strip_ansi=True)
    program = earlier.open_pipe()
    os.write(program, b"\x1b[31m"[:cut])
    earlier.drain()
    hand_over(earlier, later)
    os.write(program, b"\x1b[31m"[cut:] + b"red")
    later.drain()
    assert later.ring.read(0) == (0, b"red")
    os.close(program)


@pytest.mark.parametrize(
    ("lost", "after"), [(b"lost\n", b"\nnext\n"), (b"lost\nin half", b"next\n")]
)
async def test_lines_that_are_lost(
    make_capture: MakeCapture, tmp_path: Path, lost: bytes, after: bytes
) -> None:
    """What follows begins at the start of a line, behind the end of the one that was torn."""
    path = tmp_path / "x.log"
    earlier, later = make_capture(path), make_capture(path)
    program = earlier.open_pipe()
    os.write(program, b"torn")
    earlier.drain()
    with path.open("ab") as file:  # so that the last byte is not ours to overwrite
        file.write(b"!")
    with no_file_longer_than(5):
        os.write(program, b" line\n" + lost)
        earlier.drain()
    hand_over(earlier, later)
    os.write(program, b"\nnext\n")
    later.drain()
    assert path.read_bytes() == b"torn!\n" + after
    everything = b"torn line\n" + lost + b"\nnext\n"
    written = path.read_bytes().count(b"\n")
    assert written + later.stats.dropped_lines == everything.count(b"\n")
    os.close(program)


async def test_a_loss_in_the_middle_of_a_line(make_capture: MakeCapture, tmp_path: Path) -> None:
    """That a line has begun is known as well to who has written nothing of it."""
    path = tmp_path / "x.log"
    earlier, later = make_capture(path), make_capture(path)
    program = earlier.open_pipe()
    os.write(program, b"torn")
    earlier.drain()
    hand_over(earlier, later)
    with no_file_longer_than(4):
        os.write(program, b" line\n")
        later.drain()
    os.write(program, b"next\n")
    assert isinstance(later._target, FileTarget)
    later._target._retry_at = 0.0
    later.drain()
    assert path.read_bytes() == b"torn\nnext\n"
    assert later.stats.dropped_lines == 0
    os.close(program)


async def test_a_device_that_took_half_a_line(make_capture: MakeCapture, tmp_path: Path) -> None:
    """The rest is lost in the exec, and the line ends before the next one."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    taken = fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    earlier, later, third = (make_capture(path) for _ in range(3))
    program = earlier.open_pipe()
    os.write(program, b"x" * taken + b"rest\n")
    earlier.drain()
    earlier.flush()
    hand_over(earlier, later)
    os.write(program, b"1\n")
    later.drain()  # there is no room yet
    later.flush()
    hand_over(later, third)
    assert os.read(reader, 99999) == b"x" * taken
    os.write(program, b"2\n")
    third.drain()
    assert os.read(reader, 99999) == b"\n2\n"
    assert third.stats.dropped_lines == 1
    os.close(program)
    os.close(reader)


async def test_a_loss_of_who_does_not_run(make_capture: MakeCapture, tmp_path: Path) -> None:
    """The line that a run has left half ends before the next run says anything."""
    path = tmp_path / "x.log"
    earlier, later = make_capture(path), make_capture(path)
    program = earlier.open_pipe()
    os.write(program, b"torn")
    earlier.drain()
    with path.open("ab") as file:
        file.write(b"!")
    with no_file_longer_than(5):
        os.write(program, b" line\n")
        os.close(program)
        earlier.drain()
    hand_over(earlier, later)
    program = later.open_pipe()
    os.write(program, b"next\n")
    later.drain()
    assert path.read_bytes() == b"torn!\nnext\n"
    os.close(program)


@pytest.mark.parametrize(("text", "kept"), [(b"abcdef", b"def"), (b"ef", b"ef"), (b"", b"")])
def test_a_ring_of_another_size_keeps_what_fits(text: bytes, kept: bytes) -> None:
    """Offsets mean the same."""
    ring = RingBuffer(3)
    ring.append(b"of before")
    ring.recall(100, text)
    assert (ring.end, ring.read(0)) == (100, (100 - len(kept), kept))
