"""Events on their way: real pipes to real listeners, the clock, and plans that change."""

import itertools
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from control_room import ControlRoom, loaded_plan
from engine_room import engine_room, key, program, sleeper

from opsvisor.compat.supervisor.listeners import delivery as delivery_module
from opsvisor.compat.supervisor.listeners.delivery import EventDelivery
from opsvisor.config.settings import DaemonSettings, LogLevel
from opsvisor.core.inputs import ApplyPlan, SendSignal, Shutdown, Start, Stop
from opsvisor.core.instant import Instant
from opsvisor.core.plan import EventFeed, Group, Plan
from opsvisor.core.spec import LogSpec, ProcessSpec, StdinMode
from opsvisor.core.state import PublicState, StartCause, StopCause
from opsvisor.runtime.streams import StdinFullError

NOON = 1_000_000_800.0


def pool(script: str, *kinds: str, name: str = "lis", buffer_size: int = 100) -> Group:
    """A pool of one listener that is a shell script."""
    spec = program(name, "sh", "-c", script, stdin=StdinMode.PIPE, stdout=LogSpec(told=True))
    feed = EventFeed(kinds=kinds, buffer_size=buffer_size)
    return Group(name=name, priority=-1, processes=(spec,), feed=feed)


def alone(spec: ProcessSpec) -> Group:
    """The group that a program forms."""
    return Group(name=spec.id.group, processes=(spec,))


class Office:
    """A delivery at work, and the lines it has logged."""

    def __init__(self, control: ControlRoom, *groups: Group) -> None:
        self.control = control
        self.room = control.room
        self.lines: list[str] = []
        self.dropped = Counter[str]()
        self.delivery = EventDelivery(
            control.control,
            self._log,
            itertools.count(),
            lambda name, count: self.dropped.update({name: count}),
        )
        self.delivery.open()
        self.apply(*groups)

    def apply(self, *groups: Group) -> None:
        """Make these groups the plan."""
        self.room.engine.submit(ApplyPlan(Plan.of(list(groups))))

    def is_wound_up(self) -> bool:
        """Whether a timer is running."""
        timer = self.delivery._timer
        return timer is not None and not timer.cancelled()

    async def until_logged(self, text: str, times: int = 1) -> None:
        """Wait until this was logged, so many times."""
        await self.room.until(lambda: "\n".join(self.lines).count(text) >= times)

    def _log(self, level: LogLevel, text: str) -> None:
        self.lines.append(f"{level.value}: {text}")
        self.room.poke()


@asynccontextmanager
async def office(*groups: Group) -> AsyncIterator[Office]:
    """A room with a delivery that carries out a plan of these groups."""
    configured = loaded_plan(Plan(), settings=DaemonSettings(identifier="here"))
    async with engine_room() as room:
        control = ControlRoom(room, configured)
        one = Office(control, *groups)
        try:
            yield one
        finally:
            one.apply()  # or the end of the room would wait for answers
            one.delivery.close()
            control.control.sampler.close()
            control.control.daemon_log.close()


def scribe(file: Path, *answers: str) -> str:
    """The command of a listener that gives these answers; see scribe.py."""
    script = Path(__file__).with_name("scribe.py")
    return f"exec {sys.executable} -I -S {script} {file} {' '.join(answers)}"


SILENT = 'printf "READY\\n"; exec sleep 1000'


async def test_a_listener_is_told_and_answers(tmp_path: Path) -> None:
    """From the fact to its hands, and back."""
    file = tmp_path / "told"
    listener = pool(scribe(file, "OK", "OK"), "PROCESS_STATE")
    async with office(listener, alone(program("web", "true"))) as one:
        await one.until_logged("debug: lis: event was processed", 2)
    head = "ver:3.0 server:here serial:{0} pool:lis poolserial:{0} eventname:{1} len:56"
    assert file.read_text().splitlines() == [
        head.format(0, "PROCESS_STATE_STARTING"),
        "processname:lis groupname:lis from_state:STOPPED tries:0",
        head.format(1, "PROCESS_STATE_STARTING"),
        "processname:web groupname:web from_state:STOPPED tries:0",
    ]


