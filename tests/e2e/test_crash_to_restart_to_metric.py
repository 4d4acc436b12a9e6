"""One crash, seen from every side: the restart, the metric, the post-mortem, the event stream."""

import os
import re
import signal

from daemon import StartDaemon

WEB = """
    [program.web]
    command = "$VICTIM 'complain listening'"
    stdin = "pipe"
    min_uptime = "100ms"
    log = { stdout = "$HERE/web.log", stderr = "$HERE/web.err" }
    """


def test_killed_process_is_replaced_and_counted(start_daemon: StartDaemon) -> None:
    """A process is killed with -9: a new pid, one restart by signal, and no other count moves."""
    daemon = start_daemon(WEB)
    victim = daemon.until("web", "RUNNING").pid
    os.kill(victim, signal.SIGKILL)
    events = daemon.events_until(lambda e: e.kind == "process_exited")
    again = daemon.events_until(lambda e: e.kind == "process_spawned", after=events[-1].id)[-1]
    assert again.detail["replaces"] == "signal"
    assert again.at - events[-1].at < 1.0
    status = daemon.until("web", "RUNNING")
    assert status.pid not in (0, victim)
    assert (status.starts, status.restarts, status.exit_signal) == (2, 1, signal.SIGKILL)
    assert daemon.metric("opsvisor_process_restarts_total", process="web", reason="signal") == 1
    assert daemon.metric("opsvisor_process_restarts_total", process="web", reason="failure") == 0
    assert daemon.metric("opsvisor_process_starts_total", process="web") == 2
    assert daemon.metric("opsvisor_process_up", process="web") == 1


def test_crash_leaves_post_mortem_with_its_last_words(start_daemon: StartDaemon) -> None:
    """The history tells how the run ended, what followed, and the tail of its standard error."""
    daemon = start_daemon(WEB)
    victim = daemon.until("web", "RUNNING").pid
    daemon.client.write_stdin("web", "complain out of cheese\nraise redo from start\n")
    daemon.events_until(lambda e: e.kind == "process_spawned" and e.detail["pid"] != victim)
    (run,) = daemon.client.history("web").runs
    assert run.pid == victim
    assert (run.exit_code, run.cause, run.expected) == (1, "failure", False)
    assert run.outcome == "exit status 1"
    assert run.stderr_tail[:2] == ["listening", "out of cheese"]
    assert run.stderr_tail[-1] == "RuntimeError: redo from start"
    assert run.uptime > 0.0
    why = daemon.ctl("why", "web")
    assert why.status == 0
    assert "out of cheese" in why.out
    assert "RuntimeError: redo from start" in why.out
    assert "exit status 1" in why.out


def test_event_stream_tells_the_crash_in_order_and_again(start_daemon: StartDaemon) -> None:
    """Events come in order, numbered without gaps; Last-Event-ID continues after any of them."""
    daemon = start_daemon(WEB)
    victim = daemon.until("web", "RUNNING").pid
    os.kill(victim, signal.SIGSEGV)
    events = daemon.events_until(lambda e: e.kind == "process_exited")
    events += daemon.events_until(
        lambda e: e.detail.get("new") == "running" or "-> RUNNING" in e.text, after=events[-1].id
    )
    first = events[0].id
    assert [e.id for e in events] == list(range(first, first + len(events)))
    told = [
        re.sub(r"pid \d+", "pid N", e.text) if e.kind != "process_exited" else e.kind
        for e in events
        if e.process == "web"
    ]
    assert told[0] == "web was added"
    exited = told.index("process_exited")
    assert told[exited + 1].startswith("web: RUNNING -> ")
    assert told[-1].startswith("web: STARTING -> RUNNING")
    replayed = daemon.events_until(lambda e: e.id == events[-1].id, after=events[2].id)
    assert replayed == events[3:]


def test_log_has_supervisors_words_for_the_crash(start_daemon: StartDaemon) -> None:
    """What tools grep for since 2004: spawned, exited, and entered RUNNING state."""
    daemon = start_daemon(WEB)
    victim = daemon.until("web", "RUNNING").pid
    os.kill(victim, signal.SIGKILL)
    log = daemon.until_logged("exited: web (terminated by SIGKILL; not expected)")
    assert f"INFO spawned: 'web' with pid {victim}\n" in log
    assert "INFO success: web entered RUNNING state, process has stayed up for > than" in log
