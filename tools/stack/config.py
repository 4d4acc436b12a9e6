"""The configurations of Prometheus and Alertmanager, as text.

They are written as JSON, all of which is YAML: there is nothing to quote wrongly.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

InhibitRule = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is scraped. `labels` may name an `instance` that reads better than the address."""

    address: str
    job: str = "opsvisor"
    labels: Mapping[str, str] = field(default_factory=dict)
    path: str = "/metrics"
    params: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusSettings:
    """What Prometheus is to do. Intervals as it writes them, `"15s"`; they hold for rules too."""

    targets: Sequence[Target] = ()
    rules: Sequence[Path] = ()
    alertmanager: str = ""  # host:port; empty sends alerts to nobody
    interval: str = "1s"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertmanagerSettings:
    """What Alertmanager is to do: tell `webhook` (a URL) of all that is not inhibited."""

    webhook: str = ""  # empty tells nobody
    inhibit_rules: Sequence[InhibitRule] = ()
    group_by: Sequence[str] = ("alertname", "job", "instance")
    group_wait: str = "1s"
    group_interval: str = "1s"


def prometheus_config(settings: PrometheusSettings) -> str:
    """The text of prometheus.yml."""
    document: dict[str, object] = {
        "global": {
            "scrape_interval": settings.interval,
            "scrape_timeout": settings.interval,
            "evaluation_interval": settings.interval,
        },
        "rule_files": [str(file) for file in settings.rules],
        "scrape_configs": _scrape_configs(settings.targets),
    }
    if settings.alertmanager:
        document["alerting"] = {
            "alertmanagers": [{"static_configs": [{"targets": [settings.alertmanager]}]}]
        }
    return _text(document)


def alertmanager_config(settings: AlertmanagerSettings) -> str:
    """The text of alertmanager.yml."""
    receiver: dict[str, object] = {"name": "receiver"}
    if settings.webhook:
        receiver["webhook_configs"] = [
            # As many as there are: the receiver looks for single alerts in them.
            {"url": settings.webhook, "send_resolved": True, "max_alerts": 0}
        ]
    return _text(
        {
            "route": {
                "receiver": "receiver",
                "group_by": list(settings.group_by),
                "group_wait": settings.group_wait,
                "group_interval": settings.group_interval,
                "repeat_interval": "1h",
            },
            "receivers": [receiver],
            "inhibit_rules": list(settings.inhibit_rules),
        }
    )


def inhibit_rules(alertmanager_yml: str) -> Sequence[InhibitRule]:
    """Which alerts keep others quiet, by the text of an alertmanager.yml."""
    document = yaml.safe_load(alertmanager_yml)
    found: Sequence[InhibitRule] = document["inhibit_rules"]
    return found


def _scrape_configs(targets: Sequence[Target]) -> list[dict[str, object]]:
    """One for each way to scrape: Prometheus wants the jobs of a configuration to differ.

    Where targets of one job are scraped in several ways, all but the first get the job's name
    from a label.
    """
    found: list[dict[str, object]] = []
    for target in targets:
        labels = {"job": target.job, **target.labels}
        found.append(
            {
                "job_name": f"{target.job} {len(found)}" if found else target.job,
                "metrics_path": target.path,
                "params": {name: list(values) for name, values in target.params.items()},
                "static_configs": [{"targets": [target.address], "labels": labels}],
            }
        )
    return found


def _text(document: Mapping[str, object]) -> str:
    return json.dumps(document, indent=2) + "\n"
