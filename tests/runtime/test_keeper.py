"""What a keeper holds outlives the daemon, whatever else happens to either."""

import asyncio
import contextlib
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cells import can_have, cell
from daemon import eventually
from engine_room import PATIENCE, children, release_children
from foreigners import kernel_tells
from procfs import descriptors_of, group_and_session, is_alive

from opsvisor.core.outcome import Outcome
from opsvisor.core.spec import Pid, ProcessId
from opsvisor.runtime.keeper import Keeper, KillFiles, WhenAlone, client, keep, process
from opsvisor.runtime.leaves import Leaves
from opsvisor.runtime.pidfd import end_of, has_ended
from opsvisor.runtime.reaper import Reaper

OWNER = str(Path(__file__).with_name("keeper_owner.py"))
NOBODY = 65534


class Keepers:
    """Daemons' sides of keepers, all with one state directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.warnings: list[str] = []
        self.reaper = Reaper(
            asyncio.get_running_loop(), on_exit=lambda *_: None, on_orphan=lambda _: None
        )
        self._children = set(children())
        self._made: list[Keeper] = []
        self._owners: list[Owner] = []

    def new(self, when_alone: WhenAlone = WhenAlone.HOLD) -> Keeper:
        """One that is not opened yet."""
        one = Keeper(
            self.directory,
            loop=asyncio.get_running_loop(),
            when_alone=when_alone,
            warn=self.warnings.append,
            watch=self.reaper.watch,
        )
        self._made.append(one)
        return one

    def opened(self, when_alone: WhenAlone = WhenAlone.HOLD) -> Keeper:
        """One that has its process."""
        one = self.new(when_alone)
        one.open()
        return one

    def owner(self, *scripts: str, when_alone: str = "hold", order: str = "") -> "Owner":
        """A daemon in a process of its own, with these programs."""
        self._owners.append(Owner(self.directory, when_alone, scripts, order))
        return self._owners[-1]

    async def end(self) -> None:
        """Let all of them end, and whatever they left."""
        for owner in self._owners:
            owner.leave_nothing()
        for one in self._made:
            for descriptor in one.unclaimed.values():
                os.close(descriptor)
            one.close()
        last = self.new()  # of a keeper that nobody has taken over
        if (connection := process.reach(self.directory)) is not None:
            last._take_over(connection)
            last.drop_unclaimed()
            last.close()
        await until(lambda: not keepers_of(self.directory))
        await until(lambda: set(children()) <= self._children)  # collected, too


class Owner:
    """A daemon in miniature."""

    def __init__(
        self, directory: Path, when_alone: str, scripts: tuple[str, ...], order: str
    ) -> None:
        self._child = subprocess.Popen(
            [sys.executable, OWNER, directory, when_alone, *scripts],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(f"{order}\n")
        self._child.stdin.close()
        told: dict[str, Any] = json.loads(self._child.stdout.readline())
        self.programs: list[dict[str, int]] = told["programs"]
        self.url: str = told["url"]
        self.keeper: int = told["keeper"]

    def kill(self) -> None:
        """As a bug would, or the OOM killer."""
        self._child.kill()
        self._child.wait(PATIENCE)

    def leave_nothing(self) -> None:
        """End all that came of it but the keeper."""
        self.kill()
        assert self._child.stdout is not None
        self._child.stdout.close()
        for program in self.programs:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program["pid"], signal.SIGKILL)


def keepers_of(directory: Path) -> list[int]:
    """The processes that are keepers for a directory."""
    title = f"opsvisord: keeper for {directory}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and (entry / "cmdline").read_bytes().startswith(title):
                found.append(int(entry.name))
    return found


async def until(claim: Callable[[], object]) -> None:
    """Let the loop turn until this is true."""
    await asyncio.to_thread(eventually, lambda: bool(claim()))


def what_is(descriptor: int) -> str:
    """What the kernel calls what is behind this descriptor of ours."""
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def holds(keeper: Keeper, descriptor: int) -> bool:
    """Whether its process has what is behind this descriptor of ours."""
    assert keeper.pid is not None
    return what_is(descriptor) in descriptors_of(keeper.pid).values()


def connect(directory: Path) -> socket.socket:
    """A connection to whoever listens there, as anybody may make it."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(PATIENCE)
    connection.connect(str(directory / "keeper"))
    return connection


