"""The daemon's own options become its settings."""

import ipaddress
import os
from collections.abc import Mapping

from opsvisor.config.decode import Declared, Decoded
from opsvisor.config.findings import Findings
from opsvisor.config.schema_daemon import HttpOptions, LoginOptions, ServerOptions, UnixOptions
from opsvisor.config.search import default_socket
from opsvisor.config.settings import Credentials, DaemonSettings, TcpServer, UnixServer
from opsvisor.config.units import Refused
from opsvisor.core.spec import LogSpec

Server = Declared[ServerOptions]

_SOCKET_PATH_MAX = 107  # sun_path in unix(7), less the NUL at its end


def resolve_daemon(
    decoded: Decoded, environ: Mapping[str, str], findings: Findings
) -> DaemonSettings:
    """The settings that the decoded options ask for."""
    daemon = decoded.daemon
    options = daemon.options
    return DaemonSettings(
        identifier=options.identifier,
        servers=_servers(decoded.server, environ, findings),
        log=LogSpec(
            path=daemon.absolute(("log",), options.log) if options.log else None,
            rotate_size=options.log_rotate_size,
            rotate_keep=options.log_rotate_keep,
        ),
        log_level=options.log_level,
        pid_file=daemon.absolute(("pid_file",), options.pid_file) if options.pid_file else None,
        min_fds=options.min_fds,
        history_size=options.history_size,
        ring_size=options.ring_size,
    )


def _servers(
    server: Server, environ: Mapping[str, str], findings: Findings
) -> tuple[UnixServer | TcpServer, ...]:
    unix, http = server.options.unix, server.options.http
    if unix is None and http is None:
        return (UnixServer(name="unix", path=str(default_socket(environ))),)
    servers: list[UnixServer | TcpServer] = []
    if unix is not None and server.is_sound("unix"):
        servers.append(_unix(server, unix, findings))
    if http is not None and server.is_sound("http"):
        servers.append(_http(server, http, findings))
    return tuple(servers)


def _unix(server: Server, options: UnixOptions, findings: Findings) -> UnixServer:
    path = server.absolute(("unix", "path"), options.path)
    if len(os.fsencode(path)) > _SOCKET_PATH_MAX:
        says = f"is too long for a socket: '{path}'"
        why = Refused(says, f"the kernel takes {_SOCKET_PATH_MAX} bytes")
        findings.problems.append(server.problem(("unix", "path"), why))
    credentials = _credentials(server, "unix", options, findings)
    return UnixServer(name="unix", path=path, mode=options.mode, credentials=credentials)


def _http(server: Server, options: HttpOptions, findings: Findings) -> TcpServer:
    host, port = options.listen.host, options.listen.port
    credentials = _credentials(server, "http", options, findings)
    is_open = not (options.username or options.allow_anonymous or _is_loopback(host))
    if is_open:
        why = Refused(
            "would let anybody on the network control the programs",
            "set username and password, listen on 127.0.0.1, or say allow_anonymous = true",
        )
        typed = f"'{host}:{port}'"
        findings.problems.append(server.problem(("http", "listen"), why, typed=typed))
    return TcpServer(
        name="http",
        host=host,
        port=port,
        credentials=credentials,
        allow_anonymous=options.allow_anonymous,
    )


def _credentials(
    server: Server, name: str, options: LoginOptions, findings: Findings
) -> Credentials | None:
    if bool(options.username) != bool(options.password):
        given, lacking = "username", "password"
        if options.password:
            given, lacking = lacking, given
        why = Refused(f"is set without a {lacking}", "clients log in with both")
        findings.problems.append(server.problem((name, given), why))
    if not options.username:
        return None
    return Credentials(username=options.username, password=options.password)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
