"""What Supervisor's clients ask of processes, and the faults they get."""

import asyncio
import hashlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from engine_room import NEVER, PATIENCE, key, obedient, program, sleeper
from rpc_room import RpcRoom, rpc_room

from opsvisor.compat.supervisor.rpc.faults import RpcFault
from opsvisor.compat.supervisor.rpc.processes import Processes
from opsvisor.compat.supervisor.rpc.stdin import Stdin
from opsvisor.config.settings import LogLevel
from opsvisor.core.events import StateChanged
from opsvisor.core.plan import EventFeed, Group, Plan
from opsvisor.core.spec import (
    LinearBackoff,
    LogSpec,
    ProcessSpec,
    RestartPolicy,
    Startup,
    StdinMode,
    StopPolicy,
)
from opsvisor.core.state import PublicState

STUBBORN = StopPolicy(kill_delay=1000.0)
RETRYING = RestartPolicy(early_exit_fails=True, start_backoff=LinearBackoff(step=1000.0))
NO_RETRY = RestartPolicy(early_exit_fails=True, failed_starts_max=0, fatal_retry_delay=None)


def idle(name: str, *argv: str, **options: Any) -> ProcessSpec:
    """A process that nobody starts."""
    return program(name, *(argv or ("sleep", "1000")), startup=Startup.DISABLED, **options)


# One process in each state, and some that can't be started.
MATRIX = (
    sleeper("running"),
    idle("stopped"),
    sleeper("starting", min_uptime=1000.0),
    program("backoff", "false", min_uptime=10.0, restart=RETRYING),
    program("fatal", "false", min_uptime=10.0, restart=NO_RETRY),
    program("exited", "sh", "-c", "exit 3", restart=NEVER),
    program(
        "stopping",
        *("sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1000; done"),
        stop=STUBBORN,
    ),
    idle("missing", "/no/such/file"),
    idle("folder", "/"),
)
STATES = {"backoff": "BACKOFF", "fatal": "FATAL", "exited": "EXITED"}


@pytest.fixture
async def rpc(tmp_path: Path) -> AsyncIterator[RpcRoom]:
    """The matrix, every process of it in the state it is called after."""
    async with rpc_room(*MATRIX, folder=tmp_path) as one:
        for name, state in STATES.items():
            await one.room.state(PublicState[state], name)
        await one.room.output("deaf", "stopping")
        await one.ask("stopProcess", "stopping", False)
        yield one


async def test_start(rpc: RpcRoom) -> None:
    """In each state. Supervisor takes a process in BACKOFF for one that is started."""
    told = {
        name: await rpc.fault("startProcess", name)
        for name in ("running", "starting", "backoff", "stopping", "missing", "folder", "nobody")
    }
    assert told == {
        "running": "60 ALREADY_STARTED: running",
        "starting": "60 ALREADY_STARTED: starting",
        "backoff": "60 ALREADY_STARTED: backoff",
        "stopping": "40 ABNORMAL_TERMINATION: stopping",
        "missing": "20 NO_FILE: can't find command '/no/such/file'",
        "folder": "21 NOT_EXECUTABLE: command at '/' is a directory",
        "nobody": "10 BAD_NAME: nobody",
    }
    assert await rpc.ask("startProcess", "stopped") is True
    assert await rpc.fault("startProcess", "fatal") == "50 SPAWN_ERROR: fatal"
    assert await rpc.ask("startProcess", "exited") is True
    assert await rpc.ask("startProcess", "stopping", False) is True  # and nothing comes of it
    assert rpc.room.view("stopping").state is PublicState.STOPPING


async def test_stop(rpc: RpcRoom) -> None:
    """In each state. A stop in BACKOFF ends the waiting."""
    for name in ("stopped", "fatal", "exited", "stopping"):
        assert await rpc.fault("stopProcess", name) == f"70 NOT_RUNNING: {name}"
    for name in ("running", "starting", "backoff"):
        assert await rpc.ask("stopProcess", name) is True
        assert rpc.room.view(name).state is PublicState.STOPPED
    assert await rpc.fault("stopProcess", "nobody:x") == "10 BAD_NAME: nobody:x"


