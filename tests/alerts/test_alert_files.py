"""The files of rules: valid, fresh, the same in every form, and taken by the tools for them."""

import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Any

import _gojsonnet as jsonnet  # type: ignore[import-not-found]  # a compiled module, no stubs
import pytest
import yaml
from rule_tests import tool

from alerts.generate import durations, thresholds
from alerts.generate.files import files_of
from alerts.generate.inhibition import MUTINGS
from alerts.generate.model import Group, Severity
from alerts.generate.rules import ALERTS

ROOT = Path(__file__).parent.parent.parent
SHIPPED = ROOT / "alerts"
DASHBOARDS = ROOT / "grafana/dashboards"


def run(*command: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """One of the tools, to its end."""
    return subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=ROOT,
    )


def generate(*options: str | Path) -> subprocess.CompletedProcess[str]:
    """The generator, as people run it."""
    return run(sys.executable, "-m", "alerts.generate", *options)


def loaded(path: Path) -> Any:
    """A file of YAML or JSON."""
    return yaml.safe_load(path.read_text("utf-8"))


def rules_in(groups: Iterable[Any]) -> list[Any]:
    """All rules of some groups."""
    return [rule for group in groups for rule in group["rules"]]


def test_promtool_finds_nothing_to_say() -> None:
    """With every lint it has."""
    files = sorted(SHIPPED.glob("opsvisor.*.yml"))
    ran = run(tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *files)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count("SUCCESS") == len(files) == 3


def test_shipped_files_are_up_to_date() -> None:
    """`make docs` would change nothing."""
    ran = generate("--check")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_check_names_what_is_out_of_date(tmp_path: Path) -> None:
    """And writes nothing."""
    generate("--out", tmp_path)
    changed = tmp_path / "opsvisor.alerts.yml"
    changed.write_text("groups: []\n")
    ran = generate("--out", tmp_path, "--check")
    assert ran.returncode == 1
    assert ran.stderr == f"{changed} is out of date: run make docs\n"
    assert changed.read_text() == "groups: []\n"


def test_yaml_and_json_say_the_same() -> None:
    """The YAML is written by hand: a library must read from it what was meant."""
    for name in ("rules", "alerts"):
        with_yaml = loaded(SHIPPED / f"opsvisor.{name}.yml")
        with_json = json.loads((SHIPPED / f"opsvisor.{name}.json").read_text("utf-8"))
        assert with_yaml == with_json


def test_odd_texts_survive_the_yaml() -> None:
    """A selector and addresses with everything that YAML could stumble over."""
    tables = loaded_defaults()
    tables["general"] = {
        "selector": "job=~\"a|b: #c\",env!='x\\\\y'",
        "runbook_base": "https://example.org/it's#/%7B: &a",
        "dashboard_base": "http://[::1]:3000/g?x=a: b",
    }
    files = files_of(thresholds.from_tables(tables))
    assert yaml.safe_load(files["opsvisor.alerts.yml"]) == json.loads(
        files["opsvisor.alerts.json"]
    )
    assert yaml.safe_load(files["opsvisor.rules.yml"]) == json.loads(files["opsvisor.rules.json"])


def test_operator_gets_the_very_same_groups() -> None:
    """In a PrometheusRule."""
    resource = loaded(SHIPPED / "prometheusrule.yaml")
    assert resource["apiVersion"] == "monitoring.coreos.com/v1"
    assert resource["kind"] == "PrometheusRule"
    groups = [
        *loaded(SHIPPED / "opsvisor.rules.yml")["groups"],
        *loaded(SHIPPED / "opsvisor.alerts.yml")["groups"],
    ]
    assert resource["spec"] == {"groups": groups}


def test_old_prometheus_gets_the_same_without_keeping() -> None:
    """`keep_firing_for` is all that differs."""
    new = loaded(SHIPPED / "opsvisor.alerts.yml")
    assert any("keep_firing_for" in rule for rule in rules_in(new["groups"]))
    for rule in rules_in(new["groups"]):
        rule.pop("keep_firing_for", None)
    assert loaded(SHIPPED / "opsvisor.alerts-before-2.42.yml") == new


