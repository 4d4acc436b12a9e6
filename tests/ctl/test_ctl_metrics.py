"""metrics: what is measured, for people and for scripts."""

import math
from collections.abc import Iterator

import msgspec
import pytest
from ctl_runs import Ctl
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from recorded_daemon import NOW, Raw, RecordedDaemon, problem

from opsvisor.client import Sample
from opsvisor.client.samples import parse_samples
from opsvisor.ctl import render
from opsvisor.ctl.commands.measurements import ProcessSamples
from opsvisor.ctl.daemon_readings import daemon_lines
from opsvisor.ctl.process_readings import process_lines
from opsvisor.ctl.readings import by_owner, counted, length, number, of_daemon, percent
from opsvisor.telemetry.instruments import DAEMON_FAMILIES
from opsvisor.telemetry.processes import PROCESS_FAMILIES

WHOSE = 'group="w",process="a"'
# One sample of each metric of a process, and what a well-watched one of them looks like.
PROCESS = f"""\
# HELP opsvisor_process_up x
# TYPE opsvisor_process_up gauge
opsvisor_process_info{{{WHOSE},autorestart="always",program="api",user=""}} 1
opsvisor_process_state{{{WHOSE},state="running"}} 0
opsvisor_process_state{{{WHOSE},state="backoff"}} 1
opsvisor_process_state_code{{{WHOSE}}} 30
opsvisor_process_state_entered_timestamp_seconds{{{WHOSE}}} {NOW - 4:.0f}
opsvisor_process_expected_running{{{WHOSE}}} 1
opsvisor_process_up{{{WHOSE}}} 0
opsvisor_process_ready{{{WHOSE}}} 0
opsvisor_process_flapping{{{WHOSE}}} 1
opsvisor_process_running_seconds_total{{{WHOSE}}} 9996
opsvisor_process_expected_seconds_total{{{WHOSE}}} 10000
opsvisor_process_starts_total{{{WHOSE}}} 1204
opsvisor_process_spawn_failures_total{{{WHOSE}}} 0
opsvisor_process_restarts_total{{{WHOSE},reason="failure"}} 1200
opsvisor_process_restarts_total{{{WHOSE},reason="oom"}} 1
opsvisor_process_restarts_total{{{WHOSE},reason="manual"}} 0
opsvisor_process_oom_kills_total{{{WHOSE}}} 1
opsvisor_process_start_retries{{{WHOSE}}} 2
opsvisor_process_start_retries_limit{{{WHOSE}}} 3
opsvisor_process_backoff_delay_seconds{{{WHOSE}}} 2
opsvisor_process_next_retry_timestamp_seconds{{{WHOSE}}} {NOW + 1.25}
opsvisor_process_last_exit_code{{{WHOSE}}} -1
opsvisor_process_last_exit_signal{{{WHOSE}}} 9
opsvisor_process_last_exit_timestamp_seconds{{{WHOSE}}} {NOW - 200:.0f}
opsvisor_health_check_up{{{WHOSE},check="readiness"}} 0
opsvisor_health_check_attempts_total{{{WHOSE},check="readiness"}} 10
opsvisor_health_check_failures_total{{{WHOSE},check="readiness"}} 3
opsvisor_health_check_last_duration_seconds{{{WHOSE},check="readiness"}} 0.0042
opsvisor_process_cpu_seconds_total{{{WHOSE},mode="user"}} 4000
opsvisor_process_cpu_seconds_total{{{WHOSE},mode="system"}} 0.25
opsvisor_process_cpu_limit_cpus{{{WHOSE}}} 1.5
opsvisor_process_cpu_periods_total{{{WHOSE}}} 300
opsvisor_process_cpu_throttled_periods_total{{{WHOSE}}} 12
opsvisor_process_cpu_throttled_seconds_total{{{WHOSE}}} 3
opsvisor_process_resident_memory_bytes{{{WHOSE}}} 524288000
opsvisor_process_memory_limit_bytes{{{WHOSE}}} 536870912
opsvisor_process_swap_bytes{{{WHOSE}}} 0
opsvisor_process_tree_processes{{{WHOSE}}} 3
opsvisor_process_threads{{{WHOSE}}} 1
opsvisor_process_tree_zombies{{{WHOSE}}} 1
opsvisor_process_open_fds{{{WHOSE}}} 45
opsvisor_process_max_fds{{{WHOSE}}} 1024
opsvisor_process_fd_usage_ratio{{{WHOSE}}} 0.0439
opsvisor_process_io_read_bytes_total{{{WHOSE}}} 1048576
opsvisor_process_io_written_bytes_total{{{WHOSE}}} 0
opsvisor_log_bytes_total{{{WHOSE},stream="stdout"}} 2048
opsvisor_log_bytes_total{{{WHOSE},stream="stderr"}} 0
opsvisor_log_lines_total{{{WHOSE},stream="stdout"}} 12345
opsvisor_log_dropped_lines_total{{{WHOSE},stream="stdout"}} 7
opsvisor_log_last_output_timestamp_seconds{{{WHOSE}}} {NOW - 90:.0f}
opsvisor_process_moons{{{WHOSE},of="jupiter"}} 95
"""
OTHER = PROCESS.replace(WHOSE, 'group="web",process="web"')
DAEMON = """\
opsvisor_build_info{python_version="3.11.7",revision="",version="1.2.3"} 1
opsvisor_supervisor_state{state="running"} 1
opsvisor_config_last_reload_successful 0
opsvisor_events_total{event="state_changed"} 3
opsvisor_events_total{event="process_exited"} 4
opsvisor_http_requests_total{code="200",handler="/",method="GET"} 2
opsvisor_http_requests_total{code="403",handler="/",method="GET"} 1
opsvisor_spawn_duration_seconds_count 4
opsvisor_spawn_duration_seconds_sum 0.02
opsvisor_spawn_duration_seconds_bucket{le="+Inf"} 4
opsvisor_internal_errors_total{component="api"} 1
node_supervisord_up{name="a",group="w"} 1
"""

