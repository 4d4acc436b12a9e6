"""TICK events: when the wall clock passes a multiple of 5, 60 or 3600 seconds."""

from collections.abc import Mapping

from opsvisor.compat.supervisor.listeners.names import KINDS, TICKS
from opsvisor.compat.supervisor.listeners.translate import ListenerEvent, tick

# The wall clock may be set, and stands still for nobody while the machine sleeps. Whoever waits
# for an hour's end looks at it this often.
LONGEST_WAIT = 60.0


class Ticks:
    """Which ticks are due. Time is given in Unix seconds, and may jump."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}  # of each kind that is wanted

    def remember(self) -> dict[str, int]:
        """The last one of each kind that is wanted."""
        return dict(self._last)

    def recall(self, last: Mapping[str, int]) -> None:
        """These have been told already."""
        self._last.update(last)

    def want(self, kinds: frozenset[str], now: float) -> None:
        """From now on, these kinds of events are subscribed to."""
        wanted = {name for name in TICKS if not kinds.isdisjoint(KINDS[name])}
        self._last = {
            name: self._last.get(name, _multiple(now, period))
            for name, period in TICKS.items()
            if name in wanted
        }

    def wait(self, now: float) -> float | None:
        """Seconds until the next one may be due; None where nobody wants any."""
        waits = [TICKS[name] - now % TICKS[name] for name in self._last]
        return min(LONGEST_WAIT, *waits) if waits else None

    def due(self, now: float) -> list[ListenerEvent]:
        """Those that have come due. However far the clock jumped, one of each kind."""
        events = []
        for name, last in self._last.items():
            when = _multiple(now, TICKS[name])
            if when != last:
                self._last[name] = when
                events.append(tick(name, when))
        return events


def _multiple(now: float, period: int) -> int:
    return int(now - now % period)
