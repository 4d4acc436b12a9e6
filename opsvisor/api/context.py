"""What every handler needs, under typed keys of the application."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from typing import Any, Protocol, TypeVar

import msgspec
from aiohttp import web
from aiohttp_sse import EventSourceResponse

from opsvisor import wire
from opsvisor.api.access import Caller
from opsvisor.api.crowd import Visitor
from opsvisor.api.errors import ApiError
from opsvisor.api.queries import Query, parse_query
from opsvisor.api.route import Route
from opsvisor.api.statuses import Statuses
from opsvisor.api.turnstile import Turnstile
from opsvisor.config.settings import Access, Collector
from opsvisor.control.control import Control
from opsvisor.control.names import Among, Target, resolve
from opsvisor.core.spec import ProcessId
from opsvisor.core.struct import Struct, field
from opsvisor.core.view import ProcessView

_T = TypeVar("_T")
_Q = TypeVar("_Q", bound=Query)
# Looking up a name takes 1 us, and one that may stand for several processes is compared with all.
_MOST_NAMES = 5000
_MOST_SWEEPING = 100
_LONGEST_SWEEPING = 10_000  # characters of all of them: making a pattern ready takes 3 us for each
_SWEEPING = re.compile(r"[*?\[]|:$")
_LONGEST_ID = 19  # digits of 2**63
_FAREWELL_PATIENCE = 0.5  # seconds for a client to take one more event


class MetricsSource(Protocol):
    """What answers scrapes."""

    @property
    def collectors(self) -> frozenset[Collector]:
        """What is switched on, and can be asked for."""
        ...

    def content_type(self, accept: str) -> str:
        """Of what `render` answers to this Accept header."""
        ...

    async def render(
        self, accept: str, *, gzip: bool, collect: frozenset[Collector] | None = None
    ) -> tuple[bytes, str]:
        """Body and content type for this Accept header: of these collectors, or of all."""
        ...


class HttpObserver(Struct, frozen=True, kw_only=True):
    """Who wants to know about requests. All must be quick."""

    request_done: Callable[[str, str, int, float], None]  # handler, method, status, seconds
    in_flight: Callable[[], AbstractContextManager[object]]
    streaming: Callable[[str], AbstractContextManager[object]]
    internal_error: Callable[[str, Exception], None]
    warn: Callable[[str], None] = lambda _: None  # of what an operator should see to
    login_failed: Callable[[str, bool], None] = lambda _listener, _unread: None


class Requests(Struct):
    """Requests being answered. Those that wait for long can be told to ask again."""

    open: set[asyncio.Task[Any]] = field(default_factory=set)
    _put_off: set[asyncio.Task[Any]] = field(default_factory=set)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Know of this request while the block lasts."""
        task = asyncio.current_task()
        assert task is not None
        self.open.add(task)
        try:
            yield
        finally:
            self.open.discard(task)
            self._put_off.discard(task)

    def put_off(self) -> None:
        """Have all that are open answered at once: another process will be there to ask."""
        for task in self.open - self._put_off:
            self._put_off.add(task)
            task.cancel()

    def is_put_off(self) -> bool:
        """Whether the present request was cancelled by `put_off`, and by nobody else."""
        task = asyncio.current_task()
        return task is not None and task in self._put_off and not task.uncancel()


class Position(Struct):
    """How far a stream has come: the id that its client would come back with."""

    at: int


class Streams(Struct, kw_only=True):
    """Open streaming responses, so that they can be ended when the server goes.

    `is_upgrading`: another process is about to answer here, so that clients shall come back.
    """

    observer: HttpObserver
    open: set[asyncio.Task[Any]] = field(default_factory=set)
    is_upgrading: bool = False

    def end(self) -> None:
        """End them all."""
        for task in tuple(self.open):
            task.cancel()

    @asynccontextmanager
    async def until_upgraded(
        self, response: EventSourceResponse, position: Position
    ) -> AsyncIterator[None]:
        """Say farewell, as an event `upgrade`, where the block is ended for an upgrade.

        Its id is where the client goes on. One that does not read in time comes back with the id
        that it saw last: nothing is lost by that.
        """
        try:
            yield
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self.is_upgrading or task is None or task.uncancel():
                raise
            response.force_close()
            with suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(_FAREWELL_PATIENCE):
                    await response.send("{}", event="upgrade", id=str(position.at))

    @contextmanager
    def one(self, name: str) -> Iterator[None]:
        """Count this response as a stream while the block lasts."""
        task = asyncio.current_task()
        assert task is not None
        self.open.add(task)
        try:
            with self.observer.streaming(name):
                yield
        finally:
            self.open.discard(task)