BOARD = """\
State: for 4.0 s · should be running · flapping !
Available: 99.9 % of 2 h 46 min in which it should have been running
Starts: 1,204 starts · 1,201 restarts: failure 1,200, oom 1 · 1 OOM kill · 2 of 3 failed in a row \
· next try in 1.2 s · delay 2.0 s !
Last exit: signal 9 · 3 min 20 s ago
Health: readiness failing, 3 of 10 failed, last took 4.2 ms !
CPU: user 1 h 6 min · system 250 ms · limit 1.5 CPUs · throttled in 12 of 300 periods · held back \
for 3.0 s !
Memory: 500 MiB resident (97.7 % of the limit) · limit 512 MiB !
Tree: 3 processes · 1 thread · 1 zombie !
Files: 45 open · limit 1,024 · the fullest member uses 4.39 % of its limit
Storage: 1.0 MiB read · 0 B written
Output: stdout 2.0 KiB in 12,345 lines · last 1 min 30 s ago · 7 lines dropped !
About: autorestart always · program api
More: opsvisor_process_moons{of="jupiter"} 95"""


@pytest.fixture(autouse=True)
def _scraped(daemon: RecordedDaemon) -> None:
    daemon.answers = {"GET /metrics": Raw(200, (PROCESS + OTHER + DAEMON).encode(), "text/plain")}


def test_one_process_on_one_screen() -> None:
    """A line for each subject; what needs a look is marked, and what is new is not hidden."""
    samples = list(parse_samples(PROCESS))
    lines = [
        f"{line.subject}: {' · '.join(line.facts)}{' !' if line.is_alarming else ''}"
        for line in process_lines(samples, NOW)
    ]
    assert "\n".join(lines) == BOARD


