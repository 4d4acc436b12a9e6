"""Busy streams are read seldom, all others at once, and not a byte is lost on the way."""

import asyncio
import errno
import math
import os
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from captured_programs import MakeCapture, log_spec, no_descriptor_left, output_reaches
from hypothesis import given, settings
from hypothesis import strategies as st

from opsvisor.runtime.logs import StreamCapture
from opsvisor.runtime.logs.arrivals import Reader
from opsvisor.runtime.logs.capture import Surroundings
from opsvisor.runtime.logs.line_count import LineCounter
from opsvisor.runtime.logs.pacing import (
    FIRST_BEAT,
    HOT_READS,
    LONGEST_BEAT,
    LONGEST_BEAT_FOLLOWED,
    QUIET_SHARE,
    QUIET_TIME,
    SHORT_BEAT,
    SHORT_BEATS,
    SHORTEST_BEAT,
    WINDOW,
    Beats,
    Pace,
)
from opsvisor.runtime.logs.plumbing import Plumbing

_LINE = b"x" * 999 + b"\n"
_MANY = 20_000  # lines, each of them a wake-up if it is waited for
_ROOM = 512 * 1024


@pytest.fixture
async def unhandled() -> list[object]:
    """What callbacks of the loop raise during the test."""
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: errors.append(context["exception"])
    )
    return errors


async def turn() -> None:
    """One turn of the loop, in which it sees what has become readable."""
    done = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(done.set_result, None)
    await done


async def fact(holds: Callable[[], bool]) -> None:
    """Wait until it does."""
    async with asyncio.timeout(60):
        while not holds():
            await turn()


def is_still(beats: Beats) -> bool:
    """Whether nobody has a beat, and nothing is left that would wake us for one."""
    alarm = beats._alarm
    is_silent = alarm is None or (alarm._timer is None and alarm._instead is None)
    return not beats and not beats._due and is_silent


def count_reads(capture: StreamCapture) -> list[int]:
    """The sizes of all reads from now on."""
    sizes: list[int] = []
    scratch = capture._around.plumbing.scratch
    peek = scratch.peek

    def counted(pipe: int, limit: int) -> bytes:
        seen = peek(pipe, limit)
        sizes.append(len(seen))
        return seen

    scratch.peek = counted  # type: ignore[method-assign]  # of this one
    return sizes


async def put(end: int, text: bytes) -> None:
    """Write it, and let the loop see it. While the pipe is full, only the loop goes on."""
    os.set_blocking(end, False)  # the reader is in this thread too
    async with asyncio.timeout(60):
        while text:
            with suppress(BlockingIOError):
                text = text[os.write(end, text) :]
            await turn()


async def print_lines(end: int, lines: int) -> None:
    """One after the other, each seen by the loop before the next one is written."""
    for _ in range(lines):
        await put(end, _LINE)


async def make_hot(capture: StreamCapture, end: int) -> None:
    """Print until it is no longer waited for."""
    async with asyncio.timeout(60):
        while not capture._around.plumbing.beats:
            await print_lines(end, 1)


async def test_hot_stream_is_read_seldom(make_capture: MakeCapture, tmp_path: Path) -> None:
    """A hundredth of the reads, the same bytes; afterwards no timer is left."""
    capture = make_capture(tmp_path / "x.log")
    end = capture.open_pipe()
    sizes = count_reads(capture)
    await print_lines(end, _MANY)
    await output_reaches(capture, _MANY * len(_LINE))
    assert len(sizes) < _MANY / 100
    assert (tmp_path / "x.log").read_bytes() == _LINE * _MANY
    assert capture.stats.lines == _MANY
    beats = capture._around.plumbing.beats
    await fact(lambda: not beats)
    assert is_still(beats)
    os.close(end)


async def test_quiet_stream_is_read_at_its_first_byte(
    make_capture: MakeCapture, tmp_path: Path
) -> None:
    """Also one that was hot before; and there is no timer for it."""
    capture = make_capture(tmp_path / "x.log")
    end = capture.open_pipe()
    beats = capture._around.plumbing.beats
    await make_hot(capture, end)
    await fact(lambda: not beats)
    sizes = count_reads(capture)
    for _ in range(WINDOW - 1):
        os.write(end, b"a line\n")
        await turn()
        await turn()
    assert sizes == [7] * (WINDOW - 1)
    assert is_still(beats)
    os.close(end)


