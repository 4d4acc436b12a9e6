"""Every command of the README, carried out: what it says first has to be true."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import BIN
from daemon import eventually
from http_requests import free_port
from told_commands import Reader, Typed, steps, without_comment

from tools.stack.scenario import with_free_ports

_ROOT = Path(__file__).parents[2]
_README = (_ROOT / "README.md").read_text()
_SUPERVISORS_FILE = "/etc/supervisor/supervisord.conf"


def section(title: str) -> str:
    """The part of the README below this heading; "" is what comes before the first."""
    parts = re.split(r"^## (.*)\n", _README, flags=re.MULTILINE)
    return dict(zip(["", *parts[1::2]], parts[::2], strict=True))[title]


def environment(directory: Path) -> dict[str, str]:
    """That of a reader, whose daemon keeps what it remembers in the directory."""
    path = f"{BIN}:{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(directory), "RUNTIME_DIRECTORY": str(directory)}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the first commands need of a checkout, with free ports in the example."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(_ROOT / name, tmp_path)
        os.utime(tmp_path / name, (0, 0))  # older than the environment, which stays as it is
    shutil.copytree(_ROOT / "examples", tmp_path / "examples")
    (tmp_path / ".venv").symlink_to(BIN.parent)
    return tmp_path


@pytest.fixture
def reader(checkout: Path) -> Iterator[Reader]:
    """Somebody in the checkout, whose port 9001 is another."""
    port = free_port()
    config = checkout / "examples" / "predicaments.toml"
    config.write_text(with_free_ports(config.read_text(), api=port))
    reader = Reader(checkout, environment(checkout), {"127.0.0.1:9001": f"127.0.0.1:{port}"})
    yield reader
    reader.close()


def test_first_commands(reader: Reader) -> None:
    """From `make run` to the metrics."""
    reader.follow(section(""))


def test_coming_from_supervisor(tmp_path: Path) -> None:
    """One daemon goes, the other takes its file; the real supervisorctl talks to both."""
    config = tmp_path / "supervisord.conf"
    config.write_text(
        f"[unix_http_server]\nfile={tmp_path}/s\n"
        f"[supervisord]\nlogfile={tmp_path}/log\npidfile={tmp_path}/pid\n"
        "[rpcinterface:supervisor]\n"
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
        f"[supervisorctl]\nserverurl=unix://{tmp_path}/s\n"
        "[program:test]\ncommand=sleep 1000\n"
    )
    reader = Reader(tmp_path, environment(tmp_path), {_SUPERVISORS_FILE: str(config)})
    subprocess.run(
        [BIN / "supervisord", "-c", config],
        cwd=tmp_path,
        check=True,
        timeout=60,
        capture_output=True,
    )
    try:
        reader.follow(section("Coming from Supervisor"))
    finally:
        subprocess.run(
            [BIN / "supervisorctl", "-c", config, "shutdown"], check=False, capture_output=True
        )
        eventually(lambda: not can_connect(tmp_path / "s"))


def can_connect(path: Path) -> bool:
    """Whether somebody listens there."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def test_problems_are_told_as_shown(tmp_path: Path) -> None:
    """The example of a wrong file, with the mistakes that it is about."""
    (example,) = re.findall(
        r"```toml\n# /etc/opsvisor/opsvisor.toml\n(.*?)```", _README, re.DOTALL
    )
    wrong = example.replace("[server]", 'stop_signal = "TERMM"\nenviroment = {}\n[server]', 1)
    (tmp_path / "opsvisor.toml").write_text(wrong.replace('user     = "api"\n', ""))
    (typed,) = (step for step in steps(section("A configuration")) if isinstance(step, Typed))
    done = subprocess.run(
        ["bash", "-c", without_comment(typed.command)],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    told = [re.sub(r"^\S+:\d+: ", "", line) for line in done.stderr.splitlines()]
    assert told == [re.sub(r"^\S+:\d+: ", "", line) for line in typed.shown]
    assert done.returncode == 2


def test_every_command_is_in_a_part_that_is_carried_out() -> None:
    """A new one in another part has to be tried too."""
    tried = {"", "Coming from Supervisor", "A configuration"}
    parts = re.split(r"^## (.*)\n", _README, flags=re.MULTILINE)
    for title, text in zip(["", *parts[1::2]], parts[::2], strict=True):
        commands = [step for step in steps(text) if isinstance(step, Typed)]
        assert title in tried or not commands, f"nobody tries {commands} of {title}"
