"""Carry a configuration out, and let a person see how far that is."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress

from opsvisor.client import ApiError
from opsvisor.ctl.present import SELDOM, Present
from opsvisor.ctl.progress import Progress, is_replaced
from opsvisor.ctl.session import Session
from opsvisor.ctl.time_limit import TimeIsOver, time_limit
from opsvisor.wire import ActionResult, ApplyResponse, ConfigDiff, ProcessStatus

_PATIENCE = 60.0  # seconds for what was added to be up, or not


def carried_out(session: Session, groups: Sequence[str], found: ConfigDiff) -> ApplyResponse:
    """Apply what was read last; a person sees how far that is."""
    ending = {*found.removed, *(change.name for change in found.changed if change.restart)}
    concerned = list[ProcessStatus]()
    if session.output.for_people and ending:
        everything = session.client.processes().processes
        concerned = [one for one in everything if one.name in ending and (one.pid or one.retry_at)]
    with Progress(session, "applying", concerned, is_replaced):
        return session.client.apply(groups, reread=False)


def beginnings(session: Session, added: Collection[str]) -> list[ActionResult]:
    """What became of the start of those that were added: as an action would tell it.

    The daemon answers an `apply` without waiting for them; whoever carries out a configuration
    wants to know whether it works.
    """
    present = Present()
    if not added:
        return []
    with suppress(ApiError, TimeIsOver), time_limit(_PATIENCE):
        _wait_for_outcomes(session, added, present)
    return [_beginning(one) for one in _added(added, present) if _is_started(one)]


def _wait_for_outcomes(session: Session, added: Collection[str], present: Present) -> None:
    with session.client.watch(interval=SELDOM) as stream:
        pieces = iter(stream)
        snapshot = next(pieces, None)
        if snapshot is None:
            return
        present.take(snapshot)
        concerned = [one for one in _added(added, present) if _is_started(one)]
        with Progress(
            session, "starting", concerned, lambda now, _: _has_begun(now), present=present
        ):
            while not all(_has_begun(one) for one in _added(added, present)):
                told = next(pieces, None)
                if told is None:
                    return
                present.take(told)


def _added(added: Collection[str], present: Present) -> Iterator[ProcessStatus]:
    return (present.processes[name] for name in added if name in present.processes)


def _is_started(one: ProcessStatus) -> bool:
    """Whether it is started by itself, or has been."""
    return one.startup == "enabled" or one.state != "STOPPED"


def _has_begun(one: ProcessStatus) -> bool:
    """Whether its first start is over, well or not."""
    return not _is_started(one) or one.state not in {"STOPPED", "STARTING"}


def _beginning(one: ProcessStatus) -> ActionResult:
    is_well = one.state == "RUNNING" or (one.state == "EXITED" and not one.expected_running)
    result = "ok" if is_well else "spawn_error" if _has_begun(one) else "timeout"
    return ActionResult(
        name=one.name, group=one.group, process=one.process, result=result, reason=one.reason
    )
