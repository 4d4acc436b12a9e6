"""Every option of a program, a listener and a FastCGI program: that it counts, and counts alike.

Each is set in a section of its own, beside one that is left as it is. What both daemons then tell
of the two, or what the processes see, must differ, and must be the same with both.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from contestants import HEAD, Contestant, StartPair, typed

KINDS = ("program", "eventlistener", "fcgi-program")
_MANY = "process_name=%(program_name)s_%(process_num)d\n"
_LOG = "$HERE/%(program_name)s"

# What is told of by getAllConfigInfo: an option, its value, and what both sections need for it.
TOLD = {
    "autostart": ("true", ""),
    "command": ("/bin/sleep 7200", ""),
    "directory": ("/tmp", ""),
    "exitcodes": ("0,3", ""),
    "killasgroup": ("true", ""),
    "numprocs": ("2", _MANY),
    "numprocs_start": ("3", _MANY),
    "priority": ("7", ""),
    "process_name": ("another", ""),
    "redirect_stderr": ("true", ""),
    "serverurl": ("http://elsewhere:1", ""),
    "startretries": ("8", ""),
    "startsecs": ("9", ""),
    "stderr_capture_maxbytes": ("5KB", ""),
    "stderr_events_enabled": ("true", ""),
    "stderr_logfile": (f"{_LOG}.err", ""),
    "stderr_logfile_backups": ("2", ""),
    "stderr_logfile_maxbytes": ("5KB", ""),
    "stderr_syslog": ("true", ""),
    "stdout_capture_maxbytes": ("5KB", ""),
    "stdout_events_enabled": ("true", ""),
    "stdout_logfile": (f"{_LOG}.out", ""),
    "stdout_logfile_backups": ("2", ""),
    "stdout_logfile_maxbytes": ("5KB", ""),
    "stdout_syslog": ("true", ""),
    "stopasgroup": ("true", ""),
    "stopsignal": ("INT", ""),
    "stopwaitsecs": ("3", ""),
    "user": ("nobody", ""),
}
# What a process sees of itself, and writes to its log of standard error.
SEEN = {
    "directory": "/tmp",
    "environment": "A=here",
    "serverurl": "http://elsewhere:1",
    "umask": "027",
    "user": "nobody",
}
_LOOK = (
    "/bin/sh -c 'umask >&2; pwd >&2; id -u >&2; echo A is $A >&2; "
    "echo $SUPERVISOR_SERVER_URL is the server >&2; exec sleep 3600'"
)
# Fails when it runs for the first time.
_FAILS_ONCE = "/bin/sh -c 'mkdir $HERE/%(program_name)s.once && exit 1; exec sleep 3600'"


class Case(NamedTuple):
    """One option of one kind of section."""

    kind: str
    option: str

    @property
    def section(self) -> str:
        """What its sections are called; a letter is added for each."""
        return f"{self.kind[0]}_{self.option}"


TOLD_CASES = [Case(kind, option) for kind in KINDS for option in TOLD]
# A listener's standard output is for its answers: see the configurations that are refused.
TOLD_CASES.remove(Case("eventlistener", "redirect_stderr"))
SEEN_CASES = [Case(kind, option) for kind in KINDS for option in SEEN]
# Nothing looks for either in what a listener answers.
WITHOUT_EFFECT = [
    Case("eventlistener", "stdout_capture_maxbytes"),
    Case("eventlistener", "stdout_events_enabled"),
]
RESTART_CASES = [Case(kind, "autorestart") for kind in KINDS]


def _id(case: Case) -> str:
    return f"{case.kind}-{case.option}"


def _section(kind: str, name: str, options: str) -> str:
    special = {
        "program": "",
        "eventlistener": "events=TICK_3600\n",
        "fcgi-program": f"socket=unix://$HERE/{name}.sock\n",
    }
    return f"[{kind}:{name}]\nstopwaitsecs=1\n{special[kind]}{options}\n"


def _told_sections(case: Case) -> str:
    value, both = TOLD[case.option]
    usual = {"autostart": "false", "command": "/bin/sleep 3600"}
    unset = "".join(f"{name}={text}\n" for name, text in usual.items())
    changed = {**usual, case.option: value}
    as_set = "".join(f"{name}={text}\n" for name, text in changed.items())
    return _section(case.kind, f"{case.section}_a", both + unset) + _section(
        case.kind, f"{case.section}_b", both + as_set
    )


def _seen_sections(case: Case) -> str:
    usual = f"command={_LOOK}\nstderr_logfile=$HERE/{case.section}"
    changed = f"{usual}_seen_b\n{case.option}={SEEN[case.option]}\n"
    return _section(case.kind, f"{case.section}_seen_a", f"{usual}_seen_a\n") + _section(
        case.kind, f"{case.section}_seen_b", changed
    )


def _restart_sections(case: Case) -> str:
    usual = f"command={_FAILS_ONCE}\nstartsecs=0\n"
    return _section(case.kind, f"{case.section}_a", usual) + _section(
        case.kind, f"{case.section}_b", f"{usual}autorestart=false\n"
    )


class Facts(NamedTuple):
    """What one of the daemons made of all sections, by case: of the one as it is, and as set."""

    told: Mapping[Case, tuple[Any, Any]]
    seen: Mapping[Case, tuple[Any, Any]]
    restarts: Mapping[Case, tuple[Any, Any]]


@pytest.fixture(scope="module")
def facts(start_shared_pair: StartPair) -> tuple[Facts, Facts]:
    """Of both daemons."""
    sections = [
        *map(_told_sections, TOLD_CASES),
        *map(_seen_sections, SEEN_CASES),
        *map(_restart_sections, RESTART_CASES),
    ]
    return start_shared_pair(HEAD + "".join(sections)).both(_look_at_all)


def _look_at_all(one: Contestant) -> Facts:
    infos = one.call("supervisor.getAllConfigInfo")

    def told(section: str) -> list[dict[str, Any]]:
        return [
            {
                # What is the name of the section itself is no fact about the option.
                key: value.replace(section, "$NAME") if isinstance(value, str) else value
                for key, value in info.items()
                if key != "autorestart"  # which 4.3 does not tell of
            }
            for info in infos
            if info["group"] == section
        ]

    def seen(section: str) -> str:
        return str(one.neutral(one.until_text(section, "is the server")))

    for case in RESTART_CASES:
        one.until_logged(f"spawned: '{case.section}_a'", times=2)
        one.until(f"{case.section}_b", "EXITED")
    return Facts(
        {case: (told(f"{case.section}_a"), told(f"{case.section}_b")) for case in TOLD_CASES},
        {
            case: (seen(f"{case.section}_seen_a"), seen(f"{case.section}_seen_b"))
            for case in SEEN_CASES
        },
        {
            case: (
                one.log.count(f"spawned: '{case.section}_a'"),
                one.log.count(f"spawned: '{case.section}_b'"),
            )
            for case in RESTART_CASES
        },
    )


@pytest.mark.parametrize(
    "case", [case for case in TOLD_CASES if case not in WITHOUT_EFFECT], ids=_id
)
def test_option_that_is_told(facts: tuple[Facts, Facts], case: Case) -> None:
    """By getAllConfigInfo, of each kind of section."""
    theirs, ours = (of_one.told[case] for of_one in facts)
    assert theirs[0]
    assert theirs[0] != theirs[1]
    assert typed(ours) == typed(theirs)


@pytest.mark.differs("listener-output")
@pytest.mark.parametrize("case", WITHOUT_EFFECT, ids=_id)
def test_option_of_a_listener_without_an_effect(facts: tuple[Facts, Facts], case: Case) -> None:
    """Supervisor tells what the file says; opsvisord tells what it does."""
    theirs, ours = (of_one.told[case] for of_one in facts)
    assert theirs[0][0][case.option] != theirs[1][0][case.option]
    assert typed(ours[0]) == typed(ours[1]) == typed(theirs[0])


@pytest.mark.parametrize("case", SEEN_CASES, ids=_id)
def test_option_that_is_seen(facts: tuple[Facts, Facts], case: Case) -> None:
    """By the process, whatever kind of section it comes from."""
    theirs, ours = (of_one.seen[case] for of_one in facts)
    assert theirs[0] != theirs[1]
    assert ours == theirs


@pytest.mark.parametrize("case", RESTART_CASES, ids=_id)
def test_autorestart(facts: tuple[Facts, Facts], case: Case) -> None:
    """One that failed is run again unless it is turned off."""
    theirs, ours = (of_one.restarts[case] for of_one in facts)
    assert ours == theirs == (2, 1)
