"""The core's facts in the words of the wire."""

from collections.abc import Mapping
from enum import Enum

from opsvisor import wire
from opsvisor.api.errors import config_problem
from opsvisor.config.settings import Access
from opsvisor.control.configuration import ChangedOption, ChosenOption, Comparison
from opsvisor.control.control import Control
from opsvisor.control.describe import describe, question
from opsvisor.core.events import Event
from opsvisor.core.instant import Instant
from opsvisor.core.outcome import Outcome, how_it_ended, signal_name
from opsvisor.core.probes import ProbeView
from opsvisor.core.spec import ProcessId, ProcessSpec
from opsvisor.core.view import ProcessView
from opsvisor.core.wording import kind_of, sentence
from opsvisor.runtime.members import TreeMember
from opsvisor.runtime.post_mortem import FinishedRun
from opsvisor.runtime.sampler import Sampler

_Detail = dict[str, str | int | float | bool | list[str] | None]


def process_status(control: Control, view: ProcessView, now: Instant) -> wire.ProcessStatus:
    """One process as it is now."""
    spec = view.spec
    tree = control.sampler.tree(view.id)
    outcome = view.last_outcome
    return wire.ProcessStatus(
        name=str(view.id),
        group=view.id.group,
        process=view.id.name,
        program=spec.program,
        replica=spec.replica,
        state=view.state.name,
        state_code=view.state.code,
        description=describe(view, now),
        reason=view.reason,
        since=view.since.wall,
        pid=view.pid or 0,
        ready=view.ready,
        healthy=view.healthy,
        flapping=view.flapping,
        expected_running=view.expected_running,
        started_at=view.started.wall if view.started else 0.0,
        stopped_at=view.ended.wall if view.ended else 0.0,
        uptime=now.mono - view.started.mono if view.started and view.pid else 0.0,
        starts=view.starts,
        restarts=view.restarts,
        failed_starts=view.failed_starts,
        retry_at=now.wall_at(view.retry_at) if view.retry_at is not None else 0.0,
        kills_survived=view.kills_survived,
        exit_code=outcome.code if outcome else None,
        exit_signal=outcome.signum if outcome else None,
        spawn_error=view.spawn_error,
        stdout_log=spec.stdout.path or "",
        stderr_log=(spec.stderr.path or "") if spec.stderr else "",
        log_problem=control.engine.streams(view.id).problem,
        cgroup=control.engine.limits.folder_of(view.id) or "",
        limits_problem=control.engine.limits.problem_of(view.id),
        priority=spec.priority,
        group_priority=view.group_priority,
        startup=spec.startup.value,
        labels=dict(spec.labels),
        cpu_seconds=sum(control.sampler.cpu_seconds(view.id)) if tree else None,
        rss_bytes=tree.rss_bytes if tree else None,
        tree_processes=tree.processes if tree else None,
        open_fds=tree.open_fds if tree else None,
        cpu_usage=control.sampler.recent.cores(view.id) if tree else None,
        probes=[probe_status(spec, probe) for probe in view.probes],
    )


def usage(sampler: Sampler, process_id: ProcessId) -> wire.Usage | None:
    """What a process uses, None if it did not run at the last sweep."""
    tree = sampler.tree(process_id)
    if tree is None:
        return None
    return wire.Usage(cpu=sampler.recent.cores(process_id), rss=tree.rss_bytes)


def probe_status(spec: ProcessSpec, view: ProbeView) -> wire.ProbeStatus:
    """How one probe of a process stands."""
    probe = spec.probe(view.kind)
    return wire.ProbeStatus(
        probe=view.kind.value,
        question=question(probe.handler) if probe else "",
        asked=view.is_active,
        passing=view.passing,
        wrong_in_a_row=view.wrong_in_a_row,
        attempts=view.attempts,
        failures=view.failures,
        duration=view.duration,
        detail=view.detail,
    )


