"""Every option of [metrics] and [identity.X]: what is told to whom."""

from typing import Annotated

from opsvisor.config import kinds, network_kinds
from opsvisor.config.network_kinds import Address
from opsvisor.config.option import Doc, Required, Section
from opsvisor.config.schema_tls import ClientCa, ClientCert, TlsCert, TlsKey
from opsvisor.config.settings import (
    USUAL_COLLECTORS,
    Access,
    ClientCertificates,
    Collector,
    MetricsCompat,
)
from opsvisor.core.struct import Struct

COLLECTORS = kinds.set_of(Collector, shorthand="usual", stands_for=USUAL_COLLECTORS)


class MetricsOptions(Struct, frozen=True, kw_only=True):
    """[metrics]: what /metrics tells, and a listener of its own for it."""

    listen: Annotated[
        Address | None,
        network_kinds.ADDRESS,
        Doc(
            text="A second listener, for `/metrics`, `/healthz` and `/readyz` and nothing else, "
            'such as `"127.0.0.1:9002"`. Where there are identities, it asks for one.',
            source="Prometheus",
        ),
    ] = None
    allow_anonymous: Annotated[
        bool,
        kinds.BOOLEAN,
        Doc(
            text="Let anybody read the metrics there, beyond this machine and despite identities."
        ),
    ] = False
    tls_cert: TlsCert = None
    tls_key: TlsKey = None
    client_ca: ClientCa = None
    client_cert: ClientCert = ClientCertificates.REQUIRED
    collectors: Annotated[
        frozenset[Collector],
        COLLECTORS,
        Doc(
            text="Blocks of metrics that are told; `usual` stands for all but the last two, which "
            "cost too much to be had without asking.",
            source="node_exporter",
        ),
    ] = USUAL_COLLECTORS
    process_labels: Annotated[
        tuple[str, ...],
        kinds.LABEL_NAMES,
        Doc(
            text="Labels of programs that `opsvisor_process_labels` shows, as `label_NAME`.",
            source="kube-state-metrics",
        ),
    ] = ()
    compat: Annotated[
        frozenset[MetricsCompat],
        kinds.set_of(MetricsCompat),
        Doc(text="Tell the names of others too, for dashboards and alerts that exist."),
    ] = frozenset()
    proportional_memory_interval: Annotated[
        float,
        kinds.duration_from(1.0),
        Doc(text="Time between two readings of proportional memory, which costs 5 ms per GB."),
    ] = 300.0


class LocalOptions(Struct, frozen=True, kw_only=True):
    """[identity.X.local]: a user of this machine; where both are given, both have to hold."""

    user: Annotated[str, kinds.USER, Doc(text="Name or number of the user.", source="pebble")] = ""
    group: Annotated[
        str,
        kinds.USER,
        Doc(text="Name or number of a group that the user is of, as `id` has it."),
    ] = ""


class CertificateOptions(Struct, frozen=True, kw_only=True):
    """[identity.X.certificate]: what a client's certificate must say; all that is given holds."""

    common_name: Annotated[
        str, kinds.WORD, Doc(text="The one common name (CN) of its subject.", source="Envoy")
    ] = ""
    dns_name: Annotated[
        str,
        kinds.WORD,
        Doc(text="A DNS name among its alternative names, as it is written there."),
    ] = ""
    uri: Annotated[
        str,
        kinds.WORD,
        Doc(text="A URI among its alternative names, such as `spiffe://example.org/prometheus`."),
    ] = ""
    fingerprint: Annotated[
        str,
        kinds.WORD,
        Doc(
            text="SHA-256 of the certificate in hex: this one and no other. `openssl x509 -noout "
            "-fingerprint -sha256` writes it."
        ),
    ] = ""


class IdentityOptions(Struct, frozen=True, kw_only=True):
    """[identity.X]: somebody who may come in, how far, to what, and by which proof."""

    access: Annotated[
        Access,
        kinds.one_of(Access),
        Doc(
            text="How far: `metrics` may scrape, `read` see everything, `operate` start, stop and "
            "signal programs, `admin` change the configuration and end the daemon too.",
            source="pebble",
        ),
        Required('access = "metrics"'),
    ] = Access.METRICS
    groups: Annotated[
        tuple[str, ...],
        kinds.GROUP_NAMES,
        Doc(
            text="Only for the processes of these groups; others are not there for it, and what "
            "is about the whole daemon is refused. A program without a group is a group of its "
            "own name. Without this, for all."
        ),
    ] = ()
    password: Annotated[
        str,
        kinds.SECRET,
        Doc(
            text="Log in with the identity's name and this (basic auth), plain or `{SHA}` and the "
            "SHA-1 in hex."
        ),
    ] = ""
    token: Annotated[
        str, kinds.SECRET, Doc(text="Log in with `Authorization: Bearer` and this.")
    ] = ""
    token_file: Annotated[
        str,
        kinds.PATH,
        Doc(
            text="File that holds such a token. It is read again when it changes.",
            source="Prometheus",
        ),
    ] = ""
    token_hash: Annotated[
        str,
        kinds.SECRET,
        Doc(
            text="`sha256:` and the SHA-256 of such a token in hex, as `opsvisorctl hash-token` "
            "writes it: who reads this file can't come in by it."
        ),
    ] = ""
    local: Annotated[
        LocalOptions | None,
        Section(options=LocalOptions, shorthand="user"),
        Doc(
            text="Come in at the unix socket by being this user, which is then asked of all who "
            "connect there but root and the daemon's own user. A plain string is the user. The "
            "first identity that fits counts."
        ),
    ] = None
    certificate: Annotated[
        CertificateOptions | None,
        Section(options=CertificateOptions, shorthand="common_name"),
        Doc(
            text="Come in by a certificate of `client_ca` that says this. A plain string is the "
            "common name. The first identity that fits counts."
        ),
    ] = None
