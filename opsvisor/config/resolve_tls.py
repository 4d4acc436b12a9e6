"""Certificates of servers: what their options come to, in whatever format they are written.

An objection is the path to an option within its table, and why it can't be so.
"""

import time
from collections.abc import Iterator
from typing import Protocol

from opsvisor.config import certificates
from opsvisor.config.certificates import BadTlsFile
from opsvisor.config.document import KeyPath
from opsvisor.config.settings import ClientCertificates, TlsSpec
from opsvisor.config.units import Refused

Objection = tuple[KeyPath, Refused]


class TlsOptions(Protocol):
    """A table with the options of schema_tls, all paths being whole by now."""

    @property
    def tls_cert(self) -> str | None:
        """The server's certificate."""
        ...

    @property
    def tls_key(self) -> str | None:
        """Its key."""
        ...

    @property
    def client_ca(self) -> str | None:
        """Who vouches for clients."""
        ...

    @property
    def client_cert(self) -> ClientCertificates:
        """Whether these must show a certificate."""
        ...


def tls_spec(options: TlsOptions) -> TlsSpec | None:
    """What the options ask for; None is plain HTTP."""
    if options.tls_cert is None:
        return None
    return TlsSpec(
        cert=options.tls_cert,
        key=options.tls_key,
        client_ca=options.client_ca,
        client_cert=options.client_cert,
    )


def asks_everybody(options: TlsOptions) -> bool:
    """Whether nobody is spoken with who shows no certificate."""
    is_asked = options.tls_cert is not None and options.client_ca is not None
    return is_asked and options.client_cert is ClientCertificates.REQUIRED


def object_to_tls(options: TlsOptions) -> Iterator[Objection]:
    """What can't be so about them, that of the files included."""
    spec = tls_spec(options)
    if spec is None:
        for name in ("tls_key", "client_ca"):
            if getattr(options, name) is not None:
                yield (name,), Refused("is set without tls_cert", "set that as well")
        return
    try:
        certificates.load(spec)
    except BadTlsFile as bad:
        # What is in the file of another option is that one's fault.
        option = bad.option if getattr(options, bad.option) is not None else "tls_cert"
        says = bad.why.says if option == bad.option else f"is all there is, and {bad.why.says}"
        yield (option,), Refused(says, bad.why.hint)


def doubt_tls(options: TlsOptions, *, is_anybody_asked: bool) -> Iterator[Objection]:
    """What is odd about them, and can be so."""
    spec = tls_spec(options)
    is_default = options.client_cert is ClientCertificates.REQUIRED
    if options.client_ca is None and not is_default:
        yield ("client_cert",), Refused("has no effect without client_ca")
    if spec is None:
        return
    if spec.client_ca is not None and not is_default and not is_anybody_asked:
        yield ("client_ca",), Refused("has no effect: anybody is let in without a certificate too")
    try:
        odd = certificates.doubts(certificates.load(spec), time.time())
    except BadTlsFile:  # told by now
        return
    if odd:
        yield ("tls_cert",), Refused(odd, "clients will refuse it; it is read again when renewed")
