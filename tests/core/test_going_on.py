"""A supervisor is killed, and another goes on from what was written down before each effect.

The world (world.py) sees to it that nothing changes without being written down, that the new
supervisor shows what the old one would, that nothing is started twice, and that no stop is undone.
"""

import re

from hypothesis import example, given
from hypothesis import strategies as st
from pasts import DEADLY_SCRIPTS, LOOK, NAMES, SCRIPTS, TRIPLES, carry_out, carry_out_one, world_of
from programs import process_id, program, supervisor_program
from world import World, without_probes

from opsvisor.core import inputs
from opsvisor.core.events import ProcessExited, SupervisorStateChanged
from opsvisor.core.outcome import ExitCause, Outcome
from opsvisor.core.probes import ProbeKind, ProbeSpec, TcpProbe
from opsvisor.core.spec import LinearBackoff, Pid, RestartMode, Startup
from opsvisor.core.state import PublicState
from opsvisor.core.struct import replace
from opsvisor.core.view import ProcessView

SIGKILL = 9
A_WHILE = 700.0
QUESTION = TcpProbe(host="127.0.0.1", port=80)


# -- what becomes of each state --------------------------------------------------------------


def test_a_running_process_runs_on() -> None:
    """Nothing is asked of it, and the next plan finds nothing to do."""
    world = World(program("web"))
    world.play("start web; spawned 100; +5")
    assert (
        world.play("killed")
        == """\
> killed
< adopt web 100           added
> 100 is alive            taken back in RUNNING
> applied"""
    )
    assert world.view("web").pid == 100
    assert world.supervisor.generation == 2


def test_the_clock_of_a_start_goes_on() -> None:
    """It counts as up when it would have; if that is past, at once."""
    world = World(program("web", min_uptime=3.0))
    world.play("start web; spawned 100; +1; killed")
    assert (
        world.play("+2")
        == """\
> +2                      STARTING -> RUNNING  up for 3 s"""
    )
    world = World(program("web", min_uptime=3.0))
    world.play("start web; spawned 100; busy 5; killed")
    assert (
        world.play("deadline")
        == """\
> deadline                STARTING -> RUNNING  up for 3 s"""
    )


def test_a_process_that_ended_unseen_is_treated_as_failed() -> None:
    """Its policy restarts it, and the cause says that nobody knows why."""
    world = World(program("web"))
    world.play("start web; spawned 100; +5")
    assert (
        world.play("killed 0")
        == """\
> killed
< adopt web 100           added
> 100 is gone             RUNNING -> EXITED    exit status unknown, which counts as failure
< spawn web               EXITED -> STARTING   exit status unknown, which counts as failure
> applied"""
    )
    (end,) = world.of_type(ProcessExited)
    assert (end.cause, end.expected) == (ExitCause.UNKNOWN, False)


def test_an_unseen_end_without_restarts_is_left() -> None:
    """`restart = "no"` means no, whatever the end."""
    world = World(program("web", mode=RestartMode.NO))
    world.play("start web; spawned 100; +5; killed 0")
    assert world.view("web").state is PublicState.EXITED
    assert world.view("web").reason == "exit status unknown; restart is off"


def test_an_unseen_end_before_it_was_up_is_a_failed_start() -> None:
    """By both kinds of policy."""
    for spec in (program("web"), supervisor_program("web")):
        world = World(spec)
        world.play("start web; spawned 100; killed 0")
        assert world.view("web").state is PublicState.BACKOFF
        assert world.view("web").last_cause is ExitCause.START_FAILURE
        assert world.view("web").failed_starts == 1


def test_a_spawn_that_was_not_made_is_made() -> None:
    """The intent was written down, the process is nowhere."""
    world = World(program("web"))
    world.play("start web")
    assert (
        world.play("killed")
        == """\
> killed
< find spawn web          added
> no web was spawned
< spawn web
> applied"""
    )
    assert world.view("web").starts == 0


def test_a_spawn_whose_answer_was_lost_is_not_made_twice() -> None:
    """It is there: that is the answer."""
    world = World(program("web"))
    world.play("start web")
    world.goes_on(made={0})
    assert world.view("web").pid == 100
    assert (world.view("web").starts, world.view("web").state) == (1, PublicState.STARTING)


