"""Sampling real process trees: what is summed up, to whom it belongs, and that it never falls."""

import asyncio
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sampled import API, WEB, Victim, WorldOf, kill_and_reap

from opsvisor.core.outcome import Usage
from opsvisor.core.spec import Pid, ProcessId
from opsvisor.core.struct import replace
from opsvisor.runtime.members import look_at
from opsvisor.runtime.sweep import Sweep


async def test_cpu_of_the_root_is_what_it_burned(victim: Victim, world_of: WorldOf) -> None:
    """CPU seconds are those of the process, to the clock tick."""
    world = world_of(web=victim)
    await world.look()
    before = world.cpu()
    victim.do("burn 0.3")
    await world.look()
    assert 0.28 <= world.cpu() - before < 0.4


async def test_cpu_of_a_child_that_was_waited_for_counts(
    victim: Victim, world_of: WorldOf
) -> None:
    """A worker that burned and ended stays in the sum through its parent's `cutime`."""
    world = world_of(web=victim)
    victim.do("waited 0.3")
    await world.look()
    assert world.cpu() >= 0.28
    tree = world.sampler.tree(WEB)
    assert tree is not None
    assert list(tree.members) == [victim.pid]


async def test_memory_of_the_tree_holds_what_was_eaten(victim: Victim, world_of: WorldOf) -> None:
    """Resident bytes grow by what the process touched."""
    world = world_of(web=victim)
    await world.look()
    before = world.sampler.tree(WEB)
    victim.do("eat 40000000")
    await world.look()
    after = world.sampler.tree(WEB)
    assert before is not None
    assert after is not None
    assert 38_000_000 < after.rss_bytes - before.rss_bytes < 60_000_000


async def test_open_files_are_counted_over_the_tree_and_the_worst_ratio_is_told(
    victim: Victim, world_of: WorldOf
) -> None:
    """The sum is over the members, the ratio is that of the fullest one."""
    resource.prlimit(victim.pid, resource.RLIMIT_NOFILE, (50, 50))
    world = world_of(web=victim)
    await world.look()
    before = world.sampler.tree(WEB)
    worker = victim.do("worker")
    victim.do("open 17")
    await world.look()
    after = world.sampler.tree(WEB)
    assert before is not None
    assert after is not None
    in_worker = len(list(os.scandir(f"/proc/{worker}/fd")))
    assert after.open_fds == before.open_fds + 17 + in_worker
    assert after.max_fds == 50
    assert after.fd_usage_ratio == (before.open_fds + 17) / 50


async def test_members_threads_and_zombies_are_counted_apart(
    victim: Victim, world_of: WorldOf
) -> None:
    """A zombie is no process of the tree any more, but it is told."""
    world = world_of(web=victim)
    worker, zombie = victim.do("worker"), victim.do("zombie 0")
    await world.look()
    tree = world.sampler.tree(WEB)
    assert tree is not None
    assert (tree.processes, tree.threads, tree.zombies) == (2, 2, 1)
    assert set(tree.members) == {victim.pid, worker, zombie}


async def test_bytes_written_to_storage_are_counted(victim: Victim, world_of: WorldOf) -> None:
    """`write_bytes` of the tree, which only grows."""
    world = world_of(web=victim)
    await world.look()
    before = world.sampler.spent(WEB).io_written_bytes
    victim.do("write 1000000")
    await world.look()
    # A file system in memory has no storage to write to.
    expected = _written_by(victim.pid) - before
    assert world.sampler.spent(WEB).io_written_bytes - before == expected


def _written_by(pid: int) -> int:
    with open(f"/proc/{pid}/io", encoding="ascii") as file:  # noqa: PTH123 - a file of the kernel
        return int(file.read().split("\nwrite_bytes: ")[1].split()[0])


@pytest.mark.usefixtures("subreaper")
async def test_a_pid_that_was_used_again_is_a_stranger(victim: Victim, world_of: WorldOf) -> None:
    """The same pid, born at another time, was never seen in a tree."""
    world = world_of(web=victim)
    worker = victim.do("detached")
    await world.look()
    owned = world.sampler._owners[worker]
    world.sampler._owners[worker] = replace(owned, born=owned.born - 1)
    world.end(victim)
    await world.look()
    assert world.sampler.owner_of(worker) is None


async def test_a_name_with_brackets_and_blanks_is_read_right(
    victim: Victim, world_of: WorldOf
) -> None:
    """The name stands in brackets in `stat`, and may hold some itself."""
    victim.do("rename")
    victim.do("worker")
    world = world_of(web=victim)
    await world.look()
    tree = world.sampler.tree(WEB)
    assert tree is not None
    assert (tree.processes, tree.zombies) == (2, 0)


