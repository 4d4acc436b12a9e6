"""kill -9 of the daemon: its programs run on, and the next daemon takes them back as they are."""

import os
import re
import signal
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from commands import run_program
from daemon import Daemon, StartDaemon, eventually
from home import Dialect, Home, Programs
from http_requests import free_port
from procfs import children_of, is_alive
from told import RECORDER, until_told

from opsvisor.wire import ProcessStatus

EVERY_KIND = """\
[program.plain]
command = "$VICTIM"
[program.family]
command = ["sh", "-c", "sleep 1000 & sleep 1000 & wait"]
[program.reader]
command = "cat"
stdin = "pipe"
[program.stopped]
command = "$VICTIM"
[program.over]
command = "true"
restart = "no"
min_uptime = "0s"
[program.failing]
command = "false"
backoff_delay = "60s"
backoff_limit = "60s"
[program.fatal]
command = "false"
start_retries = 0
fatal_retry_delay = "never"
"""
STEADY = {
    "plain": "RUNNING",
    "family": "RUNNING",
    "reader": "RUNNING",
    "stopped": "STOPPED",
    "over": "EXITED",
    "failing": "BACKOFF",
    "fatal": "FATAL",
}


def crash_and_begin_again(daemon: Daemon) -> None:
    """Kill the daemon, and start it again as it was."""
    daemon.crash()
    daemon.begin_again()


def remembered(status: ProcessStatus) -> tuple[object, ...]:
    """What must be as before, whatever time it is."""
    return (
        status.state,
        status.pid,
        status.reason,
        status.since,
        status.started_at,
        status.stopped_at,
        status.starts,
        status.restarts,
        status.failed_starts,
        status.exit_code,
        status.exit_signal,
        status.spawn_error,
    )


def test_everything_is_as_it_was(start_daemon: StartDaemon) -> None:
    """States, pids, since when and why, counters, the next attempt, history, and the metrics."""
    daemon = start_daemon(EVERY_KIND)
    daemon.until("plain", "RUNNING")  # or there is nothing to be started again yet
    daemon.client.act("restart", ["plain"])
    daemon.client.act("stop", ["stopped"])
    for name, state in STEADY.items():
        daemon.until(name, state)
    before = daemon.statuses()
    retry_at = before["failing"].retry_at
    history = {name: daemon.client.history(name).runs for name in STEADY}
    starts = daemon.metric("opsvisor_process_starts_total", process="plain")

    crash_and_begin_again(daemon)
    after = daemon.statuses()
    assert {n: remembered(s) for n, s in after.items()} == {
        n: remembered(s) for n, s in before.items()
    }
    assert retry_at is not None
    assert after["failing"].retry_at == pytest.approx(retry_at, abs=0.5)
    assert {name: daemon.client.history(name).runs for name in STEADY} == history
    assert daemon.metric("opsvisor_process_starts_total", process="plain") == starts == 2
    assert daemon.metric("opsvisor_events_total", event="process_adopted") == 3
    took = re.search(r"took back 3 processes of an earlier daemon in (\d+) ms\n", daemon.log)
    assert took is not None
    assert int(took[1]) < 500
    assert f"adopted: 'plain' with pid {before['plain'].pid}, RUNNING" in daemon.log


def test_adopted_programs_are_under_control(start_daemon: StartDaemon) -> None:
    """They can be written to, heard, restarted and stopped, with all members of their group."""
    daemon = start_daemon(EVERY_KIND)
    for name in ("plain", "family", "reader"):
        daemon.until(name, "RUNNING")
    family = daemon.status("family").pid
    eventually(lambda: len(children_of(family)) == 2)
    members = children_of(family)
    crash_and_begin_again(daemon)

    daemon.client.write_stdin("reader", "are you there?\n")
    daemon.until_says("reader", "are you there?")
    plain = daemon.status("plain")
    daemon.client.act("restart", ["plain"])
    again = daemon.until("plain", "RUNNING")
    assert again.pid != plain.pid
    assert again.starts == plain.starts + 1
    daemon.client.act("stop", ["family"])
    assert not any(is_alive(pid) for pid in [family, *members])
    assert daemon.until("family", "STOPPED").exit_signal == signal.SIGTERM
    os.kill(again.pid, signal.SIGKILL)
    assert eventually(lambda: daemon.status("plain").starts == again.starts + 1)


