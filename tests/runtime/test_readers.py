"""Descriptors that are called when there is something to read."""

import asyncio
import os
import select
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from opsvisor.runtime.readers import _AT_ONCE, Readers

Calls = Readers[Callable[[], object]]


def call(what: Callable[[], object]) -> None:
    """Do what was given for a descriptor."""
    what()


@pytest.fixture
def readers() -> Iterator[Calls]:
    """Readers that are closed at the end, and leave no descriptor."""
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 - names alone
    readers = Readers(call)
    yield readers
    readers.close()
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208


@pytest.fixture
def pipes(readers: Calls) -> Iterator[list[tuple[int, int]]]:
    """Three pipes that can be read from."""
    made = [os.pipe() for _ in range(3)]
    for _, writer in made:
        os.write(writer, b"x")
    yield made
    readers.close()
    for end in [end for pipe in made for end in pipe]:
        os.close(end)


async def some_turns() -> None:
    """The loop looks, calls, and looks once more: what is readable still may be called again."""
    for _ in range(2):
        await asyncio.sleep(0)


async def test_all_that_is_ready_is_called(readers: Calls, pipes: list[tuple[int, int]]) -> None:
    """And again in the next one, as long as there is something to read."""
    loop = asyncio.get_running_loop()
    called: list[int] = []
    for reader, _ in pipes:
        readers.add(loop, reader, partial(called.append, reader))
    await some_turns()
    assert set(called) == {reader for reader, _ in pipes}
    for reader, _ in pipes[1:]:
        os.read(reader, 9)
    called.clear()
    await some_turns()
    assert set(called) == {pipes[0][0]}
    os.read(pipes[0][0], 9)
    called.clear()
    await some_turns()
    assert called == []


async def test_one_that_another_removes_is_not_called(
    readers: Calls, pipes: list[tuple[int, int]]
) -> None:
    """Even if it was ready in the same turn; nor is one called that was removed before."""
    called: list[int] = []

    def only_one(reader: int) -> None:
        called.append(reader)
        for other, _ in pipes:
            readers.remove(other)

    for reader, _ in pipes:
        readers.add(asyncio.get_running_loop(), reader, partial(only_one, reader))
    await some_turns()
    assert len(called) == 1
    readers.remove(called[0])


async def test_another_that_has_got_the_number_is_not_called_for_the_one_before(
    readers: Calls, pipes: list[tuple[int, int]]
) -> None:
    """Both in one turn: one was told to be readable, closed by whoever came before, and opened."""
    loop = asyncio.get_running_loop()
    called: list[str] = []
    (first, _), (second, _), _ = pipes

    def replace_second(_: int) -> None:
        os.read(first, 9)
        readers.remove(second)
        silent, writer = os.pipe()
        os.dup2(silent, second)
        os.close(silent)
        os.close(writer)
        os.close(os.dup(second))
        readers.add(loop, second, partial(called.append, "another"))

    readers.add(loop, first, partial(replace_second, first))
    readers.add(loop, second, partial(called.append, "the one before"))
    readers.call_ready()
    assert called == []


async def test_a_bug_in_one_is_told_and_costs_the_others_nothing(
    readers: Calls, pipes: list[tuple[int, int]]
) -> None:
    """As with callbacks of the loop itself."""
    loop = asyncio.get_running_loop()
    told: list[object] = []
    loop.set_exception_handler(lambda _loop, context: told.append(context["exception"]))
    called: list[int] = []

    def fails(reader: int) -> None:
        called.append(reader)
        raise KeyError(reader)

    for reader, _ in pipes:
        readers.add(loop, reader, partial(fails, reader))
    await some_turns()
    loop.set_exception_handler(None)
    assert set(called) == {reader for reader, _ in pipes}
    assert [repr(error) for error in told] == [f"KeyError({reader})" for reader in called]


async def test_after_a_close_it_can_be_used_again(
    readers: Calls, pipes: list[tuple[int, int]]
) -> None:
    """Nothing is called in between, also if it was ready."""
    loop = asyncio.get_running_loop()
    called: list[int] = []
    for reader, _ in pipes[:2]:
        readers.add(loop, reader, partial(called.append, reader))
    readers.close()
    readers.call_ready()
    await some_turns()
    assert called == []
    readers.add(loop, pipes[2][0], partial(called.append, pipes[2][0]))
    readers.call_ready()
    assert called == [pipes[2][0]]


