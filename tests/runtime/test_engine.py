"""The core's decisions, carried out on real processes."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from engine_room import (
    NEVER,
    RING_SIZE,
    Room,
    children,
    key,
    obedient,
    plan_of,
    program,
    release_children,
    sleeper,
)

from opsvisor.core.effects import SignalProcess
from opsvisor.core.events import (
    Event,
    ProcessAdded,
    ProcessExited,
    ProcessRemoved,
    ProcessSpawned,
    SignalRefused,
    SpawnFailed,
    StateChanged,
)
from opsvisor.core.inputs import ApplyPlan, Exited, Input, SendSignal, Start, Stop
from opsvisor.core.outcome import ExitCause, Outcome, Usage
from opsvisor.core.spec import (
    LinearBackoff,
    LogSpec,
    Pid,
    ProcessId,
    RestartMode,
    RestartPolicy,
    Startup,
    StopPolicy,
    UnixSocketSpec,
)
from opsvisor.core.state import PublicState
from opsvisor.core.struct import replace
from opsvisor.runtime.logs.stream import Stream
from opsvisor.runtime.oom import OomWatch
from opsvisor.runtime.spawn import SpawnError
from opsvisor.runtime.spawner import Prepared
from opsvisor.runtime.trees import HeldEnd, Tree, end_trees

ALWAYS = RestartPolicy(mode=RestartMode.ALWAYS)
SOON = RestartPolicy(start_backoff=LinearBackoff(step=0.01), limit=None)
# A program that leaves the process group it was put into, and says so.
TURNCOAT = """
import os, signal
os.setpgid(0, os.getpgid(os.getppid()))
os.write(1, b"left\\n")
signal.pause()
"""


@contextmanager
def without_privileges() -> Iterator[None]:
    """Be somebody who may not signal root's processes, for as long as the block lasts."""
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def let_end(pid: Pid) -> None:
    """Return when it is a zombie; the loop stands still meanwhile."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


@pytest.mark.parametrize("by_us", [False, True])
async def test_a_kill_while_the_kernel_killed_for_memory_is_told_as_that_unless_it_was_ours(
    room: Room, tmp_path: Path, *, by_us: bool
) -> None:
    """The counter is a file of the test; the processes, and their ends, are real."""
    counter = tmp_path / "vmstat"
    counter.write_text("oom_kill 4\n")
    room.engine._oom.close()
    room.engine._oom = OomWatch(str(counter))
    room.apply(sleeper(restart=NEVER))
    room.engine.submit(Start(key("web")))
    pid = (await room.next(ProcessSpawned)).pid
    counter.write_text("oom_kill 5\n")
    if by_us:
        room.engine.submit(SendSignal(key("web"), signal.SIGKILL))
    else:
        os.kill(pid, signal.SIGKILL)
    exited = await room.next(ProcessExited)
    assert (exited.cause, exited.oom_killed) == (
        (ExitCause.SIGNAL, False) if by_us else (ExitCause.OOM, True)
    )
    assert room.engine._killed == set()


async def test_a_signal_that_comes_after_the_end_reaches_nobody(room: Room) -> None:
    """Between the reaping of a process and the core's hearing of it, its pid is anybody's."""
    room.apply(sleeper(restart=NEVER))
    room.engine.submit(Start(key("web")))
    pid = (await room.next(ProcessSpawned)).pid
    os.kill(pid, signal.SIGKILL)
    await room.next(ProcessExited)
    # Not by asyncio, whose watcher and the room's reaper would race to collect it.
    stranger = Pid(os.posix_spawnp("sleep", ["sleep", "60"], os.environ))  # noqa: ASYNC221 - not waited for
    room.engine._signal(
        SignalProcess(id=key("web"), pid=stranger, signum=signal.SIGKILL, to_group=False)
    )
    os.kill(stranger, signal.SIGTERM)
    await room.until(lambda: bool(room.orphans))
    (orphan,) = room.orphans
    assert (orphan.pid, orphan.outcome) == (stranger, Outcome(signum=signal.SIGTERM))
    assert room.engine._killed == set()


async def test_the_number_of_an_adopted_run_that_is_over_is_not_signalled(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was its parent has collected it, and the end of it is yet to be told here."""
    room.apply(sleeper())
    room.engine.submit(Start(key("web")))
    pid = (await room.next(ProcessSpawned)).pid
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "killpg", lambda *what: sent.append(what))
    monkeypatch.setattr(os, "kill", lambda *what: sent.append(what))
    for is_gone in (True, False):
        monkeypatch.setattr(room.engine._reaper, "is_gone", lambda _pid, gone=is_gone: gone)
        for to_group in (True, False):
            room.engine._signal(SignalProcess(key("web"), pid, signal.SIGUSR1, to_group=to_group))
        assert sent == ([] if is_gone else [(pid, signal.SIGUSR1)] * 2)
    monkeypatch.undo()


