"""Overview: is anything wrong, where, since when, and why."""

from grafana.generate import look
from grafana.generate.board import Board, Row
from grafana.generate.metrics import Quantity
from grafana.generate.panel import Field, Query, Shape
from grafana.generate.panels import (
    Cell,
    Column,
    Draw,
    Graph,
    bar_gauge,
    stat,
    state_timeline,
    table,
    timeseries,
)
from grafana.generate.scopes import (
    AUTOMATIC,
    DOWN,
    FAILED_RELOADS,
    FLEET,
    GROUPS,
    GROUPS_CHOICE,
    INSTANCES,
    JOB,
    ON,
    PROCESS,
    RELOADS,
    ROW_LINK,
    SERIES_LINK,
    SUPERVISOR_STARTS,
    fatal,
    process_starts,
    top,
)

_RUNNING = f'opsvisor_process_state{{{GROUPS},state="running"}} == 1'
_EXPECTED = f"opsvisor_process_expected_running{{{GROUPS}}} == 1"
_NOT_RUNNING = f"{_EXPECTED} unless {ON} {_RUNNING}"
# Whatever somebody should look at. A process can be in it for several reasons.
_TROUBLE = (
    f"{_NOT_RUNNING}"
    f" or opsvisor_process_flapping{{{GROUPS}}} == 1"
    f" or opsvisor_process_unkillable{{{GROUPS}}} == 1"
    f" or opsvisor_health_check_up{{{GROUPS}}} == 0"
)
_AUTOMATIC_RESTARTS = f"opsvisor_process_restarts_total{{{GROUPS},{AUTOMATIC}}}"


def _in_trouble(value: str) -> Query:
    # Aggregated so that the rows of the queries differ in nothing but their value.
    return Query(
        text=f"max by ({PROCESS}) ({value}) and {ON} ({_TROUBLE})",
        shape=Shape.TABLE,
        quantity=Quantity.COUNT,
    )


_FIRST_LINE = (
    stat(
        "Supervisors down",
        "Targets that Prometheus could not scrape the last time: opsvisord does not run, or cannot"
        " be reached. Normal is 0. What it supervises may well go on; see the Supervisor dashboard"
        " for which it is, and `systemctl status opsvisord` there.",
        Query(text=DOWN),
        size=(3, 4),
        look_of=Field(steps=look.NONE_IS_GOOD, empty="none was ever seen"),
    ),
    stat(
        "FATAL",
        "Processes that were given up after too many failed starts. Normal is 0. They stay down"
        " until somebody starts them, unless fatal_retry_delay is set: `opsvisorctl why NAME`.",
        Query(text=f'sum(opsvisor_process_state{{{GROUPS},state="fatal"}})'),
        size=(3, 4),
        look_of=Field(steps=look.NONE_IS_GOOD),
    ),
    stat(
        "Expected, not running",
        "Processes that should be RUNNING and are not, whatever they do instead. Normal is 0, and"
        " for the seconds of a restart a few. The table below says which ones and why.",
        Query(text=f"count({_NOT_RUNNING}) or vector(0)"),
        size=(3, 4),
        look_of=Field(steps=look.NONE_IS_GOOD),
    ),
    stat(
        "In backoff",
        "Processes that wait for their next attempt to start. Normal is 0. One that stays here"
        " fails again and again: its last exit is in the table below.",
        Query(text=f'sum(opsvisor_process_state{{{GROUPS},state="backoff"}})'),
        size=(3, 4),
        look_of=Field(steps=look.NONE_IS_BETTER),
    ),
    stat(
        "Flapping",
        "Processes that opsvisord itself calls flapping: more automatic restarts within"
        " flapping_interval than flapping_count. Normal is 0. They look RUNNING most of the time.",
        Query(text=f"sum(opsvisor_process_flapping{{{GROUPS}}})"),
        size=(3, 4),
        look_of=Field(steps=look.NONE_IS_BETTER),
    ),
    stat(
        "Failing checks",
        "Health checks that do not pass. Normal is 0. The process may run and still serve nobody:"
        " its Process dashboard shows the check, `opsvisorctl status NAME` its last answer.",
        Query(text=f"count(opsvisor_health_check_up{{{GROUPS}}} == 0) or vector(0)"),
        size=(3, 4),
        look_of=Field(steps=look.NONE_IS_GOOD),
    ),
    stat(
        "Automatic restarts",
        "Restarts in the chosen time that nobody asked for. Normal is none or few. The row"
        " Restarts below shows their reasons, and which processes restart most.",
        Query(text=f"sum(increase({_AUTOMATIC_RESTARTS}[$__range]))"),
        size=(3, 4),
        look_of=Field(steps=look.NONE_IS_BETTER, decimals=0),
    ),
    stat(
        "Availability",
        "Of the time in which processes should have run, the part in which they were RUNNING; from"
        " the daemon's own clock, so that short failures count. Normal is above 99.9 %. Stopped on"
        " purpose does not count against it.",
        Query(
            text=f"sum(increase(opsvisor_process_running_seconds_total{{{GROUPS}}}[$__range]))"
            " / (sum(increase("
            f"opsvisor_process_expected_seconds_total{{{GROUPS}}}[$__range])) > 0)"
        ),
        size=(3, 4),
        look_of=Field(
            steps=look.AVAILABILITY, decimals=2, high=1, empty="nothing is expected to run"
        ),
    ),
)

