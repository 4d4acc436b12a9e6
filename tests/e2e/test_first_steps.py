"""The first hour with a supervisor: a configuration, status, tail, kill, stop, groups, update."""

import os
import re
import signal

from commands import kill_marked, marked, run_program
from daemon import StartDaemon, eventually
from home import Dialect, Home, Programs, in_both_languages
from procfs import is_gone

ONE_PROGRAM = in_both_languages(
    ini="""
        [program:test]
        command = $VICTIM 'complain hello from stderr' 'say hello'
        directory = $HERE
        redirect_stderr = true
        stdout_logfile = $HERE/test.log
        """,
    toml="""
        [program.test]
        command = "$VICTIM 'complain hello from stderr' 'say hello'"
        working_dir = "$HERE"
        stdin = "pipe"
        log = { stdout = "$HERE/test.log", stderr = "merge" }
        """,
)
GROUP_OF_TWO = in_both_languages(
    ini="""
        [program:test-collector]
        command = $VICTIM
        [program:test-task_service]
        command = $VICTIM
        [group:test]
        programs = test-collector,test-task_service
        """,
    toml="""
        [program.test-collector]
        command = "$VICTIM"
        group = "test"
        [program.test-task_service]
        command = "$VICTIM"
        group = "test"
        """,
)


@ONE_PROGRAM
def test_status_has_supervisors_columns(
    start_daemon: StartDaemon, home: Home, programs: Programs
) -> None:
    """Name to column 33, state to column 43, then pid and uptime: what scripts cut out of it."""
    daemon = start_daemon(programs)
    pid = daemon.until("test", "RUNNING").pid
    status = daemon.ctl("status")
    assert re.fullmatch(rf"test {{29}}RUNNING   pid {pid}, uptime 0:00:\d\d\n", status.out), (
        status.out
    )
    assert status.status == 0
    assert (home.directory / "test.log").read_text() == "hello from stderr\nhello\n"


@ONE_PROGRAM
def test_tail_shows_and_follows_the_log(start_daemon: StartDaemon, programs: Programs) -> None:
    """`tail` prints the end of the log, `tail -f` goes on with what is written afterwards."""
    daemon = start_daemon(programs)
    daemon.until_says("test", "hello\n")
    assert daemon.ctl("tail", "test").out == "hello from stderr\nhello\n\n"
    with daemon.following_ctl("tail", "-f", "test") as tail:
        tail.until("hello\n")
        daemon.client.write_stdin("test", "say and on it goes\n")
        assert tail.until("and on it goes\n").startswith(
            "==> Press Ctrl-C to exit <==\nhello from"
        )
    assert tail.status == 0


@ONE_PROGRAM
def test_killed_program_is_back_at_once_and_stop_is_for_good(
    start_daemon: StartDaemon, programs: Programs
) -> None:
    """Kill -9: a new pid in less than a second. `stop`: nothing comes back, and status says so."""
    daemon = start_daemon(programs)
    victim = daemon.until("test", "RUNNING").pid
    os.kill(victim, signal.SIGKILL)
    exited = daemon.events_until(lambda e: e.kind == "process_exited")[-1]
    spawned = daemon.events_until(lambda e: e.kind == "process_spawned", after=exited.id)[-1]
    assert spawned.at - exited.at < 1.0
    successor = daemon.until("test", "RUNNING").pid
    assert successor not in (0, victim)
    assert daemon.ctl("stop", "test") == (0, "test: stopped\n", "")
    assert is_gone(successor)
    status = daemon.ctl("status")
    assert status.status == 3
    stopped = r"test {29}STOPPED   [A-Z][a-z]{2} \d\d \d\d:\d\d [AP]M\n"
    assert re.fullmatch(stopped, status.out), status.out
    assert daemon.ctl("start", "test") == (0, "test: started\n", "")


@GROUP_OF_TWO
def test_group_is_shown_and_stopped_by_its_name(
    start_daemon: StartDaemon, programs: Programs
) -> None:
    """Members are group:name; `test:` and `test:*` both mean all of them."""
    daemon = start_daemon(programs)
    daemon.until("test:test-collector", "RUNNING")
    daemon.until("test:test-task_service", "RUNNING")
    rows = daemon.ctl("status").out.splitlines()
    assert [row.split()[:2] for row in rows] == [
        ["test:test-collector", "RUNNING"],
        ["test:test-task_service", "RUNNING"],
    ]
    both = ["test:test-collector: {}", "test:test-task_service: {}"]
    for name in ("test:", "test:*"):
        stopped = daemon.ctl("stop", name)
        assert sorted(stopped.out.splitlines()) == [line.format("stopped") for line in both]
        assert stopped.status == 0
        started = daemon.ctl("start", name)
        assert sorted(started.out.splitlines()) == [line.format("started") for line in both]


