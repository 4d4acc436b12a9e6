"""The daemon's side of its fork server: when there is one, and what it is told.

Theory of operation
-------------------
A fork of ours takes 2 ms, and a fork server 10 MiB of memory. So it is started when forks are
needed one after the other, as they are where hundreds of programs with a user of their own are
started, or crash all the time; and it ends a minute after the last. Until it says that it is ready
nobody waits for it: we fork ourselves, which does the same.

We also do where there can be none: on machines whose clone(2) we don't know, and in sandboxes that
do not let anybody fork for a parent. And if somebody has ended it just now.
"""

import asyncio
import contextlib
import errno
import marshal
import os
import signal
import socket
import struct
import subprocess
import time
from functools import partial

from opsvisor.core.outcome import Outcome, Usage
from opsvisor.core.spec import Pid
from opsvisor.runtime.forkserver import serve
from opsvisor.runtime.forkserver.birth import Birth, Failure, NotBornError, fork_here
from opsvisor.runtime.forkserver.serve import FORK, HEADER, Order
from opsvisor.runtime.reaper import Reaper
from opsvisor.runtime.standalone import command_of

Streams = tuple[int, int, int]

# clone(2) by machine and bytes of a pointer, where it takes its arguments in the usual order.
_CLONE = {("x86_64", 8): 56, ("aarch64", 8): 220, ("riscv64", 8): 220}
_REFUSED = (errno.ENOSYS, errno.EPERM, errno.EINVAL)
_ONE_AFTER_THE_OTHER = 1.0  # seconds between two
_IDLE_LIMIT = 60.0  # seconds
_TAKEN_WITHIN = 1.0  # seconds for an order
_TRIES = 3
_NEVER = float("-inf")


class ForkServer:
    """Makes processes by a fork server where there is one, else by a fork.

    Its end is collected by this reaper as that of no orphan.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, reaper: Reaper) -> None:
        self._loop = loop
        self._reaper = reaper
        self._connection: socket.socket | None = None
        self._pid: Pid | None = None
        self._is_ready = False
        self._is_kept = False
        self._failures = 0  # in a row, before it was ready
        self._is_impossible = _clone_number() is None
        self._last_need = _NEVER
        self._idle: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> Pid | None:
        """Which process it is, None without one."""
        return self._pid

    @property
    def is_ready(self) -> bool:
        """Whether there is one that waits for orders."""
        if not self._is_ready and self._connection is not None:
            with contextlib.suppress(BlockingIOError, ConnectionError):  # not yet, or no more
                self._is_ready = bool(self._connection.recv(1, socket.MSG_DONTWAIT))
        return self._is_ready

    def expect(self, *, for_good: bool = False) -> None:
        """A process is about to be made. Not while anything is handed on to children (marks.py).

        `for_good`: one is of use here however rarely that is.
        """
        now = time.monotonic()
        is_often = now - self._last_need < _ONE_AFTER_THE_OTHER
        self._last_need = now
        self._is_kept |= for_good
        if self._connection is None and (is_often or for_good) and not self._is_impossible:
            self._start()

    def begin(self, order: Order, streams: Streams) -> Birth:
        """Have a process of this order made. The streams stay open until that is finished.

        OSError if it can't be.
        """
        if self.is_ready:
            with contextlib.suppress(ConnectionError):  # somebody has ended it
                return self._order(order, streams)
        return fork_here(order, streams)

    def close(self) -> None:
        """End it, now. Another one is started if it is needed after all."""
        pid = self._pid
        self._end()
        if pid is not None:
            self._reaper.leave(pid)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                child = subprocess.Popen(
                    [*command_of(serve), str(_clone_number())],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=_environment(),
                    process_group=0,  # but our session: it is that of our children
                )
        except OSError:  # too many processes, no memory: we are not better off for telling that
            ours.close()
            return
        child.returncode = 0  # collected by the reaper
        self._connection, self._pid = ours, Pid(child.pid)
        with contextlib.suppress(OSError):  # out of descriptors: its end comes by SIGCHLD then
            self._reaper.watch(self._pid, self._ended)
        if not self._is_kept:
            self._idle = self._loop.call_later(_IDLE_LIMIT, self._rest)

    def _order(self, order: Order, streams: Streams) -> Birth:
        connection = self._connection
        assert connection is not None
        text = marshal.dumps(order)
        told, tell = socket.socketpair()
        try:
            connection.settimeout(_TAKEN_WITHIN)
            header = len(text).to_bytes(HEADER, "little")
            socket.send_fds(connection, [header], [*streams, tell.fileno()])
            connection.sendall(text)
        except OSError as error:  # it was stopped, or has ended: what it has is no whole order
            told.close()
            self._give_up(connection)
            raise ConnectionResetError(errno.ECONNRESET, str(error)) from error
        finally:
            tell.close()
        return Birth(
            told.detach(),
            give_up=partial(self._kill, connection),
            instead=partial(self._begin_instead, connection, order, streams),
        )

    def _begin_instead(
        self, connection: socket.socket, order: Order, streams: Streams, failure: Failure
    ) -> Birth | None:
        """Fork what the server at this connection could not, unless that was not to blame."""
        if isinstance(failure, NotBornError):
            if failure.step != FORK or failure.code not in _REFUSED:
                return None
            self._is_impossible = True
        self._give_up(connection)
        return fork_here(order, streams)

    def _rest(self) -> None:
        """Do without, if there was nothing to do for long enough."""
        left = self._last_need + _IDLE_LIMIT - time.monotonic()
        if self._is_kept:
            self._idle = None
        elif left > 0:
            self._idle = self._loop.call_later(left, self._rest)
        else:
            self._end()

    def _kill(self, connection: socket.socket) -> None:
        """End the server at this connection, if that is still the one that we have."""
        if self._connection is connection and self._pid is not None:
            os.kill(self._pid, signal.SIGKILL)

    def _give_up(self, connection: socket.socket) -> None:
        """Do without the server at this connection, likewise."""
        self._kill(connection)
        if self._connection is connection:
            self._end()

    def _ended(self, pid: Pid, _outcome: Outcome, _usage: Usage) -> None:
        if pid == self._pid:
            self._failures = 0 if self.is_ready else self._failures + 1
            self._is_impossible |= self._failures >= _TRIES  # it can't even begin
            self._end()

    def _end(self) -> None:
        """Part with it: that ends it, if it has not ended."""
        if self._idle is not None:
            self._idle.cancel()
        if self._connection is not None:
            self._connection.close()
        self._connection = self._pid = self._idle = None
        self._is_ready = False


def _environment() -> dict[str, str]:
    """What Python may need to begin. The rest may be secret, and each child has a copy."""
    return {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}


def _clone_number() -> int | None:
    """The number of clone(2) here, None if we don't know it."""
    return _CLONE.get((os.uname().machine, struct.calcsize("P")))
