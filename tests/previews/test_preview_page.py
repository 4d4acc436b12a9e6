"""The page that draws dashboards: every kind of panel, and each flaw told."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import samples

from tools.previews import Browser, Picture, Shot, page, pictures
from tools.stack import Prometheus, PrometheusSettings, Target, prometheus_config, until


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has scraped itself a few times, and answered a few requests."""
    directory = tmp_path_factory.mktemp("prometheus")
    with Prometheus.start(directory, prometheus_config(PrometheusSettings())) as running:
        itself = Target(address=running.address, job="self")
        running.reload(prometheus_config(PrometheusSettings(targets=[itself])))
        until(lambda: running.query('count_over_time(up{job="self"}[1m]) > 4'))
        yield running


class Draw:
    """Draws a dashboard with these panels."""

    def __init__(
        self, built: Path, browser: Browser, prometheus: Prometheus, directory: Path
    ) -> None:
        self._built = built
        self._browser = browser
        self._prometheus = prometheus
        self._directory = directory

    def __call__(self, *panels: samples.Panel, width: int = 1200) -> Picture:
        """The picture of it."""
        now = time.time()
        shot = Shot(
            dashboard=samples.write(self._directory, panels),
            prometheus=self._prometheus.url,
            start=now - 30,
            end=now,
            scrape_interval=1,
            width=width,
        )
        (picture,) = pictures(self._browser, self._built, [shot], dashboards=self._directory)
        return picture


@pytest.fixture
def draw(built: Path, browser: Browser, prometheus: Prometheus, tmp_path: Path) -> Draw:
    """Draw panels."""
    return Draw(built, browser, prometheus, tmp_path / "dashboards")


def test_types_are_right() -> None:
    """The compiler, as strict as it can be, has nothing to say."""
    page.install()
    page.check()


def test_every_kind_of_panel_is_drawn(draw: Draw) -> None:
    """No error, nothing cut off, nothing empty; and a picture as large as the page."""
    picture = draw(*samples.EVERY_KIND)
    report = picture.report
    assert (report.errors, report.overflows, report.empty) == ([], [], [])
    assert report.panels == len(samples.EVERY_KIND)
    assert _size(picture.png) == (1200, report.height)


def test_an_empty_panel_says_so(draw: Draw) -> None:
    """A query without a result is no error, but is told."""
    report = draw(samples.panel("timeseries", "nothing_of_this_name", title="Nothing")).report
    assert (report.errors, report.empty) == ([], ["panel 0 Nothing"])


@pytest.mark.parametrize(
    ("flawed", "told"),
    [
        pytest.param(samples.panel("timeseries", "rate(up)"), "parse error", id="query"),
        pytest.param(samples.panel("pie", "up"), "type pie", id="kind"),
        pytest.param(samples.panel("stat", "up{job=~'$jobb'}"), "$jobb", id="variable"),
        pytest.param(
            samples.panel("stat", "up", transformations=[{"id": "mix", "options": {}}]),
            "transformation mix",
            id="transformation",
        ),
        pytest.param(
            samples.table("up", options={"sortBy": [{"displayName": "Size"}]}),
            "sorted by Size",
            id="sort",
        ),
        pytest.param(
            samples.panel(
                "table",
                "",
                targets=[
                    samples.target("up", format="table", instant=True),
                    samples.target("up", format="table", instant=True) | {"refId": "B"},
                ],
            ),
            "2 frames",
            id="frames",
        ),
    ],
)
def test_an_error_is_told(draw: Draw, flawed: samples.Panel, told: str) -> None:
    """Of the dashboard as of Prometheus; the other panels are drawn."""
    (error,) = draw(flawed, *samples.EVERY_KIND).report.errors
    assert told in error


@pytest.mark.parametrize(
    ("flawed", "told"),
    [
        pytest.param(samples.panel("stat", "up", title="Long " * 40), "cut off: Long", id="title"),
        pytest.param(
            samples.table(samples.REQUESTS, gridPos={"w": 2, "h": 20}), "cut off", id="columns"
        ),
        pytest.param(
            samples.panel("timeseries", samples.REQUESTS, gridPos={"w": 6, "h": 8}),
            "scrolls",
            id="legend",
        ),
    ],
)
def test_what_does_not_fit_is_told(draw: Draw, flawed: samples.Panel, told: str) -> None:
    """Titles, columns and legends that nobody could read."""
    report = draw(flawed).report
    assert report.errors == []
    assert any(told in one for one in report.overflows), report.overflows


def test_a_long_table_may_scroll(draw: Draw) -> None:
    """It has as many rows as there is to tell."""
    many = samples.table(f"sum by (handler) ({samples.REQUESTS})", gridPos={"w": 12, "h": 4})
    report = draw(many).report
    assert (report.errors, report.overflows) == ([], [])


def _size(png: bytes) -> tuple[int, int]:
    """Width and height, as the header of a PNG has them."""
    return int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
