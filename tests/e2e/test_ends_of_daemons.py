"""What a daemon makes of ends that nobody saw, and of a shutdown that was cut short."""

import os
import signal

from daemon import StartDaemon, eventually
from keepers import keeper_of
from orphans import orphans_are_ours

TWO = """
    [program.web]
    command = "$VICTIM 'say begun'"

    [program.job]
    command = "$VICTIM 'say begun'"
    restart = "no"
    """


def end(pid: int) -> None:
    """End an orphan and reap it, so that nobody can tell how it ended."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_an_end_that_nobody_saw_is_told_as_such(start_daemon: StartDaemon) -> None:
    """The policy takes it for a failure; status, history, log and metrics call it unknown."""
    daemon = start_daemon(TWO)
    pids = {name: daemon.until(name, "RUNNING").pid for name in ("web", "job")}
    with orphans_are_ours():
        daemon.crash()
        for pid in (keeper_of(daemon), *pids.values()):
            end(pid)
    daemon.begin_again()
    assert daemon.until("web", "RUNNING").pid != pids["web"]
    job = daemon.until("job", "EXITED")
    assert job.reason == "exit status unknown; restart is off"
    assert (job.exit_code, job.exit_signal) == (None, None)
    why = daemon.ctl("why", "job").out
    assert "exit status unknown" in why
    assert "it ended while no opsvisord was there" in why
    assert "exited: job (exit status unknown; not expected)" in daemon.log
    assert daemon.metric("opsvisor_process_restarts_total", process="web", reason="unknown") == 1
    assert daemon.metric("opsvisor_process_last_exit_code", process="job") == -1
    assert daemon.metric("opsvisor_process_last_exit_signal", process="job") == 0


def test_a_shutdown_that_was_cut_short_is_not_gone_on_with(start_daemon: StartDaemon) -> None:
    """What was stopping comes down and starts again, and so does what was stopped by hand."""
    daemon = start_daemon(
        """
        [program.stubborn]
        command = "$VICTIM 'ignore TERM' 'say begun'"
        kill_delay = "1m"

        [program.web]
        command = "$VICTIM 'say begun'"
        """
    )
    for name in ("stubborn", "web"):
        daemon.until_says(name, "begun")
    before = daemon.until("stubborn", "RUNNING")
    daemon.client.act("stop", ["web"])
    daemon.signal(signal.SIGTERM)
    daemon.until("stubborn", "STOPPING")
    daemon.crash()
    daemon.begin_again()
    daemon.until("web", "RUNNING")
    status = daemon.status("stubborn")
    assert (status.state, status.pid) == ("STOPPING", before.pid)
    os.kill(before.pid, signal.SIGKILL)
    eventually(lambda: daemon.status("stubborn").starts == before.starts + 1)
    daemon.until_says("stubborn", "begun")
    daemon.signal(signal.SIGTERM)
    os.kill(daemon.until("stubborn", "STOPPING").pid, signal.SIGKILL)
