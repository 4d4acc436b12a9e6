"""Every option of opsvisord itself: where it listens, where it logs, what it remembers."""

from typing import Annotated

from opsvisor.config import kinds, network_kinds, units
from opsvisor.config.network_kinds import Address
from opsvisor.config.option import Doc, Required, Section
from opsvisor.config.schema_tls import ClientCa, ClientCert, TlsCert, TlsKey
from opsvisor.config.settings import ClientCertificates, LogLevel, OnCrash
from opsvisor.core.struct import Struct, field

HostNames = Annotated[
    tuple[str, ...],
    network_kinds.HOST_NAMES,
    Doc(
        text='Names by which it is asked, such as `["ops.example.org"]`. Then whoever asks by '
        "another is refused, before any password is looked at; addresses and this machine's "
        "own names always do. Without it that holds only where nobody has to log in."
    ),
]


class LoginOptions(Struct, frozen=True, kw_only=True):
    """What each kind of server may ask of its clients; both options or none."""

    username: Annotated[
        str, kinds.WORD, Doc(text="Name that clients log in with.", source="Supervisor")
    ] = ""
    password: Annotated[
        str,
        kinds.SECRET,
        Doc(text="Its password, plain or `{SHA}` and the SHA-1 in hex.", source="Supervisor"),
    ] = ""


class UnixOptions(LoginOptions, frozen=True, kw_only=True):
    """[server.unix]: the API on a unix socket."""

    path: Annotated[
        str,
        kinds.PATH,
        Doc(text="Where the socket is created.", supervisor=("file",)),
        Required('path = "/run/opsvisor/opsvisor.sock"'),
    ] = ""
    mode: Annotated[int, kinds.MODE, Doc(text="Who may connect.", supervisor=("chmod",))] = 0o600
    owner: Annotated[
        str | None,
        kinds.USER,
        Doc(
            text='Whose the socket is, `"user"` or `"user:group"`; without it, who started the '
            "daemon.",
            supervisor=("chown",),
        ),
    ] = None


class HttpOptions(LoginOptions, frozen=True, kw_only=True):
    """[server.http]: the API, the web UI and /metrics on TCP."""

    listen: Annotated[
        Address,
        network_kinds.ADDRESS,
        Doc(
            text='Such as `"127.0.0.1:9001"`; `":9001"` listens on all interfaces.',
            source="Prometheus",
            supervisor=("port",),
        ),
        Required('listen = "127.0.0.1:9001"'),
    ] = field(default_factory=Address)
    hosts: HostNames = ()
    allow_anonymous: Annotated[
        bool,
        kinds.BOOLEAN,
        Doc(text="Listen beyond this machine although anybody may then control the programs."),
    ] = False
    tls_cert: TlsCert = None
    tls_key: TlsKey = None
    client_ca: ClientCa = None
    client_cert: ClientCert = ClientCertificates.REQUIRED


class LimitOptions(Struct, frozen=True, kw_only=True):
    """[server.limits]: what clients may cost each listener, that of [metrics] included."""

    connections: Annotated[
        int,
        kinds.integer(8, 65536),
        Doc(
            text="Connections held at once. Then the one that has waited longest makes room, and "
            "where all are at work a new one is answered 503. Fewer where the system allows too "
            "few file descriptors for these and all programs."
        ),
    ] = 256
    request_timeout: Annotated[
        float,
        kinds.duration_from(1.0),
        Doc(text="How long a request may take to come in, its head and its body each."),
    ] = 20.0
    idle_timeout: Annotated[
        float,
        kinds.duration_from(1.0),
        Doc(text="How long a connection is kept for a next request."),
    ] = 120.0
    answer_timeout: Annotated[
        float,
        kinds.duration_from(1.0),
        Doc(text="How long a client may read an answer at less than 1 KiB a second."),
    ] = 30.0
    failed_logins: Annotated[
        int,
        kinds.integer(0, 10_000),
        Doc(
            text="Wrong passwords and tokens a minute of one address, or of one user on a unix "
            "socket, before further ones are answered 429 unread; 0 for any number. A proxy is "
            "one address."
        ),
    ] = 10
    session_idle_timeout: Annotated[
        float,
        kinds.duration_from(60.0),
        Doc(text="How long somebody who has logged in on the page stays so without using it."),
    ] = 3600.0
    session_lifetime: Annotated[
        float,
        kinds.duration_from(60.0),
        Doc(text="How long somebody stays logged in on the page, used or not."),
    ] = 43200.0


