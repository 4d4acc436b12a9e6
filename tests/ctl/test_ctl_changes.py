"""diff and apply: what would change in which words, what is asked, and what came of it."""

import json
import os
import signal
import threading
from pathlib import Path

import msgspec
import pytest
from ctl_runs import Ctl
from msgspec.structs import replace
from recorded_daemon import (
    DAEMON,
    RecordedDaemon,
    Request,
    Sse,
    diff,
    fatal,
    problem,
    result,
    running,
    stopped,
)
from terminals import environment, on_terminal, read_to_end, read_until

from opsvisor import wire

_REREAD = "POST /api/v1/config/reread"
_APPLY = "POST /api/v1/config/apply"
_LIMIT = 60.0
_NOTHING = diff()
_COMMAND = wire.ChangedValue(name="command", old='"a"', new='"b"')
_LEFT_OUT = wire.ChangedValue(name="user", old="", new='"ops"')
_SECRET = wire.ChangedValue(name="environment.KEY", old='"x"', new='"y"', secret=True)
_HIDDEN = wire.ChangedValue(name="environment.KEY", old="", new="", secret=True)


def _change(name: str, *values: wire.ChangedValue, restart: bool = True) -> wire.ConfigChange:
    return wire.ConfigChange(name=name, fields=["command"], restart=restart, values=[*values])


_EVERYTHING = replace(
    diff(added=["new"], removed=["old"], daemon=["log_level"]),
    changed=[
        *(_change(f"w:{number}", _COMMAND, _LEFT_OUT) for number in range(3)),
        _change("w:3", _SECRET, restart=False),
    ],
    groups_changed=["w", "g"],
)


def _applied(*results: wire.ActionResult, of: wire.ConfigDiff) -> wire.ApplyResponse:
    return wire.ApplyResponse(generation=7, diff=of, results=[*results])


def _watching(daemon: RecordedDaemon, *processes: wire.ProcessStatus) -> None:
    snapshot = wire.WatchSnapshot(processes=[*processes], daemon=DAEMON)
    daemon.answers["GET /api/v1/watch?interval=3600.0"] = Sse(
        f"event: snapshot\ndata: {wire.encode(snapshot).decode()}\n\n"
    )


