"""Processes: how they are, why, and what is asked of them."""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Iterator
from select import PIPE_BUF

from aiohttp import web

from opsvisor import wire
from opsvisor.api.context import (
    CONTROL,
    STATUSES,
    caller_of,
    check_names,
    find_process,
    json_response,
    known_to,
    my_turn,
    query_of,
    read_body,
)
from opsvisor.api.convert import process_status, run_of, tree_member, wire_event
from opsvisor.api.errors import ApiError
from opsvisor.api.queries import ProcessesQuery
from opsvisor.api.route import JSON
from opsvisor.config.units import Refused, parse_signal
from opsvisor.control.actions import Action, ActionOutcome
from opsvisor.control.describe import describe_containment, describe_policy, hints, what_next
from opsvisor.control.names import Known, NoSuchGroup, NoSuchProcess, Target, resolve
from opsvisor.control.timeline import timeline_of
from opsvisor.core.spec import ProcessId
from opsvisor.runtime import clock
from opsvisor.runtime.members import TreeMember
from opsvisor.runtime.streams import ProcessStreams, StdinFullError, StdinUnavailableError

# A sweep of /proc takes milliseconds; a status must not wait longer for a machine in trouble.
_SWEEP_PATIENCE = 0.25
# Seconds of statuses before others have their turn, and after how many of them the clock is read:
# one that has changed takes 15 us, any other 3.
_SLICE = 0.001
_LOOKED_AT = 20


async def list_processes(request: web.Request) -> web.Response:
    """Every process, or those that are asked for."""
    query = query_of(request, ProcessesQuery)
    if query.resources != "0":
        await refresh(request)
    wanted: Iterable[ProcessId] = known_to(request)
    if query.name:
        check_names(query.name)
        wanted = _resolve_all(query.name, known_to(request))
    encoded = b",".join(await _encoded(request, wanted))
    return web.Response(body=b'{"processes":[%b]}' % encoded, content_type=JSON)


async def _encoded(request: web.Request, process_ids: Iterable[ProcessId]) -> list[bytes]:
    """The status of each, as it is when its turn comes: others have theirs every few of them.

    What leaves the plan meanwhile is left out.
    """
    engine, statuses = request.app[CONTROL].engine, request.app[STATUSES]
    found, now = [], clock.now()
    for number, one in enumerate(process_ids, start=1):
        if one in engine:
            found.append(statuses.encoded(one, now))
        if number % _LOOKED_AT == 0 and time.monotonic() - now.mono > _SLICE:
            await my_turn(request)
            now = clock.now()
    return found


async def show_process(request: web.Request) -> web.Response:
    """One process in full."""
    control = request.app[CONTROL]
    await refresh(request)
    members = await _members(request)
    view = control.engine.view(find_process(request))  # it may have left while we waited
    restart = view.spec.restart
    return json_response(
        wire.ProcessDetail(
            status=process_status(control, view, clock.now()),
            command=view.spec.command,
            working_dir=view.spec.working_dir or "",
            user=view.spec.user.name if view.spec.user else "",
            restart_policy={
                "mode": restart.mode.value,
                "backoff_reset": restart.backoff_reset,
                "failed_starts_max": restart.failed_starts_max,
                "limit_count": restart.limit.count if restart.limit else None,
                "limit_interval": restart.limit.interval if restart.limit else None,
                "fatal_retry_delay": restart.fatal_retry_delay,
            },
            tree=[tree_member(member) for member in members],
        )
    )


async def show_history(request: web.Request) -> web.Response:
    """Why a process is as it is, with the post-mortems of its last runs."""
    control = request.app[CONTROL]
    process_id = find_process(request)
    view = control.engine.view(process_id)
    now = clock.now()
    log_problem = control.engine.streams(process_id).problem
    limits = control.engine.limits
    return json_response(
        wire.History(
            status=process_status(control, view, now),
            policy=[
                *describe_policy(view.spec),
                describe_containment(view.spec, limits.folder_of(process_id)),
            ],
            what_next=what_next(view, now),
            hints=hints(view, log_problem, limits.problem_of(process_id)),
            runs=[run_of(run) for run in control.post_mortems.of(process_id)],
            timeline=[
                wire_event(item.number, item.event)
                for item in timeline_of(control.bus, process_id)
                if caller_of(request).sees_event(item.event)
            ],
        )
    )


