"""Orphans that the daemon has reaped: whose they were, counted and told."""

from collections.abc import Callable

from opsvisor.config.settings import LogLevel
from opsvisor.core.spec import Pid, ProcessId
from opsvisor.runtime.engine import Engine
from opsvisor.runtime.reaper import Orphan
from opsvisor.runtime.sampler import Sampler
from opsvisor.telemetry.metrics import Metrics


class Orphans:
    """Finds out which process an orphan came of, which bears what it has used."""

    def __init__(
        self,
        engine: Engine,
        sampler: Sampler,
        metrics: Metrics,
        log: Callable[[LogLevel, str], None],
    ) -> None:
        self._engine = engine
        self._sampler = sampler
        self._metrics = metrics
        self._log = log

    def reaped(self, orphan: Orphan) -> None:
        """One has ended, and was ours to reap."""
        owner = self._owner_of(orphan)
        self._metrics.orphan_reaped()
        if owner is not None:
            self._sampler.orphan_reaped(owner, orphan.pid, orphan.usage)
        whose = f"an orphan of {owner}" if owner else "unknown"
        self._log(
            LogLevel.INFO if owner is None else LogLevel.DEBUG,
            f"reaped {whose} pid {orphan.pid} ({orphan.outcome})",
        )

    def _owner_of(self, orphan: Orphan) -> ProcessId | None:
        for leader in (orphan.process_group, orphan.session):
            owner = self._engine.owner(Pid(leader))
            if owner is not None:
                return owner
        return self._sampler.owner_of(
            orphan.pid, group=orphan.process_group, session=orphan.session
        )
