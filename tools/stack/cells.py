"""Real cgroups for a test or a scenario: made by root where the kernel lets it, and removed again.

Version 1 where the machine has it, with the one controller that is asked for; version 2 where that
controller may be handed on.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tools.stack.waiting import until


class Cell:
    """One cgroup. `is_legacy`: of version 1."""

    def __init__(self, folder: Path, *, is_legacy: bool) -> None:
        self.folder = folder
        self.is_legacy = is_legacy
        self.procs = folder / "cgroup.procs"

    @property
    def entry(self) -> list[str]:
        """What goes before a command to have it run inside, as the very same process."""
        return ["sh", "-c", f'echo $$ > {self.procs}; exec "$@"', "enter"]

    def limit_memory(self, mebibytes: int) -> None:
        """Let the OOM killer come above this."""
        name = "memory.limit_in_bytes" if self.is_legacy else "memory.max"
        (self.folder / name).write_text(str(mebibytes << 20))

    def limit_cpu(self, percent: int) -> None:
        """Hold everything inside back to this share of one CPU, in periods of 10 ms."""
        if self.is_legacy:
            (self.folder / "cpu.cfs_period_us").write_text("10000")
            (self.folder / "cpu.cfs_quota_us").write_text(str(percent * 100))
        else:
            (self.folder / "cpu.max").write_text(f"{percent * 100} 10000")

    def remove(self) -> None:
        """It must be empty; the kernel takes a moment to see that."""
        until(lambda: not self.procs.read_text())
        self.folder.rmdir()


@cache
def _hierarchy_of(controller: str) -> tuple[Path, bool] | None:
    """Where this controller can be had, and whether that is version 1."""
    if os.geteuid() != 0:
        return None
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        words, _, rest = line.partition(" - ")
        point = Path(words.split()[4])
        kind, _, options = rest.split(" ", 2)
        if not os.access(point, os.W_OK) or "rw" not in words.split()[5].split(","):
            continue
        if kind == "cgroup" and controller in options.split(","):
            return point, True
        if kind == "cgroup2" and (
            not controller or controller in (point / "cgroup.subtree_control").read_text().split()
        ):
            return point, False
    return None


def can_have(controller: str) -> bool:
    """Whether a cell with this controller can be made here; "" asks for version 2 itself."""
    return _hierarchy_of(controller) is not None


@contextmanager
def cell(controller: str) -> Iterator[Cell]:
    """A cgroup with this controller, empty again at the end."""
    found = _hierarchy_of(controller)
    assert found is not None, f"no {controller} cgroup can be made here"
    point, is_legacy = found
    one = Cell(point / f"opsvisor-cell-{uuid.uuid4().hex[:12]}", is_legacy=is_legacy)
    one.folder.mkdir()
    try:
        yield one
    finally:
        one.remove()
