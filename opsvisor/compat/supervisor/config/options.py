"""Every option of Supervisor's sections: its name, its type, its default."""

from collections.abc import Iterable
from typing import Any, Generic

from opsvisor.compat.supervisor.config import values
from opsvisor.compat.supervisor.config.environment import Variables
from opsvisor.compat.supervisor.config.values import Kind, LogTarget, T_co
from opsvisor.config.settings import LogLevel
from opsvisor.core.spec import ExitSet, RestartMode
from opsvisor.core.struct import Struct

_MB = 1024 * 1024


class Option(Struct, Generic[T_co], frozen=True):
    """One key that may stand in a section. `default` counts where it doesn't.

    The value of a `secret` is never quoted in a message.
    """

    name: str
    kind: Kind[T_co]
    default: T_co
    secret: bool = False


class Supervisord:
    """[supervisord]: the daemon itself."""

    LOGFILE = Option("logfile", values.PATH_IN_DIRECTORY, "supervisord.log")
    LOGFILE_MAXBYTES = Option("logfile_maxbytes", values.BYTE_SIZE, 50 * _MB)  # 0 never rotates
    LOGFILE_BACKUPS = Option("logfile_backups", values.INTEGER, 10)  # 0 truncates
    LOGLEVEL = Option("loglevel", values.LOG_LEVEL, LogLevel.INFO)
    PIDFILE = Option("pidfile", values.PATH_IN_DIRECTORY, "supervisord.pid")
    UMASK = Option("umask", values.OCTAL, 0o022)
    NODAEMON = Option("nodaemon", values.BOOLEAN, default=False)
    SILENT = Option("silent", values.BOOLEAN, default=False)
    MINFDS = Option("minfds", values.INTEGER, 1024)
    MINPROCS = Option("minprocs", values.INTEGER, 200)
    NOCLEANUP = Option("nocleanup", values.BOOLEAN, default=False)
    CHILDLOGDIR: Option[str | None] = Option("childlogdir", values.EXISTING_DIRECTORY, None)
    USER = Option("user", values.USER, None)
    DIRECTORY: Option[str | None] = Option("directory", values.EXISTING_DIRECTORY, None)
    STRIP_ANSI = Option("strip_ansi", values.BOOLEAN, default=False)
    ENVIRONMENT = Option("environment", values.ENVIRONMENT, Variables({}), secret=True)
    IDENTIFIER = Option("identifier", values.TEXT, "supervisor")


class Server:
    """[unix_http_server] and [inet_http_server], and both with anything behind these words."""

    FILE: Option[str | None] = Option("file", values.SOCKET_PATH, None)
    CHMOD = Option("chmod", values.SOCKET_MODE, 0o700)
    CHOWN = Option("chown", values.OWNER, None)
    PORT = Option("port", values.INET_PORT, None)
    USERNAME: Option[str | None] = Option("username", values.TEXT, None, secret=True)
    PASSWORD: Option[str | None] = Option("password", values.TEXT, None, secret=True)


class Program:
    """[program:x], one group of `numprocs` processes. Output has options of its own: `Stream`."""

    COMMAND = Option("command", values.TEXT, "")  # must be there, may be empty
    PROCESS_NAME = Option("process_name", values.NAME, "%(program_name)s")
    NUMPROCS = Option("numprocs", values.COUNT, 1)
    NUMPROCS_START = Option("numprocs_start", values.INTEGER, 0)
    PRIORITY = Option("priority", values.INTEGER, 999)
    AUTOSTART = Option("autostart", values.BOOLEAN, default=True)
    AUTORESTART = Option("autorestart", values.AUTORESTART, RestartMode.ON_FAILURE)
    STARTSECS = Option("startsecs", values.SECONDS, 1)
    STARTRETRIES = Option("startretries", values.INTEGER, 3)
    EXITCODES = Option("exitcodes", values.EXIT_CODES, ExitSet(codes=frozenset({0})))
    STOPSIGNAL = Option("stopsignal", values.SIGNAL, 15)
    STOPWAITSECS = Option("stopwaitsecs", values.SECONDS, 10)
    STOPASGROUP = Option("stopasgroup", values.BOOLEAN, default=False)
    KILLASGROUP = Option("killasgroup", values.BOOLEAN, None)  # None: as stopasgroup
    USER = Option("user", values.USER, None)
    REDIRECT_STDERR = Option("redirect_stderr", values.BOOLEAN, default=False)
    ENVIRONMENT = Option("environment", values.ENVIRONMENT, Variables({}), secret=True)
    DIRECTORY: Option[str | None] = Option("directory", values.TEXT, None)
    UMASK = Option("umask", values.OCTAL, None)
    SERVERURL: Option[str | None] = Option("serverurl", values.SERVER_URL, None)


