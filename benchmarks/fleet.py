"""A thousand programs: started and stopped."""

import os
import time

from benchmarks.bench import Bench, Samples
from benchmarks.peers import FLOOR, Peer
from benchmarks.stats import Goal, Series

_SOMEBODY_ELSE = "nobody"


def measure(bench: Bench) -> list[Series]:
    """One supervisor at a time."""
    samples, count = Samples(), bench.effort.fleet
    peers = [peer for peer in bench.peers if peer.most_programs >= count]
    contestants = [*peers, FLOOR]

    def turn(peer: Peer) -> None:
        with bench.births() as births, bench.daemon(peer, bench.newborns(births, count)) as daemon:
            born = births.collect(count)
            samples.keep("start", peer.name, (max(b.at for b in born) - daemon.began) / 1e9)
            time.sleep(bench.effort.settle_seconds)
            samples.keep("stop", peer.name, daemon.stop([b.pid for b in born]))

    def turn_as_somebody_else(peer: Peer) -> None:
        with bench.births() as births:
            job = bench.newborns(births, count, user=_SOMEBODY_ELSE)
            with bench.daemon(peer, job) as daemon:
                born = births.collect(count)
                took = (max(b.at for b in born) - daemon.began) / 1e9
                samples.keep("start as somebody else", peer.name, took)

    bench.each(turn, contestants, bench.effort.fleet_rounds)
    if os.geteuid() == 0:  # else nobody can
        bench.each(turn_as_somebody_else, peers, bench.effort.fleet_rounds)
    order = [peer.name for peer in contestants]
    return [
        Series(
            measurement="fleet",
            title=title,
            unit="s",
            samples=found,
            goals=goals,
        )
        for quantity, title, goals in (
            (
                "start",
                f"exec of the daemon → last of {count} programs alive",
                [Goal(bound=1.5, of=FLOOR.name)],
            ),
            ("start as somebody else", f"the same, of another user ({_SOMEBODY_ELSE})", []),
            ("stop", f"stop → all {count} programs and the daemon gone", [Goal(bound=0.15)]),
        )
        if (found := samples.of(quantity, order))
    ]
