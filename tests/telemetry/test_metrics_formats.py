"""Both exposition formats, against the client library's renderer and its strict parsers."""

import gzip
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text
from scene import (
    EVERYTHING,
    OPENMETRICS,
    RUNS,
    TEXT,
    VIEWS,
    WAITS,
    Scene,
    furnished,
    scene_of,
    stopped,
)

from opsvisor.config.settings import USUAL_COLLECTORS, Collector
from opsvisor.core.outcome import ExitCause
from opsvisor.core.spec import ProcessId
from opsvisor.core.struct import replace
from opsvisor.telemetry.exposition import Body, negotiate
from opsvisor.telemetry.families import Format, Kind
from opsvisor.telemetry.node_supervisord import NODE_SUPERVISORD_FAMILIES
from opsvisor.telemetry.reference import CATALOGUE, render_metrics_reference
from opsvisor.telemetry.rows import reasons_of

REASONS = reasons_of(VIEWS[1].spec)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """One process that runs (this very one), and one with an awkward name that waits."""
    with furnished(tmp_path, EVERYTHING) as one:
        yield one


class Expected:
    """The same facts as a collector of the client library, written down one by one."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._helps = {family.name: family.help for family in CATALOGUE}

    def collect(self) -> Iterable[Metric]:
        """Every metric of the processes."""
        yield from self._states()
        yield from self._starts()
        yield from self._resources()
        yield from self._cgroups()
        yield from self._logs()
        yield from self._exits()
        yield from self._checks()

    def _gauge(self, name: str, *samples: tuple[ProcessId, float]) -> Metric:
        return self._labelled(name, (), *((i, (), value) for i, value in samples))

    def _labelled(
        self,
        name: str,
        labels: tuple[str, ...],
        *samples: tuple[ProcessId, tuple[str, ...], float],
    ) -> Metric:
        kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
        unit = next((u for u in ("seconds", "bytes", "ratio") if f"_{u}" in name[-14:]), "")
        family = kind(
            f"opsvisor_{name}",
            self._helps[f"opsvisor_{name}"],
            labels=("group", "process", *labels),
            unit=unit,
        )
        for process_id, values, value in samples:
            family.add_metric((process_id.group, process_id.name, *values), value)
        return family

    def _states(self) -> Iterable[Metric]:
        info = InfoMetricFamily(
            "opsvisor_process",
            self._helps["opsvisor_process_info"],
            labels=("group", "process"),
        )
        mode = {"autorestart": "on-failure"}
        info.add_metric((RUNS.group, RUNS.name), {**mode, "program": "web", "user": ""})
        info.add_metric((WAITS.group, WAITS.name), {**mode, "program": 'p"\\', "user": "www"})
        yield info
        names = [
            "stopped",
            "starting",
            "running",
            "backoff",
            "stopping",
            "exited",
            "fatal",
            "unknown",
        ]
        yield self._labelled(
            "process_state",
            ("state",),
            *((RUNS, (name,), int(name == "running")) for name in names),
            *((WAITS, (name,), int(name == "backoff")) for name in names),
        )
        yield self._gauge("process_state_code", (RUNS, 20), (WAITS, 30))
        yield self._gauge(
            "process_state_entered_timestamp_seconds", (RUNS, 1001.0), (WAITS, 1001.0)
        )
        yield self._gauge("process_expected_running", (RUNS, 1), (WAITS, 1))
        yield self._gauge("process_up", (RUNS, 1), (WAITS, 0))
        yield self._gauge("process_ready", (RUNS, 1), (WAITS, 0))
        yield self._gauge("process_last_ready_duration_seconds", (WAITS, 2.5))
        yield self._labelled(
            "process_labels",
            ("label_team", "label_cost_centre"),
            (RUNS, ("", ""), 1),
            (WAITS, ('"blue"', "a\\b\nc"), 1),
        )
        yield self._gauge("process_flapping", (RUNS, 1), (WAITS, 0))
        yield self._gauge("process_unkillable", (RUNS, 1), (WAITS, 0))

    def _starts(self) -> Iterable[Metric]:
        yield self._gauge("process_start_time_seconds", (RUNS, 1000.5))
        yield self._gauge("process_starts_total", (RUNS, 0), (WAITS, 1))
        yield self._gauge("process_spawn_failures_total", (RUNS, 0), (WAITS, 0))
        yield self._labelled(
            "process_restarts_total",
            ("reason",),
            *((RUNS, (reason.value,), 0) for reason in reasons_of(VIEWS[0].spec)),
            *((WAITS, (r.value,), int(r is ExitCause.SIGNAL)) for r in REASONS),
        )
        yield self._gauge("process_oom_kills_total", (RUNS, 0), (WAITS, 2))
        yield self._gauge("process_start_retries", (RUNS, 0), (WAITS, 2))
        yield self._gauge("process_start_retries_limit", (WAITS, 3))
        yield self._gauge("process_backoff_delay_seconds", (RUNS, 0), (WAITS, 4.5))
        yield self._gauge("process_next_retry_timestamp_seconds", (WAITS, 1104.5))
        yield self._gauge("process_running_seconds_total", (RUNS, 12.25), (WAITS, 0))
        yield self._gauge("process_expected_seconds_total", (RUNS, 13.5), (WAITS, 0))

    def _resources(self) -> Iterable[Metric]:
        sampler = self._scene.sampler
        tree, spent = sampler.tree(RUNS), sampler.spent(RUNS)
        assert tree is not None
        yield self._labelled(
            "process_cpu_seconds_total",
            ("mode",),
            (RUNS, ("user",), spent.user_seconds),
            (RUNS, ("system",), spent.system_seconds),
            (WAITS, ("user",), 1.5),
            (WAITS, ("system",), 0.5),
        )
        yield self._gauge("process_resident_memory_bytes", (RUNS, tree.rss_bytes))
        yield self._gauge("process_swap_bytes", (RUNS, tree.swap_bytes))
        yield self._gauge("process_open_fds", (RUNS, tree.open_fds))
        yield self._gauge("process_max_fds", *([(RUNS, tree.max_fds)] if tree.max_fds else []))
        yield self._gauge("process_fd_usage_ratio", (RUNS, tree.fd_usage_ratio))
        yield self._gauge("process_threads", (RUNS, tree.threads))
        yield self._gauge("process_tree_processes", (RUNS, tree.processes))
        yield self._gauge("process_tree_zombies", (RUNS, tree.zombies))
        yield self._gauge("process_io_read_bytes_total", (RUNS, spent.io_read_bytes), (WAITS, 0))
        yield self._gauge(
            "process_io_written_bytes_total", (RUNS, spent.io_written_bytes), (WAITS, 0)
        )
        yield self._gauge(
            "process_major_page_faults_total", (RUNS, spent.major_faults), (WAITS, 3)
        )

    def _cgroups(self) -> Iterable[Metric]:
        yield self._gauge("process_proportional_memory_bytes", (RUNS, 4096))
        spent = self._scene.sampler.spent(RUNS)
        yield self._labelled(
            "process_context_switches_total",
            ("mode",),
            (RUNS, ("voluntary",), spent.voluntary_switches),
            (RUNS, ("involuntary",), spent.involuntary_switches),
            (WAITS, ("voluntary",), 11),
            (WAITS, ("involuntary",), 12),
        )
        yield self._gauge("process_cpu_periods_total", (RUNS, 0), (WAITS, 7))
        yield self._gauge("process_cpu_throttled_periods_total", (RUNS, 0), (WAITS, 5))
        yield self._gauge("process_cpu_throttled_seconds_total", (RUNS, 0.0), (WAITS, 0.25))
        yield self._gauge("process_cpu_limit_cpus", (RUNS, 1.5))
        yield self._gauge("process_memory_limit_bytes", (RUNS, 1 << 29))

    def _logs(self) -> Iterable[Metric]:
        for name, out, err in (("bytes", 4096, 7), ("lines", 10, 10), ("dropped_lines", 1, 1)):
            yield self._labelled(
                f"log_{name}_total",
                ("stream",),
                (RUNS, ("stdout",), out),
                (RUNS, ("stderr",), err),
            )
        yield self._gauge("log_rotations_total", (RUNS, 4), (WAITS, 0))
        yield self._gauge("log_write_errors_total", (RUNS, 6), (WAITS, 0))
        yield self._gauge("log_last_output_timestamp_seconds", (RUNS, 1002.5))
        yield self._gauge("log_file_size_bytes", (RUNS, 4096), (WAITS, 0))

    def _exits(self) -> Iterable[Metric]:
        yield self._gauge("process_last_exit_timestamp_seconds", (WAITS, 1050.0))
        yield self._gauge("process_last_exit_code", (WAITS, -1))
        yield self._gauge("process_last_exit_signal", (WAITS, 11))

    def _checks(self) -> Iterable[Metric]:
        for name, startup, readiness, liveness, waits in (
            ("up", 1, 0, 1, None),
            ("attempts_total", 7, 4, 2, 0),
            ("failures_total", 6, 3, 0, 0),
            ("last_duration_seconds", None, 0.25, 0.5, None),
        ):
            told = (
                (RUNS, "startup", startup),
                (RUNS, "readiness", readiness),
                (RUNS, "liveness", liveness),
                (WAITS, "liveness", waits),
            )
            yield self._labelled(
                f"health_check_{name}",
                ("check",),
                *((of, (check,), value) for of, check, value in told if value is not None),
            )


Render = Callable[[CollectorRegistry], bytes]
Parse = Callable[[str], Iterable[Metric]]


@pytest.mark.parametrize(
    ("accept", "render", "parse"),
    [
        (TEXT, generate_latest, parse_text),
        (OPENMETRICS, openmetrics.generate_latest, parse_openmetrics),
    ],
    ids=["text", "openmetrics"],
)
async def test_our_renderer_says_what_the_client_library_says(
    scene: Scene, accept: str, render: Render, parse: Parse
) -> None:
    """Names, types, units, help texts, labels and values are the same in both formats."""
    ours = await scene.families(accept)
    registry = CollectorRegistry()
    registry.register(Expected(scene))
    for theirs in parse(render(registry).decode()):
        assert _in_order(ours[theirs.name]) == _in_order(theirs)
    of_processes = {f.base_name for f in CATALOGUE if f.labels[:1] == ("group",)}
    in_text = {name.removesuffix("_info") for name in _names(render(registry))}
    assert of_processes == {name.removesuffix("_total") for name in in_text}


def _in_order(family: Metric) -> tuple[object, ...]:
    samples = sorted((s.name, sorted(s.labels.items()), s.value) for s in family.samples)
    return family.name, family.type, family.unit, family.documentation, samples


def _names(body: bytes) -> set[str]:
    lines = body.decode().splitlines()
    return {line.split()[2] for line in lines if line.startswith("# TYPE")}


@pytest.mark.parametrize("accept", [TEXT, OPENMETRICS])
async def test_every_metric_of_the_catalogue_is_told_and_no_other(
    scene: Scene, accept: str
) -> None:
    """The catalogue is the document, the dashboards' source and the scrape in one."""
    told = {name for name in await scene.families(accept) if name.startswith("opsvisor_")}
    text = accept == TEXT
    names = {f.name if f.kind is Kind.INFO and text else f.base_name for f in CATALOGUE}
    assert told == names
    assert len(CATALOGUE) == len(names)


