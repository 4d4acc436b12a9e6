"""Sockets that programs share: made with their first process, closed with their last."""

import asyncio
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_room import NEVER, Room, plan_of, program
from http_requests import free_port

from opsvisor.core.events import ProcessExited, ProcessSpawned, SpawnFailed
from opsvisor.core.inputs import ApplyPlan, Resume, Start, Stop
from opsvisor.core.spec import (
    ExponentialBackoff,
    KillMode,
    Pid,
    ProcessId,
    ProcessSpec,
    ResourceLimit,
    RestartMode,
    RestartPolicy,
    SocketSpec,
    Startup,
    StdinMode,
    StopPolicy,
    TcpSocketSpec,
    UnixSocketSpec,
    UserSpec,
)
from opsvisor.core.state import PublicState
from opsvisor.core.struct import replace
from opsvisor.core.supervisor import Supervisor
from opsvisor.runtime import clock
from opsvisor.runtime.adoption import Adoption, RunMemento
from opsvisor.runtime.inheritance import EngineMemento, Inheritance
from opsvisor.runtime.keeper import names
from opsvisor.runtime.pidfd import this_tick
from opsvisor.runtime.sockets import SharedSockets, SocketError

# Answers every connection with its pid, and ends by itself when it is asked to.
SERVER = """
import os, socket
listener = socket.socket(fileno=0)
while True:
    connection, _ = listener.accept()
    connection.sendall(str(os.getpid()).encode())
    if connection.recv(9) == b"end":
        break
"""
SOON = RestartPolicy(
    mode=RestartMode.ALWAYS, run_backoff=ExponentialBackoff(delay=0.001, jitter=0.0)
)
AT_ONCE = RestartPolicy(
    mode=RestartMode.ALWAYS, run_backoff=ExponentialBackoff(delay=0.0, jitter=0.0)
)