async def test_output_and_exits_of_programs(tmp_path: Path) -> None:
    """What is told of them is said in one order: first the last words, then the end."""
    file = tmp_path / "told"
    kinds = ("PROCESS_LOG_STDERR", "PROCESS_STATE_EXITED")
    web = program("web", "sh", "-c", "echo oops >&2", stderr=LogSpec(told=True))
    async with office(pool(scribe(file, "OK", "OK"), *kinds), alone(web)) as one:
        await one.until_logged("event was processed", 2)
    told = file.read_text()
    assert "eventname:PROCESS_LOG_STDERR" in told.partition("\n")[0]
    assert " channel:stderr\noops\n\n" in told
    assert "from_state:RUNNING expected:1 pid:" in told.splitlines()[-1]


async def test_what_does_not_fit_the_pipe_is_written_as_it_is_read(tmp_path: Path) -> None:
    """A listener that stands still while it is told reads all of it when it goes on."""
    file = tmp_path / "told"
    async with office(pool(scribe(file, "late"), "REMOTE_COMMUNICATION")) as one:
        await one.until_logged("ACKNOWLEDGED -> READY")
        one.delivery.tell_remote("big", "x" * 1_000_000)
        await one.until_logged("event 0 sent to listener lis")
        assert 0 < len(one.delivery._unsent[key("lis")]) < 1_000_000
        one.room.engine.submit(SendSignal(key("lis"), signal.SIGUSR1))
        await one.until_logged("event was processed")
        assert one.delivery._unsent == {}
    assert file.read_text().endswith("len:1000009\ntype:big\n" + "x" * 1_000_000 + "\n")


async def test_a_pipe_that_others_have_filled_is_waited_for() -> None:
    """Clients may write to a listener as well; the event comes whole after that."""
    async with office(pool(SILENT, "REMOTE_COMMUNICATION")) as one:
        await one.until_logged("ACKNOWLEDGED -> READY")
        streams = one.room.engine.streams(key("lis"))
        with pytest.raises(StdinFullError):
            all(streams.write_stdin(b"x" * 4096) for _ in range(1000))
        one.delivery.tell_remote("a", "b")
        assert one.delivery._unsent[key("lis")].endswith(b" len:8\ntype:a\nb")


async def test_what_is_not_written_goes_with_the_run() -> None:
    """The event is for the next run, whole."""
    async with office(pool(SILENT, "REMOTE_COMMUNICATION")) as one:
        await one.until_logged("ACKNOWLEDGED -> READY")
        one.delivery.tell_remote("big", "x" * 1_000_000)
        assert one.delivery._unsent
        one.room.engine.submit(Stop(key("lis"), StopCause.MANUAL))
        await one.room.state(PublicState.STOPPED, "lis")
        assert one.delivery._unsent == {}
        await one.until_logged("rebuffering event 0 for pool lis (buf size=0, max=100)")
        one.room.engine.submit(Start(key("lis"), StartCause.MANUAL))
        await one.until_logged("event 0 sent to listener lis", 2)


async def test_a_listener_that_does_not_read_is_found_out() -> None:
    """Its pipe has no reader, while it runs on."""
    script = 'exec <&-; printf "READY\\n"; exec sleep 1000'
    async with office(pool(script, "REMOTE_COMMUNICATION")) as one:
        await one.until_logged("ACKNOWLEDGED -> READY")
        one.delivery.tell_remote("a", "b")
        await one.until_logged("epipe occurred while sending event 0 to listener lis")
        assert "event 0 sent" not in "\n".join(one.lines)


