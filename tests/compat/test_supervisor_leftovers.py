"""What has no effect is said aloud."""

from pathlib import Path

import pytest
from supervisor_files import load_text, problems

HEAD = "[supervisord]\n"
PROGRAM = f"{HEAD}[program:a]\ncommand=x\n"
FACTORY = "supervisor.rpcinterface_factory"


def warnings(folder: Path, text: str) -> list[str]:
    """All warnings as `line: what (hint)`."""
    found = load_text(folder, text).warnings
    return [f"{w.where.line}: {w.what}" + (f" ({w.hint})" if w.hint else "") for w in found]


def test_supervisors_own_interface_is_built_in(tmp_path: Path) -> None:
    """The section that every configuration carries is accepted in silence."""
    built_in = "supervisor.rpcinterface:make_main_rpcinterface"
    text = f"{HEAD}[rpcinterface:supervisor]\n{FACTORY} = {built_in}\n"
    assert warnings(tmp_path, text) == []


@pytest.mark.parametrize(
    ("factory", "instead"),
    [
        ("supervisor_twiddler.rpcinterface:make", "opsvisorctl update"),
        ("supvisors.plugin:make", "Prometheus"),
        ("ours:make", "/api/v1"),
        ("supervisor.rpcinterface:make_rpcinterface", "/api/v1"),
    ],
)
def test_foreign_interfaces_are_refused(tmp_path: Path, factory: str, instead: str) -> None:
    """In Supervisor's words for a factory that it doesn't find, and with what to do instead."""
    text = f"{HEAD}[rpcinterface:x]\n{FACTORY}={factory}\nother=1\n"
    (problem,) = problems(tmp_path, text)
    assert problem.where.line == 3
    assert problem.what.startswith(f"{factory} cannot be resolved within [rpcinterface:x]")
    assert problem.hint.startswith("remove the section; ")
    assert instead in problem.hint


def test_an_interface_without_a_factory(tmp_path: Path) -> None:
    """In Supervisor's words."""
    (problem,) = problems(tmp_path, f"{HEAD}[rpcinterface:x]\n")
    assert problem.what == f"section [rpcinterface:x] does not specify a {FACTORY}"


def test_plugins_of_the_control_program_are_no_matter_of_the_daemon(tmp_path: Path) -> None:
    """Supervisord never looks at them; whoever has one is told what opsvisorctl has."""
    (warning,) = warnings(tmp_path, f"{HEAD}[ctlplugin:x]\nsupervisor.ctl_factory = %(nope)s\n")
    assert warning.startswith("2: [ctlplugin:x] has no effect: opsvisorctl loads no plugins (")


def test_environment_that_was_likely_misread(tmp_path: Path) -> None:
    """In a program and in [supervisord]."""
    text = f"{HEAD}environment=A=$HOME\n[program:a]\ncommand=x\nenvironment=U=http://h/?q=1\n"
    assert warnings(tmp_path, text) == [
        "2: environment of [supervisord]: A ends early, quote its value if it goes on",
        "5: environment of [program:a]: U ends early, quote its value if it goes on",
    ]


def test_nocleanup_is_looked_at(tmp_path: Path) -> None:
    """What isn't a boolean is refused, as by Supervisor."""
    (problem,) = problems(tmp_path, f"{HEAD}nocleanup = perhaps\n")
    assert problem.what == "not a valid boolean value: 'perhaps'"


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        (f"{PROGRAM}comand=y\n", "4: [program:a] has no option 'comand'", "command"),
        (f"{HEAD}log_file=x\n", "2: [supervisord] has no option 'log_file'", "logfile"),
        (f"{HEAD}[unix_http_server:x]\nfile=/s\nchmode=1\n", "4: [unix_http_server:x]", "chmod"),
        (f"{HEAD}[progam:a]\n", "2: [progam:a] is unknown and", "program"),
        (f"{HEAD}[supervisord:two]\nx=1\n", "2: [supervisord:two] is unknown", "supervisord"),
    ],
)
def test_slips_of_the_keyboard(tmp_path: Path, text: str, what: str, hint: str) -> None:
    """A name that is close to a known one was probably meant to be it."""
    (warning,) = warnings(tmp_path, text)
    assert warning.startswith(what)
    assert warning.endswith(f"has no effect (did you mean '{hint}'?)")


@pytest.mark.parametrize("kind", ["program", "eventlistener", "rpcinterface"])
def test_sections_that_need_a_name(tmp_path: Path, kind: str) -> None:
    """Without a colon they are only notes."""
    expected = f"2: [{kind}] has no effect without a name (write [{kind}:name])"
    assert warnings(tmp_path, f"{HEAD}[{kind}]\ncommand=x\n") == [expected]


@pytest.mark.parametrize(
    "text",
    [
        f"{PROGRAM}x-owner=team blue\n",
        f"{HEAD}[myapp]\nkey=1\n",
        f"[DEFAULT]\ncommand=x\n{HEAD}[program:a]\n",
        f"{HEAD}[supervisorctl]\nserverurl=x\nprompt=y\n",
    ],
)
def test_what_supervisor_ignores_in_silence(tmp_path: Path, text: str) -> None:
    """People keep their own notes in these files; defaults reach sections that don't know them."""
    assert warnings(tmp_path, text) == []
