"""What cgroups mean for a process: limits on the way up, counters of those that are its own."""

import os
from pathlib import Path

import pytest
from cgroup_tree import CgroupTree

from opsvisor.core.spec import Pid, ProcessId
from opsvisor.runtime.cgroups import Cgroups, Surroundings, Throttling
from opsvisor.runtime.ledger import ThrottleLedger
from opsvisor.runtime.oom import MACHINE, KillCount

WEB, API = ProcessId("web", "web"), ProcessId("api", "api")
PID, OTHER = Pid(100), Pid(101)
NOTHING = Surroundings(memory_limit=None, cpu_limit=None, throttling=None, kills=None)
MIB = 1 << 20


def look(tree: CgroupTree, pid: Pid = PID) -> Surroundings:
    """What surrounds WEB if this is its process."""
    return Cgroups(str(tree.proc)).look_around({WEB: pid})[WEB]


def test_the_smallest_limit_on_the_way_up_applies(tmp_path: Path) -> None:
    """A generous limit below a tight one is worth nothing."""
    tree = CgroupTree(tmp_path)
    tree.put(PID, "/shop/web")
    for cgroup, memory, cpu in (
        ("/", f"{900 * MIB}\n", "max 100000\n"),
        ("/shop", f"{200 * MIB}\n", "150000 100000\n"),
        ("/shop/web", "max\n", "20000 10000\n"),
    ):
        tree.write(cgroup, "memory.max", memory)
        tree.write(cgroup, "cpu.max", cpu)
    seen = look(tree)
    assert (seen.memory_limit, seen.cpu_limit) == (200 * MIB, 1.5)


def test_no_limit_is_none(tmp_path: Path) -> None:
    """Neither where files say `max`, nor where there are none."""
    tree = CgroupTree(tmp_path)
    tree.put(PID, "/shop/web")
    assert look(tree) == NOTHING
    tree.write("/shop", "memory.max", "max\n")
    tree.write("/shop", "cpu.max", "max 100000\n")
    assert look(tree) == NOTHING


def test_version_1_says_it_in_its_own_words(tmp_path: Path) -> None:
    """Each controller has its own hierarchy, and no limit is a number near 2**63."""
    tree = CgroupTree(tmp_path, "cpu,cpuacct", "memory")
    tree.put(PID, "/ignored", memory="/m/web", cpu="/c/web")
    tree.write("/ignored", "memory.max", "1\n")
    tree.write("/", "memory.limit_in_bytes", "9223372036854771712\n", legacy="memory")
    tree.write("/m", "memory.limit_in_bytes", f"{300 * MIB}\n", legacy="memory")
    tree.write("/m/web", "memory.limit_in_bytes", "9223372036854771712\n", legacy="memory")
    events = tree.write("/m/web", "memory.oom_control", "oom_kill 3\n", legacy="memory")
    tree.write("/", "cpu.cfs_quota_us", "-1\n", legacy="cpu,cpuacct")
    tree.write("/", "cpu.cfs_period_us", "100000\n", legacy="cpu,cpuacct")
    tree.write("/c/web", "cpu.cfs_quota_us", "25000\n", legacy="cpu,cpuacct")
    tree.write("/c/web", "cpu.cfs_period_us", "100000\n", legacy="cpu,cpuacct")
    text = "nr_periods 10\nnr_throttled 4\nthrottled_time 1500000000\n"
    stat = tree.write("/c/web", "cpu.stat", text, legacy="cpu,cpuacct")
    assert look(tree) == Surroundings(
        memory_limit=300 * MIB,
        cpu_limit=0.25,
        throttling=Throttling(
            folder=str(stat.parent), periods=10, throttled_periods=4, throttled_seconds=1.5
        ),
        kills=KillCount(str(events), 3),
    )


def test_a_cgroup_of_its_own_counts_for_the_process(tmp_path: Path) -> None:
    """Version 2: throttling in microseconds, kills in memory.events."""
    tree = CgroupTree(tmp_path)
    tree.put(PID, "/web")
    events = tree.write("/web", "memory.events", "low 0\nhigh 0\noom_kill 2\n")
    tree.write(
        "/web", "cpu.stat", "usage_usec 9\nnr_periods 7\nnr_throttled 1\nthrottled_usec 20\n"
    )
    seen = look(tree)
    assert seen.kills == KillCount(str(events), 2)
    assert seen.throttling is not None
    assert (seen.throttling.periods, seen.throttling.throttled_seconds) == (7, 20e-6)


def test_a_cgroup_without_the_controller_counts_no_periods(tmp_path: Path) -> None:
    """`cpu.stat` is always there; on a machine with both versions it may hold the usage only."""
    tree = CgroupTree(tmp_path)
    tree.put(PID, "/web")
    tree.write("/web", "cpu.stat", "usage_usec 9\nuser_usec 9\nsystem_usec 0\n")
    assert look(tree) == NOTHING


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("/web", "/elsewhere"),  # the daemon is in it
        ("/web/daemon", "/elsewhere"),  # the daemon is below it
        ("/", "/web"),  # another program is in it
        ("/", "/web/below"),  # another program is below it
    ],
)
def test_what_a_shared_cgroup_counts_is_nobodys(tmp_path: Path, ours: str, theirs: str) -> None:
    """Its limits apply all the same."""
    tree = CgroupTree(tmp_path)
    tree.put("self", ours)
    tree.put(PID, "/web")
    tree.put(OTHER, theirs)
    tree.write("/web", "memory.events", "oom_kill 2\n")
    tree.write("/web", "memory.max", "4096\n")
    tree.write("/web", "cpu.stat", "nr_periods 7\n")
    seen = Cgroups(str(tree.proc)).look_around({WEB: PID, API: OTHER})[WEB]
    assert (seen.memory_limit, seen.kills, seen.throttling) == (4096, None, None)