def test_a_spawn_that_was_called_off_stays_so() -> None:
    """Neither made, if it was not, nor left alone, if it was."""
    world = World(program("web"))
    world.play("start web; stop web")
    assert (
        world.play("killed")
        == """\
> killed
< find spawn web          added
> no web was spawned      STARTING -> STOPPED  stop requested while starting
> applied"""
    )
    world = World(program("web"))
    world.play("start web; stop web")
    world.goes_on(made={0})
    assert world.view("web").state is PublicState.STOPPING
    assert world.kernel.sent[Pid(100)] == [15, 18]


def test_a_restart_survives_in_the_midst_of_it() -> None:
    """The promise to start again is part of what is remembered."""
    world = World(program("web"))
    world.play("start web; spawned 100; +2; restart web; killed 0")
    assert [*world.kernel.pending] == [process_id("web")]
    world = World(program("web"))
    world.play("start web; restart web; killed")
    assert [*world.kernel.pending] == [process_id("web")]


def test_a_stop_is_asked_for_again() -> None:
    """Nobody knows whether the signal went out; SIGKILL comes when it would have."""
    world = World(program("web", kill_delay=10.0))
    world.play("start web; spawned 100; +2; stop web; +4")
    assert (
        world.play("killed; +6")
        == """\
> killed
< adopt web 100           added
> 100 is alive
< TERM group 100          taken back in STOPPING
< CONT group 100
> applied
> +6
< KILL group 100"""
    )


def test_sigkill_is_sent_again_too() -> None:
    """A process that was to be killed isn't asked any more."""
    world = World(program("web", kill_delay=10.0))
    world.play("start web; spawned 100; +2; stop web; +11")
    assert (
        world.play("killed")
        == """\
> killed
< adopt web 100           added
> 100 is alive
< KILL group 100          taken back in STOPPING
> applied"""
    )
    assert (
        world.play("+9")
        == """\
> +9
< KILL group 100          survived SIGKILL 1"""
    )


def test_a_stop_that_was_obeyed_unseen_is_a_stop() -> None:
    """Not a failure: it ended because we asked, however it ended."""
    world = World(program("web"))
    world.play("start web; spawned 100; +2; stop web; killed 0; +100")
    view = world.view("web")
    assert (view.state, view.last_cause) == (PublicState.STOPPED, ExitCause.MANUAL)


def test_what_no_signal_reaches_is_left_in_peace() -> None:
    """UNKNOWN stays UNKNOWN."""
    world = World(program("web"))
    world.play("start web; spawned 100; +2; stop web; refuse 100")
    assert (
        world.play("killed")
        == """\
> killed
< adopt web 100           added
> 100 is alive            taken back in UNKNOWN
> applied"""
    )


def test_delays_go_on_where_they_were() -> None:
    """A retry is due at its old instant, and one that is past is due at once."""
    spec = program("web", start_backoff=LinearBackoff(step=10.0))
    world = World(spec)
    world.play("start web; no spawn; +4; killed")
    assert world.view("web").failed_starts == 1
    assert (
        world.play("+6")
        == """\
> +6
< spawn web               BACKOFF -> STARTING  attempt 2"""
    )
    world = World(spec)
    world.play("start web; no spawn; busy 40; killed")
    assert (
        world.play("deadline")
        == """\
> deadline
< spawn web               BACKOFF -> STARTING  attempt 2"""
    )


def test_a_manual_stop_outlives_the_daemon() -> None:
    """Also of a program that starts with it."""
    world = World(program("web", startup=Startup.ENABLED))
    world.play("spawned 100; +2; stop web; exit 100 0; killed; +100")
    assert world.view("web").state is PublicState.STOPPED


# -- probes ----------------------------------------------------------------------------------


def test_readiness_does_not_flap() -> None:
    """What was ready is ready, and the question is asked on."""
    world = World(program("web", readiness_probe=ProbeSpec(handler=QUESTION)))
    world.play("start web; spawned 100; +2; probe web readiness ok")
    assert world.view("web").ready
    assert (
        world.play("killed")
        == """\
> killed
< adopt web 100           added
> 100 is alive
< ask web readiness       taken back in RUNNING
> applied"""
    )
    assert world.view("web").ready


