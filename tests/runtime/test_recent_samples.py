"""What is remembered of the last minutes: how much, how exact, and in how little room."""

import sys
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import pytest

from opsvisor.core.spec import Pid, ProcessId
from opsvisor.runtime import recent_samples
from opsvisor.runtime.recent_samples import PLACES, REMEMBERED_FOR, RecentSamples
from opsvisor.runtime.sweep import Sweep, TreeSample

WEB = ProcessId("web", "web")
JOB = ProcessId("job", "job")
WALL = 1_000_000.0


def tree(rss: int) -> TreeSample:
    """A process that holds this much memory."""
    return TreeSample(
        pid=Pid(7),
        user_seconds=0.0,
        system_seconds=0.0,
        rss_bytes=rss,
        swap_bytes=0,
        processes=1,
        zombies=0,
        threads=1,
        open_fds=3,
        max_fds=0,
        fd_usage_ratio=0.0,
        io_read_bytes=0,
        io_written_bytes=0,
        major_faults=0,
        members=MappingProxyType({}),
    )


class Machine:
    """Processes whose use is told to it, and the samples that come of that."""

    def __init__(self) -> None:
        self.seconds: dict[ProcessId, float] = {}
        self.samples = RecentSamples(lambda process_id: self.seconds.get(process_id, 0.0))

    def sweep(self, at: float, **used: tuple[float, int]) -> None:
        """At this moment each of these had used so many seconds, and holds so many bytes."""
        self.seconds |= {ProcessId(name, name): seconds for name, (seconds, _) in used.items()}
        trees = {ProcessId(name, name): tree(rss) for name, (_, rss) in used.items()}
        for _ in self.begin_to_note(at, trees):
            pass

    def begin_to_note(self, at: float, trees: Mapping[ProcessId, TreeSample]) -> Iterator[None]:
        """The steps in which this sweep is noted."""
        sweep = Sweep(at_mono=at, at_wall=WALL + at, duration=0.0, trees=trees)
        return self.samples.swept(sweep)

    def cpu(self, process_id: ProcessId = WEB, points: int = PLACES) -> list[float | None]:
        """All that is remembered of its CPU."""
        return self.samples.history(process_id, self.samples.window(0.0, points)).cpu

    def rss(self, process_id: ProcessId = WEB) -> list[int | None]:
        """All that is remembered of its memory."""
        return self.samples.history(process_id, self.samples.window(0.0)).rss


def test_use_is_the_mean_since_the_sample_before() -> None:
    """The first one has none before it."""
    machine = Machine()
    machine.sweep(10, web=(1.0, 4096))
    assert machine.samples.cores(WEB) is None
    machine.sweep(12, web=(2.0, 8192))
    assert machine.samples.cores(WEB) == 0.5
    machine.sweep(16, web=(2.0, 8192))
    assert machine.cpu() == [None, 0.5, 0.0]
    assert machine.rss() == [4096, 8192, 8192]
    assert machine.samples.window(WALL + 11).at == [WALL + 12, WALL + 16]


def test_sweeps_in_quick_succession_are_thinned_out() -> None:
    """What is in use now is told of the last two, what is kept is the mean over all of them."""
    machine = Machine()
    machine.sweep(10, web=(0.0, 4096))
    machine.sweep(11, web=(1.0, 4096))
    assert machine.samples.cores(WEB) == 1.0
    machine.sweep(12, web=(1.0, 4096))
    assert machine.samples.cores(WEB) == 0.0
    assert machine.cpu() == [None, 0.5]
    machine.sweep(12.1, web=(1.1, 4096))  # ticks of 10 ms would be 10 % of this
    assert machine.samples.cores(WEB) == 0.0


def test_a_mean_over_minutes_says_nothing_about_now() -> None:
    """After a long time in which nobody looked there is no use, until somebody looks again."""
    machine = Machine()
    machine.sweep(10, web=(0.0, 4096))
    machine.sweep(1000, web=(500.0, 4096))
    assert machine.samples.cores(WEB) is None
    machine.sweep(1002, web=(501.0, 4096))
    assert machine.samples.cores(WEB) == 0.5


