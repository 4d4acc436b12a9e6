"""The alert rules at work: a real daemon, a real Prometheus, a real Alertmanager, and a webhook.

The rules are the committed ones with all their times divided, so that what takes a quarter of an
hour takes seconds here. Everything goes wrong at once and is put right at once: nothing of it
depends on anything else, and most of the time is spent waiting for windows to pass.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cells import can_have, cell
from daemon import Daemon, eventually
from home import Home, Programs

from opsvisor.client import ApiError
from tools.stack import (
    Held,
    Stack,
    StackSettings,
    Target,
    free_port,
    inhibit_rules,
)

_ROOT = Path(__file__).parents[2]
_PATIENCE = 90.0  # windows, `for` and keep_firing_for, one after the other, on a busy machine

_MAIN = """
http.listen = "127.0.0.1:{port}"
supervisor_interfaces = true

[defaults]
working_dir         = "{here}"
kill_delay          = "1s"
restart_limit_count = 0
backoff_delay       = "200ms"
backoff_limit       = "500ms"
backoff_jitter      = 0
"""
_TROUBLE = """
    [program.fine]
    command = "sleep 1000"

    # Given up after its second end.
    [program.doomed]
    command             = "sh -c 'test -e mended || exit 1; exec sleep 1000'"
    restart_limit_count = 1
    fatal_retry_delay   = "never"

    # Comes up, and goes down.
    [program.restless]
    command           = "sh -c 'test -e mended || (sleep 0.5; exit 1) || exit 1; exec sleep 1000'"
    min_uptime        = "200ms"
    flapping_interval   = "10s"

    # Never comes up, and is never given up.
    [program.looping]
    command = "sh -c 'test -e mended || exit 1; exec sleep 1000'"

    # Failed once, and waits for its next turn.
    [program.waiting]
    command       = "sh -c 'test -e mended || exit 1; exec sleep 1000'"
    backoff_delay = "1h"
    backoff_limit = "1h"

    # Lives, but is not ready.
    [program.sick]
    command         = "sleep 1000"
    readiness_probe = { exec = ["test", "-e", "mended"], period = "500ms" }

    # Has nearly all files open that it may.
    [program.hungry]
    rlimits = { nofile = 64 }
    command = ["python3", "-c", '''
    import os, time
    files = [open(os.devnull) for _ in range(54)]
    while not os.path.exists("mended"): time.sleep(0.2)
    files.clear()
    time.sleep(1000)''']

    # The one reader of its log does not read.
    [program.unread]
    command = "sh -c 'while seq 2000; do sleep 0.1; done'"
    log     = { stdout = "$HERE/fifo" }

    # There is no room for its log.
    [program.unheard]
    command = "sh -c 'while test ! -e mended && echo hello; do sleep 0.1; done; exec sleep 1000'"
    log     = { stdout = "/dev/full" }

    # Is told of every end and beginning, and never says that it is ready for it.
    [program.deaf]
    command       = "sleep 1000"
    events        = ["PROCESS_STATE"]
    events_buffer = 1
"""
# Where root can make cgroups: a program that eats more memory than there is, until the kernel
# kills it, and one that wants all of a CPU.
_LIMITED = """
    [program.greedy]
    command = {greedy}

    [program.busy]
    command = {busy}
"""
_GREEDY = """
import os, time
time.sleep(7)  # longer than it takes the daemon to see which cgroup it has entered
while not os.path.exists("mended"):
    held = b"x" * (64 << 20)
time.sleep(1000)
"""
_BUSY = """
import os, time
while not os.path.exists("mended"):
    pass
time.sleep(1000)
"""
_RESTLESS = """
    [program.restless]
    replicas          = 6
    command           = "sh -c 'test -e mended || (sleep 0.5; exit 1) || exit 1; exec sleep 1000'"
    min_uptime        = "200ms"
    flapping_interval = "10s"
"""
_SLIP = "[program.typo]\ncomand = 'true'\n"


@dataclass(frozen=True)
class Trouble:
    """An alert that has to come, and to go."""

    alert: str
    labels: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Its name and labels, for the list of those that did not come."""
        return f"{self.alert} {self.labels}"


