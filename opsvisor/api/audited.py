"""Around every request that asks for something: who asked, for what, and what came of it.

What counts as such is read off the route table: all that is no look (GET, HEAD). So a new route is
audited without anybody having to think of it. Which processes it is about stands in its path, or
in what all bodies call by the same names.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import msgspec
from aiohttp import web

from opsvisor.api.context import CALLER, MORE_ROUTES, source_of
from opsvisor.api.errors import CODE
from opsvisor.api.route import READING, Route
from opsvisor.config.accounts import name_of
from opsvisor.config.settings import TcpServer, UnixServer
from opsvisor.control.actions import Action
from opsvisor.control.audit import ASKER, Asker, Audit, Ended, ended_with, reason_in
from opsvisor.core.events import ActionResult

_INTERFACE = "api"
_API = "/api/v1/"
# What bodies may name as the action.
_SAID_IN_BODY = frozenset(action.value for action in Action)
_NOTHING_TO_DO = frozenset({"already_started", "not_running"})
_MOST_READ = 1024 * 1024  # bytes of an answer that is looked at for what came of each process

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Asked(msgspec.Struct):
    """What bodies of requests say of their action, whatever else is in them."""

    action: str = ""
    names: list[str] = msgspec.field(default_factory=list)
    groups: list[str] = msgspec.field(default_factory=list)


class _OneResult(msgspec.Struct):
    result: str = "ok"


class _Answered(msgspec.Struct):
    """What answers say of their action, whatever else is in them."""

    results: list[_OneResult] = msgspec.field(default_factory=list)


def action_of(route: Route) -> str:
    """What is asked for by this route, as logs and labels call it; "" for a look.

    `POST /api/v1/config/groups/add` is `config.groups.add`; another method stands at the end.
    """
    return "" if route.method in READING else _named(route.method, route.path)


def audited(
    audit: Audit, server: UnixServer | TcpServer
) -> Callable[..., Awaitable[web.StreamResponse]]:
    """Tell `audit` of each action that comes by this server, refused and failed ones as well.

    The routes of other edges tell of their own actions, once they are reached.
    """

    @web.middleware
    async def watch(request: web.Request, handler: _Handler) -> web.StreamResponse:
        action = _action_at(request)
        if not action:
            return await handler(request)
        asker = partial(_asker, request, server)
        told = ASKER.set(asker)
        began = time.monotonic()
        ended = Ended(ActionResult.ABANDONED, "client_gone")
        try:
            response = await handler(request)
            ended = _ended(response)
            return response
        finally:
            ASKER.reset(told)
            is_theirs = request.match_info.route in request.app[MORE_ROUTES]
            if not is_theirs or ended.result is ActionResult.REFUSED:
                asked = _asked(request)
                audit.tell(
                    asked.action if asked.action in _SAID_IN_BODY else action,
                    _targets(request, asked),
                    asker(),
                    ended,
                    interface=_INTERFACE,
                    seconds=time.monotonic() - began,
                )

    return watch


def _action_at(request: web.Request) -> str:
    """What this request asks for, "" if for a look, or for nothing that there is."""
    resource = request.match_info.route.resource
    if request.method in READING or resource is None:
        return ""
    return _named(request.method, resource.canonical)


def _named(method: str, path: str) -> str:
    parts = path.removeprefix(_API).split("/")
    words = [part.partition("{")[0] for part in parts]
    more = [] if method == "POST" else [method.lower()]
    return ".".join([word for word in words if word] + more)


def _asker(request: web.Request, server: UnixServer | TcpServer) -> Asker:
    """Who asks, as far as it is known by now."""
    caller = request.get(CALLER)
    peer = source_of(request)
    is_unix = isinstance(server, UnixServer)
    return Asker(
        identity="" if caller is None else caller.name,
        is_known=caller is not None,
        user=_user(peer) if is_unix else "",
        source="unix" if is_unix else request.remote or peer,
        listener=server.name,
        reason=reason_in(request.headers),
    )


def _user(peer: str) -> str:
    """The name of the user at a unix socket, whose peer is called `uid N`."""
    kind, _, number = peer.partition(" ")
    return name_of(int(number)) if kind == "uid" and number.isdecimal() else peer


def _asked(request: web.Request) -> _Asked:
    """What the body says, if it was read at all: whoever is refused before is not waited for."""
    body = getattr(request, "_read_bytes", None)
    if not body:
        return _Asked()
    try:
        return msgspec.json.decode(body, type=_Asked)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _Asked()


def _targets(request: web.Request, asked: _Asked) -> list[str]:
    name = request.match_info.get("name")
    return [*([name] if name else []), *asked.names, *asked.groups]


def _ended(response: web.StreamResponse) -> Ended:
    """What an answer says of its action."""
    if code := response.get(CODE, ""):
        return ended_with(code)
    body = response.body if isinstance(response, web.Response) else None
    if not isinstance(body, bytes) or len(body) > _MOST_READ:
        return ended_with("")
    try:
        results = msgspec.json.decode(body, type=_Answered).results
    except msgspec.MsgspecError:
        return ended_with("")
    return ended_with(_code_of([one.result for one in results]))


def _code_of(results: Sequence[str]) -> str:
    """Of the first process that failed, "" if none did.

    `stop all` finds some that don't run: where it stopped others, nothing has failed by that.
    """
    failed = [one for one in results if one != "ok"]
    if len(failed) < len(results):
        failed = [one for one in failed if one not in _NOTHING_TO_DO]
    return failed[0] if failed else ""
