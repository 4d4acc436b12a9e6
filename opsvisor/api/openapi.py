"""The contract of the API: OpenAPI 3.1, made of the route table and the wire types.

Nothing is written here that one of them knows. What holds for all routes alike, such as who must
show credentials and what becomes of a body that is no JSON, is decided by the middlewares of
`app`, and told here by the same conditions.
"""

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from inspect import cleandoc
from typing import Any

import msgspec

from opsvisor import wire
from opsvisor.api.errors import MEANINGS, STATUS_OF_CODE, TITLES
from opsvisor.api.queries import Query
from opsvisor.api.route import EVENT_STREAM, JSON, Link, PathParameter, Route
from opsvisor.api.routes import PATH_PARAMETERS, ROUTES

# Of the contract, not of the package: the number in the paths.
VERSION = "1"
PROBLEM_JSON = "application/problem+json"

# `Any` is what JSON is made of: this module writes it, and nobody reads it by its types.
_Json = dict[str, Any]

_COMPONENTS = "#/components/schemas/{name}"
_DESCRIPTION = """\
What opsvisord tells and does, as JSON over HTTP/1.1, on a unix socket and on TCP.

Times are Unix seconds, lengths are seconds, sizes are bytes. Whatever is asked with GET, streams
excepted, can also be asked with HEAD. What changes something must say `Content-Type:
application/json`, even with nothing to say, and 1 MiB is the most that it may say.

What goes wrong is told as problem+json (RFC 9457): `code` is for programs, `detail` and `hint` are
for people. `x-access` is the access that an operation needs, each including those before it:
`metrics`, `read`, `operate`, `admin`. Where a server knows no identities, nobody has to show any
credentials. On a unix socket, who asks may be known by the kernel instead.

Streams are server-sent events. Their schema is that of one event: its name, and its data by the
name; what has no name is a `message`. Whoever comes back with `Last-Event-ID` misses nothing that
is remembered.

Within version 1 things are only added. Clients must bear fields and values that they don't know:
where `x-extensible-enum` lists what a text may be, it may be something else tomorrow.
"""
_SCHEMES: Mapping[str, tuple[_Json, str]] = {
    "basic": (
        {"type": "http", "scheme": "basic"},
        "A name and a password, of [server] or of an identity that has a password.",
    ),
    "bearer": (
        {"type": "http", "scheme": "bearer"},
        "The token of an identity.",
    ),
    "session": (
        {"type": "apiKey", "in": "cookie", "name": "opsvisor_session"},
        "What a browser has after a login, for pages of the daemon's own.",
    ),
    "certificate": (
        {"type": "mutualTLS"},
        "The certificate of a client, where a server asks for one.",
    ),
}
# What operations are about, and the modules of their handlers.
_TAGS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "processes": (
        "How processes are, why, and what is asked of them",
        ("processes", "samples", "groups"),
    ),
    "logs": ("What processes and the daemon say", ("logs", "many_logs", "downloads")),
    "live": ("What happens, as it happens", ("watch", "events")),
    "config": (
        "What the files say, how that differs from what runs, and taking it over",
        ("config",),
    ),
    "daemon": ("The daemon itself, and where its metrics are", ("system", "discovery")),
    "access": ("Who one is, and the sessions of browsers", ("login",)),
}
_LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "Go on after this event, which was the last one seen",
    "schema": {"type": "string"},
}


@cache
@cache
def render() -> bytes:
    """The contract as it is served and kept: JSON for people and for `diff`.

    The first time takes 40 ms, which nobody without credentials can ask for again.
    """
    return json.dumps(contract(), indent=2, ensure_ascii=False).encode() + b"\n"


def contract() -> _Json:
    """The contract of every route that programs may rely on."""
    return describe([route for route in ROUTES if route.in_contract], PATH_PARAMETERS)


def describe(routes: Iterable[Route], path_parameters: Mapping[str, PathParameter]) -> _Json:
    """The OpenAPI document of these routes."""
    routes = tuple(routes)
    schemas, components = _schemas(routes)
    paths: dict[str, _Json] = {}
    responses: _Json = {}
    for route in routes:
        operation = _operation(route, schemas, responses)
        parameters = [
            _path_parameter(name, path_parameters[name]) for name in names_in(route.path)
        ]
        path = paths.setdefault(route.path, {"parameters": parameters} if parameters else {})
        path[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "opsvisor",
            "version": VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": tag, "description": what}
            for tag, (what, _) in _TAGS.items()
            if any(_tag(route) == tag for route in routes)
        ],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "responses": dict(sorted(responses.items())),
            "securitySchemes": {
                name: {**scheme, "description": what} for name, (scheme, what) in _SCHEMES.items()
            },
        },
    }


def names_in(path: str) -> list[str]:
    """The parameters of a path."""
    return re.findall(r"{(\w+)}", path)


def problem_codes(route: Route) -> set[str]:
    """Every code that a request for this route can be answered with."""
    codes = {"no_http", "bad_expectation", "internal", "upgrading", "too_many_connections"}
    codes.update(route.problems)
    if route.path.startswith("/api/") or list(_parameters(route.query)):
        codes.add("bad_request")
    if route.access is not None:
        codes |= {"unauthorized", "forbidden", "too_many_attempts", "wrong_host", "foreign_origin"}
    if route.method != "GET":
        codes |= {
            "bad_request",
            "not_json",
            "encoded_body",
            "too_large",
            "too_slow",
            "foreign_origin",
        }
    if route.events:
        codes.add("too_many_streams")
    return codes


