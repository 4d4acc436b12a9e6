"""What the page and opsvisorctl both have to know is the same in both languages."""

import json
import subprocess
from itertools import product
from pathlib import Path
from signal import Signals
from typing import Any

import msgspec
import pytest
from recorded_daemon import stopped

from opsvisor import wire
from opsvisor.ctl.top.orders import SIGNALS
from opsvisor.ctl.troubles import STATE_ORDER, trouble_of
from opsvisor.runtime.recent_samples import PLACES

_NODE = Path(__file__).parents[1] / "web" / "node"
_LIMIT = 60.0
_FACTS: dict[str, tuple[object, ...]] = {
    "state": STATE_ORDER,
    "expected_running": (False, True),
    "ready": (False, True),
    "healthy": (None, False, True),
    "kills_survived": (0, 2),
    "flapping": (False, True),
    "log_problem": ("", "disk full"),
    "limits_problem": ("", "no cgroup"),
}


@pytest.fixture(scope="module")
def processes() -> list[wire.ProcessStatus]:
    """One in every predicament that its status can tell of."""
    blank = msgspec.to_builtins(stopped("web"))
    found = [blank | dict(zip(_FACTS, facts, strict=True)) for facts in product(*_FACTS.values())]
    return msgspec.convert(found, list[wire.ProcessStatus])


@pytest.fixture(scope="module")
def page(processes: list[wire.ProcessStatus]) -> dict[str, Any]:
    """The tables of the page, and what it makes of these processes."""
    done = subprocess.run(
        ["node", "tables.mjs"],
        cwd=_NODE,
        input=msgspec.json.encode(processes),
        capture_output=True,
        timeout=_LIMIT,
        check=True,
    )
    tables: dict[str, Any] = json.loads(done.stdout)
    return tables


def test_what_is_wrong_and_how_bad(
    page: dict[str, Any], processes: list[wire.ProcessStatus]
) -> None:
    """To each rank of the page belongs one trouble of the terminal, and they rise together."""
    troubles = [trouble_of(one) for one in processes]
    pairs = sorted(set(zip(page["ranks"], troubles, strict=True)), reverse=True)
    assert [trouble for _, trouble in pairs] == sorted(set(troubles))
    assert len({rank for rank, _ in pairs}) == len(pairs)


def test_words(page: dict[str, Any]) -> None:
    """States in one order, signals by the names that Linux has for them."""
    assert page["states"] == list(STATE_ORDER)
    assert sorted(STATE_ORDER) == sorted(wire.STATES)
    assert sorted(page["signals"]) == sorted(SIGNALS)
    assert all(hasattr(Signals, f"SIG{name}") for name in SIGNALS)
    named = {number: name for number, name in enumerate(page["names"]) if name[:3] == "SIG"}
    assert named == {number: Signals(number).name for number in named}


def test_limits(page: dict[str, Any]) -> None:
    """The page keeps as many samples as the daemon does: more would be lost by a reload."""
    assert page["samples"] == PLACES
