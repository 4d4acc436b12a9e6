"""Counting facts, and what becomes of a scrape when something goes wrong."""

import asyncio
import gzip
from collections.abc import Iterator
from itertools import pairwise

import pytest
from scene import (
    OPENMETRICS,
    PROBE,
    RUNNING,
    STATS,
    STOPPED,
    TEXT,
    WEB,
    Scene,
    became,
    scene_of,
    stopped,
)

from opsvisor.config.settings import USUAL_COLLECTORS as USUAL
from opsvisor.config.settings import Collector
from opsvisor.core.events import (
    HealthChanged,
    PlanApplied,
    ProcessAdded,
    ProcessChanged,
    ProcessExited,
    ProcessRemoved,
    ProcessSpawned,
    SpawnFailed,
    SupervisorState,
    SupervisorStateChanged,
)
from opsvisor.core.outcome import ExitCause, Outcome, SpawnFaultKind, Usage
from opsvisor.core.plan import Change, PlanDiff
from opsvisor.core.probes import ProbeKind
from opsvisor.core.spec import Pid, ProcessId, ProcessSpec
from opsvisor.core.state import PublicState, StartCause
from opsvisor.core.struct import replace
from opsvisor.core.view import ProcessView
from opsvisor.runtime.bus import Subscription
from opsvisor.runtime.logs.capture import StreamStats
from opsvisor.telemetry.instruments import Component

REASONS = ("success", "failure", "signal", "oom", "start_failure", "manual", "config", "unknown")

ADDED = ProcessAdded(at=1.0, id=WEB, spec=STOPPED.spec)


def spawned(replaces: ExitCause | None = None) -> ProcessSpawned:
    """A run began, in place of one that ended so."""
    return ProcessSpawned(at=2.0, id=WEB, pid=Pid(7), cause=StartCause.RESTART, replaces=replaces)


def exited(outcome: Outcome) -> ProcessExited:
    """A run ended at 1050 s."""
    return ProcessExited(
        at=1050.0,
        id=WEB,
        pid=Pid(7),
        outcome=outcome,
        cause=ExitCause.FAILURE,
        expected=False,
        uptime=1.0,
        usage=Usage(),
        decision="",
    )


@pytest.fixture
def scene() -> Iterator[Scene]:
    """One process that was added and never started."""
    with scene_of([STOPPED]) as one:
        one.metrics.on_event(ADDED)
        yield one


async def test_counters_are_there_at_zero_before_the_first_spawn(scene: Scene) -> None:
    """A counter that first appears at 3 shows no increase in Prometheus."""
    restarts = await scene.samples("opsvisor_process_restarts_total")
    assert restarts == {("web", "web", reason): 0 for reason in REASONS}
    assert await scene.value("opsvisor_process_starts_total") == 0
    assert await scene.value("opsvisor_process_spawn_failures_total") == 0
    assert await scene.value("opsvisor_process_oom_kills_total") == 0
    assert await scene.samples("opsvisor_process_cpu_seconds_total") == {
        ("web", "user", "web"): 0,
        ("web", "system", "web"): 0,
    }


async def test_every_start_that_replaces_a_run_counts_under_its_cause(scene: Scene) -> None:
    """Starts are first starts plus restarts."""
    causes = [None, ExitCause.FAILURE, ExitCause.FAILURE, ExitCause.SIGNAL, ExitCause.MANUAL]
    for cause in causes:
        scene.metrics.on_event(spawned(cause))
    restarts = await scene.samples("opsvisor_process_restarts_total")
    expected = {"failure": 2, "signal": 1, "manual": 1}
    assert restarts == {("web", "web", reason): expected.get(reason, 0) for reason in REASONS}
    assert await scene.value("opsvisor_process_starts_total") == 5


async def test_failed_spawns_are_no_starts(scene: Scene) -> None:
    """What could not be made never ran."""
    scene.metrics.on_event(SpawnFailed(at=1.0, id=WEB, reason="", kind=SpawnFaultKind.NO_FILE))
    assert await scene.value("opsvisor_process_spawn_failures_total") == 1
    assert await scene.value("opsvisor_process_starts_total") == 0


