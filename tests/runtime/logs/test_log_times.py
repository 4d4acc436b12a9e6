"""When which part of a stream was written."""

from itertools import pairwise
from pathlib import Path

import pytest
from captured_programs import MakeCapture
from hypothesis import given
from hypothesis import strategies as st
from test_log_handing_over import hand_over

from opsvisor.core.struct import replace
from opsvisor.runtime.logs.capture import MARKS_HANDED_OVER, StreamCapture
from opsvisor.runtime.logs.times import LIMIT, NOWHERE, Place, TimeMarks

HERE = Place(7, 0)


def written(capture: StreamCapture, text: bytes, at: float) -> None:
    """Have this written at that time."""
    capture._around = replace(capture._around, wall=lambda: at)
    capture.write(text)


def numbers(directory: Path) -> dict[str, int]:
    """The inode of each file."""
    return {path.name: path.stat().st_ino for path in directory.iterdir()}


@given(st.lists(st.tuples(st.floats(0, 5000), st.integers(0, 50)), min_size=1, max_size=700))
def test_nothing_that_was_asked_for_is_left_out(writes: list[tuple[float, int]]) -> None:
    """Whatever was written when: an answer may begin too early, never too late."""
    marks, now, offset = TimeMarks(), 1000.0, 0
    first_at: list[tuple[float, int]] = []
    for pause, size in writes:
        now += pause
        first_at.append((now, offset))
        if now - marks.latest >= 1.0:
            marks.note(now, offset, HERE)
        offset += size
    assert len(marks) <= LIMIT
    for at, begins in first_at:
        assert marks.before(at) <= begins


def test_notes_are_thinned_by_age() -> None:
    """A day of a stream that is never silent: a few hundred notes, the new ones close together."""
    marks = TimeMarks()
    for second in range(86_400):
        marks.note(float(second), second, HERE)
    times = [mark.at for mark in marks]
    assert len(times) <= LIMIT
    assert (times[0], times[-1]) == (0.0, 86_399.0)
    for one, following in pairwise(times):
        assert following - one <= max(4.0, 0.2 * (86_399.0 - one))
    assert 600 - (86_399 - marks.before(86_399.0 - 600)) <= 0
    assert 86_399 - marks.before(86_399.0 - 600) < 720


def test_a_clock_that_is_set_back() -> None:
    """Times stand still until it has caught up: what came meanwhile counts as that old."""
    marks = TimeMarks()
    marks.note(100.0, 0, HERE)
    marks.note(50.0, 10, HERE)
    assert [mark.at for mark in marks] == [100.0, 100.0]
    assert (marks.before(60.0), marks.before(100.0)) == (0, 10)


def test_without_notes_everything_may_be_meant() -> None:
    """As before the first one."""
    marks = TimeMarks()
    assert marks.before(5.0) == 0
    marks.note(10.0, 4, HERE)
    assert marks.before(5.0) == 4


async def test_at_most_one_a_second(make_capture: MakeCapture) -> None:
    """And none while nothing is written."""
    capture = make_capture()
    for tenth in range(35):
        written(capture, b"0123456789", 1000.0 + tenth / 10)
    assert [(mark.at, mark.offset) for mark in capture.marks] == [
        (1000.0, 0),
        (1001.0, 100),
        (1002.0, 200),
        (1003.0, 300),
    ]


async def test_where_output_goes_on_in_another_file(
    make_capture: MakeCapture, tmp_path: Path
) -> None:
    """A rotation is noted with the next chunk, at once, with the new file's number."""
    capture = make_capture(tmp_path / "log", rotate_size=20, rotate_keep=2)
    capture._aim()
    for target in capture._targets():
        target.open()
    written(capture, b"0123456789012345678\n", 1000.0)
    written(capture, b"second\n", 1000.1)
    written(capture, b"third\n", 1000.2)
    files = numbers(tmp_path)
    assert [(mark.offset, mark.place) for mark in capture.marks] == [
        (0, Place(files["log.1"], 0)),
        (27, Place(files["log"], 7)),
    ]


@pytest.mark.parametrize("seconds", [3, 5000])
async def test_another_daemon_goes_on_with_them(make_capture: MakeCapture, seconds: int) -> None:
    """As many as are worth it: an upgrade must be quick."""
    earlier, later = make_capture(), make_capture()
    for second in range(seconds):
        written(earlier, b"x", 1000.0 + second)
    hand_over(earlier, later)
    kept = list(later.marks)
    assert len(kept) == min(seconds, len(kept)) <= MARKS_HANDED_OVER
    assert (kept[0].at, kept[-1].at) == (1000.0, 1000.0 + seconds - 1)
    assert set(kept) <= {mark._replace(place=NOWHERE) for mark in earlier.marks}
    written(later, b"y", 1000.0 + seconds)
    assert later.marks.before(1000.0 + seconds) == seconds
