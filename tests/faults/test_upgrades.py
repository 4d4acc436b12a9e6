"""`opsvisorctl upgrade`: another process image, and nobody notices but for the version."""

import os
import signal
import socket
import threading
import time
import xmlrpc.client
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bystanders import Bystanders
from daemon import PATIENCE, Daemon, StartDaemon, eventually
from home import Dialect, Programs
from http_requests import free_port
from procfs import descriptors_of, status_of
from releases import Releases
from supervisor.xmlrpc import SupervisorTransport  # type: ignore[import-untyped]  # it has no types

from opsvisor import __version__
from opsvisor.client import ApiError, Client
from opsvisor.wire import Event

A_WHILE = 0.2  # seconds; a tenth is long enough for the next process to be made first
UPGRADED = f"Upgraded opsvisord (pid {{}}) from {__version__} to {__version__}; requests waited"


def upgrade(daemon: Daemon) -> str:
    """Upgrade it with the command line; what that said."""
    ran = daemon.ctl("upgrade")
    assert (ran.status, ran.err) == (0, ""), (ran, daemon.log)
    return ran.out


def test_an_upgrade_is_no_start(start_daemon: StartDaemon) -> None:
    """Nor is the first one: the alert about restarts asks whether that instant has changed."""
    daemon = start_daemon("")
    started = daemon.metric("opsvisor_start_time_seconds")
    for _ in range(2):
        upgrade(daemon)
        assert daemon.metric("opsvisor_start_time_seconds") == started