@pytest.mark.parametrize(
    ("outcome", "code", "signum"),
    [(Outcome(code=0), 0, 0), (Outcome(code=3), 3, 0), (Outcome(signum=9), -1, 9)],
)
async def test_the_last_exit_is_told_by_code_or_signal(
    scene: Scene, outcome: Outcome, code: int, signum: int
) -> None:
    """-1 is no exit code and 0 no signal: each pair of numbers says which of the two it was."""
    assert await scene.samples("opsvisor_process_last_exit_code") == {}
    scene.metrics.on_event(exited(outcome))
    assert await scene.value("opsvisor_process_last_exit_code") == code
    assert await scene.value("opsvisor_process_last_exit_signal") == signum
    assert await scene.value("opsvisor_process_last_exit_timestamp_seconds") == 1050.0


async def test_a_process_that_left_and_came_back_counts_from_zero(scene: Scene) -> None:
    """Removed processes leave no series and no memory of them."""
    scene.metrics.on_event(spawned())
    scene.metrics.on_event(ProcessRemoved(at=1.0, id=WEB))
    scene.views.clear()
    assert await scene.samples("opsvisor_process_starts_total") == {}
    scene.metrics.on_event(ADDED)
    scene.views.append(STOPPED)
    assert await scene.value("opsvisor_process_starts_total") == 0


async def test_the_state_is_one_hot_and_a_number(scene: Scene) -> None:
    """Eight series, one of them 1, and Supervisor's number beside them."""
    scene.views[0] = RUNNING
    states = await scene.samples("opsvisor_process_state")
    assert len(states) == 8
    assert [labels[2] for labels, value in states.items() if value == 1] == ["running"]
    assert await scene.value("opsvisor_process_state_code") == 20


async def test_the_next_attempt_is_told_while_it_is_due(scene: Scene) -> None:
    """As Unix time, so that a countdown needs no second series."""
    assert await scene.samples("opsvisor_process_next_retry_timestamp_seconds") == {}
    assert await scene.value("opsvisor_process_backoff_delay_seconds") == 0
    scene.views[0] = replace(STOPPED, retry_at=108.0, retry_delay=8.0)
    assert await scene.value("opsvisor_process_next_retry_timestamp_seconds") == 1108.0
    assert await scene.value("opsvisor_process_backoff_delay_seconds") == 8.0


async def test_a_process_is_unkillable_only_while_it_lives(scene: Scene) -> None:
    """Kills survived by a process that is gone now are history."""
    scene.views[0] = replace(RUNNING, kills_survived=2)
    assert await scene.value("opsvisor_process_unkillable") == 1
    scene.views[0] = replace(STOPPED, kills_survived=2)
    assert await scene.value("opsvisor_process_unkillable") == 0


async def test_memory_is_told_only_of_what_runs(scene: Scene) -> None:
    """A stopped process has no memory, which is not the same as zero bytes of it."""
    assert await scene.samples("opsvisor_process_resident_memory_bytes") == {}
    scene.views[0] = RUNNING
    scene.mono += 5.0
    assert await scene.value("opsvisor_process_resident_memory_bytes") > 1_000_000


async def test_facts_are_counted_by_kind_from_zero_on(scene: Scene) -> None:
    """Every kind of event is there before it happens."""
    events = await scene.samples("opsvisor_events_total")
    assert events[("process_added",)] == 1
    assert events[("kill_survived",)] == 0
    assert len(events) == 18


async def test_changes_of_the_plan_are_counted(scene: Scene) -> None:
    """By what became of the processes."""
    other = ProcessId("a", "b")
    diff = PlanDiff(
        added=(WEB, other), changed=(Change(id=WEB, fields=("command",), restart=True),)
    )
    scene.metrics.on_event(PlanApplied(at=1.0, generation=2, diff=diff))
    assert await scene.samples("opsvisor_config_process_changes_total") == {
        ("added",): 2,
        ("changed",): 1,
        ("removed",): 0,
    }


async def test_the_daemons_own_state_is_one_hot(scene: Scene) -> None:
    """It starts as starting."""
    assert (await scene.samples("opsvisor_supervisor_state"))[("starting",)] == 1
    scene.metrics.on_event(
        SupervisorStateChanged(
            at=1.0, old=SupervisorState.STARTING, new=SupervisorState.RUNNING, reason=""
        )
    )
    assert await scene.samples("opsvisor_supervisor_state") == {
        ("starting",): 0,
        ("running",): 1,
        ("reloading",): 0,
        ("stopping",): 0,
    }


