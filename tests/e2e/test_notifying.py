"""What a service manager hears of a real daemon, and what the daemon makes of passed sockets."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from commands import BIN, environment
from daemon import StartDaemon, eventually, nothing_happens_for
from home import Home, Programs
from http_requests import free_port
from manager import Manager
from procfs import is_alive, status_of

SLEEPER = '[program.web]\ncommand = "$VICTIM"\n'


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """A manager with either kind of name."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@{uuid4().hex}"
    with Manager(name) as one:
        yield one


def told_to(manager: Manager, **more: str) -> list[str]:
    """What goes before the command of a daemon that this manager starts."""
    return ["env", f"NOTIFY_SOCKET={manager.address}", *(f"{n}={v}" for n, v in more.items())]


def test_a_life_as_a_manager_hears_it(start_daemon: StartDaemon, manager: Manager) -> None:
    """Ready, how things are, anew, and the end."""
    daemon = start_daemon(SLEEPER, wrapper=told_to(manager))
    assert manager.next()["READY"] == "1"
    manager.until_told("STATUS", "1 running")

    daemon.signal(signal.SIGHUP)
    assert "MONOTONIC_USEC" in manager.until_told("RELOADING", "1")
    manager.until_told("READY", "1")
    manager.until_told("STATUS", "1 running")

    daemon.terminate()
    manager.until_told("STOPPING", "1")
    manager.until(lambda message: "EXTEND_TIMEOUT_USEC" in message)
    manager.until_told("STATUS", "everything is stopped")


def test_signs_of_life_stop_with_the_loop(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """Once in half the time that is asked for; a daemon that is held shows none."""
    with Manager(str(tmp_path / "notify")) as manager:
        daemon = start_daemon(SLEEPER, wrapper=told_to(manager, WATCHDOG_USEC="400000"))
        for _ in range(3):
            manager.until_told("WATCHDOG", "1")
        daemon.signal(signal.SIGSTOP)
        eventually(lambda: "T (stopped)" in Path(f"/proc/{daemon.pid}/status").read_text())
        while not manager.silent():
            manager.next()
        with pytest.raises(AssertionError, match="nothing comes"):
            manager.next(1)
        daemon.signal(signal.SIGCONT)
        manager.until_told("WATCHDOG", "1")


def test_a_manager_without_a_watchdog_wakes_nobody(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    """Where nothing happens, nothing is told, and no timer runs."""
    with Manager(str(tmp_path / "notify")) as manager:
        daemon = start_daemon(SLEEPER, wrapper=told_to(manager))
        manager.until_told("STATUS", "1 running")
        daemon.client.close()
        nothing_happens_for(1.5)  # what hanging up sets off has passed
        before = status_of(daemon.pid)["voluntary_ctxt_switches"]
        nothing_happens_for(2.0)
        assert status_of(daemon.pid)["voluntary_ctxt_switches"] == before


def test_on_the_way_to_the_background_the_new_pid_is_told(home: Home, tmp_path: Path) -> None:
    """By the process that the manager knows, before the other one is ready."""
    home.write(Programs(SLEEPER), daemon="daemonize = true")
    mark = uuid4().hex
    with Manager(str(tmp_path / "notify")) as manager:
        subprocess.run(
            [*told_to(manager), BIN / "opsvisord", "-c", home.config],
            env=environment(mark),
            check=True,
            timeout=60,
        )
        pid = int(home.pid_file.read_text())
        try:
            assert manager.next() == {"MAINPID": str(pid)}
            manager.until_told("READY", "1")
        finally:
            os.kill(pid, signal.SIGTERM)
        # Whoever is its parent now may leave it a zombie for a while.
        eventually(lambda: not home.pid_file.exists() and not is_alive(pid))


# Listens at a path and on a port, as a manager does, and becomes the daemon.
_ACTIVATE = """\
import os, socket, sys
path, port = sys.argv[1], int(sys.argv[2])
os.closerange(3, 20)
listeners = [socket.socket(socket.AF_UNIX), socket.socket()]
listeners[0].bind(path)
listeners[1].bind(("127.0.0.1", port))
for listener in listeners:
    listener.listen()
    listener.set_inheritable(True)
assert [listener.fileno() for listener in listeners] == [3, 4]
names = {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "api:stray", "LISTEN_PID": str(os.getpid())}
os.execve(sys.argv[3], sys.argv[3:], {**os.environ, **names})
"""


def test_passed_sockets_survive_a_reload(start_daemon: StartDaemon, home: Home) -> None:
    """The one that is configured is served, before and after; the other is told of and closed."""
    port = free_port()
    wrapper = [sys.executable, "-I", "-S", "-c", _ACTIVATE, str(home.socket), str(port)]
    daemon = start_daemon(SLEEPER, wrapper=wrapper)
    file = home.socket.stat().st_ino
    assert f"API at unix://{home.socket}, on a socket that was passed to the daemon" in daemon.log
    assert f"closed the socket 127.0.0.1:{port} that was passed as 'stray'" in daemon.log
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    began = daemon.client.daemon().started_at
    daemon.signal(signal.SIGHUP)
    daemon.until_begun_anew(after=began)
    assert home.socket.stat().st_ino == file
    assert b"LISTEN_" not in Path(f"/proc/{daemon.status('web').pid}/environ").read_bytes()
    daemon.terminate()
    assert home.socket.stat().st_ino == file  # somebody else's, to be removed by them
    home.socket.unlink()
