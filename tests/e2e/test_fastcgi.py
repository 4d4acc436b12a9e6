"""Programs that share a listening socket, under the real daemon; and beside Supervisor's own."""

import json
import os
import pwd
import signal
import socket
import stat
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from daemon import Daemon, StartDaemon, eventually
from home import Dialect, Home, Programs, in_both_languages
from http_requests import free_port
from real_supervisord import supervisord

ACCEPTOR = f"{sys.executable} -I -S {Path(__file__).parent.with_name('acceptor.py')}"


def programs_at(url: str, *, name: str = "web", more: str = "") -> Programs:
    """Two FastCGI processes that share this socket, in Supervisor's words."""
    text = f"""\
        [fcgi-program:{name}]
        command = {ACCEPTOR}
        socket = {url}
        process_name = %(program_name)s_%(process_num)d
        numprocs = 2
        startsecs = 0
        """
    return Programs(dedent(text) + more, Dialect.INI)


def ask(address: str | tuple[str, int], farewell: bytes = b"") -> dict[str, Any]:
    """What the process that answers there says of its socket. OSError if nobody listens."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(20)
        client.connect(address)
        with client.makefile("rb") as answers:
            answer: dict[str, Any] = json.loads(answers.readline())
            client.sendall(farewell or b"bye")
            answers.read()  # until it has hung up
    return answer


def until_running(daemon: Daemon, *names: str) -> dict[str, int]:
    """The pid of each, as soon as all of them accept."""
    pids = {}
    for name in names:
        pid = daemon.until(name, "RUNNING").pid
        assert pid is not None
        pids[name] = pid
    return pids


def lines_about_sockets(daemon: Daemon) -> list[str]:
    """What the daemon's log says of them, without their time."""
    lines = (line[24:] for line in daemon.log.splitlines())
    return [line for line in lines if "socket" in line]


@in_both_languages(
    ini=f"""
        [fcgi-program:web]
        command = {ACCEPTOR}
        socket = unix://$HERE/web.sock
        socket_mode = 0640
        process_name = %(program_name)s_%(process_num)d
        numprocs = 2
        startsecs = 0
        """,
    toml=f"""
        [program.web]
        command = "{ACCEPTOR}"
        replicas = 2
        min_uptime = "0s"
        socket = {{ listen = "unix://$HERE/web.sock", mode = "0640" }}
        """,
)
def test_the_life_of_a_shared_socket(
    start_daemon: StartDaemon, home: Home, programs: Programs
) -> None:
    """Made with the first process, kept through a restart, gone with the last."""
    daemon = start_daemon(programs)
    path = home.directory / "web.sock"
    names = ("web:web_0", "web:web_1")
    pids = until_running(daemon, *names)
    made = path.stat()
    assert stat.S_IMODE(made.st_mode) == 0o640
    first = ask(str(path), b"die")["pid"]
    assert first in pids.values()
    (victim,) = [name for name, pid in pids.items() if pid == first]
    eventually(lambda: daemon.status(victim).pid not in (None, first))
    assert ask(str(path))["pid"] in until_running(daemon, *names).values()
    assert os.path.samestat(path.stat(), made)
    assert daemon.ctl("stop", *names).status == 0
    eventually(lambda: not path.exists())
    url = f"unix://{path}"
    told = [f"INFO Creating socket {url}", f"INFO Closing socket {url}"]
    assert lines_about_sockets(daemon) == told
    assert daemon.ctl("start", *names).status == 0
    assert ask(str(path))["pid"] in until_running(daemon, *names).values()
    daemon.terminate()
    assert not path.exists()


@in_both_languages(
    ini=f"""
        [program:worker]
        command = $VICTIM
        startsecs = 0
        [fcgi-program:web]
        command = {ACCEPTOR}
        socket = unix://$HERE/web.sock
        startsecs = 0
        [fcgi-program:api]
        command = {ACCEPTOR}
        socket = unix://$HERE/api.sock
        startsecs = 0
        [group:shop]
        programs = worker,web,api
        """,
    toml=f"""
        [program.worker]
        command = "$VICTIM"
        group = "shop"
        min_uptime = "0s"
        [program.web]
        command = "{ACCEPTOR}"
        group = "shop"
        min_uptime = "0s"
        socket = "unix://$HERE/web.sock"
        [program.api]
        command = "{ACCEPTOR}"
        group = "shop"
        min_uptime = "0s"
        socket = "unix://$HERE/api.sock"
        """,
)
def test_a_group_of_mixed_programs(
    start_daemon: StartDaemon, home: Home, programs: Programs
) -> None:
    """Each has its own socket, or none; Supervisor gives none to any of them."""
    daemon = start_daemon(programs)
    pids = until_running(daemon, "shop:web", "shop:api", "shop:worker")
    for name in ("web", "api"):
        assert ask(str(home.directory / f"{name}.sock"))["pid"] == pids[f"shop:{name}"]
    assert daemon.ctl("stop", "shop:*").status == 0
    eventually(lambda: not list(home.directory.glob("*.sock")))


