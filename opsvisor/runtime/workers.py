"""Threads that work for the loop, and leave all signals to the main one.

A signal for the process is taken by any thread that does not block it. Python notes it there and
calls its handler in the main thread, between two instructions: but when the main thread is about
to execute another version of the daemon there are none to come, and what was noted is gone. A
signal that nobody takes stays pending across exec.

Threads are made when there is something for them to do, and then kept. The system may refuse one
(RLIMIT_NPROC, pids.max): some program forks without end, perhaps the very one that is about to be
stopped. So whoever wants something done has it done all the same, by the caller. The loop stands
still for that, and in the worst case hangs with a file of some process in /proc: better than a
daemon that can be asked nothing and ends nobody. Threads made beforehand would cost every daemon
up to 30 KiB and half a millisecond each, and would be no answer where there is none at the start.
"""

import asyncio
import errno
import os
import signal
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from queue import Empty
from threading import Thread
from typing import Any, Generic, ParamSpec, TypeVar

__all__ = ["begin_apart", "new_loop", "worker", "workers"]

T = TypeVar("T")
P = ParamSpec("P")


def worker(name: str) -> ThreadPoolExecutor:
    """One thread, begun with the first thing that it is to do."""
    return _Workers(1, thread_name_prefix=name, initializer=_leave_signals)


def workers() -> ThreadPoolExecutor:
    """As many as an event loop has by itself, for what anybody has to do (`asyncio.to_thread`)."""
    return _Workers(thread_name_prefix="asyncio", initializer=_leave_signals)


def new_loop() -> asyncio.AbstractEventLoop:
    """A loop with such workers, which can be ended as well where no thread can be made."""
    loop = _Loop()
    loop.set_default_executor(workers())
    return loop


def begin_apart(work: Callable[[], T], name: str) -> asyncio.Future[T]:
    """Have this done by a thread of its own, which nobody waits for at the end of the daemon.

    For what may take as long as somebody else keeps silent: that is never done by the caller. So
    OSError if no thread can be made. All else that goes wrong is told by what is given.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()
    outcome.add_done_callback(_look_at_error)  # perhaps nobody waits any more

    def tell(done: Future[T]) -> None:
        if outcome.cancelled():
            return
        error = done.exception()
        if error is None:
            outcome.set_result(done.result())
        else:
            outcome.set_exception(error)

    def run() -> None:
        _leave_signals()
        task = _Task(work)
        task.run()
        with suppress(RuntimeError):  # the loop is closed: the daemon has ended or begun anew
            loop.call_soon_threadsafe(tell, task.outcome)

    try:
        Thread(target=run, name=name, daemon=True).start()
    except RuntimeError as error:
        raise OSError(
            errno.EAGAIN, f"no thread can be made: {os.strerror(errno.EAGAIN)}"
        ) from error
    return outcome


class _Workers(ThreadPoolExecutor):
    """Has the caller do what is to be done where there is no thread, and none can be made."""

    _is_over = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have this done, in any case."""
        task = _Task(partial(fn, *args, **kwargs))
        try:
            return super().submit(task)
        except RuntimeError:
            if self._is_over:
                raise
        # It waits in the queue all the same, and if there are threads already one of them may have
        # begun with it, or even be done. Whoever comes second has nothing to do.
        task.run()
        if not self._threads:
            with suppress(Empty):  # nobody is there to come second, and to let go of it
                self._work_queue.get_nowait()
        return task.outcome

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as there
        """Take nothing more."""
        self._is_over = True
        super().shutdown(wait, cancel_futures=cancel_futures)


class _Task(Generic[T]):
    """Something to be done once, by whoever comes first."""

    def __init__(self, work: Callable[[], T]) -> None:
        self.outcome: Future[T] = Future()
        self._work: list[Callable[[], T]] = [work]

    def __call__(self) -> T:
        """What comes of it, once that is known."""
        self.run()
        return self.outcome.result()

    def run(self) -> None:
        """Do it, if nobody has begun to."""
        try:
            work = self._work.pop()  # one operation: only one of two threads gets it
        except IndexError:
            return
        try:
            self.outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - as in all executors: whoever waits is told
            self.outcome.set_exception(error)


class _Loop(asyncio.SelectorEventLoop):
    async def shutdown_default_executor(self, *limit: Any) -> None:
        """Wait for the threads, which is done in another one, if that can be made.

        If not, `close` still tells them to end.
        """
        with suppress(RuntimeError):
            await super().shutdown_default_executor(*limit)


def _look_at_error(outcome: asyncio.Future[Any]) -> None:
    if not outcome.cancelled():
        outcome.exception()


def _leave_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
