"""Every number of thresholds.toml, changed: the rule tests of some alert must notice.

Lengths of time become ten times and twice as long and as short, counts one more and one less,
ratios 0.05 more and less, and what is 0s becomes a minute. All mutants of an alert go through one
promtool.
"""

import copy
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rule_tests import (
    cases_of,
    tool,
    verdicts,
    write_alert_test,
    write_recording_test,
)

from alerts.generate import durations, thresholds
from alerts.generate.model import Severity
from alerts.generate.rules import ALERTS, RECORDINGS, SHARED

DEFAULTS: dict[str, Any] = tomllib.loads(thresholds.DEFAULTS.read_text("utf-8"))


class Mutant(NamedTuple):
    """One number changed: where it stands, and what stands there now."""

    path: tuple[str, ...]
    value: object

    def __str__(self) -> str:
        """As in an error about the file."""
        return f"{'.'.join(self.path)} = {self.value!r}"

    def thresholds(self) -> thresholds.Thresholds:
        """All numbers, with this one changed."""
        tables = copy.deepcopy(DEFAULTS)
        table = tables
        for key in self.path[:-1]:
            table = table[key]
        table[self.path[-1]] = self.value
        return thresholds.from_tables(tables)


def changed(value: object) -> Iterator[object]:
    """What a parameter could be by mistake."""
    match value:
        case str() if value in set(Severity):
            yield from (other.value for other in Severity if other.value != value)
        case str():
            length = durations.parse(value)
            assert length is not None, value
            if not length:
                yield "1m"
                return
            yield from (durations.show(length * factor) for factor in (2, 10))
            yield from (durations.show(length // divisor) for divisor in (2, 10))
        case int():
            yield value + 1
            if value:
                yield value - 1
        case float():
            yield round(value + 0.05, 2) if value < 0.95 else 0.99
            yield round(value - 0.05, 2)
        case _:
            raise AssertionError(value)


def mutants_of(*path: str) -> list[Mutant]:
    """Every change of every number in one table."""
    table = DEFAULTS
    for key in path:
        table = table[key]
    return [
        Mutant((*path, name), other) for name, value in table.items() for other in changed(value)
    ]


def survivors(directory: Path, alert: str, mutants: list[Mutant]) -> set[Mutant]:
    """Those that no case of the alert notices."""
    tests: dict[str, Mutant] = {}
    noticed = set()
    for number, mutant in enumerate(mutants):
        for step in {case.step for case in cases_of(alert)}:
            cases = [case for case in cases_of(alert) if case.step == step]
            name = f"{alert}-{number}-{step}"
            test = write_alert_test(directory, name, mutant.thresholds(), alert, cases)
            tests[str(test)] = mutant
    for path, problem in verdicts([Path(path) for path in tests]).items():
        if problem:
            noticed.add(tests[path])
    return set(mutants) - noticed


@pytest.mark.parametrize("alert", [alert.name for alert in ALERTS])
def test_every_number_of_an_alert_is_tested(alert: str, tmp_path: Path) -> None:
    """No change of its own numbers goes unnoticed."""
    left = survivors(tmp_path, alert, mutants_of("alerts", alert))
    assert not left, "\n".join(sorted(map(str, left)))


@pytest.mark.parametrize("name", SHARED)
def test_every_shared_number_is_tested(name: str, tmp_path: Path) -> None:
    """No change of what alerts share goes unnoticed by all of them and the recording rules."""
    left = {mutant for mutant in mutants_of("shared") if mutant.path[-1] == name}
    assert left
    for alert in ALERTS:
        if f"@{name}" in alert.expr or f"@{{{name}}}" in alert.expr:
            left = survivors(tmp_path, alert.name, sorted(left, key=str)) if left else left
    if any(f"@{name}" in rule.record + rule.expr for rule in RECORDINGS):
        left = {mutant for mutant in left if not _recordings_notice(tmp_path, mutant)}
    assert not left, "\n".join(sorted(map(str, left)))


def test_the_shipped_numbers_survive(tmp_path: Path) -> None:
    """The other way round: what is not changed is not noticed."""
    assert tool("promtool")
    alert = ALERTS[0].name
    same = Mutant(("alerts", alert, "for"), DEFAULTS["alerts"][alert]["for"])
    assert survivors(tmp_path, alert, [same]) == {same}


def _recordings_notice(directory: Path, mutant: Mutant) -> bool:
    """A changed window changes the name as well; it is the value that should be noticed."""
    test = write_recording_test(directory, "recordings", mutant.thresholds())
    return bool(verdicts([test])[str(test)])