async def test_a_crash_is_followed_by_a_restart_in_the_same_turn_of_the_loop(room: Room) -> None:
    """Nothing else gets in between: a single crash costs the milliseconds of a spawn."""
    happened: list[str] = []

    def another_turn() -> None:
        happened.append("another turn")
        room.poke()

    def note(event: Event) -> None:
        if isinstance(event, ProcessExited):
            asyncio.get_running_loop().call_soon(another_turn)
        if isinstance(event, ProcessExited | ProcessSpawned):
            happened.append(type(event).__name__)

    room.bus.listen(note)
    room.apply(obedient(then="exit 3"))
    first = room.pid()
    room.tell()
    await room.next(ProcessExited)
    await room.until(lambda: "another turn" in happened)
    assert happened == ["ProcessSpawned", "ProcessExited", "ProcessSpawned", "another turn"]
    assert room.pid() != first
    assert room.view().restarts == 1


async def test_what_is_asked_from_within_an_event_waits_for_its_turn(room: Room) -> None:
    """The core is never entered twice: all effects of one input come before the next input."""

    def stop_at_once(event: Event) -> None:
        if isinstance(event, StateChanged) and event.new is PublicState.STARTING:
            room.engine.submit(Stop(event.id))

    room.bus.listen(stop_at_once)
    room.apply(sleeper("a"), sleeper("b"))
    told = [
        (type(e).__name__, str(e.id), e.new.name if isinstance(e, StateChanged) else "")
        for e in room.events
        if isinstance(e, ProcessAdded | StateChanged | ProcessSpawned)
    ]
    assert told == [
        ("ProcessAdded", "a", ""),
        ("StateChanged", "a", "STARTING"),
        ("ProcessAdded", "b", ""),
        ("StateChanged", "b", "STARTING"),
        ("StateChanged", "a", "STOPPED"),
        ("StateChanged", "b", "STOPPED"),
    ]


async def test_many_spawns_leave_the_loop_turns_for_others(room: Room) -> None:
    """The API answers and deaths are noticed while a hundred programs are being started."""
    turns = 0

    def count_turn() -> None:
        nonlocal turns
        turns += 1
        if len(room.engine.live()) < 100:
            asyncio.get_running_loop().call_soon(count_turn)

    asyncio.get_running_loop().call_soon(count_turn)
    room.apply(*[sleeper(f"p{number:02}") for number in range(100)])
    assert 0 < len(room.engine.live()) < 100
    await room.until(lambda: len(room.engine.live()) == 100)
    assert turns >= 3
    spawned = [event.id.name for event in room.events if isinstance(event, ProcessSpawned)]
    assert spawned == sorted(spawned), "spawned in the order of the plan"


def prepared(room: Room) -> list[Prepared]:
    """What has been opened for processes that are not made yet."""
    return [one for some in room.engine._spawning._prepared.values() for one in some]


