"""What is told of clients that misbehave: all of it in the metrics, a line a minute in the log.

The log is the operator's. Whoever can reach a port must not be able to fill it, nor choose what is
in it: lines have numbers and addresses, never what was sent.
"""

import time
from collections.abc import Callable

from opsvisor.api.crowd import Cut, Watcher
from opsvisor.api.tls import TlsWatcher
from opsvisor.config.certificates import Certificate, day
from opsvisor.config.settings import LogLevel
from opsvisor.telemetry.listeners import ListenerCounts

_A_LINE_EVERY = 60.0  # seconds, of each kind and listener

_Log = Callable[[LogLevel, str], None]

_CUTS = {
    Cut.MADE_ROOM: "closed an idle connection to make room for another",
    Cut.SLOW_HANDSHAKE: "closed a connection that did not come to speak TLS",
    Cut.SLOW_REQUEST: "closed a connection whose request did not come",
    Cut.UNREAD_ANSWER: "closed a connection whose answer was not read",
}


class Door(Watcher, TlsWatcher):
    """Watches the clients of one listener, and tells of them."""

    def __init__(
        self,
        listener: str,
        counts: ListenerCounts,
        log: _Log,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._listener = listener
        self._counts = counts
        self._log = log
        self._now = now
        self._told_at: dict[str, float] = {}
        self._untold: dict[str, int] = {}

    def may_have(self, connections: int) -> None:
        """It holds at most so many connections."""
        self._counts.may_have(connections)

    def opened(self) -> None:
        """A client was let in."""
        self._counts.opened()

    def closed(self) -> None:
        """A connection is over."""
        self._counts.closed()

    def refused(self) -> None:
        """There was no room for a client."""
        self._counts.refused()
        self._tell(LogLevel.WARN, "refused a client: all connections are in use (503)")

    def cut(self, why: Cut) -> None:
        """A connection was ended."""
        self._counts.cut(why.value)
        self._tell(LogLevel.INFO, _CUTS[why])

    def handshake_failed(self, source: str, why: str) -> None:
        """Somebody from there and we found no way to speak TLS."""
        self._counts.handshake_failed()
        text = f"could not agree on TLS with {source or 'somebody'}: {why}"
        self._tell(LogLevel.INFO, text, kind="handshake")

    def renewed(self, certificate: Certificate) -> None:
        """Another certificate is shown from now on."""
        self._counts.certificate_renewed(ok=True)
        until = day(certificate.not_after)
        self._log(
            LogLevel.INFO,
            f"listener '{self._listener}' has another certificate, which is valid until {until}",
        )

    def not_renewed(self, why: str) -> None:
        """What is in the files now can't be used."""
        self._counts.certificate_renewed(ok=False)
        self._log(
            LogLevel.ERROR,
            f"listener '{self._listener}' keeps its certificate, the new one can't be used: {why}",
        )

    def login_failed(self, source: str, unread: bool) -> None:  # noqa: FBT001 - as it is called
        """Somebody from there has shown what is wrong, or was not looked at."""
        self._counts.login_failed(unread=unread)
        if unread:
            text = f"does not look at what {source or 'somebody'} logs in with for a while (429)"
        else:
            text = f"refused a wrong password or token from {source or 'somebody'}"
        self._tell(LogLevel.WARN, text, kind=text.split()[0])

    def _tell(self, level: LogLevel, text: str, *, kind: str = "") -> None:
        kind = kind or text
        now = self._now()
        if now - self._told_at.get(kind, -_A_LINE_EVERY) < _A_LINE_EVERY:
            self._untold[kind] = self._untold.get(kind, 0) + 1
            return
        self._told_at[kind] = now
        before = self._untold.pop(kind, 0)
        more = f", and {before} times more before" if before else ""
        self._log(level, f"listener '{self._listener}' {text}{more}")
