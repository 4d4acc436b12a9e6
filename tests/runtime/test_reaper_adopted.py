"""The end of a process that somebody else has started is told once, and rightly if at all."""

import asyncio
import fcntl
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from typing import NamedTuple

import pytest
from engine_room import PATIENCE, children, release_children
from foreigners import Foreigner, kernel_tells, turns
from procfs import descriptors_of, is_alive

from opsvisor.core.outcome import Outcome, Usage
from opsvisor.core.spec import Pid
from opsvisor.runtime import pidfd, reaper
from opsvisor.runtime.reaper import Orphan, Reaper

UNKNOWN = Outcome()
StartForeigner = Callable[[str], Foreigner]


class Told(NamedTuple):
    """What a reaper said of one end."""

    pid: Pid
    outcome: Outcome
    usage: Usage


class Watch:
    """A reaper, and all it told."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[Told] = asyncio.Queue()
        self.orphans: list[Orphan] = []
        self.collected: list[tuple[Pid, Outcome]] = []  # told of before all else
        self.reaper = Reaper(
            asyncio.get_running_loop(),
            on_exit=lambda *what: self.told.put_nowait(Told(*what)),
            on_orphan=self.orphans.append,
            on_ended=lambda *what: self.collected.append(what),
        )

    def adopt(self, one: Foreigner, descriptor: int | None = None) -> None:
        """Watch it."""
        self.reaper.watch_adopted(one.pid, born=one.born, pidfd=descriptor)

    async def next(self) -> Told:
        """The next end, and the only one so far."""
        async with asyncio.timeout(PATIENCE):
            one = await self.told.get()
        await turns()
        assert self.told.empty()
        assert self.reaper.pidfd_of(one.pid) is None
        return one


def own_child(script: str) -> Pid:
    """A child of this process that nobody watches."""
    child = subprocess.Popen(["sh", "-c", script])
    child.returncode = 0  # collected by the reaper
    return Pid(child.pid)


@pytest.fixture(autouse=True)
def nobody_stays() -> Iterator[None]:
    """No child is left, dead or alive, and no descriptor."""
    before, open_before = children(), descriptors_of(os.getpid())
    yield
    assert not release_children(before)
    assert len(descriptors_of(os.getpid())) <= len(open_before)


@pytest.fixture
async def watch(nobody_stays: None) -> AsyncIterator[Watch]:
    """An open reaper."""
    del nobody_stays
    one = Watch()
    one.reaper.open()
    yield one
    one.reaper.close()


@pytest.fixture
def start(nobody_stays: None) -> Iterator[StartForeigner]:
    """Starts processes that are not our children."""
    del nobody_stays
    made: list[Foreigner] = []

    def start(script: str) -> Foreigner:
        made.append(Foreigner(script))
        return made[-1]

    yield start
    for one in made:
        one.leave_nothing()


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ("exit 0", Outcome(code=0)),
        ("exit 7", Outcome(code=7)),
        ("kill -KILL $$", Outcome(signum=signal.SIGKILL)),
    ],
)
async def test_a_zombie_that_nobody_reaps_is_told_as_it_ended(
    watch: Watch, start: StartForeigner, script: str, outcome: Outcome
) -> None:
    """By its status in /proc. Its pidfd stays readable, and nobody looks at it again."""
    one = start(script)
    watch.adopt(one)
    one.end()
    told = await watch.next()
    assert told[:2] == (one.pid, outcome)
    assert pidfd.zombie_of(one.pid) is not None


async def test_one_that_was_reaped_before_we_look_is_known_by_its_pidfd(
    watch: Watch, start: StartForeigner
) -> None:
    """As far as the kernel remembers; otherwise it is unknown, and never a guess."""
    one = start("exit 7")
    watch.adopt(one)
    one.end()
    one.reap()
    expected = Outcome(code=7) if kernel_tells() else UNKNOWN
    assert (await watch.next())[:2] == (one.pid, expected)


async def test_a_pidfd_that_was_kept_knows_an_end_of_long_ago(
    watch: Watch, start: StartForeigner
) -> None:
    """The pid may be anybody's by then."""
    one = start("exit 9")
    kept = os.pidfd_open(one.pid)
    assert pidfd.end_of(one.pid, kept, born=one.born) is None
    one.end()
    one.reap()
    assert pidfd.is_of(kept, one.pid)
    expected = Outcome(code=9) if kernel_tells() else UNKNOWN
    end = pidfd.end_of(one.pid, kept, born=one.born)
    assert end is not None
    assert end.outcome == expected
    watch.adopt(one, kept)
    assert (await watch.next()).outcome == expected


