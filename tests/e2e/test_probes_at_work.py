"""Probes of the real daemon, from the configuration to metrics, `status`, `why` and restarts."""

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from daemon import Daemon, StartDaemon, eventually
from home import Home
from http_requests import free_port

from opsvisor.wire import ProbeStatus, ProcessStatus

# Answers GET /x with the status in the file x, and hangs if there is none.
APP = """
import http.server, pathlib, sys, threading

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        file = pathlib.Path(sys.argv[2] + self.path)
        if not file.exists():
            threading.Event().wait()
        self.send_response(int(file.read_text()))
        self.end_headers()
    def log_message(self, *args):
        pass

http.server.ThreadingHTTPServer.daemon_threads = True
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def probe(status: ProcessStatus, name: str) -> ProbeStatus:
    """One of its probes."""
    (found,) = (one for one in status.probes if one.probe == name)
    return found


def put(directory: Path, name: str, status: int) -> None:
    """Have the app answer so, never with half a file."""
    new = directory / f"{name}.new"
    new.write_text(str(status))
    new.replace(directory / name)


@pytest.fixture
def app(start_daemon: StartDaemon, home: Home) -> Daemon:
    """A daemon with an app that has a readiness and a liveness probe, both of which pass."""
    (home.directory / "app.py").write_text(APP)
    put(home.directory, "ready", 200)
    put(home.directory, "live", 204)
    port = free_port()
    daemon = start_daemon(f"""
        [program.app]
        command = "{sys.executable} -I -S $HERE/app.py {port} $HERE"
        min_uptime = "10ms"
        kill_delay = "2s"
        [program.app.startup_probe]
        tcp = {port}
        period = "100ms"
        failure_threshold = 100
        [program.app.readiness_probe]
        http = "http://localhost:{port}/ready"
        period = "100ms"
        timeout = "5s"
        failure_threshold = 2
        [program.app.liveness_probe]
        http = {{ url = "http://127.0.0.1:{port}/live", status = [204] }}
        period = "100ms"
        timeout = "500ms"
        """)
    eventually(lambda: daemon.status("app").ready and daemon.status("app").healthy)
    return daemon


def check_up(daemon: Daemon, check: str) -> float:
    """What the metric says of this probe."""
    return daemon.metric("opsvisor_health_check_up", process="app", check=check)


def test_an_unready_process_is_left_alone(app: Daemon, home: Home) -> None:
    """Everybody is told, with the answer that came; nothing else happens to it."""
    before = app.status("app")
    assert app.metric("opsvisor_process_ready", process="app") == 1
    assert [check_up(app, name) for name in ("startup", "readiness", "liveness")] == [1, 1, 1]
    assert app.metric("opsvisor_process_restarts_total", process="app", reason="health") == 0
    assert app.metric("opsvisor_process_last_ready_duration_seconds", process="app") > 0
    put(home.directory, "ready", 503)
    status = eventually(lambda: one if not (one := app.status("app")).ready else None)
    assert (status.state, status.pid, status.healthy) == ("RUNNING", before.pid, True)
    readiness = probe(status, "readiness")
    assert (readiness.passing, readiness.detail) == (False, "http 503")
    assert readiness.question.startswith("GET http://localhost:")
    assert app.metric("opsvisor_process_ready", process="app") == 0
    assert [check_up(app, name) for name in ("startup", "readiness", "liveness")] == [1, 0, 1]
    assert (
        app.metric("opsvisor_health_check_failures_total", process="app", check="readiness") >= 2
    )
    why = app.ctl("why", "app").out
    assert "not ready" in why
    assert "readiness probe fails: http 503 (" in why
    assert "ask it what its readiness probe asks: curl -i http://localhost:" in why
    assert "WARN app: its readiness probe failed 2 times in a row: http 503\n" in app.log
    put(home.directory, "ready", 200)
    status = eventually(lambda: one if (one := app.status("app")).ready else None)
    assert (status.pid, status.restarts) == (before.pid, 0)


def test_an_unhealthy_process_is_restarted(app: Daemon, home: Home) -> None:
    """With its reason in the history, the metrics, the events, the log and `why`."""
    before = app.status("app")
    put(home.directory, "live", 200)
    events = app.events_until(lambda e: e.kind == "process_exited")
    put(home.directory, "live", 204)
    told = [e for e in events if e.kind == "health_changed"][-1]
    assert (told.detail["probe"], told.detail["passing"]) == ("liveness", False)
    assert (told.detail["detail"], told.detail["in_a_row"]) == ("http 200", 3)
    assert (events[-1].detail["cause"], events[-1].detail["expected"]) == ("health", False)
    status = eventually(
        lambda: one if (one := app.status("app")).ready and one.healthy is not None else None
    )
    assert status.pid != before.pid
    assert (status.restarts, status.healthy) == (1, True)
    assert app.metric("opsvisor_process_restarts_total", process="app", reason="health") == 1
    assert app.metric("opsvisor_process_restarts_total", process="app", reason="signal") == 0
    (run,) = app.client.history("app").runs
    assert (run.pid, run.cause) == (before.pid, "health")
    assert run.decision == (
        "starts again at once: liveness probe failed: http 200, which counts as failure"
    )
    assert "liveness probe failed: http 200" in app.ctl("why", "app").out
    assert "WARN app: its liveness probe failed 3 times in a row: http 200\n" in app.log


def test_a_process_that_hangs_is_restarted(app: Daemon, home: Home) -> None:
    """It accepts connections and says nothing; each question ends with its timeout."""
    before = app.status("app")
    (home.directory / "live").unlink()
    events = app.events_until(lambda e: e.kind == "process_exited")
    put(home.directory, "live", 204)
    told = [e for e in events if e.kind == "health_changed"][-1]
    assert told.detail["detail"] == "no answer within 0.5 s"
    status = eventually(lambda: one if (one := app.status("app")).ready else None)
    assert status.pid != before.pid


def test_a_program_that_never_comes_up_is_given_up(start_daemon: StartDaemon) -> None:
    """Failed startup probes are failed starts, RUNNING or not; the command that hung is gone."""
    daemon = start_daemon("""
        [program.slow]
        command = "sleep 1000"
        min_uptime = "10ms"
        start_retries = 1
        backoff_delay = "10ms"
        [program.slow.startup_probe]
        exec = ["sh", "-c", "echo still migrating; sleep 1000 & wait"]
        period = "100ms"
        timeout = "200ms"
        failure_threshold = 2
        """)
    status = daemon.until("slow", "FATAL")
    assert status.reason == (
        "too many start retries too quickly (1 allowed), the last: "
        "startup probe failed: no answer within 0.2 s"
    )
    assert (status.starts, status.restarts) == (2, 1)
    assert "startup probe failed: no answer within 0.2 s" in daemon.ctl("status", "slow").out
    # No sample while nobody is asked: FATAL is another alert's.
    assert 'opsvisor_health_check_up{group="slow"' not in daemon.http("/metrics").text
    attempts = daemon.metric(
        "opsvisor_health_check_attempts_total", process="slow", check="startup"
    )
    assert attempts == 4


def test_probes_come_and_go_without_a_restart(start_daemon: StartDaemon, home: Home) -> None:
    """They are the supervisor's affair: an update takes them over as they are."""
    plain = '[program.web]\ncommand = "sleep 1000"\n'
    daemon = start_daemon(plain)
    pid = daemon.until("web", "RUNNING").pid
    home.rewrite(plain + 'readiness_probe = { exec = ["false"], failure_threshold = 1 }\n')
    assert daemon.ctl("update").status == 0
    eventually(lambda: not daemon.status("web").ready)
    home.rewrite(plain)
    assert daemon.ctl("update").status == 0
    status = daemon.status("web")
    assert (status.ready, status.pid, status.probes) == (True, pid, [])


