"""Commands of probes that are forked: the loop goes on until their programs begin."""

import asyncio
import errno
import os
import signal
from collections.abc import AsyncIterator
from functools import partial
from types import SimpleNamespace

import pytest
from engine_room import (
    Room,
    children,
    engine_room,
    key,
    program,
    release_children,
    sleeper,
)
from forks import Gate, have_forks_by, ready_server, until
from procfs import descriptors_of, is_alive, name_of

from opsvisor.core.events import HealthChanged
from opsvisor.core.inputs import Stop
from opsvisor.core.outcome import Outcome
from opsvisor.core.probes import ExecProbe, ProbeSpec
from opsvisor.core.spec import Pid, ProcessSpec
from opsvisor.core.state import PublicState
from opsvisor.runtime.forkserver import Awaited, awaited, birth
from opsvisor.runtime.probes import commands
from opsvisor.runtime.spawn import SpawnError, begin

Answered = asyncio.Task[tuple[Outcome, bytes]]


@pytest.fixture(params=["server", "daemon"])
async def room(request: pytest.FixtureRequest) -> AsyncIterator[Room]:
    """A room where commands are forked, by either."""
    async with engine_room() as room:
        await have_forks_by(room.engine, request.param)
        yield room


@pytest.fixture
def held(room: Room, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Room:
    """The same, and each command comes to the gate."""
    monkeypatch.setattr(commands, "begin", partial(begin, cgroup=str(gate.folder)))
    return room


def shell(script: str) -> ProcessSpec:
    """A command that takes a fork."""
    return program("web", "sh", "-c", script, nice=0)


def run(room: Room, script: str) -> Answered:
    """The answer of a command, one day."""
    return asyncio.create_task(room.engine._commands.run(shell(script)))


async def is_at(gate: Gate) -> Pid:
    """Who waits at the gate."""
    await until(gate.waiting)
    (pid,) = gate.waiting()
    return pid


def one_on_the_way(room: Room) -> commands._OnTheWay:
    """The only one that there is."""
    (one,) = room.engine._commands._on_the_way
    return one


async def nothing_is_left(room: Room) -> None:
    """Until all commands are gone, and were collected."""
    commands = room.engine._commands
    await until(lambda: not commands._on_the_way and not commands.alive)


async def gone(pid: Pid) -> None:
    """Until it is, and was collected."""
    await until(lambda: pid not in children())


async def test_the_loop_goes_on_while_a_command_is_on_the_way(held: Room, gate: Gate) -> None:
    """What it said and how it ended are told as of any other."""
    asked = run(held, "echo hello; exit 3")
    await is_at(gate)
    assert not asked.done()
    gate.open()
    assert await asked == (Outcome(code=3), b"hello\n")
    assert not held.engine._commands.alive


async def test_the_time_for_an_answer_includes_the_way(held: Room, gate: Gate) -> None:
    """It is not for the probe to wait until a file server is back. Nothing is left of it then."""
    with gate.opened():
        await run(held, "true")  # who waits for births stays
    before, alive = descriptors_of(os.getpid()).keys(), set(children())
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await held.engine._commands.run(shell("exec sleep 1000"))
        assert not gate.waiting()
    await until(lambda: set(children()) <= alive)
    assert descriptors_of(os.getpid()).keys() <= before
    assert not held.orphans


async def test_what_cannot_be_killed_keeps_its_place(
    held: Room, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that not each question leaves one more of them. It is ended when it comes."""
    asked = run(held, "exec sleep 1000")
    pid = await is_at(gate)
    with monkeypatch.context() as patch:
        patch.setattr(commands, "os", SimpleNamespace(**{**vars(os), "kill": lambda *_: None}))
        patch.setattr(commands, "_kill_group", lambda _: None)
        one = one_on_the_way(held)
        asked.cancel()
        await until(lambda: not one.is_wanted)
    assert not asked.done()
    gate.open()
    await gone(pid)
    assert asked.cancelled()


async def test_who_is_there_when_nobody_waits_any_more_is_ended(
    held: Room, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the same turn of the loop, so that whoever waited never heard of it."""
    look = Awaited._look
    monkeypatch.setattr(Awaited, "_look", lambda _self: None)
    monkeypatch.setattr(awaited, "_SLOW_AFTER", 1000.0)
    asked = run(held, "exec sleep 1000")
    pid = await is_at(gate)
    gate.open()
    await until(lambda: name_of(pid) == "sleep")
    look(held.engine._births)
    assert held.engine._commands.alive == (pid,)
    asked.cancel()
    await gone(pid)
    assert asked.cancelled()


async def test_a_command_that_ends_before_that_was_heard_is_no_orphan(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGCHLD comes before the loop has looked at what it told."""
    monkeypatch.setattr(Awaited, "_look", lambda _self: None)
    assert await run(room, "echo hello; exit 7") == (Outcome(code=7), b"hello\n")
    assert not room.orphans


@pytest.mark.parametrize(
    ("command", "problem"),
    [("/etc/passwd", "'/etc/passwd' is not executable"), ("no-such", "can't find command")],
)
async def test_a_command_that_cannot_be_run_says_why(
    room: Room, command: str, problem: str
) -> None:
    """Whether that is seen before the fork or after it. It leaves nothing behind."""
    await run(room, "true")  # who waits for births stays
    before = descriptors_of(os.getpid()).keys()
    with pytest.raises(SpawnError, match=problem):
        await room.engine._commands.run(program("web", command, nice=0))
    assert descriptors_of(os.getpid()).keys() <= before
    assert not room.engine._commands._on_the_way


async def test_without_anything_to_wait_with_it_is_run_all_the_same(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of descriptors, as a rule: then the loop stands still for it."""

    def add(*_: object, **_more: object) -> None:
        raise OSError(errno.EMFILE, "none left")

    monkeypatch.setattr(Awaited, "add", add)
    assert await run(room, "echo hello") == (Outcome(code=0), b"hello\n")


async def test_a_server_that_was_stopped_keeps_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up, and the daemon forks; requests wait for neither."""
    monkeypatch.setattr(birth, "_FORKED_WITHIN", 0.2)
    async with engine_room() as room:
        server = await ready_server(room.engine)
        os.kill(server, signal.SIGSTOP)
        asked = run(room, "echo hello")
        await until(lambda: room.engine._commands._on_the_way)
        assert not asked.done()
        assert await asked == (Outcome(code=0), b"hello\n")


async def test_whoever_takes_our_place_is_told_of_a_command(held: Room, gate: Gate) -> None:
    """By then it has begun, so that it can be ended."""
    asked = run(held, "exec sleep 1000")
    pid = await is_at(gate)
    gate.open()
    held.engine.settle()
    assert held.engine.remember(output_limit=0).commands == (pid,)
    asked.cancel()
    await gone(pid)


async def test_a_command_that_hangs_when_all_is_settled_has_failed(
    held: Room, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a second, not after ten: requests wait."""
    monkeypatch.setattr(awaited, "_FINISHED_WITHIN", 0.2)
    asked = run(held, "exec sleep 1000")
    pid = await is_at(gate)
    held.engine.settle()
    with pytest.raises(SpawnError, match="has not begun within"):
        await asked
    await gone(pid)


async def test_nobody_waits_for_one_that_nobody_wants(held: Room, gate: Gate) -> None:
    """Whoever takes our place need not, either."""
    asked = run(held, "exec sleep 1000")
    await is_at(gate)
    asked.cancel()
    held.engine.settle()
    await nothing_is_left(held)
    assert asked.cancelled()
    assert not gate.waiting()


async def test_a_probe_whose_command_hangs_has_no_answer(held: Room, gate: Gate) -> None:
    """As one whose command runs for too long; and when the process ends, so does the question."""
    handler = ExecProbe(argv=("true",))
    probe = ProbeSpec(handler=handler, period=0.1, timeout=0.1, failure_threshold=1)
    held.apply(sleeper(readiness_probe=probe))
    told = await held.next(HealthChanged)
    assert (told.passing, told.detail) == (False, "no answer within 0.1 s")
    await is_at(gate)
    held.engine.submit(Stop(key("web")))
    await held.state(PublicState.STOPPED)
    await nothing_is_left(held)
    assert not gate.waiting()


async def test_programs_and_commands_are_finished_together(room: Room) -> None:
    """Before an upgrade, and whoever comes first."""
    asked = run(room, "exec sleep 1000")
    await until(lambda: room.engine._commands._on_the_way or room.engine._commands.alive)
    room.apply(sleeper("web", nice=0))
    room.engine.settle()
    assert room.view("web").pid is not None
    assert len(room.engine._commands.alive) == 1
    asked.cancel()
    await nothing_is_left(room)


@pytest.mark.parametrize("maker", ["server", "daemon"])
@pytest.mark.parametrize("has_begun", [False, True])
async def test_a_close_ends_what_is_on_the_way(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, maker: str, *, has_begun: bool
) -> None:
    """Though nobody has looked at what it told. No descriptor is left."""
    monkeypatch.setattr(commands, "begin", partial(begin, cgroup=str(gate.folder)))
    monkeypatch.setattr(Awaited, "_look", lambda _self: None)
    monkeypatch.setattr(awaited, "_SLOW_AFTER", 1000.0)
    others, before = children(), descriptors_of(os.getpid()).keys()
    room = Room(dict(os.environ))
    room.engine.open(room.observer())
    await have_forks_by(room.engine, maker)
    asked = run(room, "exec sleep 1000")
    pid = await is_at(gate)
    if has_begun:
        gate.open()
        await until(lambda: name_of(pid) == "sleep")
    room.engine.close()
    await asyncio.wait([asked])
    assert descriptors_of(os.getpid()).keys() <= before
    await until(lambda: not is_alive(pid))
    assert pid in release_children(others)
