"""Start, stop, restart, signal: requests to the core, and the wait for what becomes of them."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from enum import Enum

from opsvisor.control.names import (
    Among,
    NoSuchGroup,
    NoSuchProcess,
    Resolved,
    Target,
    may_start,
    resolve,
)
from opsvisor.core.events import (
    ControlAction,
    Event,
    PlanApplied,
    ProcessExited,
    ProcessRemoved,
    ProcessSpawned,
    SignalRefused,
    SpawnFailed,
    StateChanged,
    SupervisorStateChanged,
)
from opsvisor.core.inputs import Restart, SendSignal, Start, Stop
from opsvisor.core.outcome import SpawnFaultKind, signal_name
from opsvisor.core.spec import ProcessId
from opsvisor.core.state import PublicState
from opsvisor.core.struct import Struct
from opsvisor.core.view import ProcessView
from opsvisor.runtime.bus import EventBus
from opsvisor.runtime.engine import Engine
from opsvisor.runtime.spawn import SpawnError

# Added to what a process's own start and stop times allow, for the machine's sake.
_PATIENCE = 15.0


class Action(Enum):
    """What can be asked of a process."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    SIGNAL = "signal"


class Result(Enum):
    """What became of it; the names are those of Supervisor's faults."""

    OK = "ok"
    NO_SUCH_PROCESS = "no_such_process"
    NO_SUCH_GROUP = "no_such_group"
    ALREADY_STARTED = "already_started"
    NOT_RUNNING = "not_running"
    NO_FILE = "no_file"
    NOT_EXECUTABLE = "not_executable"
    SPAWN_ERROR = "spawn_error"
    ABNORMAL_TERMINATION = "abnormal_termination"
    FAILED = "failed"
    TIMEOUT = "timeout"
    SHUTTING_DOWN = "shutting_down"


class ActionOutcome(Struct, frozen=True):
    """The result for one process, or for a name that stands for none (`id` None)."""

    name: str
    id: ProcessId | None
    result: Result
    reason: str


class _Verdict(Struct, frozen=True):
    result: Result
    reason: str


_Judge = Callable[[Event], _Verdict | None]

_SPAWN_RESULTS = {
    SpawnFaultKind.NO_FILE: Result.NO_FILE,
    SpawnFaultKind.NOT_EXECUTABLE: Result.NOT_EXECUTABLE,
    SpawnFaultKind.OTHER: Result.SPAWN_ERROR,
}
_ALIVE = (PublicState.STARTING, PublicState.RUNNING)
_SIGNALLABLE = (PublicState.STARTING, PublicState.RUNNING, PublicState.STOPPING)


