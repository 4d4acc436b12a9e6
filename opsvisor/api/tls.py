"""TLS of one listener: certificates that are renewed under it, and handshakes that cost little.

Theory of operation
-------------------
A certificate is renewed by writing files, often by somebody who knows nothing of us. So at each
handshake we look whether the files are still those we have read (three calls of stat, 5 us), and
nobody has to be told anything, nor has anything to be looked at while nobody comes. Files that
can't be used, of which one is perhaps still being written, change nothing: the certificate that
is there goes on being shown, that is told once, and the next change is another attempt. Each
handshake has a context of its own moment: connections that are open keep what they began with.
But one whose client has shown a certificate is nobody's any more as soon as that has expired, or
others vouch for clients now than did at its handshake: else to stay would be to stay for ever.

A client that connects has a place in the crowd at once, before it has said a word of TLS: it waits
there as any other, makes room for others when it is its turn, and is cut off when it takes too
long. asyncio by itself would hold any number of them, a minute each. And handshakes take turns, as
requests do: each is a millisecond of computing, which a crowd could ask of us all at once.
"""

import asyncio
import os
import ssl
import time
from collections.abc import Awaitable, Callable
from weakref import WeakSet

from opsvisor.api.crowd import Crowd, Visitor
from opsvisor.config import certificates
from opsvisor.config.certificates import BadTlsFile, Certificate, files_of
from opsvisor.config.problems import OpsvisorError
from opsvisor.config.settings import ClientLimits, TlsSpec

# Seconds for the other side to say that it has heard our close.
_CLOSING_PATIENCE = 5.0
# Seconds more than the crowd waits for a handshake: it is the one that ends them.
_LONGER = 5.0

_Turn = Callable[[str], Awaitable[None]]
# What OpenSSL calls it, in words for who reads our log.
_WHY = {
    "HTTP_REQUEST": "it spoke plain HTTP",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it showed no certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not trust our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it does not trust our certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it does not trust our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "to it our certificate has expired",
    "UNSUPPORTED_PROTOCOL": "it speaks no version that we speak",
    "WRONG_VERSION_NUMBER": "it did not speak TLS",
}


class TlsError(OpsvisorError):
    """A server can't begin without a certificate."""


class TlsWatcher:
    """Who wants to know of certificates. This one doesn't. All must be quick."""

    def renewed(self, certificate: Certificate) -> None:
        """The files have changed, and what is in them is shown from now on."""

    def not_renewed(self, why: str) -> None:
        """The files have changed and can't be used: what was shown before still is."""


class Certificates:
    """What one listener shows, as its files are now. Raises TlsError if they can't be used yet."""

    def __init__(self, spec: TlsSpec, watcher: TlsWatcher | None = None) -> None:
        self._spec = spec
        self._watcher = watcher or TlsWatcher()
        self._seen = self._look()
        try:
            self._current = certificates.load(spec)
        except BadTlsFile as bad:
            raise TlsError(f"cannot speak TLS: {bad}\n    hint: {bad.why.hint}") from bad
        # Of all handshakes since clients are vouched for as they are now.
        self._contexts = WeakSet((self._current.context,))

    def current(self) -> Certificate:
        """The latest of them that could be used."""
        seen = self._look()
        if seen != self._seen:
            self._seen = seen
            self._renew()
        return self._current

    def holds(self, secure: ssl.SSLObject) -> bool:
        """Whether what its client has shown would be taken now. Nothing always is."""
        shown = secure.getpeercert()
        if not shown:
            return True
        is_over = ssl.cert_time_to_seconds(str(shown["notAfter"])) <= time.time()
        self.current()
        return not is_over and secure.context in self._contexts

    def _renew(self) -> None:
        vouchers = self._current.vouchers
        try:
            self._current = certificates.load(self._spec)
        except BadTlsFile as bad:
            self._watcher.not_renewed(str(bad))
        else:
            if self._current.vouchers != vouchers:
                self._contexts.clear()
            self._contexts.add(self._current.context)
            self._watcher.renewed(self._current)

    def _look(self) -> list[tuple[int, ...]]:
        return [_signature(path) for path in files_of(self._spec)]


def _signature(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)  # noqa: PTH116 - for each handshake, and a Path costs more
    except OSError:
        return ()  # what is wrong with it is said by who reads it
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)


class Handshakes:
    """Has clients agree on TLS before they are visitors of the crowd's like any other."""

    def __init__(
        self,
        shown: Certificates,
        limits: ClientLimits,
        crowd: Crowd,
        turn: _Turn | None = None,
    ) -> None:
        self._shown = shown
        self._patience = limits.request_timeout + _LONGER
        self._crowd = crowd
        self._turn = turn
        self._tasks: set[asyncio.Task[None]] = set()

    def for_(self, visitor: Visitor) -> asyncio.Protocol:
        """What a connection is given to first that is going to be this visitor's."""
        return _Anteroom(self, visitor)

    def begin(self, room: "_Anteroom", transport: asyncio.Transport) -> None:
        """Agree on TLS with who waits there."""
        task = asyncio.get_running_loop().create_task(self._agree(room, transport))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Go on with none of them."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _agree(self, room: "_Anteroom", transport: asyncio.Transport) -> None:
        visitor = room.visitor
        try:
            if self._turn is not None:
                await self._turn(visitor.peer.name)
            if room.is_left or transport.is_closing():
                return
            secure = await asyncio.get_running_loop().start_tls(
                transport,
                room,
                self._shown.current().context,
                server_side=True,
                ssl_handshake_timeout=self._patience,
                ssl_shutdown_timeout=_CLOSING_PATIENCE,
            )
            # None where the connection was cut off meanwhile.
            if secure is not None and not room.is_left:
                room.lead_on(secure)
        except ssl.SSLError as error:
            self._crowd.handshake_failed(visitor, _why(error))
        except OSError:  # it went away, as a probe does that only wants to see the port open
            pass
        finally:
            if visitor.arriving is not None:
                visitor.leave()


class _Anteroom(asyncio.Protocol):
    """Where a connection is until TLS is spoken on it, and it is the visitor's.

    What came with the end of the handshake is held here: it may be the whole request.
    """

    def __init__(self, handshakes: Handshakes, visitor: Visitor) -> None:
        self.visitor = visitor
        self.is_left = False
        self._handshakes = handshakes
        self._held = b""
        self._has_ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has connected."""
        assert isinstance(transport, asyncio.Transport)
        if self.visitor.arrive(transport):
            transport.pause_reading()  # until it is known who reads
            self._handshakes.begin(self, transport)

    def data_received(self, data: bytes) -> None:
        """The first bytes of a request."""
        self._held += data

    def eof_received(self) -> bool:
        """It has said all it is going to say."""
        self._has_ended = True
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is over before it began."""
        del exc
        self.is_left = True

    def lead_on(self, secure: asyncio.Transport) -> None:
        """Let it be the visitor's."""
        secure.set_protocol(self.visitor)
        self.visitor.connection_made(secure)
        if self._held:
            self.visitor.data_received(self._held)
        if self._has_ended:
            self.visitor.eof_received()


def _why(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    reason = error.reason or "unknown"
    return _WHY.get(reason, reason.replace("_", " ").lower())
