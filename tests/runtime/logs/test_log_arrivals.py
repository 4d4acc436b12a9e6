"""Who is told of what has come into a pipe: each, whatever another does, and nobody too late."""

import asyncio
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import Mock

import pytest

from opsvisor.runtime.logs import arrivals as arrivals_module
from opsvisor.runtime.logs.arrivals import Arrivals


class Told:
    """A reader of several pipes; `then` is what it does besides reading."""

    def __init__(self, then: Callable[[int], None] = lambda _descriptor: None) -> None:
        self.of: list[int] = []
        self._then = then

    def on_readable(self, descriptor: int) -> None:
        """See Reader."""
        os.read(descriptor, 9)
        self.of.append(descriptor)
        self._then(descriptor)


@contextmanager
def pipes(count: int) -> Iterator[list[tuple[int, int]]]:
    """So many of them."""
    made = [os.pipe() for _ in range(count)]
    try:
        yield made
    finally:
        for ends in made:
            for end in ends:
                os.close(end)


async def turns() -> None:
    """Let the loop look at its descriptors, and then at those in ours."""
    loop = asyncio.get_running_loop()
    for _ in range(3):
        turned = asyncio.Event()
        loop.call_soon(turned.set)
        await turned.wait()


async def test_each_is_told_though_another_one_fails() -> None:
    """Its error is told to the loop, as that of any callback."""
    errors: list[str] = []
    loop, arrivals = asyncio.get_running_loop(), Arrivals()
    loop.set_exception_handler(lambda _loop, context: errors.append(str(context["exception"])))

    def fail(_descriptor: int) -> None:
        raise ValueError("a bug")

    bad, good = Told(fail), Told()
    with pipes(2) as made:
        for (reader, writer), who in zip(made, (bad, good), strict=True):
            arrivals.add(loop, reader, who)
            os.write(writer, b"x")
        await turns()
        assert (bad.of, good.of, errors) == ([made[0][0]], [made[1][0]], ["a bug"])
        for reader, _ in made:
            arrivals.remove(reader)
    arrivals.rest()


async def test_nobody_is_told_who_was_removed_in_the_same_turn() -> None:
    """By who was told before: a program that is ended for what another one says."""
    loop, arrivals = asyncio.get_running_loop(), Arrivals()
    with pipes(2) as made:

        def remove_others(told: int) -> None:
            for reader, _ in made:
                if reader != told:
                    arrivals.remove(reader)

        first = Told(remove_others)
        for reader, writer in made:
            arrivals.add(loop, reader, first)
            os.write(writer, b"x")
        await turns()
        assert len(first.of) == 1
        arrivals.remove(first.of[0])
    arrivals.rest()


async def test_many_have_their_turns() -> None:
    """Those that are left are told next, also if the first have more to read by then."""
    loop, arrivals, told = asyncio.get_running_loop(), Arrivals(), Told()
    with pipes(200) as made:
        for reader, writer in made:
            arrivals.add(loop, reader, told)
            os.write(writer, b"x" * 100)  # more than is read at once
        for _ in range(4):
            await turns()
        assert set(told.of) == {reader for reader, _ in made}
        for reader, _ in made:
            arrivals.remove(reader)
    arrivals.rest()


async def test_what_it_takes_to_wait_is_kept_while_anything_is_waited_for() -> None:
    """Then it is given back, and had again when it is needed."""
    loop, arrivals, told = asyncio.get_running_loop(), Arrivals(), Told()
    with pipes(1) as [(reader, writer)]:
        for number in (1, 2):
            arrivals.add(loop, reader, told)
            arrivals.rest()
            os.write(writer, b"x")
            await turns()
            assert told.of == [reader] * number
            arrivals.remove(reader)
            arrivals.remove(reader)  # which is not waited for any more
            arrivals.rest()


async def test_what_cannot_be_waited_for_leaves_nothing_open() -> None:
    """A regular file, say."""
    arrivals = Arrivals()
    with open(__file__, "rb") as file, pytest.raises(PermissionError):  # noqa: ASYNC230, PTH123
        arrivals.add(asyncio.get_running_loop(), file.fileno(), Told())


@pytest.fixture
def much_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told of its end as long as a test takes."""
    monkeypatch.setattr(arrivals_module, "_LATER", 1000.0)


@pytest.mark.usefixtures("much_later")
async def test_what_could_not_be_waited_for_once_may_be_the_next_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel bounds what a user may wait for. Nothing is left half made."""
    loop, arrivals, reader = asyncio.get_running_loop(), Arrivals(), Told()
    refused = Mock(side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    with pipes(1) as [(end, writer)]:
        with monkeypatch.context() as patched:
            patched.setattr(loop, "add_reader", refused)
            with pytest.raises(OSError, match="No space"):
                arrivals.add(loop, end, reader)
        arrivals.add(loop, end, reader)
        os.write(writer, b"x")
        await turns()
        assert reader.of == [end]
        arrivals.remove(end)
        arrivals.rest()


async def test_who_has_only_its_end_to_read_is_not_told_at_once() -> None:
    """As a rule its program is just ending, and it is looked after then. What it has said is."""
    loop, arrivals, told = asyncio.get_running_loop(), Arrivals(), Told()
    reader, writer = os.pipe()
    arrivals.add(loop, reader, told)
    os.write(writer, b"x")
    await turns()
    assert told.of == [reader]
    os.close(writer)
    await turns()
    assert told.of == [reader]
    arrivals.remove(reader)
    arrivals.rest()
    os.close(reader)


async def test_who_has_only_its_end_to_read_is_told_later() -> None:
    """All of many, though a few at a time; whatever reads on is told again, of its end or more."""
    loop, arrivals = asyncio.get_running_loop(), Arrivals()
    times: dict[int, int] = {}
    all_told = asyncio.Event()

    def note(descriptor: int) -> None:
        times[descriptor] = times.get(descriptor, 0) + 1
        if times[descriptor] == 2:
            arrivals.remove(descriptor)
        if list(times.values()) == [2] * 200:
            all_told.set()

    readers = []
    for _ in range(200):
        reader, writer = os.pipe()
        arrivals.add(loop, reader, Told(note))
        os.close(writer)
        readers.append(reader)
    await asyncio.wait_for(all_told.wait(), 30)
    arrivals.rest()
    for reader in readers:
        os.close(reader)


@pytest.mark.usefixtures("much_later")
async def test_an_end_is_not_that_of_the_next_with_this_number() -> None:
    """Who is removed is not told, and who has its number then is told of what it has to say."""
    loop, arrivals, first, second = asyncio.get_running_loop(), Arrivals(), Told(), Told()
    gone, writer = os.pipe()
    arrivals.add(loop, gone, first)
    os.close(writer)
    await turns()
    arrivals.remove(gone)
    os.close(gone)
    reader, writer = os.pipe()
    assert reader == gone
    arrivals.add(loop, reader, second)
    os.write(writer, b"x")
    await turns()
    assert (first.of, second.of) == ([], [reader])
    arrivals.remove(reader)
    arrivals.rest()
    for end in (reader, writer):
        os.close(end)
