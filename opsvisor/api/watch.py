"""How everything is, as it changes: one state, told to all who watch (server-sent events).

Theory of operation
-------------------
What is told is a state, not its history. A reader gets all of it at first, then whatever differs,
and all of it again where it was too slow: what waits for a reader is bounded, and nothing has to
be replayed to who comes back.

Nobody is told event by event. Whatever may have changed a process marks it as stale; a tenth of a
second later all that is stale is encoded, once, and goes to everybody as one message. The last
state is what counts, so a process that crashes and is restarted ten times meanwhile is told once.

Of answers to probes only those are told that differ from the one before; how often and how fast
they came is as of then.

As long as somebody watches, a sweep is made as often as the most impatient reader wants. Where
nobody does there is no timer, and all that an event costs is one look at an empty list.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response
from msgspec import Struct

from opsvisor import wire
from opsvisor.api.access import Scope
from opsvisor.api.context import CONTROL, STREAMS, Position, caller_of, my_turn, query_of
from opsvisor.api.convert import usage
from opsvisor.api.processes import refresh
from opsvisor.api.queries import WatchQuery
from opsvisor.api.statuses import Statuses
from opsvisor.api.system import daemon_info
from opsvisor.control.control import Control
from opsvisor.core.events import (
    Event,
    PlanApplied,
    ProcessAdded,
    ProcessRemoved,
    SupervisorStateChanged,
)
from opsvisor.core.inputs import Input, Probed
from opsvisor.core.spec import ProcessId
from opsvisor.core.view import ProcessView
from opsvisor.runtime import clock
from opsvisor.runtime.recent_samples import SHORTEST

# Seconds that a change waits for others. Ten times a second is as fast as anybody can look.
_PATIENCE = 0.1
# Processes that are encoded before others have their turn: 4 ms.
_AT_ONCE = 100
# What waits for a reader. One that does not take it is told all anew, when it reads again.
_MOST_WAITING = 64  # messages
_MOST_WAITING_BYTES = 2 * 1024 * 1024

# Processes that are looked at before others have their turn: 1 ms.
_LOOKED_AT_ONCE = 300

_Answers = tuple[tuple[object, ...], ...]
_Surroundings = tuple[str | None, str, str]


class Reader:
    """Somebody who watches: `scope` is what there is for them. `interval` is in seconds."""

    def __init__(self, scope: Scope, interval: float) -> None:
        self.scope = scope
        self.interval = interval
        self.sampled_at = 0.0  # monotonic
        self.is_behind = True
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._filled = asyncio.Event()

    @property
    def is_reading(self) -> bool:
        """Whether it has taken all that there was for it."""
        return not (self._waiting or self.is_behind)

    def put(self, message: bytes) -> None:
        """Have this told, unless all will be told anyway."""
        if self.is_behind:
            return
        self._waiting.append(message)
        self._waiting_bytes += len(message)
        if len(self._waiting) > 1 and (
            len(self._waiting) > _MOST_WAITING or self._waiting_bytes > _MOST_WAITING_BYTES
        ):
            self._waiting.clear()
            self._waiting_bytes = 0
            self.is_behind = True
        self._filled.set()

    def catch_up(self) -> None:
        """All is about to be told: what comes from now on follows on that."""
        self.is_behind = False
        self._waiting.clear()
        self._waiting_bytes = 0

    async def get(self) -> bytes | None:
        """The next message, as soon as there is one; None when all has to be told instead."""
        while not (self._waiting or self.is_behind):
            self._filled.clear()
            await self._filled.wait()
        if self.is_behind:
            return None
        message = self._waiting.popleft()
        self._waiting_bytes -= len(message)
        return message


class Watchers:
    """All who watch, at whatever server, and what they are to be told."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self.statuses = Statuses(control)
        self._readers: list[Reader] = []
        self._stale: dict[ProcessId, None] = {}
        self._is_daemon_stale = False
        self._telling: asyncio.Handle | None = None
        self._sampling: asyncio.Task[None] | None = None
        # What is told of a process and comes with no event, as it was when it was last looked at.
        self._answers: dict[ProcessId, _Answers] = {}
        self._surroundings: dict[ProcessId, _Surroundings] = {}
        control.engine.listen_to_inputs(self.on_input)
        control.configuration.listen_to_loads(lambda _report: self.daemon_changed())

    @contextmanager
    def one(self, scope: Scope, interval: float) -> Iterator[Reader]:
        """Somebody watches as long as the block lasts."""
        reader = Reader(scope, interval)
        if not self._readers:
            self._control.bus.listen(self.on_event)
        self._readers.append(reader)
        self._sample_at_will()
        try:
            yield reader
        finally:
            self._readers.remove(reader)
            if not self._readers:
                self._control.bus.ignore(self.on_event)
            self._sample_at_will()
            if not self._readers:
                self._answers.clear()
                self._surroundings.clear()

    def on_event(self, event: Event) -> None:
        """Something has happened."""
        process_id = getattr(event, "id", None)
        match event:
            case PlanApplied(diff=diff):
                others = set(diff.groups_changed)  # whose priority may be another one
                for one in self._control.engine.ids():
                    if one.group in others:
                        self.changed(one)
                self.daemon_changed()
            case SupervisorStateChanged():  # and nothing is expected to run any more
                for one in self._control.engine.ids():
                    self.changed(one)
                self.daemon_changed()
            case ProcessAdded(id=process_id) | ProcessRemoved(id=process_id):
                self.changed(process_id)
                self.daemon_changed()  # which tells how many there are
            case _ if process_id is not None:
                self.changed(process_id)
            case _:
                pass

    def on_input(self, happened: Input) -> None:
        """Something was told to the core. Not all that changes by that is worth an event.

        Most answers to probes are like the one before: such a one only counts.
        """
        if not self._readers or (process_id := getattr(happened, "id", None)) is None:
            return
        if isinstance(happened, Probed):
            if process_id not in self._control.supervisor:
                return
            answers = _answers(self._control.engine.view(process_id))
            if self._answers.get(process_id) == answers:
                return
            self._answers[process_id] = answers
        self.changed(process_id)

    def changed(self, process_id: ProcessId) -> None:
        """A process may be another than it was."""
        if self._readers:
            self._stale[process_id] = None
            self._tell_soon()

    def daemon_changed(self) -> None:
        """The daemon may be another than it was."""
        if self._readers:
            self._is_daemon_stale = True
            self._tell_soon()

    # -- all of it -----------------------------------------------------------------------------

    def snapshot(self, scope: Scope) -> Iterator[list[bytes]]:
        """The statuses of all processes, encoded, a few at a time.

        What leaves the plan or comes into it meanwhile is told after.
        """
        ids = iter([one for one in self._control.engine.ids() if _is_in(scope, one)])
        while chunk := list(islice(ids, _AT_ONCE)):
            yield list(self._encoded(chunk).values())

    def _encoded(self, process_ids: Sequence[ProcessId]) -> dict[ProcessId, bytes]:
        known, now = self._control.supervisor, clock.now()
        return {one: self.statuses.encoded(one, now) for one in process_ids if one in known}

    # -- what changes --------------------------------------------------------------------------

    def _tell_soon(self) -> None:
        if self._telling is None:
            loop = asyncio.get_running_loop()
            self._telling = loop.call_later(_PATIENCE, self._tell)

    def _tell(self) -> None:
        """Encode what is stale, a few at a time, and tell it when all is done."""
        self._telling = None
        stale, self._stale = tuple(self._stale), {}
        is_daemon_stale, self._is_daemon_stale = self._is_daemon_stale, False
        if self._readers:
            self._tell_rest(iter(stale), {}, [], is_daemon_stale=is_daemon_stale)

    def _tell_rest(
        self,
        stale: Iterator[ProcessId],
        encoded: dict[ProcessId, bytes],
        gone: list[ProcessId],
        *,
        is_daemon_stale: bool,
    ) -> None:
        self._telling = None  # whatever happens: what changes later has to be told
        chunk = list(islice(stale, _AT_ONCE))
        found = self._encoded(chunk)
        encoded |= found
        for one in chunk:
            if one not in found:
                gone.append(one)
                self._answers.pop(one, None)
                self._surroundings.pop(one, None)
        if len(chunk) == _AT_ONCE:
            self._telling = asyncio.get_running_loop().call_soon(
                lambda: self._tell_rest(stale, encoded, gone, is_daemon_stale=is_daemon_stale)
            )
            return
        self._tell_each(lambda scope: _changes(scope, encoded, gone))
        if is_daemon_stale:
            self._tell_each(lambda scope: _message("daemon", daemon_info(self._control, scope)))
        if self._stale or self._is_daemon_stale:
            self._tell_soon()

    def _tell_each(
        self, message_for: Callable[[Scope], bytes], readers: Sequence[Reader] | None = None
    ) -> None:
        """Tell everybody what there is for them: made once for all who see the same."""
        made: dict[Scope, bytes] = {}
        for reader in self._readers if readers is None else readers:
            if reader.scope not in made:
                made[reader.scope] = message_for(reader.scope)
            if message := made[reader.scope]:
                reader.put(message)

    # -- samples -------------------------------------------------------------------------------

    def _sample_at_will(self) -> None:
        """Measure as often as is wanted now."""
        if self._sampling is not None:
            self._sampling.cancel()
            self._sampling = None
        if self._readers:
            self._sampling = asyncio.get_running_loop().create_task(self._sample())

    async def _sample(self) -> None:
        interval = min(reader.interval for reader in self._readers)
        while True:
            await self.sample_once()
            await asyncio.sleep(interval)

    async def sample_once(self) -> None:
        """Measure, and tell of it, if anybody reads what they are told.

        Four who never read, of 1,000 processes, would else cost 8 % of a processor for nothing.
        """
        if not any(reader.is_reading for reader in self._readers):
            return
        with contextlib.suppress(OSError):  # the sampler counts its failures
            sweep = await self._control.sampler.sweep(SHORTEST)
            await self._tell_samples(sweep.at_wall)
        await self._look_around()

    async def _look_around(self) -> None:
        """Notice what nothing tells of: trouble with logs and limits, and where a cgroup is."""
        engine = self._control.engine
        for number, one in enumerate(engine.ids()):
            if number % _LOOKED_AT_ONCE == 0:
                await asyncio.sleep(0)
            if one not in self._control.supervisor:
                continue
            limits = engine.limits
            now = (limits.folder_of(one), limits.problem_of(one), engine.streams(one).problem)
            if self._surroundings.setdefault(one, now) != now:
                self._surroundings[one] = now
                self.changed(one)

    async def _tell_samples(self, at: float) -> None:
        now = clock.now().mono
        due = [one for one in self._readers if now - one.sampled_at > one.interval - SHORTEST]
        if not due:
            return
        for reader in due:
            reader.sampled_at = now
        used = await self._used()
        self._tell_each(lambda scope: _samples(scope, at, used), due)

    async def _used(self) -> dict[ProcessId, bytes]:
        """What each process that runs uses, as a member of an object."""
        sampler, members = self._control.sampler, {}
        for number, one in enumerate(self._control.engine.live()):
            if number % _LOOKED_AT_ONCE == 0:
                await asyncio.sleep(0)
            if (used := usage(sampler, one)) is not None:
                members[one] = b"%b:%b" % (wire.encode(str(one)), wire.encode(used))
        return members


