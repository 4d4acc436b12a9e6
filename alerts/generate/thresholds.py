"""Reads the file of numbers, checks it against the table of rules, and fills the rules in."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import urlsplit

from alerts.generate import durations
from alerts.generate.model import (
    Alert,
    AlertRule,
    Group,
    Kind,
    RecordingRule,
    Severity,
)
from alerts.generate.rules import ALERTS, RECORDINGS, SHARED

DEFAULTS = Path(__file__).resolve().parent.parent / "thresholds.toml"

_OF_EACH = {"for": Kind.WINDOW, "keep_firing_for": Kind.WINDOW}
_TIMES = {
    "group_wait": Kind.WINDOW,
    "group_interval": Kind.WINDOW,
    "page_group_wait": Kind.WINDOW,
    "page_repeat_interval": Kind.WINDOW,
    "ticket_repeat_interval": Kind.WINDOW,
    "info_repeat_interval": Kind.WINDOW,
}
_URLS = ("page_url", "ticket_url", "info_url")
_GENERAL = ("selector", "runbook_base", "dashboard_base")
_LONG_TIMES = frozenset(_OF_EACH)  # these may be 0

Table = Mapping[str, Any]
Value = int | float


class ThresholdsError(Exception):
    """Everything that is wrong with a file of thresholds, a line for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class _Text(Template):
    """`@name`, since `$` and `{{` belong to Prometheus' own templates."""

    delimiter = "@"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """A file of numbers that suits the table. Times are milliseconds."""

    selector: str
    runbook_base: str
    dashboard_base: str
    shared: Mapping[str, Value]
    alerts: Mapping[str, Mapping[str, Value]]
    severities: Mapping[str, Severity]
    times: Mapping[str, Value]
    urls: Mapping[str, str]

    def alert_rules(self, group: Group) -> list[AlertRule]:
        """The alerts of a group that are not left out."""
        return [
            self._alert_rule(alert)
            for alert in ALERTS
            if alert.group is group and alert.name in self.alerts
        ]

    def recording_rules(self) -> list[RecordingRule]:
        """All recording rules."""
        return [
            RecordingRule(record=self.filled_in(rule.record), expr=self.filled_in(rule.expr))
            for rule in RECORDINGS
        ]

    def filled_in(self, text: str, alert: Alert | None = None) -> str:
        """The text with every `@name` replaced: its parameters, or only those that are shared."""
        kinds = dict(SHARED)
        values = dict(self.shared)
        if alert is not None:
            kinds.update(alert.takes)
            values.update(self.alerts[alert.name])
        names = {"selector": self.selector}
        for name, kind in kinds.items():
            value = values[name]
            if kind in (Kind.WINDOW, Kind.TOLERANCE):
                names[name] = durations.show(int(value))
                names[f"{name}_seconds"] = durations.seconds(int(value))
            else:
                names[name] = f"{value:g}"
                names[f"{name}_percent"] = f"{value * 100:g} %"
        return _Text(text).substitute(names)

    def _alert_rule(self, alert: Alert) -> AlertRule:
        values = self.alerts[alert.name]
        return AlertRule(
            name=alert.name,
            expr=self.filled_in(alert.expr, alert),
            hold=_unless_zero(values["for"]),
            keep=_unless_zero(values["keep_firing_for"]),
            severity=self.severities[alert.name],
            annotations={
                "summary": alert.summary,
                "description": self.filled_in(alert.description, alert),
                "runbook_url": f"{self.runbook_base}{alert.name}",
                "dashboard_url": self._dashboard_url(alert),
            },
        )

    def _dashboard_url(self, alert: Alert) -> str:
        uid, labels = alert.dashboard.value
        variables = "&".join(
            f"var-{label}={{{{ $labels.{label} | urlquery }}}}" for label in labels
        )
        return f"{self.dashboard_base}/d/{uid}" + (f"?{variables}" if variables else "")


def read(overlay: Path | None = None, *, faster: int = 1) -> Thresholds:
    """The defaults, with a file laid over them; all windows and times divided by `faster`.

    Raises ThresholdsError with everything that is wrong.
    """
    found = _load(DEFAULTS)
    if overlay is not None:
        found = _laid_over(found, _load(overlay))
    return from_tables(found, file=(overlay or DEFAULTS).name, faster=faster)


def from_tables(found: Table, *, file: str = DEFAULTS.name, faster: int = 1) -> Thresholds:
    """What the tables of a complete file say."""
    return _Reader(file, faster).thresholds(found)


