"""The unit that we ship, under a real systemd: see tests/real_systemd.py."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import eventually
from home import Home, Programs
from real_systemd import System, booted, can_boot

needs_systemd = pytest.mark.skipif(
    not can_boot(), reason="only root can have a systemd of its own, with a cgroup of version 2"
)

TWO = """\
[program.web]
command = "$VICTIM"
stop_signal = "INT"

[program.job]
command = "$VICTIM 'exit 3'"
start_retries = 0
"""


@pytest.fixture
def system(home: Home) -> Iterator[System]:
    """A systemd in which our daemon was started."""
    home.write(Programs(TWO))
    with booted(home) as one:
        one.systemctl("start", "opsvisord")
        yield one


def pid_of(system: System, name: str) -> int:
    """The main process of a program, as it is called in there."""
    return int(system.ctl("pid", name).out)


@needs_systemd
def test_it_is_started_when_it_is_ready_and_says_how_things_are(system: System) -> None:
    """`systemctl start` returns once everything listens."""
    assert system.ctl("status").status in (0, 3), system.log
    assert system.shown("ActiveState") == "active"
    system.until("StatusText", "1 running, 1 FATAL: job")


@needs_systemd
def test_a_stop_stops_everything_in_order(system: System) -> None:
    """And nothing is left in its cgroup."""
    web = system.outside(pid_of(system, "web"))
    system.systemctl("stop", "opsvisord")
    assert system.shown("ActiveState") == "inactive"
    assert system.shown("Result") == "success"
    assert not Path(f"/proc/{web}").exists()
    assert "stopped: web" in system.log


@needs_systemd
def test_what_is_said_to_the_daemon_alone_is_not_told_to_programs(system: System) -> None:
    """A program that notifies by itself would speak in the daemon's name."""
    daemon, web = system.daemon, system.outside(pid_of(system, "web"))
    told = (Path(f"/proc/{daemon}/environ")).read_bytes()
    assert b"NOTIFY_SOCKET=" in told
    assert b"WATCHDOG_USEC=" in told
    inherited = (Path(f"/proc/{web}/environ")).read_bytes()
    assert not any(name in inherited for name in (b"NOTIFY_", b"WATCHDOG_", b"LISTEN_"))


@needs_systemd
def test_a_reload_carries_out_what_has_changed(system: System) -> None:
    """What has not changed runs on; a file that can't be used is an error of the reload."""
    web = pid_of(system, "web")
    system.home.rewrite(TWO + '\n[program.more]\ncommand = "$VICTIM"\n')
    system.systemctl("reload", "opsvisord")
    system.until("StatusText", "2 running, 1 FATAL: job")
    assert pid_of(system, "web") == web
    system.home.rewrite("[program.web]\n")
    assert system.run("systemctl", "reload", "opsvisord").status != 0
    assert pid_of(system, "web") == web
    assert system.shown("ActiveState") == "active"


@needs_systemd
def test_the_patience_of_programs_outranks_that_of_the_unit(home: Home) -> None:
    """TimeoutStopSec= is for a daemon that says nothing; stops with a kill_delay are told."""
    home.write(Programs(TWO.replace('"$VICTIM"', '"$VICTIM \'ignore INT\'"\nkill_delay = "3s"')))
    with booted(home, lines=["TimeoutStopSec=1s"]) as system:
        system.systemctl("start", "opsvisord")
        web = system.outside(pid_of(system, "web"))
        system.systemctl("stop", "opsvisord")
        assert system.shown("Result") == "success"
        assert not Path(f"/proc/{web}").exists()


@needs_systemd
def test_a_configuration_that_cannot_be_used_is_not_tried_again(home: Home) -> None:
    """And says what is wrong with it."""
    home.write(Programs("[program.web]\n"))
    with booted(home) as system:
        assert system.run("systemctl", "start", "opsvisord").status != 0
        system.until("ActiveState", "failed")
        assert system.shown("NRestarts") == "0"
        assert system.log.count("command is missing") == 1


