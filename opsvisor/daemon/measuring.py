"""What finds out how much processes use: wired, opened and closed together."""

from collections.abc import Callable, Mapping

from opsvisor.config.settings import Collector, DaemonSettings, LogLevel
from opsvisor.core.spec import Pid, ProcessId
from opsvisor.runtime import clock
from opsvisor.runtime.cgroups import Cgroups
from opsvisor.runtime.keeper import Keeper, KillFiles
from opsvisor.runtime.leaves import Leaves, NoPlaceError, find_place
from opsvisor.runtime.limits import Limits
from opsvisor.runtime.oom import OomWatch
from opsvisor.runtime.proportional import ProportionalMemory
from opsvisor.runtime.sampler import Sampler


class Measuring:
    """Looks at the trees of `roots`, as far as the collectors that are switched on ask for it.

    `pipes` tells, by inode, whose output comes out of which pipe. `on_error` is told of a bug
    that was met on the way.
    """

    def __init__(
        self,
        settings: DaemonSettings,
        roots: Callable[[], Mapping[ProcessId, Pid]],
        *,
        pipes: Callable[[], Mapping[int, ProcessId]],
        log: Callable[[LogLevel, str], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        collectors = settings.metrics.collectors
        cgroups = Cgroups()
        self._log = log
        self.oom = OomWatch(cgroups.shared_kills())
        self._leaves = self._find_leaves(settings.cgroup, cgroups)
        self._kill_files: KillFiles | None = None
        self.limits = Limits(self._leaves, tell=lambda line: log(LogLevel.WARN, line))
        self.sampler = Sampler(
            roots,
            mono=lambda: clock.now().mono,
            wall=lambda: clock.now().wall,
            cgroups=cgroups if Collector.CGROUP in collectors else None,
            oom=self.oom,
            leaves=self._leaves,
            with_switches=Collector.CONTEXT_SWITCHES in collectors,
            pipes=pipes,
        )
        self._is_proportional = Collector.PROPORTIONAL_MEMORY in collectors
        self.proportional = ProportionalMemory(
            self.sampler,
            interval=settings.metrics.proportional_memory_interval,
            on_error=on_error,
        )

    def open(self) -> None:
        """Make ready, before anything is spawned."""
        if self._leaves is not None:
            self._leaves.open()
        if self._is_proportional:
            self.proportional.open()

    def kill_after_crash(self, keeper: Keeper) -> None:
        """Have it end every leaf with all that is in it, should we crash."""
        if self._leaves is not None:
            self._kill_files = KillFiles(keeper)
            self._leaves.on_made = self._kill_files.leaf_made
            self._leaves.on_left = self._kill_files.leaf_left

    async def close(self) -> None:
        """Look at nothing any more, and leave no cgroup behind."""
        await self.proportional.close()
        self.sampler.close()
        if self._kill_files is not None:
            self._kill_files.close()
        if self._leaves is not None:
            self._leaves.close()

    def _find_leaves(self, choice: str, cgroups: Cgroups) -> Leaves | None:
        try:
            place = find_place(choice, cgroups)
        except NoPlaceError as problem:
            self._log(LogLevel.WARN, f"no cgroups for processes: {problem}")
            return None
        if place is None:
            return None
        self._log(LogLevel.INFO, f"each process gets a cgroup of its own in {place}")
        return Leaves(
            place,
            tell_problem=lambda process_id, problem: self._log(
                LogLevel.WARN, f"no cgroup for {process_id}: {problem}"
            ),
            found_kills=self.oom.owns,
        )
