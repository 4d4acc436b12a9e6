"""What the processes used in the last minutes: CPU and memory, thinned out and in little room.

Fed by every sweep, whoever asked for it: nothing here makes one. All processes have their samples
at the same times, so these are kept once. A process costs 8 bytes for each of 300 places in a
ring, 2.4 kB: ten minutes at one sample every two seconds. Sweeps that follow each other faster
are not kept, but CPU time is counted on: what a kept sample tells is the mean since the last one.
"""

import math
from array import array
from collections.abc import Callable, Iterator

from opsvisor.core.spec import ProcessId
from opsvisor.core.struct import Struct, field
from opsvisor.runtime.sweep import Sweep

PLACES = 300
REMEMBERED_FOR = 600.0  # seconds
_APART = REMEMBERED_FOR / PLACES * 0.9  # a timer of two seconds may fire a little early
# CPU time comes in ticks of 10 ms: over less than this, it would jump by several percent.
SHORTEST = 0.5
# Over more than this it says nothing about now.
_LONGEST = 120.0
_PAGE = 4096  # RSS is counted in pages of at least this
_MOST_PAGES = 2**32 - 2
_NOTHING = 2**32 - 1
_AT_ONCE = 250  # processes, for half a millisecond


class History(Struct, frozen=True, kw_only=True):
    """What one process used: cores and bytes, None where it did not run or nothing is known."""

    cpu: list[float | None]
    rss: list[int | None]


class _Pace(Struct):
    """How much CPU time a process had used at a moment, and how fast it was up to then."""

    at_mono: float
    seconds: float
    cores: float | None = None

    def walk(self, at_mono: float, seconds: float) -> None:
        """Note that it has used so much by now, if it is worth a measurement."""
        elapsed = at_mono - self.at_mono
        if elapsed < SHORTEST:
            return
        spent = max(0.0, seconds - self.seconds)
        self.cores = spent / elapsed if elapsed <= _LONGEST else None
        self.at_mono, self.seconds = at_mono, seconds


class _Track(Struct):
    """One process: its pace from sweep to sweep, and from one kept sample to the next."""

    now: _Pace
    kept: _Pace
    cpu: "array[float]" = field(default_factory=lambda: array("f", [math.nan]) * PLACES)
    pages: "array[int]" = field(default_factory=lambda: array("I", [_NOTHING]) * PLACES)


class RecentSamples:
    """The samples of all processes. `cpu_seconds` tells what one has used in all its runs."""

    def __init__(self, cpu_seconds: Callable[[ProcessId], float]) -> None:
        self._cpu_seconds = cpu_seconds
        self._tracks: dict[ProcessId, _Track] = {}
        self._at = array("d", [0.0]) * PLACES  # on the wall clock
        self._at_mono = -math.inf  # of the last one that is kept
        self._count = 0  # of all that were ever kept
        self._forgotten: set[ProcessId] | None = None  # since a sweep began to be noted

    def cores(self, process_id: ProcessId) -> float | None:
        """How many cores it had in use from the sweep before the last one to that one."""
        track = self._tracks.get(process_id)
        return None if track is None else track.now.cores

    def swept(self, sweep: Sweep) -> Iterator[None]:
        """Note what a sweep has found: `_AT_ONCE` processes at each step, told at the last one.

        All steps of one sweep come before those of the next.
        """
        forgotten: set[ProcessId] = set()
        self._forgotten = forgotten
        is_kept = sweep.at_mono - self._at_mono >= _APART
        # Nobody is shown this place: `window` leaves out the sample that was there before.
        place = self._count % PLACES if is_kept else None
        ids = list(self._tracks.keys() | sweep.trees.keys())
        for start in range(0, len(ids), _AT_ONCE):
            for process_id in ids[start : start + _AT_ONCE]:
                if process_id not in forgotten:
                    self._note(process_id, sweep, place)
            yield
        self._forgotten = None
        if place is not None:
            self._at[place] = sweep.at_wall
            self._at_mono = sweep.at_mono
            self._count += 1

    def _note(self, process_id: ProcessId, sweep: Sweep, place: int | None) -> None:
        seconds = self._cpu_seconds(process_id)
        track = self._tracks.get(process_id)
        if track is None:
            track = _Track(_Pace(sweep.at_mono, seconds), _Pace(sweep.at_mono, seconds))
            self._tracks[process_id] = track
        track.now.walk(sweep.at_mono, seconds)
        if place is None:
            return
        track.kept.walk(sweep.at_mono, seconds)
        tree = sweep.trees.get(process_id)
        cores = track.kept.cores if tree is not None else None
        track.cpu[place] = math.nan if cores is None else cores
        track.pages[place] = (
            _NOTHING if tree is None else min(tree.rss_bytes // _PAGE, _MOST_PAGES)
        )

    def forget(self, process_id: ProcessId) -> None:
        """The process left the plan."""
        self._tracks.pop(process_id, None)
        if self._forgotten is not None:
            self._forgotten.add(process_id)

    def ids(self) -> list[ProcessId]:
        """Every process of which something is remembered, in no order: sorting 5000 takes 9 ms."""
        return list(self._tracks)

    def window(self, since: float, points: int = PLACES) -> "Window":
        """The samples from this moment on, on the wall clock, thinned out to so many points."""
        # But for the oldest, which the next sweep may overwrite while somebody still reads.
        first = max(0, self._count - PLACES + 1)
        places = [number % PLACES for number in range(first, self._count)]
        while places and self._at[places[0]] < since:
            del places[0]
        step = max(1, math.ceil(len(places) / points))
        # Counted from the latest one, which is one of them: it is what people look at.
        begin = len(places) % step
        chunks = [places[at : at + step] for at in range(begin, len(places), step)]
        if begin:
            chunks.insert(0, places[:begin])
        at = [self._at[chunk[-1]] for chunk in chunks]
        return Window(at=at, chunks=chunks, is_thinned=step > 1)

    def history(self, process_id: ProcessId, window: "Window") -> History:
        """What a process used then. Where several samples make one: the mean CPU, the last RSS."""
        track = self._tracks.get(process_id)
        if track is None:
            nothing = len(window.at)
            return History(cpu=[None] * nothing, rss=[None] * nothing)
        cpu, pages = track.cpu, track.pages
        # Written out, since 1,000 processes have 300,000 of these. NaN is not what it is.
        if window.is_thinned:
            used = [_mean([cpu[place] for place in chunk]) for chunk in window.chunks]
        else:
            kept = [cpu[place] for (place,) in window.chunks]
            used = [round(one, 4) if one == one else None for one in kept]  # noqa: PLR0124
        held = [pages[chunk[-1]] for chunk in window.chunks]
        rss = [None if one == _NOTHING else one * _PAGE for one in held]
        return History(cpu=used, rss=rss)


class Window(Struct, frozen=True, kw_only=True):
    """Times on the wall clock, oldest first, and where the samples are that make up each point.

    Good until the sweep after next.
    """

    at: list[float]
    chunks: list[list[int]]
    is_thinned: bool


def _mean(kept: list[float]) -> float | None:
    known = [one for one in kept if one == one]  # noqa: PLR0124 - as above
    return round(sum(known) / len(known), 4) if known else None
