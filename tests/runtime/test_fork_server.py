"""Whose children they are, what becomes of them when it ends, and when there is a fork server."""

import asyncio
import errno
import fcntl
import marshal
import os
import resource
import shutil
import signal
import socket
import termios
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from daemon import eventually
from engine_room import children, no_descriptors_left, program
from forks import Gate, spawn, until
from procfs import descriptors_of, environment_of, is_alive, name_of

from opsvisor.core.outcome import Outcome, Usage
from opsvisor.core.spec import Pid, ProcessId, UserSpec
from opsvisor.runtime.forkserver import (
    Birth,
    ForkServer,
    NotBornError,
    Order,
    birth,
    client,
    fork_here,
)
from opsvisor.runtime.marks import Marks, mark_of
from opsvisor.runtime.reaper import Orphan, Reaper
from opsvisor.runtime.spawn import ChildFiles, expect, is_crowded

WEB = ProcessId("web", "web")
STREAMS = (0, 1, 2)
SLEEP = ("sleep", "1000")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


class Bench:
    """A fork server beside a real reaper, and the processes that it made."""

    def __init__(self) -> None:
        self.ended: dict[Pid, Outcome] = {}
        self.orphans: list[Orphan] = []
        loop = asyncio.get_running_loop()
        self.reaper = Reaper(loop, on_exit=self._ended, on_orphan=self._orphan)
        self.server = ForkServer(loop, self.reaper)

    async def ready(self) -> Pid:
        """Start it: its pid, as soon as it takes orders."""
        self.server.expect(for_good=True)
        await until(lambda: self.server.is_ready)
        assert self.server.pid is not None
        return self.server.pid

    def make(self, *argv: str, **options: object) -> Pid:
        """A process of this command, watched as the engine does."""
        pid = self.server.begin(order(*argv, **options), STREAMS).finish()
        self.reaper.watch(pid)
        return pid

    async def end(self, pid: Pid) -> Outcome:
        """Kill it, and wait until that was told."""
        os.kill(pid, signal.SIGKILL)
        return await self.end_of(pid)

    async def end_of(self, pid: Pid) -> Outcome:
        """How it ended, when that is told."""
        await until(lambda: pid in self.ended)
        return self.ended[pid]

    def _ended(self, pid: Pid, outcome: Outcome, _usage: Usage) -> None:
        assert pid not in self.ended
        self.ended[pid] = outcome

    def _orphan(self, orphan: Orphan) -> None:
        self.orphans.append(orphan)


def order(*argv: str, **options: object) -> Order:
    """What to make, with nothing set that need not be."""
    return {
        "executable": os.fsencode(shutil.which(argv[0]) or "/usr/bin/env"),
        "argv": [os.fsencode(word) for word in argv],
        "environment": {b"PATH": os.fsencode(os.environ["PATH"])},
        "new_session": False,
        "mark": resource.RLIM_INFINITY,
        "nofile": resource.getrlimit(resource.RLIMIT_NOFILE),
        "cgroup": None,
        "rlimits": [],
        "oom_score_adj": None,
        "nice": None,
        "umask": None,
        "user": None,
        "working_dir": None,
        **options,
    }


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A server that is not started, and a reaper that is open. Nothing is left of either."""
    strangers, descriptors = set(children()), descriptors_of(os.getpid()).keys()
    one = Bench()
    one.reaper.open()
    try:
        yield one
    finally:
        one.server.close()
        one.reaper.close()
    assert not one.orphans
    assert set(children()) <= strangers
    assert descriptors_of(os.getpid()).keys() <= descriptors


def parent_of(pid: int) -> int:
    """Who is told of its end."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


class Telltale:
    """A umask that a fork server has and we have not: a program that has it was made there."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    async def ready(self) -> None:
        """Start the server with it."""
        before = os.umask(0o053)
        try:
            await self._bench.ready()
        finally:
            os.umask(before)

    async def made_it(self, files: ChildFiles, **options: Any) -> bool:
        """Whether a program with these options is made by the server."""
        spec = program("web", "sh", "-c", "umask | grep -q 53", **options)
        pid = spawn(spec, files, os.environ, forks=self._bench.server)
        self._bench.reaper.watch(pid)
        return (await self._bench.end_of(pid)).code == 0


@contextmanager
def in_a_thread(work: Callable[[], object]) -> Iterator[None]:
    """Have this done meanwhile."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()


