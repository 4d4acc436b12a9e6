"""A cgroup for each process: what it counts that nothing else does, and that it goes away."""

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cells import can_have, cell
from cgroup_tree import CgroupTree
from daemon import eventually
from forks import spawn
from sampled import WEB, Victim, World, kill_and_reap

from opsvisor.core.outcome import Usage
from opsvisor.core.spec import Pid, ProcessId, ProcessSpec
from opsvisor.runtime import leaves as module
from opsvisor.runtime.cgroups import Cgroups
from opsvisor.runtime.leaves import (
    AUTO,
    OFF,
    CpuTime,
    Leaves,
    NoPlaceError,
    find_place,
    leaf_name,
    read_cpu,
)
from opsvisor.runtime.ledger import Ledger
from opsvisor.runtime.oom import KillCount
from opsvisor.runtime.spawn import ChildFiles


def seconds(usage: Usage) -> float:
    """CPU seconds in both modes."""
    return usage.user_seconds + usage.system_seconds


needs_cgroups = pytest.mark.skipif(
    not can_have(""), reason="only root can make cgroups of version 2, where they can be had"
)


class Grove:
    """Leaves in a real cgroup, and a world whose processes get them."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.problems: list[tuple[ProcessId, str]] = []
        self.kills: list[KillCount] = []
        self.leaves = Leaves(
            str(place),
            tell_problem=lambda process_id, problem: self.problems.append((process_id, problem)),
            found_kills=lambda _id, kills: self.kills.append(kills),
        )
        self.world = World({}, leaves=self.leaves)

    async def begin(self, victim: Victim) -> None:
        """A run of WEB begins and is moved into its leaf."""
        self.world.begin(victim)
        await self.settled()

    async def settled(self) -> None:
        """Return when nothing waits to be moved."""
        await asyncio.wait({asyncio.ensure_future(asyncio.to_thread(lambda: None))})
        while self.leaves._moving is not None or self.leaves._waiting:
            await asyncio.wait({asyncio.ensure_future(asyncio.to_thread(lambda: None))})

    async def cpu(self) -> float:
        """CPU seconds of WEB after a fresh sweep."""
        await self.world.look()
        return self.world.cpu()

    def inside(self, name: str = "opsvisord-web") -> set[int]:
        """Who is in this leaf."""
        words = (self.place / name / "cgroup.procs").read_text().split()
        return {int(word) for word in words}

    def names(self) -> set[str]:
        """The leaves that are there."""
        return {path.name for path in self.place.iterdir() if path.is_dir()}


@pytest.fixture
def grove() -> Iterator[Grove]:
    """A place of our own in the kernel's tree. All in it is gone at the end."""
    with cell("") as box:
        one = Grove(box.folder)
        yield one
        one.world.sampler.close()
        # What others reap takes a moment to be gone.
        eventually(lambda: not any(map(one.inside, one.names())))
        one.leaves.close()
        assert one.names() == set()


@pytest.fixture
def victim(grove: Grove, tmp_path: Path) -> Iterator[Victim]:
    """One obedient process, gone before its leaf must be."""
    del grove
    one = Victim(tmp_path)
    yield one
    one.leave_nothing()


@needs_cgroups
async def test_cpu_of_children_that_nobody_waits_for_counts(victim: Victim, grove: Grove) -> None:
    """Their parent ignores SIGCHLD: no rusage ever has them, only a cgroup does."""
    await grove.begin(victim)
    before = await grove.cpu()
    victim.do("unreaped 0.3")
    assert 0.28 <= await grove.cpu() - before < 0.4


@needs_cgroups
@pytest.mark.usefixtures("subreaper")
async def test_cpu_of_a_daemon_that_nothing_ties_to_its_program_counts(
    victim: Victim, grove: Grove
) -> None:
    """Twice forked, in a session of its own before any sweep: alive and dead."""
    await grove.begin(victim)
    before = await grove.cpu()
    daemon = victim.do("daemon 0.3")
    assert grove.world.sampler.owner_of(daemon) is None
    alive = await grove.cpu() - before
    kill_and_reap(daemon)
    dead = await grove.cpu() - before
    assert 0.28 <= alive <= dead < 0.4


