"""Everything crashes at once, again and again."""

import signal
from pathlib import Path

from bystanders import Bystanders
from daemon import StartDaemon, eventually


def test_two_hundred_programs_crash_in_a_loop(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """They are slowed down and called flapping; each exit is counted; nobody else suffers."""
    bystanders = Bystanders(folder=tmp_path)
    looping = """
        [program.looping]
        command = ["false"]
        replicas = 200
        min_uptime = "0s"
        backoff_delay = "0.2s"
        backoff_limit = "1s"
        """
    daemon = start_daemon(bystanders.toml + looping)
    pids = bystanders.up(daemon)

    def loopers() -> list[tuple[int, int]]:
        return [
            (one.starts, one.restarts)
            for name, one in daemon.statuses().items()
            if name.startswith("looping")
        ]

    assert len(loopers()) == 200
    eventually(lambda: min(starts for starts, _ in loopers()) >= 5, patience=60)
    bystanders.check_answer(daemon)
    assert all(restarts == starts - 1 for starts, restarts in loopers())
    flapping = daemon.http("/metrics").text.count('opsvisor_process_flapping{group="looping"')
    assert flapping == 200
    bystanders.tick_on()
    bystanders.check(daemon, pids)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
