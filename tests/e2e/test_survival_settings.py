"""Where a daemon keeps its state, and what it does where it can't."""

from pathlib import Path

import pytest
from commands import run_program
from daemon import StartDaemon, eventually
from home import Dialect, Home, Programs
from procfs import is_alive

PROGRAM = """\
[program.web]
command = "$VICTIM"
"""


def test_a_directory_that_can_not_be_made_is_refused_by_name(home: Home) -> None:
    """Who asks for one wants it; who doesn't goes without, see below."""
    home.write(Programs(PROGRAM), daemon='state_dir = "no/such"')
    refused = run_program("opsvisord", "-c", str(home.config), directory=home.directory)
    assert refused.status == 2
    assert f"the state directory {home.directory}/no/such cannot be made" in refused.err
    assert "hint: name a directory that the daemon may write to with state_dir" in refused.err


def test_without_a_place_for_it_the_daemon_goes_on(
    start_daemon: StartDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a read-only root: one warning, and everything but adoption works."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/proc/no/such")
    daemon = start_daemon(PROGRAM)
    daemon.until("web", "RUNNING")
    assert daemon.log.count("WARN programs would be lost in a crash of this daemon: ") == 1
    assert "the state directory /proc/no/such/opsvisor-" in daemon.log


def test_logs_of_what_runs_are_not_removed(start_daemon: StartDaemon) -> None:
    """AUTO logs go at a start, as with supervisord, but not from under a program that writes."""
    daemon = start_daemon(
        Programs("[program:web]\ncommand = sh -c 'echo first; exec sleep 1000'\n", Dialect.INI)
    )
    daemon.until_says("web", "first")
    log = Path(daemon.status("web").stdout_log)
    eventually(lambda: log.read_text() == "first\n")
    daemon.crash()
    daemon.begin_again()
    assert log.read_text() == "first\n"
    assert is_alive(daemon.until("web", "RUNNING").pid)