@needs_cgroups
async def test_one_leaf_serves_all_runs_and_cpu_never_falls(
    victim: Victim, grove: Grove, tmp_path: Path
) -> None:
    """Two runs that burned 0.2 s each make 0.4 s, told at once when a run ends."""
    await grove.begin(victim)
    victim.do("burn 0.2")
    used = seconds(grove.world.end(victim))
    assert grove.world.cpu() == pytest.approx(used, abs=0.02)
    second = Victim(tmp_path)
    try:
        await grove.begin(second)
        readings = [grove.world.cpu()]
        for _ in range(4):
            second.do("unreaped 0.05")
            readings.append(await grove.cpu())
        assert readings == sorted(readings)
        used += seconds(grove.world.end(second)) + 0.2  # what its rusage does not have
        assert grove.world.cpu() == pytest.approx(used, abs=0.04)
        assert grove.names() == {"opsvisord-web"}
    finally:
        second.leave_nothing()


@needs_cgroups
async def test_what_was_used_before_the_move_counts(victim: Victim, grove: Grove) -> None:
    """A program does not wait to be moved: what it burned by then is added."""
    victim.do("burn 0.2")
    worker = victim.do("worker")
    await grove.begin(victim)
    assert grove.inside() == {victim.pid, worker}  # what it had forked has followed it
    told = await grove.cpu()
    inside = read_cpu(str(grove.place / "opsvisord-web"))
    assert inside is not None
    assert inside.user + inside.system < 0.1
    assert told == pytest.approx(seconds(grove.world.end(victim)), abs=0.03)


@needs_cgroups
@pytest.mark.usefixtures("subreaper")
async def test_an_orphan_from_before_the_move_follows(victim: Victim, grove: Grove) -> None:
    """A shell that forks a worker and ends leaves it to us, in its process group."""
    orphan = victim.do("orphan 0")
    await grove.begin(victim)
    assert grove.inside() == {victim.pid, orphan}


@needs_cgroups
async def test_a_run_that_is_over_before_its_move_counts_by_its_rusage(
    victim: Victim, grove: Grove, tmp_path: Path
) -> None:
    """Whether we hear of its end before the move is done, or after."""
    victim.do("burn 0.1")
    grove.world.begin(victim)
    used = seconds(grove.world.end(victim))
    await grove.settled()
    assert await grove.cpu() == pytest.approx(used, abs=0.001)
    zombie = Victim(tmp_path)
    try:
        zombie.do("burn 0.1")
        zombie.die()
        await grove.begin(zombie)
        used += seconds(grove.world.end(zombie))
        assert await grove.cpu() == pytest.approx(used, abs=0.001)
    finally:
        zombie.leave_nothing()


@needs_cgroups
async def test_a_leaf_that_an_earlier_daemon_left_begins_at_zero(
    victim: Victim, grove: Grove, tmp_path: Path
) -> None:
    """A crash leaves leaves behind: what they counted is not ours."""
    other = Victim(tmp_path)
    try:
        (grove.place / "opsvisord-web").mkdir()
        (grove.place / "opsvisord-web" / "cgroup.procs").write_text(str(other.pid))
        other.do("burn 0.2")
        await grove.begin(victim)
        assert await grove.cpu() < 0.15
    finally:
        other.leave_nothing()


@needs_cgroups
async def test_a_leaf_goes_when_its_process_leaves_the_plan(victim: Victim, grove: Grove) -> None:
    """As soon as nothing is left in it."""
    await grove.begin(victim)
    assert grove.names() == {"opsvisord-web"}
    grove.world.sampler.forget(WEB)
    assert grove.names() == {"opsvisord-web"}
    grove.world.end(victim)
    await grove.world.look()
    assert grove.names() == set()


