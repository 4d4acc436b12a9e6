from inspect import cleandoc

from programs import process_id, program
from world import World

from opsvisor.core import events as fact
from opsvisor.core.spec import Startup, StopPolicy
from opsvisor.core.state import StartCause
from opsvisor.core.struct import replace


def changed_group() -> World:
    """One group of two, of which plan v2 changes one, and another that stays."""
    return World(
        program("app:a", startup=Startup.ENABLED),
        program("app:b", startup=Startup.ENABLED),
        program("other"),
    ).knows(
        "v2",
        program("app:a", startup=Startup.ENABLED),
        program("app:b", startup=Startup.ENABLED, argv=("run", "v2")),
        program("other"),
    )


def test_a_removed_program_is_stopped_and_forgotten() -> None:
    """It leaves when it is down, not before."""
    world = World(program("web")).knows("none")
    told = world.play(
        "start web; spawned; +1; apply none; start web; restart web; signal web HUP; "
        "killed 100 TERM; start web"
    )
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > apply none
    < TERM group 100          RUNNING -> STOPPING  stop requested (config)
    < CONT group 100
    > start web
    > restart web
    > signal web HUP
    < HUP process 100
    > killed 100 TERM         STOPPING -> STOPPED  stopped (config)
    < forget web              removed
    > start web
    """)


def test_a_removed_program_that_is_down_leaves_at_once() -> None:
    """There is nothing to wait for."""
    world = World(program("web")).knows("none")
    told = world.play("apply none")
    assert told == cleandoc("""
    > apply none
    < forget web              removed
    """)
    assert process_id("web") not in world.supervisor


def test_a_removed_program_in_backoff_leaves_at_once() -> None:
    """No attempt is made for what left the plan."""
    world = World(program("web")).knows("none")
    told = world.play("start web; spawned; exit 100 1; apply none; +100")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > exit 100 1              STARTING -> BACKOFF  exit status 1 before it was up; retry 1
    > apply none              BACKOFF -> STOPPED   stop requested (config)
    < forget web              removed
    > +100
    """)


def test_a_removal_during_the_fork_waits_for_the_answer() -> None:
    """Both answers end in its removal."""
    world = World(program("a"), program("b")).knows("none")
    told = world.play("start a; start b; apply none; no spawn of a; spawned of b; exit 100 0")
    assert told == cleandoc("""
    > start a
    < spawn a                 a: STOPPED -> STARTING  start requested
    > start b
    < spawn b                 b: STOPPED -> STARTING  start requested
    > apply none
    < cancel spawn a
    < cancel spawn b
    > no spawn of a           a: STARTING -> STOPPED  stop requested while starting
    < forget a                a: removed
    > spawned of b
    < TERM group 100          b: STARTING -> STOPPING stop requested (config)
    < CONT group 100
    > exit 100 0              b: STOPPING -> STOPPED  stopped (config)
    < forget b                b: removed
    """)


def test_a_program_that_returns_while_stopping_is_spared() -> None:
    """Back in the plan before it was down: it starts again with its new spec."""
    world = (
        World(program("web", startup=Startup.ENABLED))
        .knows("none")
        .knows("v2", program("web", startup=Startup.ENABLED, argv=("run", "v2")))
    )
    told = world.play(
        "spawned; +1; apply none; +2; apply v2; killed 100 TERM; spawned; +1; apply none"
    )
    assert told == cleandoc("""
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > apply none
    < TERM group 100          RUNNING -> STOPPING  stop requested (config)
    < CONT group 100
    > +2
    > apply v2                changed: argv
    > killed 100 TERM         STOPPING -> STOPPED  stopped (config)
    < spawn web               STOPPED -> STARTING  restart (config)
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > apply none
    < TERM group 101          RUNNING -> STOPPING  stop requested (config)
    < CONT group 101
    """)
    assert world.view("web").spec.argv == ("run", "v2")


