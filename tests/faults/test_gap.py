"""What may happen between the end of one daemon and the beginning of the next."""

import json
import os
import signal
import subprocess
from pathlib import Path

from bystanders import Bystanders
from daemon import Daemon, StartDaemon, eventually
from home import Home
from keepers import signal_keepers
from procfs import is_alive

from opsvisor.runtime.memory import records
from opsvisor.runtime.memory.records import Key

MANY = 200
# Counters of processes that a crash may set back, as docs/reliability.md says: nobody notes down
# each line and each answer.
SET_BACK = {
    "opsvisor_log_bytes_total",
    "opsvisor_log_lines_total",
    "opsvisor_log_dropped_lines_total",
    "opsvisor_log_rotations_total",
    "opsvisor_log_write_errors_total",
    "opsvisor_health_check_attempts_total",
    "opsvisor_health_check_failures_total",
}


def counters(daemon: Daemon) -> dict[str, float]:
    """All counters of processes, by series."""
    found: dict[str, float] = {}
    kinds: dict[str, str] = {}
    for line in daemon.http("/metrics").text.splitlines():
        if line.startswith("# TYPE "):
            _, _, family, kind = line.split()
            kinds[family] = kind
        elif 'process="' in line:
            series, _, value = line.rpartition(" ")
            if kinds[family_of(series)] == "counter":
                found[series] = float(value)
    return found


def family_of(series: str) -> str:
    """The name before the labels."""
    return series.partition("{")[0]


def test_no_counter_of_a_process_falls(start_daemon: StartDaemon) -> None:
    """Prometheus would take that for a reset, and count all of it once more. 0 is one it sees."""
    daemon = start_daemon(
        """
        [program.busy]
        command = "$VICTIM 'count 1 2000' 'die KILL'"
        min_uptime = "0s"
        backoff_delay = "0.05s"
        backoff_limit = "0.1s"
        restart = "always"
        restart_limit_count = 100
        [program.busy.log]
        stdout = "$HERE/busy.log"
        rotate_size = "4KiB"
        [program.steady]
        command = "$VICTIM 'count 1 2000'"
        min_uptime = "0s"
        [program.steady.liveness_probe]
        exec = ["true"]
        period = "100ms"
        [program.steady.readiness_probe]
        exec = ["false"]
        period = "100ms"
        """
    )
    eventually(lambda: daemon.status("busy").starts > 3)
    for _ in range(2):
        eventually(lambda: min(probe.attempts for probe in daemon.status("steady").probes) > 3)
        before = counters(daemon)
        assert {family_of(series) for series in before} >= SET_BACK
        assert any(value for series, value in before.items() if "starts_total" in series)
        daemon.crash()
        daemon.begin_again()
        after = counters(daemon)
        fallen = {series for series, value in before.items() if 0 < after.get(series, 0) < value}
        assert {series for series in fallen if family_of(series) not in SET_BACK} == set()
        starts = daemon.status("busy").starts
        eventually(lambda starts=starts: daemon.status("busy").starts > starts)  # type: ignore[misc]  # mypy's limit


def test_too_few_descriptors(start_daemon: StartDaemon, home: Home) -> None:
    """What could not be looked at would seem gone: nothing is touched, and it says what to do."""
    bystanders = Bystanders(folder=home.directory, interval=0.02)
    daemon = start_daemon(bystanders.toml, daemon="min_fds = 1")
    pids = bystanders.up(daemon)
    daemon.crash()
    said = daemon.refused("prlimit", "--nofile=40:40", "--")
    assert "5 processes of an earlier daemon can't be taken back" in said
    assert "raise ulimit -Hn" in said
    assert all(map(is_alive, pids.values()))
    daemon.begin_again()
    bystanders.tick_on()
    bystanders.check(daemon, pids)