class Pipes:
    """Pipes of the test's own, closed when it is over."""

    def __init__(self) -> None:
        self.descriptors: list[int] = []

    def new(self) -> tuple[int, int]:
        """Its two ends."""
        both = os.pipe()
        self.descriptors += both
        return both

    def name_of(self, reader: int) -> str:
        """As a keeper knows it."""
        return f"out:{os.fstat(reader).st_ino}"

    def close(self) -> None:
        """Close what is still open."""
        for descriptor in self.descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)


@pytest.fixture(autouse=True)
def nobody_stays() -> Iterator[None]:
    """No child is left, dead or alive, and no descriptor."""
    before, open_before = children(), descriptors_of(os.getpid())
    yield
    assert not release_children(before)
    assert len(descriptors_of(os.getpid())) <= len(open_before)


@pytest.fixture
def pipes(nobody_stays: None) -> Iterator[Pipes]:
    """Pipes."""
    del nobody_stays
    some = Pipes()
    yield some
    some.close()


@pytest.fixture
async def keepers(
    nobody_stays: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Keepers]:
    """Keepers, of which nothing is left at the end."""
    del nobody_stays
    # They have the lowest of priorities.
    monkeypatch.setattr("opsvisor.runtime.keeper.client._SETTLE_WITHIN", PATIENCE)
    some = Keepers(tmp_path)
    some.reaper.open()
    yield some
    await some.end()
    some.reaper._collect_orphans()
    some.reaper.close()


# -- crashes ---------------------------------------------------------------------------------


async def test_what_a_killed_daemon_had_comes_back_whole(keepers: Keepers) -> None:
    """Output to the last line, an open standard input, a bound socket and its clients, and how
    a program has ended that nobody watched.
    """  # noqa: D205 - one sentence
    owner = keepers.owner(
        "seq 1 20000; read line; echo got $line; exit 3",
        "trap 'exit 7' TERM; echo ready; read line; echo $line",
    )
    talker, doomed = owner.programs
    owner.kill()
    host, _, port = owner.url.removeprefix("tcp://").rpartition(":")
    early = socket.create_connection((host, int(port)))
    successor = keepers.opened()
    assert keepers.warnings == []
    assert successor.pid == owner.keeper

    pidfd = successor.claim(f"pid:{doomed['pid']}")
    output = successor.claim(f"out:{doomed['out']}")
    assert pidfd is not None
    assert output is not None
    os.set_blocking(output, True)  # as a daemon would not
    assert await asyncio.to_thread(os.read, output, 100) == b"ready\n"
    os.kill(doomed["pid"], signal.SIGTERM)
    await until(lambda: has_ended(pidfd))
    end = end_of(Pid(doomed["pid"]), pidfd, born=doomed["born"])
    assert end is not None
    assert end.outcome in ([Outcome(code=7)] if kernel_tells() else [Outcome(code=7), Outcome()])

    stdin = successor.claim(f"in:{talker['in']}")
    reader = successor.claim(f"out:{talker['out']}")
    assert stdin is not None
    assert reader is not None
    os.write(stdin, b"a line\n")
    os.set_blocking(reader, True)
    with os.fdopen(reader, "rb") as stream:
        text = await asyncio.to_thread(stream.read)
    assert text == b"".join(b"%d\n" % number for number in range(1, 20001)) + b"got a line\n"

    descriptor = successor.claim(f"listen:{owner.url}")
    assert descriptor is not None
    with socket.socket(fileno=descriptor) as listener, early:
        accepted, _ = listener.accept()
        with accepted:
            accepted.sendall(b"welcome")
            assert early.recv(100) == b"welcome"

    assert sorted(successor.drop_unclaimed()) == sorted(
        [f"in:{doomed['in']}", f"pid:{talker['pid']}"]
    )
    for one in (pidfd, output, stdin):
        os.close(one)


