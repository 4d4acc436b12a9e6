"""Facts reach everyone who watches, and nobody who watches holds them up."""

import asyncio

import pytest
from engine_room import key

from opsvisor.core.events import Event, ProcessRemoved
from opsvisor.runtime.bus import REMEMBERED_EVENTS, EventBus, Numbered, Subscription


def fact(number: int) -> ProcessRemoved:
    """An event that can be told from others by its time."""
    return ProcessRemoved(at=float(number), id=key("web"))


def numbers(items: list[Numbered]) -> list[int]:
    """The numbers of these events."""
    return [item.number for item in items]


def test_events_are_numbered_from_one_in_the_order_they_were_published() -> None:
    """A client that knows a number knows how much it has missed."""
    bus = EventBus()
    assert bus.last_number == 0
    for number in (1, 2, 3):
        bus.publish(fact(number))
    assert bus.last_number == 3
    assert bus.since(0) == [Numbered(n, fact(n)) for n in (1, 2, 3)]


@pytest.mark.parametrize(("after", "expected"), [(0, [1, 2, 3]), (2, [3]), (3, []), (99, [])])
def test_a_replay_holds_what_came_after(after: int, expected: list[int]) -> None:
    """Exactly that: neither the last seen once more, nor one too few."""
    bus = EventBus()
    for number in (1, 2, 3):
        bus.publish(fact(number))
    assert numbers(bus.since(after)) == expected


def test_what_is_remembered_is_bounded() -> None:
    """The first of a replay is later than asked for when the rest is forgotten."""
    bus = EventBus()
    for number in range(REMEMBERED_EVENTS + 10):
        bus.publish(fact(number))
    assert numbers(bus.since(5))[0] == 11
    assert len(bus.since(0)) == REMEMBERED_EVENTS


def test_listeners_are_called_in_order_and_a_failing_one_is_passed_over() -> None:
    """Publishing never raises; who fails is told of once per event."""
    bus = EventBus()
    heard: list[str] = []
    failed: list[Exception] = []

    def fail(_event: Event) -> None:
        heard.append("second")
        raise ValueError("oops")

    bus.report_to(on_listener_error=failed.append, on_drop=lambda _name: None)
    bus.listen(lambda _event: heard.append("first"))
    bus.listen(fail)
    bus.listen(lambda _event: heard.append("third"))
    bus.publish(fact(1))
    assert heard == ["first", "second", "third"]
    assert [str(error) for error in failed] == ["oops"]


async def test_a_full_subscription_loses_its_oldest_and_counts_them() -> None:
    """The newest facts matter most, and the reader can tell what it lost by the numbers."""
    subscription = Subscription("slow", capacity=2)
    assert [subscription.put(Numbered(n, fact(n))) for n in (1, 2, 3, 4)] == [
        True,
        True,
        False,
        False,
    ]
    assert (len(subscription), subscription.dropped) == (2, 2)
    assert [(await subscription.get()).number for _ in range(2)] == [3, 4]


async def test_a_slow_reader_costs_the_others_nothing() -> None:
    """Each has a queue of its own; a drop is reported by the name of the subscription."""
    bus = EventBus()
    dropped: list[str] = []
    bus.report_to(on_listener_error=lambda _error: None, on_drop=dropped.append)
    slow, quick = bus.subscribe("slow"), bus.subscribe("quick")
    slow.capacity = 1
    for number in (1, 2, 3):
        bus.publish(fact(number))
    assert dropped == ["slow", "slow"]
    assert [(await quick.get()).number for _ in range(3)] == [1, 2, 3]
    assert (await slow.get()).number == 3


async def test_a_reader_waits_for_the_next_fact() -> None:
    """And is woken by it, as often as it asks."""
    bus = EventBus()
    subscription = bus.subscribe("reader")
    for number in (1, 2):
        waiting = asyncio.ensure_future(subscription.get())
        asyncio.get_running_loop().call_soon(bus.publish, fact(number))
        async with asyncio.timeout(10):
            assert (await waiting).event == fact(number)


def test_a_subscription_that_was_given_back_is_not_filled_any_more() -> None:
    """Clients come and go; what they leave must not grow."""
    bus = EventBus()
    one, other = bus.subscribe("api"), bus.subscribe("api")
    bus.unsubscribe(one)
    bus.publish(fact(1))
    assert (len(one), len(other)) == (0, 1)
    assert bus.subscriptions == (other,)
