"""Facts of the core in Supervisor's words, to the letter."""

import pytest

from opsvisor.compat.supervisor.listeners.ticks import LONGEST_WAIT, Ticks
from opsvisor.compat.supervisor.listeners.translate import (
    Groups,
    ListenerEvent,
    group_added,
    group_removed,
    printed,
    remote,
    state_changed,
    supervisor_state_changed,
)
from opsvisor.core.events import StateChanged, SupervisorState, SupervisorStateChanged
from opsvisor.core.plan import PlanDiff
from opsvisor.core.spec import Pid, ProcessId
from opsvisor.core.state import TRANSITIONS, PublicState
from opsvisor.runtime.logs.stream import Stream
from opsvisor.runtime.output import Output

_P = PublicState
WEB = ProcessId("site", "web")


def changed(old: PublicState, new: PublicState, pid: int | None = None, tries: int = 0) -> str:
    """The payload of this change, after an exit that was expected."""
    told = state_changed(
        StateChanged(
            at=0.0,
            id=WEB,
            old=old,
            new=new,
            reason="",
            pid=None if pid is None else Pid(pid),
            failed_starts=tries,
        ),
        expected=True,
    )
    assert told.name == f"PROCESS_STATE_{new.name}"
    return told.payload.removeprefix("processname:web groupname:site ")


@pytest.mark.parametrize(
    ("old", "new", "pid", "tries", "payload"),
    [
        (_P.STOPPED, _P.STARTING, None, 0, "from_state:STOPPED tries:0"),
        (_P.BACKOFF, _P.STARTING, None, 2, "from_state:BACKOFF tries:2"),
        (_P.STARTING, _P.BACKOFF, 7, 1, "from_state:STARTING tries:1"),
        (_P.STARTING, _P.RUNNING, 7, 0, "from_state:STARTING pid:7"),
        (_P.RUNNING, _P.STOPPING, 7, 0, "from_state:RUNNING pid:7"),
        (_P.STOPPING, _P.STOPPED, 7, 0, "from_state:STOPPING pid:7"),
        (_P.BACKOFF, _P.STOPPED, None, 3, "from_state:BACKOFF pid:0"),
        (_P.RUNNING, _P.EXITED, 7, 0, "from_state:RUNNING expected:1 pid:7"),
        (_P.BACKOFF, _P.FATAL, None, 4, "from_state:BACKOFF"),
        (_P.STOPPING, _P.UNKNOWN, 7, 0, "from_state:STOPPING"),
        # Moves that Supervisor has not, told as what they are.
        (_P.EXITED, _P.BACKOFF, None, 0, "from_state:EXITED tries:0"),
        (_P.STARTING, _P.EXITED, 7, 0, "from_state:STARTING expected:1 pid:7"),
    ],
)
def test_states(
    old: PublicState, new: PublicState, pid: int | None, tries: int, payload: str
) -> None:
    """What is told depends on the state that was entered."""
    assert changed(old, new, pid, tries) == payload


def test_every_move_of_the_core_has_a_payload() -> None:
    """With the fields that listeners look for in this kind of event, and no others."""
    fields = {
        _P.STARTING: ["from_state", "tries"],
        _P.BACKOFF: ["from_state", "tries"],
        _P.RUNNING: ["from_state", "pid"],
        _P.STOPPING: ["from_state", "pid"],
        _P.STOPPED: ["from_state", "pid"],
        _P.EXITED: ["from_state", "expected", "pid"],
        _P.FATAL: ["from_state"],
        _P.UNKNOWN: ["from_state"],
    }
    for old, news in TRANSITIONS.items():
        for new in news:
            words = changed(old, new).split(" ")
            assert [word.partition(":")[0] for word in words] == fields[new]


def test_an_unexpected_exit() -> None:
    """It is what superlance's crashmail looks for."""
    event = StateChanged(
        at=0.0, id=WEB, old=_P.RUNNING, new=_P.EXITED, reason="", pid=Pid(7), failed_starts=0
    )
    assert "expected:0" in state_changed(event, expected=False).payload


def output(text: bytes, stream: Stream = Stream.STDOUT, *, is_message: bool = False) -> Output:
    """What web printed."""
    return Output(WEB, Pid(7), stream, text, is_message=is_message)


@pytest.mark.parametrize(
    ("printed_text", "payload"),
    [
        (b"hi\n", "hi\n"),
        ("größer".encode(), "größer"),
        (b"", ""),
        (b"a\xffb\n", "Undecodable: b'a\\xffb\\n'"),
    ],
)
def test_output(printed_text: bytes, payload: str) -> None:
    """As text, or as what Python shows of bytes."""
    head = "processname:web groupname:site pid:7"
    assert printed(output(printed_text)) == ListenerEvent(
        "PROCESS_LOG_STDOUT", f"{head} channel:stdout\n{payload}"
    )
    assert printed(output(printed_text, Stream.STDERR)) == ListenerEvent(
        "PROCESS_LOG_STDERR", f"{head} channel:stderr\n{payload}"
    )
    assert printed(output(printed_text, is_message=True)) == ListenerEvent(
        "PROCESS_COMMUNICATION_STDOUT", f"{head}\n{payload}"
    )
    assert printed(output(printed_text, Stream.STDERR, is_message=True)) == ListenerEvent(
        "PROCESS_COMMUNICATION_STDERR", f"{head}\n{payload}"
    )


