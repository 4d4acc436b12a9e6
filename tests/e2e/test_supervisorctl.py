"""The real supervisorctl drives the daemon without noticing that it is another one."""

import re

import pytest
from commands import Ran, run_program
from daemon import Daemon, StartDaemon
from home import Dialect, Programs

PROGRAMS = Programs(
    """\
    [program:web]
    command = $VICTIM
    startsecs = 0

    [program:pair]
    command = $VICTIM
    process_name = %(program_name)s_%(process_num)d
    numprocs = 2
    startsecs = 0
    autostart = false

    [program:doomed]
    command = /bin/false
    startretries = 0
    autostart = false

    [program:missing]
    command = $HERE/nothing
    autostart = false
    """,
    Dialect.INI,
)


def ctl(daemon: Daemon, *words: str) -> Ran:
    """Run the real supervisorctl to its end."""
    return run_program(
        "supervisorctl", "-c", str(daemon.home.config), *words, directory=daemon.home.directory
    )


def said(daemon: Daemon, *words: str, status: int = 0) -> str:
    """What supervisorctl prints, nothing of it on standard error, and with this exit status."""
    ran = ctl(daemon, *words)
    assert (ran.status, ran.err) == (status, ""), ran
    return ran.out


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> Daemon:
    """One daemon with the programs above, `web` of them running."""
    running = start_daemon(PROGRAMS)
    running.until("web", "RUNNING")
    return running


def test_status(daemon: Daemon) -> None:
    """One line per process, and an exit status that tells of stopped ones."""
    lines = said(daemon, "status", status=3).splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["doomed", "STOPPED"],
        ["missing", "STOPPED"],
        ["pair:pair_0", "STOPPED"],
        ["pair:pair_1", "STOPPED"],
        ["web", "RUNNING"],
    ]
    assert lines[0] == "doomed                           STOPPED   Not started"
    assert re.search(r"RUNNING   pid \d+, uptime 0:00:\d\d$", lines[4])
    assert said(daemon, "status", "nope", status=4) == "nope: ERROR (no such process)\n"
    assert said(daemon, "status", "nope:*", status=4) == "nope: ERROR (no such group)\n"


def test_start_and_stop(daemon: Daemon) -> None:
    """With the texts that Ansible's module looks for."""
    assert said(daemon, "stop", "web") == "web: stopped\n"
    assert said(daemon, "stop", "web") == "web: ERROR (not running)\n"
    assert re.search(
        r"STOPPED   [A-Z][a-z]{2} \d\d \d\d:\d\d [AP]M$", said(daemon, "status", "web", status=3)
    )
    assert said(daemon, "start", "web") == "web: started\n"
    assert said(daemon, "start", "web") == "web: ERROR (already started)\n"
    assert said(daemon, "restart", "web") == "web: stopped\nweb: started\n"
    assert said(daemon, "start", "pair:*") == "pair:pair_0: started\npair:pair_1: started\n"
    assert said(daemon, "signal", "CONT", "pair:*") == (
        "pair:pair_0: signalled\npair:pair_1: signalled\n"
    )
    assert said(daemon, "stop", "all") == (
        "pair:pair_0: stopped\npair:pair_1: stopped\nweb: stopped\n"
    )


def test_what_cannot_be_started(daemon: Daemon) -> None:
    """Each with its own text and exit status."""
    assert said(daemon, "start", "doomed", status=7) == "doomed: ERROR (spawn error)\n"
    assert said(daemon, "start", "missing", status=1) == "missing: ERROR (no such file)\n"
    assert said(daemon, "start", "nope", status=1) == "nope: ERROR (no such process)\n"
    assert said(daemon, "start", "nope:*", status=2) == "nope: ERROR (no such group)\n"
    assert said(daemon, "stop", "nope:*", status=1) == "nope: ERROR (no such group)\n"
    assert said(daemon, "signal", "HUP", "doomed", status=7) == "doomed: ERROR (not running)\n"
    assert said(daemon, "signal", "NOPE", "web", status=1) == "web: ERROR (bad signal name)\n"


def test_start_in_backoff_is_refused(start_daemon: StartDaemon) -> None:
    """As there, where our own API would try again at once; a stop ends the waiting."""
    daemon = start_daemon(
        Programs("[program:sad]\ncommand = /bin/false\nstartretries = 100\n", Dialect.INI)
    )
    daemon.until("sad", "BACKOFF")
    assert said(daemon, "start", "sad") == "sad: ERROR (already started)\n"
    assert said(daemon, "stop", "sad") == "sad: stopped\n"


def test_pid_version_and_configuration(daemon: Daemon) -> None:
    """What is not about one process."""
    assert said(daemon, "pid") == f"{daemon.pid}\n"
    assert said(daemon, "pid", "web") == f"{daemon.status('web').pid}\n"
    assert said(daemon, "version") == "4.3.0\n"
    assert said(daemon, "avail").splitlines()[-1] == (
        "web                              in use    auto      999:999"
    )
    assert said(daemon, "reread") == "No config updates to processes\n"