def test_a_manual_program_that_returns_stays_down() -> None:
    """It returns into the plan, but nobody asked for it to run."""
    world = World(program("web")).knows("none").knows("v1", program("web"))
    told = world.play("start web; spawned; +1; apply none; apply v1; killed 100 TERM; +100")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > apply none
    < TERM group 100          RUNNING -> STOPPING  stop requested (config)
    < CONT group 100
    > apply v1                changed: nothing
    > killed 100 TERM         STOPPING -> STOPPED  stopped (config)
    > +100
    """)


def test_an_unknown_process_is_removed_when_it_ends() -> None:
    """It is not forgotten while it lives."""
    world = World(program("web")).knows("none")
    told = world.play("start web; spawned; +1; apply none; refuse 100; +100; exit 100 0")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > apply none
    < TERM group 100          RUNNING -> STOPPING  stop requested (config)
    < CONT group 100
    > refuse 100              signal refused
                              STOPPING -> UNKNOWN  can't signal it: SIGCONT: not permitted
    > +100
    > exit 100 0              UNKNOWN -> STOPPED   ended after all
    < forget web              removed
    """)


def test_a_new_program_is_added_and_started() -> None:
    """Later plans start what they bring, if it is enabled."""
    world = World(program("a")).knows(
        "v2", program("a"), program("b", startup=Startup.ENABLED), program("c")
    )
    told = world.play("apply v2; spawned; +1")
    assert told == cleandoc("""
    > apply v2                b: added
    < spawn b                 b: STOPPED -> STARTING  start requested
                              c: added
    > spawned
    > +1                      b: STARTING -> RUNNING  up for 1 s
    """)
    assert world.of_type(fact.ProcessSpawned)[0].cause is StartCause.CONFIG


def test_update_revives_what_was_stopped_in_a_changed_group() -> None:
    """Supervisor's `update`: a changed group starts anew, a stop by hand notwithstanding."""
    world = changed_group()
    told = world.play(
        "spawned of app:a; spawned of app:b; +1; stop app:a; exit 100 0; stop app:b; "
        "update v2; exit 101 0"
    )
    assert told == cleandoc("""
    > spawned of app:a
    > spawned of app:b
    > +1                      app:a: STARTING -> RUNNING  up for 1 s
                              app:b: STARTING -> RUNNING  up for 1 s
    > stop app:a
    < TERM group 100          app:a: RUNNING -> STOPPING  stop requested (manual)
    < CONT group 100
    > exit 100 0              app:a: STOPPING -> STOPPED  stopped (manual)
    > stop app:b
    < TERM group 101          app:b: RUNNING -> STOPPING  stop requested (manual)
    < CONT group 101
    > update v2               app:b: changed: argv
    < spawn app:a             app:a: STOPPED -> STARTING  start requested
    > exit 101 0              app:b: STOPPING -> STOPPED  stopped (manual)
    < spawn app:b             app:b: STOPPED -> STARTING  restart (config)
    """)


def test_update_leaves_other_groups_and_manual_programs() -> None:
    """Only what is enabled, and only in groups that changed."""
    world = World(program("app:a"), program("other", startup=Startup.ENABLED)).knows(
        "v2", program("app:a", argv=("run", "v2")), program("other", startup=Startup.ENABLED)
    )
    told = world.play("stop other; no spawn; update v2")
    assert told == cleandoc("""
    > stop other
    < cancel spawn other
    > no spawn                other: STARTING -> STOPPED  stop requested while starting
    > update v2               app:a: changed: argv
    """)


def test_update_starts_what_is_down_and_has_changed() -> None:
    """As Supervisor's does, whatever about it has changed. Others of its group stay as they are."""
    before = [program("app:a", startup=Startup.ENABLED), program("app:b", startup=Startup.ENABLED)]
    after = [replace(before[0], stop=StopPolicy(kill_delay=3.0)), before[1]]
    world = World(*before).knows("v2", *after)
    told = world.play("spawned of app:a; spawned of app:b; +1; exit 100 0; exit 101 0; update v2")
    assert told.splitlines()[-2:] == [
        "> update v2               app:a: changed: stop",
        "< spawn app:a             app:a: EXITED -> STARTING   start requested",
    ]


def test_update_does_not_let_wait_what_has_changed() -> None:
    """A process in BACKOFF is wanted, and not up."""
    web = program("web", startup=Startup.ENABLED)
    world = World(web).knows("v2", replace(web, stop=StopPolicy(kill_delay=3.0)))
    told = world.play("spawned; exit 100 1; update v2")
    assert told.splitlines()[-2:] == [
        "> update v2               changed: stop",
        "< spawn web               BACKOFF -> STARTING  start requested",
    ]
