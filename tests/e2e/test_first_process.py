"""The daemon as the first process of a container: of real namespaces, see tests/contained.py."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from commands import BIN
from daemon import Daemon, StartDaemon, eventually
from home import Home, Programs

_TRIAL = ["unshare", "--mount", "--pid", "--fork", "true"]
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or subprocess.run(_TRIAL, check=False).returncode != 0,
    reason="only root can have such namespaces, where they may be had at all",
)
_CONTAINED = [sys.executable, "-I", "-S", str(Path(__file__).parents[1] / "contained.py")]

TWO = """\
[program.first]
command = "$VICTIM"
group   = "a"

[program.second]
command = "$VICTIM"
group   = "b"

[group.a]
priority = 1

[group.b]
priority = 2
"""


@pytest.fixture
def start_contained(start_daemon: StartDaemon) -> Callable[..., Daemon]:
    """Start a daemon in a container."""
    return partial(start_daemon, wrapper=_CONTAINED)


def first_process(daemon: Daemon) -> int:
    """The daemon itself, as it is called out here."""
    return int(Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text())


def status_of(pid: int, field: str) -> str:
    """A line of /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (found,) = (line.partition(":")[2].strip() for line in lines if line.startswith(f"{field}:"))
    return found


@needs_root
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGQUIT"])
def test_what_ends_a_container_stops_everything_in_order(
    start_contained: Callable[..., Daemon], name: str
) -> None:
    """Docker stop, Ctrl-C, and STOPSIGNAL of images for nginx: nobody but the first gets it."""
    daemon = start_contained(TWO)
    assert status_of(first_process(daemon), "NSpid").split()[-1] == "1"
    daemon.until("b:second", "RUNNING")
    daemon.signal(signal.Signals[name])
    assert daemon.wait() == 0
    stopped = re.findall(r"stopped: (\w+)", daemon.log)
    assert stopped == ["second", "first"]


@needs_root
def test_signals_without_a_meaning_do_no_harm(start_contained: Callable[..., Daemon]) -> None:
    """For the first process there are no default actions; SIGHUP begins anew, as elsewhere."""
    daemon = start_contained(TWO)
    for number in sorted({*range(1, 32), signal.SIGRTMIN + 1, signal.SIGRTMAX}):
        if number not in _MEANT:
            os.kill(first_process(daemon), number)
    daemon.signal(signal.SIGUSR2)
    daemon.until_logged("received SIGUSR2 indicating log reopen request")
    began = daemon.client.daemon().started_at
    daemon.signal(signal.SIGHUP)
    daemon.until_begun_anew(after=began)
    daemon.until("a:first", "RUNNING")


_MEANT = {
    signal.SIGKILL,
    signal.SIGSTOP,
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    # Sent by hand from another namespace these are as good as a fault of its own.
    signal.SIGCHLD,
}


@needs_root
def test_a_signal_before_there_is_a_handler_is_not_lost(home: Home) -> None:
    """It comes while modules are being loaded, and counts as soon as anything runs."""
    home.write(Programs(TWO))
    with home.output.open("wb") as output:
        child = subprocess.Popen(
            [*_CONTAINED, BIN / "opsvisord", "-c", home.config], stdout=output, stderr=output
        )
    try:
        pid = eventually(
            lambda: Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().strip()
        )
        bit = 1 << (signal.SIGTERM - 1)
        eventually(
            lambda: (
                "contained" not in Path(f"/proc/{pid}/cmdline").read_text()
                and int(status_of(int(pid), "SigBlk"), 16) & bit
            )
        )
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 0
    finally:
        child.kill()
        child.wait()


@needs_root
def test_a_second_signal_changes_nothing(start_contained: Callable[..., Daemon]) -> None:
    """Programs keep their kill_delay; what is deaf is killed after it."""
    daemon = start_contained(
        '[program.deaf]\ncommand = "$VICTIM \'ignore TERM\'"\nkill_delay = "2s"\n'
    )
    daemon.until_says("deaf", "ignoring TERM")
    daemon.signal(signal.SIGTERM)
    daemon.until_logged("waiting for deaf to die")
    daemon.signal(signal.SIGTERM)
    daemon.signal(signal.SIGINT)
    assert daemon.wait() == 0
    assert "stopped: deaf (terminated by SIGKILL)" in daemon.log


@needs_root
def test_orphans_of_anybody_are_reaped(start_contained: Callable[..., Daemon]) -> None:
    """Those of programs, and of what others run in the container, as with docker exec."""
    daemon = start_contained('[program.web]\ncommand = "$VICTIM orphan"\n')
    daemon.until_says("web", "orphan")
    command = ["nsenter", "--target", str(first_process(daemon)), "--pid", "--mount", "sh", "-c"]
    subprocess.run([*command, "(exit 5 & exec sleep 0) & exit 0"], check=True, timeout=20)
    eventually(lambda: daemon.metric("opsvisor_orphans_reaped_total") >= 2)
    children = Path(f"/proc/{first_process(daemon)}/task/{first_process(daemon)}/children")
    # One is the program; nothing holds descriptors for a next daemon, as there will be none.
    eventually(lambda: len(children.read_text().split()) == 1)


