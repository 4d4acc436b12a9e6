"""Reading, tailing and clearing logs, as Supervisor's clients do."""

from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path
from typing import Any, NoReturn

import pytest
from engine_room import NEVER, key, program, sleeper
from rpc_room import RpcRoom, rpc_room
from supervisor.options import (  # type: ignore[import-untyped]  # comes without annotations
    readFile,
    tailFile,
)

from opsvisor.config.settings import Dialect
from opsvisor.core.spec import LogSpec, ProcessSpec
from opsvisor.core.state import PublicState
from opsvisor.runtime.logs.stream import Stream

TEXT = "0123456789ab"
READ = ("readProcessStdoutLog", "readProcessLog", "readProcessStderrLog")
TAIL = ("tailProcessStdoutLog", "tailProcessLog", "tailProcessStderrLog")


def printer(name: str, text: str, folder: Path) -> ProcessSpec:
    """A process that prints this to both of its outputs, and runs on."""
    return program(
        name,
        *("sh", "-c", f"printf '{text}'; printf '{text}' >&2; exec sleep 1000"),
        stdout=LogSpec(path=str(folder / f"{name}.out")),
        stderr=LogSpec(path=str(folder / f"{name}.err")),
    )


@pytest.fixture
async def rpc(tmp_path: Path) -> AsyncIterator[RpcRoom]:
    """One process whose logs are in files, with a text in both."""
    log = tmp_path / "daemon.log"
    async with rpc_room(printer("web", TEXT, tmp_path), folder=tmp_path, daemon_log=log) as one:
        await one.room.output(TEXT)
        await one.room.output(TEXT, stream=Stream.STDERR)
        one.control.daemon_log.write("a line")
        yield one


async def test_ranges_are_those_of_supervisor(rpc: RpcRoom, tmp_path: Path) -> None:
    """At every corner of offset and length."""
    path = str(tmp_path / "web.out")
    corners = (-13, -12, -5, -1, 0, 1, 5, 11, 12, 13, 100)
    for offset, length in product(corners, corners):
        if length < 0 or (offset < 0 and length):
            with pytest.raises(ValueError, match="BAD_ARGUMENTS"):
                readFile(path, offset, length)
            assert await rpc.fault(READ[0], "web", offset, length) == "3 BAD_ARGUMENTS"
        else:
            expected = readFile(path, offset, length).decode()
            assert await rpc.ask(READ[0], "web", offset, length) == expected
        expected = tailFile(path, offset, length)
        assert await rpc.ask(TAIL[0], "web", offset, length) == expected, (offset, length)


@pytest.mark.parametrize(("read", "tail"), list(zip(READ, TAIL, strict=True)))
async def test_both_outputs_and_the_old_names(rpc: RpcRoom, read: str, tail: str) -> None:
    """All of them read the same way."""
    assert await rpc.ask(read, "web", -3, 0) == "9ab"
    assert await rpc.ask(read, "web", "2", 3.9) == "234"
    assert await rpc.ask(tail, "web", 0, 3) == ["9ab", 12, True]
    for method in (read, tail):
        assert await rpc.fault(method, "web:*", 0, 0) == "10 BAD_NAME: web:*"
        wrong: Any
        for wrong in ("x", None, [], float("inf")):
            assert await rpc.fault(method, "web", wrong, 0) == "2 INCORRECT_PARAMETERS"


async def test_what_is_no_text_is_replaced(tmp_path: Path) -> None:
    """Colours and other people's characters; Supervisor sends XML that none can read, or 500."""
    log = LogSpec(path=str(tmp_path / "out"))
    spec = program("web", "printf", r"\033[1m\377\n", stdout=log, restart=NEVER)
    async with rpc_room(spec, folder=tmp_path) as rpc:
        await rpc.room.state(PublicState.EXITED)
        assert await rpc.ask("readProcessLog", "web", 0, 0) == "\ufffd[1m\ufffd\n"
        assert await rpc.ask("tailProcessLog", "web", 0, 100) == ["\ufffd[1m\ufffd\n", 6, False]


async def test_there_may_be_no_log(tmp_path: Path) -> None:
    """Because it is called NONE, because it is merged into the other, because it is gone."""
    gone = tmp_path / "gone"
    specs = (
        sleeper("none"),
        sleeper("merged", stderr=None),
        sleeper("gone", stdout=LogSpec(path=str(gone))),
    )
    async with rpc_room(*specs, folder=tmp_path) as rpc:
        gone.unlink()
        assert await rpc.fault("readProcessLog", "none", 0, 0) == "20 NO_FILE"
        assert await rpc.fault("readProcessStderrLog", "merged", 0, 0) == "20 NO_FILE"
        assert await rpc.fault("readProcessLog", "gone", 0, 0) == f"20 NO_FILE: {gone}"
        for name in ("none", "gone"):
            assert await rpc.ask("tailProcessLog", name, 5, 5) == ["", 0, False]
        assert await rpc.fault("readLog", 0, 0) == "20 NO_FILE"
        assert await rpc.fault("clearLog") == "20 NO_FILE"


def no_access(path: str) -> NoReturn:
    """What opening a file can meet: the tests may run as root, who can open everything."""
    raise PermissionError(13, "Permission denied", path)


