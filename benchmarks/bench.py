"""What every measurement needs: the programs, a directory, chance, and how hard to try."""

import itertools
import mmap
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Self

from benchmarks.peers import ALL, FAILURES, Daemon, Job, Peer, Program
from benchmarks.programs import Births, Programs


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is repeated."""

    memory_mib: int
    kills: int
    fleet: int
    fleet_rounds: int
    idle_seconds: float
    idle_rounds: int
    settle_seconds: float
    small_rounds: int
    status_calls: int
    all_calls: int
    one_seconds: float
    one_rounds: int
    rpc_calls: int
    flood_rounds: int
    flood_mib: int
    line_mib: int
    steady_rounds: int
    steady_seconds: int
    storm_rounds: int
    storm_seconds: float
    crashers: int
    exporter_rounds: int
    scrapes: int
    processes: int
    children: int
    renders: int
    curve: Sequence[int]
    sweeps: int


FULL = Effort(
    memory_mib=4096,
    kills=30,
    fleet=1000,
    fleet_rounds=3,
    idle_seconds=30.0,
    idle_rounds=2,
    settle_seconds=3.0,
    small_rounds=5,
    status_calls=15,
    all_calls=15,
    one_seconds=0.5,
    one_rounds=6,
    rpc_calls=30,
    flood_rounds=3,
    flood_mib=512,
    line_mib=128,
    steady_rounds=2,
    steady_seconds=10,
    storm_rounds=2,
    storm_seconds=8.0,
    crashers=200,
    exporter_rounds=2,
    scrapes=4,
    processes=1000,
    children=2,
    renders=10,
    curve=(100, 5000),
    sweeps=2,
)
QUICK = Effort(
    memory_mib=16,
    kills=2,
    fleet=20,
    fleet_rounds=1,
    idle_seconds=1.0,
    idle_rounds=1,
    settle_seconds=0.2,
    small_rounds=1,
    status_calls=2,
    all_calls=3,
    one_seconds=0.1,
    one_rounds=1,
    rpc_calls=3,
    flood_rounds=1,
    flood_mib=16,
    line_mib=1,
    steady_rounds=1,
    steady_seconds=1,
    storm_rounds=1,
    storm_seconds=1.5,
    crashers=10,
    exporter_rounds=1,
    scrapes=1,
    processes=50,
    children=2,
    renders=2,
    curve=(10,),
    sweeps=0,
)


def _available_memory() -> int:
    """Bytes that can be had without pushing anything out."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    (kib,) = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    available = int(kib) * 1024
    with suppress(OSError, ValueError):  # of a container; "max" is none
        available = min(available, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return available


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The place where everything is measured. `peers`: those that are here, opsvisor first.

    `failures` says what went wrong: a contestant that fails in a measurement has no further turn
    in it, and the others go on. `disk` is for what is about files: see `on_disk`.
    """

    directory: Path
    disk: Path
    programs: Programs
    effort: Effort
    chance: random.Random
    say: Callable[[str], None]
    peers: Sequence[Peer] = ALL
    failures: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def on_disk(self) -> Self:
        """The same where logs are as a rule: for measurements of what writing files costs."""
        return replace(self, directory=self.disk)

    def fresh_directory(self) -> Path:
        """A directory that nobody has used, and that isn't there yet."""
        return self.directory / str(next(self._numbers))

    @contextmanager
    def births(self) -> Iterator[Births]:
        """A new FIFO for programs to report on."""
        births = Births(self.directory / f"births-{next(self._numbers)}")
        try:
            yield births
        finally:
            births.close()

    def newborns(self, births: Births, replicas: int, children: int = 0, *, user: str = "") -> Job:
        """A job of so many programs that report and then do nothing, as do their children.

        With `user` they are that user's, to whom all that they need is opened.
        """
        words = [str(births.path), str(children)] if children else [str(births.path)]
        if user:
            self.directory.chmod(0o711)
            births.path.chmod(0o622)
        return Job(programs=[self.program("p", self.programs.newborn, words, replicas, user)])

    def program(
        self,
        name: str,
        command: Sequence[str],
        words: Sequence[str],
        replicas: int = 1,
        user: str = "",
    ) -> Program:
        """So many of one of our programs."""
        return Program(name=name, command=[*command, *words], replicas=replicas, user=user)

    def daemon(self, peer: Peer, job: Job) -> Daemon:
        """A supervisor for this job, in a directory of its own."""
        return Daemon(peer, self.fresh_directory(), job)

    def warm_up(self) -> None:
        """Start, ask and stop everybody once, to have their byte code in the cache.

        Before that, have the memory: a virtual machine gets it from its host at the first touch,
        which takes 10 µs a page, and who comes first would pay for all.
        """
        length = min(self.effort.memory_mib << 20, _available_memory() // 2)
        with mmap.mmap(-1, max(length, mmap.PAGESIZE)) as memory:
            for at in range(0, len(memory), mmap.PAGESIZE):
                memory[at] = 1
        self.each(self._meet, self.peers)

    def _meet(self, peer: Peer) -> None:
        with self.births() as births, self.daemon(peer, self.newborns(births, 1)) as daemon:
            daemon.wait_for_answer()
            births.next()
            if peer.status(daemon.directory, daemon.job):
                daemon.ask_status()

    def interleaved(self, turns: Mapping[str, Callable[[], object]], rounds: int) -> None:
        """Let everyone have so many turns, in rounds of random order.

        What else happens on the machine meanwhile hits all of them alike.
        """
        names = list(turns)
        for _ in range(rounds):
            self.chance.shuffle(names)
            for name in list(names):
                if not self.tried(name, turns[name]):
                    names.remove(name)

    def each(self, turn: Callable[[Peer], object], peers: Sequence[Peer], rounds: int = 1) -> None:
        """The same for each of these peers: see `interleaved`."""
        self.interleaved({peer.name: partial(turn, peer) for peer in peers}, rounds)

    def tried(self, name: str, turn: Callable[[], object]) -> bool:
        """Whether it went well; what did not is said, and kept for the report."""
        try:
            turn()
        except FAILURES as error:
            what = type(error).__name__
            text = str(error).replace(str(self.directory), "DIRECTORY")
            self.failures.append(f"{name}: {what}: {text}"[:200])
            self.say(f"  failed: {self.failures[-1]}")
            return False
        return True


class Samples:
    """What was measured, by quantity and contestant."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, list[float]]] = {}

    def keep(self, quantity: str, name: str, *values: float) -> None:
        """Add these."""
        self._kept.setdefault(quantity, {}).setdefault(name, []).extend(values)

    def of(self, quantity: str, order: Collection[str]) -> dict[str, list[float]]:
        """Those of one quantity, in this order of contestants."""
        kept = self._kept.get(quantity, {})
        return {name: kept[name] for name in order if name in kept}