# -- whose children they are ----------------------------------------------------------------------


async def test_what_it_makes_is_our_child_and_not_its_own(bench: Bench) -> None:
    """It lives on when the server is killed: even who asked to end with its parent."""
    server = await bench.ready()
    pid = bench.make("setpriv", "--pdeathsig", "KILL", *SLEEP)
    await until(lambda: name_of(pid) == "sleep")
    assert (parent_of(pid), parent_of(server)) == (os.getpid(), os.getpid())
    os.kill(server, signal.SIGKILL)
    await until(lambda: bench.server.pid is None)
    assert name_of(pid) == "sleep"
    assert (await bench.end(pid)).signum == signal.SIGKILL


async def test_how_it_ended_is_told(bench: Bench) -> None:
    """As of any child."""
    await bench.ready()
    assert (await bench.end_of(bench.make("sh", "-c", "exit 7"))).code == 7


async def test_what_does_not_begin_is_not_left_to_the_reaper(bench: Bench) -> None:
    """It is collected by whoever was told why."""
    await bench.ready()
    with pytest.raises(NotBornError) as caught:
        bench.make("true", executable=b"/etc/passwd")
    assert (caught.value.step, caught.value.code) == ("execute", errno.EACCES)
    with pytest.raises(NotBornError, match="embedded null byte"):
        bench.make("a\0b")
    assert bench.server.is_ready


async def test_it_bears_no_mark_but_what_it_makes_does(bench: Bench) -> None:
    """With the mark of the program that it was started for it would be killed with that."""
    marks = Marks(seed=1)
    files = ChildFiles(*STREAMS)
    for name in ("a", "b", "c"):
        spec = program(name, *SLEEP, nice=0)
        expect(bench.server, spec, files, None)
        if name == "c":
            await until(lambda: bench.server.is_ready)
        with marks.handed_on(spec.id):
            pid = spawn(spec, files, os.environ, forks=bench.server)
        bench.reaper.watch(pid)
        assert mark_of(pid) == marks.of(spec.id)
        await bench.end(pid)
    assert bench.server.pid is not None
    assert mark_of(bench.server.pid) is None


async def test_an_order_may_be_larger_than_any_buffer(bench: Bench) -> None:
    """An environment may have two megabytes."""
    await bench.ready()
    large = {f"V{number}".encode(): b"x" * 100_000 for number in range(12)}
    pid = bench.make("sh", "-c", 'exit "${#V11}"', environment={b"PATH": b"/bin", **large})
    assert (await bench.end_of(pid)).code == 100_000 % 256


async def test_it_has_our_directory_and_umask(bench: Bench, tmp_path: Path) -> None:
    """So that a program that says nothing of either has them."""
    here, umask = Path.cwd(), os.umask(0o037)
    os.chdir(tmp_path)
    try:
        await bench.ready()
    finally:
        os.chdir(here)
        os.umask(umask)
    wanted = f'test "$(pwd)" = {tmp_path} && test "$(umask)" = 0037'
    assert (await bench.end_of(bench.make("sh", "-c", wanted))).code == 0


async def test_it_hands_on_the_limit_that_we_have_now(bench: Bench) -> None:
    """The daemon raises that of descriptors when its plan grows."""
    await bench.ready()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
    try:
        pid = bench.make("sh", "-c", f'test "$(ulimit -n)" = {soft - 1}')
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (await bench.end_of(pid)).code == 0


async def test_it_has_no_environment_to_keep_secret(bench: Bench) -> None:
    """Who becomes another user before its exec has a copy of all that it has."""
    assert environment_of(await bench.ready()).keys() <= {"LD_LIBRARY_PATH"}


# -- when it ends ---------------------------------------------------------------------------------