class Crowd:
    """Clients that ask all the time while the block lasts. None may be refused or cut off."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._is_over = threading.Event()
        self.problems: list[str] = []
        self.answers = 0
        kinds = (self._keep_alive, self._anew, self._bare)
        self._threads = [threading.Thread(target=self._guard, args=(kind,)) for kind in kinds]

    def _guard(self, kind: "object") -> None:
        assert callable(kind)
        try:
            while not self._is_over.is_set():
                kind()
                self.answers += 1
        except Exception as error:  # noqa: BLE001 - told by the thread that waits for us
            self.problems.append(f"{kind.__name__}: {error!r}")  # type: ignore[attr-defined]  # a method

    def _keep_alive(self) -> None:
        with Client(f"unix://{self._daemon.home.socket}") as client:
            for _ in range(50):
                if not self._is_over.is_set():
                    client.processes()

    def _anew(self) -> None:
        with Client(f"unix://{self._daemon.home.socket}") as client:
            client.daemon()

    def _bare(self) -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._daemon.home.socket))
            connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.0 200")

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in self._threads:
                thread.join(PATIENCE)
        assert self.problems == []
        assert self.answers > 0


def counters(daemon: Daemon) -> dict[str, float]:
    """Every sample of a scrape that may never fall, by its line."""
    found = {}
    kinds: dict[str, str] = {}
    for line in daemon.http("/metrics").text.splitlines():
        if line.startswith("# TYPE"):
            _, _, name, kind = line.split()
            kinds[name] = kind
        elif not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            name = series.partition("{")[0]
            family = name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
            if kinds.get(name) == "counter" or kinds.get(family) == "histogram":
                found[series] = float(value)
    return found


def test_under_load(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """Programs that print a line a millisecond, clients that ask without a pause, an SSE reader.

    No line, no request and no event is lost or doubled; no counter falls; pids are as before.
    """
    programs = Bystanders(folder=tmp_path, count=20, interval=0.001)
    daemon = start_daemon(programs.toml)
    pids = programs.up(daemon)
    numbers: list[int] = []
    reader = Client(f"unix://{daemon.home.socket}")
    began = daemon.client.daemon().started_at
    with reader.events(replay=1000) as stream:
        following = threading.Thread(target=lambda: numbers.extend(map(_number, stream)))
        following.start()
        with Crowd(daemon).asking():
            for round_number in (1, 2):
                before = counters(daemon)
                assert upgrade(daemon).startswith(UPGRADED.format(daemon.pid))
                after = counters(daemon)
                fallen = {s: (v, after.get(s)) for s, v in before.items() if after.get(s, -1) < v}
                assert fallen == {}
                assert daemon.client.daemon().upgrades == round_number
        daemon.client.act("restart", [programs.names[0]])
        last = daemon.client.daemon()
        eventually(lambda: "stopped" in daemon.log)
        eventually(lambda: len(numbers) >= 20 * 3 + 2 + 5)
        stream.hang_up()
        following.join(PATIENCE)
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert (last.pid, last.started_at, last.version) == (daemon.pid, began, __version__)
    del pids[programs.names[0]]
    programs.check(daemon, pids)
    assert daemon.metric("opsvisor_upgrades_total", result="done") == 2


def _number(event: object) -> int:
    assert isinstance(event, Event), event
    return event.id


def test_exits_while_there_is_no_daemon_are_exact(start_daemon: StartDaemon) -> None:
    """Whenever a program ends during an upgrade, its exit code is known, and restarted once."""
    count = 40
    programs = "\n".join(
        f"""
        [program.p{n}]
        command = "/bin/sh -c 'read line; sleep {0.4 + n * 0.03:.2f}; exit {n + 1}'"
        stdin = "pipe"
        min_uptime = "0s"
        restart = {'"on-failure"' if n % 2 else '"no"'}
        """
        for n in range(count)
    )
    daemon = start_daemon(programs)
    for n in range(count):
        daemon.until(f"p{n}", "RUNNING")
    for n in range(count):
        daemon.client.write_stdin(f"p{n}", "go\n")
    upgrade(daemon)
    for n in range(count):
        eventually(lambda n=n: daemon.client.history(f"p{n}").runs)  # type: ignore[misc]  # bound now
        (run,) = daemon.client.history(f"p{n}").runs
        status = daemon.until(f"p{n}", "RUNNING" if n % 2 else "EXITED")
        assert (run.exit_code, run.exit_signal, status.starts) == (n + 1, None, 1 + n % 2)


def test_a_stop_in_progress(start_daemon: StartDaemon) -> None:
    """It is not begun again, and SIGKILL comes when it was due."""
    daemon = start_daemon(
        """
        [program.deaf]
        command = "$VICTIM 'ignore TERM'"
        kill_delay = "8s"
        """
    )
    daemon.until_says("deaf", "ignoring TERM")
    began = time.monotonic()
    daemon.client.act("stop", ["deaf"], wait=False)
    upgrade(daemon)
    assert daemon.status("deaf").state == "STOPPING"
    daemon.until("deaf", "STOPPED")
    assert 7.9 < time.monotonic() - began < 13
    (run,) = daemon.client.history("deaf").runs
    assert run.exit_signal == "SIGKILL"
    assert daemon.log.count("killing 'deaf'") == 1


def test_what_dies_next_is_there_again_first(start_daemon: StartDaemon) -> None:
    """Its next process is made before its end is handled, though none was made since."""
    daemon = start_daemon(
        """
        [program.web]
        command = "sleep 1000"
        min_uptime = "0s"
        """
    )
    pid = daemon.until("web", "RUNNING").pid
    assert pid is not None
    upgrade(daemon)
    upgraded = time.monotonic()
    foretold = daemon.state_directory / "foretold"
    eventually(lambda: daemon.has_pipes_ready)
    eventually(lambda: time.monotonic() - upgraded > A_WHILE)
    assert foretold.read_bytes() == b""
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: daemon.status("web").pid not in (None, pid))
    new = daemon.status("web").pid
    assert new is not None
    crossed_out, *told = foretold.read_text().split()
    assert crossed_out.startswith("-")
    assert [f"pipe:[{inode}]" for inode in told[1:-1]] == [descriptors_of(new)[n] for n in (1, 2)]


def test_a_retry_that_is_due_while_there_is_no_daemon(start_daemon: StartDaemon) -> None:
    """It is made at once afterwards; one that is due later is made when it was."""
    daemon = start_daemon(
        """
        [program.soon]
        command = "false"
        backoff_delay = "200ms"
        backoff_limit = "200ms"
        start_retries = 1000
        [program.late]
        command = "false"
        backoff_delay = "1h"
        backoff_limit = "1h"
        """
    )
    daemon.until("soon", "BACKOFF")
    due = daemon.until("late", "BACKOFF").retry_at
    starts = daemon.status("soon").starts
    upgrade(daemon)
    eventually(lambda: daemon.status("soon").starts > starts + 1)
    late = daemon.status("late")
    assert due > 0
    assert late.retry_at == pytest.approx(due, abs=0.1)
    assert (late.state, late.starts) == ("BACKOFF", 1)


def test_input_output_and_followers(start_daemon: StartDaemon) -> None:
    """Standard input is the same pipe, a log goes on, and `tail -f` with it."""
    daemon = start_daemon("[program.web]\ncommand = \"$VICTIM\"\nstdin = 'pipe'\n")
    daemon.until("web", "RUNNING")
    daemon.client.write_stdin("web", "say before\n")
    daemon.until_says("web", "before")
    with (
        daemon.following_ctl("tail", "-f", "web") as tail,
        daemon.following_ctl("events", "--replay", "3") as events,
        daemon.following_ctl("maintail", "-f") as main,
    ):
        tail.until("before\n")
        events.until("RUNNING")
        main.until("RUNNING")
        upgrade(daemon)
        daemon.client.write_stdin("web", "say after\n")
        tail.until("after\n")
        main.until("upgraded from")
        daemon.client.act("stop", ["web"])
        events.until("STOPPED")
    assert tail.text.count("before\n") == tail.text.count("after\n") == 1
    assert main.text.count("started with pid") == 1
    assert daemon.output_of("web") == "before\nafter\n"


LISTENERS = Programs(
    """
    [eventlistener:ready]
    command = $PYTHON $HERE/listener.py
    events = REMOTE_COMMUNICATION
    [eventlistener:busy]
    command = $PYTHON $HERE/listener.py hold
    events = REMOTE_COMMUNICATION
    """,
    Dialect.INI,
)
LISTENER = """\
import os, sys
told = open(f"{sys.argv[0]}.{os.environ['SUPERVISOR_PROCESS_NAME']}", "a")
while True:
    os.write(1, b"READY\\n")
    head = sys.stdin.readline()
    words = dict(word.split(":") for word in head.split())
    told.write(words["poolserial"] + " " + sys.stdin.read(int(words["len"])).split("\\n")[-1])
    told.write("\\n")
    told.flush()
    while len(sys.argv) > 1 and not os.path.exists(f"{sys.argv[0]}.go"):
        os.stat(".")
    os.write(1, b"RESULT 2\\nOK")
