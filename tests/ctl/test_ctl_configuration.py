"""reread, avail, update, add and remove."""

import msgspec
import pytest
from ctl_runs import Ctl
from recorded_daemon import RecordedDaemon, diff, problem, result

from opsvisor import wire

_BAD = [
    wire.ConfigProblem(file="o.toml", line=3, what="'x' is not a number", hint="give digits"),
    wire.ConfigProblem(file="o.toml", line=0, what="no program", hint=""),
]
_BAD_TEXT = "o.toml:3: 'x' is not a number\n    hint: give digits\no.toml: no program\n"


def _applied(found: wire.ConfigDiff, *outcomes: wire.ActionResult) -> wire.ApplyResponse:
    return wire.ApplyResponse(generation=2, diff=found, results=list(outcomes))


def test_reread(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """One sorted line per group that differs."""
    daemon.answers["POST /api/v1/config/reread"] = diff(
        added=["z", "new"], changed=["web"], removed=["old"]
    )
    assert ctl("reread") == (
        0,
        "new: available\nold: disappeared\nweb: changed\nz: available\n",
        "",
    )


def test_reread_finds_nothing(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """No difference is said in words; the daemon's own settings are a hint beside."""
    daemon.answers["POST /api/v1/config/reread"] = diff(daemon=["log_level"])
    assert ctl("reread") == (
        0,
        "No config updates to processes\n",
        "hint: settings of opsvisord itself changed (log_level): use reload\n",
    )


def test_a_bad_configuration(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """Scripts get supervisorctl's line with the first problem, people get them all."""
    refusal = problem(422, "bad_config", "2 problems", problems=_BAD)
    daemon.answers["POST /api/v1/config/reread"] = refusal
    daemon.answers["POST /api/v1/config/apply"] = refusal
    assert ctl("reread") == (
        1,
        "ERROR: CANT_REREAD: 'x' is not a number\n",
        _BAD_TEXT,
    )
    assert ctl("update") == (
        1,
        (
            "error: <class 'xmlrpc.client.Fault'>, "
            "<Fault 92: \"CANT_REREAD: 'x' is not a number\">\n"
        ),
        _BAD_TEXT,
    )


def test_avail(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """Four columns as supervisorctl has them."""
    one = wire.AvailableProcess(
        name="w:0",
        group="w",
        process="0",
        in_use=True,
        autostart=True,
        group_priority=999,
        priority=1,
    )
    other = msgspec.structs.replace(one, name="bad", in_use=False, autostart=False)
    daemon.answers["GET /api/v1/config/available"] = wire.AvailableList(processes=[one, other])
    assert ctl("avail").out == (
        "w:0                              in use    auto      999:1\n"
        "bad                              avail     manual    999:1\n"
    )


def test_update(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """Removed, changed, then added; a changed group is stopped only if something restarts."""
    found = diff(removed=["old"], changed=["web", "calm"], added=["new"], restarted=["web:1"])
    daemon.answers["POST /api/v1/config/apply"] = _applied(found, result("old"))
    assert ctl("update") == (
        0,
        (
            "old: stopped\nold: removed process group\n"
            "web: stopped\nweb: updated process group\n"
            "calm: updated process group\n"
            "new: added process group\n"
        ),
        "",
    )
    assert daemon.requests[0].body == b'{"groups":[],"reread":true}'


def test_update_without_a_difference(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """Nothing to do is nothing to say, and `all` is the same as no name."""
    daemon.answers["POST /api/v1/config/apply"] = _applied(diff())
    assert ctl("update", "all") == (0, "", "")
    assert daemon.requests[0].body == b'{"groups":[],"reread":true}'


def test_a_group_that_does_not_end(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """A group that could not be stopped stays, and the status says so."""
    found = diff(removed=["old", "gone"])
    daemon.answers["POST /api/v1/config/apply"] = _applied(
        found, result("old:1", "timeout"), result("gone", "not_running")
    )
    assert ctl("update") == (
        1,
        (
            "old: stopped\nold: has problems; not removing\n"
            "gone: stopped\ngone: removed process group\n"
        ),
        "",
    )


def test_update_of_groups(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """Known names, new ones included, are applied; others are errors."""
    group = wire.GroupStatus(name="web", priority=1, processes=[], states={})
    daemon.answers["POST /api/v1/config/reread"] = diff(added=["new"])
    daemon.answers["GET /api/v1/groups"] = wire.GroupList(groups=[group])
    daemon.answers["POST /api/v1/config/apply"] = _applied(diff(added=["new"]))
    assert ctl("update", "nope", "web", "new") == (
        1,
        "ERROR: no such group: nope\nnew: added process group\n",
        "",
    )
    assert daemon.requests[-1].body == b'{"groups":["web","new"],"reread":false}'


def test_update_of_unknown_groups_only(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """No known name is left: nothing is applied, above all not everything."""
    daemon.answers["POST /api/v1/config/reread"] = diff()
    daemon.answers["GET /api/v1/groups"] = wire.GroupList(groups=[])
    assert ctl("update", "nope") == (1, "ERROR: no such group: nope\n", "")
    assert "POST /api/v1/config/apply" not in daemon.lines()


@pytest.mark.parametrize(
    ("command", "outcome", "line", "status"),
    [
        ("add", "ok", "g: added process group", 0),
        ("add", "already_added", "ERROR: process group already active", 0),
        ("add", "no_such_group", "ERROR: no such process/group: g", 1),
        ("remove", "ok", "g: removed process group", 0),
        ("remove", "still_running", "ERROR: process/group still running: g", 1),
        ("remove", "no_such_group", "ERROR: no such process/group: g", 1),
    ],
)
def test_add_and_remove(
    ctl: Ctl, daemon: RecordedDaemon, *, command: str, outcome: str, line: str, status: int
) -> None:
    """The line and the status of every result."""
    answer = wire.GroupResult(group="g", result=outcome, reason="")
    daemon.answers[f"POST /api/v1/config/groups/{command}"] = wire.GroupResponse(results=[answer])
    assert ctl(command, "g") == (status, f"{line}\n", "")


def test_add_nothing(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """No name is no work and no error, as in supervisorctl."""
    assert ctl("add") == ctl("remove") == (0, "", "")
    assert daemon.requests == []


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("reread", "ERROR: supervisor shutting down"),
        ("avail", "ERROR: supervisor shutting down"),
        ("update", "ERROR: already shutting down"),
    ],
)
def test_during_shutdown(ctl: Ctl, daemon: RecordedDaemon, command: str, line: str) -> None:
    """Supervisorctl has words for it in each of them."""
    refusal = problem(409, "shutting_down")
    for target in ("POST /config/reread", "GET /config/available", "POST /config/apply"):
        daemon.answers[target.replace(" ", " /api/v1")] = refusal
    assert ctl(command) == (1, f"{line}\n", "")


def test_json(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """The whole difference, not only its groups."""
    found = diff(changed=["web"], restarted=["web:1"], daemon=["log_level"])
    daemon.answers["POST /api/v1/config/reread"] = found
    daemon.answers["POST /api/v1/config/apply"] = _applied(found)
    reread, update = ctl("--json", "reread"), ctl("update", "--json")
    assert msgspec.json.decode(reread.out, type=wire.ConfigDiff) == found
    assert msgspec.json.decode(update.out, type=wire.ApplyResponse) == _applied(found)
    assert (reread.err, update.err) == ("", "")
