"""The daemon is suspended and goes on: SIGSTOP, a debugger, a laptop's lid, a host that swaps."""

import os
import signal
from pathlib import Path

from bystanders import Bystanders
from daemon import StartDaemon, eventually, nothing_happens_for
from procfs import status_of


def test_suspended_daemon_goes_on_where_it_was(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """Programs run on while it is suspended; what they wrote and who died is found afterwards."""
    bystanders = Bystanders(folder=tmp_path)
    daemon = start_daemon(bystanders.toml + '[program.mortal]\ncommand = "$VICTIM"\n')
    pids = bystanders.up(daemon)
    mortal = daemon.until("mortal", "RUNNING").pid
    assert mortal is not None
    daemon.signal(signal.SIGSTOP)
    os.kill(mortal, signal.SIGKILL)
    nothing_happens_for(1.0)
    assert status_of(daemon.pid)["State"].startswith("T")
    daemon.signal(signal.SIGCONT)
    eventually(lambda: daemon.status("mortal").pid not in (None, mortal))
    bystanders.tick_on()
    bystanders.check(daemon, pids)