@pytest.fixture(autouse=True)
def no_descriptor_stays_open() -> Iterator[None]:
    """Every test gives back each descriptor it opened."""
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names alone
    yield
    assert set(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208


def server(name: str, where: SocketSpec, **options: Any) -> ProcessSpec:
    """A process of program `web` that accepts on its standard input."""
    options = {"stop": StopPolicy(kill_mode=KillMode.PROCESS), "restart": AT_ONCE, **options}
    spec = program(name, "python3", "-I", "-S", "-c", SERVER, group="web", socket=where, **options)
    return replace(spec, program="web")


def key(name: str) -> ProcessId:
    """A process of the group that all of these are in."""
    return ProcessId("web", name)


def at(folder: Path, **options: Any) -> UnixSocketSpec:
    """A unix socket in this folder."""
    return UnixSocketSpec(path=str(folder / "web.sock"), **options)


def file_of(where: UnixSocketSpec) -> os.stat_result:
    """What is at the path of a socket."""
    return Path(where.path).lstat()


def is_there(where: UnixSocketSpec) -> bool:
    """Whether anything is at the path of a socket."""
    return os.path.lexists(where.path)


async def ask(where: SocketSpec, farewell: bytes = b"") -> int:
    """The pid of the process that answers there."""
    async with asyncio.timeout(60):
        if isinstance(where, UnixSocketSpec):
            reader, writer = await asyncio.open_unix_connection(where.path)
        else:
            reader, writer = await asyncio.open_connection(where.host, where.port)
        answer = await reader.read(20)
        if farewell:
            writer.write(farewell)
            await reader.read()  # the server is the first to close, and so has to wait longer
        writer.close()
        await writer.wait_closed()
    return int(answer)


def lines_of(room: Room) -> list[str]:
    """What is told of sockets from now on. Before the engine has anything to tell."""
    lines: list[str] = []
    room.engine._sockets._tell = lines.append
    return lines


async def test_processes_of_a_program_share_one_socket(room: Room, tmp_path: Path) -> None:
    """Either answers, the other if one is stopped; it is closed when the last has ended."""
    lines = lines_of(room)
    where = at(tmp_path)
    room.apply(server("a", where), server("b", where))
    await room.settled()
    pids = {name: room.engine.view(key(name)).pid for name in "ab"}
    assert await ask(where) in pids.values()
    file = file_of(where)
    room.engine.submit(Stop(key("a")))
    await room.next(ProcessExited, id=key("a"))
    assert await ask(where) == pids["b"]
    room.engine.submit(Start(key("a")))
    await room.next(ProcessSpawned, id=key("a"))
    assert os.path.samestat(file_of(where), file)
    assert lines == [f"Creating socket {where.url}"]
    for name in "ab":
        room.engine.submit(Stop(key(name)))
    await room.until(lambda: not room.engine.live())
    assert not is_there(where)
    assert lines == [f"Creating socket {where.url}", f"Closing socket {where.url}"]


async def test_a_run_hands_its_socket_to_the_next(room: Room, tmp_path: Path) -> None:
    """Where that begins at once: no client is refused in between, not even of a single process."""
    lines = lines_of(room)
    where = at(tmp_path)
    room.apply(server("a", where, restart=AT_ONCE))
    await ask(where, b"end")
    await room.next(ProcessExited)
    await room.next(ProcessSpawned)
    assert await ask(where) == room.engine.view(key("a")).pid
    assert lines == [f"Creating socket {where.url}"]


@pytest.mark.parametrize("what", ["lost", "ended", "upgraded"])
async def test_the_socket_of_a_spawn_that_nobody_saw(
    room: Room, tmp_path: Path, what: str
) -> None:
    """It was kept, and nothing of that run is left: the next goes on with it."""
    lines = lines_of(room)
    where = at(tmp_path)
    spec = server("a", where)
    past = Supervisor(jitter=lambda: 0.0)
    past.handle(ApplyPlan(plan_of(spec)), clock.now())
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(where.path)
    listener.listen()
    kept = {names.of_socket(where.url): listener.detach()}
    run = RunMemento(id=spec.id, is_intended=True, intended_at=this_tick())
    if what == "upgraded":
        inheritance = Inheritance(EngineMemento(runs=(run,)), kept)
        room.engine.inherit(Resume(past.memento(), is_exact=True), inheritance)
        inheritance.close()
    else:
        if what == "ended":
            run = RunMemento(id=spec.id, pid=Pid(os.getpid()), born=1)
        adoption = Adoption([run], claim=lambda name: kept.pop(name, None))
        room.engine.resume(Resume(past.memento()), adoption)
    assert await ask(where) == room.engine.view(spec.id).pid
    assert not lines, "it was made anew"


async def test_the_socket_is_made_anew_with_the_next_first_process(room: Room) -> None:
    """On the same port at once: connections of the last run, still in TIME_WAIT, don't matter."""
    where = TcpSocketSpec(host="127.0.0.1", port=free_port())
    room.apply(server("a", where, restart=SOON))
    first = await ask(where)
    await ask(where, b"end")
    await room.next(ProcessSpawned, id=key("a"), pid=first)
    again = await room.next(ProcessSpawned, id=key("a"))
    assert await ask(where) == again.pid != first


async def test_a_connection_waits_for_a_process_to_take_it(room: Room, tmp_path: Path) -> None:
    """While all are busy or on their way up it is in the backlog, not refused."""
    where = at(tmp_path)
    room.apply(server("a", where), server("b", where))
    await room.settled()
    ended = await ask(where, b"end")
    assert await ask(where, b"end") != ended
    assert await ask(where)  # of a process that is restarted only now


async def test_the_file_has_the_mode_and_owner_it_should(room: Room, tmp_path: Path) -> None:
    """0700 by default. Only root can give it away."""
    owner = (12, 34) if os.geteuid() == 0 else (os.geteuid(), -1)
    where = at(tmp_path, mode=0o624, owner=owner)
    room.apply(server("a", where))
    await room.settled()
    found = file_of(where)
    assert stat.S_IMODE(found.st_mode) == 0o624
    assert found.st_uid == owner[0]
    other = UnixSocketSpec(path=str(tmp_path / "other.sock"))
    room.apply(server("a", other))
    await room.next(ProcessExited, id=key("a"))
    await room.next(ProcessSpawned, id=key("a"))
    assert await ask(other)
    assert stat.S_IMODE(file_of(other).st_mode) == 0o700
    assert not is_there(where)


async def test_a_changed_mode_is_taken_over_by_the_socket_that_is_there(
    room: Room, tmp_path: Path
) -> None:
    """Its processes are restarted one by one; the second may still hold it for the first."""
    lines = lines_of(room)
    where, wider = at(tmp_path), at(tmp_path, mode=0o666, backlog=5)
    room.apply(server("a", where), server("b", where))
    await room.settled()
    room.apply(server("a", wider), server("b", where))
    await room.next(ProcessExited, id=key("a"))
    await room.next(ProcessSpawned, id=key("a"))
    assert stat.S_IMODE(file_of(where).st_mode) == 0o666
    assert len(lines) == 1
    assert await ask(where)


async def test_forked_programs_have_their_socket_too(room: Room, tmp_path: Path) -> None:
    """With limits it is forked; and the socket stands in for the pipe asked for."""
    where = at(tmp_path)
    limit = ResourceLimit(name="nofile", soft=64, hard=64)
    room.apply(server("a", where, rlimits=(limit,), stdin=StdinMode.PIPE))
    await room.settled()
    assert await ask(where) == room.engine.view(key("a")).pid


async def test_a_socket_in_use_is_never_taken(room: Room, tmp_path: Path) -> None:
    """It is a failed start that says who is in the way, and the other goes on listening."""
    where = at(tmp_path)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(where.path)
        other.listen(0)
        room.apply(server("a", where, restart=NEVER))
        reason = (await room.next(SpawnFailed)).reason
        assert reason == (
            f"could not create socket {where.url}: another program is listening there"
            " (another daemon? end it first)"
        )
        assert stat.S_ISSOCK(file_of(where).st_mode)
        for _ in range(3):  # also when so many wait that a connection would not be taken
            with socket.socket(socket.AF_UNIX) as client:
                client.setblocking(False)
                try:
                    client.connect(where.path)
                except BlockingIOError:
                    break
        with pytest.raises(SocketError, match="another program is listening there"):
            SharedSockets(tell=print).take(server("a", where))


async def test_what_a_killed_daemon_left_is_taken_over(room: Room, tmp_path: Path) -> None:
    """A socket file with nobody behind it."""
    where = at(tmp_path)
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(where.path)
    room.apply(server("a", where))
    assert await ask(where)


async def test_the_spawn_of_a_bad_command_leaves_no_socket(room: Room, tmp_path: Path) -> None:
    """It was made for that process, so it is closed with the failure."""
    lines = lines_of(room)
    where = at(tmp_path)
    room.apply(program("web", "/nonexistent", socket=where, restart=NEVER))
    await room.next(SpawnFailed)
    assert [line.partition(" ")[0] for line in lines] == ["Creating", "Closing"]
    assert not is_there(where)


async def test_trouble_is_told_before_anything_is_started(room: Room, tmp_path: Path) -> None:
    """Of a program that waits to be started by hand; and the try leaves nothing behind."""
    problems: list[str] = []
    observer = room.engine._observer
    room.engine._observer = replace(observer, socket_problem=problems.append)
    bad = UnixSocketSpec(path=str(tmp_path / "none" / "x.sock"))
    room.apply(server("bad", bad, startup=Startup.MANUAL))
    missing = f"No such file or directory (create {tmp_path}/none: directories are not made)"
    assert problems == [f"could not create socket {bad.url}: {missing}"]
    room.apply(server("good", at(tmp_path), startup=Startup.MANUAL))
    assert len(problems) == 1
    assert not is_there(at(tmp_path))


async def test_trouble_with_a_socket_is_told_once(room: Room, tmp_path: Path) -> None:
    """Not for each process that would have it; of another one, after a change, it is told too."""
    problems: list[str] = []
    observer = room.engine._observer
    room.engine._observer = replace(observer, socket_problem=problems.append)
    bad, worse = (UnixSocketSpec(path=str(tmp_path / name / "s")) for name in ("none", "nowhere"))
    for where in bad, worse:
        one = server("a", where, startup=Startup.MANUAL)
        room.apply(one, replace(one, id=replace(one.id, name="a_1")))
    assert [problem.split(": ")[0] for problem in problems] == [
        f"could not create socket {bad.url}",
        f"could not create socket {worse.url}",
    ]


def test_what_is_no_socket_is_not_removed(tmp_path: Path) -> None:
    """Supervisor unlinks whatever is at the path."""
    where = at(tmp_path)
    Path(where.path).write_text("precious")
    with pytest.raises(SocketError, match="a file that is not a socket"):
        SharedSockets(tell=print).take(server("a", where))
    assert Path(where.path).read_text() == "precious"


def test_a_link_is_not_followed_to_what_it_names(tmp_path: Path) -> None:
    """Who owns the folder could have a file removed, or be given it."""
    where = at(tmp_path)
    (tmp_path / "target").write_text("precious")
    Path(where.path).symlink_to(tmp_path / "target")
    with pytest.raises(SocketError, match="a file that is not a socket"):
        SharedSockets(tell=print).take(server("a", where))


def test_somebody_elses_file_is_left_alone_at_the_end(tmp_path: Path) -> None:
    """The socket was replaced while it was open: what is there now isn't ours to remove."""
    where = at(tmp_path)
    sockets = SharedSockets(tell=print)
    hold = sockets.take(server("a", where))
    Path(where.path).unlink()
    Path(where.path).write_text("theirs")
    hold.let_go()
    assert Path(where.path).read_text() == "theirs"


def test_what_took_its_place_gets_neither_its_mode_nor_its_owner(tmp_path: Path) -> None:
    """Who owns the folder could have any file given away. What is shared goes on as it was."""
    where, wider = at(tmp_path), at(tmp_path, mode=0o666)
    sockets = SharedSockets(tell=print)
    descriptor = sockets.take(server("a", where)).descriptor
    Path(where.path).unlink()
    with pytest.raises(SocketError, match="somebody has removed it"):
        sockets.take(server("b", wider))
    (tmp_path / "theirs").write_text("")
    (tmp_path / "theirs").chmod(0o600)
    Path(where.path).hardlink_to(tmp_path / "theirs")
    with pytest.raises(SocketError, match="another file in its place"):
        sockets.take(server("b", wider))
    assert stat.S_IMODE(file_of(where).st_mode) == 0o600
    assert sockets.take(server("b", where)).descriptor == descriptor
    sockets.close()


def test_a_socket_that_we_may_not_ask_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can say whether anybody listens there. Root may connect to any."""

    def refuse(_socket: socket.socket, _path: str) -> None:
        raise PermissionError

    where = at(tmp_path)
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(where.path)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(SocketError, match=r"may not connect to \(if nobody listens, remove it\)$"):
        SharedSockets(tell=print).take(server("a", where))
    assert is_there(where)


def test_a_socket_of_another_kind_is_somebodys_too(tmp_path: Path) -> None:
    """A log of the system, for instance: it can't be connected to as we do, but it is read."""
    where = at(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(where.path)
        with pytest.raises(SocketError, match="another program is listening there"):
            SharedSockets(tell=print).take(server("a", where))
    assert is_there(where)


def test_a_socket_that_holds_its_place_is_not_tried(tmp_path: Path) -> None:
    """It is open: there is nothing to find out, and nothing may happen to it."""
    where = at(tmp_path)
    sockets = SharedSockets(tell=print)
    sockets.take(server("a", where))
    made = file_of(where)
    assert sockets.problem_of(server("b", where)) == ""
    assert os.path.samestat(file_of(where), made)
    sockets.close()


def test_two_programs_do_not_share_by_accident(tmp_path: Path) -> None:
    """Each would take requests that are meant for the other."""
    where = at(tmp_path)
    sockets = SharedSockets(tell=print)
    sockets.take(server("a", where))
    with pytest.raises(SocketError, match="it is that of program 'web' "):
        sockets.take(program("other", "x", socket=where))
    sockets.close()


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        (UnixSocketSpec(path="/" + "x" * 200), "AF_UNIX path too long"),
        (UnixSocketSpec(path="/a\0b"), "embedded null"),
        (TcpSocketSpec(host="é" * 64, port=1), "encoding of hostname failed"),
        (TcpSocketSpec(host="192.0.2.1", port=1), "Cannot assign requested address"),
    ],
)
def test_an_impossible_address_is_refused(where: SocketSpec, reason: str) -> None:
    """By its own error, whatever kind that is, and with no descriptor left open."""
    with pytest.raises(SocketError, match=reason):
        SharedSockets(tell=print).take(server("a", where))


