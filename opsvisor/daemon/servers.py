"""The servers of one life: built, listening, serving and closed together."""

import errno
import socket
from collections.abc import Callable, Mapping, Sequence

from aiohttp import web

from opsvisor.api.app import create_app
from opsvisor.api.context import HttpObserver
from opsvisor.api.crowd import Cut
from opsvisor.api.passed import PassedSockets
from opsvisor.api.server import BindError, HttpServer, fail_if_taken, listener_of
from opsvisor.api.tls import Certificates, TlsError
from opsvisor.api.turnstile import Turnstile
from opsvisor.api.watch import Watchers
from opsvisor.config.certificates import doubts
from opsvisor.config.settings import DaemonSettings, LogLevel, TcpServer, TlsSpec, UnixServer
from opsvisor.control.control import Control
from opsvisor.daemon import kept_listeners
from opsvisor.daemon.announcer import Announcer
from opsvisor.daemon.door import Door
from opsvisor.daemon.survival import Survival
from opsvisor.runtime import clock
from opsvisor.telemetry.metrics import Metrics


class Servers:
    """One for each listener of the configuration; none before they are built.

    `passed` are sockets of a service manager, and `listeners` those that listen already, by name.
    `internal_error` is told of bugs that requests meet.
    """

    def __init__(
        self,
        settings: DaemonSettings,
        *,
        passed: PassedSockets,
        listeners: Mapping[str, socket.socket],
        metrics: Metrics,
        survival: Survival,
        announcer: Announcer,
        log: Callable[[LogLevel, str], None],
        internal_error: Callable[[str, Exception], None],
    ) -> None:
        self._settings = settings
        self._passed = passed
        self._listeners = listeners
        self._metrics = metrics
        self._survival = survival
        self._announcer = announcer
        self._log = log
        self._internal_error = internal_error
        self._turnstile = Turnstile()
        self.all: list[HttpServer] = []

    def build(self, control: Control, more_routes: Sequence[web.AbstractRouteDef]) -> None:
        """Make them. They listen nowhere yet, but for what listens already."""
        watchers = Watchers(control)
        self.all = [
            self._build(one, control, watchers, more_routes) for one in self._settings.listeners
        ]

    def fail_if_taken(self) -> None:
        """Raise BindError if somebody else listens where we are to."""
        for server in self.all:
            self._fail_if_taken(server)

    def listen(self) -> None:
        """Take every address, so that nobody else can; answers come when there is an engine."""
        taken: list[HttpServer] = []
        try:
            for server in self.all:
                self._listen_at(server)
                taken.append(server)
                self._announcer.tell_server(server)
            # Not before: who can't begin with these begins with those from before.
            for line in self._passed.close_unused(server.settings for server in self.all):
                self._log(LogLevel.WARN, line)
            if self._survival.keeper is not None:
                kept_listeners.keep(self.all, self._survival.keeper)
        except BindError as error:
            self.all = taken  # only these are ours to close
            # After a reload nobody sees standard error: the log must say why we are gone.
            self._log(LogLevel.CRITICAL, str(error))
            raise

    async def serve(self, clients: Mapping[str, Sequence[socket.socket]]) -> None:
        """Answer, and go on with these connections, by URL.

        Not before there is an engine: a request may be one to it.
        """
        for server in self.all:
            await server.serve(clients.get(server.url, ()))

    async def close(self, *, leave_files: bool) -> None:
        """Answer nobody any more. `leave_files`: those of unix sockets stay where they are."""
        for server in self.all:
            await server.close(leave_file=leave_files)

    def _build(
        self,
        server: UnixServer | TcpServer,
        control: Control,
        watchers: Watchers,
        more_routes: Sequence[web.AbstractRouteDef],
    ) -> HttpServer:
        passed = self._passed.copy_for(server)
        limits = self._settings.limits
        counts = self._metrics.listener(server.name, cuts=[cut.value for cut in Cut])
        door = Door(server.name, counts, self._log)
        shown = None
        if isinstance(server, TcpServer) and server.tls is not None:
            shown = self._certificates(server.name, server.tls, door)
            counts.speaks_tls(lambda: shown.current().not_after)
        app = create_app(
            control,
            server,
            metrics=self._metrics,
            observer=self._observer(door),
            more_routes=more_routes,
            limits=limits,
            turnstile=self._turnstile,
            watchers=watchers,
            certificates=shown,
        )
        listener = passed or self._listeners.get(listener_of(server))
        return HttpServer(
            server,
            app,
            listener,
            is_passed=passed is not None,
            limits=limits,
            watcher=door,
            certificates=shown,
        )

    def _certificates(self, name: str, spec: TlsSpec, door: Door) -> Certificates:
        """What the server of this name shows. TlsError if it can't."""
        try:
            shown = Certificates(spec, door)
        except TlsError as error:  # whom root gave way to may not be able to read the key
            self._log(LogLevel.CRITICAL, f"listener '{name}' {error}")
            raise
        if odd := doubts(shown.current(), clock.now().wall):
            self._log(LogLevel.WARN, f"the certificate of listener '{name}' {odd}")
        return shown

    def _observer(self, door: Door) -> HttpObserver:
        return HttpObserver(
            request_done=lambda handler, method, code, seconds: self._metrics.http_request(
                handler, method, code=code, seconds=seconds
            ),
            in_flight=self._metrics.request_in_flight,
            streaming=self._metrics.stream_active,
            internal_error=self._internal_error,
            warn=lambda text: self._log(LogLevel.WARN, text),
            login_failed=door.login_failed,
        )

    def _fail_if_taken(self, server: HttpServer) -> None:
        try:
            fail_if_taken(server.settings)
        except BindError as error:
            self._log(LogLevel.CRITICAL, str(error))
            raise

    def _listen_at(self, server: HttpServer) -> None:
        stale = self._announcer.tell_stale_socket
        try:
            server.listen(on_stale=stale)
        except BindError as error:
            if error.errno != errno.EADDRINUSE or not self._survival.end_lost_keepers():
                raise
            server.listen(on_stale=stale)
