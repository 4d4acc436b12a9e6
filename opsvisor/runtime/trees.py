"""Ends whatever came of a process: a stop is not over while anything of its tree is alive.

Theory of operation
-------------------
The stop signal goes to the process group, and most of what runs obeys it. What left the group
(setsid(2), two forks) hears nothing of it. So once the leader of a stopped process has ended, and
its group with it, its end is held back from the core until the rest of its tree is dead too.

The rest is found in two ways, and both are always tried. Its leaf (leaves.py) knows every member,
and `cgroup.kill` ends them in one go, also those that are being made (Linux 5.14; before that each
member is signalled). Its mark (marks.py) is what it has where there is no leaf; and with one it
finds what got away before it was moved there. Descendants of whoever is found belong to it, too.

What is found is frozen by SIGSTOP first, and looked for again until nobody new turns up. Only then
SIGKILL goes out. A fork that is under way when SIGSTOP comes is finished all the same (fork(2)
gives up for SIGKILL only), and its child may turn up after the last look. So when all that were
found are dead there is one more look, and whoever it finds is treated likewise. A program that
forks without end is thus caught as long as its processes live long enough to be seen once; one
whose every process forks, leaves its session and ends within less than that (some 0.3 ms) can
outrun this, and needs a cgroup.

All of that happens in a thread, for all processes at once that wait for it: one pass takes 4 us
for each process of the machine, whether one program was stopped or 500. Passes are kept apart so
that they never take more than a ninth of a CPU. Nobody is asked at any other time.
"""

import asyncio
import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from opsvisor.core.outcome import Outcome, Usage
from opsvisor.core.spec import NOBODY, Pid, ProcessId
from opsvisor.core.struct import Struct
from opsvisor.runtime.clock import stand_still
from opsvisor.runtime.marks import Mark, bearers, mark_of
from opsvisor.runtime.proctree import output_pipes, read_file, read_machine, read_stat
from opsvisor.runtime.workers import worker

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["HeldEnd", "StoppedTrees", "Tree", "descendants", "end_trees"]


# For each step of a pass: what takes longer goes on in the next one.
_TO_FREEZE = 0.5
_PATIENCE = 0.2
_REST = 8.0  # times the length of the pass before it
_LONGEST_REST = 0.25
_LONGEST_GATHERING = 0.05  # of a crowd, for one pass
_FIRST_RETRY, _LAST_RETRY = 0.05, 1.0
_MOST_DESCENDANTS = 4096
_LONGEST_LIST = 1 << 20


class Tree(Struct, frozen=True, kw_only=True):
    """What is known of one process's tree: its mark, and the leaf it is in, if it has one.

    `known` are members that were seen, by pid and tick of birth. An `unmarked` one is looked for
    by the session of its `leader` and by the `pipes` that it writes to.
    """

    id: ProcessId
    mark: Mark
    folder: str | None = None
    known: tuple[tuple[Pid, int], ...] = ()
    unmarked: bool = False
    leader: Pid = NOBODY
    pipes: frozenset[int] = frozenset()


class HeldEnd(Struct, frozen=True):
    """The end of a stopped process that the core has not heard of, for its tree is alive."""

    id: ProcessId
    pid: Pid
    outcome: Outcome
    usage: Usage


class _OnEnd(Protocol):
    def __call__(self, end: HeldEnd, *, is_whole: bool) -> None: ...