_ATTENTION = table(
    "Processes that need attention",
    "Each process that should run and does not, flaps, cannot be killed or fails a health check:"
    " since when, how its last run ended, how often it failed to start in a row, and when it is"
    " tried again. Normal is an empty table. A click on the process shows everything about it;"
    " `opsvisorctl why NAME` tells its story.",
    _in_trouble(f"opsvisor_process_state_code{{{GROUPS}}}"),
    _in_trouble(f"floor(time() - opsvisor_process_state_entered_timestamp_seconds{{{GROUPS}}})"),
    _in_trouble(
        f"opsvisor_process_last_exit_code{{{GROUPS}}} >= 0"
        f" or {look.SIGNAL_BASE} + opsvisor_process_last_exit_signal{{{GROUPS}}}"
    ),
    _in_trouble(f"opsvisor_process_start_retries{{{GROUPS}}}"),
    # Whole seconds: "929 milliseconds" is wider than the column, and no more exact than a scrape.
    _in_trouble(
        f"ceil(clamp_min(opsvisor_process_next_retry_timestamp_seconds{{{GROUPS}}} - time(), 0))"
    ),
    _in_trouble(f"sum by ({PROCESS}) (increase({_AUTOMATIC_RESTARTS}[$__range]))"),
    _in_trouble(
        f"opsvisor_process_flapping{{{GROUPS}}} + 2 * opsvisor_process_unkillable{{{GROUPS}}}"
    ),
    _in_trouble(f"opsvisor_health_check_up{{{GROUPS}}} == 0"),
    size=(15, 12),
    columns=(
        Column(source="process", title="Process", link=ROW_LINK),
        # With a width, since without one Grafana takes 150 at least.
        Column(source="group", title="Group", width=100),
        Column(source="instance", title="Instance", width=120),
        Column(
            source="Value #A",
            title="State",
            width=105,
            mappings=(look.STATES,),
            cell=Cell.COLOURED,
        ),
        Column(source="Value #B", title="Since", width=105, unit="dtdurations"),
        Column(
            source="Value #C",
            title="Last exit",
            width=110,
            unit="prefix:exit ",
            mappings=(*look.LAST_EXIT, look.absent(look.Shown("never ran", look.PALE))),
            cell=Cell.COLOURED_TEXT,
            steps=((look.NOTICE, None),),
        ),
        Column(
            source="Value #D",
            title="Failed starts",
            width=100,
            cell=Cell.COLOURED_TEXT,
            steps=((look.PALE, None), (look.NOTICE, 1)),
        ),
        Column(
            source="Value #E",
            title="Next try in",
            width=100,
            unit="dtdurations",
        ),
        Column(source="Value #F", title="Restarts", width=85, decimals=0),
        Column(
            source="Value #G",
            title="Condition",
            width=95,
            mappings=(look.CONDITION,),
            cell=Cell.COLOURED_TEXT,
        ),
        Column(
            source="Value #H",
            title="Health",
            width=80,
            mappings=(look.HEALTH,),
            cell=Cell.COLOURED_TEXT,
        ),
    ),
    hidden=("job",),
    sort="State",
    look_of=Field(empty="Nothing needs attention"),
)

