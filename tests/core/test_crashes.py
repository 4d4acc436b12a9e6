from inspect import cleandoc

from programs import program, supervisor_program
from world import World

from opsvisor.core.spec import (
    ExitSet,
    ExponentialBackoff,
    LinearBackoff,
    RestartLimit,
    RestartMode,
)


def test_the_first_crash_restarts_at_once() -> None:
    """One crash of a program that was up costs nothing but the fork."""
    world = World(program("web"))
    told = world.play("start web; spawned 100; +5; exit 100 3; spawned 101; +1")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned 100
    > +1                      STARTING -> RUNNING  up for 1 s
    > +4
    > exit 100 3              RUNNING -> EXITED    exit status 3, not in success_exit_codes
    < spawn web               EXITED -> STARTING   exit status 3, not in success_exit_codes
    > spawned 101
    > +1                      STARTING -> RUNNING  up for 1 s
    """)


def test_further_crashes_back_off() -> None:
    """From the second crash on the delays grow by the factor, up to the limit."""
    world = World(
        program("web", run_backoff=ExponentialBackoff(delay=1, factor=3, limit=5, jitter=0))
    )
    told = world.play(
        "start web; spawned; +1; exit 100 1; spawned; +1; exit 101 1; +1; spawned; +1; "
        "exit 102 1; +3; spawned; +1; exit 103 1; +5"
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
                              EXITED -> BACKOFF    exit status 1, not in success_exit_codes
    > +1
    < spawn web               BACKOFF -> STARTING  restart after the delay
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > exit 102 1              RUNNING -> EXITED    exit status 1, not in success_exit_codes
                              EXITED -> BACKOFF    exit status 1, not in success_exit_codes
    > +3
    < spawn web               BACKOFF -> STARTING  restart after the delay
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > exit 103 1              RUNNING -> EXITED    exit status 1, not in success_exit_codes
                              flapping begins: 4 restarts in 600 s
                              EXITED -> BACKOFF    exit status 1, not in success_exit_codes
    > +5
    < spawn web               BACKOFF -> STARTING  restart after the delay
    """)


def test_jitter_stretches_delays() -> None:
    """Jitter adds to the delay, so that a fleet does not come back in step."""
    world = World(
        program("web", start_backoff=ExponentialBackoff(delay=1, jitter=0.5)), jitter=0.5
    )
    told = world.play("start web; spawned; exit 100 1; +1.25")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > exit 100 1              STARTING -> BACKOFF  exit status 1 before it was up; retry 1
    > +1.25
    < spawn web               BACKOFF -> STARTING  attempt 2
    """)


def test_a_long_run_forgets_failures() -> None:
    """After backoff_reset the next crash is the first again."""
    world = World(program("web", backoff_reset=60.0))
    told = world.play("start web; spawned; +1; exit 100 1; spawned; +60; exit 101 1")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > exit 100 1              RUNNING -> EXITED    exit status 1, not in success_exit_codes
    < spawn web               EXITED -> STARTING   exit status 1, not in success_exit_codes
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > +59                     failures forgotten: 1
    > exit 101 1              RUNNING -> EXITED    exit status 1, not in success_exit_codes
    < spawn web               EXITED -> STARTING   exit status 1, not in success_exit_codes
    """)


def test_failures_are_forgotten_even_if_nobody_looked() -> None:
    """The length of the run decides, not the moment at which its deadline was handled."""
    world = World(program("web", backoff_reset=60.0))
    told = world.play("start web; spawned; +1; exit 100 1; spawned; +1; busy 59; exit 101 1")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > exit 100 1              RUNNING -> EXITED    exit status 1, not in success_exit_codes
    < spawn web               EXITED -> STARTING   exit status 1, not in success_exit_codes
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > busy 59
    > exit 101 1              RUNNING -> EXITED    exit status 1, not in success_exit_codes
    < spawn web               EXITED -> STARTING   exit status 1, not in success_exit_codes
    """)


def test_success_is_left_alone() -> None:
    """On-failure: exit code 0 ends the work."""
    world = World(program("job"))
    told = world.play("start job; spawned; +1; exit 100 0")
    assert told == cleandoc("""
    > start job
    < spawn job               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > exit 100 0              RUNNING -> EXITED    exit status 0, which counts as success
    """)


def test_an_early_success_is_a_success() -> None:
    """Natively a job may be quicker than min_uptime; only its exit code counts."""
    world = World(program("job"))
    told = world.play("start job; spawned; exit 100 0")
    assert told == cleandoc("""
    > start job
    < spawn job               STOPPED -> STARTING  start requested
    > spawned
    > exit 100 0              STARTING -> EXITED   exit status 0, which counts as success
    """)


def test_an_early_failure_is_retried() -> None:
    """An exit before min_uptime that is no success is a failed start."""
    world = World(program("web"))
    told = world.play("start web; spawned; exit 100 2; +0.5; spawned; exit 101 2; +1")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > exit 100 2              STARTING -> BACKOFF  exit status 2 before it was up; retry 1
    > +0.5
    < spawn web               BACKOFF -> STARTING  attempt 2
    > spawned
    > exit 101 2              STARTING -> BACKOFF  exit status 2 before it was up; retry 2
    > +1
    < spawn web               BACKOFF -> STARTING  attempt 3
    """)


