"""The daemon as a process: signals, shutdown and restart, its files, a second instance."""

import re
import signal
from contextlib import closing
from datetime import datetime

import pytest
from contestants import (
    HEAD,
    Contestant,
    Fault,
    HttpError,
    Repeated,
    StartPair,
    new_pair,
    without_times,
)
from daemon import eventually

CAT = "[program:a]\ncommand=/bin/cat\nstartsecs=0\n"
# Ends by SIGKILL two seconds after it is told to.
SLOW = (
    "[program:slow]\ncommand=/bin/sh -c \"trap '' TERM; echo deaf; exec cat\"\n"
    "startsecs=0\nstopwaitsecs=2\nstdout_logfile=$HERE/slow.out\n"
)


def _left(one: Contestant) -> list[str]:
    """Which of its own files are there."""
    return [name for name in ("s", "daemon.pid") if (one.directory / name).exists()]


@pytest.mark.parametrize("name", ["TERM", "INT", "QUIT"])
def test_signals_that_end_it(start_pair: StartPair, name: str) -> None:
    """Status 0, a line that names the signal, and neither socket nor pid file left behind."""

    def script(one: Contestant) -> tuple[int, list[str], list[str]]:
        one.until("a", "RUNNING")
        assert _left(one) == ["s", "daemon.pid"]
        one.signal(signal.Signals[f"SIG{name}"])
        return one.wait(), _left(one), without_times(one.log)[-3:]

    status, left, lines = start_pair(HEAD + CAT).agree(script)
    assert (status, left) == (0, [])
    assert lines[0] == f"WARN received SIG{name} indicating exit request"


@pytest.mark.parametrize("way", ["HUP", "restart", "reload"])
def test_restart(start_pair: StartPair, way: str) -> None:
    """By signal, by RPC, by supervisorctl: the same pid, and all that the files say now."""

    def script(one: Contestant) -> tuple[object, str, bool]:
        one.until("a", "RUNNING")
        one.write(f"{HEAD}{CAT}[program:b]\ncommand=/bin/cat\nstartsecs=0\n")
        told: object = None
        match way:
            case "HUP":
                one.signal(signal.SIGHUP)
            case "restart":
                told = one.call("supervisor.restart")
            case _:
                told = one.supervisorctl("reload")
        one.until_logged("supervisord started with pid", times=2)
        eventually(one.answers)
        pids = {line.rpartition(" ")[2] for line in one.log.splitlines() if "started with" in line}
        return told, one.until("b", "RUNNING"), pids == {str(one.pid)}

    _, state, same_pid = start_pair(HEAD + CAT).agree(script)
    assert (state, same_pid) == ("RUNNING", True)


@pytest.mark.parametrize("way", ["shutdown by RPC", "shutdown by supervisorctl"])
def test_shutdown(start_pair: StartPair, way: str) -> None:
    """What is answered, and status 0."""

    def script(one: Contestant) -> tuple[object, int, list[str]]:
        by_rpc = way.endswith("RPC")
        told = one.call("supervisor.shutdown") if by_rpc else one.supervisorctl("shutdown")
        return told, one.wait(), _left(one)

    start_pair(HEAD + CAT).agree(script)


def test_everything_is_refused_during_a_shutdown(start_pair: StartPair) -> None:
    """Fault 6, whatever is called, except that listeners may still be told something."""
    methods = {
        "supervisor.getState": (),
        "supervisor.getAllProcessInfo": (),
        "supervisor.startProcess": ("slow",),
        "supervisor.stopProcess": ("nosuch",),
        "supervisor.shutdown": (),
        "supervisor.restart": (),
        "supervisor.reloadConfig": (),
        "supervisor.readLog": (0, 1),
        "supervisor.sendRemoteCommEvent": ("x", "y"),
        "system.listMethods": (),
    }

    def script(one: Contestant) -> dict[str, object]:
        one.until_text("slow.out", "deaf")
        one.signal(signal.SIGTERM)
        one.until_logged("waiting for slow to die")
        answers = {method: one.call(method, *params) for method, params in methods.items()}
        assert one.wait() == 0
        answers["system.listMethods"] = bool(answers["system.listMethods"])
        return answers

    # Longer than ten calls take, wherever they are made.
    answers = start_pair(HEAD + SLOW.replace("stopwaitsecs=2", "stopwaitsecs=5")).agree(script)
    assert answers["supervisor.getState"] == Fault(6, "SHUTDOWN_STATE")
    assert answers["supervisor.sendRemoteCommEvent"] is True


