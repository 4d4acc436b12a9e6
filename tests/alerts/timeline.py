"""Series over time and what an alert should make of them, in the words of promtool's rule tests.

A sample every 15 seconds unless a case says otherwise: what Prometheus does by default here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from alerts.generate import durations

STEP = "15s"
STALE = "stale"  # what Prometheus notes down for every series of a target that did not answer
NOTHING = "_"  # no such series yet

OF_SUPERVISOR = {"job": "opsvisor", "instance": "shop-1:9001"}
OF_PROCESS = {**OF_SUPERVISOR, "group": "shop", "process": "web-0"}


class Shows(Enum):
    """What a case is there to show; each alert has at least one of each that applies to it."""

    FIRES = "fires, and not before its time"
    NEAR_MISS = "stays quiet when it is nearly so"
    RESOLVES = "ends when it is over, and not before"
    MISSED_SCRAPE = "is not disturbed by a failed scrape"
    LATE = "copes with series that begin late"
    RESET = "copes with counters that begin anew"


@dataclass(frozen=True, kw_only=True)
class Case:
    """Series, and at which times the alert fires (True) or not.

    `labels` are those of the firing alert, without its name and severity. Those that show FIRES
    say the texts as well, which have the values of the last time at which it fires.
    """

    alert: str
    shows: Shows
    claim: str
    series: tuple[dict[str, str], ...]
    fires: Mapping[str, bool]
    labels: Mapping[str, str] = field(default_factory=lambda: OF_PROCESS)
    step: str = STEP
    summary: str = ""
    description: str = ""

    def beside(self, other: "Case", label: str) -> "Case":
        """The same, with the series of another case that differ in this label, and stay quiet."""
        mine = f'{label}="{OF_PROCESS[label]}"'
        theirs = f'{label}="{OF_PROCESS[label]}-too"'
        neighbours = tuple(
            {**one, "series": one["series"].replace(mine, theirs)} for one in other.series
        )
        return replace(
            self,
            claim=f"{self.claim}, beside another {label}: {other.claim}",
            series=self.series + neighbours,
        )

    def labelled(self, **labels: str) -> "Case":
        """The same, of a target with these labels."""
        inside = "".join(f',{name}="{value}"}}' for name, value in labels.items())
        return replace(
            self,
            series=tuple(
                {**one, "series": one["series"].removesuffix("}") + inside} for one in self.series
            ),
            labels={**self.labels, **labels},
        )

    def as_test(self, severity: str, *, annotations: Mapping[str, str] | None = None) -> Any:
        """As promtool reads it. With `annotations` only the last time at which it fires."""
        expected: dict[str, Any] = {"exp_labels": {**self.labels, "severity": severity}}
        fires = self.fires
        if annotations is not None:
            expected["exp_annotations"] = dict(annotations)
            fires = {at: True for at, firing in self.fires.items() if firing}
        return {
            "name": f"{self.alert}: {self.claim}",
            "interval": self.step,
            "input_series": list(self.series),
            "alert_rule_test": [
                {
                    "eval_time": at,
                    "alertname": self.alert,
                    "exp_alerts": [expected] if firing else [],
                }
                for at, firing in fires.items()
            ],
        }


def hold(value: float | str, length: str, step: str = STEP) -> str:
    """This value for so long: samples from now on, up to but without the end."""
    count = _samples(length, step)
    if value in (STALE, NOTHING):
        return " ".join([str(value)] * count)
    return f"{value}x{count - 1}"


def rise(start: float, by: float, length: str, step: str = STEP) -> str:
    """A value that rises with each sample, for so long."""
    return f"{start}+{by}x{_samples(length, step) - 1}"


def once_in(every: str, times: int, *, start: int = 0, step: str = STEP) -> str:
    """A counter that rises by one at the end of each so long stretch."""
    return " ".join(hold(start + number, every, step) for number in range(times + 1))


def of_process(metric: str, *values: str, **labels: str) -> dict[str, str]:
    """A series about the process."""
    return _series(metric, {**OF_PROCESS, **labels}, values)


def of_supervisor(metric: str, *values: str, **labels: str) -> dict[str, str]:
    """A series about the daemon."""
    return _series(metric, {**OF_SUPERVISOR, **labels}, values)


def _series(metric: str, labels: Mapping[str, str], values: tuple[str, ...]) -> dict[str, str]:
    inside = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return {"series": f"{metric}{{{inside}}}", "values": " ".join(values)}


def _samples(length: str, step: str) -> int:
    whole, one = durations.parse(length), durations.parse(step)
    assert whole, length
    assert one, step
    assert whole % one == 0, (length, step)
    return whole // one
