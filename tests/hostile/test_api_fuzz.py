"""Every route, asked by everybody for everything: by the route table and the types of the wire.

`make fuzz` searches for longer; here it takes about 20 seconds.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from daemon import Daemon, eventually
from home import Home, Programs
from http_requests import free_port
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from siege import Answer, Besieged, Way

from opsvisor.api.routes import ROUTES, Route
from opsvisor.config.settings import Access

EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "1500"))
PROGRAMS = """
[program.web]
command = "$VICTIM"
stdin = "pipe"
min_uptime = "0s"
"""
# Each may come in with this token; None comes without any, "wrong" with one of nobody.
TOKENS = {access: f"token-of-{access.value}-0123456789abcdef" for access in Access}
CALLERS: tuple[Access | str | None, ...] = (*Access, "wrong", None)
# These end the daemon, and are asked by those who may not only; or by nobody in this search.
ENDING = frozenset({"/api/v1/daemon/shutdown", "/api/v1/daemon/reload"})
STREAMING = frozenset(route.path for route in ROUTES if route.events)
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X")

ODD = st.sampled_from(
    (
        "",
        "0",
        "-1",
        "1e9",
        "NaN",
        "9" * 60,
        "1_0",
        "\u0661",
        "null",
        "true",
        "*",
        "web",
        "%00",
        "[]",
    )
) | st.text(max_size=12)
NAMES = st.sampled_from(("web", "web:web", "web:*", "all", "none", "w*", "*", ":", "a:b:c")) | ODD
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
PARAMETERS = st.dictionaries(
    st.sampled_from(
        (
            "name",
            "lines",
            "bytes",
            "offset",
            "length",
            "replay",
            "resources",
            "collect",
            "collect[]",
        )
    ),
    st.integers(-5, 5000).map(str) | ODD,
    max_size=3,
)
HEADERS = st.dictionaries(
    st.sampled_from(
        (
            "Accept",
            "Accept-Encoding",
            "Last-Event-ID",
            "Origin",
            "X-Forwarded-Host",
            "X-Forwarded-Proto",
            "Range",
            "If-None-Match",
            "Expect",
            "Content-Encoding",
            "Cookie",
        )
    ),
    st.sampled_from(
        (
            "",
            "*/*",
            "gzip",
            "gzip;q=x",
            "identity;q=0",
            "text/plain;version=0.0.4",
            "application/openmetrics-text",
            "null",
            "http://localhost",
            "bytes=0-1",
            "100-continue",
            "x" * 300,
            "a,b;c=d",
            "999999999999999999999",
            "\N{LATIN SMALL LETTER E WITH ACUTE}",
        )
    ),
    max_size=2,
)
TYPES = st.sampled_from(
    ("application/json", "application/json; charset=utf-16", "text/plain", "", "a/b/c", "json;")
)


@dataclass(frozen=True)
class Asked:
    """A request."""

    route: Route
    method: str
    target: str
    caller: Access | str | None
    headers: dict[str, str]
    body: bytes


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values that this type of the wire takes, and some that it nearly takes."""
    match kind:
        case msgspec.inspect.StrType():
            return st.sampled_from(("start", "stop", "restart", "signal", "HUP", "0")) | NAMES
        case msgspec.inspect.IntType():
            return st.integers()
        case msgspec.inspect.FloatType():
            return st.sampled_from((0, 0.01, -1, 1e308)) | st.floats()
        case msgspec.inspect.BoolType():
            return st.booleans()
        case msgspec.inspect.NoneType():
            return st.none()
        case msgspec.inspect.ListType(item_type=item):
            return st.lists(values_of(item), max_size=3)
        case msgspec.inspect.Metadata(type=plain):
            return values_of(plain)
        case msgspec.inspect.LiteralType(values=values):
            return st.sampled_from(values) | ODD
        case msgspec.inspect.UnionType(types=types):
            return st.one_of(*map(values_of, types))
        case _:
            raise AssertionError(f"no values of {kind}")


def bodies_of(route: Route) -> st.SearchStrategy[bytes]:
    """Bodies that fit, those that nearly do, and any bytes."""
    anything = st.binary(max_size=30) | JSON.map(lambda value: json.dumps(value).encode())
    if route.takes is None:
        return st.just(b"") | anything
    info = msgspec.inspect.type_info(route.takes)
    assert isinstance(info, msgspec.inspect.StructType)
    fields = {field.encode_name: values_of(field.type) for field in info.fields}
    fitting = st.fixed_dictionaries({}, optional={**fields, "unknown": JSON})
    near = st.dictionaries(st.sampled_from(sorted(fields) or ["unknown"]), JSON, max_size=4)
    documents = (fitting | near).map(_without_waiting)
    return (
        documents.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")) | anything
    )