async def test_signal(rpc: RpcRoom) -> None:
    """By any name or number, to what is alive; the signal is looked at before the state."""
    for name in ("stopped", "backoff", "fatal", "exited"):
        assert await rpc.fault("signalProcess", name, "CONT") == f"70 NOT_RUNNING: {name}"
    for name in ("running", "starting", "stopping"):
        for given in ("CONT", "sigcont", "18", 18, 18.0, 0):
            assert await rpc.ask("signalProcess", name, given) is True
    wrong: Any
    for wrong in ("NOPE", "", "99", -1, 99, float("inf"), ["CONT"], None):
        assert (await rpc.fault("signalProcess", "stopped", wrong)).startswith("11 BAD_SIGNAL")


def refuse(_pid: int, _signum: int) -> None:
    """What the kernel does for a process that is not ours to signal."""
    raise PermissionError(1, "Operation not permitted")


async def test_signal_that_is_refused(rpc: RpcRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's reason is the fault's."""
    with monkeypatch.context() as patched:
        patched.setattr(os, "kill", refuse)
        told = await rpc.fault("signalProcess", "running", "HUP")
    assert told == "30 FAILED: SIGHUP: Operation not permitted"


async def test_a_process_that_cannot_be_signalled(
    rpc: RpcRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is neither up nor down: whatever is asked, nobody knows."""
    with monkeypatch.context() as patched:
        patched.setattr(os, "killpg", refuse)
        assert (await rpc.fault("stopProcess", "running")).startswith("30 FAILED: ")
    assert rpc.room.view("running").state is PublicState.UNKNOWN
    assert await rpc.fault("startProcess", "running") == (
        "30 FAILED: running is in an unknown process state"
    )
    assert await rpc.fault("stopProcess", "running") == "70 NOT_RUNNING: running"
    assert await rpc.fault("signalProcess", "running", "CONT") == "70 NOT_RUNNING: running"


async def test_all_of_them(rpc: RpcRoom) -> None:
    """What an action does not apply to is absent."""
    assert await rpc.results("signalAllProcesses", "CONT") == {
        "running:running": "80 OK",
        "starting:starting": "80 OK",
        "stopping:stopping": "80 OK",
    }
    assert await rpc.results("signalAllProcesses", "X") == {
        f"{name}:{name}": "11 BAD_SIGNAL: X" for name in ("running", "starting", "stopping")
    }
    assert await rpc.results("stopAllProcesses") == {
        "backoff:backoff": "80 OK",
        "running:running": "80 OK",
        "starting:starting": "80 OK",
    }


async def test_all_that_are_down(rpc: RpcRoom) -> None:
    """A start leaves alone what is up, or waits for its next attempt."""
    down = {
        "exited:exited": "80 OK",
        "fatal:fatal": "80 OK",
        "folder:folder": "21 NOT_EXECUTABLE: command at '/' is a directory",
        "missing:missing": "20 NO_FILE: can't find command '/no/such/file'",
        "stopped:stopped": "80 OK",
        "stopping:stopping": "80 OK",
    }
    assert await rpc.results("startAllProcesses", False) == down


@pytest.fixture
async def group(tmp_path: Path) -> AsyncIterator[RpcRoom]:
    """A group of three with priorities, one of them for whoever names it only."""
    members = (
        sleeper("late", group="g", priority=9),
        sleeper("early", group="g", priority=1),
        sleeper("manual", group="g", startup=Startup.MANUAL),
    )
    async with rpc_room(*members, folder=tmp_path) as one:
        yield one


@pytest.mark.parametrize("name", ["g:*", "g:"])
async def test_groups_by_their_members(group: RpcRoom, name: str) -> None:
    """Each in the order of its priority, where they are done together."""
    answer = await group.ask("stopProcess", name, False)
    assert [one["name"] for one in answer] == ["early", "late"]
    await group.room.state(PublicState.STOPPED, "g:early")
    await group.room.state(PublicState.STOPPED, "g:late")
    assert await group.results("startProcess", name) == {"g:early": "80 OK", "g:late": "80 OK"}
    assert await group.results("signalProcess", name, "CONT") == {
        "g:early": "80 OK",
        "g:late": "80 OK",
    }


async def test_what_had_to_be_waited_for_comes_last(tmp_path: Path) -> None:
    """However short the wait was: supervisorctl exits with the last failure that it reads."""
    off = Startup.DISABLED
    members = (
        program("a", "false", group="g", startup=off, min_uptime=1.0),
        program("b", "/no/such/file", group="g", startup=off),
    )
    async with rpc_room(*members, folder=tmp_path) as rpc:
        assert list(await rpc.results("startProcessGroup", "g")) == ["g:b", "g:a"]


async def test_groups_by_their_name(group: RpcRoom) -> None:
    """The methods for groups take nothing else."""
    assert await group.results("stopProcessGroup", "g") == {"g:early": "80 OK", "g:late": "80 OK"}
    assert await group.results("signalProcessGroup", "g", "CONT") == {}
    assert await group.results("startProcessGroup", "g") == {"g:early": "80 OK", "g:late": "80 OK"}
    assert await group.ask("startProcess", "g:manual") is True
    for method, *more in (
        ("startProcessGroup",),
        ("stopProcessGroup",),
        ("signalProcessGroup", 1),
    ):
        for name in ("g:*", "nobody", 5):
            assert await group.fault(method, name, *more) == f"10 BAD_NAME: {name}"
        assert await group.fault(method, None, *more) == "10 BAD_NAME"
        assert await group.fault(method, ["g"], *more) == "2 INCORRECT_PARAMETERS"


async def test_a_group_of_many(tmp_path: Path) -> None:
    """All of them are begun with, some at a time."""
    names = [f"p{number:02}" for number in range(25)]
    specs = [idle(name, group="g") for name in names]
    async with rpc_room(*specs, folder=tmp_path) as rpc:
        for method in ("startProcessGroup", "stopProcessGroup"):
            answer = await rpc.ask(method, "g")
            assert {one["status"] for one in answer} == {80}
            assert sorted(one["name"] for one in answer) == names


@pytest.mark.parametrize(
    ("method", "more"),
    [("getProcessInfo", ()), ("signalProcess", ("CONT",)), ("sendProcessStdin", ("hello",))],
)
async def test_one_of_many_that_are_about_to_be_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, method: str, more: tuple[str, ...]
) -> None:
    """With Supervisor, whoever is STARTING is there."""
    # So many can take longer than somebody is to wait who only looks.
    monkeypatch.setattr("opsvisor.compat.supervisor.rpc.processes._PATIENCE_TO_LOOK", PATIENCE)
    specs = [idle(f"p{n}", "cat", stdin=StdinMode.PIPE, min_uptime=1000.0) for n in range(400)]
    async with rpc_room(*specs, folder=tmp_path) as rpc:
        rpc.room.start_together(*(spec.id for spec in specs))
        assert rpc.room.view("p399").pid is None
        answer = await rpc.ask(method, "p399", *more)
        assert rpc.room.view("p399").state is PublicState.STARTING
        assert answer is True or answer["pid"] == rpc.room.pid("p399")


