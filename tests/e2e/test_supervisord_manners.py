"""With a file of Supervisor's, opsvisord starts, logs and cleans up as supervisord does."""

import os
import re
import resource
import signal
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import kill_marked, marked, run_program
from daemon import StartDaemon, eventually
from home import Dialect, Home, Programs
from http_requests import UnixHttp, free_port, request
from procfs import is_alive, limit_of, status_of

PROGRAM = Programs("[program:web]\ncommand = $VICTIM\nstartsecs = 0\n", Dialect.INI)
NO_PROGRAM = Programs("", Dialect.INI)
IN_USE = (
    "Error: Another program is already listening on a port that one of our HTTP servers is"
    " configured to use.  Shut this program down first before starting supervisord.\n"
)


def messages(log: str) -> list[str]:
    """The lines of a log without their time."""
    return [line[24:] for line in log.splitlines()]


@contextmanager
def in_background(home: Home, *options: str) -> Iterator[int]:
    """A daemon that has left the foreground: its pid, for as long as the block lasts."""
    mark = uuid.uuid4().hex
    words = ["-c", str(home.config), *options]
    started = run_program("opsvisord", *words, directory=home.directory, mark=mark)
    assert started == (0, "", ""), home.log_file.read_text()
    pid = int(home.pid_file.read_text())
    try:
        yield pid
    finally:
        if is_alive(pid):
            os.kill(pid, signal.SIGTERM)
        try:
            eventually(lambda: not marked(mark))
        finally:
            kill_marked(mark)
    assert not home.pid_file.exists()
    assert not home.socket.exists()


def test_the_way_to_the_background(home: Home, tmp_path: Path) -> None:
    """As there: a session of its own, directory, umask, and the lines that say so, in order."""
    work = tmp_path / "work"
    work.mkdir()
    home.write(PROGRAM, daemon=f"nodaemon = false\ndirectory = {work}\numask = 027")
    with in_background(home) as pid:
        assert str(Path(f"/proc/{pid}/cwd").readlink()) == str(work)
        assert status_of(pid)["Umask"] == "0027"
        assert os.getsid(pid) == pid
        assert {str(Path(f"/proc/{pid}/fd/{standard}").readlink()) for standard in (0, 1, 2)} == {
            os.devnull
        }
        assert home.pid_file.stat().st_mode & 0o777 == 0o640
        assert request(UnixHttp(home.socket), "/readyz").status == 200
        told = messages(home.log_file.read_text())
    wanted = [
        f'INFO Included extra file "{home.programs}" during parsing',
        "INFO RPC interface 'supervisor' initialized",
        "CRIT Server 'unix_http_server' running without any HTTP authentication checking",
        "INFO daemonizing the supervisord process",
        f"INFO set current directory: '{work}'",
        f"INFO supervisord started with pid {pid}",
    ]
    assert [line for line in told if line in wanted] == wanted
    if os.geteuid() == 0:
        assert told[0].startswith("CRIT Supervisor is running as root.")


def test_our_own_file_leads_to_the_background_too(home: Home, tmp_path: Path) -> None:
    """In the same way, under our own name; -n stays."""
    work = tmp_path / "work"
    work.mkdir()
    program = Programs('[program.web]\ncommand = "$VICTIM"\n')
    home.write(program, daemon='daemonize = true\nworking_dir = "work"\numask = "027"')
    with in_background(home) as pid:
        assert str(Path(f"/proc/{pid}/cwd").readlink()) == str(work)
        assert status_of(pid)["Umask"] == "0027"
        told = messages(home.log_file.read_text())
        assert told.index("INFO daemonizing the opsvisord process") < told.index(
            f"INFO opsvisord started with pid {pid}"
        )


