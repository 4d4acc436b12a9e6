"""Five hundred programs: started, left alone, stopped."""

import time
from collections import defaultdict
from functools import partial

from benchmarks.bench import Bench
from benchmarks.peers import FLOOR, OPSVISOR, SUPERVISOR, Daemon, Peer
from benchmarks.probe import memory_of
from benchmarks.stats import Series

_Samples = dict[str, list[float]]


class _Fleet:
    """The measurements of all turns, by quantity and supervisor."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.samples: dict[str, _Samples] = defaultdict(lambda: defaultdict(list))

    def turn(self, peer: Peer) -> None:
        """One life of one supervisor with all programs."""
        bench, count = self._bench, self._bench.effort.fleet
        births = bench.births()
        with Daemon(peer, bench.fresh_directory() / "d", bench.newborns(births, count)) as daemon:
            born = births.collect(count)
            self._keep("start", peer, (max(b.at for b in born) - daemon.began) / 1e6)
            if peer is not FLOOR:
                daemon.wait_for_answer()
                self._leave_alone(peer, daemon)
            self._keep("stop", peer, daemon.stop() * 1e3)
        births.close()

    def _leave_alone(self, peer: Peer, daemon: Daemon) -> None:
        time.sleep(self._bench.effort.settle_seconds)
        before, began = daemon.usage(), time.monotonic()
        time.sleep(self._bench.effort.idle_seconds)
        used, seconds = daemon.usage().since(before), time.monotonic() - began
        self._keep("idle cpu", peer, 1e3 * used.cpu / seconds)
        self._keep("wake-ups", peer, used.wakeups / seconds)
        memory = memory_of(daemon.pid)
        self._keep("rss", peer, memory.rss)
        self._keep("pss", peer, memory.pss)

    def _keep(self, quantity: str, peer: Peer, value: float) -> None:
        self.samples[quantity][peer.name].append(value)


def measure(bench: Bench) -> list[Series]:
    """One supervisor at a time."""
    fleet, count = _Fleet(bench), bench.effort.fleet
    bench.interleaved(
        {peer.name: partial(fleet.turn, peer) for peer in (OPSVISOR, SUPERVISOR, FLOOR)},
        bench.effort.fleet_rounds,
    )
    titles = {
        "start": (f"exec of the daemon → last of {count} programs alive", "ms"),
        "stop": (f"SIGTERM → all {count} programs and the daemon gone", "ms"),
        "idle cpu": (f"CPU of the daemon, {count} idle programs", "ms/s"),
        "wake-ups": (f"wake-ups of the daemon, {count} idle programs", "/s"),
        "rss": (f"RSS of the daemon, {count} programs", "MiB"),
        "pss": (f"PSS of the daemon, {count} programs", "MiB"),
    }
    order = [peer.name for peer in (OPSVISOR, SUPERVISOR, FLOOR)]
    return [
        Series(
            measurement="fleet",
            title=title,
            unit=unit,
            samples={
                name: fleet.samples[quantity][name]
                for name in order
                if name in fleet.samples[quantity]
            },
        )
        for quantity, (title, unit) in titles.items()
    ]
