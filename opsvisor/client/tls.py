"""TLS for a client: what its files come to, and what is wrong where it fails.

A module of its own, imported for https alone: ssl costs 4 ms of each start.
"""

import socket
import ssl

from opsvisor.client.errors import BadTls, Unreached

_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})


class Tls:
    """The daemons that are trusted, and what they are shown. Raises BadTls for unusable files."""

    def __init__(self, ca_file: str | None, cert: str | None, key: str | None) -> None:
        self._context = _context(ca_file, cert, key)

    def secure(self, sock: socket.socket, host: str) -> socket.socket:
        """The socket of a connection to that host, from now on with TLS."""
        return self._context.wrap_socket(sock, server_hostname=host)

    @staticmethod
    def failure(error: Exception) -> tuple[Unreached, str] | None:
        """How it failed, if it was TLS that did."""
        return (_reason(error), _detail(error)) if isinstance(error, ssl.SSLError) else None


def _context(ca_file: str | None, cert: str | None, key: str | None) -> ssl.SSLContext:
    named = {"certificates of": ca_file, "certificate": cert, "key": key}
    for what, path in named.items():
        try:
            if path is not None:
                with open(path, "rb"):  # noqa: PTH123 - pathlib costs milliseconds
                    pass
        except OSError as error:
            raise BadTls(f"can't read the {what} '{path}': {error.strerror}") from error
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError as error:
        raise BadTls(f"there is no certificate (PEM) in '{ca_file}'") from error
    if cert is not None:
        try:
            context.load_cert_chain(cert, key)
        except ssl.SSLError as error:
            why = f"certificate and key of '{cert}' can't be used: {_detail(error)}"
            raise BadTls(f"{why} (the key may be in a file of its own)") from error
    return context


def _detail(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if error.reason:
        return error.reason.replace("_", " ").lower()
    return error.strerror or str(error)


def _reason(error: ssl.SSLError) -> Unreached:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Unreached.UNTRUSTED
    if error.reason in _NO_TLS:
        return Unreached.NO_TLS
    # All that a server says of what it found wrong is an alert (RFC 8446, 6.2).
    return Unreached.REFUSES_US if "ALERT" in (error.reason or "") else Unreached.LOST
