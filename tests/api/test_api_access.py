"""Who may do what: every route, asked by everybody who can come in, and by some who can't."""

import base64
import hmac
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_room import sleeper
from served import JSON, Serve, Served

from opsvisor.api.access import Gate
from opsvisor.api.routes import METRICS_PATHS, ROUTES, Route
from opsvisor.config.settings import (
    Access,
    Credentials,
    Identity,
    Offer,
    TcpServer,
    UnixServer,
)

OWNER = Credentials(username="owner", password="the owner's")
IDENTITIES = tuple(
    identity
    for access in Access
    for identity in (
        Identity(name=f"{access.value}-p", access=access, password=f"{access.value} pass"),
        Identity(name=f"{access.value}-t", access=access, token=f"{access.value}-token"),
    )
)


def basic(username: str, password: str) -> str:
    """The header of basic auth."""
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"


def bearer(token: str) -> str:
    """The header of a token."""
    return f"Bearer {token}"


def shown_by(identity: Identity) -> str:
    """What an identity sends."""
    if identity.password is not None:
        return basic(identity.name, identity.password)
    assert identity.token is not None
    return bearer(identity.token)


# Everybody who asks, and how far they may go; None is nobody.
CALLERS: dict[str, Access | None] = {
    "": None,
    basic("owner", "the owner's"): Access.ADMIN,
    basic("owner", "wrong"): None,
    basic("nobody", "the owner's"): None,
    basic("admin-p", "read pass"): None,  # somebody else's
    basic("admin-t", "admin-token"): None,  # the token is no password
    basic("admin-p", ""): None,
    bearer("admin pass"): None,  # nor the password a token
    bearer("wrong"): None,
    bearer(""): None,
    "Bearer": None,
    "Basic": None,
    "Digest admin-token": None,
    "admin-token": None,
    **{shown_by(identity): identity.access for identity in IDENTITIES},
}


def protected(**options: object) -> TcpServer:
    """A server on TCP that knows all of them."""
    return TcpServer(
        name="test",
        host="127.0.0.1",
        port=0,
        credentials=OWNER,
        identities=IDENTITIES,
        **options,  # type: ignore[arg-type]  # a test's free choice
    )


def path_of(route: Route) -> str:
    """An address that the route leads to."""
    return route.path.format(name="web", stream="stdout")


async def status_of(api: Served, method: str, path: str, header: str) -> tuple[int, str]:
    """The status of an answer, and the code of the problem if it is one."""
    headers = {**(JSON if method == "POST" else {}), "Authorization": header}
    if not header:
        del headers["Authorization"]
    async with api.session.request(method, path, headers=headers) as response:
        if method == "HEAD" or response.content_type != "application/problem+json":
            return response.status, ""
        problem = await response.json(content_type=None)
        return response.status, problem["code"]


def methods(route: Route) -> Iterator[str]:
    """The methods that lead to a route."""
    yield route.method
    if route.method == "GET":
        yield "HEAD"


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_every_route_asked_by_everybody(serve: Serve, route: Route) -> None:
    """Who may, gets some answer of the route's own; who may not, learns it before anything."""
    api = await serve(sleeper(), server=protected())
    for method in methods(route):
        for header, access in CALLERS.items():
            status, code = await status_of(api, method, path_of(route), header)
            if route.access is None:
                expected = {200}
            elif access is None:
                expected = {401}
            elif not access.covers(route.access):
                expected = {403}
            else:
                # A stream can't be had by HEAD, which its handler tells.
                refused = {401, 403, 404} if method == "HEAD" else {401, 403, 404, 405}
                assert status not in refused, (method, header)
                continue
            assert status in expected, (method, header)
            if method != "HEAD":
                assert code == {401: "unauthorized", 403: "forbidden", 200: ""}[status]


def test_the_levels_are_as_documented() -> None:
    """A route that begins to need less than it did has to be changed here as well."""
    by_access: dict[Access | None, set[str]] = {}
    for route in ROUTES:
        by_access.setdefault(route.access, set()).add(f"{route.method} {route.path}")
    assert by_access[None] == {"GET /healthz", "GET /readyz"}
    assert by_access[Access.METRICS] == {"GET /metrics", "GET /api/v1/sd"}
    assert all(name.startswith("GET ") for name in by_access[Access.READ])
    assert by_access[Access.OPERATE] == {
        "POST /api/v1/actions",
        "POST /api/v1/logs/clear",
        "POST /api/v1/processes/{name}/stdin",
    }
    assert all(name.startswith("POST ") for name in by_access[Access.ADMIN])


