"""The lines of the table of `top`: which there are, and in which order."""

import re
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from opsvisor.ctl.troubles import STATE_ORDER, badges_of, place_of, trouble_of
from opsvisor.wire import ProcessStatus, TreeMember


class Sort(Enum):
    """What rows are in order of: the columns from the left. The value is the title."""

    NAME = "NAME"
    STATE = "STATE"
    SINCE = "SINCE"
    RESTARTS = "RST"
    CPU = "CPU"
    RSS = "RSS"


class Row(NamedTuple):
    """A line of the table: a process, or (with `member`) one of those that run for it."""

    status: ProcessStatus
    member: TreeMember | None = None
    depth: int = 0


def passes(one: ProcessStatus, text: str) -> bool:
    """Whether each word of a filter is found in its name, state, labels or badges."""
    place = f"{one.name} {one.state} {one.group} {one.program}".casefold()
    labels = " ".join(f"{key}={value}" for key, value in one.labels.items()).casefold()
    badges = " ".join(badge.words for badge in badges_of(one))
    return all(
        word in place or word in labels or word in badges for word in text.casefold().split()
    )


def in_order(
    processes: Iterable[ProcessStatus], sort: Sort, *, reverse: bool
) -> list[ProcessStatus]:
    """By that column, and by name where that is the same."""
    by_name = sorted(processes, key=_natural)
    return sorted(by_name, key=_KEYS[sort], reverse=reverse)


def tree_rows(status: ProcessStatus, members: Sequence[TreeMember]) -> list[Row]:
    """Those that run for a process: parents before their children, and how deep they are."""
    return [Row(status, *one) for one in _tree(members)]


def _how_bad(one: ProcessStatus) -> int:
    return trouble_of(one) * (len(STATE_ORDER) + 1) + place_of(one.state)


def _natural(one: ProcessStatus) -> str:
    """Numbers in it as numbers, as on the page; `status` sorts as supervisorctl, as text."""
    return _NUMBER.sub(lambda found: found[0].zfill(_DIGITS_MAX), one.name)


_NUMBER = re.compile("[0-9]+")
_DIGITS_MAX = 20  # numbers with more of them are texts
_KEYS: dict[Sort, Callable[[ProcessStatus], float | str]] = {
    Sort.STATE: _how_bad,
    Sort.NAME: _natural,
    Sort.CPU: lambda one: -(one.cpu_usage or 0.0),
    Sort.RSS: lambda one: -(one.rss_bytes or 0),
    Sort.SINCE: lambda one: -one.since,
    Sort.RESTARTS: lambda one: -one.restarts,
}


def _tree(members: Sequence[TreeMember]) -> Iterable[tuple[TreeMember, int]]:
    known = {one.pid for one in members}
    children: dict[int, list[TreeMember]] = {}
    for one in members:
        children.setdefault(one.parent if one.parent in known else 0, []).append(one)
    waiting = [(one, 1) for one in reversed(children.get(0, []))]
    while waiting:
        one, depth = waiting.pop()
        yield one, depth
        waiting += [(child, depth + 1) for child in reversed(children.get(one.pid, []))]
