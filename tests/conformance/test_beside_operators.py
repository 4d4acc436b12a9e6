"""What an operator meets when something is not as it should be: logs, files, commands, limits.

Each difference is explained in differences.py.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import xmlrpc.client
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from commands import BIN
from contestants import HEAD, Contestant, Fault, Pair, StartPair, new_pair, without_times
from daemon import PATIENCE, eventually

from opsvisor import __version__

CAT = "[program:a]\ncommand=/bin/cat\nstartsecs=0\nstopwaitsecs=1\n"
# Is told to stop, and doesn't: the tests end it by SIGKILL.
DEAF = (
    "[program:deaf]\ncommand=/bin/sh -c \"trap '' TERM; echo deaf; exec cat\"\n"
    "startsecs=0\nstopwaitsecs=3600\nstdout_logfile=$HERE/deaf.out\nautorestart=false\n"
)
MakePair = Callable[[str], Pair]


@pytest.fixture
def make_pair(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> MakePair:
    """Makes both daemons, and starts neither."""

    def make(config: str) -> Pair:
        pair = new_pair(tmp_path_factory.mktemp("p"), config)
        request.addfinalizer(pair.theirs.kill)
        request.addfinalizer(pair.ours.end)
        return pair

    return make


def _status(one: Contestant, name: str) -> dict[str, Any]:
    """What opsvisorctl tells of a process in JSON."""
    (status,) = json.loads(one.opsvisorctl("--json", "status", name).out)["processes"]
    assert isinstance(status, dict)
    return status


# -- logs and files that can't be had ------------------------------------------------------------


def _gone(folder: Path) -> None:
    folder.rmdir()


def _a_directory(folder: Path) -> None:
    (folder / "a.out").mkdir()


@pytest.mark.differs("log-unopened")
@pytest.mark.parametrize(
    ("spoil", "reason"), [(_gone, "ENOENT"), (_a_directory, "EISDIR")], ids=["gone", "directory"]
)
def test_log_that_can_not_be_opened(
    make_pair: MakePair, spoil: Callable[[Path], None], reason: str
) -> None:
    """The program doesn't run there. Here it runs, and its log is told to be missing."""
    # The directory of a log is looked for when the file is read, so it goes only then.
    pair = make_pair(
        f"{HEAD}{CAT}autostart=false\nstartretries=1\nstdout_logfile=$HERE/logs/a.out\n"
    )

    def script(one: Contestant) -> tuple[object, str]:
        (one.directory / "logs").mkdir()
        one.start_and_wait()
        spoil(one.directory / "logs")
        told = one.call("supervisor.startProcess", "a")
        return told, one.until("a", "RUNNING", "FATAL")

    assert pair.both(script) == ((Fault(50, "SPAWN_ERROR: a"), "FATAL"), (True, "RUNNING"))
    theirs, ours = pair.theirs, pair.ours
    assert f"spawnerr: unknown error making dispatchers for 'a': {reason}" in theirs.log
    assert theirs.info("a")["spawnerr"] == f"unknown error making dispatchers for 'a': {reason}"
    assert "WARN log of a (stdout): cannot open" in ours.log
    assert (
        "its log has a problem: cannot open $HERE/logs/a.out" in ours.opsvisorctl("why", "a").out
    )
    assert "logs/a.out" in _status(ours, "a")["log_problem"]
    counted = 'opsvisor_log_write_errors_total{group="a",process="a"} '
    (line,) = [text for text in ours.get("/metrics").text.splitlines() if text.startswith(counted)]
    assert float(line.removeprefix(counted)) > 0


@pytest.mark.differs("activity-log-unopened")
def test_activity_log_that_can_not_be_opened(make_pair: MakePair) -> None:
    """There is a directory where it should be. Supervisor dies; ours says so, and starts."""
    pair = make_pair(HEAD.replace("$HERE/daemon.log", "$HERE/folder") + CAT)
    for one in (pair.theirs, pair.ours):
        (one.directory / "folder").mkdir()
        one.start()
    assert pair.theirs.wait() == 1
    said = pair.theirs.said()
    assert "Traceback" in said
    assert "IsADirectoryError" in said
    eventually(pair.ours.answers)
    pair.ours.until("a", "RUNNING")
    said = pair.ours.neutral(pair.ours.said())
    assert "the daemon's own log: cannot open $HERE/folder: Is a directory" in said


