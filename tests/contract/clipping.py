"""A relay in front of a daemon that ends streams of events as soon as they pause.

A client that waits for the end of an answer, as a fuzzer does, can ask for streams then as for
anything else. All other bytes go through as they are.
"""

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_PAUSE = 0.05  # seconds without a byte, after which a stream has said what there was to say
_AT_ONCE = 1 << 16
_END_OF_HEAD = b"\r\n\r\n"
_THE_LAST = b"\r\nConnection: close" + _END_OF_HEAD
_LAST_CHUNK = b"0\r\n\r\n"
_END_OF_EVENT = b"\r\n\r\n\r\n"  # and of the chunk that it is sent in
_END_OF_STREAM = b"\r\n" + _LAST_CHUNK
_STREAM = re.compile(rb"\r\ncontent-type: *text/event-stream", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


@contextmanager
def clipping_relay(port: int) -> Iterator[int]:
    """The port of a relay to this port of this machine."""
    loop = asyncio.new_event_loop()
    relay = _Relay(port)
    server = loop.run_until_complete(asyncio.start_server(relay.serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(relay.end(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class _Relay:
    def __init__(self, port: int) -> None:
        self._port = port
        self._open: set[asyncio.Task[None]] = set()

    async def end(self, server: asyncio.Server) -> None:
        """Stop listening, and hang up."""
        server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def serve(self, ours: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """One connection, until one side ends it."""
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        theirs, on = await asyncio.open_connection("127.0.0.1", self._port)
        asking = asyncio.ensure_future(_pass_on(ours, on))
        try:
            await _answer(theirs, back)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            on.close()
            back.close()
            self._open.discard(task)


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while piece := await source.read(_AT_ONCE):
            target.write(piece)
            await target.drain()
        target.write_eof()


async def _answer(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """All answers, up to a stream: that is the last one of its connection."""
    while piece := await source.read(_AT_ONCE):
        head, begun, body = piece.partition(_END_OF_HEAD)
        if begun and _STREAM.search(head):
            target.write(head + _THE_LAST + body)
            is_chunked = _CHUNKED.search(head) is not None
            if not await _has_ended(body, source, target, is_chunked) and is_chunked:
                target.write(_LAST_CHUNK)
            return
        target.write(piece)
        await target.drain()


async def _has_ended(
    end: bytes,
    source: asyncio.StreamReader,
    target: asyncio.StreamWriter,
    is_chunked: bool,  # noqa: FBT001 - called once
) -> bool:
    """Pass on a stream; whether it came to its end. What it is made of never looks like that."""
    while not end.endswith(_END_OF_STREAM):
        try:
            async with asyncio.timeout(_PAUSE):
                piece = await source.read(_AT_ONCE)
        except TimeoutError:
            if is_chunked and end and not end.endswith(_END_OF_EVENT):
                continue  # within a chunk: what is put there would be taken for a part of it
            return False
        if not piece:
            return True
        target.write(piece)
        await target.drain()
        end = (end + piece)[-len(_END_OF_STREAM) :]
    return True
