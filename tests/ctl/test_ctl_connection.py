"""Which daemon is asked, and what is said when nobody answers."""

import json
import os
import socket
from pathlib import Path

import pytest
from ctl_runs import Ctl, as_somebody_else
from recorded_daemon import DAEMON, RecordedDaemon, problem

from opsvisor.config.problems import ConfigError
from opsvisor.config.search import default_socket
from opsvisor.ctl.connection import Wishes, discover

_NOWHERE = "/nowhere/bin/opsvisorctl"
_HINT = (
    "hint: is opsvisord running? start it with `opsvisord -c FILE`; "
    "or point to it with -s URL or OPSVISOR_URL\n"
)


@pytest.fixture(autouse=True)
def _empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of the machine under test are not found."""
    monkeypatch.chdir(tmp_path)


def _written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_the_order_of_the_sources(tmp_path: Path) -> None:
    """-s, then -c, then OPSVISOR_URL, then a file that is found: what was typed comes first."""
    named = _written(tmp_path / "named.toml", '[server]\nunix = "/run/named"\n')
    environ = {"OPSVISOR_URL": "unix:///run/environ"}
    urls = [
        discover(wishes, _NOWHERE, env).url
        for wishes, env in (
            (Wishes(url="unix:///run/asked", config_file=named), environ),
            (Wishes(config_file=named), environ),
            (Wishes(), environ),
        )
    ]
    assert urls == ["unix:///run/asked", "unix:///run/named", "unix:///run/environ"]
    _written(tmp_path / "opsvisor.toml", '[server]\nunix = "/run/found"\n')
    assert discover(Wishes(), _NOWHERE, {}).url == "unix:///run/found"


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ("", f"unix://{default_socket()}"),
        ('[server]\nunix = "/run/o.sock"', "unix:///run/o.sock"),
        ('[server]\nunix = "o.sock"', "unix://{here}/o.sock"),
        ('[server.unix]\npath = "o.sock"\nmode = "0660"', "unix://{here}/o.sock"),
        ('[server.http]\nlisten = "127.0.0.1:9001"', "http://127.0.0.1:9001"),
        ('[server.http]\nlisten = ":9001"', "http://127.0.0.1:9001"),
        ('[server.http]\nlisten = "*:9001"', "http://127.0.0.1:9001"),
        ('[server]\nhttp = "127.0.0.1:9001"', "http://127.0.0.1:9001"),
        ('[server.http]\nlisten = "0.0.0.0:9001"', "http://127.0.0.1:9001"),
        ('[server.http]\nlisten = "[::]:9001"', "http://[::1]:9001"),
        ('[server]\nunix = "/run/o.sock"\nhttp = { listen = ":1" }', "unix:///run/o.sock"),
    ],
)
def test_a_native_file(tmp_path: Path, server: str, url: str) -> None:
    """The socket where there is one, relative to the file; else TCP, on this machine."""
    path = _written(tmp_path / "x.toml", server)
    found = discover(Wishes(config_file=path), _NOWHERE, {})
    assert found.url == url.format(here=tmp_path)
    assert found.found == f"as {path} says"
    assert found.prompt == "opsvisor"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_the_socket_of_a_user_is_not_asked_where_a_stranger_made_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root would tell whoever listens there what it asks for, and believe the answer."""
    top = tmp_path / "opsvisor"
    for module in ("opsvisor.config.search", "opsvisor.ctl.connection"):
        monkeypatch.setattr(f"{module}.OF_ROOT", top)
    (top / "user-7").mkdir(parents=True)
    os.chown(top / "user-7", 7, -1)
    wishes = Wishes(config_file=_written(tmp_path / "x.toml", '[daemon]\nuser = "7"\n'))
    socket_there = top / "user-7/opsvisor.sock"
    assert discover(wishes, _NOWHERE, {}).url == f"unix://{socket_there}"
    os.chown(top / "user-7", 1234, -1)
    for one in (wishes, Wishes(url=f"unix://{socket_there}")):
        with pytest.raises(ConfigError, match=r"not trusted: .* another user \(uid 1234\)"):
            discover(one, _NOWHERE, {})


def test_a_socket_that_a_crash_left_does_not_hide_the_daemon_of_that_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of root's daemon comes first if anybody listens there, or if there is no other one."""
    for module in ("opsvisor.config.search", "opsvisor.ctl.connection"):
        monkeypatch.setattr(f"{module}.OF_ROOT", tmp_path / "opsvisor")
    uid = os.geteuid() or 7
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "own"))
    wishes = Wishes(config_file=_written(tmp_path / "x.toml", f'[daemon]\nuser = "{uid}"\n'))
    monkeypatch.setattr("opsvisor.ctl.connection.untrusted", lambda _: "")
    of_root, usual = tmp_path / f"opsvisor/user-{uid}/opsvisor.sock", default_socket()

    def found() -> str:
        return discover(wishes, _NOWHERE, {}).url.removeprefix("unix://")

    assert found() == str(usual)
    of_root.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as roots:
        roots.bind(str(of_root))
        roots.listen(1)
        usual.parent.mkdir(parents=True)
        usual.touch()
        # From the third on the queue is full.
        assert [found() for _ in range(4)] == [str(of_root)] * 4
    assert found() == str(usual)
    usual.unlink()
    assert found() == str(of_root)