async def test_what_was_sent_just_before_the_end_counts(keepers: Keepers, pipes: Pipes) -> None:
    """Also with answers that were never read, for which the kernel reports an error first."""
    first = keepers.opened()
    await first.settle()
    connection = first._connection
    assert connection is not None
    asyncio.get_running_loop().remove_reader(connection)
    connection.send(b"?")
    await until(lambda: select.select([connection], [], [], 0)[0])
    os.kill(first.pid or 0, signal.SIGSTOP)
    every = [pipes.new()[0] for _ in range(50)]
    for reader in every:
        first.keep(pipes.name_of(reader), reader)
    first.leave()
    second = keepers.opened()  # which lets it go on
    assert set(second.unclaimed) == {pipes.name_of(reader) for reader in every}
    assert keepers.warnings == []


async def test_hundreds_come_back_through_one_daemon_after_another(
    keepers: Keepers, pipes: Pipes
) -> None:
    """In packets of 253, and nothing is let go of by being given back."""
    every = {pipes.name_of(reader): reader for reader, _ in (pipes.new() for _ in range(600))}
    first = keepers.opened()
    first.keep_all(every)
    for _ in range(3):
        pid = first.pid
        first.leave()
        first = keepers.opened()
        assert first.pid == pid
        back = {name: first.claim(name) for name in list(first.unclaimed)}
        inodes = {name: os.fstat(one or 0).st_ino for name, one in back.items()}
        assert inodes == {name: os.fstat(one).st_ino for name, one in every.items()}
        for descriptor in back.values():
            assert not os.get_inheritable(descriptor or 0)
            os.close(descriptor or 0)
    assert keepers.warnings == []


async def test_what_nobody_knows_is_let_go_of(keepers: Keepers, pipes: Pipes) -> None:
    """Such as what a daemon had held that crashed before it made a note of it."""
    known, unknown = pipes.new()[0], pipes.new()[0]
    first = keepers.opened()
    first.keep_all({pipes.name_of(known): known, pipes.name_of(unknown): unknown})
    first.leave()
    second = keepers.opened()
    claimed = second.claim(pipes.name_of(known))
    assert claimed is not None
    assert second.claim(pipes.name_of(known)) is None
    assert second.drop_unclaimed() == [pipes.name_of(unknown)]
    await second.settle()
    assert holds(second, known)
    assert not holds(second, unknown)
    os.close(claimed)


async def test_what_is_not_what_its_name_says_is_refused(keepers: Keepers, pipes: Pipes) -> None:
    """A pipe of another inode, a pidfd of another process, or none at all."""
    reader, _ = pipes.new()
    pidfd = os.pidfd_open(os.getpid())
    pipes.descriptors.append(pidfd)
    first = keepers.opened()
    wrong = {"out:1": reader, "in:x": reader, "pid:1": pidfd, f"pid:{os.getpid()}0": reader}
    first.keep_all({**wrong, f"pid:{os.getpid()}": pidfd})
    first.leave()
    second = keepers.opened()
    assert set(second.unclaimed) == {f"pid:{os.getpid()}"}
    await second.settle()
    assert not holds(second, reader)


# -- the table -------------------------------------------------------------------------------


async def test_what_is_dropped_is_let_go_of(keepers: Keepers, pipes: Pipes) -> None:
    """A program sees the end of its standard input, though somebody held it."""
    stdin, to_stdin = pipes.new()
    keeper = keepers.opened()
    keeper.keep(pipes.name_of(to_stdin), to_stdin)
    await keeper.settle()
    assert holds(keeper, to_stdin)
    keeper.drop(pipes.name_of(to_stdin), "out:1")
    os.close(to_stdin)
    await keeper.settle()
    assert os.read(stdin, 1) == b""
    assert keeper.kept == {}


async def test_a_name_is_given_anew(keepers: Keepers, pipes: Pipes) -> None:
    """The old descriptor is let go of; so a pid may come again."""
    one, other = pipes.new()[0], pipes.new()[0]
    keeper = keepers.opened()
    keeper.keep("x:1", one)
    keeper.keep("x:1", other)
    await keeper.settle()
    assert not holds(keeper, one)
    assert holds(keeper, other)