WATCHERS = web.AppKey("watchers", Watchers)


async def watch_everything(request: web.Request) -> web.StreamResponse:
    """How everything is, then what changes, as it changes.

    Events: `snapshot` is everything, at first and whenever this reader was too slow; `changed` are
    processes that are new or changed, whole; `removed` are names of those that are no more;
    `daemon` is the daemon when that has changed; `samples` is what the processes use, every
    `interval` seconds. Changes are told at most ten times a second. There is nothing to resume:
    who comes back gets a snapshot.
    """
    interval = query_of(request, WatchQuery).interval
    streams = request.app[STREAMS]
    watchers = request.app[WATCHERS]
    scope = caller_of(request).groups
    with streams.one("watch"), watchers.one(scope, interval) as reader:
        async with (
            sse_response(request) as response,
            streams.until_upgraded(response, Position(0)),
        ):
            await _tell(request, response, reader)
    return response


async def _tell(request: web.Request, response: EventSourceResponse, reader: Reader) -> None:
    while True:
        message = await reader.get()
        if message is None:
            await refresh(request)
            await _send_all(request, response, reader)
        else:
            await response.write(message)


async def _send_all(request: web.Request, response: EventSourceResponse, reader: Reader) -> None:
    """Everything, as one event; each of its lines has a few processes."""
    watchers, control = request.app[WATCHERS], request.app[CONTROL]
    reader.catch_up()
    lines = [b"event: snapshot\r\n", b'data: {"processes":[\r\n']
    begin = b"data: "
    for chunk in watchers.snapshot(reader.scope):
        lines += [begin, b",".join(chunk), b"\r\n"]
        begin = b"data: ,"
        await my_turn(request)
    lines += [b'data: ],"daemon":', wire.encode(daemon_info(control, reader.scope)), b"}\r\n\r\n"]
    await response.write(b"".join(lines))


