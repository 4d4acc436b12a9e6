"""HTTP/1.1 over a unix socket or TCP: one kept connection for calls, one more per stream.

Every failure below HTTP becomes `NoDaemon`, every answer that is no success `ApiError`. What is
read is bounded: a broken server must not fill the memory of the operator's shell.
"""

import select
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from types import TracebackType
from typing import Generic, Self, TypeVar

import msgspec

from opsvisor.client.address import Address, TcpAddress, UnixAddress
from opsvisor.client.errors import ApiError, NoDaemon, Unauthorized, Unreached
from opsvisor.client.sse import LineTooLong, ServerEvent, read_events
from opsvisor.wire import Problem

_ANSWER_MAX = 64 * 1024 * 1024
_UNAUTHORIZED = 401
_FIRST_ERROR = 400
_HANGING_UP = (ConnectionError, HTTPException, TimeoutError, LineTooLong, msgspec.MsgspecError)

T = TypeVar("T")
U = TypeVar("U")


class _UnixConnection(HTTPConnection):
    """The standard library's client on a unix socket; `Host` says localhost."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect, leaving no descriptor behind where that fails."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(self.timeout)
            sock.connect(self._path)
        except OSError:
            sock.close()
            raise
        self.sock = sock


class Stream(Generic[T]):
    """What a daemon sends as it happens. Iterate, and close it (it is a context manager)."""

    def __init__(self, url: str, sock: socket.socket, pieces: Iterator[T]) -> None:
        self._url = url
        self._sock = sock
        self._pieces = pieces

    def __iter__(self) -> Iterator[T]:
        """Each piece until the daemon ends the stream. Raises NoDaemon where it breaks off."""
        try:
            # Not `yield from`: leaving one loop over a stream must not end the next one.
            for piece in self._pieces:  # noqa: UP028 - see above
                yield piece
        except _HANGING_UP as error:
            raise NoDaemon(self._url, Unreached.LOST, str(error)) from error

    def map(self, decode: Callable[[T], U]) -> "Stream[U]":
        """The same stream with every piece decoded."""
        return Stream(self._url, self._sock, (decode(piece) for piece in self._pieces))

    def hang_up(self) -> None:
        """End the stream for whoever iterates over it, in another thread as well."""
        with suppress(OSError):  # the daemon was first
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up, and give the connection back."""
        self.hang_up()
        self._sock.close()

    def __enter__(self) -> Self:
        """The stream itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up, and give the connection back."""
        self.close()


class Transport:
    """Sends requests to one address. `connect_timeout` is in seconds."""

    def __init__(self, address: Address, connect_timeout: float) -> None:
        self.address = address
        self.headers: dict[str, str] = {}
        self._connect_timeout = connect_timeout
        self._kept: HTTPConnection | None = None

    def close(self) -> None:
        """Close the kept connection; the next call opens another."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def call(
        self, method: str, target: str, *, body: bytes | None, patience: float | None
    ) -> bytes:
        """The body of a successful answer, awaited for `patience` seconds (None: for ever)."""
        connection = self._reusable() or self._connect()
        self._kept = connection
        _socket_of(connection).settimeout(patience)
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            with self._conversation(patience):
                connection.request(method, target, body, {**self.headers, **headers})
                response = connection.getresponse()
                answer = response.read(_ANSWER_MAX + 1)
        except BaseException:
            self.close()  # half an answer must not be taken for the next one's
            raise
        if len(answer) > _ANSWER_MAX:
            self.close()
            raise NoDaemon(str(self.address), Unreached.LOST, "more than 64 MiB of answer")
        if response.status >= _FIRST_ERROR:
            raise self._refusal(response, answer)
        return answer

    def stream(self, target: str, headers: Mapping[str, str]) -> Stream[ServerEvent]:
        """Server-sent events on a connection of their own, with no limit of time."""
        connection = self._connect()
        sock = _socket_of(connection)  # http.client forgets it where the server will hang up
        sock.settimeout(None)
        wanted = {**self.headers, "Accept": "text/event-stream", **headers}
        try:
            with self._conversation(None):
                connection.request("GET", target, headers=wanted)
                response = connection.getresponse()
                refused = response.status >= _FIRST_ERROR
                answer = response.read(_ANSWER_MAX) if refused else b""
        except BaseException:
            connection.close()
            raise
        if refused:
            connection.close()
            raise self._refusal(response, answer)
        return Stream(str(self.address), sock, read_events(response.readline))

    @contextmanager
    def _conversation(self, patience: float | None) -> Iterator[None]:
        """What breaks off inside is the daemon's silence, not an error of the network's."""
        try:
            yield
        except TimeoutError as error:
            silence = f"within {patience:g} s"
            raise NoDaemon(str(self.address), Unreached.LOST, silence) from error
        except _HANGING_UP as error:
            raise NoDaemon(str(self.address), Unreached.LOST, str(error)) from error

    def _reusable(self) -> HTTPConnection | None:
        """The kept connection, unless the daemon hung up in the meantime.

        Asking beforehand rather than repeating afterwards: a `start` must not be sent twice.
        """
        sock = self._kept.sock if self._kept is not None else None
        if sock is None or select.select([sock], [], [], 0)[0]:
            self.close()
            return None
        return self._kept

    def _connect(self) -> HTTPConnection:
        connection = _connection(self.address, self._connect_timeout)
        try:
            connection.connect()
        except OSError as error:
            detail = error.strerror or str(error)
            raise NoDaemon(str(self.address), _reason(error, self.address), detail) from error
        return connection

    def _refusal(self, response: HTTPResponse, answer: bytes) -> ApiError:
        try:
            problem = msgspec.json.decode(answer, type=Problem)
        except msgspec.MsgspecError:
            problem = _foreign(self.address, response)
        kind = Unauthorized if response.status == _UNAUTHORIZED else ApiError
        return kind(problem)


def _socket_of(connection: HTTPConnection) -> socket.socket:
    assert isinstance(connection.sock, socket.socket)  # it is connected
    return connection.sock


def _connection(address: Address, timeout: float) -> HTTPConnection:
    match address:
        case UnixAddress(path):
            return _UnixConnection(path, timeout)
        case TcpAddress(host, port):
            return HTTPConnection(host, port, timeout=timeout)


def _reason(error: OSError, address: Address) -> Unreached:
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return Unreached.MISSING
        case PermissionError() if isinstance(address, UnixAddress):
            return Unreached.DENIED
        case _:  # refused, unknown host, no route, firewall, timeout: nobody to talk to there
            return Unreached.REFUSED


def _foreign(address: Address, response: HTTPResponse) -> Problem:
    return Problem(
        type="about:blank",
        title="Not opsvisord",
        status=response.status,
        code="not_opsvisord",
        detail=f"{address} answered {response.status} {response.reason}, but not as opsvisord",
        hint="is another server listening there? supervisord itself does not know this API",
    )
