"""A daemon is killed between noting that it makes a process and which: the next one finds it.

If it was made. If not, the next one makes it, whatever else bears its mark or was kept for it.
"""

import os
import signal
import socket
from contextlib import suppress
from pathlib import Path

import pytest
from bystanders import check_ticks, whole_lines
from daemon import StartDaemon, eventually
from keepers import signal_keepers
from procfs import is_alive
from steps import Steps

from opsvisor.client import NoDaemon
from opsvisor.core.spec import Pid
from opsvisor.runtime.pidfd import birth_of, this_tick

A_MOMENT = 0.3  # seconds after which a process is made before the end of the last one is told

# Leaves its process group for that of a child, and has none of its three streams any more.
SHY = """
import os, select, sys
parent = os.getpid()
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    while os.getppid() == parent:
        select.select([], [], [], 0.05)
    os._exit(0)
os.setpgid(child, child)
os.setpgid(0, child)
log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
for stream in (0, 1, 2):
    os.dup2(log, stream)
number = 0
while True:
    number += 1
    os.write(1, b"%d %d\\n" % (os.getpid(), number))
    select.select([], [], [], 0.02)
"""


@pytest.mark.parametrize("kill_mode", ["cgroup", "process"])
def test_a_shy_program_is_found(start_daemon: StartDaemon, tmp_path: Path, kill_mode: str) -> None:
    """By its mark, since it has shed all else by which it was to be found."""
    steps = Steps(tmp_path)
    (tmp_path / "shy.py").write_text(SHY)
    daemon = start_daemon(
        f"""
        [program.shy]
        command = "$PYTHON $HERE/shy.py $HERE/said"
        startup = "manual"
        min_uptime = "0s"
        kill_mode = "{kill_mode}"
        """,
        wrapper=steps.wrapper,
    )
    steps.arm(1, "pidfd_open")  # which follows the fork
    with suppress(NoDaemon):
        daemon.client.act("start", ["shy"])
    daemon.wait()
    assert steps.disarm() == "before pidfd_open"
    said = tmp_path / "said"
    eventually(lambda: said.exists() and said.read_bytes().count(b"\n") > 2)
    signal_keepers(daemon, signal.SIGKILL)
    daemon.begin_again()
    pid = daemon.until("shy", "RUNNING").pid
    before = len(whole_lines(said))
    eventually(lambda: len(whole_lines(said)) > before + 5)
    assert pids_in(said) == {pid}
    check_ticks(whole_lines(said))
    daemon.client.act("stop", ["shy"])
    eventually(lambda: not any("shy.py" in command for command in daemon.offspring().values()))


@pytest.mark.parametrize(
    ("step", "number"),
    [("pidfd_open", 1), ("pwrite", 2), ("pwrite", 3)],
    ids=["before it is watched", "before the commit", "before it is crossed out"],
)
@pytest.mark.parametrize(
    ("kill_mode", "keeps"),
    [("cgroup", True), ("cgroup", False), ("process", False)],
    ids=["kept", "without a keeper", "of which a part may outlive a stop"],
)
def test_a_shy_program_that_was_made_early_is_found(
    start_daemon: StartDaemon,
    tmp_path: Path,
    step: str,
    number: int,
    kill_mode: str,
    *,
    keeps: bool,
) -> None:
    """It was foretold; and is not taken for its own successor if it is remembered by then."""
    steps = Steps(tmp_path)
    (tmp_path / "shy.py").write_text(SHY)
    daemon = start_daemon(
        f"""
        [program.shy]
        command = "$PYTHON $HERE/shy.py $HERE/said"
        min_uptime = "0s"
        restart = "always"
        kill_mode = "{kill_mode}"
        """,
        wrapper=steps.wrapper,
    )
    eventually(lambda: (daemon.status("shy").uptime or 0.0) > A_MOMENT)
    first = daemon.status("shy").pid
    assert first is not None
    said = tmp_path / "said"
    steps.arm(number, step)
    os.kill(first, signal.SIGKILL)
    daemon.wait()
    assert steps.disarm() == f"before {step}"
    eventually(lambda: pids_in(said) > {first})
    if not keeps:
        signal_keepers(daemon, signal.SIGKILL)
    daemon.begin_again()
    status = daemon.status("shy")
    assert ({first, status.pid}, status.restarts) == (pids_in(said), 1)
    before = len(whole_lines(said))
    eventually(lambda: len(whole_lines(said)) > before + 5)
    assert pids_in(said) == {first, status.pid}
    daemon.client.act("stop", ["shy"])
    eventually(lambda: not any("shy.py" in command for command in daemon.offspring().values()))


def pids_in(said: Path) -> set[int]:
    """Who has written lines to it."""
    return {int(line.split()[0]) for line in whole_lines(said)}


