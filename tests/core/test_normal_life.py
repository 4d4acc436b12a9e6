from inspect import cleandoc

from programs import program, supervisor_program
from world import World

from opsvisor.core.spec import Startup


def test_a_program_lives_and_is_stopped() -> None:
    """Start, up, stop, down: the four states of a life without trouble."""
    world = World(program("web"))
    told = world.play("start web; spawned 100; +1; stop web; exit 100 0")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned 100
    > +1                      STARTING -> RUNNING  up for 1 s
    > stop web
    < TERM group 100          RUNNING -> STOPPING  stop requested (manual)
    < CONT group 100
    > exit 100 0              STOPPING -> STOPPED  stopped (manual)
    """)


def test_an_enabled_program_starts_with_the_daemon() -> None:
    """The first plan starts what is enabled, and only that."""
    world = World(program("web", startup=Startup.ENABLED), program("job", startup=Startup.MANUAL))
    told = world.opening + "\n" + world.play("spawned 100; +1")
    assert told == cleandoc("""
    > apply                   job: added
                              web: added
    < spawn web               web: STOPPED -> STARTING  start requested
    > spawned 100
    > +1                      web: STARTING -> RUNNING  up for 1 s
    """)


def test_it_is_starting_until_min_uptime() -> None:
    """STARTING lasts for exactly min_uptime seconds after the fork."""
    world = World(program("web", min_uptime=2.5))
    told = world.play("start web; +7; spawned 100; +2.4; +0.1")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > +7
    > spawned 100
    > +2.4
    > +0.1                    STARTING -> RUNNING  up for 2.5 s
    """)


def test_without_min_uptime_it_is_running_at_once() -> None:
    """min_uptime = 0: RUNNING comes with the fork, so that it comes before EXITED."""
    world = World(program("web", min_uptime=0.0))
    told = world.play("start web; spawned 100; exit 100 0")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned 100             STARTING -> RUNNING  up for 0 s
    > exit 100 0              RUNNING -> EXITED    exit status 0, which counts as success
    """)


def test_a_late_deadline_does_not_turn_a_run_into_a_failed_start() -> None:
    """An exit after min_uptime is the end of a run, even if nobody had looked at the clock."""
    world = World(supervisor_program("web"))
    told = world.play("start web; spawned 100; busy 1; exit 100 0")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned 100
    > busy 1
    > exit 100 0              STARTING -> RUNNING  up for 1 s
                              RUNNING -> EXITED    exit status 0, which counts as success
    """)


def test_a_deadline_that_comes_too_early_changes_nothing() -> None:
    """The timer may fire a hair early; nothing is due then, and it is asked for again."""
    world = World(program("web"))
    told = world.play("start web; spawned 100; busy 0.999; deadline; +0.001; deadline")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned 100
    > busy 0.999
    > deadline
    > +0.001                  STARTING -> RUNNING  up for 1 s
    > deadline
    """)


def test_starting_what_runs_changes_nothing() -> None:
    """A second start finds it up or on its way, in every such state."""
    world = World(program("web"))
    told = world.play("start web; start web; spawned 100; start web; +1; start web")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > start web
    > spawned 100
    > start web
    > +1                      STARTING -> RUNNING  up for 1 s
    > start web
    """)


def test_a_restart_is_one_request() -> None:
    """Stop and start in one: the start waits for the end of the old run."""
    world = World(program("web"))
    told = world.play("start web; spawned 100; +1; restart web; exit 100 0; spawned 101; +1")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned 100
    > +1                      STARTING -> RUNNING  up for 1 s
    > restart web
    < TERM group 100          RUNNING -> STOPPING  stop requested (manual)
    < CONT group 100
    > exit 100 0              STOPPING -> STOPPED  stopped (manual)
    < spawn web               STOPPED -> STARTING  restart (manual)
    > spawned 101
    > +1                      STARTING -> RUNNING  up for 1 s
    """)


def test_a_restart_starts_what_is_down() -> None:
    """Restart means: it shall run, afresh. What is down just starts."""
    world = World(program("web"))
    told = world.play("restart web; spawned 100; +1; exit 100 0; restart web")
    assert told == cleandoc("""
    > restart web
    < spawn web               STOPPED -> STARTING  restart (manual)
    > spawned 100
    > +1                      STARTING -> RUNNING  up for 1 s
    > exit 100 0              RUNNING -> EXITED    exit status 0, which counts as success
    > restart web
    < spawn web               EXITED -> STARTING   restart (manual)
    """)


def test_a_signal_goes_to_the_process_alone() -> None:
    """A signal by request changes no state and spares the group."""
    world = World(program("web"))
    told = world.play(
        "signal web HUP; start web; signal web HUP; spawned 100; signal web HUP; +1; "
        "signal web USR1; stop web; signal web HUP"
    )
    assert told == cleandoc("""
    > signal web HUP
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > signal web HUP
    > spawned 100
    > signal web HUP
    < HUP process 100
    > +1                      STARTING -> RUNNING  up for 1 s
    > signal web USR1
    < USR1 process 100
    > stop web
    < TERM group 100          RUNNING -> STOPPING  stop requested (manual)
    < CONT group 100
    > signal web HUP
    < HUP process 100
    """)