async def test_names_that_name_nothing(group: RpcRoom) -> None:
    """The fault repeats them as they were given; what is no text is a wrong parameter."""
    for name in ("g", "g:x", "x", "", ":", "x:*", "g:*:early", "early", "all", "*"):
        assert await group.fault("stopProcess", name) == f"10 BAD_NAME: {name}"
    assert await group.fault("getProcessInfo", "g:*") == "10 BAD_NAME: g:*"
    wrong: Any
    for wrong in (5, None, True, ["g"], {"g": 1}):
        assert await group.fault("stopProcess", wrong) == "2 INCORRECT_PARAMETERS"


async def test_an_empty_group_is_one(tmp_path: Path) -> None:
    """numprocs=0 makes it. There is nothing to do in it, and that is no error."""
    async with rpc_room(folder=tmp_path) as rpc:
        rpc.control.configuration.carry_out(Plan.of([Group(name="empty")]))
        assert await rpc.ask("startProcessGroup", "empty") == []
        assert await rpc.ask("stopProcess", "empty:*") == []


# -- waiting ---------------------------------------------------------------------------------


async def test_waiting_holds_up_nobody(tmp_path: Path) -> None:
    """A start is answered when the process is up; others are answered meanwhile."""
    async with rpc_room(idle("web", min_uptime=0.2), folder=tmp_path) as rpc:
        start = asyncio.create_task(rpc.ask("startProcess", "web"))
        await rpc.room.next(StateChanged, new=PublicState.STARTING)
        assert (await rpc.ask("getProcessInfo", "web"))["statename"] == "STARTING"
        assert not start.done()
        assert await start is True
        assert rpc.room.view().state is PublicState.RUNNING