CONTRACT: web.AppKey[Callable[[], bytes]] = web.AppKey("contract")
CONTROL = web.AppKey("control", Control)
# As soon as it is known who asks; never on routes that are for everybody.
CALLER = web.RequestKey("caller", Caller)
TURNSTILE = web.AppKey("turnstile", Turnstile)
METRICS: web.AppKey[MetricsSource] = web.AppKey("metrics")
STATUSES = web.AppKey("statuses", Statuses)
STREAMS = web.AppKey("streams", Streams)
REQUESTS = web.AppKey("requests", Requests)
NEEDED_ACCESS: web.AppKey[Mapping[web.AbstractRoute, Access | None]] = web.AppKey("needed_access")
DECLARED: web.AppKey[Mapping[web.AbstractRoute, Route]] = web.AppKey("declared")
MORE_ROUTES: web.AppKey[frozenset[web.AbstractRoute]] = web.AppKey("more_routes")
WHOLE: web.AppKey[frozenset[web.AbstractRoute]] = web.AppKey("whole")
IS_READY: web.AppKey[Callable[[], bool]] = web.AppKey("is_ready")


def json_response(body: msgspec.Struct, status: int = 200) -> web.Response:
    """A wire struct as JSON."""
    return web.Response(status=status, body=wire.encode(body), content_type="application/json")


def require_json(request: web.Request) -> None:
    """Refuse a request that changes something unless it says that it is JSON.

    A form on a foreign web page can't send that, so nobody's browser can be made to change
    anything here (CSRF), be there a body to read or not.
    """
    if request.content_type != "application/json":
        raise ApiError(
            "not_json",
            f"the body must be application/json, not {request.content_type}",
            "send the header Content-Type: application/json",
        )


async def read_body(request: web.Request, kind: type[_T]) -> _T:
    """The JSON body, as the route declares it: `kind` is that declaration."""
    route = request.app[DECLARED][request.match_info.route]
    assert route.takes is kind, f"{route.path} declares another body"
    try:
        return msgspec.json.decode(await request.read() or b"{}", type=kind)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ApiError("bad_request", f"{error}") from error


def check_names(names: Sequence[str]) -> None:
    """Refuse more names than anybody types: what they stand for is found without a pause."""
    different = dict.fromkeys(names)
    sweeping = [name for name in different if _SWEEPING.search(name)]
    if (
        len(different) > _MOST_NAMES
        or len(sweeping) > _MOST_SWEEPING
        or sum(map(len, sweeping)) > _LONGEST_SWEEPING
    ):
        raise ApiError(
            "bad_request",
            f"these are more names than one request may have: {_MOST_NAMES}, of which"
            f" {_MOST_SWEEPING} may be groups or patterns",
            "ask for fewer at a time, or for 'all'",
        )


def refuse_when_stopping(control: Control) -> None:
    """Refuse what makes no sense any more once a shutdown has begun."""
    if control.supervisor.state.is_ending:
        raise ApiError("shutting_down", "opsvisord is shutting down")


def query_of(request: web.Request, kind: type[_Q]) -> _Q:
    """The query string, as the route declares it: `kind` is that declaration."""
    route = request.app[DECLARED][request.match_info.route]
    assert route.query is kind, f"{route.path} declares another query string"
    return parse_query(request.query, kind, strict=route.path.startswith("/api/"))


def read_last_event_id(request: web.Request) -> int | None:
    """Where a client that comes back wants to go on; None if it says nothing that we ever said."""
    text = request.headers.get("Last-Event-ID", "")
    # isdigit() also takes "²", and int() refuses more than 4300 digits.
    is_number = text.isascii() and text.isdecimal() and len(text) <= _LONGEST_ID
    return int(text) if is_number else None


def source_of(request: web.Request) -> str:
    """Where it comes from, the same for all that one client can easily come from."""
    connection = request.protocol
    return connection.peer.name if isinstance(connection, Visitor) else ""


async def my_turn(request: web.Request) -> None:
    """Let everything else of the loop go first, if others are waiting as well."""
    await request.app[TURNSTILE].turn(source_of(request))


def caller_of(request: web.Request) -> Caller:
    """Who asks, on a route that is not for everybody."""
    return request[CALLER]


def known_to(request: web.Request) -> Among:
    """Every process that is there for who asks: names must be looked for among these only."""
    return Among(request.app[CONTROL].engine, caller_of(request).sees)


def views_of(request: web.Request) -> list[ProcessView]:
    """How every process is that is there for who asks."""
    views = request.app[CONTROL].engine.views()
    caller = caller_of(request)
    return [view for view in views if caller.sees(view.id)]


def find_process(request: web.Request) -> ProcessId:
    """The one process that the path names."""
    name = request.match_info["name"]
    found = resolve([name], known_to(request))
    if len(found) == 1 and isinstance(target := found[0], Target):
        return target.id
    raise ApiError(
        "no_such_process",
        f"no such process: {name}",
        "GET /api/v1/processes lists them; a member of a group is group:name",
    )
