"""Few numbers that say much about many, and whether they are what we want."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum


class Better(Enum):
    """Which end of the scale is the good one."""

    LESS = "less"
    MORE = "more"


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What our median, or the quantile at `share`, has to reach: this number of its unit.

    With `of` it is this many times the median of that contestant, in the same run.
    """

    bound: float
    of: str = ""
    share: float = 0.5


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
    goals: Sequence[Goal] = ()


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


def is_met(series: Series, goal: Goal, name: str) -> bool | None:
    """Whether this contestant reaches the goal; None if it can't be told."""
    ours = series.samples.get(name)
    if not ours or (goal.of and not series.samples.get(goal.of)):
        return None
    reached = median(ours) if goal.share == 0.5 else quantile(ours, goal.share)
    bound = goal.bound * (median(series.samples[goal.of]) if goal.of else 1)
    return reached >= bound if series.better is Better.MORE else reached <= bound