@pytest.mark.differs("socket-directory")
def test_directory_of_the_socket_that_is_not_there(make_pair: MakePair) -> None:
    """Supervisor ends with status 2. Ours makes it, but not what would be above."""
    pair = make_pair(HEAD.replace("$HERE/s", "$HERE/run/s"))
    for one in (pair.theirs, pair.ours):
        one.start()
    assert pair.theirs.wait() == 2
    assert "Cannot open an HTTP server" in pair.theirs.said()
    pair.ours.until_logged("supervisord started with pid")
    eventually((pair.ours.directory / "run/s").is_socket)
    assert pair.ours.terminate() == 0
    pair.ours.write(HEAD.replace("$HERE/s", "$HERE/far/away/s"))
    pair.ours.start()
    assert pair.ours.wait() == 2
    assert not (pair.ours.directory / "far").exists()


@pytest.mark.differs("pidfile-device")
def test_pid_file_that_is_no_file(make_pair: MakePair) -> None:
    """Both write to it. At its end Supervisor removes it, whatever it is."""
    pair = make_pair(HEAD.replace("daemon.pid", "fifo"))

    def script(one: Contestant) -> tuple[bool, bool]:
        path = one.directory / "fifo"
        os.mkfifo(path)
        reader = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        try:
            one.start_and_wait()
            written = os.read(reader, 100) == f"{one.pid}\n".encode()
            assert one.terminate() == 0
        finally:
            os.close(reader)
        return written, path.exists()

    assert pair.both(script) == ((True, False), (True, True))


@pytest.mark.differs("old-auto-logs")
def test_old_auto_logs(make_pair: MakePair) -> None:
    """What only looks like one, or is a link, is taken away there. Both take what is one."""
    names = {
        "old": "x-stdout---supervisor-abcdefgh.log",
        "rotated": "x-stdout---supervisor-abcdefgh.log.10",
        "of somebody else": "notes---supervisor-2026.log",
        "link": "y-stdout---supervisor-abcdefgh.log",
    }
    pair = make_pair(HEAD)

    def script(one: Contestant) -> set[str]:
        for kind, name in names.items():
            if kind == "link":
                (one.directory / name).symlink_to(one.config)
            else:
                (one.directory / name).write_text("old")
        one.start_and_wait()
        return {kind for kind, name in names.items() if os.path.lexists(one.directory / name)}

    assert pair.both(script) == (set(), {"of somebody else", "link"})


@pytest.mark.differs("rotated-before")
def test_size_of_rotated_logs(start_pair: StartPair) -> None:
    """A log is rotated when it has become too large, or before it would."""
    pair = start_pair(f"{HEAD}{CAT}stdout_logfile=$HERE/a.out\nstdout_logfile_maxbytes=1000\n")

    def script(one: Contestant) -> dict[str, int]:
        one.until("a", "RUNNING")

        def sizes() -> dict[str, int]:
            try:
                return {path.name: path.stat().st_size for path in one.directory.glob("a.out*")}
            except FileNotFoundError:  # it is being rotated
                return {}

        for written in (600, 1200):
            assert one.call("supervisor.sendProcessStdin", "a", "x" * 599 + "\n") is True
            eventually(partial(_adds_up, sizes, written))
        # There the new file comes a moment after the old one has got its last bytes.
        return eventually(lambda: found if len(found := sizes()) == 2 else None)

    theirs, ours = pair.both(script)
    assert theirs == {"a.out.1": 1200, "a.out": 0}
    assert max(ours.values()) <= 1000


def _adds_up(sizes: Callable[[], dict[str, int]], written: int) -> bool:
    return sum(sizes().values()) == written


@pytest.mark.differs("fcgi-file-removed")
def test_file_of_a_fastcgi_socket(start_pair: StartPair) -> None:
    """When its last process has ended, the socket is closed; only ours takes the file away."""
    pair = start_pair(
        f"{HEAD}[fcgi-program:f]\ncommand=/bin/sleep 3600\nsocket=unix://$HERE/f\n"
        "startsecs=0\nstopwaitsecs=1\n"
    )

    def script(one: Contestant) -> bool:
        one.until("f", "RUNNING")
        assert (one.directory / "f").is_socket()
        assert one.call("supervisor.stopProcess", "f") is True
        one.until_logged("Closing socket")
        return (one.directory / "f").exists()

    assert pair.both(script) == (True, False)


