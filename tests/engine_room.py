"""An engine of its own for a test: real programs on its loop, and nothing left behind."""

import asyncio
import os
import resource
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from orphans import inherit_no_orphans

from opsvisor.core.events import Event, SupervisorState
from opsvisor.core.inputs import ApplyPlan, Shutdown, Start
from opsvisor.core.outcome import Usage
from opsvisor.core.plan import Group, Plan
from opsvisor.core.spec import Pid, ProcessId, ProcessSpec, RestartMode, RestartPolicy, StdinMode
from opsvisor.core.state import PublicState
from opsvisor.core.supervisor import Supervisor
from opsvisor.core.view import ProcessView
from opsvisor.runtime.bus import EventBus
from opsvisor.runtime.engine import Engine
from opsvisor.runtime.logs.stream import Stream
from opsvisor.runtime.observer import Observer
from opsvisor.runtime.reaper import Orphan

# Longer than anything here takes on a busy machine. Only a failure ever waits for so long.
PATIENCE = 60.0
RING_SIZE = 64 * 1024

NEVER = RestartPolicy(mode=RestartMode.NO)


Kind = TypeVar("Kind")
Options = dict[str, Any]  # of a ProcessSpec


def program(name: str, *argv: str, group: str = "", **options: Any) -> ProcessSpec:
    """A process that counts as up the moment it is spawned, unless `options` say otherwise."""
    options = {"min_uptime": 0.0, "command": " ".join(argv), **options}
    return ProcessSpec(id=ProcessId(group or name, name), program=name, argv=argv, **options)


def sleeper(name: str = "web", **options: Any) -> ProcessSpec:
    """A process that runs until it is told to end."""
    return program(name, "sleep", "1000", **options)


def obedient(name: str = "web", *, then: str, **options: Any) -> ProcessSpec:
    """A shell that waits for a line on its standard input before it does `then`."""
    return program(name, "sh", "-c", f"read line; {then}", stdin=StdinMode.PIPE, **options)


def plan_of(*specs: ProcessSpec, priorities: Mapping[str, int] | None = None) -> Plan:
    """These processes in their groups."""
    members: dict[str, list[ProcessSpec]] = {}
    for spec in specs:
        members.setdefault(spec.id.group, []).append(spec)
    return Plan.of(
        [
            Group(name=name, processes=tuple(inside), priority=(priorities or {}).get(name, 999))
            for name, inside in members.items()
        ]
    )


def key(name: str) -> ProcessId:
    """The id of `name` or `group:name`."""
    group, colon, process = name.partition(":")
    return ProcessId(group, process if colon else group)


