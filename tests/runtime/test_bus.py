"""Facts reach everyone who watches, and nobody who watches holds them up."""

import asyncio

import pytest
from engine_room import key

from opsvisor.core.events import Event, FailuresForgotten, ProcessRemoved
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
    assert bus.since(bus.last_number) == bus.since(bus.last_number + 5) == []


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


def test_whoever_wants_some_facts_is_called_with_those_only() -> None:
    """In the same order as all others, and until it has had enough."""
    bus = EventBus()
    heard: list[str] = []
    bus.listen(lambda event: heard.append(type(event).__name__))
    forgot: list[Event] = []
    bus.listen(forgot.append, to=(FailuresForgotten,))
    removed: list[Event] = []
    bus.publish(fact(1))
    bus.listen(removed.append, to=(ProcessRemoved, FailuresForgotten))
    bus.publish(fact(2))
    forgotten = FailuresForgotten(at=3.0, id=key("web"), failures=1)
    bus.publish(forgotten)
    assert forgot == [forgotten]
    assert removed == [fact(2), forgotten]
    bus.ignore(removed.append)
    bus.publish(fact(4))
    assert removed == [fact(2), forgotten]
    assert heard == ["ProcessRemoved", "ProcessRemoved", "FailuresForgotten", "ProcessRemoved"]


def test_what_is_published_together_is_over_once() -> None:
    """When all of it has been told, from within as well; and also if one of those fails."""
    bus = EventBus()
    heard: list[float | str] = []
    failed: list[Exception] = []

    def fail() -> None:
        raise ValueError("oops")

    bus.report_to(on_listener_error=failed.append, on_drop=lambda _name: None)
    bus.listen(lambda event: heard.append(event.at), afterwards=fail)
    bus.listen(lambda _event: None, afterwards=lambda: heard.append("over"))
    with bus.together:
        bus.publish(fact(1))
        with bus.together:
            bus.publish(fact(2))
        bus.publish(fact(3))
    assert heard == [1, 2, 3, "over"]
    bus.publish(fact(4))
    assert heard[4:] == [4, "over"]
    assert [str(error) for error in failed] == ["oops", "oops"]


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
        async with asyncio.timeout(60):
            assert (await waiting).event == fact(number)


def test_a_subscription_that_was_given_back_is_not_filled_any_more() -> None:
    """Clients come and go; what they leave must not grow."""
    bus = EventBus()
    one, other = bus.subscribe("api"), bus.subscribe("api")
    bus.unsubscribe(one)
    bus.publish(fact(1))
    assert (len(one), len(other)) == (0, 1)
    assert bus.subscriptions == (other,)


def test_a_later_bus_goes_on_with_the_numbers_and_can_still_replay() -> None:
    """Who comes back after an upgrade with the last number it saw misses nothing."""
    bus, later = EventBus(first_number=7), EventBus(first_number=1000)
    for number in (1, 2, 3):
        bus.publish(fact(number))
    later.recall(bus.remember())
    later.publish(fact(4))
    assert (later.first_number, later.last_number) == (7, 11)
    assert later.since(8) == [Numbered(n, fact(n - 7)) for n in (9, 10, 11)]
