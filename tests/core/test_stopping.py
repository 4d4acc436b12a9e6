from inspect import cleandoc

import pytest
from programs import process_id, program, supervisor_program
from world import World

from opsvisor.core.outcome import ExitCause
from opsvisor.core.spec import KillMode, RestartLimit


def test_sigkill_follows_after_kill_delay() -> None:
    """It is asked once, then killed; SIGCONT wakes what is suspended."""
    world = World(program("web", kill_delay=5.0, signal=2))
    told = world.play("start web; spawned; +1; stop web; +4.9; +0.1; killed 100 KILL")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > stop web
    < INT group 100           RUNNING -> STOPPING  stop requested (manual)
    < CONT group 100
    > +4.9
    > +0.1
    < KILL group 100
    > killed 100 KILL         STOPPING -> STOPPED  stopped (manual)
    """)


def test_a_survivor_of_sigkill_is_told_of_and_killed_again() -> None:
    """A process stuck in the kernel keeps its deadline and can't be forgotten."""
    world = World(program("web", kill_delay=5.0))
    told = world.play("start web; spawned; +1; stop web; +15")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > stop web
    < TERM group 100          RUNNING -> STOPPING  stop requested (manual)
    < CONT group 100
    > +5
    < KILL group 100
    > +5
    < KILL group 100          survived SIGKILL 1
    > +5
    < KILL group 100          survived SIGKILL 2
    """)
    assert world.view("web").kills_survived == 2
    assert world.view("web").reason == "outlived SIGKILL 2 times: it is stuck in the kernel"


def test_without_kill_delay_sigkill_comes_at_once() -> None:
    """kill_delay = 0 asks for one SIGKILL at once, then for one each second, not for a storm."""
    world = World(program("web", kill_delay=0.0))
    told = world.play("start web; spawned; +1; stop web; +0; +1")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > stop web
    < TERM group 100          RUNNING -> STOPPING  stop requested (manual)
    < CONT group 100
    > +0
    < KILL group 100
    > +1
    < KILL group 100          survived SIGKILL 1
    """)


def test_signals_go_where_the_policy_says() -> None:
    """Supervisor's default: the process alone is asked, and killed."""
    world = World(program("web", signal_mode=KillMode.PROCESS, kill_mode=KillMode.PROCESS))
    told = world.play("start web; spawned; +1; stop web; +10")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > stop web
    < TERM process 100        RUNNING -> STOPPING  stop requested (manual)
    < CONT process 100
    > +10
    < KILL process 100
    """)


def test_sigkill_may_reach_further_than_the_stop_signal() -> None:
    """Killasgroup without stopasgroup: ask the process, kill the group."""
    world = World(program("web", signal_mode=KillMode.PROCESS, kill_mode=KillMode.GROUP))
    told = world.play("start web; spawned; +1; stop web; +10")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > stop web
    < TERM process 100        RUNNING -> STOPPING  stop requested (manual)
    < CONT process 100
    > +10
    < KILL group 100
    """)


@pytest.mark.parametrize("mode", KillMode)
def test_a_stop_ends_the_whole_tree_unless_it_is_to_do_less(mode: KillMode) -> None:
    """Asked by whoever is told of an end: only while it is being stopped."""
    web = process_id("web")
    world = World(program("web", kill_mode=mode))
    world.play("start web; spawned; +1")
    assert not world.supervisor.ends_whole_tree(web)
    assert "KILL" in world.play("stop web; +10")
    assert world.supervisor.ends_whole_tree(web) is (mode is KillMode.CGROUP)
    world.play("killed 100 KILL")
    assert not world.supervisor.ends_whole_tree(web)
    assert not world.supervisor.ends_whole_tree(process_id("gone"))


