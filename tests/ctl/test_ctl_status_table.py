"""status for people: what is where, at every width, whatever processes are called."""

import re
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pytest
from ctl_runs import Ctl
from msgspec.structs import replace
from recorded_daemon import DAEMON, NOW, RecordedDaemon, fatal, running, stopped
from rich.console import Console
from rich.text import Text
from terminals import environment, shown

from opsvisor import wire
from opsvisor.ctl import table
from opsvisor.ctl.table import table_lines
from opsvisor.ctl.troubles import Trouble, trouble_of

_LONG = "a-group-with-quite-a-long-name:worker_"


def _lines(width: int, *processes: wire.ProcessStatus) -> list[str]:
    console = Console(width=width, file=StringIO())
    return [line.plain.rstrip() for line in table_lines(console, processes, NOW)]


def _measured(name: str, pid: int = 4211) -> wire.ProcessStatus:
    return replace(running(name, pid), cpu_usage=0.123)


def test_where_there_is_room_a_line_says_it_all() -> None:
    """State, times, numbers and remarks side by side; a pid for whoever looks for one."""
    assert _lines(160, fatal("bad"), _measured("web"), stopped("off")) == [
        "Name  State    For  Next try  Restarts  CPU  CPU time       RSS   Pid  Remarks",
        (
            "bad   FATAL     1m    in 10m         8"
            "                                  flapping   log problem"
            "  9 automatic restarts in 600 s, more than 8"
        ),
        "web   RUNNING   1m                      12%       12s  50.0 MiB  4211",
        "off   STOPPED   1m                                                     Not started",
    ]


def test_where_there_is_none_troubles_go_below() -> None:
    """Nothing is said below of what is well, and less important numbers give way."""
    lines = _lines(60, fatal("bad"), _measured("web"), stopped("off"))
    assert lines == [
        "Name  State    For  Next try  Restarts  CPU       RSS   Pid",
        "bad   FATAL     1m    in 10m         8",
        "     flapping   log problem  9 automatic restarts in 600 s,",
        "    more than 8",
        "web   RUNNING   1m                      12%  50.0 MiB  4211",
        "off   STOPPED   1m",
    ]
    assert _lines(30, _measured("web"))[0] == "Name  State    For  CPU"


@pytest.mark.parametrize("width", [24, 40, 60, 80, 100, 132, 160, 240])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Long names, wide characters and long reasons included; a terminal would break them."""
    wordy = replace(fatal("bad"), reason="because " * 60)
    processes = [
        wordy,
        replace(wordy, name="\N{CJK UNIFIED IDEOGRAPH-4E2D}" * 40),
        _measured(f"{_LONG}{'x' * 200}"),
        *(_measured(f"{_LONG}{number}") for number in range(12)),
    ]
    console = Console(width=width, file=StringIO())
    assert max(line.cell_len for line in table_lines(console, processes, NOW)) <= width


def test_a_thousand_processes_take_ten_times_what_a_hundred_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not a hundred times: the width of a column is looked for once, not once for each cell."""
    asked = list[object]()
    real = table._column_width

    def counted(column: table.Column, cells: Sequence[Text]) -> int:
        asked.append(column)
        return real(column, cells)

    monkeypatch.setattr(table, "_column_width", counted)
    _lines(80, *(_measured(f"w:{number}") for number in range(100)))
    few = len(asked)
    _lines(80, *(_measured(f"w:{number}") for number in range(1000)))
    assert len(asked) == 2 * few


def test_names_that_are_too_long_differ_still() -> None:
    """Cut in the middle: the number of a replica stands at the end."""
    names = [
        line.split()[0]
        for line in _lines(50, *(_measured(f"{_LONG}{number}") for number in range(12)))[1:]
    ]
    assert len(set(names)) == 12
    assert names[11].endswith("_11")
    assert "…" in names[11]


