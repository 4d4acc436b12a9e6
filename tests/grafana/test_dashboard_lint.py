"""The rules of grafana/dashboard-linter hold for every dashboard, and each can be broken."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from drawn import (
    NAMES,
    Dashboard,
    label_values,
    load,
    load_all,
    panels_of,
    queries_of,
    query_variables_of,
)
from lint import RULES
from promql import selectors


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rule", RULES)
def test_rule_holds(rule: str, name: str) -> None:
    """No dashboard is excluded from any rule."""
    assert list(RULES[rule](load(name))) == []


def _variable(name: str, **changes: object) -> Callable[[Dashboard], None]:
    def change(dashboard: Dashboard) -> None:
        variable = next(v for v in dashboard["templating"]["list"] if v["name"] == name)
        variable.update(changes)

    return change


def _panel(**changes: object) -> Callable[[Dashboard], None]:
    return lambda dashboard: next(panels_of(dashboard)).update(changes)


def _target(**changes: object) -> Callable[[Dashboard], None]:
    return lambda dashboard: next(panels_of(dashboard))["targets"][0].update(changes)


def _unit(dashboard: Dashboard) -> None:
    next(panels_of(dashboard))["fieldConfig"]["defaults"]["unit"] = "furlongs"


_JOB_ONLY = '{job=~"$job"}'
_BOTH = '{job=~"$job",instance=~"$instance"}'
_OTHERS: dict[str, object] = {"type": "prometheus", "uid": "some-server"}
_BREAKS: dict[str, Callable[[Dashboard], None]] = {
    "template-datasource-rule": _variable("datasource", label="Prometheus"),
    "template-job-rule": _variable("job", multi=False),
    "template-instance-rule": _variable("instance", allValue=".*"),
    "template-label-promql-rule": _variable("job", query="values(opsvisor_build_info{}, job)"),
    "template-on-time-change-reload-rule": _variable("instance", refresh=1),
    "panel-datasource-rule": _panel(datasource=_OTHERS),
    "panel-title-description-rule": _panel(description=""),
    "panel-units-rule": _unit,
    "panel-no-targets-rule": _panel(targets=[]),
    "target-logql-rule": _target(datasource={"type": "loki", "uid": "$datasource"}),
    "target-logql-auto-rule": _target(expr=f"rate(opsvisor_log_bytes_total{_BOTH}[$__auto])"),
    "target-rate-interval-rule": _target(expr=f"rate(opsvisor_log_bytes_total{_BOTH}[5m])"),
    "target-job-rule": _target(expr='up{instance=~"$instance"}'),
    "target-instance-rule": _target(expr=f"up{_JOB_ONLY}"),
    "target-counter-agg-rule": _target(expr=f"sum(opsvisor_log_bytes_total{_BOTH})"),
    "uneditable-dashboard": lambda dashboard: dashboard.update(editable=True),
}


@pytest.mark.parametrize("rule", RULES)
def test_rule_can_be_broken(rule: str) -> None:
    """A rule that finds nothing in anything would prove nothing."""
    dashboard = load("opsvisor-overview")
    _BREAKS[rule](dashboard)
    assert list(RULES[rule](dashboard)) != []


def _promtool(rules: list[dict[str, str]], directory: Path) -> subprocess.CompletedProcess[str]:
    file = directory / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    return subprocess.run(
        ["promtool", "check", "rules", "--lint=none", file],
        capture_output=True,
        text=True,
        check=False,
    )


def _written_out(query: str) -> str:
    return query.replace("$__rate_interval", "1m").replace("$__range", "1h")


def test_prometheus_can_read_all_queries(tmp_path: Path) -> None:
    """target-promql-rule. Those of variables and annotations count as well."""
    rules = [
        {"record": f"query:{number}", "expr": _written_out(query)}
        for number, (_, query) in enumerate(
            one for dashboard in load_all().values() for one in queries_of(dashboard)
        )
    ]
    checked = _promtool(rules, tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"SUCCESS: {len(rules)} rules found" in checked.stdout

    broken = _promtool([*rules, {"record": "query:bad", "expr": "sum by (up{}"}], tmp_path)
    assert broken.returncode == 1


def test_variables_are_chosen_among_what_is_left() -> None:
    """Each asks for those before it only: first the job, then its instances, then their groups."""
    for name, dashboard in load_all().items():
        before: list[str] = []
        for variable in query_variables_of(dashboard):
            asked = {matcher.value for matcher in selectors(label_values(variable)[0])[0].matchers}
            assert asked == {f"${one}" for one in before}, f"{name}: {variable['name']}"
            before.append(variable["name"])
        assert before == ["job", "instance", "group", "process"][: len(before)], name
