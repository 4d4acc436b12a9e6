"""The JSON of the HTTP API, version 1: what the server writes and the client reads.

These types belong to neither side: `api` fills them, `client` decodes them. They change only by
additions, and what is added has a default: after an upgrade of the package the new `opsvisorctl`
has to talk to the daemon that still runs. Times are Unix seconds, lengths are seconds, sizes are
bytes.

What is asked has its limits in the types (`Meta`), and is refused beyond them. What is answered
has none that a client would check: `one_of` tells what a text may be today, and a client must bear
another one.
"""

from collections.abc import Mapping
from signal import Signals
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct, field, json, to_builtins

StreamName = Literal["stdout", "stderr"]
AccessName = Literal["metrics", "read", "operate", "admin"]

_LONGEST_WAIT = 366 * 86400.0  # seconds
_SIGNAL_NAMES = "|".join(sorted(member.name.removeprefix("SIG") for member in Signals))
# Supervisor's, in the order of its numbers.
STATES = (
    "STOPPED",
    "STARTING",
    "RUNNING",
    "BACKOFF",
    "STOPPING",
    "EXITED",
    "FATAL",
    "UNKNOWN",
)

# What a `Struct` can't say by its fields: a class may have it as `more_schema`.
MoreSchema = Mapping[str, object]


def says(what: str) -> Meta:
    """What a field means, in the words of the reference."""
    return Meta(description=what)


def one_of(*texts: str, more: bool = False, what: str | None = None) -> Meta:
    """What a text may be. `more`: later versions may add to it."""
    key = "x-extensible-enum" if more else "enum"
    return Meta(description=what, extra_json_schema={key: list(texts)})


Names = Annotated[
    list[str],
    Meta(
        description="Each is `name`, `group:name`, `group:*`, `group:`, a glob such as `web-*`, or"
        " `all`",
        examples=[["web"]],
    ),
]


class ProbeStatus(Struct, kw_only=True, frozen=True):
    """One probe of a process.

    `passing` is null until it has passed or failed in this run, or the last. `asked` says whether
    it is being asked; `question` is what, in words. `detail` and `duration` belong to the last
    answer, `wrong_in_a_row` to the last ones. `attempts` and `failures` are totals.
    """

    probe: Annotated[str, one_of("startup", "readiness", "liveness", more=True)]
    question: str
    asked: bool
    passing: bool | None
    wrong_in_a_row: int
    attempts: int
    failures: int
    duration: float | None
    detail: str


class ProcessStatus(Struct, kw_only=True, frozen=True, omit_defaults=False):
    """One process as it is now.

    `state` is one of Supervisor's eight names, `description` what its `status` prints beside it.
    `ready` and `flapping` are facts of their own. `healthy` is what its startup and liveness
    probes say, null while they have nothing to say; `probes` are all it has.
    `expected_running` says whether it should be up. `reason` says why it is in this state.
    """

    name: Annotated[str, says("As it is addressed: `name` or `group:name`")]
    group: str
    process: str
    program: str
    replica: int
    state: Annotated[str, one_of(*STATES)]
    state_code: Annotated[int, says("The state as Supervisor numbers it")]
    description: str
    reason: str
    since: Annotated[float, says("When it entered this state")]
    pid: Annotated[int, says("0 if none")]
    ready: bool
    healthy: bool | None
    flapping: bool
    expected_running: bool
    started_at: Annotated[float, says("Of the present or last run, 0 if never")]
    stopped_at: Annotated[float, says("Of the last end, 0 if never")]
    uptime: Annotated[float, says("0 if not alive")]
    starts: int
    restarts: Annotated[int, says("Automatic ones")]
    failed_starts: int
    retry_at: Annotated[float, says("0 if no attempt is due")]
    kills_survived: int
    exit_code: Annotated[int | None, says("Of the last run that ended")]
    exit_signal: int | None
    spawn_error: str
    stdout_log: str
    stderr_log: str
    log_problem: Annotated[str, says('"" while the logs are written as they should')]
    cgroup: Annotated[
        str, says('Of its own, where all that comes of it is; "" if it has none')
    ] = ""
    limits_problem: Annotated[str, says('"" while its resources are limited as they should')] = ""
    priority: int
    group_priority: int
    startup: str
    labels: dict[str, str]
    cpu_seconds: Annotated[
        float | None, says("The whole tree, dead descendants included; null before a sample")
    ]
    rss_bytes: int | None
    tree_processes: int | None
    open_fds: int | None
    probes: list[ProbeStatus] = field(default_factory=list)
    cpu_usage: float | None = None  # cores in use between the last two samples; null before


