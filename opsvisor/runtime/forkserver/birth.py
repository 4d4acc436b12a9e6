"""What becomes of a process that was ordered: its pid, and whether it has executed."""

import contextlib
import errno
import marshal
import os
import select
import signal
import socket
import time
import warnings
from collections.abc import Callable
from typing import NoReturn

from opsvisor.core.spec import Pid
from opsvisor.runtime.forkserver.serve import EXECUTE, EXIT_NOT_BORN, PID_SIZE, Order, begin
from opsvisor.runtime.signals import PYTHON_IGNORES

_REPORT_LIMIT = 65536
# Seconds. A fork takes a thousandth of one, and an exec from a slow network some.
_FORKED_WITHIN = 1.0
_EXECUTED_WITHIN = 10.0
_AT_LEAST = 0.1  # where there is a hurry


class NotBornError(Exception):
    """No program was executed, and nothing is left of the process, if there was one.

    `step` is what could not be done (see serve.py), `code` a number of errno(3), or 0.
    """

    def __init__(self, step: str, code: int, text: str) -> None:
        super().__init__(text)
        self.step = step
        self.code = code
        self.text = text


Failure = NotBornError | OSError


class Birth:
    """A process that was ordered. `told` is where to read what it tells: ours now.

    That is a pipe where its `pid` is given, as it is known already. Else it is a socket, as only
    there it can be had from one moment to the next that whoever tells something is refused.
    `give_up` ends whoever was to make it, when nothing is heard for too long. `instead` begins
    another one where this has failed for no fault of its own, or gives None; OSError if that can't
    be.

    Who waits for it `look`s when there is something to read, and has it `expire` when nothing was
    told for as long as it has `patience`; when it is over, and there is none to `renew` it,
    `finish` tells how. Or `finish` does all of that.
    """

    def __init__(
        self,
        told: int,
        *,
        pid: Pid | None = None,
        give_up: Callable[[], None],
        instead: Callable[[Failure], "Birth | None"] | None = None,
    ) -> None:
        os.set_blocking(told, False)
        self._told = told
        self._known_pid = pid
        self._give_up = give_up
        self._instead = instead
        self._trouble: OSError | None = None  # why there is none instead
        self._until = float("inf")
        self._ordered_at = self._heard_at = time.monotonic()
        self._report = b""
        self._is_given_up = False
        self._late_after: float | None = None  # seconds; then it was killed
        self._is_over = False

    def fileno(self) -> int:
        """What it tells can be read here."""
        return self._told

    @property
    def pid(self) -> Pid | None:
        """Who it is, None if that is not known yet, or there is nobody."""
        return Pid(int.from_bytes(self._report[:PID_SIZE], "little")) or self._known_pid

    @property
    def patience(self) -> float:
        """Seconds until it is to `expire`, if nothing is heard of it before."""
        now = time.monotonic()
        if self._is_given_up:  # who was to make it is dying, and the end of that will be heard
            return self._heard_at + _FORKED_WITHIN - now
        within = _FORKED_WITHIN if self.pid is None else _EXECUTED_WITHIN
        until = max(self._until, self._heard_at + _AT_LEAST)
        return max(0.0, min(self._heard_at + within, until) - now)

    def look(self) -> bool:
        """Read what was told; whether it is over: its program has begun, or never will."""
        while not self._is_over:
            try:
                part = os.read(self._told, _REPORT_LIMIT)
            except BlockingIOError:
                break
            self._report += part
            self._heard_at = time.monotonic()
            self._is_over = not part
        return self._is_over

    def expire(self) -> None:
        """It was not heard of for too long, unless it just was.

        Whoever has not even forked within a second is given up. A child that has not come to its
        program in ten is sent SIGKILL: whatever it waits for (a dead file server, as a rule), we
        don't.
        """
        if self.look() or self.patience > 0:
            return
        if pid := self.pid:
            self._kill(pid)
            self._late_after = time.monotonic() - self._heard_at
            self._is_over = True
        elif self._is_given_up:
            self._is_over = True
        else:
            self._give_up()  # then it has been forked, or never will be, and we hear of that
            self._is_given_up = True
            self._heard_at = time.monotonic()

    def hurry(self, within: float) -> None:
        """Its program has to have begun within so many seconds from now, or very soon after."""
        self._until = time.monotonic() + within

    def note_end(self) -> None:
        """The child of this pid is a zombie, which tells no more: it is over."""
        self.look()
        self._is_over = True

    def renew(self) -> bool:
        """It is over. Whether another one has begun in its place, to be told of elsewhere."""
        failure, instead = self._failure(), self._instead
        if failure is None or instead is None:
            return False
        self._instead = None
        try:
            if self.pid is None:
                self._be_deaf()
                failure = self._failure() or failure
            other = instead(failure)
        except OSError as error:
            self._trouble = error
            return False
        if other is None:
            return False
        os.close(self._told)
        vars(self).update(vars(other), _until=self._until)
        return True

    def _be_deaf(self) -> None:
        """Have a child that has not told its pid end where it would: another one is to be made.

        It may have been forked, and wait for a processor since. One that told it at the last
        moment is killed, as of its program nothing could be heard any more.
        """
        # Not another descriptor of it: there may be none left.
        told = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=self._told)
        try:
            told.shutdown(socket.SHUT_RD)  # what is there can be read, what comes is refused
        finally:
            told.detach()
        self._is_over = False
        self.look()
        if pid := self.pid:
            self._kill(pid)
            self._late_after = time.monotonic() - self._ordered_at

    @staticmethod
    def _kill(pid: Pid) -> None:
        with contextlib.suppress(OSError):  # another user's, whom we may not kill
            os.kill(pid, signal.SIGKILL)  # and the reaper finds it, however long that takes

    def finish(self) -> Pid:
        """Its pid, when its program has begun: a child of ours.

        NotBornError if it doesn't, ConnectionError if whoever was to make it has ended before, and
        OSError if nobody can; then nothing is left, or it dies.
        """
        try:
            self._wait()
            while self.renew():
                self._wait()
        finally:
            self.close()
        pid, failure = self.pid, self._failure()
        if failure is not None:
            if pid is not None and self._late_after is None:
                os.waitpid(pid, 0)
            raise failure
        assert pid is not None
        return pid

    def close(self) -> None:
        """Hear no more of it: if it has not told who it is, it ends when it wants to."""
        os.close(self._told)

    def _failure(self) -> Failure | None:
        """Why its program has not begun, None if it has."""
        if self._trouble is not None:
            return self._trouble
        why = self._report[PID_SIZE:]
        if why:
            return NotBornError(*marshal.loads(why))  # noqa: S302 - of a child, before its exec
        if self._late_after is not None:
            text = f"its program has not begun within {round(self._late_after, 1):g} s"
            return NotBornError(EXECUTE, 0, text)
        if self.pid is None:
            return ConnectionResetError(errno.ECONNRESET, "the fork server has ended")
        return None

    def _wait(self) -> None:
        if self.look():
            return
        poll = select.poll()
        poll.register(self._told, select.POLLIN)
        while not self.look():
            if not poll.poll(max(0.0, self.patience) * 1000):
                self.expire()