def test_names_command_nothing() -> None:
    """A program may be called anything; its name moves no cursor."""
    lines = _lines(100, replace(fatal("bad"), name="x\x1b[2J\ny", reason="\x1b]0;owned\x07"))
    assert lines[1].startswith("x?y   FATAL")
    assert not any(char in line for line in lines for char in "\x1b\x07\n")


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        (fatal("a"), Trouble.GIVEN_UP),
        (replace(fatal("a"), state="BACKOFF"), Trouble.RETRYING),
        (replace(fatal("a"), state="EXITED"), Trouble.GONE),
        (replace(fatal("a"), state="STOPPED"), Trouble.GONE),
        (replace(stopped("a"), state="EXITED"), Trouble.NONE),
        (replace(running("a"), healthy=False, flapping=True), Trouble.UNHEALTHY),
        (replace(running("a"), kills_survived=1), Trouble.UNHEALTHY),
        (replace(running("a"), ready=False), Trouble.UNREADY),
        (replace(running("a"), state="STARTING", ready=False), Trouble.NONE),
        (replace(running("a"), flapping=True), Trouble.FLAPPING),
        (replace(running("a"), limits_problem="no cgroup"), Trouble.IMPAIRED),
        (running("a"), Trouble.NONE),
        (stopped("a"), Trouble.NONE),
    ],
)
def test_what_counts_as_trouble(status: wire.ProcessStatus, trouble: Trouble) -> None:
    """The worst that can be said; a job that ended well and a stop are none."""
    assert trouble_of(status) is trouble


def test_the_worst_comes_first_and_a_hint_last(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """What to look at stands at the top, what to do at the bottom."""
    backoff = replace(fatal("late"), state="BACKOFF")
    daemon.answers = {
        "GET /api/v1/processes": wire.ProcessList(
            processes=[running("a"), backoff, stopped("off"), fatal("z")]
        ),
        "GET /api/v1/daemon": replace(DAEMON, last_reload_ok=False),
    }
    text = shown(["-s", daemon.url, "status"], environment(tmp_path, NO_COLOR="1"), width=160)
    lines = re.sub(r"\x1b\[\d*m", "", text).splitlines()
    named = [line.split()[0] for line in lines if line.strip()]
    assert named[:5] == ["Name", "z", "late", "a", "off"]
    assert lines[-4:] == [
        "1 fatal, 1 backoff, 1 running, 1 stopped",
        "why? opsvisorctl why z",
        "the configuration files can't be used as they are: opsvisorctl diff says why",
        "trees: process group + subreaper (no delegated cgroup)",
    ]


def test_a_long_table_says_where_the_troubles_are(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """They have scrolled away by then."""
    daemon.answers = {
        "GET /api/v1/processes": wire.ProcessList(
            processes=[fatal("z"), *(running(f"w:{number}") for number in range(60))]
        ),
        "GET /api/v1/daemon": DAEMON,
    }
    text = shown(["-s", daemon.url, "status"], environment(tmp_path, NO_COLOR="1"), width=80)
    assert "1 in trouble: opsvisorctl status --problems" in text


@pytest.mark.parametrize(
    ("words", "listed", "status"),
    [
        ("--problems", ["bad", "late"], 3),
        ("--state running", ["w:0", "w:1"], 0),
        ("--state=fatal,Backoff", ["bad", "late"], 3),
        ("w:* --problems", [], 0),
        ("late --problems --state backoff", ["late"], 0),
    ],
)
def test_only_some(
    ctl: Ctl, daemon: RecordedDaemon, words: str, listed: list[str], status: int
) -> None:
    """Filters say which of the named ones are listed; the exit status is that of those."""
    processes = [fatal("bad"), replace(fatal("late"), state="BACKOFF")]
    daemon.answers["GET /api/v1/processes"] = wire.ProcessList(
        processes=[*processes, running("w:0"), running("w:1")]
    )
    ran = ctl("status", *words.split())
    assert ([line.split()[0] for line in ran.out.splitlines()], ran.status) == (listed, status)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("--state up", "no state is called 'up': they are stopped, starting, running, "),
        ("--nonsense", "status has no option --nonsense"),
        ("--state", "--state needs a value: --state <states>"),
        ("--problems=1", "--problems takes no value"),
        ("--problems --problems", "--problems is given twice"),
    ],
)
def test_filters_that_make_no_sense(ctl: Ctl, words: str, complaint: str) -> None:
    """Said before anybody is asked."""
    ran = ctl("status", *words.split())
    assert ran.status == 1
    assert ran.out.startswith(f"Error: {complaint}")
