"""[supervisorctl], which the control program reads on its own."""

import subprocess
import sys
from pathlib import Path

import pytest
from supervisor_files import write

from opsvisor.compat.supervisor.config.control_file import ControlSettings, read_control_settings
from opsvisor.config.problems import ConfigError


def test_defaults(tmp_path: Path) -> None:
    """An empty section is enough."""
    settings = read_control_settings(write(tmp_path, "[supervisorctl]\n"), {})
    assert settings == ControlSettings()
    assert settings.server_url == "http://localhost:9001"
    assert settings.prompt == "supervisor"
    assert (settings.username, settings.password, settings.history_file) == (None, None, None)


def test_everything_set(tmp_path: Path) -> None:
    """Names are expanded, the path behind unix:// and the history file are made absolute."""
    path = write(
        tmp_path,
        "[supervisorctl]\nserverurl=unix://%(here)s/x/../s.sock\nusername=bob\npassword=%(ENV_PW)s%%\n"
        "prompt=web\nhistory_file=~/h\n",
    )
    settings = read_control_settings(path, {"PW": "geheim"})
    assert settings == ControlSettings(
        server_url=f"unix://{tmp_path}/s.sock",
        username="bob",
        password="geheim%",
        prompt="web",
        history_file=str(Path("~/h").expanduser()),
    )
    assert "geheim" not in repr(settings)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("http://h:9001/RPC2", "http://h:9001"),
        ("http://bob:geheim@h:9001/?x#y", "http://h:9001"),
        ("https://[::1]:9001/", "https://[::1]:9001"),
        ("what", "what"),
    ],
)
def test_only_host_and_port_of_a_server_count(tmp_path: Path, typed: str, read: str) -> None:
    """As with supervisorctl. What is no URL is told as such by who is to use it."""
    path = write(tmp_path, f"[supervisorctl]\nserverurl={typed}\n")
    assert read_control_settings(path, {}).server_url == read


def test_includes_are_ignored(tmp_path: Path) -> None:
    """As supervisorctl does: the daemon's files may be unreadable for the user."""
    path = write(tmp_path, "[supervisorctl]\n[include]\nfiles=more.ini\n")
    write(tmp_path, "[supervisorctl]\nprompt=other\n", "more.ini")
    assert read_control_settings(path, {}).prompt == "supervisor"


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("[supervisord]\n", 0, ".ini file does not include supervisorctl section"),
        ("[supervisorctl]\nfoo\n", 2, "Source contains parsing errors: 'foo'"),
        (
            "[supervisorctl]\nprompt=9%\n",
            2,
            "Format string '9%' for 'supervisorctl.prompt' is badly formatted: incomplete format",
        ),
    ],
)
def test_errors(tmp_path: Path, text: str, line: int, what: str) -> None:
    """A broken file is reported as the daemon would, instead of a traceback."""
    with pytest.raises(ConfigError) as caught:
        read_control_settings(write(tmp_path, text), {})
    (problem,) = caught.value.problems
    assert (problem.where.line, problem.what) == (line, what)


@pytest.mark.parametrize("key", ["username", "password"])
@pytest.mark.parametrize("value", ["hunter2%ss", "hunter2%q", "%(nope)shunter2"])
def test_secrets_are_not_quoted(tmp_path: Path, key: str, value: str) -> None:
    """The message goes to a terminal, and from there anywhere."""
    with pytest.raises(ConfigError) as caught:
        read_control_settings(write(tmp_path, f"[supervisorctl]\n{key}={value}\n"), {})
    assert f"'supervisorctl.{key}'" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_import_is_light() -> None:
    """Reading it loads nothing of the core that decides, nor the daemon's settings or asyncio."""
    code = (
        "import sys, opsvisor.compat.supervisor.config.control_file;"
        "print([m for m in sys.modules if m.startswith(('opsvisor.core.', 'opsvisor.config.s',"
        " 'asyncio', 'dataclasses')) and m not in ('opsvisor.core.struct',"
        " 'opsvisor.config.search')])"  # which opsvisorctl has loaded by then
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
