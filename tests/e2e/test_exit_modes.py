"""Which ends lead to a restart, and which attempts to start are given up."""

import re

import pytest
from daemon import Daemon, StartDaemon, eventually
from home import Dialect, Programs, in_both_languages

# How the program ends, autorestart, and whether another run follows. Exit 100 is expected here.
UNEXPECTED = "unexpected"
MODES = [
    ("exit 0", UNEXPECTED, False),
    ("exit 100", UNEXPECTED, False),
    ("exit 1", UNEXPECTED, True),
    ("raise oops", UNEXPECTED, True),
    ("die TERM", UNEXPECTED, True),
    ("die KILL", UNEXPECTED, True),
    ("exit 0", "true", True),
    ("exit 1", "false", False),
    ("die KILL", "false", False),
]
OURS = {UNEXPECTED: "on-failure", "true": "always", "false": "no"}


def life(dialect: Dialect, autorestart: str) -> Programs:
    """A program that obeys its stdin, with this restart policy."""
    if dialect is Dialect.INI:
        return Programs(
            f"""
            [program:test]
            command = $VICTIM 'say begun'
            startsecs = 0
            exitcodes = 0,100
            autorestart = {autorestart}
            """,
            dialect,
        )
    return Programs(
        f"""
        [program.test]
        command = "$VICTIM 'say begun'"
        stdin = "pipe"
        min_uptime = "0s"
        success_exit_codes = [0, 100]
        restart = "{OURS[autorestart]}"
        """
    )


@pytest.mark.parametrize("dialect", Dialect, ids=lambda d: d.value)
def test_exit_modes(start_daemon: StartDaemon, dialect: Dialect) -> None:
    """After each kind of end a new run follows, or EXITED stays, as autorestart says."""
    for autorestart in OURS:
        daemon = start_daemon(life(dialect, autorestart))
        for ending, policy, restarted in MODES:
            if policy == autorestart:
                _end_and_see(daemon, ending, restarted=restarted)
        assert daemon.terminate() == 0


def _end_and_see(daemon: Daemon, ending: str, *, restarted: bool) -> None:
    before = daemon.until("test", "RUNNING")
    daemon.client.write_stdin("test", f"{ending}\n")
    if restarted:
        eventually(lambda: daemon.status("test").starts == before.starts + 1)
        assert daemon.until("test", "RUNNING").pid != before.pid
        return
    status = daemon.until("test", "EXITED")
    assert (status.pid, status.starts) == (0, before.starts)
    assert not status.expected_running or ending.startswith("die") or ending == "exit 1"
    assert re.fullmatch(r"[A-Z][a-z]{2} \d\d \d\d:\d\d [AP]M", status.description)
    daemon.client.act("start", ["test"])


@in_both_languages(
    ini="""
        [program:test]
        command = $VICTIM 'complain no database' 'exit 0'
        startretries = 0
        """,
    toml="""
        [program.test]
        command = "$VICTIM 'complain no database' 'exit 1'"
        start_retries = 0
        """,
)
def test_exit_before_startsecs_is_a_failed_start(
    start_daemon: StartDaemon, programs: Programs
) -> None:
    """An end before startsecs: BACKOFF, then FATAL, and Supervisor's words for it in status."""
    daemon = start_daemon(programs)
    daemon.until("test", "FATAL")
    status = daemon.ctl("status")
    assert status.out == (
        f"{'test':<33}FATAL     Exited too quickly (process log may have details)\n"
    )
    events = daemon.events_until(lambda e: "-> FATAL" in e.text)
    steps = [e.text.split(": ")[1] for e in events if e.kind == "state_changed"]
    assert steps == ["STOPPED -> STARTING", "STARTING -> BACKOFF", "BACKOFF -> FATAL"]
    assert "gave up: test entered FATAL state" in daemon.log
    why = daemon.ctl("why", "test")
    assert "no database" in why.out
    start = daemon.ctl("start", "test")
    assert start.out == "test: ERROR (spawn error)\n"
    assert start.status == 7


def test_supervisors_retries_come_later_and_later(start_daemon: StartDaemon) -> None:
    """Startretries = 5: starts lie 1, 2, 3, 4 and 5 seconds apart, then FATAL."""
    daemon = start_daemon(
        Programs(
            """
            [program:test]
            command = $VICTIM 'exit 3'
            startretries = 5
            """,
            Dialect.INI,
        )
    )
    events = daemon.events_until(lambda e: "-> FATAL" in e.text)
    starts = [e.at for e in events if e.kind == "process_spawned"]
    ends = [e.at for e in events if e.kind == "process_exited"]
    assert len(starts) == 6
    delays = [start - end for start, end in zip(starts[1:], ends, strict=False)]
    for number, delay in enumerate(delays, start=1):
        assert number <= delay < number + 0.9
    states = [e.text.split(" -> ")[1].split(":")[0] for e in events if e.kind == "state_changed"]
    assert states == ["STARTING", "BACKOFF"] * 6 + ["FATAL"]


def test_our_retries_grow_to_their_limit(start_daemon: StartDaemon) -> None:
    """In TOML delays double up to backoff_limit, and start_retries ends it."""
    daemon = start_daemon(
        """
        [program.test]
        command = "$VICTIM 'exit 3'"
        backoff_delay = "100ms"
        backoff_limit = "300ms"
        backoff_jitter = 0
        start_retries = 4
        """
    )
    events = daemon.events_until(lambda e: "-> FATAL" in e.text)
    starts = [e.at for e in events if e.kind == "process_spawned"]
    ends = [e.at for e in events if e.kind == "process_exited"]
    delays = [start - end for start, end in zip(starts[1:], ends, strict=False)]
    assert len(delays) == 4
    for wanted, delay in zip([0.1, 0.2, 0.3, 0.3], delays, strict=True):
        assert wanted <= delay < wanted + 0.9
    assert daemon.metric("opsvisor_process_state", process="test", state="fatal") == 1


@in_both_languages(
    ini="""
        [program:test]
        command = $HERE/not-there
        startretries = 0
        """,
    toml="""
        [program.test]
        command = "$HERE/not-there"
        start_retries = 0
        """,
)
def test_missing_command_is_told_as_such(start_daemon: StartDaemon, programs: Programs) -> None:
    """A command that isn't there is no crash: the state says what can't be found."""
    daemon = start_daemon(programs)
    status = daemon.until("test", "FATAL")
    assert status.description == f"can't find command '{daemon.home.directory}/not-there'"
    assert daemon.metric("opsvisor_process_spawn_failures_total", process="test") == 1
    start = daemon.ctl("start", "test")
    assert (start.status, start.out) == (1, "test: ERROR (no such file)\n")
