"""The ways to name processes: `name`, `group:name`, `group:*`, `group:`, globs, and `all`."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Protocol, TypeVar

_WILD = "*?["


class _Process(Protocol):
    """Something that is told of a process: `name` as it is addressed, and its parts."""

    @property
    def name(self) -> str: ...

    @property
    def group(self) -> str: ...

    @property
    def process(self) -> str: ...


Named = TypeVar("Named", bound=_Process)


def is_wildcard(name: str) -> bool:
    """Whether the name may stand for any number of processes; `exactly` one has it if one does."""
    return name == "all" or name.endswith(":") or any(mark in name for mark in _WILD)


def group_of(name: str) -> str:
    """The group in `group:name`; a bare name is its own group."""
    return name.partition(":")[0]


def whole_group(name: str) -> str | None:
    """The group that `group:*` or `group:` stands for, None for any other form."""
    group, colon, process = name.partition(":")
    return group if colon and process in {"", "*"} else None


def exactly(name: str, processes: Iterable[Named]) -> list[Named]:
    """The process that is called so, unless the name means a whole group or all; none or one."""
    if name == "all" or whole_group(name) is not None:
        return []
    return [process for process in processes if name in _spellings(process)]


def matching(name: str, processes: Sequence[Named]) -> list[Named]:
    """The processes that a name stands for, in their own order; the daemon's rules.

    A process that is called like a pattern is meant by it alone: `w[0]` before what it matches.
    """
    group = whole_group(name)
    if name == "all":
        return list(processes)
    if group is not None:
        return [process for process in processes if process.group == group]
    if (exact := exactly(name, processes)) or not is_wildcard(name):
        return exact
    return [
        process
        for process in processes
        if any(fnmatchcase(spelling, name) for spelling in _spellings(process))
    ]


def _spellings(process: _Process) -> tuple[str, str]:
    return process.name, f"{process.group}:{process.process}"


def all_or(names: Sequence[str]) -> list[str]:
    """The names, or only `all` where that is among them."""
    return ["all"] if "all" in names else list(names)