async def test_many_that_leave_at_once_cost_one_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look at all that is left for each of them is half a million for 1,000 programs."""
    looks: list[set[str]] = []
    looked = asyncio.Event()

    def look(folders: set[str]) -> set[str]:
        looks.append(set(folders))
        looked.set()
        return set()

    monkeypatch.setattr(module, "_remove", look)
    leaves = Grove(tmp_path).leaves
    folders = {f"{tmp_path}/{number}" for number in range(100)}
    for folder in folders:
        process_id = ProcessId("many", folder)
        leaves._leaves[process_id] = module._Leaf(folder)
        leaves.forget(process_id)
    assert looks == []
    await looked.wait()
    assert looks == [folders]


@needs_cgroups
async def test_without_its_place_a_process_is_accounted_for_as_everywhere_else(
    victim: Victim, grove: Grove
) -> None:
    """It is told once, and what was told before stays told."""
    grove.leaves.place = str(grove.place / "gone")
    await grove.begin(victim)
    assert grove.problems == [
        (WEB, f"{grove.place}/gone/opsvisord-web: No such file or directory")
    ]
    victim.do("burn 0.1")
    assert await grove.cpu() >= 0.09  # in ticks of 10 ms
    await grove.begin(victim)
    assert len(grove.problems) == 1


@needs_cgroups
async def test_a_program_that_leaves_its_leaf_is_accounted_for_all_the_same(
    victim: Victim, grove: Grove
) -> None:
    """As `systemd-run --scope` does: what the leaf counts stands still then."""
    await grove.begin(victim)
    victim.do("burn 0.2")
    before = await grove.cpu()
    (grove.place / "cgroup.procs").write_text(str(victim.pid))
    victim.do("burn 0.6")
    assert await grove.cpu() - before >= 0.5


def test_a_ledger_that_loses_its_cgroup_goes_on_from_what_was_told() -> None:
    """The sums know less than the cgroup did: they add to it from then on."""
    ledger = Ledger()
    ledger.measured(CpuTime(5.0, 2.0))
    assert ledger.total()[:2] == (5.0, 2.0)
    ledger.measured(CpuTime(4.0, 2.5))
    assert ledger.total()[:2] == (5.0, 2.5)
    ledger.measured(None)
    assert ledger.total()[:2] == (5.0, 2.5)
    ledger.orphan_reaped(Pid(7), Usage(user_seconds=1.0))
    assert ledger.total()[:2] == (6.0, 2.5)


def test_names_of_leaves_are_never_those_of_other_files() -> None:
    """The kernel's files in a cgroup have a dot, and no name reaches into another folder."""
    names = [
        leaf_name(ProcessId(*words))
        for words in (
            ("web", "web"),
            ("web", "web_00"),
            ("web:web_00", "web:web_00"),
            ("cpu.stat", "cpu.stat"),
            ("..", "../x"),
            ("é", "é"),
            ("g", "x" * 300),
            ("g", "x" * 301),
        )
    ]
    assert names[:6] == [
        "opsvisord-web",
        "opsvisord-web:web_00",
        "opsvisord-web%3Aweb_00",
        "opsvisord-cpu%2Estat",
        "opsvisord-%2E%2E:%2E%2E%2Fx",
        "opsvisord-%C3%A9",
    ]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 255 for name in names)


# -- whose place -----------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> CgroupTree:
    """A daemon in a cgroup that root may write to, as everywhere, and that nobody gave it."""
    one = CgroupTree(tmp_path)
    one.put("self", "/service")
    for cgroup in ("/", "/service"):
        one.write(cgroup, "cgroup.procs", "")
        one.write(cgroup, "cgroup.subtree_control", "")
    return one


def place(tree: CgroupTree, choice: str = AUTO) -> str | None:
    """What is found there."""
    return find_place(choice, Cgroups(str(tree.proc)))