async def test_groups_come_and_go(tmp_path: Path) -> None:
    """Told when they are really gone; a pool is told of all that come after it, and itself."""
    file = tmp_path / "told"
    listener = pool(scribe(file, *["OK"] * 4), "PROCESS_GROUP", "SUPERVISOR_STATE_CHANGE")
    web = alone(sleeper())
    async with office(listener, web) as one:
        await one.until_logged("event was processed", 3)
        one.apply(listener)
        await one.until_logged("event was processed", 4)
    names = [line for line in file.read_text().splitlines() if "name" in line]
    assert [line.rpartition(" eventname:")[2].partition(" ")[0] for line in names] == [
        "PROCESS_GROUP_ADDED",
        "groupname:lis",
        "PROCESS_GROUP_ADDED",
        "groupname:web",
        "SUPERVISOR_STATE_CHANGE_RUNNING",
        "PROCESS_GROUP_REMOVED",
        "groupname:web",
    ]


async def test_a_pool_that_is_gone_is_told_nothing() -> None:
    """Not even of its own end, which others hear of."""
    lis = pool(SILENT, "PROCESS_GROUP_REMOVED")
    other = pool(SILENT, "PROCESS_GROUP_REMOVED", name="other")
    async with office(lis, other) as one:
        await one.until_logged("ACKNOWLEDGED -> READY", 2)
        one.apply(other)
        await one.until_logged("event 0 sent to listener other")
        assert one.delivery.pools.of(key("lis")) is None
        assert "sent to listener lis" not in "\n".join(one.lines)


class Clock:
    """A wall clock that stands where it is set."""

    def __init__(self, wall: float) -> None:
        self.wall = wall

    def now(self) -> Instant:
        """Its time; nothing here asks for another."""
        return Instant(mono=0.0, wall=self.wall)


async def test_ticks_come_by_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Armed for when the next is due, and again after it."""
    clock = Clock(NOON + 4.99)
    monkeypatch.setattr(delivery_module, "clock", clock)
    async with office(pool(SILENT, "TICK_5")) as one:
        await one.until_logged("ACKNOWLEDGED -> READY")
        clock.wall = NOON + 5
        await one.until_logged("event 0 sent to listener lis")
        assert one.is_wound_up()


async def test_no_timer_runs_for_nobody() -> None:
    """Only while somebody wants ticks, and only while events are told at all."""
    async with office(pool(SILENT, "TICK_60")) as one:
        assert one.is_wound_up()
        one.apply(pool(SILENT, "PROCESS_STATE"))
        assert not one.is_wound_up()
        one.apply(pool(SILENT, "EVENT"))
        assert one.is_wound_up()
        one.apply()
        await one.room.until(lambda: not one.is_wound_up())
        one.apply(pool(SILENT, "TICK"))
        assert one.is_wound_up()
        one.delivery.close()
        assert not one.is_wound_up()


async def test_a_closed_delivery_is_deaf_and_dumb() -> None:
    """What happens from then on is nobody's business here."""
    listener = pool(SILENT, "EVENT")
    async with office(listener) as one:
        await one.until_logged("sent to listener lis")
        one.delivery.close()
        before = list(one.lines)
        one.apply(listener, alone(program("web", "sh", "-c", "echo x", stdout=LogSpec(told=True))))
        await one.room.state(PublicState.EXITED)
        assert one.lines == before


async def test_an_end_waits_for_the_last_answers(tmp_path: Path) -> None:
    """And no longer than for them."""
    file = tmp_path / "told"
    listener = pool(scribe(file, "OK"), "SUPERVISOR_STATE_CHANGE_STOPPING")
    async with office(listener) as one:
        await one.until_logged("ACKNOWLEDGED -> READY")
        one.room.engine.submit(Shutdown("over"))
        assert one.room.view("lis").state is PublicState.RUNNING
        await one.until_logged("event was processed")
        await one.room.until(lambda: one.room.over)
    assert "SUPERVISOR_STATE_CHANGE_STOPPING" in file.read_text()