# Its first run leaves a process behind that has nothing of it any more, and forks when told to.
LEAVER = """
import os, select, sys
os.chdir(sys.argv[1])
def say(what):
    with open(what + ".new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(what + ".new", what)
if not os.path.exists("left") and os.fork() == 0:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    say("left")
    while not os.path.exists("fork"):
        select.select([], [], [], 0.02)
    if os.fork() == 0:
        os.setsid()
        say("forked")
else:
    say("ran")
while True:
    select.select([], [], [], 600)
"""


def test_what_an_earlier_run_left_is_not_the_next(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    """What it has forked since the next run was intended bears the mark, but is no such run."""
    steps = Steps(tmp_path)
    (tmp_path / "leaver.py").write_text(LEAVER)
    daemon = start_daemon(
        """
        [program.leaver]
        command = "$PYTHON -I -S $HERE/leaver.py $HERE"
        min_uptime = "0s"
        """,
        wrapper=steps.wrapper,
    )
    said = {what: tmp_path / what for what in ("ran", "left", "forked")}
    eventually(lambda: said["ran"].exists() and said["left"].exists())
    eventually(lambda: (daemon.status("leaver").uptime or 0.0) > A_MOMENT)
    first = daemon.status("leaver").pid
    assert first is not None
    left = Pid(int(said["left"].read_text()))
    born = birth_of(left)
    assert born is not None
    eventually(lambda: this_tick() > born)  # what is born in the tick of the intention may be it
    steps.arm(1, "posix_spawn")
    os.kill(first, signal.SIGKILL)
    daemon.wait()
    assert steps.disarm() == "before posix_spawn"
    (tmp_path / "fork").touch()
    eventually(said["forked"].exists)
    daemon.begin_again()
    pid = daemon.until("leaver", "RUNNING").pid
    eventually(lambda: said["ran"].read_text() == str(pid))
    assert pid != first
    assert is_alive(left)
    daemon.client.act("stop", ["leaver"])
    eventually(lambda: not any("leaver.py" in command for command in daemon.offspring().values()))


def test_what_was_foretold_is_an_old_story(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """Of a process that lives no next one is looked for, whatever else bears its mark.

    It may be that of another daemon, or could not be crossed out.
    """
    (tmp_path / "leaver.py").write_text(LEAVER)
    daemon = start_daemon(
        """
        [program.leaver]
        command = "$PYTHON -I -S $HERE/leaver.py $HERE"
        min_uptime = "0s"
        """
    )
    eventually(lambda: (tmp_path / "ran").exists() and (tmp_path / "left").exists())
    before = daemon.until("leaver", "RUNNING")
    state = daemon.state_directory
    daemon.crash()
    (state / "foretold").write_text(f'{before.pid} 1 4711 ["leaver","leaver"]\n')
    daemon.begin_again()
    after = daemon.until("leaver", "RUNNING")
    assert (after.pid, after.restarts) == (before.pid, before.restarts)
    assert (state / "foretold").read_bytes() == b""


def test_what_was_foretold_of_another_run(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """It was never crossed out. What that one left behind is not the next of this one."""
    (tmp_path / "leaver.py").write_text(LEAVER)
    daemon = start_daemon(
        """
        [program.leaver]
        command = "$PYTHON -I -S $HERE/leaver.py $HERE"
        min_uptime = "0s"
        """
    )
    ran, left = tmp_path / "ran", tmp_path / "left"
    eventually(lambda: ran.exists() and left.exists())
    before = daemon.until("leaver", "RUNNING")
    assert before.pid is not None
    state = daemon.state_directory
    daemon.crash()
    os.kill(before.pid, signal.SIGKILL)
    (state / "foretold").write_text('4194303 1 4711 ["leaver","leaver"]\n')
    daemon.begin_again()
    eventually(lambda: ran.read_text() == str(daemon.status("leaver").pid))
    assert daemon.status("leaver").pid not in {before.pid, int(left.read_text())}
    assert is_alive(Pid(int(left.read_text())))


def test_the_socket_of_a_run_that_was_not_made(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """It was kept, and the next run goes on with it: who has connected meanwhile is answered."""
    steps = Steps(tmp_path)
    path = tmp_path / "web.sock"
    acceptor = Path(__file__).parent.with_name("acceptor.py")
    daemon = start_daemon(
        f"""
        [program.web]
        command = "$PYTHON -I -S {acceptor}"
        startup = "manual"
        min_uptime = "0s"
        socket = "unix://{path}"
        """,
        wrapper=steps.wrapper,
    )
    steps.arm(1, "posix_spawn")
    with suppress(NoDaemon):
        daemon.client.act("start", ["web"])
    daemon.wait()
    assert steps.disarm() == "before posix_spawn"
    inode = path.stat().st_ino
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        daemon.begin_again()
        daemon.until("web", "RUNNING")
        client.settimeout(20)
        assert client.recv(1)
    assert path.stat().st_ino == inode
