"""Every option of opsvisord itself: where it listens, where it logs, what it remembers."""

from dataclasses import dataclass, field
from typing import Annotated

from opsvisor.config import kinds, network_kinds, units
from opsvisor.config.network_kinds import Address
from opsvisor.config.option import Doc, Required, Section
from opsvisor.config.settings import LogLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginOptions:
    """What each kind of server may ask of its clients; both options or none."""

    username: Annotated[
        str, kinds.WORD, Doc(text="Name that clients log in with.", source="Supervisor")
    ] = ""
    password: Annotated[
        str,
        kinds.SECRET,
        Doc(text="Its password, plain or `{SHA}` and the SHA-1 in hex.", source="Supervisor"),
    ] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixOptions(LoginOptions):
    """[server.unix]: the API on a unix socket."""

    path: Annotated[
        str,
        kinds.PATH,
        Doc(text="Where the socket is created.", supervisor=("file",)),
        Required('path = "/run/opsvisor.sock"'),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions(LoginOptions):
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
    allow_anonymous: Annotated[
        bool,
        kinds.BOOLEAN,
        Doc(text="Listen beyond this machine although anybody may then control the programs."),
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
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
    supervisor_interfaces: Annotated[
        bool,
        kinds.BOOLEAN,
        Doc(
            text="Serve Supervisor's interfaces too: its XML-RPC on both servers, and its "
            "protocol for event listeners."
        ),
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonOptions:
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
        Doc(text="Unix user that root gives way to, for the daemon and all it runs."),
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
