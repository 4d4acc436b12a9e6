"""Who is to be made, and who is being made: all that happens from a spawn's order to its process.

Theory of operation
-------------------
Spawning is the only effect that takes long (0.3 ms). Spawns wait in a queue and are done a few at
a time, for a millisecond or so; then others have some turns of the loop: 1,000 that are started
leave the API answering and other deaths noticed. A single restart is done at once.

Before a process is made its pipes are remembered, together with why it is made: a few are prepared
and remembered by one write, and then made. One may have been foretold and made already (early.py).

Of a process that is forked nobody waits for the exec. A few are *on the way*, so that the fork
server and its children have processors of their own meanwhile; one that takes its time, since its
executable is far away, holds up others for a moment only. What it prints is read once its start
has been told.
"""

import time
from collections import deque
from collections.abc import Callable
from itertools import chain

from opsvisor.core.inputs import SpawnFault
from opsvisor.core.spec import ProcessId, ProcessSpec
from opsvisor.core.struct import Struct
from opsvisor.runtime.forkserver import Awaited
from opsvisor.runtime.sockets import Hold
from opsvisor.runtime.spawn_queue import Line, SpawnQueue
from opsvisor.runtime.spawner import Made, Ordered, Prepared, Spawner

# Longest time spent on spawning before the loop gets another turn, in seconds.
_SLICE = 0.001

# Processes that are prepared together, and remembered by one write before they are made.
_BATCH = 4

# Processes of each line that are on the way at once. Four keep a fork server and two processors
# busy. Those that crash and start all the time are to leave some of that to others: with four of
# them, a request or a healthy program's restart waits twice as long.
_PLACES = {Line.SETTLED: 4, Line.FIRST: 4, Line.AGAIN: 1}

# The lines of which some are prepared when all of the last ones are made.
_SHARED = (Line.AGAIN, Line.FIRST)


class Told(Struct, frozen=True, kw_only=True):
    """Who is told of what. `prepared`: these are to be remembered before they are made.

    `go_on`: more can be made.
    """

    prepared: Callable[[], None]
    made: Callable[[Made], None]
    failed: Callable[[SpawnFault], None]
    hold_over: Callable[[ProcessId, Hold], None]
    go_on: Callable[[], None]


