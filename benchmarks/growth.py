"""`make bench-growth`: what grows with the number of programs, and how. See docs/explanation.

opsvisor alone, with 10, 100, 1000 and 5000 programs that do nothing. Beside them in the same
daemon there is one that is killed again and again, while the others are started and afterwards.
"""

import argparse
import datetime as dt
import http.client
import os
import platform
import random
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Self

from benchmarks import curves, places
from benchmarks.curves import Curve, Growth
from benchmarks.programs import Birth, Births, build

_COUNTS = (10, 100, 1000, 5000)
_ROUNDS = 3
_ASKED = 15  # times in a round
_KILLED = 15
_IDLE = 10.0  # seconds
_BETWEEN_KILLS = 0.03  # seconds: a storm of its own would be another measurement
_SETTLED = 2.0  # seconds in which a daemon does what it puts off
_PATIENCE = 300.0
_CPUCLOCK_SCHED = 2  # linux/posix-timers_types.h: the clock of a process, by its pid
_FILES_EACH = 3  # its log, a pipe, and a pidfd
_FILES_BESIDE = 512
_CACHE_LINE = 64
_FILLING = 128 << 20  # bytes; more than one processor's caches hold of anything

# "a" comes before "p", so it is up while the others are being started.
_CONFIG = """\
schema = 1

[daemon]
log = "daemon.log"
min_fds = {files}

[server]
unix = "s"

[defaults]
restart = "always"
min_uptime = "0s"
backoff_delay = "0s"
restart_limit_count = 0
flapping_count = 0

[program.a]
command = "{command} {victims} 0"
log = {{ stdout = "log/a", stderr = "merge" }}

[program.p]
command = "{command} {others} 0"
replicas = {count}
log = {{ stdout = "log/{{replica}}", stderr = "merge" }}
"""
# What is measured: unit, and whether it may grow with the programs or has to stay as it is.
_CURVES = {
    "exec of the daemon → last program alive": ("s", True),
    "CPU of the daemon for that": ("s", True),
    "SIGTERM → daemon and programs gone": ("s", True),
    "CPU of the daemon in 30 idle seconds": ("ms", True),
    "RSS of the daemon": ("MiB", True),
    "RSS of the daemon that was asked and scraped": ("MiB", True),
    "status of all by the API": ("ms", True),
    "status of all, when others had the caches": ("ms", True),
    "status of one by the API": ("ms", False),
    "scrape with a sweep of its own": ("ms", True),
    "scrape": ("ms", True),
    "restart of one": ("ms", False),
    "restart of one while all are started": ("ms", False),
}

_Samples = dict[str, list[float]]


class _Reports(Births):
    """The FIFO of one of the programs."""

    def wait(self) -> Birth:
        """The next report, which takes long while thousands are started."""
        select.select([self._fd], [], [], _PATIENCE)
        return self.next()

    def come(self) -> list[int]:
        """When those began that have reported since the last look, in ns."""
        found = []
        while select.select([self._fd], [], [], 0)[0]:
            found.append(self.next().at)
        return found