def test_signals_during_a_shutdown(start_pair: StartPair) -> None:
    """HUP is ignored and says so, USR2 is heard, TERM is told again and changes nothing."""

    def script(one: Contestant) -> tuple[int, list[str]]:
        one.until_text("slow.out", "deaf")
        one.signal(signal.SIGTERM)
        one.until_logged("waiting for slow to die")
        for signum, words in (
            (signal.SIGHUP, "SIGHUP indicating restart request"),
            (signal.SIGTERM, "SIGTERM indicating exit request"),
            (signal.SIGINT, "SIGINT indicating exit request"),
        ):
            one.signal(signum)
            one.until_logged(words, times=2 if signum == signal.SIGTERM else 1)
        status = one.wait()
        lines = without_times(one.log)
        first = lines.index("WARN received SIGTERM indicating exit request")
        return status, [line for line in lines[first:] if "waiting for" not in line]

    # Longer than Supervisor needs to notice three signals, one with each turn of its loop.
    start_pair(HEAD + SLOW.replace("stopwaitsecs=2", "stopwaitsecs=9")).agree(script)


@pytest.mark.differs("reload-bad-file")
def test_restart_with_a_broken_file(start_pair: StartPair) -> None:
    """Supervisor stops everything, and then ends with status 2. Ours goes on as it was."""
    pair = start_pair(HEAD + CAT)

    def break_it(one: Contestant) -> None:
        one.until("a", "RUNNING")
        one.write("[supervisord]\n[program:a]\n")
        one.signal(signal.SIGHUP)

    pair.both(break_it)
    assert pair.theirs.wait() == 2
    pair.ours.until_logged("received SIGHUP indicating restart request")
    pair.ours.until_logged("does not specify a command")
    assert pair.ours.state("a") == "RUNNING"
    assert pair.ours.child.poll() is None


@pytest.mark.differs("signal-usr1")
def test_usr1(start_pair: StartPair) -> None:
    """Supervisor dies of it and leaves its children alone. Ours takes no notice."""
    pair = start_pair(HEAD + CAT)

    def send(one: Contestant) -> None:
        one.until("a", "RUNNING")
        one.signal(signal.SIGUSR1)

    pair.both(send)
    assert pair.theirs.wait() == -signal.SIGUSR1
    assert pair.ours.state("a") == "RUNNING"


@pytest.mark.differs("shutdown-parallel")
def test_stubborn_programs_are_stopped_side_by_side(start_pair: StartPair) -> None:
    """Supervisor waits for each group before it tells the next."""
    programs = "".join(
        f"[program:deaf{number}]\ncommand=/bin/sh -c \"trap '' TERM; echo deaf; exec cat\"\n"
        f"startsecs=0\nstopwaitsecs=1\nstdout_logfile=$HERE/deaf{number}.out\n"
        for number in range(3)
    )
    pair = start_pair(HEAD + programs)

    def script(one: Contestant) -> float:
        for number in range(3):
            one.until_text(f"deaf{number}.out", "deaf")
        one.terminate()
        first: dict[str, datetime] = {}  # a kill may be repeated until the death is noticed
        for line in one.log.splitlines():
            if "WARN killing" in line:
                at = datetime.fromisoformat(line[:23].replace(",", "."))
                first.setdefault(line.split()[4], at)
        kills = first.values()
        assert len(kills) == 3
        return (max(kills) - min(kills)).total_seconds()

    theirs, ours = pair.both(script)
    assert theirs >= 2
    assert ours < 1


def test_pid_file(start_pair: StartPair) -> None:
    """Its pid and a newline, in place of an earlier one."""

    def script(one: Contestant) -> bool:
        return (one.directory / "daemon.pid").read_text() == f"{one.pid}\n"

    assert start_pair(HEAD, files={"daemon.pid": "12345\n"}).agree(script)


def test_second_instance(start_pair: StartPair) -> None:
    """Refused with status 2 and in these words; the first goes on."""

    def script(one: Contestant) -> tuple[int, str, bool]:
        program = "opsvisord" if one.is_ours else "supervisord"
        one.write(HEAD.replace("daemon.pid", "second.pid").replace("daemon.log", "second.log"))
        with closing(Repeated(one, program)) as run:
            ran = run("-n", "-c", str(one.config))
        _, _, told = ran.err.partition("Error: ")
        return ran.status, told.splitlines()[0], one.answers()

    status, told, goes_on = start_pair(HEAD + CAT).agree(script)
    assert (status, goes_on) == (2, True)
    assert told.startswith("Another program is already listening on a port")