def test_each_level_is_all_of_those_before() -> None:
    """In this order: metrics, read, operate, admin."""
    levels = [Access.METRICS, Access.READ, Access.OPERATE, Access.ADMIN]
    assert list(Access) == levels
    for place, level in enumerate(levels):
        assert [other for other in levels if level.covers(other)] == levels[: place + 1]


async def test_who_may_not_learns_what_it_takes(serve: Serve) -> None:
    """The access that is needed, that which one has, and where to change it."""
    api = await serve(sleeper(), server=protected())
    told = await api.problem("GET", "/api/v1/processes", Authorization=bearer("metrics-token"))
    assert (told.status, told.code) == (403, "forbidden")
    assert told.detail == "this needs the access 'read', and 'metrics-t' has 'metrics'"
    assert 'access = "read" in [identity.metrics-t]' in told.hint


async def test_who_is_nobody_learns_how_to_be_somebody(serve: Serve) -> None:
    """Both ways, as RFC 9110 has it; only one where nobody has a token."""
    api = await serve(sleeper(), server=protected())
    async with api.session.get("/metrics") as response:
        assert response.status == 401
        assert response.headers.getall("WWW-Authenticate") == [
            'Basic realm="default"',
            'Bearer realm="default"',
        ]
        told = await response.json(content_type=None)
    assert "or for a token" in told["detail"]
    assert "Bearer" in told["hint"]
    only_passwords = tuple(one for one in IDENTITIES if one.password is not None)
    server = TcpServer(name="test", host="127.0.0.1", port=0, identities=only_passwords)
    other = await serve(sleeper(), server=server)
    async with other.session.get("/metrics") as response:
        assert response.headers.getall("WWW-Authenticate") == ['Basic realm="default"']


async def test_what_leads_nowhere_is_told_to_whoever_may_come_in(serve: Serve) -> None:
    """And to nobody else: not even what there is not."""
    api = await serve(sleeper(), server=protected())
    for method, path, expected in (("GET", "/nowhere", 404), ("POST", "/metrics", 405)):
        assert (await status_of(api, method, path, ""))[0] == 401
        assert (await status_of(api, method, path, bearer("metrics-token")))[0] == expected


async def test_a_socket_that_asks_nobody_takes_everybody(serve: Serve, tmp_path: Path) -> None:
    """Whom its mode lets in may do everything, whatever identities there are for others."""
    server = UnixServer(name="test", path=str(tmp_path / "s"), identities=IDENTITIES)
    api = await serve(sleeper(), server=server)
    for header in ("", bearer("wrong"), bearer("metrics-token")):
        assert (await status_of(api, "POST", "/api/v1/config/reread", header))[0] == 200


async def test_a_socket_with_a_password_knows_identities_too(serve: Serve, tmp_path: Path) -> None:
    """So that what connects for others can be told to do less than its owner."""
    path = str(tmp_path / "s")
    server = UnixServer(name="test", path=path, credentials=OWNER, identities=IDENTITIES)
    api = await serve(sleeper(), server=server)
    assert (await status_of(api, "GET", "/metrics", ""))[0] == 401
    assert (await status_of(api, "GET", "/metrics", bearer("metrics-token")))[0] == 200
    assert (await status_of(api, "GET", "/", bearer("metrics-token")))[0] == 403
    assert (await status_of(api, "GET", "/", basic("owner", "the owner's")))[0] == 200


# -- a listener for metrics -----------------------------------------------------------------------


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_a_listener_for_metrics_has_nothing_else(serve: Serve, route: Route) -> None:
    """Not even for its owner."""
    api = await serve(sleeper(), server=protected(offers=Offer.METRICS))
    status, _ = await status_of(api, route.method, path_of(route), basic("owner", "the owner's"))
    assert status == (200 if route.path in METRICS_PATHS else 404)


async def test_it_asks_for_an_identity_where_there_are_any(serve: Serve) -> None:
    """And lets in each of them: all may read metrics. What leads nowhere names what there is."""
    api = await serve(sleeper(), server=protected(offers=Offer.METRICS))
    for header, access in CALLERS.items():
        assert (await status_of(api, "GET", "/metrics", header))[0] == (200 if access else 401)
        assert (await status_of(api, "GET", "/readyz", header))[0] == 200
    told = await api.problem("GET", "/", Authorization=bearer("admin-token"))
    assert told.hint == "this listener has /metrics, /healthz, /readyz and nothing else"


