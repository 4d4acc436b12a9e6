"""Relative paths begin where the daemon was started, wherever it has gone since."""

from pathlib import Path

import pytest
from supervisor_files import problems, write

from opsvisor.compat.supervisor.config.load import load
from opsvisor.config.settings import Loaded, UnixServer
from opsvisor.core.struct import replace

TEXT = """\
[supervisord]
logfile = logs/d.log
pidfile = d.pid
directory = work
childlogdir = logs
[unix_http_server]
file = run/../s.sock
[program:a]
command = x
stderr_logfile = logs/x.log
"""


@pytest.fixture
def started_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the start, with a configuration; the process is in another by now."""
    folder = tmp_path / "start"
    for name in ("logs", "work"):
        (folder / name).mkdir(parents=True)
    write(folder, TEXT)
    monkeypatch.chdir("/")
    return folder


def paths(loaded: Loaded) -> list[str | None]:
    """Every path of the daemon."""
    (server,) = loaded.settings.servers
    assert isinstance(server, UnixServer)
    found = loaded.settings
    return [found.log.path, found.pid_file, found.working_dir, server.path]


def test_everything_relative_begins_in_the_start_directory(started_in: Path) -> None:
    """The daemon's files, its folder, its socket, AUTO logs, and checks that folders exist."""
    loaded = load(started_in / "supervisord.conf", {}, start_directory=started_in)
    assert paths(loaded) == [
        f"{started_in}/{name}" for name in ("logs/d.log", "d.pid", "work", "s.sock")
    ]
    (spec,) = loaded.plan.specs().values()
    assert spec.stdout.path is not None
    assert spec.stdout.path.startswith(f"{started_in}/logs/a-stdout---")


def test_configuration_file_itself(started_in: Path) -> None:
    """A relative path to it begins there too, and so does `here`."""
    write(started_in, TEXT.replace("d.pid", "%(here)s/here.pid"))
    loaded = load(Path("supervisord.conf"), {}, start_directory=started_in)
    assert loaded.settings.pid_file == f"{started_in}/here.pid"
    assert loaded.files == (f"{started_in}/supervisord.conf",)


def test_rereading_elsewhere_changes_nothing(
    started_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that has changed its folder finds the same plan and the same settings again."""
    monkeypatch.chdir(started_in)
    first = load(Path("supervisord.conf"), {})
    monkeypatch.chdir("work")
    again = load(Path("supervisord.conf"), {}, start_directory=started_in)
    assert replace(again, origins=first.origins) == first


def test_logs_of_processes_stay_relative(started_in: Path) -> None:
    """Supervisor opens them from the folder it has gone to; only their check is made here."""
    loaded = load(started_in / "supervisord.conf", {}, start_directory=started_in)
    (spec,) = loaded.plan.specs().values()
    assert spec.stderr is not None
    assert spec.stderr.path == "logs/x.log"


def test_nothing_given_is_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody changes the folder nobody has to name it."""
    monkeypatch.chdir(tmp_path)
    (problem,) = problems(tmp_path, "[supervisord]\nchildlogdir = none\n")
    assert problem.what == "none is not an existing directory"
    loaded = load(write(tmp_path, "[supervisord]\n"), {})
    assert loaded.settings.pid_file == f"{tmp_path}/supervisord.pid"


def test_folder_that_cannot_exist_is_a_problem(tmp_path: Path) -> None:
    """A name that is too long for the system is a folder that doesn't exist, no traceback."""
    text = f"[supervisord]\nlogfile = {'x' * 300}/d.log\n"
    (problem,) = problems(tmp_path, text)
    assert problem.what.startswith("The directory named as part of the path xxx")
