"""Ten programs, the usual case: when the daemon answers, what it weighs, how fast it is asked."""

import time
from contextlib import ExitStack

from benchmarks.bench import Bench, Samples
from benchmarks.peers import OPSVISOR, SUPERVISOR, Daemon, Peer
from benchmarks.probe import memory_of
from benchmarks.stats import Goal, Series

_PROGRAMS = 10


def measure(bench: Bench) -> list[Series]:
    """One supervisor at a time, except where clients are timed."""
    samples = Samples()

    def turn(peer: Peer) -> None:
        """One life of one supervisor."""
        with (
            bench.births() as births,
            bench.daemon(peer, bench.newborns(births, _PROGRAMS)) as daemon,
        ):
            if peer in (OPSVISOR, SUPERVISOR):  # others are asked by programs of their own
                samples.keep("ready", peer.name, 1e3 * daemon.wait_for_answer())
            births.collect(_PROGRAMS)
            time.sleep(bench.effort.settle_seconds)
            memories = [memory_of(process.pid) for process in daemon.look()]
            samples.keep("rss", peer.name, sum(memory.rss for memory in memories))
            samples.keep("pss", peer.name, sum(memory.pss for memory in memories))

    bench.each(turn, bench.peers, bench.effort.small_rounds)
    _ask(bench, samples)
    order = [peer.name for peer in bench.peers]
    return [
        Series(
            measurement="small",
            title=title,
            unit=unit,
            samples=samples.of(quantity, order),
            goals=goals,
        )
        for quantity, title, unit, goals in (
            (
                "ready",
                "exec of the daemon → its first answer on the socket",
                "ms",
                [Goal(bound=400)],
            ),
            ("rss", f"RSS, {_PROGRAMS} programs", "MiB", [Goal(bound=45)]),
            ("pss", f"PSS, {_PROGRAMS} programs", "MiB", []),
            (
                "status",
                f"`status` from the shell, {_PROGRAMS} programs, piped",
                "ms",
                [Goal(bound=60)],
            ),
        )
    ]


def _ask(bench: Bench, samples: Samples) -> None:
    """All supervisors at once, each with its programs, asked in random order."""
    standing: dict[str, Daemon] = {}
    with ExitStack() as stack:

        def begin(peer: Peer) -> None:
            births = stack.enter_context(bench.births())
            job = bench.newborns(births, _PROGRAMS)
            daemon = stack.enter_context(bench.daemon(peer, job))
            births.collect(_PROGRAMS)
            daemon.wait_for_answer()
            if peer.status(daemon.directory, job):
                standing[peer.name] = daemon

        def ask(name: str) -> None:
            began = time.monotonic()
            running = standing[name].ask_status()
            took = 1e3 * (time.monotonic() - began)
            if running != _PROGRAMS:
                raise RuntimeError(f"{running} of {_PROGRAMS} programs run, it says")
            samples.keep("status", name, took)

        bench.each(begin, bench.peers)
        turns = {name: lambda name=name: ask(name) for name in standing}
        bench.interleaved(turns, bench.effort.status_calls)
