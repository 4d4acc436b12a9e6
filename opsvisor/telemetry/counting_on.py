"""Counters that go on where another process of the same daemon has left them.

prometheus_client can say what a counter is, and a Counter can be raised to it. A Histogram can
only observe, so its parts are raised one by one.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise

from prometheus_client import CollectorRegistry, Counter, GCCollector, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from opsvisor.core.struct import Struct

_GENERATION = "generation"


class SeriesMemento(Struct, frozen=True, kw_only=True):
    """One counter, or one histogram.

    `total`: of a histogram, the sum of what was observed. `buckets` are finite upper bounds with
    what was counted from the bound before up to this one, `beyond` what was counted above them.
    """

    family: str
    labels: tuple[tuple[str, str], ...] = ()
    total: float = 0.0
    buckets: tuple[tuple[float, float], ...] = ()
    beyond: float = 0.0


def series_of(family: str, metric: Counter | Histogram) -> Iterator[SeriesMemento]:
    """Every series of this metric."""
    samples = [sample for told in metric.collect() for sample in told.samples]
    if isinstance(metric, Counter):
        for sample in samples:
            yield SeriesMemento(
                family=family, labels=tuple(sample.labels.items()), total=sample.value
            )
        return
    counted: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    for sample in samples:
        labels = tuple((name, text) for name, text in sample.labels.items() if name != "le")
        if sample.name.endswith("_bucket"):
            counted.setdefault(labels, []).append((float(sample.labels["le"]), sample.value))
        elif sample.name.endswith("_sum"):
            alone = [
                (bound, count - before)
                for (_, before), (bound, count) in pairwise([(0.0, 0.0), *counted[labels]])
            ]
            yield SeriesMemento(
                family=family,
                labels=labels,
                total=sample.value,
                buckets=tuple(alone[:-1]),
                beyond=alone[-1][1],
            )


def add_to(metric: Counter | Histogram, series: SeriesMemento) -> None:
    """Add a series of this metric as another process counted it; nothing if its labels differ.

    Where the bounds of a histogram differ, each bucket goes into the next larger one.
    """
    labels = dict(series.labels)
    if set(labels) != set(metric._labelnames):  # noqa: SLF001 - see above
        return
    one = metric.labels(**labels) if labels else metric
    if isinstance(one, Counter):
        one.inc(series.total)
        return
    one._sum.inc(series.total)  # noqa: SLF001 - see above
    bounds = one._upper_bounds  # noqa: SLF001 - see above
    for bound, count in (*series.buckets, (bounds[-1], series.beyond)):
        at = next(at for at, ours in enumerate(bounds) if ours >= bound)
        one._buckets[at].inc(count)  # noqa: SLF001 - see above


class GcCounters(Collector):
    """Those of the interpreter's garbage collector, of all interpreters that were the daemon."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # Of a registry that nobody asks: what it tells is told here, with what came before.
        self._here = GCCollector(registry=CollectorRegistry())
        self._earlier: dict[tuple[str, str], float] = {}
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """The families of prometheus_client, with all interpreters' numbers."""
        for metric in self._here.collect():
            metric.samples = [
                sample._replace(
                    value=sample.value
                    + self._earlier.get((sample.name, sample.labels[_GENERATION]), 0.0)
                )
                for sample in metric.samples
            ]
            yield metric

    def remember(self) -> Iterator[SeriesMemento]:
        """The numbers as they are told."""
        for metric in self.collect():
            for sample in metric.samples:
                yield SeriesMemento(
                    family=sample.name, labels=tuple(sample.labels.items()), total=sample.value
                )

    def count_on(self, series: SeriesMemento) -> None:
        """Add what an earlier interpreter had counted, if this is one of these counters."""
        generation = dict(series.labels).get(_GENERATION)
        if generation is not None:
            self._earlier[series.family, generation] = series.total
