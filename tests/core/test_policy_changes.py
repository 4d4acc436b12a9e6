"""A change of what decides about delays and restarts holds at once, in whatever state."""

from inspect import cleandoc
from typing import Any

import pytest
from programs import program
from world import World

from opsvisor.core.probes import ExecProbe, ProbeSpec
from opsvisor.core.restart import in_seconds
from opsvisor.core.spec import (
    ExitSet,
    FlappingPolicy,
    LinearBackoff,
    RestartLimit,
    RestartMode,
)


def world(before: dict[str, Any], after: dict[str, Any]) -> World:
    """A program, and `v2`: the plan in which it is as `after` has it."""
    return World(program("web", **before)).knows("v2", program("web", **(before | after)))


def test_a_shorter_min_uptime_holds_for_what_is_starting() -> None:
    """Counted from its start, so it may be over by now."""
    told = world({"min_uptime": 3600.0}, {"min_uptime": 1.0}).play(
        "start web; spawned; +5; apply v2; +0"
    )
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +5
    > apply v2                changed: min_uptime
    > +0                      STARTING -> RUNNING  up for 1 s
    """)


def test_a_longer_min_uptime_holds_for_what_is_starting() -> None:
    """It is up no sooner than is said."""
    told = world({"min_uptime": 3.0}, {"min_uptime": 100.0}).play(
        "start web; spawned; +1; apply v2; +99"
    )
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1
    > apply v2                changed: min_uptime
    > +99                     STARTING -> RUNNING  up for 100 s
    """)