def _load(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ThresholdsError([f"cannot read {path}: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise ThresholdsError([f"{path}: is not UTF-8"]) from None
    except tomllib.TOMLDecodeError as error:
        raise ThresholdsError([f"{path}: is not TOML: {error}"]) from None


def _laid_over(lower: Table, upper: Table) -> dict[str, Any]:
    """Tables are merged key by key, everything else is replaced."""
    merged = dict(lower)
    for key, value in upper.items():
        below = merged.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            merged[key] = _laid_over(below, value)
        else:
            merged[key] = value
    return merged


class _Reader:
    """Checks one file, and collects what is wrong with it."""

    def __init__(self, file: str, faster: int) -> None:
        self._file = file
        self._faster = faster
        self._problems: list[str] = []

    def thresholds(self, found: Table) -> Thresholds:
        """The thresholds, or ThresholdsError."""
        known = ("general", "shared", "alertmanager", "alerts")
        self._only(found, known, "")
        general = self._table(found, "general", "general")
        shared = self._table(found, "shared", "shared")
        manager = self._table(found, "alertmanager", "alertmanager")
        alerts = self._table(found, "alerts", "alerts")
        self._only(general, _GENERAL, "general.")
        self._only(shared, tuple(SHARED), "shared.")
        self._only(manager, (*_TIMES, *_URLS), "alertmanager.")
        self._only(alerts, tuple(alert.name for alert in ALERTS), "alerts.")
        texts = {key: self._text(general, key, f"general.{key}") for key in _GENERAL}
        self._check_selector(texts["selector"])
        for key in ("runbook_base", "dashboard_base"):
            self._check_url(texts[key], f"general.{key}")
        urls = {key: self._text(manager, key, f"alertmanager.{key}") for key in _URLS}
        for key, url in urls.items():
            self._check_url(url, f"alertmanager.{key}")
        read_alerts = dict(self._alerts(alerts))
        thresholds = Thresholds(
            selector=texts["selector"].strip(),
            runbook_base=f"{texts['runbook_base'].rstrip('/')}/",
            dashboard_base=texts["dashboard_base"].rstrip("/"),
            shared=self._values(shared, SHARED, "shared."),
            alerts={name: values for name, (values, _) in read_alerts.items()},
            severities={name: severity for name, (_, severity) in read_alerts.items()},
            times=self._values(manager, _TIMES, "alertmanager."),
            urls=urls,
        )
        if self._problems:
            raise ThresholdsError(self._problems)
        return thresholds

    def _alerts(self, tables: Table) -> Iterator[tuple[str, tuple[Mapping[str, Value], Severity]]]:
        for alert in ALERTS:
            path = f"alerts.{alert.name}"
            table = self._table(tables, alert.name, path)
            kinds = {**alert.takes, **_OF_EACH}
            self._only(table, (*kinds, "severity", "enabled"), f"{path}.")
            values = self._values(table, kinds, f"{path}.")
            severity = self._severity(table, f"{path}.severity")
            enabled = table.get("enabled", True)
            if not isinstance(enabled, bool):
                self._wrong(f"{path}.enabled", enabled, "neither true nor false")
            elif enabled:
                yield alert.name, (values, severity)

    def _values(self, table: Table, kinds: Mapping[str, Kind], path: str) -> dict[str, Value]:
        return {
            name: self._value(table[name], name, kind, f"{path}{name}")
            for name, kind in kinds.items()
            if self._has(table, name, f"{path}{name}")
        }

    def _value(self, given: object, name: str, kind: Kind, path: str) -> Value:
        value = _measured(given, kind)
        if value is None:
            self._wrong(path, given, f"not {kind.value}")
            return 0
        if kind in (Kind.WINDOW, Kind.TOLERANCE) and not value and name not in _LONG_TIMES:
            self._wrong(path, given, "no length of time at all")
        # To the millisecond, Prometheus' own grain; what was there does not vanish.
        return max(round(value / self._faster), min(value, 1)) if kind is Kind.WINDOW else value

    def _severity(self, table: Table, path: str) -> Severity:
        if not self._has(table, "severity", path):
            return Severity.WARNING
        given = table["severity"]
        try:
            return Severity(given)
        except ValueError:
            self._wrong(path, given, f"none of {', '.join(Severity)}")
            return Severity.WARNING

    def _table(self, tables: Table, name: str, path: str) -> Table:
        if not self._has(tables, name, path):
            return {}
        table = tables[name]
        if not isinstance(table, dict):
            self._wrong(path, table, "no table")
            return {}
        return table

    def _text(self, table: Table, name: str, path: str) -> str:
        if not self._has(table, name, path):
            return ""
        text = table[name]
        if not isinstance(text, str) or not text.strip() or not text.isprintable():
            self._wrong(path, text, "no text on one line")
            return ""
        return text

    def _check_selector(self, selector: str) -> None:
        if not selector:
            return
        if "{" in selector or "}" in selector:
            self._wrong("general.selector", selector, "no list of matchers")
            self._hint('without braces: job="opsvisor"')

    def _check_url(self, url: str, path: str) -> None:
        if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc):
            self._wrong(path, url, "no http:// or https:// address")

    def _only(self, table: Table, known: tuple[str, ...], path: str) -> None:
        for name in table:
            if name in known:
                continue
            self._problems.append(f"{self._file}: {path}{name}: nothing here is called so")
            close = get_close_matches(name, known, n=1)
            self._hint(f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}")

    def _has(self, table: Table, name: str, path: str) -> bool:
        if name not in table:
            self._problems.append(f"{self._file}: {path} is missing")
        return name in table

    def _wrong(self, path: str, given: object, what: str) -> None:
        self._problems.append(f"{self._file}: {path} = {given!r} is {what}")

    def _hint(self, text: str) -> None:
        self._problems[-1] += f"\n    hint: {text}"


def _measured(given: object, kind: Kind) -> Value | None:
    """The value, None if it is not of this kind."""
    match given, kind:
        case bool(), _:  # which Python takes for a number
            return None
        case str(), Kind.WINDOW | Kind.TOLERANCE:
            return durations.parse(given)
        case int(), Kind.COUNT:
            return given if given >= 0 else None
        case float(), Kind.RATIO:
            return given if 0 < given < 1 else None
        case _:
            return None


def _unless_zero(value: Value) -> str:
    return durations.show(int(value)) if value else ""
