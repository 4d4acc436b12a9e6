"""What a process has done since it was read shows the next time, and who sleeps is not read."""

import itertools
import os
import resource
import time
from pathlib import Path

import pytest
from procfs import is_asleep
from sampled import WEB, Victim, World, WorldOf, reap

from opsvisor.core.spec import Pid
from opsvisor.core.struct import replace
from opsvisor.runtime import proc_cache as module
from opsvisor.runtime.proc_cache import ProcCache, cpu_clock
from opsvisor.runtime.proctree import Spent, Stat, count_fds, read_spent, read_stat
from opsvisor.runtime.sweep import TreeSample

MIB = 1 << 20
FOR_EVER = float("inf")  # none is read because it is old


class Read:
    """The processes that were read, one after the other, of each kind of file."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.stat: list[Pid] = []
        self.io: list[Pid] = []
        self.fds: list[Pid] = []
        patch.setattr(module, "read_stat", self._read_stat)
        patch.setattr(module, "read_spent", self._read_spent)
        patch.setattr(module, "count_fds", self._count_fds)

    def _read_stat(self, pid: Pid) -> Stat | None:
        self.stat.append(pid)
        return read_stat(pid)

    def _read_spent(self, stat: Stat) -> Spent:
        self.io.append(stat.pid)
        return read_spent(stat)

    def _count_fds(self, pid: Pid) -> int:
        self.fds.append(pid)
        return count_fds(pid)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Read:
    """What is read during the test."""
    return Read(monkeypatch)


def seen(cache: ProcCache, pid: Pid, now: float = 0.0) -> tuple[Stat, Spent, int]:
    """All that is known of this process after one more sweep."""
    stat = cache.machine(now)[pid]
    return stat, cache.spent(stat), cache.open_fds(pid)


def told(pid: Pid) -> tuple[Stat, Spent, int]:
    """The same, as the kernel tells it now."""
    stat = read_stat(pid)
    assert stat is not None
    return stat, read_spent(stat), count_fds(pid)


def until_asleep(pid: Pid) -> None:
    """A victim that has answered is on its way to its next order, and may be at work till then."""
    while not is_asleep(pid):
        time.sleep(0)  # noqa: TID251 - gives its processor away


ORDERS = (
    "burn 0.03",
    "thread 0.03",
    "threads 2",
    f"eat {4 * MIB}",
    "open 3",
    "worker",
    "waited 0.03",
    "zombie 0.03",
    "write 10000",
    f"fault {MIB}",
    "rename",
)


@pytest.mark.parametrize("order", ORDERS)
def test_whatever_it_does_is_seen_by_the_next_sweep(
    victim: Victim, read: Read, order: str
) -> None:
    """As if everything had been read anew."""
    cache = ProcCache(FOR_EVER)
    until_asleep(victim.pid)
    seen(cache, victim.pid)
    assert seen(cache, victim.pid) == told(victim.pid)
    assert read.stat.count(victim.pid) == 1, "it sleeps, which is what this is about"
    victim.do(order)
    until_asleep(victim.pid)
    assert seen(cache, victim.pid) == told(victim.pid)


def test_one_open_file_and_one_byte_are_enough(victim: Victim) -> None:
    """Far below a tick of 10 ms, in which `/proc/PID/stat` counts."""
    cache = ProcCache(FOR_EVER)
    until_asleep(victim.pid)
    before = seen(cache, victim.pid)
    victim.do("open 1")
    victim.do("write 1")
    until_asleep(victim.pid)
    after = seen(cache, victim.pid)
    assert after == told(victim.pid)
    assert after[2] == before[2] + 1


def test_what_sleeps_is_read_once_in_five_minutes(victim: Victim, read: Read) -> None:
    """So that what its clock did not tell is right again after a while."""
    cache = ProcCache()
    until_asleep(victim.pid)
    for now in range(0, 3001, 15):
        seen(cache, victim.pid, float(now))
    for kind in (read.stat, read.io, read.fds):
        assert 10 <= kind.count(victim.pid) - 1 <= 20


def test_not_all_are_read_in_the_same_sweep(read: Read) -> None:
    """Whatever was read together: a thousand that were started at once, or the whole machine."""
    cache = ProcCache()
    count = len(cache.machine(0.0))
    for now in range(150, 301, 15):
        read.stat.clear()
        cache.machine(float(now))
        assert len(read.stat) < max(count / 2, 20)


def test_what_it_does_while_it_is_read_shows_the_next_time(
    victim: Victim, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is older than anything else that is known."""

    def interrupted(pid: Pid) -> Stat | None:
        stat = read_stat(pid)
        if pid == victim.pid:
            monkeypatch.setattr(module, "read_stat", read_stat)
            victim.do("threads 1")
            until_asleep(victim.pid)
        return stat

    cache = ProcCache(FOR_EVER)
    until_asleep(victim.pid)
    monkeypatch.setattr(module, "read_stat", interrupted)
    stat, *_ = seen(cache, victim.pid)
    assert stat.threads == 1
    assert seen(cache, victim.pid) == told(victim.pid)


