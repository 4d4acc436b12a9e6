import os
import pwd
from pathlib import Path

import pytest
from config_files import Complaints, Load

from opsvisor.config.load import Additions, native
from opsvisor.config.problems import ConfigError
from opsvisor.config.search import OF_ROOT
from opsvisor.config.settings import Credentials, TcpServer, UnixServer


def test_without_servers_there_is_a_private_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is where opsvisorctl looks for it, and only its owner may use it."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    path = tmp_path / "opsvisor.toml"
    path.touch()
    assert native(path, {"XDG_RUNTIME_DIR": "/run/user/1000"}).settings.servers == (
        UnixServer(name="unix", path="/run/user/1000/opsvisor/opsvisor.sock", mode=0o600),
    )


def test_servers(load: Load, tmp_path: Path) -> None:
    """Both kinds, with all their options."""
    servers = load("""
        [server.unix]
        path = "run/x.sock"
        mode = "0660"
        [server.http]
        listen = "0.0.0.0:9001"
        username = "me"
        password = "secret"
    """).settings.servers
    assert servers == (
        UnixServer(name="unix", path=str(tmp_path / "run/x.sock"), mode=0o660),
        TcpServer(
            name="http",
            host="0.0.0.0",
            port=9001,
            credentials=Credentials(username="me", password="secret"),
        ),
    )


def test_a_socket_may_be_just_a_path(load: Load, tmp_path: Path) -> None:
    """The short form of the commonest server."""
    servers = load("[server]\nunix = 'x.sock'").settings.servers
    assert servers == (UnixServer(name="unix", path=str(tmp_path / "x.sock")),)


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [
        ("127.0.0.1:9001", "127.0.0.1", 9001),
        ("127.8.8.8:1", "127.8.8.8", 1),
        ("[::1]:9001", "::1", 9001),
        ("localhost:0", "localhost", 0),
    ],
)
def test_loopback_needs_no_credentials(listen: str, host: str, port: int, load: Load) -> None:
    """Who is on this machine may use the API."""
    servers = load(f"[server]\nhttp = {{ listen = '{listen}' }}").settings.servers
    assert servers == (TcpServer(name="http", host=host, port=port),)


@pytest.mark.parametrize(
    "listen", [":9001", "*:9001", "0.0.0.0:9001", "[::]:9001", "example.org:9001"]
)
def test_the_network_needs_credentials(listen: str, complaints: Complaints, load: Load) -> None:
    """Unless the configuration says by name that anybody may come in."""
    table = f"[server.http]\nlisten = '{listen}'\n"
    assert "would let anybody on the network control the programs" in complaints(table)
    (server,) = load(f"{table}allow_anonymous = true").settings.servers
    assert isinstance(server, TcpServer)
    assert server.allow_anonymous


@pytest.mark.parametrize(
    ("given", "lacking"), [("username", "password"), ("password", "username")]
)
def test_credentials_come_in_pairs(given: str, lacking: str, complaints: Complaints) -> None:
    """Half of them would protect nothing."""
    text = complaints(f"[server]\nunix = {{ path = 'x', {given} = 'x' }}")
    assert text == (
        f"opsvisor.toml:2: server: unix.{given} is set without a {lacking}\n"
        "    hint: clients log in with both"
    )


@pytest.mark.parametrize("listen", [":9001", "*:9001"])
def test_all_interfaces_are_no_host(listen: str, load: Load) -> None:
    """The star is how Supervisor's files say it, and the sockets of programs."""
    text = f"[server]\nhttp = {{ listen = '{listen}', allow_anonymous = true }}"
    assert load(text).settings.servers == (
        TcpServer(name="http", host="", port=9001, allow_anonymous=True),
    )


def test_a_socket_path_has_an_end(complaints: Complaints) -> None:
    """Better here than as an error of bind(2)."""
    path = "/" + "x" * 107
    text = complaints(f"[server]\nunix = '{path}'")
    assert f"server: unix.path is too long for a socket: '{path}'" in text
    assert "the kernel takes 107 bytes" in text


def test_the_default_path_can_be_too_long_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is from is named, and what to do."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    path = tmp_path / "opsvisor.toml"
    path.touch()
    with pytest.raises(ConfigError) as caught:
        native(path, {"XDG_RUNTIME_DIR": f"/{'x' * 90}"})
    text = str(caught.value)
    assert "server: unix is needed: the default path is too long for a socket: '/xxx" in text
    assert "the kernel takes 107 bytes; set unix in [server], or a shorter XDG_RUNTIME_DIR" in text


def test_the_socket_of_another_user(tmp_path: Path) -> None:
    """Where root starts the daemon and it becomes that user, it has a directory of its own."""
    path = tmp_path / "opsvisor.toml"
    path.write_text("[daemon]\nuser = 'nobody'\n")
    uid = pwd.getpwnam("nobody").pw_uid
    for runtime, socket in (
        (OF_ROOT, f"/run/opsvisor/user-{uid}/opsvisor.sock"),
        (Path("/run/user/7/opsvisor"), "/run/user/7/opsvisor/opsvisor.sock"),
    ):
        loaded = native(path, {}, Additions(runtime=runtime))
        assert loaded.settings.servers == (UnixServer(name="unix", path=socket),)


def test_paths_of_the_daemon(load: Load, tmp_path: Path) -> None:
    """They begin at the directory of the file, whatever the daemon's own directory is."""
    settings = load("[daemon]\nlog = '../x.log'\npid_file = '/run/x.pid'").settings
    assert settings.log.path == str(tmp_path.parent / "x.log")
    assert settings.pid_file == "/run/x.pid"
