"""A recorded daemon, and opsvisorctl called as a program would be."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ctl_runs import Ctl, Ran
from recorded_daemon import RecordedDaemon, recorded_daemon

from opsvisor.ctl.main import main


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RecordedDaemon]:
    """A daemon that answers what a test records."""
    with recorded_daemon(tmp_path / "s") as serving:
        yield serving


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Ctl:
    """Run opsvisorctl with these arguments, in an empty directory and a clean environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPSVISOR_URL", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        status = main(arguments)
        return Ran(status, *capsys.readouterr())

    return run


@pytest.fixture
def ctl(run: Ctl, daemon: RecordedDaemon) -> Ctl:
    """Run opsvisorctl against the recorded daemon."""
    return lambda *arguments: run("-s", daemon.url, *arguments)


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()
