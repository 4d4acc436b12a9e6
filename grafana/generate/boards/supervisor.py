"""Supervisor: opsvisord itself. Is it reachable, on time, and on the right configuration?"""

from grafana.generate import look
from grafana.generate.board import Board, Row
from grafana.generate.panel import Field, Query, Shape
from grafana.generate.panels import (
    Column,
    Draw,
    Legend,
    Scale,
    heatmap,
    stat,
    state_timeline,
    table,
    timeseries,
)
from grafana.generate.scopes import (
    DOWN,
    FAILED_RELOADS,
    FLEET,
    INSTANCES,
    JOB,
    OF_SUPERVISORS,
    RELOADS,
    SUPERVISOR_STARTS,
)

_CODES: dict[float, look.Shown] = {
    1: look.Shown("starting", look.CALM),
    2: look.Shown("running", look.GOOD),
    3: look.Shown("reloading", look.NOTICE),
    4: look.Shown("stopping", "purple"),
}


def _quantile(metric: str, quantile: float, by: str = "") -> str:
    labels = f"{by}, le" if by else "le"
    return (
        f"histogram_quantile({quantile:g}, sum by ({labels})"
        f" (rate({metric}_bucket{{{FLEET}}}[$__rate_interval])))"
    )


def _increase(metric: str, by: str = "") -> str:
    return f"sum{by and f' by ({by})'} (increase({metric}{{{FLEET}}}[$__rate_interval]))"


def _rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{{{FLEET}}}[$__rate_interval]))"


# Without the state, so that each daemon is one row.
_STATE = " or ".join(
    f"{code} * sum without (state)"
    f' (opsvisor_supervisor_state{{{FLEET},state="{shown.text}"}} == 1)'
    for code, shown in _CODES.items()
)

_FIRST_LINE = (
    stat(
        "Down",
        "Targets that Prometheus could not scrape the last time. Normal is 0. The daemon does not"
        " run, is too busy to answer, or the network is between them.",
        Query(text=DOWN),
        size=(3, 4),
        look_of=Field(steps=look.NONE_IS_GOOD, empty="none was ever seen"),
    ),
    stat(
        "Youngest uptime",
        "How long the daemon that started last has been running. Normal is since the last upgrade."
        " A short time that nobody can explain is a crash: what it supervised was started anew.",
        Query(text=f"time() - max(opsvisor_start_time_seconds{{{FLEET}}})"),
        size=(4, 4),
        look_of=Field(unit="dtdurations", decimals=0),
    ),
    stat(
        "Last load of the configuration",
        "Whether it succeeded, everywhere. Normal is ok. If it failed, that host goes on with the"
        " configuration before: `opsvisorctl reread` there names what is wrong in the file.",
        Query(text=f"min(opsvisor_config_last_reload_successful{{{FLEET}}})"),
        size=(4, 4),
        look_of=Field(mappings=(look.SUCCESS,)),
    ),
    stat(
        "Age of the configuration",
        "Time since the configuration was last loaded, for the host where that is longest ago."
        " Normal is your last rollout; older than that means that a host missed it.",
        Query(
            text=f"time() - min(opsvisor_config_last_reload_success_timestamp_seconds{{{FLEET}}})"
        ),
        size=(4, 4),
        look_of=Field(unit="dtdurations", decimals=0),
    ),
    stat(
        "Different configurations",
        "How many different configurations are in use. Normal is as many as you have kinds of"
        " hosts; one more is a host that was forgotten.",
        Query(text=f'count(count_values("hash", opsvisor_config_hash{{{FLEET}}}))'),
        size=(3, 4),
    ),
    stat(
        "Loop lag, p99",
        "How late the event loop ran what was due, in 99 of 100 cases. Normal is below 10 ms. Late"
        " here is late everywhere: restarts, stops, answers.",
        Query(text=_quantile("opsvisor_event_loop_lag_seconds", 0.99)),
        size=(3, 4),
        look_of=Field(steps=look.LAG, decimals=1),
    ),
    stat(
        "Internal errors",
        "Unexpected exceptions in the chosen time, all of them bugs of opsvisord that it survived."
        " Normal is 0. The traceback is in its log: please report it.",
        Query(text=f"sum(increase(opsvisor_internal_errors_total{{{FLEET}}}[$__range]))"),
        size=(3, 4),
        look_of=Field(steps=look.NONE_IS_GOOD, decimals=0),
    ),
)