@pytest.mark.usefixtures("subreaper")
async def test_an_orphan_belongs_to_the_leader_of_its_process_group(
    victim: Victim, world_of: WorldOf
) -> None:
    """Reparented to us before anyone saw it in a tree, it is known by its process group."""
    world = world_of(web=victim)
    orphan = victim.do("orphan 0")
    await world.look()
    tree = world.sampler.tree(WEB)
    assert tree is not None
    assert orphan in tree.members
    assert world.sampler.owner_of(orphan) == WEB


@pytest.mark.usefixtures("subreaper")
async def test_an_orphan_with_its_own_session_is_a_stranger_until_it_was_seen_in_a_tree(
    victim: Victim, world_of: WorldOf
) -> None:
    """A daemon that made its own session before any sweep leaves nothing to know it by."""
    world = world_of(web=victim)
    daemon = victim.do("daemon")
    await world.look()
    assert world.sampler.owner_of(daemon) is None
    await world.look()
    tree = world.sampler.tree(WEB)
    assert tree is not None
    assert daemon not in tree.members


@pytest.mark.usefixtures("subreaper")
async def test_an_orphan_with_its_own_session_is_known_by_its_output(
    victim: Victim, world_of: WorldOf
) -> None:
    """Unless it has closed that: from the sweep on that follows the first."""
    world = world_of(web=victim)
    world.pipes[victim.output] = WEB
    daemon = victim.do("daemon 0.2")
    await world.look()
    assert world.cpu() < 0.15
    assert world.sampler.owner_of(daemon) == WEB
    await world.look()
    tree = world.sampler.tree(WEB)
    assert tree is not None
    assert daemon in tree.members
    alive = world.cpu()
    assert alive >= 0.18
    world.sampler.orphan_reaped(WEB, daemon, kill_and_reap(daemon))
    await world.look()
    assert world.cpu() >= alive


@pytest.mark.usefixtures("subreaper")
async def test_the_output_of_a_process_forgotten_during_the_sweep_is_nobodys(
    victim: Victim, world_of: WorldOf
) -> None:
    """As all else that it owned; nor does an orphan that is over by then come back."""
    world = world_of(web=victim)
    world.pipes[victim.output] = WEB
    daemon = victim.do("daemon")
    under_way = await world.begin_to_look()
    world.sampler.forget(WEB)
    await under_way
    assert world.sampler.owner_of(daemon) is None
    world.now += 5.0
    under_way = await world.begin_to_look()
    world.sampler.orphan_reaped(API, daemon, kill_and_reap(daemon))
    await under_way
    assert world.sampler.owner_of(daemon) is None


@pytest.mark.usefixtures("subreaper")
async def test_an_orphan_stays_with_the_tree_it_was_seen_in(
    victim: Victim, world_of: WorldOf, tmp_path: Path
) -> None:
    """Neither its parent's end nor a new run of the program makes it a stranger."""
    world = world_of(web=victim)
    worker = victim.do("detached")
    await world.look()
    world.end(victim)
    await world.look()
    assert world.sampler.tree(WEB) is None
    assert world.sampler.owner_of(worker) == WEB
    successor = Victim(tmp_path)
    try:
        world.roots[WEB] = successor.pid
        await world.look()
        tree = world.sampler.tree(WEB)
        assert tree is not None
        assert set(tree.members) == {successor.pid, worker}
    finally:
        successor.leave_nothing()


@pytest.mark.usefixtures("subreaper")
async def test_what_a_dead_root_left_unseen_is_known_by_the_last_roots_group(
    victim: Victim, world_of: WorldOf
) -> None:
    """A program that crashes at once may leave a worker that no sweep saw below it."""
    world = world_of(web=victim)
    worker = victim.do("worker")
    world.end(victim)
    await world.look()
    assert world.sampler.owner_of(worker, group=victim.pid) == WEB
    assert world.sampler.owner_of(worker) == WEB


async def test_finding_an_owner_looks_at_nobody_else(victim: Victim, world_of: WorldOf) -> None:
    """With a fleet that is stopped its orphans come all at once, and each holds the loop."""
    world = world_of(web=victim)
    world.end(victim)

    def everybody() -> dict[ProcessId, Pid]:
        raise AssertionError("all of them were asked for")

    world.sampler._roots = everybody
    assert world.sampler.owner_of(Pid(2**22 + 1), session=victim.pid) == WEB


