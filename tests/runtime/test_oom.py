"""Who was killed by the OOM killer, told from counters of the kernel that a test can write."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from opsvisor.core.outcome import Outcome
from opsvisor.core.spec import Pid, ProcessId
from opsvisor.runtime.oom import MACHINE, KillCount, OomWatch, count_kills

KILLED = Outcome(signum=signal.SIGKILL)
WEB, API = ProcessId("web", "web"), ProcessId("api", "api")
PID, OTHER = Pid(100), Pid(101)


class Bench:
    """A watch over files that the test writes, on a clock that it moves."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.now = 0.0
        self.shared("0")
        self.watch = OomWatch(str(directory / "shared"), mono=lambda: self.now)

    def shared(self, kills: str) -> None:
        """So many kills in the counter that all share."""
        (self._directory / "shared").write_text(f"low 1\noom 9\noom_kill {kills}\nother 7\n")

    def own(self, kills: int) -> KillCount:
        """So many kills in the cgroup of WEB."""
        path = self._directory / "own"
        path.write_text(f"oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n")
        return KillCount(str(path), kills)

    def begin(self, pid: Pid = PID) -> None:
        """A run begins, later than anything before."""
        self.now += 1.0
        self.watch.run_began(pid)

    def sweep(self, own: KillCount | None = None) -> None:
        """A sweep reads the counters as they are."""
        self.watch.swept(count_kills(self.watch.shared), {WEB: own})

    def ends_by_oom(
        self,
        process_id: ProcessId = WEB,
        pid: Pid = PID,
        *,
        outcome: Outcome = KILLED,
        by_us: bool = False,
    ) -> bool:
        """Whether this end is found to be the OOM killer's work."""
        return self.watch.run_ended(process_id, pid, outcome, killed_by_us=by_us)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Nothing was killed yet."""
    bench = Bench(tmp_path)
    yield bench
    bench.watch.close()


def test_a_sigkill_while_the_counter_rose_was_the_oom_killer(bench: Bench) -> None:
    """The kernel counts before it kills, so the count is there when we hear of the death."""
    bench.begin()
    bench.shared("1")
    assert bench.ends_by_oom()
    assert bench.watch.kills(WEB) == 1
    assert bench.watch.kills(API) == 0


def test_a_sigkill_while_nothing_rose_was_somebody_else(bench: Bench) -> None:
    """`kill -9` by hand is no want of memory, however often the kernel killed before that run."""
    bench.shared("5")
    bench.begin()
    assert not bench.ends_by_oom()
    assert bench.watch.kills(WEB) == 0


@pytest.mark.parametrize(
    ("outcome", "by_us"),
    [(Outcome(signum=signal.SIGTERM), False), (Outcome(code=137), False), (KILLED, True)],
)
def test_other_ends_are_not_taken_for_it(bench: Bench, outcome: Outcome, *, by_us: bool) -> None:
    """The kill happened elsewhere: this one has an explanation already."""
    bench.begin()
    bench.shared("1")
    assert not bench.ends_by_oom(outcome=outcome, by_us=by_us)
    assert bench.watch.kills(WEB) == 0


def test_one_kill_explains_one_death(bench: Bench) -> None:
    """Of two processes that died by SIGKILL while one was counted, only one died of it."""
    bench.begin()
    bench.begin(OTHER)
    bench.shared("1")
    assert bench.ends_by_oom()
    assert not bench.ends_by_oom(API, OTHER)
    bench.begin()
    bench.begin(OTHER)
    bench.shared("3")
    assert bench.ends_by_oom()
    assert bench.ends_by_oom(API, OTHER)
    assert (bench.watch.kills(WEB), bench.watch.kills(API)) == (2, 1)


def test_old_kills_of_strangers_explain_nothing_once_two_sweeps_saw_them(bench: Bench) -> None:
    """A process that runs for weeks is not blamed for what the kernel killed last month."""
    bench.begin()
    bench.shared("1")
    bench.sweep()
    bench.sweep()
    assert not bench.ends_by_oom()


def test_a_kill_seen_by_the_last_sweep_still_explains_a_death(bench: Bench) -> None:
    """A large process takes a while to die, and looks alive meanwhile."""
    bench.begin()
    bench.sweep()
    bench.shared("1")
    bench.sweep()
    assert bench.ends_by_oom()


def test_runs_that_begin_together_share_a_reading(bench: Bench) -> None:
    """A thousand processes started at once read the file a few times, not a thousand."""
    bench.begin()
    bench.shared("1")
    bench.watch.run_began(OTHER)  # in the same instant
    assert bench.ends_by_oom(API, OTHER)
    bench.begin(OTHER)
    assert not bench.ends_by_oom(API, OTHER)


def test_kills_in_its_own_cgroup_count_whoever_they_hit(bench: Bench) -> None:
    """A worker that was killed is a kill of the tree, and no end of the run."""
    bench.begin()
    bench.sweep(bench.own(4))
    assert bench.watch.kills(WEB) == 0  # before anyone looked: not known whose they were
    bench.sweep(bench.own(6))
    assert bench.watch.kills(WEB) == 2


def test_an_end_in_its_own_cgroup_is_read_there_at_once(bench: Bench) -> None:
    """No sweep needs to come by; and what others share says nothing about it."""
    bench.begin()
    bench.sweep(bench.own(0))
    bench.shared("1")
    assert not bench.ends_by_oom()
    bench.begin()
    bench.own(1)
    assert bench.ends_by_oom()
    assert bench.watch.kills(WEB) == 1
    bench.sweep(bench.own(1))
    assert bench.watch.kills(WEB) == 1  # counted once


def test_our_own_kill_in_a_cgroup_where_memory_ran_out_stays_ours(bench: Bench) -> None:
    """The kill there hit somebody else, and counts."""
    bench.begin()
    bench.sweep(bench.own(0))
    bench.own(1)
    assert not bench.ends_by_oom(by_us=True)
    assert bench.watch.kills(WEB) == 1


def test_a_worker_killed_long_ago_does_not_explain_the_end_of_its_parent(bench: Bench) -> None:
    """It counts as a kill all the same."""
    bench.begin()
    bench.sweep(bench.own(0))
    bench.sweep(bench.own(1))
    bench.sweep(bench.own(1))
    bench.own(1)
    assert not bench.ends_by_oom()
    assert bench.watch.kills(WEB) == 1


def test_what_a_cgroup_below_ours_counts_is_not_counted_for_another(bench: Bench) -> None:
    """In version 2 the daemon's own cgroup counts it as well."""
    bench.begin()
    bench.begin(OTHER)
    bench.sweep(bench.own(0))
    bench.shared("1")
    bench.sweep(bench.own(1))
    assert not bench.ends_by_oom(API, OTHER)


