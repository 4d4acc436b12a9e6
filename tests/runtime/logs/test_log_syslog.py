"""Lines on their way to the system's log, at a socket that stands in for it."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from captured_programs import Heard, log_spec, start_python, wait_for_exit
from hypothesis import given
from hypothesis import strategies as st

from opsvisor.core.spec import LogSpec
from opsvisor.runtime.logs import StreamCapture
from opsvisor.runtime.logs.audience import Audience
from opsvisor.runtime.logs.capture import LINES_READ_SIZE, Surroundings
from opsvisor.runtime.logs.syslog import LINE_LIMIT, PENDING_LIMIT, Syslog, SyslogTarget
from opsvisor.runtime.logs.targets import RETRY_DELAY, Tally

NOON = 1_764_072_000.0  # in November: the day has two digits


class Receiver:
    """What syslogd is to its clients."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket: socket.socket
        self.open()

    def open(self) -> None:
        """Listen, as after a restart."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.setblocking(False)

    def close(self) -> None:
        """End, and take the socket along."""
        self._socket.close()
        self.path.unlink()

    def messages(self) -> list[bytes]:
        """All that came since this was last asked."""
        found = []
        while True:
            try:
                found.append(self._socket.recv(1 << 20))
            except BlockingIOError:
                return found

    def texts(self) -> list[bytes]:
        """The same without what stands in front of each."""
        return [message.partition(b": ")[2] for message in self.messages()]


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    """A log of the system that reads when it is told to."""
    one = Receiver(tmp_path / "log")
    yield one
    one.close()


MakeTarget = Callable[..., SyslogTarget]


@pytest.fixture
async def make_target(tmp_path: Path) -> AsyncIterator[MakeTarget]:
    """Targets at the receiver's path, closed while the loop still runs."""
    made: list[SyslogTarget] = []

    def make(tally: Tally | None = None, prefix: str = "web") -> SyslogTarget:
        syslog = Syslog(path=str(tmp_path / "log"), ident="opsvisord")
        loop = asyncio.get_running_loop()
        made.append(SyslogTarget(syslog, tally or Tally(), loop, lambda: NOON, prefix=prefix))
        return made[-1]

    yield make
    for target in made:
        target.close()


async def test_a_line_is_a_message_in_the_shape_of_syslog(
    make_target: MakeTarget, receiver: Receiver
) -> None:
    """Facility and level, local time, our name, the name of the process, the line."""
    make_target().write(b"hello\n")
    stamp = time.strftime("%b %e %H:%M:%S", time.localtime(NOON)).encode()
    assert receiver.messages() == [b"<14>%b opsvisord: web hello" % stamp]
    make_target(prefix="").write(b"2026-11-23 INFO hello\n")
    assert receiver.texts() == [b"2026-11-23 INFO hello"]


async def test_lines_are_whole_however_they_are_read(
    make_target: MakeTarget, receiver: Receiver
) -> None:
    """Supervisor sends what one read brought, be it half a line. The last one may have no end."""
    target = make_target()
    target.write(b"on")
    target.write(b"e\n\ncaf\xc3\xa9 \xff\x00\nla")
    assert receiver.texts() == [b"web one", b"web ", b"web caf\xc3\xa9 \xff\x00"]
    target.write(b"st")
    target.rest()
    assert receiver.texts() == [b"web last"]


async def test_an_endless_line_is_cut(make_target: MakeTarget, receiver: Receiver) -> None:
    """Into pieces that every log of a system takes, and none of it waits for the end."""
    target = make_target(prefix="")
    target.write(b"x" * (LINE_LIMIT + 5))
    assert receiver.texts() == [b"x" * LINE_LIMIT]
    target.write(b"y" * LINE_LIMIT + b"\n")
    assert receiver.texts() == [b"xxxxx" + b"y" * (LINE_LIMIT - 5), b"yyyyy"]


