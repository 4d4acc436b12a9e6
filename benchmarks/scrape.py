"""What a scrape of /metrics costs: ours, and the client library's of the very same samples.

Ours collects everything from the views and counters and writes it. The client library is given
the samples twice: as finished objects that it only has to write, and with the objects made at each
scrape from labels that are ready, the least that any collector of its kind does. The processes are
real and have children, except where more or fewer of them only show how the costs grow.
"""

import asyncio
import gc
import gzip
import http.client
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector

from benchmarks import made_up
from benchmarks.bench import Bench
from benchmarks.peers import FLOOR, OPSVISOR
from benchmarks.processes import wake
from benchmarks.stats import Series
from opsvisor.core.spec import Pid
from opsvisor.core.view import ProcessView
from opsvisor.runtime import clock
from opsvisor.runtime.sampler import Sampler
from opsvisor.telemetry.metrics import Metrics

TEXT = "text/plain;version=0.0.4"
# What Prometheus asks for unless it is told otherwise.
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"

_FINISHED = "prometheus_client, writing"
_COLLECTED = "prometheus_client, collecting"
_PSUTIL = "psutil"
_FOR_EVER = 1e9  # seconds that a sweep over /proc is good for
_TICK = 0.001
_SETTLED = 0.5  # seconds, after which whoever was woken sleeps again
_SWEEP_IS_OLD = 5.1  # seconds, see Sampler
_PSUTIL_ATTRIBUTES = [
    "cpu_times",
    "memory_info",
    "num_threads",
    "num_fds",
    "io_counters",
    "status",
]

_Samples = dict[str, list[float]]


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


