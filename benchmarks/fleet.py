"""A thousand programs: started and stopped."""

import time

from benchmarks.bench import Bench, Samples
from benchmarks.peers import FLOOR, Peer
from benchmarks.stats import Goal, Series


def measure(bench: Bench) -> list[Series]:
    """One supervisor at a time."""
    samples, count = Samples(), bench.effort.fleet
    contestants = [peer for peer in (*bench.peers, FLOOR) if peer.most_programs >= count]

    def turn(peer: Peer) -> None:
        with bench.births() as births, bench.daemon(peer, bench.newborns(births, count)) as daemon:
            born = births.collect(count)
            samples.keep("start", peer.name, (max(b.at for b in born) - daemon.began) / 1e9)
            time.sleep(bench.effort.settle_seconds)
            samples.keep("stop", peer.name, daemon.stop([b.pid for b in born]))

    bench.each(turn, contestants, bench.effort.fleet_rounds)
    order = [peer.name for peer in contestants]
    return [
        Series(
            measurement="fleet",
            title=title,
            unit="s",
            samples=samples.of(quantity, order),
            goals=[goal],
        )
        for quantity, title, goal in (
            (
                "start",
                f"exec of the daemon → last of {count} programs alive",
                Goal(bound=1.5, of=FLOOR.name),
            ),
            ("stop", f"stop → all {count} programs and the daemon gone", Goal(bound=0.15)),
        )
    ]