def test_stale_socket(start_pair: StartPair) -> None:
    """What a killed daemon left behind is no obstacle."""

    def script(one: Contestant) -> list[str]:
        one.child.kill()
        one.wait()
        left = _left(one)
        one.start_and_wait()
        return left

    assert start_pair(HEAD).agree(script) == ["s", "daemon.pid"]


def test_reopened_logs(start_pair: StartPair) -> None:
    """USR2, for logrotate: what was renamed keeps the old lines, the new file has the new ones."""
    programs = f"{CAT}stdout_logfile=$HERE/a.out\n"

    def script(one: Contestant) -> tuple[str, str, list[str]]:
        one.until("a", "RUNNING")
        one.call("supervisor.sendProcessStdin", "a", "before\n")
        one.until_text("a.out", "before\n")
        for name in ("a.out", "daemon.log"):
            (one.directory / name).rename(one.directory / f"{name}.old")
        one.signal(signal.SIGUSR2)
        one.until_text("daemon.log.old", "logreopen")
        one.call("supervisor.sendProcessStdin", "a", "after\n")
        new = one.until_text("a.out", "after\n")
        old_log = without_times((one.directory / "daemon.log.old").read_text())
        return (one.directory / "a.out.old").read_text(), new, old_log[-2:]

    old, new, last_lines = start_pair(HEAD + programs).agree(script)
    assert (old, new) == ("before\n", "after\n")
    assert last_lines[0] == "INFO received SIGUSR2 indicating log reopen request"


def test_warnings_of_the_configuration(start_pair: StartPair) -> None:
    """What is odd but no error is told first, and ours adds the place."""
    config = (
        f"{HEAD}[include]\nfiles = inc/*.conf none/*.conf\n"
        "[program:merged]\ncommand=/bin/cat\nautostart=false\nredirect_stderr=true\n"
        "stderr_logfile=$HERE/err\n"
        "[program:endless]\ncommand=/bin/cat\nautostart=false\nstdout_logfile_maxbytes=0\n"
        "stderr_logfile_maxbytes=0\n"
        "[program:old]\ncommand=/bin/cat\nautostart=false\nstdout_logfile=syslog\n"
        "[eventlistener:deaf]\ncommand=/bin/cat\nautostart=false\nevents=TICK_3600\n"
        "stdout_logfile=syslog\n"
    )
    included = "[program:inc]\ncommand=/bin/cat\nautostart=false\nstdout_logfile_maxbytes=0\n"

    def script(one: Contestant) -> list[str]:
        lines = without_times(one.neutral(one.until_logged("supervisord started with pid")))
        told = [line for line in lines if line.startswith("WARN") or "Included" in line]
        return sorted(re.sub(r" \(\$HERE/\S+:\d+\)$", "", line) for line in told)

    pair = start_pair(
        config, files={"inc/a.conf": included, "inc/b.conf": "[program:b]\ncommand=x"}
    )
    assert len(pair.agree(script)) > 7


def test_order_of_the_first_lines(start_pair: StartPair) -> None:
    """As supervisord tells its start, whatever ours says in between."""

    def script(one: Contestant) -> list[str]:
        one.until("a", "RUNNING")
        lines = without_times(one.neutral(one.log))
        told = [line for line in lines if not re.match("INFO (API at|configuration)", line)]
        return [*sorted(told[:-3]), *told[-3:]]  # of two servers, either may come first

    lines = start_pair(HEAD + CAT).agree(script)
    assert lines[-3:-1] == ["INFO supervisord started with pid N", "INFO spawned: 'a' with pid N"]


def test_emptied_activity_log(start_pair: StartPair) -> None:
    """clearLog, and a log that is not there."""

    def script(one: Contestant) -> tuple[object, bool, object, object]:
        done = one.call("supervisor.clearLog")
        emptied = "supervisord started with pid" not in one.log
        one.log_file.unlink()
        missing = one.call("supervisor.clearLog")
        return done, emptied, missing, one.call("supervisor.readLog", 0, 0)

    done, emptied, missing, _ = start_pair(HEAD + CAT).agree(script)
    assert (done, emptied) == (True, True)
    assert missing == Fault(20, "NO_FILE")


