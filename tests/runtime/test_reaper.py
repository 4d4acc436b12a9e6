"""Every end is reported once, with its status and its costs."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest
from engine_room import PATIENCE, children, release_children

from opsvisor.core.outcome import Outcome, Usage
from opsvisor.core.spec import Pid
from opsvisor.runtime.pidfd import outcome_of
from opsvisor.runtime.reaper import Orphan, Reaper

# Leaves an orphan behind in its own process group, says its pid, and ends; the orphan ends with 5
# when its standard input is closed.
FORK_TWICE = """
import os
if os.fork() == 0:
    os.setpgid(0, 0)
    if os.fork() == 0:
        while os.read(0, 1): pass
        os._exit(5)
    os.write(1, b"%d" % os.getpid())
    os._exit(0)
os.wait()
"""


def start(*argv: str, stdin: int | None = None, stdout: int | None = None) -> Pid:
    """Start a program that nobody watches, in a process group of its own."""
    child = subprocess.Popen(argv, stdin=stdin, stdout=stdout, process_group=0)
    child.returncode = 0  # collected by the reaper, not by subprocess
    return Pid(child.pid)


def let_end(pid: Pid) -> None:
    """Return when it is a zombie."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def collect(pid: Pid) -> Outcome:
    """How it ended, from the kernel."""
    return outcome_of(os.waitpid(pid, 0)[1])


class Watch:
    """A reaper, and notes of what it reported."""

    def __init__(self) -> None:
        self.ended: dict[Pid, Outcome] = {}
        self.usages: dict[Pid, Usage] = {}
        self.orphans: list[Orphan] = []
        self._something = asyncio.Event()
        self.reaper = Reaper(
            asyncio.get_running_loop(), on_exit=self._ended, on_orphan=self._orphan
        )

    def start(self, *argv: str) -> Pid:
        """Start a program that is watched."""
        pid = start(*argv)
        self.reaper.watch(pid)
        return pid

    async def until(self, *, ended: int = 0, orphans: int = 0) -> None:
        """Wait until this many ends were reported."""
        async with asyncio.timeout(PATIENCE):
            while len(self.ended) < ended or len(self.orphans) < orphans:
                await self._something.wait()

    def _ended(self, pid: Pid, outcome: Outcome, usage: Usage) -> None:
        assert pid not in self.ended, f"{pid} was reported twice"
        self.ended[pid] = outcome
        self.usages[pid] = usage
        self._tell()

    def _orphan(self, orphan: Orphan) -> None:
        self.orphans.append(orphan)
        self._tell()

    def _tell(self) -> None:
        self._something.set()
        self._something.clear()


@pytest.fixture(autouse=True)
def nobody_stays() -> Iterator[None]:
    """No child is left, dead or alive."""
    before = children()
    yield
    assert not release_children(before)


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    """An open reaper."""
    one = Watch()
    one.reaper.open()
    yield one
    one.reaper.close()
    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ("exit 0", Outcome(code=0)),
        ("exit 255", Outcome(code=255)),
        ("kill -TERM $$", Outcome(signum=signal.SIGTERM)),
        ("kill -KILL $$", Outcome(signum=signal.SIGKILL)),
    ],
)
async def test_an_exit_is_a_code_or_a_signal(watch: Watch, script: str, outcome: Outcome) -> None:
    """Never guessed, never a code made out of a signal."""
    pid = watch.start("sh", "-c", script)
    await watch.until(ended=1)
    assert watch.ended == {pid: outcome}


def test_a_core_dump_is_part_of_the_outcome() -> None:
    """Bit 7 of a wait status (wait(2)); whether a core is written is the machine's business."""
    assert outcome_of(signal.SIGSEGV | 0x80) == Outcome(signum=signal.SIGSEGV, core_dumped=True)
    assert outcome_of(signal.SIGSEGV) == Outcome(signum=signal.SIGSEGV)


async def test_the_costs_are_those_of_this_process(watch: Watch) -> None:
    """CPU seconds, memory and switches as the kernel counted them, in the units promised."""
    burn = "import os\nwhile os.times().user < 0.2: pass\nb = bytearray(64 << 20)"
    busy = watch.start(sys.executable, "-I", "-S", "-c", burn)
    idle = watch.start("true")
    await watch.until(ended=2)
    assert 0.19 < watch.usages[busy].user_seconds < 5
    assert watch.usages[idle].user_seconds < 0.1
    # Only a lower bound: the peak of whoever made it by vfork counts as its own (exec_mmap()).
    assert 64 << 20 < watch.usages[busy].max_rss_bytes < 1 << 40


