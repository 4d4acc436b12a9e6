"""The page for people: files that hold no secret, for whoever asks.

What they show comes from the API, which asks each time who wants to know.
"""

import asyncio
from collections.abc import Mapping

from aiohttp import web
from aiohttp.helpers import ETag

from opsvisor import web as page
from opsvisor.api.errors import ApiError
from opsvisor.api.negotiation import list_in, takes_gzip, wants_html

# No script, style, frame or form but our own: what a program or a log line is called, or says,
# can at worst look odd.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Kept, but asked for each time: after an upgrade nobody looks at the old page. A 304 is small.
    "Cache-Control": "no-cache",
}
CONTENT_TYPES = ("text/css", "text/html", "text/javascript", "image/svg+xml")
_ENTRY_POINTS = """\
opsvisord

/                   a page for people, in a browser
/metrics            Prometheus metrics
/api/v1/processes   how every process is
/api/v1/daemon      the daemon itself
/openapi.json       all of the API, for programs
/api/v1/sd          where its metrics are, for http_sd of Prometheus
/healthz /readyz    for probes

opsvisorctl is the comfortable way in.
"""


async def index(request: web.Request) -> web.Response:
    """The page, for a browser; for everybody else, where everything is."""
    if wants_html(list_in(request, "Accept")):
        response = _answer(request, (await _assets())[page.PAGE])
    else:
        response = web.Response(text=_ENTRY_POINTS, headers=_HEADERS)
    response.headers["Vary"] = "Accept, Accept-Encoding"
    return response


async def asset(request: web.Request) -> web.Response:
    """One of the files that the page consists of."""
    name = request.match_info["asset"]
    found = (await _assets()).get(name)
    if found is None:
        raise ApiError("not_found", f"the page has no {name}", "GET / is where it begins")
    response = _answer(request, found)
    response.headers["Vary"] = "Accept-Encoding"
    return response


async def _assets() -> Mapping[str, page.Asset]:
    """Once somebody wants them; until then a daemon has none of them in memory."""
    return page.assets() if page.are_read() else await asyncio.to_thread(page.assets)


def _answer(request: web.Request, found: page.Asset) -> web.Response:
    known = request.if_none_match or ()
    headers = {**_HEADERS, "Content-Type": found.content_type}
    if any(tag.value in (found.etag, "*") for tag in known):
        response = web.Response(status=304, headers=_HEADERS)
    elif takes_gzip(list_in(request, "Accept-Encoding")):
        headers["Content-Encoding"] = "gzip"
        response = web.Response(body=found.compressed, headers=headers)
    else:
        response = web.Response(body=found.body, headers=headers)
    # Weak: the same content in another coding has the same name.
    response.etag = ETag(found.etag, is_weak=True)
    return response
