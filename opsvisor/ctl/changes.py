"""What a changed configuration would do, line by line."""

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from opsvisor.ctl import names
from opsvisor.wire import ConfigChange, ConfigDiff

_LEFT_OUT = "(left out)"
_HIDDEN = "(another value; --secrets shows it to who may read it)"


class Kind(Enum):
    """What a line is about; the value is the mark it begins with."""

    ADDED = "+"
    CHANGED = "~"
    REMOVED = "-"
    BESIDE = " "


class Line(NamedTuple):
    """One line. `depth` counts steps of indentation."""

    kind: Kind
    text: str
    depth: int = 0

    @property
    def shown(self) -> str:
        """As it is printed: indentation, mark and text."""
        return f"{'    ' * self.depth}{self.kind.value} {self.text}".rstrip()


def is_empty(diff: ConfigDiff) -> bool:
    """Whether there is nothing that `apply` would change."""
    return not (
        diff.added or diff.changed or diff.removed or diff.groups_changed or diff.groups_added
    )


def only(diff: ConfigDiff, groups: list[str]) -> ConfigDiff:
    """The part of it that is about these groups; all of it if none is named."""
    if not groups:
        return diff

    def chosen(listed: list[str]) -> list[str]:
        return [name for name in listed if names.group_of(name) in groups]

    return ConfigDiff(
        added=chosen(diff.added),
        changed=[change for change in diff.changed if names.group_of(change.name) in groups],
        removed=chosen(diff.removed),
        groups_added=chosen(diff.groups_added),
        groups_changed=chosen(diff.groups_changed),
        groups_removed=chosen(diff.groups_removed),
        daemon_changed=diff.daemon_changed,
        warnings=diff.warnings,
    )


def lines(diff: ConfigDiff, *, with_secrets: bool = False) -> Iterator[Line]:
    """What goes, what changes and what comes. Replicas to which the same happens are told once."""
    for listed in _by_group(diff.removed):
        yield Line(Kind.REMOVED, f"{_named(listed)}: {_is(listed)} stopped and removed")
    for alike in _alike(diff.changed):
        yield from _change(alike, with_secrets=with_secrets)
    for listed in _by_group(diff.added):
        yield Line(Kind.ADDED, f"{_named(listed)}: {_is(listed)} added")
    told = {names.group_of(name) for name in (*diff.added, *diff.removed)}
    told |= {names.group_of(change.name) for change in diff.changed}
    for group in diff.groups_changed:
        if group not in told:
            yield Line(Kind.CHANGED, f"group {group}: changes its priority")
    if diff.daemon_changed:
        changed = ", ".join(diff.daemon_changed)
        yield Line(Kind.BESIDE, f"opsvisord itself: {changed} (only reload takes that over)")


def summary(diff: ConfigDiff) -> str:
    """`1 to add, 2 to change (1 restarts), 1 to stop and remove`."""
    restarts = sum(change.restart for change in diff.changed)
    counts = (
        (len(diff.added), "to add"),
        (len(diff.changed), f"to change ({restarts} of them restart)"),
        (len(diff.removed), "to stop and remove"),
    )
    return ", ".join(f"{count} {what}" for count, what in counts if count) or "nothing to apply"


def _by_group(listed: Sequence[str]) -> list[list[str]]:
    groups: dict[str, list[str]] = {}
    for name in listed:
        groups.setdefault(names.group_of(name), []).append(name)
    return list(groups.values())


def _alike(changed: Sequence[ConfigChange]) -> list[list[ConfigChange]]:
    """Processes of one group together where they change in the same way."""
    found: dict[object, list[ConfigChange]] = {}
    for change in changed:
        values = tuple((value.name, value.old, value.new) for value in change.values)
        key = (names.group_of(change.name), change.restart, tuple(change.fields), values)
        found.setdefault(key, []).append(change)
    return list(found.values())


def _named(listed: Sequence[str]) -> str:
    more = len(listed) - 1
    return f"{listed[0]} and {more} more" if more else listed[0]


def _is(listed: Sequence[str]) -> str:
    return "is" if len(listed) == 1 else "are"


def _change(alike: Sequence[ConfigChange], *, with_secrets: bool) -> Iterator[Line]:
    one = alike[0]
    verb, change = ("restarts", "changes") if len(alike) == 1 else ("restart", "change")
    what = verb if one.restart else f"{change} without a restart"
    yield Line(Kind.CHANGED, f"{_named([change.name for change in alike])}: {what}")
    for value in one.values:
        if value.secret and not (with_secrets and (value.old or value.new)):
            yield Line(Kind.CHANGED, f"{value.name} = {_HIDDEN}", depth=1)
        else:
            yield Line(Kind.REMOVED, f"{value.name} = {value.old or _LEFT_OUT}", depth=1)
            yield Line(Kind.ADDED, f"{value.name} = {value.new or _LEFT_OUT}", depth=1)
    if not one.values:  # a daemon that tells only which
        yield Line(Kind.BESIDE, ", ".join(one.fields), depth=1)
