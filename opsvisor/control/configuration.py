"""Reread, compare, apply: how a running daemon takes over changed files."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

from opsvisor.config.problems import ConfigError, Problem
from opsvisor.config.settings import DaemonSettings, Dialect, Loaded
from opsvisor.core.inputs import ApplyPlan
from opsvisor.core.plan import Plan, PlanDiff, diff, merge
from opsvisor.core.supervisor import Supervisor
from opsvisor.runtime import clock
from opsvisor.runtime.engine import Engine


class UnknownGroupError(Exception):
    """No group of this name, neither running nor in the files."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no such group: {name}")
        self.name = name


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """Whether the configuration that was read can be used, and why not."""

    at: float
    ok: bool
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What applying would change. `daemon_changed`: settings that only `reload` takes over."""

    diff: PlanDiff
    daemon_changed: tuple[str, ...]
    warnings: tuple[Problem, ...]


class Configuration:
    """The configuration as last read, beside the plan that is carried out."""

    def __init__(
        self,
        engine: Engine,
        supervisor: Supervisor,
        *,
        loaded: Loaded,
        load: Callable[[], Loaded],
        on_load: Callable[[LoadReport], None],
    ) -> None:
        self._engine = engine
        self._supervisor = supervisor
        self._load = load
        self._on_load = on_load
        self._running = loaded
        self.available = loaded
        self._reading = asyncio.Lock()
        self.last_load = LoadReport(at=clock.now().wall, ok=True)

    @property
    def settings(self) -> DaemonSettings:
        """The settings in force: those the daemon started with."""
        return self._running.settings

    async def reread(self, try_out: Callable[[Loaded], None] = lambda _: None) -> Comparison:
        """Read the files again. ConfigError, and nothing changed, if they can't be used.

        `try_out` may raise it for what reading alone doesn't show: that counts as not usable, too.
        In a thread: a thousand programs take a quarter of a second, and a look-up of their users
        in a directory service can take any time.
        """
        async with self._reading:
            at = clock.now().wall
            try:
                self.available = await asyncio.to_thread(self._load)
                try_out(self.available)
            except ConfigError as error:
                self._report(LoadReport(at=at, ok=False, problems=error.problems))
                raise
            self._report(LoadReport(at=at, ok=True))
            return self.compare()

    def compare(self) -> Comparison:
        """What applying the configuration as last read would change."""
        return self._comparison(self.available.plan)

    def start_all(self) -> None:
        """Carry out the configuration the daemon was started with."""
        self._engine.submit(ApplyPlan(self._running.plan))

    def choose(self, groups: Sequence[str] = ()) -> tuple[Plan, Comparison]:
        """The plan that applying these groups (none: all) would make, and what it changes.

        UnknownGroupError for a group that is neither running nor in the files.
        """
        known = {g.name for g in (*self._supervisor.plan.groups, *self.available.plan.groups)}
        for name in groups:
            if name not in known:
                raise UnknownGroupError(name)
        wanted = self.available.plan
        if groups:
            wanted = merge(self._supervisor.plan, wanted, frozenset(groups))
        return wanted, self._comparison(wanted)

    def carry_out(self, plan: Plan) -> None:
        """Make this the plan in force, unless it says nothing new."""
        if plan == self._supervisor.plan:
            return
        # Supervisor's `update` starts again what was stopped by hand, and its users count on it.
        revive = self.settings.dialect is Dialect.SUPERVISOR
        self._engine.submit(ApplyPlan(plan, revive=revive))

    def add_group(self, name: str) -> bool:
        """Take a group of the configuration into the plan; False if it already is there."""
        if name in self._running_groups():
            return False
        if name not in {group.name for group in self.available.plan.groups}:
            raise UnknownGroupError(name)
        self.carry_out(merge(self._supervisor.plan, self.available.plan, frozenset({name})))
        return True

    def remove_group(self, name: str) -> bool:
        """Take a group out of the plan; False if one of its processes still runs."""
        if name not in self._running_groups():
            raise UnknownGroupError(name)
        members = [view for view in self._engine.views() if view.id.group == name]
        if any(view.pid is not None or view.retry_at is not None for view in members):
            return False
        remaining = [g for g in self._supervisor.plan.groups if g.name != name]
        self.carry_out(replace(self._supervisor.plan, groups=tuple(remaining)))
        return True

    def _comparison(self, wanted: Plan) -> Comparison:
        old, new = self._running.settings, self.available.settings
        return Comparison(
            diff=diff(self._supervisor.plan, wanted),
            daemon_changed=tuple(
                f.name
                for f in fields(DaemonSettings)
                if getattr(old, f.name) != getattr(new, f.name)
            ),
            warnings=self.available.warnings,
        )

    def _running_groups(self) -> set[str]:
        return {group.name for group in self._supervisor.plan.groups}

    def _report(self, report: LoadReport) -> None:
        self.last_load = report
        self._on_load(report)
