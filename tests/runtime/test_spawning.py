"""Processes on the way: ordered, and not at their program yet. Nobody waits for them."""

import os
import signal
import time
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
from forks import Gate, have_forks_by, ready_server, until
from procfs import descriptors_of, name_of

from opsvisor.core.events import Event, ProcessExited, ProcessSpawned, SpawnFailed
from opsvisor.core.inputs import Stop
from opsvisor.core.outcome import Outcome
from opsvisor.core.spec import (
    LinearBackoff,
    LogSpec,
    ProcessId,
    ProcessSpec,
    RestartMode,
    RestartPolicy,
)
from opsvisor.core.state import PublicState
from opsvisor.runtime import engine, spawning
from opsvisor.runtime.forkserver import Awaited, awaited, birth
from opsvisor.runtime.logs.stream import Stream

SOON = LinearBackoff(step=0.01)
AGAIN = RestartPolicy(
    mode=RestartMode.ALWAYS,
    start_backoff=SOON,
    run_backoff=SOON,
    failed_starts_max=None,
    limit=None,
)


@pytest.fixture(params=["server", "daemon"])
async def held(
    request: pytest.FixtureRequest, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Room]:
    """A room where who is called held-something comes to the gate, whoever forks."""
    async with engine_room() as room:
        await have_forks_by(room.engine, request.param)

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
    await until(gate.waiting)
    held.engine.submit(Stop(key("held")))
    held.engine.end_leftovers(key("held"))  # which it is not
    held.engine._trees.when_idle(held.poke)
    await held.until(lambda: not held.engine._trees.is_ending(key("held")))
    assert held.view("held").pid is None
    gate.open()
    view = await held.state(PublicState.STOPPED, "held")
    assert view.last_outcome == Outcome(signum=signal.SIGTERM)
    assert not held.orphans


