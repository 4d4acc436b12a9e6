"""The signals of the daemon itself, and what each of them asks for."""

import asyncio
import contextlib
import functools
import signal
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence

from opsvisor.config.problems import ConfigError
from opsvisor.config.settings import DaemonSettings, LogLevel
from opsvisor.control.upgrades import UpgradeRefusedError
from opsvisor.core.inputs import SendSignal
from opsvisor.core.outcome import signal_name
from opsvisor.daemon.announcer import Announcer
from opsvisor.daemon.ending import Ending
from opsvisor.daemon.reload import Reload
from opsvisor.daemon.upgrade import Upgrades
from opsvisor.runtime import signals
from opsvisor.runtime.daemon_log import DaemonLog
from opsvisor.runtime.engine import Engine
from opsvisor.telemetry.journal import Journal

# What the first process of a container keeps for later, if it comes before it can be acted on.
FIRST_WANTED = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
# What waits while the daemon is replaced by another version, besides `forward_signals`.
HELD = (*FIRST_WANTED, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGRTMIN)


class OwnSignals:
    """Listens to them during one life, and passes on what programs are to have."""

    def __init__(
        self,
        settings: DaemonSettings,
        *,
        ending: Ending,
        reload: Reload,
        upgrades: Upgrades,
        engine: Engine,
        daemon_logs: Sequence[DaemonLog],
        journal: Journal,
        announcer: Announcer,
    ) -> None:
        self._ending = ending
        self._reload = reload
        self._upgrades = upgrades
        self._engine = engine
        self._daemon_logs = daemon_logs
        self._journal = journal
        self._announcer = announcer
        self._tasks: set[asyncio.Task[None]] = set()
        self._handlers: Mapping[int, Callable[[], None]] = {
            signal.SIGTERM: lambda: self._asked_to_exit(signal.SIGTERM),
            signal.SIGINT: lambda: self._asked_to_exit(signal.SIGINT),
            signal.SIGQUIT: lambda: self._asked_to_exit(signal.SIGQUIT),
            signal.SIGHUP: self._asked_to_reload,
            signal.SIGUSR1: self._asked_to_upgrade,
            signal.SIGUSR2: self._asked_to_reopen,
            # Left to itself it kills, which for the programs comes to the same.
            signal.SIGRTMIN: self._asked_to_leave,
            **{
                number: functools.partial(self._pass_on, number)
                for number in settings.forward_signals
            },
        }

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Act on them inside the block; what comes after it waits for the next life."""
        self.listen()
        try:
            yield
        finally:
            signals.postpone(self._handlers)

    def listen(self) -> None:
        """Act on them from now on, and on those that were held back."""
        signals.listen(asyncio.get_running_loop(), self._handlers)

    def hold(self) -> None:
        """Hold them back until `listen`, or for whatever is executed in our place."""
        signals.hold(self._handlers)

    def _asked_to_exit(self, signum: signal.Signals) -> None:
        self._journal.log(LogLevel.WARN, f"received {signum.name} indicating exit request")
        self._ending.shut_down(f"received {signum.name}")

    def _asked_to_reload(self) -> None:
        if self._ending.has_begun():
            self._journal.log(
                LogLevel.WARN, "ignored SIGHUP indicating restart request (shutdown in progress)"
            )
            return
        self._journal.log(LogLevel.WARN, "received SIGHUP indicating restart request")
        self._begin(self._reload_by_signal())

    async def _reload_by_signal(self) -> None:
        with contextlib.suppress(ConfigError):  # told in the log already
            await self._reload.begin("received SIGHUP")

    def _asked_to_reopen(self) -> None:
        self._journal.log(LogLevel.INFO, "received SIGUSR2 indicating log reopen request")
        self._journal.log(LogLevel.INFO, f"{self._announcer.name} logreopen")
        for log in self._daemon_logs:
            log.capture.reopen()
        self._engine.reopen_logs()

    def _asked_to_leave(self) -> None:
        """What `systemctl restart` comes to: see RestartKillSignal= of the unit."""
        if self._ending.has_begun():
            text = "ignored SIGRTMIN indicating leave request (shutdown in progress)"
            self._journal.log(LogLevel.WARN, text)
            return
        self._journal.log(LogLevel.WARN, "received SIGRTMIN indicating leave request")
        self._ending.leave("received SIGRTMIN")

    def _asked_to_upgrade(self) -> None:
        self._journal.log(LogLevel.WARN, "received SIGUSR1 indicating upgrade request")
        self._begin(self._upgrade_by_signal())

    async def _upgrade_by_signal(self) -> None:
        with contextlib.suppress(UpgradeRefusedError):  # told in the log already
            await self._upgrades.begin("by SIGUSR1")

    def _pass_on(self, number: int) -> None:
        """A signal for the programs, see `forward_signals`."""
        reached = self._engine.live()
        name = signal_name(number)
        self._journal.log(LogLevel.INFO, f"received {name}, passed on to {len(reached)} processes")
        for process_id in reached:
            self._engine.submit(SendSignal(process_id, number))

    def _begin(self, asked: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(asked)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
