"""The running daemon: how one life of it begins, goes on from an earlier one, and ends."""

import os
from collections.abc import Callable, Mapping, Sequence

from opsvisor import __version__
from opsvisor.api.passed import PassedSockets
from opsvisor.config.problems import OpsvisorError
from opsvisor.config.settings import DaemonSettings, Loaded, LogLevel, OnCrash
from opsvisor.control.upgrades import Upgraded
from opsvisor.daemon import allocator, kept_listeners
from opsvisor.daemon.footing import Footing
from opsvisor.daemon.hand_over import HandOver, UpgradeMemento
from opsvisor.daemon.handing_over import connections_of, listeners_of
from opsvisor.daemon.host import (
    Background,
    HostError,
    is_first_process,
    pid_file,
    settle,
)
from opsvisor.daemon.invocation import Invocation
from opsvisor.daemon.parts import Parts
from opsvisor.daemon.succession import Successor
from opsvisor.runtime import clock
from opsvisor.runtime.memory.directory import LockedError, StateDirectoryError
from opsvisor.runtime.notify import Notifier


class Service:
    """One life of the daemon, from one configuration. A reload ends it and begins another.

    `prepared` are lines for its log about what was done to the process before it began. `notifier`
    and `passed` are what the process has of a service manager, through all lives, and `footing` is
    where it keeps what it would have the next one know.
    """

    def __init__(
        self,
        begin: Successor,
        load: Callable[[DaemonSettings | None], Loaded],
        background: Background,
        prepared: Sequence[str] = (),
        *,
        notifier: Notifier,
        passed: PassedSockets,
        footing: Footing,
        invocation: Invocation,
    ) -> None:
        self._prepared = prepared
        self._settings = begin.loaded.settings
        self._past = begin.hand_over
        self._failure = begin.failure
        self._inherited: Mapping[str, int] = {}  # descriptors of programs
        listeners = begin.listeners
        if self._past is not None:
            listeners, self._inherited = listeners_of(self._past, self._settings.listeners)
        self._background = background
        self.parts = Parts(
            begin.loaded,
            load,
            listeners=listeners,
            event_serials=begin.event_serials,
            notifier=notifier,
            passed=passed,
            footing=footing,
            invocation=invocation,
        )

    async def run(self) -> Successor | None:
        """Supervise until told to end: None to exit, or what to begin anew with.

        BindError if a server can't listen, HostError if another daemon has our state; nothing has
        been started then.
        """
        self.parts.build(self._past)
        try:
            self.parts.announcer.tell_what_was_found(self._prepared)
            self._take_hold()
            await self._take_back_addresses()
            self.parts.servers.listen()
            if self._past is None:
                self.parts.survival.make_room(self.parts.marks)
            if self._past is None and not self.parts.survival.has_past:
                # Not before: a second daemon would take the first one's.
                self.parts.auto_logs.remove_old()
            with self.parts.signals.listening():
                self._settle_in_background()
                with pid_file(self._settings.pid_file) as problem:
                    self._announce(problem)
                    await self._supervise()
        except OpsvisorError:
            self.parts.survival.give_up(self.parts.engine.leave)
            raise
        finally:
            await self._close()
        return self.parts.ending.successor

    async def _supervise(self) -> None:
        self.parts.reporter.open()
        self.parts.measuring.open()
        self.parts.engine.open(self.parts.engine_observer(), self.parts.survival.keeper)
        try:
            for edge in self.parts.other_edges:
                edge.open()
            if self._past is None:
                self._begin()
            else:
                self._go_on_from(self._past)
            await self._serve()
            self.parts.reporter.ready()
            allocator.give_back()
            await self.parts.ending.wait()
            self.parts.engine.settle()
            self.parts.survival.end(is_leaving=self.parts.ending.is_leaving)
        finally:
            self.parts.reporter.close()
            for edge in self.parts.other_edges:
                edge.close()
            self.parts.engine.close(leave_sockets=self.parts.ending.is_leaving)

    def _begin(self) -> None:
        """Take back what a crash has left, and carry out the configuration."""
        self.parts.survival.begin(self.parts.whole.sources)
        self.parts.configuration.start_all()

    def _go_on_from(self, past: HandOver) -> None:
        """Be what the process before the exec was. The configuration is only read.

        If that fails, all is left as after a crash for whoever comes next.
        """
        self.parts.ending.is_leaving = True
        try:
            self.parts.whole.go_on_from(past, self._inherited)
        except Exception as error:
            self.parts.internal_error("upgrade", error)
            text = (
                "cannot take over from the version before; programs run on, and the next"
                f" {self.parts.announcer.name} takes them back: {error}"
            )
            self.parts.journal.log(LogLevel.CRITICAL, text)
            raise HostError(text) from error
        self.parts.ending.is_leaving = False
        self.parts.metrics.upgrade_asked_for("done")
        if not self.parts.configuration.compare().diff.is_empty():
            text = "the configuration has changed meanwhile: opsvisorctl update carries it out"
            self.parts.journal.log(LogLevel.INFO, text)

    async def _serve(self) -> None:
        """Answer. Not before now: a request may be one to the engine."""
        past, self._past = self._past, None
        servers = self.parts.servers
        await servers.serve({} if past is None else connections_of(past, servers.all))
        if past is not None:
            self._tell_of_upgrade(past.upgrade)

    def _tell_of_upgrade(self, upgrade: UpgradeMemento) -> None:
        now = clock.now()
        upgraded = self.parts.upgraded = Upgraded(
            from_version=upgrade.from_version,
            at=now.wall,
            silence=now.mono - upgrade.silent_since,
            count=upgrade.count,
        )
        self.parts.journal.log(
            LogLevel.INFO,
            f"upgraded from {upgrade.from_version} to {__version__}:"
            f" {len(self.parts.engine.live())} running, requests waited for"
            f" {upgraded.silence:.2f} s",
        )

    # -- steps of the beginning ------------------------------------------------------------------

    def _take_hold(self) -> None:
        """See that there is no other daemon with our state. Who has our addresses says more.

        Only a look at them: who has the lock may be about to take them.
        """
        try:
            if self._past is None:
                self.parts.survival.take_hold(self.parts.engine.watch, self.parts.marks)
            else:
                self.parts.survival.take_over(self._past, self.parts.engine.watch)
        except LockedError as error:
            self.parts.servers.fail_if_taken()
            self.parts.journal.log(LogLevel.CRITICAL, str(error))
            raise HostError(str(error)) from error
        except StateDirectoryError as error:
            self.parts.journal.log(LogLevel.CRITICAL, str(error))
            raise HostError(str(error)) from error

    async def _take_back_addresses(self) -> None:
        """Have what clients of a daemon that is gone wait at."""
        keeper = self.parts.survival.keeper
        if keeper is not None:
            await kept_listeners.take_back(self.parts.servers.all, keeper)
            if self._settings.on_crash is OnCrash.KILL:
                self.parts.measuring.kill_after_crash(keeper)

    def _settle_in_background(self) -> None:
        """Go to the directory and the umask of a daemon, on the way to the background only."""
        if not self._background.is_entered:
            if self._settings.daemonize and is_first_process():
                text = "staying in the foreground: a container ends with its first process"
                self.parts.journal.log(LogLevel.WARN, text)
            return
        self.parts.journal.log(
            LogLevel.INFO, f"daemonizing the {self.parts.announcer.name} process"
        )
        for level, line in settle(self._settings):
            self.parts.journal.log(level, line)

    def _announce(self, pid_file_problem: str) -> None:
        """Say that we are there; from here on we are a daemon."""
        if pid_file_problem:
            self.parts.journal.log(LogLevel.CRITICAL, pid_file_problem)
        if self._failure is not None:
            self.parts.configuration.could_not_begin(self._failure)
            text = f"going on with the configuration from before, as this failed: {self._failure}"
            self.parts.journal.log(LogLevel.CRITICAL, text)
        begins = "started" if self._past is None else "goes on"
        self.parts.journal.log(
            LogLevel.INFO, f"{self.parts.announcer.name} {begins} with pid {os.getpid()}"
        )
        log_problem = self.parts.log.capture.problem
        if log_problem:  # told where it can be told: in memory, and to whoever started us
            self.parts.journal.log(LogLevel.CRITICAL, f"the daemon's own log: {log_problem}")
        self.parts.begin_audit()
        self._background.ready(log_problem)

    async def _close(self) -> None:
        try:
            await self.parts.servers.close(leave_files=self.parts.ending.is_leaving)
        finally:
            await self.parts.measuring.close()
        if self.parts.audit_log is not None:
            self.parts.audit_log.close()
        self.parts.log.close()