_ALERTS = table(
    "Firing alerts",
    "What Prometheus alerts of right now, and for how long. Normal is empty. Needs the rules of"
    " alerts/ loaded; each alert has a runbook of its name there. Alerts without an instance"
    " (no target at all) are only in Alertmanager.",
    Query(
        text=f"(time() - max by (alertname, severity, {PROCESS})"
        f' (ALERTS_FOR_STATE{{{FLEET},alertname=~"Opsvisor.+"}}))'
        f" and on (alertname, severity, {PROCESS})"
        f' ALERTS{{{FLEET},alertname=~"Opsvisor.+",alertstate="firing"}}',
        shape=Shape.TABLE,
        quantity=Quantity.TIME,
    ),
    size=(9, 12),
    columns=(
        Column(source="alertname", title="Alert"),
        Column(source="process", title="Process", width=100, link=ROW_LINK),
        Column(source="instance", title="Instance", width=100),
        Column(source="Value", title="For", width=85, unit="dtdurations"),
        Column(
            source="severity",
            title="Severity",
            width=75,
            mappings=(look.SEVERITIES,),
            cell=Cell.COLOURED_TEXT,
        ),
    ),
    hidden=("job", "group"),
    sort="For",
    look_of=Field(empty="No alert fires"),
)

_STATES = (
    state_timeline(
        "Processes that were in trouble",
        "The states of those processes that were in BACKOFF or FATAL, or restarted by themselves,"
        " at any moment of the chosen time. Normal is green, with no row at all if nothing"
        " happened. The Host dashboard shows all processes of a host this way.",
        Query(
            text=f"opsvisor_process_state_code{{{GROUPS}}} and {ON} ("
            f"max_over_time(opsvisor_process_state{{{GROUPS},"
            f'state=~"backoff|fatal|unknown"}}[$__range] @ end()) == 1'
            f" or increase({_AUTOMATIC_RESTARTS}[$__range] @ end()) > 0)",
            legend="{{process}} · {{instance}}",
        ),
        size=(16, 9),
        look_of=Field(mappings=(look.STATES,), link=SERIES_LINK, empty="All was quiet"),
    ),
    timeseries(
        "Processes by state",
        "How many processes are in which state. Normal is green, and grey for what is stopped on"
        " purpose or has done its work. Orange and red that stays is in the table above.",
        Query(text=f"sum by (state) (opsvisor_process_state{{{GROUPS}}})", legend="{{state}}"),
        size=(8, 9),
        look_of=Field(colours=look.STATE_NAMES_COLOURS, decimals=0),
        draw=Draw.STACKED,
    ),
)

_RESTARTS = (
    timeseries(
        "Restarts by reason",
        "Starts that replaced an earlier run, by how that run ended. Normal is nothing but blue"
        " and purple, which are yours. A column of many reasons at once is a host in trouble, one"
        " that comes back evenly a program that is.",
        Query(
            text="sum by (reason)"
            f" (increase(opsvisor_process_restarts_total{{{GROUPS}}}[$__rate_interval]))",
            legend="{{reason}}",
        ),
        size=(16, 8),
        look_of=Field(colours=look.REASON_COLOURS),
        draw=Draw.BARS,
    ),
    table(
        "Most restarted",
        "The ten processes that restarted most often by themselves in the chosen time. Normal is"
        " empty. One that is far ahead of the others deserves a look at its last exit and log.",
        Query(
            text=f"topk(10, sum by ({PROCESS}) (increase({_AUTOMATIC_RESTARTS}[$__range])) > 0)",
            shape=Shape.TABLE,
        ),
        size=(8, 8),
        columns=(
            Column(source="process", title="Process", link=ROW_LINK),
            Column(source="group", title="Group"),
            Column(source="instance", title="Instance"),
            Column(source="Value", title="Restarts", width=90, decimals=0),
        ),
        hidden=("job",),
        sort="Restarts",
        look_of=Field(empty="Nothing restarted by itself"),
    ),
)

