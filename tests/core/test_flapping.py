from inspect import cleandoc

from programs import program
from world import World

from opsvisor.core.spec import FlappingPolicy, LinearBackoff


def flapping_world() -> World:
    """A program that may restart twice in 100 s, without any delay."""
    return World(
        program(
            "web",
            run_backoff=LinearBackoff(step=0.0),
            limit=None,
            flapping=FlappingPolicy(count=2, interval=100.0),
        )
    )


def test_flapping_begins_and_ends() -> None:
    """More restarts in the window than allowed begin it; the passing of the window ends it."""
    world = flapping_world()
    told = world.play(
        "start web; spawned; +10; exit 100 1; spawned; +10; exit 101 1; spawned; +10; "
        "exit 102 1; spawned; +200"
    )
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > +9
    > exit 100 1              RUNNING -> EXITED    exit status 1, not in success_exit_codes
    < spawn web               EXITED -> STARTING   exit status 1, not in success_exit_codes
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > +9
    > exit 101 1              RUNNING -> EXITED    exit status 1, not in success_exit_codes
    < spawn web               EXITED -> STARTING   exit status 1, not in success_exit_codes
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > +9
    > exit 102 1              RUNNING -> EXITED    exit status 1, not in success_exit_codes
                              flapping begins: 3 restarts in 100 s
    < spawn web               EXITED -> STARTING   exit status 1, not in success_exit_codes
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > +59                     failures forgotten: 3
    > +20                     flapping ends: 2 restarts in 100 s
    > +120
    """)
    assert not world.view("web").flapping


def test_stops_and_starts_by_hand_are_no_flapping() -> None:
    """Only automatic restarts count."""
    world = flapping_world()
    told = world.play(
        "start web; spawned; restart web; exit 100 0; spawned; restart web; exit 101 0; "
        "spawned; restart web; exit 102 0; spawned; stop web; exit 103 0; start web; "
        "spawned; +1"
    )
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > restart web
    < TERM group 100          STARTING -> STOPPING stop requested (manual)
    < CONT group 100
    > exit 100 0              STOPPING -> STOPPED  stopped (manual)
    < spawn web               STOPPED -> STARTING  restart (manual)
    > spawned
    > restart web
    < TERM group 101          STARTING -> STOPPING stop requested (manual)
    < CONT group 101
    > exit 101 0              STOPPING -> STOPPED  stopped (manual)
    < spawn web               STOPPED -> STARTING  restart (manual)
    > spawned
    > restart web
    < TERM group 102          STARTING -> STOPPING stop requested (manual)
    < CONT group 102
    > exit 102 0              STOPPING -> STOPPED  stopped (manual)
    < spawn web               STOPPED -> STARTING  restart (manual)
    > spawned
    > stop web
    < TERM group 103          STARTING -> STOPPING stop requested (manual)
    < CONT group 103
    > exit 103 0              STOPPING -> STOPPED  stopped (manual)
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    """)


def test_a_start_by_hand_ends_flapping() -> None:
    """The past is forgiven, and so is the flapping."""
    world = flapping_world()
    told = world.play(
        "start web; spawned; +1; exit 100 1; spawned; +1; exit 101 1; spawned; +1; "
        "exit 102 1; spawned; +1; exit 103 0; start web"
    )
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > exit 100 1              RUNNING -> EXITED    exit status 1, not in success_exit_codes
    < spawn web               EXITED -> STARTING   exit status 1, not in success_exit_codes
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > exit 101 1              RUNNING -> EXITED    exit status 1, not in success_exit_codes
    < spawn web               EXITED -> STARTING   exit status 1, not in success_exit_codes
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > exit 102 1              RUNNING -> EXITED    exit status 1, not in success_exit_codes
                              flapping begins: 3 restarts in 100 s
    < spawn web               EXITED -> STARTING   exit status 1, not in success_exit_codes
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > exit 103 0              RUNNING -> EXITED    exit status 0, which counts as success
    > start web               flapping ends: 0 restarts in 100 s
    < spawn web               EXITED -> STARTING   start requested
    """)


def test_flapping_ends_with_a_stop() -> None:
    """What is to be down is not restarted: nobody need look at it for that."""
    world = flapping_world()
    told = world.play(
        "start web; spawned; +1; exit 100 1; spawned; +1; exit 101 1; spawned; +1; "
        "exit 102 1; spawned; stop web; exit 103 0; +100"
    )
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > exit 100 1              RUNNING -> EXITED    exit status 1, not in success_exit_codes
    < spawn web               EXITED -> STARTING   exit status 1, not in success_exit_codes
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > exit 101 1              RUNNING -> EXITED    exit status 1, not in success_exit_codes
    < spawn web               EXITED -> STARTING   exit status 1, not in success_exit_codes
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > exit 102 1              RUNNING -> EXITED    exit status 1, not in success_exit_codes
                              flapping begins: 3 restarts in 100 s
    < spawn web               EXITED -> STARTING   exit status 1, not in success_exit_codes
    > spawned
    > stop web                flapping ends: 0 restarts in 100 s
    < TERM group 103          STARTING -> STOPPING stop requested (manual)
    < CONT group 103
    > exit 103 0              STOPPING -> STOPPED  stopped (manual)
    > +100
    """)


def test_failed_starts_flap_too() -> None:
    """Retries out of BACKOFF are automatic restarts."""
    world = World(
        program(
            "web",
            start_backoff=LinearBackoff(step=0.0),
            limit=None,
            flapping=FlappingPolicy(count=1, interval=60.0),
        )
    )
    told = world.play(
        "start web; spawned; exit 100 1; +0; spawned; exit 101 1; +0; spawned; exit 102 1"
    )
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > exit 100 1              STARTING -> BACKOFF  exit status 1 before it was up; retry 1
    > +0
    < spawn web               BACKOFF -> STARTING  attempt 2
    > spawned
    > exit 101 1              STARTING -> BACKOFF  exit status 1 before it was up; retry 2
                              flapping begins: 2 restarts in 60 s
    > +0
    < spawn web               BACKOFF -> STARTING  attempt 3
    > spawned
    > exit 102 1              STARTING -> BACKOFF  exit status 1 before it was up; retry 3
    """)


def test_flapping_ends_before_failures_are_forgotten() -> None:
    """Two deadlines of one process: the end of flapping must not settle the run early."""
    policy = FlappingPolicy(count=0, interval=5.0)
    world = World(program("web", flapping=policy, backoff_reset=60.0))
    told = world.play("start web; spawned; +1; exit 100 1; spawned; +60")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > exit 100 1              RUNNING -> EXITED    exit status 1, not in success_exit_codes
                              flapping begins: 1 restarts in 5 s
    < spawn web               EXITED -> STARTING   exit status 1, not in success_exit_codes
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > +4                      flapping ends: 0 restarts in 5 s
    > +55                     failures forgotten: 1
    """)
