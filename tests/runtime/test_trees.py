"""Ending all that came of a process; those that escape from a real daemon: test_nothing_left."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from cells import can_have, cell
from daemon import PATIENCE, eventually
from procfs import children_of, is_alive

from opsvisor.core.outcome import Outcome, Usage
from opsvisor.core.spec import Pid, ProcessId
from opsvisor.runtime import trees as module
from opsvisor.runtime.marks import Mark, Marks, bearers
from opsvisor.runtime.proctree import read_stat
from opsvisor.runtime.trees import HeldEnd, StoppedTrees, Tree, descendants, end_trees

WEB, API, DB = (ProcessId("web", name) for name in ("web", "api", "db"))
# Deaf to SIGTERM, with a child in another session; ends when nobody reads from its pipe any more.
PROGRAM = "trap '' TERM; setsid sleep 1000 & echo; wait"

# A fork of it takes a millisecond: that long the table of its pages is copied.
FORKER = """if True:
    import contextlib, mmap, os, signal
    memory = mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel that has no huge ones
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    for at in range(0, len(memory), mmap.PAGESIZE):
        memory[at] = 1
    os.write(1, b".")
    os.read(0, 1)
    if os.fork() == 0:
        os.setsid()
        os.write(1, b".")
    while True:
        signal.pause()
"""
_FORKING_TIMES = 12


class Stage:
    """Programs of one daemon, all of them gone at the end."""

    def __init__(self) -> None:
        self.marks = Marks()
        self.leaders: list[subprocess.Popen[bytes]] = []
        self.ends: list[int] = []

    def begin(self, process_id: ProcessId, *, marked: bool = True, text: str = PROGRAM) -> Pid:
        """A program with a child, as soon as it has that."""
        if marked:
            with self.marks.handed_on(process_id):
                pid = self._begin(text)
        else:
            pid = self._begin(text)
        eventually(lambda: [one for one in children_of(pid) if _command(one) == "sleep"])
        return pid

    def _begin(self, text: str) -> Pid:
        leader = subprocess.Popen(
            ["sh", "-c", text], stdout=subprocess.PIPE, start_new_session=True
        )
        self.leaders.append(leader)
        assert leader.stdout is not None
        leader.stdout.readline()
        return Pid(leader.pid)

    def fork(self, process_id: ProcessId) -> None:
        """Programs that fork, as soon as the first of them have; most are in the middle of it."""
        begin, now = os.pipe()
        hearing, telling = os.pipe()
        words = [sys.executable, "-I", "-S", "-c", FORKER]
        with self.marks.handed_on(process_id):
            leaders = [subprocess.Popen(words, stdin=begin, stdout=telling) for _ in range(10)]
        self.leaders += leaders
        os.close(begin)
        os.close(telling)
        for _ in leaders:
            assert os.read(hearing, 1)
        os.write(now, b"!" * len(leaders))
        for _ in range(2):
            assert os.read(hearing, 1)
        self.ends += [now, hearing]  # or whoever is later than that would end with an error

    def tree(self, process_id: ProcessId, **facts: object) -> Tree:
        """What is known of a process's tree."""
        return Tree(id=process_id, mark=self.marks.of(process_id), **facts)  # type: ignore[arg-type]  # whatever a test knows

    def end(self) -> None:
        """Leave nothing, and be ready for more."""
        for leader in self.leaders:
            for pid in (*(pid for pid, _ in descendants([Pid(leader.pid)])), leader.pid):
                _kill(pid)
            leader.communicate()
        for pid in self.marks.of_daemon(may_outlive=True):
            _kill(pid)
        for end in self.ends:
            os.close(end)
        self.leaders, self.ends = [], []


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):  # init was quicker
        os.kill(pid, signal.SIGKILL)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Programs, and an end of them."""
    one = Stage()
    yield one
    one.end()


def everybody(pid: Pid) -> list[int]:
    """This process and all that comes of it."""
    return [pid, *(one for one, _ in descendants([pid]))]


def test_all_that_bear_the_mark_are_ended_and_nobody_else(stage: Stage) -> None:
    """Of several trees at once; how many are left is told of each."""
    web, api = everybody(stage.begin(WEB)), everybody(stage.begin(API))
    stranger = everybody(stage.begin(WEB, marked=False))
    assert len(web) == 2
    assert end_trees([stage.tree(WEB), stage.tree(ProcessId("no", "no"))]) == {
        WEB: 0,
        ProcessId("no", "no"): 0,
    }
    assert not any(map(is_alive, web))
    assert all(map(is_alive, api + stranger))
    assert end_trees([stage.tree(API)]) == {API: 0}
    assert not any(map(is_alive, api))


def test_who_comes_while_it_is_looked_is_found_by_looking_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as each look finds somebody new; and what never ends is left to the next pass."""
    pids = [stage.begin(WEB) for _ in range(3)]
    everybody_there = [one for pid in pids for one in everybody(pid)]
    real, looks = bearers, 0

    def some(marks: Collection[Mark]) -> dict[Mark, list[Pid]]:
        nonlocal looks
        looks += 1
        return {mark: found[: 2 * looks] for mark, found in real(marks).items()}

    monkeypatch.setattr(module, "bearers", some)
    assert end_trees([stage.tree(WEB)]) == {WEB: 0}
    assert looks == 5  # the last one when all that were found are dead
    assert not any(map(is_alive, everybody_there))
    monkeypatch.setattr(module, "_TO_FREEZE", -1.0)
    monkeypatch.setattr(module, "bearers", real)
    stage.begin(WEB)
    assert end_trees([stage.tree(WEB)]) == {WEB: 1}  # it has not looked to the end
    assert end_trees([stage.tree(WEB)]) == {WEB: 0}


