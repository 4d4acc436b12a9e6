"""Small dashboards to be drawn: a panel of every kind, and panels with a flaw each."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Panel = dict[str, Any]

SAMPLES = 'prometheus_tsdb_head_series{job=~"$job"}'
REQUESTS = "prometheus_http_requests_total"  # many series, with long labels
LATENCY = "sum by (le) (increase(prometheus_http_request_duration_seconds_bucket[$__range]))"


def target(expr: str, **more: object) -> Panel:
    """One query, of which Grafana names the first A."""
    return {"refId": "A", "expr": expr, "legendFormat": "__auto", **more}


def panel(kind: str, expr: str, *, title: str = "Title", **more: Any) -> Panel:
    """A panel with one query, wide enough for what it shows."""
    return {
        "type": kind,
        "title": title,
        "targets": [target(expr)],
        "fieldConfig": {"defaults": {}, "overrides": []},
        "gridPos": {"w": 12, "h": 8},
        **more,
    }


def table(expr: str, **more: Any) -> Panel:
    """A table of one instant query."""
    return panel("table", expr, targets=[target(expr, format="table", instant=True)], **more)


EVERY_KIND: Sequence[Panel] = (
    panel("stat", f"sum(rate({REQUESTS}[$__rate_interval]))"),
    panel("timeseries", f"sum by (code) (increase({REQUESTS}[$__range]))"),
    panel("bargauge", f"topk(3, {SAMPLES})"),
    panel("heatmap", LATENCY, targets=[target(LATENCY, format="heatmap")]),
    panel(
        "state-timeline",
        'up{job=~"$job"}',
        fieldConfig={
            "defaults": {
                "mappings": [{"type": "value", "options": {"1": {"text": "up", "color": "green"}}}]
            },
            "overrides": [],
        },
    ),
    table(
        f"sum by (job, instance) ({SAMPLES})",
        transformations=[
            {"id": "merge", "options": {}},
            {
                "id": "organize",
                "options": {"excludeByName": {"Time": True}, "renameByName": {"Value": "Series"}},
            },
        ],
        options={"sortBy": [{"displayName": "Series", "desc": True}]},
    ),
)


def write(directory: Path, panels: Sequence[Panel], *, name: str = "sample.json") -> str:
    """Write a dashboard with these panels, two in a row, and a variable. Its file name."""
    placed = [
        one
        | {"id": number, "gridPos": {"x": number % 2 * 12, "y": number // 2 * 8} | one["gridPos"]}
        for number, one in enumerate(panels)
    ]
    directory.mkdir(exist_ok=True)
    dashboard = {
        "uid": name,
        "title": "Sample",
        "templating": {
            "list": [
                {
                    "type": "query",
                    "name": "job",
                    "query": "label_values(up, job)",
                    "multi": True,
                    "includeAll": True,
                    "allValue": ".+",
                }
            ]
        },
        "panels": placed,
    }
    (directory / name).write_text(json.dumps(dashboard))
    return name