async def test_what_was_prepared_and_waits_can_be_called_off_and_ended(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pipes were opened in the turn before; a look for its leftovers must not find it."""
    monkeypatch.setattr("opsvisor.runtime.spawning._SLICE", 0.0)  # one in each turn
    names = [f"web-{number}" for number in range(4)]
    room.apply(sleeper())
    await room.state(PublicState.RUNNING)
    room.engine.submit(ApplyPlan(plan_of()))
    await room.until(lambda: not room.engine.ids())
    room.engine._streams._spares.close()
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names alone
    room.apply(*(sleeper(name) for name in names))
    assert [one.spec.id.name for one in prepared(room)] == names[1:]
    room.engine.submit(Stop(key(names[1])))
    room.engine.end_leftovers(key(names[2]))
    assert [one.spec.id.name for one in prepared(room)] == names[3:]
    await room.state(PublicState.STOPPED, names[1])
    for name in (names[0], *names[2:]):
        await room.state(PublicState.RUNNING, name)
        assert room.pid(name) in children()
    room.engine.submit(ApplyPlan(plan_of()))
    await room.until(lambda: not room.engine.ids())
    room.engine._streams._spares.close()
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


async def test_no_more_than_a_few_are_prepared_and_each_in_its_turn(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who ran for a while waits for those alone that did so and ended before it."""
    monkeypatch.setattr("opsvisor.runtime.spawning._SLICE", 0.0)  # one in each turn
    monkeypatch.setattr("opsvisor.runtime.engine._SETTLED_AFTER", -1.0)
    most = 0
    names = [f"web-{number:02}" for number in range(20)]

    def look(_event: Event) -> None:
        nonlocal most
        most = max(most, len(prepared(room)))

    room.bus.listen(look)
    room.apply(*(sleeper(name, restart=ALWAYS) for name in names))
    await room.until(lambda: len(room.engine.live()) == len(names))
    before = dict(room.engine.live())
    told = len(room.events)
    for name in names:  # they end in this order, all of them before any is started again
        os.kill(room.pid(name), signal.SIGKILL)
        let_end(room.pid(name))
    await room.until(
        lambda: (
            len(room.engine.live()) == len(names)
            and not set(room.engine.live().values()) & set(before.values())
        )
    )
    again = [event for event in room.events[told:] if isinstance(event, ProcessSpawned)]
    ended = [event for event in room.events[told:] if isinstance(event, ProcessExited)]
    assert [event.id for event in again] == [event.id for event in ended]
    assert 0 < most <= 8


async def test_a_close_leaves_nothing_of_what_was_prepared(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No descriptor; but the file of a socket stays for the next daemon, if it is asked to."""
    monkeypatch.setattr("opsvisor.runtime.spawning._SLICE", 0.0)  # one in each turn
    others, before = children(), set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names alone
    room = Room(dict(os.environ))
    room.engine.open(room.observer())
    path = tmp_path / "socket"
    listener = UnixSocketSpec(path=str(path))
    room.apply(sleeper("first"), sleeper("listens", socket=listener))
    assert [one.spec.id.name for one in prepared(room)] == ["listens"]
    room.engine.close(leave_sockets=True)
    assert path.is_socket()
    room.engine._sockets.close()
    assert not path.exists()
    release_children(others)
    assert set(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208


async def test_what_is_only_told_is_remembered_at_the_end_of_it(room: Room) -> None:
    """Without waiting for something to be done: nobody would, for hours."""
    committed: list[int] = []
    room.engine._remember = lambda: committed.append(len(room.events))
    room.apply(sleeper("off", startup=Startup.DISABLED))
    assert committed[-1] == len(room.events) > 0


async def test_after_a_bug_in_the_look_for_a_tree_it_is_looked_for_again(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has left is not taken to be gone."""

    def fails(_trees: Sequence[Tree]) -> Mapping[ProcessId, int]:
        raise KeyError("tree")

    room.apply(sleeper())
    await room.state(PublicState.RUNNING)
    with monkeypatch.context() as patched:
        patched.setattr("opsvisor.runtime.trees.end_trees", fails)
        room.engine.submit(Stop(key("web")))
        await room.state(PublicState.STOPPED)
    assert [component for component, _ in room.errors] == ["trees"]
    room.errors.clear()
    room.engine.end_leftovers(key("web"))
    assert room.engine._trees.is_ending(key("web"))
    room.engine._trees.when_idle(room.poke)
    await room.until(lambda: not room.engine._trees.is_ending(key("web")))


async def test_a_spawn_that_waits_its_turn_can_be_called_off(room: Room) -> None:
    """Stopped before it was made, it never runs, and the others do."""
    room.apply(*[sleeper(f"p{number:02}") for number in range(50)])
    assert room.view("p49").pid is None
    room.engine.submit(Stop(key("p49")))
    assert room.view("p49").state is PublicState.STOPPED
    await room.until(lambda: len(room.engine.live()) == 49)
    assert not [e for e in room.events if isinstance(e, ProcessSpawned) and e.id.name == "p49"]


async def test_the_one_timer_follows_the_nearest_deadline(room: Room) -> None:
    """An earlier deadline brings the timer forward, and after it the later one still counts."""
    began = asyncio.get_running_loop().time()
    room.apply(sleeper("late", min_uptime=1.5))
    room.apply(sleeper("late", min_uptime=1.5), sleeper("early", min_uptime=0.05))
    assert (await room.next(StateChanged, new=PublicState.RUNNING)).id == key("early")
    assert (await room.next(StateChanged, new=PublicState.RUNNING)).id == key("late")
    assert 1.4 < asyncio.get_running_loop().time() - began < 10
    assert room.lags
    assert all(0 <= lag < 5 for lag in room.lags)


async def test_a_watcher_that_fails_does_not_stop_supervision(room: Room) -> None:
    """Its error is told; the events reach the others, and the program is restarted."""

    def fail(_event: Event) -> None:
        if room.view().restarts == 0:
            raise RuntimeError("a bug of the watcher")

    room.bus.listen(fail)
    seen: list[Event] = []
    room.bus.listen(seen.append)
    room.apply(obedient(then="exit 1"))
    first = room.pid()
    room.tell()
    await room.until(lambda: room.view().restarts == 1)
    assert room.pid() != first
    assert seen == room.events
    assert {(component, str(error)) for component, error in room.errors} == {
        ("listener", "a bug of the watcher")
    }
    room.errors.clear()


async def test_who_fails_at_an_input_does_not_stop_supervision(room: Room) -> None:
    """Likewise: the others hear of it, and what the core wanted is done."""

    def fail(_happened: Input) -> None:
        raise RuntimeError("a bug of who listens")

    heard: list[Input] = []
    room.engine.listen_to_inputs(fail)
    room.engine.listen_to_inputs(heard.append)
    room.apply(sleeper(restart=NEVER))
    room.engine.submit(Start(key("web")))
    await room.next(ProcessSpawned)
    assert Start(key("web")) in heard
    assert {(component, str(error)) for component, error in room.errors} == {
        ("input listener", "a bug of who listens")
    }
    room.errors.clear()
    room.engine._input_listeners.remove(fail)


async def test_a_bug_in_one_machine_leaves_the_others_alone(room: Room) -> None:
    """An input the core finds impossible is told, and the next one is handled as ever."""
    room.apply(sleeper("web", startup=Startup.DISABLED), obedient("other", then="exit 1"))
    room.engine.submit(Exited(key("web"), Pid(1), Outcome(code=0), Usage()))
    ((component, error),) = room.errors
    assert (component, type(error)) == ("core", AssertionError)
    room.errors.clear()
    room.tell("other")
    await room.until(lambda: room.view("other").restarts == 1)


async def test_an_effect_that_fails_leaves_the_others_alone(room: Room) -> None:
    """Its error is told, and what the same input asked for besides is done."""

    def fail(_id: ProcessId) -> None:
        raise RuntimeError("a bug of ours")

    room.apply(sleeper("a", startup=Startup.DISABLED), sleeper("b"))
    room.engine._observer = replace(room.observer(), forgotten=fail)
    room.apply(sleeper("b"), sleeper("c"))
    await room.state(PublicState.RUNNING, "c")
    ((component, error),) = room.errors
    assert (component, str(error)) == ("engine", "a bug of ours")
    room.errors.clear()
    room.engine._observer = room.observer()


@pytest.mark.parametrize(("settled_after", "at_once"), [(-1.0, True), (1000.0, False)])
async def test_an_end_is_handled_as_it_is_seen_unless_its_run_was_soon_over(
    room: Room, monkeypatch: pytest.MonkeyPatch, settled_after: float, *, at_once: bool
) -> None:
    """Whoever dies after a while is waited for; of who dies all the time, others have a rest."""
    monkeypatch.setattr("opsvisor.runtime.engine._SETTLED_AFTER", settled_after)
    after: list[PublicState] = []
    tree_ended = room.engine._tree_ended

    def note_and_go_on(end: HeldEnd) -> None:
        # Called in the next turn, before whatever this puts off until then.
        asyncio.get_running_loop().call_soon(lambda: after.append(room.view().state))
        tree_ended(end)

    monkeypatch.setattr(room.engine, "_tree_ended", note_and_go_on)
    room.apply(sleeper(restart=NEVER))
    await room.state(PublicState.RUNNING)
    os.kill(room.pid(), signal.SIGKILL)
    await room.state(PublicState.EXITED)
    await room.until(lambda: bool(after))
    assert after == [PublicState.EXITED if at_once else PublicState.RUNNING]


async def test_running_out_of_descriptors_is_a_failed_start_and_no_more() -> None:
    """With any number to spare it starts or is retried, its end is noticed, nothing leaks."""
    script = Path(__file__).with_name("out_of_descriptors.py")
    path = str(script.parents[1])
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "error", str(script)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = [line.split("; ") for line in ran.stdout.splitlines()]
    assert len(lines) == 20
    assert {fds for _, _, fds in lines} == {"as before"}
    assert lines[0][1] == "too many open files to spawn 'web'"
    assert lines[-1][1] == "RUNNING"
    assert {first for _, first, _ in lines} == {"too many open files to spawn 'web'", "RUNNING"}


async def test_a_log_that_has_no_place_is_no_reason_not_to_start(
    room: Room, tmp_path: Path
) -> None:
    """Its output stays in memory, and the problem is told where one looks for it."""
    nowhere = LogSpec(path=str(tmp_path / "none" / "web.log"))
    room.apply(program("web", "echo", "hello", restart=NEVER, stdout=nowhere))
    await room.state(PublicState.EXITED)
    assert await room.output("hello\n") == "hello\n"
    assert "No such file or directory" in room.engine.streams(key("web")).problem


async def test_a_command_that_appears_is_found_by_the_next_attempt(
    room: Room, tmp_path: Path
) -> None:
    """Each attempt searches anew: a deploy that was late heals by itself."""
    path = tmp_path / "run"
    room.apply(program("web", str(path), restart=SOON))
    failed = await room.next(SpawnFailed)
    assert failed.reason == f"can't find command '{path}'"
    await room.next(StateChanged, new=PublicState.BACKOFF)
    path.symlink_to("/bin/cat")
    assert (await room.next(ProcessSpawned)).pid == room.pid()
    assert room.view().spawn_error == ""


async def test_the_last_words_are_in_memory_before_the_end_is_told(room: Room) -> None:
    """A post-mortem made at that event must not miss the traceback."""
    words: list[bytes] = []

    def listen(event: Event) -> None:
        if isinstance(event, ProcessExited):
            captures = room.engine.streams(event.id).captures
            words.extend(captures[stream].ring.read(0)[1] for stream in Stream)

    room.bus.listen(listen)
    # More than is read in one turn of the loop, all of it in the pipe when the end is noticed.
    script = "head -c 600000 /dev/zero | tr '\\0' x; echo end; echo oops >&2; exit 1"
    room.apply(program("web", "sh", "-c", script, restart=NEVER))
    let_end(room.pid())
    await room.next(ProcessExited)
    assert words == [b"x" * (RING_SIZE - 4) + b"end\n", b"oops\n"]


async def test_the_costs_of_a_run_are_told_before_its_end(room: Room) -> None:
    """Who adds them up must be done when the event makes others look."""
    known: list[bool] = []
    room.bus.listen(
        lambda e: known.append(e.pid in room.usages) if isinstance(e, ProcessExited) else None
    )
    room.apply(program("web", "true", restart=NEVER))
    exited = await room.next(ProcessExited)
    assert known == [True]
    assert room.usages[exited.pid] == exited.usage
    assert exited.usage.max_rss_bytes > 0


async def test_a_stop_reaches_the_whole_group(room: Room) -> None:
    """Grandchildren end with their parent, and are collected."""
    room.apply(program("web", "sh", "-c", "sleep 1000 & echo $!; wait"))
    grandchild = int(await room.output("\n"))
    group = room.pid()
    room.engine.submit(Stop(key("web")))
    await room.state(PublicState.STOPPED)
    await room.until(lambda: bool(room.orphans))
    (orphan,) = room.orphans
    assert (orphan.pid, orphan.process_group) == (grandchild, group)
    assert orphan.outcome == Outcome(signum=signal.SIGTERM)


async def test_one_that_has_left_its_group_is_stopped_all_the_same(room: Room) -> None:
    """A group without members can't be signalled; the process itself can."""
    room.apply(program("web", sys.executable, "-I", "-S", "-c", TURNCOAT))
    await room.output("left")
    room.engine.submit(Stop(key("web")))
    view = await room.state(PublicState.STOPPED)
    assert view.last_outcome == Outcome(signum=signal.SIGTERM)


async def test_what_has_ended_with_all_of_its_tree_is_not_looked_for_again(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what may have left something: who crashed, or has not run under us."""
    passes: list[set[ProcessId]] = []

    def noted(trees: Sequence[Tree]) -> Mapping[ProcessId, int]:
        passes.append({tree.id for tree in trees})
        return end_trees(trees)

    monkeypatch.setattr("opsvisor.runtime.trees.end_trees", noted)
    room.apply(sleeper("stopped"), obedient("crashed", then="exit 1", restart=NEVER))
    for name in ("stopped", "crashed"):
        await room.state(PublicState.RUNNING, name)
    room.engine.submit(Stop(key("stopped")))
    await room.state(PublicState.STOPPED, "stopped")
    assert passes == [{key("stopped")}]
    room.tell("crashed")
    await room.state(PublicState.EXITED, "crashed")
    for name in ("stopped", "crashed"):
        room.engine.end_leftovers(key(name))
    room.engine._trees.when_idle(room.poke)
    await room.until(lambda: passes[1:] == [{key("crashed")}])
    room.engine.submit(Start(key("stopped")))
    room.engine.end_leftovers(key("stopped"))  # it runs
    os.kill(room.pid("stopped"), signal.SIGKILL)
    await room.state(PublicState.RUNNING, "stopped")
    assert len(passes) == 2


async def test_what_ignores_the_stop_signal_is_killed(room: Room) -> None:
    """After the kill delay, by the timer alone."""
    stubborn = "trap '' TERM; echo ready; while :; do sleep 1000; done"
    policy = StopPolicy(kill_delay=0.05)
    room.apply(program("web", "sh", "-c", stubborn, stop=policy))
    await room.output("ready")
    room.engine.submit(Stop(key("web")))
    view = await room.state(PublicState.STOPPED)
    assert view.last_outcome == Outcome(signum=signal.SIGKILL)


async def test_a_stopped_process_is_woken_to_be_told(room: Room) -> None:
    """A process suspended by SIGSTOP never sees SIGTERM; SIGCONT after it makes it look."""
    room.apply(sleeper(stop=StopPolicy(kill_delay=1000)))
    os.kill(room.pid(), signal.SIGSTOP)
    room.engine.submit(Stop(key("web")))
    view = await room.state(PublicState.STOPPED)
    assert view.last_outcome == Outcome(signum=signal.SIGTERM)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up the right to signal")
async def test_a_refused_signal_is_told_with_its_reason(room: Room) -> None:
    """The kernel's word, and the process goes on as before."""
    room.apply(sleeper())
    with without_privileges():
        room.engine.submit(SendSignal(key("web"), signal.SIGHUP))
    refused = await room.next(SignalRefused)
    assert (refused.pid, refused.reason) == (room.pid(), "SIGHUP: Operation not permitted")
    assert room.view().state is PublicState.RUNNING


async def test_a_process_that_leaves_the_plan_takes_everything_along(room: Room) -> None:
    """Stopped, told, forgotten: streams are closed, and nobody knows it any more."""
    room.apply(sleeper("web"), sleeper("other"))
    await room.settled()
    capture = room.engine.streams(key("web")).capture(Stream.STDOUT)
    assert capture is not None
    room.apply(sleeper("other"))
    await room.next(ProcessRemoved, id=key("web"))
    await room.until(lambda: bool(room.forgotten))
    assert room.forgotten == [key("web")]
    assert capture.closed
    with pytest.raises(KeyError):
        room.engine.streams(key("web"))
    assert list(room.engine.live()) == [key("other")]


async def test_a_changed_log_is_followed_without_a_restart_of_the_engine(
    room: Room, tmp_path: Path
) -> None:
    """The process is restarted for it, and what the new run says goes to the new file."""
    echo = program("web", "sh", "-c", "echo hello; read line", stdin=obedient(then="").stdin)
    room.apply(echo)
    await room.output("hello\n")
    room.apply(replace(echo, stdout=LogSpec(path=str(tmp_path / "new.log"))))
    await room.output("hello\nhello\n")
    assert (tmp_path / "new.log").read_text() == "hello\n"


async def test_logs_are_opened_again_by_name(room: Room, tmp_path: Path) -> None:
    """For logrotate: what comes after goes to a new file of the old name."""
    log, moved = tmp_path / "web.log", tmp_path / "web.log.1"
    script = "while read line; do echo $line; done"
    spec = program("web", "sh", "-c", script, stdin=obedient(then="").stdin)
    room.apply(replace(spec, stdout=LogSpec(path=str(log))))
    room.tell(line="one")
    await room.output("one\n")
    log.rename(moved)
    room.engine.reopen_logs()
    room.tell(line="two")
    await room.output("two\n")
    assert (moved.read_text(), log.read_text()) == ("one\n", "two\n")


async def test_who_leaves_before_its_turn_comes_is_not_looked_at(room: Room) -> None:
    """A scrape gives the loop back between some processes and the next."""
    specs = [sleeper(name, startup=Startup.DISABLED) for name in ("a", "b", "c")]
    room.apply(*specs)
    views = room.engine.each_view()
    assert next(views).id == key("a")
    room.apply(specs[0], specs[2])
    await room.next(ProcessRemoved)
    assert [view.id for view in views] == [key("c")]


async def test_what_is_alive_can_be_asked_for_by_name_and_by_pid(room: Room) -> None:
    """For the sampler, and for finding out whose an orphan was."""
    room.apply(sleeper("b"), sleeper("a"), sleeper("off", startup=Startup.DISABLED))
    await room.settled()
    assert [str(view.id) for view in room.engine.views()] == ["a", "b", "off"]
    assert room.engine.live() == {key(name): room.pid(name) for name in "ab"}
    assert room.engine.owner(room.pid("a")) == key("a")
    assert room.engine.owner(Pid(1)) is None
    ended = room.pid("a")
    room.engine.submit(Stop(key("a")))
    await room.state(PublicState.STOPPED, "a")
    assert room.engine.owner(ended) is None


async def test_a_command_can_be_checked_without_starting_it(room: Room) -> None:
    """A client hears of a missing file at once, before anything is tried."""
    room.engine.check_command(sleeper())
    with pytest.raises(SpawnError, match="can't find command 'nothere'"):
        room.engine.check_command(program("web", "nothere"))
    assert room.events == []


async def test_requests_for_strangers_have_no_consequences(room: Room) -> None:
    """It may have left the plan a moment ago."""
    room.engine.submit(Start(key("nobody")))
    assert room.events == []
