"""What the daemon itself is told to be, as opposed to what it is told to run."""

from enum import Enum

from opsvisor.config.origins import Origins
from opsvisor.config.problems import Problem
from opsvisor.core.enums import HashedById
from opsvisor.core.plan import Plan
from opsvisor.core.spec import LogSpec, UserSpec
from opsvisor.core.struct import Struct, field, text_without


class Dialect(Enum):
    """Whose rules apply where the two formats differ."""

    NATIVE = "native"
    SUPERVISOR = "supervisor"


class LogLevel(HashedById):
    """How much the daemon says about itself, in Supervisor's words."""

    CRITICAL = "critical"
    ERROR = "error"
    WARN = "warn"
    INFO = "info"
    DEBUG = "debug"
    TRACE = "trace"
    BLATHER = "blather"


class OnCrash(Enum):
    """What becomes of the programs of a daemon that ends without having stopped them."""

    ADOPT = "adopt"  # they run on, and the next daemon takes them back
    KILL = "kill"  # they are killed, and the next daemon starts them afresh


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


class Credentials(Struct, frozen=True, kw_only=True):
    """A user name and its password, plain or `{SHA}` + lower-case hex SHA-1."""

    username: str
    password: str

    def __repr__(self) -> str:
        """Everything but the password."""
        return text_without(self, "password")


class LocalPeer(Struct, frozen=True, kw_only=True):
    """A user of this machine, or all of a group of it; where both are given, both have to hold."""

    uid: int | None = None
    gid: int | None = None


class ClientCertificate(Struct, frozen=True, kw_only=True):
    """What must stand in the certificate of a client; None is anything. All of it has to hold.

    `fingerprint` is the SHA-256 of the whole of it.
    """

    fingerprint: bytes | None = None
    common_name: str | None = None
    dns_name: str | None = None
    uri: str | None = None


class Identity(Struct, frozen=True, kw_only=True):
    """Somebody who may come in, how far, and the ways to prove to be that.

    `password` is as that of Credentials, with the name as user name. `token` is what a client
    sends as a bearer; what is in `token_file` counts at the time somebody comes. `token_hash` is
    the SHA-256 of such a token. Of these four there is one at most. `local` is who this is at the
    unix socket, and `certificate` who it is by TLS. `groups` are those whose processes there are
    for this identity, None for all.
    """

    name: str
    access: Access
    groups: frozenset[str] | None = None
    password: str | None = None
    token: str | None = None
    token_file: str | None = None
    token_hash: bytes | None = None
    local: LocalPeer | None = None
    certificate: ClientCertificate | None = None

    def __repr__(self) -> str:
        """Everything but the secrets."""
        return text_without(self, "password", "token", "token_hash")


