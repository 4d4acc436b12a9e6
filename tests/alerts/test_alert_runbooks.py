"""Alerts, runbooks, rule tests and pages are the same sets, and name only what exists."""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from rule_tests import CASES
from timeline import Shows

from alerts.generate import thresholds
from alerts.generate.files import alerts_of, recordings_of
from alerts.generate.model import AlertRule, RecordingRule
from alerts.generate.rules import ALERTS, RECORDINGS
from opsvisor.ctl.registry import COMMANDS
from opsvisor.telemetry.families import Kind
from opsvisor.telemetry.instruments import DAEMON_FAMILIES
from opsvisor.telemetry.processes import PROCESS_FAMILIES

ROOT = Path(__file__).parent.parent.parent
RUNBOOKS = sorted((ROOT / "alerts/runbooks").glob("*.md"))
NAMES = {alert.name for alert in ALERTS}
CHAPTERS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]

# What rules may use beside our own families: Prometheus makes the one, its client library the
# other, of which the endpoint tells always.
NOT_OURS = {"up", "process_start_time_seconds"}
FAMILIES = {family.name: family for family in (*PROCESS_FAMILIES, *DAEMON_FAMILIES)}
COMMAND = re.compile(r"opsvisorctl(?: -\w \S+)* ([a-z]+)")
SELECTED = re.compile(r"\b([a-z][a-z0-9_:]*)\{([^}]*)\}")


def test_sets_are_the_same() -> None:
    """Alert, runbook, rule test that fires it, one that nearly does, and both tables."""
    assert {page.stem for page in RUNBOOKS} == NAMES
    assert {case.alert for case in CASES if case.shows is Shows.FIRES} == NAMES
    assert {case.alert for case in CASES if case.shows is Shows.NEAR_MISS} == NAMES
    for page, link in (
        (ROOT / "docs/reference/alerts.md", r"^\| \[(\w+)\]\(\.\./\.\./alerts/runbooks/\1\.md\)"),
        (ROOT / "alerts/README.md", r"^\| \[(\w+)\]\(runbooks/\1\.md\)"),
    ):
        assert set(re.findall(link, page.read_text("utf-8"), re.MULTILINE)) == NAMES


def test_the_table_is_what_is_shipped() -> None:
    """27 alerts, each once, in the order of the table."""
    names = [rule.name for rule in every_rule() if isinstance(rule, AlertRule)]
    assert names == [alert.name for alert in ALERTS]
    assert len(set(names)) == len(names) == 27


# -- runbooks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_runbook_has_all_chapters(page: Path) -> None:
    """In the order in which somebody reads who was woken, and each with something in it."""
    text = page.read_text("utf-8")
    parts = re.split(r"^## (.*)$", text, flags=re.MULTILINE)
    chapters = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert text.startswith(f"# {page.stem}\n")
    assert list(chapters) == CHAPTERS
    assert min(len(chapter.split()) for chapter in chapters.values()) >= 10
    assert "opsvisorctl " in chapters["Diagnosis"]


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_runbook_names_commands_that_exist(page: Path) -> None:
    """Each word after opsvisorctl is a command of it."""
    assert unknown_commands([page.read_text("utf-8")]) == set()


def test_runbooks_find_the_process_with_ps() -> None:
    """By what opsvisor's programs have: a process group of their own, not a session."""
    with subprocess.Popen(["sleep", "1000"], process_group=0) as sleeper:
        try:
            commands = [
                line.strip().removeprefix("$ ")
                for page in RUNBOOKS
                for line in page.read_text("utf-8").splitlines()
                if line.startswith("    $ ps ")
            ]
            assert len(commands) > 1
            for command in commands:
                asked = command.replace("$(opsvisorctl pid shop:web-0)", str(sleeper.pid))
                said = subprocess.check_output(["sh", "-c", asked], text=True)
                assert str(sleeper.pid) in said.split(), command
        finally:
            sleeper.kill()


def test_descriptions_name_commands_that_exist() -> None:
    """And every one says what to run, except the one about Prometheus itself."""
    assert unknown_commands(alert.description for alert in ALERTS) == set()
    telling = {alert.name for alert in ALERTS if "\nRun there: opsvisorctl " in alert.description}
    assert telling == NAMES - {"OpsvisorAbsent"}


def test_unknown_commands_are_found() -> None:
    """The search itself can fail."""
    text = "run `opsvisorctl -c x explain web`, then opsvisorctl why web"
    assert unknown_commands([text]) == {"explain"}


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    """Nobody wants to meet a dead link at night."""
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


# -- metrics -------------------------------------------------------------------------------------


def test_rules_use_metrics_that_exist() -> None:
    """Families of the catalogue, recorded series, and two of others."""
    recorded = {rule.record for rule in thresholds.read().recording_rules()}
    used: set[str] = set()
    for rule in every_rule():
        names = {name for name, _ in SELECTED.findall(rule.expr)}
        assert names, rule
        used |= names
    assert {
        name for name in used - recorded - NOT_OURS if family_of(name) not in FAMILIES
    } == set()
    assert used >= NOT_OURS


def test_rules_match_labels_that_exist() -> None:
    """A matcher on a label that the family lacks would match nothing, or everything."""
    for rule in every_rule():
        for name, matchers in SELECTED.findall(rule.expr):
            if name.startswith("opsvisor_"):
                labels = set(re.findall(r"(\w+)(?:=~|!~|!=|=)", matchers)) - {"job"}
                assert labels <= set(FAMILIES[family_of(name)].labels), rule


def test_every_selector_is_there() -> None:
    """No rule looks at the series of somebody else: not one metric goes without."""
    for rule in every_rule():
        for _, matchers in SELECTED.findall(rule.expr):
            assert matchers.startswith('job="opsvisor"'), rule
        bare = re.findall(r"\b(opsvisor_\w+|process_\w+_seconds|up)\b(?![:{])", rule.expr)
        assert not [name for name in bare if f":{name}" not in rule.expr], rule


def test_recorded_names_say_level_metric_and_operation() -> None:
    """The convention of Prometheus."""
    for rule in RECORDINGS:
        assert re.fullmatch(r"[a-z_]+:opsvisor_[a-z_]+:[a-z_@]+", rule.record)


def every_rule() -> list[AlertRule | RecordingRule]:
    """All rules as shipped."""
    numbers = thresholds.read()
    return [
        rule
        for groups in (recordings_of(numbers), alerts_of(numbers))
        for some in groups.values()
        for rule in some
    ]


def family_of(series: str) -> str:
    """The name of its family: that of `_bucket` is the histogram."""
    base = series.removesuffix("_bucket")
    is_histogram = base in FAMILIES and FAMILIES[base].kind is Kind.HISTOGRAM
    return base if is_histogram else series


def unknown_commands(texts: Iterable[str]) -> set[str]:
    """Words after opsvisorctl that are no command of it."""
    return {word for text in texts for word in COMMAND.findall(text)} - COMMANDS.keys()
