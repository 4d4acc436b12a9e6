"""A cgroup of its own for each process, where somebody gave us a place to make them.

Theory of operation
-------------------
A leaf is a cgroup of version 2, in which a process and all that comes of it stay whatever they do:
its `cpu.stat` also holds what no rusage tells, children that the kernel reaped by itself and
daemons that left every tree. It needs no controller. One leaf serves all runs of a process, and is
removed when that leaves the plan, or with the daemon.

*Whose place.* We write nowhere that nobody gave us. By itself the daemon takes the cgroup it is in
only if that is marked as delegated (systemd's `Delegate=yes`) or is the root of a cgroup namespace
of its own (a container whose /sys/fs/cgroup is writable), and no systemd manages it. Everywhere
else, as root on any ordinary host, nothing is changed unless a folder is configured.

*After a crash.* Leaves stay where they are, with all that lives in them: `adopt` goes on with one.
The next daemon may find itself in the leaf that the dead one made for itself, or that systemd did
(DelegateSubgroup=opsvisord): the place is the cgroup above it then.

*Into the leaf.* The kernel puts a child into another cgroup at its birth by clone3(2) only, which
neither subprocess nor posix_spawn of glibc before 2.39 can ask for. A fork that moves itself costs
1 to 2 ms of CPU. So a child is moved right after its exec. That takes 0.03 ms in a
crowd but 6 to 12 ms when it is alone (the kernel waits for all CPUs), hence a thread: what is
spawned meanwhile is moved in one go. What the child used up before (its `schedstat`) is added, and
what it forked by then is moved after it. A run that was over before that counts by its rusage.
A program with limits does move itself: they are to hold from its first instruction.

*No processes in inner nodes.* A controller can be handed on only by a cgroup without processes.
The one we always want is memory, since it counts OOM kills; `cpu` and `pids` cost something with
every switch and fork, so they are handed on when a limit asks for them. For that the daemon moves
itself into a leaf, provided it is alone there: other people's processes stay where they are, and
it does without.
"""

import asyncio
import errno
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from opsvisor.core.outcome import Usage
from opsvisor.core.spec import Pid, ProcessId
from opsvisor.core.struct import Struct, field
from opsvisor.runtime.cgroups import Cgroups, read_text
from opsvisor.runtime.oom import KillCount, count_kills
from opsvisor.runtime.proctree import read_file
from opsvisor.runtime.workers import worker

__all__ = ["AUTO", "OFF", "CpuTime", "Leaves", "NoPlaceError", "find_place"]

AUTO, OFF = "auto", "off"

_OURS = "opsvisord"
_LONGEST_NAME = 200  # the kernel takes 255 bytes
_CONTROLLER = "memory"
_TRIES = 5
_CPU_STAT_SIZE = 1024
_LONGEST_CHILDREN = 1 << 20
_MANAGED_BY_SYSTEMD = "init.scope"
_FIRST_NAMESPACE = 0xEFFFFFFB  # PROC_CGROUP_INIT_INO, linux/proc_ns.h
_DELEGATED = ("trusted.delegate", "user.delegate")


class NoPlaceError(Exception):
    """The folder that was configured can't be used; the text says why."""


def find_place(choice: str, cgroups: Cgroups) -> str | None:
    """The folder to make leaves in, None for none. NoPlaceError if the chosen one is no good."""
    if choice == OFF:
        return None
    if choice != AUTO:
        return _checked(os.path.realpath(choice))
    ours = cgroups.place_of().unified
    if not ours:
        return None
    above, _, name = ours.rpartition("/")
    for place in (above, ours) if name == _OURS else (ours,):
        if _is_ours(place, cgroups) and _is_writable(place):
            is_managed = os.path.exists(f"{place}/{_MANAGED_BY_SYSTEMD}")  # noqa: PTH110
            return None if is_managed else place
    return None


def _checked(folder: str) -> str:
    if not os.path.exists(f"{folder}/cgroup.subtree_control"):  # noqa: PTH110 - one of many
        raise NoPlaceError(f"{folder} is no cgroup of version 2")
    if not _is_writable(folder):
        raise NoPlaceError(f"{folder} is not ours to write to")
    return folder


def _is_ours(folder: str, cgroups: Cgroups) -> bool:
    for name in _DELEGATED:
        with suppress(OSError):  # without the right to see it, it is not for us
            if os.getxattr(folder, name) == b"1":
                return True
    assert cgroups.unified is not None
    is_root = folder == cgroups.unified.point
    return is_root and os.stat("/proc/self/ns/cgroup").st_ino != _FIRST_NAMESPACE  # noqa: PTH116


