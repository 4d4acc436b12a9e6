"""HTTP/1.1 over a unix socket, TCP or TLS: one kept connection for calls, one more per stream.

Every failure below HTTP becomes `NoDaemon`, every answer that is no success `ApiError`. What is
read is bounded: a broken server must not fill the memory of the operator's shell.
"""

import os
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import copy
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Generic, NamedTuple, Self, TypeVar

import msgspec

from opsvisor.client.address import Address, TcpAddress, UnixAddress
from opsvisor.client.errors import ApiError, NoDaemon, Unauthorized, Unreached
from opsvisor.client.http import Answer, BadAnswer, HttpConnection
from opsvisor.client.sse import LineTooLong, ServerEvent, read_events
from opsvisor.wire import Problem

if TYPE_CHECKING:
    from opsvisor.client.tls import Tls

_ANSWER_MAX = 64 * 1024 * 1024
_DOWNLOADED_AT_ONCE = 256 * 1024
_UNAUTHORIZED = 401
_FIRST_ERROR = 400
_UPGRADE = "upgrade"  # the event with which a stream ends for its successor to go on
# After a crash somebody has to start the next daemon; a service manager does so in two seconds.
_SUCCESSOR_PATIENCE = 5.0
_LOOK_AGAIN_AFTER = 0.1
_CREDENTIALS = 12  # bytes: pid, uid, gid
_SILENT_AFTER = 2.0  # seconds without the first byte of an answer that is due
_PORTS = {False: 80, True: 443}  # without TLS, with it
_HANGING_UP = (ConnectionError, BadAnswer, TimeoutError, LineTooLong, msgspec.MsgspecError)

T = TypeVar("T")
U = TypeVar("U")