class Actions:
    """Carries out requests of clients. Several may wait for the same process."""

    def __init__(self, engine: Engine, bus: EventBus, *, is_stopping: Callable[[], bool]) -> None:
        self._engine = engine
        self._is_stopping = is_stopping
        self._bus = bus
        self._waiting: dict[ProcessId, dict[asyncio.Future[_Verdict], _Judge]] = {}

    async def act(
        self,
        action: Action,
        names: Iterable[str],
        *,
        among: Callable[[ProcessId], bool] = lambda _: True,
        signum: int = 0,
        wait: bool = True,
        timeout: float | None = None,  # noqa: ASYNC109 - a client's wish, told as a result
    ) -> list[ActionOutcome]:
        """Do it to all of them side by side; one outcome for each, in the order of the names.

        Names stand for processes that are `among` those that the caller knows of, and no others.
        `timeout` bounds the waiting, in seconds; None: as long as the processes' own start and
        stop times allow. What was asked for goes on after that.
        """
        resolved = resolve(names, Among(self._engine, among))
        # As it is before anything is done: what is done to one may end another.
        views = {
            name.id: self._engine.view(name.id) for name in resolved if isinstance(name, Target)
        }
        # What came of a signal is known only when it was sent.
        with nullcontext() if action is Action.SIGNAL else self._engine.together():
            begun = [self._begin_for(action, name, views, signum) for name in resolved]
        if action is Action.SIGNAL and wait:
            begun = await self._signal_unborn(resolved, begun, signum, timeout)
        pending = [p for p in begun if p is not None]
        under_way = [p for p in pending if isinstance(p, _Pending)]
        try:
            if wait:
                await self._wait(under_way, timeout)
                if action is Action.STOP:
                    await self._engine.leftovers_are_gone(views, timeout)
            return [p if isinstance(p, ActionOutcome) else _told(p, wait=wait) for p in pending]
        finally:
            self._drop(under_way)

    async def act_on(
        self,
        action: Action,
        process_id: ProcessId,
        *,
        signum: int = 0,
        wait: bool = True,
        timeout: float | None = None,  # noqa: ASYNC109 - as above
    ) -> ActionOutcome:
        """Do it to this one process, whatever its startup says. KeyError if there is none.

        `timeout` as above; infinity waits for as long as it takes.
        """
        pending = self._begin(action, self._engine.view(process_id), signum)
        is_whole_stop = wait and action is Action.STOP
        if isinstance(pending, ActionOutcome):
            if is_whole_stop:
                await self._engine.leftovers_are_gone([process_id], timeout)
            return pending
        try:
            if wait and not pending.verdict.done():
                await self._wait([pending], timeout)
            if is_whole_stop:
                await self._engine.leftovers_are_gone([process_id], timeout)
            return _told(pending, wait=wait)
        finally:
            self._drop([pending])

    async def until_made(
        self,
        process_ids: Iterable[ProcessId],
        timeout: float = _PATIENCE,  # noqa: ASYNC109 - after that it is as it is
    ) -> None:
        """Wait for those that are STARTING without a process yet, so many seconds at most.

        Then each has one, or is not about to, or has left, or the time is over. Of a crowd that
        is started all are STARTING at once, and are made one after the other; Supervisor's
        clients are used to find a process where one is STARTING.
        """
        ids = list(process_ids)
        deadline = asyncio.get_running_loop().time() + timeout
        while unborn := [one for one in ids if self._is_unborn(one)]:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return
            pending = [self._expect(self._engine.view(one), _judge_birth, 0.0) for one in unborn]
            try:
                await self._wait(pending, left)
            finally:
                self._drop(pending)

    def _is_unborn(self, process_id: ProcessId) -> bool:
        try:
            view = self._engine.view(process_id)
        except KeyError:
            return False
        return view.state is PublicState.STARTING and view.pid is None

    async def _signal_unborn(
        self,
        resolved: Sequence[Resolved],
        begun: Sequence["ActionOutcome | _Pending | None"],
        signum: int,
        timeout: float | None,  # noqa: ASYNC109 - as above
    ) -> list["ActionOutcome | _Pending | None"]:
        """Signal those, too, that are about to be made, when they are; the others have theirs."""
        targets = [name.id if isinstance(name, Target) else None for name in resolved]
        unborn = {one for one in targets if one is not None and self._is_unborn(one)}
        await self.until_made(unborn, _PATIENCE if timeout is None else timeout)
        outcomes = list(begun)
        for place, process_id in enumerate(targets):
            if process_id in unborn:
                with suppress(KeyError):  # it has left meanwhile
                    outcomes[place] = self._signal(self._engine.view(process_id), signum)
        return outcomes

    async def settle(
        self,
        *,
        restarting: Iterable[ProcessId],
        removed: Iterable[ProcessId],
        carry_out: Callable[[], None],
    ) -> list[ActionOutcome]:
        """Carry out a change of plan, and wait for what it restarts and removes."""
        under_way = []
        for process_id in restarting:
            view = self._engine.view(process_id)
            patience = view.spec.stop.kill_delay + view.spec.min_uptime
            if view.expected_running:
                under_way.append(self._expect(view, _StartJudge(), patience))
            elif view.pid is not None:  # still going down, by an earlier request
                under_way.append(self._expect(view, _judge_stop, patience))
        for process_id in removed:
            view = self._engine.view(process_id)
            under_way.append(self._expect(view, _judge_removal, view.spec.stop.kill_delay))
        try:
            carry_out()
            await self._wait(under_way, None)
            return [_told(pending, wait=True) for pending in under_way]
        finally:
            self._drop(under_way)

    def _begin_for(
        self,
        action: Action,
        name: Resolved,
        views: Mapping[ProcessId, ProcessView],
        signum: int,
    ) -> "ActionOutcome | _Pending | None":
        """None for who is left alone, since nobody named it and it does not start by itself."""
        match name:
            case Target():
                view = views[name.id]
                is_start = action is Action.START or (
                    action is Action.RESTART and view.pid is None
                )
                if is_start and not may_start(name, view.spec):
                    return None
                return self._begin(action, view, signum)
            case NoSuchProcess():
                return ActionOutcome(name.name, None, Result.NO_SUCH_PROCESS, "no such process")
            case NoSuchGroup():
                return ActionOutcome(name.name, None, Result.NO_SUCH_GROUP, "no such group")

    def _begin(self, action: Action, view: ProcessView, signum: int) -> "ActionOutcome | _Pending":
        match action:
            case Action.START:
                return self._start(view)
            case Action.STOP:
                return self._stop(view)
            case Action.RESTART:
                return self._restart(view)
            case Action.SIGNAL:
                return self._signal(view, signum)

    def _start(self, view: ProcessView) -> "ActionOutcome | _Pending":
        refused = self._refuse_start(view)
        if refused is not None:
            return refused
        if view.state in _ALIVE:
            return _outcome(view.id, Result.ALREADY_STARTED, f"is {view.state.name}")
        patience = view.spec.min_uptime
        if view.state is PublicState.STOPPING:
            patience += view.spec.stop.kill_delay
        return self._ask(view, Start(view.id), _StartJudge(), patience)

    def _stop(self, view: ProcessView) -> "ActionOutcome | _Pending":
        if view.pid is None:
            self._engine.end_leftovers(view.id)
        due = view.retry_at is not None  # BACKOFF, or FATAL with a slow retry ahead
        if view.pid is None and not due and view.state is not PublicState.STARTING:
            return _outcome(view.id, Result.NOT_RUNNING, f"is {view.state.name}")
        self._overtake_starts(view.id)
        return self._ask(view, Stop(view.id), _judge_stop, view.spec.stop.kill_delay)

    def _restart(self, view: ProcessView) -> "ActionOutcome | _Pending":
        refused = self._refuse_start(view)
        if refused is not None:
            return refused
        if view.pid is None:
            self._engine.end_leftovers(view.id)
        patience = view.spec.stop.kill_delay + view.spec.min_uptime
        return self._ask(view, Restart(view.id), _StartJudge(), patience)

    def _signal(self, view: ProcessView, signum: int) -> ActionOutcome:
        if view.pid is None or view.state not in _SIGNALLABLE:
            return _outcome(view.id, Result.NOT_RUNNING, f"is {view.state.name}")
        # A refusal of the kernel comes back before submit returns.
        pending = self._ask(view, SendSignal(view.id, signum), _judge_signal, 0.0)
        self._drop([pending])
        if pending.verdict.done():
            verdict = pending.verdict.result()
            return _outcome(view.id, verdict.result, verdict.reason)
        return _outcome(view.id, Result.OK, f"{signal_name(signum)} sent to pid {view.pid}")

    def _refuse_start(self, view: ProcessView) -> ActionOutcome | None:
        if self._is_stopping():
            return _outcome(view.id, Result.SHUTTING_DOWN, "opsvisord is shutting down")
        try:
            self._engine.check_command(view.spec)
        except SpawnError as error:
            return _outcome(view.id, _SPAWN_RESULTS[error.kind], error.reason)
        return None

    # -- waiting -----------------------------------------------------------------------------

    def _ask(
        self,
        view: ProcessView,
        request: Start | Stop | Restart | SendSignal,
        judge: _Judge,
        patience: float,
    ) -> "_Pending":
        pending = self._expect(view, judge, patience)
        self._engine.submit(request)
        return pending

    def _expect(self, view: ProcessView, judge: _Judge, patience: float) -> "_Pending":
        verdict: asyncio.Future[_Verdict] = asyncio.get_running_loop().create_future()
        if not self._waiting:
            self._bus.listen(self._on_event)
        self._waiting.setdefault(view.id, {})[verdict] = judge
        return _Pending(id=view.id, verdict=verdict, patience=patience + _PATIENCE)

    async def _wait(self, pending: list["_Pending"], timeout: float | None) -> None:  # noqa: ASYNC109
        if not pending:
            return
        longest = max(p.patience for p in pending) if timeout is None else timeout
        await asyncio.wait([p.verdict for p in pending], timeout=longest)

    def _overtake_starts(self, process_id: ProcessId) -> None:
        """Tell those who wait for a start that a stop has called it off; no event will."""
        for verdict, judge in self._waiting.get(process_id, {}).items():
            if isinstance(judge, _StartJudge) and not verdict.done():
                reason = "somebody else asked to stop it"
                verdict.set_result(_Verdict(Result.ABNORMAL_TERMINATION, reason))

    def _drop(self, under_way: list["_Pending"]) -> None:
        was_waiting = bool(self._waiting)
        for pending in under_way:
            waiting = self._waiting.get(pending.id, {})
            waiting.pop(pending.verdict, None)
            if not waiting:
                self._waiting.pop(pending.id, None)
        if was_waiting and not self._waiting:
            self._bus.ignore(self._on_event)

    def _on_event(self, event: Event) -> None:
        for process_id in _concerned(event):
            for verdict, judge in self._waiting.get(process_id, {}).items():
                found = judge(event)
                if found is not None and not verdict.done():
                    verdict.set_result(found)


