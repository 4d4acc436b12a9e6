"""Groups and programs: the same processes, by how they are stopped and by who wrote them."""

from collections import Counter
from collections.abc import Iterable

from aiohttp import web

from opsvisor import wire
from opsvisor.api.context import json_response, views_of
from opsvisor.core.view import ProcessView


async def list_groups(request: web.Request) -> web.Response:
    """Every group, in order of priority and name."""
    groups: dict[tuple[int, str], list[ProcessView]] = {}
    for view in views_of(request):
        groups.setdefault((view.group_priority, view.id.group), []).append(view)
    return json_response(
        wire.GroupList(
            groups=[
                wire.GroupStatus(
                    name=name,
                    priority=priority,
                    processes=[str(view.id) for view in views],
                    states=_count(views),
                )
                for (priority, name), views in sorted(groups.items(), key=lambda item: item[0])
            ]
        )
    )


async def list_programs(request: web.Request) -> web.Response:
    """Every program of the configuration in force, by name."""
    programs: dict[str, list[ProcessView]] = {}
    for view in views_of(request):
        programs.setdefault(view.spec.program, []).append(view)
    return json_response(
        wire.ProgramList(
            programs=[
                wire.ProgramStatus(
                    name=name,
                    command=views[0].spec.command,
                    processes=[str(view.id) for view in views],
                    states=_count(views),
                )
                for name, views in sorted(programs.items())
            ]
        )
    )


def _count(views: Iterable[ProcessView]) -> dict[str, int]:
    return dict(Counter(view.state.name for view in views))
