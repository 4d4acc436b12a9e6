"""The one fake kernel: a clock, children and a supervisor, played from a script.

`World(program("web")).play("start web; spawned 100; +1; exit 100 1")` carries out the steps and
returns a transcript. `>` is what happened, `<` what the supervisor asked for; on the right stand
the facts it published. The kernel is strict: it refuses what Linux would make us regret, such as
a signal to a pid that is gone. After every step the supervisor is asked what it thinks, and has
to agree with the kernel.

Steps, separated by `;`:

    start web | stop web | restart web | signal web HUP     requests
    spawned [PID] [of NAME]        the oldest spawn asked for, or that of NAME, succeeds
    no spawn [of NAME] [REASON]    … fails
    exit PID CODE | killed PID TERM [core]                  a child ends
    probe NAME KIND ok | fails [REASON]   an answer to a probe that is being asked
    refuse PID                     the kernel refuses the signal sent last
    +SECONDS                       time passes; each deadline on the way is handled on time
    busy SECONDS                   time passes and no deadline is handled
    deadline                       the deadline is handled now, late if it is past
    apply PLAN | update PLAN       a plan known by that name; `update` revives what was stopped
    shutdown
    killed [N]                     the supervisor is gone (and so is, unseen, life number N);
                                   another goes on from what was written down
"""

import re
import signal
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar, assert_never

from programs import plan_of, process_id
from transcript import render

from opsvisor.core import effects as ask
from opsvisor.core import events as fact
from opsvisor.core import inputs
from opsvisor.core.instant import Instant
from opsvisor.core.memento import ProcessMemento, RememberedProcess, SupervisorMemento
from opsvisor.core.outcome import Outcome, Usage, signal_name
from opsvisor.core.plan import Plan
from opsvisor.core.probes import ProbeKind
from opsvisor.core.spec import Pid, ProcessId, ProcessSpec
from opsvisor.core.state import TRANSITIONS, PublicState, StartCause
from opsvisor.core.struct import replace
from opsvisor.core.supervisor import Supervisor
from opsvisor.core.view import ProcessView

T = TypeVar("T", bound=fact.Event)

AUTOMATIC = {StartCause.RETRY, StartCause.RESTART, StartCause.RECOVERY}
ALIVE = {PublicState.RUNNING, PublicState.STOPPING, PublicState.UNKNOWN}
FIRST_PID = 100
NEVER_HANDLED = -1


class Killed(Exception):  # noqa: N818 - not an error: it is what the test wanted
    """The supervisor is no more."""


@dataclass
class Kernel:
    """What is alive, what was asked for, and what was sent to whom."""

    pending: dict[ProcessId, ProcessSpec] = field(default_factory=dict)
    called_off: set[ProcessId] = field(default_factory=set)
    alive: dict[Pid, ProcessId] = field(default_factory=dict)
    sent: dict[Pid, list[int]] = field(default_factory=dict)
    asking: dict[tuple[ProcessId, ProbeKind], Pid] = field(default_factory=dict)
    next_pid: int = FIRST_PID

    def pid_of(self, wanted: ProcessId) -> Pid | None:
        """The live pid of a process."""
        return next((pid for pid, owner in self.alive.items() if owner == wanted), None)

    def perform(self, effect: ask.Effect) -> None:
        """Note what is asked for, and refuse what would be a disaster."""
        match effect:
            case ask.Spawn():
                identity = effect.spec.id
                assert identity not in self.pending, f"{identity} is being spawned already"
                assert self.pid_of(identity) is None, f"{identity} is alive already"
                self.pending[identity] = effect.spec
            case ask.FindSpawn():
                assert effect.spec.id not in self.pending, "it was asked for just now"
            case ask.CancelSpawn():
                assert effect.id in self.pending, f"{effect.id} is not being spawned"
                self.called_off.add(effect.id)
            case ask.SignalProcess():
                assert self.alive.get(effect.pid) == effect.id, (
                    f"{signal_name(effect.signum)} for {effect.id} would hit {effect.pid}"
                )
                self.sent[effect.pid].append(effect.signum)
            case ask.StartProbe():
                assert self.alive.get(effect.pid) == effect.spec.id, "a probe of nobody"
                assert effect.spec.probe(effect.kind) is not None, "a probe it has not"
                assert (effect.spec.id, effect.kind) not in self.asking, "asked twice"
                assert effect.delay >= 0
                self.asking[effect.spec.id, effect.kind] = effect.pid
            case ask.StopProbe():
                del self.asking[effect.id, effect.kind]
            case ask.Forget():
                assert all(owner != effect.id for owner, _ in self.asking), "a probe is left"
                assert effect.id not in self.pending, f"{effect.id} is being spawned"
                assert self.pid_of(effect.id) is None, f"{effect.id} is alive"
            case ask.Publish() | ask.ShutdownComplete() | ask.Adopt():
                pass
            case never:
                assert_never(never)

    def spawn(self, identity: ProcessId, pid: Pid | None = None) -> Pid:
        """Make the process that was asked for."""
        pid = Pid(self.next_pid) if pid is None else pid
        assert pid not in self.alive
        self.next_pid = max(self.next_pid, pid) + 1
        self.withdraw(identity)
        self.alive[pid] = identity
        self.sent[pid] = []
        return pid

    def lose_supervisor(self, made: Container[int], over: Container[int]) -> None:
        """What was asked for is forgotten, unless it is done; what lives may end unseen.

        `made` and `over` number those spawns and lives, in order of their names and pids.
        """
        for n, identity in enumerate(sorted(self.pending)):
            if n in made:
                self.spawn(identity)
        self.pending.clear()
        self.called_off.clear()
        self.asking.clear()
        for n, pid in enumerate(list(self.alive)):
            if n in over:
                del self.alive[pid]

    def withdraw(self, identity: ProcessId) -> None:
        """The spawn is answered."""
        del self.pending[identity]
        self.called_off.discard(identity)


