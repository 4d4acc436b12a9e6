"""What is asked of processes, and what becomes of it."""

import asyncio
import math
import os
import signal
import sys
from pathlib import Path

import pytest
from control_room import ControlRoom, MakeControl
from engine_room import NEVER, key, program, sleeper

from opsvisor.control.actions import Action, ActionOutcome, Result
from opsvisor.core.events import ProcessExited, SignalSent, StateChanged
from opsvisor.core.inputs import Shutdown, Start, Stop
from opsvisor.core.outcome import Outcome
from opsvisor.core.spec import (
    LinearBackoff,
    ProcessSpec,
    RestartPolicy,
    Startup,
    StdinMode,
    StopPolicy,
)
from opsvisor.core.state import PublicState

START, STOP, RESTART, SIGNAL = Action
OFF = Startup.DISABLED
SLOW_RETRY = RestartPolicy(start_backoff=LinearBackoff(step=1000), limit=None)
# Tells of each SIGUSR1.
REPORT = """
import os, signal
signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b"usr1\\n"))
os.write(1, b"ready\\n")
while True: signal.pause()
"""


async def with_stubborn(with_programs: MakeControl, *others: ProcessSpec) -> ControlRoom:
    """A process `web` that lives on after SIGTERM, until `kill` ends it."""
    script = "trap '' TERM; echo ready; while :; do sleep 1000; done"
    web = program("web", "sh", "-c", script, stop=StopPolicy(kill_delay=1000))
    house = await with_programs(web, *others)
    await house.room.output("ready")
    return house


async def kill(house: ControlRoom) -> None:
    """End `web` behind everybody's back."""
    os.killpg(house.room.pid(), signal.SIGKILL)
    await house.room.next(ProcessExited)


async def begun(house: ControlRoom, action: Action) -> "asyncio.Task[list[ActionOutcome]]":
    """A request for `web` that was made and is waiting."""
    task = asyncio.ensure_future(house.act(action, "web"))
    await asyncio.wait([task], timeout=0)
    assert not task.done()
    return task


async def test_start_waits_until_it_is_up(with_programs: MakeControl) -> None:
    """Not only spawned: RUNNING, after its min_uptime."""
    house = await with_programs(sleeper(startup=OFF, min_uptime=0.05))
    assert await house.act(START, "web") == [
        ActionOutcome("web", key("web"), Result.OK, "up for 0.05 s")
    ]
    assert house.room.view().state is PublicState.RUNNING


async def test_without_waiting_the_request_is_the_answer(with_programs: MakeControl) -> None:
    """Accepted, and under way."""
    house = await with_programs(sleeper(startup=OFF, min_uptime=1000))
    assert await house.act(START, "web", wait=False) == [
        ActionOutcome("web", key("web"), Result.OK, "requested")
    ]
    assert house.room.view().state is PublicState.STARTING


async def test_a_timeout_ends_the_waiting_and_not_the_request(with_programs: MakeControl) -> None:
    """The client is told so; the start goes on."""
    house = await with_programs(sleeper(startup=OFF, min_uptime=0.2))
    (outcome,) = await house.control.actions.act(START, ["web"], timeout=0.01)
    assert outcome.result is Result.TIMEOUT
    assert "it goes on" in outcome.reason
    await house.room.state(PublicState.RUNNING)


@pytest.mark.parametrize(
    ("command", "result", "reason"),
    [
        (("nothere",), Result.NO_FILE, "can't find command 'nothere'"),
        (("/etc/passwd",), Result.NOT_EXECUTABLE, "command at '/etc/passwd' is not executable"),
        ((), Result.NOT_EXECUTABLE, "command is empty"),
    ],
)
@pytest.mark.parametrize("action", [START, RESTART])
async def test_a_command_that_cannot_run_is_refused_before_anything_is_tried(
    with_programs: MakeControl,
    action: Action,
    command: tuple[str, ...],
    result: Result,
    reason: str,
) -> None:
    """The client hears at once what is wrong, in Supervisor's words."""
    house = await with_programs(program("web", *command, startup=OFF))
    assert await house.act(action, "web") == [ActionOutcome("web", key("web"), result, reason)]
    assert house.room.view().state is PublicState.STOPPED


async def test_a_restart_that_would_fail_leaves_the_old_run_alone(
    with_programs: MakeControl, tmp_path: Path
) -> None:
    """The file is gone after a deploy that went wrong; what was started from it is not."""
    path = tmp_path / "run"
    path.symlink_to("/bin/cat")
    house = await with_programs(program("web", str(path), stdin=StdinMode.PIPE))
    pid = house.room.pid()
    path.unlink()
    (outcome,) = await house.act(RESTART, "web")
    assert outcome.result is Result.NO_FILE
    assert house.room.pid() == pid


