"""Events as they happen (server-sent events), with replay for those who come back."""

from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response

from opsvisor import wire
from opsvisor.api.context import CONTROL, STREAMS, read_last_event_id, read_number
from opsvisor.api.convert import wire_event
from opsvisor.runtime.bus import EventBus, Numbered, Subscription


async def follow_events(request: web.Request) -> web.StreamResponse:
    """Every event from now on; first those after Last-Event-ID, or the last `replay` ones.

    Where events were lost (forgotten, or dropped because this reader was slow) an event `gap`
    {"lost": [first, last]} stands in their place.
    """
    bus = request.app[CONTROL].bus
    last_seen = _last_seen(request, bus)
    subscription = bus.subscribe("api")
    try:
        with request.app[STREAMS].one("events"):
            async with sse_response(request) as response:
                for item in bus.since(last_seen):
                    last_seen = await _send(response, item, last_seen)
                while True:
                    last_seen = await _next(response, subscription, last_seen)
    finally:
        bus.unsubscribe(subscription)


async def _next(response: EventSourceResponse, subscription: Subscription, last_seen: int) -> int:
    item = await subscription.get()
    if item.number <= last_seen:
        return last_seen  # already replayed
    return await _send(response, item, last_seen)


async def _send(response: EventSourceResponse, item: Numbered, last_seen: int) -> int:
    if item.number > last_seen + 1:
        lost = wire.encode({"lost": [last_seen + 1, item.number - 1]})
        await response.send(lost.decode(), event="gap")
    data = wire.encode(wire_event(item.number, item.event)).decode()
    await response.send(data, id=str(item.number))
    return item.number


def _last_seen(request: web.Request, bus: EventBus) -> int:
    resume = read_last_event_id(request)
    if resume is not None:
        # 0 is said by who has seen nothing: it misses nothing either.
        return min(resume or bus.first_number, bus.last_number)
    replay = max(0, read_number(request, "replay", 0) or 0)
    return max(bus.first_number, bus.last_number - replay)
