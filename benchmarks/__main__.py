"""`make bench`: measure opsvisor beside its peers. See docs/performance.md."""

import argparse
import datetime as dt
import os
import platform
import random
import signal
import sys
import sysconfig
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

from benchmarks import (
    dropin,
    exporters,
    fleet,
    logs,
    places,
    report,
    respawn,
    scrape,
    small,
    standing,
    storm,
)
from benchmarks.bench import FULL, QUICK, Bench
from benchmarks.noise import Noise
from benchmarks.peers import ALL, Peer
from benchmarks.processes import adopt_orphans, end_leftovers
from benchmarks.programs import build
from benchmarks.report import Results
from benchmarks.stats import Series

_MEASUREMENTS: dict[str, Callable[[Bench], list[Series]]] = {
    "respawn": respawn.measure,
    "fleet": fleet.measure,
    "standing": standing.measure,
    "logs": logs.measure,
    "storm": storm.measure,
    "exporters": exporters.measure,
    "small": small.measure,
    "dropin": dropin.measure,
    "scrape": scrape.measure,
}


def main() -> int:
    """Measure, print, and write what was asked for."""
    arguments = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # nothing is left running then either
    if arguments.write_docs is not None:
        report.write_page(report.load(arguments.write_docs))
        return 0
    results = _measure(arguments)
    print()
    print(report.describe(results))
    print(report.tables(results))
    if arguments.json is not None:
        report.save(results, arguments.json)
    return 0


def _measure(arguments: argparse.Namespace) -> Results:
    adopt_orphans()
    seed = arguments.seed if arguments.seed is not None else random.randrange(2**32)
    peers = [peer for peer in ALL if arguments.peers is None or peer.name in arguments.peers]
    missing = {peer.name: reason for peer in peers if (reason := peer.missing())}
    if missing:
        _say(f"not here: {', '.join(missing)}; `make bench-setup` gets what can be had")
    _say(f"seed {seed}")
    with (
        places.in_memory("bench-", arguments.directory) as directory,
        places.on_disk("bench-", arguments.directory) as disk,
    ):
        bench = Bench(
            directory=directory,
            disk=disk,
            programs=build(directory),
            effort=QUICK if arguments.quick else FULL,
            chance=random.Random(seed),
            say=_say,
            peers=[peer for peer in peers if peer.name not in missing],
        )
        noise, began = Noise(), time.monotonic()
        try:
            series = _all(bench, arguments.only or list(_MEASUREMENTS), noise)
        finally:
            left = end_leftovers()
        for command in left:
            _say(f"left over, and killed: {command}")
        facts = {
            **_facts(bench.peers, seconds=time.monotonic() - began, quick=arguments.quick),
            "Supervised program": bench.programs.kind,
            "Files": f"{places.file_system(directory)};"
            f" log throughput, and what is said to be on a disk: {places.file_system(disk)}",
            "Seed": str(seed),
            **({"Not measured, for want of it": ", ".join(missing)} if missing else {}),
            **({"Failed": "; ".join(bench.failures)} if bench.failures else {}),
        }
        return Results(facts=facts, noise=noise.summary(), series=series)


def _all(bench: Bench, names: Sequence[str], noise: Noise) -> list[Series]:
    bench.warm_up()
    found: list[Series] = []
    for name in names:
        began = time.monotonic()
        noise.feel()
        bench.tried(name, lambda name=name: found.extend(_MEASUREMENTS[name](bench)))
        noise.feel()
        _say(f"{name}: {time.monotonic() - began:.0f} s")
    return found


def _facts(peers: Sequence[Peer], *, seconds: float, quick: bool) -> dict[str, str]:
    versions = [f"{peer.name} {peer.version()}" for peer in peers]
    versions += [f"{name} {metadata.version(name)}" for name in ("aiohttp", "prometheus-client")]
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    kernel = platform.release().partition("-")[0]  # what follows names a build, or a host
    return {
        "Date": f"{today}, {seconds:.0f} s" + (", too quick to mean much" if quick else ""),
        "Versions": ", ".join(versions),
        "Python": f"{platform.python_version()}, {_built_by()}",
        "Machine": f"Linux {kernel}, {platform.machine()}, {os.cpu_count()} cores",
    }


def _built_by() -> str:
    """Whose compiler was guided by a profile, as those of distributions, takes a fifth less."""
    if sys.base_prefix == "/usr":
        return "the distribution's"
    is_guided = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    return f"built {'with' if is_guided else 'without'} a profile"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="a few seconds: does it all work?")
    add("--only", nargs="+", choices=sorted(_MEASUREMENTS), help="measure only these")
    names = [peer.name for peer in ALL]
    add("--peers", nargs="+", choices=names, help="measure only these, and the bare loop")
    add("--json", type=Path, metavar="FILE", help="write every sample to this file")
    add("--seed", type=int, help="makes the random orders the same again")
    add(
        "--directory",
        help="where to work and log (default: in memory, but for what is about writing)",
    )
    add("--write-docs", type=Path, metavar="FILE", help="make docs/performance.md of a --json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
