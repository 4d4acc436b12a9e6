"""A daemon started from a migrated file does what it did with Supervisor's."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomli
from commands import run_program
from daemon import Daemon, eventually
from home import Dialect, Home, Programs
from told import RECORDER, until_told

PROGRAMS = f"""
; three of a kind, and what they say
[program:web]
command = sh -c 'env >$HERE/env-%(process_num)02d; echo out; echo err >&2; exec $VICTIM'
process_name = %(program_name)s-%(process_num)02d
numprocs = 2
numprocs_start = 7
startsecs = 0
redirect_stderr = true
stdout_logfile = $HERE/%(program_name)s-%(process_num)d.log
environment = WHO="%(group_name)s/{{x}}",TOKEN="%(ENV_PATH)s"
stopsignal = INT
priority = 5

[program:once]
command = sh -c 'exit 3'
startsecs = 0
autorestart = false

; ends too early, and is a failed start although it says that all is well
[program:early]
command = sh -c 'exit 0'
startretries = 0

[program:later]
command = $VICTIM
autostart = false
startsecs = 0

[group:shop]
programs = web, once
priority = 3

[eventlistener:ears]
command = {RECORDER} $HERE/told
events = PROCESS_STATE
startsecs = 0
"""


@contextmanager
def running(home: Home) -> Iterator[Daemon]:
    """A daemon of the home's configuration, which ends well."""
    daemon = Daemon(home)
    try:
        yield daemon
    finally:
        daemon.end()


def what_happens(home: Home) -> dict[str, Any]:
    """All that can be seen of a daemon's first seconds, without what is different each time."""
    with running(home) as daemon:
        for name in ("shop:web-07", "shop:web-08", "ears"):
            daemon.until(name, "RUNNING")
        daemon.until("shop:once", "EXITED")
        daemon.until("early", "FATAL")
        logs = {log.name: eventually(lambda log=log: _complete(log)) for log in _logs(home)}  # type: ignore[misc]  # bound
        ctl = run_program(
            "supervisorctl", "-s", f"unix://{home.socket}", "status", directory=home.directory
        )
        events = until_told(home.directory / "told", "PROCESS_STATE_FATAL")
        assert [log.name for log in home.directory.glob("later-stdout---supervisor-*.log")]
        stopped = daemon.ctl("stop", "shop:*")
    return {
        "status": (ctl.status, re.sub(r"pid \d+, uptime \S+|\w\w\w \d\d .*", "", ctl.out)),
        "logs": logs,
        "environment": [_environment(home.directory / f"env-0{number}") for number in (7, 8)],
        "events": sorted(re.sub(r"pid:\d+", "", str(event)) for event in events),
        "stopped": sorted(stopped.out.splitlines()),
    }


def _logs(home: Home) -> list[Path]:
    return [home.directory / f"web-{number}.log" for number in (7, 8)]


def _complete(log: Path) -> list[str]:
    """The lines of a program that has said all it says."""
    lines = log.read_text().splitlines() if log.exists() else []
    return lines if len(lines) == 2 else []


def _environment(file: Path) -> dict[str, str]:
    variables = dict(line.partition("=")[::2] for line in file.read_text().splitlines())
    return {n: v for n, v in variables.items() if n not in ("OPSVISOR_TEST_DAEMON", "PWD")}


def _clear(home: Home) -> None:
    for pattern in ("*.log", "told", "env-*", "daemon.out"):
        for file in home.directory.glob(pattern):
            file.unlink()


def test_it_behaves_the_same(home: Home) -> None:
    """States, logs, environments, events and what supervisorctl prints."""
    home.write(Programs(PROGRAMS, Dialect.INI))
    before = what_happens(home)
    _clear(home)
    source, home.config = home.config, home.directory / "opsvisor.toml"
    ran = run_program(
        "opsvisorctl", "migrate", str(source), "-o", str(home.config), directory=home.directory
    )
    assert ran.status == 0, ran.err
    program = tomli.loads(home.config.read_text())["program"]["web"]
    assert (program["replicas"], program["first_replica"]) == (2, 7)
    checked = run_program("opsvisord", "-c", str(home.config), "--check", directory=home.directory)
    assert checked == (0, f"{home.config}: ok, 5 programs, 6 processes\n", "")
    source.unlink()
    assert what_happens(home) == before
