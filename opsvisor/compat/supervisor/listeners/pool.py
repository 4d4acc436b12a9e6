"""Who is told which event, and when: the pools of listeners, and what waits for them.

Theory of operation
-------------------
A pool is a group whose processes share one buffer of events. An event goes into the buffer of
every pool that subscribed to its kind, and the oldest goes to the first process (in the plan's
order) that is up and READY. What a listener has in hand comes back to the head of its own pool's
buffer when the listener refuses it, breaks the protocol, can't be written to, or ends.

So every accepted event is answered with OK once, or it is dropped and counted: when the buffer is
full, the oldest makes room. A buffer is bounded in events, as configured, and in what they weigh.

All methods return what is to be done, in order. Nothing waits here, and nothing is tried twice:
whoever performs a `Send` reports back with `not_sent`, or with `blocked` and later `unblocked`.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import assert_never

from opsvisor.compat.supervisor.listeners.names import KINDS
from opsvisor.compat.supervisor.listeners.protocol import (
    Answered,
    BadLine,
    Heard,
    ListenerState,
    Moved,
    Protocol,
    ProtocolMemento,
)
from opsvisor.compat.supervisor.listeners.translate import ListenerEvent
from opsvisor.compat.supervisor.undecodable import as_text
from opsvisor.config.settings import LogLevel
from opsvisor.core.plan import EventFeed, Group
from opsvisor.core.spec import ProcessId
from opsvisor.core.struct import Struct, field

# Of the payloads in one buffer, in characters: buffer_size alone could mean gigabytes of output.
HEAVIEST_BUFFER = 16 * 1024 * 1024

_ACCEPTED = b"OK"  # the one answer that isn't a refusal


class Send(Struct, frozen=True):
    """Write this to the standard input of a listener: the event of this number."""

    id: ProcessId
    serial: int
    text: bytes


class Say(Struct, frozen=True):
    """Write a line to the activity log."""

    level: LogLevel
    text: str


class Count(Struct, frozen=True):
    """Add this many to the events that the pool of this name has dropped; 0 begins to count."""

    pool: str
    dropped: int


Effect = Send | Say | Count


class Waiting(Struct, frozen=True):
    """An event in a pool's hands. `serial` is its number everywhere, `pool_serial` that here."""

    event: ListenerEvent
    serial: int
    pool_serial: int


class ListenerMemento(Struct, frozen=True, kw_only=True):
    """One run of one process of a pool; `in_hand` is its event."""

    id: ProcessId
    protocol: ProtocolMemento
    is_up: bool = False
    is_blocked: bool = False
    is_deaf: bool = False
    in_hand: Waiting | None = None


class PoolMemento(Struct, frozen=True, kw_only=True):
    """The buffer of a pool, and what its listeners have in hand."""

    name: str
    next_serial: int
    buffer: tuple[Waiting, ...] = ()
    listeners: tuple[ListenerMemento, ...] = ()


class _Listener(Struct):
    """One run of one process of a pool."""

    protocol: Protocol = field(default_factory=Protocol)
    is_up: bool = False  # in state RUNNING; before that and after it, it is told nothing
    is_blocked: bool = False  # a part of what it was told is still to be written
    is_deaf: bool = False  # it closed its standard input
    in_hand: Waiting | None = None

    @property
    def may_answer(self) -> bool:
        return self.is_up and not self.is_deaf and self.protocol.state is not ListenerState.UNKNOWN

    @property
    def may_be_told(self) -> bool:
        waits = self.protocol.state is ListenerState.READY
        return waits and self.may_answer and not self.is_blocked


