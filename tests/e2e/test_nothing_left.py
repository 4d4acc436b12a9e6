"""After a stop nothing that came of a program is alive, however it tried to get away.

With a cgroup of its own and without any: a real daemon, real programs, and a look at the whole of
/proc for the token that each of their processes has in its command line.
"""

import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from cells import Cell, can_have, cell
from daemon import Daemon, StartDaemon, eventually
from home import Dialect, Programs
from procfs import is_alive

ESCAPES = Path(__file__).parent.parent / "escapes.py"


@dataclass(frozen=True)
class Jail:
    """A daemon's place for cgroups, if it has one, and the token of the programs of a test."""

    start: StartDaemon
    box: Cell | None
    token: str

    def begin(self, escape: str, options: str = "", *, count: int = 1) -> Daemon:
        """A daemon with so many programs that escape like this, all of them out."""
        names = [f"web{number}" for number in range(count)]
        toml = "\n".join(
            f"""
            [program.{name}]
            command = "$PYTHON {ESCAPES} {self.token} {escape}"
            kill_delay = "1s"
            {options}
            """
            for name in names
        )
        place = "off" if self.box is None else str(self.box.folder)
        daemon = self.start(toml, daemon=f'cgroup = "{place}"')
        for name in names:
            daemon.until_says(name, "out")
        return daemon

    def left(self) -> list[int]:
        """Who is alive yet."""
        return _alive_with(self.token)


def _alive_with(token: str) -> list[int]:
    return [pid for pid in _everybody() if token.encode() in _command(pid) and is_alive(pid)]


def _everybody() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208 - numbers


def _command(pid: int) -> bytes:
    """Of anybody on this machine, so it may be any bytes."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture(params=["cgroup", "bare"])
def box(request: pytest.FixtureRequest) -> Iterator[Cell | None]:
    """A place for cgroups, or none."""
    if request.param == "bare":
        yield None
    elif can_have(""):
        with cell("") as one:
            yield one
    else:
        pytest.skip("only root can make cgroups of version 2, where they can be had")


@pytest.fixture
def token() -> Iterator[str]:
    """What the programs of a test are known by. Nobody has it when their daemon has ended."""
    one = f"token-{uuid.uuid4().hex}"
    yield one
    left = _alive_with(one)
    for pid in left:
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, signal.SIGKILL)
    assert left == []


@pytest.fixture
def jail(box: Cell | None, token: str, start_daemon: StartDaemon) -> Jail:
    """Either way of knowing what came of a process."""
    return Jail(start_daemon, box, token)


@pytest.mark.parametrize("escape", ["daemon", "session", "regroup", "zombies", "deaf", "bomb"])
def test_nothing_outlives_a_stop(jail: Jail, escape: str) -> None:
    """When the stop is over, nobody is there; and the next run is not harmed by the one before."""
    daemon = jail.begin(escape)
    assert len(jail.left()) > 1
    daemon.client.act("stop", ["web0"])
    assert jail.left() == []
    assert daemon.status("web0").state == "STOPPED"
    daemon.client.act("start", ["web0"])
    daemon.until("web0", "RUNNING")
    eventually(lambda: len(jail.left()) > 1)
    daemon.client.act("restart", ["web0"])
    assert daemon.until("web0", "RUNNING").starts == 3


def test_shutdown_and_removal_are_stops(jail: Jail) -> None:
    """Of many at once, by whatever makes them stop."""
    daemon = jail.begin("daemon", count=6)
    assert len(jail.left()) == 12
    daemon.home.rewrite(daemon.home.programs.read_text().partition("[program.web1]")[0])
    assert daemon.ctl("update").status == 0
    eventually(lambda: len(jail.left()) == 2)
    daemon.terminate()
    assert jail.left() == []


@pytest.mark.parametrize(
    ("state", "options"),
    [
        ("EXITED", 'restart = "no"'),
        ("BACKOFF", 'restart = "always"\nbackoff_delay = "60s"\nbackoff_limit = "60s"'),
    ],
)
def test_what_an_earlier_run_left_goes_with_the_stop(jail: Jail, state: str, options: str) -> None:
    """It ended by itself, and its daemon lived on; whoever stops the program means both."""
    daemon = jail.begin("early", f'{options}\nmin_uptime = "0s"')
    daemon.until("web0", state)
    assert all(map(is_alive, jail.left()))
    assert jail.left()
    daemon.client.act("stop", ["web0"])
    assert jail.left() == []


def test_leaving_nothing_at_the_end_of_the_daemon(jail: Jail) -> None:
    """What ended by itself long ago left something, too."""
    daemon = jail.begin("early", 'restart = "no"\nmin_uptime = "0s"')
    daemon.until("web0", "EXITED")
    assert len(jail.left()) == 1
    daemon.terminate()
    assert jail.left() == []


@pytest.mark.parametrize("escape", ["daemon", "regroup", "deaf"])
def test_the_daemon_after_a_crash_stops_no_less(jail: Jail, escape: str) -> None:
    """What it adopted is not its child, and orphans of that are nobody's; all of it ends."""
    daemon = jail.begin(escape)
    before = daemon.status("web0").pid
    everybody = jail.left()
    daemon.crash()
    daemon.begin_again()
    assert daemon.until("web0", "RUNNING").pid == before
    assert jail.left() == everybody
    if jail.box is not None:
        assert daemon.status("web0").cgroup == f"{jail.box.folder}/opsvisord-web0"
    daemon.client.act("stop", ["web0"])
    assert jail.left() == []


