from inspect import cleandoc

from programs import program, supervisor_program
from world import World

from opsvisor.core.outcome import ExitCause
from opsvisor.core.spec import FlappingPolicy, Startup
from opsvisor.core.struct import replace


def test_a_changed_command_restarts_what_runs() -> None:
    """The old run ends, the new command starts; meanwhile the old spec holds."""
    world = World(program("web")).knows("v2", program("web", argv=("run", "v2")))
    told = world.play("start web; spawned; +1; apply v2; +1; killed 100 TERM; spawned; +1")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > apply v2                changed: argv
    < TERM group 100          RUNNING -> STOPPING  stop requested (config)
    < CONT group 100
    > +1
    > killed 100 TERM         STOPPING -> STOPPED  stopped (config)
    < spawn web               STOPPED -> STARTING  restart (config)
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    """)
    assert world.view("web").spec.argv == ("run", "v2")
    assert world.view("web").last_cause is ExitCause.CONFIG


def test_a_live_change_restarts_nothing() -> None:
    """Description, labels, priority and policies hold from now on, for the run that is."""
    world = World(program("web")).knows(
        "v2", program("web", description="shop", priority=1, min_uptime=9.0, kill_delay=2.0)
    )
    told = world.play("start web; spawned; +1; apply v2; stop web; +2")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > apply v2                changed: description, priority, min_uptime, stop
    > stop web
    < TERM group 100          RUNNING -> STOPPING  stop requested (manual)
    < CONT group 100
    > +2
    < KILL group 100
    """)


def test_the_same_plan_changes_nothing() -> None:
    """Applying what already holds has no consequences."""
    world = World(program("web")).knows("v1", program("web"))
    told = world.play("start web; spawned; +1; apply v1")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > apply v1
    """)


def test_a_change_in_starting_restarts() -> None:
    """What has not come up yet would come up with the old command."""
    world = World(program("web")).knows("v2", program("web", argv=("run", "v2")))
    told = world.play("start web; spawned; apply v2; killed 100 TERM")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > apply v2                changed: argv
    < TERM group 100          STARTING -> STOPPING stop requested (config)
    < CONT group 100
    > killed 100 TERM         STOPPING -> STOPPED  stopped (config)
    < spawn web               STOPPED -> STARTING  restart (config)
    """)


def test_a_change_during_the_fork_calls_it_off() -> None:
    """The old command need not be executed at all."""
    world = World(program("web")).knows("v2", program("web", argv=("run", "v2")))
    told = world.play("start web; apply v2; no spawn called off; spawned; +1")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > apply v2                changed: argv
    < cancel spawn web
    > no spawn called off     STARTING -> STOPPED  stop requested while starting
    < spawn web               STOPPED -> STARTING  restart (config)
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    """)


def test_a_change_in_backoff_starts_at_once() -> None:
    """The change may be what it was waiting for, and its past belongs to the old command."""
    world = World(program("web")).knows("v2", program("web", argv=("run", "v2")))
    told = world.play("start web; spawned; exit 100 1; apply v2; spawned; +1")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > exit 100 1              STARTING -> BACKOFF  exit status 1 before it was up; retry 1
    > apply v2                changed: argv
                              BACKOFF -> STOPPED   stop requested (config)
    < spawn web               STOPPED -> STARTING  restart (config)
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    """)


def test_a_change_in_fatal_starts_at_once() -> None:
    """Given up with the old command, tried again with the new one."""
    world = World(supervisor_program("web", startretries=0)).knows(
        "v2", supervisor_program("web", startretries=0, argv=("run", "v2"))
    )
    told = world.play("start web; spawned; exit 100 1; apply v2; spawned; +1")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > exit 100 1              STARTING -> BACKOFF  too many start retries too quickly (0 allowed), the last: exit status 1
                              BACKOFF -> FATAL     too many start retries too quickly (0 allowed), the last: exit status 1
    > apply v2                changed: argv
    < spawn web               FATAL -> STARTING    start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    """)


def test_a_change_of_an_exited_program_starts_it() -> None:
    """It is still wanted: an exit is not a stop."""
    world = World(program("web")).knows("v2", program("web", argv=("run", "v2")))
    told = world.play("start web; spawned; exit 100 0; apply v2")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > exit 100 0              STARTING -> EXITED   exit status 0, which counts as success
    > apply v2                changed: argv
    < spawn web               EXITED -> STARTING   start requested
    """)


