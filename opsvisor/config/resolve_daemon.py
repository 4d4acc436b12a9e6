"""The daemon's own options become its settings."""

from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from typing import TypeVar

from opsvisor.config import accounts
from opsvisor.config.addresses import rivals
from opsvisor.config.auto_log import usual_folder
from opsvisor.config.decode import Declared, Decoded
from opsvisor.config.document import KeyPath
from opsvisor.config.findings import Findings
from opsvisor.config.listening import PATH_HINT, is_loopback, is_too_long
from opsvisor.config.resolve_metrics import (
    doubt_identity,
    doubt_metrics,
    doubt_ways_in,
    identity_of,
    metrics_settings,
    object_to_identity,
    object_to_metrics,
    same_tokens,
)
from opsvisor.config.resolve_tls import asks_everybody, doubt_tls, object_to_tls, tls_spec
from opsvisor.config.schema_daemon import (
    AuditOptions,
    DaemonOptions,
    HttpOptions,
    LimitOptions,
    LoginOptions,
    ServerOptions,
    UnixOptions,
)
from opsvisor.config.schema_metrics import IdentityOptions, MetricsOptions
from opsvisor.config.search import runtime_dir, socket_of_user
from opsvisor.config.settings import (
    ClientLimits,
    Credentials,
    DaemonSettings,
    Identity,
    MetricsSettings,
    TcpServer,
    UnixServer,
)
from opsvisor.config.template import fill_variables
from opsvisor.config.units import Refused
from opsvisor.core.spec import LogSpec, UserSpec
from opsvisor.core.struct import replace

T = TypeVar("T")
_Tls = TypeVar("_Tls", HttpOptions, MetricsOptions)

_EMPTY = Refused("is empty")
_ONE_EACH = "[server.http] has /metrics, too; give this another port, or leave it out"

Server = Declared[ServerOptions]

_Table = (
    Declared[ServerOptions]
    | Declared[DaemonOptions]
    | Declared[MetricsOptions]
    | Declared[IdentityOptions]
)


def resolve_daemon(
    decoded: Decoded,
    environ: Mapping[str, str],
    findings: Findings,
    runtime: Path | None = None,
) -> DaemonSettings:
    """The settings that the decoded options ask for.

    `runtime` is the runtime directory of whoever has started the daemon: ours, if not given.
    """
    return _Resolver(environ, findings, runtime or runtime_dir(environ)).settings(decoded)


