"""Seconds that were meant to be up, and seconds that were: exact, whatever happens between."""

import pytest
from programs import program
from world import World

from opsvisor.core.spec import RestartMode, Startup


def seconds(world: World, name: str = "web") -> tuple[float, float]:
    """Running and expected seconds of a process, as shown now."""
    view = world.view(name)
    return round(view.running_seconds, 6), round(view.expected_seconds, 6)


def test_availability_is_exact_through_a_life() -> None:
    """Expected from start to stop; running while RUNNING; STARTING and BACKOFF cost."""
    world = World(program("web"))
    world.play("+5")
    assert seconds(world) == (0, 0)
    world.play("start web; +0.25; spawned; +1")
    assert seconds(world) == (0, 1.25)
    world.play("+10")
    assert seconds(world) == (10, 11.25)
    world.play("exit 100 1; spawned; exit 101 1; +1; spawned; +3")
    assert seconds(world) == (12, 15.25)
    world.play("stop web; +2; killed 102 TERM; +100")
    assert seconds(world) == (12, 15.25)


def test_a_restart_costs_what_it_takes() -> None:
    """STOPPING for a restart or for a change is time in which it should have been up."""
    world = World(program("web"))
    world.play("start web; spawned; +11; restart web; +2; exit 100 0; spawned; +11")
    assert seconds(world) == (20, 24)


def test_a_success_is_no_absence() -> None:
    """EXITED with success counts as done; EXITED by failure counts as missing."""
    world = World(program("web"), program("job", mode=RestartMode.NO))
    world.play("start web; spawned; start job; spawned; +11; exit 100 0; exit 101 1; +5")
    assert seconds(world) == (10, 11)
    assert seconds(world, "job") == (10, 16)
    assert not world.view("web").expected_running
    assert world.view("job").expected_running


def test_fatal_counts_as_missing() -> None:
    """Given up, but wanted: that is what the alert is for."""
    world = World(program("web", failed_starts_max=0, fatal_retry_delay=None))
    world.play("start web; no spawn; +7")
    assert seconds(world) == (0, 7)
    assert world.view("web").expected_running


def test_what_left_the_plan_is_not_missing_even_if_it_returns() -> None:
    """The time between leaving and returning is not held against it."""
    spec = program("web", startup=Startup.ENABLED)
    world = World(spec).knows("none").knows("v1", spec)
    world.play("spawned; +2; apply none; +5; apply v1; +3")
    assert seconds(world) == (1, 5)
    assert world.view("web").expected_running


def test_nobody_expects_anything_of_a_shutdown() -> None:
    """From the moment its turn to stop has come, a process is not missing."""
    world = World(program("db"), program("web"), priorities={"db": 1})
    world.play("start db; start web; spawned of db; spawned of web; +2; shutdown; +3")
    assert seconds(world, "web") == (1, 2)
    assert seconds(world, "db") == (4, 5)
    world.play("exit 101 0; +3; exit 100 0; +3")
    assert seconds(world, "db") == (4, 5)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("start web", True),
        ("start web; stop web", False),
        ("start web; spawned; stop web; start web", True),
        ("start web; spawned; +1; exit 100 0; stop web", False),
        ("start web; spawned; exit 100 1", True),
        ("start web; spawned; stop web; refuse 100", False),
        ("start web; spawned; restart web; refuse 100", True),
    ],
)
def test_the_last_wish_counts(script: str, *, expected: bool) -> None:
    """Expected to run is what the operator said last, in whatever state it finds itself."""
    world = World(program("web"))
    world.play(script)
    assert world.view("web").expected_running is expected


def test_a_view_shows_the_run() -> None:
    """Since when, started and ended: of the state, the present run and the last one."""
    world = World(program("web"))
    assert world.view("web").reason == "not started yet"
    assert world.view("web").started is world.view("web").ended is None
    world.play("+1; start web; +1; spawned")
    started = world.now
    world.play("+5")
    view = world.view("web")
    assert (view.started, view.since.mono, view.ready) == (started, started.mono + 1, True)
    world.play("exit 100 0")
    view = world.view("web")
    assert (view.started, view.ended, view.since) == (started, world.now, world.now)
    assert not view.ready
