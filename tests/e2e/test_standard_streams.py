"""Programs of ours that are started with streams which are closed, full, or read by nobody."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import BIN, run_program
from daemon import StartDaemon, eventually
from home import Home

PROGRAM = """
    [program.web]
    command = "$VICTIM 'say hello'"
    min_uptime = "0s"
    """
# What each says on standard output, and how that ends where it can be said.
SPEAKERS = {
    ("opsvisord", "--version"): 0,
    ("opsvisord", "--help"): 0,
    ("opsvisord", "--check", "opsvisor.toml"): 0,
    ("opsvisorctl", "--version"): 0,
    ("opsvisorctl", "--help"): 0,
    ("opsvisorctl", "-s", "unix:///none", "status"): 4,
    ("opsvisor-pidproxy",): 1,
    ("echo_opsvisord_conf",): 0,
    ("echo_opsvisord_conf", "--toml"): 0,
}
NO_SPACE = "can't write standard output: No space left on device\n"


@pytest.fixture
def full() -> Iterator[int]:
    """A standard output on a disk that has no room left."""
    end = os.open("/dev/full", os.O_WRONLY)
    yield end
    os.close(end)


@pytest.fixture
def unread() -> Iterator[int]:
    """A standard output whose reader has seen enough."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.fixture
def directory(home: Home) -> Path:
    """Where there is a configuration that can be checked."""
    (home.directory / "opsvisor.toml").write_text("schema = 1\n")
    return home.directory


@pytest.mark.parametrize("words", SPEAKERS, ids=" ".join)
def test_a_full_disk_is_told_as_one(directory: Path, full: int, words: tuple[str, ...]) -> None:
    """In a line and by the exit status, also where Python does not put anything off."""
    for unbuffered in ("", "1"):
        done = run_program(*words, directory=directory, stdout=full, PYTHONUNBUFFERED=unbuffered)
        assert (done.status, done.err) == (1, f"{words[0]}: {NO_SPACE}")


@pytest.mark.parametrize("words", SPEAKERS, ids=" ".join)
def test_a_reader_that_has_seen_enough_is_told_nothing(
    directory: Path, unread: int, words: tuple[str, ...]
) -> None:
    """As in `| head`: that is no mistake of anybody's."""
    done = run_program(*words, directory=directory, stdout=unread)
    assert (done.status, done.err) == (1, "")


@pytest.mark.parametrize("words", SPEAKERS, ids=" ".join)
def test_streams_that_are_closed_are_no_error(directory: Path, words: tuple[str, ...]) -> None:
    """Whoever closed them wants to hear nothing. What was asked for is done, its status told."""
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        script = f'exec "$@" {closed}'
        done = subprocess.run(
            ["sh", "-c", script, "sh", BIN / words[0], *words[1:]],
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == SPEAKERS[words], (closed, done)
        assert "Traceback" not in done.stderr, closed
        assert bool(done.stdout) == (">&-" not in closed.replace("2>&-", "")), closed


def test_a_reader_that_is_slow_is_waited_for(directory: Path) -> None:
    """Though somebody who shares the pipe has set it not to block, as Node.js does."""
    script = """
import sys
from opsvisor import __main__ as programs

def say():
    sys.stdout.write("x" * 1_000_000)
    return 3

sys.exit(programs._run("opsvisorctl", say))
"""
    for unbuffered in ("", "1"):
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        with subprocess.Popen(
            [BIN / "python", "-c", script],
            cwd=directory,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=writer,
            stderr=subprocess.PIPE,
        ) as child:
            os.close(writer)
            with os.fdopen(reader, "rb") as said:
                assert len(said.read()) == 1_000_000
            assert child.stderr is not None
            assert (child.wait(), child.stderr.read()) == (3, b"")


def test_a_message_that_can_not_be_encoded_is_told_all_the_same(directory: Path) -> None:
    """Where standard error was closed, too."""
    for closed in ("", "2>&-"):
        words = ["sh", "-c", f'exec "$@" {closed}', "sh", str(BIN / "opsvisord"), "-c"]
        done = subprocess.run(
            [*words, os.fsdecode(b"/none\xff")], cwd=directory, capture_output=True, check=False
        )
        assert done.returncode == 2


def test_an_error_of_another_kind_is_not_taken_for_one_of_the_output(directory: Path) -> None:
    """A bug is told with all that Python has to say about it."""
    script = """
import sys
from opsvisor import __main__ as programs

def fail():
    open("/dev/full", "w").write("x")
    raise OSError(28, "No space left on device")

sys.exit(programs._run("opsvisord", fail))
"""
    done = subprocess.run(
        [BIN / "python", "-c", script], cwd=directory, capture_output=True, text=True, check=False
    )
    assert "Traceback" in done.stderr
    assert "standard output" not in done.stderr


def test_a_daemon_without_streams_keeps_its_programs_output_to_them(
    start_daemon: StartDaemon,
) -> None:
    """What it opens does not get the numbers of its streams, which its log would be written to."""
    wrapper = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    daemon = start_daemon(PROGRAM, wrapper=wrapper)
    daemon.until("web", "RUNNING")
    assert daemon.until_says("web", "hello") == "hello\n"
    streams = {Path(f"/proc/{daemon.pid}/fd/{number}").readlink() for number in range(3)}
    assert streams == {Path(os.devnull)}


def test_a_daemon_whose_output_takes_nothing_goes_on(start_daemon: StartDaemon) -> None:
    """It has a log, and programs to look after."""
    daemon = start_daemon(PROGRAM, wrapper=["sh", "-c", 'exec "$@" >/dev/full 2>&1', "sh"])
    first = daemon.until("web", "RUNNING").pid
    assert first is not None
    os.kill(first, 9)
    eventually(lambda: daemon.status("web").pid not in (None, first))
    assert daemon.until("web", "RUNNING").starts == 2
