"""Where a daemon keeps its state, and what it does where it can't."""

import socket
import subprocess
from pathlib import Path

import pytest
from commands import BIN, run_program
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


def test_a_start_that_fails_leaves_no_directory(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is to be remembered."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        home.write(Programs(PROGRAM), main=f'http = {{ listen = "127.0.0.1:{port}" }}')
        refused = run_program("opsvisord", "-c", str(home.config), directory=home.directory)
    assert refused.status == 2
    assert f"cannot listen on http://127.0.0.1:{port}: " in refused.err
    assert list(tmp_path.glob("opsvisor-*")) == []


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


def test_a_link_on_the_way_to_the_configuration_may_lead_elsewhere(
    start_daemon: StartDaemon, home: Home
) -> None:
    """As with releases, of which a link names the current one: it is the same daemon."""
    daemon = start_daemon(PROGRAM)
    pid = daemon.until("web", "RUNNING").pid
    for release in ("first", "second"):
        folder = home.directory / release
        folder.mkdir()
        home.config.rename(folder / "opsvisor.toml")
        home.config.symlink_to(folder / "opsvisor.toml")
        upgraded = daemon.ctl("upgrade")
        assert upgraded.status == 0, upgraded
        daemon.crash()
        daemon.begin_again()
        assert daemon.until("web", "RUNNING").pid == pid


def test_a_current_directory_that_was_removed_is_not_missed(
    start_daemon: StartDaemon, home: Home
) -> None:
    """Where no path is relative to it; what is can't be found, and is told of."""
    gone = ["sh", "-c", 'mkdir gone && cd gone && rmdir ../gone && exec "$@"', "sh"]
    daemon = start_daemon(PROGRAM, wrapper=gone)
    pid = daemon.until("web", "RUNNING").pid
    assert daemon.ctl("upgrade").status == 0
    assert daemon.status("web").pid == pid
    done = subprocess.run(
        [*gone, BIN / "opsvisord", "--check", "-c", home.config.name],
        cwd=home.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: could not find config file {home.config.name}\n")
