"""One recording listener under Supervisor and under opsvisord: payload by payload the same."""

import functools
import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from commands import BIN
from daemon import PATIENCE, eventually
from supervisor.childutils import (  # type: ignore[import-untyped]  # comes without annotations
    getRPCInterface,
)
from told import RECORDER, Told, told, until_told

HEAD = """
[unix_http_server]
file = $HERE/s

[supervisord]
logfile = $HERE/log
pidfile = $HERE/pid
childlogdir = $HERE
nodaemon = true
loglevel = debug

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

"""

CONFIG = """
[eventlistener:lis]
command = $RECORDER $HERE/told
events = EVENT
buffer_size = 1000
startsecs = 0

[program:good]
command = sh -c 'echo out; echo err >&2'
autorestart = false
startsecs = 0
stdout_events_enabled = true
stderr_events_enabled = true

[program:bad]
command = sh -c 'exit 3'
autorestart = false
startsecs = 0

[program:expected]
command = sh -c 'exit 3'
autorestart = false
exitcodes = 3
startsecs = 0

[program:killed]
command = sh -c 'kill -9 $$$$'
autorestart = false
startsecs = 0

[program:flaky]
command = sh -c 'exit 0'
startsecs = 10
startretries = 1

[program:missing]
command = /nowhere/program
startretries = 0

[program:again]
command = sh -c 'test -e $HERE/second && exec sleep 1000; touch $HERE/second; exit 1'
autorestart = true
startsecs = 0

[program:talker]
command = sh -c 'printf "<!--XSUPERVISOR:BEGIN-->psst<!--XSUPERVISOR:END-->%%%%060d" 0; read x'
startsecs = 0
stdout_capture_maxbytes = 1KB

[program:binary]
command = sh -c 'printf "a\\\\377b"; read x'
startsecs = 0
stdout_events_enabled = true

[program:umlaut]
command = sh -c 'echo grün; read x'
startsecs = 0
stdout_events_enabled = true

[program:echo]
command = cat
startsecs = 0
autostart = false
stdout_events_enabled = true

[program:stubborn]
command = sh -c 'trap "" TERM; echo deaf; while :; do read x; done'
startsecs = 0
stopwaitsecs = 1
autostart = false
stdout_events_enabled = true

[program:one]
command = sleep 1000
startsecs = 0

[program:two]
command = sleep 1000
startsecs = 0
numprocs = 2
process_name = two_%(process_num)d

[group:both]
programs = one,two
"""

NAMES = re.findall(r"\[(?:program|group|eventlistener):(\w+)\]", CONFIG)
SUBJECTS = [*(name for name in NAMES if name != "two"), "two_0", "two_1"]

# What each of them comes to by itself, and where it can be left alone.
FINALLY = {
    "good": "PROCESS_STATE_EXITED",
    "bad": "PROCESS_STATE_EXITED",
    "expected": "PROCESS_STATE_EXITED",
    "killed": "PROCESS_STATE_EXITED",
    "flaky": "PROCESS_STATE_FATAL",
    "missing": "PROCESS_STATE_FATAL",
    "talker": "PROCESS_COMMUNICATION_STDOUT",
    "binary": "PROCESS_LOG_STDOUT",
    "umlaut": "PROCESS_LOG_STDOUT",
    "two_1": "PROCESS_STATE_RUNNING",
}


# Priorities differ, since Supervisor gives what one pool rejects to all others of its priority.
MISFITS = """
[eventlistener:rejects]
command = $RECORDER $HERE/rejects fail long
events = PROCESS_STATE_EXITED
priority = 1
startsecs = 0

[eventlistener:babbles]
command = $RECORDER $HERE/babbles junk
events = PROCESS_STATE_EXITED
priority = 2
startsecs = 0

[eventlistener:dies]
command = $RECORDER $HERE/dies die
events = PROCESS_STATE_EXITED
priority = 3
startsecs = 0

[eventlistener:hangs]
command = $RECORDER $HERE/hangs hang
events = PROCESS_STATE_EXITED
buffer_size = 2
priority = 4
startsecs = 0

[program:job]
command = true
startsecs = 0
autostart = false
autorestart = false
"""


@dataclass(frozen=True)
class Contestant:
    """One of the two daemons, running."""

    directory: Path
    rpc: Any

    @property
    def book(self) -> Path:
        """What its recorder noted."""
        return self.directory / "told"

    @property
    def log(self) -> str:
        """What it has logged."""
        return (self.directory / "log").read_text()

    def until(self, *texts: str) -> None:
        """Wait until an event with all of these in it was told."""
        until_told(self.book, *texts)


