"""[opsvisor] and [opsvisor:...]: what is said to us in a file of Supervisor's.

supervisord passes over sections that it doesn't know, so one file goes on serving both. Names and
rules of the options are those of opsvisor.toml; how values are written is Supervisor's: lists have
commas, and `yes` is true. Unlike elsewhere in the file, what is unknown is refused: nobody else
can have meant it for another program.
"""

import os
from collections.abc import Collection, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar, cast

from opsvisor.compat.supervisor.config import values
from opsvisor.compat.supervisor.config.expansions import Names
from opsvisor.compat.supervisor.config.ini import Ini, Section
from opsvisor.compat.supervisor.config.options import Option
from opsvisor.compat.supervisor.config.refused import Refused
from opsvisor.compat.supervisor.config.sections import Findings, SectionReader
from opsvisor.config import kinds, units
from opsvisor.config.document import KeyPath
from opsvisor.config.kind import Kind, RefusedItems, quote
from opsvisor.config.option import Option as TomlOption
from opsvisor.config.option import Section as TableInside
from opsvisor.config.option import options_of
from opsvisor.config.resolve_metrics import (
    doubt_identity,
    doubt_metrics,
    doubt_ways_in,
    identity_of,
    object_to_identity,
    object_to_metrics,
    same_tokens,
)
from opsvisor.config.resolve_tls import doubt_tls, object_to_tls
from opsvisor.config.schema import OnExit, OnFatal
from opsvisor.config.schema_daemon import HostNames, LimitOptions, SurvivalOptions
from opsvisor.config.schema_metrics import IdentityOptions, MetricsOptions
from opsvisor.config.schema_tls import ClientCa, ClientCert, TlsCert, TlsKey
from opsvisor.config.settings import ClientCertificates, DaemonSettings, Identity
from opsvisor.core.plan import Group, Plan
from opsvisor.core.spec import OnEnd
from opsvisor.core.struct import Struct, replace

T = TypeVar("T")

KIND = "opsvisor"
METRICS_SECTION = "opsvisor:metrics"
LIMITS_SECTION = "opsvisor:limits"
_IDENTITY = "identity:"
_FORMS = (
    f"[{KIND}], [{LIMITS_SECTION}], [{METRICS_SECTION}]",
    f"[{KIND}:{_IDENTITY}NAME]",
)


class OwnOptions(SurvivalOptions, frozen=True, kw_only=True):
    """[opsvisor]. What concerns programs is said here of all of them, event listeners aside.

    A certificate is that of every server on TCP, and by `hosts` every [inet_http_server] is asked.
    """

    hosts: HostNames = ()
    tls_cert: TlsCert = None
    tls_key: TlsKey = None
    client_ca: ClientCa = None
    client_cert: ClientCert = ClientCertificates.REQUIRED
    on_fatal: OnFatal = OnEnd.KEEP
    on_exit: OnExit = OnEnd.KEEP

    def applied_to(self, plan: Plan) -> Plan:
        """The plan with what is said here of its programs."""
        return replace(plan, groups=tuple(self._applied_to(group) for group in plan.groups))

    def _applied_to(self, group: Group) -> Group:
        if group.feed is not None:
            return group
        processes = tuple(
            replace(spec, on_fatal=self.on_fatal, on_exit=self.on_exit) for spec in group.processes
        )
        return replace(group, processes=processes)


class Own(Struct, frozen=True, kw_only=True):
    """What these sections say; `sections` are where the identities are written, by name.

    `daemon`, `limits` and `metrics` are options as in opsvisor.toml, those that nobody wrote too.
    """

    daemon: OwnOptions
    limits: LimitOptions
    metrics: MetricsOptions
    identities: tuple[Identity, ...]
    sections: Mapping[str, Section]


