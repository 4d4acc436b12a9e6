"""What becomes of a process that was ordered: its pid, and whether it has executed."""

import errno
import marshal
import os
import select
import signal
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


class NotBornError(Exception):
    """No program was executed, and nothing is left of the process, if there was one.

    `step` is what could not be done (see serve.py), `code` a number of errno(3), or 0.
    """

    def __init__(self, step: str, code: int, text: str) -> None:
        super().__init__(text)
        self.step = step
        self.code = code
        self.text = text


Failure = NotBornError | ConnectionError


def _raised(error: Failure) -> Pid:
    raise error


class Birth:
    """A process that was ordered. `told` is the end of a pipe to read what it tells: ours now.

    `pid` is given if it is known already. `give_up` ends whoever was to make it, when nothing is
    heard for too long. `instead` makes another one where this has failed, or raises the error.

    Who waits for it `look`s when there is something to read, and has it `expire` when nothing was
    told for as long as it has `patience`; when it is over, `finish` tells how. Or `finish` does
    all of that.
    """

    def __init__(
        self,
        told: int,
        *,
        pid: Pid | None = None,
        give_up: Callable[[], None],
        instead: Callable[[Failure], Pid] = _raised,
    ) -> None:
        os.set_blocking(told, False)
        self._told = told
        self._known_pid = pid
        self._give_up = give_up
        self._instead = instead
        self._within = _EXECUTED_WITHIN
        self._report = b""
        self._is_given_up = False
        self._is_late = False
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
        """Seconds from the last that was heard of it until it is to `expire`."""
        is_forked = self._is_given_up or self.pid is not None
        return self._within if is_forked else min(self._within, _FORKED_WITHIN)

    def look(self) -> bool:
        """Read what was told; whether it is over: its program has begun, or never will."""
        while not self._is_over:
            try:
                part = os.read(self._told, _REPORT_LIMIT)
            except BlockingIOError:
                break
            self._report += part
            self._is_over = not part
        return self._is_over

    def expire(self) -> None:
        """It was not heard of for too long.

        Whoever has not even forked within a second is given up. A child that has not come to its
        program in ten is sent SIGKILL: whatever it waits for (a dead file server, as a rule), we
        don't.
        """
        known = self.pid
        if self.look() or self.pid != known:
            return  # it was heard of, and nobody has listened
        if pid := self.pid:
            os.kill(pid, signal.SIGKILL)  # and the reaper finds it, however long that takes
            self._is_late = self._is_over = True
        elif self._is_given_up:
            self._is_over = True
        else:
            self._give_up()  # then it has been forked, or never will be, and we hear of that
            self._is_given_up = True

    def hurry(self, within: float) -> None:
        """Its program has to have begun within so many seconds from now."""
        self._within = within

    def has_ended(self) -> None:
        """The child of this pid is a zombie, which tells no more: it is over."""
        self.look()
        self._is_over = True

    def finish(self) -> Pid:
        """Its pid, when its program has begun: a child of ours.

        NotBornError if it doesn't, and ConnectionError if whoever was to make it has ended before;
        then nothing is left, or it dies.
        """
        try:
            return self._finish()
        except (NotBornError, ConnectionError) as error:
            return self._instead(error)

    def close(self) -> None:
        """Hear no more of it: if it has not told who it is, it ends when it wants to."""
        os.close(self._told)

    def _finish(self) -> Pid:
        try:
            self._wait()
        finally:
            self.close()
        pid, why = self.pid, self._report[PID_SIZE:]
        if why:
            if pid:
                os.waitpid(pid, 0)
            raise NotBornError(*marshal.loads(why))  # noqa: S302 - of a child, before its exec
        if self._is_late:
            text = f"its program has not begun within {self._within:.2g} s"
            raise NotBornError(EXECUTE, 0, text)
        if not pid:
            raise ConnectionResetError(errno.ECONNRESET, "the fork server has ended")
        return pid

    def _wait(self) -> None:
        if self.look():
            return
        poll = select.poll()
        poll.register(self._told, select.POLLIN)
        while not self.look():
            if not poll.poll(self.patience * 1000):
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
