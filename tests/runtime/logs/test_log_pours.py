"""Output that goes from the pipe into the file in one system call."""

import asyncio
import errno
import fcntl
import os
import resource
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from captured_programs import (
    MakeCapture,
    comes_true,
    log_spec,
    open_descriptors,
    start,
    tiny_disk,
    wait_for_exit,
)
from hypothesis import given
from hypothesis import strategies as st

from opsvisor.core.struct import replace
from opsvisor.runtime.logs import StreamCapture, files
from opsvisor.runtime.logs.capture import READ_SIZE, Surroundings
from opsvisor.runtime.logs.files import FileTarget
from opsvisor.runtime.logs.pipes import PIPE_SIZE, open_pipe
from opsvisor.runtime.logs.plumbing import Plumbing, Scratch, discard, move
from opsvisor.runtime.logs.targets import RETRY_DELAY, Tally

PIECES = st.lists(st.sampled_from([b"a", b"bcd", b"\n", b"x" * 25, b"line\n"]), max_size=12)


class Poured:
    """A file target that is given everything through a pipe, with a clock that the test moves."""

    def __init__(self, path: Path, **options: object) -> None:
        self.now = 100.0
        self.path = path
        self.tally = Tally()
        self.target = FileTarget(log_spec(path, **options), self.tally, lambda: self.now)
        self._reader, self._end = open_pipe()
        os.set_blocking(self._reader, False)

    def write(self, chunk: bytes) -> None:
        """What follows is in the pipe already, and stays there."""
        os.write(self._end, chunk + b"next")
        self.target.pour(self._reader, chunk)
        assert os.read(self._reader, 99999) == b"next"

    def close(self) -> None:
        """Leave nothing open."""
        self.target.close()
        os.close(self._reader)
        os.close(self._end)

    def everything(self) -> bytes:
        """All backups, the oldest first, and the file."""
        found = sorted(
            self.path.parent.glob(f"{self.path.name}.*"), key=lambda file: -int(file.suffix[1:])
        )
        return b"".join(file.read_bytes() for file in [*found, self.path])


