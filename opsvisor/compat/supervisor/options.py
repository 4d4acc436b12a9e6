"""Every option of Supervisor's sections: its name, its type, its default, what it is for."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic

from opsvisor.compat.supervisor import values
from opsvisor.compat.supervisor.environment import Variables
from opsvisor.compat.supervisor.values import Kind, LogTarget, T_co
from opsvisor.config.settings import LogLevel
from opsvisor.core.spec import ExitSet, RestartMode

_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Option(Generic[T_co]):
    """One key that may stand in a section. `default` counts where it doesn't."""

    name: str
    kind: Kind[T_co]
    default: T_co
    doc: str


class Supervisord:
    """[supervisord]: the daemon itself."""

    LOGFILE = Option(
        "logfile", values.PATH_IN_DIRECTORY, "supervisord.log", "the daemon's own log"
    )
    LOGFILE_MAXBYTES = Option(
        "logfile_maxbytes", values.BYTE_SIZE, 50 * _MB, "rotate it at this size, 0 never does"
    )
    LOGFILE_BACKUPS = Option(
        "logfile_backups", values.INTEGER, 10, "old logs to keep, 0 truncates"
    )
    LOGLEVEL = Option("loglevel", values.LOG_LEVEL, LogLevel.INFO, "how much goes into it")
    PIDFILE = Option(
        "pidfile", values.PATH_IN_DIRECTORY, "supervisord.pid", "where the daemon's pid stands"
    )
    UMASK = Option("umask", values.OCTAL, 0o022, "of the daemon, when it goes to the background")
    NODAEMON = Option("nodaemon", values.BOOLEAN, default=False, doc="stay in the foreground")
    SILENT = Option(
        "silent", values.BOOLEAN, default=False, doc="no copy of the log on standard output"
    )
    MINFDS = Option("minfds", values.INTEGER, 1024, "file descriptors to ask the kernel for")
    MINPROCS = Option("minprocs", values.INTEGER, 200, "processes to ask the kernel for")
    NOCLEANUP = Option(
        "nocleanup", values.BOOLEAN, default=False, doc="leave old AUTO logs where they are"
    )
    CHILDLOGDIR: Option[str | None] = Option(
        "childlogdir", values.EXISTING_DIRECTORY, None, "folder of AUTO logs"
    )
    USER = Option("user", values.USER, None, "whom the daemon becomes")
    DIRECTORY: Option[str | None] = Option(
        "directory", values.EXISTING_DIRECTORY, None, "its folder when in the background"
    )
    STRIP_ANSI = Option(
        "strip_ansi", values.BOOLEAN, default=False, doc="take colours out of child logs"
    )
    ENVIRONMENT = Option("environment", values.ENVIRONMENT, Variables({}), "given to every child")
    IDENTIFIER = Option("identifier", values.TEXT, "supervisor", "tells daemons apart")


class Server:
    """[unix_http_server] and [inet_http_server], and both with anything behind these words."""

    FILE: Option[str | None] = Option("file", values.SOCKET_PATH, None, "path of the socket")
    CHMOD = Option("chmod", values.SOCKET_MODE, 0o700, "mode of the socket")
    CHOWN = Option("chown", values.OWNER, None, "owner of the socket")
    PORT = Option("port", values.INET_PORT, None, "where to listen")
    USERNAME: Option[str | None] = Option("username", values.TEXT, None, "asked of clients")
    PASSWORD: Option[str | None] = Option(
        "password", values.TEXT, None, "asked of clients, plain or {SHA} and its hash"
    )


