"""[supervisord] and the servers as settings of the daemon."""

import tempfile
from pathlib import Path

import pytest
from supervisor_files import load_text

from opsvisor.config.settings import Credentials, Dialect, LogLevel, TcpServer, UnixServer
from opsvisor.core.spec import LogSpec

HEAD = "[supervisord]\n"


def test_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty section is a daemon in the background that logs into the current folder."""
    monkeypatch.chdir(tmp_path)
    found = load_text(tmp_path, HEAD).settings
    assert found.dialect is Dialect.SUPERVISOR
    assert found.identifier == "supervisor"
    assert found.log == LogSpec(path=f"{tmp_path}/supervisord.log")
    assert found.pid_file == f"{tmp_path}/supervisord.pid"
    assert found.log_level is LogLevel.INFO
    assert (found.daemonize, found.echo_log) == (True, False)
    assert (found.umask, found.working_dir, found.user) == (0o022, None, None)
    assert (found.min_fds, found.min_procs) == (1024, 200)
    assert found.servers == ()


@pytest.mark.parametrize(
    ("lines", "daemonize", "echo"),
    [
        ("nodaemon=true", False, True),
        ("nodaemon=true\nsilent=true", False, False),
        ("silent=true", True, False),
    ],
)
def test_foreground(tmp_path: Path, lines: str, *, daemonize: bool, echo: bool) -> None:
    """With nodaemon it stays in front and talks, unless silent."""
    found = load_text(tmp_path, f"{HEAD}{lines}\n").settings
    assert (found.daemonize, found.echo_log) == (daemonize, echo)


def test_umask_and_folder_only_count_in_the_background(tmp_path: Path) -> None:
    """Supervisor changes both on its way there and at no other time."""
    lines = f"umask=027\ndirectory={tmp_path}\n"
    behind = load_text(tmp_path, f"{HEAD}{lines}").settings
    assert (behind.umask, behind.working_dir) == (0o027, str(tmp_path))
    in_front = load_text(tmp_path, f"{HEAD}{lines}nodaemon=true\n").settings
    assert (in_front.umask, in_front.working_dir) == (None, None)


def test_log_rotation(tmp_path: Path) -> None:
    """Nothing below zero, which means never and none."""
    text = f"{HEAD}logfile_maxbytes=-1\nlogfile_backups=-2\nstrip_ansi=true\n"
    found = load_text(tmp_path, text).settings.log
    assert (found.rotate_size, found.rotate_keep, found.strip_ansi) == (0, 0, False)


def test_old_auto_logs_are_removed_unless_nocleanup(tmp_path: Path) -> None:
    """From childlogdir, or from where temporary files are."""
    found = load_text(tmp_path, f"{HEAD}childlogdir={tmp_path}\n").settings
    assert found.auto_log_dir == str(tmp_path)
    assert load_text(tmp_path, HEAD).settings.auto_log_dir == tempfile.gettempdir()
    assert load_text(tmp_path, f"{HEAD}nocleanup=on\n").settings.auto_log_dir is None


def test_the_log_may_go_to_syslog(tmp_path: Path) -> None:
    """Then there is no file; only this very word means it."""
    loaded = load_text(tmp_path, f"{HEAD}logfile=syslog\n")
    assert (loaded.settings.log.path, loaded.settings.log.syslog) == (None, True)
    assert loaded.warnings == ()
    found = load_text(tmp_path, f"{HEAD}logfile=Syslog\n").settings.log
    assert (found.path, found.syslog) == (f"{Path.cwd()}/Syslog", False)


def test_servers_of_every_form(tmp_path: Path) -> None:
    """Sockets first; names with something behind the words are servers too."""
    text = (
        f"{HEAD}[inet_http_server:two]\nport=Localhost:9002\nusername=u\npassword=p%%\n"
        f"[unix_http_server]\nfile={tmp_path}/s\n[unix_http_serverx]\nfile=%(here)s/x\n"
        "chmod=0777\nchown=root\n"
    )
    assert load_text(tmp_path, text).settings.servers == (
        UnixServer(name="unix_http_server", path=f"{tmp_path}/s", mode=0o700),
        UnixServer(name="unix_http_serverx", path=f"{tmp_path}/x", mode=0o777, owner=(0, -1)),
        TcpServer(
            name="inet_http_server:two",
            host="localhost",
            port=9002,
            credentials=Credentials(username="u", password="p%"),
            allow_anonymous=True,
        ),
    )


def test_empty_username_is_no_login(tmp_path: Path) -> None:
    """Supervisor then asks nobody, so a password without a name deserves a warning."""
    text = f"{HEAD}[inet_http_server]\nport=1\nusername=\npassword=p\n"
    loaded = load_text(tmp_path, text)
    assert loaded.settings.servers[0].credentials is None
    assert [w.what for w in loaded.warnings] == [
        "username is empty, so nobody is asked for the password"
    ]


@pytest.mark.parametrize(
    ("sections", "url"),
    [
        ("[inet_http_server]\nport=*:1\n[unix_http_server]\nfile=/s\n", "unix:///s"),
        ("[inet_http_server]\nport=*:1\n", "http://localhost:1"),
        ("[inet_http_server]\nport=h:1\n", "http://h:1"),
        ("", None),
    ],
)
def test_children_learn_the_url_of_the_first_server(
    tmp_path: Path, sections: str, url: str | None
) -> None:
    """A unix socket is preferred."""
    loaded = load_text(tmp_path, f"{HEAD}{sections}[program:a]\ncommand=x\n")
    (spec,) = loaded.plan.specs().values()
    assert dict(spec.environment).get("SUPERVISOR_SERVER_URL") == url


def test_global_environment_knows_the_node(tmp_path: Path) -> None:
    """host_node_name and %% work in [supervisord] environment, as in Supervisor 4.4."""
    text = f'{HEAD}environment=A="100%%",N="%(host_node_name)s"\n[program:a]\ncommand=x\n'
    (spec,) = load_text(tmp_path, text).plan.specs().values()
    found = dict(spec.environment)
    assert found["A"] == "100%"
    assert found["N"]


def test_files_that_took_part(tmp_path: Path) -> None:
    """The main file and all it includes, in the order they were read."""
    (tmp_path / "b.inc").write_text("[program:b]\ncommand=x\n")
    (tmp_path / "a.inc").write_text("[program:a]\ncommand=x\n")
    loaded = load_text(tmp_path, f"{HEAD}[include]\nfiles=*.inc a.inc\n")
    assert [Path(file).name for file in loaded.files] == ["supervisord.conf", "a.inc", "b.inc"]
