"""What may have been meant by a name that nobody has: said to people, not to scripts."""

import difflib
import shlex
from collections.abc import Iterable, Sequence

from opsvisor.ctl.output import Output
from opsvisor.wire import ProcessStatus

_MOST = 3
_ALIKE = 0.65  # of 1: a letter or two are wrong


def hint_at(output: Output, unknown: Iterable[str], processes: Sequence[ProcessStatus]) -> None:
    """Say which names come near to those that are unknown, if any do."""
    found = [name for typed in unknown for name in likely(typed, processes)]
    if found and output.for_people:
        named = " or ".join(shlex.quote(name) for name in dict.fromkeys(found))
        output.hint(f"did you mean {named}?")


def likely(typed: str, processes: Sequence[ProcessStatus]) -> list[str]:
    """The group of that name, the process of that name in a group, or what looks like it."""
    groups = {f"{one.group}:*" for one in processes if one.name != one.group}
    if f"{typed}:*" in groups:
        return [f"{typed}:*"]
    if within := [one.name for one in processes if one.process == typed]:
        return within[:_MOST]
    known = [*(one.name for one in processes), *sorted(groups)]
    return difflib.get_close_matches(typed, known, _MOST, _ALIKE)
