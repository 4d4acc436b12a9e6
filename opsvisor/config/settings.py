"""What the daemon itself is told to be, as opposed to what it is told to run."""

from dataclasses import dataclass, field
from enum import Enum

from opsvisor.config.problems import Problem
from opsvisor.core.plan import Plan
from opsvisor.core.spec import LogSpec, UserSpec


class Dialect(Enum):
    """Whose rules apply where the two formats differ."""

    NATIVE = "native"
    SUPERVISOR = "supervisor"


class LogLevel(Enum):
    """How much the daemon says about itself, in Supervisor's words."""

    CRITICAL = "critical"
    ERROR = "error"
    WARN = "warn"
    INFO = "info"
    DEBUG = "debug"
    TRACE = "trace"
    BLATHER = "blather"


class Collector(Enum):
    """A block of metrics that can be left out, by configuration and by each scrape."""

    STATE = "state"
    RESTARTS = "restarts"
    RESOURCES = "resources"
    CGROUP = "cgroup"
    LOGS = "logs"
    HEALTH = "health"
    EVENTS = "events"
    HTTP = "http"
    ENGINE = "engine"
    # These two cost so much that nobody has them who did not ask.
    PROPORTIONAL_MEMORY = "proportional-memory"
    CONTEXT_SWITCHES = "context-switches"


COLLECTORS_ON_REQUEST = frozenset({Collector.PROPORTIONAL_MEMORY, Collector.CONTEXT_SWITCHES})
USUAL_COLLECTORS = frozenset(Collector) - COLLECTORS_ON_REQUEST


class MetricsCompat(Enum):
    """Whose metric names can be told beside our own, for dashboards that exist."""

    NODE_SUPERVISORD = "node_supervisord"


class Access(Enum):
    """How far somebody may go. Each is all of those before it, and something more."""

    METRICS = "metrics"
    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"

    def covers(self, needed: "Access") -> bool:
        """Whether who has this access may do what needs that one."""
        in_order = tuple(Access)
        return in_order.index(self) >= in_order.index(needed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A user name and its password, plain or `{SHA}` + lower-case hex SHA-1."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Somebody who may come in, how far, and one way to prove to be that.

    `password` is as that of Credentials, with the name as user name. `token` is what a client
    sends as a bearer; what is in `token_file` counts at the time somebody comes.
    """

    name: str
    access: Access
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    token_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixServer:
    """The API on a unix socket. `owner` is (uid, gid), None leaves it as it is created.

    Who is let in by the mode of the socket may do everything, unless there are `credentials`:
    then those have to be shown, or the ones of an identity.
    """

    name: str
    path: str
    mode: int = 0o600
    owner: tuple[int, int] | None = None
    credentials: Credentials | None = None
    identities: tuple[Identity, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether nobody is asked who they are."""
        return self.credentials is None


class Offer(Enum):
    """What a server is there for."""

    EVERYTHING = "everything"
    METRICS = "metrics"  # and the probes, which are for everybody


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpServer:
    """The API, or a part of it, on TCP. `host` "" means all interfaces.

    Anything but loopback needs credentials or identities, unless `allow_anonymous` asks for it by
    name. `credentials` are those of somebody who may do everything.
    """

    name: str
    host: str
    port: int
    credentials: Credentials | None = None
    identities: tuple[Identity, ...] = ()
    allow_anonymous: bool = False
    offers: Offer = Offer.EVERYTHING

    @property
    def is_open(self) -> bool:
        """Whether nobody is asked who they are."""
        return self.credentials is None and not self.identities


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """What `/metrics` tells, and `server`, a listener of its own for it.

    `process_labels` names the labels of programs that `opsvisor_process_labels` shows.
    `proportional_memory_interval` is the time between two readings of it, in seconds.
    """

    server: TcpServer | None = None
    collectors: frozenset[Collector] = USUAL_COLLECTORS
    process_labels: tuple[str, ...] = ()
    compat: frozenset[MetricsCompat] = frozenset()
    proportional_memory_interval: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSettings:
    """Everything opsvisord needs to know about itself.

    `log.path` None keeps the daemon's log off the disk. `echo_log` copies it to standard output
    (foreground). `history_size` is the number of finished runs kept per process, `ring_size` the
    bytes of recent output kept in memory per stream. `auto_log_dir` is where the AUTO logs of an
    earlier life are removed, None leaves them. `cgroup` is the folder in which each process gets a
    cgroup of its own, "auto" for where the daemon is if that was delegated to it, or "off".
    `supervisor_interfaces`: whether Supervisor's XML-RPC and its event listener protocol are
    spoken.
    """

    dialect: Dialect = Dialect.NATIVE
    supervisor_interfaces: bool = False
    identifier: str = "opsvisor"
    servers: tuple[UnixServer | TcpServer, ...] = ()
    log: LogSpec = field(default_factory=LogSpec)
    log_level: LogLevel = LogLevel.INFO
    echo_log: bool = True
    pid_file: str | None = None
    daemonize: bool = False
    working_dir: str | None = None
    umask: int | None = None
    user: UserSpec | None = None
    min_fds: int = 1024
    min_procs: int = 0
    cgroup: str = "auto"
    history_size: int = 10
    ring_size: int = 32 * 1024
    auto_log_dir: str | None = None
    metrics: MetricsSettings = field(default_factory=MetricsSettings)

    @property
    def listeners(self) -> tuple[UnixServer | TcpServer, ...]:
        """Every server there is: those of the API, then that of the metrics."""
        own = self.metrics.server
        return self.servers if own is None else (*self.servers, own)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A configuration that was read without error. `files` are all that took part, in order."""

    plan: Plan
    settings: DaemonSettings
    files: tuple[str, ...]
    warnings: tuple[Problem, ...] = ()