def read_own(ini: Ini, names: Names, findings: Findings, *, start: Path) -> Own:
    """All sections that are meant for us. Paths begin in `start`, as others of the file do."""
    daemon = OwnOptions()
    limits = LimitOptions()
    metrics = MetricsOptions()
    identities: dict[str, Identity] = {}
    sections: dict[str, Section] = {}
    daemon_reader: _Reader | None = None
    metrics_reader: _Reader | None = None
    for section in ini.sections.values():
        if section.kind != KIND:
            continue
        reader = _Reader(section, names, findings, start)
        if section.name == KIND:
            daemon_reader, daemon = reader, reader.options(OwnOptions)
        elif section.name == LIMITS_SECTION:
            limits = reader.options(LimitOptions)
        elif section.name == METRICS_SECTION:
            metrics_reader, metrics = reader, reader.options(MetricsOptions)
        elif section.label.startswith(_IDENTITY):
            name = section.label.removeprefix(_IDENTITY)
            identities[name] = reader.identity(name)
            sections[name] = section
        else:
            what = f"[{section.name}] is unknown to opsvisord"
            findings.reject(section.where, what, f"there are {' and '.join(_FORMS)}")
    found = tuple(identities.values())
    for identity, earlier in same_tokens(found):
        what = f"identity '{identity.name}' holds the token of identity '{earlier.name}'"
        findings.reject(sections[identity.name].where, what, "give each its own")
    if metrics_reader is not None:
        metrics_reader.judge(metrics, found)
    if daemon_reader is not None:
        daemon_reader.judge_tls(daemon)
    return Own(daemon=daemon, limits=limits, metrics=metrics, identities=found, sections=sections)


def check_own(
    own: Own, settings: DaemonSettings, groups: Collection[str], findings: Findings
) -> None:
    """Note what doesn't go together with the servers, or with the groups that there are."""
    for identity in own.identities:
        section = own.sections[identity.name]
        doubts = chain(
            doubt_identity(identity, groups), doubt_ways_in(identity, settings.listeners)
        )
        for path, why in doubts:
            where, what = _told_of(section, path, why)
            findings.warn(where, what, _in_their_words(why.hint))
    for server in settings.servers:
        known = server.credentials
        if known is not None and known.username in own.sections:
            what = f"identity '{known.username}' is called as the user of [{server.name}] is"
            where = own.sections[known.username].where
            findings.reject(where, what, "give one of the two another name")
    if own.identities and all(server.is_open for server in settings.listeners):
        name = own.identities[0].name
        findings.warn(
            own.sections[name].where,
            f"identity '{name}' has no effect: no server asks for one",
            f"set listen in [{METRICS_SECTION}], or username and password of a server",
        )


class _Reader:
    """Reads one section by the declarations of opsvisor.toml."""

    def __init__(self, section: Section, names: Names, findings: Findings, start: Path) -> None:
        self._section = section
        self._findings = findings
        self._start = start
        self._values = SectionReader(section, names, findings, start=start)

    def options(self, table: type[T]) -> T:
        """The section as one of schema's classes; what is refused has its default."""
        known = dict(_keys_of(cast("type", table)))
        for key, entry in self._section.own.items():
            if key not in known:
                what = f"[{self._section.name}] has no option '{key}'"
                hint = units.did_you_mean(key, known) or f"there are {', '.join(known)}"
                self._findings.reject(entry.where, what, hint)
        given = self._given(cast("type", table))
        for name, option in known.items():
            if option.required and name not in self._section.own:
                what = f"[{self._section.name}] has no {name}"
                self._findings.reject(
                    self._section.where, what, f"for example {option.required.example}"
                )
        return table(**given)

    def _given(self, table: type, inside: str = "") -> dict[str, Any]:
        """What is written here of the table; of a table in it too, if anything is."""
        given: dict[str, Any] = {}
        for name, option in options_of(table).items():
            key = f"{inside}{name}"
            if isinstance(option.kind, TableInside):
                if found := self._given(option.kind.options, f"{key}."):
                    given[name] = option.kind.options(**found)
            elif key in self._section.own:
                declared = _declared(self._section.name, replace(option, name=key), option.kind)
                given[name] = self._values.get(declared)
        return given

    def identity(self, name: str) -> Identity:
        """The identity of this name that the section describes."""
        before = self._findings.problem_count
        options = self.options(IdentityOptions)
        try:
            kinds.check_name(name)
        except units.Refused as refused:
            what = f"identity '{name}' {refused.says}"
            self._findings.reject(self._section.where, what, refused.hint)
        if self._findings.problem_count == before:
            for path, why in object_to_identity(name, options):
                self._object(path, why)
        return identity_of(name, options)

    def judge(self, metrics: MetricsOptions, identities: tuple[Identity, ...]) -> None:
        """Note what can't be so about [opsvisor:metrics], and what is odd."""
        for path, why in object_to_metrics(metrics, identities):
            self._object(path, why)
        for path, why in doubt_metrics(metrics, ()):  # programs of Supervisor's have no labels
            where, what = self._told(path, why)
            self._findings.warn(where, what, why.hint)

    def judge_tls(self, daemon: OwnOptions) -> None:
        """Note what can't be so about the certificate of the servers, and what is odd."""
        for path, why in object_to_tls(daemon):
            self._object(path, why)
        for path, why in doubt_tls(daemon, is_anybody_asked=True):
            where, what = self._told(path, why)
            self._findings.warn(where, what, why.hint)

    def _object(self, path: KeyPath, why: units.Refused) -> None:
        where, what = self._told(path, why)
        self._findings.reject(where, what, why.hint.replace("[identity.", f"[{KIND}:{_IDENTITY}"))

    def _told(self, path: KeyPath, why: units.Refused) -> tuple[Any, str]:
        return _told_of(self._section, path, why)