async def test_a_slow_reader_gets_everything_in_order(
    make_target: MakeTarget, receiver: Receiver
) -> None:
    """The kernel holds a few datagrams only; the others wait here, and the loop does not."""
    tally = Tally()
    target = make_target(tally, prefix="")
    lines = [b"%d" % number for number in range(2000)]
    target.write(b"\n".join(lines) + b"\n")
    assert target._pending
    got = receiver.texts()
    async with asyncio.timeout(60):
        while len(got) < len(lines):
            await asyncio.to_thread(lambda: None)  # gives the loop a turn
            got += receiver.texts()
    assert got == lines
    assert (tally.dropped_lines, target.problem) == (0, "")


async def test_a_reader_that_never_reads_costs_lines_and_nothing_else(
    make_target: MakeTarget, receiver: Receiver
) -> None:
    """They are counted, and why is told until there is room again."""
    tally = Tally()
    target = make_target(tally, prefix="")
    line = b"x" * 1000
    count = 2 * PENDING_LIMIT // len(line)
    target.write((line + b"\n") * count)
    assert tally.dropped_lines > 0
    assert target._pending_size <= PENDING_LIMIT
    assert target.problem == f"syslog at {receiver.path} is too slow: lines are dropped"
    got = len(receiver.messages())
    async with asyncio.timeout(60):
        while target._pending:
            await asyncio.to_thread(lambda: None)  # gives the loop a turn
            got += len(receiver.messages())
    assert got + len(receiver.messages()) + tally.dropped_lines == count
    assert target.problem == ""


async def test_without_a_log_of_the_system_lines_are_counted(
    make_target: MakeTarget, receiver: Receiver
) -> None:
    """No program fails for that; when there is one, the next lines arrive."""
    receiver.close()
    tally = Tally()
    target = make_target(tally)
    now = 0.0
    target._clock = lambda: now
    target.write(b"one\ntwo\n")
    assert target.problem == (f"cannot reach syslog at {receiver.path}: No such file or directory")
    assert (tally.dropped_lines, tally.write_errors) == (2, 1)
    receiver.open()
    target.write(b"too early\n")
    now = RETRY_DELAY
    target.write(b"four\n")
    assert receiver.texts() == [b"web four"]
    assert (tally.dropped_lines, target.problem) == (3, "")


async def test_a_restarted_log_is_found_again_at_once(
    make_target: MakeTarget, receiver: Receiver
) -> None:
    """By its name, with the line that met the closed door."""
    tally = Tally()
    target = make_target(tally)
    target.write(b"one\n")
    receiver.close()
    receiver.open()
    target.write(b"two\n")
    assert receiver.texts() == [b"web two"]
    assert (tally.dropped_lines, target.problem) == (0, "")


async def test_what_waits_for_a_log_that_goes_is_counted(
    make_target: MakeTarget, receiver: Receiver
) -> None:
    """The same lines can't be sent to the next one: its predecessor may have read them."""
    tally = Tally()
    target = make_target(tally)
    target.write(b"x\n" * 1000)
    waiting = len(target._pending)
    assert waiting
    receiver.close()
    async with asyncio.timeout(60):
        while target._pending:
            await asyncio.to_thread(lambda: None)  # gives the loop a turn
    assert tally.dropped_lines == waiting
    assert "cannot reach syslog" in target.problem
    receiver.open()


async def test_at_the_end_what_can_be_sent_is_sent(
    make_target: MakeTarget, receiver: Receiver
) -> None:
    """The rest is counted; nobody waits for it."""
    tally = Tally()
    target = make_target(tally)
    target.write(b"x\n" * 1000)
    got = len(receiver.messages())
    target.close()
    got += len(receiver.messages())
    assert got + tally.dropped_lines == 1000
    assert tally.dropped_lines < 1000 - got + 1


@given(
    st.lists(st.lists(st.sampled_from([b"a", b"b\n", b"\n", b"\xff"]), max_size=6).map(b"".join))
)
def test_chunking_makes_no_difference(chunks: list[bytes]) -> None:
    """Every line once, and nothing else."""
    sent: list[bytes] = []

    class Noted(SyslogTarget):
        def _send(self, line: bytes) -> None:
            sent.append(line)

    loop = asyncio.new_event_loop()
    target = Noted(Syslog(), Tally(), loop, lambda: NOON)
    loop.close()
    for chunk in chunks:
        target.write(chunk)
    target.rest()
    text = b"".join(chunks)
    assert sent == (text.removesuffix(b"\n").split(b"\n") if text else [])


