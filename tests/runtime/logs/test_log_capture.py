import asyncio
import fcntl
import os
import resource
import select
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from captured_programs import (
    Heard,
    MakeCapture,
    comes_true,
    log_spec,
    open_descriptors,
    output_reaches,
    start,
    start_python,
    wait_for_exit,
)

from opsvisor.runtime.logs import StreamCapture, StreamStats
from opsvisor.runtime.logs.capture import LEFT_OVER_PIPES, Surroundings
from opsvisor.runtime.logs.files import FileTarget
from opsvisor.runtime.logs.links import Spot
from opsvisor.runtime.logs.pipes import PIPE_SIZE, is_at_end, open_pipe
from opsvisor.runtime.logs.plumbing import _CLOSED

# A grandchild that holds the pipe: prints a line for each line it is told, until told no more.
ECHOING_GRANDCHILD = """
if os.fork() == 0:
    for line in sys.stdin:
        print("grandchild", line, end="", flush=True)
    os._exit(0)
print("parent", flush=True)
os._exit(0)
"""


async def test_killed_program_has_all_its_output(
    make_capture: MakeCapture, tmp_path: Path
) -> None:
    """What was in the pipe at the moment of SIGKILL is in the log when the exit is handled."""
    capture = make_capture(tmp_path / "x.log")
    process = start_python(
        capture, "os.write(1, b'0123456\\n' * 100_000); os.kill(os.getpid(), 9)"
    )
    assert process.wait() == -signal.SIGKILL  # the loop doesn't run: all of it is in the pipe
    capture.drain()
    assert (tmp_path / "x.log").read_bytes() == b"0123456\n" * 100_000
    assert capture._pipes == []
    assert process.stdin is not None
    process.stdin.close()


async def test_flood_through_rotation_is_exact(make_capture: MakeCapture, tmp_path: Path) -> None:
    """Tens of megabytes at full speed: each line once, in order, in files of the right size."""
    capture = make_capture(tmp_path / "x.log", rotate_size=3_000_000, rotate_keep=9)
    process = start(capture, "seq", "1000000", "2000000")
    await wait_for_exit(process)
    capture.drain()
    names = [f"x.log.{n}" for n in range(9, 0, -1)] + ["x.log"]
    files = [tmp_path / name for name in names if (tmp_path / name).exists()]
    assert all(file.stat().st_size <= 3_000_000 for file in files)
    written = b"".join(file.read_bytes() for file in files)
    assert written == b"".join(b"%d\n" % n for n in range(1_000_000, 2_000_001))
    stats = capture.stats
    assert (stats.bytes, stats.lines, stats.rotations) == (len(written), 1_000_001, len(files) - 1)
    assert capture.ring.read(0) == (len(written) - (1 << 20), written[-(1 << 20) :])


async def test_grandchild_that_keeps_the_pipe_is_heard(
    make_capture: MakeCapture, tmp_path: Path
) -> None:
    """Drain doesn't wait for it, and its later output arrives, also beside the next run's."""
    capture = make_capture(tmp_path / "x.log")
    process = start_python(capture, ECHOING_GRANDCHILD)
    assert process.wait() == 0
    capture.drain()
    assert (tmp_path / "x.log").read_bytes() == b"parent\n"
    assert len(capture._pipes) == 1
    await wait_for_exit(start(capture, "echo", "next run"))
    capture.drain()
    assert process.stdin is not None
    process.stdin.write(b"speaks\n")
    process.stdin.close()
    everything = b"parent\nnext run\ngrandchild speaks\n"
    await output_reaches(capture, len(everything))
    assert (tmp_path / "x.log").read_bytes() == everything


