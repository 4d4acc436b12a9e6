"""The world that a program finds itself in, and the files its output is kept in."""

import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from commands import _MARK as MARK
from contestants import HEAD, Contestant, StartPair, typed
from daemon import eventually

# Tells what a process sees of itself, as one line of JSON.
LOOK = """\
import json, os, stat, sys
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
print(json.dumps({
    "environment": dict(os.environ),
    "descriptors": sorted(map(int, os.listdir("/proc/self/fd")))[:-1],
    "kinds": [oct(stat.S_IFMT(os.fstat(fd).st_mode)) for fd in range(3)],
    "stderr is stdout": os.fstat(1).st_ino == os.fstat(2).st_ino,
    "umask": status["Umask"],
    "leads its group": os.getpgrp() == os.getpid(),
    "session of the daemon": os.getsid(0) == os.getsid(os.getppid()),
    "directory": os.getcwd(),
    "ids": [os.getuid(), os.getgid(), sorted({*os.getgroups()} - {os.getgid()})],
    "argv": sys.argv[1:],
    "blocked": status["SigBlk"],
    "nice": os.nice(0),
}))
"""
PYTHON = f"{sys.executable} -I -S"

# Options of a program that looks at its surroundings, and says so.
SURROUNDINGS = {
    "nothing special": "",
    "environment": 'environment=A=1,B="two words",C=\'%(program_name)s\',D="%(ENV_A)s"',
    "environment of the daemon outranked": 'environment=FROM_DAEMON="mine"',
    "directory": "directory=/",
    "umask": "umask=027",
    "serverurl": "serverurl=http://elsewhere:1",
    "redirect_stderr": "redirect_stderr=true",
    "user by name": "user=root",
    "arguments": "",
    "many": "process_name=%(program_name)s_%(process_num)02d\nnumprocs=1\nnumprocs_start=3",
}
ARGUMENTS = {
    "arguments": "'two words' \"and %%\" a\\ b %(program_name)s %(group_name)s %(host_node_name)s",
    "many": "%(process_num)02d %(numprocs)d",
}


def _name(case: str) -> str:
    return f"look{list(SURROUNDINGS).index(case):02}"


@pytest.fixture(scope="module")
def seen(start_shared_pair: StartPair) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """What the programs of both saw."""
    programs = [
        f"[program:{_name(case)}]\ncommand={PYTHON} $HERE/look.py {ARGUMENTS.get(case, '')}\n"
        f"stdout_logfile=$HERE/{_name(case)}.out\nstartsecs=0\nautorestart=false\n{options}\n"
        for case, options in SURROUNDINGS.items()
    ]
    head = HEAD.replace("[supervisord]\n", '[supervisord]\nenvironment=FROM_DAEMON="yes",A="0"\n')

    def script(one: Contestant) -> Mapping[str, Any]:
        found = {}
        for case in SURROUNDINGS:
            told = json.loads(one.until_text(f"{_name(case)}.out", "\n"))
            del told["environment"][MARK]
            found[case] = one.neutral(told)
        return found

    return start_shared_pair(head + "".join(programs), files={"look.py": LOOK}).both(script)


@pytest.mark.parametrize("case", SURROUNDINGS)
def test_same_surroundings(seen: tuple[Mapping[str, Any], Mapping[str, Any]], case: str) -> None:
    """Environment, descriptors, umask, process group, directory, user, arguments."""
    theirs, ours = seen
    assert typed(ours[case]) == typed(theirs[case])


@pytest.mark.differs("child-sigpipe")
def test_signals_that_are_ignored(start_pair: StartPair) -> None:
    """Python ignores SIGPIPE and SIGXFSZ, and supervisord's children inherit that."""
    config = (
        f"{HEAD}[program:a]\ncommand=/bin/sh -c 'grep SigIgn /proc/self/status'\nstartsecs=0\n"
        "autorestart=false\nstdout_logfile=$HERE/a.out\n"
    )
    theirs, ours = start_pair(config).both(lambda one: one.until_text("a.out", "\n").split()[1])
    by_python = 1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1)
    assert int(theirs, 16) == _ignored_here() | by_python
    assert int(ours, 16) & ~_OF_THE_LIBRARY == 0