class _Pending(Struct, frozen=True, kw_only=True):
    """A request under way, and how long its process may reasonably take, in seconds."""

    id: ProcessId
    verdict: asyncio.Future[_Verdict]
    patience: float


class _StartJudge:
    """Waits for RUNNING, or for what came instead; what happens before the spawn is the past."""

    def __init__(self) -> None:
        self._spawned = False
        self._ended_well = False

    def __call__(self, event: Event) -> _Verdict | None:
        match event:
            case ProcessSpawned():
                self._spawned = True
            case ProcessExited():
                self._ended_well = event.expected
            case SpawnFailed():
                # What is better known about a command was asked before the attempt.
                return _Verdict(Result.SPAWN_ERROR, event.reason)
            case ProcessRemoved():
                return _Verdict(Result.FAILED, "removed from the configuration")
            case StateChanged() if self._spawned:
                return self._judge_state(event)
            case _:
                pass
        return None

    def _judge_state(self, event: StateChanged) -> _Verdict | None:
        match event.new:
            case PublicState.RUNNING:
                return _Verdict(Result.OK, event.reason)
            case PublicState.BACKOFF | PublicState.FATAL:
                return _Verdict(Result.SPAWN_ERROR, event.reason)
            case PublicState.EXITED if event.old is PublicState.STARTING:
                # Ended before min_uptime, and left so: well, if its policy calls that success.
                result = Result.OK if self._ended_well else Result.SPAWN_ERROR
                return _Verdict(result, event.reason)
            case PublicState.EXITED | PublicState.STOPPED | PublicState.STOPPING:
                return _Verdict(Result.ABNORMAL_TERMINATION, event.reason)
            case PublicState.STARTING | PublicState.UNKNOWN:
                return None


