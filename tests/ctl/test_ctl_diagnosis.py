"""why and events: what an operator reads at night."""

import json
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from ctl_runs import Ctl
from recorded_daemon import NOW, RecordedDaemon, Sse, fatal, problem, run, running, stopped

from opsvisor import wire
from opsvisor.ctl import postmortem, render
from opsvisor.ctl.troubles import Trouble, trouble_of
from opsvisor.ctl.verdict import verdict

_HISTORY = wire.History(
    status=fatal("bad"),
    policy=["restart on failure", "more than 8 restarts in 10 min: FATAL"],
    what_next="a slow retry in 10 min",
    hints=["look into its log"],
    runs=[
        run(expected=True, started_at=NOW - 50, stderr=["all is well"]),
        run(expected=False, started_at=NOW - 62, stderr=["Traceback", "\x1b[31mno\x07 db\x1b[0m"]),
    ],
    timeline=[
        wire.Event(
            id=8,
            at=NOW - 60,
            kind="state_changed",
            process="bad",
            text="bad: BACKOFF -> FATAL: no\x1b[2J more",
            detail={},
        ),
        wire.Event(
            id=1,
            at=NOW - 86400,
            kind="process_added",
            process="bad",
            text="bad was added",
            detail={},
        ),
    ],
)

_SCREEN = """\
bad is FATAL since 2026-11-23 09:36:53 (1 min ago)
  given up: 9 automatic restarts in 600 s, more than 8
  it is flapping: 8 automatic restarts so far
  its log has a problem: No space left on device

What happens next
  a slow retry in 10 min (at 2026-11-23 09:47:53)

What to do
  look into its log

Last lines of stderr, run of 2026-11-23 09:36:51
  Traceback
  no? db

Last runs, newest first
  09:37:03  up 2 s  exit status 0; stays EXITED
  09:36:51  up 2 s  exit status 3; restart in 4 s: exit 3 is no success

Lately, newest first
  09:36:53  BACKOFF -> FATAL: no more
  2026-11-22 09:37:53  was added

Policy
  more than 8 restarts in 10 min: FATAL
  restart on failure"""


@pytest.mark.usefixtures("utc")
def test_the_screen() -> None:
    """What is wrong, what follows, what to do, last words, runs, transitions, and policy.

    The rule that applies comes first, times of today have no date, and nothing commands the
    terminal.
    """
    assert "\n".join(postmortem.lines(_HISTORY, NOW)) == _SCREEN


@pytest.mark.usefixtures("utc")
def test_a_process_that_is_well() -> None:
    """Sections without content are left out."""
    history = wire.History(status=running("web"), policy=[], what_next="", hints=[], runs=[])
    assert list(postmortem.lines(history, NOW)) == [
        "web is RUNNING since 2026-11-23 09:36:53 (1 min ago)",
        "  nothing is wrong: up for 1 min, ready",
        "  pid 4211, up 1 min, RSS 50.0 MiB",
        "",
        "What happens next",
        "  nothing by itself",
        "",
        "Last runs, newest first",
        "  none has ended yet",
    ]


@pytest.mark.usefixtures("utc")
@pytest.mark.parametrize("height", [12, 18, 24, 40, 200])
def test_a_screen_is_filled_and_not_exceeded(height: int) -> None:
    """The least important goes, as whole entries; a hint of each section's start stays."""
    crowded = msgspec.structs.replace(
        _HISTORY,
        policy=[
            *_HISTORY.policy,
            *(f"rule {number} {'of many words ' * 9}" for number in range(9)),
        ],
        runs=_HISTORY.runs * 9,
        timeline=_HISTORY.timeline * 9,
        hints=[f"advice {number}" for number in range(3)],
    )
    screen = postmortem.screen_of(crowded, NOW)
    cut = postmortem.fitted(screen, 80, height)
    shown = [cut.headline, *cut.words]
    for section in cut.sections:
        shown += [section.title, *section.body]
    assert max(len(line) for line in shown) <= 80
    least = [
        sum(len(postmortem.wrapped(line, 80)) for line in one.body[: one.least])
        for one in screen.sections
    ]
    smallest = 1 + len(cut.words) + len(least) + sum(least)
    assert len(shown) + cut.is_cut <= max(height, smallest + 1)
    assert cut.is_cut is (height < 100)
    assert [one.title for one in cut.sections] == [one.title for one in screen.sections]
    assert [one.body[0] for one in cut.sections] == [one.body[0][:78] for one in screen.sections]


def _is(name: str = "web", **facts: Any) -> wire.ProcessStatus:
    return msgspec.structs.replace(running(name), **facts)


_DOWN: dict[str, Any] = {"pid": 0, "ready": False, "expected_running": False}


