"""The predicaments of the example are what they say they are, beside any other daemon."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from cells import can_have
from daemon import eventually
from prometheus_client.parser import text_string_to_metric_families

from tools.stack import Scenario

EXPECTED_STATES = {
    "web_0": "RUNNING",
    "workers": "RUNNING",
    "leaky": "RUNNING",
    "hungry": "RUNNING",
    "unheard": "RUNNING",
    "broken": "FATAL",
    "missing": "FATAL",
    "migrate": "EXITED",
    "cleanup": "STOPPED",
    "spare": "STOPPED",
}


@pytest.fixture
def scenario(tmp_path: Path) -> Iterator[Scenario]:
    """The daemon of the example."""
    with Scenario.start(tmp_path) as running:
        yield running


def values(scenario: Scenario, name: str, **labels: str) -> dict[str, float]:
    """The values of a family, by process, subscriber or whatever tells its series apart."""
    found = {}
    for family in text_string_to_metric_families(scenario.metrics()):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                rest = [text for label, text in sample.labels.items() if label not in labels]
                found[rest[-1] if rest else ""] = sample.value
    return found


def test_programs_get_into_their_predicaments(scenario: Scenario) -> None:
    """Within seconds, as their descriptions say, and nothing else goes wrong."""

    def states() -> dict[str, str]:
        with scenario.client() as client:
            return {one.process: one.state for one in client.processes().processes}

    eventually(lambda: EXPECTED_STATES.items() <= states().items() or None, patience=40)
    eventually(lambda: values(scenario, "opsvisor_process_flapping")["looping"] == 1, patience=40)
    eventually(lambda: values(scenario, "opsvisor_process_start_retries")["looping"] >= 3)
    unheard = {"process": "unheard"}
    eventually(lambda: values(scenario, "opsvisor_log_dropped_lines_total", **unheard)["stdout"])
    assert values(scenario, "opsvisor_log_write_errors_total")["unheard"] > 0
    eventually(
        lambda: values(scenario, "opsvisor_events_dropped_total")["eventlistener:deaf"] > 0,
        patience=40,
    )
    up = partial(values, scenario, "opsvisor_health_check_up")
    eventually(lambda: up(process="web_1")["readiness"] == 1)
    eventually(lambda: up(process="unready")["readiness"] == 0)
    eventually(lambda: up(process="hanging")["liveness"] == 1)
    assert values(scenario, "opsvisor_process_ready")["unready"] == 0
    eventually(lambda: values(scenario, "opsvisor_process_io_written_bytes_total")["ledger"])
    assert 0.85 < values(scenario, "opsvisor_process_fd_usage_ratio")["hungry"] < 1
    assert values(scenario, "opsvisor_process_tree_processes")["workers"] == 4
    assert sum(values(scenario, "opsvisor_internal_errors_total").values()) == 0


def test_visitors_and_reloads_leave_their_traces(scenario: Scenario) -> None:
    """Requests, open streams, restarts by hand, and configurations that were taken or refused."""
    with scenario.visitors():
        eventually(lambda: values(scenario, "opsvisor_http_streams_active").get("events") == 1)
        eventually(
            lambda: (
                values(scenario, "opsvisor_process_restarts_total", reason="manual")["web_1"] > 0
            )
        )
    scenario.reload()
    assert "added" in values(scenario, "opsvisor_process_state_code")
    scenario.reload_broken()
    assert values(scenario, "opsvisor_config_last_reload_successful") == {"": 0}
    scenario.reload()
    assert values(scenario, "opsvisor_config_last_reload_successful") == {"": 1}
    assert "added" not in values(scenario, "opsvisor_process_state_code")


def test_one_may_be_held_back(scenario: Scenario) -> None:
    """By cgroups of its own, where root can make them; they are gone with the daemon."""
    held_back = scenario.hold_one_back()
    assert held_back == (can_have("cpu") and can_have("memory"))
    cells = []
    if held_back:
        limit = partial(values, scenario, "opsvisor_process_memory_limit_bytes")
        assert eventually(lambda: limit().get("limited")) == 64 << 20
        throttled = partial(values, scenario, "opsvisor_process_cpu_throttled_periods_total")
        eventually(lambda: throttled().get("limited"))
        with scenario.client() as client:
            pid = client.process("limited").status.pid
        names = re.findall(r"opsvisor-cell-\w+", Path(f"/proc/{pid}/cgroup").read_text())
        cells = [found for one in names for found in Path("/sys/fs/cgroup").glob(f"**/{one}")]
    assert bool(cells) == held_back
    scenario.stop()
    assert not any(cell.exists() for cell in cells)


def test_two_may_run_side_by_side(scenario: Scenario, tmp_path: Path) -> None:
    """On ports and in directories of their own; a program that can't listen would be crashing."""
    with Scenario.start(tmp_path / "other") as other:
        for one in (scenario, other):
            with one.client() as client:
                eventually(lambda: client.process("web:web_0").status.state == "RUNNING")
