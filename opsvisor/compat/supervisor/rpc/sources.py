"""Which logs there are for Supervisor's clients, and where each is read from."""

import asyncio
from pathlib import Path

from opsvisor.config.settings import Dialect
from opsvisor.control.control import Control
from opsvisor.core.struct import Struct
from opsvisor.core.view import ProcessView
from opsvisor.runtime.logs.capture import StreamCapture
from opsvisor.runtime.logs.stream import Stream


class Source(Struct, frozen=True):
    """A log. `path` None: it is kept in memory only."""

    capture: StreamCapture
    path: str | None


class NoSourceError(Exception):
    """There is no such log: it is not kept, or not there yet. `path` is where it would be."""

    def __init__(self, path: str | None) -> None:
        super().__init__(path)
        self.path = path


class Sources:
    """The logs of processes and of the daemon.

    In Supervisor's own files a log that is called NONE can't be read; what opsvisor keeps of it in
    memory is not shown, since clients take the refusal for an answer. Our own files have no such
    word: a log without a file is simply one in memory, and can be read as any other.
    """

    def __init__(self, control: Control) -> None:
        self._control = control

    async def of_process(self, view: ProcessView, stream: Stream) -> Source:
        """The log of a process. NoSourceError if there is none."""
        capture = self._control.engine.streams(view.id).capture(stream)
        log = view.spec.stdout if stream is Stream.STDOUT else view.spec.stderr
        if capture is None or log is None:  # merged into the other
            raise NoSourceError(None)
        return await self._existing(Source(capture, log.path))

    async def of_daemon(self) -> Source:
        """The daemon's own log. NoSourceError if there is none."""
        log = self._control.daemon_log
        return await self._existing(Source(log.capture, log.path))

    async def _existing(self, source: Source) -> Source:
        path = source.path
        if path is None:
            if self._control.configuration.settings.dialect is Dialect.SUPERVISOR:
                raise NoSourceError(None)
        elif not await asyncio.to_thread(_exists, path):
            raise NoSourceError(path)
        return source


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # no access to its directory, or no possible name
        return False
