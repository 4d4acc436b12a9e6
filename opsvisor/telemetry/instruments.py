"""The metrics of the daemon itself: one table, and the prometheus_client objects made from it.

They are few, so the client library's own renderer is good enough for them.
"""

import platform
from collections.abc import Iterable
from enum import StrEnum
from typing import get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.openmetrics import exposition as openmetrics

from opsvisor.config.settings import Collector
from opsvisor.core.events import Event, SupervisorState
from opsvisor.core.wording import kind_of
from opsvisor.telemetry.counting_on import GcCounters, SeriesMemento, add_to, series_of
from opsvisor.telemetry.families import END_MARK, Family, Format, Kind
from opsvisor.telemetry.often import Observations, Occurrences
from opsvisor.telemetry.own_process import OwnProcess
from opsvisor.telemetry.tally import Tally

_FINE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_READY_BUCKETS = (0.1, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0)
_COARSE_BUCKETS = (0.005, 0.025, 0.1, 0.5, 2.5)  # one set for each handler and method


class Component(StrEnum):
    """The parts whose bugs are caught and counted instead of ending the daemon."""

    API = "api"
    CORE = "core"
    ENGINE = "engine"
    LISTENER = "listener"
    LOOP = "loop"
    MEMORY = "memory"
    METRICS = "metrics"
    PROBES = "probes"
    REAPER = "reaper"
    OTHER = "other"  # what a caller named that is none of these

    @classmethod
    def called(cls, name: str) -> "Component":
        """The component of this name, OTHER if there is none: a label has only known values."""
        try:
            return cls(name)
        except ValueError:
            return cls.OTHER


CHANGES = ("added", "changed", "removed")
# `refused` by the check of what is installed, `failed` when it was to be executed.
UPGRADE_RESULTS = ("done", "failed", "refused")


def _family(
    name: str, collector: Collector | None, kind: Kind, text: str, *labels: str, when: str = ""
) -> Family:
    return Family(
        name=f"opsvisor_{name}",
        kind=kind,
        help=text,
        collector=collector,
        labels=labels,
        when=when,
    )


