"""Flags of opsvisord in a daemon that runs, before and after it reads its files again."""

import signal

from commands import run_program
from daemon import StartDaemon
from home import Dialect, Home, Programs

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


def test_flags_that_mean_nothing_in_toml_say_so(home: Home) -> None:
    """Those about AUTO logs and the background: a warning each, with the reason."""
    home.write(Programs('[program.web]\ncommand = "$VICTIM"\n'))
    words = ["--check", str(home.config), "-k", "-q", ".", "-d", ".", "-i", "x", "-t"]
    checked = run_program("opsvisord", *words, directory=home.directory)
    assert checked.status == 0
    warned = [line.split(" has ")[0] for line in checked.out.splitlines() if "warning" in line]
    assert warned == [
        f"warning: command line: --{name}" for name in ("directory", "childlogdir", "nocleanup")
    ]


def test_escapes_are_stripped_in_toml_too(start_daemon: StartDaemon) -> None:
    """-t speaks for all programs."""
    daemon = start_daemon(
        "[program.web]\ncommand = \"$VICTIM 'say \\u001b[31mred'\"\n", options=["-t"]
    )
    assert "\x1b" not in daemon.until_says("web", "red")
