"""Tests come to the same end wherever they are started."""

import os
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from packaging.specifiers import SpecifierSet

DEBIAN_12 = "3.11.2"  # its Python
_PINNED = Path(__file__).parents[1] / "constraints/dev.txt"

_TEST = """
import signal


def test_nothing_is_ignored():
    ignored = [signum for signum in (1, 2, 3) if signal.getsignal(signum) == signal.SIG_IGN]
    assert not ignored
"""


def _ignore() -> None:
    for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(signum, signal.SIG_IGN)


def test_signals_that_are_ignored_are_not_inherited(tmp_path: Path) -> None:
    """As by `nohup`, and in the background of a shell: programs under test would ignore them."""
    (tmp_path / "conftest.py").write_bytes(Path(__file__).with_name("conftest.py").read_bytes())
    (tmp_path / "test_signals.py").write_text(_TEST)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        preexec_fn=_ignore,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_what_is_pinned_can_be_installed_on_debian_12() -> None:
    """A release may refuse an early patch level of a Python: 3.11.5, say, where 3.11.2 is had."""
    pinned = set(map(_canonical, _PINNED.read_text().splitlines()))
    demanded = {
        _canonical(f"{dist.name}=={dist.version}"): str(
            dist.metadata.json.get("requires_python", "")
        )
        for dist in metadata.distributions()
    }
    known = {pin: demanded[pin] for pin in pinned & demanded.keys()}
    assert len(known) > len(pinned) / 2  # others are of another platform
    assert not {pin: spec for pin, spec in known.items() if DEBIAN_12 not in SpecifierSet(spec)}


def _canonical(pin: str) -> str:
    return pin.lower().replace("_", "-")
