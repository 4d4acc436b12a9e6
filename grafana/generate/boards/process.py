"""Process: everything about one supervised process. What alerts and tables link to."""

from grafana.generate import look
from grafana.generate.board import Board, Row
from grafana.generate.metrics import Quantity
from grafana.generate.panel import Field, Query, Shape
from grafana.generate.panels import Column, Draw, Scale, stat, state_timeline, table, timeseries
from grafana.generate.scopes import (
    FAILED_RELOADS,
    GROUP_CHOICE,
    INSTANCE,
    JOB,
    ONE,
    PROCESS_CHOICE,
    RELOADS,
    SUPERVISOR_STARTS,
    fatal,
    process_starts,
)


def _rate(metric: str, by: str = "") -> str:
    return f"sum{by and f' by ({by})'} (rate({metric}{{{ONE}}}[$__rate_interval]))"


def _increase(metric: str, by: str = "", window: str = "$__rate_interval") -> str:
    return f"sum{by and f' by ({by})'} (increase({metric}{{{ONE}}}[{window}]))"


_FIRST_LINE = (
    stat(
        "State",
        "The state it is in. Normal is RUNNING, or EXITED for a job that has done its work. FATAL"
        " stays until somebody starts it; `opsvisorctl why NAME` tells how it came to this.",
        Query(text=f"max(opsvisor_process_state_code{{{ONE}}})"),
        size=(4, 4),
        look_of=Field(mappings=(look.STATES,)),
    ),
    stat(
        "For",
        "How long it has been in this state. Seconds of STARTING or STOPPING are normal, minutes"
        " are not.",
        Query(
            text=f"time() - max(opsvisor_process_state_entered_timestamp_seconds{{{ONE}}})",
        ),
        size=(3, 4),
        look_of=Field(unit="dtdurations", decimals=0),
    ),
    stat(
        "Readiness",
        "Whether it is ready for work, which is more than running: it said so itself, or its"
        " readiness check passed. Normal is ready. Not ready for longer than a start takes means"
        " that it waits for something.",
        Query(text=f"min(opsvisor_process_ready{{{ONE}}})"),
        size=(3, 4),
        look_of=Field(mappings=(look.READY,)),
    ),
    stat(
        "Condition",
        "Flapping if it restarts more often than flapping_count within flapping_interval;"
        " unkillable while it outlives SIGKILL, which only the kernel can end. Normal is steady.",
        Query(
            text=f"max(opsvisor_process_flapping{{{ONE}}})"
            f" + 2 * max(opsvisor_process_unkillable{{{ONE}}})"
        ),
        size=(3, 4),
        look_of=Field(mappings=(look.CONDITION,)),
    ),
    stat(
        "Last exit",
        "How its last run ended: the exit code, or the signal. Normal is 0, or what you stopped it"
        " with. Codes from 126 on come from shells:"
        " 126 not executable, 127 not found. SIGKILL that you did not send is mostly the kernel,"
        " out of memory.",
        Query(
            text=f"max(opsvisor_process_last_exit_code{{{ONE}}} >= 0"
            f" or {look.SIGNAL_BASE} + opsvisor_process_last_exit_signal{{{ONE}}})",
            unit="prefix:exit ",
            quantity=Quantity.EXIT,
        ),
        size=(4, 4),
        look_of=Field(
            unit="short",
            mappings=look.LAST_EXIT,
            steps=((look.NOTICE, None),),
            empty="no run has ended",
        ),
    ),
    stat(
        "Failed starts / allowed",
        "Failed starts in a row, beside how many of them are retried; one more is FATAL. Normal is"
        " 0. Only the first number is shown if nothing limits them.",
        Query(text=f"max(opsvisor_process_start_retries{{{ONE}}})", legend="failed"),
        Query(text=f"max(opsvisor_process_start_retries_limit{{{ONE}}})", legend="allowed"),
        size=(4, 4),
    ),
    stat(
        "Next try in",
        "Time to the next attempt to start it. Normal is empty: it is running, or meant to be"
        " down. `opsvisorctl start NAME` does not wait for it.",
        Query(
            text="clamp_min("
            f"max(opsvisor_process_next_retry_timestamp_seconds{{{ONE}}}) - time(), 0)"
        ),
        size=(3, 4),
        look_of=Field(unit="dtdurations", decimals=0, empty="none is due"),
    ),
)