def _is_writable(folder: str) -> bool:
    return os.access(folder, os.W_OK) and os.access(f"{folder}/cgroup.procs", os.W_OK)


class CpuTime(Struct, frozen=True):
    """User and system seconds."""

    user: float = 0.0
    system: float = 0.0

    def plus(self, other: "CpuTime") -> "CpuTime":
        """Both together."""
        return CpuTime(self.user + other.user, self.system + other.system)

    def minus(self, other: "CpuTime") -> "CpuTime":
        """What is left without the other."""
        return CpuTime(self.user - other.user, self.system - other.system)


def read_cpu(folder: str) -> CpuTime | None:
    """What was used up in this cgroup, None if it is gone."""
    words = read_file(f"{folder}/cpu.stat", _CPU_STAT_SIZE).split(None, 6)
    if len(words) < 6:  # noqa: PLR2004 - usage_usec N user_usec N system_usec N, which never change
        return None
    return CpuTime(int(words[3]) / 1e6, int(words[5]) / 1e6)


class _Leaf(Struct):
    """The cgroup of one process. `outside` is what it used elsewhere, `begin` what it had already.

    `is_made` when the thread said so. `moving` are runs whose move is under way, `ended` those of
    them that are over; `missed` are runs that ended too early to be moved.
    """

    folder: str
    is_made: bool = False
    begin: CpuTime = field(default_factory=CpuTime)
    outside: CpuTime = field(default_factory=CpuTime)
    moving: set[Pid] = field(default_factory=set)
    ended: dict[Pid, CpuTime] = field(default_factory=dict)
    missed: set[Pid] = field(default_factory=set)


class _Newborn(Struct, frozen=True):
    """A process to be moved."""

    id: ProcessId
    pid: Pid
    leaf: _Leaf
    folder: str


class _Moved(Struct, frozen=True, kw_only=True):
    """What the thread did. `before` was used up before the move; None: it was over already."""

    newborn: _Newborn
    begin: CpuTime
    kills: KillCount | None
    before: CpuTime | None
    problem: str = ""


