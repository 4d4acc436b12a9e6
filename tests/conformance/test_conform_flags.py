"""Options of the daemon and of its control program, and the flags that outrank them."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from commands import BIN
from contestants import HEAD, Contestant, Pair, StartPair, new_pair, undated
from daemon import PATIENCE

COLOURS = (
    "[program:a]\ncommand=/bin/sh -c 'printf \"\\\\033[31mred\\\\n\"; exec cat'\nstartsecs=0\n"
    "stopwaitsecs=1\nstdout_logfile=$HERE/a.out\n"
)
ENDS = "[program:a]\ncommand=/bin/true\nstartsecs=0\nautorestart=false\n"


Start = Callable[[str, str, Callable[[Contestant], None]], Pair]


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts both, when something has been prepared for each. $HERE in flags is its directory."""
    with ExitStack() as ends:

        def start_both(config: str, flags: str, prepare: Callable[[Contestant], None]) -> Pair:
            pair = new_pair(tmp_path_factory.mktemp("p"), config)
            ends.callback(pair.theirs.kill)
            ends.callback(pair.ours.end)
            for one in (pair.theirs, pair.ours):
                prepare(one)
            pair.both(lambda one: one.start_and_wait(*one.filled_in(flags).split()))
            return pair

        yield start_both


def _with(*options: str) -> str:
    """The beginning of a configuration with these options of [supervisord]."""
    return HEAD.replace("[supervisord]\n", "\n".join(["[supervisord]", *options, ""]))


@pytest.mark.parametrize(
    ("option", "flag"),
    [("strip_ansi=true", ""), ("", "-t"), ("", "")],
    ids=["file", "flag", "not"],
)
def test_colours(start_pair: StartPair, option: str, flag: str) -> None:
    """Stripped from the logs of programs, or left in them."""
    pair = start_pair(_with(option) + COLOURS, *flag.split())
    text = pair.agree(lambda one: one.until_text("a.out", "red"))
    assert ("\x1b" in text) is not bool(option or flag)


@pytest.mark.parametrize(
    ("option", "flag"), [("silent=true", ""), ("", "-s"), ("", "")], ids=["file", "flag", "not"]
)
def test_silence(start_pair: StartPair, option: str, flag: str) -> None:
    """In the foreground the log is not on standard output as well."""
    pair = start_pair(_with(option) + ENDS, *flag.split())

    def is_silent(one: Contestant) -> bool:
        one.until_logged("exited: a")
        if option or flag:
            return "exited: a" not in one.output.read_text()
        one.until_text("daemon.out", "exited: a")  # which comes after the line in the file
        return False

    assert pair.agree(is_silent) is bool(option or flag)


@pytest.mark.parametrize(
    ("option", "flag"),
    [("childlogdir=$HERE/logs", ""), ("", "-q $HERE/logs"), ("", "")],
    ids=["file", "flag", "not"],
)
def test_directory_of_auto_logs(start: Start, option: str, flag: str) -> None:
    """Where the logs of programs are that have none of their own."""
    config = HEAD.replace("childlogdir = $HERE", option or "childlogdir=$HERE") + ENDS
    pair = start(config, flag, lambda one: (one.directory / "logs").mkdir())
    folder = "$HERE/logs" if option or flag else "$HERE"
    path = pair.agree(lambda one: one.info("a")["stdout_logfile"])
    assert path == f"{folder}/a-stdout---supervisor-RANDOM.log"


@pytest.mark.parametrize(
    ("option", "flag"), [("nocleanup=true", ""), ("", "-k"), ("", "")], ids=["file", "flag", "not"]
)
def test_cleanup(start: Start, option: str, flag: str) -> None:
    """AUTO logs of an earlier life are removed, or kept."""
    old = "x-stdout---supervisor-abcdefgh.log"
    pair = start(_with(option) + ENDS, flag, lambda one: (one.directory / old).touch())
    assert pair.agree(lambda one: (one.directory / old).exists()) is bool(option or flag)


