"""What is asked of processes: start, stop, signal; and how they are."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from opsvisor.compat.supervisor.config.values import stop_signal
from opsvisor.compat.supervisor.observers import Log
from opsvisor.compat.supervisor.rpc.faults import Fault, RpcFault, raise_for
from opsvisor.compat.supervisor.rpc.naming import by_priority, find, find_group, find_one
from opsvisor.compat.supervisor.rpc.shapes import process_info, result
from opsvisor.compat.supervisor.rpc.stdin import Stdin
from opsvisor.compat.supervisor.rpc.xml import Value
from opsvisor.config.settings import LogLevel
from opsvisor.control.actions import Action
from opsvisor.control.control import Control
from opsvisor.control.names import Reach, Target, may_start
from opsvisor.core.outcome import SpawnFaultKind
from opsvisor.core.spec import ProcessId
from opsvisor.core.state import PublicState
from opsvisor.core.view import ProcessView
from opsvisor.runtime import clock
from opsvisor.runtime.spawn import SpawnError

_UP = (PublicState.STARTING, PublicState.RUNNING, PublicState.BACKOFF)
_SIGNALLABLE = (PublicState.STARTING, PublicState.RUNNING, PublicState.STOPPING)
_REFUSED_COMMAND = {
    SpawnFaultKind.NO_FILE: Fault.NO_FILE,
    SpawnFaultKind.NOT_EXECUTABLE: Fault.NOT_EXECUTABLE,
    SpawnFaultKind.OTHER: Fault.SPAWN_ERROR,
}

_YES = True  # what `wait` is where a client leaves it out; any value of any type is taken

_PATIENCE_TO_LOOK = 1.0  # seconds that who only asks how a process is waits until it is made
_TICK = 0.05  # seconds
_AT_ONCE = 10  # processes; to begin with one takes up to half a millisecond
_PROGRESS_INTERVAL = 2.0  # seconds between "waiting for ... to stop" lines

_OnOne = Callable[[ProcessId], Awaitable[None]]


class Processes:
    """The methods about processes.

    Where our own API is more obliging than Supervisor (a start ends a BACKOFF, and follows a stop
    that is under way), these methods are as strict: their clients know the faults by heart.
    """

    def __init__(self, control: Control, log: Log) -> None:
        self._control = control
        self._log = log
        self._stdin = Stdin(control)

    # -- start -------------------------------------------------------------------------------

    async def start(self, name: Any, wait: Any = _YES) -> Value:
        """Start a process, or every process of group:* that is down.

        A process is answered with true, a group with an array of results.
        """
        found = find(self._control, name)
        if isinstance(found, list):
            return await self._start_all(found, wait)
        await self._start(found.id, name, wait)
        return True

    async def start_group(self, name: Any, wait: Any = _YES) -> Value:
        """Start every process of a group that is down."""
        return await self._start_all(find_group(self._control, name), wait)

    async def start_all(self, wait: Any = _YES) -> Value:
        """Start every process that is down."""
        return await self._start_all(by_priority(self._control.engine.views()), wait)

    async def _start_all(self, views: Iterable[ProcessView], wait: Any) -> Value:
        down = [
            view.id
            for view in views
            if view.state not in _UP and may_start(Target(view.id, Reach.SWEPT), view.spec)
        ]
        return await _each(down, lambda one: self._start(one, str(one), wait))

    async def _start(self, process_id: ProcessId, name: str, wait: Any) -> None:
        view = self._view(process_id, name)
        try:
            self._control.engine.check_command(view.spec)
        except SpawnError as error:
            raise RpcFault(_REFUSED_COMMAND[error.kind], error.reason) from None
        if view.state in _UP:
            raise RpcFault(Fault.ALREADY_STARTED, name)
        if view.state is PublicState.UNKNOWN:
            raise RpcFault(Fault.FAILED, f"{name} is in an unknown process state")
        if view.state is PublicState.STOPPING:
            if wait:
                raise RpcFault(Fault.ABNORMAL_TERMINATION, name)
            return
        await self._act(Action.START, process_id, name, wait=wait)

    # -- stop --------------------------------------------------------------------------------

    async def stop(self, name: Any, wait: Any = _YES) -> Value:
        """Stop a process, or every process of group:* that is up.

        A process is answered with true, a group with an array of results.
        """
        found = find(self._control, name)
        if isinstance(found, list):
            return await self._stop_all(found, wait)
        await self._stop(found.id, name, wait)
        return True

    async def stop_group(self, name: Any, wait: Any = _YES) -> Value:
        """Stop every process of a group that is up."""
        return await self._stop_all(find_group(self._control, name), wait)

    async def stop_all(self, wait: Any = _YES) -> Value:
        """Stop every process that is up."""
        return await self._stop_all(by_priority(self._control.engine.views()), wait)

    async def _stop_all(self, views: Iterable[ProcessView], wait: Any) -> Value:
        up = [view.id for view in views if _is_up(view)]
        return await _each(up, lambda one: self._stop(one, str(one), wait))

    async def _stop(self, process_id: ProcessId, name: str, wait: Any) -> None:
        if not _is_up(self._view(process_id, name)):
            raise RpcFault(Fault.NOT_RUNNING, name)
        with self._telling_of(process_id):
            await self._act(Action.STOP, process_id, name, wait=wait)

    @contextmanager
    def _telling_of(self, process_id: ProcessId) -> Iterator[None]:
        """Say in the log that a client waits for a stop, at once and every few seconds."""
        loop = asyncio.get_running_loop()
        timer: asyncio.Handle

        def tell() -> None:
            nonlocal timer
            self._log(LogLevel.INFO, f"waiting for {process_id.name} to stop")
            timer = loop.call_later(_PROGRESS_INTERVAL, tell)

        timer = loop.call_soon(tell)
        try:
            yield
        finally:
            timer.cancel()

    # -- signal ------------------------------------------------------------------------------

    async def signal(self, name: Any, signal: Any) -> Value:
        """Send a signal, by name or number, to a process, or to every process of group:*.

        A process is answered with true, a group with an array of results.
        """
        found = find(self._control, name)
        if isinstance(found, list):
            return await self._signal_all(found, signal)
        await self._signal(found.id, name, signal)
        return True

    async def signal_group(self, name: Any, signal: Any) -> Value:
        """Send a signal, by name or number, to every process of a group that is alive."""
        return await self._signal_all(find_group(self._control, name), signal)

    async def signal_all(self, signal: Any) -> Value:
        """Send a signal, by name or number, to every process that is alive."""
        return await self._signal_all(by_priority(self._control.engine.views()), signal)

    async def _signal_all(self, views: Iterable[ProcessView], given: Any) -> Value:
        alive = [view.id for view in views if view.state in _SIGNALLABLE]
        return await _each(alive, lambda one: self._signal(one, str(one), given))

    async def _signal(self, process_id: ProcessId, name: str, given: Any) -> None:
        signum = _signal_number(given)
        if (await self._made(process_id, name)).state not in _SIGNALLABLE:
            raise RpcFault(Fault.NOT_RUNNING, name)
        await self._act(Action.SIGNAL, process_id, name, signum=signum)

    async def _act(
        self,
        action: Action,
        process_id: ProcessId,
        name: str,
        *,
        signum: int = 0,
        wait: Any = True,
    ) -> None:
        outcome = await self._control.actions.act_on(
            action, process_id, signum=signum, wait=bool(wait), timeout=math.inf
        )
        raise_for(outcome, name)

    def _view(self, process_id: ProcessId, name: str) -> ProcessView:
        """The process as it is now; it may have left while others were dealt with."""
        try:
            return self._control.engine.view(process_id)
        except KeyError:
            raise RpcFault(Fault.BAD_NAME, name) from None

    async def _made(self, process_id: ProcessId, name: str) -> ProcessView:
        """The process as it is once it is not about to be made: a STARTING one has a pid."""
        await self._control.actions.until_made([process_id])
        return self._view(process_id, name)

    # -- status ------------------------------------------------------------------------------

    async def info(self, name: Any) -> Value:
        """How one process is."""
        process_id = find_one(self._control, name).id
        await self._control.actions.until_made([process_id], _PATIENCE_TO_LOOK)
        return process_info(self._view(process_id, name), clock.now())

    async def all_info(self) -> Value:
        """How every process is, in order of group and name."""
        now = clock.now()
        return [process_info(view, now) for view in self._control.engine.views()]

    # -- input -------------------------------------------------------------------------------

    async def write_stdin(self, name: Any, chars: Any) -> Value:
        """Write text to the standard input of a process, as UTF-8."""
        if not isinstance(chars, str):
            raise RpcFault(Fault.INCORRECT_PARAMETERS, chars)
        view = await self._made(find_one(self._control, name).id, name)
        if view.pid is None or view.state is PublicState.STOPPING:
            raise RpcFault(Fault.NOT_RUNNING, name)
        self._stdin.write(view, chars.encode(), name=name)
        return True


async def _each(ids: Iterable[ProcessId], do: _OnOne) -> list[Value]:
    """Do it to all of them at once. Results come in the order in which each is done.

    Those that had to be waited for come last, since supervisorctl exits with what it reads last.
    Of these, those that are done together stand in the order of `ids`: Supervisor looks after
    them only every _TICK, and people are used to what that makes of it.
    """
    done: list[tuple[int, int, Value]] = []
    began = clock.now().mono
    loop = asyncio.get_running_loop()

    async def one(place: int, process_id: ProcessId) -> None:
        waited = asyncio.Event()
        next_turn = loop.call_soon(waited.set)
        fault = None
        try:
            await do(process_id)
        except RpcFault as met:
            fault = met
        next_turn.cancel()
        tick = int((clock.now().mono - began) / _TICK) if waited.is_set() else -1
        done.append((tick, place, result(process_id, fault)))

    async with asyncio.TaskGroup() as tasks:
        for place, process_id in enumerate(ids, 1):
            tasks.create_task(one(place, process_id))
            if place % _AT_ONCE == 0:
                await asyncio.sleep(0)  # what is begun begins, and others have their turn
    return [told for _, _, told in sorted(done, key=lambda each: each[:2])]


def _is_up(view: ProcessView) -> bool:
    """Whether there is something to stop: a process, or the wait for its next attempt."""
    return view.state in _UP or view.retry_at is not None


def _signal_number(given: Any) -> int:
    try:
        return stop_signal(str(int(given) if isinstance(given, int | float) else given))
    except (ValueError, OverflowError):  # Refused is one; so are a NaN and infinity
        raise RpcFault(Fault.BAD_SIGNAL, given) from None
