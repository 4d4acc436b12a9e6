"""A moment on both clocks."""

from opsvisor.core.struct import Value


class Instant(Value, frozen=True, order=True):
    """`mono` decides, `wall` is for people: Unix seconds that may jump when the clock is set."""

    mono: float
    wall: float

    def wall_at(self, mono: float) -> float:
        """Where the wall clock will (or did) stand at this monotonic instant, as seen from now."""
        return self.wall + (mono - self.mono)
