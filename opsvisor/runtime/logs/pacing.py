"""When the pipe of a busy stream is read: seldom enough that each time brings much.

A pipe that is waited for is read at its first byte. For a program that writes line by line, that
is one wake-up, one turn of the loop and five system calls for each of them, or for a handful if it
writes as fast as it can; and each of its writes has to wake us. So a stream that is *hot* (of
which many reads a second bring little) is no longer waited for, but read at the beats of a timer.
Meanwhile its pipe fills: up to half at the present rate, and the program never waits as long as it
keeps to that.

- A quiet stream is not touched by this: it is waited for, and its line is read at once. How much
  it writes does not matter, a wake-up costs the same for any line: fifty programs that logged a
  thousand lines a second each, of 100 bytes, took half a core.
- A flood of which each read brings a good part of a pipe is waited for as well: it is read on
  immediately, in turn with whatever else is to be done.
- A stream begins with a short beat, and no beat is more than twice as long as the one before. How
  fast it is isn't known before: while its lines are waited for, each of them waits for us.
- Who is read by the shortest beats is waited for once in a while, to see what it is by now.
- Without hot streams there is no timer. A hot one that turned quiet is found after 64 ms: it may
  write in bursts, and nothing in between.

Streams of about the same rate have a beat in common, which comes at whole multiples of its length:
fifty of them are read in one turn of the loop.
"""

import asyncio
import functools
import math
from collections.abc import Callable

from opsvisor.runtime.logs.alarm import Alarm

SHORTEST_BEAT = 0.00025  # seconds; each takes us some 30 us
FIRST_BEAT = SHORTEST_BEAT * 8
LONGEST_BEAT = SHORTEST_BEAT * 256
LONGEST_BEAT_FOLLOWED = SHORTEST_BEAT * 32  # while somebody reads along
WINDOW = 16  # reads by which a stream is judged
HOT_READS = 80  # a second; fewer are not worth a delay
QUIET_SHARE = 0.5  # of the reads that make a stream hot
SHORT_BEAT = SHORTEST_BEAT * 4  # up to here, a stream is judged anew
SHORT_BEATS = 64  # after so many of them
QUIET_TIME = LONGEST_BEAT  # who writes little in that is quiet
_NEARLY = 0.9  # of it: what comes after a late beat comes the sooner
_INSTANT = 1e-6  # seconds: what the clock may not tell apart


class Pace:
    """How fast one pipe is filled, and so how long to leave it alone after a read."""

    __slots__ = ("_bytes", "_judged", "_piece", "_reads", "_short_beats", "_since", "_written")

    def __init__(self) -> None:
        self._since = float("-inf")
        self._reads = 0
        self._bytes = 0
        self._piece = 1.0  # bytes that a read brought when it was last waited for
        self._short_beats = 0  # running
        self._judged = 0.0  # when it was last seen not to be quiet
        self._written = 0  # bytes since then

    def has_enough(self, count: int) -> bool:
        """Whether, with these bytes, there were enough reads of what is waited for to judge by."""
        # Most of what is read comes by here, so nothing else is done for each read.
        self._bytes += count
        self._reads += 1
        return self._reads >= WINDOW

    def after_wake_ups(self, now: float, *, room: int, longest: float) -> float:
        """The beat by which to go on after so many reads, 0 if what comes is to be waited for.

        `room`: how full the pipe may get; `longest`: the longest beat that will do, or 0. Whoever
        writes in large pieces fills a good part of that during one read. Of small ones a read that
        follows at once brings a few, each of which had to wait until the last look was over.
        """
        took, found = now - self._since, self._bytes
        self._begin(now)
        if took * _hot_reads(longest) < WINDOW and found < WINDOW * room // 4:
            self._piece = max(found / WINDOW, 1.0)
            self._judged, self._written = now, 0
            return _beat_for(max(found, 1) / max(took, _INSTANT), room, min(FIRST_BEAT, longest))
        return 0.0

    def _begin(self, now: float) -> None:
        self._since, self._reads, self._bytes = now, 0, 0

    def after_beat(
        self, count: int, now: float, *, beat: float, is_full: bool, room: int, longest: float
    ) -> float:
        """The same after a read at `beat`. `is_full`: no more would have fitted into the pipe."""
        took = max(now - self._since, _INSTANT)
        self._begin(now)
        self._short_beats = self._short_beats + 1 if beat <= SHORT_BEAT else 0
        if self._short_beats == SHORT_BEATS:
            self._short_beats = 0
            return 0.0
        if self._is_quiet(count, now, longest):
            return 0.0
        # Where it is full the program had to wait: nobody knows how fast it would be.
        wanted = max(beat / 2, SHORTEST_BEAT) if is_full else beat * 2
        return _beat_for(max(count, 1) / took, room, min(wanted, longest))

    def _is_quiet(self, count: int, now: float, longest: float) -> bool:
        """Whether it would be read seldom enough now if it were waited for, as far as we know."""
        self._written += count
        passed = now - self._judged
        if passed < _NEARLY * QUIET_TIME:
            return False
        reads = self._written / self._piece
        self._judged, self._written = now, 0
        return reads < QUIET_SHARE * _hot_reads(longest) * passed


