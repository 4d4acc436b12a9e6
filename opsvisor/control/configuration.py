"""Reread, compare, apply: how a running daemon takes over changed files."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence

from opsvisor.config.origins import GroupOrigins, Origin, Written
from opsvisor.config.problems import ConfigError, OpsvisorError, Place, Problem
from opsvisor.config.settings import DaemonSettings, Dialect, Loaded
from opsvisor.config.spelling import Spelled, spell
from opsvisor.core.inputs import ApplyPlan
from opsvisor.core.plan import Plan, PlanDiff, diff, merge
from opsvisor.core.spec import ProcessId, ProcessSpec
from opsvisor.core.state import PublicState
from opsvisor.core.struct import Struct, replace
from opsvisor.core.supervisor import Supervisor
from opsvisor.core.view import ProcessView
from opsvisor.runtime import clock
from opsvisor.runtime.engine import Engine


class UnknownGroupError(Exception):
    """No group of this name, neither running nor in the files."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no such group: {name}")
        self.name = name


class LoadReport(Struct, frozen=True, kw_only=True):
    """Whether the configuration that was read can be used, and why not."""

    at: float
    ok: bool
    problems: tuple[Problem, ...] = ()


class ChangedOption(Struct, frozen=True, kw_only=True):
    """An option of a process, as it is and as it would be; None where it is left out.

    A `secret` is for those who may do everything.
    """

    name: str
    old: str | None
    new: str | None
    secret: bool


class ChosenOption(Struct, frozen=True, kw_only=True):
    """An option of a process as it is in use, and where it was written, None if nowhere."""

    name: str
    value: str | None
    origin: Origin | None
    secret: bool


class Comparison(Struct, frozen=True, kw_only=True):
    """What applying would change. `daemon_changed`: settings that only `reload` takes over."""

    diff: PlanDiff
    daemon_changed: tuple[str, ...]
    warnings: tuple[Problem, ...]
    old: Mapping[ProcessId, ProcessSpec]
    new: Mapping[ProcessId, ProcessSpec]

    def changed_options(self, process_id: ProcessId) -> Iterator[ChangedOption]:
        """The options of a changed process that change. Takes 0.2 ms."""
        old, new = spell(self.old[process_id]), spell(self.new[process_id])
        nothing = Spelled(None, ())
        for name in dict.fromkeys((*old, *new)):
            before, after = old.get(name, nothing), new.get(name, nothing)
            if before.value != after.value:
                yield ChangedOption(
                    name=name,
                    old=before.value,
                    new=after.value,
                    secret=before.secret or after.secret,
                )