def test_who_is_born_after_the_last_look_is_found_by_one_more(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGSTOP lets a fork that is under way finish: here its child can't be seen until then."""
    first, late = everybody(stage.begin(WEB)), everybody(stage.begin(WEB))
    real = bearers

    def some(marks: Collection[Mark]) -> dict[Mark, list[Pid]]:
        hidden = late if is_alive(first[0]) else []
        return {
            mark: [pid for pid in found if pid not in hidden]
            for mark, found in real(marks).items()
        }

    monkeypatch.setattr(module, "bearers", some)
    assert end_trees([stage.tree(WEB)]) == {WEB: 0}
    assert not any(map(is_alive, first + late))


def test_forks_under_way_are_no_way_out(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """With some memory to copy they take long enough to be met by SIGSTOP, now and then."""
    for limit in ("_PATIENCE", "_TO_FREEZE"):  # it is not about how long that may take
        monkeypatch.setattr(module, limit, PATIENCE)
    for _ in range(_FORKING_TIMES):
        stage.fork(WEB)
        assert end_trees([stage.tree(WEB)]) == {WEB: 0}
        assert [pid for pid in stage.marks.of_process(WEB) if is_alive(pid)] == []
        stage.end()


def test_descendants_belong_to_it_whatever_they_bear(stage: Stage) -> None:
    """As what another supervisor runs, which has marks of its own."""
    pid = stage.begin(API)
    born = read_stat(pid)
    assert born is not None
    before = everybody(pid)
    assert end_trees([stage.tree(WEB, known=((pid, born.born),))]) == {WEB: 0}
    assert len(before) == 2
    assert not any(map(is_alive, before))


def test_a_pid_that_is_anothers_by_now_is_left_alone(stage: Stage) -> None:
    """Known by the tick of birth."""
    pid = stage.begin(API)
    born = read_stat(pid)
    assert born is not None
    assert end_trees([stage.tree(WEB, known=((pid, born.born - 1),))]) == {WEB: 0}
    assert is_alive(pid)


def test_without_a_mark_session_and_pipes_tell(stage: Stage) -> None:
    """Its child has another session, and its output yet."""
    pid = stage.begin(WEB, marked=False)
    other = stage.begin(API, marked=False)
    before = everybody(pid)
    leader = stage.leaders[0]
    assert leader.stdout is not None
    pipe = os.fstat(leader.stdout.fileno()).st_ino
    tree = stage.tree(WEB, unmarked=True, leader=pid, pipes=frozenset({pipe}))
    assert end_trees([tree]) == {WEB: 0}
    assert not any(map(is_alive, before))
    assert is_alive(other)


@pytest.mark.skipif(
    not can_have(""), reason="only root can make cgroups of version 2, where they can be had"
)
@pytest.mark.parametrize("is_old", [False, True])
def test_all_in_its_leaf_are_ended(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, *, is_old: bool
) -> None:
    """By cgroup.kill, below it too; on Linux before 5.14 one by one."""

    def refuse(path: str, _content: bytes) -> None:
        raise FileNotFoundError(path)

    if is_old:
        monkeypatch.setattr(module, "_write", refuse)
    with cell("") as box:
        inner = box.folder / "inner"
        inner.mkdir()
        pid = stage.begin(WEB, marked=False)
        before = everybody(pid)
        (box.folder / "cgroup.procs").write_text(str(pid))
        (inner / "cgroup.procs").write_text(str(before[1]))
        assert end_trees([stage.tree(WEB, folder=str(box.folder))]) == {WEB: 0}
        assert not any(map(is_alive, before))
        stage.end()
        stage.leaders.clear()
        eventually(lambda: "populated 0" in (box.folder / "cgroup.events").read_text())
        inner.rmdir()


@pytest.mark.skipif(not can_have(""), reason="as above")
def test_what_the_kernel_holds_is_told_as_left(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that no signal ends keeps its leaf populated."""
    monkeypatch.setattr(module, "_write", lambda _path, _content: None)
    with cell("") as box:
        pid = stage.begin(WEB, marked=False)
        (box.folder / "cgroup.procs").write_text(str(pid))
        assert end_trees([stage.tree(WEB, folder=str(box.folder))]) == {WEB: 1}
        stage.end()
        stage.leaders.clear()
    assert end_trees([stage.tree(WEB, folder=str(box.folder))]) == {WEB: 0}  # it is gone


def test_descendants_of_nobody_are_none() -> None:
    """Nor is that an error."""
    child = subprocess.Popen(["true"])
    child.wait()
    assert descendants([Pid(child.pid)]) == []


# -- what is held back -----------------------------------------------------------------------


class Desk:
    """Trees whose passes are those of the test: each waits to be let go, and gives its answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[ProcessId] = []
        self.whole: list[ProcessId] = []  # those of them of which nothing is left
        self.errors: list[Exception] = []
        self.passes: list[set[ProcessId]] = []
        self.answers: list[Mapping[ProcessId, int] | Exception] = []
        self.gone = 0
        self.coming: list[tuple[ProcessId, int]] = []  # one in each turn, after that of `hold`
        self._may_end = threading.Semaphore(0)
        self._happened = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        monkeypatch.setattr(module, "end_trees", self._pass)
        self.trees = StoppedTrees(
            self._hear_end,
            loop=self._loop,
            on_gone=lambda: self._note(self._count, None),
            on_error=lambda error: self._note(self.errors.append, error),
            are_more_coming=self._are_more_coming,
        )

    def _hear_end(self, end: HeldEnd, *, is_whole: bool) -> None:
        self.whole += [end.id] if is_whole else []
        self._note(self.told.append, end.id)

    def _are_more_coming(self) -> bool:
        if not self.coming:
            return False
        self.hold(*self.coming.pop(0))
        return True

    def _note(self, note: Callable[..., None], what: object) -> None:
        note(what)
        self._happened.set()

    def _count(self, _: object) -> None:
        self.gone += 1

    def _pass(self, trees: Sequence[Tree]) -> Mapping[ProcessId, int]:
        self.passes.append({tree.id for tree in trees})
        self._loop.call_soon_threadsafe(self._happened.set)
        assert self._may_end.acquire(timeout=10)
        answer = self.answers.pop(0) if self.answers else {}
        if isinstance(answer, Exception):
            raise answer
        return answer

    def hold(self, process_id: ProcessId, pid: int) -> None:
        """A run is over but for its tree."""
        end = HeldEnd(process_id, Pid(pid), Outcome(code=0), Usage())
        self.trees.hold(end, tree_of(process_id))

    async def until(self, claim: Callable[[], object]) -> None:
        """Wait for a claim about all this."""
        async with asyncio.timeout(60):
            while not claim():
                self._happened.clear()
                await self._happened.wait()

    async def step(self) -> None:
        """Let the next pass begin and end."""
        number = self.gone + 1
        await self.until(lambda: len(self.passes) == number)
        self._may_end.release()
        await self.until(lambda: self.gone == number)

    def close(self) -> None:
        """Let go of everything."""
        for _ in range(10):
            self._may_end.release()
        self.trees.close()


@pytest.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """Passes by hand."""
    one = Desk(monkeypatch)
    yield one
    one.close()


def tree_of(process_id: ProcessId, **facts: object) -> Tree:
    """A tree that is nowhere."""
    return Tree(id=process_id, mark=Marks(1).of(process_id), **facts)  # type: ignore[arg-type]  # as above


async def test_ends_of_one_turn_are_looked_for_together(desk: Desk) -> None:
    """And told when nothing is left; who has something left is looked for again."""
    desk.answers = [{WEB: 0, API: 2}, {API: 0}]
    desk.hold(WEB, 10)
    desk.hold(API, 11)
    assert desk.trees.holds(WEB, Pid(10))
    assert not desk.trees.holds(WEB, Pid(11))
    assert [end.id for end in desk.trees.held()] == [WEB, API]
    await desk.step()
    assert (desk.passes, desk.told) == ([{WEB, API}], [WEB])
    assert desk.trees.is_ending(API)
    assert not desk.trees.is_ending(WEB)
    await desk.step()
    assert (desk.passes[1:], desk.told) == ([{API}], [WEB, API])


async def test_a_crowd_is_waited_for_and_looked_for_together(desk: Desk) -> None:
    """A look at the whole machine for each few of 1,000 that are stopped would be many."""
    desk.coming = [(API, 11), (DB, 12)]
    desk.hold(WEB, 10)
    await desk.step()
    assert (desk.passes, desk.told) == ([{WEB, API, DB}], [WEB, API, DB])
    assert desk.whole == desk.told


async def test_a_crowd_without_end_is_not_waited_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where some program crashes all the time, more are always coming."""
    monkeypatch.setattr(module, "_LONGEST_GATHERING", 0.0)
    desk.coming = [(API, 11), (DB, 12)]
    desk.hold(WEB, 10)
    await desk.step()
    assert desk.passes[0] == {WEB, API}


async def test_a_leader_that_ends_during_a_pass_takes_another_one(desk: Desk) -> None:
    """What was found before its end may not be all: it may have made more until then."""
    desk.trees.end(tree_of(WEB))
    await desk.until(lambda: desk.passes)
    desk.hold(WEB, 10)
    await desk.step()
    assert desk.told == []
    await desk.step()
    assert (desk.passes, desk.told) == ([{WEB}, {WEB}], [WEB])


async def test_who_knows_more_is_heard(desk: Desk) -> None:
    """A leader's descendants are known while it is alive; its end adds nothing to that."""
    known = tree_of(WEB, known=((Pid(1), 1),))
    desk.trees.end(tree_of(WEB))
    desk.trees.end(known)
    desk.hold(WEB, 10)
    assert desk.trees._wanted[WEB] is known
    await desk.step()
    assert desk.told == [WEB]


async def test_a_bug_holds_nobody_back(desk: Desk) -> None:
    """It is told, and the process counts as stopped."""
    desk.answers = [ValueError("oops")]
    desk.hold(WEB, 10)
    await desk.step()
    assert (desk.told, desk.whole) == ([WEB], [])
    assert [str(error) for error in desk.errors] == ["oops"]


async def test_idle_is_when_nothing_is_left_to_end(desk: Desk) -> None:
    """At once, if that is so."""
    idle: list[int] = []
    desk.trees.when_idle(lambda: idle.append(1))
    assert idle == [1]
    desk.answers = [{WEB: 1}]
    desk.trees.end(tree_of(WEB))
    desk.trees.when_idle(lambda: idle.append(2))
    await desk.step()
    assert idle == [1]
    await desk.step()
    assert idle == [1, 2]


async def test_closing_in_the_middle_tells_nobody(desk: Desk) -> None:
    """Neither of a pass that is due nor of one under way."""
    desk.hold(WEB, 10)
    await desk.until(lambda: desk.passes)
    desk.trees.end(tree_of(API))
    desk.close()
    await asyncio.wait({asyncio.ensure_future(asyncio.to_thread(lambda: None))})
    assert desk.told == []