async def test_only_the_last_root_is_remembered(victim: Victim, world_of: WorldOf) -> None:
    """An older one's number may be somebody else's by now, and is theirs if it is."""
    world = world_of(web=victim)
    sampler, stranger = world.sampler, Pid(2**22 + 1)
    sampler.run_ended(WEB, Pid(100), Usage())
    sampler.run_ended(API, Pid(100), Usage())
    sampler.run_ended(WEB, Pid(101), Usage())
    assert sampler.owner_of(stranger, group=100) == API
    assert sampler.owner_of(stranger, group=101) == WEB
    sampler.forget(API)
    sampler.run_ended(WEB, Pid(102), Usage())
    assert [sampler.owner_of(stranger, group=group) for group in (100, 101)] == [None, None]


@pytest.mark.usefixtures("subreaper")
async def test_cpu_of_an_orphan_counts_once_alive_and_once_dead(
    victim: Victim, world_of: WorldOf
) -> None:
    """When it is reaped its rusage takes the place of its last sample."""
    world = world_of(web=victim)
    orphan = victim.do("orphan 0.3")
    await world.look()
    alive = world.cpu()
    assert alive >= 0.28
    world.sampler.orphan_reaped(WEB, orphan, kill_and_reap(orphan))
    assert world.cpu() - alive < 0.1
    await world.look()
    assert alive <= world.cpu() < alive + 0.1


async def test_cpu_survives_the_end_of_the_run(victim: Victim, world_of: WorldOf) -> None:
    """The rusage of the run replaces the live tree: nothing is lost, nothing counted twice."""
    world = world_of(web=victim)
    victim.do("burn 0.2")
    victim.do("waited 0.2")
    await world.look()
    alive = world.cpu()
    world.end(victim)
    assert alive <= world.cpu() < alive + 0.1
    assert world.sampler.tree(WEB) is None
    await world.look()
    assert alive <= world.cpu() < alive + 0.1


async def test_cpu_of_runs_between_two_sweeps_is_not_lost(
    victim: Victim, world_of: WorldOf
) -> None:
    """A run that no sweep saw counts by its rusage."""
    world = world_of(web=victim)
    victim.do("burn 0.2")
    world.end(victim)
    assert world.cpu() >= 0.2


@pytest.mark.usefixtures("subreaper")
async def test_cpu_never_falls(victim: Victim, world_of: WorldOf) -> None:
    """Workers that end unreaped take their time with them; what was told stays told."""
    world = world_of(web=victim)
    readings = []
    for command in ("burn 0.1", "orphan 0.2", "waited 0.1", "zombie 0.1", "burn 0.1"):
        pid = victim.do(command)
        await world.look()
        readings.append(world.cpu())
        if command.startswith("orphan"):
            kill_and_reap(pid)  # and nobody tells the sampler
            await world.look()
            readings.append(world.cpu())
    assert readings == sorted(readings)


async def test_a_run_that_ends_during_the_sweep_is_not_counted_twice(
    victim: Victim, world_of: WorldOf
) -> None:
    """Its CPU time is in the rusage, so the sample that arrives afterwards must leave it out."""
    world = world_of(web=victim)
    victim.do("burn 0.3")
    under_way = await world.begin_to_look()
    world.end(victim)
    burned = world.cpu()
    sweep = await under_way
    assert WEB not in sweep.trees
    assert world.sampler.tree(WEB) is None
    assert world.cpu() == burned


async def test_a_process_forgotten_during_the_sweep_stays_forgotten(
    victim: Victim, world_of: WorldOf
) -> None:
    """The answer of a sweep must not bring back what left the plan meanwhile."""
    world = world_of(web=victim)
    under_way = await world.begin_to_look()
    world.sampler.forget(WEB)
    await under_way
    assert world.sampler.tree(WEB) is None
    assert world.sampler.cpu_seconds(WEB) == (0.0, 0.0)


async def test_the_orphans_of_a_process_forgotten_during_the_sweep_are_strangers(
    victim: Victim, world_of: WorldOf
) -> None:
    """The answer of a sweep names no owner that left the plan meanwhile."""
    world = world_of(web=victim)
    worker = victim.do("worker")
    under_way = await world.begin_to_look()
    world.sampler.forget(WEB)
    del world.roots[WEB]
    await under_way
    assert world.sampler.owner_of(worker) is None