async def test_it_asks_nobody_where_there_are_none(serve: Serve) -> None:
    """But a web page whose name resolves to it gets nothing either."""
    server = TcpServer(name="test", host="127.0.0.1", port=0, offers=Offer.METRICS)
    api = await serve(sleeper(), server=server)
    assert (await status_of(api, "GET", "/metrics", ""))[0] == 200
    told = await api.problem("GET", "/metrics", Host="evil.example")
    assert (told.status, told.code) == (421, "wrong_host")


# -- proofs ---------------------------------------------------------------------------------------


def gate_of(*identities: Identity, warnings: list[str] | None = None) -> Gate:
    """The gate of a server with these identities."""
    server = TcpServer(name="test", host="127.0.0.1", port=0, identities=identities)
    return Gate(server, warn=(warnings if warnings is not None else []).append)


def name_of(gate: Gate, header: str | None) -> str | None:
    """Who comes in with this header."""
    caller = gate.caller(header)
    return None if caller is None else caller.name


def test_a_password_may_stand_hashed() -> None:
    """As that of a server; what is written is not what opens."""
    hashed = "{SHA}e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4"  # of "secret"
    gate = gate_of(Identity(name="ops", access=Access.READ, password=hashed))
    assert name_of(gate, basic("ops", "secret")) == "ops"
    for wrong in (hashed, hashed[5:], "Secret", ""):
        assert name_of(gate, basic("ops", wrong)) is None


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
def test_schemes_are_read_as_http_has_them(scheme: str) -> None:
    """In any case, and with any number of blanks behind them."""
    gate = gate_of(Identity(name="x", access=Access.READ, token="abc"))
    assert name_of(gate, f"{scheme} abc") == "x"
    for wrong in (f"{scheme} ABC", f"{scheme} abc abc", "abc", f"{scheme} \udcff", None):
        assert name_of(gate, wrong) is None


def test_a_token_file_counts_as_it_is_now(tmp_path: Path) -> None:
    """It can be changed, and taken away, without a program being ended for that."""
    path = tmp_path / "token"
    path.write_text("  first\n")
    warnings: list[str] = []
    identity = Identity(name="x", access=Access.METRICS, token_file=str(path))
    gate = gate_of(identity, warnings=warnings)
    assert name_of(gate, bearer("first")) == "x"
    path.write_text("the-second\n")
    assert name_of(gate, bearer("first")) is None
    assert name_of(gate, bearer("the-second")) == "x"
    path.unlink()
    assert [name_of(gate, bearer(each)) for each in ("the-second", "first", "")] == [None] * 3
    (warning,) = warnings
    assert warning.startswith(f"identity 'x' can't come in: token_file can't be read: '{path}'")
    path.write_text("third")
    assert name_of(gate, bearer("third")) == "x"
    path.write_text("two words")
    assert name_of(gate, bearer("two words")) is None
    assert len(warnings) == 2


def test_a_token_file_that_cannot_be_read_is_told_at_once(tmp_path: Path) -> None:
    """Root may have read it with the configuration, and given way to somebody who can't."""
    warnings: list[str] = []
    identity = Identity(name="x", access=Access.METRICS, token_file=str(tmp_path / "none"))
    gate = gate_of(identity, warnings=warnings)
    assert len(warnings) == 1
    assert name_of(gate, bearer("x")) is None
    assert len(warnings) == 1


def test_a_token_that_two_files_hold_opens_the_least(tmp_path: Path) -> None:
    """The configuration refuses that; a file that is changed later is asked by nobody."""
    (tmp_path / "token").write_text("same")
    path = str(tmp_path / "token")
    few = Identity(name="few", access=Access.METRICS, token_file=path)
    all_of_it = Identity(name="all", access=Access.ADMIN, token_file=path)
    assert name_of(gate_of(few, all_of_it), bearer("same")) == "few"
    assert name_of(gate_of(all_of_it, few), bearer("same")) == "few"


def test_all_is_compared_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time it takes must not tell which names there are, nor how near a guess came."""
    compared = []
    compare = hmac.compare_digest

    def count(one: bytes, other: bytes) -> bool:
        assert len(one) == len(other) == 32
        compared.append(one)
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", count)
    gate = Gate(protected())
    counts = set()
    for header in CALLERS:
        compared.clear()
        gate.caller(header or None)
        counts.add(len(compared))
    assert len(counts) == 1
    assert counts.pop() == 2 + 2 * 4 + 4  # two for each password, one for each token
