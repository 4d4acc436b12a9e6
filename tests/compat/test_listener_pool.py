"""Who is told which event: readiness, order, buffers, and what comes back."""

import itertools
import json
from collections import Counter
from collections.abc import Iterable
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsvisor.compat.supervisor.listeners import pool as pool_module
from opsvisor.compat.supervisor.listeners.pool import (
    Count,
    Effect,
    PoolMemento,
    Pools,
    Say,
    Send,
)
from opsvisor.compat.supervisor.listeners.protocol import ListenerState
from opsvisor.compat.supervisor.listeners.translate import ListenerEvent
from opsvisor.core.plan import EventFeed, Group
from opsvisor.core.spec import ProcessId, ProcessSpec
from opsvisor.runtime.memory.codec import decode, encode

READY, OK, FAIL = "READY\n", "RESULT 2\nOK", "RESULT 4\nFAIL"


def group(
    name: str, *processes: str, kinds: tuple[str, ...] = ("EVENT",), buffer_size: int = 3
) -> Group:
    """A pool of these processes."""
    return Group(
        name=name,
        processes=tuple(
            ProcessSpec(id=ProcessId(name, one), program=name, command="x", argv=("x",))
            for one in processes
        ),
        feed=EventFeed(kinds=kinds, buffer_size=buffer_size),
    )


class Stage:
    """Pools, and a transcript of what happens to them and what they have done about it."""

    def __init__(self, *groups: Group) -> None:
        self.pools = Pools(server="supervisor", serials=itertools.count())
        self.lines: list[str] = []
        self.sent: list[Send] = []
        self.dropped = Counter[str]()  # by pool
        for one in groups:
            self.note(self.pools.follow(one))

    def play(self, script: str) -> str:
        """Do these steps; gives each of them with all that followed."""
        self.lines.clear()
        for step in dedent(script).strip().splitlines():
            self.lines.append(f"> {step.strip()}")
            self.note(self._do(*step.strip().split(" ", 2)))
        return "\n".join(self.lines)

    def _do(self, word: str, first: str = "", more: str = "") -> Iterable[Effect]:
        if word == "event":
            return self.pools.publish([ListenerEvent(first, more)])
        group_name, _, name = first.partition(":")
        process = ProcessId(group_name, name or group_name)
        pool = self.pools.of(process)
        assert pool is not None
        match word:
            case "begins":
                pool.run_began(process)
            case "up":
                pool.came_up(process, is_up=True)
                return pool.tell()
            case "down":
                pool.came_up(process, is_up=False)
            case "ends":
                return pool.run_ended(process)
            case "says":
                return pool.heard(process, more.replace("\\n", "\n").encode())
            case "deaf":
                return pool.not_sent(process)
            case "blocked":
                pool.blocked(process)
            case "unblocked":
                return pool.unblocked(process)
            case _:
                raise AssertionError(word)
        return []

    def note(self, effects: Iterable[Effect]) -> None:
        """Write down what is to be done."""
        for effect in effects:
            match effect:
                case Send():
                    self.sent.append(effect)
                    head = effect.text.decode().partition("\n")[0]
                    words = dict(word.split(":") for word in head.split())
                    self.lines.append(
                        f"< {effect.id}: {words['eventname']}"
                        f" {words['serial']} {words['poolserial']}"
                    )
                case Say():
                    self.lines.append(f"  {effect.level.value}: {effect.text}")
                case Count():
                    self.dropped[effect.pool] += effect.dropped


def stage(buffer_size: int = 3) -> Stage:
    """One pool of one listener that is up, and has not said that it is ready."""
    one = Stage(group("lis", "lis", buffer_size=buffer_size))
    one.play("begins lis\nup lis")
    return one


def is_played(one: Stage, transcript: str) -> None:
    """The steps of the transcript have the consequences that stand below them."""
    expected = dedent(transcript).strip()
    steps = [line[2:] for line in expected.splitlines() if line.startswith("> ")]
    assert one.play("\n".join(steps)) == expected


def test_events_wait_until_the_listener_is_ready() -> None:
    """One is told at a time, the oldest first; RESULT and READY may come in one piece."""
    is_played(
        stage(),
        r"""
        > event TICK_5 when:5
        > event TICK_5 when:10
        > says lis READY\n
          debug: lis: ACKNOWLEDGED -> READY
        < lis: TICK_5 0 0
        > says lis RESULT 2\nOK
          debug: lis: event was processed
          debug: lis: BUSY -> ACKNOWLEDGED
        > says lis READY\n
          debug: lis: ACKNOWLEDGED -> READY
        < lis: TICK_5 1 1
        > says lis RESULT 2\nOKREADY\n
          debug: lis: event was processed
          debug: lis: BUSY -> ACKNOWLEDGED
          debug: lis: ACKNOWLEDGED -> READY
        > event TICK_5 when:15
        < lis: TICK_5 2 2""",
    )