class Configuration:
    """The configuration as last read, beside the plan that is carried out.

    `load` reads it, for a daemon with the given settings, or None: with those that it reads.
    """

    def __init__(
        self,
        engine: Engine,
        supervisor: Supervisor,
        *,
        loaded: Loaded,
        load: Callable[[DaemonSettings | None], Loaded],
        on_load: Callable[[LoadReport], None],
    ) -> None:
        self._engine = engine
        self._supervisor = supervisor
        self._load = load
        self._on_load = [on_load]
        self._running = loaded
        self.available = loaded
        self._origins: dict[str, GroupOrigins] = {}  # of the groups in the plan
        self._note_origins(loaded.plan)
        self._reading = asyncio.Lock()
        self.last_load = LoadReport(at=clock.now().wall, ok=True)

    @property
    def settings(self) -> DaemonSettings:
        """The settings in force: those the daemon started with."""
        return self._running.settings

    @property
    def in_force(self) -> Loaded:
        """What the daemon started with, and the plan that it carries out now."""
        return replace(self._running, plan=self._supervisor.plan)

    def listen_to_loads(self, listener: Callable[[LoadReport], None]) -> None:
        """Call this whenever the files have been read again."""
        self._on_load.append(listener)

    async def reread(
        self, try_out: Callable[[Loaded], None] = lambda _: None, *, to_begin_anew: bool = False
    ) -> Comparison:
        """Read the files again. ConfigError, and nothing changed, if they can't be used.

        `try_out` may raise it for what reading alone doesn't show: that counts as not usable, too.
        Until the daemon begins anew its own settings stay in force, also for its programs.
        In a thread: a thousand programs take a quarter of a second, and a look-up of their users
        in a directory service can take any time.
        """
        async with self._reading:
            at = clock.now().wall
            try:
                kept = None if to_begin_anew else self.settings
                loaded = await asyncio.to_thread(self._load, kept)
                try_out(loaded)
            except ConfigError as error:
                self._report(LoadReport(at=at, ok=False, problems=error.problems))
                raise
            self.available = loaded
            self._report(LoadReport(at=at, ok=True))
            return self.compare()

    def could_not_begin(self, failure: OpsvisorError) -> None:
        """Note that what is in the files now was tried, and that this is the one from before."""
        problem = Problem(Place(self._running.files[0]), str(failure))
        self._report(LoadReport(at=clock.now().wall, ok=False, problems=(problem,)))

    def compare(self) -> Comparison:
        """What applying the configuration as last read would change."""
        return self._comparison(self.available.plan)

    def start_all(self) -> None:
        """Carry out the configuration the daemon was started with."""
        self._engine.submit(ApplyPlan(self._running.plan))

    def choose(
        self, groups: Sequence[str] = (), *, among: Callable[[str], bool] | None = None
    ) -> tuple[Plan, Comparison]:
        """The plan that applying these groups (none: all) would make, and what it changes.

        `among` tells which groups there are for the caller, None: all. UnknownGroupError for one
        that there isn't, or that is neither running nor in the files.
        """
        known = {g.name for g in (*self._supervisor.plan.groups, *self.available.plan.groups)}
        if among is not None:
            known = set(filter(among, known))
        for name in groups:
            if name not in known:
                raise UnknownGroupError(name)
        wanted = self.available.plan
        if groups or among is not None:
            wanted = merge(self._supervisor.plan, wanted, frozenset(groups or known))
        return wanted, self._comparison(wanted)

    def carry_out(self, plan: Plan) -> None:
        """Make this the plan in force, unless it says nothing new."""
        self._note_origins(plan)
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
        """Take a group out of the plan; False if one of its processes runs, or is to run again."""
        if name not in self._running_groups():
            raise UnknownGroupError(name)
        members = [view for view in self._engine.views() if view.id.group == name]
        if any(_may_run(view) for view in members):
            return False
        remaining = [g for g in self._supervisor.plan.groups if g.name != name]
        self.carry_out(replace(self._supervisor.plan, groups=tuple(remaining)))
        return True

    def options_of(self, spec: ProcessSpec) -> Iterator[ChosenOption]:
        """Every option of a process that follows this spec, in the words of opsvisor.toml."""
        written = self._written_of(spec)
        for name, spelled in spell(spec).items():
            found = (written[home] for home in spelled.homes if home in written)
            yield ChosenOption(
                name=name, value=spelled.value, origin=next(found, None), secret=spelled.secret
            )

    def _written_of(self, spec: ProcessSpec) -> Written:
        """Where its options were written: where they are now, if they still are the same."""
        group = spec.id.group
        if self.available.plan.specs().get(spec.id) == spec:
            return self.available.origins.of_group(group).of(spec.id, spec.program)
        return self._origins.get(group, GroupOrigins()).of(spec.id, spec.program)

    def _note_origins(self, plan: Plan) -> None:
        """Remember where the groups of a plan were written, before the files are read again."""
        latest = {group.name: group for group in self.available.plan.groups}
        known = self._origins
        self._origins = {
            group.name: self.available.origins.of_group(group.name)
            if latest.get(group.name) == group
            else known.get(group.name, GroupOrigins())
            for group in plan.groups
        }

    def _comparison(self, wanted: Plan) -> Comparison:
        old, new = self._running.settings, self.available.settings
        return Comparison(
            diff=diff(self._supervisor.plan, wanted),
            old=self._supervisor.plan.specs(),
            new=wanted.specs(),
            daemon_changed=tuple(
                name
                for name in DaemonSettings.__struct_fields__
                if getattr(old, name) != getattr(new, name)
            ),
            warnings=self.available.warnings,
        )

    def _running_groups(self) -> set[str]:
        return {group.name for group in self._supervisor.plan.groups}

    def _report(self, report: LoadReport) -> None:
        self.last_load = report
        for listener in self._on_load:
            listener(report)


def _may_run(view: ProcessView) -> bool:
    """Alive, about to be, or waiting for its next attempt."""
    return view.pid is not None or view.state is PublicState.STARTING or view.retry_at is not None
