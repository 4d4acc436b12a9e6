"""Flags of opsvisord in a daemon that runs, before and after it reads its files again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import run_program
from daemon import StartDaemon
from home import Dialect, Home, Programs
from procfs import status_of

from opsvisor.config.problems import ConfigError
from opsvisor.daemon.reading import read_configuration

INI = Programs("[program:web]\ncommand = $VICTIM 'say \x1b[31mred'\n", Dialect.INI)


def test_flags_outrank_a_file_of_supervisors(start_daemon: StartDaemon, home: Home) -> None:
    """Also those that decide about programs, -i, -q and -t, and also after a reload."""
    logs = home.directory / "logs"
    logs.mkdir()
    options = ["-i", "night-shift", "-q", str(logs), "-t", "-e", "debug", "-s"]
    daemon = start_daemon(INI, daemon="identifier = day-shift\nloglevel = error", options=options)
    for _ in range(2):
        assert daemon.client.daemon().identifier == "night-shift"
        assert "\x1b" not in daemon.until_says("web", "red")
        (log,) = logs.glob("web-stdout---night-shift-????????.log")
        assert log.read_text().endswith("red\n")
        started = daemon.client.daemon().started_at
        daemon.signal(signal.SIGHUP)
        daemon.until_begun_anew(after=started)
    assert " DEBG " in daemon.log
    assert home.output.read_text() == ""


def test_flags_outrank_our_own_file(start_daemon: StartDaemon, home: Home) -> None:
    """Where it says the same under another name, and also after a reload."""
    logs, log = home.directory / "logs", home.directory / "${odd}.log"
    logs.mkdir()
    old = logs / "web-stdout---night-shift-00000000.log"
    old.write_text("of an earlier life")
    daemon = start_daemon(
        '[program.web]\ncommand = "$VICTIM"\nlog.stdout = "auto"\n',
        daemon=f"""
        identifier = "day-shift"
        daemonize = true
        remove_auto_logs = true
        child_log_dir = "{home.directory}"
        umask = "077"
        """.replace("        ", ""),
        options=["-n", "-i", "night-shift", "-q", str(logs), "-k", "-m", "027", "-l", str(log)],
    )
    for _ in range(2):
        assert daemon.client.daemon().identifier == "night-shift"
        assert daemon.client.daemon().log_file == str(log)
        assert len(set(logs.glob("web-stdout---night-shift-????????.log")) - {old}) == 1
        started = daemon.client.daemon().started_at
        daemon.signal(signal.SIGHUP)
        daemon.until_begun_anew(after=started)
    assert old.exists()
    assert status_of(daemon.pid)["Umask"] == "0027"
    assert "opsvisord started" in home.output.read_text()  # in the foreground, and not silent


def test_a_flag_without_an_effect_says_so(home: Home) -> None:
    """In the foreground nobody goes anywhere."""
    home.write(Programs('[program.web]\ncommand = "$VICTIM"\n'))
    words = ["--check", str(home.config), "-k", "-q", ".", "-d", ".", "-t"]
    checked = run_program("opsvisord", *words, directory=home.directory)
    assert checked.status == 0
    (warned,) = [line for line in checked.out.splitlines() if "warning" in line]
    assert warned == "warning: command line: --directory has no effect in the foreground"


def test_our_own_file_needs_nothing_of_supervisors(home: Home) -> None:
    """Whatever the flags: its readers and interfaces are not even loaded."""
    home.write(Programs('[program.web]\ncommand = "$VICTIM"\n'))
    flags = ["-k", "-t", "-s", "-n", "-y", "5MB", "-e", "info", "-u", str(os.geteuid())]
    words = ["--check", str(home.config), *flags]
    code = f"from opsvisor.daemon import main; main({words}); import sys; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "ok, 1 program," in ran.stdout
    assert "opsvisor.compat" not in ran.stdout


def test_a_log_in_syslog_is_no_file(home: Home) -> None:
    """-l syslog means the same with either format."""
    home.write(Programs(""))
    given = {"logfile": "syslog"}
    log = read_configuration(home.config, given, home.directory).settings.log
    assert (log.path, log.syslog) == (None, True)
    home.write(Programs("", Dialect.INI))
    log = read_configuration(home.config, given, home.directory).settings.log
    assert (log.path, log.syslog) == (None, True)


def test_escapes_are_stripped_in_toml_too(start_daemon: StartDaemon) -> None:
    """-t speaks for all programs."""
    daemon = start_daemon(
        "[program.web]\ncommand = \"$VICTIM 'say \\u001b[31mred'\"\n", options=["-t"]
    )
    assert "\x1b" not in daemon.until_says("web", "red")


def test_a_socket_of_supervisors_that_is_too_long(tmp_path: Path) -> None:
    """A daemon that could not listen there is refused beforehand, and by --check."""
    path = tmp_path / "supervisord.conf"
    path.write_text(f"[supervisord]\n[unix_http_server]\nfile = /{'x' * 107}\n")
    with pytest.raises(ConfigError) as caught:
        read_configuration(path, {}, tmp_path)
    assert str(caught.value) == (
        f"{path}: [unix_http_server] has too long a path for a socket: unix:///{'x' * 107}\n"
        "    hint: the kernel takes 107 bytes"
    )
