"""The next process is made before the end of the last one is told, where that is certain."""

import asyncio
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from daemon import eventually
from engine_room import NEVER, Room, obedient, program, sleeper

import opsvisor
from opsvisor.core.events import ProcessExited, ProcessSpawned, StateChanged
from opsvisor.core.inputs import Exited, Stop
from opsvisor.core.outcome import Outcome, Usage
from opsvisor.core.spec import (
    ExitSet,
    KillMode,
    LinearBackoff,
    Pid,
    ProcessId,
    ProcessSpec,
    ResourceLimit,
    RestartMode,
    RestartPolicy,
)
from opsvisor.core.state import PublicState, StopCause
from opsvisor.core.struct import replace
from opsvisor.runtime.early import head_start
from opsvisor.runtime.logs.spares import _KEPT
from opsvisor.runtime.logs.stream import Stream
from opsvisor.runtime.memory.foretold import Foretold, ForetoldRun
from opsvisor.runtime.pidfd import this_tick

TraceFunction = Callable[[FrameType, str, Any], Any]
ALWAYS = RestartPolicy(mode=RestartMode.ALWAYS, run_backoff=LinearBackoff(step=0.0))
WEB = ProcessId("web", "web")
LINES_BEFORE = 105  # of Python
OURS = str(Path(opsvisor.__file__).parent)
SAYS = program("web", "sh", "-c", "echo $$; echo oops $$ >&2; exec sleep 1000", restart=ALWAYS)


class Notes(Foretold):
    """What was foretold, and how many ends had been told by then. `refuses`: nothing can be."""

    def __init__(self, room: Room) -> None:
        super().__init__(None)
        self._room = room
        self.refuses = False
        self.told: list[ForetoldRun] = []
        self.ends: list[int] = []
        self.fulfilled = 0

    def tell(self, run: ForetoldRun) -> bool:
        """Take a note of it."""
        self.told.append(run)
        self.ends.append(sum(isinstance(event, ProcessExited) for event in self._room.events))
        return not self.refuses

    def fulfil(self) -> None:
        """Note that it was called."""
        self.fulfilled += 1


@pytest.fixture
async def notes(room: Room, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Notes]:
    """Of a room where every run counts as one of a while."""
    monkeypatch.setattr("opsvisor.runtime.engine._SETTLED_AFTER", -1.0)
    notes = Notes(room)
    room.engine._early._foretold = notes
    yield notes
    assert not room.engine._early.has_one
    assert len(notes.told) == notes.fulfilled


def descriptors() -> int:
    """How many are open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def end(*pids: Pid) -> None:
    """Kill these, and return when all of them can be collected. Nobody is told meanwhile."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


async def is_up(room: Room, *specs: ProcessSpec, name: str = "web") -> Pid:
    """Have these run, with pipes ready for whoever comes next."""
    room.apply(*specs)
    await room.state(PublicState.RUNNING, name)
    await ready(room)
    return room.pid(name)


async def ready(room: Room) -> None:
    """Wait for pipes that are ready."""
    spares = room.engine._streams._spares
    await asyncio.to_thread(eventually, lambda: len(spares._ready) == _KEPT)


async def is_there_again(room: Room, pid: Pid, name: str = "web") -> Pid:
    """Kill it, and wait for the process after it."""
    os.kill(pid, signal.SIGKILL)
    await room.until(lambda: room.view(name).pid not in (None, pid))
    return room.pid(name)