def delegate(folder: Path, mark: str = "user.delegate", value: bytes = b"1") -> None:
    """What systemd does for Delegate=yes."""
    os.setxattr(folder, mark, value)


def test_nobody_gave_us_the_cgroup_we_are_in(tree: CgroupTree) -> None:
    """That root could write there is no reason to."""
    assert place(tree) is None


def test_a_delegated_cgroup_is_ours(tree: CgroupTree) -> None:
    """Marked by systemd; nothing above it, and nothing that is marked as not delegated."""
    delegate(tree.unified)
    assert place(tree) is None
    delegate(tree.unified / "service", value=b"0")
    assert place(tree) is None
    delegate(tree.unified / "service")
    assert place(tree) == str(tree.unified / "service")
    assert place(tree, OFF) is None


def test_the_root_of_our_own_namespace_is_ours(
    tree: CgroupTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container's; but not that of the machine, and nothing further down."""
    tree.put("self", "/")
    assert place(tree) is None
    monkeypatch.setattr(module, "_FIRST_NAMESPACE", 0)
    assert place(tree) == str(tree.unified)
    tree.put("self", "/service")
    assert place(tree) is None


def test_what_systemd_manages_is_not_ours(tree: CgroupTree) -> None:
    """In a container with a systemd of its own, or below that of a user."""
    delegate(tree.unified / "service")
    (tree.unified / "service" / "init.scope").mkdir()
    assert place(tree) is None


def test_without_version_2_there_is_no_place(tmp_path: Path) -> None:
    """Leaves are made there only."""
    tree = CgroupTree(tmp_path)
    (tree.proc / "self" / "mountinfo").write_text("")
    assert place(tree) is None


def test_a_place_that_was_chosen_must_be_one(tree: CgroupTree, tmp_path: Path) -> None:
    """A clear word instead of a mkdir in any folder."""
    assert place(tree, str(tree.unified / "service")) == str(tree.unified / "service")
    with pytest.raises(NoPlaceError, match="is no cgroup of version 2"):
        place(tree, str(tmp_path))


# -- the controller --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inside", "controllers", "enabled", "moved"),
    [
        ("", "cpu memory pids", "+memory", False),
        ("ME\n", "cpu memory", "+memory", True),
        ("ME\n1\n", "cpu memory", "", False),  # not alone: nobody else is moved
        ("ME\n", "cpu pids", "", False),
    ],
)
def test_the_daemon_moves_out_of_the_way_of_a_controller(
    tree: CgroupTree, inside: str, controllers: str, enabled: str, *, moved: bool
) -> None:
    """A cgroup with processes can't hand a controller on; only itself does it move."""
    inside = inside.replace("ME", str(os.getpid()))
    procs = tree.write("/service", "cgroup.procs", inside)
    tree.write("/service", "cgroup.controllers", f"{controllers}\n")
    control = tree.write("/service", "cgroup.subtree_control", "")
    home = tree.write("/service/opsvisord", "cgroup.procs", "")
    leaves = Leaves(str(procs.parent), tell_problem=lambda *_: None, found_kills=lambda *_: None)
    leaves.open()
    assert control.read_text() == enabled
    if moved:
        assert home.read_text() == str(os.getpid())
        procs.write_text("")
    leaves.close()
    assert control.read_text() == enabled.replace("+", "-")
    assert procs.read_text() == (str(os.getpid()) if moved else inside)


# -- limits and adoption ---------------------------------------------------------------------


def test_below_a_leaf_of_our_own_the_place_is_above_it(tree: CgroupTree) -> None:
    """Where the daemon moved itself, or systemd did for DelegateSubgroup."""
    tree.write("/service/opsvisord", "cgroup.procs", "")
    tree.write("/service/opsvisord", "cgroup.subtree_control", "")
    tree.put("self", "/service/opsvisord")
    assert place(tree) is None
    delegate(tree.unified / "service")
    assert place(tree) == str(tree.unified / "service")
    tree.put("self", "/service/other")
    assert place(tree) is None


