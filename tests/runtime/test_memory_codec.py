"""What a memory and a hand-over are made of: values as JSON, and back."""

import json
from enum import Enum
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsvisor.core.events import Event, StateChanged
from opsvisor.core.memento import ProbeMemento, ProcessMemento
from opsvisor.core.outcome import ExitCause, Outcome, Usage
from opsvisor.core.record import Record
from opsvisor.core.restart import Tally
from opsvisor.core.spec import (
    LinearBackoff,
    Pid,
    ProcessId,
    ProcessSpec,
    RestartPolicy,
    TcpSocketSpec,
    UnixSocketSpec,
)
from opsvisor.core.state import PublicState, Running, State, StopCause, Stopped, Stopping
from opsvisor.core.struct import Struct, replace
from opsvisor.runtime.adoption import RunMemento
from opsvisor.runtime.ledger import LedgerMemento
from opsvisor.runtime.memory.codec import Undecodable, decode, encode, in_json
from opsvisor.runtime.post_mortem import FinishedRun
from opsvisor.runtime.proctree import NOTHING
from opsvisor.runtime.sampler import ProcessSpentMemento
from opsvisor.telemetry.rows import CountsMemento


class Colour(Enum):
    """A text for a value."""

    RED = "red"


class Point(NamedTuple):
    """A named tuple, as `Spent` is one."""

    x: float
    y: float = 1.0


class Everything(Struct, frozen=True, kw_only=True):
    """One field of each kind."""

    number: int
    pid: Pid
    share: float = 0.5
    text: str = ""
    raw: bytes = b""
    colour: Colour = Colour.RED
    maybe: str | None = None
    places: tuple[Point, ...] = ()
    pair: tuple[int, str] = (0, "")
    one_of: frozenset[int] = frozenset()
    by_colour: dict[Colour, int] | None = None
    by_id: dict[ProcessId, tuple[int, ...]] | None = None
    socket: UnixSocketSpec | TcpSocketSpec | None = None


EVERYTHING = Everything(
    number=7,
    pid=Pid(4211),
    share=0.25,
    text="ä\udcff\0",
    raw=b"\xff\0",
    maybe="x",
    places=(Point(1.0), Point(2.0, 3.0)),
    pair=(1, "one"),
    one_of=frozenset({3, 1, 2}),
    by_colour={Colour.RED: 1},
    by_id={ProcessId("g", "n"): (1, 2)},
    socket=TcpSocketSpec(host="::1", port=80),
)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


def through_json(kind: Any, value: Any) -> Any:
    """The value, written and read again."""
    return decode(kind, json.loads(json.dumps(encode(kind, value))))


def test_every_kind_of_field_comes_back() -> None:
    """Also texts that have no bytes, and mappings by things that are no texts."""
    assert through_json(Everything, EVERYTHING) == EVERYTHING
    assert through_json(Everything, Everything(number=0, pid=Pid(1))) == Everything(
        number=0, pid=Pid(1)
    )


@settings(max_examples=25)
@given(st.data())
@pytest.mark.parametrize("kind", [ProcessSpec, State, ProcessMemento])
def test_anything_the_core_has_comes_back(kind: Any, data: st.DataObject) -> None:
    """A spec is compared with the one in the configuration: it must be the same to the letter."""
    # Without the one number that isn't the same as itself.
    st.register_type_strategy(float, st.floats(allow_nan=False))
    value = data.draw(st.from_type(kind))
    assert through_json(kind, value) == value


@settings(max_examples=25)
@given(st.data())
@pytest.mark.parametrize(
    "kind", [ProcessMemento, ProcessSpec, State, CountsMemento, ProcessSpentMemento, FinishedRun]
)
def test_what_is_written_at_once_is_the_same(kind: Any, data: st.DataObject) -> None:
    """By either way, the same is read: in ASCII, and in one line."""
    st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
    value = data.draw(st.from_type(kind))
    text = in_json(kind, value)
    written = json.loads(text)
    assert decode(kind, written) == value
    assert is_part_of(written, encode(kind, value))
    assert text.isascii()
    assert b"\n" not in text