class Program:
    """[program:x], one group of `numprocs` processes. Output has options of its own: `Stream`."""

    COMMAND = Option("command", values.TEXT, "", "what to run; must be there, may be empty")
    PROCESS_NAME = Option(
        "process_name", values.NAME, "%(program_name)s", "what each process is called"
    )
    NUMPROCS = Option("numprocs", values.INTEGER, 1, "how many of them")
    NUMPROCS_START = Option("numprocs_start", values.INTEGER, 0, "number of the first")
    PRIORITY = Option("priority", values.INTEGER, 999, "lower starts earlier and stops later")
    AUTOSTART = Option("autostart", values.BOOLEAN, default=True, doc="start with the daemon")
    AUTORESTART = Option(
        "autorestart", values.AUTORESTART, RestartMode.ON_FAILURE, "start again after a run"
    )
    STARTSECS = Option("startsecs", values.INTEGER, 1, "seconds until a start has succeeded")
    STARTRETRIES = Option("startretries", values.INTEGER, 3, "further attempts to start")
    EXITCODES = Option(
        "exitcodes", values.EXIT_CODES, ExitSet(codes=frozenset({0})), "expected ends of a run"
    )
    STOPSIGNAL = Option("stopsignal", values.SIGNAL, 15, "asks a process to end")
    STOPWAITSECS = Option("stopwaitsecs", values.INTEGER, 10, "seconds until SIGKILL")
    STOPASGROUP = Option(
        "stopasgroup", values.BOOLEAN, default=False, doc="ask the whole process group"
    )
    KILLASGROUP = Option(
        "killasgroup", values.BOOLEAN, None, "kill the whole process group, as stopasgroup"
    )
    USER = Option("user", values.USER, None, "whom the process runs as")
    REDIRECT_STDERR = Option(
        "redirect_stderr", values.BOOLEAN, default=False, doc="standard error into standard output"
    )
    ENVIRONMENT = Option("environment", values.ENVIRONMENT, Variables({}), "variables to set")
    DIRECTORY: Option[str | None] = Option("directory", values.TEXT, None, "where it runs")
    UMASK = Option("umask", values.OCTAL, None, "its umask")
    SERVERURL: Option[str | None] = Option(
        "serverurl", values.SERVER_URL, None, "SUPERVISOR_SERVER_URL, AUTO finds it"
    )


class Stream:
    """What [program:x] says about one of its outputs, `stdout` or `stderr`."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.logfile: Option[str | LogTarget] = Option(
            f"{channel}_logfile", values.LOG_FILE, LogTarget.AUTO, "where it goes"
        )
        self.maxbytes = Option(
            f"{channel}_logfile_maxbytes", values.BYTE_SIZE, 50 * _MB, "rotate at this size"
        )
        self.backups = Option(f"{channel}_logfile_backups", values.INTEGER, 10, "old logs to keep")
        self.capture = Option(
            f"{channel}_capture_maxbytes", values.BYTE_SIZE, 0, "buffer of capture mode"
        )
        self.events = Option(
            f"{channel}_events_enabled", values.BOOLEAN, default=False, doc="PROCESS_LOG events"
        )
        self.syslog = Option(
            f"{channel}_syslog", values.BOOLEAN, default=False, doc="copy lines to syslog"
        )

    def options(self) -> "list[Option[Any]]":
        """All of the above."""
        return [option for option in vars(self).values() if isinstance(option, Option)]


STDOUT = Stream("stdout")
STDERR = Stream("stderr")


class Group:
    """[group:x]: programs that are addressed and ordered together."""

    PROGRAMS: Option[tuple[str, ...]] = Option("programs", values.NAMES, (), "its members")
    PRIORITY = Option("priority", values.INTEGER, 999, "lower starts earlier and stops later")


class RpcInterface:
    """[rpcinterface:x]: everything else in it are arguments of the factory."""

    FACTORY: Option[str | None] = Option(
        "supervisor.rpcinterface_factory", values.TEXT, None, "module:callable"
    )


def options_of(table: type) -> "list[Option[Any]]":
    """The options that one of the classes above declares, in order."""
    return [option for option in vars(table).values() if isinstance(option, Option)]


def _names(*tables: "Iterable[Option[Any]]") -> frozenset[str]:
    return frozenset(option.name for table in tables for option in table)


_UNIX_ONLY = _names([Server.FILE, Server.CHMOD, Server.CHOWN])

# Which keys a kind of section knows. Kinds that aren't here take any key, or are left out.
KNOWN_KEYS = {
    "supervisord": _names(options_of(Supervisord)),
    "unix_http_server": _names(options_of(Server)) - {Server.PORT.name},
    "inet_http_server": _names(options_of(Server)) - _UNIX_ONLY,
    "program": _names(options_of(Program), STDOUT.options(), STDERR.options()),
    "group": _names(options_of(Group)),
    "include": frozenset({"files"}),
    "supervisorctl": frozenset({"serverurl", "username", "password", "prompt", "history_file"}),
}
