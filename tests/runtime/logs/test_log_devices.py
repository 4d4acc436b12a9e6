import asyncio
import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsvisor.runtime.logs.devices import (
    PENDING_LIMIT,
    DeviceTarget,
    _write_if_ready,
    is_device,
    own_descriptor,
)
from opsvisor.runtime.logs.targets import RETRY_DELAY, Tally

FIFO_SIZE = 65536


class Device:
    """A device target with its tally; the loop's clock can be moved forward."""

    def __init__(self, path: Path | str) -> None:
        self.tally = Tally()
        self.target = DeviceTarget(str(path), self.tally, asyncio.get_running_loop())

    def let_retry(self) -> None:
        """As if RETRY_DELAY had passed."""
        self.target._retry_at -= RETRY_DELAY


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """A FIFO that nobody has opened."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Reader (non-blocking) and writer; the test may close the reader."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    before = os.fstat(reader).st_ino
    yield reader, writer
    os.close(writer)
    try:
        still_ours = os.fstat(reader).st_ino == before
    except OSError:
        still_ours = False
    if still_ours:
        os.close(reader)


async def read_until(reader: int, end: bytes) -> bytes:
    """What arrives, up to and with `end`."""
    received = b""
    readable = asyncio.Event()
    asyncio.get_running_loop().add_reader(reader, readable.set)
    try:
        async with asyncio.timeout(60):
            while not received.endswith(end):
                await readable.wait()
                received += os.read(reader, 4096)
                readable.clear()
    finally:
        asyncio.get_running_loop().remove_reader(reader)
    return received


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("/dev/stdout", 1),
        ("/dev/stderr", 2),
        ("/dev/fd/12", 12),
        ("/proc/self/fd/3", 3),
        ("/dev/null", None),
        ("/dev/fd/", None),
        ("/nowhere", None),
        ("nul\0", None),
    ],
)
def test_own_descriptors_by_name(path: str, number: int | None) -> None:
    """The names under which a program finds its own descriptors."""
    assert own_descriptor(path) == number


@pytest.mark.usefixtures("fifo")
def test_devices_are_told_from_files(tmp_path: Path) -> None:
    """Files, missing files and directories are for the file target; links are followed."""
    (tmp_path / "file").touch()
    (tmp_path / "out").symlink_to("/dev/stdout")
    (tmp_path / "self").symlink_to("self")
    names = ["file", "missing", "fifo", "out", "self", "nul\0"]
    assert [is_device(str(tmp_path / name)) for name in [*names, ""]] == [
        *(False, False, True, True, False, False, False)
    ]
    assert is_device("/dev/null")
    assert not is_device("/dev/shm/x.log")


async def test_fifo_keeps_output_until_a_reader_comes(fifo: Path) -> None:
    """No reader is no error; what fits the FIFO and 1 MiB more arrives complete and in order."""
    device = Device(fifo)
    sent = b"".join(b"%07d\n" % number for number in range(PENDING_LIMIT // 8))
    device.target.write(sent[:5])
    device.target.write(sent[5:])
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    assert await read_until(reader, sent[-8:]) == sent
    os.close(reader)
    assert device.target.problem == ""
    assert device.tally == Tally()
    device.target.close()


async def test_slow_reader_costs_whole_lines(fifo: Path) -> None:
    """Beyond the limit whole lines go, are counted, and no two lines run together."""
    device = Device(fifo)
    lines = [b"%07d %s\n" % (number, b"x" * 91) for number in range(20_000)]
    everything = b"".join(lines)
    for at in range(0, len(everything), 70_001):
        device.target.write(everything[at : at + 70_001])
    kept = FIFO_SIZE + PENDING_LIMIT
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    first_line_lost = kept // 100
    first = await read_until(reader, lines[first_line_lost - 1])
    device.target.write(b"half of ")
    device.target.write(b"the end\n")
    assert first + await read_until(reader, b"the end\n") == (
        b"".join(lines[:first_line_lost]) + b"half of the end\n"
    )
    os.close(reader)
    assert device.tally.dropped_lines == len(lines) - first_line_lost
    device.target.close()


async def test_line_that_began_before_the_limit_goes_as_a_whole(fifo: Path) -> None:
    """Its beginning is still pending: dropped with the rest, not joined to a later line."""
    device = Device(fifo)
    device.target.write(b"1234567\n" * (FIFO_SIZE // 8))
    device.target.write(b"1234567\n" * (PENDING_LIMIT // 8 - 1) + b"half")
    device.target.write(b" a line\n")
    device.target.write(b"last\n")
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    received = await read_until(reader, b"last\n")
    assert received == b"1234567\n" * ((FIFO_SIZE + PENDING_LIMIT) // 8 - 1) + b"last\n"
    assert device.tally.dropped_lines == 1
    os.close(reader)
    device.target.close()


async def test_close_forgets_the_descriptor(fifo: Path) -> None:
    """Its number is used again at once; waiting for the new one must work."""
    device = Device(fifo)
    device.target.write(b"1234567\n" * (FIFO_SIZE // 8 + 10))
    device.target.reopen()
    device.target.write(b"1234567\n" * (FIFO_SIZE // 8 + 10) + b"last\n")
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    assert (await read_until(reader, b"last\n")).count(b"\n") == FIFO_SIZE // 8 + 11
    assert (device.tally.dropped_lines, device.tally.write_errors) == (10, 0)
    os.close(reader)
    device.target.close()


async def test_close_counts_what_nobody_took(fifo: Path) -> None:
    """Pending lines that are given up are dropped lines."""
    device = Device(fifo)
    device.target.write(b"1234567\n" * (FIFO_SIZE // 8 + 10))
    device.target.close()
    assert device.tally.dropped_lines == 10


async def test_reader_that_left_is_a_problem_until_one_comes(pipe: tuple[int, int]) -> None:
    """/dev/stdout as a pipe: its end is noticed, reported, and tried again once a second."""
    reader, writer = pipe
    device = Device(f"/dev/fd/{writer}")
    device.target.write(b"1\n")
    assert os.read(reader, 99) == b"1\n"
    os.close(reader)
    device.target.write(b"2\n")
    device.target.write(b"3\n")
    assert device.target.problem == f"cannot write /dev/fd/{writer}: Broken pipe"
    assert (device.tally.dropped_lines, device.tally.write_errors) == (2, 1)
    reader = os.open(f"/proc/self/fd/{writer}", os.O_RDONLY | os.O_NONBLOCK)
    device.let_retry()
    device.target.write(b"4\n")
    assert os.read(reader, 99) == b"4\n"
    assert device.target.problem == ""
    os.close(reader)
    device.target.close()


async def test_reader_that_leaves_with_output_pending(pipe: tuple[int, int]) -> None:
    """The writer callback notices, counts what was pending, and the loop goes on."""
    reader, writer = pipe
    device = Device(f"/dev/fd/{writer}")
    device.target.write(b"1234567\n" * (FIFO_SIZE // 8 + 10))
    os.close(reader)
    async with asyncio.timeout(60):
        while not device.target.problem:
            turn = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(turn.set_result, None)
            await turn
    assert (device.tally.dropped_lines, device.tally.write_errors) == (10, 1)
    device.target.close()


async def test_our_descriptors_stay_blocking_for_others(pipe: tuple[int, int]) -> None:
    """O_NONBLOCK would hold for everybody who shares the terminal with us."""
    _, writer = pipe
    device = Device(f"/dev/fd/{writer}")
    device.target.write(b"1\n")
    assert os.get_blocking(writer)
    device.target.close()


async def test_descriptor_of_a_file_shares_its_position(tmp_path: Path) -> None:
    """`opsvisord > out`: what we print ourselves and what programs print don't overwrite."""
    fd = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    device = Device(f"/dev/fd/{fd}")
    os.write(fd, b"ours\n")
    device.target.write(b"theirs\n")
    os.write(fd, b"ours\n")
    os.close(fd)
    device.target.close()
    assert (tmp_path / "out").read_bytes() == b"ours\ntheirs\nours\n"


