"""What the dead daemon left can't be believed, or is gone: nothing runs twice all the same."""

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from bystanders import Bystanders, live_tickers
from commands import run_program
from daemon import StartDaemon
from home import Dialect, Programs
from keepers import signal_keepers
from procfs import is_alive


def flip_a_bit(state: Path) -> None:
    """One of many: in the middle."""
    text = bytearray((state / "memory").read_bytes())
    text[len(text) // 2] ^= 1
    (state / "memory").write_bytes(text)


def put_a_folder_there(state: Path) -> None:
    """Nothing that could be read."""
    (state / "memory").unlink()
    (state / "memory").mkdir()


def remove_memory(state: Path) -> None:
    """As somebody does who wants to begin anew."""
    (state / "memory").unlink()


def remove_all(state: Path) -> None:
    """Likewise, thoroughly: nobody reaches the keeper any more, which has our address."""
    shutil.rmtree(state)


@pytest.mark.parametrize(
    ("harm", "keeper_lives"),
    [
        (flip_a_bit, False),
        (put_a_folder_there, False),
        (remove_memory, True),
        (remove_memory, False),
        (remove_all, True),
    ],
)
def test_no_double_without_a_memory(
    start_daemon: StartDaemon, tmp_path: Path, harm: Callable[[Path], None], *, keeper_lives: bool
) -> None:
    """What can't be taken back is ended before it is started anew."""
    state = tmp_path / "state"
    bystanders = Bystanders(folder=tmp_path, count=2)
    daemon = start_daemon(bystanders.toml, daemon=f'state_dir = "{state}"')
    old = bystanders.up(daemon)
    daemon.crash()
    if not keeper_lives:
        signal_keepers(daemon, signal.SIGKILL)
    harm(state)
    daemon.begin_again()
    assert not any(map(is_alive, old.values()))
    bystanders.check(daemon, bystanders.up(daemon))
    assert "killed 2 processes of an earlier daemon" in daemon.log


def test_a_memory_that_could_not_be_written(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """What it tells is taken back; what was started since is ended, and started anew."""
    state = tmp_path / "state"
    bystanders = Bystanders(folder=tmp_path, count=2)
    restarted = Bystanders(folder=tmp_path, name="restarted", count=2)
    daemon = start_daemon(bystanders.toml + restarted.toml, daemon=f'state_dir = "{state}"')
    pids = bystanders.up(daemon)
    restarted.up(daemon)
    daemon.crash()
    (state / "memory.new").unlink()
    (state / "memory.new").mkdir()  # where nothing could be written
    daemon.begin_again()
    daemon.client.act("restart", restarted.names)
    unknown = restarted.up(daemon)
    daemon.crash()
    daemon.begin_again()
    assert not any(map(is_alive, unknown.values()))
    again = restarted.up(daemon)
    assert all(live_tickers(daemon, name) == {pid} for name, pid in again.items())
    bystanders.check(daemon, pids)
    assert "killed 2 processes that it does not tell of" in daemon.log


def test_supervisors_programs_are_known_by_their_marks(start_daemon: StartDaemon) -> None:
    """Though what they leave behind a stop is nobody's business."""
    program = "[program:web]\ncommand = $VICTIM 'say here'\nstartsecs = 0\n"
    daemon = start_daemon(Programs(program, Dialect.INI))
    pid = daemon.until("web", "RUNNING").pid
    memory = daemon.state_directory / "memory"
    daemon.crash()
    signal_keepers(daemon, signal.SIGKILL)
    memory.write_bytes(b"nonsense\n")
    daemon.begin_again()
    assert not is_alive(pid)
    daemon.until("web", "RUNNING")


def test_a_directory_that_others_may_write_to(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """The usual one can be done without; but not while programs run that only it knows."""
    bystanders = Bystanders(folder=tmp_path, count=2)
    daemon = start_daemon(bystanders.toml)
    pids = bystanders.up(daemon)
    state = daemon.state_directory
    daemon.crash()
    state.chmod(0o777)
    refused = run_program("opsvisord", "-c", str(daemon.home.config), directory=tmp_path)
    assert refused.status == 2
    assert f"others may write to {state}" in refused.err
    assert "run already: pid " in refused.err
    state.chmod(0o700)
    daemon.begin_again()
    bystanders.check(daemon, pids)


def test_a_directory_removed_under_its_daemon(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """Another daemon can lock the new one, but does not take the programs of one that lives."""
    state = tmp_path / "state"
    bystanders = Bystanders(folder=tmp_path, count=2)
    daemon = start_daemon(bystanders.toml, daemon=f'state_dir = "{state}"')
    pids = bystanders.up(daemon)
    shutil.rmtree(state)
    config = daemon.home.config
    other = config.with_name("other.toml")
    other.write_text(
        config.read_text().replace('unix = "s"', 'unix = "t"').replace('"daemon.', '"other.')
    )
    refused = run_program("opsvisord", "-c", str(other), directory=tmp_path)
    assert refused.status == 2
    assert f"which lives: pid {daemon.pid}\n" in refused.err
    assert not (state / "keeper").exists()  # nothing of the other one is left
    bystanders.check(daemon, pids)
