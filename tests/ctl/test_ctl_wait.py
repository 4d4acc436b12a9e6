"""wait: reached, timed out, or out of reach, each with a status of its own, and no polling."""

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from ctl_runs import Ctl
from msgspec.structs import replace
from recorded_daemon import DAEMON, RecordedDaemon, Sse, fatal, problem, running, stopped
from terminals import environment, on_terminal, read_to_end, read_until

from opsvisor import wire
from opsvisor.ctl.time_limit import TimeIsOver, time_limit

_LIMIT = 60.0
_WATCH = "GET /api/v1/watch?interval=3600.0"
_STARTING = replace(running("web"), state="STARTING", ready=False, reason="start requested")
_UNREADY = replace(running("web"), ready=False)
_RETRIED = fatal("web")
_GIVEN_UP = replace(fatal("web"), retry_at=0.0)
_EXITED = replace(stopped("web"), state="EXITED", reason="exit status 0")


@pytest.fixture
def over() -> Iterator[threading.Event]:
    """What keeps a stream open until the test is over."""
    event = threading.Event()
    yield event
    event.set()


def _record(
    daemon: RecordedDaemon,
    first: list[wire.ProcessStatus],
    *later: wire.ProcessStatus | str,
    until: threading.Event | None = None,
) -> None:
    """Watching tells of the first, then of each of the later ones; a text is who is removed."""
    pieces: list[tuple[str, msgspec.Struct]] = [
        ("snapshot", wire.WatchSnapshot(processes=first, daemon=DAEMON))
    ]
    for one in later:
        if isinstance(one, str):
            pieces.append(("removed", wire.WatchRemoved(names=[one])))
        else:
            pieces.append(("changed", wire.WatchChanged(processes=[one])))
    text = "".join(f"event: {name}\ndata: {wire.encode(it).decode()}\n\n" for name, it in pieces)
    daemon.answers[_WATCH] = Sse(text, until)


@pytest.mark.parametrize(
    ("words", "first", "later", "out"),
    [
        ("web", running("web"), [], "web: running\n"),
        ("web", stopped("web"), [_STARTING, running("web")], "web: running\n"),
        ("web", _RETRIED, [_STARTING, running("web")], "web: running\n"),
        ("web --for ready", _UNREADY, [running("web")], "web: ready\n"),
        ("web --for=exited", running("web"), [_EXITED], "web: exited\n"),
        ("--for stopped web", running("web"), [stopped("web")], "web: stopped\n"),
        ("web --for stopped", running("web"), [_GIVEN_UP], "web: stopped\n"),
        ("web --for stopped", running("web"), ["web"], "web: stopped\n"),
        ("web --timeout 10s", running("web"), [], "web: running\n"),
    ],
)
def test_reached(  # noqa: PLR0917 - one table
    ctl: Ctl,
    daemon: RecordedDaemon,
    over: threading.Event,
    words: str,
    first: wire.ProcessStatus,
    later: list[wire.ProcessStatus | str],
    out: str,
) -> None:
    """Status 0 at the moment it is so, by one stream: nothing is asked again and again."""
    _record(daemon, [first], *later, until=over)
    assert ctl("wait", *words.split()) == (0, out, "")
    assert daemon.lines() == [_WATCH]


@pytest.mark.parametrize(
    ("words", "later", "why"),
    [
        (
            "web",
            [_GIVEN_UP],
            "can't be running any more: FATAL: 9 automatic restarts in 600 s, more than 8",
        ),
        ("web --for ready", [_EXITED], "can't be ready any more: EXITED: exit status 0"),
        ("web --for exited", [_GIVEN_UP], "can't be exited any more: FATAL: 9 automatic "),
        ("web", ["web"], "removed from the configuration"),
    ],
)
def test_out_of_reach(  # noqa: PLR0917 - one table
    ctl: Ctl,
    daemon: RecordedDaemon,
    over: threading.Event,
    words: str,
    later: list[wire.ProcessStatus | str],
    why: str,
) -> None:
    """Status 8, without waiting for a time that can't help, and the reason."""
    _record(daemon, [_STARTING], *later, until=over)
    ran = ctl("wait", *words.split(), "--timeout", "60s")
    assert ran.status == 8
    assert ran.out.startswith(f"web: ERROR ({why}")
    assert ran.err == "hint: opsvisorctl why web\n"


@pytest.mark.parametrize(
    ("words", "first", "why"),
    [
        ("web", _STARTING, "timed out: STARTING: start requested"),
        ("web", _RETRIED, "timed out: FATAL: 9 automatic restarts in 600 s, more than 8"),
        ("web --for ready", _UNREADY, "timed out: RUNNING; not ready"),
        ("web --for stopped", running("web"), "timed out: RUNNING: up for min_uptime"),
    ],
)
def test_timed_out(  # noqa: PLR0917 - one table
    ctl: Ctl,
    daemon: RecordedDaemon,
    over: threading.Event,
    words: str,
    first: wire.ProcessStatus,
    why: str,
) -> None:
    """Status 124, as timeout(1) has it, and how it is instead."""
    _record(daemon, [first], until=over)
    ran = ctl("wait", *words.split(), "--timeout", "100ms")
    assert (ran.status, ran.out) == (124, f"web: ERROR ({why})\n")