def test_every_kind_of_change(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """What goes, what changes from what to what, what comes; replicas alike are told once."""
    daemon.answers[_REREAD] = _EVERYTHING
    assert ctl("diff") == (
        6,
        (
            "- old: is stopped and removed\n"
            "~ w:0 and 2 more: restart\n"
            '    - command = "a"\n'
            '    + command = "b"\n'
            "    - user = (left out)\n"
            '    + user = "ops"\n'
            "~ w:3: changes without a restart\n"
            "    ~ environment.KEY = (another value; --secrets shows it to who may read it)\n"
            "+ new: is added\n"
            "~ group g: changes its priority\n"
            "  opsvisord itself: log_level (only reload takes that over)\n"
            "1 to add, 4 to change (3 of them restart), 1 to stop and remove\n"
        ),
        "",
    )


def test_secrets_are_shown_to_who_asks_and_may(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """The daemon keeps them from others, for whom they are "" on both sides."""
    daemon.answers[_REREAD] = replace(diff(), changed=[_change("w", _SECRET)])
    assert (
        '    - environment.KEY = "x"\n    + environment.KEY = "y"\n'
        in ctl("diff", "--secrets").out
    )
    daemon.answers[_REREAD] = replace(diff(), changed=[_change("w", _HIDDEN)])
    assert "    ~ environment.KEY = (another value" in ctl("diff", "--secrets").out


def test_no_difference(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """0, as with diff(1)."""
    daemon.answers[_REREAD] = _NOTHING
    assert ctl("diff") == (0, "nothing to apply\n", "")
    assert json.loads(ctl("--json", "diff").out)["added"] == []


def test_only_the_daemon_differs(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """A difference, though `apply` has nothing to do about it."""
    daemon.answers[_REREAD] = diff(daemon=["log_level"])
    assert ctl("diff").status == 6
    assert ctl("apply").status == 0
    assert _APPLY not in daemon.lines()


def test_a_daemon_that_tells_only_which(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """As those of before do: the options by name."""
    daemon.answers[_REREAD] = replace(diff(), changed=[_change("w")])
    assert ctl("diff").out.startswith("~ w: restarts\n      command\n")


def test_who_may_only_read(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """Sees what was read last, and is told so."""
    daemon.answers[_REREAD] = problem(403, "forbidden")
    daemon.answers["GET /api/v1/config/diff"] = diff(added=["new"])
    ran = ctl("diff")
    assert (ran.status, ran.out) == (6, "+ new: is added\n1 to add\n")
    assert ran.err == "as last read: this identity may not have the files read again\n"


@pytest.mark.parametrize("command", ["diff", "apply"])
def test_files_that_can_not_be_used(ctl: Ctl, daemon: RecordedDaemon, command: str) -> None:
    """1: that is no difference. Where and what, as `reread` tells it."""
    wrong = wire.ConfigProblem(file="a.toml", line=3, what="unknown option 'x'", hint="remove it")
    daemon.answers[_REREAD] = problem(400, "bad_config", problems=[wrong])
    assert ctl(command) == (
        1,
        "ERROR: CANT_REREAD: unknown option 'x'\n",
        "a.toml:3: unknown option 'x'\n    hint: remove it\n",
    )
    daemon.answers[_REREAD] = problem(409, "shutting_down")
    assert ctl(command)[:2] == (1, "ERROR: already shutting down\n")


def test_apply_carries_out_what_it_has_shown(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """The files are not read once more between, and scripts are not asked."""
    found = replace(diff(added=["new"], removed=["old"]), changed=[_change("w", _COMMAND)])
    daemon.answers[_REREAD] = found
    daemon.answers[_APPLY] = _applied(result("w"), result("old"), of=found)
    _watching(daemon, running("new"), running("w"))
    ran = ctl("apply")
    assert ran.status == 0
    assert ran.out.splitlines()[-5:] == [
        "1 to add, 1 to change (1 of them restart), 1 to stop and remove",
        "w: restarted",
        "old: removed",
        "new: started",
        "applied: generation 7",
    ]
    asked = next(request for request in daemon.requests if request.line == _APPLY)
    assert msgspec.json.decode(asked.body) == {"groups": [], "reread": False}


def test_apply_fails_where_a_process_does(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """1, each failure with its reason, and where to ask on; what was added counts as well."""
    found = replace(diff(added=["job", "new", "off"]), changed=[_change("w", _COMMAND)])
    daemon.answers[_REREAD] = found
    daemon.answers[_APPLY] = _applied(result("w", "spawn_error", "exit status 1"), of=found)
    done = replace(stopped("job"), state="EXITED", reason="exit status 0")
    _watching(daemon, done, fatal("new"), replace(stopped("off"), startup="disabled"))
    ran = ctl("apply", "--yes")
    assert (ran.status, ran.err) == (1, "hint: opsvisorctl why w\n")
    assert ran.out.splitlines()[-4:] == [
        "w: ERROR (spawn error): exit status 1",
        "job: started",
        "new: ERROR (spawn error): 9 automatic restarts in 600 s, more than 8",
        "applied: generation 7",
    ]
    answer = json.loads(ctl("--json", "apply").out)
    assert [one["result"] for one in answer["results"]] == ["spawn_error", "ok", "spawn_error"]


def test_apply_of_some_groups(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """Only these are shown and changed; a name that is none refuses all."""
    daemon.answers["GET /api/v1/groups"] = wire.GroupList(
        groups=[wire.GroupStatus(name="old", priority=1, processes=["old"], states={})]
    )
    daemon.answers[_REREAD] = _EVERYTHING
    daemon.answers[_APPLY] = _applied(of=diff(removed=["old"]))
    ran = ctl("apply", "old")
    assert ran.out.splitlines()[0] == "- old: is stopped and removed"
    assert "new" not in ran.out
    asked = next(request for request in daemon.requests if request.line == _APPLY)
    assert msgspec.json.decode(asked.body)["groups"] == ["old"]
    assert ctl("apply", "old", "nope")[:2] == (1, "ERROR: no such group: nope\n")


@pytest.mark.parametrize(("answer", "is_applied"), [("y", True), ("", False), ("n", False)])
def test_a_terminal_is_asked(
    daemon: RecordedDaemon, tmp_path: Path, answer: str, *, is_applied: bool
) -> None:
    """After it has seen the difference, in colours; anything but a yes changes nothing."""
    found = diff(removed=["old"])
    daemon.answers = {
        _REREAD: found,
        _APPLY: _applied(result("old"), of=found),
        "GET /api/v1/processes": wire.ProcessList(processes=[]),
    }
    words = ["-s", daemon.url, "apply"]
    with on_terminal(words, environment(tmp_path)) as (program, terminal):
        seen = read_until(terminal, "Apply? y/N ")
        assert "\x1b[1;31m- old: is stopped and removed" in seen
        os.write(terminal, f"{answer}\n".encode())
        told = read_to_end(terminal)
        assert program.wait(_LIMIT) == 0
    assert ("nothing was changed" in told) is not is_applied
    assert (_APPLY in daemon.lines()) is is_applied


def test_ctrl_c_says_what_goes_on(daemon: RecordedDaemon, tmp_path: Path) -> None:
    """Who leaves a long change is told what the daemon is still at."""
    found = replace(diff(), changed=[_change("w", _COMMAND)])
    asked, over = threading.Event(), threading.Event()

    def take_long(_: Request) -> None:
        asked.set()
        over.wait(_LIMIT)

    daemon.answers = {
        _REREAD: found,
        _APPLY: take_long,
        "GET /api/v1/processes": wire.ProcessList(processes=[running("w")]),
    }
    snapshot = wire.WatchSnapshot(
        processes=[replace(running("w"), state="STOPPING")], daemon=DAEMON
    )
    daemon.answers["GET /api/v1/watch?interval=3600.0"] = Sse(
        f"event: snapshot\ndata: {wire.encode(snapshot).decode()}\n\n", over
    )
    words = ["-s", daemon.url, "apply", "--yes"]
    with on_terminal(words, environment(tmp_path)) as (program, terminal):
        assert asked.wait(_LIMIT)
        assert "STOPPING" in read_until(terminal, "0 of 1")
        program.send_signal(signal.SIGINT)
        told = read_to_end(terminal)
        assert program.wait(_LIMIT) == 130
    over.set()
    assert "still applying: w" in told
    assert "goes on in the daemon" in told
