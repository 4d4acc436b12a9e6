"""Supervisor's paths as any HTTP client asks for them: statuses, headers, bodies."""

import base64
import http.client
import os
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import closing

import pytest
from contestants import HEAD, Contestant, Pair, StartPair, parsed
from daemon import PATIENCE

CALL = (
    "<?xml version='1.0'?><methodCall><methodName>supervisor.getState</methodName>"
    "<params></params></methodCall>"
)
PROGRAMS = """\
[program:cat]
command = /bin/cat
startsecs = 0
stdout_logfile = $HERE/cat.out

[program:silent]
command = /bin/cat
startsecs = 0
stdout_logfile = NONE
stderr_logfile = NONE

[program:long]
command = $VICTIM 'count 1 500'
stdout_logfile = $HERE/long.out
startsecs = 0

[program:many]
command = /bin/cat
process_name = one
"""


@pytest.fixture(scope="module")
def pair(start_shared_pair: StartPair) -> Pair:
    """Both, with logs of a known length."""
    started = start_shared_pair(HEAD + PROGRAMS)

    def settle(one: Contestant) -> None:
        one.until("cat", "RUNNING")
        one.call("supervisor.sendProcessStdin", "cat", "hello\n")
        one.until_text("cat.out", "hello\n")
        one.until_text("long.out", lines=500)

    started.both(settle)
    return started


def _kind(headers: Mapping[str, str]) -> str:
    found = {name.lower(): value for name, value in headers.items()}.get("content-type", "")
    return found.partition(";")[0]


PATHS = ["/RPC2", "/RPC2/", "/RPC2xyz", "/RPC", "/rpc2", "/nosuch", "/ok.html", "/../etc/passwd"]
PATHS += ["/logtail/nosuch", "/logtail/nosuch/stdout", "/logtail/cat/nosuch", "/logtail/silent"]
PATHS += ["/logtail/silent/stderr", "/logtail/many", "/logtail/many:nosuch"]


@pytest.mark.parametrize("path", PATHS)
def test_status(pair: Pair, path: str) -> None:
    """Of what is asked for by GET. What streams is looked at elsewhere."""
    pair.agree(lambda one: one.get(path).status)


@pytest.mark.parametrize("path", ["/RPC2", "/RPC2/", "/RPC2xyz", "/RPC2?x=1"])
def test_every_path_that_begins_so_takes_calls(pair: Pair, path: str) -> None:
    """A prefix is all that is looked at."""
    assert pair.agree(lambda one: one.post(CALL, path).status) == 200


BODIES: dict[str, str | bytes] = {
    "a call": CALL,
    "no params": CALL.replace("<params></params>", ""),
    "empty params": CALL.replace("<params></params>", "<params/>"),
    "no declaration": CALL.partition("?>")[2],
    "whitespace around": f"\n{CALL.partition('?>')[2]}\n",
    "nothing": " ",
    "text": "hello",
    "half": CALL[:60],
    "two roots": CALL + "<x/>",
    "a response": "<methodResponse><params/></methodResponse>",
    "other XML": "<x/>",
    "no method name": "<methodCall><params/></methodCall>",
    "empty method name": "<methodCall><methodName></methodName></methodCall>",
    "HTML": "<html><body>",
    "JSON": '{"method": "supervisor.getState"}',
}


@pytest.mark.parametrize("body", BODIES)
def test_bodies_of_calls(pair: Pair, body: str) -> None:
    """What is no call is answered by an HTTP status, not by a fault."""

    def ask(one: Contestant) -> tuple[int, str]:
        answer = one.post(BODIES[body])
        return answer.status, _kind(answer.headers)

    pair.agree(ask)


def _typed_call(value: str) -> str:
    return (
        "<methodCall><methodName>supervisor.getProcessInfo</methodName><params><param>"
        f"<value>{value}</value></param></params></methodCall>"
    )


VALUES = {
    "untyped": "nosuch",
    "string": "<string>nosuch</string>",
    "empty string": "<string></string>",
    "base64": f"<base64>{base64.b64encode(b'nosuch').decode()}</base64>",
    "entity": "<string>a&lt;b&amp;c</string>",
    "CDATA": "<string><![CDATA[a<b]]></string>",
    "character reference": "<string>&#246;</string>",
    "unknown type": "<i8>5</i8>",
    "blanks": "<string> cat </string>",
}


@pytest.mark.parametrize("value", VALUES)
def test_types_of_values(pair: Pair, value: str) -> None:
    """Seen in the fault that quotes the name."""
    pair.agree(lambda one: parsed(one.post(_typed_call(VALUES[value]))))


@pytest.mark.parametrize("agent", [None, "curl/8.0", "Python-xmlrpc/3.11"])
@pytest.mark.parametrize("kind", ["text/xml", "application/xml", "text/plain", ""])
def test_any_content_type_will_do(pair: Pair, kind: str, agent: str | None) -> None:
    """Nobody looks at the headers of a call."""
    headers = {"Content-Type": kind, **({"User-Agent": agent} if agent else {})}
    answer = pair.agree(lambda one: one.post(CALL, headers=headers).status)
    assert answer == 200


