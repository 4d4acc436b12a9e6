"""The host runs out of what a daemon lives on: descriptors, processes, room on the disk."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from bystanders import Bystanders
from daemon import StartDaemon, eventually
from exhausted import fill
from home import Home
from procfs import descriptors_of, limit_of

# Where cgroups that count processes are made: version 1 of them, or 2.
_PIDS = Path("/sys/fs/cgroup/pids")


@pytest.fixture
def few_processes() -> Iterator[Path]:
    """A cgroup in which only so many processes may be; no limit yet."""
    parent = _PIDS if _PIDS.exists() else Path("/sys/fs/cgroup")
    folder = parent / f"opsvisor-test-{uuid4().hex}"
    folder.mkdir()
    yield folder
    eventually(lambda: not (folder / "cgroup.procs").read_text())
    folder.rmdir()


def test_no_descriptors_left(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """What can't be started says why and is tried again; what runs, and the API, go on as ever."""
    bystanders = Bystanders(folder=tmp_path)
    many = """
        [program.many]
        command = "$VICTIM"
        replicas = 40
        priority = 2000
        min_uptime = "0s"
        backoff_limit = "0.5s"
        restart_limit_count = 1000
        """
    daemon = start_daemon(
        bystanders.toml + many, daemon="min_fds = 0", wrapper=["prlimit", "--nofile=150:150"]
    )
    pids = bystanders.up(daemon)
    assert limit_of(daemon.pid, "Max open files") == ("150", "150")

    def states() -> list[str]:
        return [s.state for name, s in daemon.statuses().items() if name.startswith("many")]

    eventually(lambda: "BACKOFF" in states())
    assert "RUNNING" in states()
    assert "too many open files" in daemon.log
    bystanders.tick_on()
    bystanders.check(daemon, pids)
    running = [n for n, s in daemon.statuses().items() if n.startswith("many") and s.pid]
    daemon.client.act("stop", running)
    eventually(lambda: states().count("RUNNING") == 40 - len(running))
    bystanders.check(daemon, pids)
    assert len(descriptors_of(daemon.pid)) < 150


def test_no_processes_left(few_processes: Path, start_daemon: StartDaemon, tmp_path: Path) -> None:
    """A fork that is refused is a failed start; once there is room, it succeeds."""
    bystanders = Bystanders(folder=tmp_path)
    one_more = """
        [program.later]
        command = "$VICTIM"
        startup = "disabled"
        min_uptime = "0s"
        backoff_limit = "0.5s"
        restart_limit_count = 1000
        """
    daemon = start_daemon(bystanders.toml + one_more, wrapper=_enter(few_processes))
    pids = bystanders.up(daemon)
    _let_no_more_be_made(few_processes)
    daemon.client.act("start", ["later"], wait=False)
    eventually(lambda: "Too many processes" in daemon.status("later").reason)
    bystanders.tick_on()
    bystanders.check(daemon, pids)
    _let_any_be_made(few_processes)
    daemon.until("later", "RUNNING")
    bystanders.check(daemon, pids)


# With a child that no signal to its group reaches: whoever stops it has to look for that.
_ESCAPING = """
    [program.escaping]
    command = ["sh", "-c", "setsid sleep 1000 & echo out; wait"]
    min_uptime = "0s"
    log.stdout = "{folder}/escaping.log"
    """


def test_no_thread_can_be_made(
    few_processes: Path, start_daemon: StartDaemon, tmp_path: Path
) -> None:
    """A daemon that has had no use for threads yet answers, measures and stops without any."""
    daemon = start_daemon(_ESCAPING.format(folder=tmp_path), wrapper=_enter(few_processes))
    eventually(lambda: "out" in (tmp_path / "escaping.log").read_text())
    _let_no_more_be_made(few_processes)
    told = daemon.status("escaping")
    assert told.state == "RUNNING"
    assert told.rss_bytes
    assert "out" in daemon.output_of("escaping")
    assert "out" in daemon.ctl("tail", "escaping").out
    assert daemon.http("/metrics").status == 200
    assert len(daemon.client.process("escaping").tree) == 2
    assert daemon.ctl("stop", "escaping").out == "escaping: stopped\n"
    assert "can't start new thread" not in daemon.log
    _let_any_be_made(few_processes)
    assert daemon.ctl("start", "escaping").out == "escaping: started\n"
    assert daemon.ctl("stop", "escaping").out == "escaping: stopped\n"


def test_a_reload_and_an_end_without_threads(
    few_processes: Path, start_daemon: StartDaemon, tmp_path: Path
) -> None:
    """Both end all programs, and the loop with its threads, whether or not there can be any."""
    daemon = start_daemon(_ESCAPING.format(folder=tmp_path), wrapper=_enter(few_processes))
    eventually(lambda: "out" in (tmp_path / "escaping.log").read_text())
    _let_no_more_be_made(few_processes)
    daemon.signal(signal.SIGHUP)
    daemon.until_logged("Too many processes")
    assert daemon.terminate() == 0


def _enter(folder: Path) -> list[str]:
    """What comes before a command that is to be in this cgroup."""
    return ["sh", "-c", f'echo $$ > {folder}/cgroup.procs; exec "$@"', "sh"]


def _let_no_more_be_made(folder: Path) -> None:
    (folder / "pids.max").write_text("1")


def _let_any_be_made(folder: Path) -> None:
    (folder / "pids.max").write_text("max")