async def test_what_only_exec_can_tell_is_a_spawn_error(with_programs: MakeControl) -> None:
    """The directory is looked at when it is needed, and its absence is told at once."""
    house = await with_programs(
        program("web", "/bin/sh", startup=OFF, working_dir="/nonexistent", restart=SLOW_RETRY)
    )
    reason = "couldn't chdir to /nonexistent: ENOENT"
    assert await house.act(START, "web") == [
        ActionOutcome("web", key("web"), Result.SPAWN_ERROR, reason)
    ]
    assert house.room.view().state is PublicState.BACKOFF


async def test_a_file_that_can_not_be_executed_after_all_is_a_spawn_error(
    with_programs: MakeControl, tmp_path: Path
) -> None:
    """Its mode says that it can, so there is an attempt, which finds no program in it."""
    path = tmp_path / "noise"
    path.write_bytes(b"\x7fELF, and then no more")
    path.chmod(0o755)
    house = await with_programs(program("web", str(path), startup=OFF, restart=SLOW_RETRY))
    (outcome,) = await house.act(START, "web")
    assert outcome.result is Result.SPAWN_ERROR
    assert outcome.reason.startswith(f"couldn't exec {path}: ENOEXEC")


async def test_one_that_does_not_come_up_is_a_spawn_error(with_programs: MakeControl) -> None:
    """It ended before min_uptime; the reason says how."""
    house = await with_programs(
        program("web", "sh", "-c", "exit 3", startup=OFF, min_uptime=5, restart=SLOW_RETRY)
    )
    (outcome,) = await house.act(START, "web")
    assert outcome.result is Result.SPAWN_ERROR
    assert outcome.reason.startswith("exit status 3 before it was up")


async def test_a_short_job_that_did_its_work_was_started_well(with_programs: MakeControl) -> None:
    """Its policy calls exit 0 a success, however soon."""
    house = await with_programs(program("web", "true", startup=OFF, min_uptime=5, restart=NEVER))
    (outcome,) = await house.act(START, "web")
    assert outcome.result is Result.OK
    assert house.room.view().state is PublicState.EXITED


async def test_one_that_is_stopped_while_it_starts_has_ended_abnormally(
    with_programs: MakeControl,
) -> None:
    """Somebody else's stop is the answer to a start that was waiting."""
    house = await with_programs(sleeper(startup=OFF, min_uptime=1000))
    starting = await begun(house, START)
    (stopped,) = await house.act(STOP, "web")
    assert stopped.result is Result.OK
    (outcome,) = await starting
    assert outcome.result is Result.ABNORMAL_TERMINATION


async def test_start_of_what_runs_changes_nothing(with_programs: MakeControl) -> None:
    """Starting counts as running."""
    house = await with_programs(sleeper("web"), sleeper("slow", min_uptime=1000))
    before = len(house.room.events)
    assert [(o.result, o.reason) for o in await house.act(START, "web", "slow")] == [
        (Result.ALREADY_STARTED, "is RUNNING"),
        (Result.ALREADY_STARTED, "is STARTING"),
    ]
    assert len(house.room.events) == before


async def test_start_out_of_backoff_does_not_wait_for_the_next_attempt(
    with_programs: MakeControl, tmp_path: Path
) -> None:
    """Who has mended the cause should not have to wait."""
    path = tmp_path / "run"
    house = await with_programs(
        program("web", str(path), stdin=StdinMode.PIPE, restart=SLOW_RETRY)
    )
    await house.room.state(PublicState.BACKOFF)
    path.symlink_to("/bin/cat")
    (outcome,) = await house.act(START, "web")
    assert outcome.result is Result.OK


async def test_start_during_a_stop_starts_afterwards(with_programs: MakeControl) -> None:
    """The request is not lost, and its answer is that of the new run."""
    house = await with_stubborn(with_programs)
    await house.act(STOP, "web", wait=False)
    starting = await begun(house, START)
    first = house.room.pid()
    await kill(house)
    (outcome,) = await starting
    assert outcome.result is Result.OK
    assert house.room.pid() != first


async def test_a_stop_that_overtakes_a_waiting_start_is_told_to_it(
    with_programs: MakeControl,
) -> None:
    """Nobody will start it any more: the client need not wait for its time to run out."""
    house = await with_stubborn(with_programs)
    await house.act(STOP, "web", wait=False)
    starting = await begun(house, START)
    await house.act(STOP, "web", wait=False)
    await kill(house)
    (outcome,) = await starting
    assert outcome.result is Result.ABNORMAL_TERMINATION
    assert house.room.view().state is PublicState.STOPPED