def test_all_of_several(ctl: Ctl, daemon: RecordedDaemon, over: threading.Event) -> None:
    """Patterns and names together; who is there already is named as well."""
    first = [running("w:0"), replace(_STARTING, name="w:1", group="w", process="1"), fatal("bad")]
    _record(daemon, first, running("w:1"), until=over)
    assert ctl("wait", "w:*", "w:0")[:2] == (0, "w:0: running\nw:1: running\n")
    ran = ctl("wait", "all", "--timeout", "0.05")
    assert (ran.status, ran.out.splitlines()[:2]) == (124, ["w:0: running", "w:1: running"])


def test_as_json(ctl: Ctl, daemon: RecordedDaemon, over: threading.Event) -> None:
    """How it ended in a word, and all that is known of who isn't there."""
    _record(daemon, [running("a"), _STARTING], _GIVEN_UP, until=over)
    ran = ctl("--json", "wait", "all")
    answer = json.loads(ran.out)
    assert (ran.status, ran.err) == (8, "")
    assert (answer["result"], answer["wanted"], answer["reached"]) == (
        "out_of_reach",
        "running",
        ["a"],
    )
    assert [one["reason"] for one in answer["missing"]] == [_GIVEN_UP.reason]


def test_names_of_nobody(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """4, as `status` has it: it would be waited for in vain."""
    _record(daemon, [running("web")])
    assert ctl("wait", "web", "nope", "g:*")[:2] == (
        4,
        "nope: ERROR (no such process)\ng:*: ERROR (no such group)\n".replace("g:*:", "g:"),
    )


def test_a_daemon_that_ends(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """1, and the reason beside it: nobody is there to tell of anything."""
    _record(daemon, [_STARTING])
    ran = ctl("wait", "web")
    assert (ran.status, ran.out) == (
        1,
        "web: ERROR (not running yet: STARTING: start requested)\n",
    )
    assert "opsvisord ended the connection" in ran.err


def test_a_daemon_that_ends_at_once(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """Before it has said how anything is."""
    daemon.answers[_WATCH] = Sse(": farewell\n\n")
    ran = ctl("wait", "web")
    assert (ran.status, ran.out) == (1, "")
    assert "opsvisord ended the connection" in ran.err


def test_a_daemon_that_says_nothing(
    ctl: Ctl, daemon: RecordedDaemon, over: threading.Event
) -> None:
    """For its first answer there is a second, however short the time was that was given."""
    daemon.answers[_WATCH] = Sse(": nothing yet\n\n", over)
    ran = ctl("wait", "web", "--timeout", "0.1")
    assert (ran.status, ran.out) == (
        124,
        f"ERROR (timed out: no answer from {daemon.url})\n",
    )


@pytest.mark.parametrize("timeout", ["0", "0s", "1ms"])
def test_how_it_is_now(
    ctl: Ctl, daemon: RecordedDaemon, over: threading.Event, timeout: str
) -> None:
    """Is known however short the time is."""
    _record(daemon, [running("web"), replace(_STARTING, name="slow")], until=over)
    assert ctl("wait", "web", "--timeout", timeout)[:2] == (0, "web: running\n")
    assert ctl("wait", "nope", "--timeout", timeout).status == 4
    why = "timed out: STARTING: start requested"
    assert ctl("wait", "slow", "--timeout", timeout)[:2] == (124, f"slow: ERROR ({why})\n")


def test_a_daemon_of_before(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """One that can't be watched says so."""
    daemon.answers[_WATCH] = problem(404, "not_found", "no route")
    assert ctl("wait", "web").status == 1


def test_ctrl_c(daemon: RecordedDaemon, tmp_path: Path, over: threading.Event) -> None:
    """130, and how it is; on a terminal it was told all the while whom it waits for."""
    _record(daemon, [_STARTING], until=over)
    words = ["-s", daemon.url, "wait", "web", "--timeout", "60s"]
    with on_terminal(words, environment(tmp_path)) as (program, terminal):
        assert "waiting until running (1 min at most)" in read_until(terminal, "0 of 1")
        program.send_signal(signal.SIGINT)
        told = read_to_end(terminal)
        assert program.wait(_LIMIT) == 130
    assert "web: ERROR (not running yet: STARTING: start requested)" in told
    assert "goes on in the daemon" not in told


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("", "wait requires a process name"),
        ("web --for up", "--for is one of running, ready, exited, stopped, not 'up'"),
        ("web --timeout soon", "--timeout 'soon' is not a duration"),
        ("web --timeout 2000000000", "--timeout '2000000000' is not a duration"),
        ("web --timeout nan", "--timeout 'nan' is not a duration"),
        ("web --timeout 3000d", "--timeout '3000d' is too long: leave it out"),
    ],
)
def test_what_makes_no_sense(ctl: Ctl, words: str, complaint: str) -> None:
    """With the help of the command."""
    ran = ctl("wait", *words.split())
    assert ran.status == 1
    assert ran.out.startswith(f"Error: {complaint}")
    assert "--timeout <time>" in ran.out


def test_a_limit_ends_with_what_it_is_for() -> None:
    """It strikes inside, and leaves no alarm behind."""
    with pytest.raises(TimeIsOver), time_limit(0.01):
        threading.Event().wait(10)
    with time_limit(30.0):
        pass
    with time_limit(None):
        pass