async def test_no_series_is_told_twice(scene: Scene) -> None:
    """Prometheus refuses a whole scrape for one duplicate."""
    lines = [line for line in (await scene.scrape()).splitlines() if not line.startswith("#")]
    series = [line.rpartition(" ")[0] for line in lines]
    assert len(series) == len(set(series))


async def test_creation_times_are_not_told(scene: Scene) -> None:
    """Prometheus would store each as one more series."""
    scene.metrics.http_request("/metrics", "GET", code=200, seconds=0.01)
    assert "_created" not in await scene.scrape(OPENMETRICS)


async def test_openmetrics_ends_once(scene: Scene) -> None:
    """The end mark is the last line, and text has none."""
    assert (await scene.scrape(OPENMETRICS)).count("# EOF\n") == 1
    assert "# EOF" not in await scene.scrape(TEXT)


async def test_the_daemon_tells_of_itself(scene: Scene) -> None:
    """With the client library's own collectors."""
    names = set(await scene.families())
    assert {"process_open_fds", "python_info", "python_gc_collections"} <= names


@given(
    group=st.text(min_size=1),
    name=st.text(st.sampled_from('a"\\\n\r\0\udcffn,{}= é🦉'), min_size=1),
    label=st.text(max_size=50),
)
async def test_any_text_survives_as_a_label(group: str, name: str, label: str) -> None:
    """Quotes, backslashes, line ends, and what is no text, as something that can be read."""
    process_id = ProcessId(group, name)
    view = stopped(process_id)
    view = replace(view, spec=replace(view.spec, program=label, labels=(("team", label),)))
    with scene_of([view], EVERYTHING) as scene:
        for accept in (TEXT, OPENMETRICS):
            families = await scene.families(accept, frozenset({Collector.STATE}))
            of_process = {"group": readable(group), "process": readable(name)}
            (sample,) = families["opsvisor_process_up"].samples
            assert sample.labels == of_process
            (sample,) = families["opsvisor_process_labels"].samples
            assert sample.labels == {
                **of_process,
                "label_team": readable(label),
                "label_cost_centre": "",
            }
            (sample,) = families["node_supervisord_up"].samples
            assert sample.labels == {"group": readable(group), "name": readable(name)}


