"""Few numbers that say much about many."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum


class Better(Enum):
    """Which end of the scale is the good one."""

    LESS = "less"
    MORE = "more"


@dataclass(frozen=True, kw_only=True)
class Series:
    """One quantity, measured for several contestants.

    The first contestant is the one the others are compared with. `tail` asks for the 99th
    percentile beside the median.
    """

    measurement: str
    title: str
    unit: str
    samples: Mapping[str, Sequence[float]] = field(default_factory=dict)
    better: Better = Better.LESS
    tail: bool = False


def quantile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least this share (0..1) of all does not exceed."""
    ordered = sorted(samples)
    rank = max(1, -int(-share * len(ordered) // 1))
    return ordered[rank - 1]


def median(samples: Sequence[float]) -> float:
    """The middle."""
    return statistics.median(samples)


def advantage(series: Series, other: str) -> float | None:
    """How many times better the first contestant's median is than that of the other one."""
    first = next(iter(series.samples))
    ours, theirs = median(series.samples[first]), median(series.samples[other])
    if series.better is Better.MORE:
        ours, theirs = theirs, ours
    return theirs / ours if ours > 0 else None
