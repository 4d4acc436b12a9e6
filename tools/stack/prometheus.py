"""A real Prometheus, and what one asks of it."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Generic, Self, TypeVar

import msgspec

from tools.stack.answers import Alert, Rule, Sample, ScrapeTarget, Series
from tools.stack.ask import Parameters, ask
from tools.stack.program import HOST, Installed, Program, Server
from tools.stack.waiting import until

PROMETHEUS = Installed(name="prometheus", package="prometheus")

T = TypeVar("T")


class _Answer(msgspec.Struct, Generic[T]):
    data: T


class _Result(msgspec.Struct, Generic[T]):
    result: list[T]


class _RuleGroup(msgspec.Struct):
    rules: list[Rule]


class _RuleGroups(msgspec.Struct):
    groups: list[_RuleGroup]


class _Alerts(msgspec.Struct):
    alerts: list[Alert]


class _Targets(msgspec.Struct):
    activeTargets: list[ScrapeTarget]  # noqa: N815  # as Prometheus calls it


class Prometheus(Server):
    """A Prometheus that runs. A context manager: stopped at the end."""

    def __init__(self, program: Program, config: Path) -> None:
        super().__init__(program)
        self._config = config

    @classmethod
    def start(cls, directory: Path, config: str, *, port: int = 0, retention: str = "1d") -> Self:
        """Start it with this configuration, its data in `directory`; it is ready then.

        Raises StackError, with what it said, if it can't be started or refuses the configuration.
        """
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / "prometheus.yml"
        file.write_text(config)
        command = [
            PROMETHEUS.path(),
            f"--config.file={file}",
            # By default it would be Debian's own, in /var/lib.
            f"--storage.tsdb.path={directory / 'prometheus'}",
            f"--storage.tsdb.retention.time={retention}",
            f"--web.listen-address={HOST}:{port}",
            "--web.enable-lifecycle",  # for reload()
            # It takes five seconds to find Alertmanager, tells nobody of an alert before, and
            # would try again after a minute only.
            "--rules.alert.resend-delay=5s",
        ]
        program = Program("prometheus", command, log=directory / "prometheus.log")
        return cls(program.until_ready("/-/ready"), file)

    # -- asking ------------------------------------------------------------------------------

    def query(self, expression: str, *, at: float | None = None) -> list[Sample]:
        """All series of an instant vector, now or at a Unix time. A scalar has no labels."""
        moment = [] if at is None else [("time", str(at))]
        # A scalar is no list of series; it is rarely what one means.
        body = self._post("query", [("query", expression), *moment])
        return msgspec.json.decode(body, type=_Answer[_Result[Sample]]).data.result

    def value(self, expression: str, *, at: float | None = None) -> float:
        """The value of the only series; NaN if there is none, AssertionError if there are more."""
        found = self.query(expression, at=at)
        assert len(found) <= 1, f"{expression}: {len(found)} series"
        return found[0].number if found else math.nan

    def query_range(
        self, expression: str, *, start: float, end: float, step: float
    ) -> list[Series]:
        """All series between two Unix times, a value each `step` seconds."""
        span = [("start", str(start)), ("end", str(end)), ("step", str(step))]
        body = self._post("query_range", [("query", expression), *span])
        return msgspec.json.decode(body, type=_Answer[_Result[Series]]).data.result

    def label_values(self, label: str, *, match: Sequence[str] = ()) -> list[str]:
        """All values of a label, among the series that match one of the selectors."""
        selectors = [("match[]", one) for one in match]
        return self._get(f"label/{label}/values", selectors, list[str])

    def series(self, *match: str) -> list[dict[str, str]]:
        """The labels of all series that match one of the selectors."""
        return self._get("series", [("match[]", one) for one in match], list[dict[str, str]])

    def rules(self) -> list[Rule]:
        """All rules of all groups."""
        groups = self._get("rules", (), _RuleGroups).groups
        return [rule for group in groups for rule in group.rules]

    def evaluated_rules(self) -> list[Rule]:
        """All rules, as soon as each was evaluated once."""

        def look() -> list[Rule]:
            rules = self.rules()
            return [] if any(rule.health == "unknown" for rule in rules) else rules

        return until(look)

    def alerts(self) -> list[Alert]:
        """All alerts that are pending or firing."""
        return self._get("alerts", (), _Alerts).alerts

    def targets(self) -> list[ScrapeTarget]:
        """All that is scraped."""
        return self._get("targets", [("state", "active")], _Targets).activeTargets

    # -- changing ----------------------------------------------------------------------------

    def reload(self, config: str | None = None) -> None:
        """Have it read its rules again, and its configuration, which may be another.

        Raises StackError, with its words, if it refuses them.
        """
        if config is not None:
            self._config.write_text(config)
        ask(self.address, "/-/reload", method="POST")

    def _post(self, path: str, parameters: Parameters) -> bytes:
        return ask(self.address, f"/api/v1/{path}", parameters, method="POST")

    def _get(self, path: str, parameters: Parameters, kind: type[T]) -> T:
        body = ask(self.address, f"/api/v1/{path}", parameters)
        return msgspec.json.decode(body, type=_Answer[kind]).data  # type: ignore[valid-type]  # given at run time
