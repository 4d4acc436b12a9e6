"""What probes come to: readiness, restarts for a process's health, and who may take those over."""

from inspect import cleandoc

import pytest
from programs import process_id, program
from world import World

from opsvisor.core import events as fact
from opsvisor.core.health import Health
from opsvisor.core.inputs import Probed
from opsvisor.core.outcome import ExitCause
from opsvisor.core.probes import ProbeKind, ProbeSpec, ProbeView, TcpProbe
from opsvisor.core.spec import ExitSet, FlappingPolicy, Pid, RestartLimit, RestartMode
from opsvisor.core.state import PublicState

WEB = process_id("web")
PORT = TcpProbe(host="127.0.0.1", port=80)
PROBE = ProbeSpec(handler=PORT)
TWICE = ProbeSpec(handler=PORT, failure_threshold=2)
ONCE = ProbeSpec(handler=PORT, failure_threshold=1)


def test_readiness_comes_and_goes_and_ends_nothing() -> None:
    """Three wrong answers in a row make it not ready, one right answer ready again."""
    world = World(program("web", readiness_probe=PROBE))
    told = world.play("start web; spawned; probe web readiness fails connection refused; +1")
    assert not world.view("web").ready
    told += "\n" + world.play(
        "probe web readiness ok; probe web readiness fails; probe web readiness fails"
    )
    assert world.view("web").ready
    told += "\n" + world.play("probe web readiness fails; probe web readiness ok; stop web")
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    < ask web readiness
    > probe web readiness fails connection refused
    > +1                      STARTING -> RUNNING  up for 1 s
    > probe web readiness ok  readiness passes: http 200 (1 in a row)
    > probe web readiness fails
    > probe web readiness fails
    > probe web readiness fails readiness fails: http 503 (3 in a row)
    > probe web readiness ok  readiness passes: http 200 (1 in a row)
    > stop web
    < ask no readiness web    RUNNING -> STOPPING  stop requested (manual)
    < TERM group 100
    < CONT group 100
    """)
    assert not world.view("web").ready


def test_those_without_probes_share_what_never_changes() -> None:
    """What is remembered of one, or begins to be asked of it, is not said of the others."""
    web, job = (Health.of(program(name)) for name in ("web", "job"))
    remembered = web.own()
    remembered.recall((), "liveness probe failed: refused", is_exact=True)
    asked = program("job", readiness_probe=PROBE)
    probed = job.own()
    probed.take(asked, None)
    assert (len(probed.probes), len(remembered.probes)) == (1, 0)
    for one in (web, job, Health.of(program("other"))):
        assert (one.complaint, one.probes) == ("", {})
    assert remembered.complaint == "liveness probe failed: refused"


def test_a_ready_process_is_up_first() -> None:
    """A right answer before `min_uptime` is remembered, not yet believed."""
    world = World(program("web", readiness_probe=PROBE))
    world.play("start web; spawned; probe web readiness ok")
    assert not world.view("web").ready
    world.play("+1")
    assert world.view("web").ready


def test_success_may_take_several_answers() -> None:
    """Wrong ones in between begin the count again."""
    probe = ProbeSpec(handler=PORT, success_threshold=2)
    world = World(program("web", readiness_probe=probe, min_uptime=0.0))
    world.play("start web; spawned; probe web readiness ok; probe web readiness fails")
    world.play("probe web readiness ok")
    assert not world.view("web").ready
    world.play("probe web readiness ok")
    assert world.view("web").ready


def test_a_failed_liveness_probe_restarts() -> None:
    """It is stopped like any other, and restarted by its policy: at once, then after delays."""
    world = World(program("web", liveness_probe=TWICE))
    told = world.play(
        "start web; spawned; +1; probe web liveness ok; probe web liveness fails; "
        "probe web liveness fails; exit 100 0; spawned; +1; probe web liveness ok; "
        "probe web liveness fails; probe web liveness fails; +10; killed 101 KILL; +0.5"
    )
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    < ask web liveness
    > +1                      STARTING -> RUNNING  up for 1 s
    > probe web liveness ok   liveness passes: http 200 (1 in a row)
    > probe web liveness fails
    > probe web liveness fails liveness fails: http 503 (2 in a row)
    < ask no liveness web     RUNNING -> STOPPING  liveness probe failed: http 503
    < TERM group 100
    < CONT group 100
    > exit 100 0              STOPPING -> EXITED   liveness probe failed: http 503, which counts as failure
    < spawn web               EXITED -> STARTING   liveness probe failed: http 503, which counts as failure
    > spawned
    < ask web liveness
    > +1                      STARTING -> RUNNING  up for 1 s
    > probe web liveness ok   liveness passes: http 200 (1 in a row)
    > probe web liveness fails
    > probe web liveness fails liveness fails: http 503 (2 in a row)
    < ask no liveness web     RUNNING -> STOPPING  liveness probe failed: http 503
    < TERM group 101
    < CONT group 101
    > +10
    < KILL group 101
    > killed 101 KILL         STOPPING -> EXITED   liveness probe failed: http 503, which counts as failure
                              EXITED -> BACKOFF    liveness probe failed: http 503, which counts as failure
    > +0.5
    < spawn web               BACKOFF -> STARTING  restart after the delay
    """)
    first, second = world.of_type(fact.ProcessExited)
    assert (first.cause, first.expected) == (ExitCause.HEALTH, False)
    assert first.decision == (
        "starts again at once: liveness probe failed: http 503, which counts as failure"
    )
    assert second.cause is ExitCause.HEALTH
    spawned = world.of_type(fact.ProcessSpawned)
    assert [event.replaces for event in spawned] == [None, ExitCause.HEALTH]


