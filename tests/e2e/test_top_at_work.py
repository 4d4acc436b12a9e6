"""top on a terminal, with a real daemon: what is shown, what keys do, and how it ends."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from commands import BIN
from daemon import Daemon, StartDaemon
from screen import Screen

PROGRAMS = """
    [program.web]
    command = "$VICTIM"
    stdin = "pipe"
    min_uptime = "0s"

    [program.bad]
    command = "sh -c 'echo oh no >&2; exit 3'"
    restart_limit_count = 1
    backoff_delay = "10ms"
    fatal_retry_delay = "never"

    [program.off]
    command = "$VICTIM"
    startup = "manual"
    """

Look = Callable[..., Screen]


@contextmanager
def top(
    daemon: Daemon, *words: str, columns: int = 80, rows: int = 24, **variables: str
) -> Iterator[Screen]:
    """It runs, and shows what there is."""
    url = f"unix://{daemon.home.socket}"
    command = [str(BIN / "opsvisorctl"), "-s", url, "top", *words]
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    with Screen(command, {**environment, **variables}, columns=columns, rows=rows) as screen:
        screen.until("live")
        yield screen


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> Daemon:
    """One process that runs, one that was given up, one that nobody has started."""
    one = start_daemon(PROGRAMS)
    one.until("web", "RUNNING")
    one.until("bad", "FATAL")
    return one


def test_what_there_is_and_what_can_be_done(daemon: Daemon) -> None:
    """Worst first; stop asks, and tells what came of it; who is selected is heard."""
    with top(daemon) as screen:
        screen.until("bad", "web", "off", "oh no")
        rows = [line.split()[0 if line[0] != ">" else 1] for line in screen.lines[3:6]]
        assert rows == ["bad", "web", "off"]
        assert screen.colours_of("FATAL") != screen.colours_of("RUNNING")
        screen.press("j")
        screen.until("> web")
        daemon.client.write_stdin("web", "say hello\n")
        screen.until("| hello")
        screen.press("x")
        screen.until("stop web?")
        assert daemon.status("web").state == "RUNNING"
        screen.press("y")
        screen.until("web: stopped", "STOPPED")
        daemon.until("web", "STOPPED")
        screen.press("s")
        screen.until("web: started")
        screen.press("/of")
        screen.until("filter: of_", "1 of 3", without=["> web"])
        screen.press("\r")
        screen.press("s")
        screen.until("off: started")
        screen.press("\x1bw")
        screen.until("Why: off", "nothing is wrong")
        screen.press("\x1b")
        screen.until("? keys", without=["Why:"])
        screen.press("q")
        assert screen.ended() == 0
        assert screen.is_as_before


def test_a_crash_is_seen_to_happen(daemon: Daemon) -> None:
    """Without anybody pressing a key; who runs for it is shown while it runs."""
    with top(daemon, "web") as screen:
        screen.until("> web", "RUNNING")
        assert "bad" not in screen.text
        screen.press("\r")
        pid = daemon.status("web").pid
        screen.until(f"`- {pid}")
        os.kill(pid, signal.SIGKILL)
        screen.until("RUNNING", without=[f"`- {pid}"])
        assert daemon.status("web").restarts == 1


def test_the_terminal_is_as_before(daemon: Daemon) -> None:
    """However one leaves, also in the middle of a question."""
    for way in ("nq", "\x03", signal.SIGTERM, signal.SIGHUP):
        with top(daemon) as screen:
            screen.press("x")
            screen.until("stop bad?")
            if isinstance(way, str):
                screen.press(way)
            else:
                screen.program.send_signal(way)
            assert (way, screen.ended()) == (way, 0)
            assert screen.is_as_before


def test_a_bug_does_not_leave_the_terminal_in_disorder(daemon: Daemon) -> None:
    """It is told after everything was put back."""
    url = f"unix://{daemon.home.socket}"
    broken = (
        "import sys; from opsvisor.ctl.top import screen\n"
        "def picture(*_): raise ZeroDivisionError('a bug')\n"
        "screen.picture = picture\n"
        "from opsvisor.ctl.main import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [str(BIN / "python"), "-c", broken, "-s", url, "top"]
    with Screen(command, dict(os.environ)) as screen:
        assert screen.ended() == 1
        assert screen.is_as_before
        assert "ZeroDivisionError: a bug" in screen.text


def test_a_daemon_that_goes_and_comes_back(daemon: Daemon) -> None:
    """Is told, on a narrow screen as well, and afterwards all is live again, its output too."""
    with top(daemon, "web", columns=40, rows=16) as screen:
        screen.until("> web")
        daemon.crash()
        screen.until("CONNECTION LOST")
        daemon.begin_again()
        screen.until("connected again", "live", without=["CONNECTION LOST"])
        daemon.client.write_stdin("web", "say back\n")
        screen.until("| back")


def test_other_sizes(daemon: Daemon) -> None:
    """From a corner of a screen to a whole one, while it runs."""
    with top(daemon, columns=132, rows=40) as screen:
        screen.until("? keys  q quit")
        for columns, rows in ((40, 10), (200, 60), (20, 3)):
            screen.resize(columns, rows)
            screen.press("j")
            screen.until("opsvisor")
        screen.resize(80, 24)
        screen.until("REMARKS", "? keys  q quit")


def test_without_colours(daemon: Daemon) -> None:
    """As no-color.org has it."""
    with top(daemon, NO_COLOR="1") as screen:
        screen.until("bad", "web")
        assert screen.colours_of("FATAL") == {"default"}


def test_what_is_pasted_is_not_pressed(daemon: Daemon) -> None:
    """Nothing is stopped by the wrong clipboard."""
    with top(daemon) as screen:
        screen.until("> bad")
        screen.press("j\x1b[200~xyq\x1b[201~j")
        screen.until("> off")
        screen.press("/\x1b[200~web\x1b[201~")
        screen.until("filter: web_")
    assert daemon.status("web").state == "RUNNING"


def test_only_on_a_terminal(daemon: Daemon) -> None:
    """In a pipe it says what else to use."""
    ran = daemon.ctl("top")
    assert ran.status == 1
    assert "top needs a terminal" in ran.out
