"""Events on their way to listeners: hears of facts and output, writes to pipes, watches the clock.

Theory of operation
-------------------
Facts come from the bus and output from the engine, both within a turn of the loop; what `pool`
makes of them is done in the same turn. Nothing here waits: what the pipe of a listener does not
take is kept, one event at most, and written when the loop says that there is room. There is one
timer, for ticks, and none while nobody subscribed to any.
"""

import asyncio
import functools
from collections.abc import Iterable, Iterator, Mapping

from opsvisor.compat.supervisor.listeners.pool import (
    Count,
    Effect,
    PoolMemento,
    Pools,
    Say,
    Send,
)
from opsvisor.compat.supervisor.listeners.ticks import Ticks
from opsvisor.compat.supervisor.listeners.translate import (
    SUPERVISOR_RUNNING,
    Groups,
    ListenerEvent,
    group_added,
    group_removed,
    printed,
    remote,
    state_changed,
    supervisor_state_changed,
)
from opsvisor.compat.supervisor.observers import CountDropped, Log
from opsvisor.config.settings import LogLevel
from opsvisor.control.control import Control
from opsvisor.core.events import (
    Event,
    PlanApplied,
    ProcessAdded,
    ProcessExited,
    ProcessRemoved,
    ProcessSpawned,
    StateChanged,
    SupervisorStateChanged,
)
from opsvisor.core.inputs import FeedsSettled
from opsvisor.core.spec import ProcessId
from opsvisor.core.state import PublicState
from opsvisor.core.struct import Struct, field
from opsvisor.runtime import clock
from opsvisor.runtime.logs.stream import Stream
from opsvisor.runtime.output import Output
from opsvisor.runtime.streams import StdinFullError, StdinUnavailableError

_DOWN = frozenset(
    {PublicState.STOPPED, PublicState.BACKOFF, PublicState.EXITED, PublicState.FATAL}
)


class DeliveryMemento(Struct, frozen=True, kw_only=True):
    """Everything that is on its way to listeners.

    `unsent` is what the pipe of a listener has not taken yet; `last_exits` are those whose change
    of state is still to come.
    """

    pools: tuple[PoolMemento, ...] = ()
    leaving_groups: tuple[str, ...] = ()
    ticks: Mapping[str, int] = field(default_factory=dict)
    unsent: tuple[tuple[ProcessId, bytes], ...] = ()
    last_exits: tuple[tuple[ProcessId, bool], ...] = ()