def test_a_stop_in_starting_is_a_stop() -> None:
    """What has not come up yet is asked to end like any other, and its end is no failure."""
    world = World(supervisor_program("web"))
    told = world.play("start web; spawned; +0.5; stop web; exit 100 1; +100")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +0.5
    > stop web
    < TERM group 100          STARTING -> STOPPING stop requested (manual)
    < CONT group 100
    > exit 100 1              STOPPING -> STOPPED  stopped (manual)
    > +100
    """)


def test_a_stop_in_backoff_ends_the_attempts() -> None:
    """There is nothing to signal, and no further attempt comes."""
    world = World(program("web"))
    told = world.play("start web; spawned; exit 100 1; stop web; +100")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > exit 100 1              STARTING -> BACKOFF  exit status 1 before it was up; retry 1
    > stop web                BACKOFF -> STOPPED   stop requested (manual)
    > +100
    """)


def test_a_stop_in_fatal_ends_the_slow_retry() -> None:
    """Who stops it in FATAL does not want it back in a quarter of an hour."""
    world = World(program("web", failed_starts_max=0))
    told = world.play("start web; no spawn; stop web; +5000")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > no spawn                STARTING -> BACKOFF  too many start retries too quickly (0 allowed), the last: no fork
                              BACKOFF -> FATAL     too many start retries too quickly (0 allowed), the last: no fork
    > stop web                FATAL -> STOPPED     stop requested (manual)
    > +5000
    """)


def test_a_stop_of_what_is_down_changes_nothing() -> None:
    """STOPPED, EXITED and a FATAL without slow retry stay as they are."""
    world = World(
        program("web"),
        program("job"),
        program("bad", limit=RestartLimit(count=0), fatal_retry_delay=None),
    )
    told = world.play(
        "stop web; start job; spawned; exit 100 0; stop job; start bad; no spawn; stop bad"
    )
    assert told == cleandoc("""
    > stop web
    > start job
    < spawn job               job: STOPPED -> STARTING  start requested
    > spawned
    > exit 100 0              job: STARTING -> EXITED   exit status 0, which counts as success
    > stop job
    > start bad
    < spawn bad               bad: STOPPED -> STARTING  start requested
    > no spawn                bad: STARTING -> BACKOFF  0 automatic restarts in 600 s, then no fork
                              bad: BACKOFF -> FATAL     0 automatic restarts in 600 s, then no fork
    > stop bad
    """)


def test_a_stop_before_the_fork_calls_it_off() -> None:
    """The spawn still waited: it is not made at all."""
    world = World(program("web"))
    told = world.play("start web; stop web; no spawn called off")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > stop web
    < cancel spawn web
    > no spawn called off     STARTING -> STOPPED  stop requested while starting
    """)


def test_a_stop_during_the_fork_is_not_lost() -> None:
    """The spawn was done already: the process is ended the moment we hear of it."""
    world = World(program("web", min_uptime=0.0))
    told = world.play("start web; stop web; stop web; spawned; killed 100 TERM")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > stop web
    < cancel spawn web
    > stop web
    > spawned
    < TERM group 100          STARTING -> STOPPING stop requested (manual)
    < CONT group 100
    > killed 100 TERM         STOPPING -> STOPPED  stopped (manual)
    """)


def test_a_start_after_a_stop_during_the_fork_starts_again() -> None:
    """The last wish counts, even if it comes before the fork is answered."""
    world = World(program("web"))
    told = world.play(
        "start web; stop web; start web; no spawn called off; stop web; start web; "
        "spawned; exit 100 0"
    )
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > stop web
    < cancel spawn web
    > start web
    > no spawn called off     STARTING -> STOPPED  stop requested while starting
    < spawn web               STOPPED -> STARTING  restart (manual)
    > stop web
    < cancel spawn web
    > start web
    > spawned
    < TERM group 100          STARTING -> STOPPING stop requested (manual)
    < CONT group 100
    > exit 100 0              STOPPING -> STOPPED  stopped (manual)
    < spawn web               STOPPED -> STARTING  restart (manual)
    """)


