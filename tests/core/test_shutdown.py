from inspect import cleandoc

from programs import plan_of, program, supervisor_program
from world import World

from opsvisor.core.events import SupervisorState
from opsvisor.core.inputs import Shutdown
from opsvisor.core.plan import EventFeed, Group, Plan
from opsvisor.core.spec import RestartLimit, Startup
from opsvisor.core.struct import replace

UP = "start db; start app; start web; spawned of db; spawned of app; spawned of web; +1; "


def three_levels() -> World:
    """Two groups to be stopped first, side by side, and one that waits for them."""
    return World(
        program("db"), program("app"), program("web"), priorities={"db": 1, "app": 5, "web": 5}
    )


def test_groups_stop_level_by_level() -> None:
    """Highest number first; one level stops side by side, and the next waits for all of it."""
    world = three_levels()
    told = world.play(UP + "shutdown; killed 101 TERM; +1; exit 102 0; exit 100 0")
    assert told == cleandoc("""
    > start db
    < spawn db                db: STOPPED -> STARTING  start requested
    > start app
    < spawn app               app: STOPPED -> STARTING  start requested
    > start web
    < spawn web               web: STOPPED -> STARTING  start requested
    > spawned of db
    > spawned of app
    > spawned of web
    > +1                      app: STARTING -> RUNNING  up for 1 s
                              db: STARTING -> RUNNING  up for 1 s
                              web: STARTING -> RUNNING  up for 1 s
    > shutdown
    < TERM group 101          app: RUNNING -> STOPPING  stop requested (shutdown)
    < CONT group 101
    < TERM group 102          web: RUNNING -> STOPPING  stop requested (shutdown)
    < CONT group 102
    > killed 101 TERM         app: STOPPING -> STOPPED  stopped (shutdown)
    > +1
    > exit 102 0              web: STOPPING -> STOPPED  stopped (shutdown)
    < TERM group 100          db: RUNNING -> STOPPING  stop requested (shutdown)
    < CONT group 100
    > exit 100 0              db: STOPPING -> STOPPED  stopped (shutdown)
    < shutdown complete
    """)


def test_processes_of_a_group_stop_by_priority() -> None:
    """Inside a level the highest number is asked first."""
    world = World(
        program("app:a", priority=1), program("app:b", priority=2), program("app:c", priority=2)
    )
    told = world.play(
        "start app:a; start app:b; start app:c; spawned of app:a; spawned of app:b; "
        "spawned of app:c; +1; shutdown"
    )
    assert told == cleandoc("""
    > start app:a
    < spawn app:a             app:a: STOPPED -> STARTING  start requested
    > start app:b
    < spawn app:b             app:b: STOPPED -> STARTING  start requested
    > start app:c
    < spawn app:c             app:c: STOPPED -> STARTING  start requested
    > spawned of app:a
    > spawned of app:b
    > spawned of app:c
    > +1                      app:a: STARTING -> RUNNING  up for 1 s
                              app:b: STARTING -> RUNNING  up for 1 s
                              app:c: STARTING -> RUNNING  up for 1 s
    > shutdown
    < TERM group 101          app:b: RUNNING -> STOPPING  stop requested (shutdown)
    < CONT group 101
    < TERM group 102          app:c: RUNNING -> STOPPING  stop requested (shutdown)
    < CONT group 102
    < TERM group 100          app:a: RUNNING -> STOPPING  stop requested (shutdown)
    < CONT group 100
    """)


def test_an_idle_daemon_is_done_at_once() -> None:
    """Nothing alive, nothing to wait for."""
    world = World(program("web"))
    told = world.play("shutdown; shutdown")
    assert told == cleandoc("""
    > shutdown
    < shutdown complete
    > shutdown
    """)
    assert world.is_complete


