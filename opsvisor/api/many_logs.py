"""The logs of several processes over one connection: what they said, and what they say.

Theory of operation
-------------------
However many logs are followed, they are one stream with one task. Each capture calls us when it
has grown; that only notes which one, and wakes the task. It then goes in *rounds*: in each one,
every log that has grown sends what is new, at most one piece, so that a flood of one is heard
between the words of the others and not before them.

A client comes back with one id, and that has to say how far it is in hundreds of logs. So ids are
times, in microseconds: everything that was written before then was sent. Each log is resumed at
the last mark of its capture that is not younger (see TimeMarks). What is sent twice that way, a
second's output or so, clients know by its offsets. The ring of each capture is the only buffer: a
slow reader loses what falls out of it, and is told how much, of which log.
"""

import asyncio
import heapq
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, aclosing
from functools import partial

import msgspec
from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response

from opsvisor import wire
from opsvisor.api.context import (
    CONTROL,
    STREAMS,
    Position,
    check_names,
    known_to,
    my_turn,
    query_of,
    read_last_event_id,
)
from opsvisor.api.errors import ApiError
from opsvisor.api.logs import whole_characters
from opsvisor.api.queries import LogsQuery
from opsvisor.control.log_past import Past, Said, Wanted, past_of
from opsvisor.control.logs import NoLogError
from opsvisor.control.names import NoSuchGroup, NoSuchProcess, resolve
from opsvisor.core.events import Event, ProcessAdded, ProcessChanged, ProcessRemoved
from opsvisor.core.spec import LogSpec, ProcessId
from opsvisor.core.struct import Struct
from opsvisor.runtime.logs.capture import StreamCapture
from opsvisor.runtime.logs.stream import Stream

# At once of one log: so much takes 1 ms to write as JSON.
_PIECE = 64 * 1024
_MICROSECONDS = 1_000_000

_Key = tuple[ProcessId, Stream]


async def stream_logs(request: web.Request) -> web.StreamResponse:
    """What several processes said, and with `follow` what they say (server-sent events).

    What was said comes in the order of its times, as far as those are known. Ids are times too:
    after an interruption, give the last one as Last-Event-ID, and pass over what lies below the
    offsets you have. A pattern that stands for nothing yet is waited for if it is followed.
    """
    query = query_of(request, LogsQuery)
    check_names(query.name)
    follower = _Follower(request, query)
    follower.find(is_first=True)
    streams = request.app[STREAMS]
    bus = request.app[CONTROL].bus
    bus.listen(follower.on_event)
    try:
        with streams.one("logs"):
            async with (
                sse_response(request) as response,
                streams.until_upgraded(response, follower.position),
            ):
                await follower.send_to(response, Wanted(lines=query.lines, since=query.since))
        return response
    finally:
        bus.ignore(follower.on_event)
        follower.close()


class _Source(Struct, eq=False):
    """One log, and how far it was sent. `unfinished`: the begun character that comes last."""

    process_id: ProcessId
    stream: Stream
    capture: StreamCapture
    spec: LogSpec
    watcher: "partial[None]"
    at: int = 0
    unfinished: bytes = b""
    is_anew: bool = False


