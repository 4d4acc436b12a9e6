"""Counters of one daemon that another one counts on from."""

import gc

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from opsvisor.telemetry.counting_on import GcCounters, SeriesMemento, add_to, series_of
from opsvisor.telemetry.instruments import Instruments


def instruments() -> Instruments:
    """Those of a daemon that has just begun."""
    return Instruments(version="1", revision="", started_at=0.0)


def test_what_was_counted_is_counted_on() -> None:
    """Plain counters, those with labels, and histograms with all their parts."""
    before, after = instruments(), instruments()
    before.reloads.inc(3)
    before.http_requests.labels("200", "/metrics", "GET").inc(2)
    for seconds in (0.0005, 0.02, 7.0):
        before.spawn_duration.observe(seconds)
    before.http_duration.labels("/metrics", "GET").observe(0.03)
    after.reloads.inc()
    after.count_on(before.remember())
    told = {series.family: series for series in after.remember() if series.total}
    assert told["opsvisor_config_reloads_total"].total == 4
    assert told["opsvisor_http_requests_total"].total == 2
    spawns = told["opsvisor_spawn_duration_seconds"]
    assert spawns.total == pytest.approx(7.0205)
    assert [bound for bound, count in spawns.buckets if count] == [0.001, 0.025]
    assert spawns.beyond == 1
    assert told["opsvisor_http_request_duration_seconds"].labels == (
        ("handler", "/metrics"),
        ("method", "GET"),
    )


def test_other_bounds_take_what_the_next_smaller_ones_had() -> None:
    """A newer version may cut its histograms differently; nothing is lost over it."""
    old = Histogram("h", "h", buckets=(1.0, 2.0, 4.0), registry=None)
    new = Histogram("h", "h", buckets=(2.0, 3.0), registry=None)
    for seconds in (0.5, 1.5, 3.5, 9.0):
        old.observe(seconds)
    (series,) = series_of("h", old)
    add_to(new, series)
    (told,) = series_of("h", new)
    assert (told.buckets, told.beyond, told.total) == (((2.0, 2.0), (3.0, 0.0)), 2.0, 14.5)


def test_what_can_not_be_placed_is_left_out() -> None:
    """A family that is gone, and one whose labels are others now."""
    counter = Counter("c", "c", ["old"], registry=None)
    add_to(counter, SeriesMemento(family="c", labels=(("new", "x"),), total=5.0))
    assert list(series_of("c", counter)) == []
    after = instruments()
    after.count_on([SeriesMemento(family="opsvisor_of_old_total", total=5.0)])
    assert all(not series.total for series in after.remember() if "python" not in series.family)


def test_garbage_collections_of_earlier_interpreters_are_among_those_told() -> None:
    """They would fall with each new interpreter."""
    registry = CollectorRegistry()
    counters = GcCounters(registry)
    name, labels = "python_gc_collections_total", (("generation", "2"),)
    counters.count_on(SeriesMemento(family=name, labels=labels, total=500.0))
    here = gc.get_stats()[2]["collections"]
    told = {(one.family, one.labels): one.total for one in counters.remember()}
    assert told[name, labels] == 500 + here
    assert f'{name}{{generation="2"}} {500.0 + here}' in generate_latest(registry).decode()
