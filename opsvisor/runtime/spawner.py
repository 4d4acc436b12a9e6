"""Makes the process of a run, with all that it is given: streams, socket, cgroup and mark."""

import errno
import os
import time
from collections.abc import Callable, Mapping

from opsvisor.core.inputs import SpawnFault
from opsvisor.core.spec import Pid, ProcessId, ProcessSpec
from opsvisor.core.struct import Struct
from opsvisor.runtime.all_streams import AllStreams
from opsvisor.runtime.early import Early, EarlySpawns
from opsvisor.runtime.forkserver import ForkServer
from opsvisor.runtime.legacy import Legacy
from opsvisor.runtime.limits import Limits
from opsvisor.runtime.logs.capture import StreamCapture
from opsvisor.runtime.marks import Marks, may_outlive
from opsvisor.runtime.pidfd import Births, this_tick
from opsvisor.runtime.sockets import Hold, SharedSockets, SocketError
from opsvisor.runtime.spawn import Begun, ChildFiles, SpawnError, begin, expect
from opsvisor.runtime.streams import ProcessStreams


class Prepared(Struct, frozen=True, kw_only=True):
    """A process that is about to be made, with what it is given. `seconds`: what that took.

    `early`: it is there already.
    """

    spec: ProcessSpec
    streams: ProcessStreams
    files: ChildFiles
    hold: Hold | None
    cgroup: str | None
    seconds: float
    early: Early | None = None


class Made(Struct, frozen=True, kw_only=True):
    """A process that was made, and its hold of the socket that it listens on, if it has one.

    `born`: in which tick after boot. `seconds`: what all that took.
    """

    id: ProcessId
    pid: Pid
    born: int
    hold: Hold | None
    seconds: float


class Ordered(Struct, frozen=True, kw_only=True):
    """A process that was begun, and whose program has not: it is to be finished.

    It was ordered after tick `since`, and `at` a monotonic instant. `held` are read then.
    """

    prepared: Prepared
    begun: Begun
    since: int
    at: float
    held: tuple[StreamCapture, ...]


class Spawner:
    """Makes processes. Between `prepare` and `begin` it has to be remembered what is intended.

    Any number can be prepared, and remembered at once. `on_error` is told of bugs.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        streams: AllStreams,
        sockets: SharedSockets,
        limits: Limits,
        marks: Marks,
        legacy: Legacy,
        forks: ForkServer,
        early: EarlySpawns,
        on_error: Callable[[Exception], None],
    ) -> None:
        self._environment = environment
        self._streams = streams
        self._sockets = sockets
        self._limits = limits
        self._marks = marks
        self._legacy = legacy
        self._forks = forks
        self._on_error = on_error
        self._early = early
        self.null_input = -1
        self._births = Births()

    def open(self) -> None:
        """Make ready."""
        self.null_input = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Make nothing any more."""
        self._early.settle()
        os.close(self.null_input)

    def prepare(self, spec: ProcessSpec) -> Prepared | SpawnFault:
        """Open what a process of this spec is given, and note it; or tell why that can't be."""
        began = time.monotonic()
        hold: Hold | None = None
        early = self._early.take(spec)
        try:
            streams = self._streams.of(spec)
            if spec.socket is not None:
                hold = self._sockets.take(spec)
            cgroup = self._limits.prepare(spec)
            files = streams.open_for_run(
                self.null_input if hold is None else hold.descriptor,
                None if early is None else early.pipes,
            )
        except Exception as error:  # noqa: BLE001 - one spec must not cost the others their daemon
            if early is not None:
                self._early.end(early)
            return _not_made(self._fault(spec, error), hold)
        since = this_tick() if early is None else early.since
        self._legacy.intend(spec.id, since)
        return Prepared(
            spec=spec,
            streams=streams,
            files=files,
            hold=hold,
            cgroup=cgroup,
            seconds=time.monotonic() - began,
            early=early,
        )

    def begin(self, prepared: Prepared) -> Made | Ordered | SpawnFault:
        """Make the process, or have it made, or tell why that can't be."""
        spec, early = prepared.spec, prepared.early
        if early is not None:
            born = self._births.of(early.pid, early.since)
            return self._made(prepared, early.pid, born, early.seconds)
        at = time.monotonic()
        since = this_tick()
        expect(self._forks, spec, prepared.files, prepared.cgroup)
        try:
            with self._marks.handed_on(spec.id, may_outlive=may_outlive(spec)):
                begun = begin(
                    spec,
                    prepared.files,
                    self._environment,
                    cgroup=prepared.cgroup,
                    forks=self._forks,
                )
        except Exception as error:  # noqa: BLE001 - likewise
            return self._failed(prepared, error)
        if isinstance(begun, Begun):
            # What it prints is its own, and it has no pid yet by which anybody could know that.
            held = prepared.streams.hold_back()
            return Ordered(prepared=prepared, begun=begun, since=since, at=at, held=held)
        return self._made(prepared, begun, self._births.of(begun, since), time.monotonic() - at)

    def finish(self, ordered: Ordered) -> Made | SpawnFault:
        """Wait until its program begins, or tell why it doesn't."""
        for capture in ordered.held:
            capture.go_on()
        try:
            pid = ordered.begun.finish()
        except Exception as error:  # noqa: BLE001 - likewise
            return self._failed(ordered.prepared, error)
        born = self._births.of(pid, ordered.since)
        return self._made(ordered.prepared, pid, born, time.monotonic() - ordered.at)

    def _made(self, prepared: Prepared, pid: Pid, born: int, seconds: float) -> Made:
        spec = prepared.spec
        self._marks.note(spec, pid)
        prepared.files.close()
        return Made(
            id=spec.id,
            pid=pid,
            born=born,
            hold=prepared.hold,
            seconds=prepared.seconds + seconds,
        )

    def _failed(self, prepared: Prepared, error: Exception) -> SpawnFault:
        prepared.streams.run_failed()
        prepared.files.close()
        return _not_made(self._fault(prepared.spec, error), prepared.hold)

    def give_up(self, prepared: Prepared) -> None:
        """Close what was opened for a process that is not to be made after all.

        Its hold of a socket is whoever's who asks for this.
        """
        if prepared.early is not None:
            self._early.end(prepared.early)
        prepared.streams.run_failed()
        prepared.files.close()

    def leave(self, ordered: Ordered) -> None:
        """Hear no more of a process that was ordered; whoever comes after us finds it."""
        ordered.begun.birth.close()
        ordered.prepared.files.close()

    def _fault(self, spec: ProcessSpec, error: Exception) -> SpawnFault:
        match error:
            case SpawnError():
                return SpawnFault(spec.id, error.reason, error.kind)
            case SocketError():
                return SpawnFault(spec.id, str(error))
            case OSError():
                return SpawnFault(spec.id, _no_streams(spec, error))
            case _:
                self._on_error(error)
                return SpawnFault(spec.id, f"cannot start '{spec.id}': {error}")


def _not_made(fault: SpawnFault, hold: Hold | None) -> SpawnFault:
    if hold is not None:
        hold.let_go()
    return fault


def _no_streams(spec: ProcessSpec, error: OSError) -> str:
    """Why there are no streams for a new run, in Supervisor's words."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"too many open files to spawn '{spec.id.name}'"
    name = errno.errorcode.get(error.errno or 0, str(error))
    return f"unknown error making dispatchers for '{spec.id.name}': {name}"
