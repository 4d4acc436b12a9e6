"""The metrics of each supervised process: one table, from the name to how it is read."""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

from opsvisor.config.kinds import label_name
from opsvisor.config.settings import Collector, MetricsCompat, MetricsSettings
from opsvisor.core.instant import Instant
from opsvisor.core.outcome import Outcome
from opsvisor.core.state import PublicState
from opsvisor.runtime.cgroups import Throttling
from opsvisor.runtime.logs.capture import StreamStats
from opsvisor.runtime.sweep import TreeSample
from opsvisor.telemetry.families import Kind, escape
from opsvisor.telemetry.health import HEALTH_FAMILIES
from opsvisor.telemetry.node_supervisord import NODE_SUPERVISORD_FAMILIES
from opsvisor.telemetry.rows import Kept, ProcessFamily, Row, Several, Single

_PROCESS = ("group", "process")
_LONGEST_LABEL = 200  # characters: each is in every scrape, and in every series it is joined to
_STOPPED = "no process runs, or it was not sampled yet"
_NEVER_ENDED = "no run has ended"
_NO_QUOTA = "no CPU controller counts in a cgroup that is the process's own"


# Positional arguments, because they are the columns of the table below.
def _gauge(
    name: str, text: str, collector: Collector, read: Callable[[Row], float | None], when: str = ""
) -> Single:
    return Single(
        name=f"opsvisor_{name}",
        kind=Kind.GAUGE,
        help=text,
        collector=collector,
        labels=_PROCESS,
        when=when,
        read=read,
    )


def _counter(
    name: str, text: str, collector: Collector, read: Callable[[Row], float | None], when: str = ""
) -> Single:
    return Single(
        name=f"opsvisor_{name}",
        kind=Kind.COUNTER,
        help=text,
        collector=collector,
        labels=_PROCESS,
        when=when,
        read=read,
    )


def _several(
    name: str,
    text: str,
    collector: Collector,
    read: Callable[[Row], Sequence[str]],
    *,
    kind: Kind = Kind.COUNTER,
    labels: tuple[str, ...],
) -> Several:
    return Several(
        name=f"opsvisor_{name}",
        kind=kind,
        help=text,
        collector=collector,
        labels=(*_PROCESS, *labels),
        read=read,
    )


def _kept(
    name: str,
    text: str,
    collector: Collector,
    read: Callable[[Row], Sequence[str]],
    *,
    key: Callable[[Row], object],
    kind: Kind = Kind.COUNTER,
    labels: tuple[str, ...] = (),
    when: str = "",
) -> Kept:
    return Kept(
        name=f"opsvisor_{name}",
        kind=kind,
        help=text,
        collector=collector,
        labels=(*_PROCESS, *labels),
        when=when,
        read=read,
        key=key,
    )


def _of_tree(read: Callable[[TreeSample], float]) -> Callable[[Row], float | None]:
    return lambda row: read(row.tree) if row.tree is not None else None


def _of_quota(read: Callable[[Throttling], float]) -> Callable[[Row], float | None]:
    return lambda row: read(row.throttling) if row.throttling is not None else None


def _per_stream(read: Callable[[StreamStats], float]) -> Callable[[Row], Sequence[str]]:
    return lambda row: [
        f',stream="{name}"}} {read(stats)!r}\n' for name, stats in row.streams.items()
    ]


def _over_streams(read: Callable[[StreamStats], int]) -> Callable[[Row], int]:
    return lambda row: sum(map(read, row.streams.values()))


def _one_hot(current: PublicState) -> Sequence[str]:
    return [f',state="{state.value.lower()}"}} {int(state is current)}\n' for state in PublicState]


_STATES = {state: _one_hot(state) for state in PublicState}


def _static_facts(row: Row) -> Sequence[str]:
    spec = row.view.spec
    user = escape(spec.user.name) if spec.user is not None else ""
    mode, program = spec.restart.mode.value, escape(spec.program)
    return (f',autorestart="{mode}",program="{program}",user="{user}"}} 1\n',)


def _restarts(row: Row) -> Sequence[str]:
    return [f',reason="{r.value}"}} {count}\n' for r, count in row.counts.restarts.items()]


def _started(row: Row) -> Instant | None:
    return row.view.started if row.view.pid is not None else None


def _next_retry(row: Row) -> float | None:
    due = row.view.retry_at
    # To the millisecond: the two clocks are not read at quite the same moment, and a fact that
    # stays the same should look so.
    return round(row.now.wall_at(due), 3) if due is not None else None


