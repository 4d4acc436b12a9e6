"""Each alert against series that should set it off, and others that should not."""

import tomllib
from pathlib import Path
from urllib.parse import quote

import pytest
from rule_tests import (
    CASES,
    SEVERITIES,
    assert_all_is_well,
    cases_of,
    write_alert_test,
    write_recording_test,
    write_text_test,
)
from timeline import Case, Shows

from alerts.generate import thresholds
from alerts.generate.model import Alert, Dashboard
from alerts.generate.rules import ALERTS

RULES = Path(__file__).parent.parent.parent / "alerts"
BY_NAME = {alert.name: alert for alert in ALERTS}
COUNTING = ("increase(", "rate(", "changes(", "increase@")


@pytest.mark.parametrize("alert", BY_NAME)
def test_fires_and_stays_quiet(alert: str, tmp_path: Path) -> None:
    """Every case of the alert, on rules made of the shipped numbers."""
    by_step = {case.step for case in cases_of(alert)}
    tests = [
        write_alert_test(
            tmp_path,
            f"every-{step}",
            thresholds.read(),
            alert,
            [case for case in cases_of(alert) if case.step == step],
        )
        for step in by_step
    ]
    assert_all_is_well(tests)


def test_what_is_given_up_is_not_stuck(tmp_path: Path) -> None:
    """Nor where a value counts for longer than the alert waits: the example of the README."""
    tables = tomllib.loads(thresholds.DEFAULTS.read_text("utf-8"))
    tables["shared"]["gap"] = "3m"
    alert = "OpsvisorProcessBackoffStuck"
    numbers = thresholds.from_tables(tables)
    assert_all_is_well([write_alert_test(tmp_path, "gap", numbers, alert, cases_of(alert))])


def _of_all_jobs() -> thresholds.Thresholds:
    tables = tomllib.loads(thresholds.DEFAULTS.read_text("utf-8"))
    tables["general"]["selector"] = 'job=~"opsvisor.*"'
    return thresholds.from_tables(tables)


@pytest.mark.parametrize("alert", [name for name in BY_NAME if name != "OpsvisorAbsent"])
def test_neighbours_do_not_disturb(alert: str, tmp_path: Path) -> None:
    """One fires beside one that nearly does: in another group, on another host, of another job.

    Wherever two series are matched by too few labels, the neighbour keeps it quiet or joins in.
    """
    firing = [case for case in cases_of(alert) if case.shows is Shows.FIRES]
    quiet = [case for case in cases_of(alert) if case.shows is Shows.NEAR_MISS]
    pairs = [
        case.beside(neighbour, label)
        for case in firing
        for neighbour in quiet
        for label in BY_NAME[alert].group.value
        if case.step == neighbour.step
    ]
    tests = [
        write_alert_test(
            tmp_path, f"pairs-{step}", _of_all_jobs(), alert, [c for c in pairs if c.step == step]
        )
        for step in {case.step for case in pairs}
    ]
    assert_all_is_well(tests)


@pytest.mark.parametrize("alert", [name for name in BY_NAME if name != "OpsvisorAbsent"])
def test_labels_of_targets_stay(alert: str, tmp_path: Path) -> None:
    """Teams and clusters that Prometheus puts on its targets are there for routing."""
    cases = [case.labelled(team="shop") for case in cases_of(alert) if case.shows is Shows.FIRES]
    tests = [
        write_alert_test(
            tmp_path,
            f"team-{step}",
            thresholds.read(),
            alert,
            [c for c in cases if c.step == step],
        )
        for step in {case.step for case in cases}
    ]
    assert_all_is_well(tests)


@pytest.mark.parametrize("alert", BY_NAME)
def test_has_a_case_of_each_sort(alert: str) -> None:
    """Firing, a near miss, the end, a failed scrape, late series, and resets where it counts."""
    shown = {case.shows for case in cases_of(alert)}
    counts = any(word in BY_NAME[alert].expr for word in COUNTING)
    wanted = set(Shows) if counts else set(Shows) - {Shows.RESET}
    assert wanted <= shown


@pytest.mark.parametrize("alert", BY_NAME)
def test_is_first_seen_quiet_and_then_firing(alert: str) -> None:
    """A case that shows an alert firing shows the moment before as well."""
    for case in cases_of(alert):
        if case.shows is Shows.FIRES and len(case.fires) > 1:
            assert list(case.fires.values())[-2:] in ([False, True], [True, True])
    assert any(case.fires for case in cases_of(alert) if case.shows is Shows.FIRES)


@pytest.mark.parametrize("alert", BY_NAME)
def test_says_what_happened_and_what_to_run(alert: str, tmp_path: Path) -> None:
    """Labels and texts of the firing alert, as the shipped files give them."""
    told = [case for case in cases_of(alert) if case.description]
    assert told
    test = write_text_test(
        tmp_path,
        (RULES / "opsvisor.rules.yml", RULES / "opsvisor.alerts.yml"),
        [case.as_test(SEVERITIES[alert], annotations=_annotations(case)) for case in told],
        step=told[0].step,
    )
    assert_all_is_well([test])


def test_recording_rules_record(tmp_path: Path) -> None:
    """Each of them, with the shipped numbers."""
    test = write_recording_test(tmp_path, "recordings", thresholds.read())
    assert_all_is_well([test])


def test_every_case_is_about_an_alert() -> None:
    """And all severities are written down."""
    assert {case.alert for case in CASES} == BY_NAME.keys() == SEVERITIES.keys()


def _annotations(case: Case) -> dict[str, str]:
    return {
        "summary": case.summary,
        "description": case.description,
        "runbook_url": f"https://example.org/opsvisor/runbooks/{case.alert}",
        "dashboard_url": _dashboard(BY_NAME[case.alert], case),
    }


def _dashboard(alert: Alert, case: Case) -> str:
    names = {
        Dashboard.OVERVIEW: (),
        Dashboard.HOST: ("job", "instance"),
        Dashboard.SUPERVISOR: ("job", "instance"),
        Dashboard.PROCESS: ("job", "instance", "group", "process"),
        Dashboard.LOGS: ("job", "instance", "group", "process"),
    }[alert.dashboard]
    query = "&".join(f"var-{name}={quote(case.labels[name], safe='')}" for name in names)
    page = f"https://grafana.example.org/d/opsvisor-{alert.dashboard.name.lower()}"
    return f"{page}?{query}" if query else page