def test_credentials_of_a_native_file(tmp_path: Path) -> None:
    """Those of the server that is used; a hash can't be sent; the command line wins."""
    path = _written(
        tmp_path / "x.toml",
        '[server.unix]\npath = "/s"\nusername = "ops"\npassword = "secret"\n'
        '[server.http]\nlisten = ":1"\nusername = "web"\npassword = "other"\n',
    )
    found = discover(Wishes(config_file=path), _NOWHERE, {})
    assert (found.username, found.password) == ("ops", "secret")
    found = discover(Wishes(config_file=path, username="me", password="mine"), _NOWHERE, {})
    assert (found.username, found.password) == ("me", "mine")
    path = _written(tmp_path / "y.toml", '[server.unix]\npath="/s"\npassword = "{SHA}00"\n')
    assert discover(Wishes(config_file=path), _NOWHERE, {}).password is None


def test_variables_in_a_native_file(tmp_path: Path) -> None:
    """Those that are set here; the others are the daemon's to complain about."""
    text = '[server.unix]\npath = "${DIR}/s"\nusername = "ops"\npassword = "${SECRET}"\n'
    path = _written(tmp_path / "x.toml", text)
    found = discover(Wishes(config_file=path), _NOWHERE, {"DIR": "/run/x", "SECRET": "xyzzy"})
    assert (found.url, found.password) == ("unix:///run/x/s", "xyzzy")
    assert discover(Wishes(config_file=path), _NOWHERE, {"DIR": "/"}).password == "${SECRET}"


def test_credentials_stay_where_they_belong(tmp_path: Path) -> None:
    """The password of a file that merely lies around is not sent to an address typed by hand."""
    text = '[server.unix]\npath = "/s"\nusername = "ops"\npassword = "secret"\n'
    path = _written(tmp_path / "opsvisor.toml", text)
    asked = Wishes(url="http://elsewhere:9001")
    assert discover(asked, _NOWHERE, {}).password is None
    both = Wishes(url="http://elsewhere:9001", config_file=path)
    assert discover(both, _NOWHERE, {}).password == "secret"


def test_a_file_with_a_mistake(tmp_path: Path) -> None:
    """What stands before the mistake still says where the daemon is: it is to be asked."""
    text = '[server]\nunix = "/run/o.sock"\n[program.web]\ncommand = = 1\n'
    path = _written(tmp_path / "x.toml", text)
    assert discover(Wishes(config_file=path), _NOWHERE, {}).url == "unix:///run/o.sock"
    path = _written(tmp_path / "x.toml", "[program.web]\ncommand = = 1\n")
    with pytest.raises(ConfigError, match=r"x\.toml:2: "):
        discover(Wishes(config_file=path), _NOWHERE, {})


def test_a_file_that_can_not_be_read(run: Ctl, tmp_path: Path) -> None:
    """A file that was named must be readable: place, reason, exit status 2."""
    broken = _written(tmp_path / "x.toml", "[server\n")
    with pytest.raises(ConfigError, match=r"x\.toml:1: "):
        discover(Wishes(config_file=broken), _NOWHERE, {})
    ran = run("-c", str(tmp_path / "none.toml"), "status")
    assert ran.status == 2
    assert ran.err.startswith(f"Error: {tmp_path}/none.toml: No such file or directory\n")


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("status", 4),
        ("version", 7),
        ("pid", 7),
        ("start x", 7),
        ("stop x", 7),
        ("restart x", 7),
        ("signal HUP x", 7),
        ("tail x", 7),
        ("maintail", 7),
        ("clear x", 7),
        ("why x", 7),
        ("events", 7),
        ("update", 1),
        ("reread", 1),
        ("avail", 1),
        ("add x", 1),
        ("remove x", 1),
        ("reload", 1),
    ],
)
def test_no_socket(run: Ctl, tmp_path: Path, command: str, status: int) -> None:
    """One line for scripts; what was tried and what to do on standard error."""
    url = f"unix://{tmp_path}/none"
    assert run("-s", url, *command.split()) == (
        status,
        f"{url} no such file\n",
        f"tried: {url}, as -s says\n{_HINT}",
    )


@pytest.mark.parametrize(("command", "status"), [("status", 4), ("version", 4), ("update", 1)])
def test_nobody_listens(run: Ctl, tmp_path: Path, command: str, status: int) -> None:
    """A closed port and a socket that a killed daemon left behind."""
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "stale"))
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        closed = port.getsockname()[1]
    for url in (f"unix://{tmp_path}/stale", f"http://127.0.0.1:{closed}"):
        ran = run("-s", url, command)
        assert ran[:2] == (status, f"{url} refused connection\n")