class ServerOptions(Struct, frozen=True, kw_only=True):
    """[server]: where the API listens. With neither, on a unix socket in the runtime directory."""

    unix: Annotated[
        UnixOptions | None,
        Section(options=UnixOptions, shorthand="path"),
        Doc(text="A unix socket; a plain string is its path."),
    ] = None
    http: Annotated[
        HttpOptions | None,
        Section(options=HttpOptions, shorthand="listen"),
        Doc(text="A TCP port; a plain string is its address."),
    ] = None
    limits: Annotated[
        LimitOptions | None,
        Section(options=LimitOptions),
        Doc(text="What clients may cost each listener."),
    ] = None
    supervisor_interfaces: Annotated[
        bool,
        kinds.BOOLEAN,
        Doc(
            text="Serve Supervisor's interfaces too: its XML-RPC on both servers, and its "
            "protocol for event listeners."
        ),
    ] = False


class AuditOptions(Struct, frozen=True, kw_only=True):
    """Where it is written who asked for what: in [daemon], or [opsvisor] of an INI file."""

    audit_log: Annotated[
        str | None,
        kinds.PATH,
        Doc(
            text="File for the audit log: who asked for what, from where, and what came of it, a "
            "line of JSON for each action. Without it they are lines of the daemon's own log, "
            "or with a file of Supervisor's in no log at all: events and a metric.",
        ),
    ] = None
    audit_rotate_size: Annotated[
        int,
        kinds.size(0, units.SIZE_MAX),
        Doc(text="As `log.rotate_size` of a program, for the audit log."),
    ] = 50 * 1024**2
    audit_rotate_keep: Annotated[
        int,
        kinds.integer(0, kinds.INTEGER_MAX),
        Doc(text="As `log.rotate_keep` of a program, for the audit log."),
    ] = 10


class SurvivalOptions(AuditOptions, frozen=True, kw_only=True):
    """How the daemon survives its own end: in [daemon], or [opsvisor] of Supervisor's format."""

    state_dir: Annotated[
        str | None,
        kinds.PATH,
        Doc(
            text="Where the daemon keeps what it needs to take its programs back after a crash, "
            "best on a tmpfs; by default a folder of its own in the runtime directory, named "
            "after the path of the configuration as it was given.",
        ),
    ] = None
    on_crash: Annotated[
        OnCrash,
        kinds.one_of(OnCrash),
        Doc(
            text="What becomes of the programs if the daemon is killed: the next one adopts them, "
            "or they are killed.",
        ),
    ] = OnCrash.ADOPT
    essential_exit_code: Annotated[
        int | None,
        kinds.integer(0, 255),
        Doc(
            text="Exit status of the daemon when `on_fatal` or `on_exit` of a program has ended "
            "it; by default that of the program, and 128 and the number if a signal ended it.",
        ),
    ] = None
    forward_signals: Annotated[
        tuple[int, ...],
        kinds.SIGNALS,
        Doc(
            text="Signals passed on to the main process of every program, which then mean nothing "
            'to the daemon itself, such as `["USR1", "WINCH"]` in a container.',
        ),
    ] = ()


