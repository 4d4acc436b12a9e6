"""What happened to one process lately, out of everything that the bus remembers."""

from opsvisor.control.names import Target, is_pattern, resolve
from opsvisor.core.events import (
    ControlAction,
    Event,
    FlappingChanged,
    HealthChanged,
    KillSurvived,
    ProcessAdded,
    ProcessAdopted,
    ProcessChanged,
    SignalRefused,
    SignalSent,
    SpawnFailed,
    StateChanged,
)
from opsvisor.core.spec import ProcessId
from opsvisor.runtime.bus import EventBus, Numbered

LONGEST = 30
# Characters of patterns that are tried, the newest first: making one ready takes 3 us for each.
PATTERNS_MAX = 2000

# Spawns and ends are left out: changes of state say the same, and finished runs are told apart.
_TELLING = (
    FlappingChanged,
    HealthChanged,
    KillSurvived,
    ProcessAdded,
    ProcessAdopted,
    ProcessChanged,
    SignalRefused,
    SignalSent,
    SpawnFailed,
    StateChanged,
)


def timeline_of(bus: EventBus, process_id: ProcessId) -> list[Numbered]:
    """The newest facts about a process and what was asked of it, newest first."""
    names = _Names(process_id)
    found: list[Numbered] = []
    for item in reversed(bus.since(bus.first_number)):
        if _is_about(item.event, names):
            found.append(item)
            if len(found) == LONGEST:
                break
    return found


class _Names:
    """Whether names that were typed stand for this process.

    Each is looked at once, however often it was used. Of patterns only the first few are: clients
    make them up, and making 2000 actions' 20 patterns each ready would take seconds.
    """

    def __init__(self, process_id: ProcessId) -> None:
        self.process_id = process_id
        self._known: dict[str, bool] = {}
        self._left = PATTERNS_MAX

    def hold(self, name: str) -> bool:
        """Whether it is one of them."""
        if name not in self._known:
            self._known[name] = self._is_affordable(name) and any(
                isinstance(one, Target) for one in resolve([name], [self.process_id])
            )
        return self._known[name]

    def _is_affordable(self, name: str) -> bool:
        if not is_pattern(name):
            return True
        self._left -= len(name)
        return self._left >= 0


def _is_about(event: Event, names: _Names) -> bool:
    if isinstance(event, ControlAction):
        return any(map(names.hold, event.targets))
    return isinstance(event, _TELLING) and event.id == names.process_id