_STATES = (
    state_timeline(
        "Reachable",
        "Whether each scrape succeeded. Normal is green. Gaps in all rows at once are Prometheus"
        " or the network, in one row that daemon.",
        Query(text=f"up{{{FLEET}}} {OF_SUPERVISORS}", legend="{{instance}}"),
        size=(12, 6),
        look_of=Field(mappings=(look.REACHABLE,)),
    ),
    state_timeline(
        "State of the daemon",
        "What each daemon does as a whole. Normal is running. One that stays in stopping waits for"
        " processes that do not end: `opsvisorctl status` shows which.",
        Query(text=_STATE, legend="{{instance}}"),
        size=(12, 6),
        look_of=Field(mappings=(look.values(_CODES),)),
    ),
    table(
        "Daemons",
        "Which version of opsvisord, on which Python, runs where. Normal is one of each, and two"
        " during a rollout.",
        Query(text=f"opsvisor_build_info{{{FLEET}}}", shape=Shape.TABLE),
        size=(24, 5),
        columns=(
            Column(source="job", title="Job"),
            Column(source="instance", title="Instance"),
            Column(source="version", title="Version"),
            Column(source="revision", title="Revision"),
            Column(source="python_version", title="Python"),
        ),
        hidden=("__name__", "Value"),
    ),
)

_LAG = (
    heatmap(
        "Event loop lag",
        "How often the event loop was how late. Normal is one dark line at the bottom. Darkness"
        " further up is time in which nothing was restarted or answered.",
        Query(
            text="sum by (le)"
            f" (increase(opsvisor_event_loop_lag_seconds_bucket{{{FLEET}}}[$__rate_interval]))",
            legend="{{le}}",
            shape=Shape.HEATMAP,
        ),
        size=(12, 8),
    ),
    timeseries(
        "Event loop lag, p50 and p99",
        "The same as numbers. Normal is below 10 ms; from 100 ms on, starts and stops are"
        " noticeably late. Mostly the host has no CPU left for the daemon: give it some.",
        Query(text=_quantile("opsvisor_event_loop_lag_seconds", 0.5), legend="p50"),
        Query(text=_quantile("opsvisor_event_loop_lag_seconds", 0.99), legend="p99"),
        size=(12, 8),
        look_of=Field(steps=look.LAG, colours={"p50": "blue", "p99": "purple"}),
    ),
)

_WORK = (
    timeseries(
        "Spawning, p99",
        "From asking for a process to knowing that it executes its command. Normal is some"
        " milliseconds. Slow forks are a host that swaps, or a file system that hangs.",
        Query(text=_quantile("opsvisor_spawn_duration_seconds", 0.99), legend="p99"),
        size=(6, 7),
        look_of=Field(empty="nothing was started"),
    ),
    timeseries(
        "Dealing with an exit, p99",
        "From noticing the end of a child to having dealt with it. Normal is some milliseconds."
        " It grows with the loop lag above.",
        Query(text=_quantile("opsvisor_child_reap_duration_seconds", 0.99), legend="p99"),
        size=(6, 7),
        look_of=Field(empty="nothing ended"),
    ),
    timeseries(
        "Becoming ready, p50 and p95",
        "From the start of a process to its being ready, over all processes. Normal is what your"
        " programs need; the Process dashboard has each.",
        Query(text=_quantile("opsvisor_process_ready_duration_seconds", 0.5), legend="p50"),
        Query(text=_quantile("opsvisor_process_ready_duration_seconds", 0.95), legend="p95"),
        size=(6, 7),
        look_of=Field(colours={"p50": "blue", "p95": "purple"}, empty="nothing became ready"),
    ),
    timeseries(
        "Orphans reaped",
        "Descendants that lost their parent and were inherited by the daemon. Normal is few. Many"
        " are programs that fork and do not wait for their children.",
        Query(text=_increase("opsvisor_orphans_reaped_total"), legend="orphans"),
        size=(6, 7),
        draw=Draw.BARS,
    ),
)

_CONFIGURATION = (
    timeseries(
        "Loads of the configuration",
        "Attempts to load the configuration, and those that found it unusable. Normal is one for"
        " each rollout and none of the second kind.",
        Query(text=_increase("opsvisor_config_reloads_total"), legend="attempted"),
        Query(text=_increase("opsvisor_config_reload_failures_total"), legend="rejected"),
        size=(12, 7),
        look_of=Field(colours={"attempted": look.CALM, "rejected": look.BAD}),
        draw=Draw.BARS,
    ),
    timeseries(
        "Processes changed by them",
        "Processes that a new configuration added, changed and removed. Normal is what you meant"
        " to change: many changed ones are many restarts.",
        Query(
            text=_increase("opsvisor_config_process_changes_total", "change"),
            legend="{{change}}",
        ),
        size=(12, 7),
        look_of=Field(colours={"added": look.GOOD, "changed": look.CALM, "removed": look.NOTICE}),
        draw=Draw.BARS,
    ),
)

