"""One process's life: inputs in, effects out, exactly one deadline.

Theory of operation
-------------------
A machine holds one state (state.py), the spec it follows, and a tally of its past. Every method
below is one input; each is a `match` over the state that names what happens in every one of them,
so "what if it exits while being stopped?" has one place to look. Results of effects come back as
inputs later, never from within a method.

* A start goes Spawning -> Starting (alive) -> Running (alive for `min_uptime`). Spawning exists
  because a stop may arrive between asking for a fork and hearing of it.
* An end by itself is judged by restart.py. A failed start goes to Backoff, and from there to
  Starting or Fatal; an end after coming up goes to Exited, and from there on. Both detours are
  published, since Supervisor's clients count on seeing BACKOFF before FATAL and EXITED before
  STARTING.
* A stop sends the stop signal, and SIGCONT after it: a suspended process does not see SIGTERM
  (signal(7)). Then SIGKILL at every further `kill_delay`; a process that outlives one keeps its
  deadline and is told of, it can't be forgotten in STOPPING.
* A start asked for during Stopping is remembered in `start_after`. So a restart is one request
  that no lost connection can cut in half.
* A process whose startup or liveness probe failed (health.py) is stopped like any other, with
  `StopCause.HEALTH`. Nobody asked for that stop, so its end is judged by restart.py too: from
  Stopping to Exited, or to Backoff if the run never came up. Whoever stops or starts it before its
  end takes the stop over.
* A changed spec waits in `_next_spec` until the run it does not apply to is over. What needs no
  other run is followed at once, by the rules of policy_changes.py.
* A machine can be made from the memento of another (memento.py), at any instant between two
  inputs. What that one had asked for and nobody can tell whether it was done is asked for again:
  a spawn, after a look whether it was made, and the last signal of a stop.

`wanted` is the operator's wish and outlives every state; `expected_running` is derived from it.
"""

from collections.abc import Callable
from functools import lru_cache
from signal import SIGCONT, SIGKILL
from typing import Self, assert_never

from opsvisor.core.effects import (
    Adopt,
    CancelSpawn,
    Effect,
    FindSpawn,
    Publish,
    SignalProcess,
    Spawn,
)
from opsvisor.core.events import (
    Event,
    FailuresForgotten,
    FlappingChanged,
    KillSurvived,
    ProcessAdopted,
    ProcessChanged,
    ProcessExited,
    ProcessSpawned,
    SignalRefused,
    SignalSent,
    SpawnFailed,
    StateChanged,
)
from opsvisor.core.health import Health
from opsvisor.core.inputs import Exited as RunExited
from opsvisor.core.inputs import Probed
from opsvisor.core.instant import Instant
from opsvisor.core.memento import ProcessMemento
from opsvisor.core.outcome import ExitCause, Outcome, SpawnFaultKind
from opsvisor.core.policy_changes import SecondLook, look_again, rescheduled, with_kill_delay
from opsvisor.core.record import Record
from opsvisor.core.restart import (
    Again,
    Decision,
    EndedRun,
    GiveUp,
    Leave,
    Tally,
    classify,
    decide,
    flapping_ends_at,
    in_seconds,
    is_flapping,
    is_restarted_at_once,
    restarts_within,
)
from opsvisor.core.spec import (
    KillMode,
    Pid,
    ProcessId,
    ProcessSpec,
    Startup,
)
from opsvisor.core.state import (
    TRANSITIONS,
    Backoff,
    Exited,
    Fatal,
    PublicState,
    Running,
    Spawning,
    StartCause,
    Starting,
    State,
    StopCause,
    Stopped,
    Stopping,
    Unknown,
    deadline_of,
    pid_of,
    public_state,
)
from opsvisor.core.struct import replace
from opsvisor.core.view import ProcessView

EXITED_TOO_QUICKLY = "Exited too quickly (process log may have details)"

_NO_FAILURES = Tally()
_AUTOMATIC = frozenset({StartCause.RETRY, StartCause.RESTART, StartCause.RECOVERY})
_EXPECTED = frozenset({ExitCause.SUCCESS, ExitCause.MANUAL, ExitCause.CONFIG, ExitCause.SHUTDOWN})
_STOP_TO_EXIT = {
    StopCause.MANUAL: ExitCause.MANUAL,
    StopCause.CONFIG: ExitCause.CONFIG,
    StopCause.SHUTDOWN: ExitCause.SHUTDOWN,
    StopCause.HEALTH: ExitCause.HEALTH,
}