@pytest.mark.parametrize("kill_mode", KillMode)
async def test_it_is_made_before_the_end_is_told(
    room: Room, notes: Notes, kill_mode: KillMode
) -> None:
    """And found in time; all that follows is as it always is."""
    pid = await is_up(room, replace(SAYS, stop=replace(SAYS.stop, kill_mode=kill_mode)))
    before = this_tick()
    ready_pipes = [pipe.inode for pipe in room.engine._streams._spares._ready]
    room.events.clear()
    new = await is_there_again(room, pid)
    (run,) = notes.told
    assert (run.id, run.last, notes.ends) == (WEB, pid, [0])
    assert before <= run.since <= this_tick()
    assert len(run.pipes) == 2
    assert set(run.pipes) < set(ready_pipes)
    await room.state(PublicState.RUNNING)
    kinds = [type(event) for event in room.events]
    assert kinds.index(ProcessExited) < kinds.index(ProcessSpawned)
    changes = [event.new for event in room.events if isinstance(event, StateChanged)]
    assert changes == [PublicState.EXITED, PublicState.STARTING, PublicState.RUNNING]
    view = room.view()
    assert (view.pid, view.restarts, view.starts) == (new, 1, 2)
    said = await room.output(f"{new}\n")
    assert said.splitlines() == [str(pid), str(new)]
    remembered = room.engine.legacy.run_of(WEB)
    assert (remembered.pid, remembered.is_intended) == (new, False)
    assert (remembered.stdout[-1], remembered.stderr[-1]) == run.pipes
    assert os.getpgid(new) == new


async def test_little_precedes_it(room: Room, notes: Notes) -> None:
    """Somebody waits: a commit, or the handling of the end, would be hundreds of lines more."""
    argv = ("/bin/sh", *SAYS.argv[1:])  # PATH is not searched
    pid = await is_up(room, replace(SAYS, argv=argv))
    lines: list[str] = []
    calls: list[str] = []

    def in_call(frame: FrameType, event: str, _: object) -> TraceFunction:
        ours = frame.f_code.co_filename.startswith(OURS)  # neither our notes, nor who hears of gc
        if event == "line" and ours and "_posix_spawned" not in calls:
            lines.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
        return in_call

    def on_call(frame: FrameType, _event: str, _: object) -> TraceFunction | None:
        calls.append(frame.f_code.co_qualname)
        return in_call if "Reaper._ended" in calls else None

    sys.settrace(on_call)
    try:
        await is_there_again(room, pid)
    finally:
        sys.settrace(None)
    assert calls.index("_posix_spawned") < calls.index("Engine._tree_ended")
    assert len(lines) <= LINES_BEFORE, "\n".join(lines)
    assert len(notes.told) == 1


async def test_its_streams_are_its_own(room: Room, notes: Notes) -> None:
    """Output and errors come where they belong, of both runs in their order."""
    pid = await is_up(room, SAYS)
    new = await is_there_again(room, pid)
    said = await room.output(f"oops {new}\n", stream=Stream.STDERR)
    assert said.splitlines() == [f"oops {pid}", f"oops {new}"]
    assert len(notes.told) == 1


async def test_one_pipe_is_enough_for_merged_streams(room: Room, notes: Notes) -> None:
    """The others stay ready."""
    pid = await is_up(room, replace(SAYS, stderr=None))
    new = await is_there_again(room, pid)
    said = await room.output(f"oops {new}\n")
    assert said.splitlines() == [str(pid), f"oops {pid}", str(new), f"oops {new}"]
    (run,) = notes.told
    assert len(run.pipes) == 1


async def test_again_and_again(room: Room, notes: Notes) -> None:
    """Nothing is left of it, however often."""
    pid = await is_up(room, SAYS)
    pid = await is_there_again(room, pid)
    await ready(room)
    before = descriptors()
    for _ in range(5):
        pid = await is_there_again(room, pid)
        await room.output(f"{pid}\n")
        await ready(room)
    assert len(notes.told) == 6
    assert descriptors() == before


@pytest.mark.parametrize("restart", [NEVER, replace(ALWAYS, run_backoff=LinearBackoff(step=5.0))])
async def test_not_if_it_may_not_follow_at_once(
    room: Room, notes: Notes, restart: RestartPolicy
) -> None:
    """Because nothing follows, or only after a while."""
    pid = await is_up(room, replace(SAYS, restart=restart))
    if restart is not NEVER:
        pid = await is_there_again(room, pid)  # the first failure is forgiven
        await ready(room)
        notes.told.clear()
        notes.fulfilled = 0
    os.kill(pid, signal.SIGKILL)
    await room.until(lambda: room.view().pid is None)
    assert not notes.told