def test_a_container_sees_a_part_of_the_tree(tmp_path: Path) -> None:
    """Without a namespace of cgroups paths are the host's; the mount says which part is here."""
    tree = CgroupTree(tmp_path, root="/docker/abc")
    tree.put("self", "/docker/abc")
    tree.put(PID, "/docker/abc/web")
    tree.put(OTHER, "/docker/abcdef")  # of another container: not to be seen here
    tree.write("/", "memory.max", "8192\n")
    tree.write("/web", "memory.max", "4096\n")
    found = Cgroups(str(tree.proc)).look_around({WEB: PID, API: OTHER})
    assert (found[WEB].memory_limit, found[API]) == (4096, NOTHING)


def test_a_process_that_moves_is_found_again(tmp_path: Path) -> None:
    """At once when it is new, then within three sweeps, later a dozen; a successor at once."""
    tree = CgroupTree(tmp_path)
    tree.write("/a", "memory.max", "4096\n")
    tree.write("/b", "memory.max", "8192\n")
    tree.put(PID, "/a")
    cgroups = Cgroups(str(tree.proc))

    def limit(pid: Pid) -> float | None:
        return cgroups.look_around({WEB: pid})[WEB].memory_limit

    assert limit(PID) == 4096
    tree.put(PID, "/b")
    assert limit(PID) == 8192
    tree.put(PID, "/a")
    assert [limit(PID) for _ in range(3)][-1] == 4096
    assert {limit(PID) for _ in range(7)} == {4096}
    tree.put(PID, "/b")
    later = [limit(PID) for _ in range(12)]
    assert (later[0], later[-1]) == (4096, 8192)
    tree.put(OTHER, "/b")
    assert limit(OTHER) == 8192


def test_a_cgroup_outside_of_our_namespace_is_unknown(tmp_path: Path) -> None:
    """The kernel shows it as a way up and out."""
    tree = CgroupTree(tmp_path)
    tree.put(PID, "/../other")
    assert look(tree) == NOTHING


def test_a_place_may_be_long_and_oddly_called(tmp_path: Path) -> None:
    """Containers within containers have long names in each of a dozen hierarchies of version 1."""
    hierarchies = [f"c{number}" for number in range(11)]
    for length in range(300, 400):
        directory = tmp_path / str(length)
        tree = CgroupTree(directory, *hierarchies, "memory")
        deep = f"/{'x' * length}"
        tree.put(PID, deep, **dict.fromkeys(hierarchies, deep), memory="/a\x0bb\x85c\u2028d")
        place = Cgroups(str(tree.proc)).place_of(PID)
        assert place.memory == f"{directory}/memory/a\x0bb\x85c\u2028d"
        assert place.unified == f"{directory}/uni fied{deep}"


def test_half_a_line_says_nothing(tmp_path: Path) -> None:
    """What is longer than anything a kernel says is cut somewhere."""
    tree = CgroupTree(tmp_path, "memory")
    (tree.proc / "100").mkdir()
    for text in ("1:mem", "1:memory:/half", ""):
        (tree.proc / "100" / "cgroup").write_text(f"0::/shop\n{text}")
        place = Cgroups(str(tree.proc)).place_of(PID)
        assert (place.unified, place.memory) == (f"{tmp_path}/uni fied/shop", "")


def test_processes_that_are_gone_have_no_surroundings(tmp_path: Path) -> None:
    """Nor do processes on a machine without any cgroups."""
    tree = CgroupTree(tmp_path)
    assert Cgroups(str(tree.proc)).look_around({WEB: PID}) == {}
    (tree.proc / "self" / "mountinfo").write_text("")
    tree.put(PID, "/web")
    assert look(tree) == NOTHING


def test_the_counter_that_all_share_is_the_narrowest_that_tells(tmp_path: Path) -> None:
    """That of the daemon's cgroup; of the machine where it has none, as in version 2's root."""
    tree = CgroupTree(tmp_path)
    tree.put("self", "/service")
    assert Cgroups(str(tree.proc)).shared_kills() == MACHINE
    events = tree.write("/service", "memory.events", "oom_kill 0\n")
    assert Cgroups(str(tree.proc)).shared_kills() == str(events)


def test_this_machine_is_understood() -> None:
    """The real /proc: whatever it has, a process of ours is found where we are."""
    cgroups = Cgroups()
    here = Pid(os.getpid())
    assert cgroups.place_of(here) == cgroups.place_of()
    assert cgroups.look_around({WEB: here}).keys() == {WEB}


def throttling(folder: str, count: int) -> Throttling:
    """So much of everything."""
    return Throttling(
        folder=folder, periods=count, throttled_periods=count, throttled_seconds=float(count)
    )


def test_throttling_never_falls_whatever_becomes_of_the_cgroup() -> None:
    """Counted from the first sight; removed and made again, or left for another one."""
    ledger = ThrottleLedger(throttling("/a", 100))
    told = [ledger.total()]
    for seen in (
        throttling("/a", 110),
        throttling("/a", 3),  # a new one of the same name: all that it counts is new
        throttling("/a", 5),
        throttling("/b", 70),  # who made it count so far is not known
        throttling("/b", 71),
        throttling("/a", 5),
    ):
        ledger.saw(seen)
        told.append(ledger.total())
    assert [one.periods for one in told] == [0, 10, 13, 15, 15, 16, 16]
    assert [one.throttled_periods for one in told] == [0, 10, 13, 15, 15, 16, 16]
    assert [one.throttled_seconds for one in told] == [0, 10, 13, 15, 15, 16, 16]
