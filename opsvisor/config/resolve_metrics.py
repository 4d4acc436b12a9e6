"""Who may come in, and where the metrics are: rules that hold in whatever format they are written.

An objection is the path to an option within its table, and why it can't be so.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TypeVar

from opsvisor.config import accounts
from opsvisor.config.certificates import parse_fingerprint
from opsvisor.config.document import KeyPath
from opsvisor.config.listening import is_loopback
from opsvisor.config.resolve_tls import asks_everybody, doubt_tls, object_to_tls, tls_spec
from opsvisor.config.schema_metrics import (
    CertificateOptions,
    IdentityOptions,
    LocalOptions,
    MetricsOptions,
)
from opsvisor.config.settings import (
    Access,
    ClientCertificate,
    Collector,
    Identity,
    LocalPeer,
    MetricsSettings,
    Offer,
    TcpServer,
    UnixServer,
)
from opsvisor.config.tokens import check_token, digest_of, parse_token_hash, read_token
from opsvisor.config.units import Refused, did_you_mean

Objection = tuple[KeyPath, Refused]
T = TypeVar("T")

# user_namespaces(7): the overflow id, which in a container stands for everybody outside of it.
_NAMELESS = 65534
_OTHERS_MAY = 0o022  # connecting takes the right to write (unix(7))
_SECRETS = ("password", "token", "token_file", "token_hash")


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
            tls=tls_spec(options),
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
    is_asked = bool(identities) or asks_everybody(options)
    if listen and not (is_loopback(listen.host) or is_asked or options.allow_anonymous):
        yield (
            ("listen",),
            Refused(
                "would let anybody on the network read the metrics",
                'add an [identity.prometheus] with access = "metrics" and a token_file, listen on'
                " 127.0.0.1, or say allow_anonymous = true",
            ),
        )

    if listen is None and options.tls_cert is not None:
        yield (
            ("tls_cert",),
            Refused("is set without listen", "[server.http] has options of its own"),
        )
    elif listen is not None:
        yield from object_to_tls(options)


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
    if options.listen is not None:
        yield from doubt_tls(options, is_anybody_asked=not options.allow_anonymous)


def object_to_identity(name: str, options: IdentityOptions) -> Iterator[Objection]:
    """What can't be so about [identity.X], all texts being filled in by now."""
    if options.groups and options.access is Access.METRICS:
        says = 'has no effect with access = "metrics", which is about all programs'
        yield ("groups",), Refused(says, "leave it out, or give more access")
    given = [secret for secret in _SECRETS if getattr(options, secret)]
    if len(given) > 1:
        hint = f"leave out one of the two: identity '{name}' has one secret"
        yield (given[1],), Refused(f"is set beside {given[0]}", hint)
    elif given:
        yield from _object_to_secret(given[0], options)
    elif options.local is None and options.certificate is None:
        hint = f"set {', '.join(_SECRETS)}, local or certificate"
        yield (), Refused("has no way to prove itself", hint)
    if options.local is not None:
        yield from _object_to_local(options.local)
    if options.certificate is not None:
        yield from _object_to_certificate(options.certificate)


def _object_to_secret(option: str, options: IdentityOptions) -> Iterator[Objection]:
    try:
        if options.token:
            check_token(options.token)
        elif options.token_file:
            read_token(options.token_file)
        elif options.token_hash:
            parse_token_hash(options.token_hash)
    except Refused as why:
        yield (option,), why


def _object_to_local(local: LocalOptions) -> Iterator[Objection]:
    if not (local.user or local.group):
        yield ("local",), Refused("names nobody", 'local = { user = "deploy" }')
    for option, text, look_up in (
        ("user", local.user, accounts.uid_of),
        ("group", local.group, accounts.gid_of),
    ):
        try:
            if text and look_up(text) == _NAMELESS:
                says = f"names who the kernel names where it can't tell who it is: '{text}'"
                yield ("local", option), Refused(says, f"give them a {option} of their own")
        except Refused as why:
            yield ("local", option), why