def test_in_the_foreground_neither_directory_nor_umask_counts(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    """Supervisor changes both on the way to the background only."""
    daemon = start_daemon(PROGRAM, daemon="directory = /\numask = 077", options=["-n", "-d", "/"])
    assert str(Path(f"/proc/{daemon.pid}/cwd").readlink()) == str(tmp_path)
    assert status_of(daemon.pid)["Umask"] != "0077"
    assert "daemonizing" not in daemon.log


def test_flags_on_the_way_to_the_background(home: Home, tmp_path: Path) -> None:
    """-d and -m outrank the file."""
    work = tmp_path / "work"
    work.mkdir()
    home.write(PROGRAM, daemon="nodaemon = false\ndirectory = /\numask = 077")
    with in_background(home, "-d", str(work), "-m", "022") as pid:
        assert str(Path(f"/proc/{pid}/cwd").readlink()) == str(work)
        assert status_of(pid)["Umask"] == "0022"


def test_limits_are_raised_and_told(start_daemon: StartDaemon) -> None:
    """To what minfds asks for, and never lowered."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = ["prlimit", f"--nofile=512:{hard}"]
    daemon = start_daemon(NO_PROGRAM, daemon="minfds = 700", wrapper=low)
    assert "INFO Increased RLIMIT_NOFILE limit to 700" in messages(daemon.log)
    assert limit_of(daemon.pid, "Max open files")[0] == "700"


def test_limits_that_are_high_enough_are_left_alone(start_daemon: StartDaemon) -> None:
    """Nothing to do, nothing said."""
    daemon = start_daemon(NO_PROGRAM, daemon="minfds = 20\nminprocs = 1")
    assert "Increased" not in daemon.log


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody")
def test_another_user(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """Given by name or by flag: the daemon is that user, says so, and writes as that user."""
    tmp_path.chmod(0o777)
    for parent in list(tmp_path.parents)[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    daemon = start_daemon(NO_PROGRAM, options=["-u", "nobody"])
    uid = status_of(daemon.pid)["Uid"].split()[0]
    assert uid != "0"
    assert f"INFO Set uid to user {uid} succeeded" in messages(daemon.log)
    assert "CRIT Supervisor is running as root" not in daemon.log
    assert daemon.home.pid_file.stat().st_uid == int(uid)


def test_second_instance_in_supervisors_words(start_daemon: StartDaemon) -> None:
    """On the unix socket: exit 2, the sentence that scripts know, and below it what helps."""
    daemon = start_daemon(PROGRAM)
    (before,) = daemon.home.directory.glob("web-stdout---supervisor-*")
    second = daemon.run("opsvisord", "-c", str(daemon.home.config), "-s")
    assert (second.status, second.out) == (2, "")
    assert second.err.startswith(IN_USE)
    assert "opsvisorctl shutdown ends it" in second.err
    assert second.err.splitlines()[-1].startswith("For help, use ")
    assert before.exists(), "a second daemon took the AUTO logs of the first"
    assert int(daemon.home.pid_file.read_text()) == daemon.pid


def test_taken_port_in_supervisors_words(home: Home) -> None:
    """Also in the background, where the parent waits to tell it; and only once."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        home.write(
            NO_PROGRAM,
            main=f"[inet_http_server]\nport = 127.0.0.1:{port}",
            daemon="nodaemon = false",
        )
        refused = run_program("opsvisord", "-c", str(home.config), directory=home.directory)
    assert refused.status == 2
    assert refused.err.startswith(IN_USE)
    assert refused.err.count("Error: ") == 1
    assert "ss -ltnp" in refused.err
    assert not home.socket.exists()


def test_other_bind_errors_have_their_number(home: Home) -> None:
    """By the name that Supervisor gives it."""
    home.write(NO_PROGRAM, main="[unix_http_server:b]\nfile = /proc/none/s")
    refused = run_program("opsvisord", "-c", str(home.config), "-s", directory=home.directory)
    assert refused.status == 2
    assert refused.err.startswith(
        "Error: Cannot open an HTTP server: socket.error reported errno.ENOENT (2)\n"
    )


def test_stale_socket_is_taken_over_and_told(start_daemon: StartDaemon, home: Home) -> None:
    """On standard error, where supervisord says it."""
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(home.socket))
    start_daemon(NO_PROGRAM, options=["-s"])
    assert f"Unlinking stale socket {home.socket}\n" in home.output.read_text()


