"""The real Supervisor's reading of a configuration, for comparison."""

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from supervisor import (  # type: ignore[import-untyped]  # comes without annotations
    datatypes,
    options,
    rpcinterface,
)

__all__ = ["RejectedBySupervisor", "all_config_info", "datatypes", "options", "read"]


class RejectedBySupervisor(Exception):  # noqa: N818 - says who did it
    """Supervisor would print this and exit with 2."""


class _Options(options.ServerOptions):  # type: ignore[misc]  # comes without annotations
    def usage(self, msg: object) -> None:
        raise RejectedBySupervisor(str(msg))


def read(path: Path) -> Any:
    """Supervisor's own options object after reading this file. Uses the process's environment."""
    found = _Options()
    found.realize(["-c", str(path)], doc="", progname="supervisord")
    return found


def all_config_info(found: Any, groups: Iterable[Any]) -> list[dict[str, Any]]:
    """What Supervisor's getAllConfigInfo answers of these groups, none of them in use."""
    options = SimpleNamespace(mood=found.mood, process_group_configs=list(groups))
    supervisord = SimpleNamespace(options=options, process_groups={})
    interface = rpcinterface.SupervisorNamespaceRPCInterface(supervisord)
    answer: list[dict[str, Any]] = interface.getAllConfigInfo()
    return answer
