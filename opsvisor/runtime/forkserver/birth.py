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


class Birth:
    """A process that was ordered. `told` is the end of a pipe to read what it tells: ours now.

    `pid` is given if it is known already. `give_up` ends whoever was to make it, when nothing is
    heard for too long.
    """

    def __init__(self, told: int, *, pid: Pid | None = None, give_up: Callable[[], None]) -> None:
        self._told = told
        self._pid = pid
        self._give_up = give_up

    def finish(self, within: float = _EXECUTED_WITHIN) -> Pid:
        """Wait until its program begins: the pid of a child of ours.

        NotBornError if it doesn't, and ConnectionError if whoever was to make it has ended before;
        then nothing is left, or it dies. A child that has not come to its program in so many
        seconds is sent SIGKILL: whatever it waits for (a dead file server, as a rule), we don't.
        Whoever has not even forked within a second is given up.
        """
        try:
            report = self._report(within)
        finally:
            os.close(self._told)
        pid, why = _pid_in(report) or self._pid, report[PID_SIZE:]
        if why:
            if pid:
                os.waitpid(pid, 0)
            raise NotBornError(*marshal.loads(why))  # noqa: S302 - of a child, before its exec
        if not pid:
            raise ConnectionResetError(errno.ECONNRESET, "the fork server has ended")
        return pid

    def _report(self, within: float) -> bytes:
        """All that it tells, until it executes or ends."""
        report = b""
        patience = min(within, _FORKED_WITHIN)
        is_given_up = False
        poll = select.poll()
        poll.register(self._told, select.POLLIN)
        while True:
            if poll.poll(patience * 1000):
                part = os.read(self._told, _REPORT_LIMIT)
                if not part:
                    return report
                report += part
            elif pid := _pid_in(report) or self._pid:
                os.kill(pid, signal.SIGKILL)  # and the reaper finds it, however long that takes
                raise NotBornError(EXECUTE, 0, f"its program has not begun within {within:g} s")
            elif is_given_up:
                return b""
            else:
                self._give_up()  # then it has been forked, or never will be, and we hear of that
                is_given_up = True
            patience = within


def _pid_in(report: bytes) -> Pid | None:
    """Who reports, None if that is nobody, or not known yet."""
    return Pid(int.from_bytes(report[:PID_SIZE], "little")) or None


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