def test_a_restart_during_the_fork_starts_again() -> None:
    """Restart before the fork is answered: this one is ended, and one more is made."""
    world = World(program("web"))
    told = world.play("start web; restart web; spawned; killed 100 TERM; spawned")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > restart web
    < cancel spawn web
    > spawned
    < TERM group 100          STARTING -> STOPPING stop requested (manual)
    < CONT group 100
    > killed 100 TERM         STOPPING -> STOPPED  stopped (manual)
    < spawn web               STOPPED -> STARTING  restart (manual)
    > spawned
    """)


def test_a_start_while_stopping_is_remembered() -> None:
    """It comes back as soon as it is down, with a clean slate."""
    world = World(program("web"))
    told = world.play("start web; spawned; +1; stop web; start web; killed 100 TERM; spawned; +1")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > stop web
    < TERM group 100          RUNNING -> STOPPING  stop requested (manual)
    < CONT group 100
    > start web
    > killed 100 TERM         STOPPING -> STOPPED  stopped (manual)
    < spawn web               STOPPED -> STARTING  restart (manual)
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    """)


def test_a_stop_while_stopping_takes_back_the_start() -> None:
    """Stop, start, stop: it stays down."""
    world = World(program("web"))
    told = world.play(
        "start web; spawned; +1; stop web; start web; stop web; killed 100 TERM; +100"
    )
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > stop web
    < TERM group 100          RUNNING -> STOPPING  stop requested (manual)
    < CONT group 100
    > start web
    > stop web
    > killed 100 TERM         STOPPING -> STOPPED  stopped (manual)
    > +100
    """)


def test_a_refused_signal_makes_it_unknown() -> None:
    """The kernel won't let us signal it: nobody knows, until it ends after all."""
    world = World(program("web"))
    told = world.play("start web; spawned; +1; stop web; refuse 100; refuse 100; +100; exit 100 0")
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
    > refuse 100              signal refused
    > +100
    > exit 100 0              UNKNOWN -> STOPPED   ended after all
    """)
    assert world.view("web").last_cause is ExitCause.MANUAL


def test_an_unknown_process_can_be_stopped_again() -> None:
    """Perhaps it can be signalled now: an operator may try."""
    world = World(program("web"))
    told = world.play("start web; spawned; +1; stop web; refuse 100; stop web; killed 100 TERM")
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
    > stop web
    < TERM group 100          UNKNOWN -> STOPPING  stop requested (manual)
    < CONT group 100
    > killed 100 TERM         STOPPING -> STOPPED  stopped (manual)
    """)


def test_a_start_of_an_unknown_process_is_remembered() -> None:
    """It comes back when it is down after all, as out of STOPPING."""
    world = World(program("web"))
    told = world.play("start web; spawned; +1; stop web; refuse 100; start web; exit 100 0")
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
    > start web
    > exit 100 0              UNKNOWN -> STOPPED   ended after all
    < spawn web               STOPPED -> STARTING  restart (manual)
    """)


def test_a_refused_restart_is_not_cut_in_half() -> None:
    """The stop failed, the start is still owed."""
    world = World(program("web"))
    told = world.play("start web; spawned; +1; restart web; refuse 100; +100; exit 100 0")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > restart web
    < TERM group 100          RUNNING -> STOPPING  stop requested (manual)
    < CONT group 100
    > refuse 100              signal refused
                              STOPPING -> UNKNOWN  can't signal it: SIGCONT: not permitted
    > +100
    > exit 100 0              UNKNOWN -> STOPPED   ended after all
    < spawn web               STOPPED -> STARTING  restart (manual)
    """)


def test_a_refused_signal_by_request_changes_nothing() -> None:
    """Only a stop that fails leaves us not knowing."""
    world = World(program("web"))
    told = world.play(
        "start web; spawned; +1; signal web HUP; refuse 100; stop web; killed 100 TERM"
    )
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > signal web HUP
    < HUP process 100
    > refuse 100              signal refused
    > stop web
    < TERM group 100          RUNNING -> STOPPING  stop requested (manual)
    < CONT group 100
    > killed 100 TERM         STOPPING -> STOPPED  stopped (manual)
    """)