# -- starting, stopping, updating ----------------------------------------------------------------


@pytest.mark.differs("exec-failure")
def test_failure_of_exec(make_pair: MakePair) -> None:
    """It has the bit, and still the kernel can't run it: only the child learns that."""
    pair = make_pair(
        f"{HEAD}[program:a]\ncommand=$HERE/script\nstartsecs=100\nstartretries=0\nautostart=false\n"
    )

    def script(one: Contestant) -> tuple[object, object, list[str]]:
        one.write("no interpreter is named", "script").chmod(0o755)
        one.start_and_wait()
        told = one.call("supervisor.startProcess", "a")
        one.until("a", "FATAL")
        before = len(one.log.splitlines())
        by_ctl = one.opsvisorctl("start", "a") if one.is_ours else one.supervisorctl("start", "a")
        return told, by_ctl, without_times(one.neutral(one.log))[before:]

    theirs, ours = pair.both(script)
    assert (
        theirs[:2]
        == ours[:2]
        == (Fault(50, "SPAWN_ERROR: a"), (7, "a: ERROR (spawn error)\n", ""))
    )
    gave_up = "INFO gave up: a entered FATAL state, too many start retries too quickly"
    assert theirs[2] == [
        "INFO spawned: 'a' with pid N",
        "WARN exited: a (exit status 127; not expected)",
        gave_up,
    ]
    spawn_error, last = ours[2]
    assert spawn_error.startswith("INFO spawnerr: couldn't exec $HERE/script: ENOEXEC")
    assert last == gave_up
    assert pair.theirs.info("a")["spawnerr"].startswith("Exited too quickly")
    assert pair.ours.info("a")["spawnerr"].startswith("couldn't exec $HERE/script: ENOEXEC")


