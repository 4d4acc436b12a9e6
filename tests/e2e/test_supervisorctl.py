"""The real supervisorctl drives the daemon without noticing that it is another one."""

import re
from pathlib import Path

import pytest
from commands import BIN, Following, Ran, environment, run_program
from daemon import Daemon, StartDaemon, eventually
from home import Dialect, Programs
from terminal import Terminal

PROGRAMS = Programs(
    """\
    [program:web]
    command = $VICTIM
    startsecs = 0

    [program:pair]
    command = $VICTIM
    process_name = %(program_name)s_%(process_num)d
    numprocs = 2
    startsecs = 0
    autostart = false

    [program:doomed]
    command = /bin/false
    startretries = 0
    autostart = false

    [program:missing]
    command = $HERE/nothing
    autostart = false
    """,
    Dialect.INI,
)


def ctl(daemon: Daemon, *words: str) -> Ran:
    """Run the real supervisorctl to its end."""
    return run_program(
        "supervisorctl", "-c", str(daemon.home.config), *words, directory=daemon.home.directory
    )


def said(daemon: Daemon, *words: str, status: int = 0) -> str:
    """What supervisorctl prints, nothing of it on standard error, and with this exit status."""
    ran = ctl(daemon, *words)
    assert (ran.status, ran.err) == (status, ""), ran
    return ran.out


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> Daemon:
    """One daemon with the programs above, `web` of them running."""
    running = start_daemon(PROGRAMS)
    running.until("web", "RUNNING")
    return running


def test_status(daemon: Daemon) -> None:
    """One line per process, and an exit status that tells of stopped ones."""
    lines = said(daemon, "status", status=3).splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["doomed", "STOPPED"],
        ["missing", "STOPPED"],
        ["pair:pair_0", "STOPPED"],
        ["pair:pair_1", "STOPPED"],
        ["web", "RUNNING"],
    ]
    assert lines[0] == "doomed                           STOPPED   Not started"
    assert re.search(r"RUNNING   pid \d+, uptime 0:00:\d\d$", lines[4])
    assert said(daemon, "status", "nope", status=4) == "nope: ERROR (no such process)\n"
    assert said(daemon, "status", "nope:*", status=4) == "nope: ERROR (no such group)\n"


def test_start_and_stop(daemon: Daemon) -> None:
    """With the texts that Ansible's module looks for."""
    assert said(daemon, "stop", "web") == "web: stopped\n"
    assert said(daemon, "stop", "web") == "web: ERROR (not running)\n"
    assert re.search(
        r"STOPPED   [A-Z][a-z]{2} \d\d \d\d:\d\d [AP]M$", said(daemon, "status", "web", status=3)
    )
    assert said(daemon, "start", "web") == "web: started\n"
    assert said(daemon, "start", "web") == "web: ERROR (already started)\n"
    assert said(daemon, "restart", "web") == "web: stopped\nweb: started\n"
    assert said(daemon, "start", "pair:*") == "pair:pair_0: started\npair:pair_1: started\n"
    assert said(daemon, "signal", "CONT", "pair:*") == (
        "pair:pair_0: signalled\npair:pair_1: signalled\n"
    )
    assert said(daemon, "stop", "all") == (
        "pair:pair_0: stopped\npair:pair_1: stopped\nweb: stopped\n"
    )


def test_what_cannot_be_started(daemon: Daemon) -> None:
    """Each with its own text and exit status."""
    assert said(daemon, "start", "doomed", status=7) == "doomed: ERROR (spawn error)\n"
    assert said(daemon, "start", "missing", status=1) == "missing: ERROR (no such file)\n"
    assert said(daemon, "start", "nope", status=1) == "nope: ERROR (no such process)\n"
    assert said(daemon, "start", "nope:*", status=2) == "nope: ERROR (no such group)\n"
    assert said(daemon, "stop", "nope:*", status=1) == "nope: ERROR (no such group)\n"
    assert said(daemon, "signal", "HUP", "doomed", status=7) == "doomed: ERROR (not running)\n"
    assert said(daemon, "signal", "NOPE", "web", status=1) == "web: ERROR (bad signal name)\n"