@dataclass
class Memory:
    """What has been written down: all that is left of a supervisor that is killed."""

    plan: Plan = field(default_factory=Plan)
    generation: int = 0
    begins_anew: bool = False
    processes: dict[ProcessId, RememberedProcess] = field(default_factory=dict)

    def write(self, supervisor: Supervisor) -> None:
        """Write down what the supervisor says has changed."""
        changed = supervisor.take_changed()
        assert not supervisor.take_changed(), "taken, and there is more"
        if changed.itself:
            self.plan, self.generation = supervisor.plan, supervisor.generation
            self.begins_anew = supervisor.begins_anew
        for identity in changed.forgotten:
            self.processes.pop(identity, None)  # it may have come and gone since the last time
        for identity in changed.processes:
            self.processes[identity] = RememberedProcess(
                spec=supervisor.spec_of(identity), memento=supervisor.memento_of(identity)
            )

    def read(self) -> SupervisorMemento:
        """What another supervisor can begin with."""
        processes = tuple(self.processes[i] for i in sorted(self.processes))
        return SupervisorMemento(
            plan=self.plan,
            generation=self.generation,
            begins_anew=self.begins_anew,
            processes=processes,
        )

    def check(self, supervisor: Supervisor) -> None:
        """Nothing that matters has changed without having been written down."""
        own = (supervisor.plan, supervisor.generation, supervisor.begins_anew)
        assert (self.plan, self.generation, self.begins_anew) == own
        assert tuple(sorted(self.processes)) == supervisor.ids()
        for identity, written in self.processes.items():
            assert written.spec is supervisor.spec_of(identity)
            assert _decisive(written.memento) == _decisive(supervisor.memento_of(identity))


def _decisive(memento: ProcessMemento) -> ProcessMemento:
    """Without what may be behind: answers to probes that decided nothing."""
    if not memento.probes:
        return memento
    probes = tuple(
        replace(
            probe,
            successes=min(probe.successes, 1),
            failures=min(probe.failures, 2),
            attempts=0,
            failures_total=0,
            duration=None,
            detail="",
        )
        for probe in memento.probes
    )
    return replace(memento, probes=probes)


def without_probes(view: ProcessView) -> ProcessView:
    """A view without what a probe's answers may be behind with, and without who is asked."""
    probes = tuple(
        replace(
            probe,
            is_active=False,
            wrong_in_a_row=0,
            attempts=0,
            failures=0,
            duration=None,
            detail="",
        )
        for probe in view.probes
    )
    return replace(view, probes=probes)


