"""The client's HTTP: what it sends, and what it makes of all that a server may answer."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from opsvisor.client.http import Answer, BadAnswer, HttpConnection

_HEAD = b"HTTP/1.1 200 OK\r\n"
_SIZED = _HEAD + b"Content-Length: 5\r\n\r\nhello"
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


class Server:
    """The other end of a connection."""

    def __init__(self, sock: socket.socket, client: HttpConnection, until: ExitStack) -> None:
        self.sock = sock
        self.client = client
        self._until = until

    def answers(self, answer: bytes, *, ends: bool = False) -> Answer:
        """What the client makes of these bytes, behind which the server may hang up."""
        self.sock.sendall(answer)
        if ends:
            self.sock.shutdown(socket.SHUT_WR)
        return self.ask("GET", None)

    def ask(self, method: str, body: bytes | None, **headers: str) -> Answer:
        """The answer to what the client asks; it is closed after the test."""
        self.client.send(method, "/a?b", body, headers)
        return self._until.enter_context(closing(self.client.answer()))


@pytest.fixture
def server() -> Iterator[Server]:
    """A connected one. Whoever waits for more than it says fails."""
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs), ExitStack() as until:
        theirs.settimeout(5.0)
        yield Server(ours, HttpConnection(theirs, "localhost"), until)


def test_a_request(server: Server) -> None:
    """One piece: the line, the headers, an empty line, and the body of a length that is told."""
    server.sock.sendall(_SIZED)
    server.ask("POST", b"{}", X="y")
    assert server.sock.recv(1000) == (
        b"POST /a?b HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: identity\r\nX: y\r\n"
        b"Content-Length: 2\r\n\r\n{}"
    )


@pytest.mark.parametrize("value", ["a\nX: b", "a\rX: b"])
def test_no_header_brings_another(server: Server, value: str) -> None:
    """Nothing is sent where one has a line break."""
    with pytest.raises(ValueError, match="line break"):
        server.ask("GET", None, Authorization=value)
    server.client.close()
    assert server.sock.recv(1000) == b""


@pytest.mark.parametrize(
    ("answer", "body", "is_last"),
    [
        (_SIZED, b"hello", False),
        (_SIZED.replace(b"Content-Length", b"content-LENGTH"), b"hello", False),
        (_SIZED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), b"hello", True),
        (_SIZED.replace(b"1.1", b"1.0"), b"hello", True),
        (b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" + _SIZED, b"hello", False),
        (_HEAD.replace(b"200 OK", b"204"), b"", False),
        (_CHUNKED + b"2;x=y\r\nhe\r\n03\r\nllo\r\n0\r\nX: y\r\n\r\n", b"hello", False),
        (_CHUNKED + b"0\r\n\r\n", b"", False),
    ],
)
def test_bodies_end_where_they_are_said_to(
    server: Server,
    answer: bytes,
    body: bytes,
    is_last: bool,  # noqa: FBT001 - of the table above
) -> None:
    """The connection may go on, and what comes behind a body is not taken for a part of it."""
    end = b"" if answer.endswith((b"hello", b"\r\n\r\n")) else b"\r\n"
    found = server.answers(answer + end + b"and more")
    assert found.read(100) == body
    assert (found.status, found.is_last) == (204 if b" 204" in answer else 200, is_last)


def test_a_body_without_a_length_ends_with_the_connection(server: Server) -> None:
    """As those of HTTP/1.0 do."""
    found = server.answers(_HEAD + b"\r\nhello", ends=True)
    assert (found.read(100), found.is_last) == (b"hello", True)


def test_what_follows_an_answer_is_nobodys(server: Server) -> None:
    """Least of all the answer to what is asked next."""
    first = server.answers(_SIZED + _SIZED.replace(b"hello", b"other"))
    assert first.read(100) == b"hello"
    first.close()
    assert server.answers(_SIZED.replace(b"hello", b"right")).read(100) == b"right"


def test_lines_are_there_as_they_come(server: Server) -> None:
    """Those of one chunk before the next, one that two chunks make, and no longer than asked."""
    found = server.answers(_CHUNKED + b"6\r\none\ntw\r\n")
    assert found.readline(100) == b"one\n"
    server.sock.sendall(b"c\r\no\nthree\nfour\r\n")
    assert [found.readline(size) for size in (100, 3, 100)] == [b"two\n", b"thr", b"ee\n"]
    found.close()
    assert found.readline(100) == found.read(100) == b""


def test_lines_end_with_the_connection(server: Server) -> None:
    """A daemon that ends hangs up on its streams; but a part of what it had to say is an error."""
    found = server.answers(_CHUNKED + b"4\r\none\n\r\n", ends=True)
    assert [found.readline(100) for _ in range(3)] == [b"one\n", b"", b""]


def test_lines_that_break_off(server: Server) -> None:
    """Within what the server was about to say."""
    found = server.answers(_CHUNKED + b"8\r\none\ntw", ends=True)
    assert found.readline(100) == b"one\n"
    with pytest.raises(ConnectionError):
        found.readline(100)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        _SIZED[:-1],
        _CHUNKED,
        _CHUNKED + b"5\r\nhell",
        _CHUNKED + b"5\r\nhello",
        _CHUNKED + b"5\r\nhello\r\n",
    ],
)
def test_what_breaks_off_is_not_the_whole(server: Server, answer: bytes) -> None:
    """Whether the head is missing, or the end of the body."""
    with pytest.raises(ConnectionError):
        server.answers(answer, ends=True).read(100)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 \xb2\xb2\xb2 OK\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"x" * 70_000,
        _HEAD + b"X: y\r\n" * 101 + b"\r\n",
        _HEAD + b"Content-Length: -1\r\n\r\n",
        _HEAD + b"Content-Length: 5, 5\r\n\r\n",
        _HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        _CHUNKED + b"five\r\n",
        _CHUNKED + b";x=y\r\n",
        _CHUNKED + b"-5\r\n",
        _CHUNKED + b"2\r\nhello\r\n",
    ],
)
def test_what_is_no_http(server: Server, answer: bytes) -> None:
    """It is refused rather than guessed at, and however much of it there is."""
    with pytest.raises(BadAnswer):
        server.answers(answer, ends=True).read(100)