@contextmanager
def counting() -> Iterator[tuple[int, list[int]]]:
    """A port, and how many connections were open at each that came."""
    open_now, seen = 0, list[int]()
    lock = threading.Lock()
    server = socket.create_server(("127.0.0.1", 0), backlog=1024)

    def serve(connection: socket.socket) -> None:
        nonlocal open_now
        with connection, suppress(OSError):
            connection.recv(1)
        with lock:
            open_now -= 1

    def accept() -> None:
        nonlocal open_now
        with suppress(OSError):  # closed
            while True:
                connection, _ = server.accept()
                with lock:
                    open_now += 1
                    seen.append(open_now)
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield server.getsockname()[1], seen
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def test_two_hundred_programs_are_all_asked(start_daemon: StartDaemon) -> None:
    """Each of them again and again, a bounded number at a time, and none is taken for dead."""
    with counting() as (port, seen):
        daemon = start_daemon(f"""
            [program.net]
            command = "sleep 1000"
            replicas = 160
            min_uptime = "10ms"
            liveness_probe = {{ tcp = {port}, period = "1s", timeout = "20s" }}
            [program.job]
            command = "sleep 1000"
            replicas = 40
            min_uptime = "10ms"
            liveness_probe = {{ exec = ["true"], period = "1s", timeout = "20s" }}
            """)

        def asked_four_times() -> list[ProbeStatus]:
            probes = [probe(one, "liveness") for one in daemon.statuses().values()]
            return probes if all(one.attempts >= 4 for one in probes) else []

        probes = eventually(asked_four_times)
        statuses = daemon.statuses()
    assert len(probes) == 200
    assert {one.failures for one in probes} == {0}
    assert {(one.restarts, one.healthy) for one in statuses.values()} == {(0, True)}
    assert max(seen) <= 64
    assert daemon.metric("opsvisor_internal_errors_total", component="probes") == 0
    assert daemon.metric("opsvisor_orphans_reaped_total") == 0
