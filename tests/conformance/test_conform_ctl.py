"""The words of supervisorctl: what is printed, and the exit status.

Three ways are compared: supervisorctl with supervisord, supervisorctl with opsvisord, and
opsvisorctl with opsvisord.
"""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest
from commands import Ran
from contestants import HEAD, Contestant, Kind, Repeated, undated

from opsvisor import __version__

CONFIG = (
    HEAD
    + """\
[program:cat]
command = /bin/cat
startsecs = 0
stdout_logfile = $HERE/cat.out

[program:off]
command = /bin/cat
autostart = false
startsecs = 0

[program:spare]
command = /bin/cat
autostart = false
startsecs = 0

[program:digits]
command = /bin/sh -c "printf 0123456789ab; printf 'to stderr' >&2; exec cat"
startsecs = 0
stdout_logfile = $HERE/digits.out
stderr_logfile = $HERE/digits.err
autorestart = false
autostart = false

[program:silent]
command = /bin/cat
startsecs = 0
stdout_logfile = NONE
stderr_logfile = NONE

; Ends at once when it runs for the first time.
[program:done]
command = /bin/sh -c "mkdir $HERE/done 2>&- && exit; exec cat"
startsecs = 0
autorestart = false

[program:failing]
command = /bin/false
startsecs = 100
startretries = 0

[program:missing]
command = $HERE/none/command
startretries = 0

[program:directory]
command = /tmp
startretries = 0
autostart = false

[program:plain_file]
command = /etc/passwd
startretries = 0
autostart = false

[program:slow]
command = /bin/cat
startsecs = 3600

[program:many]
command = /bin/cat
process_name = %(program_name)s_%(process_num)02d
numprocs = 3
startsecs = 0
priority = 5

[program:left]
command = /bin/cat
startsecs = 0

[program:right]
command = /bin/cat
startsecs = 0
autostart = false
priority = 1

[group:hands]
programs = right,left
priority = 3

[program:a_name_that_is_longer_than_the_column_is_wide]
command = /bin/cat
startsecs = 0
"""
)

SETTLED = {
    "cat": "RUNNING",
    "silent": "RUNNING",
    "done": "EXITED",
    "failing": "FATAL",
    "missing": "FATAL",
    "slow": "STARTING",
    "many:many_00": "RUNNING",
    "many:many_01": "RUNNING",
    "many:many_02": "RUNNING",
    "hands:left": "RUNNING",
    "a_name_that_is_longer_than_the_column_is_wide": "RUNNING",
}

# One after another. What a line changes is seen by those below it.
SCRIPT = """\
status
status all
status cat
status cat off
status nosuch
status cat nosuch
status nosuch off
status off nosuch:*
status many
status many:*
status many:many_01
status hands:*
status hands:nosuch
status cat:cat
status cat:*
status all nosuch
status slow
status failing missing
pid
pid off
pid nosuch
pid cat nosuch
pid hands:nosuch
version
version cat
avail
avail cat
tail
tail nosuch
tail cat
tail -5 cat
tail cat stdout
tail cat stderr
tail cat nosuch
tail silent
tail silent stderr
tail -x cat
tail -f
tail -5
tail -5 cat stdout extra
tail -5 nosuch stderr
tail cat:cat
tail many:nosuch
tail -f nosuch
maintail nosuch
maintail -x
maintail -f extra words
maintail -10 extra
start
start cat
start nosuch
start nosuch:*
start many
start many:nosuch
start off
status off
start off spare
stop off
stop off
stop nosuch
stop nosuch:*
stop many:nosuch
stop
stop off spare
fg off
stop cat off nosuch
start cat
start done
start failing
start missing
start directory
start plain_file
start missing cat failing
start nosuch cat missing
start digits
tail digits
tail -4 digits
tail digits stderr
tail -0 digits
tail -100 digits
start hands:*
start hands:*
stop hands:*
stop hands:left
start hands:left
start many:*
stop many:*
start many:many_00 many:many_02
restart
restart off
restart off
restart nosuch
restart nosuch:*
restart missing
restart cat spare
restart hands:*
stop hands:* spare nosuch:*
signal
signal CONT
signal CONT cat
signal cont cat
signal SIGCONT cat
signal 18 cat
signal NOPE cat
signal CONT off
signal CONT nosuch
signal CONT nosuch:*
signal CONT many:*
signal CONT many:nosuch
signal CONT cat off nosuch
signal CONT all
signal NOPE all
clear
clear cat
tail cat
clear nosuch
clear cat nosuch
clear many:*
clear many:many_00
clear off
clear silent
clear all
fg
fg nosuch
fg spare
fg cat off
fg many:*
fg nosuch:*
reread
reread cat
add
add nosuch
add cat
add cat nosuch
remove
remove nosuch
remove cat
remove off
remove off
status off
add off
status off
update
update nosuch
update cat
update all
update nosuch cat
update all nosuch
remove failing missing directory plain_file
start all
start all cat nosuch
start all
stop all
stop all
status
nosuch
nosuch cat
STATUS
help nosuch
shutdown now
reload now
open
open nosuch
open http
open ftp://localhost
"""
LINES = SCRIPT.splitlines()
CASES = [f"{number:03} {line}" for number, line in enumerate(LINES)]

