"""What facts are called and how they are told: the one table for logs, streams and labels."""

from typing import assert_never, get_args

from opsvisor.core.events import (
    ActionResult,
    ControlAction,
    EssentialEnded,
    Event,
    FailuresForgotten,
    FlappingChanged,
    HealthChanged,
    KillSurvived,
    PlanApplied,
    ProcessAdded,
    ProcessAdopted,
    ProcessChanged,
    ProcessExited,
    ProcessRemoved,
    ProcessSpawned,
    SignalRefused,
    SignalSent,
    SpawnFailed,
    StateChanged,
    SupervisorStateChanged,
)
from opsvisor.core.outcome import how_it_ended, signal_name
from opsvisor.core.restart import in_seconds


def _snake_case(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).removeprefix("_")


_KINDS = {event_type: _snake_case(event_type.__name__) for event_type in get_args(Event)}


def kind_of(event_type: type[Event]) -> str:
    """`process_added` for ProcessAdded: the name of a fact in streams and metric labels."""
    kind: str = _KINDS[event_type]
    return kind


def sentence(event: Event) -> str:
    """The fact as one line for people."""
    match event:
        case ProcessAdded():
            return f"{event.id} was added"
        case ProcessChanged():
            return f"{event.id} follows a changed configuration: {', '.join(event.fields)}"
        case ProcessRemoved():
            return f"{event.id} was removed"
        case StateChanged():
            return f"{event.id}: {event.old.name} -> {event.new.name}: {event.reason}"
        case ProcessSpawned():
            why = f", replaces a run ended by {event.replaces.value}" if event.replaces else ""
            return f"{event.id} started with pid {event.pid} ({event.cause.value}{why})"
        case ProcessAdopted():
            return f"{event.id} (pid {event.pid}) was taken back in {event.state.name}"
        case SpawnFailed():
            return f"{event.id} could not be started: {event.reason}"
        case ProcessExited():
            how = how_it_ended(event.outcome, oom_killed=event.oom_killed)
            return f"{event.id} (pid {event.pid}) ended: {how}; {event.decision}"
        case FailuresForgotten():
            return f"{event.id} has been up long enough to forget {event.failures} failures"
        case FlappingChanged():
            verb = "is flapping" if event.flapping else "has stopped flapping"
            return f"{event.id} {verb}: {event.restarts} restarts in {in_seconds(event.interval)}"
        case HealthChanged(passing=True):
            return f"{event.id}: its {event.probe.value} probe passes: {event.detail}"
        case HealthChanged():
            times = "once" if event.in_a_row == 1 else f"{event.in_a_row} times in a row"
            return f"{event.id}: its {event.probe.value} probe failed {times}: {event.detail}"
        case SignalSent():
            whom = "process group" if event.to_group else "pid"
            return f"{event.id}: {signal_name(event.signum)} sent to {whom} {event.pid}"
        case KillSurvived():
            return f"{event.id} (pid {event.pid}) has outlived {event.kills} SIGKILL"
        case SignalRefused():
            return f"{event.id} (pid {event.pid}) can't be signalled: {event.reason}"
        case PlanApplied():
            found = event.diff
            return (
                f"configuration {event.generation} applied: {len(found.added)} added,"
                f" {len(found.changed)} changed, {len(found.removed)} removed"
            )
        case EssentialEnded():
            return (
                f"{event.id} is essential, and {event.state.name}: {event.reason}; all is stopped,"
                f" the exit status is {event.exit_status}"
            )
        case ControlAction():
            return _told_of_action(event)
        case SupervisorStateChanged():
            return f"opsvisord: {event.old.value} -> {event.new.value}: {event.reason}"
        case never:
            assert_never(never)


def _told_of_action(event: ControlAction) -> str:
    who = event.identity or event.user or "somebody"
    others = event.target_count - len(event.targets)
    whom = f" {', '.join(event.targets)}" if event.targets else ""
    more = f" and {others} more" if others else ""
    code = f" ({event.code})" if event.code else ""
    told = "" if event.result is ActionResult.OK else f": {event.result.value}{code}"
    why = f", because: {event.reason}" if event.reason else ""
    return f"{who} from {event.source} asked for {event.action}{whom}{more}{told}{why}"
