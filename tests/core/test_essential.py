"""Programs that the daemon is there for: when one has ended for good, everything ends with it."""

import pytest
from programs import plan_of, process_id, program, supervisor_program
from world import World

from opsvisor.core import inputs
from opsvisor.core.events import EssentialEnded, SupervisorState, SupervisorStateChanged
from opsvisor.core.outcome import Outcome, SpawnFaultKind, Usage, exit_status
from opsvisor.core.probes import ExecProbe, ProbeSpec
from opsvisor.core.spec import ExitSet, OnEnd, Pid, ProcessSpec, RestartMode
from opsvisor.core.state import PublicState


def essential(name: str = "web", **options: object) -> ProcessSpec:
    """A program whose end in FATAL or EXITED is the end of everything."""
    ends = {"on_fatal": OnEnd.SHUTDOWN, "on_exit": OnEnd.SHUTDOWN}
    return program(name, **{"mode": RestartMode.NO, **ends, **options})


def test_everything_ends_with_an_essential_program() -> None:
    """In the order of a shutdown, and with its exit status."""
    world = World(essential(), program("db"), program("log"), priorities={"db": 1})
    world.play("start db; spawned 100; start log; spawned 101; start web; spawned 102; +2")
    assert (
        world.play("exit 102 3; exit 101 0; exit 100 0")
        == """\
> exit 102 3              web: RUNNING -> EXITED    exit status 3; restart is off
                          web: essential, EXITED, exit status 3
< TERM group 101          log: RUNNING -> STOPPING  stop requested (shutdown)
< CONT group 101
> exit 101 0              log: STOPPING -> STOPPED  stopped (shutdown)
< TERM group 100          db: RUNNING -> STOPPING  stop requested (shutdown)
< CONT group 100
> exit 100 0              db: STOPPING -> STOPPED  stopped (shutdown)
< shutdown complete, exit 3"""
    )
    reasons = [event.reason for event in world.of_type(SupervisorStateChanged)]
    assert reasons == ["first plan", "web is EXITED"]


@pytest.mark.parametrize(
    ("end", "status"),
    [("exit 100 0", 0), ("exit 100 7", 7), ("killed 100 SEGV", 139), ("killed 100 KILL", 137)],
)
def test_the_exit_status_is_that_of_a_shell(end: str, status: int) -> None:
    """The code, or 128 and the signal."""
    world = World(essential())
    world.play("start web; spawned 100; +2")
    assert world.play(end).endswith(f"< shutdown complete, exit {status}")


def test_what_counts_as_a_failure_is_no_success() -> None:
    """It ended with 0 when it was told to, for its health, or with a 0 that is none of success."""
    world = World(
        essential(liveness_probe=ProbeSpec(handler=ExecProbe(argv=("x",)), failure_threshold=1))
    )
    world.play("start web; spawned 100; +2")
    world.play("probe web liveness fails")
    assert world.play("exit 100 0").endswith("< shutdown complete, exit 1")
    other = World(essential(success=ExitSet(codes=frozenset({7}))))
    other.play("start web; spawned 100; +2")
    assert other.play("exit 100 0").endswith("< shutdown complete, exit 1")


def test_success_counts_as_an_end_too() -> None:
    """A program that has done its work takes the daemon with it, if that is wanted."""
    world = World(essential(mode=RestartMode.ON_FAILURE))
    world.play("start web; spawned 100; +2; exit 100 0")
    assert world.is_complete


def test_only_the_end_that_was_named_counts() -> None:
    """`on_exit` alone says nothing of FATAL, nor the other way round."""
    prevent = ExitSet(codes=frozenset({78}))
    world = World(essential(on_exit=OnEnd.KEEP))
    world.play("start web; spawned 100; +2; exit 100 0")
    assert not world.is_shutting_down
    world = World(essential(on_fatal=OnEnd.KEEP, prevent=prevent))
    world.play("start web; spawned 100; +2; exit 100 78")
    assert world.view("web").state is PublicState.FATAL
    assert not world.is_shutting_down


def test_a_restart_is_no_end() -> None:
    """As long as its policy tries again, everything goes on."""
    world = World(essential(mode=RestartMode.ALWAYS))
    world.play("start web; spawned 100; +2; exit 100 1; spawned 101; exit 101 1; +1")
    assert not world.is_shutting_down


def test_fatal_is_an_end_even_if_a_slow_retry_would_follow() -> None:
    """Whoever asked for the end does not want to wait a quarter of an hour for it."""
    world = World(
        supervisor_program("web", startretries=0, fatal_retry_delay=900.0, on_fatal=OnEnd.SHUTDOWN)
    )
    world.play("start web; spawned 100")
    assert (
        world.play("exit 100 4")
        == """\
> exit 100 4              STARTING -> BACKOFF  too many start retries too quickly (0 allowed),\
 the last: exit status 4
                          BACKOFF -> FATAL     too many start retries too quickly (0 allowed),\
 the last: exit status 4
                          essential, FATAL, exit status 4
                          FATAL -> STOPPED     stop requested (shutdown)
< shutdown complete, exit 4"""
    )


