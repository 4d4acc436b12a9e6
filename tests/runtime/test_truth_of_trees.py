"""What the sampler says of a tree against what its members are known to have used.

Without cgroups; what only those can tell is in test_leaves.py.
"""

import asyncio
import os
import resource
from pathlib import Path

import pytest
from sampled import WEB, Victim, WorldOf, kill_and_reap

from opsvisor.core.outcome import Usage
from opsvisor.core.spec import Pid
from opsvisor.runtime import proctree
from opsvisor.runtime.proctree import read_stat
from opsvisor.runtime.sweep import TreeSample

MIB = 1 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")


def seconds(usage: Usage) -> float:
    """CPU seconds in both modes."""
    return usage.user_seconds + usage.system_seconds


async def test_cpu_of_threads_that_ended_counts(victim: Victim, world_of: WorldOf) -> None:
    """The kernel keeps it with their process."""
    world = world_of(web=victim)
    await world.look()
    before = world.cpu()
    victim.do("thread 0.3")
    await world.look()
    assert 0.28 <= world.cpu() - before < 0.4


async def test_cpu_of_children_that_nobody_waits_for_is_unknown_without_a_cgroup(
    victim: Victim, world_of: WorldOf
) -> None:
    """The one gap, and a promise that it is one: no rusage and no file of /proc has it."""
    world = world_of(web=victim)
    victim.do("unreaped 0.3")
    await world.look()
    assert world.cpu() < 0.2
    assert seconds(world.end(victim)) < 0.2


@pytest.mark.usefixtures("subreaper")
async def test_cpu_of_a_daemon_with_its_own_session_counts_once_it_was_seen(
    victim: Victim, world_of: WorldOf
) -> None:
    """Its end hands us its rusage, which takes the place of what was sampled."""
    world = world_of(web=victim)
    worker = victim.do("detached-burn 0.2")
    await world.look()
    assert world.cpu() >= 0.18
    root = seconds(world.end(victim))
    await world.look()
    alive = world.cpu()
    assert root + 0.18 <= alive
    used = kill_and_reap(worker)
    world.sampler.orphan_reaped(WEB, worker, used)
    assert world.cpu() == pytest.approx(root + seconds(used), abs=0.02)


async def test_cpu_rises_steadily_and_exactly_under_a_worker_that_forks(
    victim: Victim, world_of: WorldOf
) -> None:
    """Sampled all the while: never less than before, and in the end what wait4 tells."""
    world = world_of(web=victim)
    readings = []
    for _ in range(30):
        work = asyncio.get_running_loop().run_in_executor(None, victim.do, "waited 0.02")
        while not work.done():
            await world.look()
            readings.append(world.cpu())
        await work
    assert len(readings) > 30
    assert readings == sorted(readings)
    await world.look()
    last = world.cpu()
    used = seconds(world.end(victim))
    assert used >= 0.6
    assert last == pytest.approx(used, abs=0.05)  # ticks of 10 ms, of two processes in two modes
    assert world.cpu() == pytest.approx(max(last, used), abs=0.001)


async def test_cpu_of_three_runs_is_the_sum_of_their_rusage(
    victim: Victim, world_of: WorldOf, tmp_path: Path
) -> None:
    """However many sweeps see them: three, none, one after its children ended."""
    world = world_of()
    used = 0.0
    for number, command in enumerate(("burn 0.1", "waited 0.1", "thread 0.1")):
        run = victim if number == 0 else Victim(tmp_path)
        try:
            world.begin(run)
            run.do(command)
            for _ in range((3, 0, 1)[number]):
                await world.look()
            used += seconds(world.end(run))
            assert world.cpu() == pytest.approx(used, abs=0.02)
        finally:
            run.leave_nothing()


async def test_resident_memory_counts_shared_pages_for_each_member(
    victim: Victim, world_of: WorldOf
) -> None:
    """As its help text says; test_proportional.py has the sum without that."""
    before = await tree_of(world_of, victim)
    victim.do(f"share {32 * MIB}")
    after = await tree_of(world_of, victim)
    assert 2 * 32 * MIB <= after.rss_bytes - before.rss_bytes < 2 * 32 * MIB + 24 * MIB


async def tree_of(world_of: WorldOf, victim: Victim) -> TreeSample:
    """The tree of this process, seen afresh."""
    sweep = await world_of(web=victim).sampler.sweep()
    return sweep.trees[WEB]


