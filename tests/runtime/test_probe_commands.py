"""Commands of probes that are forked: the loop goes on until their programs begin."""

import asyncio
import errno
import os
import signal
from collections.abc import AsyncIterator
from functools import partial

import pytest
from engine_room import Room, children, engine_room, program, release_children
from forks import Gate, ready_server, until
from procfs import descriptors_of, name_of

from opsvisor.core.outcome import Outcome
from opsvisor.core.spec import Pid, ProcessSpec
from opsvisor.runtime.forkserver import Awaited, awaited, birth
from opsvisor.runtime.probes import commands
from opsvisor.runtime.spawn import SpawnError, begin

Answered = asyncio.Task[tuple[Outcome, bytes]]


@pytest.fixture(params=["server", "daemon"])
async def room(request: pytest.FixtureRequest) -> AsyncIterator[Room]:
    """A room where commands are forked, by either."""
    async with engine_room() as room:
        if request.param == "server":
            await ready_server(room.engine)
        else:
            room.engine._forks._is_impossible = True
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
    before = descriptors_of(os.getpid()).keys()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await held.engine._commands.run(shell("exec sleep 1000"))
    pid = await is_at(gate)
    gate.open()
    await gone(pid)
    await until(lambda: descriptors_of(os.getpid()).keys() <= before)
    assert not held.orphans


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
    assert not room.engine._births


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
        await asyncio.sleep(0)
        assert room.engine._births
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


async def test_a_close_ends_what_is_on_the_way(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And leaves no descriptor."""
    monkeypatch.setattr(commands, "begin", partial(begin, cgroup=str(gate.folder)))
    others, before = children(), descriptors_of(os.getpid()).keys()
    room = Room(dict(os.environ))
    room.engine.open(room.observer())
    asked = run(room, "exec sleep 1000")
    pid = await is_at(gate)
    asked.cancel()
    await asyncio.wait([asked])
    room.engine.close()
    assert descriptors_of(os.getpid()).keys() <= before
    await until(lambda: not gate.waiting())  # it was killed
    assert release_children(others) == [pid]
