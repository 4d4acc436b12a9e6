"""Everything an edge talks to, around an engine with real programs, without a daemon."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Protocol

from engine_room import PATIENCE, Room, engine_room, plan_of

from opsvisor.config.problems import ConfigError
from opsvisor.config.settings import DaemonSettings, Loaded
from opsvisor.control.actions import Action, ActionOutcome, Actions, Result
from opsvisor.control.audit import Audit
from opsvisor.control.configuration import Configuration, LoadReport
from opsvisor.control.control import Control
from opsvisor.control.upgrades import Coming, Upgraded, UpgradeRefusedError
from opsvisor.core.events import SupervisorState
from opsvisor.core.inputs import Shutdown
from opsvisor.core.plan import Plan
from opsvisor.core.spec import LogSpec, ProcessSpec
from opsvisor.runtime import clock
from opsvisor.runtime.daemon_log import DaemonLog
from opsvisor.runtime.post_mortem import PostMortems
from opsvisor.runtime.sampler import Sampler


def loaded(*specs: ProcessSpec, settings: DaemonSettings | None = None) -> Loaded:
    """A configuration of these processes."""
    return loaded_plan(plan_of(*specs), settings=settings)


def loaded_plan(plan: Plan, *, settings: DaemonSettings | None = None) -> Loaded:
    """A configuration with this plan."""
    return Loaded(plan=plan, settings=settings or DaemonSettings(), files=("/etc/opsvisor.toml",))


class ControlRoom:
    """The use cases, and what they work on.

    `files` is what reading the configuration gives from now on: a configuration, or its problems.
    """

    def __init__(self, room: Room, configured: Loaded) -> None:
        self.room = room
        self.files: Loaded | ConfigError = configured
        self.reports: list[LoadReport] = []
        self.reloads: list[str] = []
        self.upgrades: list[str] = []
        self.upgrade_problem = ""
        self.last_upgrade: Upgraded | None = None
        sampler = Sampler(
            room.engine.live, mono=lambda: clock.now().mono, wall=lambda: clock.now().wall
        )
        post_mortems = PostMortems(room.engine.streams, 5)
        room.bus.listen(post_mortems.on_event)
        self.control = Control(
            version="1.2.3",
            started=clock.now(),
            supervisor=room.supervisor,
            engine=room.engine,
            bus=room.bus,
            actions=Actions(room.engine, room.bus, is_stopping=self._is_stopping),
            configuration=Configuration(
                room.engine,
                room.supervisor,
                loaded=configured,
                load=self._load,
                on_load=self.reports.append,
            ),
            post_mortems=post_mortems,
            sampler=sampler,
            audit=Audit(room.bus.publish),
            daemon_log=DaemonLog(LogSpec(), echo=False, ring_size=65536, loop=room.engine._loop),
            shut_down=lambda reason: room.engine.submit(Shutdown(reason)),
            reload=self._reload,
            upgrade=self._upgrade,
            upgraded=lambda: self.last_upgrade,
        )

    async def act(
        self, action: Action, *names: str, signum: int = 0, wait: bool = True
    ) -> list[ActionOutcome]:
        """Do it to all of them."""
        return await self.control.actions.act(
            action, names, signum=signum, wait=wait, timeout=PATIENCE
        )

    async def result(self, action: Action, name: str = "web", *, signum: int = 0) -> Result:
        """What became of it, for one process."""
        (outcome,) = await self.act(action, name, signum=signum)
        return outcome.result

    def _load(self, _in_force: DaemonSettings | None) -> Loaded:
        if isinstance(self.files, ConfigError):
            raise self.files
        return self.files

    async def _reload(self, reason: str) -> None:
        """As the daemon does it: nothing is stopped for files that can't be used."""
        await self.control.configuration.reread()
        self.reloads.append(reason)

    async def _upgrade(self, reason: str) -> Coming:
        """As the daemon does it, but that nothing is replaced."""
        if self.upgrade_problem:
            raise UpgradeRefusedError(self.upgrade_problem)
        self.upgrades.append(reason)
        return Coming(from_version="1.2.3", to_version="1.2.4")

    def _is_stopping(self) -> bool:
        return self.room.supervisor.state is SupervisorState.STOPPING


@asynccontextmanager
async def control_room(configured: Loaded) -> AsyncIterator[ControlRoom]:
    """A room that carries out this configuration, and leaves nothing behind."""
    async with engine_room() as room:
        one = ControlRoom(room, configured)
        one.control.configuration.start_all()
        await room.settled()
        try:
            yield one
        finally:
            one.control.sampler.close()
            one.control.daemon_log.close()


class MakeControl(Protocol):
    """Puts processes under supervision for the rest of a test."""

    def __call__(
        self, *specs: ProcessSpec, settings: DaemonSettings | None = None
    ) -> Awaitable[ControlRoom]:
        """A room with these processes."""
        ...
