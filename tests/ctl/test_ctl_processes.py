"""status, start, stop, restart, signal and pid: exact texts and exit statuses for scripts."""

import json

import msgspec
import pytest
from ctl_runs import Ctl
from recorded_daemon import (
    DAEMON,
    NOW,
    RecordedDaemon,
    Request,
    fatal,
    problem,
    result,
    results,
    running,
    stopped,
)

from opsvisor import wire

_PROCESSES = "GET /api/v1/processes"
_ACTIONS = "POST /api/v1/actions"
_LONG = "a-group-with-a-long-name:and-a-process"


def _record(daemon: RecordedDaemon, *processes: wire.ProcessStatus) -> None:
    daemon.answers[_PROCESSES] = wire.ProcessList(processes=list(processes))


def _outcomes(daemon: RecordedDaemon, outcomes: dict[str, list[wire.ActionResult]]) -> None:
    """Answer actions by `action name`."""

    def answer(request: Request) -> wire.ActionResponse:
        asked = msgspec.json.decode(request.body, type=wire.ActionRequest)
        return results(*outcomes[f"{asked.action} {' '.join(asked.names)}"])

    daemon.answers[_ACTIONS] = answer


def test_status_of_everything(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """Name, state and description in supervisorctl's columns; something stopped means 3."""
    _record(daemon, fatal("bad"), stopped("off"), running("w:0"))
    assert ctl("status") == (
        3,
        (
            "bad                              FATAL     "
            "Exited too quickly (process log may have details)\n"
            "off                              STOPPED   Not started\n"
            "w:0                              RUNNING   pid 4211, uptime 0:01:00\n"
        ),
        "",
    )


def test_status_makes_room_for_long_names(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """The longest name plus three, where that is more than 33."""
    _record(daemon, running(_LONG), running("w"))
    assert ctl("status").out.splitlines() == [
        f"{_LONG}   RUNNING   pid 4211, uptime 0:01:00",
        f"{'w':<{len(_LONG) + 3}}RUNNING   pid 4211, uptime 0:01:00",
    ]


@pytest.mark.parametrize(
    ("words", "listed", "unknown", "status"),
    [
        ("web", ["web"], [], 0),
        ("web:web", ["web"], [], 0),
        ("w:*", ["w:0", "w:1"], [], 0),
        ("w:", ["w:0", "w:1"], [], 0),
        ("w*", ["w:0", "w:1", "web"], [], 0),
        ("w:[1-9]", ["w:1"], [], 0),
        ("w:1 web", ["w:1", "web"], [], 0),
        ("w", [], ["w: ERROR (no such process)"], 4),
        ("g:* web", ["web"], ["g: ERROR (no such group)"], 4),
        ("nope off", ["off"], ["nope: ERROR (no such process)"], 3),
        ("nope all", ["off", "w:0", "w:1", "web"], [], 3),
        ("backoff", ["backoff"], [], 0),
        ("all", ["off", "w:0", "w:1", "web"], [], 3),
    ],
)
def test_status_of_names(
    ctl: Ctl,
    daemon: RecordedDaemon,
    *,
    words: str,
    listed: list[str],
    unknown: list[str],
    status: int,
) -> None:
    """Every form of name, unknown ones first; 4 for those, 3 outweighs it, BACKOFF is fine."""
    _record(daemon, stopped("off"), running("w:0"), running("w:1"), running("web"))
    if words == "backoff":
        _record(daemon, msgspec.structs.replace(fatal("backoff"), state="BACKOFF"))
    ran = ctl("status", *words.split())
    lines = ran.out.splitlines()
    assert lines[: len(unknown)] == unknown
    assert [line.split()[0] for line in lines[len(unknown) :]] == listed
    assert ran.status == status


@pytest.mark.parametrize(
    ("action", "outcome", "text", "status"),
    [
        ("start", "ok", "started", 0),
        ("start", "no_such_process", "ERROR (no such process)", 1),
        ("start", "no_file", "ERROR (no such file)", 1),
        ("start", "not_executable", "ERROR (file is not executable)", 1),
        ("start", "already_started", "ERROR (already started)", 0),
        ("start", "spawn_error", "ERROR (spawn error)", 7),
        ("start", "abnormal_termination", "ERROR (abnormal termination)", 7),
        ("start", "failed", "ERROR (failed)", 1),
        ("start", "timeout", "ERROR (timeout)", 1),
        ("stop", "ok", "stopped", 0),
        ("stop", "not_running", "ERROR (not running)", 0),
        ("stop", "no_such_process", "ERROR (no such process)", 1),
        ("signal", "ok", "signalled", 0),
        ("signal", "no_such_process", "ERROR (no such process)", 1),
        ("signal", "not_running", "ERROR (not running)", 7),
    ],
)
def test_outcome_of_one(
    ctl: Ctl, daemon: RecordedDaemon, *, action: str, outcome: str, text: str, status: int
) -> None:
    """The line and the exit status of every result; plain text leaves the reason out."""
    _outcomes(daemon, {f"{action} x": [result("x", outcome, "because")]})
    words = ["signal", "HUP", "x"] if action == "signal" else [action, "x"]
    assert ctl(*words) == (status, f"x: {text}\n", "")


@pytest.mark.parametrize(("action", "status"), [("start", 2), ("stop", 1), ("signal", 1)])
def test_unknown_group(ctl: Ctl, daemon: RecordedDaemon, action: str, status: int) -> None:
    """An unknown group is named without its star, and `start` alone calls it a bad argument."""
    _outcomes(daemon, {f"{action} g:*": [result("g:*", "no_such_group")]})
    words = ["signal", "HUP", "g:*"] if action == "signal" else [action, "g:*"]
    assert ctl(*words) == (status, "g: ERROR (no such group)\n", "")


def test_several_names_go_one_after_another(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """Each name is a request of its own, and the last failure decides the status."""
    _outcomes(
        daemon,
        {
            "start a": [result("a", "spawn_error")],
            "start g:*": [result("g:x"), result("g:y", "already_started")],
            "start b": [result("b", "no_file")],
            "start c": [result("c")],
        },
    )
    ran = ctl("start", "a", "g:*", "b", "c")
    assert ran == (
        1,
        "a: ERROR (spawn error)\ng:x: started\nb: ERROR (no such file)\nc: started\n",
        "",
    )
    assert daemon.lines() == [_ACTIONS] * 4


def test_all_swallows_the_other_names(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """`all` anywhere means all, and what is running already is not mentioned."""
    _outcomes(daemon, {"start all": [result("a", "already_started"), result("b")]})
    assert ctl("start", "a", "all", "nope") == (0, "b: started\n", "")


def test_restart_is_one_request_that_tells_of_stops_and_starts(
    ctl: Ctl, daemon: RecordedDaemon
) -> None:
    """Both texts of every name, stops first; one that was not running is no failure."""
    waiting = msgspec.structs.replace(fatal("c"), state="BACKOFF", retry_at=NOW + 1)
    _record(daemon, running("a"), stopped("b"), waiting)
    _outcomes(daemon, {"restart a b c": [result("a"), result("b"), result("c")]})
    assert ctl("restart", "a", "b", "c") == (
        0,
        ("a: stopped\nb: ERROR (not running)\nc: stopped\na: started\nb: started\nc: started\n"),
        "",
    )
    assert daemon.lines() == [_PROCESSES, _ACTIONS]


def test_restart_of_many_says_nothing_of_what_was_not_running(
    ctl: Ctl, daemon: RecordedDaemon
) -> None:
    """It is started all the same."""
    _record(daemon, running("a"), stopped("b"))
    _outcomes(daemon, {"restart all": [result("a"), result("b")]})
    assert ctl("restart", "x", "all").out == "a: stopped\na: started\nb: started\n"


@pytest.mark.parametrize(
    ("outcome", "after", "lines", "status"),
    [
        ("no_file", running("x", 4211), ["x: ERROR (no such file)"], 1),
        ("not_executable", running("x", 4211), ["x: ERROR (file is not executable)"], 1),
        ("no_file", stopped("x"), ["x: stopped", "x: ERROR (no such file)"], 1),
        ("spawn_error", fatal("x"), ["x: stopped", "x: ERROR (spawn error)"], 7),
        ("timeout", running("x", 4211), ["x: ERROR (timeout)"], 1),
        ("timeout", running("x", 4299), ["x: stopped", "x: ERROR (timeout)"], 1),
        ("failed", None, ["x: stopped", "x: ERROR (failed)"], 1),
    ],
)
def test_restart_that_fails(
    ctl: Ctl,
    daemon: RecordedDaemon,
    *,
    outcome: str,
    after: wire.ProcessStatus | None,
    lines: list[str],
    status: int,
) -> None:
    """It was stopped only if the process of before is gone: most failures are found earlier."""
    looks = iter([[running("x", 4211)], [after] if after else []])
    daemon.answers[_PROCESSES] = lambda _: wire.ProcessList(processes=next(looks))
    _outcomes(daemon, {"restart x": [result("x", outcome)]})
    assert ctl("restart", "x") == (status, "".join(f"{line}\n" for line in lines), "")


def test_restart_of_names_that_are_none(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """Told of twice, as supervisorctl stops and then starts; a group as `start` has it."""
    _record(daemon)
    _outcomes(
        daemon, {"restart n g:*": [result("n", "no_such_process"), result("g", "no_such_group")]}
    )
    assert ctl("restart", "n", "g:*") == (
        2,
        "n: ERROR (no such process)\ng: ERROR (no such group)\n" * 2,
        "",
    )


def test_restart_of_what_is_down_and_fails_again(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """There was nothing to stop, which is said."""
    _record(daemon, msgspec.structs.replace(fatal("x"), retry_at=0.0))
    _outcomes(daemon, {"restart x": [result("x", "spawn_error")]})
    assert ctl("restart", "x") == (7, "x: ERROR (not running)\nx: ERROR (spawn error)\n", "")


def test_restart_as_json(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """The daemon's own answer."""
    _record(daemon, running("a"))
    _outcomes(daemon, {"restart a": [result("a")]})
    told = msgspec.json.decode(ctl("--json", "restart", "a").out, type=wire.ActionResponse)
    assert told == results(result("a"))


def test_a_name_comes_before_a_pattern(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """As the daemon has it: what is called `w[0]` is meant by that, not what it would match."""
    _record(daemon, running("w0", 1), running("w[0]", 2))
    assert ctl("pid", "w[0]") == (0, "2\n", "")
    assert [line.split()[0] for line in ctl("status", "w[0]").out.splitlines()] == ["w[0]"]
    _outcomes(daemon, {"start w[0]": [result("w[0]", "already_started")]})
    assert ctl("start", "w[0]").out == "w[0]: ERROR (already started)\n"


def test_no_such_signal(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """The daemon refuses the request; it is told of every name, as supervisorctl does."""
    daemon.answers[_ACTIONS] = problem(400, "bad_signal", "no such signal: 'FOO'")
    _record(daemon, running("a"), stopped("b"))
    ran = ctl("signal", "FOO", "a", "b", "c")
    lines = "a: ERROR (bad signal name)\nb: ERROR (bad signal name)\nc: ERROR (no such process)\n"
    assert ran == (1, lines, "")


@pytest.mark.parametrize(
    ("name", "out", "status"),
    [
        ("all", "g:a: ERROR (bad signal name)\n", 1),
        ("g:*", "g:a: ERROR (bad signal name)\n", 1),
        ("h:*", "h: ERROR (no such group)\n", 1),
        ("*z", "*z: ERROR (no such process)\n", 1),
    ],
)
def test_no_such_signal_for_many(
    ctl: Ctl, daemon: RecordedDaemon, *, name: str, out: str, status: int
) -> None:
    """Those that could have had it are named, one by one."""
    daemon.answers[_ACTIONS] = problem(400, "bad_signal", "no such signal: 'FOO'")
    _record(daemon, running("g:a"), stopped("g:b"))
    assert ctl("signal", "FOO", name) == (status, out, "")


def test_signal_sends_the_name_as_typed(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """The daemon decides what is a signal."""
    daemon.answers[_ACTIONS] = results(result("web"))
    ctl("signal", "SIGUSR1", "web")
    sent = msgspec.json.decode(daemon.requests[0].body, type=wire.ActionRequest)
    assert (sent.action, sent.signal, sent.names) == ("signal", "SIGUSR1", ["web"])


@pytest.mark.parametrize(
    ("words", "first_line", "status"),
    [
        ("start", "Error: start requires a process name", 2),
        ("stop", "Error: stop requires a process name", 1),
        ("restart", "Error: restart requires a process name", 1),
        ("signal", "Error: signal requires a signal name and a process name", 1),
        ("signal HUP", "Error: signal requires a signal name and a process name", 1),
    ],
)
def test_words_are_missing(ctl: Ctl, words: str, first_line: str, status: int) -> None:
    """The error comes with the help of the command."""
    ran = ctl(*words.split())
    assert ran.status == status
    assert ran.out.splitlines()[0] == first_line
    assert ran.out.splitlines()[1].startswith(f"{words.partition(' ')[0]} <")


@pytest.mark.parametrize(
    ("words", "out", "status"),
    [
        ("pid", "4200\n", 0),
        ("pid web", "4211\n", 0),
        ("pid off", "0\n", 7),
        ("pid nope", "No such process nope\n", 1),
        ("pid w:*", "No such process w:*\n", 1),
        ("pid web off", "4211\n0\n", 7),
        ("pid all", "0\n4211\n", 0),
    ],
)
def test_pid(ctl: Ctl, daemon: RecordedDaemon, words: str, out: str, status: int) -> None:
    """The daemon's own, one per name, or all; 0 where there is none."""
    daemon.answers["GET /api/v1/daemon"] = DAEMON
    _record(daemon, stopped("off"), running("web"))
    assert ctl(*words.split()) == (status, out, "")


def test_during_shutdown(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """What supervisorctl says then is what people grep for."""
    daemon.answers[_ACTIONS] = problem(409, "shutting_down", "opsvisord is shutting down")
    assert ctl("start", "web") == (
        1,
        "error: <class 'xmlrpc.client.Fault'>, <Fault 6: 'SHUTDOWN_STATE'>\n",
        "",
    )


def test_json(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """--json before or after the command prints the wire types and nothing else."""
    _record(daemon, running("web"), stopped("off"))
    _outcomes(daemon, {"start a": [result("a")], "start b": [result("b", "no_file", "why")]})
    listed = ctl("--json", "status", "web")
    assert msgspec.json.decode(listed.out, type=wire.ProcessList).processes == [running("web")]
    assert listed.status == 0
    assert listed.out.startswith('{\n  "processes": [\n    {\n      "name": "web",')
    started = ctl("start", "a", "b", "--json")
    assert msgspec.json.decode(started.out, type=wire.ActionResponse) == results(
        result("a"), result("b", "no_file", "why")
    )
    assert (started.status, started.err) == (1, "")


def test_json_of_unknown_names(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """One document holds what was found and what was not."""
    _record(daemon, running("web"))
    ran = ctl("--json", "status", "web", "nope")
    answer = json.loads(ran.out)
    assert [one["name"] for one in answer["processes"]] == ["web"]
    assert answer["error"]["detail"] == "nope: ERROR (no such process)"
    assert ran.status == 4


def test_json_of_errors(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """Errors are objects too: of the command line, and of the daemon."""
    daemon.answers[_PROCESSES] = problem(500, "internal_error", "a bug")
    assert json.loads(ctl("--json", "start").out)["error"]["code"] == "bad_arguments"
    assert json.loads(ctl("--json", "foo").out)["error"]["code"] == "unknown_command"
    failed = ctl("--json", "status")
    assert json.loads(failed.out)["error"]["code"] == "internal_error"
    assert (failed.status, failed.err) == (1, "")
