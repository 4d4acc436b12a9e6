"""Output that goes elsewhere than into a file: to syslog, to listeners, to the daemon's log."""

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import StartDaemon, eventually
from home import Dialect, Home, Programs, in_both_languages
from real_supervisord import supervisord

# Has a /dev of its own, with the log of the system where the test wants it.
OWN_DEV = """
set -e
mount -t tmpfs none "$1"
for name in null zero full random urandom tty; do cp -a /dev/$name "$1"; done
ln -s /proc/self/fd "$1/fd"
ln -s "$2" "$1/log"
mount --bind "$1" /dev
shift 2
exec "$@"
"""


def _may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    attempt = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(attempt, check=False, capture_output=True).returncode == 0


needs_mounts = pytest.mark.skipif(not _may_mount(), reason="/dev/log can't be put elsewhere")


class SystemLog:
    """What stands at /dev/log for a daemon that is started with `wrapper`."""

    def __init__(self, directory: Path) -> None:
        own_dev, path = directory / "dev", directory / "syslog"
        own_dev.mkdir()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)
        self.wrapper = ["unshare", "-m", "sh", "-c", OWN_DEV, "sh", str(own_dev), str(path)]
        self.messages: list[str] = []

    def until(self, *texts: str) -> list[str]:
        """All messages without their time, as soon as each of these is in one."""
        assert eventually(lambda: all(text in "\n".join(self._received()) for text in texts))
        return self.messages

    def _received(self) -> list[str]:
        while True:
            try:
                message = self.socket.recv(1 << 16).decode()
            except BlockingIOError:
                return self.messages
            self.messages.append(re.sub(r"^<14>\w{3} [ \d]\d \d\d:\d\d:\d\d ", "", message))


@pytest.fixture
def system_log(tmp_path: Path) -> Iterator[SystemLog]:
    """A log of the system of its own."""
    one = SystemLog(tmp_path)
    with one.socket:
        yield one


CHATTY = "sh -c 'echo one; printf \"caf\\303\\251\\nlast\"'"


@needs_mounts
@in_both_languages(
    ini=f"""
        [program:web]
        command = {CHATTY}
        stdout_syslog = true
        stdout_logfile = $HERE/web.log
        startsecs = 0
        autorestart = false
        """,
    toml="""
        [program.web]
        command = ["sh", "-c", 'echo one; printf "caf\\303\\251\\nlast"']
        restart = "no"
        min_uptime = "0s"
        log = { stdout = "$HERE/web.log", syslog = true }
        """,
)
def test_lines_go_to_syslog_beside_the_file(
    start_daemon: StartDaemon, home: Home, programs: Programs, system_log: SystemLog
) -> None:
    """Under the name of the daemon, each behind the name of its process."""
    start_daemon(programs, wrapper=system_log.wrapper)
    ident = "supervisord" if programs.dialect is Dialect.INI else "opsvisord"
    assert system_log.until("last") == [
        f"{ident}: web one",
        f"{ident}: web caf\u00e9",
        f"{ident}: web last",
    ]
    assert (home.directory / "web.log").read_text() == "one\ncaf\u00e9\nlast"


@needs_mounts
def test_syslog_has_what_it_has_from_supervisor(
    start_daemon: StartDaemon, home: Home, tmp_path: Path
) -> None:
    """The lines of programs to the letter, and those of the daemon about them."""
    text = f"""
        [program:web]
        command = {CHATTY}
        stdout_logfile = syslog
        startsecs = 0
        autorestart = false
        """
    programs = Programs(text, Dialect.INI)
    logs = []
    for name in ("theirs", "ours"):
        (tmp_path / name).mkdir()
        log = SystemLog(tmp_path / name)
        if name == "theirs":
            home.write(programs, daemon="logfile = syslog")
            with supervisord(home, wrapper=log.wrapper):
                log.until("exited: web", "web last")
        else:
            start_daemon(programs, daemon="logfile = syslog", wrapper=log.wrapper)
            log.until("exited: web", "web last")
        log.socket.close()
        logs.append([_without_numbers(line) for line in log.messages])
    theirs, ours = logs
    for about in (r"supervisord: web ", "syslog but this is", "spawned:", "success:", "exited:"):
        mine = [line for line in ours if re.search(about, line)]
        assert mine == [line for line in theirs if re.search(about, line)]
        assert mine