def test_nothing_is_told_outside_of_running() -> None:
    """Neither during startsecs, ready as it may be, nor while it is being stopped."""
    is_played(
        Stage(group("lis", "lis")),
        r"""
        > begins lis
        > event TICK_5 when:5
        > says lis READY\n
          debug: lis: ACKNOWLEDGED -> READY
        > up lis
        < lis: TICK_5 0 0
        > says lis RESULT 2\nOKREADY\n
          debug: lis: event was processed
          debug: lis: BUSY -> ACKNOWLEDGED
          debug: lis: ACKNOWLEDGED -> READY
        > down lis
        > event TICK_5 when:10
        > ends lis""",
    )


def test_the_envelope() -> None:
    """All fields in Supervisor's order, the payload right behind the line."""
    one = stage()
    one.play("event TICK_5 when:5\nsays lis READY\\n")
    assert one.sent[0].text == (
        b"ver:3.0 server:supervisor serial:0 pool:lis poolserial:0 eventname:TICK_5 len:6\nwhen:5"
    )


def test_the_length_is_in_characters() -> None:
    """A listener that reads text, as those of Python do, then reads just the payload."""
    one = stage()
    one.play("says lis READY\\n")
    one.note(one.pools.publish([ListenerEvent("PROCESS_LOG_STDOUT", "größer\n€")]))
    head, _, payload = one.sent[0].text.decode().partition("\n")
    assert head.endswith(" len:8")
    assert payload == "größer\n€"


def test_the_length_is_true_even_of_what_has_no_bytes() -> None:
    """Half a surrogate pair can't be written; something of the same length is."""
    one = stage()
    one.play("says lis READY\\n")
    one.note(one.pools.publish([ListenerEvent("REMOTE_COMMUNICATION", "type:a\n\ud800b")]))
    head, _, payload = one.sent[0].text.decode().partition("\n")
    assert head.endswith(f" len:{len(payload)}")
    assert payload == "type:a\n?b"


def test_the_first_ready_listener_is_told() -> None:
    """By the order of the plan; a busy one is passed over."""
    one = Stage(group("p", "a", "b", "c"))
    is_played(
        one,
        r"""
        > begins p:a
        > begins p:b
        > begins p:c
        > up p:a
        > up p:b
        > up p:c
        > says p:b READY\n
          debug: b: ACKNOWLEDGED -> READY
        > says p:c READY\n
          debug: c: ACKNOWLEDGED -> READY
        > event TICK_5 when:5
        < p:b: TICK_5 0 0
        > event TICK_5 when:10
        < p:c: TICK_5 1 1
        > event TICK_5 when:15
        > says p:a READY\n
          debug: a: ACKNOWLEDGED -> READY
        < p:a: TICK_5 2 2""",
    )


def test_a_full_buffer_drops_the_oldest() -> None:
    """And says which."""
    one = stage(buffer_size=2)
    is_played(
        one,
        r"""
        > event TICK_5 when:5
        > event TICK_5 when:10
        > event TICK_5 when:15
          error: pool lis event buffer overflowed, discarding event 0
        > says lis READY\n
          debug: lis: ACKNOWLEDGED -> READY
        < lis: TICK_5 1 1""",
    )
    pool = one.pools.of(ProcessId("lis", "lis"))
    assert pool is not None
    assert (one.dropped["lis"], pool.waiting) == (1, 1)


def test_a_rejected_event_comes_again() -> None:
    """To the head of the buffer, with the numbers it had."""
    one = stage()
    is_played(
        one,
        r"""
        > says lis READY\n
          debug: lis: ACKNOWLEDGED -> READY
        > event TICK_5 when:5
        < lis: TICK_5 0 0
        > event TICK_5 when:10
        > says lis RESULT 4\nFAILREADY\n
          warn: lis: event was rejected
          debug: rebuffering event 0 for pool lis (buf size=1, max=3)
          debug: lis: BUSY -> ACKNOWLEDGED
          debug: lis: ACKNOWLEDGED -> READY
        < lis: TICK_5 0 0
        > says lis RESULT 2\nOKREADY\n
          debug: lis: event was processed
          debug: lis: BUSY -> ACKNOWLEDGED
          debug: lis: ACKNOWLEDGED -> READY
        < lis: TICK_5 1 1""",
    )


