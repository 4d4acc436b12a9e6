"""Hours of an ordinary life, compressed: nothing grows, and the loop is never late.

SOAK_SECONDS says how long (ten minutes by default); SOAK_SEED repeats what the clients did.
"""

import faulthandler
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from daemon import PATIENCE, Daemon, StartDaemon, eventually
from procfs import descriptors_of, status_of

from opsvisor.client import Client, EventGap, NoDaemon

SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
SEED = int(os.environ.get("SOAK_SEED", str(random.SystemRandom().randrange(1 << 32))))
WARM_UP = 0.2  # of that time: rings, histories and remembered events are full by then
WARM_UP_MIN = 30.0  # seconds; it takes so long at least

MEBIBYTE = 1 << 20
GROWTH = 2 * MEBIBYTE
LAG = 0.020  # seconds, of 99 of 100 timers; or twice what the kernel is late, if that is more
THREADS = 16  # asyncio's pool has four more than there are cores; one of ours for each purpose

CRASHING, STEADY = 20, 5

# Twenty that crash, two times a second each; five that talk, into logs that rotate; one that is
# probed; one that listens.
PROGRAMS = f"""
    [program.crashing]
    command = ["false"]
    replicas = {CRASHING}
    min_uptime = "0s"
    backoff_delay = "0.5s"
    backoff_factor = 1.0
    restart_limit_interval = "2s"

    [program.steady]
    command = ["sh", "-c", "while echo a line of its log, number $((n += 1)); do sleep 0.05; done"]
    replicas = {STEADY}
    min_uptime = "0s"
    log = {{ stdout = "$HERE/steady{{replica}}.log", rotate_size = "20K", rotate_keep = 2 }}

    [program.probed]
    command = "$VICTIM"
    min_uptime = "0s"
    [program.probed.liveness_probe]
    exec = ["true"]
    period = "1s"

    [program.listening]
    command = "$VICTIM"
    stdin = "pipe"
    min_uptime = "0s"
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much there is of the daemon, with one client connected."""

    rss: int
    descriptors: int
    tasks: float
    threads: int


def size_of(daemon: Daemon) -> Size:
    """Of now."""
    status = status_of(daemon.pid)
    return Size(
        rss=int(status["VmRSS"].split()[0]) * 1024,
        descriptors=len(descriptors_of(daemon.pid)),
        tasks=tasks_of(daemon),
        threads=int(status["Threads"]),
    )


def tasks_of(daemon: Daemon) -> float:
    """Asked by the connection that is there: another one would be closed a moment later."""
    (tasks,) = [one.value for one in daemon.client.metrics() if one.name == "opsvisor_tasks"]
    return tasks


def lags(daemon: Daemon) -> dict[float, float]:
    """How many timers were this late at most, by bound in seconds."""
    found = {}
    for line in daemon.http("/metrics").text.splitlines():
        if line.startswith("opsvisor_event_loop_lag_seconds_bucket"):
            bound = line.partition('le="')[2].partition('"')[0]
            found[float(bound)] = float(line.rpartition(" ")[2])
    return found


def quantile(share: float, counts: dict[float, float]) -> float:
    """As histogram_quantile() of Prometheus: linear within a bucket."""
    rank = share * max(counts.values())
    below, bound_below = 0.0, 0.0
    for bound in sorted(counts):
        if counts[bound] >= rank:
            inside = counts[bound] - below
            return bound_below + (bound - bound_below) * (rank - below) / inside
        below, bound_below = counts[bound], bound
    raise AssertionError(counts)


# Does at its times what the daemon does: start a program in a session of its own. It says how late
# it was with that, 99 times of 100, and has nothing else to do: so late is the kernel.
YARDSTICK = """
import select, signal, subprocess, time

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
late, due = [], time.monotonic()
while not select.select([0], [], [], max(0.0, due - time.monotonic()))[0]:
    subprocess.Popen(["false"], start_new_session=True).poll()
    late.append(time.monotonic() - due)
    due += 0.025
print(sorted(late)[len(late) * 99 // 100])
"""