Results = Mapping[str, list[str]]


class Ways:
    """The three ways, each with a daemon of its own."""

    def __init__(self, theirs: Results, mixed: Results, ours: Results) -> None:
        self.theirs = theirs
        self.mixed = mixed
        self.ours = ours


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Ways:
    """What was printed for every line, in all three ways."""
    parent = tmp_path_factory.mktemp("w")
    cast = {
        "supervisorctl": Contestant(Kind.THEIRS, parent),
        "supervisorctl, opsvisord": Contestant(Kind.OURS, parent, name="mixd"),
        "opsvisorctl": Contestant(Kind.OURS, parent),
    }
    with ExitStack() as ends, ThreadPoolExecutor(3) as stage:
        for one in cast.values():
            ends.callback(one.end)
        played = stage.map(lambda way: _play(cast[way], way.partition(",")[0]), cast)
        return Ways(*played)


def _play(one: Contestant, program: str) -> Results:
    # Supervisor may lose a TERM that it sends to a process which it has just started.
    one.write(CONFIG.replace("startsecs = 0\n", "startsecs = 0\nstopwaitsecs = 1\n"))
    one.start_and_wait()
    for name, state in SETTLED.items():
        one.until(name, state)
    one.call("supervisor.sendProcessStdin", "cat", "hello\nworld\n")
    one.until_text("cat.out", "world\n")
    with closing(Repeated(one, program)) as run:
        return {case: _told(one, run, case) for case in CASES}


def _told(one: Contestant, run: Repeated, case: str) -> list[str]:
    shown = _shown(run("-c", str(one.config), *case.split()[1:]))
    if case.endswith("start digits"):
        one.until_text("digits.out", "b")
        one.until_text("digits.err", "r")
    if re.search(r" all|\*", case):
        # Several processes at once: in the order in which they are ready, which is nobody's.
        shown[1:] = sorted(shown[1:])
    return shown


def _shown(ran: Ran) -> list[str]:
    out, err = undated(ran.out), undated(ran.err)
    if re.fullmatch(r"(\d+\n|No such process \S+\n)+", out):
        out = re.sub(r"[1-9]\d*", "N", out)
    return [f"exit status {ran.status}", *out.splitlines(), *err.splitlines()]


@pytest.mark.parametrize("case", CASES)
def test_supervisorctl_notices_nothing(ways: Ways, case: str) -> None:
    """The real program gives the same output and status, whoever answers."""
    assert ways.mixed[case] == ways.theirs[case]


# What opsvisorctl says instead, and the difference that this is part of.
OTHERWISE = {
    "version": ("ctl-version", ["exit status 0", __version__]),
    "tail silent": ("ctl-tail-memory", ["exit status 0", ""]),
    "tail silent stderr": ("ctl-tail-memory", ["exit status 0", ""]),
    "clear many:*": (
        "ctl-clear-group",
        ["exit status 0", *(f"many:many_0{number}: cleared" for number in range(3))],
    ),
}
THEIR_WAY = {
    "version": ["exit status 0", "4.3.0"],
    "tail silent": ["exit status 1", "silent: ERROR (no log file)"],
    "tail silent stderr": ["exit status 1", "silent: ERROR (no log file)"],
    "clear many:*": ["exit status 1", "many:None: ERROR (no such process)"],
}
ALIKE = [case for case in CASES if case[4:] not in OTHERWISE]
NOT_ALIKE = [
    pytest.param(case, marks=pytest.mark.differs(OTHERWISE[case[4:]][0]))
    for case in CASES
    if case[4:] in OTHERWISE
]


@pytest.mark.differs("ctl-help")
@pytest.mark.parametrize("case", ALIKE)
def test_opsvisorctl_answers_alike(ways: Ways, case: str) -> None:
    """Our program gives the same output and status for the same words."""
    ours, theirs = ways.ours[case], ways.theirs[case]
    if _is_help(theirs):  # which it has in its own words
        ours, theirs = ours[:2], theirs[:2]
    assert ours == theirs


@pytest.mark.parametrize("case", NOT_ALIKE)
def test_opsvisorctl_answers_otherwise(ways: Ways, case: str) -> None:
    """Where it does so on purpose."""
    assert ways.theirs[case] == THEIR_WAY[case[4:]]
    assert ways.ours[case] == OTHERWISE[case[4:]][1]


_NOT_UNDERSTOOD = re.compile(
    r"Error: .* (requires|accepts)|Error: too |ERROR: (no|too many) process names? supplied"
)


def _is_help(shown: list[str]) -> bool:
    """Whether a command was not understood, so that what is printed explains it."""
    return len(shown) > 1 and bool(_NOT_UNDERSTOOD.match(shown[1]))