@pytest.mark.parametrize("rest", [{"message_limit": 1000}, {"path": "/dev/null"}])
async def test_some_are_never_kept_waiting(
    make_capture: MakeCapture, rest: dict[str, object]
) -> None:
    """Who speaks in messages waits for an answer; a device may not take so much at once."""
    capture = make_capture(**rest)  # type: ignore[arg-type]  # of a table
    end = capture.open_pipe()
    await print_lines(end, WINDOW * 4)
    assert not capture._around.plumbing.beats
    os.close(end)


async def test_followed_stream_has_short_beats(make_capture: MakeCapture) -> None:
    """Whoever reads along is kept waiting for some milliseconds, not for some dozens."""
    capture = make_capture()
    assert capture._longest_beat == LONGEST_BEAT
    watcher = asyncio.Event().set
    capture.watch(watcher)
    assert capture._longest_beat == LONGEST_BEAT_FOLLOWED
    capture.unwatch(watcher)
    async with asyncio.TaskGroup() as group:
        follower = group.create_task(capture.wait_beyond(0))
        await turn()
        assert capture._longest_beat == LONGEST_BEAT_FOLLOWED
        follower.cancel()
    assert capture._longest_beat == LONGEST_BEAT


async def test_hot_run_that_ends_leaves_nothing_behind(
    make_capture: MakeCapture, tmp_path: Path
) -> None:
    """What is in the pipe is read when the exit is handled, and its timer goes with it."""
    capture = make_capture(tmp_path / "x.log")
    end = capture.open_pipe()
    await make_hot(capture, end)
    os.write(end, b"last words\n")
    os.close(end)
    capture.drain()
    assert (tmp_path / "x.log").read_bytes().endswith(b"\nlast words\n")
    beats = capture._around.plumbing.beats
    assert (capture._pipes, is_still(beats)) == ([], True)


async def test_end_of_a_hot_run_is_found_at_a_beat(make_capture: MakeCapture) -> None:
    """Nobody waits for the pipe then, and still its end is seen."""
    capture = make_capture()
    end = capture.open_pipe()
    await make_hot(capture, end)
    os.close(end)
    await fact(lambda: not capture._pipes)
    assert is_still(capture._around.plumbing.beats)


def count_waits(capture: StreamCapture) -> list[str]:
    """How each attempt to wait for a pipe of its plumbing ends from now on."""
    ends: list[str] = []
    arrivals = capture._around.plumbing.arrivals
    add = arrivals.add

    def counted(loop: asyncio.AbstractEventLoop, descriptor: int, reader: Reader) -> None:
        try:
            add(loop, descriptor, reader)
        except OSError as error:
            ends.append(error.strerror or "")
            raise
        ends.append("waits")

    arrivals.add = counted  # type: ignore[method-assign]  # of this one
    return ends


async def test_what_it_takes_to_wait_is_kept_for_hot_streams(make_capture: MakeCapture) -> None:
    """Though nobody is waited for: they are again once they are quiet, and need it then."""
    hot, other = make_capture(), make_capture()
    other._around = hot._around
    end, other_end = hot.open_pipe(), other.open_pipe()
    await make_hot(hot, end)
    os.close(other_end)
    other.drain()
    other.close()
    waits = count_waits(hot)
    with no_descriptor_left():
        await fact(lambda: not hot._around.plumbing.beats)
    assert waits == ["waits"]
    os.close(end)
    await fact(lambda: not hot._pipes)


async def hot_by_itself(capture: StreamCapture) -> tuple[int, list[str]]:
    """A program's end when that is hot, with nothing to wait with; and how its waits will end."""
    end = capture.open_pipe()
    await make_hot(capture, end)
    capture._around.plumbing.arrivals.rest()
    return end, count_waits(capture)


