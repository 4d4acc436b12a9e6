"""What is known about runs that are over."""

from collections.abc import AsyncIterator

import pytest
from engine_room import NEVER, Room, engine_room, key, obedient, program

from opsvisor.core.events import ProcessExited, ProcessRemoved, StateChanged
from opsvisor.core.inputs import Start, Stop
from opsvisor.core.outcome import ExitCause, Outcome
from opsvisor.core.spec import LinearBackoff, RestartPolicy, Startup
from opsvisor.core.state import PublicState
from opsvisor.runtime.logs.stream import Stream
from opsvisor.runtime.post_mortem import FinishedRun, PostMortems

SOON = RestartPolicy(start_backoff=LinearBackoff(step=0.01), failed_starts_max=1, limit=None)


class Morgue:
    """A room whose runs are examined."""

    def __init__(self, room: Room, size: int) -> None:
        self.room = room
        self.post_mortems = PostMortems(room.engine.streams, size)
        room.bus.listen(self.post_mortems.on_event)

    def runs(self) -> list[FinishedRun]:
        """The post-mortems of `web`, newest first."""
        return self.post_mortems.of(key("web"))


@pytest.fixture
async def morgue() -> AsyncIterator[Morgue]:
    """Keeps three runs of each process."""
    async with engine_room() as room:
        yield Morgue(room, 3)


async def test_what_was_cleared_is_no_evidence(morgue: Morgue) -> None:
    """Nor is it an empty line, which would hide what the other stream said."""
    room = morgue.room
    room.apply(obedient(then="exit 1", restart=NEVER))
    capture = room.engine.streams(key("web")).capture(Stream.STDOUT)
    assert capture is not None
    capture.write(b"hello\n")
    capture.clear()
    room.tell(line="x")
    await room.next(ProcessExited)
    assert morgue.runs()[0].stdout_tail == ()


async def test_an_unexpected_end_is_kept_with_its_last_words(morgue: Morgue) -> None:
    """How, why, for how long, at what cost, what followed, and what it said."""
    script = "echo out; echo err >&2; exit 3"
    morgue.room.apply(program("web", "sh", "-c", script, restart=NEVER))
    exited = await morgue.room.next(ProcessExited)
    (run,) = morgue.runs()
    assert (run.pid, run.ended_at, run.uptime) == (exited.pid, exited.at, exited.uptime)
    assert (run.outcome, run.cause, run.expected) == (Outcome(code=3), ExitCause.FAILURE, False)
    assert run.decision == "left as it is: exit status 3; restart is off"
    assert run.usage == exited.usage
    assert (run.stdout_tail, run.stderr_tail) == (("out",), ("err",))


async def test_an_expected_end_needs_no_evidence(morgue: Morgue) -> None:
    """Asked for, or a success: kept as a run, without its output."""
    morgue.room.apply(obedient(then="exit 0", restart=NEVER))
    morgue.room.engine.submit(Stop(key("web")))
    await morgue.room.next(ProcessExited)
    (run,) = morgue.runs()
    assert (run.expected, run.cause) == (True, ExitCause.MANUAL)
    assert (run.stdout_tail, run.stderr_tail) == ((), ())


async def test_the_evidence_is_of_this_run_alone(morgue: Morgue) -> None:
    """What an earlier run said would lead astray, above all if this one said nothing."""
    room = morgue.room
    room.apply(obedient(then='[ "$line" = quiet ] || echo "$line"; exit 1', restart=NEVER))
    for words in ("first", "quiet", "third"):
        room.tell(line=words)
        await room.next(ProcessExited)
        room.engine.submit(Start(key("web")))
    assert [run.stdout_tail for run in morgue.runs()] == [("third",), (), ("first",)]


async def test_the_evidence_is_the_end_of_what_was_said(morgue: Morgue) -> None:
    """Thirty lines, or eight kilobytes of them."""
    script = "i=0; while [ $i -lt 100 ]; do echo line $i; i=$((i + 1)); done; exit 1"
    morgue.room.apply(program("web", "sh", "-c", script, restart=NEVER))
    await morgue.room.next(ProcessExited)
    assert morgue.runs()[0].stdout_tail == tuple(f"line {n}" for n in range(70, 100))
    flood = "head -c 20000 /dev/zero | tr '\\0' x; exit 1"
    morgue.room.apply(program("web", "sh", "-c", flood, restart=NEVER))
    morgue.room.engine.submit(Start(key("web")))
    await morgue.room.next(ProcessExited)
    assert morgue.runs()[0].stdout_tail == ("x" * 8192,)


async def test_the_oldest_are_forgotten_first(morgue: Morgue) -> None:
    """A bounded number for each process."""
    room = morgue.room
    room.apply(obedient(then="exit $line", restart=NEVER))
    for code in range(1, 6):
        room.tell(line=str(code))
        await room.next(ProcessExited)
        room.engine.submit(Start(key("web")))
    assert [run.outcome for run in morgue.runs()] == [Outcome(code=code) for code in (5, 4, 3)]


async def test_a_start_that_failed_is_a_run_that_never_was(morgue: Morgue) -> None:
    """Its problem is kept, and whether there is another attempt."""
    morgue.room.apply(program("web", "nothere", restart=SOON))
    await morgue.room.state(PublicState.FATAL)
    last, first = morgue.runs()
    assert {run.problem for run in (last, first)} == {"can't find command 'nothere'"}
    assert {run.outcome for run in (last, first)} == {None}
    assert {run.cause for run in (last, first)} == {ExitCause.START_FAILURE}
    assert first.decision == ("starts again in 0.01 s: can't find command 'nothere'; retry 1 of 1")
    assert last.decision.startswith("given up: too many start retries too quickly (1 allowed)")


async def test_what_left_the_plan_leaves_no_memory(morgue: Morgue) -> None:
    """Nor does its successor of the same name inherit a past."""
    spec = program("web", "false", restart=NEVER)
    morgue.room.apply(spec)
    await morgue.room.next(ProcessExited)
    await morgue.room.next(StateChanged, new=PublicState.EXITED)
    morgue.room.apply()
    await morgue.room.next(ProcessRemoved)
    assert morgue.runs() == []
    morgue.room.apply(program("web", "false", restart=NEVER, startup=Startup.DISABLED))
    assert morgue.runs() == []


async def test_what_is_kept_can_be_kept_by_another(morgue: Morgue) -> None:
    """The runs and where the present one began to print, as far as the new size allows."""
    again = RestartPolicy(start_backoff=LinearBackoff(step=0.01), failed_starts_max=9, limit=None)
    morgue.room.apply(program("web", "sh", "-c", "echo out; exit 3", restart=again))
    for _ in range(3):
        await morgue.room.next(ProcessExited)
    later = PostMortems(morgue.room.engine.streams, 2)
    for memento in morgue.post_mortems.remember():
        later.recall(memento)
    assert later.of(key("web")) == morgue.runs()[:2]
    assert later.remember()[0].begins == morgue.post_mortems.remember()[0].begins
