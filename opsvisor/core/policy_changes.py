"""A changed policy, carried out at once: what is due when by now, and who gets another try.

What is on its way up or down keeps its state, and its deadline comes when the policy of now says,
counted from the start or stop as ever. What is not up is judged again, as it would be if it came
to its state now. A change of words alone, such as that of flapping, starts and stops nobody.

Nothing here changes anything: the machine (process.py) has the state, and does what is found.
"""

from enum import Enum
from typing import assert_never

from opsvisor.core.outcome import ExitCause
from opsvisor.core.record import Record
from opsvisor.core.restart import EndedRun, wants_another
from opsvisor.core.spec import ProcessSpec, RestartMode, RestartPolicy
from opsvisor.core.state import (
    Backoff,
    Exited,
    Fatal,
    Running,
    Spawning,
    StartCause,
    Starting,
    State,
    Stopped,
    Stopping,
    Unknown,
)
from opsvisor.core.struct import replace


class SecondLook(Enum):
    """What a changed policy has done with a process that should be up and is not."""

    LEAVE = "leave"
    START = "start"
    CALL_OFF = "call off"  # the restart that is due


def with_kill_delay(spec: ProcessSpec, coming: ProcessSpec) -> ProcessSpec:
    """The spec of a stop with the kill_delay of `coming`, which waits for its end.

    A longer one as well: who gives a program more time to end means the run that is ending, too.
    """
    return replace(spec, stop=replace(spec.stop, kill_delay=coming.stop.kill_delay))


def rescheduled(state: State, before: ProcessSpec, spec: ProcessSpec) -> State:
    """The state with what it waits for at the instant that `spec` says, no longer `before`."""
    match state:
        case Starting():
            return replace(state, up_at=state.started_at + spec.min_uptime)
        case Running(settled_at=float()):
            return replace(state, settled_at=state.started_at + spec.restart.backoff_reset)
        case Stopping():
            kills = state.kills
            later = spec.stop.delay_of_kill(kills) - before.stop.delay_of_kill(kills)
            return replace(state, kill_at=state.kill_at + later)
        case Stopped() | Spawning() | Running() | Backoff() | Exited() | Fatal() | Unknown():
            return state
        case never:
            assert_never(never)


def look_again(state: State, record: Record, before: ProcessSpec, spec: ProcessSpec) -> SecondLook:
    """Decide again about a process that should be up, if what decides about that has changed.

    One in FATAL or BACKOFF gets another try at once, as after a changed command; but no restart
    that is due is made where restarts are off by now. Of those that have EXITED only one that the
    policy would not have left so: a job that is done is not done again because a delay is another
    one.
    """
    if _end_alike(before, spec):
        return SecondLook.LEAVE
    match state:
        case Fatal():
            return SecondLook.START
        case Exited() if _wants_another(spec.restart, record):
            return SecondLook.START
        case Backoff() if _is_restart_off(spec.restart, state):
            return SecondLook.CALL_OFF
        case Backoff():
            return SecondLook.START
        case Exited() | Stopped() | Spawning() | Starting() | Running() | Stopping() | Unknown():
            return SecondLook.LEAVE
        case never:
            assert_never(never)


def _end_alike(one: ProcessSpec, other: ProcessSpec) -> bool:
    """Whether nothing has changed for which both end, or are restarted, at different times."""
    flapping = other.restart.flapping  # only a word for it
    return (
        one.min_uptime == other.min_uptime
        and one.startup_probe == other.startup_probe
        and one.liveness_probe == other.liveness_probe
        and one.resources == other.resources
        and replace(one.restart, flapping=flapping) == other.restart
    )


def _is_restart_off(policy: RestartPolicy, state: Backoff) -> bool:
    is_retried_anyway = policy.early_exit_fails and state.cause is StartCause.RETRY
    return policy.mode is RestartMode.NO and not is_retried_anyway


def _wants_another(policy: RestartPolicy, record: Record) -> bool:
    run = EndedRun(
        uptime=0.0,
        came_up=record.last_cause is not ExitCause.START_FAILURE,
        outcome=record.last_outcome,
        oom_killed=record.last_oom_killed,
        complaint="" if record.last_cause is not ExitCause.HEALTH else record.reason,
    )
    return wants_another(policy, run)
