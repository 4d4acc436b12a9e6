"""What the activity log tells of the lives of programs, line by line."""

import signal
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from contestants import HEAD, Contestant, StartPair, timeless, typed, without_times

_READY = "command=/bin/sh -c \"trap 'exit 0' TERM; echo ready; read x\"\nstartsecs=0"
_DEAF = "command=/bin/sh -c \"trap '' TERM; echo deaf; exec cat\"\nstartsecs=0"

# What ends by itself does so when it is told a line, for it must be seen to run before.
# A program, and the state in which its life has come to an end or to rest.
LIVES = {
    "stays": ("command=/bin/cat\nstartsecs=0", "RUNNING"),
    "stays a second": ("command=/bin/cat", "RUNNING"),
    "ends well": ("command=/bin/sh -c 'read x; exit 0'\nstartsecs=0\nautorestart=false", "EXITED"),
    "ends badly": (
        "command=/bin/sh -c 'read x; exit 3'\nstartsecs=0\nautorestart=false",
        "EXITED",
    ),
    "ends as expected": (
        "command=/bin/sh -c 'read x; exit 3'\nstartsecs=0\nautorestart=unexpected\nexitcodes=3",
        "EXITED",
    ),
    "nothing is expected": (
        "command=/bin/sh -c 'read x; exit 0'\nstartsecs=0\nautorestart=false\nexitcodes=",
        "EXITED",
    ),
    "dies by a signal": (
        "command=/bin/sh -c 'read x; kill -KILL $$'\nstartsecs=0\nautorestart=false",
        "EXITED",
    ),
    "dies by TERM": (
        "command=/bin/sh -c 'read x; kill $$'\nstartsecs=0\nautorestart=false",
        "EXITED",
    ),
    "too quick": ("command=/bin/true\nstartsecs=100\nstartretries=0", "FATAL"),
    "too quick, badly": ("command=/bin/false\nstartsecs=100\nstartretries=0", "FATAL"),
    "too quick twice": ("command=/bin/false\nstartsecs=100\nstartretries=1", "FATAL"),
    "too quick, not restarted": (
        "command=/bin/false\nstartsecs=100\nstartretries=0\nautorestart=false",
        "FATAL",
    ),
    "missing": ("command=$HERE/none/command\nstartretries=0", "FATAL"),
    "missing in PATH": ("command=nonexistent_command\nstartretries=0", "FATAL"),
    "not executable": ("command=/etc/passwd\nstartretries=0", "FATAL"),
    "a directory": ("command=/tmp\nstartretries=0", "FATAL"),
    "an open quote": ("command=sh -c 'x\nstartretries=0", "FATAL"),
    "an empty command": ("command=\nstartretries=0", "FATAL"),
    "no such directory": (
        "command=/bin/cat\ndirectory=$HERE/none\nstartsecs=100\nstartretries=0",
        "FATAL",
    ),
    "no interpreter": ("command=$HERE/script\nstartsecs=100\nstartretries=0", "FATAL"),
    "never started": ("command=/bin/cat\nautostart=false", "STOPPED"),
    "stopped": ("command=/bin/cat\nstartsecs=0", "RUNNING"),
    "stopped by HUP": ("command=/bin/cat\nstartsecs=0\nstopsignal=HUP", "RUNNING"),
    "stopped as expected": (f"{_READY}\nstdout_logfile=$HERE/ready.out", "RUNNING"),
    "killed": (f"{_DEAF}\nstdout_logfile=$HERE/deaf.out\nstopwaitsecs=1", "RUNNING"),
}
ENDED_BY_A_LINE = [life for life, (options, _) in LIVES.items() if "read x; " in options]
STOPPED_BY_HAND = ("stopped", "stopped by HUP", "stopped as expected", "killed")


def _process(life: str) -> str:
    return f"life-{list(LIVES).index(life):02}"


class Biographies(NamedTuple):
    """What one of the daemons tells of every life."""

    lines: Mapping[str, list[str]]
    infos: Mapping[str, Any]