def test_startup_comes_first_and_its_failure_is_a_failed_start() -> None:
    """The other two wait for it, and failed starts are retried as often as they may be."""
    startup = ProbeSpec(handler=PORT, initial_delay=2.0, failure_threshold=2)
    world = World(
        program(
            "web",
            failed_starts_max=1,
            startup_probe=startup,
            readiness_probe=PROBE,
            liveness_probe=PROBE,
        )
    )
    told = world.play(
        "start web; spawned; +2; probe web startup fails; probe web startup fails; exit 100 0; "
        "+0.5; spawned; +1; probe web startup ok; stop web; exit 101 0"
    )
    assert told == cleandoc("""
    > start web
    < spawn web               STOPPED -> STARTING  start requested
    > spawned
    < ask web startup in 2 s
    > +1                      STARTING -> RUNNING  up for 1 s
    > +1
    > probe web startup fails
    > probe web startup fails startup fails: http 503 (2 in a row)
    < ask no startup web      RUNNING -> STOPPING  startup probe failed: http 503
    < TERM group 100
    < CONT group 100
    > exit 100 0              STOPPING -> BACKOFF  startup probe failed: http 503 before it was up; retry 1 of 1
    > +0.5
    < spawn web               BACKOFF -> STARTING  attempt 2
    > spawned
    < ask web startup in 2 s
    > +1                      STARTING -> RUNNING  up for 1 s
    > probe web startup ok
    < ask no startup web      startup passes: http 200 (1 in a row)
    < ask web readiness
    < ask web liveness
    > stop web
    < ask no readiness web    RUNNING -> STOPPING  stop requested (manual)
    < ask no liveness web
    < TERM group 101
    < CONT group 101
    > exit 101 0              STOPPING -> STOPPED  stopped (manual)
    """)
    told = world.play(
        "start web; spawned; probe web startup fails; probe web startup fails; exit 102 0; +0.5; "
        "spawned; probe web startup fails; probe web startup fails; exit 103 0"
    )
    assert told.endswith(
        cleandoc("""
    > probe web startup fails startup fails: http 503 (2 in a row)
    < ask no startup web      STARTING -> STOPPING startup probe failed: http 503
    < TERM group 103
    < CONT group 103
    > exit 103 0              STOPPING -> BACKOFF  too many start retries too quickly (1 allowed), the last: startup probe failed: http 503
                              BACKOFF -> FATAL     too many start retries too quickly (1 allowed), the last: startup probe failed: http 503
    """)
    )
    assert world.view("web").spawn_error == "startup probe failed: http 503"


