"""What a scrape of /metrics costs, in the same process: ours, and the client library's.

Ours collects everything from the views and counters and writes it. The client library is given
the very same samples, twice: as finished objects that it only has to write, and with the objects
made at each scrape from labels that are ready, the least that any collector of its kind does.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from benchmarks.bench import Bench
from benchmarks.peers import FLOOR, OPSVISOR, Daemon
from benchmarks.stats import Series
from opsvisor.core.instant import Instant
from opsvisor.core.spec import LogSpec, Pid, ProcessId, ProcessSpec
from opsvisor.core.state import PublicState
from opsvisor.core.view import ProcessView
from opsvisor.runtime import clock
from opsvisor.runtime.logs.capture import StreamStats
from opsvisor.runtime.sampler import Sampler
from opsvisor.telemetry.metrics import Metrics

_FINISHED = "prometheus_client, writing"
_COLLECTED = "prometheus_client, collecting"
_FOR_EVER = 1e9  # seconds: the one sweep over /proc is not part of what is compared


class _Finished(Collector):
    """Samples that are there already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """As they are."""
        return iter(self._families)


class _Collected(_Finished):
    """The same samples, made anew at each scrape."""

    def collect(self) -> Iterator[Metric]:
        """Copies."""
        for family in self._families:
            made = Metric(family.name, family.documentation, family.type, family.unit)
            for sample in family.samples:
                made.add_sample(sample.name, sample.labels, sample.value)
            yield made


def measure(bench: Bench) -> list[Series]:
    """One after the other in random order, all in this process."""
    count = bench.effort.processes
    births = bench.births()
    with Daemon(FLOOR, bench.fresh_directory(), bench.newborns(births, count)):
        pids = [Pid(birth.pid) for birth in births.collect(count)]
        samples = asyncio.run(_compare(bench, pids))
    births.close()
    return [
        Series(
            measurement="scrape",
            title=f"CPU for one scrape of {count} processes",
            unit="ms",
            samples=samples,
        )
    ]


async def _compare(bench: Bench, pids: list[Pid]) -> Mapping[str, list[float]]:
    views = [_view(number, pid) for number, pid in enumerate(pids)]
    sampler = Sampler(
        lambda: {view.id: pid for view, pid in zip(views, pids, strict=True)},
        mono=time.monotonic,
        wall=time.time,
        max_age=_FOR_EVER,
    )
    metrics = Metrics(
        views=lambda: views,
        log_stats=lambda _id: _STREAMS,
        sampler=sampler,
        now=clock.now,
        version="0",
        on_error=_unexpected,
    )

    async def ours() -> bytes:
        body, _ = await metrics.render("text/plain", gzip=False)
        return body

    text = (await ours()).decode()
    families = list(text_string_to_metric_families(text))
    finished, collected = CollectorRegistry(), CollectorRegistry()
    finished.register(_Finished(families))
    collected.register(_Collected(families))
    count = sum(len(family.samples) for family in families)
    bench.say(f"  a scrape has {count} samples, {len(text) / 1e6:.1f} MB")

    taken: dict[str, list[float]] = {OPSVISOR.name: [], _FINISHED: [], _COLLECTED: []}
    contestants: dict[str, Callable[[], bytes] | None] = {
        OPSVISOR.name: None,
        _FINISHED: partial(generate_latest, finished),
        _COLLECTED: partial(generate_latest, collected),
    }
    names = list(contestants)
    for _ in range(bench.effort.renders):
        bench.chance.shuffle(names)
        for name in names:
            began = time.process_time()
            render = contestants[name]
            if render is None:
                await ours()
            else:
                render()
            taken[name].append(1e3 * (time.process_time() - began))
    sampler.close()
    return taken


def _unexpected(collector: str, error: Exception) -> None:
    raise RuntimeError(f"collecting {collector} failed") from error


_STREAMS = {
    name: StreamStats(
        bytes=4096,
        lines=10,
        dropped_lines=0,
        rotations=2,
        write_errors=0,
        last_output_at=1.7e9,
        file_size=2048,
    )
    for name in ("stdout", "stderr")
}


def _view(number: int, pid: Pid) -> ProcessView:
    process_id = ProcessId(f"group{number // 10}", f"program_{number}")
    began = Instant(mono=time.monotonic() - 100.0, wall=time.time() - 100.0)
    return ProcessView(
        id=process_id,
        spec=ProcessSpec(
            id=process_id, program="program", command="run", argv=("run",), stdout=LogSpec()
        ),
        group_priority=999,
        state=PublicState.RUNNING,
        reason="",
        since=began,
        pid=pid,
        ready=True,
        flapping=False,
        expected_running=True,
        started=began,
        ended=None,
        starts=1,
        restarts=0,
        failed_starts=0,
        failures=0,
        retry_at=None,
        retry_delay=None,
        kills_survived=0,
        last_outcome=None,
        last_cause=None,
        spawn_error="",
        running_seconds=100.0,
        expected_seconds=100.0,
    )
