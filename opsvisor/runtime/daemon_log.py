"""The daemon's own log: a file, memory for followers, and a copy on standard output."""

import asyncio
import os
from collections.abc import Callable

from opsvisor.core.spec import LogSpec
from opsvisor.runtime.logs.audience import Audience
from opsvisor.runtime.logs.capture import StreamCapture, Surroundings
from opsvisor.runtime.logs.stream import Stream
from opsvisor.runtime.logs.syslog import Syslog
from opsvisor.runtime.logs.times import NOWHERE

_STDOUT = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


class _Audience(Audience):
    def __init__(self, on_problem: Callable[[str], None]) -> None:
        self._on_problem = on_problem

    def problem(self, _stream: Stream, problem: str) -> None:
        self._on_problem(problem)


class DaemonLog:
    """Lines the daemon says about itself. Rotated and degraded like a program's log.

    `echo` also writes them to standard output, as a foreground process does: like a device, so
    that a terminal that is held or a log driver that does not read can't hold up supervision.
    A log that goes there anyway isn't doubled. `stand_in` is a device that has the lines while the
    file can't have them, where there is no echo. `on_problem` is told why the file can't be
    written, and of "" when it can be again.
    """

    def __init__(
        self,
        spec: LogSpec,
        *,
        echo: bool,
        ring_size: int,
        loop: asyncio.AbstractEventLoop,
        syslog: Syslog | None = None,
        stand_in: str | None = None,
        on_problem: Callable[[str], None] = lambda _problem: None,
    ) -> None:
        self.path = spec.path
        self.capture = StreamCapture(
            spec,
            Surroundings(ring_size=ring_size, loop=loop, syslog=syslog or Syslog()),
            audience=_Audience(on_problem),
        )
        self._echo: StreamCapture | None = None
        self._stand_in: StreamCapture | None = None
        self._stands_in = False
        if echo and spec.path not in _STDOUT:  # once is enough; Supervisor writes it twice
            self._echo = _device("/dev/stdout", loop)
        elif stand_in is not None:
            self._stand_in = _device(stand_in, loop)

    def write(self, line: str) -> None:
        """Append one line, given without its newline. Never raises, never waits."""
        text = f"{line}\n".encode("utf-8", "replace")
        self.capture.write(text)
        if self._echo is not None:
            self._echo.write(text)
        elif self._stand_in is not None:
            self._write_instead(text, self._stand_in)

    def _write_instead(self, text: bytes, stand_in: StreamCapture) -> None:
        why = self.capture.failure
        if why:
            if not self._stands_in:
                stand_in.write(f"what belongs into the log follows here: {why}\n".encode())
            stand_in.write(text)
        self._stands_in = bool(why)

    def find_again(self) -> None:
        """Have the file opened by its name, if that has come to be another file, or none.

        Else all that is written goes into one that nobody finds, and nothing seems to be wrong.
        """
        if self.path is None or (open_now := self.capture.place.inode) == NOWHERE.inode:
            return
        try:
            named = os.stat(self.path).st_ino  # noqa: PTH116 - for each line, and a Path costs more
        except OSError:
            named = NOWHERE.inode
        if named != open_now:
            self.capture.reopen()

    def close(self) -> None:
        """Release the file."""
        self.capture.close()
        for one in (self._echo, self._stand_in):
            if one is not None:
                one.close()


def _device(path: str, loop: asyncio.AbstractEventLoop) -> StreamCapture:
    return StreamCapture(LogSpec(path=path, rotate_size=0), Surroundings(ring_size=0, loop=loop))
