"""Published facts in the words of the wire: kind, one line for people, details for programs."""

import re
from dataclasses import fields
from enum import Enum
from typing import assert_never

from opsvisor import wire
from opsvisor.core.events import (
    Event,
    FailuresForgotten,
    FlappingChanged,
    KillSurvived,
    PlanApplied,
    ProcessAdded,
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
from opsvisor.core.outcome import Outcome, signal_name

Detail = dict[str, str | int | float | bool | list[str] | None]

_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")


def wire_event(number: int, event: Event) -> wire.Event:
    """An event with its number in the daemon's history."""
    process_id = getattr(event, "id", None)
    return wire.Event(
        id=number,
        at=event.at,
        kind=_WORD_START.sub("_", type(event).__name__).lower(),
        process=str(process_id) if process_id is not None else "",
        text=sentence(event),
        detail=_detail(event),
    )


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
        case SpawnFailed():
            return f"{event.id} could not be started: {event.reason}"
        case ProcessExited():
            return f"{event.id} (pid {event.pid}) ended: {event.outcome}; {event.decision}"
        case FailuresForgotten():
            return f"{event.id} has been up long enough to forget {event.failures} failures"
        case FlappingChanged():
            verb = "is flapping" if event.flapping else "has stopped flapping"
            return f"{event.id} {verb}: {event.restarts} restarts in {event.interval:g} s"
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
        case SupervisorStateChanged():
            return f"opsvisord: {event.old.value} -> {event.new.value}: {event.reason}"
        case never:
            assert_never(never)


def _detail(event: Event) -> Detail:
    """The plain fields of an event; what is nested is left to the API's other routes."""
    detail: Detail = {}
    for field in fields(event):
        if field.name in ("at", "id"):
            continue
        value = getattr(event, field.name)
        match value:
            case Enum():
                detail[field.name] = value.value
            case Outcome():
                detail["outcome"] = str(value)
                detail["exit_code"] = value.code
                detail["exit_signal"] = signal_name(value.signum) if value.signum else None
            case tuple():
                detail[field.name] = [str(item) for item in value]
            case str() | int() | float() | bool() | None:
                detail[field.name] = value
            case _:
                pass
    return detail
