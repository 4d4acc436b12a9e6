"""Logs that go to pipes, terminals and sockets: never rotated, and possibly slow."""

import asyncio
import os
import re
import select
import socket
import stat
from collections.abc import Callable
from pathlib import Path

from opsvisor.core.struct import Struct
from opsvisor.runtime.logs.lines import Gap
from opsvisor.runtime.logs.links import located, read_link
from opsvisor.runtime.logs.targets import Tally, Target, TargetMemento

PENDING_LIMIT = 1024 * 1024  # bytes kept for a reader that is slow or has not come yet

_STANDARD = {"stdin": 0, "stdout": 1, "stderr": 2}
_DESCRIPTOR = re.compile(r"/dev/(stdin|stdout|stderr)|/(?:dev|proc/self)/fd/(\d+)")
_LINKS_FOLLOWED = 8
_PIPE_BUF = select.PIPE_BUF
_NONBLOCKING = os.O_NONBLOCK | os.O_NOCTTY | os.O_APPEND


def is_device(path: str) -> bool:
    """Whether output to `path` is passed on rather than kept: not a file that could be rotated.

    One of our own descriptors counts even if it leads to a file: whoever started us opened it.
    """
    if own_descriptor(path) is not None:
        return True
    try:
        # Most are none, whichever links lead there: the careful walk is left to who opens it.
        if not _is_device_mode(os.stat(path).st_mode):  # noqa: PTH116 - a Path costs more
            return False
        with located(path) as spot:
            return _is_device_mode(spot.stat().st_mode)
    except (OSError, ValueError):  # also a link that must not be followed: opening it as a file
        return False  # says why


def _is_device_mode(mode: int) -> bool:
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))


def own_descriptor(path: str) -> int | None:
    """The N of /dev/fd/N and its other names, also behind a link such as access.log -> stdout."""
    for _ in range(_LINKS_FOLLOWED):
        match = _DESCRIPTOR.fullmatch(path)
        if match is not None:
            return _STANDARD[match[1]] if match[1] else int(match[2])
        try:
            # As a rule it is no link: then nobody needs to know whose it is.
            os.readlink(path)  # noqa: PTH115 - a Path costs more
            path = str(Path(path).parent / read_link(path))
        except (OSError, ValueError):
            return None
    return None


class Outlet(Struct, frozen=True):
    """An open device. `write` takes what fits right now and raises BlockingIOError if nothing."""

    fd: int
    write: Callable[[bytes | bytearray | memoryview], int]
    close: Callable[[], None]


def open_outlet(path: str) -> Outlet:
    """Open a device so that writing to it can't block. Raises OSError or ValueError."""
    number = own_descriptor(path)
    if number is not None:
        return _own_outlet(number)
    # A FIFO is opened for reading too: then it needs no reader to be opened, and keeps what is
    # written until one comes.
    with located(path) as spot:
        is_fifo = stat.S_ISFIFO(spot.stat().st_mode)
        return _outlet(spot.open(_NONBLOCKING | (os.O_RDWR if is_fifo else os.O_WRONLY)))


def _outlet(fd: int) -> Outlet:
    return Outlet(fd, lambda chunk: os.write(fd, chunk), lambda: os.close(fd))


def _own_outlet(number: int) -> Outlet:
    mode = os.fstat(number).st_mode
    if stat.S_ISSOCK(mode):  # sockets can't be opened by name
        connection = socket.socket(fileno=os.dup(number))
        return Outlet(
            connection.fileno(),
            lambda chunk: connection.send(chunk, socket.MSG_DONTWAIT),
            connection.close,
        )
    if stat.S_ISREG(mode):  # a second opening would have its own position and overwrite
        return _outlet(os.dup(number))
    try:
        # Not a duplicate: O_NONBLOCK would then hold for everybody who shares the terminal.
        return _outlet(os.open(f"/proc/self/fd/{number}", _NONBLOCKING | os.O_WRONLY))
    except (FileNotFoundError, PermissionError):
        # Containers: the pipe belongs to root, and we don't. Write through a duplicate, and look
        # first: a pipe that polls writable takes PIPE_BUF bytes without blocking.
        fd = os.dup(number)
        return Outlet(fd, lambda chunk: _write_if_ready(fd, chunk), lambda: os.close(fd))