class _Rivals:
    """Us and the client library with the same samples; each writes them all when called."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.samples = 0
        self.bytes = 0

    async def prepare(self, accept: str) -> dict[str, Callable[[], Awaitable[bytes]]]:
        """All contestants for this format."""
        body = (await self.ours(accept)).decode()
        is_text = accept == TEXT
        parse = parse_text if is_text else parse_openmetrics
        render = generate_latest if is_text else openmetrics.generate_latest
        families = list(parse(body))
        self.samples, self.bytes = sum(len(family.samples) for family in families), len(body)
        registries: dict[str, CollectorRegistry] = {}
        for name, kind in ((_FINISHED, _Finished), (_COLLECTED, _Collected)):
            registries[name] = CollectorRegistry()
            registries[name].register(kind(families))

        async def theirs(name: str) -> bytes:
            text: bytes = render(registries[name])
            return text

        # So many objects would make the collector of garbage run often, for us as well.
        gc.collect()
        gc.freeze()
        return {
            OPSVISOR.name: lambda: self.ours(accept),
            _FINISHED: lambda: theirs(_FINISHED),
            _COLLECTED: lambda: theirs(_COLLECTED),
        }

    async def ours(self, accept: str, *, gzip: bool = False) -> bytes:
        """What a scraper gets."""
        body, _ = await self._metrics.render(accept, gzip=gzip)
        return body


def measure(bench: Bench) -> list[Series]:
    """One after the other in random order, in this process, and then a daemon by itself."""
    count = bench.effort.processes
    with bench.births() as births:
        job = bench.newborns(births, count, bench.effort.children)
        with bench.daemon(FLOOR, job):
            pids = [Pid(birth.pid) for birth in births.collect(count)]
            found = asyncio.run(_with_processes(bench, pids))
    for size in bench.effort.curve:
        found += asyncio.run(_made_up(bench, size))
    return [*found, *_with_a_daemon(bench)]


async def _with_processes(bench: Bench, pids: Sequence[Pid]) -> list[Series]:
    count = len(pids)
    views = made_up.views(pids)
    kept, fresh = _sampler(views, max_age=_FOR_EVER), _sampler(views, max_age=0.0)
    rivals = _Rivals(_metrics(views, kept))
    found = []
    for accept, form in ((TEXT, "text"), (OPENMETRICS, "OpenMetrics")):
        contestants = await rivals.prepare(accept)
        bench.say(
            f"  a scrape in {form} has {rivals.samples} samples, {rivals.bytes / 1e6:.1f} MB"
        )
        cpu = await _cpu_of(bench, contestants)
        found.append(_series(f"CPU for one scrape of {count} processes, {form}", cpu))
    found.append(
        _series(
            f"longest wait in the event loop, scrape of {count} processes with its sweep",
            await _lags(bench, await rivals.prepare(TEXT), _Rivals(_metrics(views, fresh))),
        )
    )
    found += await _sweeps(bench, fresh, count)
    kept.close()
    fresh.close()
    gc.unfreeze()
    return found


async def _made_up(bench: Bench, count: int) -> list[Series]:
    views = made_up.views(made_up.own_pids(count))
    sampler = made_up.Told(views, bench.chance)
    cpu = await _cpu_of(bench, await _Rivals(_metrics(views, sampler)).prepare(TEXT))
    sampler.close()
    gc.unfreeze()
    return [_series(f"CPU for one scrape of {count} processes, text", cpu)]


async def _cpu_of(
    bench: Bench, contestants: dict[str, Callable[[], Awaitable[bytes]]]
) -> _Samples:
    async def one(name: str) -> float:
        began = time.process_time()
        await contestants[name]()
        return 1e3 * (time.process_time() - began)

    return await _in_turn(bench, {name: partial(one, name) for name in contestants})


async def _lags(
    bench: Bench, contestants: dict[str, Callable[[], Awaitable[bytes]]], swept: _Rivals
) -> _Samples:
    """Compressed, as a scraper gets it: theirs as their own servers do it, in one go."""

    async def compressed(name: str) -> None:
        gzip.compress(await contestants[name]())

    works: dict[str, Callable[[], Awaitable[object]]] = {
        OPSVISOR.name: lambda: swept.ours(TEXT, gzip=True),
        FLOOR.name: lambda: asyncio.sleep(0.1),
        _FINISHED: partial(compressed, _FINISHED),
        _COLLECTED: partial(compressed, _COLLECTED),
    }
    return await _in_turn(bench, {name: partial(_lag_during, works[name]) for name in works})


async def _lag_during(work: Callable[[], Awaitable[object]]) -> float:
    """By how many milliseconds the loop was at most late for what was due while this went on."""
    worst = 0.0

    async def tick() -> None:
        nonlocal worst
        while True:
            due = time.monotonic() + _TICK
            await asyncio.sleep(_TICK)
            worst = max(worst, time.monotonic() - due)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(5 * _TICK)
    worst = 0.0
    await work()
    await asyncio.sleep(2 * _TICK)  # for what became due in the last moment
    ticking.cancel()
    with suppress(asyncio.CancelledError):
        await ticking
    return 1e3 * worst


async def _sweeps(bench: Bench, sampler: Sampler, count: int) -> list[Series]:
    """The look into /proc, beside the usual way in Python, which builds no trees."""
    lasted: list[float] = []
    await sampler.sweep()  # that finds everything for the first time

    async def ours() -> float:
        began = time.process_time()
        sweep = await sampler.sweep()
        took = 1e3 * (time.process_time() - began)
        lasted.append(1e3 * sweep.duration)
        return took

    async def ours_awake() -> float:
        latest = sampler.latest()
        assert latest is not None
        wake(pid for tree in latest.trees.values() for pid in tree.members)
        await asyncio.sleep(_SETTLED)
        return await ours()

    async def theirs() -> float:
        began = time.process_time()
        for _ in psutil.process_iter(_PSUTIL_ATTRIBUTES):
            pass
        return 1e3 * (time.process_time() - began)

    cpu = await _in_turn(bench, {OPSVISOR.name: ours, _PSUTIL: theirs})
    what = f"of {count} processes with {bench.effort.children} children each"
    found = [
        _series(f"CPU for one sweep over /proc, {what}", cpu),
        _series(f"duration of the sweep in its thread, {what}", {OPSVISOR.name: list(lasted)}),
    ]
    awake = await _in_turn(bench, {OPSVISOR.name: ours_awake})
    return [*found, _series(f"CPU for a sweep, {what}, that have all run since", awake)]


def _with_a_daemon(bench: Bench) -> list[Series]:
    """A whole opsvisord, scraped over its socket as Prometheus does it."""
    count = bench.effort.processes
    cached, swept, answered = [], [], []
    with bench.births() as births:
        job = bench.newborns(births, count, bench.effort.children)
        with bench.daemon(OPSVISOR, job) as daemon:
            births.collect(count)
            daemon.wait_for_answer()
            daemon.look()
            _scrape(daemon.socket)  # whatever is made once

            def one() -> float:
                before, began = daemon.cpu(), time.monotonic()
                _scrape(daemon.socket)
                answered.append(1e3 * (time.monotonic() - began))
                return 1e3 * (daemon.cpu() - before)

            cached += [one() for _ in range(bench.effort.renders)]
            for _ in range(bench.effort.sweeps):
                time.sleep(_SWEEP_IS_OLD)
                swept.append(one())
    what = f"a scrape of {count} processes over a socket, OpenMetrics, gzip"
    found = {
        f"CPU of the daemon for {what}": cached,
        f"CPU of the daemon for {what}, with the sweep": swept,  # none where there is no time
        f"time to answer {what}": answered,
    }
    return [
        _series(title, {OPSVISOR.name: samples}) for title, samples in found.items() if samples
    ]


def _scrape(path: Path) -> None:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path))
    connection.request(
        "GET", "/metrics", headers={"Accept": OPENMETRICS, "Accept-Encoding": "gzip"}
    )
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 200, body


async def _in_turn(bench: Bench, turns: dict[str, Callable[[], Awaitable[float]]]) -> _Samples:
    taken: _Samples = {name: [] for name in turns}
    names = list(turns)
    for _ in range(bench.effort.renders):
        bench.chance.shuffle(names)
        for name in names:
            taken[name].append(await turns[name]())
    return taken


def _sampler(views: Sequence[ProcessView], *, max_age: float) -> Sampler:
    roots = {view.id: view.pid for view in views if view.pid is not None}
    return Sampler(lambda: roots, mono=time.monotonic, wall=time.time, max_age=max_age)


def _metrics(views: Sequence[ProcessView], sampler: Sampler) -> Metrics:
    return Metrics(
        views=lambda: views,
        log_stats=lambda _id: made_up.STREAMS,
        sampler=sampler,
        started_at=0.0,
        now=clock.now,
        version="0",
        on_error=_unexpected,
    )


def _unexpected(collector: str, error: Exception) -> None:
    raise RuntimeError(f"collecting {collector} failed") from error


def _series(title: str, samples: _Samples) -> Series:
    return Series(measurement="scrape", title=title, unit="ms", samples=samples)
