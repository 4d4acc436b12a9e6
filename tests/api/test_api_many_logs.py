"""The logs of several processes over one connection."""

import asyncio
import time
from collections.abc import AsyncIterator

from engine_room import key, program, sleeper
from served import SentEvent, Serve, Served, take

from opsvisor import wire
from opsvisor.core.spec import ProcessSpec, Startup
from opsvisor.core.struct import replace
from opsvisor.runtime.logs.capture import StreamCapture
from opsvisor.runtime.logs.stream import Stream

LOGS = "/api/v1/logs"


def capture(api: Served, name: str, stream: Stream = Stream.STDOUT) -> StreamCapture:
    """Where the output of a process is kept; what a test writes there is its output."""
    return api.house.room.engine.streams(key(name)).captures[stream]


def say(api: Served, name: str, text: str, *, at: float = 0.0) -> None:
    """Have a process say this, at this time if it matters."""
    one = capture(api, name)
    if at:
        one._around = replace(one._around, wall=lambda: at)
    one.write(text.encode())


def quiet(name: str) -> ProcessSpec:
    """A process that says nothing by itself."""
    return sleeper(name)


def texts(events: list[SentEvent]) -> list[tuple[object, object]]:
    """Who says what."""
    return [(event.fields["name"], event.fields["text"]) for event in events]


async def all_of(events: AsyncIterator[SentEvent]) -> list[SentEvent]:
    """Everything until the stream ends by itself."""
    async with asyncio.timeout(60):
        return [event async for event in events]


async def test_what_was_said_comes_in_the_order_of_its_times(serve: Serve) -> None:
    """Of all of them, then the stream ends; each piece with its place and its time."""
    api = await serve(quiet("a"), quiet("b"))
    say(api, "a", "one\n", at=1000.0)
    say(api, "b", "two\n", at=1002.0)
    say(api, "a", "three\n", at=1004.0)
    say(api, "b", "four\n", at=1006.0)
    async with api.events(LOGS, lines=9) as events:
        names, *said = await all_of(events)
    assert (names.kind, names.fields) == ("names", {"names": ["a", "b"]})
    assert [event.fields for event in said] == [
        {
            "name": name,
            "stream": "stdout",
            "text": text,
            "begin": begin,
            "offset": begin + len(text),
            "at": at,
            "anew": False,
        }
        for name, text, begin, at in (
            ("a", "one\n", 0, 1000.0),
            ("b", "two\n", 0, 1002.0),
            ("a", "three\n", 4, 1004.0),
            ("b", "four\n", 4, 1006.0),
        )
    ]
    async with api.events(LOGS, since="1003.5") as events:
        # Between two marks it may be either: rather too much than too little.
        assert texts((await all_of(events))[1:]) == [
            ("a", "one\n"),
            ("b", "two\n"),
            ("a", "three\n"),
            ("b", "four\n"),
        ]
    async with api.events(LOGS, since="1004.0", name="a") as events:
        assert texts((await all_of(events))[1:]) == [("a", "three\n")]
    async with api.events(LOGS, lines=1, stream="stderr") as events:
        assert len(await all_of(events)) == 1


async def test_what_is_said_is_followed(serve: Serve) -> None:
    """Of all of them, after the past, and each byte once."""
    api = await serve(quiet("a"), quiet("b"))
    say(api, "a", "old\n")
    async with api.events(LOGS, lines=1, follow="1") as events:
        assert texts((await take(events, 2))[1:]) == [("a", "old\n")]
        for name in "aba":
            say(api, name, f"{name} says\n")
            assert texts(await take(events, 1)) == [(name, f"{name} says\n")]


async def test_who_comes_later_is_heard_from_its_first_word(serve: Serve) -> None:
    """If a pattern means it, and who goes is told of; of the same name there may be another."""
    api = await serve(quiet("other"))
    async with api.events(LOGS, follow="1", name="w*") as events:
        (names,) = await take(events, 1)
        assert names.fields == {"names": []}
        api.house.room.apply(quiet("other"), quiet("w1"), quiet("x"))
        say(api, "w1", "hello\n")
        names, said = await take(events, 2)
        assert (names.fields, said.fields["text"]) == ({"names": ["w1"]}, "hello\n")
        assert said.fields["anew"] is True
        api.house.room.apply(quiet("other"))
        (names,) = await take(events, 1)
        assert names.fields == {"names": []}


async def test_names_that_are_none(api: Served) -> None:
    """Are refused as anywhere; a pattern may be waited for only if it is followed."""
    for query, code in (
        ("name=none", "no_such_process"),
        ("name=none&follow=1", "no_such_process"),
        ("name=n*", "no_such_process"),
        ("name=none:*", "no_such_group"),
        ("lines=-1", "bad_request"),
        ("since=x", "bad_request"),
        ("stream=stdin", "bad_request"),
        ("follow=2", "bad_request"),
    ):
        assert (await api.problem("GET", f"{LOGS}?{query}")).code == code


