"""Every query of every dashboard has an answer, from a real daemon scraped by a real Prometheus.

The daemon runs a program in every predicament (examples/predicaments.toml); it is visited,
reloaded, and given a configuration that it refuses.
"""

import re
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from cells import can_have
from drawn import GRAFANA, load_all, queries_of
from promql import selectors
from proof import Answers, Proof, Question, questions

from grafana.generate.metrics import OWN_METRICS, family_of
from tools.stack import Scenario, Stack, StackError, StackSettings, Target, until

ROOT = GRAFANA.parent
REFERENCE = ROOT / "docs" / "reference" / "metrics.md"
_PATIENCE = 75.0
_JOB = "opsvisor"
_HOSTS = ("shop-1", "shop-2")

# Queries that may go without an answer here, and why. None may be on this list that has one.
_NO_LIMITS = "nothing can be held back: that takes root, and cpu and memory cgroups"
EXCEPTIONS: dict[str, str] = {}
if not (can_have("cpu") and can_have("memory")):
    EXCEPTIONS |= dict.fromkeys(
        (
            "opsvisor-overview: Closest to their memory limit A",
            "opsvisor-process: CPU by mode B",
            "opsvisor-process: CPU throttling A",
            "opsvisor-process: CPU throttling B",
            "opsvisor-process: Memory and limit D",
        ),
        _NO_LIMITS,
    )
# Metrics that no dashboard shows and no rule uses, and why. None may be here that is used.
NOT_SHOWN = {
    "opsvisor_process_labels": "the labels are one's own, to join by; which they are nobody knows",
    "opsvisor_upgrades_total": "somebody is there when it happens, and is told what came of it",
    "opsvisor_control_actions_total": "who asked for what is in the audit log, one by one",
    "opsvisor_audit_log_writable": "seldom, and then the daemon's log has what is missing",
    "opsvisor_tls_certificate_last_reload_successful": "few listeners speak TLS",
    "opsvisor_tls_handshake_failures_total": "few listeners speak TLS",
    "opsvisor_process_last_exit_timestamp_seconds": "the states over time show when a run ended",
}

# Beside the predicaments: a limit of failed starts, which is Supervisor's way of giving up.
_ONE_MORE_PROGRAM = """
[program.counted]
description   = "Ends at once, and is given up after three times"
command       = "false"
start_retries = 3
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All that was found out, with the daemon and Prometheus gone again."""

    answers: Answers
    variables: dict[str, list[str]]
    exported: set[str]
    rules_in_use: set[str]
    rule_errors: dict[str, str]
    nothing: list[str]


# Asked as well, to see that the answer is none.
_NO_ANSWERS = (
    'opsvisor_process_state{state="dreaming"}',  # no series
    "opsvisor_process_up{} * NaN",  # no numbers
    "sum(rate(opsvisor_process_starts_total{}[$__rate_interval])) / 0 * 0",
)
_NO_QUERY = "opsvisor_process_up{} * on (group) opsvisor_process_state{}"  # many to many


def _fast_rules(directory: Path) -> list[Path]:
    """The alerts, with windows of seconds: for the panel that shows what fires."""
    subprocess.run(
        [sys.executable, "-m", "alerts.generate", "--fast", "20", "--out", directory],
        check=True,
        cwd=ROOT,
        capture_output=True,
    )
    return [directory / "opsvisor.rules.yml", directory / "opsvisor.alerts.yml"]


def _asked(proof: Proof, text: str) -> set[str] | None:
    return proof.ask(Question(board="opsvisor-overview", name="", text=text, is_instant=False))


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Run everything until all is answered, or for so long that it won't be any more."""
    directory = tmp_path_factory.mktemp("proof")
    with ExitStack() as ends:
        scenario = ends.enter_context(Scenario.start(directory / "daemon"))
        scenario.hold_one_back()
        settings = StackSettings(
            targets=[
                Target(address=scenario.address, job=_JOB, labels={"instance": host})
                for host in _HOSTS
            ],
            rules=_fast_rules(directory / "rules"),
        )
        prometheus = ends.enter_context(Stack.start(directory / "stack", settings)).prometheus
        ends.enter_context(scenario.visitors())
        until(lambda: len(prometheus.query("opsvisor_build_info")) == len(_HOSTS))
        proof = Proof(prometheus, job=_JOB, instance=_HOSTS[0])
        variables = proof.variables()
        # Only now, so that Prometheus sees it happen.
        with scenario.config.open("a") as config:
            config.write(_ONE_MORE_PROGRAM)
        with scenario.client() as client:
            client.apply()
        scenario.reload_broken()
        answers = proof.ask_until_answered(
            [one for one in questions() if one.id not in EXCEPTIONS], patience=_PATIENCE
        )
        # Again, with all there is by now: what could be asked of little may fail with much.
        for question in questions():
            if proof.ask(question) is not None and question.id in EXCEPTIONS:
                answers.labels[question.id] = set()
        with pytest.raises(StackError, match="many-to-many"):
            _asked(proof, _NO_QUERY)
        return Outcome(
            answers=answers,
            variables=variables,
            exported=set(prometheus.label_values("__name__", match=[f'{{job="{_JOB}"}}'])),
            rules_in_use=set(prometheus.label_values("__name__")),
            nothing=[text for text in _NO_ANSWERS if _asked(proof, text) is None],
            rule_errors={
                rule.name: rule.last_error
                for rule in prometheus.evaluated_rules()
                if rule.health != "ok"
            },
        )