class _Resolver:
    """Resolves the daemon's options, in which variables of its environment may be named."""

    def __init__(self, environ: Mapping[str, str], findings: Findings, runtime: Path) -> None:
        self._environ = environ
        self._findings = findings
        self._runtime = runtime

    def settings(self, decoded: Decoded) -> DaemonSettings:
        daemon = decoded.daemon
        options = daemon.options
        identities = self._identities(decoded)
        user = self._account(daemon, ("user",), options.user, accounts.look_up)
        settings = DaemonSettings(
            supervisor_interfaces=decoded.server.options.supervisor_interfaces,
            identifier=self._text(daemon, ("identifier",), options.identifier),
            servers=self._servers(decoded.server, identities, user),
            log=LogSpec(
                path=self._path(daemon, ("log",), options.log),
                rotate_size=options.log_rotate_size,
                rotate_keep=options.log_rotate_keep,
                syslog=options.log_syslog,
            ),
            log_level=options.log_level,
            audit_log=audit_log(options, self._path(daemon, ("audit_log",), options.audit_log)),
            echo_log=options.echo_log and not options.daemonize,
            pid_file=self._path(daemon, ("pid_file",), options.pid_file),
            daemonize=options.daemonize,
            working_dir=self._path(daemon, ("working_dir",), options.working_dir),
            umask=options.umask,
            user=user,
            min_fds=options.min_fds,
            min_procs=options.min_procs,
            cgroup=options.cgroup,
            history_size=options.history_size,
            ring_size=options.ring_size,
            auto_log_dir=self._auto_log_dir(daemon),
            state_dir=self._path(daemon, ("state_dir",), options.state_dir),
            on_crash=options.on_crash,
            essential_exit_code=options.essential_exit_code,
            forward_signals=options.forward_signals,
            metrics=self._metrics(decoded, identities),
            limits=client_limits(decoded.server.options.limits or LimitOptions()),
        )
        # With a problem in an identity or a server, nobody knows yet who would ask for whom.
        is_whole = not self._findings.problems
        if is_whole and identities and all(server.is_open for server in settings.listeners):
            why = Refused(
                "has no effect: no server asks for one",
                "give it local = { user = ... } for the unix socket, or set listen in"
                " [server.http] or [metrics]",
            )
            first = decoded.identities[identities[0].name]
            self._findings.warnings.append(first.problem((), why))
        self._doubt_identities(decoded, identities, settings)
        for server, _ in rivals(settings.listeners) if is_whole else ():
            why = Refused(f"is where [server.{server.name}] listens already", _ONE_EACH)
            typed = f"'{decoded.metrics.options.listen}'"
            self._findings.problems.append(decoded.metrics.problem(("listen",), why, typed=typed))
        return settings

    def _doubt_identities(
        self, decoded: Decoded, identities: tuple[Identity, ...], settings: DaemonSettings
    ) -> None:
        groups = {
            group
            for name, program in decoded.programs.items()
            for group in program.options.group or (name,)
        }
        for identity in identities:
            declared = decoded.identities[identity.name]
            doubts = chain(
                doubt_identity(identity, groups), doubt_ways_in(identity, settings.listeners)
            )
            for option, why in doubts:
                self._findings.warnings.append(declared.problem(option, why))

    def _identities(self, decoded: Decoded) -> tuple[Identity, ...]:
        found: list[Identity] = []
        for name, declared in decoded.identities.items():
            before = len(self._findings.problems)
            options = self._filled(declared)
            if not declared.broken and len(self._findings.problems) == before:
                for option, why in object_to_identity(name, options):
                    self._findings.problems.append(declared.problem(option, why))
            found.append(identity_of(name, options))
        for identity, earlier in same_tokens(found):
            key = "token_hash" if identity.token_hash else "token_file"
            key = "token" if identity.token else key
            why = Refused(f"holds the token of identity '{earlier.name}'", "give each its own")
            problem = decoded.identities[identity.name].problem((key,), why)
            self._findings.problems.append(problem)
        return tuple(found)

    def _filled(self, identity: Declared[IdentityOptions]) -> IdentityOptions:
        options = identity.options
        token_file = self._path(identity, ("token_file",), options.token_file or None)
        local = options.local
        if local is not None:
            local = replace(
                local,
                user=self._text(identity, ("local", "user"), local.user),
                group=self._text(identity, ("local", "group"), local.group),
            )
        return replace(
            options,
            local=local,
            token_hash=self._secret(identity, "token_hash", options.token_hash),
            password=self._secret(identity, "password", options.password),
            token=self._secret(identity, "token", options.token),
            token_file=token_file or "",
        )

    def _secret(self, identity: Declared[IdentityOptions], option: str, written: str) -> str:
        secret = self._text(identity, (option,), written)
        if written and not secret:  # a variable that is set to nothing
            self._findings.problems.append(identity.problem((option,), _EMPTY))
        return secret

    def _metrics(self, decoded: Decoded, identities: tuple[Identity, ...]) -> MetricsSettings:
        metrics = decoded.metrics
        options = self._tls_filled(metrics, (), metrics.options)
        labels = {label for one in decoded.programs.values() for label in one.options.labels}
        for option, why in object_to_metrics(options, identities):
            typed = f"'{options.listen}'" if option == ("listen",) else ""
            problem = metrics.problem(option, why, typed=typed)
            self._findings.problems.append(problem)
        for option, why in doubt_metrics(options, labels):
            self._findings.warnings.append(metrics.problem(option, why))
        return metrics_settings(options, identities)

    def _auto_log_dir(self, daemon: Declared[DaemonOptions]) -> str | None:
        if not daemon.options.remove_auto_logs:
            return None
        folder = self._path(daemon, ("child_log_dir",), daemon.options.child_log_dir)
        return folder or usual_folder()

    def _servers(
        self, server: Server, identities: tuple[Identity, ...], user: UserSpec | None
    ) -> tuple[UnixServer | TcpServer, ...]:
        unix, http = server.options.unix, server.options.http
        if unix is None and http is None:
            uid = 0 if user is None else user.uid
            path = str(socket_of_user(uid, self._runtime))
            if is_too_long(path):
                says = f"is needed: the default path is too long for a socket: '{path}'"
                hint = f"{PATH_HINT}; set unix in [server], or a shorter XDG_RUNTIME_DIR or TMPDIR"
                self._findings.problems.append(server.problem(("unix",), Refused(says, hint)))
            return (UnixServer(name="unix", path=path),)
        servers: list[UnixServer | TcpServer] = []
        if unix is not None and server.is_sound("unix"):
            servers.append(self._unix(server, unix, identities))
        if http is not None and server.is_sound("http"):
            servers.append(self._http(server, http, identities))
        return tuple(servers)

    def _unix(
        self, server: Server, options: UnixOptions, identities: tuple[Identity, ...]
    ) -> UnixServer:
        option = ("unix", "path")
        path = self._path(server, option, options.path)
        assert path is not None
        if is_too_long(path):
            says = f"is too long for a socket: '{path}'"
            self._findings.problems.append(server.problem(option, Refused(says, PATH_HINT)))
        credentials = self._credentials(server, "unix", options, identities)
        return UnixServer(
            name="unix",
            path=path,
            mode=options.mode,
            owner=self._account(server, ("unix", "owner"), options.owner, accounts.owner),
            credentials=credentials,
            identities=identities if credentials or any(i.local for i in identities) else (),
        )

    def _http(
        self, server: Server, options: HttpOptions, identities: tuple[Identity, ...]
    ) -> TcpServer:
        options = self._tls_filled(server, ("http",), options)
        host, port = options.listen.host, options.listen.port
        credentials = self._credentials(server, "http", options, identities)
        is_asked = bool(options.username or identities) or asks_everybody(options)
        is_open = not (is_asked or is_loopback(host))
        for option, why in object_to_tls(options):
            self._findings.problems.append(server.problem(("http", *option), why))
        for option, why in doubt_tls(options, is_anybody_asked=not options.allow_anonymous):
            self._findings.warnings.append(server.problem(("http", *option), why))
        if options.allow_anonymous and identities:
            why = Refused(
                "lets in anybody to do anything, whatever identities there are",
                "leave it out; [metrics] has one of its own, for its listener",
            )
            self._findings.warnings.append(server.problem(("http", "allow_anonymous"), why))
        if is_open and not options.allow_anonymous:
            why = Refused(
                "would let anybody on the network control the programs",
                "set username and password, or add an [identity.NAME], or listen on 127.0.0.1, or"
                " say allow_anonymous = true",
            )
            problem = server.problem(("http", "listen"), why, typed=f"'{options.listen}'")
            self._findings.problems.append(problem)
        return TcpServer(
            name="http",
            host=host,
            port=port,
            hosts=options.hosts,
            credentials=credentials,
            # Whoever says "anybody" means it, whoever else could prove to be somebody.
            identities=() if options.allow_anonymous else identities,
            allow_anonymous=options.allow_anonymous,
            tls=tls_spec(options),
        )

    def _tls_filled(self, table: _Table, prefix: KeyPath, options: _Tls) -> _Tls:
        """The options with whole paths."""
        return replace(
            options,
            tls_cert=self._path(table, (*prefix, "tls_cert"), options.tls_cert),
            tls_key=self._path(table, (*prefix, "tls_key"), options.tls_key),
            client_ca=self._path(table, (*prefix, "client_ca"), options.client_ca),
        )

    def _credentials(
        self,
        server: Server,
        name: str,
        options: LoginOptions,
        identities: tuple[Identity, ...],
    ) -> Credentials | None:
        if bool(options.username) != bool(options.password):
            given, lacking = "username", "password"
            if options.password:
                given, lacking = lacking, given
            why = Refused(f"is set without a {lacking}", "clients log in with both")
            self._findings.problems.append(server.problem((name, given), why))
        if not options.username:
            return None
        username = self._text(server, (name, "username"), options.username)
        password = self._text(server, (name, "password"), options.password)
        for option, value in (("username", username), ("password", password)):
            # A variable that is set to nothing would open the door.
            if options.password and not value:
                self._findings.problems.append(server.problem((name, option), _EMPTY))
        if any(username == identity.name for identity in identities):
            says = f"is what an identity is called too: '{username}'"
            why = Refused(says, "give one of the two another name")
            self._findings.problems.append(server.problem((name, "username"), why))
        return Credentials(username=username, password=password)

    def _account(
        self, table: _Table, option: KeyPath, text: str | None, look_up: Callable[[str], T]
    ) -> T | None:
        if text is None:
            return None
        try:
            return look_up(fill_variables(text, self._environ))
        except Refused as why:
            self._findings.problems.append(table.problem(option, why))
            return None

    def _path(self, table: _Table, option: KeyPath, path: str | None) -> str | None:
        return None if path is None else table.absolute(option, self._text(table, option, path))

    def _text(self, table: _Table, option: KeyPath, text: str) -> str:
        try:
            return fill_variables(text, self._environ)
        except Refused as why:
            self._findings.problems.append(table.problem(option, why))
            return text


def audit_log(options: AuditOptions, path: str | None) -> LogSpec:
    """The audit log that these options ask for, in this file."""
    return LogSpec(
        path=path, rotate_size=options.audit_rotate_size, rotate_keep=options.audit_rotate_keep
    )


def client_limits(options: LimitOptions) -> ClientLimits:
    """The limits that these options ask for."""
    return ClientLimits(
        connections=options.connections,
        request_timeout=options.request_timeout,
        idle_timeout=options.idle_timeout,
        answer_timeout=options.answer_timeout,
        failed_logins=options.failed_logins,
        session_idle_timeout=options.session_idle_timeout,
        session_lifetime=options.session_lifetime,
    )
