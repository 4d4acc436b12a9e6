"""Going on in a later turn of the loop, so that others have theirs in between."""

import asyncio
from collections.abc import Callable

__all__ = ["TURNS_OF_OTHERS", "Later"]

# A request takes about so many turns of the loop: with fewer it would wait for as many shares of
# whatever goes on without end.
TURNS_OF_OTHERS = 4


class Later:
    """Calls `then` on the loop, once for any number of times that it was asked to meanwhile."""

    __slots__ = ("_asked", "_loop", "_then")

    def __init__(self, loop: asyncio.AbstractEventLoop, then: Callable[[], object]) -> None:
        self._loop = loop
        self._then = then
        self._asked: asyncio.Handle | None = None

    @property
    def is_due(self) -> bool:
        """Whether it was asked to, and has not yet called."""
        return self._asked is not None

    def ask(self, turns: int = 0) -> None:
        """Call in the next turn of the loop, or after so many more; if it is due already, then."""
        if self._asked is None:
            self._asked = self._loop.call_soon(self._turn, turns)

    def cancel(self) -> None:
        """Don't call, until it is asked to again."""
        if self._asked is not None:
            self._asked.cancel()
            self._asked = None

    def _turn(self, turns: int) -> None:
        self._asked = None
        if turns:
            self.ask(turns - 1)
        else:
            self._then()
