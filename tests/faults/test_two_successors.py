"""Two daemons begin after a crash: one of them is the next daemon, the other does no harm."""

import signal
from pathlib import Path

from bystanders import Bystanders
from commands import run_program
from daemon import StartDaemon, eventually
from keepers import signal_keepers
from steps import Steps


def test_the_second_does_not_take_the_address(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """The first has the lock, but does not listen yet: the socket looks stale to both."""
    steps = Steps(tmp_path)
    bystanders = Bystanders(folder=tmp_path, count=2)
    daemon = start_daemon(bystanders.toml, wrapper=steps.wrapper)
    pids = bystanders.up(daemon)
    daemon.crash()
    signal_keepers(daemon, signal.SIGKILL)
    steps.arm(1, "_fork_exec", signal.SIGSTOP)  # of a keeper, the first thing after the lock
    with daemon.beginning_again():
        eventually(lambda: steps.was_reached)
        second = run_program("opsvisord", "-c", str(daemon.home.config), directory=tmp_path)
        assert second.status == 2
        assert f"is in use by pid {daemon.pid}" in second.err
        assert "stale socket" not in second.out
        steps.disarm()
        daemon.signal(signal.SIGCONT)
    bystanders.tick_on()
    bystanders.check(daemon, pids)
