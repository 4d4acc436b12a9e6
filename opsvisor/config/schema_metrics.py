"""Every option of [metrics] and [identity.X]: what is told to whom."""

from dataclasses import dataclass
from typing import Annotated

from opsvisor.config import kinds, network_kinds
from opsvisor.config.network_kinds import Address
from opsvisor.config.option import Doc, Required
from opsvisor.config.settings import USUAL_COLLECTORS, Access, Collector, MetricsCompat

COLLECTORS = kinds.set_of(Collector, shorthand="usual", stands_for=USUAL_COLLECTORS)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsOptions:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityOptions:
    """[identity.X]: somebody who may come in at the servers on TCP, and prove it in one way."""

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
