"""What the daemon mounts beside its own API for those who come from Supervisor."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from opsvisor.control.control import Control


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorEdge:
    """Supervisor's interfaces on top of the use cases: paths of HTTP, and event listeners."""

    control: Control

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """What every server of the daemon answers besides the API."""
        return ()

    def open(self) -> None:
        """Begin to tell event listeners; before the first process is started."""

    def close(self) -> None:
        """Tell nobody any more."""