def _hot_reads(longest: float) -> float:
    """How many a second are too many: more than twice those of the beat that would do instead."""
    return max(HOT_READS, 2 / longest) if longest else math.inf


def _beat_for(rate: float, room: int, longest: float) -> float:
    """The longest beat in which no more than `room` is written at that rate, 0 if all are longer.

    One of few lengths, so that streams share them.
    """
    wanted = min(room / rate, longest)
    if wanted < SHORTEST_BEAT:
        return 0.0
    beat = SHORTEST_BEAT
    while beat * 2 <= wanted:
        beat *= 2
    return beat


# Reads a pipe at the given beat and tells by which one to go on, 0 if by none.
Reading = Callable[[float], float]


class Beats:
    """All hot streams of a daemon, each to be read at its beat. No timer runs without any.

    Nobody else keeps by which beat a stream is read: who leaves does so whatever was planned for
    it, or the number of its descriptor would be read on after it belongs to something else.
    """

    def __init__(self) -> None:
        self._beats: dict[float, dict[object, Reading]] = {}  # nine at most, none empty
        self._due: dict[float, float] = {}  # when each of them comes next, in the loop's time
        self._alarm: Alarm | None = None

    def __len__(self) -> int:
        """How many streams are hot."""
        return sum(map(len, self._beats.values()))

    def join(
        self, loop: asyncio.AbstractEventLoop, beat: float, key: object, read: Reading
    ) -> None:
        """Call `read` at the next beat of this length and no other, and go on as it says."""
        self._remove(key)
        self._beats.setdefault(beat, {})[key] = read
        if beat not in self._due:
            self._plan(loop, beat)
            self._set_alarm(loop)

    def leave(self, key: object) -> None:
        """Don't call what was joined for this key any more; nothing happens if nothing was."""
        self._remove(key)
        if not self._beats and self._alarm is not None:
            self._alarm.close()

    def _remove(self, key: object) -> None:
        for beat, members in self._beats.items():
            if members.pop(key, None) is not None:
                if not members:
                    del self._beats[beat]
                    self._due.pop(beat, None)
                return

    def _plan(self, loop: asyncio.AbstractEventLoop, beat: float) -> None:
        self._due[beat] = (loop.time() // beat + 1) * beat

    def _set_alarm(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._alarm is None:
            self._alarm = Alarm(loop, functools.partial(self._strike, loop))
        self._alarm.set(min(self._due.values()))

    def _strike(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        due = [beat for beat, at in self._due.items() if at <= now]
        readings = [(beat, *one) for beat in due for one in self._beats[beat].items()]
        for beat, key, read in readings:
            # Who is read may end others: a process that is removed for what another one said.
            if key not in self._beats.get(beat, {}):
                continue
            try:
                self._go_on(loop, read(beat), key, beat)
            except Exception as error:  # noqa: BLE001 - those after it belong to others
                message = f"Exception at a beat of {beat} s"
                loop.call_exception_handler({"message": message, "exception": error})
        for beat in due:
            if beat in self._beats:
                self._plan(loop, beat)
        if self._beats:
            self._set_alarm(loop)

    def _go_on(
        self, loop: asyncio.AbstractEventLoop, wanted: float, key: object, beat: float
    ) -> None:
        read = self._beats.get(beat, {}).get(key)
        if read is None or wanted == beat:  # it may have left while it was read
            return
        if wanted:
            self.join(loop, wanted, key, read)
        else:
            self.leave(key)