class EventDelivery:
    """Tells event listeners what happens, from `open` to `close`."""

    def __init__(
        self,
        control: Control,
        log: Log,
        serials: Iterator[int],
        count_dropped: CountDropped,
    ) -> None:
        self.pools = Pools(server=control.configuration.settings.identifier, serials=serials)
        self._engine = control.engine
        self._supervisor = control.supervisor
        self._bus = control.bus
        self._log = log
        self._count_dropped = count_dropped
        self._groups = Groups()
        self._ticks = Ticks()
        self._timer: asyncio.TimerHandle | None = None
        self._settling: asyncio.Handle | None = None
        # Whether the last exit was expected, which the change of state after it tells.
        self._last_exit: dict[ProcessId, bool] = {}
        self._unsent: dict[ProcessId, bytes] = {}
        self._is_open = False

    def open(self) -> None:
        """Begin to listen."""
        self._is_open = True
        self._bus.listen(self._on_event)
        self._engine.listen_to_output(self._on_output)

    def remember(self) -> DeliveryMemento:
        """What another process needs to go on telling."""
        return DeliveryMemento(
            pools=self.pools.remember(),
            leaving_groups=self._groups.leaving,
            ticks=self._ticks.remember(),
            unsent=tuple(self._unsent.items()),
            last_exits=tuple(self._last_exit.items()),
        )

    def recall(self, memento: DeliveryMemento) -> None:
        """Go on with what another process had, once the engine has its plan and its streams."""
        self._groups.recall(self._engine.ids(), memento.leaving_groups)
        for group in self._supervisor.plan.groups:
            self._perform(self.pools.follow(group))
        self.pools.recall(memento.pools)
        self._ticks.recall(memento.ticks)
        self._last_exit.update(dict(memento.last_exits))
        for listener, rest in memento.unsent:
            if self.pools.of(listener) is not None:
                self._unsent[listener] = rest
                self._engine.streams(listener).when_stdin_takes_more(
                    functools.partial(self._write_rest, listener)
                )
        self._wind_up()

    def close(self) -> None:
        """Tell nobody any more."""
        self._is_open = False
        self._unsent.clear()
        self._wind_up()
        if self._settling is not None:
            self._settling.cancel()

    def tell_remote(self, kind: str, text: str) -> None:
        """What a client of XML-RPC has to say to listeners, as REMOTE_COMMUNICATION."""
        self._publish(remote(kind, text))

    # -- what happens ------------------------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        if self._is_open:
            self._take_note(event)
            self._settle()

    def _take_note(self, event: Event) -> None:
        match event:
            case StateChanged():
                self._on_state_changed(event)
            case ProcessExited():
                self._last_exit[event.id] = event.expected
            case ProcessSpawned():
                if pool := self.pools.of(event.id):
                    pool.run_began(event.id)
            case ProcessAdded():
                self._groups.process_added(event.id)
            case ProcessRemoved():
                self._last_exit.pop(event.id, None)
                self._bury(self._groups.process_removed(event.id))
            case PlanApplied():
                self._on_plan_applied(event)
            case SupervisorStateChanged():
                self._publish(*supervisor_state_changed(event))
            case _:  # the others are none of Supervisor's events
                pass

    def _on_state_changed(self, event: StateChanged) -> None:
        pool = self.pools.of(event.id)
        is_up = event.new is PublicState.RUNNING
        if pool is not None:
            pool.came_up(event.id, is_up=is_up)
        expected = self._last_exit.pop(event.id, False)
        self._publish(state_changed(event, expected=expected))
        if pool is None:
            return
        if event.new in _DOWN:
            self._unsent.pop(event.id, None)
            self._perform(pool.run_ended(event.id))
        elif is_up:
            self._perform(pool.tell())

    def _on_plan_applied(self, event: PlanApplied) -> None:
        """Take over the pools of the plan, in its order: each hears of the groups after it."""
        new, gone = self._groups.plan_applied(event.diff)
        self._bury(gone)
        for group in self._supervisor.plan.groups:
            self._perform(self.pools.follow(group))
            if group.name in new:
                self._publish(group_added(group.name))
        self._wind_up()
        if event.generation == 1:
            self._publish(SUPERVISOR_RUNNING)

    def _bury(self, groups: Iterable[str]) -> None:
        for group in groups:
            self.pools.drop(group)  # first: nobody is told of its own end
            self._publish(group_removed(group))
        self._wind_up()

    def _on_output(self, output: Output) -> None:
        if not self._is_open:
            return
        pool = self.pools.of(output.id)
        if pool is not None and output.stream is Stream.STDOUT:
            self._perform(pool.heard(output.id, output.text))
            self._settle()
        else:
            self._publish(printed(output))

    def _settle(self) -> None:
        """Let a shutdown go on to the listeners themselves, once they have answered everything.

        In the next turn of the loop: one end of a process is several facts, told one by one, and
        between two of them everything may seem to be answered.
        """
        if self._supervisor.state.is_ending and self._settling is None:
            self._settling = asyncio.get_running_loop().call_soon(self._settle_now)

    def _settle_now(self) -> None:
        self._settling = None
        if self.pools.are_settled:
            self._engine.submit(FeedsSettled())

    # -- what is done about it ---------------------------------------------------------------

    def _publish(self, *events: ListenerEvent) -> None:
        self._perform(self.pools.publish(events))

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Say():
                    self._log(effect.level, effect.text)
                case Send():
                    self._send(effect)
                case Count():
                    self._count_dropped(f"eventlistener:{effect.pool}", effect.dropped)

    def _send(self, send: Send) -> None:
        if self._write(send.id, send.text):
            name = send.id.name
            self._log(LogLevel.DEBUG, f"event {send.serial} sent to listener {name}")

    def _write(self, listener: ProcessId, text: bytes) -> bool:
        """Write what the pipe takes, and keep the rest for later. False if nobody reads there."""
        pool = self.pools.of(listener)
        assert pool is not None, f"{listener} is no listener"
        streams = self._engine.streams(listener)
        try:
            taken = streams.write_stdin(text)
        except StdinFullError:
            taken = 0
        except StdinUnavailableError:
            self._perform(pool.not_sent(listener))
            return False
        if taken < len(text):
            self._unsent[listener] = text[taken:]
            pool.blocked(listener)
            streams.when_stdin_takes_more(functools.partial(self._write_rest, listener))
        return True

    def _write_rest(self, listener: ProcessId) -> None:
        """The pipe to this listener has room again."""
        rest, pool = self._unsent.pop(listener, b""), self.pools.of(listener)
        if pool is not None and self._write(listener, rest) and listener not in self._unsent:
            self._perform(pool.unblocked(listener))

    # -- ticks -------------------------------------------------------------------------------

    def _wind_up(self) -> None:
        """Have the timer that the present subscriptions need: none where nobody wants ticks."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = clock.now().wall
        self._ticks.want(self.pools.kinds, now)
        wait = self._ticks.wait(now)
        if wait is not None and self._is_open:
            self._timer = asyncio.get_running_loop().call_later(wait, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._publish(*self._ticks.due(clock.now().wall))
        self._wind_up()
