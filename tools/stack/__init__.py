"""A real Prometheus, a real Alertmanager and a receiver of its notifications, on this machine.

For the tests, for `make stack` and for the pictures of the dashboards. `Stack` starts the three
of them together; each also works alone. They bind ports of 127.0.0.1 that the kernel chooses
unless told which, keep everything in the directory given, and are ended by their own process id.

    settings = StackSettings(targets=[Target(address="127.0.0.1:9001")])
    with Stack.start(directory, settings) as stack:
        until(lambda: stack.prometheus.query("up == 1"))
"""

from tools.stack.alertmanager import Alertmanager, Held
from tools.stack.answers import Alert, Rule, Sample, ScrapeTarget, Series
from tools.stack.config import (
    AlertmanagerSettings,
    PrometheusSettings,
    Target,
    alertmanager_config,
    inhibit_rules,
    prometheus_config,
)
from tools.stack.errors import StackError
from tools.stack.prometheus import Prometheus
from tools.stack.receiver import Notice, Receiver
from tools.stack.scenario import Scenario, free_port
from tools.stack.stack import Stack, StackSettings
from tools.stack.waiting import until

__all__ = [
    "Alert",
    "Alertmanager",
    "AlertmanagerSettings",
    "Held",
    "Notice",
    "Prometheus",
    "PrometheusSettings",
    "Receiver",
    "Rule",
    "Sample",
    "Scenario",
    "ScrapeTarget",
    "Series",
    "Stack",
    "StackError",
    "StackSettings",
    "Target",
    "alertmanager_config",
    "free_port",
    "inhibit_rules",
    "prometheus_config",
    "until",
]