def test_shutdown_of_nobody(run: Ctl, tmp_path: Path) -> None:
    """It may be what the caller wanted, but the status is 1."""
    url = f"unix://{tmp_path}/none"
    ran = run("-s", url, "shutdown")
    assert ran[:2] == (1, f"ERROR: {url} no such file (already shut down?)\n")


def test_a_socket_of_somebody_else(run: Ctl, daemon: RecordedDaemon, tmp_path: Path) -> None:
    """The line that people grep for, then who owns the socket and what to do."""
    run("-s", daemon.url, "status")  # imports what is imported late, as root still
    (tmp_path / "s").chmod(0)
    with as_somebody_else():
        ran = run("-s", daemon.url, "status")
    assert ran.status == 1
    assert (
        ran.out
        == f"error: <class 'PermissionError'>, [Errno 13] Permission denied: {daemon.url}\n"
    )
    assert "hint: you are uid " in ran.err
    assert "use sudo" in ran.err


def test_nobody_at_the_default(run: Ctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OPSVISOR_URL is named as the reason for where it looked, and JSON says it all at once."""
    monkeypatch.setenv("OPSVISOR_URL", f"unix://{tmp_path}/none")
    assert f"tried: unix://{tmp_path}/none, as OPSVISOR_URL says\n" in run("status").err
    ran = run("--json", "status")
    assert json.loads(ran.out)["error"]["code"] == "no_daemon"
    assert (ran.status, ran.err) == (4, "")


def test_a_password_is_wanted(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """One line, status 1, and what to show; with credentials the call goes through."""
    daemon.answers["GET /api/v1/daemon"] = lambda request: (
        DAEMON if "Authorization" in request.headers else problem(401, "unauthorized")
    )
    ran = ctl("version")
    assert ran[:2] == (1, "Server requires authentication\n")
    assert ran.err.startswith("hint: come by a name and its password (-u NAME), or by a token")
    assert ctl("-u", "ops", "-p", "secret", "version") == (0, "0.1.0\n", "")


def test_another_server(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """A daemon that knows no such call is told apart from one that is not there."""
    daemon.answers["GET /api/v1/daemon"] = problem(404, "not_found", "no such page", hint="look")
    assert ctl("version") == (1, "error: not_found: no such page\n", "hint: look\n")


def test_supervisors_file(run: Ctl, daemon: RecordedDaemon, tmp_path: Path) -> None:
    """[supervisorctl] of an INI file names the server and the credentials."""
    daemon.answers["GET /api/v1/daemon"] = DAEMON
    path = _written(
        tmp_path / "supervisord.conf",
        f"[supervisorctl]\nserverurl={daemon.url}\nusername=u\npassword=p\n",
    )
    assert run("-c", path, "version") == (0, "0.1.0\n", "")
    assert run("version") == (0, "0.1.0\n", "")
    sent = [request.headers["Authorization"] for request in daemon.requests]
    assert sent == ["Basic dTpw", "Basic dTpw"]
    path = _written(tmp_path / "other.conf", "[supervisord]\n")
    ran = run("-c", path, "version")
    assert ran.status == 2
    assert "does not include supervisorctl section" in ran.err


def test_a_path_that_is_too_long(run: Ctl) -> None:
    """No daemon can listen there, so there is none to be started."""
    url = f"unix:///{'x' * 150}"
    ran = run("-s", url, "status")
    assert ran[:2] == (4, f"error: {url} is too long for a socket\n")
    assert "hint: the kernel takes 107 bytes: give the socket a shorter path" in ran.err


def test_an_address_that_is_none_is_told_with_where_it_is_from(run: Ctl, tmp_path: Path) -> None:
    """It need not be OPSVISOR_URL."""
    path = _written(tmp_path / "s.conf", "[supervisorctl]\nserverurl=nonsense\n")
    ran = run("-c", path, "status")
    assert ran.status == 2
    assert f"invalid value for {path} 'nonsense': " in ran.err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes a user that nobody knows")
def test_who_has_no_home_has_no_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is no reason not to be answered."""
    path = _written(tmp_path / "x.toml", '[server]\nunix = "s"\n')
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    for wishes in (Wishes(config_file=path), Wishes(url="unix:///s"), Wishes()):
        assert discover(wishes, _NOWHERE, {}).history_file is None
        assert discover(wishes, _NOWHERE, {"XDG_STATE_HOME": "x"}).history_file is None
        known = discover(wishes, _NOWHERE, {"XDG_STATE_HOME": "/x"})
        assert known.history_file == "/x/opsvisor/history"


def test_in_a_directory_that_was_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file can be reached all the same, and so can the daemon that it names."""
    _written(tmp_path / "x.toml", '[server]\nunix = "s"\n')
    _written(tmp_path / "x.conf", "[supervisorctl]\nserverurl=unix://../s\n")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for name in ("x.toml", "x.conf"):
        found = discover(Wishes(config_file=f"../{name}"), _NOWHERE, {})
        assert found.url == f"unix://{tmp_path}/s"