def run_of(run: FinishedRun) -> wire.Run:
    """One post-mortem."""
    outcome = run.outcome
    return wire.Run(
        pid=run.pid or 0,
        started_at=run.ended_at - run.uptime,
        ended_at=run.ended_at,
        uptime=run.uptime,
        outcome=how_it_ended(outcome, oom_killed=run.oom_killed) if outcome else run.problem,
        exit_code=outcome.code if outcome else None,
        exit_signal=signal_name(outcome.signum) if outcome and outcome.signum else None,
        core_dumped=outcome.core_dumped if outcome else False,
        cause=run.cause.value,
        expected=run.expected,
        decision=run.decision,
        user_seconds=run.usage.user_seconds,
        system_seconds=run.usage.system_seconds,
        max_rss_bytes=run.usage.max_rss_bytes,
        stderr_tail=list(run.stderr_tail),
        stdout_tail=list(run.stdout_tail),
    )


def tree_member(member: TreeMember) -> wire.TreeMember:
    """One process of a tree."""
    return wire.TreeMember(
        pid=member.pid,
        parent=member.parent,
        command=member.command,
        cpu_seconds=member.cpu_seconds,
        rss_bytes=member.rss_bytes,
    )


def config_diff(
    comparison: Comparison, values: Mapping[ProcessId, list[wire.ChangedValue]]
) -> wire.ConfigDiff:
    """What applying would change; `values` are those that do, of each process."""
    found = comparison.diff
    return wire.ConfigDiff(
        added=[str(i) for i in found.added],
        changed=[
            wire.ConfigChange(
                name=str(c.id), fields=list(c.fields), restart=c.restart, values=values[c.id]
            )
            for c in found.changed
        ],
        removed=[str(i) for i in found.removed],
        groups_added=list(found.groups_added),
        groups_changed=list(found.groups_changed),
        groups_removed=list(found.groups_removed),
        daemon_changed=list(comparison.daemon_changed),
        warnings=[config_problem(w) for w in comparison.warnings],
    )


def changed_value(option: ChangedOption, access: Access) -> wire.ChangedValue:
    """One value that changes, as somebody with this access may see it."""
    return wire.ChangedValue(
        name=option.name,
        old=_told(option.old, access, secret=option.secret),
        new=_told(option.new, access, secret=option.secret),
        secret=option.secret,
    )


def config_value(option: ChosenOption, access: Access) -> wire.ConfigValue:
    """One option that is in use, as somebody with this access may see it."""
    origin = option.origin
    return wire.ConfigValue(
        name=option.name,
        value=_told(option.value, access, secret=option.secret),
        origin="default" if origin is None else str(origin.place),
        how="" if origin is None else origin.how.value,
        is_default=origin is None,
        secret=option.secret,
    )


def _told(value: str | None, access: Access, *, secret: bool) -> str:
    return "" if value is None or (secret and not access.covers(Access.ADMIN)) else value


def wire_event(number: int, event: Event) -> wire.Event:
    """An event with its number in the daemon's history."""
    process_id = getattr(event, "id", None)
    return wire.Event(
        id=number,
        at=event.at,
        kind=kind_of(type(event)),
        process=str(process_id) if process_id is not None else "",
        text=sentence(event),
        detail=_detail(event),
    )


def _detail(event: Event) -> _Detail:
    """The plain fields of an event; what is nested is left to the API's other routes."""
    detail: _Detail = {}
    for name in event.__struct_fields__:
        if name in ("at", "id"):
            continue
        value = getattr(event, name)
        match value:
            case Enum():
                detail[name] = value.value
            case Outcome():
                detail["outcome"] = str(value)
                detail["exit_code"] = value.code
                detail["exit_signal"] = signal_name(value.signum) if value.signum else None
            case tuple():
                detail[name] = [str(item) for item in value]
            case str() | int() | float() | bool() | None:
                detail[name] = value
            case _:
                pass
    return detail