def _without_numbers(line: str) -> str:
    # Supervisor's own lines end in a newline, which every log of a system takes off.
    line = re.sub(r" \(\S+:\d+\)$", "", line)  # where in the files: only we say that
    line = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}", "TIME", line.rstrip("\n"))
    return re.sub(r"pid \d+", "pid N", line)


@needs_mounts
def test_a_missing_syslog_is_told_and_harms_nobody(
    start_daemon: StartDaemon, home: Home, system_log: SystemLog
) -> None:
    """Nobody listens at /dev/log: the program runs, its file is written, the reason is known."""
    system_log.socket.close()
    daemon = start_daemon(
        Programs(
            f"[program:web]\ncommand = sh -c 'echo one; exec sleep 1000'\nstartsecs = 0\n"
            f"stdout_syslog = true\nstdout_logfile = {home.directory}/web.log\n",
            Dialect.INI,
        ),
        wrapper=system_log.wrapper,
    )
    daemon.until("web", "RUNNING")
    refused = "cannot reach syslog at /dev/log: Connection refused"
    daemon.until_logged(f"log of web (stdout): {refused}")
    assert eventually((home.directory / "web.log").read_text) == "one\n"
    assert daemon.metric("opsvisor_log_dropped_lines_total", process="web", stream="stdout") == 1


BEGIN, END = "<!--XSUPERVISOR:BEGIN-->", "<!--XSUPERVISOR:END-->"
TALKS = f'sh -c \'printf "a{BEGIN}hi{END}b{BEGIN}never ends"; printf "\\210" >&2\''


def debug_lines(log: str) -> list[str]:
    """What a log says of output, without times."""
    entries = re.split(r"(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ", log)
    return sorted(entry for entry in entries if re.match("DEBG .* std(out|err) ", entry))


def test_the_copies_of_debug_are_supervisors_and_what_it_loses_is_kept(
    start_daemon: StartDaemon, home: Home, tmp_path: Path
) -> None:
    """Messages are in no log, but for one without an end, and nothing is held back at the end."""
    common = "stdout_capture_maxbytes = 100\nstartsecs = 0\nautorestart = false\n"
    text = (
        f"[program:web]\ncommand = {TALKS}\nstdout_logfile = {tmp_path}/web.log\n{common}"
        f"[program:last]\ncommand = echo bye\nstdout_logfile = {tmp_path}/last.log\n{common}"
    )
    programs = Programs(text, Dialect.INI)
    home.write(programs, daemon="loglevel = debug")

    def both_exited() -> bool:
        log = _read(home.log_file)
        return "exited: web" in log and "exited: last" in log

    with supervisord(home):
        eventually(both_exited)
    theirs = debug_lines(home.log_file.read_text())
    assert (_read(tmp_path / "web.log"), _read(tmp_path / "last.log")) == ("ab", "")
    for file in (home.log_file, tmp_path / "web.log"):
        file.unlink()
    start_daemon(programs, daemon="loglevel = debug")
    eventually(both_exited)
    ours = debug_lines(home.log_file.read_text())
    assert _read(tmp_path / "web.log") == f"ab{BEGIN}never ends"
    assert _read(tmp_path / "last.log") == "bye\n"
    lost = [
        "DEBG 'last' stdout output:\nbye\n\n",
        f"DEBG 'web' stdout output:\n{BEGIN}never ends\n",
    ]
    assert ours == sorted([*theirs, *lost])


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_nothing_is_copied_above_debug(start_daemon: StartDaemon) -> None:
    """Nor for opsvisor.toml: who wants the details of the daemon's work doesn't want these."""
    daemon = start_daemon(
        "[program.web]\ncommand = 'echo hello'\nmin_uptime = '0s'\n",
        daemon="log_level = 'debug'",
        main="supervisor_interfaces = true",
    )
    daemon.until("web", "EXITED")
    assert "hello" not in daemon.log.replace("echo hello", "")
