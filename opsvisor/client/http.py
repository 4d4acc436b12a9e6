"""HTTP/1.1 as far as one client of opsvisord needs it: requests, answers, and bodies as they come.

Not http.client: that brings ssl and the parsers of e-mail, 10 ms of each `opsvisorctl status`. And
it reads the lines of a chunked stream a byte at a time.
"""

import io
import socket
from collections.abc import Mapping

_LINE_MAX = 64 * 1024
_HEADERS_MAX = 100
_CONTINUE = 100
_DIGITS_MAX = 18
_HEX = frozenset("0123456789abcdefABCDEF")
_BODILESS = frozenset({204, 304})


class BadAnswer(Exception):  # noqa: N818 - the name says what happened
    """What the server sent is no HTTP."""


class _NoMoreChunks(ConnectionError):  # noqa: N818 - the name says what happened
    """The server hung up between two chunks."""


class HttpConnection:
    """One connection, for one request after the other. `host` is what `Host` says."""

    def __init__(self, sock: socket.socket, host: str) -> None:
        self.sock = sock
        self._host = host

    def send(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
    ) -> None:
        """Send a request, whose answer is to be awaited."""
        sized = {} if body is None else {"Content-Length": str(len(body))}
        everything = {"Host": self._host, "Accept-Encoding": "identity", **headers, **sized}
        lines = [f"{method} {target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in everything.items()]
        if any("\n" in line or "\r" in line for line in lines):
            raise ValueError("a line break in a header would begin another one")
        head = "\r\n".join([*lines, "\r\n"]).encode("latin-1")
        self.sock.sendall(head + (body or b""))

    def answer(self) -> "Answer":
        """Await the head of the answer to what was sent."""
        return Answer(self.sock)

    def close(self) -> None:
        """Hang up, as soon as no answer is read any more."""
        self.sock.close()


class Answer:
    """The head of an answer, and its body to read. `is_last`: the connection ends behind it."""

    def __init__(self, sock: socket.socket) -> None:
        # Of its own for each answer: what came behind the last one is nobody's answer.
        self._stream = sock.makefile("rb")
        try:
            version = self._read_status()
            while self.status == _CONTINUE:
                _headers(self._stream)
                version = self._read_status()
            headers = _headers(self._stream)
            is_chunked = headers.get("transfer-encoding", "").lower() == "chunked"
            self._length = None if is_chunked else _length(self.status, headers)
        except BaseException:
            self._stream.close()
            raise
        is_endless = self._length is None and not is_chunked
        kept = headers.get("connection", "").lower()
        self.is_last = is_endless or kept == "close" or (version < "HTTP/1.1" and not kept)
        source = _Chunks(self._stream) if is_chunked else _Plain(self._stream, self._length)
        self._body = io.BufferedReader(source)

    def read(self, size: int) -> bytes:
        """So much of the body, less only at its end. ConnectionError if it breaks off."""
        if self._body.closed:
            return b""
        # Memory for all of what is read at once is taken before.
        return self._body.read(size if self._length is None else min(size, self._length))

    def readline(self, size: int) -> bytes:
        """A line of the body as soon as it is there, of so many bytes at most.

        What is read by lines goes on until somebody ends it: a daemon does so by hanging up.
        """
        try:
            return b"" if self._body.closed else self._body.readline(size)
        except _NoMoreChunks:
            return b""

    def close(self) -> None:
        """Read no more: whoever does all the same finds the end."""
        self._body.close()
        self._stream.close()

    def _read_status(self) -> str:
        line = _line(self._stream)
        if not line:
            raise ConnectionResetError("Remote end closed connection without response")
        version, _, rest = line.partition(" ")
        status, _, self.reason = rest.partition(" ")
        if not version.startswith("HTTP/1.") or not _is_number(status):
            raise BadAnswer(line)
        self.status = int(status)
        return version


class _Plain(io.RawIOBase):
    """A body as it is, of that length; None: up to the end of the connection."""

    def __init__(self, stream: io.BufferedReader, left: int | None) -> None:
        self._stream = stream
        self._left = left

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def readinto(self, into: bytearray | memoryview) -> int:  # type: ignore[override]  # narrower
        """What has come, or the next that comes."""
        view = memoryview(into)
        if self._left is None:
            return self._stream.readinto1(view)
        if not self._left:
            return 0
        count = self._stream.readinto1(view[: self._left])
        self._left -= count
        if not count:
            raise ConnectionError(f"{self._left} bytes of it did not come")
        return count


class _Chunks(io.RawIOBase):
    """A body in chunks (RFC 9112, 7.1)."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        self._left = 0
        self._is_first = True
        self._is_over = False

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def readinto(self, into: bytearray | memoryview) -> int:  # type: ignore[override]  # narrower
        """What has come, or the next that comes."""
        if not self._left and not self._is_over:
            self._begin()
        if self._is_over:
            return 0
        count = self._stream.readinto1(memoryview(into)[: self._left])
        self._left -= count
        if not count:
            raise ConnectionError(f"{self._left} bytes of a chunk did not come")
        return count

    def _begin(self) -> None:
        if not self._is_first and _line(self._stream):
            raise BadAnswer("a chunk without an end")
        self._is_first = False
        line = _line(self._stream)
        if not line:
            raise _NoMoreChunks("the rest of it did not come")
        told = line.partition(";")[0].strip()
        if not told or not _HEX.issuperset(told):
            raise BadAnswer(f"{line[:80]!r} is no length of a chunk")
        self._left = int(told, 16)
        if not self._left:
            self._is_over = True
            _headers(self._stream)


def _line(stream: io.BufferedReader) -> str:
    line = stream.readline(_LINE_MAX + 1)
    if len(line) > _LINE_MAX:
        raise BadAnswer(f"a line of more than {_LINE_MAX} bytes")
    return line.decode("latin-1").rstrip("\r\n")


def _headers(stream: io.BufferedReader) -> dict[str, str]:
    """Up to the empty line; names in lower case, since theirs is of no meaning."""
    headers: dict[str, str] = {}
    for _ in range(_HEADERS_MAX):
        line = _line(stream)
        if not line:
            return headers
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    raise BadAnswer(f"more than {_HEADERS_MAX} headers")


def _length(status: int, headers: Mapping[str, str]) -> int | None:
    """How long the body is; None if the end of the connection is its end."""
    if status in _BODILESS:
        return 0
    told = headers.get("content-length")
    if told is None:
        return None
    if not _is_number(told):
        raise BadAnswer(f"{told[:80]!r} is no length")
    return int(told)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX
