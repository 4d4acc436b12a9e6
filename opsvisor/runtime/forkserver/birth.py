"""What becomes of a process that was ordered: its pid, and whether it has executed."""

import errno
import marshal
import os
import select
import signal
import warnings
from collections.abc import Callable

from opsvisor.core.spec import Pid
from opsvisor.runtime.forkserver.serve import PID_SIZE, Order, begin
from opsvisor.runtime.signals import PYTHON_IGNORES

_REPORT_LIMIT = 65536
_PATIENCE = 10.0  # seconds; an exec from a slow network takes some


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

    def finish(self, within: float = _PATIENCE) -> Pid:
        """Wait until its program begins: the pid of a child of ours.

        NotBornError if it doesn't, and ConnectionError if whoever was to make it has ended before;
        then there is nothing to reap. A child that has not come to its program in so many seconds
        is sent SIGKILL: whatever it waits for (a dead file server, as a rule), we don't.
        """
        try:
            report = self._report(within)
        finally:
            os.close(self._told)
        pid = Pid(int.from_bytes(report[:PID_SIZE], "little")) or self._pid
        why = report[PID_SIZE:]
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
        poll = select.poll()
        poll.register(self._told, select.POLLIN)
        while poll.poll(within * 1000):
            part = os.read(self._told, _REPORT_LIMIT)
            if not part:
                return report
            report += part
        self._give_up()
        while len(report) < PID_SIZE and (part := os.read(self._told, _REPORT_LIMIT)):
            report += part  # once there is nobody to make it, it is there already or never will be
        if report:
            os.kill(int.from_bytes(report[:PID_SIZE], "little"), signal.SIGKILL)
        return report[:PID_SIZE]


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
            _forget_handlers()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            begin(order, list(streams), tell)
    except BaseException:
        os.close(told)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(tell)
    return Birth(told, pid=Pid(pid), give_up=_nobody_else)


def _forget_handlers() -> None:
    """Have signals do what they do in a program that has just begun."""
    for signum in signal.valid_signals():
        if signum in PYTHON_IGNORES or callable(signal.getsignal(signum)):
            signal.signal(signum, signal.SIG_DFL)


def _nobody_else() -> None:
    """Nobody was asked to make it."""