# Signals 32 and 33 are the C library's own, which lets nobody change what happens to them: where
# whoever started the tests ignores one, so does everybody.
_OF_THE_LIBRARY = 1 << 31 | 1 << 32


def _ignored_here() -> int:
    status = Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("SigIgn:")]
    return int(line.split()[1], 16)


WHO = 'command=/bin/sh -c "id -u; id -g; id -G; umask; echo $HOME $USER $LOGNAME; pwd"'


@pytest.mark.parametrize("user", ["nobody", "65534", "daemon", "root"])
def test_user(start_pair: StartPair, user: str) -> None:
    """Ids and groups are those of the user; HOME and the like stay as they are."""
    config = (
        f"{HEAD}[program:a]\n{WHO}\nuser={user}\ndirectory=/\nstartsecs=0\nautorestart=false\n"
        "stdout_logfile=$HERE/a.out\n"
    )
    start_pair(config).agree(lambda one: one.until_text("a.out", lines=6))


# How much is printed, in lines of ten bytes, and the options of the log.
LOGS = {
    "not rotated": (300, "stdout_logfile_maxbytes=0"),
    "below its size": (50, "stdout_logfile_maxbytes=1KB"),
    "rotated once": (150, "stdout_logfile_maxbytes=1KB"),
    "rotated often": (1000, "stdout_logfile_maxbytes=1KB\nstdout_logfile_backups=3"),
    "no backups": (300, "stdout_logfile_maxbytes=1KB\nstdout_logfile_backups=0"),
    "merged": (100, "redirect_stderr=true"),
}


@pytest.mark.parametrize("case", ["not rotated", "below its size", "merged"])
def test_log_files_of_one_piece(start_pair: StartPair, case: str) -> None:
    """Everything, in one file."""
    _, options = LOGS[case]
    count = LOGS[case][0]
    pair = start_pair(f"{HEAD}[program:a]\n{_printing(count)}\n{options}\n")

    def script(one: Contestant) -> tuple[list[str], str]:
        text = one.until_text("a.out", lines=count)
        return sorted(path.name for path in one.directory.glob("a.out*")), text

    pair.agree(script)


@pytest.mark.parametrize("case", ["rotated once", "rotated often", "no backups"])
def test_rotated_log_files(start_pair: StartPair, case: str) -> None:
    """As many files as are to be kept, each near its size, and the newest output in them.

    Where one file ends depends on how much is read at once, which is chance with both.
    """
    count, options = LOGS[case]
    pair = start_pair(f"{HEAD}[program:a]\n{_printing(count)}\n{options}\n")

    def script(one: Contestant) -> tuple[list[str], bool]:
        last = f"{count:09}\n"
        eventually(lambda: _ends_with(last, one, "a.out") or _is_empty(one, "a.out"))
        one.until("a", "EXITED")
        names = sorted(path.name for path in one.directory.glob("a.out*"))
        text = _all_of(one, "a.out")
        first = count - text.count("\n") + 1
        whole = "".join(f"{number:09}\n" for number in range(first, count + 1))
        return names, text == whole

    theirs, ours = pair.both(script)
    assert theirs[1]
    assert ours[1]
    if case != "rotated often":
        assert typed(ours[0]) == typed(theirs[0])
    assert len(ours[0]) <= 4


def _printing(count: int) -> str:
    return (
        f"command=$VICTIM 'count 1 {count}' 'exit 0'\nstartsecs=0\nautorestart=false\n"
        "stdout_logfile=$HERE/a.out"
    )


def _all_of(one: Contestant, name: str) -> str:
    """The text in a log and its backups, the oldest first."""
    files = sorted(one.directory.glob(f"{name}*"), key=lambda path: _age(path.name), reverse=True)
    return "".join(path.read_text() for path in files)


def _ends_with(last: str, one: Contestant, name: str) -> bool:
    try:
        return _all_of(one, name).endswith(last)
    except FileNotFoundError:  # it is being rotated
        return False


def _age(name: str) -> int:
    suffix = name.rpartition(".")[2]
    return int(suffix) if suffix.isdigit() else 0


def _is_empty(one: Contestant, name: str) -> bool:
    try:
        return (one.directory / name).stat().st_size == 0
    except FileNotFoundError:  # it is being rotated
        return False