class _Follower:
    """The logs of one request."""

    def __init__(self, request: web.Request, query: LogsQuery) -> None:
        resume = read_last_event_id(request)
        self.position = Position(resume or 0)
        self._request = request
        self._query = query
        self._control = request.app[CONTROL]
        self._resumes_at = resume / _MICROSECONDS if resume else None
        self._sources: dict[_Key, _Source] = {}
        self._grown: dict[_Key, None] = {}
        self._woken = asyncio.Event()
        self._is_stale = False  # there may be other processes now
        self._told: list[str] = []

    # -- which logs ----------------------------------------------------------------------------

    def on_event(self, event: Event) -> None:
        """A fact was published. All that matters is whether there are other logs now."""
        if isinstance(event, ProcessAdded | ProcessChanged | ProcessRemoved):
            self._is_stale = True
            self._woken.set()

    def find(self, *, is_first: bool = False) -> None:
        """Have all logs that are asked for, and no others. ApiError for a name that is none."""
        self._is_stale = False
        wanted = {
            (process_id, stream): (capture, spec)
            for process_id in self._resolved(is_first=is_first)
            for stream, capture, spec in self._captures(process_id)
        }
        for key in [key for key in self._sources if wanted.get(key) is None]:
            self._drop(key)
        for key, (capture, spec) in wanted.items():
            known = self._sources.get(key)
            if known is not None and known.capture is capture:
                known.spec = spec
                continue
            if known is not None:
                self._drop(key)
            self._add(key, capture, spec, is_first=is_first)

    def _resolved(self, *, is_first: bool) -> Iterable[ProcessId]:
        known = known_to(self._request)
        if not self._query.name:
            return known
        found: list[ProcessId] = []
        for item in resolve(self._query.name, known):
            match item:
                case NoSuchProcess() | NoSuchGroup():
                    if is_first and not self._may_come(item.name):
                        is_group = isinstance(item, NoSuchGroup)
                        kind = "group" if is_group else "process"
                        raise ApiError(f"no_such_{kind}", f"no such {kind}: {item.name}")
                case _:
                    found.append(item.id)
        return found

    def _may_come(self, name: str) -> bool:
        """Whether to wait for what it stands for: who follows a pattern means later ones too."""
        return self._query.follow == "1" and any(sign in name for sign in "*?[")

    def _captures(self, process_id: ProcessId) -> Iterable[tuple[Stream, StreamCapture, LogSpec]]:
        spec = self._control.engine.view(process_id).spec
        specs = {Stream.STDOUT: spec.stdout, Stream.STDERR: spec.stderr}
        for stream, capture in self._control.engine.streams(process_id).captures.items():
            log = specs[stream]
            if log is not None and (not self._query.stream or stream.value in self._query.stream):
                yield stream, capture, log

    def _add(self, key: _Key, capture: StreamCapture, spec: LogSpec, *, is_first: bool) -> None:
        source = _Source(*key, capture, spec, partial(self._note_growth, key))
        # Who comes later is heard from its first word on.
        source.at = capture.ring.end if is_first else capture.ring.start
        source.is_anew = not is_first
        if is_first and self._resumes_at is not None:
            source.at = capture.marks.before(self._resumes_at)
        self._sources[key] = source
        capture.watch(source.watcher)
        if source.at < capture.ring.end:
            self._note_growth(key)

    def _drop(self, key: _Key) -> None:
        source = self._sources.pop(key)
        source.capture.unwatch(source.watcher)
        self._grown.pop(key, None)

    def _note_growth(self, key: _Key) -> None:
        self._grown[key] = None
        self._woken.set()

    def close(self) -> None:
        """Listen to nothing any more."""
        for key in tuple(self._sources):
            self._drop(key)

    # -- what is sent --------------------------------------------------------------------------

    async def send_to(self, response: EventSourceResponse, wanted: Wanted) -> None:
        """All of it, until the client hangs up, or there is no more."""
        await self._tell_names(response)
        if self._resumes_at is None:
            await self._send_past(response, wanted)
        while self._query.follow == "1":
            if not self._grown and not self._is_stale:
                self._woken.clear()
                await self._woken.wait()
            if self._is_stale:
                self.find()
                await self._tell_names(response)
            began = int(time.time() * _MICROSECONDS)
            for key in tuple(self._grown):
                await self._send_new(response, key)
            if not self._grown:
                self.position.at = max(self.position.at, began)

    async def _tell_names(self, response: EventSourceResponse) -> None:
        names = list(dict.fromkeys(str(one) for one, _ in self._sources))
        if names != self._told or not names:
            self._told = names
            await self._send(response, "names", wire.LogNames(names=names))

    async def _send_past(self, response: EventSourceResponse, wanted: Wanted) -> None:
        """What all of them said, in the order of its times."""
        sources = tuple(self._sources.values())
        async with AsyncExitStack() as stack:
            heap: list[tuple[float, int, Said, AsyncGenerator[Said]]] = []
            for number, source in enumerate(sources):
                past = await self._past(response, source, wanted)
                if past is None:
                    continue
                source.at = past.end + past.shift
                pieces = await stack.enter_async_context(aclosing(past.pieces()))
                await _push(heap, number, pieces)
            while heap:
                _, number, said, pieces = heapq.heappop(heap)
                await self._send_said(response, sources[number], said)
                await _push(heap, number, pieces)
        if self._query.follow != "1":
            for source in sources:
                await self._send_rest(response, source, source.at)

    async def _past(
        self, response: EventSourceResponse, source: _Source, wanted: Wanted
    ) -> Past | None:
        try:
            past = await past_of(source.capture, source.spec, wanted)
        except NoLogError as error:
            await self._remark(response, source, str(error))
            return None
        if past.remark:
            await self._remark(response, source, past.remark)
        return past

    async def _send_new(self, response: EventSourceResponse, key: _Key) -> None:
        """At most one piece of what is new in this log."""
        source = self._sources.get(key)
        if source is None:
            self._grown.pop(key, None)
            return
        begin, text = source.capture.ring.read(source.at)
        if begin > source.at:
            await self._send_rest(response, source, source.at)
            lost_bytes = begin - max(source.at, source.capture.ring.cleared)
            source.at = begin
            if lost_bytes > 0:
                lost = wire.LogLost(
                    name=str(source.process_id),
                    stream=source.stream.value,
                    lost_bytes=lost_bytes,
                )
                await self._send(response, "gap", lost)
        text = text[:_PIECE]
        end = begin + len(text)
        source.at = end
        if end >= source.capture.ring.end:
            self._grown.pop(key, None)
        if text:
            now = source.capture.stats.last_output_at
            await self._send_said(response, source, Said(text, begin, end, now))

    async def _send_said(self, response: EventSourceResponse, source: _Source, said: Said) -> None:
        await my_turn(self._request)
        pending = source.unfinished + said.text
        begin = said.begin - len(source.unfinished)
        text, cut = whole_characters(pending)
        source.unfinished = pending[len(pending) - cut :]
        if text:
            piece = wire.LogSaid(
                name=str(source.process_id),
                stream=source.stream.value,
                text=text,
                begin=begin,
                offset=said.end - cut,
                at=said.at,
                anew=source.is_anew,
            )
            source.is_anew = False
            await self._send(response, "log", piece)

    async def _send_rest(self, response: EventSourceResponse, source: _Source, end: int) -> None:
        """What never became a whole character."""
        rest, source.unfinished = source.unfinished, b""
        if rest:
            piece = wire.LogSaid(
                name=str(source.process_id),
                stream=source.stream.value,
                text=rest.decode("utf-8", "replace"),
                begin=end - len(rest),
                offset=end,
                at=0.0,
            )
            await self._send(response, "log", piece)

    async def _remark(self, response: EventSourceResponse, source: _Source, text: str) -> None:
        remark = wire.LogRemark(name=str(source.process_id), stream=source.stream.value, text=text)
        await self._send(response, "remark", remark)

    async def _send(self, response: EventSourceResponse, kind: str, body: msgspec.Struct) -> None:
        data = wire.encode(body).decode()
        await response.send(data, id=str(self.position.at), event=kind)


async def _push(
    heap: list[tuple[float, int, Said, AsyncGenerator[Said]]],
    number: int,
    pieces: AsyncGenerator[Said],
) -> None:
    """Take the next piece of this log, if there is one."""
    said = await anext(pieces, None)
    if said is not None:
        heapq.heappush(heap, (said.at, number, said, pieces))
