"""Facts that a transcript leaves out: what they carry, and inputs that fit no state."""

import pytest
from programs import plan_of, process_id, program, supervisor_program
from world import World

from opsvisor.core import effects as ask
from opsvisor.core import events as fact
from opsvisor.core import inputs
from opsvisor.core.outcome import ExitCause, Outcome, SpawnFaultKind, Usage
from opsvisor.core.spec import ExitSet, Pid, RestartMode, Startup
from opsvisor.core.state import PublicState, StartCause

WEB = process_id("web")


def test_a_start_says_why_and_what_it_replaces() -> None:
    """Each start after the first is a restart, counted under one cause."""
    world = World(program("web", startup=Startup.ENABLED, failed_starts_max=0))
    world.knows("v2", program("web", argv=("v2",)))
    world.play("spawned; +1; exit 100 1; spawned; exit 101 1; +900; spawned; +1; apply v2")
    world.play("exit 102 0; spawned; +1; restart web; exit 103 0; spawned; +1; killed 104 BUS")
    world.play("spawned; +1; exit 105 2; +60; spawned")
    causes = [(event.cause, event.replaces) for event in world.of_type(fact.ProcessSpawned)]
    assert causes == [
        (StartCause.AUTOSTART, None),
        (StartCause.RESTART, ExitCause.FAILURE),
        (StartCause.RECOVERY, ExitCause.START_FAILURE),
        (StartCause.CONFIG, ExitCause.CONFIG),
        (StartCause.MANUAL, ExitCause.MANUAL),
        (StartCause.RESTART, ExitCause.SIGNAL),
        (StartCause.RESTART, ExitCause.FAILURE),
    ]
    assert (world.view("web").starts, world.view("web").restarts) == (7, 4)


def test_an_end_says_what_follows() -> None:
    """`decision` answers "why did it not restart?" in one sentence, for every kind of end."""
    world = World(program("web", failed_starts_max=1, fatal_retry_delay=60.0))
    world.play("start web; spawned; +1; exit 100 3; spawned; exit 101 4; start web; spawned; +9")
    world.play("exit 102 0; restart web; spawned; restart web; exit 103 0; spawned; stop web")
    world.play("exit 104 0; start web; spawned; exit 105 1; +0.5; spawned; exit 106 1")
    world.play("start web; spawned; stop web; refuse 107; exit 107 0")
    world.play("start web; spawned; restart web; refuse 108; exit 108 0")
    assert [event.decision for event in world.of_type(fact.ProcessExited)] == [
        "starts again at once: exit status 3, not in success_exit_codes",
        "starts again in 0.5 s: exit status 4 before it was up; retry 1 of 1",
        "left as it is: exit status 0, which counts as success",
        "starts again",
        "stopped (manual)",
        "starts again in 0.5 s: exit status 1 before it was up; retry 1 of 1",
        "given up: too many start retries too quickly (1 allowed), the last: exit status 1; tries again in 60 s",
        "left as it is",
        "starts again",
    ]


def test_an_oom_kill_is_told_as_one_and_costs_what_a_crash_costs() -> None:
    """The words are ours; what Supervisor's clients read of it is a plain SIGKILL."""
    world = World(program("web", failed_starts_max=0))
    world.play("start web; spawned; +1; oom 100; spawned; +0.1; oom 101")
    first, second = world.of_type(fact.ProcessExited)
    assert (first.cause, first.oom_killed) == (ExitCause.OOM, True)
    assert first.decision == (
        "starts again at once: terminated by SIGKILL (OOM killer), memory ran out"
    )
    assert (second.cause, second.oom_killed) == (ExitCause.START_FAILURE, True)
    assert str(first.outcome) == "terminated by SIGKILL"
    view = world.view("web")
    assert (view.state, view.last_oom_killed) == (PublicState.FATAL, True)
    assert view.spawn_error == "Exited too quickly (process log may have details)"
    world.play("start web; spawned; +1; exit 102 0")
    assert not world.view("web").last_oom_killed
    world = World(program("web"))
    world.play("start web; spawned; +1; oom 100; spawned")
    assert world.view("web").spawn_error == ""
    (spawned,) = [one for one in world.of_type(fact.ProcessSpawned) if one.replaces]
    assert spawned.replaces is ExitCause.OOM


def test_giving_up_for_good_promises_no_attempt() -> None:
    """Without a slow retry nothing is said of one."""
    world = World(supervisor_program("web", startretries=0))
    world.play("start web; spawned; exit 100 1")
    (event,) = world.of_type(fact.ProcessExited)
    assert (
        event.decision
        == "given up: too many start retries too quickly (0 allowed), the last: exit status 1"
    )