def test_ends_in_the_gap_are_recognised(start_daemon: StartDaemon) -> None:
    """What ended unseen is treated by its policy; its last words and its exit are known."""
    daemon = start_daemon(
        """\
        [program.failed]
        command = ["sh", "-c", "read line; echo last words; exit 3"]
        stdin = "pipe"
        restart = "no"
        min_uptime = "0s"
        [program.killed]
        command = "$VICTIM"
        """
    )
    failed = daemon.until("failed", "RUNNING")
    killed = daemon.until("killed", "RUNNING")
    stdin = os.open(f"/proc/{failed.pid}/fd/0", os.O_WRONLY)
    daemon.crash()
    os.write(stdin, b"go\n")
    os.close(stdin)
    os.kill(killed.pid, signal.SIGKILL)
    eventually(lambda: not is_alive(failed.pid) and not is_alive(killed.pid))
    daemon.begin_again()

    over = daemon.until("failed", "EXITED")
    (run,) = daemon.client.history("failed").runs
    assert over.exit_code in (3, None)
    assert run.outcome in ("exit status 3", "exit status unknown")  # as far as the kernel tells
    assert daemon.output_of("failed").endswith("last words\n")
    again = daemon.until("killed", "RUNNING")
    assert again.starts == 2
    assert "took back 0 processes of an earlier daemon" in daemon.log
    assert "2 had ended" in daemon.log


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET])
def test_who_gave_up_in_the_gap_is_not_obeyed(
    start_daemon: StartDaemon, home: Home, family: socket.AddressFamily
) -> None:
    """What was asked for while there was no daemon, by clients that have gone, is not done."""
    port = free_port()
    daemon = start_daemon(
        '[program.web]\ncommand = "$VICTIM"\n', main=f'http = "127.0.0.1:{port}"\n'
    )
    pid = daemon.until("web", "RUNNING").pid
    daemon.crash()
    address = str(home.socket) if family is socket.AF_UNIX else ("127.0.0.1", port)
    body = b'{"action": "stop", "names": ["all"]}'
    head = f"POST /api/v1/actions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    with socket.socket(family) as client:
        client.connect(address)
        client.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
    with socket.socket(family) as waiting:
        waiting.connect(address)
        waiting.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        daemon.begin_again()
        assert waiting.recv(12) == b"HTTP/1.1 200"

    assert daemon.status("web").state == "RUNNING"
    assert daemon.status("web").pid == pid
    assert daemon.metric("opsvisor_events_total", event="signal_sent") == 0


def test_clients_are_told_of_a_crash(start_daemon: StartDaemon, home: Home) -> None:
    """Nothing is sent to a socket whose daemon has crashed, and people are told what it is."""
    daemon = start_daemon('[program.web]\ncommand = "$VICTIM"\n')
    web = daemon.until("web", "RUNNING")
    crashed = daemon.client.daemon().pid
    daemon.crash()

    told = daemon.ctl("stop", "web")
    assert told.status == 4
    assert told.out == (
        f"error: unix://{home.socket} has no opsvisord behind it:"
        f" pid {crashed}, which listened there, has ended without a shutdown\n"
    )
    assert "start it as before" in told.err
    daemon.begin_again()
    assert daemon.status("web").pid == web.pid


