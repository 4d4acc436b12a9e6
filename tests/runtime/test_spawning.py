"""Processes on the way: ordered, and not at their program yet. Nobody waits for them."""

import os
import signal
from collections.abc import AsyncIterator

import pytest
from engine_room import (
    NEVER,
    Room,
    children,
    engine_room,
    key,
    program,
    release_children,
    sleeper,
)
from forks import Gate, until
from procfs import descriptors_of, name_of

from opsvisor.core.events import ProcessExited, ProcessSpawned, SpawnFailed
from opsvisor.core.inputs import Stop
from opsvisor.core.outcome import Outcome
from opsvisor.core.spec import LinearBackoff, ProcessId, ProcessSpec, RestartMode, RestartPolicy
from opsvisor.core.state import PublicState
from opsvisor.runtime.forkserver import Awaited, awaited, birth


@pytest.fixture(params=["server", "daemon"])
async def held(
    request: pytest.FixtureRequest, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Room]:
    """A room where who is called held-something comes to the gate, whoever forks."""
    async with engine_room() as room:
        if request.param == "server":
            room.engine._forks.expect(for_good=True)
            await until(lambda: room.engine._forks.is_ready)
        else:
            room.engine._forks._is_impossible = True

        def folder_for(spec: ProcessSpec) -> str | None:
            return str(gate.folder) if spec.id.name.startswith("held") else None

        monkeypatch.setattr(room.engine.limits, "prepare", folder_for)
        yield room


async def test_the_loop_goes_on_while_one_is_on_the_way(held: Room, gate: Gate) -> None:
    """Others are started and have ended by the time it comes."""
    held.apply(sleeper("held"), sleeper("web", nice=0))
    await held.state(PublicState.RUNNING)
    assert held.view("held").state is PublicState.STARTING
    assert held.view("held").pid is None
    gate.open()
    view = await held.state(PublicState.RUNNING, "held")
    assert view.pid is not None
    assert name_of(view.pid) == "sleep"


async def test_many_that_take_their_time_hold_up_nobody(held: Room, gate: Gate) -> None:
    """However many executables are on a file server that is gone."""
    held.apply(*(sleeper(f"held-{n}") for n in range(9)), sleeper("web", nice=0))
    await held.state(PublicState.RUNNING)
    await until(lambda: len(gate.waiting()) == 9)
    gate.open()
    await held.settled()


async def test_who_is_on_the_way_is_stopped_when_it_is_there(held: Room, gate: Gate) -> None:
    """There is nobody to signal before."""
    held.apply(sleeper("held"))
    held.engine.submit(Stop(key("held")))
    held.engine.end_leftovers(key("held"))  # which it is not
    assert held.view("held").pid is None
    gate.open()
    view = await held.state(PublicState.STOPPED, "held")
    assert view.last_outcome == Outcome(signum=signal.SIGTERM)
    assert not held.orphans


async def test_who_never_comes_has_failed_to_start(
    held: Room, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed, and the next one has another chance."""
    soon = RestartPolicy(start_backoff=LinearBackoff(step=0.01), limit=None)
    with monkeypatch.context() as impatient:
        impatient.setattr(birth, "_EXECUTED_WITHIN", 0.05)
        held.apply(sleeper("held", restart=soon))
        failed = await held.next(SpawnFailed)
        assert "has not begun within 0.05 s" in failed.reason
        await held.until(lambda: bool(held.orphans))
        assert held.orphans[0].outcome == Outcome(signum=signal.SIGKILL)
    await until(gate.waiting)
    gate.open()
    await held.state(PublicState.RUNNING, "held")


async def test_who_ends_before_that_was_heard_is_no_orphan(
    held: Room, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGCHLD comes before the loop has looked at what it told."""
    monkeypatch.setattr(Awaited, "_look", lambda _self: None)
    held.apply(sleeper("held", restart=NEVER))
    await until(gate.waiting)
    (pid,) = gate.waiting()
    os.kill(pid, signal.SIGKILL)
    ended = await held.next(ProcessExited)
    assert (ended.pid, ended.outcome) == (pid, Outcome(signum=signal.SIGKILL))
    assert not held.orphans


async def test_what_fails_before_that_was_heard_is_told_once(
    held: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And collected."""
    monkeypatch.setattr(Awaited, "_look", lambda _self: None)
    held.apply(program("web", "/etc/passwd", nice=0))
    failed = await held.next(SpawnFailed)
    assert failed.reason == "command at '/etc/passwd' is not executable"
    assert not held.orphans


async def test_nobody_is_on_the_way_once_all_is_settled(held: Room, gate: Gate) -> None:
    """Whoever takes our place by exec could not hear of them."""
    held.apply(sleeper("held"), *(sleeper(f"web-{n}", nice=0) for n in range(3)))
    held.engine.settle()
    spawned = [event.id.name for event in held.events if isinstance(event, ProcessSpawned)]
    failed = [event.id.name for event in held.events if isinstance(event, SpawnFailed)]
    assert not held.engine._spawning.are_on_the_way
    assert failed == ["held"]
    assert set(spawned) <= {"web-0", "web-1", "web-2"}
    await until(gate.waiting)
    gate.open()
    await held.settled()


async def test_a_close_leaves_nothing_of_who_is_on_the_way(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No descriptor. It goes its way, and the next daemon finds it."""
    others, before = children(), descriptors_of(os.getpid()).keys()
    room = Room(dict(os.environ))
    room.engine.open(room.observer())
    monkeypatch.setattr(room.engine.limits, "prepare", lambda _spec: str(gate.folder))
    room.apply(sleeper("held"))
    await until(gate.waiting)
    (pid,) = gate.waiting()
    room.engine.close()
    assert descriptors_of(os.getpid()).keys() <= before
    gate.open()
    await until(lambda: name_of(pid) == "sleep")
    release_children(others)


async def test_those_that_crash_all_the_time_leave_room_for_others(
    held: Room, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them is on the way at a time, and more of those that were not made before."""
    monkeypatch.setattr(awaited, "_SLOW_AFTER", 1000.0)
    at_once = RestartPolicy(mode=RestartMode.ALWAYS, limit=None)
    been: set[ProcessId] = set()

    def folder_for(spec: ProcessSpec) -> str | None:
        is_again = spec.id in been
        been.add(spec.id)
        return str(gate.folder) if is_again else None

    crashing = [program(f"crashes-{n}", "true", nice=0, restart=at_once) for n in range(3)]
    with monkeypatch.context() as patched:
        patched.setattr(held.engine.limits, "prepare", folder_for)
        held.apply(*crashing)
        await until(gate.waiting)
        held.apply(*crashing, *(sleeper(f"web-{n}", nice=0) for n in range(3)))
        for n in range(3):
            await held.state(PublicState.RUNNING, f"web-{n}")
        assert len(gate.waiting()) == 1
        assert held.engine._spawning.has_some
    with gate.opened():
        await held.until(lambda: all(held.view(spec.id.name).starts > 2 for spec in crashing))


async def test_a_server_that_was_stopped_is_given_up(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon forks itself, and has done other things meanwhile."""
    monkeypatch.setattr(birth, "_FORKED_WITHIN", 0.2)
    room.engine._forks.expect(for_good=True)
    await until(lambda: room.engine._forks.is_ready)
    server = room.engine._forks.pid
    assert server is not None
    os.kill(server, signal.SIGSTOP)
    room.apply(sleeper("web", nice=0), sleeper("other"))
    await room.state(PublicState.RUNNING, "other")
    assert room.view("web").pid is None
    await room.state(PublicState.RUNNING, "web")
    assert room.engine._forks.pid != server