async def test_stop_waits_until_it_is_down(with_programs: MakeControl) -> None:
    """Down and collected, not only told."""
    house = await with_programs(sleeper())
    assert await house.act(STOP, "web") == [
        ActionOutcome("web", key("web"), Result.OK, "stopped (manual)")
    ]
    assert house.room.view().last_outcome == Outcome(signum=signal.SIGTERM)
    assert house.room.engine.live() == {}


@pytest.mark.parametrize(
    ("spec", "state"),
    [
        (sleeper(startup=OFF), PublicState.STOPPED),
        (program("web", "true", restart=NEVER), PublicState.EXITED),
    ],
)
async def test_stop_of_what_does_not_run_says_so(
    with_programs: MakeControl, spec: ProcessSpec, state: PublicState
) -> None:
    """And names the state it is in."""
    house = await with_programs(spec)
    await house.room.state(state)
    (outcome,) = await house.act(STOP, "web")
    assert (outcome.result, outcome.reason) == (Result.NOT_RUNNING, f"is {state.name}")


async def test_stop_of_one_that_waits_for_its_next_attempt_calls_that_off(
    with_programs: MakeControl,
) -> None:
    """There is no process, but something to stop."""
    house = await with_programs(program("web", "nothere", restart=SLOW_RETRY))
    await house.room.state(PublicState.BACKOFF)
    (outcome,) = await house.act(STOP, "web")
    assert outcome.result is Result.OK
    assert house.room.view().state is PublicState.STOPPED


async def test_restart_is_one_request(with_programs: MakeControl) -> None:
    """Down and up again; of what was stopped, only up."""
    house = await with_programs(sleeper("web"), sleeper("off", startup=OFF))
    first = house.room.pid()
    outcomes = await house.act(RESTART, "web", "off")
    assert [outcome.result for outcome in outcomes] == [Result.OK, Result.OK]
    assert house.room.pid() != first
    assert house.room.view("off").state is PublicState.RUNNING


async def test_a_restart_goes_on_when_its_client_has_left(with_programs: MakeControl) -> None:
    """A lost connection can't cut it in half, and leaves no waiter behind."""
    house = await with_stubborn(with_programs)
    restarting = await begun(house, RESTART)
    restarting.cancel()
    await asyncio.wait([restarting])
    assert house.control.actions._waiting == {}
    await kill(house)
    await house.room.state(PublicState.RUNNING)


async def test_a_signal_goes_to_the_process_and_changes_no_state(
    with_programs: MakeControl,
) -> None:
    """Not to its group, and it is no stop."""
    house = await with_programs(program("web", sys.executable, "-I", "-S", "-c", REPORT))
    await house.room.output("ready")
    reason = f"SIGUSR1 sent to pid {house.room.pid()}"
    assert await house.act(SIGNAL, "web", signum=signal.SIGUSR1) == [
        ActionOutcome("web", key("web"), Result.OK, reason)
    ]
    await house.room.output("usr1")
    sent = await house.room.next(SignalSent)
    assert (sent.signum, sent.to_group, sent.stopping) == (signal.SIGUSR1, False, False)
    assert house.room.view().state is PublicState.RUNNING


async def test_what_does_not_run_gets_no_signal(with_programs: MakeControl) -> None:
    """There is nobody to get it."""
    house = await with_programs(sleeper(startup=OFF))
    (outcome,) = await house.act(SIGNAL, "web", signum=signal.SIGHUP)
    assert (outcome.result, outcome.reason) == (Result.NOT_RUNNING, "is STOPPED")


async def with_a_crowd(with_programs: MakeControl) -> ControlRoom:
    """Many that were asked to start in one go. The last of them, `p59`, is about to be made."""
    names = [f"p{number:02}" for number in range(60)]
    house = await with_programs(*[sleeper(name, startup=OFF) for name in names])
    house.room.start_together(*map(key, names))
    view = house.room.view("p59")
    assert (view.state, view.pid) == (PublicState.STARTING, None)
    return house


async def test_what_is_about_to_be_made_gets_its_signal(with_programs: MakeControl) -> None:
    """It is STARTING for all who ask, so a signal finds it."""
    house = await with_a_crowd(with_programs)
    (outcome,) = await house.act(SIGNAL, "p59", signum=signal.SIGCONT)
    assert outcome.reason == f"SIGCONT sent to pid {house.room.pid('p59')}"
    assert outcome.result is Result.OK


