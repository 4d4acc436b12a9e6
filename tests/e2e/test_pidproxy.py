"""opsvisor-pidproxy, beside Supervisor's pidproxy where that can be waited for."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import BIN, run_program

from opsvisor.pidproxy import _RELAYED

PATIENCE = 60
# A daemon that tells which signals come, and never ends by itself.
LISTENER = """
from signal import *
ours = [SIGTERM, SIGHUP, SIGINT, SIGUSR1, SIGUSR2, SIGQUIT]
pthread_sigmask(SIG_BLOCK, ours)
print("ready", flush=True)
while True:
    print(Signals(sigwait(ours)).name, flush=True)
"""


@contextmanager
def running(*command: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A program that is killed at the end, if it still runs."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stdin=pipe, stderr=pipe, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def line_of(child: subprocess.Popen[str]) -> str:
    """The next line it prints."""
    assert child.stdout is not None
    return child.stdout.readline().rstrip("\n")


@pytest.mark.parametrize("signum", _RELAYED, ids=lambda s: s.name)
def test_signals_are_passed_on(tmp_path: Path, signum: signal.Signals) -> None:
    """To the process in the file; after those that end a daemon the proxy exits with 0."""
    pid_file = tmp_path / "pid"
    with running(sys.executable, "-I", "-c", LISTENER) as daemon:
        assert line_of(daemon) == "ready"
        pid_file.write_text(f" {daemon.pid}\n")
        with running(BIN / "opsvisor-pidproxy", pid_file, "/bin/cat") as proxy:
            assert proxy.stdin is not None
            print("up", file=proxy.stdin, flush=True)
            assert line_of(proxy) == "up"  # its command runs, so it listens
            proxy.send_signal(signum)
            assert line_of(daemon) == signum.name
            if signum in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
                assert proxy.wait(PATIENCE) == 0
            else:
                proxy.stdin.close()  # which ends the command
                assert proxy.wait(PATIENCE) == 0


def test_it_ends_when_its_command_ends(tmp_path: Path) -> None:
    """At once, where pidproxy looks every five seconds; with 0 whatever the command ended with."""
    begun = time.monotonic()
    ended = run_program("opsvisor-pidproxy", "none", "/bin/false", directory=tmp_path)
    assert ended == (0, "", "")
    assert time.monotonic() - begun < 4


def test_a_pid_file_that_can_not_be_read(tmp_path: Path) -> None:
    """A line in Supervisor's words, and on with it."""
    pid_file = tmp_path / "pid"
    with running(BIN / "opsvisor-pidproxy", pid_file, "/bin/cat") as proxy:
        assert proxy.stdin is not None
        print("up", file=proxy.stdin, flush=True)
        assert line_of(proxy) == "up"
        proxy.send_signal(signal.SIGTERM)
        assert line_of(proxy) == f"Can't read child pidfile {pid_file}!"
        pid_file.write_text("soon\n")
        proxy.send_signal(signal.SIGINT)
        assert line_of(proxy) == f"Can't read child pidfile {pid_file}!"
        pid_file.write_text("0\n")  # would be our own process group
        proxy.send_signal(signal.SIGTERM)
        assert "it is no daemon's" in line_of(proxy)
        proxy.stdin.close()
        assert proxy.wait(PATIENCE) == 0


def test_the_command_is_not_searched_along_path(tmp_path: Path) -> None:
    """It is a path, from the current folder on; one that isn't there is told."""
    script = tmp_path / "true"
    script.write_text('#!/bin/sh\necho "$0 $*"\n')
    script.chmod(0o755)
    ran = run_program("opsvisor-pidproxy", "pid", "true", "a b", "c", directory=tmp_path)
    assert ran == (0, f"{script} a b c\n", "")
    missing = run_program("opsvisor-pidproxy", "pid", "ls", directory=tmp_path)
    assert (missing.status, missing.out) == (127, "")
    assert missing.err == "opsvisor-pidproxy: can't start ls: No such file or directory\n"


def test_the_command_has_signals_as_they_were(tmp_path: Path) -> None:
    """Neither blocked nor ignored by our doing, although we hold ours back."""
    words = ["pid", "/bin/grep", "SigBlk", "/proc/self/status"]
    ran = run_program("opsvisor-pidproxy", *words, directory=tmp_path)
    assert int(ran.out.split()[1], 16) == 0


def test_whoever_starts_it_may_have_ignored_the_death_of_children(tmp_path: Path) -> None:
    """Inherited, that would take the command's end from us, and we would wait for ever."""
    code = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN);"
        " os.execv(sys.argv[1], sys.argv[1:])"
    )
    proxy: list[str | Path] = [BIN / "opsvisor-pidproxy", tmp_path / "pid", "/bin/true"]
    command = [sys.executable, "-c", code, *proxy]
    assert subprocess.run(command, timeout=PATIENCE, check=False).returncode == 0


def test_usage_as_pidproxy_has_it(tmp_path: Path) -> None:
    """Too few words: a usage on standard output, exit status 1."""
    for words in ([], ["pid"]):
        ours = run_program("opsvisor-pidproxy", *words, directory=tmp_path)
        theirs = run_program("pidproxy", *words, directory=tmp_path)
        assert (ours.status, ours.err) == (theirs.status, theirs.err) == (1, "")
        assert "Usage: " in ours.out
        assert "Usage: " in theirs.out


def test_it_loads_next_to_nothing() -> None:
    """One runs beside every such daemon: none of our own modules, none of our dependencies."""
    code = "import sys, opsvisor.__main__, opsvisor.pidproxy; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = done.stdout.split()
    ours = {name for name in loaded if name.startswith("opsvisor.")}
    assert ours == {"opsvisor.__main__", "opsvisor.pidproxy"}
    assert not {"asyncio", "pathlib", "re", "subprocess", "typing"} & set(loaded)
