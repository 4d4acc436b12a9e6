"""A configuration that is read once: a pipe, as `-c <(envsubst < t)`, or another descriptor."""

import os
import select
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from commands import BIN, environment, run_program
from daemon import PATIENCE, eventually

from opsvisor.config.problems import ConfigError
from opsvisor.daemon.reading import fail_if_read_once, why_read_once

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
REFUSAL = "it was read when opsvisord started, and can't be again"
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


@contextmanager
def fed(folder: Path, text: str, redirection: str) -> Iterator[subprocess.Popen[bytes]]:
    """An opsvisord that has got this text by what bash makes of the redirection; "$1" has it."""
    config = folder / "config"
    config.write_text(text.format(folder=folder))
    with subprocess.Popen(
        ["bash", "-c", f"exec {BIN}/opsvisord -n -c {redirection}", "bash", config],
        env={**environment(""), "XDG_STATE_HOME": str(folder / "state")},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        try:
            yield running
        finally:
            running.terminate()


@pytest.fixture
def daemon(tmp_path: Path, text: str) -> Iterator[subprocess.Popen[bytes]]:
    """An opsvisord that has got this text out of a pipe."""
    with fed(tmp_path, text, '<(cat "$1")') as running:
        yield running


Ask = Callable[..., str]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """What opsvisorctl says to some words."""

    def asked(*words: str) -> str:
        url = f"unix://{tmp_path}/s"
        ran = run_program("opsvisorctl", "-s", url, *words, directory=tmp_path)
        return ran.out + ran.err

    return asked


@both
def test_a_daemon(tmp_path: Path, daemon: subprocess.Popen[bytes], ask: Ask) -> None:
    """It runs, and what it would have to read again is refused: nothing is stopped."""
    eventually(lambda: "RUNNING" in ask("status"))
    pid = ask("pid", "web")
    refusal = f"the configuration is no file: {REFUSAL}"
    for word in ("reread", "update", "reload"):
        assert refusal in ask(word)
    assert "could not find config file /dev/fd/" in ask("upgrade")
    daemon.send_signal(signal.SIGHUP)
    eventually(lambda: (tmp_path / "log").read_text().count(refusal) >= 4)
    assert ask("pid", "web") == pid


def test_an_upgrade(tmp_path: Path, ask: Ask) -> None:
    """A next version must not take for empty what the last one has emptied."""
    with fed(tmp_path, TOML, '/dev/stdin < <(cat "$1")') as running:
        eventually(lambda: "RUNNING" in ask("status"))
        assert "/dev/stdin is no file: it was read by the daemon that runs" in ask("upgrade")
        assert running.poll() is None


@pytest.fixture
def background(tmp_path: Path, text: str, ask: Ask) -> Iterator[int]:
    """The pid of an opsvisord that has read a file on its standard input, and has left it."""
    text = text.replace("nodaemon = true", "nodaemon = false")
    text = text.replace("[daemon]", "[daemon]\ndaemonize = true")
    config = tmp_path / "config"
    config.write_text(text.format(folder=tmp_path))
    with config.open("rb") as file:
        subprocess.run(
            [BIN / "opsvisord", "-c", "/dev/stdin"],
            env=environment(""),
            cwd=tmp_path,
            stdin=file,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
    pid = int(ask("pid"))
    descriptor = os.pidfd_open(pid)
    try:
        yield pid
    finally:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        ended = select.select([descriptor], [], [], PATIENCE)[0]
        os.close(descriptor)
        assert ended


@both
def test_a_file_on_standard_input(tmp_path: Path, background: int, ask: Ask) -> None:
    """That is /dev/null by now, which asks for no programs: nothing is stopped for it."""
    eventually(lambda: "RUNNING" in ask("status"))
    pid = ask("pid", "web")
    refusal = f"the configuration is no file with a path of its own: {REFUSAL}"
    # In this order: an update could only stop programs, and beginning anew would listen elsewhere.
    for word in ("reread", "update", "reload"):
        assert refusal in ask(word)
        assert ask("pid", "web") == pid
    assert "/dev/stdin is no file: it was read by the daemon that runs" in ask("upgrade")
    os.kill(background, signal.SIGHUP)
    eventually(lambda: (tmp_path / "log").read_text().count(refusal) >= 4)
    assert ask("pid", "web") == pid


def test_names_of_a_descriptor(tmp_path: Path) -> None:
    """By whichever links, and also if it leads to a file. A path of the file's own is none."""
    file = tmp_path / "c.toml"
    file.touch()
    link, further = tmp_path / "link", tmp_path / "further"
    further.symlink_to("link")
    with file.open() as opened:
        number = opened.fileno()
        names = [
            f"/dev/fd/{number}",
            f"/proc/self/fd/{number}",
            f"/proc/{os.getpid()}/fd/{number}",
            f"/proc/thread-self/fd/{number}",
        ]
        for name in names:
            assert why_read_once(Path(name)) == "is no file with a path of its own"
            link.unlink(missing_ok=True)
            link.symlink_to(name)
            assert why_read_once(further) == "is no file with a path of its own"
    link.unlink()
    link.symlink_to(file)
    assert [why_read_once(one) for one in (file, link, further)] == ["", "", ""]
    assert why_read_once(Path("/dev/null")) == "is no file"


def test_a_file_that_is_none_any_more(tmp_path: Path) -> None:
    """It is not read. One that is gone, or may not be read, is left to whoever reads it."""
    place = tmp_path / "c.toml"
    fail_if_read_once(place, "")
    place.mkdir()
    fail_if_read_once(place, "")
    place.rmdir()
    place.touch()
    fail_if_read_once(place, "")
    place.unlink()
    place.symlink_to("/dev/null")
    with pytest.raises(ConfigError, match="is no file any more: it is not read again"):
        fail_if_read_once(place, "")