def readable(text: str) -> str:
    """This text, with what no scrape can hold written in ASCII."""
    return "".join(
        f"\\u{ord(char):04x}"
        if 0xD800 <= ord(char) <= 0xDFFF
        else "\\x00"
        if char == "\0"
        else char
        for char in text
    )


async def test_names_that_differ_in_bytes_that_are_no_text_stay_two() -> None:
    """One series told twice, and Prometheus would refuse the whole scrape."""
    views = [stopped(ProcessId("g", name)) for name in ("\udce9", "\udcea", "?", "\ufffd")]
    with scene_of(views) as scene:
        assert len(await scene.samples("opsvisor_process_up")) == 4


PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3_TEXT_FIRST = (
    "text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", Format.TEXT),
        ("*/*", Format.TEXT),
        ("text/html,application/xhtml+xml,*/*;q=0.8", Format.TEXT),
        ("application/openmetrics-text", Format.OPENMETRICS),
        ("Application/OpenMetrics-Text; Version=1.0.0", Format.OPENMETRICS),
        ("application/openmetrics-text, */*", Format.OPENMETRICS),
        ("application/openmetrics-text;q=0", Format.TEXT),
        ("application/openmetrics-text;q=0, text/plain;q=0", Format.TEXT),
        ("application/openmetrics-text;q=0.5, text/plain;q=0.6", Format.TEXT),
        ("application/openmetrics-text;q=0.5, text/plain;q=0.4, */*", Format.OPENMETRICS),
        ("application/openmetrics-text;q=0.5, text/*;q=0.9", Format.TEXT),
        ("application/openmetrics-text;version=2.0.0, text/plain;q=0.1", Format.TEXT),
        ("application/openmetrics-text;q=nonsense", Format.TEXT),
        (PROMETHEUS_2, Format.OPENMETRICS),
        (PROMETHEUS_3_TEXT_FIRST, Format.TEXT),
    ],
)
def test_the_format_is_what_the_scraper_prefers(accept: str, form: Format) -> None:
    """OpenMetrics only for those who name it and don't like text better."""
    assert negotiate(accept) is form


