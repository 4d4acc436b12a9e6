"""How fast a daemon takes what one program writes as fast as it can, and what many cost it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.bench import Bench, Samples
from benchmarks.peers import LOG_FLOORS, SUPERVISOR, Daemon, Job, Peer
from benchmarks.peers.peer import ROTATED
from benchmarks.stats import Better, Goal, Series

_ROTATE_SIZE = 16  # MiB
_MEGA = 1e6
# Seconds without CPU time after which a daemon has dealt with everything: opsvisor may leave a
# pipe to fill for 64 ms.
_QUIET = 0.2

_WRITERS = 50
_SECOND = 1_000_000_000  # ns


@dataclass(frozen=True, kw_only=True)
class _Flood:
    """How much, how much of it in each write, and by what we want to beat Supervisor."""

    block: int
    total: int
    faster: Sequence[Goal] = ()
    cheaper: Sequence[Goal] = ()

    @property
    def title(self) -> str:
        size = f"{self.block // 1024} KiB" if self.block >= 1024 else f"{self.block} bytes"
        return f"writes of {size}"


@dataclass(frozen=True, kw_only=True)
class _Steady:
    """How much each of many programs writes at once and in a second, and what that may cost."""

    title: str
    block: int
    rate: int
    goals: Sequence[Goal] = ()


def measure(bench: Bench) -> list[Series]:
    """One supervisor at a time."""
    bench, effort = bench.on_disk(), bench.effort
    floods = [
        _Flood(
            block=64 * 1024,
            total=effort.flood_mib << 20,
            faster=_beside_supervisor(1.3),
            cheaper=_beside_supervisor(0.6),
        ),
        # What the C library makes of what is printed into a pipe, and the line of a log in JSON.
        _Flood(block=4096, total=effort.line_mib << 20),
        _Flood(block=1000, total=effort.line_mib << 20),
        _Flood(
            block=100,
            total=effort.line_mib << 20,
            faster=_beside_supervisor(1.2),
            cheaper=_beside_supervisor(0.8),
        ),
    ]
    steady = [
        _Steady(title="at 1 MB/s each", block=10_000, rate=1_000_000, goals=[Goal(bound=12)]),
        _Steady(title="with 1,000 lines of 100 bytes a second each", block=100, rate=100_000),
    ]
    return [
        *(one for flood in floods for one in _flood(bench, flood)),
        *(one for writers in steady for one in _steady(bench, writers)),
    ]


def _beside_supervisor(bound: float) -> list[Goal]:
    return [Goal(bound=bound, of=SUPERVISOR.name)]


def _flood(bench: Bench, flood: _Flood) -> list[Series]:
    samples = Samples()
    contestants: list[Peer] = [*bench.peers, *LOG_FLOORS]

    def turn(peer: Peer) -> None:
        """One flood, into a daemon that has done nothing else."""
        with bench.births() as births:
            sizes = [str(births.path), str(flood.block), str(flood.total)]
            program = bench.program("p", bench.programs.flood, sizes)
            job = Job(programs=[program], rotate_size=_ROTATE_SIZE)
            with bench.daemon(peer, job) as daemon:
                began = births.next()
                daemon.look()
                before = daemon.cpu()
                ended = births.next()
                _wait_until_quiet(daemon)
                cpu = daemon.cpu() - before
                _check_rotated(daemon, flood.total)
        seconds = (ended.at - began.at) / 1e9
        samples.keep("speed", peer.name, flood.total / _MEGA / seconds)
        samples.keep("cost", peer.name, cpu / (flood.total / 1e9))

    bench.each(turn, contestants, bench.effort.flood_rounds)
    order = [peer.name for peer in contestants]
    return [
        Series(
            measurement="logs",
            title=f"log throughput, {flood.title}",
            unit="MB/s",
            samples=samples.of("speed", order),
            better=Better.MORE,
            goals=flood.faster,
        ),
        Series(
            measurement="logs",
            title=f"CPU for a log, {flood.title}",
            unit="s/GB",
            samples=samples.of("cost", order),
            goals=flood.cheaper,
        ),
    ]


def _steady(bench: Bench, steady: _Steady) -> list[Series]:
    """Many programs that write all the time: what it costs, and that all of it is there."""
    samples = Samples()
    total = bench.effort.steady_seconds * steady.rate
    period = _SECOND * steady.block // steady.rate

    def turn(peer: Peer) -> None:
        with bench.births() as births:
            words = [str(births.path), str(steady.block), str(total), str(period)]
            program = bench.program("p", bench.programs.flood, words, _WRITERS)
            with bench.daemon(peer, Job(programs=[program])) as daemon:
                births.collect(_WRITERS)
                daemon.look()
                before, began = daemon.cpu(), time.monotonic()
                births.collect(_WRITERS)
                used, seconds = daemon.cpu() - before, time.monotonic() - began
                _wait_until_quiet(daemon)
                written = daemon.log_bytes()
        samples.keep("cpu", peer.name, 100 * used / seconds)
        samples.keep("lost", peer.name, float(abs(_WRITERS * total - written)))

    bench.each(turn, bench.peers, bench.effort.steady_rounds)
    order = [peer.name for peer in bench.peers]
    what = f"{_WRITERS} programs {steady.title}"
    return [
        Series(
            measurement="logs",
            title=f"CPU for logs, {what}",
            unit="% of a core",
            samples=samples.of("cpu", order),
            goals=steady.goals,
        ),
        Series(
            measurement="logs",
            title=f"lost or doubled of what is written, {what}",
            unit="bytes",
            samples=samples.of("lost", order),
            goals=[Goal(bound=0, share=1.0)],
        ),
    ]


def _wait_until_quiet(daemon: Daemon) -> None:
    """The last pipe full is read after the program's last write."""
    before = daemon.cpu()
    while True:
        time.sleep(_QUIET)
        now = daemon.cpu()
        if now - before < _QUIET / 10:
            return
        before = now


def _check_rotated(daemon: Daemon, total: int) -> None:
    """The files hold as much as they must: all of it, or as many full ones as are kept."""
    kept = daemon.log_bytes()
    expected = min(total, ROTATED * _ROTATE_SIZE << 20)
    if kept < expected * 0.99:
        raise RuntimeError(f"{kept} bytes in its logs, not {expected}")
