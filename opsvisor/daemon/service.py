"""The running daemon: its parts, how they are wired, and how it begins and ends."""

import asyncio
import contextlib
import os
import random
import signal
import socket
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from aiohttp import web

from opsvisor import __version__
from opsvisor.api.app import create_app
from opsvisor.api.context import HttpObserver
from opsvisor.api.server import BindError, HttpServer, url_of
from opsvisor.config.problems import ConfigError, OpsvisorError, Place, Problem
from opsvisor.config.settings import Dialect, Loaded, LogLevel
from opsvisor.control.actions import Actions
from opsvisor.control.configuration import Configuration, LoadReport
from opsvisor.control.control import Control
from opsvisor.core.events import Event, PlanApplied
from opsvisor.core.inputs import Shutdown
from opsvisor.core.spec import Pid, ProcessId
from opsvisor.core.supervisor import Supervisor
from opsvisor.daemon.announcer import Announcer
from opsvisor.daemon.auto_logs import AutoLogs
from opsvisor.daemon.host import (
    Background,
    HostError,
    pid_file,
    raise_descriptors,
    raise_limits,
    settle,
    too_few_descriptors,
    why_not,
)
from opsvisor.daemon.measuring import Measuring
from opsvisor.daemon.succession import Successor, listen_ahead
from opsvisor.runtime import clock, signals
from opsvisor.runtime.bus import EventBus
from opsvisor.runtime.daemon_log import DaemonLog
from opsvisor.runtime.engine import Engine, Observer
from opsvisor.runtime.logs.syslog import Syslog
from opsvisor.runtime.post_mortem import PostMortems
from opsvisor.runtime.reaper import Orphan
from opsvisor.telemetry.journal import Journal
from opsvisor.telemetry.metrics import Metrics
from opsvisor.telemetry.revision import read_revision

_DAEMON_RING_SIZE = 256 * 1024
_PROGRESS_INTERVAL = 3.0  # between "waiting for ... to die" lines, as Supervisor has them


class _Edge(Protocol):
    """An interface of the daemon besides its own API."""

    def routes(self) -> Sequence[web.AbstractRouteDef]: ...

    def open(self) -> None: ...

    def close(self) -> None: ...


