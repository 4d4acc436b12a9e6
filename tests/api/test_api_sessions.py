"""Sessions of browsers: a password or a token once, a cookie from then on."""

import asyncio
from http.cookies import SimpleCookie
from pathlib import Path

import aiohttp
import msgspec
import pytest
from engine_room import PATIENCE, sleeper
from served import JSON, Serve, Served

from opsvisor import wire
from opsvisor.api.sessions import SESSIONS_MAX, Sessions
from opsvisor.config.settings import Access, ClientLimits, DaemonSettings, Identity, TcpServer

SAME_SITE = {"Sec-Fetch-Site": "same-origin"}
PAGE = {**JSON, **SAME_SITE}
OPS = Identity(name="ops", access=Access.OPERATE, password="the password of ops")
VIEWER = Identity(name="viewer", access=Access.READ, token="the-token-of-viewer")


def login(username: str = "", password: str = "", token: str = "") -> bytes:
    """The body of a login."""
    asked = wire.LoginRequest(username=username, password=password, token=token)
    return msgspec.json.encode(asked)


AS_OPS = login("ops", "the password of ops")


def server_of(*identities: Identity) -> TcpServer:
    """A server on TCP that knows these."""
    return TcpServer(name="test", host="127.0.0.1", port=0, identities=identities)


@pytest.fixture
async def guarded(serve: Serve) -> Served:
    """A process `web`, and a server that asks who comes."""
    api = await serve(sleeper(), server=server_of(OPS, VIEWER))
    # As a browser's, but on an address (RFC 6265 leaves those to whoever implements it).
    api.session.cookie_jar.clear()
    return api


async def log_in(api: Served, body: bytes, headers: dict[str, str] = PAGE) -> str:
    """The key of a new session."""
    async with api.session.post("/api/v1/session", data=body, headers=headers) as response:
        assert response.status == 200, await response.text()
        return key_in(response)


def key_in(response: aiohttp.ClientResponse) -> str:
    """The key that a response gives."""
    cookie = SimpleCookie(response.headers["Set-Cookie"])["opsvisor_session"]
    return cookie.value


async def status_with(
    api: Served, method: str, path: str, key: str, headers: dict[str, str]
) -> int:
    """How somebody with this key is answered."""
    shown = {"Cookie": f"opsvisor_session={key}", **headers}
    async with api.session.request(method, path, headers=shown, data=b"{}") as response:
        return response.status


async def me_with(api: Served, **headers: str) -> wire.Me:
    """Who one is with these headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with api.session.get("/api/v1/me", headers=named) as response:
        assert response.status == 200
        return msgspec.json.decode(await response.read(), type=wire.Me)


async def test_a_login_gives_a_cookie_that_opens(guarded: Served) -> None:
    """Which no script can read, and which is sent for our own pages only."""
    async with guarded.session.post("/api/v1/session", data=AS_OPS, headers=PAGE) as response:
        assert response.status == 200
        cookie = SimpleCookie(response.headers["Set-Cookie"])["opsvisor_session"]
        me = msgspec.json.decode(await response.read(), type=wire.Me)
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
    assert not cookie["secure"]
    assert (me.name, me.access, me.can, me.groups, me.logged_in) == (
        "ops",
        "operate",
        ["metrics", "read", "operate"],
        None,
        True,
    )
    assert me.expires_at is not None
    guarded.session.cookie_jar.clear()
    assert await me_with(
        guarded, Cookie=f"opsvisor_session={cookie.value}"
    ) == msgspec.structs.replace(me, expires_at=pytest.approx(me.expires_at, abs=1))


async def test_a_session_ends_when_told_to(guarded: Served) -> None:
    """For whoever has its key; a second time nothing is wrong either."""
    key = await log_in(guarded, AS_OPS)
    other = await log_in(guarded, AS_OPS)
    assert await status_with(guarded, "GET", "/api/v1/processes", key, {}) == 200
    for _ in range(2):
        assert await status_with(guarded, "DELETE", "/api/v1/session", key, PAGE) == 200
        assert await status_with(guarded, "GET", "/api/v1/processes", key, {}) == 401
    assert await status_with(guarded, "GET", "/api/v1/processes", other, {}) == 200


# -- logging in -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (login("ops", "wrong"), 401),
        (login("viewer", "the-token-of-viewer"), 401),
        (login(token="wrong"), 401),
        (login(token="the password of ops"), 401),
        (login("ops"), 401),
        (login(), 400),
        (login(password="the password of ops"), 400),
        (login("ops", "the password of ops", "the-token-of-viewer"), 400),
        (b'{"username": "ops", "remember": true}', 400),
        (b"username=ops", 400),
        (login(token="x" * 100_000), 401),
        (login("a:b", "c"), 401),
        (login("\u0131\U0001f600", "\u0131\U0001f600"), 401),
    ],
)
async def test_what_logs_nobody_in(guarded: Served, body: bytes, status: int) -> None:
    """Nothing but what is right, and no cookie with it; never a dialog of the browser's."""
    async with guarded.session.post("/api/v1/session", data=body, headers=PAGE) as response:
        assert response.status == status, await response.text()
        assert "Set-Cookie" not in response.headers
        assert "Basic" not in response.headers.get("WWW-Authenticate", "")
    assert len(sessions_of(guarded)) == 0


