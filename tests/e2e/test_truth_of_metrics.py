"""What /metrics counts of a process against what is known to have happened to it."""

import os
import signal

import pytest
from daemon import Daemon, StartDaemon, eventually

from opsvisor.wire import Event

LIVELY = """
    [program.web]
    command = "$VICTIM"
    stdin = "pipe"
    startup = "disabled"
    restart = "always"
    min_uptime = "10ms"
    backoff_delay = "10ms"
    backoff_limit = "10ms"
    restart_limit_count = 0
    log = { stdout = "$HERE/web.log" }

    [program.idle]
    command = "$VICTIM"
    startup = "disabled"
    """
REASONS = ("success", "failure", "signal", "oom", "start_failure", "manual", "config")


def restarts(daemon: Daemon, name: str) -> dict[str, float]:
    """Its restarts by reason."""
    return {
        reason: daemon.metric("opsvisor_process_restarts_total", process=name, reason=reason)
        for reason in REASONS
    }


class Life:
    """The life of WEB, in runs that end one after the other."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.events: list[Event] = []

    def follow(self, text: str) -> Event:
        """The next event of it that says this; all up to there are kept."""
        after = self.events[-1].id if self.events else 0
        self.events += self.daemon.events_until(
            lambda e: e.process == "web" and text in e.text, after=after
        )
        return self.events[-1]

    def spend(self, state: str) -> float:
        """Seconds spent in this state, by the times of the changes."""
        total, since = 0.0, None
        for event in self.events:
            if event.process != "web" or event.kind != "state_changed":
                continue
            if since is not None:
                total += event.at - since
            since = event.at if f"-> {state}:" in event.text else None
        assert since is None, "it is still in it"
        return total


def test_restarts_and_availability_are_exact(start_daemon: StartDaemon) -> None:
    """Every reason from zero on, and seconds of runs that are far shorter than any scrape."""
    daemon = start_daemon(LIVELY)
    nothing = dict.fromkeys(REASONS, 0.0)
    assert restarts(daemon, "web") == restarts(daemon, "idle") == nothing
    assert daemon.metric("opsvisor_process_oom_kills_total", process="idle") == 0
    life = Life(daemon)
    assert daemon.ctl("start", "web").status == 0
    for order in ("exit 0", "exit 3", "exit 4", "die SEGV", "kill", "restart", "exit 0"):
        life.follow("-> RUNNING")
        if order == "kill":
            os.kill(daemon.status("web").pid, signal.SIGKILL)
        elif order == "restart":
            assert daemon.ctl("restart", "web").status == 0
        else:
            daemon.client.write_stdin("web", f"{order}\n")
    life.follow("-> RUNNING")
    assert daemon.ctl("stop", "web").status == 0
    life.follow("-> STOPPED")

    counted = {"success": 2, "failure": 2, "signal": 2, "manual": 1}
    assert restarts(daemon, "web") == {**nothing, **counted}
    assert restarts(daemon, "idle") == nothing
    assert daemon.metric("opsvisor_process_starts_total", process="web") == 8
    running = daemon.metric("opsvisor_process_running_seconds_total", process="web")
    assert running == pytest.approx(life.spend("RUNNING"), abs=0.005)
    began = next(event.at for event in life.events if "STOPPED -> STARTING" in event.text)
    ended = next(event.at for event in life.events[::-1] if "-> STOPPING" in event.text)
    expected = daemon.metric("opsvisor_process_expected_seconds_total", process="web")
    assert running < expected == pytest.approx(ended - began, abs=0.005)
    assert daemon.metric("opsvisor_process_expected_seconds_total", process="idle") == 0


def test_output_is_counted_to_the_byte(start_daemon: StartDaemon) -> None:
    """Lines and bytes of each stream, from zero on."""
    daemon = start_daemon(LIVELY)
    assert daemon.ctl("start", "web").status == 0
    daemon.client.write_stdin("web", "count 1 2500\ncomplain four\nsay end\n")
    daemon.until_says("web", "end\n")
    daemon.until_says("web", "four\n", "stderr")
    for stream, lines, size in (("stdout", 2501, 25_004), ("stderr", 1, 5)):
        told = {"process": "web", "stream": stream}
        assert daemon.metric("opsvisor_log_lines_total", **told) == lines
        assert daemon.metric("opsvisor_log_bytes_total", **told) == size
        assert daemon.metric("opsvisor_log_dropped_lines_total", **told) == 0
    assert daemon.metric("opsvisor_log_bytes_total", process="idle", stream="stdout") == 0


def test_what_forked_itself_away_is_still_counted(start_daemon: StartDaemon) -> None:
    """It was in a session of its own before anybody looked, but it has the process's output."""
    daemon = start_daemon('[program.web]\ncommand = "$VICTIM daemonise"')
    pid = int(daemon.until_says("web", "daemon ").split()[-1])
    try:
        # From the second sweep on, and there is one every five seconds.
        eventually(lambda: daemon.metric("opsvisor_process_tree_processes", process="web") == 2)
    finally:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: daemon.metric("opsvisor_orphans_reaped_total") == 1)
    assert "reaped unknown pid" not in daemon.log