def test_pid_file_that_can_not_be_written(start_daemon: StartDaemon, home: Home) -> None:
    """CRIT, and on with it; one of a dead daemon is overwritten without a look."""
    (home.directory / "pid").mkdir()
    daemon = start_daemon(NO_PROGRAM, daemon=f"pidfile = {home.directory}/pid")
    assert f"CRIT could not write pidfile {home.directory}/pid" in daemon.log
    assert daemon.terminate() == 0
    home.pid_file.write_text("1\n")
    again = start_daemon(NO_PROGRAM)
    assert home.pid_file.read_text() == f"{again.pid}\n"


def test_auto_logs_are_there_before_the_first_start(start_daemon: StartDaemon) -> None:
    """Empty and ours alone, one per stream, also of what is added later; none for a merged one."""
    daemon = start_daemon(
        Programs(
            """
            [program:idle]
            command = $VICTIM
            autostart = false
            [program:merged]
            command = $VICTIM
            autostart = false
            redirect_stderr = true
            """,
            Dialect.INI,
        )
    )

    def logs() -> list[str]:
        found = sorted(daemon.home.directory.glob("*---supervisor-*.log"))
        assert {(path.stat().st_size, path.stat().st_mode & 0o777) for path in found} == {
            (0, 0o600)
        }
        return [path.name.partition("---")[0] for path in found]

    assert logs() == ["idle-stderr", "idle-stdout", "merged-stdout"]
    daemon.home.rewrite("[program:late]\ncommand = $VICTIM\nautostart = false\n", file="more")
    assert daemon.ctl("update").status == 0
    assert logs() == ["idle-stderr", "idle-stdout", "late-stderr", "late-stdout", "merged-stdout"]


OLD = [
    "web-stdout---supervisor-abcdef_1.log",
    "web-stderr---supervisor-abcdef_1.log.10",
    "gone-stdout---supervisor-00000000.log",
]
NOT_OURS = [
    "web-stdout---supervisor-abcdefgh.log.txt",
    "web-stdout---supervisors-abcdefgh.log",
    "web-stdout---supervisor-abcdefgh0.log",
    "web-stdin---supervisor-abcdefgh.log",
    "web-stdout---other-abcdefgh.log",
    "notes---supervisor-abcdefgh.log",
]


