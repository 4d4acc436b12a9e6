"""The daemon itself: one per socket, checked files, signals, quiet when nothing happens."""

import http.client
import os
import signal
import socket

import pytest
from commands import run_program
from daemon import StartDaemon, eventually, nothing_happens_for
from home import Dialect, Home, Programs, in_both_languages
from http_requests import request
from procfs import children_of, is_gone

PROGRAM = """
    [program.web]
    command = "$VICTIM"
    min_uptime = "0s"
    """


def test_second_daemon_on_the_same_socket_is_refused(start_daemon: StartDaemon) -> None:
    """Exit 2 and a clear text; the first one keeps its socket, its pid file and its processes."""
    daemon = start_daemon(PROGRAM)
    before = daemon.until("web", "RUNNING").pid
    second = daemon.run("opsvisord", "-c", str(daemon.home.config))
    assert second.status == 2
    assert "another program is already listening there" in second.err
    assert "opsvisorctl shutdown ends it" in second.err
    assert "ps -C opsvisor-keeper -f" in second.err  # it may be what a crash has left
    assert "Traceback" not in second.err
    assert daemon.status("web").pid == before
    assert int(daemon.home.pid_file.read_text()) == daemon.pid
    assert len(daemon.statuses()) == 1


def test_socket_of_a_dead_daemon_is_taken_over(start_daemon: StartDaemon, home: Home) -> None:
    """After kill -9 of all there was the next daemon starts, in spite of socket and pid file."""
    first = start_daemon(PROGRAM)
    first.kill()
    assert home.socket.exists()
    assert home.pid_file.exists()
    second = start_daemon(PROGRAM)
    assert second.until("web", "RUNNING").starts == 2  # the one before is known of, and its end
    assert int(home.pid_file.read_text()) == second.pid


def test_file_that_is_no_socket_is_left_alone(home: Home) -> None:
    """A mistaken path must not cost somebody a file."""
    home.write(Programs(PROGRAM))
    home.socket.write_text("precious")
    refused = run_program("opsvisord", "-c", str(home.config), directory=home.directory)
    assert refused.status == 2
    assert "there is a file that is not a socket" in refused.err
    assert home.socket.read_text() == "precious"


