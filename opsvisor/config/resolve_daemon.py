"""The daemon's own options become its settings."""

import ipaddress
import tempfile
from collections.abc import Callable, Mapping
from typing import TypeVar

from opsvisor.config import accounts
from opsvisor.config.decode import Declared, Decoded
from opsvisor.config.document import KeyPath
from opsvisor.config.findings import Findings
from opsvisor.config.listening import PATH_HINT, is_too_long
from opsvisor.config.schema_daemon import (
    DaemonOptions,
    HttpOptions,
    LoginOptions,
    ServerOptions,
    UnixOptions,
)
from opsvisor.config.search import default_socket
from opsvisor.config.settings import Credentials, DaemonSettings, TcpServer, UnixServer
from opsvisor.config.template import fill_variables
from opsvisor.config.units import Refused
from opsvisor.core.spec import LogSpec

T = TypeVar("T")

Server = Declared[ServerOptions]

_Table = Declared[ServerOptions] | Declared[DaemonOptions]


def resolve_daemon(
    decoded: Decoded, environ: Mapping[str, str], findings: Findings
) -> DaemonSettings:
    """The settings that the decoded options ask for."""
    return _Resolver(environ, findings).settings(decoded)


class _Resolver:
    """Resolves the daemon's options, in which variables of its environment may be named."""

    def __init__(self, environ: Mapping[str, str], findings: Findings) -> None:
        self._environ = environ
        self._findings = findings

    def settings(self, decoded: Decoded) -> DaemonSettings:
        daemon = decoded.daemon
        options = daemon.options
        return DaemonSettings(
            supervisor_interfaces=decoded.server.options.supervisor_interfaces,
            identifier=self._text(daemon, ("identifier",), options.identifier),
            servers=self._servers(decoded.server),
            log=LogSpec(
                path=self._path(daemon, ("log",), options.log),
                rotate_size=options.log_rotate_size,
                rotate_keep=options.log_rotate_keep,
                syslog=options.log_syslog,
            ),
            log_level=options.log_level,
            echo_log=options.echo_log and not options.daemonize,
            pid_file=self._path(daemon, ("pid_file",), options.pid_file),
            daemonize=options.daemonize,
            working_dir=self._path(daemon, ("working_dir",), options.working_dir),
            umask=options.umask,
            user=self._account(daemon, ("user",), options.user, accounts.look_up),
            min_fds=options.min_fds,
            min_procs=options.min_procs,
            history_size=options.history_size,
            ring_size=options.ring_size,
            auto_log_dir=self._auto_log_dir(daemon),
        )

    def _auto_log_dir(self, daemon: Declared[DaemonOptions]) -> str | None:
        if not daemon.options.remove_auto_logs:
            return None
        folder = self._path(daemon, ("child_log_dir",), daemon.options.child_log_dir)
        return folder or tempfile.gettempdir()

    def _servers(self, server: Server) -> tuple[UnixServer | TcpServer, ...]:
        unix, http = server.options.unix, server.options.http
        if unix is None and http is None:
            return (UnixServer(name="unix", path=str(default_socket(self._environ))),)
        servers: list[UnixServer | TcpServer] = []
        if unix is not None and server.is_sound("unix"):
            servers.append(self._unix(server, unix))
        if http is not None and server.is_sound("http"):
            servers.append(self._http(server, http))
        return tuple(servers)

    def _unix(self, server: Server, options: UnixOptions) -> UnixServer:
        option = ("unix", "path")
        path = self._path(server, option, options.path)
        assert path is not None
        if is_too_long(path):
            says = f"is too long for a socket: '{path}'"
            self._findings.problems.append(server.problem(option, Refused(says, PATH_HINT)))
        return UnixServer(
            name="unix",
            path=path,
            mode=options.mode,
            owner=self._account(server, ("unix", "owner"), options.owner, accounts.owner),
            credentials=self._credentials(server, "unix", options),
        )

    def _http(self, server: Server, options: HttpOptions) -> TcpServer:
        host, port = options.listen.host, options.listen.port
        credentials = self._credentials(server, "http", options)
        is_open = not (options.username or options.allow_anonymous or is_loopback(host))
        if is_open:
            why = Refused(
                "would let anybody on the network control the programs",
                "set username and password, listen on 127.0.0.1, or say allow_anonymous = true",
            )
            problem = server.problem(("http", "listen"), why, typed=f"'{host}:{port}'")
            self._findings.problems.append(problem)
        return TcpServer(
            name="http",
            host=host,
            port=port,
            credentials=credentials,
            allow_anonymous=options.allow_anonymous,
        )

    def _credentials(self, server: Server, name: str, options: LoginOptions) -> Credentials | None:
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
                self._findings.problems.append(server.problem((name, option), Refused("is empty")))
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


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to an address of this host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