def test_start_in_backoff_is_refused(start_daemon: StartDaemon) -> None:
    """As there, where our own API would try again at once; a stop ends the waiting."""
    daemon = start_daemon(
        Programs("[program:sad]\ncommand = /bin/false\nstartretries = 100\n", Dialect.INI)
    )
    daemon.until("sad", "BACKOFF")
    assert said(daemon, "start", "sad") == "sad: ERROR (already started)\n"
    assert said(daemon, "stop", "sad") == "sad: stopped\n"


def test_pid_version_and_configuration(daemon: Daemon) -> None:
    """What is not about one process."""
    assert said(daemon, "pid") == f"{daemon.pid}\n"
    assert said(daemon, "pid", "web") == f"{daemon.status('web').pid}\n"
    assert said(daemon, "version") == "4.3.0\n"
    assert said(daemon, "avail").splitlines()[-1] == (
        "web                              in use    auto      999:999"
    )
    assert said(daemon, "reread") == "No config updates to processes\n"


# -- configuration ---------------------------------------------------------------------------


def test_update_takes_over_what_the_files_say(daemon: Daemon) -> None:
    """What Ansible's module does: reread, update, add, remove, and read what is printed."""
    daemon.home.rewrite(
        PROGRAMS.text.replace("[program:doomed]", "[program:late]").replace(
            "[program:web]", "[program:web]\n    stopsignal = INT"
        )
    )
    assert said(daemon, "reread") == "doomed: disappeared\nlate: available\nweb: changed\n"
    assert said(daemon, "add", "late") == "late: added process group\n"
    assert said(daemon, "add", "late") == "ERROR: process group already active\n"
    assert said(daemon, "add", "nope", status=1) == "ERROR: no such process/group: nope\n"
    assert said(daemon, "remove", "doomed") == "doomed: removed process group\n"
    assert said(daemon, "remove", "web", status=1) == ("ERROR: process/group still running: web\n")
    assert said(daemon, "update") == "web: stopped\nweb: updated process group\n"
    assert said(daemon, "update") == ""
    daemon.until("web", "RUNNING")
    daemon.home.rewrite("[program:none]\n")
    refused = said(daemon, "reread", status=1)
    assert refused.startswith("ERROR: CANT_REREAD: program section ")
    assert refused.endswith(f" in section 'program:none' (file: '{daemon.home.programs}')\n")
    daemon.home.rewrite("[program:none]\ncommand\n")
    place = f"({daemon.home.programs}:2)"
    says = f"Source contains parsing errors: 'command' {place}"
    assert said(daemon, "reread", status=1) == f"ERROR: CANT_REREAD: {says}\n"


def test_shutdown(daemon: Daemon) -> None:
    """It says so, and the daemon ends."""
    assert said(daemon, "shutdown") == "Shut down\n"
    assert daemon.wait() == 0
    assert said(daemon, "status", status=4).startswith("unix://")


def test_reload(daemon: Daemon) -> None:
    """The daemon begins anew; with files that can't be used it goes on, and says why."""
    began = daemon.client.daemon().started_at
    daemon.home.rewrite("[program:none]\n")
    refused = said(daemon, "reload", status=1)
    assert re.match(r"error: <class 'xmlrpc.client.Fault'>, <Fault 92: .CANT_REREAD: ", refused)
    daemon.home.rewrite(PROGRAMS.text)
    assert said(daemon, "reload") == "Restarted supervisord\n"
    daemon.until_begun_anew(after=began)


# -- logs ------------------------------------------------------------------------------------


def test_tail(daemon: Daemon) -> None:
    """The last 1600 bytes, or as many as are asked for; colours and odd bytes are no trouble."""
    daemon.client.write_stdin("web", "count 1 300\n")
    daemon.until_says("web", "000000300")
    assert said(daemon, "tail", "web") == "".join(f"{n:09}\n" for n in range(141, 301)) + "\n"
    assert said(daemon, "tail", "-25", "web") == "0298\n000000299\n000000300\n\n"
    assert said(daemon, "tail", "web", "stderr") == "\n"
    assert said(daemon, "tail", "missing", status=0) == "\n"
    assert said(daemon, "tail", "nope", status=1) == "nope: ERROR (no such process name)\n"
    assert "INFO spawned: 'web' with pid " in said(daemon, "maintail", "-100000")
    assert said(daemon, "clear", "web", "missing") == "web: cleared\nmissing: cleared\n"
    assert said(daemon, "tail", "web") == "\n"