def test_the_rest() -> None:
    """Groups end their line, as nothing else does."""
    assert group_added("site") == ListenerEvent("PROCESS_GROUP_ADDED", "groupname:site\n")
    assert group_removed("site") == ListenerEvent("PROCESS_GROUP_REMOVED", "groupname:site\n")
    assert remote("deploy", "v 2") == ListenerEvent("REMOTE_COMMUNICATION", "type:deploy\nv 2")


@pytest.mark.parametrize(
    ("old", "new", "is_told"),
    [
        (SupervisorState.STARTING, SupervisorState.RUNNING, False),
        (SupervisorState.RUNNING, SupervisorState.STOPPING, True),
        (SupervisorState.RUNNING, SupervisorState.RELOADING, True),
        (SupervisorState.RELOADING, SupervisorState.STOPPING, False),
    ],
)
def test_the_end_is_told_once(
    old: SupervisorState, new: SupervisorState, *, is_told: bool
) -> None:
    """Also where an exit overtakes a reload."""
    event = SupervisorStateChanged(at=0.0, old=old, new=new, reason="")
    told = [ListenerEvent("SUPERVISOR_STATE_CHANGE_STOPPING", "")] if is_told else []
    assert supervisor_state_changed(event) == told


def test_a_group_is_gone_with_its_last_process() -> None:
    """Not when it left the plan: its processes are still being stopped then."""
    groups = Groups()
    one, two = ProcessId("g", "one"), ProcessId("g", "two")
    assert groups.plan_applied(PlanDiff(groups_added=("g",))) == (frozenset({"g"}), [])
    groups.process_added(one)
    groups.process_added(two)
    assert groups.plan_applied(PlanDiff(groups_removed=("g",))) == (frozenset(), [])
    assert groups.process_removed(one) == []
    assert groups.process_removed(two) == ["g"]
    assert groups.plan_applied(PlanDiff(groups_added=("g",))) == (frozenset({"g"}), [])


def test_a_group_that_comes_back_was_never_gone() -> None:
    """It had been taken out of the plan, and was put back before it was down."""
    groups = Groups()
    groups.plan_applied(PlanDiff(groups_added=("g",)))
    groups.process_added(WEB)
    groups.process_added(ProcessId("g", "one"))
    groups.plan_applied(PlanDiff(groups_removed=("g",)))
    assert groups.plan_applied(PlanDiff(groups_added=("g",))) == (frozenset(), [])
    assert groups.process_removed(ProcessId("g", "one")) == []


def test_a_group_without_processes() -> None:
    """It is gone at once."""
    groups = Groups()
    groups.plan_applied(PlanDiff(groups_added=("g",)))
    assert groups.plan_applied(PlanDiff(groups_removed=("g",))) == (frozenset(), ["g"])


def test_a_process_that_leaves_a_group_that_stays() -> None:
    """The group stays."""
    groups = Groups()
    groups.plan_applied(PlanDiff(groups_added=("site",)))
    groups.process_added(WEB)
    assert groups.process_removed(WEB) == []


# -- ticks -------------------------------------------------------------------------------------

NOON = 1_000_000_800.0  # a multiple of 3600


def ticking(*kinds: str, now: float = NOON + 2.5) -> Ticks:
    """Ticks for who subscribed to these kinds."""
    ticks = Ticks()
    ticks.want(frozenset(kinds), now)
    return ticks


@pytest.mark.parametrize(
    ("kinds", "wait"),
    [
        (["TICK_5"], 2.5),
        (["TICK_60"], 57.5),
        (["TICK_3600"], LONGEST_WAIT),  # the clock may be set meanwhile
        (["TICK"], 2.5),
        (["EVENT", "TICK_60"], 2.5),
        (["PROCESS_STATE"], None),
        ([], None),
    ],
)
def test_nobody_is_woken_for_ticks_that_nobody_wants(kinds: list[str], wait: float | None) -> None:
    """Neither by kinds of events that have nothing to do with time."""
    assert ticking(*kinds).wait(NOON + 2.5) == wait


def test_ticks_come_at_multiples_of_the_wall_clock() -> None:
    """Not at so many seconds after the start."""
    ticks = ticking("TICK")
    assert ticks.due(NOON + 4.99) == []
    assert ticks.due(NOON + 5.01) == [ListenerEvent("TICK_5", f"when:{NOON + 5:.0f}")]
    assert ticks.due(NOON + 9) == []
    assert [event.name for event in ticks.due(NOON + 60)] == ["TICK_5", "TICK_60"]
    assert [event.name for event in ticks.due(NOON + 3600)] == ["TICK_5", "TICK_60", "TICK_3600"]


def test_a_jump_of_the_clock_is_one_tick() -> None:
    """Forward or back: nobody is flooded with what was missed."""
    ticks = ticking("TICK_5")
    assert len(ticks.due(NOON + 1_000_000)) == 1
    assert len(ticks.due(NOON)) == 1
    assert ticks.due(NOON + 1) == []


def test_ticks_go_on_while_subscriptions_change() -> None:
    """A new subscriber waits for the next multiple; others are due when they were."""
    ticks = ticking("TICK_5")
    ticks.want(frozenset({"TICK_5", "TICK_60"}), NOON + 6)
    assert [event.payload for event in ticks.due(NOON + 6)] == [f"when:{NOON + 5:.0f}"]
    ticks.want(frozenset({"TICK_60"}), NOON + 7)
    assert [event.name for event in ticks.due(NOON + 60)] == ["TICK_60"]