def _operation(route: Route, schemas: Mapping[object, _Json], responses: _Json) -> _Json:
    summary, _, more = cleandoc(route.handler.__doc__ or "").partition("\n")
    parameters = list(_parameters(route.query))
    if route.events:
        parameters.append(_LAST_EVENT_ID)
    operation: _Json = {
        "operationId": route.operation_id,
        "tags": [_tag(route)],
        "summary": summary.removesuffix("."),
    }
    if more:
        operation["description"] = _flowing(more)
    operation["x-access"] = route.access.value if route.access else None
    operation["security"] = [] if route.access is None else [{name: []} for name in _SCHEMES]
    if parameters:
        operation["parameters"] = parameters
    if route.takes is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": schemas[route.takes]}},
        }
    operation["responses"] = {
        str(route.status): _success(route, schemas),
        **_problems(route, responses),
    }
    return operation


def _success(route: Route, schemas: Mapping[object, _Json]) -> _Json:
    response: _Json = {"description": "What was asked for" if route.status == 200 else "It begins"}  # noqa: PLR2004 - RFC 9110
    content: _Json = {}
    for media_type in route.media_types:
        content[media_type] = described = {}
        if route.gives is not None:
            described["schema"] = schemas[route.gives]
        elif media_type == EVENT_STREAM:
            described["schema"] = _event(route, schemas)
        elif media_type != JSON:
            described["schema"] = {"type": "string"}
    if content:
        response["content"] = content
    if route.links:
        response["links"] = {link.operation_id: _link(link) for link in route.links}
    return response


def _event(route: Route, schemas: Mapping[object, _Json]) -> _Json:
    """One event of a stream: what OpenAPI 3.2 says is to be in `itemSchema`."""
    return {
        "type": "object",
        "properties": {
            "event": {"type": "string"},
            "id": {"type": "string"},
            "data": {"type": "string"},
        },
        "required": ["event", "data"],
        "oneOf": [
            {
                "properties": {
                    "event": {"const": name},
                    "data": {"contentMediaType": JSON, "contentSchema": schemas[kind]},
                }
            }
            for name, kind in route.events.items()
        ],
    }


def _link(link: Link) -> _Json:
    told: _Json = {"operationId": link.operation_id, "description": link.meaning}
    if link.parameters:
        told["parameters"] = dict(link.parameters)
    if link.body is not None:
        told["requestBody"] = link.body
    return told


def _problems(route: Route, responses: _Json) -> _Json:
    """The refusals, by status: each in one place, since most of them are those of all routes."""
    by_status: dict[int, list[str]] = {}
    for code in sorted(problem_codes(route)):
        by_status.setdefault(STATUS_OF_CODE[code], []).append(code)
    told = {}
    for status, codes in sorted(by_status.items()):
        name = "-".join(codes)
        responses.setdefault(name, _refusal(status, codes))
        told[str(status)] = {"$ref": f"#/components/responses/{name}"}
    return told


def _refusal(status: int, codes: list[str]) -> _Json:
    problem = {"$ref": _COMPONENTS.format(name=wire.Problem.__name__)}
    narrowed = {"properties": {"code": {"enum": codes}, "status": {"const": status}}}
    lines = "\n".join(f"- `{code}`: {MEANINGS[code]}" for code in codes)
    response: _Json = {
        "description": f"{TITLES[status]}\n\n{lines}",
        "content": {PROBLEM_JSON: {"schema": {"allOf": [problem, narrowed]}}},
    }
    if "unauthorized" in codes:
        response["headers"] = {
            "WWW-Authenticate": {
                "description": "What can be shown",
                "schema": {"type": "string"},
            }
        }
    if "too_many_attempts" in codes:
        response["headers"] = {
            "Retry-After": {
                "description": "Seconds after which it makes sense to ask again",
                "required": True,
                "schema": {"type": "integer", "minimum": 1},
            }
        }
    return response


def _parameters(query: type[Query]) -> Iterable[_Json]:
    (schema,), components = msgspec.json.schema_components([query], ref_template=_COMPONENTS)
    told = components[schema["$ref"].rpartition("/")[2]]
    for name, one in told["properties"].items():
        # What may be left out is None in Python, which can't be said in a query string.
        default = one.pop("default", None)
        bare = next((case for case in one.get("anyOf", ()) if case != {"type": "null"}), one)
        what = bare.pop("description", "")
        if default not in (None, []):
            bare["default"] = default
        yield {"name": name, "in": "query", "required": False, "description": what, "schema": bare}


def _path_parameter(name: str, parameter: PathParameter) -> _Json:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": parameter.meaning,
        "schema": msgspec.json.schema(parameter.kind),
    }


def _schemas(routes: Iterable[Route]) -> tuple[dict[object, _Json], _Json]:
    """Where each type of a body, an answer and an event is described, and all descriptions."""
    kinds: list[Any] = [wire.Problem]
    for route in routes:
        kinds += [kind for kind in (route.takes, route.gives) if kind is not None]
        kinds += route.events.values()
    told, components = msgspec.json.schema_components(kinds, ref_template=_COMPONENTS)
    for name, component in components.items():
        component.update(getattr(getattr(wire, name), "more_schema", {}))
        component.pop("title", None)
        if "description" in component:
            component["description"] = _flowing(cleandoc(component["description"]))
    return dict(zip(kinds, told, strict=True)), components


def _tag(route: Route) -> str:
    module = route.handler.__module__.rpartition(".")[2]
    return next(tag for tag, (_, modules) in _TAGS.items() if module in modules)


def _flowing(text: str) -> str:
    """Without the line breaks of the source, which mean nothing; paragraphs stay."""
    paragraphs = text.strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