def _followers(pid: int, name: str) -> int:
    """How many files of this name a process has open for reading."""
    count = 0
    for entry in Path(f"/proc/{pid}/fdinfo").iterdir():
        target = Path(f"/proc/{pid}/fd/{entry.name}")
        if target.exists() and target.readlink().name.startswith(name):
            flags = int(re.findall(r"flags:\s+(\d+)", entry.read_text())[0], 8)
            count += flags & 0o3 == 0
    return count


def following(daemon: Daemon, *words: str) -> Following:
    """The real supervisorctl with a command that goes on until Ctrl-C."""
    command = [str(BIN / "supervisorctl"), "-c", str(daemon.home.config), *words]
    # It does not flush its first words, and nobody would see them who has no terminal.
    surroundings = {**environment("none"), "PYTHONUNBUFFERED": "1"}
    return Following(command, daemon.home.directory, surroundings)


def test_tail_as_it_grows(daemon: Daemon) -> None:
    """From a little before the end on, until Ctrl-C."""
    with following(daemon, "tail", "-f", "web") as tail:
        tail.until("==> Press Ctrl-C to exit <==\n")
        eventually(lambda: _followers(daemon.pid, "web-stdout") == 1)
        daemon.client.write_stdin("web", "count 1 20000\n")  # far more than memory holds
        text = tail.until("000020000\n")
        daemon.ctl("clear", "web")
        daemon.client.write_stdin("web", "say after\n")
        tail.until("==> File truncated <==\n")
        tail.until("after")
    assert [int(n) for n in re.findall(r"^(\d{9})$", text, re.MULTILINE)] == [*range(1, 20001)]
    with following(daemon, "tail", "-f", "nope") as tail:
        tail.until("/logtail/nope/stdout Cannot read, status code 404\n")


def test_maintail_as_it_grows(daemon: Daemon) -> None:
    """And it ends when the daemon does, without holding it up."""
    with following(daemon, "maintail", "-f") as tail:
        tail.until("RUNNING state")
        said(daemon, "stop", "web")
        tail.until("stopped: web (terminated by SIGTERM)\n")
        assert daemon.terminate() == 0


# -- the shell -------------------------------------------------------------------------------


def shell(daemon: Daemon, *words: str) -> Terminal:
    """The real supervisorctl on a terminal."""
    command = [str(BIN / "supervisorctl"), "-c", str(daemon.home.config), *words]
    return Terminal(command, daemon.home.directory, environment("none"))


PROMPT = "supervisor> "


def test_the_shell(daemon: Daemon) -> None:
    """Status first, then a prompt, for as long as one likes."""
    with shell(daemon) as terminal:
        assert re.search(r"web +RUNNING +pid", terminal.until(PROMPT))
        terminal.type("stop web")
        assert "web: stopped\n" in terminal.until(PROMPT)
        terminal.type("start web")
        assert "web: started\n" in terminal.until(PROMPT)
        terminal.type("nonsense")
        assert "*** Unknown syntax: nonsense\n" in terminal.until(PROMPT)
        terminal.type("reload")
        terminal.until("Really restart the remote supervisord process y/N? ")
        terminal.type("n")
        terminal.until(PROMPT)
        terminal.type("tail -f web")
        terminal.until("==> Press Ctrl-C to exit <==")
        eventually(lambda: _followers(daemon.pid, "web-stdout") == 1)
        daemon.client.write_stdin("web", "say hello\n")
        terminal.until("hello\n")
        terminal.press_ctrl_c()
        terminal.until(PROMPT)
        terminal.type("exit")
        assert terminal.ended() == 0


def test_foreground(daemon: Daemon) -> None:
    """What is typed goes to the process, what it prints is shown."""
    with shell(daemon, "fg", "web") as terminal:
        terminal.until("==> Press Ctrl-C to exit <==")
        eventually(lambda: _followers(daemon.pid, "web-") == 2)
        terminal.type("say hello")
        terminal.until("\nhello\n")
        terminal.type("complain loudly")
        terminal.until("\nloudly\n")
        terminal.press_ctrl_c()
        terminal.until("Exiting foreground\n")
        assert terminal.ended() == 0
    assert daemon.status("web").state == "RUNNING"