async def test_hot_stream_that_cannot_be_waited_for_keeps_its_beat(
    make_capture: MakeCapture, unhandled: list[object]
) -> None:
    """It is read on, and waited for as soon as that is possible."""
    capture = make_capture()
    end, waits = await hot_by_itself(capture)
    with no_descriptor_left():
        await fact(lambda: len(waits) == 2)
        os.write(end, b"a line\n")
        size = capture.stats.bytes
        await output_reaches(capture, size + 7)
    await fact(lambda: not capture._around.plumbing.beats)
    assert (set(waits[:-1]), waits[-1]) == ({os.strerror(errno.EMFILE)}, "waits")
    assert (unhandled, is_still(capture._around.plumbing.beats)) == ([], True)
    os.close(end)


async def test_hot_stream_that_cannot_be_waited_for_leaves_its_beat_when_it_ends(
    make_capture: MakeCapture, unhandled: list[object]
) -> None:
    """The number of its descriptor is another program's next, whose lines are not to be taken."""
    capture = make_capture()
    end, waits = await hot_by_itself(capture)
    with no_descriptor_left():
        await fact(lambda: len(waits) == 2)
        os.close(end)
        capture.drain()
    beats = capture._around.plumbing.beats
    assert (capture._pipes, is_still(beats), unhandled) == ([], True, [])


async def test_one_reader_can_end_another_or_fail(unhandled: list[object]) -> None:
    """The others are read on at the same beat, and the one that failed is at the next one."""
    loop, beats = asyncio.get_running_loop(), Beats()
    calls: list[str] = []

    def first(beat: float) -> float:
        calls.append("first")
        beats.leave("second")
        return beat

    def failing(_beat: float) -> float:
        calls.append("failing")
        if calls.count("failing") == 1:
            raise ValueError
        return 0.0

    def second(_beat: float) -> float:
        calls.append("second")
        return 0.0

    def last(beat: float) -> float:
        calls.append("last")
        return beat

    beats.join(loop, SHORTEST_BEAT, "first", first)
    beats.join(loop, SHORTEST_BEAT, "second", second)
    beats.join(loop, SHORTEST_BEAT, "failing", failing)
    beats.join(loop, SHORTEST_BEAT, "last", last)
    await fact(lambda: calls.count("failing") == 2)
    assert calls[:5] == ["first", "failing", "last", "first", "failing"]
    assert len(unhandled) == 1
    await fact(lambda: len(beats) == 2)
    for _ in range(2):
        beats.leave("first")
        beats.leave("last")
    assert is_still(beats)


async def test_nobody_is_read_at_two_beats() -> None:
    """Whoever joins another one leaves the first, and who left while it was read joins none."""
    loop, beats = asyncio.get_running_loop(), Beats()
    read_at: list[float] = []

    def read(beat: float) -> float:
        read_at.append(beat)
        if len(read_at) == 2:
            beats.leave("one")
        return beat * 2

    beats.join(loop, LONGEST_BEAT, "one", read)
    beats.join(loop, SHORTEST_BEAT, "one", read)
    assert (len(beats), list(beats._due)) == (1, [SHORTEST_BEAT])
    await fact(lambda: not beats)
    assert read_at == [SHORTEST_BEAT, SHORTEST_BEAT * 2]
    assert is_still(beats)