async def test_not_after_an_exit_that_is_to_prevent_it(room: Room, notes: Notes) -> None:
    """It is known how it has ended."""
    prevent = replace(ALWAYS, prevent=ExitSet(codes=frozenset({signal.SIGUSR1})))
    ends = "import signal, sys; print('up', flush=True); sys.exit(signal.sigwait([10, 12]))"
    ready_to_end = f"import signal; signal.pthread_sigmask(0, [10, 12]); {ends}"
    spec = program("web", sys.executable, "-I", "-S", "-c", ready_to_end, restart=prevent)
    pid = await is_up(room, spec)
    await room.output("up\n")
    os.kill(pid, signal.SIGUSR2)
    await room.until(lambda: room.view().pid not in (None, pid))
    assert len(notes.told) == 1
    await room.output("up\nup\n")
    await ready(room)
    os.kill(room.pid(), signal.SIGUSR1)
    await room.state(PublicState.FATAL)
    assert len(notes.told) == 1


async def test_not_where_it_is_being_stopped(room: Room, notes: Notes) -> None:
    """Its end is what was asked for."""
    await is_up(room, SAYS)
    room.engine.submit(Stop(WEB, StopCause.MANUAL))
    await room.state(PublicState.STOPPED)
    assert not notes.told


@pytest.mark.parametrize(
    "spec",
    [
        obedient(then="exit 3", restart=ALWAYS),
        replace(SAYS, nice=1),
        replace(SAYS, rlimits=(ResourceLimit(name="core", soft=0, hard=0),)),
    ],
    ids=["it has a pipe to its input", "it is nice", "it has limits"],
)
async def test_not_if_that_takes_more_than_is_ready(
    room: Room, notes: Notes, spec: ProcessSpec
) -> None:
    """It is made as ever, with what is ready for everybody."""
    pid = await is_up(room, spec)
    spares = list(room.engine._streams._spares._ready)
    await is_there_again(room, pid)
    assert not notes.told
    assert room.view().restarts == 1
    stdout = room.engine.legacy.run_of(WEB).stdout
    assert stdout[-1] in {pipe.inode for pipe in spares}


async def test_not_without_pipes_that_are_ready(room: Room, notes: Notes) -> None:
    """They are made in a moment."""
    pid = await is_up(room, SAYS)
    for pipe in room.engine._streams._spares.take_ready(_KEPT - 1):
        pipe.close()
    await is_there_again(room, pid)
    assert not notes.told


async def test_not_without_a_mark(room: Room, notes: Notes) -> None:
    """Nobody would find it after a crash."""
    pid = await is_up(room, SAYS)
    room.engine._marks._missing[WEB] = True
    await is_there_again(room, pid)
    assert not notes.told