def test_shutdown_kills_the_stubborn() -> None:
    """SIGKILL after kill_delay, as in any stop."""
    world = World(program("web", kill_delay=3.0))
    told = world.play("start web; spawned; +1; shutdown; +3; killed 100 KILL")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > shutdown
    < TERM group 100          RUNNING -> STOPPING  stop requested (shutdown)
    < CONT group 100
    > +3
    < KILL group 100
    > killed 100 KILL         STOPPING -> STOPPED  stopped (shutdown)
    < shutdown complete
    """)


def test_shutdown_during_the_fork() -> None:
    """Both answers: the one that is called off, and the one that came too late to be."""
    world = World(program("a"), program("b"))
    told = world.play(
        "start a; start b; shutdown; no spawn of a called off; spawned of b; killed 100 TERM"
    )
    assert told == cleandoc("""
    > start a
    < spawn a                 a: STOPPED -> STARTING  start requested
    > start b
    < spawn b                 b: STOPPED -> STARTING  start requested
    > shutdown
    < cancel spawn a
    < cancel spawn b
    > no spawn of a called off a: STARTING -> STOPPED  stop requested while starting
    > spawned of b
    < TERM group 100          b: STARTING -> STOPPING stop requested (shutdown)
    < CONT group 100
    > killed 100 TERM         b: STOPPING -> STOPPED  stopped (shutdown)
    < shutdown complete
    """)


def test_nothing_is_retried_during_shutdown() -> None:
    """BACKOFF and the slow retry out of FATAL are over for every level at once."""
    world = World(
        program("db"),
        program("bad", limit=RestartLimit(count=0)),
        program("web"),
        priorities={"db": 1, "bad": 1, "web": 5},
    )
    told = world.play(
        "start db; start bad; start web; no spawn of db; no spawn of bad; "
        "spawned of web; shutdown; +9; killed 100 TERM; +5000"
    )
    assert told == cleandoc("""
    > start db
    < spawn db                db: STOPPED -> STARTING  start requested
    > start bad
    < spawn bad               bad: STOPPED -> STARTING  start requested
    > start web
    < spawn web               web: STOPPED -> STARTING  start requested
    > no spawn of db          db: STARTING -> BACKOFF  no fork; retry 1
    > no spawn of bad         bad: STARTING -> BACKOFF  0 automatic restarts in 600 s, then no fork
                              bad: BACKOFF -> FATAL     0 automatic restarts in 600 s, then no fork
    > spawned of web
    > shutdown                bad: FATAL -> STOPPED     stop requested (shutdown)
                              db: BACKOFF -> STOPPED   stop requested (shutdown)
    < TERM group 100          web: STARTING -> STOPPING stop requested (shutdown)
    < CONT group 100
    > +9
    > killed 100 TERM         web: STOPPING -> STOPPED  stopped (shutdown)
    < shutdown complete
    > +5000
    """)


def test_nothing_is_restarted_during_shutdown() -> None:
    """A level that waits for its turn runs on; what crashes there stays down."""
    world = three_levels()
    told = world.play(UP + "shutdown; exit 100 1; killed 101 TERM; killed 102 TERM")
    assert told == cleandoc("""
    > start db
    < spawn db                db: STOPPED -> STARTING  start requested
    > start app
    < spawn app               app: STOPPED -> STARTING  start requested
    > start web
    < spawn web               web: STOPPED -> STARTING  start requested
    > spawned of db
    > spawned of app
    > spawned of web
    > +1                      app: STARTING -> RUNNING  up for 1 s
                              db: STARTING -> RUNNING  up for 1 s
                              web: STARTING -> RUNNING  up for 1 s
    > shutdown
    < TERM group 101          app: RUNNING -> STOPPING  stop requested (shutdown)
    < CONT group 101
    < TERM group 102          web: RUNNING -> STOPPING  stop requested (shutdown)
    < CONT group 102
    > exit 100 1              db: RUNNING -> EXITED    exit status 1; shutdown has begun
    > killed 101 TERM         app: STOPPING -> STOPPED  stopped (shutdown)
    > killed 102 TERM         web: STOPPING -> STOPPED  stopped (shutdown)
    < shutdown complete
    """)


def test_a_failed_start_is_not_retried_during_shutdown() -> None:
    """The same for what had not come up yet."""
    world = World(supervisor_program("db"), program("web"), priorities={"db": 1})
    told = world.play(
        "start db; start web; spawned of db; spawned of web; shutdown; exit 100 1; exit 101 0"
    )
    assert told == cleandoc("""
    > start db
    < spawn db                db: STOPPED -> STARTING  start requested
    > start web
    < spawn web               web: STOPPED -> STARTING  start requested
    > spawned of db
    > spawned of web
    > shutdown
    < TERM group 101          web: STARTING -> STOPPING stop requested (shutdown)
    < CONT group 101
    > exit 100 1              db: STARTING -> EXITED   exit status 1; shutdown has begun
    > exit 101 0              web: STOPPING -> STOPPED  stopped (shutdown)
    < shutdown complete
    """)


def test_a_promised_start_is_off_in_shutdown() -> None:
    """A restart under way ends as a stop, even on a level whose turn has not come."""
    world = three_levels()
    told = world.play(
        UP + "restart db; shutdown; killed 100 TERM; killed 101 TERM; killed 102 TERM"
    )
    assert told == cleandoc("""
    > start db
    < spawn db                db: STOPPED -> STARTING  start requested
    > start app
    < spawn app               app: STOPPED -> STARTING  start requested
    > start web
    < spawn web               web: STOPPED -> STARTING  start requested
    > spawned of db
    > spawned of app
    > spawned of web
    > +1                      app: STARTING -> RUNNING  up for 1 s
                              db: STARTING -> RUNNING  up for 1 s
                              web: STARTING -> RUNNING  up for 1 s
    > restart db
    < TERM group 100          db: RUNNING -> STOPPING  stop requested (manual)
    < CONT group 100
    > shutdown
    < TERM group 101          app: RUNNING -> STOPPING  stop requested (shutdown)
    < CONT group 101
    < TERM group 102          web: RUNNING -> STOPPING  stop requested (shutdown)
    < CONT group 102
    > killed 100 TERM         db: STOPPING -> STOPPED  stopped (manual)
    > killed 101 TERM         app: STOPPING -> STOPPED  stopped (shutdown)
    > killed 102 TERM         web: STOPPING -> STOPPED  stopped (shutdown)
    < shutdown complete
    """)


def test_requests_start_nothing_during_shutdown() -> None:
    """Start is ignored, restart is a stop, new plans are not carried out."""
    world = World(program("db"), program("web"), priorities={"db": 1}).knows(
        "v2", program("new", startup=Startup.ENABLED)
    )
    told = world.play(
        "start db; start web; spawned of db; spawned of web; +1; shutdown; start web; "
        "restart db; apply v2; exit 101 0; start web; exit 100 0"
    )
    assert told == cleandoc("""
    > start db
    < spawn db                db: STOPPED -> STARTING  start requested
    > start web
    < spawn web               web: STOPPED -> STARTING  start requested
    > spawned of db
    > spawned of web
    > +1                      db: STARTING -> RUNNING  up for 1 s
                              web: STARTING -> RUNNING  up for 1 s
    > shutdown
    < TERM group 101          web: RUNNING -> STOPPING  stop requested (shutdown)
    < CONT group 101
    > start web
    > restart db
    < TERM group 100          db: RUNNING -> STOPPING  stop requested (manual)
    < CONT group 100
    > apply v2
    > exit 101 0              web: STOPPING -> STOPPED  stopped (shutdown)
    > start web
    > exit 100 0              db: STOPPING -> STOPPED  stopped (manual)
    < shutdown complete
    """)


def test_shutdown_goes_on_past_what_cannot_be_signalled() -> None:
    """Waiting for a process that no signal reaches would be waiting for ever."""
    world = World(program("db"), program("web"), priorities={"db": 1})
    told = world.play(
        "start db; start web; spawned of db; spawned of web; +1; shutdown; refuse 101; "
        "exit 100 0; exit 101 0"
    )
    assert told == cleandoc("""
    > start db
    < spawn db                db: STOPPED -> STARTING  start requested
    > start web
    < spawn web               web: STOPPED -> STARTING  start requested
    > spawned of db
    > spawned of web
    > +1                      db: STARTING -> RUNNING  up for 1 s
                              web: STARTING -> RUNNING  up for 1 s
    > shutdown
    < TERM group 101          web: RUNNING -> STOPPING  stop requested (shutdown)
    < CONT group 101
    > refuse 101              web: signal refused
                              web: STOPPING -> UNKNOWN  can't signal it: SIGCONT: not permitted
    < TERM group 100          db: RUNNING -> STOPPING  stop requested (shutdown)
    < CONT group 100
    > exit 100 0              db: STOPPING -> STOPPED  stopped (shutdown)
    < shutdown complete
    > exit 101 0              web: UNKNOWN -> STOPPED   ended after all
    """)


def test_shutdown_does_not_wait_for_what_was_unknown_before() -> None:
    """It is asked once more, and the answer is the same."""
    world = World(program("web"))
    told = world.play("start web; spawned; +1; stop web; refuse 100; shutdown; refuse 100")
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
    > shutdown
    < TERM group 100          UNKNOWN -> STOPPING  stop requested (shutdown)
    < CONT group 100
    > refuse 100              signal refused
                              STOPPING -> UNKNOWN  can't signal it: SIGCONT: not permitted
    < shutdown complete
    """)


