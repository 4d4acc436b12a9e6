"""Options of whatever listens on TCP: its certificate, and whose certificates it asks for."""

from typing import Annotated

from opsvisor.config import kinds
from opsvisor.config.option import Doc
from opsvisor.config.settings import ClientCertificates

TlsCert = Annotated[
    str | None,
    kinds.PATH,
    Doc(
        text="Certificate of the server, PEM with the chain after it: clients then have to come "
        "by `https`. It is read again when it changes."
    ),
]
TlsKey = Annotated[
    str | None,
    kinds.PATH,
    Doc(text="Its private key, PEM and not encrypted; by default in the file of `tls_cert`."),
]
ClientCa = Annotated[
    str | None,
    kinds.PATH,
    Doc(text="Certificates of those who vouch for clients, PEM: clients may show one of theirs."),
]
ClientCert = Annotated[
    ClientCertificates,
    kinds.one_of(ClientCertificates),
    Doc(
        text="Whether a client must show a certificate of `client_ca` to be spoken with at all, "
        "or may come in some other way too."
    ),
]