def _cpu(row: Row) -> Sequence[str]:
    spent = row.spent
    return (
        f',mode="user"}} {spent.user_seconds!r}\n',
        f',mode="system"}} {spent.system_seconds!r}\n',
    )


def _context_switches(row: Row) -> Sequence[str]:
    spent = row.spent
    return (
        f',mode="voluntary"}} {spent.voluntary_switches!r}\n',
        f',mode="involuntary"}} {spent.involuntary_switches!r}\n',
    )


def _last_output(row: Row) -> float | None:
    return max([stats.last_output_at for stats in row.streams.values()], default=0.0) or None


def _last_exit(read: Callable[[Outcome], int]) -> Callable[[Row], int | None]:
    def read_last(row: Row) -> int | None:
        outcome = row.counts.last_outcome
        return read(outcome) if outcome is not None else None

    return read_last


def labels_family(names: Sequence[str]) -> Kept:
    """The labels of programs by these names, as kube-state-metrics tells those of pods."""
    shown = {name: label_name(name) for name in names}

    def read(row: Row) -> Sequence[str]:
        values = dict(row.view.spec.labels)
        pairs = [f',{shown[name]}="{escape(_cut(values.get(name, "")))}"' for name in names]
        return (f"{''.join(pairs)}}} 1\n",)

    return _kept(
        "process_labels",
        "Labels of the program that the settings allow, to join others with.",
        Collector.STATE,
        read,
        key=attrgetter("view.spec"),
        kind=Kind.GAUGE,
        labels=tuple(shown.values()),
        when="the settings allow none",
    )


def _cut(value: str) -> str:
    return value if len(value) <= _LONGEST_LABEL else f"{value[: _LONGEST_LABEL - 1]}…"