async def test_each_of_a_crowd_is_told_of_once(
    readers: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it waits for its turn: the kernel's list of who is ready is not read again."""
    told: list[int] = []
    make_epoll = select.epoll

    class Counted:
        """An epoll, with a note of all that it tells."""

        def __init__(self) -> None:
            self._epoll = make_epoll()
            for name in ("register", "unregister", "modify", "close", "fileno"):
                setattr(self, name, getattr(self._epoll, name))

        def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
            found = self._epoll.poll(timeout, most)
            told.extend(descriptor for descriptor, _ in found)
            return found

    monkeypatch.setattr("opsvisor.runtime.readers.select.epoll", Counted)
    loop = asyncio.get_running_loop()
    made = [os.pipe() for _ in range(100)]
    called: list[int] = []

    def read(reader: int) -> None:
        readers.remove(reader)
        called.append(reader)

    for reader, writer in made:
        os.write(writer, b"x")
        readers.add(loop, reader, partial(read, reader))
    for _ in range(10 * len(made)):  # turns: more than it takes
        await asyncio.sleep(0)
    assert sorted(told) == sorted(called)
    assert not readers.has_more
    readers.close()
    for end in [end for pipe in made for end in pipe]:
        os.close(end)


async def test_of_a_crowd_a_few_are_called_and_then_others_have_their_turn(
    readers: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those first that were added first, whatever became ready before."""
    monkeypatch.setattr("opsvisor.runtime.readers._AT_ONCE", 2)
    monkeypatch.setattr("opsvisor.runtime.readers.TURNS_OF_OTHERS", 3)
    loop = asyncio.get_running_loop()
    made = [os.pipe() for _ in range(6)]
    called: list[int] = []

    def read(number: int) -> None:
        os.read(made[number][0], 9)
        called.append(number)

    for number, (reader, _) in enumerate(made):
        readers.add(loop, reader, partial(read, number))
    for _, writer in reversed(made):
        os.write(writer, b"x")
    seen = []
    for _ in range(16):
        await asyncio.sleep(0)
        seen.append(tuple(called))
    assert sorted(set(seen)) == [(), (0, 1), (0, 1, 2, 3), (0, 1, 2, 3, 4, 5)]
    # In which of the turns that begins is the loop's affair; how long it lasts is not.
    assert (seen.count((0, 1)), seen.count((0, 1, 2, 3))) == (4, 4)
    readers.close()
    for end in [end for pipe in made for end in pipe]:
        os.close(end)


async def test_nobody_is_told_that_all_were_called_after_the_end(
    pipes: list[tuple[int, int]],
) -> None:
    """One of those that are called may have closed all of it."""
    told: list[str] = []
    readers = Readers(call, all_called=lambda: told.append("all"))
    reader, _ = pipes[0]
    readers.add(asyncio.get_running_loop(), reader, readers.close)
    await some_turns()
    assert (told, readers.has_more) == ([], False)


async def test_an_error_of_who_is_told_that_all_were_called_is_told(
    pipes: list[tuple[int, int]],
) -> None:
    """Whoever looks for what is ready goes on."""
    errors: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: errors.append(str(context["exception"])))

    def fail() -> None:
        raise ValueError("a bug")

    readers = Readers(call, all_called=fail)
    reader, _ = pipes[0]
    readers.add(loop, reader, partial(os.read, reader, 9))
    assert readers.call_ready()
    assert errors == ["a bug"]
    readers.close()


async def test_who_asks_for_it_is_told_when_none_is_ready_any_more(
    pipes: list[tuple[int, int]],
) -> None:
    """Once, after the last; not between those that have their turn and those that are next."""
    order: list[str] = []
    over = asyncio.Event()

    def note_all() -> None:
        order.append("all")
        over.set()

    def read(reader: int) -> None:
        os.read(reader, 9)
        order.append("one")

    readers = Readers(call, all_called=note_all)
    more = [os.pipe() for _ in range(_AT_ONCE)]
    for reader, writer in (*pipes, *more):
        readers.add(asyncio.get_running_loop(), reader, partial(read, reader))
        os.write(writer, b"x")
    await asyncio.wait_for(over.wait(), 30)
    await some_turns()
    assert order == ["one"] * (len(pipes) + _AT_ONCE) + ["all"]
    readers.close()
    for end in [end for pipe in more for end in pipe]:
        os.close(end)