async def signalled(house: ControlRoom, *names: str) -> "asyncio.Task[list[ActionOutcome]]":
    """A signal that waits for one of these to be made."""
    task = asyncio.ensure_future(house.act(SIGNAL, *names, signum=signal.SIGCONT))
    await asyncio.wait([task], timeout=0)
    assert house.control.actions._waiting
    return task


def hold_back(house: ControlRoom, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Have this one wait for the rest of an earlier run, as it were."""
    spawning = house.room.engine._spawning
    may_be_made = spawning._may_be_made
    monkeypatch.setattr(
        spawning, "_may_be_made", lambda one: one != key(name) and may_be_made(one)
    )


async def test_what_is_not_made_after_all_gets_no_signal(with_programs: MakeControl) -> None:
    """Who waits for it is told when its start is called off."""
    house = await with_a_crowd(with_programs)
    waiting = await signalled(house, "p59")
    assert await house.result(STOP, "p59") is Result.OK
    (outcome,) = await waiting
    assert (outcome.result, outcome.reason) == (Result.NOT_RUNNING, "is STOPPED")
    assert house.control.actions._waiting == {}


async def test_what_can_not_be_made_gets_no_signal(
    with_programs: MakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for it is told what became of that."""
    house = await with_programs(program("web", "/dev/null", startup=OFF, restart=SLOW_RETRY))
    hold_back(house, monkeypatch, "web")
    house.room.engine.submit(Start(key("web")))
    waiting = await signalled(house, "web")
    monkeypatch.undo()
    house.room.engine._later.ask()
    (outcome,) = await waiting
    assert (outcome.result, outcome.reason) == (Result.NOT_RUNNING, "is BACKOFF")


async def test_a_signal_waits_for_who_is_made_after_all(
    with_programs: MakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Called off and asked for again in one go, it is about to be made as before."""
    house = await with_programs(sleeper(startup=OFF))
    hold_back(house, monkeypatch, "web")
    house.room.engine.submit(Start(key("web")))
    waiting = await signalled(house, "web")
    with house.room.engine.together():
        house.room.engine.submit(Stop(key("web")))
        house.room.engine.submit(Start(key("web")))
    await asyncio.wait([waiting], timeout=0)
    assert not waiting.done()
    monkeypatch.undo()
    house.room.engine._later.ask()
    (outcome,) = await waiting
    assert outcome.reason == f"SIGCONT sent to pid {house.room.pid()}"


async def test_nobody_waits_for_another_to_be_made(
    with_programs: MakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is there is signalled at once, and who does not want to wait is told at once."""
    house = await with_programs(sleeper("web"), sleeper("late", startup=OFF))
    hold_back(house, monkeypatch, "late")
    house.room.engine.submit(Start(key("late")))
    waiting = await signalled(house, "late", "web")
    assert (await house.room.next(SignalSent)).id == key("web")
    at_once = await house.act(SIGNAL, "late", signum=signal.SIGCONT, wait=False)
    assert [one.reason for one in at_once] == ["is STARTING"]
    briefly = await house.control.actions.act(
        SIGNAL, ["late"], signum=signal.SIGCONT, timeout=0.01
    )
    assert [one.reason for one in briefly] == ["is STARTING"]
    monkeypatch.undo()
    house.room.engine._later.ask()
    assert [one.result for one in await waiting] == [Result.OK, Result.OK]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up the right to signal")
async def test_a_signal_the_kernel_refuses_has_failed(with_programs: MakeControl) -> None:
    """With the kernel's reason."""
    house = await with_programs(sleeper())
    os.setresuid(65534, 65534, 0)
    try:
        (outcome,) = await house.act(SIGNAL, "web", signum=signal.SIGHUP)
    finally:
        os.setresuid(0, 0, 0)
    assert outcome.result is Result.FAILED
    assert outcome.reason == "SIGHUP: Operation not permitted"


@pytest.mark.parametrize("action", Action)
async def test_names_that_stand_for_nothing_are_told_one_by_one(
    with_programs: MakeControl, action: Action
) -> None:
    """The rest is done all the same, in the order of the names."""
    house = await with_programs(sleeper("web"))
    outcomes = await house.act(action, "none", "web", "no:*", signum=signal.SIGCONT)
    assert [(outcome.name, outcome.id) for outcome in outcomes] == [
        ("none", None),
        ("web", key("web")),
        ("no", None),
    ]
    assert outcomes[0].result is Result.NO_SUCH_PROCESS
    assert outcomes[2].result is Result.NO_SUCH_GROUP


async def test_a_manual_process_is_started_by_its_own_name_only(
    with_programs: MakeControl,
) -> None:
    """`start all` passes over it in silence; `stop all` does not."""
    house = await with_programs(
        sleeper("hand", startup=Startup.MANUAL), sleeper("off", startup=OFF)
    )
    assert [outcome.name for outcome in await house.act(START, "all")] == ["off"]
    (outcome,) = await house.act(START, "hand")
    assert outcome.result is Result.OK
    assert {outcome.name for outcome in await house.act(STOP, "all")} == {"hand", "off"}


async def test_several_may_wait_for_the_same_process(with_programs: MakeControl) -> None:
    """Each gets the answer; none is forgotten, none stays registered."""
    house = await with_stubborn(with_programs)
    leaving, one, other = [await begun(house, STOP) for _ in range(3)]
    leaving.cancel()
    await asyncio.wait([leaving])
    await kill(house)
    assert [o.result for task in (one, other) for o in await task] == [Result.OK, Result.OK]
    assert house.control.actions._waiting == {}


async def test_processes_are_stopped_side_by_side(with_programs: MakeControl) -> None:
    """The slowest sets the time, not the sum of them."""
    house = await with_programs(sleeper("a"), sleeper("b"), sleeper("c"))
    await house.act(STOP, "all")
    changes = [e.new.name for e in house.room.events if isinstance(e, StateChanged)][-6:]
    assert changes == ["STOPPING"] * 3 + ["STOPPED"] * 3


async def test_during_a_shutdown_nothing_is_started(with_programs: MakeControl) -> None:
    """Stopping is what is being done anyway."""
    house = await with_stubborn(with_programs, sleeper("off", startup=OFF))
    house.room.engine.submit(Shutdown("test"))
    for action, name in ((START, "off"), (RESTART, "web")):
        (outcome,) = await house.act(action, name)
        assert outcome.result is Result.SHUTTING_DOWN
    stopping = await begun(house, STOP)
    await kill(house)
    (outcome,) = await stopping
    assert outcome.result is Result.OK


async def test_a_start_that_waits_is_told_when_its_process_leaves_the_plan(
    with_programs: MakeControl,
) -> None:
    """It will never come up now."""
    house = await with_stubborn(with_programs)
    await house.act(STOP, "web", wait=False)
    starting = await begun(house, START)
    house.room.apply()
    await kill(house)
    (outcome,) = await starting
    assert outcome.result is Result.FAILED
    assert outcome.reason == "removed from the configuration"


async def test_settling_waits_for_what_a_new_plan_restarts_and_removes(
    with_programs: MakeControl,
) -> None:
    """One outcome each; what is stopped by hand stays so and is not waited for."""
    house = await with_programs(
        sleeper("changed"), sleeper("removed"), sleeper("down", startup=OFF), sleeper("kept")
    )
    kept = house.room.pid("kept")
    outcomes = await house.control.actions.settle(
        restarting=[key("changed"), key("down")],
        removed=[key("removed")],
        carry_out=lambda: house.room.apply(
            sleeper("changed", umask=0o077),
            sleeper("down", startup=OFF, umask=0o077),
            sleeper("kept"),
        ),
    )
    assert [(o.name, o.result, o.reason) for o in outcomes] == [
        ("changed", Result.OK, "up for 0 s"),
        ("removed", Result.OK, "removed"),
    ]
    assert house.room.pid("kept") == kept
    assert house.control.actions._waiting == {}


# -- one process, known already --------------------------------------------------------------


async def test_act_on_one(with_programs: MakeControl) -> None:
    """As with a name, but whatever its startup says."""
    house = await with_programs(sleeper(startup=Startup.MANUAL))
    actions = house.control.actions
    outcome = await actions.act_on(START, key("web"), timeout=math.inf)
    assert outcome.result is Result.OK
    assert (await actions.act_on(START, key("web"))).result is Result.ALREADY_STARTED
    stopped = await actions.act_on(STOP, key("web"), wait=False)
    assert (stopped.result, stopped.reason) == (Result.OK, "requested")
    await house.room.state(PublicState.STOPPED)
    assert house.control.actions._waiting == {}
    with pytest.raises(KeyError):
        await actions.act_on(START, key("nobody"))


async def test_act_on_one_has_a_limit_too(with_programs: MakeControl) -> None:
    """Without one, as long as the process's own times allow."""
    house = await with_programs(sleeper(startup=OFF, min_uptime=1000.0))
    outcome = await house.control.actions.act_on(START, key("web"), timeout=0.01)
    assert outcome.result is Result.TIMEOUT