PROCESS_FAMILIES: tuple[ProcessFamily, ...] = (
    _kept(
        "process_info",
        "Facts that change with the configuration only.",
        Collector.STATE,
        _static_facts,
        key=attrgetter("view.spec"),
        kind=Kind.INFO,
        labels=("autorestart", "program", "user"),
    ),
    _kept(
        "process_state",
        "1 for the state the process is in, 0 for the seven others.",
        Collector.STATE,
        lambda row: _STATES[row.view.state],
        key=attrgetter("view.state"),
        kind=Kind.GAUGE,
        labels=("state",),
    ),
    _gauge(
        "process_state_code",
        "Supervisor's number of the state: 0 stopped, 10 starting, 20 running, 30 backoff,"
        " 40 stopping, 100 exited, 200 fatal, 1000 unknown.",
        Collector.STATE,
        lambda row: row.view.state.code,
    ),
    _kept(
        "process_state_entered_timestamp_seconds",
        "Unix time at which the present state began.",
        Collector.STATE,
        lambda row: (f"}} {row.view.since.wall!r}\n",),
        key=attrgetter("view.since"),
        kind=Kind.GAUGE,
    ),
    _gauge(
        "process_expected_running",
        "1 if it should be running, whatever it does.",
        Collector.STATE,
        lambda row: int(row.view.expected_running),
    ),
    _gauge(
        "process_up",
        "1 if a main process exists.",
        Collector.STATE,
        lambda row: int(row.view.pid is not None),
    ),
    _gauge(
        "process_ready",
        "1 if it is ready for work.",
        Collector.STATE,
        lambda row: int(row.view.ready),
    ),
    _kept(
        "process_start_time_seconds",
        "Unix time at which the present main process was started.",
        Collector.STATE,
        lambda row: [f"}} {started.wall!r}\n" for started in (_started(row),) if started],
        key=_started,
        kind=Kind.GAUGE,
        when="no process runs",
    ),
    _gauge(
        "process_last_ready_duration_seconds",
        "From its start to its being ready, the last time it became ready.",
        Collector.STATE,
        attrgetter("counts.ready_duration"),
        when="it never was",
    ),
    _counter(
        "process_starts_total",
        "Main processes spawned.",
        Collector.RESTARTS,
        attrgetter("counts.starts"),
    ),
    _counter(
        "process_spawn_failures_total",
        "Attempts at which no process could be made.",
        Collector.RESTARTS,
        attrgetter("counts.spawn_failures"),
    ),
    _kept(
        "process_restarts_total",
        "Starts that replaced an earlier run, by how that run ended.",
        Collector.RESTARTS,
        _restarts,
        key=attrgetter("counts.restarts"),
        labels=("reason",),
    ),
    _counter(
        "process_oom_kills_total",
        "OOM kills of the main process, and of its descendants where a cgroup counts them.",
        Collector.RESTARTS,
        lambda row: row.oom_kills,
    ),
    _gauge(
        "process_start_retries",
        "Failed starts in a row.",
        Collector.RESTARTS,
        attrgetter("view.failed_starts"),
    ),
    _gauge(
        "process_start_retries_limit",
        "Failed starts in a row that are retried; the next one is fatal.",
        Collector.RESTARTS,
        attrgetter("view.spec.restart.failed_starts_max"),
        when="no such limit is set",
    ),
    _gauge(
        "process_backoff_delay_seconds",
        "Delay before the next attempt, 0 if none is due.",
        Collector.RESTARTS,
        lambda row: row.view.retry_delay or 0.0,
    ),
    _gauge(
        "process_next_retry_timestamp_seconds",
        "Unix time of the next attempt to start.",
        Collector.RESTARTS,
        _next_retry,
        when="none is due",
    ),
    _gauge(
        "process_flapping",
        "1 while automatic restarts are more frequent than the flapping threshold.",
        Collector.RESTARTS,
        lambda row: int(row.view.flapping),
    ),
    _gauge(
        "process_unkillable",
        "1 while the process outlives SIGKILL (uninterruptible sleep).",
        Collector.STATE,
        lambda row: int(row.view.kills_survived > 0 and row.view.pid is not None),
    ),
    _counter(
        "process_running_seconds_total",
        "Time spent in RUNNING.",
        Collector.STATE,
        attrgetter("view.running_seconds"),
    ),
    _counter(
        "process_expected_seconds_total",
        "Time during which it should have been running.",
        Collector.STATE,
        attrgetter("view.expected_seconds"),
    ),
    *HEALTH_FAMILIES,
    _several(
        "process_cpu_seconds_total",
        "CPU time of the process tree over all runs, ended descendants included.",
        Collector.RESOURCES,
        _cpu,
        labels=("mode",),
    ),
    _gauge(
        "process_resident_memory_bytes",
        "Resident memory of the process tree; shared pages count for each member.",
        Collector.RESOURCES,
        _of_tree(lambda tree: tree.rss_bytes),
        when=_STOPPED,
    ),
    _gauge(
        "process_swap_bytes",
        "Swapped out memory of the process tree.",
        Collector.RESOURCES,
        _of_tree(lambda tree: tree.swap_bytes),
        when=_STOPPED,
    ),
    _gauge(
        "process_open_fds",
        "Open file descriptors of the process tree.",
        Collector.RESOURCES,
        _of_tree(lambda tree: tree.open_fds),
        when=_STOPPED,
    ),
    _gauge(
        "process_max_fds",
        "Soft limit of open file descriptors of the main process.",
        Collector.RESOURCES,
        lambda row: (row.tree.max_fds or None) if row.tree is not None else None,
        when=f"{_STOPPED}, or there is no limit",
    ),
    _gauge(
        "process_fd_usage_ratio",
        "Open file descriptors to their limit (0 to 1), of the worst member of the tree.",
        Collector.RESOURCES,
        _of_tree(lambda tree: tree.fd_usage_ratio),
        when=_STOPPED,
    ),
    _gauge(
        "process_threads",
        "Threads of the process tree.",
        Collector.RESOURCES,
        _of_tree(lambda tree: tree.threads),
        when=_STOPPED,
    ),
    _gauge(
        "process_tree_processes",
        "Living processes of the tree, the main process included.",
        Collector.RESOURCES,
        _of_tree(lambda tree: tree.processes),
        when=_STOPPED,
    ),
    _gauge(
        "process_tree_zombies",
        "Ended processes of the tree that nobody has waited for.",
        Collector.RESOURCES,
        _of_tree(lambda tree: tree.zombies),
        when=_STOPPED,
    ),
    _counter(
        "process_io_read_bytes_total",
        "Bytes the process tree had read from storage when it was last sampled.",
        Collector.RESOURCES,
        attrgetter("spent.io_read_bytes"),
    ),
    _counter(
        "process_io_written_bytes_total",
        "Bytes the process tree had written to storage when it was last sampled.",
        Collector.RESOURCES,
        attrgetter("spent.io_written_bytes"),
    ),
    _counter(
        "process_major_page_faults_total",
        "Page faults of the process tree that had to wait for storage.",
        Collector.RESOURCES,
        attrgetter("spent.major_faults"),
    ),
    _gauge(
        "process_proportional_memory_bytes",
        "Memory of the process tree in which a page shared by n processes counts 1/n for each.",
        Collector.PROPORTIONAL_MEMORY,
        lambda row: row.proportional_memory,
        when=f"{_STOPPED}; or its memory may not be looked at",
    ),
    _several(
        "process_context_switches_total",
        "Context switches of the process tree over all runs, as far as somebody saw them.",
        Collector.CONTEXT_SWITCHES,
        _context_switches,
        labels=("mode",),
    ),
    _counter(
        "process_cpu_periods_total",
        "Periods in which a CPU quota was enforced.",
        Collector.CGROUP,
        _of_quota(lambda throttling: throttling.periods),
        when=_NO_QUOTA,
    ),
    _counter(
        "process_cpu_throttled_periods_total",
        "Periods in which the process tree was held back because its CPU quota was used up.",
        Collector.CGROUP,
        _of_quota(lambda throttling: throttling.throttled_periods),
        when=_NO_QUOTA,
    ),
    _counter(
        "process_cpu_throttled_seconds_total",
        "Time for which the process tree was held back, summed over CPUs.",
        Collector.CGROUP,
        _of_quota(lambda throttling: throttling.throttled_seconds),
        when=_NO_QUOTA,
    ),
    _gauge(
        "process_cpu_limit_cpus",
        "CPUs that the quota of its cgroup, or of one above it, leaves the process.",
        Collector.CGROUP,
        lambda row: row.around.cpu_limit if row.around is not None else None,
        when="no quota applies, or it was not sampled yet",
    ),
    _gauge(
        "process_memory_limit_bytes",
        "Memory that the limit of its cgroup, or of one above it, leaves the process.",
        Collector.CGROUP,
        lambda row: row.around.memory_limit if row.around is not None else None,
        when="no limit applies, or it was not sampled yet",
    ),
    _several(
        "log_bytes_total",
        "Bytes of output read.",
        Collector.LOGS,
        _per_stream(lambda stats: stats.bytes),
        labels=("stream",),
    ),
    _several(
        "log_lines_total",
        "Lines of output read.",
        Collector.LOGS,
        _per_stream(lambda stats: stats.lines),
        labels=("stream",),
    ),
    _several(
        "log_dropped_lines_total",
        "Lines of output that were not written, or not sent to syslog.",
        Collector.LOGS,
        _per_stream(lambda stats: stats.dropped_lines),
        labels=("stream",),
    ),
    _counter(
        "log_rotations_total",
        "Rotations of the log files.",
        Collector.LOGS,
        _over_streams(lambda stats: stats.rotations),
    ),
    _counter(
        "log_write_errors_total",
        "Failed writes to the log files, and failed rotations of them.",
        Collector.LOGS,
        _over_streams(lambda stats: stats.write_errors),
    ),
    _gauge(
        "log_last_output_timestamp_seconds",
        "Unix time of the last output.",
        Collector.LOGS,
        _last_output,
        when="there was no output yet",
    ),
    _gauge(
        "log_file_size_bytes",
        "Size of the log files being written, without their rotated predecessors.",
        Collector.LOGS,
        _over_streams(lambda stats: stats.file_size),
    ),
    _gauge(
        "process_last_exit_timestamp_seconds",
        "Unix time at which the last run ended.",
        Collector.RESTARTS,
        lambda row: row.counts.exited_at if row.counts.last_outcome is not None else None,
        when=_NEVER_ENDED,
    ),
    _gauge(
        "process_last_exit_code",
        "Exit code of the last run that ended, -1 if a signal ended it or nobody saw how.",
        Collector.RESTARTS,
        _last_exit(lambda outcome: -1 if outcome.code is None else outcome.code),
        when=_NEVER_ENDED,
    ),
    _gauge(
        "process_last_exit_signal",
        "Signal that ended the last run, 0 if it exited or nobody saw how.",
        Collector.RESTARTS,
        _last_exit(lambda outcome: outcome.signum or 0),
        when=_NEVER_ENDED,
    ),
)


# Told in place of this one if the settings name labels; here for the documents.
LABELS_FAMILY = labels_family(())


def families_of(settings: MetricsSettings) -> Mapping[Collector, Sequence[ProcessFamily]]:
    """What these settings want to be told of each process, by collector."""
    families: list[ProcessFamily] = [*PROCESS_FAMILIES]
    if settings.process_labels:
        families.append(labels_family(settings.process_labels))
    if MetricsCompat.NODE_SUPERVISORD in settings.compat:
        families += NODE_SUPERVISORD_FAMILIES
    found: dict[Collector, list[ProcessFamily]] = {one: [] for one in settings.collectors}
    for family in families:
        if family.collector in found:
            found[family.collector].append(family)
    return found