@pytest.fixture(scope="module")
def told(start_shared_pair: StartPair) -> tuple[Biographies, Biographies]:
    """The lines in both activity logs, and the answers to getProcessInfo at the end."""
    programs = [f"[program:{_process(life)}]\n{options}\n" for life, (options, _) in LIVES.items()]
    config = HEAD + "".join(programs)

    def script(one: Contestant) -> Biographies:
        for life in ENDED_BY_A_LINE:
            one.until_logged(f"success: {_process(life)} entered RUNNING state")
            assert one.call("supervisor.sendProcessStdin", _process(life), "\n") is True
        for life, (_, state) in LIVES.items():
            one.until(_process(life), state)
        one.until_text("ready.out", "ready")
        one.until_text("deaf.out", "deaf")
        for life in STOPPED_BY_HAND:
            one.call("supervisor.stopProcess", _process(life))
        # Of one that is quick to stop, Supervisor may say that it waits, or may not.
        lines = [line for line in without_times(one.neutral(one.log)) if "waiting for" not in line]
        return Biographies(
            {life: [line for line in lines if _process(life) in line] for life in LIVES},
            {life: timeless(one.info(_process(life))) for life in LIVES},
        )

    return start_shared_pair(config, files={"script": "#!$HERE/none/interpreter\n"}).both(script)


# A failed start is told without the name of the program. The lines are about the commands.
UNNAMED = ("missing", "missing in PATH", "not executable", "a directory", "an open quote")


@pytest.mark.parametrize("life", [life for life in LIVES if life != "no such directory"])
def test_what_is_told_of_a_life(told: tuple[Biographies, Biographies], life: str) -> None:
    """The same lines in the same order, levels and wording included."""
    theirs, ours = told
    assert ours.lines[life] == theirs.lines[life]
    assert theirs.lines[life] or life in ("never started", *UNNAMED)


@pytest.mark.parametrize("life", [life for life in LIVES if life != "no such directory"])
def test_what_is_left_of_a_life(told: tuple[Biographies, Biographies], life: str) -> None:
    """State, exit status, spawnerr, description, and which times and files there are."""
    theirs, ours = told
    assert typed(ours.infos[life]) == typed(theirs.infos[life])


@pytest.mark.differs("spawn-directory")
def test_program_in_a_directory_that_is_not_there(
    told: tuple[Biographies, Biographies],
) -> None:
    """Supervisor sees a child that ends with 127; here the start itself fails, and says why."""
    theirs, ours = (of_one.lines["no such directory"] for of_one in told)
    name = _process("no such directory")
    gave_up = f"INFO gave up: {name} entered FATAL state, too many start retries too quickly"
    assert theirs == [
        f"INFO spawned: '{name}' with pid N",
        f"WARN exited: {name} (exit status 127; not expected)",
        gave_up,
    ]
    assert ours == [gave_up]
    assert "$HERE/none" in told[1].infos["no such directory"]["spawnerr"]


def test_failed_starts(start_pair: StartPair) -> None:
    """`spawnerr:` says why, without a name."""
    failing = (*UNNAMED, "an empty command")
    programs = [f"[program:{_process(life)}]\n{LIVES[life][0]}\n" for life in failing]

    def script(one: Contestant) -> list[str]:
        for life in failing:
            one.until(_process(life), "FATAL")
        lines = without_times(one.neutral(one.log))
        return sorted(line for line in lines if "spawnerr" in line)

    lines = start_pair(HEAD + "".join(programs)).agree(script)
    assert len(lines) == len(failing)


def test_last_lines(start_pair: StartPair) -> None:
    """What is logged of a shutdown, and nothing besides."""

    def script(one: Contestant) -> tuple[list[str], int]:
        one.until("a", "RUNNING")
        before = len(one.log.splitlines())
        one.signal(signal.SIGTERM)
        status = one.wait()
        return without_times(one.log)[before:], status

    lines, status = start_pair(f"{HEAD}[program:a]\ncommand=/bin/cat\nstartsecs=0\n").agree(script)
    assert status == 0
    assert lines == [
        "WARN received SIGTERM indicating exit request",
        "INFO waiting for a to die",
        "WARN stopped: a (terminated by SIGTERM)",
    ]
