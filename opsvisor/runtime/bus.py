"""Published facts on their way to everyone who watches.

Listeners are called at once and in order (metrics, journal, history); they may not fail, and one
that does is reported and passed over. What is published `together` is told fact by fact, and a
listener may do the dear part of its work once, after the last of them. Subscriptions are for slow
readers: bounded, the oldest dropped and counted. Nobody who watches can hold up the engine.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from itertools import count, islice
from typing import NamedTuple

from opsvisor.core.events import Event
from opsvisor.core.struct import Struct

# What a client that reconnects can still be told. About 200 bytes each.
REMEMBERED_EVENTS = 2000
SUBSCRIPTION_CAPACITY = 1000


class Numbered(Struct, frozen=True):
    """An event with its place in the daemon's history."""

    number: int
    event: Event


class BusMemento(Struct, frozen=True, kw_only=True):
    """Where the numbers have come to, and what can still be told again, oldest first."""

    first_number: int
    last_number: int
    recent: tuple[Numbered, ...] = ()


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


class _Listener(NamedTuple):
    """Who is called, with events of which types; () for all."""

    call: Callable[[Event], None]
    to: tuple[type[Event], ...]


class _Together:
    """While it is entered, what is published belongs together; also if that is done within."""

    __slots__ = ("_depth", "_over")

    def __init__(self, over: Callable[[], None]) -> None:
        self._over = over
        self._depth = 0

    @property
    def is_entered(self) -> bool:
        return self._depth > 0

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._over()


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
        self._listeners: list[_Listener] = []
        self._by_kind: dict[type[Event], list[Callable[[Event], None]]] = {}  # as far as known
        self._afterwards: list[Callable[[], None]] = []
        self._together = _Together(self._all_told)
        self._subscriptions: list[Subscription] = []
        # Up to the last one that was published, without a gap: so their numbers need no room.
        self._recent: deque[Event] = deque(maxlen=REMEMBERED_EVENTS)

    def listen(
        self,
        listener: Callable[[Event], None],
        *,
        to: tuple[type[Event], ...] = (),
        afterwards: Callable[[], None] | None = None,
    ) -> None:
        """Call this with every event from now on, or only with those of these types.

        And `afterwards` once after each event, or after several that are published together.
        """
        self._listeners.append(_Listener(listener, to))
        self._by_kind.clear()
        if afterwards is not None:
            self._afterwards.append(afterwards)

    def ignore(self, listener: Callable[[Event], None]) -> None:
        """The counterpart of `listen`, for who leaves before the daemon does."""
        self._listeners.remove(next(one for one in self._listeners if one.call == listener))
        self._by_kind.clear()

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
        before = self.last_number - len(self._recent)
        first = max(number, before)
        later = islice(self._recent, first - before, None)
        return [Numbered(at, event) for at, event in enumerate(later, first + 1)]

    def remember(self) -> BusMemento:
        """What a later bus needs to go on with these numbers."""
        return BusMemento(
            first_number=self.first_number,
            last_number=self.last_number,
            recent=tuple(self.since(self.first_number)),
        )

    def recall(self, memento: BusMemento) -> None:
        """Go on where an earlier bus was, before anything is published."""
        self.first_number = memento.first_number
        self.last_number = memento.last_number
        for item, number in zip(
            reversed(memento.recent), count(self.last_number, -1), strict=False
        ):
            if item.number != number or len(self._recent) == REMEMBERED_EVENTS:
                break
            self._recent.appendleft(item.event)

    @property
    def together(self) -> AbstractContextManager[None]:
        """What is published while this is entered, which may be done once more within."""
        return self._together

    def publish(self, event: Event) -> None:
        """Tell everyone. Never raises."""
        if self._together.is_entered:
            self._tell(event)
            return
        with self._together:
            self._tell(event)

    def _tell(self, event: Event) -> None:
        number = self.last_number = self.last_number + 1
        self._recent.append(event)
        for listener in self._by_kind.get(type(event)) or self._who_hears(type(event)):
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - a watcher's bug must not stop supervision
                self._on_listener_error(error)
        for subscription in self._subscriptions:
            if not subscription.put(Numbered(number, event)):
                self._on_drop(subscription.name)

    def _who_hears(self, kind: type[Event]) -> list[Callable[[Event], None]]:
        # A new list: who listens or leaves while an event is told changes nothing about that one.
        found = [one.call for one in self._listeners if not one.to or kind in one.to]
        self._by_kind[kind] = found
        return found

    def _all_told(self) -> None:
        for afterwards in self._afterwards:
            try:
                afterwards()
            except Exception as error:  # noqa: BLE001 - as above
                self._on_listener_error(error)