async def test_without_waiting_the_answer_comes_at_once(tmp_path: Path) -> None:
    """As soon as the process is made, or told to end."""
    async with rpc_room(idle("web", min_uptime=1000.0), folder=tmp_path) as rpc:
        assert await rpc.ask("startProcess", "web", False) is True
        assert rpc.room.view().state is PublicState.STARTING
        assert await rpc.ask("stopProcess", "web", 0) is True


async def test_a_start_that_is_called_off(tmp_path: Path) -> None:
    """Who waits for it is told that it ended otherwise."""
    async with rpc_room(idle("web", min_uptime=1000.0), folder=tmp_path) as rpc:
        start = asyncio.create_task(rpc.fault("startProcess", "web"))
        await rpc.room.next(StateChanged, new=PublicState.STARTING)
        assert await rpc.ask("stopProcess", "web") is True
        assert await start == "40 ABNORMAL_TERMINATION: web"


async def test_a_start_that_the_shutdown_overtakes(tmp_path: Path) -> None:
    """It ends as any other stop ends it, and from then on everything is refused."""
    async with rpc_room(idle("web", min_uptime=1000.0), folder=tmp_path) as rpc:
        start = asyncio.create_task(rpc.fault("startProcess", "web"))
        await rpc.room.next(StateChanged, new=PublicState.STARTING)
        assert await rpc.ask("shutdown") is True
        assert await start == "40 ABNORMAL_TERMINATION: web"
        assert await rpc.fault("startProcess", "web") == "6 SHUTDOWN_STATE"


async def test_the_log_tells_of_those_who_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, and again while it lasts."""
    monkeypatch.setattr("opsvisor.compat.supervisor.rpc.processes._PROGRESS_INTERVAL", 0.01)
    line = (LogLevel.INFO, "waiting for deaf to stop")
    deaf = program(
        "deaf", "sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done", stop=STUBBORN
    )
    async with rpc_room(deaf, folder=tmp_path) as rpc:
        await rpc.room.output("deaf", "deaf")
        stop = asyncio.create_task(rpc.ask("stopProcess", "deaf"))
        while rpc.lines.count(line) < 3:  # its own pace, bounded by the patience of the client
            assert await rpc.ask("getPID") == os.getpid()
        os.killpg(rpc.room.pid("deaf"), signal.SIGKILL)
        assert await stop is True
        told = rpc.lines.count(line)
        for _ in range(50):  # far longer than it took to be told again
            assert await rpc.ask("getPID") == os.getpid()
        assert rpc.lines.count(line) == told


async def test_a_process_that_left_while_others_were_dealt_with(tmp_path: Path) -> None:
    """It has no name any more."""
    async with rpc_room(folder=tmp_path) as rpc:
        processes = Processes(rpc.control, lambda _level, _text: None)
        with pytest.raises(RpcFault, match="BAD_NAME: gone"):
            await processes._stop(key("gone"), "gone", wait=True)


# -- how they are ----------------------------------------------------------------------------


async def test_info(tmp_path: Path) -> None:
    """Every member of the struct, in Supervisor's order."""
    logs = {"stdout": LogSpec(path=str(tmp_path / "out")), "stderr": LogSpec(path=None)}
    spec = sleeper("p", group="g", **logs)
    async with rpc_room(spec, sleeper("merged", stderr=None), folder=tmp_path) as rpc:
        info = await rpc.ask("getProcessInfo", "g:p")
        view = rpc.room.view("g:p")
        assert view.started is not None
        assert abs(info.pop("now") - view.started.wall) < 60
        assert info == {
            "name": "p",
            "group": "g",
            "start": int(view.started.wall),
            "stop": 0,
            "state": 20,
            "statename": "RUNNING",
            "spawnerr": "",
            "exitstatus": 0,
            "logfile": str(tmp_path / "out"),
            "stdout_logfile": str(tmp_path / "out"),
            "stderr_logfile": "",
            "pid": view.pid,
            "description": info["description"],
        }
        assert info["description"].startswith(f"pid {view.pid}, uptime 0:00:0")
        assert [one["name"] for one in await rpc.ask("getAllProcessInfo")] == ["p", "merged"]