class StoppedTrees:
    """Holds the ends of stopped processes back until their trees are gone. Called on the loop.

    `on_end` is told of each such end, and whether all of the tree is gone: not so after a bug on
    the way there, of which `on_error` is told. `on_gone` is called whenever some tree was ended.
    `are_more_coming` says whether ends of other leaders are about to be told.
    """

    def __init__(
        self,
        on_end: _OnEnd,
        *,
        loop: asyncio.AbstractEventLoop,
        on_gone: Callable[[], None],
        on_error: Callable[[Exception], None],
        are_more_coming: Callable[[], bool] = lambda: False,
    ) -> None:
        self._on_end = on_end
        self._are_more_coming = are_more_coming
        self._on_gone = on_gone
        self._loop = loop
        self._on_error = on_error
        self._held: dict[ProcessId, HeldEnd] = {}
        self._wanted: dict[ProcessId, Tree] = {}  # to be ended by the next pass
        self._running: dict[ProcessId, Tree] = {}  # by the one under way
        self._idle: list[Callable[[], None]] = []
        self._next: asyncio.TimerHandle | asyncio.Handle | None = None
        self._earliest = 0.0
        self._latest = 0.0  # that the next pass may wait for others to come to
        self._retry = _FIRST_RETRY
        self._thread: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """Look for nobody any more."""
        if self._next is not None:
            self._next.cancel()
        self._wanted.clear()
        self._running.clear()
        self._idle.clear()
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)

    # -- what is asked -----------------------------------------------------------------------

    def hold(self, end: HeldEnd, tree: Tree) -> None:
        """The leader of a stopped process has ended, with its group: end the rest of its tree."""
        self._held[end.id] = end
        self.end(tree)

    def end(self, tree: Tree) -> None:
        """End all of this tree, its leader as well if that is alive."""
        before = self._wanted.get(tree.id)
        if before is not None and before.known and not tree.known:
            return  # it is sought already, by somebody who knows more
        self._wanted[tree.id] = tree
        self._schedule(self._earliest)

    def holds(self, process_id: ProcessId, pid: Pid) -> bool:
        """Whether this run is over but for the rest of its tree. Its pid may be another's."""
        end = self._held.get(process_id)
        return end is not None and end.pid == pid

    def is_ending(self, process_id: ProcessId) -> bool:
        """Whether a new run of this process would be ended with what is left of an earlier one."""
        return process_id in self._wanted or process_id in self._running

    def held(self) -> list[HeldEnd]:
        """The ends that are held back now, for whoever carries on."""
        return list(self._held.values())

    def when_idle(self, then: Callable[[], None]) -> None:
        """Call this as soon as nothing is being ended any more; now, if that is so."""
        if self._wanted or self._running:
            self._idle.append(then)
        else:
            then()

    # -- passes ------------------------------------------------------------------------------

    def _schedule(self, at: float) -> None:
        if self._next is not None or self._running:
            return
        now = self._loop.time()
        self._latest = max(at, now) + _LONGEST_GATHERING
        if at <= now:
            # Not now: whoever is stopped in this turn of the loop is looked for together.
            self._next = self._loop.call_soon(self._begin)
        else:
            self._next = self._loop.call_at(at, self._begin)

    def _begin(self) -> None:
        if self._are_more_coming() and self._loop.time() < self._latest:
            self._next = self._loop.call_soon(self._begin)
            return
        self._next = None
        self._running, self._wanted = self._wanted, {}
        held = frozenset(self._held) & self._running.keys()
        if self._thread is None:  # a daemon that stops nothing has none
            self._thread = worker("trees")
        began = self._loop.time()
        trees = list(self._running.values())
        future = self._loop.run_in_executor(self._thread, end_trees, trees)
        future.add_done_callback(lambda done: self._done(done, held, began))

    def _done(
        self,
        done: "asyncio.Future[Mapping[ProcessId, int]]",
        held: frozenset[ProcessId],
        began: float,
    ) -> None:
        sought, self._running = self._running, {}
        if done.cancelled() or not sought:  # closed meanwhile
            return
        error = done.exception()
        if isinstance(error, Exception):
            self._on_error(error)  # and nobody is held back for a bug of ours
        left = {} if error is not None else done.result()
        now = self._loop.time()
        self._earliest = now + min(_REST * (now - began), _LONGEST_REST)
        for process_id, tree in sought.items():
            if left.get(process_id):
                self._wanted.setdefault(process_id, tree)
        for process_id in sought:
            # What was held only since the pass began has to be looked for after its leader's end.
            if process_id in held and process_id not in self._wanted:
                self._on_end(self._held.pop(process_id), is_whole=error is None)
        self._on_gone()
        self._retry = min(self._retry * 2, _LAST_RETRY) if any(left.values()) else _FIRST_RETRY
        if self._wanted:
            pause = self._retry if all(left.get(one) for one in self._wanted) else 0.0
            self._schedule(max(self._earliest, now + pause))
        else:
            idle, self._idle = self._idle, []
            for then in idle:
                then()


