"""Configuration: what the files say, how that differs from what runs, and taking it over."""

from collections.abc import Callable, Iterable

from aiohttp import web

from opsvisor import wire
from opsvisor.api.access import Caller
from opsvisor.api.context import (
    CONTROL,
    caller_of,
    check_names,
    find_process,
    json_response,
    my_turn,
    read_body,
    refuse_when_stopping,
)
from opsvisor.api.convert import changed_value, config_diff, config_value
from opsvisor.api.errors import ApiError, bad_config
from opsvisor.api.processes import action_result
from opsvisor.config.problems import ConfigError
from opsvisor.control.configuration import Comparison, UnknownGroupError
from opsvisor.control.control import Control
from opsvisor.core.plan import PlanDiff
from opsvisor.core.spec import Startup

_AT_ONCE = 15  # changed processes of 0.3 ms


async def show_process_config(request: web.Request) -> web.Response:
    """All options of a process as they are in use, and where each of them was written.

    The values of variables and of headers are told to those with access `admin` only.
    """
    control, access = request.app[CONTROL], caller_of(request).access
    process_id = find_process(request)
    spec = control.engine.view(process_id).spec
    options = control.configuration.options_of(spec)
    return json_response(
        wire.ProcessConfig(
            name=str(process_id), options=[config_value(option, access) for option in options]
        )
    )


async def show_diff(request: web.Request) -> web.Response:
    """What applying the configuration as last read would change."""
    comparison = request.app[CONTROL].configuration.compare()
    return json_response(await _diff(request, comparison))


async def reread(request: web.Request) -> web.Response:
    """Read the files again, change nothing, and say what would change."""
    control = request.app[CONTROL]
    refuse_when_stopping(control)
    return json_response(await _diff(request, await _reread(control, caller_of(request))))


async def apply(request: web.Request) -> web.Response:
    """Take over the files: stop what left them, restart what changed, start what is new.

    Who is there for some groups only takes over those, and nothing else.
    """
    control, caller = request.app[CONTROL], caller_of(request)
    refuse_when_stopping(control)
    body = await read_body(request, wire.ApplyRequest)
    check_names(body.groups)
    if body.reread:
        await _reread(control, caller)
    configuration = control.configuration
    try:
        plan, comparison = configuration.choose(body.groups, among=_scope_of(caller))
    except UnknownGroupError as error:
        raise _no_such_group(error) from error
    outcomes = await control.actions.settle(
        restarting=[change.id for change in comparison.diff.changed if change.restart],
        removed=comparison.diff.removed,
        carry_out=lambda: configuration.carry_out(plan),
    )
    return json_response(
        wire.ApplyResponse(
            generation=control.supervisor.generation,
            diff=await _diff(request, comparison),
            results=[action_result(outcome) for outcome in outcomes],
        )
    )


async def list_available(request: web.Request) -> web.Response:
    """Every process of the configuration as last read, in use or not."""
    control, caller = request.app[CONTROL], caller_of(request)
    in_use = {group.name for group in control.supervisor.plan.groups}
    return json_response(
        wire.AvailableList(
            processes=[
                wire.AvailableProcess(
                    name=str(spec.id),
                    group=spec.id.group,
                    process=spec.id.name,
                    in_use=group.name in in_use,
                    autostart=spec.startup is Startup.ENABLED,
                    group_priority=group.priority,
                    priority=spec.priority,
                )
                for group in sorted(
                    control.configuration.available.plan.groups, key=lambda g: g.name
                )
                if caller.sees_group(group.name)
                for spec in group.processes
            ]
        )
    )


async def add_groups(request: web.Request) -> web.Response:
    """Take groups that the last reread saw into the plan."""
    control = request.app[CONTROL]
    refuse_when_stopping(control)
    body = await read_body(request, wire.GroupRequest)
    check_names(body.groups)
    results = _change_each(
        body.groups,
        _only_seen(caller_of(request), control.configuration.add_group),
        done="added",
        refused=("already_added", "already in the plan"),
        unknown="not in the files",
    )
    return json_response(wire.GroupResponse(results=results))


async def remove_groups(request: web.Request) -> web.Response:
    """Take stopped groups out of the plan."""
    control = request.app[CONTROL]
    refuse_when_stopping(control)
    body = await read_body(request, wire.GroupRequest)
    check_names(body.groups)
    results = _change_each(
        body.groups,
        _only_seen(caller_of(request), control.configuration.remove_group),
        done="removed",
        refused=("still_running", "stop its processes first"),
        unknown="not in the plan",
    )
    return json_response(wire.GroupResponse(results=results))


def _change_each(
    groups: Iterable[str],
    change: Callable[[str], bool],
    *,
    done: str,
    refused: tuple[str, str],
    unknown: str,
) -> list[wire.GroupResult]:
    """Change one group after the other; what became of each."""
    results = []
    for name in groups:
        try:
            result, reason = ("ok", done) if change(name) else refused
        except UnknownGroupError:
            result, reason = "no_such_group", unknown
        results.append(wire.GroupResult(group=name, result=result, reason=reason))
    return results


def seen_by(caller: Caller, comparison: Comparison) -> Comparison:
    """What of it is there for this caller: nothing about the daemon, unless it sees all."""
    if not caller.is_scoped:
        return comparison
    found = comparison.diff
    return Comparison(
        diff=PlanDiff(
            added=tuple(one for one in found.added if caller.sees(one)),
            changed=tuple(one for one in found.changed if caller.sees(one.id)),
            removed=tuple(one for one in found.removed if caller.sees(one)),
            groups_added=tuple(filter(caller.sees_group, found.groups_added)),
            groups_changed=tuple(filter(caller.sees_group, found.groups_changed)),
            groups_removed=tuple(filter(caller.sees_group, found.groups_removed)),
        ),
        daemon_changed=(),
        warnings=(),
        old=comparison.old,
        new=comparison.new,
    )


def _scope_of(caller: Caller) -> Callable[[str], bool] | None:
    return caller.sees_group if caller.is_scoped else None


def _only_seen(caller: Caller, change: Callable[[str], bool]) -> Callable[[str], bool]:
    """The change of a group, where others are as if there were none of that name."""

    def change_seen(group: str) -> bool:
        if not caller.sees_group(group):
            raise UnknownGroupError(group)
        return change(group)

    return change_seen


async def _diff(request: web.Request, comparison: Comparison) -> wire.ConfigDiff:
    """What would change, with values: after each few processes others have their turn."""
    caller = caller_of(request)
    comparison = seen_by(caller, comparison)
    values = {}
    for number, change in enumerate(comparison.diff.changed, start=1):
        if number % _AT_ONCE == 0:
            await my_turn(request)
        options = comparison.changed_options(change.id)
        values[change.id] = [changed_value(option, caller.access) for option in options]
    return config_diff(comparison, values)


async def _reread(control: Control, caller: Caller) -> Comparison:
    try:
        return await control.configuration.reread()
    except ConfigError as error:
        if caller.is_scoped:  # the files are those of others too
            what = "the configuration has problems, perhaps not in your groups; nothing changed"
            raise ApiError("bad_config", what, "who may see all of it is told of each") from error
        raise bad_config(error) from error


def _no_such_group(error: UnknownGroupError) -> ApiError:
    return ApiError("no_such_group", str(error), "GET /api/v1/config/available lists them")
