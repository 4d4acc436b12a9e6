"""A thousand programs under each supervisor, all at once: left alone, then asked."""

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

from benchmarks.bench import Bench, Samples
from benchmarks.peers import Daemon, Peer, Questions
from benchmarks.probe import memory_of, wakeups_of
from benchmarks.stats import Better, Goal, Series

_NOMINAL = 30.0  # seconds that idle CPU time is told for
_CLOGGED = 4
_BATCH = 10  # questions between looks at the clock


class _Standing:
    """One supervisor with its programs."""

    def __init__(self, bench: Bench, peer: Peer, samples: Samples, stack: ExitStack) -> None:
        self._bench = bench
        self._peer = peer
        self._samples = samples
        self.count = min(bench.effort.fleet, peer.most_programs)
        births = stack.enter_context(bench.births())
        job = bench.newborns(births, self.count)
        self._daemon: Daemon = stack.enter_context(bench.daemon(peer, job))
        births.collect(self.count)
        self._daemon.wait_for_answer()
        self._questions: Questions | None = None
        self._used = 0.0
        self._slept = 0

    def begin_to_idle(self) -> None:
        """Look who it consists of, and what they have used."""
        self._daemon.look()
        self._used, self._slept = self._daemon.cpu(), self._sleeps()

    def end_idle(self, seconds: float) -> None:
        """What was used since."""
        used, slept = self._daemon.cpu() - self._used, self._sleeps() - self._slept
        self._samples.keep("idle cpu", self._peer.name, 1e3 * used * _NOMINAL / seconds)
        self._samples.keep("wake-ups", self._peer.name, slept / seconds)

    def weigh(self) -> None:
        """The memory of all its processes."""
        memories = []
        for process in self._daemon.look():
            with suppress(OSError):
                memories.append(memory_of(process.pid))
        self._samples.keep("rss", self._peer.name, sum(memory.rss for memory in memories))
        self._samples.keep("pss", self._peer.name, sum(memory.pss for memory in memories))

    def ask_all(self) -> None:
        """Its status of everything, once."""
        questions = self._asked()
        began = time.monotonic()
        running = questions.all()
        took = 1e3 * (time.monotonic() - began)
        if running != self.count:
            raise RuntimeError(f"{running} of {self.count} programs run, it says")
        self._samples.keep("all", self._peer.name, took)

    def ask_one(self, quantity: str) -> None:
        """Its status of one program, as often as there is time."""
        questions, seconds = self._asked(), self._bench.effort.one_seconds
        asked, began, now = 0, time.monotonic(), 0.0
        while (now := time.monotonic()) < began + seconds:
            questions.one(_BATCH)
            asked += _BATCH
        self._samples.keep(quantity, self._peer.name, asked / (now - began))

    def clog(self) -> None:
        """From now on there are clients that never read."""
        self._asked().clog(_CLOGGED)

    def close(self) -> None:
        """Disconnect."""
        if self._questions is not None:
            self._questions.close()

    def _asked(self) -> Questions:
        if self._questions is None:
            self._questions = self._daemon.questions()
            assert self._questions is not None
            self._questions.all()
        return self._questions

    def _sleeps(self) -> int:
        count = 0
        for process in self._daemon.look():
            with suppress(OSError):
                count += wakeups_of(process.pid)
        return count


def measure(bench: Bench) -> list[Series]:
    """Everybody is there at once: an idle supervisor disturbs nobody, and questions take turns."""
    samples, standing = Samples(), {}
    with ExitStack() as stack:

        def begin(peer: Peer) -> None:
            standing[peer.name] = one = _Standing(bench, peer, samples, stack)
            stack.callback(one.close)

        bench.each(begin, bench.peers)
        time.sleep(bench.effort.settle_seconds)
        _idle(bench, standing)
        effort = bench.effort
        bench.interleaved({n: s.weigh for n, s in standing.items()}, 1)
        bench.interleaved({n: s.ask_all for n, s in standing.items()}, effort.all_calls)
        asking = {n: _one(s, "one") for n, s in standing.items()}
        bench.interleaved(asking, effort.one_rounds)
        may_clog = {peer.name for peer in bench.peers if peer.may_clog}
        clogged = {n: s for n, s in standing.items() if n in may_clog}
        bench.interleaved({n: s.clog for n, s in clogged.items()}, 1)
        bench.interleaved({n: _one(s, "clogged") for n, s in clogged.items()}, effort.one_rounds)
    return _series(bench, samples, {name: one.count for name, one in standing.items()})


def _idle(bench: Bench, standing: dict[str, _Standing]) -> None:
    for _ in range(bench.effort.idle_rounds):
        for one in standing.values():
            one.begin_to_idle()
        began = time.monotonic()
        time.sleep(bench.effort.idle_seconds)
        seconds = time.monotonic() - began
        for one in standing.values():
            one.end_idle(seconds)


def _one(standing: _Standing, quantity: str) -> Callable[[], None]:
    return lambda: standing.ask_one(quantity)


def _series(bench: Bench, samples: Samples, counts: dict[str, int]) -> list[Series]:
    count = bench.effort.fleet
    fewer = "".join(f" ({name}: {n})" for name, n in counts.items() if n != count)
    order = [peer.name for peer in bench.peers]

    def one(quantity: str, title: str, unit: str, *goals: Goal) -> Series:
        return Series(
            measurement="standing",
            title=title,
            unit=unit,
            samples=samples.of(quantity, order),
            better=Better.MORE if unit == "/s" and goals else Better.LESS,
            goals=goals,
        )

    return [
        one(
            "idle cpu",
            f"CPU in {_NOMINAL:.0f} s, {count} idle programs{fewer}",
            "ms",
            Goal(bound=5),
        ),
        one("wake-ups", f"wake-ups, {count} idle programs{fewer}", "/s"),
        one("rss", f"RSS, {count} programs{fewer}", "MiB", Goal(bound=60)),
        one("pss", f"PSS, {count} programs{fewer}", "MiB"),
        one(
            "all",
            f"status of all {count} programs by its own interface{fewer}",
            "ms",
            Goal(bound=15),
        ),
        one("one", "status of one program, one client", "/s", Goal(bound=3000)),
        one(
            "clogged",
            f"the same, beside {_CLOGGED} clients that never read",
            "/s",
            Goal(bound=3000),
        ),
    ]