class Leaves:
    """Makes leaves below `place`, has what is spawned moved into them, and removes them.

    Everything is called on the loop. `tell_problem` hears once why leaves are given up, for the
    process; `found_kills` of the counter of OOM kills in each new leaf that has one. `on_made` and
    `on_left` are told the folder of a leaf that is there, and of one that isn't a process's any
    more.
    """

    def __init__(
        self,
        place: str,
        *,
        tell_problem: Callable[[ProcessId, str], None],
        found_kills: Callable[[ProcessId, KillCount], None],
    ) -> None:
        self.place = place
        self.on_made: Callable[[str], None] = lambda _folder: None
        self.on_left: Callable[[str], None] = lambda _folder: None
        self._tell_problem = tell_problem
        self._found_kills = found_kills
        self._leaves: dict[ProcessId, _Leaf] = {}
        self._without: set[ProcessId] = set()
        self._waiting: list[_Newborn] = []
        self._left: set[str] = set()  # folders to remove as soon as they are empty
        self._moving: asyncio.Future[list[_Moved]] | None = None
        self._thread = worker("leaves")
        self._is_tidy_due = False
        self._home = ""  # the cgroup to go back to
        self._handed_on: list[str] = []  # controllers, by us

    # -- life --------------------------------------------------------------------------------

    def open(self) -> None:
        """Make room for a controller, where that costs nobody anything, and find old leaves.

        What a daemon before us left is removed as soon as it is empty, unless it is adopted.
        """
        self._hand_on(_CONTROLLER)
        with suppress(OSError), os.scandir(self.place) as entries:
            self._left |= {one.path for one in entries if one.name.startswith(f"{_OURS}-")}

    def close(self) -> None:
        """Remove what is empty, and leave the place as it was found."""
        self._waiting.clear()
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._left |= {leaf.folder for leaf in self._leaves.values()}
        self._left = _remove(self._left)
        if not self._left:
            for controller in self._handed_on:
                with suppress(OSError):
                    _write(f"{self.place}/cgroup.subtree_control", f"-{controller}")
        if self._home:
            with suppress(OSError):  # something was left behind that keeps the controller there
                _move(os.getpid(), self._home)
                _remove({f"{self.place}/{_OURS}"})

    def _hand_on(self, controller: str) -> bool:
        """Whether leaves have this controller now."""
        switch = f"{self.place}/cgroup.subtree_control"
        with suppress(OSError):  # then there is none; that is all
            if controller in read_text(switch).split():
                return True
            inside = _members(self.place)
            if not inside <= {os.getpid()} or controller not in _controllers(self.place):
                return False
            if inside:
                _make(f"{self.place}/{_OURS}")
                _move(os.getpid(), f"{self.place}/{_OURS}")
                self._home = self.place
            _write(switch, f"+{controller}")
            self._handed_on.append(controller)
            return True
        return False

    # -- limits ------------------------------------------------------------------------------

    def prepare(self, process_id: ProcessId) -> str | None:
        """Have a leaf before there is a process for it; its folder, None if there can't be one."""
        if process_id in self._without:
            return None
        leaf = self._leaf_of(process_id)
        if not leaf.is_made:
            try:
                _make(leaf.folder)
            except OSError as error:
                self._give_up(process_id, leaf, f"{leaf.folder}: {error.strerror}")
                return None
            self._made(
                process_id, leaf, read_cpu(leaf.folder) or CpuTime(), _kills_in(leaf.folder)
            )
        return leaf.folder

    def write(self, folder: str, contents: Iterable[tuple[str, str, bool]]) -> str:
        """Write to files of a leaf; why what matters could not be written, "" if it all was.

        Each is a file's name, what goes into it, and whether it matters.
        """
        wanted = list(contents)
        for name, _, matters in wanted:
            if matters:
                self._hand_on(name.partition(".")[0])
        return _write_all(folder, wanted)

    def write_later(
        self,
        folder: str,
        contents: Iterable[tuple[str, str, bool]],
        then: Callable[[str], None],
    ) -> None:
        """The same in the thread: the kernel may take its time. `then` is told the outcome."""
        wanted = list(contents)
        for name, _, matters in wanted:
            if matters:
                self._hand_on(name.partition(".")[0])
        loop = asyncio.get_running_loop()
        writing = loop.run_in_executor(self._thread, _write_all, folder, wanted)
        writing.add_done_callback(lambda done: None if done.cancelled() else then(done.result()))

    # -- what happens to processes -----------------------------------------------------------

    def adopt(self, process_id: ProcessId, pid: Pid, *, outside: CpuTime | None = None) -> None:
        """Go on with the leaf of a process that a daemon before us began.

        Its total is all that the leaf has counted, and what was used `outside`. If it is in none,
        it is moved like a new one.
        """
        leaf = self._leaf_of(process_id)
        if not _is_in_safely(pid, leaf.folder):
            self.run_began(process_id, pid)
            return
        if outside is not None:
            leaf.outside = outside
        self._made(process_id, leaf, CpuTime(), _kills_in(leaf.folder))

    def outside_of(self, process_id: ProcessId) -> CpuTime | None:
        """What is to be added to all that its leaf counts: for `adopt`. None without a leaf."""
        leaf = self._leaves.get(process_id)
        return leaf.outside.minus(leaf.begin) if leaf is not None and leaf.is_made else None

    def _leaf_of(self, process_id: ProcessId) -> _Leaf:
        leaf = self._leaves.get(process_id)
        if leaf is None:
            leaf = self._leaves[process_id] = _Leaf(f"{self.place}/{leaf_name(process_id)}")
        self._left.discard(leaf.folder)
        return leaf

    def _made(
        self, process_id: ProcessId, leaf: _Leaf, begin: CpuTime, kills: KillCount | None
    ) -> None:
        if leaf.is_made:
            return
        leaf.is_made = True
        leaf.begin = begin
        self.on_made(leaf.folder)
        if kills is not None:
            self._found_kills(process_id, kills)

    def _give_up(self, process_id: ProcessId, leaf: _Leaf, problem: str) -> None:
        del self._leaves[process_id]
        self._left.add(leaf.folder)
        self.on_left(leaf.folder)
        self._without.add(process_id)
        self._tell_problem(process_id, problem)

    def run_began(self, process_id: ProcessId, pid: Pid) -> None:
        """A process was spawned: have it moved."""
        if process_id in self._without:
            return
        leaf = self._leaf_of(process_id)
        leaf.moving.add(pid)
        self._waiting.append(_Newborn(process_id, pid, leaf, leaf.folder))
        if self._moving is None:
            # Not now: what else is spawned in this turn of the loop is moved together with it.
            asyncio.get_running_loop().call_soon(self._move_all)

    def run_ended(self, process_id: ProcessId, pid: Pid, usage: Usage) -> None:
        """A run is over."""
        leaf = self._leaves.get(process_id)
        if leaf is None:
            return
        used = CpuTime(usage.user_seconds, usage.system_seconds)
        if pid in leaf.moving:
            leaf.ended[pid] = used
        elif pid in leaf.missed:
            leaf.missed.discard(pid)
            leaf.outside = leaf.outside.plus(used)

    def forget(self, process_id: ProcessId) -> None:
        """The process left the plan: remove its leaf, as soon as nothing is left in it."""
        self._without.discard(process_id)
        leaf = self._leaves.pop(process_id, None)
        if leaf is not None:
            self._left.add(leaf.folder)
            self.on_left(leaf.folder)
            # Not now: with this one a thousand may leave, and each look is at all that are left.
            if not self._is_tidy_due:
                self._is_tidy_due = True
                asyncio.get_running_loop().call_soon(self.tidy)

    def tidy(self) -> None:
        """Remove what has become empty. To be called now and then: nothing else looks."""
        self._is_tidy_due = False
        if self._left and self._moving is None:
            self._left = _remove(self._left)

    # -- what is known -----------------------------------------------------------------------

    def folder_of(self, process_id: ProcessId) -> str | None:
        """The leaf of this process, which may be about to be made; None if it has none.

        It may be one that a daemon before us made, whose run nobody has adopted.
        """
        leaf = self._leaves.get(process_id)
        if leaf is not None:
            return leaf.folder
        folder = f"{self.place}/{leaf_name(process_id)}"
        return folder if folder in self._left else None

    def folders(self) -> dict[ProcessId, str]:
        """The leaves that are there, for somebody who reads them."""
        return {one: leaf.folder for one, leaf in self._leaves.items() if leaf.is_made}

    def total(self, process_id: ProcessId, inside: CpuTime | None) -> CpuTime | None:
        """What the process has used in all its runs, if `inside` is what its leaf tells now."""
        leaf = self._leaves.get(process_id)
        if leaf is None or not leaf.is_made or inside is None:
            return None
        return inside.minus(leaf.begin).plus(leaf.outside)

    def total_now(self, process_id: ProcessId) -> CpuTime | None:
        """`total`, read now; None if the process has no leaf."""
        leaf = self._leaves.get(process_id)
        return None if leaf is None else self.total(process_id, read_cpu(leaf.folder))

    # -- moving ------------------------------------------------------------------------------

    def _move_all(self) -> None:
        if self._moving is not None or not self._waiting:
            return
        batch, self._waiting = self._waiting, []
        loop = asyncio.get_running_loop()
        self._moving = loop.run_in_executor(self._thread, _move_batch, batch)
        self._moving.add_done_callback(self._moved)

    def _moved(self, future: asyncio.Future[list[_Moved]]) -> None:
        self._moving = None
        if future.cancelled():
            return
        try:
            for moved in future.result():
                self._note(moved)
        finally:  # a bug in one batch is the loop's to tell, and must not hold up the next
            self.tidy()
            self._move_all()

    def _note(self, moved: _Moved) -> None:
        newborn = moved.newborn
        leaf = newborn.leaf
        leaf.moving.discard(newborn.pid)
        used = leaf.ended.pop(newborn.pid, None)
        if self._leaves.get(newborn.id) is not leaf:  # it left the plan meanwhile
            return
        if moved.problem:
            self._give_up(newborn.id, leaf, moved.problem)
            return
        self._made(newborn.id, leaf, moved.begin, moved.kills)
        if moved.before is not None:
            leaf.outside = leaf.outside.plus(moved.before)
        elif used is not None:
            leaf.outside = leaf.outside.plus(used)
        else:  # a zombie, of which we are about to hear
            leaf.missed.add(newborn.pid)