@pytest.fixture
def pour(tmp_path: Path) -> Iterator[Callable[..., Poured]]:
    """Targets at `tmp_path / "x.log"`, closed at the end."""
    made: list[Poured] = []

    def make(**options: object) -> Poured:
        made.append(Poured(tmp_path / "x.log", **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
async def captures(tmp_path: Path) -> AsyncIterator[list[StreamCapture]]:
    """Two captures of one daemon into one file that is rotated at 10 bytes."""
    plumbing, loop = Plumbing(), asyncio.get_running_loop()
    spec = log_spec(tmp_path / "x.log", rotate_size=10, rotate_keep=9)
    made = [
        StreamCapture(spec, Surroundings(ring_size=99, loop=loop, plumbing=plumbing))
        for _ in range(2)
    ]
    yield made
    for one in made:
        one.close()


@given(
    chunks=st.lists(PIECES.map(b"".join), max_size=12),
    size=st.integers(0, 60),
    keep=st.integers(0, 4),
    foreign=st.lists(st.sampled_from(["", "", "", "append", "full"]), min_size=12, max_size=12),
)
def test_poured_is_as_written(
    tmp_path_factory: pytest.TempPathFactory,
    chunks: list[bytes],
    size: int,
    keep: int,
    foreign: list[str],
) -> None:
    """The same files, byte for byte, and the same counts, whatever gets in the way."""
    directory = tmp_path_factory.mktemp("log")
    poured = Poured(directory / "x.log", rotate_size=size, rotate_keep=keep)
    tally = Tally()
    spec = log_spec(directory / "y.log", rotate_size=size, rotate_keep=keep)
    written = FileTarget(spec, tally, lambda: poured.now)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for chunk, event in zip(chunks, foreign, strict=False):
        for one in (poured.path, directory / "y.log"):
            if event == "append" and not size:
                with one.open("ab") as file:
                    file.write(b"by somebody else")
        if event == "full":
            resource.setrlimit(resource.RLIMIT_FSIZE, (30, hard))
        try:
            poured.write(chunk)
            written.write(chunk)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        poured.now += RETRY_DELAY
    names = sorted(file.name for file in directory.glob("x.*"))
    assert names == sorted(f"x{file.name[1:]}" for file in directory.glob("y.*"))
    for name in names:
        assert (directory / name).read_bytes() == (directory / f"y{name[1:]}").read_bytes(), name
    assert poured.tally == tally
    assert poured.target.problem.replace("x.log", "y.log") == written.problem
    poured.close()
    written.close()


def test_others_that_append_are_not_overwritten(pour: Callable[..., Poured]) -> None:
    """A program that writes to its own log, or a second daemon, is noticed and lived with."""
    log = pour()
    log.write(b"1\n")
    with log.path.open("ab") as other:
        other.write(b"other\n")
    log.write(b"2\n")
    assert log.target._appends
    with log.path.open("ab") as other:
        other.write(b"other\n")
    log.write(b"3\n")
    assert log.path.read_bytes() == b"1\nother\n2\nother\n3\n"
    log.target.reopen()
    log.write(b"4\n")
    assert not log.target._appends


def test_truncated_file_has_no_hole(pour: Callable[..., Poured]) -> None:
    """Copytruncate: what follows begins at the beginning."""
    log = pour(rotate_size=20, rotate_keep=1)
    log.write(b"0123456789\n")
    os.truncate(log.path, 0)
    log.write(b"abcdefghij\n")
    assert log.path.read_bytes() == b"abcdefghij\n"
    assert log.target._appends
    log.write(b"klmnopqrst\n")
    assert (log.everything(), log.tally.rotations) == (b"abcdefghij\nklmnopqrst\n", 1)
    assert not log.target._appends  # the new file is ours alone


def test_deleted_and_replaced_file(pour: Callable[..., Poured]) -> None:
    """Nothing is wrong until it is full or reopened; then the one with the name is joined."""
    log = pour(rotate_size=10, rotate_keep=3)
    log.write(b"1234\n")
    log.path.unlink()
    log.write(b"567\n")
    log.path.write_bytes(b"new\n")
    log.write(b"more\n")
    assert log.everything() == b"new\nmore\n"
    log.path.unlink()
    log.write(b"again\n")
    assert log.everything() == b"again\n"
    assert (log.target.problem, log.tally.dropped_lines) == ("", 0)


@pytest.mark.parametrize("refused", ["splice", "flags", "seek"])
def test_file_that_can_only_be_appended_to(
    pour: Callable[..., Poured], monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """No splice(2) for this file system, chattr +a, or no position: silently as it ever was."""
    log = pour(rotate_size=10, rotate_keep=9)

    def refuse(*_args: object, **_named: object) -> int:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    log.target.open()
    match refused:
        case "splice":
            monkeypatch.setattr(os, "splice", refuse)
        case "flags":
            real = fcntl.fcntl
            monkeypatch.setattr(
                fcntl,
                "fcntl",
                lambda fd, command, flags: (
                    real(fd, command, flags) if flags & os.O_APPEND else refuse()
                ),
            )
        case _:
            monkeypatch.setattr(os, "lseek", refuse)
    for number in range(9):
        log.write(b"line %d\n" % number)
    assert log.everything() == b"".join(b"line %d\n" % number for number in range(9))
    assert (log.target.problem, log.tally.write_errors) == ("", 0)


async def test_rotated_file_is_left_by_the_other_stream(
    captures: list[StreamCapture], tmp_path: Path
) -> None:
    """It writes to the file with the name, not on into a backup that is about to be deleted."""
    ends = [capture.open_pipe() for capture in captures]
    for text in (b"1234567\n", b"7654321\n"):
        os.write(ends[0], text)
        captures[0].drain()
    os.write(ends[1], b"b\n")
    captures[1].drain()
    assert (tmp_path / "x.log.1").read_bytes() == b"1234567\n"
    assert (tmp_path / "x.log").read_bytes() == b"7654321\nb\n"
    assert len(captures[0]._around.plumbing.files._files) == 1
    for end in ends:
        os.close(end)
    for capture in captures:
        capture.drain()
    await comes_true(lambda: captures[0]._around.plumbing.files._files == {})
    assert captures[0]._around.plumbing.scratch._writer == -1


async def test_streams_of_one_file_dont_take_each_other_for_strangers(
    captures: list[StreamCapture], tmp_path: Path
) -> None:
    """Both go on by splice(2); one with a filter, which appends, doesn't disturb the other."""
    captures[1].update(log_spec(tmp_path / "x.log", rotate_size=99, strip_ansi=True))
    captures[0].update(log_spec(tmp_path / "x.log", rotate_size=99))
    ends = [capture.open_pipe() for capture in captures]
    for text in (b"plain\n", b"\x1b[1mbold\n"):
        for capture, end in zip(captures, ends, strict=True):
            os.write(end, text)
            capture.drain()
    assert (tmp_path / "x.log").read_bytes() == b"plain\nplain\n\x1b[1mbold\nbold\n"
    targets = [capture._target for capture in captures]
    assert [isinstance(t, FileTarget) and t._appends for t in targets] == [False, True]
    captures[0].clear()
    os.write(ends[1], b"after\n")
    captures[1].drain()
    os.write(ends[0], b"clear\n")
    captures[0].drain()
    assert (tmp_path / "x.log").read_bytes() == b"after\nclear\n"
    assert isinstance(targets[0], FileTarget)
    assert not targets[0]._appends
    for end in ends:
        os.close(end)


async def test_program_without_manners_in_its_own_pipe(
    make_capture: MakeCapture, tmp_path: Path
) -> None:
    """Packets (O_DIRECT) are kept whole; what it reads back itself is its own affair."""
    capture = make_capture(tmp_path / "x.log")
    end = capture.open_pipe()
    fcntl.fcntl(end, fcntl.F_SETFL, os.O_DIRECT)
    packets = [b"%d\n" % number * 700 for number in range(20)]
    for packet in packets:
        os.write(end, packet)
    capture.drain()
    assert (tmp_path / "x.log").read_bytes() == b"".join(packets)
    assert capture.ring.read(0)[1] == b"".join(packets)
    fcntl.fcntl(end, fcntl.F_SETFL, os.O_NONBLOCK)
    capture._around = replace(
        capture._around, wall=lambda: os.read(end, 3).count(b"")
    )  # between our look and our move
    os.write(end, b"stolen\n")
    capture.drain()
    assert (tmp_path / "x.log").read_bytes() == b"".join(packets) + b"len\n"
    os.close(end)


def test_scratch_is_empty_after_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was on its way when an exception came is not shown as the next pipe's."""
    scratch = Scratch()
    scratch.hold()
    reader, end = open_pipe()
    os.set_blocking(reader, False)
    os.write(end, b"first")
    real = os.read

    def interrupted(_fd: int, _size: int) -> bytes:
        monkeypatch.setattr(os, "read", real)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        scratch.peek(reader, 3)
    assert scratch.peek(reader, 4) == b"firs"
    discard(reader, 2)
    assert scratch.peek(reader, 99) == b"rst"
    discard(reader, 99)
    with pytest.raises(BlockingIOError):
        scratch.peek(reader, 99)
    os.close(end)
    assert scratch.peek(reader, 99) == b""
    os.close(reader)
    scratch.let_go()


def test_move_tells_how_far_it_came(tmp_path: Path) -> None:
    """All, as much as fits, or as much as is there: never more, and it never waits."""
    reader, end = open_pipe()
    file = os.open(tmp_path / "x", os.O_WRONLY | os.O_CREAT)
    os.write(end, b"0123456789")
    assert move(reader, file, 4) == (4, None)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (7, hard))
    try:
        moved, error = move(reader, file, 6)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert error is not None
    assert (moved, error.errno) == (3, errno.EFBIG)
    assert move(reader, file, 99) == (3, None)
    assert (tmp_path / "x").read_bytes() == b"0123456789"
    for descriptor in (reader, end, file):
        os.close(descriptor)


async def test_no_descriptors_for_looking_ahead(make_capture: MakeCapture, tmp_path: Path) -> None:
    """Output is read and written all the same, and looked at again once there are some."""
    capture = make_capture(tmp_path / "x.log")
    end = capture.open_pipe()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in open_descriptors())
    spare = [os.dup(end) for _ in range(highest)]  # all numbers up to the highest are taken
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(spare) + 1, hard))
    try:
        os.write(end, b"without\n")
        capture.drain()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in spare:
            os.close(descriptor)
    target = capture._target
    assert isinstance(target, FileTarget)
    appended = [target._appends]
    os.write(end, b"with\n")
    capture.drain()
    assert [*appended, target._appends] == [True, False]
    assert (tmp_path / "x.log").read_bytes() == b"without\nwith\n"
    os.close(end)