def test_the_daemon_itself() -> None:
    """Nothing of processes, nor what is told for others' dashboards."""
    samples = of_daemon(list(parse_samples(PROCESS + DAEMON)))
    lines = {line.subject: line for line in daemon_lines(samples, NOW)}
    assert lines["Daemon"].facts == ["python 3.11.7", "version 1.2.3"]
    assert lines["Configuration"].is_alarming
    assert lines["Children"].facts == ["4 spawned, in 5.0 ms on average"]
    assert lines["API"].facts == ["3 requests", "1 refused"]
    assert lines["Events"].facts == ["7 published"]
    assert lines["Itself"].facts == ["1 bug met in api"]
    assert "More" not in lines


def test_every_metric_has_its_place() -> None:
    """One that is added to the daemon gets words here, too: nothing is left for the last line."""
    labels = {
        "mode": "user",
        "state": "running",
        "reason": "oom",
        "stream": "stdout",
        "check": "x",
    }
    samples = [
        Sample(
            name=family.name,
            labels={"group": "w", "process": "a"}
            | {name: labels.get(name, "x") for name in family.labels},
            value=1.0,
        )
        for family in PROCESS_FAMILIES
    ]
    assert [line for line in process_lines(samples, NOW) if line.subject == "More"] == []
    own = [
        Sample(name=f"{family.name}{suffix}", labels=dict.fromkeys(family.labels, "x"), value=1.0)
        for family in DAEMON_FAMILIES
        for suffix in (
            ("_bucket", "_count", "_sum") if family.kind.value == "histogram" else ("",)
        )
    ]
    assert [line for line in daemon_lines(own, NOW) if line.subject == "More"] == []


def test_names_are_those_of_status(ctl: Ctl) -> None:
    """Alone where the group is called the same; patterns and groups, each process once."""
    ran = ctl("metrics", "w:*", "w:a", "web")
    assert ran.status == 0
    assert ran.out == PROCESS.partition("gauge\n")[2] + OTHER.partition("gauge\n")[2]
    assert ctl("metrics", "all").out == ran.out
    assert ctl("metrics", "w*").out == ran.out


def test_a_name_that_is_none(ctl: Ctl) -> None:
    """As with status: told on its line, and by the exit status."""
    ran = ctl("metrics", "nope", "x:*")
    assert ran == (4, "nope: ERROR (no such process)\nx: ERROR (no such group)\n", "")
    told = msgspec.json.decode(ctl("--json", "metrics", "nope", "web").out)
    assert [one["name"] for one in told["processes"]] == ["web"]
    assert told["error"]["code"] == "no_such_process"


def test_json_has_every_sample(ctl: Ctl) -> None:
    """Names, labels and values as they are."""
    told = msgspec.json.decode(ctl("--json", "metrics", "w:a").out)
    (one,) = msgspec.convert(told["processes"], list[ProcessSamples])
    assert (one.name, one.group, one.process) == ("w:a", "w", "a")
    assert one.samples == list(parse_samples(PROCESS))
    own = msgspec.json.decode(ctl("--json", "metrics").out)
    assert {sample["name"] for sample in own["samples"]} >= {"opsvisor_build_info"}


def test_without_names_it_is_the_daemon(ctl: Ctl) -> None:
    """In a pipe the lines are those of /metrics."""
    out = ctl("metrics").out
    assert 'opsvisor_events_total{event="state_changed"} 3\n' in out
    assert "opsvisor_process" not in out
    assert "node_supervisord" not in out


