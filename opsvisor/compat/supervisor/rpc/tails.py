"""Logs that go on: `supervisorctl tail -f`, `maintail -f` and `fg` read these streams."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus
from typing import Any

from aiohttp import web

from opsvisor.compat.supervisor.observers import Streaming
from opsvisor.compat.supervisor.rpc.faults import RpcFault
from opsvisor.compat.supervisor.rpc.naming import find_one
from opsvisor.compat.supervisor.rpc.sources import NoSourceError, Source, Sources
from opsvisor.control.control import Control
from opsvisor.control.follow_file import FollowedFile, Truncated, follow_file
from opsvisor.control.logs import NoLogError, follow, open_file
from opsvisor.runtime.logs.stream import Stream

_BACK = 1024  # bytes of what was before that a stream begins with
_TRUNCATED = b"==> File truncated <==\n"
_HEADERS = {"Content-Type": "text/plain;charset=utf-8", "X-Accel-Buffering": "no"}


class Tails:
    """Finds logs and streams them, until the client goes or the daemon ends."""

    def __init__(self, control: Control, sources: Sources, streaming: Streaming) -> None:
        self._control = control
        self._sources = sources
        self._streaming = streaming
        self._open: set[asyncio.Task[Any]] = set()
        self._is_closed = False

    def close(self) -> None:
        """End the streams that are open, and begin no more."""
        self._is_closed = True
        self.end()

    def end(self) -> None:
        """End the streams that are open."""
        for task in self._open:
            task.cancel()

    async def find(self, name: str, channel: str) -> Source | None:
        """The log of a process, None if there is none."""
        try:
            view = find_one(self._control, name)
            return await self._sources.of_process(view, Stream(channel))
        except (RpcFault, NoSourceError, ValueError):  # ValueError: neither of the two streams
            return None

    async def find_main(self) -> Source | None:
        """The daemon's own log, None if there is none."""
        try:
            return await self._sources.of_daemon()
        except NoSourceError:
            return None

    async def stream(self, request: web.Request, source: Source) -> web.StreamResponse:
        """Send the end of this log, and what is added to it as it comes."""
        if self._is_closed:
            return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE)
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with self._streaming("log"):
                return await _stream(request, source)
        finally:
            self._open.discard(task)


async def _stream(request: web.Request, source: Source) -> web.StreamResponse:
    try:
        # Not in a thread: whoever is cancelled meanwhile would leave the file open.
        file = _open_file(source.path)
    except NoLogError:
        return web.Response(status=HTTPStatus.NOT_FOUND)
    try:
        response = web.StreamResponse(headers=_HEADERS)
        if file is not None:
            response.last_modified = file.modified_at
        response.force_close()  # after a stream that ended, nobody asks for more
        await response.prepare(request)
        async with aclosing(_pieces(source, file)) as pieces:
            async for piece in pieces:
                await response.write(piece)
        return response
    finally:
        if file is not None:
            file.close()


def _open_file(path: str | None) -> FollowedFile | None:
    file = None if path is None else open_file(path)
    return None if file is None else FollowedFile(str(path), file, back=_BACK)


async def _pieces(source: Source, file: FollowedFile | None) -> AsyncGenerator[bytes]:
    """From the file, or from memory for what has none, such as /dev/stdout."""
    if file is not None:
        async with aclosing(follow_file(source.capture, file)) as pieces:
            async for piece in pieces:
                yield _TRUNCATED if isinstance(piece, Truncated) else piece
        return
    ring = source.capture.ring
    start = max(ring.start, ring.end - _BACK)
    async with aclosing(follow(source.capture, start=start)) as all_followed:
        async for followed in all_followed:
            yield followed.text