async def test_a_successor_goes_on_within_a_line(tmp_path: Path) -> None:
    """It opens the same pipe while the first still has it, and takes what that one left."""
    loop = asyncio.get_running_loop()
    first, second = (
        StreamCapture(log_spec(tmp_path / "x.log"), Surroundings(ring_size=99, loop=loop))
        for _ in range(2)
    )
    end = first.open_pipe()
    os.write(end, b"half a")
    first.drain()
    os.write(end, b" line\n")
    assert (
        first._around.plumbing.scratch.peek(first._pipes[0].fd, 99) == b" line\n"
    )  # and is killed
    second.adopt(os.open(f"/proc/self/fd/{end}", os.O_RDONLY))
    second.drain()
    assert (tmp_path / "x.log").read_bytes() == b"half a line\n"
    os.close(end)
    second.close()
    first.close()


async def test_fifty_megabytes_without_a_newline(
    make_capture: MakeCapture, tmp_path: Path
) -> None:
    """Cut where a file is full, as no file is long enough; memory holds the end of it."""
    capture = make_capture(
        tmp_path / "x.log", rotate_size=20_000_000, rotate_keep=9, ring_size=1 << 16
    )
    process = start(capture, "head", "-c", "50000000", "/dev/zero")
    assert await wait_for_exit(process) == 0
    capture.drain()
    sizes = [(tmp_path / name).stat().st_size for name in ("x.log.2", "x.log.1", "x.log")]
    assert sum(sizes) == 50_000_000
    assert max(sizes) <= 20_000_000
    assert (capture.stats.bytes, capture.stats.lines) == (50_000_000, 0)
    assert capture.ring.read(0)[1] == bytes(1 << 16)


