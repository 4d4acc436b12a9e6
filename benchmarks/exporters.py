"""A scrape of a thousand programs with CPU time and memory, by opsvisor and by exporters.

Supervisor itself tells Prometheus nothing. Its users run node_exporter, whose collector asks it
over XML-RPC, and process-exporter, which looks at every process: here without whatever else both
can do.
"""

import http.client
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Protocol

from benchmarks.bench import Bench, Samples
from benchmarks.peers import OPSVISOR, SUPERVISOR, Daemon, Peer
from benchmarks.peers.debian import debian_program, debian_version
from benchmarks.peers.http import Connection, get
from benchmarks.probe import cpu_of
from benchmarks.processes import wake
from benchmarks.programs import Births
from benchmarks.stats import Goal, Series, quantile

_EXPORTERS = ("prometheus-node-exporter", "prometheus-process-exporter")
_THEIRS = "supervisor, exporters"
_SWEEP_IS_OLD = 5.1  # seconds, see Sampler: each scrape looks into /proc anew
_SETTLED = 0.5  # seconds, in which supervisors have looked at what their programs did
_AWAKE = " awake"
_PATIENCE = 60.0
_LONGEST_PAUSE = 0.05  # between kills, after which caches have begun to forget
_KILLS_IN_PEACE = 15
_DEADLY_SCRAPES = 4  # for each that is by itself
_FEW = 2  # of either, for who needs a second to restart
_LATER = 5.0  # ms, at p99, by which a scrape may delay a restart
_HEADERS = {
    "Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
    "Accept-Encoding": "gzip",
}
# A group for each process: by pid, the one thing that tells replicas apart here.
_GROUPS = """\
process_names:
  - name: "{{.PID}}"
    exe: ["PROGRAM"]
"""


class _Scraped(Protocol):
    """What is scraped."""

    def scrape(self) -> None:
        """Everything once."""

    def cpu(self) -> float:
        """CPU seconds of all that takes part."""


class _Ours:
    """opsvisor's own /metrics."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        daemon.look()

    def scrape(self) -> None:
        """See _Scraped."""
        with Connection(self._daemon.socket) as connection:
            lines = (f"{name}: {value}" for name, value in _HEADERS.items())
            connection.ask(get("/metrics", *lines))

    def cpu(self) -> float:
        """See _Scraped."""
        return self._daemon.cpu()


class _Theirs:
    """Supervisor with both exporters, scraped at the same time."""

    def __init__(self, daemon: Daemon, stack: ExitStack) -> None:
        self._daemon = daemon
        daemon.look()
        groups = daemon.directory / "groups.yml"
        groups.write_text(_GROUPS.replace("PROGRAM", daemon.job.programs[0].command[0]))
        self._ports = [_free_port(), _free_port()]
        node, process = (str(debian_program(name)) for name in _EXPORTERS)
        commands = (
            [
                node,
                "--collector.disable-defaults",
                "--collector.supervisord",
                f"--collector.supervisord.url=unix://{daemon.socket}",
                f"--web.listen-address=127.0.0.1:{self._ports[0]}",
                "--web.disable-exporter-metrics",
            ],
            [
                process,
                f"-config.path={groups}",
                "-children=false",
                "-threads=false",
                "-gather-smaps=false",
                f"-web.listen-address=127.0.0.1:{self._ports[1]}",
            ],
        )
        self._exporters = [_running(command, daemon.directory, stack) for command in commands]
        self._wait()

    def scrape(self) -> None:
        """See _Scraped."""
        answers: list[bytes] = []
        threads = [
            threading.Thread(target=lambda port=port: answers.append(_scrape(port)), daemon=True)
            for port in self._ports
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if not all(answers) or len(answers) != len(threads):
            raise RuntimeError("an exporter did not answer")

    def cpu(self) -> float:
        """See _Scraped."""
        return self._daemon.cpu() + sum(cpu_of(exporter.pid) for exporter in self._exporters)

    def _wait(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            with suppress(OSError, RuntimeError):
                self.scrape()
                return
            time.sleep(0.05)
        raise TimeoutError("the exporters did not answer")


class _Side:
    """One side: its programs are scraped, and killed meanwhile."""

    def __init__(self, bench: Bench, peer: Peer, births: Births, pids: Sequence[int]) -> None:
        self._bench = bench
        self._name = peer.name if peer is OPSVISOR else _THEIRS
        self._births = births
        self._pids = list(pids)
        is_slow = peer.restarts_in_seconds
        self._kills = _FEW if is_slow else _KILLS_IN_PEACE
        self.deadly_scrapes = _FEW if is_slow else _DEADLY_SCRAPES

    def scrape(self, scraped: _Scraped, samples: Samples, after: str = "") -> None:
        """One scrape by itself."""
        before, began = scraped.cpu(), time.monotonic()
        scraped.scrape()
        samples.keep(f"time{after}", self._name, 1e3 * (time.monotonic() - began))
        samples.keep(f"cpu{after}", self._name, 1e3 * (scraped.cpu() - before))

    def scrape_awake(self, scraped: _Scraped, samples: Samples) -> None:
        """One after which every program has done something since the one before."""
        wake(self._pids)
        time.sleep(_SETTLED)
        self.scrape(scraped, samples, _AWAKE)

    def kill_meanwhile(self, scraped: _Scraped, samples: Samples) -> None:
        """Programs are killed one after the other as long as a scrape goes on."""
        thread = threading.Thread(target=scraped.scrape, daemon=True)
        thread.start()
        self.kill(samples, "restart scraped")
        while thread.is_alive():
            self.kill(samples, "restart scraped")
        thread.join()

    def kill_in_peace(self, samples: Samples) -> None:
        """A few programs are killed while nobody scrapes."""
        for _ in range(self._kills):
            self.kill(samples, "restart")

    def kill(self, samples: Samples, quantity: str) -> None:
        """One of them, after a pause."""
        pause = self._bench.chance.uniform(0, _LONGEST_PAUSE)
        samples.keep(quantity, self._name, self._births.after_kill(self._pids, pause))


def measure(bench: Bench) -> list[Series]:
    """One side at a time: either looks at all processes of the machine, also the other's."""
    samples = Samples()

    def turn(peer: Peer) -> None:
        with ExitStack() as stack:
            births = stack.enter_context(bench.births())
            job = bench.newborns(births, bench.effort.fleet)
            daemon = stack.enter_context(bench.daemon(peer, job))
            pids = [birth.pid for birth in births.collect(bench.effort.fleet)]
            daemon.wait_for_answer()
            scraped: _Scraped = _Ours(daemon) if peer is OPSVISOR else _Theirs(daemon, stack)
            side = _Side(bench, peer, births, pids)
            scraped.scrape()  # whatever is made once
            for _ in range(bench.effort.scrapes):
                time.sleep(_SWEEP_IS_OLD)
                side.scrape(scraped, samples)
                side.kill_in_peace(samples)
                for _ in range(side.deadly_scrapes):
                    time.sleep(_SWEEP_IS_OLD)
                    side.kill_meanwhile(scraped, samples)
                time.sleep(_SWEEP_IS_OLD)
                side.scrape_awake(scraped, samples)

    sides = [OPSVISOR, *([SUPERVISOR] if _have_exporters(bench) else [])]
    bench.each(turn, sides, bench.effort.exporter_rounds)
    return _series(bench, samples)