_RESOURCES = (
    timeseries(
        "CPU, top 10",
        "CPU of the process trees that use most, ended children included; 100 % is one CPU."
        " Normal is what it was at this hour on other days. One that jumped after a start mark has"
        " changed with that start.",
        Query(
            text=top(
                10,
                series="sum without (mode)"
                f" (rate(opsvisor_process_cpu_seconds_total{{{GROUPS}}}[$__rate_interval]))",
                ranked_by=f"increase(opsvisor_process_cpu_seconds_total{{{GROUPS}}}"
                "[$__range] @ end())",
            ),
            legend="{{process}} · {{instance}}",
        ),
        size=(12, 8),
        look_of=Field(link=SERIES_LINK, empty="Nothing uses CPU"),
    ),
    timeseries(
        "Memory, top 10",
        "Resident memory of the largest process trees; pages that members share count for each."
        " Normal is level or a saw. What only rises leaks: its Process dashboard has the limit.",
        Query(
            text=top(
                10,
                series=f"opsvisor_process_resident_memory_bytes{{{GROUPS}}}",
                ranked_by=f"max_over_time(opsvisor_process_resident_memory_bytes{{{GROUPS}}}"
                "[$__range] @ end())",
            ),
            legend="{{process}} · {{instance}}",
        ),
        size=(12, 8),
        look_of=Field(link=SERIES_LINK),
    ),
    bar_gauge(
        "Closest to their memory limit",
        "Memory as part of the limit that holds for the process: proportional where that collector"
        " is on, else resident, which counts shared pages for each member. Normal is below 80 %."
        " Near 100 % the kernel kills something in it. Programs without a limit are not shown.",
        Query(
            text="sort_desc(topk(10, "
            f"(opsvisor_process_proportional_memory_bytes{{{GROUPS}}}"
            f" or opsvisor_process_resident_memory_bytes{{{GROUPS}}})"
            f" / opsvisor_process_memory_limit_bytes{{{GROUPS}}}))",
            legend="{{process}} · {{instance}}",
            shape=Shape.INSTANT,
        ),
        size=(12, 8),
        look_of=Field(
            steps=look.FULLNESS, low=0, high=1, decimals=1, empty="No memory limit is set"
        ),
    ),
    bar_gauge(
        "Closest to their file descriptor limit",
        "Open file descriptors as part of the soft limit, for the worst member of each tree."
        " Normal is below 80 %. At 100 % the program cannot open files or accept connections:"
        " raise rlimits.nofile, or find what it does not close.",
        Query(
            text=f"sort_desc(topk(10, opsvisor_process_fd_usage_ratio{{{GROUPS}}}))",
            legend="{{process}} · {{instance}}",
            shape=Shape.INSTANT,
        ),
        size=(12, 8),
        look_of=Field(steps=look.FULLNESS, low=0, high=1, decimals=1, empty="Nothing runs"),
    ),
)

_FLEET = (
    stat(
        "Running",
        "Processes in RUNNING. Normal is what you deployed; it says how much the numbers above"
        " are part of.",
        Query(text=f'sum(opsvisor_process_state{{{GROUPS},state="running"}})'),
        size=(4, 6),
        graph=Graph.AREA,
    ),
    table(
        "Supervisor versions",
        "How many hosts run which version of opsvisord. Normal is one row, and two during a"
        " rollout. The Supervisor dashboard shows a single one.",
        Query(
            text=f"count by (version, revision) (opsvisor_build_info{{{FLEET}}})",
            shape=Shape.TABLE,
        ),
        size=(20, 6),
        columns=(
            Column(source="version", title="Version"),
            Column(source="revision", title="Revision"),
            Column(source="Value", title="Hosts", width=100),
        ),
        sort="Hosts",
    ),
)

BOARD = Board(
    name="overview",
    title="opsvisor / Overview",
    description="Is anything wrong, where, since when, and why: all processes of all hosts.",
    variables=(JOB, INSTANCES, GROUPS_CHOICE),
    annotations=(
        fatal(GROUPS),
        SUPERVISOR_STARTS,
        RELOADS,
        FAILED_RELOADS,
        process_starts(GROUPS, enabled=False),
    ),
    rows=(
        Row(panels=(*_FIRST_LINE, _ATTENTION, _ALERTS)),
        Row(title="States", panels=_STATES),
        Row(title="Restarts", panels=_RESTARTS),
        Row(title="Resources", panels=_RESOURCES),
        Row(title="Fleet", panels=_FLEET),
    ),
    since="3h",
)
