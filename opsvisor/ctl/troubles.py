"""What is wrong with a process, as far as its status says, and how bad that is.

`status`, `top` and `why` all ask here. The page has the same table in states.js, and a test holds
both against one list of cases: two people who look at the same process must not differ over it.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple

from opsvisor.wire import ProcessStatus

# In the order in which states are counted: what needs somebody first.
STATE_ORDER = (
    "FATAL",
    "UNKNOWN",
    "BACKOFF",
    "STARTING",
    "STOPPING",
    "RUNNING",
    "EXITED",
    "STOPPED",
)


class Trouble(IntEnum):
    """The worst that can be said of a process; the first is the worst of all."""

    GIVEN_UP = 0  # FATAL, or nobody knows
    RETRYING = 1  # BACKOFF
    GONE = 2  # should be up, and neither is nor is restarted
    UNHEALTHY = 3  # its probes fail, or it outlives SIGKILL
    UNREADY = 4  # runs, and isn't ready
    FLAPPING = 5
    IMPAIRED = 6  # its log or its limits aren't as they should
    NONE = 7


class Badge(NamedTuple):
    """What must not be overlooked beside the state, in a word or two."""

    words: str
    is_bad: bool  # else it is odd


def trouble_of(one: ProcessStatus) -> Trouble:
    """The worst that can be said of this process."""
    found = (
        (Trouble.GIVEN_UP, one.state in ("FATAL", "UNKNOWN")),
        (Trouble.RETRYING, one.state == "BACKOFF"),
        (Trouble.GONE, _is_gone(one)),
        (Trouble.UNHEALTHY, one.healthy is False or one.kills_survived > 0),
        (Trouble.UNREADY, _is_unready(one)),
        (Trouble.FLAPPING, one.flapping),
        (Trouble.IMPAIRED, bool(one.log_problem or one.limits_problem)),
    )
    return next((trouble for trouble, is_so in found if is_so), Trouble.NONE)


def badges_of(one: ProcessStatus) -> list[Badge]:
    """All that is wrong beside the state, the worst first."""
    found = (
        (Badge("should run", is_bad=True), _is_gone(one)),
        (Badge("unhealthy", is_bad=True), one.healthy is False),
        (Badge("outlives SIGKILL", is_bad=True), one.kills_survived > 0),
        (Badge("not ready", is_bad=False), _is_unready(one)),
        (Badge("flapping", is_bad=False), one.flapping),
        (Badge("log problem", is_bad=True), bool(one.log_problem)),
        (Badge("limits not set", is_bad=False), bool(one.limits_problem)),
    )
    return [badge for badge, is_so in found if is_so]


def troubled(processes: Iterable[ProcessStatus]) -> list[ProcessStatus]:
    """Those with a trouble, in their own order."""
    return [one for one in processes if trouble_of(one) is not Trouble.NONE]


def worst_first(processes: Sequence[ProcessStatus]) -> list[ProcessStatus]:
    """All of them: by how bad it is, and in their own order where that is the same."""
    return sorted(processes, key=trouble_of)


def place_of(state: str) -> int:
    """Where a state stands in their order; one that a later daemon may tell of is the last."""
    return STATE_ORDER.index(state) if state in STATE_ORDER else len(STATE_ORDER)


def _is_gone(one: ProcessStatus) -> bool:
    return one.expected_running and one.state in ("EXITED", "STOPPED")


def _is_unready(one: ProcessStatus) -> bool:
    return one.state == "RUNNING" and not one.ready