async def test_not_after_a_short_run(
    room: Room, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those come in crowds, and take their turns."""
    monkeypatch.setattr("opsvisor.runtime.engine._SETTLED_AFTER", 1000.0)
    await is_there_again(room, await is_up(room, SAYS))
    assert not notes.told


async def test_not_while_another_is_to_be_made(room: Room, notes: Notes) -> None:
    """What is to be done already might change what follows."""
    pid = await is_up(room, SAYS)
    room.engine._spawning.pause()
    room.apply(SAYS, sleeper("other"))
    assert room.engine._spawning.has_some
    end(pid)
    room.engine._reaper.tell_now()
    assert not notes.told
    await room.state(PublicState.RUNNING, "other")
    await room.until(lambda: room.view().pid not in (None, pid))


async def test_some_that_end_together(
    room: Room, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many are made early as there are pipes ready for, and the last one as ever.

    Only for the last of those that have ended the loop stands still for as long as suits all.
    """
    beside: list[int] = []

    def noted(running: int) -> float:
        beside.append(running)
        return head_start(running)

    monkeypatch.setattr("opsvisor.runtime.early.head_start", noted)
    specs = [replace(SAYS, id=ProcessId(name, name)) for name in ("one", "two", "three")]
    end(*[await is_up(room, *specs, name=spec.id.name) for spec in specs])
    room.engine._reaper.tell_now()
    await room.until(lambda: all(room.view(spec.id.name).restarts == 1 for spec in specs))
    assert len(notes.told) == _KEPT // 2
    assert len(room.engine.live()) == len(specs)
    assert beside == [0, 0]
    await ready(room)
    await is_there_again(room, room.pid("one"), "one")
    assert beside == [0, 0, len(specs)]


def test_the_head_start_is_longer_where_there_is_more_to_close() -> None:
    """And never long."""
    assert 0.0001 <= head_start(0) < head_start(300) < head_start(1000)
    assert head_start(10_000) == head_start(1_000_000) == 0.0025


async def test_it_finds_its_predecessor_gone(room: Room, notes: Notes, tmp_path: Path) -> None:
    """Who finds a living process in its pid file, a zombie as well, would not begin."""
    once = f"""
    old=$(cat {tmp_path}/pid 2>/dev/null) && kill -0 $old && echo $old lives
    echo $$ > {tmp_path}/pid; echo $$; exec sleep 1000
    """
    pid = await is_up(room, program("web", "sh", "-c", once, restart=ALWAYS))
    new = await is_there_again(room, pid)
    assert (await room.output(f"{new}\n")).splitlines() == [str(pid), str(new)]
    assert len(notes.told) == 1


async def test_what_can_not_be_foretold_is_made_as_ever(room: Room, notes: Notes) -> None:
    """A disk that is full costs a restart some time, and no more."""
    pid = await is_up(room, SAYS)
    notes.refuses = True
    new = await is_there_again(room, pid)
    assert [len(run.pipes) for run in notes.told] == [2]
    await room.output(f"{new}\n")
    await ready(room)
    before = descriptors()
    new = await is_there_again(room, new)
    await room.output(f"{new}\n")
    await ready(room)
    assert descriptors() == before


async def test_what_can_not_be_made_is_told_once(room: Room, notes: Notes, tmp_path: Path) -> None:
    """By whoever makes it as ever."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nexec sleep 1000\n")
    script.chmod(0o755)
    pid = await is_up(room, program("web", str(script), restart=ALWAYS))
    script.unlink()
    os.kill(pid, signal.SIGKILL)
    await room.until(lambda: bool(room.view().spawn_error))
    assert "can't find command" in room.view().spawn_error
    assert len(notes.told) == 1
    assert not room.errors


def _always(spec: ProcessSpec) -> Callable[..., ProcessSpec]:
    return lambda *_, **__: spec


async def test_who_is_not_wanted_after_all_ends(
    room: Room, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the core is of another opinion then, that is a bug, and nothing is left of it."""
    spec = replace(SAYS, restart=NEVER)
    pid = await is_up(room, spec)
    monkeypatch.setattr(room.supervisor, "next_at_once", _always(room.supervisor.spec_of(WEB)))
    os.kill(pid, signal.SIGKILL)
    await room.state(PublicState.EXITED)
    ((component, error),) = room.errors
    assert (component, str(error)) == ("engine", "web was made early, and not asked for")
    await room.until(lambda: bool(room.orphans))
    assert room.orphans[0].outcome.signum == signal.SIGKILL
    assert len(notes.told) == 1
    room.errors.clear()


# Leaves its process group for that of a child, which ends with it.
MOVES = """
import os, select
parent = os.getpid()
child = os.fork()
if child == 0:
    while os.getppid() == parent:
        select.select([], [], [], 0.05)
    os._exit(0)
os.setpgid(child, child)
os.setpgid(0, child)
select.select([], [], [])
"""


async def test_who_is_not_wanted_ends_wherever_it_has_gone(
    room: Room, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leads no group by then, or none that it is in."""
    early = room.engine._early
    settle = early.settle

    def has_moved() -> bool:
        return early._early is None or os.getpgid(early._early.pid) != early._early.pid

    def settle_late() -> ProcessId | None:
        eventually(has_moved)
        return settle()

    await is_up(room, program("web", sys.executable, "-I", "-S", "-c", MOVES, restart=NEVER))
    pid = room.pid()
    await asyncio.to_thread(eventually, lambda: os.getpgid(pid) != pid)
    monkeypatch.setattr(room.supervisor, "next_at_once", _always(room.supervisor.spec_of(WEB)))
    monkeypatch.setattr(early, "settle", settle_late)
    os.kill(pid, signal.SIGKILL)
    await room.state(PublicState.EXITED)
    await room.until(lambda: any(one.outcome.signum == signal.SIGKILL for one in room.orphans))
    assert [str(error) for _, error in room.errors] == ["web was made early, and not asked for"]
    assert len(notes.told) == 1
    room.errors.clear()


async def test_who_is_there_when_an_end_can_not_be_told_ends(
    room: Room, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would supervise it, and it would be in the way of the next one."""

    def fail(*_: object, **__: object) -> bool:
        raise RuntimeError("a bug of ours")

    pid = await is_up(room, SAYS)
    monkeypatch.setattr(room.engine._oom, "run_ended", fail)
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    os.kill(pid, signal.SIGKILL)
    await room.until(lambda: bool(room.errors))
    assert [str(error) for _, error in room.errors] == ["web was made early, and not asked for"]
    await room.until(lambda: any(one.outcome.signum == signal.SIGKILL for one in room.orphans))
    room.errors.clear()
    monkeypatch.undo()
    room.engine.submit(Exited(WEB, pid, Outcome(signum=9), Usage()))  # which was lost
    monkeypatch.setattr("opsvisor.runtime.engine._SETTLED_AFTER", -1.0)
    await room.until(lambda: room.view().pid not in (None, pid))
    assert len(notes.told) == 1


async def test_an_error_on_the_way_loses_no_end(
    room: Room, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told, and the process is made as ever."""

    def fail(*_: object, **__: object) -> ProcessSpec:
        raise RuntimeError("a bug of ours")

    pid = await is_up(room, SAYS)
    monkeypatch.setattr(room.supervisor, "next_at_once", fail)
    await is_there_again(room, pid)
    ((component, error),) = room.errors
    assert (component, str(error)) == ("engine", "a bug of ours")
    assert not notes.told
    room.errors.clear()


@pytest.fixture
def crowded() -> Iterator[None]:
    """As if there were thousands of descriptors."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("opsvisor.runtime.spawn._CROWDED", 3)
        yield


async def test_not_in_a_crowd_of_descriptors(room: Room, notes: Notes, crowded: None) -> None:
    """The fork server makes it for less; it is made as ever, with the pipes that are ready."""
    del crowded
    pid = await is_up(room, SAYS)
    spares = {pipe.inode for pipe in room.engine._streams._spares._ready}
    await is_there_again(room, pid)
    assert not notes.told
    assert set(room.engine.legacy.run_of(WEB).stdout[-1:]) < spares


async def test_a_crowd_that_is_over_is_forgotten(room: Room, notes: Notes) -> None:
    """Where thousands were taken back after a crash, /dev/null got its number beside them."""
    spawner = room.engine._spawner
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(9000, hard), hard))
    low = spawner.null_input
    try:
        spawner.null_input = os.dup2(low, 8999, inheritable=False)
        pid = await is_up(room, SAYS)
        await is_there_again(room, pid)
        assert len(notes.told) == 1
        assert spawner._forks.pid is None
    finally:
        if spawner.null_input != low:
            os.close(spawner.null_input)
        spawner.null_input = low
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