def test_failed_starts_are_forgotten_when_all_probes_have_passed() -> None:
    """Being RUNNING is no success yet for a process that has something to prove."""
    world = World(program("web", startup_probe=ONCE, liveness_probe=ONCE, failed_starts_max=5))
    world.play("start web; spawned; +1; probe web startup fails; exit 100 0; +0.5; spawned; +1")
    assert world.view("web").failed_starts == 1
    world.play("probe web startup ok")
    assert world.view("web").failed_starts == 1
    world.play("probe web liveness ok")
    assert world.view("web").failed_starts == 0


def test_failed_starts_are_forgotten_when_min_uptime_comes_last() -> None:
    """The probes were quicker."""
    world = World(program("web", liveness_probe=ONCE, failed_starts_max=5))
    world.play("start web; spawned; probe web liveness fails; exit 100 0; +0.5; spawned")
    world.play("probe web liveness ok")
    assert world.view("web").failed_starts == 1
    world.play("+1")
    assert world.view("web").failed_starts == 0


def test_the_initial_delay_runs_from_the_start_of_the_process() -> None:
    """What the startup probe took is part of it."""
    late = ProbeSpec(handler=PORT, initial_delay=5.0)
    world = World(program("web", min_uptime=0.0, startup_probe=PROBE, liveness_probe=late))
    told = world.play("start web; spawned; +3; probe web startup ok")
    assert told.endswith("< ask web liveness in 2 s")


def test_health_restarts_are_restarts_like_others() -> None:
    """They count for flapping and for the limit of restarts."""
    world = World(
        program(
            "web",
            liveness_probe=ONCE,
            limit=RestartLimit(count=2, interval=600.0),
            flapping=FlappingPolicy(count=1, interval=600.0),
            fatal_retry_delay=60.0,
        )
    )
    unwell = "spawned; +1; probe web liveness ok; probe web liveness fails"
    world.play(f"start web; {unwell}; exit 100 0; {unwell}; exit 101 0; +0.5")
    assert world.view("web").flapping
    world.play(f"{unwell}; exit 102 0")
    view = world.view("web")
    assert view.state is PublicState.FATAL
    assert view.reason == ("2 automatic restarts in 600 s, then liveness probe failed: http 503")
    assert view.restarts == 2


def test_exit_codes_say_nothing_about_a_stop_for_health() -> None:
    """Neither success nor a code that forbids restarts: it was told to end."""
    world = World(program("web", liveness_probe=ONCE, prevent=ExitSet(codes=frozenset({78}))))
    world.play("start web; spawned; +1; probe web liveness ok; probe web liveness fails")
    world.play("exit 100 78")
    assert world.view("web").state is PublicState.STARTING


@pytest.mark.parametrize(
    ("mode", "state"),
    [(RestartMode.NO, PublicState.EXITED), (RestartMode.ALWAYS, PublicState.STARTING)],
)
def test_the_restart_mode_decides_what_follows(mode: RestartMode, state: PublicState) -> None:
    """An unhealthy process is stopped whatever its policy; without restarts it stays so."""
    world = World(program("web", liveness_probe=ONCE, mode=mode))
    world.play("start web; spawned; +1; probe web liveness ok; probe web liveness fails")
    assert world.view("web").healthy is False
    world.play("exit 100 0")
    assert world.view("web").state is state
    assert world.view("web").expected_running


@pytest.mark.parametrize(
    ("request_", "state", "cause"),
    [
        ("stop web", PublicState.STOPPED, ExitCause.MANUAL),
        ("restart web", PublicState.STARTING, ExitCause.MANUAL),
        ("start web", PublicState.STARTING, ExitCause.HEALTH),
        ("apply changed", PublicState.STARTING, ExitCause.CONFIG),
        ("shutdown", PublicState.STOPPED, ExitCause.SHUTDOWN),
    ],
)
def test_whoever_comes_in_between_takes_the_stop_over(
    request_: str, state: PublicState, cause: ExitCause
) -> None:
    """A stop during a stop for health is a stop; a start needs no policy's leave."""
    world = World(program("web", liveness_probe=ONCE, mode=RestartMode.NO))
    world.knows("changed", program("web", liveness_probe=ONCE, mode=RestartMode.NO, umask=7))
    world.play(f"start web; spawned; +1; probe web liveness fails; {request_}; exit 100 0")
    assert world.view("web").state is state
    assert world.of_type(fact.ProcessExited)[0].cause is cause