def test_headers_of_a_response(pair: Pair) -> None:
    """Typed and with a length, so that the oldest client reads it."""

    def ask(one: Contestant) -> tuple[str, bool]:
        answer = one.post(CALL)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return _kind(answer.headers), int(headers["content-length"]) == len(answer.text)

    assert pair.agree(ask) == ("text/xml", True)


def _raw(one: Contestant, text: str) -> bytes:
    """What comes back for these bytes, its first line at least."""
    with closing(socket.create_connection(("127.0.0.1", one.port), PATIENCE)) as connection:
        connection.sendall(text.encode())
        found = b""
        while b"\r\n" not in found and (piece := connection.recv(65536)):
            found += piece
        return found


@pytest.mark.parametrize(
    "request_line",
    [
        "POST /RPC2 HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}",
        "POST /RPC2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}",
        "POST /RPC2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "POST /RPC2 HTTP/1.0\r\n\r\n",
        "GET /ok.html HTTP/1.0\r\n\r\n",
        "GET /nosuch HTTP/1.0\r\n\r\n",
    ],
)
def test_plain_old_http(pair: Pair, request_line: str) -> None:
    """HTTP/1.0, and calls without a length: 411."""
    text = request_line.format(length=len(CALL), body=CALL)
    pair.agree(lambda one: _raw(one, text).split(b" ", 2)[1])


def test_kept_alive(pair: Pair) -> None:
    """Several calls over one connection."""

    def ask(one: Contestant) -> list[int]:
        with closing(one.tcp) as connection:
            statuses = []
            for _ in range(3):
                connection.request("POST", "/RPC2", CALL)
                response = connection.getresponse()
                response.read()
                statuses.append(response.status)
            return statuses

    assert pair.agree(ask) == [200, 200, 200]


def test_liveness_page(pair: Pair) -> None:
    """What probes ask for: the two letters and nothing else."""

    def ask(one: Contestant) -> tuple[int, str, str]:
        answer = one.get("/ok.html")
        return answer.status, _kind(answer.headers), answer.text

    assert pair.agree(ask) == (200, "text/plain", "OK")


# -- streams of logs -----------------------------------------------------------------------


def _beginning(one: Contestant, path: str, size: int) -> tuple[int, dict[str, str], bytes]:
    """Status, the headers that matter, and the first bytes of a stream that does not end."""
    with closing(one.tcp) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        names = ("content-type", "x-accel-buffering", "transfer-encoding")
        headers = {name: response.headers.get(name, "") for name in names}
        found = b""
        while len(found) < size:
            piece = response.read1(size - len(found))
            assert piece, found
            found += piece
        modified = response.headers.get("last-modified", "")
        return response.status, {**headers, "dated": str(bool(modified))}, found


@pytest.mark.parametrize(
    ("path", "size"),
    [
        ("/logtail/cat", 6),
        ("/logtail/cat/stdout", 6),
        ("/logtail/cat:cat", 6),
        ("/logtail/c%61t", 6),
        ("/logtail/long", 1024),
        ("/logtail/long/stdout", 1024),
    ],
)
def test_beginning_of_a_log_stream(pair: Pair, path: str, size: int) -> None:
    """The last 1024 bytes first, in chunks, for nobody to hold back."""
    status, headers, found = pair.agree(lambda one: _beginning(one, path, size))
    assert (status, len(found)) == (200, size)
    assert headers["transfer-encoding"] == "chunked"


def test_beginning_of_the_activity_log_stream(pair: Pair) -> None:
    """It begins in the same way: 1024 bytes before the end, or with the first."""

    def ask(one: Contestant) -> tuple[int, str, bool]:
        log = one.log.encode()
        status, headers, found = _beginning(one, "/mainlogtail", min(len(log), 1024))
        return status, headers["content-type"], found in one.log.encode()

    assert pair.agree(ask)[2]


def test_log_stream_follows(pair: Pair) -> None:
    """What a process prints later comes as well."""

    def ask(one: Contestant) -> bytes:
        with closing(one.tcp) as connection:
            connection.request("GET", "/logtail/cat")
            response = connection.getresponse()
            found = _until(response, b"hello\n")
            one.call("supervisor.sendProcessStdin", "cat", "again\n")
            return found + _until(response, b"again\n")

    assert pair.agree(ask) == b"hello\nagain\n"


_FOLLOWED = HEAD + "[program:a]\ncommand=/bin/cat\nstartsecs=0\nstdout_logfile=$HERE/a.out\n"