async def act(request: web.Request) -> web.Response:
    """Start, stop, restart or signal processes."""
    control = request.app[CONTROL]
    body = await read_body(request, wire.ActionRequest)
    try:
        action = Action(body.action)
    except ValueError:
        known = ", ".join(a.value for a in Action)
        raise ApiError(
            "bad_request", f"no such action: {body.action!r}", f"one of: {known}"
        ) from None
    signum = 0
    if action is Action.SIGNAL or body.signal is not None:
        signum = read_signal(body.signal)
    check_names(body.names)
    outcomes = await control.actions.act(
        action,
        body.names,
        among=caller_of(request).sees,
        signum=signum,
        wait=body.wait,
        timeout=body.timeout,
    )
    return json_response(wire.ActionResponse(results=[action_result(o) for o in outcomes]))


async def write_stdin(request: web.Request) -> web.Response:
    """Write to the standard input of a process as many whole characters as it takes at once."""
    control = request.app[CONTROL]
    process_id = find_process(request)
    body = await read_body(request, wire.StdinRequest)
    await control.actions.until_made([process_id])
    try:
        pid = control.engine.view(process_id).pid
    except KeyError:  # it has left meanwhile
        pid = None
    if pid is None:
        raise ApiError("stdin_unavailable", f"{process_id} is not running")
    try:
        written = _write(control.engine.streams(process_id), body.text.encode())
    except StdinUnavailableError:
        raise ApiError(
            "stdin_unavailable",
            f"{process_id} has no standard input",
            'set stdin = "pipe" for it',
        ) from None
    except StdinFullError:
        raise ApiError(
            "stdin_full",
            f"{process_id} does not read its standard input; its pipe is full",
            "nothing was written; try again when it has read",
        ) from None
    return json_response(wire.StdinResponse(written=written))


def _write(streams: ProcessStreams, text: bytes) -> int:
    written = 0
    for piece in _atomic_pieces(text):
        try:
            written += streams.write_stdin(piece)
        except StdinFullError:
            if not written:
                raise
            break
    return written


def _atomic_pieces(text: bytes) -> Iterator[bytes]:
    """Pieces of whole characters that a pipe takes as a whole or not at all (pipe(7)).

    A larger write may end anywhere, and half a character can't be sent after it as JSON.
    """
    begin = 0
    while len(text) - begin > PIPE_BUF:
        end = begin + PIPE_BUF
        while text[end] & 0xC0 == 0x80:  # noqa: PLR2004 - inside a character (RFC 3629, 3)
            end -= 1
        yield text[begin:end]
        begin = end
    yield text[begin:]


def read_signal(given: str | float | None) -> int:
    """A signal by number or name, with or without SIG, in any case."""
    if given is None:
        raise ApiError("bad_signal", "no signal was named", "give one, such as HUP, or its number")
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    try:
        return parse_signal(str(given))
    except Refused as error:
        raise ApiError("bad_signal", f"no such signal: {given!r}", error.hint) from error


def action_result(outcome: ActionOutcome) -> wire.ActionResult:
    """An outcome in the words of the wire."""
    return wire.ActionResult(
        name=outcome.name,
        group=outcome.id.group if outcome.id else outcome.name,
        process=outcome.id.name if outcome.id else outcome.name,
        result=outcome.result.value,
        reason=outcome.reason,
    )


async def refresh(request: web.Request) -> None:
    """Have figures of /proc that are a few seconds old at most, if they can be had quickly."""
    with contextlib.suppress(OSError):  # the sampler counts its failures
        await request.app[CONTROL].sampler.refresh(_SWEEP_PATIENCE)


async def _members(request: web.Request) -> list[TreeMember]:
    """Who runs for a process, if that can be had quickly: reading a command line can hang."""
    control, process_id = request.app[CONTROL], find_process(request)
    root = control.engine.view(process_id).pid
    with contextlib.suppress(TimeoutError, OSError):  # as above
        async with asyncio.timeout(_SWEEP_PATIENCE):
            return await control.sampler.members(process_id, root, patience=_SWEEP_PATIENCE)
    return []


def _resolve_all(names: list[str], known: Known) -> list[ProcessId]:
    found = []
    for item in resolve(names, known):
        match item:
            case Target():
                found.append(item.id)
            case NoSuchProcess():
                raise ApiError("no_such_process", f"no such process: {item.name}")
            case NoSuchGroup():
                raise ApiError("no_such_group", f"no such group: {item.name}")
    return found
