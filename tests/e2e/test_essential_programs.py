"""Programs that end the daemon: it stops everything else, and says how they ended."""

import pytest
from daemon import StartDaemon
from home import Dialect, Programs

TOML = """
    [program.web]
    command = "$VICTIM 'say begun'"
    stdin = "pipe"
    restart = "no"
    min_uptime = "0s"
    on_exit = "shutdown"

    [program.db]
    command = "$VICTIM 'say begun'"
    """
EXITS = {
    "exit 0": "exit status 0; restart is off",
    "exit 7": "exit status 7; restart is off",
    "die KILL": "terminated by SIGKILL; restart is off",
}


@pytest.mark.parametrize(
    ("ending", "status"), [("exit 0", 0), ("exit 7", 7), ("die KILL", 128 + 9)]
)
def test_the_daemon_ends_with_its_program(
    start_daemon: StartDaemon, ending: str, status: int
) -> None:
    """Everything is stopped in order, and the exit status is that of the program."""
    daemon = start_daemon(Programs(TOML))
    daemon.expected_status = status
    for name in ("web", "db"):
        daemon.until_says(name, "begun")
    daemon.until("web", "RUNNING")
    daemon.client.write_stdin("web", f"{ending}\n")
    assert daemon.wait() == status
    assert f"web is essential, and EXITED: {EXITS[ending]}" in daemon.log
    assert f"the exit status is {status}" in daemon.log
    assert "waiting for db to die" in daemon.log
    assert "stopped: db (terminated by SIGTERM)" in daemon.log


def test_the_exit_status_can_be_chosen(start_daemon: StartDaemon) -> None:
    """Whoever watches the daemon may have a number of its own for this."""
    daemon = start_daemon(Programs(TOML), daemon="essential_exit_code = 42")
    daemon.expected_status = 42
    daemon.until_says("web", "begun")
    daemon.until("web", "RUNNING")
    daemon.client.write_stdin("web", "exit 7\n")
    assert daemon.wait() == 42


def test_a_stop_by_hand_does_not_end_the_daemon(start_daemon: StartDaemon) -> None:
    """Nor does the shutdown that an operator asks for: its exit status is 0."""
    daemon = start_daemon(Programs(TOML))
    daemon.until("web", "RUNNING")
    daemon.client.act("stop", ["web"])
    daemon.client.act("start", ["web"])
    daemon.until("web", "RUNNING")
    assert daemon.terminate() == 0


def test_supervisors_files_can_ask_for_it_too(start_daemon: StartDaemon) -> None:
    """FATAL of any program ends a container that must not live on without it."""
    life = """
        [program:web]
        command = $VICTIM 'say begun'
        startsecs = 60
        startretries = 0

        [program:db]
        command = $VICTIM 'say begun'
        """
    daemon = start_daemon(Programs(life, Dialect.INI), main="[opsvisor]\non_fatal = shutdown")
    daemon.expected_status = 5
    daemon.until_says("web", "begun")
    daemon.client.write_stdin("web", "exit 5\n")
    assert daemon.wait() == 5
    assert "gave up: web entered FATAL state" in daemon.log