def test_all_processes(start_pair: StartPair) -> None:
    """Everything is started, told a signal, cleared and stopped at once."""
    programs = "".join(
        f"[program:{name}]\ncommand=/bin/cat\nstartsecs=0\nautostart=false\npriority={priority}\n"
        for name, priority in (("b", 1), ("a", 2), ("c", 1))
    )

    def script(one: Contestant) -> list[list[dict[str, object]]]:
        calls: list[tuple[str, tuple[object, ...]]] = [
            ("startAllProcesses", ()),
            ("startAllProcesses", ()),
            ("signalAllProcesses", ("CONT",)),
            ("clearAllProcessLogs", ()),
            ("stopAllProcesses", ()),
            ("stopAllProcesses", ()),
            ("signalAllProcesses", ("CONT",)),
            ("startAllProcesses", (False,)),
            ("stopAllProcesses", (False,)),
        ]
        return [one.call(f"supervisor.{method}", *params) for method, params in calls]

    answers = start_pair(HEAD + programs.replace("startsecs=0", "startsecs=0\nstopwaitsecs=1"))
    theirs, ours = answers.both(script)
    for their_answer, our_answer in zip(theirs, ours, strict=True):
        # Results stand in the order in which they come, which may be any.
        assert sorted(our_answer, key=str) == sorted(their_answer, key=str)


def test_identifier(start_pair: StartPair) -> None:
    """By option, outranked by the flag, and part of the names of AUTO logs."""
    config = HEAD.replace("[supervisord]\n", "[supervisord]\nidentifier=option\n") + CAT

    def script(one: Contestant) -> tuple[object, str]:
        one.until("a", "RUNNING")
        return one.call("supervisor.getIdentification"), one.info("a")["stdout_logfile"]

    pair = start_pair(config, "-i", "flag")
    assert pair.agree(script) == ("flag", "$HERE/a-stdout---flag-RANDOM.log")


@pytest.mark.differs("stdin-full")
def test_a_full_pipe(start_pair: StartPair) -> None:
    """More than a program reads from its standard input: an HTTP error there, a fault here."""
    config = f"{HEAD}[program:a]\ncommand=/bin/sleep 3600\nstartsecs=0\n"

    def script(one: Contestant) -> list[object]:
        one.until("a", "RUNNING")
        return [one.call("supervisor.sendProcessStdin", "a", "x" * 65536) for _ in range(40)]

    theirs, ours = start_pair(config).both(script)
    assert HttpError(500) in theirs
    assert not any(isinstance(answer, HttpError) for answer in ours)
    assert isinstance(ours[-1], Fault)
    assert ours[-1].code == 30


@pytest.mark.differs("log-not-utf8")
def test_output_that_is_not_utf8(start_pair: StartPair) -> None:
    """Supervisor can't answer with it at all; here what is no text is replaced."""
    config = (
        f"{HEAD}[program:a]\ncommand=/bin/sh -c \"printf 'a\\\\377b\\\\033[1mc'\"\nstartsecs=0\n"
        "autorestart=false\nstdout_logfile=$HERE/a.out\n"
    )

    def script(one: Contestant) -> object:
        one.until_text("a.out", "c")
        return one.call("supervisor.readProcessStdoutLog", "a", 0, 0)

    theirs, ours = start_pair(config).both(script)
    assert theirs == HttpError(500)
    assert isinstance(ours, str)
    assert ours.startswith("a\N{REPLACEMENT CHARACTER}b")
    assert ours.endswith("[1mc")


@pytest.mark.differs("clear-stopped")
def test_clearing_the_log_of_a_stopped_process(start_pair: StartPair) -> None:
    """Supervisor says that it has, and hasn't."""
    config = (
        f"{HEAD}[program:a]\ncommand=/bin/echo hello\nstartsecs=0\nautorestart=false\n"
        "stdout_logfile=$HERE/a.out\n"
    )

    def script(one: Contestant) -> tuple[object, object]:
        one.until_text("a.out", "hello\n")
        one.until("a", "EXITED")
        done = one.call("supervisor.clearProcessLogs", "a")
        return done, one.call("supervisor.readProcessStdoutLog", "a", 0, 0)

    assert start_pair(config).both(script) == ((True, "hello\n"), (True, ""))


@pytest.mark.differs("backoff-counter")
def test_attempts_after_a_stop_in_backoff(start_pair: StartPair) -> None:
    """Supervisor goes on counting where it was stopped; here a start is a new beginning."""
    config = (
        f"{HEAD}[program:a]\ncommand=/bin/sh -c 'read x; exit 1'\n"
        "autostart=false\nstartsecs=100\nstartretries=1\n"
    )

    def fail_until(one: Contestant, state: str) -> None:
        """Let it fail, as often as it is started, until it is in this state."""

        def look() -> bool:
            one.call("supervisor.sendProcessStdin", "a", "\n")
            return one.state("a") == state

        eventually(look)

    def script(one: Contestant) -> int:
        assert one.call("supervisor.startProcess", "a", False) is True
        fail_until(one, "BACKOFF")
        assert one.call("supervisor.stopProcess", "a") is True
        before = one.log.count("spawned: 'a'")
        assert one.call("supervisor.startProcess", "a", False) is True
        fail_until(one, "FATAL")
        return one.log.count("spawned: 'a'") - before

    assert start_pair(config).both(script) == (1, 2)