class World:
    """A supervisor in a world of its own, with `programs` as its first plan.

    `opening` is the transcript of applying that plan; `events` are all facts so far;
    `out_of_reach` are those that the kernel would not let us signal when they were to stop.
    """

    def __init__(
        self,
        *programs: ProcessSpec,
        priorities: Mapping[str, int] | None = None,
        jitter: float = 0.0,
    ) -> None:
        self._new_supervisor = partial(Supervisor, partial(float, jitter))
        self.supervisor = self._new_supervisor()
        self.memory = Memory()
        self._told_by: dict[int, ProcessView] = {}  # views by their revisions
        self.stopped_by_hand: set[ProcessId] = set()
        self.kernel = Kernel()
        self.now = Instant(mono=1000.0, wall=1_700_000_000.0)
        self.events: list[fact.Event] = []
        self.plans: dict[str, Plan] = {}
        self.out_of_reach: set[Pid] = set()
        self.is_shutting_down = False
        self.is_complete = False
        self._states: dict[ProcessId, PublicState] = {}
        self._spawned: dict[ProcessId, list[StartCause]] = {}
        self._seconds: dict[ProcessId, tuple[float, float, float]] = {}
        self._specs: Mapping[ProcessId, ProcessSpec] = {}
        self._files = Plan()  # what the configuration asks for, applied or not
        self._inputs_left: int | None = None  # until the supervisor is killed
        self._performs = NEVER_HANDLED  # that many effects of the last of them
        self._is_finding_out = False
        self._is_named = False
        self._lines: list[str] = []
        self.happens(inputs.ApplyPlan(plan_of(*programs, priorities=priorities)), "apply")
        self.opening = self._transcript()

    def knows(
        self, name: str, *programs: ProcessSpec, priorities: Mapping[str, int] | None = None
    ) -> "World":
        """Give a plan a name, for `apply` and `update`."""
        self.plans[name] = plan_of(*programs, priorities=priorities)
        return self

    def view(self, name: str) -> ProcessView:
        """What the supervisor shows of this process."""
        return self.supervisor.view(process_id(name), self.now)

    def of_type(self, kind: type[T]) -> list[T]:
        """All published facts of this type."""
        return [event for event in self.events if isinstance(event, kind)]

    def play(self, script: str) -> str:
        """Carry out the steps and return their transcript."""
        for step in re.split(r"\s*;\s*", script.strip()):
            self._step(step)
        return self._transcript()

    def happens(self, happened: inputs.Input, told_as: str) -> list[ask.Effect]:
        """Let the supervisor handle this, perform what it asks for, check what it thinks."""
        if isinstance(happened, inputs.ApplyPlan):
            self._files = happened.plan
        is_last = self._inputs_left == 0
        if is_last and self._performs == NEVER_HANDLED:
            raise Killed
        if self._inputs_left is not None:
            self._inputs_left -= 1
        self._take_note(happened)
        effects = self.supervisor.handle(happened, self.now)
        self.is_shutting_down |= self.supervisor.state.is_ending
        self.memory.write(self.supervisor)
        for effect in effects[: self._performs if is_last else None]:
            self.kernel.perform(effect)
            self._notice(effect)
        if is_last:
            raise Killed
        self._is_named |= len(self._states) > 1
        self._lines += render(told_as, effects, named=self._is_named)
        if not self._is_finding_out:
            self.check()
        return effects

    def _take_note(self, happened: inputs.Input) -> None:
        """What it means for what must be true afterwards."""
        match happened:
            case inputs.ApplyPlan():
                self._specs = happened.plan.specs()
                is_fresh = happened.revive or self.supervisor.begins_anew
                known = set() if is_fresh else self.supervisor.plan.specs().keys()
                self.stopped_by_hand &= known  # what comes (back) into the plan begins anew
            case inputs.Stop() if happened.id in self.supervisor:
                self.stopped_by_hand.add(happened.id)
            case inputs.Start() | inputs.Restart():
                self.stopped_by_hand.discard(happened.id)
            case _:
                pass

    # -- ends of supervisors -----------------------------------------------------------------

    @contextmanager
    def killing(self, performs: int, *, after: int = 0) -> Iterator[None]:
        """Kill the supervisor here: at the first input, or `after` so many more, if they come.

        Then it performs so many of the effects, or has not even decided (NEVER_HANDLED).
        """
        self._inputs_left, self._performs = after, performs
        try:
            yield
        except Killed:
            pass
        finally:
            self._inputs_left = None

    def goes_on(
        self,
        *,
        made: Container[int] = (),
        over: Container[int] = (),
        is_exact: bool = False,
        applies: bool = True,
    ) -> None:
        """Another supervisor begins with what was written down, and finds out about the rest."""
        left_behind = self.supervisor.views(self.now)
        self.kernel.lose_supervisor(made, over)
        self._states, self._spawned = {}, {}
        self.is_shutting_down = self.is_complete = False
        self.supervisor = self._new_supervisor()
        self._told_by.clear()
        self._specs = self.memory.plan.specs()
        self._is_finding_out = True
        effects = self.happens(inputs.Resume(self.memory.read(), is_exact=is_exact), "killed")
        taken_over = self.supervisor.views(self.now)
        assert [*map(without_probes, taken_over)] == [*map(without_probes, left_behind)]
        for lost in self._seconds.keys() - {view.id for view in taken_over}:
            del self._seconds[lost]
        for view in taken_over:
            self._states[view.id] = view.state
            by_hand = [StartCause.MANUAL] * (view.starts - view.restarts)
            self._spawned[view.id] = [StartCause.RETRY] * view.restarts + by_hand
            self._seconds.setdefault(view.id, (view.since.mono, 0.0, 0.0))
        for effect in effects:
            self._find_out(effect)
        self._is_finding_out = False
        self.check()
        if applies:
            self.happens(inputs.ApplyPlan(self._files), "applied")

    def _find_out(self, effect: ask.Effect) -> None:
        match effect:
            case ask.FindSpawn():
                identity = effect.spec.id
                pid = self.kernel.pid_of(identity)
                if pid is None:
                    self.happens(inputs.SpawnLost(identity), f"no {identity} was spawned")
                else:
                    self.happens(inputs.Spawned(identity, pid), f"{pid} was spawned")
            case ask.Adopt():
                identity, pid = effect.spec.id, effect.pid
                if self.kernel.alive.get(pid) == identity:
                    self.happens(inputs.Adopted(identity, pid), f"{pid} is alive")
                else:
                    unseen = inputs.Exited(identity, pid, Outcome(), Usage())
                    self.happens(unseen, f"{pid} is gone")
            case _:
                pass

    # -- steps -------------------------------------------------------------------------------

    def _step(self, step: str) -> None:
        word, *rest = step.split()
        match word, rest:
            case "start" | "stop" | "restart" | "signal", [name, *more]:
                self.happens(_request(word, process_id(name), more), step)
            case "spawned", _:
                self.spawned(*_spawned_whom(rest), told_as=step)
            case "no", ["spawn", *more]:
                whom = more[1] if more[:1] == ["of"] else None
                why = " ".join(more[2:] if whom else more)
                self.not_spawned(whom, why or "no fork", told_as=step)
            case "exit", [pid, code]:
                self.ended(Pid(int(pid)), Outcome(code=int(code)), told_as=step)
            case "killed", [pid, signal_word, *core]:
                signum = int(signal.Signals[f"SIG{signal_word}"])
                outcome = Outcome(signum=signum, core_dumped=bool(core))
                self.ended(Pid(int(pid)), outcome, told_as=step)
            case "oom", [pid]:
                outcome = Outcome(signum=int(signal.SIGKILL))
                self.ended(Pid(int(pid)), outcome, oom_killed=True, told_as=step)
            case "probe", [name, kind, verdict, *why]:
                assert verdict in ("ok", "fails")
                ok, told = verdict == "ok", " ".join(why) or "http 503"
                self.answered(name, ProbeKind(kind), ok=ok, detail=told, told_as=step)
            case "refuse", [pid]:
                self.refused(Pid(int(pid)), told_as=step)
            case "busy", [seconds]:
                self.wait(float(seconds))
                self._lines.append(f"> {step}")
            case "deadline", []:
                self.happens(inputs.DeadlinePassed(), step)
            case "apply" | "update", [name]:
                revive = word == "update"
                self.happens(inputs.ApplyPlan(self.plans[name], revive=revive), step)
            case "killed", []:
                self.goes_on()
            case "killed", [n]:
                self.goes_on(over={int(n)})
            case "shutdown", []:
                self.happens(inputs.Shutdown("SIGTERM"), step)
            case "settled", []:
                self.happens(inputs.FeedsSettled(), step)
            case _, []:
                self.passes(float(word.removeprefix("+")))
            case _:
                raise AssertionError(f"no such step: {step}")

    def spawned(self, name: str | None, pid: int | None, *, told_as: str = "spawned") -> Pid:
        """A spawn succeeds."""
        identity = self._pending(name)
        made = self.kernel.spawn(identity, None if pid is None else Pid(pid))
        self.happens(inputs.Spawned(identity, made), told_as)
        return made

    def not_spawned(self, name: str | None, reason: str, *, told_as: str = "no spawn") -> None:
        """A spawn fails."""
        identity = self._pending(name)
        self.kernel.withdraw(identity)
        self.happens(inputs.SpawnFault(identity, reason), told_as)

    def ended(
        self, pid: Pid, outcome: Outcome, *, oom_killed: bool = False, told_as: str = "exit"
    ) -> None:
        """A child ends."""
        owner = self.kernel.alive.pop(pid)
        was_running = self._states.get(owner) is PublicState.RUNNING
        spec = self.supervisor.spec_of(owner)
        foreseen = self.supervisor.next_at_once(owner, outcome, self.now, after=-1.0)
        effects = self.happens(inputs.Exited(owner, pid, outcome, Usage(), oom_killed), told_as)
        asked_for = [effect.spec for effect in effects if isinstance(effect, ask.Spawn)]
        if was_running and spec in asked_for:
            assert foreseen is spec, f"nobody foresaw that {owner} is started at once"
        assert foreseen is None or asked_for == [foreseen], f"{owner} was said to be started"

    def answered(
        self, name: str, kind: ProbeKind, *, ok: bool, detail: str = "", told_as: str = "probe"
    ) -> None:
        """A probe that is being asked is answered."""
        identity = process_id(name)
        answer = inputs.Probed(
            id=identity,
            pid=self.kernel.asking[identity, kind],
            kind=kind,
            ok=ok,
            detail="http 200" if ok else detail,
            duration=0.25,
        )
        self.happens(answer, told_as)

    def refused(self, pid: Pid, *, told_as: str = "refuse") -> None:
        """The kernel would not deliver the signal sent last."""
        reason = f"{signal_name(self.kernel.sent[pid][-1])}: not permitted"
        self.happens(inputs.SignalFault(self.kernel.alive[pid], pid, reason), told_as)

    def wait(self, seconds: float) -> None:
        """The clock moves; nobody looks."""
        self.now = Instant(mono=self.now.mono + seconds, wall=self.now.wall + seconds)

    def passes(self, seconds: float) -> None:
        """The clock moves, and every deadline on the way is handled on time."""
        until, began = self.now.mono + seconds, self.now.mono
        looks_at_once = 0
        while (deadline := self.supervisor.deadline) is not None and deadline <= until:
            moment = max(deadline, self.now.mono)
            looks_at_once = looks_at_once + 1 if moment == self.now.mono else 1
            # One process is seen to at a time, and two things may be due of each.
            assert looks_at_once <= 2 * len(self._states) + 1, "it spins: a deadline stays past"
            elapsed = moment - self.now.mono
            self.now = Instant(mono=moment, wall=self.now.wall_at(moment))
            is_new = elapsed > 0 or looks_at_once == 1
            self.happens(inputs.DeadlinePassed(), f"+{elapsed:g}" if is_new else "")
            began = self.now.mono
        self.wait(until - self.now.mono)
        if until > began or not looks_at_once:
            self._lines.append(f"> +{until - began:g}")

    def _pending(self, name: str | None) -> ProcessId:
        return next(iter(self.kernel.pending)) if name is None else process_id(name)

    def _transcript(self) -> str:
        lines, self._lines = self._lines, []
        return "\n".join(lines)

    # -- what must always be true ------------------------------------------------------------

    def _notice(self, effect: ask.Effect) -> None:
        match effect:
            case ask.Publish(event=fact.StateChanged() as event):
                before = self._states.get(event.id, PublicState.STOPPED)
                assert event.old is before, f"{event.id} was {before}, not {event.old}"
                assert event.new in TRANSITIONS[event.old]
                assert event.reason, "a change without a reason"
                self._states[event.id] = event.new
                if event.new is PublicState.UNKNOWN:
                    assert event.pid is not None
                    self.out_of_reach.add(event.pid)
            case ask.Publish(event=fact.ProcessSpawned() as event):
                self._spawned[event.id].append(event.cause)
            case ask.Publish(event=fact.ProcessAdded() as event):
                assert event.id not in self._states, f"{event.id} was added twice"
                self._states[event.id] = PublicState.STOPPED
                self._spawned[event.id] = []
                if not self._is_finding_out:
                    self._seconds[event.id] = (self.now.mono, 0.0, 0.0)
            case ask.Publish(event=fact.ProcessRemoved() as event):
                del self._states[event.id], self._spawned[event.id], self._seconds[event.id]
            case ask.Spawn():
                assert not self.is_shutting_down, f"{effect.spec.id} is started in shutdown"
                assert effect.spec == self._specs[effect.spec.id], "started with an old spec"
                assert effect.spec.id not in self.stopped_by_hand, "the stop is undone"
            case ask.ShutdownComplete():
                assert not self.is_complete, "shutdown completes twice"
                assert not self.kernel.pending, "complete, and something is being spawned"
                assert self.kernel.alive.keys() <= self.out_of_reach, "complete, and some live"
                self.is_complete = True
            case _:
                pass
        if isinstance(effect, ask.Publish):
            self.events.append(effect.event)

    def _check_revisions(self, views: Mapping[ProcessId, ProcessView]) -> None:
        """Whoever keeps what was told of a view may do so while its revision is the same."""
        told, supervisor = self._told_by, self.supervisor
        for identity, view in views.items():
            as_told = replace(view, running_seconds=0.0, expected_seconds=0.0)
            assert told.setdefault(supervisor.revision_of(identity), as_told) == as_told, (
                "changed under the same revision"
            )

    def check(self) -> None:
        """Everything the supervisor shows agrees with the kernel and with what it has told."""
        self.memory.check(self.supervisor)
        deadline = self.supervisor.deadline
        views = {view.id: view for view in self.supervisor.views(self.now)}
        assert views.keys() == self._states.keys()
        self._check_revisions(views)
        for identity, view in views.items():
            pid = self.kernel.pid_of(identity)
            assert view.state is self._states[identity]
            assert view.pid == pid, f"{identity} is {pid}, not {view.pid}"
            if view.state is PublicState.STARTING:
                assert (identity in self.kernel.pending) is (pid is None)
                assert pid is None or deadline is not None
            else:
                assert identity not in self.kernel.pending
                assert (pid is not None) is (view.state in ALIVE)
            if view.retry_at is not None or view.state is PublicState.BACKOFF:
                assert view.retry_at is not None, "a BACKOFF without end"
                assert deadline is not None, "a retry that nobody will come for"
                assert deadline <= view.retry_at
                assert view.retry_at >= view.since.mono, "a retry in the past"
            if view.state is PublicState.STOPPING:
                assert deadline is not None, "a STOPPING without SIGKILL"
            self._check_numbers(view)
            self._check_probes(view)

    def _check_probes(self, view: ProcessView) -> None:
        """What is asked is what ought to be, of the process that is there, as the view has it."""
        passing = {probe.kind: probe.passing for probe in view.probes}
        is_up = passing.get(ProbeKind.STARTUP, True) is True
        due: set[ProbeKind] = set()
        if view.pid is not None and view.state in (PublicState.STARTING, PublicState.RUNNING):
            due = {kind for kind in passing if is_up is not (kind is ProbeKind.STARTUP)}
        asked = {kind for owner, kind in self.kernel.asking if owner == view.id}
        assert asked == due, f"{view.id} is asked for {asked}, not {due}"
        assert asked == {probe.kind for probe in view.probes if probe.is_active}
        assert all(self.kernel.asking[view.id, kind] == view.pid for kind in asked)
        if view.ready:
            assert is_up, "ready, and not up"
            assert passing.get(ProbeKind.READINESS, True) is True
            assert view.state is PublicState.RUNNING

    def _check_numbers(self, view: ProcessView) -> None:
        causes = self._spawned[view.id]
        assert view.starts == len(causes)
        assert view.restarts == sum(1 for cause in causes if cause in AUTOMATIC)
        since, running, expected = self._seconds[view.id]
        alive_for = self.now.mono - since + 1e-6
        assert running <= view.running_seconds <= alive_for
        assert expected <= view.expected_seconds <= alive_for
        self._seconds[view.id] = (since, view.running_seconds, view.expected_seconds)


def _request(word: str, whom: ProcessId, more: list[str]) -> inputs.Request:
    match word:
        case "start":
            return inputs.Start(whom)
        case "stop":
            return inputs.Stop(whom)
        case "restart":
            return inputs.Restart(whom)
        case _:
            return inputs.SendSignal(whom, int(signal.Signals[f"SIG{more[0]}"]))


def _spawned_whom(words: list[str]) -> tuple[str | None, int | None]:
    match words:
        case []:
            return None, None
        case [pid]:
            return None, int(pid)
        case ["of", name]:
            return name, None
        case [pid, "of", name]:
            return name, int(pid)
        case _:
            raise AssertionError(f"spawned {words}")
