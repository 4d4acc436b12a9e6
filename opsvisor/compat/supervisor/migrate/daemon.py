"""[supervisord] and the servers become [daemon] and [server.…]."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence

from opsvisor.compat.supervisor.config.ini import Entry, Section
from opsvisor.compat.supervisor.config.own import LIMITS_SECTION, METRICS_SECTION
from opsvisor.compat.supervisor.migrate.expressions import (
    Marked,
    escape_variables,
    names_in,
    variable_at_front,
)
from opsvisor.compat.supervisor.migrate.findings import Findings
from opsvisor.compat.supervisor.migrate.leaves import (
    DAEMON,
    HTTP,
    IDENTITY,
    LIMITS,
    METRICS,
    UNIX,
    Leaves,
    Path,
    Table,
)
from opsvisor.compat.supervisor.migrate.source import Source
from opsvisor.compat.supervisor.migrate.wording import is_path, written_entries
from opsvisor.config import accounts
from opsvisor.config.listening import is_loopback
from opsvisor.config.option import options_of
from opsvisor.config.resolve_tls import tls_spec
from opsvisor.config.schema_daemon import LimitOptions
from opsvisor.config.settings import ClientCertificate, TcpServer, TlsSpec, UnixServer
from opsvisor.config.template import fill_variables
from opsvisor.config.tokens import show_token_hash
from opsvisor.config.units import Refused
from opsvisor.core.spec import UserSpec
from opsvisor.core.struct import Struct, field


class DaemonTable(Struct, frozen=True, kw_only=True):
    """A table about the daemon. `frozen` and `trusted` as in a program's."""

    header: tuple[str, ...]
    section: Section
    table: Table
    leaves: Leaves
    frozen: Mapping[str, frozenset[str]]
    trusted: Mapping[str, str]


def write_daemon(source: Source, findings: Findings) -> DaemonTable:
    """[daemon]."""
    section = source.ini.sections["supervisord"]
    settings = source.loaded.settings
    writer = _Writer(source, section, DAEMON)
    if settings.identifier:
        writer.text("identifier", "identifier", settings.identifier)
    if settings.log.path is not None:
        writer.path("log", "logfile", settings.log.path)
        _note_relative(writer, "logfile", settings.log.path, findings)
    writer.value("log_syslog", settings.log.syslog)
    writer.value("log_level", settings.log_level)
    writer.value("log_rotate_size", settings.log.rotate_size)
    writer.value("log_rotate_keep", settings.log.rotate_keep)
    if settings.pid_file is not None:
        writer.path("pid_file", "pidfile", settings.pid_file)
        _note_relative(writer, "pidfile", settings.pid_file, findings)
    writer.value("min_fds", max(0, settings.min_fds))
    writer.value("min_procs", max(0, settings.min_procs))
    writer.user(settings.user)
    writer.value("daemonize", settings.daemonize)
    writer.path("working_dir", "directory", settings.working_dir)
    writer.value("umask", settings.umask)
    writer.value("echo_log", settings.echo_log or settings.daemonize)
    directory = section.entries.get("childlogdir")
    if directory is not None:
        marked = source.mark(directory, {}, {})
        folder = os.path.expanduser(marked.text) if marked else ""  # noqa: PTH111 - as the reader
        writer.path("child_log_dir", "childlogdir", folder)
    writer.value("remove_auto_logs", settings.auto_log_dir is not None)
    if settings.state_dir is not None:
        writer.value("state_dir", escape_variables(settings.state_dir))
    if settings.audit_log.path is not None:
        writer.value("audit_log", escape_variables(settings.audit_log.path))
    writer.value("audit_rotate_size", settings.audit_log.rotate_size)
    writer.value("audit_rotate_keep", settings.audit_log.rotate_keep)
    writer.value("on_crash", settings.on_crash)
    writer.value("essential_exit_code", settings.essential_exit_code)
    writer.value("forward_signals", settings.forward_signals or None)
    environment = section.entries.get("environment")
    if environment is not None:
        writer.frozen["environment"] = source.frozen
    return writer.done("daemon")