def _in_their_words(hint: str) -> str:
    hint = hint.replace('mode = "0666" in [server.unix]', "chmod = 0766 in [unix_http_server]")
    return hint.replace("path in [server.unix]", "file in [unix_http_server]")


def _told_of(section: Section, path: KeyPath, why: units.Refused) -> tuple[Any, str]:
    """Where something is wrong with an option, and what."""
    key = ".".join(map(str, path))
    inside = (entry for name, entry in section.own.items() if name.startswith(f"{key}."))
    entry = section.own.get(key) or next(inside, None)
    where = entry.where if entry else section.where
    return where, f"[{section.name}] {f'{key} ' if key else ''}{why.says}"


def _keys_of(table: type, inside: str = "") -> Iterator[tuple[str, TomlOption]]:
    """The options of one of schema's classes; one of a table inside it is called `table.name`."""
    for name, option in options_of(table).items():
        if isinstance(option.kind, TableInside):
            yield from _keys_of(option.kind.options, f"{inside}{name}.")
        else:
            yield f"{inside}{name}", option


def _declared(section: str, option: TomlOption, kind: Kind) -> Option[Any]:
    """An option of opsvisor.toml as one of an INI file."""
    name = f"[{section}] {option.name}"

    def read(text: str, start: Path) -> Any:
        try:
            if kind is kinds.PATH:
                return str(start / os.path.expanduser(kind.read(text)))  # noqa: PTH111 - as others
            return kind.read(_as_toml(text, kind, option.default))
        except units.Refused as why:
            raise Refused(_sentence(name, text, why.says, kind), why.hint) from None
        except RefusedItems as error:
            what = "; ".join(
                _sentence(name, str(item.value), item.why.says, kind) for item in error.items
            )
            raise Refused(what, error.items[0].why.hint) from None

    return Option(option.name, values.Kind(read, kind.name), option.default, secret=kind.secret)


def _as_toml(text: str, kind: Kind, default: Any) -> Any:
    """The value that TOML would have for this text."""
    if kind is kinds.BOOLEAN:
        return values.boolean(text)
    if kind.name.startswith("integer"):
        return values.integer(text)
    if isinstance(default, tuple | frozenset):
        return list(_items(text))
    return text


def _items(text: str) -> Iterator[str]:
    for item in text.split(","):
        if item.strip():
            yield item.strip()


def _sentence(name: str, typed: str, says: str, kind: Kind) -> str:
    subject = name if kind.secret else f"{name} = {quote(typed)}"
    return f"{subject}{says}" if says.startswith(":") else f"{subject} {says}"
