"""Programs that misbehave in every way there is: their neighbours and the daemon don't notice."""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from bystanders import Bystanders
from daemon import Daemon, StartDaemon, eventually
from procfs import children_of, is_alive, is_gone, status_of

NASTY = Path(__file__).with_name("nasty.py")
GIBIBYTE = 1 << 30


@dataclass(frozen=True)
class Ward:
    """A daemon with bystanders and one program that is none."""

    daemon: Daemon
    bystanders: Bystanders
    pids: dict[str, int]
    log: Path

    def check(self) -> None:
        """Nobody else has noticed anything."""
        self.bystanders.tick_on()
        self.bystanders.check(self.daemon, self.pids)


Admit = Callable[..., Ward]


@pytest.fixture
def admit(start_daemon: StartDaemon, tmp_path: Path) -> Admit:
    """Start a daemon with bystanders and the program `nasty`, which does this deed."""

    def start(*deed: str, more: str = "") -> Ward:
        bystanders = Bystanders(folder=tmp_path)
        log = tmp_path / "nasty.log"
        daemon = start_daemon(
            f"""
            {bystanders.toml}
            [program.nasty]
            command = {[sys.executable, "-I", "-S", str(NASTY), *deed]}
            restart = "no"
            min_uptime = "0s"
            kill_delay = "0.5s"
            log = {{ stdout = "{log}", rotate_size = "0" }}
            {more}
            """
        )
        return Ward(daemon, bystanders, bystanders.up(daemon), log)

    return start


def test_flood_of_a_gibibyte(admit: Admit) -> None:
    """All of it is counted and in the log; nobody else waits for theirs."""
    size = GIBIBYTE - GIBIBYTE % 100
    ward = admit("flood", str(size))
    ward.bystanders.check_answer(ward.daemon)
    eventually(lambda: ward.daemon.status("nasty").state == "EXITED", patience=60)
    labels = {"process": "nasty", "stream": "stdout"}
    assert ward.daemon.metric("opsvisor_log_bytes_total", **labels) == size
    assert ward.daemon.metric("opsvisor_log_lines_total", **labels) == size // 100
    assert ward.daemon.metric("opsvisor_log_dropped_lines_total", **labels) == 0
    assert ward.log.stat().st_size == size
    ward.check()
    ward.log.unlink()


def test_line_of_fifty_megabytes(admit: Admit) -> None:
    """One line, longer than anything that is kept in memory, is in the log as it came."""
    size = 50 << 20
    ward = admit("one-line", str(size))
    eventually(lambda: ward.daemon.status("nasty").state == "EXITED")
    text = ward.log.read_bytes()
    assert len(text) == size
    assert text == b"y" * (size - 1) + b"\n"
    ward.check()


def test_output_that_is_no_text(admit: Admit) -> None:
    """NULs, half characters and surrogates are in the log as they came; readers take no harm."""
    ward = admit("bytes")
    eventually(lambda: ward.daemon.status("nasty").state == "EXITED")
    wanted = bytes(range(256)) * 64 + b"\xc3\x28\xed\xa0\x80\xf4\x90\x80\x80\0\0\n"
    assert ward.log.read_bytes() == wanted
    assert ward.daemon.ctl("tail", "nasty").status == 0
    assert ward.daemon.ctl("why", "nasty").status == 0
    ward.check()


def test_closed_output(admit: Admit) -> None:
    """A program without streams is no less supervised: it runs on, and its end is seen."""
    ward = admit("close-output")
    pid = ward.daemon.until("nasty", "RUNNING").pid
    assert pid is not None
    eventually(lambda: not os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - numbers, not paths
    ward.check()
    assert ward.daemon.status("nasty").state == "RUNNING"
    os.kill(pid, signal.SIGSEGV)
    assert "SIGSEGV" in ward.daemon.until("nasty", "EXITED").reason
    ward.check()


def test_deaf_program_is_killed_at_its_time(admit: Admit) -> None:
    """Who ignores every signal ends by SIGKILL after its kill_delay."""
    ward = admit("deaf")
    ward.daemon.until_says("nasty", "deaf")
    pid = ward.daemon.status("nasty").pid
    assert pid is not None
    ward.daemon.client.act("stop", ["nasty"])
    assert is_gone(pid)
    assert ward.daemon.status("nasty").state == "STOPPED"
    ward.check()


def test_zombie_parent(admit: Admit) -> None:
    """Zombies of a parent that never waits are its own; when it is gone, they are, too."""
    ward = admit("zombie-parent", "50")
    ward.daemon.until_says("nasty", "has zombies")
    pid = ward.daemon.status("nasty").pid
    assert pid is not None
    zombies = children_of(pid)
    eventually(lambda: all(status_of(z)["State"].startswith("Z") for z in zombies))
    assert len(zombies) == 50
    ward.check()
    ward.daemon.client.act("stop", ["nasty"])
    eventually(lambda: all(map(is_gone, zombies)))
    ward.check()


def test_change_of_process_group(admit: Admit) -> None:
    """A program that left its group is stopped all the same."""
    ward = admit("new-group")
    said = ward.daemon.until_says("nasty", "in the group of")
    pid, child = ward.daemon.status("nasty").pid, int(said.rsplit(maxsplit=1)[1])
    assert pid is not None
    assert os.getpgid(pid) == child
    ward.daemon.client.act("stop", ["nasty"])
    assert is_gone(pid)
    eventually(lambda: not is_alive(child))
    ward.check()


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("#!/no/such/interpreter\n", 0o755, "ENOENT"),
        ("no program at all\n", 0o755, "ENOEXEC"),
        ("\x7fELF" + "\0" * 60, 0o755, "ENOEXEC"),
        ("#!/bin/sh\n", 0o644, "not executable"),
    ],
)
def test_death_at_exec(
    start_daemon: StartDaemon, tmp_path: Path, text: str, mode: int, said: str
) -> None:
    """What can't be executed is a failed start with its reason; nothing is left of the attempt."""
    program = tmp_path / "program"
    program.write_text(text)
    program.chmod(mode)
    bystanders = Bystanders(folder=tmp_path)
    daemon = start_daemon(
        f'{bystanders.toml}\n[program.nasty]\ncommand = ["{program}"]\nrestart = "no"\n'
    )
    pids = bystanders.up(daemon)
    assert said in daemon.until("nasty", "FATAL").reason
    assert set(daemon.offspring()) >= set(pids.values())
    bystanders.tick_on()
    bystanders.check(daemon, pids)


def test_thousands_of_deaths_at_one_instant(admit: Admit) -> None:
    """Two thousand orphans end in one go, whose parent has ended: all are reaped, and counted."""
    ward = admit("many-children", "2000", more='stdin = "pipe"')
    ward.daemon.until_says("nasty", "has children")
    ward.daemon.client.write_stdin("nasty", "\n")
    ward.daemon.until("nasty", "EXITED")
    eventually(lambda: ward.daemon.metric("opsvisor_orphans_reaped_total") >= 2000)
    ward.check()
    assert not [c for c in children_of(ward.daemon.pid) if not is_alive(c)]