@pytest.mark.parametrize(
    ("option", "flag"),
    [("loglevel=debug", ""), ("", "-e debug"), ("", "")],
    ids=["file", "flag", "not"],
)
def test_level_of_the_activity_log(start_pair: StartPair, option: str, flag: str) -> None:
    """At debug, the death of a child is told as the signal that it is."""
    pair = start_pair(_with(option) + ENDS, *flag.split())
    line = "DEBG received SIGCHLD indicating a child quit"

    def is_told(one: Contestant) -> bool:
        one.until_logged(line if option or flag else "exited: a")
        return line in one.log

    assert pair.agree(is_told) is bool(option or flag)


@pytest.mark.parametrize(
    ("option", "flag"),
    [("logfile_maxbytes=200\nlogfile_backups=2", ""), ("", "-y 200 -z 2"), ("", "")],
    ids=["file", "flag", "not"],
)
def test_rotation_of_the_activity_log(start_pair: StartPair, option: str, flag: str) -> None:
    """As many old files as are to be kept, and no more."""
    pair = start_pair(_with(option) + ENDS, *flag.split())

    def files(one: Contestant) -> list[str]:
        for _ in range(8):
            one.until("a", "EXITED")
            one.call("supervisor.startProcess", "a", False)
        return sorted(path.name for path in one.directory.glob("daemon.log*"))

    old = ["daemon.log.1", "daemon.log.2"] if option or flag else []
    assert pair.agree(files) == ["daemon.log", *old]


@pytest.mark.differs("help-of-programs")
@pytest.mark.parametrize("program", ["daemon", "control"])
def test_help(tmp_path: Path, program: str) -> None:
    """The same flags, in words of our own."""
    pair = new_pair(tmp_path, HEAD)

    def script(one: Contestant) -> set[str]:
        if program == "daemon":
            ran = one.run_daemon("--help")
        else:
            ran = one.opsvisorctl("--help") if one.is_ours else one.supervisorctl("--help")
        assert (ran.status, ran.err) == (0, "")
        return {ran.out, *re.findall(r"--(\w+)", ran.out)}

    theirs, ours = pair.both(script)
    flags = theirs - ours
    assert len(flags) == 1  # the text itself


# -- supervisorctl -------------------------------------------------------------------------------

GUARDED = HEAD.replace(
    "port = 127.0.0.1:$PORT\n", "port = 127.0.0.1:$PORT\nusername=u\npassword=p\n"
)
URL = "http://127.0.0.1:$PORT"
# What stands in its section, the flags, and what is typed.
CONTROL = {
    "serverurl, in the file": ("serverurl=unix://$HERE/s", "status", ""),
    "serverurl, by flag": ("", "-s unix://$HERE/s status", ""),
    "serverurl, by flag before the file": (
        "serverurl=unix://$HERE/none",
        "-s unix://$HERE/s status",
        "",
    ),
    "login, in the file": (f"serverurl={URL}\nusername=u\npassword=p", "status", ""),
    "login, by flag": ("", f"-s {URL} -u u -p p status", ""),
    "login, wrong in the file": (f"serverurl={URL}\nusername=u\npassword=x", "version", ""),
    "login, wrong by flag": (f"serverurl={URL}\nusername=u\npassword=p", "-p x version", ""),
    "user, wrong by flag": (f"serverurl={URL}\nusername=u\npassword=p", "-u x version", ""),
    "prompt": ("serverurl=unix://$HERE/s\nprompt=web", "", "exit\n"),
    "exit": ("serverurl=unix://$HERE/s", "", "exit\nversion\n"),
    "quit": ("serverurl=unix://$HERE/s", "", "quit\nversion\n"),
    "interactive": ("serverurl=unix://$HERE/s", "-i", "exit\n"),
    "interactive, behind a command": ("serverurl=unix://$HERE/s", "-i status", "exit\n"),
}


