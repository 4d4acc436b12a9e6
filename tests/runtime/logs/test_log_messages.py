"""Messages in the middle of output: taken out whole, and nothing else is touched."""

import os
import re
from pathlib import Path

import pytest
from captured_programs import Heard, MakeCapture
from hypothesis import given
from hypothesis import strategies as st

from opsvisor.runtime.logs.messages import BEGIN, END, MessageSplitter, Piece

HELLO = BEGIN + b"hello" + END
NEARLY = [BEGIN[:-1], END[:-1], BEGIN[1:], b"<", b"<!--", b"<!--XSUPERVISOR:", b"<<", b"-->"]
PIECES = st.sampled_from([BEGIN, END, *NEARLY, b"text", b"\n", b"\xff"])
CHUNKS = st.lists(st.lists(PIECES, max_size=8).map(b"".join), max_size=6)


MESSAGE = re.compile(re.escape(BEGIN) + b"(.*?)" + re.escape(END), re.DOTALL)


def split(*chunks: bytes, limit: int = 1000) -> tuple[bytes, list[bytes], int]:
    """The log, the messages, and the lost lines that come of these chunks and the end."""
    splitter = MessageSplitter(limit)
    pieces = [piece for chunk in chunks for piece in splitter.feed(chunk)] + splitter.flush()
    log = b"".join(piece.text for piece in pieces if not piece.is_message)
    messages = [piece.text for piece in pieces if piece.is_message]
    return log, messages, sum(piece.lost_lines for piece in pieces)


def expected(text: bytes) -> tuple[bytes, list[bytes]]:
    """The log and the messages of a whole text, by another way: one regular expression."""
    return MESSAGE.sub(b"", text), MESSAGE.findall(text)


@pytest.mark.parametrize("cut", range(len(b"one\n" + HELLO + b"two\n") + 1))
def test_a_message_split_anywhere_is_whole(cut: int) -> None:
    """A read may end at any byte of either marker."""
    text = b"one\n" + HELLO + b"two\n"
    assert split(text[:cut], text[cut:]) == (b"one\ntwo\n", [b"hello"], 0)


@given(CHUNKS)
def test_every_byte_is_where_it_belongs(chunks: list[bytes]) -> None:
    """Whatever the chunks, and for text that is nearly a marker: the log and the messages."""
    log, messages, _ = split(*chunks)
    assert (log, messages) == expected(b"".join(chunks))


@given(CHUNKS, st.integers(1, 9))
def test_a_message_keeps_its_newest_bytes_exactly(chunks: list[bytes], limit: int) -> None:
    """And the lines that are gone are counted, in messages that never end too."""
    log, messages, lost = split(*chunks, limit=limit)
    whole_log, whole = expected(b"".join(chunks))
    assert messages == [message[-limit:] for message in whole]
    gone = sum(message[:-limit].count(b"\n") for message in whole)
    assert lost == gone + whole_log.count(b"\n") - log.count(b"\n")
    # By where it is: what is left on both sides of a message may make a marker of its own.
    _, begin, unfinished = MESSAGE.split(b"".join(chunks))[-1].partition(BEGIN)
    before = whole_log.removesuffix(begin + unfinished) + begin
    kept = log.removeprefix(before)
    assert before + kept == log
    assert len(kept) <= limit + len(END) - 1
    assert unfinished.endswith(kept)


def test_halves_of_a_marker_around_a_message_are_no_marker() -> None:
    """Taking the message out must not begin another one."""
    text = b"<" + HELLO + BEGIN[1:] + b"text" + BEGIN + b"end"
    assert split(text, limit=1) == (BEGIN + b"text" + BEGIN + b"d", [b"o"], 0)


