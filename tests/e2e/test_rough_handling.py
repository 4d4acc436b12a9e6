"""Clients and programs that behave badly, or all at once."""

import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from daemon import PATIENCE, StartDaemon, eventually, nothing_happens_for
from home import Dialect, Home, Programs
from procfs import descriptors_of, environment_of, is_alive, is_gone

from opsvisor.client import Client, EventGap, NoDaemon

PROGRAM = """
    [program.web]
    command = "$VICTIM"
    stdin = "pipe"
    min_uptime = "0s"
    """


def test_open_connections_do_not_hold_up_the_end(start_daemon: StartDaemon) -> None:
    """A follower, an idle connection and half a request: the daemon ends long before they do."""
    daemon = start_daemon(PROGRAM)
    daemon.until("web", "RUNNING")
    with (
        daemon.client.events(last_event_id=0) as events,
        daemon.client.follow_log("web") as log,
        socket.socket(socket.AF_UNIX) as idle,
        socket.socket(socket.AF_UNIX) as half,
    ):
        idle.connect(str(daemon.home.socket))
        half.connect(str(daemon.home.socket))
        half.sendall(b"GET /metrics HTTP/1.1\r\nHost:")
        began = time.monotonic()
        assert daemon.terminate() == 0
        assert time.monotonic() - began < PATIENCE / 2
        assert list(log) == []
        last = [event for event in events if not isinstance(event, EventGap)][-1]
        assert "web" in last.text


def test_requests_of_many_clients_at_once_are_all_answered(start_daemon: StartDaemon) -> None:
    """Eight clients restart, stop and start the same process: it ends in one of the two states."""
    daemon = start_daemon(PROGRAM)
    daemon.until("web", "RUNNING")
    url = f"unix://{daemon.home.socket}"

    def one_client(number: int) -> set[str]:
        told = set()
        with Client(url, timeout=PATIENCE) as client:
            for step in range(5):
                action = ("restart", "stop", "start")[(number + step) % 3]
                (result,) = client.act(action, ["web"]).results  # type: ignore[arg-type]  # one of the three
                told.add(result.result)
        return told

    with ThreadPoolExecutor(8) as clients:
        results = set().union(*clients.map(one_client, range(8)))
    known = {"ok", "already_started", "not_running", "abnormal_termination", "spawn_error"}
    assert results <= known
    daemon.client.act("start", ["web"])
    status = daemon.until("web", "RUNNING")
    assert is_alive(status.pid)
    daemon.client.act("stop", ["web"])
    assert is_gone(status.pid)


def test_grandchild_that_outlives_the_program_is_still_logged(
    start_daemon: StartDaemon, home: Home
) -> None:
    """Who inherited the pipe can go on writing into the log after the program has ended."""
    os.mkfifo(home.directory / "go")
    daemon = start_daemon(
        """
        [program.web]
        command = ["sh", "-c", "(read go < go; echo late words) & echo early words"]
        working_dir = "$HERE"
        min_uptime = "0s"
        """
    )
    daemon.until("web", "EXITED")
    assert daemon.until_says("web", "early words\n") == "early words\n"
    (home.directory / "go").write_text("now\n")
    assert daemon.until_says("web", "late words\n") == "early words\nlate words\n"


def test_output_that_is_no_text_is_kept_and_shown(start_daemon: StartDaemon, home: Home) -> None:
    """Any byte goes into the file as it is; the API replaces what is not UTF-8."""
    daemon = start_daemon(
        """
        [program.web]
        command = ["printf", '\\377\\000\\303\\244 end\\n']
        min_uptime = "0s"
        log = { stdout = "$HERE/web.log" }
        """
    )
    daemon.until("web", "EXITED")
    assert (home.directory / "web.log").read_bytes() == b"\xff\0\xc3\xa4 end\n"
    assert daemon.output_of("web") == "\ufffd\0ä end\n"
    assert daemon.ctl("tail", "web").status == 0