def test_wrong_answers_in_a_row_are_remembered() -> None:
    """Two before the end of the supervisor and one after it are three."""
    world = World(program("web", liveness_probe=ProbeSpec(handler=QUESTION, initial_delay=9.0)))
    world.play("start web; spawned 100; +2; probe web liveness ok")
    world.play("probe web liveness fails; probe web liveness fails")
    assert "< ask web liveness in 7 s" in world.play("killed")
    assert world.view("web").state is PublicState.RUNNING
    world.play("probe web liveness fails")
    assert world.view("web").state is PublicState.STOPPING


def test_a_startup_probe_that_has_passed_is_over() -> None:
    """The others are asked from the first moment."""
    startup, liveness = ProbeSpec(handler=QUESTION), ProbeSpec(handler=QUESTION)
    world = World(program("web", startup_probe=startup, liveness_probe=liveness))
    world.play("start web; spawned 100; +2; probe web startup ok; killed")
    assert [kind for _, kind in world.kernel.asking] == [ProbeKind.LIVENESS]


def test_an_answer_like_the_one_before_is_not_worth_a_memento() -> None:
    """Else every probe of every process would be a write."""
    world = World(program("web", readiness_probe=ProbeSpec(handler=QUESTION)))
    world.play("start web; spawned 100; +2; probe web readiness ok")
    answer = inputs.Probed(
        id=process_id("web"),
        pid=Pid(100),
        kind=ProbeKind.READINESS,
        ok=True,
        detail="connected",
        duration=0.1,
    )
    world.supervisor.handle(answer, world.now)
    assert not world.supervisor.take_changed()
    wrong = replace(answer, ok=False)
    for is_worth_it in (True, True, True, False, False):
        world.supervisor.handle(wrong, world.now)
        assert bool(world.supervisor.take_changed()) is is_worth_it
    stranger = replace(answer, id=process_id("other"))
    assert world.supervisor.handle(stranger, world.now) == []
    assert not world.supervisor.take_changed()


def test_what_is_remembered_of_a_probe_that_is_gone_is_passed_over() -> None:
    """The spec says what is asked; a memento only how that stood."""
    world = World(program("web", readiness_probe=ProbeSpec(handler=QUESTION)))
    world.play("start web; spawned 100; +2; probe web readiness ok")
    identity = process_id("web")
    remembered = world.memory.processes[identity]
    supervisor = world._new_supervisor()
    without = replace(remembered, spec=replace(remembered.spec, readiness_probe=None))
    memento = replace(world.memory.read(), processes=(without,))
    supervisor.handle(inputs.Resume(memento), world.now)
    assert supervisor.view(identity, world.now).probes == ()
    assert supervisor.view(identity, world.now).ready


def test_totals_that_may_be_behind_begin_at_zero() -> None:
    """A counter that falls by a little is read as a great leap. After an upgrade it is exact."""
    for is_exact in (False, True):
        world = World(program("web", readiness_probe=ProbeSpec(handler=QUESTION)))
        world.play("start web; spawned 100; +2" + "; probe web readiness ok" * 3)
        world.memory.processes[process_id("web")] = world.supervisor.memento().processes[0]
        world.goes_on(is_exact=is_exact)
        (probe,) = world.view("web").probes
        assert (probe.attempts, probe.passing) == (3 if is_exact else 0, True)


# -- plans -----------------------------------------------------------------------------------


def test_the_next_plan_is_an_update() -> None:
    """What changed while nobody was there is restarted, what is new started, the rest left."""
    first = [program("db"), program("web", argv=("old",))]
    second = [*first[:1], program("web", argv=("new",)), program("job", startup=Startup.ENABLED)]
    world = World(*first).knows("next", *second)
    world.play("start db; spawned 100; start web; spawned 101; +2")
    world._files = world.plans["next"]
    assert (
        world.play("killed")
        == """\
> killed
< adopt db 100            db: added
< adopt web 101           web: added
> 100 is alive            db: taken back in RUNNING
> 101 is alive            web: taken back in RUNNING
> applied                 job: added
< spawn job               job: STOPPED -> STARTING  start requested
                          web: changed: argv
< TERM group 101          web: RUNNING -> STOPPING  stop requested (config)
< CONT group 101"""
    )


