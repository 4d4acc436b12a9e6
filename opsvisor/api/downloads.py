"""Whole logs, as files to keep: for who wants to search or to send them elsewhere."""

import asyncio
import re
from urllib.parse import quote

from aiohttp import hdrs, web

from opsvisor import wire
from opsvisor.api.context import STREAMS, my_turn
from opsvisor.api.errors import ApiError
from opsvisor.api.logs import find_capture
from opsvisor.control.logs import NoLogError, WholeLog, whole_log

_LONGEST_NAME = 100
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


async def download_process_log(request: web.Request) -> web.StreamResponse:
    """All of a process's log as a file, byte for byte as the process wrote it.

    It is the log's present file, up to its end at that moment; files that were rotated away are
    not part of it. Where there is no file it is what memory holds.
    """
    capture, spec = find_capture(request)
    try:
        # Opened and closed in the loop, which takes microseconds; only reading may take long.
        with whole_log(capture, spec.path) as log:
            return await _send(request, log)
    except NoLogError as error:
        raise ApiError("no_log", str(error)) from error


async def _send(request: web.Request, log: WholeLog) -> web.StreamResponse:
    response = web.StreamResponse(headers=_headers(request))
    response.content_length = log.size
    first = await asyncio.to_thread(log.piece, 0)  # before the head: a refusal needs its own
    with request.app[STREAMS].one("download"):
        await response.prepare(request)
        if request.method == hdrs.METH_HEAD:
            return response
        sent, piece = 0, first
        while piece:
            await response.write(piece)
            sent += len(piece)
            await my_turn(request)
            piece = await asyncio.to_thread(log.piece, sent)
        if sent < log.size:
            # It was cut short while we read. The client was promised more, and must notice.
            response.force_close()
        return response


def _headers(request: web.Request) -> dict[str, str]:
    """What a program wrote is text and nothing else, whatever it looks like to a browser."""
    name = f"{request.match_info['name']}.{request.match_info['stream']}.log"
    plain = _UNSAFE.sub("_", name)[-_LONGEST_NAME:]
    exact = quote(wire.as_text(name)[-_LONGEST_NAME:], safe="")
    return {
        hdrs.CONTENT_TYPE: "text/plain; charset=utf-8",
        # RFC 6266, 4.3: the plain name is for those who don't know the other.
        hdrs.CONTENT_DISPOSITION: f"attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}",
        hdrs.CACHE_CONTROL: "no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
