"""Every option of opsvisor.toml, once: its type, default and explanation.

Decoding, the suggestions in error messages and docs/reference/options.md all follow from these
classes; option.py says how they are written. What concerns the daemon is in schema_daemon.py, the
streams of a program in schema_streams.py, and its probes in schema_probes.py.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Annotated

from opsvisor.config import kinds
from opsvisor.config.kinds import Command
from opsvisor.config.option import Doc, PerProgram, Required, Section
from opsvisor.config.schema_daemon import DaemonOptions, ServerOptions
from opsvisor.config.schema_metrics import IdentityOptions, MetricsOptions
from opsvisor.config.schema_probes import ProbeOptions
from opsvisor.config.schema_resources import ResourceOptions
from opsvisor.config.schema_streams import LogOptions, SocketOptions
from opsvisor.core.spec import (
    ExitSet,
    OnEnd,
    ResourceLimit,
    RestartMode,
    Startup,
    StdinMode,
)
from opsvisor.core.struct import Struct, field

_PRIORITY = kinds.integer(-kinds.INTEGER_MAX - 1, kinds.INTEGER_MAX)
_COUNT = kinds.integer(0, 1000)

# Also in [opsvisor] of Supervisor's format, for all programs.
OnFatal = Annotated[
    OnEnd,
    kinds.one_of(OnEnd),
    Doc(
        text='What follows when it goes to FATAL: `"keep"` nothing for the others, `"shutdown"` '
        "stops everything and ends the daemon with its exit status, or 1 if that was 0. Then "
        "`fatal_retry_delay` means nothing.",
    ),
]
OnExit = Annotated[
    OnEnd,
    kinds.one_of(OnEnd),
    Doc(
        text="The same when it has ended by itself and `restart` leaves it so; not when it was "
        "stopped.",
    ),
]


class EarlyExit(Enum):
    """What an exit before `min_uptime` is."""

    BY_CODE = "by-code"
    FAILURE = "failure"


class KillTargets(Enum):
    """Who receives the stop signal, and who the SIGKILL."""

    CGROUP = "cgroup"
    GROUP = "group"
    PROCESS = "process"
    MIXED = "mixed"


class ProgramOptions(Struct, frozen=True, kw_only=True):
    """[program.X]: what to run, how to keep it running, how to stop it."""

    command: Annotated[
        Command,
        kinds.COMMAND,
        Doc(
            text="What to execute. An array is taken as it is, a string is split into words; "
            "no shell is involved. Words may contain `{replica}` and `${NAME}`.",
            supervisor=("command",),
        ),
        Required('command = "/usr/bin/python3 -u web.py"'),
        PerProgram(),
    ] = field(default_factory=Command)
    description: Annotated[
        str, kinds.TEXT, Doc(text="A few words for people.", source="systemd"), PerProgram()
    ] = ""
    startup: Annotated[
        Startup,
        kinds.one_of(Startup),
        Doc(
            text='`"enabled"`: started with the daemon. `"disabled"`: when its name, its group '
            'or `all` is started. `"manual"`: by its own name only.',
            source="Pebble",
            supervisor=("autostart",),
        ),
    ] = Startup.ENABLED
    group: Annotated[
        tuple[str, ...],
        kinds.GROUP_NAMES,
        Doc(
            text="Group it belongs to; by default one of its own, called like the program. In "
            "each of several groups it runs once more.",
            source="Supervisor",
            supervisor=("programs",),
        ),
        PerProgram(),
    ] = ()
    labels: Annotated[
        Mapping[str, str],
        kinds.LABELS,
        Doc(text="Free tags to select by.", source="Kubernetes"),
        PerProgram(),
    ] = field(default_factory=dict)
    replicas: Annotated[
        int,
        kinds.integer(0, 10_000),
        Doc(
            text="Number of processes. More than one are called `X_0`, `X_1`, ….",
            source="Compose",
            supervisor=("numprocs",),
        ),
        PerProgram(),
    ] = 1
    first_replica: Annotated[
        int,
        kinds.integer(-kinds.INTEGER_MAX - 1, kinds.INTEGER_MAX),
        Doc(text="Number of the first replica.", supervisor=("numprocs_start",)),
        PerProgram(),
    ] = 0
    process_name: Annotated[
        str,
        kinds.WORD,
        Doc(
            text="What its processes are called, if not as above: `{program}-{replica:02}`.",
            source="Supervisor",
            supervisor=("process_name",),
        ),
        PerProgram(),
    ] = ""
    priority: Annotated[
        int,
        _PRIORITY,
        Doc(text="Low numbers start first and stop last.", source="Supervisor"),
    ] = 999

    user: Annotated[
        str | None,
        kinds.USER,
        Doc(
            text="Unix user to run as, with all groups it belongs to.",
            source="Supervisor",
        ),
    ] = None
    working_dir: Annotated[
        str | None,
        kinds.PATH,
        Doc(
            text="Directory to run in.",
            source="Compose",
            supervisor=("directory",),
        ),
    ] = None
    umask: Annotated[
        int | None, kinds.MODE, Doc(text="File mode creation mask.", source="Supervisor")
    ] = None
    env_file: Annotated[
        tuple[str, ...],
        kinds.PATHS,
        Doc(
            text="Files of `NAME=value` lines, later ones winning. "
            "`environment` wins over all of them.",
            source="Compose",
        ),
    ] = ()
    environment: Annotated[
        Mapping[str, str],
        kinds.ENVIRONMENT,
        Doc(
            text="Variables laid over the daemon's own.",
            source="Supervisor",
        ),
    ] = field(default_factory=dict)
    nice: Annotated[
        int | None,
        kinds.integer(-20, 19),
        Doc(text="Scheduling priority; 19 is the most patient.", source="systemd"),
    ] = None
    oom_score_adj: Annotated[
        int | None,
        kinds.integer(-1000, 1000),
        Doc(text="Who goes first when memory runs out; 1000 volunteers.", source="Linux"),
    ] = None
    rlimits: Annotated[
        Mapping[str, ResourceLimit],
        kinds.RLIMITS,
        Doc(
            text='Limits as in setrlimit(2), such as `{ nofile = 65536, core = "unlimited" }`.',
            source="Linux",
        ),
    ] = field(default_factory=dict)
    resources: Annotated[
        ResourceOptions,
        Section(options=ResourceOptions),
        Doc(text="Limits of it and all that comes of it.", source="Linux"),
    ] = field(default_factory=ResourceOptions)
    new_session: Annotated[
        bool,
        kinds.BOOLEAN,
        Doc(text="Start it in a session of its own, not only in a process group.", source="POSIX"),
    ] = False
    stdin: Annotated[
        StdinMode,
        kinds.one_of(StdinMode),
        Doc(
            text='What standard input is: `"null"` is empty, into `"pipe"` clients can write.',
            source="Compose",
        ),
    ] = StdinMode.NULL
    socket: Annotated[
        SocketOptions | None,
        Section(options=SocketOptions, shorthand="listen"),
        Doc(
            text="Listen there, and give all processes of the program this socket as their "
            "standard input. It is made with the first and closed with the last; a plain string "
            "is its address.",
            source="Supervisor",
        ),
        PerProgram(),
    ] = None

    restart: Annotated[
        RestartMode,
        kinds.one_of(RestartMode),
        Doc(
            text="After which exits it is started again.",
            source="systemd",
            supervisor=("autorestart",),
        ),
    ] = RestartMode.ON_FAILURE
    success_exit_codes: Annotated[
        ExitSet,
        kinds.EXITS,
        Doc(text="Exits that are no failure.", source="systemd", supervisor=("exitcodes",)),
    ] = field(default_factory=lambda: ExitSet(codes=frozenset({0})))
    restart_prevent_exit_codes: Annotated[
        ExitSet,
        kinds.EXITS,
        Doc(text="Exits that end in FATAL at once, without another attempt.", source="systemd"),
    ] = field(default_factory=ExitSet)
    min_uptime: Annotated[
        float,
        kinds.DURATION,
        Doc(
            text="Uptime from which a start counts as successful.",
            source="pm2",
            supervisor=("startsecs",),
        ),
    ] = 1.0
    early_exit: Annotated[
        EarlyExit,
        kinds.one_of(EarlyExit),
        Doc(
            text='What an exit before `min_uptime` is: `"by-code"` judges it like any other, '
            '`"failure"` calls it a failed start whatever its code, and tries again whatever '
            "`restart` says.",
            source="Supervisor",
        ),
    ] = EarlyExit.BY_CODE
    backoff_delay: Annotated[
        float,
        kinds.DURATION,
        Doc(
            text="Delay after the first failed start, and after the second crash in a row; the"
            " first crash of a process that was up restarts it at once.",
            source="Pebble",
        ),
    ] = 0.5
    backoff_factor: Annotated[
        float,
        kinds.number(1),
        Doc(text="Each further delay is this many times the one before.", source="Pebble"),
    ] = 2.0
    backoff_limit: Annotated[
        float,
        kinds.DURATION,
        Doc(text="The longest delay, before jitter.", source="Pebble"),
    ] = 30.0
    backoff_jitter: Annotated[
        float,
        kinds.number(0, 1),
        Doc(text="Each delay grows by a random part of itself, up to this one."),
    ] = 0.1
    backoff_reset: Annotated[
        float,
        kinds.DURATION,
        Doc(text="A run this long forgets all earlier failures."),
    ] = 60.0
    start_backoff_step: Annotated[
        float | None,
        kinds.POSITIVE_DURATION,
        Doc(
            text="Makes the delays between failed starts grow by this, 1 s, 2 s, 3 s, …, instead "
            "of by `backoff_factor`, and without limit.",
            source="Supervisor",
        ),
    ] = None
    restart_limit_count: Annotated[
        int,
        _COUNT,
        Doc(
            text="More automatic restarts than this inside the interval end in FATAL; "
            "0 sets no limit.",
            source="dinit",
        ),
    ] = 8
    restart_limit_interval: Annotated[
        float,
        kinds.POSITIVE_DURATION,
        Doc(text="The interval that `restart_limit_count` looks back.", source="dinit"),
    ] = 600.0
    fatal_retry_delay: Annotated[
        float | None,
        kinds.DURATION_OR_NEVER,
        Doc(text='Time in FATAL before another attempt; `"never"` stays there.', source="circus"),
    ] = 900.0
    flapping_count: Annotated[
        int,
        _COUNT,
        Doc(
            text="More automatic restarts than this inside the interval, failed attempts "
            "included, are called flapping.",
            source="circus",
        ),
    ] = 3
    flapping_interval: Annotated[
        float,
        kinds.POSITIVE_DURATION,
        Doc(text="The interval that `flapping_count` looks back.", source="circus"),
    ] = 600.0
    start_retries: Annotated[
        int | None,
        kinds.integer(0, kinds.INTEGER_MAX),
        Doc(
            text="This many failed starts in a row are retried, the next one is FATAL; "
            "without it only the restart limit ends the attempts.",
            source="Supervisor",
            supervisor=("startretries",),
        ),
    ] = None

    on_fatal: OnFatal = OnEnd.KEEP
    on_exit: OnExit = OnEnd.KEEP

    stop_signal: Annotated[
        int,
        kinds.SIGNAL,
        Doc(
            text="How it is asked to end; 0 sends nothing and waits for `kill_delay`.",
            source="Docker",
            supervisor=("stopsignal",),
        ),
    ] = 15
    kill_delay: Annotated[
        float,
        kinds.DURATION,
        Doc(
            text="Time from the stop signal to SIGKILL.",
            source="Pebble",
            supervisor=("stopwaitsecs",),
        ),
    ] = 10.0
    kill_mode: Annotated[
        KillTargets,
        kinds.one_of(KillTargets),
        Doc(
            text='Who receives both signals: the `"process"`, or its whole process `"group"`. '
            '`"mixed"`: the stop signal goes to the process, SIGKILL to the group. `"cgroup"`: '
            "both go to the group, and whatever else came of the process is killed as soon as "
            "process and group are gone, by its cgroup or, where it has none, by a search.",
            source="systemd",
            supervisor=("stopasgroup", "killasgroup"),
        ),
    ] = KillTargets.CGROUP

    startup_probe: Annotated[
        ProbeOptions | None,
        Section(options=ProbeOptions),
        Doc(text="Asks whether it has come up."),
        PerProgram(),
    ] = None
    readiness_probe: Annotated[
        ProbeOptions | None,
        Section(options=ProbeOptions),
        Doc(text="Asks whether it can be used."),
        PerProgram(),
    ] = None
    liveness_probe: Annotated[
        ProbeOptions | None,
        Section(options=ProbeOptions),
        Doc(text="Asks whether it still works."),
        PerProgram(),
    ] = None

    events: Annotated[
        tuple[str, ...],
        kinds.EVENT_KINDS,
        Doc(
            text="Makes it an event listener: kinds of events that it is told on its standard "
            "input, by Supervisor's protocol. Needs `supervisor_interfaces` of [server].",
            source="Supervisor",
            supervisor=("events",),
        ),
        PerProgram(),
    ] = ()
    events_buffer: Annotated[
        int,
        kinds.integer(1, kinds.INTEGER_MAX),
        Doc(
            text="Number of events that wait for a listener; beyond it the oldest is dropped.",
            source="Supervisor",
            supervisor=("buffer_size",),
        ),
        PerProgram(),
    ] = 10

    log: Annotated[LogOptions, Section(options=LogOptions), Doc(text="Its output.")] = field(
        default_factory=LogOptions
    )


class GroupOptions(Struct, frozen=True, kw_only=True):
    """[group.X]: what programs with `group = "X"` have in common."""

    priority: Annotated[
        int | None,
        _PRIORITY,
        Doc(
            text="Low numbers start first and stop last. By default 999, or the priority of the "
            "program if the group has only one.",
            source="Supervisor",
        ),
    ] = None


class FileOptions(Struct, frozen=True, kw_only=True):
    """The top of the file."""

    schema: Annotated[
        int, kinds.integer(1, 1), Doc(text="Version of this format; there is only one.")
    ] = 1
    include: Annotated[
        tuple[str, ...],
        kinds.PATHS,
        Doc(
            text="Patterns of files with more [program.…] and [group.…] tables, relative to this "
            "file. Included files can't include others.",
            source="Supervisor",
            supervisor=("files",),
        ),
    ] = ()


# The tables of a file, in the order of the reference; those of NAMED exist once per name.
TABLES: Mapping[str, type] = {
    "defaults": ProgramOptions,
    "program": ProgramOptions,
    "group": GroupOptions,
    "server": ServerOptions,
    "daemon": DaemonOptions,
    "metrics": MetricsOptions,
    "identity": IdentityOptions,
}
NAMED = frozenset({"program", "group", "identity"})