async def test_a_crowd_that_ends_at_once_is_reported_one_by_one(watch: Watch) -> None:
    """SIGCHLDs merge when they are many; nothing is lost and nothing told twice."""
    started = [watch.start("sh", "-c", f"exit {number % 3}") for number in range(200)]
    await watch.until(ended=200)
    assert watch.ended == {pid: Outcome(code=n % 3) for n, pid in enumerate(started)}
    assert watch.orphans == []


async def test_one_that_ended_before_it_was_watched_is_reported_too(watch: Watch) -> None:
    """A zombie's pidfd is readable from the start."""
    pid = start("sh", "-c", "exit 4")
    let_end(pid)
    watch.reaper.watch(pid)
    await watch.until(ended=1)
    assert watch.ended == {pid: Outcome(code=4)}


async def test_the_end_is_told_to_whoever_watches(watch: Watch) -> None:
    """Once, and to nobody else."""
    told: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    pid = start("sh", "-c", "exit 7")
    watch.reaper.watch(pid, lambda _pid, outcome, _usage: told.set_result(outcome))
    async with asyncio.timeout(PATIENCE):
        assert await told == Outcome(code=7)
    assert not watch.ended
    assert not watch.orphans


async def test_what_precedes_the_collection_finds_the_number_taken(watch: Watch) -> None:
    """Of its group too: of what is in it by then, nothing can be somebody else's."""
    found: list[Pid] = []
    told: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def before(pid: Pid) -> None:
        os.killpg(pid, 0)  # nobody has the number of one that was collected
        found.append(pid)

    pid = start("sh", "-c", "exit 7")
    watch.reaper.watch(pid, lambda _pid, outcome, _usage: told.set_result(outcome), before=before)
    async with asyncio.timeout(PATIENCE):
        assert await told == Outcome(code=7)
    assert found == [pid]
    assert not watch.reaper._before


async def test_without_a_descriptor_the_end_is_told_all_the_same(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGCHLD says that something ended, and what it was is known."""

    def none_left(_pid: int) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", none_left)
    pid = start("true")
    with pytest.raises(OSError, match="Too many"):
        watch.reaper.watch(pid)
    await watch.until(ended=1)
    assert watch.ended == {pid: Outcome(code=0)}
    assert not watch.orphans


async def test_an_orphan_is_inherited_reaped_and_told_with_its_group(watch: Watch) -> None:
    """By its process group one can tell whose it was, after its parents are gone."""
    from_orphan, to_test = os.pipe()
    to_orphan, release = os.pipe()
    interpreter = (sys.executable, "-I", "-S", "-c")
    pid = start(*interpreter, FORK_TWICE, stdin=to_orphan, stdout=to_test)
    os.close(to_test)
    os.close(to_orphan)
    watch.reaper.watch(pid)
    await watch.until(ended=1)
    os.close(release)
    with os.fdopen(from_orphan) as lines:
        await watch.until(orphans=1)
        group = int(lines.read())
    (orphan,) = watch.orphans
    assert orphan.outcome == Outcome(code=5)
    assert orphan.process_group == group != orphan.pid
    assert orphan.session == os.getsid(0)
    assert watch.ended == {pid: Outcome(code=0)}


async def test_a_child_nobody_watches_is_reaped_like_an_orphan(watch: Watch) -> None:
    """What runs out of descriptors at `watch` is still collected, and no zombie stays."""
    pid = start("sh", "-c", "exit 6")
    await watch.until(orphans=1)
    (orphan,) = watch.orphans
    assert (orphan.pid, orphan.outcome) == (pid, Outcome(code=6))
    assert orphan.process_group == pid


async def test_closing_leaves_the_living_alone() -> None:
    """The descriptors go, the process stays, and its end is for somebody else to collect."""
    watch = Watch()
    watch.reaper.open()
    pid = watch.start("sleep", "1000")
    watch.reaper.close()
    os.kill(pid, signal.SIGKILL)
    let_end(pid)
    assert collect(pid) == Outcome(signum=signal.SIGKILL)
    assert watch.ended == {}