async def test_left_over_pipes_are_bounded(make_capture: MakeCapture) -> None:
    """The oldest goes, not without being read, when yet another run leaves its pipe behind."""
    capture = make_capture()
    ends = [capture.open_pipe() for _ in range(LEFT_OVER_PIPES + 1)]
    os.write(ends[0], b"last words\n")
    oldest = capture._pipes[0]
    heard = Heard(of=capture)
    ends.append(capture.open_pipe())
    assert capture.ring.read(0)[1] == b"last words\n"
    assert heard.unheard_of == [LEFT_OVER_PIPES]
    assert len(capture._pipes) == LEFT_OVER_PIPES + 1
    assert oldest not in capture._pipes
    for end in ends:
        os.close(end)


async def test_the_oldest_that_is_at_its_end_costs_no_other(make_capture: MakeCapture) -> None:
    """There is room then, and who holds the next one is heard."""
    capture = make_capture()
    ends = [capture.open_pipe() for _ in range(LEFT_OVER_PIPES + 1)]
    os.close(ends.pop(0))
    oldest, *others = capture._pipes
    heard = Heard(of=capture)
    ends.append(capture.open_pipe())
    assert not heard.unheard_of
    assert oldest not in capture._pipes
    assert capture._pipes[:-1] == others
    os.write(ends[0], b"still here\n")
    await output_reaches(capture, len(b"still here\n"))
    for end in ends:
        os.close(end)