def test_a_pid_that_is_somebody_elses(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """The number alone means nothing: whoever has it now is left alone, in the next stop too."""
    stranger = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        state = tmp_path / "state"
        program = Bystanders(folder=tmp_path, count=1)
        (name,) = program.names
        daemon = start_daemon(program.toml, daemon=f'state_dir = "{state}"')
        pid = program.up(daemon)[name]
        daemon.crash()
        signal_keepers(daemon, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        give_away(state / "memory", pid, stranger.pid)
        daemon.begin_again()
        assert daemon.until(name, "RUNNING").pid not in (pid, stranger.pid)
        daemon.client.act("stop", [name])
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def give_away(memory: Path, pid: int, to: int) -> None:
    """Have another number for a process, all else being as it was."""
    head, *lines, _ = memory.read_bytes().split(b"\n")
    said = [json.loads(line[9:].replace(b"%d" % pid, b"%d" % to)) for line in lines]
    written = [
        records.batch([records.entry(Key(k), records.in_json(v)) for k, v in one["put"].items()])[
            0
        ]
        for one in said
    ]
    memory.write_bytes(head + b"\n" + b"".join(written))


def test_many_are_taken_back_at_once(start_daemon: StartDaemon) -> None:
    """All have their pids as soon as there is a daemon."""
    daemon = start_daemon(
        f'[program.many]\ncommand = "sleep 600"\nreplicas = {MANY}\nmin_uptime = "0s"\n'
    )
    eventually(lambda: all(one.state == "RUNNING" for one in daemon.statuses().values()))
    pids = {name: one.pid for name, one in daemon.statuses().items()}
    daemon.crash()
    daemon.begin_again()
    assert {name: one.pid for name, one in daemon.statuses().items()} == pids
    (line,) = [line for line in daemon.log.splitlines() if "took back" in line]
    assert f"took back {MANY} processes" in line
    assert int(line.partition(" in ")[2].split()[0]) < 1000, line


# Leaves its group and its parent, and says who it is.
DOUBLE = """
import os, signal, sys
if os.fork():
    signal.pause()
os.setsid()
if os.fork():
    os._exit(0)
with open(sys.argv[1] + ".new", "w") as file:
    file.write(str(os.getpid()))
os.rename(sys.argv[1] + ".new", sys.argv[1])
signal.pause()
"""


def test_killed_with_the_keeper(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """on_crash = "kill", and nobody is left to do it: the next daemon does, before it starts."""
    (tmp_path / "double.py").write_text(DOUBLE)
    bystanders = Bystanders(folder=tmp_path, count=2)
    double = '[program.double]\ncommand = "$PYTHON $HERE/double.py $HERE/who"\n'
    daemon = start_daemon(bystanders.toml + double, daemon='on_crash = "kill"')
    pids = bystanders.up(daemon)
    who = tmp_path / "who"
    eventually(who.exists)
    old = [*pids.values(), int(who.read_text())]
    signal_keepers(daemon, signal.SIGSTOP)
    daemon.crash()
    signal_keepers(daemon, signal.SIGKILL)
    assert all(map(is_alive, old))
    daemon.begin_again()
    assert not any(map(is_alive, old))
    bystanders.check(daemon, bystanders.up(daemon))


def test_a_broken_configuration_touches_nothing(start_daemon: StartDaemon, home: Home) -> None:
    """Mended, it is an update: what is as before runs on, and what has gone is stopped."""
    bystanders = Bystanders(folder=home.directory, count=2)
    sleeper = '[program.{}]\ncommand = "sleep {}"\nmin_uptime = "0s"\nreplicas = {}\n'
    gone, fewer = sleeper.format("gone", 600, 1), sleeper.format("fewer", 600, 3)
    daemon = start_daemon(bystanders.toml + gone + sleeper.format("changed", 600, 1) + fewer)
    pids = bystanders.up(daemon)
    eventually(lambda: all(one.state == "RUNNING" for one in daemon.statuses().values()))
    before = {name: one.pid for name, one in daemon.statuses().items()}
    daemon.crash()
    daemon.home.rewrite("[program.broken\n")
    assert "programs.toml" in daemon.refused()
    assert all(map(is_alive, before.values()))
    fewer = sleeper.format("fewer", 600, 2)
    daemon.home.rewrite(bystanders.toml + sleeper.format("changed", 601, 1) + fewer)
    daemon.begin_again()
    bystanders.check(daemon, pids)
    eventually(lambda: "gone" not in daemon.statuses())
    assert not is_alive(before["gone"])
    after = {name: one.pid for name, one in daemon.statuses().items()}
    assert daemon.until("changed", "RUNNING").pid != before["changed"]
    kept = [name for name in after if name.startswith("fewer")]
    assert {after[name] for name in kept} == {before[name] for name in kept}
    three = [pid for name, pid in before.items() if name.startswith("fewer")]
    eventually(lambda: sum(map(is_alive, three)) <= 2)
    assert sum(map(is_alive, three)) == 2
