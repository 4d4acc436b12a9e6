"""What the user wants of one process, with nothing left to resolve.

A spec is frozen and compares by value, so "did the configuration change?" is `old != new`.
Seconds are floats, sizes are bytes, signals are numbers: only the edges know "500ms" or "TERM".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NewType, assert_never

from opsvisor.core.probes import ProbeKind, ProbeSpec

Pid = NewType("Pid", int)


@dataclass(frozen=True, slots=True, order=True)
class ProcessId:
    """One supervised process: the group it belongs to and its name there."""

    group: str
    name: str

    def __str__(self) -> str:
        """Supervisor's way of naming: `name` alone where the group is called the same."""
        return self.name if self.group == self.name else f"{self.group}:{self.name}"


class Startup(Enum):
    """When a process is started without being asked for by its own name."""

    ENABLED = "enabled"  # with the daemon
    DISABLED = "disabled"  # by its name, its group or `all`
    MANUAL = "manual"  # by its own name only


class RestartMode(Enum):
    """After which exits a process is started again."""

    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    NO = "no"


class StdinMode(Enum):
    """What a process finds on its standard input."""

    NULL = "null"
    PIPE = "pipe"  # held open; the API writes to it


class KillMode(Enum):
    """Who receives a signal: the process, or all members of its process group."""

    PROCESS = "process"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class ExitSet:
    """Exit codes (0..255) and signal numbers that are treated alike."""

    codes: frozenset[int] = frozenset()
    signals: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearBackoff:
    """`step`, 2 × `step`, 3 × `step` … seconds: Supervisor's delays between start attempts."""

    step: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExponentialBackoff:
    """`delay` × `factor`^(n-1) seconds, at most `limit`, plus up to `jitter` (0..1) of itself."""

    delay: float = 0.5
    factor: float = 2.0
    limit: float = 30.0
    jitter: float = 0.1


Backoff = LinearBackoff | ExponentialBackoff


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartLimit:
    """More than `count` automatic restarts inside `interval` seconds end in FATAL."""

    count: int = 8
    interval: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FlappingPolicy:
    """More than `count` automatic restarts inside `interval` seconds are called flapping."""

    count: int = 3
    interval: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """Everything `restart.decide` looks at. Expresses Supervisor's behaviour and the native one.

    `early_exit_fails`: an exit before `min_uptime` is a failed start whatever its exit code and
        whatever `mode` says (Supervisor). Otherwise an early exit is judged like any other.
    `failed_starts_max`: this many failed starts in a row are retried, the next one is FATAL;
        None sets no such limit.
    `backoff_reset`: a run this long forgets all earlier failures.
    `fatal_retry_delay`: seconds in FATAL before the next attempt; None stays FATAL.
    """

    mode: RestartMode = RestartMode.ON_FAILURE
    success: ExitSet = field(default_factory=lambda: ExitSet(codes=frozenset({0})))
    prevent: ExitSet = field(default_factory=ExitSet)
    early_exit_fails: bool = False
    failed_starts_max: int | None = None
    start_backoff: Backoff = field(default_factory=ExponentialBackoff)
    run_backoff: Backoff = field(default_factory=ExponentialBackoff)
    backoff_reset: float = 60.0
    limit: RestartLimit | None = field(default_factory=RestartLimit)
    fatal_retry_delay: float | None = 900.0
    flapping: FlappingPolicy = field(default_factory=FlappingPolicy)


