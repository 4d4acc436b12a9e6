"""The real Supervisor's reading of a configuration, for comparison."""

from pathlib import Path
from typing import Any

from supervisor import (  # type: ignore[import-untyped]  # comes without annotations
    datatypes,
    options,
)

__all__ = ["RejectedBySupervisor", "datatypes", "options", "read"]


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
