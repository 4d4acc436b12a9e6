"""Takes back the runs that an earlier daemon left, or tells the core how they ended.

`adoption.py` finds out what there is; here it becomes ours again, in the order in which the
pieces of a new run come: its streams, then the run itself, then whoever watches it.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from signal import SIGKILL, pidfd_send_signal

from opsvisor.core.inputs import Adopted, Input, Spawned, SpawnLost
from opsvisor.core.outcome import Outcome, Usage
from opsvisor.core.spec import Pid, ProcessId, ProcessSpec
from opsvisor.runtime.adoption import Adoption, Found, RunMemento
from opsvisor.runtime.all_streams import AllStreams
from opsvisor.runtime.groups import StoppedGroups
from opsvisor.runtime.legacy import Legacy
from opsvisor.runtime.limits import Limits
from opsvisor.runtime.logs.stream import Stream
from opsvisor.runtime.marks import Marks
from opsvisor.runtime.pidfd import UNKNOWN, End, birth_of, has_ended
from opsvisor.runtime.reaper import Reaper
from opsvisor.runtime.sockets import Hold, SharedSockets
from opsvisor.runtime.trees import StoppedTrees

# How long the socket of a run that ended without us, or was not made, stays open for the next one,
# in seconds.
_HOLD_FOR_NEXT = 10.0


class TakingBack:
    """Answers `Adopt` and `FindSpawn`, with what was found last.

    `began`, `adopted` and `ended` are told of runs in these words before the core is, by `submit`.
    """

    def __init__(
        self,
        *,
        streams: AllStreams,
        sockets: SharedSockets,
        limits: Limits,
        marks: Marks,
        legacy: Legacy,
        reaper: Reaper,
        groups: StoppedGroups,
        trees: StoppedTrees,
        later: Callable[[float, Callable[[], None]], object],
        began: Callable[[ProcessId, Pid, Hold | None], None],
        adopted: Callable[[ProcessId, Pid, Hold | None], None],
        ended: Callable[[Pid, Outcome, Usage], None],
        submit: Callable[[Input], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._streams = streams
        self._sockets = sockets
        self._limits = limits
        self._marks = marks
        self._legacy = legacy
        self._reaper = reaper
        self._groups = groups
        self._trees = trees
        self._later = later
        self._began = began
        self._adopted = adopted
        self._ended = ended
        self._submit = submit
        self._on_error = on_error
        self._adoption = Adoption()
        self._next_specs: Mapping[ProcessId, ProcessSpec] = {}
        self._early: dict[ProcessId, tuple[RunMemento, Found]] = {}

    @contextmanager
    def what_is_found_by(
        self, adoption: Adoption, next_specs: Mapping[ProcessId, ProcessSpec]
    ) -> Iterator[None]:
        """Answer inside the block with what this finds.

        `next_specs` are of those whose run is still by another one: their logs follow it already.
        """
        self._adoption, self._next_specs = adoption, next_specs
        yield
        self._adoption, self._next_specs = Adoption(), {}
        self._legacy.all_taken_back()
        for process_id, (_, found) in self._early.items():
            self._on_error(RuntimeError(f"{process_id} was made early, and is not asked for"))
            _kill(found)
        self._early.clear()

    def adopt(self, spec: ProcessSpec, pid: Pid) -> None:
        """Take back a run, or find out how it ended."""
        run = self._adoption.run_of(spec.id)
        if self._groups.is_leaderless(pid):  # it was reaped, and others of its group are left
            self._take_back_streams(spec, run, None)
            self._adopted(spec.id, pid, self._take_back_socket(spec, None))
            self._submit(Adopted(spec.id, pid))
            return
        found = self._adoption.look_at(run, pid)
        early = self._adoption.find_early(spec.id)
        if early is not None and not _lives(found):  # or what was foretold is an old story
            self._early[spec.id] = early
            found = self._ended_already(pid, found)
        if isinstance(found, Found):
            self._take_back(spec, run, found)
            self._submit(Adopted(spec.id, pid))
            return
        self._take_back_streams(spec, run, None)
        self._adopted(spec.id, pid, None)
        self._hold_socket_for_next(spec)
        self._ended(pid, found.outcome, found.usage)
        if self._trees.holds(spec.id, pid):  # its end is told when the rest of its tree is gone
            self._submit(Adopted(spec.id, pid))

    def take_early(self, spec: ProcessSpec) -> bool:
        """Whether the process that is asked for was made by the daemon before us already."""
        early = self._early.pop(spec.id, None)
        if early is None:
            return False
        self._take_back_made(spec, *early)
        return True

    def _ended_already(self, pid: Pid, found: Found | End) -> End:
        """How this run ended; unknown if whoever is to collect it hasn't yet."""
        if isinstance(found, End):
            return found
        if found.pidfd is not None:
            self._legacy.pidfd(pid, None)
            os.close(found.pidfd)
        return UNKNOWN

    def find_spawn(self, spec: ProcessSpec) -> None:
        """Find the process that was asked for, if it was made."""
        run = self._adoption.run_of(spec.id)
        early = self._adoption.find_early(spec.id)
        if early is not None:
            self._take_back_made(spec, *early)
            return
        found = self._adoption.find_spawn(run)
        if found is None:
            self._take_back_streams(spec, run, None)  # of earlier runs
            self._hold_socket_for_next(spec)
            self._submit(SpawnLost(spec.id))
            return
        if isinstance(found, End):
            self._take_back_streams(spec, run, None)
            self._hold_socket_for_next(spec)
            self._began(spec.id, run.pid, None)
            self._submit(Spawned(spec.id, run.pid))
            self._ended(run.pid, found.outcome, found.usage)
            return
        self._take_back_made(spec, run, found)

    def _take_back_made(self, spec: ProcessSpec, run: RunMemento, found: Found) -> None:
        """Take back a run of which the core has not heard."""
        self._legacy.made(spec.id, found.pid, found.born)
        self._take_back(spec, run, found)
        self._submit(Spawned(spec.id, found.pid))

    def _take_back(self, spec: ProcessSpec, run: RunMemento, found: Found) -> None:
        self._take_back_streams(spec, run, found.pid)
        if not self._adoption.is_exact:
            self._groups.adopt(found.pid)
        self._adopted(spec.id, found.pid, self._take_back_socket(spec, found.pid))
        self._limits.adopted(spec)
        self._marks.note(spec, found.pid)
        self._reaper.watch_adopted(found.pid, born=found.born, pidfd=found.pidfd)
        pidfd = self._reaper.pidfd_of(found.pid)
        if pidfd is not None:
            self._legacy.pidfd(found.pid, pidfd)

    def _take_back_streams(self, spec: ProcessSpec, run: RunMemento, pid: Pid | None) -> None:
        streams = self._streams.of(spec)
        for stream, pipes in ((Stream.STDOUT, run.stdout), (Stream.STDERR, run.stderr)):
            for pipe in pipes:
                reader = self._adoption.reader(pipe, pid)
                if reader is not None:
                    streams.adopt_reader(stream, reader)
        writer = None if run.stdin is None else self._adoption.writer(run.stdin, pid)
        if writer is not None:
            streams.adopt_stdin(writer)
        self._streams.recall(spec.id, streams)
        if (next_spec := self._next_specs.get(spec.id)) is not None:
            streams.update(next_spec)
        self._legacy.taken_back(spec.id)

    def _take_back_socket(self, spec: ProcessSpec, pid: Pid | None) -> Hold | None:
        if spec.socket is None:
            return None
        listener = self._adoption.listener(spec.socket.url, pid)
        return None if listener is None else self._sockets.adopt(spec, listener)

    def _hold_socket_for_next(self, spec: ProcessSpec) -> None:
        """Keep the socket of a run that is over, or never was, for the run that follows it.

        Else that could not listen: what was kept for us is still open.
        """
        hold = self._take_back_socket(spec, None)
        if hold is not None:
            self._later(_HOLD_FOR_NEXT, hold.let_go)


def _kill(found: Found) -> None:
    """Kill a process that is not our child, and its group if that is its own."""
    with suppress(OSError):  # it has ended
        pidfd = os.pidfd_open(found.pid) if found.pidfd is None else found.pidfd
        try:
            if birth_of(found.pid) == found.born:  # asked while the pidfd holds whom it names
                with suppress(ProcessLookupError):
                    os.killpg(found.pid, SIGKILL)
                pidfd_send_signal(pidfd, SIGKILL)
        finally:
            os.close(pidfd)


def _lives(found: Found | End) -> bool:
    """Whether this run has not ended, collected or not, as far as can be seen."""
    return isinstance(found, Found) and (found.pidfd is None or not has_ended(found.pidfd))