DAEMON_FAMILIES = (
    _family(
        "build_info",
        None,
        Kind.INFO,
        "Version of the daemon and of the Python it runs on.",
        "python_version",
        "revision",
        "version",
    ),
    _family("start_time_seconds", None, Kind.GAUGE, "Unix time at which the daemon started."),
    _family("supervisor_state", None, Kind.GAUGE, "1 for the state the daemon is in.", "state"),
    _family(
        "config_last_reload_successful",
        None,
        Kind.GAUGE,
        "1 if the last attempt to load the configuration succeeded.",
    ),
    _family(
        "config_last_reload_success_timestamp_seconds",
        None,
        Kind.GAUGE,
        "Unix time at which the configuration was last loaded.",
    ),
    _family("config_reloads_total", None, Kind.COUNTER, "Attempts to load the configuration."),
    _family(
        "config_reload_failures_total",
        None,
        Kind.COUNTER,
        "Attempts to load the configuration that found it unusable.",
    ),
    _family(
        "config_hash",
        None,
        Kind.GAUGE,
        "48 bits of a hash of all programs that are supervised, as they were last applied.",
    ),
    _family(
        "config_process_changes_total",
        None,
        Kind.COUNTER,
        "Processes that configurations added, changed and removed.",
        "change",
    ),
    _family(
        "upgrades_total",
        None,
        Kind.COUNTER,
        "Upgrades in place that were asked for, by what came of them.",
        "result",
    ),
    _family(
        "control_actions_total",
        None,
        Kind.COUNTER,
        "What clients asked for that is more than a look, by what came of it.",
        "action",
        "identity",
        "result",
        when="nobody asked for it",
    ),
    _family(
        "audit_log_writable",
        None,
        Kind.GAUGE,
        "1 while control actions are written where they are to be, 0 if the audit log can't be.",
    ),
    _family(
        "event_loop_lag_seconds",
        Collector.ENGINE,
        Kind.HISTOGRAM,
        "How late the event loop ran what was due.",
    ),
    _family(
        "spawn_duration_seconds",
        Collector.ENGINE,
        Kind.HISTOGRAM,
        "From asking for a process to knowing that it executes its command.",
    ),
    _family(
        "child_reap_duration_seconds",
        Collector.ENGINE,
        Kind.HISTOGRAM,
        "From noticing the end of a child to having dealt with it.",
    ),
    _family(
        "orphans_reaped_total",
        Collector.ENGINE,
        Kind.COUNTER,
        "Inherited descendants that were reaped.",
    ),
    _family(
        "process_ready_duration_seconds",
        Collector.STATE,
        Kind.HISTOGRAM,
        "From the start of a process to its being ready, of all processes.",
    ),
    _family(
        "resource_sample_duration_seconds",
        Collector.RESOURCES,
        Kind.HISTOGRAM,
        "Duration of one sweep over the process trees.",
    ),
    _family(
        "resource_sample_timestamp_seconds",
        Collector.RESOURCES,
        Kind.GAUGE,
        "Unix time of the last sweep over the process trees, 0 before the first.",
    ),
    _family(
        "collector_success",
        None,
        Kind.GAUGE,
        "1 if these numbers could be collected for this scrape.",
        "collector",
        when="this scrape did not ask for it",
    ),
    _family(
        "collector_duration_seconds",
        None,
        Kind.GAUGE,
        "Time it took to collect these numbers for this scrape.",
        "collector",
        when="this scrape did not ask for it",
    ),
    _family(
        "http_requests_total",
        Collector.HTTP,
        Kind.COUNTER,
        "Requests answered.",
        "code",
        "handler",
        "method",
        when="there was no such request",
    ),
    _family(
        "http_request_duration_seconds",
        Collector.HTTP,
        Kind.HISTOGRAM,
        "Time to answer a request.",
        "handler",
        "method",
        when="there was no such request",
    ),
    _family("http_requests_in_flight", Collector.HTTP, Kind.GAUGE, "Requests being served."),
    _family(
        "http_streams_active",
        Collector.HTTP,
        Kind.GAUGE,
        "Streaming responses being sent.",
        "stream",
        when="there was no such stream",
    ),
    _family(
        "http_connections",
        Collector.HTTP,
        Kind.GAUGE,
        "Connections of clients that a listener holds.",
        "listener",
    ),
    _family(
        "http_connections_max",
        Collector.HTTP,
        Kind.GAUGE,
        "Connections that a listener holds at most.",
        "listener",
    ),
    _family(
        "http_connections_refused_total",
        Collector.HTTP,
        Kind.COUNTER,
        "Clients for whom a listener had no connection left.",
        "listener",
    ),
    _family(
        "http_connections_cut_total",
        Collector.HTTP,
        Kind.COUNTER,
        "Connections ended because the client did nothing with them.",
        "listener",
        "reason",
    ),
    _family(
        "http_auth_failures_total",
        Collector.HTTP,
        Kind.COUNTER,
        "Wrong passwords and tokens, those included that were not looked at any more.",
        "listener",
    ),
    _family(
        "http_auth_limited_total",
        Collector.HTTP,
        Kind.COUNTER,
        "Attempts to log in that were not looked at, after too many wrong ones.",
        "listener",
    ),
    _family(
        "tls_certificate_not_after_timestamp_seconds",
        Collector.HTTP,
        Kind.GAUGE,
        "Unix time until which the certificate is valid that a listener shows.",
        "listener",
        when="the listener does not speak TLS",
    ),
    _family(
        "tls_certificate_last_reload_successful",
        Collector.HTTP,
        Kind.GAUGE,
        "1 if a listener shows the certificate that is in its files, 0 if that can't be used.",
        "listener",
        when="the listener does not speak TLS",
    ),
    _family(
        "tls_handshake_failures_total",
        Collector.HTTP,
        Kind.COUNTER,
        "Clients with whom a listener could not agree on TLS.",
        "listener",
        when="the listener does not speak TLS",
    ),
    _family("events_total", Collector.EVENTS, Kind.COUNTER, "Facts published.", "event"),
    _family(
        "event_queue_length",
        Collector.EVENTS,
        Kind.GAUGE,
        "Facts waiting for subscribers of this kind.",
        "subscriber",
        when="there is no such subscriber",
    ),
    _family(
        "event_queue_capacity",
        Collector.EVENTS,
        Kind.GAUGE,
        "Facts that can wait for subscribers of this kind.",
        "subscriber",
        when="there is no such subscriber",
    ),
    _family(
        "events_dropped_total",
        Collector.EVENTS,
        Kind.COUNTER,
        "Facts that slow subscribers of this kind missed, each pool of event listeners being one.",
        "subscriber",
        when="there was no such subscriber",
    ),
    _family(
        "internal_errors_total",
        Collector.ENGINE,
        Kind.COUNTER,
        "Unexpected exceptions, all of them bugs.",
        "component",
    ),
    _family("tasks", Collector.ENGINE, Kind.GAUGE, "asyncio tasks."),
)

