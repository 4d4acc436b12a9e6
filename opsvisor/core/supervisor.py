"""All processes together: routes inputs to their machines, carries out plans, shuts down.

Theory of operation
-------------------
`handle(input, now)` is the only door in, its list of effects the only way out, and `deadline` the
one number that says when to come back. Nothing here waits, and nothing is done twice.

* Deadlines of all machines lie in a heap; an entry counts only while its machine still has that
  very deadline. Scanning 1,000 machines costs 0.2 ms, which is little once and too much at every
  one of the 3,000 inputs of starting them (docs/decisions/0009).
* A process that left the plan is doomed: it is stopped, and forgotten when it is down. If it
  comes back into the plan before that, it is spared, and starts again with its new spec.
* Shutdown goes through the group priorities from the highest number down. All groups of one level
  stop side by side; the next level waits until the last of them is down, or UNKNOWN: waiting for
  what no signal reaches would never end. Nothing is started or retried from its first moment on,
  on any level; what waits for its turn runs on.
* What is to be known of all this when the daemon ends without a shutdown is a memento. Those that
  differ since they were last taken are known by name (`take_changed`), without a look at the
  others: whoever writes them down before effects are performed can lose nothing that was done.
* With `Resume` a supervisor goes on from a memento: the machines as they were, asking for what may
  not have been done. The next plan is then an update like any other. Only a shutdown is not gone
  on with: whoever starts a daemon wants its programs up. What was on its way down comes down, and
  that plan begins with everything enabled, as it would have after the end of the shutdown; what
  had not been told to stop yet runs on.
* When an essential process ends for good, the supervisor begins the shutdown itself.
* A level with processes that are told events hears of the end of the others before its own: it is
  stopped when all has been answered (`FeedsSettled`), or a second later.
"""

import heapq
from collections.abc import Callable, Iterable
from typing import assert_never

from opsvisor.core.effects import Effect, Forget, Publish, ShutdownComplete
from opsvisor.core.events import (
    EssentialEnded,
    PlanApplied,
    ProcessAdded,
    ProcessRemoved,
    SupervisorState,
    SupervisorStateChanged,
)
from opsvisor.core.inputs import (
    Adopted,
    ApplyPlan,
    DeadlinePassed,
    Exited,
    FeedsSettled,
    Input,
    Probed,
    Request,
    Restart,
    Resume,
    RunReport,
    SendSignal,
    Shutdown,
    SignalFault,
    Spawned,
    SpawnFault,
    SpawnLost,
    Start,
    Stop,
)
from opsvisor.core.instant import Instant
from opsvisor.core.memento import (
    Changed,
    ProcessMemento,
    RememberedProcess,
    SupervisorMemento,
)
from opsvisor.core.outcome import Outcome, exit_status
from opsvisor.core.plan import Plan, PlanDiff, diff
from opsvisor.core.process import ProcessMachine
from opsvisor.core.spec import KillMode, OnEnd, ProcessId, ProcessSpec, Startup
from opsvisor.core.state import (
    PublicState,
    Running,
    StartCause,
    StopCause,
    Stopping,
    pid_of,
    public_state,
)
from opsvisor.core.view import ProcessView

# Dead entries are swept out of the heap when they outnumber the machines by this much.
_HEAP_SLACK = 4

_NOTHING = Changed()

# How long those who are told events may take to answer the last ones. Supervisor's loop takes as
# long from one group to the next.
_LAST_WORDS = 1.0