async def test_an_address_is_free_when_its_socket_was_dropped(keepers: Keepers) -> None:
    """Not before: two hold it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        keeper = keepers.opened()
        keeper.keep("listen:x", listener.fileno())
        await keeper.settle()
        keeper.drop("listen:x")
    await keeper.settle()
    socket.create_server(address).close()


async def test_a_descriptor_that_was_closed_harms_no_other(keepers: Keepers, pipes: Pipes) -> None:
    """Somebody forgot to drop it, which is a bug and is told."""
    good, bad = pipes.new()[0], pipes.new()[0]
    keeper = keepers.opened()
    pid = keeper.pid
    os.close(bad)
    keeper.keep_all({"x:good": good, "x:bad": bad})
    await keeper.settle()
    assert holds(keeper, good)
    assert set(keeper.kept) == {"x:good"}
    assert (keeper.pid, len(keepers.warnings)) == (pid, 1)
    assert "x:bad: closed already" in keepers.warnings[0]


async def test_what_a_closed_one_was_to_replace_is_let_go_of(
    keepers: Keepers, pipes: Pipes
) -> None:
    """Or a program would never see the end of its input, and nobody knew why."""
    before, closed = pipes.new()[0], pipes.new()[0]
    keeper = keepers.opened()
    keeper.keep("x:1", before)
    await keeper.settle()
    os.close(closed)
    keeper.keep("x:1", closed)
    await keeper.settle()
    assert not holds(keeper, before)
    assert not keeper.kept
    assert len(keepers.warnings) == 1


async def test_who_has_them_tells_of_those_of_programs(keepers: Keepers, pipes: Pipes) -> None:
    """A new keeper is sent what is open by then; and nothing is noted of them here."""
    kept, gone, new = (pipes.new()[0] for _ in range(3))
    there = {"out:kept": kept, "out:gone": gone}
    keeper = keepers.opened()
    keeper.list_by(lambda: there)
    for name, descriptor in there.items():
        keeper.opened(name, descriptor)
    await keeper.settle()
    assert holds(keeper, kept)
    assert holds(keeper, gone)
    first = keeper.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: keeper.pid != first)
    del there["out:gone"]
    keeper.drop("out:gone")
    there["out:new"] = new
    keeper.opened("out:new", new)
    await until(lambda: keeper.pid is not None)
    await keeper.settle()
    assert [holds(keeper, one) for one in (kept, gone, new)] == [True, False, True]
    assert keeper.kept == {}
    assert keeper.all_held() == there


async def test_more_than_fits_is_told(keepers: Keepers, pipes: Pipes) -> None:
    """The first of them are held, and the daemon knows what that means."""
    keeper = keepers.opened()
    await keeper.settle()
    assert keeper.pid is not None
    resource.prlimit(keeper.pid, resource.RLIMIT_NOFILE, (20, 20))
    every = [pipes.new()[0] for _ in range(30)]
    keeper.keep_all({pipes.name_of(reader): reader for reader in every})
    await until(lambda: keepers.warnings)
    assert "the keeper could not take 15 descriptors" in keepers.warnings[0]
    assert [holds(keeper, reader) for reader in every] == [True] * 15 + [False] * 15


# -- its own trouble -------------------------------------------------------------------------


async def test_a_keeper_that_is_killed_is_replaced_and_told_everything(
    keepers: Keepers, pipes: Pipes
) -> None:
    """With one warning; and what is held outlives the daemon as before."""
    kept, dropped = pipes.new()[0], pipes.new()[0]
    keeper = keepers.opened()
    keeper.keep_all({pipes.name_of(kept): kept, pipes.name_of(dropped): dropped})
    await keeper.settle()
    killed = keeper.pid
    os.kill(killed or 0, signal.SIGKILL)
    await until(lambda: keeper.pid != killed)
    keeper.drop(pipes.name_of(dropped))
    await until(lambda: keeper.pid)
    await keeper.settle()
    assert holds(keeper, kept)
    assert not holds(keeper, dropped)
    assert keepers.warnings == [f"the keeper (pid {killed}) has ended unasked: starting another"]
    keeper.leave()
    assert set(keepers.opened().unclaimed) == {pipes.name_of(kept)}


async def test_without_any_keeper_everything_goes_on(
    keepers: Keepers, pipes: Pipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried a few times, and told when that is given up."""
    monkeypatch.setattr(client, "_RESTART_DELAYS", (0.0, 0.0, 0.0))
    monkeypatch.setattr(process, "command_of", lambda _module: ["false"])
    keeper = keepers.opened()
    reader, _ = pipes.new()
    keeper.keep("x:1", reader)
    await until(lambda: len(keepers.warnings) == 2)
    assert "starting another" in keepers.warnings[0]
    assert "going on without one" in keepers.warnings[1]
    keeper.keep("x:2", reader)
    keeper.drop("x:1")
    await keeper.settle()
    assert (keeper.pid, keeper.descriptor) == (None, None)
    assert set(keeper.kept) == {"x:2"}
    assert not keeper._changed


