"""The application: routes, and what happens around every request."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from opsvisor.api.access import Caller, Gate
from opsvisor.api.context import (
    CONTROL,
    IS_READY,
    METRICS,
    MORE_ROUTES,
    NEEDED_ACCESS,
    STREAMS,
    HttpObserver,
    MetricsSource,
    Streams,
    require_json,
)
from opsvisor.api.errors import ApiError, problem_response
from opsvisor.api.hosts import Hosts, is_own_origin
from opsvisor.api.routes import METRICS_PATHS, ROUTES
from opsvisor.config.settings import Access, Offer, TcpServer, UnixServer
from opsvisor.control.control import Control
from opsvisor.core.events import SupervisorState

_LARGEST_BODY = 1024 * 1024
_TOO_LARGE = "the body is larger than 1 MiB"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(
    control: Control,
    server: UnixServer | TcpServer,
    *,
    metrics: MetricsSource,
    observer: HttpObserver,
    more_routes: Sequence[web.AbstractRouteDef] = (),
) -> web.Application:
    """The API, or the part of it that this server offers, for those whom this server lets in.

    `more_routes` are other edges' paths; they are asked for only where the API has none. They can
    do anything, so they are for those who may. Their clients can't be made to send JSON, so there
    a web page is told by its Origin.
    """
    gate = Gate(server, observer.warn)
    app = web.Application(
        client_max_size=_LARGEST_BODY,
        middlewares=[
            _observe(observer),
            _explain_errors(observer, gate, server),
            _guard(server, gate),
        ],
    )
    app[CONTROL] = control
    app[METRICS] = metrics
    app[STREAMS] = streams = Streams(observer=observer)
    app[IS_READY] = lambda: control.supervisor.state is SupervisorState.RUNNING
    needed: dict[web.AbstractRoute, Access | None] = {}
    for route in ROUTES:
        if _is_whole(server) or route.path in METRICS_PATHS:
            for method in ("HEAD", "GET") if route.method == "GET" else (route.method,):
                added = app.router.add_route(method, route.path, route.handler)
                needed[added] = route.access
    others = app.router.add_routes(more_routes) if _is_whole(server) else ()
    needed |= dict.fromkeys(others, Access.ADMIN)
    app[NEEDED_ACCESS] = needed
    app[MORE_ROUTES] = frozenset(others)

    async def end_streams(_: web.Application) -> None:
        for task in tuple(streams.open):
            task.cancel()

    async def name_ourselves(_: web.Request, response: web.StreamResponse) -> None:
        # Not the versions of what we are made of, which is what aiohttp says.
        response.headers["Server"] = "opsvisord"

    app.on_shutdown.append(end_streams)
    app.on_response_prepare.append(name_ourselves)
    return app


def _observe(observer: HttpObserver) -> Callable[..., Awaitable[web.StreamResponse]]:
    @web.middleware
    async def observe(request: web.Request, handler: _Handler) -> web.StreamResponse:
        began = time.monotonic()
        status = 499  # the client went away before there was an answer
        try:
            with observer.in_flight():
                response = await handler(request)
            status = response.status
            return response
        finally:
            took = time.monotonic() - began
            observer.request_done(_route_of(request), request.method, status, took)

    return observe


def _explain_errors(
    observer: HttpObserver, gate: Gate, server: UnixServer | TcpServer
) -> Callable[..., Awaitable[web.StreamResponse]]:
    @web.middleware
    async def explain(request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except ApiError as error:
            response = problem_response(error)
            if error.code == "unauthorized":
                response.headers["WWW-Authenticate"] = 'Basic realm="default"'
                if gate.takes_tokens:
                    response.headers.add("WWW-Authenticate", 'Bearer realm="default"')
            return response
        except web.HTTPNotFound:
            hint = "GET / lists the entry points"
            if not _is_whole(server):
                hint = f"this listener has {', '.join(METRICS_PATHS)} and nothing else"
            return problem_response(ApiError("not_found", f"nothing at {request.path}", hint))
        except web.HTTPMethodNotAllowed as error:
            allowed = ", ".join(sorted(error.allowed_methods))
            detail = f"{request.method} is not possible here"
            response = problem_response(ApiError("method_not_allowed", detail, f"try {allowed}"))
            response.headers["Allow"] = allowed
            return response
        except web.HTTPRequestEntityTooLarge:
            return problem_response(ApiError("too_large", _TOO_LARGE))
        except (web.HTTPException, asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 - a bug in a handler ends one request, no more
            observer.internal_error("api", error)
            detail = "opsvisord has hit a bug of its own while answering"
            return problem_response(
                ApiError("internal", detail, "its log has the details: opsvisorctl maintail")
            )

    return explain


def _is_whole(server: UnixServer | TcpServer) -> bool:
    return isinstance(server, UnixServer) or server.offers is Offer.EVERYTHING


def _guard(
    server: UnixServer | TcpServer, gate: Gate
) -> Callable[..., Awaitable[web.StreamResponse]]:
    """The one place where it is decided who may do what."""
    hosts = Hosts(server) if isinstance(server, TcpServer) and gate.is_open else None

    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        # What leads nowhere is told to anybody who may come in at all.
        needed = request.app[NEEDED_ACCESS].get(request.match_info.route, Access.METRICS)
        if needed is None:
            return await handler(request)
        caller = gate.caller(request.headers.get("Authorization"))
        if caller is None:
            raise _who_are_you(gate)
        if not caller.access.covers(needed):
            raise _not_you(caller, needed)
        if hosts is not None and not await hosts.expects(request):
            raise ApiError(
                "wrong_host",
                f"this server is not {request.host}",
                "ask for it by its address, or give it a user name and a password",
            )
        if request.content_length is not None and request.content_length > _LARGEST_BODY:
            raise ApiError("too_large", _TOO_LARGE)  # before it is waited for
        # What leads nowhere is told as that, whatever its body.
        if request.method not in _READING and request.match_info.http_exception is None:
            if request.match_info.route not in request.app[MORE_ROUTES]:
                require_json(request)
            elif not is_own_origin(request):
                raise ApiError(
                    "foreign_origin",
                    f"a page of {request.headers.get('Origin')} may change nothing here",
                    "a program that is no browser sends no Origin",
                )
        return await handler(request)

    return guard


def _who_are_you(gate: Gate) -> ApiError:
    hint = "opsvisorctl -u NAME -p PASSWORD, or curl -u NAME"
    if not gate.takes_tokens:
        return ApiError("unauthorized", "this server asks for a user name and a password", hint)
    return ApiError(
        "unauthorized",
        "this server asks for a user name and a password, or for a token",
        f"{hint}, or curl -H 'Authorization: Bearer TOKEN'",
    )


def _not_you(caller: Caller, needed: Access) -> ApiError:
    return ApiError(
        "forbidden",
        f"this needs the access '{needed.value}', and '{caller.name}' has '{caller.access.value}'",
        f'come as somebody else, or set access = "{needed.value}" in [identity.{caller.name}]',
    )


def _route_of(request: web.Request) -> str:
    """The template of the route, never the path itself: labels must stay few."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unmatched"
