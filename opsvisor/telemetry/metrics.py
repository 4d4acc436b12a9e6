"""Counts published facts, and hands what it counted to whoever answers scrapes.

Counters come from events; everything else is looked at when somebody asks.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from functools import partial, reduce
from operator import xor
from typing import assert_never

from opsvisor.config.settings import Collector, MetricsSettings
from opsvisor.core.events import (
    ControlAction,
    EssentialEnded,
    Event,
    FailuresForgotten,
    FlappingChanged,
    HealthChanged,
    KillSurvived,
    PlanApplied,
    ProcessAdded,
    ProcessAdopted,
    ProcessChanged,
    ProcessExited,
    ProcessRemoved,
    ProcessSpawned,
    SignalRefused,
    SignalSent,
    SpawnFailed,
    StateChanged,
    SupervisorStateChanged,
)
from opsvisor.core.instant import Instant
from opsvisor.core.plan import PlanDiff
from opsvisor.core.spec import ProcessId, ProcessSpec
from opsvisor.core.state import PublicState
from opsvisor.core.struct import Struct
from opsvisor.core.view import ProcessView
from opsvisor.runtime.bus import Subscription
from opsvisor.runtime.logs.capture import StreamStats
from opsvisor.runtime.sampler import Sampler
from opsvisor.runtime.sweep import Sweep
from opsvisor.telemetry.counting_on import SeriesMemento
from opsvisor.telemetry.exposition import Body, negotiate
from opsvisor.telemetry.instruments import Component, Instruments
from opsvisor.telemetry.listeners import ListenerCounts
from opsvisor.telemetry.processes import families_of
from opsvisor.telemetry.rows import Counts, CountsMemento
from opsvisor.telemetry.scraping import Scrape, Sources
from opsvisor.telemetry.tally import Tally

_USUAL = MetricsSettings()

# Anyone can send any word as a method; a label may only have so many values.
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class MetricsMemento(Struct, frozen=True, kw_only=True):
    """Everything that only grows: of the daemon itself, and of each process."""

    series: tuple[SeriesMemento, ...] = ()
    counts: tuple[CountsMemento, ...] = ()


class Metrics:
    """Everything behind `/metrics`.

    `on_error` is told of a bug that was met in a collector; whoever is told counts it with
    `internal_error`. `started_at`: when the daemon was started, in seconds since the epoch.
    """

    def __init__(
        self,
        *,
        views: Callable[[], Iterable[ProcessView]],
        log_stats: Callable[[ProcessId], Mapping[str, StreamStats]],
        sampler: Sampler,
        now: Callable[[], Instant],
        started_at: float,
        version: str,
        revision: str = "",
        on_error: Callable[[str, Exception], None],
        settings: MetricsSettings = _USUAL,
        subscriptions: Callable[[], Iterable[Subscription]] = tuple,
        proportional_memory: Callable[[ProcessId], int | None] = lambda _id: None,
        sweep_timeout: float = 2.0,
    ) -> None:
        self._now = now
        self._settings = settings
        self._on_error = partial(on_error, Component.METRICS)
        self._counts: dict[ProcessId, Counts] = {}
        self._expected: dict[ProcessId, CountsMemento] = {}
        self._instruments = Instruments(version=version, revision=revision, started_at=started_at)
        self._families = families_of(settings)
        self._sources = Sources(
            views=views,
            counts=self._counts,
            log_stats=log_stats,
            sampler=sampler,
            proportional_memory=proportional_memory,
            sweep_timeout=sweep_timeout,
            subscriptions=subscriptions,
            instruments=self._instruments,
            now=now,
        )
        sampler.on_sweep(self._swept)

    def on_event(self, event: Event) -> None:
        """Count this fact: the table from events to counters."""
        self._instruments.events.count(type(event))
        match event:  # what comes oftest first
            case StateChanged():
                counts = self._counts[event.id]
                counts.is_running = event.new is PublicState.RUNNING
                self._look_if_ready(counts)
            case ProcessSpawned():
                counts = self._counts[event.id]
                counts.starts += 1
                counts.spawned_at = self._now().mono
                counts.has_to_pass = counts.is_asked
                if event.replaces is not None:
                    counts.count_restart(event.replaces)
            case ProcessExited():
                counts = self._counts[event.id]
                counts.exited_at, counts.last_outcome = event.at, event.outcome
            case ProcessAdded():
                self._counts[event.id] = Counts.of(event.spec)
                if event.id in self._expected:
                    self._counts[event.id].recall(self._expected.pop(event.id))
            case ProcessChanged():
                self._counts[event.id].change_to(event.spec)
            case ProcessRemoved():
                self._counts.pop(event.id, None)
            case ProcessAdopted():
                # How long it took to become ready is not known: its beginning was not seen.
                self._counts[event.id].is_running = event.state is PublicState.RUNNING
            case SpawnFailed():
                self._counts[event.id].spawn_failures += 1
            case PlanApplied():
                self._count_changes(event.diff)
            case SupervisorStateChanged():
                self._instruments.set_supervisor_state(event.new)
            case HealthChanged():
                counts = self._counts[event.id]
                counts.has_to_pass = not event.ready
                self._look_if_ready(counts)
            case (
                FailuresForgotten()
                | FlappingChanged()
                | SignalSent()
                | KillSurvived()
                | SignalRefused()
                | EssentialEnded()
                | ControlAction()
            ):
                pass  # shown as part of the state when somebody asks, or counted by who tells it
            case never:
                assert_never(never)

    def remember(self) -> MetricsMemento:
        """What another daemon needs, so that no counter falls."""
        return MetricsMemento(
            series=self._instruments.remember(),
            counts=tuple(one.remember(process_id) for process_id, one in self._counts.items()),
        )

    def remember_of(self, process_id: ProcessId) -> CountsMemento:
        """What another daemon needs to count on for one process. KeyError if there is none."""
        return self._counts[process_id].remember(process_id)

    def expect(self, counts: Iterable[CountsMemento]) -> None:
        """Count on from there for processes that `ProcessAdded` is about to tell of."""
        self._expected.update({memento.id: memento for memento in counts})

    def take_over(self, specs: Iterable[ProcessSpec], counts: Iterable[CountsMemento]) -> None:
        """Know these processes, which no event will tell of, and what was counted of them."""
        for spec in specs:
            self._counts[spec.id] = Counts.of(spec)
        for memento in counts:
            if memento.id in self._counts:
                self._counts[memento.id].recall(memento)

    def count_on(self, series: Iterable[SeriesMemento]) -> None:
        """Add what an earlier daemon had counted of itself."""
        self._instruments.count_on(series)

    def config_loaded(self, *, ok: bool, at: float) -> None:
        """A configuration was read at this Unix time."""
        self._instruments.reloads.inc()
        self._instruments.reload_successful.set(int(ok))
        if ok:
            self._instruments.reloaded_at.set(at)
        else:
            self._instruments.reload_failures.inc()

    def control_action(self, action: str, identity: str, result: str) -> None:
        """A client asked for this. `action` and `identity` are of known words, as the result."""
        self._instruments.control_actions.labels(action, identity, result).inc()

    def audit_log_written(self, *, ok: bool) -> None:
        """Whether what belongs into the audit log gets there."""
        self._instruments.audit_log_writable.set(int(ok))

    def upgrade_asked_for(self, result: str) -> None:
        """An upgrade was asked for, and this is what came of it: one of UPGRADE_RESULTS."""
        self._instruments.upgrades.labels(result).inc()

    def http_request(self, handler: str, method: str, *, code: int, seconds: float) -> None:
        """A request was answered. `handler` is a route's template, never a path from outside."""
        known = method if method in _METHODS else "other"
        self._instruments.http_requests.labels(str(code), handler, known).inc()
        self._instruments.http_duration.labels(handler, known).observe(seconds)

    def request_in_flight(self) -> AbstractContextManager[object]:
        """Counts a request as being served while the context lasts."""
        return self._instruments.http_in_flight.track_inprogress()

    def stream_active(self, stream: str) -> AbstractContextManager[object]:
        """Counts a streaming response of this kind while the context lasts."""
        return self._instruments.http_streams.labels(stream).track_inprogress()

    def listener(self, name: str, *, cuts: Iterable[str]) -> ListenerCounts:
        """What a listener of this name counts; `cuts` are the reasons it ends connections for."""
        return ListenerCounts(self._instruments, name, cuts)

    def observe_loop_lag(self, seconds: float) -> None:
        """The loop was this late."""
        self._instruments.loop_lag.observe(seconds)

    def observe_spawn(self, seconds: float) -> None:
        """A spawn took this long."""
        self._instruments.spawn_duration.observe(seconds)

    def observe_reap(self, seconds: float) -> None:
        """The end of a child was dealt with after this long."""
        self._instruments.reap_duration.observe(seconds)

    def orphan_reaped(self) -> None:
        """An inherited descendant was reaped."""
        self._instruments.orphans_reaped.inc()

    def events_dropped(self, subscriber: str, count: int = 1) -> None:
        """A subscriber of this kind missed so many facts; with 0 its series begins."""
        self._instruments.events_dropped.labels(subscriber).inc(count)

    def internal_error(self, component: str) -> None:
        """Something happened that must not: a bug in this `Component`."""
        self._instruments.internal_errors.labels(Component.called(component)).inc()

    @property
    def collectors(self) -> frozenset[Collector]:
        """What is switched on, and can be asked for."""
        return self._settings.collectors

    def content_type(self, accept: str) -> str:
        """Of what `render` answers to this Accept header."""
        return negotiate(accept).value

    async def render(
        self, accept: str, *, gzip: bool, collect: frozenset[Collector] | None = None
    ) -> tuple[bytes, str]:
        """The answer to a scrape: body and content type, in the format that `accept` prefers.

        `collect` asks for these collectors only; None for everything that is switched on.
        """
        asked_for = self.collectors if collect is None else self.collectors & collect
        wanted = [collector for collector in Collector if collector in asked_for]
        form = negotiate(accept)
        body = Body(gzip=gzip)
        self._instruments.config_hash.set(self._hash())
        tally = Tally(wanted, mono=lambda: self._now().mono, on_error=self._on_error)
        await Scrape(self._sources, self._families, tally).write(body, form)
        return body.finish(), form.value

    def _swept(self, sweep: Sweep) -> None:
        self._instruments.sample_duration.observe(sweep.duration)
        self._instruments.sampled_at.set(sweep.at_wall)

    def _look_if_ready(self, counts: Counts) -> None:
        """Observe how long its present run took to become ready, the first time it did.

        What runs is ready, unless it has probes that have to pass.
        """
        is_ready = counts.is_running and not counts.has_to_pass
        if is_ready and counts.spawned_at is not None:
            counts.ready_duration = self._now().mono - counts.spawned_at
            counts.spawned_at = None
            self._instruments.ready_duration.observe(counts.ready_duration)

    def _hash(self) -> int:
        """The same in two daemons that run the same, whatever came in which order."""
        return reduce(xor, (counts.fingerprint for counts in self._counts.values()), 0)

    def _count_changes(self, diff: PlanDiff) -> None:
        changes = self._instruments.process_changes
        changes.labels("added").inc(len(diff.added))
        changes.labels("changed").inc(len(diff.changed))
        changes.labels("removed").inc(len(diff.removed))
