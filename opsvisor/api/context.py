"""What every handler needs, under typed keys of the application."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import msgspec
from aiohttp import web

from opsvisor import wire
from opsvisor.api.errors import ApiError
from opsvisor.config.settings import Access, Collector
from opsvisor.control.control import Control
from opsvisor.control.names import Target, resolve
from opsvisor.core.spec import ProcessId

_T = TypeVar("_T")
_LONGEST_ID = 19  # digits of 2**63


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


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpObserver:
    """Who wants to know about requests. All must be quick."""

    request_done: Callable[[str, str, int, float], None]  # handler, method, status, seconds
    in_flight: Callable[[], AbstractContextManager[object]]
    streaming: Callable[[str], AbstractContextManager[object]]
    internal_error: Callable[[str, Exception], None]
    warn: Callable[[str], None] = lambda _: None  # of what an operator should see to


@dataclass(slots=True, kw_only=True)
class Streams:
    """Open streaming responses, so that they can be ended when the server goes."""

    observer: HttpObserver
    open: set[asyncio.Task[Any]] = field(default_factory=set)

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


CONTROL = web.AppKey("control", Control)
METRICS: web.AppKey[MetricsSource] = web.AppKey("metrics")
STREAMS = web.AppKey("streams", Streams)
NEEDED_ACCESS: web.AppKey[Mapping[web.AbstractRoute, Access | None]] = web.AppKey("needed_access")
MORE_ROUTES: web.AppKey[frozenset[web.AbstractRoute]] = web.AppKey("more_routes")
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
    """The JSON body as this wire struct."""
    try:
        return msgspec.json.decode(await request.read() or b"{}", type=kind)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise ApiError("bad_request", f"{error}") from error


def refuse_when_stopping(control: Control) -> None:
    """Refuse what makes no sense any more once a shutdown has begun."""
    if control.supervisor.state.is_ending:
        raise ApiError("shutting_down", "opsvisord is shutting down")


def read_number(request: web.Request, name: str, default: int | None = None) -> int | None:
    """A whole number of the query string."""
    text = request.query.get(name)
    if text is None:
        return default
    try:
        return int(text)
    except ValueError:
        raise ApiError("bad_request", f"{name}={text!r} is not a whole number") from None


def read_last_event_id(request: web.Request) -> int | None:
    """Where a client that comes back wants to go on; None if it says nothing that we ever said."""
    text = request.headers.get("Last-Event-ID", "")
    # isdigit() also takes "²", and int() refuses more than 4300 digits.
    return int(text) if text.isdecimal() and len(text) <= _LONGEST_ID else None


def find_process(request: web.Request) -> ProcessId:
    """The one process that the path names."""
    name = request.match_info["name"]
    found = resolve([name], request.app[CONTROL].engine.ids())
    if len(found) == 1 and isinstance(target := found[0], Target):
        return target.id
    raise ApiError(
        "no_such_process",
        f"no such process: {name}",
        "GET /api/v1/processes lists them; a member of a group is group:name",
    )