def _answers(view: ProcessView) -> _Answers:
    """What probes say of a process, but for what counts on with each of their answers."""
    return tuple(
        (one.kind, one.is_active, one.passing, one.wrong_in_a_row, one.failures, one.detail)
        for one in view.probes
    )


def _is_in(scope: Scope, process_id: ProcessId) -> bool:
    return scope is None or process_id.group in scope


def _changes(scope: Scope, encoded: dict[ProcessId, bytes], gone: list[ProcessId]) -> bytes:
    told = [text for one, text in encoded.items() if _is_in(scope, one)]
    names = [str(one) for one in gone if _is_in(scope, one)]
    message = b""
    if told:
        lines = b",\r\ndata: ".join(
            b",".join(told[at : at + _AT_ONCE]) for at in range(0, len(told), _AT_ONCE)
        )
        message = b'event: changed\r\ndata: {"processes":[%b]}\r\n\r\n' % lines
    if names:
        message += _message("removed", wire.WatchRemoved(names=names))
    return message


def _samples(scope: Scope, at: float, used: dict[ProcessId, bytes]) -> bytes:
    told = b",".join([text for one, text in used.items() if _is_in(scope, one)])
    return b'event: samples\r\ndata: {"at":%b,"samples":{%b}}\r\n\r\n' % (wire.encode(at), told)


def _message(event: str, body: Struct) -> bytes:
    return b"event: %b\r\ndata: %b\r\n\r\n" % (event.encode(), wire.encode(body))
