"""opsvisorctl as a program: on a real terminal, in a pipe, and what it costs to start."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from recorded_daemon import (
    DAEMON,
    NOW,
    Raw,
    RecordedDaemon,
    Request,
    Sse,
    fatal,
    run,
    running,
    stopped,
)
from terminals import CTL, environment, on_terminal, read_to_end, read_until, shown

from opsvisor import wire
from opsvisor.ctl.completion import candidates
from opsvisor.ctl.registry import COMMANDS

_LIMIT = 60.0
_TOO_MUCH = {
    "opsvisor.core.events",
    "rich",
    "prompt_toolkit",
    "asyncio",
    "aiohttp",
    "tomli",
    "configparser",
    "psutil",
}


@pytest.fixture(autouse=True)
def _answers(daemon: RecordedDaemon) -> None:
    processes = [fatal("bad"), stopped("off"), running("w:0"), running("w:1", 4212)]
    daemon.answers = {
        "GET /api/v1/processes": wire.ProcessList(processes=processes),
        "GET /api/v1/daemon": DAEMON,
        "GET /api/v1/processes/bad/history": wire.History(
            status=processes[0],
            policy=["restart on failure"],
            what_next="a slow retry",
            hints=["look into its log"],
            runs=[run(expected=False, started_at=NOW - 62, stderr=["Traceback"])],
        ),
    }


def test_a_table_on_a_terminal(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """People see colours, times and badges, and where to ask on."""
    text = shown(["-s", daemon.url, "status"], environment(tmp_path))
    assert "\x1b[" in text
    for part in (
        "Restarts",
        "FATAL",
        "flapping",
        "log problem",
        "50.0 MiB",
        "opsvisorctl why bad",
        "trees: process group + subreaper (no delegated cgroup)",
    ):
        assert part in text


def test_a_daemon_that_does_not_answer(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """After two seconds it is said who is waited for; once, and not to what is no terminal."""
    processes, let_go = wire.ProcessList(processes=[fatal("bad")]), threading.Event()
    daemon.answers["GET /api/v1/processes"] = lambda _: (let_go.wait(_LIMIT), processes)[1]
    with subprocess.Popen(
        [*CTL, "-s", daemon.url, "status"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
    ) as piped:
        with on_terminal(["-s", daemon.url, "status"], environment(tmp_path)) as (_, terminal):
            read_until(terminal, f"waiting for opsvisord at {daemon.url} …")
            let_go.set()
            text = read_to_end(terminal)
        assert "Restarts" in text
        assert "waiting" not in text
        assert (piped.communicate(timeout=_LIMIT)[1], piped.returncode) == (b"", 3)


def test_no_color(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """NO_COLOR takes the colours, not the table."""
    text = shown(["-s", daemon.url, "status"], environment(tmp_path, NO_COLOR="1"))
    assert "Restarts" in text
    assert "\x1b[31m" not in text
    assert "\x1b[1;31m" not in text


@pytest.mark.parametrize(
    ("words", "variable"), [(["--plain", "status"], {}), (["status"], {"TERM": "dumb"})]
)
def test_plain_on_a_terminal(
    daemon: RecordedDaemon, tmp_path: Path, words: list[str], variable: dict[str, str]
) -> None:
    """--plain and dumb terminals get supervisorctl's text."""
    text = shown(["-s", daemon.url, *words], environment(tmp_path, **variable))
    assert text.startswith("bad                              FATAL     Exited too quickly")
    assert "\x1b[" not in text