class ProcessList(Struct, kw_only=True, frozen=True):
    """Every process asked for, in order of group and name."""

    processes: list[ProcessStatus]


class TreeMember(Struct, kw_only=True, frozen=True):
    """One live member of a process tree."""

    pid: int
    parent: int
    command: str
    cpu_seconds: float
    rss_bytes: int


class ProcessDetail(Struct, kw_only=True, frozen=True):
    """One process with what it was told to be and who is running for it."""

    status: ProcessStatus
    command: str
    working_dir: str
    user: str
    restart_policy: dict[str, str | int | float | None]
    tree: list[TreeMember]


class Run(Struct, kw_only=True, frozen=True):
    """One finished run: the post-mortem."""

    pid: int
    started_at: float
    ended_at: float
    uptime: float
    outcome: Annotated[
        str, says("`exit status 3`, `terminated by SIGSEGV (core dumped)`, or a spawn error")
    ]
    exit_code: int | None
    exit_signal: str | None
    core_dumped: bool
    cause: str
    expected: bool
    decision: Annotated[str, says("What followed and why")]
    user_seconds: float
    system_seconds: float
    max_rss_bytes: int
    stderr_tail: list[str]
    stdout_tail: list[str]


class Event(Struct, kw_only=True, frozen=True):
    """A published fact. `kind` is in snake case, `detail` depends on it."""

    id: int
    at: float
    kind: str
    process: Annotated[str, says('"" for facts about the daemon')]
    text: Annotated[str, says("The same fact as a line for people")]
    detail: dict[str, str | int | float | bool | list[str] | None]


class History(Struct, kw_only=True, frozen=True):
    """Why a process is as it is: now, its policy in words, and its last runs, newest first."""

    status: ProcessStatus
    policy: list[str]
    what_next: str
    hints: list[str]
    runs: list[Run]
    timeline: Annotated[
        list[Event],
        says("What happened to it lately, newest first, as far as the daemon remembers"),
    ] = field(default_factory=list)


class GroupStatus(Struct, kw_only=True, frozen=True):
    """A group and how many of its processes are in which state."""

    name: str
    priority: int
    processes: list[str]
    states: dict[str, int]


class GroupList(Struct, kw_only=True, frozen=True):
    """Every group, in order of priority and name."""

    groups: list[GroupStatus]


class ProgramStatus(Struct, kw_only=True, frozen=True):
    """A program as the configuration names it, and its processes."""

    name: str
    command: str
    processes: list[str]
    states: dict[str, int]


class ProgramList(Struct, kw_only=True, frozen=True):
    """Every program of the configuration, by name."""

    programs: list[ProgramStatus]


_Signal = (
    Annotated[
        str,
        Meta(extra_json_schema={"pattern": f"^((SIG)?({_SIGNAL_NAMES}))$", "examples": ["HUP"]}),
    ]
    | Annotated[
        float,  # JSON has one kind of number: 9.0 is 9
        Meta(
            extra_json_schema={
                "multipleOf": 1,
                "minimum": 1,
                "maximum": 64,
                "not": {"enum": [32, 33]},  # the C library's own (signal(7))
            }
        ),
    ]
    | None
)


