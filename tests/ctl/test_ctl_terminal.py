"""opsvisorctl as a program: on a real terminal, in a pipe, and what it costs to start."""

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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

from opsvisor import wire
from opsvisor.ctl.completion import candidates
from opsvisor.ctl.registry import COMMANDS

_CTL = [sys.executable, "-m", "opsvisor", "ctl"]
_LIMIT = 10.0
_TOO_MUCH = {"rich", "prompt_toolkit", "asyncio", "aiohttp", "tomli", "configparser", "psutil"}


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


def _environment(tmp_path: Path, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    return {
        **kept,
        "TERM": "xterm-256color",
        "COLUMNS": "120",
        "LINES": "40",
        "PROMPT_TOOLKIT_NO_CPR": "1",  # nobody here answers where the cursor is
        "XDG_STATE_HOME": str(tmp_path / "state"),
        **more,
    }


@contextmanager
def _on_terminal(
    words: Sequence[str], environment: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The program on a terminal of its own, and our end of it."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 120))
    with subprocess.Popen(
        [*_CTL, *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        start_new_session=True,  # or passwords would be asked for on the terminal of the tests
    ) as program:
        os.close(theirs)
        try:
            yield program, ours
        finally:
            program.kill()
            os.close(ours)


def _read_until(terminal: int, text: str) -> str:
    """What the terminal shows up to and including `text`."""
    seen = b""
    while text.encode() not in seen:
        readable, _, _ = select.select([terminal], [], [], _LIMIT)
        assert readable, f"waited for {text!r}, saw {seen!r}"
        seen += os.read(terminal, 4096)
    return seen.decode()


def _read_to_end(terminal: int) -> str:
    """What the terminal shows until the program ends (EIO, pty(7))."""
    seen = b""
    try:
        while piece := os.read(terminal, 4096):
            seen += piece
    except OSError:
        pass
    return seen.decode()


def _shown(words: Sequence[str], environment: dict[str, str]) -> str:
    with _on_terminal(words, environment) as (_, terminal):
        return _read_to_end(terminal)


def test_a_table_on_a_terminal(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """People see colours, times and badges, and where to ask on."""
    shown = _shown(["-s", daemon.url, "status"], _environment(tmp_path))
    assert "\x1b[" in shown
    for text in (
        "Restarts",
        "FATAL",
        "flapping",
        "log problem",
        "50.0 MiB",
        "opsvisorctl why bad",
    ):
        assert text in shown


def test_no_color(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """NO_COLOR takes the colours, not the table."""
    shown = _shown(["-s", daemon.url, "status"], _environment(tmp_path, NO_COLOR="1"))
    assert "Restarts" in shown
    assert "\x1b[31m" not in shown
    assert "\x1b[1;31m" not in shown


@pytest.mark.parametrize(
    ("words", "variable"), [(["--plain", "status"], {}), (["status"], {"TERM": "dumb"})]
)
def test_plain_on_a_terminal(
    daemon: RecordedDaemon, tmp_path: Path, words: list[str], variable: dict[str, str]
) -> None:
    """--plain and dumb terminals get supervisorctl's text."""
    shown = _shown(["-s", daemon.url, *words], _environment(tmp_path, **variable))
    assert shown.startswith("bad                              FATAL     Exited too quickly")
    assert "\x1b[" not in shown


def test_why_on_a_terminal(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """The same facts as in plain text."""
    shown = _shown(["-s", daemon.url, "why", "bad"], _environment(tmp_path))
    for text in (
        "bad is FATAL",
        "a slow retry",
        "exit status 3",
        "Traceback",
        "look into its log",
    ):
        assert text in shown


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
    shown = _shown(["-s", daemon.url, "metrics", "bad"], _environment(tmp_path))
    for text in ("FATAL", "50.0 MiB resident", "\x1b[33m2 zombies", "user x"):
        assert text in shown
    assert "\x1b[2J" not in shown


def test_the_prompt(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """Status first, then commands with completion and a history, until quit."""
    with _on_terminal(["-s", daemon.url], _environment(tmp_path)) as (program, terminal):
        assert "flapping" in _read_until(terminal, "opsvisor>")
        os.write(terminal, b"vers\t")
        _read_until(terminal, "ion")  # completion takes its time; Enter would overtake it
        os.write(terminal, b"\r")
        _read_until(terminal, "0.1.0")
        os.write(terminal, b"pid bad\r")
        _read_until(terminal, "0\r\n")
        os.write(terminal, b"quit\r")
        _read_to_end(terminal)
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
    with _on_terminal(["--plain", "-s", daemon.url], _environment(tmp_path)) as (_, terminal):
        assert "Server requires authentication" in _read_until(terminal, "Username:")
        os.write(terminal, b"ops\n")
        _read_until(terminal, "Password:")
        os.write(terminal, b"secret\n")
        assert "RUNNING" in _read_until(terminal, "opsvisor>")


def test_a_prompt_without_a_terminal(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """Lines from a pipe are carried out as supervisorctl does it, prompts and all; status 0."""
    done = subprocess.run(
        [*_CTL, "-s", daemon.url],
        input="pid off\n\nfoo\nquit\n",
        capture_output=True,
        check=False,
        text=True,
        timeout=_LIMIT,
        env=_environment(tmp_path),
    )
    assert done.stdout.splitlines()[4:] == [
        "opsvisor> 0",
        "opsvisor> opsvisor> *** Unknown syntax: foo",
        "opsvisor> ",
    ]
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_leaves_a_stream_with_success(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """Following is ended by Ctrl-C, so that is no failure."""
    over = threading.Event()
    daemon.answers["GET /api/v1/daemon/log/follow?bytes=1024"] = Sse(
        'data: {"text": "hello\\n", "offset": 6}\n\n', over
    )
    words = ["--plain", "-s", daemon.url, "maintail", "-f"]
    with _on_terminal(words, _environment(tmp_path)) as (program, terminal):
        _read_until(terminal, "hello")
        program.send_signal(signal.SIGINT)
        assert "Traceback" not in _read_to_end(terminal)
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
    with _on_terminal(words, _environment(tmp_path)) as (program, terminal):
        assert asked.wait(_LIMIT)
        program.send_signal(signal.SIGINT)
        assert "goes on in the daemon" in _read_to_end(terminal)
        assert program.wait(_LIMIT) == 130
    over.set()


def test_text_that_can_not_be_shown(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """What the locale has no character for is escaped, not an error."""
    daemon.answers["GET /api/v1/processes/w/logs/stdout?bytes=1600"] = wire.LogText(
        name="w", stream="stdout", text="50 € \N{SNOWMAN}", offset=9, size=9
    )
    done = subprocess.run(
        [*_CTL, "-s", daemon.url, "tail", "w"],
        capture_output=True,
        check=False,
        timeout=_LIMIT,
        env=_environment(tmp_path, PYTHONIOENCODING="latin-1"),
    )
    assert (done.stdout, done.returncode) == (b"50 \\u20ac \\u2603\n", 0)


def test_a_reader_that_has_seen_enough(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """`opsvisorctl status | head -0` ends without a traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*_CTL, "-s", daemon.url, "status"],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
        timeout=_LIMIT,
        env=_environment(tmp_path),
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("words", [["status"], ["--json", "status"], ["pid"], ["version"]])
def test_scripts_load_nothing_heavy(
    daemon: RecordedDaemon, tmp_path: Path, words: list[str]
) -> None:
    """Scripts wait for neither tables nor prompts nor an event loop."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *_CTL[1:], "-s", daemon.url, *words],
        capture_output=True,
        check=False,
        text=True,
        timeout=_LIMIT,
        env=_environment(tmp_path),
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
        _CTL,
        capture_output=True,
        check=False,
        text=True,
        timeout=_LIMIT,
        env=_environment(
            tmp_path,
            _OPSVISORCTL_COMPLETE="bash_complete",
            COMP_WORDS=f"opsvisorctl -s {daemon.url} start w",
            COMP_CWORD="4",
        ),
    )
    assert done.stdout.splitlines() == ["plain,w:0", "plain,w:1", "plain,w:*"]