_TOLD = (
    Trouble("OpsvisorProcessFatal", {"process": "doomed"}),
    Trouble("OpsvisorProcessFlapping", {"process": "restless", "instance": "one"}),
    Trouble("OpsvisorProcessNotRunning", {"process": "waiting"}),
    Trouble("OpsvisorProcessNotRunning", {"process": "looping"}),
    Trouble("OpsvisorProcessUnhealthy", {"process": "sick", "check": "readiness"}),
    Trouble("OpsvisorProcessFileDescriptorsExhausting", {"process": "hungry"}),
    Trouble("OpsvisorProcessLogDropping", {"process": "unread"}),
    Trouble("OpsvisorProcessLogWriteErrors", {"process": "unheard"}),
    Trouble("OpsvisorEventsDropped", {"subscriber": "eventlistener:deaf"}),
    Trouble("OpsvisorConfigReloadFailed", {"instance": "one"}),
)
_TOLD_OF_LIMITED = (
    Trouble("OpsvisorProcessOOMKilled", {"process": "greedy"}),
    Trouble("OpsvisorProcessCPUThrottling", {"process": "busy"}),
)
# The second daemon goes through these one after the other.
_STORM = Trouble("OpsvisorRestartStorm", {"instance": "two"})
_DOWN = Trouble("OpsvisorDown", {"instance": "two"})
_RESTARTED = Trouble("OpsvisorRestarted", {"instance": "two"})
# Why it is wanted and does not run is less urgent than that: whoever is told of the first when
# the second comes hears of the first no more. Until then it may have been told, or not.
_OVERTAKEN = Trouble("OpsvisorProcessCrashLooping", {"process": "looping"})
_MUTED = Trouble("OpsvisorProcessLogDropping", {"process": "unheard"})
_MUTED_BY_STORM = Trouble("OpsvisorProcessFlapping", {"instance": "two"})


class House:
    """Two daemons and what watches over them. `troubles` are what has to be told at once."""

    def __init__(self, directory: Path, ends: ExitStack) -> None:
        self._ends = ends
        limited = _limited(ends)
        self.troubles = (*_TOLD, *(_TOLD_OF_LIMITED if limited else ()))
        self.fifo = directory / "one" / "fifo"
        homes = []
        ports = []
        for name, programs in (("one", _TROUBLE + limited), ("two", _RESTLESS)):
            (directory / name).mkdir()
            home, port = Home(directory / name), free_port()
            home.write(Programs(programs), main=_MAIN.format(port=port, here=home.directory))
            homes.append(home)
            ports.append(port)
        os.mkfifo(self.fifo)
        # Somebody has to hold the other end, or it could not be written at all.
        self._unread = os.open(self.fifo, os.O_RDWR | os.O_NONBLOCK)
        ends.callback(os.close, self._unread)
        self.one, self.two = (self._run(home) for home in homes)
        rules = _fast_rules(directory / "rules")
        settings = StackSettings(
            targets=[
                Target(address=f"127.0.0.1:{port}", labels={"instance": name})
                for name, port in zip(("one", "two"), ports, strict=True)
            ],
            rules=[rules / "opsvisor.rules.yml", rules / "opsvisor.alerts.yml"],
            inhibit_rules=inhibit_rules((rules / "alertmanager.example.yml").read_text()),
        )
        self.stack = ends.enter_context(Stack.start(directory / "stack", settings))

    def end_two(self) -> None:
        """Have the second daemon end, as at a shutdown of its machine."""
        self.two.end()

    def begin_two(self) -> None:
        """Start it again, on the same port."""
        (self.two.home.directory / "mended").touch()
        self.two = self._run(self.two.home)

    def restart_two(self) -> None:
        """Have it begin anew, in the sight of Prometheus: it may have been away for too long."""
        begun = self.two.client.daemon().started_at
        seen = f'opsvisor_start_time_seconds{{instance="two"}} > {begun - 1}'
        eventually(lambda: self.stack.prometheus.query(seen), patience=_PATIENCE)
        self.two.client.reload()

    def spoil_configuration(self) -> None:
        """Have the first daemon refuse a configuration."""
        self.one.home.rewrite(_SLIP, file="typo")
        with pytest.raises(ApiError):
            self.one.client.reread()

    def mend(self) -> None:
        """Put right all that is wrong with the first daemon."""
        (self.one.home.directory / "mended").touch()
        self.one.home.programs.with_stem("typo").unlink()
        self.one.client.reread()
        self.one.client.act("start", ["doomed", "waiting"])
        reader = subprocess.Popen(["cat", self.fifo], stdout=subprocess.DEVNULL)
        self._ends.callback(reader.wait, 20)
        self._ends.callback(reader.terminate)

    def held(self, trouble: Trouble) -> Held | None:
        """The alert as Alertmanager holds it."""
        for one in self.stack.alertmanager.alerts():
            if one.name == trouble.alert and trouble.labels.items() <= one.labels.items():
                return one
        return None

    def last(self, trouble: Trouble) -> str:
        """What the webhook was told of it at last."""
        return self.stack.receiver.last(trouble.alert, **trouble.labels)

    def told(self, trouble: Trouble) -> list[str]:
        """All that the webhook was told of it."""
        notices = self.stack.receiver.notices(trouble.alert, **trouble.labels)
        return [one.status for one in notices]

    def until_all(self, status: str, *troubles: Trouble) -> None:
        """Wait until this is the last that the webhook was told of each."""
        self._until(status, lambda: [str(one) for one in troubles if self.last(one) != status])

    def until_muted(self, quiet: Trouble) -> None:
        """Wait until Alertmanager holds it and keeps it from the webhook."""

        def is_muted() -> bool:
            held = self.held(quiet)
            return held is not None and held.is_inhibited

        self._until("muted", lambda: [] if is_muted() else [str(quiet)])

    def _until(self, status: str, missing: Callable[[], list[str]]) -> None:
        """Wait until none is missing; say which are, otherwise."""
        try:
            eventually(lambda: not missing(), patience=_PATIENCE)
        except AssertionError:
            raise AssertionError(f"not {status} in {_PATIENCE:g} s: {missing()}") from None

    def _run(self, home: Home) -> Daemon:
        daemon = Daemon(home)
        self._ends.callback(daemon.end)
        return daemon


