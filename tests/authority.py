"""Certificates for tests: an authority of one's own, and what it vouches for."""

from datetime import UTC, datetime
from pathlib import Path

import trustme

from opsvisor.config.settings import ClientCertificates, TlsSpec

_BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)


class Authority:
    """Issues certificates into a folder; `file` is what trusts all of them."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder = folder
        self._ca = trustme.CA()
        self.file = folder / f"{name}.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def issue(
        self,
        name: str,
        *hosts: str,
        common_name: str | None = None,
        not_after: datetime | None = None,
    ) -> Path:
        """A file of this name with key, certificate and chain, written in one go."""
        issued = self._ca.issue_cert(
            *(hosts or ("127.0.0.1", "localhost")),
            common_name=common_name,
            not_before=_BEGINNING,
            not_after=not_after,
        )
        path = self.folder / name
        new = path.with_suffix(".new")
        new.write_bytes(issued.private_key_and_cert_chain_pem.bytes())
        return new.rename(path)

    def spec(
        self,
        cert: Path,
        *,
        asks: "Authority | None" = None,
        client_cert: ClientCertificates = ClientCertificates.REQUIRED,
    ) -> TlsSpec:
        """What a server is told that shows this file, and asks for certificates of that one."""
        return TlsSpec(
            cert=str(cert),
            client_ca=None if asks is None else str(asks.file),
            client_cert=client_cert,
        )


def parts_of(file: Path) -> tuple[bytes, bytes]:
    """The private key in it, and the certificates."""
    key, mark, rest = file.read_bytes().partition(b"-----BEGIN CERTIFICATE-----")
    return key, mark + rest
