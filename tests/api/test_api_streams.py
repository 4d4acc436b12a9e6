"""Logs and events over HTTP, as pieces and as streams."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from engine_room import NEVER, key, obedient, program, sleeper
from served import Done, Serve, Served, take

from opsvisor import wire
from opsvisor.core.events import ProcessRemoved
from opsvisor.core.spec import LogSpec, ProcessSpec, StdinMode
from opsvisor.core.state import PublicState
from opsvisor.runtime.bus import REMEMBERED_EVENTS, SUBSCRIPTION_CAPACITY
from opsvisor.runtime.logs.stream import Stream

LOG = "/api/v1/processes/web/logs/stdout"
MAIN_LOG = "/api/v1/daemon/log"
EVENTS = "/api/v1/events"


def talker(path: Path | None = None) -> ProcessSpec:
    """A program that says what it is told."""
    spec = LogSpec(path=str(path) if path else None)
    script = "while read line; do echo $line; done"
    return program("web", "sh", "-c", script, stdin=StdinMode.PIPE, stdout=spec)


async def say(api: Served, line: str) -> None:
    """Have the talker say this, and see it arrive."""
    api.house.room.tell(line=line)
    await api.house.room.output(f"{line}\n")


def happen(api: Served, count: int) -> None:
    """Publish this many facts."""
    for number in range(count):
        api.house.room.bus.publish(ProcessRemoved(at=float(number), id=sleeper("x").id))


# -- logs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "text", "offset"),
    [
        ({}, "one\ntwö\nthree\n", 15),
        ({"lines": 1}, "three\n", 15),
        ({"lines": 0}, "", 15),
        ({"lines": 10**30}, "one\ntwö\nthree\n", 15),
        ({"bytes": 6}, "three\n", 15),
        ({"bytes": 0}, "", 15),
        ({"offset": 4, "length": 5}, "twö\n", 9),
        ({"offset": -6, "length": 3}, "thr", 12),
        ({"offset": 99}, "", 15),
        ({"offset": 4, "length": 3}, "tw", 6),
        ({"offset": 6, "length": 1}, "ö", 8),
        ({"offset": 7, "length": 2}, "\N{REPLACEMENT CHARACTER}\n", 9),
        ({"bytes": 8}, "\N{REPLACEMENT CHARACTER}\nthree\n", 15),
    ],
)
@pytest.mark.parametrize("in_file", [True, False])
async def test_pieces_of_a_log(
    serve: Serve, tmp_path: Path, params: dict[str, int], text: str, offset: int, *, in_file: bool
) -> None:
    """Tails and ranges, from the file or from memory, to the end of a whole character.

    One that began before is replaced; a range too short for its first one gets all of that.
    """
    api = await serve(talker(tmp_path / "log" if in_file else None))
    for line in ("one", "twö", "three"):
        await say(api, line)
    assert await api.get(LOG, wire.LogText, **params) == wire.LogText(
        name="web", stream="stdout", text=text, offset=offset, size=15
    )


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
async def test_a_log_that_is_read_in_pieces_loses_no_character(serve: Serve, length: int) -> None:
    """Whoever asks on from each answer's offset gets all of the text."""
    api = await serve(talker())
    text = "aé€😀é€😀\n"
    await say(api, text.removesuffix("\n"))
    offset, read = 0, ""
    while offset < len(text.encode()):
        piece = await api.get(LOG, wire.LogText, offset=offset, length=length)
        assert piece.offset > offset
        offset, read = piece.offset, read + piece.text
    assert read == text


async def test_a_character_that_is_still_being_written_is_left_for_the_next_answer(
    serve: Serve,
) -> None:
    """The offset lies before it."""
    api = await serve(talker())
    capture = api.house.room.engine.streams(key("web")).captures[Stream.STDOUT]
    capture.write(b"a\xc3")
    first = await api.get(LOG, wire.LogText, offset=0)
    assert (first.text, first.offset, first.size) == ("a", 1, 2)
    assert await api.get(LOG, wire.LogText, offset=1) == msgspec.structs.replace(first, text="")
    capture.write(b"\xa9")
    rest = await api.get(LOG, wire.LogText, offset=first.offset)
    assert (rest.text, rest.offset) == ("é", 3)


@pytest.mark.parametrize(
    "query", ["lines=-1", "bytes=-1", "offset=0&length=-1", "lines=x", "lines=1e3"]
)
async def test_numbers_that_are_none(api: Served, query: str) -> None:
    """Told by name, and quoted."""
    told = await api.problem("GET", f"{LOG}?{query}")
    assert (told.status, told.code) == (400, "bad_request")


async def test_why_there_is_no_log(serve: Serve) -> None:
    """Merged into the other, no such stream, or not to be read."""
    api = await serve(sleeper(stderr=None), sleeper("mem", stdout=LogSpec(path="/dev/full")))
    told = await api.problem("GET", "/api/v1/processes/web/logs/stderr")
    assert (told.status, told.code, told.detail) == (404, "no_log", "web has no log of its stderr")
    told = await api.problem("GET", "/api/v1/processes/web/logs/stdin")
    assert (told.status, told.code) == (404, "not_found")
    assert (await api.get("/api/v1/processes/mem/logs/stdout", wire.LogText)).text == ""


