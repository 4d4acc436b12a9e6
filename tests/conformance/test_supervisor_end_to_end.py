"""Supervisor's own end-to-end tests, as its package brings them, against opsvisord.

They start `python -m supervisor.supervisord`, which the package in `shim` makes opsvisord.
"""

import fcntl
import os
import re
import shutil
import unittest
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from commands import BIN, environment, marked
from daemon import eventually

SHIM = Path(__file__).parent / "shim"


def _the_tests() -> Any:
    """Their module. It decides by the environment, when it is imported, whether it has tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("END_TO_END", "1")
        from supervisor.tests import (  # type: ignore[import-untyped]  # noqa: PLC0415
            test_end_to_end,
        )
    return test_end_to_end


THEIRS = _the_tests()
NAMES = unittest.TestLoader().getTestCaseNames(THEIRS.EndToEndTests)

# What the daemon doesn't remove when it ends belongs into the directory of the test.
_LEFT_BEHIND = re.compile(r"^((?:logfile|pidfile)\s*=\s*)/tmp/", re.MULTILINE)

# The file that issue-565.conf starts is in the source distribution only. It prints these lines.
_HELLO = """\
n=0
while sleep 1; do
    n=$((n + 1))
    echo "The Øresund bridge ends in Malmö - $n"
done
"""


# Two of its configurations have one socket in common.
_SHARES_A_SOCKET = ("test_issue_565", "test_issue_836")


@contextmanager
def _alone_with_its_socket(name: str) -> Iterator[None]:
    if name not in _SHARES_A_SOCKET:
        yield
        return
    directory = os.open(SHIM, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    """What the tests expect around them; and nothing of theirs is left running."""
    mark = uuid.uuid4().hex
    for variable, value in environment(mark).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("PATH", f"{BIN}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(SHIM))
    # A supervisord removes AUTO logs there that others of its identifier still write to.
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    original = THEIRS.resource_filename
    fixtures = tmp_path / "fixtures"
    shutil.copytree(original("supervisor.tests", "fixtures"), fixtures)
    (fixtures / "hello.sh").write_text(_HELLO, "utf-8")
    for config in fixtures.glob("*.conf"):
        # Sockets stay where they are: the tests know their paths.
        config.write_text(_LEFT_BEHIND.sub(rf"\1{tmp_path}/", config.read_text("utf-8")), "utf-8")
    monkeypatch.setattr(THEIRS, "resource_filename", lambda _, path: str(tmp_path / path))
    with _alone_with_its_socket(name):
        yield
        eventually(lambda: not marked(mark))


def test_there_are_27_of_them() -> None:
    """As many as 4.3.0 has."""
    assert len(NAMES) == 27


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("surroundings")
@pytest.mark.parametrize("name", NAMES)
def test_of_supervisor(name: str) -> None:
    """One of them, run as they are."""
    test = THEIRS.EndToEndTests(name)
    try:
        test.debug()
    finally:
        test.doCleanups()  # which debug() leaves out after a failure