def test_taken_port_is_told(home: Home) -> None:
    """A TCP port that somebody else has: exit 2, and what to look at; no socket stays behind."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        home.write(Programs(PROGRAM), main=f'http.listen = "127.0.0.1:{port}"')
        refused = run_program("opsvisord", "-c", str(home.config), directory=home.directory)
    assert refused.status == 2
    assert f"cannot listen on http://127.0.0.1:{port}: Address already in use" in refused.err
    assert "ss -ltnp" in refused.err
    assert not home.socket.exists()
    assert not home.pid_file.exists()


@in_both_languages(
    ini="""
        [program:web]
        command = $VICTIM
        numprocs = 2
        process_name = %(program_name)s_%(process_num)s
        """,
    toml="""
        [program.web]
        command = "$VICTIM"
        replicas = 2
        """,
)
def test_check_of_a_good_file(home: Home, programs: Programs) -> None:
    """--check: exit 0 and a count, and nothing started, opened or written."""
    home.write(programs)
    checked = run_program("opsvisord", "-c", str(home.config), "--check", directory=home.directory)
    assert checked.status == 0, checked.err
    assert checked.out.splitlines()[-1] == f"{home.config}: ok, 1 program, 2 processes"
    assert {path.name for path in home.directory.iterdir()} == {home.config.name, "conf.d"}


@in_both_languages(
    ini="""
        [program:web]
        startsecs = soon
        [program:worker]
        command = $VICTIM
        stopsignal = TERMM
        autorestart = perhaps
        """,
    toml="""
        [program.web]
        min_uptime = "soon"
        [program.worker]
        command = "$VICTIM"
        stop_signal = "TERMM"
        restart = "perhaps"
        """,
)
def test_check_of_a_bad_file_tells_every_problem_with_its_line(
    home: Home, programs: Programs
) -> None:
    """--check: exit 2 and all problems at once, each with file and line; a start says that too."""
    home.write(programs)
    checked = run_program("opsvisord", "--check", str(home.config), directory=home.directory)
    assert checked.status == 2
    places = [line.split(" ")[0] for line in checked.err.splitlines() if line[0] == "/"]
    lines = [int(place.split(":")[1]) for place in places]
    assert all(place.startswith(f"{home.programs}:") for place in places)
    assert set(lines) >= {3, 6, 7}, checked.err
    assert len(lines) == 4
    assert "'web'" in checked.err or "program:web" in checked.err
    started = run_program("opsvisord", "-c", str(home.config), directory=home.directory)
    assert (started.status, started.err) == (2, checked.err)


@pytest.mark.parametrize(
    "options",
    [("-c", "/no/such/file.toml"), ("--no-such-option",), ("-e", "shouting")],
    ids=["missing file", "unknown option", "unknown level"],
)
def test_unusable_command_line_is_exit_2(home: Home, options: tuple[str, ...]) -> None:
    """Exit 2, one line that says why, and the way to the help."""
    refused = run_program("opsvisord", *options, directory=home.directory)
    assert refused.status == 2
    assert refused.out == ""
    assert refused.err.startswith("Error: ")
    assert "For help, use " in refused.err
    assert "Traceback" not in refused.err


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_signals_that_end_the_daemon_end_it_well(
    start_daemon: StartDaemon, signum: signal.Signals
) -> None:
    """Everything is stopped, the exit status is 0, and the log says who asked."""
    daemon = start_daemon(PROGRAM)
    web = daemon.until("web", "RUNNING").pid
    daemon.signal(signum)
    assert daemon.wait() == 0
    assert f"received {signum.name} indicating exit request" in daemon.log
    assert "waiting for web to die" in daemon.log
    assert "stopped: web (terminated by SIGTERM)" in daemon.log
    assert is_gone(web)


def test_shutdown_command_ends_the_daemon(start_daemon: StartDaemon) -> None:
    """`opsvisorctl shutdown` says Shut down, and the daemon exits with 0."""
    daemon = start_daemon(PROGRAM)
    assert daemon.ctl("shutdown") == (0, "Shut down\n", "")
    assert daemon.wait() == 0
    after = daemon.ctl("status")
    assert after.status == 4


def test_daemon_that_is_stopping_is_not_ready_and_takes_no_orders(
    start_daemon: StartDaemon,
) -> None:
    """While a slow program holds up the shutdown: readyz is 503, start and reload are refused."""
    daemon = start_daemon(
        """
        [program.slow]
        command = "$VICTIM 'ignore TERM'"
        stdin = "pipe"
        kill_delay = "30s"
        [program.idle]
        command = "$VICTIM"
        startup = "disabled"
        """
    )
    daemon.until_says("slow", "ignoring TERM")
    daemon.signal(signal.SIGTERM)
    eventually(lambda: daemon.client.daemon().state == "stopping")
    assert daemon.http("/readyz").status == 503
    assert daemon.http("/healthz").status == 200
    (refused,) = daemon.client.act("start", ["idle"]).results
    assert refused.result == "shutting_down"
    assert daemon.ctl("reload").out == "ERROR: already shutting down\n"
    assert daemon.ctl("shutdown").out == "ERROR: already shutting down\n"
    assert daemon.ctl("reread").out == "ERROR: supervisor shutting down\n"
    daemon.signal(signal.SIGHUP)
    daemon.until_logged("ignored SIGHUP indicating restart request (shutdown in progress)")
    daemon.client.write_stdin("slow", "exit 0\n")
    assert daemon.wait() == 0


def test_signals_during_a_reload_are_not_lost_and_do_not_kill(start_daemon: StartDaemon) -> None:
    """SIGHUP upon SIGHUP, in every moment of a reload: the daemon lives. Then SIGTERM ends it."""
    daemon = start_daemon(PROGRAM)
    daemon.until("web", "RUNNING")

    def begun_three_times() -> bool:
        for _ in range(100):  # so close together that some come between two lives
            daemon.signal(signal.SIGHUP)
            nothing_happens_for(0.0005)
        return daemon.log.count("started with pid") >= 3

    eventually(begun_three_times)
    assert daemon.terminate() == 0


def test_a_reader_that_is_gone_does_not_hurt(start_daemon: StartDaemon) -> None:
    """SIGPIPE, which comes of a write to it, means nothing to the daemon."""
    daemon = start_daemon(PROGRAM)
    daemon.signal(signal.SIGPIPE)
    with daemon.client.events(last_event_id=0):
        pass  # hangs up in the middle of what it asked for
    assert daemon.until("web", "RUNNING").restarts == 0


def test_idle_daemon_sleeps(start_daemon: StartDaemon) -> None:
    """With nothing to do the daemon does nothing: its thread is not woken once in two seconds."""
    daemon = start_daemon(PROGRAM)
    daemon.until("web", "RUNNING")
    daemon.client.close()

    # Hanging up wakes it once more: let that pass before counting.
    nothing_happens_for(0.5)
    before = daemon.wake_ups
    nothing_happens_for(2.0)
    assert daemon.wake_ups == before
    assert children_of(daemon.pid) == [daemon.status("web").pid]


def test_command_line_outranks_the_file(start_daemon: StartDaemon, home: Home) -> None:
    """-l, -j, -i and -e replace what the file says, also after a reload."""
    log, pid_file = home.directory / "other.log", home.directory / "other.pid"
    options = ["-l", str(log), "-j", str(pid_file), "-i", "night-shift", "-e", "debug"]
    daemon = start_daemon(PROGRAM, options=options)
    assert daemon.client.daemon().identifier == "night-shift"
    assert daemon.client.daemon().log_file == str(log)
    assert int(pid_file.read_text()) == daemon.pid
    assert not home.log_file.exists()
    assert " DEBG " in log.read_text()
    started = daemon.client.daemon().started_at
    daemon.signal(signal.SIGHUP)
    daemon.until_begun_anew(after=started)
    assert daemon.client.daemon().identifier == "night-shift"
    daemon.terminate()
    assert not pid_file.exists()


def test_version_is_printed(home: Home) -> None:
    """-v prints the version alone, as supervisord does."""
    told = run_program("opsvisord", "-v", directory=home.directory)
    assert (told.status, told.err) == (0, "")
    assert told.out.count(".") == 2


def test_ini_daemon_says_what_supervisord_says(start_daemon: StartDaemon) -> None:
    """The first lines of the log that people know, root warning included."""
    daemon = start_daemon(Programs("[program:web]\ncommand = $VICTIM\n", Dialect.INI))
    assert f"INFO supervisord started with pid {daemon.pid}" in daemon.log
    assert ("CRIT Supervisor is running as root." in daemon.log) == (os.geteuid() == 0)
    assert "without any HTTP authentication checking" in daemon.log


def test_a_reload_that_could_not_begin_stops_nothing(start_daemon: StartDaemon) -> None:
    """A port that somebody else has is found before anything is stopped, like a bad file."""
    daemon = start_daemon(PROGRAM)
    before = daemon.until("web", "RUNNING")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        daemon.home.write(Programs(PROGRAM), main=f'http.listen = "127.0.0.1:{port}"')
        refused = daemon.ctl("reload")
        assert refused.status == 1
        assert f"cannot listen on http://127.0.0.1:{port}" in refused.out + refused.err
        assert daemon.status("web").pid == before.pid
    assert daemon.ctl("reload").status == 0
    daemon.until_begun_anew(after=before.started_at)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    assert request(connection, "/readyz").status == 200


def test_a_shutdown_outranks_a_reload(start_daemon: StartDaemon) -> None:
    """While a slow program holds up a reload, a shutdown is obeyed: nothing comes back."""
    daemon = start_daemon(
        """
        [program.slow]
        command = "$VICTIM 'ignore TERM'"
        stdin = "pipe"
        kill_delay = "30s"
        """
    )
    daemon.until_says("slow", "ignoring TERM")
    assert daemon.ctl("reload").out == "Restarted supervisord\n"
    eventually(lambda: daemon.client.daemon().state == "reloading")
    assert daemon.ctl("shutdown").out == "Shut down\n"
    assert daemon.client.daemon().state == "stopping"
    daemon.client.write_stdin("slow", "exit 0\n")
    assert daemon.wait() == 0
