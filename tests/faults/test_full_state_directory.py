"""No room where the daemon keeps what the next one has to know."""

from pathlib import Path

from bystanders import Bystanders, live_tickers
from daemon import StartDaemon
from exhausted import fill


def test_no_room_for_the_memory(
    small_disk: Path, start_daemon: StartDaemon, tmp_path: Path
) -> None:
    """It is not needed: room was reserved, so programs begun meanwhile are not begun twice."""
    bystanders = Bystanders(folder=tmp_path)
    restarted = Bystanders(folder=tmp_path, name="restarted", count=2)
    daemon = start_daemon(
        bystanders.toml + restarted.toml, daemon=f'state_dir = "{small_disk}/state"'
    )
    pids = bystanders.up(daemon)
    restarted.up(daemon)
    filler = small_disk / "filler"
    fill(filler)
    for _ in range(150):  # enough to have the memory written anew, too
        daemon.client.act("restart", restarted.names)
    now = {name: daemon.status(name).pid for name in restarted.names}
    bystanders.tick_on()
    bystanders.check(daemon, pids)
    daemon.crash()
    daemon.begin_again()
    for name, pid in now.items():
        assert live_tickers(daemon, name) == {pid}
        assert daemon.status(name).pid == pid
    bystanders.tick_on()
    bystanders.check(daemon, pids)
    assert "No space left on device" not in daemon.log