class _Line:
    """The connection that a stream comes through: another one after an upgrade of the daemon."""

    def __init__(self, sock: socket.socket, response: Answer) -> None:
        self.sock = sock
        self.response = response
        self._is_hung_up = False

    def renew(self, later: "_Line") -> bool:
        """Go on with that one; False if somebody has hung up meanwhile."""
        self._let_go()
        self.sock, self.response = later.sock, later.response
        if self._is_hung_up:  # in another thread
            self.hang_up()
        return not self._is_hung_up

    def hang_up(self) -> None:
        """End the stream for whoever reads it, in another thread as well."""
        self._is_hung_up = True
        with suppress(OSError):  # the daemon was first
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up, and give the connection back at once."""
        self.hang_up()
        self._let_go()

    def _let_go(self) -> None:
        # The response holds the socket open, and so would whoever keeps it: a traceback does.
        self.response.close()
        self.sock.close()


class Stream(Generic[T]):
    """What a daemon sends as it happens. Iterate, and close it (it is a context manager).

    It goes on through upgrades of the daemon.
    """

    def __init__(self, url: str, line: _Line, pieces: Iterator[T]) -> None:
        self._url = url
        self._line = line
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
        return Stream(self._url, self._line, (decode(piece) for piece in self._pieces))

    def map_all(self, decode: Callable[[Iterator[T]], Iterator[U]]) -> "Stream[U]":
        """The same stream, its pieces made to others by one who sees all of them in turn."""
        return Stream(self._url, self._line, decode(self._pieces))

    def hang_up(self) -> None:
        """End the stream for whoever iterates over it, in another thread as well."""
        self._line.hang_up()

    def close(self) -> None:
        """Hang up, and give the connection back."""
        self._line.close()

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


class Trust(NamedTuple):
    """Files for TLS: who vouches for daemons, None for whom the system trusts; and who we are.

    `key` None: the key is in the file of `cert`.
    """

    ca_file: str | None = None
    cert: str | None = None
    key: str | None = None


class Transport:
    """Sends requests to one address. `connect_timeout` is in seconds.

    Raises BadTls where the files of `trust` are needed and can't be used.
    """

    def __init__(
        self, address: Address, connect_timeout: float, trust: Trust | None = None
    ) -> None:
        self.address = address
        self.trust = trust or Trust()
        is_tls = isinstance(address, TcpAddress) and address.is_tls
        self._tls = _tls(self.trust) if is_tls else None
        self.headers: dict[str, str] = {}
        self.on_silence: Callable[[], None] | None = None  # called once
        self._connect_timeout = connect_timeout
        self._kept: HttpConnection | None = None

    def another(self) -> "Transport":
        """One to the same address that says the same of itself, on connections of its own."""
        twin = copy(self)
        twin.headers = dict(self.headers)
        twin._kept = None  # noqa: SLF001 - of the same class
        twin.on_silence = None
        return twin

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
        connection.sock.settimeout(patience)
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            with self._conversation(patience):
                connection.send(method, target, body, {**self.headers, **headers})
                self._tell_of_silence(connection.sock, patience)
                response = connection.answer()
                try:
                    answer = response.read(_ANSWER_MAX + 1)
                finally:
                    response.close()
        except BaseException:
            self.close()  # half an answer must not be taken for the next one's
            raise
        is_too_long = len(answer) > _ANSWER_MAX
        if response.is_last or is_too_long:
            self.close()
        if is_too_long:
            raise NoDaemon(str(self.address), Unreached.LOST, "more than 64 MiB of answer")
        if response.status >= _FIRST_ERROR:
            raise self._refusal(response, answer)
        return answer

    def stream(self, target: str, headers: Mapping[str, str]) -> Stream[ServerEvent]:
        """Server-sent events on a connection of their own, with no limit of time."""
        line = self._open(target, headers)
        return Stream(str(self.address), line, self._read(line, target, headers))

    def download(self, target: str, into: BinaryIO) -> int:
        """Write the body of an answer into a file as it comes, however long it is."""
        line = self._open(target, {"Accept": "*/*"})
        written = 0
        try:
            with self._conversation(None):
                while piece := line.response.read(_DOWNLOADED_AT_ONCE):
                    into.write(piece)
                    written += len(piece)
        finally:
            line.close()
        return written

    def _read(self, line: _Line, target: str, headers: Mapping[str, str]) -> Iterator[ServerEvent]:
        """All events; where the daemon says that it is upgraded, ask its successor for the rest.

        That has the same listening socket, so it answers, or hangs up if it could not begin.
        """
        while True:
            for event in read_events(line.response.readline):
                if event.event == _UPGRADE:
                    break
                yield event
            else:
                return
            if not line.renew(self._open(target, {**headers, "Last-Event-ID": event.id})):
                return

    def _open(self, target: str, headers: Mapping[str, str]) -> _Line:
        connection = self._connect()
        connection.sock.settimeout(None)
        wanted = {**self.headers, "Accept": "text/event-stream", **headers}
        try:
            with self._conversation(None):
                connection.send("GET", target, None, wanted)
                response = connection.answer()
        except BaseException:
            connection.close()
            raise
        line = _Line(connection.sock, response)
        if response.status < _FIRST_ERROR:
            return line
        try:
            with self._conversation(None):
                answer = response.read(_ANSWER_MAX)
        finally:
            line.close()
        raise self._refusal(response, answer)

    def _tell_of_silence(self, sock: socket.socket, patience: float | None) -> None:
        """Where an answer that is due has not begun. One that takes what it takes is never due."""
        if self.on_silence is None or patience is None or patience <= _SILENT_AFTER:
            return
        answered = select.poll()  # not select: a descriptor above 1023 is possible
        answered.register(sock, select.POLLIN)
        if not answered.poll(_SILENT_AFTER * 1000):
            tell, self.on_silence = self.on_silence, None
            tell()
            sock.settimeout(patience - _SILENT_AFTER)

    @contextmanager
    def _conversation(self, patience: float | None) -> Iterator[None]:
        """What breaks off inside is the daemon's silence, not an error of the network's."""
        try:
            yield
        except TimeoutError as error:
            silence = f"within {patience:g} s"
            raise NoDaemon(str(self.address), Unreached.LOST, silence) from error
        except (OSError, *_HANGING_UP) as error:
            # With TLS 1.3 a server looks at our certificate when we take the handshake for done.
            failure = self._failure_of_tls(error)
            if failure is None and not isinstance(error, _HANGING_UP):
                raise
            how = failure or (Unreached.LOST, str(error))
            raise NoDaemon(str(self.address), *how) from error

    def _failure_of_tls(self, error: Exception) -> tuple[Unreached, str] | None:
        return None if self._tls is None else self._tls.failure(error)

    def _reusable(self) -> HttpConnection | None:
        """The kept connection, unless the daemon hung up in the meantime.

        Asking beforehand rather than repeating afterwards: a `start` must not be sent twice.
        """
        sock = self._kept.sock if self._kept is not None else None
        if sock is None or select.select([sock], [], [], 0)[0]:
            self.close()
            return None
        return self._kept

    def _connect(self) -> HttpConnection:
        """Connect to a daemon that lives.

        After a crash its listening socket is kept for the next one. What was sent to it meanwhile
        would be carried out then, however long that takes: so nothing is sent.
        """
        until = time.monotonic() + _SUCCESSOR_PATIENCE
        while True:
            connection = self._connect_once()
            gone = _dead_listener(connection.sock)
            if not gone:
                return connection
            connection.close()
            if time.monotonic() > until:
                detail = f"pid {gone}, which listened there, has ended without a shutdown"
                raise NoDaemon(str(self.address), Unreached.ORPHANED, detail)
            time.sleep(_LOOK_AGAIN_AFTER)

    def _connect_once(self) -> HttpConnection:
        try:
            return _connection(self.address, self._connect_timeout, self._tls)
        except OSError as error:
            seen = _reason(error, self.address), error.strerror or str(error)
            how = self._failure_of_tls(error) or seen
            raise NoDaemon(str(self.address), *how) from error

    def _refusal(self, response: Answer, answer: bytes) -> ApiError:
        try:
            problem = msgspec.json.decode(answer, type=Problem)
        except msgspec.MsgspecError:
            problem = _foreign(self.address, response)
        kind = Unauthorized if response.status == _UNAUTHORIZED else ApiError
        return kind(problem)


def _dead_listener(sock: socket.socket) -> int:
    """The pid that called listen(2) at the other end, if that has ended; else 0.

    Of a TCP connection, and of a process in another pid namespace, nothing is known.
    """
    if sock.family != socket.AF_UNIX:
        return 0
    told = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS)
    pid = int.from_bytes(told[:4], sys.byteorder)
    return pid if pid > 0 and _has_ended(pid) else 0


def _has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - pathlib costs milliseconds
            return file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except (OSError, IndexError):  # hidden from us
        return False


def _tls(trust: Trust) -> "Tls":
    # Not at the top: ssl costs 4 ms, and most daemons are asked over their socket.
    from opsvisor.client.tls import Tls  # noqa: PLC0415 - see above

    return Tls(*trust)


def _connection(address: Address, timeout: float, tls: "Tls | None") -> HttpConnection:
    """Connect, leaving no descriptor behind where that fails."""
    match address:
        case UnixAddress(path):
            return HttpConnection(_unix(path, timeout), "localhost")
        case TcpAddress(host, port, is_tls):
            name = f"[{host}]" if ":" in host else host
            said = name if port == _PORTS[is_tls] else f"{name}:{port}"
            return HttpConnection(_tcp(host, port, timeout, tls), said)


def _unix(path: str, timeout: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


def _tcp(host: str, port: int, timeout: float, tls: "Tls | None") -> socket.socket:
    sock = socket.create_connection((host, port), timeout)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock if tls is None else tls.secure(sock, host)
    except OSError:
        sock.close()
        raise


def _reason(error: OSError, address: Address) -> Unreached:
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return Unreached.MISSING
        case PermissionError() if isinstance(address, UnixAddress):
            return Unreached.DENIED
        case socket.gaierror():
            return Unreached.UNKNOWN_HOST
        case OSError(errno=None) if isinstance(address, UnixAddress):  # Python has not even asked
            return Unreached.TOO_LONG
        case _:  # refused, no route, firewall, timeout: nobody to talk to there
            return Unreached.REFUSED


def _foreign(address: Address, response: Answer) -> Problem:
    return Problem(
        type="about:blank",
        title="Not opsvisord",
        status=response.status,
        code="not_opsvisord",
        detail=f"{address} answered {response.status} {response.reason}, but not as opsvisord",
        hint="is another server listening there? supervisord itself does not know this API",
    )
