"""Carries out what the core decides, and tells it what came of it.

Theory of operation
-------------------
Everything runs on one thread between awaits. An input is appended to a queue and handled when the
effects of those before it are done: results of effects are queued, never fed back from within, so
the core is never entered twice. There is one timer, armed for the core's one deadline.

What the kernel reports comes in crowds: of 1,000 programs that are stopped, hundreds end in one
turn of the loop. All ends that are known by then are handled together, and so is what was made in
between, because much of what they cost is paid once for any number: all that has changed is
written by one write(2).

Spawning is the only effect that takes long: it is done a few processes at a time, in turns with
all others (spawning.py).

What has changed is remembered before anything reaches the outside: facts are published first, then
all of it is committed at once, and only then is a process made or signalled. Whoever finds that
memory, and no daemon, has never to do with less than was done; what of the last few microseconds
was not done yet, the core asks for again. Lines of the log can wait for the end of all that: a
program that has died is there again before they are written. If it had run for a while, all of it
can: where a restart at once is certain, the process is made before the end is handled (early.py).
"""

import asyncio
import functools
import os
import signal
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from opsvisor.core.effects import (
    Adopt,
    CancelSpawn,
    Effect,
    FindSpawn,
    Forget,
    Publish,
    ShutdownComplete,
    SignalProcess,
    Spawn,
    StartProbe,
    StopProbe,
)
from opsvisor.core.events import Event, PlanApplied, ProcessChanged
from opsvisor.core.inputs import (
    DeadlinePassed,
    Exited,
    Input,
    Restart,
    Resume,
    SignalFault,
    Spawned,
    SpawnFault,
    Start,
    Stop,
)
from opsvisor.core.instant import Instant
from opsvisor.core.outcome import Outcome, Usage, signal_name
from opsvisor.core.plan import PlanDiff
from opsvisor.core.spec import NOBODY, KillMode, Pid, ProcessId, ProcessSpec, Startup
from opsvisor.core.supervisor import Supervisor
from opsvisor.core.view import ProcessView
from opsvisor.runtime import clock
from opsvisor.runtime.adoption import Adoption
from opsvisor.runtime.all_streams import AllStreams
from opsvisor.runtime.bus import EventBus
from opsvisor.runtime.early import EarlySpawns
from opsvisor.runtime.forkserver import Awaited, ForkServer
from opsvisor.runtime.groups import StoppedGroups
from opsvisor.runtime.inheritance import EngineMemento, Inheritance
from opsvisor.runtime.keeper import Keeper, names
from opsvisor.runtime.legacy import Legacy
from opsvisor.runtime.limits import Limits
from opsvisor.runtime.logs.syslog import Syslog
from opsvisor.runtime.marks import Marks
from opsvisor.runtime.memory.foretold import Foretold
from opsvisor.runtime.observer import Observer
from opsvisor.runtime.oom import OomWatch
from opsvisor.runtime.output import Output, OutputListeners
from opsvisor.runtime.probes import Commands, Names, Probes, ask
from opsvisor.runtime.reaper import OnExit, Orphan, Reaper
from opsvisor.runtime.sockets import Hold, SharedSockets
from opsvisor.runtime.spawn import find_executable
from opsvisor.runtime.spawn_queue import Line
from opsvisor.runtime.spawner import Made, Spawner
from opsvisor.runtime.spawning import Spawning, Told
from opsvisor.runtime.streams import ProcessStreams
from opsvisor.runtime.taking_back import TakingBack
from opsvisor.runtime.trees import HeldEnd, StoppedTrees, Tree, descendants
from opsvisor.runtime.turns import TURNS_OF_OTHERS, Later

# After a run of so many seconds a process is not one that crashes and starts all the time.
_SETTLED_AFTER = 0.1

# Inputs that are handled together at most, since others wait meanwhile.
_CROWD_MAX = 64

# What comes in crowds: each is about one process, and all of it can wait for the last of them.
_CROWDED = (Exited, Spawned, SpawnFault, Start, Stop, Restart)

# How long an upgrade waits for the end of trees that are being killed, and for what is to be done
# before and after that, in seconds. Where programs die faster than they are made that has no end.
_TREES_PATIENCE = 1.0
_WORK_PATIENCE = 0.2
_LOOK_AGAIN_AFTER = 0.001