# -- jsonnet -------------------------------------------------------------------------------------

MIXIN = """\
(import 'alerts/mixin.libsonnet') {{
  _config+:: {config},
  shown: {{
    alerts: $.prometheusAlerts,
    rules: $.prometheusRules,
    dashboards: std.objectFields($.grafanaDashboards),
    overview: $.grafanaDashboards['opsvisor-overview.json'].uid,
  }},
}}.shown
"""


def mixin(config: str) -> Any:
    """What jsonnet makes of the mixin."""
    snippet = MIXIN.format(config=config)
    return json.loads(jsonnet.evaluate_snippet("here", snippet, jpathdir=[str(ROOT)]))


def test_mixin_gives_the_shipped_rules() -> None:
    """And all dashboards, if nothing is configured."""
    shown = mixin("{}")
    assert shown["alerts"] == loaded(SHIPPED / "opsvisor.alerts.yml")
    assert shown["rules"] == loaded(SHIPPED / "opsvisor.rules.yml")
    assert shown["overview"] == "opsvisor-overview"
    assert shown["dashboards"] == sorted(path.name for path in DASHBOARDS.glob("*.json"))


def test_mixin_and_generator_configure_alike(tmp_path: Path) -> None:
    """Another selector and other addresses, by jsonnet and by a file of thresholds."""
    own = tmp_path / "own.toml"
    own.write_text(
        "[general]\n"
        'selector = \'job="supervisors",cluster="eu"\'\n'
        'runbook_base = "https://wiki.example.org/r/"\n'
        'dashboard_base = "https://charts.example.org"\n'
    )
    generated = generate("--thresholds", own, "--out", tmp_path / "rules")
    assert generated.returncode == 0, generated.stderr
    shown = mixin(
        '{ selector: \'job="supervisors",cluster="eu"\','
        " runbookBase: 'https://wiki.example.org/r/',"
        " dashboardBase: 'https://charts.example.org' }"
    )
    assert shown["alerts"] == loaded(tmp_path / "rules/opsvisor.alerts.yml")
    assert shown["rules"] == loaded(tmp_path / "rules/opsvisor.rules.yml")
    text = json.dumps(shown)
    assert 'job=\\"opsvisor\\"' not in json.dumps(shown["alerts"])
    assert "https://wiki.example.org/r/OpsvisorProcessFatal" in text
    assert "https://charts.example.org/d/opsvisor-process?" in text


def test_jsonnet_bundler_finds_the_mixin() -> None:
    """It wants a file of its own beside it."""
    bundle = json.loads((SHIPPED / "jsonnetfile.json").read_text("utf-8"))
    assert bundle == {"version": 1, "dependencies": [], "legacyImports": False}


# -- Alertmanager --------------------------------------------------------------------------------


def test_alertmanager_takes_the_example() -> None:
    """By its own tool."""
    ran = run(tool("amtool"), "check-config", SHIPPED / "alertmanager.example.yml")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{len(MUTINGS)} inhibit rules" in ran.stdout


@pytest.mark.parametrize(
    ("severity", "receiver"), [("critical", "pager"), ("warning", "tickets"), ("info", "notes")]
)
def test_alertmanager_routes_by_severity(severity: str, receiver: str) -> None:
    """Critical wakes somebody, nothing else does."""
    ran = run(
        tool("amtool"),
        "config",
        "routes",
        "test",
        f"--config.file={SHIPPED / 'alertmanager.example.yml'}",
        f"severity={severity}",
    )
    assert ran.stdout.strip() == receiver, ran.stderr


def test_no_alert_mutes_a_graver_one() -> None:
    """A ticket must not swallow a page; and nothing mutes itself."""
    numbers = thresholds.read()
    for muting in MUTINGS:
        assert not set(muting.sources) & set(muting.targets)
        for target in muting.targets:
            gravity = numbers.severities[target].gravity
            if not muting.severities or numbers.severities[target] in muting.severities:
                assert all(numbers.severities[s].gravity >= gravity for s in muting.sources)


def _muted_by(source: str) -> set[str]:
    return {name for muting in MUTINGS if source in muting.sources for name in muting.targets}