def test_what_changed_meanwhile_is_an_update(start_daemon: StartDaemon, home: Home) -> None:
    """What changed is restarted, what is gone stopped, what is new started, the rest untouched."""
    before = """\
        [program.same]
        command = "$VICTIM"
        [program.other]
        command = "$VICTIM"
        [program.gone]
        command = "$VICTIM"
        """
    daemon = start_daemon(before)
    pids = {name: daemon.until(name, "RUNNING").pid for name in ("same", "other", "gone")}
    daemon.crash()
    home.rewrite(
        """\
        [program.same]
        command = "$VICTIM"
        labels = { read = "anew" }
        [program.other]
        command = "$VICTIM"
        environment = { COLOUR = "blue" }
        [program.new]
        command = "$VICTIM"
        """
    )
    daemon.begin_again()
    eventually(lambda: not is_alive(pids["gone"]))
    same = daemon.status("same")
    assert same.pid == pids["same"]
    assert same.labels == {"read": "anew"}
    eventually(lambda: (s := daemon.status("other")).pid not in (0, pids["other"]) and s)
    daemon.until("new", "RUNNING")
    assert eventually(lambda: set(daemon.statuses()) == {"same", "other", "new"})
    assert not is_alive(pids["other"])


def test_a_stop_under_way_goes_on(start_daemon: StartDaemon) -> None:
    """What ignores its stop signal is killed by the next daemon, at the time set by the first."""
    daemon = start_daemon(
        """\
        [program.deaf]
        command = ["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.1; done"]
        kill_delay = "2s"
        """
    )
    daemon.until_says("deaf", "deaf")
    daemon.until("deaf", "RUNNING")
    pid = daemon.status("deaf").pid
    daemon.client.act("stop", ["deaf"], wait=False)
    daemon.until("deaf", "STOPPING")
    crash_and_begin_again(daemon)
    assert daemon.until("deaf", "STOPPED").starts == 1
    assert not is_alive(pid)


CHANGED = """
    [program.deaf]
    command = "$VICTIM 'ignore TERM'"
    stdin = "pipe"
    kill_delay = "60s"
    restart = "on-failure"
    log = { stdout = "$HERE/NAME.log", stderr = "$HERE/NAME.err" }
    """


@pytest.mark.parametrize("next_one", ["next.err", "merge"])
def test_a_change_under_way_goes_on(start_daemon: StartDaemon, home: Home, next_one: str) -> None:
    """The next run has the logs that it was to have, and the one that is to end loses nothing."""
    daemon = start_daemon(CHANGED.replace("NAME", "first"))
    daemon.until_says("deaf", "ignoring TERM")
    daemon.until("deaf", "RUNNING")
    pid = daemon.status("deaf").pid
    changed = CHANGED.replace("NAME.log", "next.log").replace("$HERE/NAME.err", next_one)
    home.rewrite(changed.replace('"next.err"', '"$HERE/next.err"'))
    with ThreadPoolExecutor() as pool:
        pool.submit(daemon.ctl, "update")
        daemon.until("deaf", "STOPPING")
        crash_and_begin_again(daemon)
    assert pid is not None
    daemon.client.write_stdin("deaf", "say last words\ncomplain last sighs\n")
    last_sighs = home.directory / ("next.err" if next_one == "next.err" else "first.err")
    eventually(lambda: last_sighs.exists() and "last sighs\n" in last_sighs.read_text())
    os.kill(pid, signal.SIGKILL)
    daemon.until("deaf", "RUNNING")
    daemon.client.write_stdin("deaf", "complain of that\nsay I am new\n")
    log = home.directory / "next.log"
    eventually(lambda: "I am new\n" in log.read_text())
    assert "last words\n" in log.read_text()
    complaints = log if next_one == "merge" else home.directory / next_one
    eventually(lambda: "of that\n" in complaints.read_text())
    daemon.client.write_stdin("deaf", "exit 0\n")
    daemon.until("deaf", "EXITED")


def test_without_keeper(start_daemon: StartDaemon) -> None:
    """If that was killed as well, pipes are opened anew where the programs have them."""
    # Whatever it ends with is known only while init has not reaped it.
    daemon = start_daemon(EVERY_KIND.replace('"cat"\n', '"cat"\nrestart = "always"\n'))
    for name in ("plain", "reader"):
        daemon.until(name, "RUNNING")
    before = daemon.statuses()
    (keeper,) = [pid for pid, words in daemon.offspring().items() if "keeper for" in words]
    # Stopped first, or the daemon would replace it in time.
    os.kill(keeper, signal.SIGSTOP)
    daemon.crash()
    os.kill(keeper, signal.SIGKILL)
    daemon.begin_again()
    after = daemon.statuses()
    assert after["plain"].pid == before["plain"].pid
    # Its standard input was open nowhere else: it has seen its end. Whether it is started again
    # depends on whether its exit code can be known, which init may have taken.
    eventually(lambda: daemon.status("reader").pid != before["reader"].pid)
    daemon.client.act("restart", ["plain"])