@contextmanager
def running(program: str, directory: Path, sections: str) -> Iterator[Contestant]:
    """A daemon with a directory of its own."""
    directory.mkdir()
    config = directory / "supervisord.conf"
    text = (HEAD + sections).replace("$HERE", str(directory)).replace("$RECORDER", RECORDER)
    config.write_text(text.replace("$$", "$"))
    with (directory / "output").open("wb") as output:
        child = subprocess.Popen(
            [BIN / program, "-c", config],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
    url = f"unix://{directory}/s"
    try:
        with getRPCInterface({"SUPERVISOR_SERVER_URL": url}) as rpc:
            yield Contestant(directory, rpc)
        child.send_signal(signal.SIGTERM)
        child.wait(PATIENCE)
    finally:
        child.kill()
        child.wait()


def play(program: str, directory: Path) -> list[Told]:
    """Everything that is told while the same things are done to either daemon."""
    with running(program, directory, CONFIG) as daemon:
        for name, last in FINALLY.items():
            daemon.until(last, f"processname:{name} ")
        daemon.until("RUNNING processname:again", "from_state:STARTING")
        daemon.until("STARTING processname:again", "from_state:EXITED")
        rpc = daemon.rpc.supervisor
        rpc.sendRemoteCommEvent("deploy", "version 2\nby hand, grün")
        rpc.startProcess("echo")
        rpc.sendProcessStdin("echo", "hello\n")
        daemon.until("PROCESS_LOG_STDOUT processname:echo", "hello")
        rpc.signalProcess("echo", "KILL")
        daemon.until("PROCESS_STATE_RUNNING processname:echo", "from_state:STARTING")
        daemon.until("PROCESS_STATE_STARTING processname:echo", "from_state:EXITED")
        rpc.startProcess("stubborn")
        daemon.until("deaf")
        rpc.stopProcess("stubborn")
        rpc.stopProcessGroup("both")
        rpc.startProcessGroup("both")
        rpc.stopProcess("both:one")
        rpc.removeProcessGroup("bad")
        rpc.addProcessGroup("bad")
        exited = "PROCESS_STATE_EXITED processname:bad"
        eventually(lambda: sum(exited in str(event) for event in told(daemon.book)) == 2)
        daemon.until("TICK_5")
        rpc.sendRemoteCommEvent("end", "")
        daemon.until("type:end")
    return told(directory / "told")


def normal(event: Told) -> str:
    """The event without what can't be the same twice: pids, and which second it is."""
    text = re.sub(r"\bpid:[1-9]\d*", "pid:PID", str(event))
    return re.sub(r"when:\d+", "when:SECOND", text)


def about(events: list[Told], subject: str) -> tuple[list[str], list[str]]:
    """What was told of a process or a group: its moves, and what it said, each in order.

    Apart, because Supervisor finds out that startsecs are over in the next turn of its loop: with
    startsecs=0 the first output may come before RUNNING there, and never does here.
    """
    of_it = [e for e in events if subject in (e.fields.get("processname"), _group(e))]
    moves = [normal(event) for event in of_it if "_STATE_" in event.name or _group(event)]
    return moves, [normal(event) for event in of_it if normal(event) not in moves]


def _group(event: Told) -> str:
    """Which group came or went."""
    return event.fields["groupname"] if event.name.startswith("PROCESS_GROUP") else ""


def until_the_end(events: list[Told]) -> list[Told]:
    """Without what was told from the last action on: the daemons stop in different orders."""
    (end,) = [number for number, event in enumerate(events) if event.payload == "type:end\n"]
    return events[: end + 1]


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Told], list[Told]]:
    """What Supervisor told, and what opsvisord told."""
    directory = tmp_path_factory.mktemp("streams")
    with ThreadPoolExecutor(2) as pool:
        theirs = pool.submit(play, "supervisord", directory / "theirs")
        ours = pool.submit(play, "opsvisord", directory / "ours")
        return theirs.result(), ours.result()


Streams = tuple[list[Told], list[Told]]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_same_is_told_of_each(streams: Streams, subject: str) -> None:
    """Of every process and group, from its beginning to the end of the actions."""
    theirs, ours = (about(until_the_end(events), subject) for events in streams)
    assert ours == theirs
    assert any(theirs)


def test_the_same_is_told_of_the_daemon_and_by_clients(streams: Streams) -> None:
    """What is about no process, in the order it happened."""
    theirs, ours = (
        [
            normal(event)
            for event in until_the_end(events)
            if event.name.startswith(("SUPERVISOR", "REMOTE"))
        ]
        for events in streams
    )
    assert ours == theirs
    assert theirs == [
        "SUPERVISOR_STATE_CHANGE_RUNNING ",
        "REMOTE_COMMUNICATION type:deploy\nversion 2\nby hand, grün",
        "REMOTE_COMMUNICATION type:end\n",
    ]


