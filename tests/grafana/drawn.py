"""The dashboards as they are committed, and ways to go through them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GRAFANA = Path(__file__).resolve().parent.parent.parent / "grafana"
FILES = sorted((GRAFANA / "dashboards").glob("*.json"))
NAMES = [path.stem for path in FILES]

Dashboard = dict[str, Any]
Panel = dict[str, Any]

_LABEL_VALUES = re.compile(r"label_values\((?P<selector>.+), (?P<label>\w+)\)")


def load(name: str) -> Dashboard:
    """One dashboard, by the name of its file."""
    loaded: Dashboard = json.loads((GRAFANA / "dashboards" / f"{name}.json").read_text())
    return loaded


def load_all() -> dict[str, Dashboard]:
    """All of them."""
    return {name: load(name) for name in NAMES}


def panels_of(dashboard: Dashboard) -> Iterator[Panel]:
    """All panels that show something, those in collapsed rows as well."""
    for panel in dashboard["panels"]:
        yield from (panel["panels"] if panel["type"] == "row" else [panel])


def everything_of(dashboard: Dashboard) -> Iterator[Panel]:
    """Rows as well."""
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", ())


def queries_of(dashboard: Dashboard) -> Iterator[tuple[str, str]]:
    """All that is asked of Prometheus, with a name for messages; of variables their selector."""
    for panel in panels_of(dashboard):
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for annotation in dashboard["annotations"]["list"]:
        yield f"annotation {annotation['name']}", annotation["expr"]
    for variable in query_variables_of(dashboard):
        yield f"variable {variable['name']}", label_values(variable)[0]


def query_variables_of(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    """The variables whose values Prometheus knows."""
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable


def label_values(variable: dict[str, Any]) -> tuple[str, str]:
    """The selector and the label of a variable's query."""
    match = _LABEL_VALUES.fullmatch(variable["query"])
    assert match is not None, variable["query"]
    return match["selector"], match["label"]


def strings_in(value: Any) -> Iterator[str]:
    """All texts in a piece of JSON, keys excepted."""
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from strings_in(item)
        case dict():
            for item in value.values():
                yield from strings_in(item)
        case _:
            pass  # numbers and such