_SECOND_LINE = (
    stat(
        "Availability",
        "Of the chosen time in which it should have run, the part in which it was RUNNING. Normal"
        " is above 99.9 %. From the daemon's own clock, so short failures count as well.",
        Query(
            text=f"{_increase('opsvisor_process_running_seconds_total', window='$__range')}"
            f" / ({_increase('opsvisor_process_expected_seconds_total', window='$__range')} > 0)",
        ),
        size=(4, 4),
        look_of=Field(
            steps=look.AVAILABILITY, decimals=2, high=1, empty="it was not expected to run"
        ),
    ),
    stat(
        "Running for",
        "Age of the present main process. Normal is the time since the last deploy: one that was"
        " no restart left the old code running.",
        Query(text=f"time() - max(opsvisor_process_start_time_seconds{{{ONE}}})"),
        size=(3, 4),
        look_of=Field(unit="dtdurations", decimals=0, empty="no process runs"),
    ),
    stat(
        "Restarts",
        "Restarts in the chosen time, for whatever reason. Normal are only those that you asked"
        " for; the graph below tells the reasons.",
        Query(text=_increase("opsvisor_process_restarts_total", window="$__range")),
        size=(3, 4),
        look_of=Field(decimals=0),
    ),
    stat(
        "Out of memory",
        "Times in the chosen time that the kernel killed something in its tree for want of memory."
        " Normal is 0. Raise the limit, or find what grows: see Memory below.",
        Query(text=_increase("opsvisor_process_oom_kills_total", window="$__range")),
        size=(3, 4),
        look_of=Field(steps=look.NONE_IS_GOOD, decimals=0, empty="unknown"),
    ),
    table(
        "Facts",
        "What the configuration says of it: the program it belongs to, when it is restarted, and"
        " as whom it runs. Normal is what you deployed; a host with"
        " other facts has another configuration.",
        Query(
            text=f"opsvisor_process_info{{{ONE}}}",
            shape=Shape.TABLE,
        ),
        size=(11, 4),
        columns=(
            Column(source="instance", title="Instance"),
            Column(source="program", title="Program"),
            Column(source="autorestart", title="Restart"),
            Column(source="user", title="User"),
        ),
        hidden=("__name__", "job", "group", "process", "Value"),
    ),
)

_STATES = (
    state_timeline(
        "State over time",
        "What it did. Normal is green without gaps. Orange is waiting after a failure, red given"
        " up; short blue and purple are starts and stops.",
        Query(text=f"opsvisor_process_state_code{{{ONE}}}", legend="{{instance}}"),
        size=(12, 5),
        look_of=Field(mappings=(look.STATES,)),
    ),
    state_timeline(
        "Health checks",
        "Whether each of its checks passed. Normal is green. Red while the state above is green:"
        " it runs, and does not do its work. `opsvisorctl status NAME` has the last answer.",
        Query(text=f"opsvisor_health_check_up{{{ONE}}}", legend="{{check}}"),
        size=(12, 5),
        look_of=Field(mappings=(look.HEALTH,), empty="no health check is configured"),
    ),
)

_RESTARTS = (
    timeseries(
        "Restarts by reason",
        "Starts that replaced an earlier run, by how that ended. Normal is only what you did:"
        " manual and config. `start_failure` ended too early, `failure` with an unexpected exit"
        " code, `signal` by one that opsvisord did not send, `unknown` while nobody was there.",
        Query(text=_increase("opsvisor_process_restarts_total", "reason"), legend="{{reason}}"),
        size=(12, 8),
        look_of=Field(colours=look.REASON_COLOURS),
        draw=Draw.BARS,
    ),
    timeseries(
        "Starts and attempts that failed",
        "Processes that were made, and attempts at which none could be: no such file, no"
        " permission, no memory. Normal is few of the first and none of the second.",
        Query(text=_increase("opsvisor_process_starts_total"), legend="started"),
        Query(text=_increase("opsvisor_process_spawn_failures_total"), legend="not startable"),
        size=(6, 8),
        look_of=Field(colours={"started": look.GOOD, "not startable": look.BAD}),
        draw=Draw.BARS,
    ),
    timeseries(
        "Backoff delay",
        "How long it is made to wait before the next attempt. Normal is 0. Steps upwards are"
        " failure after failure; the ceiling is backoff_limit.",
        Query(text=f"max(opsvisor_process_backoff_delay_seconds{{{ONE}}})", legend="delay"),
        size=(6, 8),
        look_of=Field(colours={"delay": look.NOTICE}),
    ),
)

