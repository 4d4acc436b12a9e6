"""Answers scrapes: looks at what was asked for, and writes it block by block.

A scrape must never cost supervision: it gives the loop back after every 50 processes it has
looked at, every 2,000 times it has asked one for a family, and every collector (below 1 ms each,
against 278 ms in one go for 30,000 samples with the client library). The sweep over /proc happens
in a thread and is not waited for beyond `sweep_timeout`. What can't be collected is missing from
the answer, counted, and told by `opsvisor_collector_success`. Nobody looks for what was not asked
for.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import TypeVar

from opsvisor.config.settings import Collector
from opsvisor.core.instant import Instant
from opsvisor.core.spec import ProcessId
from opsvisor.core.struct import Struct
from opsvisor.core.view import ProcessView
from opsvisor.runtime.bus import Subscription
from opsvisor.runtime.logs.capture import StreamStats
from opsvisor.runtime.proctree import NOTHING
from opsvisor.runtime.sampler import Sampler
from opsvisor.telemetry.exposition import Body
from opsvisor.telemetry.families import END_MARK, Format
from opsvisor.telemetry.instruments import Instruments
from opsvisor.telemetry.rows import Counts, ProcessFamily, Row, labels_of
from opsvisor.telemetry.tally import Tally

T = TypeVar("T")

# Collectors that read what a sweep over /proc found. Without them there is none.
SWEEPING = frozenset({Collector.RESOURCES, Collector.CGROUP, Collector.CONTEXT_SWITCHES})

# Looking at a process costs 17 us, being asked for one family 0.3 us and its lines compressed
# 0.1 us: both of these are well below a millisecond. Turns of the loop cost something as well.
_LOOKED_AT_AT_ONCE = 50
_ASKED_AT_ONCE = 2000
_ROWS_AT_ONCE = 500
_NO_STREAMS: Mapping[str, StreamStats] = MappingProxyType({})


class Sources(Struct, frozen=True, kw_only=True):
    """Where a scrape looks. `counts` is also written while it goes on.

    `views` are looked at a few at a time, and may come into being only then.
    """

    views: Callable[[], Iterable[ProcessView]]
    counts: dict[ProcessId, Counts]
    log_stats: Callable[[ProcessId], Mapping[str, StreamStats]]
    sampler: Sampler
    proportional_memory: Callable[[ProcessId], int | None]
    sweep_timeout: float
    subscriptions: Callable[[], Iterable[Subscription]]
    instruments: Instruments
    now: Callable[[], Instant]


class Scrape:
    """One answer, of these families of processes and of the daemon's own numbers."""

    def __init__(
        self, sources: Sources, families: Mapping[Collector, Sequence[ProcessFamily]], tally: Tally
    ) -> None:
        self._sources = sources
        self._families = families
        self._tally = tally
        self._of_processes = [one for one in tally.seconds if families.get(one)]

    async def write(self, body: Body, form: Format) -> None:
        """The whole of it, whatever fails."""
        await self._sweep()
        rows = await self._rows()
        turns = _Turns()
        for collector in self._tally.seconds:
            with self._tally.of(collector):
                for family in self._families.get(collector, ()):
                    await _write(family, rows, body=body, form=form, turns=turns)
                self._look_at_daemon(collector)
                body.write(self._sources.instruments.render(form, collector))
            await turns.over()
        self._sources.instruments.tell(self._tally)
        body.write(self._sources.instruments.render(form, None))
        if form is Format.OPENMETRICS:
            body.write(END_MARK)

    @property
    def _is_swept(self) -> bool:
        return not SWEEPING.isdisjoint(self._tally.seconds)

    async def _sweep(self) -> None:
        if self._is_swept:
            with self._tally.of(*SWEEPING):
                async with asyncio.timeout(self._sources.sweep_timeout):
                    await self._sources.sampler.sweep()

    async def _rows(self) -> list[Row]:
        """Every process, with what these collectors need to know of it."""
        if not self._of_processes:
            return []
        rows: list[Row] = []
        views: Iterator[ProcessView] = iter(())
        with self._tally.of(*self._of_processes):
            views = iter(self._sources.views())
        while chunk := self._next_of(views):
            rows += self._rows_of(chunk, self._sources.now())
            await asyncio.sleep(0)
        return rows

    def _next_of(self, views: Iterator[ProcessView]) -> Sequence[ProcessView]:
        """The next few of them, none at the end or if looking fails."""
        counts = self._sources.counts
        chunk: list[ProcessView] = []
        with self._tally.of(*self._of_processes):
            chunk += islice(views, _LOOKED_AT_AT_ONCE)
            for view in chunk:
                if view.id not in counts:
                    counts[view.id] = Counts.of(view.spec)
        return chunk

    def _rows_of(self, views: Sequence[ProcessView], now: Instant) -> Iterator[Row]:
        counts, sampler, is_swept = self._sources.counts, self._sources.sampler, self._is_swept
        is_around = Collector.CGROUP in self._tally.seconds
        is_proportional = Collector.PROPORTIONAL_MEMORY in self._tally.seconds
        proportional = self._sources.proportional_memory if is_proportional else None
        known = ((view, counts.get(view.id)) for view in views)
        present = [(view, one) for view, one in known if one is not None]  # else it left meanwhile
        streams = self._streams_of([view for view, _ in present])
        for (view, one), of_view in zip(present, streams, strict=True):
            yield Row(
                labels_of(view.id),
                now,
                view,
                one,
                sampler.tree(view.id) if is_swept else None,
                sampler.spent(view.id) if is_swept else NOTHING,
                of_view,
                sampler.oom_kills(view.id),
                sampler.surroundings(view.id) if is_around else None,
                sampler.throttling(view.id) if is_around else None,
                proportional(view.id) if proportional is not None else None,
            )

    def _streams_of(self, views: Sequence[ProcessView]) -> Sequence[Mapping[str, StreamStats]]:
        if Collector.LOGS in self._tally.seconds:
            with self._tally.of(Collector.LOGS):
                return [self._sources.log_stats(view.id) for view in views]
        return [_NO_STREAMS] * len(views)

    def _look_at_daemon(self, collector: Collector) -> None:
        """See to those numbers that nobody keeps between scrapes."""
        match collector:
            case Collector.EVENTS:
                self._look_at_queues()
            case Collector.ENGINE:
                self._sources.instruments.tasks.set(len(asyncio.all_tasks()))
            case _:
                pass  # all that there is to tell is known already

    def _look_at_queues(self) -> None:
        lengths, capacities = Counter[str](), Counter[str]()
        for subscription in self._sources.subscriptions():
            lengths[subscription.name] += len(subscription)
            capacities[subscription.name] += subscription.capacity
        instruments = self._sources.instruments
        instruments.queue_length.clear()
        instruments.queue_capacity.clear()
        for name, length in lengths.items():
            instruments.queue_length.labels(name).set(length)
            instruments.queue_capacity.labels(name).set(capacities[name])
            instruments.events_dropped.labels(name)  # there with 0 before the first is lost


class _Turns:
    """Gives the loop back whenever enough rows were asked for a family, of whichever family."""

    def __init__(self) -> None:
        self._asked = 0

    async def asked(self, rows: int) -> None:
        """So many more were."""
        self._asked += rows
        if self._asked >= _ASKED_AT_ONCE:
            await self.over()

    async def over(self) -> None:
        """Enough was done in this one."""
        self._asked = 0
        await asyncio.sleep(0)


async def _write(
    family: ProcessFamily, rows: Sequence[Row], *, body: Body, form: Format, turns: _Turns
) -> None:
    body.write(family.head(form))
    for chunk in _chunks(rows):
        body.write(family.samples(chunk))
        await turns.asked(len(chunk))


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), _ROWS_AT_ONCE):
        yield items[start : start + _ROWS_AT_ONCE]