def test_a_later_stop_does_not_rename_one_that_was_asked_for() -> None:
    """Only a stop for health is nobody's own."""
    world = World(program("web", liveness_probe=ONCE))
    world.play("start web; spawned; +1; stop web; shutdown; exit 100 0")
    assert world.of_type(fact.ProcessExited)[0].cause is ExitCause.MANUAL


def test_what_leaves_the_plan_while_unhealthy_is_gone() -> None:
    """It is stopped for good, by whatever began the stop."""
    world = World(program("web", liveness_probe=ONCE)).knows("none")
    told = world.play("start web; spawned; probe web liveness fails; apply none; exit 100 0")
    assert told.endswith("< forget web              removed")


def test_shutdown_waits_for_no_health() -> None:
    """What fails while it waits for its turn is stopped, and stays down."""
    world = World(
        program("web", liveness_probe=ONCE, min_uptime=0.0),
        program("db", min_uptime=0.0),
        priorities={"web": 1, "db": 2},
    )
    world.play("start web; start db; spawned of web; spawned of db; shutdown")
    told = world.play("probe web liveness fails; exit 100 0; exit 101 0")
    assert told.endswith("< shutdown complete")
    assert world.view("web").state is PublicState.EXITED


def test_an_unhealthy_process_that_can_not_be_signalled_restarts_when_it_ends() -> None:
    """It becomes UNKNOWN, is asked no more, and its policy decides when it is over after all."""
    world = World(program("web", liveness_probe=ONCE))
    told = world.play(
        "start web; spawned; +1; probe web liveness ok; probe web liveness fails; refuse 100; "
        "+60; exit 100 0"
    )
    assert told.endswith(
        cleandoc("""
    > refuse 100              signal refused
                              STOPPING -> UNKNOWN  can't signal it: SIGCONT: not permitted
    > +60
    > exit 100 0              UNKNOWN -> EXITED    liveness probe failed: http 503, which counts as failure
    < spawn web               EXITED -> STARTING   liveness probe failed: http 503, which counts as failure
    """)
    )


def test_answers_of_another_time_count_for_nothing() -> None:
    """Of an earlier run, to a probe that is not asked any more, or that there never was."""
    world = World(program("web", liveness_probe=ONCE))
    world.play("start web; spawned; restart web; exit 100 0; spawned; +1")
    for pid, kind in ((100, ProbeKind.LIVENESS), (101, ProbeKind.STARTUP)):
        late = Probed(id=WEB, pid=Pid(pid), kind=kind, ok=False, detail="late", duration=1.0)
        assert world.happens(late, "late") == []
    world.play("stop web")
    late = Probed(
        id=WEB, pid=Pid(101), kind=ProbeKind.LIVENESS, ok=False, detail="late", duration=1.0
    )
    assert world.happens(late, "late") == []
    assert world.view("web").state is PublicState.STOPPING


def test_probes_change_while_the_process_runs() -> None:
    """A new one begins, one that is gone ends, one that changed is asked anew, others go on."""
    other = ProbeSpec(handler=TcpProbe(host="127.0.0.1", port=81))
    world = World(program("web", readiness_probe=PROBE, min_uptime=0.0))
    world.knows("more", program("web", readiness_probe=PROBE, liveness_probe=PROBE))
    world.knows("changed", program("web", readiness_probe=other, liveness_probe=PROBE))
    world.knows("less", program("web", liveness_probe=PROBE))
    world.play("start web; spawned; probe web readiness ok")
    assert world.play("apply more; apply changed; apply less") == cleandoc("""
    > apply more
    < ask web liveness        changed: min_uptime, liveness_probe
    > apply changed
    < ask no readiness web    changed: readiness_probe
    < ask web readiness
    > apply less
    < ask no readiness web    changed: readiness_probe
    """)
    assert world.view("web").ready


