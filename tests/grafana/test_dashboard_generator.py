"""The generator: writes what is committed, and refuses what would be wrong on a dashboard."""

from pathlib import Path

import pytest

from grafana.generate.__main__ import main
from grafana.generate.board import Board, Row
from grafana.generate.metrics import Quantity, UnknownMetricError, metrics_of, quantity_of
from grafana.generate.panel import Field, Panel, Query, WrongUnitError
from grafana.generate.panels import stat, timeseries


def test_the_dashboards_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    """What is committed is what it writes."""
    assert main(["--check"]) == 0, capsys.readouterr().err


def test_what_differs_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that was edited, one that is missing, and one that nobody generates."""
    assert main([], directory=tmp_path) == 0
    assert main(["--check"], directory=tmp_path) == 0
    (tmp_path / "opsvisor-host.json").write_text("{}")
    (tmp_path / "opsvisor-logs.json").unlink()
    (tmp_path / "mine.json").write_text("{}")
    assert main(["--check"], directory=tmp_path) == 1
    said = capsys.readouterr().err
    for name in ("opsvisor-host.json", "opsvisor-logs.json", "mine.json"):
        assert f"{name} is not what the generator writes" in said
    assert "make docs" in said
    assert "overview" not in said


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Anything else is a mistake."""
    assert main(["--chekc"]) == 2
    assert "usage" in capsys.readouterr().err


def test_unknown_metrics_are_refused() -> None:
    """A metric that nothing exports does not get onto a dashboard, be it renamed or mistyped."""
    with pytest.raises(UnknownMetricError, match=r"opsvisor_process_stat\n.*hint"):
        Query(text="opsvisor_process_stat{}")
    with pytest.raises(UnknownMetricError, match="_bucket"):
        Query(text="rate(opsvisor_process_state_bucket{}[5m])")
    with pytest.raises(UnknownMetricError, match="without a matcher"):
        Query(text="opsvisor_process_up{} * opsvisor_process_ready")
    with pytest.raises(AssertionError, match="no metric"):
        Query(text="vector(0)")


def test_metrics_are_found_in_queries() -> None:
    """Functions, labels and strings are none."""
    query = 'sum by (state) (rate(a_total{x="b{c"}[5m])) / on (job) group_left () b{} or vector(0)'
    assert metrics_of(query) == ["a_total", "b"]
    assert metrics_of('a{x="opsvisor_b"}') == ["a"]


@pytest.mark.parametrize(
    ("query", "quantity"),
    [
        ("opsvisor_process_resident_memory_bytes{}", Quantity.BYTES),
        ("sum(rate(opsvisor_log_bytes_total{}[5m]))", Quantity.THROUGHPUT),
        ("sum(increase(opsvisor_log_bytes_total{}[5m]))", Quantity.BYTES),
        ("rate(opsvisor_process_cpu_seconds_total{}[5m])", Quantity.SHARE),
        ("time() - opsvisor_start_time_seconds{}", Quantity.TIME),
        ("opsvisor_start_time_seconds{} * 1000", Quantity.INSTANT),
        ("opsvisor_process_fd_usage_ratio{}", Quantity.SHARE),
        ("opsvisor_process_open_fds{} / opsvisor_process_max_fds{}", Quantity.SHARE),
        (
            "sum(opsvisor_log_bytes_total{}) / (sum(opsvisor_log_lines_total{}) > 0)",
            Quantity.SHARE,
        ),
        ("count(opsvisor_start_time_seconds{} == 0) or vector(0)", Quantity.COUNT),
        ("increase(opsvisor_process_starts_total{}[5m])", Quantity.COUNT),
        ("rate(opsvisor_process_starts_total{}[5m])", Quantity.FREQUENCY),
        (
            "histogram_quantile(0.9, rate(opsvisor_spawn_duration_seconds_bucket{}[5m]))",
            Quantity.TIME,
        ),
    ],
)
def test_what_a_query_is_measured_in(query: str, quantity: Quantity) -> None:
    """It follows from the unit of the metric and from what is done to it."""
    assert quantity_of(query) is quantity


def test_wrong_units_are_refused() -> None:
    """Bytes are not drawn as seconds, nor two things as one."""
    memory = Query(text="opsvisor_process_resident_memory_bytes{}")
    files = Query(text="opsvisor_process_open_fds{}")
    with pytest.raises(WrongUnitError, match=r"'s' is no unit for .*\n.*bytes"):
        stat("Memory", "", memory, size=(4, 4), look_of=Field(unit="s"))
    with pytest.raises(WrongUnitError, match="open_fds"):
        timeseries("Both", "", memory, files, size=(4, 4))
    assert stat("Memory", "", memory, size=(4, 4)).unit == "bytes"


def _panel(width: int, height: int) -> Panel:
    return stat("One", "", Query(text="up{}"), size=(width, height))


@pytest.mark.parametrize(
    ("sizes", "complaint"),
    [
        ([(12, 4), (12, 5)], "4 high"),
        ([(12, 4), (13, 4)], "does not fit"),
        ([(12, 4)], "12 columns are left over"),
    ],
)
def test_untidy_rows_are_refused(sizes: list[tuple[int, int]], complaint: str) -> None:
    """Lines are level and full."""
    board = Board(
        name="x",
        title="x",
        description="x",
        variables=(),
        annotations=(),
        rows=[Row(panels=[_panel(*size) for size in sizes])],
        since="1h",
    )
    with pytest.raises(AssertionError, match=complaint):
        board.render()