def test_what_does_not_run_has_nothing() -> None:
    """Neither before it began, nor while it is down; its CPU time counts on when it is back."""
    machine = Machine()
    machine.sweep(10, web=(0.0, 4096))
    machine.sweep(12, web=(1.0, 4096), job=(0.0, 4096))
    machine.sweep(14, job=(1.0, 4096))
    machine.sweep(16, web=(2.0, 4096), job=(1.0, 4096))
    assert machine.cpu() == [None, 0.5, None, 0.5]
    assert machine.rss() == [4096, 4096, None, 4096]
    assert machine.cpu(JOB) == [None, None, 0.5, 0.0]
    assert machine.rss(JOB) == [None, 4096, 4096, 4096]


def test_a_total_that_falls_is_no_negative_use() -> None:
    """A process that was forgotten and came again begins anew."""
    machine = Machine()
    machine.sweep(10, web=(5.0, 4096))
    machine.sweep(12, web=(0.0, 4096))
    assert machine.samples.cores(WEB) == 0.0
    machine.samples.forget(WEB)
    assert machine.cpu() == [None, None]
    assert machine.samples.cores(WEB) is None
    assert machine.samples.ids() == []


def test_only_the_last_minutes_are_kept() -> None:
    """The newest take the place of the oldest, of a process that is gone for now as well."""
    machine = Machine()
    machine.sweep(0, web=(0.0, 4096), job=(0.0, 4096))
    for number in range(1, 2 * PLACES):
        machine.sweep(number * 2.0, web=(number * 1.0, number * 4096))
    at = machine.samples.window(0.0).at
    assert len(at) == PLACES - 1
    assert at[-1] - at[0] == pytest.approx(REMEMBERED_FOR, abs=5)
    assert machine.cpu() == [0.5] * (PLACES - 1)
    assert machine.rss()[-1] == (2 * PLACES - 1) * 4096
    assert machine.rss()[0] == (PLACES + 1) * 4096
    assert set(machine.cpu(JOB)) == {None}


def test_few_points_stand_for_many_samples() -> None:
    """Each is the mean of the CPU, and the last of the memory; the newest sample is one."""
    machine = Machine()
    for number, seconds in enumerate((0, 1, 3, 6, 10, 15, 21)):
        machine.sweep(number * 2.0, web=(float(seconds), number * 4096))
    assert machine.cpu() == [None, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    window = machine.samples.window(0.0, 3)
    assert window.at == [WALL, WALL + 6, WALL + 12]
    history = machine.samples.history(WEB, window)
    assert history.cpu == [None, 1.0, 2.5]
    assert history.rss == [0, 3 * 4096, 6 * 4096]
    assert machine.cpu(points=1) == [1.75]


def test_a_process_takes_little_room() -> None:
    """2.4 kB for its samples, however often there is a sweep, and however much it uses."""
    machine = Machine()
    for number in range(3 * PLACES):
        machine.sweep(number * 2.0, web=(number * 99.0, 1 << 50))
    track = machine.samples._tracks[WEB]
    assert sys.getsizeof(track.cpu) + sys.getsizeof(track.pages) < 2700
    assert machine.rss()[-1] is not None


def test_a_sweep_is_noted_a_few_at_a_time() -> None:
    """The loop has other work in between: at most `_AT_ONCE` are asked for at each step."""
    machine = Machine()
    asked: list[ProcessId] = []

    def cpu_seconds(process_id: ProcessId) -> float:
        asked.append(process_id)
        return 0.0

    machine.samples = RecentSamples(cpu_seconds)
    trees = {ProcessId("many", str(number)): tree(4096) for number in range(1000)}
    steps = []
    for _ in machine.begin_to_note(0.0, trees):
        steps.append(len(asked))
        asked.clear()
    assert steps == [recent_samples._AT_ONCE] * 4


def test_what_is_forgotten_while_a_sweep_is_noted_stays_forgotten() -> None:
    """Whether its turn had come or not; and nobody sees the sample before it is whole."""
    machine = Machine()
    trees = {ProcessId("many", str(number)): tree(4096) for number in range(300)}
    steps = machine.begin_to_note(0.0, trees)
    next(steps)
    assert machine.samples.window(0.0).at == []
    for process_id in trees:
        machine.samples.forget(process_id)
    assert list(steps) == [None]
    assert machine.samples.ids() == []
    assert machine.samples.window(0.0).at == [WALL]
