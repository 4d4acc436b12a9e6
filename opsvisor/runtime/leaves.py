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

*Into the leaf.* The kernel puts a child into another cgroup at its birth by clone3(2) only, which
neither subprocess nor posix_spawn of glibc before 2.39 can ask for. A launcher that moves itself
costs 10 ms of CPU per spawn. So a child is moved right after its exec. That takes 0.03 ms in a
crowd but 6 to 12 ms when it is alone (the kernel waits for all CPUs), hence a thread: what is
spawned meanwhile is moved in one go. What the child used up before (its `schedstat`) is added, and
what it forked by then is moved after it. A run that was over before that counts by its rusage.

*No processes in inner nodes.* A controller can be handed on only by a cgroup without processes.
The one we want is memory, since it counts OOM kills. For it the daemon moves itself into a leaf,
provided it is alone there: other people's processes stay where they are, and it does without.
"""

import asyncio
import errno
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from opsvisor.core.outcome import Usage
from opsvisor.core.spec import Pid, ProcessId
from opsvisor.runtime.cgroups import Cgroups, read_text
from opsvisor.runtime.oom import KillCount, count_kills
from opsvisor.runtime.proctree import read_file

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
    if not ours or not _is_ours(ours, cgroups) or not _is_writable(ours):
        return None
    return None if os.path.exists(f"{ours}/{_MANAGED_BY_SYSTEMD}") else ours  # noqa: PTH110


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


@dataclass(frozen=True, slots=True)
class CpuTime:
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


@dataclass(slots=True)
class _Leaf:
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


@dataclass(frozen=True, slots=True)
class _Newborn:
    """A process to be moved."""

    id: ProcessId
    pid: Pid
    leaf: _Leaf
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moved:
    """What the thread did. `before` was used up before the move; None: it was over already."""

    newborn: _Newborn
    begin: CpuTime
    kills: KillCount | None
    before: CpuTime | None
    problem: str = ""


class Leaves:
    """Makes leaves below `place`, has what is spawned moved into them, and removes them.

    Everything is called on the loop. `tell_problem` hears once why leaves are given up, for the
    process; `found_kills` of the counter of OOM kills in each new leaf that has one.
    """

    def __init__(
        self,
        place: str,
        *,
        tell_problem: Callable[[ProcessId, str], None],
        found_kills: Callable[[ProcessId, KillCount], None],
    ) -> None:
        self._place = place
        self._tell_problem = tell_problem
        self._found_kills = found_kills
        self._leaves: dict[ProcessId, _Leaf] = {}
        self._without: set[ProcessId] = set()
        self._waiting: list[_Newborn] = []
        self._left: set[str] = set()  # folders to remove as soon as they are empty
        self._moving: asyncio.Future[list[_Moved]] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="leaves")
        self._is_tidy_due = False
        self._home = ""  # the cgroup to go back to
        self._has_controller = False

    # -- life --------------------------------------------------------------------------------

    def open(self) -> None:
        """Make room for a controller, where that costs nobody anything."""
        with suppress(OSError):  # then there is no controller; that is all
            inside = _members(self._place)
            if not inside <= {os.getpid()} or _CONTROLLER not in _controllers(self._place):
                return
            if inside:
                _make(f"{self._place}/{_OURS}")
                _move(os.getpid(), f"{self._place}/{_OURS}")
                self._home = self._place
            _write(f"{self._place}/cgroup.subtree_control", f"+{_CONTROLLER}")
            self._has_controller = True

    def close(self) -> None:
        """Remove what is empty, and leave the place as it was found."""
        self._waiting.clear()
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._left |= {leaf.folder for leaf in self._leaves.values()}
        self._left = _remove(self._left)
        if self._has_controller and not self._left:
            with suppress(OSError):
                _write(f"{self._place}/cgroup.subtree_control", f"-{_CONTROLLER}")
        if self._home:
            with suppress(OSError):  # something was left behind that keeps the controller there
                _move(os.getpid(), self._home)
                _remove({f"{self._place}/{_OURS}"})

    # -- what happens to processes -----------------------------------------------------------

    def run_began(self, process_id: ProcessId, pid: Pid) -> None:
        """A process was spawned: have it moved."""
        if process_id in self._without:
            return
        leaf = self._leaves.get(process_id)
        if leaf is None:
            leaf = self._leaves[process_id] = _Leaf(f"{self._place}/{leaf_name(process_id)}")
        self._left.discard(leaf.folder)
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
            del self._leaves[newborn.id]
            self._left.add(leaf.folder)
            self._without.add(newborn.id)
            self._tell_problem(newborn.id, moved.problem)
            return
        if not leaf.is_made:
            leaf.is_made = True
            leaf.begin = moved.begin
            if moved.kills is not None:
                self._found_kills(newborn.id, moved.kills)
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
        events = f"{folder}/memory.events"
        counted = count_kills(events)
        kills = None if counted is None else KillCount(events, counted)
        before = _move_with_children(pid, folder, begin)
    except ProcessLookupError:
        pass
    except OSError as error:
        problem = f"{folder}: {error.strerror}"
    return _Moved(newborn=newborn, begin=begin, kills=kills, before=before, problem=problem)


def _move_with_children(root: Pid, folder: str, begin: CpuTime) -> CpuTime | None:
    """Move it and what it has forked by now; what they had used before. None: it is a zombie."""
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
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


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
