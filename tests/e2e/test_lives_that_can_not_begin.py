"""A reload or an upgrade to settings that the machine does not grant: no program stays down."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import BIN, run_program
from daemon import PATIENCE, Daemon, StartDaemon
from home import Dialect, Home, Programs
from http_requests import free_port

from opsvisor.client import ApiError

PROGRAM = Programs('[program.web]\ncommand = "$VICTIM"\nmin_uptime = "0s"\n')
FAILS = "going on with the configuration from before, as this failed: "


@pytest.fixture
def port() -> int:
    """One that the daemon has on 127.0.0.1."""
    return free_port()


@pytest.fixture
def daemon(start_daemon: StartDaemon, port: int) -> Daemon:
    """With the port in its configuration."""
    return start_daemon(PROGRAM, main=f'http = {{ listen = "127.0.0.1:{port}" }}')


@pytest.fixture
def other(port: int) -> Iterator[None]:
    """Another program that has the port on 127.0.0.2."""
    with socket.create_server(("127.0.0.2", port)):
        yield


def change(home: Home, old: str, new: str) -> None:
    """The daemon's own file, with something else in it."""
    text = home.config.read_text()
    assert old in text
    home.config.write_text(text.replace(old, new))


def refused(daemon: Daemon, command: str) -> str:
    """What is said against it. Nothing happens."""
    pid = daemon.until("web", "RUNNING").pid
    with pytest.raises(ApiError) as error:
        getattr(daemon.client, command)()
    assert daemon.until("web", "RUNNING").pid == pid
    problem = error.value.problem
    return problem.problems[0].what if problem.problems else problem.detail


@pytest.mark.parametrize("host", ["192.0.2.1", "nobody.invalid"])
def test_a_host_that_is_not_ours(daemon: Daemon, home: Home, port: int, host: str) -> None:
    """Though we have its port on another one."""
    new = f'{host}:{port}", username = "a", password = "b'
    change(home, f"127.0.0.1:{port}", new)
    for command in ("reload", "upgrade"):
        assert f"cannot listen on http://{host}:{port}: " in refused(daemon, command)


def test_one_address_for_two_servers(daemon: Daemon, home: Home, port: int) -> None:
    """Each could be had alone."""
    change(home, "[server]", f'[metrics]\nlisten = "localhost:{port}"\n[server]')
    says = f"metrics: listen = 'localhost:{port}' is where [server.http] listens already"
    assert says in refused(daemon, "reload")
    assert says in refused(daemon, "upgrade")


def test_one_address_for_two_servers_of_supervisor(home: Home, port: int) -> None:
    """The same in its language."""
    text = f"[inet_http_server]\nport = 127.0.0.1:{port}\n[opsvisor:metrics]\nlisten = :{port}\n"
    programs = Programs("", Dialect.INI)
    home.write(programs, main=f"{text}allow_anonymous = true\n")
    words = ("--check", "-c", str(home.config))
    checked = run_program("opsvisord", *words, directory=home.directory)
    assert "[opsvisor:metrics] is to listen where [inet_http_server] does" in checked.err
    assert checked.status == 2


def test_a_state_directory_that_can_not_be(daemon: Daemon, home: Home, tmp_path: Path) -> None:
    """Asked for by name, it is needed."""
    (tmp_path / "file").touch()
    change(home, "[daemon]", f'[daemon]\nstate_dir = "{tmp_path}/file"')
    assert f"the state directory {tmp_path}/file cannot be trusted" in refused(daemon, "reload")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user(daemon: Daemon, home: Home) -> None:
    """Once we are that user there is no way back."""
    change(home, "[daemon]", '[daemon]\nuser = "nobody"')
    says = "a reload does not change the user of opsvisord, to nobody\n"
    assert refused(daemon, "reload").startswith(says)
    assert daemon.client.config_diff().daemon_changed == []  # nothing of it was kept


def test_another_name_for_the_same_host(daemon: Daemon, home: Home, port: int) -> None:
    """We listen there ourselves, whatever it is called."""
    for old, new in (("127.0.0.1", "localhost"), ("localhost", "127.0.0.1")):
        change(home, f"{old}:{port}", f"{new}:{port}")
        assert daemon.ctl("upgrade").status == 0
        began = daemon.client.daemon().started_at
        daemon.client.reload()
        daemon.until_begun_anew(after=began)
    assert FAILS not in daemon.log


def test_what_nothing_shows_beforehand(daemon: Daemon, home: Home, port: int, other: None) -> None:
    """All interfaces can't be tried as long as we have one. The last configuration is good."""
    del other
    pid = daemon.until("web", "RUNNING").pid
    daemon.home.rewrite(f"{PROGRAM.text}{PROGRAM.text.replace('web', 'new')}")
    assert daemon.ctl("update").status == 0
    daemon.home.rewrite(PROGRAM.text.replace("web", "never"))
    change(home, "127.0.0.1", "0.0.0.0")
    change(home, f'{port}"', f'{port}", username = "a", password = "b"')
    began = daemon.client.daemon().started_at
    daemon.client.reload()
    daemon.until_begun_anew(after=began)
    assert daemon.until("web", "RUNNING").pid != pid
    assert sorted(daemon.statuses()) == ["new", "web"]  # as it was updated since
    why = f"cannot listen on http://0.0.0.0:{port}: Address already in use"
    assert f"CRIT {FAILS}{why}" in daemon.log
    assert daemon.metric("opsvisor_config_last_reload_successful") == 0
    assert daemon.http("/healthz").status == 200
    pid = daemon.status("web").pid
    daemon.crash()  # what it stands on is as good as before
    change(home, "0.0.0.0", "127.0.0.1")
    daemon.home.rewrite(PROGRAM.text)
    daemon.begin_again()
    assert daemon.status("web").pid == pid


_TRIAL = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]


@pytest.mark.skipif(
    subprocess.run(_TRIAL, check=False, capture_output=True).returncode != 0,
    reason="only root can have a /proc and a /dev of its own",
)
@pytest.mark.parametrize(
    ("folder", "told", "hint"),
    [
        ("/proc", "cannot read /proc/self/fd: No such file or directory", "mount -t proc proc"),
        ("/dev", "cannot open /dev/null: No such file or directory", "mknod -m 666 /dev/null"),
    ],
)
def test_a_machine_that_lacks_something(home: Home, folder: str, told: str, hint: str) -> None:
    """A container that was put together by hand, say: one line says what is missing."""
    home.write(Programs('[program.web]\ncommand = "sleep 1000"\n'))
    empty = f'mount -t tmpfs none {folder} && exec "$@"'
    ran = subprocess.run(
        ["unshare", "--mount", "sh", "-c", empty, "sh", BIN / "opsvisord", "-c", home.config],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert ran.returncode == 2
    assert f"Error: {told}\n    hint: " in ran.stderr
    assert hint in ran.stderr
    assert "Traceback" not in ran.stderr
