"""Long actions on a terminal: how far they are; piped, supervisorctl's lines and nothing else."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from ctl_runs import Ctl
from msgspec.structs import replace
from recorded_daemon import (
    DAEMON,
    NOW,
    RecordedDaemon,
    Request,
    Sse,
    fatal,
    problem,
    result,
    results,
    running,
    stopped,
)
from terminals import environment, on_terminal, read_to_end, read_until, shown

from opsvisor import wire
from opsvisor.client import Client
from opsvisor.ctl.output import Format, Output
from opsvisor.ctl.progress import Progress, is_down, is_replaced, is_settled, standing
from opsvisor.ctl.session import BadArguments, Session, start_thread

_LIMIT = 60.0
_WATCH = "GET /api/v1/watch?interval=3600.0"
_ACTIONS = "POST /api/v1/actions"
_MANY = [running(f"w:{number}") for number in range(30)]


class _Refused(threading.Thread):
    def start(self) -> None:
        """As where no thread can be made."""
        raise RuntimeError("can't start new thread")


@pytest.fixture
def go_on() -> Iterator[threading.Event]:
    """What an action of the daemon waits for."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture(autouse=True)
def _answers(daemon: RecordedDaemon, go_on: threading.Event) -> None:
    now = [
        *(replace(stopped(f"w:{number}"), reason="stopped as asked") for number in range(20)),
        *(replace(one, state="STOPPING") for one in _MANY[20:]),
    ]
    snapshot = wire.WatchSnapshot(processes=now, daemon=DAEMON)
    daemon.answers = {
        "GET /api/v1/processes": wire.ProcessList(processes=_MANY),
        _WATCH: Sse(f"event: snapshot\ndata: {wire.encode(snapshot).decode()}\n\n", go_on),
    }


def _after(go_on: threading.Event, *told: wire.ActionResult, daemon: RecordedDaemon) -> None:
    def answer(_: Request) -> wire.ActionResponse:
        go_on.wait(_LIMIT)
        return results(*told)

    daemon.answers[_ACTIONS] = answer


def test_how_far_it_is(daemon: RecordedDaemon, tmp_path: Path, go_on: threading.Event) -> None:
    """Done of all, who is waited for; then the failures, and how many went well."""
    outcomes = [result(one.name) for one in _MANY]
    outcomes[3] = result("w:3", "failed", "no signal reaches it")
    _after(go_on, *outcomes, daemon=daemon)
    words = ["-s", daemon.url, "stop", "all"]
    with on_terminal(words, environment(tmp_path), width=80) as (program, terminal):
        seen = read_until(terminal, "and 4 more")
        assert "20 of 30" in seen
        assert "w:20" in seen
        assert "STOPPING" in seen
        go_on.set()
        told = read_to_end(terminal)
        assert program.wait(_LIMIT) == 1
    assert "w:3: ERROR (failed): no signal reaches it\r\n29 stopped in " in told
    assert "1 failed, as said above" in told
    assert "w:4: stopped" not in told


def test_remarks_have_the_room_that_is_left(
    daemon: RecordedDaemon, tmp_path: Path, go_on: threading.Event
) -> None:
    """However long the reason is: the name, the state and since when stand there whole."""
    late = replace(running("w:29"), state="BACKOFF", retry_at=NOW, reason="refused " * 20)
    snapshot = wire.WatchSnapshot(processes=[late], daemon=DAEMON)
    daemon.answers[_WATCH] = Sse(
        f"event: snapshot\ndata: {wire.encode(snapshot).decode()}\n\n", go_on
    )
    _after(go_on, daemon=daemon)
    words = ["-s", daemon.url, "stop", "w:29"]
    with on_terminal(words, environment(tmp_path, NO_COLOR="1"), width=80) as (_, terminal):
        assert "tried again in" in read_until(terminal, "…").partition("w:29  BACKOFF")[2]