async def test_who_comes_back_misses_nothing(serve: Serve) -> None:
    """By the id that it saw last, of whichever log; a little of what it has comes again."""
    api = await serve(quiet("a"), quiet("b"))
    async with api.events(LOGS, follow="1") as events:
        await take(events, 1)
        say(api, "a", "a1\n")
        await take(events, 1)
        say(api, "b", "b1\n")
        (last,) = await take(events, 1)
    say(api, "b", "b2\n")
    say(api, "a", "a2\n")
    async with api.events(LOGS, follow="1", lines=5, last_event_id=last.id) as events:
        _, *again = await take(events, 3)
    for event in again:
        name, text, begin = (str(event.fields[field]) for field in ("name", "text", "begin"))
        assert int(begin) <= 3
        assert text == f"{name}1\n{name}2\n"[int(begin) :]


async def test_much_is_not_said_again(serve: Serve) -> None:
    """An interruption costs what was written within a second before it, not all there is."""
    api = await serve(quiet("a"))
    now = time.time()
    for second in range(100):
        say(api, "a", f"{second:03}\n", at=now - 100 + second)
    capture(api, "a")._around = replace(capture(api, "a")._around, wall=time.time)
    resume = str(int((now - 20) * 1_000_000))
    async with api.events(LOGS, follow="1", last_event_id=resume) as events:
        _, said = await take(events, 2)
    lines = str(said.fields["text"]).split()
    assert lines[-1] == "099"
    assert 19 <= len(lines) <= 22


async def test_a_slow_reader_is_told_what_it_lost(serve: Serve) -> None:
    """Of which log, and how much; the others are as they were."""
    api = await serve(quiet("a"), quiet("b"))
    async with api.events(LOGS, follow="1") as events:
        await take(events, 1)
        one = capture(api, "a")
        one.write(b"x" * 10)
        one.write(b"y" * one.ring.capacity)  # before anybody could read
        say(api, "b", "fine\n")
        gap, *said = await take(events, 3)
    assert (gap.kind, gap.fields) == (
        "gap",
        {"name": "a", "stream": "stdout", "lost_bytes": 10},
    )
    assert sorted(str(event.fields["name"]) for event in said) == ["a", "b"]


async def test_what_was_cleared_is_not_lost(serve: Serve) -> None:
    """Who comes back after it is told of no gap: somebody wanted it gone."""
    api = await serve(quiet("a"))
    say(api, "a", "old\n")
    resume = str(int(time.time() * 1_000_000))
    capture(api, "a").clear()
    say(api, "a", "new\n")
    async with api.events(LOGS, follow="1", last_event_id=resume) as events:
        _, said = await take(events, 2)
    assert (said.kind, said.fields["text"]) == ("log", "new\n")


async def test_one_that_floods_does_not_silence_the_others(serve: Serve) -> None:
    """A piece of each in turn."""
    api = await serve(*(quiet(name) for name in ("a", "b")))
    async with api.events(LOGS, follow="1") as events:
        await take(events, 1)
        for _ in range(20):
            capture(api, "a").write(b"x" * 50_000)
        say(api, "b", "help\n")
        heard = await take(events, 3)  # of `a` there is a gap, and what memory holds
    assert "b" in [event.fields["name"] for event in heard]


async def test_half_characters(serve: Serve) -> None:
    """A character comes whole; offsets count its bytes."""
    api = await serve(quiet("a"))
    one = capture(api, "a")
    async with api.events(LOGS, follow="1") as events:
        await take(events, 1)
        one.write("a€".encode()[:3])
        (first,) = await take(events, 1)
        one.write("€b".encode()[2:])
        (second,) = await take(events, 1)
    assert (first.fields["text"], first.fields["offset"]) == ("a", 1)
    assert (second.fields["text"], second.fields["begin"], second.fields["offset"]) == ("€b", 1, 5)


async def test_hundreds_over_one_connection(serve: Serve) -> None:
    """With one task, and nothing is left of them afterwards."""
    specs = [program(f"p{number}", "true", startup=Startup.MANUAL) for number in range(200)]
    api = await serve(*specs)
    tasks = len(asyncio.all_tasks())
    async with api.events(LOGS, follow="1") as events:
        (names,) = await take(events, 1)
        assert len(names.fields["names"]) == 200  # type: ignore[arg-type]  # JSON
        assert len(asyncio.all_tasks()) <= tasks + 3
        for number in range(200):
            say(api, f"p{number}", f"{number}\n")
        assert sorted(texts(await take(events, 200))) == sorted(
            (f"p{number}", f"{number}\n") for number in range(200)
        )
    await api.house.room.until(lambda: bool(api.done))
    assert all(not capture(api, f"p{number}")._watchers for number in range(200))
    assert len(api.house.room.bus._listeners) < 9


async def test_one_log_since_then(serve: Serve) -> None:
    """The other two routes know times as well."""
    api = await serve(quiet("web"))
    for second in range(5):
        say(api, "web", f"{second}\n", at=1000.0 + second)
    path = "/api/v1/processes/web/logs/stdout"
    told = await api.get(path, wire.LogText, since="1003")
    assert (told.text, told.at, told.offset, told.remark) == ("3\n4\n", 1003.0, 10, "")
    told = await api.get(path, wire.LogText, since="1001", lines=1)
    assert told.text == "4\n"
    async with api.events(f"{path}/follow", since="1002") as events:
        (piece,) = await take(events, 1)
        assert piece.fields == {"text": "2\n3\n4\n", "offset": 10}