async def test_where_none_can_be_started_everything_goes_on(
    keepers: Keepers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state directory that is gone, say."""
    monkeypatch.setattr(client, "_RESTART_DELAYS", (0.0,))
    keepers.directory /= "missing"
    keeper = keepers.opened()
    await until(lambda: len(keepers.warnings) == 2)
    assert f"a keeper (No such file or directory: {keepers.directory})" in keepers.warnings[0]
    keepers.directory = keepers.directory.parent
    keeper.close()


async def test_what_is_in_its_way_is_named(
    keepers: Keepers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its path, not by the one that we reach it by."""
    monkeypatch.setattr(client, "_RESTART_DELAYS", ())
    in_the_way = keepers.directory / process.SOCKET
    in_the_way.mkdir()
    keepers.opened().close()
    in_the_way.rmdir()
    assert f"(Is a directory: {in_the_way})" in keepers.warnings[0]


async def test_one_that_takes_nothing_holds_up_nobody_and_is_replaced(
    keepers: Keepers, pipes: Pipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped by a signal: its socket is full after some hundred packets."""
    monkeypatch.setattr(client, "_STUCK_AFTER", 0.05)
    keeper = keepers.opened()
    await keeper.settle()
    stopped = keeper.pid
    os.kill(stopped or 0, signal.SIGSTOP)
    reader, _ = pipes.new()
    for number in range(2000):
        keeper.keep(f"x:{number}", reader)
    await until(lambda: keeper.pid not in (stopped, None))
    await keeper.settle()
    assert keeper.pid is not None
    held = descriptors_of(keeper.pid).values()
    assert list(held).count(what_is(reader)) == 2000
    assert not is_alive(stopped or 0)
    assert "takes nothing any more" in keepers.warnings[0]


async def test_one_that_catches_up_is_left_alone(keepers: Keepers, pipes: Pipes) -> None:
    """What did not fit goes when there is room, as things are then."""
    keeper = keepers.opened()
    await keeper.settle()
    pid = keeper.pid
    os.kill(pid or 0, signal.SIGSTOP)
    reader, _ = pipes.new()
    for number in range(2000):
        keeper.keep(f"x:{number}", reader)
    assert keeper._is_writing
    keeper.drop(*(f"x:{number}" for number in range(1, 2000)))
    os.kill(pid or 0, signal.SIGCONT)
    await until(lambda: not keeper._changed)
    await keeper.settle()
    assert pid is not None
    held = list(descriptors_of(pid).values())
    assert held.count(what_is(reader)) == 1
    assert keepers.warnings == []


async def test_the_file_of_one_that_is_gone_is_in_nobodys_way(keepers: Keepers) -> None:
    """Killed together with its daemon it leaves its socket behind."""
    first = keepers.opened()
    await first.settle()
    pid = first.pid
    first.leave()
    os.kill(pid or 0, signal.SIGKILL)
    await until(lambda: not is_alive(pid or 0))
    second = keepers.opened()
    assert second.pid not in (None, pid)
    assert keepers.warnings == []


async def test_with_nothing_to_hold_it_waits_for_nobody(keepers: Keepers) -> None:
    """Its daemon could not begin at all, say."""
    keeper = keepers.opened()
    pid = keeper.pid
    keeper.leave()
    await until(lambda: not is_alive(pid or 0))
    assert keepers.opened().pid not in (None, pid)
    assert keepers.warnings == []


async def test_at_a_farewell_it_ends_at_once(keepers: Keepers) -> None:
    """And leaves nothing."""
    keeper = keepers.opened()
    pid = keeper.pid
    assert (keepers.directory / "keeper").stat().st_mode & 0o777 == 0o600
    keeper.close()
    await until(lambda: not is_alive(pid or 0))
    assert list(keepers.directory.iterdir()) == []
    keeper.close()


async def test_a_stopped_one_does_not_hold_up_the_shutdown(
    keepers: Keepers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed."""
    monkeypatch.setattr(client, "_FAREWELL_WITHIN", 0.05)
    keeper = keepers.opened()
    await keeper.settle()
    pid = keeper.pid
    os.kill(pid or 0, signal.SIGSTOP)
    keeper.close()
    await until(lambda: not is_alive(pid or 0))


def test_with_nothing_alive_it_waits_for_an_hour_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left then is in nobody's use. With something alive it waits for a daemon."""
    monkeypatch.setattr(keep, "_IDLE_LIMIT", 10)
    child = subprocess.Popen(["sleep", "1000"])
    pidfd = os.pidfd_open(child.pid)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(tmp_path / "keeper"))
        listener.listen()
        table = keep._Table(b"hold")
        table.held[b"pid:1"] = pidfd
        asked: list[object] = []
        real = keep.select.poll  # type: ignore[attr-defined]

        class Poll:
            """A poll that ends the program the first time it would wait for ever."""

            def __init__(self) -> None:
                self._poll = real()
                self.register, self.unregister = self._poll.register, self._poll.unregister

            def poll(self, limit: int | None) -> object:
                asked.append(limit)
                if limit is None:
                    child.kill()
                return self._poll.poll(limit)

        monkeypatch.setattr(keep.select, "poll", Poll)  # type: ignore[attr-defined]
        assert keep._wait_for_owner(listener, table) is None
        assert asked == [None, 10]
    child.wait()
    os.close(pidfd)


# -- strangers -------------------------------------------------------------------------------


async def test_nobody_else_gets_what_it_holds(keepers: Keepers, pipes: Pipes) -> None:
    """Another user who can reach the socket is shown the door, and does not disturb."""
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    reader, _ = pipes.new()
    first = keepers.opened()
    first.keep(pipes.name_of(reader), reader)
    await first.settle()
    first.leave()
    for path in (keepers.directory, *keepers.directory.parents):
        if path.stat().st_uid == 0 and not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o011)
    (keepers.directory / "keeper").chmod(0o777)
    script = """
import os, socket, sys
os.setresuid(65534, 65534, 65534)
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(sys.argv[1])
try:
    s.send(b"*hold")
    sys.stdout.write(repr(s.recvmsg(65536, 4096)[:2]))
except ConnectionError as error:
    sys.stdout.write("refused")
"""
    command = [sys.executable, "-I", "-S", "-c", script, str(keepers.directory / "keeper")]
    ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert ran.stdout in ("refused", "(b'', [])"), ran
    assert set(keepers.opened().unclaimed) == {pipes.name_of(reader)}


