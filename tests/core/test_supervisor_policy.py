from inspect import cleandoc

from programs import supervisor_program
from world import World

from opsvisor.core.spec import RestartMode


def test_five_retries_lie_one_to_five_seconds_apart() -> None:
    """startretries=5 as Supervisor carries it out: six attempts, waits of 1 to 5 s, then FATAL."""
    world = World(supervisor_program("web", startretries=5))
    told = world.play(
        "start web; spawned; exit 100 1; +1; spawned; exit 101 1; +2; spawned; "
        "exit 102 1; +3; spawned; exit 103 1; +4; spawned; exit 104 1; +5; spawned; "
        "exit 105 1; +5000"
    )
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > exit 100 1              STARTING -> BACKOFF  exit status 1 before it was up; retry 1 of 5
    > +1
    < spawn web               BACKOFF -> STARTING  attempt 2
    > spawned
    > exit 101 1              STARTING -> BACKOFF  exit status 1 before it was up; retry 2 of 5
    > +2
    < spawn web               BACKOFF -> STARTING  attempt 3
    > spawned
    > exit 102 1              STARTING -> BACKOFF  exit status 1 before it was up; retry 3 of 5
    > +3
    < spawn web               BACKOFF -> STARTING  attempt 4
    > spawned
    > exit 103 1              STARTING -> BACKOFF  exit status 1 before it was up; retry 4 of 5
                              flapping begins: 4 restarts in 600 s
    > +4
    < spawn web               BACKOFF -> STARTING  attempt 5
    > spawned
    > exit 104 1              STARTING -> BACKOFF  exit status 1 before it was up; retry 5 of 5
    > +5
    < spawn web               BACKOFF -> STARTING  attempt 6
    > spawned
    > exit 105 1              STARTING -> BACKOFF  too many start retries too quickly (5 allowed), the last: exit status 1
                              BACKOFF -> FATAL     too many start retries too quickly (5 allowed), the last: exit status 1
    > +586                    flapping ends: 3 restarts in 600 s
    > +4414
    """)


def test_without_retries_the_first_failure_is_fatal() -> None:
    """startretries=0: one attempt, by way of BACKOFF."""
    world = World(supervisor_program("web", startretries=0))
    told = world.play("start web; spawned; exit 100 1")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > exit 100 1              STARTING -> BACKOFF  too many start retries too quickly (0 allowed), the last: exit status 1
                              BACKOFF -> FATAL     too many start retries too quickly (0 allowed), the last: exit status 1
    """)


def test_an_early_success_is_a_failed_start() -> None:
    """Inside startsecs every exit is too quick, whatever its code or autorestart say."""
    world = World(supervisor_program("job", autorestart=RestartMode.NO, startretries=1))
    told = world.play("start job; spawned; exit 100 0; +1; spawned; +1; exit 101 0")
    assert told == cleandoc("""
    > start job
    < spawn job               STOPPED -> STARTING  start requested
    > spawned
    > exit 100 0              STARTING -> BACKOFF  exit status 0 before it was up; retry 1 of 1
    > +1
    < spawn job               BACKOFF -> STARTING  attempt 2
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
                              failures forgotten: 1
    > exit 101 0              RUNNING -> EXITED    exit status 0; restart is off
    """)


def test_failed_starts_are_forgotten_when_it_comes_up() -> None:
    """The counter is for failures in a row."""
    world = World(supervisor_program("web", startretries=1))
    told = world.play(
        "start web; spawned; exit 100 1; +1; spawned; +1; exit 101 1; spawned; exit 102 1; +1"
    )
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > exit 100 1              STARTING -> BACKOFF  exit status 1 before it was up; retry 1 of 1
    > +1
    < spawn web               BACKOFF -> STARTING  attempt 2
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
                              failures forgotten: 1
    > exit 101 1              RUNNING -> EXITED    exit status 1, not in success_exit_codes
    < spawn web               EXITED -> STARTING   exit status 1, not in success_exit_codes
    > spawned
    > exit 102 1              STARTING -> BACKOFF  exit status 1 before it was up; retry 1 of 1
    > +1
    < spawn web               BACKOFF -> STARTING  attempt 2
    """)


def test_a_run_without_startsecs_never_fails_to_start() -> None:
    """startsecs=0: RUNNING at once, every exit is an end after coming up, and backs off."""
    world = World(supervisor_program("web", startsecs=0.0))
    told = world.play(
        "start web; spawned; exit 100 1; spawned; exit 101 1; +0.1; spawned; exit 102 1; "
        "+0.2; spawned; exit 103 0"
    )
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned                 STARTING -> RUNNING  up for 0 s
    > exit 100 1              RUNNING -> EXITED    exit status 1, not in success_exit_codes
    < spawn web               EXITED -> STARTING   exit status 1, not in success_exit_codes
    > spawned                 STARTING -> RUNNING  up for 0 s
    > exit 101 1              RUNNING -> EXITED    exit status 1, not in success_exit_codes
                              EXITED -> BACKOFF    exit status 1, not in success_exit_codes
    > +0.1
    < spawn web               BACKOFF -> STARTING  restart after the delay
    > spawned                 STARTING -> RUNNING  up for 0 s
    > exit 102 1              RUNNING -> EXITED    exit status 1, not in success_exit_codes
                              EXITED -> BACKOFF    exit status 1, not in success_exit_codes
    > +0.2
    < spawn web               BACKOFF -> STARTING  restart after the delay
    > spawned                 STARTING -> RUNNING  up for 0 s
    > exit 103 0              RUNNING -> EXITED    exit status 0, which counts as success
    """)


def test_failed_spawns_count_as_attempts() -> None:
    """What can't be forked is tried as often as what exits too quickly."""
    world = World(supervisor_program("web", startretries=1))
    told = world.play("start web; no spawn not found; +1; no spawn not found")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > no spawn not found      STARTING -> BACKOFF  not found; retry 1 of 1
    > +1
    < spawn web               BACKOFF -> STARTING  attempt 2
    > no spawn not found      STARTING -> BACKOFF  too many start retries too quickly (1 allowed), the last: not found
                              BACKOFF -> FATAL     too many start retries too quickly (1 allowed), the last: not found
    """)