# -- in the thread ---------------------------------------------------------------------------


def end_trees(trees: Sequence[Tree]) -> Mapping[ProcessId, int]:
    """Kill all of these trees; how many of each are alive yet. Takes a second or so at most."""
    for tree in trees:
        if tree.folder is not None:
            _kill_leaf(tree.folder)
    found = _Found(trees)
    is_complete = found.end()
    left = {tree.id: found.alive(tree.id) for tree in trees}
    if not is_complete:  # there were more and more of them: look again at all that found any
        left = {one: count or int(found.has_any(one)) for one, count in left.items()}
    for tree in trees:
        if tree.folder is not None and not _is_empty_soon(tree.folder):
            left[tree.id] += 1
    return left


class _Found:
    """Who was found of some trees, by pid and tick of birth."""

    def __init__(self, trees: Sequence[Tree]) -> None:
        self._trees = trees
        self._members: dict[ProcessId, dict[Pid, int]] = {tree.id: {} for tree in trees}
        self._of_marks = {tree.mark: tree.id for tree in trees}

    def end(self) -> bool:
        """Kill all there are; whether they were all found."""
        until = time.monotonic() + _TO_FREEZE
        for tree in self._trees:
            for pid, born in tree.known:
                self._take(tree.id, pid, born)
        self._look_harder()
        is_complete = self._freeze(until)
        self._kill()
        # Of whoever is dead nobody comes any more, and its pid is free for others.
        while (
            is_complete
            and any(self._members.values())
            and (self._look_harder() | self._look_for_marks())
        ):
            is_complete = self._freeze(until) and time.monotonic() < until
            self._kill()
        return is_complete

    def _freeze(self, until: float) -> bool:
        """Stop all there are; whether they were all found by then."""
        while self._look():
            if time.monotonic() > until:
                return False
        return True

    def _look(self) -> bool:
        """Whether somebody new was found."""
        is_new = self._look_for_marks()
        for process_id, members in self._members.items():
            for pid, born in descendants(members):
                is_new |= self._take(process_id, pid, born)
        return is_new

    def _look_for_marks(self) -> bool:
        """Whether somebody new who bears a mark was found."""
        is_new = False
        for mark, pids in bearers(self._of_marks.keys()).items():
            process_id = self._of_marks[mark]
            for pid in pids:
                if pid not in self._members[process_id]:
                    stat = read_stat(pid)
                    # The mark last: it is then still that of the process that was born then.
                    if stat is not None and mark_of(pid) == mark:
                        is_new |= self._take(process_id, pid, stat.born)
        return is_new

    def _look_harder(self) -> bool:
        """Look for those who bear no mark, as far as they are known by anything else."""
        unmarked = [tree for tree in self._trees if tree.unmarked]
        if not unmarked:
            return False
        is_new = False
        sessions = {tree.leader: tree.id for tree in unmarked}
        pipes = {pipe: tree.id for tree in unmarked for pipe in tree.pipes}
        ours = os.getpid()
        for stat in read_machine().values():
            process_id = sessions.get(Pid(stat.session)) or sessions.get(Pid(stat.group))
            if process_id is None and stat.pid != ours:
                held = output_pipes(stat.pid) & pipes.keys()
                process_id = next((pipes[pipe] for pipe in held), None)
            if process_id is not None:
                is_new |= self._take(process_id, stat.pid, stat.born)
        return is_new

    def _take(self, process_id: ProcessId, pid: Pid, born: int) -> bool:
        """Stop this one; whether it was alive, and not found before."""
        members = self._members[process_id]
        if members.get(pid) == born or not _signal(pid, born, signal.SIGSTOP):
            return False
        members[pid] = born
        return True

    def _kill(self) -> None:
        """Kill all that were found, and wait for a while until they are dead."""
        for members in self._members.values():
            for pid, born in members.items():
                _signal(pid, born, signal.SIGKILL)
        until = time.monotonic() + _PATIENCE
        for members in self._members.values():
            for pid, born in members.items():
                with _pidfd(pid, born) as pidfd:
                    if pidfd is not None:
                        _is_dead_soon(pidfd, until - time.monotonic())

    def alive(self, process_id: ProcessId) -> int:
        """How many of those that were found are alive."""
        members = self._members[process_id]
        return sum(_is_alive(pid, born) for pid, born in members.items())

    def has_any(self, process_id: ProcessId) -> bool:
        """Whether any were found."""
        return bool(self._members[process_id])