@needs_root
def test_chosen_signals_reach_the_programs(start_contained: Callable[..., Daemon]) -> None:
    """And mean nothing to the daemon then."""
    daemon = start_contained(
        '[program.web]\ncommand = "$VICTIM \'finish USR2 1\'"\nrestart = "no"\n',
        daemon='forward_signals = ["USR2", "WINCH"]',
    )
    daemon.until_says("web", "will finish on USR2")
    daemon.signal(signal.SIGUSR2)
    daemon.until_says("web", "finished")
    daemon.until("web", "EXITED")
    assert "received SIGUSR2, passed on to 1 processes" in daemon.log
    assert "log reopen request" not in daemon.log


@needs_root
def test_signals_are_forgotten_with_their_option(start_contained: Callable[..., Daemon]) -> None:
    """After a reload they have their own meaning again, or none."""
    daemon = start_contained(TWO, daemon='forward_signals = ["USR2", "PWR"]')
    daemon.home.write(Programs(TWO))
    began = daemon.client.daemon().started_at
    daemon.signal(signal.SIGHUP)
    daemon.until_begun_anew(after=began)
    daemon.signal(signal.SIGPWR)
    daemon.signal(signal.SIGUSR2)
    daemon.until_logged("received SIGUSR2 indicating log reopen request")
    assert "passed on" not in daemon.log


@needs_root
def test_the_background_is_no_place_for_the_first(start_contained: Callable[..., Daemon]) -> None:
    """The container would end with the parent, at once."""
    daemon = start_contained(TWO, daemon="daemonize = true")
    daemon.until("a:first", "RUNNING")
    assert "staying in the foreground" in daemon.log


# -- without a disk ------------------------------------------------------------------------------

_ON_STDOUT = """\
schema = 1

[server]
unix = "run/s"

[program.web]
command = "{victim} 'count 1 500' 'complain oops'"
log.stdout = {{ path = "/dev/stdout", rotate_size = "1K" }}
log.stderr = "/dev/stderr"
"""


@pytest.fixture
def run_read_only(home: Home) -> Iterator[Callable[[Sequence[str]], Daemon]]:
    """Start a daemon that can write to the folder of its socket and nowhere else."""
    ends = ExitStack()
    run = home.directory / "run"
    run.mkdir()

    def start(wrapper: Sequence[str]) -> Daemon:
        home.config.write_text(_ON_STDOUT.format(victim=home.filled_in("$VICTIM")))
        home.socket = run / "s"
        daemon = Daemon(home, wrapper=[*wrapper, "--read-only", "--writable", str(run)])
        ends.callback(daemon.end)
        return daemon

    with ends:
        yield start


@needs_root
def test_everything_goes_to_standard_output_and_nothing_to_a_disk(
    run_read_only: Callable[[Sequence[str]], Daemon],
) -> None:
    """Its own log and those of programs, whole lines, without rotation."""
    daemon = run_read_only(_CONTAINED)
    daemon.until_says("web", "oops", "stderr")
    lines = eventually(lambda: output(daemon) if "oops" in output(daemon) else None)
    assert [line for line in lines if line.isdecimal()] == [f"{n:09d}" for n in range(1, 501)]
    told = [line for line in lines if not line.isdecimal() and line != "oops"]
    assert any("INFO spawned: 'web' with pid" in line for line in told)
    assert not any(" WARN " in line or " CRITICAL " in line for line in told)
    here = {path.name for path in daemon.home.directory.iterdir()}
    assert here == {"conf.d", "daemon.out", "opsvisor.toml", "run"}
    assert [path.name for path in (daemon.home.directory / "run").iterdir()] == ["s"]


def output(daemon: Daemon) -> list[str]:
    """All that came out of the container."""
    return daemon.home.output.read_text().splitlines()


@needs_root
@pytest.mark.parametrize(("end", "status"), [("exit 7", 7), ("die KILL", 128 + signal.SIGKILL)])
def test_the_container_ends_as_the_program_it_is_there_for(
    start_contained: Callable[..., Daemon], end: str, status: int
) -> None:
    """Everything else is stopped in order first; the exit status is that of the program."""
    daemon = start_contained(
        """\
        [program.main]
        command = "$VICTIM"
        stdin   = "pipe"
        on_exit = "shutdown"
        restart = "no"

        [program.helper]
        command = "$VICTIM"
        """
    )
    daemon.expected_status = status
    daemon.until("helper", "RUNNING")
    daemon.client.write_stdin("main", f"{end}\n")
    assert daemon.wait() == status
    assert "stopped: helper" in daemon.log


@needs_root
def test_without_a_place_for_its_state_it_runs_and_says_once_what_that_costs(
    run_read_only: Callable[[Sequence[str]], Daemon],
) -> None:
    """Where it is not the first process, and the usual place can't be made."""
    daemon = run_read_only([*_CONTAINED, "--second"])
    daemon.until("web", "RUNNING")
    (warning,) = (line for line in output(daemon) if " WARN " in line)
    assert "opsvisor-tests-" in warning
    daemon.signal(signal.SIGRTMIN)
    assert daemon.wait() == 0
    assert any("stopping everything instead: " in line for line in output(daemon))