def test_an_end_carries_its_cause_uptime_and_whether_it_was_expected() -> None:
    """Unexpected ends get a post-mortem: crashes and failed starts, never what was asked for."""
    world = World(program("web"))
    world.play("start web; spawned; +2.5; exit 100 1; spawned; exit 101 1; start web; spawned")
    world.play("stop web; killed 102 KILL; start web; spawned; +7; exit 103 0; shutdown")
    ends = [(e.cause, e.expected, e.uptime) for e in world.of_type(fact.ProcessExited)]
    assert ends == [
        (ExitCause.FAILURE, False, 2.5),
        (ExitCause.START_FAILURE, False, 0.0),
        (ExitCause.MANUAL, True, 0.0),
        (ExitCause.SUCCESS, True, 7.0),
    ]
    assert world.view("web").last_cause is ExitCause.SUCCESS
    assert world.view("web").last_outcome == Outcome(code=0)


def test_changes_carry_attempts_and_delays() -> None:
    """Supervisor's listeners see `tries`, the API sees when the next attempt is due."""
    world = World(supervisor_program("web", startretries=1, fatal_retry_delay=50.0))
    world.play("start web; spawned; exit 100 1; +1; spawned; exit 101 1")
    told = [(e.new, e.failed_starts, e.retry_delay) for e in world.of_type(fact.StateChanged)]
    assert told == [
        (PublicState.STARTING, 0, None),
        (PublicState.BACKOFF, 1, 1.0),
        (PublicState.STARTING, 1, None),
        (PublicState.BACKOFF, 2, None),
        (PublicState.FATAL, 2, 50.0),
    ]
    view = world.view("web")
    assert (view.failed_starts, view.retry_delay) == (0, 50.0)
    assert view.retry_at == world.now.mono + 50.0


def test_changes_name_the_run_that_ended() -> None:
    """`pid` is the live process, or the one whose end was the change."""
    world = World(program("web"))
    world.play("start web; spawned; +1; exit 100 1; spawned; stop web; exit 101 0")
    told = [(event.new, event.pid) for event in world.of_type(fact.StateChanged)]
    assert told == [
        (PublicState.STARTING, None),
        (PublicState.RUNNING, 100),
        (PublicState.EXITED, 100),
        (PublicState.STARTING, None),
        (PublicState.STOPPING, 101),
        (PublicState.STOPPED, 101),
    ]


def test_a_failed_spawn_is_told_with_its_kind() -> None:
    """NO_FILE and NOT_EXECUTABLE become metric labels; the view keeps the words."""
    world = World(program("web"))
    world.play("start web")
    world.kernel.withdraw(WEB)
    world.happens(inputs.SpawnFault(WEB, "no such file", SpawnFaultKind.NO_FILE), "no spawn")
    (event,) = world.of_type(fact.SpawnFailed)
    assert (event.reason, event.kind) == ("no such file", SpawnFaultKind.NO_FILE)
    assert world.view("web").spawn_error == "no such file"
    assert world.view("web").last_cause is ExitCause.START_FAILURE


def test_why_it_is_not_running_is_kept_until_it_is_tried_again() -> None:
    """Supervisor's `spawnerr`, with its words; the next start clears it."""
    world = World(supervisor_program("web", autorestart=RestartMode.NO))
    world.play("start web; spawned; exit 100 1")
    assert world.view("web").spawn_error == "Exited too quickly (process log may have details)"
    world.play("+1")
    assert world.view("web").spawn_error == ""
    world.play("spawned; +1; exit 101 4")
    assert world.view("web").spawn_error == "Bad exit code 4"
    world.play("start web; spawned; +1; killed 102 SEGV")
    assert world.view("web").spawn_error == "terminated by SIGSEGV"
    world.play("start web; spawned; +1; exit 103 0")
    assert world.view("web").spawn_error == ""


def test_a_job_given_up_after_success_says_so() -> None:
    """No failure to quote: the reason for giving up is the explanation."""
    world = World(program("job", prevent=ExitSet(codes=frozenset({0}))))
    world.play("start job; spawned; exit 100 0")
    assert world.view("job").spawn_error == "exit status 0, in restart_prevent_exit_codes"


def test_signals_are_told_with_their_purpose() -> None:
    """By request, to stop, and as SIGKILL: to whom, and whether a stop is meant."""
    world = World(program("web"))
    world.play("start web; spawned; +1; signal web HUP; stop web; +10")
    told = [(e.signum, e.to_group, e.stopping) for e in world.of_type(fact.SignalSent)]
    assert told == [(1, False, False), (15, True, True), (9, True, True)]