async def test_if_it_was_killed_unseen_we_fork_ourselves(bench: Bench) -> None:
    """Nobody has told us yet: the order is not taken."""
    server = await bench.ready()
    os.kill(server, signal.SIGKILL)
    eventually(lambda: not is_alive(server))
    pid = bench.make(*SLEEP)
    await bench.end(pid)
    assert bench.server.pid is None
    assert await bench.ready() != server


async def test_if_it_is_killed_with_an_order_we_fork_ourselves(bench: Bench) -> None:
    """It has got the order and not read it: nothing was made, so nothing is made twice."""
    server = await bench.ready()
    os.kill(server, signal.SIGSTOP)

    def kill() -> None:
        eventually(lambda: has_order(bench))
        os.kill(server, signal.SIGKILL)

    with in_a_thread(kill):
        pid = bench.make(*SLEEP)
    assert [one for one in children() if name_of(one) == "sleep"] == [pid]
    await bench.end(pid)


def has_order(bench: Bench) -> bool:
    """Whether an order lies in the socket, unread."""
    connection = bench.server._connection
    assert connection is not None
    unsent = bytearray(4)
    fcntl.ioctl(connection, termios.TIOCOUTQ, unsent)
    return int.from_bytes(unsent, "little") > 0


async def test_who_was_forked_when_it_was_killed_is_not_lost(bench: Bench, gate: Gate) -> None:
    """Between fork and exec: the child says itself who it is."""
    server = await bench.ready()

    def kill() -> None:
        eventually(gate.has_newcomer)
        os.kill(server, signal.SIGKILL)
        eventually(lambda: not is_alive(server))
        gate.open()

    with in_a_thread(kill):
        pid = bench.make(*SLEEP, cgroup=str(gate.folder))
    await until(lambda: name_of(pid) == "sleep")
    assert len([one for one in children() if name_of(one) == "sleep"]) == 1
    await bench.end(pid)


async def test_nothing_begins_for_a_daemon_that_is_gone(bench: Bench) -> None:
    """The next one would know nothing of it, or make it as well: nobody reads, so it ends."""
    server = await bench.ready()
    os.kill(server, signal.SIGSTOP)
    one = bench.server.begin(order(*SLEEP), STREAMS)
    one.close()
    os.kill(server, signal.SIGCONT)
    await until(lambda: bench.orphans)
    assert bench.orphans.pop().outcome.signum == signal.SIGPIPE


