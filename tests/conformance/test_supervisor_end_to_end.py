"""Supervisor's own end-to-end tests, as its package brings them, against opsvisord.

They start `python -m supervisor.supervisord`, which the package in `shim` makes opsvisord.
"""

import os
import shutil
import unittest
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import BIN, environment, marked
from daemon import eventually
from supervisor.xmlrpc import (  # type: ignore[import-untyped]  # comes without annotations
    SupervisorTransport,
)

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

# The file that issue-565.conf starts is in the source distribution only. It prints these lines.
_HELLO = """\
n=0
while sleep 1; do
    n=$((n + 1))
    echo "The Øresund bridge ends in Malmö - $n"
done
"""


@pytest.fixture
def surroundings(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """What the tests expect around them, /tmp apart; and nothing of theirs is left running."""
    mark = uuid.uuid4().hex
    for variable, value in environment(mark).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("PATH", f"{BIN}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(SHIM))
    directory = tmp_path_factory.mktemp("t")  # short, as the path of a socket must be
    # A supervisord removes AUTO logs there that others of its identifier still write to.
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.chdir(directory)
    _keep_out_of_tmp(directory, monkeypatch)
    yield
    eventually(lambda: not marked(mark))


def _keep_out_of_tmp(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have their logs and sockets in this directory, whatever paths in /tmp they name."""
    original = THEIRS.resource_filename
    fixtures = directory / "fixtures"
    shutil.copytree(original("supervisor.tests", "fixtures"), fixtures)
    (fixtures / "hello.sh").write_text(_HELLO, "utf-8")
    for config in fixtures.glob("*.conf"):
        text = config.read_text("utf-8")
        config.write_text(text.replace("/tmp/", f"{directory}/"), "utf-8")
    monkeypatch.setattr(THEIRS, "resource_filename", lambda _, path: str(directory / path))
    connect = SupervisorTransport.__init__

    def connect_elsewhere(self: Any, username: str, password: str, url: str) -> None:
        connect(self, username, password, url.replace("/tmp/", f"{directory}/"))

    monkeypatch.setattr(SupervisorTransport, "__init__", connect_elsewhere)


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