def _judge_stop(event: Event) -> _Verdict | None:
    match event:
        case ProcessRemoved():
            return _Verdict(Result.OK, "stopped, and removed from the configuration")
        case StateChanged(new=PublicState.UNKNOWN):
            return _Verdict(Result.FAILED, event.reason)
        case StateChanged() if event.new in (
            PublicState.STOPPED,
            PublicState.EXITED,
            PublicState.FATAL,
        ):
            return _Verdict(Result.OK, event.reason)
        case _:
            return None


def _judge_birth(event: Event) -> _Verdict | None:
    match event:
        case ProcessSpawned() | SpawnFailed() | StateChanged() | ProcessRemoved():
            return _Verdict(Result.OK, "made, or it is time to look again")
        case _:
            return None


def _judge_removal(event: Event) -> _Verdict | None:
    match event:
        case ProcessRemoved():
            return _Verdict(Result.OK, "removed")
        case PlanApplied():
            return _Verdict(Result.OK, "back in the configuration before it had ended")
        case _:
            return None


def _concerned(event: Event) -> Iterable[ProcessId]:
    """Whose event it is. A plan concerns those it adds: they may be on their way out."""
    match event:
        case PlanApplied():
            return event.diff.added
        case SupervisorStateChanged() | ControlAction():
            return ()
        case _:
            return (event.id,)


def _judge_signal(event: Event) -> _Verdict | None:
    return _Verdict(Result.FAILED, event.reason) if isinstance(event, SignalRefused) else None


def _outcome(process_id: ProcessId, result: Result, reason: str) -> ActionOutcome:
    return ActionOutcome(str(process_id), process_id, result, reason)


def _told(pending: _Pending, *, wait: bool) -> ActionOutcome:
    if pending.verdict.done():
        verdict = pending.verdict.result()
        return _outcome(pending.id, verdict.result, verdict.reason)
    if wait:
        reason = "not done in time; it goes on, ask for its status later"
        return _outcome(pending.id, Result.TIMEOUT, reason)
    return _outcome(pending.id, Result.OK, "requested")