def test_a_second_daemon_steals_nothing(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """With Supervisor it unlinks the socket of the first, and only then finds that it is one."""
    url = f"unix://{tmp_path}/web.sock"
    first = start_daemon(programs_at(url))
    pids = until_running(first, "web:web_0", "web:web_1")
    other = Home(_made(tmp_path / "other"))
    other.write(programs_at(url))
    second = Daemon(other)
    try:
        second.until("web:web_0", "BACKOFF")
        reason = f"could not create socket {url}: another program is listening there"
        assert reason in second.log
    finally:
        second.end()
    assert ask(f"{tmp_path}/web.sock")["pid"] in pids.values()


def test_what_a_killed_daemon_left_behind_is_used_again(
    start_daemon: StartDaemon, home: Home, tmp_path: Path
) -> None:
    """Its processes are gone, its file is not."""
    programs = programs_at(f"unix://{tmp_path}/web.sock")
    first = start_daemon(programs)
    until_running(first, "web:web_0", "web:web_1")
    first.kill()
    assert (tmp_path / "web.sock").exists()
    home.socket.unlink()
    second = start_daemon(programs)
    pids = until_running(second, "web:web_0", "web:web_1")
    assert ask(f"{tmp_path}/web.sock")["pid"] in pids.values()


def test_trouble_is_told_at_start_and_hurts_nobody_else(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    """Supervisor ends with a traceback, whichever of its programs it is."""
    more = f"""
[fcgi-program:later]
command = x
socket = unix://{tmp_path}/none/later.sock
autostart = false
[program:fine]
command = $VICTIM
startsecs = 0
"""
    daemon = start_daemon(programs_at(f"unix://{tmp_path}/none/web.sock", more=more))
    daemon.until("fine", "RUNNING")
    missing = f"No such file or directory (create {tmp_path}/none: directories are not made)"
    daemon.until_logged(
        f"ERRO could not create socket unix://{tmp_path}/none/later.sock: {missing}"
    )
    daemon.until_logged(
        f"INFO spawnerr: could not create socket unix://{tmp_path}/none/web.sock: {missing}"
    )
    assert daemon.until("web:web_0", "BACKOFF").reason
    assert daemon.status("later").state == "STOPPED"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away and becomes others")
def test_a_socket_belongs_to_the_user_of_its_program(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    """By name and group; it need not be told who may connect."""
    somebody = pwd.getpwnam("nobody")
    text = f"""
[fcgi-program:web]
command = sleep 1000
socket = unix://{tmp_path}/web.sock
user = nobody
startsecs = 0
"""
    daemon = start_daemon(Programs(text, Dialect.INI))
    until_running(daemon, "web")
    found = (tmp_path / "web.sock").stat()
    assert (found.st_uid, found.st_gid) == (somebody.pw_uid, somebody.pw_gid)
    assert stat.S_IMODE(found.st_mode) == 0o700


# -- beside Supervisor ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_a_client_sees_what_it_sees_with_supervisor(
    kind: str, start_daemon: StartDaemon, home: Home, tmp_path: Path
) -> None:
    """The socket that a program is given is the same in every respect it can ask for."""
    address: str | tuple[str, int] = f"{tmp_path}/web.sock"
    url = f"unix://{address}"
    if kind == "tcp":
        address = ("127.0.0.1", free_port())
        url = f"tcp://127.0.0.1:{address[1]}"
    programs = programs_at(url)
    home.write(programs)
    with supervisord(home):
        theirs = eventually(lambda: _answer(address))
        their_file = _facts_of_file(address)
    if isinstance(address, str):
        Path(address).unlink()  # which Supervisor leaves behind
    home.log_file.unlink()
    daemon = start_daemon(programs)
    until_running(daemon, "web:web_0", "web:web_1")
    ours = ask(address)
    assert {**ours, "pid": 0} == {**theirs, "pid": 0}
    assert _facts_of_file(address) == their_file
    assert ours["listens"] == 1


def _answer(address: str | tuple[str, int]) -> dict[str, Any] | None:
    try:
        return ask(address)
    except OSError:  # nobody yet
        return None


def _facts_of_file(address: str | tuple[str, int]) -> tuple[int, int, int] | None:
    if not isinstance(address, str):
        return None
    found = Path(address).stat()
    return found.st_mode, found.st_uid, found.st_gid


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


@pytest.mark.parametrize("with_keeper", [True, False])
def test_the_socket_outlives_the_daemon(
    start_daemon: StartDaemon, home: Home, *, with_keeper: bool
) -> None:
    """It is answered while there is no daemon, and the next one goes on with the very same."""
    path = f"{home.directory}/web.sock"
    daemon = start_daemon(programs_at(f"unix://{path}"))
    before = until_running(daemon, "web:web_0", "web:web_1")
    inode = Path(path).stat().st_ino
    if not with_keeper:
        (keeper,) = eventually(
            lambda: [pid for pid, words in daemon.offspring().items() if "keeper for" in words]
        )
        os.kill(keeper, signal.SIGSTOP)  # or the daemon would have another one in time
        daemon.crash()
        os.kill(keeper, signal.SIGKILL)
    else:
        daemon.crash()
    assert ask(path)["pid"] in before.values()
    daemon.begin_again()
    assert until_running(daemon, "web:web_0", "web:web_1") == before
    assert Path(path).stat().st_ino == inode
    daemon.client.act("restart", ["web:web_0"])  # which is given the one that the other still has
    after = until_running(daemon, "web:web_0", "web:web_1")
    assert after["web:web_0"] != before["web:web_0"]
    assert Path(path).stat().st_ino == inode
    assert ask(path)["pid"] in after.values()
    daemon.client.act("stop", ["web:*"])
    assert not Path(path).exists()
