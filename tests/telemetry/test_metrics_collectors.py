"""Collectors: blocks of metrics that configuration and scrapes can leave out."""

from collections.abc import Iterator

import pytest
from prometheus_client.metrics_core import Metric
from scene import EVERYTHING, OPENMETRICS, RUNNING, STATS, TEXT, WEB, Scene, scene_of

from opsvisor.config.settings import USUAL_COLLECTORS, Collector, MetricsSettings
from opsvisor.core.struct import replace
from opsvisor.core.view import ProcessView
from opsvisor.runtime.logs.capture import StreamStats
from opsvisor.runtime.proctree import Spent
from opsvisor.runtime.sweep import Sweep
from opsvisor.telemetry.families import Family, Kind
from opsvisor.telemetry.reference import CATALOGUE

ALL = frozenset(Collector)
ALWAYS = {family.name for family in CATALOGUE if family.collector is None}


@pytest.fixture
def scene() -> Iterator[Scene]:
    """One process that runs, with output."""
    with scene_of([RUNNING], MetricsSettings(process_labels=("team",))) as one:
        one.stats = {WEB: {"stdout": STATS}}
        yield one


def told(families: dict[str, Metric]) -> set[str]:
    """The names of ours in a scrape."""
    return {name for name in families if name.startswith("opsvisor_")}


def name_in(family: Family, accept: str) -> str:
    """What the client library's parser for this format calls it."""
    is_whole = accept == TEXT and family.kind is Kind.INFO
    return family.name if is_whole else family.base_name


@pytest.mark.parametrize("accept", [TEXT, OPENMETRICS])
@pytest.mark.parametrize("collector", list(Collector))
async def test_a_collector_that_is_off_tells_nothing(accept: str, collector: Collector) -> None:
    """Its families are gone, head and all; every other one is there."""
    with scene_of([RUNNING], replace(EVERYTHING, collectors=ALL - {collector})) as scene:
        families = await scene.families(accept)
    assert told(families) == {
        name_in(family, accept) for family in CATALOGUE if family.collector is not collector
    }


@pytest.mark.parametrize("accept", [TEXT, OPENMETRICS])
@pytest.mark.parametrize("collector", [one for one in Collector if one in USUAL_COLLECTORS])
async def test_a_scrape_may_ask_for_one_collector(
    scene: Scene, accept: str, collector: Collector
) -> None:
    """It gets that one, and what is always told."""
    families = await scene.families(accept, frozenset({collector}))
    assert told(families) == {
        name_in(family, accept) for family in CATALOGUE if family.collector in (collector, None)
    }


async def test_what_is_off_can_not_be_had_by_asking() -> None:
    """The configuration outranks the scrape."""
    with scene_of([RUNNING], MetricsSettings(collectors=frozenset({Collector.STATE}))) as scene:
        families = await scene.families(TEXT, frozenset({Collector.STATE, Collector.LOGS}))
    assert "opsvisor_process_up" in families
    assert "opsvisor_log_bytes" not in families


async def test_nothing_is_looked_for_that_nobody_asked_for(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No sweep over /proc, no total of what was used, no log statistics, no views."""

    async def sweep() -> Sweep:
        raise AssertionError("swept")

    def spent(_id: object) -> Spent:
        raise AssertionError("added up")

    def log_stats(_id: object) -> dict[str, StreamStats]:
        raise AssertionError("looked at logs")

    def views() -> list[ProcessView]:
        raise AssertionError("looked at processes")

    monkeypatch.setattr(scene.sampler, "sweep", sweep)
    monkeypatch.setattr(scene.sampler, "spent", spent)
    scene.look_at_logs = log_stats
    await scene.scrape(collect=frozenset({Collector.STATE, Collector.RESTARTS}))
    scene.look = views
    await scene.scrape(collect=frozenset({Collector.EVENTS, Collector.HTTP, Collector.ENGINE}))
    assert scene.errors == []


async def test_success_is_told_of_what_this_scrape_asked_for(scene: Scene) -> None:
    """Whether something works that was not tried is not known."""
    collect = frozenset({Collector.STATE, Collector.EVENTS})
    for name in ("opsvisor_collector_success", "opsvisor_collector_duration_seconds"):
        families = await scene.families(TEXT, collect)
        labels = {sample.labels["collector"] for sample in families[name].samples}
        assert labels == {"state", "events"}
        assert {labels for (labels,) in await scene.samples(name)} == {
            collector.value for collector in USUAL_COLLECTORS
        }


@pytest.mark.parametrize("accept", [TEXT, OPENMETRICS])
async def test_a_bug_in_one_family_costs_its_collector_only(
    scene: Scene, accept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scrape can still be read, and says which block is not to be trusted."""

    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(scene.metrics._instruments.queue_length, "clear", fail)
    families = await scene.families(accept)
    success = {
        sample.labels["collector"]: sample.value
        for sample in families["opsvisor_collector_success"].samples
    }
    assert success == {one.value: int(one is not Collector.EVENTS) for one in USUAL_COLLECTORS}
    assert "opsvisor_events" not in families
    assert families["opsvisor_process_up"].samples
    assert families["opsvisor_tasks"].samples
    assert [component for component, _ in scene.errors] == ["metrics"]


async def test_views_that_fail_cost_all_that_is_told_of_processes(scene: Scene) -> None:
    """And nothing of the daemon itself."""

    def fail() -> list[ProcessView]:
        raise ZeroDivisionError

    scene.look = fail
    success = await scene.samples("opsvisor_collector_success")
    for collector in ("state", "restarts", "resources", "logs"):
        assert success[(collector,)] == 0
    for collector in ("events", "http", "engine"):
        assert success[(collector,)] == 1


async def test_the_daemons_own_numbers_go_with_the_engine(scene: Scene) -> None:
    """Those that the client library collects of any process in Python."""
    names = set(await scene.families(TEXT, frozenset({Collector.ENGINE})))
    assert {"python_info", "python_gc_collections"} <= names
    names = set(await scene.families(TEXT, frozenset({Collector.STATE})))
    assert not {name for name in names if name.startswith("python_")}


async def test_the_start_of_the_daemons_process_is_always_told(scene: Scene) -> None:
    """Alerts go by it: a reload begins everything anew but this."""
    names = await scene.families(TEXT, frozenset())
    assert {"opsvisor_start_time_seconds", "process_start_time_seconds"} <= set(names)


async def test_nothing_but_what_is_always_told(scene: Scene) -> None:
    """An empty wish is granted."""
    families = await scene.families(TEXT, frozenset())
    assert {name.removesuffix("_total") for name in ALWAYS} == told(families)
