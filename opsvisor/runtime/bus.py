"""Published facts on their way to everyone who watches.

Listeners are called at once and in order (metrics, journal, history); they may not fail, and one
that does is reported and passed over. Subscriptions are for slow readers: bounded, the oldest
dropped and counted. Nobody who watches can hold up the engine.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from opsvisor.core.events import Event

# What a client that reconnects can still be told. About 300 bytes each.
REMEMBERED_EVENTS = 2000
SUBSCRIPTION_CAPACITY = 1000


@dataclass(frozen=True, slots=True)
class Numbered:
    """An event with its place in the daemon's history."""

    number: int
    event: Event


class Subscription:
    """A bounded queue of events for one reader. When full, the oldest is dropped and counted."""

    def __init__(self, name: str, capacity: int = SUBSCRIPTION_CAPACITY) -> None:
        self.name = name
        self.capacity = capacity
        self.dropped = 0
        self._queue: deque[Numbered] = deque()
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        """Events waiting to be read."""
        return len(self._queue)

    def put(self, item: Numbered) -> bool:
        """Append; False if another event had to make room."""
        fits = len(self._queue) < self.capacity
        if not fits:
            self._queue.popleft()
            self.dropped += 1
        self._queue.append(item)
        self._filled.set()
        return fits

    async def get(self) -> Numbered:
        """The oldest event, as soon as there is one."""
        while not self._queue:
            self._filled.clear()
            await self._filled.wait()
        return self._queue.popleft()


class EventBus:
    """Numbers events, remembers the last ones, and hands them on.

    Numbers count from `first_number`, exclusive. A daemon gives the milliseconds of its start, so
    that a number of an earlier life is below all of this one, and a gap is seen to be one.
    """

    def __init__(self, first_number: int = 0) -> None:
        self.first_number = first_number
        self.last_number = first_number
        self._on_listener_error: Callable[[Exception], None] = lambda _error: None
        self._on_drop: Callable[[str], None] = lambda _name: None
        self._listeners: list[Callable[[Event], None]] = []
        self._subscriptions: list[Subscription] = []
        self._recent: deque[Numbered] = deque(maxlen=REMEMBERED_EVENTS)

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Call this with every event from now on."""
        self._listeners.append(listener)

    def report_to(
        self, *, on_listener_error: Callable[[Exception], None], on_drop: Callable[[str], None]
    ) -> None:
        """Tell these of a listener that failed, and of a subscription (by name) that lost one."""
        self._on_listener_error = on_listener_error
        self._on_drop = on_drop

    def subscribe(self, name: str) -> Subscription:
        """A queue of every event from now on; give it back with `unsubscribe`."""
        subscription = Subscription(name)
        self._subscriptions.append(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stop filling this queue."""
        self._subscriptions.remove(subscription)

    @property
    def subscriptions(self) -> Iterable[Subscription]:
        """The queues being filled now."""
        return tuple(self._subscriptions)

    def since(self, number: int) -> list[Numbered]:
        """The remembered events after this one; the first of them may be later than asked."""
        return [item for item in self._recent if item.number > number]

    def publish(self, event: Event) -> None:
        """Tell everyone. Never raises."""
        self.last_number += 1
        item = Numbered(self.last_number, event)
        self._recent.append(item)
        for listener in self._listeners:
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - a watcher's bug must not stop supervision
                self._on_listener_error(error)
        for subscription in self._subscriptions:
            if not subscription.put(item):
                self._on_drop(subscription.name)
