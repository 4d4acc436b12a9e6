"""Who may do what: every route, asked by everybody who can come in, and by some who can't."""

import hashlib
import hmac
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from engine_room import sleeper
from served import JSON, Serve, Served

from opsvisor import wire
from opsvisor.api.access import Gate, basic, bearer
from opsvisor.api.routes import METRICS_PATHS, ROUTES, Route
from opsvisor.config.settings import (
    Access,
    Credentials,
    Identity,
    LocalPeer,
    Offer,
    TcpServer,
    UnixServer,
)

OWNER = Credentials(username="owner", password="the owner's")
WEB = frozenset({"web", "api"})
SCOPES = {access: (None,) if access is Access.METRICS else (None, WEB) for access in Access}


def identities_of(access: Access) -> Iterator[Identity]:
    """Somebody for each proof, and one who is there for some groups only."""
    name = access.value
    hashed = hashlib.sha256(f"{name}-hashed".encode()).digest()
    yield Identity(name=f"{name}-p", access=access, password=f"{name} pass")
    yield Identity(name=f"{name}-t", access=access, token=f"{name}-token")
    yield Identity(name=f"{name}-h", access=access, token_hash=hashed)
    if access is not Access.METRICS:
        yield Identity(name=f"{name}-s", access=access, groups=WEB, token=f"{name}-scoped")


IDENTITIES = tuple(one for access in Access for one in identities_of(access))


@dataclass(frozen=True)
class Asker:
    """What somebody sends, and how far they may go; None is nobody."""

    headers: Mapping[str, str]
    access: Access | None
    is_scoped: bool = False


def by(header: str, access: Access | None = None, *, is_scoped: bool = False) -> Asker:
    """Who sends this in Authorization."""
    return Asker({"Authorization": header} if header else {}, access, is_scoped)


ASKERS = (
    by(""),
    by(basic("owner", "the owner's"), Access.ADMIN),
    by(basic("owner", "wrong")),
    by(basic("nobody", "the owner's")),
    by(basic("admin-p", "read pass")),  # somebody else's
    by(basic("admin-t", "admin-token")),  # the token is no password
    by(basic("admin-p", "")),
    by(bearer("admin pass")),  # nor the password a token
    by(bearer(hashlib.sha256(b"admin-hashed").hexdigest())),  # nor the hash of a token
    by(bearer(f"sha256:{hashlib.sha256(b'admin-hashed').hexdigest()}")),
    by(bearer("wrong")),
    by(bearer("")),
    by("Bearer"),
    by("Basic"),
    by("Digest admin-token"),
    by("admin-token"),
    Asker({"Cookie": "opsvisor_session=admin-token"}, None),
    Asker({"Cookie": "opsvisor_session="}, None),
    *(by(basic(f"{one.value}-p", f"{one.value} pass"), one) for one in Access),
    *(by(bearer(f"{one.value}-token"), one) for one in Access),
    *(by(bearer(f"{one.value}-hashed"), one) for one in Access),
    *(by(bearer(f"{one.value}-scoped"), one, is_scoped=True) for one in list(Access)[1:]),
)


async def logged_in(api: Served) -> list[Asker]:
    """A browser for each access, and for each that has a scope."""
    found = []
    for identity in IDENTITIES:
        if identity.token is None:
            continue
        body = {"token": identity.token}
        async with api.session.post("/api/v1/session", json=body) as response:
            assert response.status == 200
            cookie = response.headers["Set-Cookie"].partition(";")[0]
        headers = {"Cookie": cookie, "Sec-Fetch-Site": "same-origin"}
        found.append(Asker(headers, identity.access, identity.groups is not None))
    return found


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
    return route.path.format(name="web", stream="stdout", asset="base.css")


async def status_of(api: Served, method: str, path: str, asker: Asker | str) -> tuple[int, str]:
    """The status of an answer, and the code of the problem if it is one."""
    asker = by(asker) if isinstance(asker, str) else asker
    headers = {**(JSON if method in ("POST", "DELETE") else {}), **asker.headers}
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


def expected_of(route: Route, asker: Asker) -> tuple[int, str] | None:
    """How somebody is answered who may not, or where all are answered alike; None: as it is."""
    if route.access is None:
        # A login asks what is shown, and nothing is.
        return (400, "bad_request") if route.takes is wire.LoginRequest else (200, "")
    if asker.access is None:
        return 401, "unauthorized"
    if not asker.access.covers(route.access) or (asker.is_scoped and route.is_whole):
        return 403, "forbidden"
    return None


async def check(api: Served, route: Route, asker: Asker) -> None:
    """By each of its methods, the route answers as it must."""
    for method in methods(route):
        status, code = await status_of(api, method, path_of(route), asker)
        expected = expected_of(route, asker)
        if expected is None:
            # A stream can't be had by HEAD, which its handler tells.
            refused = {401, 403, 404} if method == "HEAD" else {401, 403, 404, 405}
            assert status not in refused, (method, asker, code)
        else:
            code = expected[1] if method == "HEAD" else code
            assert (status, code) == expected, (method, asker)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_every_route_asked_by_everybody(serve: Serve, route: Route) -> None:
    """Who may, gets some answer of the route's own; who may not, learns it before anything."""
    api = await serve(sleeper(), server=protected())
    for asker in (*ASKERS, *await logged_in(api)):
        await check(api, route, asker)


@pytest.mark.parametrize(
    ("access", "groups"), [(access, groups) for access in Access for groups in SCOPES[access]]
)
async def test_every_route_asked_by_a_user_of_this_machine(
    serve: Serve, tmp_path: Path, access: Access, groups: frozenset[str] | None
) -> None:
    """At the unix socket, where the kernel says who it is; what is shown counts for more."""
    me = Identity(name="me", access=access, groups=groups, local=LocalPeer(uid=os.geteuid()))
    server = UnixServer(name="test", path=str(tmp_path / "s"), identities=(me, *IDENTITIES))
    api = await serve(sleeper(), server=server)
    for route in ROUTES:
        await check(api, route, Asker({}, access, groups is not None))
        await check(api, route, by(bearer("wrong")))
        await check(api, route, by(bearer("metrics-token"), Access.METRICS))


def test_the_levels_are_as_documented() -> None:
    """A route that begins to need less than it did has to be changed here as well."""
    by_access: dict[Access | None, set[str]] = {}
    for route in ROUTES:
        by_access.setdefault(route.access, set()).add(f"{route.method} {route.path}")
    assert by_access[None] == {
        "GET /",
        "GET /static/{asset}",
        "GET /healthz",
        "GET /readyz",
        "GET /openapi.json",
        "POST /api/v1/session",
        "DELETE /api/v1/session",
    }
    assert by_access[Access.METRICS] == {"GET /metrics", "GET /api/v1/sd", "GET /api/v1/me"}
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
    assert (await status_of(api, "GET", "/api/v1/daemon", bearer("metrics-token")))[0] == 403
    assert (await status_of(api, "GET", "/api/v1/daemon", basic("owner", "the owner's")))[0] == 200


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
    for asker in ASKERS:
        expected = 401 if asker.access is None else 403 if asker.is_scoped else 200
        assert (await status_of(api, "GET", "/metrics", asker))[0] == expected
        assert (await status_of(api, "GET", "/readyz", asker))[0] == 200
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
    for asker in ASKERS:
        compared.clear()
        gate.caller(asker.headers.get("Authorization"))
        counts.add(len(compared))
    assert len(counts) == 1
    # Two for each password, and one for each token, of which there are three but for one access.
    assert counts.pop() == 2 + 2 * 4 + 4 * 3 - 1