def test_the_beginning_has_one_order(streams: Streams) -> None:
    """Groups as they are added, then the daemon, and only then processes."""
    theirs, ours = ([normal(e) for e in events[: len(NAMES) - 1]] for events in streams)
    assert ours == theirs
    groups = sorted(set(NAMES) - {"lis", "one", "two"})
    assert theirs == [
        *(f"PROCESS_GROUP_ADDED groupname:{group}\n" for group in ["lis", *groups]),
        "SUPERVISOR_STATE_CHANGE_RUNNING ",
    ]


def test_envelopes_are_alike(streams: Streams) -> None:
    """The same fields in the same order, and numbers without a gap."""
    for events in streams:
        for number, event in enumerate(events):
            assert list(event.headers.items()) == [
                ("ver", "3.0"),
                ("server", "supervisor"),
                ("serial", str(number)),
                ("pool", "lis"),
                ("poolserial", str(number)),
                ("eventname", event.name),
                ("len", str(len(event.payload))),
            ]


def test_ticks_are_alike(streams: Streams) -> None:
    """Multiples of five seconds, each once."""
    for events in streams:
        seconds = [int(e.fields["when"]) for e in events if e.name == "TICK_5"]
        assert seconds
        assert seconds == list(range(seconds[0], seconds[-1] + 5, 5))
        assert seconds[0] % 5 == 0


def test_no_less_is_told_of_the_end(streams: Streams) -> None:
    """Groups stop side by side here, and listeners hear of all of them; there of a part."""
    theirs, ours = (
        Counter(map(normal, events[len(until_the_end(events)) :])) for events in streams
    )
    assert not {event for event in theirs - ours if not event.startswith("TICK")}
    assert "SUPERVISOR_STATE_CHANGE_STOPPING " in theirs
    stopped = "PROCESS_STATE_STOPPED processname:two_1 groupname:both from_state:STOPPING pid:PID"
    assert stopped in ours


# -- who does not keep to the protocol ------------------------------------------------------------


MISFIT_NAMES = re.findall(r"eventlistener:(\w+)", MISFITS)


@dataclass(frozen=True)
class Misfits:
    """What listeners were told that reject, babble, die and hang, and what was logged of them."""

    told: dict[str, list[str]]
    logged: dict[str, list[str]]


def play_misfits(program: str, directory: Path) -> Misfits:
    """Let a program end six times, when everybody is there."""
    with running(program, directory, MISFITS) as daemon:
        eventually((directory / "log").exists)
        eventually(lambda: daemon.log.count("ACKNOWLEDGED -> READY") == len(MISFIT_NAMES))
        for number in range(1, 7):
            daemon.rpc.supervisor.startProcess("job", False)
            eventually(functools.partial(_has_heard, directory / "rejects", number))
            # Two more: the event it died of again, and its death, which is an event itself.
            eventually(functools.partial(_has_lines, directory / "dies", number + 2))
        return Misfits(
            {name: _with_serials(told(directory / name)) for name in MISFIT_NAMES},
            {name: _complaints(daemon.log, name) for name in MISFIT_NAMES},
        )


def _has_heard(book: Path, number: int) -> bool:
    """Whether a listener was told of so many ends of the program."""
    ends = {str(event) for event in told(book) if event.fields["processname"] == "job"}
    return len(ends) == number


def _has_lines(book: Path, number: int) -> bool:
    """Whether so much was noted."""
    return len(told(book)) == number


def _with_serials(events: list[Told]) -> list[str]:
    return [f"{e.headers['serial']} {e.headers['poolserial']} {normal(e)}" for e in events]


def _complaints(log: str, name: str) -> list[str]:
    """The lines about a listener or its pool from WARN up, without their times."""
    lines = [line.split(" ", 2)[2] for line in log.splitlines() if line[:4].isdigit()]
    return [
        re.sub(r"pid \d+|\(\d+\)", "PID", line)
        for line in lines
        if re.match(rf"(WARN|ERRO) ({name}:|pool {name} )", line)
    ]


@pytest.fixture(scope="module")
def misfits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Misfits, Misfits]:
    """Under Supervisor, and under opsvisord."""
    directory = tmp_path_factory.mktemp("misfits")
    with ThreadPoolExecutor(2) as pool:
        theirs = pool.submit(play_misfits, "supervisord", directory / "theirs")
        ours = pool.submit(play_misfits, "opsvisord", directory / "ours")
        return theirs.result(), ours.result()


@pytest.mark.parametrize("name", MISFIT_NAMES)
def test_misfits_are_treated_alike(misfits: tuple[Misfits, Misfits], name: str) -> None:
    """They are told the same events with the same numbers, and the same is said of them."""
    theirs, ours = misfits
    assert ours.told[name] == theirs.told[name]
    assert ours.logged[name] == theirs.logged[name]
    assert theirs.told[name]
    assert theirs.logged[name] or name == "dies"