def write_server(source: Source, server: UnixServer | TcpServer) -> DaemonTable:
    """[server.unix] or [server.http]."""
    section = source.ini.sections[server.name]
    if isinstance(server, UnixServer):
        writer = _Writer(source, section, UNIX)
        writer.path("path", "file", server.path)
        writer.value("mode", server.mode)
        writer.owner(server.owner)
    else:
        writer = _Writer(source, section, HTTP)
        host = f"[{server.host}]" if ":" in server.host else server.host
        writer.value("listen", f"{host}:{server.port}")
        # With identities an opsvisord would ask for one on loopback as well.
        is_closed = is_loopback(server.host) and not source.own.identities
        writer.value("allow_anonymous", server.is_open and not is_closed)
        writer.value("hosts", server.hosts or None)
        writer.tls(server.tls)
    if server.credentials is not None:
        writer.text("username", "username", server.credentials.username)
        writer.text("password", "password", server.credentials.password)
    return writer.done("server", "unix" if isinstance(server, UnixServer) else "http")


def write_own(source: Source) -> Iterator[DaemonTable]:
    """[metrics], [server.limits] and [identity.X], which were written for us from the start."""
    for section in source.ini.sections.values():
        if section.name == METRICS_SECTION:
            yield _write_metrics(source, section)
        if section.name == LIMITS_SECTION:
            yield _write_limits(source, section)
    for identity in source.own.identities:
        section = source.own.sections[identity.name]
        writer = _Writer(source, section, IDENTITY)
        writer.value("access", identity.access)
        if identity.password is not None:
            writer.text("password", "password", identity.password)
        if identity.token is not None:
            writer.text("token", "token", identity.token)
        writer.path("token_file", "token_file", identity.token_file)
        if identity.token_hash is not None:
            writer.text("token_hash", "token_hash", show_token_hash(identity.token_hash))
        if identity.groups is not None:
            writer.value("groups", tuple(sorted(identity.groups)))
        if identity.local is not None:
            writer.user_number("local", "user", identity.local.uid, accounts.uid_of)
            writer.user_number("local", "group", identity.local.gid, accounts.gid_of)
        if identity.certificate is not None:
            writer.certificate(identity.certificate)
        yield writer.done("identity", identity.name)


def _write_metrics(source: Source, section: Section) -> DaemonTable:
    writer = _Writer(source, section, METRICS)
    written = source.own.metrics
    writer.value("listen", written.listen and str(written.listen))
    writer.value("allow_anonymous", written.allow_anonymous)
    writer.tls(tls_spec(written))
    writer.value("collectors", written.collectors)
    writer.value("process_labels", written.process_labels or None)
    writer.value("compat", written.compat)
    writer.value("proportional_memory_interval", written.proportional_memory_interval)
    return writer.done("metrics")


def _write_limits(source: Source, section: Section) -> DaemonTable:
    writer = _Writer(source, section, LIMITS)
    for name in options_of(LimitOptions):
        writer.value(name, getattr(source.own.limits, name))
    return writer.done("server", "limits")


def _note_relative(writer: "_Writer", key: str, path: str, findings: Findings) -> None:
    """Say where a path begins that began where supervisord was started."""
    entry = writer.section.entries.get(key)
    plain = writer.source.mark(entry, {}, {}) if entry else None
    if plain is not None and plain.text.startswith(("/", "~")):
        return
    written = f"{key} is relative" if entry else f"{key} isn't set"
    findings.note(
        writer.section.name,
        entry.where if entry else writer.section.where,
        f"{written}, so it began in the directory where supervisord was started; it is {path} now",
        "use --directory if it was started elsewhere",
    )


