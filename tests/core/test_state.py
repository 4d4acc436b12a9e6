"""States, what they are called outside, and how they may follow each other."""

from typing import get_args

import pytest

from opsvisor.core.spec import Pid
from opsvisor.core.state import (
    TRANSITIONS,
    Backoff,
    Exited,
    Fatal,
    PublicState,
    Running,
    Spawning,
    StartCause,
    Starting,
    State,
    StopCause,
    Stopped,
    Stopping,
    Unknown,
    deadline_of,
    pid_of,
    public_state,
)

PID = Pid(7)
TABLE: list[tuple[State, str, Pid | None, float | None]] = [
    (Stopped(), "STOPPED", None, None),
    (Spawning(StartCause.MANUAL), "STARTING", None, None),
    (Starting(PID, started_at=1.0, up_at=2.0), "STARTING", PID, 2.0),
    (Running(PID, started_at=1.0, settled_at=None), "RUNNING", PID, None),
    (Running(PID, started_at=1.0, settled_at=61.0), "RUNNING", PID, 61.0),
    (Backoff(retry_at=3.0, cause=StartCause.RETRY), "BACKOFF", None, 3.0),
    (Stopping(PID, 1.0, kill_at=4.0, cause=StopCause.MANUAL), "STOPPING", PID, 4.0),
    (Exited(), "EXITED", None, None),
    (Fatal(retry_at=None), "FATAL", None, None),
    (Fatal(retry_at=5.0), "FATAL", None, 5.0),
    (Unknown(PID, started_at=1.0, cause=StopCause.MANUAL), "UNKNOWN", PID, None),
]


@pytest.mark.parametrize(("state", "name", "pid", "deadline"), TABLE)
def test_pid_and_deadline_are_derived(
    state: State, name: str, pid: Pid | None, deadline: float | None
) -> None:
    """Each state knows its public name, its live process and when it wants to be looked at."""
    assert public_state(state).value == name
    assert pid_of(state) == pid
    assert deadline_of(state) == deadline


def test_every_state_is_in_the_table() -> None:
    """A new one is told to clients under one of the names that they know."""
    assert {type(state) for state, *_ in TABLE} == set(get_args(State))


def test_codes_are_supervisors() -> None:
    """Its clients know states by these numbers."""
    assert {state.value: state.code for state in PublicState} == {
        "STOPPED": 0,
        "STARTING": 10,
        "RUNNING": 20,
        "BACKOFF": 30,
        "STOPPING": 40,
        "EXITED": 100,
        "FATAL": 200,
        "UNKNOWN": 1000,
    }


def test_every_state_can_be_left_and_reached() -> None:
    """The table of transitions has no trap, no orphan and no transition to itself."""
    assert TRANSITIONS.keys() == set(PublicState)
    assert set().union(*TRANSITIONS.values()) == set(PublicState)
    assert all(state not in following for state, following in TRANSITIONS.items())
    assert all(TRANSITIONS.values())
