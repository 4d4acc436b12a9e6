"""why and events: what an operator reads at night."""

import json
from typing import Any

import msgspec
import pytest
from ctl_runs import Ctl
from recorded_daemon import NOW, RecordedDaemon, Sse, fatal, problem, run, running, stopped

from opsvisor import wire
from opsvisor.ctl import postmortem, render

_HISTORY = wire.History(
    status=fatal("bad"),
    policy=["restart on failure", "FATAL after more than 8 restarts in 10 min"],
    what_next="a slow retry in 10 min",
    hints=["look into its log"],
    runs=[
        run(expected=True, started_at=NOW - 50, stderr=["all is well"]),
        run(expected=False, started_at=NOW - 62, stderr=["Traceback", "\x1b[31mno\x07 db\x1b[0m"]),
    ],
)

_SCREEN = """\
bad is FATAL since 2026-11-23 09:36:53 (1 min ago)
  9 automatic restarts in 600 s, more than 8
  flapping: 8 automatic restarts so far
  log problem: No space left on device

What happens next
  a slow retry in 10 min (at 2026-11-23 09:47:53)

Policy
  restart on failure
  FATAL after more than 8 restarts in 10 min

Last runs, newest first
  STARTED              UPTIME  HOW IT ENDED   WHAT FOLLOWED
  2026-11-23 09:37:03  2 s     exit status 0  stays EXITED
  2026-11-23 09:36:51  2 s     exit status 3  restart in 4 s: exit 3 is no success

Last lines of stderr, run of 2026-11-23 09:36:51
  Traceback
  no? db

What to do
  look into its log"""


@pytest.mark.usefixtures("utc")
def test_the_screen() -> None:
    """State, countdown, policy, runs, last words of the last bad run, and what to do."""
    assert "\n".join(postmortem.lines(_HISTORY, NOW)) == _SCREEN


@pytest.mark.usefixtures("utc")
def test_a_process_that_is_well() -> None:
    """Sections without content are left out."""
    history = wire.History(status=running("web"), policy=[], what_next="", hints=[], runs=[])
    assert list(postmortem.lines(history, NOW)) == [
        "web is RUNNING since 2026-11-23 09:36:53 (1 min ago)",
        "  up for min_uptime",
        "  pid 4211, up 1 min",
        "",
        "What happens next",
        "  nothing by itself",
        "",
        "Last runs, newest first",
        "  none has ended yet",
    ]


def test_what_must_not_be_overlooked() -> None:
    """Facts beside the state are told only where they are so."""
    sick = msgspec.structs.replace(
        running("web"), ready=False, healthy=False, kills_survived=2, log_problem="disk full"
    )
    assert postmortem.facts(sick) == [
        "pid 4211, up 1 min",
        "not ready",
        "unhealthy",
        "SIGKILL did not end it 2 times",
        "log problem: disk full",
    ]
    assert postmortem.facts(stopped("web")) == []


def probe(name: str, **facts: Any) -> wire.ProbeStatus:
    """A probe that passes, but for these facts."""
    passes = wire.ProbeStatus(
        probe=name,
        question="GET http://127.0.0.1/",
        asked=True,
        passing=True,
        wrong_in_a_row=0,
        attempts=9,
        failures=0,
        duration=0.01,
        detail="http 200",
    )
    return msgspec.structs.replace(passes, **facts)


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({}, []),
        (
            {"passing": False, "wrong_in_a_row": 3, "detail": "http 503"},
            ["liveness probe fails: http 503 (3 wrong answers in a row)"],
        ),
        (
            {"wrong_in_a_row": 1, "detail": "exit 1: \x1b[31mno db"},
            ["liveness probe may fail: exit 1: no db (1 wrong answer in a row)"],
        ),
        (
            {"passing": None, "detail": "connection refused"},
            ["liveness probe has not passed yet: connection refused"],
        ),
        (
            {"passing": None, "detail": ""},
            ["liveness probe has not passed yet, no answer so far"],
        ),
        ({"passing": None, "asked": False}, []),
    ],
)
def test_probes_are_told_where_they_say_something(facts: dict[str, Any], told: list[str]) -> None:
    """With the last answer; nothing of those that pass, or of one that is down."""
    asked = msgspec.structs.replace(running("web"), probes=[probe("liveness", **facts)])
    assert postmortem.facts(asked)[1:] == told
    assert postmortem.facts(msgspec.structs.replace(asked, pid=0)) == []


def test_why(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """The screen of the process that was named; an unknown one is said to be so."""
    daemon.answers["GET /api/v1/processes/bad/history"] = _HISTORY
    daemon.answers["GET /api/v1/processes/x/history"] = problem(404, "no_such_process")
    ran = ctl("why", "bad")
    assert ran.status == 0
    assert ran.out.startswith("bad is FATAL since ")
    assert ctl("why", "x") == (1, "x: ERROR (no such process)\n", "")
    assert msgspec.json.decode(ctl("--json", "why", "bad").out, type=wire.History) == _HISTORY


def test_why_wants_one_name(ctl: Ctl) -> None:
    """Neither none nor two."""
    assert ctl("why").out.startswith("Error: why requires a process name\nwhy <name>")
    assert ctl("why", "a", "b").out.startswith("Error: too many arguments\n")


@pytest.mark.usefixtures("utc")
def test_events(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """One line per event, losses beside it; the end of the stream is not the user's doing."""
    event = wire.Event(
        id=4, at=NOW, kind="process_exited", process="web", text="web: exit status 3", detail={}
    )
    stream = Sse(
        f"id: 4\ndata: {msgspec.json.encode(event).decode()}\n\n"
        'event: gap\ndata: {"lost": [5, 9]}\n\n'
    )
    daemon.answers = {"GET /api/v1/events?replay=3": stream, "GET /api/v1/events": stream}
    assert ctl("events", "--replay", "3") == (
        1,
        "2026-11-23 09:37:53 PROCESS_EXITED           web: exit status 3\n",
        "==> events 5 to 9 were lost <==\nthe daemon ended the stream\n",
    )
    lines = ctl("--json", "events").out.splitlines()
    assert [json.loads(line) for line in lines] == [msgspec.to_builtins(event), {"lost": [5, 9]}]


@pytest.mark.parametrize("words", ["x", "--replay", "--replay x", "--replay=x", "--replay 1 2"])
def test_events_with_other_words(ctl: Ctl, words: str) -> None:
    """Anything but a number of events to replay is refused."""
    ran = ctl("events", *words.split())
    assert ran.status == 1
    assert ran.out.startswith(f"Error: bad arguments '{words}'\nevents ")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (3600, "1 h"),
        (273_600, "3 d 4 h"),
    ],
)
def test_lengths_of_time(seconds: float, text: str) -> None:
    """Two units at most, nothing negative."""
    assert render.span(seconds) == text
    assert render.short_span(seconds) == text.replace(" ", "").replace("min", "m")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (52_428_800, "50.0 MiB"),
        (120 * 1024**2, "120 MiB"),
        (3 * 1024**4, "3.0 TiB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    """Binary units, three digits."""
    assert render.size(count) == text
