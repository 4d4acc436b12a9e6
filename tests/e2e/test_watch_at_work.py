"""A client that applies what `watch` tells has what the daemon has, whatever happens."""

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

import msgspec
import pytest
from daemon import PATIENCE, Daemon, StartDaemon, eventually, nothing_happens_for
from home import Programs

from opsvisor import wire
from opsvisor.client import ApiError, Client, NoDaemon

# They end up in a state that lasts, whatever is done to them.
SHARED = """
    [defaults]
    min_uptime = "100ms"
    backoff_delay = "50ms"
    start_retries = 2
    fatal_retry_delay = "never"
    restart_limit_count = 3
    """
CONFIG = """
    [program.calm]
    command = "sleep 1000"
    replicas = 3
    kill_delay = "{kill_delay}"
    [program.restless]
    command = "sh -c 'sleep 0.3; exit 3'"
    [program.broken]
    command = "/does/not/exist"
    [program.brief]
    command = "true"
    success_exit_codes = [0]
    [group.herd]
    priority = {priority}
    [program.asked]
    command = "sleep 1000"
    group = "herd"
    readiness_probe.exec = ["test", "-e", "/proc/self"]
    readiness_probe.period = "200ms"
    {more}
    """
ONE_MORE = """
    [program.more]
    command = "sleep 1000"
    group = "herd"
    """


class Table:
    """What one client knows, of all that it was told."""

    def __init__(self) -> None:
        self.statuses: dict[str, wire.ProcessStatus] = {}
        self.daemon: wire.DaemonInfo | None = None
        self.snapshots = 0
        self.samples = 0

    @property
    def about_daemon(self) -> wire.DaemonInfo | None:
        """What it knows of the daemon, without what changes with time alone."""
        return self.daemon and msgspec.structs.replace(self.daemon, uptime=0.0)

    def apply(self, told: object) -> None:
        """Take one event over."""
        match told:
            case wire.WatchSnapshot(processes=processes, daemon=daemon):
                self.statuses = {one.name: one for one in processes}
                self.daemon = daemon
                self.snapshots += 1
            case wire.WatchChanged(processes=processes):
                # Never changed: another thread may be looking at it.
                self.statuses = self.statuses | {one.name: one for one in processes}
            case wire.WatchRemoved(names=names):
                self.statuses = {n: one for n, one in self.statuses.items() if n not in names}
            case wire.DaemonInfo():
                self.daemon = told
            case wire.WatchSamples():
                self.samples += 1
            case _:
                raise AssertionError(told)


@contextmanager
def watching(url: str, interval: float = 2.0) -> Iterator[Table]:
    """A client in a thread of its own, as long as the block lasts."""
    table = Table()
    with Client(url) as client, client.watch(interval) as stream:

        def read() -> None:
            with suppress(NoDaemon):
                for told in stream:
                    table.apply(told)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            eventually(lambda: table.snapshots)
            yield table
        finally:
            stream.hang_up()
            reader.join(PATIENCE)
            assert not reader.is_alive()


def lasting(status: wire.ProcessStatus) -> wire.ProcessStatus:
    """Without what changes with time alone."""
    return msgspec.structs.replace(
        status,
        uptime=0.0,
        description="",
        cpu_seconds=None,
        cpu_usage=None,
        rss_bytes=None,
        tree_processes=None,
        open_fds=None,
        retry_at=round(status.retry_at),
        probes=[msgspec.structs.replace(one, attempts=0, duration=None) for one in status.probes],
    )


def agree(daemon: Daemon, table: Table) -> bool:
    """Whether the table has what the daemon says."""
    listed = {one.name: lasting(one) for one in daemon.client.processes().processes}
    known = {name: lasting(one) for name, one in table.statuses.items()}
    told = msgspec.structs.replace(daemon.client.daemon(), uptime=0.0)
    return listed == known and table.about_daemon == told


def write(daemon: Daemon, dice: random.Random) -> None:
    """Change the file, in one of many ways."""
    text = CONFIG.format(
        kill_delay=dice.choice(["1s", "2s"]),
        priority=dice.choice([5, 6]),
        more=dice.choice(["", ONE_MORE]),
    )
    daemon.home.rewrite(text)


def step(daemon: Daemon, dice: random.Random) -> None:
    """Do something to some process, or to the configuration. Whether it works does not matter."""
    names: Sequence[str] = sorted(daemon.statuses())
    name = dice.choice([*names, "herd:*", "calm:*", "all"])
    with suppress(ApiError):
        match dice.randrange(8):
            case 0 | 1:
                daemon.client.act("start", [name], wait=dice.random() < 0.5, timeout=1)
            case 2 | 3:
                daemon.client.act("stop", [name], wait=dice.random() < 0.5, timeout=1)
            case 4:
                daemon.client.act("restart", [name], wait=False)
            case 5 | 6:
                daemon.client.act("signal", [name], signal="KILL", wait=False)
            case _:
                write(daemon, dice)
                daemon.client.apply()


@pytest.mark.parametrize("seed", range(2))
def test_who_applies_what_is_told_knows_all(start_daemon: StartDaemon, seed: int) -> None:
    """After any starts, stops, crashes and reloads, as soon as nothing happens any more."""
    dice = random.Random(seed)
    text = CONFIG.format(kill_delay="1s", priority=5, more="")
    daemon = start_daemon(Programs(text), main=SHARED)
    with watching(daemon.client.url, 1.0) as early, watching(daemon.client.url) as late:
        for _ in range(30):
            step(daemon, dice)
        for table in (early, late):
            eventually(partial(agree, daemon, table))
            assert table.snapshots == 1


def test_nobody_samples_for_nobody(start_daemon: StartDaemon) -> None:
    """While somebody watches the daemon looks; when they have gone it sleeps as before."""
    daemon = start_daemon(Programs('[program.web]\ncommand = "sleep 1000"\n'))
    daemon.until("web", "RUNNING")
    with watching(daemon.client.url, 1.0) as table:
        eventually(lambda: table.samples >= 2)
    daemon.client.close()
    nothing_happens_for(1.5)  # let a sample that was due pass
    before = daemon.wake_ups
    nothing_happens_for(2.0)
    assert daemon.wake_ups == before
    assert len(daemon.client.samples().at) >= 1


def test_watching_goes_on_through_an_upgrade(start_daemon: StartDaemon) -> None:
    """The successor begins with a snapshot of its own."""
    daemon = start_daemon(Programs('[program.web]\ncommand = "sleep 1000"\n'))
    pid = daemon.until("web", "RUNNING").pid
    with watching(daemon.client.url) as table:
        daemon.client.upgrade()
        eventually(lambda: table.snapshots == 2)
        assert table.statuses["web"].pid == pid
        assert table.daemon is not None
        assert table.daemon.upgrades == 1