class Room:
    """A supervisor, its engine, and notes of everything they said."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._strangers = frozenset(children())
        self.supervisor = Supervisor(jitter=lambda: 0.0)
        self.bus = EventBus()
        self.events: list[Event] = []
        self.errors: list[tuple[str, Exception]] = []
        self.orphans: list[Orphan] = []
        self.usages: dict[Pid, Usage] = {}
        self.forgotten: list[ProcessId] = []
        self.lags: list[float] = []
        self.over = False
        self.engine = Engine(
            self.supervisor,
            self.bus,
            loop=asyncio.get_running_loop(),
            environment=environment,
            ring_size=RING_SIZE,
            on_shutdown_complete=self._shut_down,
        )
        self._told = 0  # how many of the events `next` has been through
        self._something = asyncio.Event()  # set for a moment whenever anything happened
        self.bus.report_to(
            on_listener_error=lambda error: self.errors.append(("listener", error)),
            on_drop=lambda _name: None,
        )
        self.bus.listen(self._note)

    def observer(self) -> Observer:
        """Takes notes of what the engine tells besides events."""
        return Observer(
            spawn_took=lambda _seconds: None,
            reap_took=lambda _seconds: None,
            loop_lagged=self.lags.append,
            run_ended=lambda _id, pid, usage: self.usages.update({pid: usage}),
            orphan_reaped=self._orphan_reaped,
            forgotten=self.forgotten.append,
            internal_error=lambda component, error: self.errors.append((component, error)),
        )

    def apply(self, *specs: ProcessSpec) -> None:
        """Make these processes the plan."""
        self.engine.submit(ApplyPlan(plan_of(*specs)))

    def start_together(self, *process_ids: ProcessId) -> None:
        """Ask for all of them in one go: STARTING at once, they are made one after the other."""
        with self.engine.together():
            for process_id in process_ids:
                self.engine.submit(Start(process_id))

    def view(self, name: str = "web") -> ProcessView:
        """One process as it is now."""
        return self.engine.view(key(name))

    def pid(self, name: str = "web") -> Pid:
        """The process that runs under this name."""
        pid = self.view(name).pid
        assert pid is not None
        return pid

    def tell(self, name: str = "web", line: str = "go") -> None:
        """Write a line to a process's standard input."""
        self.engine.streams(key(name)).write_stdin(f"{line}\n".encode())

    async def next(self, kind: type[Kind], **wanted: object) -> Kind:
        """The next event of this kind with these fields, after the one that was last asked for."""
        found: list[Kind] = []

        def has_come() -> bool:
            while self._told < len(self.events) and not found:
                event = self.events[self._told]
                self._told += 1
                if isinstance(event, kind) and all(
                    getattr(event, name) == value for name, value in wanted.items()
                ):
                    found.append(event)
            return bool(found)

        await self.until(has_come)
        return found[0]

    async def until(self, claim: Callable[[], bool]) -> None:
        """Wait for a claim about this room; it is looked at whenever something has happened."""
        async with asyncio.timeout(PATIENCE):
            while not claim():
                await self._something.wait()

    async def state(self, state: PublicState, name: str = "web") -> ProcessView:
        """The process, as soon as it is in this state."""
        await self.until(lambda: self.view(name).state is state)
        return self.view(name)

    async def output(self, wanted: str, name: str = "web", stream: Stream = Stream.STDOUT) -> str:
        """Everything it has printed, as soon as that contains `wanted`."""
        capture = self.engine.streams(key(name)).capture(stream)
        assert capture is not None
        async with asyncio.timeout(PATIENCE):
            while wanted not in (said := capture.ring.read(0)[1].decode()):
                await capture.wait_beyond(capture.ring.end)
        return said

    async def settled(self) -> None:
        """Return when everything that is to be spawned has been."""
        await self.until(
            lambda: all(
                view.pid is not None or view.state is not PublicState.STARTING
                for view in self.engine.views()
            )
        )

    async def close(self) -> None:
        """End everything the short way, and let the engine collect it to the last orphan."""
        try:
            if self.supervisor.state is not SupervisorState.STOPPING:
                self.engine.submit(Shutdown("the test is over"))
            for pid in self.engine.live().values():
                with suppress(ProcessLookupError):  # it has left its group
                    os.killpg(pid, signal.SIGKILL)
            await self.until(lambda: self.over and not self._children())
        finally:
            self.engine.close()

    def _children(self) -> set[Pid]:
        """Those of programs: all but the engine's own fork server."""
        return set(children()) - self._strangers - {self.engine._forks.pid or Pid(0)}

    def poke(self) -> None:
        """Have waiting claims looked at again."""
        self._something.set()
        self._something.clear()

    def _note(self, event: Event) -> None:
        self.events.append(event)
        self.poke()

    def _orphan_reaped(self, orphan: Orphan) -> None:
        if orphan.pid not in self._strangers:  # which tests before have left uncollected
            self.orphans.append(orphan)
        self.poke()

    def _shut_down(self, _exit_status: int | None) -> None:
        self.over = True
        self.poke()


@asynccontextmanager
async def engine_room(environment: Mapping[str, str] | None = None) -> AsyncIterator[Room]:
    """An open room; when it closes, everything that was started in it is gone."""
    room = Room(dict(os.environ) if environment is None else environment)
    before = children()
    room.engine.open(room.observer())
    left: list[Pid] = []
    try:
        yield room
    finally:
        try:
            await room.close()
        finally:
            left = release_children(before)
    assert not left, f"still there: {left}"
    assert not room.errors, room.errors


def children() -> list[Pid]:
    """Every child of this process, dead or alive."""
    threads = Path("/proc/self/task").iterdir()
    return [Pid(int(pid)) for thread in threads for pid in _read(thread / "children").split()]


def release_children(before: Iterable[Pid]) -> list[Pid]:
    """Kill and collect the children that were not there before, and inherit no more of them."""
    inherit_no_orphans()
    left = [pid for pid in children() if pid not in before]
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return left


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the thread is over
        return ""


@contextmanager
def no_descriptors_left(*, but: int = 0) -> Iterator[None]:
    """Let nobody here open more files than so many, until the context ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + but, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