class UnixServer(Struct, frozen=True, kw_only=True):
    """The API on a unix socket. `owner` is (uid, gid), None leaves it as it is created.

    Who is let in by the mode of the socket may do everything, unless there are `credentials` or
    identities that are known by their user: then all have to be somebody, but for root and our
    own user where there are no credentials.
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
        return self.credentials is None and not any(one.local for one in self.identities)


class ClientCertificates(Enum):
    """Whether clients have to show a certificate, where they are asked for one."""

    REQUIRED = "required"
    OPTIONAL = "optional"


class TlsSpec(Struct, frozen=True, kw_only=True):
    """The files of a server that speaks TLS. `key` None: the key is in the file of `cert`.

    `client_ca` holds who vouches for clients, None asks them for nothing.
    """

    cert: str
    key: str | None = None
    client_ca: str | None = None
    client_cert: ClientCertificates = ClientCertificates.REQUIRED


class Offer(Enum):
    """What a server is there for."""

    EVERYTHING = "everything"
    METRICS = "metrics"  # and the probes, which are for everybody


class TcpServer(Struct, frozen=True, kw_only=True):
    """The API, or a part of it, on TCP. `host` "" means all interfaces.

    Anything but loopback needs credentials or identities, unless `allow_anonymous` asks for it by
    name, or nobody is spoken with who shows no certificate. `credentials` are those of somebody
    who may do everything. `hosts` are the names by which it may be asked, besides its addresses
    and those of this machine; () where nobody has told.
    """

    name: str
    host: str
    port: int
    hosts: tuple[str, ...] = ()
    credentials: Credentials | None = None
    identities: tuple[Identity, ...] = ()
    allow_anonymous: bool = False
    offers: Offer = Offer.EVERYTHING
    tls: TlsSpec | None = None

    @property
    def is_open(self) -> bool:
        """Whether nobody is asked who they are."""
        return self.credentials is None and not self.identities


class ClientLimits(Struct, frozen=True, kw_only=True):
    """What clients may cost one listener. Times are in seconds.

    `connections` are held at once, of each listener: one full of strangers leaves the others as
    they are. `request_timeout` is how long a request may take to come in, `idle_timeout` how long
    a connection may wait for its next one, `answer_timeout` how long an answer may lie unread.
    `failed_logins` are wrong passwords and tokens a minute of one source; 0 is without limit.
    A session of a browser ends `session_idle_timeout` after its last use, and `session_lifetime`
    after it began.
    """

    connections: int = 256
    request_timeout: float = 20.0
    idle_timeout: float = 120.0
    answer_timeout: float = 30.0
    failed_logins: int = 10
    session_idle_timeout: float = 3600.0
    session_lifetime: float = 43200.0


class MetricsSettings(Struct, frozen=True, kw_only=True):
    """What `/metrics` tells, and `server`, a listener of its own for it.

    `process_labels` names the labels of programs that `opsvisor_process_labels` shows.
    `proportional_memory_interval` is the time between two readings of it, in seconds.
    """

    server: TcpServer | None = None
    collectors: frozenset[Collector] = USUAL_COLLECTORS
    process_labels: tuple[str, ...] = ()
    compat: frozenset[MetricsCompat] = frozenset()
    proportional_memory_interval: float = 300.0


class DaemonSettings(Struct, frozen=True, kw_only=True):
    """Everything opsvisord needs to know about itself.

    `log.path` None keeps the daemon's log off the disk, and `audit_log.path` None has who asked
    for what among its lines, unless that is Supervisor's activity log. `echo_log` copies it to
    standard output (foreground). `history_size` is the number of finished runs kept per process,
    `ring_size` the bytes of recent output kept in memory per stream. `auto_log_dir` is where the
    AUTO logs of an earlier life are removed, None leaves them. `cgroup` is the folder in which
    each process gets a cgroup of its own, "auto" for where the daemon is if that was delegated to
    it, or "off". `state_dir` is where it keeps what it needs to survive its own end, None for the
    usual place. `essential_exit_code` is its exit status if a program ended it, None for that of
    the program. `forward_signals` are passed on to programs, and mean nothing to the daemon
    itself. `supervisor_interfaces`: whether Supervisor's XML-RPC and its event listener protocol
    are spoken.
    """

    dialect: Dialect = Dialect.NATIVE
    supervisor_interfaces: bool = False
    identifier: str = "opsvisor"
    servers: tuple[UnixServer | TcpServer, ...] = ()
    log: LogSpec = LogSpec()
    log_level: LogLevel = LogLevel.INFO
    audit_log: LogSpec = LogSpec()
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
    state_dir: str | None = None
    on_crash: OnCrash = OnCrash.ADOPT
    essential_exit_code: int | None = None
    forward_signals: tuple[int, ...] = ()
    metrics: MetricsSettings = MetricsSettings()
    limits: ClientLimits = ClientLimits()

    @property
    def listeners(self) -> tuple[UnixServer | TcpServer, ...]:
        """Every server there is: those of the API, then that of the metrics."""
        own = self.metrics.server
        return self.servers if own is None else (*self.servers, own)


class Loaded(Struct, frozen=True, kw_only=True):
    """A configuration that was read without error. `files` are all that took part, in order."""

    plan: Plan
    settings: DaemonSettings
    files: tuple[str, ...]
    warnings: tuple[Problem, ...] = ()
    origins: Origins = field(default_factory=Origins)