_API = (
    timeseries(
        "API requests",
        "Requests answered, by what was asked. Normal is the scrape of Prometheus and the people"
        " that look. A client that asks many times a second is better off with the event stream.",
        Query(
            text=_rate("opsvisor_http_requests_total", "handler, method"),
            legend="{{method}} {{handler}}",
        ),
        size=(12, 10),
        look_of=Field(unit="reqps"),
        draw=Draw.STACKED,
        legend=Legend.BESIDE,
    ),
    timeseries(
        "API latency, p99",
        "How long answers take, by what was asked. Normal is some milliseconds; starts and stops"
        " that wait take as long as the process does.",
        Query(
            text=_quantile("opsvisor_http_request_duration_seconds", 0.99, "handler"),
            legend="{{handler}}",
        ),
        size=(12, 10),
        legend=Legend.BESIDE,
    ),
    timeseries(
        "API answers by code",
        "Requests by the code of the answer. Normal is 200. Codes from 400 on are clients that ask"
        " wrongly or may not, from 500 on the daemon could not: its log tells why.",
        Query(text=_rate("opsvisor_http_requests_total", "code"), legend="{{code}}"),
        size=(6, 8),
        look_of=Field(unit="reqps"),
    ),
    timeseries(
        "In flight, and streams",
        "Requests being answered now, and streams that are open: events, and logs that are"
        " followed. Normal is as many as people look. Streams that only grow are clients that do"
        " not hang up.",
        Query(text=f"sum(opsvisor_http_requests_in_flight{{{FLEET}}})", legend="in flight"),
        Query(
            text=f"sum by (stream) (opsvisor_http_streams_active{{{FLEET}}})",
            legend="{{stream}} streams",
        ),
        size=(6, 8),
    ),
    timeseries(
        "Fullness of event queues",
        "Events that wait for their subscribers, as part of what can wait. Normal is near 0. What"
        " reaches 100 % loses events: that subscriber is too slow, or hangs.",
        Query(
            text=f"max by (instance, subscriber) (opsvisor_event_queue_length{{{FLEET}}}"
            f" / opsvisor_event_queue_capacity{{{FLEET}}})",
            legend="{{subscriber}} · {{instance}}",
        ),
        size=(6, 8),
        look_of=Field(steps=look.QUEUE, high=1, empty="nobody is subscribed"),
    ),
    timeseries(
        "Events dropped",
        "Events that slow subscribers missed. Normal is 0. A consumer of events that acts on them"
        " has now acted on less than happened: have it ask for the states again.",
        Query(
            text=_increase("opsvisor_events_dropped_total", "subscriber"),
            legend="{{subscriber}}",
        ),
        size=(6, 8),
        look_of=Field(empty="nobody has missed anything"),
        draw=Draw.BARS,
    ),
    timeseries(
        "Connections of clients",
        "Connections that each listener holds, as part of those it holds at most. Normal is a few."
        " At 100 % the one that waits longest makes room for the next: somebody opens more than"
        " he needs.",
        Query(
            text=f"max by (instance, listener) (opsvisor_http_connections{{{FLEET}}}"
            f" / opsvisor_http_connections_max{{{FLEET}}})",
            legend="{{listener}} · {{instance}}",
        ),
        size=(12, 7),
        look_of=Field(steps=look.QUEUE, high=1),
    ),
    timeseries(
        "Clients turned away",
        "Wrong passwords and tokens, attempts that were not looked at after too many of them,"
        " clients that found no connection free, and connections ended because nothing was done"
        " with them. Normal is 0. Logins that go on failing are a stale token, or somebody who"
        " guesses: the log of opsvisord has the address and the listener.",
        Query(
            text=_increase("opsvisor_http_auth_failures_total"),
            legend="wrong login",
        ),
        Query(
            text=_increase("opsvisor_http_auth_limited_total"),
            legend="not looked at",
        ),
        Query(
            text=_increase("opsvisor_http_connections_refused_total"),
            legend="no room",
        ),
        Query(
            text=_increase("opsvisor_http_connections_cut_total", "reason"),
            legend="{{reason}}",
        ),
        size=(12, 7),
        draw=Draw.BARS,
        legend=Legend.BESIDE,
    ),
    timeseries(
        "Events",
        "Facts published, by kind. Normal is quiet, with a burst at each deploy. A kind that never"
        " stops is a process that does not settle.",
        Query(text=f"{_rate('opsvisor_events_total', 'event')} > 0", legend="{{event}}"),
        size=(12, 10),
        look_of=Field(empty="Nothing happens"),
        draw=Draw.STACKED,
        legend=Legend.BESIDE,
    ),
    timeseries(
        "Internal errors by component",
        "Unexpected exceptions, by where they were caught. Normal is 0, all of them are bugs. Only"
        " what was being done failed; the rest goes on.",
        Query(
            text=_increase("opsvisor_internal_errors_total", "component"), legend="{{component}}"
        ),
        size=(6, 10),
        draw=Draw.BARS,
    ),
    state_timeline(
        "Collectors",
        "Whether each part of the numbers could be collected. Normal is green. Where it is red,"
        " its numbers are missing on all dashboards, and the log of opsvisord says why.",
        Query(
            text=f"min by (collector) (opsvisor_collector_success{{{FLEET}}})",
            legend="{{collector}}",
        ),
        size=(6, 10),
        look_of=Field(mappings=(look.SUCCESS,)),
    ),
)

