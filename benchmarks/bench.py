"""What every measurement needs: the programs, a directory, chance, and how hard to try."""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers import PEERS, Daemon, Job
from benchmarks.programs import Births, Programs


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is repeated."""

    kills: int
    fleet: int
    fleet_rounds: int
    idle_seconds: float
    settle_seconds: float
    small_rounds: int
    status_calls: int
    rpc_calls: int
    flood_rounds: int
    flood_mib: int
    line_mib: int
    processes: int
    children: int
    renders: int
    curve: Sequence[int]
    sweeps: int


FULL = Effort(
    kills=50,
    fleet=500,
    fleet_rounds=3,
    idle_seconds=8.0,
    settle_seconds=2.0,
    small_rounds=5,
    status_calls=25,
    rpc_calls=100,
    flood_rounds=3,
    flood_mib=512,
    line_mib=32,
    processes=1000,
    children=2,
    renders=10,
    curve=(100, 5000),
    sweeps=3,
)
QUICK = Effort(
    kills=3,
    fleet=20,
    fleet_rounds=1,
    idle_seconds=0.5,
    settle_seconds=0.2,
    small_rounds=1,
    status_calls=2,
    rpc_calls=3,
    flood_rounds=1,
    flood_mib=16,
    line_mib=1,
    processes=50,
    children=2,
    renders=2,
    curve=(10,),
    sweeps=0,
)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The place where everything is measured."""

    directory: Path
    programs: Programs
    effort: Effort
    chance: random.Random
    say: Callable[[str], None]
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def fresh_directory(self) -> Path:
        """A directory nobody has used."""
        path = self.directory / str(next(self._numbers))
        path.mkdir()
        return path

    def births(self) -> Births:
        """A new FIFO for programs to report on."""
        return Births(self.fresh_directory() / "births")

    def newborns(self, births: Births, replicas: int, children: int = 0) -> Job:
        """A job of so many programs that report and then do nothing, as do their children."""
        command = [*self.programs.newborn, str(births.path), str(children)]
        return Job(command=command, replicas=replicas)

    def warm_up(self) -> None:
        """Start, ask and stop everybody once, to have their byte code in the cache."""
        for peer in PEERS:
            births = self.births()
            job = self.newborns(births, 1)
            with Daemon(peer, self.fresh_directory() / "d", job) as daemon:
                daemon.wait_for_answer()
                births.next()
                daemon.ask_status()
            births.close()

    def interleaved(self, turns: Mapping[str, Callable[[], None]], rounds: int) -> None:
        """Let everyone have so many turns, in rounds of random order.

        What else happens on the machine meanwhile hits all of them alike.
        """
        names = list(turns)
        for _ in range(rounds):
            self.chance.shuffle(names)
            for name in names:
                turns[name]()
