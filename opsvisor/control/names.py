"""What people type for processes: `name`, `group:name`, `group:*`, `group:`, globs, `all`."""

from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from fnmatch import fnmatchcase
from typing import Protocol

from opsvisor.core.spec import ProcessId, ProcessSpec, Startup
from opsvisor.core.struct import Struct


class Reach(Enum):
    """How directly a process was named, which decides whether a manual one is started."""

    NAMED = "named"
    SWEPT = "swept"  # by group, glob or `all`


class Target(Struct, frozen=True):
    """A process that a name stands for."""

    id: ProcessId
    reach: Reach


class NoSuchProcess(Struct, frozen=True):
    """A name that stands for no process."""

    name: str


class NoSuchGroup(Struct, frozen=True):
    """A `group:*` whose group does not exist; `name` is the group's."""

    name: str


Resolved = Target | NoSuchProcess | NoSuchGroup


class Known(Protocol):
    """The processes that names may stand for, each once, in the order in which they are told.

    Most names are those of one process, which is looked up and not looked for.
    """

    def __iter__(self) -> Iterator[ProcessId]:
        """All of them."""
        ...

    def __contains__(self, process_id: ProcessId, /) -> bool:
        """Whether this is one of them."""
        ...


class _All(Protocol):
    def __contains__(self, process_id: ProcessId, /) -> bool: ...

    def ids(self) -> Iterable[ProcessId]: ...


class Among:
    """Those processes of an engine that somebody knows of."""

    def __init__(self, everything: _All, sees: Callable[[ProcessId], bool]) -> None:
        self._everything = everything
        self._sees = sees

    def __iter__(self) -> Iterator[ProcessId]:
        """All of them, in order of group and name."""
        return filter(self._sees, self._everything.ids())

    def __contains__(self, process_id: ProcessId, /) -> bool:
        """Whether this is one of them."""
        return process_id in self._everything and self._sees(process_id)


def resolve(names: Iterable[str], known: Known) -> list[Resolved]:
    """What each name stands for, in the order given, every process once.

    A name without a colon means the process of that name in the group of that name, as Supervisor
    has it; the members of a group are `group:*`.
    """
    found: dict[ProcessId | Resolved, Resolved] = {}
    for name in names:
        for item in _resolve_one(name, known):
            if not isinstance(item, Target):
                found[item] = item
            elif item.reach is Reach.NAMED or item.id not in found:
                found[item.id] = item  # swept before and named now: in the same place
    return list(found.values())


def may_start(target: Target, spec: ProcessSpec) -> bool:
    """Whether naming it this way starts it: a manual process wants its own name."""
    return target.reach is Reach.NAMED or spec.startup is not Startup.MANUAL


def _resolve_one(name: str, known: Known) -> list[Resolved]:
    if name == "all":
        return [Target(i, Reach.SWEPT) for i in known]
    group, colon, process = name.partition(":")
    if colon and process in ("", "*") and not is_pattern(group):
        members = [Target(i, Reach.SWEPT) for i in known if i.group == group]
        return list(members) or [NoSuchGroup(group)]
    exact = ProcessId(group, process if colon else group)
    if exact in known:
        return [Target(exact, Reach.NAMED)]
    if is_pattern(name):
        matches = [Target(i, Reach.SWEPT) for i in known if _matches(name, i)]
        return list(matches) or [NoSuchProcess(name)]
    return [NoSuchProcess(name)]


def is_pattern(text: str) -> bool:
    """Whether it may stand for several processes by its characters."""
    return any(c in text for c in "*?[")


def _matches(pattern: str, process_id: ProcessId) -> bool:
    """Whole names match `group:name` patterns; one without a colon matches the name alone."""
    whole = f"{process_id.group}:{process_id.name}"
    if pattern.endswith(":"):
        pattern += "*"
    return fnmatchcase(whole if ":" in pattern else process_id.name, pattern)
