"""Probes of real programs, by real servers and commands: what comes of asking."""

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from engine_room import Room, children, engine_room, no_descriptors_left, program, sleeper
from forks import until
from http_requests import free_port

from opsvisor.core.effects import StartProbe
from opsvisor.core.events import HealthChanged, ProcessExited, ProcessSpawned, StateChanged
from opsvisor.core.inputs import Probed, Start, Stop
from opsvisor.core.outcome import ExitCause, Outcome, Usage
from opsvisor.core.probes import (
    ExecProbe,
    HttpProbe,
    ProbeHandler,
    ProbeKind,
    ProbeSpec,
    TcpProbe,
)
from opsvisor.core.spec import Pid, ProcessSpec, ResourceLimit
from opsvisor.core.state import PublicState
from opsvisor.runtime.forkserver import client
from opsvisor.runtime.marks import mark_of
from opsvisor.runtime.probes import Names, Probes, ask, connections
from opsvisor.runtime.probes import http as http_probe
from opsvisor.runtime.probes import schedule as probes_schedule
from opsvisor.runtime.probes import tcp as tcp_probe
from opsvisor.runtime.probes.answers import Answer, CannotAskError, refused
from opsvisor.runtime.probes.schedule import COMMANDS_AT_ONCE, CONNECTIONS_AT_ONCE, SLOW_AT_ONCE

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