def test_a_rejected_event_makes_room_for_itself() -> None:
    """As with Supervisor: the oldest of those that wait goes."""
    is_played(
        stage(buffer_size=1),
        r"""
        > says lis READY\n
          debug: lis: ACKNOWLEDGED -> READY
        > event TICK_5 when:5
        < lis: TICK_5 0 0
        > event TICK_5 when:10
        > says lis RESULT 4\nFAIL
          warn: lis: event was rejected
          debug: rebuffering event 0 for pool lis (buf size=1, max=1)
          error: pool lis event buffer overflowed, discarding event 1
          debug: lis: BUSY -> ACKNOWLEDGED""",
    )


def test_what_one_pool_rejects_stays_in_it() -> None:
    """Supervisor puts it into every pool of the same priority, subscribed or not."""
    one = Stage(group("p", "p", kinds=("TICK_5",)), group("q", "q", kinds=("TICK_60",)))
    one.play("begins p\nbegins q\nup p\nup q\nsays p READY\\n\nsays q READY\\n")
    is_played(
        one,
        r"""
        > event TICK_5 when:5
        < p: TICK_5 0 0
        > says p RESULT 4\nFAIL
          warn: p: event was rejected
          debug: rebuffering event 0 for pool p (buf size=0, max=3)
          debug: p: BUSY -> ACKNOWLEDGED
        > event TICK_60 when:60
        < q: TICK_60 1 0""",
    )


def test_the_event_of_a_dead_listener_goes_to_another() -> None:
    """Or waits until there is one; a new run begins by being ready."""
    is_played(
        stage(),
        r"""
        > says lis READY\n
          debug: lis: ACKNOWLEDGED -> READY
        > event TICK_5 when:5
        < lis: TICK_5 0 0
        > down lis
        > ends lis
          debug: rebuffering event 0 for pool lis (buf size=0, max=3)
        > says lis RESULT 2\nOK
        > begins lis
        > up lis
        > says lis READY\n
          debug: lis: ACKNOWLEDGED -> READY
        < lis: TICK_5 0 0""",
    )


def test_junk_makes_it_unknown() -> None:
    """Its event goes back, and it is told nothing until it is started anew."""
    unknown = (
        "lis: has entered the UNKNOWN state and will no longer receive events,"
        " this usually indicates the process violated the eventlistener protocol"
    )
    is_played(
        stage(),
        rf"""
        > says lis READY\n
          debug: lis: ACKNOWLEDGED -> READY
        > event TICK_5 when:5
        < lis: TICK_5 0 0
        > says lis hello world\n
          warn: lis: bad result line: 'hello world'
          debug: lis: BUSY -> UNKNOWN
          warn: {unknown}
          debug: rebuffering event 0 for pool lis (buf size=0, max=3)
        > says lis READY\n
        > ends lis
        > begins lis
        > up lis
        > says lis junk instead
          debug: lis: ACKNOWLEDGED -> UNKNOWN
          warn: {unknown}""",
    )


def test_a_line_that_is_no_text_is_shown_as_bytes() -> None:
    """In the log, where text is needed."""
    one = stage()
    one.play("says lis READY\\n\nevent TICK_5 when:5")
    pool = one.pools.of(ProcessId("lis", "lis"))
    assert pool is not None
    said = pool.heard(ProcessId("lis", "lis"), b"\xff\n")[0]
    assert said == Say(said.level, "lis: bad result line: 'Undecodable: b'\\xff''")  # type: ignore[union-attr]  # a Say


def test_a_kind_and_a_wider_one_tell_twice() -> None:
    """With the same numbers, as with Supervisor."""
    one = Stage(group("lis", "lis", kinds=("TICK", "TICK_5")))
    one.play("begins lis\nup lis\nsays lis READY\\n")
    is_played(
        one,
        r"""
        > event TICK_5 when:5
        < lis: TICK_5 0 0
        > says lis RESULT 2\nOKREADY\n
          debug: lis: event was processed
          debug: lis: BUSY -> ACKNOWLEDGED
          debug: lis: ACKNOWLEDGED -> READY
        < lis: TICK_5 0 0
        > event TICK_60 when:60""",
    )


