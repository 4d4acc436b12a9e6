"""The daemon's own signals, and those it was started with."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable

from opsvisor.runtime import signals

_REPORT = """
import signal
from opsvisor.runtime import signals
signals.reset_inherited()
ignored = [s.name for s in signal.Signals if signal.getsignal(s) == signal.SIG_IGN]
print(*ignored, len(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
"""


def test_what_the_starter_ignored_or_blocked_is_undone() -> None:
    """`nohup opsvisord &` must not make programs that neither SIGHUP nor SIGINT ends."""
    start = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN);"
        "signal.signal(signal.SIGINT, signal.SIG_IGN);"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]);"
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    said = subprocess.check_output([sys.executable, "-c", start, "-c", _REPORT], text=True)
    # Python's own two stay: every spawn gives them back.
    assert said.split() == ["SIGPIPE", "SIGXFSZ", "0"]


async def test_handlers_are_called_on_the_loop_and_postponed_in_between() -> None:
    """Each signal its own; what comes while nobody listens neither kills nor is lost."""
    loop = asyncio.get_running_loop()
    came: asyncio.Queue[str] = asyncio.Queue()
    handlers: dict[int, Callable[[], None]] = {
        signal.SIGUSR1: lambda: came.put_nowait("one"),
        signal.SIGUSR2: lambda: came.put_nowait("two"),
    }
    signals.listen(loop, handlers)
    async with asyncio.timeout(60):
        os.kill(os.getpid(), signal.SIGUSR2)
        assert await came.get() == "two"
        os.kill(os.getpid(), signal.SIGUSR1)
        assert await came.get() == "one"
        signals.postpone(handlers)
        os.kill(os.getpid(), signal.SIGUSR2)
        await asyncio.to_thread(lambda: None)  # a worker thread must not take it either
        assert came.empty()
        signals.listen(loop, handlers)
        assert await came.get() == "two"
    for signum in handlers:
        signal.signal(signum, signal.SIG_DFL)