def _series(bench: Bench, samples: Samples) -> list[Series]:
    count, order = bench.effort.fleet, (OPSVISOR.name, _THEIRS)
    what = f"a scrape of {count} programs with CPU time and memory"
    awake = "where each program has run since the last one"
    peace = samples.of("restart", order).get(OPSVISOR.name)
    late = quantile(peace, 0.99) + _LATER if peace else _LATER
    return [
        Series(
            measurement="exporters",
            title=title,
            unit="ms",
            samples=samples.of(quantity, order),
            tail=quantity.startswith("restart"),
            goals=goals,
        )
        for quantity, title, goals in (
            ("time", f"time of {what}", [Goal(bound=60)]),
            ("cpu", f"CPU of all who take part in {what}", [Goal(bound=100)]),
            (f"time{_AWAKE}", f"time of a scrape, {awake}", []),
            (f"cpu{_AWAKE}", f"CPU of all who take part in a scrape, {awake}", []),
            ("restart", f"SIGKILL → replacement, {count} programs", []),
            (
                "restart scraped",
                "the same during a scrape that looks into /proc",
                [Goal(bound=round(late, 1), share=0.99)],
            ),
        )
    ]


def _have_exporters(bench: Bench) -> bool:
    if all(debian_program(name).exists() for name in _EXPORTERS):
        bench.say("  " + ", ".join(f"{name} {debian_version(name)}" for name in _EXPORTERS))
        return True
    bench.say("  no exporters: `make bench-setup` gets them")
    return False


def _running(
    command: Sequence[str], directory: Path, stack: ExitStack
) -> "subprocess.Popen[bytes]":
    with (directory / "exporters.log").open("ab") as log:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    stack.callback(child.wait)
    stack.callback(child.kill)
    return child


def _scrape(port: int) -> bytes:
    """What an exporter says; nothing if it does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/metrics", headers=_HEADERS)
        answer = connection.getresponse()
        body = answer.read()
    except OSError:
        return b""
    finally:
        connection.close()
    return body if answer.status == http.client.OK else b""


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port