def test_numbers_count_what_somebody_subscribed_to() -> None:
    """`serial` across all pools, `poolserial` within each."""
    one = Stage(group("p", "p", kinds=("TICK_5",)), group("q", "q", kinds=("TICK",)))
    one.play("begins p\nbegins q\nup p\nup q\nsays p READY\\n\nsays q READY\\n")
    is_played(
        one,
        r"""
        > event PROCESS_STATE_RUNNING x
        > event TICK_60 when:60
        < q: TICK_60 0 0
        > says q RESULT 2\nOKREADY\n
          debug: q: event was processed
          debug: q: BUSY -> ACKNOWLEDGED
          debug: q: ACKNOWLEDGED -> READY
        > event TICK_5 when:65
        < p: TICK_5 1 0
        < q: TICK_5 1 1""",
    )


def test_a_listener_whose_input_is_closed_is_passed_over() -> None:
    """It may be ready as often as it likes; the event goes to the next."""
    one = Stage(group("p", "a", "b"))
    one.play("begins p:a\nbegins p:b\nup p:a\nup p:b\nsays p:a READY\\n\nsays p:b READY\\n")
    is_played(
        one,
        r"""
        > event TICK_5 when:5
        < p:a: TICK_5 0 0
        > deaf p:a
          debug: epipe occurred while sending event 0 to listener a, listener state unchanged
          debug: rebuffering event 0 for pool p (buf size=0, max=3)
        < p:b: TICK_5 0 0
        > deaf p:a
        > event TICK_5 when:10""",
    )


def test_a_full_pipe_is_waited_for() -> None:
    """A listener that answers before it has read all gets nothing more until it has."""
    is_played(
        stage(),
        r"""
        > says lis READY\n
          debug: lis: ACKNOWLEDGED -> READY
        > event TICK_5 when:5
        < lis: TICK_5 0 0
        > blocked lis
        > says lis RESULT 2\nOKREADY\n
          debug: lis: event was processed
          debug: lis: BUSY -> ACKNOWLEDGED
          debug: lis: ACKNOWLEDGED -> READY
        > event TICK_5 when:10
        > unblocked lis
        < lis: TICK_5 1 1""",
    )


def test_news_of_a_run_that_is_over_change_nothing() -> None:
    """They were on their way when it ended."""
    one = stage()
    is_played(
        one,
        r"""
        > ends lis
        > ends lis
        > up lis
        > deaf lis
        > blocked lis
        > unblocked lis
        > says lis READY\n
        > event TICK_5 when:5""",
    )


def test_a_changed_feed_is_followed_at_once() -> None:
    """What waits stays, as far as it fits; new kinds come, old ones don't."""
    one = stage()
    one.play("event TICK_5 when:5\nevent TICK_5 when:10\nevent TICK_5 when:15")
    one.lines.clear()
    one.note(one.pools.follow(group("lis", "lis", kinds=("TICK_60",), buffer_size=2)))
    assert one.lines == ["  error: pool lis event buffer overflowed, discarding event 0"]
    assert one.pools.kinds == {"TICK_60"}
    is_played(
        one,
        r"""
        > event TICK_5 when:20
        > says lis READY\n
          debug: lis: ACKNOWLEDGED -> READY
        < lis: TICK_5 1 1""",
    )


def test_a_group_that_is_no_pool_any_more() -> None:
    """Nobody of it is told anything; unknown groups are no pools."""
    one = stage()
    one.note(one.pools.follow(Group(name="lis")))
    assert one.pools.of(ProcessId("lis", "lis")) is None
    assert one.pools.kinds == frozenset()
    assert one.play("event TICK_5 when:5") == "> event TICK_5 when:5"