class _Web(Audience):
    """Its streams are those of the process web."""

    @property
    def name(self) -> str:
        """See Audience."""
        return "web"


def capture_at(receiver: Receiver, spec: LogSpec) -> StreamCapture:
    """A stream of the process web whose lines go to the receiver."""
    return StreamCapture(
        spec,
        Surroundings(
            ring_size=1 << 20,
            loop=asyncio.get_running_loop(),
            syslog=Syslog(path=str(receiver.path)),
        ),
        audience=_Web(),
    )


async def test_a_stream_goes_to_its_file_and_to_syslog(receiver: Receiver, tmp_path: Path) -> None:
    """Each whole, escape sequences taken out of both; a stopped program holds no socket."""
    capture = capture_at(receiver, log_spec(tmp_path / "x.log", syslog=True, strip_ansi=True))
    process = start_python(capture, r"os.write(1, b'\x1b[1mone\x1b[0m\nlast')")
    await wait_for_exit(process)
    capture.drain()
    assert (tmp_path / "x.log").read_bytes() == b"one\nlast"
    assert receiver.texts() == [b"web one", b"web last"]
    assert capture._to_syslog is not None
    assert capture._to_syslog._socket is None
    capture.clear()
    capture.close()


async def test_trouble_with_either_target_is_told(receiver: Receiver, tmp_path: Path) -> None:
    """The other goes on."""
    receiver.close()
    capture = capture_at(receiver, log_spec(tmp_path / "x.log", syslog=True))
    told = Heard(of=capture).problems
    capture.write(b"one\n")
    assert told == [f"cannot reach syslog at {receiver.path}: No such file or directory"]
    assert (tmp_path / "x.log").read_bytes() == b"one\n"
    receiver.open()
    capture._spec = log_spec(tmp_path / "none" / "x.log", syslog=True)
    capture.close()


async def test_trouble_with_both_targets_is_one_problem(
    receiver: Receiver, tmp_path: Path
) -> None:
    """Told once, in one line."""
    receiver.close()
    capture = capture_at(receiver, log_spec(tmp_path / "none" / "x.log", syslog=True))
    told = Heard(of=capture).problems
    for _ in range(2):
        capture.write(b"one\n")
    syslog = f"cannot reach syslog at {receiver.path}: No such file or directory"
    assert [problem.split(" (")[0] for problem in told] == [
        f"cannot open {tmp_path}/none/x.log: No such file or directory"
    ]
    assert told[0].endswith(f"; {syslog}")
    receiver.open()
    capture.close()


async def test_syslog_follows_the_spec_and_survives_a_reopen(
    receiver: Receiver, tmp_path: Path
) -> None:
    """Wanted, and no more; reopening is for files."""
    capture = capture_at(receiver, log_spec(None))
    end = capture.open_pipe()
    os.write(end, b"unsent\n")
    capture.drain()
    capture.update(log_spec(None, syslog=True))
    capture.reopen()
    os.write(end, b"sent\n")
    capture.drain()
    assert receiver.texts() == [b"web sent"]
    capture.update(log_spec(tmp_path / "x.log"))
    os.write(end, b"unsent\n")
    capture.drain()
    assert receiver.texts() == []
    assert (tmp_path / "x.log").read_bytes() == b"unsent\n"
    os.close(end)
    capture.close()


async def test_short_lines_are_taken_in_small_bites(receiver: Receiver) -> None:
    """Each costs a system call, and the others on the loop must not wait for a pipe full."""
    capture = capture_at(receiver, log_spec(None, syslog=True))
    end = capture.open_pipe()
    os.write(end, b"\n" * 50_000)
    assert capture._read_chunk(capture._pipes[0]) == LINES_READ_SIZE
    os.close(end)
    capture.close()