@contextmanager
def _running(directory: Path) -> Iterator[House]:
    with ExitStack() as ends:
        yield House(directory, ends)


def _limited(ends: ExitStack) -> str:
    """The programs that take cgroups, which are there until the end; nothing where none can be."""
    if not (can_have("memory") and can_have("cpu")):
        return ""
    memory, cpu = (ends.enter_context(cell(one)) for one in ("memory", "cpu"))
    memory.limit_memory(48)
    cpu.limit_cpu(20)
    greedy, busy = ([*one.entry, "python3", "-c"] for one in (memory, cpu))
    return _LIMITED.format(greedy=json.dumps([*greedy, _GREEDY]), busy=json.dumps([*busy, _BUSY]))


def _fast_rules(directory: Path) -> Path:
    """The alert rules with all their times divided, in this directory."""
    command = [sys.executable, "-m", "alerts.generate", "--fast", "40", "--out", str(directory)]
    subprocess.run(command, cwd=_ROOT, check=True, timeout=60, stdout=subprocess.DEVNULL)
    return directory


def test_alerts_come_and_go(tmp_path: Path) -> None:
    """All of them, to the webhook and back; those that others make pointless are kept from it."""
    with _running(tmp_path) as house:
        house.spoil_configuration()
        house.until_all("firing", _STORM)
        house.until_muted(_MUTED_BY_STORM)
        house.end_two()
        house.until_all("firing", _DOWN)
        house.begin_two()
        house.restart_two()
        house.until_all("firing", _RESTARTED)
        house.until_all("firing", *house.troubles)
        for quiet in (_OVERTAKEN, _MUTED):
            house.until_muted(quiet)
        # Not asked at the end: where both are resolved at once, Alertmanager may take the one that
        # mutes first, and tells of the other in between.
        assert house.told(_MUTED) == []
        rules = house.stack.prometheus.evaluated_rules()
        assert [(one.name, one.last_error) for one in rules if one.health != "ok"] == []

        house.mend()
        house.until_all("resolved", _STORM, _DOWN, _RESTARTED, _OVERTAKEN, *house.troubles)
        assert set(house.told(_OVERTAKEN)) == {"firing", "resolved"}
        notices = house.stack.receiver.notices()
        assert [one.name for one in notices if one.labels.get("process") == "fine"] == []
