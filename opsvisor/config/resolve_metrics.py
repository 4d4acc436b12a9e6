"""Who may come in, and where the metrics are: rules that hold in whatever format they are written.

An objection is the path to an option within its table, and why it can't be so.
"""

from collections.abc import Collection, Iterator, Sequence

from opsvisor.config.document import KeyPath
from opsvisor.config.listening import is_loopback
from opsvisor.config.schema_metrics import IdentityOptions, MetricsOptions
from opsvisor.config.settings import Collector, Identity, MetricsSettings, Offer, TcpServer
from opsvisor.config.tokens import check_token, read_token
from opsvisor.config.units import Refused, did_you_mean

Objection = tuple[KeyPath, Refused]

_PROOFS = ("password", "token", "token_file")


def metrics_settings(
    options: MetricsOptions, identities: Sequence[Identity], *, name: str = "metrics"
) -> MetricsSettings:
    """What the options of [metrics] come to. The listener is called `name`."""
    server = None
    if options.listen is not None:
        server = TcpServer(
            name=name,
            host=options.listen.host,
            port=options.listen.port,
            # Whoever says "anybody" means it, whoever else could prove to be somebody.
            identities=() if options.allow_anonymous else tuple(identities),
            allow_anonymous=options.allow_anonymous,
            offers=Offer.METRICS,
        )
    return MetricsSettings(
        server=server,
        collectors=options.collectors,
        process_labels=options.process_labels,
        compat=options.compat,
        proportional_memory_interval=options.proportional_memory_interval,
    )


def object_to_metrics(
    options: MetricsOptions, identities: Sequence[Identity]
) -> Iterator[Objection]:
    """What can't be so about [metrics] where there are these identities."""
    listen = options.listen
    if listen and not (is_loopback(listen.host) or identities or options.allow_anonymous):
        yield (
            ("listen",),
            Refused(
                "would let anybody on the network read the metrics",
                'add an [identity.prometheus] with access = "metrics" and a token_file, listen on'
                " 127.0.0.1, or say allow_anonymous = true",
            ),
        )


def doubt_metrics(options: MetricsOptions, labels: Collection[str]) -> Iterator[Objection]:
    """What is odd about [metrics], and can be so. `labels` are those that programs have."""
    is_default = (
        options.proportional_memory_interval == MetricsOptions().proportional_memory_interval
    )
    if not is_default and Collector.PROPORTIONAL_MEMORY not in options.collectors:
        what = Refused(
            "has no effect while proportional memory isn't collected",
            f'collectors = ["usual", "{Collector.PROPORTIONAL_MEMORY.value}"]',
        )
        yield ("proportional_memory_interval",), what
    for label in options.process_labels:
        if label not in labels:
            hint = did_you_mean(label, labels)
            yield ("process_labels",), Refused(f"names '{label}', which no program has", hint)
    if options.allow_anonymous and options.listen is None:
        yield ("allow_anonymous",), Refused("has no effect without listen")


def object_to_identity(name: str, options: IdentityOptions) -> Iterator[Objection]:
    """What can't be so about [identity.X], all texts being filled in by now."""
    given = [proof for proof in _PROOFS if getattr(options, proof)]
    if len(given) > 1:
        hint = f"leave out one of the two: identity '{name}' proves itself in one way"
        yield (given[1],), Refused(f"is set beside {given[0]}", hint)
        return
    if not given:
        hint = "set password, token or token_file"
        yield (), Refused("has no way to prove itself", hint)
        return
    try:
        if options.token:
            check_token(options.token)
        elif options.token_file:
            read_token(options.token_file)
    except Refused as why:
        yield (given[0],), why


def identity_of(name: str, options: IdentityOptions) -> Identity:
    """What the options of [identity.X] come to."""
    return Identity(
        name=name,
        access=options.access,
        password=options.password or None,
        token=options.token or None,
        token_file=options.token_file or None,
    )


def same_tokens(identities: Sequence[Identity]) -> Iterator[tuple[Identity, Identity]]:
    """Each identity that shows the token of an earlier one, and that one."""
    first: dict[str, Identity] = {}
    for identity in identities:
        token = identity.token
        if identity.token_file:
            try:
                token = read_token(identity.token_file)
            except Refused:  # told by now
                continue
        if token and first.setdefault(token, identity) is not identity:
            yield identity, first[token]