# What is read by wake-ups and how long it takes, and the beat that follows, in milliseconds.
@pytest.mark.parametrize(
    ("each", "seconds", "milliseconds"),
    [
        (100, 0.19, 2),  # 84 wake-ups a second, however little they bring
        (1, 0.016, 2),  # 1,000
        (0, 0.016, 2),  # and all of them in vain
        (100, 0.21, 0),  # 76
        (10_000, 1.0, 0),  # ten wake-ups a second
        (1000, 0.01, 2),  # 1.6 MB/s, or more
        (5000, 0.004, 2),  # 20 MB/s, or more
        (8000, 0.0004, 1),  # 320 MB/s
        (16_000, 0.0004, 0.5),  # 640 MB/s
        (32_000, 0.0004, 0.25),  # 1.3 GB/s
        (32_000, 0.0002, 0),  # 2.6 GB/s: half the pipe is full before a beat could be
        (64 * 1024, 0.01, 2),  # 100 MB/s, in large writes
        (150_000, 0.004, 0),  # 600 MB/s, in reads that bring a good part of a pipe
        (300_000, 0.02, 0),  # 240 MB/s, likewise
    ],
)
def test_beat_after_wake_ups(each: int, seconds: float, milliseconds: int) -> None:
    """Half the pipe may be filled, and no more time pass than the first beat has."""
    pace = Pace()
    pace.after_wake_ups(0.0, room=_ROOM, longest=LONGEST_BEAT)
    assert [pace.has_enough(each) for _ in range(WINDOW)] == [*[False] * (WINDOW - 1), True]
    beat = pace.after_wake_ups(seconds, room=_ROOM, longest=LONGEST_BEAT)
    assert round(beat * 1000, 3) == milliseconds


def test_beats_follow_the_rate() -> None:
    """Longer by and by, faster, so fast that the program had to wait, and then quiet."""
    pace = Pace()
    pace.after_wake_ups(0.0, room=_ROOM, longest=LONGEST_BEAT)
    pace.has_enough(16_000)
    told, now = [pace.after_wake_ups(0.01, room=_ROOM, longest=LONGEST_BEAT)], 0.01
    for count, took, is_full in [
        *[(64_000, 0.064, False)] * 6, (6_400_000, 0.064, False), *[(_ROOM * 2, 0.064, True)] * 5,
        *[(100, 0.016, False)] * 4,
    ]:  # fmt: skip
        now += took
        told.append(_after_beat(pace, count, now, beat=told[-1], is_full=is_full))
    longer, shorter, is_it_quiet = (
        [2, 4, 8, 16, 32, 64, 64],
        [4, 2, 1, 0.5, 0.25, 0.25],
        [0.5, 1, 2],
    )
    assert [round(beat * 1000, 3) for beat in told] == [*longer, *shorter, *is_it_quiet, 0]


