"""What processes used in the last minutes, as far as anybody measured it."""

from itertools import count

from aiohttp import web

from opsvisor import wire
from opsvisor.api.context import (
    CONTROL,
    caller_of,
    find_process,
    json_response,
    my_turn,
    query_of,
)
from opsvisor.api.queries import SamplesQuery
from opsvisor.runtime import clock
from opsvisor.runtime.recent_samples import REMEMBERED_FOR, RecentSamples, Window

_AT_ONCE = 12_000  # points of 0.3 us, after which others have their turn


async def list_samples(request: web.Request) -> web.Response:
    """What every process used in the last minutes.

    Samples come of scrapes, of requests for processes, and of `/api/v1/watch`; nothing is measured
    for this.
    """
    recent, caller = request.app[CONTROL].sampler.recent, caller_of(request)
    window = _window(request, recent)
    seen = [one for one in recent.ids() if caller.sees(one)]
    at_once = max(1, _AT_ONCE // max(1, len(window.at)))
    encoded = []
    # What a sweep finds meanwhile takes the place of the oldest samples only.
    for number, process_id in zip(count(1), seen, strict=False):
        history = recent.history(process_id, window)
        used = wire.UsageHistory(cpu=history.cpu, rss=history.rss)
        encoded.append(b"%b:%b" % (wire.encode(str(process_id)), wire.encode(used)))
        if number % at_once == 0:
            await my_turn(request)
    body = b'{"at":%b,"processes":{%b}}' % (wire.encode(window.at), b",".join(encoded))
    return web.Response(body=body, content_type="application/json")


async def show_samples(request: web.Request) -> web.Response:
    """What one process used in the last minutes."""
    process_id = find_process(request)
    recent = request.app[CONTROL].sampler.recent
    window = _window(request, recent)
    history = recent.history(process_id, window)
    return json_response(
        wire.ProcessSamples(name=str(process_id), at=window.at, cpu=history.cpu, rss=history.rss)
    )


def _window(request: web.Request, recent: RecentSamples) -> Window:
    query = query_of(request, SamplesQuery)
    return recent.window(max(query.since, clock.now().wall - REMEMBERED_FOR), query.points)