@pytest.mark.parametrize("words", [b"", b"garbage", b"*", b".", b"+x:1", b"\0" * 1000])
async def test_whoever_does_not_introduce_itself_gets_nothing(
    keepers: Keepers, pipes: Pipes, words: bytes
) -> None:
    """Silence, garbage, farewells: it hangs up, and waits for the right one."""
    reader, _ = pipes.new()
    first = keepers.opened()
    first.keep(pipes.name_of(reader), reader)
    await first.settle()
    first.leave()
    with connect(keepers.directory) as stranger:
        if words:
            stranger.send(words)
        second = keepers.opened()  # waits until the silent one is given up
        with contextlib.suppress(ConnectionResetError):
            assert stranger.recv(100) == b""
    assert set(second.unclaimed) == {pipes.name_of(reader)}
    assert keepers.warnings == []


async def test_a_successor_that_dies_while_it_is_served_costs_nothing(
    keepers: Keepers, pipes: Pipes
) -> None:
    """The next one gets it all."""
    every = {pipes.name_of(reader): reader for reader, _ in (pipes.new() for _ in range(300))}
    first = keepers.opened()
    first.keep_all(every)
    first.leave()
    with connect(keepers.directory) as dying:
        dying.send(b"*hold")
        dying.recv(65536)  # the descriptors with it are not taken
    assert set(keepers.opened().unclaimed) == set(every)


