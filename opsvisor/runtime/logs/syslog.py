"""The system's log: one datagram per line, in the shape that syslog(3) gives it.

Not by syslog(3) itself, which waits for as long as the other side does not read: here nothing may
wait for a log. The socket never blocks. A line that finds it full is kept, up to a bound, until
there is room again.
"""

import asyncio
import socket
import time
from collections import deque
from collections.abc import Callable

from opsvisor.core.struct import Struct
from opsvisor.runtime.logs.targets import Tally, Target

PENDING_LIMIT = 256 * 1024  # bytes kept while the other side is slow
LINE_LIMIT = 8 * 1024  # rsyslog and journald cut there or later; a longer line becomes several
_BATCH = 500  # messages sent in one turn of the loop, some 2 ms
_PRIORITY = 14  # LOG_USER | LOG_INFO


class Syslog(Struct, frozen=True, kw_only=True):
    """Where lines go, and the name they go under."""

    path: str = "/dev/log"
    ident: str = "opsvisord"


class SyslogTarget(Target):
    """Sends each line, without waiting for it to be read.

    A line is sent when it is complete, behind the `prefix`. What doesn't fit in PENDING_LIMIT is
    dropped and counted.
    """

    def __init__(
        self,
        syslog: Syslog,
        tally: Tally,
        loop: asyncio.AbstractEventLoop,
        wall: Callable[[], float],
        *,
        prefix: str = "",
    ) -> None:
        super().__init__(syslog.path, tally, loop.time)
        self._loop = loop
        self._wall = wall
        self._ident = syslog.ident.encode("utf-8", "replace")
        self._prefix = f"{prefix} ".encode("utf-8", "replace") if prefix else b""
        self._socket: socket.socket | None = None
        self._line = b""  # that has no end yet
        self._pending: deque[bytes] = deque()
        self._pending_size = 0
        self._head = b""  # of all messages of one second
        self._head_is_of = -1

    @property
    def size(self) -> int:
        """Always 0: nothing is kept here."""
        return 0

    def open(self) -> bool:
        """Connect, if that isn't done; whether it is now."""
        if self._socket is not None:
            return True
        connection = None
        try:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            connection.setblocking(False)
            connection.connect(self.path)
        except OSError as error:
            if connection is not None:
                connection.close()
            self._fail("reach syslog at", error)
            return False
        self._socket = connection
        self._failure = ""
        return True

    def write(self, chunk: bytes) -> None:
        """Send the lines that end in this chunk."""
        *lines, self._line = (self._line + chunk if self._line else chunk).split(b"\n")
        for line in lines:
            self._send_line(line)
        while len(self._line) > LINE_LIMIT:
            self._send(self._line[:LINE_LIMIT])
            self._line = self._line[LINE_LIMIT:]

    def _send_line(self, line: bytes) -> None:
        for start in range(0, max(1, len(line)), LINE_LIMIT):
            self._send(line[start : start + LINE_LIMIT])

    def _send(self, line: bytes) -> None:
        if self._socket is None and not (self._may_try() and self.open()):
            self._tally.dropped_lines += 1
            return
        message = self._message(line)
        if self._pending:
            self._keep(message)
        # Once more by name: the other side may have been started anew.
        elif not (self._pass_on(message) or (self.open() and self._pass_on(message))):
            self._tally.dropped_lines += 1

    def _pass_on(self, message: bytes) -> bool:
        """Send it, or keep it for later; False after an error, and the socket is closed."""
        assert self._socket is not None
        try:
            self._socket.send(message)
        except BlockingIOError:
            self._keep(message)
        except OSError as error:
            self._shut()
            self._fail("reach syslog at", error)
            return False
        return True

    def _message(self, line: bytes) -> bytes:
        now = int(self._wall())
        if now != self._head_is_of:
            self._head_is_of = now
            stamp = time.strftime("%b %e %H:%M:%S", time.localtime(now)).encode()
            self._head = b"<%d>%b %b: %b" % (_PRIORITY, stamp, self._ident, self._prefix)
        return self._head + line

    def _keep(self, message: bytes) -> None:
        assert self._socket is not None
        if self._pending_size + len(message) > PENDING_LIMIT:
            self._failure = f"syslog at {self.path} is too slow: lines are dropped"
            self._tally.dropped_lines += 1
            return
        if not self._pending:
            self._loop.add_writer(self._socket.fileno(), self._flush)
        self._pending.append(message)
        self._pending_size += len(message)

    def _flush(self) -> None:
        """Send what is pending, as far as it goes, but not for ever."""
        assert self._socket is not None
        try:
            for _ in range(min(_BATCH, len(self._pending))):
                self._socket.send(self._pending[0])
                self._pending_size -= len(self._pending.popleft())
        except BlockingIOError:
            return
        except OSError as error:
            self._shut()
            self._fail("reach syslog at", error)
            self._lose_pending()
            return
        if not self._pending:
            self._failure = ""
            self._loop.remove_writer(self._socket.fileno())

    def _lose_pending(self) -> None:
        self._tally.dropped_lines += len(self._pending)
        self._pending.clear()
        self._pending_size = 0

    def rest(self) -> None:
        """The run is over: its last words are a line, with or without an end."""
        if self._line:
            self._send(self._line)
            self._line = b""
        if not self._pending:
            self._shut()

    def clear(self) -> None:
        """What was sent can't be taken back."""

    def reopen(self) -> None:
        """Nothing was renamed: where the system's log is, it finds by itself."""

    def close(self) -> None:
        """Send what can be sent right now, count the rest as dropped, and disconnect."""
        self.rest()
        while (before := len(self._pending)) and self._socket is not None:
            self._flush()
            if len(self._pending) == before:
                break
        self._lose_pending()
        self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()
            self._socket = None