def _without_waiting(body: dict[str, Any]) -> dict[str, Any]:
    """An action that waits for long is no bug, but holds up the search."""
    return {**body, "wait": False} if "action" in body else body


@st.composite
def requests(draw: st.DrawFn) -> Asked:
    """Any request of anybody to any route."""
    route = draw(st.sampled_from(ROUTES))
    method = draw(st.just(route.method) | st.sampled_from(METHODS))
    caller = draw(st.sampled_from(CALLERS))
    may_end = caller is Access.ADMIN and route.path in ENDING
    if method == route.method and (may_end or route.path in STREAMING):
        method = "HEAD"
    name = quote(draw(NAMES), safe=":*")
    stream = quote(draw(st.sampled_from(("stdout", "stderr")) | ODD), safe="")
    path = route.path.replace("{name}", name).replace("{stream}", stream)
    path = path.replace("{asset}", name)
    query = "&".join(
        f"{quote(key)}={quote(value, safe='')}" for key, value in draw(PARAMETERS).items()
    )
    headers = dict(draw(HEADERS))
    kind = draw(st.just("application/json") | TYPES)
    if kind:
        headers["Content-Type"] = kind
    target = f"{path}?{query}" if query else path
    return Asked(route, method, target, caller, headers, draw(bodies_of(route)))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Besieged]:
    """A daemon with an identity of each access, which counts no wrong ones."""
    home = Home(tmp_path_factory.mktemp("fuzz"))
    port = free_port()
    identities = "".join(
        f'[identity.{access.value}]\naccess = "{access.value}"\ntoken = "{token}"\n'
        for access, token in TOKENS.items()
    )
    main = f'http.listen = "127.0.0.1:{port}"\nlimits.failed_logins = 0\n{identities}'
    home.write(Programs(PROGRAMS), main=main)
    daemon = Daemon(home)
    try:
        daemon.until("web", "RUNNING")
        yield Besieged(daemon, port, (Way.UNIX,))
    finally:
        daemon.end()


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(asked=requests())
def test_any_request(guarded: Besieged, asked: Asked) -> None:
    """No bug is met, whoever may not does not, and what is wrong is told as a problem."""
    answer = ask(guarded, asked)
    check_access(asked, answer)
    check_form(asked, answer)


def test_the_search_has_met_no_bug(guarded: Besieged) -> None:
    """After all of that the daemon is as it was, and has counted nothing that must not be."""
    guarded.check_no_bugs()
    guarded.daemon.client.act("start", ["web"])
    eventually(lambda: guarded.daemon.status("web").state == "RUNNING")
    assert guarded.daemon.client.daemon().state == "running"


def ask(one: Besieged, asked: Asked) -> Answer:
    """Send it, over TCP, and read what comes."""
    headers = {"Host": "localhost", "Connection": "close", **asked.headers}
    if asked.caller is not None:
        token = TOKENS[asked.caller] if isinstance(asked.caller, Access) else "of-nobody-at-all"
        headers["Authorization"] = f"Bearer {token}"
    if asked.body:
        headers["Content-Length"] = str(len(asked.body))
    lines = [f"{asked.method} {asked.target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    answer = one.send(Way.TCP, "\r\n".join([*lines, "", ""]).encode() + asked.body)
    assert answer is not None, asked
    return answer


def check_access(asked: Asked, answer: Answer) -> None:
    """Whoever lacks the access for a route never gets anything of it."""
    methods = {"GET": ("GET", "HEAD")}.get(asked.route.method, (asked.route.method,))
    needed = asked.route.access
    if asked.method not in methods or needed is None or answer.status in (400, 404, 417):
        return
    if not isinstance(asked.caller, Access):
        assert answer.status == 401, (asked, answer)
    elif not asked.caller.covers(needed):
        assert answer.status == 403, (asked, answer)
    else:
        assert answer.status not in (401, 403), (asked, answer)


def check_form(asked: Asked, answer: Answer) -> None:
    """It is no bug, and what it says it is."""
    assert answer.status < 500, (asked, answer)
    assert answer.headers["server"] == "opsvisord"
    assert b"Traceback" not in answer.body
    assert b"aiohttp" not in answer.body
    kind = answer.headers.get("content-type", "")
    if asked.method == "HEAD":
        return
    if answer.status >= 400:
        assert answer.code
    elif kind == "application/json":
        document = json.loads(answer.body)
        # Another method may lead to another route at the same path.
        if asked.route.gives is not None and asked.method == asked.route.method:
            msgspec.convert(document, asked.route.gives)
    else:
        assert kind.startswith(("text/plain", "application/openmetrics-text")), (asked, answer)
