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
* A level with processes that are told events hears of the end of the others before its own: it is
  stopped when all has been answered (`FeedsSettled`), or a second later.
"""

import heapq
from collections.abc import Callable, Iterable
from typing import assert_never

from opsvisor.core.effects import Effect, Forget, Publish, ShutdownComplete
from opsvisor.core.events import (
    PlanApplied,
    ProcessAdded,
    ProcessRemoved,
    SupervisorState,
    SupervisorStateChanged,
)
from opsvisor.core.inputs import (
    ApplyPlan,
    DeadlinePassed,
    Exited,
    FeedsSettled,
    Input,
    Probed,
    Report,
    Request,
    Restart,
    SendSignal,
    Shutdown,
    SignalFault,
    Spawned,
    SpawnFault,
    Start,
    Stop,
)
from opsvisor.core.instant import Instant
from opsvisor.core.plan import Plan, diff
from opsvisor.core.process import ProcessMachine
from opsvisor.core.spec import ProcessId, ProcessSpec, Startup
from opsvisor.core.state import Running, StartCause, StopCause
from opsvisor.core.view import ProcessView

# Dead entries are swept out of the heap when they outnumber the machines by this much.
_HEAP_SLACK = 4

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
        self._doomed: set[ProcessId] = set()
        self._heap: list[tuple[float, ProcessId]] = []
        self._levels: list[list[ProcessId]] = []  # still to be stopped, first level last
        self._level: set[ProcessId] = set()  # being stopped now
        self._lingers_until: float | None = None  # before the next level is stopped

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

    def ids(self) -> list[ProcessId]:
        """Every process, in order of group and name."""
        return sorted(self._machines)

    def view(self, process_id: ProcessId, now: Instant) -> ProcessView:
        """One process as it is now. KeyError if there is no such process."""
        return self._machines[process_id].view(now)

    def views(self, now: Instant) -> list[ProcessView]:
        """Every process as it is now, in order of group and name."""
        return [self._machines[i].view(now) for i in sorted(self._machines)]

    # -- the one door ------------------------------------------------------------------------

    def handle(self, happened: Input, now: Instant) -> list[Effect]:
        """Everything that follows from this input. Unknown processes have no consequences."""
        match happened:
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
            case Spawned() | SpawnFault() | Exited() | SignalFault() | Probed():
                machine = self._machines.get(happened.id)
                effects = _reported(machine, happened, now) if machine else []
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

    def _schedule(self, machine: ProcessMachine) -> None:
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

    # -- plans -------------------------------------------------------------------------------

    def _apply(self, plan: Plan, now: Instant, *, revive: bool) -> list[Effect]:
        """Carry out a plan: stop what left it, restart what changed, start what is new."""
        if self.state.is_ending:
            return []
        is_first = self.generation == 0
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
            if process_id in self._machines:
                self._machines[process_id].group_priority = priorities[process_id.group]
            if process_id in added:
                cause = StartCause.AUTOSTART if is_first else StartCause.CONFIG
                effects += self._add(spec, priorities[process_id.group], cause, now)
            elif process_id in restarting:
                effects += self._change(spec, now, restart=restarting[process_id])
        if revive:
            effects += self._revive(specs.values(), frozenset(changes.groups_changed), now)
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
        effects: list[Effect] = [Publish(ProcessAdded(at=now.wall, id=spec.id, spec=spec))]
        if spec.startup is Startup.ENABLED:
            effects += machine.start(cause, now)
        return [*effects, *self._after(machine, now)]

    def _change(self, spec: ProcessSpec, now: Instant, *, restart: bool) -> list[Effect]:
        machine = self._machines[spec.id]
        return [*machine.change(spec, now, restart=restart), *self._after(machine, now)]

    def _revive(
        self, specs: Iterable[ProcessSpec], groups: frozenset[str], now: Instant
    ) -> list[Effect]:
        effects: list[Effect] = []
        for spec in specs:
            machine = self._machines[spec.id]
            is_revived = spec.id.group in groups and not machine.wanted
            if is_revived and spec.startup is Startup.ENABLED:
                effects += machine.start(StartCause.CONFIG, now)
                effects += self._after(machine, now)
        return effects

    def _stop(self, process_id: ProcessId, cause: StopCause, now: Instant) -> list[Effect]:
        machine = self._machines[process_id]
        return [*machine.stop(cause, now), *self._after(machine, now)]

    def _bury(self, process_id: ProcessId, now: Instant) -> list[Effect]:
        self._doomed.discard(process_id)
        del self._machines[process_id]
        return [Publish(ProcessRemoved(at=now.wall, id=process_id)), Forget(process_id)]

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
            effects.append(ShutdownComplete())
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
        return [Publish(SupervisorStateChanged(at=now.wall, old=old, new=state, reason=reason))]


def _reported(machine: ProcessMachine, report: Report, now: Instant) -> list[Effect]:
    match report:
        case Spawned():
            return machine.spawned(report.pid, now)
        case SpawnFault():
            return machine.spawn_failed(report.reason, report.kind, now)
        case Exited():
            return machine.exited(report, now)
        case SignalFault():
            return machine.signal_refused(report.pid, report.reason, now)
        case Probed():
            return machine.probed(report, now)
        case never:
            assert_never(never)
