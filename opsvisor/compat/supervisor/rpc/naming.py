"""What clients call processes and groups: `name`, `group:name`, `group:*`."""

from collections.abc import Iterable
from typing import Any

from opsvisor.compat.supervisor.rpc.faults import Fault, RpcFault
from opsvisor.compat.supervisor.rpc.methods import read_text
from opsvisor.control.control import Control
from opsvisor.core.spec import ProcessId
from opsvisor.core.view import ProcessView


def find(control: Control, given: Any) -> ProcessView | list[ProcessView]:
    """The process of this name, or the members of a group by their priorities; else BAD_NAME.

    A name without a colon means the process of that name in the group of that name.
    """
    name = read_text(given)
    group, colon, process = name.partition(":")
    if colon and process in ("", "*"):
        return _members(control, group, asked=name)
    try:
        return control.engine.view(ProcessId(group, process if colon else group))
    except KeyError:
        raise RpcFault(Fault.BAD_NAME, name) from None


def find_one(control: Control, given: Any) -> ProcessView:
    """The process of this name, and no group; else BAD_NAME."""
    found = find(control, given)
    if isinstance(found, list):
        raise RpcFault(Fault.BAD_NAME, given)
    return found


def find_group(control: Control, given: Any) -> list[ProcessView]:
    """The members of the group of this name by their priorities, maybe none; else BAD_NAME."""
    return _members(control, read_group(given), asked=given)


def _members(control: Control, group: str, *, asked: str) -> list[ProcessView]:
    members = by_priority(view for view in control.engine.views() if view.id.group == group)
    if not members and group not in {one.name for one in control.supervisor.plan.groups}:
        raise RpcFault(Fault.BAD_NAME, asked)
    return members


def read_group(given: Any) -> str:
    """A parameter that names a group. What is no text names none, which is no error of type."""
    if isinstance(given, list | dict):
        raise RpcFault(Fault.INCORRECT_PARAMETERS)
    if not isinstance(given, str):
        raise RpcFault(Fault.BAD_NAME, given)
    return given


def by_priority(views: Iterable[ProcessView]) -> list[ProcessView]:
    """In the order in which everything is started."""
    return sorted(views, key=lambda v: (v.group_priority, v.id.group, v.spec.priority, v.id.name))
