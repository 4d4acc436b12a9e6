"""A daemon with so many programs, from its first line to its last, and what each deed took."""

import fcntl
import os
import select
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from daemon import PATIENCE, Daemon, eventually
from home import Home, Programs
from keepers import keeper_of
from procfs import is_asleep
from straced import SystemCalls, traced
from tally import Tally

_COUNTED = Path(__file__).with_name("counted.py")
_F_SETPIPE_SZ = 1031  # linux/fcntl.h
RESTARTS = 20

# It says its pid where it is known without asking the daemon. No delay, and no limit.
_PROGRAM = """
    [program.p]
    command = ["sh", "-c", "echo $$ >$HERE/births; exec sleep 1000"]
    replicas = {count}
    restart = "always"
    min_uptime = "0s"
    backoff_delay = "0s"
    restart_limit_count = 0
    flapping_count = 0
    """


class Births:
    """The pids of programs as they begin."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        # Open for writing too, so that it never is at its end.
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        fcntl.fcntl(self._descriptor, _F_SETPIPE_SZ, 1 << 16)
        self._rest = b""

    def next(self, count: int = 1) -> list[int]:
        """So many pids, when that many have begun."""
        found: list[int] = []
        while len(found) < count:
            assert select.select([self._descriptor], [], [], PATIENCE)[0], f"only {len(found)}"
            *lines, self._rest = (self._rest + os.read(self._descriptor, 4096)).split(b"\n")
            found += map(int, lines)
        assert len(found) == count, "more than asked for"
        return found

    def close(self) -> None:
        """Nobody reports any more."""
        os.close(self._descriptor)


@dataclass(kw_only=True)
class Life:
    """What a daemon with this many programs did: by deed; RESTARTS restarts are one."""

    count: int
    deeds: dict[str, Tally] = field(default_factory=dict)
    calls: SystemCalls = field(default_factory=SystemCalls)
    keepers_calls: SystemCalls = field(default_factory=SystemCalls)
    sleeps: list[tuple[str, str]] = field(default_factory=list)


class Watched:
    """The daemon under way."""

    def __init__(self, folder: Path, life: Life) -> None:
        folder.mkdir()
        self.life = life
        self._counts = folder / "counts"
        self._folder = folder
        self._births = Births(folder / "births")
        home = Home(folder)
        home.write(Programs(_PROGRAM.format(count=life.count)))
        wrapper = [sys.executable, str(_COUNTED), str(self._counts)]
        self.daemon = Daemon(home, wrapper=wrapper)

    def begin(self) -> int:
        """Note what the start took, and give the pid of one of the programs."""
        pid = self._births.next(self.life.count)[-1]
        self.settle()
        self.life.deeds["start"] = Tally.read(self._counts)
        return pid

    def settle(self) -> None:
        """Return when everything is done: it sleeps, and has done nothing since the last look."""
        last: list[object] = []

        def is_quiet() -> bool:
            now = [is_asleep(self.daemon.pid), self.daemon.wake_ups]
            was, last[:] = list(last), now
            return now[0] is True and was == now

        eventually(is_quiet)

    def note(self, deed: str, do: Callable[[], object], *, times: int = 1) -> None:
        """Do it, and see what that takes of the daemon.

        Of several times that with the least: a look into /proc may fall into any of them, which is
        shared by all that ask within some seconds.
        """
        taken = []
        for _ in range(times):
            before = Tally.read(self._counts)
            do()
            self.settle()
            taken.append(Tally.read(self._counts).since(before))
        self.life.deeds[deed] = min(taken, key=lambda tally: tally.lines.total())

    def restarts(self, pid: int) -> int:
        """Kill it and those that come in its place."""
        for _ in range(RESTARTS):
            os.kill(pid, signal.SIGKILL)
            (pid,) = self._births.next()
        return pid

    def traced_restarts(self, pid: int) -> None:
        """The same once more under the eyes of strace, which slows down whatever it looks at."""
        keeper = keeper_of(self.daemon)
        with (
            traced(self.daemon.pid, self._folder) as self.life.calls,
            traced(keeper, self._folder) as self.life.keepers_calls,
        ):
            self.restarts(pid)
            self.settle()

    def sleep(self) -> None:
        """See what each thread of the daemon and of its keeper waits for."""
        self.daemon.client.close()
        self.settle()
        for pid in (self.daemon.pid, keeper_of(self.daemon)):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                who = (thread / "comm").read_text().strip()
                self.life.sleeps.append((f"{who} {thread.name}", (thread / "syscall").read_text()))

    def end(self) -> None:
        """Have it stop everything, and see what that took."""
        before = Tally.read(self._counts)
        self.daemon.end()
        self.life.deeds["stop"] = Tally.read(self._counts).since(before)
        self._births.close()
        self._counts.unlink()


def live(folder: Path, count: int) -> Life:
    """All that is asked of a daemon with so many programs, and its end."""
    life = Life(count=count)
    watched = Watched(folder, life)
    try:
        _live(watched)
    except BaseException:
        watched.daemon.kill()
        raise
    watched.end()
    return life


def _live(watched: Watched) -> None:
    daemon, pid = watched.daemon, watched.begin()
    daemon.http("/metrics")  # what is made once is made
    watched.settle()
    watched.note("scrape", lambda: daemon.http("/metrics"), times=3)
    watched.sleep()
    watched.note("first status", daemon.statuses)
    name = min(daemon.statuses())
    watched.note("status of one", lambda: daemon.status(name), times=3)
    watched.note("status of all", daemon.statuses, times=3)
    watched.note("restart", lambda: watched.restarts(pid))
    now = daemon.status(name).pid
    assert now is not None
    watched.traced_restarts(now)