async def test_a_server_that_asks_nobody_has_no_login(serve: Serve) -> None:
    """There one is who one is: nobody in particular, who may do everything."""
    api = await serve(sleeper(), server=server_of())
    told = await api.problem("POST", "/api/v1/session", body=AS_OPS)
    assert (told.status, told.code) == (409, "no_login")
    me = await api.get("/api/v1/me", wire.Me)
    assert (me.name, me.access, me.logged_in, me.expires_at) == ("", "admin", False, None)


async def test_wrong_ones_are_counted_as_everywhere(serve: Serve) -> None:
    """With those in the header: a login is no second place to try passwords."""
    settings = DaemonSettings(limits=ClientLimits(failed_logins=3))
    api = await serve(sleeper(), server=server_of(OPS), settings=settings)
    for number in range(2):
        told = await api.problem("POST", "/api/v1/session", body=login("ops", f"no {number}"))
        assert told.status == 401
    refused = await api.problem("GET", "/api/v1/me", Authorization="Bearer wrong")
    assert refused.status == 401
    for body in (login("ops", "another"), AS_OPS):
        told = await api.problem("POST", "/api/v1/session", body=body)
        assert (told.status, told.code) == (429, "too_many_attempts")


@pytest.mark.parametrize(
    ("headers", "challenges"),
    [
        ({}, ["Basic", "Bearer"]),  # curl, wget, Python
        ({"Sec-Fetch-Mode": "navigate"}, ["Basic", "Bearer"]),
        ({"User-Agent": "Mozilla/5.0", "Accept": "text/html,*/*"}, ["Basic", "Bearer"]),
        ({"Sec-Fetch-Mode": "cors"}, ["Bearer"]),
        ({"Sec-Fetch-Mode": "same-origin"}, ["Bearer"]),
        ({"User-Agent": "Mozilla/5.0", "Accept": "*/*"}, ["Bearer"]),  # plain HTTP, not localhost
        ({"User-Agent": "Mozilla/5.0", "Accept": "text/event-stream"}, ["Bearer"]),
    ],
)
async def test_what_a_page_fetches_brings_up_no_dialog(
    guarded: Served, headers: dict[str, str], challenges: list[str]
) -> None:
    """Basic is told to whoever can't fill in our form."""
    async with guarded.session.get("/api/v1/me", headers=headers) as response:
        assert response.status == 401
        told = response.headers.getall("WWW-Authenticate")
    assert [one.partition(" ")[0] for one in told] == challenges