@pytest.mark.parametrize(
    ("status", "trouble", "words"),
    [
        (
            _is(state="FATAL", spawn_error="can't find command 'x'", **_DOWN),
            Trouble.GIVEN_UP,
            ["it can't be started: can't find command 'x'"],
        ),
        (
            _is(state="FATAL", reason="8 restarts in 600 s", exit_code=3, **_DOWN),
            Trouble.GIVEN_UP,
            ["given up: 8 restarts in 600 s"],
        ),
        (
            _is(state="BACKOFF", reason="exit 1", failed_starts=4, **_DOWN),
            Trouble.RETRYING,
            ["its starts fail (4 in a row): exit 1"],
        ),
        (
            _is(state="BACKOFF", reason="exit status 3", flapping=True, restarts=5, **_DOWN),
            Trouble.RETRYING,
            ["exit status 3", "it is flapping: 5 automatic restarts so far"],
        ),
        (_is(ready=False), Trouble.UNREADY, ["it runs, but is not ready"]),
        (_is(healthy=False), Trouble.UNHEALTHY, ["it runs, but is unhealthy"]),
        (
            _is(flapping=True, restarts=4),
            Trouble.FLAPPING,
            ["it is flapping: 4 automatic restarts so far"],
        ),
        (
            _is(log_problem="disk full"),
            Trouble.IMPAIRED,
            ["its log has a problem: disk full"],
        ),
        (
            _is(limits_problem="no cgroup"),
            Trouble.IMPAIRED,
            ["its resources are not limited: no cgroup"],
        ),
        (
            _is(state="STOPPING", reason="stop requested", kills_survived=2),
            Trouble.UNHEALTHY,
            ["it is being stopped: stop requested", "SIGKILL did not end it 2 times"],
        ),
        (_is(state="STARTING", reason="retry 2"), Trouble.NONE, ["it is starting: retry 2"]),
        (stopped("web"), Trouble.NONE, ["it was never started (startup = enabled)"]),
        (
            _is(state="STOPPED", reason="stopped (manual)", **_DOWN),
            Trouble.NONE,
            ["stopped (manual)"],
        ),
        (
            _is(state="EXITED", reason="exit status 0", **_DOWN),
            Trouble.NONE,
            ["it has ended by itself: exit status 0"],
        ),
        (
            _is(state="EXITED", reason="exit status 3", pid=0, ready=False),
            Trouble.GONE,
            ["it has ended by itself, and should run: exit status 3"],
        ),
        (
            _is(restarts=2),
            Trouble.NONE,
            ["nothing is wrong: up for 1 min, ready, 2 automatic restarts so far"],
        ),
    ],
)
def test_every_predicament_in_words(
    status: wire.ProcessStatus, trouble: Trouble, words: list[str]
) -> None:
    """What is wrong, the most important first, and how bad it is."""
    history = msgspec.structs.replace(_HISTORY, status=status, runs=[], timeline=[])
    assert verdict(history) == words
    assert trouble_of(status) is trouble


@pytest.mark.usefixtures("utc")
def test_who_stopped_it_and_what_killed_it() -> None:
    """As far as it is remembered; a refused stop stopped nothing."""
    asked = wire.Event(
        id=9,
        at=NOW - 60,
        kind="control_action",
        process="",
        text="ann from 10.0.0.7 asked for stop web, because: deploy",
        detail={
            "action": "stop",
            "identity": "ann",
            "user": "",
            "source": "10.0.0.7",
            "result": "ok",
            "reason": "deploy",
        },
    )
    by_hand = _is(state="STOPPED", reason="stopped (manual)", since=NOW - 60, **_DOWN)
    history = msgspec.structs.replace(_HISTORY, status=by_hand, timeline=[asked])
    assert verdict(history) == [
        "stopped (manual)",
        "ann asked for it from 10.0.0.7 at 2026-11-23 09:36:53, because: deploy",
    ]
    refused = msgspec.structs.replace(asked, detail={**asked.detail, "result": "refused"})
    assert len(verdict(msgspec.structs.replace(history, timeline=[refused]))) == 1
    killed = msgspec.structs.replace(_HISTORY.runs[1], cause="oom", ended_at=NOW)
    history = msgspec.structs.replace(
        _HISTORY, status=_is(), runs=[killed], policy=["a", "limits: 5"]
    )
    assert verdict(history)[1] == (
        "its last run was killed for want of memory, at 2026-11-23 09:37:53"
    )
    assert postmortem.screen_of(history, NOW).sections[-1].body == ["limits: 5", "a"]


def test_all_that_is_wrong(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """Worst first, each in a line; what is well is not there."""
    found = [_is("ok"), _is("sick", ready=False), fatal("bad"), _is("mute", log_problem="full")]
    daemon.answers["GET /api/v1/processes"] = wire.ProcessList(processes=found)
    ran = ctl("why")
    assert ran.status == 0
    assert [line.partition(":")[0] for line in ran.out.splitlines()] == ["bad", "sick", "mute"]
    told = json.loads(ctl("--json", "why").out)["troubles"]
    assert [(one["name"], one["trouble"]) for one in told] == [
        ("bad", "given_up"),
        ("sick", "unready"),
        ("mute", "impaired"),
    ]


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
    assert render.probe_troubles(asked) == told
    assert render.probe_troubles(msgspec.structs.replace(asked, pid=0)) == []


def test_why(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """The screen of the process that was named; an unknown one is said to be so."""
    daemon.answers["GET /api/v1/processes/bad/history"] = _HISTORY
    daemon.answers["GET /api/v1/processes/x/history"] = problem(404, "no_such_process")
    daemon.answers["GET /api/v1/processes"] = wire.ProcessList(processes=[_is("ok")])
    ran = ctl("why", "bad")
    assert ran.status == 0
    assert ran.out.startswith("bad is FATAL since ")
    assert ctl("why", "x") == (1, "x: ERROR (no such process)\n", "")
    assert msgspec.json.decode(ctl("--json", "why", "bad").out, type=wire.History) == _HISTORY


def test_why_of_a_group(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """A name that means several gets what is wrong with them, as no name does with all."""
    daemon.answers["GET /api/v1/processes"] = wire.ProcessList(
        processes=[
            _is("web:0", group="web"),
            _is("web:1", group="web", ready=False),
            _is("db", ready=False),
        ]
    )
    for name in ("web", "web:", "web:*", "w*"):
        missing = problem(404, "no_such_group" if ":" in name else "no_such_process")
        daemon.answers[f"GET /api/v1/processes/{quote(name)}/history"] = missing
        assert ctl("why", name) == (0, "web:1: RUNNING: it runs, but is not ready\n", "")


def test_why_wants_one_name_at_most(ctl: Ctl) -> None:
    """Not two."""
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