@dataclass(frozen=True, slots=True, kw_only=True)
class StopPolicy:
    """How a process is asked to end: `signal`, then SIGKILL after `kill_delay` seconds."""

    signal: int = 15
    kill_delay: float = 10.0
    signal_mode: KillMode = KillMode.GROUP
    kill_mode: KillMode = KillMode.GROUP


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSpec:
    """Where one output stream goes.

    `path` None keeps the stream in memory only. `rotate_size` 0 never rotates; `rotate_keep` 0
    truncates instead of keeping backups. `private` creates the file with mode 0600. `told` hands
    what is read to whoever listens to output, chunk by chunk. With `message_limit` the text
    between two markers is a message to them, told or not, instead of part of the log: its newest
    bytes, up to this many. 0 looks for no markers. `syslog` sends each line to the system's log,
    besides.
    """

    path: str | None = None
    rotate_size: int = 50 * 1024 * 1024
    rotate_keep: int = 10
    strip_ansi: bool = False
    private: bool = False
    told: bool = False
    message_limit: int = 0
    syslog: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixSocketSpec:
    """A listening socket at a path. `owner` is (uid, gid), None is who runs the process.

    `backlog` None lets as many connections wait as the system allows.
    """

    path: str
    mode: int = 0o700
    owner: tuple[int, int] | None = None
    backlog: int | None = None

    @property
    def url(self) -> str:
        """How people write it."""
        return f"unix://{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpSocketSpec:
    """A listening socket on TCP. `host` "" means all interfaces; `backlog` as above."""

    host: str
    port: int
    backlog: int | None = None

    @property
    def url(self) -> str:
        """How people write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host or '*'}:{self.port}"


SocketSpec = UnixSocketSpec | TcpSocketSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSpec:
    """The Unix identity a process runs under, already looked up."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceLimit:
    """One rlimit: `name` without RLIMIT_ in lower case; None means unlimited."""

    name: str
    soft: int | None
    hard: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """One process, ready to be started.

    `argv` is what is executed; `command` is how the user wrote it. A command that can't be split
    leaves `argv` empty and says why in `command_problem`: that is a failed start, not a
    configuration error, because Supervisor treats it so and a team's other programs must start.
    `environment` is laid over the daemon's own environment.
    `stderr` None sends standard error where standard output goes. `socket` is what it finds on
    its standard input instead of what `stdin` says: all processes of the program share it.
    """

    id: ProcessId
    program: str
    replica: int = 0
    command: str
    argv: tuple[str, ...]
    command_problem: str = ""
    description: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    priority: int = 999
    startup: Startup = Startup.ENABLED
    min_uptime: float = 1.0
    user: UserSpec | None = None
    working_dir: str | None = None
    umask: int | None = None
    environment: tuple[tuple[str, str], ...] = ()
    nice: int | None = None
    oom_score_adj: int | None = None
    rlimits: tuple[ResourceLimit, ...] = ()
    new_session: bool = False
    stdin: StdinMode = StdinMode.NULL
    socket: SocketSpec | None = None
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    stop: StopPolicy = field(default_factory=StopPolicy)
    stdout: LogSpec = field(default_factory=LogSpec)
    stderr: LogSpec | None = field(default_factory=LogSpec)
    startup_probe: ProbeSpec | None = None
    readiness_probe: ProbeSpec | None = None
    liveness_probe: ProbeSpec | None = None

    def probe(self, kind: ProbeKind) -> ProbeSpec | None:
        """Its probe of this kind, None if it has none."""
        match kind:
            case ProbeKind.STARTUP:
                return self.startup_probe
            case ProbeKind.READINESS:
                return self.readiness_probe
            case ProbeKind.LIVENESS:
                return self.liveness_probe
            case never:
                assert_never(never)

    @property
    def is_asked_whether_ready(self) -> bool:
        """Whether probes decide when it is ready, not its being RUNNING alone."""
        return self.startup_probe is not None or self.readiness_probe is not None

    @property
    def may_be_restarted_for_health(self) -> bool:
        """Whether a probe of it exists whose failure restarts it."""
        return any(kind.is_vital and self.probe(kind) is not None for kind in ProbeKind)

    def environment_over(self, base: Mapping[str, str]) -> dict[str, str]:
        """The complete environment of the process: `base` overlaid with its own variables."""
        return {**base, **dict(self.environment)}
