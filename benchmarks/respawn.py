"""How long a killed program is gone."""

import os
import signal
import time
from contextlib import ExitStack

from benchmarks.bench import Bench
from benchmarks.peers import FLOOR, OPSVISOR, SUPERVISOR, Daemon, Peer
from benchmarks.programs import Births
from benchmarks.stats import Series

# Kills in a row: those who need milliseconds are asked more often than the one who needs a second.
_KILLS_A_TURN = {OPSVISOR.name: 4, SUPERVISOR.name: 1, FLOOR.name: 4}
_LONGEST_PAUSE = 0.05  # between kills, so that they don't keep step with anybody's timer


class _Victim:
    """One program under one supervisor, killed again and again."""

    def __init__(self, bench: Bench, peer: Peer, stack: ExitStack) -> None:
        self.delays: list[float] = []
        self._bench = bench
        self._kills = _KILLS_A_TURN[peer.name]
        self._births: Births = bench.births()
        stack.callback(self._births.close)
        job = bench.newborns(self._births, 1)
        stack.enter_context(Daemon(peer, bench.fresh_directory() / "d", job))
        self._pid = self._births.next().pid

    def turn(self) -> None:
        """Kill it, and wait for its replacement."""
        for _ in range(self._kills):
            time.sleep(self._bench.chance.uniform(0, _LONGEST_PAUSE))
            killed = time.monotonic_ns()
            os.kill(self._pid, signal.SIGKILL)
            at, self._pid = self._births.next()
            self.delays.append((at - killed) / 1e6)


def measure(bench: Bench) -> list[Series]:
    """All supervisors run at once and are idle, except the one whose turn it is."""
    with ExitStack() as stack:
        victims = {
            peer.name: _Victim(bench, peer, stack) for peer in (OPSVISOR, SUPERVISOR, FLOOR)
        }
        time.sleep(bench.effort.settle_seconds)
        bench.interleaved(
            {name: victim.turn for name, victim in victims.items()}, bench.effort.kills
        )
    samples = {name: victim.delays for name, victim in victims.items()}
    return [
        Series(
            measurement="respawn",
            title="SIGKILL of a program → first instruction of its replacement",
            unit="ms",
            samples=samples,
            tail=True,
        )
    ]
