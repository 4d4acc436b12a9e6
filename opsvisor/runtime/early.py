"""Processes that are made before the end of the run before them is handled.

Theory of operation
-------------------
Whoever waits for a program that has died waits for the next process, and not for what is noted,
counted and written about the last one. That takes half a millisecond where the daemon had nothing
to do for a while, and so did its caches forget all of it: more than to make a process. So if it is
certain what will be decided, the process comes first. Nothing else may be going on that could
change that; the core is asked (`next_at_once`), and then handles the end as any other. It comes
to the same decision a moment later, as time makes a restart only more certain: the run was longer,
and earlier restarts are longer ago. What it asks for is there already then.

Only what is ready is used, which is a pipe or two, and only what the daemon makes by itself, as
most programs are: no socket, no pipe to its input, no fork, no cgroup. The last one is collected
before: a program that finds the pid of a living process in its pid file would not begin.

The next daemon has to know of it before it is there, as of any process: it is foretold by one
write(2) of its own (memory/foretold.py), which takes less than half of a commit. Until the commit
that follows, the run before it is remembered as alive; whoever finds that one dead and this one
there takes it for its next run.
"""

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress

from opsvisor.core.spec import Pid, ProcessId, ProcessSpec, StdinMode
from opsvisor.core.struct import Struct
from opsvisor.runtime.all_streams import AllStreams
from opsvisor.runtime.clock import stand_still
from opsvisor.runtime.limits import Limits
from opsvisor.runtime.logs.spares import NewPipe
from opsvisor.runtime.marks import Marks, may_outlive
from opsvisor.runtime.memory.foretold import Foretold, ForetoldRun
from opsvisor.runtime.pidfd import this_tick
from opsvisor.runtime.spawn import ChildFiles, begin_here, is_crowded, is_made_here

# Seconds of a processor for who is waited for: at least, more for each program that runs (what it
# takes to close three or four descriptors at exec, with cold caches), and at most.
_HEAD_START = 0.1e-3
_CLOSING = 1.0e-6
_LONGEST = 2.5e-3


class Early(Struct, frozen=True, kw_only=True):
    """A process that is there early, made after tick `since`. `seconds`: what that took.

    `pipes`: for its outputs, the program's ends open, and nobody reads them yet. Whoever does
    takes them out of the list, and owns them; what is in it belongs to whoever has this.
    """

    spec: ProcessSpec
    pid: Pid
    since: int
    pipes: list[NewPipe]
    seconds: float


class EarlySpawns:
    """Makes them, one at a time: `begin`, and before anything else happens `take` or `settle`."""

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        streams: AllStreams,
        limits: Limits,
        marks: Marks,
        foretold: Foretold,
    ) -> None:
        self._environment = environment
        self._streams = streams
        self._limits = limits
        self._marks = marks
        self._foretold = foretold
        self._early: Early | None = None
        self._has_foretold = False

    @property
    def has_one(self) -> bool:
        """Whether one is there that nobody has taken."""
        return self._early is not None

    def begin(self, spec: ProcessSpec, last: Pid, null_input: int, *, running: int) -> None:
        """Make the process after the `last` one of this spec now, if nothing is needed for it.

        If it can't be made nobody is told: whoever makes it in its turn finds out. It has a head
        start over us that suits so many programs that are `running`.
        """
        began = time.monotonic()
        streams = self._streams.get(spec.id)
        is_simple = spec.socket is None and spec.stdin is StdinMode.NULL and is_made_here(spec)
        # Without a mark the next daemon would not find it if it has closed its pipes.
        if not is_simple or self._limits.has_any(spec) or self._marks.is_unmarked(spec.id):
            return
        pipes = [] if streams is None else streams.take_ready()
        if not pipes:
            return
        since = this_tick()
        files = ChildFiles(null_input, pipes[0].program_end, pipes[-1].program_end)
        run = ForetoldRun(spec.id, last, since, tuple([pipe.inode for pipe in pipes]))
        pid = None if is_crowded(files) else self._make(spec, files, run)
        if pid is None:
            self._streams.give_back(pipes)
            self.fulfil()  # or it might be looked for
            return
        seconds = time.monotonic() - began
        self._early = Early(spec=spec, pid=pid, since=since, pipes=pipes, seconds=seconds)
        stand_still(head_start(running))
        self._streams.make_ready()

    def _make(self, spec: ProcessSpec, files: ChildFiles, run: ForetoldRun) -> Pid | None:
        self._has_foretold = True
        if not self._foretold.tell(run):
            return None
        made: Pid | None = None
        try:
            with self._marks.handed_on(spec.id, may_outlive=may_outlive(spec)):
                made = begin_here(spec, files, self._environment)
        except Exception:  # noqa: BLE001, S110 - it is tried again, and told of then
            pass
        return made

    def take(self, spec: ProcessSpec) -> Early | None:
        """The one of this spec, if it is there. Whoever takes it has it, and its pipes."""
        early = self._early
        if early is None or early.spec is not spec:
            return None
        self._early = None
        return early

    def end(self, early: Early) -> None:
        """Have no need of one that was taken: kill it, and close what is left of its pipes."""
        with suppress(OSError):  # it has become somebody whom we may not signal
            os.kill(early.pid, signal.SIGKILL)  # nobody has collected it
        with suppress(OSError):  # likewise, or it has left its group, and so has everybody else
            os.killpg(early.pid, signal.SIGKILL)
        self._streams.let_go(early.pipes)
        early.pipes.clear()

    def settle(self) -> ProcessId | None:
        """End the one that nobody has taken, if there is one; whose it was."""
        early, self._early = self._early, None
        if early is None:
            return None
        self.end(early)
        return early.spec.id

    def fulfil(self) -> None:
        """All that has happened is remembered."""
        if self._has_foretold:
            self._has_foretold = False
            self._foretold.fulfil()


def head_start(running: int) -> float:
    """Seconds until who was made beside so many programs executes its first instruction.

    Its exec has woken us up, on its processor as a rule: it would go on when we are done with all
    that follows, a millisecond later. Before it begins it closes what it has of our descriptors,
    some for each program. sched_yield(2) would be less where nobody else wants that processor, and
    a slice of each where somebody does.
    """
    return min(_HEAD_START + _CLOSING * running, _LONGEST)