async def test_one_worker_that_leaks_descriptors_is_the_worst_ratio(
    victim: Victim, world_of: WorldOf
) -> None:
    """The root has a high limit and few files: an average would show nothing."""
    resource.prlimit(victim.pid, resource.RLIMIT_NOFILE, (100, 1000))
    before = await tree_of(world_of, victim)
    leaking = victim.do("leak 80")
    resource.prlimit(victim.pid, resource.RLIMIT_NOFILE, (1000, 1000))
    after = await tree_of(world_of, victim)
    in_worker = len(os.listdir(f"/proc/{leaking}/fd"))  # noqa: PTH208 - of the kernel
    assert in_worker >= 80
    assert after.fd_usage_ratio == in_worker / 100
    assert after.open_fds == before.open_fds + in_worker
    assert after.max_fds == 1000


async def test_threads_are_those_of_all_members(victim: Victim, world_of: WorldOf) -> None:
    """Two processes, and four threads beside their own."""
    victim.do("worker")
    victim.do("threads 4")
    tree = await tree_of(world_of, victim)
    assert (tree.processes, tree.threads) == (2, 6)


async def test_bytes_written_are_what_reached_the_storage(
    victim: Victim, world_of: WorldOf, tmp_path: Path
) -> None:
    """A million bytes with fsync, in whole pages; and they stay when the run is over."""
    world = world_of(web=victim)
    await world.look()
    before = world.sampler.spent(WEB).io_written_bytes
    victim.do("write 1000000")
    await world.look()
    written = world.sampler.spent(WEB).io_written_bytes - before
    whole = -(-1_000_000 // PAGE) * PAGE
    if written or not may_be_in_memory(tmp_path):
        assert whole <= written < whole + 16 * PAGE  # with what the file system notes of it
    world.end(victim)
    assert world.sampler.spent(WEB).io_written_bytes == before + written


def may_be_in_memory(folder: Path) -> bool:
    """Whether files there may never reach a storage: they are not directly on a block device."""
    return os.major(folder.stat().st_dev) == 0


async def test_major_faults_are_those_that_waited_for_the_storage(
    victim: Victim, world_of: WorldOf, tmp_path: Path
) -> None:
    """4 MiB of a file that was dropped from the cache, read page by page through a mapping."""
    world = world_of(web=victim)
    await world.look()
    before = world.sampler.spent(WEB).major_faults
    victim.do(f"fault {4 * MIB}")
    stat = read_stat(victim.pid)
    assert stat is not None
    await world.look()
    faults = world.sampler.spent(WEB).major_faults
    assert faults == stat.major_faults
    assert may_be_in_memory(tmp_path) or faults - before > 100
    usage = world.end(victim)
    assert world.sampler.spent(WEB).major_faults == usage.major_faults == faults


async def test_swap_is_that_of_all_members_and_asked_for_only_where_there_is_any(
    victim: Victim, world_of: WorldOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without swap space spares a file for each process."""
    asked: list[Pid] = []

    def swapped(pid: Pid) -> int:
        asked.append(pid)
        return 3 * MIB

    monkeypatch.setattr(proctree, "read_swap", swapped)
    monkeypatch.setattr(proctree, "swap_in_use", lambda: False)
    worker = victim.do("worker")
    assert (await tree_of(world_of, victim)).swap_bytes == 0
    assert asked == []
    monkeypatch.setattr(proctree, "swap_in_use", lambda: True)
    assert (await tree_of(world_of, victim)).swap_bytes == 6 * MIB
    assert asked == [victim.pid, worker]


def test_swap_is_read_as_the_kernel_writes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """In kibibytes; a process without memory, as a kernel thread or a zombie, has no such line."""
    assert proctree.read_swap(Pid(os.getpid())) >= 0
    status = b"VmRSS:\t 9 kB\nVmSwap:\t    2048 kB\nHugetlbPages:\t 0 kB\n"
    monkeypatch.setattr(proctree, "read_file", lambda _path, _size: status)
    assert proctree.read_swap(Pid(1)) == 2 * MIB
    monkeypatch.setattr(proctree, "read_file", lambda _path, _size: b"State:\tZ (zombie)\n")
    assert proctree.read_swap(Pid(1)) == 0
