"""The same file of Supervisor's, run by both: how fast its XML-RPC answers, what it weighs."""

import time
from contextlib import ExitStack

from benchmarks.bench import Bench, Samples
from benchmarks.peers import SAME_FILE, SUPERVISOR, Daemon, Peer, Questions
from benchmarks.probe import memory_of
from benchmarks.stats import Goal, Series

_FEW = 10
_CONTESTANTS = (SAME_FILE, SUPERVISOR)


def measure(bench: Bench) -> list[Series]:
    """Few programs, then a fleet of them."""
    samples, many = Samples(), bench.effort.fleet
    _ask(bench, samples, _FEW)
    _ask(bench, samples, many)
    order = [peer.name for peer in _CONTESTANTS]
    info = "XML-RPC getAllProcessInfo, {} programs, same file"
    return [
        Series(
            measurement="dropin",
            title=title,
            unit=unit,
            samples=samples.of(quantity, order),
            goals=goals,
        )
        for quantity, title, unit, goals in (
            (f"info {_FEW}", info.format(_FEW), "ms", []),
            (f"info {many}", info.format(many), "ms", [Goal(bound=120)]),
            ("status", f"supervisorctl status of either, {_FEW} programs, same file", "ms", []),
            ("rss", f"RSS, {_FEW} programs, same file", "MiB", []),
        )
    ]


def _ask(bench: Bench, samples: Samples, programs: int) -> None:
    """Both daemons at once, each with its programs, asked in random order."""
    asked: dict[str, tuple[Daemon, Questions]] = {}
    with ExitStack() as stack:

        def begin(peer: Peer) -> None:
            births = stack.enter_context(bench.births())
            job = bench.newborns(births, programs)
            daemon = stack.enter_context(bench.daemon(peer, job))
            births.collect(programs)
            questions = daemon.questions()
            assert questions is not None
            stack.callback(questions.close)
            asked[peer.name] = daemon, questions

        def info(name: str) -> None:
            began = time.monotonic()
            running = asked[name][1].all()
            samples.keep(f"info {programs}", name, 1e3 * (time.monotonic() - began))
            assert running == programs, f"{running} of {programs} programs run, it says"

        def status(name: str) -> None:
            began = time.monotonic()
            running = asked[name][0].ask_status()
            samples.keep("status", name, 1e3 * (time.monotonic() - began))
            assert running == programs, f"{running} of {programs} programs run, it says"

        bench.each(begin, _CONTESTANTS)
        effort = bench.effort
        bench.interleaved({n: lambda n=n: info(n) for n in asked}, effort.rpc_calls)
        if programs == _FEW:
            bench.interleaved({n: lambda n=n: status(n) for n in asked}, effort.status_calls)
            for name, (daemon, _) in asked.items():
                memories = [memory_of(process.pid) for process in daemon.look()]
                samples.keep("rss", name, sum(memory.rss for memory in memories))
