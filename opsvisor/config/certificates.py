"""Certificates and keys of servers: read, judged, and made into what speaks TLS.

The same is done when a configuration is checked, when a server begins and when files have changed:
what one of them takes, the others take.
"""

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from opsvisor.config.problems import system_says
from opsvisor.config.settings import ClientCertificates, TlsSpec
from opsvisor.config.units import Refused
from opsvisor.core.struct import Struct

if TYPE_CHECKING:  # 10 ms that a client of a unix socket doesn't need
    import ssl

TlsOption = Literal["tls_cert", "tls_key", "client_ca"]

_LARGEST = 1024 * 1024  # bytes of a file; all authorities of a web browser are 200 KiB
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_KEY = re.compile(rb"-----BEGIN ((?:[A-Z]+ )*)PRIVATE KEY-----")
_FINGERPRINT = re.compile(r"(?:sha256[:=])?((?:[0-9a-f]{2}:?)+)", re.IGNORECASE)
_SHA256_DIGITS = 64
_READABLE = "the daemon's user must be able to read it"
_PEM = "it has to be PEM, with lines of -----BEGIN CERTIFICATE-----"


class BadTlsFile(Exception):  # noqa: N818 - the name says what happened
    """A file can't be used: which option names it, and why."""

    def __init__(self, option: TlsOption, why: Refused) -> None:
        self.option: TlsOption = option
        self.why = why
        super().__init__(f"{option} {why.says}")


class Certificate(Struct, frozen=True, kw_only=True):
    """What a server shows, ready to be used. Times are Unix seconds.

    `vouchers` are those who vouch for clients, as the file has them.
    """

    context: "ssl.SSLContext"
    not_before: float
    not_after: float
    vouchers: bytes = b""


def files_of(spec: TlsSpec) -> tuple[str, ...]:
    """All files that take part."""
    return tuple(path for path in (spec.cert, spec.key, spec.client_ca) if path is not None)


def load(spec: TlsSpec) -> Certificate:
    """The files as they are now. Raises BadTlsFile."""
    import ssl  # noqa: PLC0415 - see above

    chain = _read("tls_cert", spec.cert)
    first = _CERTIFICATE.search(chain)
    if first is None:
        raise BadTlsFile("tls_cert", Refused(f"holds no certificate: '{spec.cert}'", _PEM))
    _check_key(spec, chain if spec.key is None else _read("tls_key", spec.key))
    vouchers = b"" if spec.client_ca is None else _read("client_ca", spec.client_ca)
    if spec.client_ca is not None and not _CERTIFICATE.search(vouchers):
        raise BadTlsFile("client_ca", Refused(f"holds no certificate: '{spec.client_ca}'", _PEM))
    try:
        before, after = validity(ssl.PEM_cert_to_DER_cert(first[0].decode("ascii")))
    except ValueError as error:
        raise BadTlsFile(
            "tls_cert", Refused(f"holds what is no certificate: '{spec.cert}'", _PEM)
        ) from error
    context = _context(spec)
    return Certificate(context=context, not_before=before, not_after=after, vouchers=vouchers)


def doubts(certificate: Certificate, now: float) -> str:
    """What is odd about a certificate that can be used all the same; "" if nothing."""
    if certificate.not_after <= now:
        return f"has expired: it was valid until {day(certificate.not_after)}"
    if certificate.not_before > now:
        return f"is not valid before {day(certificate.not_before)}"
    return ""


def day(at: float) -> str:
    """A moment as people read it, in UTC."""
    from datetime import UTC, datetime  # noqa: PLC0415 - few need it

    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def parse_fingerprint(text: str) -> bytes:
    """The SHA-256 that is written so, with colons or without. Raises Refused."""
    found = _FINGERPRINT.fullmatch(text)
    digits = found[1].replace(":", "") if found else ""
    if len(digits) != _SHA256_DIGITS:
        hint = "openssl x509 -in FILE -noout -fingerprint -sha256"
        raise Refused("is not the SHA-256 of a certificate in hex", hint)
    return bytes.fromhex(digits)


