"""Four generations of Grafana take the dashboards, as far as their published types tell.

The schemas are strict: an option that a generation does not know is a complaint, as is one that
it needs. This is no import into a running Grafana.
"""

import re
from collections.abc import Callable
from typing import Any

import pytest
from drawn import NAMES, Dashboard, load, load_all, panels_of
from schemas import GENERATIONS, PROMETHEUS_ANNOTATION, generation

_OLDEST = GENERATIONS[0]
_REQUIRED = re.compile(
    r"(?P<kind>[a-z-]+) '.*' Options : '(?P<option>\w+)' is a required property"
)


def _is_a_later_default(complaint: str) -> bool:
    """Whether it is about an option that the oldest Grafana lacks: a newer one then sets it.

    Grafana fills the options that a panel does not have with the defaults of its kind.
    """
    match = _REQUIRED.fullmatch(complaint)
    return match is not None and not generation(_OLDEST).knows(match["kind"], match["option"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", GENERATIONS)
def test_grafana_takes_it(number: str, name: str) -> None:
    """Everything in it is known there, and nothing that is needed is missing."""
    complaints = list(generation(number).complaints(load(name)))
    assert [one for one in complaints if not _is_a_later_default(one)] == []


@pytest.mark.parametrize("number", GENERATIONS)
def test_generation_is_what_it_says(number: str) -> None:
    """The types are of the versions that README.md of the dashboards names."""
    assert generation(number).version.startswith(f"{number}.")


def _first(dashboard: Dashboard, kind: str) -> dict[str, Any]:
    return next(panel for panel in panels_of(dashboard) if panel["type"] == kind)


@pytest.mark.parametrize("number", GENERATIONS)
@pytest.mark.parametrize(
    "slip",
    [
        lambda d: d.update(scheduleVersion=39),
        lambda d: d.update(schemaVersion="39"),
        lambda d: d["links"][0].update(keepTimes=True),
        lambda d: d["templating"]["list"][1].update(refresh=7),
        lambda d: _first(d, "stat")["gridPos"].update(width=3),
        lambda d: _first(d, "stat")["options"].update(graphMode="areas"),
        lambda d: _first(d, "stat")["options"].pop("reduceOptions"),
        lambda d: _first(d, "timeseries")["options"]["legend"].update(position="right"),
        lambda d: _first(d, "timeseries")["fieldConfig"]["defaults"].update(units="s"),
        lambda d: _first(d, "timeseries")["fieldConfig"]["defaults"]["custom"].update(fill=1),
        lambda d: _first(d, "bargauge")["options"].update(displayMode="lcds"),
        lambda d: _first(d, "table")["options"].update(sort=[]),
        lambda d: _first(d, "table")["transformations"][0].update(name="merge"),
    ],
)
def test_slips_are_found(number: str, slip: Callable[[Dashboard], None]) -> None:
    """A schema that takes anything would prove nothing."""
    dashboard = load("opsvisor-overview")
    slip(dashboard)
    complaints = list(generation(number).complaints(dashboard))
    assert [one for one in complaints if not _is_a_later_default(one)] != []


def test_queries_are_held_to_a_type_as_well() -> None:
    """Of the one generation whose types of Prometheus queries are among the others."""
    dashboard = load("opsvisor-overview")
    _first(dashboard, "stat")["targets"][0].update(legend="x")
    assert "legend" in "".join(generation(_OLDEST).complaints(dashboard))


def test_annotations_have_the_settings_of_prometheus() -> None:
    """Those that the types of dashboards say nothing about: all of them, and of the right type."""
    for dashboard in load_all().values():
        for annotation in dashboard["annotations"]["list"]:
            kinds = {key: type(annotation.get(key)) for key in PROMETHEUS_ANNOTATION}
            assert kinds == PROMETHEUS_ANNOTATION, annotation["name"]