class Pool:
    """One group of listeners, and its buffer."""

    def __init__(self, group: Group, feed: EventFeed, *, server: str) -> None:
        self.name = group.name
        self._server = server
        self._feed = feed
        self._order = tuple(spec.id for spec in group.processes)
        self._listeners: dict[ProcessId, _Listener] = {}
        self._buffer: deque[Waiting] = deque()
        self._weight = 0
        self._next_serial = 0

    def remember(self) -> PoolMemento:
        """What a pool of another process needs to go on."""
        return PoolMemento(
            name=self.name,
            next_serial=self._next_serial,
            buffer=tuple(self._buffer),
            listeners=tuple(
                ListenerMemento(
                    id=process_id,
                    protocol=one.protocol.remember(),
                    is_up=one.is_up,
                    is_blocked=one.is_blocked,
                    is_deaf=one.is_deaf,
                    in_hand=one.in_hand,
                )
                for process_id, one in self._listeners.items()
            ),
        )

    def recall(self, memento: PoolMemento) -> None:
        """Go on where the pool of another process was, before anything is accepted."""
        self._next_serial = memento.next_serial
        self._buffer.extend(memento.buffer)
        self._weight = sum(len(waiting.event.payload) for waiting in self._buffer)
        for one in memento.listeners:
            self._listeners[one.id] = _Listener(
                protocol=Protocol.recall(one.protocol),
                is_up=one.is_up,
                is_blocked=one.is_blocked,
                is_deaf=one.is_deaf,
                in_hand=one.in_hand,
            )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of events it subscribed to."""
        return self._feed.kinds

    @property
    def waiting(self) -> int:
        """Events that wait; those in the hands of a listener aren't among them."""
        return len(self._buffer)

    @property
    def is_settled(self) -> bool:
        """Whether no answer is to be expected: all is answered, or nobody is there to do it."""
        listeners = self._listeners.values()
        has_work = bool(self._buffer) or any(one.in_hand for one in listeners)
        return not has_work or not any(one.may_answer for one in listeners)

    def follow(self, group: Group, feed: EventFeed) -> list[Effect]:
        """Take over a changed configuration. What waits already is still told."""
        self._feed = feed
        self._order = tuple(spec.id for spec in group.processes)
        said: list[Effect] = []
        while len(self._buffer) > feed.buffer_size:
            said += self._drop_oldest()
        return said

    # -- events ------------------------------------------------------------------------------

    def accept(self, event: ListenerEvent, serial: int) -> list[Effect]:
        """Take an event into the buffer, and tell whoever is ready.

        Of a kind and a wider one that are both subscribed to, each is told, as with Supervisor.
        """
        waiting = Waiting(event, serial, self._next_serial)
        self._next_serial += 1
        of_kinds = KINDS[event.name]
        effects: list[Effect] = []
        for _ in (kind for kind in self._feed.kinds if kind in of_kinds):
            effects += self._make_room(event)
            self._buffer.append(waiting)
            self._weight += len(event.payload)
            effects += self.tell()
        return effects

    def tell(self) -> list[Effect]:
        """Give the oldest events to those who are ready."""
        effects: list[Effect] = []
        while self._buffer and (ready := self._first_ready()):
            waiting = self._buffer.popleft()
            self._weight -= len(waiting.event.payload)
            ready_id, listener = ready
            listener.protocol.told()
            listener.in_hand = waiting
            effects.append(Send(ready_id, waiting.serial, self._envelope(waiting)))
        return effects

    def _first_ready(self) -> tuple[ProcessId, _Listener] | None:
        for process_id in self._order:
            listener = self._listeners.get(process_id)
            if listener is not None and listener.may_be_told:
                return process_id, listener
        return None

    def _envelope(self, waiting: Waiting) -> bytes:
        """The event as it is written. `len` counts characters.

        Supervisor's documentation says bytes, its code counts characters, and the listeners there
        are read text. Where a payload is ASCII the two are the same.
        """
        event = waiting.event
        head = (
            f"ver:3.0 server:{self._server} serial:{waiting.serial} pool:{self.name}"
            f" poolserial:{waiting.pool_serial} eventname:{event.name} len:{len(event.payload)}"
        )
        # A character that has no bytes becomes another one: the length has to stay true.
        return f"{head}\n{event.payload}".encode(errors="replace")

    # -- the buffer --------------------------------------------------------------------------

    def _put_back(self, waiting: Waiting) -> list[Effect]:
        text = (
            f"rebuffering event {waiting.serial} for pool {self.name}"
            f" (buf size={len(self._buffer)}, max={self._feed.buffer_size})"
        )
        said: list[Effect] = [Say(LogLevel.DEBUG, text), *self._make_room(waiting.event)]
        self._buffer.appendleft(waiting)
        self._weight += len(waiting.event.payload)
        return said

    def _make_room(self, event: ListenerEvent) -> list[Effect]:
        said: list[Effect] = []
        while self._buffer and (
            len(self._buffer) >= self._feed.buffer_size
            or self._weight + len(event.payload) > HEAVIEST_BUFFER
        ):
            said += self._drop_oldest()
        return said

    def _drop_oldest(self) -> list[Effect]:
        dropped = self._buffer.popleft()
        self._weight -= len(dropped.event.payload)
        text = f"pool {self.name} event buffer overflowed, discarding event {dropped.serial}"
        return [Say(LogLevel.ERROR, text), Count(self.name, 1)]

    # -- listeners ---------------------------------------------------------------------------

    def run_began(self, process_id: ProcessId) -> None:
        """A listener was started: it has said nothing yet."""
        self._listeners[process_id] = _Listener()

    def came_up(self, process_id: ProcessId, *, is_up: bool) -> None:
        """A listener entered state RUNNING, or left it."""
        if listener := self._listeners.get(process_id):
            listener.is_up = is_up

    def run_ended(self, process_id: ProcessId) -> list[Effect]:
        """A listener is gone; what it had in hand is for another one."""
        listener = self._listeners.pop(process_id, None)
        return [*self._take_back(listener), *self.tell()] if listener else []

    def heard(self, process_id: ProcessId, text: bytes) -> list[Effect]:
        """A listener said something."""
        listener = self._listeners.get(process_id)
        if listener is None:
            return []  # of a run that is over
        effects: list[Effect] = []
        for heard in listener.protocol.hear(text):
            effects += self._understood(process_id, listener, heard)
        return [*effects, *self.tell()]

    def _understood(
        self, process_id: ProcessId, listener: _Listener, heard: Heard
    ) -> list[Effect]:
        name = process_id.name
        match heard:
            case Answered(result=result) if result == _ACCEPTED:
                listener.in_hand = None
                return [Say(LogLevel.DEBUG, f"{name}: event was processed")]
            case Answered():
                refused: Effect = Say(LogLevel.WARN, f"{name}: event was rejected")
                return [refused, *self._take_back(listener)]
            case BadLine():
                return [Say(LogLevel.WARN, f"{name}: bad result line: '{as_text(heard.line)}'")]
            case Moved():
                moved: Effect = Say(
                    LogLevel.DEBUG, f"{name}: {heard.old.value} -> {heard.new.value}"
                )
                if heard.new is not ListenerState.UNKNOWN:
                    return [moved]
                text = (
                    f"{name}: has entered the UNKNOWN state and will no longer receive events,"
                    " this usually indicates the process violated the eventlistener protocol"
                )
                return [moved, Say(LogLevel.WARN, text), *self._take_back(listener)]
            case never:
                assert_never(never)

    def _take_back(self, listener: _Listener) -> list[Effect]:
        waiting, listener.in_hand = listener.in_hand, None
        return [] if waiting is None else self._put_back(waiting)

    def not_sent(self, process_id: ProcessId) -> list[Effect]:
        """Nobody reads the standard input of this listener any more."""
        listener = self._listeners.get(process_id)
        if listener is None:
            return []
        listener.is_deaf = True
        if listener.in_hand is None:
            return []
        text = (
            f"epipe occurred while sending event {listener.in_hand.serial} to listener"
            f" {process_id.name}, listener state unchanged"
        )
        return [Say(LogLevel.DEBUG, text), *self._take_back(listener), *self.tell()]

    def blocked(self, process_id: ProcessId) -> None:
        """The pipe to this listener is full."""
        if listener := self._listeners.get(process_id):
            listener.is_blocked = True

    def unblocked(self, process_id: ProcessId) -> list[Effect]:
        """Everything it was told has been written."""
        if listener := self._listeners.get(process_id):
            listener.is_blocked = False
        return self.tell()


