"""Log files that somebody deletes, truncates or replaces while they are written."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from bystanders import Bystanders, whole_lines
from daemon import StartDaemon, eventually


def delete(log: Path) -> None:
    """As `rm` does."""
    log.unlink()


def truncate(log: Path) -> None:
    """As `> log` does, or logrotate's copytruncate."""
    log.write_bytes(b"")


def move(log: Path) -> None:
    """As logrotate does by itself."""
    log.rename(log.with_suffix(".old"))


def replace(log: Path) -> None:
    """As an editor does."""
    other = log.with_suffix(".new")
    other.write_bytes(b"somebody else's\n")
    other.rename(log)


def replace_by_directory(log: Path) -> None:
    """As nobody would."""
    log.unlink()
    log.mkdir()
    (log / "file").touch()


def last_number(log: Path) -> int:
    """The last number in this log; 0 if there is none."""
    if not log.is_file():
        return 0
    complete = whole_lines(log)
    return int(complete[-1].split()[1]) if complete and complete[-1][:1].isdigit() else 0


@pytest.mark.parametrize("harm", [delete, truncate, move, replace, replace_by_directory])
@pytest.mark.parametrize("rotate_size", ["0", "20K"])
def test_harmed_log_file(
    start_daemon: StartDaemon, tmp_path: Path, harm: Callable[[Path], None], rotate_size: str
) -> None:
    """The program runs on; after the logs are reopened, its lines are in the file of this name.

    Nothing is written twice, into a hole, or into a file that somebody else made wrongly.
    """
    bystanders = Bystanders(folder=tmp_path)
    daemon = start_daemon(bystanders.toml)
    pids = bystanders.up(daemon)
    victim = Bystanders(folder=tmp_path, name="victim", count=1, rotate_size=rotate_size)
    daemon.home.rewrite(bystanders.toml + victim.toml)
    daemon.client.apply()
    log = tmp_path / "victim1.log"
    eventually(lambda: last_number(log) > 20)
    harm(log)
    daemon.signal(signal.SIGUSR2)
    daemon.until_logged("SIGUSR2")
    if harm is replace_by_directory:
        eventually(lambda: "is a directory" in daemon.status("victim1").log_problem.lower())
        (log / "file").unlink()
        log.rmdir()
        daemon.signal(signal.SIGUSR2)
    before = last_number(log)
    eventually(lambda: last_number(log) > before + 20)
    assert b"\0" not in log.read_bytes()
    numbers = [int(line.split()[1]) for line in whole_lines(log) if line[:1].isdigit()]
    assert numbers == sorted(set(numbers))
    assert daemon.status("victim1").log_problem == ""
    bystanders.tick_on()
    bystanders.check(daemon, pids)