async def test_behind_a_proxy_with_tls_the_cookie_is_for_tls(guarded: Served) -> None:
    """And is never sent in the clear."""
    headers = {**PAGE, "X-Forwarded-Proto": "https"}
    async with guarded.session.post("/api/v1/session", data=AS_OPS, headers=headers) as response:
        assert "Secure" in response.headers["Set-Cookie"]


# -- pages of others ------------------------------------------------------------------------------

FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},  # another port of this very host
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1"},  # another port, without Sec-Fetch
]


@pytest.mark.parametrize("headers", [*FOREIGN, {}, {"Sec-Fetch-Site": "none"}])
async def test_a_change_by_cookie_comes_from_our_own_page(
    guarded: Served, headers: dict[str, str]
) -> None:
    """What may be from elsewhere is refused, JSON or not, and the session goes on."""
    key = await log_in(guarded, AS_OPS)
    for method, path in (("POST", "/api/v1/actions"), ("DELETE", "/api/v1/session")):
        assert await status_with(guarded, method, path, key, {**JSON, **headers}) == 403
    assert await status_with(guarded, "POST", "/api/v1/actions", key, {**JSON, **SAME_SITE}) == 400
    ours = {"Origin": f"http://127.0.0.1:{guarded.port}"}
    assert await status_with(guarded, "POST", "/api/v1/actions", key, {**JSON, **ours}) == 400
    assert await status_with(guarded, "POST", "/api/v1/actions", key, SAME_SITE) == 415


@pytest.mark.parametrize("headers", FOREIGN[:3])
async def test_not_even_a_look_is_for_pages_of_others(
    guarded: Served, headers: dict[str, str]
) -> None:
    """They could not read it, but could open streams, and measure."""
    key = await log_in(guarded, AS_OPS)
    assert await status_with(guarded, "GET", "/api/v1/processes", key, headers) == 403
    assert await status_with(guarded, "GET", "/api/v1/processes", key, {}) == 200


@pytest.mark.parametrize("headers", FOREIGN)
async def test_a_page_of_others_logs_nobody_in(guarded: Served, headers: dict[str, str]) -> None:
    """Else people could be made to work as somebody else without knowing."""
    told = {**JSON, **headers}
    async with guarded.session.post("/api/v1/session", data=AS_OPS, headers=told) as response:
        assert response.status == 403
        assert "Set-Cookie" not in response.headers


async def test_what_is_shown_counts_for_more_than_a_cookie(guarded: Served) -> None:
    """Right or wrong: who shows something wants to be that."""
    key = await log_in(guarded, AS_OPS)
    shown = {"Cookie": f"opsvisor_session={key}", "Authorization": "Bearer the-token-of-viewer"}
    async with guarded.session.get("/api/v1/me", headers=shown) as response:
        assert (await response.json())["name"] == "viewer"
    wrong = {"Authorization": "Bearer wrong"}
    assert await status_with(guarded, "GET", "/api/v1/me", key, wrong) == 401


# -- ends -----------------------------------------------------------------------------------------


def sessions_of(api: Served) -> Sessions:
    """Those of its server."""
    found = api.server.sessions
    assert found is not None
    return found


async def test_logging_out_ends_what_is_open(guarded: Served) -> None:
    """A stream that was opened by the session ends at once, and others go on."""
    key, other = await log_in(guarded, AS_OPS), await log_in(guarded, AS_OPS)
    streams = []
    for each in (key, other):
        shown = {"Cookie": f"opsvisor_session={each}"}
        streams.append(await guarded.session.get("/api/v1/events", headers=shown))
    assert await status_with(guarded, "DELETE", "/api/v1/session", key, PAGE) == 200
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(aiohttp.ClientError):
            await streams[0].content.read()
    assert await status_with(guarded, "GET", "/api/v1/processes", other, {}) == 200
    assert not streams[1].content.at_eof()
    for stream in streams:
        stream.close()