def descendants(roots: Iterable[Pid]) -> list[tuple[Pid, int]]:
    """Who comes of these, without them, by pid and tick of birth; as far as the kernel tells."""
    seen = set(roots)
    coming = list(seen)
    found: list[tuple[Pid, int]] = []
    while coming and len(found) < _MOST_DESCENDANTS:
        for child in _children(coming.pop()):
            if child in seen:
                continue
            seen.add(child)
            stat = read_stat(child)
            if stat is not None:
                found.append((child, stat.born))
                coming.append(child)
    return found


def _children(pid: Pid) -> list[Pid]:
    """Children of all its threads; none on a kernel that does not tell (CONFIG_PROC_CHILDREN)."""
    text = b""
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - a Path costs more
            text += b" " + read_file(f"/proc/{pid}/task/{thread}/children", _LONGEST_LIST)
    return [Pid(int(word)) for word in text.split()]


@contextmanager
def _pidfd(pid: Pid, born: int) -> "Iterator[int | None]":
    """A descriptor for this very process, None if it is gone."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        yield None
        return
    try:
        stat = read_stat(pid)  # after the descriptor was opened: now it is for that process
        yield pidfd if stat is not None and stat.born == born else None
    finally:
        os.close(pidfd)


def _signal(pid: Pid, born: int, signum: signal.Signals) -> bool:
    """Whether it was alive to get it."""
    with _pidfd(pid, born) as pidfd:
        if pidfd is None or _is_dead_soon(pidfd, 0.0):
            return False
        with suppress(OSError):  # it has ended, or is another user's
            signal.pidfd_send_signal(pidfd, signum)
            return True
    return False


def _is_alive(pid: Pid, born: int) -> bool:
    with _pidfd(pid, born) as pidfd:
        return pidfd is not None and not _is_dead_soon(pidfd, 0.0)


def _is_dead_soon(pidfd: int, seconds: float) -> bool:
    """Whether it ends within that. Zombies are dead, unless a thread of theirs is alive."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(max(0.0, seconds) * 1000))


# -- leaves ----------------------------------------------------------------------------------


def _kill_leaf(folder: str) -> None:
    """Kill all that are in this cgroup, and in those below it."""
    if not _is_populated(folder):
        return
    try:
        _write(f"{folder}/cgroup.kill", b"1")
    except OSError:  # Linux before 5.14
        _kill_members(folder)


def _kill_members(folder: str) -> None:
    until = time.monotonic() + _PATIENCE
    while (pids := _members(folder)) and time.monotonic() < until:
        for pid in pids:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        # What was killed stays a member until it has ended, so this ends when they have.
        stand_still(0.001)


def _members(folder: str) -> list[Pid]:
    """Of this cgroup and of those below it, without zombies that are all that is left."""
    found = []
    for inner, _, _ in os.walk(folder):
        text = read_file(f"{inner}/cgroup.procs", _LONGEST_LIST)
        found += [Pid(int(word)) for word in text.split()]
    return [pid for pid in found if pid]


def _is_populated(folder: str) -> bool:
    return b"populated 1" in read_file(f"{folder}/cgroup.events", 256)


def _is_empty_soon(folder: str) -> bool:
    """Whether nothing that lives is in this cgroup, or soon won't be."""
    until = time.monotonic() + _PATIENCE
    try:
        events = os.open(f"{folder}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True  # it is gone
    try:
        poll = select.poll()
        poll.register(events, select.POLLPRI)
        while b"populated 1" in os.pread(events, 256, 0):
            left = until - time.monotonic()
            if left <= 0:
                return False
            poll.poll(left * 1000)  # the kernel tells when the file changed since it was read
    except OSError:  # it was removed meanwhile
        return True
    finally:
        os.close(events)
    return True


def _write(path: str, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, content)
    finally:
        os.close(fd)