class ActionRequest(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Do something to processes.

    `timeout` bounds the waiting (null: as long as the process's own start and stop times allow);
    the action goes on when it is over. `signal` is for the action `signal`: a number, or a name
    with or without SIG.
    """

    action: Annotated[str, one_of("start", "stop", "restart", "signal")]
    names: Names
    signal: _Signal = None
    wait: Annotated[bool, says("False: answer as soon as the request is accepted")] = True
    timeout: Annotated[float, Meta(ge=0, le=_LONGEST_WAIT)] | None = None

    more_schema: ClassVar[MoreSchema] = {
        "if": {"properties": {"action": {"const": "signal"}}},
        "then": {
            "required": ["signal"],
            "properties": {"signal": {"type": ["string", "integer"]}},
        },
    }


_RESULTS = (
    "ok",
    "no_such_process",
    "no_such_group",
    "already_started",
    "not_running",
    "spawn_error",
    "no_file",
    "not_executable",
    "abnormal_termination",
    "failed",
    "timeout",
    "shutting_down",
)


class ActionResult(Struct, kw_only=True, frozen=True):
    """What became of one process (or of a name that is none). `reason` says more, in words.

    What is no signal refuses the whole request, as problem `bad_signal`.
    """

    name: str
    group: str
    process: str
    result: Annotated[str, one_of(*_RESULTS, more=True)]
    reason: str


class ActionResponse(Struct, kw_only=True, frozen=True):
    """One result for each process the names stood for."""

    results: list[ActionResult]


class LogText(Struct, kw_only=True, frozen=True):
    """A piece of a log. It ends at `offset`: ask on from there. `size` is the whole log's.

    Where it was asked for by time: nothing of it was written before `at` (0 if that isn't known),
    and `remark` says what may be missing.
    """

    name: str
    stream: str
    text: str
    offset: int
    size: int
    at: float = 0.0
    remark: str = ""


class LogPiece(Struct, kw_only=True, frozen=True):
    """Text that was just written to a log; `offset` is where it ends."""

    text: str
    offset: int


class LogGap(Struct, kw_only=True, frozen=True):
    """The reader was too slow, or the log was cut: this many bytes were not sent."""

    lost_bytes: int


class LogNames(Struct, kw_only=True, frozen=True):
    """Whose logs a stream of several is about, from now on."""

    names: list[str]


class LogSaid(Struct, kw_only=True, frozen=True):
    """What one of several logs says. Its bytes lie between the offsets `begin` and `offset`.

    Offsets count from the first byte that the daemon has seen, so those of older output are below
    0. It was not written before `at` (0 if that isn't known). A line may come in several pieces.
    `anew`: there is another process of that name now, and its offsets begin anew.
    """

    name: str
    stream: StreamName
    text: str
    begin: int
    offset: int
    at: float
    anew: bool = False


class LogLost(Struct, kw_only=True, frozen=True):
    """Of one of several logs, these bytes were not sent: the reader was too slow for it."""

    name: str
    stream: StreamName
    lost_bytes: int


class LogRemark(Struct, kw_only=True, frozen=True):
    """Of one of several logs: what can't be told, and why."""

    name: str
    stream: StreamName
    text: str


class ClearRequest(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Empty the logs of these processes."""

    names: Names


class StdinRequest(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Text for the standard input of a process."""

    text: Annotated[str, Meta(examples=["hello\n"])]


class StdinResponse(Struct, kw_only=True, frozen=True):
    """How many bytes of the text as UTF-8 the process's pipe took, always whole characters."""

    written: int


class ConfigProblem(Struct, kw_only=True, frozen=True):
    """One thing that is wrong with a configuration file."""

    file: str
    line: int
    what: str
    hint: str


class ConfigValue(Struct, kw_only=True, frozen=True):
    """One option of a process as it is in use, in the words of opsvisor.toml.

    `value` is as one would write it, "" where it is left out. `origin` is the file and line that
    it was written on, as `FILE:LINE`, or `default`. `how` it came from there: "" as it is,
    `defaults` as what holds for all programs, `env_file`, or `template` with names or variables
    filled in. The value of a `secret` is "" for all but those with access `admin`.
    """

    name: str
    value: str
    origin: str
    how: Literal["", "defaults", "env_file", "template"] = ""
    is_default: bool
    secret: bool = False


class ProcessConfig(Struct, kw_only=True, frozen=True):
    """All options of a process as they are in use, which need not be what the files say by now."""

    name: str
    options: list[ConfigValue]


class ChangedValue(Struct, kw_only=True, frozen=True):
    """An option as it is and as it would be, as one would write it; "" where it is left out.

    The values of a `secret` are "" for all but those with access `admin`.
    """

    name: str
    old: str
    new: str
    secret: bool = False


class ConfigChange(Struct, kw_only=True, frozen=True):
    """A process whose settings differ, in which ones, and whether it must restart for them."""

    name: str
    fields: list[str]
    restart: bool
    values: list[ChangedValue] = field(default_factory=list)


class ConfigDiff(Struct, kw_only=True, frozen=True):
    """What `apply` would change, by process and by group."""

    added: list[str]
    changed: list[ConfigChange]
    removed: list[str]
    groups_added: list[str]
    groups_changed: list[str]
    groups_removed: list[str]
    daemon_changed: Annotated[list[str], says("Settings of the daemon itself that need `reload`")]
    warnings: list[ConfigProblem]


class ApplyRequest(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Read the files again and carry them out."""

    groups: Annotated[list[str], says("Only these; empty for all of them")] = []
    reread: Annotated[bool, says("False: apply what the last `reread` saw")] = True


class ApplyResponse(Struct, kw_only=True, frozen=True):
    """What was done: the diff, and per process what became of its stop or start."""

    generation: int
    diff: ConfigDiff
    results: list[ActionResult]


class GroupRequest(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Add groups that the last `reread` saw, or remove stopped ones."""

    groups: Annotated[list[str], Meta(examples=[["web"]])]


class GroupResult(Struct, kw_only=True, frozen=True):
    """What became of one group. `reason` says more, in words."""

    group: str
    result: Annotated[
        str, one_of("ok", "already_added", "still_running", "no_such_group", more=True)
    ]
    reason: str


class GroupResponse(Struct, kw_only=True, frozen=True):
    """One result per group asked for."""

    results: list[GroupResult]


class AvailableProcess(Struct, kw_only=True, frozen=True):
    """A process of the configuration as last read, in use or not."""

    name: str
    group: str
    process: str
    in_use: bool
    autostart: bool
    group_priority: int
    priority: int


class AvailableList(Struct, kw_only=True, frozen=True):
    """Every process of the configuration as last read."""

    processes: list[AvailableProcess]


class Upgraded(Struct, kw_only=True, frozen=True):
    """The last upgrade in place. `silence`: seconds during which requests had to wait."""

    from_version: str
    at: float
    silence: float


class DaemonInfo(Struct, kw_only=True, frozen=True):
    """The daemon itself."""

    version: str
    identifier: str
    pid: int
    state: Annotated[str, one_of("starting", "running", "reloading", "stopping", more=True)]
    started_at: float
    uptime: float
    config_files: list[str]
    generation: int
    last_reload_ok: bool
    last_reload_at: float
    last_reload_problems: list[ConfigProblem]
    processes: int
    python: str
    log_file: str
    user: str
    containment: Annotated[
        str, says("How all that comes of a process is found: `cgroup PATH`, or else")
    ] = ""
    upgrades: Annotated[int, says("Since it was started")] = 0
    last_upgrade: Upgraded | None = None


class UpgradeResponse(Struct, kw_only=True, frozen=True):
    """An upgrade that was tried out, and begins now."""

    from_version: str
    to_version: str
    pid: int


class TargetGroup(Struct, kw_only=True, frozen=True):
    """A target of Prometheus, as its http_sd_config has it.

    Labels are `__meta_opsvisor_identifier`, `__meta_opsvisor_host` (the machine's name) and
    `__meta_opsvisor_version`, and `__scheme__` behind a proxy that speaks HTTPS.
    """

    targets: Annotated[list[str], says("`host:port`")]
    labels: dict[str, str]


class Me(Struct, kw_only=True, frozen=True):
    """Who asks, as the daemon sees it.

    `name` is that of an identity, or "" where nobody has to say who they are. `can` are all the
    kinds of access that `access` covers. `groups` are those whose processes exist for you, null
    for all. `logged_in`: by a session, which ends at `expires_at` at the latest.
    """

    name: str
    access: AccessName
    can: list[AccessName]
    groups: list[str] | None
    logged_in: bool
    expires_at: float | None


class LoginRequest(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What somebody logs in with: a `token`, or a `username` and its `password`."""

    username: str = ""
    password: str = ""
    token: str = ""

    more_schema: ClassVar[MoreSchema] = {
        "oneOf": [
            {
                "required": ["token"],
                "properties": {"token": {"minLength": 1}, "username": {"maxLength": 0}},
            },
            {
                "required": ["username"],
                "properties": {"username": {"minLength": 1}, "token": {"maxLength": 0}},
            },
        ]
    }


class LoggedOut(Struct, kw_only=True, frozen=True):
    """There is no session any more."""


class UsageHistory(Struct, kw_only=True, frozen=True):
    """What a process used at each of the times that go with it; null where nothing is known.

    `cpu` is in cores, as a mean since the sample before.
    """

    cpu: list[float | None]
    rss: list[int | None]


class SampleList(Struct, kw_only=True, frozen=True):
    """The remembered samples of the last minutes, oldest first. All have the same times."""

    at: list[float]
    processes: dict[str, UsageHistory]


class ProcessSamples(Struct, kw_only=True, frozen=True):
    """The remembered samples of one process, oldest first."""

    name: str
    at: list[float]
    cpu: list[float | None]
    rss: list[int | None]


class Usage(Struct, kw_only=True, frozen=True):
    """What a process uses now: cores between the last two samples, and bytes."""

    cpu: float | None
    rss: int | None


class WatchSnapshot(Struct, kw_only=True, frozen=True):
    """How everything is: it takes the place of all that was told before."""

    processes: list[ProcessStatus]
    daemon: DaemonInfo


class WatchChanged(Struct, kw_only=True, frozen=True):
    """The processes that are new, or not as they were told before."""

    processes: list[ProcessStatus]


class WatchRemoved(Struct, kw_only=True, frozen=True):
    """Names of processes that are no more."""

    names: list[str]


class WatchSamples(Struct, kw_only=True, frozen=True):
    """What the processes use that run, by name. Those that it does not name do not run."""

    at: float
    samples: dict[str, Usage]


class EventGap(Struct, kw_only=True, frozen=True):
    """The first and last id of the events that could not be delivered."""

    lost: tuple[int, int]


class Upgrading(Struct, kw_only=True, frozen=True):
    """Farewell of a stream: another version of the daemon takes over, and answers in a moment.

    Ask again with this event's id as Last-Event-ID, and nothing is lost.
    """


class Nothing(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """An empty object: there is nothing to say, but it must be said as JSON.

    No form of a foreign web page can send that.
    """


class Agreed(Struct, kw_only=True, frozen=True):
    """What was asked for has begun."""


class Problem(Struct, kw_only=True, frozen=True):
    """RFC 9457 problem+json. `code` is for programs, `detail` and `hint` for people."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    hint: str = ""
    problems: list[ConfigProblem] = field(default_factory=list)


def encode(body: object) -> bytes:
    r"""One of these as JSON.

    Names, paths and arguments may hold bytes that are no text (PEP 383), which JSON can't have.
    They are written as `\udcff`, as in the metrics: one such name must not hide all the others.
    """
    try:
        return json.encode(body)
    except UnicodeEncodeError:  # so seldom that nothing is looked at before
        return json.encode(_texts(to_builtins(body)))


def as_text(name: str) -> str:
    r"""A name as it is told to others, with `\udcff` for a byte that is no text."""
    return name.encode(errors="backslashreplace").decode()


def _texts(value: object) -> object:
    match value:
        case str():
            return as_text(value)
        case dict():
            return {_texts(key): _texts(item) for key, item in value.items()}
        case list() | tuple():
            return [_texts(item) for item in value]
        case _:
            return value
