"""How the processes are now, kept up to date by what the daemon's watch tells."""

from collections.abc import Mapping
from types import MappingProxyType

from opsvisor.client import Watched
from opsvisor.wire import ProcessStatus, WatchChanged, WatchRemoved, WatchSnapshot

SELDOM = 3600.0  # seconds: states are told as they change, and what they use is of no interest


class Present:
    """Every process by its name, as it was last told of."""

    def __init__(self, processes: Mapping[str, ProcessStatus] = MappingProxyType({})) -> None:
        self.processes = dict(processes)

    def take(self, told: Watched) -> bool:
        """Take over what was told; whether a process is not as it was before."""
        match told:
            case WatchSnapshot():
                self.processes = {one.name: one for one in told.processes}
            case WatchChanged():
                self.processes |= {one.name: one for one in told.processes}
            case WatchRemoved():
                for name in told.names:
                    self.processes.pop(name, None)
            case _:
                return False
        return True