async def test_the_kernel_of_yore_remembers_nothing(
    watch: Watch, start: StartForeigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the outcome is neither a code nor a signal."""

    def unknown_request(*_: object) -> int:
        raise OSError(25, "Inappropriate ioctl for device")

    monkeypatch.setattr(fcntl, "ioctl", unknown_request)
    one = start("exit 7")
    watch.adopt(one)
    one.end()
    one.reap()
    assert (await watch.next()).outcome == UNKNOWN


async def test_what_is_gone_already_is_told_too_and_not_at_once(
    watch: Watch, start: StartForeigner
) -> None:
    """Whoever adopts may not be ready yet for an answer."""
    one = start("exit 7")
    one.end()
    one.reap()
    watch.adopt(one)
    assert watch.told.empty()
    assert (await watch.next())[:2] == (one.pid, UNKNOWN)


async def test_the_number_of_one_that_has_ended_is_known_to_be_free(
    watch: Watch, start: StartForeigner
) -> None:
    """Before its end is told: whoever waits to signal it may come first, after a pause of ours."""
    seen, unseen, child = start("exit 7"), start("exit 7"), own_child("exit 7")
    watch.adopt(seen)
    watch.adopt(unseen)
    watch.reaper._unwatch_adopted(adopted := watch.reaper._adopted[unseen.pid])
    adopted.pidfd = None  # as where there was no descriptor left
    watch.reaper.watch(child)
    assert not any(map(watch.reaper.is_gone, (seen.pid, unseen.pid, child)))
    for one in (seen, unseen):
        one.end()
        one.reap()
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - it ends
    assert watch.told.empty()
    assert watch.reaper.is_gone(seen.pid)
    assert watch.reaper.is_gone(unseen.pid)
    assert not watch.reaper.is_gone(child)  # it has it until it is collected
    del watch.reaper._adopted[unseen.pid]
    assert {(await watch.told.get()).pid for _ in range(2)} == {seen.pid, child}


async def test_another_process_with_the_number_is_not_mistaken_for_it(
    watch: Watch, start: StartForeigner
) -> None:
    """The one we mean is gone, and this one is left alone."""
    other = start("exit 0")
    watch.reaper.watch_adopted(other.pid, born=other.born - 1)
    assert watch.reaper.is_gone(other.pid)
    assert (await watch.next())[:2] == (other.pid, UNKNOWN)
    assert is_alive(other.pid)


async def test_a_zombie_we_may_not_look_at_is_left_to_its_parent_for_a_while(
    watch: Watch, start: StartForeigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its status reads as 0, which is not what it ended with. Once reaped, it is known."""
    monkeypatch.setattr(pidfd, "_may_look_at", lambda _: False)
    monkeypatch.setattr(reaper, "_MOMENTS", (0.0, 3600.0))
    one = start("exit 7")
    watch.adopt(one)
    adopted = watch.reaper._adopted[one.pid]
    one.end()
    async with asyncio.timeout(PATIENCE):
        while adopted.looks < 2:
            await turns(1)
    one.reap()
    assert watch.told.empty()
    watch.reaper._adopted_ended(adopted)  # as after that moment
    assert (await watch.next()).outcome == (Outcome(code=7) if kernel_tells() else UNKNOWN)


async def test_a_zombie_that_stays_out_of_sight_is_not_waited_for(
    watch: Watch, start: StartForeigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few looks, then it is told as unknown: a restart must not wait for ever."""
    looked: list[int] = []
    monkeypatch.setattr(pidfd, "_may_look_at", looked.append)  # which gives None
    monkeypatch.setattr(reaper, "_MOMENTS", (0.0, 0.0))
    one = start("exit 7")
    watch.adopt(one)
    one.end()
    assert (await watch.next()).outcome == UNKNOWN
    assert len(looked) == 3


async def test_what_a_zombie_has_cost_is_told(watch: Watch, start: StartForeigner) -> None:
    """CPU time, as /proc has it."""
    one = start("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done")
    watch.adopt(one)
    one.end()
    usage = (await watch.next()).usage
    assert 0.02 < usage.user_seconds + usage.system_seconds < PATIENCE


async def test_a_child_of_ours_is_adopted_as_well(watch: Watch) -> None:
    """After an upgrade in place: its status and its costs are there to be collected."""
    pid = own_child("exit 3")
    born = pidfd.birth_of(pid)
    assert born is not None
    watch.reaper.watch_adopted(pid, born=born)
    told = await watch.next()
    assert told[:2] == (pid, Outcome(code=3))
    assert told.usage.max_rss_bytes > 0
    assert watch.collected == [(pid, Outcome(code=3))]
    assert not watch.orphans


async def test_one_that_becomes_our_child_is_collected_and_no_orphan(
    watch: Watch, start: StartForeigner
) -> None:
    """As subreaper, or as init, we inherit what our own descendants leave behind."""
    one = start("exit 5")
    watch.adopt(one)
    one.abandon()  # which closes its input, too
    assert (await watch.next())[:2] == (one.pid, Outcome(code=5))
    assert not watch.orphans


async def test_without_a_descriptor_it_is_watched_as_soon_as_there_is_one(
    watch: Watch, start: StartForeigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody sends us SIGCHLD for it."""
    real = os.pidfd_open
    refused: list[int] = []

    def none_left_at_first(pid: int) -> int:
        if not refused:
            refused.append(pid)
            raise OSError(24, "Too many open files")
        return real(pid)

    monkeypatch.setattr(os, "pidfd_open", none_left_at_first)
    monkeypatch.setattr(reaper, "_LOOK_FOR_DESCRIPTORS_EVERY", 0.0)
    one = start("exit 6")
    watch.adopt(one)
    one.end()
    assert (await watch.next())[:2] == (one.pid, Outcome(code=6))
    assert refused == [one.pid]


async def test_a_crowd_that_end_at_once_are_told_one_by_one(
    watch: Watch, start: StartForeigner
) -> None:
    """Each once, whether it was reaped in between or not."""
    every = [start(f"exit {number}") for number in range(50)]
    for one in every:
        watch.adopt(one)
    for number, one in enumerate(every):
        one.end()
        if number % 2 and kernel_tells():
            one.reap()
    async with asyncio.timeout(PATIENCE):
        told = [await watch.told.get() for _ in every]
    await turns()
    assert watch.told.empty()
    assert {t.pid: t.outcome.code for t in told} == {o.pid: n for n, o in enumerate(every)}


async def test_closing_lets_go_of_the_adopted(start: StartForeigner) -> None:
    """Nothing is told any more, no descriptor stays, and they live on."""
    watch = Watch()
    watch.reaper.open()
    one = start("exit 0")
    watch.adopt(one)
    assert watch.reaper.pidfd_of(one.pid) is not None
    watch.reaper.close()
    assert is_alive(one.pid)
    one.end()
    await turns()
    assert watch.told.empty()


def test_only_a_pidfd_of_the_process_is_one() -> None:
    """A keeper's word is not taken for it."""
    own = os.pidfd_open(os.getpid())
    other = os.open("/dev/null", os.O_RDONLY)
    assert pidfd.is_of(own, Pid(os.getpid()))
    assert not pidfd.is_of(own, Pid(1))
    assert not pidfd.is_of(other, Pid(os.getpid()))
    os.close(own)
    os.close(other)
    assert not pidfd.is_of(other, Pid(os.getpid()))
