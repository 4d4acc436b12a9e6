import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsvisor.runtime.logs.lines import AnsiStripper, Gap

COLOURFUL = (
    b"\x1b[1;31merror\x1b[0m: \x1b]0;title\x07a\x1b]8;;http://x/\x1b\\link\x1b]8;;\x1b\\"
    b"\x1b(B\x1b7\x1b8\x1b[?25l\x1b[38;2;1;2;3mb\x1bPq#0\x1b\\\x1bM caf\xc3\xa9\n"
)
PLAIN = b"error: alinkb caf\xc3\xa9\n"
PIECES = st.sampled_from(
    [b"\x1b", b"[", b"]", b"3", b";", b"m", b"\\", b"\x07", b"\n", b"(", b"B", b"text", b"P"]
)


def stripped(*chunks: bytes) -> bytes:
    """What comes out of a stripper that is fed the chunks and then flushed."""
    stripper = AnsiStripper()
    return b"".join([stripper.feed(chunk) for chunk in chunks]) + stripper.flush()


@pytest.mark.parametrize("cut", range(len(COLOURFUL) + 1))
def test_sequences_split_anywhere_are_removed(cut: int) -> None:
    """A read may end at any byte of any sequence: no debris, no text lost."""
    assert stripped(COLOURFUL[:cut], COLOURFUL[cut:]) == PLAIN


@given(st.lists(st.lists(PIECES, max_size=8).map(b"".join), max_size=6))
def test_chunking_makes_no_difference(chunks: list[bytes]) -> None:
    """Also for text that is nearly a sequence."""
    assert stripped(*chunks) == stripped(b"".join(chunks))


@pytest.mark.parametrize(
    "text",
    [
        b"plain\n",
        b"caf\xc3\xa9 \xc2\x9b1m \x9b",  # 8-bit controls are part of UTF-8 text
        b"\x1b]title that never ends\nnext line\n",
        b"\x1b[31",
        b"\x1b\x1b",
        b"\x1b[" + b"1;" * 1000 + b"m",
    ],
)
def test_what_is_no_sequence_passes(text: bytes) -> None:
    """An unfinished or overlong sequence is text: nothing is swallowed."""
    assert stripped(text) == text
    assert stripped(*(bytes([byte]) for byte in text)) == text


def test_little_is_held_back() -> None:
    """A program that never ends its title can't make us hoard its output."""
    stripper = AnsiStripper()
    passed = b"".join(stripper.feed(b"x" * 100) for _ in range(100))
    passed += stripper.feed(b"\x1b]0;") + b"".join(stripper.feed(b"x" * 100) for _ in range(100))
    assert len(passed) == 20_004


def is_subsequence(part: bytes, whole: bytes) -> bool:
    """Whether `part` is `whole` with bytes left out."""
    rest = iter(whole)
    return all(byte in rest for byte in part)


STEPS = st.lists(
    st.tuples(
        st.lists(st.sampled_from([b"a", b"b", b"cd", b"\n"]), min_size=1, max_size=6).map(
            b"".join
        ),
        st.sampled_from(["write", "lose", "half", "half, ended"]),
    ),
    max_size=12,
)


def handed_over(gap: Gap) -> Gap:
    """The same in another process."""
    if not gap.is_open:
        return gap
    later = Gap()
    later.recall(gap.remember())
    return later


@given(STEPS)
def test_gap_keeps_lines_apart_and_the_books_straight(steps: list[tuple[bytes, str]]) -> None:
    """Whatever is lost: lines in = lines out + lines counted lost, and no line is invented."""
    gap = Gap()
    out = b""
    lost = 0
    for chunk, fate in [*steps, (b"\n\n", "write")]:
        rest = chunk
        if fate != "lose":
            rest, skipped = gap.resume(chunk) if gap.is_open else (chunk, 0)
            lost += skipped
            half = len(rest) // 2 if fate.startswith("half") else len(rest)
            out, rest = out + rest[:half], rest[half:]
        lost += gap.lose(rest, mid_line=bool(out) and not out.endswith(b"\n"))
        if fate == "half, ended" and gap.owes_newline:
            out = out[:-1] + b"\n"
            gap.end_line()
        gap = handed_over(gap)
    everything = b"".join(chunk for chunk, _ in [*steps, (b"\n\n", "write")])
    assert is_subsequence(out, everything)
    assert out.count(b"\n") + lost == everything.count(b"\n")


@pytest.mark.parametrize("torn", [False, True])
@pytest.mark.parametrize("lost", [b"", b"x", b"x\n", b"\n", b"1\n2\nx"])
@pytest.mark.parametrize("after", [b"", b"x\n", b"x\ny"])
def test_gap_resumes_at_the_start_of_a_line(*, torn: bool, lost: bytes, after: bytes) -> None:
    """Two lines never run together, and at most the first one is torn."""
    gap = Gap()
    written = b"whole\n" + (b"to" if torn else b"")
    counted = gap.lose(lost, mid_line=torn)
    for chunk in (after, b"\nlast\n"):
        resumed, lines = gap.resume(chunk) if gap.is_open else (chunk, 0)
        written += resumed
        counted += lines
    complete = b"whole\n" + (b"to" if torn else b"") + lost + after + b"\nlast\n"
    assert written.count(b"\n") + counted == complete.count(b"\n")
    allowed = set(complete.split(b"\n"))
    torn_lines = [line for line in written.split(b"\n") if line not in allowed]
    assert torn_lines in ([], [b"to"])


@pytest.mark.parametrize("sent", [b"s", b"s\n"])
@pytest.mark.parametrize("pending", [b"p", b"p\n", b"p\nq", b"\n"])
@pytest.mark.parametrize("later", [b"x", b"x\n", b"1\n2"])
def test_gap_takes_in_what_came_before_it(sent: bytes, pending: bytes, later: bytes) -> None:
    """Bytes that were kept in front of a loss and are lost after all leave the books straight."""
    gap = Gap()
    lost = gap.lose(later, mid_line=not pending.endswith(b"\n"))
    lost += gap.lose_earlier(pending, mid_line=not sent.endswith(b"\n"))
    resumed, lines = gap.resume(b"\nend\n")
    written = sent + resumed
    everything = sent + pending + later + b"\nend\n"
    assert written.count(b"\n") + lost + lines == everything.count(b"\n")
    assert written.endswith(b"\nend\n")
