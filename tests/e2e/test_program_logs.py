"""What programs say: whole, in order, rotated, moved away, and where the disk does not take it."""

import signal
from pathlib import Path

from daemon import StartDaemon, eventually
from home import Home, Programs, in_both_languages

NUMBERED = 580  # lines of ten bytes: below the 6 KB that six files of 1 KB hold


def content(path: Path) -> bytes:
    """What is in the file; nothing while it is not there, as in the middle of a rotation."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


@in_both_languages(
    ini="""
        [program:test]
        command = $VICTIM
        stdout_logfile = $HERE/test.log
        stdout_logfile_maxbytes = 1KB
        stdout_logfile_backups = 5
        """,
    toml="""
        [program.test]
        command = "$VICTIM"
        stdin = "pipe"
        log = { stdout = "$HERE/test.log", rotate_size = "1K", rotate_keep = 5 }
        """,
)
def test_rotated_logs_hold_everything(
    start_daemon: StartDaemon, home: Home, programs: Programs
) -> None:
    """test.log and test.log.1 to .5, none above 1 KB, and together the whole output in order."""
    daemon = start_daemon(programs)
    daemon.until("test", "RUNNING")
    daemon.client.write_stdin("test", f"count 1 {NUMBERED}\n")
    last = b"%09d\n" % NUMBERED
    files = [home.directory / f"test.log.{n}" for n in range(5, 0, -1)]
    files.append(home.directory / "test.log")
    eventually(lambda: content(files[-1]).endswith(last))
    assert all(file.stat().st_size <= 1024 for file in files)
    written = b"".join(file.read_bytes() for file in files)
    assert written == b"".join(b"%09d\n" % number for number in range(1, NUMBERED + 1))
    assert daemon.metric("opsvisor_log_rotations_total", process="test") == 5
    assert not (home.directory / "test.log.6").exists()


@in_both_languages(
    ini="""
        [program:test]
        command = $VICTIM 'finish TERM 3'
        startsecs = 0
        stdout_logfile = $HERE/test.log
        """,
    toml="""
        [program.test]
        command = "$VICTIM 'finish TERM 3'"
        min_uptime = "0s"
        log = { stdout = "$HERE/test.log" }
        """,
)
def test_signalled_program_finishes_its_work(
    start_daemon: StartDaemon, home: Home, programs: Programs
) -> None:
    """`signal 15 test`: the program's handler runs, its last lines are logged, it is EXITED."""
    daemon = start_daemon(programs)
    daemon.until_says("test", "will finish on TERM")
    assert daemon.ctl("signal", "15", "test") == (0, "test: signalled\n", "")
    daemon.until("test", "EXITED")
    lines = (home.directory / "test.log").read_text().splitlines()
    assert lines[1:] == ["finishing 0", "finishing 1", "finishing 2", "finished"]
    assert daemon.status("test").exit_code == 0


def test_usr2_opens_logs_again_after_they_were_moved(
    start_daemon: StartDaemon, home: Home
) -> None:
    """The way of logrotate: move the files, send SIGUSR2, and new lines are in new files."""
    daemon = start_daemon(
        """
        [program.test]
        command = "$VICTIM 'say before'"
        stdin = "pipe"
        log = { stdout = "$HERE/test.log" }
        """
    )
    log = home.directory / "test.log"
    eventually(lambda: content(log) == b"before\n")
    log.rename(home.directory / "test.log.old")
    home.log_file.rename(home.directory / "daemon.log.old")
    daemon.signal(signal.SIGUSR2)
    eventually(home.log_file.exists)
    daemon.client.write_stdin("test", "say after\n")
    eventually(lambda: content(log) == b"after\n")
    assert (home.directory / "test.log.old").read_text() == "before\n"
    assert "received SIGUSR2 indicating log reopen request" in (
        daemon.log + (home.directory / "daemon.log.old").read_text()
    )


def test_full_disk_degrades_the_log_and_nothing_else(start_daemon: StartDaemon) -> None:
    """A log on a full disk: the program runs on, status, metric and `tail` say what there is."""
    daemon = start_daemon(
        """
        [program.test]
        command = "$VICTIM 'say into the void'"
        log = { stdout = "/dev/full" }
        """
    )
    daemon.until("test", "RUNNING")
    daemon.until_says("test", "into the void\n")
    assert "No space left on device" in daemon.status("test").log_problem
    assert daemon.metric("opsvisor_log_write_errors_total", process="test") >= 1
    assert daemon.status("test").restarts == 0
    assert "its log has a problem: cannot " in daemon.ctl("why", "test").out


def test_log_below_a_missing_directory_degrades_the_log_only(
    start_daemon: StartDaemon, home: Home
) -> None:
    """A log that can't be opened stays in memory; once its directory is there, it is written."""
    daemon = start_daemon(
        """
        [program.test]
        command = "$VICTIM 'say early'"
        stdin = "pipe"
        log = { stdout = "$HERE/later/test.log" }
        """
    )
    daemon.until("test", "RUNNING")
    daemon.until_says("test", "early\n")
    assert "No such file or directory" in daemon.status("test").log_problem
    (home.directory / "later").mkdir()
    daemon.signal(signal.SIGUSR2)
    daemon.until_logged("SIGUSR2")
    daemon.client.write_stdin("test", "say late\n")
    log = home.directory / "later" / "test.log"
    eventually(lambda: b"late\n" in content(log))
    assert daemon.status("test").log_problem == ""


def test_flood_is_counted_and_does_not_hold_up_the_api(start_daemon: StartDaemon) -> None:
    """A program that writes as fast as it can finds all of it in its log; status still answers."""
    daemon = start_daemon(
        """
        [program.test]
        command = "$VICTIM 'count 1 200000'"
        log = { stdout = "$HERE/test.log", rotate_size = "0" }
        """
    )
    assert daemon.status("test").state in ("STARTING", "RUNNING")
    eventually(
        lambda: (
            daemon.metric("opsvisor_log_lines_total", process="test", stream="stdout") == 200_000
        )
    )
    log = daemon.home.directory / "test.log"
    eventually(lambda: len(content(log)) == 2_000_000)
    assert daemon.metric("opsvisor_log_bytes_total", process="test", stream="stdout") == 2_000_000


def test_cleared_log_is_empty_and_goes_on(start_daemon: StartDaemon, home: Home) -> None:
    """`clear` empties file and memory; the next line is the first."""
    daemon = start_daemon(
        """
        [program.test]
        command = "$VICTIM 'say before'"
        stdin = "pipe"
        log = { stdout = "$HERE/test.log" }
        """
    )
    daemon.until_says("test", "before")
    assert daemon.ctl("clear", "test").out == "test: cleared\n"
    assert (home.directory / "test.log").read_bytes() == b""
    daemon.client.write_stdin("test", "say after\n")
    assert daemon.until_says("test", "after") == "after\n"