class _Daemon:
    """An opsvisord with so many programs and one, while the block lasts."""

    def __init__(self, directory: Path, command: Sequence[str], count: int) -> None:
        (directory / "log").mkdir(parents=True)
        self.victims = _Reports(directory / "victims")
        self.others = _Reports(directory / "others")
        self.socket = directory / "s"
        self._directory = directory
        (directory / "opsvisor.toml").write_text(
            _CONFIG.format(
                files=_FILES_EACH * count + _FILES_BESIDE,
                command=" ".join(command),
                victims=self.victims.path,
                others=self.others.path,
                count=count,
            )
        )
        self.began = 0.0
        self._child: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        environment["PYTHONPYCACHEPREFIX"] = str(self._directory.parent / "pycache")
        program = Path(sys.executable).with_name("opsvisord")
        self.began = time.monotonic()
        with (self._directory / "output").open("wb") as output:
            self._child = subprocess.Popen(
                [program, "-s", "-c", self._directory / "opsvisor.toml"],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._child.poll() is None:
            self.stop()
        self.victims.close()
        self.others.close()

    def stop(self) -> float:
        """End it and all its programs; seconds until it was gone, and with it all of them."""
        pidfd = os.pidfd_open(self._child.pid)
        began = time.monotonic()
        self._child.terminate()
        ended = select.select([pidfd], [], [], _PATIENCE)[0]
        took = time.monotonic() - began
        os.close(pidfd)
        if not ended:
            # Its programs go with it, group by group, before nobody knows their pids any more.
            for pid in self._children():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._child.kill()
        self._child.wait()
        if not ended:
            raise TimeoutError(f"it did not end in {_PATIENCE:g} s")
        return took

    def _children(self) -> list[int]:
        pid = self._child.pid
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def cpu(self) -> float:
        """CPU seconds of all its threads until now, to the nanosecond."""
        return time.clock_gettime(~self._child.pid << 3 | _CPUCLOCK_SCHED)

    def rss(self) -> float:
        """Its memory in MiB."""
        rollup = Path(f"/proc/{self._child.pid}/smaps_rollup").read_text()
        return int(rollup.partition("\nRss:")[2].split()[0]) / 1024

    def restarted(self, pid: int) -> tuple[float, int]:
        """Kill the victim: ms until its replacement's first instruction, and whose pid that is."""
        began = time.monotonic_ns()
        os.kill(pid, signal.SIGKILL)
        birth = self.victims.wait()
        return (birth.at - began) / 1e6, birth.pid

    def until_it_answers(self) -> None:
        """Wait until somebody can connect."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
                client.connect(str(self.socket))
                return
            time.sleep(0.01)
        raise TimeoutError((self._directory / "output").read_text())


class _Client:
    """One connection that is kept, as a client keeps it that asks often."""

    def __init__(self, path: Path) -> None:
        self._connection = http.client.HTTPConnection("localhost")
        self._connection.sock = socket.socket(socket.AF_UNIX)
        self._connection.sock.settimeout(_PATIENCE)
        self._connection.sock.connect(str(path))

    def ask(self, path: str, **headers: str) -> float:
        """Milliseconds until it is all there."""
        began = time.monotonic()
        self._connection.request("GET", path, headers=headers)
        answer = self._connection.getresponse()
        body = answer.read()
        took = 1e3 * (time.monotonic() - began)
        if answer.status != 200:
            raise RuntimeError(body.decode())
        return took

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def _fill_caches(filling: bytearray) -> None:
    """Leave nothing of anybody else's in the caches of any processor."""
    allowed = os.sched_getaffinity(0)
    try:
        for processor in allowed:
            os.sched_setaffinity(0, {processor})
            filling[::_CACHE_LINE] = bytes(len(filling) // _CACHE_LINE)
    finally:
        os.sched_setaffinity(0, allowed)


def _one_life(daemon: _Daemon, count: int, samples: _Samples) -> None:
    """All of it with one daemon that is started already."""

    def note(name: str, *values: float) -> None:
        samples[name] += values

    victim = daemon.victims.wait().pid
    born: list[int] = []
    while len(born) < count:
        took, victim = daemon.restarted(victim)
        note("restart of one while all are started", took)
        time.sleep(_BETWEEN_KILLS)
        born += daemon.others.come()
    note("exec of the daemon → last program alive", max(born) / 1e9 - daemon.began)
    note("CPU of the daemon for that", daemon.cpu())
    daemon.until_it_answers()
    time.sleep(_SETTLED)
    note("RSS of the daemon", daemon.rss())
    before = daemon.cpu()
    time.sleep(_IDLE)
    note("CPU of the daemon in 30 idle seconds", 1e3 * (daemon.cpu() - before) * 30 / _IDLE)
    client = _Client(daemon.socket)
    gzipped = {"Accept-Encoding": "gzip"}
    note("scrape with a sweep of its own", client.ask("/metrics", **gzipped))
    every, single = "/api/v1/processes", "/api/v1/processes/a"
    note("status of all by the API", *(client.ask(every) for _ in range(_ASKED)))
    note("status of one by the API", *(client.ask(single) for _ in range(_ASKED)))
    filling = bytearray(_FILLING)
    for _ in range(_ASKED):
        _fill_caches(filling)
        note("status of all, when others had the caches", client.ask(every))
    client.ask("/metrics", **gzipped)  # with a sweep, if the last one is too long ago
    note("scrape", *(client.ask("/metrics", **gzipped) for _ in range(3)))
    client.close()
    note("RSS of the daemon that was asked and scraped", daemon.rss())
    for _ in range(_KILLED):
        took, victim = daemon.restarted(victim)
        note("restart of one", took)
    note("SIGTERM → daemon and programs gone", daemon.stop())


def measure(
    counts: Sequence[int], rounds: int, directory: Path, chance: random.Random
) -> dict[str, Curve]:
    """All curves; sizes take turns in random order."""
    programs = build(directory)
    found: dict[int, _Samples] = {count: {name: [] for name in _CURVES} for count in counts}
    turns = [count for count in counts for _ in range(rounds)]
    chance.shuffle(turns)
    # The first one fills the cache of byte code, and is not counted.
    for number, count in enumerate([min(counts), *turns]):
        samples = found[count] if number else {name: [] for name in _CURVES}
        with _Daemon(directory / str(number), programs.newborn, count) as daemon:
            _one_life(daemon, count, samples)
        print(f"{number} of {len(turns)}: {count} programs", file=sys.stderr, flush=True)
    return {
        name: Curve(unit=unit, grows=grows, points={n: found[n][name] for n in counts})
        for name, (unit, grows) in _CURVES.items()
    }


def _facts(counts: Sequence[int], rounds: int, directory: Path) -> dict[str, str]:
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    return {
        "Date": today,
        "Versions": f"opsvisor {metadata.version('opsvisor')}, Python {platform.python_version()}",
        "Machine": f"Linux {platform.release().partition('-')[0]}, {os.cpu_count()} cores",
        "Files": places.file_system(directory),
        "Load average at the end, 5 minutes": f"{os.getloadavg()[1]:.1f}",
        "Daemons": f"{rounds} with each of {', '.join(map(str, counts))} programs",
    }


def _enough_files(count: int) -> None:
    """Let daemons have so many open files, or say who has to."""
    wanted = _FILES_EACH * count + _FILES_BESIDE
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        except (ValueError, OSError):
            sys.exit(f"{count} programs need a limit of {wanted} open files (ulimit -Hn: {hard})")


def main() -> int:
    """Measure, or take what was measured; print, write."""
    arguments = _parser().parse_args()
    if arguments.load is not None:
        growth = curves.load(arguments.load)
    else:
        _enough_files(max(arguments.counts))
        with places.in_memory("growth-", arguments.directory) as directory:
            chance = random.Random(arguments.seed)
            found = measure(arguments.counts, arguments.rounds, directory, chance)
            facts = _facts(arguments.counts, arguments.rounds, directory)
        growth = Growth(facts=facts, curves=found)
    print(curves.table(growth))
    _write(arguments.json, lambda: curves.as_json(growth))
    if arguments.write_docs:
        curves.write_page(growth)
    return 0


def _write(path: Path | None, text: Callable[[], str]) -> None:
    if path is not None:
        path.write_text(text())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    add = parser.add_argument
    add("--counts", nargs="+", type=int, default=_COUNTS, metavar="N", help="how many programs")
    add("--rounds", type=int, default=_ROUNDS, help="daemons of each size")
    add("--json", type=Path, metavar="FILE", help="write every sample to this file")
    add("--load", type=Path, metavar="FILE", help="measure nothing: take such a file")
    add("--write-docs", action="store_true", help="make the page and the figure in docs")
    add("--seed", type=int, help="makes the random order the same again")
    add("--directory", help="where to work and log (default: memory)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
