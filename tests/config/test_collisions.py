"""A program's output goes into no file that the daemon has a use for."""

from pathlib import Path

import pytest
from config_files import Complaints, Load

from opsvisor.config.collisions import STATE_FILES
from opsvisor.runtime.keeper.process import SOCKET
from opsvisor.runtime.memory import directory, file, foretold

LOST = "\n    hint: give it a file of its own: output would make that one useless"
DAEMON = """\
[program.a]
command = "x"
replicas = 2
log.{stream} = "{path}"
[daemon]
log = "d.log"
audit_log = "audit.log"
pid_file = "d.pid"
state_dir = "state"
[server.unix]
path = "d.sock"
"""


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("opsvisor.toml", "is a file of this configuration"),
        ("d.pid", "is the daemon's pid file"),
        ("d.sock", "is a socket of the daemon"),
        ("state/memory", "is a file of the daemon's state directory"),
    ],
)
def test_a_file_that_would_be_lost(
    complaints: Complaints, stream: str, path: str, says: str
) -> None:
    """Once for all replicas."""
    told = f"opsvisor.toml:4: program 'a': log.{stream} = '{path}' {says}{LOST}"
    assert complaints(DAEMON.format(stream=stream, path=path)) == told


def test_a_file_that_is_included(complaints: Complaints, tmp_path: Path) -> None:
    """It is as much of the configuration as the first, however its path is written."""
    included = "[program.b]\ncommand = 'x'\nlog.stdout = 'x/../more.toml'"
    (tmp_path / "more.toml").write_text(included)
    assert complaints("include = 'more.toml'") == (
        f"more.toml:3: program 'b': log.stdout = 'more.toml' is a file of this configuration{LOST}"
    )


@pytest.mark.parametrize(
    ("path", "says"),
    [("./d.log", "is the daemon's own log"), ("audit.log", "is the daemon's audit log")],
)
def test_a_log_that_would_be_mixed(load: Load, tmp_path: Path, path: str, says: str) -> None:
    """Nothing is lost but order: both append."""
    text = DAEMON.format(stream="stdout", path=path).replace("replicas = 2", "")
    (warning,) = load(text).warnings
    assert warning.what == f"program 'a': log.stdout = '{(tmp_path / path)}' {says}"
    assert (warning.where.line, warning.hint) == (4, "give each its own file")


@pytest.mark.parametrize("path", ["state/web.log", "state/memory/x", "d.pid.log", "/dev/null"])
def test_files_that_are_nobody_elses(load: Load, path: str) -> None:
    """Devices can be shared, and a directory may hold files of others."""
    text = DAEMON.format(stream="stdout", path=path).replace("d.pid", "/dev/null")
    assert load(text.replace("replicas = 2", "")).warnings == ()


def test_two_slashes_are_one(complaints: Complaints, tmp_path: Path) -> None:
    """To Linux, if not to POSIX."""
    path = f"/{tmp_path}/d.pid"
    assert "is the daemon's pid file" in complaints(DAEMON.format(stream="stdout", path=path))


def test_the_names_of_the_state_directory_are_all_known() -> None:
    """Its files are made elsewhere, by what may not be asked here."""
    made = {directory.LOCK, file.NAME, file._NEW, foretold.NAME, SOCKET}
    assert set(STATE_FILES) == made