@pytest.fixture(scope="module")
def pair(start_shared_pair: StartPair) -> Pair:
    """Both, with a login for TCP."""
    return start_shared_pair(GUARDED + ENDS)


@pytest.mark.parametrize("case", CONTROL)
def test_options_of_the_control_program(pair: Pair, case: str) -> None:
    """By file and flag, for supervisorctl whoever answers, and for opsvisorctl."""
    options, flags, typed_in = CONTROL[case]

    def told(one: Contestant, program: str) -> list[object]:
        config = one.write(f"[supervisorctl]\n{options}\n", "ctl.conf")
        words = [str(BIN / program), "-c", str(config), *one.filled_in(flags).split()]
        ran = one.run(words, typed_in)
        lines = [line for line in undated(ran.out).splitlines() if "<class" not in line]
        return [ran.status, *lines]

    theirs, mixed = pair.both(lambda one: told(one, "supervisorctl"))
    assert mixed == theirs
    ours = told(pair.ours, "opsvisorctl")
    if "wrong" in case:  # which is told in other words
        assert ours[0] == theirs[0] != 0
    else:
        assert ours == theirs
        assert theirs[0] == (0 if "status" not in flags else 3)


@pytest.mark.differs("ctl-open")
def test_open(pair: Pair) -> None:
    """The processes of the other server are shown; ours says by its status that one is down."""

    def told(one: Contestant, program: str) -> tuple[int, str, str]:
        config = one.write("[supervisorctl]\nserverurl=unix://$HERE/none\n", "ctl.conf")
        words = [str(BIN / program), "-c", str(config), "open", f"unix://{one.socket}"]
        ran = one.run(words)
        return ran.status, undated(ran.out), ran.err

    theirs, mixed = pair.both(lambda one: told(one, "supervisorctl"))
    assert mixed == theirs == (0, f"{'a':<33}EXITED    DATE\n", "")
    assert told(pair.ours, "opsvisorctl") == (3, *theirs[1:])


@pytest.mark.differs("ctl-open")
def test_open_with_a_login(pair: Pair) -> None:
    """What was given for one server is not sent to another that is opened."""
    words = ["-u", "u", "-p", "p", "open"]
    theirs, mixed = pair.both(
        lambda one: one.supervisorctl(*words, f"http://127.0.0.1:{one.port}").status
    )
    assert (theirs, mixed) == (0, 0)
    ours = pair.ours.opsvisorctl(*words, f"http://127.0.0.1:{pair.ours.port}")
    assert (ours.status, ours.out) == (1, "Server requires authentication\n")


@pytest.mark.differs("ctl-history")
@pytest.mark.parametrize(
    ("option", "flag"),
    [("history_file=$HERE/history", ""), ("", "-r $HERE/history"), ("", "")],
    ids=["file", "flag", "not"],
)
def test_history_of_the_prompt(pair: Pair, option: str, flag: str) -> None:
    """On a terminal, what was typed is kept in a file."""

    def kept(one: Contestant, program: str) -> str:
        config = one.write(f"[supervisorctl]\nserverurl=unix://$HERE/s\n{option}\n", "ctl.conf")
        history = one.directory / "history"
        history.unlink(missing_ok=True)
        words = [str(BIN / program), "-c", str(config), *one.filled_in(flag).split()]
        main, terminal = os.openpty()
        try:
            os.write(main, b"version\nexit\n")
            child = subprocess.Popen(
                words, env=one.environment, stdin=terminal, stdout=terminal, stderr=terminal
            )
            assert child.wait(PATIENCE) == 0
        finally:
            os.close(terminal)
            os.close(main)
        return history.read_text() if history.exists() else ""

    theirs, mixed = pair.both(lambda one: kept(one, "supervisorctl"))
    assert mixed == theirs == ("version\nexit\n" if option else "")
    ours = [line for line in kept(pair.ours, "opsvisorctl").splitlines() if line.startswith("+")]
    assert ours == (["+version", "+exit"] if option or flag else [])