class Engine:
    """Runs the core on a loop.

    `on_shutdown_complete` is called when nothing of ours is alive, with the exit status of the
    essential process that began the shutdown, None if it was asked for.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        bus: EventBus,
        *,
        loop: asyncio.AbstractEventLoop,
        environment: Mapping[str, str],
        ring_size: int,
        on_shutdown_complete: Callable[[int | None], None],
        syslog: Syslog | None = None,
        oom: OomWatch | None = None,
        marks: Marks | None = None,
        limits: Limits | None = None,
        remember: Callable[[], None] = lambda: None,
        foretold: Foretold | None = None,
    ) -> None:
        self._remember = remember
        self.legacy = Legacy()
        self._oom = OomWatch() if oom is None else oom
        self._killed: set[Pid] = set()  # sent SIGKILL by us
        self._supervisor = supervisor
        self._bus = bus
        self._loop = loop
        self._environment = environment
        self._on_shutdown_complete = on_shutdown_complete
        self._inputs: deque[Input] = deque()
        self._draining = False
        self._is_uncommitted = False  # whether something may have changed since the last commit
        self._input_listeners: list[Callable[[Input], None]] = []
        self._later = Later(loop, self._drain)  # goes on with inputs and spawns
        self._holds_over: list[tuple[ProcessId, Hold]] = []  # of runs that have ended
        self._reaped_in: list[float] = []  # seconds; told when those that ended are there again
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for: float | None = None
        self._ids: dict[Pid, ProcessId] = {}
        self._settled: set[ProcessId] = set()  # whose last run was one to go on with at once
        self._was_soon_over = False  # a run that has ended, and is not yet handled
        self._whole_ended: set[ProcessId] = set()  # whose last run ended with all of its tree
        self._output = OutputListeners(on_error=self._listener_failed)
        self._marks = Marks() if marks is None else marks
        self.limits = Limits(None) if limits is None else limits
        self._groups = StoppedGroups(on_end=self._group_ended, later=loop.call_later)
        self._trees = StoppedTrees(
            self._held_end_over,
            loop=loop,
            on_gone=self._later.ask,
            on_error=lambda error: self._observer.internal_error("trees", error),
            are_more_coming=lambda: self._reaper.has_more,
        )
        self._births = Awaited(loop, some_over=self._births_over)
        self._reaper = Reaper(
            loop,
            on_exit=self._leader_exited,
            on_orphan=self._inherited,
            on_ended=self._ended_just_now,
            on_unwatch=self._unwatched,
            claim=self._births.claim,
            all_told=self._ends_told,
        )
        self._streams = AllStreams(
            ring_size=ring_size,
            loop=loop,
            syslog=syslog,
            output=self._output,
            on_problem=lambda process_id, stream, problem: self._observer.log_problem(
                process_id, stream.value, problem
            ),
            on_unheard=lambda process_id, stream, pipes: self._observer.log_unheard(
                process_id, stream.value, pipes
            ),
            on_pipe=self.legacy.pipe,
            on_spares=self.legacy.keep,
            before_ends=self._reaper.tell_now,
        )
        self.legacy.streams = self._streams
        self._holds: dict[Pid, Hold] = {}
        self._sockets = SharedSockets(self._tell_of_socket, self.legacy.socket)
        self._forks = ForkServer(loop, self._reaper)
        self._early = EarlySpawns(
            environment,
            streams=self._streams,
            limits=self.limits,
            marks=self._marks,
            foretold=Foretold(None) if foretold is None else foretold,
        )
        self._spawner = Spawner(
            environment,
            streams=self._streams,
            sockets=self._sockets,
            limits=self.limits,
            marks=self._marks,
            legacy=self.legacy,
            forks=self._forks,
            on_error=lambda error: self._observer.internal_error("engine", error),
            early=self._early,
        )
        self._spawning = Spawning(
            self._spawner,
            awaited=self._births,
            # What is ending would be taken for a part of its tree; its turn comes after that.
            may_be_made=lambda process_id: not self._trees.is_ending(process_id),
            told=Told(
                prepared=self._prepared,
                made=self._spawned,
                failed=self._inputs.append,
                hold_over=lambda *one: self._holds_over.append(one),
                go_on=self._later.ask,
            ),
        )
        self._taking_back = TakingBack(
            streams=self._streams,
            sockets=self._sockets,
            limits=self.limits,
            marks=self._marks,
            legacy=self.legacy,
            reaper=self._reaper,
            groups=self._groups,
            trees=self._trees,
            later=loop.call_later,
            began=self._run_began,
            adopted=self._run_adopted,
            ended=self._group_ended,
            submit=self.submit,
            on_error=lambda error: self._observer.internal_error("engine", error),
        )
        self._commands = Commands(
            loop,
            environment,
            self._reaper.watch,
            forks=self._forks,
            awaited=self._births,
            marks=self._marks,
        )
        self._probes = Probes(
            loop,
            functools.partial(ask, commands=self._commands, names=Names()),
            answered=self.submit,
            on_error=lambda error: self._observer.internal_error("probes", error),
        )
        self._observer: Observer

    # -- life --------------------------------------------------------------------------------

    def open(self, observer: Observer, keeper: Keeper | None = None) -> None:
        """Become the reaper. Before this, nothing must be submitted.

        `keeper` holds copies of what a next daemon will need.
        """
        self._observer = observer
        self.legacy.keeper = keeper
        if keeper is not None:
            keeper.list_by(self._kept_of_programs)
        self._spawner.open()
        self._reaper.open()

    def close(self, *, leave_sockets: bool = False) -> None:
        """Release descriptors and timers. Processes still alive are not touched.

        `leave_sockets`: the files of sockets that they share stay where they are, too.
        """
        self._later.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._probes.close()
        self._births.close()
        self._commands.close()
        self._trees.close()
        self._forks.close()
        self._reaper.close()
        self._spawning.close()
        self._streams.close()
        if not leave_sockets:
            self._sockets.close()
        self._oom.close()
        self._spawner.close()

    def watch(self, pid: Pid, on_exit: OnExit) -> None:
        """Tell somebody of the end of a child of theirs, also before `open`."""
        self._reaper.watch(pid, on_exit)

    def leave(self, pid: Pid) -> None:
        """Tell nobody of the end of this child any more; who asks for that collects it."""
        self._reaper.leave(pid)

    def resume(self, past: Resume, adoption: Adoption) -> None:
        """Go on where an earlier daemon ended. The first thing that is done, if it is at all."""
        next_specs: dict[ProcessId, ProcessSpec] = {}
        for remembered in past.memento.processes:
            self.legacy.expect(adoption.run_of(remembered.spec.id))
            if (next_spec := remembered.memento.next_spec) is not None:
                next_specs[next_spec.id] = next_spec
        with self._taking_back.what_is_found_by(adoption, next_specs):
            self.submit(past)
        self._streams.be_for(self._supervisor.plan.specs().values())
        if self._ids:
            self._streams.make_ready()  # or the first restart would find none: none was begun here

    def inherit(self, past: Resume, inheritance: Inheritance) -> None:
        """Go on where another process was that became us by exec. Like `resume`, and exact."""
        known = inheritance.past
        self._killed.update(known.killed)
        self._groups.recall(known.groups)
        self._streams.expect(known.streams)
        self.resume(past, inheritance)
        for process_id in self._streams.expected:  # of those that do not run
            if process_id in self._supervisor:
                self._streams.recall(process_id, self.streams(process_id))
        self._streams.expect(())
        self._commands.end_inherited(known.commands)
        self._reaper.look_around()

    # -- for whoever takes our place ---------------------------------------------------------

    def remember(self, *, output_limit: int) -> EngineMemento:
        """What another process needs to go on, with so many bytes of output of each stream."""
        return EngineMemento(
            runs=tuple(self.legacy.runs),
            killed=tuple(sorted(self._killed)),
            groups=self._groups.remember(),
            held=tuple(self._trees.held()),
            streams=self._streams.remember(output_limit=output_limit),
            commands=self._commands.alive,
        )

    def descriptors(self) -> dict[str, int]:
        """All that another process needs, by the names that a keeper has for them."""
        found = {names.of_socket(url): one for url, one in self._sockets.descriptors.items()}
        found.update(self._streams.descriptors)
        for pid in self._ids:
            pidfd = self._reaper.pidfd_of(pid)
            if pidfd is not None:
                found[names.of_process(pid)] = pidfd
        return found

    def _kept_of_programs(self) -> dict[str, int]:
        """All that a keeper holds of programs, also what another process makes anew for itself."""
        return {**self.descriptors(), **self._streams.spare_descriptors}

    @property
    def stream_count(self) -> int:
        """How many streams there are to remember."""
        return self._streams.count

    @property
    def marks(self) -> Marks:
        """What tells processes of ours from others."""
        return self._marks

    async def rest(self) -> None:
        """Return when all that is to be done now has been, which takes some turns of the loop.

        Nor does a thread kill anything in that moment, or what it has frozen first would stay so
        until the next look. Neither is waited for in vain: processes that are not made yet are
        asked for again by whoever takes our place.
        """
        is_idle = asyncio.Event()
        await _for_a_while(self._nothing_to_go_on_with(), _WORK_PATIENCE)
        self._trees.when_idle(is_idle.set)
        await _for_a_while(is_idle.wait(), _TREES_PATIENCE)
        await _for_a_while(self._nothing_to_go_on_with(), _WORK_PATIENCE)  # after those trees

    async def _nothing_to_go_on_with(self) -> None:
        while self._later.is_due or self._spawning.are_on_the_way:  # noqa: ASYNC110 - no event
            # is worth its upkeep
            await asyncio.sleep(0 if self._later.is_due else _LOOK_AGAIN_AFTER)

    def end_fork_server(self) -> None:
        """End it, at once. Who becomes us by exec would find it among its children."""
        self._forks.close()

    def flush_logs(self) -> None:
        """Write what only memory holds of logs, as far as it is taken."""
        self._streams.flush()

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

    def __contains__(self, process_id: ProcessId) -> bool:
        """Whether there is such a process."""
        return process_id in self._supervisor

    def ids(self) -> tuple[ProcessId, ...]:
        """Every process, in order of group and name."""
        return self._supervisor.ids()

    def streams(self, process_id: ProcessId) -> ProcessStreams:
        """Its standard streams. KeyError if there is no such process."""
        return self._streams.get(process_id) or self._streams.of(self.view(process_id).spec)

    def output_pipes(self) -> dict[int, ProcessId]:
        """Whose output comes out of which pipe, by inode."""
        return self._streams.pipes

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
        assert self._streams.is_empty
        self._output.overhear(listener)

    def listen_to_inputs(self, listener: Callable[[Input], None]) -> None:
        """Call this with every input, once its facts are told. It must be quick."""
        self._input_listeners.append(listener)

    def check_command(self, spec: ProcessSpec) -> None:
        """Raise SpawnError if the command of this spec can't be executed as things are now."""
        find_executable(spec, spec.environment_over(self._environment))

    def reopen_logs(self) -> None:
        """Open every log file again by name."""
        self._streams.reopen()

    # -- inputs ------------------------------------------------------------------------------

    def submit(self, happened: Input) -> None:
        """Let the core handle this, now or as soon as it is done with what came before."""
        self._inputs.append(happened)
        if not self._draining:
            self._drain()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Handle all that is submitted in this block at its end, at the price of one."""
        was_draining, self._draining = self._draining, True
        try:
            yield
        finally:
            self._draining = was_draining
            if not was_draining:  # also after an error: what was submitted before it is asked for
                self._drain()

    def _submit_soon(self, happened: Input) -> None:
        """As `submit`, together with whatever else happens in this turn of the loop."""
        self._inputs.append(happened)
        self._later.ask()

    def settle(self) -> None:
        """Handle what is known to have ended, as it would be in the next turn of the loop.

        Nor is any process half made after that: a second is waited for those, and none is begun.
        """
        self._births.finish()
        if self._inputs:
            self._spawning.pause()
            self._drain()

    def _ends_told(self) -> None:
        """Go on with these ends at once: there are no others that it would be cheaper with.

        Not with those that begin and end all the time: a few of them would leave others half as
        many turns of the loop, and a request takes some.
        """
        if not self._inputs or self._draining or self._spawning.has_some or self._was_soon_over:
            return
        self._later.cancel()
        self._drain()

    def _drain(self) -> None:
        self._draining = True
        self._was_soon_over = False
        try:
            with self._bus.together:
                while self._inputs or self._spawn_some():
                    self._handle_some()
        finally:
            self._draining = False
            if (unwanted := self._early.settle()) is not None:
                error = RuntimeError(f"{unwanted} was made early, and not asked for")
                self._observer.internal_error("engine", error)
            if not self._is_uncommitted or self._commit():
                self._early.fulfil()
            self._spawning.end_turn()
            self.legacy.keep()
            self._arm()
            self._let_go_of_sockets()
            reaped_in, self._reaped_in = self._reaped_in, []
            for seconds in reaped_in:
                self._observer.reap_took(seconds)

    def _let_go_of_sockets(self) -> None:
        """Of processes that have ended; not before those to be started again have taken theirs.

        Else clients would be refused in between.
        """
        if not self._holds_over:
            return
        is_waiting = self._spawning.is_waiting
        over = [one for one in self._holds_over if not is_waiting(one[0])]
        self._holds_over = [one for one in self._holds_over if is_waiting(one[0])]
        for _, hold in over:
            hold.let_go()

    def _handle_some(self) -> None:
        """The next input, together with those after it that can be."""
        batch = [self._inputs.popleft()]
        now = self._now_for(batch[0])
        effects = self._decide(batch[0], now)
        while len(batch) < _CROWD_MAX and self._has_another(batch[0]):
            batch.append(self._inputs.popleft())
            # What happens together has one time: for each to keep its own takes 80 bytes.
            if not isinstance(batch[-1], _CROWDED):
                now = self._now_for(batch[-1])
            effects += self._decide(batch[-1], now)
        self._perform_all(effects)
        for happened in batch:
            self._tell_of(happened)

    def _has_another(self, first: Input) -> bool:
        """Whether the next input can be handled together with this one: there is one then."""
        if isinstance(first, DeadlinePassed):
            deadline = self._supervisor.deadline
            if deadline is not None and deadline <= self._loop.time():
                self._inputs.appendleft(DeadlinePassed())
                return True
            return False
        return (
            bool(self._inputs)
            and isinstance(first, _CROWDED)
            and isinstance(self._inputs[0], _CROWDED)
        )

    def _decide(self, happened: Input, now: Instant) -> list[Effect]:
        try:
            return self._supervisor.handle(happened, now)
        except Exception as error:  # noqa: BLE001 - a bug in one process's machine must not
            # take the others' supervision down.
            self._observer.internal_error("core", error)
            return []

    def _tell_of(self, happened: Input) -> None:
        for listener in self._input_listeners:
            try:
                listener(happened)
            except Exception as error:  # noqa: BLE001 - a watcher's bug must not stop supervision
                self._observer.internal_error("input listener", error)

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

    def _perform_all(self, effects: list[Effect]) -> None:
        """Publish, then remember, then do: what is done can't be taken back."""
        others: list[Effect] = []
        reaches_others = False
        with self._bus.together:
            for effect in effects:
                if isinstance(effect, Publish):
                    self._publish(effect.event)
                else:
                    others.append(effect)
                    # A spawn does not yet: it is remembered with what follows, or at the end.
                    reaches_others |= not isinstance(effect, Spawn)
        self._is_uncommitted = True
        if reaches_others:
            self._commit()
        for effect in others:
            self._perform_or_report(effect)

    def _publish(self, event: Event) -> None:
        try:
            if isinstance(event, ProcessChanged):
                self._spec_changed(event.spec)
            elif isinstance(event, PlanApplied):
                self._streams.be_for(self._supervisor.plan.specs().values())
                self._try_sockets(event.diff)
        except Exception as error:  # noqa: BLE001 - it is to be told all the same
            self._observer.internal_error("engine", error)
        self._bus.publish(event)

    def _commit(self) -> bool:
        """Have remembered what has changed; False if that fails, which would be a bug."""
        self._is_uncommitted = False
        try:
            self._remember()
        except Exception as error:  # noqa: BLE001 - what is alive needs us more than our successor
            self._observer.internal_error("memory", error)
            return False
        return True

    def _perform_or_report(self, effect: Effect) -> None:
        try:
            self._perform(effect)
        except Exception as error:  # noqa: BLE001 - the effects after it belong to others
            self._observer.internal_error("engine", error)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Publish():
                self._publish(effect.event)
            case Spawn():
                if not self._taking_back.take_early(effect.spec):
                    self._spawning.add(effect.spec, self._line_of(effect.spec.id))
            case Adopt():
                self._taking_back.adopt(effect.spec, effect.pid)
            case FindSpawn():
                self._taking_back.find_spawn(effect.spec)
            case CancelSpawn():
                if self._spawning.call_off(effect.id):
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
                for process_id in self._supervisor.ids():
                    self.end_leftovers(process_id)
                over = functools.partial(self._on_shutdown_complete, effect.exit_status)
                self._trees.when_idle(over)

    def _spawn_some(self) -> bool:
        """Spawn a few, and tell whether that led to inputs."""
        if self._later.is_due or not self._spawning.has_some:
            return False
        if not self._spawning.do_some():
            self._later.ask(TURNS_OF_OTHERS)
        return bool(self._inputs)

    def _prepared(self) -> None:
        """Have remembered who is about to be made."""
        self._commit()
        self.legacy.keep()

    def _births_over(self) -> None:
        """Handle them in this turn, before anything that they print is read."""
        if self._inputs and not self._draining:
            self._drain()

    def _line_of(self, process_id: ProcessId) -> Line:
        if process_id in self._settled:
            self._settled.discard(process_id)
            return Line.SETTLED
        return Line.FIRST if self._streams.get(process_id) is None else Line.AGAIN

    def _spawned(self, made: Made) -> None:
        process_id, pid = made.id, made.pid
        self._observer.spawn_took(made.seconds)
        self.legacy.made(process_id, pid, made.born)
        self._observer.run_began(process_id, pid)
        self._run_began(process_id, pid, made.hold)
        self._inputs.append(Spawned(process_id, pid))
        try:
            self._reaper.watch(pid)
        except OSError as error:
            # Out of descriptors. Its end comes by SIGCHLD then.
            self._observer.internal_error("reaper", error)
        self._keep_pidfd(pid)

    def _run_adopted(self, process_id: ProcessId, pid: Pid, hold: Hold | None) -> None:
        self._run_is_there(process_id, pid, hold)
        self._observer.run_adopted(process_id, pid)

    def _run_began(self, process_id: ProcessId, pid: Pid, hold: Hold | None) -> None:
        self._run_is_there(process_id, pid, hold)
        self._oom.run_began(pid)

    def _run_is_there(self, process_id: ProcessId, pid: Pid, hold: Hold | None) -> None:
        if hold is not None:
            self._holds[pid] = hold
        self._ids[pid] = process_id
        self._whole_ended.discard(process_id)
        if (streams := self._streams.get(process_id)) is not None:
            streams.run_began(pid)

    def _unwatched(self, pid: Pid) -> None:
        if pid in self._ids:  # of nobody else the keeper was told
            self.legacy.pidfd(pid, None)

    def _keep_pidfd(self, pid: Pid) -> None:
        pidfd = self._reaper.pidfd_of(pid)
        if pidfd is not None:
            self.legacy.pidfd(pid, pidfd)

    def _signal(self, effect: SignalProcess) -> None:
        if self._trees.holds(effect.id, effect.pid):
            return  # only the rest of its tree is left, which is being killed
        if effect.pid not in self._ids or self._reaper.is_gone(effect.pid):
            return  # it has ended, which the core is about to hear; the pid may be another's
        if effect.signum == signal.SIGKILL:
            self._killed.add(effect.pid)
            if effect.to_group and self._supervisor.ends_whole_tree(effect.id):
                # With those whose parents are about to be killed, and can't tell of them then.
                self._trees.end(self._tree(effect.id, effect.pid, descendants([effect.pid])))
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

    def end_leftovers(self, process_id: ProcessId) -> None:
        """End what earlier runs of a process that is down have left, if its stops are to do so."""
        spec = self._supervisor.spec_of(process_id)
        if self._spawning.give_up(process_id):
            self._spawning.add(spec, Line.AGAIN)  # after the leftovers, or it would end with them
        is_there = self._spawning.is_on_the_way(process_id)  # likewise, and it is too late
        is_down = not (self.legacy.has_run(process_id) or is_there)
        if (
            is_down
            and process_id not in self._whole_ended
            and spec.stop.kill_mode is KillMode.CGROUP
        ):
            self._trees.end(self._tree(process_id))

    async def leftovers_are_gone(
        self,
        process_ids: Iterable[ProcessId],
        timeout: float | None = None,  # noqa: ASYNC109 - a client's wish
    ) -> None:
        """Return when what is to be ended of these is gone, or after a second, or the timeout."""
        if any(map(self._trees.is_ending, process_ids)):
            is_idle = asyncio.Event()
            self._trees.when_idle(is_idle.set)
            patience = _TREES_PATIENCE if timeout is None else min(timeout, _TREES_PATIENCE)
            await _for_a_while(is_idle.wait(), patience)

    def _tree(
        self, process_id: ProcessId, leader: Pid = NOBODY, known: Sequence[tuple[Pid, int]] = ()
    ) -> Tree:
        unmarked = self._marks.is_missing(process_id) and leader != NOBODY
        streams = self._streams.get(process_id) if unmarked else None
        return Tree(
            id=process_id,
            mark=self._marks.of(process_id),
            folder=self.limits.folder_of(process_id),
            known=tuple(known),
            unmarked=unmarked,
            leader=leader,
            pipes=frozenset() if streams is None else frozenset(streams.pipes),
        )

    def _forget(self, process_id: ProcessId) -> None:
        self._settled.discard(process_id)
        self._whole_ended.discard(process_id)
        self._streams.forget(process_id)
        self.legacy.forget(process_id)
        self.limits.forget(process_id)
        self._marks.forget(process_id)
        self._observer.forgotten(process_id)

    def _spec_changed(self, spec: ProcessSpec) -> None:
        streams = self._streams.get(spec.id)
        if streams is not None:
            streams.update(spec)
        self.limits.changed(spec)

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

    def _listener_failed(self, error: Exception) -> None:
        self._observer.internal_error("output listener", error)

    # -- deaths ------------------------------------------------------------------------------

    def _ended_just_now(self, pid: Pid, outcome: Outcome) -> None:
        """Make the next process before this end is handled, if it is certain that there is one.

        Not while there is anything else to do, as that might change it; and not after a short run,
        since those come in crowds.
        """
        is_busy = self._draining or self._inputs or self._later.is_due or self._early.has_one
        if is_busy or not self._spawning.is_idle:
            return
        now, process_id = clock.now(), self._ids.get(pid)
        if process_id is None or self._trees.is_ending(process_id):
            return
        try:
            spec = self._supervisor.next_at_once(process_id, outcome, now, after=_SETTLED_AFTER)
            if spec is not None:
                # Of several that have ended that of the last: not to stand still for each of them.
                running = 0 if self._reaper.has_more else len(self._ids)
                self._early.begin(spec, pid, self._spawner.null_input, running=running)
        except Exception as error:  # noqa: BLE001 - the end has to be told all the same
            self._observer.internal_error("engine", error)

    def _leader_exited(self, pid: Pid, outcome: Outcome, usage: Usage) -> None:
        try:
            self._groups.leader_exited(pid, outcome, usage)
        finally:
            if self._early.has_one and not self._draining:  # an error has kept it from being told
                self._drain()

    def _group_ended(self, pid: Pid, outcome: Outcome, usage: Usage) -> None:
        process_id = self._ids.pop(pid)
        if self._supervisor.uptime_of(process_id, self._loop.time()) > _SETTLED_AFTER:
            self._settled.add(process_id)
        else:
            self._settled.discard(process_id)
            self._was_soon_over = True
        end = HeldEnd(process_id, pid, outcome, usage)
        if self._supervisor.ends_whole_tree(process_id):
            self._trees.hold(end, self._tree(process_id, pid))
        else:
            self._tree_ended(end)

    def _held_end_over(self, end: HeldEnd, *, is_whole: bool) -> None:
        if is_whole:
            self._whole_ended.add(end.id)
        self._tree_ended(end)

    def _tree_ended(self, end: HeldEnd) -> None:
        began = time.monotonic()
        process_id, pid, outcome, usage = end.id, end.pid, end.outcome, end.usage
        streams = self._streams.get(process_id)
        if streams is not None:
            # Its last words are in the log, and in the post-mortem, before its end is handled.
            streams.run_ended()
        self._observer.run_ended(process_id, pid, usage)
        self.legacy.ended(process_id)
        hold = self._holds.pop(pid, None)
        oom_killed = self._oom.run_ended(
            process_id, pid, outcome, killed_by_us=pid in self._killed
        )
        self._killed.discard(pid)
        if hold is not None:
            self._holds_over.append((process_id, hold))
        self._reaped_in.append(time.monotonic() - began)
        exited = Exited(process_id, pid, outcome, usage, oom_killed)
        if self._early.has_one:
            self.submit(exited)  # before anything else can happen
        else:
            self._submit_soon(exited)

    def _inherited(self, orphan: Orphan) -> None:
        self._observer.orphan_reaped(orphan)
        self._groups.member_reaped(Pid(orphan.process_group))


async def _for_a_while(what: Awaitable[object], patience: float) -> None:
    """Wait for this, so many seconds at most."""
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):
            await what
