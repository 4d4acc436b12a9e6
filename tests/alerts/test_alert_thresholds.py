"""A file of one's own numbers: laid over the defaults, or refused with everything wrong in it."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from alerts.generate import durations, thresholds
from alerts.generate.model import Kind
from alerts.generate.rules import ALERTS, SHARED

ROOT = Path(__file__).parent.parent.parent


def generate(tmp_path: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    """The generator, with this file laid over the defaults."""
    own = tmp_path / "own.toml"
    own.write_text(text)
    places = ("--thresholds", own, "--out", tmp_path / "out")
    return subprocess.run(
        [sys.executable, "-m", "alerts.generate", *map(str, places), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_only_what_differs_is_written(tmp_path: Path) -> None:
    """Everything else stays as shipped."""
    ran = generate(tmp_path, '[alerts.OpsvisorProcessFatal]\nfor = "90s"\nseverity = "warning"\n')
    assert ran.returncode == 0, ran.stderr
    shipped = yaml.safe_load((ROOT / "alerts/opsvisor.alerts.yml").read_text())
    own = yaml.safe_load((tmp_path / "out/opsvisor.alerts.yml").read_text())
    fatal = own["groups"][0]["rules"][0]
    assert (fatal["for"], fatal["labels"]) == ("90s", {"severity": "warning"})
    fatal["for"], fatal["labels"] = "1m", {"severity": "critical"}
    assert own == shipped


def test_an_alert_can_be_left_out(tmp_path: Path) -> None:
    """It is gone from rules and inhibition."""
    ran = generate(tmp_path, "[alerts.OpsvisorProcessMemoryNearLimit]\nenabled = false\n")
    assert ran.returncode == 0, ran.stderr
    for path in (tmp_path / "out").iterdir():
        assert "MemoryNearLimit" not in path.read_text(), path
    shipped = yaml.safe_load((ROOT / "alerts/alertmanager.example.yml").read_text())
    own = yaml.safe_load((tmp_path / "out/alertmanager.example.yml").read_text())
    assert len(own["inhibit_rules"]) == len(shipped["inhibit_rules"]) - 1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            '[alerts.OpsvisorProcessFatal]\nwindow = "2 minutes"\n',
            (
                "alerts.OpsvisorProcessFatal.window = '2 minutes' is not a length of time"
                " such as '5m'"
            ),
        ),
        (
            "[alerts.OpsvisorProcessFatal]\nwindow = 120\n",
            ("alerts.OpsvisorProcessFatal.window = 120 is not a length of time such as '5m'"),
        ),
        (
            '[alerts.OpsvisorProcessFatal]\nwindow = "0s"\n',
            "alerts.OpsvisorProcessFatal.window = '0s' is no length of time at all",
        ),
        (
            "[alerts.OpsvisorProcessMemoryNearLimit]\nratio = 95\n",
            ("alerts.OpsvisorProcessMemoryNearLimit.ratio = 95 is not a number between 0 and 1"),
        ),
        (
            "[shared]\nfailed_starts = true\n",
            "shared.failed_starts = True is not a whole number, 0 or more",
        ),
        (
            "[shared]\nfailed_starts = -1\n",
            "shared.failed_starts = -1 is not a whole number, 0 or more",
        ),
        (
            '[alerts.OpsvisorProcessFatal]\nseverity = "page"\n',
            ("alerts.OpsvisorProcessFatal.severity = 'page' is none of critical, warning, info"),
        ),
        (
            "[alerts.OpsvisorProcessFatal]\nenabled = 0\n",
            "alerts.OpsvisorProcessFatal.enabled = 0 is neither true nor false",
        ),
        (
            '[alerts.OpsvisorProcessFatl]\nfor = "1m"\n',
            (
                "alerts.OpsvisorProcessFatl: nothing here is called so\n"
                "    hint: did you mean 'OpsvisorProcessFatal'?"
            ),
        ),
        (
            "[alerts.OpsvisorProcessFatal]\nthreshold = 4\n",
            (
                "alerts.OpsvisorProcessFatal.threshold: nothing here is called so\n"
                "    hint: known: window, for, keep_firing_for, severity, enabled"
            ),
        ),
        ("alerts = 5\n", "alerts = 5 is no table"),
        (
            "[general]\nselector = '{job=\"x\"}'\n",
            (
                "general.selector = '{job=\"x\"}' is no list of matchers\n"
                '    hint: without braces: job="opsvisor"'
            ),
        ),
        (
            '[general]\nrunbook_base = "wiki/opsvisor"\n',
            "general.runbook_base = 'wiki/opsvisor' is no http:// or https:// address",
        ),
        (
            '[general]\ndashboard_base = ""\n',
            "general.dashboard_base = '' is no text on one line",
        ),
        (
            '[alertmanager]\npage_url = "a\\nb"\n',
            "alertmanager.page_url = 'a\\nb' is no text on one line",
        ),
        ("[alerts\n", "is not TOML: "),
    ],
)
def test_bad_numbers_are_refused(text: str, complaint: str, tmp_path: Path) -> None:
    """With where, what and a hint; nothing is written."""
    ran = generate(tmp_path, text)
    assert ran.returncode == 2
    assert f"own.toml: {complaint}" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "out").exists()


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    """One line for each."""
    ran = generate(
        tmp_path,
        '[shared]\ngap = "soon"\ncpu_window = 5\n[alerts.OpsvisorDown]\nseverity = 1\n',
    )
    assert len(ran.stderr.splitlines()) == 3


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Is told by name."""
    with pytest.raises(thresholds.ThresholdsError, match=r"read .*none\.toml: No such file"):
        thresholds.read(tmp_path / "none.toml")


@pytest.mark.parametrize("options", [["--fast"], ["--thresholds", "x.toml"]])
def test_the_repository_holds_the_defaults_only(options: list[str]) -> None:
    """Other rules need a place of their own."""
    ran = subprocess.run(
        [sys.executable, "-m", "alerts.generate", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 2
    assert "need --out" in ran.stderr


def test_every_alert_is_in_the_file_with_all_it_takes() -> None:
    """Nothing is left to a default that nobody can see."""
    numbers = thresholds.read()
    assert set(numbers.alerts) == {alert.name for alert in ALERTS}
    for alert in ALERTS:
        assert set(numbers.alerts[alert.name]) == {*alert.takes, "for", "keep_firing_for"}
        assert not set(alert.takes) & set(SHARED)


@pytest.mark.parametrize(
    ("text", "milliseconds", "shown"),
    [
        ("30s", 30_000, "30s"),
        ("90s", 90_000, "90s"),
        ("120s", 120_000, "2m"),
        ("1h30m", 5_400_000, "90m"),
        ("1d", 86_400_000, "1d"),
        ("1500ms", 1500, "1500ms"),
        ("0s", 0, "0s"),
        ("", None, ""),
        ("5", None, ""),
        ("m5", None, ""),
        ("5m1h", None, ""),
        ("1.5h", None, ""),
        ("-5m", None, ""),
        ("5 m", None, ""),
    ],
)
def test_lengths_of_time(text: str, milliseconds: int | None, shown: str) -> None:
    """As Prometheus writes them."""
    assert durations.parse(text) == milliseconds
    if milliseconds is not None:
        assert durations.show(milliseconds) == shown
        assert durations.parse(shown) == milliseconds


def test_faster_never_makes_nothing_of_something() -> None:
    """A window of 0 would be no rule."""
    numbers = thresholds.read(faster=1000)
    for alert in ALERTS:
        for name, kind in alert.takes.items():
            assert numbers.alerts[alert.name][name] or kind is not Kind.WINDOW
