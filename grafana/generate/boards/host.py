"""Host: all processes of one supervisor."""

from grafana.generate import look
from grafana.generate.board import Board, Row
from grafana.generate.panel import Field, Query
from grafana.generate.panels import Draw, Legend, stat, state_timeline, timeseries
from grafana.generate.scopes import (
    FAILED_RELOADS,
    FLEET,
    GROUPS,
    GROUPS_CHOICE,
    INSTANCE,
    JOB,
    OF_SUPERVISORS,
    RELOADS,
    SERIES_LINK,
    SUPERVISOR_STARTS,
    fatal,
    process_starts,
)

_BY_PROCESS = "sum by (job, instance, group, process)"


def _of_processes(text: str, legend: str = "{{process}}") -> Query:
    return Query(text=text, legend=legend)


_FIRST_LINE = (
    stat(
        "Supervisor",
        "Whether Prometheus reached opsvisord at its last scrape. Normal is up. If it is down,"
        " everything below is from before: look at the host.",
        Query(text=f"min(up{{{FLEET}}} {OF_SUPERVISORS})"),
        size=(4, 4),
        look_of=Field(mappings=(look.REACHABLE,)),
    ),
    stat(
        "Uptime",
        "How long opsvisord has been running. Normal is since the last upgrade. A short time that"
        " nobody can explain is a crash of the supervisor itself: its log and `systemctl status"
        " opsvisord` tell more.",
        Query(text=f"time() - max by (instance) (opsvisor_start_time_seconds{{{FLEET}}})"),
        size=(5, 4),
        look_of=Field(unit="dtdurations", decimals=0),
    ),
    stat(
        "Configuration",
        "Whether the last attempt to load the configuration succeeded. Normal is ok. If it failed,"
        " the one before is still in use: `opsvisorctl reread` names what is wrong in the file.",
        Query(text=f"min(opsvisor_config_last_reload_successful{{{FLEET}}})"),
        size=(5, 4),
        look_of=Field(mappings=(look.SUCCESS,)),
    ),
    stat(
        "FATAL",
        "Processes of this host that were given up. Normal is 0; `opsvisorctl why NAME` tells what"
        " happened.",
        Query(text=f'sum(opsvisor_process_state{{{GROUPS},state="fatal"}})'),
        size=(5, 4),
        look_of=Field(steps=look.NONE_IS_GOOD),
    ),
    stat(
        "Running",
        "Processes of this host in RUNNING, beside those that should be. Normal is the same number"
        " twice.",
        Query(
            text=f'sum(opsvisor_process_state{{{GROUPS},state="running"}})',
            legend="running",
        ),
        Query(text=f"sum(opsvisor_process_expected_running{{{GROUPS}}})", legend="expected"),
        size=(5, 4),
    ),
)