async def test_the_daemons_own_log_reads_and_clears_like_any_other(api: Served) -> None:
    """From memory where it has no file."""
    api.house.control.daemon_log.write("hello")
    assert await api.get(MAIN_LOG, wire.LogText) == wire.LogText(
        name="opsvisord", stream="log", text="hello\n", offset=6, size=6
    )
    assert (await api.post(f"{MAIN_LOG}/clear", wire.ActionResponse)).results == []
    assert (await api.get(MAIN_LOG, wire.LogText)).text == ""


async def test_logs_are_cleared_by_name(serve: Serve, tmp_path: Path) -> None:
    """File and memory of those that are there; the others are told."""
    api = await serve(talker(tmp_path / "log"))
    await say(api, "hello")
    request = wire.ClearRequest(names=["web", "none", "no:*"])
    told = await api.post("/api/v1/logs/clear", wire.ActionResponse, request)
    assert [(r.name, r.result) for r in told.results] == [
        ("web", "ok"),
        ("none", "no_such_process"),
        ("no", "no_such_group"),
    ]
    assert (tmp_path / "log").read_text() == ""
    assert (await api.get(LOG, wire.LogText)).text == ""


async def test_a_log_is_followed_from_where_one_wants(serve: Serve) -> None:
    """Some of what is there already, then what comes, with offsets to come back to."""
    api = await serve(talker())
    await say(api, "first")
    async with api.events(f"{LOG}/follow", bytes=4) as events:
        (piece,) = await take(events, 1)
        assert (piece.kind, piece.id, piece.fields) == ("log", "6", {"text": "rst\n", "offset": 6})
        await say(api, "second")
        (piece,) = await take(events, 1)
        assert piece.fields == {"text": "second\n", "offset": 13}
    async with api.events(f"{LOG}/follow", last_event_id="6") as events:
        (piece,) = await take(events, 1)
        assert piece.fields == {"text": "second\n", "offset": 13}


async def test_a_followed_character_may_come_in_two_pieces(serve: Serve) -> None:
    """It is sent whole, offsets lie before or after it; one that is never finished is replaced."""
    api = await serve(talker(), sleeper("other"))
    capture = api.house.room.engine.streams(key("web")).captures[Stream.STDOUT]
    async with api.events(f"{LOG}/follow") as events:
        capture.write("a€".encode()[:3])
        (piece,) = await take(events, 1)
        assert (piece.id, piece.fields) == ("1", {"text": "a", "offset": 1})
        capture.write("€b".encode()[2:] + b"\xe2")
        (piece,) = await take(events, 1)
        assert (piece.id, piece.fields) == ("5", {"text": "€b", "offset": 5})
        api.house.room.apply(sleeper("other"))
        (piece,) = await take(events, 1)
        assert piece.fields == {"text": "\N{REPLACEMENT CHARACTER}", "offset": 6}


async def test_half_a_character_before_a_gap_is_replaced(serve: Serve) -> None:
    """Its other half was lost; nothing that follows is taken for it."""
    api = await serve(talker())
    capture = api.house.room.engine.streams(key("web")).captures[Stream.STDOUT]
    async with api.events(f"{LOG}/follow") as events:
        capture.write(b"a\xe2")
        await take(events, 1)
        capture.write(b"x" * 10)
        capture.write(b"y" * capture.ring.capacity)
        half, gap, piece = await take(events, 3)
    assert (half.id, half.fields["text"]) == ("2", "\N{REPLACEMENT CHARACTER}")
    assert gap.fields == {"lost_bytes": 10}
    assert piece.fields["text"] == "y" * capture.ring.capacity


@pytest.mark.parametrize("last_event_id", ["999999999", "²", "9" * 5000, "-5", "x"])
async def test_a_place_in_a_log_that_never_was_means_from_now_on(
    serve: Serve, last_event_id: str
) -> None:
    """A daemon that was started again counts from 0: who comes back must not wait for ever."""
    api = await serve(talker())
    await say(api, "old")
    async with api.events(f"{LOG}/follow", last_event_id=last_event_id) as events:
        await say(api, "new")
        (piece,) = await take(events, 1)
        assert piece.fields["text"] == "new\n"


async def test_nothing_can_be_followed_from_before_the_beginning(serve: Serve) -> None:
    """A negative number of bytes is no wish that could be granted."""
    api = await serve(talker())
    told = await api.problem("GET", f"{LOG}/follow?bytes=-5")
    assert (told.status, told.code) == (400, "bad_request")


