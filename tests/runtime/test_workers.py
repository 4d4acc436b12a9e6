"""Threads that leave signals to the main one."""

import signal
import threading

from opsvisor.runtime.workers import worker, workers


def test_signals_are_left_to_the_main_thread() -> None:
    """All of them, in each of the threads; the main one goes on taking them."""
    for executor in (worker("one"), workers()):
        with executor:
            blocked = executor.submit(signal.pthread_sigmask, signal.SIG_BLOCK, ()).result()
            name = executor.submit(lambda: threading.current_thread().name).result()
        never = {signal.SIGKILL, signal.SIGSTOP}
        assert blocked == {one for one in signal.valid_signals() if one not in never}
        assert name.startswith(("one", "asyncio"))
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
