"""How long a killed program is gone."""

import time
from collections.abc import Sequence
from contextlib import ExitStack

from benchmarks.bench import Bench, Samples
from benchmarks.peers import FLOOR, Peer
from benchmarks.stats import Goal, Series

# Several, killed in turn: each has lived for some seconds before. s6 lets a program wait that it
# started less than a second ago, and programs that live no longer are what the storm is for.
_PROGRAMS = 10
_KILLS_A_TURN = 7  # of those who need no second for it
_LONGEST_PAUSE = 0.05  # between kills, so that they don't keep step with anybody's timer


class _Victims:
    """Programs under one supervisor, killed again and again."""

    def __init__(self, bench: Bench, peer: Peer, samples: Samples, stack: ExitStack) -> None:
        self._bench = bench
        self._peer = peer
        self._samples = samples
        self._kills = 1 if peer.restarts_in_seconds else _KILLS_A_TURN
        self._births = stack.enter_context(bench.births())
        job = bench.newborns(self._births, _PROGRAMS)
        stack.enter_context(bench.daemon(peer, job))
        self._pids = [birth.pid for birth in self._births.collect(_PROGRAMS)]

    def turn(self) -> None:
        """Kill some, and wait for the replacement of each."""
        for _ in range(self._kills):
            pause = self._bench.chance.uniform(0, _LONGEST_PAUSE)
            took = self._births.after_kill(self._pids, pause)
            self._samples.keep("delay", self._peer.name, took)


def measure(bench: Bench) -> list[Series]:
    """With all files in memory; and on a disk, for those who note what they do."""
    noting = [peer for peer in bench.peers if peer.notes_restarts]
    return [
        _restarts(
            bench,
            [*bench.peers, FLOOR],
            "SIGKILL of a program → first instruction of its replacement",
            [Goal(bound=2, of=FLOOR.name), Goal(bound=1, of="runit")],
        ),
        _restarts(
            bench.on_disk(),
            [*noting, FLOOR],
            "SIGKILL → first instruction of the replacement, files of the supervisor on a disk",
            [Goal(bound=1, of="runit")],
        ),
    ]


def _restarts(
    bench: Bench, contestants: Sequence[Peer], title: str, goals: Sequence[Goal]
) -> Series:
    """All supervisors run at once and are idle, except the one whose turn it is."""
    samples, victims = Samples(), {}
    with ExitStack() as stack:

        def begin(peer: Peer) -> None:
            victims[peer.name] = _Victims(bench, peer, samples, stack)

        bench.each(begin, contestants)
        time.sleep(bench.effort.settle_seconds)
        bench.interleaved({name: one.turn for name, one in victims.items()}, bench.effort.kills)
    return Series(
        measurement="respawn",
        title=title,
        unit="ms",
        samples=samples.of("delay", [peer.name for peer in contestants]),
        tail=True,
        goals=goals,
    )