"""


def _proxy(daemon: Daemon) -> xmlrpc.client.ServerProxy:
    transport = SupervisorTransport(None, None, f"unix://{daemon.home.socket}")
    return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)


def test_event_listeners(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """One that waits is told the next event, one that is busy may answer later: each once."""
    script = tmp_path / "listener.py"
    script.write_text(LISTENER)
    daemon = start_daemon(LISTENERS)

    def told(name: str) -> list[str]:
        return Path(f"{script}.{name}").read_text().splitlines()

    for name in ("ready", "busy"):
        daemon.until(name, "RUNNING")
    server = _proxy(daemon)
    for n in range(3):
        assert server.supervisor.sendRemoteCommEvent("t", f"m{n}")
    eventually(lambda: told("ready") == ["0 m0", "1 m1", "2 m2"])
    eventually(lambda: told("busy") == ["0 m0"])
    upgrade(daemon)
    assert server.supervisor.sendRemoteCommEvent("t", "m3")
    Path(f"{script}.go").touch()
    for name in ("ready", "busy"):
        eventually(lambda name=name: told(name) == [f"{n} m{n}" for n in range(4)])  # type: ignore[misc]  # bound now
        assert daemon.status(name).starts == 1
    server("close")()
    assert "bad result" not in daemon.log


def test_to_a_newer_version(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """By a link that leads elsewhere: the same command line loads what is there now."""
    releases = Releases(tmp_path)
    daemon = start_daemon('[program.web]\ncommand = "$VICTIM"\n', wrapper=releases.wrapper)
    pid = daemon.until("web", "RUNNING").pid
    releases.install("second", "77.7.7")
    releases.switch("second")
    ran = daemon.ctl("upgrade")
    assert ran.out.startswith(
        f"Upgraded opsvisord (pid {daemon.pid}) from {__version__} to 77.7.7; requests waited"
    )
    told = daemon.client.daemon()
    assert (told.version, told.last_upgrade and told.last_upgrade.from_version) == (
        "77.7.7",
        __version__,
    )
    assert daemon.status("web").pid == pid
    assert f"upgraded from {__version__} to 77.7.7" in daemon.log
    assert daemon.metric("opsvisor_build_info", version="77.7.7") == 1


def test_what_can_not_take_over_is_refused(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """With the reason, by whoever has asked; and everything is as it was."""
    releases = Releases(tmp_path)
    daemon = start_daemon('[program.web]\ncommand = "$VICTIM"\n', wrapper=releases.wrapper)
    pid = daemon.until("web", "RUNNING").pid
    broken = releases.install("broken", "2.0")
    broken.append("core/supervisor.py", "def (")
    picky = releases.install("picky", "3.0")
    picky.append(
        "daemon/reading.py",
        """
