"""The standard streams of a process, over its runs and through changes of its spec."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_room import PATIENCE, Room, key, obedient, program, sleeper

from opsvisor.core.inputs import SendSignal, Stop
from opsvisor.core.spec import LogSpec, ProcessSpec, StdinMode
from opsvisor.core.state import PublicState
from opsvisor.core.struct import replace
from opsvisor.runtime.logs.capture import Surroundings
from opsvisor.runtime.logs.stream import Stream
from opsvisor.runtime.output import OutputListeners
from opsvisor.runtime.streams import Common, ProcessStreams, StdinFullError, StdinUnavailableError

ECHO = "while read line; do echo $line; done; echo end"


@pytest.fixture(autouse=True)
def no_descriptor_stays_open() -> Iterator[None]:
    """Every test gives back each descriptor it opened."""
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names alone
    yield
    assert set(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208


def echo(**options: Any) -> ProcessSpec:
    """A program that says what it is told."""
    return program("web", "sh", "-c", ECHO, stdin=StdinMode.PIPE, **options)


def common() -> Common:
    """What streams have in common that nobody listens to."""

    def fail(error: Exception) -> None:
        raise error

    loop = asyncio.get_running_loop()
    return Common(
        surroundings=Surroundings(ring_size=1024, loop=loop), output=OutputListeners(on_error=fail)
    )


async def test_standard_error_has_a_stream_of_its_own_unless_it_is_merged(room: Room) -> None:
    """Merged, it goes the way of standard output, in the order it was written."""
    script = "echo out; echo err >&2; read line"
    pipe = StdinMode.PIPE
    room.apply(
        program("apart", "sh", "-c", script, stdin=pipe),
        program("merged", "sh", "-c", script, stdin=pipe, stderr=None),
    )
    assert await room.output("out\n", "apart") == "out\n"
    assert await room.output("err\n", "apart", Stream.STDERR) == "err\n"
    assert await room.output("err\n", "merged") == "out\nerr\n"
    streams = room.engine.streams(key("merged"))
    assert streams.capture(Stream.STDERR) is None
    assert list(streams.stats()) == ["stdout"]


async def test_null_input_is_at_its_end(room: Room) -> None:
    """A program that reads it goes on, and nobody can write to it."""
    room.apply(program("web", "sh", "-c", "cat; echo done; sleep 1000"))
    await room.output("done\n")
    with pytest.raises(StdinUnavailableError):
        room.tell()


async def test_a_piped_input_is_held_open_and_closed_at_the_end(room: Room) -> None:
    """What is written arrives; with the run its pipe goes."""
    room.apply(echo())
    room.tell(line="one")
    room.tell(line="two")
    assert await room.output("two\n") == "one\ntwo\n"
    room.engine.submit(Stop(key("web")))
    await room.state(PublicState.STOPPED)
    with pytest.raises(StdinUnavailableError):
        room.tell()


async def test_each_run_has_an_input_of_its_own(room: Room) -> None:
    """What was left in the pipe of an earlier run is not read by the next."""
    room.apply(obedient(then='echo "$line"; exit 1'))
    room.engine.streams(key("web")).write_stdin(b"first\nleft over\n")
    await room.until(lambda: room.view().restarts == 1)
    room.tell(line="second")
    assert await room.output("second\n") == "first\nsecond\n"


async def test_a_program_that_does_not_read_is_no_reason_to_wait(room: Room) -> None:
    """The pipe takes what it takes; then it is said to be full, and nothing blocks."""
    room.apply(sleeper(stdin=StdinMode.PIPE))
    streams = room.engine.streams(key("web"))
    assert streams.write_stdin(b"x" * 4096) == 4096
    with pytest.raises(StdinFullError):
        all(streams.write_stdin(b"x" * 4096) for _ in range(1000))
    assert room.view().state is PublicState.RUNNING


async def test_a_program_that_closed_its_input_has_none(room: Room) -> None:
    """EPIPE, once: after that there is nothing to write to."""
    room.apply(program("web", "sh", "-c", "exec <&-; echo ok; exec sleep 9", stdin=StdinMode.PIPE))
    await room.output("ok\n")
    for _ in range(2):
        with pytest.raises(StdinUnavailableError):
            room.tell()


async def test_the_childs_ends_are_closed_here_even_if_the_spawn_fails(room: Room) -> None:
    """Else the end of a run could not be told by the end of its output."""
    room.apply(replace(echo(), argv=("/nowhere/echo",)))
    await room.until(lambda: bool(room.view().spawn_error))
    streams = room.engine.streams(key("web"))
    streams.run_ended()  # reads as far as there is something, or to the end
    assert streams.pipes == []
    assert streams.stdin_pipe is None


async def test_merging_and_parting_follow_the_spec(tmp_path: Path) -> None:
    """What is not wanted any more is read until the run ends; what is kept keeps its memory."""
    spec = echo()
    streams = ProcessStreams(spec, common())
    out, err = (streams.capture(stream) for stream in Stream)
    assert out is not None
    assert err is not None
    out.write(b"kept")
    null = os.open(os.devnull, os.O_RDONLY)
    files = streams.open_for_run(null)
    streams.update(replace(spec, stderr=None, stdout=LogSpec(path=str(tmp_path / "log"))))
    os.write(files.stderr, b"last words\n")
    files.close()
    os.close(null)
    assert (streams.capture(Stream.STDERR), err.closed) == (None, False)
    streams.run_ended()
    assert (err.closed, err.ring.read(0)[1]) == (True, b"last words\n")
    assert streams.capture(Stream.STDOUT) is out
    assert out.ring.read(0)[1] == b"kept"
    streams.update(spec)
    assert list(streams.captures) == [Stream.STDOUT, Stream.STDERR]
    streams.close()
    assert out.closed


async def test_who_has_more_to_say_hears_of_room_in_the_pipe(room: Room) -> None:
    """Once, and the last who asked: without looking again and again."""
    script = (
        "import os, signal; usr1 = {signal.SIGUSR1}; signal.pthread_sigmask(0, usr1);"
        "os.write(1, b'ok\\n'); signal.sigwait(usr1)\nwhile os.read(0, 65536): pass"
    )
    room.apply(program("web", sys.executable, "-c", script, stdin=StdinMode.PIPE))
    await room.output("ok\n")
    streams = room.engine.streams(key("web"))
    with pytest.raises(StdinFullError):
        all(streams.write_stdin(b"x" * 4096) for _ in range(1000))
    asked: list[str] = []
    has_room = asyncio.Event()
    streams.when_stdin_takes_more(lambda: asked.append("earlier"))
    streams.when_stdin_takes_more(has_room.set)
    assert not has_room.is_set()
    room.engine.submit(SendSignal(key("web"), signal.SIGUSR1))
    async with asyncio.timeout(PATIENCE):
        await has_room.wait()
    assert asked == []


async def test_nobody_waits_for_room_in_a_pipe_that_is_gone() -> None:
    """With the run the waiting ends: its descriptor may be another file's a moment later."""
    loop = asyncio.get_running_loop()
    streams = ProcessStreams(echo(), common())
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    asked: list[str] = []
    files = streams.open_for_run(null)
    streams.when_stdin_takes_more(lambda: asked.append("room"))
    streams.run_ended()
    files.close()
    streams.when_stdin_takes_more(lambda: asked.append("room"))
    turned = asyncio.Event()
    loop.call_soon(loop.call_soon, turned.set)  # by then, what can be written to has been told
    await turned.wait()
    assert asked == []
    streams.close()
    os.close(null)
