"""version, reload, shutdown, open, help, options, and leaving."""

import io
import json
import re
from importlib import import_module

import pytest
from ctl_runs import Ctl
from msgspec.structs import replace
from recorded_daemon import DAEMON, NOW, Raw, RecordedDaemon, problem, running

from opsvisor import __version__, wire
from opsvisor.ctl.registry import COMMANDS

_DONE = Raw(202, b"{}", "application/json")
_RELOAD = "POST /api/v1/daemon/reload"
_SHUTDOWN = "POST /api/v1/daemon/shutdown"


def test_version(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """The daemon's version, not this program's."""
    daemon.answers["GET /api/v1/daemon"] = DAEMON
    assert ctl("version") == (0, "0.1.0\n", "")


@pytest.mark.parametrize(
    "command", ["reload", "shutdown", "upgrade", "version", "reread", "avail"]
)
def test_no_arguments_wanted(ctl: Ctl, command: str) -> None:
    """The complaint, and the help of the command."""
    ran = ctl(command, "x")
    assert ran.status == 1
    assert ran.out.startswith(f"Error: {command} accepts no arguments\n{command}  ")


def test_reload_and_shutdown(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """Scripts mean what they say: nobody is asked."""
    daemon.answers = {_RELOAD: _DONE, _SHUTDOWN: _DONE}
    assert ctl("reload") == (0, "Restarted supervisord\n", "")
    assert ctl("shutdown") == (0, "Shut down\n", "")


def test_already_shutting_down(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """Too late for a reload, and exactly what a shutdown wants."""
    refusal = problem(409, "shutting_down")
    daemon.answers = {_RELOAD: refusal, _SHUTDOWN: refusal}
    assert ctl("reload") == (1, "ERROR: already shutting down\n", "")
    assert ctl("shutdown") == (0, "ERROR: already shutting down\n", "")


@pytest.mark.parametrize(("typed", "done"), [("y\n", True), ("n\n", False), ("", False)])
def test_questions(
    ctl: Ctl,
    daemon: RecordedDaemon,
    monkeypatch: pytest.MonkeyPatch,
    *,
    typed: str,
    done: bool,
) -> None:
    """-i with a command asks before it restarts or ends the daemon, and opens no prompt."""
    daemon.answers = {_RELOAD: _DONE, _SHUTDOWN: _DONE}
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    reload = ctl("-i", "reload")
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    shutdown = ctl("-i", "shutdown")
    question = "Really restart the remote supervisord process y/N? "
    assert reload[:2] == (0, f"{question}Restarted supervisord\n" if done else question)
    question = "Really shut the remote supervisord process down y/N? "
    assert shutdown[:2] == (0, f"{question}Shut down\n" if done else question)
    assert daemon.lines() == ([_RELOAD, _SHUTDOWN] if done else [])


def test_open(run: Ctl, daemon: RecordedDaemon) -> None:
    """Another daemon is asked for its processes; what is no URL is refused."""
    daemon.answers["GET /api/v1/processes"] = wire.ProcessList(processes=[running("web")])
    opened = run("-s", "unix:///nowhere", "open", daemon.url)
    assert opened == (
        0,
        "web                              RUNNING   pid 4211, uptime 0:01:00\n",
        "",
    )
    for words in (["open"], ["open", "foo"]):
        ran = run("-s", daemon.url, *words)
        assert ran == (1, "ERROR: url must be http:// or unix://\n", "")


def test_help(ctl: Ctl) -> None:
    """The table of commands as supervisorctl prints it, with our own commands in it."""
    ran = ctl("help")
    assert (ran.status, ran.err) == (0, "")
    blank, title, rule, *columns = ran.out.removesuffix("\n\n").split("\n")
    assert (blank, title, rule) == ("", "default commands (type help <topic>):", "=" * 37)
    assert max(len(line) for line in columns) < 80
    # In columns, each read downwards.
    cells = [re.split(r"  +", line.rstrip()) for line in columns]
    read = [row[column] for column in range(len(cells[0])) for row in cells if column < len(row)]
    assert read == sorted(name for name in COMMANDS if name != "help")


def test_help_about_a_command(ctl: Ctl) -> None:
    """Its forms; `help foo` is answered, not an error; --help after a command is the same."""
    ran = ctl("help", "clear")
    assert ran.out == (
        "clear <name>         Empty the logs of a process\n"
        "clear <name> <name>  Empty the logs of several processes\n"
        "clear all            Empty the logs of all processes\n"
    )
    assert ctl("clear", "--help") == ran
    assert ctl("help", "foo") == (0, "*** No help on foo\n", "")


@pytest.mark.parametrize("flag", ["-h", "-?", "--help"])
def test_usage(ctl: Ctl, flag: str) -> None:
    """Options and every command, on standard output."""
    ran = ctl(flag)
    assert ran.status == 0
    assert ran.out.startswith(
        "opsvisorctl -- control applications run by opsvisord from the cmd line.\n"
    )
    for name in COMMANDS:
        assert f"\n  {name} " in ran.out


def test_every_command_has_a_handler() -> None:
    """The registry promises nothing that isn't there, and forms begin with their command."""
    for command in COMMANDS.values():
        module = import_module(f"opsvisor.ctl.commands.{command.home}")
        assert callable(getattr(module, command.name.replace("-", "_")))
        assert all(form.split()[0] == command.name for form, _ in command.forms)


def test_wrong_options(run: Ctl) -> None:
    """On standard error, status 2."""
    assert run("-x") == (
        2,
        "",
        "Error: option -x not recognized\nFor help, use opsvisorctl -h\n",
    )
    assert run("-s", "foo", "status") == (
        2,
        "",
        (
            "Error: invalid value for -s 'foo': value 'foo' is not a URL\n"
            "For help, use opsvisorctl -h\n"
        ),
    )


def test_own_version(run: Ctl) -> None:
    """--version is this program's and needs no daemon."""
    assert run("--version") == (0, f"{__version__}\n", "")


def test_unknown_command(ctl: Ctl) -> None:
    """The whole line is quoted."""
    assert ctl("foo", "bar") == (1, "*** Unknown syntax: foo bar\n", "")


@pytest.mark.parametrize("words", [("?",), ("?", "start"), ("?start",), ("?nosuch",)])
def test_question_mark_is_help(ctl: Ctl, words: tuple[str, ...]) -> None:
    """At the prompt of supervisorctl it is the shortest way to ask."""
    topics = " ".join(words).removeprefix("?").split()
    assert ctl(*words) == ctl("help", *topics)
    assert "Unknown syntax" not in ctl(*words).out


def test_one_word_that_is_a_line(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """A command line in quotes is a command line."""
    daemon.answers["GET /api/v1/daemon"] = DAEMON
    assert ctl("help  pid") == ctl("help", "pid")
    assert ctl(" version ").out == "0.1.0\n"


@pytest.mark.parametrize("command", ["exit", "quit"])
def test_leaving(ctl: Ctl, command: str) -> None:
    """Outside the prompt there is nothing to leave: an empty line, status 0."""
    assert ctl(command) == (0, "\n", "")


def test_json(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """Commands without an answer print an empty object; help prints what it knows."""
    daemon.answers = {_RELOAD: _DONE}
    assert ctl("--json", "reload").out == "{}\n"
    assert set(json.loads(ctl("--json", "help").out)) == set(COMMANDS)


_UPGRADE = "POST /api/v1/daemon/upgrade"
_BEGUN = Raw(
    202,
    wire.encode(wire.UpgradeResponse(from_version="0.1.0", to_version="0.2.0", pid=4200)),
    "application/json",
)


def test_an_upgrade_is_over_when_the_new_version_answers(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """Whatever the old one still says; then it tells what it took."""
    last = wire.Upgraded(from_version="0.1.0", at=NOW, silence=0.254)
    later = replace(DAEMON, version="0.2.0", upgrades=1, last_upgrade=last)
    told = iter([DAEMON, DAEMON, later])
    daemon.answers = {"GET /api/v1/daemon": lambda _: next(told), _UPGRADE: _BEGUN}
    text = "Upgraded opsvisord (pid 4200) from 0.1.0 to 0.2.0; requests waited for 0.25 s\n"
    assert ctl("upgrade") == (0, text, "")


def test_a_daemon_of_before_there_were_upgrades(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """It knows no such address; that is said in other words."""
    missing = problem(404, "not_found", "nothing at /api/v1/daemon/upgrade")
    daemon.answers = {"GET /api/v1/daemon": DAEMON, _UPGRADE: missing}
    ran = ctl("upgrade")
    assert ran[:2] == (1, "ERROR: this opsvisord can't be upgraded in place: it is too old\n")
    assert "opsvisorctl shutdown" in ran.err


@pytest.mark.parametrize("code", ["upgrade_refused", "shutting_down"])
def test_an_upgrade_that_is_refused(ctl: Ctl, daemon: RecordedDaemon, code: str) -> None:
    """The reason is printed whole, and the status says that nothing has changed."""
    refusal = problem(409, code, "SyntaxError: invalid syntax")
    daemon.answers = {"GET /api/v1/daemon": DAEMON, _UPGRADE: refusal}
    assert ctl("upgrade") == (1, "ERROR: SyntaxError: invalid syntax\n", "")
    assert json.loads(ctl("--json", "upgrade").out)["error"]["code"] == code


def test_an_upgrade_that_does_not_come(
    ctl: Ctl, daemon: RecordedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was called off at the last moment."""
    monkeypatch.setattr("opsvisor.ctl.commands.daemon._PATIENCE", 0.0)
    daemon.answers = {"GET /api/v1/daemon": DAEMON, _UPGRADE: _BEGUN}
    ran = ctl("upgrade")
    assert (ran.status, ran.err) == (1, "")
    assert ran.out == "ERROR: opsvisord (pid 4200) is still version 0.1.0: its log says why\n"
