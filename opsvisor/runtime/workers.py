"""Threads that work for the loop, and leave all signals to the main one.

A signal for the process is taken by any thread that does not block it. Python notes it there and
calls its handler in the main thread, between two instructions: but when the main thread is about
to execute another version of the daemon there are none to come, and what was noted is gone. A
signal that nobody takes stays pending across exec.
"""

import signal
from concurrent.futures import ThreadPoolExecutor


def worker(name: str) -> ThreadPoolExecutor:
    """One thread, begun with the first thing that it is to do."""
    return ThreadPoolExecutor(1, thread_name_prefix=name, initializer=_leave_signals)


def workers() -> ThreadPoolExecutor:
    """As many as an event loop has by itself, for what anybody has to do (`asyncio.to_thread`)."""
    return ThreadPoolExecutor(thread_name_prefix="asyncio", initializer=_leave_signals)


def _leave_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
