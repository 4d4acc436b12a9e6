"""The units in deploy/systemd, as systemd's own checker sees them. They are tried in e2e."""

import re
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest
from commands import BIN, Ran

_UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
_GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "systemd.md"
# Known to systemd 254, and ignored before.
_NEW = {"DelegateSubgroup", "RestartSteps", "RestartMaxDelaySec"}


def analyze(verb: str, *units: Path) -> Ran:
    """Run systemd-analyze."""
    done = subprocess.run(
        ["systemd-analyze", *verb.split(), *units],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """Copies with the programs where they are here, since the checker looks for them."""
    copies = []
    for unit in sorted(_UNITS.iterdir()):
        copy = tmp_path / unit.name
        copy.write_text(unit.read_text().replace("/opt/opsvisor/bin/", f"{BIN}/"))
        copies.append(copy)
    return copies


def settings() -> dict[str, str]:
    """The service section."""
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # as its documentation says
    parser.read(_UNITS / "opsvisord.service")
    return dict(parser["Service"])


def test_systemd_understands_every_line(units: list[Path]) -> None:
    """A misspelt setting is ignored with a warning: there is none but for what is too new."""
    done = analyze("verify", *units)
    assert done.status == 0, done
    unknown = set(re.findall(r"Unknown key(?: name)? '(\w+)'", done.err))
    assert unknown <= _NEW
    others = [line for line in done.err.splitlines() if str(units[0].parent) in line]
    assert all("Unknown key" in line for line in others), others


def test_hardening_does_not_get_lost(units: list[Path]) -> None:
    """A root service that may start anything can't score well; without all of it, it has 9.6."""
    (service,) = (unit for unit in units if unit.suffix == ".service")
    done = analyze("security --offline=yes --no-pager --threshold=80", service)
    assert done.status == 0, done.out


def test_what_adoption_depends_on() -> None:
    """Each with its reason in the guide. What would take /tmp from running programs is not set."""
    found = settings()
    needed = {
        "Type": "notify",
        "KillMode": "process",
        "RestartKillSignal": "SIGRTMIN",
        "RuntimeDirectory": "opsvisor",
        "RuntimeDirectoryPreserve": "yes",
        "Delegate": "yes",
        "DelegateSubgroup": "opsvisord",
        "OOMPolicy": "continue",
    }
    assert needed.items() <= found.items()
    guide = _GUIDE.read_text()
    assert [f"{n}={v}" for n, v in needed.items() if f"`{n}={v}`" not in guide] == []
    assert not found.keys() & {"PrivateTmp", "DynamicUser", "ProtectControlGroups", "User"}
