"""What queries make of series that are easily got wrong, told by promtool's unit tests."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from drawn import NAMES, load, panels_of, queries_of
from promql import selectors

# Grafana's own, with all jobs and instances chosen.
_WRITTEN_OUT = {
    '"$job"': '".+"',
    '"$instance"': '".+"',
    "$__rate_interval": "5m",
    "$__range": "1h",
}
# What every target has, or every program with a client library of Prometheus.
_OF_ANYBODY = re.compile(r"up|scrape_\w+|process_\w+|python_\w+")

_OURS = '{job="opsvisor",instance="shop-1"}'
_BUILD = f"opsvisor_build_info{_OURS}"
_FOREIGN = 'up{job="node",instance="shop-1"}'


def _query(board: str, panel: str) -> str:
    (found,) = (one for one in panels_of(load(board)) if one["title"] == panel)
    text: str = found["targets"][0]["expr"]
    for word, value in _WRITTEN_OUT.items():
        text = text.replace(word, value)
    return text


def _assert_gives(
    directory: Path, text: str, series: dict[str, str], expected: dict[str, float], at: str = "20m"
) -> None:
    """What Prometheus makes of it at that time, with a sample of each series a minute."""
    test: Any = {
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": k, "values": v} for k, v in series.items()],
                "promql_expr_test": [
                    {
                        "expr": text,
                        "eval_time": at,
                        "exp_samples": [{"labels": k, "value": v} for k, v in expected.items()],
                    }
                ],
            }
        ],
    }
    path = directory / "query.test.json"
    path.write_text(json.dumps(test))
    promtool = shutil.which("promtool")
    assert promtool, "promtool is not installed: tools/system_packages.sh prometheus"
    ran = subprocess.run(
        [promtool, "test", "rules", path], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("name", NAMES)
def test_only_supervisors_are_shown(name: str) -> None:
    """All jobs are chosen at first, and Prometheus has others: their targets are none of ours."""
    for where, query in queries_of(load(name)):
        strangers = [one for one in selectors(query) if _OF_ANYBODY.fullmatch(one.metric)]
        joined = query.count("and on (job) last_over_time(opsvisor_build_info{")
        assert joined >= len(strangers), f"{where}: {query}"


@pytest.mark.parametrize(
    ("board", "panel"),
    [("opsvisor-overview", "Supervisors down"), ("opsvisor-supervisor", "Down")],
)
@pytest.mark.parametrize(
    ("series", "expected"),
    [
        pytest.param({f"up{_OURS}": "1x30", _BUILD: "1x30"}, {"{}": 0}, id="up"),
        pytest.param(
            {f"up{_OURS}": "1x9 0x20", _BUILD: "1x9 stale"}, {"{}": 1}, id="down for ten minutes"
        ),
        pytest.param(
            {f"up{_OURS}": "1x30", _BUILD: "1x30", _FOREIGN: "0x30"},
            {"{}": 0},
            id="only another exporter is down",
        ),
        pytest.param({_FOREIGN: "0x30"}, {}, id="never seen one: that is not 0"),
    ],
)
def test_supervisors_that_are_down(
    board: str, panel: str, series: dict[str, str], expected: dict[str, float], tmp_path: Path
) -> None:
    """Those that were seen in the chosen time count, and nobody else."""
    _assert_gives(tmp_path, _query(board, panel), series, expected)


def test_a_daemon_is_one_row(tmp_path: Path) -> None:
    """Whatever its state: rows for each state would say "running" long after it is not."""
    states = {
        f'opsvisor_supervisor_state{{job="opsvisor",instance="shop-1",state="{name}"}}': values
        for name, values in (("running", "1x10 0x20"), ("reloading", "0x10 1x20"))
    }
    query = _query("opsvisor-supervisor", "State of the daemon")
    _assert_gives(tmp_path, query, states, {_OURS: 2}, at="5m")
    _assert_gives(tmp_path, query, states, {_OURS: 3}, at="20m")


def test_no_checks_fail_no_part(tmp_path: Path) -> None:
    """A probe that is not asked has no failing part, rather than 0 of 0."""
    counters = {
        f'opsvisor_health_check_{what}_total{{job="opsvisor",instance="shop-1",group="a.b+c",'
        'process="web",check="liveness"}': "4x30"
        for what in ("failures", "attempts")
    }
    text = _query("opsvisor-process", "Failing part of the checks")
    text = text.replace('"$group"', '"a.b+c"').replace('"$process"', '"web"')
    _assert_gives(tmp_path, text, counters, {})
