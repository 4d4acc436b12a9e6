"""How one life of the daemon ends: what has asked for it, how far it is, and what comes next."""

import asyncio
from collections.abc import Callable

from opsvisor.config.settings import DaemonSettings, LogLevel
from opsvisor.core.events import Event, SupervisorState, SupervisorStateChanged
from opsvisor.core.inputs import Shutdown
from opsvisor.core.supervisor import Supervisor
from opsvisor.daemon.announcer import Announcer
from opsvisor.daemon.succession import Successor
from opsvisor.daemon.survival import Survival
from opsvisor.runtime.engine import Engine
from opsvisor.runtime.notify import Reporter

_PROGRESS_INTERVAL = 3.0  # between "waiting for ... to die" lines, as Supervisor has them


class Ending:
    """Stops everything, to exit or to begin anew; or leaves the programs to the next daemon.

    `exit_status` is what to end the daemon with. `successor` is what to begin anew with, None to
    exit. `is_leaving`: it ends while programs run on.
    """

    def __init__(
        self,
        settings: DaemonSettings,
        supervisor: Supervisor,
        engine: Engine,
        *,
        survival: Survival,
        reporter: Reporter,
        announcer: Announcer,
        log: Callable[[LogLevel, str], None],
    ) -> None:
        self.exit_status = 0
        self.successor: Successor | None = None
        self.is_leaving = False
        self._settings = settings
        self._supervisor = supervisor
        self._engine = engine
        self._survival = survival
        self._reporter = reporter
        self._announcer = announcer
        self._log = log
        self._over = asyncio.Event()

    async def wait(self) -> None:
        """Return when this life is over."""
        await self._over.wait()

    def has_begun(self) -> bool:
        """Whether everything is being stopped."""
        return self._supervisor.state.is_ending

    def why_no_upgrade(self) -> str:
        """Why this daemon can't be replaced now, "" if it can."""
        if self.has_begun():
            is_restart = self._supervisor.state is SupervisorState.RELOADING
            return "opsvisord is restarting" if is_restart else "opsvisord is shutting down"
        return "opsvisord is leaving" if self.is_leaving else ""

    def shut_down(self, reason: str) -> None:
        """Stop everything, and exit."""
        if self.successor is not None:  # an exit outranks a reload that is under way
            self.successor.close()
            self.successor = None
        self._engine.submit(Shutdown(reason))

    def begin_anew(self, successor: Successor, reason: str) -> None:
        """Stop everything, and go on with another configuration."""
        self.successor = successor
        self._engine.submit(Shutdown(reason, to_reload=True))

    def leave(self, reason: str) -> None:
        """End, but let the programs run on for the next daemon, as after a crash.

        If there is none that takes them back, stop them.
        """
        problem = self._survival.why_nobody_adopts
        if problem:
            # Who sends this wants an end. Programs that nobody takes back would be started twice.
            self._log(LogLevel.WARN, f"stopping everything instead: {problem}")
            self.shut_down(reason)
            return
        alive = sorted(str(process_id) for process_id in self._engine.live())
        self._log(
            LogLevel.INFO,
            f"leaving {', '.join(alive) or 'nothing'} running for the next {self._announcer.name}",
        )
        self._reporter.leaving()
        self.is_leaving = True
        self._over.set()

    def complete(self, exit_status: int | None) -> None:
        """Nothing that can be ended is alive; with the exit status that `Engine` tells."""
        self._tell_who_is_left()
        if exit_status is not None:
            chosen = self._settings.essential_exit_code
            self.exit_status = exit_status if chosen is None else chosen
        self._over.set()

    def on_event(self, event: Event) -> None:
        """Tell of the progress of a shutdown, whoever began it."""
        if not isinstance(event, SupervisorStateChanged):
            return
        if event.new.is_ending and not event.old.is_ending:
            # Not at once: nothing has been told to stop yet.
            asyncio.get_running_loop().call_soon(self._tell_progress)

    def _tell_who_is_left(self) -> None:
        """Name those that may not be signalled: nobody looks after them from now on."""
        for process_id, pid in sorted(self._engine.live().items()):
            reason = self._engine.view(process_id).reason
            self._log(
                LogLevel.CRITICAL,
                f"{process_id} (pid {pid}) is left running, and runs twice after the next"
                f" start unless you end it: {reason}",
            )

    def _tell_progress(self) -> None:
        """Name what is still alive, at once and every few seconds while a shutdown lasts."""
        alive = [process_id.name for process_id in self._supervisor.alive()]
        if alive:
            self._log(LogLevel.INFO, f"waiting for {', '.join(alive)} to die")
            asyncio.get_running_loop().call_later(_PROGRESS_INTERVAL, self._tell_progress)
