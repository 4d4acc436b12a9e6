"""Programs in real cgroups that somebody else made for them: limits, kills and throttling."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from cells import Cell, can_have, cell
from sampled import WEB, Victim, World

from opsvisor.core.outcome import Outcome
from opsvisor.runtime.cgroups import Cgroups, Throttling

needs_memory = pytest.mark.skipif(
    not can_have("memory"), reason="only root can limit memory, where that controller is to be had"
)
needs_cpu = pytest.mark.skipif(
    not can_have("cpu"), reason="only root can limit CPU time, where that controller is to be had"
)
MIB = 1 << 20


@pytest.fixture
def memory() -> Iterator[Cell]:
    """A memory cgroup."""
    with cell("memory") as one:
        yield one


@pytest.fixture
def cpu() -> Iterator[Cell]:
    """A CPU cgroup."""
    with cell("cpu") as one:
        yield one


def end(world: World, victim: Victim) -> bool:
    """Wait for the end of this run and tell of it; whether the OOM killer did it."""
    outcome = Outcome(signum=signal.SIGKILL)
    os.waitid(os.P_PID, victim.pid, os.WEXITED | os.WNOWAIT)
    killed = world.oom.run_ended(WEB, victim.pid, outcome, killed_by_us=False)
    world.end(victim)
    return killed


@needs_memory
async def test_kills_of_workers_and_of_the_root_are_counted_in_its_own_cgroup(
    memory: Cell, tmp_path: Path
) -> None:
    """A worker's is no end of the run; the root's is known at once, without a sweep."""
    memory.limit_memory(64)
    world = World({}, cgroups=Cgroups())
    victim = Victim(tmp_path, memory.entry)
    try:
        world.begin(victim)
        await world.look()
        around = world.sampler.surroundings(WEB)
        assert around is not None
        assert around.memory_limit == 64 * MIB
        assert around.kills is not None
        victim.do(f"greedy {200 * MIB}")  # in a child, which it waits for
        assert world.sampler.oom_kills(WEB) == 0
        await world.look()
        assert world.sampler.oom_kills(WEB) == 1
        await world.look()
        await world.look()
        victim.tell(f"eat {200 * MIB}")
        assert end(world, victim)
        assert world.sampler.oom_kills(WEB) == 2
        assert world.sampler.surroundings(WEB) is None
    finally:
        victim.leave_nothing()
        world.sampler.close()


@needs_memory
async def test_a_kill_by_hand_in_a_cgroup_of_its_own_is_none(memory: Cell, tmp_path: Path) -> None:
    """However scarce memory is there."""
    memory.limit_memory(64)
    world = World({}, cgroups=Cgroups())
    victim = Victim(tmp_path, memory.entry)
    try:
        world.begin(victim)
        await world.look()
        victim.do(f"eat {20 * MIB}")
        os.kill(victim.pid, signal.SIGKILL)
        assert not end(world, victim)
        assert world.sampler.oom_kills(WEB) == 0
    finally:
        victim.leave_nothing()
        world.sampler.close()


@needs_cpu
async def test_a_process_that_is_held_back_says_for_how_long(cpu: Cell, tmp_path: Path) -> None:
    """A fifth of a CPU, in periods of 10 ms: 0.1 s of work take some fifty of them.

    How long it is held back in each depends on what else runs: it may be waiting for a CPU.
    """
    cpu.limit_cpu(20)
    world = World({}, cgroups=Cgroups())
    victim = Victim(tmp_path, cpu.entry)
    try:
        world.begin(victim)
        await world.look()
        around, before = world.sampler.surroundings(WEB), world.sampler.throttling(WEB)
        assert around is not None
        assert around.cpu_limit == pytest.approx(0.2)
        assert before is not None
        assert (before.periods, before.throttled_seconds) == (0, 0.0)
        victim.do("burn 0.1")

        await world.look()
        after = world.sampler.throttling(WEB)
        assert after is not None
        assert after.periods >= 20
        assert 10 <= after.throttled_periods <= after.periods
        assert after.throttled_seconds > 0
        assert matches(cpu, after)
        world.end(victim)
        assert world.sampler.throttling(WEB) == after
    finally:
        victim.leave_nothing()
        world.sampler.close()


def matches(box: Cell, told: Throttling) -> bool:
    """Whether the kernel has counted no less than that by now."""
    words = (line.split() for line in (box.folder / "cpu.stat").read_text().splitlines())
    counts = {name: int(number) for name, number in words}
    seconds = (
        counts["throttled_time"] / 1e9
        if "throttled_time" in counts
        else counts["throttled_usec"] / 1e6
    )
    return (
        counts["nr_periods"] >= told.periods
        and counts["nr_throttled"] >= told.throttled_periods
        and seconds >= told.throttled_seconds
    )
