"""Limits of a process and all that comes of it: what its leaf enforces, and why it can't.

A limit that can't be enforced is told once per program and shown with the process. It never keeps
the program from running: what ran without a limit yesterday is better run without one today than
not at all. Whoever wants to be sure of a limit sees in `why`, or in the log, whether it holds.
"""

from collections.abc import Callable

from opsvisor.core.spec import ProcessId, ProcessSpec, Resources
from opsvisor.runtime.leaves import Leaves

__all__ = ["Limits"]

_NONE = Resources()
_NO_PLACE = "no cgroup was delegated to opsvisord (cgroup of [daemon] can name one)"
_PERIOD = 100_000  # microseconds, the kernel's own


class Limits:
    """Sets the limits of processes in their leaves. `leaves` None: there is nothing to set.

    `tell` hears of each program's trouble, once. Everything is called on the loop.
    """

    def __init__(
        self, leaves: Leaves | None, *, tell: Callable[[str], None] = lambda _line: None
    ) -> None:
        self._leaves = leaves
        self._tell = tell
        self._set: dict[ProcessId, Resources] = {}  # what the leaves have
        self._problems: dict[ProcessId, str] = {}
        self._told: set[str] = set()

    @property
    def place(self) -> str:
        """The folder that leaves are made in, "" for none."""
        return "" if self._leaves is None else self._leaves.place

    def folder_of(self, process_id: ProcessId) -> str | None:
        """The leaf of this process, None if it has none."""
        return None if self._leaves is None else self._leaves.folder_of(process_id)

    def problem_of(self, process_id: ProcessId) -> str:
        """Why its limits are not enforced, "" if they are or there are none."""
        return self._problems.get(process_id, "")

    def has_any(self, spec: ProcessSpec) -> bool:
        """Whether a run of this spec may have to enter a leaf before it begins."""
        return spec.resources != _NONE or bool(self._set.get(spec.id))

    def prepare(self, spec: ProcessSpec) -> str | None:
        """Before a run: the leaf to enter, with its limits set. None: it needs none, or has none.

        A program without limits is moved to its leaf a moment after it began, for less.
        """
        if not self.has_any(spec):
            self._problems.pop(spec.id, None)
            return None
        leaf = None if self._leaves is None else self._leaves.prepare(spec.id)
        if leaf is None or self._leaves is None:
            self._failed(spec, "it has no cgroup" if self._leaves else _NO_PLACE)
            return None
        if self._set.get(spec.id) != spec.resources:
            self._note(spec, self._leaves.write(leaf, _contents(spec.resources)))
        return leaf

    def adopted(self, spec: ProcessSpec) -> None:
        """A daemon before us has set the limits of this process, if it had a leaf."""
        if spec.resources == _NONE:
            return
        if self.folder_of(spec.id) is None:
            self._failed(spec, "it has no cgroup" if self._leaves else _NO_PLACE)
        else:
            self._set[spec.id] = spec.resources

    def changed(self, spec: ProcessSpec) -> None:
        """The limits of a process are others now: those of its leaf too, if it has one."""
        leaf = self.folder_of(spec.id)
        if leaf is None or self._leaves is None or self._set.get(spec.id, _NONE) == spec.resources:
            if spec.resources == _NONE:
                self._problems.pop(spec.id, None)
            return
        # In a thread: memory that is too much by now is reclaimed before the kernel answers.
        self._leaves.write_later(
            leaf, _contents(spec.resources), lambda problem: self._note(spec, problem)
        )

    def forget(self, process_id: ProcessId) -> None:
        """The process left the plan."""
        self._set.pop(process_id, None)
        self._problems.pop(process_id, None)

    def _note(self, spec: ProcessSpec, problem: str) -> None:
        if problem:
            self._set.pop(spec.id, None)  # to be tried again with the next run
            self._failed(spec, problem)
        else:
            self._set[spec.id] = spec.resources
            self._problems.pop(spec.id, None)

    def _failed(self, spec: ProcessSpec, problem: str) -> None:
        self._problems[spec.id] = problem
        if spec.program not in self._told:
            self._told.add(spec.program)
            self._tell(f"resources of program '{spec.program}' are not enforced: {problem}")


def _contents(resources: Resources) -> list[tuple[str, str, bool]]:
    """File, what to write to it, and whether that is a limit; see cgroup-v2.rst."""
    cpu = resources.cpu_max
    quota = "max" if cpu is None else str(round(cpu * _PERIOD))
    return [
        ("memory.high", _or_max(resources.memory_high), resources.memory_high is not None),
        ("memory.max", _or_max(resources.memory_max), resources.memory_max is not None),
        ("memory.oom.group", str(int(resources.oom_group)), resources.oom_group),
        ("cpu.max", f"{quota} {_PERIOD}", cpu is not None),
        ("pids.max", _or_max(resources.pids_max), resources.pids_max is not None),
    ]


def _or_max(limit: int | None) -> str:
    return "max" if limit is None else str(limit)
