"""[supervisord] and the server sections become the settings of the daemon."""

from pathlib import Path

from opsvisor.compat.supervisor.config.expansions import Names
from opsvisor.compat.supervisor.config.ini import Ini
from opsvisor.compat.supervisor.config.options import Option, Server, Supervisord
from opsvisor.compat.supervisor.config.sections import Findings, SectionReader
from opsvisor.config.auto_log import usual_folder
from opsvisor.config.resolve_daemon import audit_log
from opsvisor.config.schema_daemon import SurvivalOptions
from opsvisor.config.settings import (
    ClientLimits,
    Credentials,
    DaemonSettings,
    Dialect,
    Identity,
    MetricsSettings,
    TcpServer,
    TlsSpec,
    UnixServer,
)
from opsvisor.core.spec import LogSpec
from opsvisor.core.struct import replace


def read_settings(
    reader: SectionReader,
    servers: tuple[UnixServer | TcpServer, ...],
    metrics: MetricsSettings,
    own: SurvivalOptions,
    limits: ClientLimits,
    *,
    start: Path,
) -> DaemonSettings:
    """What [supervisord] and our own sections say of the daemon. Relative paths begin in `start`.

    Supervisor changes its folder and its umask only on its way to the background, so with
    nodaemon they are None here.
    """
    nodaemon, silent = reader.get(Supervisord.NODAEMON), reader.get(Supervisord.SILENT)
    umask, directory = reader.get(Supervisord.UMASK), reader.get(Supervisord.DIRECTORY)
    log_dir = reader.get(Supervisord.CHILDLOGDIR) or usual_folder()
    nocleanup = reader.get(Supervisord.NOCLEANUP)
    return DaemonSettings(
        dialect=Dialect.SUPERVISOR,
        supervisor_interfaces=True,
        identifier=reader.get(Supervisord.IDENTIFIER),
        servers=servers,
        log=_log(reader, start),
        log_level=reader.get(Supervisord.LOGLEVEL),
        audit_log=audit_log(own, own.audit_log),
        echo_log=nodaemon and not silent,
        pid_file=str(start / reader.get(Supervisord.PIDFILE)),
        daemonize=not nodaemon,
        working_dir=None if nodaemon else directory,
        umask=None if nodaemon else umask,
        user=reader.get(Supervisord.USER),
        min_fds=reader.get(Supervisord.MINFDS),
        min_procs=reader.get(Supervisord.MINPROCS),
        auto_log_dir=None if nocleanup else log_dir,
        state_dir=own.state_dir,
        on_crash=own.on_crash,
        essential_exit_code=own.essential_exit_code,
        forward_signals=own.forward_signals,
        metrics=metrics,
        limits=limits,
    )


def _log(reader: SectionReader, start: Path) -> LogSpec:
    path = reader.get(Supervisord.LOGFILE)
    to_syslog = path == "syslog"
    return LogSpec(
        path=None if to_syslog else str(start / path),
        syslog=to_syslog,
        rotate_size=max(0, reader.get(Supervisord.LOGFILE_MAXBYTES)),
        rotate_keep=max(0, reader.get(Supervisord.LOGFILE_BACKUPS)),
    )


def read_servers(
    ini: Ini,
    names: Names,
    findings: Findings,
    identities: tuple[Identity, ...],
    *,
    start: Path,
    tls: TlsSpec | None = None,
    hosts: tuple[str, ...] = (),
) -> tuple[UnixServer | TcpServer, ...]:
    """The servers, those on unix sockets first, in order of appearance.

    One that asks for a password takes that of an identity too; one that asks for none goes on
    doing so, as everybody who uses it expects, but for a unix socket where an identity is a user.
    Sections are servers if their name only begins with the words, as in [inet_http_server:two].
    """
    sections = ini.sections.values()
    readers = [SectionReader(section, names, findings, start=start) for section in sections]
    on_unix = [_unix(r) for r in readers if r.section.name.startswith("unix_http_server")]
    on_tcp = [
        _tcp(r, tls, hosts) for r in readers if r.section.name.startswith("inet_http_server")
    ]
    return tuple(
        replace(server, identities=identities) if _asks(server, identities) else server
        for server in (*on_unix, *on_tcp)
        if server is not None
    )


def _asks(server: UnixServer | TcpServer, identities: tuple[Identity, ...]) -> bool:
    """Whether it asks who somebody is."""
    has_users = any(identity.local for identity in identities)
    return server.credentials is not None or (isinstance(server, UnixServer) and has_users)


def server_url(servers: tuple[UnixServer | TcpServer, ...]) -> str:
    """What children get as SUPERVISOR_SERVER_URL: the first unix socket, or else the last port.

    "" if there is no server. That it is the last of several ports is Supervisor's choice.
    """
    match servers[:1], servers[-1:]:
        case (UnixServer(path=path),), _:
            return f"unix://{path}"
        case _, (TcpServer(host=host, port=port, tls=tls),):
            return f"{'http' if tls is None else 'https'}://{host or 'localhost'}:{port}"
        case _:
            return ""


def _unix(reader: SectionReader) -> UnixServer | None:
    _require(reader, Server.FILE)
    path, credentials = reader.get(Server.FILE), _credentials(reader)
    mode, owner = reader.get(Server.CHMOD), reader.get(Server.CHOWN)
    if path is None:
        return None
    name = reader.section.name
    return UnixServer(name=name, path=path, mode=mode, owner=owner, credentials=credentials)


def _tcp(reader: SectionReader, tls: TlsSpec | None, hosts: tuple[str, ...]) -> TcpServer | None:
    _require(reader, Server.PORT)
    address, credentials = reader.get(Server.PORT), _credentials(reader)
    if address is None:
        return None
    host, port = address
    return TcpServer(
        name=reader.section.name,
        host=host,
        port=port,
        credentials=credentials,
        # Supervisor listens anyway. The daemon says so in its log, in Supervisor's words.
        allow_anonymous=True,
        hosts=hosts,
        tls=tls,
    )


def _require(reader: SectionReader, option: Option[object]) -> None:
    if not reader.has(option):
        what = f"section [{reader.section.name}] has no {option.name} value"
        reader.reject(option, what, f"{option.name} takes {option.kind.takes}")


def _credentials(reader: SectionReader) -> Credentials | None:
    has_username, has_password = reader.has(Server.USERNAME), reader.has(Server.PASSWORD)
    if has_username != has_password:
        reader.reject(
            Server.USERNAME if has_username else Server.PASSWORD,
            f"Section [{reader.section.name}] contains incomplete authentication: "
            "If a username or a password is specified, both the username and password must be "
            "specified",
        )
        return None
    username, password = reader.get(Server.USERNAME), reader.get(Server.PASSWORD)
    if username is None or password is None:
        return None
    if not username:
        reader.warn(Server.USERNAME, "username is empty, so nobody is asked for the password")
        return None
    return Credentials(username=username, password=password)
