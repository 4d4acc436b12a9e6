"""What one life of the daemon is made of, and how it is wired."""

import asyncio
import os
import random
import socket
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from aiohttp import web

from opsvisor import __version__
from opsvisor.api.passed import PassedSockets
from opsvisor.config.accounts import name_of
from opsvisor.config.settings import DaemonSettings, Dialect, Loaded, LogLevel
from opsvisor.control.actions import Actions
from opsvisor.control.audit import Audit
from opsvisor.control.configuration import Configuration, LoadReport
from opsvisor.control.control import Control
from opsvisor.control.upgrades import Upgraded
from opsvisor.core.events import (
    ControlAction,
    Event,
    PlanApplied,
    ProcessAdded,
    SupervisorStateChanged,
)
from opsvisor.core.spec import ProcessId, ProcessSpec
from opsvisor.core.supervisor import Supervisor
from opsvisor.daemon.announcer import Announcer
from opsvisor.daemon.auto_logs import AutoLogs
from opsvisor.daemon.ending import Ending
from opsvisor.daemon.footing import Footing
from opsvisor.daemon.hand_over import HandOver, UpgradeMemento
from opsvisor.daemon.handing_over import HandedOver, Whole
from opsvisor.daemon.host import (
    connections_left,
    connections_wanted,
    raise_descriptors,
    too_few_descriptors,
)
from opsvisor.daemon.invocation import Invocation
from opsvisor.daemon.measuring import Measuring
from opsvisor.daemon.orphans import Orphans
from opsvisor.daemon.own_signals import OwnSignals
from opsvisor.daemon.reload import Reload
from opsvisor.daemon.servers import Servers
from opsvisor.daemon.succession import Serials
from opsvisor.daemon.survival import Survival
from opsvisor.daemon.upgrade import Ground, Upgrades
from opsvisor.runtime import clock
from opsvisor.runtime.bus import EventBus
from opsvisor.runtime.daemon_log import DaemonLog
from opsvisor.runtime.engine import Engine
from opsvisor.runtime.logs.syslog import Syslog
from opsvisor.runtime.marks import Marks
from opsvisor.runtime.notify import Notifier, Reporter, without_manager
from opsvisor.runtime.observer import Observer
from opsvisor.runtime.post_mortem import PostMortems
from opsvisor.telemetry.audit_trail import AuditTrail, first_line
from opsvisor.telemetry.journal import Journal
from opsvisor.telemetry.metrics import Metrics
from opsvisor.telemetry.revision import read_revision


class _Edge(HandedOver, Protocol):
    """An interface of the daemon besides its own API."""

    def routes(self) -> Sequence[web.AbstractRouteDef]: ...

    def open(self) -> None: ...

    def end_streams(self) -> None: ...

    def close(self) -> None: ...


_DAEMON_RING_SIZE = 256 * 1024


