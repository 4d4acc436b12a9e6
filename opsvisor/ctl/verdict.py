"""What is wrong with a process, in a sentence. Or that all is well."""

from collections.abc import Sequence

import msgspec

from opsvisor.ctl import render
from opsvisor.ctl.troubles import Trouble, trouble_of, troubled
from opsvisor.wire import Event, History, ProcessStatus, Run


class Finding(msgspec.Struct, kw_only=True, frozen=True):
    """A line of `why` without a name."""

    name: str
    state: str
    trouble: str
    since: float
    words: str


def findings(processes: Sequence[ProcessStatus]) -> list[Finding]:
    """All that needs a look, worst first, and the oldest first where that is the same."""
    wrong = sorted(troubled(processes), key=lambda one: (trouble_of(one), one.since, one.name))
    return [
        Finding(
            name=one.name,
            state=one.state,
            trouble=trouble_of(one).name.lower(),
            since=one.since,
            words="; ".join(_words(one)),
        )
        for one in wrong
    ]


def verdict(history: History) -> list[str]:
    """What is the matter, the most important first."""
    status = history.status
    words = _words(status)
    if status.state in ("STOPPED", "STOPPING") and (who := _by_whom(history)):
        words.append(who)
    if status.state in ("RUNNING", "STARTING") and (run := _killed_for_memory(history.runs)):
        ago = render.clock(run.ended_at)
        words.append(f"its last run was killed for want of memory, at {ago}")
    return [render.printable(one) for one in words]


def _words(one: ProcessStatus) -> list[str]:
    match one.state:
        case "FATAL" if one.spawn_error and one.exit_code is None and one.exit_signal is None:
            words = [f"it can't be started: {one.spawn_error}"]
        case "FATAL":
            words = [f"given up: {one.reason}"]
        case "BACKOFF":
            failed = one.failed_starts
            times = f" ({failed} in a row)" if failed > 1 else ""
            words = [f"its starts fail{times}: {one.reason}" if failed else one.reason]
        case "STARTING":
            words = [f"it is starting: {one.reason}"]
        case "STOPPING":
            words = [f"it is being stopped: {one.reason}"]
        case "STOPPED" if not one.started_at:
            words = [f"it was never started (startup = {one.startup})"]
        case "EXITED":
            should_run = ", and should run" if one.expected_running else ""
            words = [f"it has ended by itself{should_run}: {one.reason}"]
        case "RUNNING":
            words = _of_running(one)
        case _:
            words = [one.reason or "no reason is known"]
    return [*words, *_beside(one)]


def _of_running(one: ProcessStatus) -> list[str]:
    troubles = render.probe_troubles(one)
    if one.healthy is False:
        return ["it runs, but is unhealthy", *troubles]
    if not one.ready:
        return ["it runs, but is not ready", *troubles]
    if troubles:
        return troubles
    if trouble_of(one) is Trouble.NONE:
        up = render.span(one.uptime)
        return [f"nothing is wrong: up for {up}, ready{_restarts(one, ', ')}"]
    return []


def _restarts(one: ProcessStatus, before: str) -> str:
    return f"{before}{one.restarts} automatic restarts so far" if one.restarts else ""


def _beside(one: ProcessStatus) -> list[str]:
    """What else is so."""
    return [
        *([f"it is flapping{_restarts(one, ': ')}"] if one.flapping else []),
        *([f"SIGKILL did not end it {one.kills_survived} times"] * bool(one.kills_survived)),
        *([f"its log has a problem: {one.log_problem}"] if one.log_problem else []),
        *([f"its resources are not limited: {one.limits_problem}"] if one.limits_problem else []),
    ]


def _by_whom(history: History) -> str:
    """Who asked for the stop, if that is remembered."""
    since = history.status.since
    for event in history.timeline:
        if event.kind == "control_action" and _is_stop(event) and event.at <= since + 1.0:
            detail = event.detail
            who = detail.get("identity") or detail.get("user") or "somebody"
            why = f", because: {detail['reason']}" if detail.get("reason") else ""
            where = detail.get("source")
            return f"{who} asked for it from {where} at {render.clock(event.at)}{why}"
    return ""


def _is_stop(event: Event) -> bool:
    return event.detail.get("action") in ("stop", "restart") and event.detail.get("result") == "ok"


def _killed_for_memory(runs: Sequence[Run]) -> Run | None:
    return runs[0] if runs and runs[0].cause == "oom" else None
