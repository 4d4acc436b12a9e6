"""The ways to name processes: `name`, `group:name`, `group:*`, `group:`, globs, and `all`."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from opsvisor.wire import ProcessStatus

_WILD = "*?["


def is_wildcard(name: str) -> bool:
    """Whether the name stands for any number of processes rather than for one."""
    return name == "all" or name.endswith(":") or any(mark in name for mark in _WILD)


def group_of(name: str) -> str:
    """The group in `group:name`; a bare name is its own group."""
    return name.partition(":")[0]


def whole_group(name: str) -> str | None:
    """The group that `group:*` or `group:` stands for, None for any other form."""
    group, colon, process = name.partition(":")
    return group if colon and process in {"", "*"} else None


def matching(name: str, processes: Iterable[ProcessStatus]) -> list[ProcessStatus]:
    """The processes that a name stands for, in their own order."""
    return [process for process in processes if _matches(name, process)]


def _matches(name: str, process: ProcessStatus) -> bool:
    group = whole_group(name)
    if group is not None:
        return process.group == group
    if is_wildcard(name):
        return any(fnmatchcase(spelling, name) for spelling in _spellings(process))
    return name in _spellings(process)


def _spellings(process: ProcessStatus) -> tuple[str, str]:
    return process.name, f"{process.group}:{process.process}"


def all_or(names: Sequence[str]) -> list[str]:
    """The names, or only `all` where that is among them."""
    return ["all"] if "all" in names else list(names)