class Spawning:
    """Makes processes, a few in each turn. Of those that `may_be_made`."""

    def __init__(
        self,
        spawner: Spawner,
        *,
        may_be_made: Callable[[ProcessId], bool],
        awaited: Awaited,
        told: Told,
    ) -> None:
        self._spawner = spawner
        self._may_be_made = may_be_made
        self._told = told
        self._queue = SpawnQueue()
        self._prepared: dict[Line, deque[Prepared]] = {line: deque() for line in Line}
        self._on_the_way: dict[ProcessId, Ordered] = {}
        self._places: dict[ProcessId, Line] = {}  # taken by those on the way that are not slow
        self._awaited = awaited
        self._until: float | None = None  # when this turn has spawned for long enough

    @property
    def has_some(self) -> bool:
        """Whether there are any that nobody has begun to make."""
        return bool(self._queue) or any(self._prepared.values())

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be made, nor on the way."""
        return not (self._on_the_way or self.has_some)

    @property
    def are_on_the_way(self) -> bool:
        """Whether some were ordered, and are about to begin or to fail."""
        return bool(self._on_the_way)

    def add(self, spec: ProcessSpec, line: Line) -> None:
        """Ask for a process of this spec."""
        self._queue.add(spec, line)

    def is_waiting(self, process_id: ProcessId) -> bool:
        """Whether this one was asked for, and not prepared."""
        return process_id in self._queue

    def is_on_the_way(self, process_id: ProcessId) -> bool:
        """Whether this one can't be called off any more, and has no pid yet."""
        return process_id in self._on_the_way

    def call_off(self, process_id: ProcessId) -> bool:
        """Whether this process was about to be made: it is not, then."""
        return self.give_up(process_id) or self._queue.discard(process_id)

    def give_up(self, process_id: ProcessId) -> bool:
        """Whether it was prepared already, and is not now. Its socket stays for who comes next."""
        for queue in self._prepared.values():
            for prepared in queue:
                if prepared.spec.id == process_id:
                    queue.remove(prepared)
                    self._spawner.give_up(prepared)
                    if prepared.hold is not None:
                        self._told.hold_over(process_id, prepared.hold)
                    return True
        return False

    def do_some(self) -> bool:
        """Make a few; False if this turn has made some for as long as it may."""
        now = time.monotonic()
        if self._until is None:
            self._until = now + _SLICE
        elif now >= self._until:
            return False
        self._prepare_some()
        # One takes a tenth of the slice, or several of them: until a processor is free for it.
        while found := self._next():
            self._begin(*found)
            if time.monotonic() >= self._until:
                return not self._is_possible
        return True

    def pause(self) -> None:
        """Make no more in this turn."""
        self._until = 0.0

    def end_turn(self) -> None:
        """Others have theirs now."""
        self._until = None

    def close(self) -> None:
        """Make none of them any more. Those on the way go their way; `awaited` was closed."""
        for prepared in chain.from_iterable(self._prepared.values()):
            self._spawner.give_up(prepared)
        for ordered in self._on_the_way.values():
            self._spawner.leave(ordered)

    def _next(self) -> tuple[Line, Prepared] | None:
        """Who is to be made now; of those that ran for a while first."""
        for line, prepared in self._prepared.items():
            if prepared and self._has_place(line):
                return line, prepared.popleft()
        return None

    @property
    def _is_possible(self) -> bool:
        """Whether others could be made, if there was time."""
        return bool(self._queue) or any(
            prepared and self._has_place(line) for line, prepared in self._prepared.items()
        )

    def _has_place(self, line: Line) -> bool:
        return not self._places or list(self._places.values()).count(line) < _PLACES[line]

    def _prepare_some(self) -> None:
        """Have a few to be made; who ran for a while waits for none of the others."""
        room = _BATCH - len(self._prepared[Line.SETTLED])
        taken = self._queue.take_settled(room, may_be_made=self._may_be_made)
        if not any(self._prepared[line] and self._has_place(line) for line in _SHARED):
            lines = [line for line in _SHARED if not self._prepared[line]]
            taken += self._queue.take(room - len(taken), lines, may_be_made=self._may_be_made)
        is_early = True
        for line, spec in taken:
            prepared = self._spawner.prepare(spec)
            if isinstance(prepared, SpawnFault):
                self._told.failed(prepared)
                is_early = False
            else:
                self._prepared[line].append(prepared)
                is_early = is_early and prepared.early is not None
        if taken and not is_early:  # that was foretold
            self._told.prepared()

    def _begin(self, line: Line, prepared: Prepared) -> None:
        begun = self._spawner.begin(prepared)
        if not isinstance(begun, Ordered):
            self._tell(begun)
            return
        process_id = prepared.spec.id
        self._on_the_way[process_id] = begun
        self._places[process_id] = line
        try:
            self._awaited.add(
                begun.begun.birth,
                slow=lambda: self._is_slow(process_id),
                over=lambda: self._finish(begun),
            )
        except OSError:  # nothing left to wait with
            self._finish(begun)

    def _is_slow(self, process_id: ProcessId) -> None:
        self._places.pop(process_id, None)  # not there if it is one that was begun instead
        self._told.go_on()

    def _finish(self, ordered: Ordered) -> None:
        process_id = ordered.prepared.spec.id
        del self._on_the_way[process_id]
        self._places.pop(process_id, None)
        self._tell(self._spawner.finish(ordered))

    def _tell(self, made: Made | SpawnFault) -> None:
        if isinstance(made, SpawnFault):
            self._told.failed(made)
        else:
            self._told.made(made)
