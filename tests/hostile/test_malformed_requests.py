"""What is no HTTP, or too much of it: an answer of ours or none, and never a bug."""

import gzip
import socket

import pytest
from daemon import StartDaemon
from siege import Besieged, Way, besieged, many, read_answer

WAYS = pytest.mark.parametrize("way", Way, ids=lambda way: way.value)
ACTIONS = b"POST /api/v1/actions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
DAEMON = b"GET /api/v1/daemon HTTP/1.1\r\nHost: localhost\r\n"

# Bytes, and what they may be answered with; None is a connection that ends without an answer.
MALFORMED: dict[str, tuple[bytes, set[int | None]]] = {
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100), {400}),
    "an old version": (b"GET / HTTP/0.9\r\n\r\n", {400}),
    "no version": (b"GET /\r\n\r\n", {400}),
    "a new version": (b"GET / HTTP/3.0\r\nHost: localhost\r\n\r\n", {400}),
    "no number": (b"GET / HTTP/x.y\r\nHost: localhost\r\n\r\n", {400}),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400}),
    "NUL in the path": (b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n", {400}),
    "NUL in a header": (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n", {400}),
    "NUL in a name": (b"GET / HTTP/1.1\r\nHost: localhost\r\nX\x00: b\r\n\r\n", {400}),
    "escape in a header": (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: \x1b[31m\r\n\r\n",
        {400, 200},
    ),
    "space in a name": (b"GET / HTTP/1.1\r\nHost: localhost\r\nX : b\r\n\r\n", {400}),
    "no colon": (b"GET / HTTP/1.1\r\nHost: localhost\r\nnonsense\r\n\r\n", {400}),
    "a folded header": (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n", {400, 200}),
    "lines of LF": (b"GET / HTTP/1.1\nHost: localhost\n\n", {400, 200}),
    "lines of CR": (b"GET / HTTP/1.1\rHost: localhost\r\r", {400, 408, None}),
    "two lengths": (
        ACTIONS + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
        {400},
    ),
    "length and chunks": (
        ACTIONS + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        {400},
    ),
    "chunks and length": (
        ACTIONS + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        {400},
    ),
    "chunks twice": (
        ACTIONS + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        {400},
    ),
    "chunks in disguise": (
        ACTIONS + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        {400},
    ),
    "chunks not at the end": (
        ACTIONS + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        {400},
    ),
    "a bad chunk": (ACTIONS + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n", {400}),
    "a negative chunk": (ACTIONS + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n", {400}),
    "a huge chunk": (
        ACTIONS + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}\r\n",
        {400},
    ),
    "a negative length": (ACTIONS + b"Content-Length: -1\r\n\r\n", {400}),
    "a length with a sign": (ACTIONS + b"Content-Length: +2\r\n\r\n{}", {400}),
    "a length in hex": (ACTIONS + b"Content-Length: 0x2\r\n\r\n{}", {400}),
    "an endless length": (ACTIONS + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}", {400}),
    "no host": (b"GET /healthz HTTP/1.1\r\n\r\n", {200, 400}),
    "two hosts": (
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        {200, 400},
    ),
    "another's address": (
        b"GET http://evil.example/api/v1/daemon HTTP/1.1\r\nHost: localhost\r\n\r\n",
        {200, 400, 404, 421},
    ),
    "no address": (b"GET http:// HTTP/1.1\r\nHost: localhost\r\n\r\n", {400, 404}),
    "a bad address": (b"GET http://[::1 HTTP/1.1\r\nHost: localhost\r\n\r\n", {400, 404}),
    "a bad port": (
        b"GET http://localhost:99999/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        {200, 400, 404},
    ),
    "an asterisk": (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", {400, 404, 405}),
    "CONNECT": (
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
        {400, 404, 405, 421},
    ),
    "TRACE": (b"TRACE /api/v1/daemon HTTP/1.1\r\nHost: localhost\r\nX-Secret: 1\r\n\r\n", {405}),
    "a method of nobody's": (b"BREW /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", {400, 405}),
    "a WebSocket": (
        DAEMON
        + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        {200},
    ),
    "HTTP/2 by upgrade": (
        DAEMON
        + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        + b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
        {200},
    ),
    "an odd expectation": (
        b"GET /api/v1/daemon HTTP/1.1\r\nHost: localhost\r\nExpect: miracles\r\n\r\n",
        {200, 417},
    ),
    "an odd expectation nowhere": (
        b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nExpect: miracles\r\n\r\n",
        {404, 417},
    ),
    "a megabyte of a header": (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * (1 << 20) + b"\r\n\r\n",
        {400, None},
    ),
    "a megabyte of headers": (
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 150_000 + b"\r\n",
        {400, None},
    ),
    "a megabyte of a path": (
        b"GET /" + b"x" * (1 << 20) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        {400, None},
    ),
    "a megabyte of a method": (b"X" * (1 << 20), {400, None}),
    "a gigabyte announced": (ACTIONS + b"Content-Length: 1073741824\r\n\r\n{}", {413}),
    "a body of 2 MiB": (ACTIONS + b"Content-Length: 2097152\r\n\r\n" + b" " * (2 << 20), {413}),
    "chunks without end": (
        ACTIONS
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 40,
        {413},
    ),
    "chunks of one byte": (
        ACTIONS + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 50_000 + b"0\r\n\r\n",
        {400},
    ),
    "a long extension of a chunk": (
        ACTIONS + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * (1 << 20) + b"\r\n",
        {400, 408, None},
    ),
}


@WAYS
def test_what_is_no_request(start_daemon: StartDaemon, way: Way) -> None:
    """Each gets one of the answers it may have; ours, with nothing of what we are made of."""
    with besieged(start_daemon) as one:
        wrong = []
        for name, (request, statuses) in MALFORMED.items():
            answer = one.send(way, request)
            if answer is None or answer.status not in statuses:
                if answer is not None or None not in statuses:
                    wrong.append((name, answer))
                continue
            assert answer.headers["server"] == "opsvisord", name
            assert b"aiohttp" not in answer.body, name
            assert b"X-Secret" not in answer.body, name
            if answer.status >= 400:
                assert answer.code, name
        assert wrong == []
        one.check()
        assert one.daemon.log.count("\n") < 30


@WAYS
def test_bodies_that_grow(start_daemon: StartDaemon, way: Way) -> None:
    """Nothing is decompressed: a bomb is refused unread, whatever it would come to."""
    bomb = gzip.compress(b" " * (50 << 20))
    with besieged(start_daemon) as one:
        for coding in (b"gzip", b"deflate", b"br", b"zstd", b"GZIP, gzip", b"nonsense"):
            head = b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (coding, len(bomb))
            for _ in range(5):
                answer = one.send(way, ACTIONS + head + bomb)
                assert answer is not None
                assert (answer.status, answer.code) == (415, "encoded_body")
        one.check()


@WAYS
def test_thousands_of_requests_at_once(start_daemon: StartDaemon, way: Way) -> None:
    """Pipelined on a few connections, and read: each is answered, others are not held up."""
    request = b"GET /api/v1/processes HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with besieged(start_daemon) as one, many(one, way, 8) as clients:
        for client in clients:
            client.sendall(request * 200)
        one.check()
        for client in clients:
            assert _count_answers(client) == 200


def _count_answers(client: socket.socket) -> int:
    found, rest = 0, b""
    while found < 200 and (piece := client.recv(1 << 20)):
        rest += piece
        found += rest.count(b"HTTP/1.1 200 OK")
        rest = rest[-14:]
    return found


@WAYS
def test_a_rush_of_connections(start_daemon: StartDaemon, way: Way) -> None:
    """As fast as one can: connect, ask, go; half of them without waiting for the answer."""
    with besieged(start_daemon) as one:
        for number in range(400):
            with one.connect(way) as client:
                client.sendall(b"GET /api/v1/processes/web HTTP/1.1\r\nHost: localhost\r\n\r\n")
                if number % 2:
                    assert read_answer(client) is not None
        one.check()


DEEP = 100_000
BOMBS = {
    "deep arrays": b"[" * DEEP,
    "deep objects": b'{"a":' * DEEP,
    "deep names": b'{"action":"start","names":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep unknown": b'{"x":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep timeout": b'{"action":"start","names":[],"timeout":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "huge integer": b'{"action":"signal","names":["web"],"signal":' + b"9" * 100_000 + b"}",
    "huge float": b'{"action":"start","names":["web"],"timeout":1e999999}',
    "long float": b'{"action":"start","names":["web"],"timeout":0.' + b"1" * 900_000 + b"x}",
    "NaN": b'{"action":"start","names":["web"],"timeout":NaN}',
    "Infinity": b'{"action":"start","names":["web"],"timeout":Infinity}',
    "a byte order mark": b'\xef\xbb\xbf{"action":"start","names":["web"]}',
    "UTF-16": '{"action":"start","names":["web"]}'.encode("utf-16"),
    "bad UTF-8": b'{"action":"start","names":["\xff\xfe"]}',
    "overlong UTF-8": b'{"action":"start","names":["\xc0\xaf"]}',
    "a lone surrogate": b'{"action":"start","names":["\\ud800"]}',
    "a comment": b'{"action":"start","names":["web"]}//',
    "two documents": b'{"action":"start","names":["web"]}{}',
    "an open string": b'{"action":"' + b"x" * 900_000,
    "a null": b"null",
    "too many names": b'{"action":"start","names":[%s]}'
    % b",".join(b'"%d"' % n for n in range(90_000)),
    "too many patterns": b'{"action":"start","names":[%s]}'
    % b",".join(b'"%d*"' % n for n in range(101)),
    "a long pattern": b'{"action":"start","names":["%s"]}' % (b"*a" * 6000),
    "no action": b'{"action":"explode","names":["web"]}',
    "a huge signal": b'{"action":"signal","names":["web"],"signal":99999999999999999999}',
    "a negative signal": b'{"action":"signal","names":["web"],"signal":-9}',
}


@WAYS
def test_what_is_no_json(start_daemon: StartDaemon, way: Way) -> None:
    """Refused with what is wrong with it, in no time, whatever its shape."""
    with besieged(start_daemon) as one:
        wrong = {}
        for name, body in BOMBS.items():
            answer = one.ask(way, "/api/v1/actions", method="POST", body=body)
            if answer.status != 400:
                wrong[name] = (answer.status, answer.body[:200])
                continue
            assert answer.code in ("bad_request", "bad_signal"), name
            assert len(answer.body) < 2000, name
        assert wrong == {}
        one.check()


def test_names_said_twice_count_once(start_daemon: StartDaemon) -> None:
    """Of a key that is there twice the last one counts, as for every JSON reader of Python's."""
    body = b'{"action":"explode","names":["none"],"action":"start","names":["web"],"wait":false}'
    with besieged(start_daemon) as one:
        answer = _act(one, body)
        assert b'"already_started"' in answer


def _act(one: Besieged, body: bytes) -> bytes:
    return one.ask(Way.UNIX, "/api/v1/actions", method="POST", body=body).body


HOSTS = (
    "evil.example",
    "evil.example:80",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "localhost@evil.example",
    "evil.example#localhost",
    "evil.example/localhost",
    "localhost:80:80",
    "0x7f.1",
    "127.1",
    "l\N{CYRILLIC SMALL LETTER O}calhost",
)


def test_hosts_that_are_not_ours(start_daemon: StartDaemon) -> None:
    """A page of somebody else's, whose name leads to us, is told nothing and changes nothing."""
    with besieged(start_daemon) as one:
        for host in HOSTS:
            for method, path in (
                ("GET", "/api/v1/processes"),
                ("POST", "/api/v1/daemon/shutdown"),
            ):
                answer = one.ask(Way.TCP, path, method=method, host=host)
                assert (answer.status, answer.code) in {(421, "wrong_host"), (400, "no_http")}