class ProcessMachine:
    """Decides for one process. `jitter` gives a number in 0..1 for each delay."""

    __slots__ = (
        "_flapping",
        "_health",
        "_is_past_exact",
        "_is_untouched",
        "_jitter",
        "_next_spec",
        "_record",
        "_retired",
        "_tally",
        "group_priority",
        "revision",
        "spec",
        "state",
        "wanted",
    )

    def __init__(
        self, spec: ProcessSpec, *, group_priority: int, jitter: Callable[[], float], now: Instant
    ) -> None:
        self.spec = spec
        self.group_priority = group_priority
        self.revision = 0  # of its view, as whoever owns it counts
        self.state: State = Stopped()
        self.wanted = False
        self._retired = False
        self._jitter = jitter
        self._next_spec: ProcessSpec | None = None
        self._tally = _NO_FAILURES
        self._flapping = False
        self._health = Health.of(spec)
        self._record = Record(since=now, accounted_to=now.mono)
        self._is_past_exact = False  # what went before us was remembered to the very end
        self._is_untouched = True  # nobody has asked for a start or a stop

    @classmethod
    def recalled(
        cls,
        spec: ProcessSpec,
        memento: ProcessMemento,
        *,
        jitter: Callable[[], float],
        is_exact: bool,
    ) -> Self:
        """The machine that this is a memento of, up to what `find_again` has yet to find out."""
        since, priority = memento.record.since, memento.group_priority
        machine = cls(spec, group_priority=priority, jitter=jitter, now=since)
        machine.state = memento.state
        machine.wanted = memento.wanted
        machine._is_untouched = memento.is_untouched
        machine._is_past_exact = is_exact
        machine._next_spec = memento.next_spec
        machine._tally = memento.tally
        machine._flapping = memento.flapping
        machine._record = replace(memento.record)
        if memento.probes or memento.complaint:
            machine._health = machine._health.own()
            machine._health.recall(memento.probes, memento.complaint, is_exact=is_exact)
        return machine

    # -- what others ask ---------------------------------------------------------------------

    def memento(self, *, is_doomed: bool) -> ProcessMemento:
        """All that another machine needs, besides `spec`, to decide from now on as this one."""
        return ProcessMemento(
            id=self.id,
            group_priority=self.group_priority,
            state=self.state,
            wanted=self.wanted,
            is_untouched=self._is_untouched,
            tally=self._tally,
            record=replace(self._record),
            flapping=self._flapping,
            next_spec=self._next_spec,
            probes=self._health.mementos(),
            complaint=self._health.complaint,
            is_doomed=is_doomed,
        )

    @property
    def standing(self) -> tuple[object, ...]:
        """All that an answer to a probe may change of what will be decided."""
        return (self.state, self._tally, self._health.standing)

    @property
    def id(self) -> ProcessId:
        """Who this is."""
        return self.spec.id

    @property
    def deadline(self) -> float | None:
        """The monotonic second at which `deadline_passed` wants to be called."""
        of_state = deadline_of(self.state)
        if not self._flapping:
            return of_state
        calm_at = flapping_ends_at(self.spec.restart.flapping, self._tally)
        return calm_at if of_state is None else min(of_state, calm_at)

    @property
    def reason(self) -> str:
        """Why it is in its present state."""
        return self._record.reason

    @property
    def is_down(self) -> bool:
        """Nothing of it is alive, and nothing will start by itself."""
        return isinstance(self.state, Stopped | Exited | Fatal)

    @property
    def is_kept_up(self) -> bool:
        """It is wanted, and it is up or on its way."""
        return self.wanted and not (self.is_down or isinstance(self.state, Backoff))

    @property
    def holds_up_shutdown(self) -> bool:
        """Whether shutdown waits for its end. For what no signal reaches it would wait forever."""
        return not self.is_down and not isinstance(self.state, Unknown)

    @property
    def ended_as_expected(self) -> bool:
        """Whether its last end was asked for, or is one that its policy calls success."""
        return self._record.last_expected

    @property
    def expected_running(self) -> bool:
        """Whether it should be up: wanted, and not over by an exit its policy calls success."""
        return self.wanted and not (isinstance(self.state, Exited) and self._record.last_expected)

    def next_at_once(self, outcome: Outcome, now: Instant, *, after: float) -> ProcessSpec | None:
        """The spec of which `exited` would ask for a process at once, if it ended so now.

        None if it would not, or might not, or after a run of no more than `after` seconds. Decides
        nothing.
        """
        state = self.state
        if not isinstance(state, Running) or self._next_spec is not None or self._retired:
            return None
        uptime = now.mono - state.started_at
        if uptime <= after:
            return None
        is_again = is_restarted_at_once(
            self.spec.restart, self._tally, outcome, uptime=uptime, now=now.mono
        )
        return self.spec if is_again else None

    def uptime(self, mono: float) -> float:
        """For how many seconds the run that is there has lasted; 0 without one."""
        match self.state:
            case Starting() | Running() | Stopping() | Unknown():
                return mono - self.state.started_at
            case Stopped() | Spawning() | Backoff() | Exited() | Fatal():
                return 0.0
            case never:
                assert_never(never)

    def view(self, now: Instant) -> ProcessView:
        """A frozen copy of everything worth showing."""
        is_running = isinstance(self.state, Running)
        retry_at = self.state.retry_at if isinstance(self.state, Backoff | Fatal) else None
        pid = pid_of(self.state)
        expected = self.expected_running
        # Not booked in a copy of the record: 1,000 copies would take half the time of all views.
        record = self._record
        running_seconds, expected_seconds = record.totals(
            now, running=is_running, expected=expected
        )
        return ProcessView(
            id=self.id,
            spec=self.spec,
            group_priority=self.group_priority,
            state=public_state(self.state),
            reason=record.reason,
            since=record.since,
            pid=pid,
            ready=is_running and self._health.is_ready,
            healthy=self._health.is_healthy if pid is not None and self._health.probes else None,
            probes=self._health.views() if self._health.probes else (),
            flapping=self._flapping,
            expected_running=expected,
            started=record.started,
            ended=record.ended,
            starts=record.starts,
            restarts=record.restarts,
            failed_starts=self._tally.failed_starts,
            failures=self._tally.failures,
            retry_at=retry_at,
            retry_delay=record.retry_delay if retry_at is not None else None,
            kills_survived=max(0, self.state.kills - 1) if isinstance(self.state, Stopping) else 0,
            last_outcome=record.last_outcome,
            last_cause=record.last_cause,
            last_oom_killed=record.last_oom_killed,
            last_signal_asked=record.last_signal_asked,
            spawn_error=record.spawn_error,
            running_seconds=running_seconds,
            expected_seconds=expected_seconds,
        )

    # -- requests ----------------------------------------------------------------------------

    def start(self, cause: StartCause, now: Instant) -> list[Effect]:
        """Bring it up, unless it is up or on its way."""
        self.want(wanted=True, now=now)
        match self.state:
            case Stopped() | Exited() | Fatal():
                self._forgive()
                return [*self._calm_down(now), *self._spawn(cause, "start requested", now)]
            case Backoff():
                # An operator who fixed the cause need not wait for the next attempt.
                self._forgive()
                return [*self._calm_down(now), *self._spawn(cause, "start requested", now)]
            case Stopping() | Unknown():
                self.state = replace(self.state, start_after=cause)
                return []
            case Spawning():
                if self.state.stop_wanted is not None:
                    self.state = replace(self.state, start_after=cause)
                return []
            case Starting() | Running():
                return []
            case never:
                assert_never(never)

    def stop(
        self, cause: StopCause, now: Instant, start_after: StartCause | None = None
    ) -> list[Effect]:
        """Bring it down; with `start_after`, up again when it is down."""
        self.want(wanted=start_after is not None, now=now)
        self._forgive()
        return [*self._calm_down(now), *self._bring_down(cause, now, start_after)]

    def _bring_down(
        self, cause: StopCause, now: Instant, start_after: StartCause | None
    ) -> list[Effect]:
        match self.state:
            case Starting() | Running() | Unknown():
                return self._ask_to_end(self.state.pid, cause, start_after, now)
            case Backoff() | Fatal(retry_at=float()):
                self._take_next_spec()
                return [
                    *self._become(Stopped(), f"stop requested ({cause.value})", now),
                    *self._start_again(start_after, now),
                ]
            case Spawning():
                called_off = self.state.stop_wanted is not None
                self.state = replace(self.state, stop_wanted=cause, start_after=start_after)
                return [] if called_off else [CancelSpawn(self.id)]
            case Stopping():
                # A stop for its health is now the stop that was asked for.
                was_health = self.state.cause is StopCause.HEALTH
                taken_over = cause if was_health else self.state.cause
                self.state = replace(self.state, cause=taken_over, start_after=start_after)
                return []
            case Stopped() | Exited() | Fatal():
                return self._start_again(start_after, now)
            case never:
                assert_never(never)

    def retire(self, now: Instant) -> list[Effect]:
        """Start no more: shutdown has begun. What is alive runs on until it is told to stop."""
        self._retired = True
        match self.state:
            case Spawning() | Backoff() | Stopping() | Fatal():
                return self.stop(StopCause.SHUTDOWN, now)
            case Unknown():
                self.state = replace(self.state, start_after=None)
                return []
            case Stopped() | Starting() | Running() | Exited():
                return []
            case never:
                assert_never(never)

    def signal(self, signum: int, now: Instant) -> list[Effect]:
        """Deliver a signal to the main process, if there is one."""
        match self.state:
            case Starting() | Running() | Stopping() | Unknown():
                self._record.asked_signum = signum
                return self._send(self.state.pid, signum, now, to_group=False, stopping=False)
            case Stopped() | Spawning() | Backoff() | Exited() | Fatal():
                return []
            case never:
                assert_never(never)

    def change(self, spec: ProcessSpec, now: Instant, *, restart: bool) -> list[Effect]:
        """Follow a new spec: at once where that is possible, else when the present run is over.

        A process that should be running and is not (EXITED, FATAL, BACKOFF) is started, because
        the change may be what it was waiting for; without a `restart`, if `look_again` says so.
        So is one that never was, since it was not to be started by itself, when it is to be. One
        that was stopped by hand stays stopped.
        """
        latest = self.spec if self._next_spec is None else self._next_spec
        names = tuple(
            name
            for name in ProcessSpec.__struct_fields__
            if getattr(spec, name) != getattr(latest, name)
        )
        told: list[Effect] = [
            Publish(ProcessChanged(at=now.wall, id=spec.id, spec=spec, fields=names))
        ]
        if not restart and self._next_spec is not None:
            self._next_spec = spec
            self._retime_stop(spec)
            return told
        if not restart:
            self.spec = spec
            self.state = rescheduled(self.state, latest, spec)
            if spec.has_probes:
                self._health = self._health.own()
            told += [
                *self._calm_down(now),
                *self._agitate(now),
                *self._health.follow(spec, self._run, now),
            ]
            told += self._reconsider(latest, now)
            return told + self._start_if_enabled(latest, now)
        self._next_spec = spec
        self._retime_stop(spec)
        match self.state:
            case Starting() | Running() | Spawning() | Backoff() | Unknown() | Stopping():
                again = StartCause.CONFIG if self.wanted else None
                return [*told, *self.stop(StopCause.CONFIG, now, start_after=again)]
            case Exited() | Fatal():
                self._take_next_spec()
                return [*told, *(self.start(StartCause.CONFIG, now) if self.wanted else [])]
            case Stopped():
                self._take_next_spec()
                return told + self._start_if_enabled(latest, now)
            case never:
                assert_never(never)

    def _retime_stop(self, coming: ProcessSpec) -> None:
        """Have a stop last as long as the spec has it that waits for its end, begun by now or not.

        Who changes a program and gives it more time to end means the one that is ended for that.
        """
        before, self.spec = self.spec, with_kill_delay(self.spec, coming)
        self.state = rescheduled(self.state, before, self.spec)

    def _reconsider(self, before: ProcessSpec, now: Instant) -> list[Effect]:
        """Decide again about a process that should be up and is not."""
        if not self.wanted or self._retired:
            return []
        match look_again(self.state, self._record, before, self.spec):
            case SecondLook.LEAVE:
                return []
            case SecondLook.START:
                return self.start(StartCause.CONFIG, now)
            case SecondLook.CALL_OFF:
                self.want(wanted=False, now=now)
                return self._become(Stopped(), "restart is off by now", now)
            case never:
                assert_never(never)

    def _start_if_enabled(self, before: ProcessSpec, now: Instant) -> list[Effect]:
        if before.startup is self.spec.startup or self.spec.startup is not Startup.ENABLED:
            return []
        return self.start(StartCause.CONFIG, now) if self._is_untouched else []

    # -- what another daemon left ------------------------------------------------------------

    def find_again(self) -> list[Effect]:
        """Ask what became of a run, or of a spawn, that the memento speaks of."""
        match self.state:
            case Spawning():
                return [FindSpawn(self.spec)]
            case Starting() | Running() | Stopping() | Unknown():
                return [Adopt(self.spec, self.state.pid)]
            case Stopped() | Backoff() | Exited() | Fatal():
                return []
            case never:
                assert_never(never)

    def spawn_lost(self, now: Instant) -> list[Effect]:
        """The spawn was not made. Nobody hears of it: it is made now, if it is still wanted."""
        state = self.state
        assert isinstance(state, Spawning), f"{self.id} lost a spawn in {state}"
        if state.stop_wanted is not None:
            return self._call_off(state, now)
        return [Spawn(self.spec)]

    def adopted(self, pid: Pid, now: Instant) -> list[Effect]:
        """The run is alive. What it was told last, it may not have heard, unless that is known."""
        state = self.state
        assert pid == pid_of(state), f"{self.id}: {pid} was taken back in {state}"
        assert isinstance(state, Starting | Running | Stopping | Unknown)
        told: list[Effect] = []
        if not self._is_past_exact:
            event = ProcessAdopted(
                at=now.wall,
                id=self.id,
                pid=pid,
                state=public_state(state),
                started=now.wall_at(state.started_at),
            )
            told.append(Publish(event))
        match state:
            case Starting() | Running():
                return told + self._health.begin(self.spec, state, now)
            case Stopping() if self._is_past_exact:
                return []
            case Stopping() if state.kills:
                return told + self._send_kill(pid, now)
            case Stopping():
                return told + self._send_stop(pid, now)
            case Unknown():
                return told
            case never:
                assert_never(never)

    # -- what happened -----------------------------------------------------------------------

    def spawned(self, pid: Pid, now: Instant) -> list[Effect]:
        """The process exists."""
        state = self.state
        assert isinstance(state, Spawning), f"{self.id} was spawned in {state}"
        self._record.starts += 1
        if state.cause in _AUTOMATIC:
            self._record.restarts += 1
        self._record.started = now
        self._record.asked_signum = 0
        event = ProcessSpawned(
            at=now.wall,
            id=self.id,
            pid=pid,
            cause=state.cause,
            replaces=self._replaced(state.cause),
        )
        up_at = now.mono + self.spec.min_uptime
        self.state = starting = Starting(pid=pid, started_at=now.mono, up_at=up_at)
        effects: list[Effect] = [Publish(event)]
        if state.stop_wanted is not None:
            return [*effects, *self._ask_to_end(pid, state.stop_wanted, state.start_after, now)]
        effects += self._health.begin(self.spec, starting, now)
        if self.spec.min_uptime <= 0:
            effects += self._come_up(starting, now)
        return effects

    def spawn_failed(self, reason: str, kind: SpawnFaultKind, now: Instant) -> list[Effect]:
        """The process could not be made."""
        state = self.state
        assert isinstance(state, Spawning), f"{self.id} failed to spawn in {state}"
        if state.stop_wanted is not None:
            return self._call_off(state, now)
        self._record.spawn_error = reason
        self._record.last_cause = ExitCause.START_FAILURE
        event = SpawnFailed(at=now.wall, id=self.id, reason=reason, kind=kind)
        run = EndedRun(uptime=0.0, came_up=False, outcome=None, spawn_error=reason)
        decision = self._decide(run, now)
        return [Publish(event), *self._follow(decision, now)]

    def exited(self, end: RunExited, now: Instant) -> list[Effect]:
        """The kernel reported the end of the process."""
        state = self.state
        assert end.pid == pid_of(state), f"{self.id}: {end.pid} ended in {state}"
        assert isinstance(state, Starting | Running | Stopping | Unknown)
        match state:
            case Starting() if now.mono >= state.up_at:
                # It was up for long enough, only the deadline had not been handled yet.
                return [*self._come_up(state, now), *self.exited(end, now)]
            case Starting() | Running():
                return self._ended_by_itself(state, end, now)
            case Stopping() | Unknown() if (
                state.cause is StopCause.HEALTH and not state.start_after
            ):
                return self._ended_for_health(state, end, now)
            case Stopping():
                return self._ended_as_asked(state, end, now)
            case Unknown():
                self._take_next_spec()
                uptime = now.mono - state.started_at
                decision = "starts again" if state.start_after else "left as it is"
                told = self._end_run(end, ExitCause.MANUAL, now, uptime, decision)
                changed = self._become(Stopped(), "ended after all", now, pid=end.pid)
                return [*told, *changed, *self._start_again(state.start_after, now)]
            case never:
                assert_never(never)

    def signal_refused(self, pid: Pid, reason: str, now: Instant) -> list[Effect]:
        """The kernel would not deliver a signal. While stopping, nobody knows what comes next."""
        told: list[Effect] = [
            Publish(SignalRefused(at=now.wall, id=self.id, pid=pid, reason=reason))
        ]
        match self.state:
            case Stopping() if self.state.pid == pid:
                self._record.spawn_error = reason
                state = self.state
                unknown = Unknown(state.pid, state.started_at, state.cause, state.start_after)
                return [*told, *self._become(unknown, f"can't signal it: {reason}", now)]
            case (
                Stopped()
                | Spawning()
                | Starting()
                | Running()
                | Backoff()
                | Stopping()
                | Exited()
                | Fatal()
                | Unknown()
            ):
                return told
            case never:
                assert_never(never)

    def probed(self, answer: Probed, now: Instant) -> list[Effect]:
        """A probe was answered. One of another run, or of one being stopped, is of no interest."""
        match self.state:
            case Starting() | Running():
                told = self._health.probed(answer, self.spec, self.state, now)
                if self._health.complaint:
                    return [*told, *self._ask_to_end(self.state.pid, StopCause.HEALTH, None, now)]
                if isinstance(self.state, Running):
                    self._note_proof()
                return told
            case Stopped() | Spawning() | Backoff() | Stopping() | Exited() | Fatal() | Unknown():
                return []
            case never:
                assert_never(never)

    def deadline_passed(self, now: Instant) -> list[Effect]:
        """The instant asked for has come. Harmless if it has not: nothing is due then."""
        effects = self._calm_down(now)
        due = deadline_of(self.state)
        if due is not None and now.mono < due:
            return effects
        match self.state:
            case Stopped() | Spawning() | Exited() | Unknown():
                return effects
            case Running(settled_at=None) | Fatal(retry_at=None):
                return effects
            case Starting():
                return effects + self._come_up(self.state, now)
            case Running():
                return effects + self._settle(self.state, now)
            case Backoff():
                attempt = f"attempt {self._tally.failed_starts + 1}"
                is_retry = self.state.cause is StartCause.RETRY
                reason = attempt if is_retry else "restart after the delay"
                return effects + self._spawn(self.state.cause, reason, now)
            case Fatal():
                return effects + self._spawn(StartCause.RECOVERY, "slow retry out of FATAL", now)
            case Stopping():
                return effects + self._kill(self.state, now)
            case never:
                assert_never(never)

    # -- steps -------------------------------------------------------------------------------

    def _spawn(self, cause: StartCause, reason: str, now: Instant) -> list[Effect]:
        self._record.spawn_error = ""
        self._health.forget()
        changed = self._become(Spawning(cause=cause), reason, now)
        return [*changed, Spawn(self.spec)]

    def _replaced(self, cause: StartCause) -> ExitCause | None:
        """Under which cause this start counts as a restart, None for the first one."""
        if self._record.last_cause is None:
            return None
        if cause in _AUTOMATIC:
            return self._record.last_cause
        return ExitCause.CONFIG if cause is StartCause.CONFIG else ExitCause.MANUAL

    def _call_off(self, state: Spawning, now: Instant) -> list[Effect]:
        """The spawn was not made, and that is as well: a stop had been asked for."""
        self._take_next_spec()
        stopped = self._become(Stopped(), "stop requested while starting", now)
        return stopped + self._start_again(state.start_after, now)

    def _start_again(self, cause: StartCause | None, now: Instant) -> list[Effect]:
        if cause is None:
            return []
        self._forgive()
        return [*self._calm_down(now), *self._spawn(cause, f"restart ({cause.value})", now)]

    def _come_up(self, state: Starting, now: Instant) -> list[Effect]:
        self._note_proof()
        reset_at = state.started_at + self.spec.restart.backoff_reset
        settled_at = reset_at if self._tally.failures else None
        running = Running(pid=state.pid, started_at=state.started_at, settled_at=settled_at)
        return self._become(running, _up_for(self.spec.min_uptime), now)

    def _note_proof(self) -> None:
        """A start has succeeded when it is up for long enough, and its probes say so too."""
        if self._tally.failed_starts and self._health.is_proven:
            self._tally = replace(self._tally, failed_starts=0)

    def _settle(self, state: Running, now: Instant) -> list[Effect]:
        forgotten = self._tally.failures
        self._tally = replace(self._tally, failures=0)
        self.state = replace(state, settled_at=None)
        return [Publish(FailuresForgotten(at=now.wall, id=self.id, failures=forgotten))]

    def _ask_to_end(
        self, pid: Pid, cause: StopCause, start_after: StartCause | None, now: Instant
    ) -> list[Effect]:
        started_at = self._record.started.mono if self._record.started else now.mono
        policy = self.spec.stop
        stopping = Stopping(
            pid=pid,
            started_at=started_at,
            kill_at=now.mono + policy.delay_of_kill(kills=0),
            cause=cause,
            start_after=start_after,
        )
        is_asked = cause is not StopCause.HEALTH
        reason = f"stop requested ({cause.value})" if is_asked else self._health.complaint
        return [*self._become(stopping, reason, now), *self._send_stop(pid, now)]

    def _send_stop(self, pid: Pid, now: Instant) -> list[Effect]:
        policy = self.spec.stop
        to_group = policy.signal_mode is not KillMode.PROCESS
        return [
            *self._send(pid, policy.signal, now, to_group=to_group, stopping=True),
            SignalProcess(id=self.id, pid=pid, signum=SIGCONT, to_group=to_group),
        ]

    def _send_kill(self, pid: Pid, now: Instant) -> list[Effect]:
        to_group = self.spec.stop.kill_mode is not KillMode.PROCESS
        return self._send(pid, SIGKILL, now, to_group=to_group, stopping=True)

    def _kill(self, state: Stopping, now: Instant) -> list[Effect]:
        told: list[Effect] = []
        if state.kills:
            event = KillSurvived(at=now.wall, id=self.id, pid=state.pid, kills=state.kills)
            self._record.reason = (
                f"outlived SIGKILL {state.kills} times: it is stuck in the kernel"
            )
            told.append(Publish(event))
        kills = state.kills + 1
        kill_at = now.mono + self.spec.stop.delay_of_kill(kills)
        self.state = replace(state, kills=kills, kill_at=kill_at)
        return told + self._send_kill(state.pid, now)

    def _send(
        self, pid: Pid, signum: int, now: Instant, *, to_group: bool, stopping: bool
    ) -> list[Effect]:
        sent = SignalSent(
            at=now.wall,
            id=self.id,
            pid=pid,
            signum=signum,
            to_group=to_group,
            stopping=stopping,
        )
        return [
            Publish(sent),
            SignalProcess(id=self.id, pid=pid, signum=signum, to_group=to_group),
        ]

    # -- ends of runs ------------------------------------------------------------------------

    def _ended_as_asked(self, state: Stopping, end: RunExited, now: Instant) -> list[Effect]:
        reason = f"stopped ({state.cause.value})"
        decision = "starts again" if state.start_after else reason
        uptime = now.mono - state.started_at
        told = self._end_run(end, _STOP_TO_EXIT[state.cause], now, uptime, decision)
        self._take_next_spec()
        changed = self._become(Stopped(), reason, now, pid=end.pid)
        return [*told, *changed, *self._start_again(state.start_after, now)]

    def _ended_for_health(
        self, state: Stopping | Unknown, end: RunExited, now: Instant
    ) -> list[Effect]:
        """It was stopped because a probe failed: its policy decides, as after a failure."""
        uptime = now.mono - state.started_at
        run = EndedRun(
            uptime=uptime,
            came_up=self._health.is_proven,
            outcome=end.outcome,
            complaint=self._health.complaint,
        )
        decision = self._decide(run, now)
        self._record.spawn_error = self._health.complaint
        told = self._end_run(end, ExitCause.HEALTH, now, uptime, _in_words(decision))
        return told + self._follow(decision, now, pid=end.pid)

    def _ended_by_itself(
        self, state: Starting | Running, end: RunExited, now: Instant
    ) -> list[Effect]:
        uptime = now.mono - state.started_at
        came_up = isinstance(state, Running)
        run = EndedRun(
            uptime=uptime,
            came_up=came_up,
            outcome=end.outcome,
            oom_killed=end.oom_killed,
            signal_asked=self._record.was_asked_for(end.outcome),
        )
        cause = classify(self.spec.restart, run)
        decision = self._decide(run, now)
        if cause is ExitCause.START_FAILURE and not isinstance(decision, Leave):
            self._record.spawn_error = EXITED_TOO_QUICKLY
        elif cause is not ExitCause.SUCCESS:
            self._record.spawn_error = _bad_exit(end.outcome)
        told = self._end_run(end, cause, now, uptime, _in_words(decision))
        return told + self._follow(decision, now, pid=end.pid)

    def _end_run(
        self, end: RunExited, cause: ExitCause, now: Instant, uptime: float, decision: str
    ) -> list[Effect]:
        expected = cause in _EXPECTED
        self._account(now)  # with this end, it may no longer be expected to run
        oom_killed = end.oom_killed
        self._record.end_run(end.outcome, cause, now, expected=expected, oom_killed=oom_killed)
        event = ProcessExited(
            at=now.wall,
            id=self.id,
            pid=end.pid,
            outcome=end.outcome,
            cause=cause,
            expected=expected,
            uptime=uptime,
            usage=end.usage,
            decision=decision,
            oom_killed=oom_killed,
        )
        return [Publish(event)]

    def _decide(self, run: EndedRun, now: Instant) -> Decision:
        if self._retired:
            return Leave(reason=f"{run}; shutdown has begun")
        decision, self._tally = decide(
            self.spec.restart, run, self._tally, now=now.mono, jitter=self._jitter()
        )
        return decision

    def _follow(self, decision: Decision, now: Instant, pid: Pid | None = None) -> list[Effect]:
        """Do what was decided, by way of the states that Supervisor's clients count on.

        A failed start goes through BACKOFF, even into FATAL; an end after coming up through
        EXITED. Nobody can act between two changes that follow at once.
        """
        match decision:
            case Leave():
                return self._become(Exited(), decision.reason, now, pid=pid)
            case Again(failed_start=True):
                changed = self._back_off(decision, StartCause.RETRY, now, pid)
                return changed + self._agitate(now)
            case Again():
                changed = self._become(Exited(), decision.reason, now, pid=pid)
                changed += self._agitate(now)
                if decision.delay > 0:
                    return changed + self._back_off(decision, StartCause.RESTART, now)
                return changed + self._spawn(StartCause.RESTART, decision.reason, now)
            case GiveUp():
                self._record.retry_delay = None
                way = Backoff(now.mono, StartCause.RETRY) if decision.failed_start else Exited()
                changed = self._become(way, decision.reason, now, pid=pid)
                return changed + self._give_up(decision, now)
            case never:
                assert_never(never)

    def _back_off(
        self, decision: Again, cause: StartCause, now: Instant, pid: Pid | None = None
    ) -> list[Effect]:
        self._record.retry_delay = decision.delay
        state = Backoff(retry_at=now.mono + decision.delay, cause=cause)
        return self._become(state, decision.reason, now, pid=pid)

    def _give_up(self, decision: GiveUp, now: Instant) -> list[Effect]:
        delay = decision.retry_delay
        self._record.retry_delay = delay
        if not self._record.spawn_error:
            self._record.spawn_error = decision.reason
        fatal = Fatal(retry_at=None if delay is None else now.mono + delay)
        changed = self._become(fatal, decision.reason, now)
        # The next start, by hand or by the slow retry, has all its attempts again. `failures`
        # stays: the slow retry goes on with the longest delays, not with the shortest.
        self._tally = replace(self._tally, failed_starts=0)
        return changed

    # -- bookkeeping -------------------------------------------------------------------------

    def _become(
        self, state: State, reason: str, now: Instant, pid: Pid | None = None
    ) -> list[Effect]:
        """Change the state and tell. `pid` names the run that just ended, if one did."""
        old, new = public_state(self.state), public_state(state)
        assert new in TRANSITIONS[old], f"{self.id}: {old.name} -> {new.name} ({reason})"
        self._account(now)
        self.state = state
        self._record.enter(reason, now)
        failed_starts = self._tally.failed_starts
        retries = new in (PublicState.BACKOFF, PublicState.FATAL)
        is_asked = isinstance(state, Starting | Running)
        unasked = [] if is_asked else self._health.end(self.id)
        event: Event = StateChanged(
            at=now.wall,
            id=self.id,
            old=old,
            new=new,
            reason=reason,
            pid=pid_of(state) or pid,
            failed_starts=failed_starts,
            retry_delay=self._record.retry_delay if retries else None,
        )
        return [Publish(event), *unasked]

    @property
    def _run(self) -> Starting | Running | None:
        """The run that is up and that nobody has asked to end, None if there is none."""
        return self.state if isinstance(self.state, Starting | Running) else None

    def want(self, *, wanted: bool, now: Instant) -> None:
        """Note the operator's wish; nothing is done for it yet."""
        self._account(now)
        self.wanted = wanted
        self._is_untouched = False

    def _account(self, now: Instant) -> None:
        is_running = isinstance(self.state, Running)
        self._record.account(now, running=is_running, expected=self.expected_running)

    def _forgive(self) -> None:
        """A start or a stop that was asked for leaves a clean slate."""
        self._tally = _NO_FAILURES

    def _take_next_spec(self) -> None:
        if self._next_spec is not None:
            self.spec, self._next_spec = self._next_spec, None
            if self.spec.has_probes:
                self._health = self._health.own()
            stopped = self._health.take(self.spec, self._run)
            assert not stopped, f"{self.id} takes over a spec in the middle of a run"

    def _agitate(self, now: Instant) -> list[Effect]:
        """Tell of flapping the moment it begins."""
        if self._flapping or not is_flapping(self.spec.restart.flapping, self._tally, now.mono):
            return []
        self._flapping = True
        return [self._flapping_told(now)]

    def _calm_down(self, now: Instant) -> list[Effect]:
        """Tell of the end of flapping, if it has ended."""
        if not self._flapping or is_flapping(self.spec.restart.flapping, self._tally, now.mono):
            return []
        self._flapping = False
        return [self._flapping_told(now)]

    def _flapping_told(self, now: Instant) -> Effect:
        interval = self.spec.restart.flapping.interval
        return Publish(
            FlappingChanged(
                at=now.wall,
                id=self.id,
                flapping=self._flapping,
                restarts=restarts_within(self._tally, interval, now.mono),
                interval=interval,
            )
        )


@lru_cache(maxsize=64)
def _up_for(min_uptime: float) -> str:
    """One text for all who have the same, as each keeps it for as long as it runs."""
    return f"up for {in_seconds(min_uptime)}"


def _in_words(decision: Decision) -> str:
    match decision:
        case Again():
            when = f"in {in_seconds(decision.delay)}" if decision.delay else "at once"
            return f"starts again {when}: {decision.reason}"
        case GiveUp():
            after = decision.retry_delay
            later = "" if after is None else f"; tries again in {in_seconds(after)}"
            return f"given up: {decision.reason}{later}"
        case Leave():
            return f"left as it is: {decision.reason}"
        case never:
            assert_never(never)


def _bad_exit(outcome: Outcome) -> str:
    """Supervisor's text for an exit code; for a signal its name, where Supervisor says -1."""
    return str(outcome) if outcome.code is None else f"Bad exit code {outcome.code}"
