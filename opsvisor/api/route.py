"""What one route of the API is, as data: enough to serve it, to guard it and to describe it."""

from collections.abc import Awaitable, Callable, Mapping
from types import UnionType
from typing import Any

import msgspec
from aiohttp import web

from opsvisor.api.queries import NoQuery, Query
from opsvisor.config.settings import Access
from opsvisor.core.struct import Struct, field

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Events = Mapping[str, type[msgspec.Struct]]
JSON = "application/json"
READING = frozenset({"GET", "HEAD", "OPTIONS"})  # methods that change nothing
EVENT_STREAM = "text/event-stream"


class PathParameter(Struct, frozen=True, kw_only=True):
    """A part of a path that callers fill in: its type on the wire, and what it means."""

    kind: Any  # what msgspec can describe: a type, Annotated or not
    meaning: str


class Link(Struct, frozen=True, kw_only=True):
    """What can be asked next, with what an answer has told.

    `parameters` by name, and `body`, may hold expressions of OpenAPI: `$response.body#/POINTER`.
    """

    operation_id: str
    meaning: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None


class Route(Struct, frozen=True):
    """One route, and the `access` it needs: None is for everybody, credentials or not.

    `takes` is the type of the JSON body, `gives` that of the answer. `gives` None means: no JSON.
    Then `content` names the media types it may have, or `events` the server-sent events that it
    streams: for each name (`message` is what has none) the type of its JSON.
    `query` declares the parameters of the query string; whatever else is asked for under `/api/`
    is refused. The handler reads them by `context.query_of`, so what is declared is what works.
    `status` is that of success. `problems` are the codes that this route's own handler can answer
    with; what any route like it can (credentials, bodies, ...) is known without.
    `links` lead on from its answer. `in_contract` False is for what people look at and no program
    relies on: pages and the like. `is_whole`: it is about the whole daemon, and so for nobody who
    is there for some groups only.

    Everything that is told about a route in words is its handler's docstring: the first line is a
    summary, and the operation is known by the handler's name.
    """

    method: str
    path: str
    access: Access | None
    handler: Handler
    takes: type[msgspec.Struct] | None = None
    gives: type[msgspec.Struct] | UnionType | type[list[Any]] | None = None
    query: type[Query] = NoQuery
    status: int = 200
    content: tuple[str, ...] = ()
    events: Events = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    in_contract: bool = True
    is_whole: bool = False

    @property
    def operation_id(self) -> str:
        """The one name of what this route does, in the contract and in generated clients."""
        return getattr(self.handler, "__name__", "")

    @property
    def media_types(self) -> tuple[str, ...]:
        """What a successful answer may be."""
        if self.gives is not None:
            return (JSON,)
        return (EVENT_STREAM,) if self.events else self.content