def test_process_that_comes_back_while_it_is_being_removed_is_spared(
    start_daemon: StartDaemon,
) -> None:
    """Removed and added again before it has ended: it is stopped once, and started again."""
    program = """
        [program.web]
        command = "$VICTIM 'ignore TERM'"
        kill_delay = "1s"
        min_uptime = "0s"
        """
    daemon = start_daemon(program)
    daemon.until_says("web", "ignoring TERM")
    first = daemon.status("web").pid
    daemon.home.rewrite("")
    with ThreadPoolExecutor(1) as other, Client(f"unix://{daemon.home.socket}") as client:
        removing = other.submit(client.apply)
        daemon.until("web", "STOPPING")
        daemon.home.rewrite(program)
        daemon.client.apply()
        (told,) = removing.result(PATIENCE).results
    assert told.reason == "back in the configuration before it had ended"
    status = daemon.until("web", "RUNNING")
    assert status.pid != first
    assert is_gone(first)
    assert daemon.metric("opsvisor_process_up", process="web") == 1


def test_fatal_process_starts_once_its_cause_is_mended(
    start_daemon: StartDaemon, home: Home
) -> None:
    """FATAL is no end: after the command has appeared, `start` works and the counts begin anew."""
    daemon = start_daemon(
        """
        [program.web]
        command = "$HERE/web"
        start_retries = 0
        min_uptime = "0s"
        """
    )
    daemon.until("web", "FATAL")
    (home.directory / "web").write_text("#!/bin/sh\nexec sleep 1000\n")
    not_yet = daemon.ctl("start", "web")
    assert not_yet.out == "web: ERROR (file is not executable)\n"
    (home.directory / "web").chmod(0o755)
    assert daemon.ctl("start", "web") == (0, "web: started\n", "")
    status = daemon.status("web")
    assert (status.state, status.failed_starts, status.spawn_error) == ("RUNNING", 0, "")


def test_stop_during_backoff_calls_off_the_retry(start_daemon: StartDaemon) -> None:
    """A process that waits for its next attempt is STOPPED at once, and stays so."""
    daemon = start_daemon(
        """
        [program.web]
        command = "$VICTIM 'exit 1'"
        backoff_delay = "1s"
        """
    )
    daemon.until("web", "BACKOFF")
    assert daemon.ctl("stop", "web") == (0, "web: stopped\n", "")
    starts = daemon.status("web").starts
    nothing_happens_for(1.5)  # the retry would have come by now
    status = daemon.status("web")
    assert (status.state, status.starts) == ("STOPPED", starts)


def test_two_hundred_programs_start_while_the_api_answers(start_daemon: StartDaemon) -> None:
    """All are up, each once; asked in between, the daemon answers; all are gone at the end."""
    daemon = start_daemon(
        """
        [program.web]
        command = ["sleep", "1000"]
        replicas = 200
        min_uptime = "0s"
        """
    )
    eventually(lambda: all(one.state == "RUNNING" for one in daemon.statuses().values()))
    statuses = daemon.statuses()
    assert len({one.pid for one in statuses.values()}) == 200
    assert {one.starts for one in statuses.values()} == {1}
    assert daemon.metric("opsvisor_spawn_duration_seconds_count") == 200
    assert daemon.ctl("restart", "all").status == 0
    assert {one.state for one in daemon.statuses().values()} == {"RUNNING"}


def test_crash_loop_is_slowed_down_and_called_flapping(start_daemon: StartDaemon) -> None:
    """A program that crashes whenever it is up: restarts come slower, and it is named for it."""
    daemon = start_daemon(
        """
        [program.web]
        command = "$VICTIM 'complain no more memory' 'exit 1'"
        min_uptime = "0s"
        backoff_delay = "20ms"
        flapping_count = 3
        restart_limit_count = 6
        """
    )
    status = daemon.until("web", "FATAL")
    assert status.restarts == 6
    events = daemon.events_until(lambda e: "-> FATAL" in e.text)
    assert [e.detail["flapping"] for e in events if e.kind == "flapping_changed"] == [True]
    assert daemon.metric("opsvisor_process_flapping", process="web") == 1
    assert "is flapping" in daemon.log
    assert "no more memory" in daemon.ctl("why", "web").out


