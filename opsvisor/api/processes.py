"""Processes: how they are, why, and what is asked of them."""

import asyncio
import contextlib
from collections.abc import Iterator
from select import PIPE_BUF

from aiohttp import web

from opsvisor import wire
from opsvisor.api.context import CONTROL, find_process, json_response, read_body
from opsvisor.api.convert import process_status, run_of, tree_member
from opsvisor.api.errors import ApiError
from opsvisor.config.units import Refused, parse_signal
from opsvisor.control.actions import Action, ActionOutcome
from opsvisor.control.describe import describe_policy, hints, what_next
from opsvisor.control.names import NoSuchGroup, NoSuchProcess, Target, resolve
from opsvisor.core.spec import ProcessId
from opsvisor.runtime import clock
from opsvisor.runtime.members import TreeMember
from opsvisor.runtime.streams import ProcessStreams, StdinFullError, StdinUnavailableError

# A sweep of /proc takes milliseconds; a status must not wait longer for a machine in trouble.
_SWEEP_PATIENCE = 0.25


async def list_processes(request: web.Request) -> web.Response:
    """Every process, or those that `name` (repeatable) asks for; `resources=0` skips /proc."""
    control = request.app[CONTROL]
    if request.query.get("resources") != "0":
        await _refresh(request)
    # From here on nothing is waited for: a process may leave the plan whenever we wait.
    views = {view.id: view for view in control.engine.views()}
    wanted = list(views)
    if names := request.query.getall("name", []):
        wanted = _resolve_all(names, wanted)
    now = clock.now()
    statuses = [process_status(control, views[process_id], now) for process_id in wanted]
    return json_response(wire.ProcessList(processes=statuses))


async def show_process(request: web.Request) -> web.Response:
    """One process in full."""
    control = request.app[CONTROL]
    await _refresh(request)
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
    return json_response(
        wire.History(
            status=process_status(control, view, now),
            policy=describe_policy(view.spec),
            what_next=what_next(view, now),
            hints=hints(view, log_problem),
            runs=[run_of(run) for run in control.post_mortems.of(process_id)],
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
    signum = read_signal(body.signal) if action is Action.SIGNAL else 0
    outcomes = await control.actions.act(
        action, body.names, signum=signum, wait=body.wait, timeout=body.timeout
    )
    return json_response(wire.ActionResponse(results=[action_result(o) for o in outcomes]))


async def write_stdin(request: web.Request) -> web.Response:
    """Write to the standard input of a process as many whole characters as it takes at once."""
    control = request.app[CONTROL]
    process_id = find_process(request)
    body = await read_body(request, wire.StdinRequest)
    if control.engine.view(process_id).pid is None:
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


def read_signal(given: str | int | None) -> int:
    """A signal by number or name, with or without SIG, in any case."""
    if given is None:
        raise ApiError("bad_signal", "no signal was named", "give one, such as HUP, or its number")
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


async def _refresh(request: web.Request) -> None:
    """Have figures of /proc that are a few seconds old at most, if they can be had quickly."""
    with contextlib.suppress(TimeoutError, OSError):  # the sampler counts its failures
        async with asyncio.timeout(_SWEEP_PATIENCE):
            await request.app[CONTROL].sampler.sweep()


async def _members(request: web.Request) -> list[TreeMember]:
    """Who runs for a process, if that can be had quickly: reading a command line can hang."""
    process_id = find_process(request)
    with contextlib.suppress(TimeoutError, OSError):  # as above
        async with asyncio.timeout(_SWEEP_PATIENCE):
            return await request.app[CONTROL].sampler.members(process_id)
    return []


def _resolve_all(names: list[str], known: list[ProcessId]) -> list[ProcessId]:
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
