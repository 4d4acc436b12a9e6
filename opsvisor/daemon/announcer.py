"""What the daemon says about itself on its way up, in the words and the order of its dialect."""

import os
import sys
from collections.abc import Iterable

from opsvisor.api.server import HttpServer
from opsvisor.config.problems import Problem
from opsvisor.config.settings import Dialect, Loaded, LogLevel, TcpServer
from opsvisor.telemetry.journal import Journal


class Announcer:
    """Writes to the journal; with a file of Supervisor's, what people grep for there."""

    def __init__(self, loaded: Loaded, journal: Journal) -> None:
        self._loaded = loaded
        self._journal = journal
        self._is_supervisors = loaded.settings.dialect is Dialect.SUPERVISOR

    @property
    def name(self) -> str:
        """What the daemon is called in lines that tools know."""
        return "supervisord" if self._is_supervisors else "opsvisord"

    def tell_what_was_found(self, prepared: Iterable[str]) -> None:
        """What the configuration and the host had to say: the gravest first, as Supervisor does.

        `prepared` is what was done to the process.
        """
        if self._is_supervisors and os.geteuid() == 0 and not self._loaded.settings.user:
            self._journal.log(
                LogLevel.CRITICAL,
                "Supervisor is running as root.  Privileges were not dropped because no user is"
                " specified in the config file.  If you intend to run as root, you can set"
                " user=root in the config file to avoid this message.",
            )
        for warning in self._loaded.warnings:
            self._journal.log(LogLevel.WARN, self._worded(warning))
        for file in self._loaded.files[1:]:
            self._journal.log(LogLevel.INFO, f'Included extra file "{file}" during parsing')
        for line in prepared:
            self._journal.log(LogLevel.INFO, line)

    def _worded(self, warning: Problem) -> str:
        """Supervisor's warnings begin with what is the matter; ours with the place."""
        if not self._is_supervisors:
            return str(warning)
        text = f"{warning.what} ({warning.where})"
        return f"{text}\n    hint: {warning.hint}" if warning.hint else text

    def tell_server(self, server: HttpServer) -> None:
        """What a server that listens is for, who may come in, and where it is to be found."""
        settings = self._loaded.settings
        is_whole = server.settings in settings.servers
        if settings.supervisor_interfaces and is_whole:
            self._journal.log(LogLevel.INFO, "RPC interface 'supervisor' initialized")
        is_tcp = isinstance(server.settings, TcpServer)
        if server.settings.is_open and (self._is_supervisors or is_tcp):
            self._journal.log(
                LogLevel.CRITICAL if self._is_supervisors and is_whole else LogLevel.INFO,
                f"Server '{server.settings.name}' running without any HTTP authentication"
                " checking",
            )
        where = f"API at {server.url}"
        if not is_whole:
            where = f"metrics at {server.url}/metrics"
        elif is_tcp:
            where = f"API at {server.url}/api/v1, metrics at {server.url}/metrics"
        if server.is_passed:
            where += ", on a socket that was passed to the daemon"
        self._journal.log(LogLevel.INFO, where)

    def tell_stale_socket(self, path: str) -> None:
        """A daemon that was killed has left its socket, which is taken over."""
        text = f"Unlinking stale socket {path}"
        self._journal.log(LogLevel.INFO, text)
        if self._is_supervisors:  # there it goes to standard error, past the log
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
