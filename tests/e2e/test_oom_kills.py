"""A real OOM kill, seen from every side. The daemon and its programs share a memory limit."""

import os
import signal

import pytest
from cells import can_have, cell
from daemon import StartDaemon, eventually

LIMIT = 160  # MiB; the daemon has some 50 of them
WEB = """
    [program.web]
    command = "$VICTIM 'say listening'"
    stdin = "pipe"
    min_uptime = "10ms"
    log = { stdout = "$HERE/web.log" }
    """

needs_memory_limit = pytest.mark.skipif(
    not can_have("memory"), reason="only root can limit memory, where that controller is to be had"
)


@needs_memory_limit
def test_an_oom_kill_is_told_apart_from_any_other_kill(start_daemon: StartDaemon) -> None:
    """By metric, event, post-mortem and `why`; the log keeps Supervisor's words."""
    with cell("memory") as box:
        box.limit_memory(LIMIT)
        daemon = start_daemon(WEB, wrapper=box.entry)
        victim = daemon.until("web", "RUNNING").pid
        assert daemon.metric("opsvisor_process_oom_kills_total", process="web") == 0
        assert daemon.metric("opsvisor_process_memory_limit_bytes", process="web") == LIMIT << 20
        daemon.client.write_stdin("web", f"eat {2 * LIMIT}\n")
        events = daemon.events_until(lambda e: e.kind == "process_exited")
        assert events[-1].detail["cause"] == "oom"
        assert events[-1].detail["oom_killed"] is True
        again = daemon.events_until(lambda e: e.kind == "process_spawned", after=events[-1].id)
        assert again[-1].detail["replaces"] == "oom"

        successor = eventually(lambda: daemon.status("web").pid)
        os.kill(successor, signal.SIGKILL)
        daemon.events_until(lambda e: e.kind == "process_spawned", after=again[-1].id)
        assert daemon.metric("opsvisor_process_oom_kills_total", process="web") == 1
        restarts = {
            reason: daemon.metric("opsvisor_process_restarts_total", process="web", reason=reason)
            for reason in ("oom", "signal", "failure", "start_failure")
        }
        assert restarts.pop("oom") == 1
        assert sum(restarts.values()) == 1  # the kill by hand, before or after it came up

        by_hand, by_kernel = daemon.client.history("web").runs
        assert (by_kernel.pid, by_kernel.cause) == (victim, "oom")
        assert by_kernel.outcome == "terminated by SIGKILL (OOM killer)"
        assert by_hand.outcome == "terminated by SIGKILL"
        assert "terminated by SIGKILL (OOM killer)" in daemon.ctl("why", "web").out
        assert "exited: web (terminated by SIGKILL; not expected)" in daemon.log
        assert "OOM" not in daemon.log
        daemon.terminate()