def test_cpu_time_goes_on_after_a_crash(jail: Jail) -> None:
    """What it told is not taken back, that of runs that are over included."""
    daemon = jail.begin("busy")
    daemon.client.act("restart", ["web0"])
    eventually(lambda: daemon.output_of("web0").count("out") == 2)
    daemon.client.act("restart", ["web0"])
    eventually(lambda: daemon.output_of("web0").count("out") == 3)
    labels = {"process": "web0", "mode": "user"}
    before = daemon.metric("opsvisor_process_cpu_seconds_total", **labels)
    assert before > 0.25  # a tenth of a second each
    daemon.crash()
    daemon.begin_again()
    assert daemon.metric("opsvisor_process_cpu_seconds_total", **labels) >= before


def test_who_asks_for_less_gets_less(jail: Jail) -> None:
    """kill_mode = "group" leaves alone what left the group, as it says; so do Supervisor's."""
    daemon = jail.begin("daemon", 'kill_mode = "group"')
    daemon.client.act("stop", ["web0"])
    (left,) = jail.left()
    os.kill(left, signal.SIGKILL)


def test_supervisors_programs_are_stopped_as_supervisor_does(jail: Jail) -> None:
    """Its files say stopasgroup and killasgroup, and children live on without them."""
    text = f"[program:web0]\ncommand = $PYTHON {ESCAPES} {jail.token} daemon\n"
    daemon = jail.start(Programs(text, Dialect.INI))
    daemon.until_says("web0", "out")
    daemon.client.act("stop", ["web0"])
    (left,) = jail.left()
    os.kill(left, signal.SIGKILL)


def test_status_says_which(jail: Jail) -> None:
    """The daemon tells what it finds trees by, and `why` does so for a process."""
    daemon = jail.begin("session")
    said = daemon.client.daemon().containment
    why = daemon.ctl("why", "web0").out
    if jail.box is None:
        assert said == "process group + subreaper (no delegated cgroup)"
        assert f"found by {said}" in why
        assert daemon.status("web0").cgroup == ""
    else:
        leaf = f"{jail.box.folder}/opsvisord-web0"
        assert said == f"cgroup {jail.box.folder}"
        assert f"found by cgroup {leaf}" in why
        assert daemon.status("web0").cgroup == leaf
