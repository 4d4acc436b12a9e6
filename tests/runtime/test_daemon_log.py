"""What the daemon says about itself."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from opsvisor.core.spec import LogSpec
from opsvisor.runtime.daemon_log import DaemonLog

MakeLog = Callable[..., DaemonLog]


@pytest.fixture
async def make_log() -> AsyncIterator[MakeLog]:
    """Logs that are closed at the end of the test."""
    made: list[DaemonLog] = []
    loop = asyncio.get_running_loop()

    def make(
        path: Path | None = None,
        *,
        echo: bool = False,
        stand_in: Path | None = None,
        rotate_size: int = 0,
    ) -> DaemonLog:
        spec = LogSpec(path=str(path) if path else None, rotate_size=rotate_size, rotate_keep=1)
        instead = str(stand_in) if stand_in else None
        made.append(DaemonLog(spec, echo=echo, ring_size=1024, loop=loop, stand_in=instead))
        return made[-1]

    yield make
    for log in made:
        log.close()


async def test_a_line_goes_to_the_file_and_to_memory(make_log: MakeLog, tmp_path: Path) -> None:
    """Where it is read later, and followed now."""
    log = make_log(tmp_path / "log")
    log.write("hello")
    log.write("wörld")
    assert (tmp_path / "log").read_text() == "hello\nwörld\n"
    assert log.capture.ring.read(0)[1].decode() == "hello\nwörld\n"


@contextmanager
def standard_output(replacement: int) -> Iterator[None]:
    """Descriptor 1 is this one while the block lasts."""
    kept = os.dup(1)
    os.dup2(replacement, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


async def test_in_the_foreground_it_is_said_aloud(
    make_log: MakeLog, capfd: pytest.CaptureFixture[str]
) -> None:
    """And only there."""
    make_log(echo=True).write("hellö")
    make_log().write("silence")
    assert capfd.readouterr().out == "hellö\n"


async def test_what_the_file_can_not_have_is_said_elsewhere(
    make_log: MakeLog, tmp_path: Path
) -> None:
    """As long as that is so; and why. Nobody would hear of it who doesn't ask."""
    (tmp_path / "no").mkdir()
    log = make_log(tmp_path / "no" / "log", stand_in=tmp_path / "instead")
    log.write("as ever")
    assert not (tmp_path / "instead").exists()
    (tmp_path / "no" / "log").unlink()
    (tmp_path / "no").rmdir()
    log.find_again()
    log.write("hello")
    log.write("again")
    told = (tmp_path / "instead").read_text().splitlines()
    why = f"cannot open {tmp_path}/no/log: No such file or directory"
    assert told[0].startswith(f"what belongs into the log follows here: {why}")
    assert told[1:] == ["hello", "again"]
    (tmp_path / "log.1" / "in the way").mkdir(parents=True)
    log = make_log(tmp_path / "log", stand_in=tmp_path / "silent", rotate_size=10)
    for _ in range(3):
        log.write("12345678")
    assert "cannot rotate" in log.capture.problem
    assert (tmp_path / "log").read_text() == "12345678\n" * 3
    assert not (tmp_path / "silent").exists()
    make_log(tmp_path / "no" / "log", echo=True, stand_in=tmp_path / "silent").write("said")
    assert not (tmp_path / "silent").exists()


async def test_a_listener_that_left_costs_nothing_but_the_echo(make_log: MakeLog) -> None:
    """`opsvisord | head` goes on after head has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    with standard_output(writer):
        log = make_log(echo=True)
        log.write("hello")
        log.write("again")
    os.close(writer)
    assert log.capture.ring.read(0)[1] == b"hello\nagain\n"


async def test_a_listener_that_does_not_read_holds_nobody_up(make_log: MakeLog) -> None:
    """A terminal that is held, `| less`, a log driver in trouble: supervision goes on."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with standard_output(writer):
        log = make_log(echo=True)
        for number in range(1000):
            log.write(f"line {number:04}")
        shown = os.read(reader, 4096)
    os.close(reader)
    os.close(writer)
    assert shown.startswith(b"line 0000\nline 0001\n")
    assert log.capture.ring.read(0)[1].endswith(b"line 0999\n")


async def test_a_line_that_is_not_text_does_not_silence_the_next(make_log: MakeLog) -> None:
    """A file name that is not UTF-8."""
    log = make_log()
    for line in ("wörld \udcff", "hello"):
        log.write(line)
    assert log.capture.ring.read(0)[1] == b"w\xc3\xb6rld ?\nhello\n"