LEFT_OUT = (
    CountsMemento,
    FinishedRun,
    LedgerMemento,
    Outcome,
    ProbeMemento,
    ProcessMemento,
    ProcessSpentMemento,
    Record,
    RunMemento,
    Tally,
    Usage,
)


def is_part_of(some: Any, whole: Any) -> bool:
    """Whether it is the same but for members of objects that are left out, or told by place."""
    if isinstance(some, list) and isinstance(whole, dict):
        whole = list(whole.values())
    if isinstance(some, dict) and isinstance(whole, dict):
        return all(name in whole and is_part_of(some[name], whole[name]) for name in some)
    if isinstance(some, list) and isinstance(whole, list):
        return len(some) == len(whole) and all(map(is_part_of, some, whole))
    return bool(some == whole)


def test_what_is_left_out_means_what_it_always_meant() -> None:
    """A memory of any earlier version may leave these out. None of them is ever to be changed."""
    told = {
        kind.__name__: {
            field.name: field.default
            for field in msgspec.structs.fields(kind)
            if field.default is not msgspec.NODEFAULT
        }
        for kind in LEFT_OUT
    }
    assert told == {
        "CountsMemento": {
            "restarts": (),
            "starts": 0,
            "spawn_failures": 0,
            "exited_at": 0.0,
            "last_outcome": None,
            "spawned_at": None,
            "is_running": False,
            "has_to_pass": False,
            "ready_duration": None,
        },
        "FinishedRun": {"oom_killed": False, "stdout_tail": (), "stderr_tail": ()},
        "LedgerMemento": {"finished": NOTHING, "living": (), "gone": NOTHING, "told": NOTHING},
        "Outcome": {"code": None, "signum": None, "core_dumped": False},
        "ProbeMemento": {
            "passing": None,
            "has_passed": False,
            "successes": 0,
            "failures": 0,
            "detail": "",
            "attempts": 0,
            "failures_total": 0,
            "duration": None,
        },
        "ProcessMemento": {
            "is_untouched": False,
            "flapping": False,
            "next_spec": None,
            "probes": (),
            "complaint": "",
            "is_doomed": False,
        },
        "ProcessSpentMemento": {
            "throttling": None,
            "last_root": None,
            "orphans": (),
            "outside": None,
        },
        "Record": {
            "reason": "not started yet",
            "started": None,
            "ended": None,
            "starts": 0,
            "restarts": 0,
            "retry_delay": None,
            "spawn_error": "",
            "last_outcome": None,
            "last_cause": None,
            "last_expected": False,
            "last_oom_killed": False,
            "last_signal_asked": False,
            "asked_signum": 0,
            "running_seconds": 0.0,
            "expected_seconds": 0.0,
            "accounted_to": 0.0,
        },
        "RunMemento": {
            "pid": 0,
            "born": 0,
            "is_intended": False,
            "intended_at": 0,
            "stdout": (),
            "stderr": (),
            "stdin": None,
        },
        "Tally": {"failed_starts": 0, "failures": 0, "restarts": ()},
        "Usage": {
            "user_seconds": 0.0,
            "system_seconds": 0.0,
            "max_rss_bytes": 0,
            "major_faults": 0,
            "voluntary_switches": 0,
            "involuntary_switches": 0,
        },
    }
    assert not any(
        field.default_factory is not msgspec.NODEFAULT
        for kind in LEFT_OUT
        for field in msgspec.structs.fields(kind)
    )


def test_a_named_tuple_may_be_told_by_names_or_by_places() -> None:
    """Those that one side does not know are passed over, or are as usual."""
    assert in_json(Point, Point(2.0, 3.0)) == b"[2.0,3.0]"
    for text in ({"x": 2.0, "y": 3.0}, [2.0, 3.0], {"x": 2.0, "y": 3.0, "z": 0}, [2.0, 3.0, 0]):
        assert decode(Point, text) == Point(2.0, 3.0)
    for text in ({"x": 2.0}, [2.0]):
        assert decode(Point, text) == Point(2.0)
    with pytest.raises(Undecodable, match="x is missing"):
        decode(Point, [])
    with pytest.raises(Undecodable, match="no ProcessMemento"):
        decode(ProcessMemento, [])


