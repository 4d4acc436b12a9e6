"""What the daemon says about itself."""

import asyncio
import io
import sys
from collections.abc import AsyncIterator, Callable
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

    def make(path: Path | None = None, *, echo: bool = False) -> DaemonLog:
        spec = LogSpec(path=str(path) if path else None)
        made.append(DaemonLog(spec, echo=echo, ring_size=1024, loop=loop))
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


async def test_in_the_foreground_it_is_said_aloud(
    make_log: MakeLog, capsys: pytest.CaptureFixture[str]
) -> None:
    """And only there."""
    make_log(echo=True).write("hello")
    make_log().write("silence")
    assert capsys.readouterr().out == "hello\n"


async def test_a_listener_that_left_costs_nothing_but_the_echo(
    make_log: MakeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`opsvisord | head` goes on after head has gone."""
    gone = io.StringIO()
    gone.close()
    log = make_log(echo=True)
    monkeypatch.setattr(sys, "stdout", gone)
    log.write("hello")
    log.write("again")
    assert not log.echo
    assert log.capture.ring.read(0)[1] == b"hello\nagain\n"


async def test_a_line_that_cannot_be_shown_does_not_silence_the_next(
    make_log: MakeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file name that is not UTF-8, or a terminal that knows ASCII only."""
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii"))
    log = make_log(echo=True)
    for line in ("wörld \udcff", "hello"):
        log.write(line)
    assert shown.getvalue().splitlines()[-1] == b"hello"
    assert log.capture.ring.read(0)[1] == b"w\xc3\xb6rld ?\nhello\n"