class _Writer(Struct):
    source: Source
    section: Section
    options: Table
    leaves: Leaves = field(default_factory=dict)
    frozen: dict[str, frozenset[str]] = field(default_factory=dict)
    trusted: dict[str, str] = field(default_factory=dict)

    def done(self, *header: str) -> DaemonTable:
        for key, entry in written_entries(self.section):
            self.frozen.setdefault(key, frozenset(names_in(entry.value)))
        return DaemonTable(
            header=header,
            section=self.section,
            table=self.options,
            leaves=self.leaves,
            frozen=self.frozen,
            trusted=self.trusted,
        )

    def value(self, option: str, value: object) -> None:
        """A value without variables."""
        if value is not None:
            self.leaves[option,] = self.options.show((option,), value)

    def tls(self, spec: TlsSpec | None) -> None:
        """The certificate of a server."""
        if spec is None:
            return
        paths = {"tls_cert": spec.cert, "tls_key": spec.key, "client_ca": spec.client_ca}
        for option, path in paths.items():
            if path is not None:
                self.value(option, escape_variables(path))
        if spec.client_ca is not None:
            self.value("client_cert", spec.client_cert)

    def certificate(self, known: ClientCertificate) -> None:
        """What a client's certificate must say."""
        for option in ("common_name", "dns_name", "uri"):
            if (value := getattr(known, option)) is not None:
                self._inside("certificate", option, escape_variables(value))
        if known.fingerprint is not None:
            self._inside("certificate", "fingerprint", known.fingerprint.hex())

    def _inside(self, table: str, option: str, value: object) -> None:
        """A value of a table inside this one."""
        self.leaves[table, option] = self.options.show((table, option), value)

    def text(self, option: str, key: str, value: str) -> None:
        """A text that may name variables."""
        self._choose(option, key, [str], lambda filled: filled == value, value)

    def path(self, option: str, key: str, value: str | None) -> None:
        """A path that may name variables; it is made absolute."""
        if value is None:
            return
        path = self._absolute(value)

        def expand(text: str) -> str:
            return os.path.expanduser(text.strip())  # noqa: PTH111 - as the reader

        def begin_at_start(text: str) -> str:
            return self._absolute(expand(text))

        reads: list[Callable[[str], str]] = [begin_at_start]
        marked = self.mark(key)
        if marked is not None and marked.begins(marked.text.strip()):
            reads.insert(0, expand)  # it is absolute by itself, if the value of the variable is
        self._choose(option, key, reads, lambda filled: is_path(filled, path), path)
        variable = variable_at_front((self.leaves[option,] or "").strip('"'))
        if variable in self.source.made_up:
            self.trusted[key] = variable

    def user(self, user: UserSpec | None) -> None:
        """The user by name."""
        if user is not None:
            names = (user.name, str(user.uid))
            self._choose(
                "user",
                "user",
                [str.strip],
                lambda filled: filled in names,
                user.name,
            )

    def user_number(
        self, table: str, option: str, number: int | None, look_up: Callable[[str], int]
    ) -> None:
        """A user or a group in a table inside this one, by the name that it was written with."""
        if number is None:
            return

        def is_same(filled: str) -> bool:
            try:
                return look_up(filled) == number
            except Refused:
                return False

        key = f"{table}.{option}"
        self._choose_at((table, option), key, [str.strip], is_same, str(number))

    def owner(self, owner: tuple[int, int] | None) -> None:
        """Whose a socket is, as it was written if that is understood here."""
        if owner is None:
            return
        uid, gid = owner
        entry = self.section.entries["chown"]
        plain = self.source.mark(entry, {}, {})

        def is_same(filled: str) -> bool:
            try:
                return accounts.owner(filled) == owner
            except Refused:
                return False

        literal = plain.text.strip() if plain else ""
        if not is_same(literal):
            literal = f"{uid}" if gid == accounts.UNCHANGED else f"{uid}:{gid}"
        self._choose("owner", "chown", [str.strip], is_same, literal)

    def mark(self, key: str) -> Marked | None:
        """The text of an option with its variables marked."""
        entry: Entry | None = self.section.entries.get(key)
        return self.source.mark(entry, self.source.carried_by_daemon, {}) if entry else None

    def _choose(
        self,
        option: str,
        key: str,
        reads: Sequence[Callable[[str], str]],
        is_right: Callable[[str], bool],
        literal: str,
    ) -> None:
        self._choose_at((option,), key, reads, is_right, literal)

    def _choose_at(
        self,
        path: Path,
        key: str,
        reads: Sequence[Callable[[str], str]],
        is_right: Callable[[str], bool],
        literal: str,
    ) -> None:
        """The text as one of `reads` has it, if it comes to the right value, or else the value."""
        marked = self.mark(key)
        for read in reads if marked is not None else ():
            assert marked is not None
            template = marked.daemon(read(marked.text))
            if template is not None and self._is_filled(template, is_right):
                self.frozen[key] = marked.frozen
                self.leaves[path] = self.options.show(path, template)
                return
        entry = self.section.entries.get(key)
        self.frozen[key] = frozenset(names_in(entry.value)) if entry else frozenset()
        self.leaves[path] = self.options.show(path, escape_variables(literal))

    def _is_filled(self, template: str, is_right: Callable[[str], bool]) -> bool:
        try:
            return is_right(fill_variables(template, self.source.environ))
        except Refused:
            return False

    def _absolute(self, path: str) -> str:
        return os.path.abspath(self.source.start / path)  # noqa: PTH100 - Path keeps `..`
