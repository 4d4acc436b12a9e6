"""node_exporter's names for what Supervisor tells, out of the mouth of our own /metrics."""

import pytest
from scene import OPENMETRICS, RUNNING, STOPPED, TEXT, Scene, scene_of

from opsvisor.compat.supervisor.rpc.shapes import process_info
from opsvisor.config.settings import Collector, MetricsCompat, MetricsSettings
from opsvisor.core.instant import Instant
from opsvisor.core.outcome import ExitCause, Outcome
from opsvisor.core.state import PublicState
from opsvisor.core.struct import replace

COMPATIBLE = MetricsSettings(compat=frozenset({MetricsCompat.NODE_SUPERVISORD}))
STATE = frozenset({Collector.STATE})
NAMES = ("up", "state", "exit_status", "start_time_seconds")
# isRunning() of node_exporter's collector/supervisord.go
UP_CODES = (10, 20, 40)
OUTCOMES = [
    (None, None),
    (Outcome(code=0), ExitCause.SUCCESS),
    (Outcome(code=3), ExitCause.FAILURE),
    (Outcome(signum=9), ExitCause.SIGNAL),
    (Outcome(code=1), ExitCause.START_FAILURE),
    (Outcome(), ExitCause.UNKNOWN),
]


async def told(scene: Scene, accept: str) -> dict[str, float]:
    """The values of the one process, by name; not by a parser that takes counters to be ours."""
    found = {}
    for line in (await scene.scrape(accept, STATE)).splitlines():
        if line.startswith("node_"):
            series, _, value = line.rpartition(" ")
            name, _, labels = series.partition("{")
            assert labels == 'name="web",group="web"}'
            found[name.removeprefix("node_supervisord_")] = float(value)
    return found


@pytest.mark.parametrize("state", list(PublicState))
@pytest.mark.parametrize(("outcome", "cause"), OUTCOMES)
async def test_the_numbers_are_those_of_get_process_info(
    state: PublicState, outcome: Outcome | None, cause: ExitCause | None
) -> None:
    """node_exporter has no others: it asks Supervisor for them."""
    alive = state in (PublicState.STARTING, PublicState.RUNNING, PublicState.STOPPING)
    view = replace(
        RUNNING if alive else STOPPED,
        state=state,
        started=Instant(mono=0.5, wall=1000.75),
        last_outcome=outcome,
        last_cause=cause,
    )
    info = process_info(view, Instant(mono=100.0, wall=1100.0))
    expected = {"state": info["state"], "exit_status": info["exitstatus"]}
    if info["state"] in UP_CODES:
        expected = {**expected, "up": 1, "start_time_seconds": info["start"]}
    else:
        expected["up"] = 0
    with scene_of([view], COMPATIBLE) as scene:
        for accept in (TEXT, OPENMETRICS):
            assert await told(scene, accept) == expected


def test_an_end_that_nobody_saw_is_minus_one() -> None:
    """As Supervisor has it for what it can't make out, in both places where it says so."""
    view = replace(
        STOPPED,
        state=PublicState.EXITED,
        last_outcome=Outcome(),
        last_cause=ExitCause.UNKNOWN,
        spawn_error=str(Outcome()),
    )
    info = process_info(view, Instant(mono=100.0, wall=1100.0))
    assert (info["exitstatus"], info["spawnerr"]) == (-1, "Bad exit code -1")


async def test_types_are_those_of_node_exporter() -> None:
    """A start time is a counter there, which OpenMetrics does not have by that name."""
    with scene_of([RUNNING], COMPATIBLE) as scene:
        lines = (await scene.scrape(TEXT, STATE)).splitlines()
        types = {line.split()[2]: line.split()[3] for line in lines if line[:6] == "# TYPE"}
        assert {name: types[f"node_supervisord_{name}"] for name in NAMES} == {
            "up": "gauge",
            "state": "gauge",
            "exit_status": "gauge",
            "start_time_seconds": "counter",
        }
        families = await scene.families(OPENMETRICS, STATE)
        assert families["node_supervisord_start_time_seconds"].type == "gauge"


async def test_they_are_told_only_where_wanted() -> None:
    """And go with the collector of the state."""
    with scene_of([RUNNING]) as scene:
        assert "node_supervisord" not in await scene.scrape()
    with scene_of([RUNNING], COMPATIBLE) as scene:
        assert "node_supervisord" not in await scene.scrape(TEXT, frozenset({Collector.LOGS}))