@pytest.mark.parametrize("size", [4096, 8192, 65536, 1 << 20])
@pytest.mark.parametrize("longest", [LONGEST_BEAT, LONGEST_BEAT_FOLLOWED])
def test_whoever_says_nothing_is_quiet(size: int, longest: float) -> None:
    """However small its pipe is, and whether somebody reads along: soon no beat is left."""
    pace, now, beat, beats = Pace(), 0.0, FIRST_BEAT, 0
    pace.after_wake_ups(now, room=size // 2, longest=longest)
    while beat:
        now += beat
        beats += 1
        beat = pace.after_beat(0, now, beat=beat, is_full=False, room=size // 2, longest=longest)
        assert beats < 10
    assert now < QUIET_TIME * 1.1


def told_by(apart: float, each: int, phase: float, longest: float = LONGEST_BEAT) -> list[int]:
    """The beats of one that writes so much every `apart` seconds, in milliseconds."""
    pace, written = Pace(), 0
    now = phase * LONGEST_BEAT
    pace.after_wake_ups(now - WINDOW * apart, room=_ROOM, longest=longest)
    for _ in range(WINDOW):
        pace.has_enough(each)
    beats: list[int] = []
    beat = pace.after_wake_ups(now - 1e-6, room=_ROOM, longest=longest)
    while beat and now < 2.0:
        now = (math.floor(now / beat + 1e-6) + 1) * beat  # as Beats has them
        came = int(now / apart) * each - written
        written += came
        beat = _after_beat(pace, came, now, beat=beat, longest=longest)
        beats.append(round(beat * 1000))
    return beats


PHASES = [number / 16 for number in range(16)]


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize(
    ("apart", "each"),
    [(0.001, 100), (0.005, 10_000), (0.01, 10_000), (0.01, 1), (0.0125, 10_000), (0.0125, 100)],
)
def test_who_writes_now_and_then_is_not_quiet_in_between(
    apart: float, each: int, phase: float
) -> None:
    """Most of the beats with which that begins find nothing. How much it writes is all one."""
    beats = told_by(apart, each, phase)
    assert beats[:5] == [4, 8, 16, 32, 64]
    assert set(beats[5:]) == {64}


@pytest.mark.parametrize("phase", PHASES)
def test_who_is_followed_and_read_more_often_by_beats_is_waited_for(phase: float) -> None:
    """A beat of 8 ms saves nothing with a hundred lines a second; it does with a thousand."""
    assert told_by(0.01, 100, phase, LONGEST_BEAT_FOLLOWED) == []
    beats = told_by(0.001, 100, phase, LONGEST_BEAT_FOLLOWED)
    assert (beats[:2], set(beats[2:])) == ([4, 8], {8})


SECONDS = 20


class Looks:
    """One stream whose pieces of 100 bytes come at random: how often it is looked at, and how."""

    def __init__(self, rate: float, longest: float) -> None:
        self.count = self.changes = 0
        self._pieces = self._coming(rate)
        self._next = next(self._pieces)
        self._pace = Pace()
        now = beat = 0.0
        while now < SECONDS:
            if beat:
                now = (math.floor(now / beat + 1e-6) + 1) * beat
                beat = _after_beat(
                    self._pace, 100 * self._came(now), now, beat=beat, longest=longest
                )
                self.changes += not beat
            else:
                now = max(now, self._next)
                if self._pace.has_enough(100 * self._came(now)):
                    beat = self._pace.after_wake_ups(now, room=_ROOM, longest=longest)
            self.count += 1

    @staticmethod
    def _coming(rate: float) -> Iterator[float]:
        chance, now = random.Random(1), 0.0  # the same every time
        while True:
            now += chance.expovariate(rate)
            yield now

    def _came(self, now: float) -> int:
        count = 0
        while self._next <= now:
            self._next = next(self._pieces)
            count += 1
        return count


@pytest.mark.parametrize("longest", [LONGEST_BEAT, LONGEST_BEAT_FOLLOWED])
@pytest.mark.parametrize("rate", [20, 40, 60, 80, 100, 150, 200, 250, 300, 400, 1000])
def test_pieces_at_random_are_not_looked_at_more_often_than_they_come(
    rate: float, longest: float
) -> None:
    """And who writes between being hot and being quiet does not go to and fro all the time."""
    looks = Looks(rate, longest)
    assert looks.count <= 1.1 * rate * SECONDS
    assert looks.changes <= 2 * SECONDS
    if rate * longest > 6:
        assert looks.count <= 2 / longest * SECONDS


def test_who_writes_seldom_is_waited_for_again() -> None:
    """It had a thousand lines a second, and now has thirty."""
    pace, now, beat = Pace(), 0.0, 0.0
    for _ in range(2 * WINDOW):
        now += 0.001
        if pace.has_enough(100):
            beat = pace.after_wake_ups(now, room=_ROOM, longest=LONGEST_BEAT)
    assert beat == FIRST_BEAT
    began, lines = now, 0
    while beat and now < 1.0:
        now += beat
        came = int(now * 30) - int((now - beat) * 30)
        lines += came
        beat = _after_beat(pace, came * 100, now, beat=beat)
    assert (beat, lines > 0) == (0.0, True)
    assert now - began < 0.1


def test_short_beats_are_reviewed() -> None:
    """By then it may write in large pieces: it is waited for, to see what each read brings."""
    pace, now = Pace(), 0.0
    pace.after_wake_ups(0.0, room=_ROOM, longest=LONGEST_BEAT)

    def go_on(beat: float, beats: int) -> list[float]:
        nonlocal now
        found = []
        for _ in range(beats):
            now += beat
            found.append(_after_beat(pace, _ROOM - 1000, now, beat=beat))
        return found

    for _ in range(2):
        assert go_on(SHORT_BEAT, SHORT_BEATS) == [SHORT_BEAT] * (SHORT_BEATS - 1) + [0.0]
    longer = SHORT_BEAT * 2
    assert go_on(longer, SHORT_BEATS * 2) == [longer] * SHORT_BEATS * 2


@given(st.lists(st.tuples(st.integers(0, 1 << 20), st.floats(1e-5, 1.0)), min_size=1))
def test_no_beat_fills_more_than_its_room(reads: list[tuple[int, float]]) -> None:
    """At the rate it was chosen for; and who has long been below a certain rate has none."""
    pace, now, beat, before = Pace(), 0.0, LONGEST_BEAT, 0.0
    pace.after_wake_ups(0.0, room=_ROOM, longest=LONGEST_BEAT)
    for count, took in reads:
        now += took
        is_full = count == 1 << 20
        beat = _after_beat(pace, count, now, beat=beat, is_full=is_full)
        rate = count / took
        assert beat == 0.0 or SHORTEST_BEAT <= beat <= LONGEST_BEAT
        assert beat * rate <= _ROOM * 1.001
        is_long = min(took, before) >= QUIET_TIME  # so that both reads were judged by themselves
        assert beat == 0.0 or not is_long or rate >= HOT_READS * QUIET_SHARE * 0.999
        before = took


# A step: which of two outputs writes how much in how many pieces, and whether all is drained.
_STEPS = st.lists(
    st.tuples(
        st.integers(0, 1), st.integers(1, 40_000), st.integers(1, 40), st.sampled_from("....d+")
    ),
    max_size=12,
)


@settings(max_examples=20, deadline=None)
@given(steps=_STEPS)
def test_nothing_is_lost_whatever_the_mix(
    steps: list[tuple[int, int, int, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Drains, runs that end and begin, bursts and trickles: each byte once and in order."""
    directory = tmp_path_factory.mktemp("mix")
    written = asyncio.run(_play(steps, directory))
    for number, text in enumerate(written):
        assert (directory / f"{number}").read_bytes() == text


async def _play(steps: list[tuple[int, int, int, str]], directory: Path) -> list[bytes]:
    loop, plumbing = asyncio.get_running_loop(), Plumbing()
    captures = [
        StreamCapture(
            log_spec(directory / f"{number}"),
            Surroundings(ring_size=1000, loop=loop, plumbing=plumbing),
        )
        for number in range(2)
    ]
    ends = [capture.open_pipe() for capture in captures]
    written = [bytearray(), bytearray()]
    for number, size, pieces, then in steps:
        for piece in range(pieces):
            text = (b"%d" % piece * size)[:size]
            await put(ends[number], text)
            written[number] += text
        if then == "d":
            captures[number].drain()
            assert captures[number].stats.bytes == len(written[number])
        elif then == "+":
            os.close(ends[number])
            captures[number].drain()
            ends[number] = captures[number].open_pipe()
    for end in ends:
        os.close(end)
    await fact(lambda: not any(capture._pipes for capture in captures))
    for capture, whole in zip(captures, written, strict=True):
        assert capture.stats.bytes == len(whole)
        capture.close()
    assert is_still(plumbing.beats)
    return [bytes(text) for text in written]


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 50))))
def test_lines_are_counted_right_either_way(chunks: list[tuple[int, int]]) -> None:
    """Short lines after long ones and the other way round."""
    counter = LineCounter()
    for length, lines in chunks:
        chunk = (b"x" * length + b"\n") * lines + b"rest"
        assert counter.count(chunk) == lines


def test_beats_are_multiples_of_each_other() -> None:
    """So those of a slow stream come together with those of a fast one."""
    lengths = sorted({_beat_at(2.0**power) for power in range(18, 32)} - {0.0})
    assert len(lengths) == 9
    assert all(longer == shorter * 2 for shorter, longer in pairwise(lengths))


def _beat_at(rate: float) -> float:
    pace = Pace()
    pace.after_wake_ups(0.0, room=_ROOM, longest=LONGEST_BEAT)
    return _after_beat(pace, int(rate), 1.0, beat=LONGEST_BEAT)


def _after_beat(
    pace: Pace,
    count: int,
    now: float,
    *,
    beat: float,
    is_full: bool = False,
    longest: float = LONGEST_BEAT,
) -> float:
    return pace.after_beat(count, now, beat=beat, is_full=is_full, room=_ROOM, longest=longest)