from opsvisor.config.problems import Place, Problem
def read_configuration(*_: object, **__: object) -> Loaded:
    raise ConfigError([Problem(Place("opsvisor.toml", 3), "unknown option 'command'")])
""",
    )
    older = releases.install("older", "0.0.1")
    older.change("daemon/hand_over.py", lambda text: text.replace("FORMAT = 1", "FORMAT = 0"))
    for name, reason in (
        ("broken", "ERROR: what is installed can't be run: SyntaxError: invalid syntax (File \"/"),
        ("picky", "unknown option 'command'"),
        ("older", "an older version can't take over from a newer one"),
    ):
        releases.switch(name)
        ran = daemon.ctl("upgrade")
        assert ran.status == 1
        assert reason in ran.out
        assert reason.removeprefix("ERROR: ") in daemon.log
        assert "hint: nothing has changed" in ran.err
    assert daemon.status("web").pid == pid
    assert daemon.client.daemon().upgrades == 0
    assert daemon.metric("opsvisor_upgrades_total", result="refused") == 3
    assert "internal error" not in daemon.log


def test_what_fails_after_the_exec_costs_no_program(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    """The next daemon takes them back, with the lines that they printed meanwhile."""
    releases = Releases(tmp_path)
    programs = Bystanders(folder=tmp_path, count=3)
    daemon = start_daemon(programs.toml, wrapper=releases.wrapper)
    pids = programs.up(daemon)
    bad = releases.install("bad", "2.0")
    bad.append("daemon/handing_over.py", "def _fail(*_, **__): 1 / 0\nWhole.go_on_from = _fail")
    releases.switch("bad")
    daemon.client.upgrade()
    assert daemon.wait() != 0
    assert "cannot take over from the version before; programs run on" in daemon.log
    releases.switch("first")
    for file in (daemon.home.log_file, daemon.home.output):
        file.unlink()  # with the traceback, which no other test would let pass
    daemon.begin_again()
    assert {name: daemon.until(name, "RUNNING").pid for name in pids} == pids
    programs.tick_on()
    for name in pids:
        programs.check_lines(name)


def test_only_the_main_thread_takes_signals(start_daemon: StartDaemon) -> None:
    """What another one takes right before the exec would be nobody's after it."""
    daemon = start_daemon('[program.web]\ncommand = "$VICTIM"\n')
    daemon.until("web", "RUNNING")
    daemon.metric("opsvisor_process_tree_processes", process="web")  # by a thread
    tasks = list(Path(f"/proc/{daemon.pid}/task").iterdir())
    assert len(tasks) > 1
    for task in tasks:
        lines = (task / "status").read_text().splitlines()
        (blocked,) = (int(line.split()[1], 16) for line in lines if line.startswith("SigBlk:"))
        is_blocked = bool(blocked & 1 << (signal.SIGTERM - 1))
        assert is_blocked is (task.name != str(daemon.pid))


def test_by_a_signal(start_daemon: StartDaemon) -> None:
    """SIGUSR1; and an order to end that comes in the middle of it is carried out."""
    daemon = start_daemon('[program.web]\ncommand = "$VICTIM"\n')
    pid = daemon.until("web", "RUNNING").pid
    daemon.signal(signal.SIGUSR1)
    daemon.until_logged("upgraded from")
    assert daemon.status("web").pid == pid
    daemon.signal(signal.SIGUSR1)
    eventually(lambda: daemon.log.count("upgrading from") == 2)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert daemon.log.count("received SIGTERM indicating exit request") == 1


