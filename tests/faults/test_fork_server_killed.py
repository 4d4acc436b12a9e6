"""The fork server comes and goes, and no program is the worse for it."""

import os
import signal

from daemon import Daemon, StartDaemon, eventually
from forks import fork_server_of, forked_programs
from procfs import children_of, is_alive, is_gone

COUNT = 30
FORKED = forked_programs(COUNT)


def running(daemon: Daemon) -> dict[str, int]:
    """The pids of all programs, as soon as all of them run."""

    def look() -> dict[str, int]:
        found = {one.name: one.pid for one in daemon.client.processes().processes if one.pid}
        return found if len(found) == COUNT and all(map(is_alive, found.values())) else {}

    return eventually(look)


def test_it_is_killed_in_a_storm(start_daemon: StartDaemon) -> None:
    """Each program is there once, whoever has forked it, and another server comes."""
    daemon = start_daemon(FORKED)
    servers = set()
    for _ in range(5):
        pids = running(daemon)
        for pid in pids.values():
            os.kill(pid, signal.SIGKILL)
        server = fork_server_of(daemon.pid)
        os.kill(server, signal.SIGKILL)
        servers.add(server)
        eventually(lambda: not set(pids.values()) & set(running(daemon).values()))  # noqa: B023
    assert len(servers) == 5
    assert eventually(lambda: set(children_of(daemon.pid)) == set(running(daemon).values()))
    assert "spawnerr" not in daemon.log
    assert "reaped" not in daemon.log


def test_it_ends_with_a_daemon_that_was_killed(start_daemon: StartDaemon) -> None:
    """And the next daemon, which takes back all that runs, starts its own when it needs one."""
    daemon = start_daemon(FORKED)
    pids = running(daemon)
    server = fork_server_of(daemon.pid)
    daemon.crash()
    eventually(lambda: not is_alive(server))
    daemon.begin_again()
    assert running(daemon) == pids
    daemon.client.act("restart", ["web:*"])
    assert fork_server_of(daemon.pid) != server


def test_it_ends_with_an_upgrade(start_daemon: StartDaemon) -> None:
    """What takes the daemon's place has no child that it does not know."""
    daemon = start_daemon(FORKED)
    pids = running(daemon)
    server = fork_server_of(daemon.pid)
    assert daemon.ctl("upgrade").status == 0
    assert is_gone(server)
    assert running(daemon) == pids
    assert "reaped" not in daemon.log


def test_upgrades_in_a_crash_loop(start_daemon: StartDaemon) -> None:
    """Something is to be made all the time, and has just ended: nobody waits for that to be over.

    The last fork server is ended in the last moment, and no end is lost.
    """
    daemon = start_daemon(forked_programs(COUNT, "true"))
    fork_server_of(daemon.pid)
    for _ in range(4):
        assert daemon.ctl("upgrade").status == 0
    assert "reaped" not in daemon.log
    assert "exit status unknown" not in daemon.log


def test_it_ends_with_the_daemon(start_daemon: StartDaemon) -> None:
    """As everything else."""
    daemon = start_daemon(FORKED)
    running(daemon)
    server = fork_server_of(daemon.pid)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert is_gone(server)