class Supervisor:
    """Owns the machines. `jitter` gives a number in 0..1 for each delay."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self.plan = Plan()
        self.generation = 0
        self.state = SupervisorState.STARTING
        self._jitter = jitter
        self._machines: dict[ProcessId, ProcessMachine] = {}
        self._order: tuple[ProcessId, ...] | None = None  # theirs, as long as they are the same
        self._revision = 0
        self._doomed: set[ProcessId] = set()
        self._heap: list[tuple[float, ProcessId]] = []
        self._levels: list[list[ProcessId]] = []  # still to be stopped, first level last
        self._level: set[ProcessId] = set()  # being stopped now
        self._lingers_until: float | None = None  # before the next level is stopped
        self._exit_status: int | None = None  # of the process whose end began the shutdown
        self._begins_anew = False  # with the next plan, since a shutdown went before
        self._changed: dict[ProcessId, None] = {}
        self._forgotten: dict[ProcessId, None] = {}
        self._itself_changed = False

    # -- what others ask ---------------------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        """The monotonic second at which `DeadlinePassed` is wanted, None if nothing is due."""
        of_processes, of_shutdown = self._first_due(), self._lingers_until
        if of_processes is None or of_shutdown is None:
            return of_shutdown if of_processes is None else of_processes
        return min(of_processes, of_shutdown)

    def _first_due(self) -> float | None:
        while self._heap:
            at, process_id = self._heap[0]
            machine = self._machines.get(process_id)
            if machine is not None and machine.deadline == at:
                return at
            heapq.heappop(self._heap)
        return None

    def __contains__(self, process_id: ProcessId) -> bool:
        """Whether this process is under supervision, even if only until it is down."""
        return process_id in self._machines

    def ids(self) -> tuple[ProcessId, ...]:
        """Every process, in order of group and name."""
        # Sorted once, not for each who asks: 1,000 comparisons take longer than an answer.
        if self._order is None:
            self._order = tuple(sorted(self._machines))
        return self._order

    def view(self, process_id: ProcessId, now: Instant) -> ProcessView:
        """One process as it is now. KeyError if there is no such process."""
        return self._machines[process_id].view(now)

    def revision_of(self, process_id: ProcessId) -> int:
        """A number that is another one after whatever may have changed its view but time.

        No number comes twice, whatever leaves the plan and comes again. KeyError if there is no
        such process.
        """
        return self._machines[process_id].revision

    def public_states(self) -> dict[ProcessId, PublicState]:
        """The state of every process, for whoever wants to know nothing else."""
        return {i: public_state(machine.state) for i, machine in self._machines.items()}

    def alive(self) -> list[ProcessId]:
        """Those whose main process lives, as far as was told, in order of group and name."""
        return [i for i in self.ids() if pid_of(self._machines[i].state) is not None]

    def ends_whole_tree(self, process_id: ProcessId) -> bool:
        """Whether a stop of it is under way that is over only with all that came of it."""
        machine = self._machines.get(process_id)
        return (
            machine is not None
            and isinstance(machine.state, Stopping)
            and machine.spec.stop.kill_mode is KillMode.CGROUP
        )

    def uptime_of(self, process_id: ProcessId, mono: float) -> float:
        """For how many seconds the run of this process has lasted; 0 if there is none."""
        machine = self._machines.get(process_id)
        return 0.0 if machine is None else machine.uptime(mono)

    def next_at_once(
        self, process_id: ProcessId, outcome: Outcome, now: Instant, *, after: float
    ) -> ProcessSpec | None:
        """What would be made at once if the run of this process ended so now, None if nothing.

        Nor after a run of no more than `after` seconds.
        """
        machine = self._machines.get(process_id)
        return None if machine is None else machine.next_at_once(outcome, now, after=after)

    def views(self, now: Instant) -> list[ProcessView]:
        """Every process as it is now, in order of group and name."""
        return [self._machines[i].view(now) for i in self.ids()]

    # -- what another supervisor would need --------------------------------------------------

    def memento(self) -> SupervisorMemento:
        """All that another supervisor needs to go on from here."""
        processes = tuple(
            RememberedProcess(spec=self._machines[i].spec, memento=self.memento_of(i))
            for i in self.ids()
        )
        return SupervisorMemento(
            plan=self.plan,
            generation=self.generation,
            begins_anew=self.begins_anew,
            processes=processes,
        )

    @property
    def begins_anew(self) -> bool:
        """Whether whoever goes on from here begins with everything enabled."""
        return self._begins_anew or self.state.is_ending

    def memento_of(self, process_id: ProcessId) -> ProcessMemento:
        """What is to be known of one process. KeyError if there is no such process."""
        return self._machines[process_id].memento(is_doomed=process_id in self._doomed)

    def spec_of(self, process_id: ProcessId) -> ProcessSpec:
        """The spec that one process follows now, the same object until it follows another.

        KeyError if there is no such process.
        """
        return self._machines[process_id].spec

    def take_changed(self) -> Changed:
        """What may have changed since this was last asked."""
        if not (self._changed or self._forgotten or self._itself_changed):
            return _NOTHING
        changed = Changed(
            processes=tuple(self._changed),
            forgotten=tuple(self._forgotten),
            itself=self._itself_changed,
        )
        self._changed, self._forgotten, self._itself_changed = {}, {}, False
        return changed

    # -- the one door ------------------------------------------------------------------------

    def handle(self, happened: Input, now: Instant) -> list[Effect]:
        """Everything that follows from this input. Unknown processes have no consequences."""
        match happened:
            case Resume():
                return self._resume(happened, now)
            case ApplyPlan():
                return self._apply(happened.plan, now, revive=happened.revive)
            case Shutdown():
                return self._shut_down(happened, now)
            case FeedsSettled():
                return self._linger_no_more(now)
            case DeadlinePassed():
                return self._deadline_passed(now)
            case Start() | Stop() | Restart() | SendSignal():
                machine = self._machines.get(happened.id)
                effects = self._asked(machine, happened, now) if machine else []
            case Probed():
                return self._probed(happened, now)
            case Spawned() | SpawnFault() | SpawnLost() | Adopted() | Exited() | SignalFault():
                machine = self._machines.get(happened.id)
                effects = _reported(machine, happened, now) if machine else []
                if machine and isinstance(happened, Exited | SpawnFault):
                    effects += self._if_essential(machine, happened, now)
            case never:
                assert_never(never)
        return [*effects, *self._after(machine, now)] if machine else []

    def _asked(self, machine: ProcessMachine, request: Request, now: Instant) -> list[Effect]:
        may_start = not self.state.is_ending and machine.id not in self._doomed
        match request:
            case Start():
                return machine.start(request.cause, now) if may_start else []
            case Restart():
                start_after = StartCause.MANUAL if may_start else None
                return machine.stop(StopCause.MANUAL, now, start_after=start_after)
            case Stop():
                return machine.stop(request.cause, now)
            case SendSignal():
                return machine.signal(request.signum, now)
            case never:
                assert_never(never)

    def _probed(self, answer: Probed, now: Instant) -> list[Effect]:
        """Most answers are like the one before, and none of those is worth a memento."""
        machine = self._machines.get(answer.id)
        if machine is None:
            return []
        before = machine.standing
        effects = machine.probed(answer, now)
        self._revise(machine)
        return effects if machine.standing == before else [*effects, *self._after(machine, now)]

    # -- time --------------------------------------------------------------------------------

    def _deadline_passed(self, now: Instant) -> list[Effect]:
        """Handle the one machine that has been due longest.

        One, not all: if others are due as well, `deadline` is past and brings us back at once, and
        a bug in one machine can neither keep us in a loop nor cost the others their effects.
        """
        if self._lingers_until is not None and self._lingers_until <= now.mono:
            return self._linger_no_more(now)
        at = self._first_due()
        if at is None or at > now.mono:
            return []
        _, process_id = heapq.heappop(self._heap)
        machine = self._machines[process_id]
        return [*machine.deadline_passed(now), *self._after(machine, now)]

    def _after(self, machine: ProcessMachine, now: Instant) -> list[Effect]:
        """What every turn of a machine may have brought about."""
        self._schedule(machine)
        if machine.holds_up_shutdown:
            return []
        is_over = machine.is_down and machine.id in self._doomed
        forgotten = self._bury(machine.id, now) if is_over else []
        return [*forgotten, *self._level_down(machine.id, now)]

    def _revise(self, machine: ProcessMachine) -> None:
        self._revision += 1
        machine.revision = self._revision

    def _schedule(self, machine: ProcessMachine) -> None:
        self._revise(machine)
        self._changed[machine.id] = None
        deadline = machine.deadline
        if deadline is None:
            return
        heapq.heappush(self._heap, (deadline, machine.id))
        if len(self._heap) > _HEAP_SLACK * (len(self._machines) + 16):
            self._sweep_heap()

    def _sweep_heap(self) -> None:
        self._heap = [
            (machine.deadline, machine.id)
            for machine in self._machines.values()
            if machine.deadline is not None
        ]
        heapq.heapify(self._heap)

    # -- another daemon's past ---------------------------------------------------------------

    def _resume(self, resume: Resume, now: Instant) -> list[Effect]:
        """Go on as the supervisor that this is the memento of, but for a shutdown."""
        assert not self._machines, "a memento is resumed over processes of our own"
        memento = resume.memento
        self.plan, self.generation = memento.plan, memento.generation
        self._begins_anew, self._itself_changed = memento.begins_anew, True
        effects: list[Effect] = []
        if memento.generation:
            reason = resume.reason or f"took over {len(memento.processes)} processes"
            effects += self._enter(SupervisorState.RUNNING, reason, now)
        for remembered in memento.processes:
            effects += self._recall(remembered, is_exact=resume.is_exact, now=now)
        return effects

    def _recall(
        self, remembered: RememberedProcess, *, is_exact: bool, now: Instant
    ) -> list[Effect]:
        spec, memento = remembered.spec, remembered.memento
        machine = ProcessMachine.recalled(spec, memento, jitter=self._jitter, is_exact=is_exact)
        self._machines[spec.id] = machine
        self._order = None
        if memento.is_doomed:
            self._doomed.add(spec.id)
        found_out = [*machine.find_again(), *self._after(machine, now)]
        if is_exact:
            return found_out
        return [Publish(ProcessAdded(at=now.wall, id=spec.id, spec=spec)), *found_out]

    # -- plans -------------------------------------------------------------------------------

    def _apply(self, plan: Plan, now: Instant, *, revive: bool) -> list[Effect]:
        """Carry out a plan: stop what left it, restart what changed, start what is new."""
        if self.state.is_ending:
            return []
        is_first = self.generation == 0
        begins_anew, self._begins_anew = self._begins_anew, False
        self._itself_changed = True
        changes = diff(self.plan, plan)
        self.plan = plan
        self.generation += 1
        effects: list[Effect] = []
        if is_first:
            effects += self._enter(SupervisorState.RUNNING, "first plan", now)
        applied = PlanApplied(at=now.wall, generation=self.generation, diff=changes)
        effects.append(Publish(applied))
        for process_id in changes.removed:
            self._doomed.add(process_id)
            effects += self._stop(process_id, StopCause.CONFIG, now)
        restarting = {change.id: change.restart for change in changes.changed}
        added = frozenset(changes.added)
        specs = plan.specs()
        priorities = {group.name: group.priority for group in plan.groups}
        for process_id, spec in specs.items():
            machine, priority = self._machines.get(process_id), priorities[process_id.group]
            if machine is not None and machine.group_priority != priority:
                machine.group_priority = priority
                self._revise(machine)
                self._changed[process_id] = None
            if process_id in added:
                cause = StartCause.AUTOSTART if is_first or begins_anew else StartCause.CONFIG
                effects += self._add(spec, priority, cause, now)
            elif process_id in restarting:
                effects += self._change(spec, now, restart=restarting[process_id])
        if begins_anew:
            effects += self._start_enabled(specs.values(), now)
        if revive:
            effects += self._revive(specs.values(), changes, now)
        return effects

    def _add(
        self, spec: ProcessSpec, group_priority: int, cause: StartCause, now: Instant
    ) -> list[Effect]:
        returning = self._machines.get(spec.id)
        if returning is not None:
            self._doomed.discard(spec.id)
            returning.want(wanted=spec.startup is Startup.ENABLED, now=now)
            return self._change(spec, now, restart=True)
        machine = ProcessMachine(spec, group_priority=group_priority, jitter=self._jitter, now=now)
        self._machines[spec.id] = machine
        self._order = None
        effects: list[Effect] = [Publish(ProcessAdded(at=now.wall, id=spec.id, spec=spec))]
        if spec.startup is Startup.ENABLED:
            effects += machine.start(cause, now)
        return [*effects, *self._after(machine, now)]

    def _change(self, spec: ProcessSpec, now: Instant, *, restart: bool) -> list[Effect]:
        machine = self._machines[spec.id]
        return [*machine.change(spec, now, restart=restart), *self._after(machine, now)]

    def _revive(
        self, specs: Iterable[ProcessSpec], changes: PlanDiff, now: Instant
    ) -> list[Effect]:
        """Start what nobody wanted in a changed group, and what is down though it has changed."""
        groups = frozenset(changes.groups_changed)
        changed = frozenset(change.id for change in changes.changed)
        effects: list[Effect] = []
        for spec in specs:
            machine = self._machines[spec.id]
            is_unwanted = spec.id.group in groups and not machine.wanted
            is_down = spec.id in changed and not machine.is_kept_up
            if (is_unwanted or is_down) and spec.startup is Startup.ENABLED:
                effects += machine.start(StartCause.CONFIG, now)
                effects += self._after(machine, now)
        return effects

    def _start_enabled(self, specs: Iterable[ProcessSpec], now: Instant) -> list[Effect]:
        effects: list[Effect] = []
        for spec in specs:
            if spec.startup is Startup.ENABLED:
                machine = self._machines[spec.id]
                effects += machine.start(StartCause.AUTOSTART, now)
                effects += self._after(machine, now)
        return effects

    def _stop(self, process_id: ProcessId, cause: StopCause, now: Instant) -> list[Effect]:
        machine = self._machines[process_id]
        return [*machine.stop(cause, now), *self._after(machine, now)]

    def _bury(self, process_id: ProcessId, now: Instant) -> list[Effect]:
        self._doomed.discard(process_id)
        del self._machines[process_id]
        self._order = None
        self._changed.pop(process_id, None)
        self._forgotten[process_id] = None
        return [Publish(ProcessRemoved(at=now.wall, id=process_id)), Forget(process_id)]

    # -- essential processes -----------------------------------------------------------------

    def _if_essential(
        self, machine: ProcessMachine, end: Exited | SpawnFault, now: Instant
    ) -> list[Effect]:
        """Shut down if this was the end, for good, of a process that the daemon is there for."""
        state = public_state(machine.state)
        if self.state.is_ending or _on_end(machine.spec, state) is OnEnd.KEEP:
            return []
        status = exit_status(end.outcome) if isinstance(end, Exited) else end.kind.exit_status
        # Whoever started us asks whether all went well. FATAL says no, and so does an end that its
        # policy calls a failure (a probe failed, and it ended with 0 when told to): whatever the
        # code was.
        went_well = state is not PublicState.FATAL and machine.ended_as_expected
        status = status if went_well else max(status, 1)
        self._exit_status = status
        ended = EssentialEnded(
            at=now.wall, id=machine.id, state=state, reason=machine.reason, exit_status=status
        )
        shutdown = Shutdown(f"{machine.id} is {state.value}")
        return [Publish(ended), *self._shut_down(shutdown, now)]

    # -- shutdown ----------------------------------------------------------------------------

    def _shut_down(self, shutdown: Shutdown, now: Instant) -> list[Effect]:
        was_ending = self.state.is_ending
        if self.state is SupervisorState.STOPPING or (was_ending and shutdown.to_reload):
            return []
        ending = SupervisorState.RELOADING if shutdown.to_reload else SupervisorState.STOPPING
        effects = self._enter(ending, shutdown.reason, now)
        if was_ending:
            return effects  # everything is being stopped already
        by_priority: dict[int, list[ProcessId]] = {}
        for process_id, machine in sorted(self._machines.items()):
            by_priority.setdefault(machine.group_priority, []).append(process_id)
            effects += machine.retire(now)
            self._schedule(machine)
        self._levels = [by_priority[priority] for priority in sorted(by_priority)]
        return [*effects, *self._next_level(now)]

    def _next_level(self, now: Instant, *, has_lingered: bool = False) -> list[Effect]:
        """Stop the next level that has anything alive; be done when there is none."""
        effects: list[Effect] = []
        while self._levels and not self._level:
            if self._is_told_events(self._levels[-1]) and not has_lingered:
                self._lingers_until = now.mono + _LAST_WORDS
                return effects
            has_lingered = False
            members = [i for i in self._levels.pop() if i in self._machines]
            # Those that are down are told too: a slow retry out of FATAL may still be due.
            for process_id in sorted(members, key=self._stop_order):
                effects += self._machines[process_id].stop(StopCause.SHUTDOWN, now)
                self._schedule(self._machines[process_id])
            self._level = {i for i in members if self._machines[i].holds_up_shutdown}
        if not self._levels and not self._level:
            effects.append(ShutdownComplete(self._exit_status))
        return effects

    def _is_told_events(self, level: list[ProcessId]) -> bool:
        fed = {group.name for group in self.plan.groups if group.feed is not None}
        machines = (self._machines.get(i) for i in level if i.group in fed)
        return any(m is not None and isinstance(m.state, Running) for m in machines)

    def _linger_no_more(self, now: Instant) -> list[Effect]:
        if self._lingers_until is None:
            return []
        self._lingers_until = None
        return self._next_level(now, has_lingered=True)

    def _stop_order(self, process_id: ProcessId) -> tuple[int, str]:
        return (-self._machines[process_id].spec.priority, process_id.name)

    def _level_down(self, process_id: ProcessId, now: Instant) -> list[Effect]:
        if process_id not in self._level:
            return []
        self._level.discard(process_id)
        return [] if self._level else self._next_level(now)

    def _enter(self, state: SupervisorState, reason: str, now: Instant) -> list[Effect]:
        old, self.state = self.state, state
        self._itself_changed = True
        return [Publish(SupervisorStateChanged(at=now.wall, old=old, new=state, reason=reason))]


def _on_end(spec: ProcessSpec, state: PublicState) -> OnEnd:
    """What it means that a process of this spec has come to this state."""
    if state is PublicState.FATAL:
        return spec.on_fatal
    return spec.on_exit if state is PublicState.EXITED else OnEnd.KEEP


def _reported(machine: ProcessMachine, report: RunReport, now: Instant) -> list[Effect]:
    match report:
        case SpawnLost():
            return machine.spawn_lost(now)
        case Adopted():
            return machine.adopted(report.pid, now)
        case Spawned():
            return machine.spawned(report.pid, now)
        case SpawnFault():
            return machine.spawn_failed(report.reason, report.kind, now)
        case Exited():
            return machine.exited(report, now)
        case SignalFault():
            return machine.signal_refused(report.pid, report.reason, now)
        case never:
            assert_never(never)
