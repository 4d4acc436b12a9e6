"""Carries out what the core decides, and tells it what came of it.

Theory of operation
-------------------
Everything runs on one thread between awaits. An input is appended to a queue and handled when the
effects of those before it are done: results of effects are queued, never fed back from within, so
the core is never entered twice. There is one timer, armed for the core's one deadline.

Spawning is the only effect that takes long (0.7 ms). Spawns wait in a queue of their own and are
done for a few milliseconds per turn of the loop: starting 1,000 programs leaves the API answering
and other deaths noticed, and a single restart is still done in the very turn that saw the death.
"""

import asyncio
import errno
import functools
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from opsvisor.core.effects import (
    CancelSpawn,
    Effect,
    Forget,
    Publish,
    ShutdownComplete,
    SignalProcess,
    Spawn,
    StartProbe,
    StopProbe,
)
from opsvisor.core.events import PlanApplied, ProcessChanged
from opsvisor.core.inputs import DeadlinePassed, Exited, Input, SignalFault, Spawned, SpawnFault
from opsvisor.core.instant import Instant
from opsvisor.core.outcome import Outcome, Usage, signal_name
from opsvisor.core.plan import PlanDiff
from opsvisor.core.spec import Pid, ProcessId, ProcessSpec, Startup
from opsvisor.core.supervisor import Supervisor
from opsvisor.core.view import ProcessView
from opsvisor.runtime import clock
from opsvisor.runtime.bus import EventBus
from opsvisor.runtime.groups import StoppedGroups
from opsvisor.runtime.logs.syslog import Syslog
from opsvisor.runtime.oom import OomWatch
from opsvisor.runtime.output import Output, OutputListeners
from opsvisor.runtime.probes import Commands, Names, Probes, ask
from opsvisor.runtime.reaper import Orphan, Reaper
from opsvisor.runtime.sockets import Hold, SharedSockets, SocketError
from opsvisor.runtime.spawn import SpawnError, find_executable, spawn
from opsvisor.runtime.streams import ProcessStreams

# Longest time spent on spawning before the loop gets another turn, in seconds.
_SPAWN_SLICE = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Observer:
    """Who wants to know how long things took, and what went wrong inside. All must be quick."""

    spawn_took: Callable[[float], None]
    loop_lagged: Callable[[float], None]
    reap_took: Callable[[float], None]
    run_ended: Callable[[ProcessId, Pid, Usage], None]
    orphan_reaped: Callable[[Orphan], None]
    forgotten: Callable[[ProcessId], None]
    run_began: Callable[[ProcessId, Pid], None] = lambda _id, _pid: None
    internal_error: Callable[[str, Exception], None]
    # process, stream, and what is wrong with its log; "" when all is well again
    log_problem: Callable[[ProcessId, str, str], None] = lambda _id, _stream, _problem: None
    # a line about a socket that programs share; and why one can't be made, before it has to be
    socket_told: Callable[[str], None] = lambda _line: None
    socket_problem: Callable[[str], None] = lambda _problem: None


