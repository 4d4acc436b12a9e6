"""TLS on a listener: what is spoken, how certificates are renewed, what handshakes may cost."""

import asyncio
import hashlib
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from authority import Authority, parts_of
from engine_room import PATIENCE, sleeper
from served import Serve, Served

from opsvisor.api import entrance
from opsvisor.api.tls import Certificates, TlsError
from opsvisor.config.settings import (
    Access,
    ClientCertificate,
    ClientCertificates,
    ClientLimits,
    DaemonSettings,
    Identity,
    TcpServer,
    TlsSpec,
)
from opsvisor.core.struct import replace

READY = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"
LATER = datetime(2040, 1, 1, tzinfo=UTC)
SHORT = DaemonSettings(limits=ClientLimits(connections=8, request_timeout=1.0))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Who has issued `server.pem`."""
    one = Authority(tmp_path)
    one.issue("server.pem")
    return one


def on_tls(spec: TlsSpec) -> TcpServer:
    """A server that shows this."""
    return TcpServer(name="http", host="127.0.0.1", port=0, tls=spec)


def shows(authority: Authority, **options: object) -> TcpServer:
    """A server with `server.pem`."""
    return on_tls(authority.spec(authority.folder / "server.pem", **options))  # type: ignore[arg-type]  # a test's free choice


def trusting(authority: Authority, client: Path | None = None) -> ssl.SSLContext:
    """A client that trusts this authority, and shows this certificate."""
    context = ssl.create_default_context(cafile=authority.file)
    if client is not None:
        context.load_cert_chain(client)
    return context


class Caller:
    """A connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @property
    def shown(self) -> bytes:
        """The certificate that the server has shown."""
        secure = self.writer.get_extra_info("ssl_object")
        assert isinstance(secure, ssl.SSLObject)
        return secure.getpeercert(binary_form=True) or b""

    async def ask(self, request: bytes = READY) -> int:
        """The status of a question; 0 if the connection is closed instead."""
        async with asyncio.timeout(PATIENCE):
            self.writer.write(request)
            line, length = await self.reader.readline(), 0
            if not line:
                return 0
            while (header := await self.reader.readline()).strip():
                if header.lower().startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
            await self.reader.readexactly(length)
            return int(line.split()[1])


@asynccontextmanager
async def connected(one: Served, context: ssl.SSLContext | None) -> AsyncIterator[Caller]:
    """A client for as long as the block lasts."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1",
            one.port,
            ssl=context,
            server_hostname=None if context is None else "localhost",
        )
    try:
        yield Caller(reader, writer)
    finally:
        writer.transport.abort()


async def status(one: Served, context: ssl.SSLContext) -> int:
    """What a client with this context is answered."""
    async with connected(one, context) as caller:
        return await caller.ask()


async def is_refused(one: Served, context: ssl.SSLContext) -> bool:
    """Whether the server breaks off with such a client, sooner or later (TLS 1.3: later)."""
    try:
        return await status(one, context) == 0
    except (ssl.SSLError, ConnectionError):
        return True


async def is_cut_off(reader: asyncio.StreamReader) -> bool:
    """Whether a connection ends without a word, in one way or another."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await reader.read() == b""
    except ConnectionError:
        return True


async def test_nothing_but_tls_is_spoken(serve: Serve, authority: Authority) -> None:
    """Of a version that is any good; to others a word in the log."""
    one = await serve(sleeper(), server=shows(authority))
    assert one.server.url.startswith("https://127.0.0.1:")
    assert await status(one, trusting(authority)) == 200
    modern = trusting(authority)
    modern.minimum_version = ssl.TLSVersion.TLSv1_3
    assert await status(one, modern) == 200
    async with connected(one, None) as caller:
        caller.writer.write(READY)
        async with asyncio.timeout(PATIENCE):
            assert b"HTTP" not in await caller.reader.read()
    await one.house.room.until(lambda: bool(one.told))
    assert one.told == ["no handshake with 127.0.0.1: it spoke plain HTTP"]
    old = trusting(authority)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    # Debian 12's asyncio hangs up without a word where later ones say why.
    assert await is_refused(one, old)
    with pytest.raises(ssl.SSLCertVerificationError):
        await status(one, ssl.create_default_context())


async def test_a_renewed_certificate_is_shown_at_once(serve: Serve, authority: Authority) -> None:
    """By who connects next; who is connected notices nothing."""
    one = await serve(sleeper(), server=shows(authority))
    async with connected(one, trusting(authority)) as first:
        before = first.shown
        authority.issue("server.pem", not_after=LATER)
        async with connected(one, trusting(authority)) as second:
            assert second.shown != before
            assert await second.ask() == 200
        assert await first.ask() == 200
    assert one.told == [f"renewed, until {LATER.timestamp():.0f}"]


