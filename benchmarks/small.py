"""Ten programs, the usual case: when the daemon answers, what it weighs, how fast it is asked."""

import time
from contextlib import ExitStack
from functools import partial

from benchmarks.bench import Bench
from benchmarks.peers import PEERS, Daemon, Peer
from benchmarks.probe import memory_of
from benchmarks.stats import Series

_PROGRAMS = 10


class _Small:
    """The measurements of all turns, by quantity and supervisor."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.samples: dict[str, dict[str, list[float]]] = {
            quantity: {peer.name: [] for peer in PEERS}
            for quantity in ("ready", "rss", "pss", "status")
        }

    def turn(self, peer: Peer) -> None:
        """One life of one supervisor."""
        births = self._bench.births()
        job = self._bench.newborns(births, _PROGRAMS)
        with Daemon(peer, self._bench.fresh_directory() / "d", job) as daemon:
            self.samples["ready"][peer.name].append(1e3 * daemon.wait_for_answer())
            births.collect(_PROGRAMS)
            time.sleep(self._bench.effort.settle_seconds)
            memory = memory_of(daemon.pid)
            self.samples["rss"][peer.name].append(memory.rss)
            self.samples["pss"][peer.name].append(memory.pss)
        births.close()

    def ask(self) -> None:
        """Both supervisors at once, each with its programs, asked in random order."""
        with ExitStack() as stack:
            turns = {}
            for peer in PEERS:
                births = self._bench.births()
                stack.callback(births.close)
                job = self._bench.newborns(births, _PROGRAMS)
                daemon = stack.enter_context(
                    Daemon(peer, self._bench.fresh_directory() / "d", job)
                )
                daemon.wait_for_answer()
                births.collect(_PROGRAMS)
                turns[peer.name] = partial(self._time_status, daemon)
            self._bench.interleaved(turns, self._bench.effort.status_calls)

    def _time_status(self, daemon: Daemon) -> None:
        began = time.monotonic()
        running = daemon.ask_status()
        self.samples["status"][daemon.peer.name].append(1e3 * (time.monotonic() - began))
        if running != _PROGRAMS:
            raise RuntimeError(f"{daemon.peer.name} says that {running} programs run")


def measure(bench: Bench) -> list[Series]:
    """One supervisor at a time, except where clients are timed."""
    small = _Small(bench)
    bench.interleaved(
        {peer.name: partial(small.turn, peer) for peer in PEERS},
        bench.effort.small_rounds,
    )
    small.ask()
    return [
        Series(measurement="small", title=title, unit=unit, samples=small.samples[quantity])
        for quantity, title, unit in (
            ("ready", "exec of the daemon → its first answer on the socket", "ms"),
            ("rss", f"RSS of the daemon, {_PROGRAMS} programs", "MiB"),
            ("pss", f"PSS of the daemon, {_PROGRAMS} programs", "MiB"),
            ("status", f"`status` from the shell, {_PROGRAMS} programs, piped", "ms"),
        )
    ]