async def test_who_never_comes_has_failed_to_start(
    held: Room, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed, and the next one has another chance."""
    with monkeypatch.context() as impatient:
        impatient.setattr(birth, "_EXECUTED_WITHIN", 0.05)
        held.apply(sleeper("held", restart=AGAIN))
        failed = await held.next(SpawnFailed)
        assert "has not begun within" in failed.reason
        await held.until(lambda: bool(held.orphans))
        assert held.orphans[0].outcome == Outcome(signum=signal.SIGKILL)
    with gate.opened():
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
    assert [type(event) for event in held.events].count(SpawnFailed) == 1
    assert not held.orphans


async def test_nobody_is_on_the_way_once_all_is_settled(held: Room) -> None:
    """Whoever takes our place by exec could not hear of them."""
    held.apply(sleeper("web", nice=0))
    assert held.engine._spawning.is_on_the_way(key("web"))
    held.engine.settle()
    assert not held.engine._spawning.is_on_the_way(key("web"))
    assert held.view("web").pid is not None


async def test_who_hangs_when_all_is_settled_has_failed(
    held: Room, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a second, not after ten: requests wait."""
    monkeypatch.setattr(awaited, "_FINISHED_WITHIN", 0.2)
    held.apply(sleeper("held"))
    await until(gate.waiting)
    began = time.monotonic()
    held.engine.settle()
    assert time.monotonic() - began < 5.0
    assert [event.id.name for event in held.events if isinstance(event, SpawnFailed)] == ["held"]
    with gate.opened():
        await held.state(PublicState.RUNNING, "held")


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
    monkeypatch.setattr(engine, "_SETTLED_AFTER", 1000.0)
    been: set[ProcessId] = set()

    def folder_for(spec: ProcessSpec) -> str | None:
        is_again = spec.id in been
        been.add(spec.id)
        return str(gate.folder) if is_again else None

    crashing = [program(f"crashes-{n}", "true", nice=0, restart=AGAIN) for n in range(3)]
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
    server = await ready_server(room.engine)
    os.kill(server, signal.SIGSTOP)
    room.apply(sleeper("web", nice=0), sleeper("other"))
    await room.state(PublicState.RUNNING, "other")
    assert room.view("web").pid is None
    await room.state(PublicState.RUNNING, "web")
    assert room.engine._forks.pid != server


async def test_those_that_are_started_hold_up_none_that_crash(
    held: Room, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long their exec takes."""
    monkeypatch.setattr(awaited, "_SLOW_AFTER", 1000.0)
    monkeypatch.setattr(engine, "_SETTLED_AFTER", 1000.0)
    held.apply(program("web", "true", nice=0, restart=AGAIN))
    await held.next(ProcessExited)
    crashing = program("web", "true", nice=0, restart=AGAIN)
    held.apply(crashing, *(sleeper(f"held-{n}") for n in range(9)))
    await until(lambda: len(gate.waiting()) == 4)
    before = held.view("web").starts
    await held.until(lambda: held.view("web").starts > before + 3)
    assert len(gate.waiting()) == 4
    with gate.opened():
        await held.settled()


async def test_four_are_on_the_way_however_long_an_order_takes(
    held: Room, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork of the daemon's own takes longer than its slice of a turn."""
    monkeypatch.setattr(awaited, "_SLOW_AFTER", 1000.0)
    monkeypatch.setattr(spawning, "_SLICE", 0.0)
    held.apply(*(sleeper(f"held-{n}") for n in range(9)))
    await until(lambda: len(gate.waiting()) == 4)
    with gate.opened():
        await held.settled()


async def test_what_it_prints_is_told_with_its_pid(
    held: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with that of the run before, or with none, though it came before its birth was heard."""
    monkeypatch.setattr(Awaited, "_look", lambda _self: None)
    heard: list[tuple[int, bytes]] = []
    held.engine.listen_to_output(lambda output: heard.append((output.pid, output.text)))
    told = LogSpec(told=True)
    held.apply(program("web", "sh", "-c", "echo hello", nice=0, restart=AGAIN, stdout=told))
    await held.until(lambda: held.view("web").starts > 2)
    pids = [event.pid for event in held.events if isinstance(event, ProcessSpawned)]
    assert heard[:2] == [(pid, b"hello\n") for pid in pids[:2]]


async def test_what_it_prints_is_read_while_it_runs(held: Room) -> None:
    """It was held back until its birth was heard of, and not for longer."""
    script = "echo hello; echo world >&2; exec sleep 1000"
    held.apply(program("web", "sh", "-c", script, nice=0, stderr=LogSpec()))
    assert await held.output("hello") == "hello\n"
    assert await held.output("world", stream=Stream.STDERR) == "world\n"


async def test_what_it_printed_is_read_after_it_was_told_of(
    held: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A post-mortem takes what was read before for the words of an earlier run."""
    monkeypatch.setattr(Awaited, "_look", lambda _self: None)
    ends: list[int] = []

    def look(event: Event) -> None:
        if isinstance(event, ProcessSpawned):
            capture = held.engine.streams(event.id).capture(Stream.STDOUT)
            ends.append(-1 if capture is None else capture.ring.end)

    held.bus.listen(look)
    held.apply(program("web", "sh", "-c", "echo hello; exit 1", nice=0, restart=NEVER))
    await held.next(ProcessExited)
    assert ends == [0]
    await held.output("hello")


async def test_when_the_server_is_killed_who_hangs_keeps_nobody_waiting(
    room: Room, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon forks what was ordered, and does not wait for that either."""
    monkeypatch.setattr(room.engine.limits, "prepare", lambda _spec: str(gate.folder))
    server = await ready_server(room.engine)
    os.kill(server, signal.SIGSTOP)
    room.apply(*(sleeper(f"held-{n}") for n in range(3)))
    os.kill(server, signal.SIGKILL)
    await until(lambda: len(gate.waiting()) == 3)
    monkeypatch.undo()
    room.engine.submit(Stop(key("held-0")))
    room.apply(*(sleeper(f"held-{n}") for n in range(3)), sleeper("other"))
    await room.state(PublicState.RUNNING, "other")
    assert room.view("held-1").pid is None
    with gate.opened():
        await room.state(PublicState.STOPPED, "held-0")
        await room.state(PublicState.RUNNING, "held-2")
    assert not [event for event in room.events if isinstance(event, SpawnFailed)]


async def test_who_hangs_is_killed_whoever_had_to_fork_it(
    room: Room, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that was stopped was slow already, and so is what the daemon makes instead."""
    monkeypatch.setattr(room.engine.limits, "prepare", lambda _spec: str(gate.folder))
    monkeypatch.setattr(birth, "_FORKED_WITHIN", 0.2)
    monkeypatch.setattr(birth, "_EXECUTED_WITHIN", 0.3)
    server = await ready_server(room.engine)
    os.kill(server, signal.SIGSTOP)
    room.apply(sleeper("held"))
    failed = await room.next(SpawnFailed)
    assert "has not begun within" in failed.reason
    monkeypatch.undo()
    with gate.opened():
        await room.state(PublicState.RUNNING, "held")