def test_of_few_each_is_told(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """What fits on a screen is not counted but named."""
    daemon.answers[_ACTIONS] = results(result("w:1"))
    told = shown(["-s", daemon.url, "stop", "w:1"], environment(tmp_path))
    assert told == "w:1: stopped\r\n"


def test_ctrl_c_says_what_goes_on(
    daemon: RecordedDaemon, tmp_path: Path, go_on: threading.Event
) -> None:
    """The names that are waited for, and that the daemon goes on; 130 as ever."""
    _after(go_on, daemon=daemon)
    with on_terminal(["-s", daemon.url, "restart", "all"], environment(tmp_path)) as (
        program,
        terminal,
    ):
        read_until(terminal, "restarting")
        read_until(terminal, "more")
        program.send_signal(signal.SIGINT)
        told = read_to_end(terminal)
        assert program.wait(_LIMIT) == 130
    assert "still restarting: w:" in told
    assert "interrupted: what was asked for goes on in the daemon" in told


def test_a_shutdown_is_watched_until_all_is_stopped(
    daemon: RecordedDaemon, tmp_path: Path, go_on: threading.Event
) -> None:
    """The daemon ends what is watched last."""
    daemon.answers["POST /api/v1/daemon/shutdown"] = wire.GroupResponse(results=[])
    with on_terminal(["-s", daemon.url, "shutdown"], environment(tmp_path)) as (program, terminal):
        assert "Shut down" not in read_until(terminal, "20 of 30")
        go_on.set()
        assert "Shut down" in read_to_end(terminal)
        assert program.wait(_LIMIT) == 0


def test_scripts_are_told_as_ever(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """One line for each, and nothing is asked of the daemon but the action."""
    daemon.answers[_ACTIONS] = results(*(result(one.name) for one in _MANY))
    ran = ctl("stop", "all")
    assert ran == (0, "".join(f"{one.name}: stopped\n" for one in _MANY), "")
    assert daemon.lines() == [_ACTIONS]


def test_a_daemon_that_can_not_be_watched_is_asked_all_the_same(
    daemon: RecordedDaemon, tmp_path: Path
) -> None:
    """One of before, or one with too many connections."""
    daemon.answers[_WATCH] = problem(404, "not_found")
    daemon.answers[_ACTIONS] = results(result("w:1"))
    assert shown(["-s", daemon.url, "stop", "w:1"], environment(tmp_path)) == "w:1: stopped\r\n"


def test_without_a_thread_nothing_is_shown(
    daemon: RecordedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are too many processes one wants to stop some. What needs a thread says so."""
    session = Session(Client(daemon.url), Output(Format.TERMINAL), asks=False, found="")
    # Those of the daemon that is played here are made as ever.
    ours = SimpleNamespace(Thread=_Refused, Event=threading.Event)
    monkeypatch.setattr("opsvisor.ctl.progress.threading", ours)
    with Progress(session, "stopping", _MANY, is_down) as progress:
        progress.until_hung_up()
    with pytest.raises(BadArguments, match=r"ERROR: no thread .* too many processes"):
        start_thread(_Refused().start)


def test_who_is_waited_for() -> None:
    """Whoever is gone is done; the longest in its state comes first."""
    before = [running("a"), running("b"), running("c")]
    now = {
        "a": replace(running("a"), state="STOPPING", since=20.0),
        "b": replace(running("b"), state="STOPPING", since=10.0),
    }
    done, total, waiting = standing(before, now, is_down)
    assert (done, total, [one.name for one in waiting]) == (1, 3, ["b", "a"])


def test_when_it_is_over() -> None:
    """A stop with nothing alive, a start with any outcome, a restart with another process."""
    up, later = running("a"), replace(fatal("a"), since=fatal("a").since + 1)
    assert is_down(stopped("a"), up)
    assert is_down(fatal("a"), up)
    assert not is_down(replace(up, state="STOPPING"), up)
    assert not is_down(replace(stopped("a"), state="BACKOFF"), up)
    assert is_settled(up, stopped("a"))
    assert is_settled(later, fatal("a"))
    assert not is_settled(fatal("a"), fatal("a"))
    assert is_replaced(running("a", 99), up)
    assert not is_replaced(up, up)
    assert is_replaced(later, up)
