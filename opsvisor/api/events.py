"""Events as they happen (server-sent events), with replay for those who come back."""

from itertools import count

from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response

from opsvisor import wire
from opsvisor.api.access import Caller
from opsvisor.api.context import (
    CONTROL,
    STREAMS,
    Position,
    caller_of,
    my_turn,
    query_of,
    read_last_event_id,
)
from opsvisor.api.convert import wire_event
from opsvisor.api.queries import EventsQuery
from opsvisor.runtime.bus import EventBus, Numbered, Subscription

_AT_ONCE = 16  # events of 0.1 ms, after which others have their turn


async def follow_events(request: web.Request) -> web.StreamResponse:
    """Every event from now on; first those after Last-Event-ID, or the last `replay` ones.

    Who is there for some groups only is told of their processes, and of nothing else.

    Where events were lost (forgotten, or dropped because this reader was slow) an event `gap`
    {"lost": [first, last]} stands in their place.
    """
    bus = request.app[CONTROL].bus
    last_seen = Position(_last_seen(request, bus))
    subscription = bus.subscribe("api")
    streams = request.app[STREAMS]
    try:
        with streams.one("events"):
            async with (
                sse_response(request) as response,
                streams.until_upgraded(response, last_seen),
            ):
                await _send_all(request, response, subscription, last_seen)
        return response
    finally:
        bus.unsubscribe(subscription)


async def _send_all(
    request: web.Request,
    response: EventSourceResponse,
    subscription: Subscription,
    last_seen: Position,
) -> None:
    caller = caller_of(request)
    # All that is remembered is 0.2 s of work, and none of it waits for anything by itself.
    for number, item in enumerate(request.app[CONTROL].bus.since(last_seen.at), start=1):
        if number % _AT_ONCE == 0:
            await my_turn(request)
        await _send(response, item, last_seen, caller)
    for number in count(1):
        if number % _AT_ONCE == 0:
            await my_turn(request)
        item = await subscription.get()
        if item.number > last_seen.at:  # else already replayed
            await _send(response, item, last_seen, caller)


async def _send(
    response: EventSourceResponse, item: Numbered, last_seen: Position, caller: Caller
) -> None:
    if item.number > last_seen.at + 1:
        lost = wire.encode({"lost": [last_seen.at + 1, item.number - 1]})
        last_seen.at = item.number - 1
        await response.send(lost.decode(), event="gap")
    if not caller.sees_event(item.event):
        last_seen.at = item.number
        return
    data = wire.encode(wire_event(item.number, item.event)).decode()
    # Before it is taken: whoever ends us while we wait for that has it on its way all the same.
    last_seen.at = item.number
    await response.send(data, id=str(item.number))


def _last_seen(request: web.Request, bus: EventBus) -> int:
    resume = read_last_event_id(request)
    if resume is not None:
        # 0 is said by who has seen nothing: it misses nothing either.
        return min(resume or bus.first_number, bus.last_number)
    replay = query_of(request, EventsQuery).replay
    return max(bus.first_number, bus.last_number - replay)
