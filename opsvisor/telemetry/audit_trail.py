"""The audit log: each control action as one line of JSON."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

from opsvisor.core.events import ActionResult, ControlAction, Event


class AuditTrail:
    """Writes a line for each control action. `write` takes its text, and whether it went well."""

    def __init__(self, write: Callable[[str, bool], None]) -> None:
        self._write = write

    def on_event(self, event: Event) -> None:
        """The line of a control action; nothing for other facts."""
        if isinstance(event, ControlAction):
            self._write(audit_line(event), event.result is ActionResult.OK)


def first_line(at: float, user: str) -> str:
    """What a daemon of this user begins with in a log of its own, to see that it can."""
    return audit_line(
        ControlAction(
            at=at,
            action="audit.begin",
            targets=(),
            target_count=0,
            identity="",
            user=user,
            source="",
            listener="",
            interface="daemon",
            result=ActionResult.OK,
            code="",
            reason="",
            seconds=0.0,
        )
    )


def audit_line(event: ControlAction) -> str:
    """One action as JSON. The time is when it was asked for, in UTC."""
    at = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds")
    told: dict[str, object] = {
        "time": at.replace("+00:00", "Z"),
        "action": event.action,
        "targets": list(event.targets),
        "target_count": event.target_count,
        "identity": event.identity,
        "user": event.user,
        "source": event.source,
        "listener": event.listener,
        "interface": event.interface,
        "result": event.result.value,
        "code": event.code,
        "reason": event.reason,
        "seconds": event.seconds,
    }
    if event.left_out:
        told["left_out"] = event.left_out
    return json.dumps(
        told
    )  # all of it ASCII: a name can neither end a line nor command a terminal
