"""Control groups as they are found: where processes are, what limits them, what is counted there.

Both versions, and machines that have them side by side: a controller belongs to one hierarchy,
version 1's own or the unified one. Nothing in this module writes (leaves.py does).

A limit is the smallest on the way up to the mount point, since every cgroup above limits as well.
Counters are told of a cgroup that is the process's *own*: not the daemon's, none above it, and
none with another program inside. What a shared cgroup counts is nobody's in particular.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from math import inf
from sys import intern

from opsvisor.core.spec import Pid, ProcessId
from opsvisor.core.struct import Struct
from opsvisor.runtime.oom import MACHINE, KillCount, count_kills

LEGACY, UNIFIED = 1, 2  # versions of hierarchies

_LARGEST_FILE = 4096
_LONGEST_PLACE = 1 << 16  # a line of up to 4 KiB for each of a dozen hierarchies of version 1
_LONGEST_MOUNTINFO = 1 << 20
# In which of its sweeps a process is looked for: all of the first, one of a few in its youth, and
# one of a dozen later. To look costs nearly as much as to read its stat line.
_FIRST, _YOUTH = 2, 12
_EVERY_IN_YOUTH, _EVERY_LATER = 3, 12
_NO_LIMIT = 1 << 62  # version 1 says so with a number near 2**63, rounded down to a page


class Throttling(Struct, frozen=True, kw_only=True):
    """What the CPU controller counts in one cgroup. All three only grow."""

    folder: str
    periods: int
    throttled_periods: int
    throttled_seconds: float


class Surroundings(Struct, frozen=True, kw_only=True):
    """What its cgroups mean for one process; None where nothing applies or nobody tells."""

    memory_limit: float | None
    cpu_limit: float | None
    throttling: Throttling | None
    kills: KillCount | None


class _Mount(Struct, frozen=True):
    """A mounted hierarchy. `root` is the cgroup that can be seen at `point`."""

    point: str
    root: str

    def folder_of(self, cgroup: str) -> str:
        """Where to find this cgroup, "" if it is outside of what is mounted."""
        if self.root == "/":
            inside = cgroup
        elif cgroup == self.root or cgroup.startswith(f"{self.root}/"):
            inside = cgroup.removeprefix(self.root)
        else:
            return ""
        if inside.startswith("/.."):  # in another cgroup namespace
            return ""
        return (self.point + inside).rstrip("/")


class _Controller(Struct, frozen=True):
    """A controller, in the hierarchy that has it."""

    mount: _Mount
    version: int

    def way_up(self, folder: str) -> Iterator[str]:
        """This cgroup and all above it."""
        while len(folder) >= len(self.mount.point):
            yield folder
            folder = folder.rpartition("/")[0]


class Place(Struct, frozen=True):
    """The cgroup of a process in each hierarchy that matters, as a folder; "" if unknown."""

    unified: str = ""
    memory: str = ""
    cpu: str = ""


class _Seen(Struct):
    """Where a process was when it was last looked for, after so many times that it might be."""

    pid: Pid
    text: str = ""
    times: int = 0


class Cgroups:
    """The hierarchies of this machine, as `proc` tells of them."""

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._seen: dict[ProcessId, _Seen] = {}
        mounts = _mounts(f"{proc}/self/mountinfo")
        self.unified = mounts.get("")
        self._memory = self._controller("memory", mounts)
        self._cpu = self._controller("cpu", mounts)

    def _controller(self, name: str, mounts: Mapping[str, _Mount]) -> _Controller | None:
        mount = mounts.get(name)
        if mount is not None:
            return _Controller(mount, LEGACY)
        return None if self.unified is None else _Controller(self.unified, UNIFIED)

    def place_of(self, pid: Pid | str = "self") -> Place:
        """Where this process is now."""
        return self._placed(read_text(f"{self._proc}/{pid}/cgroup", _LONGEST_PLACE))

    def _placed(self, text: str) -> Place:
        paths = dict(_paths(text))
        return Place(
            unified=_folder(self.unified, paths.get("")),
            memory=self._folder_in(self._memory, "memory", paths),
            cpu=self._folder_in(self._cpu, "cpu", paths),
        )

    def _folder_in(
        self, controller: _Controller | None, name: str, paths: Mapping[str, str]
    ) -> str:
        if controller is None:
            return ""
        return _folder(controller.mount, paths.get(name if controller.version == LEGACY else ""))

    def shared_kills(self) -> str:
        """The file that counts OOM kills of whatever runs in the cgroup of this process.

        That of the machine where no memory cgroup tells: the root of version 2 has no such file.
        """
        path = self._kills_file(self.place_of().memory)
        return path if path and count_kills(path) is not None else MACHINE

    def look_around(
        self, roots: Mapping[ProcessId, Pid], pause: Callable[[], None] = lambda: None
    ) -> dict[ProcessId, Surroundings]:
        """The surroundings of these processes. Those that are gone by now have none.

        A process that goes elsewhere does so when it begins, if ever: it is followed closely then,
        and looked for once in a while later. `pause` comes before each. To be called by one thread
        only.
        """
        seen = {}
        for process_id, pid in roots.items():
            pause()
            seen[process_id] = self._look_for(process_id, pid)
        self._seen = seen
        placed = cache(self._placed)  # most share a cgroup, or differ from it in one hierarchy
        places = {
            process_id: placed(seen.text) for process_id, seen in self._seen.items() if seen.text
        }
        around = cache(self._surroundings_in(list(places.values())))
        return {process_id: around(place) for process_id, place in places.items()}

    def _surroundings_in(self, places: Sequence[Place]) -> Callable[[Place], Surroundings]:
        """What tells the surroundings of each of these places, which it is given with all others.

        It is the same for all processes in one place: who shares one has nothing of its own.
        """
        ours = self.place_of()
        memory_is_own = _ownership(self._memory, ours.memory, [one.memory for one in places])
        cpu_is_own = _ownership(self._cpu, ours.cpu, [one.cpu for one in places])
        memory_limit, cpu_limit = cache(self._memory_limit), cache(self._cpu_limit)

        def look(place: Place) -> Surroundings:
            return Surroundings(
                memory_limit=_smallest(self._memory, place.memory, memory_limit),
                cpu_limit=_smallest(self._cpu, place.cpu, cpu_limit),
                throttling=self._throttling(place.cpu) if place.cpu in cpu_is_own else None,
                kills=self._own_kills(place.memory) if place.memory in memory_is_own else None,
            )

        return look

    def _look_for(self, process_id: ProcessId, pid: Pid) -> _Seen:
        seen = self._seen.get(process_id)
        if seen is None or seen.pid != pid:
            seen = _Seen(pid)
        seen.times += 1
        every = _EVERY_IN_YOUTH if seen.times <= _YOUTH else _EVERY_LATER
        # Spread by pid: a thousand that were started together are not looked for together.
        if seen.times <= _FIRST or (seen.times + pid) % every == 0:
            # Interned: without cgroups of their own, a thousand are in one.
            seen.text = intern(read_text(f"{self._proc}/{pid}/cgroup", _LONGEST_PLACE))
        return seen

    def _memory_limit(self, folder: str) -> float:
        assert self._memory is not None
        name = "memory.max" if self._memory.version == UNIFIED else "memory.limit_in_bytes"
        text = read_text(f"{folder}/{name}").strip()
        limit = int(text) if text.isdecimal() else _NO_LIMIT
        return limit if limit < _NO_LIMIT else inf

    def _cpu_limit(self, folder: str) -> float:
        assert self._cpu is not None
        if self._cpu.version == UNIFIED:
            quota, _, period = read_text(f"{folder}/cpu.max").strip().partition(" ")
        else:
            quota = read_text(f"{folder}/cpu.cfs_quota_us").strip()
            period = read_text(f"{folder}/cpu.cfs_period_us").strip()
        return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() else inf

    def _throttling(self, folder: str) -> Throttling | None:
        counts = _numbers(f"{folder}/cpu.stat")
        if "nr_periods" not in counts:  # the controller is not enabled here
            return None
        seconds = counts.get("throttled_usec", 0) / 1e6 + counts.get("throttled_time", 0) / 1e9
        return Throttling(
            folder=folder,
            periods=counts["nr_periods"],
            throttled_periods=counts.get("nr_throttled", 0),
            throttled_seconds=seconds,
        )

    def _kills_file(self, folder: str) -> str:
        if self._memory is None or not folder:
            return ""
        name = "memory.events" if self._memory.version == UNIFIED else "memory.oom_control"
        return f"{folder}/{name}"

    def _own_kills(self, folder: str) -> KillCount | None:
        path = self._kills_file(folder)
        kills = count_kills(path)
        return None if kills is None else KillCount(path, kills)


def _numbers(path: str) -> dict[str, int]:
    """A file of lines `name number`; empty if it is not there."""
    pairs = (line.partition(" ") for line in read_text(path).splitlines())
    return {name: int(value) for name, _, value in pairs if value.isdecimal()}


def _ownership(
    controller: _Controller | None, ours: str, folders: Iterable[str]
) -> frozenset[str]:
    """Those of the folders that hold one process of the plan and neither us nor anybody else."""
    if controller is None or not ours:
        return frozenset()
    above_us = frozenset(controller.way_up(ours))
    apart = [folder for folder in folders if folder and folder not in above_us]
    inside = Counter(above for folder in apart for above in controller.way_up(folder))
    return frozenset(folder for folder in apart if inside[folder] == 1)


def _smallest(
    controller: _Controller | None, folder: str, limit_of: Callable[[str], float]
) -> float | None:
    """The limit that applies in this cgroup, None if none does."""
    if controller is None or not folder:
        return None
    limit = min(map(limit_of, controller.way_up(folder)), default=inf)
    return None if limit == inf else limit


def _folder(mount: _Mount | None, path: str | None) -> str:
    return "" if mount is None or path is None else mount.folder_of(path)


def _paths(text: str) -> Iterator[tuple[str, str]]:
    """Controller and path of each line of /proc/PID/cgroup; "" is the unified hierarchy.

    Anything but a line feed may be in a path, also what splitlines() takes for the end of a line.
    """
    for line in text.split("\n")[:-1]:  # the last one is empty, or not whole
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            yield controller, path


def _mounts(path: str) -> dict[str, _Mount]:
    """The mounted hierarchies by controller; "" is the unified one. See proc(5), mountinfo."""
    found: dict[str, _Mount] = {}
    for line in read_text(path, _LONGEST_MOUNTINFO).splitlines():
        words, _, rest = line.partition(" - ")
        kind, _, options = rest.partition(" ")
        if kind not in ("cgroup", "cgroup2"):
            continue
        root, point = map(_unescaped, words.split(" ")[3:5])
        if root.startswith("/.."):  # of another cgroup namespace, and of no use in this one
            continue
        names = [""] if kind == "cgroup2" else options.rpartition(" ")[2].split(",")
        for name in names:
            found.setdefault(name, _Mount(point, root))
    return found


def _unescaped(path: str) -> str:
    r"""Blanks and the like are written as `\040` there."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)


def read_text(path: str, size: int = _LARGEST_FILE) -> str:
    """A file of the kernel, "" if it is gone or there is none."""
    text = b""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        while len(text) < size and (block := os.read(fd, size - len(text))):
            text += block
    except OSError:
        return ""
    finally:
        os.close(fd)
    return os.fsdecode(text)
