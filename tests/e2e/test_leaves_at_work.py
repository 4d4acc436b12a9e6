"""Cgroups of their own for the programs of a real daemon: where it may, and nowhere else."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cells import Cell, can_have, cell
from daemon import Daemon, StartDaemon, eventually
from home import Home

BURNER = """\
import os, signal, sys, time

def burn(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if os.fork() == 0:
    burn(0.3)
    os._exit(0)
try:
    os.wait()
except ChildProcessError:  # nobody is told; but now it has ended
    print("burned by", os.getpid(), flush=True)
signal.pause()
"""

PROGRAMS = """
    [program.web]
    command = "$PYTHON $HERE/burner.py"
    min_uptime = "10ms"
    log = { stdout = "$HERE/web.log" }
    """

pytestmark = pytest.mark.skipif(
    not can_have(""), reason="only root can make cgroups of version 2, where they can be had"
)


@pytest.fixture
def box() -> Iterator[Cell]:
    """A cgroup for the daemon or its programs."""
    with cell("") as one:
        yield one


@pytest.fixture
def start(box: Cell, start_daemon: StartDaemon, home: Home) -> StartDaemon:
    """Starts daemons, which have ended before the cgroup must be empty."""
    del box
    (home.directory / "burner.py").write_text(BURNER)
    return start_daemon


def burned(daemon: Daemon) -> int:
    """The pid of the program, as soon as it has burned.

    Its log is read for that, since the API would sweep, and that sweep go for seconds.
    """
    log = daemon.home.directory / "web.log"
    said = eventually(lambda: log.read_text() if log.exists() else "")
    return int(said.rpartition(" ")[2])


def leaves_of(box: Cell) -> set[str]:
    """The cgroups below it."""
    return {path.name for path in box.folder.iterdir() if path.is_dir()}


def cgroup_of(pid: int) -> str:
    """The cgroup of version 2 that a process is in."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return next(line.removeprefix("0::") for line in lines if line.startswith("0::"))


def cpu_seconds(daemon: Daemon) -> float:
    """What the daemon says of its program."""
    return sum(
        daemon.metric("opsvisor_process_cpu_seconds_total", process="web", mode=mode)
        for mode in ("user", "system")
    )


def test_a_program_is_accounted_for_in_the_place_that_was_configured(
    start: StartDaemon, box: Cell
) -> None:
    """All that it came to, also what nobody waited for; and nothing is left in the place."""
    daemon = start(PROGRAMS, daemon=f'cgroup = "{box.folder}"')
    pid = burned(daemon)
    eventually(lambda: cgroup_of(pid).endswith(f"/{box.folder.name}/opsvisord-web"))
    assert cpu_seconds(daemon) >= 0.3
    daemon.home.rewrite("")
    assert daemon.ctl("update").status == 0
    eventually(lambda: leaves_of(box) == set())
    daemon.home.rewrite(PROGRAMS)
    assert daemon.ctl("update").status == 0
    eventually(lambda: leaves_of(box) == {"opsvisord-web"})
    daemon.terminate()
    assert leaves_of(box) == set()


def test_a_delegated_cgroup_is_used_unasked(start: StartDaemon, box: Cell) -> None:
    """As systemd marks it for Delegate=yes. The daemon itself stays where it was started."""
    os.setxattr(box.folder, "trusted.delegate", b"1")
    daemon = start(PROGRAMS, wrapper=box.entry)
    pid = daemon.until("web", "RUNNING").pid
    eventually(lambda: cgroup_of(pid).endswith(f"/{box.folder.name}/opsvisord-web"))
    assert cgroup_of(daemon.pid).endswith(f"/{box.folder.name}")
    assert f"each process gets a cgroup of its own in {box.folder}" in daemon.log
    daemon.terminate()
    assert leaves_of(box) == set()


@pytest.mark.parametrize(("mark", "daemon"), [(b"", ""), (b"1", 'cgroup = "off"')])
def test_nothing_is_made_in_a_cgroup_that_nobody_gave_us(
    start: StartDaemon, box: Cell, mark: bytes, daemon: str
) -> None:
    """Root could write there, and leaves it alone; the numbers are those of rusage and /proc."""
    if mark:
        os.setxattr(box.folder, "trusted.delegate", mark)
    running = start(PROGRAMS, daemon=daemon, wrapper=box.entry)
    pid = burned(running)
    assert cpu_seconds(running) < 0.3
    assert cgroup_of(pid).endswith(f"/{box.folder.name}")
    assert leaves_of(box) == set()
    running.terminate()


def test_a_place_that_is_none_is_told_and_costs_nothing_else(
    start: StartDaemon, box: Cell, tmp_path: Path
) -> None:
    """The programs run all the same."""
    del box
    daemon = start(PROGRAMS, daemon=f'cgroup = "{tmp_path}"')
    daemon.until("web", "RUNNING")
    assert f"no cgroups for processes: {tmp_path} is no cgroup of version 2" in daemon.log