async def test_ends_of_runs(tmp_path: Path) -> None:
    """Codes as they are, -1 for a signal, and 0 for what never came up."""
    quick: dict[str, Any] = {"restart": NO_RETRY, "min_uptime": 10.0}
    specs = (
        program("code", "sh", "-c", "exit 3", restart=NEVER),
        program("killed", "sh", "-c", "kill -9 $$", restart=NEVER),
        program("quick", "sh", "-c", "exit 3", **quick),
        program("unmade", "/no/such", **quick),
        idle("never"),
    )
    async with rpc_room(*specs, folder=tmp_path) as rpc:
        for name in ("code", "killed"):
            await rpc.room.state(PublicState.EXITED, name)
        for name in ("quick", "unmade"):
            await rpc.room.state(PublicState.FATAL, name)
        infos = {one["name"]: one for one in await rpc.ask("getAllProcessInfo")}
        assert {n: (i["exitstatus"], i["spawnerr"]) for n, i in infos.items()} == {
            "code": (3, "Bad exit code 3"),
            "killed": (-1, "Bad exit code -1"),
            "quick": (0, "Exited too quickly (process log may have details)"),
            "unmade": (0, "can't find command '/no/such'"),
            "never": (0, ""),
        }
        assert {n for n, i in infos.items() if i["start"]} == {"code", "killed", "quick", "unmade"}
        assert {n for n, i in infos.items() if i["stop"]} == {"code", "killed", "quick"}
        assert infos["never"]["description"] == "Not started"


# -- input -----------------------------------------------------------------------------------


async def test_what_is_written_arrives(tmp_path: Path) -> None:
    """As UTF-8, whatever it is."""
    async with rpc_room(obedient("web", then='echo "got $line"'), folder=tmp_path) as rpc:
        assert await rpc.ask("sendProcessStdin", "web", "größer\n") is True
        await rpc.room.output("got größer")


LENGTH = 300_000
# One process without children, so that it can be stopped as a whole; it answers with a digest.
DIGEST = f"import hashlib, sys; print(hashlib.md5(sys.stdin.buffer.read({LENGTH})).hexdigest())"
READER = (sys.executable, "-I", "-S", "-c", DIGEST)


def reader(**options: Any) -> ProcessSpec:
    """A process that reads all that it is meant to, and tells what it was."""
    return program("web", *READER, stdin=StdinMode.PIPE, restart=NEVER, **options)