def test_what_was_removed_is_still_waited_for() -> None:
    """A program on its way out of the plan is stopped with its level."""
    world = World(program("web")).knows("none")
    told = world.play("start web; spawned; +1; apply none; shutdown; exit 100 0")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    > +1                      STARTING -> RUNNING  up for 1 s
    > apply none
    < TERM group 100          RUNNING -> STOPPING  stop requested (config)
    < CONT group 100
    > shutdown
    > exit 100 0              STOPPING -> STOPPED  stopped (config)
    < forget web              removed
    < shutdown complete
    """)


def test_nothing_is_owed_to_an_unknown_process_in_shutdown() -> None:
    """A promised start is off, even if it ends before its turn."""
    world = World(program("db"), program("web"), priorities={"db": 1})
    told = world.play(
        "start db; start web; spawned of db; spawned of web; +1; restart db; refuse 100; "
        "shutdown; exit 100 0; exit 101 0"
    )
    assert told == cleandoc("""
    > start db
    < spawn db                db: STOPPED -> STARTING  start requested
    > start web
    < spawn web               web: STOPPED -> STARTING  start requested
    > spawned of db
    > spawned of web
    > +1                      db: STARTING -> RUNNING  up for 1 s
                              web: STARTING -> RUNNING  up for 1 s
    > restart db
    < TERM group 100          db: RUNNING -> STOPPING  stop requested (manual)
    < CONT group 100
    > refuse 100              db: signal refused
                              db: STOPPING -> UNKNOWN  can't signal it: SIGCONT: not permitted
    > shutdown
    < TERM group 101          web: RUNNING -> STOPPING  stop requested (shutdown)
    < CONT group 101
    > exit 100 0              db: UNKNOWN -> STOPPED   ended after all
    > exit 101 0              web: STOPPING -> STOPPED  stopped (shutdown)
    < shutdown complete
    """)


def with_a_listener() -> World:
    """A program, and a process on a lower level that is told events; both are up."""
    plan = plan_of(program("lis"), program("web"), priorities={"lis": -1})
    feed = EventFeed(kinds=("ANY",))
    world = World()
    world.plans["fed"] = Plan.of(
        [replace(group, feed=feed if group.name == "lis" else None) for group in plan.groups]
    )
    world.play("apply fed; start lis; start web; spawned of lis; spawned of web; +1")
    return world


def test_who_is_told_events_hears_of_the_end_of_the_others() -> None:
    """Its level is stopped when everything has been answered, and not before."""
    told = with_a_listener().play(
        "settled; shutdown; settled; exit 101 0; +0.5; settled; exit 100 0"
    )
    assert told == cleandoc("""
    > settled
    > shutdown
    < TERM group 101          web: RUNNING -> STOPPING  stop requested (shutdown)
    < CONT group 101
    > settled
    > exit 101 0              web: STOPPING -> STOPPED  stopped (shutdown)
    > +0.5
    > settled
    < TERM group 100          lis: RUNNING -> STOPPING  stop requested (shutdown)
    < CONT group 100
    > exit 100 0              lis: STOPPING -> STOPPED  stopped (shutdown)
    < shutdown complete
    """)


def test_a_listener_that_does_not_answer_is_waited_for_a_second() -> None:
    """Then it is stopped like anything else."""
    told = with_a_listener().play("shutdown; exit 101 0; +5; exit 100 0")
    assert told == cleandoc("""
    > shutdown
    < TERM group 101          web: RUNNING -> STOPPING  stop requested (shutdown)
    < CONT group 101
    > exit 101 0              web: STOPPING -> STOPPED  stopped (shutdown)
    > +1
    < TERM group 100          lis: RUNNING -> STOPPING  stop requested (shutdown)
    < CONT group 100
    > +4
    > exit 100 0              lis: STOPPING -> STOPPED  stopped (shutdown)
    < shutdown complete
    """)


def test_nobody_waits_for_a_listener_that_is_not_up() -> None:
    """It would be told nothing."""
    told = with_a_listener().play("stop lis; exit 100 0; shutdown; exit 101 0")
    assert told == cleandoc("""
    > stop lis
    < TERM group 100          lis: RUNNING -> STOPPING  stop requested (manual)
    < CONT group 100
    > exit 100 0              lis: STOPPING -> STOPPED  stopped (manual)
    > shutdown
    < TERM group 101          web: RUNNING -> STOPPING  stop requested (shutdown)
    < CONT group 101
    > exit 101 0              web: STOPPING -> STOPPED  stopped (shutdown)
    < shutdown complete
    """)


def test_a_listener_that_ends_by_itself_is_not_waited_for_longer() -> None:
    """The rest of its second at most, if nobody says that all is settled."""
    world = with_a_listener()
    told = world.play("shutdown; exit 101 0; exit 100 1; +2")
    assert told == cleandoc("""
    > shutdown
    < TERM group 101          web: RUNNING -> STOPPING  stop requested (shutdown)
    < CONT group 101
    > exit 101 0              web: STOPPING -> STOPPED  stopped (shutdown)
    > exit 100 1              lis: RUNNING -> EXITED    exit status 1; shutdown has begun
    > +1
    < shutdown complete
    > +1
    """)


def test_others_have_their_deadlines_while_a_listener_is_waited_for() -> None:
    """What comes first is seen to first."""
    world = with_a_listener()
    plan = world.plans["fed"]
    late = program("late", min_uptime=0.5)
    world.plans["more"] = Plan.of(
        [*plan.groups, Group(name="late", priority=-9, processes=(late,))]
    )
    world.play("apply more; start late; spawned of late; shutdown")
    assert world.play("exit 101 0; +2") == cleandoc("""
    > exit 101 0              web: STOPPING -> STOPPED  stopped (shutdown)
    > +0.5                    late: STARTING -> RUNNING  up for 0.5 s
    > +0.5
    < TERM group 100          lis: RUNNING -> STOPPING  stop requested (shutdown)
    < CONT group 100
    > +1
    """)


def test_an_end_for_good_outranks_a_reload() -> None:
    """Everything is being stopped already: only what follows is another."""
    world = World(program("web"))
    world.play("start web; spawned 100; +2")
    world.happens(Shutdown("files changed", to_reload=True), "reload")
    assert world.happens(Shutdown("files changed", to_reload=True), "reload") == []
    world.happens(Shutdown("SIGTERM"), "shutdown")
    assert world.supervisor.state is SupervisorState.STOPPING
    world.play("exit 100 0")
    assert world.is_complete