async def test_a_log_that_cannot_be_read(
    rpc: RpcRoom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read fails; a tail has nothing to say."""
    path = tmp_path / "web.out"
    path.unlink()
    (tmp_path / "loop").symlink_to(tmp_path / "web.err")
    path.symlink_to(tmp_path / "loop" / "inside")
    assert (await rpc.fault("readProcessLog", "web", 0, 0)).startswith("20 NO_FILE")
    path.unlink()
    path.write_text("secret")
    with monkeypatch.context() as patched:
        patched.setattr("opsvisor.control.logs.located", no_access)
        assert await rpc.fault("readProcessLog", "web", 0, 0) == "30 FAILED"
        assert await rpc.ask("tailProcessLog", "web", 7, 5) == ["", 7, False]


async def test_a_path_that_no_file_can_have(tmp_path: Path) -> None:
    """It is no log, and no bug."""
    specs = (
        sleeper("nul", stdout=LogSpec(path="/tmp/\0")),
        sleeper("long", stdout=LogSpec(path="/tmp/" + "x" * 300)),
    )
    async with rpc_room(*specs, folder=tmp_path) as rpc:
        for name in ("nul", "long"):
            assert (await rpc.fault("readProcessLog", name, 0, 0)).startswith("20 NO_FILE")


async def test_logs_in_memory_are_logs_in_our_own_files(tmp_path: Path) -> None:
    """opsvisor.toml has no NONE: without a path, a log is kept in memory."""
    spec = program("web", "sh", "-c", f"printf {TEXT}; exec sleep 1000")
    async with rpc_room(spec, folder=tmp_path, dialect=Dialect.NATIVE) as rpc:
        await rpc.room.output(TEXT)
        assert await rpc.ask("readProcessLog", "web", 2, 3) == "234"
        assert await rpc.ask("tailProcessLog", "web", 0, 3) == ["9ab", 12, True]
        rpc.control.daemon_log.write("a line")
        assert await rpc.ask("readLog", 0, 0) == "a line\n"
        assert await rpc.ask("clearLog") is True
        assert await rpc.ask("readLog", 0, 0) == ""


async def test_a_device_is_read_from_memory(tmp_path: Path) -> None:
    """What /dev/stdout got can't be read again there; Supervisor fails."""
    spec = program("web", "echo", "hello", stdout=LogSpec(path="/dev/null"), restart=NEVER)
    async with rpc_room(spec, folder=tmp_path) as rpc:
        await rpc.room.state(PublicState.EXITED)
        assert await rpc.ask("readProcessLog", "web", 0, 0) == "hello\n"


async def test_an_answer_has_a_longest_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gigabyte of log is not read into memory because somebody asks for all of it."""
    monkeypatch.setattr("opsvisor.compat.supervisor.rpc.logs.LONGEST_TEXT", 5)
    async with rpc_room(printer("web", TEXT, tmp_path), folder=tmp_path) as rpc:
        await rpc.room.output(TEXT)
        assert await rpc.ask("readProcessLog", "web", 0, 0) == "01234"
        assert await rpc.ask("readProcessLog", "web", 0, 100) == "01234"
        assert await rpc.ask("readProcessLog", "web", -100, 0) == "789ab"
        assert await rpc.ask("tailProcessLog", "web", 0, 100) == ["789ab", 12, False]


async def test_the_daemons_own_log(rpc: RpcRoom) -> None:
    """By both names; cleared, it goes on from nothing."""
    for name in ("readLog", "readMainLog"):
        assert await rpc.ask(name, 2, 4) == "line"
        assert await rpc.fault(name, -1, 1) == "3 BAD_ARGUMENTS"
    assert await rpc.ask("clearLog") is True
    assert await rpc.ask("readLog", 0, 0) == ""
    rpc.control.daemon_log.write("another")
    assert await rpc.ask("readLog", 0, 0) == "another\n"


async def test_a_log_that_cannot_be_cleared(rpc: RpcRoom, tmp_path: Path) -> None:
    """A directory in its place, for one."""
    for name in ("daemon.log", "web.out"):
        (tmp_path / name).unlink()
        (tmp_path / name).mkdir()
    assert await rpc.fault("clearLog") == "30 FAILED"
    assert await rpc.fault("clearProcessLogs", "web") == "30 FAILED: web"
    assert await rpc.results("clearAllProcessLogs") == {"web:web": "30 FAILED: web"}


async def test_clear(rpc: RpcRoom, tmp_path: Path) -> None:
    """Both logs, of a process that runs and of one that does not."""
    assert await rpc.ask("clearProcessLogs", "web") is True
    assert (tmp_path / "web.out").read_text() == (tmp_path / "web.err").read_text() == ""
    await rpc.ask("stopProcess", "web")
    (tmp_path / "web.out").write_text("old")
    assert await rpc.ask("clearProcessLog", "web") is True
    assert (tmp_path / "web.out").read_text() == ""
    assert await rpc.results("clearAllProcessLogs") == {"web:web": "80 OK"}
    assert await rpc.fault("clearProcessLogs", "nobody") == "10 BAD_NAME: nobody"
    assert await rpc.fault("clearProcessLogs", "web:*") == "10 BAD_NAME: web:*"
    assert rpc.room.engine.streams(key("web")).problem == ""
