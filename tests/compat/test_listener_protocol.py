"""What a listener answers: tokens in any pieces, junk, and answers without an end."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsvisor.compat.supervisor.listeners.protocol import (
    LONGEST_LINE,
    LONGEST_RESULT,
    Answered,
    BadLine,
    Heard,
    ListenerState,
    Moved,
    Protocol,
)


def busy() -> Protocol:
    """A listener that was told an event."""
    protocol = Protocol()
    protocol.hear(b"READY\n")
    protocol.told()
    return protocol


def shown(heard: list[Heard]) -> str:
    """What was understood, in one line."""
    return ", ".join(_shown(one) for one in heard)


def _shown(heard: Heard) -> str:
    match heard:
        case Moved():
            return f"{heard.old.value} -> {heard.new.value}"
        case Answered():
            return f"answered {heard.result!r}"
        case BadLine():
            return f"bad line {heard.line!r}"


@pytest.mark.parametrize(
    ("text", "understood"),
    [
        (b"", ""),
        (b"READ", ""),  # not enough to tell
        (b"junk", ""),
        (b"READY\n", "ACKNOWLEDGED -> READY"),
        (b"READY ", "ACKNOWLEDGED -> UNKNOWN"),
        (b"RESULT 2\nOK", "ACKNOWLEDGED -> UNKNOWN"),
        (b"READY\nREADY\n", "ACKNOWLEDGED -> READY, READY -> UNKNOWN"),
        (b"READY\n ", "ACKNOWLEDGED -> READY, READY -> UNKNOWN"),
    ],
)
def test_before_any_event(text: bytes, understood: str) -> None:
    """Only READY and a newline is understood, and nothing after it until there is an event."""
    assert shown(Protocol().hear(text)) == understood


@pytest.mark.parametrize(
    ("text", "understood"),
    [
        (b"RESULT", ""),
        (b"RESULT 2", ""),
        (b"RESULT 2\nO", ""),
        (b"RESULT 2\nOK", "answered b'OK', BUSY -> ACKNOWLEDGED"),
        (b"RESULT 4\nFAIL", "answered b'FAIL', BUSY -> ACKNOWLEDGED"),
        (b"RESULT 0\n", "answered b'', BUSY -> ACKNOWLEDGED"),
        (b"RESULT 3\na\nb", "answered b'a\\nb', BUSY -> ACKNOWLEDGED"),
        (
            b"RESULT 2\nOKREADY\n",
            "answered b'OK', BUSY -> ACKNOWLEDGED, ACKNOWLEDGED -> READY",
        ),
        (
            b"RESULT 2\nOK\nREADY\n",  # a newline too many
            "answered b'OK', BUSY -> ACKNOWLEDGED, ACKNOWLEDGED -> UNKNOWN",
        ),
        (b"RESULT 2\nOK\n", "answered b'OK', BUSY -> ACKNOWLEDGED"),
        (b"anyseven2\n", "bad line b'anyseven2', BUSY -> UNKNOWN"),
        (b"anyseve2\nOK", "answered b'OK', BUSY -> ACKNOWLEDGED"),  # only what follows is read
        (b"RESULT  2 \nOK", "answered b'OK', BUSY -> ACKNOWLEDGED"),
        (b"RESULT 2\r\nOK", "answered b'OK', BUSY -> ACKNOWLEDGED"),
        (b"READY\n", "bad line b'READY', BUSY -> UNKNOWN"),
        (b"\n", "bad line b'', BUSY -> UNKNOWN"),
        (b"RESULT two\nOK", "bad line b'RESULT two', BUSY -> UNKNOWN"),
        (b"RESULT -2\nOK", "bad line b'RESULT -2', BUSY -> UNKNOWN"),
        (b"RESULT 99999999999\n", "bad line b'RESULT 99999999999', BUSY -> UNKNOWN"),
    ],
)
def test_with_an_event_in_hand(text: bytes, understood: str) -> None:
    """A line with a length, and then so many bytes, newlines among them."""
    assert shown(busy().hear(text)) == understood


def test_unknown_is_for_good() -> None:
    """Nothing that is said later is understood, or kept."""
    protocol = Protocol()
    protocol.hear(b"nonsense")
    for _ in range(3):
        assert protocol.hear(b"READY\n" * 1000) == []
    assert protocol.state is ListenerState.UNKNOWN
    assert not protocol._unread


def test_only_a_ready_listener_may_be_told() -> None:
    """Telling another one is a bug of ours."""
    with pytest.raises(AssertionError):
        Protocol().told()


@pytest.mark.parametrize("piece", [1, 7, LONGEST_LINE, 10 * LONGEST_LINE])
def test_a_line_without_an_end_breaks_the_protocol(piece: int) -> None:
    """Instead of being collected for ever."""
    protocol, heard = busy(), []
    for _ in range(0, 2 * LONGEST_LINE, piece):
        heard += protocol.hear(b"x" * piece)
        assert len(protocol._unread) <= LONGEST_LINE
    assert shown(heard) == f"bad line {b'x' * LONGEST_LINE!r}, BUSY -> UNKNOWN"


def test_the_longest_result_there_may_be() -> None:
    """One byte more is absurd."""
    protocol = busy()
    text = b"RESULT %d\n" % LONGEST_RESULT + b"r" * LONGEST_RESULT
    answered, _ = protocol.hear(text)
    assert answered == Answered(b"r" * LONGEST_RESULT)
    assert shown(busy().hear(b"RESULT %d\n" % (LONGEST_RESULT + 1))).endswith("-> UNKNOWN")


_TOKENS = [
    b"READY\n",
    b"RESULT 2\nOK",
    b"RESULT 4\nFAIL",
    b"RESULT ",
    b"\n",
    b"12\n",
    b"\xff",
    b"R",
]
_ANSWERS = st.lists(st.sampled_from(_TOKENS) | st.binary(max_size=9), max_size=12).map(b"".join)


@given(text=_ANSWERS, cuts=st.lists(st.integers(0, 80), max_size=8), is_busy=st.booleans())
def test_cuts_make_no_difference(text: bytes, cuts: list[int], *, is_busy: bool) -> None:
    """Whatever a listener prints, it is understood alike in one piece and in any others."""
    whole, in_pieces = (busy(), busy()) if is_busy else (Protocol(), Protocol())
    at_once = whole.hear(text)
    heard = []
    bounds = [0, *sorted(cuts), len(text)]
    for start, end in itertools.pairwise(bounds):
        heard += in_pieces.hear(text[start:end])
    assert heard == at_once
    assert in_pieces.state is whole.state
    assert in_pieces._unread == whole._unread