def test_a_memory_that_is_not_believed(start_daemon: StartDaemon, home: Home) -> None:
    """It is put aside, and what the keeper knows of is ended: nothing runs twice."""
    daemon = start_daemon(EVERY_KIND, daemon='state_dir = "state"')
    old = daemon.until("plain", "RUNNING").pid
    family = daemon.until("family", "RUNNING").pid
    eventually(lambda: len(children_of(family)) == 2)
    daemon.crash()
    memory = home.directory / "state" / "memory"
    memory.write_bytes(memory.read_bytes()[:-200] + b"x" * 199 + b"\n")
    daemon.begin_again()
    assert not is_alive(old)
    assert daemon.until("plain", "RUNNING").starts == 1
    assert f"{memory} is not believed" in daemon.log
    assert (home.directory / "state" / "memory.bad-1").exists()
    assert "killed 6 processes of an earlier daemon" in daemon.log


def test_killed_with_the_daemon(start_daemon: StartDaemon) -> None:
    """on_crash = "kill": nothing outlives the daemon, and the next one starts afresh."""
    daemon = start_daemon(EVERY_KIND, daemon='on_crash = "kill"')
    pids = [daemon.until(name, "RUNNING").pid for name in ("plain", "family", "reader")]
    daemon.client.act("stop", ["stopped"])
    daemon.crash()
    eventually(lambda: not any(is_alive(pid) for pid in pids))
    daemon.begin_again()
    assert daemon.until("plain", "RUNNING").starts == 1
    assert daemon.until("stopped", "RUNNING").starts == 1


def test_a_second_daemon_is_refused(start_daemon: StartDaemon, home: Home) -> None:
    """Whoever has the state directory keeps it; its programs don't notice."""
    daemon = start_daemon(EVERY_KIND)
    pid = daemon.until("plain", "RUNNING").pid
    home.config.write_text(home.config.read_text().replace('unix = "s"', 'unix = "other"'))
    second = run_program("opsvisord", "-c", str(home.config), directory=home.directory)
    home.config.write_text(home.config.read_text().replace('unix = "other"', 'unix = "s"'))
    assert second.status == 2
    assert f"is in use by pid {daemon.pid}" in second.err
    assert daemon.status("plain").pid == pid


def test_nothing_is_left_after_a_shutdown(start_daemon: StartDaemon, home: Home) -> None:
    """Neither memory nor lock nor keeper: there is nothing to take back."""
    daemon = start_daemon(EVERY_KIND, daemon='state_dir = "state"')
    daemon.until("plain", "RUNNING")
    assert (home.directory / "state" / "memory").stat().st_mode & 0o777 == 0o600
    daemon.terminate()
    assert list((home.directory / "state").iterdir()) == []


def test_listeners_of_events_begin_anew(start_daemon: StartDaemon, home: Home) -> None:
    """What a listener said last may be lost: it would wait for an event, and we for its READY."""
    daemon = start_daemon(
        Programs(
            f"""\
            [eventlistener:ears]
            command = {RECORDER} $HERE/told
            events = PROCESS_STATE_RUNNING
            startsecs = 0
            [program:web]
            command = $VICTIM
            """,
            Dialect.INI,
        )
    )
    ears = daemon.until("ears", "RUNNING")
    web = daemon.until("web", "RUNNING")
    crash_and_begin_again(daemon)
    assert daemon.until("web", "RUNNING").pid == web.pid
    eventually(lambda: daemon.status("ears").starts == ears.starts + 1)
    again = daemon.until("ears", "RUNNING")
    assert again.pid != ears.pid
    (home.directory / "told").unlink(missing_ok=True)
    daemon.client.act("restart", ["web"])
    until_told(home.directory / "told", "PROCESS_STATE_RUNNING")
