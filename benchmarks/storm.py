"""Two hundred programs that crash as soon as they run: what it costs, and who suffers from it."""

import os
import signal
import threading
import time
from contextlib import suppress

from benchmarks.bench import Bench, Samples
from benchmarks.peers import FAILURES, FLOOR, Daemon, Job, Peer, Questions
from benchmarks.programs import Births
from benchmarks.stats import Goal, Series

_ASK_EVERY = 0.02
_DRAIN_EVERY = 0.05
_KILL_EVERY = 0.2
_LONGEST = 15.0  # that a replacement may take


class _Asker(threading.Thread):
    """Asks for the status of the healthy program again and again; `took` in ms."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(daemon=True)
        self.took: list[float] = []
        self._daemon = daemon
        self._ended = threading.Event()
        self._asked_at: float | None = None

    def run(self) -> None:
        """Until it is ended, or the supervisor has no more to say."""
        with suppress(*FAILURES):
            self._asked_at = time.monotonic()
            questions = self._daemon.questions()
            self._asked_at = None
            if questions is not None:
                try:
                    self._ask(questions)
                finally:
                    questions.close()

    def _ask(self, questions: Questions) -> None:
        while not self._ended.wait(_ASK_EVERY):
            self._asked_at = began = time.monotonic()
            questions.one(1)
            self.took.append(1e3 * (time.monotonic() - began))
            self._asked_at = None

    def waited(self) -> list[float]:
        """For how long there has been no answer to what was asked last; [] if there was one."""
        asked_at = self._asked_at
        return [] if asked_at is None else [1e3 * (time.monotonic() - asked_at)]

    def end(self) -> None:
        """No more questions."""
        self._ended.set()
        self.join(_LONGEST)


class _Counter(threading.Thread):
    """Counts crashes, by what the programs report before they end."""

    def __init__(self, births: Births) -> None:
        super().__init__(daemon=True)
        self.count = 0
        self._births = births
        self._ended = threading.Event()

    def run(self) -> None:
        """Until it is ended."""
        while not self._ended.wait(_DRAIN_EVERY):
            self.count += self._births.drain()

    def end(self) -> None:
        """Count no more."""
        self._ended.set()
        self.join()


def measure(bench: Bench) -> list[Series]:
    """One supervisor at a time."""
    samples, crashers = Samples(), bench.effort.crashers
    contestants = [*bench.peers, FLOOR]

    def turn(peer: Peer) -> None:
        with bench.births() as crashes, bench.births() as births:
            job = Job(
                programs=[
                    bench.program("p", bench.programs.newborn, [str(births.path)]),
                    bench.program("c", bench.programs.crasher, [str(crashes.path)], crashers),
                ]
            )
            counter = _Counter(crashes)
            counter.start()
            try:
                with bench.daemon(peer, job) as daemon:
                    _live_through(bench, daemon, births, counter, samples)
            finally:
                counter.end()

    bench.each(turn, contestants, bench.effort.storm_rounds)
    order = [peer.name for peer in contestants]
    what = f"{crashers} programs that crash at once"
    return [
        Series(
            measurement="storm",
            title=title,
            unit=unit,
            samples=samples.of(quantity, order),
            tail=quantity in ("api", "healthy"),
            goals=goals,
        )
        for quantity, title, unit, goals in (
            ("cpu", f"CPU per restart, {what}", "ms", [Goal(bound=0.35)]),
            ("rate", f"restarts of {what}", "per second", []),
            ("api", "status of one program meanwhile", "ms", [Goal(bound=5, share=0.99)]),
            (
                "healthy",
                "SIGKILL of a healthy program → its replacement meanwhile",
                "ms",
                [Goal(bound=5)],
            ),
        )
    ]


def _live_through(
    bench: Bench, daemon: Daemon, births: Births, counter: _Counter, samples: Samples
) -> None:
    pid, name = births.next().pid, daemon.peer.name
    asker = _Asker(daemon)
    asker.start()
    time.sleep(bench.effort.settle_seconds)
    daemon.look()
    used, crashed, began = daemon.cpu(), counter.count, time.monotonic()
    first = len(asker.took)
    delays = []
    while time.monotonic() < began + bench.effort.storm_seconds:
        time.sleep(bench.chance.uniform(0, 2 * _KILL_EVERY))
        killed = time.monotonic_ns()
        os.kill(pid, signal.SIGKILL)
        at, pid = births.next(_LONGEST)
        delays.append((at - killed) / 1e6)
    used, crashed = daemon.cpu() - used, counter.count - crashed
    seconds = time.monotonic() - began
    took = asker.took[first:]
    took += asker.waited() if not took else []  # nobody who is never told has no trouble
    asker.end()
    restarts = crashed + len(delays)
    samples.keep("cpu", name, 1e3 * used / restarts)
    samples.keep("rate", name, restarts / seconds)
    samples.keep("healthy", name, *delays)
    if took:
        samples.keep("api", name, *took)