async def test_a_new_file_that_is_bad_changes_nothing(serve: Serve, authority: Authority) -> None:
    """It may be half written. It is told once, and the next change is the next attempt."""
    one = await serve(sleeper(), server=shows(authority))
    path = authority.folder / "server.pem"
    whole = path.read_text()
    path.write_text(whole[:100])
    for _ in range(3):
        assert await status(one, trusting(authority)) == 200
    (told,) = one.told
    assert told == f"not renewed: tls_cert holds no certificate: '{path}'"
    path.unlink()
    assert await status(one, trusting(authority)) == 200
    assert "no such file" in one.told[-1]
    path.write_text(whole)
    assert await status(one, trusting(authority)) == 200
    assert one.told[-1].startswith("renewed")
    assert len(one.told) == 3


def test_a_server_does_not_begin_without_a_certificate(authority: Authority) -> None:
    """It would show nothing at all."""
    (authority.folder / "server.pem").unlink()
    with pytest.raises(TlsError, match=r"cannot speak TLS: tls_cert can't be read(.|\n)*hint:"):
        Certificates(authority.spec(authority.folder / "server.pem"))


async def test_whose_certificates_are_asked_for(
    serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    """Required: nobody else is spoken with. And who vouches for clients can be renewed too."""
    clients, strangers = Authority(tmp_path, "clients"), Authority(tmp_path, "strangers")
    mine, foreign = clients.issue("mine.pem", "me"), strangers.issue("foreign.pem", "me")
    one = await serve(sleeper(), server=shows(authority, asks=clients))
    assert await status(one, trusting(authority, mine)) == 200
    for nobody in (trusting(authority), trusting(authority, foreign)):
        assert await is_refused(one, nobody)
    await one.house.room.until(lambda: len(one.told) == 2)
    assert one.told[0].endswith("it showed no certificate")
    assert "its certificate is refused: " in one.told[1]
    clients.file.write_bytes(strangers.file.read_bytes())
    assert await status(one, trusting(authority, foreign)) == 200
    assert await is_refused(one, trusting(authority, mine))


async def test_one_may_be_asked_for_and_not_required(
    serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    """Without one there are other ways to come in; a wrong one is refused all the same."""
    server = shows(authority, asks=authority, client_cert=ClientCertificates.OPTIONAL)
    one = await serve(sleeper(), server=server)
    assert await status(one, trusting(authority)) == 200
    assert await status(one, trusting(authority, authority.issue("me.pem", "me"))) == 200
    foreign = Authority(tmp_path, "strangers").issue("foreign.pem", "me")
    assert await is_refused(one, trusting(authority, foreign))


async def test_a_request_that_comes_with_the_end_of_the_handshake(
    serve: Serve, authority: Authority
) -> None:
    """In one packet: none of it is lost on its way to who reads requests."""
    one = await serve(sleeper(), server=shows(authority))
    arriving, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
    secure = trusting(authority).wrap_bio(arriving, leaving, server_hostname="localhost")
    async with connected(one, None) as caller, asyncio.timeout(PATIENCE):
        while True:
            try:
                secure.do_handshake()
                break
            except ssl.SSLWantReadError:
                caller.writer.write(leaving.read())
                arriving.write(await caller.reader.read(65536))
        secure.write(READY)
        caller.writer.write(leaving.read())  # the last of the handshake, and the request
        while True:
            arriving.write(await caller.reader.read(65536))
            try:
                assert secure.read(4096).startswith(b"HTTP/1.1 200")
                break
            except ssl.SSLWantReadError:
                pass


async def test_who_says_nothing_costs_nobody_anything(serve: Serve, authority: Authority) -> None:
    """Not even before TLS: they have places as all others, and others get them."""
    one = await serve(sleeper(), server=shows(authority), settings=SHORT)
    silent = [await asyncio.open_connection("127.0.0.1", one.port) for _ in range(20)]
    await one.house.room.until(lambda: len(one.server.crowd) == 8)
    assert await status(one, trusting(authority)) == 200
    assert "cut: made_room" in one.told
    await one.house.room.until(lambda: one.told.count("cut: slow_handshake") >= 7)
    await one.house.room.until(lambda: len(one.server.crowd) == 0)
    for reader, writer in silent:
        assert await is_cut_off(reader)
        writer.transport.abort()


async def test_connections_end_where_others_go_over_to_another_process(
    serve: Serve, authority: Authority
) -> None:
    """Keys can't be handed over. Who is between two requests is told that we have closed."""
    one = await serve(sleeper(), server=shows(authority))
    async with (
        connected(one, trusting(authority)) as idle,
        connected(one, None) as silent,
    ):
        assert await idle.ask() == 200
        await one.house.room.until(lambda: len(one.server.crowd) == 2)
        one.server.pause()
        await one.house.room.until(one.server.comes_to_rest)
        assert one.server.between_requests() == []
        async with asyncio.timeout(PATIENCE):
            assert await idle.reader.read() == b""  # as TLS has it: a cut would raise
        assert await is_cut_off(silent.reader)
    await one.server.go_on()
    assert await status(one, trusting(authority)) == 200


async def test_a_server_that_ends_leaves_no_handshake_behind(
    serve: Serve, authority: Authority
) -> None:
    """Whatever it is waiting for."""
    one = await serve(sleeper(), server=shows(authority))
    async with connected(one, None):
        await one.house.room.until(lambda: len(one.server.crowd) == 1)
        await one.server.close()
        assert len(one.server.crowd) == 0


async def who(one: Served, context: ssl.SSLContext, **headers: str) -> str:
    """Whom a client with this context is taken for, or the code of its problem."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
        session.get(f"https://127.0.0.1:{one.port}/api/v1/me", headers=headers) as response,
    ):
        found = json.loads(await response.read())
        return str(found.get("code") or found["name"])


async def test_an_identity_comes_in_by_its_certificate(
    serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    """By what stands in it, where somebody vouches for it whom the server trusts with that."""
    clients = Authority(tmp_path, "clients")
    pinned = clients.issue("pinned.pem", "pinned.example")
    der = ssl.PEM_cert_to_DER_cert(parts_of(pinned)[1].decode().partition("-----END")[0] + END)
    identities = (
        identity("prom", common_name="prom"),
        identity("host", dns_name="host.example"),
        identity("both", common_name="both", dns_name="both.example"),
        identity("pinned", fingerprint=hashlib.sha256(der).digest()),
        Identity(name="token", access=Access.ADMIN, token="sesame"),
    )
    spec = shows(authority, asks=clients, client_cert=ClientCertificates.OPTIONAL).tls
    server = replace(on_tls(spec), identities=identities)  # type: ignore[arg-type]  # it has one
    one = await serve(sleeper(), server=server)

    async def comes_as(file: Path | None, **headers: str) -> str:
        return await who(one, trusting(authority, file), **headers)

    assert await comes_as(clients.issue("a.pem", "x", common_name="prom")) == "prom"
    assert await comes_as(clients.issue("b.pem", "host.example", "x")) == "host"
    assert await comes_as(clients.issue("c.pem", "both.example", common_name="both")) == "both"
    assert await comes_as(clients.issue("d.pem", "x", common_name="both")) == "unauthorized"
    assert await comes_as(clients.issue("e.pem", "prom")) == "unauthorized"  # as another name
    assert await comes_as(pinned) == "pinned"
    assert await comes_as(clients.issue("f.pem", "pinned.example")) == "unauthorized"
    assert await comes_as(None) == "unauthorized"
    # Who shows something else wants to be that, right or wrong.
    assert await comes_as(pinned, Authorization="Bearer sesame") == "token"
    assert await comes_as(pinned, Authorization="Bearer wrong") == "unauthorized"


def identity(name: str, **certificate: object) -> Identity:
    """Somebody who is known by such a certificate."""
    known = ClientCertificate(**certificate)  # type: ignore[arg-type]  # a test's free choice
    return Identity(name=name, access=Access.READ, certificate=known)


END = "-----END CERTIFICATE-----"


FOLLOW = b"GET /api/v1/watch HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("are_known", [True, False], ids=["identity", "anybody"])
@pytest.mark.parametrize("how", ["expired", "exchanged"])
async def test_who_stays_connected_is_not_let_in_for_ever(
    serve: Serve,
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    *,
    are_known: bool,
) -> None:
    """What would not be taken in a new handshake is not taken in an old connection either."""
    clients, others = Authority(tmp_path, "clients"), Authority(tmp_path, "others")
    mine = clients.issue("mine.pem", "me", common_name="me", not_after=LATER)
    server = shows(authority, asks=clients)
    if are_known:
        server = replace(server, identities=(identity("me", common_name="me"),))
    monkeypatch.setattr(entrance, "_LOOK_AGAIN_AFTER", 0.05)
    one = await serve(sleeper(), server=server)
    asked = READY.replace(b"/readyz", b"/api/v1/daemon")
    async with (
        connected(one, trusting(authority, mine)) as asking,
        connected(one, trusting(authority, mine)) as following,
    ):
        assert await asking.ask(asked) == 200
        following.writer.write(FOLLOW)
        async with asyncio.timeout(PATIENCE):
            assert b"event: snapshot" in await following.reader.readuntil(b"event: snapshot")
        authority.issue("server.pem", not_after=LATER)  # is about us, and not about clients
        async with connected(one, trusting(authority, mine)) as third:
            assert await third.ask(asked) == 200
        assert await asking.ask(asked) == 200
        if how == "expired":
            monkeypatch.setattr("opsvisor.api.tls.time.time", lambda: LATER.timestamp() + 1)
        else:
            clients.file.write_bytes(others.file.read_bytes())
        async with asyncio.timeout(PATIENCE):
            await following.reader.read()  # comes to an end
        assert await asking.ask(asked) == 401
        assert await asking.ask(asked) == 0
