"""What a scrape allocates: it keeps nothing, and has less in hand than the processes are many."""

import gc
import random
import sys
import tracemalloc

import pytest

from benchmarks import made_up
from opsvisor.runtime import clock
from opsvisor.telemetry.metrics import Metrics

TEXT = "text/plain;version=0.0.4"
FEW, MANY = 100, 1000
PEAK_EACH = 1800  # bytes, compressed, at any one moment
PEAK_ONCE = 450_000
KEPT = 50  # blocks, by chance: 1 is usual


class Scraped:
    """The metrics of so many made-up processes, in this process."""

    def __init__(self, count: int) -> None:
        views = made_up.views(made_up.own_pids(count))
        self._sampler = made_up.Told(views, random.Random(1))
        self._metrics = Metrics(
            views=lambda: views,
            log_stats=lambda _id: made_up.STREAMS,
            sampler=self._sampler,
            started_at=1000.0,
            now=clock.now,
            version="0",
            on_error=self._failed,
        )

    async def scrape(self) -> None:
        """One, as Prometheus asks for it."""
        await self._metrics.render(TEXT, gzip=True)

    async def warm_up(self) -> None:
        """Let it make what it makes once."""
        for _ in range(3):
            await self.scrape()

    def close(self) -> None:
        """End its thread."""
        self._sampler.close()

    @staticmethod
    def _failed(collector: str, error: Exception) -> None:
        raise AssertionError(collector) from error


def blocks() -> int:
    """How many blocks Python has allocated, without garbage."""
    gc.collect()
    return sys.getallocatedblocks()


@pytest.mark.parametrize("count", [FEW, MANY])
async def test_a_scrape_keeps_nothing(count: int) -> None:
    """After ten scrapes as much is allocated as before, however many processes there are."""
    scraped = Scraped(count)
    await scraped.warm_up()
    before = blocks()
    for _ in range(10):
        await scraped.scrape()
    assert blocks() - before <= KEPT
    scraped.close()


@pytest.mark.parametrize("count", [FEW, MANY])
async def test_a_scrape_has_little_in_hand(count: int) -> None:
    """It is written and compressed piece by piece: 4.4 KB of text for each, but never at once."""
    scraped = Scraped(count)
    await scraped.warm_up()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        await scraped.scrape()
        _, peak = tracemalloc.get_traced_memory()
        lines = tracemalloc.take_snapshot().statistics("lineno")[:10]
    finally:
        tracemalloc.stop()
        scraped.close()
    assert peak - before <= PEAK_EACH * count + PEAK_ONCE, "\n".join(map(str, lines))