def test_why_on_a_terminal(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """The same facts as in plain text."""
    text = shown(["-s", daemon.url, "why", "bad"], environment(tmp_path))
    for part in (
        "bad is FATAL",
        "a slow retry",
        "exit status 3",
        "Traceback",
        "look into its log",
    ):
        assert part in text


def test_metrics_on_a_terminal(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """In words and in units, with what needs a look in colour, and no escapes of others."""
    whose = 'group="bad",process="bad"'
    daemon.answers["GET /metrics"] = Raw(
        200,
        (
            f'opsvisor_process_state{{{whose},state="fatal"}} 1\n'
            f'opsvisor_process_info{{{whose},user="x\x1b[2J"}} 1\n'
            f"opsvisor_process_resident_memory_bytes{{{whose}}} 52428800\n"
            f"opsvisor_process_tree_zombies{{{whose}}} 2\n"
        ).encode(),
        "text/plain",
    )
    text = shown(["-s", daemon.url, "metrics", "bad"], environment(tmp_path))
    for part in ("FATAL", "50.0 MiB resident", "\x1b[33m2 zombies", "user x"):
        assert part in text
    assert "\x1b[2J" not in text


def test_the_prompt(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """Status first, then commands with completion and a history, until quit."""
    with on_terminal(["-s", daemon.url], environment(tmp_path)) as (program, terminal):
        assert "flapping" in read_until(terminal, "opsvisor>")
        os.write(terminal, b"vers\t")
        read_until(terminal, "ion")  # completion takes its time; Enter would overtake it
        os.write(terminal, b"\r")
        read_until(terminal, "0.1.0")
        os.write(terminal, b"pid bad\r")
        read_until(terminal, "0\r\n")
        os.write(terminal, b"quit\r")
        read_to_end(terminal)
        assert program.wait(_LIMIT) == 0
    history = (tmp_path / "state/opsvisor/history").read_text()
    assert "+version\n" in history.replace("version ", "version")
    assert "+pid bad" in history


def test_the_prompt_asks_for_credentials(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """401 at the prompt is answered by the user, and the command is repeated."""
    daemon.answers["GET /api/v1/processes"] = lambda request: (
        wire.ProcessList(processes=[running("web")])
        if request.headers.get("Authorization") == "Basic b3BzOnNlY3JldA=="
        else Raw(401, b"{}")
    )
    with on_terminal(["--plain", "-s", daemon.url], environment(tmp_path)) as (_, terminal):
        assert "Server requires authentication" in read_until(terminal, "Username:")
        os.write(terminal, b"ops\n")
        read_until(terminal, "Password:")
        os.write(terminal, b"secret\n")
        assert "RUNNING" in read_until(terminal, "opsvisor>")


def test_a_prompt_without_a_terminal(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """Lines from a pipe are carried out as supervisorctl does it, prompts and all; status 0."""
    done = subprocess.run(
        [*CTL, "-s", daemon.url],
        input="pid off\n\nfoo\nquit\n",
        capture_output=True,
        check=False,
        text=True,
        timeout=_LIMIT,
        env=environment(tmp_path),
    )
    assert done.stdout.splitlines()[4:] == [
        "opsvisor> 0",
        "opsvisor> opsvisor> *** Unknown syntax: foo",
        "opsvisor> ",
    ]
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_is_left(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """An empty table is told in words, and which it would have been."""
    daemon.answers["GET /api/v1/processes"] = wire.ProcessList(processes=[running("w:0")])
    variables = environment(tmp_path)
    assert shown(["-s", daemon.url, "status", "--problems"], variables).split("\r\n")[0] == (
        "no process is in trouble"
    )
    told = shown(["-s", daemon.url, "status", "--state", "fatal"], variables)
    assert told.startswith("no process is in that state")


@pytest.mark.usefixtures("daemon")
def test_top_wants_a_screen(tmp_path: Path) -> None:
    """A dumb terminal has none, and a script that asked for plain text doesn't want one."""
    variables = environment(tmp_path, TERM="dumb")
    with on_terminal(["top"], variables) as (program, terminal):
        assert "Error: top needs a terminal with a screen" in read_to_end(terminal)
        assert program.wait(_LIMIT) == 1


def test_help_stays_in_its_column(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """On a narrow terminal no word is cut in two, and what goes on does so below its beginning."""
    words = ["-s", daemon.url, "help", "wait"]
    with on_terminal(words, environment(tmp_path), width=70) as (_, terminal):
        lines = read_to_end(terminal).splitlines()
    assert max(map(len, lines)) <= 70
    column = lines[0].index("Wait until")
    assert lines[1][column:] == "Wait until it is ready, 30 s at"
    assert lines[2] == " " * column + "most"


def test_unknown_names_on_a_terminal(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """What may have been meant: a command, a process."""
    for words, hint in (("stauts", "did you mean status?"), ("frob", "help lists all commands")):
        with on_terminal(["-s", daemon.url, words], environment(tmp_path)) as (_, terminal):
            assert f"hint: {hint}" in read_to_end(terminal)
    with on_terminal(["-s", daemon.url, "status", "bda"], environment(tmp_path)) as (_, terminal):
        told = read_to_end(terminal)
    assert "bda: ERROR (no such process)\r\nhint: did you mean bad?" in told
    daemon.answers["POST /api/v1/actions"] = wire.ActionResponse(
        results=[
            wire.ActionResult(
                name="bda",
                group="bda",
                process="bda",
                result="no_such_process",
                reason="no such process",
            )
        ]
    )
    with on_terminal(["-s", daemon.url, "restart", "bda"], environment(tmp_path)) as (_, terminal):
        told = read_to_end(terminal)
    assert told.count("bda: ERROR (no such process)\r\n") == 1


def test_ctrl_c_leaves_a_stream_with_success(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """Following is ended by Ctrl-C, so that is no failure."""
    over = threading.Event()
    daemon.answers["GET /api/v1/daemon/log/follow?bytes=1024"] = Sse(
        'data: {"text": "hello\\n", "offset": 6}\n\n', over
    )
    words = ["--plain", "-s", daemon.url, "maintail", "-f"]
    with on_terminal(words, environment(tmp_path)) as (program, terminal):
        read_until(terminal, "hello")
        program.send_signal(signal.SIGINT)
        assert "Traceback" not in read_to_end(terminal)
        assert program.wait(_LIMIT) == 0
    over.set()


def test_ctrl_c_leaves_what_takes_long(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """Waiting for a start can be given up; the status says so, and the daemon goes on."""
    asked, over = threading.Event(), threading.Event()

    def take_long(_: Request) -> None:
        asked.set()
        over.wait(_LIMIT)

    daemon.answers["POST /api/v1/actions"] = take_long
    words = ["--plain", "-s", daemon.url, "start", "web"]
    with on_terminal(words, environment(tmp_path)) as (program, terminal):
        assert asked.wait(_LIMIT)
        program.send_signal(signal.SIGINT)
        assert "goes on in the daemon" in read_to_end(terminal)
        assert program.wait(_LIMIT) == 130
    over.set()


def test_text_that_can_not_be_shown(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """What the locale has no character for is escaped, not an error."""
    daemon.answers["GET /api/v1/processes/w/logs/stdout?bytes=1600"] = wire.LogText(
        name="w", stream="stdout", text="50 € \N{SNOWMAN}", offset=9, size=9
    )
    done = subprocess.run(
        [*CTL, "-s", daemon.url, "tail", "w"],
        capture_output=True,
        check=False,
        timeout=_LIMIT,
        env=environment(tmp_path, PYTHONIOENCODING="latin-1"),
    )
    assert (done.stdout, done.returncode) == (b"50 \\u20ac \\u2603\n", 0)


def test_a_reader_that_has_seen_enough(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """`opsvisorctl status | head -0` ends without a traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*CTL, "-s", daemon.url, "status"],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
        timeout=_LIMIT,
        env=environment(tmp_path),
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("words", [["status"], ["--json", "status"], ["pid"], ["version"]])
def test_scripts_load_nothing_heavy(
    daemon: RecordedDaemon, tmp_path: Path, words: list[str]
) -> None:
    """Scripts wait for neither tables nor prompts nor an event loop."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *CTL[1:], "-s", daemon.url, *words],
        capture_output=True,
        check=False,
        text=True,
        timeout=_LIMIT,
        env=environment(tmp_path),
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "opsvisor.client" in loaded
    assert loaded & _TOO_MUCH == set()


def test_completion() -> None:
    """Commands first, then what the command takes; names are asked for only where they matter."""
    names, groups = ["bad", "w:0", "w:1"], ["bad", "w"]

    def follow(*words: str) -> list[str]:
        return candidates(words, lambda: names, lambda: groups)

    assert follow() == list(COMMANDS)
    assert follow("start") == [*names, "w:*", "all"]
    assert follow("start", "bad") == [*names, "w:*", "all"]
    assert "HUP" in follow("signal")
    assert follow("signal", "HUP") == [*names, "w:*", "all"]
    assert follow("tail") == follow("tail", "-f") == names
    assert follow("tail", "-f", "bad") == ["stdout", "stderr"]
    assert follow("why") == names
    assert follow("why", "bad") == follow("version") == follow("nonsense") == []
    assert follow("update") == groups
    assert follow("help") == list(COMMANDS)


def test_completion_in_a_shell(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """The shell's completion asks the same table, and the daemon that the options name."""
    done = subprocess.run(
        CTL,
        capture_output=True,
        check=False,
        text=True,
        timeout=_LIMIT,
        env=environment(
            tmp_path,
            _OPSVISORCTL_COMPLETE="bash_complete",
            COMP_WORDS=f"opsvisorctl -s {daemon.url} start w",
            COMP_CWORD="4",
        ),
    )
    assert done.stdout.splitlines() == ["plain,w:0", "plain,w:1", "plain,w:*"]
