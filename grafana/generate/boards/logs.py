"""Logs: how much is written, what is lost, and who has fallen silent."""

from grafana.generate import look
from grafana.generate.board import Board, Row
from grafana.generate.panel import Field, Query, Shape
from grafana.generate.panels import Cell, Column, Draw, bar_gauge, stat, table, timeseries
from grafana.generate.scopes import (
    GROUPS_CHOICE,
    INSTANCES,
    JOB,
    ON,
    PROCESS,
    PROCESSES,
    PROCESSES_CHOICE,
    ROW_LINK,
    SERIES_LINK,
    SUPERVISOR_STARTS,
    fatal,
    process_starts,
    top,
)

_NAMED = "{{process}} · {{instance}}"


def _increase_of(metric: str, window: str) -> str:
    return f"increase({metric}{{{PROCESSES}}}[{window}])"


def _by_process(metric: str) -> str:
    return f"sum by ({PROCESS}) ({_increase_of(metric, '$__rate_interval')})"


_FIRST_LINE = (
    stat(
        "Lines dropped",
        "Lines of output in the chosen time that were read but not written. Normal is 0: the pipes"
        " were emptied faster than the disk took it. Below is whose they were.",
        Query(text=f"sum({_increase_of('opsvisor_log_dropped_lines_total', '$__range')})"),
        size=(6, 4),
        look_of=Field(steps=look.NONE_IS_GOOD, decimals=0),
    ),
    stat(
        "Write errors",
        "Failed writes to log files in the chosen time. Normal is 0. The disk is full, or the file"
        " may not be written: the log of opsvisord names the error.",
        Query(text=f"sum({_increase_of('opsvisor_log_write_errors_total', '$__range')})"),
        size=(6, 4),
        look_of=Field(steps=look.NONE_IS_GOOD, decimals=0),
    ),
    stat(
        "Output",
        "What all processes together write now. Normal is what the disk, and a shipper of logs,"
        " can keep up with; the graph below shows who writes most.",
        Query(text=f"sum(rate(opsvisor_log_bytes_total{{{PROCESSES}}}[$__rate_interval]))"),
        size=(6, 4),
    ),
    stat(
        "Size of active files",
        "The log files that are being written, without their rotated predecessors. Normal is below"
        " rotate_size times the number of files; if it only grows, a file has no rotation.",
        Query(text=f"sum(opsvisor_log_file_size_bytes{{{PROCESSES}}})"),
        size=(6, 4),
    ),
)

BOARD = Board(
    name="logs",
    title="opsvisor / Logs",
    description="Output of the processes: how much, what was lost of it, and who fell silent.",
    variables=(JOB, INSTANCES, GROUPS_CHOICE, PROCESSES_CHOICE),
    annotations=(fatal(PROCESSES), SUPERVISOR_STARTS, process_starts(PROCESSES, enabled=False)),
    rows=(
        Row(panels=_FIRST_LINE),
        Row(
            title="Output",
            panels=(
                timeseries(
                    "Throughput, top 10",
                    "Output of the processes that write most, both streams together. Normal"
                    " follows the load. A step upwards is mostly one error, logged over and over.",
                    Query(
                        text=top(
                            10,
                            series="sum without (stream)"
                            f" (rate(opsvisor_log_bytes_total{{{PROCESSES}}}[$__rate_interval]))",
                            ranked_by=f"increase(opsvisor_log_bytes_total{{{PROCESSES}}}"
                            "[$__range] @ end())",
                        ),
                        legend=_NAMED,
                    ),
                    size=(12, 9),
                    look_of=Field(link=SERIES_LINK, empty="Nothing is written"),
                ),
                timeseries(
                    "Lines by stream",
                    "Lines a second on stdout and on stderr, of all processes. Normal is a steady"
                    " share of stderr; if that rises and stdout does not, something complains.",
                    Query(
                        text="sum by (stream)"
                        f" (rate(opsvisor_log_lines_total{{{PROCESSES}}}[$__rate_interval]))",
                        legend="{{stream}}",
                    ),
                    size=(12, 9),
                    look_of=Field(colours=look.STREAM_COLOURS),
                ),
            ),
        ),
        Row(
            title="Losses and rotation",
            panels=(
                timeseries(
                    "Dropped lines by process",
                    "Lines that were read and not written, by process. Normal is nothing at all."
                    " The disk is too slow or full, or the program writes too much: less output,"
                    " or another disk.",
                    Query(
                        text=f"{_by_process('opsvisor_log_dropped_lines_total')} > 0",
                        legend=_NAMED,
                    ),
                    size=(8, 8),
                    look_of=Field(link=SERIES_LINK, empty="No line was dropped"),
                    draw=Draw.BARS,
                ),
                timeseries(
                    "Write errors by process",
                    "Failed writes to log files, by process. Normal is nothing. Full disk, quota,"
                    " or a directory that is gone: opsvisord's own log has the error.",
                    Query(
                        text=f"{_by_process('opsvisor_log_write_errors_total')} > 0",
                        legend=_NAMED,
                    ),
                    size=(8, 8),
                    look_of=Field(link=SERIES_LINK, empty="No write failed"),
                    draw=Draw.BARS,
                ),
                timeseries(
                    "Rotations",
                    "How often log files were rotated. Normal is a few times a day. Many times an"
                    " hour mean that rotate_size is small for what is written, and old lines are"
                    " soon gone.",
                    Query(
                        text=f"{_by_process('opsvisor_log_rotations_total')} > 0",
                        legend=_NAMED,
                    ),
                    size=(8, 8),
                    look_of=Field(link=SERIES_LINK, empty="Nothing was rotated"),
                    draw=Draw.BARS,
                ),
            ),
        ),
        Row(
            title="Silence and size",
            panels=(
                table(
                    "Longest silent",
                    "Running processes that have not written for longest. Normal for quiet"
                    " programs; for one that usually talks it can mean that it hangs. Its state,"
                    " CPU and health check on the Process dashboard tell which.",
                    Query(
                        text=f"topk(8, (time() - opsvisor_log_last_output_timestamp_seconds"
                        f"{{{PROCESSES}}}) and {ON} (opsvisor_process_up{{{PROCESSES}}} == 1))",
                        shape=Shape.TABLE,
                    ),
                    size=(12, 11),
                    columns=(
                        Column(source="process", title="Process", link=ROW_LINK),
                        Column(source="group", title="Group"),
                        Column(source="instance", title="Instance"),
                        Column(
                            source="Value",
                            title="Silent for",
                            unit="dtdurations",
                            cell=Cell.TEXT,
                        ),
                    ),
                    hidden=("job",),
                    sort="Silent for",
                    look_of=Field(empty="Nothing that runs has written anything yet"),
                ),
                bar_gauge(
                    "Largest log files",
                    "Size of the files being written, largest first. Normal is below rotate_size."
                    " One without end has no rotation: set rotate_size, or have it rotated from"
                    " outside.",
                    Query(
                        text=f"sort_desc(topk(10, opsvisor_log_file_size_bytes{{{PROCESSES}}}))",
                        legend=_NAMED,
                        shape=Shape.INSTANT,
                    ),
                    size=(12, 11),
                    look_of=Field(low=0),
                ),
            ),
        ),
    ),
    since="3h",
)
