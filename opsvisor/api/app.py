"""The application: routes, and what happens around every request."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext

from aiohttp import web
from aiohttp.http import HttpVersion10, HttpVersion11, StreamWriter

from opsvisor import wire
from opsvisor.api.access import Caller, Gate
from opsvisor.api.audited import audited
from opsvisor.api.context import (
    CALLER,
    CONTRACT,
    CONTROL,
    DECLARED,
    IS_READY,
    METRICS,
    MORE_ROUTES,
    NEEDED_ACCESS,
    REQUESTS,
    STATUSES,
    STREAMS,
    TURNSTILE,
    WHOLE,
    HttpObserver,
    MetricsSource,
    Requests,
    Streams,
    my_turn,
    query_of,
    read_body,
    require_json,
)
from opsvisor.api.crowd import SERVER, Visitor
from opsvisor.api.entrance import ENTRANCE, Entrance, challenges
from opsvisor.api.errors import ApiError, problem_response
from opsvisor.api.hosts import Hosts, is_for_a_foreign_page, is_own_origin
from opsvisor.api.route import READING
from opsvisor.api.routes import METRICS_PATHS, ROUTES, Route
from opsvisor.api.tls import Certificates
from opsvisor.api.turnstile import Turnstile
from opsvisor.api.watch import WATCHERS, Watchers
from opsvisor.config.settings import Access, ClientLimits, Offer, TcpServer, UnixServer
from opsvisor.control.control import Control
from opsvisor.core.events import SupervisorState

_LARGEST_BODY = 1024 * 1024
# What is answered is no page, whatever of it others have written, and in no page of others. Ours
# says more about itself.
_USUAL_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_TOO_LARGE = "the body is larger than 1 MiB"
_GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
_USUAL_LIMITS = ClientLimits()
# After these nothing more is read: not the rest of a body, and no next guess.
_LAST_WORDS = frozenset({"too_slow", "too_large", "too_many_attempts", "encoded_body", "no_http"})
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(
    control: Control,
    server: UnixServer | TcpServer,
    *,
    metrics: MetricsSource,
    observer: HttpObserver,
    more_routes: Sequence[web.AbstractRouteDef] = (),
    limits: ClientLimits = _USUAL_LIMITS,
    turnstile: Turnstile | None = None,
    watchers: Watchers | None = None,
    certificates: Certificates | None = None,
) -> web.Application:
    """The API, or the part of it that this server offers, for those whom this server lets in.

    `more_routes` are other edges' paths; they are asked for only where the API has none. They can
    do anything, so they are for those who may. Their clients can't be made to send JSON, so there
    a web page is told by its Origin. Whoever passes the same `turnstile`, at whatever server,
    does so one after the other; `watchers` are who watches, at whatever server, likewise.
    `certificates` are what this server shows, where TLS is spoken.
    """
    if certificates is None:
        entrance = Entrance(server, observer, limits)
    else:
        entrance = Entrance(server, observer, limits, certificates.holds)
    app = web.Application(
        client_max_size=_LARGEST_BODY,
        middlewares=[
            _observe(observer),
            audited(control.audit, server),
            _explain_errors(observer, entrance.gate, server),
            _guard(server, entrance, limits),
        ],
    )
    app[ENTRANCE] = entrance
    app[TURNSTILE] = turnstile or Turnstile()
    app[CONTROL] = control
    app[WATCHERS] = watchers = watchers or Watchers(control)
    app[STATUSES] = watchers.statuses
    app[CONTRACT] = _render_contract
    app[METRICS] = metrics
    app[STREAMS] = streams = Streams(observer=observer)
    app[REQUESTS] = Requests()
    app[IS_READY] = lambda: control.supervisor.state is SupervisorState.RUNNING
    needed: dict[web.AbstractRoute, Access | None] = {}
    declared: dict[web.AbstractRoute, Route] = {}
    for route in ROUTES:
        if _is_whole(server) or route.path in METRICS_PATHS:
            for method in ("HEAD", "GET") if route.method == "GET" else (route.method,):
                added = app.router.add_route(
                    method, route.path, route.handler, expect_handler=_not_yet
                )
                needed[added] = route.access
                declared[added] = route
    others = app.router.add_routes(more_routes) if _is_whole(server) else ()
    needed |= dict.fromkeys(others, Access.ADMIN)
    app[NEEDED_ACCESS] = needed
    app[DECLARED] = declared
    app[MORE_ROUTES] = frozenset(others)
    app[WHOLE] = app[MORE_ROUTES] | {added for added, route in declared.items() if route.is_whole}

    async def end_streams(_: web.Application) -> None:
        streams.end()

    app.on_shutdown.append(end_streams)
    app.on_response_prepare.append(_before_answer)
    return app


def _render_contract() -> bytes:
    """The contract, by what few daemons are ever asked to load."""
    from opsvisor.api import openapi  # noqa: PLC0415 - see above

    return openapi.render()


async def _before_answer(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = SERVER
    for name, value in _USUAL_HEADERS.items():
        response.headers.setdefault(name, value)
    connection = request.protocol
    if isinstance(connection, Visitor) and not isinstance(response, web.Response):
        try:
            connection.begin_stream()
        except ApiError:
            # What is answered instead has a length, and the writer is set up for chunks by now.
            writer = request.writer
            assert isinstance(writer, StreamWriter)
            writer.chunked, writer.length = False, None
            raise


def _observe(observer: HttpObserver) -> Callable[..., Awaitable[web.StreamResponse]]:
    @web.middleware
    async def observe(request: web.Request, handler: _Handler) -> web.StreamResponse:
        began = time.monotonic()
        status = 499  # the client went away before there was an answer
        connection = request.protocol
        busy = connection.busy() if isinstance(connection, Visitor) else nullcontext()
        try:
            with observer.in_flight(), request.app[REQUESTS].one(), busy:
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
                for challenge in challenges(request, gate):
                    response.headers.add("WWW-Authenticate", challenge)
            if error.is_last or error.code in _LAST_WORDS:
                response.force_close()
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
        except asyncio.CancelledError:
            if not request.app[REQUESTS].is_put_off():
                raise
            return problem_response(_upgrading())
        except (web.HTTPException, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 - a bug in a handler ends one request, no more
            observer.internal_error("api", error)
            detail = "opsvisord has hit a bug of its own while answering"
            return problem_response(
                ApiError("internal", detail, "its log has the details: opsvisorctl maintail")
            )

    return explain


def _upgrading() -> ApiError:
    return ApiError(
        "upgrading",
        "opsvisord is making way for another version of itself; what was asked for goes on",
        "ask again how things are: the new one answers in a moment",
    )


def _is_whole(server: UnixServer | TcpServer) -> bool:
    return isinstance(server, UnixServer) or server.offers is Offer.EVERYTHING


def _guard(
    server: UnixServer | TcpServer, entrance: Entrance, limits: ClientLimits
) -> Callable[..., Awaitable[web.StreamResponse]]:
    """The one place where it is decided who may do what."""
    hosts = None
    if isinstance(server, TcpServer) and (entrance.gate.is_open or server.hosts):
        hosts = Hosts(server)

    def admit(request: web.Request, needed: Access) -> Caller:
        """Who this is, if they may do this. What is not is told as an ApiError."""
        caller = request[CALLER] = entrance.identify(request)
        if not caller.access.covers(needed):
            raise _not_you(caller, needed)
        if caller.is_scoped and request.match_info.route in request.app[WHOLE]:
            raise _not_all(caller)
        return caller

    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        await my_turn(request)
        if request.version not in (HttpVersion10, HttpVersion11):
            raise ApiError("no_http", "this is neither HTTP/1.1 nor HTTP/1.0", "speak one of them")
        # What leads nowhere is told to anybody who may come in at all.
        needed = request.app[NEEDED_ACCESS].get(request.match_info.route, Access.METRICS)
        if needed is None and request.method in READING:
            return await handler(request)
        # Before anybody is asked who they are: a page must not try passwords by others' browsers.
        if hosts is not None and not await hosts.expects(request):
            raise ApiError(
                "wrong_host",
                f"this server is not {request.host}",
                "ask for it by its address, or add the name to hosts of [server.http]; in a file"
                " of Supervisor's, of [opsvisor]",
            )
        if is_for_a_foreign_page(request):
            raise ApiError(
                "foreign_origin",
                "a page of another origin may neither have nor change anything here",
                "open the page of this server itself; a program sends no Sec-Fetch-Site",
            )
        caller = None if needed is None else admit(request, needed)
        if request.content_length is not None and request.content_length > _LARGEST_BODY:
            raise ApiError("too_large", _TOO_LARGE)  # before it is waited for
        # What leads nowhere is told as that, whatever its body.
        if request.method not in READING and request.match_info.http_exception is None:
            if request.match_info.route not in request.app[MORE_ROUTES]:
                require_json(request)
            elif not is_own_origin(request):
                raise ApiError(
                    "foreign_origin",
                    f"a page of {request.headers.get('Origin')} may change nothing here",
                    "a program that is no browser sends no Origin",
                )
            await _take_body(request, limits.request_timeout)
        if (route := request.app[DECLARED].get(request.match_info.route)) is not None:
            # What no handler reads is refused as well.
            query_of(request, route.query)
            if route.takes is wire.Nothing:
                await read_body(request, wire.Nothing)
        if caller is None:
            return await handler(request)
        with entrance.answering(request, caller):
            return await handler(request)

    return guard


async def _take_body(request: web.Request, patience: float) -> None:
    """Read the body, which may come one byte at a time: no handler has to think of that.

    Nothing is decompressed, since nobody has to send us anything large.
    """
    coding = request.headers.get("Content-Encoding", "").strip().lower()
    if coding not in ("", "identity"):
        detail = "the body must not be compressed"
        raise ApiError("encoded_body", detail, "send it without Content-Encoding")
    if not request.can_read_body:
        return
    if request.headers.get("Expect", "").strip().lower() == "100-continue":
        await request.writer.write(_GO_ON)
        request.writer.output_size = 0  # it is no part of the answer, which is yet to begin
    try:
        async with asyncio.timeout(patience):
            await request.read()
    except TimeoutError:
        detail = f"the body did not come within {patience:g} s"
        raise ApiError("too_slow", detail, "send it at once") from None
    except web.RequestPayloadError as error:
        raise ApiError("no_http", "the body is broken", "see its chunks, or its length") from error


async def _not_yet(request: web.Request) -> None:
    """Somebody waits to be told to send the body: not before it is known that it is wanted."""
    del request


def _not_you(caller: Caller, needed: Access) -> ApiError:
    return ApiError(
        "forbidden",
        f"this needs the access '{needed.value}', and '{caller.name}' has '{caller.access.value}'",
        f'come as somebody else, or set access = "{needed.value}" in [identity.{caller.name}]',
    )


def _not_all(caller: Caller) -> ApiError:
    return ApiError(
        "forbidden",
        f"this is about the whole daemon, and '{caller.name}' is there for some groups only",
        f"come as somebody else, or leave out groups in [identity.{caller.name}]",
    )


def _route_of(request: web.Request) -> str:
    """The template of the route, never the path itself: labels must stay few."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unmatched"