class Pools:
    """All pools. Numbers events across them: one that nobody subscribed to has no number."""

    def __init__(self, *, server: str, serials: Iterator[int]) -> None:
        self._server = server
        self._serials = serials
        self._pools: dict[str, Pool] = {}

    def of(self, process_id: ProcessId) -> Pool | None:
        """The pool that this process belongs to, if it is a listener."""
        return self._pools.get(process_id.group)

    @property
    def kinds(self) -> frozenset[str]:
        """Every kind of event that any pool subscribed to."""
        return frozenset(kind for pool in self._pools.values() for kind in pool.kinds)

    @property
    def are_settled(self) -> bool:
        """Whether no pool has anything left to be answered."""
        return all(pool.is_settled for pool in self._pools.values())

    def remember(self) -> tuple[PoolMemento, ...]:
        """What other pools need to go on."""
        return tuple(pool.remember() for pool in self._pools.values())

    def recall(self, mementos: Iterable[PoolMemento]) -> None:
        """Go on with the pools that the plan still has; `follow` comes first."""
        for memento in mementos:
            if pool := self._pools.get(memento.name):
                pool.recall(memento)

    def follow(self, group: Group) -> list[Effect]:
        """Take over what the plan says of a group, be it a pool or not."""
        if group.feed is None:
            self.drop(group.name)
            return []
        pool = self._pools.get(group.name)
        if pool is not None:
            return pool.follow(group, group.feed)
        self._pools[group.name] = Pool(group, group.feed, server=self._server)
        return [Count(group.name, 0)]

    def drop(self, group: str) -> None:
        """This group is gone, or no pool any more."""
        self._pools.pop(group, None)

    def publish(self, events: Iterable[ListenerEvent]) -> list[Effect]:
        """Tell all who subscribed."""
        effects: list[Effect] = []
        for event in events:
            of_kinds = KINDS[event.name]
            takers = [p for p in self._pools.values() if not set(of_kinds).isdisjoint(p.kinds)]
            if not takers:
                continue
            serial = next(self._serials)
            for pool in takers:
                effects += pool.accept(event, serial)
        return effects