@given(st.text(st.sampled_from('aq=0.51;,/* "')))
def test_no_accept_header_is_an_error(accept: str) -> None:
    """Whatever it says, there is an answer."""
    assert negotiate(accept) in Format


@given(st.lists(st.text()))
def test_a_compressed_body_is_what_was_written(parts: list[str]) -> None:
    """However it was cut."""
    body = Body(gzip=True)
    for part in parts:
        body.write(part)
    assert gzip.decompress(body.finish()).decode() == "".join(parts)


def test_heads_differ_between_the_formats() -> None:
    """Counters and infos lose their suffix in OpenMetrics, which also tells units."""
    by_name = {family.name: family for family in CATALOGUE}
    cpu = by_name["opsvisor_process_cpu_seconds_total"]
    assert cpu.head(Format.TEXT).endswith(f"# TYPE {cpu.name} counter\n")
    assert cpu.head(Format.OPENMETRICS).endswith(
        "# TYPE opsvisor_process_cpu_seconds counter\n"
        "# UNIT opsvisor_process_cpu_seconds seconds\n"
    )
    info = by_name["opsvisor_process_info"]
    assert info.head(Format.TEXT).endswith("# TYPE opsvisor_process_info gauge\n")
    assert info.head(Format.OPENMETRICS).endswith("# TYPE opsvisor_process info\n")


def test_the_reference_names_every_metric() -> None:
    """With its help text, on one line of a table."""
    lines = render_metrics_reference().splitlines()
    for family in (*CATALOGUE, *NODE_SUPERVISORD_FAMILIES):
        (line,) = [line for line in lines if line.startswith(f"| `{family.name}` |")]
        assert family.help in line
        assert family.help.endswith(".")
        assert "|" not in family.help


def test_the_reference_says_of_every_collector_whether_it_is_on() -> None:
    """And how many metrics it makes."""
    lines = render_metrics_reference().splitlines()
    for collector in Collector:
        (line,) = [line for line in lines if line.startswith(f"| `{collector.value}` |")]
        count = sum(family.collector is collector for family in CATALOGUE)
        usual = "yes" if collector in USUAL_COLLECTORS else "on request"
        assert line.startswith(f"| `{collector.value}` | {usual} | {count} |")