class Service:
    """One life of the daemon, from one configuration. A reload ends it and begins another.

    `prepared` are lines for its log about what was done to the process before it began.
    """

    def __init__(
        self,
        begin: Successor,
        load: Callable[[], Loaded],
        background: Background,
        prepared: Sequence[str] = (),
    ) -> None:
        self._prepared = prepared
        self._has_warned_of_descriptors = False
        self._loaded = begin.loaded
        self._listeners = begin.listeners
        self._event_serials = begin.event_serials
        self._load = load
        self._background = background
        self._next: Successor | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> Successor | None:
        """Supervise until told to end: None to exit, or what to begin anew with.

        BindError if a server can't listen; nothing has been started then.
        """
        self._build()
        try:
            self._announcer.tell_what_was_found(self._prepared)
            self._listen()
            self._auto_logs.remove_old()  # not before: a second daemon would take the first one's
            with self._listening_to_signals():
                self._settle_in_background()
                with pid_file(self._loaded.settings.pid_file) as problem:
                    self._announce(problem)
                    await self._supervise()
        finally:
            await self._close()
        return self._next

    async def _supervise(self) -> None:
        self._measuring.open()
        self._engine.open(self._engine_observer())
        try:
            for edge in self._other_edges:
                edge.open()
            self._configuration.start_all()
            # Not before: a request may be one to the engine.
            for server in self._servers:
                await server.serve()
            await self._over.wait()
        finally:
            for edge in self._other_edges:
                edge.close()
            self._engine.close()

    # -- parts -------------------------------------------------------------------------------

    def _build(self) -> None:
        asyncio.get_running_loop().set_exception_handler(self._loop_error)
        self._over = asyncio.Event()
        self._build_log()
        self._build_engine()
        self._build_telemetry()
        self._build_control()
        self._build_servers()

    def _build_log(self) -> None:
        settings = self._loaded.settings
        # Rules of whoever sorts the system's log go by this name.
        is_supervisor = settings.dialect is Dialect.SUPERVISOR
        self._syslog = Syslog(ident="supervisord" if is_supervisor else "opsvisord")
        self._log = DaemonLog(
            settings.log,
            echo=settings.echo_log,
            ring_size=_DAEMON_RING_SIZE,
            loop=asyncio.get_running_loop(),
            syslog=self._syslog,
        )
        self._journal = Journal(
            self._log.write, level=settings.log_level, min_uptime=self._min_uptime
        )
        self._announcer = Announcer(self._loaded, self._journal)
        self._auto_logs = AutoLogs(
            settings, warn=lambda problem: self._journal.log(LogLevel.WARN, problem)
        )

    def _build_engine(self) -> None:
        self._supervisor = Supervisor(jitter=random.random)
        self._bus = EventBus(first_number=int(clock.now().wall * 1000))
        self._measuring = Measuring(
            self._loaded.settings,
            roots=lambda: self._engine.live(),  # noqa: PLW0108 - which needs this one first
            pipes=lambda: self._engine.output_pipes(),  # noqa: PLW0108 - likewise
            log=self._journal.log,
            on_error=lambda error: self._internal_error("metrics", error),
        )
        self._sampler = self._measuring.sampler
        self._engine = Engine(
            self._supervisor,
            self._bus,
            loop=asyncio.get_running_loop(),
            environment=dict(os.environ),
            ring_size=self._loaded.settings.ring_size,
            on_shutdown_complete=self._over.set,
            syslog=self._syslog,
            oom=self._measuring.oom,
        )

    def _build_telemetry(self) -> None:
        """What looks on. The order of those who hear of events is that of lines in the log."""
        self._metrics = Metrics(
            views=self._engine.each_view,
            log_stats=lambda process_id: self._engine.streams(process_id).stats(),
            sampler=self._sampler,
            now=clock.now,
            version=__version__,
            revision=read_revision(),
            settings=self._loaded.settings.metrics,
            subscriptions=lambda: self._bus.subscriptions,
            proportional_memory=self._measuring.proportional.of,
            on_error=self._internal_error,
        )
        self._post_mortems = PostMortems(self._engine.streams, self._loaded.settings.history_size)
        self._bus.report_to(
            on_listener_error=lambda error: self._internal_error("listener", error),
            on_drop=self._metrics.events_dropped,
        )
        self._bus.listen(self._metrics.on_event)
        self._bus.listen(self._journal.on_event)
        self._bus.listen(self._post_mortems.on_event)
        self._bus.listen(self._make_room)
        self._bus.listen(self._auto_logs.on_event)

    def _build_control(self) -> None:
        self._actions = Actions(self._engine, self._bus, is_stopping=self._is_ending)
        self._configuration = Configuration(
            self._engine,
            self._supervisor,
            loaded=self._loaded,
            load=self._load,
            on_load=self._on_load,
        )
        self._on_load(self._configuration.last_load)
        self._control = Control(
            version=__version__,
            started=clock.now(),
            supervisor=self._supervisor,
            engine=self._engine,
            bus=self._bus,
            actions=self._actions,
            configuration=self._configuration,
            post_mortems=self._post_mortems,
            sampler=self._sampler,
            daemon_log=self._log,
            shut_down=self._shut_down,
            reload=self._reload,
        )

    def _build_servers(self) -> None:
        self._other_edges = self._build_other_edges()
        self._servers = [
            HttpServer(
                server,
                create_app(
                    self._control,
                    server,
                    metrics=self._metrics,
                    observer=self._http_observer(),
                    more_routes=[r for edge in self._other_edges for r in edge.routes()],
                ),
                self._listeners.get(url_of(server)),
            )
            for server in self._loaded.settings.listeners
        ]

    def _build_other_edges(self) -> "list[_Edge]":
        """Interfaces besides our own API. Those of Supervisor are loaded only where wanted."""
        if not self._loaded.settings.supervisor_interfaces:
            return []
        from opsvisor.compat.supervisor.edge import SupervisorEdge  # noqa: PLC0415 - see above

        edge = SupervisorEdge(
            self._control,
            self._journal.log,
            self._event_serials,
            count_dropped=self._metrics.events_dropped,
            streaming=self._metrics.stream_active,
        )
        return [edge]

    def _engine_observer(self) -> Observer:
        return Observer(
            spawn_took=self._metrics.observe_spawn,
            reap_took=self._metrics.observe_reap,
            loop_lagged=self._metrics.observe_loop_lag,
            run_began=self._sampler.run_began,
            run_ended=self._sampler.run_ended,
            orphan_reaped=self._orphan_reaped,
            forgotten=self._sampler.forget,
            internal_error=self._internal_error,
            log_problem=self._log_problem,
            socket_told=lambda line: self._journal.log(LogLevel.INFO, line),
            socket_problem=lambda problem: self._journal.log(LogLevel.ERROR, problem),
        )

    def _http_observer(self) -> HttpObserver:
        return HttpObserver(
            request_done=lambda handler, method, code, seconds: self._metrics.http_request(
                handler, method, code=code, seconds=seconds
            ),
            in_flight=self._metrics.request_in_flight,
            streaming=self._metrics.stream_active,
            internal_error=self._internal_error,
            warn=lambda text: self._journal.log(LogLevel.WARN, text),
        )

    # -- beginning and end -------------------------------------------------------------------

    def _listen(self) -> None:
        """Take every address, so that nobody else can; answers come when there is an engine."""
        taken: list[HttpServer] = []
        try:
            for server in self._servers:
                server.listen(on_stale=self._announcer.tell_stale_socket)
                taken.append(server)
                self._announcer.tell_server(server)
        except BindError as error:
            self._servers = taken  # only these are ours to close
            # After a reload nobody sees standard error: the log must say why we are gone.
            self._journal.log(LogLevel.CRITICAL, str(error))
            raise

    def _settle_in_background(self) -> None:
        """Go to the directory and the umask of a daemon, on the way to the background only."""
        if not self._background.is_entered:
            return
        self._journal.log(LogLevel.INFO, f"daemonizing the {self._announcer.name} process")
        for level, line in settle(self._loaded.settings):
            self._journal.log(level, line)

    def _announce(self, pid_file_problem: str) -> None:
        """Say that we are there; from here on we are a daemon."""
        if pid_file_problem:
            self._journal.log(LogLevel.CRITICAL, pid_file_problem)
        self._journal.log(LogLevel.INFO, f"{self._announcer.name} started with pid {os.getpid()}")
        log_problem = self._log.capture.problem
        if log_problem:  # told where it can be told: in memory, and to whoever started us
            self._journal.log(LogLevel.CRITICAL, f"the daemon's own log: {log_problem}")
        self._background.ready(log_problem)

    def _make_room(self, event: Event) -> None:
        """Have descriptors for all that a new plan may run, before any of it starts."""
        if not isinstance(event, PlanApplied):
            return
        plan = self._supervisor.plan
        if raised := raise_descriptors(plan):
            self._journal.log(LogLevel.INFO, raised)
        warning = too_few_descriptors(plan)
        if warning and not self._has_warned_of_descriptors:
            self._has_warned_of_descriptors = True  # once, not with each group that is added
            self._journal.log(LogLevel.WARN, warning)

    async def _close(self) -> None:
        for server in self._servers:
            await server.close()
        await self._measuring.close()
        self._log.close()

    # -- signals -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def _listening_to_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        handlers = {
            signal.SIGTERM: lambda: self._asked_to_exit(signal.SIGTERM),
            signal.SIGINT: lambda: self._asked_to_exit(signal.SIGINT),
            signal.SIGQUIT: lambda: self._asked_to_exit(signal.SIGQUIT),
            signal.SIGHUP: self._asked_to_reload,
            signal.SIGUSR1: self._ignored_usr1,
            signal.SIGUSR2: self._asked_to_reopen,
        }
        signals.listen(loop, handlers)
        try:
            yield
        finally:
            signals.postpone(handlers)

    def _asked_to_exit(self, signum: signal.Signals) -> None:
        self._journal.log(LogLevel.WARN, f"received {signum.name} indicating exit request")
        self._shut_down(f"received {signum.name}")

    def _asked_to_reload(self) -> None:
        if self._is_ending():
            self._journal.log(
                LogLevel.WARN, "ignored SIGHUP indicating restart request (shutdown in progress)"
            )
            return
        self._journal.log(LogLevel.WARN, "received SIGHUP indicating restart request")
        task = asyncio.get_running_loop().create_task(self._reload_by_signal())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reload_by_signal(self) -> None:
        with contextlib.suppress(ConfigError):  # told in the log already
            await self._reload("received SIGHUP")

    def _asked_to_reopen(self) -> None:
        self._journal.log(LogLevel.INFO, "received SIGUSR2 indicating log reopen request")
        self._journal.log(LogLevel.INFO, f"{self._announcer.name} logreopen")
        self._log.capture.reopen()
        self._engine.reopen_logs()

    def _ignored_usr1(self) -> None:
        self._journal.log(LogLevel.INFO, "ignored SIGUSR1, which has no meaning here")

    # -- what is asked, and what happens -----------------------------------------------------

    def _shut_down(self, reason: str) -> None:
        if self._next is not None:  # an exit outranks a reload that is under way
            self._next.close()
            self._next = None
        self._stop_everything(Shutdown(reason))

    async def _reload(self, reason: str) -> None:
        """Begin anew with the files as they are now. ConfigError, and nothing done, if bad."""
        ahead: dict[str, socket.socket] = {}

        def try_out(coming: Loaded) -> None:
            if self._is_ending():  # it ended while the files were read
                return
            try:
                ahead.update(self._prepare(coming))
            except OpsvisorError as error:
                raise ConfigError([Problem(Place(coming.files[0]), str(error))]) from error

        await self._configuration.reread(try_out)
        if self._is_ending():
            return
        self._next = Successor(self._configuration.available, ahead, self._event_serials)
        self._stop_everything(Shutdown(reason, to_reload=True))

    def _prepare(self, coming: Loaded) -> dict[str, socket.socket]:
        """Try what a next life needs while this one can still go on; its new listeners by URL.

        HostError or BindError if it could not begin. Addresses we listen on now are ours to take
        again.
        """
        problem = why_not(coming.settings)
        if problem:
            raise HostError(problem)
        for line in raise_limits(coming.settings, coming.plan):
            self._journal.log(LogLevel.INFO, line)
        ours = [server.settings for server in self._servers]
        return listen_ahead(coming.settings.listeners, ours)

    def _stop_everything(self, shutdown: Shutdown) -> None:
        was_ending = self._is_ending()
        self._engine.submit(shutdown)
        if not was_ending:
            self._tell_progress()

    def _is_ending(self) -> bool:
        return self._supervisor.state.is_ending

    def _tell_progress(self) -> None:
        """Name what is still alive, at once and every few seconds while a shutdown lasts."""
        alive = [view.id.name for view in self._engine.views() if view.pid is not None]
        if alive:
            self._journal.log(LogLevel.INFO, f"waiting for {', '.join(alive)} to die")
            asyncio.get_running_loop().call_later(_PROGRESS_INTERVAL, self._tell_progress)

    def _on_load(self, report: LoadReport) -> None:
        self._metrics.config_loaded(ok=report.ok, at=report.at)
        for problem in report.problems:
            self._journal.log(LogLevel.ERROR, str(problem))
        if not report.ok:
            self._journal.log(
                LogLevel.ERROR, "the configuration can't be used; everything goes on as it was"
            )

    def _log_problem(self, process_id: ProcessId, stream: str, problem: str) -> None:
        if problem:
            text = f"log of {process_id} ({stream}) is not written: {problem}"
            self._journal.log(LogLevel.WARN, text)
        else:
            self._journal.log(LogLevel.INFO, f"log of {process_id} ({stream}) is written again")

    def _orphan_reaped(self, orphan: Orphan) -> None:
        owner = self._owner_of(orphan)
        self._metrics.orphan_reaped()
        if owner is not None:
            self._sampler.orphan_reaped(owner, orphan.pid, orphan.usage)
        whose = f"an orphan of {owner}" if owner else "unknown"
        self._journal.log(
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

    def _min_uptime(self, process_id: ProcessId) -> float:
        return self._engine.view(process_id).spec.min_uptime

    def _loop_error(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What nobody caught in a callback or a task; asyncio would print it to a lost stderr."""
        error = context.get("exception") or RuntimeError(context["message"])
        self._internal_error("loop", error)

    def _internal_error(self, component: str, error: Exception) -> None:
        """A bug of ours: counted, and written down with its traceback."""
        self._metrics.internal_error(component)
        trace = "".join(traceback.format_exception(error))
        self._journal.log(LogLevel.CRITICAL, f"internal error in {component}: {trace}")