def test_a_shorter_kill_delay_holds_for_what_is_stopping() -> None:
    """Counted from its stop; and from the last SIGKILL if there was one."""
    told = world({"kill_delay": 3600.0}, {"kill_delay": 6.0}).play(
        "start web; spawned; +1; stop web; +5; apply v2; +0.5; +0.5; +6"
    )
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > stop web
    < TERM group 100          RUNNING -> STOPPING  stop requested (manual)
    < CONT group 100
    > +5
    > apply v2                changed: stop
    > +0.5
    > +0.5
    < KILL group 100
    > +6
    < KILL group 100          survived SIGKILL 1
    """)


def test_failures_are_forgotten_when_the_new_policy_says() -> None:
    """A shorter backoff_reset counts from the start of the run."""
    told = world({"backoff_reset": 3600.0}, {"backoff_reset": 10.0}).play(
        "start web; spawned; +1; exit 100 1; spawned; +5; apply v2; +4; +1"
    )
    assert told.splitlines()[-3:] == [
        "> apply v2                changed: restart",
        "> +4",
        "> +1                      failures forgotten: 1",
    ]


@pytest.mark.parametrize(
    "after",
    [{"min_uptime": 0.0}, {"fatal_retry_delay": 2.0}, {"run_backoff": LinearBackoff(step=9.0)}],
    ids=["min_uptime", "fatal_retry_delay", "run_backoff"],
)
def test_a_change_of_policy_has_what_is_fatal_tried_again(after: dict[str, Any]) -> None:
    """It may be what it was waiting for, as a change of its command would be."""
    in_fatal = world({"mode": RestartMode.NO, "fatal_retry_delay": None}, after)
    in_fatal.play("start web; no spawn")
    assert in_fatal.view("web").state.value == "FATAL"
    told = in_fatal.play("apply v2")
    assert told.endswith("< spawn web               FATAL -> STARTING    start requested")


def test_words_about_flapping_start_nothing() -> None:
    """They decide nothing."""
    in_fatal = world(
        {"mode": RestartMode.NO}, {"flapping": FlappingPolicy(count=9, interval=60.0)}
    )
    in_fatal.play("start web; no spawn")
    assert in_fatal.play("apply v2; +100") == cleandoc("""
    > apply v2                changed: restart
    > +100
    """)


def test_shorter_delays_have_what_waits_tried_at_once() -> None:
    """As a changed command does."""
    hour = LinearBackoff(step=3600.0)
    told = world({"start_backoff": hour}, {"start_backoff": LinearBackoff(step=1.0)}).play(
        "start web; no spawn; +5; apply v2"
    )
    assert told.splitlines()[-2:] == [
        "> apply v2                changed: restart",
        "< spawn web               BACKOFF -> STARTING  start requested",
    ]


def test_no_restart_is_made_where_restarts_are_off_by_now() -> None:
    """`no` never starts again, not even what had been promised before; nobody misses it."""
    waiting = world({"run_backoff": LinearBackoff(step=60.0)}, {"mode": RestartMode.NO})
    told = waiting.play(
        "start web; spawned; +1; exit 100 1; spawned; +1; exit 101 1; apply v2; +100"
    )
    assert told.splitlines()[-3:] == [
        "> apply v2                changed: restart",
        f"{'':26}BACKOFF -> STOPPED   restart is off by now",
        "> +100",
    ]
    assert not waiting.view("web").expected_running


def test_a_failed_start_is_retried_where_supervisor_retries_it() -> None:
    """Whatever autorestart says."""
    before = {"early_exit_fails": True, "start_backoff": LinearBackoff(step=60.0)}
    failed = world(before, {"mode": RestartMode.NO})
    told = failed.play("start web; spawned; exit 100 1; apply v2")
    assert told.endswith("< spawn web               BACKOFF -> STARTING  start requested")


def test_how_an_earlier_run_ended_says_nothing_of_a_failed_start() -> None:
    """It is tried again, though that one was a success."""
    failed = world({}, {"min_uptime": 0.5})
    told = failed.play("start web; spawned; +1; exit 100 0; start web; no spawn; apply v2")
    assert told.endswith("< spawn web               BACKOFF -> STARTING  start requested")


def test_a_corrected_probe_has_what_is_fatal_tried_again() -> None:
    """It was given up for what the old one said."""
    probe = ProbeSpec(handler=ExecProbe(argv=("wrong",)), failure_threshold=1)
    right = ProbeSpec(handler=ExecProbe(argv=("right",)), failure_threshold=1)
    given_up = world(
        {"liveness_probe": probe, "limit": RestartLimit(count=0, interval=60.0)},
        {"liveness_probe": right},
    )
    given_up.play("start web; spawned; +1; probe web liveness fails; killed 100 TERM")
    assert given_up.view("web").state.value == "FATAL"
    told = given_up.play("apply v2")
    assert told.endswith("< spawn web               FATAL -> STARTING    start requested")


COMES_WHILE_STOPPING = pytest.mark.parametrize(
    "steps",
    ["apply v2; +5; apply v3", "stop web; +5; apply v3", "apply v3; +5; apply v2; apply v3"],
)


def stopping_with(kill_delay: float, coming: float) -> World:
    """A program that is up. `v2` changes its command as well, and `v3` also has `coming`."""
    one = program("web", kill_delay=kill_delay)
    two = program("web", argv=("run", "v2"), kill_delay=kill_delay)
    three = program("web", argv=("run", "v2"), kill_delay=coming)
    up = World(one).knows("v2", two).knows("v3", three)
    up.play("start web; spawned; +1")
    return up


@COMES_WHILE_STOPPING
def test_a_stop_has_a_shorter_kill_delay_that_comes(steps: str) -> None:
    """Also where the change as a whole waits for the end of the run."""
    stopping = stopping_with(3600.0, coming=2.0)
    assert "< KILL group 100" in stopping.play(f"{steps}; +2")


@COMES_WHILE_STOPPING
def test_a_stop_has_a_longer_kill_delay_that_comes(steps: str) -> None:
    """Counted from its stop: who gives a program more time to end means the one that is ending."""
    stopping = stopping_with(10.0, coming=60.0)
    assert "< KILL group 100" not in stopping.play(f"{steps}; +54")
    assert "< KILL group 100" in stopping.play("+1")


@pytest.mark.parametrize("up", ["start web; spawned; +1", "start web; spawned; +0.5", "start web"])
@pytest.mark.parametrize(("before", "after"), [(3600.0, 6.0), (6.0, 60.0)])
def test_the_stop_for_a_change_has_the_kill_delay_that_came_with_it(
    up: str, before: float, after: float
) -> None:
    """And not the one that it replaces."""
    changed = program("web", argv=("run", "v2"), kill_delay=after)
    stopping = World(program("web", kill_delay=before)).knows("v2", changed)
    began = "spawned" if up == "start web" else "+0"
    stopping.play(f"{up}; apply v2; {began}")
    assert "KILL" not in stopping.play(f"+{after - 1:g}")
    assert "< KILL group 100" in stopping.play("+1")


@pytest.mark.parametrize(
    ("before", "after", "is_started"),
    [
        ({}, {"mode": RestartMode.ALWAYS}, True),
        ({}, {"success": ExitSet(codes=frozenset({7}))}, True),
        ({}, {"fatal_retry_delay": 5.0}, False),
        ({}, {"min_uptime": 0.5}, False),
        ({"mode": RestartMode.NO}, {"mode": RestartMode.ON_FAILURE}, False),
    ],
)
def test_a_job_that_is_done_is_done_again_only_if_its_policy_says(
    before: dict[str, Any], after: dict[str, Any], *, is_started: bool
) -> None:
    """Another delay is no reason; restarts after every end are."""
    done = world(before, after)
    done.play("start web; spawned; +1; exit 100 0; apply v2")
    assert done.view("web").state.value == ("STARTING" if is_started else "EXITED")


def test_a_policy_that_finds_less_normal_begins_flapping() -> None:
    """With the restarts of before."""
    told = world(
        {"flapping": FlappingPolicy(count=10, interval=60.0)},
        {"flapping": FlappingPolicy(count=0, interval=60.0)},
    ).play("start web; spawned; +1; exit 100 1; spawned; +1; apply v2")
    assert told.splitlines()[-2:] == [
        "> apply v2                changed: restart",
        "                          flapping begins: 1 restarts in 60 s",
    ]


def test_what_was_stopped_stays_stopped() -> None:
    """Nobody wants it up, whatever its policy is."""
    down = world({}, {"mode": RestartMode.ALWAYS, "min_uptime": 0.0})
    down.play("start web; spawned; +1; stop web; killed 100 TERM; apply v2")
    assert down.view("web").state.value == "STOPPED"


@pytest.mark.parametrize(
    ("delay", "text"),
    [
        (0.53125, "0.531 s"),
        (30.0, "30 s"),
        (999.71234, "1000 s"),
        (3877.71234, "3878 s"),
        (2592e3, "2592000 s"),
    ],
)
def test_delays_are_told_without_exponents(delay: float, text: str) -> None:
    """An hour is more than three digits."""
    assert in_seconds(delay) == text


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        (0.0, "0 s"),
        (0.25, "0.25 s"),
        (12.345, "12.345 s"),
        (3600.5, "3600.5 s"),
        (315360000.0, "315360000 s"),
    ],
)
def test_settings_are_told_as_they_were_written(setting: float, text: str) -> None:
    """Rounded, a setting would be another one."""
    assert in_seconds(setting) == text