def test_what_is_written_often_is_written_as_far_as_it_is_not_as_usual() -> None:
    """Half of what a memory has to take at each change of a process."""
    tally = Tally(failures=3)
    assert json.loads(in_json(Tally, tally)) == {"failures": 3}
    assert decode(Tally, {"failures": 3}) == tally


def test_a_variant_says_which_it_is() -> None:
    """In the words of both ways."""
    for state in (
        Stopped(),
        Running(Pid(7), 1.5, None),
        Stopping(Pid(7), 1.0, 2.0, StopCause.MANUAL),
    ):
        assert json.loads(in_json(State, state)) == encode(State, state)


@pytest.mark.parametrize("number", [7, -(2**63), 2**64, 10**30])
def test_every_kind_of_field_is_written_at_once(number: int) -> None:
    """With numbers of any size, and texts that have no bytes."""
    for text in ("ä\udcff\0", "ä", "\x7f\u2028", "plain"):
        value = replace(EVERYTHING, number=number, text=text)
        written = json.loads(in_json(Everything, value))
        assert written.keys() == encode(Everything, value).keys()
        assert is_part_of(written, encode(Everything, value))
        assert decode(Everything, written) == value
        assert in_json(Everything, value).isascii()


def test_an_event_comes_back() -> None:
    """As part of a hand-over."""
    event = StateChanged(
        at=1.5,
        id=ProcessId("g", "n"),
        old=PublicState.STARTING,
        new=PublicState.RUNNING,
        reason="up for 1 s",
        pid=Pid(7),
    )
    assert through_json(Event, event) == event


def test_the_same_set_is_the_same_text() -> None:
    """Whatever order it happens to be in: what is written is compared with what was."""
    assert encode(frozenset[str], frozenset("abc")) == ["a", "b", "c"]


def test_what_is_missing_has_its_default_and_what_is_unknown_is_passed_over() -> None:
    """So another version can be read, as long as what it wrote means the same."""
    written = encode(Outcome, Outcome(code=3))
    del written["core_dumped"]
    assert decode(Outcome, {**written, "colour": "red"}) == Outcome(code=3)


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        (int, True, "is not a whole number"),
        (int, 1.5, "is not a whole number"),
        (str, 3, "is not a text"),
        (bool, 1, "is not true or false"),
        (bytes, "?", "is not base64"),
        (float, "1", "is not a number"),
        (ExitCause, "tired", "'tired' is no ExitCause"),
        (ExitCause, [], "is no ExitCause"),
        (tuple[int, ...], {}, "is no array"),
        (tuple[int, int], [1], "is not 2 values"),
        (dict[str, int], [], "is no mapping"),
        (ProcessId, [], "is no ProcessId"),
        (ProcessId, {"group": "g"}, "name is missing"),
        (Running, {"pid": "x", "started_at": 0, "settled_at": None}, "pid: 'x' is not a whole"),
        (State, {"is": "Walking"}, "is none of Stopped, Spawning"),
        (State, {}, "is none of"),
        (RestartPolicy | None, 3, "is no RestartPolicy"),
        (LinearBackoff, {"step": "x" * 1000}, f"step: '{'x' * 40}' is not a number"),
        (Record, {}, "since is missing"),
        (LinearBackoff, {"step": 10**400}, "int too large to convert to float"),
    ],
)
def test_what_is_no_such_value_is_refused(kind: Any, text: Any, says: str) -> None:
    """With the way to where it is, and in a few words however long it is."""
    with pytest.raises(Undecodable) as refused:
        decode(kind, text)
    assert says in str(refused.value)
    assert len(str(refused.value)) < 200


@settings(max_examples=50)
@given(ANY_JSON)
def test_anything_else_is_refused_and_nothing_else_happens(text: Any) -> None:
    """Whatever JSON there may be, it is a value or it is Undecodable."""
    for kind in (ProcessSpec, ProcessMemento, State, Event, tuple[Outcome, ...]):
        try:
            decode(kind, text)
        except Undecodable:
            continue


def test_what_nobody_thought_of_can_not_be_written() -> None:
    """It shows in the first test that has such a field, not in a crash."""
    with pytest.raises(TypeError, match="no way to write"):
        encode(complex, 1j)
    with pytest.raises(TypeError, match="no way to write"):
        encode(type, Stopped)
