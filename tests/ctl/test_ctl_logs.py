"""tail, maintail and clear."""

import json

import pytest
from ctl_runs import Ctl
from recorded_daemon import RecordedDaemon, Sse, problem, result, results

from opsvisor import wire

_LOGS = "/api/v1/processes/web/logs"


def _log(text: str) -> wire.LogText:
    return wire.LogText(name="web", stream="stdout", text=text, offset=len(text), size=len(text))


@pytest.mark.parametrize(
    ("words", "request_line"),
    [
        ("tail web", f"GET {_LOGS}/stdout?bytes=1600"),
        ("tail -100 web", f"GET {_LOGS}/stdout?bytes=100"),
        ("tail web stderr", f"GET {_LOGS}/stderr?bytes=1600"),
        ("tail -5 web STDERR", f"GET {_LOGS}/stderr?bytes=5"),
        ("maintail", "GET /api/v1/daemon/log?bytes=1600"),
        ("maintail -7", "GET /api/v1/daemon/log?bytes=7"),
    ],
)
def test_the_end_of_a_log(ctl: Ctl, daemon: RecordedDaemon, words: str, request_line: str) -> None:
    """The text and a line break, whether or not it ends in one already."""
    daemon.answers[request_line] = _log("one\ntwo\n")
    assert ctl(*words.split()) == (0, "one\ntwo\n\n", "")
    assert daemon.lines() == [request_line]


@pytest.mark.parametrize(
    ("words", "line", "with_help"),
    [
        ("tail", "Error: too few arguments", True),
        ("tail -f web stdout x", "Error: too many arguments", True),
        ("tail web stdout x", "Error: bad channel 'x'", False),
        ("tail web foo", "Error: bad channel 'foo'", False),
        ("tail -f -100 web", "Error: bad channel 'web'", False),
        ("tail -x web", "Error: bad argument -x", False),
        ("tail -f", "Error: tail requires process name", False),
        ("maintail x", "Error: bad argument x", False),
        ("maintail -x", "Error: bad argument -x", False),
        ("maintail -f x", "Error: too many arguments", True),
        ("clear", "Error: clear requires a process name", True),
    ],
)
def test_words_that_make_no_sense(
    ctl: Ctl, daemon: RecordedDaemon, words: str, line: str, *, with_help: bool
) -> None:
    """Supervisorctl's complaints, exit status 1, and nothing is asked of the daemon."""
    ran = ctl(*words.split())
    assert ran.status == 1
    assert ran.out.splitlines()[0] == line
    assert (len(ran.out.splitlines()) > 1) is with_help
    assert daemon.requests == []


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("no_such_process", "no such process name"),
        ("no_log", "no log file"),
        ("internal", "unknown error reading log"),
    ],
)
def test_a_log_that_can_not_be_read(ctl: Ctl, daemon: RecordedDaemon, code: str, why: str) -> None:
    """Why it can't be read, in supervisorctl's words."""
    daemon.answers[f"GET {_LOGS}/stdout?bytes=1600"] = problem(404, code, "x")
    daemon.answers["GET /api/v1/daemon/log?bytes=1600"] = problem(404, code, "x")
    assert ctl("tail", "web")[:2] == (1, f"web: ERROR ({why})\n")
    assert ctl("maintail")[:2] == (1, f"supervisord: ERROR ({why})\n")


@pytest.mark.parametrize(
    ("words", "path"),
    [("tail -0 web", f"{_LOGS}/stdout"), ("maintail -0", "/api/v1/daemon/log")],
)
def test_zero_bytes_are_all_of_a_log(
    ctl: Ctl, daemon: RecordedDaemon, words: str, path: str
) -> None:
    """Supervisorctl's reading of -0; one answer holds only a part of a long log."""
    first = wire.LogText(name="web", stream="stdout", text="one\n", offset=4, size=8)
    daemon.answers[f"GET {path}?offset=0"] = first
    daemon.answers[f"GET {path}?offset=4"] = _log("two\nfour")
    assert ctl(*words.split()) == (0, "one\ntwo\nfour\n", "")


def test_following(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """The stream as it is; what was lost is said beside it."""
    daemon.answers[f"GET {_LOGS}/stderr/follow?bytes=1024"] = Sse(
        'event: log\ndata: {"text": "one\\n", "offset": 4}\n\n'
        'event: gap\ndata: {"lost_bytes": 9}\n\n'
        'event: log\ndata: {"text": "two", "offset": 16}\n\n'
    )
    assert ctl("tail", "-f", "web", "stderr") == (
        0,
        "==> Press Ctrl-C to exit <==\none\ntwo",
        "==> 9 bytes were written faster than they were read <==\n",
    )


def test_following_as_json(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """One object per line, gaps included."""
    daemon.answers["GET /api/v1/daemon/log/follow?bytes=1024"] = Sse(
        'data: {"text": "one\\n", "offset": 4}\n\nevent: gap\ndata: {"lost_bytes": 9}\n\n'
    )
    ran = ctl("--json", "maintail", "-f")
    assert [json.loads(line) for line in ran.out.splitlines()] == [
        {"text": "one\n", "offset": 4},
        {"lost_bytes": 9},
    ]


def test_following_nobody(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """Supervisorctl's words and its status 0, which scripts have learnt to live with."""
    daemon.answers[f"GET {_LOGS}/stdout/follow?bytes=1024"] = problem(404, "no_such_process")
    assert ctl("tail", "-f", "web") == (
        0,
        "==> Press Ctrl-C to exit <==\n",
        f"{daemon.url}/logtail/web/stdout Cannot read, status code 404\n",
    )


def test_clear(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """One line per process; a failure shows in the status."""
    daemon.answers["POST /api/v1/logs/clear"] = results(
        result("a"), result("b", "no_such_process"), result("c", "failed")
    )
    assert ctl("clear", "a", "b", "c") == (
        1,
        "a: cleared\nb: ERROR (no such process)\nc: ERROR (failed)\n",
        "",
    )
    assert daemon.requests[0].body == b'{"names":["a","b","c"]}'
