"""fg: lines go in whole, however slowly the process reads."""

import io
import sys
import threading
from collections.abc import Iterator

import msgspec
import pytest
from ctl_runs import Ctl
from recorded_daemon import RecordedDaemon, Request, Sse, problem, running, stopped

from opsvisor import wire

_STDIN = "POST /api/v1/processes/web/stdin"
_FULL = problem(409, "stdin_full", "its pipe is full")


@pytest.fixture(autouse=True)
def _talking(daemon: RecordedDaemon) -> Iterator[None]:
    over = threading.Event()
    processes = wire.ProcessList(processes=[running("web"), stopped("off")])
    daemon.answers = {
        "GET /api/v1/processes": processes,
        "GET /api/v1/processes/web/logs/stdout/follow?bytes=1024": Sse(": hello\n\n", over),
    }
    yield
    over.set()


def _take(daemon: RecordedDaemon, *takes: int | None) -> None:
    """Take so many bytes of each request, none where it is None."""
    numbers = iter(takes)

    def answer(_request: Request) -> wire.StdinResponse | wire.Problem:
        number = next(numbers)
        return _FULL if number is None else wire.StdinResponse(written=number)

    daemon.answers[_STDIN] = answer


def _sent(daemon: RecordedDaemon) -> list[str]:
    return [
        msgspec.json.decode(request.body, type=wire.StdinRequest).text
        for request in daemon.requests
        if request.line == _STDIN
    ]


def test_what_did_not_fit_is_sent_again(
    ctl: Ctl, daemon: RecordedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From where the daemon's count of bytes says; the next line comes after all of it."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("wörld\nnext\n"))
    _take(daemon, 3, 4, 5)
    ran = ctl("fg", "web")
    assert ran == (0, "==> Press Ctrl-C to exit <==\nExiting foreground\n", "")
    assert _sent(daemon) == ["wörld\n", "rld\n", "next\n"]


def test_a_full_pipe_is_waited_for(
    ctl: Ctl, daemon: RecordedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer from time to time, up to a limit, and anew after each success."""
    waits = list[float]()
    monkeypatch.setattr("opsvisor.ctl.commands.foreground.time.sleep", waits.append)
    monkeypatch.setattr(sys, "stdin", io.StringIO("hello\n"))
    _take(daemon, *[None] * 6, 2, None, 4)
    assert ctl("fg", "web").status == 0
    assert _sent(daemon) == [*["hello\n"] * 7, *["llo\n"] * 2]
    assert waits == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 0.05]


def test_a_process_that_ends_meanwhile(
    ctl: Ctl, daemon: RecordedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said, and nothing more is sent."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("hello\nagain\n"))
    daemon.answers[_STDIN] = problem(409, "stdin_unavailable", "web is not running")
    daemon.answers["GET /api/v1/processes/web"] = wire.ProcessDetail(
        status=stopped("web"),
        command="",
        working_dir="",
        user="",
        restart_policy={},
        tree=[],
    )
    ran = ctl("fg", "web")
    assert ran.out.endswith("Process got killed\nExiting foreground\n")
    assert _sent(daemon) == ["hello\n"]