async def test_a_rejected_configuration_leaves_the_time_of_the_good_one(
    scene: Scene,
) -> None:
    """What is in use has not changed."""
    scene.metrics.config_loaded(ok=True, at=1001.0)
    scene.metrics.config_loaded(ok=False, at=1002.0)
    assert await scene.value("opsvisor_config_last_reload_successful") == 0
    assert await scene.value("opsvisor_config_last_reload_success_timestamp_seconds") == 1001.0
    assert await scene.value("opsvisor_config_reloads_total") == 2
    assert await scene.value("opsvisor_config_reload_failures_total") == 1


async def test_the_hash_is_that_of_what_is_applied(scene: Scene) -> None:
    """In whatever order it came; a configuration that was only read is not in it."""

    def apply(*specs: ProcessSpec) -> None:
        for spec in specs:
            scene.metrics.on_event(ProcessAdded(at=1.0, id=spec.id, spec=spec))

    web, worker = (
        ProcessSpec(id=ProcessId(name, name), program=name, command=name, argv=(name,))
        for name in ("web2", "worker2")
    )
    empty = await scene.value("opsvisor_config_hash")
    apply(web, worker)
    both = await scene.value("opsvisor_config_hash")
    assert both not in (0, empty)
    assert both < 1 << 48
    for spec in (web, worker):
        scene.metrics.on_event(ProcessRemoved(at=2.0, id=spec.id))
    scene.metrics.config_loaded(ok=True, at=1001.0)
    assert await scene.value("opsvisor_config_hash") == empty
    apply(worker, web)
    assert await scene.value("opsvisor_config_hash") == both
    other = replace(web, nice=5)
    scene.metrics.on_event(ProcessChanged(at=3.0, id=web.id, spec=other, fields=("nice",)))
    assert await scene.value("opsvisor_config_hash") not in (empty, both)


async def test_requests_are_counted_and_no_stranger_makes_up_a_label(scene: Scene) -> None:
    """Anyone can send any word as a method."""
    scene.metrics.http_request("/metrics", "GET", code=200, seconds=0.01)
    scene.metrics.http_request("unmatched", "BREW", code=404, seconds=0.01)
    assert await scene.samples("opsvisor_http_requests_total") == {
        ("200", "/metrics", "GET"): 1,
        ("404", "unmatched", "other"): 1,
    }


async def test_requests_and_streams_count_while_they_last(scene: Scene) -> None:
    """Also when they end in an exception."""
    with scene.metrics.request_in_flight(), scene.metrics.stream_active("events"):
        assert await scene.value("opsvisor_http_requests_in_flight") == 1
        assert await scene.value("opsvisor_http_streams_active") == 1
    with pytest.raises(ConnectionError), scene.metrics.stream_active("events"):
        raise ConnectionError
    assert await scene.value("opsvisor_http_requests_in_flight") == 0
    assert await scene.value("opsvisor_http_streams_active") == 0


async def test_observations_go_to_their_histograms(scene: Scene) -> None:
    """One each, and the sweep of the scrape itself."""
    scene.metrics.observe_loop_lag(0.5)
    scene.metrics.observe_spawn(0.25)
    scene.metrics.observe_reap(0.125)
    scene.metrics.orphan_reaped()
    assert await scene.value("opsvisor_event_loop_lag_seconds_sum") == 0.5
    assert await scene.value("opsvisor_spawn_duration_seconds_sum") == 0.25
    assert await scene.value("opsvisor_child_reap_duration_seconds_sum") == 0.125
    assert await scene.value("opsvisor_orphans_reaped_total") == 1
    assert await scene.value("opsvisor_resource_sample_duration_seconds_count") == 1
    assert await scene.value("opsvisor_resource_sample_timestamp_seconds") == 1100.0


async def test_queues_are_added_up_by_kind_of_subscriber_and_go_with_it(scene: Scene) -> None:
    """Two clients of one kind are one series; a counter of drops stays when they leave."""
    scene.queues = [Subscription("sse", 10), Subscription("sse", 10)]
    assert await scene.samples("opsvisor_event_queue_capacity") == {("sse",): 20}
    assert await scene.samples("opsvisor_events_dropped_total") == {("sse",): 0}
    scene.metrics.events_dropped("sse")
    scene.queues.clear()
    assert await scene.samples("opsvisor_event_queue_capacity") == {}
    assert await scene.samples("opsvisor_events_dropped_total") == {("sse",): 1}