def test_a_controller_is_handed_on_once_and_taken_back(tree: CgroupTree) -> None:
    """One that was handed on before us stays so."""
    procs = tree.write("/service", "cgroup.procs", "")
    tree.write("/service", "cgroup.controllers", "cpu memory pids\n")
    control = tree.write("/service", "cgroup.subtree_control", "memory\n")
    tree.write("/service/opsvisord-web", "pids.max", "max")
    leaves = Leaves(str(procs.parent), tell_problem=lambda *_: None, found_kills=lambda *_: None)
    leaves.open()
    assert control.read_text() == "memory\n"
    folder = leaves.prepare(WEB)
    assert folder == str(procs.parent / "opsvisord-web")
    assert leaves.write(folder, [("pids.max", "5", True), ("cpu.max", "max", False)]) == ""
    assert control.read_text() == "+pids"
    (Path(folder) / "pids.max").unlink()
    leaves.close()
    assert control.read_text() == "-pids"


@needs_cgroups
async def test_a_leaf_is_adopted_with_all_that_it_counted(victim: Victim, grove: Grove) -> None:
    """Nothing is moved, and the total goes on where the dead daemon's was."""
    await grove.begin(victim)
    victim.do("burn 0.2")
    worker = victim.do("worker")
    before = await grove.cpu()
    second = Grove(grove.place)
    try:
        second.leaves.open()
        second.leaves.adopt(WEB, victim.pid)
        assert second.leaves.folder_of(WEB) == str(grove.place / "opsvisord-web")
        total = second.leaves.total_now(WEB)
        assert total is not None
        assert total.user + total.system >= before - 0.05
        assert grove.inside() == {victim.pid, worker}
        second.leaves.forget(WEB)
        assert second.leaves.folder_of(WEB) == str(grove.place / "opsvisord-web")  # until empty
        assert second.leaves.folder_of(ProcessId("no", "no")) is None
    finally:
        second.world.sampler.close()


@needs_cgroups
async def test_what_was_in_no_leaf_is_moved_when_it_is_adopted(
    victim: Victim, grove: Grove
) -> None:
    """The dead daemon had no place; or its process left it."""
    grove.leaves.adopt(WEB, victim.pid)
    await grove.settled()
    assert grove.inside() == {victim.pid}


@needs_cgroups
async def test_leaves_of_processes_that_are_no_more_go(grove: Grove) -> None:
    """Left by a daemon that crashed, for a program that left its configuration since."""
    (grove.place / "opsvisord-gone").mkdir()
    (grove.place / "another").mkdir()
    grove.leaves.open()
    grove.leaves.tidy()
    assert grove.names() == {"another"}
    (grove.place / "another").rmdir()


@needs_cgroups
async def test_a_program_with_limits_begins_in_its_leaf(grove: Grove, tmp_path: Path) -> None:
    """Its first instruction finds it there; what its fork used elsewhere is not its own."""
    folder = grove.leaves.prepare(WEB)
    assert folder is not None
    code = "print(open('/proc/self/cgroup').read()); input()"
    spec = ProcessSpec(
        id=WEB, program="web", command="x", argv=(sys.executable, "-I", "-S", "-c", code)
    )
    out = tmp_path / "out"
    still, stdin = os.pipe()
    with out.open("wb") as file:
        pid = spawn(spec, ChildFiles(still, file.fileno(), file.fileno()), {}, cgroup=folder)
    try:
        grove.leaves.run_began(WEB, pid)
        text = eventually(out.read_text)
        assert f"/{grove.place.name}/opsvisord-web\n" in text
        await grove.settled()
        total = grove.leaves.total_now(WEB)
        assert total is not None
        assert grove.inside() == {pid}
    finally:
        os.close(stdin)
        os.close(still)
        await asyncio.to_thread(os.waitpid, pid, 0)
