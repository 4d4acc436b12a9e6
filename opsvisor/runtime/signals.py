"""The daemon's own signals, and what it leaves of them to its children."""

import asyncio
import signal
from collections.abc import Callable, Mapping

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
    """Call these on the loop. Handlers are not inherited across exec, unlike ignored signals."""
    for signum, handler in handlers.items():
        loop.add_signal_handler(signum, handler)


def ignore_again(
    loop: asyncio.AbstractEventLoop, handlers: Mapping[signal.Signals, Callable[[], None]]
) -> None:
    """Stop calling them."""
    for signum in handlers:
        loop.remove_signal_handler(signum)
