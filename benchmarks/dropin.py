"""The same file of Supervisor's, run by both: how fast its XML-RPC answers, what it weighs."""

import time
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from xmlrpc.client import ServerProxy

from supervisor.xmlrpc import (  # type: ignore[import-untyped]  # comes without annotations
    SupervisorTransport,
)

from benchmarks.bench import Bench
from benchmarks.peers import OPSVISOR, SUPERVISOR, Daemon
from benchmarks.probe import memory_of
from benchmarks.stats import Series

_FEW = 10

# The same command line but for the name of the program; nodaemon and silent are in the file.
_SAME_FILE = replace(
    SUPERVISOR,
    name=OPSVISOR.name,
    package=OPSVISOR.package,
    daemon=[OPSVISOR.daemon[0], *SUPERVISOR.daemon[1:]],
)
_CONTESTANTS = (_SAME_FILE, SUPERVISOR)


class _DropIn:
    """The measurements of all turns, by quantity and daemon."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.samples: dict[str, dict[str, list[float]]] = {}

    def ask(self, programs: int) -> None:
        """Both daemons at once, each with its programs, asked in random order."""
        with ExitStack() as stack:
            info, status = {}, {}
            for peer in _CONTESTANTS:
                births = self._bench.births()
                stack.callback(births.close)
                job = self._bench.newborns(births, programs)
                daemon = stack.enter_context(
                    Daemon(peer, self._bench.fresh_directory() / "d", job)
                )
                daemon.wait_for_answer()
                births.collect(programs)
                transport = SupervisorTransport(None, None, f"unix://{daemon.socket}")
                proxy = stack.enter_context(ServerProxy("http://127.0.0.1", transport))
                info[peer.name] = partial(self._time_info, daemon, proxy)
                status[peer.name] = partial(self._time_status, daemon)
            self._bench.interleaved(info, self._bench.effort.rpc_calls)
            if programs == _FEW:
                self._bench.interleaved(status, self._bench.effort.status_calls)

    def _time_info(self, daemon: Daemon, proxy: ServerProxy) -> None:
        began = time.monotonic()
        answer = proxy.supervisor.getAllProcessInfo()
        took = 1e3 * (time.monotonic() - began)
        assert isinstance(answer, list)
        assert len(answer) == daemon.job.replicas
        self._keep(f"info {len(answer)}", daemon, took)
        if len(answer) == _FEW:
            self._keep("rss", daemon, memory_of(daemon.pid).rss)

    def _time_status(self, daemon: Daemon) -> None:
        began = time.monotonic()
        running = daemon.ask_status()
        self._keep("status", daemon, 1e3 * (time.monotonic() - began))
        assert running == _FEW, f"{daemon.peer.name} says that {running} programs run"

    def _keep(self, quantity: str, daemon: Daemon, value: float) -> None:
        self.samples.setdefault(quantity, {}).setdefault(daemon.peer.name, []).append(value)


def measure(bench: Bench) -> list[Series]:
    """Few programs, then a fleet of them."""
    one, many = _DropIn(bench), bench.effort.fleet
    one.ask(_FEW)
    one.ask(many)
    order = [peer.name for peer in _CONTESTANTS]
    return [
        Series(
            measurement="dropin",
            title=title,
            unit=unit,
            samples={name: one.samples[quantity][name] for name in order},
        )
        for quantity, title, unit in (
            (f"info {_FEW}", f"XML-RPC getAllProcessInfo, {_FEW} programs, same file", "ms"),
            (f"info {many}", f"XML-RPC getAllProcessInfo, {many} programs, same file", "ms"),
            ("status", f"supervisorctl status of either, {_FEW} programs, same file", "ms"),
            ("rss", f"RSS of the daemon, {_FEW} programs, same file", "MiB"),
        )
    ]
