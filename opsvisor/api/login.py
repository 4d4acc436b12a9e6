"""Who one is, and the sessions of browsers."""

import time

from aiohttp import web

from opsvisor import wire
from opsvisor.api.access import Caller, basic, bearer
from opsvisor.api.context import caller_of, json_response, read_body
from opsvisor.api.entrance import COOKIE, ENTRANCE
from opsvisor.api.errors import ApiError
from opsvisor.api.sessions import Session
from opsvisor.config.settings import Access


async def show_me(request: web.Request) -> web.Response:
    """Who you are here, how far you may go, and what is there for you."""
    caller, entrance = caller_of(request), request.app[ENTRANCE]
    return _told(request, caller, entrance.session_of(request) if caller.is_by_session else None)


async def log_in(request: web.Request) -> web.Response:
    """Begin a session, for browsers: show a password or a token once, and a cookie from then on.

    Wrong ones count as they do everywhere. A program has no need of this: it shows what it has
    with each request.
    """
    body = await read_body(request, wire.LoginRequest)
    if bool(body.token) == bool(body.username):
        what = "a login is by a token, or else by a username and its password"
        raise ApiError("bad_request", what, 'send {"token": …} or {"username": …, "password": …}')
    shown = bearer(body.token) if body.token else basic(body.username, body.password)
    caller, session, key = request.app[ENTRANCE].log_in(request, shown)
    response = _told(request, caller, session)
    response.set_cookie(
        COOKIE, key, path="/", httponly=True, samesite="Strict", secure=_is_by_tls(request)
    )
    return response


async def log_out(request: web.Request) -> web.Response:
    """End the session of this cookie, with all that is open of it; also where there is none."""
    request.app[ENTRANCE].log_out(request)
    response = json_response(wire.LoggedOut())
    response.del_cookie(
        COOKIE, path="/", httponly=True, samesite="Strict", secure=_is_by_tls(request)
    )
    return response


def _is_by_tls(request: web.Request) -> bool:
    """Whether the browser speaks TLS: with us, or with a proxy in front of us that says so.

    Who lies about that has a cookie that is kept from itself.
    """
    return request.secure or request.headers.get("X-Forwarded-Proto", "").lower() == "https"


def _told(request: web.Request, caller: Caller, session: Session | None) -> web.Response:
    left = 0.0 if session is None else request.app[ENTRANCE].sessions.left(session)
    response = json_response(
        wire.Me(
            name=caller.name,
            access=caller.access.value,
            can=[access.value for access in Access if caller.access.covers(access)],
            groups=None if caller.groups is None else sorted(caller.groups),
            logged_in=session is not None,
            expires_at=None if session is None else time.time() + left,
        )
    )
    response.headers["Cache-Control"] = "no-store"
    return response
