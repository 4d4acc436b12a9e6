"""Threads that leave signals to the main one, and what is done where none can be made."""

import asyncio
import errno
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from opsvisor.runtime.probes.names import Names
from opsvisor.runtime.workers import begin_apart, new_loop, worker, workers


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


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From a call on no thread can be made, as with RLIMIT_NPROC; that binds no root."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    return lambda: monkeypatch.setattr(threading.Thread, "start", refuse)


@pytest.mark.parametrize("made", [lambda: worker("one"), workers], ids=["one", "many"])
def test_without_a_thread_the_caller_does_it(
    made: Callable[[], ThreadPoolExecutor],
    no_threads: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once; and what goes wrong is told as ever. With a thread again, that does the next one."""
    done: list[str] = []
    with made() as executor:
        no_threads()
        executor.submit(done.append, "first").result()
        failed = executor.submit(int, "none").exception()
        assert executor._work_queue.empty()  # or all that was ever done would be kept
        monkeypatch.undo()
        name = executor.submit(lambda: threading.current_thread().name).result()
    assert done == ["first"]
    assert isinstance(failed, ValueError)
    assert name.startswith(("one", "asyncio"))


def test_a_second_thread_that_can_not_be_made_is_done_without(
    no_threads: Callable[[], None],
) -> None:
    """With the first one busy, the caller is the second; and nothing is ever done twice."""
    begun, over = threading.Event(), threading.Event()
    done: list[int] = []

    def be_busy() -> None:
        begun.set()
        over.wait(60)

    with workers() as executor:
        busy = executor.submit(be_busy)
        begun.wait(60)
        no_threads()
        for number in range(10):
            executor.submit(done.append, number).result()
        over.set()
        busy.result()
    assert done == list(range(10))


def test_a_closed_one_takes_nothing() -> None:
    """That is no lack of threads."""
    executor = workers()
    executor.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(print)


def test_a_loop_ends_without_a_thread(no_threads: Callable[[], None]) -> None:
    """Python waits for the loop's threads in another one."""

    async def live() -> int:
        no_threads()
        return await asyncio.to_thread(int, "7")

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(live()) == 7


async def test_what_is_done_apart_is_never_done_by_the_caller(
    no_threads: Callable[[], None],
) -> None:
    """Where it can't be, that is said, and the next one who asks has it tried again."""
    assert await begin_apart(lambda: threading.current_thread().name, "mine") == "mine"
    with pytest.raises(ValueError, match="invalid literal"):
        await begin_apart(lambda: int("none"), "mine")
    names = Names()
    no_threads()
    for _ in range(2):
        with pytest.raises(OSError, match="no thread can be made: Resource temp") as caught:
            await names.addresses("host.test")
        assert caught.value.errno == errno.EAGAIN