def test_fatal_is_never_a_success() -> None:
    """Whoever restarts the container on failure should hear of one."""
    world = World(supervisor_program("web", startretries=0, on_fatal=OnEnd.SHUTDOWN))
    world.play("start web; spawned 100; exit 100 0")
    (ended,) = world.of_type(EssentialEnded)
    assert ended.exit_status == 1


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (SpawnFaultKind.NO_FILE, 127),
        (SpawnFaultKind.NOT_EXECUTABLE, 126),
        (SpawnFaultKind.OTHER, 1),
    ],
)
def test_a_program_that_can_not_be_started_ends_as_in_a_shell(
    kind: SpawnFaultKind, status: int
) -> None:
    """127: not found, 126: not executable."""
    world = World(essential())
    world.play("start web")
    world.kernel.withdraw(process_id("web"))
    world.happens(inputs.SpawnFault(process_id("web"), "can't", kind), "no spawn")
    (ended,) = world.of_type(EssentialEnded)
    assert (ended.state, ended.exit_status) == (PublicState.FATAL, status)


def test_nobody_knows_is_a_failure() -> None:
    """An end that nobody saw is not called a success."""
    assert exit_status(Outcome()) == 1
    world = World(essential())
    world.play("start web; spawned 100; +2; killed 0")
    (ended,) = world.of_type(EssentialEnded)
    assert ended.exit_status == 1


def test_being_stopped_is_no_end() -> None:
    """An operator, a new configuration, a restart by hand: none of them ends the daemon."""
    world = World(essential()).knows("next", essential(argv=("new",))).knows("none")
    world.play("start web; spawned 100; +2; stop web; exit 100 1")
    world.play("start web; spawned 101; +2; restart web; exit 101 1")
    world.play("spawned 102; +2; apply next; exit 102 1; spawned 103; +2; apply none; exit 103 1")
    assert not world.is_shutting_down
    assert world.supervisor.ids() == ()


def test_an_end_within_a_shutdown_changes_nothing() -> None:
    """That was asked for, and its exit status is 0; a reload goes on as well."""
    for to_reload in (False, True):
        world = World(essential(), program("db"), priorities={"web": 1})
        world.play("start web; spawned 100; start db; spawned 101; +2")
        world.happens(inputs.Shutdown("asked", to_reload=to_reload), "shutdown")
        world.play("exit 100 3")
        assert world.play("exit 101 0").endswith("< shutdown complete")
        assert not world.of_type(EssentialEnded)


def test_a_signal_to_end_does_not_change_the_exit_status() -> None:
    """Docker stops a container whose end has begun: it still says what it ended for."""
    world = World(essential(), program("db"))
    world.play("start web; spawned 100; start db; spawned 101; +2; exit 100 3; shutdown")
    assert world.play("exit 101 0").endswith("< shutdown complete, exit 3")


def test_the_first_of_two_counts() -> None:
    """The second one ends as part of the shutdown."""
    world = World(essential("web"), essential("db"), priorities={"db": 1})
    world.play("start web; spawned 100; start db; spawned 101; +2; exit 100 3; exit 101 4")
    assert len(world.of_type(EssentialEnded)) == 1
    assert world.is_complete


def test_what_left_the_plan_is_not_essential_any_more() -> None:
    """It may end as it likes."""
    world = World(essential())
    world.supervisor.handle(inputs.ApplyPlan(plan_of()), world.now)
    end = inputs.Exited(process_id("web"), Pid(1), Outcome(code=1), Usage())
    assert world.supervisor.handle(end, world.now) == []
    assert world.supervisor.state is SupervisorState.RUNNING


def test_it_can_be_made_essential_while_it_runs() -> None:
    """What follows its end concerns the daemon, so it needs no restart."""
    world = World(program("web", mode=RestartMode.NO)).knows("next", essential())
    world.play("start web; spawned 100; +2")
    assert "< TERM" not in world.play("apply next")
    assert world.play("exit 100 9").endswith("exit 9")


def test_an_interrupted_end_is_forgotten() -> None:
    """Killed meanwhile, the next daemon begins anew, as after any shutdown."""
    world = World(essential(), program("db"))
    world.play("start web; spawned 100; start db; spawned 101; +2; exit 100 3; killed")
    assert not world.is_shutting_down
    assert world.play("exit 101 0; shutdown").endswith("< shutdown complete")
