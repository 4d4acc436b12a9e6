"""A daemon's worth of facts for the metrics to show, without a daemon."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cgroup_tree import CgroupTree
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from opsvisor.config.settings import Collector, MetricsCompat, MetricsSettings
from opsvisor.core.events import ProcessAdded, ProcessExited, ProcessSpawned, StateChanged
from opsvisor.core.instant import Instant
from opsvisor.core.outcome import ExitCause, Outcome, Usage
from opsvisor.core.probes import ProbeKind, ProbeSpec, ProbeView, TcpProbe
from opsvisor.core.spec import Pid, ProcessId, ProcessSpec, UserSpec
from opsvisor.core.state import PublicState, StartCause
from opsvisor.core.struct import replace
from opsvisor.core.view import ProcessView
from opsvisor.runtime.bus import Subscription
from opsvisor.runtime.cgroups import Cgroups, Throttling
from opsvisor.runtime.ledger import ThrottleLedger
from opsvisor.runtime.logs.capture import StreamStats
from opsvisor.runtime.sampler import Sampler
from opsvisor.telemetry.metrics import Metrics

TEXT = "text/plain;version=0.0.4"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
USUAL = MetricsSettings()
EVERYTHING = MetricsSettings(
    collectors=frozenset(Collector),
    process_labels=("team", "cost-centre"),
    compat=frozenset(MetricsCompat),
)
WEB = ProcessId("web", "web")

STOPPED = ProcessView(
    id=WEB,
    spec=ProcessSpec(id=WEB, program="web", command="run", argv=("run",)),
    group_priority=999,
    state=PublicState.STOPPED,
    reason="",
    since=Instant(mono=1.0, wall=1001.0),
    pid=None,
    ready=False,
    healthy=None,
    probes=(),
    flapping=False,
    expected_running=False,
    started=None,
    ended=None,
    starts=0,
    restarts=0,
    failed_starts=0,
    failures=0,
    retry_at=None,
    retry_delay=None,
    kills_survived=0,
    last_outcome=None,
    last_cause=None,
    last_oom_killed=False,
    last_signal_asked=False,
    spawn_error="",
    running_seconds=0.0,
    expected_seconds=0.0,
)
RUNNING = replace(
    STOPPED,
    state=PublicState.RUNNING,
    pid=Pid(os.getpid()),
    ready=True,
    expected_running=True,
    started=Instant(mono=0.5, wall=1000.5),
    running_seconds=12.25,
    expected_seconds=13.5,
)
STATS = StreamStats(
    bytes=4096,
    lines=10,
    dropped_lines=1,
    rotations=2,
    write_errors=3,
    last_output_at=1002.5,
    file_size=2048,
)


def stopped(process_id: ProcessId) -> ProcessView:
    """A process by this name that never ran."""
    return replace(STOPPED, id=process_id, spec=replace(STOPPED.spec, id=process_id))


def became(process_id: ProcessId, new: PublicState) -> StateChanged:
    """A process came from STARTING to this state."""
    return StateChanged(at=1.0, id=process_id, old=PublicState.STARTING, new=new, reason="")


class Scene:
    """Metrics over these views. The clock stands at 100 s, 1100 s of Unix time."""

    def __init__(self, *views: ProcessView, settings: MetricsSettings = USUAL) -> None:
        self.views = list(views)
        self.stats: dict[ProcessId, dict[str, StreamStats]] = {}
        self.look: Callable[[], Iterable[ProcessView]] = lambda: self.views
        self.look_at_logs: Callable[[ProcessId], Mapping[str, StreamStats]] = lambda process_id: (
            self.stats.get(process_id, {})
        )
        self.queues: list[Subscription] = []
        self.errors: list[tuple[str, Exception]] = []
        self.mono = 100.0
        self.sampler = Sampler(
            lambda: {view.id: view.pid for view in self.views if view.pid is not None},
            mono=lambda: self.mono,
            wall=lambda: 1000.0 + self.mono,
            with_switches=Collector.CONTEXT_SWITCHES in settings.collectors,
        )
        self.proportional: dict[ProcessId, int] = {}
        self.metrics = Metrics(
            views=lambda: self.look(),  # noqa: PLW0108 - a test may put another one there
            log_stats=lambda process_id: self.look_at_logs(process_id),  # noqa: PLW0108 - as above
            subscriptions=lambda: self.queues,
            sampler=self.sampler,
            proportional_memory=self.proportional.get,
            started_at=1100.0,
            now=lambda: Instant(mono=self.mono, wall=1000.0 + self.mono),
            version="1.2.3",
            settings=settings,
            on_error=self._met,
        )

    def _met(self, component: str, error: Exception) -> None:
        self.errors.append((component, error))
        self.metrics.internal_error(component)

    async def scrape(self, accept: str = TEXT, collect: frozenset[Collector] | None = None) -> str:
        """What a scraper is told."""
        body, _ = await self.metrics.render(accept, gzip=False, collect=collect)
        return body.decode()

    async def families(
        self, accept: str = TEXT, collect: frozenset[Collector] | None = None
    ) -> dict[str, Metric]:
        """The scrape, read by the client library's parser for its format."""
        parse = parse_openmetrics if accept == OPENMETRICS else parse_text
        text = await self.scrape(accept, collect)
        return {family.name: family for family in parse(text)}

    async def samples(self, name: str) -> dict[tuple[str, ...], float]:
        """The values of one metric by its label values in order of the labels' names."""
        return {
            tuple(value for _, value in sorted(sample.labels.items())): sample.value
            for family in (await self.families()).values()
            for sample in family.samples
            if sample.name == name
        }

    async def value(self, name: str) -> float:
        """The only value of this metric."""
        (value,) = (await self.samples(name)).values()
        return value