def test_an_early_failure_is_left_where_restart_is_off() -> None:
    """Restart = no: whatever happens, it happens once."""
    world = World(program("job", mode=RestartMode.NO))
    told = world.play("start job; spawned; exit 100 2")
    assert told == cleandoc("""
    > start job
    < spawn job               STOPPED -> STARTING  start requested
    > spawned
    > exit 100 2              STARTING -> EXITED   exit status 2; restart is off
    """)
    assert world.view("job").spawn_error == "Bad exit code 2"
    assert world.view("job").expected_running


def test_a_crash_is_left_where_restart_is_off() -> None:
    """Restart = no holds for a run that had come up as well."""
    world = World(program("job", mode=RestartMode.NO))
    told = world.play("start job; spawned; +1; killed 100 SEGV")
    assert told == cleandoc("""
    > start job
    < spawn job               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > killed 100 SEGV         RUNNING -> EXITED    terminated by SIGSEGV; restart is off
    """)
    assert world.view("job").spawn_error == "terminated by SIGSEGV"


def test_exit_codes_can_forbid_a_restart() -> None:
    """restart_prevent_exit_codes: this can't be cured by trying again."""
    world = World(program("web", prevent=ExitSet(codes=frozenset({78}))))
    told = world.play(
        "start web; spawned; +1; exit 100 78; +5000; start web; spawned; exit 101 78"
    )
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > exit 100 78             RUNNING -> EXITED    exit status 78, in restart_prevent_exit_codes
                              EXITED -> FATAL      exit status 78, in restart_prevent_exit_codes
    > +5000
    > start web
    < spawn web               FATAL -> STARTING    start requested
    > spawned
    > exit 101 78             STARTING -> BACKOFF  exit status 78, in restart_prevent_exit_codes
                              BACKOFF -> FATAL     exit status 78, in restart_prevent_exit_codes
    """)


def test_too_many_restarts_are_fatal() -> None:
    """The restart limit counts restarts inside its window, and gives up at one too many."""
    world = World(
        program(
            "web",
            run_backoff=LinearBackoff(step=0.0),
            limit=RestartLimit(count=2, interval=100.0),
            fatal_retry_delay=None,
        )
    )
    told = world.play(
        "start web; spawned; +2; exit 100 1; spawned; +2; exit 101 1; spawned; +2; "
        "exit 102 1; +1000"
    )
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > +1
    > exit 100 1              RUNNING -> EXITED    exit status 1, not in success_exit_codes
    < spawn web               EXITED -> STARTING   exit status 1, not in success_exit_codes
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > +1
    > exit 101 1              RUNNING -> EXITED    exit status 1, not in success_exit_codes
    < spawn web               EXITED -> STARTING   exit status 1, not in success_exit_codes
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > +1
    > exit 102 1              RUNNING -> EXITED    2 automatic restarts in 100 s, then exit status 1
                              EXITED -> FATAL      2 automatic restarts in 100 s, then exit status 1
    > +1000
    """)


def test_restarts_outside_the_window_are_no_limit() -> None:
    """A crash now and then is what restarts are for."""
    world = World(program("web", limit=RestartLimit(count=1, interval=100.0)))
    told = world.play(
        "start web; spawned; +2; exit 100 1; spawned; +100; exit 101 1; spawned; +99; exit 102 1"
    )
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > +1
    > exit 100 1              RUNNING -> EXITED    exit status 1, not in success_exit_codes
    < spawn web               EXITED -> STARTING   exit status 1, not in success_exit_codes
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > +59                     failures forgotten: 1
    > +40
    > exit 101 1              RUNNING -> EXITED    exit status 1, not in success_exit_codes
    < spawn web               EXITED -> STARTING   exit status 1, not in success_exit_codes
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > +59                     failures forgotten: 1
    > +39
    > exit 102 1              RUNNING -> EXITED    1 automatic restarts in 100 s, then exit status 1
                              EXITED -> FATAL      1 automatic restarts in 100 s, then exit status 1
    """)


def test_fatal_is_left_by_a_slow_retry() -> None:
    """FATAL need not be for ever: after fatal_retry_delay all attempts begin again."""
    world = World(program("web", failed_starts_max=0, fatal_retry_delay=900.0))
    told = world.play("start web; no spawn; +900; no spawn; +900; spawned; +1")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > no spawn                STARTING -> BACKOFF  too many start retries too quickly (0 allowed), the last: no fork
                              BACKOFF -> FATAL     too many start retries too quickly (0 allowed), the last: no fork
    > +900
    < spawn web               FATAL -> STARTING    slow retry out of FATAL
    > no spawn                STARTING -> BACKOFF  too many start retries too quickly (0 allowed), the last: no fork
                              BACKOFF -> FATAL     too many start retries too quickly (0 allowed), the last: no fork
    > +900
    < spawn web               FATAL -> STARTING    slow retry out of FATAL
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    """)