_BY_NAME = {family.name: family for family in DAEMON_FAMILIES}


def _by_type(events: Counter) -> dict[type[Event], Counter]:
    """The series of each kind of event."""
    return {kind: events.labels(kind_of(kind)) for kind in get_args(Event)}


class Instruments:
    """The objects behind `DAEMON_FAMILIES`, in a registry for each collector.

    Labels whose values are known beforehand are there with 0 from the beginning: a counter that
    first appears at 3 shows no increase.
    """

    def __init__(self, *, version: str, revision: str, started_at: float) -> None:
        # One more series for each counter and histogram, and Prometheus stores it as a plain one.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations
        owners = (None, *Collector)
        self._registries = {collector: CollectorRegistry() for collector in owners}
        self._counting: dict[str, Counter | Histogram] = {}  # what only grows, by family
        build = _BY_NAME["opsvisor_build_info"]
        Info(build.base_name, build.help, registry=self._registries[None]).info(
            {
                "version": version,
                "revision": revision,
                "python_version": platform.python_version(),
            }
        )
        self._gauge("start_time_seconds").set(started_at)
        self.supervisor_state = self._gauge("supervisor_state")
        self.reload_successful = self._gauge("config_last_reload_successful")
        self.reloaded_at = self._gauge("config_last_reload_success_timestamp_seconds")
        self.reloads = self._counter("config_reloads_total")
        self.reload_failures = self._counter("config_reload_failures_total")
        self.config_hash = self._gauge("config_hash")
        self.process_changes = self._counter("config_process_changes_total")
        self.upgrades = self._counter("upgrades_total")
        self.control_actions = self._counter("control_actions_total")
        self.audit_log_writable = self._gauge("audit_log_writable")
        self.loop_lag = self._histogram("event_loop_lag_seconds")
        self.spawn_duration = self._observations("spawn_duration_seconds")
        self.reap_duration = self._observations("child_reap_duration_seconds")
        self.orphans_reaped = self._counter("orphans_reaped_total")
        self.ready_duration = self._observations("process_ready_duration_seconds", _READY_BUCKETS)
        self.sample_duration = self._histogram("resource_sample_duration_seconds")
        self.sampled_at = self._gauge("resource_sample_timestamp_seconds")
        self.collector_success = self._gauge("collector_success")
        self.collector_duration = self._gauge("collector_duration_seconds")
        self.http_requests = self._counter("http_requests_total")
        self.http_duration = self._histogram("http_request_duration_seconds", _COARSE_BUCKETS)
        self.http_in_flight = self._gauge("http_requests_in_flight")
        self.http_streams = self._gauge("http_streams_active")
        self.connections = self._gauge("http_connections")
        self.connections_max = self._gauge("http_connections_max")
        self.connections_refused = self._counter("http_connections_refused_total")
        self.connections_cut = self._counter("http_connections_cut_total")
        self.auth_failures = self._counter("http_auth_failures_total")
        self.auth_limited = self._counter("http_auth_limited_total")
        self.certificate_not_after = self._gauge("tls_certificate_not_after_timestamp_seconds")
        self.certificate_reload_successful = self._gauge("tls_certificate_last_reload_successful")
        self.handshake_failures = self._counter("tls_handshake_failures_total")
        self.events = Occurrences(_by_type(self._counter("events_total")))
        self.queue_length = self._gauge("event_queue_length")
        self.queue_capacity = self._gauge("event_queue_capacity")
        self.events_dropped = self._counter("events_dropped_total")
        self.internal_errors = self._counter("internal_errors_total")
        self.tasks = self._gauge("tasks")
        self._begin_at_zero()
        # Its start time tells a new process from a reload, which begins all else anew.
        OwnProcess(self._registries[None])
        engine = self._registries[Collector.ENGINE]
        PlatformCollector(registry=engine)
        self._garbage = GcCounters(engine)

    def remember(self) -> tuple[SeriesMemento, ...]:
        """Every counter and histogram."""
        self._pour()
        mine = [
            series
            for family, metric in self._counting.items()
            for series in series_of(family, metric)
        ]
        return (*mine, *self._garbage.remember())

    def count_on(self, remembered: Iterable[SeriesMemento]) -> None:
        """Add what another daemon had counted. What is not told any more is left out."""
        for series in remembered:
            metric = self._counting.get(series.family)
            if metric is not None:
                add_to(metric, series)
            else:
                self._garbage.count_on(series)

    def tell(self, tally: Tally) -> None:
        """Show how collecting went in this scrape, and of no other collector than it asked for."""
        self.collector_success.clear()
        self.collector_duration.clear()
        for collector, seconds in tally.seconds.items():
            self.collector_success.labels(collector.value).set(int(collector not in tally.failed))
            self.collector_duration.labels(collector.value).set(seconds)

    def render(self, form: Format, collector: Collector | None) -> str:
        """The families of this collector, or those that are always told, without an end mark."""
        self._pour()
        registry = self._registries[collector]
        if form is Format.TEXT:
            return generate_latest(registry).decode()
        body: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]  # as is
        return body.decode().removesuffix(END_MARK)

    def set_supervisor_state(self, current: SupervisorState) -> None:
        """1 for this state, 0 for the others."""
        for state in SupervisorState:
            self.supervisor_state.labels(state.value).set(int(state is current))

    def _pour(self) -> None:
        """Have the client library know what happens so often that it is counted beside it."""
        self.events.pour()
        for observed in (self.spawn_duration, self.reap_duration, self.ready_duration):
            observed.pour()

    def _begin_at_zero(self) -> None:
        self.set_supervisor_state(SupervisorState.STARTING)
        self.audit_log_writable.set(1)
        for change in CHANGES:
            self.process_changes.labels(change)
        for result in UPGRADE_RESULTS:
            self.upgrades.labels(result)
        for component in Component:
            self.internal_errors.labels(component)

    def _counter(self, name: str) -> Counter:
        family = _BY_NAME[f"opsvisor_{name}"]
        self._counting[family.name] = counter = Counter(
            family.name,
            family.help,
            family.labels,
            unit=family.unit,
            registry=self._registries[family.collector],
        )
        return counter

    def _gauge(self, name: str) -> Gauge:
        family = _BY_NAME[f"opsvisor_{name}"]
        return Gauge(
            family.name,
            family.help,
            family.labels,
            unit=family.unit,
            registry=self._registries[family.collector],
        )

    def _observations(self, name: str, buckets: tuple[float, ...] = _FINE_BUCKETS) -> Observations:
        return Observations(self._histogram(name, buckets))

    def _histogram(self, name: str, buckets: tuple[float, ...] = _FINE_BUCKETS) -> Histogram:
        family = _BY_NAME[f"opsvisor_{name}"]
        self._counting[family.name] = histogram = Histogram(
            family.name,
            family.help,
            family.labels,
            unit=family.unit,
            registry=self._registries[family.collector],
            buckets=buckets,
        )
        return histogram
