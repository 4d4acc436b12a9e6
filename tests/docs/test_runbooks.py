"""What the runbooks show of `opsvisorctl why` is what it says, for programs in such a state."""

import re
from pathlib import Path

import pytest
from daemon import Daemon, StartDaemon, eventually
from home import Home
from http_requests import free_port
from told_commands import is_shown

_RUNBOOKS = Path(__file__).parents[2] / "alerts" / "runbooks"
# `$ opsvisorctl why NAME` in a block of code, and what is shown below it.
_SHOWN = re.compile(
    r"^    \$ opsvisorctl why (?P<name>\w+)\n(?P<answer>(?:(?:    (?!\$).*)?\n)+)", re.MULTILINE
)
_PROGRAMS = """
    [program.broken]
    command = ["sh", "-c", "echo 'fatal: DATABASE_URL is not set' >&2; exit 1"]
    backoff_delay = "10ms"
    restart_limit_count = 4
    restart_limit_interval = "1m"
    fatal_retry_delay = "1m"

    [program.looping]
    command = ["sh", "-c", "echo 'fatal: DATABASE_URL is not set' >&2; exit 1"]
    backoff_delay = "1s"
    backoff_limit = "10s"
    restart_limit_count = 0

    [program.flaky]
    command = ["sh", "flaky.sh"]
    restart = "always"
    min_uptime = "0s"
    backoff_delay = "10ms"
    flapping_count = 2

    [program.unheard]
    command = ["sh", "-c", "echo hello; exec sleep 1000"]
    log = {{ stdout = "/dev/full" }}

    [program.unready]
    command = "sleep 1000"
    readiness_probe = {{ tcp = {port}, period = "1s" }}
    """
_FLAKY = """
echo x >> runs
case $(wc -l < runs) in
1) exit 1 ;;
2) kill -SEGV $$ ;;
3) exit 3 ;;
4) echo 'RuntimeError: something went wrong' >&2; exit 1 ;;
*) exec sleep 1000 ;;
esac
"""


def examples() -> dict[str, list[str]]:
    """The lines below each `opsvisorctl why` that has any, by the name of the program."""
    found = {}
    for page in sorted(_RUNBOOKS.glob("*.md")):
        for block in _SHOWN.finditer(page.read_text()):
            lines = [line for line in block["answer"].splitlines() if line.strip()]
            if lines:
                found[block["name"]] = lines
    return found


@pytest.fixture
def daemon(start_daemon: StartDaemon, home: Home) -> Daemon:
    """One whose programs are in the states that the runbooks are about."""
    (home.directory / "flaky.sh").write_text(_FLAKY)
    return start_daemon(_PROGRAMS.format(port=free_port()))


def test_why_answers_as_the_runbooks_show(daemon: Daemon) -> None:
    """Each line of each example is there, in this order, with other numbers."""
    told = examples()
    assert sorted(told) == ["broken", "flaky", "looping", "unheard", "unready"]
    for name, lines in told.items():
        answers = [""]

        def is_told(name: str = name, lines: list[str] = lines, last: list[str] = answers) -> bool:
            last[0] = daemon.ctl("why", name).out
            return is_shown(lines, last[0])

        try:
            eventually(is_told)
        except AssertionError:
            pytest.fail(f"not answered as shown: {lines}\n\n{answers[0]}")