async def test_forgetting_touches_only_what_the_process_owned(
    victim: Victim, world_of: WorldOf, tmp_path: Path
) -> None:
    """Removing a thousand processes must not walk over all members of all trees each time."""
    other = Victim(tmp_path)
    try:
        world = world_of(web=victim, api=other)
        mine, theirs = victim.do("worker"), other.do("worker")
        await world.look()
        owners = world.sampler._owners
        world.sampler.forget(WEB)
        assert world.sampler._owners is owners
        assert set(owners) == {other.pid, theirs}
        del world.roots[WEB]
        assert world.sampler.owner_of(mine) is None
        assert world.sampler.owner_of(theirs) == API
    finally:
        other.leave_nothing()


async def test_concurrent_callers_share_one_sweep(victim: Victim, world_of: WorldOf) -> None:
    """Ten requests at once read the machine once."""
    world = world_of(web=victim)
    sweeps = await asyncio.gather(*(world.sampler.sweep() for _ in range(10)))
    assert world.sampler.sweeps == 1
    assert all(one is sweeps[0] for one in sweeps)


async def test_whoever_asks_in_whatever_turn_of_the_loop_has_a_young_sweep(
    victim: Victim, world_of: WorldOf
) -> None:
    """Also between the end of the reading and the turn in which the loop hears of it."""
    world = world_of(web=victim)
    loop = asyncio.get_running_loop()
    for _ in range(20):
        world.now += 5.0
        asked: list[asyncio.Future[Sweep]] = []

        def ask(asked: list[asyncio.Future[Sweep]] = asked) -> None:
            if not (asked and asked[0].done()):
                asked.append(asyncio.ensure_future(world.sampler.sweep()))
                loop.call_soon(ask)

        ask()
        await asyncio.wait({asked[0]})
        assert {one.at_mono for one in await asyncio.gather(*asked)} == {world.now}
    assert world.sampler.sweeps == 20


async def test_a_sweep_is_repeated_only_when_it_is_old(victim: Victim, world_of: WorldOf) -> None:
    """For `max_age` seconds the answer stays the same."""
    world = world_of(web=victim)
    first = await world.sampler.sweep()
    world.now += 4.9
    assert await world.sampler.sweep() is first
    world.now += 0.1
    second = await world.sampler.sweep()
    assert second is not first
    assert (second.at_mono, second.at_wall) == (5.0, 1e9 + 5.0)
    assert world.sampler.latest() is second


async def test_a_caller_that_gives_up_leaves_the_sweep_to_the_others(
    victim: Victim, world_of: WorldOf
) -> None:
    """A scrape that times out must not cost the API its answer."""
    world = world_of(web=victim)
    impatient = asyncio.ensure_future(world.sampler.sweep())
    patient = asyncio.ensure_future(world.sampler.sweep())
    await asyncio.wait({impatient}, timeout=0)
    impatient.cancel()
    assert WEB in (await patient).trees
    assert impatient.cancelled()


async def test_nobody_waits_for_a_sweep_that_takes_too_long(
    victim: Victim, world_of: WorldOf
) -> None:
    """Who asked for it gives up after a while; who asks later has what there was before."""
    world = world_of(web=victim)
    before = await world.sampler.sweep()
    world.now += 5.0
    loop, gate = asyncio.get_running_loop(), threading.Event()
    world.sampler._thread.submit(gate.wait)
    try:
        began = loop.time()
        await world.sampler.refresh(0.2)
        assert loop.time() - began >= 0.2
        await asyncio.sleep(world.sampler._running_since + 0.21 - loop.time())  # so old it gets
        late = asyncio.ensure_future(world.sampler.refresh(0.2))
        for _ in range(10):  # turns of the loop, not time
            await asyncio.sleep(0)
        assert late.done()
        assert world.sampler.latest() is before
    finally:
        gate.set()
    await world.sampler.refresh(1000.0)
    latest = world.sampler.latest()
    assert latest is not None
    assert latest.at_mono == 5.0


async def test_vanished_roots_are_no_error(
    victim: Victim, world_of: WorldOf, tmp_path: Path
) -> None:
    """A root that ended before the sweep is left out; the others are sampled."""
    gone = Victim(tmp_path)
    world = world_of(web=victim, api=gone)
    gone.end()
    gone.leave_nothing()
    sweep = await world.sampler.sweep()
    assert set(sweep.trees) == {WEB}
    assert world.sampler.failures == 0


async def test_a_failing_sweep_is_counted_told_and_tried_again(
    victim: Victim, world_of: WorldOf
) -> None:
    """Without a free file descriptor /proc can't be listed."""
    world = world_of(web=victim)
    await world.sampler.sweep()  # the thread is there, and needs no descriptor later
    world.now += 5.0
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            await world.sampler.sweep()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert world.sampler.failures == 1
    assert WEB in (await world.sampler.sweep()).trees


