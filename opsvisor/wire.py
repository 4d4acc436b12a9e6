"""The JSON of the HTTP API, version 1: what the server writes and the client reads.

These types belong to neither side: `api` fills them, `client` decodes them. They change only by
additions. Times are Unix seconds, lengths are seconds, sizes are bytes.
"""

from msgspec import Struct, field, json, to_builtins


class ProbeStatus(Struct, kw_only=True, frozen=True):
    """One probe of a process.

    `passing` is null until it has passed or failed in this run, or the last. `asked` says whether
    it is being asked; `question` is what, in words. `detail` and `duration` belong to the last
    answer, `wrong_in_a_row` to the last ones. `attempts` and `failures` are totals.
    """

    probe: str  # startup | readiness | liveness
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

    name: str  # as it is addressed: `name` or `group:name`
    group: str
    process: str
    program: str
    replica: int
    state: str
    state_code: int
    description: str
    reason: str
    since: float  # when it entered this state
    pid: int  # 0 if none
    ready: bool
    healthy: bool | None
    flapping: bool
    expected_running: bool
    started_at: float  # of the present or last run, 0 if never
    stopped_at: float  # of the last end, 0 if never
    uptime: float  # 0 if not alive
    starts: int
    restarts: int  # automatic ones
    failed_starts: int
    retry_at: float  # 0 if no attempt is due
    kills_survived: int
    exit_code: int | None  # of the last run that ended
    exit_signal: int | None
    spawn_error: str
    stdout_log: str
    stderr_log: str
    log_problem: str  # "" while the logs are written as they should
    priority: int
    group_priority: int
    startup: str
    labels: dict[str, str]
    cpu_seconds: float | None  # the whole tree, dead descendants included; null before a sample
    rss_bytes: int | None
    tree_processes: int | None
    open_fds: int | None
    probes: list[ProbeStatus] = field(default_factory=list)


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
    outcome: str  # `exit status 3`, `terminated by SIGSEGV (core dumped)`, or a spawn error
    exit_code: int | None
    exit_signal: str | None
    core_dumped: bool
    cause: str
    expected: bool
    decision: str  # what followed and why
    user_seconds: float
    system_seconds: float
    max_rss_bytes: int
    stderr_tail: list[str]
    stdout_tail: list[str]


class History(Struct, kw_only=True, frozen=True):
    """Why a process is as it is: now, its policy in words, and its last runs, newest first."""

    status: ProcessStatus
    policy: list[str]
    what_next: str
    hints: list[str]
    runs: list[Run]


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


class ActionRequest(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Do something to processes.

    `names`: `name`, `group:name`, `group:*`, `group:`, a glob such as `web-*`, or `all`.
    `wait` false answers as soon as the request is accepted. `timeout` bounds the waiting (null: as
    long as the process's own start and stop times allow); the action goes on when it is over.
    """

    action: str  # start | stop | restart | signal
    names: list[str]
    signal: str | int | None = None
    wait: bool = True
    timeout: float | None = None


class ActionResult(Struct, kw_only=True, frozen=True):
    """What became of one process (or of a name that is none).

    `result`: `ok`, `no_such_process`, `no_such_group`, `already_started`, `not_running`,
    `spawn_error`, `no_file`, `not_executable`, `abnormal_termination`, `failed`, `timeout`,
    `shutting_down`. `reason` says more, in words. What is no signal refuses the whole request, as
    problem `bad_signal`.
    """

    name: str
    group: str
    process: str
    result: str
    reason: str


class ActionResponse(Struct, kw_only=True, frozen=True):
    """One result for each process the names stood for."""

    results: list[ActionResult]


class LogText(Struct, kw_only=True, frozen=True):
    """A piece of a log. It ends at `offset`: ask on from there. `size` is the whole log's."""

    name: str
    stream: str
    text: str
    offset: int
    size: int


class ClearRequest(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Empty the logs of these processes."""

    names: list[str]


class StdinRequest(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Text for the standard input of a process."""

    text: str


class StdinResponse(Struct, kw_only=True, frozen=True):
    """How many bytes of the text as UTF-8 the process's pipe took, always whole characters."""

    written: int


class ConfigProblem(Struct, kw_only=True, frozen=True):
    """One thing that is wrong with a configuration file."""

    file: str
    line: int
    what: str
    hint: str


class ConfigChange(Struct, kw_only=True, frozen=True):
    """A process whose settings differ, in which ones, and whether it must restart for them."""

    name: str
    fields: list[str]
    restart: bool


class ConfigDiff(Struct, kw_only=True, frozen=True):
    """What `apply` would change, by process and by group."""

    added: list[str]
    changed: list[ConfigChange]
    removed: list[str]
    groups_added: list[str]
    groups_changed: list[str]
    groups_removed: list[str]
    daemon_changed: list[str]  # settings of the daemon itself that need `reload`
    warnings: list[ConfigProblem]


class ApplyRequest(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Read the files again and carry them out; `groups` empty means all of them.

    `reread` false applies what the last `reread` saw.
    """

    groups: list[str] = []
    reread: bool = True


class ApplyResponse(Struct, kw_only=True, frozen=True):
    """What was done: the diff, and per process what became of its stop or start."""

    generation: int
    diff: ConfigDiff
    results: list[ActionResult]


class GroupRequest(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Add groups that the last `reread` saw, or remove stopped ones."""

    groups: list[str]


class GroupResult(Struct, kw_only=True, frozen=True):
    """`result`: `ok`, `already_added`, `still_running`, `no_such_group`."""

    group: str
    result: str
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


class DaemonInfo(Struct, kw_only=True, frozen=True):
    """The daemon itself."""

    version: str
    identifier: str
    pid: int
    state: str
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


class TargetGroup(Struct, kw_only=True, frozen=True):
    """A target of Prometheus, as its http_sd_config has it.

    Labels are `__meta_opsvisor_identifier`, `__meta_opsvisor_host` (the machine's name) and
    `__meta_opsvisor_version`, and `__scheme__` behind a proxy that speaks HTTPS.
    """

    targets: list[str]  # host:port
    labels: dict[str, str]


class Event(Struct, kw_only=True, frozen=True):
    """A published fact. `kind` is in snake case, `detail` depends on it."""

    id: int
    at: float
    kind: str
    process: str  # "" for facts about the daemon
    text: str  # the same fact as a line for people
    detail: dict[str, str | int | float | bool | list[str] | None]


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
