"""Configuration: what the files say, how that differs from what runs, and taking it over."""

from collections.abc import Callable, Iterable

from aiohttp import web

from opsvisor import wire
from opsvisor.api.context import CONTROL, json_response, read_body, refuse_when_stopping
from opsvisor.api.convert import config_diff
from opsvisor.api.errors import ApiError, bad_config
from opsvisor.api.processes import action_result
from opsvisor.config.problems import ConfigError
from opsvisor.control.configuration import Comparison, UnknownGroupError
from opsvisor.control.control import Control
from opsvisor.core.spec import Startup


async def show_diff(request: web.Request) -> web.Response:
    """What applying the configuration as last read would change."""
    return json_response(config_diff(request.app[CONTROL].configuration.compare()))


async def reread(request: web.Request) -> web.Response:
    """Read the files again, change nothing, and say what would change."""
    control = request.app[CONTROL]
    refuse_when_stopping(control)
    return json_response(config_diff(await _reread(control)))


async def apply(request: web.Request) -> web.Response:
    """Take over the files: stop what left them, restart what changed, start what is new."""
    control = request.app[CONTROL]
    refuse_when_stopping(control)
    body = await read_body(request, wire.ApplyRequest)
    if body.reread:
        await _reread(control)
    configuration = control.configuration
    try:
        plan, comparison = configuration.choose(body.groups)
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
            diff=config_diff(comparison),
            results=[action_result(outcome) for outcome in outcomes],
        )
    )


async def list_available(request: web.Request) -> web.Response:
    """Every process of the configuration as last read, in use or not."""
    control = request.app[CONTROL]
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
                for spec in group.processes
            ]
        )
    )


async def add_groups(request: web.Request) -> web.Response:
    """Take groups that the last reread saw into the plan."""
    control = request.app[CONTROL]
    refuse_when_stopping(control)
    body = await read_body(request, wire.GroupRequest)
    results = _change_each(
        body.groups,
        control.configuration.add_group,
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
    results = _change_each(
        body.groups,
        control.configuration.remove_group,
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


async def _reread(control: Control) -> Comparison:
    try:
        return await control.configuration.reread()
    except ConfigError as error:
        raise bad_config(error) from error


def _no_such_group(error: UnknownGroupError) -> ApiError:
    return ApiError("no_such_group", str(error), "GET /api/v1/config/available lists them")