def test_a_sweep_that_comes_late_takes_nothing_back(bench: Bench) -> None:
    """It read the file before the end was seen, and arrives after it."""
    bench.begin()
    late = bench.own(0)
    bench.sweep(late)
    bench.own(1)
    assert bench.ends_by_oom()
    bench.watch.swept(0, {WEB: late})
    bench.sweep(bench.own(1))
    assert bench.watch.kills(WEB) == 1


def test_a_process_that_left_its_cgroup_is_judged_by_what_all_share(bench: Bench) -> None:
    """So is one whose cgroup was removed together with it."""
    bench.begin()
    found = bench.own(0)
    bench.sweep(found)
    bench.sweep(None)
    bench.shared("1")
    assert bench.ends_by_oom()
    bench.begin()
    bench.sweep(found)
    Path(found.path).unlink()
    bench.shared("2")
    assert bench.ends_by_oom()


def test_what_left_the_plan_is_forgotten(bench: Bench) -> None:
    """A process of the same name that comes later begins at zero."""
    bench.begin()
    bench.shared("1")
    assert bench.ends_by_oom()
    bench.watch.forget(WEB)
    assert bench.watch.kills(WEB) == 0


def test_the_machine_tells_how_many_it_killed() -> None:
    """Linux 4.13 and later; a file without that line, or none at all, tells nothing."""
    assert (count_kills(MACHINE) or 0) >= 0
    assert count_kills(MACHINE) is not None
    assert count_kills("/proc/meminfo") is None
    assert count_kills("/proc/no such file") is None
    assert count_kills("/proc") is None  # which can't be read, as what was removed


def test_a_counter_that_was_made_anew_is_read(bench: Bench, tmp_path: Path) -> None:
    """The file is open all the time. A cgroup that was removed can't be read any more."""
    bench.begin()
    bench.shared("1")
    (descriptor,) = (fd for fd in os.listdir("/proc/self/fd") if _is(fd, tmp_path / "shared"))  # noqa: PTH208 - names alone
    unreadable = os.open(tmp_path, os.O_RDONLY)
    os.dup2(unreadable, int(descriptor), inheritable=False)
    os.close(unreadable)
    assert bench.ends_by_oom()


def _is(descriptor: str, path: Path) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}") == str(path)  # noqa: PTH115 - as it is
    except OSError:  # it was the one that lists them
        return False


def test_a_later_watch_counts_on(bench: Bench) -> None:
    """Kills that were told of stay told, and one in between is still explained by nobody."""
    bench.begin()
    bench.shared("1")
    assert bench.ends_by_oom()
    bench.begin(OTHER)
    with closing(OomWatch(bench.watch.shared)) as later:
        later.recall(bench.watch.remember())
        assert later.kills(WEB) == 1
        assert not later.run_ended(API, OTHER, KILLED, killed_by_us=False)
        bench.shared("2")
        assert later.run_ended(API, OTHER, KILLED, killed_by_us=False)


def test_kills_of_another_place_are_not_compared(bench: Bench, tmp_path: Path) -> None:
    """A daemon that was moved to another cgroup shares another counter: only the sums go on."""
    bench.shared("5")
    bench.watch.owns(WEB, bench.own(3))
    bench.begin()
    (tmp_path / "elsewhere").write_text("oom_kill 1\n")
    with closing(OomWatch(str(tmp_path / "elsewhere"))) as later:
        later.recall(bench.watch.remember())
        assert later.remember().window.latest == 1
        assert [own.counted for own in later.remember().own] == [3]