def test_every_query_is_answered(outcome: Outcome) -> None:
    """No panel and no annotation is empty for want of data, and none is all NaN."""
    print(f"answered after {outcome.answers.seconds:.0f} s")  # noqa: T201  # seen with -s
    assert sorted(outcome.answers.unanswered) == []
    assert len(outcome.answers.labels) >= len(questions()) - len(EXCEPTIONS)


def test_nothing_is_no_answer(outcome: Outcome) -> None:
    """Without series or without numbers a query counts as unanswered; so this can fail."""
    assert outcome.nothing == list(_NO_ANSWERS)


def test_exceptions_are_needed(outcome: Outcome) -> None:
    """What is excused really has no answer here."""
    known = {question.id for question in questions()}
    assert set(EXCEPTIONS) <= known
    assert {one: why for one, why in EXCEPTIONS.items() if one in outcome.answers.labels} == {}


def test_every_variable_offers_something(outcome: Outcome) -> None:
    """And the chain leads from the job down to the process."""
    assert all(outcome.variables.values())
    assert outcome.variables["opsvisor-overview: job"] == [_JOB]
    assert outcome.variables["opsvisor-host: instance"] == list(_HOSTS)
    assert "web" in outcome.variables["opsvisor-process: group"]
    assert {"web_0", "web_1"} <= set(outcome.variables["opsvisor-logs: process"])


def test_links_find_their_labels(outcome: Outcome) -> None:
    """Series that link to their process say which that is."""
    linking: list[Question] = [one for one in questions() if one.links_to_process]
    assert len(linking) > 10
    for question in linking:
        labels = outcome.answers.labels.get(question.id, set())
        if question.id not in EXCEPTIONS:
            assert {"job", "instance", "group", "process"} <= labels, question.id


def _used_by_dashboards() -> set[str]:
    return {
        selector.metric
        for board in load_all().values()
        for _, query in queries_of(board)
        for selector in selectors(query)
    }


def _used_by_rules() -> set[str]:
    text = (ROOT / "alerts" / "opsvisor.alerts.yml").read_text()
    text += (ROOT / "alerts" / "opsvisor.rules.yml").read_text()
    groups = [*yaml.safe_load_all(text.replace("\ngroups:", "\n---\ngroups:"))]
    expressions = [
        rule["expr"] for group in groups for one in group["groups"] for rule in one["rules"]
    ]
    return {name for one in expressions for name in re.findall(r"\bopsvisor_\w+", one)}


def _family(name: str) -> str:
    return family_of(name).name


def test_what_is_used_is_exported(outcome: Outcome) -> None:
    """No query names a metric that the daemon and Prometheus don't have: none was renamed."""
    assert _used_by_dashboards() - outcome.rules_in_use - _excused_metrics() == set()


def _excused_metrics() -> set[str]:
    asked = {question.id: question.text for question in questions()}
    return {selector.metric for one in EXCEPTIONS for selector in selectors(asked[one])}


def test_what_is_exported_is_documented(outcome: Outcome) -> None:
    """The reference has every name of a real scrape, or says whose names they are."""
    reference = REFERENCE.read_text()
    elsewhere = re.compile(r"(process_|python_|scrape_|ALERTS)\w*|up|\w+:.*")
    names = {name for name in outcome.exported if not elsewhere.fullmatch(name)}
    assert names, "nothing was scraped"
    assert {name for name in names if f"`{_family(name)}`" not in reference} == set()


def test_what_can_be_exported_is_shown() -> None:
    """By a dashboard or a rule, or there is a reason why not."""
    used = {_family(name) for name in _used_by_dashboards()} | _used_by_rules()
    shown = {name for name in OWN_METRICS if any(one.startswith(name) for one in used)}
    assert OWN_METRICS - shown == set(NOT_SHOWN)


def test_rules_can_be_evaluated(outcome: Outcome) -> None:
    """The same data suit the rules that the alerts on the overview come from."""
    assert outcome.rule_errors == {}
