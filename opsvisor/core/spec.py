"""What the user wants of one process, with nothing left to resolve.

A spec is frozen and compares by value, so "did the configuration change?" is `old != new`.
Seconds are floats, sizes are bytes, signals are numbers: only the edges know "500ms" or "TERM".
"""

from collections.abc import Mapping
from enum import Enum
from typing import NewType, assert_never

from opsvisor.core.probes import ProbeKind, ProbeSpec
from opsvisor.core.struct import Value

Pid = NewType("Pid", int)
NOBODY = Pid(0)  # what stands where there is no process


class ProcessId(Value, frozen=True, order=True):
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


class OnEnd(Enum):
    """What it means to the daemon when a process has ended for good."""

    KEEP = "keep"  # nothing: the others run on
    SHUTDOWN = "shutdown"  # everything is stopped, and the daemon ends with its exit status


class StdinMode(Enum):
    """What a process finds on its standard input."""

    NULL = "null"
    PIPE = "pipe"  # held open; the API writes to it


class KillMode(Enum):
    """Who receives a signal: the process, all members of its process group, or its whole tree.

    A stop with `CGROUP` is over when nothing of the tree is left: what left the group ends too.
    """

    PROCESS = "process"
    GROUP = "group"
    CGROUP = "cgroup"


class ExitSet(Value, frozen=True):
    """Exit codes (0..255) and signal numbers that are treated alike."""

    codes: frozenset[int] = frozenset()
    signals: frozenset[int] = frozenset()


class LinearBackoff(Value, frozen=True, kw_only=True):
    """`step`, 2 × `step`, 3 × `step` … seconds: Supervisor's delays between start attempts."""

    step: float = 1.0


class ExponentialBackoff(Value, frozen=True, kw_only=True):
    """`delay` × `factor`^(n-1) seconds, at most `limit`, plus up to `jitter` (0..1) of itself."""

    delay: float = 0.5
    factor: float = 2.0
    limit: float = 30.0
    jitter: float = 0.1


Backoff = LinearBackoff | ExponentialBackoff


class RestartLimit(Value, frozen=True, kw_only=True):
    """More than `count` automatic restarts inside `interval` seconds end in FATAL."""

    count: int = 8
    interval: float = 600.0


class FlappingPolicy(Value, frozen=True, kw_only=True):
    """More than `count` automatic restarts inside `interval` seconds are called flapping."""

    count: int = 3
    interval: float = 600.0


class RestartPolicy(Value, frozen=True, kw_only=True):
    """Everything `restart.decide` looks at. Expresses Supervisor's behaviour and the native one.

    `early_exit_fails`: an exit before `min_uptime` is a failed start whatever its exit code and
        whatever `mode` says (Supervisor). Otherwise an early exit is judged like any other.
    `failed_starts_max`: this many failed starts in a row are retried, the next one is FATAL;
        None sets no such limit.
    `backoff_reset`: a run this long forgets all earlier failures.
    `fatal_retry_delay`: seconds in FATAL before the next attempt; None stays FATAL.
    """

    mode: RestartMode = RestartMode.ON_FAILURE
    success: ExitSet = ExitSet(codes=frozenset({0}))
    prevent: ExitSet = ExitSet()
    early_exit_fails: bool = False
    failed_starts_max: int | None = None
    start_backoff: Backoff = ExponentialBackoff()
    run_backoff: Backoff = ExponentialBackoff()
    backoff_reset: float = 60.0
    limit: RestartLimit | None = RestartLimit()
    fatal_retry_delay: float | None = 900.0
    flapping: FlappingPolicy = FlappingPolicy()


# A kill_delay of 0 asks for SIGKILL at once, not for a storm of them.
_SHORTEST_KILL_INTERVAL = 1.0


class StopPolicy(Value, frozen=True, kw_only=True):
    """How a process is asked to end: `signal`, then SIGKILL after `kill_delay` seconds."""

    signal: int = 15
    kill_delay: float = 10.0
    signal_mode: KillMode = KillMode.GROUP
    kill_mode: KillMode = KillMode.CGROUP

    def delay_of_kill(self, kills: int) -> float:
        """Seconds until SIGKILL, after so many of them."""
        return max(self.kill_delay, _SHORTEST_KILL_INTERVAL) if kills else self.kill_delay


class LogSpec(Value, frozen=True, kw_only=True):
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


class UnixSocketSpec(Value, frozen=True, kw_only=True):
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


class TcpSocketSpec(Value, frozen=True, kw_only=True):
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


class UserSpec(Value, frozen=True, kw_only=True):
    """The Unix identity a process runs under, already looked up."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()


class ResourceLimit(Value, frozen=True, kw_only=True):
    """One rlimit: `name` without RLIMIT_ in lower case; None means unlimited."""

    name: str
    soft: int | None
    hard: int | None


class Resources(Value, frozen=True, kw_only=True):
    """Limits of all that comes of one process, which takes a cgroup. None means no limit.

    Bytes of memory and swap cache: above `memory_high` it is slowed down, `memory_max` it can't
    pass. `cpu_max` is a share of one CPU: 1.5 is one and a half. `pids_max` counts threads too.
    `oom_group`: if the kernel kills one of them for want of memory, it kills all.
    """

    memory_max: int | None = None
    memory_high: int | None = None
    cpu_max: float | None = None
    pids_max: int | None = None
    oom_group: bool = False


class ProcessSpec(Value, frozen=True, kw_only=True):
    """One process, ready to be started.

    `argv` is what is executed; `command` is how the user wrote it. A command that can't be split
    leaves `argv` empty and says why in `command_problem`: that is a failed start, not a
    configuration error, because Supervisor treats it so and a team's other programs must start.
    `environment` is laid over the daemon's own environment.
    `stderr` None sends standard error where standard output goes. `socket` is what it finds on
    its standard input instead of what `stdin` says: all processes of the program share it.
    `on_fatal`: it went to FATAL, whether a slow retry would follow or not. `on_exit`: it ended by
    itself and its policy leaves it so; being stopped is another matter.
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
    resources: Resources = Resources()
    new_session: bool = False
    stdin: StdinMode = StdinMode.NULL
    socket: SocketSpec | None = None
    restart: RestartPolicy = RestartPolicy()
    stop: StopPolicy = StopPolicy()
    on_fatal: OnEnd = OnEnd.KEEP
    on_exit: OnEnd = OnEnd.KEEP
    stdout: LogSpec = LogSpec()
    stderr: LogSpec | None = LogSpec()
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
    def has_probes(self) -> bool:
        """Whether it has any probe at all: most have none."""
        return (self.startup_probe or self.readiness_probe or self.liveness_probe) is not None

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