def test_what_left_the_plan_still_goes() -> None:
    """It is stopped, and forgotten when it is down."""
    world = World(program("db"), program("web")).knows("less", program("db"))
    world.play("start web; spawned 100; +2; apply less; killed; exit 100 0")
    assert world.supervisor.ids() == (process_id("db"),)
    assert [*world.memory.processes] == [process_id("db")]


def test_a_spec_that_waits_still_waits() -> None:
    """The new one comes into force with the next run, wherever that begins."""
    old, new = program("web", argv=("old",)), program("web", argv=("new",))
    world = World(old).knows("next", new)
    world.play("start web; spawned 100; +2; apply next; killed")
    assert world.view("web").spec == old
    world.play("exit 100 0")
    assert world.kernel.pending == {process_id("web"): new}


def test_before_the_first_plan_there_is_nothing_to_go_on_with() -> None:
    """The first plan is a first plan then."""
    world = World(program("web", startup=Startup.ENABLED))
    world.memory = type(world.memory)()
    world.supervisor = world._new_supervisor()
    world.kernel.pending.clear()
    world.goes_on()
    assert [*world.kernel.pending] == [process_id("web")]
    assert world.of_type(SupervisorStateChanged)[-1].reason == "first plan"


def test_the_daemon_is_running_as_soon_as_it_has_taken_over() -> None:
    """After an upgrade no plan is applied: what runs keeps what it has."""
    world = World(program("web"))
    world.play("start web; spawned 100; +2")
    world.goes_on(applies=False)
    assert world.of_type(SupervisorStateChanged)[-1].reason == "took over 1 processes"
    assert world.supervisor.generation == 1


# -- unfinished shutdowns --------------------------------------------------------------------

DB, WEB = program("db", startup=Startup.ENABLED), program("web", startup=Startup.ENABLED)


def test_an_unfinished_shutdown_is_not_gone_on_with() -> None:
    """What was stopping comes down and starts again; what had not been told runs on."""
    world = World(DB, WEB, priorities={"db": 1, "web": 9})
    world.play("spawned 100; spawned 101; +2; shutdown")
    assert (
        world.play("killed")
        == """\
> killed
< adopt db 100            db: added
< adopt web 101           web: added
> 100 is alive            db: taken back in RUNNING
> 101 is alive
< TERM group 101          web: taken back in STOPPING
< CONT group 101
> applied"""
    )
    assert (
        world.play("exit 101 0")
        == """\
> exit 101 0              web: STOPPING -> STOPPED  stopped (shutdown)
< spawn web               web: STOPPED -> STARTING  restart (autostart)"""
    )
    assert world.view("db").pid == 100


def test_after_an_unfinished_shutdown_all_that_is_enabled_starts() -> None:
    """As after a finished one: a stop by hand lasts as long as the daemon, not longer."""
    world = World(DB, WEB, program("job")).knows("more", DB, WEB, program("job"), program("x"))
    world.play("spawned 100; spawned 101; +2; stop db; exit 100 0; shutdown")
    world.goes_on(over={0}, applies=False)
    assert world.supervisor.begins_anew
    world.play("apply more")
    assert not world.memory.begins_anew
    assert sorted(world.kernel.pending) == [process_id("db"), process_id("web")]


def test_an_unfinished_shutdown_outlives_a_second_end() -> None:
    """Killed again before there was a plan, it is still known that there was a shutdown."""
    world = World(DB, WEB)
    world.play("spawned 100; spawned 101; +2; shutdown; exit 100 0")
    world.goes_on(applies=False)
    world.goes_on()
    assert [*world.kernel.pending] == [process_id("db")]


# -- anything --------------------------------------------------------------------------------