async def test_a_failing_sweep_costs_its_numbers_and_not_the_scrape(scene: Scene) -> None:
    """Closed samplers refuse; the states are still told, and so is the failure."""
    scene.sampler.close()
    success = await scene.samples("opsvisor_collector_success")
    swept = (Collector.RESOURCES, Collector.CGROUP)
    assert success == {(one.value,): int(one not in swept) for one in USUAL}
    assert await scene.value("opsvisor_process_state_code") == 0
    assert scene.errors[0][0] == "metrics"
    errors = await scene.samples("opsvisor_internal_errors_total")
    assert errors[("metrics",)] == 3  # one for each scrape


async def test_a_slow_sweep_is_not_waited_for(scene: Scene) -> None:
    """The thread is busy for as long as the test wants; the scrape is answered all the same."""
    release = asyncio.Event()
    loop = asyncio.get_running_loop()
    scene.sampler._thread.submit(
        lambda: asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
    )
    scene.metrics._sources = replace(scene.metrics._sources, sweep_timeout=0.001)
    success = await scene.samples("opsvisor_collector_success")
    assert success[("resources",)] == 0
    release.set()
    await scene.sampler.sweep()
    assert (await scene.samples("opsvisor_collector_success"))[("resources",)] == 1
    assert scene.errors == []  # being late is no bug


async def test_failing_log_statistics_cost_theirs_only(scene: Scene) -> None:
    """A bug there is counted as one."""
    scene.look_at_logs = {ProcessId("x", "y"): {"stdout": STATS}}.__getitem__
    success = await scene.samples("opsvisor_collector_success")
    assert success[("logs",)] == 0
    assert (await scene.samples("opsvisor_internal_errors_total"))[("metrics",)] >= 1
    assert await scene.value("opsvisor_process_state_code") == 0


async def test_a_process_may_leave_while_it_is_being_rendered(scene: Scene) -> None:
    """The scrape gives the loop back in between: what left then is neither told nor kept."""
    scene.views[:] = [stopped(ProcessId("many", f"p{n}")) for n in range(1200)]
    last = scene.views[-1].id
    everybody = list(scene.views)
    scene.look = lambda: (view for view in everybody if view.id != last or view in scene.views)

    def stats_of(process_id: ProcessId) -> dict[str, StreamStats]:
        assert process_id != last, "asked for the logs of a process that left"
        if scene.views[-1].id == last:
            del scene.views[-1]
            scene.metrics.on_event(ProcessRemoved(at=1.0, id=last))
        return {"stdout": STATS}

    scene.look_at_logs = stats_of
    assert len(await scene.samples("opsvisor_process_state_code")) == 1199
    assert last not in scene.metrics._counts
    assert scene.errors == []


async def test_the_loop_is_given_back_while_processes_are_looked_at(scene: Scene) -> None:
    """1,000 views made in one go would hold it for 9 ms."""
    looked_at: list[str] = []
    turns: list[int] = []
    everybody = [stopped(ProcessId("many", f"p{n:04}")) for n in range(1200)]

    def look() -> Iterator[ProcessView]:
        for view in everybody:
            looked_at.append(view.id.name)
            yield view

    def turn() -> None:
        turns.append(len(looked_at))
        if len(looked_at) < len(everybody):
            asyncio.get_running_loop().call_soon(turn)

    scene.look = look
    asyncio.get_running_loop().call_soon(turn)
    assert len(await scene.samples("opsvisor_process_state_code")) == 1200
    steps = [after - before for before, after in pairwise([0, *turns])]
    assert max(steps) <= 500


async def test_bugs_are_counted_by_component_from_zero_on(scene: Scene) -> None:
    """Every part is there before its first bug, and a name of none of them makes no new series."""
    for component in ("reaper", Component.LOOP, "reaper", "made up"):
        scene.metrics.internal_error(component)
    counted = {"reaper": 2, "loop": 1, "other": 1}
    assert await scene.samples("opsvisor_internal_errors_total") == {
        (name,): counted.get(name, 0)
        for name in (
            "api", "core", "engine", "listener", "loop", "memory", "metrics", "probes", "reaper",
                "other",
        )
    }  # fmt: skip


@pytest.mark.parametrize("accept", [TEXT, OPENMETRICS])
async def test_gzip_holds_the_same_text(scene: Scene, accept: str) -> None:
    """Compressed as it is written, and whole."""
    scene.stats[WEB] = {"stdout": STATS}
    plain, plain_type = await scene.metrics.render(accept, gzip=False)
    packed, packed_type = await scene.metrics.render(accept, gzip=True)
    assert packed_type == plain_type
    # The daemon's own numbers move between two scrapes; those of the processes don't.
    end = plain.index(b"opsvisor_event")
    assert gzip.decompress(packed)[:end] == plain[:end]
    assert gzip.decompress(packed)[-6:] == plain[-6:]