async def test_flood_is_written_in_step_and_cut_between_lines(
    make_capture: MakeCapture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each write begins where the kernel has pages in one piece for it, but the one after a cut.

    Files have room for a whole number of reads, and end with a line all the same.
    """
    begins: list[list[int]] = []

    def noted(pipe: int, file: int, count: int) -> tuple[int, OSError | None]:
        begin = os.fstat(file).st_size
        if not begin:
            begins.append([])
        begins[-1].append(begin)
        return move(pipe, file, count)

    monkeypatch.setattr(files, "move", noted)
    limit = 4 * READ_SIZE
    capture = make_capture(tmp_path / "x.log", rotate_size=limit, rotate_keep=9)
    end = capture.open_pipe()
    os.write(end, b"one line\n")
    capture.drain()
    lines = b"".join(b"%098d\n" % number for number in range(70_000))
    os.set_blocking(end, False)
    written = 0
    while written < len(lines):  # the pipe is full whenever it is read
        written += os.write(end, lines[written : written + PIPE_SIZE])
        capture._read_chunk(capture._pipes[0])
    os.close(end)
    capture.drain()
    rotated = [(tmp_path / f"x.log.{number}").read_bytes() for number in (3, 2, 1)]
    assert b"".join([*rotated, (tmp_path / "x.log").read_bytes()]) == b"one line\n" + lines
    assert all(limit - 99 <= len(text) <= limit and text.endswith(b"\n") for text in rotated)
    assert [sum(at % (READ_SIZE // 2) > 0 for at in file) for file in begins] == [2, 1, 1, 1]
    assert max(map(len, begins)) == 6


def backups_of(path: Path) -> int:
    """How many there are."""
    return len(list(path.parent.glob(f"{path.name}.*")))


@pytest.mark.parametrize(("keep", "rotations"), [(0, 256), (10, 23), (100, 2), (5000, 1)])
async def test_one_read_brings_few_rotations(
    make_capture: MakeCapture, tmp_path: Path, keep: int, rotations: int
) -> None:
    """Each of them moves all backups, and others wait meanwhile; the rest stays in the pipe."""
    capture = make_capture(tmp_path / "x.log", rotate_size=100, rotate_keep=keep)
    end = capture.open_pipe()
    lines = b"".join(b"%099d\n" % number for number in range(400))
    os.write(end, lines)
    (pipe,) = capture._pipes
    assert capture._read_chunk(pipe) == rotations * 100
    assert capture.stats.rotations == rotations - 1
    os.close(end)
    capture.drain()
    assert (tmp_path / "x.log").read_bytes() == lines[-100:]
    assert backups_of(tmp_path / "x.log") == min(keep, 399)


async def test_bytes_that_are_no_text(make_capture: MakeCapture, tmp_path: Path) -> None:
    """NULs, invalid UTF-8, every byte there is: kept as they come."""
    text = bytes(range(256)) * 40 + b"\xff\xfe\xc3(\n\0\n\xed\xa0\x80"
    for options in ({}, {"strip_ansi": True}):
        path = tmp_path / f"{len(options)}.log"
        capture = make_capture(path, **options)
        end = capture.open_pipe()
        os.write(end, text.replace(b"\x1b", b""))
        os.close(end)
        capture.drain()
        assert path.read_bytes() == capture.ring.read(0)[1] == text.replace(b"\x1b", b"")


async def test_disk_full_and_room_again_through_a_pipe(tmp_path: Path) -> None:
    """Whole lines are lost and counted; the program never waits; then output goes on."""
    lines = [b"%06d %s\n" % (number, b"x" * 93) for number in range(1000)]
    loop = asyncio.get_running_loop()
    with tiny_disk(tmp_path) as make_room:
        path = tmp_path / "x.log"
        capture = StreamCapture(log_spec(path), Surroundings(ring_size=99, loop=loop))
        end = capture.open_pipe()

        def write(text: bytes) -> None:
            os.write(end, text)
            capture.drain()

        write(b"".join(lines[:600]))
        assert path.read_bytes() == b"".join(lines)[:49151] + b"\n"
        assert capture.problem.startswith(f"cannot write {path}: ")
        write(b"".join(lines[600:700]) + lines[700][:50])
        make_room()
        target = capture._target
        assert isinstance(target, FileTarget)
        target._retry_at = 0.0
        write(lines[700][50:] + lines[701])
        assert (capture.problem, target._appends) == ("", False)
        assert path.read_bytes() == b"".join(lines)[:49151] + b"\n" + lines[701]
        assert capture.stats.dropped_lines == 701 - 49152 // 101 - 1
        os.close(end)
        capture.close()