def test_not_twice_at_once_and_not_at_the_end(start_daemon: StartDaemon) -> None:
    """Whoever comes second is refused, and so is who comes during a shutdown."""
    daemon = start_daemon(
        """
        [program.deaf]
        command = "$VICTIM 'ignore TERM'"
        kill_delay = "3s"
        """
    )
    daemon.until_says("deaf", "ignoring TERM")
    daemon.signal(signal.SIGUSR1)
    daemon.until_logged("checking what is installed")
    ran = daemon.ctl("upgrade")
    refused = "ERROR: another upgrade is under way\n"
    assert ran.out == refused or ran.out.startswith("Upgraded")  # it may have waited for the other
    daemon.until_logged("upgraded from")
    daemon.signal(signal.SIGTERM)
    daemon.until_logged("received SIGTERM")
    with pytest.raises(ApiError, match="shutting down"):
        daemon.client.upgrade()


def test_many_upgrades_cost_nothing(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """Neither descriptors nor memory nor threads: each begins as the one before."""
    programs = Bystanders(folder=tmp_path, count=3, interval=0.01)
    daemon = start_daemon(programs.toml)
    pids = programs.up(daemon)

    def size() -> tuple[int, int]:
        with Client(f"unix://{daemon.home.socket}") as client:
            client.processes()
            eventually(lambda: daemon.has_pipes_ready)
            return len(descriptors_of(daemon.pid)), int(status_of(daemon.pid)["VmRSS"].split()[0])

    upgrade(daemon)
    fds, memory = size()
    for _ in range(6):
        upgrade(daemon)
    later_fds, later_memory = size()
    assert later_fds == fds
    assert later_memory < memory + 3 * 1024
    programs.check(daemon, pids)


def test_before_and_after_a_crash(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """What was adopted goes over, and what went over is adopted: with counts, marks and logs."""
    programs = Bystanders(folder=tmp_path, count=3)
    daemon = start_daemon(programs.toml)
    pids = programs.up(daemon)
    daemon.crash()
    daemon.begin_again()
    upgrade(daemon)
    programs.tick_on()
    programs.check(daemon, pids)
    daemon.crash()
    daemon.begin_again()
    programs.check(daemon, pids)
    assert daemon.client.daemon().upgrades == 0


def test_a_reload_afterwards(start_daemon: StartDaemon) -> None:
    """It begins anew from the files, as ever."""
    daemon = start_daemon('[program.web]\ncommand = "$VICTIM"\n')
    pid = daemon.until("web", "RUNNING").pid
    upgrade(daemon)
    began = time.time()
    daemon.client.reload()
    daemon.until_begun_anew(after=began)
    assert daemon.until("web", "RUNNING").pid != pid


def test_a_configuration_that_has_changed(start_daemon: StartDaemon) -> None:
    """Programs are left as they are; addresses of the daemon are those of the files."""
    daemon = start_daemon('[program.web]\ncommand = "$VICTIM"\n')
    pid = daemon.until("web", "RUNNING").pid
    daemon.home.rewrite('[program.web]\ncommand = "$VICTIM"\n[program.new]\ncommand = "$VICTIM"\n')
    port = free_port()
    with daemon.home.config.open("a") as file:
        file.write(f'http = "127.0.0.1:{port}"\n')  # in [server]
    upgrade(daemon)
    with Client(f"http://127.0.0.1:{port}") as client:
        assert client.daemon().upgrades == 1
    assert set(daemon.statuses()) == {"web"}
    assert daemon.status("web").pid == pid
    assert "opsvisorctl update carries it out" in daemon.log
    daemon.ctl("update")
    assert daemon.until("new", "RUNNING").pid
    assert daemon.status("web").pid == pid


def test_a_socket_that_programs_share(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """It stays with them, is closed with the last of them, and its file goes then."""
    path = tmp_path / "app"
    daemon = start_daemon(
        Programs(
            f"""
            [fcgi-program:app]
            socket = unix://{path}
            command = sleep 1000
            process_name = %(program_name)s%(process_num)d
            numprocs = 2
            """,
            Dialect.INI,
        )
    )
    for n in (0, 1):
        daemon.until(f"app:app{n}", "RUNNING")
    upgrade(daemon)
    inode = path.stat().st_ino
    daemon.client.act("restart", ["app:app0"])
    assert path.stat().st_ino == inode
    daemon.client.act("stop", ["app:app0"])
    assert path.exists()
    daemon.client.act("stop", ["app:app1"])
    assert not path.exists()