async def test_what_memory_has_lost_is_told_as_a_gap(serve: Serve) -> None:
    """How many bytes, and then what is still there."""
    script = "head -c 100000 /dev/zero | tr '\\0' x; echo; exit"
    api = await serve(program("web", "sh", "-c", script, restart=NEVER))
    await api.house.room.state(PublicState.EXITED)
    async with api.events(f"{LOG}/follow", last_event_id="1") as events:
        gap, piece = await take(events, 2)
    assert (gap.kind, gap.fields) == ("gap", {"lost_bytes": 100001 - 65536 - 1})
    assert piece.fields["offset"] == 100001


async def test_following_a_process_ends_with_it(serve: Serve) -> None:
    """When it leaves the configuration there is nothing more to come."""
    api = await serve(talker(), sleeper("other"))
    async with api.events(f"{LOG}/follow") as events:
        api.house.room.apply(sleeper("other"))
        async with asyncio.timeout(60):
            assert [event async for event in events] == []


# -- events ---------------------------------------------------------------------------------------


async def test_events_come_as_they_happen(api: Served) -> None:
    """Numbered, with a line for people and details for programs."""
    number = api.house.room.bus.last_number
    async with api.events(EVENTS) as events:
        await api.act("stop", "web")
        stopping, signalled, exited, stopped = await take(events, 4)
    assert [e.id for e in (stopping, signalled, exited, stopped)] == [
        str(number + n) for n in (1, 2, 3, 4)
    ]
    assert stopping.fields["kind"] == "state_changed"
    assert stopping.fields["process"] == "web"
    assert stopping.fields["text"] == "web: RUNNING -> STOPPING: stop requested (manual)"
    assert signalled.fields["kind"] == "signal_sent"
    assert exited.fields["detail"] == {
        "pid": exited.fields["detail"]["pid"],  # type: ignore[index]  # JSON
        "outcome": "terminated by SIGTERM",
        "exit_code": None,
        "exit_signal": "SIGTERM",
        "cause": "manual",
        "expected": True,
        "uptime": exited.fields["detail"]["uptime"],  # type: ignore[index]  # JSON
        "decision": "stopped (manual)",
        "oom_killed": False,
    }
    assert stopped.fields["detail"]["new"] == "STOPPED"  # type: ignore[index]  # JSON


async def test_the_past_can_be_asked_for(api: Served) -> None:
    """The last ones, or those after the one that was seen last."""
    last = api.house.room.bus.last_number
    async with api.events(EVENTS, replay=2) as events:
        assert [e.id for e in await take(events, 2)] == [str(last - 1), str(last)]
    async with api.events(EVENTS, last_event_id=str(last - 3)) as events:
        assert [e.id for e in await take(events, 3)] == [str(last - n) for n in (2, 1, 0)]


@pytest.mark.parametrize("last_event_id", ["999999", "²", "9" * 5000, "x"])
async def test_a_number_that_never_was_means_from_now_on(api: Served, last_event_id: str) -> None:
    """Of another daemon, or of nobody."""
    last = api.house.room.bus.last_number
    async with api.events(EVENTS, last_event_id=last_event_id) as events:
        happen(api, 1)
        (event,) = await take(events, 1)
    assert (event.kind, event.id) == ("", str(last + 1))


async def test_forgotten_events_leave_a_gap_with_their_numbers(api: Served) -> None:
    """Who comes back late learns what can't be told any more."""
    happen(api, REMEMBERED_EVENTS)
    last = api.house.room.bus.last_number
    async with api.events(EVENTS, last_event_id="1") as events:
        gap, first = await take(events, 2)
    oldest = last - REMEMBERED_EVENTS + 1
    assert (gap.kind, gap.fields) == ("gap", {"lost": [2, oldest - 1]})
    assert first.id == str(oldest)


async def test_a_flood_drops_the_oldest_and_says_so(api: Served) -> None:
    """What was published faster than it could be sent; nothing waits for the reader."""
    async with api.events(EVENTS) as events:
        last = api.house.room.bus.last_number
        happen(api, SUBSCRIPTION_CAPACITY + 5)
        gap, first = await take(events, 2)
    assert gap.fields == {"lost": [last + 1, last + 5]}
    assert first.id == str(last + 6)


@pytest.mark.parametrize("path", [EVENTS, f"{LOG}/follow", f"{MAIN_LOG}/follow"])
async def test_streams_end_when_the_server_does(
    serve: Serve, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once: other requests may finish, these never would."""
    monkeypatch.setattr("opsvisor.api.server._SHUTDOWN_PATIENCE", 1000.0)
    api = await serve(obedient(then="exit"))
    async with api.events(path) as events:
        closing = asyncio.ensure_future(api.server.close())
        async with asyncio.timeout(5):
            assert [event async for event in events] == []
            await closing


@pytest.mark.parametrize("path", [EVENTS, f"{LOG}/follow"])
async def test_a_reader_that_leaves_is_forgotten(api: Served, path: str) -> None:
    """Its subscription goes with it."""
    async with api.events(path):
        pass
    await api.house.room.until(lambda: bool(api.done))
    assert api.house.room.bus.subscriptions == ()
    route = path.replace("/web/", "/{name}/").replace("stdout", "{stream}")
    assert api.done == [Done(route, "GET", 499)]
