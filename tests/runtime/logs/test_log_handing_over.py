"""Streams that another process goes on with, in the middle of whatever they are in."""

import os

import pytest
from captured_programs import Heard, MakeCapture, output_reaches

from opsvisor.runtime.logs import StreamCapture
from opsvisor.runtime.logs.capture import CaptureMemento
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


@pytest.mark.parametrize(("text", "kept"), [(b"abcdef", b"def"), (b"ef", b"ef"), (b"", b"")])
def test_a_ring_of_another_size_keeps_what_fits(text: bytes, kept: bytes) -> None:
    """Offsets mean the same."""
    ring = RingBuffer(3)
    ring.append(b"of before")
    ring.recall(100, text)
    assert (ring.end, ring.read(0)) == (100, (100 - len(kept), kept))