def fork_here(order: Order, streams: tuple[int, int, int]) -> Birth:
    """A process that this one forks itself: for where there is no fork server. OSError.

    It takes the time that it takes to copy our page tables, some 2 ms for 50 MiB.
    """
    told, tell = os.pipe2(os.O_CLOEXEC)
    # A signal that comes now is for the parent, and its handlers are not for the child.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        with warnings.catch_warnings(action="ignore"):  # Python 3.12 on: of other threads' locks
            pid = os.fork()
        if not pid:
            _begin_here(order, streams, told, tell, before)
    except BaseException:
        os.close(told)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(tell)
    return Birth(told, pid=Pid(pid), give_up=_nobody_else)


def _begin_here(
    order: Order,
    streams: tuple[int, int, int],
    told: int,
    tell: int,
    mask: set[int | signal.Signals],
) -> NoReturn:
    """In the child: a copy of the daemon, of which nothing may go on."""
    try:
        os.close(told)  # so that it ends if we do: nobody reads
        _forget_handlers()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        begin(order, list(streams), tell)
    finally:
        os._exit(EXIT_NOT_BORN)


def _forget_handlers() -> None:
    """Have signals do what they do in a program that has just begun."""
    for signum in signal.valid_signals():
        if signum in PYTHON_IGNORES or callable(signal.getsignal(signum)):
            signal.signal(signum, signal.SIG_DFL)


def _nobody_else() -> None:
    """Nobody was asked to make it."""