# Shorter than any test takes to notice, longer than a busy machine needs for a local answer.
SOON = 0.1
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(autouse=True)
def no_descriptor_stays_open() -> Iterator[None]:
    """Every test gives back each descriptor it opened."""
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names alone
    yield
    assert set(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208


@asynccontextmanager
async def serving(serve: Serve, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on a free port, whose connections end with it."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)
        except ConnectionError:
            pass  # it has its answer, and hung up
        finally:
            writer.transport.abort()
            tasks.discard(task)

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def saying(*parts: bytes, then_hang: bool = False) -> Serve:
    """A server that reads a request, sends these parts one by one, and closes, or hangs."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
        if then_hang:
            await asyncio.Event().wait()

    return serve


async def ask_by_http(probe: HttpProbe) -> Answer:
    """What comes of asking it once."""
    return await http_probe.ask(probe, Names())


def _certificate_error() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError("certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


def one_by_one(answer: bytes) -> list[bytes]:
    """Its bytes apart."""
    return [answer[i : i + 1] for i in range(len(answer))]


@pytest.mark.parametrize(
    ("parts", "answer"),
    [
        ([OK], Answer(ok=True, detail="http 200")),
        ([b"HTTP/1.0 204\r\n\r\n"], Answer(ok=True, detail="http 204")),
        (
            [b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\n\r\n"],
            Answer(True, "http 301"),
        ),
        ([b"HTTP/1.1 404 Not Found\r\n\r\n"], Answer(ok=False, detail="http 404")),
        ([b"HTTP/1.1 503 Busy\n\n"], Answer(ok=False, detail="http 503")),
        (one_by_one(OK), Answer(ok=True, detail="http 200")),
        (
            [b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", b"HTTP/1.1 500 Oops\r\n\r\n"],
            Answer(ok=False, detail="http 500"),
        ),
        ([b"HTTP/1.1 101 Switching Protocols\r\n\r\n"], Answer(ok=False, detail="http 101")),
        ([b""], Answer(ok=False, detail="connection closed without an answer")),
        ([b"HTTP/1.1 200"], Answer(False, "connection closed in the middle of an answer")),
        (
            [b"HTTP/1.1 200 OK\r\nA: b\r\n"],
            Answer(False, "connection closed in the middle of an answer"),
        ),
        ([b"SSH-2.0-OpenSSH\x1b[31m\r\n"], Answer(False, "no http answer: SSH-2.0-OpenSSH [31m")),
        ([b"HTTP/2 200 OK\r\n\r\n"], Answer(False, "no http answer: HTTP/2 200 OK")),
        ([b"HTTP/1.1 20 OK\r\n\r\n"], Answer(False, "no http answer: HTTP/1.1 20 OK")),
        ([b"x" * 400 + b"\r\n"], Answer(False, f"no http answer: {'x' * 159}…")),
        (
            [b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 4000, b"\r\n"],
            Answer(ok=False, detail="the head of the answer is longer than 16384 bytes"),
        ),
        (
            [b"HTTP/1.1 200 OK\r\nA: ", b"b" * 70_000, b"\r\n\r\n"],
            Answer(ok=False, detail="the head of the answer is longer than 16384 bytes"),
        ),
        (
            [b"HTTP/1.1 100 Continue\r\n\r\n" * 4000],
            Answer(ok=False, detail="the head of the answer is longer than 16384 bytes"),
        ),
    ],
)
async def test_what_http_servers_say(parts: list[bytes], answer: Answer) -> None:
    """The status decides, and only what is HTTP has one. Redirects are not followed."""
    async with serving(saying(*parts)) as port:
        assert await ask_by_http(HttpProbe(url=f"http://127.0.0.1:{port}/x")) == answer


async def test_an_answer_is_enough() -> None:
    """Nobody waits for a body, or for the end of the connection."""
    async with serving(saying(OK[:-2], then_hang=True)) as port:
        answer = await ask_by_http(HttpProbe(url=f"http://127.0.0.1:{port}"))
    assert answer == Answer(ok=True, detail="http 200")


@pytest.mark.parametrize(("status", "ok"), [(418, True), (200, False)])
async def test_other_statuses_may_be_right(status: int, ok: bool) -> None:  # noqa: FBT001 - a table
    """Those that were asked for, and no others."""
    async with serving(saying(b"HTTP/1.1 %d X\r\n\r\n" % status)) as port:
        probe = HttpProbe(url=f"http://127.0.0.1:{port}/", statuses=frozenset({418, 204}))
        assert await ask_by_http(probe) == Answer(ok=ok, detail=f"http {status}")


async def test_what_http_servers_are_told() -> None:
    """Path and query as written; headers of the program's own win."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)

    async with serving(serve) as port:
        url = f"http://localhost:{port}/a%20b?c=d&e"
        await ask_by_http(HttpProbe(url=url, headers=(("host", "shop"), ("X-Key", "é"))))
    lines = heard[0].decode().split("\r\n")
    assert lines[0] == "GET /a%20b?c=d&e HTTP/1.1"
    assert {"host: shop", "X-Key: é", "Connection: close", "Accept: */*"} <= set(lines)
    assert not any(line.startswith("Host:") for line in lines)


async def test_proxies_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe is about the program, not about the way out of the house."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with serving(saying(OK)) as port:
        assert (await ask_by_http(HttpProbe(url=f"http://127.0.0.1:{port}/"))).ok


async def test_nobody_there() -> None:
    """In the system's words, by whatever way it was asked."""
    port = free_port()
    for host in ("127.0.0.1", "localhost"):
        answer = await ask_by_http(HttpProbe(url=f"http://{host}:{port}/"))
        assert answer == Answer(ok=False, detail="connection refused")


async def test_without_ipv6_nobody_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is an answer; with it, or by IPv4, all our ports are taken, which is our own fault."""

    async def unavailable(*_: object, **__: object) -> None:
        raise OSError(99, "Cannot assign requested address")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", unavailable)
    file = tmp_path / "if_inet6"
    monkeypatch.setattr(connections, "_IPV6_ADDRESSES", file)
    file.write_text("00000000000000000000000000000001 01 80 10 80       lo\n")
    with pytest.raises(CannotAskError):
        await ask_by_http(HttpProbe(url="http://[::1]:80/"))
    for lack in (lambda: file.write_text(""), file.unlink):
        lack()
        with pytest.raises(CannotAskError):
            await ask_by_http(HttpProbe(url="http://127.0.0.1:80/"))
        answer = await ask_by_http(HttpProbe(url="http://[::1]:80/"))
        assert answer == Answer(ok=False, detail="network is unreachable")


async def test_certificates_are_checked() -> None:
    """By https nobody is believed without one, and the name has to be its own."""
    context = http_probe._verifying()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 You speak TLS\r\n\r\n")

    async with serving(serve) as port:
        answer = await ask_by_http(HttpProbe(url=f"https://127.0.0.1:{port}/"))
    assert not answer.ok
    assert answer.detail.startswith("tls failed: ")


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (OSError(113, "No route to host"), "no route to host"),
        (OSError("something\nelse"), "something else"),
        (
            socket.gaierror(-2, "Name or service not known"),
            "host name not found: Name or service not known",
        ),
        (_certificate_error(), "certificate refused: self-signed certificate"),
    ],
)
def test_what_the_system_says(error: OSError, detail: str) -> None:
    """In few words, on one line."""
    assert refused(error) == Answer(ok=False, detail=detail)


def test_our_own_faults_are_no_answers() -> None:
    """A daemon out of descriptors must not restart programs for it."""
    with pytest.raises(CannotAskError):
        refused(OSError(24, "Too many open files"))


async def asked(
    room: Room, handler: ProbeHandler, *, within: float = 5.0, **options: Any
) -> HealthChanged:
    """What the first answer to this probe of a running program is."""
    probe = ProbeSpec(handler=handler, timeout=within, failure_threshold=1)
    room.apply(sleeper(readiness_probe=probe, **options))
    room.engine.submit(Start(room.view().id))
    return await room.next(HealthChanged)


async def no_command_is_left(room: Room) -> None:
    """Return when the reaper has had every command that was begun."""
    commands = room.engine._commands
    ended = commands._ended

    def told(pid: Pid, outcome: Outcome, usage: Usage) -> None:
        ended(pid, outcome, usage)
        room.poke()

    for pid in commands._alive:
        room.engine._reaper._told_elsewhere[pid] = told
    await room.until(lambda: not commands._alive)


@pytest.mark.parametrize(
    ("script", "passing", "detail"),
    [
        ("exit 0", True, "exit 0"),
        ("echo fine", True, "exit 0: fine"),
        ("echo first; echo 'no db' >&2; exit 3", False, "exit 3: no db"),
        ("kill -9 $$", False, "terminated by SIGKILL"),
        ("printf '\\033[31mred'; exit 1", False, "exit 1: [31mred"),
        ("head -c 1000000 /dev/zero; echo; echo end; exit 1", False, "exit 1: end"),
    ],
)
async def test_how_commands_end(room: Room, script: str, passing: bool, detail: str) -> None:  # noqa: FBT001 - a table
    """The exit status decides, the last line says why."""
    told = await asked(room, ExecProbe(argv=("sh", "-c", script)))
    assert (told.passing, told.detail) == (passing, detail)
    assert not room.orphans


async def test_commands_run_as_the_program_does(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its directory, environment, umask and limits; in a process group of their own."""
    monkeypatch.setattr(client, "_ONE_AFTER_THE_OTHER", 60.0)
    script = 'test "$(pwd)" = "$WHERE" && test "$(umask)" = 0027 && ulimit -n'
    told = await asked(
        room,
        ExecProbe(argv=("sh", "-c", script)),
        working_dir=str(tmp_path),
        environment=(("WHERE", str(tmp_path)),),
        umask=0o027,
        rlimits=(ResourceLimit(name="nofile", soft=55, hard=55),),
    )
    assert (told.passing, told.detail) == (True, "exit 0: 55")
    assert room.engine._forks.pid is not None  # which is started for commands, too


async def test_a_command_that_does_not_exist(room: Room) -> None:
    """It is a wrong answer, in the words of a failed start."""
    told = await asked(room, ExecProbe(argv=("no-such-command",)))
    assert (told.passing, told.detail) == (False, "can't find command 'no-such-command'")


async def test_a_command_that_hangs_is_gone_with_its_children(room: Room, tmp_path: Path) -> None:
    """Its whole group is killed, and nothing of it is left or counted as the program's."""
    note = tmp_path / "pids"
    script = f"sleep 1000 & echo $$ $! > {note}; wait"
    told = await asked(room, ExecProbe(argv=("sh", "-c", script)), within=SOON * 20)
    assert told.detail == "no answer within 2 s"
    pid, child = (int(pid) for pid in note.read_text().split())
    await room.until(lambda: child in [orphan.pid for orphan in room.orphans])
    await no_command_is_left(room)
    assert not {pid, child} & set(children())
    assert pid not in [orphan.pid for orphan in room.orphans]


async def test_what_a_command_leaves_behind_is_ended(room: Room, tmp_path: Path) -> None:
    """A probe that is asked for ever must not collect sleepers."""
    note = tmp_path / "pid"
    told = await asked(room, ExecProbe(argv=("sh", "-c", f"sleep 1000 & echo $! > {note}")))
    assert told.passing
    sleeper_pid = int(note.read_text())
    await room.until(lambda: sleeper_pid in [orphan.pid for orphan in room.orphans])


async def test_what_a_command_leaves_in_a_session_of_its_own_ends_with_the_program(
    room: Room, tmp_path: Path
) -> None:
    """It bears the program's mark, and is nobody else's."""
    note = tmp_path / "pid"
    script = f"setsid sh -c 'echo $$ > {note}.new; mv {note}.new {note}; exec sleep 1000' & "
    script += f"until test -e {note}; do sleep 0.01; done"
    told = await asked(room, ExecProbe(argv=("sh", "-c", script)))
    assert told.passing
    pid = Pid(int(note.read_text()))
    assert mark_of(pid) == room.engine._marks.of(room.view().id)
    await no_command_is_left(room)
    assert pid in children()  # an orphan, which has come to us
    room.engine.submit(Stop(room.view().id))
    await room.state(PublicState.STOPPED)
    assert pid not in children()


async def test_a_stop_takes_the_command_along(room: Room, tmp_path: Path) -> None:
    """Nobody waits for the answer any more, so nobody may go on working on it."""
    os.mkfifo(note := tmp_path / "pid")
    probe = ProbeSpec(
        handler=ExecProbe(argv=("sh", "-c", f"echo $$ > {note}; sleep 1000")), timeout=60.0
    )
    room.apply(sleeper(liveness_probe=probe))
    fifo = os.open(note, os.O_RDONLY | os.O_NONBLOCK)
    said = asyncio.Event()
    asyncio.get_running_loop().add_reader(fifo, said.set)
    room.engine.submit(Start(room.view().id))
    async with asyncio.timeout(60):
        await said.wait()
    asyncio.get_running_loop().remove_reader(fifo)
    pid = int(os.read(fifo, 100))
    os.close(fifo)
    room.engine.submit(Stop(room.view().id))
    await room.state(PublicState.STOPPED)
    await no_command_is_left(room)
    assert pid not in children()


async def test_connections_are_enough_for_tcp(room: Room) -> None:
    """Nothing is said, and the server hears that we hung up."""
    hung_up = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        assert await reader.read() == b""
        hung_up.set()

    async with serving(serve) as port:
        told = await asked(room, TcpProbe(host="localhost", port=port))
        assert (told.passing, told.detail) == (True, "connected")
        async with asyncio.timeout(60):
            await hung_up.wait()


async def test_a_silent_name_server_costs_one_thread_and_none_of_the_loops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many ask for a name, and however often: logs are read in the threads of the loop."""
    release = threading.Event()
    looked_up: list[str] = []

    def silent(host: str, *_: object, **__: object) -> list[Any]:
        looked_up.append(host)
        assert release.wait(10)
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    names = Names()
    async with serving(saying(OK)) as port:
        probe = TcpProbe(host="shop.example", port=port)
        for _ in range(100):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await tcp_probe.ask(probe, names)
        asking = asyncio.ensure_future(tcp_probe.ask(probe, names))
        async with asyncio.timeout(60):
            assert await asyncio.to_thread(lambda: "read") == "read"
            release.set()
            assert await asking == Answer(ok=True, detail="connected")
            assert looked_up == ["shop.example"]
            assert (await tcp_probe.ask(probe, names)).ok
    assert looked_up == ["shop.example"] * 2


@pytest.mark.parametrize(
    ("host", "detail"),
    [
        ("no-such-host.invalid", "host name not found: Name or service not known"),
        (f"{'x' * 70}.invalid", "no host name: encoding with 'idna' codec failed"),
    ],
)
async def test_names_that_nobody_has(
    host: str, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the answer that is wrong, and the words are the resolver's."""

    def unknown(host: str, *_: object, **__: object) -> None:
        host.encode("idna")
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    answer = await ask_by_http(HttpProbe(url=f"http://{host}/"))
    assert not answer.ok
    assert answer.detail.startswith(detail)


async def test_a_look_up_that_ends_after_the_loop_is_of_no_interest() -> None:
    """The daemon's end does not wait for name servers, and hears nothing of them."""
    loop, release = asyncio.new_event_loop(), threading.Event()

    def silent(*_: object, **__: object) -> list[Any]:
        assert release.wait(10)
        return []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", silent)

        def live() -> None:
            async def ask() -> None:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0):
                        await Names().addresses("shop.example")

            loop.run_until_complete(ask())
            loop.close()

        await asyncio.to_thread(live)
        (thread,) = [one for one in threading.enumerate() if one.name == "look up shop.example"]
        assert thread.daemon
        release.set()
        await asyncio.to_thread(thread.join, 10)
        assert not thread.is_alive()


async def test_out_of_descriptors_nobody_is_judged(room: Room) -> None:
    """A command that can't be begun for want of them is no wrong answer, whatever the step."""
    commands = room.engine._commands
    probe = ExecProbe(argv=("true",))
    with no_descriptors_left(), pytest.raises(CannotAskError):
        await ask(probe, sleeper(), commands=commands, names=Names())
    with no_descriptors_left(but=3), pytest.raises(CannotAskError):  # a pipe and no more
        await ask(probe, sleeper(), commands=commands, names=Names())
    assert await ask(probe, sleeper(), commands=commands, names=Names()) == Answer(
        ok=True, detail="exit 0"
    )


async def test_a_daemon_that_ends_takes_commands_along(tmp_path: Path) -> None:
    """At once: there is no later."""
    os.mkfifo(note := tmp_path / "pid")
    fifo = os.open(note, os.O_RDONLY | os.O_NONBLOCK)
    async with engine_room() as room:
        task = asyncio.ensure_future(
            room.engine._commands.run(program("x", "sh", "-c", f"echo $$ > {note}; sleep 1000"))
        )
        said = asyncio.Event()
        asyncio.get_running_loop().add_reader(fifo, said.set)
        async with asyncio.timeout(60):
            await said.wait()
        asyncio.get_running_loop().remove_reader(fifo)
        os.close(fifo)
        room.engine._commands.close()
        outcome, _ = await task
    assert outcome == Outcome(signum=9)


async def test_an_address_is_that_address_and_no_other(room: Room) -> None:
    """Only `localhost` stands for more than one."""
    server = socket.create_server(("127.0.0.2", 0))
    with server:
        port = server.getsockname()[1]
        told = await asked(room, TcpProbe(host="127.0.0.2", port=port))
        assert told.passing
        answer = await tcp_probe.ask(TcpProbe(host="127.0.0.1", port=port), Names())
        assert not answer.ok


async def test_a_group_is_killed_while_its_number_is_its_own(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not when its leader was collected: a pause later it may be that of somebody else."""
    killed: list[bool] = []
    killpg = os.killpg

    def note(group: int, signum: int) -> None:
        killed.append(Path(f"/proc/{group}").exists())  # alive, or a zombie
        killpg(group, signum)

    monkeypatch.setattr(os, "killpg", note)
    left = program("x", "sh", "-c", "sleep 1000 >&- 2>&- & echo $!")
    outcome, said = await room.engine._commands.run(left)
    assert (outcome, killed) == (Outcome(code=0), [True])
    await room.until(lambda: bool(room.orphans))
    (orphan,) = room.orphans
    assert (orphan.pid, orphan.outcome) == (int(said), Outcome(signum=9))


async def test_only_the_end_of_what_is_said_is_kept(room: Room) -> None:
    """However much it is."""
    flood = program("x", "sh", "-c", "head -c 1000000 /dev/zero; echo end")
    outcome, said = await room.engine._commands.run(flood)
    assert (outcome.code, len(said), said[-5:]) == (0, 4096, b"\0end\n")


async def test_nobody_accepts(room: Room) -> None:
    """Refused is refused."""
    told = await asked(room, TcpProbe(host="127.0.0.1", port=free_port()))
    assert (told.passing, told.detail) == (False, "connection refused")


async def test_no_answer_in_time_is_a_wrong_one(room: Room) -> None:
    """A server that takes the request and says nothing."""
    async with serving(saying(then_hang=True)) as port:
        told = await asked(room, HttpProbe(url=f"http://127.0.0.1:{port}/"), within=SOON)
    assert (told.passing, told.detail) == (False, "no answer within 0.1 s")


async def test_liveness_restarts_and_the_new_run_is_asked_anew(room: Room, tmp_path: Path) -> None:
    """From the first wrong answer to the restart, with real signals."""
    flag = tmp_path / "well"
    flag.touch()
    probe = ProbeSpec(
        handler=ExecProbe(argv=("test", "-e", str(flag))), period=SOON, failure_threshold=2
    )
    room.apply(sleeper(liveness_probe=probe))
    room.engine.submit(Start(room.view().id))
    first = await room.next(ProcessSpawned)
    await room.next(HealthChanged, passing=True)
    flag.unlink()
    told = await room.next(HealthChanged, passing=False)
    assert (told.pid, told.in_a_row, told.detail) == (first.pid, 2, "exit 1")
    changed = await room.next(StateChanged, new=PublicState.STOPPING)
    assert changed.reason == "liveness probe failed: exit 1"
    ended = await room.next(ProcessExited)
    assert ended.cause is ExitCause.HEALTH
    flag.touch()
    again = await room.next(ProcessSpawned)
    assert again.replaces is ExitCause.HEALTH
    passes = await room.next(HealthChanged, passing=True)
    assert passes.pid == again.pid


# -- the schedule, with answers that are up to the test ------------------------------------------


class Schedule:
    """Probes whose questions wait for the test to answer them."""

    def __init__(self) -> None:
        self.questions: list[tuple[ProcessSpec, asyncio.Future[Answer]]] = []
        self.answers: list[Probed] = []
        self.errors: list[Exception] = []
        self.at_once = self.most_at_once = 0
        self._something = asyncio.Event()
        self.probes = Probes(
            asyncio.get_running_loop(),
            self._ask,
            answered=self._answered,
            on_error=self.errors.append,
        )

    async def _ask(self, _handler: ProbeHandler, spec: ProcessSpec) -> Answer:
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.questions.append((spec, waiting))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self._something.set()
        try:
            return await waiting
        finally:
            self.at_once -= 1

    def _answered(self, answer: Probed) -> None:
        self.answers.append(answer)
        self._something.set()

    async def until(self, claim: Callable[[], bool]) -> None:
        """Wait for a claim about this schedule."""
        async with asyncio.timeout(60):
            while not claim():
                self._something.clear()
                await self._something.wait()

    def start(self, name: str = "web", **options: object) -> StartProbe:
        """Begin to ask about liveness."""
        options = {
            "handler": TcpProbe(host="x", port=1),
            "period": SOON,
            "timeout": 60.0,
            **options,
        }
        probe = ProbeSpec(**options)  # type: ignore[arg-type]  # any options
        spec = program(name, "x", liveness_probe=probe)
        wanted = StartProbe(spec, Pid(7), ProbeKind.LIVENESS, 0.0)
        self.probes.start(wanted)
        return wanted


@pytest.fixture
async def schedule() -> AsyncIterator[Schedule]:
    """A schedule that is over with the test, with all of its tasks."""
    one = Schedule()
    yield one
    one.probes.close()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not one.at_once


async def test_questions_come_again_and_never_overlap(schedule: Schedule) -> None:
    """While one is under way no other is due; it comes when the first is answered."""
    schedule.start()
    await schedule.until(lambda: len(schedule.questions) == 1)
    (asked_,) = schedule.probes._asked.values()
    assert asked_.timer is None
    schedule.questions[0][1].set_result(Answer(ok=True, detail="fine"))
    await schedule.until(lambda: len(schedule.questions) == 2)
    (answer,) = schedule.answers
    assert (answer.pid, answer.kind, answer.ok, answer.detail) == (
        7,
        ProbeKind.LIVENESS,
        True,
        "fine",
    )
    assert answer.duration >= 0


async def test_the_second_question_comes_early(schedule: Schedule) -> None:
    """By up to half a period, each program by its own part; the third a whole period later."""
    names = [f"web{n}" for n in range(20)]
    for name in names:
        schedule.start(name, period=1000.0)
    await schedule.until(lambda: len(schedule.questions) == 20)
    for _, waiting in schedule.questions:
        waiting.set_result(Answer(ok=True, detail=""))
    await schedule.until(lambda: len(schedule.answers) == 20)
    everyone = list(schedule.probes._asked.values())
    delays = [one.timer.when() - one.began for one in everyone if one.timer is not None]
    assert delays == [
        pytest.approx(1000 * schedule.probes._head_start(one), abs=1e-6) for one in everyone
    ]
    assert all(500 <= delay < 1000 for delay in delays)
    assert max(delays) - min(delays) > 250
    assert len(set(delays)) == 20


@pytest.mark.parametrize(
    ("handler", "limit"),
    [
        (TcpProbe(host="x", port=1), CONNECTIONS_AT_ONCE),
        (ExecProbe(argv=("x",)), COMMANDS_AT_ONCE),
    ],
)
async def test_so_many_at_a_time(schedule: Schedule, handler: ProbeHandler, limit: int) -> None:
    """The others wait in line, and none of them is left out."""
    for n in range(3 * limit):
        schedule.start(f"web{n}", handler=handler, period=1000.0)
    for turn in (1, 2, 3):
        await schedule.until(lambda turn=turn: len(schedule.questions) == turn * limit)  # type: ignore[misc]  # bound at once
        for _, waiting in schedule.questions[-limit:]:
            waiting.set_result(Answer(ok=True, detail=""))
    await schedule.until(lambda: len(schedule.answers) == 3 * limit)
    assert schedule.most_at_once == limit
    assert len({answer.id for answer in schedule.answers}) == 3 * limit


async def test_commands_do_not_keep_connections_waiting(schedule: Schedule) -> None:
    """Each has a line of its own."""
    for n in range(COMMANDS_AT_ONCE + 1):
        schedule.start(f"job{n}", handler=ExecProbe(argv=("x",)))
    schedule.start("web")
    await schedule.until(lambda: len(schedule.questions) == COMMANDS_AT_ONCE + 1)
    assert schedule.questions[-1][0].id.name == "web"


async def test_who_takes_long_makes_room(
    schedule: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to a bound. When they have answered, as few as ever are asked at a time."""
    monkeypatch.setattr(probes_schedule, "_SLOW_AFTER", SOON / 10)
    most = COMMANDS_AT_ONCE + SLOW_AT_ONCE
    for n in range(most + 1):
        schedule.start(f"job{n}", handler=ExecProbe(argv=("x",)), period=1000.0)
    await schedule.until(lambda: len(schedule.questions) == most)
    line = schedule.probes._commands
    await until(lambda: not line.free_for_slow)
    assert (line.free, len(line.waiting), schedule.at_once) == (0, 1, most)
    for _, waiting in schedule.questions:
        waiting.set_result(Answer(ok=True, detail=""))
    await schedule.until(lambda: len(schedule.questions) == most + 1)
    schedule.questions[-1][1].set_result(Answer(ok=True, detail=""))
    await schedule.until(lambda: len(schedule.answers) == most + 1)
    assert (line.free, line.free_for_slow) == (COMMANDS_AT_ONCE, SLOW_AT_ONCE)


async def test_who_is_stuck_makes_room_when_there_is_some(
    schedule: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As soon as one of those that were slow before has answered."""
    monkeypatch.setattr(probes_schedule, "_SLOW_AFTER", SOON / 10)
    most = COMMANDS_AT_ONCE + SLOW_AT_ONCE
    for n in range(most + 1):
        schedule.start(f"job{n}", handler=ExecProbe(argv=("x",)), period=1000.0)
    line = schedule.probes._commands
    await until(lambda: len(line.stuck) == COMMANDS_AT_ONCE)
    everyone = list(schedule.probes._asked.values())
    slow = next(n for n, one in enumerate(everyone) if one.is_slow)
    schedule.questions[slow][1].set_result(Answer(ok=True, detail=""))
    await schedule.until(lambda: len(schedule.questions) == most + 1)
    assert line.free_for_slow == 0
    assert len(line.stuck) == COMMANDS_AT_ONCE - 1
    stuck = everyone.index(line.stuck[0])
    schedule.questions[stuck][1].set_result(Answer(ok=True, detail=""))
    await schedule.until(lambda: len(schedule.answers) == 2)
    assert everyone[stuck] not in line.stuck


async def test_the_timeout_does_not_run_in_the_line(schedule: Schedule) -> None:
    """Who had to wait for a turn is not the worse for it."""
    for n in range(COMMANDS_AT_ONCE + 1):
        schedule.start(f"job{n}", handler=ExecProbe(argv=("x",)), timeout=SOON, period=1000.0)
    await schedule.until(lambda: len(schedule.questions) == COMMANDS_AT_ONCE + 1)
    schedule.questions[-1][1].set_result(Answer(ok=True, detail="in time"))
    await schedule.until(lambda: len(schedule.answers) == COMMANDS_AT_ONCE + 1)
    assert {answer.detail for answer in schedule.answers} == {"no answer within 0.1 s", "in time"}


async def test_who_stops_is_asked_no_more(schedule: Schedule) -> None:
    """On the way to a question, in the middle of one, and in the line."""
    wanted = [schedule.start(f"web{n}") for n in range(CONNECTIONS_AT_ONCE + 1)]
    await schedule.until(lambda: len(schedule.questions) == CONNECTIONS_AT_ONCE)
    everyone = list(schedule.probes._asked.values())
    schedule.questions[0][1].set_result(Answer(ok=True, detail="late"))
    for one in wanted:
        schedule.probes.stop(one.spec.id, one.kind)
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)
    assert not schedule.probes._asked
    assert all(one.timer is None or one.timer.cancelled() for one in everyone)
    assert len(schedule.questions) == CONNECTIONS_AT_ONCE
    assert not schedule.answers
    assert not schedule.at_once


async def test_a_fault_of_ours_is_no_answer(schedule: Schedule) -> None:
    """It is reported, and the question asked again."""
    schedule.start()
    await schedule.until(lambda: len(schedule.questions) == 1)
    schedule.questions[0][1].set_exception(CannotAskError("too many open files"))
    await schedule.until(lambda: len(schedule.questions) == 2)
    assert [str(error) for error in schedule.errors] == ["too many open files"]
    assert not schedule.answers


async def test_without_probes_nobody_wakes_up() -> None:
    """No timer, no task, no thread is there for those who have none."""
    async with engine_room() as room:
        room.apply(sleeper())
        room.engine.submit(Start(room.view().id))
        await room.state(PublicState.RUNNING)
        assert not room.engine._probes._asked
        assert asyncio.all_tasks() == {asyncio.current_task()}
