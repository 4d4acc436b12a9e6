"""Certificates of servers as a configuration names them, and what is wrong with their files."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from authority import Authority, parts_of
from config_files import Complaints, Load
from hypothesis import given
from hypothesis import strategies as st

from opsvisor.config.certificates import BadTlsFile, load, validity
from opsvisor.config.settings import (
    ClientCertificate,
    ClientCertificates,
    Identity,
    Loaded,
    TcpServer,
    TlsSpec,
)

HTTP = '[server.http]\nlisten = ":9001"\nusername = "me"\npassword = "x"\n'


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Whose files are where the configuration is."""
    one = Authority(tmp_path)
    key, chain = parts_of(one.issue("both.pem"))
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "cert.pem").write_bytes(chain)
    return one


@pytest.mark.usefixtures("authority")
def test_everything_that_can_be_said(load: Load, tmp_path: Path) -> None:
    """Of both servers on TCP; paths begin where the file is."""
    options = 'tls_cert = "cert.pem"\ntls_key = "key.pem"\nclient_ca = "ca.pem"\n'
    settings = load(
        f'{HTTP}{options}client_cert = "optional"\n[metrics]\nlisten = ":9002"\n{options}'
    ).settings
    (http,) = settings.servers
    assert isinstance(http, TcpServer)
    wanted = TlsSpec(
        cert=f"{tmp_path}/cert.pem",
        key=f"{tmp_path}/key.pem",
        client_ca=f"{tmp_path}/ca.pem",
        client_cert=ClientCertificates.OPTIONAL,
    )
    assert http.tls == wanted
    # Nobody is spoken with without a certificate, so it is no listener for just anybody.
    assert settings.metrics.server is not None
    assert settings.metrics.server.tls is not None
    assert settings.metrics.server.tls.client_cert is ClientCertificates.REQUIRED


@pytest.mark.usefixtures("authority")
def test_a_certificate_keeps_nobody_out_by_itself(complaints: Complaints) -> None:
    """Beyond this machine somebody still has to prove who they are."""
    open_to_all = '[metrics]\nlisten = ":9002"\ntls_cert = "both.pem"\n'
    assert "would let anybody on the network" in complaints(open_to_all)
    optional = f'{open_to_all}client_ca = "ca.pem"\nclient_cert = "optional"\n'
    assert "would let anybody on the network" in complaints(optional)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (
            'tls_cert = "none.pem"',
            (
                "tls_cert can't be read: 'none.pem': no such file or directory\n"
                "    hint: the daemon's user must be able to read it"
            ),
        ),
        (
            'tls_cert = "key.pem"',
            (
                "tls_cert holds no certificate: 'key.pem'\n"
                "    hint: it has to be PEM, with lines of -----BEGIN CERTIFICATE-----"
            ),
        ),
        (
            'tls_cert = "cert.pem"',
            (
                "tls_cert is all there is, and holds no private key: 'cert.pem'\n"
                "    hint: set tls_key, or have it in that file: it has a line -----BEGIN PRIVATE "
                "KEY-----"
            ),
        ),
        (
            'tls_cert = "cert.pem"\ntls_key = "other.pem"',
            (
                "tls_key doesn't belong to the certificate: 'other.pem'\n"
                "    hint: 'cert.pem' must begin with the server's own certificate, not an "
                "authority's"
            ),
        ),
        (
            'tls_cert = "cert.pem"\ntls_key = "locked.pem"',
            (
                "tls_key is encrypted: 'locked.pem'\n"
                "    hint: nobody is there to ask for its password: openssl pkey -in FILE "
                "-out OTHER"
            ),
        ),
        (
            'tls_cert = "both.pem"\nclient_ca = "key.pem"',
            (
                "client_ca holds no certificate: 'key.pem'\n"
                "    hint: it has to be PEM, with lines of -----BEGIN CERTIFICATE-----"
            ),
        ),
        ('tls_cert = "."', "tls_cert is no regular file: 'HERE'"),
        (
            'tls_cert = "broken.pem"\ntls_key = "key.pem"',
            (
                "tls_cert holds what is no certificate: 'broken.pem'\n"
                "    hint: it has to be PEM, with lines of -----BEGIN CERTIFICATE-----"
            ),
        ),
        ('tls_cert = "large.pem"', "tls_cert is larger than 1 MiB: 'large.pem'"),
        ('tls_key = "key.pem"', "tls_key is set without tls_cert\n    hint: set that as well"),
        ('client_ca = "ca.pem"', "client_ca is set without tls_cert\n    hint: set that as well"),
    ],
)
def test_files_that_cannot_be_used(
    options: str, complaint: str, authority: Authority, complaints: Complaints, tmp_path: Path
) -> None:
    """Which option it is, which file, why, and what to do: found when the file is checked."""
    authority.issue("other.pem")
    subprocess.run(
        [
            "openssl",
            "pkey",
            "-in",
            "key.pem",
            "-out",
            "locked.pem",
            "-aes256",
            "-passout",
            "pass:x",
        ],
        cwd=tmp_path,
        check=True,
        timeout=20,
    )
    (tmp_path / "broken.pem").write_text(
        "-----BEGIN CERTIFICATE-----\nMAAwADAA\n-----END CERTIFICATE-----\n"
    )
    (tmp_path / "large.pem").write_bytes(b"#" * (1024 * 1024 + 1))
    told = complaints(HTTP + options).replace(str(tmp_path), "HERE")
    line = 5 if "\n" not in options or "tls_cert" in complaint.split(maxsplit=1)[0] else 6
    assert told == f"opsvisor.toml:{line}: server: http.{complaint}"


