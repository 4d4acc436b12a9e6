"""What differs on purpose, and is shown nowhere else.

Each of them is explained in differences.py.
"""

import base64
import os
import signal
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from contestants import HEAD, Contestant, Fault, HttpError, StartPair, new_pair
from daemon import eventually
from procfs import status_of

CAT = "[program:a]\ncommand=/bin/cat\nstartsecs=0\n"


def _get(one: Contestant, path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    """Status and kind of what is answered over TCP."""
    with closing(one.tcp) as connection:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        response.read()
        return response.status, response.headers.get("Content-Type", "").partition(";")[0]


@pytest.mark.differs("no-web-pages")
def test_web_pages(start_pair: StartPair) -> None:
    """There, a GET may even stop everything. Here, none of those pages is there."""
    pair = start_pair(HEAD + CAT)
    pair.both(lambda one: one.until("a", "RUNNING"))
    theirs, ours = pair.theirs, pair.ours
    for path in ("/", "/index.html", "/tail.html?processname=a", "/stylesheets/supervisor.css"):
        assert _get(theirs, path)[0] == 200
    assert _get(theirs, "/index.html?action=stopall")[0] == 301
    assert theirs.until("a", "STOPPED")
    assert _get(ours, "/") == (200, "text/plain")
    for path in ("/index.html", "/tail.html?processname=a", "/index.html?action=stopall"):
        assert _get(ours, path)[0] == 404
    assert ours.state("a") == "RUNNING"


@pytest.mark.differs("foreign-host")
def test_requests_for_another_host(start_pair: StartPair) -> None:
    """A page whose name resolves to 127.0.0.1 could steer a daemon without a password."""
    pair = start_pair(HEAD)
    theirs, ours = pair.both(lambda one: _get(one, "/ok.html", {"Host": "elsewhere.example"})[0])
    assert (theirs, ours) == (200, 421)
    for host in ("localhost", "127.0.0.1", "127.0.0.1:1"):
        for one in (pair.theirs, pair.ours):
            assert _get(one, "/ok.html", {"Host": host})[0] == 200


@pytest.mark.differs("no-500")
def test_arguments_of_the_wrong_type(start_pair: StartPair) -> None:
    """Supervisor's code fails at some of them, and says nothing but that."""
    pair = start_pair(HEAD + CAT)
    odd: list[tuple[str, tuple[Any, ...]]] = [
        ("getProcessInfo", (5,)),
        ("startProcess", (["a"],)),
        ("stopProcess", ({"name": "a"},)),
        ("readProcessStdoutLog", ("a", "x", 0)),
    ]
    for method, params in odd:
        theirs = pair.theirs.call(f"supervisor.{method}", *params)
        ours = pair.ours.call(f"supervisor.{method}", *params)
        assert theirs == HttpError(500) or isinstance(theirs, Fault)
        assert isinstance(ours, Fault)
        assert ours.code in (2, 10)


@pytest.mark.differs("no-500")
@pytest.mark.parametrize("calls", [["x"], "x", [{"methodName": 5}]], ids=str)
def test_multicalls_of_the_wrong_type(start_pair: StartPair, calls: Any) -> None:
    """Nor do traceback and status 500 help whoever packed them."""
    theirs, ours = start_pair(HEAD).both(lambda one: one.call("system.multicall", calls))
    assert theirs == HttpError(500) or theirs[0]["faultString"].startswith("FAILED: <class ")
    fault = ours[0]["faultCode"] if isinstance(ours, list) else ours.code
    assert fault in (1, 2)


@pytest.mark.differs("no-500")
def test_odd_requests(start_pair: StartPair) -> None:
    """Credentials without a colon, the log of nobody."""
    port = "port = 127.0.0.1:$PORT\n"
    guarded = HEAD.replace(port, f"{port}username=u\npassword=p\n")
    pair = start_pair(guarded)
    nonsense = {"Authorization": "Basic " + base64.b64encode(b"nocolon").decode()}
    assert pair.both(lambda one: _get(one, "/ok.html", nonsense)[0]) == (500, 401)
    assert pair.both(lambda one: one.get("/logtail").status) == (500, 404)


@pytest.mark.differs("config-info-large")
def test_sizes_beyond_two_gigabytes(start_pair: StartPair) -> None:
    """They don't fit XML-RPC's integers: nobody learns anything about any program there."""
    pair = start_pair(f"{HEAD}{CAT}stdout_logfile_maxbytes=3GB\n")
    theirs, ours = pair.both(lambda one: one.call("supervisor.getAllConfigInfo"))
    assert theirs == HttpError(500)
    assert ours[0]["stdout_logfile_maxbytes"] == 2**31 - 1


@pytest.mark.differs("term-after-start")
def test_stop_right_after_start(start_pair: StartPair) -> None:
    """A signal that arrives before the program has become itself is lost there."""
    config = f"{HEAD}[program:a]\ncommand=/bin/cat\nautostart=false\nstopwaitsecs=1\n"

    def script(one: Contestant) -> bool:
        start = {"methodName": "supervisor.startProcess", "params": ["a", False]}
        stop = {"methodName": "supervisor.stopProcess", "params": ["a", False]}
        for _ in range(8):
            assert one.call("system.multicall", [start, stop]) == [True, True]
            one.until("a", "STOPPED")
        return "with SIGKILL" in one.log

    assert start_pair(config).both(script) == (True, False)


@pytest.mark.differs("stop-continues")
def test_stop_of_a_suspended_process(start_pair: StartPair) -> None:
    """Supervisor kills it in the end. Here it goes on, to end in order, and all are told to."""
    common = "startsecs=0\nstopwaitsecs=1\nstdout_logfile=$HERE/%(program_name)s.out\n"
    config = (
        f"{HEAD}[program:suspended]\ncommand=$VICTIM 'finish TERM 0'\n{common}"
        f"[program:awake]\ncommand=$VICTIM 'ignore TERM' 'finish CONT 0'\n{common}"
    )

    def script(one: Contestant) -> list[bool]:
        for name in ("suspended", "awake"):
            one.until_text(f"{name}.out", "will finish")
        pid = one.info("suspended")["pid"]
        os.kill(pid, signal.SIGSTOP)
        eventually(lambda: status_of(pid)["State"].startswith("T"))
        for name in ("suspended", "awake"):
            assert one.call("supervisor.stopProcess", name) is True
            if one.is_ours:
                one.until_text(f"{name}.out", "finished")
        said = [(one.directory / f"{name}.out").read_text() for name in ("suspended", "awake")]
        return ["finished" in text for text in said]

    assert start_pair(config).both(script) == ([False, False], [True, True])


@pytest.mark.differs("pidfile-of-others")
def test_a_pid_file_that_is_none(start_pair: StartPair) -> None:
    """Replaced there, and removed at the end; here it stays as it is."""

    def script(one: Contestant) -> str:
        text = (one.directory / "daemon.pid").read_text()
        return "a pid" if text == f"{one.pid}\n" else text

    kept = "12345 and more\n"
    pair = start_pair(HEAD, files={"daemon.pid": kept})
    assert pair.both(script) == ("a pid", kept)
    assert "could not write pidfile" in pair.ours.log


@pytest.mark.differs("directory-empty")
def test_an_empty_directory(start_pair: StartPair) -> None:
    """Supervisor tries to enter it; here nothing is given where nothing is written."""
    config = f"{HEAD}[program:a]\ncommand=/bin/cat\ndirectory=\nstartsecs=100\nstartretries=0\n"

    def script(one: Contestant) -> tuple[str, bool]:
        state = one.until("a", "STARTING" if one.is_ours else "FATAL")
        return state, "exit status 127" in one.log

    pair = start_pair(config)
    assert pair.both(script) == (("FATAL", True), ("STARTING", False))
    where = Path(f"/proc/{eventually(lambda: pair.ours.info('a')['pid'])}/cwd")
    assert where.readlink() == pair.ours.directory


@pytest.mark.differs("tail-dev-null")
def test_tail_of_what_is_logged_nowhere(start_pair: StartPair) -> None:
    """Supervisor reads the device; ours has the output in memory."""
    config = (
        f"{HEAD}[program:a]\ncommand=/bin/echo hello\nstartsecs=0\nautorestart=false\n"
        "stdout_logfile=/dev/null\n"
    )

    def script(one: Contestant) -> list[str]:
        one.until("a", "EXITED")
        read = one.call("supervisor.readProcessStdoutLog", "a", 0, 0)
        tail, _, _ = one.call("supervisor.tailProcessStdoutLog", "a", 0, 100)
        return [read, tail, one.supervisorctl("tail", "a").out.strip()]

    assert start_pair(config).both(script) == ([""] * 3, ["hello\n", "hello\n", "hello"])


@pytest.mark.differs("paced-restarts")
def test_endless_restarts(start_pair: StartPair) -> None:
    """As fast as it can, for ever; or slower and slower."""
    config = f"{HEAD}[program:a]\ncommand=/bin/true\nstartsecs=0\nautorestart=true\n"
    pair = start_pair(config)

    def turns_its_loop() -> bool:
        """Supervisor looks after its programs when there is something to do besides."""
        return bool(pair.theirs.call("supervisor.getState")) and pair.theirs.log.count(told) >= 30

    told = "spawned: 'a'"
    eventually(turns_its_loop)
    assert 0 < pair.ours.log.count(told) < 15


@pytest.mark.differs("start-in-backoff")
def test_start_during_backoff(start_pair: StartPair) -> None:
    """Supervisorctl is refused by both; opsvisorctl may start what waits for its next attempt."""
    config = f"{HEAD}[program:a]\ncommand=/bin/false\nstartsecs=100\nstartretries=1000000\n"
    pair = start_pair(config)

    def refused(one: Contestant) -> object:
        one.until("a", "BACKOFF")
        return one.call("supervisor.startProcess", "a")

    assert pair.agree(refused) == Fault(60, "ALREADY_STARTED: a")
    pair.ours.until("a", "BACKOFF")
    assert pair.ours.opsvisorctl("start", "a").out == "a: ERROR (spawn error)\n"


@pytest.mark.differs("stray-percent")
def test_a_stray_percent_sign(tmp_path_factory: pytest.TempPathFactory) -> None:
    """`100% sure` is a conversion of the whole environment there. Here it is an error."""
    pair = new_pair(
        tmp_path_factory.mktemp("p"),
        f"{HEAD}[program:a]\ncommand=/bin/echo 100% sure\nstartsecs=0\nautorestart=false\n"
        "stdout_logfile=$HERE/a.out\n",
    )
    try:
        pair.theirs.start()
        eventually(pair.theirs.answers)
        assert "ENV_PATH" in pair.theirs.until_text("a.out", "\n")
        refused = pair.ours.run_daemon("-n", "-c", str(pair.ours.config))
        assert refused.status == 2
        assert "command" in refused.err
    finally:
        pair.theirs.kill()
        pair.ours.kill()


@pytest.mark.differs("environment-quotes")
def test_quotes_and_escapes_in_the_environment(start_pair: StartPair) -> None:
    """Another value for the program; which variables have one is told wherever one would look."""
    pair = start_pair(
        f"{HEAD}[program:a]\ncommand=/usr/bin/env\nstartsecs=0\nautorestart=false\n"
        "stdout_logfile=$HERE/a.out\n"
        """environment=T_A="^\\d+\\\\.$",T_B='"q"',T_C="x y",T_D="a"'b'\n"""
    )

    def script(one: Contestant) -> list[str]:
        one.until("a", "EXITED")
        given = one.until_text("a.out", "T_D=").splitlines()
        return sorted(line for line in given if line.startswith("T_"))

    theirs, ours = pair.both(script)
    assert theirs == [r"T_A=^\d+\\.$", "T_B=q", "T_C=x y", "T_D=a"]
    assert ours == [r"T_A=^\d+\.$", 'T_B="q"', "T_C=x y", "T_D=ab"]
    told = "environment of [program:a]: Supervisor up to 4.3 reads another value of T_A, T_B, T_D:"
    assert f"WARN {told}" in pair.ours.log
    file = str(pair.ours.config)
    assert told in pair.ours.run_daemon("--check", file).out
    assert told in pair.ours.opsvisorctl("migrate", file).err


# Notes every event it is told, and rejects the first if it is asked to.
LISTENER = """\
import sys
book, wish = sys.argv[1:]
while True:
    print("READY")
    sys.stdout.flush()
    header = dict(word.split(":") for word in sys.stdin.readline().split())
    sys.stdin.read(int(header["len"]))
    with open(book, "a") as told:
        told.write(header["eventname"] + "\\n")
    sys.stdout.write("RESULT 4\\nFAIL" if wish == "reject" else "RESULT 2\\nOK")
    sys.stdout.flush()
    wish = ""
"""


@pytest.mark.differs("event-rejected")
def test_rejected_events(start_pair: StartPair) -> None:
    """Supervisor tells them to pools that never asked for such events."""
    python = f"{sys.executable} -I -S $HERE/listener.py"
    config = (
        f"{HEAD}[eventlistener:a]\ncommand={python} $HERE/a.told reject\nstartsecs=0\n"
        "events=REMOTE_COMMUNICATION\n"
        f"[eventlistener:b]\ncommand={python} $HERE/b.told -\nstartsecs=0\nevents=TICK_3600\n"
    )

    def script(one: Contestant) -> tuple[str, str]:
        one.until("a", "RUNNING")
        one.until("b", "RUNNING")
        one.call("supervisor.sendRemoteCommEvent", "x", "1")
        one.until_text("a.told", lines=2)
        one.call("supervisor.sendRemoteCommEvent", "x", "2")
        told = one.until_text("a.told", lines=3)
        stray = one.directory / "b.told"
        if not one.is_ours:
            one.until_text("b.told", lines=1)
        return told, stray.read_text() if stray.exists() else ""

    theirs, ours = start_pair(config, files={"listener.py": LISTENER}).both(script)
    assert theirs == ("REMOTE_COMMUNICATION\n" * 3, "REMOTE_COMMUNICATION\n")
    assert ours == ("REMOTE_COMMUNICATION\n" * 3, "")


@pytest.mark.differs("capture-last-words")
def test_last_words_in_capture_mode(start_pair: StartPair) -> None:
    """What might have been the beginning of a message is kept back there, and forgotten."""
    config = (
        f"{HEAD}[program:a]\ncommand=/bin/echo bye\nstartsecs=0\nautorestart=false\n"
        "stdout_logfile=$HERE/a.out\nstdout_capture_maxbytes=1KB\n"
    )

    def script(one: Contestant) -> str:
        one.until("a", "EXITED")
        if one.is_ours:
            one.until_text("a.out", "bye\n")
        return (one.directory / "a.out").read_text()

    assert start_pair(config).both(script) == ("", "bye\n")


@pytest.mark.differs("stop-whole-group")
def test_members_of_a_group_that_outlive_their_leader(start_pair: StartPair) -> None:
    """There, the stop is over when the leader is; here, when nothing of the program is left."""
    config = (
        f"{HEAD}[program:a]\n"
        "command=/bin/sh -c \"(trap '' TERM; echo deaf; exec sleep 99) & wait\"\n"
        "startsecs=0\nstopasgroup=true\nstopwaitsecs=1\nstdout_logfile=$HERE/a.out\n"
    )

    def script(one: Contestant) -> bool:
        one.until_text("a.out", "deaf")
        group = one.info("a")["pid"]
        assert one.call("supervisor.stopProcess", "a") is True
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        return True

    assert start_pair(config).both(script) == (True, False)


@pytest.mark.differs("update-changed-only")
def test_update_of_one_process_of_many(start_pair: StartPair) -> None:
    """A third process is added to two. supervisorctl stops and starts them all for that."""
    many = "[program:a]\ncommand=/bin/cat\nstartsecs=0\nstopwaitsecs=1\n"
    many += "process_name=p%(process_num)d\nnumprocs="
    pair = start_pair(f"{HEAD}{many}2\n")

    def script(one: Contestant) -> bool:
        one.until("a:p0", "RUNNING")
        before = one.info("a:p0")["pid"]
        one.write(f"{HEAD}{many}3\n")
        ran = one.opsvisorctl("update") if one.is_ours else one.supervisorctl("update")
        assert ran.status == 0
        one.until("a:p2", "RUNNING")
        one.until("a:p0", "RUNNING")
        return bool(one.info("a:p0")["pid"] == before)

    assert pair.both(script) == (False, True)


@pytest.mark.differs("auto-log-names")
def test_names_of_auto_logs(start_pair: StartPair) -> None:
    """Made up anew at every start there; here a process keeps its file's name."""

    def script(one: Contestant) -> bool:
        one.until("a", "RUNNING")
        before = list(one.directory.glob("a-stdout---*"))
        assert one.call("supervisor.restart") is True
        one.until_logged("spawned: 'a'", times=2)
        return list(one.directory.glob("a-stdout---*")) == before

    assert start_pair(HEAD + CAT).both(script) == (False, True)


@pytest.mark.differs("ctl-broken-file")
def test_control_programs_with_a_broken_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Ours says what is wrong with it, as the daemons do."""
    pair = new_pair(tmp_path_factory.mktemp("p"), "nothing\n")
    theirs, ours = pair.theirs.supervisorctl("status"), pair.ours.opsvisorctl("status")
    assert theirs.status == 1
    assert "Traceback" in theirs.err
    assert ours.status == 2
    assert "File contains no section headers" in ours.out + ours.err
    assert "Traceback" not in ours.out + ours.err
