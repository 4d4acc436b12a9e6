"""The wall clock is set under a running daemon, by libfaketime: nothing hangs on it."""

import os
import signal
import time
from pathlib import Path

import pytest
from bystanders import Bystanders
from daemon import Daemon, StartDaemon, eventually

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
HOUR = 3600


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    """What the clock of a daemon is ahead by is in this file."""
    file = tmp_path / "clock"
    file.write_text("+0")
    return file


def with_clock(file: Path) -> list[str]:
    """What goes before the command of a daemon that has its clock from this file.

    Its monotonic clock is the kernel's, as it is when an operator or NTP sets the time.
    """
    assert LIBRARY is not None, "libfaketime is not installed"
    return [
        "env",
        f"LD_PRELOAD={LIBRARY}",
        f"FAKETIME_TIMESTAMP_FILE={file}",
        "FAKETIME_NO_CACHE=1",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
    ]


def step(clock: Path, daemon: Daemon, by: int) -> None:
    """Set the clock, and see that the daemon has noticed."""
    clock.write_text(f"{by:+d}")
    eventually(lambda: abs(daemon_time(daemon) - time.time() - by) < HOUR / 2)


def daemon_time(daemon: Daemon) -> float:
    """What the daemon thinks the time is: when it last swept the trees."""
    return daemon.metric("opsvisor_resource_sample_timestamp_seconds")


@pytest.mark.parametrize("by", [-26 * HOUR, 26 * HOUR])
def test_clock_is_stepped(start_daemon: StartDaemon, tmp_path: Path, clock: Path, by: int) -> None:
    """No restart, no early or late retry, no uptime that is negative or a day too long."""
    bystanders = Bystanders(folder=tmp_path)
    daemon = start_daemon(
        f"""
        {bystanders.toml}
        [program.patient]
        command = ["false"]
        min_uptime = "0s"
        backoff_delay = "2s"
        backoff_factor = 1.0
        backoff_jitter = 0.0
        restart_limit_count = 1000
        [program.deaf]
        command = "$VICTIM 'ignore TERM'"
        min_uptime = "0s"
        kill_delay = "2s"
        """,
        wrapper=with_clock(clock),
    )
    pids = bystanders.up(daemon)
    daemon.until_says("deaf", "ignoring TERM")
    daemon.client.act("stop", ["deaf"], wait=False)
    daemon.until("patient", "BACKOFF")
    step(clock, daemon, by)
    bystanders.tick_on()
    bystanders.check(daemon, pids)
    began, starts = time.monotonic(), daemon.status("patient").starts
    eventually(lambda: daemon.status("patient").starts >= starts + 2)
    assert 1.5 < time.monotonic() - began < 10
    daemon.until("deaf", "STOPPED")
    assert all(0 <= status.uptime < HOUR for status in daemon.statuses().values())
    step(clock, daemon, 0)
    daemon.client.act("restart", ["patient"])
    bystanders.tick_on()
    bystanders.check(daemon, pids)


def test_restart_at_once_under_a_clock_of_its_own(start_daemon: StartDaemon, clock: Path) -> None:
    """The next process has its head start, though libfaketime refuses time.sleep()."""
    daemon = start_daemon(
        """
        [program.web]
        command = ["sleep", "1000"]
        min_uptime = "0s"
        """,
        wrapper=with_clock(clock),
    )
    first = daemon.until("web", "RUNNING").pid
    assert first is not None
    eventually(lambda: daemon.has_pipes_ready and daemon.status("web").uptime > 0.2)
    os.kill(first, signal.SIGKILL)
    eventually(lambda: daemon.status("web").pid not in (None, first))
    foretold = daemon.state_directory / "foretold"
    eventually(lambda: foretold.read_text().startswith("-"))
    assert "internal error" not in daemon.log