def prefer(pid: int) -> None:
    """Let a session have the CPU before the tests that run beside this one.

    What is measured is how late its loop is, not the kernel. Where that groups tasks by session
    (sched(7), autogroup), a nice value counts in the session only, which has one of its own.
    """
    os.setpriority(os.PRIO_PROCESS, pid, -10)
    with suppress(FileNotFoundError):
        Path(f"/proc/{pid}/autogroup").write_text("-10")


@contextmanager
def yardstick() -> Iterator[Callable[[], float]]:
    """How late the kernel has been by the time it is asked, in seconds."""
    words = [sys.executable, "-I", "-S", "-c", YARDSTICK]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        prefer(process.pid)

        def late() -> float:
            return float(process.communicate(timeout=PATIENCE)[0])

        try:
            yield late
        finally:
            process.kill()


class Clients:
    """Everything that asks the daemon for something, each in its thread, until told to end."""

    def __init__(self, daemon: Daemon, seed: int) -> None:
        self._daemon = daemon
        self._url = f"unix://{daemon.home.socket}"
        self._seed = seed
        self._over = threading.Event()
        self._errors: list[Exception] = []
        self._last_event: int | None = None
        self.events = 0
        self.requests = 0

    @contextmanager
    def busy(self) -> Iterator[None]:
        """They ask while the block lasts; what went wrong is raised at its end."""
        self._over.clear()
        self._last_event = None  # nobody has listened for a while
        deeds = (self._scrape, self._look, self._act, self._follow_events, self._follow_log)
        threads = [
            threading.Thread(target=self._go_on, args=(deed, number))
            for number, deed in enumerate((*deeds, self._reconfigure, self._hang_about))
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join(PATIENCE)
        assert not any(thread.is_alive() for thread in threads)
        if self._errors:
            raise self._errors[0]

    def run_for(self, seconds: float) -> None:
        """Let them go on for so long, unless one fails."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._errors:
            self._over.wait(0.5)

    def _go_on(self, deed: Callable[[Client, random.Random], None], number: int) -> None:
        dice = random.Random(self._seed + number)
        try:
            while not self._over.is_set():
                with Client(self._url, timeout=PATIENCE) as client:
                    deed(client, dice)
                self.requests += 1
        except Exception as error:  # noqa: BLE001 - told in the thread that waits
            error.add_note(f"SOAK_SEED={self._seed}")
            self._errors.append(error)

    def _scrape(self, client: Client, _: random.Random) -> None:
        assert client.metrics()
        self._over.wait(0.5)

    def _look(self, client: Client, _: random.Random) -> None:
        assert len(client.processes().processes) >= CRASHING + STEADY + 2
        client.process("steady:steady_0" if self.requests % 2 else "probed")
        client.history("crashing:crashing_1")
        self._over.wait(0.1)

    def _act(self, client: Client, dice: random.Random) -> None:
        number = dice.randrange(STEADY)
        client.act(dice.choice(["restart", "stop", "start"]), [f"steady:steady_{number}"])
        client.write_stdin("listening", "say hello\n")
        self._over.wait(0.2)

    def _follow_events(self, client: Client, dice: random.Random) -> None:
        """Some events, and after a new connection those that follow: none is missing."""
        for _ in range(dice.randrange(1, 5)):
            last = self._last_event
            with client.events(last_event_id=last) as stream:
                for _, event in zip(range(dice.randrange(1, 200)), stream, strict=False):
                    assert not isinstance(event, EventGap)
                    assert last is None or event.id == last + 1
                    self._last_event = last = event.id
                    self.events += 1
                    if self._over.is_set():
                        return

    def _follow_log(self, client: Client, dice: random.Random) -> None:
        with client.follow_log(f"steady:steady_{dice.randrange(STEADY)}") as stream:
            giving_up = threading.Timer(2.0, stream.hang_up)
            giving_up.start()
            try:
                for _ in zip(range(dice.randrange(1, 50)), stream, strict=False):
                    pass
            except NoDaemon:  # we hung up
                pass
            finally:
                giving_up.cancel()
                giving_up.join()

    def _reconfigure(self, client: Client, dice: random.Random) -> None:
        """A program comes and goes, with other words each time."""
        here = self._daemon.home
        number = dice.randrange(1 << 30)
        passing = f'[program.passing]\ncommand = "$VICTIM"\ndescription = "{number}"\n'
        here.rewrite(passing if dice.randrange(3) else "", file="passing")
        client.apply()
        self._over.wait(0.5)

    def _hang_about(self, client: Client, _: random.Random) -> None:
        """Connections that come to nothing, and requests for what is not there."""
        for path in (
            "/no/such/page",
            "/api/v1/processes/nobody",
            "/readyz",
            "/api/v1/config/diff",
        ):
            self._daemon.http(path)
        client.daemon()
        self._over.wait(0.3)


@pytest.mark.soak
def test_nothing_grows(start_daemon: StartDaemon) -> None:
    """Memory, descriptors and tasks stay what they are; 99 of 100 timers are in time."""
    faulthandler.cancel_dump_traceback_later()  # it is meant to take long
    daemon = start_daemon(PROGRAMS, wrapper=["setsid"])
    prefer(daemon.pid)
    clients = Clients(daemon, SEED)
    # The API answers before all that is to run does, and somebody writes to this one at once.
    eventually(lambda: daemon.client.process("listening").status.pid)
    with clients.busy():
        clients.run_for(max(WARM_UP_MIN, SECONDS * WARM_UP))
    before, lag_before = settled(daemon), lags(daemon)
    with yardstick() as measured, clients.busy():
        clients.run_for(SECONDS * (1 - WARM_UP))
        kernel = measured()
    after, lag_after = settled(daemon), lags(daemon)
    late = quantile(0.99, {bound: lag_after[bound] - lag_before[bound] for bound in lag_after})
    restarts = sum(one.restarts for one in daemon.statuses().values())
    print(  # noqa: T201 - what a soak is run for
        f"\nsoak: {SECONDS:g} s, seed {SEED}: {clients.events} events followed,"
        f" {restarts} restarts; RSS {before.rss / MEBIBYTE:.1f} -> {after.rss / MEBIBYTE:.1f} MiB,"
        f" descriptors {before.descriptors} -> {after.descriptors},"
        f" tasks {before.tasks:g} -> {after.tasks:g}, p99 of loop lag {late * 1000:.1f} ms,"
        f" of the kernel's {kernel * 1000:.1f} ms"
    )
    assert restarts > SECONDS
    assert after.rss - before.rss < GROWTH, SEED
    assert after.descriptors <= before.descriptors, SEED
    assert after.tasks <= before.tasks, SEED
    assert after.threads <= THREADS, SEED
    assert late < max(LAG, 2 * kernel), SEED


def settled(daemon: Daemon) -> Size:
    """The size of the daemon when its clients are gone and all that stays up is running.

    Not what comes and goes: each run of it has descriptors while it lasts.
    """
    passing = [*(f"crashing:crashing_{number}" for number in range(CRASHING)), "probed"]
    daemon.home.rewrite("", file="passing")
    daemon.client.apply()
    daemon.client.act("stop", passing)
    daemon.client.act("start", [f"steady:steady_{number}" for number in range(STEADY)])

    def quiet() -> Size | None:
        if not daemon.has_pipes_ready:  # some are made a moment after the last start
            return None
        # An answer comes in a turn of the loop in which it hears of all that hung up before.
        one, other = size_of(daemon), size_of(daemon)
        return one if (one.descriptors, one.tasks) == (other.descriptors, other.tasks) else None

    size = eventually(quiet)
    daemon.client.act("start", passing)
    daemon.client.close()
    return size
