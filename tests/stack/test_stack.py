"""The harness itself: what it starts works together, says why it does not, and goes away."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from daemon import eventually

from tools.stack import (
    Alertmanager,
    AlertmanagerSettings,
    Prometheus,
    PrometheusSettings,
    Receiver,
    Stack,
    StackError,
    StackSettings,
    Target,
    alertmanager_config,
    prometheus_config,
    until,
)

_ROOT = Path(__file__).parents[2]
_RULES = """\
groups:
- name: test
  rules:
  - record: test:one
    expr: vector(1)
  - alert: Loud
    expr: test:one >= 1
    labels: {host: a}
  - alert: Quiet
    expr: test:one == 2
    labels: {host: a}
  - alert: Other
    expr: test:one == 2
    labels: {host: b}
  - alert: Wrong
    expr: count_values("not a label", test:one) > 0
"""
_LOUD_MUTES_QUIET = {
    "source_matchers": ["alertname = Loud"],
    "target_matchers": ["alertname = Quiet"],
    "equal": ["host"],
}


# Starts a program, says so, and waits to be killed.
_KEEPER = """
import pathlib, sys, time
from tools.stack.program import Program

program = Program("sleep", ["sleep", "1000"], log=pathlib.Path(sys.argv[1]))
print(program.pid, flush=True)
sys.stdin.read()
"""


def test_programs_do_not_outlive_whoever_started_them(tmp_path: Path) -> None:
    """Not even SIGKILL, which lets nobody tidy up, leaves servers with ports behind."""
    with subprocess.Popen(
        [sys.executable, "-c", _KEEPER, tmp_path / "sleep.log"],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as keeper:
        assert keeper.stdout
        pid = int(keeper.stdout.readline())
        try:
            eventually(lambda: psutil.Process(pid).name() == "sleep")
            keeper.kill()
            eventually(lambda: not _is_alive(pid))
        finally:
            keeper.kill()
            if _is_alive(pid):
                os.kill(pid, signal.SIGKILL)


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A stack with two alerts, one of which mutes the other."""
    rules = tmp_path / "rules.yml"
    rules.write_text(_RULES)
    settings = StackSettings(rules=[rules], inhibit_rules=[_LOUD_MUTES_QUIET])
    with Stack.start(tmp_path / "stack", settings) as running:
        yield running


def test_an_alert_goes_all_the_way_and_back(stack: Stack, tmp_path: Path) -> None:
    """From a rule to the webhook, and resolved; the alert that it mutes is held and not told.

    That alert begins after the loud one was told and ends before it: Alertmanager mutes it by what
    it knows at that moment, and takes alerts that come together one after another.
    """
    told = stack.receiver
    assert eventually(lambda: told.last("Loud", host="a")) == "firing"
    assert told.last("Loud", host="b") == ""

    _become(stack, tmp_path, 2)
    eventually(lambda: told.last("Other", host="b") == "firing")
    quiet = eventually(lambda: [one for one in stack.alertmanager.alerts() if one.name == "Quiet"])
    assert [one.is_inhibited for one in quiet] == [True]
    assert {one.name: one.state for one in stack.prometheus.alerts()} == {
        "Loud": "firing",
        "Quiet": "firing",
        "Other": "firing",
    }

    _become(stack, tmp_path, 1)
    eventually(lambda: told.last("Other", host="b") == "resolved")
    assert told.notices("Quiet") == []


def _become(stack: Stack, tmp_path: Path, value: int) -> None:
    """Let the rules find another value."""
    (tmp_path / "rules.yml").write_text(_RULES.replace("vector(1)", f"vector({value})"))
    stack.prometheus.reload()


def test_rules_that_fail_are_seen(stack: Stack) -> None:
    """Prometheus evaluates a rule or says why not."""
    rules = stack.prometheus.evaluated_rules()
    assert {one.name: one.health for one in rules} == {
        "test:one": "ok",
        "Loud": "ok",
        "Quiet": "ok",
        "Other": "ok",
        "Wrong": "err",
    }
    assert "not a label" in next(one.last_error for one in rules if one.name == "Wrong")


