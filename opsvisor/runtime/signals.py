"""The daemon's own signals, and what it leaves of them to its children."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import FrameType

# Python ignores these two itself, and `subprocess` gives them back to children.
_PYTHON_IGNORES = frozenset({signal.SIGPIPE, signal.SIGXFSZ})


def reset_inherited() -> None:
    """Undo what whoever started the daemon has ignored or blocked, for it and its children.

    An ignored signal stays ignored across exec: a daemon started with nohup, or in the background
    of a shell, would hand programs that can't be stopped by SIGHUP or SIGINT.
    """
    for signum in signal.valid_signals():
        if signum not in _PYTHON_IGNORES and signal.getsignal(signum) == signal.SIG_IGN:
            signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def listen(
    loop: asyncio.AbstractEventLoop, handlers: Mapping[signal.Signals, Callable[[], None]]
) -> None:
    """Call these on the loop, also for what was postponed.

    Handlers are not inherited across exec, unlike ignored signals.
    """
    # Not loop.add_signal_handler: whoever takes its handlers back loses what is already in the
    # loop's pipe, and has the default action in force for a moment.
    for signum, handler in handlers.items():
        signal.signal(signum, partial(_pass_on, loop, handler))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, handlers)


def postpone(signals: Iterable[signal.Signals]) -> None:
    """Let these wait for the next `listen`.

    By default they kill. Between the two lives of a daemon that reloads, a second SIGHUP must not
    do that, nor may a SIGTERM be lost.
    """
    for signum in signals:
        signal.signal(signum, _keep_pending)


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