_SCRAPE = (
    timeseries(
        "Time to collect",
        "How long a scrape takes as Prometheus sees it, what each collector took of that, and one"
        " sweep over /proc, which is not part of the scrape. Normal is far below the timeout.",
        Query(
            text=f"max(scrape_duration_seconds{{{FLEET}}} {OF_SUPERVISORS})",
            legend="whole scrape",
        ),
        Query(
            text=f"max by (collector) (opsvisor_collector_duration_seconds{{{FLEET}}})",
            legend="{{collector}}",
        ),
        Query(
            text=_quantile("opsvisor_resource_sample_duration_seconds", 0.99),
            legend="sweep, p99",
        ),
        size=(8, 7),
    ),
    timeseries(
        "Samples per scrape",
        "How many numbers a scrape brings. Normal is level: about 55 for each process and 200"
        " for the daemon. Above sample_limit Prometheus takes none of them.",
        Query(
            text=f"scrape_samples_scraped{{{FLEET}}} {OF_SUPERVISORS}",
            legend="{{instance}}",
        ),
        size=(8, 7),
    ),
    timeseries(
        "Age of the resource numbers",
        "How long ago /proc was looked at. Normal is below 15 s. Older means that sweeps do not"
        " finish, and CPU and memory on the other dashboards stand still.",
        Query(
            text=f"time() - opsvisor_resource_sample_timestamp_seconds{{{FLEET}}}",
            legend="{{instance}}",
        ),
        size=(8, 7),
    ),
)

_ITSELF = (
    timeseries(
        "Own CPU",
        "CPU of the daemon itself; 100 % is one CPU. Normal is some percent at most."
        " What it does then is mostly answering: see API requests.",
        Query(
            text=f"rate(process_cpu_seconds_total{{{FLEET}}}[$__rate_interval]) {OF_SUPERVISORS}",
            legend="{{instance}}",
        ),
        size=(6, 7),
    ),
    timeseries(
        "Own memory",
        "Resident memory of the daemon itself. Normal is level after the first hour. What only"
        " grows is a bug: please report it.",
        Query(
            text=f"process_resident_memory_bytes{{{FLEET}}} {OF_SUPERVISORS}",
            legend="{{instance}}",
        ),
        size=(6, 7),
    ),
    timeseries(
        "Own descriptors",
        "Open file descriptors of the daemon, at most; and its limit, dashed. Logarithmic. Normal"
        " is about three for each process. At the limit it can start nothing: raise LimitNOFILE of"
        " its unit.",
        Query(text=f"max(process_open_fds{{{FLEET}}} {OF_SUPERVISORS})", legend="open"),
        Query(text=f"min(process_max_fds{{{FLEET}}} {OF_SUPERVISORS})", legend="limit"),
        size=(6, 7),
        look_of=Field(colours={"open": "blue"}),
        dashed=("limit",),
        scale=Scale.LOGARITHMIC,
    ),
    timeseries(
        "Tasks and garbage",
        "asyncio tasks, and runs of Python's garbage collector a second. Normal is level. Tasks"
        " that only grow are work that does not end.",
        Query(text=f"sum(opsvisor_tasks{{{FLEET}}})", legend="tasks"),
        Query(
            text="sum by (generation) (rate(python_gc_collections_total"
            f"{{{FLEET}}}[$__rate_interval]) {OF_SUPERVISORS})",
            legend="generation {{generation}}",
            unit="ops",
        ),
        size=(6, 7),
        look_of=Field(unit="short"),
    ),
)

BOARD = Board(
    name="supervisor",
    title="opsvisor / Supervisor",
    description="The daemon itself: reachable, on time, and on the configuration it should have.",
    variables=(JOB, INSTANCES),
    annotations=(SUPERVISOR_STARTS, RELOADS, FAILED_RELOADS),
    rows=(
        Row(panels=(*_FIRST_LINE, *_STATES)),
        Row(title="On time", panels=(*_LAG, *_WORK)),
        Row(title="Configuration", panels=_CONFIGURATION),
        Row(title="API and events", panels=_API),
        Row(title="Scrapes", panels=_SCRAPE),
        Row(title="Itself", panels=_ITSELF, collapsed=True),
    ),
    since="3h",
)