def validity(der: bytes) -> tuple[float, float]:
    """From when to when a certificate is valid (RFC 5280, 4.1). ValueError for what is none.

    The ssl module tells that only of the certificates of others.
    """
    certificate, _ = _element(der, 0x30)
    signed, _ = _element(certificate, 0x30)
    rest = signed
    if rest[:1] == b"\xa0":  # the version, which the first ones don't have
        _, rest = _element(rest, 0xA0)
    for tag in (0x02, 0x30, 0x30):  # serial number, algorithm, issuer
        _, rest = _element(rest, tag)
    period, _ = _element(rest, 0x30)
    before, period = _time(period)
    after, _ = _time(period)
    return before, after


def _element(der: bytes, tag: int) -> tuple[bytes, bytes]:
    """The content of the first element, which must be of this kind, and what follows it."""
    if len(der) < 2 or der[0] != tag:  # noqa: PLR2004 - tag and length
        raise ValueError("not what stands there in a certificate")
    length, at = der[1], 2
    if length & 0x80:
        size = length & 0x7F
        length, at = int.from_bytes(der[at : at + size], "big"), at + size
    if not 0 <= length <= len(der) - at:
        raise ValueError("it is cut off")
    return der[at : at + length], der[at + length :]


def _time(der: bytes) -> tuple[float, bytes]:
    from datetime import UTC, datetime  # noqa: PLC0415 - few need it

    is_long = der[:1] == b"\x18"  # GeneralizedTime, from the year 2050 on
    text, rest = _element(der, 0x18 if is_long else 0x17)
    digits = text.decode("ascii")
    if not is_long:  # RFC 5280, 4.1.2.5.1
        digits = ("19" if digits[:2] >= "50" else "20") + digits
    return datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp(), rest


def _read(option: TlsOption, path: str) -> bytes:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - a pipe would never end
            raise BadTlsFile(option, Refused(f"is no regular file: '{path}'"))
        with Path(path).open("rb") as file:
            text = file.read(_LARGEST + 1)
    except OSError as error:
        says = f"can't be read: '{path}': {system_says(error)}"
        raise BadTlsFile(option, Refused(says, _READABLE)) from error
    if len(text) > _LARGEST:
        raise BadTlsFile(option, Refused(f"is larger than 1 MiB: '{path}'"))
    return text


def _check_key(spec: TlsSpec, text: bytes) -> None:
    where = f"'{spec.key or spec.cert}'"
    found = _KEY.search(text)
    if found is None:
        hint = "it has a line -----BEGIN PRIVATE KEY-----"
        if spec.key is None:
            hint = f"set tls_key, or have it in that file: {hint}"
        raise BadTlsFile("tls_key", Refused(f"holds no private key: {where}", hint))
    if b"ENCRYPTED" in found[1] or b"Proc-Type: 4,ENCRYPTED" in text:
        hint = "nobody is there to ask for its password: openssl pkey -in FILE -out OTHER"
        raise BadTlsFile("tls_key", Refused(f"is encrypted: {where}", hint))


def _context(spec: TlsSpec) -> "ssl.SSLContext":
    import ssl  # noqa: PLC0415 - see above

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    # With a ticket a client comes back for hours without its certificate being looked at again.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    try:
        context.load_cert_chain(spec.cert, spec.key, password="")
    except ssl.SSLError as error:
        raise _refused(spec, error) from error
    if spec.client_ca is not None:
        try:
            context.load_verify_locations(spec.client_ca)
        except ssl.SSLError as error:
            says = f"can't be used: '{spec.client_ca}': {_why(error)}"
            raise BadTlsFile("client_ca", Refused(says, _PEM)) from error
        # Those in the file are trusted, whoever has signed them.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        is_required = spec.client_cert is ClientCertificates.REQUIRED
        context.verify_mode = ssl.CERT_REQUIRED if is_required else ssl.CERT_OPTIONAL
    return context


def _refused(spec: TlsSpec, error: "ssl.SSLError") -> BadTlsFile:
    if error.reason == "KEY_VALUES_MISMATCH":
        says = f"doesn't belong to the certificate: '{spec.key or spec.cert}'"
        hint = f"'{spec.cert}' must begin with the server's own certificate, not an authority's"
        return BadTlsFile("tls_key", Refused(says, hint))
    return BadTlsFile("tls_cert", Refused(f"can't be used: '{spec.cert}': {_why(error)}", _PEM))


def _why(error: "ssl.SSLError") -> str:
    return (error.reason or str(error)).replace("_", " ").lower()