@GROUP_OF_TWO
def test_update_brings_in_a_new_file_and_touches_nothing_else(
    start_daemon: StartDaemon, programs: Programs
) -> None:
    """`reread` announces the program of a new file, `update` starts it; the others run on."""
    daemon = start_daemon(programs)
    daemon.until("test:test-collector", "RUNNING")
    before = {name: one.pid for name, one in daemon.statuses().items()}
    header = "[program:x]" if programs.dialect is Dialect.INI else "[program.x]"
    quote = "" if programs.dialect is Dialect.INI else '"'
    daemon.home.rewrite(f"{header}\ncommand = {quote}$VICTIM{quote}\n", file="x")
    assert daemon.ctl("reread").out == "x: available\n"
    assert daemon.ctl("update").out == "x: added process group\n"
    daemon.until("x", "RUNNING")
    assert {name: one.pid for name, one in daemon.statuses().items() if name != "x"} == before
    assert daemon.ctl("update").out == ""


@in_both_languages(
    ini="""
        [program:test]
        command = $VICTIM 'say I am %(process_num)s'
        numprocs = 3
        process_name = %(program_name)s_%(process_num)s
        """,
    toml="""
        [program.test]
        command = "$VICTIM 'say I am {replica}'"
        replicas = 3
        group = "test"
        """,
)
def test_several_processes_of_one_program(start_daemon: StartDaemon, programs: Programs) -> None:
    """With numprocs = 3 there are test:test_0 to test:test_2, each with its own number."""
    daemon = start_daemon(programs)
    assert list(daemon.statuses()) == ["test:test_0", "test:test_1", "test:test_2"]
    for number in range(3):
        assert daemon.until_says(f"test:test_{number}", "I am") == f"I am {number}\n"
    assert len({one.pid for one in daemon.statuses().values()}) == 3


@in_both_languages(
    ini="""
        [program:test]
        command = $VICTIM
        autostart = false
        """,
    toml="""
        [program.test]
        command = "$VICTIM"
        startup = "disabled"
        """,
)
def test_program_without_autostart_waits_to_be_started(
    start_daemon: StartDaemon, programs: Programs
) -> None:
    """With autostart = false: STOPPED, Not started, until `start` (all of them, or this one)."""
    daemon = start_daemon(programs)
    status = daemon.ctl("status")
    assert status.out == f"{'test':<33}STOPPED   Not started\n"
    assert daemon.ctl("start", "all").out == "test: started\n"
    assert daemon.status("test").state == "RUNNING"


def test_daemon_found_by_search_path_goes_into_the_background(home: Home) -> None:
    """`opsvisord` alone finds ./supervisord.conf and returns 0 when it is ready; so does ctl."""
    home.write(
        Programs("[program:test]\ncommand = $VICTIM\nstartsecs = 0\n", Dialect.INI),
    )
    home.config.write_text(home.config.read_text().replace("nodaemon = true\n", ""))
    mark = f"background-{os.getpid()}-{home.directory.name}"
    started = run_program("opsvisord", directory=home.directory, mark=mark)
    try:
        assert (started.status, started.out) == (0, "")
        # As root it advises to name the file: whoever can write here decides what root runs.
        warned = started.err.startswith("warning: opsvisord is running as root and found its")
        assert warned is (os.geteuid() == 0)
        pid = int(home.pid_file.read_text())
        assert pid in marked(mark)
        assert os.getsid(pid) != os.getsid(0)
        status = run_program("opsvisorctl", "status", directory=home.directory)
        assert re.match(r"test +(RUNNING|STARTING)", status.out), status
        stopped = run_program("opsvisorctl", "shutdown", directory=home.directory)
        assert stopped == (0, "Shut down\n", "")
        eventually(lambda: not marked(mark))
    finally:
        kill_marked(mark)
    assert not home.pid_file.exists()
    assert not home.socket.exists()
    assert f"supervisord started with pid {pid}" in home.log_file.read_text()


def test_background_daemon_that_cannot_start_says_so_in_the_foreground(home: Home) -> None:
    """The parent waits for the outcome: a socket that can't be made is exit 2 and a message."""
    home.write(Programs("", Dialect.INI))
    config = home.config.read_text().replace("nodaemon = true\n", "")
    home.config.write_text(config.replace(f"file = {home.socket}", "file = /proc/no/such/socket"))
    failed = run_program("opsvisord", directory=home.directory)
    assert failed.status == 2
    assert failed.out == ""
    assert "/proc/no/such/socket" in failed.err
    assert "Traceback" not in failed.err
    assert not home.pid_file.exists()