def _object_to_certificate(certificate: CertificateOptions) -> Iterator[Objection]:
    if certificate == CertificateOptions():
        hint = 'certificate = { common_name = "prometheus" }'
        yield ("certificate",), Refused("fits everybody's", hint)
    try:
        if certificate.fingerprint:
            parse_fingerprint(certificate.fingerprint)
    except Refused as why:
        yield ("certificate", "fingerprint"), why


def doubt_identity(identity: Identity, groups: Collection[str]) -> Iterator[Objection]:
    """What is odd about [identity.X], and can be so. `groups` are all that there are."""
    for group in sorted(identity.groups or ()):
        if group not in groups:
            hint = did_you_mean(group, groups)
            yield ("groups",), Refused(f"names '{group}', which is no group", hint)


def doubt_ways_in(
    identity: Identity, servers: Sequence[UnixServer | TcpServer]
) -> Iterator[Objection]:
    """What keeps this identity from coming in at any of the servers."""
    asking = [one.tls for one in servers if isinstance(one, TcpServer) and one.tls]
    if identity.certificate is not None and not any(tls.client_ca for tls in asking):
        hint = "set tls_cert and client_ca in [server.http] or [metrics]"
        yield ("certificate",), Refused("has no effect: no server asks for one", hint)
    sockets = [server for server in servers if isinstance(server, UnixServer)]
    if identity.local is not None and not sockets:
        yield (
            ("local",),
            Refused("has no effect: there is no unix socket", "set path in [server.unix]"),
        )
    elif identity.local is not None and not any(one.mode & _OTHERS_MAY for one in sockets):
        says = "has no effect: only the owner of the unix socket may connect"
        hint = 'set mode = "0666" in [server.unix]; who is no identity is refused all the same'
        yield ("local",), Refused(says, hint)


def identity_of(name: str, options: IdentityOptions) -> Identity:
    """What the options of [identity.X] come to."""
    return Identity(
        name=name,
        access=options.access,
        groups=frozenset(options.groups) or None,
        password=options.password or None,
        token=options.token or None,
        token_file=options.token_file or None,
        token_hash=_or_nothing(parse_token_hash, options.token_hash),
        local=None if options.local is None else _local_peer(options.local),
        certificate=_client_certificate(options.certificate),
    )


def _client_certificate(options: CertificateOptions | None) -> ClientCertificate | None:
    """What was refused must not become what fits everybody."""
    if options is None:
        return None
    fingerprint = _or_nothing(parse_fingerprint, options.fingerprint)
    if options == CertificateOptions() or (options.fingerprint and fingerprint is None):
        return None
    return ClientCertificate(
        fingerprint=fingerprint,
        common_name=options.common_name or None,
        dns_name=options.dns_name or None,
        uri=options.uri or None,
    )


def _local_peer(local: LocalOptions) -> LocalPeer | None:
    uid = _or_nothing(accounts.uid_of, local.user)
    gid = _or_nothing(accounts.gid_of, local.group)
    # What can't be found was refused. It must not become what fits everybody.
    if (uid is None, gid is None) != (not local.user, not local.group) or uid is gid is None:
        return None
    return LocalPeer(uid=uid, gid=gid)


def _or_nothing(read: Callable[[str], T], text: str) -> T | None:
    try:
        return read(text) if text else None
    except Refused:  # told by now
        return None


def same_tokens(identities: Sequence[Identity]) -> Iterator[tuple[Identity, Identity]]:
    """Each identity that shows the token of an earlier one, and that one."""
    first: dict[bytes, Identity] = {}
    for identity in identities:
        token = identity.token or _or_nothing(read_token, identity.token_file or "")
        digest = identity.token_hash if token is None else digest_of(token)
        if digest and first.setdefault(digest, identity) is not identity:
            yield identity, first[digest]