async def test_the_time_to_ready_is_told_once_for_each_run(scene: Scene) -> None:
    """Without anybody to ask, what runs is ready."""
    ready = "opsvisor_process_ready_duration_seconds"
    last = "opsvisor_process_last_ready_duration_seconds"
    assert await scene.samples(last) == {}
    assert await scene.value(f"{ready}_count") == 0
    for seconds in (2.5, 1.25):
        scene.metrics.on_event(spawned())
        assert len(await scene.samples(last)) == int(seconds == 1.25)  # what it was before
        scene.mono += seconds
        scene.metrics.on_event(became(WEB, PublicState.RUNNING))
        scene.metrics.on_event(became(WEB, PublicState.RUNNING))  # as after a failed stop
        assert await scene.value(last) == seconds
    scene.metrics.on_event(spawned())
    scene.metrics.on_event(became(WEB, PublicState.BACKOFF))
    assert await scene.value(f"{ready}_count") == 2
    assert await scene.value(f"{ready}_sum") == 3.75


async def test_with_probes_ready_is_what_they_say(scene: Scene) -> None:
    """RUNNING alone is not enough, nor are probes that pass before; told once for each run."""
    ready = "opsvisor_process_ready_duration_seconds"
    asked = replace(STOPPED.spec, readiness_probe=PROBE)
    scene.metrics.on_event(ProcessChanged(at=1.0, id=WEB, spec=asked, fields=("command",)))
    passes = HealthChanged(
        at=1.0,
        id=WEB,
        pid=Pid(7),
        probe=ProbeKind.READINESS,
        passing=True,
        detail="",
        in_a_row=1,
        ready=True,
    )
    running = became(WEB, PublicState.RUNNING)
    for first, second in ((running, passes), (passes, running)):
        scene.metrics.on_event(spawned())
        before = await scene.value(f"{ready}_count")
        scene.mono += 1.0
        scene.metrics.on_event(first)
        assert await scene.value(f"{ready}_count") == before
        scene.mono += 2.0
        scene.metrics.on_event(second)
        scene.metrics.on_event(replace(passes, passing=False, ready=False))
        scene.metrics.on_event(passes)
        assert await scene.value(f"{ready}_count") == before + 1
        scene.metrics.on_event(became(WEB, PublicState.STOPPING))
    assert await scene.value(f"{ready}_sum") == 6.0


async def test_restarts_for_health_are_counted_only_where_they_can_be(scene: Scene) -> None:
    """A readiness probe restarts nothing."""
    restarts = "opsvisor_process_restarts_total"
    assert ("web", "web", "health") not in await scene.samples(restarts)
    ready = replace(STOPPED.spec, readiness_probe=PROBE)
    scene.metrics.on_event(ProcessChanged(at=1.0, id=WEB, spec=ready, fields=("command",)))
    assert ("web", "web", "health") not in await scene.samples(restarts)
    lives = replace(STOPPED.spec, liveness_probe=PROBE)
    scene.metrics.on_event(ProcessChanged(at=1.0, id=WEB, spec=lives, fields=("command",)))
    assert (await scene.samples(restarts))["web", "web", "health"] == 0
    scene.metrics.on_event(spawned(ExitCause.HEALTH))
    assert (await scene.samples(restarts))["web", "web", "health"] == 1


async def test_a_reason_that_a_new_configuration_brings_begins_at_zero(scene: Scene) -> None:
    """And what was counted before stays."""
    scene.metrics.on_event(spawned(ExitCause.SIGNAL))
    scene.metrics.on_event(ProcessChanged(at=1.0, id=WEB, spec=STOPPED.spec, fields=("command",)))
    restarts = await scene.samples("opsvisor_process_restarts_total")
    assert restarts == {("web", "web", reason): int(reason == "signal") for reason in REASONS}


async def test_what_a_shutdown_ended_is_replaced_by_another_daemons(scene: Scene) -> None:
    """It is no restart of ours."""
    scene.metrics.on_event(spawned(ExitCause.SHUTDOWN))
    restarts = await scene.samples("opsvisor_process_restarts_total")
    assert restarts == {("web", "web", reason): 0 for reason in REASONS}