async def test_nobody_waits_for_a_server_that_was_stopped(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while it is killed, and we fork ourselves."""
    server = await bench.ready()
    os.kill(server, signal.SIGSTOP)
    monkeypatch.setattr(birth, "_FORKED_WITHIN", 0.01)
    pid = bench.server.begin(order(*SLEEP), STREAMS).finish()
    assert bench.server.pid is None
    bench.reaper.watch(pid)
    await bench.end(pid)


async def test_nobody_waits_for_who_does_not_come_to_its_program(bench: Bench, gate: Gate) -> None:
    """An executable on a file server that is gone, say: it is killed, and its end told."""
    await bench.ready()
    one = bench.server.begin(order(*SLEEP, cgroup=str(gate.folder)), STREAMS)
    await until(gate.has_newcomer)
    one.hurry(0.01)
    with pytest.raises(NotBornError, match="has not begun within"):
        one.finish()
    await until(lambda: bench.orphans)
    assert bench.orphans.pop().outcome.signum == signal.SIGKILL
    assert bench.server.is_ready


def a_late_birth(
    monkeypatch: pytest.MonkeyPatch, instead: Callable[[object], Birth | None]
) -> tuple[Birth, socket.socket, Pid]:
    """One that was given up; the socket by which its child tells who it is; and that child."""
    monkeypatch.setattr(birth, "_FORKED_WITHIN", 0.0)
    told, tell = socket.socketpair()
    one = Birth(told.detach(), give_up=lambda: None, instead=instead)
    while not one.look():
        one.expire()
    return one, tell, Pid(os.posix_spawnp("sleep", SLEEP, os.environ))


def test_who_is_late_to_tell_its_pid_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or there would be two: it was forked, and waited for a processor for two seconds."""

    def instead(_failure: object) -> Birth:
        with pytest.raises(BrokenPipeError):
            tell.send(child.to_bytes(4, "little"))
        return fork_here(order(*SLEEP), STREAMS)

    one, tell, child = a_late_birth(monkeypatch, instead)
    with tell:
        pid = one.finish()
    assert pid != child
    for each in (pid, child):
        os.kill(each, signal.SIGKILL)
        os.waitpid(each, 0)


def test_without_descriptors_there_is_none_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is a start that failed, and not one that nobody hears of any more."""

    def instead(_failure: object) -> Birth:
        return fork_here(order(*SLEEP), STREAMS)

    one, tell, child = a_late_birth(monkeypatch, instead)
    with no_descriptors_left():
        assert not one.renew()
    with tell, pytest.raises(OSError, match="Too many open files"):
        one.finish()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_who_told_its_pid_at_the_last_moment_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """None is made in its place, and that it has not begun is told."""
    failures = []

    def instead(failure: object) -> None:
        failures.append(failure)

    one, tell, child = a_late_birth(monkeypatch, instead)
    with tell:
        tell.send(child.to_bytes(4, "little"))
        with pytest.raises(NotBornError, match="has not begun within") as raised:
            one.finish()
    assert [str(one) for one in failures] == [str(raised.value)]
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


async def test_who_was_heard_of_by_chance_is_not_killed(bench: Bench, gate: Gate) -> None:
    """It has just been forked, after nearly a second in which nobody was."""
    await bench.ready()
    one = bench.server.begin(order(*SLEEP, cgroup=str(gate.folder)), STREAMS)
    await until(gate.has_newcomer)
    one._heard_at -= 5.0  # of what is enough for a fork, and not for an exec
    assert one.look() is False  # somebody else's end was looked into
    one.expire()
    assert not one.look()
    gate.open()
    pid = one.finish()
    bench.reaper.watch(pid)
    await bench.end(pid)


async def test_nobody_waits_for_an_order_to_be_taken(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is larger than the buffers of a socket whose other end was stopped."""
    monkeypatch.setattr(client, "_TAKEN_WITHIN", 0.1)
    os.kill(await bench.ready(), signal.SIGSTOP)
    large = {f"V{number}".encode(): b"x" * 100_000 for number in range(12)}
    await bench.end(bench.make(*SLEEP, environment={b"PATH": b"/bin", **large}))
    assert bench.server.pid is None


async def test_an_order_that_lacks_descriptors_is_not_carried_out(bench: Bench) -> None:
    """It has no room for them: what it writes to could be the program's own output."""
    server = await bench.ready()
    resource.prlimit(server, resource.RLIMIT_NOFILE, (6, 6))
    pid = bench.make(*SLEEP)
    await until(lambda: bench.server.pid is None)
    assert [one for one in children() if name_of(one) == "sleep"] == [pid]
    await bench.end(pid)


async def test_nobody_is_killed_for_a_server_that_stops_after_it_could_not_fork() -> None:
    """It says so with the pid 0, which to kill(2) would be all of us."""
    told, tell = os.pipe2(os.O_CLOEXEC)
    os.write(tell, bytes(4) + marshal.dumps(("fork", errno.EAGAIN, "no")))
    one = Birth(told, give_up=lambda: os.close(tell))
    one.hurry(0.01)
    with pytest.raises(NotBornError) as caught:
        one.finish()
    assert (caught.value.step, caught.value.code) == ("fork", errno.EAGAIN)


# -- when there is one ----------------------------------------------------------------------------


async def test_one_fork_now_and_then_needs_none(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take more memory than it saves time."""
    monkeypatch.setattr(client, "_ONE_AFTER_THE_OTHER", 0.0)
    for _ in range(3):
        bench.server.expect()
        await bench.end(bench.make(*SLEEP))
    assert bench.server.pid is None


async def test_the_second_soon_after_the_first_starts_one_and_does_not_wait(bench: Bench) -> None:
    """Until it is ready we fork ourselves."""
    bench.server.expect()
    before = bench.server.pid
    bench.server.expect()
    server = bench.server.pid
    assert before is None
    assert server is not None
    os.kill(server, signal.SIGSTOP)
    await bench.end(bench.make(*SLEEP))
    assert not bench.server.is_ready
    os.kill(server, signal.SIGCONT)
    await until(lambda: bench.server.is_ready)
    bench.server.expect()
    assert bench.server.pid == server


async def test_it_ends_when_nothing_was_forked_for_a_while(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its memory is for others then."""
    monkeypatch.setattr(client, "_IDLE_LIMIT", 0.2)
    bench.server.expect()
    bench.server.expect()
    server = bench.server.pid
    assert server is not None
    await until(lambda: not Path(f"/proc/{server}").exists())
    assert bench.server.pid is None
    assert await bench.ready() != server


async def test_it_stays_where_it_is_always_of_use(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside thousands of descriptors each process costs less by it, even one a day."""
    monkeypatch.setattr(client, "_IDLE_LIMIT", 0.01)
    bench.server.expect()
    bench.server.expect()
    bench.server.expect(for_good=True)
    limit = bench.server._idle
    assert limit is not None
    await until(lambda: bench.server._idle is None)
    assert bench.server.pid is not None


async def test_after_three_that_ended_before_they_were_ready_there_are_no_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else another one would be started for every fork."""
    monkeypatch.setattr(client, "command_of", lambda _module: ["false"])
    for _ in range(3):
        bench.server.expect(for_good=True)
        assert bench.server.pid is not None
        await until(lambda: bench.server.pid is None)
    monkeypatch.undo()
    bench.server.expect(for_good=True)
    assert bench.server.pid is None
    await bench.end(bench.make(*SLEEP))


@needs_root
async def test_who_is_whom_we_are_needs_no_fork(bench: Bench) -> None:
    """`user = "root"`, say, for a daemon of root's; but not with groups that it has not."""
    telltale, files, we = Telltale(bench), ChildFiles(*STREAMS), (os.getgid(), *os.getgroups())
    await telltale.ready()
    same, other = (UserSpec(name="me", uid=0, gid=we[0], groups=of) for of in (we, (*we, 12345)))
    assert not await telltale.made_it(files, user=same)
    assert await telltale.made_it(files, user=other)


async def test_beside_thousands_of_descriptors_it_makes_them_all(bench: Bench) -> None:
    """They would be copied and closed for each, which the kernel does one by one."""
    telltale, files = Telltale(bench), ChildFiles(*STREAMS)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(9000, hard), hard))
    high = os.dup2(1, 8500, inheritable=False)
    try:
        crowded = ChildFiles(0, high, 2)
        assert is_crowded(ChildFiles(high, 1, 2, own=(high,)))  # a pipe to its input
        assert not is_crowded(ChildFiles(high, 1, 2))  # /dev/null, which is older than it
        spec = program("web", "true")
        expect(bench.server, spec, files, None)
        before = bench.server.pid
        expect(bench.server, spec, crowded, None)
        assert (before is None, bench.server.pid is None) == (True, False)
        bench.server.close()
        await telltale.ready()
        assert not await telltale.made_it(files)
        assert await telltale.made_it(crowded)
    finally:
        os.close(high)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("number", [None, 9999], ids=["unknown", "refused"])
async def test_where_there_can_be_none_we_fork_ourselves(
    bench: Bench, number: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that we don't know, or in a sandbox. It is not tried again and again."""
    monkeypatch.setattr(client, "_clone_number", lambda: number)
    bench.server = ForkServer(asyncio.get_running_loop(), bench.reaper)
    bench.server.expect(for_good=True)
    if number is not None:
        await until(lambda: bench.server.is_ready)
    for _ in range(2):
        bench.server.expect(for_good=True)
        pid = bench.make(*SLEEP)
        assert parent_of(pid) == os.getpid()
        await bench.end(pid)
        assert bench.server.pid is None