@given(CHUNKS)
def test_only_the_beginning_of_a_marker_is_held_back(chunks: list[bytes]) -> None:
    """Between messages all that came in is out, but for what may become a marker."""
    splitter = MessageSplitter(1000)
    text = b""
    for chunk in chunks:
        splitter.feed(chunk)
        text += chunk
        opened = text.rfind(BEGIN)
        if opened < 0 or (opened <= text.rfind(END) and splitter._message is None):
            assert BEGIN.startswith(splitter._held)
            assert text.endswith(splitter._held)


def test_text_without_markers_passes_at_once() -> None:
    """Supervisor holds back up to 24 bytes of it, and loses them at the end."""
    assert MessageSplitter(10).feed(b"bye\n") == [Piece(b"bye\n")]
    assert split(b"bye <", b"!--XSUP") == (b"bye <!--XSUP", [], 0)


def test_an_unfinished_message_is_in_the_log() -> None:
    """Its first marker says what it was to be; nothing of it vanishes in silence."""
    assert split(b"a" + BEGIN + b"hel", b"lo<!--X") == (b"a" + BEGIN + b"hello<!--X", [], 0)
    assert split(BEGIN + b"one\ntwo\nthree", limit=5) == (BEGIN + b"three", [], 2)


def test_a_flood_of_messages_takes_no_square_of_time() -> None:
    """Megabytes of them at once: copied once, and not once for each, which would take minutes."""
    log, messages, _ = split(HELLO * 100_000)
    assert (log, len(messages)) == (b"", 100_000)


async def test_messages_are_handed_over_and_not_logged(
    make_capture: MakeCapture, tmp_path: Path
) -> None:
    """Also where output isn't told; escape sequences are taken out of them as out of the log."""
    capture = make_capture(tmp_path / "x.log", message_limit=100, strip_ansi=True)
    heard = Heard(of=capture)
    end = capture.open_pipe()
    os.write(end, b"one\x1b[1m\n" + BEGIN + b"\x1b[31mred" + END + b"two\n<")
    os.close(end)
    capture.drain()
    assert (tmp_path / "x.log").read_bytes() == b"one\ntwo\n<"
    assert (heard.messages, heard.texts) == ([b"red"], [])
    assert capture.stats.lines == 2


async def test_an_earlier_runs_message_stays_in_the_log(make_capture: MakeCapture) -> None:
    """A grandchild prints it, and it isn't of the process that runs now."""
    capture = make_capture(message_limit=100)
    heard = Heard(of=capture).messages
    ends = [capture.open_pipe(), capture.open_pipe()]
    os.write(ends[0], HELLO)
    os.write(ends[1], HELLO)
    for end in ends:
        os.close(end)
    capture.drain()
    assert heard == [b"hello"]
    assert capture.ring.read(0)[1] == HELLO


async def test_an_earlier_run_is_not_the_latest_because_that_is_over(
    make_capture: MakeCapture,
) -> None:
    """Its grandchild has outlived the run after its own."""
    capture = make_capture(message_limit=100)
    heard = Heard(of=capture).messages
    earlier, latest = capture.open_pipe(), capture.open_pipe()
    os.close(latest)
    capture.drain()
    os.write(earlier, HELLO)
    os.close(earlier)
    capture.drain()
    assert heard == []
    assert capture.ring.read(0)[1] == HELLO


async def test_the_limit_can_change_while_a_message_is_on_its_way(
    make_capture: MakeCapture,
) -> None:
    """To another one, it goes on; to none, it is text. Then text becomes messages again."""
    capture = make_capture(message_limit=100)
    heard = Heard(of=capture).messages
    end = capture.open_pipe()
    os.write(end, BEGIN + b"hel")
    capture.drain()
    capture.update(make_capture(message_limit=4)._spec)
    os.write(end, b"lo" + END + BEGIN + b"un")
    capture.drain()
    assert heard == [b"ello"]
    capture.update(make_capture()._spec)
    assert capture.ring.read(0)[1] == BEGIN + b"un"
    capture.update(make_capture(message_limit=4)._spec)
    os.write(end, HELLO)
    os.close(end)
    capture.drain()
    assert heard == [b"ello", b"ello"]