async def test_a_new_login_ends_the_one_before(guarded: Served) -> None:
    """In the same browser, which has one cookie."""
    key = await log_in(guarded, AS_OPS)
    another = await log_in(guarded, AS_OPS, {**PAGE, "Cookie": f"opsvisor_session={key}"})
    assert key != another
    assert await status_with(guarded, "GET", "/api/v1/me", key, {}) == 401
    assert await status_with(guarded, "GET", "/api/v1/me", another, {}) == 200


async def test_a_token_that_is_changed_ends_its_sessions(serve: Serve, tmp_path: Path) -> None:
    """Taking away the token is how to shut somebody out, wherever they have shown it."""
    path = tmp_path / "token"
    path.write_text("the-first-token")
    identity = Identity(name="ops", access=Access.READ, token_file=str(path))
    api = await serve(sleeper(), server=server_of(identity))
    key = await log_in(api, login(token="the-first-token"))
    assert await status_with(api, "GET", "/api/v1/me", key, {}) == 200
    path.write_text("the-second-token-is-longer")
    assert await status_with(api, "GET", "/api/v1/me", key, {}) == 401
    key = await log_in(api, login(token="the-second-token-is-longer"))
    path.unlink()
    assert await status_with(api, "GET", "/api/v1/me", key, {}) == 401


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def table(stamps: dict[str, bytes], clock: Clock) -> Sessions:
    """Sessions of these identities, which last for 10 s, and for 3 without use."""
    return Sessions(stamps.get, idle_timeout=3.0, lifetime=10.0, now=clock)


def test_a_session_lasts_while_it_is_used_and_not_for_ever() -> None:
    """Three seconds without use end it, and so do ten with it."""
    clock = Clock()
    sessions = table({"ops": b"1"}, clock)
    idle, _ = sessions.begin("ops")
    used, session = sessions.begin("ops")
    for _ in range(4):
        clock.now += 2
        assert sessions.find(used) is session
    assert sessions.find(idle) is None
    assert sessions.left(session) == 2
    clock.now += 2
    assert sessions.find(used) is None
    assert len(sessions) == 0


async def test_an_open_stream_is_use() -> None:
    """A page that is only looked at stays."""
    clock = Clock()
    sessions = table({"ops": b"1"}, clock)
    key, session = sessions.begin("ops")
    task = asyncio.current_task()
    assert task is not None
    with sessions.in_use(session, task):
        clock.now += 9
        assert sessions.is_alive(session)
    clock.now += 2
    assert not sessions.is_alive(session)
    assert sessions.find(key) is None


def test_one_identity_pushes_out_no_other() -> None:
    """It has so many sessions; then its own oldest goes."""
    clock = Clock()
    sessions = table({"ops": b"1", "viewer": b"2"}, clock)
    first, _ = sessions.begin("viewer")
    keys = []
    for _ in range(SESSIONS_MAX + 5):
        clock.now += 0.01
        keys.append(sessions.begin("ops")[0])
    assert len(sessions) == SESSIONS_MAX + 1
    assert sessions.find(first) is not None
    assert [sessions.find(key) is None for key in keys[:6]] == [True] * 5 + [False]


def test_sessions_go_over_to_the_next_version() -> None:
    """With what they have used of their time; who is another by then is out."""
    clock = Clock()
    stamps = {"ops": b"1", "viewer": b"2", "gone": b"3"}
    sessions = table(stamps, clock)
    keys = {name: sessions.begin(name)[0] for name in stamps}
    memento = sessions.remember()
    assert not any(mark in repr(memento) for mark in keys.values())
    clock.now += 2
    later = table({"ops": b"1", "viewer": b"another"}, clock)
    later.recall(memento)
    assert [later.find(key) is not None for key in keys.values()] == [True, False, False]
    clock.now += 2
    assert later.find(keys["ops"]) is not None
    clock.now += 6
    assert later.find(keys["ops"]) is None