async def test_what_it_does_not_understand_it_ignores(keepers: Keepers, pipes: Pipes) -> None:
    """A newer daemon may say more than it knows."""
    reader, _ = pipes.new()
    keeper = keepers.opened()
    pid = keeper.pid
    keeper.keep("x:1", reader)
    assert keeper._connection is not None
    for packet in (b"!what", b"\0", b"*dance", b"-x:2", b"+x:3", os.urandom(60000), b"..", b"z"):
        keeper._connection.setblocking(True)
        keeper._connection.send(packet)
    keeper._connection.setblocking(False)
    await keeper.settle()
    assert holds(keeper, reader)
    assert keeper.pid == pid


async def test_a_socket_of_somebody_else_is_not_trusted(
    keepers: Keepers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever listens there is not asked for anything."""
    monkeypatch.setattr(process, "peer_of", lambda _: (1, NOBODY))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(keepers.directory / "keeper"))
        listener.listen()
        keeper = keepers.opened()
    assert f"is that of uid {NOBODY} (pid 1)" in keepers.warnings[0]
    assert keeper.pid is not None
    monkeypatch.undo()


# -- the process -----------------------------------------------------------------------------


async def test_it_keeps_to_itself(keepers: Keepers) -> None:
    """A session and a directory of its own, no terminal, deaf to what ends daemons, known in ps
    by what it is for.
    """  # noqa: D205 - one sentence
    keeper = keepers.opened()
    await keeper.settle()
    pid = keeper.pid
    assert pid is not None
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
        os.kill(pid, signum)
    await keeper.settle()
    assert group_and_session(pid) == (pid, pid)
    about = Path(f"/proc/{pid}")
    assert str((about / "cwd").readlink()) == "/"
    null = "/dev/null"
    found = descriptors_of(pid)
    assert [found[standard] for standard in range(3)] == [null, null, null]
    assert len(found) == 5
    assert await asyncio.to_thread((about / "comm").read_bytes) == b"opsvisor-keeper\n"
    assert keepers_of(keepers.directory) == [pid]
    assert keeper.pid == pid


async def test_a_deep_state_directory_is_no_obstacle(keepers: Keepers, pipes: Pipes) -> None:
    """The address of a socket has room for 108 bytes."""
    keepers.directory = keepers.directory / ("d" * 100) / ("e" * 100)
    keepers.directory.mkdir(parents=True)
    reader, _ = pipes.new()
    first = keepers.opened()
    first.keep(pipes.name_of(reader), reader)
    first.leave()
    assert set(keepers.opened().unclaimed) == {pipes.name_of(reader)}
    assert keepers.warnings == []


async def test_a_daemon_that_became_another_by_exec_goes_on_with_it(
    keepers: Keepers, pipes: Pipes
) -> None:
    """The keeper notices nothing, what was held stays so, and what was dropped last is let go."""
    one, other, last_minute = (pipes.new()[0] for _ in range(3))
    before = keepers.opened()
    before.keep_all({"x:1": one, "x:2": other, "x:3": last_minute})
    await before.settle()
    assert before.descriptor is not None
    assert before.pid is not None
    before.drop("x:3")
    before.flush()
    after = keepers.new()
    after.open_over(os.dup(before.descriptor), before.pid, before.kept)
    before.leave()
    after.drop("x:2")
    await after.settle()
    assert holds(after, one)
    assert not holds(after, other)
    assert not holds(after, last_minute)
    after.leave()
    last = keepers.opened()
    assert set(last.unclaimed) == {"x:1"}


# -- killing ---------------------------------------------------------------------------------


async def test_told_to_kill_it_kills_whole_groups_and_ends(keepers: Keepers) -> None:
    """Programs that ignore signals, their children, and a group whose leader is gone already."""
    deaf = "trap '' TERM HUP INT; sleep 1000 & echo $!; wait; wait"
    orphaning = "sleep 1000 & echo $!"
    owner = keepers.owner(orphaning, deaf, when_alone="kill", order="reap")
    groups = {program["pid"] for program in owner.programs}
    await until(lambda: len(_members_of(groups)) == 3)
    members = _members_of(groups)
    owner.kill()
    await until(lambda: not any(is_alive(pid) for pid in members))
    await until(lambda: not is_alive(owner.keeper))


@pytest.mark.parametrize("is_reaped", [False, True])
def test_a_kernel_that_kills_no_group_by_pidfd_kills_it_by_number(
    monkeypatch: pytest.MonkeyPatch, *, is_reaped: bool
) -> None:
    """As long as there is a leader, dead or alive, whose number it is."""
    real = keep._send_signal

    def before_6_9(pidfd: int, signum: int, siginfo: None = None, flags: int = 0) -> None:
        if flags:
            raise OSError(22, "Invalid argument")
        real(pidfd, signum, siginfo, flags)

    killed: list[int] = []
    monkeypatch.setattr(keep, "_send_signal", before_6_9)
    monkeypatch.setattr(keep.posix, "killpg", lambda pid, _: killed.append(pid))  # type: ignore[attr-defined]
    child = subprocess.Popen(["sh", "-c", "exit 1"], start_new_session=True)
    pidfd = os.pidfd_open(child.pid)
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
    if is_reaped:
        child.wait()
    keep._kill_group(child.pid, pidfd)
    assert killed == ([] if is_reaped else [child.pid])
    child.wait()
    os.close(pidfd)


@pytest.mark.skipif(not can_have(""), reason="only root can make cgroups of version 2")
async def test_told_to_kill_it_kills_what_has_left_its_group_but_not_its_leaf(
    keepers: Keepers,
) -> None:
    """All leaves that are there at that moment, and none that was given up before."""
    with cell("") as place:
        leaves = Leaves(
            str(place.folder),
            tell_problem=lambda _id, problem: keepers.warnings.append(problem),
            found_kills=lambda _id, _kills: None,
        )
        keeper = keepers.opened(WhenAlone.KILL)
        files = KillFiles(keeper)
        leaves.on_made, leaves.on_left = files.leaf_made, files.leaf_left
        web, old = ProcessId("web", "web"), ProcessId("old", "old")
        escaped = start_in(leaves.prepare(web))
        spared = start_in(leaves.prepare(old))
        assert len([name for name in keeper.kept if name.startswith("cgroup:")]) == 2
        leaves.forget(old)
        await keeper.settle()
        keeper.leave()
        files.close()
        await until(lambda: not is_alive(escaped))
        assert is_alive(spared)
        os.kill(spared, signal.SIGKILL)
        await until(lambda: not any(is_alive(pid) for pid in (spared, escaped)))
        keepers.reaper._collect_orphans()
        await until(lambda: not leaves_with_members(place.folder))
        leaves.close()
    assert keepers.warnings == []


def start_in(folder: str | None) -> int:
    """A process in a session of its own that nobody waits for, in a cgroup."""
    script = f"echo $$ > {folder}/cgroup.procs; setsid sleep 1000 > /dev/null & echo $!"
    ran = subprocess.run(["sh", "-c", script], stdout=subprocess.PIPE, check=True, text=False)
    return int(ran.stdout)


def leaves_with_members(place: Path) -> list[Path]:
    """Leaves that can't be removed yet."""
    return [file for file in place.glob("*/cgroup.procs") if file.read_text()]


async def test_told_to_kill_it_kills_cgroups_first(keepers: Keepers, tmp_path: Path) -> None:
    """By a file that is open already; here one that shows what was written."""
    file = tmp_path / "cgroup.kill"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    keeper = keepers.opened(WhenAlone.KILL)
    keeper.keep("cgroup:web", descriptor)
    await keeper.settle()
    keeper.leave()
    os.close(descriptor)
    await until(lambda: file.read_text() == "1")


async def test_a_successor_of_another_mind_is_heard(keepers: Keepers, pipes: Pipes) -> None:
    """A keeper that was to hold is told to kill, and the other way round."""
    reader, _ = pipes.new()
    keeper = keepers.opened(WhenAlone.KILL)
    pid = keeper.pid
    keeper.keep(pipes.name_of(reader), reader)
    keeper.set_when_alone(WhenAlone.HOLD)
    await keeper.settle()
    keeper.leave()
    successor = keepers.opened(WhenAlone.KILL)
    assert successor.pid == pid
    assert set(successor.unclaimed) == {pipes.name_of(reader)}
    successor.drop_unclaimed()
    successor.leave()
    await until(lambda: not is_alive(pid or 0))


def _members_of(groups: set[int]) -> list[int]:
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return [pid for pid in pids if _group_of(pid) in groups]


def _group_of(pid: int) -> int:
    try:
        return group_and_session(pid)[0]
    except OSError:
        return -1
