"""A configuration out of a pipe, as `opsvisord -c <(envsubst < template)` has it."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import BIN, environment, run_program
from daemon import eventually

INI = """\
[unix_http_server]
file = {folder}/s
[supervisord]
nodaemon = true
logfile = {folder}/log
pidfile = {folder}/pid
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[program:web]
command = sleep 1000
stdout_logfile = NONE
stderr_logfile = NONE
"""
TOML = """\
[server.unix]
path = "{folder}/s"
[daemon]
log = "{folder}/log"
[program.web]
command = "sleep 1000"
"""
both = pytest.mark.parametrize("text", [INI, TOML], ids=["ini", "toml"])


@both
def test_a_check(tmp_path: Path, text: str) -> None:
    """It is read once, and is not empty the second time."""
    checked = subprocess.run(
        [BIN / "opsvisord", "--check", "/dev/stdin"],
        input=text.format(folder=tmp_path),
        capture_output=True,
        text=True,
        check=False,
        env=environment(""),
        cwd=tmp_path,
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.splitlines()[-1] == "/dev/stdin: ok, 1 program, 1 process"


@pytest.fixture
def daemon(tmp_path: Path, text: str) -> Iterator[subprocess.Popen[bytes]]:
    """An opsvisord that has got this text out of a pipe."""
    config = tmp_path / "config"
    config.write_text(text.format(folder=tmp_path))
    with subprocess.Popen(
        ["bash", "-c", f'exec {BIN}/opsvisord -n -c <(cat "$1")', "bash", config],
        env={**environment(""), "XDG_STATE_HOME": str(tmp_path / "state")},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        yield running
        running.terminate()


@both
def test_a_daemon(tmp_path: Path, daemon: subprocess.Popen[bytes]) -> None:
    """It runs, and what it would have to read again is refused: nothing is stopped."""

    def ask(*words: str) -> str:
        url = f"unix://{tmp_path}/s"
        ran = run_program("opsvisorctl", "-s", url, *words, directory=tmp_path)
        return ran.out + ran.err

    eventually(lambda: "RUNNING" in ask("status"))
    pid = ask("pid", "web")
    refusal = (
        "the configuration is no file: it was read when opsvisord started, and can't be again"
    )
    for word in ("reread", "update", "reload"):
        assert refusal in ask(word)
    assert "could not find config file /dev/fd/" in ask("upgrade")
    daemon.send_signal(signal.SIGHUP)
    eventually(lambda: (tmp_path / "log").read_text().count(refusal) >= 4)
    assert ask("pid", "web") == pid


def test_an_upgrade(tmp_path: Path) -> None:
    """A next version must not take for empty what the last one has emptied."""
    config = tmp_path / "config"
    config.write_text(TOML.format(folder=tmp_path))
    url = f"unix://{tmp_path}/s"
    with subprocess.Popen(
        ["bash", "-c", f'exec {BIN}/opsvisord -n -c /dev/stdin < <(cat "$1")', "bash", config],
        env={**environment(""), "XDG_STATE_HOME": str(tmp_path / "state")},
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        try:
            eventually(
                lambda: (
                    "RUNNING"
                    in run_program("opsvisorctl", "-s", url, "status", directory=tmp_path).out
                )
            )
            ran = run_program("opsvisorctl", "-s", url, "upgrade", directory=tmp_path)
            assert "/dev/stdin is no file: it was read by the daemon that runs" in ran.out
            assert running.poll() is None
        finally:
            running.terminate()