def test_a_changed_probe_keeps_what_it_has_come_to() -> None:
    """The program did nothing: it stays ready until the new probe says otherwise."""
    world = World(program("web", readiness_probe=TWICE, min_uptime=0.0))
    world.knows("changed", program("web", readiness_probe=ONCE, min_uptime=0.0))
    world.play("start web; spawned; probe web readiness ok; probe web readiness fails")
    world.play("apply changed")
    assert world.view("web").ready
    assert world.view("web").probes[0].attempts == 2
    world.play("probe web readiness fails")
    assert not world.view("web").ready


def test_a_startup_probe_is_not_for_what_has_started() -> None:
    """Given to a running process it counts as passed; the next run is asked."""
    world = World(program("web", readiness_probe=PROBE, min_uptime=0.0))
    world.knows("more", program("web", startup_probe=ONCE, readiness_probe=PROBE, min_uptime=0.0))
    world.play("start web; spawned; probe web readiness ok; apply more")
    assert world.view("web").ready
    told = world.play("restart web; exit 100 0; spawned")
    assert told.endswith("< ask web startup         STARTING -> RUNNING  up for 0 s")


def test_without_its_startup_probe_the_others_begin() -> None:
    """Taken away before it has passed, it keeps nobody waiting."""
    world = World(program("web", startup_probe=PROBE, liveness_probe=PROBE, min_uptime=0.0))
    world.knows("less", program("web", liveness_probe=PROBE, min_uptime=0.0))
    told = world.play("start web; spawned; apply less")
    assert told.endswith(
        cleandoc("""
    > apply less
    < ask no startup web      changed: startup_probe
    < ask web liveness
    """)
    )


def test_probes_of_a_spec_that_waits_come_with_it() -> None:
    """A change that needs a restart brings its probes into the next run."""
    world = World(program("web", min_uptime=0.0))
    world.knows("next", program("web", liveness_probe=PROBE, umask=7, min_uptime=0.0))
    told = world.play("start web; spawned; apply next; exit 100 0; spawned")
    assert told.endswith("< ask web liveness        STARTING -> RUNNING  up for 0 s")


def test_the_view_shows_how_each_probe_stands() -> None:
    """Totals go on over runs, verdicts do not; what was last heard can be read when it is down."""
    world = World(program("web", readiness_probe=TWICE, liveness_probe=PROBE, min_uptime=0.0))
    world.play("start web; spawned")
    assert world.view("web").healthy is None
    world.play("probe web readiness fails; probe web readiness fails; probe web liveness ok")
    view = world.view("web")
    assert view.healthy is True
    assert view.probes == (
        ProbeView(
            kind=ProbeKind.READINESS,
            is_active=True,
            passing=False,
            wrong_in_a_row=2,
            attempts=2,
            failures=2,
            duration=0.25,
            detail="http 503",
        ),
        ProbeView(
            kind=ProbeKind.LIVENESS,
            is_active=True,
            passing=True,
            wrong_in_a_row=0,
            attempts=1,
            failures=0,
            duration=0.25,
            detail="http 200",
        ),
    )
    world.play("stop web; exit 100 0")
    view = world.view("web")
    assert view.healthy is None
    assert [(probe.is_active, probe.detail) for probe in view.probes] == [
        (False, "http 503"),
        (False, "http 200"),
    ]
    world.play("start web; spawned")
    assert [(p.passing, p.wrong_in_a_row, p.attempts) for p in world.view("web").probes] == [
        (None, 0, 2),
        (None, 0, 1),
    ]


def test_a_program_without_probes_is_ready_when_it_is_up() -> None:
    """And nobody says anything about its health."""
    world = World(program("web"))
    world.play("start web; spawned; +1")
    view = world.view("web")
    assert (view.ready, view.healthy, view.probes) == (True, None, ())


@pytest.mark.parametrize(
    ("kind", "asked_whether_ready", "restarted"),
    [
        (ProbeKind.STARTUP, True, True),
        (ProbeKind.READINESS, True, False),
        (ProbeKind.LIVENESS, False, True),
    ],
)
def test_what_a_probe_is_for(
    kind: ProbeKind, *, asked_whether_ready: bool, restarted: bool
) -> None:
    """Metrics ask the spec which series it can have."""
    spec = program("web", **{f"{kind.value}_probe": PROBE})
    assert spec.is_asked_whether_ready is asked_whether_ready
    assert spec.may_be_restarted_for_health is restarted