def test_whoever_may_only_read_metrics_can_be_shown_them(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """Nothing else is asked for."""
    assert ctl("metrics", "web").status == 0
    assert daemon.lines() == ["GET /metrics"]


def test_refusals_are_told_as_elsewhere(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """What the daemon says, and what can't be read."""
    daemon.answers["GET /metrics"] = problem(403, "forbidden", "this needs more", hint="ask")
    ran = ctl("metrics")
    assert (ran.status, ran.out) == (1, "error: forbidden: this needs more\n")
    assert "hint: ask" in ran.err
    for body in (b"<html>", b"\xff", b"x 1 2", b'x{a="b} 1', b'x{a="\\q"} 1', b"x{} 1", b"x 1e"):
        daemon.answers["GET /metrics"] = Raw(200, body, "text/plain")
        ran = ctl("metrics")
        assert ran.status == 1, body
        assert "sent an answer that this client can't read" in ran.out, body


LABEL_VALUES = st.text(
    st.characters(codec="utf-8", exclude_characters="\r"), max_size=20
) | st.sampled_from(['"', "\\", "\n", '\\"', "\\n", "},x 1", "\u2028", 'a,b="c"', "\x85"])


@given(labels=st.dictionaries(st.sampled_from(["a", "b_c", "d9"]), LABEL_VALUES))
def test_any_label_survives(labels: dict[str, str]) -> None:
    """What is written is read, here and by the client library."""
    sample = Sample(name="x", labels=labels, value=1.5)
    line = render.sample_line(sample)
    assert list(parse_samples(f"# HELP x\n{line}\n")) == [sample]
    (family,) = text_string_to_metric_families(f"{line}\n")
    assert family.samples[0].labels == labels


@pytest.mark.parametrize("text", ["0", "1", "-1", "0.25", "1e-07", "5.24288e+08", "+Inf", "NaN"])
def test_any_value_survives(text: str) -> None:
    """All that a float can be."""
    (sample,) = parse_samples(f"x {text}")
    (again,) = parse_samples(render.sample_line(sample))
    assert again.value == sample.value or math.isnan(sample.value)
    assert sample.value == float(text) or math.isnan(sample.value)


def test_samples_are_found_by_whose_they_are() -> None:
    """In the order of groups and names."""
    samples = list(parse_samples(OTHER + PROCESS + DAEMON))
    found = by_owner(samples)
    assert [owner.name for owner in found] == ["w:a", "web"]
    assert list(found.values()) == [list(parse_samples(PROCESS)), list(parse_samples(OTHER))]


def test_a_large_fleet_is_gone_through_once() -> None:
    """Not once for each process: 1,000 of them would take half a minute."""

    class Counted(list[Sample]):
        passes = 0

        def __iter__(self) -> Iterator[Sample]:
            self.passes += 1
            return super().__iter__()

    samples = Counted(
        Sample(name="x", labels={"group": "web", "process": f"web_{number}"}, value=1.0)
        for number in range(100)
    )
    assert len(by_owner(samples)) == 100
    assert samples.passes == 1


def test_values_in_words() -> None:
    """Short, and never more than the truth."""
    assert [length(x) for x in (0, 0.00042, 0.12, 1.25, 12, 3700)] == [
        "0 s",
        "0.4 ms",
        "120 ms",
        "1.2 s",
        "12 s",
        "1 h 1 min",
    ]
    assert [percent(x) for x in (0, 0.00015, 0.5, 0.99951, 0.9999999, 1)] == [
        "0 %",
        "0.015 %",
        "50 %",
        "99.9 %",
        "99.9 %",
        "100 %",
    ]
    assert [number(x) for x in (1234567, 0.5, -1, 1e18)] == ["1,234,567", "0.5", "-1", "1e+18"]
    assert [counted(x, "process", "processes") for x in (0, 1, 2)] == [
        "0 processes",
        "1 process",
        "2 processes",
    ]


def test_actions_and_an_audit_log_that_is_not_written() -> None:
    """What came of what clients asked for; who did should not be lost unseen."""
    text = (
        'opsvisor_control_actions_total{action="stop",identity="ops",result="ok"} 3\n'
        'opsvisor_control_actions_total{action="start",identity="ops",result="ok"} 2\n'
        'opsvisor_control_actions_total{action="stop",identity="nobody",result="refused"} 1\n'
    )

    def told(writable: int) -> tuple[list[str], bool]:
        samples = list(parse_samples(f"{text}opsvisor_audit_log_writable {writable}\n"))
        (line,) = [one for one in daemon_lines(samples, NOW) if one.subject == "Actions"]
        return list(line.facts), line.is_alarming

    assert told(1) == (["5 ok", "1 refused"], False)
    assert told(0) == (["5 ok", "1 refused", "the audit log can't be written"], True)
