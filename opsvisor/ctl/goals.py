"""What one can wait for: when a process is there, and when it can't get there any more."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from opsvisor.wire import ProcessStatus

Judge = Callable[[ProcessStatus], bool]


class Goal(NamedTuple):
    """`is_reached` and `is_lost` judge a process as it is; neither means: wait on."""

    is_reached: Judge
    is_lost: Judge
    says: str  # for the help: when it is reached


def is_given_up(one: ProcessStatus) -> bool:
    """FATAL, and not tried again by itself."""
    return one.state == "FATAL" and not one.retry_at


def is_over(one: ProcessStatus) -> bool:
    """It ended by itself or was given up, and nothing starts it again but somebody's wish."""
    return is_given_up(one) or one.state == "EXITED"


GOALS: Mapping[str, Goal] = {
    "running": Goal(lambda one: one.state == "RUNNING", is_over, "RUNNING"),
    "ready": Goal(
        lambda one: one.state == "RUNNING" and one.ready, is_over, "RUNNING, and its probe passes"
    ),
    "exited": Goal(lambda one: one.state == "EXITED", is_given_up, "ended by itself: EXITED"),
    "stopped": Goal(
        lambda one: one.state in {"STOPPED", "EXITED"} or is_given_up(one),
        lambda _: False,
        "nothing runs, and nothing is tried again by itself",
    ),
}
