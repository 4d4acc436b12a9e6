"""What an alert and a recording rule are, before and after their numbers are known."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum


class Severity(StrEnum):
    """Who is told: CRITICAL wakes somebody, WARNING is looked at in the morning."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"

    @property
    def gravity(self) -> int:
        """More is worse."""
        return {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}[self]


class Group(Enum):
    """What an alert is about. The value is the labels that say which one."""

    PROCESS = ("job", "instance", "group", "process")
    SUPERVISOR = ("job", "instance")

    @property
    def title(self) -> str:
        """The name of the rule group."""
        return f"opsvisor.{self.name.lower()}"


class Dashboard(Enum):
    """Where `dashboard_url` leads: uid, and the labels that become variables there."""

    OVERVIEW = ("opsvisor-overview", ())
    HOST = ("opsvisor-host", ("job", "instance"))
    PROCESS = ("opsvisor-process", ("job", "instance", "group", "process"))
    SUPERVISOR = ("opsvisor-supervisor", ("job", "instance"))
    LOGS = ("opsvisor-logs", ("job", "instance", "group", "process"))


class Kind(Enum):
    """What a parameter of a rule may be; the value says it in an error."""

    WINDOW = "a length of time such as '5m'"  # becomes shorter in fast rules
    TOLERANCE = "a length of time such as '30s'"  # compared with something measured: stays
    COUNT = "a whole number, 0 or more"
    RATIO = "a number between 0 and 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert. `condition`, `expr` and `description` hold `@names` of parameters.

    `takes` are the parameters of its own, beside `severity`, `for` and `keep_firing_for`, which
    all have, and those that alerts share. `condition` says the expression in words, for the
    reference.
    """

    name: str
    group: Group
    condition: str
    expr: str
    summary: str
    description: str
    dashboard: Dashboard
    takes: Mapping[str, Kind] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One recording rule, `level:metric:operation`; `purpose` says who needs it."""

    record: str
    expr: str
    purpose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """An alert as Prometheus takes it. `hold` and `keep` are empty where there is none."""

    name: str
    expr: str
    hold: str
    keep: str
    severity: Severity
    annotations: Mapping[str, str]

    @property
    def times(self) -> dict[str, str]:
        """Those it has, by the names that Prometheus gives them."""
        both = {"for": self.hold, "keep_firing_for": self.keep}
        return {name: time for name, time in both.items() if time}

    def without_keep(self) -> "AlertRule":
        """The same for a Prometheus that knows no `keep_firing_for`."""
        return replace(self, keep="")

    def as_tree(self) -> dict[str, object]:
        """As it stands in a file of rules."""
        return {
            "alert": self.name,
            "expr": self.expr,
            **self.times,
            "labels": {"severity": self.severity.value},
            "annotations": dict(self.annotations),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRule:
    """A recording rule as Prometheus takes it."""

    record: str
    expr: str

    def as_tree(self) -> dict[str, object]:
        """As it stands in a file of rules."""
        return {"record": self.record, "expr": self.expr}


@dataclass(frozen=True, slots=True, kw_only=True)
class Muting:
    """While one of `sources` fires, `targets` with the same `equal` labels are kept quiet.

    `severities` limits the targets; empty means all of them.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    equal: tuple[str, ...]
    severities: tuple[Severity, ...] = ()