class Engine:
    """Runs the core on a loop. `on_shutdown_complete` is called when nothing of ours is alive."""

    def __init__(
        self,
        supervisor: Supervisor,
        bus: EventBus,
        *,
        loop: asyncio.AbstractEventLoop,
        environment: Mapping[str, str],
        ring_size: int,
        on_shutdown_complete: Callable[[], None],
        syslog: Syslog | None = None,
        oom: OomWatch | None = None,
    ) -> None:
        self._oom = OomWatch() if oom is None else oom
        self._killed: set[Pid] = set()  # sent SIGKILL by us
        self._supervisor = supervisor
        self._bus = bus
        self._loop = loop
        self._environment = environment
        self._ring_size = ring_size
        self._syslog = syslog
        self._on_shutdown_complete = on_shutdown_complete
        self._inputs: deque[Input] = deque()
        self._draining = False
        self._spawns: dict[ProcessId, ProcessSpec] = {}  # in the order they were asked for
        self._spawning_later: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for: float | None = None
        self._ids: dict[Pid, ProcessId] = {}
        self._output = OutputListeners(on_error=self._listener_failed)
        self._groups = StoppedGroups(on_end=self._run_ended, later=loop.call_later)
        self._streams: dict[ProcessId, ProcessStreams] = {}
        self._null_input = -1
        self._holds: dict[Pid, Hold] = {}
        self._sockets = SharedSockets(tell=self._tell_of_socket)
        self._reaper = Reaper(loop, on_exit=self._groups.leader_exited, on_orphan=self._inherited)
        self._commands = Commands(loop, environment, self._reaper.watch)
        self._probes = Probes(
            loop,
            functools.partial(ask, commands=self._commands, names=Names()),
            answered=self.submit,
            on_error=lambda error: self._observer.internal_error("probes", error),
        )
        self._observer: Observer

    # -- life --------------------------------------------------------------------------------

    def open(self, observer: Observer) -> None:
        """Become the reaper. Before this, nothing must be submitted."""
        self._observer = observer
        self._null_input = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._reaper.open()

    def close(self) -> None:
        """Release descriptors and timers. Processes still alive are not touched."""
        for handle in (self._timer, self._spawning_later):
            if handle is not None:
                handle.cancel()
        self._probes.close()
        self._commands.close()
        self._reaper.close()
        for streams in self._streams.values():
            streams.close()
        self._streams.clear()
        self._sockets.close()
        os.close(self._null_input)

    # -- what others ask ---------------------------------------------------------------------

    def view(self, process_id: ProcessId) -> ProcessView:
        """One process as it is now. KeyError if there is no such process."""
        return self._supervisor.view(process_id, clock.now())

    def views(self) -> list[ProcessView]:
        """Every process as it is now, in order of group and name."""
        return self._supervisor.views(clock.now())

    def each_view(self) -> Iterator[ProcessView]:
        """Every process as it is when its turn comes, in the same order.

        For whoever gives the loop back in between, since 1,000 views take 9 ms. What leaves the
        plan meanwhile is left out, and what comes is not seen.
        """
        for process_id in self._supervisor.ids():
            if process_id in self._supervisor:
                yield self._supervisor.view(process_id, clock.now())

    def ids(self) -> list[ProcessId]:
        """Every process, in order of group and name."""
        return self._supervisor.ids()

    def streams(self, process_id: ProcessId) -> ProcessStreams:
        """Its standard streams. KeyError if there is no such process."""
        if process_id not in self._streams:
            self._streams[process_id] = self._new_streams(self.view(process_id).spec)
        return self._streams[process_id]

    def output_pipes(self) -> dict[int, ProcessId]:
        """Whose output comes out of which pipe, by inode."""
        return {
            pipe: process_id
            for process_id, streams in self._streams.items()
            for pipe in streams.pipes
        }

    def live(self) -> dict[ProcessId, Pid]:
        """The main process of everything that is alive."""
        return {process_id: pid for pid, process_id in self._ids.items()}

    def owner(self, pid: Pid) -> ProcessId | None:
        """Whose main process this is."""
        return self._ids.get(pid)

    def listen_to_output(self, listener: Callable[[Output], None]) -> None:
        """Call this with what processes print where their spec says so, and their messages."""
        self._output.listen(listener)

    def overhear_output(self, listener: Callable[[Output], None]) -> None:
        """Call this with all that processes print, told or not; before there are any."""
        assert not self._streams
        self._output.overhear(listener)

    def check_command(self, spec: ProcessSpec) -> None:
        """Raise SpawnError if the command of this spec can't be executed as things are now."""
        find_executable(spec, spec.environment_over(self._environment))

    def reopen_logs(self) -> None:
        """Open every log file again by name."""
        for streams in self._streams.values():
            streams.reopen()

    # -- inputs ------------------------------------------------------------------------------

    def submit(self, happened: Input) -> None:
        """Let the core handle this, now or as soon as it is done with what came before."""
        self._inputs.append(happened)
        if not self._draining:
            self._drain()

    def _drain(self) -> None:
        self._draining = True
        try:
            while self._inputs:
                happened = self._inputs.popleft()
                for effect in self._decide(happened):
                    self._perform_or_report(effect)
                if not self._inputs:
                    self._spawn_some()
        finally:
            self._draining = False
            self._arm()

    def _decide(self, happened: Input) -> list[Effect]:
        try:
            return self._supervisor.handle(happened, self._now_for(happened))
        except Exception as error:  # noqa: BLE001 - a bug in one process's machine must not
            # take the others' supervision down.
            self._observer.internal_error("core", error)
            return []

    def _now_for(self, happened: Input) -> Instant:
        now = clock.now()
        if isinstance(happened, DeadlinePassed) and self._armed_for is not None:
            # A loop may fire a timer a hair early; the core must still find it due.
            return Instant(mono=max(now.mono, self._armed_for), wall=now.wall)
        return now

    def _arm(self) -> None:
        deadline = self._supervisor.deadline
        if deadline == self._armed_for and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for = deadline
        self._timer = None
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self._deadline_passed)

    def _deadline_passed(self) -> None:
        self._timer = None
        if self._armed_for is not None:
            self._observer.loop_lagged(max(0.0, self._loop.time() - self._armed_for))
        self.submit(DeadlinePassed())

    # -- effects -----------------------------------------------------------------------------

    def _perform_or_report(self, effect: Effect) -> None:
        try:
            self._perform(effect)
        except Exception as error:  # noqa: BLE001 - the effects after it belong to others
            self._observer.internal_error("engine", error)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Publish():
                if isinstance(effect.event, ProcessChanged):
                    self._spec_changed(effect.event.spec)
                if isinstance(effect.event, PlanApplied):
                    self._try_sockets(effect.event.diff)
                self._bus.publish(effect.event)
            case Spawn():
                self._spawns[effect.spec.id] = effect.spec
            case CancelSpawn():
                if self._spawns.pop(effect.id, None) is not None:
                    self._inputs.append(SpawnFault(effect.id, "called off"))
            case SignalProcess():
                self._signal(effect)
            case StartProbe():
                self._probes.start(effect)
            case StopProbe():
                self._probes.stop(effect.id, effect.kind)
            case Forget():
                self._forget(effect.id)
            case ShutdownComplete():
                self._on_shutdown_complete()

    def _spawn_some(self) -> None:
        """Spawn for a few milliseconds; the rest in the next turn of the loop."""
        if self._spawning_later is not None or not self._spawns:
            return
        until = time.monotonic() + _SPAWN_SLICE
        while self._spawns and time.monotonic() < until:
            self._spawn(self._spawns.pop(next(iter(self._spawns))))
        if self._spawns:
            self._spawning_later = self._loop.call_soon(self._spawn_more)

    def _spawn_more(self) -> None:
        self._spawning_later = None
        self._draining = True
        try:
            self._spawn_some()
        finally:
            self._draining = False
        self._drain()

    def _spawn(self, spec: ProcessSpec) -> None:
        began = time.monotonic()
        hold: Hold | None = None
        try:
            streams = self._streams.get(spec.id)
            if streams is None:
                streams = self._streams[spec.id] = self._new_streams(spec)
            if spec.socket is not None:
                hold = self._sockets.take(spec)
            stdin = self._null_input if hold is None else hold.descriptor
            with streams.child_files(stdin) as files:
                pid = spawn(spec, files, self._environment)
        except SpawnError as error:
            self._not_spawned(SpawnFault(spec.id, error.reason, error.kind), hold)
            return
        except SocketError as error:
            self._not_spawned(SpawnFault(spec.id, str(error)), hold)
            return
        except OSError as error:
            self._not_spawned(SpawnFault(spec.id, _no_streams(spec, error)), hold)
            return
        except Exception as error:  # noqa: BLE001 - one spec must not cost the others their daemon
            self._observer.internal_error("engine", error)
            self._not_spawned(SpawnFault(spec.id, f"cannot start '{spec.id}': {error}"), hold)
            return
        self._observer.spawn_took(time.monotonic() - began)
        if hold is not None:
            self._holds[pid] = hold
        self._ids[pid] = spec.id
        self._oom.run_began(pid)
        self._output.run_began(spec.id, pid)
        self._observer.run_began(spec.id, pid)
        self._inputs.append(Spawned(spec.id, pid))
        try:
            self._reaper.watch(pid)
        except OSError as error:
            # Out of descriptors. Its end comes by SIGCHLD then.
            self._observer.internal_error("reaper", error)

    def _not_spawned(self, fault: SpawnFault, hold: Hold | None) -> None:
        if hold is not None:
            hold.let_go()
        self._inputs.append(fault)

    def _signal(self, effect: SignalProcess) -> None:
        if effect.pid not in self._ids:
            return  # it has ended, which the core is about to hear; the pid may be another's
        if effect.signum == signal.SIGKILL:
            self._killed.add(effect.pid)
        try:
            if effect.to_group:
                self._groups.signal(effect.pid, effect.signum)
            elif not self._groups.is_leaderless(effect.pid):  # its pid may be somebody else's
                os.kill(effect.pid, effect.signum)
        except ProcessLookupError:
            pass  # it ended by itself; its exit is on the way
        except OSError as error:
            reason = f"{signal_name(effect.signum)}: {error.strerror}"
            self._inputs.append(SignalFault(effect.id, effect.pid, reason))

    def _forget(self, process_id: ProcessId) -> None:
        streams = self._streams.pop(process_id, None)
        if streams is not None:
            streams.close()
        self._output.forget(process_id)
        self._observer.forgotten(process_id)

    def _spec_changed(self, spec: ProcessSpec) -> None:
        streams = self._streams.get(spec.id)
        if streams is not None:
            streams.update(spec)

    def _tell_of_socket(self, line: str) -> None:
        self._observer.socket_told(line)

    def _try_sockets(self, changes: PlanDiff) -> None:
        """Tell of trouble with the sockets of a new plan now, once for each.

        A process that starts by itself is about to tell.
        """
        specs = self._supervisor.plan.specs()
        waiting: dict[str, ProcessSpec] = {}
        for process_id in (*changes.added, *(change.id for change in changes.changed)):
            spec = specs[process_id]
            if spec.socket is not None and spec.startup is not Startup.ENABLED:
                waiting.setdefault(spec.socket.url, spec)
        for spec in waiting.values():
            problem = self._sockets.problem_of(spec)
            if problem:
                self._observer.socket_problem(problem)

    def _new_streams(self, spec: ProcessSpec) -> ProcessStreams:
        return ProcessStreams(
            spec,
            ring_size=self._ring_size,
            loop=self._loop,
            syslog=self._syslog,
            on_problem=lambda stream, problem: self._observer.log_problem(
                spec.id, stream.value, problem
            ),
            on_output=functools.partial(self._output.told, spec.id),
            on_message=functools.partial(self._output.message, spec.id),
            overhear=self._output.ear_of(spec.id),
        )

    def _listener_failed(self, error: Exception) -> None:
        self._observer.internal_error("output listener", error)

    # -- deaths ------------------------------------------------------------------------------

    def _run_ended(self, pid: Pid, outcome: Outcome, usage: Usage) -> None:
        began = time.monotonic()
        process_id = self._ids.pop(pid)
        streams = self._streams.get(process_id)
        if streams is not None:
            # Its last words are in the log, and in the post-mortem, before its end is handled.
            streams.run_ended()
        self._observer.run_ended(process_id, pid, usage)
        hold = self._holds.pop(pid, None)
        oom_killed = self._oom.run_ended(
            process_id, pid, outcome, killed_by_us=pid in self._killed
        )
        self._killed.discard(pid)
        self.submit(Exited(process_id, pid, outcome, usage, oom_killed))
        if hold is not None:  # only now: if it was started again at once, no client was refused
            hold.let_go()
        self._observer.reap_took(time.monotonic() - began)

    def _inherited(self, orphan: Orphan) -> None:
        self._observer.orphan_reaped(orphan)
        self._groups.member_reaped(Pid(orphan.process_group))


def _no_streams(spec: ProcessSpec, error: OSError) -> str:
    """Why there are no streams for a new run, in Supervisor's words."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"too many open files to spawn '{spec.id.name}'"
    name = errno.errorcode.get(error.errno or 0, str(error))
    return f"unknown error making dispatchers for '{spec.id.name}': {name}"
