"""What HTTP says about scrapes (RFC 9110), in the words that Prometheus really uses."""

import asyncio
import gzip
import select
import socket

import pytest
from engine_room import PATIENCE, sleeper
from served import Serve, Served

from opsvisor.config.settings import TcpServer

LOOPBACK = TcpServer(name="metrics", host="127.0.0.1", port=0)

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
# As 2.42 sends it, and as its successors build it from their `scrape_protocols`.
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
PROMETHEUS_3_TEXT_ONLY = "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.2,*/*;q=0.1"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

GZIP, PLAIN = b"\x1f\x8b", b"# HELP"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (PROMETHEUS_2, OPENMETRICS),
        (PROMETHEUS_3, OPENMETRICS),
        (PROMETHEUS_3_TEXT_ONLY, TEXT),
        (BROWSER, TEXT),
        ("", TEXT),
        ("*/*", TEXT),
        ("application/openmetrics-text;q=0,text/plain", TEXT),
        ("application/openmetrics-text;q=0.1,text/plain;q=0.2", TEXT),
        ("application/json", TEXT),  # better a readable answer than 406
    ],
)
async def test_each_client_gets_what_it_likes_best(
    api: Served, accept: str, content_type: str
) -> None:
    """And a cache between us is told what that depended on, and to keep nothing."""
    headers = {"Accept": accept, "Accept-Encoding": "gzip"}
    async with api.session.get("/metrics", headers=headers) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == content_type
        assert response.headers["Content-Encoding"] == "gzip"
        assert response.headers["Vary"] == "Accept, Accept-Encoding"
        assert response.headers["Cache-Control"] == "no-store"
        body = await response.read()
    text = gzip.decompress(body).decode()
    assert text.endswith("# EOF\n") is (content_type == OPENMETRICS)


async def test_a_list_may_be_spread_over_several_lines(api: Served) -> None:
    """RFC 9110, 5.3: a proxy may have split what its client sent in one."""
    headers = [
        ("Accept", "text/html"),
        ("Accept", "application/openmetrics-text"),
        ("Accept-Encoding", "br"),
        ("Accept-Encoding", "gzip"),
    ]
    async with api.session.get("/metrics", headers=headers) as response:
        assert response.headers["Content-Type"] == OPENMETRICS
        assert response.headers["Content-Encoding"] == "gzip"
        assert (await response.read()).startswith(GZIP)


@pytest.mark.parametrize(
    ("accept_encoding", "begin"),
    [
        ("gzip", GZIP),
        ("GZIP", GZIP),
        ("x-gzip", GZIP),
        ("gzip, deflate, br, zstd", GZIP),
        ("gzip;q=0.5, *;q=0", GZIP),
        ("*", GZIP),
        ("", PLAIN),
        ("identity", PLAIN),
        ("deflate, br", PLAIN),
        ("gzip;q=0", PLAIN),
        ("gzip;q=0, *", PLAIN),
        ("gzip;q=0.4, identity;q=0.5", PLAIN),
        ("gzip;q=nonsense", PLAIN),
        ("gzip;level=9", PLAIN),
    ],
)
async def test_only_who_wants_gets_it_compressed(
    api: Served, accept_encoding: str, begin: bytes
) -> None:
    """RFC 9110, 12.5.3, down to the weights."""
    headers = {"Accept-Encoding": accept_encoding}
    async with api.session.get("/metrics", headers=headers) as response:
        assert response.headers.get("Content-Encoding") == ("gzip" if begin is GZIP else None)
        body = await response.read()
    assert body.startswith(begin)


@pytest.mark.parametrize("accept", [PROMETHEUS_2, BROWSER])
@pytest.mark.parametrize("accept_encoding", ["gzip", "identity"])
async def test_head_has_the_headers_of_get_and_costs_nothing(
    serve: Serve, accept: str, accept_encoding: str
) -> None:
    """Nothing is rendered for it, and so its length is left out."""
    api = await serve(sleeper())
    headers = {"Accept": accept, "Accept-Encoding": accept_encoding}
    async with api.session.get("/metrics", headers=headers) as response:
        wanted = dict(response.headers)
        await response.read()
    rendered = []
    render = api.metrics.render

    async def count(accept: str, **options: object) -> tuple[bytes, str]:
        rendered.append(accept)
        return await render(accept, **options)  # type: ignore[arg-type]  # as they came

    api.metrics.render = count  # type: ignore[method-assign]  # counts, and goes on
    async with api.session.head("/metrics", headers=headers) as response:
        assert response.status == 200
        assert await response.read() == b""
        told = dict(response.headers)
    assert rendered == []
    assert "Transfer-Encoding" not in told
    varying = ("Content-Length", "Date")
    assert {k: v for k, v in told.items() if k not in varying} == {
        k: v for k, v in wanted.items() if k not in varying
    }
    assert "Content-Length" not in told


async def test_head_finds_what_is_wrong_as_get_does(api: Served) -> None:
    """A collector that isn't there is no less wrong."""
    for method in ("GET", "HEAD"):
        async with api.session.request(method, "/metrics?collect[]=nonsense") as response:
            assert response.status == 400


async def test_who_never_reads_is_cut_off(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or each such client would keep a connection and a whole answer for as long as it likes."""
    monkeypatch.setattr("opsvisor.api.system._ANSWER_TAKEN_WITHIN", 0.05)
    api = await serve(sleeper(), server=LOOPBACK)
    large = b"# " + b"x" * 8_000_000 + b"\n"  # more than the kernel's buffers take

    async def render(accept: str, **options: object) -> tuple[bytes, str]:
        del options
        return large, accept

    monkeypatch.setattr(api.metrics, "render", render)
    with socket.create_connection(("127.0.0.1", api.port)) as deaf:
        deaf.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        hang_up = select.poll()
        hang_up.register(deaf, 0)  # nothing but that the other side is gone
        assert await asyncio.to_thread(hang_up.poll, PATIENCE * 1000)
    monkeypatch.undo()
    async with api.session.get("/metrics") as response:
        assert response.status == 200
        await response.read()
    assert api.errors == []