def test_old_auto_logs_are_removed(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """What carries our name in the whole pattern; nothing of others, nothing behind a link."""
    precious = tmp_path / "precious"
    precious.write_text("x")
    link = tmp_path / "link-stdout---supervisor-abcdefgh.log"
    link.symlink_to(precious)
    folder = tmp_path / "dir-stdout---supervisor-abcdefgh.log"
    folder.mkdir()
    kept = [tmp_path / name for name in NOT_OURS]
    if os.geteuid() == 0:
        kept.append(tmp_path / "theirs-stdout---supervisor-abcdefgh.log")
    for path in (*kept, *(tmp_path / name for name in OLD)):
        path.write_text("old")
    if os.geteuid() == 0:
        os.chown(kept[-1], 65534, 65534)
    start_daemon(NO_PROGRAM)
    assert [path for path in (*kept, link, folder, precious) if not os.path.lexists(path)] == []
    assert [name for name in OLD if (tmp_path / name).exists()] == []


@pytest.mark.parametrize("way", ["file", "flag"])
def test_nocleanup_keeps_old_auto_logs(
    start_daemon: StartDaemon, tmp_path: Path, way: str
) -> None:
    """By the option, and by -k."""
    (tmp_path / OLD[0]).write_text("old")
    start_daemon(
        NO_PROGRAM,
        daemon="nocleanup = true" if way == "file" else "",
        options=["-k"] if way == "flag" else [],
    )
    assert (tmp_path / OLD[0]).exists()


def test_logs_are_reopened(start_daemon: StartDaemon, home: Home) -> None:
    """USR2: both lines are in the file that was renamed, what follows is in a new one."""
    daemon = start_daemon(PROGRAM)
    renamed = home.log_file.rename(home.directory / "daemon.log.old")
    daemon.signal(signal.SIGUSR2)
    eventually(lambda: home.log_file.exists() or "logreopen" in renamed.read_text())
    assert messages(renamed.read_text())[-2:] == [
        "INFO received SIGUSR2 indicating log reopen request",
        "INFO supervisord logreopen",
    ]
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert "WARN received SIGTERM indicating exit request" in home.log_file.read_text()


def test_a_restart_begins_the_story_anew(start_daemon: StartDaemon) -> None:
    """HUP: same pid, and the lines of a start again."""
    daemon = start_daemon(PROGRAM)
    started = daemon.client.daemon().started_at
    daemon.signal(signal.SIGHUP)
    daemon.until_begun_anew(after=started)
    told = messages(daemon.log)
    assert "WARN received SIGHUP indicating restart request" in told
    assert told.count(f"INFO supervisord started with pid {daemon.pid}") == 2
    assert told.count("INFO RPC interface 'supervisor' initialized") == 2


def test_what_was_misspelt_is_told_first(start_daemon: StartDaemon, home: Home) -> None:
    """Warnings begin with what Supervisor says; the place is behind it."""
    daemon = start_daemon(NO_PROGRAM, main="files = conf.d/*.ini none/*.conf", daemon="logfil = x")
    warned = [line for line in messages(daemon.log) if line.startswith("WARN")]
    assert len(warned) == 2
    assert warned[0].startswith("WARN [supervisord] has no option 'logfil', it has no effect (")
    nothing = f'WARN No file matches via include "{home.directory}/none/*.conf" ('
    assert warned[1].startswith(nothing)


def test_every_line_has_supervisors_form(start_daemon: StartDaemon) -> None:
    """Time with a comma and milliseconds, level in four letters; copied to standard output."""
    daemon = start_daemon(PROGRAM, options=["-e", "blather"])
    daemon.until("web", "RUNNING")
    assert daemon.terminate() == 0
    form = re.compile(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (CRIT|ERRO|WARN|INFO|DEBG|TRAC|BLAT) .+"
    )
    lines = daemon.log.splitlines()
    assert [line for line in lines if not form.fullmatch(line)] == []
    assert daemon.home.output.read_text() == daemon.log


def test_what_programs_print_is_in_the_log_at_level_debug(start_daemon: StartDaemon) -> None:
    """Chunk by chunk, its own newline included; bytes that are no text are shown as such."""
    odd = "[program:odd]\ncommand = printf '\\377\\n'\nautorestart = false\nstartsecs = 0\n"
    web = "[program:web]\ncommand = $VICTIM 'say hello'\n"
    daemon = start_daemon(Programs(f"{web}{odd}", Dialect.INI), options=["-e", "debug"])
    daemon.until_logged("DEBG 'web' stdout output:\nhello\n\n")
    daemon.client.write_stdin("web", "complain oops\n")
    daemon.until_logged("DEBG 'web' stderr output:\noops\n\n")
    daemon.until_logged("DEBG 'odd' stdout output:\nUndecodable: b'\\xff\\n'\n")


def test_what_programs_print_is_not_in_the_log_otherwise(start_daemon: StartDaemon) -> None:
    """It has a log of its own."""
    daemon = start_daemon(Programs("[program:web]\ncommand = $VICTIM 'say hello'\n", Dialect.INI))
    daemon.until_says("web", "hello")
    assert "output:" not in daemon.log


def test_a_log_on_standard_output_is_not_doubled(start_daemon: StartDaemon, home: Home) -> None:
    """As in containers: nodaemon, and the log on /dev/stdout."""
    daemon = start_daemon(NO_PROGRAM, daemon="logfile = /dev/stdout\nlogfile_maxbytes = 0")
    assert daemon.terminate() == 0
    assert home.output.read_text().count("supervisord started with pid") == 1


def test_two_servers_listen_before_the_daemon_says_that_it_started(
    start_daemon: StartDaemon,
) -> None:
    """Whoever waits for that line may connect at once."""
    port = free_port()
    daemon = start_daemon(PROGRAM, main=f"[inet_http_server]\nport = 127.0.0.1:{port}")
    told = messages(daemon.log)
    started = told.index(f"INFO supervisord started with pid {daemon.pid}")
    assert told[:started].count("INFO RPC interface 'supervisor' initialized") == 2
    assert (
        "CRIT Server 'inet_http_server' running without any HTTP authentication checking" in told
    )