class DaemonOptions(SurvivalOptions, frozen=True, kw_only=True):
    """[daemon]: the daemon, opsvisord, itself."""

    identifier: Annotated[
        str,
        kinds.WORD,
        Doc(text="What this daemon calls itself to clients.", source="Supervisor"),
    ] = "opsvisor"
    log: Annotated[
        str | None,
        kinds.PATH,
        Doc(text="File for the daemon's own log.", supervisor=("logfile",)),
    ] = None
    log_level: Annotated[
        LogLevel,
        kinds.one_of(LogLevel),
        Doc(text="How much it says there.", supervisor=("loglevel",)),
    ] = LogLevel.INFO
    log_syslog: Annotated[
        bool,
        kinds.BOOLEAN,
        Doc(text="Send the daemon's own log to the system's log as well.", source="Supervisor"),
    ] = False
    log_rotate_size: Annotated[
        int,
        kinds.size(0, units.SIZE_MAX),
        Doc(text="As `log.rotate_size` of a program.", supervisor=("logfile_maxbytes",)),
    ] = 50 * 1024**2
    log_rotate_keep: Annotated[
        int,
        kinds.integer(0, kinds.INTEGER_MAX),
        Doc(text="As `log.rotate_keep` of a program.", supervisor=("logfile_backups",)),
    ] = 10
    pid_file: Annotated[
        str | None,
        kinds.PATH,
        Doc(text="File that holds the daemon's process id.", supervisor=("pidfile",)),
    ] = None
    history_size: Annotated[
        int, kinds.integer(1, 1000), Doc(text="Finished runs remembered per process.")
    ] = 10
    ring_size: Annotated[
        int,
        kinds.size(1024, 1024**2),
        Doc(text="Recent output kept in memory per stream."),
    ] = 32 * 1024
    min_fds: Annotated[
        int,
        kinds.integer(0, kinds.INTEGER_MAX),
        Doc(
            text="File descriptors the daemon needs; it raises its limit, or refuses to start.",
            supervisor=("minfds",),
        ),
    ] = 1024
    min_procs: Annotated[
        int,
        kinds.integer(0, kinds.INTEGER_MAX),
        Doc(
            text="Processes its user must be allowed; it raises its limit, or refuses to start.",
            supervisor=("minprocs",),
        ),
    ] = 0
    cgroup: Annotated[
        str,
        kinds.CGROUP,
        Doc(
            text="Where each process gets a cgroup (version 2) of its own, which accounts for all "
            "that comes of it; by itself only in a place that was delegated to the daemon.",
        ),
    ] = "auto"
    user: Annotated[
        str | None,
        kinds.USER,
        Doc(
            text="Unix user that root gives way to, for the daemon and all it runs. Without a "
            "server in `[server]` it listens at `/run/opsvisor/user-UID/opsvisor.sock` then.",
        ),
    ] = None
    daemonize: Annotated[
        bool,
        kinds.BOOLEAN,
        Doc(text="Go to the background once everything listens.", supervisor=("nodaemon",)),
    ] = False
    working_dir: Annotated[
        str | None,
        kinds.PATH,
        Doc(text="Where it goes in the background.", supervisor=("directory",)),
    ] = None
    umask: Annotated[
        int | None,
        kinds.MODE,
        Doc(text="File mode creation mask of the daemon and of what it runs."),
    ] = None
    echo_log: Annotated[
        bool,
        kinds.BOOLEAN,
        Doc(
            text="Copy the daemon's log to standard output, unless in the background.",
            supervisor=("silent",),
        ),
    ] = True
    child_log_dir: Annotated[
        str | None,
        kinds.PATH,
        Doc(
            text='Where logs called `"auto"` are; by default the system\'s temporary directory.',
            supervisor=("childlogdir",),
        ),
    ] = None
    remove_auto_logs: Annotated[
        bool,
        kinds.BOOLEAN,
        Doc(
            text='Begin by removing the logs called `"auto"` of an earlier life.',
            supervisor=("nocleanup",),
        ),
    ] = False