_RESOURCES = (
    timeseries(
        "CPU by mode",
        "CPU of the whole tree, ended children included; 100 % is one CPU. Normal follows the"
        " load; much `system` is many system calls. The dashed line is the quota of its cgroup,"
        " if it has one: what touches it is throttled.",
        Query(text=_rate("opsvisor_process_cpu_seconds_total", "mode"), legend="{{mode}}"),
        Query(
            text=f"sum(opsvisor_process_cpu_limit_cpus{{{ONE}}})",
            legend="quota",
            quantity=Quantity.SHARE,
        ),
        size=(12, 8),
        look_of=Field(colours=look.MODE_COLOURS),
        draw=Draw.STACKED,
        dashed=("quota",),
    ),
    timeseries(
        "Memory and limit",
        "Resident memory of the whole tree, what of it was swapped out, and the limit that holds,"
        " dashed. `proportional` counts shared pages once; it is only there if that collector is"
        " on. Normal is level; a line that only rises towards the limit ends with a kill.",
        Query(text=f"sum(opsvisor_process_resident_memory_bytes{{{ONE}}})", legend="resident"),
        Query(
            text=f"sum(opsvisor_process_proportional_memory_bytes{{{ONE}}})",
            legend="proportional",
        ),
        Query(text=f"sum(opsvisor_process_swap_bytes{{{ONE}}})", legend="swap"),
        Query(text=f"sum(opsvisor_process_memory_limit_bytes{{{ONE}}})", legend="limit"),
        size=(12, 8),
        look_of=Field(
            colours={"resident": "blue", "proportional": "purple", "swap": look.NOTICE},
            empty="no process runs",
        ),
        dashed=("limit",),
    ),
    timeseries(
        "File descriptors",
        "Open files, sockets and pipes of the whole tree, and the soft limit of the main process,"
        " dashed. The limit holds for each member alone, so a tree may be above it. Logarithmic."
        " Normal is level; what only rises is not closed somewhere.",
        Query(text=f"sum(opsvisor_process_open_fds{{{ONE}}})", legend="open"),
        Query(text=f"max(opsvisor_process_max_fds{{{ONE}}})", legend="limit"),
        size=(8, 8),
        look_of=Field(colours={"open": "blue"}, empty="no process runs"),
        dashed=("limit",),
        scale=Scale.LOGARITHMIC,
    ),
    timeseries(
        "Processes, threads and zombies",
        "Living members of its tree, their threads, and ended ones that nobody waited for. Normal"
        " is level, and no zombies. Growth without end is forking, or threads, that are lost.",
        Query(text=f"sum(opsvisor_process_tree_processes{{{ONE}}})", legend="processes"),
        Query(text=f"sum(opsvisor_process_threads{{{ONE}}})", legend="threads"),
        Query(text=f"sum(opsvisor_process_tree_zombies{{{ONE}}})", legend="zombies"),
        size=(8, 8),
        look_of=Field(
            colours=look.TREE_COLOURS,
            empty="no process runs",
        ),
    ),
    timeseries(
        "Storage",
        "Bytes that the tree had read from and written to storage, writes downwards. What the"
        " page cache had is not in it. Normal is what its work needs; steady reads of the same"
        " data mean too little memory for the cache.",
        Query(text=_rate("opsvisor_process_io_read_bytes_total"), legend="read"),
        Query(text=f"-{_rate('opsvisor_process_io_written_bytes_total')}", legend="written"),
        size=(8, 8),
        look_of=Field(colours={"read": "blue", "written": "purple"}),
    ),
)