def test_what_is_odd_is_said(authority: Authority, load: Load) -> None:
    """It can be used all the same: a daemon must not be kept from beginning by a date."""
    authority.issue("old.pem", not_after=datetime(2021, 2, 3, 4, 5, 6, tzinfo=UTC))
    (warning,) = load(f'{HTTP}tls_cert = "old.pem"').warnings
    assert "tls_cert has expired: it was valid until 2021-02-03 04:05:06 UTC" in str(warning)
    (warning,) = load(f'{HTTP}tls_cert = "both.pem"\nclient_cert = "optional"').warnings
    assert "client_cert has no effect without client_ca" in str(warning)
    both = 'tls_cert = "both.pem"\nclient_ca = "ca.pem"\nclient_cert = "optional"\n'
    (warning,) = load(f"{HTTP}{both}allow_anonymous = true").warnings
    assert "client_ca has no effect: anybody is let in" in str(warning)


@pytest.mark.usefixtures("authority")
def test_a_key_that_cannot_be_read(tmp_path: Path) -> None:
    """Permissions keep root from nothing; a link to itself keeps everybody."""
    (tmp_path / "loop.pem").symlink_to("loop.pem")
    with pytest.raises(BadTlsFile, match=r"tls_key can't be read: .*: too many levels"):
        load(TlsSpec(cert=str(tmp_path / "cert.pem"), key=str(tmp_path / "loop.pem")))


@pytest.mark.parametrize("days", [1, 400, 20_000])  # the last one is beyond 2050
def test_until_when_a_certificate_is_valid(days: int, authority: Authority) -> None:
    """To the second, in both forms that a date may have."""
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
    one = load(authority.spec(authority.issue("x.pem", not_after=until)))
    assert one.not_after == until.timestamp()
    assert one.not_before == datetime(2020, 1, 1, tzinfo=UTC).timestamp()


@given(st.binary(max_size=60))
def test_what_is_no_certificate_is_refused(der: bytes) -> None:
    """Whatever it is: a file that somebody else writes is read again and again."""
    with pytest.raises(ValueError):  # noqa: PT011 - any will do
        validity(der)


CERTIFIED = '[identity.prometheus]\naccess = "metrics"\n'


@pytest.mark.usefixtures("authority")
def test_an_identity_by_certificate(load: Load) -> None:
    """All that is said of it has to hold; a plain string is the common name."""
    tls = '[metrics]\nlisten = ":9002"\ntls_cert = "both.pem"\nclient_ca = "ca.pem"\n'
    hexadecimal = ":".join(["AB"] * 32)
    uri = 'uri = "spiffe://a/b"'
    more = f'certificate = {{ dns_name = "a.b", {uri}, fingerprint = "{hexadecimal}" }}'
    (one,) = _identities(load(f"{tls}{CERTIFIED}{more}"))
    assert one.certificate == ClientCertificate(
        fingerprint=b"\xab" * 32, dns_name="a.b", uri="spiffe://a/b"
    )
    (one,) = _identities(load(f'{tls}{CERTIFIED}certificate = "prom"\ntoken = "x"'))
    assert one.certificate == ClientCertificate(common_name="prom")
    assert one.token == "x"


def _identities(loaded: Loaded) -> tuple[Identity, ...]:
    assert loaded.warnings == ()
    assert loaded.settings.metrics.server is not None
    return loaded.settings.metrics.server.identities


@pytest.mark.parametrize(
    ("certificate", "complaint"),
    [
        ("{}", "certificate fits everybody's"),
        ('{ common_name = "" }', "certificate.common_name = '' is empty"),
        ('{ fingerprint = "ab:cd" }', "certificate.fingerprint is not the SHA-256"),
        (f'{{ fingerprint = "sha256:{"a" * 65}" }}', "certificate.fingerprint is not the SHA-256"),
    ],
)
def test_certificates_that_would_fit_anybody_or_nobody(
    certificate: str, complaint: str, complaints: Complaints
) -> None:
    """What is a mistake must not open a door."""
    assert complaint in complaints(f"{CERTIFIED}certificate = {certificate}")


@pytest.mark.usefixtures("authority")
def test_a_certificate_that_nobody_asks_for(load: Load) -> None:
    """The identity can never come in by it."""
    tls = '[metrics]\nlisten = ":9002"\ntls_cert = "both.pem"\n'
    (warning,) = load(f'{tls}{CERTIFIED}certificate = "prom"').warnings
    assert "certificate has no effect: no server asks for one" in str(warning)