def test_a_start_by_hand_forgets_the_past() -> None:
    """An operator who starts it gives it all its attempts again."""
    world = World(supervisor_program("web", startretries=1))
    told = world.play(
        "start web; spawned; exit 100 1; stop web; start web; spawned; exit 101 1; "
        "start web; spawned; exit 102 1; +1; spawned; exit 103 1; start web; spawned; "
        "exit 104 1"
    )
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > exit 100 1              STARTING -> BACKOFF  exit status 1 before it was up; retry 1 of 1
    > stop web                BACKOFF -> STOPPED   stop requested (manual)
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > exit 101 1              STARTING -> BACKOFF  exit status 1 before it was up; retry 1 of 1
    > start web
    < spawn web               BACKOFF -> STARTING  start requested
    > spawned
    > exit 102 1              STARTING -> BACKOFF  exit status 1 before it was up; retry 1 of 1
    > +1
    < spawn web               BACKOFF -> STARTING  attempt 2
    > spawned
    > exit 103 1              STARTING -> BACKOFF  too many start retries too quickly (1 allowed), the last: exit status 1
                              BACKOFF -> FATAL     too many start retries too quickly (1 allowed), the last: exit status 1
    > start web
    < spawn web               FATAL -> STARTING    start requested
    > spawned
    > exit 104 1              STARTING -> BACKOFF  exit status 1 before it was up; retry 1 of 1
    """)


def test_a_start_that_cannot_be_made_is_a_failed_start() -> None:
    """The reason is the kernel's, and the attempts are those of any failed start."""
    world = World(program("web", failed_starts_max=1, fatal_retry_delay=None))
    told = world.play("start web; no spawn no such file; +0.5; no spawn no such file")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > no spawn no such file   STARTING -> BACKOFF  no such file; retry 1 of 1
    > +0.5
    < spawn web               BACKOFF -> STARTING  attempt 2
    > no spawn no such file   STARTING -> BACKOFF  too many start retries too quickly (1 allowed), the last: no such file
                              BACKOFF -> FATAL     too many start retries too quickly (1 allowed), the last: no such file
    """)
    assert world.view("web").spawn_error == "no such file"


def test_a_start_that_cannot_be_made_is_fatal_where_restart_is_off() -> None:
    """There was no run to leave as it ended: somebody has to look."""
    world = World(program("job", mode=RestartMode.NO))
    told = world.play("start job; no spawn no such user")
    assert told == cleandoc("""
    > start job
    < spawn job               STOPPED -> STARTING  start requested
    > no spawn no such user   STARTING -> BACKOFF  no such user; restart is off
                              BACKOFF -> FATAL     no such user; restart is off
    """)


def test_always_brings_back_a_success() -> None:
    """Restart = always: even exit code 0, but not in a hot loop."""
    world = World(program("web", mode=RestartMode.ALWAYS))
    told = world.play("start web; spawned; exit 100 0; spawned; exit 101 0; +0.5")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > exit 100 0              STARTING -> EXITED   exit status 0, restart is always
    < spawn web               EXITED -> STARTING   exit status 0, restart is always
    > spawned
    > exit 101 0              STARTING -> EXITED   exit status 0, restart is always
                              EXITED -> BACKOFF    exit status 0, restart is always
    > +0.5
    < spawn web               BACKOFF -> STARTING  restart after the delay
    """)


def test_a_signal_that_was_asked_for_is_told_as_such() -> None:
    """Of that run: the next one may get it from somebody else."""
    world = World(program("web"))
    told = world.play(
        "start web; spawned 100; +5; signal web KILL; killed 100 KILL; spawned 101; +1; "
        "killed 101 KILL"
    )
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned 100
    > +1                      STARTING -> RUNNING  up for 1 s
    > +4
    > signal web KILL
    < KILL process 100
    > killed 100 KILL         RUNNING -> EXITED    terminated by SIGKILL, a signal that was asked for
    < spawn web               EXITED -> STARTING   terminated by SIGKILL, a signal that was asked for
    > spawned 101
    > +1                      STARTING -> RUNNING  up for 1 s
    > killed 101 KILL         RUNNING -> EXITED    terminated by SIGKILL, a signal nobody here sent
                              EXITED -> BACKOFF    terminated by SIGKILL, a signal nobody here sent
    """)


def test_a_signal_that_was_asked_for_is_known_of_the_last_run() -> None:
    """While the next one is there, and whatever that is sent."""
    world = World(program("web"))
    world.play("start web; spawned 100; +5; signal web KILL; killed 100 KILL; spawned 101; +1")
    assert world.view("web").last_signal_asked
    world.play("killed 101 KILL")
    assert not world.view("web").last_signal_asked
    world.play("+60; spawned 102; +5; signal web KILL")
    assert not world.view("web").last_signal_asked