class Parts:
    """Every object of one life. Built, they do nothing until they are told to.

    `passed` and `listeners` are as in `Servers`.
    """

    def __init__(
        self,
        loaded: Loaded,
        load: Callable[[DaemonSettings | None], Loaded],
        *,
        listeners: Mapping[str, socket.socket],
        event_serials: Serials,
        notifier: Notifier,
        passed: PassedSockets,
        footing: Footing,
        invocation: Invocation,
    ) -> None:
        self._loaded = loaded
        self._load = load
        self._listeners = listeners
        self._event_serials = event_serials
        self._notifier = notifier
        self._passed = passed
        self._footing = footing
        self._invocation = invocation
        self._has_warned_of_descriptors = False
        self.upgraded: Upgraded | None = None  # the latest one, if this life began with it

    def build(self, past: HandOver | None) -> None:
        """Make them all. `past` is what another process knew that became this one."""
        asyncio.get_running_loop().set_exception_handler(self._loop_error)
        self._started = clock.now() if past is None else past.started
        self._build_log()
        self._build_engine(past)
        self._build_telemetry()
        self._build_audit_log()
        self._build_control(past)
        self._build_edges()

    def _build_audit_log(self) -> None:
        """A file of its own for who asked for what, or else lines of the daemon's log.

        Not of Supervisor's activity log: whoever reads that knows its lines, and these aren't
        among them. There they are events and a metric until `audit_log` is set.
        """
        settings = self._loaded.settings
        spec = settings.audit_log
        self.audit_log: DaemonLog | None = None
        if spec.path is None and settings.dialect is Dialect.SUPERVISOR:
            return
        if spec.path is not None:
            self.audit_log = DaemonLog(
                spec,
                echo=False,
                ring_size=0,
                loop=asyncio.get_running_loop(),
                on_problem=self._audit_log_problem,
            )
        self.bus.listen(AuditTrail(self._write_audit).on_event, to=(ControlAction,))

    def begin_audit(self) -> None:
        """Begin an audit log of its own: that it can't be written is known before it is needed."""
        if self.audit_log is not None:
            self._write_audit(first_line(clock.now().wall, name_of(os.geteuid())), True)

    def _write_audit(self, line: str, is_good: bool) -> None:  # noqa: FBT001 - as it is called
        """Write it where it belongs; into the daemon's log as well while that can't be."""
        if self.audit_log is not None:
            self.audit_log.find_again()  # who may remove it may not thereby go unseen
            self.audit_log.write(line)
            if not self.audit_log.capture.problem:
                return
        level = LogLevel.INFO if is_good else LogLevel.WARN
        self.journal.log(level, f"control action: {line}")

    def _audit_log_problem(self, problem: str) -> None:
        self.metrics.audit_log_written(ok=not problem)
        if problem:
            text = f"the audit log is not written, and what belongs there follows here: {problem}"
            self.journal.log(LogLevel.ERROR, text)
        else:
            self.journal.log(LogLevel.INFO, "the audit log is written again")

    def _build_log(self) -> None:
        settings = self._loaded.settings
        # Rules of whoever sorts the system's log go by this name.
        is_supervisor = settings.dialect is Dialect.SUPERVISOR
        self._syslog = Syslog(ident="supervisord" if is_supervisor else "opsvisord")
        self.log = DaemonLog(
            settings.log,
            echo=settings.echo_log,
            ring_size=_DAEMON_RING_SIZE,
            loop=asyncio.get_running_loop(),
            syslog=self._syslog,
            stand_in="/dev/stderr",
        )
        self.journal = Journal(self.log.write, level=settings.log_level, spec_of=self._spec_of)
        self.announcer = Announcer(self._loaded, self.journal)
        self.auto_logs = AutoLogs(
            settings, warn=lambda problem: self.journal.log(LogLevel.WARN, problem)
        )

    def _build_engine(self, past: HandOver | None) -> None:
        settings = self._loaded.settings
        self.marks = Marks(self._footing.seed if past is None else past.marks)
        self.survival = Survival(self._footing, on_crash=settings.on_crash, log=self.journal.log)
        self.supervisor = Supervisor(jitter=random.random)
        self.bus = EventBus(first_number=int(clock.now().wall * 1000))
        self.measuring = Measuring(
            self._loaded.settings,
            roots=lambda: self.engine.live(),  # noqa: PLW0108 - which needs this one first
            pipes=lambda: self.engine.output_pipes(),  # noqa: PLW0108 - likewise
            log=self.journal.log,
            on_error=lambda error: self.internal_error("metrics", error),
        )
        self._sampler = self.measuring.sampler
        self.engine = Engine(
            self.supervisor,
            self.bus,
            loop=asyncio.get_running_loop(),
            environment=without_manager(os.environ),
            ring_size=self._loaded.settings.ring_size,
            on_shutdown_complete=lambda status: self.ending.complete(status),  # noqa: PLW0108 - likewise
            syslog=self._syslog,
            oom=self.measuring.oom,
            limits=self.measuring.limits,
            marks=self.marks,
            remember=self.survival.commit,
            foretold=self.survival.foretold,
        )
        self._sampler.on_sweep(lambda _sweep: self.survival.swept())

    def _build_telemetry(self) -> None:
        """What looks on. The order of those who hear of events is that of lines in the log."""
        self.metrics = Metrics(
            views=self.engine.each_view,
            log_stats=lambda process_id: self.engine.streams(process_id).stats(),
            sampler=self._sampler,
            now=clock.now,
            version=__version__,
            revision=read_revision(),
            settings=self._loaded.settings.metrics,
            subscriptions=lambda: self.bus.subscriptions,
            proportional_memory=self.measuring.proportional.of,
            on_error=self.internal_error,
            started_at=self._started.wall,
        )
        self.reporter = Reporter(
            self._notifier,
            loop=asyncio.get_running_loop(),
            states=self.supervisor.public_states,
        )
        self._post_mortems = PostMortems(
            self.engine.streams,
            self._loaded.settings.history_size,
            on_kept=self.survival.run_kept,
        )
        self.ending = Ending(
            self._loaded.settings,
            self.supervisor,
            self.engine,
            survival=self.survival,
            reporter=self.reporter,
            announcer=self.announcer,
            log=self.journal.log,
        )
        self.bus.report_to(
            on_listener_error=lambda error: self.internal_error("listener", error),
            on_drop=self.metrics.events_dropped,
        )
        self.bus.listen(self.metrics.on_event)
        self.bus.listen(self.journal.on_event, afterwards=self.journal.flush)
        self.bus.listen(self._post_mortems.on_event)
        self.bus.listen(self._make_room, to=(PlanApplied,))
        self.bus.listen(self.ending.on_event, to=(SupervisorStateChanged,))
        self.bus.listen(self.auto_logs.on_event, to=(ProcessAdded,))
        if self._notifier.is_heard:
            self.bus.listen(self.reporter.on_event)

    def _build_control(self, past: HandOver | None) -> None:
        self._actions = Actions(self.engine, self.bus, is_stopping=self.ending.has_begun)
        self.configuration = Configuration(
            self.engine,
            self.supervisor,
            loaded=self._loaded,
            load=self._load,
            on_load=self._on_load,
        )
        self._on_load(self.configuration.last_load)
        self.servers = Servers(
            self._loaded.settings,
            passed=self._passed,
            listeners=self._listeners,
            metrics=self.metrics,
            survival=self.survival,
            announcer=self.announcer,
            log=self.journal.log,
            internal_error=self.internal_error,
        )
        self._reload = Reload(
            self.configuration,
            self.ending,
            servers=lambda: self.servers.all,
            event_serials=self._event_serials,
            log=self.journal.log,
        )
        self.upgrades = Upgrades(self._ground(), count=0 if past is None else past.upgrade.count)
        self.signals = OwnSignals(
            self._loaded.settings,
            ending=self.ending,
            reload=self._reload,
            upgrades=self.upgrades,
            engine=self.engine,
            daemon_logs=[self.log, *([self.audit_log] if self.audit_log else [])],
            journal=self.journal,
            announcer=self.announcer,
        )
        self._control = Control(
            version=__version__,
            started=self._started,
            supervisor=self.supervisor,
            engine=self.engine,
            bus=self.bus,
            actions=self._actions,
            configuration=self.configuration,
            post_mortems=self._post_mortems,
            sampler=self._sampler,
            daemon_log=self.log,
            audit=Audit(self.bus.publish, self.metrics.control_action),
            shut_down=self.ending.shut_down,
            reload=self._reload.begin,
            upgrade=self.upgrades.begin,
            upgraded=lambda: self.upgraded,
        )

    def _ground(self) -> Ground:
        return Ground(
            invocation=self._invocation,
            passed=self._passed,
            watch=self.engine.watch,
            log=self.journal.log,
            count=self.metrics.upgrade_asked_for,
            why_not_now=self.ending.why_no_upgrade,
            servers=lambda: self.servers.all,
            end_other_streams=self._end_other_streams,
            rest=self._rest,
            flush=self._flush,
            hand_over=self._hand_over,
            hold_signals=lambda: self.signals.hold(),  # noqa: PLW0108 - which need these first
            release_signals=lambda: self.signals.listen(),  # noqa: PLW0108 - likewise
        )

    def _build_edges(self) -> None:
        self.other_edges = self._build_other_edges()
        routes = [route for edge in self.other_edges for route in edge.routes()]
        self.servers.build(self._control, routes)

    def _build_other_edges(self) -> "list[_Edge]":
        """Interfaces besides our own API. Those of Supervisor are loaded only where wanted."""
        if not self._loaded.settings.supervisor_interfaces:
            return []
        from opsvisor.compat.supervisor.edge import SupervisorEdge  # noqa: PLC0415 - see above

        edge = SupervisorEdge(
            self._control,
            self.journal.log,
            self._event_serials,
            count_dropped=self.metrics.events_dropped,
            streaming=self.metrics.stream_active,
        )
        return [edge]

    def engine_observer(self) -> Observer:
        """Who is told how the engine works."""
        orphans = Orphans(self.engine, self._sampler, self.metrics, self.journal.log)
        return Observer(
            spawn_took=self.metrics.observe_spawn,
            reap_took=self.metrics.observe_reap,
            loop_lagged=self.metrics.observe_loop_lag,
            run_began=self._sampler.run_began,
            run_adopted=self._sampler.run_adopted,
            run_ended=self._sampler.run_ended,
            orphan_reaped=orphans.reaped,
            forgotten=self._sampler.forget,
            internal_error=self.internal_error,
            log_problem=self._log_problem,
            log_unheard=self._log_unheard,
            socket_told=lambda line: self.journal.log(LogLevel.INFO, line),
            socket_problem=lambda problem: self.journal.log(LogLevel.ERROR, problem),
        )

    @property
    def whole(self) -> Whole:
        """All that has something to hand over."""
        return Whole(
            started=self._started,
            directory=self._invocation.directory,
            runtime=self._invocation.runtime,
            supervisor=self.supervisor,
            engine=self.engine,
            bus=self.bus,
            metrics=self.metrics,
            sampler=self._sampler,
            post_mortems=self._post_mortems,
            log=self.log,
            survival=self.survival,
            event_serials=self._event_serials,
            servers=self.servers.all,
            edges=self.other_edges,
            history_size=self._loaded.settings.history_size,
        )

    # -- for an upgrade ----------------------------------------------------------------------

    def _end_other_streams(self) -> None:
        for edge in self.other_edges:
            edge.end_streams()

    def _hand_over(self, upgrade: UpgradeMemento) -> HandOver:
        return self.whole.hand_over(upgrade)

    async def _rest(self) -> None:
        await self.engine.rest()
        await self.survival.rest()

    def _flush(self) -> None:
        """What has to be right before the exec, with no turn of the loop in between."""
        self.engine.settle()  # how somebody ended is known to nobody else
        self.engine.end_fork_server()
        self.engine.flush_logs()
        self.log.capture.flush()
        if self.audit_log is not None:
            self.audit_log.capture.flush()

    # -- what happens ------------------------------------------------------------------------

    def _make_room(self, event: Event) -> None:
        """Have descriptors for all that a new plan may run, before any of it starts."""
        if not isinstance(event, PlanApplied):
            return
        plan = self.supervisor.plan
        if raised := raise_descriptors(plan, connections_wanted(self._loaded.settings)):
            self.journal.log(LogLevel.INFO, raised)
        for server in self.servers.all:
            server.leave_descriptors(connections_left(plan, self._loaded.settings))
        warning = too_few_descriptors(plan)
        if warning and not self._has_warned_of_descriptors:
            self._has_warned_of_descriptors = True  # once, not with each group that is added
            self.journal.log(LogLevel.WARN, warning)

    def _on_load(self, report: LoadReport) -> None:
        self.metrics.config_loaded(ok=report.ok, at=report.at)
        for problem in report.problems:
            self.journal.log(LogLevel.ERROR, str(problem))
        if not report.ok:
            self.journal.log(
                LogLevel.ERROR, "the configuration can't be used; everything goes on as it was"
            )

    def _log_problem(self, process_id: ProcessId, stream: str, problem: str) -> None:
        level = LogLevel.WARN if problem else LogLevel.INFO
        text = problem or "no problem any more"
        self.journal.log(level, f"log of {process_id} ({stream}): {text}")

    def _log_unheard(self, process_id: ProcessId, stream: str, pipes: int) -> None:
        self.journal.log(
            LogLevel.WARN,
            f"log of {process_id} ({stream}): more than {pipes} earlier runs left somebody behind;"
            " the oldest is read no more, and waits when its pipe is full",
        )

    def _spec_of(self, process_id: ProcessId) -> ProcessSpec | None:
        known = process_id in self.supervisor
        return self.supervisor.spec_of(process_id) if known else None

    def _loop_error(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What nobody caught in a callback or a task; asyncio would print it to a lost stderr."""
        error = context.get("exception") or RuntimeError(context["message"])
        self.internal_error("loop", error)

    def internal_error(self, component: str, error: Exception) -> None:
        """A bug of ours: counted, and written down with its traceback."""
        self.metrics.internal_error(component)
        trace = "".join(traceback.format_exception(error))
        self.journal.log(LogLevel.CRITICAL, f"internal error in {component}: {trace}")
