"""Watching: how everything is, and then what changes."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import msgspec
from control_room import loaded
from engine_room import sleeper
from served import SentEvent, Serve, take

from opsvisor import wire
from opsvisor.api.watch import Reader, Watchers
from opsvisor.config.problems import ConfigError, Place, Problem
from opsvisor.config.settings import Access, Identity, TcpServer
from opsvisor.control.actions import Action
from opsvisor.core.inputs import ApplyPlan
from opsvisor.core.plan import Plan
from opsvisor.core.probes import ExecProbe, ProbeSpec
from opsvisor.core.struct import replace

WATCH = "/api/v1/watch"
T = TypeVar("T")


async def told(events: AsyncIterator[SentEvent], kind: str, what: type[T]) -> T:
    """The next event of this kind; others are passed over."""
    while True:
        (event,) = await take(events, 1)
        if event.kind == kind:
            return msgspec.json.decode(event.text, type=what)


async def test_begins_with_everything(serve: Serve) -> None:
    """The snapshot is what GET /processes and GET /daemon say."""
    api = await serve(sleeper("a"), sleeper("b"))
    async with api.events(WATCH) as events:
        (event,) = await take(events, 1)
        assert event.kind == "snapshot"
        snapshot = msgspec.json.decode(event.text, type=wire.WatchSnapshot)
    listed = await api.get("/api/v1/processes", wire.ProcessList)
    assert [one.name for one in snapshot.processes] == ["a", "b"]
    for one, other in zip(snapshot.processes, listed.processes, strict=True):
        assert (one.state, one.pid, one.started_at) == (other.state, other.pid, other.started_at)
        assert one.rss_bytes
    assert snapshot.daemon.processes == 2


async def test_tells_what_changes(serve: Serve) -> None:
    """The process as it is then, whole, and no other."""
    api = await serve(sleeper("a"), sleeper("b"))
    async with api.events(WATCH) as events:
        await told(events, "snapshot", wire.WatchSnapshot)
        await api.act("stop", "a")
        changed, state = None, ""
        while state != "STOPPED":
            (changed,) = (await told(events, "changed", wire.WatchChanged)).processes
            assert changed.name == "a"
            state = changed.state
        assert changed is not None
        assert changed == msgspec.structs.replace(
            (await api.get("/api/v1/processes/a", wire.ProcessDetail)).status,
            description=changed.description,
            cpu_seconds=changed.cpu_seconds,
        )


async def test_samples_come_by_themselves(serve: Serve) -> None:
    """Every interval, for those that run; and they are remembered."""
    api = await serve(sleeper("a"))
    async with api.events(WATCH, interval=1) as events:
        await told(events, "snapshot", wire.WatchSnapshot)
        first = await told(events, "samples", wire.WatchSamples)
        second = await told(events, "samples", wire.WatchSamples)
    assert second.at > first.at
    assert set(second.samples) == {"a"}
    assert second.samples["a"].cpu is not None
    remembered = await api.get("/api/v1/processes/a/samples", wire.ProcessSamples)
    assert remembered.at
    assert len(remembered.at) == len(remembered.cpu) == len(remembered.rss)
    every = await api.get("/api/v1/samples", wire.SampleList)
    assert every.at == remembered.at
    assert every.processes["a"].rss == remembered.rss


async def test_a_new_process_and_one_that_goes(serve: Serve) -> None:
    """The one is told whole, the other by its name; and the daemon has another generation."""
    api = await serve(sleeper("a"))
    async with api.events(WATCH) as events:
        await told(events, "snapshot", wire.WatchSnapshot)
        api.house.files = loaded(sleeper("b"))
        await api.post("/api/v1/config/apply", wire.ApplyResponse, wire.ApplyRequest())
        removed = await told(events, "removed", wire.WatchRemoved)
        assert removed.names == ["a"]
        daemon = await told(events, "daemon", wire.DaemonInfo)
        while daemon.processes != 1:
            daemon = await told(events, "daemon", wire.DaemonInfo)
        assert daemon.generation == 2
        await api.act("stop", "b")
        changed = await told(events, "changed", wire.WatchChanged)
        while changed.processes[0].state != "STOPPED":
            changed = await told(events, "changed", wire.WatchChanged)
        assert changed.processes[0].name == "b"


async def test_a_group_with_another_priority(serve: Serve) -> None:
    """Its processes are told again: it is part of what is told of them."""
    api = await serve(sleeper("a"), sleeper("b"))
    old = api.house.control.supervisor.plan
    groups = [replace(one, priority=5) if one.name == "b" else one for one in old.groups]
    async with api.events(WATCH) as events:
        await told(events, "snapshot", wire.WatchSnapshot)
        api.house.room.engine.submit(ApplyPlan(Plan.of(groups)))
        changed = await told(events, "changed", wire.WatchChanged)
        assert [(one.name, one.group_priority) for one in changed.processes] == [("b", 5)]


async def test_files_that_are_read_again(serve: Serve) -> None:
    """Whether they could be used is told of the daemon."""
    api = await serve(sleeper("a"))
    async with api.events(WATCH) as events:
        await told(events, "snapshot", wire.WatchSnapshot)
        api.house.files = ConfigError([Problem(Place("x.toml", 3), "odd")])
        await api.problem("POST", "/api/v1/config/reread", body=b"{}")
        daemon = await told(events, "daemon", wire.DaemonInfo)
        assert not daemon.last_reload_ok
        assert daemon.last_reload_problems[0].line == 3


async def test_probes_are_told_when_their_answer_is_another(serve: Serve, tmp_path: Path) -> None:
    """A hundred answers like the one before are told once; wrong ones in a row each time."""
    flag = tmp_path / "ready"
    probe = ProbeSpec(
        handler=ExecProbe(argv=("test", "-e", str(flag))), period=0.1, failure_threshold=3
    )
    api = await serve(replace(sleeper("a"), readiness_probe=probe))
    async with api.events(WATCH) as events:
        await told(events, "snapshot", wire.WatchSnapshot)
        wrong, is_ready = 0, False
        while wrong < 3:
            (status,) = (await told(events, "changed", wire.WatchChanged)).processes
            assert not status.ready
            wrong = status.probes[0].wrong_in_a_row
        flag.touch()
        while not is_ready:
            (status,) = (await told(events, "changed", wire.WatchChanged)).processes
            is_ready = status.ready
        # From here on nothing is told but samples, though it is asked ten times a second.
        for _ in range(2):
            (event,) = await take(events, 1)
            assert event.kind == "samples", event


async def test_who_sees_some_groups_is_told_of_those(serve: Serve) -> None:
    """Of others neither in the snapshot, nor what changes, nor what they use, nor that they go."""
    name, token = "eve", "look" * 8
    eve = Identity(name=name, access=Access.READ, token=token, groups=frozenset({"mine"}))
    server = TcpServer(name="test", host="127.0.0.1", port=0, identities=(eve,))
    api = await serve(sleeper("mine"), sleeper("theirs"), server=server)
    api.session.headers["Authorization"] = f"Bearer {token}"
    async with api.events(WATCH, interval=1) as events:
        snapshot = await told(events, "snapshot", wire.WatchSnapshot)
        assert [one.name for one in snapshot.processes] == ["mine"]
        samples = await told(events, "samples", wire.WatchSamples)
        assert set(samples.samples) == {"mine"}
        await api.house.act(Action.STOP, "theirs")
        api.house.control.configuration.remove_group("theirs")
        await api.house.act(Action.STOP, "mine")
        kind = ""
        while kind != "changed":
            (event,) = await take(events, 1)
            kind = event.kind
            assert "theirs" not in event.text
    every = await api.get("/api/v1/samples", wire.SampleList)
    assert set(every.processes) == {"mine"}


async def test_who_does_not_read_is_told_all_anew() -> None:
    """What waits is bounded in number and size; then a snapshot takes its place."""
    for message, most in ((b"x", 64), (b"x" * 600_000, 3)):
        reader = Reader(None, 2.0)
        reader.put(b"nobody is told before the snapshot")
        assert await reader.get() is None
        reader.catch_up()
        for _ in range(most):
            reader.put(message)
        assert await reader.get() == message
        reader.put(message)
        reader.put(message)
        assert await reader.get() is None
        reader.catch_up()
        reader.put(message)
        assert await reader.get() == message
    reader = Reader(None, 2.0)
    reader.catch_up()
    reader.put(b"x" * 9_000_000)  # one is always taken, or nobody would ever be told of it
    assert await reader.get() is not None


async def test_nobody_is_told_anything_twice(serve: Serve) -> None:
    """Two readers of the same get the very same message, which is made once."""
    api = await serve(sleeper("a"))
    watchers = Watchers(api.house.control)
    with watchers.one(None, 3600.0) as first, watchers.one(None, 3600.0) as second:
        for reader in (first, second):
            reader.catch_up()
        await api.act("stop", "a")
        message = await first.get()
        assert message is not None
        assert message is await second.get()


async def test_who_does_not_read_costs_no_sweep(serve: Serve) -> None:
    """However often it wants to be told; as soon as it reads it is told again."""
    api = await serve(sleeper("a"))
    watchers, sampler = Watchers(api.house.control), api.house.control.sampler
    with watchers.one(None, 3600.0) as reader:
        reader.catch_up()
        reader.put(b"what its client does not take")
        await watchers.sample_once()
        assert sampler.sweeps == 0
        assert await reader.get() == b"what its client does not take"
        await watchers.sample_once()
        assert sampler.sweeps == 1