@needs_systemd
def test_systemd_holds_the_socket_of_the_api(home: Home) -> None:
    """A client that comes before the daemon waits for it; a reload of ours leaves the socket."""
    home.write(Programs(TWO))
    with booted(home) as system:
        system.systemctl("start", "opsvisord.socket")
        socket = home.socket.stat().st_ino
        assert system.shown("ActiveState") == "inactive"
        web = pid_of(system, "web")
        assert "on a socket that was passed to the daemon" in system.log
        assert system.ctl("reload").status == 0
        eventually(lambda: pid_of(system, "web") not in (0, web))
        system.until("StatusText", "1 running, 1 FATAL: job")
        assert home.socket.stat().st_ino == socket
        web = pid_of(system, "web")
        system.systemctl("restart", "opsvisord")
        os.kill(system.daemon, signal.SIGKILL)
        system.until("NRestarts", "1")
        assert pid_of(system, "web") == web
        assert home.socket.stat().st_ino == socket
        system.systemctl("stop", "opsvisord.socket", "opsvisord")


@needs_systemd
def test_a_restart_without_adoption_stops_everything_in_order(home: Home) -> None:
    """With on_crash = "kill" nothing outlives its daemon, in whichever way that ends."""
    home.write(Programs(TWO), daemon='on_crash = "kill"')
    with booted(home) as system:
        system.systemctl("start", "opsvisord")
        web = system.outside(pid_of(system, "web"))
        system.systemctl("restart", "opsvisord")
        assert not Path(f"/proc/{web}").exists()
        assert 'stopping everything instead: on_crash = "kill"' in system.log
        assert system.shown("Result") == "success"
        system.until("StatusText", "1 running, 1 FATAL: job")


@needs_systemd
def test_a_daemon_in_the_background_is_the_service(home: Home) -> None:
    """As files of Supervisor's have it by default: systemd is told who goes on."""
    home.write(Programs(TWO), daemon="daemonize = true")
    with booted(home) as system:
        system.systemctl("start", "opsvisord")
        system.until("StatusText", "1 running, 1 FATAL: job")
        assert system.daemon == system.outside(int(home.pid_file.read_text()))
        system.systemctl("stop", "opsvisord")
        assert system.shown("Result") == "success"


# -- programs outlive their daemon ---------------------------------------------------------------


@needs_systemd
def test_a_restart_keeps_the_programs(system: System) -> None:
    """With their pids and counters; a second restart as well, and a stop stops them."""
    web = pid_of(system, "web")
    for _ in range(2):
        daemon = system.daemon
        system.systemctl("restart", "opsvisord")
        assert system.daemon != daemon
        assert pid_of(system, "web") == web
        system.until("StatusText", "1 running, 1 FATAL: job")
    assert system.shown("NRestarts") == "0"
    assert system.log.count("spawned: 'web'") == 1
    outside = system.outside(web)
    system.systemctl("stop", "opsvisord")
    assert not Path(f"/proc/{outside}").exists()
    assert system.log.count("stopped: web (terminated by SIGINT)") == 1


@needs_systemd
def test_a_daemon_that_was_killed_is_replaced_and_its_programs_taken_back(system: System) -> None:
    """By systemd, at once, without a second copy of anything."""
    web = pid_of(system, "web")
    os.kill(system.daemon, signal.SIGKILL)
    system.until("NRestarts", "1")
    system.until("StatusText", "1 running, 1 FATAL: job")
    assert pid_of(system, "web") == web
    assert system.log.count("spawned: 'web'") == 1


@needs_systemd
def test_a_daemon_that_hangs_is_replaced_and_its_programs_taken_back(home: Home) -> None:
    """Whoever shows no sign of life is killed by systemd's watchdog."""
    home.write(Programs(TWO))
    with booted(home, lines=["WatchdogSec=2s"]) as system:
        system.systemctl("start", "opsvisord")
        web = pid_of(system, "web")
        os.kill(system.daemon, signal.SIGSTOP)
        system.until("NRestarts", "1")
        system.until("StatusText", "1 running, 1 FATAL: job")
        assert pid_of(system, "web") == web
        assert system.log.count("spawned: 'web'") == 1


@needs_systemd
def test_a_program_that_ends_while_there_is_no_daemon_is_started_by_the_next(
    system: System,
) -> None:
    """Its end is noticed, and judged as it would have been."""
    web = system.outside(pid_of(system, "web"))
    system.home.rewrite(TWO)
    daemon = system.daemon
    os.kill(daemon, signal.SIGSTOP)  # so that it sees nothing of what follows
    os.kill(web, signal.SIGKILL)
    os.kill(daemon, signal.SIGKILL)
    system.until("NRestarts", "1")
    eventually(lambda: system.log.count("spawned: 'web'") == 2)
    system.until("StatusText", "1 running, 1 FATAL: job")