def _followed(one: Contestant, begin_anew: Callable[[Contestant], object]) -> bytes:
    """What comes by /logtail of two lines, when something happens to the file between them."""
    one.until("a", "RUNNING")
    one.call("supervisor.sendProcessStdin", "a", "before\n")
    one.until_text("a.out", "before\n")
    with closing(one.tcp) as connection:
        connection.request("GET", "/logtail/a")
        response = connection.getresponse()
        found = _until(response, b"before\n")
        begin_anew(one)
        one.call("supervisor.sendProcessStdin", "a", "after\n")
        return found + _until(response, b"after\n")


def test_log_stream_of_a_file_that_is_renamed(start_pair: StartPair) -> None:
    """Whoever follows goes on with the new file."""

    def rename(one: Contestant) -> None:
        (one.directory / "a.out").rename(one.directory / "old")
        one.signal(signal.SIGUSR2)
        one.until_logged("logreopen")

    pair = start_pair(_FOLLOWED)
    assert pair.agree(lambda one: _followed(one, rename)) == b"before\nafter\n"


@pytest.mark.differs("logtail-truncated")
def test_log_stream_of_a_file_that_is_cleared(start_pair: StartPair) -> None:
    """Both go on; ours says what happened."""

    def clear(one: Contestant) -> None:
        assert one.call("supervisor.clearProcessLogs", "a") is True

    theirs, ours = start_pair(_FOLLOWED).both(lambda one: _followed(one, clear))
    assert theirs == b"before\nafter\n"
    assert ours == b"before\n==> File truncated <==\nafter\n"


@pytest.mark.differs("logtail-truncated")
def test_log_stream_of_a_file_that_is_truncated(start_pair: StartPair) -> None:
    """Supervisor fails to say so, and hangs up."""

    def truncate(one: Contestant) -> None:
        os.truncate(one.directory / "a.out", 0)

    def script(one: Contestant) -> bytes | None:
        try:
            return _followed(one, truncate)
        except http.client.IncompleteRead:
            return None

    theirs, ours = start_pair(_FOLLOWED).both(script)
    assert theirs is None
    assert ours == b"before\n==> File truncated <==\nafter\n"


def _until(response: http.client.HTTPResponse, text: bytes) -> bytes:
    found = b""
    while not found.endswith(text):
        piece = response.read1(65536)
        assert piece, found
        found += piece
    return found


# -- who may ask ---------------------------------------------------------------------------

# Supervisor lets anybody guess as often as they like.
UNLIMITED = "[opsvisor:limits]\nfailed_logins = 0\n"
GUARDED = UNLIMITED + HEAD.replace("file = $HERE/s\n", "file = $HERE/s\nchmod = 0770\n").replace(
    "port = 127.0.0.1:$PORT\n",
    "port = 127.0.0.1:$PORT\nusername = thomas\npassword = 123\n",
)
HASHED = GUARDED.replace(
    "password = 123", "password = {SHA}40bd001563085fc35165329ea1ff5c5ecbdbbeef"
)


@pytest.fixture(scope="module")
def guarded(start_shared_pair: StartPair) -> Pair:
    """Both, with a password for TCP."""
    return start_shared_pair(GUARDED)


@pytest.fixture(scope="module")
def hashed(start_shared_pair: StartPair) -> Pair:
    """Both, with the SHA-1 of a password for TCP."""
    return start_shared_pair(HASHED)


def _basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()


AUTHORIZATIONS = {
    "none": None,
    "right": _basic("thomas:123"),
    "lower case": _basic("thomas:123").replace("Basic", "basic"),
    "wrong password": _basic("thomas:124"),
    "wrong name": _basic("tom:123"),
    "empty": _basic(":"),
    "more behind it": _basic("thomas:123:4"),
    "other scheme": "Bearer 123",
    "the hash itself": _basic("thomas:{SHA}40bd001563085fc35165329ea1ff5c5ecbdbbeef"),
}


@pytest.mark.parametrize("path", ["/RPC2", "/ok.html", "/logtail/nosuch", "/nosuch"])
@pytest.mark.parametrize("authorization", AUTHORIZATIONS)
@pytest.mark.parametrize("stored", ["guarded", "hashed"])
def test_credentials(
    request: pytest.FixtureRequest, stored: str, authorization: str, path: str
) -> None:
    """Asked for on every path, before anything else is looked at."""
    pair: Pair = request.getfixturevalue(stored)
    given = AUTHORIZATIONS[authorization]

    def ask(one: Contestant) -> tuple[int, str]:
        headers = {"Authorization": given} if given is not None else {}
        with closing(one.tcp) as connection:
            method, body = ("POST", CALL) if path == "/RPC2" else ("GET", None)
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            response.read()
            challenge = response.headers.get("WWW-Authenticate", "")
            return response.status, challenge

    pair.agree(ask)


def test_the_socket_file_is_open_as_configured(guarded: Pair) -> None:
    """Chmod, and no password on the server that has none."""

    def ask(one: Contestant) -> tuple[str, int]:
        return oct(one.socket.stat().st_mode & 0o7777), one.post(CALL).status

    assert guarded.agree(ask) == ("0o770", 200)
