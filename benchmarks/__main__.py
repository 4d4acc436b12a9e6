"""`make bench`: measure opsvisor beside its peers. See docs/performance.md."""

import argparse
import datetime as dt
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

from benchmarks import dropin, fleet, logs, report, respawn, scrape, small
from benchmarks.bench import FULL, QUICK, Bench
from benchmarks.noise import Noise
from benchmarks.peers import PEERS
from benchmarks.programs import Programs, build, end_leftovers
from benchmarks.report import Results
from benchmarks.stats import Series

_MEASUREMENTS: dict[str, Callable[[Bench], list[Series]]] = {
    "respawn": respawn.measure,
    "fleet": fleet.measure,
    "small": small.measure,
    "dropin": dropin.measure,
    "logs": logs.measure,
    "scrape": scrape.measure,
}


def main() -> int:
    """Measure, print, and write what was asked for."""
    arguments = _parser().parse_args()
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
    with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.directory) as name:
        directory = Path(name)
        programs = build(directory)
        bench = Bench(
            directory=directory,
            programs=programs,
            effort=QUICK if arguments.quick else FULL,
            chance=random.Random(arguments.seed),
            say=_say,
        )
        noise, began = Noise(), time.monotonic()
        try:
            series = _all(bench, arguments.only or list(_MEASUREMENTS), noise)
        finally:
            left = end_leftovers(directory)
        for command in left:
            _say(f"left over, and killed: {command}")
        facts = _facts(programs, seconds=time.monotonic() - began, quick=arguments.quick)
        return Results(facts=facts, noise=noise.summary(), series=series)


def _all(bench: Bench, names: Sequence[str], noise: Noise) -> list[Series]:
    bench.warm_up()
    found: list[Series] = []
    for name in names:
        began = time.monotonic()
        noise.feel()
        found += _MEASUREMENTS[name](bench)
        noise.feel()
        _say(f"{name}: {time.monotonic() - began:.0f} s")
    return found


def _facts(programs: Programs, *, seconds: float, quick: bool) -> dict[str, str]:
    versions = [
        f"{name} {metadata.version(name)}"
        for name in (*(peer.package for peer in PEERS), "aiohttp", "prometheus-client")
    ]
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    kernel = platform.release().partition("-")[0]  # what follows names a build, or a host
    return {
        "Date": f"{today}, {seconds:.0f} s" + (", too quick to mean much" if quick else ""),
        "Versions": ", ".join(versions),
        "Python": platform.python_version(),
        "Machine": f"Linux {kernel}, {platform.machine()}, {os.cpu_count()} cores",
        "Supervised program": programs.kind,
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="a few seconds: does it all work?")
    add("--only", nargs="+", choices=sorted(_MEASUREMENTS), help="measure only these")
    add("--json", type=Path, metavar="FILE", help="write every sample to this file")
    add("--seed", type=int, help="makes the random orders the same again")
    add("--directory", help="where to work and log (default: the temporary directory)")
    add("--write-docs", type=Path, metavar="FILE", help="make docs/performance.md of a --json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