# Runs a command without the right to change its user (CAP_SETUID), not even as root.
_WITHOUT_SETUID = (
    "import ctypes, os, sys; assert ctypes.CDLL(None).prctl(24, 7, 0, 0, 0) == 0; "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


@pytest.mark.differs("exec-failure")
def test_failure_to_become_a_user(make_pair: MakePair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child may not do what is asked of it, as in containers."""
    command = vars(Contestant)["command"].fget
    confined = [sys.executable, "-c", _WITHOUT_SETUID]
    monkeypatch.setattr(Contestant, "command", property(lambda one: [*confined, *command(one)]))
    pair = make_pair(
        f"{HEAD}[program:a]\ncommand=/bin/cat\nuser=nobody\nstartsecs=100\nstartretries=0\nautostart=false\n"
    )

    def script(one: Contestant) -> tuple[object, str, bool]:
        one.start_and_wait()
        told = one.call("supervisor.startProcess", "a")
        one.until("a", "FATAL")
        return told, one.info("a")["spawnerr"], "exited: a (exit status 127; " in one.log

    theirs, ours = pair.both(script)
    assert theirs == (
        Fault(50, "SPAWN_ERROR: a"),
        "Exited too quickly (process log may have details)",
        True,
    )
    assert ours == (Fault(50, "SPAWN_ERROR: a"), "couldn't setuid to 65534: EPERM", False)


@pytest.mark.differs("relative-command")
def test_relative_command_with_a_directory(make_pair: MakePair) -> None:
    """Supervisor looks for it where the daemon was started."""
    pair = make_pair(
        f"{HEAD}[program:a]\ncommand=./script\ndirectory=$HERE/folder\nstartretries=0\n"
        "startsecs=0\nautorestart=false\nstdout_logfile=$HERE/a.out\n"
    )

    def script(one: Contestant) -> tuple[str, str]:
        one.write("#!/bin/sh\necho it runs\n", "folder/script").chmod(0o755)
        one.start_and_wait()
        return one.until("a", "FATAL", "EXITED"), one.info("a")["spawnerr"]

    assert pair.both(script) == (("FATAL", "can't find command './script'"), ("EXITED", ""))
    assert pair.ours.until_text("a.out", "\n") == "it runs\n"


@pytest.mark.differs("update-running")
def test_update_of_what_was_started_by_hand(start_pair: StartPair) -> None:
    """Supervisorctl leaves it stopped, whoever it talks to. opsvisorctl lets it run again."""
    before, after = (
        f"{HEAD}{CAT}autostart=false\n",
        f"{HEAD}{CAT}autostart=false\nstartretries=9\n",
    )
    pair = start_pair(before)

    def updated_by(control: Callable[..., object], one: Contestant) -> tuple[object, str]:
        one.call("supervisor.startProcess", "a")
        one.until("a", "RUNNING")
        one.write(after)
        told = control("update")
        return told, one.until("a", "RUNNING", "STOPPED")

    told, state = pair.agree(lambda one: updated_by(one.supervisorctl, one))
    assert (told, state) == ((0, "a: stopped\na: updated process group\n", ""), "STOPPED")
    pair.ours.write(before)
    pair.ours.supervisorctl("update")
    told, state = updated_by(pair.ours.opsvisorctl, pair.ours)
    assert (told, state) == ((0, "a: updated process group\n", ""), "RUNNING")
    assert pair.ours.call("supervisor.getAllConfigInfo")[0]["startretries"] == 9


@pytest.mark.differs("start-in-stopping")
def test_start_during_a_stop(start_pair: StartPair) -> None:
    """Refused by RPC, so by supervisorctl. opsvisorctl starts it when it has ended."""
    pair = start_pair(HEAD + DEAF)

    def refused(one: Contestant) -> tuple[object, object]:
        one.until_text("deaf.out", "deaf")
        assert one.call("supervisor.stopProcess", "deaf", False) is True
        one.until("deaf", "STOPPING")
        return one.call("supervisor.startProcess", "deaf"), one.supervisorctl("start", "deaf")

    told = pair.agree(refused)
    assert told == (
        Fault(40, "ABNORMAL_TERMINATION: deaf"),
        (7, "deaf: ERROR (abnormal termination)\n", ""),
    )
    ours = pair.ours
    with ThreadPoolExecutor(1) as waiting:
        start = waiting.submit(ours.opsvisorctl, "start", "deaf")
        # Noted by the daemon, and not refused.
        eventually(lambda: start.done() or _status(ours, "deaf")["expected_running"])
        assert not start.done()
        os.kill(ours.info("deaf")["pid"], signal.SIGKILL)
        assert start.result() == (0, "deaf: started\n", "")
    assert ours.state("deaf") == "RUNNING"
    os.kill(ours.info("deaf")["pid"], signal.SIGKILL)  # or its end would take an hour
    ours.until("deaf", "EXITED")


@pytest.mark.differs("ctl-during-shutdown")
def test_control_programs_during_a_shutdown(start_pair: StartPair) -> None:
    """A fault in the clothes of an exception there, a sentence here; the state can be asked."""
    pair = start_pair(HEAD + DEAF + CAT)

    def script(one: Contestant) -> int:
        one.until_text("deaf.out", "deaf")
        pid = int(one.info("deaf")["pid"])
        assert one.call("supervisor.shutdown") is True
        one.until_logged("waiting for")
        return pid

    pids = pair.both(script)
    by_real_ctl = pair.agree(lambda one: one.supervisorctl("start", "a"))
    assert by_real_ctl.status == 1
    assert by_real_ctl.out.startswith("error: <class 'xmlrpc.client.Fault'>, <Fault 6: ")
    assert pair.theirs.supervisorctl("status").status == 1
    assert pair.ours.opsvisorctl("start", "a") == (1, "a: ERROR (supervisor shutting down)\n", "")
    assert "STOPPING" in pair.ours.opsvisorctl("status", "deaf").out
    for one, pid in zip((pair.theirs, pair.ours), pids, strict=True):
        os.kill(pid, signal.SIGKILL)
        assert one.wait() == 0


# -- events --------------------------------------------------------------------------------------

# Notes what it is told; after an event that it is given by name, it waits a moment for SIGTERM.
LISTENER = """\
import json, signal, sys
book = sys.argv[1]
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
def note(*words):
    with open(book, "a") as told:
        told.write(json.dumps(words) + "\\n")
while True:
    sys.stdout.write("READY\\n")
    sys.stdout.flush()
    header = dict(word.split(":") for word in sys.stdin.readline().split())
    note(header["eventname"], sys.stdin.read(int(header["len"])))
    if header["eventname"] == "SUPERVISOR_STATE_CHANGE_STOPPING":
        told_to_stop = signal.sigtimedwait([signal.SIGTERM], 0.05)
        note("answered" if told_to_stop is None else "cut off", "")
    sys.stdout.write("RESULT 2\\nOK")
    sys.stdout.flush()
"""


def _listening(events: str) -> str:
    return (
        f"[eventlistener:ears]\ncommand={sys.executable} -I -S $HERE/ears.py $HERE/told\n"
        f"events={events}\nbuffer_size=1000\nstartsecs=0\nstopwaitsecs=2\n"
    )


def _told(one: Contestant) -> list[tuple[str, str]]:
    """What the listener has noted: the name of each event and its payload."""
    path = one.directory / "told"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [(name, payload) for name, payload in map(json.loads, lines)]


@pytest.mark.differs("events-of-pacing")
def test_events_of_paced_restarts(start_pair: StartPair) -> None:
    """What waits before it is restarted is in BACKOFF, and listeners hear of that."""
    config = f"{HEAD}{_listening('PROCESS_STATE')}"
    config += "[program:a]\ncommand=/bin/true\nstartsecs=0\nautorestart=true\n"

    def script(one: Contestant) -> set[tuple[str, str]]:
        def moves() -> list[tuple[str, str]]:
            return [
                (payload.split("from_state:")[1].split()[0], name.removeprefix("PROCESS_STATE_"))
                for name, payload in _told(one)
                if "processname:a " in payload
            ]

        def turns_its_loop() -> bool:
            """Supervisor looks after its programs when there is something to do besides."""
            one.call("supervisor.getState")
            return moves().count(("RUNNING", "EXITED")) >= 4

        eventually(turns_its_loop)
        return set(moves())

    theirs, ours = start_pair(config, files={"ears.py": LISTENER}).both(script)
    in_common = {
        ("STOPPED", "STARTING"),
        ("STARTING", "RUNNING"),
        ("RUNNING", "EXITED"),
        ("EXITED", "STARTING"),
    }
    assert theirs == in_common
    assert ours == in_common | {("EXITED", "BACKOFF"), ("BACKOFF", "STARTING")}


@pytest.mark.differs("captured-once")
def test_captured_text_as_events(start_pair: StartPair) -> None:
    """It is sent as PROCESS_COMMUNICATION, and by Supervisor as PROCESS_LOG besides."""
    config = (
        f"{HEAD}{_listening('PROCESS_LOG,PROCESS_COMMUNICATION')}"
        "[program:a]\nautostart=false\nstartsecs=0\nstdout_events_enabled=true\n"
        "stdout_capture_maxbytes=1KB\nstopwaitsecs=1\ncommand=/bin/sh -c "
        "'printf \"<!--XSUPERVISOR:BEGIN-->psst<!--XSUPERVISOR:END-->%%060d\" 0; read x'\n"
    )

    def script(one: Contestant) -> list[tuple[str, str]]:
        one.until("ears", "RUNNING")
        assert one.call("supervisor.startProcess", "a") is True
        one.until_text("told", "0" * 20)
        return [(name, payload.split("\n")[1]) for name, payload in _told(one)]

    theirs, ours = start_pair(config, files={"ears.py": LISTENER}).both(script)
    assert ("PROCESS_COMMUNICATION_STDOUT", "psst") in theirs
    assert ("PROCESS_COMMUNICATION_STDOUT", "psst") in ours
    assert ("PROCESS_LOG_STDOUT", "psst") in theirs
    assert not any("psst" in text for name, text in ours if name == "PROCESS_LOG_STDOUT")


@pytest.mark.differs("last-answers")
def test_last_answers_of_listeners(start_pair: StartPair) -> None:
    """They are told that the daemon stops, and have a second to answer before they are stopped."""
    config = HEAD + _listening("SUPERVISOR_STATE_CHANGE_STOPPING")

    def script(one: Contestant) -> list[str]:
        one.until("ears", "RUNNING")
        assert one.terminate() == 0
        return [name for name, _ in _told(one)]

    theirs, ours = start_pair(config, files={"ears.py": LISTENER}).both(script)
    assert theirs == []
    assert ours == ["SUPERVISOR_STATE_CHANGE_STOPPING", "answered"]


# -- servers and control programs ----------------------------------------------------------------


@pytest.mark.differs("body-of-401")
def test_body_of_a_refused_login(start_pair: StartPair) -> None:
    """The status and the challenge are the same; the body is a page there, and JSON here."""
    port = "port = 127.0.0.1:$PORT\n"
    pair = start_pair(HEAD.replace(port, f"{port}username=u\npassword=p\n"))

    def script(one: Contestant) -> tuple[tuple[int, str | None], str | None, bytes]:
        with closing(one.tcp) as connection:
            connection.request("POST", "/RPC2", "")
            response = connection.getresponse()
            kind = response.headers["Content-Type"]
            told = (response.status, response.headers["WWW-Authenticate"])
            return told, kind, response.read()

    theirs, ours = pair.both(script)
    assert theirs[0] == ours[0] == (401, 'Basic realm="default"')
    assert theirs[1] == "text/html"
    assert ours[1] == "application/problem+json"
    assert json.loads(ours[2])["code"] == "unauthorized"


@pytest.mark.differs("body-too-large")
def test_body_of_more_than_a_megabyte(start_pair: StartPair) -> None:
    """Supervisor reads calls of any size."""
    pair = start_pair(HEAD)

    def statuses(one: Contestant) -> list[int]:
        bodies = (
            xmlrpc.client.dumps(("x" * size,), "system.methodHelp")
            for size in (2**20 - 1000, 2**20)
        )
        return [one.post(body).status for body in bodies]

    assert pair.both(statuses) == ([200, 200], [200, 413])


@pytest.mark.differs("ctl-open")
def test_open_of_a_server_that_is_not_there(start_pair: StartPair) -> None:
    """Both say that it refuses; a script can tell by the status of ours alone."""
    pair = start_pair(HEAD)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and doesn't listen, nor can anybody else
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        theirs = pair.theirs.supervisorctl("open", url)
        ours = pair.ours.opsvisorctl("open", url)
    assert theirs == (0, f"{url} refused connection\n", "")
    assert (ours.status, ours.out) == (4, f"{url} refused connection\n")


@pytest.mark.differs("ctl-table")
def test_status_on_a_terminal(start_pair: StartPair) -> None:
    """A table for people; what is piped, or asked for with --plain, is Supervisor's text."""
    pair = start_pair(HEAD + CAT)
    pair.both(lambda one: one.until("a", "RUNNING"))
    theirs, ours = pair.theirs, pair.ours
    text = f"a                                RUNNING   pid {theirs.info('a')['pid']}, uptime"
    assert _on_a_terminal(theirs, "supervisorctl", "status").startswith(text)
    text = f"a                                RUNNING   pid {ours.info('a')['pid']}, uptime"
    assert "1 running" in _on_a_terminal(ours, "opsvisorctl", "status")
    assert _on_a_terminal(ours, "opsvisorctl", "--plain", "status").startswith(text)
    assert ours.opsvisorctl("status").out.startswith(text)


def _on_a_terminal(one: Contestant, program: str, *words: str) -> str:
    """What it prints there."""
    main, terminal = os.openpty()
    try:
        command = [str(BIN / program), "-c", str(one.config), *words]
        environment = {**one.environment, "TERM": "xterm"}
        child = subprocess.Popen(
            command, env=environment, stdin=terminal, stdout=terminal, stderr=terminal
        )
        assert child.wait(PATIENCE) == 0
        return os.read(main, 65536).decode()
    finally:
        os.close(terminal)
        os.close(main)


@pytest.mark.differs("daemon-version")
def test_version_of_the_daemon(tmp_path: Path) -> None:
    """Each its own. XML-RPC tells 4.3.0 with both, since clients depend on it."""
    pair = new_pair(tmp_path, HEAD)
    for flag in ("-v", "--version"):
        assert pair.theirs.run_daemon(flag) == (0, "4.3.0\n", "")
        assert pair.ours.run_daemon(flag) == (0, f"{__version__}\n", "")