# An extension as people write them: an interface, a result handler, a plugin of supervisorctl.
PLUGIN = """\
class Interface:
    def hello(self):
        return "hello"

def interface(supervisord, **options):
    return Interface()

def handler(event, response):
    pass

class Words:
    def __init__(self, controller):
        self.ctl = controller

    def do_hello(self, arguments):
        self.ctl.output("hello")

    def help_hello(self):
        self.ctl.output("hello")

def words(controller, **options):
    return Words(controller)
"""
EXTENSIONS = {
    "rpcinterface": "[rpcinterface:x]\nsupervisor.rpcinterface_factory=plugin_of_test:interface\n",
    "result_handler": "[eventlistener:x]\ncommand=/bin/cat\nevents=TICK_3600\n"
    "result_handler=plugin_of_test:handler\n",
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("rpcinterface", marks=pytest.mark.differs("no-rpcinterfaces")),
        pytest.param("result_handler", marks=pytest.mark.differs("no-result-handlers")),
    ],
)
def test_extensions(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    """Supervisor loads foreign code. Ours refuses to start, and says what to do instead."""
    pair = new_pair(
        tmp_path_factory.mktemp("p"),
        HEAD + EXTENSIONS[name],
        files={"plugin_of_test.py": PLUGIN},
    )
    try:
        pair.theirs.start(extra_environment={"PYTHONPATH": str(pair.theirs.directory)})
        eventually(pair.theirs.answers)
        if name == "rpcinterface":
            assert pair.theirs.call("x.hello") == "hello"
        pair.ours.start(extra_environment={"PYTHONPATH": str(pair.ours.directory)})
        assert pair.ours.wait() == 2
        told = pair.ours.output.read_text()
        assert f"plugin_of_test:{'interface' if name == 'rpcinterface' else 'handler'}" in told
        assert "hint: " in told
    finally:
        pair.theirs.kill()
        pair.ours.kill()


@pytest.mark.differs("no-ctl-plugins")
def test_plugins_of_supervisorctl(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Supervisorctl loads them whoever it talks to; opsvisorctl doesn't, and opsvisord warns."""
    pair = new_pair(
        tmp_path_factory.mktemp("p"),
        f"{HEAD}[ctlplugin:x]\nsupervisor.ctl_factory=plugin_of_test:words\n",
        files={"plugin_of_test.py": PLUGIN},
    )
    try:
        for one in (pair.theirs, pair.ours):
            one.environment["PYTHONPATH"] = str(one.directory)
        pair.both(lambda one: one.start_and_wait())
        by_real_ctl = pair.agree(lambda one: one.supervisorctl("hello"))
        assert (by_real_ctl.status, by_real_ctl.out) == (0, "hello\n")
        assert pair.ours.opsvisorctl("hello").status == 1
        assert "[ctlplugin:x] has no effect: opsvisorctl loads no plugins" in pair.ours.log
    finally:
        pair.theirs.kill()
        pair.ours.end()


@pytest.mark.differs("no-profiler")
def test_profile_options(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Supervisor runs under a profiler with them. Ours says how that is done without its help."""
    pair = new_pair(tmp_path_factory.mktemp("p"), HEAD)
    try:
        pair.theirs.start("--profile_options=calls")
        eventually(pair.theirs.answers)
        refused = pair.ours.run_daemon("-c", str(pair.ours.config), "--profile_options=calls")
        assert refused.status == 2
        assert "option --profile_options is not supported" in refused.err
        assert "hint: run opsvisord under Python's own profiler" in refused.err
    finally:
        pair.theirs.kill()


@pytest.mark.differs("manager-variables")
def test_what_a_service_manager_tells_the_daemon(start_pair: StartPair) -> None:
    """Supervisor hands it on to every program, which may then speak in its name."""
    program = "[program:a]\ncommand=/bin/sh -c 'env; echo done'\nautorestart=false\nstartsecs=0\n"
    pair = start_pair(HEAD + program + "stdout_logfile=$HERE/a.out\n")

    def script(one: Contestant) -> bool:
        one.until_text("a.out", "done\n")
        one.terminate()
        (one.directory / "a.out").unlink()
        one.start(extra_environment={"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "9000000"})
        eventually(one.answers)
        said = one.until_text("a.out", "done\n")
        return "NOTIFY_SOCKET=" in said and "WATCHDOG_USEC=" in said

    assert pair.both(script) == (True, False)
