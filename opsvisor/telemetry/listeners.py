"""What each listener counts of its clients."""

from collections.abc import Callable, Iterable

from opsvisor.telemetry.instruments import Instruments


class ListenerCounts:
    """The series of one listener, which are there with 0 from the beginning."""

    def __init__(self, instruments: Instruments, name: str, cuts: Iterable[str]) -> None:
        self._open = instruments.connections.labels(name)
        self._max = instruments.connections_max.labels(name)
        self._refused = instruments.connections_refused.labels(name)
        self._cut = {why: instruments.connections_cut.labels(name, why) for why in cuts}
        self._failed = instruments.auth_failures.labels(name)
        self._limited = instruments.auth_limited.labels(name)
        self._instruments = instruments
        self._name = name

    def speaks_tls(self, not_after: Callable[[], float]) -> None:
        """The listener has a certificate; `not_after` tells until when, as Unix time."""
        self._instruments.certificate_not_after.labels(self._name).set_function(not_after)
        self._instruments.handshake_failures.labels(self._name)
        self.certificate_renewed(ok=True)

    def certificate_renewed(self, *, ok: bool) -> None:
        """The files of the certificate were read anew."""
        self._instruments.certificate_reload_successful.labels(self._name).set(int(ok))

    def handshake_failed(self) -> None:
        """A client and we found no way to speak TLS."""
        self._instruments.handshake_failures.labels(self._name).inc()

    def opened(self) -> None:
        """A client was let in."""
        self._open.inc()

    def closed(self) -> None:
        """A connection of a client that was let in is over."""
        self._open.dec()

    def may_have(self, connections: int) -> None:
        """The listener holds at most so many."""
        self._max.set(connections)

    def refused(self) -> None:
        """There was no room for a client."""
        self._refused.inc()

    def cut(self, why: str) -> None:
        """A connection was ended for this reason."""
        self._cut[why].inc()

    def login_failed(self, *, unread: bool) -> None:
        """A password or a token was wrong, or was not looked at after too many wrong ones."""
        self._failed.inc()
        if unread:
            self._limited.inc()