def test_a_buffer_is_bounded_by_what_it_weighs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that prints without end must not fill the memory by way of a hung listener."""
    monkeypatch.setattr(pool_module, "HEAVIEST_BUFFER", 100)
    one = stage(buffer_size=1000)
    for _ in range(50):
        one.note(one.pools.publish([ListenerEvent("PROCESS_LOG_STDOUT", "x" * 30)]))
    pool = one.pools.of(ProcessId("lis", "lis"))
    assert pool is not None
    assert (pool.waiting, pool._weight, one.dropped["lis"]) == (3, 90, 47)
    one.note(one.pools.publish([ListenerEvent("PROCESS_LOG_STDOUT", "y" * 1000)]))
    assert (pool.waiting, one.dropped["lis"]) == (
        1,
        50,
    )  # one at least is kept, whatever it weighs
    one.play("says lis READY\\n")
    assert pool._weight == 0


# -- every accepted event is answered with OK once, or dropped and counted ------------------------

_STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "event",
                "ready",
                "ok",
                "fail",
                "junk",
                "dies",
                "deaf",
                "blocked",
                "unblocked",
                "stops",
            ]
        ),
        st.sampled_from(["a", "b"]),
    ),
    max_size=60,
)


@given(steps=_STEPS, buffer_size=st.integers(1, 4))
def test_no_event_is_lost_or_doubled(steps: list[tuple[str, str]], buffer_size: int) -> None:
    """Whatever listeners do: OK is said once to each event, or it is dropped, or still here."""
    one = Stage(group("p", "a", "b", buffer_size=buffer_size))
    pool = one.pools.of(ProcessId("p", "a"))
    assert pool is not None
    one.play("begins p:a\nbegins p:b\nup p:a\nup p:b")
    accepted = 0
    done: Counter[int] = Counter()
    for word, name in steps:
        process = ProcessId("p", name)
        listener = pool._listeners[process]
        has, state = listener.in_hand, listener.protocol.state
        match word:
            case "event":
                one.play(f"event REMOTE_COMMUNICATION {accepted}")
                accepted += 1
            case "ready" if state is not ListenerState.BUSY:
                one.play(f"says p:{name} READY\\n")
            case "ok" if state is ListenerState.BUSY:
                one.play(f"says p:{name} {OK}".replace("\n", "\\n"))
                done.update([has.serial] if has else [])
            case "fail" if state is ListenerState.BUSY:
                one.play(f"says p:{name} {FAIL}".replace("\n", "\\n"))
            case "junk":
                one.play(f"says p:{name} !!!!!!!!\\n")
            case "dies":
                one.play(f"down p:{name}\nends p:{name}\nbegins p:{name}\nup p:{name}")
            case "stops":
                one.play(f"down p:{name}")
            case "deaf" | "blocked" | "unblocked":
                one.play(f"{word} p:{name}")
            case _:  # an answer that nobody waits for: junk covers that
                pass
        held = [one.in_hand.serial for one in pool._listeners.values() if one.in_hand]
        waiting = [one.serial for one in pool._buffer]
        assert pool.waiting <= buffer_size
        assert pool._weight == sum(len(one.event.payload) for one in pool._buffer)
        assert all(count == 1 for count in done.values())
        here = [*done, *held, *waiting]
        assert len(here) == len(set(here)), "nothing is in two places"
        assert len(here) + one.dropped["p"] == accepted


def later(earlier: Stage, *groups: Group) -> Stage:
    """Pools of another process that go on where these are, by what is written down of them."""
    text = encode(tuple[PoolMemento, ...], earlier.pools.remember())
    one = Stage(*groups)
    one.pools.recall(decode(tuple[PoolMemento, ...], json.loads(json.dumps(text))))
    return one


# Steps of a play lose blanks at their end.
@pytest.mark.parametrize("cut", [n for n in range(len(OK) + 1) if not OK[:n].endswith(" ")])
def test_an_upgrade_in_the_middle_of_an_answer(cut: int) -> None:
    """However much of it was read: the event is done once, and the next one is told."""
    lis = group("lis", "lis")
    one = Stage(lis)
    one.play("begins lis\nup lis\nsays lis READY\\n\nevent EVENT a\nevent EVENT b")
    said = OK[:cut].replace("\n", "\\n")
    one.play(f"says lis {said}")
    other = later(one, lis)
    rest = (OK[cut:] + READY).replace("\n", "\\n")
    assert other.play(f"says lis {rest}").splitlines()[-1] == "< lis: EVENT 1 1"
    (pool,) = other.pools.remember()
    assert pool.buffer == ()


def test_an_upgrade_while_a_listener_is_ready_and_another_is_deaf() -> None:
    """The one is told, the other passed over, and numbers go on."""
    lis = group("lis", "a", "b")
    one = Stage(lis)
    one.play("begins lis:a\nbegins lis:b\nup lis:a\nup lis:b\nsays lis:a READY\\n")
    one.play("says lis:b READY\\n\ndeaf lis:a\nevent EVENT x")
    assert [sent.id.name for sent in one.sent] == ["b"]
    other = later(one, lis)
    other.play("event EVENT y\nsays lis:b RESULT 4\\nFAIL\nsays lis:b READY\\n")
    assert [(sent.id.name, b"poolserial:0" in sent.text) for sent in other.sent] == [("b", True)]
    (pool,) = other.pools.remember()
    assert pool.next_serial == 2


def test_the_buffer_of_a_pool_that_is_gone_is_forgotten() -> None:
    """The plan of the other process may lack it."""
    one = stage()
    one.play("event EVENT a")
    assert later(one).pools.remember() == ()
