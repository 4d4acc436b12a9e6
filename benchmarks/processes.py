"""Which processes there are, who their parents are, and how they are ended: by pid, one by one."""

import ctypes
import os
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP

_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class Process:
    """A process, and when it began, in ticks: a pid alone may be somebody else's by now."""

    pid: int
    began: int

    @property
    def executable(self) -> str:
        """What it runs; "" if it is gone."""
        try:
            return str(Path(f"/proc/{self.pid}/exe").readlink())
        except OSError:
            return ""

    def end(self) -> bool:
        """Kill it, and reap it if it is our child; whether it was still there, and no zombie."""
        try:
            fields = _stat(self.pid)
        except OSError:
            return False
        if int(fields[19]) != self.began:
            return False
        with suppress(ProcessLookupError):
            os.kill(self.pid, SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        return fields[0] != "Z"


def adopt_orphans() -> None:
    """Become the parent of all processes below us that lose their own, so that none gets away."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def tree(root: int) -> list[Process]:
    """This process and all that come from it, parents first."""
    began: dict[int, int] = {}
    children: defaultdict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                pid, fields = int(entry.name), _stat(int(entry.name))
                began[pid] = int(fields[19])
                children[int(fields[1])].append(pid)
    found = [root] if root in began else []
    for pid in found:
        found += children[pid]
    return [Process(pid, began[pid]) for pid in found]


def wake(pids: Iterable[int]) -> None:
    """Have each of them run for a moment, and go on as before."""
    for pid in pids:
        os.kill(pid, SIGSTOP)
        os.kill(pid, SIGCONT)


def end_leftovers() -> list[str]:
    """Kill whatever comes from this process and still runs; their commands."""
    found = []
    for process in tree(os.getpid())[1:]:
        with suppress(OSError):
            command = Path(f"/proc/{process.pid}/cmdline").read_bytes()
            if process.end():
                found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the third on: state, parent, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