async def test_more_than_a_pipe_holds_arrives_in_order(tmp_path: Path) -> None:
    """What the pipe does not take at once is kept until the process reads."""
    text = "".join(f"{number:09}\n" for number in range(LENGTH // 10))
    async with rpc_room(reader(), folder=tmp_path) as rpc:
        await rpc.ask("signalProcess", "web", "STOP")
        for part in (text[:1000], text[1000:200_000], text[200_000:]):
            assert await rpc.ask("sendProcessStdin", "web", part) is True
        await rpc.ask("signalProcess", "web", "CONT")
        await rpc.room.output(hashlib.md5(text.encode()).hexdigest())


async def test_a_process_that_never_reads(tmp_path: Path) -> None:
    """There is an end to what is kept for it. Supervisor answers with 500 by then."""
    async with rpc_room(sleeper(stdin=StdinMode.PIPE), folder=tmp_path) as rpc:
        part = "x" * 500_000
        assert await rpc.ask("sendProcessStdin", "web", "x" * 65536) is True  # the pipe is full
        assert await rpc.ask("sendProcessStdin", "web", part) is True
        assert await rpc.ask("sendProcessStdin", "web", part) is True
        told = await rpc.fault("sendProcessStdin", "web", part)
        assert told == "30 FAILED: web does not read its standard input"
        # With the run ends what was kept for it: nothing of it reaches the next one.
        assert await rpc.ask("stopProcess", "web") is True
        assert await rpc.ask("startProcess", "web") is True
        assert await rpc.ask("sendProcessStdin", "web", part) is True


async def test_a_process_that_closes_its_input_while_more_is_kept(tmp_path: Path) -> None:
    """Nobody can be told any more; the next who writes is."""
    closing = obedient("web", then="exec <&-; echo closed; exec sleep 1000")
    async with rpc_room(closing, folder=tmp_path) as rpc:
        await rpc.ask("signalProcess", "web", "STOP")
        assert await rpc.ask("sendProcessStdin", "web", "go\n" + "x" * 500_000) is True
        await rpc.ask("signalProcess", "web", "CONT")
        await rpc.room.output("closed")
        assert await rpc.fault("sendProcessStdin", "web", "more") == "20 NO_FILE: web"


async def test_what_waits_goes_first(tmp_path: Path) -> None:
    """Even where the pipe has room again, and nobody has come to use it yet."""
    async with rpc_room(reader(), folder=tmp_path) as rpc:
        await rpc.ask("signalProcess", "web", "STOP")
        stdin, view = Stdin(rpc.control), rpc.room.view()
        stdin.write(view, b"1" * 100_000, name="web")
        pipe = os.open(f"/proc/{view.pid}/fd/0", os.O_RDONLY | os.O_NONBLOCK)
        assert set(os.read(pipe, 65536)) == {ord("1")}
        stdin.write(view, b"2", name="web")
        with pytest.raises(BlockingIOError):
            os.read(pipe, 65536)
        os.close(pipe)
        await rpc.ask("signalProcess", "web", "CONT")
        await rpc.ask("stopProcess", "web")
        assert stdin._backlogs == {}


async def test_with_a_run_ends_what_was_kept_for_it(rpc: RpcRoom) -> None:
    """Whether or not the pipe has told that nobody reads it."""
    stdin = Stdin(rpc.control)
    stdin._backlogs[key("running")] = bytearray(b"x")
    assert await rpc.ask("stopProcess", "running") is True
    assert stdin._backlogs == {}


async def test_who_cannot_be_written_to(rpc: RpcRoom) -> None:
    """What does not run, what has no input, and what is no text."""
    for name in ("stopped", "backoff", "fatal", "exited", "stopping"):
        assert await rpc.fault("sendProcessStdin", name, "x") == f"70 NOT_RUNNING: {name}"
    assert await rpc.fault("sendProcessStdin", "running", "x") == "20 NO_FILE: running"
    assert await rpc.fault("sendProcessStdin", "nobody", "x") == "10 BAD_NAME: nobody"
    assert await rpc.fault("sendProcessStdin", "nobody", 5) == "2 INCORRECT_PARAMETERS: 5"


async def test_a_listener_is_not_kept_anything_for(tmp_path: Path) -> None:
    """Events wait for room in its pipe already, and would be mixed up with it."""
    async with rpc_room(folder=tmp_path) as rpc:
        listener = sleeper(stdin=StdinMode.PIPE)
        feed = EventFeed(kinds=("TICK_3600",))
        rpc.control.configuration.carry_out(
            Plan.of([Group(name="web", processes=(listener,), feed=feed)])
        )
        await rpc.room.settled()
        told = await rpc.fault("sendProcessStdin", "web", "x" * 100_000)
        assert told == "30 FAILED: web took 65536 of 100000 bytes"
