"""Context switches: of all threads, of the dead, and only where somebody asked."""

import os
from collections.abc import Callable, Iterator

import pytest
from sampled import WEB, Victim, World

from opsvisor.core.outcome import Usage
from opsvisor.core.spec import Pid
from opsvisor.core.struct import replace
from opsvisor.runtime.ledger import Ledger
from opsvisor.runtime.proctree import Spent, read_stat
from opsvisor.runtime.switches import SwitchCounter

MANY = 300  # switches; an interpreter that does nothing has a few dozen


@pytest.fixture
def world(victim: Victim) -> Iterator[World]:
    """A sampler that was asked for context switches."""
    one = World({"web": victim}, with_switches=True)
    yield one
    one.sampler.close()


def voluntary(world: World) -> int:
    """Voluntary switches of WEB."""
    return world.sampler.spent(WEB).voluntary_switches


@pytest.mark.parametrize("who", ["switch", "switch-in-thread", "switch-in-child"])
async def test_every_switch_is_there_when_the_run_is_over(
    victim: Victim, world: World, who: str
) -> None:
    """To the last: whoever made them, the rusage of the run has them."""
    await world.look()
    before = voluntary(world)
    victim.do(f"{who} {MANY}")
    await world.look()
    alive = voluntary(world)
    usage = world.end(victim)
    assert before + MANY <= usage.voluntary_switches
    assert alive <= voluntary(world) == usage.voluntary_switches


async def test_switches_of_living_threads_are_summed(victim: Victim, world: World) -> None:
    """The main thread alone would tell a few of them."""
    await world.look()
    before = voluntary(world)
    victim.do(f"switching-threads {MANY}")
    await world.look()
    assert voluntary(world) - before >= 2 * MANY


async def test_switches_of_a_member_that_was_seen_stay(victim: Victim, world: World) -> None:
    """A worker that ends takes none of them away, though no living process has them."""
    worker = victim.do(f"switching {MANY}")
    await world.look()
    seen = voluntary(world)
    assert seen >= MANY
    victim.do(f"end {worker}")
    await world.look()
    assert voluntary(world) >= seen
    usage = world.end(victim)
    assert voluntary(world) == usage.voluntary_switches >= seen


async def test_nobody_reads_them_who_did_not_ask(victim: Victim) -> None:
    """Reading costs a file for each thread."""
    world = World({"web": victim})
    victim.do(f"switch {MANY}")
    await world.look()
    assert voluntary(world) == 0
    world.sampler.close()


def test_switches_never_fall_whatever_becomes_of_a_run() -> None:
    """Those of children that nobody waited for are in no rusage: what was seen of them stays."""
    ledger = Ledger()
    told = [ledger.total().voluntary_switches]

    def then(happens: Callable[[], None]) -> None:
        happens()
        told.append(ledger.total().voluntary_switches)

    then(lambda: ledger.saw({Pid(1): seen(10), Pid(2): seen(500)}))
    then(lambda: ledger.saw({Pid(1): seen(20)}))
    then(lambda: ledger.run_ended(Pid(1), Usage(voluntary_switches=25)))
    then(lambda: ledger.saw({Pid(3): seen(5)}))
    then(lambda: ledger.run_ended(Pid(3), Usage(voluntary_switches=400)))
    assert told == [0, 510, 520, 520, 525, 920]


def seen(voluntary: int) -> Spent:
    """A member with so many."""
    return Spent(voluntary_switches=voluntary)


def test_a_pid_or_thread_that_was_used_again_begins_anew(victim: Victim) -> None:
    """The same number, another process: nothing of the first is counted for it."""
    stat = read_stat(victim.pid)
    assert stat is not None
    counter = SwitchCounter()
    first = counter.count([stat])[victim.pid]
    counter._processes[victim.pid].threads[str(victim.pid)] = (10**6, 10**6)
    assert min(counter.count([stat])[victim.pid]) >= 10**6
    again = counter.count([replace(stat, born=stat.born + 1)])[victim.pid]
    assert first <= again < (10**6, 10**6)
    assert counter.count([]) == {}
    assert counter.count([stat])[victim.pid] < (10**6, 10**6)


def test_who_is_gone_has_none() -> None:
    """It vanished between two reads."""
    stat = read_stat(Pid(os.getpid()))
    assert stat is not None
    assert SwitchCounter().count([replace(stat, pid=Pid(2**22 + 1))]) == {2**22 + 1: (0, 0)}