def test_a_plan_is_told_with_its_generation() -> None:
    """The first plan brings the supervisor up; every plan says what it changed."""
    world = World(program("web")).knows("none")
    world.play("apply none; shutdown")
    told = [(event.generation, event.diff) for event in world.of_type(fact.PlanApplied)]
    assert [generation for generation, _ in told] == [1, 2]
    assert told[1][1].removed == (WEB,)
    lives = [(e.old, e.new, e.reason) for e in world.of_type(fact.SupervisorStateChanged)]
    assert lives == [
        (fact.SupervisorState.STARTING, fact.SupervisorState.RUNNING, "first plan"),
        (fact.SupervisorState.RUNNING, fact.SupervisorState.STOPPING, "SIGTERM"),
    ]


def test_unknown_processes_have_no_consequences() -> None:
    """Requests and reports for what left the plan, or never was in it, are ignored."""
    world = World(program("web"))
    ghost = process_id("ghost")
    for happened in (
        inputs.Start(ghost),
        inputs.Stop(ghost),
        inputs.Restart(ghost),
        inputs.SendSignal(ghost, 1),
        inputs.Spawned(ghost, Pid(7)),
        inputs.SpawnFault(ghost, "no fork"),
        inputs.Exited(ghost, Pid(7), Outcome(code=0), Usage()),
        inputs.SignalFault(ghost, Pid(7), "not permitted"),
    ):
        assert world.happens(happened, "ghost") == []
    with pytest.raises(KeyError):
        world.view("ghost")


def test_the_end_of_a_stranger_is_a_bug() -> None:
    """Nothing may be taken for our process's end but the end of our process: it is loud."""
    world = World(program("web"))
    world.play("start web; spawned 100; +1")
    with pytest.raises(AssertionError, match="666"):
        world.supervisor.handle(inputs.Exited(WEB, Pid(666), Outcome(code=0), Usage()), world.now)
    assert world.view("web").pid == 100


def test_a_bug_in_one_process_costs_the_others_nothing() -> None:
    """Two are due at once and the first fails: the second is seen to all the same."""
    world = World(program("bad", backoff_reset=None), program("web"))  # no file says None here
    world.play("start bad; start web; spawned of bad; spawned of web; busy 1")
    with pytest.raises(TypeError):
        world.supervisor.handle(inputs.DeadlinePassed(), world.now)
    world.supervisor.handle(inputs.DeadlinePassed(), world.now)
    assert world.view("web").state is PublicState.RUNNING
    assert world.supervisor.deadline is None


@pytest.mark.parametrize(
    "report",
    [
        inputs.Spawned(WEB, Pid(7)),
        inputs.SpawnFault(WEB, "no fork"),
        inputs.Exited(WEB, Pid(7), Outcome(code=0), Usage()),
    ],
)
def test_an_answer_that_nobody_waits_for_is_a_bug(report: inputs.Report) -> None:
    """A report that fits no state is an AssertionError, which the engine isolates."""
    world = World(program("web"))
    with pytest.raises(AssertionError):
        world.supervisor.handle(report, world.now)
    assert world.view("web").state is PublicState.STOPPED


def test_a_late_refusal_concerns_the_old_process() -> None:
    """A signal refused for a process that is gone says nothing about the one that is there."""
    world = World(program("web"))
    world.play("start web; spawned 100; restart web; exit 100 0; spawned 101; stop web")
    effects = world.happens(inputs.SignalFault(WEB, Pid(100), "not permitted"), "refused")
    assert [type(effect) for effect in effects] == [ask.Publish]
    assert world.view("web").state is PublicState.STOPPING


def test_a_refusal_where_nothing_is_alive_is_told_only() -> None:
    """It crossed the end of the process: a fact, without consequences."""
    world = World(program("web"))
    world.play("start web; spawned 100; stop web; exit 100 0")
    world.happens(inputs.SignalFault(WEB, Pid(100), "not permitted"), "refused")
    (event,) = world.of_type(fact.SignalRefused)
    assert (event.pid, event.reason) == (100, "not permitted")
    assert world.view("web").state is PublicState.STOPPED


def test_views_come_in_order() -> None:
    """By group and name, whatever the order of priorities."""
    world = World(program("b", priority=1), program("a"), program("app:z"), program("app:c"))
    views = world.supervisor.views(world.now)
    assert [str(view.id) for view in views] == ["a", "app:c", "app:z", "b"]


def test_group_priorities_follow_the_plan() -> None:
    """A new group priority is shown, and used, without touching the process."""
    world = World(program("web"))
    world.plans["v2"] = plan_of(program("web"), priorities={"web": 3})
    world.play("start web; spawned; +1; apply v2")
    assert world.view("web").group_priority == 3
    assert world.view("web").state is PublicState.RUNNING
