"""Beginning anew with the files as they are now, which ends one life of the daemon."""

import os
import socket
from collections.abc import Callable, Sequence

from opsvisor.api.server import HttpServer
from opsvisor.config.addresses import address_of
from opsvisor.config.problems import ConfigError, OpsvisorError, Place, Problem
from opsvisor.config.settings import DaemonSettings, Loaded, LogLevel
from opsvisor.control.configuration import Configuration
from opsvisor.daemon.ending import Ending
from opsvisor.daemon.footing import fail_without_footing
from opsvisor.daemon.host import HostError, raise_limits, why_not
from opsvisor.daemon.succession import Serials, Successor, listen_ahead


class Reload:
    """Reads the files, tries whether the next life can begin, and only then ends this one.

    `servers` are those that listen now.
    """

    def __init__(
        self,
        configuration: Configuration,
        ending: Ending,
        *,
        servers: Callable[[], Sequence[HttpServer]],
        event_serials: Serials,
        log: Callable[[LogLevel, str], None],
    ) -> None:
        self._configuration = configuration
        self._ending = ending
        self._servers = servers
        self._event_serials = event_serials
        self._log = log

    async def begin(self, reason: str) -> None:
        """Begin anew with the files as they are now. ConfigError, and nothing done, if bad."""
        ahead: dict[str, socket.socket] = {}

        def try_out(coming: Loaded) -> None:
            if self._ending.has_begun():  # it ended while the files were read
                return
            try:
                ahead.update(self._prepare(coming))
            except OpsvisorError as error:
                raise ConfigError([Problem(Place(coming.files[0]), str(error))]) from error

        await self._configuration.reread(try_out, to_begin_anew=True)
        if self._ending.has_begun():
            return
        last = self._configuration.in_force
        successor = Successor(self._configuration.available, ahead, self._event_serials, last=last)
        self._ending.begin_anew(successor, reason)

    def _prepare(self, coming: Loaded) -> dict[str, socket.socket]:
        """Try what a next life needs while this one can still go on; its new listeners by name.

        HostError or BindError if it could not begin. Addresses we listen on now are ours to take
        again.
        """
        problem = why_not(coming.settings) or _why_not_this_user(coming.settings)
        if problem:
            raise HostError(problem)
        fail_without_footing(coming, self._configuration.settings.state_dir)
        for line in raise_limits(coming.settings, coming.plan):
            self._log(LogLevel.INFO, line)
        ours = [address_of(server.settings) for server in self._servers()]
        return listen_ahead(coming.settings.listeners, ours)


def _why_not_this_user(settings: DaemonSettings) -> str:
    """Once we are another user there is no way back, whatever that user may not do."""
    user = settings.user
    if user is None or user.uid == os.geteuid():
        return ""
    return (
        f"a reload does not change the user of opsvisord, to {user.name}\n"
        "    hint: opsvisorctl shutdown, and start it again"
    )
