"""What people type for processes: `name`, `group:name`, `group:*`, `group:`, globs, `all`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase

from opsvisor.core.spec import ProcessId, ProcessSpec, Startup


class Reach(Enum):
    """How directly a process was named, which decides whether a manual one is started."""

    NAMED = "named"
    SWEPT = "swept"  # by group, glob or `all`


@dataclass(frozen=True, slots=True)
class Target:
    """A process that a name stands for."""

    id: ProcessId
    reach: Reach


@dataclass(frozen=True, slots=True)
class NoSuchProcess:
    """A name that stands for no process."""

    name: str


@dataclass(frozen=True, slots=True)
class NoSuchGroup:
    """A `group:*` whose group does not exist; `name` is the group's."""

    name: str


Resolved = Target | NoSuchProcess | NoSuchGroup


def resolve(names: Iterable[str], known: Iterable[ProcessId]) -> list[Resolved]:
    """What each name stands for, in the order given, every process once.

    A name without a colon means the process of that name in the group of that name, as Supervisor
    has it; the members of a group are `group:*`.
    """
    found: dict[ProcessId | Resolved, Resolved] = {}
    ordered = dict.fromkeys(known)  # a set that keeps its order
    for name in names:
        for item in _resolve_one(name, ordered):
            if not isinstance(item, Target):
                found[item] = item
            elif item.reach is Reach.NAMED or item.id not in found:
                found[item.id] = item  # swept before and named now: in the same place
    return list(found.values())


def may_start(target: Target, spec: ProcessSpec) -> bool:
    """Whether naming it this way starts it: a manual process wants its own name."""
    return target.reach is Reach.NAMED or spec.startup is not Startup.MANUAL


def _resolve_one(name: str, known: Mapping[ProcessId, None]) -> list[Resolved]:
    if name == "all":
        return [Target(i, Reach.SWEPT) for i in known]
    group, colon, process = name.partition(":")
    if colon and process in ("", "*") and not _is_pattern(group):
        members = [Target(i, Reach.SWEPT) for i in known if i.group == group]
        return list(members) or [NoSuchGroup(group)]
    exact = ProcessId(group, process if colon else group)
    if exact in known:
        return [Target(exact, Reach.NAMED)]
    if _is_pattern(name):
        matches = [Target(i, Reach.SWEPT) for i in known if _matches(name, i)]
        return list(matches) or [NoSuchProcess(name)]
    return [NoSuchProcess(name)]


def _is_pattern(text: str) -> bool:
    return any(c in text for c in "*?[")


def _matches(pattern: str, process_id: ProcessId) -> bool:
    """Whole names match `group:name` patterns; one without a colon matches the name alone."""
    whole = f"{process_id.group}:{process_id.name}"
    if pattern.endswith(":"):
        pattern += "*"
    return fnmatchcase(whole if ":" in pattern else process_id.name, pattern)