async def test_what_is_written_right_before_the_end_is_read(
    make_capture: MakeCapture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel may tell of the end alone: it looks for something to read, and then for that."""
    capture = make_capture()
    end = capture.open_pipe()
    arrivals = capture._around.plumbing.arrivals
    epoll, reader = arrivals._epoll, capture._pipes[0].fd
    assert epoll is not None
    os.write(end, b"last words\n")
    os.close(end)
    hasty = SimpleNamespace(  # as if somebody had looked in between
        poll=lambda *_: [(reader, select.EPOLLHUP)],
        register=epoll.register,
        unregister=epoll.unregister,
    )
    monkeypatch.setattr(arrivals, "_epoll", hasty)
    arrivals._tell()
    monkeypatch.undo()
    assert capture.ring.end == 0
    await output_reaches(capture, len(b"last words\n"))
    await comes_true(lambda: not capture._pipes)


@pytest.mark.parametrize("said", [b"", b"last words\n"])
async def test_what_is_at_its_end_is_not_looked_into(
    make_capture: MakeCapture, tmp_path: Path, said: bytes
) -> None:
    """A pipe to do so is opened for what there is only, as a restart waits for it."""
    capture = make_capture(tmp_path / "x.log")
    end = capture.open_pipe()
    os.write(end, said)
    os.close(end)
    capture.drain()
    assert capture._pipes == []
    assert (capture.ring.read(0)[1], (tmp_path / "x.log").read_bytes()) == (said, said)
    assert (capture._around.plumbing.scratch._writer == _CLOSED) == (not said)


def test_a_pipe_is_at_its_end_without_anything_in_it_or_anybody_to_come() -> None:
    """Both of it."""
    reader, writer = os.pipe()
    second = os.dup(writer)
    os.write(writer, b"x")
    os.close(writer)
    assert not is_at_end(reader)
    os.read(reader, 1)
    assert not is_at_end(reader)
    os.write(second, b"x")
    os.close(second)
    assert not is_at_end(reader)
    os.read(reader, 1)
    assert is_at_end(reader)
    os.close(reader)


def test_a_hint_at_the_end_alone_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the last writer says as it leaves may be missed by the first look, not by the next."""
    hup, both = select.POLLHUP, select.POLLHUP | select.POLLIN

    class Hasty:
        """As if somebody had looked in between."""

        looks = iter([hup, both])

        def register(self, reader: int, _events: int) -> None:
            self.reader = reader

        def poll(self, _timeout: int) -> list[tuple[int, int]]:
            return [(self.reader, next(self.looks))]

    monkeypatch.setattr(select, "poll", Hasty)
    assert not is_at_end(7)


async def test_drain_is_bounded_under_a_flood() -> None:
    """A grandchild that never stops printing can't keep the daemon from handling an exit."""
    refills = iter(range(100))

    def refill() -> float:
        """Called for each chunk that was read: the flood fills the pipe again."""
        if next(refills, None) is not None:
            os.write(end, bytes(PIPE_SIZE // 4))
        return 0.0

    loop = asyncio.get_running_loop()
    capture = StreamCapture(log_spec(None), Surroundings(ring_size=99, loop=loop, wall=refill))
    end = capture.open_pipe()
    os.write(end, bytes(PIPE_SIZE // 4))
    capture.drain()
    assert capture.stats.bytes == PIPE_SIZE
    assert len(capture._pipes) == 1
    capture.close()
    os.close(end)


async def test_program_outlives_its_reader() -> None:
    """The program is its own reader: writing after the daemon's end is no SIGPIPE, no error."""
    loop = asyncio.get_running_loop()
    capture = StreamCapture(log_spec(None), Surroundings(ring_size=99, loop=loop))
    process = start_python(
        capture, "print('up', flush=True); sys.stdin.readline(); os.write(1, b'x' * 1000)"
    )
    await output_reaches(capture, 3)
    capture.close()
    assert process.stdin is not None
    process.stdin.write(b"go\n")
    process.stdin.flush()
    assert await wait_for_exit(process) == 0


async def test_output_across_a_change_of_readers(make_capture: MakeCapture) -> None:
    """A second reader, through /proc, goes on at the byte where the first one stopped."""
    loop = asyncio.get_running_loop()
    first = StreamCapture(log_spec(None), Surroundings(ring_size=99, loop=loop))
    script = "for line in sys.stdin: print(line, end='', flush=True)"
    process = start_python(first, script)
    assert process.stdin is not None
    process.stdin.write(b"1\n")
    process.stdin.flush()
    await output_reaches(first, 2)
    first.close()
    process.stdin.write(b"2\n")
    process.stdin.flush()
    second = make_capture()
    second.adopt(os.open(f"/proc/{process.pid}/fd/1", os.O_RDONLY))
    await output_reaches(second, 2)
    process.stdin.write(b"3\n")
    assert await wait_for_exit_after_eof(process) == 0
    second.drain()
    assert second.ring.read(0)[1] == b"2\n3\n"
    assert second._pipes == []


async def wait_for_exit_after_eof(process: subprocess.Popen[bytes]) -> int:
    """End the program's input, then wait for it."""
    assert process.stdin is not None
    process.stdin.close()
    return await wait_for_exit(process)


async def test_pipe_is_large_private_and_blocking_for_the_program(
    make_capture: MakeCapture,
) -> None:
    """1 MiB (where allowed), no inheritance, and no surprise EAGAIN for the program."""
    capture = make_capture()
    end = capture.open_pipe()
    assert fcntl.fcntl(end, fcntl.F_GETPIPE_SZ) == PIPE_SIZE
    assert fcntl.fcntl(end, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
    assert os.get_blocking(end)
    assert not os.get_inheritable(end)
    assert not os.get_inheritable(capture._pipes[0].fd)
    os.close(end)


async def test_followers_wake_and_may_leave(make_capture: MakeCapture) -> None:
    """Each append wakes all who wait; one that is cancelled disturbs nobody; close frees all."""
    capture = make_capture()
    end = capture.open_pipe()
    await capture.wait_beyond(-1)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        leaver = group.create_task(capture.wait_beyond(0))
        near = group.create_task(capture.wait_beyond(0))
        far = group.create_task(capture.wait_beyond(5))
        started = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(started.set_result, None)
        await started
        leaver.cancel()
        os.write(end, b"12345")
        await near
        assert capture.ring.end == 5
        assert not far.done()
        os.write(end, b"6")
        await far
        last = group.create_task(capture.wait_beyond(99))
        capture.close()
        await last
    assert capture.closed
    os.close(end)


async def test_stats_tell_what_happened(tmp_path: Path) -> None:
    """All zero at first; then counts from the pipe and the wall time of the last output."""
    loop = asyncio.get_running_loop()
    spec = log_spec(tmp_path / "x.log")
    capture = StreamCapture(spec, Surroundings(ring_size=3, loop=loop, wall=lambda: 1234.5))
    assert capture.stats == StreamStats(
        bytes=0, lines=0, dropped_lines=0, rotations=0, write_errors=0, last_output_at=0.0,
        file_size=0,
    )  # fmt: skip
    await wait_for_exit(start(capture, "printf", "a\\nb\\nc"))
    capture.drain()
    assert capture.stats == StreamStats(
        bytes=5, lines=2, dropped_lines=0, rotations=0, write_errors=0, last_output_at=1234.5,
        file_size=5,
    )  # fmt: skip
    assert capture.ring.read(0) == (2, b"b\nc"[-3:])
    capture.close()


async def test_file_exists_before_the_first_output(
    make_capture: MakeCapture, tmp_path: Path
) -> None:
    """`tail -f` finds it, and an unwritable place is known at the start rather than too late."""
    good, bad = make_capture(tmp_path / "x.log"), make_capture(tmp_path / "no" / "x.log")
    ends = [good.open_pipe(), bad.open_pipe()]
    assert (tmp_path / "x.log").exists()
    assert (good.problem, bad.problem != "") == ("", True)
    os.write(ends[1], b"kept in memory\n")
    bad.drain()
    assert bad.ring.read(0)[1] == b"kept in memory\n"
    assert bad.stats.dropped_lines == 1
    (tmp_path / "no").mkdir()
    ends.append(bad.open_pipe())
    assert bad.problem == ""
    for end in ends:
        os.close(end)


async def test_unprivileged_daemon_in_a_forbidden_directory(tmp_path: Path) -> None:
    """Permission denied is a problem like any other (told by a process without privileges)."""
    forbidden = tmp_path / "forbidden"
    forbidden.mkdir(mode=0o555)
    script = f"""
import asyncio, os
from opsvisor.core.spec import LogSpec
from opsvisor.runtime.logs.capture import StreamCapture, Surroundings
async def main():
    capture = StreamCapture(
        LogSpec(path={str(forbidden / "x.log")!r}),
        Surroundings(ring_size=99, loop=asyncio.get_running_loop()),
    )
    if os.geteuid() == 0:
        os.seteuid(65534)
    os.close(capture.open_pipe())
    print(capture.problem)
    capture.close()
asyncio.run(main())
"""
    told = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    reason = told.stdout.removeprefix(f"cannot open {forbidden / 'x.log'}: ")
    assert reason == "Permission denied\n"


async def test_escape_sequences_of_two_runs_dont_mix(
    make_capture: MakeCapture, tmp_path: Path
) -> None:
    """Each pipe has its own filter; a sequence cut off by death is kept as text."""
    capture = make_capture(tmp_path / "x.log", strip_ansi=True)
    first, second = capture.open_pipe(), capture.open_pipe()
    os.write(first, b"a\x1b[3")
    capture.drain()
    os.write(second, b"1m\x1b[0mb\n\x1b[")
    capture.drain()
    os.write(first, b"1mc\n")
    os.close(first)
    os.close(second)
    capture.drain()
    assert (tmp_path / "x.log").read_bytes() == b"a1mb\nc\n\x1b["
    assert capture.ring.read(0) == (0, b"a1mb\nc\n\x1b[")


async def test_many_runs_leave_no_descriptor(make_capture: MakeCapture, tmp_path: Path) -> None:
    """A moment after the last run neither pipe nor file is open."""
    capture = make_capture(tmp_path / "x.log")
    before = open_descriptors()
    for _ in range(20):
        await wait_for_exit(start(capture, "echo", "hello"))
        capture.drain()
    await comes_true(lambda: open_descriptors() == before)
    assert (tmp_path / "x.log").read_bytes() == b"hello\n" * 20


async def test_a_run_that_follows_at_once_finds_its_file_open(
    make_capture: MakeCapture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked for by name, but opened anew only where the name leads to another one."""
    opened: list[str] = []

    def counted(target: FileTarget, spot: Spot) -> tuple[int, os.stat_result]:
        opened.append(spot.path)
        return open_(target, spot)

    open_ = FileTarget._opened
    monkeypatch.setattr(FileTarget, "_opened", counted)
    path = tmp_path / "x.log"
    capture = make_capture(path)

    def run(text: bytes) -> None:
        end = capture.open_pipe()
        os.write(end, text)
        os.close(end)
        capture.drain()

    run(b"1\n")
    run(b"2\n")
    assert (len(opened), path.read_bytes()) == (1, b"1\n2\n")
    path.rename(tmp_path / "x.old")
    run(b"3\n")
    assert (len(opened), path.read_bytes()) == (2, b"3\n")
    path.unlink()
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    run(b"4\n")
    assert os.read(reader, 9) == b"4\n"
    os.close(reader)
    path.unlink()
    run(b"5\n")
    assert (len(opened), path.read_bytes()) == (3, b"5\n")


async def test_no_descriptors_left_is_told_to_the_caller(make_capture: MakeCapture) -> None:
    """The spawn fails then; nothing half made stays behind (the fixture looks)."""
    capture = make_capture()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for spare in range(4):
        highest = max(int(path.name) for path in open_descriptors())
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(highest + spare, soft), hard))
        try:
            end = capture.open_pipe()
        except OSError:
            assert capture._pipes == []
        else:
            os.close(end)
            capture.drain()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_full_target_never_blocks_the_program(make_capture: MakeCapture) -> None:
    """A program that floods a log which takes nothing runs to its end; its lines are counted."""
    capture = make_capture("/dev/full")
    process = start(capture, "seq", "1000000")
    assert await wait_for_exit(process) == 0
    capture.drain()
    assert capture.stats.dropped_lines == capture.stats.lines == 1_000_000
    assert capture.ring.read(0)[1].endswith(b"\n1000000\n")
    assert capture.problem == "cannot write /dev/full: No space left on device"


@pytest.mark.parametrize("proc_is_missing", [False, True])
async def test_end_of_file_closes_the_pipe(
    make_capture: MakeCapture, monkeypatch: pytest.MonkeyPatch, *, proc_is_missing: bool
) -> None:
    """Read-write end or, where /proc is missing, a plain one: the last holder's exit ends it."""
    if proc_is_missing:
        real_open = os.open

        def open_without_proc(path: str, flags: int) -> int:
            if path.startswith("/proc/"):
                raise FileNotFoundError(path)
            return real_open(path, flags)

        monkeypatch.setattr(os, "open", open_without_proc)
    capture = make_capture()
    process = start(capture, "echo", "hello")
    monkeypatch.undo()
    await wait_for_exit(process)
    capture.drain()
    assert capture.ring.read(0)[1] == b"hello\n"
    assert capture._pipes == []


def test_only_our_end_of_a_pipe_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program waits where its pipe is full, also on a system without /proc."""

    def missing(path: str, _flags: int) -> int:
        raise FileNotFoundError(path)

    with_proc = open_pipe()
    monkeypatch.setattr(os, "open", missing)
    for reader, program_end in (with_proc, open_pipe()):
        assert (os.get_blocking(reader), os.get_blocking(program_end)) == (False, True)
        os.close(reader)
        os.close(program_end)


async def test_where_descriptors_are_scarce_a_file_is_closed_at_once(
    make_capture: MakeCapture, tmp_path: Path
) -> None:
    """What a program that ended could still need is nothing to what others need now."""
    capture = make_capture(tmp_path / "x.log")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = open_descriptors()
    end = capture.open_pipe()
    resource.setrlimit(resource.RLIMIT_NOFILE, (end + 2, hard))
    try:
        os.close(end)
        capture.drain()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert open_descriptors() == before