_OUTPUT = (
    timeseries(
        "Log output",
        "What it writes to its stdout and stderr. Normal follows the load. A jump of stderr is"
        " mostly one error over and over: `opsvisorctl tail NAME stderr`.",
        Query(text=_rate("opsvisor_log_bytes_total", "stream"), legend="{{stream}}"),
        size=(8, 8),
        look_of=Field(colours=look.STREAM_COLOURS),
    ),
    timeseries(
        "Dropped lines",
        "Lines of its output that were read and not written. Normal is 0. The disk is too slow or"
        " full, or the program too talkative.",
        Query(text=_increase("opsvisor_log_dropped_lines_total", "stream"), legend="{{stream}}"),
        size=(8, 8),
        look_of=Field(colours=look.STREAM_COLOURS),
        draw=Draw.BARS,
    ),
    timeseries(
        "Time to become ready",
        "From being started to being ready for work, of the present run. Normal is what it always"
        " was. A start that takes longer each time has more to load, or waits for others.",
        Query(
            text=f"max(opsvisor_process_last_ready_duration_seconds{{{ONE}}})",
            legend="last start",
        ),
        size=(8, 8),
        look_of=Field(empty="it has not been ready yet"),
    ),
)

_HEALTH = (
    timeseries(
        "Duration of checks",
        "How long the last run of each health check took. Normal is level and far below the"
        " check's timeout; before a check fails it mostly becomes slow.",
        Query(text=f"opsvisor_health_check_last_duration_seconds{{{ONE}}}", legend="{{check}}"),
        size=(12, 6),
        look_of=Field(empty="no health check is configured"),
    ),
    timeseries(
        "Failing part of the checks",
        "Of the runs of each health check, the part that failed. Normal is 0. Between 0 and 100 %"
        " it fails now and then: a timeout that is too short, or a program at its limit.",
        Query(
            text=f"{_rate('opsvisor_health_check_failures_total', 'check')}"
            f" / ({_rate('opsvisor_health_check_attempts_total', 'check')} > 0)",
            legend="{{check}}",
        ),
        size=(12, 6),
        look_of=Field(high=1, empty="no health check is configured"),
    ),
)

_KERNEL = (
    timeseries(
        "CPU throttling",
        "Of the periods of its CPU quota, the part in which it was made to wait, and for how much"
        " of the time. Normal is 0. Above 25 % it is slow without looking busy: raise the quota.",
        Query(
            text=f"{_rate('opsvisor_process_cpu_throttled_periods_total')}"
            f" / ({_rate('opsvisor_process_cpu_periods_total')} > 0)",
            legend="periods",
        ),
        Query(text=_rate("opsvisor_process_cpu_throttled_seconds_total"), legend="time"),
        size=(8, 8),
        look_of=Field(empty="no CPU quota is set"),
    ),
    timeseries(
        "Major page faults",
        "Page faults that had to wait for storage. Normal is a burst at a start and nothing after."
        " A steady rate means that there is too little memory for what it uses.",
        Query(text=_rate("opsvisor_process_major_page_faults_total"), legend="faults"),
        size=(8, 8),
    ),
    timeseries(
        "Context switches",
        "How often its threads gave up the CPU, and how often it was taken from them. Normal is"
        " level. Many involuntary ones are a fight for the CPU. Only there if that collector is"
        " on.",
        Query(text=_rate("opsvisor_process_context_switches_total", "mode"), legend="{{mode}}"),
        size=(8, 8),
        look_of=Field(empty="the collector context-switches is off"),
    ),
)

BOARD = Board(
    name="process",
    title="opsvisor / Process",
    description="One process: what it does and did, why it restarted, and what it uses.",
    variables=(JOB, INSTANCE, GROUP_CHOICE, PROCESS_CHOICE),
    annotations=(
        process_starts(ONE, enabled=True),
        fatal(ONE),
        SUPERVISOR_STARTS,
        RELOADS,
        FAILED_RELOADS,
    ),
    rows=(
        Row(panels=(*_FIRST_LINE, *_SECOND_LINE, *_STATES)),
        Row(title="Starts and restarts", panels=_RESTARTS),
        Row(title="Resources", panels=_RESOURCES),
        Row(title="Output and readiness", panels=_OUTPUT),
        Row(title="Health checks", panels=_HEALTH),
        Row(title="Kernel", panels=_KERNEL, collapsed=True),
    ),
    since="1h",
)