def test_supervisors_stop_settings_hold(start_daemon: StartDaemon) -> None:
    """Stopsignal, stopwaitsecs and killasgroup of an INI file do what they do there."""
    daemon = start_daemon(
        Programs(
            """
            [program:polite]
            command = $VICTIM 'ignore TERM' 'finish INT 1'
            stopsignal = INT
            stopwaitsecs = 60
            [program:stubborn]
            command = $VICTIM 'ignore TERM' fork
            stopwaitsecs = 1
            killasgroup = true
            """,
            Dialect.INI,
        )
    )
    daemon.until_says("polite", "will finish on INT")
    assert daemon.ctl("stop", "polite").out == "polite: stopped\n"
    assert daemon.output_of("polite").endswith("finished\n")
    child = int(daemon.until_says("stubborn", "child ").split()[-1])
    assert daemon.ctl("stop", "stubborn").out == "stubborn: stopped\n"
    assert daemon.status("stubborn").exit_signal == signal.SIGKILL
    eventually(lambda: is_gone(child))


def test_environment_of_an_ini_file_reaches_the_program(start_daemon: StartDaemon) -> None:
    """Variables of [supervisord] and of the program, expansions, and what Supervisor adds."""
    daemon = start_daemon(
        Programs(
            """
            [program:web]
            command = $VICTIM 'say %(program_name)s lives in %(here)s'
            environment = OWN="two words",BOTH=program
            """,
            Dialect.INI,
        ),
        daemon="environment = BOTH=daemon,SHARED=yes",
    )
    said = daemon.until_says("web", "lives in")
    assert said == f"web lives in {daemon.home.programs.parent}\n"
    variables = environment_of(daemon.status("web").pid)
    assert (variables["OWN"], variables["BOTH"], variables["SHARED"]) == (
        "two words",
        "program",
        "yes",
    )
    assert variables["SUPERVISOR_ENABLED"] == "1"
    assert variables["SUPERVISOR_PROCESS_NAME"] == "web"
    assert variables["SUPERVISOR_SERVER_URL"] == f"unix://{daemon.home.socket}"


def test_hung_up_event_readers_are_forgotten(start_daemon: StartDaemon) -> None:
    """Twenty clients that subscribe and go away leave no stream open and cost nothing."""
    daemon = start_daemon(PROGRAM)
    daemon.until("web", "RUNNING")

    def streams() -> float:
        return daemon.metric("opsvisor_http_streams_active", stream="events")

    def sockets() -> int:
        return sum(one.startswith("socket:") for one in descriptors_of(daemon.pid).values())

    with daemon.client.events(last_event_id=0) as stream:
        next(iter(stream))
        assert streams() == 1
        sockets_of_one = sockets()
    for _ in range(20):
        with daemon.client.events(last_event_id=0) as stream:
            next(iter(stream))
    daemon.client.act("restart", ["web"])  # the next event finds out who is gone
    eventually(lambda: streams() == 0)
    eventually(lambda: sockets() < sockets_of_one)
    assert daemon.until("web", "RUNNING").starts == 2


def test_request_to_a_daemon_that_is_gone_says_so(start_daemon: StartDaemon) -> None:
    """The client names the socket and what is wrong with it."""
    daemon = start_daemon(PROGRAM)
    assert daemon.terminate() == 0
    with pytest.raises(NoDaemon, match="no such file"):
        daemon.client.processes()
    told = daemon.ctl("status")
    assert told.status == 4
    assert f"unix://{daemon.home.socket} no such file" in told.out
