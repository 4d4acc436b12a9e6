"""Runs promtool's rule tests: the cases of an alert against rules made of any thresholds."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import process_cases
import supervisor_cases
from recording_cases import RECORDING_TESTS
from timeline import Case

from alerts.generate.files import Groups, alerts_of, recordings_of
from alerts.generate.model import AlertRule
from alerts.generate.thresholds import Thresholds

CASES = process_cases.CASES + supervisor_cases.CASES

# Written down here as well: who is woken is nothing that should change by accident.
SEVERITIES = {
    "OpsvisorProcessFatal": "critical",
    "OpsvisorProcessFlapping": "warning",
    "OpsvisorProcessCrashLooping": "warning",
    "OpsvisorProcessRestartingOften": "warning",
    "OpsvisorProcessBackoffStuck": "critical",
    "OpsvisorProcessNotRunning": "critical",
    "OpsvisorProcessUnhealthy": "warning",
    "OpsvisorProcessUnkillable": "warning",
    "OpsvisorProcessOOMKilled": "warning",
    "OpsvisorProcessMemoryNearLimit": "warning",
    "OpsvisorProcessMemoryFillingUp": "warning",
    "OpsvisorProcessFileDescriptorsExhausting": "warning",
    "OpsvisorProcessCPUThrottling": "info",
    "OpsvisorProcessLogWriteErrors": "warning",
    "OpsvisorProcessLogDropping": "warning",
    "OpsvisorRestartStorm": "critical",
    "OpsvisorDown": "critical",
    "OpsvisorAbsent": "critical",
    "OpsvisorCrashLooping": "critical",
    "OpsvisorShutdownStuck": "critical",
    "OpsvisorRestarted": "info",
    "OpsvisorConfigReloadFailed": "warning",
    "OpsvisorCertificateExpiring": "warning",
    "OpsvisorEventLoopLagging": "warning",
    "OpsvisorEventsDropped": "warning",
    "OpsvisorInternalErrors": "warning",
    "OpsvisorCollectorFailing": "warning",
}

_GROUP_ORDER = ["opsvisor.rules", "opsvisor.process", "opsvisor.supervisor"]


def tool(name: str) -> str:
    """Where a program of Debian's packages is."""
    found = shutil.which(name)
    assert found, f"{name} is not installed: tools/system_packages.sh prometheus-alertmanager"
    return found


def cases_of(alert: str) -> list[Case]:
    """All cases about one alert."""
    return [case for case in CASES if case.alert == alert]


def write_alert_test(
    directory: Path, name: str, thresholds: Thresholds, alert: str, cases: Sequence[Case]
) -> Path:
    """A rule test of one alert, with the rules that these thresholds give, without their texts."""
    groups = _only_alert({**recordings_of(thresholds), **alerts_of(thresholds)}, alert)
    rules = _write(directory / f"{name}.rules.json", groups)
    tests = [case.as_test(SEVERITIES[alert]) for case in cases]
    return _write(directory / f"{name}.test.json", _suite([rules], tests, _step_of(cases)))


def write_recording_test(directory: Path, name: str, thresholds: Thresholds) -> Path:
    """A rule test of the recording rules."""
    groups = _groups(recordings_of(thresholds))
    rules = _write(directory / f"{name}.rules.json", groups)
    return _write(directory / f"{name}.test.json", _suite([rules], RECORDING_TESTS, "15s"))


def write_text_test(
    directory: Path, rules: Iterable[Path], tests: Sequence[Any], *, step: str
) -> Path:
    """A rule test against files of rules as they are shipped."""
    return _write(directory / "texts.test.json", _suite(list(rules), tests, step))


def verdicts(tests: Sequence[Path]) -> dict[str, str]:
    """What promtool says of each file: nothing where all is well. AssertionError for bad files."""
    ran = subprocess.run(
        [tool("promtool"), "test", "rules", *(str(path) for path in tests)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # in between: the names go there, the problems here
        text=True,
        check=False,
        timeout=120,
    )
    said = re.split(r"^Unit Testing:  (.*)$", ran.stdout, flags=re.MULTILINE)
    found = dict(zip(said[1::2], said[2::2], strict=True))
    assert {str(path) for path in tests} == found.keys(), ran.stdout
    problems = {}
    for path, text in found.items():
        is_well = text.strip() == "SUCCESS"
        # Anything but a difference between expected and got is a mistake in the test itself.
        assert is_well or "exp:" in text, f"{path}: {text}"
        problems[path] = "" if is_well else text
    return problems


def assert_all_is_well(tests: Sequence[Path]) -> None:
    """Nothing but successes."""
    problems = "".join(verdicts(tests).values())
    assert not problems, problems


def _only_alert(groups: Groups, alert: str) -> dict[str, Any]:
    """The groups with this alert alone, and with the recording rules that it uses."""
    (expr,) = (
        rule.expr
        for rules in groups.values()
        for rule in rules
        if isinstance(rule, AlertRule) and rule.name == alert
    )
    return _groups(
        {
            title: [
                rule
                for rule in rules
                if (rule.name == alert if isinstance(rule, AlertRule) else rule.record in expr)
            ]
            for title, rules in groups.items()
        }
    )


def _groups(groups: Groups) -> dict[str, Any]:
    return {
        "groups": [
            {"name": title, "rules": [_without_texts(rule.as_tree()) for rule in rules]}
            for title, rules in groups.items()
            if rules
        ]
    }


def _without_texts(rule: Mapping[str, object]) -> dict[str, object]:
    """Without annotations, which a test would have to repeat each time."""
    return {key: value for key, value in rule.items() if key != "annotations"}


def _suite(rules: Sequence[Path], tests: Sequence[Any], step: str) -> dict[str, Any]:
    return {
        "rule_files": [str(path) for path in rules],
        "evaluation_interval": step,
        "group_eval_order": _GROUP_ORDER,
        "tests": list(tests),
    }


def _step_of(cases: Sequence[Case]) -> str:
    (step,) = {case.step for case in cases}
    return step


def _write(path: Path, tree: object) -> Path:
    """JSON, which is YAML: promtool looks at the content."""
    path.write_text(json.dumps(tree, indent=1), "utf-8")
    return path