def test_the_number_of_threads_is_looked_at_though_no_clock_tells_of_it(
    victim: Victim, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One may end without a trace in the clock, where its last moments are not counted."""
    monkeypatch.setattr(module, "cpu_clock", lambda _pid: 1)
    victim.do("threads 2")
    cache = ProcCache(FOR_EVER)
    seen(cache, victim.pid)
    victim.do("open 1")
    until_asleep(victim.pid)
    assert seen(cache, victim.pid) != told(victim.pid), "nobody can know of that"
    victim.do("threads 1")
    until_asleep(victim.pid)
    assert seen(cache, victim.pid) == told(victim.pid)


@pytest.mark.usefixtures("subreaper")
def test_another_parent_is_known_though_nothing_was_done_for_it(
    victim: Victim, read: Read
) -> None:
    """The old one is a zombie first, then it is gone; the child sleeps through both."""
    worker = victim.do("worker")
    until_asleep(worker)
    cache = ProcCache(FOR_EVER)
    assert cache.machine(0.0)[worker].parent == victim.pid
    victim.die()
    assert cache.machine(0.0)[worker].parent == os.getpid()
    reap(victim.pid)
    read.stat.clear()
    assert cache.machine(0.0)[worker].parent == os.getpid()
    assert worker not in read.stat


@pytest.mark.usefixtures("subreaper")
def test_another_parent_is_known_where_the_old_one_is_already_gone(victim: Victim) -> None:
    """Ended and waited for between two sweeps."""
    worker = victim.do("worker")
    until_asleep(worker)
    cache = ProcCache(FOR_EVER)
    cache.machine(0.0)
    victim.end()
    machine = cache.machine(0.0)
    assert victim.pid not in machine
    assert machine[worker].parent == os.getpid()


def test_nobody_is_younger_than_their_children(victim: Victim, read: Read) -> None:
    """What bears the number of a parent, and was born later, is another process."""
    worker = victim.do("worker")
    until_asleep(victim.pid)
    until_asleep(worker)
    cache = ProcCache(FOR_EVER)
    cache.machine(0.0)
    of_parent = cache._entries[victim.pid]
    of_parent.stat = replace(of_parent.stat, born=of_parent.stat.born + 1000)
    read.stat.clear()
    cache.machine(0.0)
    assert worker in read.stat


def test_who_is_gone_is_forgotten(victim: Victim) -> None:
    """So that what comes by the same number is read."""
    cache = ProcCache(FOR_EVER)
    cache.machine(0.0)
    victim.end()
    assert victim.pid not in cache.machine(0.0)
    assert victim.pid not in cache._entries


def test_everything_is_read_where_cpu_clocks_count_in_ticks(
    victim: Victim, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Much can be done between two ticks."""
    ticks = itertools.cycle([120_000_000, 123_333_333])  # at 300 a second
    monkeypatch.setattr("time.process_time_ns", lambda: next(ticks))
    cache = ProcCache(FOR_EVER)
    until_asleep(victim.pid)
    for _ in range(3):
        seen(cache, victim.pid)
    assert read.stat.count(victim.pid) == 3
    assert seen(cache, victim.pid) == told(victim.pid)


def test_the_clock_is_that_of_the_whole_process(victim: Victim) -> None:
    """Threads that are over count as well; of nobody there is none."""
    before = cpu_clock(victim.pid)
    victim.do("thread 0.05")
    after = cpu_clock(victim.pid)
    assert before is not None
    assert after is not None
    assert after - before >= 50_000_000
    victim.end()
    assert cpu_clock(victim.pid) is None


async def test_memory_is_known_that_others_took_away(
    victim: Victim, world_of: WorldOf, tmp_path: Path
) -> None:
    """A file that it has mapped is cut off: it has lost 8 MiB without doing anything."""
    world = world_of(web=victim)
    victim.do(f"map {8 * MIB}")
    until_asleep(victim.pid)
    before = await tree_of(world)
    os.truncate(tmp_path / "mapped", 0)
    after = await tree_of(world)
    # Not to the byte before Linux 6.16.
    assert before.rss_bytes - after.rss_bytes == pytest.approx(8 * MIB, abs=MIB)


async def test_limits_that_others_set_are_known(victim: Victim, world_of: WorldOf) -> None:
    """An operator raises one while the program sleeps."""
    world = world_of(web=victim)
    until_asleep(victim.pid)
    for limit in (100, 200):
        resource.prlimit(victim.pid, resource.RLIMIT_NOFILE, (limit, 1000))
        tree = await tree_of(world)
        assert tree.max_fds == limit
        assert tree.fd_usage_ratio == tree.open_fds / limit


async def tree_of(world: World) -> TreeSample:
    """As a sweep sees it now."""
    await world.look()
    tree = world.sampler.tree(WEB)
    assert tree is not None
    return tree