def leaf_name(process_id: ProcessId) -> str:
    """What the leaf is called: never like a file of the kernel's, which all have a dot."""
    name = process_id.name
    words = (name,) if name == process_id.group else (process_id.group, name)
    full = f"{_OURS}-{':'.join(quote(word, safe='').replace('.', '%2E') for word in words)}"
    if len(full) <= _LONGEST_NAME:
        return full
    return f"{full[:_LONGEST_NAME]}-{sha256(full.encode()).hexdigest()[:16]}"


# -- in the thread ---------------------------------------------------------------------------


def _move_batch(batch: Iterable[_Newborn]) -> list[_Moved]:
    newborns = list(batch)
    moved = [_move_newborn(newborn) for newborn in newborns]
    _move_orphans({newborn.pid: newborn.folder for newborn in newborns})
    return moved


def _move_newborn(newborn: _Newborn) -> _Moved:
    folder, pid = newborn.folder, newborn.pid
    begin, kills, before, problem = CpuTime(), None, None, ""
    try:
        _make(folder)
        begin = read_cpu(folder) or CpuTime()
        kills = _kills_in(folder)
        before = _move_with_children(pid, folder, begin)
    except ProcessLookupError:
        pass
    except OSError as error:
        problem = f"{folder}: {error.strerror}"
    return _Moved(newborn=newborn, begin=begin, kills=kills, before=before, problem=problem)