def test_what_is_scraped_can_be_asked_for(tmp_path: Path) -> None:
    """Now, over a time, and by its labels; a wrong question is answered with Prometheus' words."""
    with Alertmanager.start(tmp_path, alertmanager_config(AlertmanagerSettings())) as alertmanager:
        targets = [
            Target(address=alertmanager.address, job="am", labels={"instance": "one"}),
            Target(address="127.0.0.1:9", job="am", labels={"instance": "two"}),
        ]
        config = prometheus_config(PrometheusSettings(targets=targets))
        with Prometheus.start(tmp_path, config) as prometheus:
            eventually(lambda: len(prometheus.query("up")) == 2)
            assert prometheus.value('up{job="am",instance="one"}') == 1
            assert math.isnan(prometheus.value("no_such_series"))
            now = prometheus.query("up")[0].value[0]
            found = prometheus.query_range("up", start=now - 10, end=now, step=1)
            assert {one.metric["instance"] for one in found} == {"one", "two"}
            assert all(one.has_numbers for one in found)
            assert prometheus.label_values("instance", match=["up"]) == ["one", "two"]
            assert prometheus.series('up{instance="two"}') == [
                {"__name__": "up", "instance": "two", "job": "am"}
            ]
            health = {one.labels["instance"]: one.health for one in prometheus.targets()}
            assert health == {"one": "up", "two": "down"}
            with pytest.raises(StackError, match=r"400 .*parse error"):
                prometheus.query("up{")
            with pytest.raises(StackError, match="not_a_field"):
                prometheus.reload("global: {not_a_field: 1}")


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """No process and no port; all files are in the directory given."""
    with Stack.start(tmp_path / "stack", StackSettings()) as stack:
        pids = [stack.prometheus.pid, stack.alertmanager.pid]
        addresses = [stack.prometheus.address, stack.alertmanager.address]
        assert all(psutil.pid_exists(pid) for pid in pids)
    assert not any(psutil.pid_exists(pid) for pid in pids)
    for address in addresses:
        host, _, port = address.partition(":")
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, int(port)))
    assert [one.name for one in tmp_path.iterdir()] == ["stack"]


def test_a_refused_configuration_says_why(tmp_path: Path) -> None:
    """With the words of the program that refused it."""
    with pytest.raises(
        StackError, match=r"prometheus ended before(.|\n)*field nonsense not found"
    ):
        Prometheus.start(tmp_path, "nonsense: true")
    with pytest.raises(StackError, match=r"alertmanager ended before(.|\n)*no routes provided"):
        Alertmanager.start(tmp_path, "receivers: [{name: x}]")


def test_a_missing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the package that has it. What was started before it is ended."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StackError) as caught:
        Stack.start(tmp_path, StackSettings())
    assert str(caught.value).splitlines() == [
        "there is no prometheus-alertmanager on this machine",
        "    hint: tools/system_packages.sh prometheus-alertmanager (as root, on Debian)",
    ]


@pytest.mark.parametrize("whose", ["prometheus_port", "alertmanager_port", "receiver_port"])
def test_a_taken_port_is_said(tmp_path: Path, whose: str) -> None:
    """Whichever it is."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StackError, match=r"hint: another program (has|may have) this port"):
            Stack.start(tmp_path, StackSettings(**{whose: port}))


def test_targets_of_one_job_may_differ() -> None:
    """Prometheus takes a job's name once; it is the label that the rules go by."""
    targets = [Target(address="a:1"), Target(address="b:1", params={"collect[]": ["state"]})]
    written = json.loads(prometheus_config(PrometheusSettings(targets=targets)))
    jobs = written["scrape_configs"]
    assert len({one["job_name"] for one in jobs}) == 2
    assert [one["static_configs"][0]["labels"]["job"] for one in jobs] == ["opsvisor"] * 2
    assert jobs[1]["params"] == {"collect[]": ["state"]}


def test_waiting_ends() -> None:
    """With what was seen last, where the fact does not come."""
    with pytest.raises(StackError, match=r"did not become true in 0 s: \[\]"):
        until(list, patience=0)
    with Receiver.start() as receiver:
        assert until(lambda: receiver.url).startswith("http://127.0.0.1:")