def test_nothing_mutes_what_mutes_it() -> None:
    """Two alerts that keep each other quiet would both be lost."""
    for alert in ALERTS:
        reached, ahead = set[str](), {alert.name}
        while ahead:
            ahead = set().union(*(_muted_by(name) for name in ahead)) - reached
            reached |= ahead
        assert alert.name not in reached


@pytest.mark.parametrize("trouble", ["OpsvisorRestartStorm", "OpsvisorCrashLooping"])
def test_causes_are_told_in_a_storm(trouble: str) -> None:
    """Only what restarts lead to is kept quiet, not what may have led to them."""
    assert not _muted_by(trouble) & {
        "OpsvisorProcessOOMKilled",
        "OpsvisorProcessMemoryNearLimit",
        "OpsvisorProcessMemoryFillingUp",
        "OpsvisorProcessFileDescriptorsExhausting",
        "OpsvisorProcessLogWriteErrors",
        "OpsvisorProcessLogDropping",
        "OpsvisorProcessUnkillable",
        "OpsvisorProcessCPUThrottling",
    }


def test_a_process_that_is_down_is_one_page() -> None:
    """Of the critical alerts that one process can have at once, one is told."""
    critical = {
        alert.name
        for alert in ALERTS
        if alert.group is Group.PROCESS
        and thresholds.read().severities[alert.name] is Severity.CRITICAL
    }
    assert len(critical) == 3
    for one, other in combinations(critical, 2):
        assert other in _muted_by(one) or one in _muted_by(other), (one, other)


def test_muted_alerts_have_what_must_be_equal() -> None:
    """A label that both lack is equal as well: then one process would mute all others."""
    groups = {alert.name: alert.group for alert in ALERTS}
    for muting in MUTINGS:
        for name in (*muting.sources, *muting.targets):
            assert set(muting.equal) <= set(groups[name].value)


def test_only_process_alerts_are_called_so() -> None:
    """The Alertmanager example counts on it where it mutes all of them."""
    for alert in ALERTS:
        assert alert.name.startswith("OpsvisorProcess") == (alert.group is Group.PROCESS)


# -- fast rules ----------------------------------------------------------------------------------


def test_fast_rules_are_the_same_in_less_time(tmp_path: Path) -> None:
    """All windows and times a twentieth, what is measured as it was, and promtool takes them."""
    ran = generate("--fast", "--out", tmp_path)
    assert ran.returncode == 0, ran.stderr
    files = [tmp_path / "opsvisor.rules.yml", tmp_path / "opsvisor.alerts.yml"]
    checked = run(tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *files)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    slow = rules_in(loaded(SHIPPED / "opsvisor.alerts.yml")["groups"])
    fast = rules_in(loaded(files[1])["groups"])
    for usual, quick in zip(slow, fast, strict=True):
        assert usual["alert"] == quick["alert"]
        for key in ("for", "keep_firing_for"):
            assert milliseconds(usual.get(key)) == 20 * milliseconds(quick.get(key))
    by_name = {rule["alert"]: rule["expr"] for rule in fast}
    assert "[6s]" in by_name["OpsvisorProcessFatal"]
    assert "> 30" in by_name["OpsvisorProcessBackoffStuck"]
    assert "increase30s" in by_name["OpsvisorProcessRestartingOften"]
    assert loaded(tmp_path / "alertmanager.example.yml")["route"]["group_interval"] == "15s"


def test_other_divisors(tmp_path: Path) -> None:
    """`--fast 60` makes minutes of hours."""
    assert generate("--fast", "60", "--out", tmp_path).returncode == 0
    assert "[6m:10s]" in (tmp_path / "opsvisor.alerts.yml").read_text()


def milliseconds(time: str | None) -> int:
    """Nothing is no time at all."""
    found = durations.parse(time or "0s")
    assert found is not None
    return found


def loaded_defaults() -> dict[str, Any]:
    """The tables of the shipped file."""
    return tomllib.loads(thresholds.DEFAULTS.read_text("utf-8"))


def test_tools_are_there() -> None:
    """Nothing here is skipped where they are missing."""
    assert shutil.which("promtool")
    assert shutil.which("amtool")