async def test_a_taken_port_is_told(room: Room) -> None:
    """With the way to find out who has it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        where = TcpSocketSpec(host="127.0.0.1", port=other.getsockname()[1])
        room.apply(server("a", where, restart=NEVER))
        reason = (await room.next(SpawnFailed)).reason
    assert reason == (
        f"could not create socket {where.url}: Address already in use"
        f" (who listens on port {where.port}: ss -ltnp)"
    )
    assert room.engine.view(key("a")).state in (PublicState.BACKOFF, PublicState.FATAL)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_user_of_the_program_has_its_socket(tmp_path: Path) -> None:
    """Unless an owner is named; and the next user, when that changes."""
    where = at(tmp_path)
    sockets = SharedSockets(tell=print)
    for uid, gid in ((12, 34), (56, 78)):
        sockets.take(server("a", where, user=UserSpec(name="x", uid=uid, gid=gid)))
        assert (file_of(where).st_uid, file_of(where).st_gid) == (uid, gid)
    named = at(tmp_path, owner=(9, -1))
    sockets.take(server("a", named, user=UserSpec(name="x", uid=12, gid=34)))
    assert (file_of(where).st_uid, file_of(where).st_gid) == (9, 78)
    sockets.close()


def test_who_runs_the_daemon_keeps_what_is_made(tmp_path: Path) -> None:
    """Nothing is given to oneself: that could be refused, of a group we aren't in."""
    where = at(tmp_path)
    sockets = SharedSockets(tell=print)
    me = UserSpec(name="me", uid=os.geteuid(), gid=2**31 - 2)
    sockets.take(server("a", where, user=me))
    assert file_of(where).st_gid != me.gid
    sockets.close()
