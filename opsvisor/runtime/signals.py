"""The daemon's own signals, and what it leaves of them to its children."""

import asyncio
import fcntl
import os
import signal
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import FrameType

# Python ignores these two itself; children are given them back.
PYTHON_IGNORES = frozenset({signal.SIGPIPE, signal.SIGXFSZ})


class Waking:
    """Has a loop that sleeps wake up when a signal comes that has a handler in Python.

    Such a handler runs between two instructions of Python, and a loop that has just gone to sleep
    executes none. The C handler writes a byte to a pipe of ours, which the loop reads. asyncio has
    the same for `add_signal_handler`, but at the price of two callbacks and four system calls for
    each signal: that is a lot where children end by the hundred.

    `then` is called on the loop when it was `signum` that came, once for any number of them. A
    full pipe is no loss: the loop is woken by what is in it, and that one may have come as well.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, signum: int, then: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._signum = signum
        self._then = then
        self._reader = self._writer = self._before = -1
        self._all_that_fits = 0  # bytes; less for who has many pipes

    def open(self) -> None:
        """Begin. In the main thread, and instead of what was woken by signals before."""
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._all_that_fits = fcntl.fcntl(self._reader, fcntl.F_GETPIPE_SZ)
        self._loop.add_reader(self._reader, self._woken)
        self._before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        signal.signal(self._signum, _leave_it_at_that)

    def close(self) -> None:
        """End, and have that woken again. The signal has its default action."""
        signal.signal(self._signum, signal.SIG_DFL)
        signal.set_wakeup_fd(self._before)
        self._loop.remove_reader(self._reader)
        os.close(self._reader)
        os.close(self._writer)

    def _woken(self) -> None:
        came = os.read(self._reader, self._all_that_fits)
        if self._signum in came or len(came) >= self._all_that_fits:
            self._then()


def _leave_it_at_that(_signum: int, _frame: FrameType | None) -> None:
    """Python's handler of a signal whose byte in the pipe says all that there is to say."""


def reset_inherited() -> None:
    """Undo what whoever started the daemon has ignored or blocked, for it and its children.

    An ignored signal stays ignored across exec: a daemon started with nohup, or in the background
    of a shell, would hand programs that can't be stopped by SIGHUP or SIGINT.
    """
    for signum in signal.valid_signals():
        if signum not in PYTHON_IGNORES and signal.getsignal(signum) == signal.SIG_IGN:
            signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def listen(loop: asyncio.AbstractEventLoop, handlers: Mapping[int, Callable[[], None]]) -> None:
    """Call these on the loop, also for what was postponed.

    Handlers are not inherited across exec, unlike ignored signals. What was postponed and is not
    listened to any more is forgotten, and has its default action again.
    """
    # Not loop.add_signal_handler: whoever takes its handlers back loses what is already in the
    # loop's pipe, and has the default action in force for a moment.
    for signum, handler in handlers.items():
        signal.signal(signum, partial(_pass_on, loop, handler))
    for signum in signal.valid_signals() - handlers.keys():
        if signal.getsignal(signum) is _keep_pending:
            signal.signal(signum, signal.SIG_IGN)  # which drops what is pending
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signum])
            signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, handlers)


def postpone(signals: Iterable[int]) -> None:
    """Let these wait for the next `listen`.

    By default they kill. Between the two lives of a daemon that reloads, a second SIGHUP must not
    do that, nor may a SIGTERM be lost.
    """
    for signum in signals:
        signal.signal(signum, _keep_pending)


def hold(signals: Iterable[int]) -> None:
    """Have these wait for whatever is executed next in this process, or for the next `listen`.

    Blocked signals stay pending across exec. That this thread blocks them is not enough: another
    one would take them, and Python call our handler, whose loop is about to be gone.
    """
    numbers = tuple(signals)
    postpone(numbers)
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)


def _pass_on(
    loop: asyncio.AbstractEventLoop,
    handler: Callable[[], None],
    _signum: int,
    _frame: FrameType | None,
) -> None:
    loop.call_soon_threadsafe(handler)  # wakes a loop that sleeps


def _keep_pending(signum: int, _frame: FrameType | None) -> None:
    # Blocked and sent again to this very thread it is pending until `listen`. Sent to the process,
    # a worker thread would take it, and Python would call us again at once.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signum])
    signal.pthread_kill(threading.get_ident(), signum)
