"""How fast the daemon takes the output of a program that writes as fast as it can."""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.peers import PEERS, Daemon, Job, Peer
from benchmarks.stats import Better, Series

_ROTATE_SIZE = 16  # MiB
_MEGA = 1e6
_QUIET = 0.05  # seconds without CPU time after which a daemon has dealt with everything


@dataclass(frozen=True)
class _Flood:
    """How much, and how much of it in each write."""

    block: int
    total: int

    @property
    def title(self) -> str:
        size = f"{self.block // 1024} KiB" if self.block >= 1024 else f"{self.block} bytes"
        return f"writes of {size}"


class _Measured:
    """MB/s and CPU seconds per GB, by supervisor."""

    def __init__(self, bench: Bench, flood: _Flood) -> None:
        self._bench = bench
        self._flood = flood
        self.speed: dict[str, list[float]] = {peer.name: [] for peer in PEERS}
        self.cost: dict[str, list[float]] = {peer.name: [] for peer in PEERS}

    def turn(self, peer: Peer) -> None:
        """One flood, into a daemon that has done nothing else."""
        bench, flood = self._bench, self._flood
        births = bench.births()
        sizes = [str(flood.block), str(flood.total)]
        job = Job(
            command=[*bench.programs.flood, str(births.path), *sizes],
            replicas=1,
            rotate_size=_ROTATE_SIZE,
        )
        with Daemon(peer, bench.fresh_directory() / "d", job) as daemon:
            began = births.next()
            before = daemon.usage()
            ended = births.next()
            _wait_until_quiet(daemon)
            cpu = daemon.usage().since(before).cpu
            _check(daemon.directory / "log", flood.total)
            self.speed[peer.name].append(flood.total / _MEGA / ((ended.at - began.at) / 1e9))
            self.cost[peer.name].append(cpu / (flood.total / 1e9))
        births.close()


def measure(bench: Bench) -> list[Series]:
    """One supervisor at a time."""
    found = []
    for flood in (
        _Flood(64 * 1024, bench.effort.flood_mib * 1024 * 1024),
        _Flood(100, bench.effort.line_mib * 1024 * 1024),
    ):
        measured = _Measured(bench, flood)
        bench.interleaved(
            {peer.name: partial(measured.turn, peer) for peer in PEERS}, bench.effort.flood_rounds
        )
        found += [
            Series(
                measurement="logs",
                title=f"log throughput, {flood.title}",
                unit="MB/s",
                samples=measured.speed,
                better=Better.MORE,
            ),
            Series(
                measurement="logs",
                title=f"CPU of the daemon for a log, {flood.title}",
                unit="s/GB",
                samples=measured.cost,
            ),
        ]
    return found


def _wait_until_quiet(daemon: Daemon) -> None:
    """The last pipe full is read after the program's last write."""
    before = daemon.usage().cpu
    while True:
        time.sleep(_QUIET)
        now = daemon.usage().cpu
        if now - before < _QUIET / 10:
            return
        before = now


def _check(directory: Path, total: int) -> None:
    """The files hold as much as they must: all of it, or as many full ones as are kept."""
    kept = sum(path.stat().st_size for path in directory.iterdir())
    expected = min(total, 3 * _ROTATE_SIZE * 1024 * 1024)
    if kept < expected * 0.99:
        raise RuntimeError(f"{kept} bytes in {directory}, not {expected}")