@LOOK
@given(TRIPLES, TRIPLES, DEADLY_SCRIPTS)
def test_after_any_ends_of_supervisors_no_state_is_a_trap(
    first: tuple[str, ...], second: tuple[str, ...], script: list[str]
) -> None:
    """However often, at whatever moment: time alone brings everything to rest."""
    world = world_of(first, second)
    carry_out(world, script)
    world.passes(A_WHILE)
    while world.kernel.pending:
        world.spawned(None, None)
        world.passes(A_WHILE)
    for view in world.supervisor.views(world.now):
        assert view.state not in {PublicState.STARTING, PublicState.BACKOFF}
        assert not view.flapping
        if view.pid is not None and view.state is PublicState.STOPPING:
            assert SIGKILL in world.kernel.sent[view.pid]


@LOOK
@given(TRIPLES, TRIPLES, DEADLY_SCRIPTS, DEADLY_SCRIPTS)
def test_a_shutdown_can_be_asked_for_again(
    first: tuple[str, ...], second: tuple[str, ...], before: list[str], after: list[str]
) -> None:
    """Ends of supervisors before it and within it: the next one does what it is told."""
    world = world_of(first, second)
    carry_out(world, before)
    world.play("shutdown")
    carry_out(world, after)
    if not world.is_shutting_down:
        world.play("shutdown")
    for _ in range(20):
        while world.kernel.pending:
            world.not_spawned(None, "no fork")
        for pid in [p for p, sent in world.kernel.sent.items() if SIGKILL in sent]:
            if pid in world.kernel.alive:
                world.ended(pid, Outcome(signum=SIGKILL))
        if world.is_complete:
            break
        world.passes(11.0)
    assert world.is_complete
    assert world.kernel.alive.keys() <= world.out_of_reach


@example(
    first=("asked",) * 3,
    second=("asked",) * 3,
    script=["start db", "fork 0", "apply less", "signal db HUP", "start db"],
    ends={4},
    applies=False,
)
@example(
    first=("described", "asked", "asked"),
    second=("plain", "asked", "asked"),
    script=["start db", "update next", "start db"],
    ends={2},
    applies=False,
)
@LOOK
@given(TRIPLES, TRIPLES, SCRIPTS, st.sets(st.integers(0, 50), max_size=6), st.booleans())
def test_with_and_without_an_end_it_comes_to_the_same(
    first: tuple[str, ...],
    second: tuple[str, ...],
    script: list[str],
    ends: set[int],
    applies: bool,  # noqa: FBT001 - hypothesis knows no keywords
) -> None:
    """If nothing happens meanwhile, nobody can tell afterwards that there was another one."""
    undisturbed, disturbed = world_of(first, second), world_of(first, second)
    for n, step in enumerate(script):
        if n in ends:
            disturbed.goes_on(applies=applies)
            for identity in sorted(undisturbed.kernel.called_off):  # nobody made those
                undisturbed.not_spawned(str(identity), "no fork")
        carry_out_one(undisturbed, step)
        carry_out_one(disturbed, step)
    assert _all_of(disturbed) == _all_of(undisturbed)
    for name in NAMES:  # and what follows does not differ either
        for world in (disturbed, undisturbed):
            world.play(f"restart {name}; +1; +70")
    assert _all_of(disturbed) == _all_of(undisturbed)


def _all_of(world: World) -> tuple[object, ...]:
    views = [_comparable(view) for view in world.supervisor.views(world.now)]
    kernel = world.kernel
    # Not in which order: whoever goes on repeats a stop, also after a signal that was asked for.
    sent = {pid: frozenset(sent) for pid, sent in kernel.sent.items() if pid in kernel.alive}
    # Nor as what it is described: a spawn that is asked for again follows the spec of by now.
    pending = {one: replace(spec, description="") for one, spec in kernel.pending.items()}
    return (views, pending, kernel.alive, kernel.called_off, kernel.asking, sent)


def _comparable(view: ProcessView) -> ProcessView:
    """Without the name of the signal that was refused: the last one, which may be a second one."""
    shown = without_probes(view)
    reason = re.sub(r"SIG[A-Z0-9]+: ", "", view.reason)
    return replace(
        shown, reason=reason, spawn_error=re.sub(r"SIG[A-Z0-9]+: ", "", view.spawn_error)
    )