BOARD = Board(
    name="host",
    title="opsvisor / Host",
    description="All processes of one host: their states side by side, and what each uses.",
    variables=(JOB, INSTANCE, GROUPS_CHOICE),
    annotations=(
        fatal(GROUPS),
        SUPERVISOR_STARTS,
        RELOADS,
        FAILED_RELOADS,
        process_starts(GROUPS, enabled=False),
    ),
    rows=(
        Row(
            panels=(
                *_FIRST_LINE,
                state_timeline(
                    "States",
                    "The state of each process over time. Normal is green from left to right. Many"
                    " rows that change at one moment have a common cause: a reload, the host, or a"
                    " service they all need. A click opens the process.",
                    _of_processes(f"opsvisor_process_state_code{{{GROUPS}}}"),
                    size=(24, 12),
                    look_of=Field(mappings=(look.STATES,), link=SERIES_LINK),
                ),
            )
        ),
        Row(
            title="CPU and memory",
            panels=(
                timeseries(
                    "CPU by process",
                    "CPU of each process tree, ended children included; 100 % is one CPU. The sum"
                    " is what supervised programs take from this host. Normal follows the load. A"
                    " layer that swells crowds out the others: see whether its work grew, or it"
                    " spins.",
                    _of_processes(
                        f"{_BY_PROCESS} (rate("
                        f"opsvisor_process_cpu_seconds_total{{{GROUPS}}}[$__rate_interval])) > 0"
                    ),
                    size=(12, 13),
                    look_of=Field(link=SERIES_LINK, empty="Nothing uses CPU"),
                    draw=Draw.STACKED,
                    legend=Legend.BESIDE,
                ),
                timeseries(
                    "Memory by process",
                    "Resident memory of each process tree; pages that its members share count for"
                    " each of them. Normal is level. A layer that only grows is a leak: its"
                    " Process dashboard has the limit and when it restarts.",
                    _of_processes(
                        f"{_BY_PROCESS} (opsvisor_process_resident_memory_bytes{{{GROUPS}}})"
                    ),
                    size=(12, 13),
                    look_of=Field(link=SERIES_LINK),
                    draw=Draw.STACKED,
                    legend=Legend.BESIDE,
                ),
            ),
        ),
        Row(
            title="Restarts and size",
            panels=(
                timeseries(
                    "Restarts",
                    "Restarts of each process, for whatever reason. Normal is nothing but what you"
                    " did yourself. Columns of many colours at once say that the cause is outside"
                    " the single program.",
                    _of_processes(
                        f"{_BY_PROCESS} (increase("
                        f"opsvisor_process_restarts_total{{{GROUPS}}}[$__rate_interval])) > 0"
                    ),
                    size=(12, 8),
                    look_of=Field(link=SERIES_LINK, empty="No restarts"),
                    draw=Draw.BARS,
                ),
                timeseries(
                    "Processes, threads and zombies",
                    "All living processes and threads of the supervised trees. Normal is level."
                    " Growth without end is something that forks and forgets; zombies are children"
                    " that their parent does not wait for.",
                    Query(
                        text=f"sum(opsvisor_process_tree_processes{{{GROUPS}}})",
                        legend="processes",
                    ),
                    Query(text=f"sum(opsvisor_process_threads{{{GROUPS}}})", legend="threads"),
                    Query(
                        text=f"sum(opsvisor_process_tree_zombies{{{GROUPS}}})", legend="zombies"
                    ),
                    size=(6, 8),
                    look_of=Field(colours=look.TREE_COLOURS),
                ),
                timeseries(
                    "Open file descriptors",
                    "Open files, sockets and pipes of each process tree. Normal is level, or"
                    " following the load. What only grows is not closed somewhere; the limit is on"
                    " the Process dashboard.",
                    _of_processes(f"{_BY_PROCESS} (opsvisor_process_open_fds{{{GROUPS}}})"),
                    size=(6, 8),
                    look_of=Field(link=SERIES_LINK),
                ),
            ),
        ),
        Row(
            title="Storage and output",
            panels=(
                timeseries(
                    "Storage reads",
                    "Bytes that each process tree had read from storage; what the page cache had"
                    " is not in it. Normal is a burst at a start. A program that reads all the"
                    " time has less cache than data.",
                    _of_processes(
                        f"{_BY_PROCESS} (rate("
                        f"opsvisor_process_io_read_bytes_total{{{GROUPS}}}[$__rate_interval]))"
                        " > 0"
                    ),
                    size=(8, 8),
                    look_of=Field(link=SERIES_LINK, empty="Nothing is read"),
                ),
                timeseries(
                    "Storage writes",
                    "Bytes that each process tree caused to be written to storage. Normal is what"
                    " their work needs. Who writes most slows the others down, if the disk is what"
                    " they wait for.",
                    _of_processes(
                        f"{_BY_PROCESS} (rate("
                        f"opsvisor_process_io_written_bytes_total{{{GROUPS}}}[$__rate_interval]))"
                        " > 0"
                    ),
                    size=(8, 8),
                    look_of=Field(link=SERIES_LINK, empty="Nothing is written"),
                ),
                timeseries(
                    "Log output",
                    "What each process writes to its stdout and stderr. Normal follows the load."
                    " A sudden rise is mostly an error that is logged over and over; a sudden"
                    " silence can be worse. The Logs dashboard goes on from here.",
                    _of_processes(
                        f"{_BY_PROCESS}"
                        f" (rate(opsvisor_log_bytes_total{{{GROUPS}}}[$__rate_interval])) > 0"
                    ),
                    size=(8, 8),
                    look_of=Field(link=SERIES_LINK, empty="Nothing is written"),
                ),
            ),
        ),
    ),
    since="3h",
)