@contextmanager
def scene_of(views: Iterable[ProcessView], settings: MetricsSettings = USUAL) -> Iterator[Scene]:
    """A scene whose sampler is closed at the end."""
    scene = Scene(*views, settings=settings)
    try:
        yield scene
    finally:
        scene.sampler.close()


# One process that runs (this very one), and one with an awkward name that waits.
RUNS = ProcessId("shop", "web")
PROBE = ProbeSpec(handler=TcpProbe(host="127.0.0.1", port=80))
UNASKED = ProbeView(
    kind=ProbeKind.LIVENESS,
    is_active=False,
    passing=None,
    wrong_in_a_row=0,
    attempts=0,
    failures=0,
    duration=None,
    detail="",
)
WAITS = ProcessId('quo"te', "back\\slash\nné")
VIEWS = (
    replace(
        RUNNING,
        id=RUNS,
        spec=replace(RUNNING.spec, id=RUNS, liveness_probe=PROBE),
        probes=(
            replace(UNASKED, kind=ProbeKind.STARTUP, passing=True, attempts=7, failures=6),
            replace(
                UNASKED,
                kind=ProbeKind.READINESS,
                is_active=True,
                passing=False,
                attempts=4,
                failures=3,
                duration=0.25,
            ),
            replace(UNASKED, is_active=True, passing=True, attempts=2, duration=0.5),
        ),
        flapping=True,
        kills_survived=1,
    ),
    replace(
        stopped(WAITS),
        spec=replace(
            stopped(WAITS).spec,
            program='p"\\',
            labels=(("cost-centre", "a\\b\nc"), ("team", '"blue"'), ("tier", "hidden")),
            user=UserSpec(name="www", uid=33, gid=33),
            restart=replace(stopped(WAITS).spec.restart, failed_starts_max=3),
        ),
        state=PublicState.BACKOFF,
        probes=(UNASKED,),
        expected_running=True,
        failed_starts=2,
        retry_at=104.5,
        retry_delay=4.5,
    ),
)


def have_cgroups(scene: Scene, directory: Path) -> None:
    """Give the process that runs its limits, and the other one a past."""
    tree = CgroupTree(directory)
    tree.put(os.getpid(), "/shop/web")
    tree.write("/shop/web", "memory.max", f"{1 << 29}\n")
    tree.write("/shop", "cpu.max", "150000 100000\n")
    tree.write("/shop/web", "cpu.stat", "nr_periods 3\nnr_throttled 2\nthrottled_usec 90\n")
    sampler = scene.sampler
    sampler._cgroups = Cgroups(str(tree.proc))
    sampler._oom._kills[WAITS] = 2
    past = Throttling(folder="", periods=0, throttled_periods=0, throttled_seconds=0.0)
    sampler._throttled[WAITS] = ThrottleLedger(past)
    sampler._throttled[WAITS].saw(
        Throttling(folder="", periods=7, throttled_periods=5, throttled_seconds=0.25)
    )


@contextmanager
def furnished(directory: Path, settings: MetricsSettings = USUAL) -> Iterator[Scene]:
    """A scene of these two, to which a few things have happened."""
    with scene_of(VIEWS, settings) as one:
        have_cgroups(one, directory)
        one.stats = {RUNS: {"stdout": STATS, "stderr": replace(STATS, bytes=7)}}
        for view in VIEWS:
            one.metrics.on_event(ProcessAdded(at=1.0, id=view.id, spec=view.spec))
        one.metrics.on_event(
            ProcessSpawned(
                at=1.0,
                id=WAITS,
                pid=Pid(5),
                cause=StartCause.RESTART,
                replaces=ExitCause.SIGNAL,
            )
        )
        one.metrics.on_event(
            ProcessExited(
                at=1050.0,
                id=WAITS,
                pid=Pid(5),
                outcome=Outcome(signum=11),
                cause=ExitCause.SIGNAL,
                expected=False,
                uptime=1.0,
                usage=Usage(user_seconds=1.5, system_seconds=0.5, major_faults=3),
                decision="",
            )
        )
        one.mono += 2.5
        one.metrics.on_event(became(WAITS, PublicState.RUNNING))
        one.mono -= 2.5
        one.proportional[RUNS] = 4096
        usage = Usage(
            user_seconds=1.5,
            system_seconds=0.5,
            major_faults=3,
            voluntary_switches=11,
            involuntary_switches=12,
        )
        one.sampler.run_ended(WAITS, Pid(5), usage)
        yield one