def _write_if_ready(fd: int, chunk: bytes | bytearray | memoryview) -> int:
    poller = select.poll()
    poller.register(fd, select.POLLOUT)
    if not poller.poll(0):
        raise BlockingIOError
    return os.write(fd, memoryview(chunk)[:_PIPE_BUF])


class DeviceTarget(Target):
    """A FIFO, a terminal, /dev/stdout and the like.

    What it doesn't take at once is kept, up to PENDING_LIMIT bytes, and written when it can be.
    Beyond that whole lines are dropped and counted.
    """

    def __init__(self, path: str, tally: Tally, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(path, tally, loop.time)
        self._loop = loop
        self._outlet: Outlet | None = None
        self._pending = bytearray()
        self._sent_mid_line = False  # the device has the beginning of a line

    @property
    def size(self) -> int:
        """Always 0: nothing is kept here."""
        return 0

    def open(self) -> bool:
        """Open the device if it isn't; whether it is open now."""
        if self._outlet is not None:
            return True
        try:
            self._outlet = open_outlet(self.path)
        except (OSError, ValueError) as error:
            self._fail("open", error)
            return False
        self._failure = ""
        return True

    def write(self, chunk: bytes) -> None:
        """Write what the device takes, keep the rest."""
        if self._outlet is None and not (self._may_try() and self.open()):
            self._lose(chunk)
            return
        chunk = self._after_gap(chunk)
        if self._pending:
            self._keep(chunk)
            return
        taken = self._send(chunk)
        self._mid_line = self._sent_mid_line
        rest = chunk[taken:]
        if self._outlet is None:
            self._lose(rest)
        elif rest:
            self._keep(rest)
            self._flush_when_ready()

    def _send(self, chunk: bytes | bytearray) -> int:
        """How many bytes the device took. After an error it is closed."""
        assert self._outlet is not None
        taken = 0
        try:
            with memoryview(chunk) as view:
                while taken < len(chunk):
                    taken += self._outlet.write(view[taken:])
        except BlockingIOError:
            pass
        except OSError as error:
            self._fail("write", error)
            self._shut()
        if taken:
            self._sent_mid_line = not chunk.endswith(b"\n", 0, taken)
        return taken

    def _flush_when_ready(self) -> None:
        assert self._outlet is not None
        try:
            self._loop.add_writer(self._outlet.fd, self._flush)
        except OSError as error:  # a device that can't be waited for
            self._fail("wait for", error)
            self._shut()
            self._lose_pending()

    def _keep(self, chunk: bytes) -> None:
        """Add to what is pending, by whole lines once it gets tight."""
        room = PENDING_LIMIT - len(self._pending)
        if len(chunk) > room:
            cut = chunk.rfind(b"\n", 0, room) + 1
            chunk, lost = chunk[:cut], chunk[cut:]
        else:
            lost = b""
        if chunk:
            self._pending += chunk
            self._mid_line = not chunk.endswith(b"\n")
        if not lost:
            return
        line_start = self._pending.rfind(b"\n") + 1
        if self._mid_line and line_start:  # the line's beginning is still here: drop it as a whole
            lost = bytes(self._pending[line_start:]) + lost
            del self._pending[line_start:]
            self._mid_line = False
        self._lose(lost)

    def _flush(self) -> None:
        taken = self._send(self._pending)
        del self._pending[:taken]
        if self._outlet is None:
            self._lose_pending()
        elif not self._pending:
            self._loop.remove_writer(self._outlet.fd)

    def _lose_pending(self) -> None:
        lost = bytes(self._pending)
        self._pending.clear()
        self._mid_line = self._sent_mid_line
        self._gap = self._gap or Gap()
        self._tally.dropped_lines += self._gap.lose_earlier(lost, mid_line=self._mid_line)

    def recall(self, memento: TargetMemento) -> None:
        """Go on where another process was, which has kept nothing that was to be sent."""
        super().recall(memento)
        self._sent_mid_line = memento.mid_line

    def rest(self) -> None:
        """Stay open: closing a FIFO that nobody has read yet would throw its content away."""

    def clear(self) -> None:
        """What was passed on can't be taken back."""

    def close(self) -> None:
        """Write what the device takes right now, count the rest as dropped, and close it."""
        if self._outlet is not None and self._pending:
            del self._pending[: self._send(self._pending)]
        self._lose_pending()
        self._shut()

    def _shut(self) -> None:
        if self._outlet is not None:
            self._loop.remove_writer(self._outlet.fd)
            self._outlet.close()
            self._outlet = None