def _move_with_children(root: Pid, folder: str, begin: CpuTime) -> CpuTime | None:
    """Move it and what it has forked by now; what they had used before. None: it is a zombie."""
    if _is_in(root, folder):  # by itself: what it took before its exec is not the program's
        return CpuTime()
    _move(root, folder)
    if not _is_in(root, folder):  # a zombie can be moved, says the kernel, and leaves it there
        return None
    before = _run_outside(root, folder, begin)
    coming = _children(root)
    while coming:
        pid = coming.pop()
        with suppress(ProcessLookupError):
            if not _is_in(pid, folder):
                before += _seconds_run(pid)
                _move(pid, folder)
        coming += _children(pid)
    return CpuTime(system=before)  # nobody knows in which mode


def _move_orphans(folders: Mapping[Pid, str]) -> None:
    """What they forked in no time, and left to us: known by its process group."""
    for pid in _children(Pid(os.getpid())):
        with suppress(OSError):
            group = os.getpgid(pid)
            if group != pid and group in folders:
                _move(pid, folders[Pid(group)])


def _children(pid: Pid) -> list[Pid]:
    """Children of its main thread; none on a kernel that does not tell (CONFIG_PROC_CHILDREN)."""
    text = read_text(f"/proc/{pid}/task/{pid}/children", _LONGEST_CHILDREN)
    return [Pid(int(word)) for word in text.split()]


def _is_in(pid: Pid, folder: str) -> bool:
    """Whether this process is in this cgroup of version 2; ProcessLookupError if it is gone."""
    text = read_file(f"/proc/{pid}/cgroup", 4096)
    if not text:
        raise ProcessLookupError(pid)
    unified = next((line for line in text.splitlines() if line.startswith(b"0::")), b"")
    return unified.endswith(os.fsencode(f"/{folder.rpartition('/')[2]}"))


def _is_in_safely(pid: Pid, folder: str) -> bool:
    try:
        return _is_in(pid, folder)
    except ProcessLookupError:
        return False


def _run_outside(pid: Pid, folder: str, begin: CpuTime) -> float:
    """What it had used when it was moved: all, without what the leaf counted since.

    Not simply all: it may have run for long before this thread gets to look. The kernel books both
    at the same instant, so they fit as long as nothing was booked in between.
    """
    seconds, inside = _seconds_run(pid), CpuTime()
    for _ in range(_TRIES):
        inside = (read_cpu(folder) or begin).minus(begin)
        again = _seconds_run(pid)
        if again == seconds:
            break
        seconds = again
    return max(0.0, seconds - inside.user - inside.system)


def _seconds_run(pid: Pid) -> float:
    """CPU time of the main thread, to the nanosecond; it does not say in which mode."""
    words = read_file(f"/proc/{pid}/schedstat", 256).split()
    return int(words[0]) / 1e9 if words else 0.0  # gone, or a kernel without CONFIG_SCHED_INFO


# -- cgroupfs --------------------------------------------------------------------------------


def _make(folder: str) -> None:
    with suppress(FileExistsError):
        os.mkdir(folder)  # noqa: PTH102 - for each spawn


def _move(pid: int, folder: str) -> None:
    _write(f"{folder}/cgroup.procs", str(pid))


def _write(path: str, text: str) -> None:
    # In one write(2), which is what the kernel acts on and answers to.
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _write_all(folder: str, contents: Iterable[tuple[str, str, bool]]) -> str:
    problems = []
    for name, text, matters in contents:
        try:
            _write(f"{folder}/{name}", text)
        except OSError as error:
            if matters:
                why = "no such controller there" if error.errno == errno.ENOENT else error.strerror
                problems.append(f"{folder}/{name}: {why}")
    return "; ".join(problems)


def _kills_in(folder: str) -> KillCount | None:
    events = f"{folder}/memory.events"
    counted = count_kills(events)
    return None if counted is None else KillCount(events, counted)


def _members(folder: str) -> set[int]:
    return {int(word) for word in Path(folder, "cgroup.procs").read_text(encoding="ascii").split()}


def _controllers(folder: str) -> list[str]:
    return Path(folder, "cgroup.controllers").read_text(encoding="ascii").split()


def _remove(folders: Iterable[str]) -> set[str]:
    """Remove those that are empty; the others."""
    left = set()
    for folder in folders:
        try:
            os.rmdir(folder)  # noqa: PTH106 - as above
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno == errno.EBUSY:
                left.add(folder)
    return left
