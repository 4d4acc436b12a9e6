"""When which part of a stream was written: sparse notes, since log lines carry no times.

A note says: what begins here was not written before then. One a second at most is taken, and one
more wherever output goes on in another file. When they get too many they are thinned, the old
ones more than the new ones: what is left lies about 5 % of its age apart, so that 10 minutes ago
are known to half a minute, an hour ago to four, and yesterday to an hour and a half. The first
note of all is kept as long as there are any.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

INTERVAL = 1.0  # seconds
LIMIT = 300  # notes; some 10 KiB for a stream that is never silent
_FINEST = 0.01  # of its age
_ENOUGH = 0.8  # of the limit, that thinning may leave


class Place(NamedTuple):
    """Where in a file: which one (by inode, 0 for none) and after how many of its bytes."""

    inode: int
    position: int


NOWHERE = Place(0, 0)


class TimeMark(NamedTuple):
    """What is at `offset` of the stream, and at `place`, was not written before `at`."""

    at: float
    offset: int
    place: Place


class TimeMarks:
    """The notes of one stream, oldest first.

    Times never go back: after the clock was set back, none is taken until it has caught up.
    """

    __slots__ = ("_inodes", "_offsets", "_positions", "_resolution", "_times", "inode", "latest")

    def __init__(self) -> None:
        self.latest = float("-inf")  # when the last note was taken
        self.inode = 0  # of what file it was
        self._resolution = _FINEST
        self._times = array("d")
        self._offsets = array("q")
        self._inodes = array("Q")
        self._positions = array("q")

    def __len__(self) -> int:
        """How many there are."""
        return len(self._times)

    def __iter__(self) -> Iterator[TimeMark]:
        """All of them, oldest first."""
        for at, offset, inode, position in zip(
            self._times, self._offsets, self._inodes, self._positions, strict=True
        ):
            yield TimeMark(at, offset, Place(inode, position))

    def note(self, at: float, offset: int, place: Place) -> None:
        """What is written at `offset` and at `place` from now on is not older than `at`."""
        at = max(at, self.latest)
        self.latest, self.inode = at, place.inode
        self._times.append(at)
        self._offsets.append(offset)
        self._inodes.append(place.inode)
        self._positions.append(place.position)
        if len(self._times) > LIMIT:
            self._thin(at, int(LIMIT * _ENOUGH))

    def before(self, at: float) -> int:
        """The offset from which on all that was written at `at` or later is found.

        The first one that is known where `at` is older than all notes; 0 without any.
        """
        found = bisect_right(self._times, at)
        return self._offsets[max(0, found - 1)] if self._offsets else 0

    def remember(self, limit: int) -> tuple[TimeMark, ...]:
        """So many of them at most, the first and the last too, for another process."""
        last = len(self._times) - 1
        step = max(1, -(-last // max(1, limit - 1)))  # rounded up
        wanted = sorted({*range(0, last + 1, step), *([last] if last >= 0 else [])})
        return tuple(
            TimeMark(
                self._times[index],
                self._offsets[index],
                Place(self._inodes[index], self._positions[index]),
            )
            for index in wanted
        )

    def recall(self, marks: Iterable[TimeMark]) -> None:
        """Begin with these, which are in order."""
        for mark in marks:
            self.note(*mark)

    def _thin(self, now: float, wanted: int) -> None:
        # It was enough last time; finer than that is tried, but not from the beginning.
        resolution = max(_FINEST, self._resolution * 0.8)
        kept = list(range(len(self._times)))
        while len(kept) > wanted:
            kept = self._far_enough(now, resolution)
            self._resolution = resolution
            resolution *= 1.15
        self._times = array("d", (self._times[index] for index in kept))
        self._offsets = array("q", (self._offsets[index] for index in kept))
        self._inodes = array("Q", (self._inodes[index] for index in kept))
        self._positions = array("q", (self._positions[index] for index in kept))

    def _far_enough(self, now: float, resolution: float) -> list[int]:
        """The first and the last, and of all others those that aren't too close for their age."""
        kept = [0]
        for index in range(1, len(self._times) - 1):
            following = self._times[index + 1]
            if following - self._times[kept[-1]] > max(INTERVAL, resolution * (now - following)):
                kept.append(index)
        return [*kept, len(self._times) - 1]
