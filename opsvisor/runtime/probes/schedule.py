"""When each probe is asked: one timer per probe, one task per question under way.

Theory of operation
-------------------
A probe that is due gets in line. So many are asked at a time, commands and connections in lines of
their own, since a command costs a fork; those behind keep their turn. Who has not answered after a
second makes room for the next, as far as descriptors are counted for: some that hang until a long
timeout keep nobody from noticing that another program is ill. A timeout begins when the question
is put, not in the line. The next time is a period after the last, or at once if the answer took
longer: a probe never overlaps itself.

Programs that start together would be asked together for ever. So the second question comes early,
by up to half a period, as the name of the process has it: the first stays prompt, since somebody
waits to hear that the program is ready, and the others are spread.

An answer of whoever is asked no more is dropped. What goes wrong on our side (no descriptors, a
bug) is reported and no answer at all, so that it never costs a program its life.
"""

import asyncio
import functools
import zlib
from collections import deque
from collections.abc import Awaitable, Callable

from opsvisor.core.effects import StartProbe
from opsvisor.core.inputs import Probed
from opsvisor.core.probes import ExecProbe, ProbeHandler, ProbeKind, ProbeSpec
from opsvisor.core.spec import ProcessId, ProcessSpec
from opsvisor.core.struct import Struct, field
from opsvisor.runtime.probes.answers import Answer

COMMANDS_AT_ONCE = 8
CONNECTIONS_AT_ONCE = 64
SLOW_AT_ONCE = 64  # of either, besides
_SLOW_AFTER = 1.0  # seconds

_HASH_RANGE = 2**32

Ask = Callable[[ProbeHandler, ProcessSpec], Awaitable[Answer]]


class _Asked(Struct, eq=False):
    """A probe that is being asked, from one question to the next."""

    wanted: StartProbe
    probe: ProbeSpec
    line: "_Line"
    began: float = 0.0
    questions: int = 0
    is_over: bool = False
    timer: asyncio.TimerHandle | None = None
    task: asyncio.Task[Answer] | None = None
    until_slow: asyncio.TimerHandle | None = None
    is_slow: bool = False


class _Line(Struct):
    """Those who wait to be asked, and how many may be asked at a time, and may be slow."""

    free: int
    free_for_slow: int = SLOW_AT_ONCE
    waiting: deque[_Asked] = field(default_factory=deque)
    stuck: list[_Asked] = field(default_factory=list)  # who take long, and found no room for that


class Probes:
    """Asks what is to be asked. `answered` hears each answer, `on_error` our own faults."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        ask: Ask,
        *,
        answered: Callable[[Probed], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._loop = loop
        self._ask = ask
        self._answered = answered
        self._on_error = on_error
        self._asked: dict[tuple[ProcessId, ProbeKind], _Asked] = {}
        self._commands = _Line(COMMANDS_AT_ONCE)
        self._connections = _Line(CONNECTIONS_AT_ONCE)

    def start(self, wanted: StartProbe) -> None:
        """Begin to ask."""
        probe = wanted.spec.probe(wanted.kind)
        assert probe is not None
        is_command = isinstance(probe.handler, ExecProbe)
        line = self._commands if is_command else self._connections
        asked = self._asked[wanted.spec.id, wanted.kind] = _Asked(wanted, probe, line)
        asked.timer = self._loop.call_later(wanted.delay, self._due, asked)

    def stop(self, process_id: ProcessId, kind: ProbeKind) -> None:
        """Ask no more."""
        asked = self._asked.pop((process_id, kind))
        asked.is_over = True
        if asked.timer is not None:
            asked.timer.cancel()
        if asked.task is not None:
            asked.task.cancel()

    def close(self) -> None:
        """Ask nobody any more."""
        for process_id, kind in list(self._asked):
            self.stop(process_id, kind)

    # -- one question after the other --------------------------------------------------------

    def _due(self, asked: _Asked) -> None:
        asked.timer = None
        asked.line.waiting.append(asked)
        self._ask_next(asked.line)

    def _ask_next(self, line: _Line) -> None:
        while line.free and line.waiting:
            asked = line.waiting.popleft()
            if not asked.is_over:
                line.free -= 1
                asked.began = self._loop.time()
                asked.task = self._loop.create_task(self._question(asked))
                asked.task.add_done_callback(functools.partial(self._done, asked))
                asked.until_slow = self._loop.call_later(_SLOW_AFTER, self._make_room, asked)

    def _make_room(self, asked: _Asked) -> None:
        """Let others be asked: this one may take a while."""
        line = asked.line
        if not line.free_for_slow:
            line.stuck.append(asked)
            return
        asked.is_slow = True
        line.free_for_slow -= 1
        line.free += 1
        self._ask_next(line)

    async def _question(self, asked: _Asked) -> Answer:
        timeout = asked.probe.timeout
        try:
            async with asyncio.timeout(timeout):
                return await self._ask(asked.probe.handler, asked.wanted.spec)
        except TimeoutError:
            return Answer(ok=False, detail=f"no answer within {timeout:g} s")

    def _done(self, asked: _Asked, task: "asyncio.Task[Answer]") -> None:
        asked.task = None
        assert asked.until_slow is not None
        asked.until_slow.cancel()
        self._leave(asked, asked.line)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._on_error(error)
        if asked.is_over:
            return
        now = self._loop.time()
        asked.questions += 1
        period = asked.probe.period * (self._head_start(asked) if asked.questions == 1 else 1.0)
        asked.timer = self._loop.call_at(max(now, asked.began + period), self._due, asked)
        if error is None and not task.cancelled():
            self._report(asked, task.result(), now - asked.began)

    def _leave(self, asked: _Asked, line: _Line) -> None:
        if not asked.is_slow:
            line.free += 1
            if asked in line.stuck:
                line.stuck.remove(asked)
            self._ask_next(line)
            return
        asked.is_slow = False
        line.free_for_slow += 1
        if line.stuck:
            self._make_room(line.stuck.pop(0))

    def _report(self, asked: _Asked, answer: Answer, duration: float) -> None:
        self._answered(
            Probed(
                id=asked.wanted.spec.id,
                pid=asked.wanted.pid,
                kind=asked.wanted.kind,
                ok=answer.ok,
                detail=answer.detail,
                duration=duration,
            )
        )

    def _head_start(self, asked: _Asked) -> float:
        """The part of a period, half to all of it, after which this one is asked again."""
        name = f"{asked.wanted.spec.id} {asked.wanted.kind.value}"
        return 0.5 + zlib.crc32(name.encode()) / _HASH_RANGE / 2