class Stream:
    """What [program:x] says about one of its outputs, `stdout` or `stderr`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.logfile: Option[str | LogTarget] = Option(
            f"{name}_logfile", values.LOG_FILE, LogTarget.AUTO
        )
        self.maxbytes = Option(f"{name}_logfile_maxbytes", values.BYTE_SIZE, 50 * _MB)
        self.backups = Option(f"{name}_logfile_backups", values.INTEGER, 10)
        self.capture = Option(f"{name}_capture_maxbytes", values.BYTE_SIZE, 0)
        self.events = Option(f"{name}_events_enabled", values.BOOLEAN, default=False)
        self.syslog = Option(f"{name}_syslog", values.BOOLEAN, default=False)

    def options(self) -> "list[Option[Any]]":
        """All of the above."""
        return [option for option in vars(self).values() if isinstance(option, Option)]


STDOUT = Stream("stdout")
STDERR = Stream("stderr")


class Group:
    """[group:x]: programs that are addressed and ordered together."""

    PROGRAMS: Option[tuple[str, ...]] = Option("programs", values.NAMES, ())
    PRIORITY = Option("priority", values.INTEGER, 999)


class EventListener:
    """[eventlistener:x], beside everything that [program:x] has."""

    EVENTS: Option[tuple[str, ...]] = Option("events", values.NAMES, ())
    BUFFER_SIZE = Option("buffer_size", values.INTEGER, 10)
    RESULT_HANDLER = Option(
        "result_handler", values.TEXT, "supervisor.dispatchers:default_handler"
    )
    # Of the pool: first to be started, last to be stopped. Written down, it is the processes' too.
    PRIORITY = Option("priority", values.INTEGER, -1)


class FcgiProgram:
    """[fcgi-program:x], beside everything that [program:x] has."""

    SOCKET: Option[str | None] = Option("socket", values.TEXT, None)
    SOCKET_OWNER: Option[tuple[int, int] | None] = Option("socket_owner", values.FCGI_OWNER, None)
    SOCKET_MODE: Option[int | None] = Option("socket_mode", values.FCGI_MODE, None)
    SOCKET_BACKLOG: Option[int | None] = Option("socket_backlog", values.BACKLOG, None)


class RpcInterface:
    """[rpcinterface:x]: everything else in it are arguments of the factory."""

    FACTORY: Option[str | None] = Option("supervisor.rpcinterface_factory", values.TEXT, None)


def options_of(table: type) -> "list[Option[Any]]":
    """The options that one of the classes above declares, in order."""
    return [option for option in vars(table).values() if isinstance(option, Option)]


def _names(*tables: "Iterable[Option[Any]]") -> frozenset[str]:
    return frozenset(option.name for table in tables for option in table)


_PROGRAM = _names(options_of(Program), STDOUT.options(), STDERR.options())
_UNIX_ONLY = _names([Server.FILE, Server.CHMOD, Server.CHOWN])

# Which keys a kind of section knows. Kinds that aren't here take any key, or are left out.
KNOWN_KEYS = {
    "supervisord": _names(options_of(Supervisord)),
    "unix_http_server": _names(options_of(Server)) - {Server.PORT.name},
    "inet_http_server": _names(options_of(Server)) - _UNIX_ONLY,
    "program": _PROGRAM,
    "eventlistener": _PROGRAM | _names(options_of(EventListener)),
    "fcgi-program": _PROGRAM | _names(options_of(FcgiProgram)),
    "group": _names(options_of(Group)),
    "include": frozenset({"files"}),
    "supervisorctl": frozenset({"serverurl", "username", "password", "prompt", "history_file"}),
}
