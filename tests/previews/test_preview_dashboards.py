"""The five dashboards, drawn by Grafana's widgets from a real daemon: whole and without error."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tools.previews import Browser, Shot, page, pictures
from tools.stack import Prometheus, PrometheusSettings, Scenario, Target, prometheus_config, until

DASHBOARDS = sorted(file.name for file in page.DASHBOARDS.glob("*.json"))


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has watched a daemon, with a program in every predicament, for a while."""
    directory = tmp_path_factory.mktemp("daemon")
    with ExitStack() as ends:
        daemon = ends.enter_context(Scenario.start(directory))
        ends.enter_context(daemon.visitors())
        target = Target(address=daemon.address, labels={"instance": "shop-1"})
        config = prometheus_config(PrometheusSettings(targets=[target]))
        running = ends.enter_context(Prometheus.start(directory, config))
        daemon.reload()
        until(lambda: running.query('count_over_time(up{job="opsvisor"}[1m]) > 8'))
        yield running


def test_every_panel_is_drawn(built: Path, browser: Browser, prometheus: Prometheus) -> None:
    """No error of a query, a transformation or a widget; nothing is cut off or scrolls."""
    now = time.time()
    shots = [
        Shot(dashboard=name, prometheus=prometheus.url, start=now - 60, end=now, scrape_interval=1)
        for name in DASHBOARDS
    ]
    drawn = pictures(browser, built, shots)
    flaws = {
        one.shot.dashboard: [*one.report.errors, *one.report.overflows]
        for one in drawn
        if one.report.errors or one.report.overflows
    }
    assert flaws == {}
    # All panels, those of collapsed rows too, and few of them have nothing to tell.
    assert len(drawn) == len(DASHBOARDS) == 5
    for one in drawn:
        assert one.report.panels > 5
        assert len(one.report.empty) < one.report.panels / 2, one.report.empty
