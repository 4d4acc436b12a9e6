"""The audit log of a real daemon: a file of its own, one that can't be written, and none."""

import json
import signal
from typing import Any

from daemon import Daemon, StartDaemon, eventually
from home import Dialect, Home, Programs

SLEEPER = "[program.web]\ncommand = 'sleep 1000'\n"
IN_INI = Programs("[program:web]\ncommand = sleep 1000\nstartsecs = 0\n", Dialect.INI)


def records(daemon: Daemon, name: str = "audit.log") -> list[dict[str, Any]]:
    """What stands in the audit log."""
    path = daemon.home.directory / name
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_action_is_a_line_in_a_file_of_its_own(start_daemon: StartDaemon) -> None:
    """By the API and in both formats; it can be rotated by others too, and the event is told."""
    daemon = start_daemon(SLEEPER, daemon='audit_log = "audit.log"')
    assert daemon.ctl("restart", "web").status == 0
    daemon.ctl("stop", "nonesuch")
    assert [(one["action"], one["targets"], one["result"]) for one in records(daemon)] == [
        ("audit.begin", [], "ok"),
        ("restart", ["web"], "ok"),
        ("stop", ["nonesuch"], "failed"),
    ]
    assert "control action" not in daemon.log
    assert daemon.metric("opsvisor_control_actions_total", action="restart", result="ok") == 1
    assert daemon.metric("opsvisor_audit_log_writable") == 1
    events = daemon.events_until(lambda event: event.detail.get("targets") == ["nonesuch"])
    assert events[-1].kind == "control_action"
    path = daemon.home.directory / "audit.log"
    path.rename(path.with_suffix(".old"))
    daemon.signal(signal.SIGUSR2)
    daemon.until_logged("logreopen")
    daemon.ctl("stop", "web")
    assert [one["action"] for one in records(daemon)] == ["stop"]


def test_without_one_they_are_lines_of_the_daemons_log(start_daemon: StartDaemon) -> None:
    """JSON, behind the level and what it is."""
    daemon = start_daemon(SLEEPER)
    daemon.ctl("stop", "web")
    line = daemon.until_logged("control action: ").partition("control action: ")[2].splitlines()[0]
    assert json.loads(line)["action"] == "stop"


def test_supervisors_activity_log_has_its_own_lines_only(start_daemon: StartDaemon) -> None:
    """There an action is an event and a metric, until `audit_log` in [opsvisor] says where to."""
    daemon = start_daemon(IN_INI)
    assert daemon.ctl("stop", "nonesuch").status != 0
    assert daemon.ctl("stop", "web").status == 0
    daemon.until_logged("stopped: web")
    assert "control action" not in daemon.log
    assert daemon.metric("opsvisor_control_actions_total", action="stop", result="ok") == 1
    events = daemon.events_until(lambda event: event.detail.get("targets") == ["web"])
    assert events[-1].kind == "control_action"


def test_a_log_that_cannot_be_written_is_seen_and_holds_up_nothing(
    start_daemon: StartDaemon,
) -> None:
    """The daemon's log says so and has what is missing; a metric tells; the action is done."""
    daemon = start_daemon(IN_INI, main="[opsvisor]\naudit_log = audit/log\n")
    assert daemon.metric("opsvisor_audit_log_writable") == 0  # before it is needed
    assert daemon.ctl("stop", "web").status == 0
    assert daemon.status("web").state == "STOPPED"
    assert "the audit log is not written" in daemon.log
    assert '"action": "stop"' in daemon.log
    assert daemon.metric("opsvisor_audit_log_writable") == 0
    (daemon.home.directory / "audit").mkdir()

    def is_written() -> bool:
        daemon.client.act("signal", ["web"], signal="CONT")
        return daemon.metric("opsvisor_audit_log_writable") == 1

    eventually(is_written)
    assert "the audit log is written again" in daemon.log
    assert records(daemon, "audit/log")[-1]["action"] == "signal"


def test_a_log_that_is_taken_away_is_not_written_to_in_secret(
    home: Home, start_daemon: StartDaemon
) -> None:
    """What comes next is found by its name, or in the daemon's log where that can't be."""
    folder = home.directory / "audit"
    folder.mkdir()
    daemon = start_daemon(SLEEPER, daemon='audit_log = "audit/log"')
    (folder / "log").unlink()
    assert daemon.ctl("restart", "web").status == 0
    assert [one["action"] for one in records(daemon, "audit/log")] == ["restart"]
    folder.rename(folder.with_name("elsewhere"))
    assert daemon.ctl("stop", "web").status == 0
    assert '"action": "stop"' in daemon.log
    assert daemon.metric("opsvisor_audit_log_writable") == 0