async def test_descriptor_of_a_socket() -> None:
    """Under systemd /dev/stdout is a socket, which can't be opened by name; nor may it block."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        device = Device(f"/dev/fd/{ours.fileno()}")
        device.target.write(b"hello\n")
        assert theirs.recv(99) == b"hello\n"
        sent = b"".join(b"%07d\n" % number for number in range(100_000))
        device.target.write(sent)
        theirs.setblocking(False)
        assert await read_until(theirs.fileno(), sent[-8:]) == sent
        device.target.close()


async def test_full_device_and_null() -> None:
    """Every write to /dev/full fails, none to /dev/null; neither raises."""
    full = Device("/dev/full")
    full.target.write(b"1\n2\n")
    assert full.target.problem == "cannot write /dev/full: No space left on device"
    assert (full.tally.dropped_lines, full.tally.write_errors) == (2, 1)
    null = Device("/dev/null")
    null.target.write(b"1\n")
    null.target.clear()
    null.target.rest()
    null.target.reopen()
    assert (null.target.problem, null.tally, null.target.size) == ("", Tally(), 0)
    full.target.close()
    null.target.close()


async def test_terminal() -> None:
    """A terminal takes output like any device."""
    ours, theirs = os.openpty()
    device = Device(os.ttyname(theirs))
    device.target.write(b"hello\n")
    assert os.read(ours, 99) == b"hello\r\n"
    device.target.close()
    os.close(ours)
    os.close(theirs)


async def test_missing_descriptor_is_a_problem() -> None:
    """/dev/fd/N that nobody opened."""
    device = Device("/dev/fd/987")
    device.target.write(b"1\n")
    assert device.target.problem == "cannot open /dev/fd/987: Bad file descriptor"
    device.target.close()


def test_shared_pipe_is_never_waited_for(pipe: tuple[int, int]) -> None:
    """The way for pipes that we may not open anew: it stops at a full pipe, without O_NONBLOCK."""
    reader, writer = pipe
    taken = [_write_if_ready(writer, bytes(10_000)) for _ in range(FIFO_SIZE // select.PIPE_BUF)]
    with pytest.raises(BlockingIOError):
        _write_if_ready(writer, b"x")
    assert sum(taken) == len(os.read(reader, 1 << 20)) == FIFO_SIZE
