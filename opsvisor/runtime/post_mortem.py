"""What is kept of every finished run, so that `why` has an answer later."""

from collections.abc import Callable

from opsvisor.core.events import (
    Event,
    ProcessExited,
    ProcessRemoved,
    ProcessSpawned,
    SpawnFailed,
    StateChanged,
)
from opsvisor.core.outcome import ExitCause, Outcome, Usage
from opsvisor.core.restart import in_seconds
from opsvisor.core.spec import Pid, ProcessId
from opsvisor.core.state import PublicState
from opsvisor.core.struct import Struct
from opsvisor.runtime.logs.stream import Stream
from opsvisor.runtime.streams import ProcessStreams

# Enough for a traceback.
_TAIL_LINES = 30
_TAIL_BYTES = 8 * 1024


class FinishedRun(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run that is over, or one start that failed (`outcome` None, `problem` says why).

    `decision` is what followed and why. The tails are kept for unexpected ends only.
    """

    pid: Pid | None
    ended_at: float
    uptime: float
    outcome: Outcome | None
    problem: str
    cause: ExitCause
    expected: bool
    decision: str
    usage: Usage
    oom_killed: bool = False
    stdout_tail: tuple[str, ...] = ()
    stderr_tail: tuple[str, ...] = ()


class PostMortemMemento(Struct, frozen=True, kw_only=True):
    """The last runs of one process, oldest first.

    `begins` are where the present run began to print, per stream; `failed_spawn` a failure whose
    consequence is not known yet.
    """

    id: ProcessId
    runs: tuple[FinishedRun, ...] = ()
    begins: tuple[tuple[Stream, int], ...] = ()
    failed_spawn: SpawnFailed | None = None


class PostMortems:
    """Listens to the bus and keeps the last `size` runs of each process.

    `on_kept` is told of each run as it is kept, before the next fact is told.
    """

    def __init__(
        self,
        streams: Callable[[ProcessId], ProcessStreams],
        size: int,
        *,
        on_kept: Callable[[ProcessId, FinishedRun], None] = lambda _id, _run: None,
    ) -> None:
        self._streams = streams
        self._size = size
        self._on_kept = on_kept
        self._runs: dict[ProcessId, tuple[FinishedRun, ...]] = {}  # deques take 700 bytes each
        self._failed_spawn: dict[ProcessId, SpawnFailed] = {}
        # Offsets into the rings, where these are not their beginnings.
        self._run_begins: dict[tuple[ProcessId, Stream], int] = {}

    def of(self, process_id: ProcessId) -> list[FinishedRun]:
        """The last runs, newest first."""
        return list(reversed(self._runs.get(process_id, ())))

    def remember(self) -> tuple[PostMortemMemento, ...]:
        """All that is kept."""
        begins: dict[ProcessId, list[tuple[Stream, int]]] = {}
        for (process_id, stream), offset in self._run_begins.items():
            begins.setdefault(process_id, []).append((stream, offset))
        known = self._runs.keys() | begins.keys() | self._failed_spawn.keys()
        return tuple(
            PostMortemMemento(
                id=process_id,
                runs=self._runs.get(process_id, ()),
                begins=tuple(begins.get(process_id, ())),
                failed_spawn=self._failed_spawn.get(process_id),
            )
            for process_id in sorted(known)
        )

    def recall(self, memento: PostMortemMemento) -> None:
        """Go on with what was kept of a process. Offsets mean something if its rings go on too."""
        if memento.runs:
            self._runs[memento.id] = tuple(memento.runs[-self._size :])
        if memento.failed_spawn is not None:
            self._failed_spawn[memento.id] = memento.failed_spawn
        for stream, offset in memento.begins:
            self._run_begins[memento.id, stream] = offset

    def on_event(self, event: Event) -> None:
        """Take notes."""
        match event:  # what comes oftest first
            case StateChanged():
                failed = self._failed_spawn.pop(event.id, None)
                if failed is not None:
                    self._keep(event.id, _of_failed_spawn(failed, event))
            case ProcessSpawned():
                for stream, capture in self._streams(event.id).captures.items():
                    if capture.ring.end:
                        self._run_begins[event.id, stream] = capture.ring.end
                    else:
                        self._run_begins.pop((event.id, stream), None)
            case ProcessExited():
                self._keep(event.id, self._of_exit(event))
            case SpawnFailed():
                # What is done about it is told by the change of state that follows.
                self._failed_spawn[event.id] = event
            case ProcessRemoved():
                self._runs.pop(event.id, None)
                self._failed_spawn.pop(event.id, None)
                for stream in Stream:
                    self._run_begins.pop((event.id, stream), None)
            case _:
                pass

    def _keep(self, process_id: ProcessId, run: FinishedRun) -> None:
        self._runs[process_id] = (*self._runs.get(process_id, ()), run)[-self._size :]
        self._on_kept(process_id, run)

    def _of_exit(self, event: ProcessExited) -> FinishedRun:
        return FinishedRun(
            pid=event.pid,
            ended_at=event.at,
            uptime=event.uptime,
            outcome=event.outcome,
            problem="",
            cause=event.cause,
            expected=event.expected,
            decision=event.decision,
            usage=event.usage,
            oom_killed=event.oom_killed,
            stdout_tail=() if event.expected else self._tail(event.id, Stream.STDOUT),
            stderr_tail=() if event.expected else self._tail(event.id, Stream.STDERR),
        )

    def _tail(self, process_id: ProcessId, stream: Stream) -> tuple[str, ...]:
        """The last lines of this run; what an earlier one said is not evidence."""
        capture = self._streams(process_id).capture(stream)
        if capture is None:
            return ()
        ring = capture.ring
        begins = max(self._run_begins.get((process_id, stream), 0), ring.start)
        if ring.end <= begins:
            return ()
        _, tail = ring.read(max(begins, ring.end - _TAIL_BYTES))
        lines = tail.decode("utf-8", "replace").removesuffix("\n").split("\n")
        return tuple(lines[-_TAIL_LINES:])


def _of_failed_spawn(failed: SpawnFailed, followed: StateChanged) -> FinishedRun:
    delay = followed.retry_delay if followed.new is PublicState.BACKOFF else None
    decision = "given up" if delay is None else f"starts again in {in_seconds(delay)}"
    return FinishedRun(
        pid=None,
        ended_at=failed.at,
        uptime=0.0,
        outcome=None,
        problem=failed.reason,
        cause=ExitCause.START_FAILURE,
        expected=False,
        decision=f"{decision}: {followed.reason}",
        usage=Usage(),
    )
