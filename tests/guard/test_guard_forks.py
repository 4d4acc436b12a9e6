"""What needs a fork is not forked by the daemon, where it is forked often."""

import os
import signal
from pathlib import Path

from daemon import StartDaemon, eventually
from forks import fork_server_of, forked_programs
from procfs import name_of
from straced import traced

COUNT = 12


def test_a_crowd_that_needs_forks_is_made_by_the_fork_server(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    """The daemon, which has the most memory to copy, makes none: it sends as many orders."""
    daemon = start_daemon(forked_programs(COUNT))

    def alive() -> set[int]:
        pids = {one.pid for one in daemon.client.processes().processes if one.pid}
        return pids if len(pids) == COUNT and all(name_of(p) == "sleep" for p in pids) else set()

    before = eventually(alive)
    fork_server_of(daemon.pid)
    with traced(daemon.pid, tmp_path) as calls:
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not before & alive() if alive() else False)
    assert calls.births == []
    assert calls.counts["sendmsg"] >= COUNT
