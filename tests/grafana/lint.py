"""The rules of grafana/dashboard-linter, put in Python: the linter itself is a Go program.

Each rule gives what it finds wrong. None is excluded for any dashboard. Where the linter has a
list of the kinds of panels it looks at, all kinds are looked at here.
"""

from collections.abc import Callable, Iterator

from drawn import Dashboard, label_values, panels_of, queries_of, query_variables_of
from promql import Selector, selectors

Rule = Callable[[Dashboard], Iterator[str]]

# Of the units that the linter takes, those in use here.
_UNITS = {"none", "short", "percentunit", "bytes", "Bps", "s", "dtdurations", "ops", "reqps"}
_USED_DATASOURCES = ("$datasource", "${datasource}")
_RATES = ("rate", "irate")


def template_datasource(dashboard: Dashboard) -> Iterator[str]:
    """There is one choice of data source, of the name and label that everybody uses."""
    found = [v for v in dashboard["templating"]["list"] if v["type"] == "datasource"]
    if [(v["name"], v["label"], v["query"]) for v in found] != [
        ("datasource", "Data source", "prometheus")
    ]:
        yield f"data sources to choose: {found}"


def template_job(dashboard: Dashboard) -> Iterator[str]:
    """The job can be chosen."""
    yield from _template(dashboard, "job")


def template_instance(dashboard: Dashboard) -> Iterator[str]:
    """The instance can be chosen."""
    yield from _template(dashboard, "instance")


def _template(dashboard: Dashboard, name: str) -> Iterator[str]:
    found = [v for v in dashboard["templating"]["list"] if v["name"] == name]
    if len(found) != 1:
        yield f"{len(found)} variables named {name}"
        return
    variable = found[0]
    wanted = {"type": "query", "label": name.title(), "multi": True, "allValue": ".+"}
    for key, value in wanted.items():
        if variable.get(key) != value:
            yield f"variable {name}: {key} is {variable.get(key)!r}"
    if variable["datasource"]["uid"] not in _USED_DATASOURCES:
        yield f"variable {name}: {variable['datasource']}"


def template_label_promql(dashboard: Dashboard) -> Iterator[str]:
    """Variables ask for the values of a label, with a selector that can be read."""
    for variable in query_variables_of(dashboard):
        try:
            selector, _ = label_values(variable)
            if len(selectors(selector)) != 1:
                yield f"variable {variable['name']}: {selector}"
        except AssertionError:
            yield f"variable {variable['name']}: {variable['query']}"


def template_on_time_change_reload(dashboard: Dashboard) -> Iterator[str]:
    """Variables are asked for again when another time is chosen."""
    for variable in query_variables_of(dashboard):
        if variable["refresh"] != 2:
            yield f"variable {variable['name']}: refresh is {variable['refresh']}"


def panel_datasource(dashboard: Dashboard) -> Iterator[str]:
    """Panels, their queries and annotations use the chosen data source."""
    for panel in panels_of(dashboard):
        for used in (panel, *panel["targets"]):
            if used["datasource"]["uid"] not in _USED_DATASOURCES:
                yield f"{panel['title']}: {used['datasource']}"
    for annotation in dashboard["annotations"]["list"]:
        if annotation["datasource"]["uid"] not in _USED_DATASOURCES:
            yield f"annotation {annotation['name']}: {annotation['datasource']}"


def panel_title_description(dashboard: Dashboard) -> Iterator[str]:
    """Panels have a title and a description."""
    for panel in panels_of(dashboard):
        if not panel.get("title") or not panel.get("description"):
            yield f"panel {panel['id']}: {panel.get('title')!r}, {panel.get('description')!r}"


def panel_units(dashboard: Dashboard) -> Iterator[str]:
    """Panels have a unit that Grafana knows, which is `none` only where texts are shown."""
    for panel in panels_of(dashboard):
        defaults = panel["fieldConfig"]["defaults"]
        unit = defaults.get("unit")
        if unit not in _UNITS or (unit == "none" and not defaults["mappings"]):
            yield f"{panel['title']}: {unit!r}"


def panel_no_targets(dashboard: Dashboard) -> Iterator[str]:
    """Panels ask something."""
    for panel in panels_of(dashboard):
        if not panel["targets"] or not all(target["expr"] for target in panel["targets"]):
            yield panel["title"]


def target_logql(dashboard: Dashboard) -> Iterator[str]:
    """Queries of Loki can be read. There are none, and this holds it to that."""
    for panel in panels_of(dashboard):
        for target in panel["targets"]:
            if target["datasource"]["type"] != "prometheus":
                yield f"{panel['title']}: a query of {target['datasource']['type']}"


def target_logql_auto(dashboard: Dashboard) -> Iterator[str]:
    """Ranges of Loki's are `$__auto`. Prometheus does not know that word."""
    for name, query in queries_of(dashboard):
        if "$__auto" in query:
            yield name


def target_rate_interval(dashboard: Dashboard) -> Iterator[str]:
    """Rates look back $__rate_interval, so that they fit any interval of scraping."""
    for name, selector in _selectors_of(dashboard):
        if selector.call in _RATES and selector.window != "$__rate_interval":
            yield f"{name}: {selector.call} over {selector.window}"
        if selector.window and not selector.call:
            yield f"{name}: a range that no function takes"


def target_job(dashboard: Dashboard) -> Iterator[str]:
    """Each selector is of the chosen job."""
    yield from _matched(dashboard, "job")


def target_instance(dashboard: Dashboard) -> Iterator[str]:
    """Each selector is of the chosen instance."""
    yield from _matched(dashboard, "instance")


def _matched(dashboard: Dashboard, label: str) -> Iterator[str]:
    for name, selector in _selectors_of(dashboard):
        if not name.startswith("variable") and not selector.says(label, "=~", f"${label}"):
            yield f"{name}: {selector.metric} of any {label}"


def target_counter_agg(dashboard: Dashboard) -> Iterator[str]:
    """Counters are never shown as they are."""
    for name, selector in _selectors_of(dashboard):
        if selector.metric.endswith("_total") and selector.call not in (*_RATES, "increase"):
            yield f"{name}: {selector.metric}"


def uneditable(dashboard: Dashboard) -> Iterator[str]:
    """Changes by hand would be lost, so they are not offered."""
    if dashboard["editable"]:
        yield "it can be edited"


def _selectors_of(dashboard: Dashboard) -> Iterator[tuple[str, Selector]]:
    for name, query in queries_of(dashboard):
        for selector in selectors(query):
            yield name, selector


# By the linter's names. What is missing, target-promql-rule, is left to Prometheus: it takes all
# queries at once.
RULES: dict[str, Rule] = {
    "template-datasource-rule": template_datasource,
    "template-job-rule": template_job,
    "template-instance-rule": template_instance,
    "template-label-promql-rule": template_label_promql,
    "template-on-time-change-reload-rule": template_on_time_change_reload,
    "panel-datasource-rule": panel_datasource,
    "panel-title-description-rule": panel_title_description,
    "panel-units-rule": panel_units,
    "panel-no-targets-rule": panel_no_targets,
    "target-logql-rule": target_logql,
    "target-logql-auto-rule": target_logql_auto,
    "target-rate-interval-rule": target_rate_interval,
    "target-job-rule": target_job,
    "target-instance-rule": target_instance,
    "target-counter-agg-rule": target_counter_agg,
    "uneditable-dashboard": uneditable,
}
