"""The members of one process tree, described by psutil for somebody who asks.

psutil is imported by the first question, in the thread that answers it: a daemon that nobody asks
has neither its memory nor its 20 ms.
"""

from contextlib import suppress
from typing import TYPE_CHECKING

from opsvisor.core.spec import Pid
from opsvisor.core.struct import Struct

if TYPE_CHECKING:
    import psutil


class TreeMember(Struct, frozen=True, kw_only=True):
    """One living process of a tree. `cpu_seconds` is its own, without its children."""

    pid: Pid
    parent: Pid
    command: str
    cpu_seconds: float
    rss_bytes: int


def look_at(pids: list[Pid]) -> list[TreeMember]:
    """Those of them that are still there. Runs in a worker thread."""
    import psutil  # noqa: PLC0415 - see above

    found: list[TreeMember] = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):  # vanished, perhaps while it was looked at
            found.append(_described(psutil.Process(pid)))
    return found


def _described(process: "psutil.Process") -> TreeMember:
    with process.oneshot():
        cpu = process.cpu_times()
        return TreeMember(
            pid=Pid(process.pid),
            parent=Pid(process.ppid()),
            command=_command_of(process),
            cpu_seconds=cpu.user + cpu.system,
            rss_bytes=process.memory_info().rss,
        )


def _command_of(process: "psutil.Process") -> str:
    """The command line, or the name in brackets where there is none, as ps(1) shows it."""
    import psutil  # noqa: PLC0415 - see above

    words: list[str] = []
    with suppress(psutil.ZombieProcess, psutil.AccessDenied):
        words = process.cmdline()
    return " ".join(words) or f"[{process.name()}]"
