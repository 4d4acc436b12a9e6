"""What `top` asks for outside of itself, and how it tells what became of it."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from opsvisor.wire import ActionResult

SIGNALS = ("HUP", "INT", "QUIT", "TERM", "KILL", "USR1", "USR2", "CONT", "STOP", "WINCH")
_FAILURES_NAMED = 3

ActionName = Literal["start", "stop", "restart", "signal"]


class Quit(NamedTuple):
    """Leave."""


class Act(NamedTuple):
    """Have the daemon do this to these processes."""

    action: ActionName
    names: tuple[str, ...]
    signal: str | None = None


class LoadTree(NamedTuple):
    """Ask who runs for this process."""

    name: str


class LoadWhy(NamedTuple):
    """Ask why this process is as it is."""

    name: str


class FollowLog(NamedTuple):
    """Follow this process from now on, and no other; "" follows none."""

    name: str


Order = Quit | Act | LoadTree | LoadWhy | FollowLog


def outcome_of(act: Act, results: Sequence[ActionResult]) -> tuple[str, bool]:
    """What became of an action, in a line, and whether something of it failed."""
    bad = [one for one in results if one.result not in _FINE[act.action]]
    done = f"{_DONE[act.action]}{f' ({act.signal})' if act.signal else ''}"
    if not bad:
        whom = results[0].name if len(results) == 1 else f"{len(results)} processes"
        return f"{whom}: {done}", False
    said = "; ".join(
        f"{one.name}: {one.reason or one.result.replace('_', ' ')}"
        for one in bad[:_FAILURES_NAMED]
    )
    more = f"; {len(bad) - _FAILURES_NAMED} more" if len(bad) > _FAILURES_NAMED else ""
    well = f"{len(results) - len(bad)} {done}, " if len(results) > len(bad) else ""
    return f"{well}{len(bad)} failed: {said}{more}", True


_FINE: dict[ActionName, frozenset[str]] = {
    "start": frozenset({"ok", "already_started"}),
    "stop": frozenset({"ok", "not_running"}),
    "restart": frozenset({"ok"}),
    "signal": frozenset({"ok"}),
}
_DONE: dict[ActionName, str] = {
    "start": "started",
    "stop": "stopped",
    "restart": "restarted",
    "signal": "signalled",
}