async def test_listeners_hear_of_each_sweep(victim: Victim, world_of: WorldOf) -> None:
    """One call per sweep, not per caller."""
    world = world_of(web=victim)
    heard: list[float] = []
    world.sampler.on_sweep(lambda sweep: heard.append(sweep.at_mono))
    await asyncio.gather(world.sampler.sweep(), world.sampler.sweep())
    await world.look()
    assert heard == [0.0, 5.0]


async def test_trees_of_two_processes_do_not_mix(
    victim: Victim, world_of: WorldOf, tmp_path: Path
) -> None:
    """Each worker is a member of its own root's tree."""
    other = Victim(tmp_path)
    try:
        world = world_of(web=victim, api=other)
        mine, theirs = victim.do("worker"), other.do("worker")
        sweep = await world.sampler.sweep()
        assert set(sweep.trees[WEB].members) == {victim.pid, mine}
        assert set(sweep.trees[API].members) == {other.pid, theirs}
    finally:
        other.leave_nothing()


async def test_members_tell_who_is_in_the_tree(victim: Victim, world_of: WorldOf) -> None:
    """The root comes first, each with its parent, command line and own numbers."""
    world = world_of(web=victim)
    worker = victim.do("worker")
    root, child = await world.sampler.members(WEB, world.roots[WEB])
    assert (root.pid, root.parent) == (victim.pid, os.getpid())
    assert (child.pid, child.parent) == (worker, victim.pid)
    assert root.command.startswith(f"{sys.executable} -I -S -c")
    assert root.rss_bytes > 1_000_000
    assert root.cpu_seconds < 5


async def test_members_of_a_run_younger_than_the_sweep_are_told_too(
    victim: Victim, world_of: WorldOf
) -> None:
    """A process started a moment ago shows at least itself."""
    world = world_of()
    await world.sampler.sweep()
    world.roots[WEB] = victim.pid
    assert [one.pid for one in await world.sampler.members(WEB, world.roots[WEB])] == [victim.pid]


async def test_a_process_that_does_not_run_has_no_members(world_of: WorldOf) -> None:
    """Nothing is read for it."""
    assert await world_of().sampler.members(WEB, None) == []


async def test_the_command_line_of_a_member_is_told_in_full(
    world_of: WorldOf,
) -> None:
    """Java needs more than a page for its class path; what tells two apart stands at the end."""
    words = [sys.executable, "-I", "-S", "-c", "print(flush=True); input()"]
    words += ["x" * 5000, "two words", "--port=8081"]
    process = _waiting_for_a_line(words)
    try:
        world = world_of()
        world.roots[WEB] = Pid(process.pid)
        (member,) = await world.sampler.members(WEB, world.roots[WEB])
        assert member.command == " ".join(words)
    finally:
        process.communicate(b"\n")


def _waiting_for_a_line(words: list[str]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()  # only now is it certain to be executed
    return process


async def test_members_that_vanish_or_have_ended_are_no_error(
    victim: Victim, world_of: WorldOf
) -> None:
    """What is gone is left out; a zombie has no command line any more, only a name in brackets."""
    world = world_of(web=victim)
    zombie, worker = victim.do("zombie 0"), victim.do("waited 0")
    await world.look()
    assert [one.pid for one in look_at([worker, victim.pid])] == [victim.pid]
    root, ended = await world.sampler.members(WEB, world.roots[WEB])
    assert (root.pid, ended.pid, ended.rss_bytes) == (victim.pid, zombie, 0)
    assert ended.command.startswith("[python")


def test_nobody_pays_for_psutil_who_does_not_ask() -> None:
    """It is loaded by the first question about the members of a tree."""
    code = "import sys, opsvisor.runtime.sampler; sys.exit('psutil' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_a_sweep_is_told_to_nobody_before_its_listeners(
    victim: Victim, world_of: WorldOf
) -> None:
    """One of them remembers what was used: no total may fall for whom a later daemon tells."""
    world = world_of(web=victim)
    heard: list[float] = []
    world.sampler.on_sweep(lambda sweep: heard.append(sweep.at_mono))
    loop = asyncio.get_running_loop()
    found: list[bool] = []
    turns: list[asyncio.Handle] = []

    def turn() -> None:
        if world.sampler.tree(WEB) is not None:
            found.append(bool(heard))
        turns[:] = [loop.call_soon(turn)]

    turn()
    await world.sampler.sweep()
    turns[0].cancel()
    assert found
    assert all(found)