def test_no_room_for_the_daemons_log(
    small_disk: Path, start_daemon: StartDaemon, home: Home
) -> None:
    """The daemon goes on without its log, says so where it can, and writes again when it can."""
    home.log_file = small_disk / "daemon.log"
    bystanders = Bystanders(folder=home.directory)
    daemon = start_daemon(
        bystanders.toml + '[program.web]\ncommand = "$VICTIM"\nmin_uptime = "0s"\n',
        options=("-l", str(home.log_file)),
    )
    pids = bystanders.up(daemon)
    daemon.until("web", "RUNNING")
    filler = small_disk / "filler"
    fill(filler)

    def has_grown() -> bool:
        before = len(daemon.log)
        daemon.client.act("restart", ["web"])
        return len(daemon.log) > before

    eventually(lambda: not has_grown())  # the last page had room
    bystanders.tick_on()
    bystanders.check(daemon, pids)
    filler.unlink()
    eventually(has_grown)
    bystanders.check(daemon, pids)


def test_no_room_for_a_programs_log(
    small_disk: Path, start_daemon: StartDaemon, tmp_path: Path
) -> None:
    """Lines that do not fit are dropped and counted, none is half there; then they fit again."""
    bystanders = Bystanders(folder=tmp_path)
    daemon = start_daemon(
        f"""
        {bystanders.toml}
        [program.web]
        command = "$VICTIM"
        stdin = "pipe"
        min_uptime = "0s"
        log = {{ stdout = "{small_disk}/web.log", rotate_size = "0" }}
        """
    )
    pids = bystanders.up(daemon)
    daemon.until("web", "RUNNING")
    labels = {"process": "web", "stream": "stdout"}
    daemon.client.write_stdin("web", "count 1 200000\nsay counted\n")
    eventually(lambda: daemon.metric("opsvisor_log_lines_total", **labels) == 200_001)
    dropped = daemon.metric("opsvisor_log_dropped_lines_total", **labels)
    assert "No space left on device" in daemon.status("web").log_problem
    written = (small_disk / "web.log").read_bytes().splitlines()
    assert len(written) + dropped == 200_001
    bystanders.tick_on()
    bystanders.check(daemon, pids)
    (small_disk / "web.log").unlink()

    def is_written_again() -> bool:
        daemon.client.write_stdin("web", "say again\n")
        log = small_disk / "web.log"
        return log.exists() and b"again\n" in log.read_bytes()

    eventually(is_written_again)
    assert daemon.status("web").log_problem == ""
    bystanders.check(daemon, pids)


@pytest.mark.parametrize("meanwhile", ["nothing", "upgrade", "crash"])
def test_no_room_for_the_rest_of_a_line(
    small_disk: Path, start_daemon: StartDaemon, meanwhile: str
) -> None:
    """The line that was torn ends there, whatever becomes of the daemon until there is room."""
    daemon = start_daemon(
        f"""
        [program.web]
        command = "$VICTIM"
        stdin = "pipe"
        min_uptime = "0s"
        log = {{ stdout = "{small_disk}/web.log", rotate_size = "0" }}
        """
    )
    daemon.until("web", "RUNNING")
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(16384))
    labels = {"process": "web", "stream": "stdout"}
    daemon.client.write_stdin("web", "count 1 200000\n")
    eventually(lambda: daemon.metric("opsvisor_log_lines_total", **labels) == 200_000)
    log = small_disk / "web.log"
    assert log.stat().st_size % 10  # bytes of a line
    if meanwhile == "upgrade":
        assert daemon.ctl("upgrade").status == 0
    elif meanwhile == "crash":
        daemon.crash()
        daemon.begin_again()
    ballast.unlink()

    def is_written_again() -> bool:
        daemon.client.write_stdin("web", "say again\n")
        return log.read_bytes().endswith(b"again\n")

    eventually(is_written_again)
    counted = [line for line in log.read_text().splitlines() if line != "again"]
    assert counted[:-1] == [f"{number:09}" for number in range(1, len(counted))]
    assert f"{len(counted):09}".startswith(counted[-1])
    if meanwhile != "crash":  # with which counting begins anew
        lines = daemon.metric("opsvisor_log_lines_total", **labels)
        dropped = daemon.metric("opsvisor_log_dropped_lines_total", **labels)
        assert log.read_bytes().count(b"\n") + dropped == lines


def test_directory_that_can_not_be_written(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """A log directory that becomes read-only: the program runs on, its output is in memory."""
    folder = tmp_path / "logs"
    folder.mkdir()
    bystanders = Bystanders(folder=tmp_path)
    daemon = start_daemon(
        f"""
        {bystanders.toml}
        [program.web]
        command = "$VICTIM"
        stdin = "pipe"
        min_uptime = "0s"
        log = {{ stdout = "{folder}/web.log", rotate_size = "1K", rotate_keep = 3 }}
        """
    )
    pids = bystanders.up(daemon)
    daemon.until("web", "RUNNING")
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        daemon.signal(signal.SIGUSR2)
        daemon.client.write_stdin("web", "count 1 500\nsay counted\n")
        labels = {"process": "web", "stream": "stdout"}
        eventually(lambda: daemon.metric("opsvisor_log_lines_total", **labels) == 501)
        assert "Read-only file system" in daemon.status("web").log_problem
        bystanders.tick_on()
        bystanders.check(daemon, pids)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
    os.truncate(folder / "web.log", 0)
    daemon.signal(signal.SIGUSR2)
    daemon.client.write_stdin("web", "say again\n")
    eventually(lambda: b"again\n" in (folder / "web.log").read_bytes())
    bystanders.check(daemon, pids)