def test_what_was_stopped_by_hand_stays_stopped() -> None:
    """A stop by hand outlives a change of configuration."""
    world = World(program("web")).knows("v2", program("web", argv=("run", "v2")))
    told = world.play("start web; spawned; +1; stop web; exit 100 0; apply v2; start web")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > stop web
    < TERM group 100          RUNNING -> STOPPING  stop requested (manual)
    < CONT group 100
    > exit 100 0              STOPPING -> STOPPED  stopped (manual)
    > apply v2                changed: argv
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    """)


def test_what_is_to_be_started_by_itself_from_now_on_is_started() -> None:
    """Nobody has stopped it. Whatever else changes, and not what was stopped by hand."""
    enabled = program("web", startup=Startup.ENABLED)
    world = (
        World(program("web"))
        .knows("v1", program("web"))
        .knows("v2", enabled)
        .knows("v3", replace(enabled, argv=("run", "v3")))
    )
    told = world.play("apply v2; spawned; +1; stop web; exit 100 0; apply v1; apply v3")
    assert told == cleandoc("""
    > apply v2                changed: startup
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > stop web
    < TERM group 100          RUNNING -> STOPPING  stop requested (manual)
    < CONT group 100
    > exit 100 0              STOPPING -> STOPPED  stopped (manual)
    > apply v1                changed: startup
    > apply v3                changed: argv, startup
    """)
    again = (
        World(program("web")).knows("v3", replace(enabled, argv=("run", "v3"))).play("apply v3")
    )
    assert again == cleandoc("""
    > apply v3                changed: argv, startup
    < spawn web               STOPPED -> STARTING  start requested
    """)


def test_an_exited_program_that_nobody_wants_stays() -> None:
    """Stopped by hand after it had exited: the change starts nothing."""
    world = World(program("web")).knows("v2", program("web", argv=("run", "v2")))
    told = world.play("start web; spawned; exit 100 0; stop web; apply v2")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > exit 100 0              STARTING -> EXITED   exit status 0, which counts as success
    > stop web
    > apply v2                changed: argv
    """)


def test_a_change_while_stopping_by_hand_starts_nothing() -> None:
    """The new command waits for somebody to start it."""
    world = World(program("web")).knows("v2", program("web", argv=("run", "v2")))
    told = world.play("start web; spawned; +1; stop web; apply v2; killed 100 TERM; start web")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > stop web
    < TERM group 100          RUNNING -> STOPPING  stop requested (manual)
    < CONT group 100
    > apply v2                changed: argv
    > killed 100 TERM         STOPPING -> STOPPED  stopped (manual)
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    """)
    assert world.view("web").spec.argv == ("run", "v2")


def test_a_second_change_while_stopping_wins() -> None:
    """Only the last plan counts, whatever the one before it wanted."""
    world = (
        World(program("web"))
        .knows("v2", program("web", argv=("run", "v2")))
        .knows("v3", program("web", argv=("run", "v3")))
    )
    told = world.play("start web; spawned; +1; apply v2; apply v3; killed 100 TERM")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > apply v2                changed: argv
    < TERM group 100          RUNNING -> STOPPING  stop requested (config)
    < CONT group 100
    > apply v3                changed: argv
    > killed 100 TERM         STOPPING -> STOPPED  stopped (config)
    < spawn web               STOPPED -> STARTING  restart (config)
    """)
    assert world.view("web").spec.argv == ("run", "v3")


def test_a_live_change_while_stopping_is_not_lost() -> None:
    """It joins the change that waits for the end of the old run."""
    world = (
        World(program("web"))
        .knows("v2", program("web", argv=("run", "v2")))
        .knows("v3", program("web", argv=("run", "v2"), description="shop"))
    )
    told = world.play("start web; spawned; +1; apply v2; apply v3; killed 100 TERM")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > apply v2                changed: argv
    < TERM group 100          RUNNING -> STOPPING  stop requested (config)
    < CONT group 100
    > apply v3                changed: description
    > killed 100 TERM         STOPPING -> STOPPED  stopped (config)
    < spawn web               STOPPED -> STARTING  restart (config)
    """)
    assert world.view("web").spec.description == "shop"


def test_a_change_taken_back_while_stopping_still_restarts() -> None:
    """The run was ended already, and is made again as it was."""
    world = (
        World(program("web"))
        .knows("v2", program("web", argv=("run", "v2")))
        .knows("v1", program("web"))
    )
    told = world.play("start web; spawned; +1; apply v2; apply v1; killed 100 TERM")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > apply v2                changed: argv
    < TERM group 100          RUNNING -> STOPPING  stop requested (config)
    < CONT group 100
    > apply v1                changed: argv
    > killed 100 TERM         STOPPING -> STOPPED  stopped (config)
    < spawn web               STOPPED -> STARTING  restart (config)
    """)
    assert world.view("web").spec.argv == ("run",)


def test_a_change_of_an_unknown_process_tries_to_end_it() -> None:
    """Perhaps the signal gets through this time."""
    world = World(program("web")).knows("v2", program("web", argv=("run", "v2")))
    told = world.play(
        "start web; spawned; +1; stop web; refuse 100; apply v2; killed 100 TERM; +100"
    )
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > stop web
    < TERM group 100          RUNNING -> STOPPING  stop requested (manual)
    < CONT group 100
    > refuse 100              signal refused
                              STOPPING -> UNKNOWN  can't signal it: SIGCONT: not permitted
    > apply v2                changed: argv
    < TERM group 100          UNKNOWN -> STOPPING  stop requested (config)
    < CONT group 100
    > killed 100 TERM         STOPPING -> STOPPED  stopped (config)
    > +100
    """)


def test_a_more_patient_flapping_policy_ends_flapping() -> None:
    """What was too often by the old policy may be normal by the new one."""
    world = World(program("web", flapping=FlappingPolicy(count=0, interval=60.0))).knows(
        "v2", program("web", flapping=FlappingPolicy(count=5, interval=60.0))
    )
    told = world.play("start web; spawned; +1; exit 100 1; spawned; +1; apply v2")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > exit 100 1              RUNNING -> EXITED    exit status 1, not in success_exit_codes
                              flapping begins: 1 restarts in 60 s
    < spawn web               EXITED -> STARTING   exit status 1, not in success_exit_codes
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > apply v2                changed: restart
                              flapping ends: 1 restarts in 60 s
    """)
